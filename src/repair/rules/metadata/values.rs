//! Values of `[project]` that the build tool rejects.

use std::{ops::Range, sync::LazyLock};

use regex::Regex;
use toml_edit::{Item, Value};

use super::{Edited, Evidence};
use crate::{
    registry::normalise,
    repair::rules::{
        manifests::toml,
        names::matcher,
        text::{self, Edit},
        tree,
    },
};

fn replaced(content: &str, range: Range<usize>, value: &str) -> Option<String> {
    let after = text::apply(content, &[Edit { range, text: value.to_owned() }])?;
    toml::parse(&after).is_some().then_some(after)
}

/// A README or license file that is not there, where exactly one file with another ending is.
pub(super) fn named_file(evidence: &Evidence<'_>) -> Option<Edited> {
    static SAID: LazyLock<Option<Regex>> = matcher!(
        r#"(?i)(?:(?:readme|license) file (?:does not exist|not found)[^\n]*?|no such file or directory[^\n]*?|file '|(?:description|readme|license) (?:file|path) ['\x22`]?(?:[^\s'\x22`]*/)?|cannot be found[^\n]*?)((?:README|LICEN[SC]E|COPYING)[A-Za-z0-9._-]*)"#
    );
    let missing = SAID.as_ref()?.captures(evidence.said)?.get(1)?.as_str().trim_end_matches('.');
    let parsed = toml::parse(evidence.content)?;
    let paths: [&[&str]; 5] = [
        &["project", "readme"],
        &["project", "readme", "file"],
        &["project", "license", "file"],
        &["tool", "poetry", "readme"],
        &["tool", "setuptools", "dynamic", "readme", "file"],
    ];
    let named = |path: &&&[&str]| toml::get(&parsed, path).and_then(Item::as_str) == Some(missing);
    let path = paths.iter().find(named)?;
    if evidence.tree.is_file(&tree::join(evidence.folder, missing)) {
        return None;
    }
    let stem = |name: &str| name.split('.').next().unwrap_or(name).to_lowercase();
    let there = evidence.tree.list(evidence.folder);
    let mut siblings = there
        .iter()
        .filter(|name| stem(name) == stem(missing) && evidence.tree.is_file(&tree::join(evidence.folder, name)));
    let (only, None) = (siblings.next()?, siblings.next()) else { return None };
    // A content type beside it would now be another one.
    let extension = |name: &str| name.rsplit_once('.').map(|(_, extension)| extension.to_owned());
    let typed = toml::get(&parsed, &["project", "readme", "content-type"]).is_some();
    let known = only.chars().all(|each| each.is_ascii_alphanumeric() || "._-".contains(each));
    if (typed && path[1] == "readme" && extension(only) != extension(missing)) || !known {
        return None;
    }
    let span = toml::get(&parsed, path)?.span()?;
    let quote = evidence.content.get(span.start..span.start + 1)?;
    Some(Edited {
        content: replaced(evidence.content, span, &format!("{quote}{only}{quote}"))?,
        description: format!("`{missing}` does not exist; `{}` names `{only}` now, which does.", path.join(".")),
    })
}

