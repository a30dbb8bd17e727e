//! A step's script, taken apart into commands, and what each command is for.

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
}

/// Takes a script apart. A script with control flow stays whole.
pub fn split(script: &str) -> Vec<Command> {
    let Some(lines) = simple_commands(script) else {
        let purpose = whole(script);
        return vec![Command { script: script.trim().to_owned(), purpose }];
    };
    let mut carried: Vec<String> = Vec::new();
    let mut commands = Vec::new();
    for line in lines {
        if is_carried(&line) {
            carried.push(line);
            continue;
        }
        for (part, purpose) in halves(&line) {
            let script = carried.iter().cloned().chain([part]).collect::<Vec<_>>().join("\n");
            commands.push(Command { script, purpose });
        }
    }
    commands
}

/// The command as its halves: what installs, and what checks without network (JUDGEMENT.md, install and check).
fn halves(line: &str) -> Vec<(String, Purpose)> {
    let words = words_of(line);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if let Some(rest) = tool_arguments(&words, "tox")
        && !rest.iter().any(|w| matches!(*w, "--notest" | "-l" | "list" | "config" | "--version" | "--showconfig"))
    {
        let (options, positional) = match line.split_once(" -- ") {
            Some((options, positional)) => (options.to_owned(), format!(" -- {positional}")),
            None => (line.to_owned(), String::new()),
        };
        let mut halves = Vec::new();
        let installed = rest.contains(&"--skip-pkg-install");
        halves.push((format!("{options} --notest"), Purpose::Install));
        let skip = if installed { "" } else { " --skip-pkg-install" };
        halves.push((format!("{options}{skip}{positional}"), Purpose::Check));
        return halves;
    }
    if let Some(installation) = hooks_installation(&words, line) {
        return vec![(installation, Purpose::Install), (line.to_owned(), Purpose::Check)];
    }
    vec![(line.to_owned(), purpose_of(&words, line))]
}

/// What fetches the hooks that a line runs: pre-commit's `run` would do it by itself, with a network.
fn hooks_installation(words: &[&str], line: &str) -> Option<String> {
    let rest = tool_arguments(words, "pre-commit").or_else(|| tool_arguments(words, "pre_commit"))?;
    let (program, _) = line.split_once(" run").filter(|_| rest.first() == Some(&"run"))?;
    let config = rest.iter().position(|word| matches!(*word, "-c" | "--config")).and_then(|at| rest.get(at + 1));
    let config = config.map(|config| format!(" -c {}", shell_words::quote(config))).unwrap_or_default();
    Some(format!("{program} install-hooks{config}"))
}

fn whole(script: &str) -> Purpose {
    let lower = script.to_lowercase();
    const CHECKS: &[&str] =
        &["pytest", "unittest", "tox", "mypy", "ruff", "flake8", "black", "sphinx-build", "bandit", "make "];
    const INSTALLS: &[&str] = &["pip install", "pip3 install", "uv sync", "poetry install", "pdm install", "npm ci"];
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
    match program {
        "apt" | "apt-get" | "dnf" | "yum" | "apk" | "brew" | "choco" | "snap" | "locale-gen" => {
            Purpose::Skip("system packages are not installed by the local sandbox")
        }
        "docker" | "docker-compose" | "podman" | "systemctl" | "service" => {
            Purpose::Skip("needs a container engine or services, which the local sandbox has not")
        }
        "codecov" | "coveralls" | "twine" | "gh" => Purpose::Skip("talks to a service outside"),
        "curl" | "wget" | "conda" | "mamba" | "micromamba" | "pipx" => Purpose::Install,
        "uv" => match argument {
            "sync" | "venv" | "python" | "tool" | "add" | "remove" => Purpose::Install,
            "pip" if words.get(2) == Some(&"check") => Purpose::Check,
            "pip" => Purpose::Install,
            "lock" => Purpose::OnlineCheck,
            _ => Purpose::Check,
        },
        "poetry" | "pdm" | "hatch" | "pipenv" | "rye" => match argument {
            "install" | "sync" | "config" | "update" | "add" | "env" | "self" | "plugin" => Purpose::Install,
            _ => Purpose::Check,
        },
        "npm" | "yarn" | "pnpm" if matches!(argument, "ci" | "install" | "i" | "") => Purpose::Install,
        "tox" if words.contains(&"--notest") => Purpose::Install,
        "nox" if words.contains(&"--install-only") => Purpose::Install,
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
        "safety" | "pip-audit" => Purpose::OnlineCheck,
        "sphinx-build" if line.contains("linkcheck") => Purpose::OnlineCheck,
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

/// Leaves out what only wraps a command: assignments, `sudo`, `time`, `env`, `xvfb-run`.
fn without_prefix<'a>(words: &'a [&'a str]) -> &'a [&'a str] {
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
    fn tox_is_split_into_its_installation_and_its_commands() {
        assert_eq!(
            purposes("tox -e py312 -- -k fast"),
            [
                ("tox -e py312 --notest".to_owned(), Purpose::Install),
                ("tox -e py312 --skip-pkg-install -- -k fast".to_owned(), Purpose::Check),
            ]
        );
        assert_eq!(purposes("tox run -e py --notest"), [("tox run -e py --notest".to_owned(), Purpose::Install)]);
    }

    #[test]
    fn hooks_are_fetched_before_they_are_run_without_network() {
        for (script, installation) in [
            ("pre-commit run --all-files", "pre-commit install-hooks"),
            (
                "SKIP=mypy python -m pre_commit run -c ci.yaml -a",
                "SKIP=mypy python -m pre_commit install-hooks -c ci.yaml",
            ),
        ] {
            let expected = [(installation.to_owned(), Purpose::Install), (script.to_owned(), Purpose::Check)];
            assert_eq!(purposes(script), expected);
        }
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
            ("echo x > version.txt", Purpose::Setup),
            (
                "sudo apt-get install -y graphviz",
                Purpose::Skip("system packages are not installed by the local sandbox"),
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
