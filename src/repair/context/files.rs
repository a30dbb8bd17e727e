//! The tree's files as this room reads them: listed once, bounded, parsed at most once each.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

use super::module::Module;
pub(super) use crate::integrity::is_test_file as is_test;
use crate::workspace::Tree;

/// Larger files are not read.
const LARGEST: usize = 1 << 20;
/// More bytes of source than that are not parsed for one question.
const MOST_SOURCE: usize = 24 << 20;
/// More files than that are not looked at.
const MOST_FILES: usize = 50_000;
/// Directories that are no part of the project.
const FOREIGN: &[&str] = &[
    ".git",
    ".hg",
    ".venv",
    "venv",
    ".tox",
    ".nox",
    "node_modules",
    "__pycache__",
    ".eggs",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    "site-packages",
];

/// The files of a tree.
pub(super) struct Files<'a> {
    tree: &'a Tree,
    paths: Vec<String>,
    modules: RefCell<BTreeMap<String, Option<Rc<Module>>>>,
    parsed: Cell<usize>,
}

impl<'a> Files<'a> {
    pub(super) fn new(tree: &'a Tree) -> Files<'a> {
        let mut paths = tree.paths();
        paths.retain(|path| !path.split('/').any(|part| FOREIGN.contains(&part) || part.ends_with(".egg-info")));
        paths.truncate(MOST_FILES);
        paths.sort();
        Files { tree, paths, modules: RefCell::default(), parsed: Cell::new(0) }
    }

    pub(super) fn tree(&self) -> &Tree {
        self.tree
    }

    /// All of them, sorted.
    pub(super) fn paths(&self) -> &[String] {
        &self.paths
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.paths.binary_search_by(|known| known.as_str().cmp(path)).is_ok()
    }

    /// A file's text, where it is one of a usable size.
    pub(super) fn text(&self, path: &str) -> Option<String> {
        if !self.has(path) {
            return None;
        }
        let size = std::fs::symlink_metadata(self.tree.root().join(path)).ok()?.len();
        if usize::try_from(size).ok()? > LARGEST {
            return None;
        }
        let bytes = self.tree.read(path)?;
        if bytes.iter().take(8000).any(|byte| *byte == 0) {
            return None;
        }
        let text = String::from_utf8_lossy(&bytes);
        Some(text.trim_start_matches('\u{feff}').replace("\r\n", "\n"))
    }

    /// A Python file's text and tree, as far as it can be parsed.
    pub(super) fn module(&self, path: &str) -> Option<Rc<Module>> {
        if !is_python(path) {
            return None;
        }
        if let Some(known) = self.modules.borrow().get(path) {
            return known.clone();
        }
        let text = self.text(path).filter(|text| self.parsed.get() + text.len() <= MOST_SOURCE);
        let module = text.map(|text| {
            self.parsed.set(self.parsed.get() + text.len());
            Rc::new(Module::parse(path, text))
        });
        self.modules.borrow_mut().insert(path.to_owned(), module.clone());
        module
    }

    /// The project's own Python files that are no tests.
    pub(super) fn product(&self) -> impl Iterator<Item = &str> {
        self.paths.iter().map(String::as_str).filter(|path| path.ends_with(".py") && !is_test(path) && !is_beside(path))
    }

    /// The files that a module of this dotted name may be, the likeliest first. `beside` is the folder of the file
    /// that imports it.
    pub(super) fn of_module(&self, dotted: &str, beside: &str) -> Option<String> {
        if dotted.is_empty() {
            return None;
        }
        let relative = dotted.replace('.', "/");
        let homes = ["", "src/", "lib/", "python/"].map(str::to_owned);
        let beside = if beside.is_empty() { String::new() } else { format!("{beside}/") };
        for home in homes.iter().chain([&beside]) {
            for ending in [".py", "/__init__.py", ".pyi"] {
                let path = format!("{home}{relative}{ending}");
                if self.has(&path) {
                    return Some(path);
                }
            }
        }
        // A package in a folder of its own: packages/core/shop/cart.py for shop.cart.
        if !dotted.contains('.') {
            let ending = format!("/{relative}/__init__.py");
            return self.paths.iter().filter(|path| path.ends_with(&ending)).min_by_key(|path| path.len()).cloned();
        }
        let endings = [format!("/{relative}.py"), format!("/{relative}/__init__.py")];
        let found = self.paths.iter().filter(|path| endings.iter().any(|ending| path.ends_with(ending)));
        found.min_by_key(|path| path.len()).cloned()
    }

    /// The repository's file that an absolute path of some machine means: the longest end of it that is one.
    pub(super) fn meant_by(&self, absolute: &str) -> Option<&str> {
        let absolute = absolute.trim_start_matches("file://");
        let mut rest = absolute.trim_start_matches('/');
        for _ in 0..40 {
            if let Ok(at) = self.paths.binary_search_by(|known| known.as_str().cmp(rest)) {
                return self.paths.get(at).map(String::as_str);
            }
            rest = rest.split_once('/')?.1;
        }
        None
    }
}

pub(super) fn is_python(path: &str) -> bool {
    path.ends_with(".py") || path.ends_with(".pyi")
}

/// Is it beside the project: documentation, examples, chores?
pub(super) fn is_beside(path: &str) -> bool {
    let beside = ["docs", "doc", "examples", "example", "scripts", "benchmarks", "benchmark", "tools", "ci", ".github"];
    let chore = ["setup.py", "noxfile.py", "tasks.py", "dodo.py", "conf.py", "fabfile.py", "make.py"];
    (path.contains('/') && beside.contains(&path.split('/').next().unwrap_or(path))) || chore.contains(&name(path))
}

/// The folder of a path, empty for the root.
pub(super) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// The last part of a path.
pub(super) fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// At most `limit` bytes, cut at a character.
pub(super) fn bounded(text: &str, limit: usize) -> &str {
    let mut end = text.len().min(limit);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
