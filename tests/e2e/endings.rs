//! Every way to end, and the exit code that says so.

use crate::world::{Step, TEST, UNITTEST, World, log, unittest_failure};

const MISSING: &str = "NameError: name 'json' is not defined";

/// A module that lacks an import, and a test that shows it.
const TINY: &[(&str, &str)] = &[
    ("tiny.py", "def read(text):\n    return json.loads(text)\n"),
    ("tests/__init__.py", ""),
    (
        "tests/test_tiny.py",
        "import unittest\nimport tiny\n\n\nclass TinyTest(unittest.TestCase):\n    def test_it(self):\n        \
         self.assertEqual(tiny.read(\"1\"), 1)\n",
    ),
];

const RIGHT: &str = "--- a/tiny.py\n+++ b/tiny.py\n@@ -1,2 +1,5 @@\n+import json\n+\n+\n def read(text):\n     return json.loads(text)\n";
const USELESS: &str = "--- a/tiny.py\n+++ b/tiny.py\n@@ -1,2 +1,3 @@\n+# It should work now.\n def read(text):\n     return json.loads(text)\n";
const BREAKS: &str =
    "--- a/tiny.py\n+++ b/tiny.py\n@@ -1,2 +1,2 @@\n def read(text):\n-    return json.loads(text)\n+    return 2\n";
const SKIPS: &str = "--- a/tests/test_tiny.py\n+++ b/tests/test_tiny.py\n@@ -4,3 +4,4 @@\n \n class TinyTest(unittest.TestCase):\n+    @unittest.skip(\"later\")\n     def test_it(self):\n";
const DELETES: &str = "--- a/tests/test_tiny.py\n+++ /dev/null\n@@ -1,7 +0,0 @@\n-import unittest\n-import tiny\n-\n-\n-class TinyTest(unittest.TestCase):\n-    def test_it(self):\n-        self.assertEqual(tiny.read(\"1\"), 1)\n";

fn tiny() -> World {
    let world = World::new();
    world.repository(TINY);
    world.file("ci.log", log(&[Step(UNITTEST, &unittest_failure("test_it", "tiny.py", MISSING), 1)]));
    world
}

const GIVEN: [&str; 4] = ["--repo", "tiny", "--log", "ci.log"];

fn fix(world: &World) -> crate::world::Ran {
    world.run(&[&["fix"][..], &GIVEN].concat())
}

fn verify(world: &World, patch: &str) -> crate::world::Ran {
    world.file("a.patch", patch);
    world.run(&[&["verify", "--patch", "a.patch"][..], &GIVEN].concat())
}

#[test]
fn a_repaired_tree_is_fixed_and_the_right_patch_is_proven() {
    let world = tiny();
    fix(&world).exits_with(0).prints("fixed\n").prints("+import json");
    verify(&world, RIGHT).exits_with(0).prints("proven\n");
}

#[test]
fn the_patch_of_a_printed_report_can_be_applied_by_hand() {
    let world = tiny();
    let report = world.file("report.txt", fix(&world).exits_with(0).stdout);
    let root = world.path("tiny");
    world.may_change(&root);
    world.git(&root, &["apply", report.to_str().unwrap()]);
    assert_eq!(world.git(&root, &["status", "--porcelain"]), " M tiny.py\n");
}

#[test]
fn what_a_second_log_shows_and_nobody_saw_again_is_said_not_to_be_checked() {
    let world = tiny();
    world.file("other.log", log(&[Step(UNITTEST, &unittest_failure("test_other", TEST, "KeyError: 'x'"), 1)]));
    world.file("a.patch", RIGHT);
    for door in [&["fix"][..], &["verify", "--patch", "a.patch"]] {
        let said =
            world.run(&[door, &GIVEN, &["--log", "other.log", "--format", "json"]].concat()).exits_with(0).json();
        let list = if door[0] == "fix" { &said["validation"]["not_checked"] } else { &said["not_checked"] };
        assert_eq!(list[0], "jobs of other logs, whose failures were not reproduced", "{said:#}");
        assert!(list[1].as_str().unwrap().contains("test_other: KeyError: 'x'"), "{said:#}");
    }
}

#[test]
fn a_patch_that_leaves_the_check_failing_fails() {
    let world = tiny();
    verify(&world, USELESS).exits_with(3).prints("failed").prints("still fails");
    verify(&world, BREAKS).exits_with(3).prints("failed");
}

#[test]
fn a_patch_that_weakens_the_tests_is_refused_before_anything_runs() {
    let world = tiny();
    for patch in [SKIPS, DELETES] {
        let ran = verify(&world, patch).exits_with(9).prints("refused\n");
        assert!(!ran.stderr.contains("reproduce"), "{}", ran.stderr);
    }
    let said = {
        world.file("a.patch", SKIPS);
        world.run(&[&["verify", "--format", "json", "--patch", "a.patch"][..], &GIVEN].concat()).exits_with(9).json()
    };
    assert_eq!((&said["schema"], &said["verdict"]), (&1.into(), &"refused".into()));
    let finding = &said["findings"][0];
    for field in ["rule", "severity", "file", "line", "message", "evidence", "before", "after"] {
        assert!(finding.get(field).is_some(), "{field} is missing in {finding}");
    }
    assert_eq!(finding["severity"], "refuse");
    for field in ["checks", "collected", "not_checked", "sandbox", "timings"] {
        assert!(said.get(field).is_some(), "{field} is missing in {said}");
    }
}

