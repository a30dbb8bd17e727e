//! What a failure depends on besides the code: named where repeats show it, and never otherwise.

use serde_json::Value;

use crate::{
    endpoint::{Endpoint, Say},
    model::answer,
    world::{Ran, Step, TEST, UNITTEST, World, index, log, unittest_failure},
};

const ASSERTION: &str = "AssertionError: 1 != 0";

/// A repository with these methods in its one test case, which failed with `error` in `test_it`.
fn world_of(methods: &str, error: &str, env: &str) -> World {
    let world = World::new();
    let test = format!("import datetime, os, time, unittest\n\n\nclass TinyTest(unittest.TestCase):\n{methods}");
    world.repository(&[("tests/__init__.py", ""), (TEST, &test)]);
    let log = log(&[Step(UNITTEST, &unittest_failure("test_it", TEST, error), 1)]);
    world.file("ci.log", log.replace("shell: /usr/bin/bash -e {0}", &format!("shell: /usr/bin/bash -e {{0}}{env}")));
    world
}

fn fix(world: &World, more: &[&str]) -> Ran {
    world.run(&[&["fix", "--rules-only", "--repo", "tiny", "--log", "ci.log"], more].concat())
}

/// What the first target of the report depends on.
fn depends(said: &Value) -> &Value {
    &said["targets"][0]["baseline"]["depends"]
}

#[track_caller]
fn is_named(world: &World, cause: &str, shown: &[&str]) {
    let said = fix(world, &["--format", "json"]).exits_with(5).json();
    assert_eq!((&said["outcome"], &said["cause"]), (&"flaky".into(), &cause.into()), "{said:#}");
    let named = &depends(&said)[0];
    assert_eq!((&named["cause"], &named["failures"][0]), (&cause.into(), &"tests.test_tiny.TinyTest.test_it".into()));
    for part in shown {
        assert!(named["shown"].as_str().unwrap().contains(part), "{named:#}");
    }
}

#[test]
fn a_failure_in_one_time_zone_is_named_in_every_report() {
    let method = "    def test_it(self):\n        self.assertEqual(time.localtime(0).tm_hour < 6, True)\n";
    let world = world_of(method, "AssertionError: False != True", "");
    is_named(&world, "time-zone", &["4 of 4 repeats fail with TZ=America/New_York", "4 of 4 pass as it stands"]);
    let report = "it depends on the time zone";
    let ran = fix(&world, &["--out", "out"]).exits_with(5).prints(report).prints("test_it depends on the time zone");
    ran.complains(&["with TZ=America/New_York"]);
    let markdown = std::fs::read_to_string(world.path("out/report.md")).unwrap();
    assert!(markdown.contains(report) && markdown.contains("4 of 4 repeats fail"), "{markdown}");
    world.file("a.patch", "--- a/a.py\n+++ b/a.py\n@@ -0,0 +1 @@\n+A = 1\n");
    let verify = ["verify", "--repo", "tiny", "--log", "ci.log", "--patch", "a.patch"];
    world.run(&verify).exits_with(5).prints(report).prints("with TZ=America/New_York");
    let said = world.run(&[&verify[..], &["--format", "json"]].concat()).exits_with(5).json();
    assert_eq!((&said["verdict"], &said["cause"]), (&"flaky".into(), &"time-zone".into()));
}

#[test]
fn a_failure_without_utf_8_depends_on_the_locale() {
    let method =
        "    def test_it(self):\n        # ünïcode\n        with open(__file__) as file:\n            file.read()\n";
    let error = "UnicodeDecodeError: 'ascii' codec can't decode byte 0xc3 in position 114: ordinal not in range(128)";
    is_named(&world_of(method, error, ""), "locale", &["in the C locale, without UTF-8"]);
}

#[test]
fn a_test_that_lives_on_what_another_leaves_depends_on_the_order() {
    let methods = "    def test_a(self):\n        os.left = 1\n\n    def test_it(self):\n        \
                   self.assertEqual(getattr(os, 'left', 0), 1)\n";
    let world = world_of(methods, "AssertionError: 0 != 1", "");
    is_named(&world, "order", &["fail with the tests in reverse order", "pass after the tests that come before"]);
}

#[test]
fn a_failure_at_the_date_of_cis_run_depends_on_the_clock() {
    for (method, error) in [
        ("self.assertEqual(datetime.date.today().month == 3 and time.gmtime().tm_hour < 10, False)", "True != False"),
        (
            "self.assertEqual(time.strftime('%Y-%m-%d') + datetime.datetime.now(datetime.timezone.utc).strftime('%d') == \
          '2025-03-0303', False)",
            "True != False",
        ),
    ] {
        let world =
            world_of(&format!("    def test_it(self):\n        {method}\n"), &format!("AssertionError: {error}"), "");
        is_named(&world, "clock", &["with the clock at 2025-03-03, when CI ran", "pass with today's clock"]);
    }
}

