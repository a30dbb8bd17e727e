//! A step's script, taken apart into commands, and what each command is for.

use super::wrappers;

/// What a command of a CI step is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Brings something in: has network, runs once per environment.
    Install,
    /// Prepares the tree for the checks that follow it: runs before them, each time.
    Setup,
    /// Judges the code: has no network.
    Check,
    /// Judges what only the network can tell: runs as an install step does.
    OnlineCheck,
    /// Can't or needn't run here; says why.
    Skip(&'static str),
}

/// One command of a step, runnable on its own: what it needs of the lines before it (`cd`, `export`) is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// For `bash -e -c`.
    pub script: String,
    /// What it is for.
    pub purpose: Purpose,
    /// It is a half of a wrapper's command (tox, nox, `uv run` …), whose environment is its own.
    pub wrapped: bool,
}

/// Takes a script apart. A script with control flow stays whole.
pub fn split(script: &str) -> Vec<Command> {
    let Some(lines) = simple_commands(script) else {
        let purpose = whole(script);
        return vec![Command { script: script.trim().to_owned(), purpose, wrapped: false }];
    };
    let mut carried: Vec<String> = Vec::new();
    let mut commands = Vec::new();
    for line in lines {
        if is_carried(&line) {
            carried.push(line);
            continue;
        }
        let line = wrappers::own_python(line);
        let words = words_of(&line);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let halves = wrappers::halves(&line, &words);
        let wrapped = halves.is_some();
        for (part, purpose) in halves.unwrap_or_else(|| vec![(line.clone(), purpose_of(&words, &line))]) {
            let script = carried.iter().cloned().chain([part]).collect::<Vec<_>>().join("\n");
            commands.push(Command { script, purpose, wrapped });
        }
    }
    commands
}

fn whole(script: &str) -> Purpose {
    let lower = script.to_lowercase();
    const CHECKS: &[&str] =
        &["pytest", "unittest", "tox", "mypy", "ruff", "flake8", "black", "sphinx-build", "bandit", "make "];
    const INSTALLS: &[&str] = &[
        "pip install",
        "pip3 install",
        "pipx install",
        "uv sync",
        "uv tool install",
        "poetry install",
        "pdm install",
        "pdm sync",
        "npm ci",
    ];
    let checks = CHECKS.iter().any(|c| {
        lower.lines().any(|l| !INSTALLS.iter().any(|i| l.contains(i)) && l.split_whitespace().any(|w| w == c.trim()))
    });
    match (checks, INSTALLS.iter().any(|i| lower.contains(i))) {
        (false, true) => Purpose::Install,
        // Tests never get a network, not even where a script also installs: what is missing then, they say.
        _ => Purpose::Check,
    }
}

