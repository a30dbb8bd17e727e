//! What the examples show.

use std::{fs, process::Command};

use crate::world::{Step, TEST, UNITTEST, World, index, log, project, run, skipped};

/// `--repo NAME --log …` of an example that stands in the world.
fn given<'a>(name: &'a str, log: &'a str) -> [&'a str; 6] {
    ["--repo", name, "--log", log, "--python", "3"]
}

fn log_of(name: &str) -> String {
    project("examples").join(format!("{name}.log")).display().to_string()
}

/// Repairs an example, and proves the patch again: with git, and with `verify`.
fn repaired(name: &str, changes: &[&str]) {
    repaired_but(name, changes, &[]);
}

/// The same, where something could not be checked.
fn repaired_but(name: &str, changes: &[&str], not_checked: &[&str]) {
    let world = World::new();
    let root = world.example(name);
    let log = log_of(name);
    let ran = world.run(&[&["fix", "--out", "out", "--format", "json"][..], &given(name, &log)].concat()).exits_with(0);
    let said = ran.json();
    assert_eq!(said["outcome"], "fixed", "{said:#}");
    assert_eq!(said["fix"]["files"], serde_json::json!(changes), "{said:#}");
    assert_eq!(said["validation"]["not_checked"], serde_json::json!(not_checked), "{said:#}");
    for check in said["validation"]["checks"].as_array().unwrap() {
        assert!(check["before"].as_str().unwrap().starts_with("failed"), "{check}");
        assert_eq!(check["after"], "passed");
    }
    let patch = world.path("out/fix.patch");
    assert_eq!(fs::read_to_string(&patch).unwrap(), said["fix"]["diff"].as_str().unwrap());
    assert_eq!(fs::read_to_string(world.path("out/outcome.json")).unwrap(), ran.stdout);
    assert!(fs::read_to_string(world.path("out/report.md")).unwrap().starts_with("# fixed\n"));
    world.git(&root, &["apply", "--check", patch.to_str().unwrap()]);
    world
        .run(&[&["verify", "--patch", "out/fix.patch"][..], &given(name, &log)].concat())
        .exits_with(0)
        .prints("proven\n");
}

#[test]
fn a_missing_import_is_repaired_without_a_package_index() {
    repaired("missing-import", &["ledger/book.py"]);
}

#[test]
fn what_the_jobs_python_does_not_have_yet_is_guarded_and_its_backport_declared() {
    let pythons = test_repair::sandbox::pythons();
    let Some(python) = pythons.iter().find(|python| python.starts_with("3.10.")) else {
        return skipped("there is no Python 3.10");
    };
    if !index() {
        return;
    }
    let world = World::new();
    let project = "[build-system]\nrequires = [\"setuptools>=61\"]\nbuild-backend = \"setuptools.build_meta\"\n\n[project]\n\
                   name = \"tiny\"\nversion = \"1\"\nrequires-python = \">=3.9\"\ndependencies = []\n\n[tool.setuptools]\n\
                   py-modules = [\"tiny\"]\n";
    let root = world.repository(&[
        ("pyproject.toml", project),
        ("tiny.py", "import tomllib\n\n\ndef read(text):\n    return tomllib.loads(text)\n"),
        ("tests/__init__.py", ""),
        (
            TEST,
            "import unittest\n\nimport tiny\n\n\nclass TinyTest(unittest.TestCase):\n    def test_it(self):\n        \
             self.assertEqual(tiny.read('a = 1'), {'a': 1})\n",
        ),
    ]);
    let rule = "=".repeat(70);
    let output = format!(
        "E\n{rule}\nERROR: tests.test_tiny (unittest.loader._FailedTest)\n{line}\nImportError: Failed to import test module: \
         tests.test_tiny\nTraceback (most recent call last):\n  File \"/home/runner/work/tiny/tiny/tests/test_tiny.py\", line \
         3, in <module>\n    import tiny\n  File \"/home/runner/work/tiny/tiny/tiny.py\", line 1, in <module>\n    import \
         tomllib\nModuleNotFoundError: No module named 'tomllib'\n\n\n{line}\nRan 1 test in 0.000s\n\nFAILED (errors=1)",
        line = "-".repeat(70)
    );
    let asked = format!("Successfully set up CPython ({python})");
    let steps = [Step("echo it", &asked, 0), Step("pip install -e .", "", 0), Step(UNITTEST, &output, 1)];
    world.file("ci.log", log(&steps));
    let said = world.run(&["fix", "--rules-only", "--repo", "tiny", "--log", "ci.log", "--format", "json"]);
    let said = said.exits_with(0).json();
    assert_eq!(said["outcome"], "fixed", "{said:#}");
    assert_eq!(said["fix"]["files"], serde_json::json!(["pyproject.toml", "tiny.py"]));
    let diff = said["fix"]["diff"].as_str().unwrap();
    for added in ["+if sys.version_info >= (3, 11):", "+    import tomli as tomllib", "tomli; python_version < '3.11'"]
    {
        assert!(diff.contains(added), "{diff}");
    }
    assert_eq!(world.git(&root, &["status", "--porcelain"]), "");
}

#[test]
fn lint_and_format_findings_of_one_job_are_repaired_together() {
    if index() {
        let no_tests = "whether tests notice when the changed lines are broken: no job that was reproduced runs tests";
        repaired_but("lint", &["inventory/shelves.py"], &[no_tests]);
    }
}