/// Classifiers that the tool says do not exist, or asks to remove.
pub(super) fn classifiers(evidence: &Evidence<'_>) -> Option<Edited> {
    static UNKNOWN: LazyLock<Option<Regex>> = matcher!(
        r"(?:Unknown classifier|Invalid value for classifiers)[^\n:]*:\s*['\x22`]?([A-Z][^\n'\x22`]* :: [^\n'\x22`]*[^\n'\x22`. ])"
    );
    // A warning of deprecation is another sentence: this one the tool stopped over.
    const SUPERSEDED: &str = "License classifiers have been superseded by license expressions";
    static INDEX: LazyLock<Option<Regex>> = matcher!(r"`project\.classifiers\[(\d+)\]` must be trove-classifier");
    let path = ["project", "classifiers"];
    let parsed = toml::parse(evidence.content)?;
    let array = toml::get(&parsed, &path)?.as_array()?;
    let mut unwanted: Vec<usize> = Vec::new();
    let mut named: Vec<&str> =
        UNKNOWN.as_ref()?.captures_iter(evidence.said).filter_map(|said| Some(said.get(1)?.as_str().trim())).collect();
    if let Some((_, list)) =
        evidence.said.split_once(SUPERSEDED).and_then(|(_, rest)| rest.split_once("Please remove:"))
    {
        let lines = list.lines().map(str::trim).skip_while(|line| line.is_empty());
        named.extend(lines.take_while(|line| line.starts_with("License :: ")));
    }
    unwanted.extend(named.iter().filter_map(|name| array.iter().position(|value| value.as_str() == Some(name))));
    for said in INDEX.as_ref()?.captures_iter(evidence.said) {
        unwanted.extend(said.get(1)?.as_str().parse::<usize>().ok().filter(|at| *at < array.len()));
    }
    unwanted.sort_unstable();
    unwanted.dedup();
    if unwanted.is_empty() || unwanted.len() > 20 {
        return None;
    }
    let places: Vec<Range<usize>> = array.iter().map(Value::span).collect::<Option<_>>()?;
    let inside = array.span()?;
    let names: Vec<&str> = unwanted.iter().filter_map(|at| array.get(*at)?.as_str()).collect();
    let mut edits = Vec::new();
    for at in &unwanted {
        edits.push(Edit { range: removal(evidence.content, &places, *at, inside.end - 1)?, text: String::new() });
    }
    let content = text::apply(evidence.content, &edits)?;
    let left = toml::strings(&toml::parse(&content)?, &path)?;
    (left.len() + unwanted.len() == array.len()).then_some(())?;
    let description = format!("Removed `{}` from the classifiers, which the build tool rejects.", names.join("`, `"));
    Some(Edited { content, description })
}

/// An element with its comma; with its line where it has one for itself.
fn removal(content: &str, places: &[Range<usize>], at: usize, close: usize) -> Option<Range<usize>> {
    let place = places.get(at)?;
    let end = places.get(at + 1).map_or(close, |next| next.start);
    let comma = content.get(place.end..end)?.find(',').map(|found| place.end + found + 1);
    let behind = comma.unwrap_or(place.end);
    let (start, line_end) = (text::line_start(content, place.start), text::line_end(content, behind));
    let rest = content.get(behind..line_end)?.trim();
    if content[start..place.start].trim().is_empty() && (rest.is_empty() || rest.starts_with('#')) && line_end < close {
        let next = line_end + content[line_end..].find('\n')? + 1;
        return Some(start..next);
    }
    match (comma, at.checked_sub(1).and_then(|before| places.get(before))) {
        (Some(comma), _) => {
            Some(place.start..comma + content[comma..end].len() - content[comma..end].trim_start().len())
        }
        (None, Some(before)) => Some(before.end..place.end),
        (None, None) => Some(place.clone()),
    }
}

/// A license text where the tool knows only the table form.
pub(super) fn license_form(evidence: &Evidence<'_>) -> Option<Edited> {
    let table_wanted = evidence.said.contains("`project.license` must be valid exactly by one definition")
        || evidence.said.contains("Field `project.license` must be a table");
    let parsed = toml::parse(evidence.content)?;
    let item = toml::get(&parsed, &["project", "license"])?;
    let text = item.as_str()?;
    let span = item.span()?;
    let value = evidence.content.get(span.clone())?;
    if !table_wanted || value.contains('\n') {
        return None;
    }
    Some(Edited {
        content: replaced(evidence.content, span, &format!("{{ text = {value} }}"))?,
        description: format!("Wrote the license `{text}` as the table that the build tool accepts."),
    })
}

