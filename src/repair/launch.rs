//! How the job starts its tests, so that a few of them can be run in the same way.

use crate::{integrity::AddedTest, plan::shell, repair::reproduce::Baseline};

/// A way to start chosen tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Launch {
    /// What the script does first: `cd backend`.
    prefix: String,
    /// `python`, `uv run --no-sync python`.
    python: String,
    runner: Runner,
    /// The command's own arguments.
    arguments: Vec<String>,
    /// Options that keep plugins out of the way of our measurements.
    extra: Vec<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Runner {
    Pytest,
    Unittest,
}

impl Launch {
    /// As the job's failing check does, or another of its checks, or plainly.
    pub(super) fn of(baseline: &Baseline) -> Launch {
        let checks = &baseline.job().checks;
        let (failing, others): (Vec<_>, Vec<_>) = (0..checks.len()).partition(|check| baseline.shows_claimed(*check));
        let installed = baseline.installed();
        (failing.into_iter().chain(others))
            .find_map(|check| Launch::of_script(&checks[check].script, installed))
            .unwrap_or_else(|| {
                let pytest = is_installed(installed, "pytest");
                let plain = Launch {
                    prefix: String::new(),
                    python: "python".to_owned(),
                    runner: if pytest { Runner::Pytest } else { Runner::Unittest },
                    arguments: Vec::new(),
                    extra: Vec::new(),
                };
                plain.undisturbed(installed)
            })
    }

    /// As this script does; `None` where its last command is no plain call of pytest or unittest.
    pub(super) fn of_script(script: &str, installed: &[(String, String)]) -> Option<Launch> {
        Some(Launch::parse(script)?.undisturbed(installed))
    }

    /// With the options that keep plugins out of the way of our measurements.
    fn undisturbed(mut self, installed: &[(String, String)]) -> Launch {
        if self.runner == Runner::Pytest {
            self.extra.extend(is_installed(installed, "pytest-cov").then_some("--no-cov"));
            self.extra.extend(is_installed(installed, "pytest-xdist").then_some("-n0"));
        }
        self
    }

    fn parse(script: &str) -> Option<Launch> {
        let script = script.trim_end();
        let (prefix, last) = script.rsplit_once('\n').unwrap_or(("", script));
        if last.contains(['|', '>', '<', ';', '&', '$', '`']) {
            return None;
        }
        let words = shell::words_of(last);
        let name = |word: &str| match word.rsplit('/').next() {
            Some("pytest" | "py.test") => Some(Runner::Pytest),
            Some("unittest") => Some(Runner::Unittest),
            _ => None,
        };
        let at = words.iter().position(|word| name(word).is_some())?;
        let runner = name(&words[at])?;
        let mut before = &words[..at];
        let module = before.last().is_some_and(|word| word == "-m");
        if runner == Runner::Unittest && !module {
            return None;
        }
        if module {
            before = &before[..at - 1];
            if let Some(coverage) = before.iter().position(|word| word.rsplit('/').next() == Some("coverage")) {
                before = &before[..coverage];
                if before.last().is_some_and(|word| word == "-m") {
                    before = &before[..coverage - 1];
                }
            }
        }
        let is_python = |word: &String| shell::is_python(word.rsplit('/').next().unwrap_or_default());
        // Options of Python itself (`-W error`) are left out, with what they say.
        let end = before.iter().position(is_python).map_or(before.len(), |python| python + 1);
        let wrappers = ["uv", "run", "poetry", "pdm", "hatch", "pipenv", "xvfb-run", "time", "env", "command", "exec"];
        let known = |word: &String| {
            wrappers.contains(&word.as_str()) || word.starts_with('-') || word.contains('=') || is_python(word)
        };
        if !before[..end].iter().all(known) {
            return None;
        }
        let mut python = before[..end].to_vec();
        if !python.last().is_some_and(is_python) {
            // A runner by its path has its Python beside it.
            let beside = words[at].rsplit_once('/').map(|(directory, _)| format!("{directory}/python"));
            python.push(beside.unwrap_or_else(|| "python".to_owned()));
        }
        Some(Launch {
            prefix: prefix.to_owned(),
            // Assignments stay such: they are quoted behind their `=` only.
            python: python.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "),
            runner,
            arguments: words[at + 1..].to_vec(),
            extra: Vec::new(),
        })
    }

    /// Lines that come before any command of this launch.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The Python of the tests, as a command.
    pub(super) fn python(&self) -> &str {
        &self.python
    }

    /// `-m pytest …` with just these tests. `root` is where the tree stands, `directory` where the job works in it.
    pub(super) fn only(&self, tests: &[&AddedTest], root: &str, directory: &str) -> String {
        let place = |test: &&AddedTest| match self.runner {
            Runner::Pytest => format!("{root}/{}::{}", test.file, test.qual.replace('.', "::")),
            Runner::Unittest => {
                let file = test.file.strip_prefix(directory).unwrap_or(&test.file).trim_start_matches('/');
                format!("{}.{}", file.trim_end_matches(".py").replace('/', "."), test.qual)
            }
        };
        self.these(tests.iter().map(place))
    }

    /// `-m pytest …` with the tests of these ids, as the runner prints them.
    pub(super) fn these(&self, ids: impl Iterator<Item = String>) -> String {
        let mut words = vec!["-m".to_owned()];
        match self.runner {
            Runner::Pytest => {
                words.push("pytest".to_owned());
                words.extend(self.options());
                words.extend(self.extra.iter().map(|option| (*option).to_owned()));
            }
            Runner::Unittest => words.extend(["unittest", "-v"].map(str::to_owned)),
        }
        shell_words::join(words.into_iter().chain(ids))
    }

