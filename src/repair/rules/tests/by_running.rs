//! Rules that run what the project's own checks run, with programs that stand in for the tools.

use super::*;

/// A program on the path of a case.
fn with_program(mut case: Case, name: &str, script: &str) -> Case {
    let folder = case.folder.path().join(".venv/bin");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(name), format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(folder.join(name), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    case.path = format!("{}:{}", folder.display(), case.path);
    case
}

/// What a command ended with, without more to say.
fn command_failed(tool: &str, command: &str, error: &str) -> Failure {
    let key = Key::Command { command: command.to_owned(), error: error.to_owned() };
    Failure { command: Some(command.to_owned()), ..failure(Category::Quality, tool, "failed", key) }
}

#[tokio::test]
async fn a_check_that_can_write_writes_and_only_files_of_its_kind() {
    let check = "docformatter --check -r src";
    let case = Case::new(&[("src/a.py", "old\n"), ("src/b.txt", "old\n")]).checks(check);
    let write =
        "test \"$*\" = '--in-place -r src' && for f in src/a.py src/b.txt src/new.py; do echo new > $f; done; exit 3";
    let case = with_program(case, "docformatter", write).fails(command_failed("docformatter", check, "exit 3"));
    let repaired = case.repair().await;
    assert_eq!(repaired.notes, Vec::<String>::new());
    assert_eq!(repaired.applied[0].files, ["src/a.py"]);
    assert_eq!((case.read("src/a.py"), case.read("src/b.txt")), ("new\n".to_owned(), "old\n".to_owned()));
    assert!(!case.folder.path().join("src/new.py").exists());
}

#[tokio::test]
async fn a_tool_that_names_its_files_changes_no_other() {
    let check = "pyupgrade --py39-plus a.py b.py";
    let case = Case::new(&[("a.py", "old\n"), ("b.py", "old\n")]).checks(check);
    let case = with_program(case, "pyupgrade", "echo new > a.py; echo new > b.py; exit 1");
    let reported =
        Failure { command: Some(check.to_owned()), ..finding("pyupgrade", "a.py", 1, "format", "Rewriting a.py") };
    let case = case.fails(reported);
    assert_eq!(case.repair().await.applied[0].files, ["a.py"]);
    assert_eq!(case.read("b.py"), "old\n");
}

#[tokio::test]
async fn what_hooks_change_is_kept_but_for_what_decides_what_is_checked() {
    let (check, workflow) = ("pre-commit run --all-files", ".github/workflows/ci.yml");
    let files = [("a.py", "a = 1  \n"), (workflow, "on: push  \n"), (".pre-commit-config.yaml", "repos: []  \n")];
    let case = Case::new(&files).checks(check);
    let hooks = format!("sed -i 's/  *$//' a.py {workflow} .pre-commit-config.yaml; exit 1");
    let modified = "files were modified by this hook";
    let case = with_program(case, "pre-commit", &hooks).fails(command_failed("pre-commit", check, modified));
    let repaired = case.repair().await;
    assert_eq!(repaired.applied[0].files, ["a.py"]);
    assert_eq!((case.read("a.py"), case.read(workflow)), ("a = 1\n".to_owned(), "on: push  \n".to_owned()));
    assert_eq!(case.read(".pre-commit-config.yaml"), "repos: []  \n");
    assert!(repaired.notes[0].contains(workflow), "{:?}", repaired.notes);
}

#[tokio::test]
async fn hooks_that_change_nothing_now_are_said() {
    let check = "pre-commit run --all-files";
    let case = with_program(Case::new(&[("a.py", "a = 1\n")]).checks(check), "pre-commit", "echo no network; exit 3");
    let modified = "files were modified by this hook";
    let repaired = case.fails(command_failed("pre-commit", check, modified)).repair().await;
    assert_eq!(repaired.applied, []);
    assert!(repaired.notes[0].contains("no network"), "{:?}", repaired.notes);
}

#[tokio::test]
async fn findings_of_flake8_are_repaired_without_a_tool() {
    let source = "import os\nimport sys\ndef f():  \n    return sys.path\n\n\n";
    let case = Case::new(&[("a.py", source)])
        .fails(finding("flake8", "a.py", 1, "F401", "F401 'os' imported but unused"))
        .fails(finding("flake8", "a.py", 3, "E302", "E302 expected 2 blank lines, found 0"))
        .fails(finding("flake8", "a.py", 3, "W291", "W291 trailing whitespace"))
        .fails(finding("flake8", "a.py", 5, "W391", "W391 blank line at end of file"))
        .fails(finding("flake8", "a.py", 3, "E501", "E501 line too long"));
    let repaired = case.repair().await;
    assert_eq!(repaired.notes, Vec::<String>::new());
    assert_eq!(case.read("a.py"), "import sys\n\n\ndef f():\n    return sys.path\n");
    assert_eq!(repaired.applied[0].rule, "lint-edit");
}

fn stale(tool: &str, message: &str) -> Failure {
    let key = Key::Message { file: None, message: message.to_owned() };
    failure(Category::ImportDependency, tool, message, key)
}

const LOCK: &str = "[[package]]\nname = \"a\"\nversion = \"1\"\n";

#[tokio::test]
async fn a_stale_lock_is_made_again_by_its_tool() {
    for (tool, message, asked) in [
        ("uv", "The lockfile at `uv.lock` needs to be updated, but `--locked` was provided.", "lock"),
        ("poetry", "pyproject.toml changed significantly since poetry.lock was last generated.", "lock --no-update"),
        ("pdm", "Lock file hash doesn't match pyproject.toml, packages may be outdated", "lock --update-reuse"),
    ] {
        let lock = format!("{tool}.lock");
        let case = Case::new(&[(&lock, LOCK), ("pyproject.toml", PROJECT)]);
        let script = format!(
            "case \"$1\" in --version) echo 'Poetry (version 1.8.3)'; exit;; esac\n\
             case \"$*\" in \"{asked}\"*) test -n \"$ONLINE\" && sed -i s/1/2/ {lock} && echo > pyproject.toml;; esac"
        );
        let case = with_program(case, tool, &script).fails(stale(tool, message));
        let repaired = case.repair().await;
        assert_eq!(repaired.notes, Vec::<String>::new(), "{tool}");
        assert_eq!(repaired.applied[0].files, [lock.as_str()]);
        assert_eq!(repaired.applied[0].impact, "Locked versions change: a 1 → 2.");
        // Only the lock is kept of what the tool did.
        assert_eq!(case.read("pyproject.toml"), PROJECT);
    }
}

#[tokio::test]
async fn a_lock_that_can_not_be_made_stays() {
    let message = "The lockfile at `uv.lock` needs to be updated, but `--locked` was provided.";
    let case = Case::new(&[("uv.lock", LOCK), ("pyproject.toml", PROJECT)]).fails(stale("uv", message));
    let repaired = with_program(case, "uv", "echo no solution found; exit 1").repair().await;
    assert!(repaired.applied.is_empty() && repaired.notes[0].contains("no solution"), "{:?}", repaired.notes);
    let case = Case::new(&[("a/uv.lock", LOCK), ("b/uv.lock", LOCK)]).fails(stale("uv", message));
    assert!(case.repair().await.notes[0].contains("not clear which"));
}

/// Wheels of these names, versions and requirements, in the folder `wheels` of a case.
fn with_wheels(case: Case, wheels: &[(&str, &str, &str)]) -> Case {
    let folder = case.folder.path().join("wheels");
    std::fs::create_dir_all(&folder).unwrap();
    for (name, version, requires) in wheels {
        let python = "import sys, zipfile\nname, version, requires, folder = sys.argv[1:]\ninfo = f'{name}-{version}.dist-info/'\n\
             with zipfile.ZipFile(f'{folder}/{name}-{version}-py3-none-any.whl', 'w') as wheel:\n    \
             requires = requires and f'Requires-Dist: {requires}\\n'\n    \
             wheel.writestr(info + 'METADATA', f'Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n{requires}')\n    \
             wheel.writestr(info + 'WHEEL', 'Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')\n    \
             wheel.writestr(info + 'RECORD', '')\n";
        let mut command = std::process::Command::new("python3");
        let made = command.args(["-c", python, name, version, requires]).arg(&folder).status().unwrap();
        assert!(made.success());
    }
    case
}

/// pip's own word for what conflicts in a case with these requirements.
async fn in_conflict(requirements: &str, wheels: &[(&str, &str, &str)]) -> Case {
    let list = format!("--no-index\n--find-links ./wheels\n{requirements}");
    let check = "python -m pip install -r requirements.txt";
    let case = with_wheels(Case::new(&[("requirements.txt", list.as_str())]).checks(check), wheels);
    let workspace = Plain { root: case.folder.path().to_owned(), path: case.path.clone() };
    let finished = workspace.run(&format!("{check} --dry-run --ignore-installed")).await.unwrap();
    let mut detector = crate::detect::Detector::for_command(check, &[]);
    detector.feed(&finished.output);
    detector.exited(1);
    let failures = detector.finish().remove(0).failures;
    assert!(failures[0].message.contains("conflicting"), "{}", String::from_utf8_lossy(&finished.output));
    failures.into_iter().fold(case, Case::fails)
}

#[tokio::test]
async fn the_one_pin_that_is_too_old_for_another_is_raised() {
    let core = [("core", "1.0", ""), ("core", "1.1", ""), ("core", "2.0", ""), ("model", "5.0", "core (==1.1)")];
    let case = in_conflict("model==5.0\ncore==1.0  # why\n", &core).await;
    let repaired = case.repair().await;
    let expected = "--no-index\n--find-links ./wheels\nmodel==5.0\ncore==1.1  # why\n";
    assert_eq!(case.read("requirements.txt"), expected, "{:?}", repaired.notes);
    assert_eq!(repaired.applied[0].fix_type, FixType::Dependency);
    assert!(repaired.applied[0].description.contains("Raised `core==1.0` to 1.1"), "{repaired:?}");
}

#[tokio::test]
async fn a_pin_is_not_lowered_and_of_two_that_could_be_raised_none_is() {
    let old = [("core", "1.0", ""), ("core", "2.0", ""), ("model", "5.0", "core<2")];
    let both = [&old[..], &[("core", "3.0", ""), ("model", "6.0", "core>=1"), ("model", "5.5", "core>=3")]].concat();
    let two = [("core", "1.0", ""), ("core", "2.0", ""), ("model", "5.0", "core>=2"), ("model", "6.0", "core>=1")];
    let behind = [
        &[("core", "1.0", ""), ("core", "2.0", ""), ("model", "5.0", "mid==1"), ("model", "6.0", "mid==2")][..],
        &[("mid", "1", "core>=2"), ("mid", "2", "core>=1")],
    ]
    .concat();
    for (pins, wheels, why) in [
        ("model==5.0\ncore==2.0\n", &old[..], "no pin of the project's own can be raised"),
        ("model==5.0\ncore==1.0\n", &two[..], "several ways, each of which resolves: `model==5.0` to 6.0, or `core"),
        // What another pin brings in may be in the way.
        ("model==5.0\ncore==1.0\n", &behind[..], "several ways, each of which resolves: `model==5.0` to 6.0, or `core"),
    ] {
        let case = in_conflict(pins, wheels).await;
        let repaired = case.repair().await;
        assert_eq!(repaired.applied, []);
        assert!(repaired.notes.iter().any(|note| note.contains(why)), "{:?}", repaired.notes);
        assert!(case.read("requirements.txt").ends_with(pins), "the list is as it was");
    }
    // The other one may be what is too old.
    let case = in_conflict("model==5.0\ncore==2.0\n", &both).await;
    assert_eq!(case.repair().await.applied[0].files, ["requirements.txt"]);
    assert!(case.read("requirements.txt").ends_with("model==6.0\ncore==2.0\n"), "{}", case.read("requirements.txt"));
}
