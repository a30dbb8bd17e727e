//! What is wrong with a change, before anything runs: its paths, its size, and its syntax.

use std::{collections::BTreeSet, time::Duration};

use similar::{Algorithm, ChangeTag, TextDiff};

use super::{before, is_junk};
use crate::{
    integrity::is_protected,
    workspace::{Change, Tree, git, inside},
};

/// So many files a repair may touch.
const MOST_FILES: usize = 20;
/// So many bytes it may add to a file.
const MOST_ADDED: usize = 64 << 10;
/// So many lines it may change.
const MOST_LINES: usize = 600;
/// Larger files are not edited.
pub(crate) const LARGEST_FILE: usize = 2 << 20;
/// What a parser of deeply nested text may need; only what is used is really taken.
const STACK: usize = 256 << 20;

/// One file's step.
struct Step {
    path: String,
    before: Option<Vec<u8>>,
    after: Option<Vec<u8>>,
}

/// What is wrong with `change` as a step from `on`, both relative to `tree`: a sentence each, for the model.
pub fn problems(tree: &Tree, on: &Change, change: &Change, protected: &[String]) -> Vec<String> {
    let paths: BTreeSet<&String> = on.files.keys().chain(change.files.keys()).collect();
    let steps = paths.into_iter().map(|path| Step {
        path: path.clone(),
        before: before(tree, on, path),
        after: before(tree, change, path),
    });
    let steps: Vec<Step> = steps.filter(|step| step.before != step.after).collect();
    let mut wrong = Vec::new();
    if steps.len() > MOST_FILES {
        wrong.push(format!("{} files are changed: at most {MOST_FILES} may be.", steps.len()));
    }
    let mut lines = 0;
    for step in steps.iter().take(MOST_FILES) {
        let Step { path, before, after } = step;
        if inside(tree.root(), path).is_none() {
            wrong.push(format!("{path}: no file may be changed there."));
        }
        if is_protected(path, protected) {
            wrong.push(format!("{path} may not be changed: the configuration protects it."));
        }
        if before.is_none() && (is_junk(tree, path) || ignored(tree, path)) {
            wrong
                .push(format!("{path} is no part of the project (git ignores it, or a tool makes it): do not add it."));
        }
        let (old, new) = (before.as_deref().unwrap_or_default(), after.as_deref().unwrap_or_default());
        if new.len().saturating_sub(old.len()) > MOST_ADDED || new.len() > LARGEST_FILE {
            wrong.push(format!("{path}: at most {} KB may be added to a file.", MOST_ADDED >> 10));
            continue;
        }
        let Ok(text) = std::str::from_utf8(new) else {
            wrong.push(format!("{path} would be no UTF-8 text."));
            continue;
        };
        if text.contains('\0') && !old.contains(&0) {
            wrong.push(format!("{path} would be binary."));
            continue;
        }
        lines += changed_lines(old, new);
        let sound =
            before.as_ref().is_none_or(|old| std::str::from_utf8(old).is_ok_and(|old| parses(path, old).is_ok()));
        if after.is_some()
            && sound
            && let Err(why) = parses(path, text)
        {
            wrong.push(format!("{path} would not be valid any more: {why}"));
        }
    }
    if lines > MOST_LINES {
        wrong.push(format!(
            "{lines} lines are changed: at most {MOST_LINES} may be. Change only what the failure needs."
        ));
    }
    wrong
}

/// Would git leave it out?
fn ignored(tree: &Tree, path: &str) -> bool {
    let asked = git(tree.root()).args(["check-ignore", "--quiet", "--no-index", "--", path]).output();
    asked.is_ok_and(|output| output.status.success())
}

fn changed_lines(old: &[u8], new: &[u8]) -> usize {
    let (old, new) = (String::from_utf8_lossy(old), String::from_utf8_lossy(new));
    // Two long texts with nothing in common would take for ever to be compared: then more of them counts.
    let mut diff = TextDiff::configure();
    let diff = diff.algorithm(Algorithm::Myers).timeout(Duration::from_secs(10)).diff_lines(&*old, &*new);
    diff.iter_all_changes().filter(|change| change.tag() != ChangeTag::Equal).count()
}

/// Does a text of this name parse, as far as there is a parser for it?
fn parses(path: &str, text: &str) -> Result<(), String> {
    let text = text.trim_start_matches('\u{feff}');
    let name = path.rsplit('/').next().unwrap_or(path);
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    let parse: fn(&str) -> Result<(), String> = match extension {
        "py" | "pyi" => python,
        "toml" => |text| text.parse::<toml_edit::DocumentMut>().map(drop).map_err(|e| e.to_string()),
        "json" => |text| serde_json::from_str::<serde::de::IgnoredAny>(text).map(drop).map_err(|e| e.to_string()),
        "yml" | "yaml" => yaml,
        _ => return Ok(()),
    };
    // On a stack of its own: no nesting brings the process down.
    let verdict = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || parse(text));
        thread.ok().and_then(|thread| thread.join().ok())
    });
    let why = verdict.unwrap_or_else(|| Err("it cannot be parsed".to_owned()));
    why.map_err(|why| why.trim().chars().take(400).collect())
}

fn python(text: &str) -> Result<(), String> {
    let Err(error) = ruff_python_parser::parse_module(text) else { return Ok(()) };
    let at = error.location.start().to_usize();
    let before = text.get(..at).unwrap_or(text);
    let line: String = text.lines().nth(before.matches('\n').count()).unwrap_or_default().chars().take(200).collect();
    Err(format!("line {}: {}: `{line}`", before.matches('\n').count() + 1, error.error))
}

fn yaml(text: &str) -> Result<(), String> {
    let several = || serde_saphyr::from_multiple::<serde_json::Value>(text).map(drop);
    serde_saphyr::from_str::<serde_json::Value>(text)
        .map(drop)
        .or_else(|error| several().map_err(|_| error.to_string()))
}
