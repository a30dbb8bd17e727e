//! The workflow's other jobs: what a fix breaks in them rejects it, what was red before does not, what can't be run is
//! listed.

use crate::world::{Ran, Step, TEST, UNITTEST, World, log, unittest_failure};

const TEST_JOB: &str = "
on: push
jobs:
  test:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v5
      - run: python -m unittest discover -s tests -t .
";

/// A job that reads the code, as linters do.
const LINT_JOB: &str = "
  lint:
    name: Lint it
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v5
      - run: python lint.py
";

/// Complains of semicolons.
const LINT: &str = "import sys\n\nfound = [name for name in ('tiny.py', 'other.py') if ';' in open(name).read()]\n\
                    sys.exit(f'semicolons in {found}' if found else 0)\n";

const RIGHT: &str = "--- a/tiny.py\n+++ b/tiny.py\n@@ -1,2 +1,5 @@\n+import json\n+\n+\n def read(text):\n     return json.loads(text)\n";
const UNTIDY: &str = "--- a/tiny.py\n+++ b/tiny.py\n@@ -1,2 +1,5 @@\n+import json;\n+\n+\n def read(text):\n     return json.loads(text)\n";

/// A module that lacks an import, the log of the job that shows it, and a workflow of that job and `others`.
fn world(others: &str, files: &[(&str, &str)]) -> World {
    let world = World::new();
    let workflow = format!("{TEST_JOB}{others}");
    let tiny = [
        (".github/workflows/ci.yml", workflow.as_str()),
        ("lint.py", LINT),
        ("other.py", "x = 1\n"),
        ("tiny.py", "def read(text):\n    return json.loads(text)\n"),
        ("tests/__init__.py", ""),
        (
            TEST,
            "import unittest\nimport tiny\n\n\nclass TinyTest(unittest.TestCase):\n    def test_it(self):\n        \
             self.assertEqual(tiny.read(\"1\"), 1)\n",
        ),
    ];
    let kept = tiny.into_iter().filter(|(path, _)| !files.iter().any(|(own, _)| own == path));
    world.repository(&kept.chain(files.iter().copied()).collect::<Vec<_>>());
    let failure = unittest_failure("test_it", "tiny.py", "NameError: name 'json' is not defined");
    world.file("ci.log", log(&[Step(UNITTEST, &failure, 1)]));
    world
}

fn verify(world: &World, patch: &str, more: &[&str]) -> Ran {
    world.file("a.patch", patch);
    world.run(&[&["verify", "--repo", "tiny", "--log", "ci.log", "--patch", "a.patch"][..], more].concat())
}

const JSON: [&str; 2] = ["--format", "json"];

#[test]
fn a_fix_that_breaks_another_job_is_rejected_with_its_name() {
    let world = world(LINT_JOB, &[]);
    let ran = verify(&world, UNTIDY, &[]).exits_with(3);
    ran.prints("Lint it: `python lint.py` passed before the change and fails after it")
        .prints("semicolons in ['tiny.py']");
}

#[test]
fn a_fix_that_breaks_no_other_job_is_proven_and_the_jobs_are_listed() {
    let world = world(LINT_JOB, &[]);
    verify(&world, RIGHT, &[]).exits_with(0).prints("Lint it: python lint.py");
    let said = verify(&world, RIGHT, &JSON).exits_with(0).json();
    let check = said["checks"].as_array().unwrap().iter().find(|check| check["job"] == "Lint it").unwrap();
    assert_eq!((&check["before"], &check["after"]), (&"passed".into(), &"passed".into()));
    assert_eq!(said["not_checked"], serde_json::json!([]));
    let fixed = world.run(&["fix", "--repo", "tiny", "--log", "ci.log", "--rules-only", "--out", "out"]);
    fixed.exits_with(0).prints("Lint it: python lint.py");
    let report = std::fs::read_to_string(world.path("out/report.md")).unwrap();
    assert!(report.contains("| `Lint it: python lint.py` | passed | passed |"), "{report}");
}

#[test]
fn a_job_that_was_red_before_blocks_nothing_unless_it_gets_worse() {
    let world = world(LINT_JOB, &[("other.py", "x = 1;\n")]);
    let said = verify(&world, RIGHT, &JSON).exits_with(0).json();
    let listed = said["not_checked"][0].as_str().unwrap();
    assert_eq!(listed, "Lint it: `python lint.py` fails before the change and no worse after it");
    let second = "
  second:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v5
      - run: python -m unittest -v second third
";
    // The job's tests are compared one by one.
    let red =
        "import unittest\n\n\nclass Third(unittest.TestCase):\n    def test_red(self):\n        self.fail('ever')\n";
    let reads = "import unittest\n\n\nclass Second(unittest.TestCase):\n    def test_tidy(self):\n        \
                 self.assertNotIn(';', open('tiny.py').read())\n";
    let world = self::world(second, &[("second.py", reads), ("third.py", red)]);
    verify(&world, RIGHT, &[]).exits_with(0);
    verify(&world, UNTIDY, &[]).exits_with(3).prints("second: ").prints("test_tidy passed before the change");
}

