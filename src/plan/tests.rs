use super::*;
use crate::detect::{Detector, JobLog};

fn log(steps: &[(&str, Option<i32>)]) -> JobLog {
    let mut text = String::from("Complete job name: test (3.11)\nSuccessfully set up CPython (3.11.7)\n");
    for (script, exit) in steps {
        text.push_str(&format!("##[group]Run {}\n", script.lines().next().unwrap_or_default()));
        for line in script.lines() {
            text.push_str(&format!("\u{1b}[36;1m{line}\u{1b}[0m\n"));
        }
        text.push_str(
            "shell: /usr/bin/bash -e {0}\nenv:\n  MODE: fast\n  TOKEN: ***\n  LD_LIBRARY_PATH: /x\n##[endgroup]\n",
        );
        if script.contains("pip install") {
            text.push_str("Successfully installed pytest-8.3.4 typing-extensions-4.1\n");
        }
        if let Some(code) = exit {
            text.push_str("FAILED tests/test_a.py::test_a - AssertionError: x\n");
            text.push_str(&format!("##[error]Process completed with exit code {code}.\n"));
        }
    }
    let stamped: String = text.lines().map(|l| format!("2026-11-06T07:30:00.0000017Z {l}\n")).collect();
    let mut detector = Detector::new("log");
    detector.feed(stamped.as_bytes());
    detector.finish().remove(0)
}

fn sources(files: &[(&str, &str)]) -> Sources {
    let files = || files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
    let (ours, theirs): (Vec<_>, Vec<_>) = files().partition(|(path, _)| Project::wants(path));
    Sources { workflows: Workflows::read(theirs), project: Project::of(ours), pythons: Vec::new() }
}

fn lines(lines: &[Line]) -> Vec<&str> {
    lines.iter().map(|line| line.script.as_str()).collect()
}

fn scripts(job: &Job) -> Vec<&str> {
    job.checks.iter().map(|c| c.script.as_str()).collect()
}

#[test]
fn a_job_is_rebuilt_from_its_log() {
    let log = log(&[("pip install -e . pytest==8.3.4", None), ("ruff check .\npytest -q", Some(1))]);
    let job = plan(&log, &Sources::default(), &Overrides::default());
    assert_eq!(job.python, "3.11.7");
    assert_eq!(lines(&job.install), ["pip install -e . pytest==8.3.4"]);
    assert_eq!(scripts(&job), ["ruff check .", "pytest -q"]);
    assert_eq!(job.env, BTreeMap::from([("MODE".to_owned(), "fast".to_owned())]));
    assert_eq!(job.versions[0], ("pytest".to_owned(), "8.3.4".to_owned()));
    assert_eq!(job.versions[1].0, "typing-extensions");
    assert!(job.skipped.iter().any(|s| s.what == "env TOKEN"));
    assert!(!job.copies_project);
}

#[test]
fn what_a_later_step_installs_is_never_there_for_the_failing_one() {
    let workflow = "on: push\njobs:\n  test:\n    runs-on: x\n    steps:\n    - run: pytest -q\n    - run: mypy .\n    - run: pip uninstall -y x\n    - run: make\n";
    let sources = sources(&[(".github/workflows/ci.yml", workflow)]);
    let job = plan(&log(&[("pytest -q", Some(1))]), &sources, &Overrides::default());
    assert_eq!(scripts(&job), ["pytest -q", "mypy ."]);
    assert!(job.install.is_empty());
    assert_eq!(job.skipped.len(), 3, "{:?}", job.skipped); // the secret, and two later steps
}

#[test]
fn what_a_person_names_is_what_is_checked() {
    let overrides =
        Overrides { commands: vec!["make check".to_owned()], python: Some("3.12".to_owned()), ..Overrides::default() };
    let job = plan(&log(&[("pytest -q", Some(1))]), &Sources::default(), &overrides);
    assert_eq!((scripts(&job), job.python.as_str()), (vec!["make check"], "3.12"));
}

#[test]
fn an_environment_that_holds_a_copy_of_the_project_is_known() {
    for (command, copies) in [
        ("pip install -e .", false),
        ("pip install -e '.[dev]' pytest", false),
        ("pip install .", true),
        ("pip install '.[dev]'", true),
        ("pip install -r requirements.txt", false),
        ("tox -e py --notest", false),
        ("pip install nox tox", false),
    ] {
        assert_eq!(commands::copies_project(command), copies, "{command}");
    }
}

