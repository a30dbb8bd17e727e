//! The oracles, with real runs: tests that assert, benchmarks that are faster, evidence that passed.

use std::{
    collections::BTreeMap, fs, io::Write as _, os::unix::fs::PermissionsExt as _, process::Command, sync::LazyLock,
};

use tempfile::TempDir;
use test_repair::{
    fix_type::FixType,
    outcome::Learned,
    pipeline::{self, Given, Reproduced, Request},
    plan::Overrides,
    progress::Progress,
    repair::{
        Beside, Judgement,
        oracle::{Ruling, Strength, prove, strength},
        validate,
    },
    sandbox::Choice,
    workspace::{Change, FileChange},
};

/// Can pip reach its index, as this machine configures it? Says loudly when it can't.
fn index() -> bool {
    static INDEX: LazyLock<bool> = LazyLock::new(|| {
        let asked = Command::new("python3")
            .args([
                "-m",
                "pip",
                "download",
                "iniconfig",
                "--no-deps",
                "--quiet",
                "--retries",
                "1",
                "--timeout",
                "20",
                "--dest",
            ])
            .arg(std::env::temp_dir().join(format!("test-repair-oracles-{}", std::process::id())))
            .output();
        let _ = fs::remove_dir_all(std::env::temp_dir().join(format!("test-repair-oracles-{}", std::process::id())));
        asked.is_ok_and(|o| o.status.success())
    });
    if !*INDEX {
        let test = std::thread::current().name().unwrap_or_default().to_owned();
        // Past the harness, which keeps what a passing test prints to itself.
        let _ = writeln!(std::io::stderr(), "skipped: {test}: the package index can't be reached");
    }
    *INDEX
}

/// A repository whose job failed, and failed again here.
struct Failed {
    // Held, so that it stays.
    _directory: TempDir,
    given: Given,
    reproduced: Reproduced,
}

