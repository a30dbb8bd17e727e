//! Rules that repair with the real tools, or by what they said.

use super::*;

/// An environment with real tools, made once.
async fn tools() -> Option<String> {
    static MADE: tokio::sync::OnceCell<Option<String>> = tokio::sync::OnceCell::const_new();
    let made = MADE.get_or_init(|| async {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tmp/rules-tools");
        let ready = folder.join("ready");
        let script = format!(
            "test -e {ready} || {{ rm -rf {folder}; python3 -m venv {folder}; \
             {folder}/bin/python -m pip install -q ruff==0.11.13 black==24.4.2 isort==5.13.2; touch {ready}; }}",
            ready = shell_words::quote(ready.to_str()?),
            folder = shell_words::quote(folder.to_str()?)
        );
        let status = tokio::process::Command::new("bash").args(["-e", "-c", &script]).status().await.ok()?;
        let path = format!("{}:{}", folder.join("bin").to_str()?, std::env::var("PATH").ok()?);
        status.success().then_some(path)
    });
    let path = made.await.clone();
    if path.is_none() {
        println!("SKIPPED: the real tools could not be installed (no network?)");
    }
    path
}

#[tokio::test]
async fn ruff_fixes_the_reported_codes_in_the_reported_files_only() {
    let Some(path) = tools().await else { return };
    let source = "import os\nimport sys\n\n\ndef f(x):\n    return x == None\n";
    let mut case = Case::new(&[("a b.py", source), ("b.py", source), ("ruff.toml", "[lint]\nselect = [\"ALL\"]\n")])
        .fails(finding("ruff", "a b.py", 1, "F401", "`os` imported but unused"))
        .fails(finding("ruff", "a b.py", 6, "E711", "Comparison to `None`"))
        .fails(finding("ruff", "a b.py", 6, "F401; touch evil", ""));
    case.path = path;
    let repaired = case.repair().await;
    assert_eq!(repaired.applied[0].files, ["a b.py"]);
    // E711 has an unsafe fix only; the file was in ruff's format before and is in it again.
    assert_eq!(case.read("a b.py"), "def f(x):\n    return x == None\n");
    assert_eq!(case.read("b.py"), source);
    assert_eq!(std::fs::read_dir(case.folder.path()).unwrap().count(), 3);
}

#[tokio::test]
async fn a_finding_without_a_safe_fix_is_left_alone() {
    let Some(path) = tools().await else { return };
    let mut case = Case::new(&[("a.py", "def f(x):\n    return x == None\n")]);
    case = case.fails(finding("ruff", "a.py", 2, "E711", "Comparison to `None`"));
    case.path = path;
    let repaired = case.repair().await;
    assert_eq!(repaired.applied, []);
    assert!(repaired.notes[0].contains("no safe fix"), "{:?}", repaired.notes);
}

#[tokio::test]
async fn formatters_format_the_reported_file_with_the_jobs_options() {
    let Some(path) = tools().await else { return };
    let long = "value = function(argument_one, argument_two, argument_three)\n";
    for (tool, command, expected) in [
        ("ruff-format", "ruff format --check --line-length 200 .", long.to_owned()),
        ("black", "black --check -l 200 .", long.to_owned()),
        (
            "black",
            "black --check -l 40 .",
            "value = function(\n    argument_one,\n    argument_two,\n    argument_three,\n)\n".to_owned(),
        ),
    ] {
        let source = "value = function(argument_one,\n   argument_two, argument_three)\n";
        let mut case = Case::new(&[("a.py", source), ("b.py", source)]);
        case = case.fails(Failure { command: Some(command.to_owned()), ..unformatted(tool, "a.py") });
        case.path = path.clone();
        let repaired = case.repair().await;
        assert_eq!(case.read("a.py"), expected, "{command}: {:?}", repaired.notes);
        assert_eq!(case.read("b.py"), source);
    }
}

#[tokio::test]
async fn isort_sorts_the_reported_file() {
    let Some(path) = tools().await else { return };
    let mut case = Case::new(&[("a.py", "import sys\nimport os\n")]).fails(unformatted("isort", "a.py"));
    case.path = path;
    let repaired = case.repair().await;
    assert_eq!(case.read("a.py"), "import os\nimport sys\n", "{:?}", repaired.notes);
}

#[tokio::test]
async fn a_tool_that_is_not_there_is_said() {
    let mut case = Case::new(&[("a.py", "x=1\n")]).fails(unformatted("black", "a.py"));
    case.path = "/usr/bin:/bin".to_owned();
    let repaired = case.repair().await;
    assert_eq!(repaired.applied, []);
    assert!(repaired.notes.iter().any(|note| note.contains("format:")), "{:?}", repaired.notes);
}

#[tokio::test]
async fn a_hook_of_pre_commit_repairs_with_its_own_program_and_options() {
    let config =
        "repos:\n- repo: https://x\n  rev: '1'\n  hooks:\n  - id: black\n    args: [--line-length=40, --verbose]\n";
    let hook = "#!/bin/sh\necho \"$@\" > a.py\n";
    let mut case = Case::new(&[
        (".pre-commit-config.yaml", config),
        ("a.py", "x=1\n"),
        (".cache/pre-commit/repo1/py_env-python3/bin/black", hook),
    ]);
    let program = case.folder.path().join(".cache/pre-commit/repo1/py_env-python3/bin/black");
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let command = Some("pre-commit run --all-files".to_owned());
    case = case.fails(Failure { command, ..unformatted("black", "a.py") });
    case.repair().await;
    assert_eq!(case.read("a.py"), "-q --line-length=40 -- a.py\n");
}

#[tokio::test]
async fn a_misspelt_word_is_corrected_in_prose_only() {
    let misspelt = |file: &str, line: u32, message: &str| finding("codespell", file, line, "misspelling", message);
    let case = Case::new(&[("docs/a.rst", "One\nteh interanlly teh\n"), ("a.py", "teh = 1  # fine\n# teh end\n")])
        .fails(misspelt("docs/a.rst", 2, "interanlly ==> internally"))
        .fails(misspelt("docs/a.rst", 2, "teh ==> the, then"))
        .fails(misspelt("a.py", 1, "teh ==> the"))
        .fails(misspelt("a.py", 2, "a.py:2: teh ==> the"));
    let repaired = case.repair().await;
    assert_eq!(case.read("docs/a.rst"), "One\nteh internally teh\n", "{:?}", repaired.notes);
    assert_eq!(case.read("a.py"), "teh = 1  # fine\n# the end\n", "{:?}", repaired.notes);
}
