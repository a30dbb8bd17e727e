//! What a repository's CI needs of a machine, as its workflows and manifests name it. Nothing is run.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::LazyLock,
};

use regex::Regex;

use crate::{
    init,
    plan::{
        shell::{tool_arguments, words_of},
        workflow::{Cell, Condition, Kind, Text, Workflows},
    },
    workspace::{inside, read_inside},
};

/// No file that is looked at is longer.
const LARGEST: usize = 1 << 20;

/// What a repository needs, each with the files that name it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Needs {
    /// Minor versions: `(3, 11)`.
    pub(super) pythons: BTreeMap<(u32, u32), BTreeSet<String>>,
    /// Pythons that are none of CPython's releases, and names that only CI knows.
    pub(super) odd_pythons: BTreeMap<String, BTreeSet<String>>,
    /// Programs.
    pub(super) tools: BTreeMap<&'static str, BTreeSet<String>>,
    /// Programs that the job's own commands, or a manifest, bring in.
    pub(super) brought: BTreeSet<&'static str>,
    /// What no local sandbox gives: `service postgres:16`, `container python:3.12`, `runner windows-latest`.
    pub(super) elsewhere: BTreeMap<String, BTreeSet<String>>,
    /// Where the version comes from git's tags, or all of the history is fetched.
    pub(super) history: BTreeSet<String>,
}

/// Programs that matter, and what brings them in besides their own name in a command.
const TOOLS: &[(&str, &[&str])] = &[
    ("uv", &["astral-sh/setup-uv", "hynek/setup-cached-uv"]),
    ("poetry", &["snok/install-poetry", "abatilo/actions-poetry"]),
    ("pdm", &["pdm-project/setup-pdm"]),
    ("hatch", &["pypa/hatch"]),
    ("tox", &[]),
    ("nox", &["wntrblm/nox", "excitedleigh/setup-nox"]),
    ("pre-commit", &["pre-commit/action", "tox-dev/action-pre-commit-uv"]),
    ("pipenv", &[]),
    ("make", &[]),
    ("just", &["extractions/setup-just"]),
    ("cmake", &[]),
    ("node", &["actions/setup-node"]),
    ("npm", &[]),
    ("yarn", &[]),
    ("pnpm", &["pnpm/action-setup"]),
    ("docker", &["docker/"]),
    ("cargo", &["dtolnay/rust-toolchain", "actions-rs/toolchain", "actions-rust-lang/"]),
    ("go", &["actions/setup-go"]),
    ("java", &["actions/setup-java"]),
    ("cc", &[]),
];

/// Words of a build's requirements, and the program that it takes to build.
const BUILDS: &[(&str, &str)] = &[
    ("maturin", "cargo"),
    ("setuptools-rust", "cargo"),
    ("setuptools_rust", "cargo"),
    ("meson-python", "cc"),
    ("scikit-build", "cc"),
    ("scikit_build", "cc"),
    ("cython", "cc"),
    ("pybind11", "cc"),
    ("nanobind", "cc"),
    ("cffi", "cc"),
    ("mypyc", "cc"),
];

/// Words in a manifest that say that the version comes from git.
const FROM_GIT: &[&str] = &[
    "setuptools_scm",
    "setuptools-scm",
    "hatch-vcs",
    "flit_scm",
    "versioningit",
    "poetry-dynamic-versioning",
    "versioneer",
];

/// Reads what the repository at `root` names.
pub(super) fn read(root: &Path) -> Needs {
    let mut needs = Needs::default();
    let text = |path: &str| {
        let bytes = read_inside(root, path).filter(|bytes| bytes.len() <= LARGEST)?;
        String::from_utf8(bytes).ok()
    };
    let named = |path: String| Some((path.clone(), text(&path)?));
    let workflows =
        Workflows::read(init::workflows_that_check(root).into_iter().chain(own_actions(root)).filter_map(named));
    for cell in workflows.cells(None, None) {
        needs.cell(&cell);
    }
    let manifests = ["pyproject.toml", "setup.cfg", "setup.py", "tox.ini", "noxfile.py", ".python-version"];
    for path in manifests {
        if let Some(text) = text(path) {
            needs.manifest(path, &text);
        }
    }
    let requirements = inside(root, "x").and_then(|p| p.parent()?.read_dir().ok());
    let names = requirements.into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    for name in names.filter(|name| name.contains("require") && name.ends_with(".txt")) {
        needs.declared(&text(&name).unwrap_or_default());
    }
    needs
}

