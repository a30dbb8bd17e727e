//! What the project's configuration says: the manifests of a packaging failure, and the few conventions that a repair
//! has to keep.

use super::{
    files::{Files, bounded, name, parent},
    shown::Shown,
};
use crate::detect::{Failure, Key};

/// Files that declare dependencies or describe the package.
const MANIFESTS: &[&str] = &["pyproject.toml", "setup.py", "setup.cfg", "Pipfile", "environment.yml"];

/// Takes the parts of the manifests that say what is installed and built; of small ones all.
pub(super) fn manifests(files: &Files<'_>, shown: &mut Shown<'_>, failures: &[Failure], room: usize) {
    for failure in failures.iter().take(4) {
        if let Some(path) = failure.file.as_deref().filter(|path| !path.ends_with(".py"))
            && let Some(text) = files.text(path)
            && !shown.file(path, 4000, room)
        {
            match failure.line.and_then(|line| usize::try_from(line).ok()) {
                Some(line) => {
                    shown.window(path, &text, line, 10, room);
                }
                None => sections(shown, path, &text, room),
            }
        }
    }
    let missing: Vec<&str> = failures
        .iter()
        .filter_map(|failure| match &failure.key {
            Key::Missing { name } => Some(name.split('.').next().unwrap_or(name)),
            _ => None,
        })
        .collect();
    for manifest in MANIFESTS {
        let Some(text) = files.text(manifest) else { continue };
        if !shown.file(manifest, 2500, room) {
            sections(shown, manifest, &text, room);
        }
    }
    let requirements = files.paths().iter().filter(|path| {
        let file = name(path);
        path.matches('/').count() <= 1
            && (file.ends_with(".txt") || file.ends_with(".in"))
            && (file.contains("require") || name(parent(path)).contains("require"))
    });
    for path in requirements.take(6) {
        shown.file(path, 1500, room);
    }
    for path in ["tox.ini", "noxfile.py"] {
        let Some(text) = files.text(path) else { continue };
        let named =
            |line: &str| line.trim_start().starts_with("deps") || missing.iter().any(|name| line.contains(name));
        for (at, _) in text.lines().enumerate().filter(|(_, line)| named(line)).take(4) {
            shown.window(path, &text, at + 1, 5, room);
        }
    }
}

/// Sections and calls that have to do with packaging.
const PACKAGING: &[&str] = &[
    "[build-system",
    "[project",
    "[options",
    "[tool.poetry",
    "[tool.setuptools",
    "[tool.hatch",
    "[tool.pdm",
    "[tool.flit",
    "[dependency-groups",
    "[packages",
    "[dev-packages",
    "[metadata",
];

fn sections(shown: &mut Shown<'_>, path: &str, text: &str, room: usize) {
    let lines: Vec<&str> = text.lines().collect();
    if path.ends_with(".py") {
        let words = ["install_requires", "requirements", "extras_require", "tests_require", "packages="];
        for (at, line) in lines.iter().enumerate() {
            if words.iter().any(|word| line.contains(word)) {
                let end = (at..lines.len()).find(|end| lines[*end].trim_start().starts_with([']', '}'])).unwrap_or(at);
                shown.take(path, text, (at + 1, end.min(at + 40) + 1), room);
            }
        }
        return;
    }
    let mut begin = None;
    for (at, line) in lines.iter().enumerate().chain([(lines.len(), &"[")]) {
        if !line.starts_with('[') {
            continue;
        }
        if let Some(begin) = begin.take() {
            shown.take(path, text, (begin + 1, at.min(begin + 60)), room);
        }
        if PACKAGING.iter().any(|section| line.starts_with(section)) {
            begin = Some(at);
        }
    }
}

/// The few settings that a change has to fit, in a line.
pub(super) fn conventions(files: &Files<'_>) -> String {
    let mut said = Vec::new();
    let configuration = ["pyproject.toml", "setup.cfg", "setup.py", "ruff.toml", ".ruff.toml", "tox.ini", ".flake8"];
    let texts: Vec<(&str, String)> = configuration.iter().filter_map(|path| Some((*path, files.text(path)?))).collect();
    if let Some(floor) = value(&texts, &["requires-python", "python_requires"]) {
        said.push(format!("requires-python {floor}"));
    }
    if let Some(length) = value(&texts, &["line-length", "max-line-length", "line_length"]) {
        said.push(format!("line length {length}"));
    }
    if let Some(quotes) = value(&texts, &["quote-style"]) {
        said.push(format!("{quotes} quotes"));
    } else if value(&texts, &["skip-string-normalization"]).is_some_and(|value| value == "true") {
        said.push("quotes as they stand".to_owned());
    }
    said.join("; ")
}

fn value(texts: &[(&str, String)], keys: &[&str]) -> Option<String> {
    texts.iter().flat_map(|(_, text)| text.lines()).find_map(|line| {
        let (key, value) = line.trim().split_once('=')?;
        let key = key.trim();
        if !keys.contains(&key) {
            return None;
        }
        let value = value.split(" #").next().unwrap_or(value).trim().trim_end_matches(',').trim_matches(['"', '\'']);
        let plain = |c: char| c.is_ascii_alphanumeric() || " .,<>=!~*-_".contains(c);
        (!value.is_empty() && value.chars().all(plain)).then(|| bounded(value, 60).to_owned())
    })
}
