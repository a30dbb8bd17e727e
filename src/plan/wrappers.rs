//! Commands that install and check in one go, taken apart: what needs the network, and what must not have it
//! (JUDGEMENT.md, install and check).

use super::{
    commands,
    shell::{self, Purpose, tool_arguments},
};

/// The halves of a command that a wrapper runs; `None` where there is no wrapper.
pub(super) fn halves(line: &str, words: &[&str]) -> Option<Vec<(String, Purpose)>> {
    if let Some(rest) = tool_arguments(words, "tox") {
        return tox(line, rest);
    }
    if let Some(rest) = tool_arguments(words, "nox") {
        return nox(line, rest);
    }
    let hooks = ["pre-commit", "pre_commit", "prek"].into_iter().find_map(|tool| tool_arguments(words, tool));
    if let Some(rest) = hooks {
        return pre_commit(line, rest);
    }
    if let Some(rest) = tool_arguments(words, "uv") {
        return match rest {
            ["run", rest @ ..] => uv_run(line, rest),
            ["tool", "run", rest @ ..] => tool(line, rest, "uv tool install"),
            _ => None,
        };
    }
    if let Some(rest) = tool_arguments(words, "uvx") {
        return tool(line, rest, "uv tool install");
    }
    if let Some(["run", rest @ ..]) = tool_arguments(words, "pipx") {
        return tool(line, rest, "pipx install");
    }
    if let Some(rest) = tool_arguments(words, "hatch") {
        return hatch(line, rest);
    }
    for tool in ["poetry", "pdm", "pipenv"] {
        if let Some(["run", rest @ ..]) = tool_arguments(words, tool) {
            return within(line, rest);
        }
    }
    None
}

/// The halves of a command that runs within another's environment (`poetry run tox`).
fn within(line: &str, words: &[&str]) -> Option<Vec<(String, Purpose)>> {
    let count = options(words);
    let inner = words.get(count..)?;
    let name = inner.first()?;
    let whole = |at: &usize| {
        line[..*at].ends_with([' ', '/']) && !line[at + name.len()..].starts_with(|c: char| c.is_alphanumeric())
    };
    let at = line.match_indices(name).map(|(at, _)| at).find(whole)?;
    let (before, rest) = line.split_at(at);
    let halves = halves(rest, inner)?;
    Some(halves.into_iter().map(|(part, purpose)| (format!("{before}{part}"), purpose)).collect())
}

/// A command of uv's without what would have it fetch a Python: the sandbox has its own.
pub(super) fn own_python(line: String) -> String {
    let tool = line.contains("uv tool install") || line.contains("uvx ");
    let fetches = line.contains("--python-preference") || line.contains("--managed-python");
    if !(fetches || tool && line.contains("--python")) {
        return line;
    }
    // A program runs with any Python; the project with its own.
    let valued: &[&str] = if tool { &["--python-preference", "--python"] } else { &["--python-preference"] };
    commands::without(&line, &["--managed-python"], valued)
}

/// What comes before ` -- ` in a command line, and the rest.
fn positional(line: &str) -> (&str, String) {
    match line.split_once(" -- ") {
        Some((options, positional)) => (options, format!(" -- {positional}")),
        None => (line, String::new()),
    }
}

fn tox(line: &str, rest: &[&str]) -> Option<Vec<(String, Purpose)>> {
    const OTHER: &[&str] = &["--notest", "-l", "list", "config", "--version", "--showconfig", "--help", "devenv"];
    if rest.iter().any(|word| OTHER.contains(word)) {
        return None;
    }
    let (options, positional) = positional(line);
    let skip = if rest.contains(&"--skip-pkg-install") { "" } else { " --skip-pkg-install" };
    Some(vec![
        (format!("{options} --notest"), Purpose::Install),
        (format!("{options}{skip}{positional}"), Purpose::Check),
    ])
}