#[test]
fn what_cannot_be_run_is_listed_with_the_reason_and_nothing_of_it_runs() {
    let others = "
  database:
    runs-on: ubuntu-latest
    services: {db: {image: 'postgres:17'}}
    steps: [{uses: actions/checkout@v5}, {run: python lint.py}]
  image:
    runs-on: ubuntu-latest
    container: alpine:3
    steps: [{uses: actions/checkout@v5}, {run: python lint.py}]
  windows:
    runs-on: windows-latest
    steps: [{uses: actions/checkout@v5}, {run: python lint.py}]
  secret:
    runs-on: ubuntu-latest
    steps: [{uses: actions/checkout@v5}, {run: python lint.py, env: {KEY: '${{ secrets.KEY }}'}}]
  release:
    runs-on: ubuntu-latest
    steps: [{uses: actions/checkout@v5}, {run: python lint.py}, {run: twine upload dist/*}]
  pages:
    runs-on: ubuntu-latest
    steps: [{uses: actions/checkout@v5}, {run: python lint.py}, {uses: actions/deploy-pages@v4}]
  nightly:
    runs-on: ubuntu-latest
    if: github.event_name == 'schedule'
    steps: [{uses: actions/checkout@v5}, {run: python lint.py}]
  never:
    runs-on: ubuntu-latest
    if: ${{ false }}
    steps: [{uses: actions/checkout@v5}, {run: python lint.py}]
  called:
    uses: someone/else/.github/workflows/x.yml@v1
  gate:
    runs-on: ubuntu-latest
    needs: [test]
    steps: [{run: python -c pass}]
  old:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v5
      - {uses: actions/setup-python@v6, with: {python-version: '3.2'}}
      - run: python lint.py
  again:
    runs-on: ubuntu-latest
    steps: [{uses: actions/checkout@v5}, {run: python -m unittest discover -s tests -t .}]
";
    let world = world(others, &[]);
    let reasons = [
        ("database", "it needs services: db"),
        ("image", "it runs in the container alpine:3"),
        ("windows", "it runs on windows-latest"),
        ("secret", "it needs a secret, which nothing gets here"),
        ("release", "it publishes or deploys: twine upload dist/*"),
        ("pages", "it publishes or deploys: actions/deploy-pages"),
        ("nightly", "whether it runs is not known: github.event_name is known on GitHub only"),
        ("never", "its condition"),
        ("called", "its steps are not in this repository"),
        ("gate", "it does not check the code out"),
        ("old", "there is no Python 3.2 here"),
        ("again", "all that it checks is run by test, in the same environment"),
    ];
    let plan = world.run(&["plan", "--repo", "tiny", "--log", "ci.log", "--format", "json"]).exits_with(0).json();
    assert_eq!(plan["beside"]["jobs"], serde_json::json!([]));
    let said = verify(&world, UNTIDY, &JSON).exits_with(0).json();
    assert_eq!(said["checks"].as_array().unwrap().len(), 1, "{said:#}");
    for (job, reason) in reasons {
        let of = |line: &&serde_json::Value| line.as_str().unwrap().contains(&format!("{job}: "));
        let line = said["not_checked"].as_array().unwrap().iter().find(of).expect(job).as_str().unwrap();
        assert!(line.starts_with("not run beside it: ") && line.contains(reason), "{line}");
        let planned = |one: &&serde_json::Value| one["what"] == job && one["why"].as_str().unwrap().contains(reason);
        assert!(plan["beside"]["skipped"].as_array().unwrap().iter().any(|one| planned(&one)), "{plan:#}");
    }
}

#[test]
fn a_job_that_does_not_end_within_the_time_box_is_listed_and_no_other_suffers() {
    let slow = "
  endless:
    runs-on: ubuntu-latest
    steps: [{uses: actions/checkout@v5}, {run: python endless.py}]
";
    let world = world(&format!("{slow}{LINT_JOB}"), &[("endless.py", "import time\ntime.sleep(3600)\n")]);
    let begun = std::time::Instant::now();
    let said = verify(&world, RIGHT, &JSON).exits_with(0).json();
    assert!(begun.elapsed().as_secs() < 200, "{:?}", begun.elapsed());
    assert_eq!(said["not_checked"][0], "not run beside it: endless: it did not end within the time box");
    assert!(said["checks"].as_array().unwrap().iter().any(|check| check["job"] == "Lint it"), "{said:#}");
}

#[test]
fn a_repository_may_do_without_its_other_jobs() {
    let world = world(LINT_JOB, &[(".github/test-repair.yml", "other_jobs: false\n")]);
    let said = verify(&world, UNTIDY, &JSON).exits_with(0).json();
    let why = "not run beside it: the workflow's other jobs: other_jobs: false in .github/test-repair.yml";
    assert_eq!(said["not_checked"], serde_json::json!([why]));
}

#[test]
fn a_log_of_no_job_of_the_workflow_claims_no_other_job_and_says_so() {
    let world = world(LINT_JOB, &[]);
    let failure = unittest_failure("test_it", "tiny.py", "NameError: name 'json' is not defined");
    world.file("ci.log", log(&[Step("python -m unittest tests.test_tiny", &failure, 1)]));
    let said = verify(&world, UNTIDY, &JSON).exits_with(0).json();
    let why = "not run beside it: the workflow's other jobs: no job of the workflow files runs this command";
    assert_eq!(said["not_checked"], serde_json::json!([why]));
}
