//! Test by test: what passed passes, what ran is not skipped or expected to fail, and nothing is lost.

use std::collections::BTreeMap;

use crate::{
    observe::{TestOutcome, Tests},
    workspace::Change,
};

/// What the comparison says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Tests that broke, a sentence each.
    pub(super) broken: Vec<String>,
    /// Tests that are worth less: the rule, the id, and why.
    pub(super) refused: Vec<(&'static str, String, &'static str)>,
}

/// Compares the tests of a run before with those of one after. Only a `complete` run says that a test is lost.
pub(super) fn compare(before: &BTreeMap<&str, TestOutcome>, after: &Tests, change: &Change, complete: bool) -> Verdict {
    let mut verdict = Verdict::default();
    let mut lost = Vec::new();
    for (&id, &was) in before {
        let ran = matches!(was, TestOutcome::Passed | TestOutcome::Failed);
        match after.get(id) {
            Some(TestOutcome::Failed) if was == TestOutcome::Passed => {
                verdict.broken.push(format!("{id} passed before the change and fails after it"));
            }
            Some(TestOutcome::Skipped) if ran => {
                let why = "a test that ran before the change is skipped after it";
                verdict.refused.push(("test-skipped", id.to_owned(), why));
            }
            Some(TestOutcome::ExpectedFailure) if ran => {
                let why = "a test that ran before the change is expected to fail after it";
                verdict.refused.push(("test-skipped", id.to_owned(), why));
            }
            Some(_) => {}
            None => lost.push(id),
        }
    }
    let counts = |ids: &mut dyn Iterator<Item = &str>| {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        ids.for_each(|id| *counts.entry(function_of(id).to_owned()).or_insert(0) += 1);
        counts
    };
    let had = counts(&mut before.keys().copied());
    let ran = counts(&mut after.keys().map(String::as_str));
    for id in lost.into_iter().filter(|_| complete) {
        // A module that could not be collected is replaced by its tests, ids of unstable values by their siblings. Of a
        // file that the change touches the static judge has seen whether a test moved or went; its number is ours.
        let module = is_module(id);
        let function = function_of(id);
        let (was, is) = (had.get(function).copied().unwrap_or(0), ran.get(function).copied().unwrap_or(0));
        let touched = id.split_once("::").is_some_and(|(file, _)| change.files.contains_key(file));
        let moved = touched && is == 0;
        if !(module || is >= was || moved) {
            verdict.refused.push((
                "test-lost",
                id.to_owned(),
                "a test that ran before the change does not run after it",
            ));
        }
    }
    verdict
}

/// Did this test, or as its id may hold a value that changes, all tests of its function pass?
pub(super) fn seen_passing(id: &str, after: &Tests) -> bool {
    if let Some(outcome) = after.get(id) {
        return *outcome == TestOutcome::Passed;
    }
    let name = |id: &str| function_of(id).rsplit("::").next().unwrap_or_default().to_owned();
    let mut siblings = after.iter().filter(|(other, _)| name(other) == name(id)).peekable();
    siblings.peek().is_some() && siblings.all(|(_, outcome)| *outcome == TestOutcome::Passed)
}

/// A module that could not be collected is reported as if it were a test.
fn is_module(id: &str) -> bool {
    !id.contains("::") && id.ends_with(".py") || id.contains("unittest.loader._FailedTest")
}

fn function_of(id: &str) -> &str {
    id.split('[').next().unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use TestOutcome::{ExpectedFailure, Failed, Passed, Skipped};

    fn tests(list: &[(&str, TestOutcome)]) -> Tests {
        list.iter().map(|(id, outcome)| ((*id).to_owned(), *outcome)).collect()
    }

    fn rules(before: &[(&str, TestOutcome)], after: &[(&str, TestOutcome)], complete: bool) -> Vec<&'static str> {
        let before = before.iter().copied().collect();
        compare(&before, &tests(after), &Change::default(), complete)
            .refused
            .into_iter()
            .map(|(rule, ..)| rule)
            .collect()
    }

    #[test]
    fn a_failing_test_that_vanishes_is_lost() {
        assert_eq!(rules(&[("t.py::a", Failed), ("t.py::b", Passed)], &[("t.py::b", Passed)], true), ["test-lost"]);
        assert_eq!(
            rules(&[("t.py::a[1]", Failed), ("t.py::a[2]", Passed)], &[("t.py::a[2]", Passed)], true),
            ["test-lost"]
        );
    }

    #[test]
    fn a_test_whose_id_changes_with_every_run_is_found_by_its_siblings() {
        assert!(rules(&[("t.py::a[0x1]", Failed)], &[("t.py::a[0x2]", Passed)], true).is_empty());
    }

    #[test]
    fn a_run_that_broke_off_says_nothing_of_what_it_did_not_come_to() {
        assert!(rules(&[("t.py::a", Failed), ("t.py::b", Passed)], &[("t.py::a", Failed)], false).is_empty());
    }

    #[test]
    fn a_test_that_is_skipped_or_expected_to_fail_now_is_worth_less() {
        assert_eq!(rules(&[("t.py::a", Failed)], &[("t.py::a", Skipped)], true), ["test-skipped"]);
        assert_eq!(rules(&[("t.py::a", Passed)], &[("t.py::a", ExpectedFailure)], true), ["test-skipped"]);
        assert!(rules(&[("t.py::a", ExpectedFailure)], &[("t.py::a", ExpectedFailure)], true).is_empty());
        assert!(rules(&[("t.py::a", Skipped)], &[("t.py::a", Passed)], true).is_empty());
    }

    #[test]
    fn a_module_that_could_not_be_collected_is_replaced_by_its_tests() {
        assert!(rules(&[("tests/test_a.py", Failed)], &[("tests/test_a.py::a", Passed)], true).is_empty());
        assert_eq!(
            rules(&[("tests.test_a.Case.test_x", Failed)], &[("tests.test_a.Case.test_y", Passed)], true),
            ["test-lost"]
        );
    }

    #[test]
    fn a_claimed_test_must_be_seen_passing() {
        let after = tests(&[("t.py::a", Passed), ("t.py::b[x]", Passed), ("t.py::c", Skipped)]);
        assert!(seen_passing("t.py::a", &after) && seen_passing("t.py::b[y]", &after));
        assert!(!seen_passing("t.py::c", &after) && !seen_passing("t.py::gone", &after));
        assert!(seen_passing("moved.py::a", &after));
    }
}
