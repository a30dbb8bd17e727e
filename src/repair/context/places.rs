//! The places that linters, type checkers, scanners, documentation builders and coverage reports name.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Limits,
    code::hot,
    failing::by_id,
    files::{Files, is_python, is_test, name},
    module::Module,
    resolve::{Target, module_file, resolve},
    shown::{Detail, Shown},
};
use crate::detect::Failure;

/// A file that is shown whole when there are findings in it.
const SMALL: usize = 3000;
/// The same, where there are many.
const SMALL_WITH_MANY: usize = 9000;
const MANY: usize = 6;

/// Takes the code around every finding, and what the lines' names mean.
pub(super) fn findings(files: &Files<'_>, shown: &mut Shown<'_>, frames: &[Vec<(String, usize)>], limits: &Limits) {
    let hot = hot(frames);
    let room = limits.code * 3 / 2;
    for (path, lines) in &hot {
        let most = if lines.len() >= MANY { SMALL_WITH_MANY } else { SMALL };
        if shown.file(path, most, room) {
            continue;
        }
        let around = if lines.len() > 12 { 2 } else { 5 };
        if let Some(module) = files.module(path) {
            for line in lines {
                finding(shown, &module, *line, around, room);
            }
        } else if let Some(text) = files.text(path) {
            for line in lines {
                shown.window(path, &text, *line, around, room);
            }
        }
    }
    for (path, lines) in &hot {
        let Some(module) = files.module(path) else { continue };
        for line in lines.iter().take(8) {
            meanings(files, shown, &module, *line, limits.code);
        }
    }
}

/// Takes the imports of the files with findings: what is used instead must often be imported, or no longer.
pub(super) fn imports(files: &Files<'_>, shown: &mut Shown<'_>, frames: &[Vec<(String, usize)>], room: usize) {
    for path in hot(frames).keys() {
        let Some(module) = files.module(path) else { continue };
        for import in module.imports.iter().filter(|import| import.top).take(30) {
            let (first, last) = import.lines;
            if last - first < 12 {
                shown.take(path, &module.text, (first, last), room);
            }
        }
    }
}

fn finding(shown: &mut Shown<'_>, module: &Module, line: usize, around: usize, room: usize) {
    let path = module.path.as_str();
    let Some(at) = module.around(line) else {
        shown.window(path, &module.text, line, around, room);
        return;
    };
    let def = &module.defs[at];
    let short = module.slice((def.first, def.last)).len() <= 1400;
    if short && !def.class {
        shown.take(path, &module.text, (def.first, def.last), room);
    } else {
        let (first, last) = module.statement(line);
        let (first, last) = if last - first > 24 { (line, line) } else { (first, last) };
        let stretch = (first.saturating_sub(around).max(1), last + around);
        if !shown.take(path, &module.text, stretch, room) {
            shown.window(path, &module.text, line, 2, room);
        }
        if def.header - def.first < 20 {
            shown.take(path, &module.text, (def.first, def.header), room);
        }
    }
    shown.headers(module, at, room);
}

/// Takes the signatures and values that a line's names stand for.
fn meanings(files: &Files<'_>, shown: &mut Shown<'_>, module: &Module, line: usize, room: usize) {
    let uses = module.uses(module.statement(line));
    for dotted in uses.dotted.iter().take(10) {
        match resolve(files, module, module.around(line), dotted) {
            Some(Target::Def(path, at)) => {
                let Some(home) = files.module(&path) else { continue };
                let def = &home.defs[at];
                if def.header - def.first < 16 {
                    shown.take(&path, &home.text, (def.first, def.header), room);
                }
            }
            Some(Target::Constant(path, lines)) => {
                let Some(home) = files.module(&path) else { continue };
                if home.slice(lines).len() <= 600 {
                    shown.take(&path, &home.text, lines, room);
                }
            }
            _ => {}
        }
    }
}