/// A value of the wrong type with one reading in the right one.
pub(super) fn value_form(evidence: &Evidence<'_>) -> Option<Edited> {
    static ARRAY: LazyLock<Option<Regex>> =
        matcher!(r"`project\.(keywords|classifiers|dependencies)` must be (?:an )?array");
    static TEXT: LazyLock<Option<Regex>> = matcher!(r"`project\.(version|requires-python)` must be (?:a )?string");
    let parsed = toml::parse(evidence.content)?;
    let content = evidence.content;
    let field = |pattern: &Option<Regex>| -> Option<String> {
        Some(pattern.as_ref()?.captures(evidence.said)?.get(1)?.as_str().to_owned())
    };
    if let Some(key) = field(&ARRAY) {
        let item = toml::get(&parsed, &["project", &key])?;
        let parts: Vec<&str> = match key.as_str() {
            "keywords" => item.as_str()?.split(',').map(str::trim).filter(|part| !part.is_empty()).collect(),
            _ => item.as_str()?.lines().map(str::trim).filter(|part| !part.is_empty()).collect(),
        };
        if parts.iter().any(|part| part.contains(['"', '\\']) || part.chars().any(char::is_control)) {
            return None;
        }
        let list: Vec<String> = parts.iter().map(|part| format!("\"{part}\"")).collect();
        return Some(Edited {
            content: replaced(content, item.span()?, &format!("[{}]", list.join(", ")))?,
            description: format!("Wrote `project.{key}` as the list that it must be."),
        });
    }
    let key = field(&TEXT)?;
    let item = toml::get(&parsed, &["project", &key])?;
    let span = item.span()?;
    let value = content.get(span.clone())?;
    if !matches!(item.as_value()?, Value::Float(_) | Value::Integer(_)) {
        return None;
    }
    Some(Edited {
        content: replaced(content, span, &format!("\"{value}\""))?,
        description: format!("Wrote `project.{key}` as the text that it must be."),
    })
}