fn nox(line: &str, rest: &[&str]) -> Option<Vec<(String, Purpose)>> {
    const OTHER: &[&str] = &[
        "--install-only",
        "--no-install",
        "-R",
        "-l",
        "--list",
        "--list-sessions",
        "--no-venv",
        "--version",
        "--help",
    ];
    if rest.iter().any(|word| OTHER.contains(word)) {
        return None;
    }
    let (options, positional) = positional(line);
    Some(vec![
        (format!("{options} --install-only{positional}"), Purpose::Install),
        (format!("{options} -R{positional}"), Purpose::Check),
    ])
}

fn pre_commit(line: &str, rest: &[&str]) -> Option<Vec<(String, Purpose)>> {
    if rest.first() != Some(&"run") {
        return None;
    }
    // What comes before `run` (assignments, `python -m`) stays; so does the configuration.
    let (before, after) = line.split_once(" run")?;
    let mut words = after.split_whitespace();
    let mut config = String::new();
    while let Some(word) = words.next() {
        if matches!(word, "-c" | "--config") {
            config = words.next().map(|file| format!(" -c {file}")).unwrap_or_default();
        } else if let Some(file) = word.strip_prefix("--config=") {
            config = format!(" -c {file}");
        }
    }
    Some(vec![(format!("{before} install-hooks{config}"), Purpose::Install), (line.to_owned(), Purpose::Check)])
}

/// Options of `uv run` and `uvx` that have a value.
const VALUED: &[&str] = &[
    "--extra",
    "--no-extra",
    "--group",
    "--no-group",
    "--only-group",
    "--package",
    "--python",
    "-p",
    "--with",
    "-w",
    "--with-requirements",
    "--with-editable",
    "--env-file",
    "--directory",
    "--project",
    "--index",
    "--index-url",
    "-i",
    "--extra-index-url",
    "--find-links",
    "-f",
    "--resolution",
    "--prerelease",
    "--index-strategy",
    "--from",
    "--constraints",
    "-c",
    "--overrides",
    "--config-file",
    "--cache-dir",
    "--spec",
    "--pip-args",
];

/// How many words are options before the command that is run.
fn options(words: &[&str]) -> usize {
    let mut at = 0;
    while let Some(word) = words.get(at).filter(|word| word.starts_with('-')) {
        if *word == "--" {
            return at;
        }
        at += if VALUED.contains(word) { 2 } else { 1 };
    }
    at.min(words.len())
}

/// `uv run` makes its environment when it runs anything: an empty program brings in what the command will find.
fn uv_run(line: &str, rest: &[&str]) -> Option<Vec<(String, Purpose)>> {
    let given: Vec<&str> = rest[..options(rest)]
        .iter()
        .copied()
        .filter(|word| !matches!(*word, "-m" | "--module" | "-s" | "--script"))
        .collect();
    if rest.contains(&"--no-sync") || rest.iter().any(|word| matches!(*word, "--help" | "--version")) && rest.len() < 2
    {
        return None;
    }
    let before = &line[..line.find("uv run").or_else(|| line.find("uv"))?];
    let words: Vec<String> = given.iter().map(|word| shell_words::quote(word).into_owned()).collect();
    let install = ["uv run"].into_iter().chain(words.iter().map(String::as_str)).chain(["python -c ''"]);
    let install = (format!("{before}{}", install.collect::<Vec<_>>().join(" ")), Purpose::Install);
    let inner = within(line, rest).unwrap_or_else(|| vec![(line.to_owned(), Purpose::Check)]);
    Some([install].into_iter().chain(inner).collect())
}

