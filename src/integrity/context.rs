//! What every rule needs: the changed files parsed once, what the project is made of, what was reported.

use super::python::Py;
use super::units::{Collecting, Suite};
use super::{Judged, Reported, names, paths};
use ruff_python_ast::Stmt;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

/// A changed file.
pub(crate) struct File<'a> {
    pub(crate) path: &'a str,
    pub(crate) before: Option<&'a [u8]>,
    pub(crate) after: Option<&'a [u8]>,
    pub(crate) py_before: Option<Py>,
    pub(crate) py_after: Option<Py>,
    pub(crate) is_test: bool,
    pub(crate) symlink: bool,
}

impl File<'_> {
    pub(crate) fn text_before(&self) -> String {
        self.before.map_or(String::new(), |b| String::from_utf8_lossy(b).into_owned())
    }

    pub(crate) fn text_after(&self) -> String {
        self.after.map_or(String::new(), |b| String::from_utf8_lossy(b).into_owned())
    }
}

/// See the module.
pub(crate) struct Context<'a> {
    pub(crate) input: &'a Judged<'a>,
    pub(crate) files: Vec<File<'a>>,
    pub(crate) paths: Vec<String>,
    pub(crate) collecting: Collecting,
    python_files: Vec<String>,
    /// Top-level modules and packages of the project.
    pub(crate) modules: BTreeSet<String>,
    /// Names that the change no longer defines, and names that it newly defines, in files that are no tests.
    pub(crate) undefined: BTreeSet<String>,
    pub(crate) defined: BTreeSet<String>,
    /// Names that the change newly defines in files of tests.
    made: BTreeSet<String>,
    /// What names stand for, by file and version.
    known: Mutex<BTreeMap<(String, bool), names::Known>>,
}

const LINTERS: [&str; 22] = [
    "ruff",
    "flake8",
    "pylint",
    "mypy",
    "pyright",
    "black",
    "isort",
    "codespell",
    "bandit",
    "pyupgrade",
    "pydocstyle",
    "ruff-format",
    "pycodestyle",
    "pyflakes",
    "autopep8",
    "yapf",
    "docformatter",
    "vulture",
    "ty",
    "pre-commit",
    "ruff-check",
    "basedpyright",
];