impl Needs {
    fn tool(&mut self, tool: &'static str, place: &str) {
        self.tools.entry(tool).or_default().insert(place.to_owned());
    }

    fn python(&mut self, named: &str, place: &str) {
        static RELEASE: LazyLock<Option<Regex>> =
            LazyLock::new(|| Regex::new(r"^(\d)\.(\d{1,2})(?:\.\d+)?(?:-dev)?$").ok());
        let named = named.trim().trim_matches(['"', '\'']);
        // `3.x` and `3` are whatever there is.
        if named.is_empty() || named == "3" || named.ends_with(".x") || named.contains("${{") {
            return;
        }
        let version = RELEASE.as_ref().and_then(|release| {
            let found = release.captures(named)?;
            Some((found[1].parse().ok()?, found[2].parse().ok()?))
        });
        match version {
            Some(version) => self.pythons.entry(version).or_default().insert(place.to_owned()),
            // A range is met by one of the others, or by any.
            None if named.starts_with(['>', '<', '=', '~', '^']) => false,
            None => self.odd_pythons.entry(named.to_owned()).or_default().insert(place.to_owned()),
        };
    }

    fn cell(&mut self, cell: &Cell) {
        let place = cell.file.rsplit('/').next().unwrap_or(&cell.file);
        if matches!(cell.condition, Condition::No(_)) {
            return;
        }
        let foreign = |label: &&String| label.starts_with("windows") || label.starts_with("macos");
        if let Some(runner) = cell.runs_on.iter().find(foreign) {
            self.elsewhere.entry(format!("runner {runner}")).or_default().insert(place.to_owned());
            return; // nothing of it runs here
        }
        let services = cell.services.iter().map(|(_, image)| format!("service {image}"));
        for what in services.chain(cell.container.iter().map(|image| format!("container {image}"))) {
            self.elsewhere.entry(what).or_default().insert(place.to_owned());
        }
        for (_, python) in cell.matrix.iter().filter(|(key, _)| key.contains("python") || key == "py") {
            self.python(python, place);
        }
        for step in cell.steps.iter().filter(|step| !matches!(step.condition, Condition::No(_))) {
            match &step.kind {
                Kind::Uses { action, with } => {
                    let input = |name: &str| with.get(name).and_then(Text::known).unwrap_or_default();
                    self.action(action, input, place);
                }
                Kind::Run { script, .. } => self.script(script.written(), place),
            }
        }
    }

