//! Where else the tree mentions a name that a failure quotes and that nothing shown defines.

use std::{collections::BTreeSet, fmt::Write as _, sync::LazyLock};

use regex::Regex;

use super::{
    files::{Files, bounded, is_beside, is_python, is_test, name as file_name},
    places::has_word,
    shown::Shown,
};
use crate::detect::Failure;

/// Names that are looked for.
const NAMES: usize = 3;
/// Lines and bytes of all hits of a name.
const LINES: usize = 12;
const BYTES: usize = 800;
/// The most that is read for one question.
const FILES: usize = 3000;
const READ: usize = 12 << 20;

/// What messages call a name that they miss; where they say it, the module that should have it.
static MISSED: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    let quote = r#"['"`‘’“”]"#;
    [
        format!(r"(?i)module {quote}(?P<module>[\w.]+){quote} (?:has no|does not explicitly export) attribute {quote}(?P<name>\w+){quote}"),
        format!(r"(?i)has no attribute {quote}(?P<name>\w+){quote}"),
        format!(r"cannot import name {quote}(?P<name>\w+){quote} from {quote}(?P<module>[\w.]+){quote}"),
        format!(r"cannot import name {quote}(?P<name>\w+){quote}"),
        format!(r"(?i)failed to import \w+ {quote}(?:\w+\.)*(?P<name>\w+){quote} from module {quote}(?P<module>[\w.]+){quote}"),
        format!(r"(?i)undefined name {quote}(?P<name>\w+){quote}"),
        format!(r"(?i)name {quote}(?P<name>\w+){quote} is not defined"),
    ]
    .iter()
    .filter_map(|pattern| Regex::new(pattern).ok())
    .collect()
});

/// The names that the failures miss, with the modules that should have them.
pub(super) fn missed(failures: &[Failure]) -> Vec<(String, Option<String>)> {
    let mut found: Vec<(String, Option<String>)> = Vec::new();
    for failure in failures.iter().take(40) {
        let message = bounded(&failure.message, 2000);
        for captures in MISSED.iter().filter_map(|pattern| pattern.captures(message)) {
            let named = |group: &str| captures.name(group).map(|found| found.as_str().to_owned());
            let Some(name) = named("name").filter(|name| (3..60).contains(&name.len())) else { continue };
            if found.len() < NAMES && !found.iter().any(|(known, _)| *known == name) {
                found.push((name, named("module")));
            }
        }
    }
    found
}

/// A short list of places for each name that the failures miss.
pub(super) fn mentions(files: &Files<'_>, shown: &Shown<'_>, failures: &[Failure]) -> String {
    let mut text = String::new();
    let missed: Vec<_> = missed(failures).into_iter().filter(|(name, _)| !is_defined(files, shown, name)).collect();
    if missed.is_empty() {
        return text;
    }
    let paths = searched(files);
    for (name, module) in missed {
        let home = module.and_then(|module| files.of_module(&module, ""));
        let (mut lines, mut unshown, mut defined) = (Vec::new(), 0, false);
        let mut left = READ;
        for path in &paths {
            let Some(source) = files.text(path).filter(|source| source.len() <= left) else { continue };
            left -= source.len();
            if !source.contains(&name) {
                continue;
            }
            defined |= files.module(path).is_some_and(|module| {
                module.defs.iter().any(|def| def.name == name)
                    || module.constants.iter().any(|(known, _)| *known == name)
                    || module.imports.iter().any(|import| import.name == name)
            });
            for (at, line) in source.lines().enumerate().filter(|(_, line)| has_word(line, &name)) {
                if shown.has(path, at + 1) {
                    unshown += 1;
                } else if lines.len() < LINES {
                    lines.push(format!("{path}:{}: {}", at + 1, bounded(line.trim(), 90)));
                }
            }
        }
        let _ = match (lines.is_empty() && unshown == 0, defined) {
            (true, _) => writeln!(text, "`{name}` stands nowhere in the repository."),
            (_, false) if lines.is_empty() => {
                writeln!(text, "`{name}` is defined nowhere in the repository, and mentioned only where you see it.")
            }
            (_, false) => writeln!(text, "`{name}` is defined nowhere in the repository; it is mentioned here:"),
            (_, true) if lines.is_empty() => Ok(()),
            (_, true) => writeln!(text, "`{name}` is mentioned here:"),
        };
        let begin = text.len();
        for line in lines {
            if text.len() + line.len() - begin <= BYTES {
                let _ = writeln!(text, "{line}");
            }
        }
        if let Some(home) = home {
            exports(files, shown, &home, &name, &mut text);
        }
    }
    text
}

/// What a module gives out, in short: its imports of its own parts, and the neighbours of a name in `__all__`.
fn exports(files: &Files<'_>, shown: &Shown<'_>, path: &str, name: &str, text: &mut String) {
    let Some(module) = files.module(path) else { return };
    let mut wanted: BTreeSet<usize> = BTreeSet::new();
    wanted.extend(
        module.imports.iter().filter(|import| import.top && import.level > 0).map(|import| import.lines.0).take(4),
    );
    if let Some((_, (first, last))) = module.constants.iter().find(|(known, _)| known == "__all__") {
        wanted.insert(*first);
        // It is sorted nearly always.
        let entry = |line: &usize| module.slice((*line, *line)).trim().trim_matches(['\'', '"', ',']).to_owned();
        let after = (*first + 1..*last).find(|line| entry(line).as_str() > name).unwrap_or(*last);
        wanted.extend(after.saturating_sub(2).max(*first)..=(after + 1).min(*last));
    }
    for line in wanted.into_iter().filter(|line| !shown.has(path, *line)).take(8) {
        let _ = writeln!(text, "{path}:{line}: {}", bounded(module.slice((line, line)).trim(), 120));
    }
}

/// Is it defined in what is shown?
fn is_defined(files: &Files<'_>, shown: &Shown<'_>, name: &str) -> bool {
    shown.paths().iter().filter_map(|path| files.module(path)).any(|module| {
        let defined = module.defs.iter().any(|def| def.name == name && shown.has(&module.path, def.header));
        defined || module.constants.iter().any(|(known, lines)| known == name && shown.has(&module.path, lines.0))
    })
}

/// The files that are searched: the product, then what is beside it, then tests, and chronicles last.
fn searched<'f>(files: &'f Files<'_>) -> Vec<&'f str> {
    let endings = [".py", ".pyi", ".rst", ".md", ".txt", ".toml", ".cfg", ".ini", ".in", ".yml", ".yaml"];
    let chronicle = |path: &str| {
        let name = file_name(path).to_ascii_lowercase();
        ["change", "history", "news", "release", "version"].iter().any(|word| name.starts_with(word))
    };
    let rank = |path: &str| match path {
        path if chronicle(path) => 3,
        path if is_test(path) => 2,
        path if is_beside(path) || !is_python(path) => 1,
        _ => 0,
    };
    let all = files.paths().iter().map(String::as_str);
    let mut paths: Vec<&str> = all.filter(|path| endings.iter().any(|ending| path.ends_with(ending))).collect();
    paths.sort_by_key(|path| rank(path));
    paths.truncate(FILES);
    paths
}
