//! Links that lead nowhere: sphinx linkcheck, lychee, markdown-link-check, linkchecker.

use super::{Kind, Read, Tool};
use crate::detect::failure::{Category, Key};
use crate::detect::found::{Found, Sink};
use crate::detect::text::{bounded, patterns};

patterns! {
    SPHINX = r"^\(\s*(\S+): line\s+(\d+)\) broken\s+(\S+)(?: - (.*))?$";
    LYCHEE_INPUT = r"^\[([^\]\s]+\.\w+)\]:$";
    LYCHEE = r"^(?:✗ )?\[(?:ERROR|TIMEOUT|\d{3})\] <?(\S+?)>?(?: \| (.*))?$";
    MARKDOWN_FILE = r"^\s*(?:FILE: (\S.*)|ERROR: \d+ dead links? found(?: in (\S+))?\s*!?)$";
    MARKDOWN = r"^\s*\[✖\] (\S+)(?: → Status: (\d+))?";
}

pub(super) const TOOL: Kind = Kind::new(
    &[
        ") broken ",
        "[ERROR] ",
        "[TIMEOUT] ",
        ".md]:\n",
        ".rst]:\n",
        ".html]:\n",
        ".txt]:\n",
        "[404] ",
        "[410] ",
        "[429] ",
        "[500] ",
        "[502] ",
        "[503] ",
        "[403] ",
        "FILE: ",
        "dead link",
        "[✖] ",
    ],
    || Box::<Links>::default(),
);

/// The page that the links which follow are on.
#[derive(Debug, Default)]
struct Links {
    file: Option<String>,
}

impl Tool for Links {
    fn line(&mut self, line: &str, sink: &mut Sink) -> Read {
        if let Some(found) = SPHINX.captures(line) {
            let why = found.get(4).map_or("", |why| why.as_str());
            push(sink, "sphinx", Some(&found[1]), found[2].parse().ok(), &found[3], why);
        } else if let Some(found) = LYCHEE_INPUT.captures(line) {
            self.file = Some(found[1].to_owned());
            return Read::Pass;
        } else if let Some(found) = MARKDOWN_FILE.captures(line) {
            self.file = found.get(1).or(found.get(2)).map(|file| file.as_str().to_owned()).or(self.file.take());
            return Read::Pass;
        } else if let Some(found) = MARKDOWN.captures(line) {
            let why = found.get(2).map_or(String::new(), |status| format!("status {}", status.as_str()));
            push(sink, "markdown-link-check", self.file.as_deref(), None, &found[1], &why);
        } else if (self.file.is_some() || sink.runs("lychee"))
            && let Some(found) = LYCHEE.captures(line)
        {
            let why = found.get(2).map_or("", |why| why.as_str());
            push(sink, "lychee", self.file.as_deref(), None, &found[1], why);
        } else {
            return Read::Pass;
        }
        Read::Taken
    }
}

fn push(sink: &mut Sink, tool: &'static str, file: Option<&str>, line: Option<u32>, link: &str, why: &str) {
    let file = file.map(|file| sink.paths.file(file));
    let message = bounded(&format!("broken link {link} {why}"), 1000).trim_end().to_owned();
    let key = Key::Message { file: file.clone(), message: bounded(&format!("broken link {link}"), 400).to_owned() };
    sink.push_once(Found::new(Category::Docs, tool, key, &message).at(file, line));
}
