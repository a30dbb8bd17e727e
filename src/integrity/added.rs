//! The tests that a change adds, for proofs that need more than texts (`repair::oracle`).

use super::context::{Context, File};
use super::python::last;
use super::units::{Kind, Suite, Unit};
use super::{Judged, TreeRead};
use crate::workspace::Change;
use std::collections::{BTreeMap, BTreeSet};

/// A test that a change adds or extends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddedTest {
    /// Repository-relative.
    pub file: String,
    /// `test_x`, `TestA.test_x`.
    pub qual: String,
    /// Did it not exist before?
    pub new: bool,
    /// Does it assert anything, itself or through a helper of its file?
    pub asserts: bool,
    /// The last parts of the names that it calls or asserts about, helpers of its file looked through.
    pub names: BTreeSet<String>,
}

/// The tests that are in the tree after the change and were not like this before. A test that only moved is not new.
pub fn added_tests(before: &dyn TreeRead, change: &Change) -> Vec<AddedTest> {
    super::on_a_deep_stack(|| {
        let input = Judged { change, before, reported: &[], declared: None, category: None, protected: &[] };
        added(&Context::new(&input))
    })
    .unwrap_or_default()
}

fn added(context: &Context<'_>) -> Vec<AddedTest> {
    let suite_before = |file: &File<'_>| file.py_before.as_ref().map(|py| context.suite(py)).unwrap_or_default();
    let known: BTreeSet<String> = (context.files.iter())
        .flat_map(|file| suite_before(file).tests().map(|unit| unit.whole.clone()).collect::<Vec<_>>())
        .collect();
    let mut found = Vec::new();
    for file in context.files.iter().filter(|file| context.is_collected(file.path)) {
        let Some(after) = file.py_after.as_ref().map(|py| context.suite(py)) else { continue };
        let before = suite_before(file);
        for unit in after.tests().filter(|unit| !known.contains(&unit.whole)) {
            let reached = reached(&after, unit);
            found.push(AddedTest {
                file: file.path.to_string(),
                qual: unit.qual.clone(),
                new: !before.units.iter().any(|u| u.qual == unit.qual),
                asserts: reached.iter().any(|u| !u.facts.is_empty()),
                names: reached.iter().flat_map(|u| names(u)).collect(),
            });
        }
    }
    found
}

/// The test, and the helpers of its file that it calls.
fn reached<'s>(suite: &'s Suite, test: &'s Unit) -> Vec<&'s Unit> {
    let mut helpers: BTreeMap<&str, Vec<&Unit>> = BTreeMap::new();
    for unit in suite.units.iter().filter(|u| u.kind == Kind::Helper) {
        helpers.entry(&unit.name).or_default().push(unit);
    }
    let mut reached = vec![test];
    let mut next = 0;
    while let Some(unit) = reached.get(next).copied() {
        next += 1;
        let called: Vec<&Unit> = unit.calls.iter().filter_map(|call| helpers.remove(last(call))).flatten().collect();
        reached.extend(called);
    }
    reached
}

fn names(unit: &Unit) -> Vec<String> {
    let words = |text: &str| super::compare::words(text).into_iter().map(ToString::to_string).collect::<Vec<_>>();
    let asserted = unit.facts.iter().flat_map(|fact| words(&fact.key));
    unit.calls.iter().map(|call| last(call).to_string()).chain(asserted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::FileChange;

    struct Nothing;

    impl TreeRead for Nothing {
        fn read(&self, _: &str) -> Option<Vec<u8>> {
            None
        }

        fn paths(&self) -> Vec<String> {
            Vec::new()
        }
    }

    fn tests(before: Option<&str>, after: &str) -> Vec<AddedTest> {
        let bytes = |text: &str| text.as_bytes().to_vec();
        let file =
            FileChange { before: before.map(bytes), after: Some(bytes(after)), executable: false, symlink: false };
        added_tests(&Nothing, &Change { files: BTreeMap::from([("tests/test_a.py".to_string(), file)]) })
    }

    const BEFORE: &str = "def test_old():\n    assert total(1) == 1\n\n\ndef test_same():\n    assert 1\n";

    #[test]
    fn new_and_extended_tests_are_found_and_untouched_ones_are_not() {
        let after = format!("{}\n\ndef test_more():\n    total(3)\n", BEFORE.replace("total(1) == 1", "total(2) == 2"));
        let found = tests(Some(BEFORE), &after);
        let shown: Vec<_> = found.iter().map(|t| (t.qual.as_str(), t.new, t.asserts)).collect();
        assert_eq!(shown, [("test_old", false, true), ("test_more", true, false)]);
        assert!(found[1].names.contains("total"));
    }

    #[test]
    fn a_test_that_asserts_through_a_helper_asserts() {
        let after = "def run(x):\n    assert total(x) == x\n\n\ndef test_a():\n    run(1)\n\n\nclass TestB:\n    def test_b(self):\n        print(1)\n";
        let found = tests(None, after);
        let shown: Vec<_> = found.iter().map(|t| (t.qual.as_str(), t.asserts)).collect();
        assert_eq!(shown, [("test_a", true), ("TestB.test_b", false)]);
        assert!(found[0].names.contains("total"));
    }

    #[test]
    fn a_test_that_moved_is_not_new() {
        let moved = "class TestX:\n    pass\n\n\ndef test_same():\n    assert 1\n\n\ndef test_old():\n    assert total(1) == 1\n";
        assert!(tests(Some(BEFORE), moved).is_empty());
    }
}
