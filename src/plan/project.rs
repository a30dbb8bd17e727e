//! How a project is installed and tested, where neither the log nor a workflow file says it: by its own files.

use std::collections::BTreeMap;

use toml_edit::DocumentMut;

/// The files of a repository's root that say how it is built: name and text.
#[derive(Debug, Clone, Default)]
pub struct Project {
    files: BTreeMap<String, String>,
}

/// Commands that a project's files come down to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Guess {
    /// The files that say so.
    pub(super) from: String,
    pub(super) install: Vec<String>,
    pub(super) checks: Vec<String>,
}

/// Extras, groups and files that hold what tests need, the most telling first.
const TESTING: &[&str] = &["test", "tests", "testing", "dev", "develop", "development"];
const REQUIREMENTS: &[&str] = &[
    "requirements.txt",
    "requirements-dev.txt",
    "requirements_dev.txt",
    "dev-requirements.txt",
    "requirements-test.txt",
    "requirements_test.txt",
    "test-requirements.txt",
    "requirements-tests.txt",
    "requirements/base.txt",
    "requirements/dev.txt",
    "requirements/test.txt",
    "requirements/tests.txt",
];
/// Files that are read, beside [`REQUIREMENTS`].
const FILES: &[&str] = &[
    "pyproject.toml",
    "setup.py",
    "setup.cfg",
    "tox.ini",
    "tox.toml",
    "noxfile.py",
    "Makefile",
    "uv.lock",
    "poetry.lock",
    "pdm.lock",
    "Pipfile",
    ".pre-commit-config.yaml",
    ".python-version",
    "mypy.ini",
    "docs/conf.py",
    "doc/conf.py",
    "mkdocs.yml",
    "manage.py",
];

impl Project {
    /// Does this file say how a project is built?
    pub fn wants(path: &str) -> bool {
        FILES.contains(&path) || REQUIREMENTS.contains(&path)
    }

    /// The files of which [`Project::wants`] is true.
    pub fn of(files: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { files: files.into_iter().collect() }
    }

    fn has(&self, name: &str) -> bool {
        self.files.contains_key(name)
    }

    fn text(&self, name: &str) -> &str {
        self.files.get(name).map_or("", String::as_str)
    }

    fn pyproject(&self) -> DocumentMut {
        self.text("pyproject.toml").parse().unwrap_or_default()
    }

