//! What is refused, what is flagged, and what passes.

mod answers;
mod building;
mod classes;
mod configuration;
mod declared;
mod equality;
mod evasion;
mod fed;
mod properties;
mod secrets;
mod sources;
mod suites;
mod suppressions;
mod tamper;
mod unread;
mod unseen;

use super::*;
use crate::workspace::FileChange;
use std::collections::BTreeMap;

/// A tree in memory, a change to it, and what is known about the failure.
#[derive(Default)]
struct Tried {
    tree: BTreeMap<String, Vec<u8>>,
    change: Change,
    reported: Vec<Reported>,
    declared: Option<FixType>,
    category: Option<&'static str>,
}

impl Tried {
    /// A small project of one package `pkg` with a test.
    fn new() -> Tried {
        let tried = Tried::default();
        tried
            .with("pkg/__init__.py", "")
            .with("pkg/mod.py", "def total(items):\n    \"\"\"Sums.\n\n    >>> total([41])\n    41\n    \"\"\"\n    return sum(items)\n\n\ndef helper():\n    return 1\n")
            .with("tests/test_mod.py", "from pkg.mod import total\n\n\ndef test_total():\n    assert total([1, 2]) == 3\n")
            .with("pyproject.toml", "[tool.pytest.ini_options]\naddopts = \"-q\"\n")
    }

    fn with(mut self, path: &str, text: &str) -> Tried {
        self.tree.insert(path.to_string(), text.as_bytes().to_vec());
        self
    }

    /// A file's text before and after.
    fn edit(mut self, path: &str, before: &str, after: &str) -> Tried {
        self.tree.insert(path.to_string(), before.as_bytes().to_vec());
        self.put(path, Some(before), Some(after))
    }

    fn add(self, path: &str, after: &str) -> Tried {
        self.put(path, None, Some(after))
    }

    fn delete(mut self, path: &str) -> Tried {
        let before = self.tree.get(path).cloned();
        self.change
            .files
            .insert(path.to_string(), FileChange { before, after: None, executable: false, symlink: false });
        self
    }

    fn put(mut self, path: &str, before: Option<&str>, after: Option<&str>) -> Tried {
        let bytes = |text: Option<&str>| text.map(|t| t.as_bytes().to_vec());
        let change = FileChange { before: bytes(before), after: bytes(after), executable: false, symlink: false };
        self.change.files.insert(path.to_string(), change);
        self
    }

    fn reported(mut self, tool: &str, file: &str, line: u32, code: &str) -> Tried {
        self.reported.push(Reported {
            tool: tool.to_string(),
            file: Some(file.to_string()),
            line: Some(line),
            code: Some(code.to_string()),
            ..Reported::default()
        });
        self
    }

    fn category(mut self, category: &'static str) -> Tried {
        self.category = Some(category);
        self
    }

    fn declared(mut self, declared: FixType) -> Tried {
        self.declared = Some(declared);
        self
    }

    fn findings(&self) -> Vec<Finding> {
        judge(&Judged {
            change: &self.change,
            before: &self.tree,
            reported: &self.reported,
            declared: self.declared,
            category: self.category,
            protected: &[],
        })
    }

    #[track_caller]
    fn is_refused_by(&self, rule: &str) {
        let findings = self.findings();
        let found = findings.iter().any(|f| f.rule == rule && f.severity == Severity::Refuse);
        assert!(found, "not refused by {rule}: {findings:#?}");
    }

    #[track_caller]
    fn is_flagged_by(&self, rule: &str) {
        let findings = self.findings();
        let found = findings.iter().any(|f| f.rule == rule);
        let refused = findings.iter().any(|f| f.severity == Severity::Refuse);
        assert!(found && !refused, "not only flagged by {rule}: {findings:#?}");
    }

    #[track_caller]
    fn passes(&self) {
        let findings = self.findings();
        assert!(findings.is_empty(), "{findings:#?}");
    }
}

/// A change of the body of one test, in a file that imports `total`.
fn body(before: &str, after: &str) -> Tried {
    let file = |body: &str| {
        let lines: Vec<String> = body.lines().map(|l| format!("    {l}\n")).collect();
        format!(
            "import pytest\nfrom pkg import mod\nfrom pkg.mod import total\n\n\ndef test_total(tmp_path):\n{}",
            lines.concat()
        )
    };
    Tried::new().edit("tests/test_mod.py", &file(before), &file(after))
}

#[test]
fn every_rule_is_documented_once_and_in_order() {
    assert!(RULES.windows(2).all(|w| w[0].id < w[1].id));
    assert!(RULES.iter().all(|r| !r.meaning.is_empty() && !r.example.is_empty() && !r.way_to_be_wrong.is_empty()));
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/integrity")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let text = std::fs::read_to_string(&path).unwrap();
            for part in text.split("Finding::refuse(\"").chain(text.split("Finding::flag(\"")).skip(1) {
                let id = part.split('"').next().unwrap();
                assert!(
                    path.ends_with("mod.rs") || !id.contains('\n') && RULES.iter().any(|r| r.id == id) || id.len() > 40,
                    "{id}"
                );
            }
        }
    }
}