/// A tool that is run without being installed: it is installed, and run itself. Its runner would write beside it.
fn tool(line: &str, rest: &[&str], install: &str) -> Option<Vec<(String, Purpose)>> {
    let count = options(rest);
    let name = rest.get(count).filter(|name| !name.starts_with('-'))?;
    let mut from = None;
    let mut kept: Vec<String> = Vec::new();
    let mut given = rest[..count].iter();
    while let Some(word) = given.next() {
        match (*word, word.split_once('=')) {
            ("--from" | "--spec", _) => from = given.next().copied(),
            (_, Some(("--from" | "--spec", package))) => from = Some(package),
            ("--with" | "-w" | "--with-requirements" | "--with-editable" | "--python" | "-p", _) => {
                kept.push((*word).to_owned());
                kept.extend(given.next().map(|value| shell_words::quote(value).into_owned()));
            }
            _ => {}
        }
    }
    let package = match (from, name.split_once('@')) {
        (Some(package), _) => package.to_owned(),
        (None, Some((name, "latest"))) => name.to_owned(),
        (None, Some((name, version))) => format!("{name}=={version}"),
        (None, None) => (*name).to_owned(),
    };
    let words = [install.to_owned()].into_iter().chain(kept).chain([shell_words::quote(&package).into_owned()]);
    let install = (words.collect::<Vec<_>>().join(" "), Purpose::Install);
    let line = itself(line, &rest[count..], name).unwrap_or_else(|| line.to_owned());
    let words = shell::words_of(&line);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let inner = halves(&line, &words).unwrap_or_else(|| vec![(line, Purpose::Check)]);
    Some([install].into_iter().chain(inner).collect())
}

/// A tool's own command, without what runs it: `inner` are the words from its name on.
fn itself(line: &str, inner: &[&str], name: &str) -> Option<String> {
    let words = shell::words_of(line);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let start = place(line, shell::without_prefix(&words).len())?;
    let rest = line[place(line, inner.len())?..].strip_prefix(name)?;
    let program = match name.split('@').next()? {
        // pipx knows it by the name of its package.
        "build" if line.contains("pipx") => "pyproject-build",
        program => program,
    };
    Some(format!("{}{program}{rest}", &line[..start]))
}

/// Where the last `count` words of a line begin.
fn place(line: &str, count: usize) -> Option<usize> {
    let mut starts = Vec::new();
    let (mut within, mut quote, mut escaped) = (false, None, false);
    for (at, c) in line.char_indices() {
        if !within && !c.is_whitespace() {
            starts.push(at);
        }
        within = !c.is_whitespace() || quote.is_some() || escaped;
        match (quote, c) {
            _ if escaped => escaped = false,
            (Some('"') | None, '\\') => escaped = true,
            (Some(open), _) if open == c => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            _ => {}
        }
    }
    starts.get(starts.len().checked_sub(count)?).copied()
}

/// hatch makes an environment when something is first run in it.
fn hatch(line: &str, rest: &[&str]) -> Option<Vec<(String, Purpose)>> {
    let before = &line[..line.find("hatch")?];
    let install = match rest.iter().position(|word| !word.starts_with('-')).map(|at| (&rest[..at], &rest[at..]))? {
        (options, ["run", command @ ..]) => {
            let first = command.iter().find(|word| !word.starts_with(['-', '+']))?;
            let name = first.split_once(':').map(|(name, _)| format!("{name}:")).unwrap_or_default();
            format!("hatch {} run {name}python -c ''", options.join(" "))
        }
        (_, ["test", ..]) => {
            let (options, _) = positional(line);
            return Some(vec![
                (format!("{options} -- --version"), Purpose::Install),
                (line.to_owned(), Purpose::Check),
            ]);
        }
        (_, ["fmt", ..]) => "hatch env create hatch-static-analysis".to_owned(),
        _ => return None,
    };
    let install = install.split("  ").collect::<Vec<_>>().join(" ");
    Some(vec![(format!("{before}{install}"), Purpose::Install), (line.to_owned(), Purpose::Check)])
}

#[cfg(test)]
mod tests {
    use crate::plan::shell::{Purpose, split};

    fn halves(line: &str) -> (String, String) {
        let commands = split(line);
        let [install, check] = commands.as_slice() else { panic!("{line}: {commands:?}") };
        assert_eq!((install.purpose, check.purpose), (Purpose::Install, Purpose::Check), "{line}");
        (install.script.clone(), check.script.clone())
    }

