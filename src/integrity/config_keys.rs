//! Which way each key of a checking tool's configuration may go without weakening the check.

/// What may happen to a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Anything.
    Free,
    /// A person must look.
    Watched,
    /// Nothing.
    Fixed,
    /// Entries may go, not come: exclusions.
    MayShrink,
    /// Entries may come, not go: selections.
    MayGrow,
    /// Numbers.
    MayRise,
    MayFall,
    /// Strictness must stay on.
    On,
    /// Leniency must stay off.
    Off,
    /// A runner's command-line options.
    Options,
}

const TOOLS: [&str; 27] = [
    "pytest",
    "coverage",
    "mypy",
    "ruff",
    "flake8",
    "black",
    "isort",
    "bandit",
    "pylint",
    "pyright",
    "basedpyright",
    "codespell",
    "pydocstyle",
    "pycodestyle",
    "interrogate",
    "yamllint",
    "markdownlint",
    "ty",
    "yapf",
    "semgrep",
    "vulture",
    "doc8",
    "deptry",
    "pyrefly",
    "importlinter",
    "autopep8",
    "mutmut",
];

/// The way of a flat key.
pub(crate) fn way(key: &str) -> Way {
    let low = key.to_ascii_lowercase().replace('_', "-");
    let (tool, rest) = low.split_once('.').unwrap_or((low.as_str(), ""));
    let leaf = rest.rsplit('.').next().unwrap_or(rest);
    match tool {
        "tox" | "testenv" | "gh-actions" | "gh" => tox(rest),
        _ if tool.starts_with("testenv") || low.starts_with("env-run-base") || low.starts_with("env.") => tox(rest),
        "hatch" if low.contains(".scripts") || low.contains(".matrix") || low.contains("extra-args") => Way::Fixed,
        "pdm" | "rye" | "pixi" | "poe" | "taskipy" | "nox" | "thx" | "duty" | "invoke"
            if rest.contains("scripts") || rest.contains("task") || tool == "nox" =>
        {
            Way::Fixed
        }
        "cibuildwheel" if leaf.starts_with("test") || leaf == "skip" => Way::Fixed,
        "aliases" => Way::Fixed,
        "project" | "options" if low.contains("pytest11") => Way::Fixed,
        "aliases.test" => Way::Fixed,
        _ if TOOLS.contains(&tool) => of_tool(tool, rest, leaf),
        _ => Way::Free,
    }
}

fn tox(rest: &str) -> Way {
    let leaf = rest.rsplit('.').next().unwrap_or(rest);
    match leaf {
        "deps" | "extras" | "dependency-groups" | "requires" | "description" | "minversion" | "min-version"
        | "isolated-build" => Way::Free,
        "basepython" | "base-python" | "package" | "wheel-build-env" | "passenv" | "pass-env" | "labels"
        | "usedevelop" => Way::Watched,
        "" => Way::Watched,
        _ => Way::Fixed,
    }
}

