//! `pyproject.toml`: read as TOML, edited as text.

use std::ops::Range;

use toml_edit::{Document, Item, TableLike, Value};

use super::{
    New, Style,
    list::{self, List},
    requirement_name,
};
use crate::repair::rules::text::{self, Edit};

/// A parsed file, with the places of its parts.
pub(in crate::repair::rules) type Toml = Document<String>;

pub(in crate::repair::rules) fn parse(content: &str) -> Option<Toml> {
    Document::parse(content.to_owned()).ok()
}

/// What stands at a path of keys.
pub(in crate::repair::rules) fn get<'a>(toml: &'a Toml, path: &[&str]) -> Option<&'a Item> {
    path.iter().try_fold(toml.as_item(), |item, key| item.as_table_like()?.get(key))
}

pub(in crate::repair::rules) fn table<'a>(toml: &'a Toml, path: &[&str]) -> Option<&'a dyn TableLike> {
    get(toml, path)?.as_table_like()
}

/// The keys of a table, sorted as they stand.
pub(super) fn keys(toml: &Toml, path: &[&str]) -> Vec<String> {
    table(toml, path).map(|table| table.iter().map(|(key, _)| key.to_owned()).collect()).unwrap_or_default()
}

/// The texts of an array; tables in it are left out.
pub(in crate::repair::rules) fn strings(toml: &Toml, path: &[&str]) -> Option<Vec<String>> {
    let array = get(toml, path)?.as_array()?;
    Some(array.iter().filter_map(|value| value.as_str().map(str::to_owned)).collect())
}

/// The file with one more requirement in an array; a missing array of an existing table is made.
pub(super) fn add_to_array(content: &str, path: &[&str], new: &New) -> Option<String> {
    let toml = parse(content)?;
    let Some(item) = get(&toml, path) else { return add_array(content, &toml, path, new) };
    let array = item.as_array()?;
    let place = array.span()?;
    let mut requirements = Vec::new();
    let mut keys = Vec::new();
    let mut elements = Vec::new();
    for value in array.iter() {
        // Groups include each other by tables: they have no name, and stay where they are.
        let requirement = value.as_str().unwrap_or_default();
        keys.push(requirement_name(requirement).unwrap_or_default());
        elements.push(value.span()?);
        if value.is_str() {
            requirements.push(requirement.to_owned());
        }
    }
    let quote = array.iter().filter(|value| value.is_str()).filter_map(Value::span).last();
    let quote = quote.and_then(|span| content.get(span.start..span.start + 1)).unwrap_or("\"");
    let element = format!("{quote}{}{quote}", new.requirement(Style::of(&requirements), quote));
    let list = List { content, inside: place.start + 1..place.end - 1, elements, keys };
    let after = text::apply(content, &list.insert(&element, &new.key())?)?;
    let now = strings(&parse(&after)?, path)?;
    (now.len() == requirements.len() + 1).then_some(after)
}

fn add_array(content: &str, toml: &Toml, path: &[&str], new: &New) -> Option<String> {
    let (key, parents) = path.split_last()?;
    let table = get(toml, parents)?.as_table()?;
    let end = end_of_values(content, table)?;
    let newline = text::newline(content);
    let line = format!("{newline}{key} = [{newline}    \"{}\",{newline}]", new.requirement(Style::Bare, "\""));
    let after = text::apply(content, &[Edit::insert(end, line)])?;
    (strings(&parse(&after)?, path)?.len() == 1).then_some(after)
}

/// The end of the last line that holds a value of the table itself, sub-tables left out.
pub(in crate::repair::rules) fn end_of_values(content: &str, table: &toml_edit::Table) -> Option<usize> {
    let values = table.iter().filter_map(|(_, item)| item.as_value()?.span());
    let last = values.map(|span| span.end).max();
    Some(text::line_end(content, last.or(table.span().map(|span| span.end))?))
}

/// Names and constraints of a table of Poetry's; the Python itself is left out.
pub(super) fn poetry(toml: &Toml, path: &[&str]) -> Option<Vec<String>> {
    let names = table(toml, path)?.iter().map(|(key, _)| key.to_owned());
    Some(names.filter(|name| name != "python").collect())
}