/// Takes what a documentation failure is about: docstrings, sections, and where the pages name the object.
pub(super) fn docs(
    files: &Files<'_>,
    shown: &mut Shown<'_>,
    failures: &[Failure],
    frames: &[Vec<(String, usize)>],
    limits: &Limits,
) {
    let hot = hot(frames);
    let room = limits.code * 3 / 2;
    let none = BTreeSet::new();
    for failure in failures.iter().take(8) {
        if let Some((module, at)) = failure.test_id.as_deref().and_then(|id| by_id(files, id)) {
            documented(shown, &module, at, hot.get(&module.path).unwrap_or(&none), limits);
        }
        for dotted in dotted_names(&failure.message) {
            if let Some((module, at)) = by_id(files, &dotted) {
                let doc = module.defs[at].doc.unwrap_or((module.defs[at].first, module.defs[at].header));
                shown.take(&module.path, &module.text, (module.defs[at].first, doc.1.min(doc.0 + 30)), limits.code);
            }
        }
    }
    for (path, lines) in &hot {
        let Some(text) = files.text(path) else { continue };
        for line in lines {
            match files.module(path).and_then(|module| Some((module.around(*line)?, module))) {
                Some((at, module)) => documented(shown, &module, at, lines, limits),
                None => {
                    shown.window(path, &text, *line, 8, room);
                }
            }
        }
    }
    let toctree = failures.iter().any(|failure| failure.message.contains("toctree"));
    let names: BTreeSet<String> = failures.iter().flat_map(|failure| named(&failure.message)).collect();
    let pages = files
        .paths()
        .iter()
        .filter(|path| [".rst", ".md", ".txt"].iter().any(|ending| path.ends_with(ending)) && !is_chronicle(path));
    let mut left = 8;
    for path in pages.filter(|path| path.contains('/') || toctree) {
        let Some(text) = files.text(path) else { continue };
        for (at, line) in text.lines().enumerate() {
            let tree = toctree && line.contains("toctree::");
            if left > 0 && (tree || names.iter().any(|name| has_word(line, name))) {
                left -= 1;
                shown.window(path, &text, at + 1, if tree { 14 } else { 6 }, limits.code);
            }
        }
    }
}

fn is_chronicle(path: &str) -> bool {
    let name = name(path).to_ascii_lowercase();
    ["change", "history", "news", "version", "release"].iter().any(|word| name.contains(word))
}

/// Takes a documented object: its docstring around what failed, and its code.
fn documented(shown: &mut Shown<'_>, module: &Module, at: usize, hot: &BTreeSet<usize>, limits: &Limits) {
    let def = &module.defs[at];
    let detail = Detail { whole: 4500, doc: usize::MAX, room: limits.code * 3 / 2 };
    shown.def(module, at, hot, detail);
    if def.class {
        for (inner, member) in module.members(at) {
            if !member.class {
                shown.def(module, inner, hot, Detail { whole: 900, doc: 200, room: limits.code });
            }
        }
    } else if let Some((_, last)) = def.doc {
        shown.take(&module.path, &module.text, (last, def.last.min(last + 60)), limits.code);
    }
}

/// `package.module.name` in a message.
fn dotted_names(message: &str) -> Vec<String> {
    let parts = message.split(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.')));
    let dotted = parts.map(|part| part.trim_matches('.')).filter(|part| part.contains('.') && part.len() < 200);
    dotted.map(str::to_owned).take(6).collect()
}

/// What a message is about: the ends of dotted names, and what is quoted.
fn named(message: &str) -> Vec<String> {
    let mut found: Vec<String> =
        dotted_names(message).iter().filter_map(|dotted| Some(dotted.rsplit('.').next()?.to_owned())).collect();
    for quoted in message.split(['\'', '"', '`']).skip(1).step_by(2) {
        found.push(quoted.rsplit('.').next().unwrap_or(quoted).to_owned());
    }
    found.retain(|name| name.len() > 3 && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-')));
    found
}

pub(super) fn has_word(line: &str, word: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(inside) && !line[at + word.len()..].starts_with(inside))
}

/// What a coverage report says of a file: the lines that no test ran, as it prints them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Uncovered {
    pub(super) path: String,
    pub(super) missing: String,
    pub(super) lines: BTreeSet<usize>,
}