    #[test]
    fn a_wrapper_is_split_into_what_it_installs_and_what_it_runs() {
        for (line, install, check) in [
            ("tox -e py312 -- -k fast", "tox -e py312 --notest", "tox -e py312 --skip-pkg-install -- -k fast"),
            ("nox -s tests-3.12 -- -x", "nox -s tests-3.12 --install-only -- -x", "nox -s tests-3.12 -R -- -x"),
            ("python -m nox", "python -m nox --install-only", "python -m nox -R"),
            ("uv run pytest -q", "uv run python -c ''", "uv run pytest -q"),
            (
                "MODE=x uv run --extra 'a b' --frozen -m pytest",
                "MODE=x uv run --extra 'a b' --frozen python -c ''",
                "MODE=x uv run --extra 'a b' --frozen -m pytest",
            ),
            ("pre-commit run --all-files", "pre-commit install-hooks", "pre-commit run --all-files"),
            (
                "SKIP=mypy python -m pre_commit run -c ci.yaml -a",
                "SKIP=mypy python -m pre_commit install-hooks -c ci.yaml",
                "SKIP=mypy python -m pre_commit run -c ci.yaml -a",
            ),
            ("pre-commit run -a -c x.yaml", "pre-commit install-hooks -c x.yaml", "pre-commit run -a -c x.yaml"),
            ("uvx ruff@0.8.0 check .", "uv tool install 'ruff==0.8.0'", "ruff check ."),
            ("uvx --from 'black[jupyter]' --python 3.12 black .", "uv tool install 'black[jupyter]'", "black ."),
            ("A='x y' uvx --with b b 'c  d'", "uv tool install --with b b", "A='x y' b 'c  d'"),
            ("uvx a 'x\\' \"y\\\" a\" c\\ d", "uv tool install a", "a 'x\\' \"y\\\" a\" c\\ d"),
            ("pipx run build", "pipx install build", "pyproject-build"),
            ("hatch run test:cov -v", "hatch run test:python -c ''", "hatch run test:cov -v"),
            ("hatch test -i py=3.12", "hatch test -i py=3.12 -- --version", "hatch test -i py=3.12"),
        ] {
            assert_eq!(halves(line), (install.to_owned(), check.to_owned()), "{line}");
        }
    }

    #[test]
    fn a_wrapper_within_another_is_split_as_well() {
        let parts = |line: &str| split(line).into_iter().map(|command| command.script).collect::<Vec<_>>();
        assert_eq!(
            parts("uv run --group dev pre-commit run -a"),
            [
                "uv run --group dev python -c ''",
                "uv run --group dev pre-commit install-hooks",
                "uv run --group dev pre-commit run -a"
            ]
        );
        assert_eq!(
            parts("uvx --with tox-uv tox -e docs"),
            ["uv tool install --with tox-uv tox", "tox -e docs --notest", "tox -e docs --skip-pkg-install"]
        );
        assert_eq!(
            parts("pipx run nox -s tests"),
            ["pipx install nox", "nox -s tests --install-only", "nox -s tests -R"]
        );
        assert_eq!(parts("poetry run nox -s x"), ["poetry run nox -s x --install-only", "poetry run nox -s x -R"]);
        assert_eq!(parts("poetry run pytest"), ["poetry run pytest"]);
    }

    #[test]
    fn what_installs_only_or_is_installed_stays_whole() {
        for (line, purpose) in [
            ("tox run -e py --notest", Purpose::Install),
            ("nox --install-only", Purpose::Install),
            ("nox -R -s tests", Purpose::Check),
            ("uv run --no-sync pytest", Purpose::Check),
            ("uv sync", Purpose::Install),
            ("pre-commit install", Purpose::Install),
        ] {
            let commands = split(line);
            assert_eq!((commands.len(), commands[0].purpose), (1, purpose), "{line}");
        }
    }
}