fn of_tool(tool: &str, rest: &str, leaf: &str) -> Way {
    if rest.contains("per-file-ignores") || rest.contains("per-file-target") {
        return Way::MayShrink;
    }
    match (tool, leaf) {
        ("pytest", "addopts") => Way::Options,
        ("pytest", "testpaths" | "python-files" | "python-classes" | "python-functions" | "doctest-glob") => {
            Way::MayGrow
        }
        ("pytest", "norecursedirs" | "collect-ignore" | "collect-ignore-glob") => Way::MayShrink,
        ("pytest", "filterwarnings") => Way::Fixed,
        ("pytest", "xfail-strict" | "strict" | "strict-markers" | "strict-config" | "empty-parameter-set-mark") => {
            Way::On
        }
        (
            "pytest",
            "markers" | "pythonpath" | "minversion" | "log-level" | "log-cli" | "asyncio-default-fixture-loop-scope",
        ) => Way::Free,
        ("pytest", "required-plugins") => Way::MayGrow,
        ("pytest", "env" | "usefixtures") => Way::Watched,
        (_, "fail-under" | "fail-on" | "min-similarity-lines" | "min-confidence" | "cov-fail-under") => Way::MayRise,
        (
            "coverage",
            "omit" | "exclude-lines" | "exclude-also" | "partial-branches" | "disable-warnings" | "exclude",
        ) => Way::MayShrink,
        ("coverage", "source" | "include" | "source-pkgs") => Way::MayGrow,
        ("coverage", "branch") => Way::On,
        ("coverage", "ignore-errors" | "skip-covered" | "skip-empty") if leaf == "ignore-errors" => Way::Off,
        ("coverage", "precision") => Way::Watched,
        ("mypy", "ignore-errors" | "ignore-missing-imports" | "no-site-packages") => Way::Off,
        ("mypy", "follow-imports" | "follow-imports-for-stubs" | "follow-untyped-imports") => Way::Fixed,
        ("mypy", "disable-error-code" | "exclude" | "always-true" | "always-false") => Way::MayShrink,
        ("mypy", "enable-error-code" | "files" | "packages" | "modules" | "plugins") => Way::MayGrow,
        ("mypy", "module" | "python-version" | "mypy-path" | "platform") => Way::Watched,
        (
            "mypy",
            "pretty" | "show-error-codes" | "show-error-context" | "show-column-numbers" | "cache-dir" | "color-output",
        ) => Way::Free,
        ("mypy", leaf) if leaf.starts_with("allow") || leaf.starts_with("implicit") || leaf.starts_with("disable") => {
            Way::Off
        }
        ("mypy", _) => Way::On,
        ("pyright" | "basedpyright", "ignore" | "exclude") => Way::MayShrink,
        ("pyright" | "basedpyright", "include" | "strict") => Way::MayGrow,
        ("pyright" | "basedpyright", "typecheckingmode") => Way::Fixed,
        ("pyright" | "basedpyright", leaf) if leaf.starts_with("report") || leaf.starts_with("strict") => Way::On,
        (
            "ruff" | "flake8" | "pycodestyle" | "pydocstyle" | "pylint" | "isort" | "black" | "bandit" | "doc8",
            "line-length" | "max-line-length",
        ) => Way::MayFall,
        (_, leaf) if leaf.starts_with("max-") || leaf.contains("complexity") => Way::MayFall,
        ("isort", leaf) if leaf.starts_with("skip") || leaf.contains("glob") && leaf.contains("skip") => Way::MayShrink,
        (
            "pylint",
            "disable" | "ignore" | "ignore-paths" | "ignore-patterns" | "ignored-modules" | "ignored-classes"
            | "good-names",
        ) => Way::MayShrink,
        ("pylint", "generated-members" | "disable-all") => Way::MayShrink,
        ("pylint", "enable" | "load-plugins") => Way::MayGrow,
        (
            "codespell",
            "skip" | "ignore-words-list" | "ignore-words" | "ignore-regex" | "exclude-file" | "uri-ignore-words-list",
        ) => Way::MayShrink,
        ("bandit", "targets" | "tests" | "include") => Way::MayGrow,
        ("bandit", "level" | "severity" | "confidence") => Way::Fixed,
        ("bandit", _) => Way::MayShrink,
        (
            _,
            "ignore" | "extend-ignore" | "exclude" | "extend-exclude" | "force-exclude" | "skips" | "skip"
            | "unfixable",
        ) => Way::MayShrink,
        (
            _,
            "exclude-dirs" | "exclude-directories" | "ignore-names" | "extend-ignore-names" | "allowed-confusables",
        ) => Way::MayShrink,
        (
            _,
            "dummy-variable-rgx" | "builtins" | "ignore-decorators" | "extend-immutable-calls" | "extend-safe-fixes",
        ) => Way::Watched,
        (_, "select" | "extend-select" | "enable-extensions" | "include" | "extend-include" | "paths" | "rules") => {
            Way::MayGrow
        }
        ("deptry", _) => Way::MayShrink,
        ("importlinter", _) => Way::Fixed,
        ("ruff", _) if rest.starts_with("format.") && leaf != "exclude" => Way::Watched,
        ("ruff", "fix" | "show-fixes" | "output-format" | "src" | "fixable" | "unsafe-fixes") => Way::Free,
        ("ruff", "preview" | "explicit-preview-rules") => Way::Watched,
        ("interrogate", leaf) if leaf.starts_with("ignore") => Way::Off,
        _ => Way::Watched,
    }
}
