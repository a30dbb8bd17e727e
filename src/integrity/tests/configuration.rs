use super::Tried;

fn pyproject(before: &str, after: &str) -> Tried {
    Tried::new().edit("pyproject.toml", before, after)
}

#[test]
fn configured_suppressions_are_refused() {
    for (path, before, after) in [
        ("pyproject.toml", "[tool.ruff.lint]\nselect = [\"E\", \"F\"]\n", "[tool.ruff.lint]\nselect = [\"E\"]\n"),
        (
            "pyproject.toml",
            "[tool.ruff.lint]\nselect = [\"E\"]\n",
            "[tool.ruff.lint]\nselect = [\"E\"]\nextend-ignore = [\"E501\"]\n",
        ),
        ("pyproject.toml", "[tool.ruff]\nline-length = 88\n", "[tool.ruff]\nline-length = 200\n"),
        ("pyproject.toml", "[tool.ruff]\n", "[tool.ruff]\nextend-exclude = [\"pkg\"]\n"),
        ("pyproject.toml", "[tool.mypy]\nstrict = true\n", "[tool.mypy]\nstrict = false\n"),
        ("pyproject.toml", "[tool.mypy]\nstrict = true\n", "[tool.mypy]\n"),
        ("pyproject.toml", "[tool.mypy]\n", "[tool.mypy]\ndisable_error_code = [\"arg-type\"]\n"),
        ("pyproject.toml", "[tool.mypy]\n", "[tool.mypy]\nignore_missing_imports = true\n"),
        (
            "pyproject.toml",
            "[tool.mypy]\n",
            "[[tool.mypy.overrides]]\nmodule = \"pkg.*\"\ndisallow_untyped_defs = false\n",
        ),
        ("pyproject.toml", "[tool.coverage.run]\nbranch = true\n", "[tool.coverage.run]\nbranch = false\n"),
        ("pyproject.toml", "[tool.coverage.report]\n", "[tool.coverage.report]\nexclude_also = [\"raise\"]\n"),
        ("pyproject.toml", "[tool.bandit]\n", "[tool.bandit]\nskips = [\"B101\"]\n"),
        ("pyproject.toml", "[tool.black]\n", "[tool.black]\nforce-exclude = \"pkg\"\n"),
        ("pyproject.toml", "[tool.isort]\n", "[tool.isort]\nskip = [\"pkg/mod.py\"]\n"),
        (
            "pyproject.toml",
            "[tool.pylint.\"messages control\"]\n",
            "[tool.pylint.\"messages control\"]\ndisable = [\"C0114\"]\n",
        ),
        ("setup.cfg", "[flake8]\nmax-line-length = 88\n", "[flake8]\nmax-line-length = 88\nextend-ignore = E501\n"),
        ("setup.cfg", "[mypy]\nstrict = True\n", "[mypy]\nstrict = True\n\n[mypy-pkg.*]\nignore_errors = True\n"),
        ("setup.cfg", "[coverage:run]\nsource = pkg\n", "[coverage:run]\nsource = pkg\nomit = pkg/mod.py\n"),
        (".flake8", "[flake8]\n", "[flake8]\nper-file-ignores =\n    pkg/mod.py: E501\n"),
        (".coveragerc", "[run]\nsource = pkg\n", "[run]\nsource = pkg\n[report]\nexclude_lines =\n    pass\n"),
        ("mypy.ini", "[mypy]\nwarn_unused_ignores = True\n", "[mypy]\nwarn_unused_ignores = False\n"),
        ("ruff.toml", "[lint]\nselect = [\"ALL\"]\n", "[lint]\nselect = [\"ALL\"]\nignore = [\"D\"]\n"),
        (".pylintrc", "[MESSAGES CONTROL]\ndisable=a\n", "[MESSAGES CONTROL]\ndisable=a,b\n"),
    ] {
        let findings = Tried::new().edit(path, before, after).findings();
        assert!(findings.iter().any(|f| f.severity == super::Severity::Refuse), "{path}: {after}: {findings:#?}");
    }
}