    fn action<'a>(&mut self, action: &str, input: impl Fn(&str) -> &'a str, place: &str) {
        if action == "actions/setup-python" || action == "astral-sh/setup-uv" {
            input("python-version").lines().for_each(|python| self.python(python, place));
        }
        if action == "actions/checkout" && input("fetch-depth") == "0" {
            self.history.insert(place.to_owned());
        }
        for (tool, _) in TOOLS.iter().filter(|(_, actions)| actions.iter().any(|known| action.starts_with(known))) {
            self.tool(tool, place);
        }
    }

    fn script(&mut self, script: &str, place: &str) {
        for command in script.split(['\n', ';', '|']).flat_map(|line| line.split("&&")) {
            let words = words_of(command);
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            for (tool, _) in TOOLS {
                if tool_arguments(&words, tool).is_some() {
                    self.tool(tool, place);
                }
                let installs =
                    words.contains(&"install") && words.iter().any(|w| matches!(*w, "pip" | "pip3" | "pipx" | "tool"));
                let bare = |word: &&str| word.split(['=', '<', '>', '[', '~']).next() == Some(*tool);
                if installs && words.iter().any(bare) {
                    self.brought.insert(tool);
                }
            }
        }
    }

    fn manifest(&mut self, path: &str, text: &str) {
        static CLASSIFIER: LazyLock<Option<Regex>> =
            LazyLock::new(|| Regex::new(r"Programming Language :: Python :: (\d\.\d+)\b").ok());
        static FACTORS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\bpy(3)\.?(\d{1,2})\b").ok());
        static BRACES: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\bpy(3?)\{([\d.,]+)\}").ok());
        static SESSIONS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r#"["'](3\.\d{1,2})["']"#).ok());
        let all = |pattern: &'static LazyLock<Option<Regex>>| pattern.iter().flat_map(|p| p.captures_iter(text));
        match path {
            ".python-version" => text.lines().take(1).for_each(|line| self.python(line, path)),
            "tox.ini" => {
                all(&FACTORS).for_each(|found| self.python(&format!("{}.{}", &found[1], &found[2]), path));
                for found in all(&BRACES) {
                    for part in found[2].split(',').filter(|part| !part.is_empty()) {
                        let digits: String =
                            format!("{}{part}", &found[1]).chars().filter(char::is_ascii_digit).collect();
                        if let Some(minor) = digits.strip_prefix('3') {
                            self.python(&format!("3.{minor}"), path);
                        }
                    }
                }
            }
            "noxfile.py" => all(&SESSIONS).for_each(|found| self.python(&found[1], path)),
            _ => all(&CLASSIFIER).for_each(|found| self.python(&found[1], path)),
        }
        if matches!(path, "pyproject.toml" | "setup.py" | "setup.cfg") {
            if FROM_GIT.iter().any(|word| text.contains(word)) {
                self.history.insert(path.to_owned());
            }
            let required = requirements(path, text).to_lowercase();
            for (_, program) in BUILDS.iter().filter(|(word, _)| required.contains(word)) {
                for (tool, _) in TOOLS.iter().filter(|(tool, _)| tool == program) {
                    self.tool(tool, path);
                }
            }
            if path == "setup.py" && (text.contains("ext_modules") || text.contains("cffi_modules")) {
                self.tool("cc", path);
            }
        }
        self.declared(text);
    }

    /// Programs that a manifest has among its requirements are there once the job has installed it.
    fn declared(&mut self, text: &str) {
        for (tool, _) in TOOLS {
            let declares = |line: &str| {
                let line = line.trim();
                let entry = line.trim_start_matches(['"', '\'', '-', ' ']).strip_prefix(tool);
                let quoted = line.split(['"', '\'']).skip(1).step_by(2).find_map(|entry| entry.strip_prefix(tool));
                let ends = |rest: &str| {
                    rest.is_empty() || rest.starts_with(['=', '<', '>', '~', '[', ';', '"', '\'', '!', ' '])
                };
                // `uv = true` is a setting of a tool.
                (entry.is_some_and(|rest| ends(rest) && !rest.trim_start().starts_with("= "))
                    || quoted.is_some_and(ends))
                    && !line.starts_with('[')
            };
            if text.lines().any(declares) {
                self.brought.insert(tool);
            }
        }
    }
}

/// What the build itself requires: of a `pyproject.toml` its `[build-system]`.
fn requirements(path: &str, text: &str) -> String {
    if path != "pyproject.toml" {
        return text.lines().filter(|line| line.contains("setup_requires") || line.contains("import")).collect();
    }
    let document: Option<toml_edit::DocumentMut> = text.parse().ok();
    document.and_then(|document| Some(document.get("build-system")?.to_string())).unwrap_or_default()
}