const CI: &str = "
on: push
jobs:
  test:
    name: test (${{ matrix.python }})
    runs-on: ubuntu-latest
    strategy: {matrix: {python: ['3.11', '3.12']}}
    env: {LEVEL: '1', SECRET: '${{ secrets.X }}'}
    defaults: {run: {working-directory: backend}}
    steps:
      - uses: actions/checkout@v5
      - {uses: actions/setup-python@v6, with: {python-version: '${{ matrix.python }}'}}
      - {uses: astral-sh/setup-uv@v7, with: {version: 0.9.2}}
      - run: pip install -e .
      - {run: ruff check ., working-directory: .}
      - {name: Test, run: pytest -q, env: {ONLY: here}}
      - {run: mypy src, env: {LEVEL: '2', HERE: '${{ github.workspace }}/x y'}}
      - {run: tox -e docs, if: failure()}
      - run: tox -e docs
      - {uses: psf/black@stable}
      - run: ./deploy ${{ secrets.KEY }}
      - run: pip uninstall -y x
      - run: make
";

fn plain(output: &str) -> JobLog {
    let mut detector = Detector::new("output.txt");
    detector.feed(output.as_bytes());
    detector.finish().remove(0)
}

const FAILED: &str = "============================= test session starts ==============================\nplatform linux -- Python 3.12.4, pytest-8.3.4\n=========================== short test summary info ============================\nFAILED tests/test_a.py::test_a - AssertionError: x\n============================== 1 failed in 0.10s ===============================\n";

#[test]
fn a_log_that_shows_no_commands_has_those_of_the_workflows_job() {
    let sources = sources(&[(".github/workflows/ci.yml", CI)]);
    let job = plan(&plain(FAILED), &sources, &Overrides::default());
    assert_eq!(job.workflow.as_deref(), Some(".github/workflows/ci.yml: test (python=3.12)"));
    assert_eq!((job.python.as_str(), job.directory.as_str()), ("3.12.4", "backend"));
    let install = lines(&job.install);
    assert!(install[0].contains("-m pip install tox"), "{install:?}");
    assert_eq!(
        install[1..],
        ["pip install uv==0.9.2", "pip install -e .", "tox -e docs --notest || true", "pip install black"]
    );
    assert_eq!(
        scripts(&job),
        [
            "cd \"$GITHUB_WORKSPACE\"\nruff check .",
            "pytest -q",
            "export HERE=\"$GITHUB_WORKSPACE\"'/x y'\nexport LEVEL=2\nmypy src",
            "tox -e docs --skip-pkg-install",
            "cd \"$GITHUB_WORKSPACE\"\nblack --check --diff .",
        ]
    );
    assert_eq!(job.env.get("ONLY").map(String::as_str), Some("here"));
    let skipped: Vec<&str> = job.skipped.iter().map(|skipped| skipped.what.as_str()).collect();
    assert_eq!(skipped, ["env SECRET", "./deploy ${{ secrets.KEY }}", "pip uninstall -y x", "make"]);
    assert!(job.checks.iter().all(|check| check.origin == Origin::Workflow && !check.step.is_empty()));
}

#[test]
fn a_person_chooses_job_and_cell() {
    let sources = sources(&[(".github/workflows/ci.yml", CI)]);
    let matrix = vec![("python".to_owned(), "3.11".to_owned())];
    let overrides = Overrides { job: Some("test".to_owned()), matrix, ..Overrides::default() };
    let job = plan(&plain("FAILED tests/test_a.py::test_a - x\n"), &sources, &overrides);
    assert_eq!((job.python.as_str(), job.python_from), ("3.11", "the workflow"));
}

#[test]
fn of_cells_that_the_log_does_not_tell_apart_that_with_a_python_of_this_machine_is_taken() {
    let mut sources = sources(&[(".github/workflows/ci.yml", CI)]);
    let failed = plain("FAILED tests/test_a.py::test_a - x\n");
    assert_eq!(plan(&failed, &sources, &Overrides::default()).python, "3.12");
    sources.pythons = vec!["3.11.7".to_owned()];
    assert_eq!(plan(&failed, &sources, &Overrides::default()).python, "3.11");
}