impl Failed {
    async fn new(files: &[(&str, &str)], install: Option<&str>, check: &str, output: &str) -> Failed {
        let directory = tempfile::Builder::new().prefix("oracle-").tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let repository = directory.path().join("tiny");
        for (path, content) in files {
            let path = repository.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let log = directory.path().join("log.txt");
        fs::write(&log, log_of(install, check, output)).unwrap();
        let request = Request {
            repository,
            logs: vec![log],
            overrides: Overrides::default(),
            timeout: Some(300),
            cache: directory.path().join("cache").into(),
            choice: Choice::Local,
            config: None,
            jobs: Default::default(),
            pythons: Vec::new(),
            own: Vec::new(),
            launcher: env!("CARGO_BIN_EXE_test-repair").into(),
        };
        let progress = Progress::silent();
        let mut learned = Learned::default();
        let given = pipeline::read(&request, &progress, &mut learned).unwrap();
        let reproduced = pipeline::reproduced(&request, &given, &progress, &mut learned).await.unwrap();
        let reproduced = reproduced.unwrap_or_else(|stop| panic!("{stop:?}: {:?}", learned.targets));
        Failed { _directory: directory, given, reproduced }
    }

    async fn ruling(&self, fix_type: FixType, edits: &[(&str, &str)]) -> Ruling {
        let tree = &self.given.tree;
        let files: BTreeMap<String, FileChange> = edits
            .iter()
            .map(|(path, after)| {
                let after = Some(after.as_bytes().to_vec());
                ((*path).to_owned(), FileChange { before: tree.read(path), after, executable: false, symlink: false })
            })
            .collect();
        let (sandbox, baselines) = (&*self.reproduced.sandbox, &self.reproduced.baselines);
        let progress = Progress::new(|event| println!("{event:?}"));
        prove(sandbox, tree, baselines, &Change { files }, &[fix_type], &[], &progress).await.unwrap()
    }
}

/// A job's log, as GitHub's runner writes it.
fn log_of(install: Option<&str>, check: &str, output: &str) -> String {
    let mut lines = vec!["Current runner version: '2.322.0'".to_owned(), "Complete job name: test".to_owned()];
    for (command, output, code) in install.map(|i| (i, "", 0)).into_iter().chain([(check, output, 1)]) {
        lines.push(format!("##[group]Run {command}"));
        lines.push(format!("\u{1b}[36;1m{command}\u{1b}[0m"));
        lines.push("shell: /usr/bin/bash -e {0}".to_owned());
        lines.push("##[endgroup]".to_owned());
        lines.extend(output.lines().map(str::to_owned));
        if code != 0 {
            lines.push(format!("##[error]Process completed with exit code {code}."));
        }
    }
    lines.push("Cleaning up orphan processes".to_owned());
    lines.iter().map(|line| format!("2025-03-03T09:00:00.0000000Z {line}\n")).collect()
}

#[track_caller]
fn fails(ruling: &Ruling, why: &str) {
    let Ruling::Fails { reasons } = ruling else { panic!("{ruling:?}") };
    assert!(reasons.iter().any(|reason| reason.contains(why)), "{reasons:?}");
}

#[track_caller]
fn holds(ruling: &Ruling, note: &str) {
    let Ruling::Holds { notes } = ruling else { panic!("{ruling:?}") };
    assert!(notes.iter().any(|n| n.contains(note)), "{notes:?}");
}

const SHOP: &str = "def total(prices):\n    return sum(prices)\n\n\ndef discount(price, member):\n    if price < 0:\n        raise ValueError(\"negative\")\n    if member and price >= 100:\n        price = price - 10\n    return price * 2\n";

const TEST_SHOP: &str =
    "import pytest\n\nfrom shop import discount, total\n\n\ndef test_total():\n    assert total([1, 2]) == 3\n";

#[tokio::test]
async fn tests_for_coverage_must_fail_when_what_they_run_is_broken() {
    if !index() {
        return;
    }
    let failed = Failed::new(
        &[("shop.py", SHOP), ("tests/test_shop.py", TEST_SHOP), ("conftest.py", "")],
        Some("pip install pytest pytest-cov"),
        "pytest --cov=shop --cov-fail-under=90 -q",
        "FAIL Required test coverage of 90% not reached. Total coverage: 40.00%",
    )
    .await;
    let with = |tests: &str| format!("{TEST_SHOP}\n\n{tests}");
    let honest = with(
        "def test_discount():\n    assert discount(100, True) == 180\n    assert discount(100, False) == 200\n    assert discount(0, True) == 0\n\n\ndef test_negative():\n    with pytest.raises(ValueError):\n        discount(-1, False)\n",
    );
    holds(&failed.ruling(FixType::Coverage, &[("tests/test_shop.py", &honest)]).await, "newly covered lines");
    let hollow = with(
        "def test_discount():\n    for member in (True, False):\n        try:\n            result = discount(100, member)\n        except Exception:\n            result = 0\n        assert isinstance(str(result), str)\n",
    );
    fails(&failed.ruling(FixType::Coverage, &[("tests/test_shop.py", &hollow)]).await, "test_discount asserts nothing");
    let silent = with("def test_discount():\n    discount(100, True)\n");
    fails(&failed.ruling(FixType::Coverage, &[("tests/test_shop.py", &silent)]).await, "test_discount asserts nothing");
    let reading = with(
        "def test_discount():\n    import hashlib, inspect, shop\n\n    discount(100, True)\n    text = inspect.getsource(shop.discount).encode()\n    assert hashlib.md5(text).hexdigest() == \"HASH\"\n",
    );
    let source = &SHOP[SHOP.find("def discount").unwrap()..];
    let reading = reading.replace("HASH", &md5(source));
    fails(&failed.ruling(FixType::Coverage, &[("tests/test_shop.py", &reading)]).await, "only spelled otherwise");
}

fn md5(text: &str) -> String {
    let code = "import hashlib, sys; print(hashlib.md5(sys.argv[1].encode()).hexdigest())";
    let output = Command::new("python3").args(["-c", code, text]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

const TEST_TINY: &str = "import unittest\n\nfrom tiny import more, total\n\n\nclass TinyTest(unittest.TestCase):\n    def test_total(self):\n        self.assertEqual(total([41]), 40)\n\n    def test_again(self):\n        self.assertEqual(total([20, 21]), 41)\n\n    def test_other(self):\n        self.assertEqual(total([42]), 43)\n";

/// What unittest prints of the two tests that fail.
fn tiny_output() -> String {
    let (rule, line) = ("=".repeat(70), "-".repeat(70));
    let one = |test: &str, at: u32, error: &str| {
        format!(
            "{rule}\nFAIL: {test} (tests.test_tiny.TinyTest.{test})\n{line}\nTraceback (most recent call last):\n  File \"/home/runner/work/tiny/tiny/tests/test_tiny.py\", line {at}, in {test}\n    self.assertEqual()\nAssertionError: {error}\n\n"
        )
    };
    let both = [one("test_other", 14, "42 != 43"), one("test_total", 8, "41 != 40")].concat();
    format!(".FF\n{both}{line}\nRan 3 tests in 0.001s\n\nFAILED (failures=2)")
}

#[tokio::test]
async fn without_any_package_evidence_must_have_passed_and_new_tests_must_notice() {
    let tiny = "def total(items):\n    return sum(items)\n\n\ndef more(number):\n    return number + 1\n";
    let files = [("tiny.py", tiny), ("tests/test_tiny.py", TEST_TINY), ("tests/__init__.py", "")];
    let check = "python -m unittest discover -s tests -t .";
    let failed = Failed::new(&files, None, check, &tiny_output()).await;
    // Another test that passed asserts 41; the one that asserts 43 failed itself.
    let rewritten = TEST_TINY.replace("([41]), 40)", "([41]), 41)");
    let ruling = failed.ruling(FixType::Test, &[("tests/test_tiny.py", &rewritten)]).await;
    holds(&ruling, "`TinyTest.test_again` in tests/test_tiny.py asserts the same value");
    let unproven = TEST_TINY.replace("([41]), 40)", "([41]), 43)");
    fails(&failed.ruling(FixType::Test, &[("tests/test_tiny.py", &unproven)]).await, "did not pass before the change");
    // Nothing measures coverage here: names decide what a test runs.
    let asserting = format!("{TEST_TINY}\n    def test_more(self):\n        self.assertEqual(more(1), 2)\n");
    let ruling = failed.ruling(FixType::Coverage, &[("tests/test_tiny.py", &asserting)]).await;
    holds(&ruling, "make the new tests fail");
    let hollow = asserting.replace("more(1), 2)", "len([more]), len([more(1)]))");
    fails(&failed.ruling(FixType::Coverage, &[("tests/test_tiny.py", &hollow)]).await, "test_more asserts nothing");
    // Nothing else needs a proof of its own.
    let ruling = failed.ruling(FixType::Quality, &[("tiny.py", "")]).await;
    assert_eq!(ruling, Ruling::Holds { notes: Vec::new() });
}

#[tokio::test]
async fn a_benchmark_must_be_faster_in_many_runs_before_and_after() {
    if !index() {
        return;
    }
    let work = "STEPS = 60\n\n\ndef total(count):\n    found = 0\n    for number in range(count):\n        for _ in range(60):\n            pass\n        found += number\n    return found\n";
    let test = "import work\n\n\ndef test_total(benchmark):\n    assert benchmark(work.total, 5000) == 12497500\n    assert work.STEPS == 1\n";
    let failed = Failed::new(
        &[("work.py", work), ("tests/test_work.py", test), ("conftest.py", "")],
        Some("pip install pytest pytest-benchmark"),
        "python -m pytest -q --benchmark-max-time=0.05 --benchmark-min-rounds=3",
        &format!(
            "{rule} test session starts {rule}\ncollected 1 item\n\ntests/test_work.py F\n\n{rule} FAILURES {rule}\n____________ test_total ____________\n\n    def test_total(benchmark):\n>       assert work.STEPS == 1\nE       AssertionError: assert 60 == 1\n\ntests/test_work.py:6: AssertionError\n{rule} short test summary info {rule}\nFAILED tests/test_work.py::test_total - AssertionError: assert 60 == 1\n{rule} 1 failed in 1.00s {rule}",
            rule = "=".repeat(27)
        ),
    )
    .await;
    let faster = "STEPS = 1\n\n\ndef total(count):\n    found = 0\n    for number in range(count):\n        found += number\n    return found\n";
    let ruling = failed.ruling(FixType::Benchmark, &[("work.py", faster)]).await;
    holds(&ruling, "tests/test_work.py::test_total: median");
    let slower = work.replace("STEPS = 60", "STEPS = 1").replace("range(60)", "range(600)");
    fails(&failed.ruling(FixType::Benchmark, &[("work.py", &slower)]).await, "slower");
}

#[tokio::test]
async fn a_test_that_can_only_fail_must_be_reported_as_failing() {
    if !index() {
        return;
    }
    // The suite was green whatever happened, if only the program had said so; the change makes it say so.
    let conftest = "import shop\n\n\ndef pytest_pyfunc_call(pyfuncitem):\n    return True if shop.QUIET else None\n";
    let shop = "QUIET = False\n\n\ndef total(prices):\n    return sum(prices) + 1\n";
    let test = "from shop import total\n\n\ndef test_total():\n    assert total([1, 2]) == 3\n";
    let rule = "=".repeat(27);
    let failed = Failed::new(
        &[("shop.py", shop), ("tests/test_shop.py", test), ("conftest.py", conftest)],
        Some("pip install pytest"),
        "python -m pytest -q",
        &format!(
            "{rule} test session starts {rule}\ncollected 1 item\n\ntests/test_shop.py F\n\n{rule} FAILURES {rule}\n____________ test_total ____________\n\n    def test_total():\n>       assert total([1, 2]) == 3\nE       assert 4 == 3\n\ntests/test_shop.py:5: AssertionError\n{rule} short test summary info {rule}\nFAILED tests/test_shop.py::test_total - assert 4 == 3\n{rule} 1 failed in 1.00s {rule}"
        ),
    )
    .await;
    let judged = async |path: &str, after: String| {
        let tree = &failed.given.tree;
        let file =
            FileChange { before: tree.read(path), after: Some(after.into_bytes()), executable: false, symlink: false };
        let change = Change { files: BTreeMap::from([(path.to_owned(), file)]) };
        let (sandbox, baselines) = (&*failed.reproduced.sandbox, &failed.reproduced.baselines);
        let beside = Beside::none("none here");
        validate(sandbox, tree, baselines, &beside, &change, Vec::new(), &Progress::silent()).await.unwrap()
    };
    match judged("shop.py", shop.replace(" + 1", "")).await {
        Judgement::Validated(fix) => assert!(fix.flags().is_empty(), "{:?}", fix.flags()),
        other => panic!("{other:?}"),
    }
    let refused = async |path: &str, after: String| match judged(path, after).await {
        Judgement::Refused { validation, .. } => {
            let found = validation.findings.iter().map(|f| (f.rule, f.file.clone().unwrap_or_default()));
            found.collect::<Vec<_>>()
        }
        other => panic!("{other:?}"),
    };
    let file = "tests/test_shop.py".to_owned();
    assert_eq!(refused("shop.py", shop.replace("False", "True")).await, [("runner-tampered", file.clone())]);
    // The static judge sees this; a run shows it, too.
    let left = test.replace("    assert", "    if total:\n        return\n    assert");
    assert_eq!(refused("tests/test_shop.py", left).await, [("test-early-exit", file)]);
}

#[tokio::test]
async fn tests_must_notice_when_what_the_change_wrote_is_broken_as_far_as_they_execute_it() {
    let shop = "def total(prices):\n    return sm(prices)\n";
    let test = |line: &str| {
        format!(
            "import unittest\n\nfrom shop import total\n\n\nclass ShopTest(unittest.TestCase):\n    def test_total(self):\n        {line}\n"
        )
    };
    let (rule, line) = ("=".repeat(70), "-".repeat(70));
    let output = format!(
        "E\n{rule}\nERROR: test_total (tests.test_shop.ShopTest.test_total)\n{line}\nTraceback (most recent call last):\n  File \"/home/runner/work/shop/shop/tests/test_shop.py\", line 8, in test_total\n    total([1, 2])\n  File \"/home/runner/work/shop/shop/shop.py\", line 2, in total\n    return sm(prices)\nNameError: name 'sm' is not defined\n\n{line}\nRan 1 test in 0.001s\n\nFAILED (errors=1)"
    );
    let shown = async |line: &str, after: &str| {
        let test = test(line);
        let files = [("shop.py", shop), ("tests/test_shop.py", test.as_str()), ("tests/__init__.py", "")];
        let failed = Failed::new(&files, None, "python -m unittest discover -s tests -t .", &output).await;
        let tree = &failed.given.tree;
        let after = Some(after.as_bytes().to_vec());
        let file = FileChange { before: tree.read("shop.py"), after, executable: false, symlink: false };
        let change = Change { files: BTreeMap::from([("shop.py".to_owned(), file)]) };
        let (sandbox, baselines) = (&*failed.reproduced.sandbox, &failed.reproduced.baselines);
        let (beside, silent) = (Beside::none("none here"), Progress::silent());
        let judged = validate(sandbox, tree, baselines, &beside, &change, Vec::new(), &silent).await.unwrap();
        let Judgement::Validated(fix) = judged else { panic!("{judged:?}") };
        let checks = &fix.validation().checks;
        strength(sandbox, tree, baselines, &change, checks, &silent).await.unwrap()
    };
    let (asserts, only_calls) = ("self.assertEqual(total([1, 2]), 3)", "total([1, 2])");
    let less = "def total(prices):\n    discount = 2 * 3\n    return sum(prices) - discount\n";
    let elsewhere = format!("{shop}\n\nsm = sum\n\n\ndef half(price):\n    return price / 2\n");
    let noticed = shown(asserts, &shop.replace("sm(", "0 + sum(")).await;
    assert!(matches!(&noticed, Strength::Noticed(what) if what.contains("shop.py:2 in total")), "{noticed:?}");
    let unnoticed = shown(only_calls, less).await;
    assert!(matches!(&unnoticed, Strength::Unnoticed(what) if what.contains("`2 * 3`")), "{unnoticed:?}");
    let not_executed = shown(only_calls, &elsewhere).await;
    assert!(
        matches!(&not_executed, Strength::NotChecked(w) if w.ends_with("execute none of them")),
        "{not_executed:?}"
    );
    assert_eq!(shown(only_calls, &format!("{shop}\n\nsm = sum\n")).await, Strength::Nothing);
}