#[test]
fn an_undeclared_dependency_is_declared_where_the_project_declares_its_others() {
    if index() {
        repaired("missing-dependency", &["pyproject.toml"]);
    }
}

#[test]
fn a_wrong_program_ends_as_a_diagnosis() {
    let world = World::new();
    world.example("wrong-answer");
    let log = log_of("wrong-answer");
    world
        .run(&[&["fix"][..], &given("wrong-answer", &log)].concat())
        .exits_with(3)
        .prints("no fix found\n")
        .prints("reproduced twice: 1 of 1")
        .prints("AssertionError: 4 != 5");
}

#[test]
fn the_applied_fix_makes_the_check_pass_and_a_second_run_finds_nothing_to_reproduce() {
    let world = World::new();
    let root = world.example("missing-import");
    let log = log_of("missing-import");
    world.may_change(&root);
    // A cache of its own: another test may hold the environment of the shared one just then.
    let cache = ["--cache-dir", "cache"];
    let arguments = [&["fix", "--apply"][..], &cache, &given("missing-import", &log)].concat();
    world.run(&arguments).exits_with(0).complains(&["applied to ledger/book.py"]);
    assert_eq!(world.git(&root, &["status", "--porcelain"]), " M ledger/book.py\n");
    let check = run(Command::new("python3")
        .args(["-B", "-m", "unittest", "discover", "-s", "tests", "-t", "."])
        .current_dir(&root));
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
    world
        .run(&arguments)
        .exits_with(4)
        .prints("not reproduced")
        .prints("the checks pass here")
        .prints("uncommitted changes")
        .complains(&[": reused ("]);
    assert_eq!(world.git(&root, &["status", "--porcelain"]), " M ledger/book.py\n");
}

#[test]
fn the_json_of_fix_has_the_fields_of_the_contract() {
    let world = World::new();
    world.example("missing-import");
    let log = log_of("missing-import");
    let said =
        world.run(&[&["fix", "--format", "json"][..], &given("missing-import", &log)].concat()).exits_with(0).json();
    assert_eq!(said["schema"], 1);
    for field in [
        "/outcome",
        "/diagnosis/root_cause",
        "/diagnosis/fix_type",
        "/diagnosis/confidence",
        "/diagnosis/where",
        "/targets/0/job",
        "/targets/0/failures/0/category",
        "/targets/0/failures/0/tool",
        "/targets/0/failures/0/test_id",
        "/targets/0/failures/0/file",
        "/targets/0/failures/0/line",
        "/targets/0/failures/0/message",
        "/targets/0/failures/0/command",
        "/targets/0/failures/0/job",
        "/targets/0/failures/0/python",
        "/targets/0/failures/0/excerpt",
        "/targets/0/failures/0/fingerprint",
        "/targets/0/failures/0/count",
        "/targets/0/plan/python",
        "/targets/0/plan/env",
        "/targets/0/plan/install",
        "/targets/0/plan/checks/0",
        "/targets/0/plan/skipped",
        "/targets/0/baseline",
        "/fix/tier",
        "/fix/fix_type",
        "/fix/description",
        "/fix/impact",
        "/fix/files/0",
        "/fix/diff",
        "/validation/checks/0/command",
        "/validation/checks/0/before",
        "/validation/checks/0/after",
        "/validation/checks/0/seconds",
        "/validation/collected/before",
        "/validation/collected/after",
        "/sandbox/kind",
        "/sandbox/enforced/0",
        "/usage/calls",
        "/usage/prompt_tokens",
        "/usage/cached_tokens",
        "/usage/completion_tokens",
        "/usage/cost_usd",
        "/timings/0/seconds",
    ] {
        assert!(said.pointer(field).is_some_and(|v| !v.is_null()), "{field} is missing in {said:#}");
    }
    for field in ["/targets/0/plan/image", "/validation/not_checked", "/validation/findings", "/attempts"] {
        assert!(said.pointer(field).is_some(), "{field} is missing in {said:#}");
    }
}

#[test]
fn every_example_fails_in_its_log_as_a_category_and_detect_says_so_in_text_and_in_json() {
    let world = World::new();
    for (name, category, tool) in [
        ("lint", "quality", "ruff"),
        ("missing-dependency", "import_dependency", "pytest"),
        ("missing-import", "unit_test", "unittest"),
        ("wrong-answer", "unit_test", "unittest"),
    ] {
        let log = log_of(name);
        let said = world.run(&["detect", "--format", "json", &log]).exits_with(1).json();
        assert_eq!(
            (&said["category"], &said["result"], &said["schema"]),
            (&category.into(), &"failure".into(), &1.into())
        );
        assert_eq!(said["failures"][0]["tool"], tool, "{said:#}");
        world.run(&["detect", &log]).exits_with(1).prints(": failed, ").prints(tool);
    }
}

#[test]
fn the_systems_own_python_will_do() {
    let modules = Command::new("/usr/bin/python3").args(["-c", "import venv, ensurepip"]).output();
    if !modules.is_ok_and(|o| o.status.success()) {
        return skipped("the system has no Python with venv and pip");
    }
    let world = World::new();
    world.example("missing-import");
    let log = log_of("missing-import");
    let arguments = [&["fix"][..], &given("missing-import", &log)].concat();
    let ran = run(world.command().env("PATH", "/usr/bin:/bin").args(arguments));
    assert_eq!(ran.status.code(), Some(0), "{}", String::from_utf8_lossy(&ran.stdout));
}