    /// The Python that the project names for its developers.
    pub(super) fn python(&self) -> Option<String> {
        let line = self.text(".python-version").lines().map(str::trim).find(|line| !line.is_empty())?;
        let version = line.strip_prefix("cpython-").unwrap_or(line);
        (version.starts_with("3.") && version.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
            .then(|| version.to_owned())
    }

    /// What `make` alone makes: the first target.
    pub(super) fn default_target(&self) -> Option<&str> {
        let mut lines = self.text("Makefile").lines().filter(|line| !line.starts_with(['.', '#', ' ', '\t']));
        let (target, _) = lines.find_map(|line| line.split_once(':').filter(|(_, rest)| !rest.starts_with('=')))?;
        target.split_whitespace().next()
    }

    /// How what `tool` reports would be seen again.
    pub(super) fn guess(&self, tool: &str) -> Option<Guess> {
        match tool {
            "pytest" | "pytest-cov" | "coverage" | "python" | "process" => self.tests("pytest"),
            "unittest" => self.tests("python -m unittest"),
            "django" => self.tests("python manage.py test"),
            "mypy" | "stubtest" | "pyright" | "pylint" => self.with_project(tool),
            "ruff" => Some(self.alone("ruff", "ruff check .")),
            "ruff-format" => Some(self.alone("ruff", "ruff format --check .")),
            "black" => Some(self.alone("black", "black --check .")),
            "isort" => Some(self.alone("isort", "isort --check-only --diff .")),
            "flake8" => Some(self.alone("flake8", "flake8 .")),
            "codespell" => Some(self.alone("codespell", "codespell")),
            "bandit" => Some(self.alone("bandit", "bandit -r .")),
            "interrogate" => Some(self.alone("interrogate", "interrogate")),
            "pydocstyle" => Some(self.alone("pydocstyle", "pydocstyle")),
            "pre-commit" => Some(Guess {
                from: ".pre-commit-config.yaml".to_owned(),
                install: vec!["pip install pre-commit".to_owned(), "pre-commit install-hooks".to_owned()],
                checks: vec!["pre-commit run --all-files".to_owned()],
            }),
            "uv" if self.has("uv.lock") => Some(self.alone("uv", "uv lock --locked")),
            "poetry" if self.has("poetry.lock") => Some(self.alone("poetry", "poetry check --lock")),
            "pdm" if self.has("pdm.lock") => Some(self.alone("pdm", "pdm lock --check")),
            "sphinx" => {
                let folder = ["docs", "doc"].into_iter().find(|folder| self.has(&format!("{folder}/conf.py")))?;
                let mut guess = self.with_project("sphinx")?;
                guess.checks = vec![format!("sphinx-build -W --keep-going -b html {folder} {folder}/_build/html")];
                Some(guess)
            }
            "mkdocs" => {
                let mut guess = self.with_project("mkdocs")?;
                guess.checks = vec!["mkdocs build --strict".to_owned()];
                Some(guess)
            }
            _ => None,
        }
    }

    /// The test suite, as the project's tool runs it.
    fn tests(&self, runner: &str) -> Option<Guess> {
        let pyproject = self.pyproject();
        let guess = |from: &str, install: &[&str], check: String| {
            let install = install.iter().map(|line| (*line).to_owned()).collect();
            Some(Guess { from: from.to_owned(), install, checks: vec![check] })
        };
        if self.has("uv.lock") {
            let install = ["pip install uv", "uv sync --all-extras --all-groups"];
            return guess("uv.lock", &install, format!("uv run {runner}"));
        }
        if self.has("poetry.lock") || pyproject.get("tool").and_then(|tool| tool.get("poetry")).is_some() {
            let install = ["pip install poetry", "poetry install --all-extras --all-groups"];
            return guess("pyproject.toml (poetry)", &install, format!("poetry run {runner}"));
        }
        if self.has("pdm.lock") {
            return guess("pdm.lock", &["pip install pdm", "pdm install -G :all"], format!("pdm run {runner}"));
        }
        if self.has("Pipfile") {
            return guess("Pipfile", &["pip install pipenv", "pipenv install --dev"], format!("pipenv run {runner}"));
        }
        if !self.names_test_requirements() {
            let tool = |name: &str| pyproject.get("tool").and_then(|tool| tool.get(name)).is_some();
            if self.has("tox.ini")
                || self.has("tox.toml")
                || tool("tox")
                || self.text("setup.cfg").contains("[tox:tox]")
            {
                let install = ["pip install tox", "tox -e py --notest"];
                return guess("the configuration of tox", &install, "tox -e py --skip-pkg-install".to_owned());
            }
            if let Some(session) = self.session() {
                let install = format!("nox -s {session} --install-only");
                return guess("noxfile.py", &["pip install nox", &install], format!("nox -s {session} -R"));
            }
            if tool("hatch") && runner == "pytest" {
                return guess(
                    "pyproject.toml (hatch)",
                    &["pip install hatch", "hatch test -- --version"],
                    "hatch test".to_owned(),
                );
            }
        }
        let mut guess =
            self.with_project(runner.split(' ').next().filter(|name| *name == "pytest").unwrap_or_default())?;
        guess.checks = vec![match runner {
            "pytest" => "python -m pytest".to_owned(),
            other => other.to_owned(),
        }];
        Some(guess)
    }

    /// A tool that needs nothing of the project, in the version that the project's files name.
    fn alone(&self, package: &str, check: &str) -> Guess {
        let (from, requirement) = match self.version(package) {
            Some((file, requirement)) => (format!("what the log shows, and {file}"), requirement),
            None => ("what the log shows".to_owned(), package.to_owned()),
        };
        let install = vec![format!("pip install {}", shell_words::quote(&requirement))];
        Guess { from, install, checks: vec![check.to_owned()] }
    }

    /// The requirement that says which version of a package the project uses, and the file that says it: its lock, or
    /// where it declares the package.
    fn version(&self, package: &str) -> Option<(&'static str, String)> {
        for lock in ["uv.lock", "poetry.lock", "pdm.lock"] {
            let mut lines = self.text(lock).lines().skip_while(|line| *line != format!("name = \"{package}\""));
            let locked = lines.nth(1).and_then(|line| line.strip_prefix("version = \""));
            if let Some(version) = locked.and_then(|version| version.strip_suffix('"')) {
                return Some((lock, format!("{package}=={version}")));
            }
        }
        let bounded = |text: &str| {
            let requirement = text.split([';', '#']).next()?.split(" --").next()?.trim();
            let bound = requirement.strip_prefix(package)?.trim_start();
            bound.starts_with(['=', '<', '>', '!', '~']).then(|| requirement.replace(' ', ""))
        };
        let manifest = self.text("pyproject.toml").split(['"', '\'']).find_map(bounded);
        let manifest = manifest.map(|requirement| ("pyproject.toml", requirement));
        let listed = |file: &&'static str| Some((*file, self.text(file).lines().find_map(bounded)?));
        manifest.or_else(|| REQUIREMENTS.iter().find_map(listed))
    }

    fn session(&self) -> Option<&'static str> {
        let text = self.text("noxfile.py");
        let named = |name: &&&str| text.contains(&format!("def {name}(")) || text.contains(&format!("name=\"{name}\""));
        ["tests", "test", "unit", "pytest"].iter().find(named).copied()
    }

