use std::sync::Mutex;

use super::*;
use crate::{
    detect::Detector,
    sandbox::{
        CheckRun,
        double::{Double, ended},
    },
};

const CHECK: &str = "python -m unittest discover -s tests -t .";
const PASSES: &str = "test_it (tests.test_tiny.T.test_it) ... ok\n\n-----\nRan 1 test in 0.001s\n\nOK\n";
const FAILS: &str = "test_it (tests.test_tiny.T.test_it) ... FAIL\n\n\
    ======================================================================\n\
    FAIL: test_it (tests.test_tiny.T.test_it)\n\
    ----------------------------------------------------------------------\n\
    Traceback (most recent call last):\n  File \"/r/tests/test_tiny.py\", line 7, in test_it\n    it()\n\
    AssertionError: 1 != 0\n\n\
    ----------------------------------------------------------------------\nRan 1 test in 0.001s\n\nFAILED (failures=1)\n";

fn ran_so(passes: bool, output: &str) -> CheckRun {
    ended(i32::from(!passes), output.as_bytes())
}

/// What is named of a test that passes as `passes` says.
async fn named(chance: bool, passes: impl FnMut(&str) -> bool + Send) -> Vec<Named> {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("a.py"), "").unwrap();
    let tree = Tree::snapshot(directory.path()).unwrap();
    let log = "2025-03-03T09:00:00.0000000Z ##[group]Run python -m unittest\n\
               2025-03-03T09:00:00.0000000Z shell: /usr/bin/bash -e {0}\n2025-03-03T09:00:00.0000000Z ##[endgroup]\n";
    let mut detector = Detector::new("ci.log");
    detector.feed(log.as_bytes());
    detector.feed(FAILS.as_bytes());
    detector.feed(b"##[error]Process completed with exit code 1.\n");
    let log = detector.finish().remove(0);
    let job = crate::plan::plan(
        &log,
        &crate::plan::Sources::default(),
        &crate::plan::Overrides { commands: vec![CHECK.to_owned()], ..Default::default() },
    );
    let check = &job.checks[0];
    let run = |passes: bool| observe(check, ran_so(passes, if passes { PASSES } else { FAILS }), None, "/r");
    let runs = [[run(true), run(!chance)]];
    let failures: Vec<&Failure> = log.failures.iter().collect();
    let passes = Mutex::new(passes);
    let mut prepared = Double::new("/r".into(), |script, _, _| {
        if script == "locale -a" {
            return Ok(ran_so(true, "C\nde_DE.utf8\n"));
        }
        let passes = (passes.lock().unwrap())(script);
        Ok(ran_so(passes, if passes { PASSES } else { FAILS }))
    });
    let progress = Progress::silent();
    let place = Place { prepared: &mut prepared, tree: &tree, job: &job, runs: &runs, progress: &progress };
    name(place, &log, &failures, chance).await
}

fn causes(named: &[Named]) -> Vec<Dependence> {
    named.iter().map(|named| named.cause).collect()
}

#[tokio::test]
async fn one_condition_after_the_other_is_tried() {
    for (script, cause) in [
        (&["TEST_REPAIR_CLOCK=$((1740992400 - "][..], Dependence::Clock),
        (&["Asia/Kolkata"], Dependence::TimeZone),
        (&["LC_ALL=C "], Dependence::Locale),
        (&["LC_ALL=de_DE.utf8"], Dependence::Locale),
        (&["TEST_REPAIR_REVERSED"], Dependence::Order),
        (&["unittest -v tests.test_tiny.T.test_it"], Dependence::Order),
        (&["PYTHONHASHSEED=2", "PYTHONHASHSEED=4"], Dependence::HashSeed),
    ] {
        let named = named(false, |given| !script.iter().any(|part| given.contains(part))).await;
        assert_eq!(causes(&named), [cause], "{script:?}");
        assert_eq!(named[0].failures, ["tests.test_tiny.T.test_it"]);
        assert!(named[0].sentence().contains("4 of 4 repeats fail"), "{named:?}");
    }
}

#[tokio::test]
async fn what_always_passes_and_what_fails_every_other_time_has_no_cause() {
    assert!(named(false, |_| true).await.is_empty());
    for chance in [false, true] {
        let mut runs = 0;
        let mut every_other = move |_: &str| {
            runs += 1;
            runs % 2 == 0
        };
        assert!(named(chance, &mut every_other).await.is_empty());
    }
}

#[tokio::test]
async fn chance_is_hardly_ever_taken_for_a_cause() {
    let mut random = fastrand::Rng::with_seed(7);
    for chance in [false, true] {
        let mut wrong = 0;
        for _ in 0..100 {
            let mut random = random.fork();
            wrong += named(chance, move |_: &str| random.bool()).await.len();
        }
        assert!(wrong <= 6, "{wrong} of 100, {chance}");
    }
}

#[tokio::test]
async fn another_failure_under_a_condition_is_not_the_one_of_the_log() {
    let tests = |outcome| crate::observe::Tests::from([("tests.test_tiny.T.test_it".to_owned(), outcome)]);
    let check = Check::new(CHECK, Origin::Log, "");
    let other = FAILS.replace("AssertionError: 1 != 0", "KeyError: 'x'");
    let seen = observe(&check, ran_so(false, &other), None, "/r");
    let log = observe(&check, ran_so(false, FAILS), None, "/r");
    assert_eq!(seen.tests, Some(tests(TestOutcome::Failed)));
    assert_eq!(state(&seen, &log.failures[0]), State::Unclear);
    assert_eq!(state(&log, &log.failures[0]), State::Shows);
    let passed = observe(&check, ran_so(true, PASSES), None, "/r");
    assert_eq!(state(&passed, &log.failures[0]), State::Passes);
    // A run that did not come to the test says nothing of it.
    let without = Observed { tests: Some(crate::observe::Tests::new()), ..passed };
    assert_eq!(state(&without, &log.failures[0]), State::Unclear);
}