#[test]
fn a_failure_under_one_hash_seed_depends_on_it() {
    let method = "    def test_it(self):\n        self.assertEqual(next(iter({'a', 'b', 'c'})), 'c')\n";
    let world = world_of(method, "AssertionError: 'a' != 'c'", "\nenv:\n  PYTHONHASHSEED: 0");
    is_named(&world, "hash-seed", &["fail with PYTHONHASHSEED=1,", "pass with PYTHONHASHSEED=0"]);
}

#[test]
fn what_never_fails_here_is_not_reproduced_and_nothing_is_named() {
    let world = world_of("    def test_it(self):\n        self.assertEqual(1, 1)\n", ASSERTION, "");
    let said = fix(&world, &["--format", "json"]).exits_with(4).json();
    assert_eq!((&said["outcome"], &said["cause"]), (&"not_reproduced".into(), &Value::Null));
    assert_eq!(depends(&said).as_array().map(Vec::len), Some(0));
    let tried = said["timings"].as_array().unwrap().iter().filter(|timing| timing["stage"] == "repeat").count();
    assert!(tried > 10, "{said:#}");
}

#[test]
fn a_date_that_has_passed_is_named_and_stops_no_repair() {
    let method =
        "    def test_it(self):\n        self.assertEqual(datetime.date.today() < datetime.date(2021, 6, 1), True)\n";
    let world = world_of(method, "AssertionError: False != True", "");
    let root = world.path("tiny");
    world.may_change(&root);
    world.git(&root, &["commit", "--quiet", "--amend", "--no-edit", "--date", "2020-02-02T12:00:00Z"]);
    let said = fix(&world, &["--format", "json"]).exits_with(3).json();
    assert_eq!((&said["outcome"], &said["cause"]), (&"no_fix_found".into(), &"clock".into()), "{said:#}");
    assert_eq!(said["targets"][0]["baseline"]["reproduced"], 1);
    let shown = depends(&said)[0]["shown"].as_str().unwrap();
    assert!(shown.contains("pass with the clock at 2020-02-02, when the test's file was last changed"), "{shown}");
    // A model is told, and not which date it was: that changes from day to day.
    let endpoint = Endpoint::start([Say::text(&answer("test", "low", ""))]);
    crate::model::fix(&world, &endpoint.url(), &["--no-loop"]).exits_with(3);
    let prompt = endpoint.requests()[0].body["messages"][1]["content"].as_str().unwrap().to_owned();
    assert!(prompt.contains("With the clock set to an earlier date it passes") && !prompt.contains("2020-02-02"));
    // What fails at any date does not depend on it.
    let method = "    def test_it(self):\n        self.assertEqual(datetime.date.today().year, 0)\n";
    let said = fix(&world_of(method, "AssertionError: 2025 != 0", ""), &["--format", "json"]).exits_with(3).json();
    assert_eq!((&said["cause"], depends(&said)), (&Value::Null, &Value::Array(Vec::new())));
}

#[test]
fn the_seed_of_cis_order_is_taken_from_its_log() {
    if !index() {
        return;
    }
    let world = World::new();
    let test = "import os\n\n\ndef test_a():\n    os.left = 1\n\n\ndef test_b():\n    assert True\n\n\n\
                def test_it():\n    assert getattr(os, 'left', 0) == 1\n";
    world.repository(&[("tests/test_tiny.py", test)]);
    let output = "============================= test session starts ==============================\n\
                  Using --randomly-seed=7\ncollected 3 items\n\ntests/test_tiny.py F..  [100%]\n\n\
                  =================================== FAILURES ===================================\n\
                  ___________________________________ test_it ____________________________________\n\n    \
                  def test_it():\n>       assert getattr(os, 'left', 0) == 1\nE       AssertionError: assert 0 == 1\n\n\
                  tests/test_tiny.py:13: AssertionError\n=========================== short test summary info \
                  ============================\nFAILED tests/test_tiny.py::test_it - AssertionError: assert 0 == 1\n\
                  ========================= 1 failed, 2 passed in 0.02s ==========================\n";
    let command = "python -m pytest -p no:cacheprovider";
    let steps = [Step("pip install pytest pytest-randomly", "", 0), Step(command, output, 1)];
    world.file("ci.log", log(&steps));
    // Chance may show it in both runs: then it is reproduced.
    let runs = (0..4).map(|_| fix(&world, &["--format", "json"]).json());
    let said = runs.into_iter().find(|said| said["targets"][0]["baseline"]["reproduced"] == 0).unwrap();
    assert_eq!((&said["outcome"], &said["cause"]), (&"flaky".into(), &"order".into()), "{said:#}");
    assert_eq!(depends(&said)[0]["failures"][0], "tests/test_tiny.py::test_it");
}