fn purpose_of(words: &[&str], line: &str) -> Purpose {
    let words = without_prefix(words);
    let Some(&program) = words.first() else { return Purpose::Setup };
    if names_an_installation(words) {
        return Purpose::Install;
    }
    let program = program.rsplit('/').next().unwrap_or(program);
    let argument = words.get(1).copied().unwrap_or_default();
    if let Some(rest) = tool_arguments(words, "pip").or_else(|| tool_arguments(words, "pip3")) {
        return match rest.iter().find(|w| !w.starts_with('-')).copied().unwrap_or_default() {
            "install" | "uninstall" | "download" | "wheel" | "cache" | "config" => Purpose::Install,
            "check" => Purpose::Check,
            _ => Purpose::Skip("prints only"),
        };
    }
    if words.iter().any(|w| matches!(*w, "--version" | "-V" | "--help")) && words.len() <= 4 {
        return Purpose::Skip("prints only");
    }
    if tool_arguments(words, "nox").is_some_and(|rest| rest.contains(&"--install-only")) {
        return Purpose::Install;
    }
    match program {
        "apt" | "apt-get" | "dnf" | "yum" | "apk" | "brew" | "choco" | "snap" | "locale-gen" => {
            Purpose::Skip("system packages are installed in containers only, not by the local sandbox")
        }
        "docker" | "docker-compose" | "podman" | "systemctl" | "service" => {
            Purpose::Skip("needs a container engine or services, which the local sandbox has not")
        }
        "codecov" | "coveralls" | "twine" | "gh" => Purpose::Skip("talks to a service outside"),
        "curl" | "wget" | "conda" | "mamba" | "micromamba" | "pipx" => Purpose::Install,
        "uv" => match argument {
            "python" => Purpose::Skip("the sandbox has its own Python"),
            "sync" | "venv" | "tool" | "add" | "remove" => Purpose::Install,
            "pip" if words.get(2) == Some(&"check") => Purpose::Check,
            "pip" => Purpose::Install,
            "lock" | "build" | "audit" => Purpose::OnlineCheck,
            _ => Purpose::Check,
        },
        "poetry" | "pdm" | "pipenv" if argument == "run" && words.get(2).is_some_and(|w| !w.starts_with('-')) => {
            purpose_of(&words[2..], line)
        }
        "poetry" | "pdm" | "hatch" | "pipenv" | "rye" => match argument {
            "install" | "sync" | "config" | "update" | "add" | "env" | "self" | "plugin" => Purpose::Install,
            // Resolving, and an isolated build, need what is on the index.
            "build" | "lock" => Purpose::OnlineCheck,
            _ => Purpose::Check,
        },
        "npm" | "yarn" | "pnpm" if matches!(argument, "ci" | "install" | "i" | "") => Purpose::Install,
        "tox" if words.contains(&"--notest") => Purpose::Install,
        "flit" if argument == "install" => Purpose::Install,
        "pre-commit" if matches!(argument, "install" | "install-hooks") => Purpose::Install,
        "python" | "python3" if words.get(1) == Some(&"-m") && tool_arguments(words, "tox").is_some() => {
            Purpose::Install
        }
        "python" | "python3" if matches!(words.get(2).copied(), Some("ensurepip" | "venv" | "virtualenv")) => {
            Purpose::Install
        }
        "python" | "python3"
            if argument == "setup.py"
                && words.iter().any(|w| matches!(*w, "develop" | "install" | "build_ext" | "build")) =>
        {
            Purpose::Install
        }
        "virtualenv" => Purpose::Install,
        "safety" | "pip-audit" | "pyproject-build" | "check-manifest" => Purpose::OnlineCheck,
        "python" | "python3" if tool_arguments(words, "build").is_some() => Purpose::OnlineCheck,
        "sphinx-build" if line.contains("linkcheck") => Purpose::OnlineCheck,
        // Behind `&&`: alone it would always fail.
        "exit" => Purpose::Skip("it ends the script where something else says so"),
        "echo" | "printf" | "ls" | "pwd" | "env" | "date" | "which" | "whoami" | "uname" | "df" | "free" | "nproc"
            if !line.contains('>') =>
        {
            Purpose::Skip("prints only")
        }
        "cat" if !line.contains('>') => Purpose::Skip("prints only"),
        "echo" | "printf" | "cat" | "mkdir" | "cp" | "mv" | "rm" | "touch" | "chmod" | "ln" | "git" | "sed"
        | "true" | ":" | "sleep" | "tar" | "unzip" => Purpose::Setup,
        _ => Purpose::Check,
    }
}

/// Is it a script or a target of the repository's whose name says that it installs (`scripts/install`, `bash
/// ci/bootstrap.sh`, `make deps`)?
fn names_an_installation(words: &[&str]) -> bool {
    const INSTALLING: [&str; 8] = ["install", "bootstrap", "setup", "deps", "dependencies", "develop", "venv", "init"];
    const CHECKING: [&str; 4] = ["check", "verify", "lint", "audit"];
    let named = |name: &str| {
        let name = name.to_ascii_lowercase();
        let parts: Vec<&str> = name.split(['-', '_', '.', '/', ':']).collect();
        let checks = parts.first().is_some_and(|part| CHECKING.contains(part)) || parts.last() == Some(&"check");
        !checks && parts.iter().any(|part| INSTALLING.contains(part))
    };
    if let ["make" | "just" | "task" | "invoke" | "inv" | "poe", rest @ ..] = words {
        let mut targets = rest.iter().filter(|word| !word.starts_with('-') && !word.contains('=')).peekable();
        return targets.peek().is_some() && targets.all(|target| named(target));
    }
    let script = match words {
        ["bash" | "sh", script, ..] => script,
        [script, ..] if script.contains('/') => script,
        _ => return false,
    };
    let Some((folder, name)) = script.rsplit_once('/') else { return false };
    !folder.starts_with('/') && !folder.contains("bin") && named(name.split('.').next().unwrap_or(name))
}

