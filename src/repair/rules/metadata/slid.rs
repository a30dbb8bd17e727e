//! Keys of `[project]` that stand below the header of one of its sub-tables, and so belong to that.

use std::{ops::Range, sync::LazyLock};

use regex::Regex;
use toml_edit::Value;

use super::{Edited, Evidence};
use crate::repair::rules::{
    manifests::toml,
    names::matcher,
    text::{self, Edit},
};

/// What only `[project]` has.
const KEYS: &[&str] = &[
    "authors",
    "classifiers",
    "dependencies",
    "description",
    "dynamic",
    "keywords",
    "license",
    "license-files",
    "maintainers",
    "name",
    "readme",
    "requires-python",
    "version",
];

/// Sub-tables that hold texts of a known shape, so that anything else must have slid there.
const TABLES: &[&str] = &["urls", "scripts", "gui-scripts"];

pub(super) fn repair(evidence: &Evidence<'_>) -> Option<Edited> {
    static SAID: LazyLock<Option<Regex>> = matcher!(
        r"(?:URL|Script|GUI script|Object reference) `[^`]+` of field `project\.(urls|scripts|gui-scripts)` must be a string|`project\.(urls|scripts|gui-scripts)(?:\.[A-Za-z-]+)?` must (?:be string|not contain)"
    );
    let said = SAID.as_ref()?.captures(evidence.said)?;
    let name = said.get(1).or(said.get(2))?.as_str();
    if !TABLES.contains(&name) {
        return None;
    }
    let moved = move_up(evidence.content, name)?;
    let keys = moved.1.join("`, `");
    Some(Edited {
        content: moved.0,
        description: format!("Moved `{keys}` out of `[project.{name}]`, up into `[project]`."),
    })
}

/// The text with all slid keys of a sub-table back in `[project]`, and their names.
fn move_up(content: &str, name: &str) -> Option<(String, Vec<String>)> {
    let parsed = toml::parse(content)?;
    let project = toml::get(&parsed, &["project"])?.as_table().filter(|table| !table.is_implicit())?;
    let below = project.get(name)?.as_table()?;
    let mut keys = Vec::new();
    let mut blocks: Vec<Range<usize>> = Vec::new();
    for (key, item) in below.iter().filter(|(key, _)| KEYS.contains(key)) {
        let value = item.as_value()?;
        let fits = match value {
            Value::String(text) if name == "urls" => text.value().contains("://"),
            Value::String(text) => text.value().contains(':'),
            _ => false,
        };
        if fits {
            continue;
        }
        if project.contains_key(key) {
            return None;
        }
        let start = with_comments(content, text::line_start(content, below.key(key)?.span()?.start));
        let end = text::line_end(content, value.span()?.end);
        let end = end + content[end..].find('\n').map_or(0, |found| found + 1);
        keys.push(key.to_owned());
        blocks.push(start..end);
    }
    blocks.sort_by_key(|block| block.start);
    // Blocks with nothing but white space between them travel as one.
    let mut joined: Vec<Range<usize>> = Vec::new();
    for block in blocks {
        match joined.last_mut() {
            Some(last) if content.get(last.end..block.start)?.trim().is_empty() => last.end = block.end,
            _ => joined.push(block),
        }
    }
    let first = joined.first_mut()?;
    let blank = content[..first.start].trim_end_matches([' ', '\t', '\r', '\n']).len();
    let blank = text::line_end(content, blank);
    first.start = (blank + content[blank..].find('\n')? + 1).min(first.start);
    let ends = project.iter().filter_map(|(_, item)| Some(item.as_value()?.span()?.end)).max();
    let end = text::line_end(content, ends.or(project.span().map(|span| span.end))?);
    let place = end + content[end..].find('\n')? + 1;
    let newline = text::newline(content);
    let mut moved: String = joined.iter().map(|block| &content[block.clone()]).collect();
    if !moved.ends_with('\n') {
        moved.push_str(newline);
    }
    let mut edits: Vec<Edit> = joined.into_iter().map(|range| Edit { range, text: String::new() }).collect();
    edits.push(Edit::insert(place, moved));
    let after = text::apply(content, &edits)?;
    let now = toml::parse(&after)?;
    let up = keys.iter().all(|key| toml::get(&now, &["project", key]).is_some());
    let gone = keys.iter().all(|key| toml::get(&now, &["project", name, key]).is_none());
    (up && gone).then_some((after, keys))
}

/// The start of the comment lines that stand right above a line.
fn with_comments(content: &str, mut start: usize) -> usize {
    while start > 0 {
        let above = text::line_start(content, start - 1);
        if !content[above..start].trim_start().starts_with('#') {
            break;
        }
        start = above;
    }
    start
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_slid_keys_go_back_up_in_their_order() {
        let content = "[project]\nname = \"x\"\nauthors = [\n    { name = \"A\" },\n]\n\n[project.urls]\nHome = \"https://h\"\n\
                       license = \"https://l\"\n\n# words\nkeywords = [\"a\"]\nclassifiers = [\n    \"B\", # c\n]\n\n[tool.x]\ny = 1\n";
        let (after, keys) = move_up(content, "urls").unwrap();
        assert_eq!(keys, ["keywords", "classifiers"]);
        assert_eq!(
            after,
            "[project]\nname = \"x\"\nauthors = [\n    { name = \"A\" },\n]\n\n# words\nkeywords = [\"a\"]\nclassifiers = [\n    \
             \"B\", # c\n]\n\n[project.urls]\nHome = \"https://h\"\nlicense = \"https://l\"\n\n[tool.x]\ny = 1\n"
        );
    }

    #[test]
    fn a_key_that_is_there_twice_is_left_alone() {
        let content = "[project]\nkeywords = []\n\n[project.urls]\nkeywords = [\"a\"]\n";
        assert_eq!(move_up(content, "urls"), None);
    }

    #[test]
    fn line_endings_stay() {
        let content = "[project]\r\nname = \"x\"\r\n\r\n[project.urls]\r\na = \"https://b\"\r\n\r\nkeywords = [\"a\"]";
        let (after, _) = move_up(content, "urls").unwrap();
        assert_eq!(
            after,
            "[project]\r\nname = \"x\"\r\n\r\nkeywords = [\"a\"]\r\n\r\n[project.urls]\r\na = \"https://b\"\r\n"
        );
    }
}
