//! What a change writes has to parse on the oldest Python that the project says it supports, not only on the one that
//! the check ran with.

use std::collections::BTreeMap;

use ruff_python_ast::PythonVersion;
use ruff_python_parser::{Mode, ParseOptions, parse_unchecked};
use ruff_text_size::Ranged as _;

use super::Ruling;
use crate::{
    repair::rules::oldest_python,
    workspace::{Change, Tree},
};

/// Does every changed file parse there? What the tree before says of Pythons counts: a change can't give one up.
pub(super) fn prove(tree: &Tree, change: &Change) -> Ruling {
    let mut reasons = Vec::new();
    for (path, file) in change.files.iter().filter(|(path, _)| path.ends_with(".py")) {
        let Some(after) = &file.after else { continue };
        let oldest = oldest_python(tree.root(), path).and_then(|version| match version.release() {
            [3, minor, ..] => Some(PythonVersion { major: 3, minor: u8::try_from(*minor).ok()? }),
            _ => None,
        });
        let Some(oldest) = oldest else { continue };
        let mut before: BTreeMap<String, usize> = BTreeMap::new();
        for (_, problem) in file.before.iter().flat_map(|before| unsupported(before, oldest)) {
            *before.entry(problem).or_default() += 1;
        }
        for (line, problem) in unsupported(after, oldest) {
            match before.get_mut(&problem) {
                Some(left) if *left > 0 => *left -= 1,
                _ => reasons.push(format!(
                    "{path}:{line} does not parse on Python {oldest}, which the project supports: {problem}."
                )),
            }
        }
    }
    if reasons.is_empty() { Ruling::Holds { notes: Vec::new() } } else { Ruling::Fails { reasons } }
}

/// Lines and words of the syntax that a Python does not have.
fn unsupported(source: &[u8], oldest: PythonVersion) -> Vec<(usize, String)> {
    let Ok(source) = std::str::from_utf8(source) else { return Vec::new() };
    let source = source.trim_start_matches('\u{feff}');
    let parsed = parse_unchecked(source, ParseOptions::from(Mode::Module).with_target_version(oldest));
    let line = |at: usize| source.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1;
    parsed.unsupported_syntax_errors().iter().map(|e| (line(e.range().start().to_usize()), e.to_string())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::FileChange;

    const MATCH: &str = "match x:\n    case 1:\n        pass\n";

    /// What is said of a file that becomes `after` in a project with this manifest.
    fn ruling(manifest: (&str, &str), before: Option<&str>, after: &str) -> Ruling {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(manifest.0), manifest.1).unwrap();
        let tree = Tree::snapshot(directory.path()).unwrap();
        let bytes = |text: &str| text.as_bytes().to_vec();
        let file =
            FileChange { before: before.map(bytes), after: Some(bytes(after)), executable: false, symlink: false };
        let mut change = Change::default();
        change.files.insert("src/pkg/a.py".to_owned(), file);
        // It gives the old Pythons up: that is no way out.
        let new = FileChange {
            before: Some(bytes(manifest.1)),
            after: Some(bytes("[project]\nrequires-python = \">=3.13\"\n")),
            executable: false,
            symlink: false,
        };
        change.files.insert("pyproject.toml".to_owned(), new);
        prove(&tree, &change)
    }

    const OLD: (&str, &str) = ("pyproject.toml", "[project]\nrequires-python = \">=3.9\"\n");

    #[test]
    fn syntax_that_the_oldest_python_does_not_have_fails() {
        for after in [
            MATCH,
            "try:\n    pass\nexcept* ValueError:\n    pass\n",
            "type X = int\n",
            "def f[T](x: T): ...\n",
            "x = f\"{a[\"b\"]}\"\n",
        ] {
            let Ruling::Fails { reasons } = ruling(OLD, Some("x = 1\n"), after) else { panic!("{after}") };
            assert!(reasons[0].starts_with("src/pkg/a.py:") && reasons[0].contains("Python 3.9"), "{reasons:?}");
            assert!(matches!(ruling(OLD, None, after), Ruling::Fails { .. }), "{after}");
        }
        let cfg = ("setup.cfg", "[options]\npython_requires = >=3.7\n");
        assert!(matches!(ruling(cfg, Some(""), "(x := 1)\n"), Ruling::Fails { .. }));
    }

    #[test]
    fn what_the_oldest_python_knows_or_what_was_there_holds() {
        let holds = Ruling::Holds { notes: Vec::new() };
        assert_eq!(ruling(OLD, Some(""), "(x := 1)\n"), holds);
        assert_eq!(ruling(OLD, Some(MATCH), &format!("y = 2\n{MATCH}")), holds);
        let new = ("pyproject.toml", "[project]\nrequires-python = \">=3.10\"\n");
        assert_eq!(ruling(new, Some(""), MATCH), holds);
        assert_eq!(ruling(("pyproject.toml", "[project]\n"), Some(""), MATCH), holds);
    }

    #[test]
    fn one_more_of_what_was_there_once_fails() {
        assert!(matches!(ruling(OLD, Some(MATCH), &MATCH.repeat(2)), Ruling::Fails { .. }));
    }
}
