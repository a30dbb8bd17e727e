//! Actions of the marketplace that a Python project's CI uses, as the commands that they come down to.
//!
//! Facts of inputs and defaults: each action's `action.yml`, as of 2026-11.

use std::collections::BTreeMap;

use crate::sandbox::Network;

/// What an action comes down to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Equivalent {
    /// Commands that bring its tool in.
    pub(super) install: Vec<String>,
    /// Commands that judge the code.
    pub(super) checks: Vec<(String, Network)>,
    /// Its own commands are steps of the log, and need no equivalent there.
    pub(super) shown: bool,
}

/// How an action stands to a local run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Known {
    /// What it would have done is done, or needs not be.
    Done,
    /// These commands do the same.
    Same(Equivalent),
    /// It can't be done here; why.
    Not(&'static str),
}

/// An action (`owner/name`, without its ref) with its inputs, by their names in small letters.
pub(super) fn known(action: &str, with: &BTreeMap<String, String>) -> Known {
    let input = |name: &str| with.get(name).map(|value| value.trim()).filter(|value| !value.is_empty());
    let or = |name: &str, default: &'static str| input(name).unwrap_or(default).to_owned();
    let name = action.split('@').next().unwrap_or(action).to_ascii_lowercase();
    let installs = |package: &str, version: &str| {
        Known::Same(Equivalent { install: vec![tool(package, input(version))], ..Equivalent::default() })
    };
    let checks = |package: &str, version: &str, command: String| {
        Known::Same(Equivalent {
            install: vec![pip(package, input(version))],
            checks: vec![(command.split_whitespace().collect::<Vec<_>>().join(" "), Network::None)],
            shown: false,
        })
    };
    match name.as_str() {
        "actions/checkout"
        | "actions/setup-python"
        | "actions/cache"
        | "actions/cache/restore"
        | "actions/cache/save"
        | "step-security/harden-runner"
        | "deadsnakes/action" => Known::Done,
        "astral-sh/setup-uv" | "hynek/setup-cached-uv" | "yezz123/setup-uv" => installs("uv", "version"),
        "snok/install-poetry" | "snok.install-poetry" => installs("poetry", "version"),
        "abatilo/actions-poetry" | "gr1n/setup-poetry" => installs("poetry", "poetry-version"),
        "pdm-project/setup-pdm" => installs("pdm", "version"),
        "pypa/hatch" => installs("hatch", "version"),
        "wntrblm/nox" | "excitedleigh/setup-nox" | "fizyk/actions-reuse/.github/actions/nox" => installs("nox", ""),
        "extractions/setup-just" => installs("just", "just-version"),
        "arduino/setup-task" | "go-task/setup-task" => installs("task", "version"),
        "pre-commit/action" | "tox-dev/action-pre-commit-uv" => Known::Same(Equivalent {
            install: vec![tool("pre-commit", None), "pre-commit install-hooks".to_owned()],
            checks: vec![(
                format!("pre-commit run --show-diff-on-failure --color=always {}", or("extra_args", "--all-files")),
                Network::None,
            )],
            shown: true,
        }),
        "psf/black" => {
            let jupyter = if input("jupyter") == Some("true") { "black[jupyter]" } else { "black" };
            checks(jupyter, "version", format!("black {} {}", or("options", "--check --diff"), or("src", ".")))
        }
        "astral-sh/ruff-action" | "chartboost/ruff-action" => {
            checks("ruff", "version", format!("ruff {} {}", or("args", "check"), or("src", ".")))
        }
        "isort/isort-action" => checks(
            "isort",
            "isort-version",
            format!("isort {} {}", or("configuration", "--check-only --diff"), or("sort-paths", ".")),
        ),
        "py-actions/flake8" => checks(
            "flake8",
            "flake8-version",
            ["max-line-length", "ignore", "exclude"]
                .iter()
                .filter_map(|name| Some(format!("--{name}={}", input(name)?)))
                .chain([or("args", ""), or("path", ".")])
                .fold("flake8".to_owned(), |line, part| format!("{line} {part}")),
        ),
        "codespell-project/actions-codespell" => checks(
            "codespell",
            "",
            [("skip", "--skip"), ("ignore_words_list", "-L"), ("ignore_words_file", "-I"), ("exclude_file", "-x")]
                .iter()
                .filter_map(|(name, flag)| Some(format!("{flag} {}", quoted(input(name)?))))
                .chain((input("check_filenames") == Some("true")).then(|| "--check-filenames".to_owned()))
                .chain(
                    (input("check_hidden") != Some("false") && input("check_hidden").is_some())
                        .then(|| "--check-hidden".to_owned()),
                )
                .chain([or("path", "")])
                .fold("codespell".to_owned(), |line, part| format!("{line} {part}")),
        ),
        "jakebailey/pyright-action" => {
            let project = input("project").map(|project| format!("--project {}", quoted(project)));
            let line = format!("pyright {} {}", project.unwrap_or_default(), or("extra-args", ""));
            let Known::Same(mut same) = checks("pyright", "version", line) else { return Known::Done };
            // It brings its engine in when it first runs.
            same.install.push("pyright --version".to_owned());
            Known::Same(same)
        }
        "crate-ci/typos" => checks("typos", "", format!("typos {}", or("files", ""))),
        "pypa/gh-action-pip-audit" => Known::Same(Equivalent {
            install: vec![pip("pip-audit", None)],
            checks: vec![(
                input("inputs").map_or_else(
                    || "pip-audit".to_owned(),
                    |files| {
                        files
                            .split_whitespace()
                            .fold("pip-audit".to_owned(), |line, file| format!("{line} -r {}", quoted(file)))
                    },
                ),
                Network::Full,
            )],
            shown: false,
        }),
        "codecov/codecov-action" | "coverallsapp/github-action" | "codacy/codacy-coverage-reporter-action" => {
            Known::Not("talks to a service outside")
        }
        "actions/upload-artifact" | "actions/download-artifact" | "actions/attest-build-provenance" => {
            Known::Not("artifacts are GitHub's: what another job made is not here")
        }
        "re-actors/alls-green" => Known::Not("only repeats the results of other jobs"),
        "actions/setup-node"
        | "actions/setup-go"
        | "actions/setup-java"
        | "actions-rs/toolchain"
        | "dtolnay/rust-toolchain" => Known::Not("what this machine has of it is used"),
        _ => Known::Not("actions are not run by the local sandbox"),
    }
}