#[test]
fn without_a_workflow_the_projects_own_files_say_how_it_is_tested() {
    let sources = sources(&[("uv.lock", ""), ("pyproject.toml", "[project]\nname = 'a'\n")]);
    let job = plan(&plain(FAILED), &sources, &Overrides::default());
    assert_eq!(scripts(&job), ["uv run pytest"]);
    assert_eq!(job.checks[0].origin, Origin::Project);
    assert!(job.skipped.iter().any(|skipped| skipped.why.contains("uv.lock")), "{:?}", job.skipped);
    let job = plan(&plain("some error\n"), &Sources::default(), &Overrides::default());
    assert!(job.checks.is_empty() && job.skipped.iter().any(|skipped| skipped.why.contains("--command")));
}

#[test]
fn an_earlier_step_runs_where_the_workflow_says_and_paths_of_the_runner_are_the_trees() {
    let workflow = "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - {run: pip install -e ., working-directory: lib}\n      - run: pytest -q\n";
    let sources = sources(&[(".github/workflows/ci.yml", workflow)]);
    let mut log = log(&[("pip install -e .", None), ("pytest -q", Some(1))]);
    log.workspace = Some("/home/runner/work/a/a".to_owned());
    log.steps[1].env.insert("PYTHONPATH".to_owned(), "/home/runner/work/a/a/src:/home/runner/work/a/ab".to_owned());
    let job = plan(&log, &sources, &Overrides::default());
    assert_eq!(lines(&job.install), ["cd \"$GITHUB_WORKSPACE/lib\"\npip install -e ."]);
    assert_eq!(job.env["PYTHONPATH"], "$GITHUB_WORKSPACE/src:/home/runner/work/a/ab");
}

#[test]
fn a_wheel_at_an_address_is_installed_from_there() {
    let install = "pip install https://example.org/a-1.0-py3-none-any.whl";
    let log = log(&[(install, None), ("pytest -q", Some(1))]);
    let job = plan(&log, &Sources::default(), &Overrides::default());
    assert_eq!(lines(&job.install), [install]);
}

#[test]
fn what_a_step_builds_and_a_later_one_installs_is_part_of_the_environment() {
    let log = log(&[("python -m build", None), ("pip install dist/*.whl", None), ("pytest -q", Some(1))]);
    let job = plan(&log, &Sources::default(), &Overrides::default());
    assert_eq!(lines(&job.install), ["python -m build", "pip install dist/*.whl"]);
    assert_eq!(scripts(&job), ["pytest -q"]);
    assert!(job.copies_project);
}

#[test]
fn a_program_that_nothing_brings_in_is_brought_in() {
    let workflow = "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - uses: someone/base-setup@v1\n      - run: hatch run cov:pytest\n      - run: uvx ruff check .\n";
    let sources = sources(&[(".github/workflows/ci.yml", workflow)]);
    let job = plan(&plain(FAILED), &sources, &Overrides::default());
    let install = lines(&job.install);
    assert!(install[0].contains("-m pip install hatch") && install[1] == "pip install uv", "{install:?}");
    let job = plan(
        &log(&[("pip install tox==4.1", None), ("tox -e py", Some(1))]),
        &Sources::default(),
        &Overrides::default(),
    );
    assert_eq!(lines(&job.install), ["pip install tox==4.1", "tox -e py --notest"]);
    let job = plan(&log(&[("python -m tox -e py", Some(1))]), &Sources::default(), &Overrides::default());
    assert_eq!(lines(&job.install), ["pip install tox", "python -m tox -e py --notest"]);
}