#[test]
fn lowered_thresholds_are_refused() {
    for (path, before, after) in [
        ("pyproject.toml", "[tool.coverage.report]\nfail_under = 90\n", "[tool.coverage.report]\nfail_under = 80\n"),
        ("pyproject.toml", "[tool.coverage.report]\nfail_under = 90\n", "[tool.coverage.report]\n"),
        (".coveragerc", "[report]\nfail_under = 100\n", "[report]\nfail_under = 99.5\n"),
        ("pyproject.toml", "[tool.interrogate]\nfail-under = 95\n", "[tool.interrogate]\nfail-under = 9\n"),
        (".pylintrc", "[MAIN]\nfail-under=10\n", "[MAIN]\nfail-under=5\n"),
        ("setup.cfg", "[flake8]\nmax-complexity = 10\n", "[flake8]\nmax-complexity = 30\n"),
    ] {
        Tried::new().edit(path, before, after).is_refused_by("threshold-lowered");
    }
    pyproject(
        "[tool.pytest.ini_options]\naddopts = \"--cov-fail-under=90\"\n",
        "[tool.pytest.ini_options]\naddopts = \"--cov-fail-under=80\"\n",
    )
    .is_refused_by("test-selection");
}

#[test]
fn a_narrowed_selection_of_tests_is_refused() {
    let before = "[tool.pytest.ini_options]\naddopts = [\"-q\", \"--strict-markers\"]\ntestpaths = [\"tests\", \"more\"]\nxfail_strict = true\nfilterwarnings = [\"error\"]\n";
    for (old, new) in [
        ("\"-q\"", "\"-q\", \"-k\", \"not total\""),
        ("\"-q\"", "\"-q\", \"--deselect=tests/test_mod.py::test_total\""),
        ("\"-q\"", "\"-q\", \"--ignore=tests\""),
        ("\"-q\"", "\"-q\", \"-p\", \"no:randomly\""),
        (", \"--strict-markers\"", ""),
        (", \"more\"", ""),
        ("xfail_strict = true", "xfail_strict = false"),
        ("\"error\"]", "\"error\", \"ignore::DeprecationWarning\"]"),
        ("testpaths", "norecursedirs = [\"tests\"]\ntestpaths"),
        ("testpaths", "python_files = [\"check_*.py\"]\ntestpaths"),
    ] {
        pyproject(before, &before.replace(old, new)).is_refused_by("test-selection");
    }
}

#[test]
fn stricter_settings_pass() {
    for (before, after) in [
        ("[tool.coverage.report]\nfail_under = 80\n", "[tool.coverage.report]\nfail_under = 90\n"),
        ("[tool.ruff.lint]\nselect = [\"E\"]\nignore = [\"E501\"]\n", "[tool.ruff.lint]\nselect = [\"E\", \"F\"]\n"),
        ("[tool.mypy]\nstrict = false\n", "[tool.mypy]\nstrict = true\n"),
        ("[tool.ruff]\nline-length = 100\n", "[tool.ruff]\nline-length = 88\n"),
        ("[tool.pytest.ini_options]\nmarkers = []\n", "[tool.pytest.ini_options]\nmarkers = [\"slow: slow\"]\n"),
        ("[project]\nversion = \"1\"\n", "[project]\nversion = \"2\"\ndescription = \"d\"\n"),
    ] {
        pyproject(before, after).passes();
    }
}

#[test]
fn a_reformatted_configuration_passes() {
    pyproject("[tool.ruff]\nexclude=['a','b']\n", "# sorted\n[tool.ruff]\nexclude = [\n    \"a\",\n    \"b\",\n]\n")
        .passes();
}

#[test]
fn a_new_file_that_takes_precedence_is_refused() {
    Tried::new().add("pytest.ini", "[pytest]\n").is_refused_by("config-shadowed");
    Tried::new()
        .with("setup.cfg", "[flake8]\nselect = E\n")
        .add(".flake8", "[flake8]\n")
        .is_refused_by("config-shadowed");
    Tried::new()
        .with("ruff.toml", "line-length = 88\n")
        .add("pkg/ruff.toml", "line-length = 88\n")
        .is_refused_by("config-shadowed");
    Tried::new().with("mypy.ini", "[mypy]\nstrict = True\n").delete("mypy.ini").is_refused_by("config-removed");
}