/// The file with one more key in a table of Poetry's.
pub(super) fn add_to_poetry(content: &str, path: &[&str], new: &New) -> Option<String> {
    let toml = parse(content)?;
    let table = get(&toml, path)?.as_table()?;
    let mut present: Vec<(Range<usize>, String, Option<String>)> = Vec::new();
    for (name, item) in table.iter().filter(|(name, _)| *name != "python") {
        let Some(value) = item.as_value() else { continue };
        let key = table.key(name)?.span()?;
        let constraint = match value {
            Value::InlineTable(table) => table.get("version").and_then(Value::as_str).map(str::to_owned),
            other => other.as_str().map(str::to_owned),
        };
        present.push((key.start..value.span()?.end, crate::registry::normalise(name), constraint));
    }
    present.sort_by_key(|(range, ..)| range.start);
    let constraints: Vec<&str> = present.iter().filter_map(|(.., constraint)| constraint.as_deref()).collect();
    let most = |sign: &str| constraints.iter().filter(|each| each.starts_with(sign)).count() * 2 > constraints.len();
    let constraint = match &new.version {
        Some(version) if most("^") => format!("^{}", super::short(version)),
        Some(version) if most(">=") => format!(">={}", super::short(version)),
        Some(version) if most("~") => format!("~{}", super::short(version)),
        _ => "*".to_owned(),
    };
    let newline = text::newline(content);
    let name = if new.name.contains('.') { format!("\"{}\"", new.name) } else { new.name.clone() };
    let line = match &new.before {
        Some(python) => format!("{name} = {{ version = \"{constraint}\", python = \"<{python}\" }}"),
        None => format!("{name} = \"{constraint}\""),
    };
    let keys: Vec<String> = present.iter().map(|(_, key, _)| key.clone()).collect();
    let at = list::position(&keys, &new.key());
    let edit = match (at.checked_sub(1).and_then(|before| present.get(before)), present.get(at)) {
        // Behind the one before it: a comment above the next one belongs to that.
        (Some((range, ..)), Some(_)) => Edit::insert(text::line_end(content, range.end), format!("{newline}{line}")),
        (None, Some((range, ..))) => Edit::insert(text::line_start(content, range.start), format!("{line}{newline}")),
        (_, None) => Edit::insert(end_of_values(content, table)?, format!("{newline}{line}")),
    };
    let after = text::apply(content, &[edit])?;
    let now = poetry(&parse(&after)?, path)?;
    (now.len() == poetry(&toml, path)?.len() + 1).then_some(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNTIME: &[&str] = &["project", "dependencies"];
    const POETRY: &[&str] = &["tool", "poetry", "dependencies"];

    fn new() -> New {
        New { name: "mid".to_owned(), version: Some("2.3.4".parse().unwrap()), before: None }
    }

    #[test]
    fn an_array_is_extended_in_its_layout() {
        let content =
            "[project]\nname = \"x\"\ndependencies = [\n  'a>=1',  # first\n  'z>=2',\n]\n\n[tool.x]\na = [1]\n";
        let after = add_to_array(content, RUNTIME, &new()).unwrap();
        assert_eq!(after, content.replace("  'z>=2',\n", "  'mid>=2.3',\n  'z>=2',\n"));
    }

    #[test]
    fn a_marker_has_the_quotes_that_are_left() {
        let older = New { before: Some("3.11".to_owned()), ..new() };
        for (content, added) in [
            ("[project]\nname = \"x\"\n", "\"mid; python_version < '3.11'\""),
            ("[project]\ndependencies = ['a']\n", "'mid; python_version < \"3.11\"'"),
        ] {
            let after = add_to_array(content, RUNTIME, &older).unwrap();
            assert!(after.contains(added), "{after}");
        }
    }

    #[test]
    fn a_missing_array_is_made_behind_the_tables_own_values() {
        let content = "[project]\r\nname = \"x\"\r\n\r\n[project.urls]\r\na = \"b\"\r\n";
        let after = add_to_array(content, RUNTIME, &new()).unwrap();
        let made = "[project]\r\nname = \"x\"\r\ndependencies = [\r\n    \"mid\",\r\n]\r\n\r\n";
        assert_eq!(after, content.replace("[project]\r\nname = \"x\"\r\n\r\n", made));
    }

    #[test]
    fn groups_that_include_others_are_kept() {
        let content = "[dependency-groups]\ntest = [{include-group = \"x\"}, \"pytest\"]\nx = []\n";
        let after = add_to_array(content, &["dependency-groups", "test"], &new()).unwrap();
        assert!(after.contains("\"pytest\"]") || after.contains("\"mid\""), "{after}");
        assert!(after.contains("{include-group = \"x\"}"), "{after}");
    }

    #[test]
    fn poetry_gets_a_key_in_its_own_style() {
        let content = "[tool.poetry.dependencies]\npython = \"^3.9\"\nclick = \"^8.1\"\nrequests = { version = \"^2\", extras = [\"x\"] }\n\n[build-system]\n";
        let after = add_to_poetry(content, POETRY, &new()).unwrap();
        assert_eq!(after, content.replace("requests =", "mid = \"^2.3\"\nrequests ="));
        let older = New { before: Some("3.11".to_owned()), ..new() };
        let after = add_to_poetry(content, POETRY, &older).unwrap();
        assert!(after.contains("mid = { version = \"^2.3\", python = \"<3.11\" }\n"), "{after}");
        let bare = "[tool.poetry.dependencies]\npython = \"^3.9\"\n";
        assert_eq!(add_to_poetry(bare, POETRY, &new()).unwrap(), format!("{bare}mid = \"*\"\n"));
    }
}