/// Several top-level packages, of which one has the project's name.
pub(super) fn top_level_packages(evidence: &Evidence<'_>) -> Option<Edited> {
    static SAID: LazyLock<Option<Regex>> =
        matcher!(r"Multiple top-level packages discovered in a flat-layout: \[([^\]\n]*)\]");
    let listed = SAID.as_ref()?.captures(evidence.said)?.get(1)?.as_str();
    let parsed = toml::parse(evidence.content)?;
    let name = normalise(toml::get(&parsed, &["project", "name"])?.as_str()?);
    let mut named =
        listed.split(',').map(|each| each.trim().trim_matches(['\'', '"'])).filter(|each| normalise(each) == name);
    let (package, None) = (named.next()?, named.next()) else { return None };
    let known = crate::repair::rules::names::is_identifier(package)
        && evidence.tree.is_dir(&tree::join(evidence.folder, package));
    let configured = ["packages", "py-modules", "package-dir"];
    if !known || configured.iter().any(|key| toml::get(&parsed, &["tool", "setuptools", key]).is_some()) {
        return None;
    }
    let newline = text::newline(evidence.content);
    let gap = if evidence.content.ends_with('\n') { newline.to_owned() } else { newline.repeat(2) };
    let table = format!("[tool.setuptools.packages.find]{newline}include = [\"{package}\", \"{package}.*\"]{newline}");
    let content = format!("{}{gap}{table}", evidence.content);
    toml::parse(&content)?;
    Some(Edited { content, description: format!("Told setuptools that the project's package is `{package}`.") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repair::rules::tree::Tree;

    fn edited(editor: super::super::Editor, content: &str, said: &str, files: &[&str]) -> Option<String> {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let path = root.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let tree = Tree::new(root.path());
        editor(&Evidence { tree: &tree, folder: "", content, said }).map(|edited| edited.content)
    }

    #[test]
    fn a_readme_with_another_ending_is_named() {
        let content = "[project]\nreadme = 'README.md' # r\n";
        let said = "OSError: Readme file does not exist: README.md";
        let flit = "flit_core.config.ConfigError: Description file README.md does not exist";
        for said in [said, flit, "Declared README path `/w/p/README.md` does not exist."] {
            let after = edited(named_file, content, said, &["README.rst"]).unwrap();
            assert_eq!(after, "[project]\nreadme = 'README.rst' # r\n");
        }
        assert_eq!(edited(named_file, content, said, &["README.rst", "README.txt"]), None);
        assert_eq!(edited(named_file, content, said, &["README.md", "README.rst"]), None);
    }

    #[test]
    fn unknown_classifiers_go() {
        let content = "[project]\nclassifiers = [\n    \"A :: B\",\n    \"Bad :: One\", # x\n    \"C :: D\",\n]\n";
        let said = "ValueError: Unknown classifier in field `project.classifiers`: Bad :: One";
        let after = edited(classifiers, content, said, &[]).unwrap();
        assert_eq!(after, "[project]\nclassifiers = [\n    \"A :: B\",\n    \"C :: D\",\n]\n");
        let content = "[project]\nclassifiers = [\"A :: B\", \"Bad :: One\"]\n";
        let after = edited(classifiers, content, said, &[]).unwrap();
        assert_eq!(after, "[project]\nclassifiers = [\"A :: B\"]\n");
        let said = "configuration error: `project.classifiers[0]` must be trove-classifier";
        let after = edited(classifiers, content, said, &[]).unwrap();
        assert_eq!(after, "[project]\nclassifiers = [\"Bad :: One\"]\n");
    }

    #[test]
    fn superseded_license_classifiers_go_where_the_tool_stops() {
        let content = "[project]\nlicense = \"MIT\"\nclassifiers = [\n  \"A :: B\",\n  \"License :: OSI Approved :: MIT License\",\n  \"License :: Other\",\n]\n";
        let said = "setuptools.errors.InvalidConfigError: License classifiers have been superseded by license expressions \
                    (see https://peps.python.org/pep-0639/). Please remove:\n\n      License :: OSI Approved :: MIT License\n      License :: Other\n\n";
        let after = edited(classifiers, content, said, &[]).unwrap();
        assert_eq!(after, "[project]\nlicense = \"MIT\"\nclassifiers = [\n  \"A :: B\",\n]\n");
    }

    #[test]
    fn values_take_the_form_that_the_tool_names() {
        let said = "configuration error: `project.license` must be valid exactly by one definition (2 matches found):";
        let after = edited(license_form, "[project]\nlicense = \"MIT\"\n", said, &[]).unwrap();
        assert_eq!(after, "[project]\nlicense = { text = \"MIT\" }\n");
        let said = "TypeError: Field `project.keywords` must be an array";
        let after = edited(value_form, "[project]\nkeywords = \"a, b\"\n", said, &[]).unwrap();
        assert_eq!(after, "[project]\nkeywords = [\"a\", \"b\"]\n");
        let said = "TypeError: Field `project.version` must be a string";
        assert_eq!(
            edited(value_form, "[project]\nversion = 1.10\n", said, &[]).unwrap(),
            "[project]\nversion = \"1.10\"\n"
        );
    }

    #[test]
    fn the_package_with_the_projects_name_is_the_project() {
        let content = "[project]\nname = \"My-App\"\n";
        let said = "error: Multiple top-level packages discovered in a flat-layout: ['data', 'my_app'].";
        let after = edited(top_level_packages, content, said, &["data/a.py", "my_app/__init__.py"]).unwrap();
        assert_eq!(
            after,
            format!("{content}\n[tool.setuptools.packages.find]\ninclude = [\"my_app\", \"my_app.*\"]\n")
        );
        assert_eq!(edited(top_level_packages, "[project]\nname = \"other\"\n", said, &["my_app/__init__.py"]), None);
    }
}