#[test]
fn protected_files_are_refused() {
    for path in [
        ".github/workflows/ci.yml",
        ".gitlab-ci.yml",
        ".circleci/config.yml",
        "azure-pipelines.yml",
        "codecov.yml",
        ".github/test-repair.yml",
    ] {
        Tried::new().edit(path, "a: 1\n", "a: 2\n").is_refused_by("protected-path");
    }
    for path in ["Makefile", "justfile", "run_tests.sh", "noxfile.py"] {
        Tried::new().edit(path, "test = 1\n", "test = 2\n").is_refused_by("check-command-changed");
    }
    Tried::new().edit("Makefile", "test:\n\tpytest\n", "# tests\ntest:\n\tpytest\n").passes();
    let mut configured = Tried::new().edit("pkg/secret.py", "a = 1\n", "a = 2\n");
    configured.category = None;
    let findings = super::judge(&super::Judged {
        change: &configured.change,
        before: &configured.tree,
        reported: &[],
        declared: None,
        category: None,
        protected: &["pkg/secret*".to_string()],
    });
    assert_eq!(findings[0].rule, "protected-path");
}

#[test]
fn a_script_that_the_workflow_runs_is_protected() {
    let tried = || Tried::new().with(".github/workflows/ci.yml", "run: ./scripts/check.sh\n");
    tried().edit("scripts/check.sh", "pytest\n", "pytest || true\n").is_refused_by("check-command-changed");
}

#[test]
fn hooks_are_protected_and_their_versions_are_flagged() {
    let hooks = "repos:\n- repo: a\n  rev: v1\n  hooks:\n  - id: black\n";
    let edit = |after: &str| Tried::new().edit(".pre-commit-config.yaml", hooks, after);
    edit(&hooks.replace("v1", "v2")).is_flagged_by("tool-pinned");
    edit(&format!("{hooks}    exclude: tests\n")).is_refused_by("protected-path");
    edit("repos: []\n").is_refused_by("protected-path");
    edit(&format!("# hooks\n{hooks}")).passes();
}

#[test]
fn tox_commands_are_protected_and_its_dependencies_are_not() {
    let tox = "[testenv]\ndeps = pytest\ncommands = pytest {posargs}\n";
    let edit = |after: &str| Tried::new().edit("tox.ini", tox, after).category("import_dependency");
    edit(&tox.replace("commands = pytest", "commands = - pytest")).is_refused_by("check-command-changed");
    // What they name is looked up in the index, by `repair::dependencies`.
    edit(&tox.replace("deps = pytest", "deps =\n    pytest\n    rich")).passes();
}

#[test]
fn dependencies_pass_where_the_category_explains_them() {
    let edit = || Tried::new().edit("requirements.txt", "click\n", "click\nrich>=10\n");
    edit().category("import_dependency").passes();
    edit().category("unit_test").is_flagged_by("scope");
    pyproject("[project]\nname = \"x\"\ndependencies = []\n", "[project]\nname = \"x\"\ndependencies = [\"rich\"]\n")
        .category("import_dependency")
        .passes();
    Tried::new()
        .edit("requirements-dev.txt", "ruff==0.5\n", "ruff==0.1\n")
        .reported("ruff", "pkg/mod.py", 1, "E501")
        .category("quality")
        .is_refused_by("tool-pinned");
}

#[test]
fn an_ignore_file_that_hides_tracked_files_is_refused() {
    Tried::new().edit(".gitignore", "build/\n", "build/\npkg/\n").is_refused_by("check-excluded");
    Tried::new().edit(".gitignore", "build/\n", "build/\n.coverage\n").passes();
    Tried::new().edit(".trivyignore", "", "CVE-1\n").is_refused_by("check-excluded");
}

#[test]
fn silenced_documentation_is_refused() {
    let edit = |after: &str| Tried::new().edit("docs/conf.py", "project = 'x'\nnitpicky = True\n", after);
    edit("project = 'x'\nnitpicky = True\nnitpick_ignore = [('py:class', 'X')]\n").is_refused_by("docs-suppressed");
    edit("project = 'x'\nnitpicky = False\n").is_refused_by("docs-suppressed");
    edit("project = 'y'\nnitpicky = True\n").passes();
}
