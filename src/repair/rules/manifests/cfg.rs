//! `setup.cfg`: lists of requirements in a section, one a line.

use std::ops::Range;

use super::{New, Style, list, requirement_name};
use crate::repair::rules::text;

/// The value of a key: the rest of its line, and the lines that continue it.
struct Entry {
    inline: String,
    /// Starts and trimmed texts of the lines that continue it, comments and blanks left out.
    items: Vec<(usize, String)>,
    /// The end of the key's own line, before its line ending.
    key_end: usize,
}

fn section(content: &str, name: &str) -> Option<Range<usize>> {
    let mut at = 0;
    let mut start = None;
    for line in content.split_inclusive('\n') {
        let header = line.trim_end().strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        if let Some(header) = header {
            if let Some(start) = start {
                return Some(start..at);
            }
            if header.trim() == name {
                start = Some(at + line.len());
            }
        }
        at += line.len();
    }
    start.map(|start| start..content.len())
}

fn entry(content: &str, section: Range<usize>, key: &str) -> Option<Entry> {
    let mut at = section.start;
    let mut found: Option<Entry> = None;
    for line in content[section].split_inclusive('\n') {
        let start = at;
        at += line.len();
        let bare = line.trim();
        if line.starts_with([' ', '\t']) {
            if let Some(entry) = found.as_mut().filter(|_| !bare.is_empty() && !bare.starts_with(['#', ';'])) {
                entry.items.push((start, bare.to_owned()));
            }
            continue;
        }
        if bare.is_empty() || bare.starts_with(['#', ';']) {
            continue;
        }
        if found.is_some() {
            break;
        }
        let (name, value) = bare.split_once(['=', ':']).unwrap_or((bare, ""));
        if name.trim().to_lowercase().replace('-', "_") == key {
            let key_end = start + line.trim_end().len();
            found = Some(Entry { inline: value.trim().to_owned(), items: Vec::new(), key_end });
        }
    }
    found
}

/// All entries as `configparser` sees them: section, key, and the lines of the value.
pub(super) fn entries(content: &str) -> Vec<(String, String, Vec<String>)> {
    let mut found: Vec<(String, String, Vec<String>)> = Vec::new();
    let (mut section, mut depth) = (String::new(), None);
    for line in content.lines() {
        let bare = line.trim();
        if bare.is_empty() || bare.starts_with(['#', ';']) {
            continue;
        }
        let indent = line.len() - line.trim_start().len();
        if depth.is_some_and(|depth| indent > depth)
            && let Some((.., values)) = found.last_mut()
        {
            values.push(bare.to_owned());
        } else if let Some((header, _)) = bare.strip_prefix('[').and_then(|rest| rest.rsplit_once(']')) {
            header.trim().clone_into(&mut section);
            depth = None;
        } else {
            let (key, value) = bare.split_once(['=', ':']).unwrap_or((bare, ""));
            found.push((section.clone(), key.trim().to_owned(), vec![value.trim().to_owned()]));
            depth = Some(indent);
        }
    }
    found
}

/// A line of one of tox's lists: the factors of the environments that it is for, where not for all, and the rest.
pub(super) fn of_tox(line: &str) -> (Option<&str>, &str) {
    match line.trim().split_once(": ") {
        Some((factors, rest)) if !factors.contains(['/', '@', '=', ' ', '[']) => (Some(factors), rest.trim()),
        _ => (None, line.trim()),
    }
}

/// A path as seen from the folder of `tox.ini`.
pub(super) fn from_folder(text: &str) -> String {
    text.replace("{toxinidir}/", "").replace("{tox_root}/", "")
}

/// The requirements of a key; `None` where there is no such key.
pub(super) fn read(content: &str, section_name: &str, key: &str) -> Option<Vec<String>> {
    let entry = entry(content, section(content, section_name)?, key)?;
    let inline = entry.inline.split(';').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty());
    Some(inline.chain(entry.items.into_iter().map(|(_, item)| item)).collect())
}

