//! What coverage.py reports: which lines ran, and in which test.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

/// By file and line: the tests that ran it, as coverage.py calls them. A line that ran outside of any test has none.
pub(super) type Lines = BTreeMap<String, BTreeMap<u32, BTreeSet<String>>>;

#[derive(Deserialize)]
struct Report {
    files: BTreeMap<String, File>,
}

#[derive(Deserialize)]
struct File {
    executed_lines: Vec<u32>,
    #[serde(default)]
    contexts: BTreeMap<String, Vec<String>>,
}

/// Reads `coverage json`; `None` where it is none. `root` is where the tree stood, `paths` are its files.
pub(super) fn read(report: &[u8], root: &str, paths: &[String]) -> Option<Lines> {
    let report: Report = serde_json::from_slice(report).ok()?;
    let mut lines = Lines::new();
    for (name, file) in report.files {
        let Some(path) = place(&name, root, paths) else { continue };
        let entry = lines.entry(path.to_owned()).or_default();
        for line in file.executed_lines {
            let contexts = file.contexts.get(&line.to_string()).into_iter().flatten();
            entry.entry(line).or_default().extend(contexts.filter(|c| !c.is_empty()).cloned());
        }
    }
    Some(lines)
}

/// Which of the tree's files is it? Names are relative to wherever the command stood.
fn place<'p>(name: &str, root: &str, paths: &'p [String]) -> Option<&'p str> {
    let name = name.strip_prefix(root).map_or(name, |rest| rest.trim_start_matches('/'));
    let mut ends = paths.iter().filter(|path| {
        path.strip_suffix(name).is_some_and(|before| before.is_empty() || before.ends_with('/')) && !name.is_empty()
    });
    match (paths.iter().find(|path| *path == name), ends.next(), ends.next()) {
        (Some(path), ..) | (None, Some(path), None) => Some(path),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn paths() -> Vec<String> {
        ["backend/shop/cart.py", "shop/tax.py", "a/x.py", "b/x.py"].map(str::to_owned).to_vec()
    }

    #[test]
    fn lines_are_known_with_the_tests_that_ran_them() {
        let report = br#"{"meta": {}, "files": {
            "/r/shop/tax.py": {"executed_lines": [1, 2], "contexts": {"1": [""], "2": ["tests.test_tax.test_a", ""]}},
            "shop/cart.py": {"executed_lines": [4]},
            "x.py": {"executed_lines": [1]}, "/venv/lib/z.py": {"executed_lines": [1]}}}"#;
        let lines = read(report, "/r", &paths()).unwrap();
        assert_eq!(lines.keys().collect::<Vec<_>>(), ["backend/shop/cart.py", "shop/tax.py"]);
        let tax = &lines["shop/tax.py"];
        assert!(tax[&1].is_empty());
        assert_eq!(tax[&2].iter().collect::<Vec<_>>(), ["tests.test_tax.test_a"]);
    }

    #[test]
    fn what_is_no_report_is_none() {
        for text in ["", "{}", "[]", "{\"files\": {\"a.py\": {\"executed_lines\": [-1]}}}"] {
            assert_eq!(read(text.as_bytes(), "/r", &paths()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), name in ".{0,20}") {
            read(&bytes, "/r", &paths());
            place(&name, "/r", &paths());
        }
    }
}