/// The repository's own actions, where they usually lie.
fn own_actions(root: &Path) -> Vec<String> {
    let folders = inside(root, ".github/actions").and_then(|folder| folder.read_dir().ok());
    let names = folders.into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.flat_map(|name| ["yml", "yaml"].map(|end| format!(".github/actions/{name}/action.{end}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::repository::{Machine, table};
    use std::{fs, path::PathBuf};

    const CI: &str = "on: push
jobs:
  test:
    runs-on: ${{ matrix.os }}
    strategy:
      matrix: {os: [ubuntu-latest, windows-latest], python-version: ['3.9', '3.13-dev', 'pypy3.10', '3.x', 3.12]}
    services: {db: {image: 'postgres:16'}}
    steps:
      - uses: actions/checkout@v5
        with: {fetch-depth: 0}
      - uses: astral-sh/setup-uv@v7
      - run: pip install tox && cd x; python -m tox -e py
      - run: |
          make lint | tee log
          docker compose up
";

    fn repository(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    fn needs(files: &[(&str, &str)]) -> Needs {
        read(repository(files).path())
    }

    #[test]
    fn pythons_programs_and_services_are_read_from_workflows() {
        let needs = needs(&[(".github/workflows/ci.yml", CI)]);
        assert_eq!(needs.pythons.keys().copied().collect::<Vec<_>>(), [(3, 9), (3, 12), (3, 13)]);
        assert_eq!(needs.odd_pythons.keys().collect::<Vec<_>>(), ["pypy3.10"]);
        assert_eq!(needs.tools.keys().copied().collect::<Vec<_>>(), ["docker", "make", "tox", "uv"]);
        assert_eq!(needs.brought.iter().copied().collect::<Vec<_>>(), ["tox"]);
        assert_eq!(needs.elsewhere.keys().collect::<Vec<_>>(), ["runner windows-latest", "service postgres:16"]);
        assert!(needs.history.contains("ci.yml"));
    }

    #[test]
    fn manifests_name_pythons_compilers_and_versions_that_git_gives() {
        let pyproject = "[build-system]\nrequires = [\"setuptools\", \"setuptools_scm\", \"Cython\"]\n[project]\nclassifiers = [\n\
                         \"Programming Language :: Python :: 3.11\",\n]\n[dependency-groups]\ndev = [\"nox>=1\"]\n";
        let needs = needs(&[
            ("pyproject.toml", pyproject),
            ("tox.ini", "[tox]\nenvlist = py{39,310}, py3{11,12}, py313, lint\n"),
        ]);
        assert_eq!(needs.pythons.keys().map(|v| v.1).collect::<Vec<_>>(), [9, 10, 11, 12, 13]);
        assert!(needs.tools.contains_key("cc") && needs.brought.contains("nox"), "{needs:?}");
        assert!(needs.history.contains("pyproject.toml"));
    }

    #[test]
    fn what_is_missing_says_how_to_get_it_and_what_no_sandbox_gives_is_nothing_to_get() {
        let root = repository(&[(".github/workflows/ci.yml", CI)]);
        let needs = read(root.path());
        let bare = Machine { pythons: vec!["3.12.1".to_owned()], path: Vec::new(), inside: Vec::new() };
        let (shown, complete) = table(&needs, &bare, root.path());
        let text = shown.unwrap().render(0);
        assert!(!complete);
        for said in [
            "uv python install 3.9",
            "3.12.1",
            "the job installs it",
            "pip install uv",
            "install make",
            "no git history",
        ] {
            assert!(text.contains(said), "{said}\n{text}");
        }
        let elsewhere = Needs { elsewhere: needs.elsewhere, ..Needs::default() };
        assert!(table(&elsewhere, &bare, root.path()).1);
        assert!(table(&Needs::default(), &bare, root.path()).0.is_none());
    }

    #[test]
    fn hostile_names_reach_no_terminal_and_no_text_makes_it_panic() {
        let evil = CI.replace("postgres:16", "\"a\\e[2Jb\"").replace("'pypy3.10'", "\"\\e[2J\"");
        let root = repository(&[
            (".github/workflows/ci.yml", &evil.replace("''", "'")),
            ("tox.ini", "py{,,}py3{"),
            ("setup.py", "\u{1b}"),
        ]);
        let machine = Machine { pythons: Vec::new(), path: vec![PathBuf::from("/nowhere")], inside: Vec::new() };
        let text = table(&read(root.path()), &machine, root.path()).0.map(|t| t.render(0)).unwrap_or_default();
        assert!(!text.contains("\u{1b}[2J"), "{text}");
    }
}