/// The keys of a section.
pub(super) fn keys(content: &str, section_name: &str) -> Vec<String> {
    let Some(range) = section(content, section_name) else { return Vec::new() };
    let lines = content[range].lines().filter(|line| !line.starts_with([' ', '\t', '#', ';']));
    lines.filter_map(|line| Some(line.split_once(['=', ':'])?.0.trim().to_owned())).collect()
}

/// Is there such a section?
pub(super) fn has_section(content: &str, name: &str) -> bool {
    section(content, name).is_some()
}

/// The file with one more requirement under a key.
pub(super) fn add(content: &str, section_name: &str, key: &str, new: &New) -> Option<String> {
    let range = section(content, section_name)?;
    let newline = text::newline(content);
    let Some(entry) = entry(content, range.clone(), key) else {
        let end = range.start + content[range.clone()].trim_end().len();
        if end == range.start {
            return None;
        }
        let text = format!("{newline}{key} ={newline}    {}", new.requirement(Style::Bare, ""));
        return Some(format!("{}{text}{}", &content[..end], &content[end..]));
    };
    if !entry.inline.is_empty() {
        return None;
    }
    let requirements: Vec<String> = entry.items.iter().map(|(_, item)| item.clone()).collect();
    let keys: Vec<String> = requirements.iter().filter_map(|item| requirement_name(item)).collect();
    if keys.len() != requirements.len() {
        return None;
    }
    let line = new.requirement(Style::of(&requirements), "");
    let at = list::position(&keys, &new.key());
    let (place, indent) = match at.checked_sub(1).and_then(|before| entry.items.get(before)).or(entry.items.first()) {
        Some((start, _)) if at == 0 && !entry.items.is_empty() => {
            let indent = text::indent(content, *start);
            return Some(format!("{}{indent}{line}{newline}{}", &content[..*start], &content[*start..]));
        }
        // Behind the one before it: a comment above the next one belongs to that.
        Some((start, _)) => (text::line_end(content, *start), text::indent(content, *start)),
        None => (entry.key_end, "    "),
    };
    Some(format!("{}{newline}{indent}{line}{}", &content[..place], &content[place..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new() -> New {
        New { name: "mid".to_owned(), version: Some("2.3.4".parse().unwrap()), before: None }
    }

    #[test]
    fn a_requirement_gets_a_line_of_its_own() {
        let content = "[options]\ninstall_requires =\n    a>=1\n    # why\n    z>=2\npackages = find:\n";
        let after = add(content, "options", "install_requires", &new()).unwrap();
        assert_eq!(
            after,
            "[options]\ninstall_requires =\n    a>=1\n    mid>=2.3\n    # why\n    z>=2\npackages = find:\n"
        );
        assert_eq!(read(&after, "options", "install_requires").unwrap(), ["a>=1", "mid>=2.3", "z>=2"]);
    }

    #[test]
    fn a_missing_key_is_added_to_its_section() {
        let content = "[options]\r\npackages = find:\r\n\r\n[other]\r\nx = 1\r\n";
        let after = add(content, "options", "install_requires", &new()).unwrap();
        assert_eq!(after, "[options]\r\npackages = find:\r\ninstall_requires =\r\n    mid\r\n\r\n[other]\r\nx = 1\r\n");
    }

    #[test]
    fn an_inline_value_is_read_but_not_edited() {
        let content = "[options]\ninstall_requires = a; b\n";
        assert_eq!(read(content, "options", "install_requires").unwrap(), ["a", "b"]);
        assert_eq!(add(content, "options", "install_requires", &new()), None);
    }

    #[test]
    fn the_end_of_the_file_may_be_the_end_of_the_list() {
        let after = add("[options]\ninstall_requires =\n  b\n  a", "options", "install_requires", &new()).unwrap();
        assert_eq!(after, "[options]\ninstall_requires =\n  b\n  a\n  mid");
    }
}