    fn names_test_requirements(&self) -> bool {
        !self.extras().is_empty()
            || !self.groups().is_empty()
            || REQUIREMENTS.iter().any(|name| {
                self.has(name)
                    && name.contains(['d', 't'])
                    && *name != "requirements.txt"
                    && *name != "requirements/base.txt"
            })
    }

    /// The extras that hold what tests need.
    fn extras(&self) -> Vec<&'static str> {
        let pyproject = self.pyproject();
        let extras = pyproject.get("project").and_then(|project| project.get("optional-dependencies"));
        let named = |name: &&&str| {
            extras.is_some_and(|extras| extras.get(name).is_some())
                || self.text("setup.cfg").lines().any(|line| {
                    line.strip_prefix(*name).is_some_and(|rest| rest.trim_start().starts_with('='))
                        && self.text("setup.cfg").contains("[options.extras_require]")
                })
                || (self.text("setup.py").contains("extras_require")
                    && (self.text("setup.py").contains(&format!("\"{name}\":"))
                        || self.text("setup.py").contains(&format!("'{name}':"))))
        };
        TESTING.iter().filter(named).copied().collect()
    }

    fn groups(&self) -> Vec<&'static str> {
        let pyproject = self.pyproject();
        let groups = pyproject.get("dependency-groups");
        TESTING.iter().filter(|name| groups.is_some_and(|groups| groups.get(name).is_some())).copied().collect()
    }

    /// The project with what its tests need, and a tool beside it.
    fn with_project(&self, tool: &str) -> Option<Guess> {
        let builds = self.has("setup.py")
            || self.text("pyproject.toml").contains("[build-system]")
            || self.text("pyproject.toml").contains("[project]");
        let mut install = vec!["python -m pip install --upgrade pip".to_owned()];
        let mut from = Vec::new();
        let extras = self.extras();
        if builds {
            let extras = if extras.is_empty() { String::new() } else { format!("[{}]", extras.join(",")) };
            install.push(format!("pip install -e '.{extras}'"));
            from.push(if self.has("pyproject.toml") { "pyproject.toml" } else { "setup.py" });
        }
        for group in self.groups() {
            install.push(format!("pip install --group {group}"));
        }
        for file in REQUIREMENTS.iter().filter(|file| self.has(file)) {
            install.push(format!("pip install -r {file}"));
            from.push(file);
        }
        if from.is_empty() {
            from.push("what the log shows");
        }
        if !tool.is_empty() {
            install.push(format!("pip install {}", if tool == "stubtest" { "mypy" } else { tool }));
        }
        let check = match tool {
            "pylint" => return None,
            "stubtest" => return None,
            "mypy" => "mypy .".to_owned(),
            other => other.to_owned(),
        };
        Some(Guess { from: from.join(", "), install, checks: vec![check] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(files: &[(&str, &str)]) -> Project {
        Project::of(files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())))
    }

    #[test]
    fn a_project_is_installed_and_tested_as_its_own_files_say() {
        let built = "[build-system]\nrequires = []\n[project]\nname = 'a'\n";
        let extras = format!("{built}[project.optional-dependencies]\ntest = ['x']\ndocs = []\n");
        for (files, install, check) in [
            (vec![("uv.lock", ""), ("tox.ini", "")], "uv sync --all-extras --all-groups", "uv run pytest"),
            (
                vec![("pyproject.toml", "[tool.poetry]\nname = 'a'\n")],
                "poetry install --all-extras --all-groups",
                "poetry run pytest",
            ),
            (vec![("pdm.lock", "")], "pdm install -G :all", "pdm run pytest"),
            (vec![("tox.ini", ""), ("setup.py", "")], "tox -e py --notest", "tox -e py --skip-pkg-install"),
            (vec![("noxfile.py", "def tests(session):\n")], "nox -s tests --install-only", "nox -s tests -R"),
            (
                vec![("pyproject.toml", extras.as_str()), ("tox.ini", "")],
                "pip install -e '.[test]'",
                "python -m pytest",
            ),
            (
                vec![("requirements-dev.txt", ""), ("tox.ini", "")],
                "pip install -r requirements-dev.txt",
                "python -m pytest",
            ),
            (vec![("pyproject.toml", built)], "pip install -e '.'", "python -m pytest"),
        ] {
            let guess = project(&files).guess("pytest").unwrap();
            assert!(guess.install.iter().any(|line| line == install), "{files:?}: {:?}", guess.install);
            assert_eq!(guess.checks, [check], "{files:?}");
        }
    }

    #[test]
    fn a_linter_has_the_version_that_the_project_names() {
        let grouped = "[dependency-groups]\ndev = [\"ruff-lsp>=1\", \"ruff >=0.9, <0.16; python_version > '3'\"]\n";
        let locked =
            "[[package]]\nname = \"ruff-lsp\"\nversion = \"1.0\"\n[[package]]\nname = \"ruff\"\nversion = \"0.15.1\"\n";
        for (files, install) in [
            (vec![("pyproject.toml", grouped), ("uv.lock", locked)], "pip install 'ruff==0.15.1'"),
            (vec![("pyproject.toml", grouped)], "pip install 'ruff>=0.9,<0.16'"),
            (vec![("requirements-dev.txt", "ruff==0.4.1  # why\n")], "pip install 'ruff==0.4.1'"),
            (vec![("requirements.txt", "ruff\n")], "pip install ruff"),
        ] {
            assert_eq!(project(&files).guess("ruff").unwrap().install, [install]);
        }
    }

    #[test]
    fn a_linter_needs_no_project_and_an_unknown_tool_is_no_guess() {
        assert_eq!(project(&[]).guess("ruff").unwrap().checks, ["ruff check ."]);
        assert!(project(&[]).guess("some-tool").is_none());
        assert!(project(&[("docs/conf.py", "")]).guess("sphinx").unwrap().checks[0].contains("docs/_build"));
        assert_eq!(project(&[(".python-version", "3.11\n")]).python().as_deref(), Some("3.11"));
    }
}
