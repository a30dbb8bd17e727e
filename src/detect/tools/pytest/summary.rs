//! pytest's short summary, and one failure out of what summary and section say of a test.

use std::collections::{HashMap, HashSet};

use super::section::{Section, head_of};
use crate::detect::exception;
use crate::detect::failure::{Category, Key};
use crate::detect::found::{Found, Sink};
use crate::detect::paths::{is_project, module};
use crate::detect::text::{bounded, patterns};

patterns! {
    SUMMARY = r"^(?:(?:\[.*?\] )?(?:\(.*?\) )?SUBFAIL(?:ED)?(?:\[.*?\])?(?: ?\(.*?\))?|(FAILED|ERROR)) (?:\[[\d.]+s\] )?(\S.*)$";
    FILE_ID = r"^[^\s:]+\.(?:py|pyx|txt|rst|md|ipynb|yml|yaml|toml)$";
}

/// The most tests of one session that are kept.
pub(super) const ENTRIES: usize = 5000;

/// One entry of the summary, or one verbose result.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) error: bool,
    /// One of a test's subtests.
    pub(super) sub: bool,
    pub(super) id: String,
    pub(super) message: Option<String>,
}

/// Keeps an entry, within bounds; 1 if there was no room for it.
pub(super) fn push(list: &mut Vec<Listed>, listed: Listed) -> u64 {
    let room = list.len() < ENTRIES;
    if room {
        list.push(listed);
    }
    u64::from(!room)
}

/// A line of the short summary. `known` are ids that were printed before, which settles where an id ends.
pub(super) fn listed(line: &str, known: &HashSet<String>) -> Option<Listed> {
    let found = SUMMARY.captures(line)?;
    let error = found.get(1).is_some_and(|kind| kind.as_str() == "ERROR");
    let text = found.get(2)?.as_str();
    let (id, message) = split(text, known);
    let path = id.split("::").next().unwrap_or_default();
    if path.contains(' ') || !(id.contains("::") || FILE_ID.is_match(id) || (error && id.contains('/'))) {
        return None;
    }
    Some(Listed {
        error,
        sub: found.get(1).is_none(),
        id: bounded(id, 1000).trim_end().to_owned(),
        message: message.map(|said| bounded(said, 2000).to_owned()),
    })
}

/// Splits `id - message`, where both may hold ` - `.
fn split<'a>(text: &'a str, known: &HashSet<String>) -> (&'a str, Option<&'a str>) {
    let mut cuts = text.match_indices(" - ").map(|(at, _)| at);
    if !known.is_empty() {
        let is_known = |id: &str| known.contains(id) || (id.contains("::") && known.contains(&head_of(id)));
        if is_known(text.trim_end()) {
            return (text, None);
        }
        if let Some(at) = cuts.clone().take(20).find(|at| is_known(&text[..*at])) {
            return (&text[..at], Some(&text[at + 3..]));
        }
    }
    let name = text.find("::").map_or(0, |at| at + 2);
    // Parameters end at the first `]` that ends the line or has a message after it, if they begin before any ` - `.
    if let Some(open) = text[name..].find('[').map(|at| at + name)
        && !text[..open].contains(" - ")
    {
        let ends = text[open..].match_indices("] - ").map(|(at, _)| at + open + 1);
        let spoken = |at: &usize| {
            let said = &text[*at + 3..];
            said.starts_with("assert ") || exception::parse(said).is_some()
        };
        if let Some(at) = ends.clone().take(20).find(spoken).or(ends.clone().next()) {
            return (&text[..at], Some(&text[at + 3..]));
        }
        return (text, None);
    }
    match cuts.next() {
        Some(at) => (&text[..at], Some(&text[at + 3..])),
        None => (text, None),
    }
}

/// One failure for one id.
pub(super) fn emit(
    sink: &mut Sink,
    seen: &mut HashMap<(String, Option<String>), usize>,
    id: &str,
    said: Option<&str>,
    section: Option<&Section>,
) {
    let id = sink.paths.file(id);
    let (mut class, mut message) = (None, String::new());
    if let Some(said) = said {
        message = said.to_owned();
        if let Some((name, _)) = exception::parse(said) {
            class = Some(name);
        } else if said.starts_with("assert ") {
            class = Some("AssertionError".to_owned());
        }
    }
    let mut found = Found::new(
        crate::detect::tools::test_category(&id),
        "pytest",
        Key::Message { file: None, message: String::new() },
        "",
    );
    // No test's name has a dot in it: `a.py::pkg.a.f` is a doctest.
    let name = id.split_once("::").map_or("", |(_, name)| name.split('[').next().unwrap_or_default());
    let mut doctest = name.contains('.') && !name.contains("::") && !name.contains(' ');
    let mut cause = None;
    if let Some(section) = section {
        if let Some(name) = section.class() {
            class = Some(name.to_owned());
        }
        if let Some(text) = section.message() {
            message = text;
        }
        let (file, line) = section.place(&sink.paths);
        found.file = file;
        found.line = line;
        found.excerpt = section.excerpt();
        cause = section.function(&sink.paths);
        doctest |= section.doctest();
    }
    if doctest {
        found.category = Category::Docs;
        found.tool = "doctest";
    }
    if found.file.is_none() {
        let path = id.split("::").next().unwrap_or_default();
        found.file = (is_project(path) && path.contains('.')).then(|| path.to_owned());
    }
    if message.is_empty() {
        message = class.clone().unwrap_or_else(|| "failed".to_owned());
    }
    if message.starts_with("worker '") && message.contains("crashed") {
        found.category = Category::Crash;
    }
    let timeout = message.contains("Timeout >") || message.contains("Timeout (>");
    if timeout && class.as_deref() == Some("Failed") {
        class = Some("Timeout".to_owned());
        found.category = Category::Timeout;
    }
    let base = id.split('[').next().unwrap_or(&id);
    let short = class.clone().unwrap_or_default();
    found.cause = Some(match cause {
        Some((file, function)) if !(base.contains(&file) && base.ends_with(&format!("::{function}"))) => {
            format!("function|{}|{function}|{short}", module(&file))
        }
        _ => format!("test|{base}|{short}"),
    });
    found.message = bounded(message.trim(), crate::detect::text::MESSAGE).to_owned();
    found.test_id = Some(id.clone());
    found.key = Key::Test { id: id.clone(), exception: class.clone() };
    if let Some(class) = &class {
        let text = found.message.clone();
        let text = text.split_once(": ").map_or(text.as_str(), |(_, text)| text);
        exception::apply(&mut found, class, text);
    }
    if let Some(at) = seen.get(&(id.clone(), class.clone())) {
        if let Some(first) = sink.found.get_mut(*at) {
            first.count += 1;
        }
        return;
    }
    let at = sink.found.len();
    if found.excerpt.is_empty() {
        found.excerpt = format!("{id}: {}", bounded(&found.message, 500));
    }
    sink.push(found);
    if sink.found.len() > at {
        seen.insert((id, class), at);
    }
}