/// The arguments of `tool`, whether it is called by name, by path or as `python -m tool`.
pub fn tool_arguments<'a>(words: &'a [&'a str], tool: &str) -> Option<&'a [&'a str]> {
    let words = without_prefix(words);
    let program = words.first()?.rsplit('/').next()?;
    if program == tool {
        return Some(&words[1..]);
    }
    if !is_python(program) {
        return None;
    }
    let module = words.iter().position(|w| *w == "-m")?;
    (words.get(module + 1) == Some(&tool)).then(|| &words[module + 2..])
}

/// Is this program's name a Python's (`python`, `python3`, `python3.12`, `py`)?
pub fn is_python(program: &str) -> bool {
    let rest = program.strip_prefix("python").or_else(|| program.strip_prefix("pypy"));
    rest.is_some_and(|r| r.bytes().all(|b| b.is_ascii_digit() || b == b'.')) || program == "py"
}

/// The words of a command line, quotes resolved; split at white space where they are not balanced.
pub fn words_of(line: &str) -> Vec<String> {
    shell_words::split(line).unwrap_or_else(|_| line.split_whitespace().map(str::to_owned).collect())
}

/// The Debian packages that a command installs, by their names alone; none where it is no `apt-get install`.
pub(super) fn debian_packages(command: &str) -> Vec<String> {
    let words = words_of(command);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let [program, rest @ ..] = without_prefix(&words) else { return Vec::new() };
    let mut rest = rest.iter().filter(|word| !word.starts_with('-'));
    if !matches!(*program, "apt" | "apt-get") || rest.next() != Some(&"install") {
        return Vec::new();
    }
    let is_name = |word: &&str| {
        word.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+.-".contains(&b))
    };
    // `name=version` is another distribution's version.
    rest.map(|word| word.split('=').next().unwrap_or(word)).filter(is_name).map(str::to_owned).collect()
}

/// Leaves out what only wraps a command: assignments, `sudo`, `time`, `env`, `xvfb-run`.
pub(super) fn without_prefix<'a>(words: &'a [&'a str]) -> &'a [&'a str] {
    let is_prefix = |w: &str| {
        matches!(w, "sudo" | "time" | "env" | "xvfb-run" | "command" | "exec" | "-E" | "-a")
            || w.split_once('=').is_some_and(|(name, _)| {
                !name.is_empty()
                    && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
                    && !name.starts_with('-')
            })
    };
    let start = words.iter().position(|w| !is_prefix(w)).unwrap_or(words.len());
    &words[start..]
}

fn is_carried(line: &str) -> bool {
    let words = words_of(line);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.first().copied() {
        Some("cd" | "export" | "set" | "source" | "." | "ulimit" | "umask" | "unset" | "pushd" | "popd" | "shopt") => {
            !line.contains('|')
        }
        Some(_) => without_prefix(&words).is_empty() && !words.contains(&"env"),
        None => true,
    }
}

/// The script's commands, where they simply follow each other (lines, `;`, `&&`); `None` where there is control flow.
fn simple_commands(script: &str) -> Option<Vec<String>> {
    const KEYWORDS: &[&str] = &[
        "if", "then", "else", "fi", "for", "while", "until", "do", "done", "case", "esac", "function", "select",
        "trap", "eval",
    ];
    let mut commands = Vec::new();
    let mut current = String::new();
    let mut chars = script.chars().peekable();
    let mut finish = |current: &mut String| -> Option<()> {
        let command = current.trim().to_owned();
        current.clear();
        if command.is_empty() {
            return Some(());
        }
        let first = command.split_whitespace().next()?;
        if KEYWORDS.contains(&first) || first.starts_with(['(', '{', '!', '[']) || first.ends_with("()") {
            return None;
        }
        commands.push(command);
        Some(())
    };
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('\n') => current.push(' '),
                Some(escaped) => current.extend(['\\', escaped]),
                None => current.push('\\'),
            },
            '\'' | '"' => {
                current.push(c);
                loop {
                    let quoted = chars.next()?;
                    current.push(quoted);
                    if quoted == '\\' && c == '"' {
                        current.push(chars.next()?);
                    } else if quoted == c {
                        break;
                    }
                }
            }
            '#' if current.is_empty() || current.ends_with(char::is_whitespace) => {
                while chars.next_if(|c| *c != '\n').is_some() {}
            }
            '<' if chars.peek() == Some(&'<') => return None,
            '$' if chars.peek() == Some(&'(') => {
                current.push('$');
                let mut depth = 0u32;
                loop {
                    let inner = chars.next()?;
                    current.push(inner);
                    match inner {
                        '(' => depth += 1,
                        ')' => depth -= 1,
                        _ => {}
                    }
                    if depth == 0 {
                        break;
                    }
                }
            }
            '&' if chars.next_if_eq(&'&').is_some() => finish(&mut current)?,
            '&' if current.ends_with('>') || chars.peek() == Some(&'>') => current.push('&'),
            '&' => return None, // in the background
            '|' if chars.peek() == Some(&'|') => return None,
            ';' | '\n' => finish(&mut current)?,
            _ => current.push(c),
        }
    }
    finish(&mut current)?;
    Some(commands)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_debian_packages_of_a_command_are_names_and_nothing_else() {
        let of = |command: &str| debian_packages(command).join(" ");
        assert_eq!(of("sudo apt-get install -y --no-install-recommends graphviz libpq-dev=15.1"), "graphviz libpq-dev");
        assert_eq!(of("DEBIAN_FRONTEND=noninteractive apt install g++ ./local.deb $PACKAGES 'a;b'"), "g++");
        assert_eq!(of("sudo apt-get update") + &of("pip install graphviz") + &of(""), "");
    }

    fn purposes(script: &str) -> Vec<(String, Purpose)> {
        split(script).into_iter().map(|c| (c.script, c.purpose)).collect()
    }

    #[test]
    fn a_script_is_split_into_what_installs_and_what_checks() {
        let script = "python -m pip install --upgrade pip\npip install -r requirements.txt && pytest -q tests";
        assert_eq!(
            purposes(script),
            [
                ("python -m pip install --upgrade pip".to_owned(), Purpose::Install),
                ("pip install -r requirements.txt".to_owned(), Purpose::Install),
                ("pytest -q tests".to_owned(), Purpose::Check),
            ]
        );
    }

    #[test]
    fn what_later_lines_need_of_earlier_ones_goes_with_them() {
        let script = "cd backend\nexport MODE=test # why\nmkdir -p out\nMODE=x python -m pytest";
        assert_eq!(
            purposes(script),
            [
                ("cd backend\nexport MODE=test\nmkdir -p out".to_owned(), Purpose::Setup),
                ("cd backend\nexport MODE=test\nMODE=x python -m pytest".to_owned(), Purpose::Check),
            ]
        );
    }

    #[test]
    fn quotes_continuations_and_substitutions_stay_in_one_command() {
        assert_eq!(purposes("pytest -k 'a; b' \\\n  tests \"$(echo x; echo y)\"").len(), 1);
        assert_eq!(purposes("python -c \"import a; print('x && y')\"").len(), 1);
    }

    #[test]
    fn a_script_with_control_flow_stays_whole() {
        for script in
            ["if [ -f x ]; then pytest; fi", "for t in a b; do pytest $t; done", "pytest || true", "cat <<E\nx\nE"]
        {
            assert_eq!(purposes(script).len(), 1, "{script}");
        }
        assert_eq!(split("if true; then pip install x; fi")[0].purpose, Purpose::Install);
    }

    #[test]
    fn a_whole_script_that_only_brings_tools_in_installs() {
        let script = "pipx install nox\necho \"$HOME/.local/bin\" >> $GITHUB_PATH || true";
        assert_eq!(split(script)[0].purpose, Purpose::Install);
        assert_eq!(split("pipx install nox || true\npytest")[0].purpose, Purpose::Check);
    }

    #[test]
    fn every_command_is_known_for_what_it_is() {
        for (command, purpose) in [
            ("pip3 install .", Purpose::Install),
            ("/usr/bin/python3.12 -m pip install .", Purpose::Install),
            ("mypy src", Purpose::Check),
            ("pip check", Purpose::Check),
            ("make test", Purpose::Check),
            ("python -m unittest", Purpose::Check),
            ("pip-audit", Purpose::OnlineCheck),
            ("python --version", Purpose::Skip("prints only")),
            ("echo done", Purpose::Skip("prints only")),
            ("scripts/install", Purpose::Install),
            ("bash ./ci/install-deps.sh x", Purpose::Install),
            ("scripts/test", Purpose::Check),
            ("make install-dev", Purpose::Install),
            ("make -j2 PYTHON=python3 deps", Purpose::Install),
            ("make init test", Purpose::Check),
            ("make check-deps", Purpose::Check),
            ("make deps-check", Purpose::Check),
            ("make -C docs html", Purpose::Check),
            ("make", Purpose::Check),
            ("pdm run pip install -U setuptools", Purpose::Install),
            ("poetry run pytest", Purpose::Check),
            ("uv python install 3.12", Purpose::Skip("the sandbox has its own Python")),
            ("echo x > version.txt", Purpose::Setup),
            ("exit 1", Purpose::Skip("it ends the script where something else says so")),
            (
                "sudo apt-get install -y graphviz",
                Purpose::Skip("system packages are installed in containers only, not by the local sandbox"),
            ),
        ] {
            assert_eq!(split(command)[0].purpose, purpose, "{command}");
        }
    }

    proptest! {
        #[test]
        fn no_script_panics(script in "(?s).{0,200}") {
            split(&script);
        }
    }
}