/// Programs that set-up actions, and images of runners, bring in.
pub(super) const TOOLS: [&str; 11] =
    ["uv", "pipx", "poetry", "pdm", "hatch", "pipenv", "tox", "nox", "pre-commit", "just", "task"];

/// The package of the index that has a program of [`TOOLS`].
fn package_of(tool: &str) -> &str {
    match tool {
        "just" => "rust-just",
        "task" => "go-task-bin",
        tool => tool,
    }
}

/// Brings a program in that works on environments: apart from the project's packages, as the set-up actions do it, where
/// its own requirements could clash with theirs, and where versions of theirs are not held. uv has none.
pub(super) fn tool(name: &str, version: Option<&str>) -> String {
    let pip = pip(package_of(name), version);
    if name == "uv" {
        return pip;
    }
    let place = format!("\"$VIRTUAL_ENV/tools/{name}\"");
    let bin = format!("\"$VIRTUAL_ENV/tools/{name}/bin/");
    format!(
        "python -m venv {place} && PIP_CONSTRAINT= {bin}python\" -m {pip} && ln -sf {bin}{name}\" \"$VIRTUAL_ENV/bin/{name}\""
    )
}

fn pip(package: &str, version: Option<&str>) -> String {
    let exact = version
        .map(|version| version.trim_start_matches(['v', '=']))
        .filter(|version| version.contains('.') && version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'));
    match exact {
        Some(version) => format!("pip install {package}=={version}"),
        None => format!("pip install {package}"),
    }
}

/// One word of a command line.
fn quoted(text: &str) -> String {
    shell_words::quote(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(action: &str, with: &[(&str, &str)]) -> Known {
        known(action, &with.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    fn same(action: &str, with: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
        match of(action, with) {
            Known::Same(same) => (same.install, same.checks.into_iter().map(|(line, _)| line).collect()),
            other => panic!("{action}: {other:?}"),
        }
    }

    #[test]
    fn an_action_comes_down_to_its_commands_with_its_inputs() {
        assert_eq!(of("actions/setup-python@v6", &[("python-version", "3.12")]), Known::Done);
        assert_eq!(same("astral-sh/setup-uv@v7", &[("version", "0.9.2")]).0, ["pip install uv==0.9.2"]);
        assert_eq!(same("astral-sh/setup-uv", &[("version", "latest")]).0, ["pip install uv"]);
        assert_eq!(
            same("snok/install-poetry@v1", &[("version", "1.8.3")]).0,
            [
                "python -m venv \"$VIRTUAL_ENV/tools/poetry\" && PIP_CONSTRAINT= \"$VIRTUAL_ENV/tools/poetry/bin/python\" -m pip install poetry==1.8.3 && ln -sf \"$VIRTUAL_ENV/tools/poetry/bin/poetry\" \"$VIRTUAL_ENV/bin/poetry\""
            ]
        );
        assert_eq!(same("psf/black@stable", &[]).1, ["black --check --diff ."]);
        assert_eq!(
            same("psf/black", &[("options", "--check"), ("src", "./src"), ("version", "24.8.0")]),
            (vec!["pip install black==24.8.0".to_owned()], vec!["black --check ./src".to_owned()])
        );
        assert_eq!(same("astral-sh/ruff-action@v3", &[("args", "format --check")]).1, ["ruff format --check ."]);
        assert_eq!(
            same("pre-commit/action@v3.0.1", &[]).1,
            ["pre-commit run --show-diff-on-failure --color=always --all-files"]
        );
        assert_eq!(
            same("codespell-project/actions-codespell@v2", &[("skip", "*.po,a b"), ("path", "docs")]).1,
            ["codespell --skip '*.po,a b' docs"]
        );
        let just = same("extractions/setup-just@v3", &[("just-version", "1.40.0")]).0.concat();
        assert!(just.contains("pip install rust-just==1.40.0") && just.ends_with("$VIRTUAL_ENV/bin/just\""), "{just}");
        assert!(matches!(of("codecov/codecov-action@v5", &[]), Known::Not(why) if why.contains("service")));
        assert!(matches!(of("someone/else@v1", &[]), Known::Not(why) if why.contains("local sandbox")));
    }
}