#[test]
fn what_another_job_built_is_built_here_and_what_is_not_made_here_is_not_activated() {
    let workflow = "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - uses: actions/download-artifact@v4\n      - {uses: snok/install-poetry@v1}\n      - {id: c, uses: actions/cache@v4}\n      - {run: poetry install, if: steps.c.outputs.cache-hit != 'true'}\n      - run: pip install --no-index --find-links=./dist shop\n      - run: |\n          source .venv/bin/activate\n          pytest -q\n";
    let job = plan(&plain(FAILED), &sources(&[(".github/workflows/ci.yml", workflow)]), &Overrides::default());
    assert_eq!(lines(&job.install)[1..], ["poetry install", "python -m pip install ."]);
    assert_eq!(scripts(&job), ["pytest -q"]);
    assert!(job.skipped.iter().any(|skipped| skipped.why.contains("another job built")), "{:?}", job.skipped);
}

#[test]
fn the_log_says_which_cell_of_an_unknown_matrix_it_is() {
    let workflow = "on: push\njobs:\n  a:\n    runs-on: x\n    strategy: {matrix: {python-version: '${{ fromJSON(needs.b.outputs.v) }}'}}\n    env: {PYTHON: '${{ matrix.python-version }}'}\n    steps:\n      - {run: tox run -e $PYTHON-mypy}\n      - {run: 'tox run --installpkg dist/*.whl -e $PYTHON-tests'}\n";
    let job = plan(&plain(FAILED), &sources(&[(".github/workflows/ci.yml", workflow)]), &Overrides::default());
    assert_eq!(job.env.get("PYTHON").map(String::as_str), Some("3.12"));
    assert_eq!(scripts(&job).last(), Some(&"tox run -e $PYTHON-tests --skip-pkg-install"));
}

#[test]
fn what_a_failed_installation_makes_is_activated_for_the_steps_behind_it() {
    let workflow = "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: uv sync --locked\n      - run: |\n          source .venv/bin/activate\n          python -c 'import a'\n";
    let mut log = log(&[("uv sync --locked", Some(1))]);
    for failure in &mut log.failures {
        failure.tool = "uv".to_owned();
        failure.test_id = None;
    }
    let job = plan(&log, &sources(&[(".github/workflows/ci.yml", workflow)]), &Overrides::default());
    assert_eq!(scripts(&job), ["uv sync --locked", "source .venv/bin/activate\npython -c 'import a'"]);
}

#[test]
fn make_alone_installs_where_the_first_target_says_so() {
    let log = log(&[("make", None), ("make ci", Some(2))]);
    let plan = |makefile| plan(&log, &sources(&[("Makefile", makefile)]), &Overrides::default());
    let job = plan(".PHONY: docs\nPY := python\ninit:\n\tpython -m pip install -r dev.txt\nci:\n\tpytest\n");
    assert_eq!((lines(&job.install), scripts(&job)), (vec!["make"], vec!["make ci"]));
    assert_eq!(scripts(&plan("all: test\n")), ["make", "make ci"]);
}

#[test]
fn make_alone_that_failed_is_a_check_that_installs() {
    let workflow = "on: push\njobs:\n  test:\n    runs-on: x\n    steps:\n      - run: make\n      - run: make ci\n";
    let sources = sources(&[("Makefile", "init:\n\tpip install x\n"), (".github/workflows/ci.yml", workflow)]);
    let job = plan(&log(&[("make", Some(2))]), &sources, &Overrides::default());
    let checks: Vec<_> = job.checks.iter().map(|check| (check.script.as_str(), check.installs)).collect();
    assert_eq!(checks, [("make", true), ("make ci", false)]);
}

#[test]
fn a_stale_lock_that_no_job_reads_is_checked_by_its_own_tool() {
    let workflow = "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - uses: astral-sh/setup-uv@v8\n      - run: uvx --with tox-uv tox\n";
    let mut log = plain(FAILED);
    for failure in &mut log.failures {
        (failure.tool, failure.test_id, failure.file) = ("uv".to_owned(), None, Some("uv.lock".to_owned()));
    }
    let mut files = vec![(".github/workflows/ci.yml", workflow), ("uv.lock", "version = 1\n")];
    let job = plan(&log, &sources(&files), &Overrides::default());
    assert_eq!((scripts(&job), job.checks[0].network), (vec!["uv lock --locked"], Network::Full));
    let with_uv = workflow.replace("uvx --with tox-uv tox", "uv sync --locked");
    files[0].1 = &with_uv;
    assert_eq!(scripts(&plan(&log, &sources(&files), &Overrides::default())), ["uv sync --locked"]);
}