/// The rows of a coverage table that name missing lines.
pub(super) fn uncovered(output: &str, files: &Files<'_>) -> Vec<Uncovered> {
    let mut found: BTreeMap<String, Uncovered> = BTreeMap::new();
    for line in output.lines() {
        let Some((before, missing)) = line.split_once("% ") else { continue };
        let mut words = before.split_whitespace().rev();
        let numbers = words.by_ref().take_while(|word| word.chars().all(|c| c.is_ascii_digit() || c == '.')).count();
        let Some(path) = before.split_whitespace().rev().nth(numbers) else { continue };
        let missing = missing.trim();
        let shape = |c: char| c.is_ascii_digit() || matches!(c, ' ' | ',' | '-' | '>') || "exit".contains(c);
        if numbers < 3 || missing.is_empty() || !missing.chars().all(shape) {
            continue;
        }
        let path = path.trim_start_matches("./");
        let Some(path) = (if files.has(path) { Some(path) } else { files.meant_by(path) }) else { continue };
        if is_test(path) {
            continue;
        }
        let mut lines = BTreeSet::new();
        for part in missing.split(',').map(str::trim) {
            let (from, to) = match part.split_once("->") {
                // A branch that was never taken: where it leaves, and where it would go.
                Some((from, to)) => (from, to),
                None => part.split_once('-').unwrap_or((part, part)),
            };
            let from = from.trim().parse::<usize>().ok();
            let to = to.trim().parse::<usize>().ok();
            match (from, to) {
                (Some(from), Some(to)) if !part.contains("->") && to >= from && to - from < 5000 => {
                    lines.extend(from..=to)
                }
                (from, to) => lines.extend(from.into_iter().chain(to)),
            }
        }
        let missing = super::files::bounded(missing, 300).to_owned();
        found.insert(path.to_owned(), Uncovered { path: path.to_owned(), missing, lines });
    }
    let mut found: Vec<Uncovered> = found.into_values().collect();
    found.sort_by_key(|file| std::cmp::Reverse(file.lines.len()));
    found.truncate(8);
    found
}

/// Takes the functions that hold uncovered lines, and tests of the same module as a pattern.
pub(super) fn coverage(files: &Files<'_>, shown: &mut Shown<'_>, uncovered: &[Uncovered], limits: &Limits) {
    for file in uncovered {
        let Some(module) = files.module(&file.path) else { continue };
        let detail = Detail { whole: 2600, doc: 400, room: limits.code };
        let defs: BTreeSet<usize> = file.lines.iter().filter_map(|line| module.around(*line)).collect();
        let names: BTreeSet<&str> = defs.iter().map(|at| module.defs[*at].name.as_str()).collect();
        for at in &defs {
            shown.def(&module, *at, &file.lines, detail);
        }
        for line in file.lines.iter().filter(|line| module.around(**line).is_none()).take(6) {
            shown.window(&file.path, &module.text, *line, 3, limits.code);
        }
        pattern(files, shown, &module, &names, limits);
    }
}

/// Takes the tests of a module that are nearest to these functions, and the end of their file.
fn pattern(files: &Files<'_>, shown: &mut Shown<'_>, module: &Module, names: &BTreeSet<&str>, limits: &Limits) {
    let stem = name(&module.path).trim_end_matches(".py").to_owned();
    let tests = files.paths().iter().filter(|path| is_test(path) && is_python(path) && !path.ends_with("conftest.py"));
    let mut best: Option<(usize, String)> = None;
    for path in tests.take(600) {
        let Some(test) = files.module(path) else { continue };
        let imports = test.imports.iter().any(|import| {
            let base = module_file(files, &test, import.level, &import.module);
            let sub = import
                .member
                .as_ref()
                .and_then(|member| module_file(files, &test, import.level, &format!("{}.{member}", import.module)));
            base.as_deref() == Some(&module.path) || sub.as_deref() == Some(&module.path)
        });
        let told = names.iter().filter(|name| has_word(&test.text, name)).count();
        let score = told * 4 + usize::from(imports) * 3 + usize::from(path.contains(&stem)) * 2;
        if score > best.as_ref().map_or(0, |(score, _)| *score) {
            best = Some((score, path.clone()));
        }
    }
    let Some(test) = best.and_then(|(_, path)| files.module(&path)) else { return };
    let detail = Detail { whole: 1500, doc: 200, room: limits.code };
    let functions = test.defs.iter().enumerate().filter(|(_, def)| !def.class && def.name.starts_with("test"));
    let near: Vec<usize> = functions
        .filter(|(_, def)| names.iter().any(|name| has_word(test.slice((def.first, def.last)), name)))
        .map(|(at, _)| at)
        .collect();
    for at in near.iter().rev().take(2) {
        shown.def(&test, *at, &BTreeSet::new(), detail);
    }
    if let Some(at) = test.defs.iter().rposition(|def| !def.class && def.name.starts_with("test")) {
        shown.def(&test, at, &BTreeSet::new(), detail);
    }
}
