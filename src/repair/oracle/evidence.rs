//! A declared test fix rests on what else asserts the new value. The static judge finds it; whether a test that it
//! names ran and passed before the change is known here.

use super::Ruling;
use crate::{
    fix_type::FixType,
    integrity::{self, Finding, Judged, TreeRead, Witness},
    observe::TestOutcome,
    repair::{launch::is_of, reproduce::Baseline},
    workspace::Change,
};

/// Does everything that the change expects anew rest on something that holds?
pub(super) fn prove(tree: &dyn TreeRead, baselines: &[Baseline], change: &Change) -> Ruling {
    let declared = Some(FixType::Test);
    let judged = Judged { change, before: tree, reported: &[], declared, category: None, protected: &[] };
    let findings = integrity::judge(&judged);
    let stable = baselines.iter().flat_map(|b| (0..b.runs().len()).filter_map(|check| b.stable_tests(check)));
    let outcomes: Vec<(String, TestOutcome)> = stable.flatten().map(|(id, outcome)| (id.to_owned(), outcome)).collect();
    weigh(&findings, &outcomes)
}

/// `outcomes` are those of tests that ended twice in the same way before the change.
fn weigh(findings: &[Finding], outcomes: &[(String, TestOutcome)]) -> Ruling {
    let (mut notes, mut reasons) = (Vec::new(), Vec::new());
    for finding in findings.iter().filter(|finding| !finding.witnesses.is_empty()) {
        match finding.witnesses.iter().find(|witness| holds(witness, outcomes)) {
            Some(witness @ Witness::Test { .. }) => {
                notes.push(format!("{witness}, and passed before the change"));
            }
            Some(witness) => notes.push(witness.to_string()),
            None => {
                let named: Vec<String> = finding.witnesses.iter().map(ToString::to_string).collect();
                let what = &finding.message;
                reasons.push(format!("{what} Its evidence did not pass before the change: {}", named.join("; ")));
            }
        }
    }
    if reasons.is_empty() { Ruling::Holds { notes } } else { Ruling::Fails { reasons } }
}

/// A test holds when it ran, and every case of it passed.
fn holds(witness: &Witness, outcomes: &[(String, TestOutcome)]) -> bool {
    let Witness::Test { file, qual } = witness else { return true };
    let mut cases = outcomes.iter().filter(|(id, _)| is_of(id, file, qual)).peekable();
    cases.peek().is_some() && cases.all(|(_, outcome)| *outcome == TestOutcome::Passed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use TestOutcome::{Failed, Passed, Skipped};

    fn test(qual: &str) -> Witness {
        Witness::Test { file: "tests/test_a.py".to_owned(), qual: qual.to_owned() }
    }

    fn weighed(witnesses: Vec<Witness>, outcomes: &[(&str, TestOutcome)]) -> Ruling {
        let mut finding = Finding::flag("expectation-rewritten", Some("tests/test_b.py"), "It expects something else.");
        finding.witnesses = witnesses;
        let outcomes: Vec<_> = outcomes.iter().map(|(id, outcome)| ((*id).to_owned(), *outcome)).collect();
        weigh(&[finding], &outcomes)
    }

    #[test]
    fn evidence_that_passed_holds() {
        let ruling = weighed(vec![test("test_x")], &[("tests/test_a.py::test_x[1]", Passed)]);
        assert!(matches!(ruling, Ruling::Holds { notes } if notes.len() == 1));
    }

    #[test]
    fn evidence_that_failed_was_skipped_or_did_not_run_shows_nothing() {
        for outcomes in [
            &[("tests/test_a.py::test_x", Failed)][..],
            &[("tests/test_a.py::test_x", Skipped)],
            &[("tests/test_a.py::test_x[1]", Passed), ("tests/test_a.py::test_x[2]", Failed)],
            &[("tests/test_a.py::test_y", Passed)],
            &[],
        ] {
            assert!(matches!(weighed(vec![test("test_x")], outcomes), Ruling::Fails { .. }), "{outcomes:?}");
        }
    }

    #[test]
    fn one_witness_that_holds_is_enough() {
        let docstring = Witness::Docstring { file: "a.py".to_owned(), name: "total".to_owned() };
        assert!(matches!(weighed(vec![test("test_x"), docstring], &[]), Ruling::Holds { .. }));
        let both = vec![test("test_x"), test("test_y")];
        assert!(matches!(weighed(both, &[("tests/test_a.py::test_y", Passed)]), Ruling::Holds { .. }));
    }

    #[test]
    fn a_change_that_rewrites_nothing_needs_no_evidence() {
        assert!(matches!(weighed(Vec::new(), &[]), Ruling::Holds { notes } if notes.is_empty()));
    }
}
