//! Formatters that show what they would change: `ruff format --diff`, docformatter, yapf, autopep8, pyupgrade, gofmt.

use super::format::push;
use super::{Kind, Read, Tool};
use crate::detect::found::Sink;
use crate::detect::text::patterns;

patterns! {
    BEFORE = r"^--- (?:before/|a/)?(\S+?)(?:\t.*|:before.*)?$";
    AFTER = r"^\+\+\+ (?:after/|b/)?(\S+?)(?:\t.*|:after.*)?$";
    REWRITING = r"^(?:Rewriting|reformatted|Fixing|fixed) (\S.*)$";
    ALONE = r"^(\S+\.\w{1,5})$";
}

pub(super) const TOOL: Kind = Kind::new(&["+++ ", "Rewriting ", ".go\n"], || Box::new(Diffs));

/// The tools, and what else their command must say.
const FORMATTERS: [(&str, &str, &str); 8] = [
    ("ruff", "format", "ruff-format"),
    ("docformatter", "", "docformatter"),
    ("yapf", "", "yapf"),
    ("autopep8", "", "autopep8"),
    ("pyupgrade", "", "pyupgrade"),
    ("clang-format", "", "clang-format"),
    ("gofmt", "", "gofmt"),
    ("goimports", "", "goimports"),
];

#[derive(Debug)]
struct Diffs;

impl Tool for Diffs {
    fn line(&mut self, line: &str, sink: &mut Sink) -> Read {
        let named = |(tool, word, _): &(&'static str, &'static str, &str)| {
            sink.runs(tool) && (word.is_empty() || sink.runs(word))
        };
        let Some((_, _, tool)) = FORMATTERS.into_iter().find(named) else { return Read::Pass };
        if let Some(after) = AFTER.captures(line) {
            let before = sink.recent.before(1).unwrap_or_default();
            if BEFORE.captures(&before).is_some_and(|before| before[1] == after[1]) {
                once(sink, tool, &after[1], &before);
                return Read::Taken;
            }
        } else if let Some(found) = REWRITING.captures(line) {
            once(sink, tool, &found[1], line);
            return Read::Taken;
        } else if (tool == "gofmt" || tool == "goimports")
            && let Some(found) = ALONE.captures(line)
        {
            once(sink, tool, &found[1], line);
            return Read::Taken;
        }
        Read::Pass
    }
}

fn once(sink: &mut Sink, tool: &'static str, file: &str, line: &str) {
    let file = sink.paths.file(file);
    if !sink.found.iter().rev().take(50).any(|known| known.file.as_deref() == Some(&file) && known.tool == tool) {
        push(sink, tool, &file, "format", line, None);
    }
}
