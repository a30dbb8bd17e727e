//! `plan`: what would run, where each line of it comes from, what is left out; and a log without commands is repaired
//! with those of the workflow.

use crate::world::{Step, TEST, UNITTEST, World, log, unittest_failure};

const WORKFLOW: &str = "
on: push
jobs:
  test:
    runs-on: ubuntu-latest
    strategy: {matrix: {python: ['3.x']}}
    env: {MODE: ci, KEY: '${{ secrets.KEY }}'}
    steps:
      - uses: actions/checkout@v5
      - {uses: actions/setup-python@v6, with: {python-version: '${{ matrix.python }}'}}
      - {name: Unit tests, run: python -m unittest}
      - {run: python -m compileall -q ., if: github.ref == 'refs/heads/main'}
";

#[test]
fn the_plan_of_a_log_without_commands_is_the_workflows_and_runs_nothing() {
    let world = World::new();
    world.repository(&[(".github/workflows/ci.yml", WORKFLOW), ("tests/__init__.py", ""), ("tiny.py", "x = 1\n")]);
    world.file("output.txt", unittest_failure("test_it", TEST, "ValueError: x"));
    let ran = world.run(&["plan", "--repo", "tiny", "--log", "output.txt"]);
    ran.exits_with(0)
        .prints(".github/workflows/ci.yml: test (python=3.x)")
        .prints("python -m unittest")
        .prints("workflow, step 3: Unit tests")
        .prints("env KEY")
        .prints("secrets.KEY is a secret")
        .prints("github.ref is known on GitHub only");
    let plan = world.run(&["plan", "--repo", "tiny", "--log", "output.txt", "--format", "json"]).exits_with(0).json();
    assert_eq!(plan["schema"], 1);
    assert_eq!(plan["checks"][0]["command"], "python -m unittest");
    assert_eq!(plan["checks"][0]["origin"], "workflow");
    assert_eq!(plan["checks"][0]["network"], false);
    assert_eq!(plan["env"]["MODE"], "ci");
    assert_eq!(plan["python_from"], "the workflow");
    assert!(!world.cache().join("environments").exists());
}

#[test]
fn the_plan_of_a_whole_log_is_what_it_shows_and_a_person_may_say_otherwise() {
    let world = World::new();
    world.repository(&[("tests/__init__.py", ""), ("tiny.py", "x = 1\n")]);
    world.file("ci.log", log(&[Step(UNITTEST, &unittest_failure("test_it", TEST, "ValueError: x"), 1)]));
    world.run(&["plan", "--repo", "tiny", "--log", "ci.log"]).exits_with(0).prints("log, ").prints(UNITTEST);
    world
        .run(&["plan", "--repo", "tiny", "--log", "ci.log", "--command", "make check", "--python", "3.12"])
        .exits_with(0)
        .prints("command line, --command")
        .prints("3.12 (from --python)");
    world.file("green.log", log(&[Step(UNITTEST, "OK\n", 0)]));
    world.run(&["plan", "--repo", "tiny", "--log", "green.log"]).exits_with(8).complains(&["no log shows a failure"]);
    world.run(&["plan", "--repo", "tiny", "--log", "ci.log", "--matrix", "x"]).exits_with(2).complains(&["NAME=VALUE"]);
}

#[test]
fn a_failure_that_only_a_terminal_showed_is_judged_with_the_workflows_command() {
    let world = World::new();
    let test = "import unittest\nimport tiny\n\n\nclass TinyTest(unittest.TestCase):\n    def test_it(self):\n        self.assertEqual(tiny.x, 2)\n";
    world.repository(&[
        (".github/workflows/ci.yml", WORKFLOW),
        ("tests/__init__.py", ""),
        (TEST, test),
        ("tiny.py", "x = 1\n"),
    ]);
    world.file("output.txt", unittest_failure("test_it", TEST, "AssertionError: 1 != 2"));
    world.file("a.patch", "--- a/tiny.py\n+++ b/tiny.py\n@@ -1 +1 @@\n-x = 1\n+x = 2\n");
    let arguments = ["verify", "--repo", "tiny", "--log", "output.txt", "--patch", "a.patch"];
    world.run(&arguments).exits_with(0).prints("python -m unittest");
}
