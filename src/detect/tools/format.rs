//! Formatters that only check: ruff format, black, isort.

use super::{Kind, Read, Tool};
use crate::detect::failure::{Category, Key};
use crate::detect::found::{Found, Sink};
use crate::detect::text::patterns;

patterns! {
    RUFF = r"^Would reformat: (.+)$";
    BLACK = r"^would reformat (\S.*?)$";
    ISORT = r"^ERROR: (.+?) Imports are incorrectly sorted and/or formatted\.$";
    UNPARSED = r"^error: (?:cannot format|Failed to (?:parse|format)) (.+?):(?:(\d+):\d+:)? (.*)$";
    UNPARSED_AT = r"^error: (cannot parse): (.+?):(\d+):\d+$";
    POSITION = r"(\d+):\d+";
}

pub(super) const TOOL: Kind = Kind::new(
    &[
        "Would reformat: ",
        "would reformat ",
        "Imports are incorrectly sorted",
        "cannot format ",
        "cannot parse",
        "Failed to parse ",
        "Failed to format ",
    ],
    || Box::new(Format),
);

#[derive(Debug)]
struct Format;

impl Tool for Format {
    fn line(&mut self, line: &str, sink: &mut Sink) -> Read {
        if read(line, sink) { Read::Taken } else { Read::Pass }
    }
}

fn read(line: &str, sink: &mut Sink) -> bool {
    if let Some(found) = UNPARSED_AT.captures(line) {
        push(sink, "black", &found[2], "syntax", line, found[3].parse().ok());
        return true;
    }
    if line.starts_with('W')
        && let Some(found) = RUFF.captures(line)
    {
        push(sink, "ruff-format", &found[1], "format", line, None);
    } else if line.starts_with("would reformat ")
        && let Some(found) = BLACK.captures(line)
    {
        push(sink, "black", &found[1], "format", line, None);
    } else if line.starts_with("ERROR: ")
        && let Some(found) = ISORT.captures(line)
    {
        push(sink, "isort", &found[1], "imports", line, None);
    } else if line.starts_with("error: ")
        && let Some(found) = UNPARSED.captures(line)
    {
        let number = found.get(2).map(|number| number.as_str());
        let number = number.or_else(|| POSITION.captures(&found[3]).and_then(|found| found.get(1)).map(|m| m.as_str()));
        let tool = if line.contains("cannot format") { "black" } else { "ruff" };
        push(sink, tool, &found[1], "syntax", line, number.and_then(|number| number.parse().ok()));
    } else {
        return false;
    }
    true
}

pub(super) fn push(sink: &mut Sink, tool: &'static str, file: &str, rule: &str, message: &str, line: Option<u32>) {
    let file = sink.paths.file(file);
    let syntax = rule == "syntax";
    let category = if syntax { Category::SyntaxError } else { Category::Quality };
    let key = Key::Finding { file: file.clone(), rule: rule.to_owned(), symbol: None };
    let cause = if syntax { format!("syntax|{file}") } else { format!("rule|{file}|{tool}|{rule}") };
    let message = sink.paths.relative(message);
    sink.push(Found::new(category, tool, key, &message).at(file, line).because(cause));
}