#[test]
fn a_failure_that_the_tree_does_not_have_is_not_reproduced() {
    let world = tiny();
    world.file("ci.log", log(&[Step(UNITTEST, &unittest_failure("test_other", TEST, "KeyError: 'x'"), 1)]));
    fix(&world).exits_with(4).prints("not reproduced\n").prints("KeyError: 'x'");
    verify(&world, RIGHT).exits_with(4);
}

#[test]
fn a_lost_runner_is_not_the_codes_fault() {
    let world = tiny();
    let lost =
        "##[error]The runner has received a shutdown signal. This can happen when the runner service is stopped.";
    world.file("ci.log", log(&[Step(UNITTEST, lost, 0)]));
    fix(&world).exits_with(5).prints("infrastructure");
    verify(&world, RIGHT).exits_with(5).prints("infrastructure");
}

#[test]
fn a_check_that_fails_in_one_run_of_two_is_flaky() {
    let world = World::new();
    // Every run sits out the two seconds that it begins in, so the next one begins in the next two.
    world.repository(&[
        ("tests/__init__.py", ""),
        (
            "tests/test_tiny.py",
            "import time, unittest\n\n\nclass TinyTest(unittest.TestCase):\n    def test_it(self):\n        \
             phase = int(time.time() / 2)\n        time.sleep((phase + 1) * 2 - time.time() + 0.01)\n        \
             self.assertEqual(phase % 2, 0)\n",
        ),
    ]);
    world.file("ci.log", log(&[Step(UNITTEST, &unittest_failure("test_it", TEST, "AssertionError: 1 != 0"), 1)]));
    fix(&world).exits_with(5).prints("flaky").prints("in one of two runs");
}

#[test]
fn a_deadline_ends_the_run_and_keeps_the_diagnosis() {
    let world = tiny();
    world.run(&[&["fix", "--deadline", "0"][..], &GIVEN].concat()).exits_with(6).prints("deadline spent");
}

#[test]
fn a_green_log_holds_nothing_to_repair() {
    let world = tiny();
    world.file("ci.log", log(&[Step(UNITTEST, ".\n----\nRan 1 test in 0.001s\n\nOK", 0)]));
    world.run(&["detect", "ci.log"]).exits_with(0).prints("no failure found");
    fix(&world).exits_with(8).prints("nothing detected\n");
    verify(&world, RIGHT).exits_with(8).prints("nothing detected\n");
}

#[test]
fn a_later_step_that_is_still_red_needs_a_person() {
    let world = World::new();
    let workflow =
        format!("on: push\njobs:\n  test:\n    steps:\n      - run: {UNITTEST}\n      - run: python later.py\n");
    let more = [(".github/workflows/ci.yml", workflow.as_str()), ("later.py", "raise SystemExit('not yet')\n")];
    let root = world.repository(&[TINY, &more].concat());
    world.file("ci.log", log(&[Step(UNITTEST, &unittest_failure("test_it", "tiny.py", MISSING), 1)]));
    fix(&world).exits_with(10).prints("a person must look").prints("python later.py");
    verify(&world, RIGHT).exits_with(10).prints("proven, but a person must look\n");
    let apply = [&["fix", "--apply"][..], &GIVEN].concat();
    world.run(&apply).exits_with(10).complains(&["not applied", "--accept-flagged"]);
    assert_eq!(world.git(&root, &["status", "--porcelain"]), "");
    world.may_change(&root);
    world.run(&[&apply[..], &["--accept-flagged"]].concat()).exits_with(10).complains(&["applied to tiny.py"]);
    assert_eq!(world.git(&root, &["status", "--porcelain"]), " M tiny.py\n");
}

#[test]
fn a_result_that_cannot_be_written_is_an_unexpected_error() {
    let world = tiny();
    world.file("taken", "a file, no directory");
    world
        .run(&[&["fix", "--deadline", "0", "--out", "taken/out"][..], &GIVEN].concat())
        .exits_with(1)
        .complains(&["--out taken/out"]);
}

#[test]
fn a_fix_of_a_type_that_is_not_enabled_is_not_proposed() {
    let world = tiny();
    world
        .run(&[&["fix", "--fix-types", "documentation"][..], &GIVEN].concat())
        .exits_with(3)
        .prints("fix type import is not enabled");
}

#[test]
fn what_the_repository_protects_no_patch_may_touch_and_a_patch_cannot_lift_that() {
    let world = World::new();
    let config = [(".github/test-repair.yml", "protected_paths: [tiny.py]\n")];
    world.repository(&[TINY, &config].concat());
    world.file("ci.log", log(&[Step(UNITTEST, &unittest_failure("test_it", "tiny.py", MISSING), 1)]));
    verify(&world, RIGHT).exits_with(9).prints("protected-path");
    let lifts = "--- a/.github/test-repair.yml\n+++ b/.github/test-repair.yml\n@@ -1 +1 @@\n-protected_paths: [tiny.py]\n\
                 +protected_paths: []\n";
    verify(&world, &format!("{lifts}{RIGHT}")).exits_with(9).prints("protected-path");
    fix(&world).exits_with(3).prints("protected-path");
}

#[test]
fn findings_are_also_printed_as_sarif() {
    let world = tiny();
    world.file("a.patch", SKIPS);
    let detected = world.run(&["detect", "--format", "sarif", "ci.log"]).exits_with(1).json();
    let refused =
        world.run(&[&["verify", "--format", "sarif", "--patch", "a.patch"][..], &GIVEN].concat()).exits_with(9).json();
    for sarif in [detected, refused] {
        assert_eq!(sarif["version"], "2.1.0");
        assert!(sarif["runs"][0]["results"][0]["message"]["text"].is_string(), "{sarif:#}");
    }
}