impl<'a> Context<'a> {
    pub(crate) fn new(input: &'a Judged<'a>) -> Context<'a> {
        let mut paths = input.before.paths();
        paths.sort();
        let (python_files, collecting) = collecting(input);
        let mut modules = BTreeSet::new();
        for path in paths.iter().filter(|p| paths::is_python(p)) {
            let parts = paths::parts(path.strip_prefix("src/").or_else(|| path.strip_prefix("lib/")).unwrap_or(path));
            match parts.as_slice() {
                [file] => modules.insert(file.rsplit_once('.').map_or(*file, |(s, _)| s).to_string()),
                [dir, ..] => modules.insert((*dir).to_string()),
                [] => false,
            };
        }
        let mut context = Context {
            input,
            files: Vec::new(),
            paths,
            collecting,
            python_files,
            modules,
            undefined: BTreeSet::new(),
            defined: BTreeSet::new(),
            made: BTreeSet::new(),
            known: Mutex::default(),
        };
        for (path, change) in &input.change.files {
            if change.before == change.after {
                continue;
            }
            let (mut py_before, mut py_after) = parsed(path, change.before.as_deref(), change.after.as_deref());
            if let (Some(before), Some(after)) = (&mut py_before, &mut py_after) {
                Py::compare(before, after);
            }
            let file = File {
                path,
                before: change.before.as_deref(),
                after: change.after.as_deref(),
                py_before,
                py_after,
                is_test: context.is_test(path),
                symlink: change.symlink,
            };
            context.files.push(file);
        }
        let names = |py: &Option<Py>| py.as_ref().map_or_else(BTreeSet::new, defined_names);
        for file in &context.files {
            let (before, after) = (names(&file.py_before), names(&file.py_after));
            if file.is_test {
                context.made.extend(after.difference(&before).cloned());
                continue;
            }
            context.undefined.extend(before.difference(&after).cloned());
            context.defined.extend(after.difference(&before).cloned());
        }
        context
    }

    /// Is it a file of tests, by name, by place or by the project's own patterns?
    pub(crate) fn is_test(&self, path: &str) -> bool {
        paths::is_test_file(path) || paths::is_python(path) && self.by_pattern(path)
    }

    fn by_pattern(&self, path: &str) -> bool {
        self.python_files.iter().any(|p| {
            glob::Pattern::new(p)
                .is_ok_and(|p| if p.as_str().contains('/') { p.matches(path) } else { p.matches(paths::name(path)) })
        })
    }

    /// Would a runner collect tests from a file of this name?
    pub(crate) fn is_collected(&self, path: &str) -> bool {
        paths::has_test_name(path) && paths::name(path) != "conftest.py" || self.by_pattern(path)
    }

    /// The content of a file after the change.
    pub(crate) fn after(&self, path: &str) -> Option<Vec<u8>> {
        match self.input.change.files.get(path) {
            Some(change) => change.after.clone(),
            None => self.input.before.read(path),
        }
    }

    pub(crate) fn read(&self, path: &str) -> Option<String> {
        self.input.before.read(path).map(|b| String::from_utf8_lossy(&b).into_owned())
    }

    pub(crate) fn category(&self) -> &str {
        self.input.category.unwrap_or("")
    }

    /// The reported findings of one file.
    pub(crate) fn reported(&self, path: &str) -> impl Iterator<Item = &'a Reported> {
        self.input.reported.iter().filter(move |r| r.file.as_deref() == Some(path))
    }

    /// Did a linter report something between these lines (before the change)?
    pub(crate) fn linted(&self, path: &str, from: u32, to: u32) -> bool {
        self.reported(path).any(|r| {
            LINTERS.contains(&r.tool.to_ascii_lowercase().as_str())
                && r.line.is_none_or(|l| l + 1 >= from && l <= to + 1)
        })
    }

    /// The file of a dotted module, in the tree after the change.
    pub(crate) fn module_file(&self, dotted: &str) -> Option<(String, Vec<u8>)> {
        let path = dotted.trim_start_matches('.').replace('.', "/");
        if path.is_empty() {
            return None;
        }
        for prefix in ["", "src/", "lib/"] {
            for end in [".py", "/__init__.py", ".pyi"] {
                let candidate = format!("{prefix}{path}{end}");
                if let Some(bytes) = self.after(&candidate) {
                    return Some((candidate, bytes));
                }
            }
        }
        None
    }

    /// Does a dotted name begin with a module of the project, tests aside?
    pub(crate) fn is_project(&self, dotted: &str) -> bool {
        dotted.starts_with('.') || {
            let root = dotted.split('.').next().unwrap_or("");
            self.modules.contains(root) && !matches!(root, "tests" | "test")
        }
    }

    /// What names stand for when a test begins.
    pub(crate) fn names(&self, path: &str, py: &Py, qual: &str, version: names::Version) -> names::Known {
        let key = (path.to_string(), version == names::Version::After);
        let known = self.known.lock().ok().and_then(|known| known.get(&key).cloned());
        let mut known = known.unwrap_or_else(|| {
            let known = names::of(self, path, py, version);
            if let Ok(mut all) = self.known.lock() {
                all.insert(key, known.clone());
            }
            known
        });
        known.extend(names::of_class(py, qual, &known));
        known
    }

    /// Does a module of the tree after the change define a name, at any depth? `None` where there is no such module.
    pub(crate) fn defines(&self, module: &str, name: &str) -> Option<bool> {
        let (_, bytes) = self.module_file(module)?;
        Some(defined_names(&Py::parse(&bytes, false)).contains(name))
    }

    /// The same of functions and classes alone.
    pub(crate) fn defines_code(&self, module: &str, name: &str) -> Option<bool> {
        let (_, bytes) = self.module_file(module)?;
        Some(defined_code(&Py::parse(&bytes, false)).contains(name))
    }

    /// The `conftest.py` files whose fixtures the tests of a file may ask for, its own aside.
    pub(crate) fn conftests_above(&self, path: &str) -> impl Iterator<Item = &String> {
        self.paths.iter().filter(move |conftest| {
            let folder = conftest.strip_suffix("conftest.py");
            paths::name(conftest) == "conftest.py"
                && conftest.as_str() != path
                && folder.is_some_and(|folder| path.starts_with(folder))
        })
    }

    /// Does the change define this name in a file of tests?
    pub(crate) fn tests_define(&self, name: &str) -> bool {
        self.made.contains(name)
    }

    /// Does a dotted name begin with a module of the tree, tests included?
    pub(crate) fn is_tree(&self, dotted: &str) -> bool {
        dotted.starts_with('.') || self.modules.contains(dotted.split('.').next().unwrap_or(""))
    }

    /// A dotted name as it is imported in a file, without leading dots.
    pub(crate) fn absolute(&self, path: &str, dotted: &str) -> String {
        let level = dotted.len() - dotted.trim_start_matches('.').len();
        let mut parts = paths::parts(path);
        parts.truncate(parts.len().saturating_sub(level));
        match level {
            0 => dotted.to_string(),
            _ => parts.into_iter().chain([dotted.trim_start_matches('.')]).collect::<Vec<_>>().join("."),
        }
    }

    /// May an identifier have become another one, as a rename in the source makes necessary?
    pub(crate) fn renamed(&self, old: &str, new: &str) -> bool {
        self.undefined.contains(old) && self.defined.contains(new)
    }

    /// The tests of one side of a file.
    pub(crate) fn suite(&self, py: &Py) -> Suite {
        Suite::of(py, &self.collecting, false)
    }

    /// The same, without what both versions of the file share.
    pub(crate) fn brief_suite(&self, py: &Py) -> Suite {
        Suite::of(py, &self.collecting, true)
    }
}