    /// `-m pytest …` as the command stands.
    pub(super) fn all(&self) -> String {
        let runner = if self.runner == Runner::Pytest { "pytest" } else { "unittest" };
        let words = ["-m", runner].into_iter().chain(self.arguments.iter().map(String::as_str));
        shell_words::join(words.chain(self.extra.iter().copied()))
    }

    /// The command's options, without those that choose tests, end early, or measure.
    fn options(&self) -> Vec<String> {
        let mut kept = Vec::new();
        let mut rest = self.arguments.iter();
        while let Some(word) = rest.next() {
            let chooses = matches!(
                word.as_str(),
                "-k" | "-m"
                    | "-n"
                    | "--deselect"
                    | "--ignore"
                    | "--cov"
                    | "--cov-report"
                    | "--cov-config"
                    | "--junitxml"
            );
            let takes_value = matches!(word.as_str(), "-p" | "-c" | "-o" | "-W" | "-r" | "--rootdir" | "--timeout");
            let drops = ["-x", "--exitfirst", "--lf", "--last-failed", "--ff", "--sw"].contains(&word.as_str())
                || ["--cov", "--no-cov", "--maxfail", "--junit", "-n", "-k", "--ignore"]
                    .iter()
                    .any(|p| word.starts_with(p));
            if chooses {
                rest.next();
            } else if word.starts_with('-') && !drops {
                kept.push(word.clone());
                kept.extend(rest.next().filter(|_| takes_value).cloned());
            }
        }
        kept
    }
}

/// Is the package of this normalised name there?
pub(super) fn is_installed(installed: &[(String, String)], name: &str) -> bool {
    installed.iter().any(|(known, _)| crate::registry::normalise(known) == name)
}

fn quoted(word: &str) -> String {
    match word.split_once('=') {
        Some((name, value)) if !name.starts_with('-') => format!("{name}={}", shell_words::quote(value)),
        _ => shell_words::quote(word).into_owned(),
    }
}

/// Is this id of a report (`tests/test_a.py::TestB::test_c[1]`, `tests.test_a.TestB.test_c`) the test of this file?
/// Reports name files from where the runner stood: one name may be the end of the other.
pub(super) fn is_of(id: &str, file: &str, qual: &str) -> bool {
    let id = id.split('[').next().unwrap_or(id);
    let id = match id.split_once("::") {
        Some((file, rest)) => format!("{}.{}", dotted(file), rest.replace("::", ".")),
        None => id.to_owned(),
    };
    let wanted = format!("{}.{qual}", dotted(file));
    // The file's own name is always there.
    let least = wanted.len() - dotted(file).rfind('.').map_or(0, |at| at + 1);
    let ends =
        |long: &str, short: &str| long.strip_suffix(short).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    ends(&wanted, &id) && id.len() >= least || ends(&id, &wanted)
}

fn dotted(file: &str) -> String {
    file.trim_end_matches(".py").replace('/', ".")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn only(script: &str) -> Option<String> {
        let launch = Launch::parse(script)?;
        let test = AddedTest {
            file: "tests/test_a.py".to_owned(),
            qual: "TestA.test_b".to_owned(),
            new: true,
            asserts: true,
            names: BTreeSet::new(),
        };
        Some(format!("{} {}", launch.python(), launch.only(&[&test], "/r", "")))
    }

    #[test]
    fn chosen_tests_are_started_as_the_job_starts_its_own() {
        let id = "/r/tests/test_a.py::TestA::test_b";
        for (script, expected) in [
            ("pytest", format!("python -m pytest {id}")),
            ("cd x\npytest --cov=pkg --cov-fail-under 90 -q tests", format!("python -m pytest -q {id}")),
            ("python3 -m pytest -k fast -p no:x", format!("python3 -m pytest -p no:x {id}")),
            ("coverage run --branch -m pytest -x tests", format!("python -m pytest {id}")),
            ("python -W error -m coverage run -m pytest", format!("python -m pytest {id}")),
            ("uv run --no-sync pytest -ra", format!("uv run --no-sync python -m pytest -ra {id}")),
            ("A='1 2' .venv/bin/pytest", format!("A='1 2' .venv/bin/python -m pytest {id}")),
            ("python -m unittest discover -s tests", "python -m unittest -v tests.test_a.TestA.test_b".to_owned()),
        ] {
            assert_eq!(only(script), Some(expected), "{script}");
        }
        for other in
            ["make test", "tox -e py", "pytest | tee log", "coverage report --fail-under 90", "pip install pytest"]
        {
            assert_eq!(only(other), None, "{other}");
        }
    }

    #[test]
    fn the_whole_command_keeps_its_arguments() {
        let launch = Launch::parse("coverage run -m pytest -x 'a b'").unwrap();
        assert_eq!(launch.all(), "-m pytest -x 'a b'");
    }

    #[test]
    fn a_test_is_known_under_every_name_that_reports_give_it() {
        let is = |id| is_of(id, "backend/tests/test_a.py", "TestB.test_c");
        for id in [
            "backend/tests/test_a.py::TestB::test_c",
            "tests/test_a.py::TestB::test_c[x::y]",
            "test_a.py::TestB::test_c",
            "tests.test_a.TestB.test_c",
            "/tmp/r/backend/tests/test_a.py::TestB::test_c",
        ] {
            assert!(is(id) || id.starts_with('/'), "{id}");
        }
        for id in ["TestB.test_c", "test_c", "tests/test_aa.py::TestB::test_c", "other.py::TestB::test_c", ""] {
            assert!(!is(id), "{id}");
        }
    }

    proptest! {
        #[test]
        fn no_script_and_no_id_panics(script in "(?s).{0,80}", id in ".{0,40}", file in ".{0,20}") {
            Launch::parse(&format!("{script} -m pytest {script}"));
            is_of(&id, &file, "test_a");
        }
    }
}