/// Both versions of a file, where it is Python.
fn parsed(path: &str, before: Option<&[u8]>, after: Option<&[u8]>) -> (Option<Py>, Option<Py>) {
    let stub = paths::extension(path) == "pyi";
    let parse = |side: Option<&[u8]>| side.filter(|_| paths::is_python(path)).map(|bytes| Py::parse(bytes, stub));
    super::both(before.map_or(0, <[u8]>::len) > super::LARGE, || parse(before), || parse(after))
}

/// Functions, classes, methods and assigned names.
fn defined_names(py: &Py) -> BTreeSet<String> {
    let mut names = defined_code(py);
    super::python::walk(py.body(), &mut |stmt| {
        if let Stmt::Assign(a) = stmt {
            names.extend(a.targets.iter().map(super::python::dotted));
        }
        true
    });
    names
}

/// Functions, classes and methods.
fn defined_code(py: &Py) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    super::python::walk(py.body(), &mut |stmt| {
        match stmt {
            Stmt::FunctionDef(f) => names.insert(f.name.to_string()),
            Stmt::ClassDef(c) => names.insert(c.name.to_string()),
            _ => false,
        };
        true
    });
    names
}

fn collecting(input: &Judged<'_>) -> (Vec<String>, Collecting) {
    let mut collecting = Collecting::default();
    let mut files = Vec::new();
    for path in ["pytest.ini", ".pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg"] {
        let Some(bytes) = input.before.read(path) else { continue };
        let entries: BTreeMap<String, Vec<String>> =
            super::config::read(path, &String::from_utf8_lossy(&bytes)).unwrap_or_default();
        for (key, values) in entries {
            match key.as_str() {
                "pytest.python_files" => files.extend(values),
                "pytest.python_functions" => collecting.functions.extend(values),
                "pytest.python_classes" => collecting.classes.extend(values),
                _ => {}
            }
        }
    }
    (files, collecting)
}
