//! Who imports a module: read from syntax trees, never by running anything.

use ruff_python_ast::{
    ExceptHandler, Expr, Stmt,
    visitor::{Visitor, walk_stmt},
};

use super::tree::{self, Tree};

/// The project's files that import a module so that they fail without it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Importers {
    /// Files that come with the project, or that it is.
    pub(super) runtime: Vec<String>,
    /// Tests, and what only they load.
    pub(super) tests: Vec<String>,
}

/// Is it a test, or a file that only tests load?
pub(super) fn is_test(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let folder = tree::parent(path);
    folder.split('/').any(|part| matches!(part, "tests" | "test" | "testing" | "testsuite"))
        || name.starts_with("test_")
        || name.ends_with("_test.py")
        || matches!(name, "conftest.py" | "tests.py" | "test.py")
}

/// Is it beside the project: documentation, examples, chores?
fn is_beside(path: &str) -> bool {
    let beside = ["docs", "doc", "examples", "example", "scripts", "benchmarks", "benchmark", "tools", "ci", ".github"];
    let top = path.split('/').next().unwrap_or(path);
    let chore = ["setup.py", "noxfile.py", "tasks.py", "dodo.py", "conf.py", "fabfile.py", "make.py"];
    (path.contains('/') && beside.contains(&top)) || chore.contains(&path.rsplit('/').next().unwrap_or(path))
}

/// The files that import a top-level module unconditionally.
pub(super) fn of(tree: &Tree<'_>, module: &str) -> Importers {
    let mut found = Importers::default();
    for path in tree.python_files() {
        let list = match () {
            () if is_test(&path) => &mut found.tests,
            () if is_beside(&path) => continue,
            () => &mut found.runtime,
        };
        if tree.read(&path).is_some_and(|text| text.content.contains(module) && imports(&text.content, module)) {
            list.push(path);
        }
    }
    found
}

fn imports(content: &str, module: &str) -> bool {
    let Ok(parsed) = ruff_python_parser::parse_module(content) else { return false };
    let mut search = Search { module, found: false };
    for stmt in parsed.suite() {
        search.visit_stmt(stmt);
    }
    search.found
}

struct Search<'a> {
    module: &'a str,
    found: bool,
}

impl<'a> Visitor<'a> for Search<'_> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        let names = |dotted: &str| dotted.split('.').next() == Some(self.module);
        match stmt {
            Stmt::Import(import) => self.found |= import.names.iter().any(|alias| names(alias.name.as_str())),
            Stmt::ImportFrom(import) if import.level == 0 => {
                self.found |= import.module.as_ref().is_some_and(|module| names(module.as_str()));
            }
            // What is guarded does not fail.
            Stmt::Try(stmt) if stmt.handlers.iter().any(catches_import_error) => {
                for each in stmt.orelse.iter().chain(&stmt.finalbody) {
                    self.visit_stmt(each);
                }
            }
            Stmt::If(stmt) if is_type_checking(&stmt.test) => {
                for each in stmt.elif_else_clauses.iter().flat_map(|clause| &clause.body) {
                    self.visit_stmt(each);
                }
            }
            other => walk_stmt(self, other),
        }
    }
}

fn catches_import_error(handler: &ExceptHandler) -> bool {
    let ExceptHandler::ExceptHandler(handler) = handler;
    let caught = |expr: &Expr| {
        let name = match expr {
            Expr::Name(name) => name.id.as_str(),
            Expr::Attribute(attribute) => attribute.attr.as_str(),
            _ => return false,
        };
        matches!(name, "ImportError" | "ModuleNotFoundError" | "Exception" | "BaseException")
    };
    match handler.type_.as_deref() {
        None => true,
        Some(Expr::Tuple(tuple)) => tuple.elts.iter().any(caught),
        Some(other) => caught(other),
    }
}

fn is_type_checking(test: &Expr) -> bool {
    match test {
        Expr::Name(name) => name.id == "TYPE_CHECKING",
        Expr::Attribute(attribute) => attribute.attr.as_str() == "TYPE_CHECKING",
        _ => false,
    }
}

/// Where the tree itself holds a module of that name at a place that could be its top level.
pub(super) fn in_tree(tree: &Tree<'_>, module: &str) -> Option<String> {
    let files = tree.files();
    let code = |path: &str| [".py", ".pyi", ".pyx", ".so", ".c"].iter().any(|extension| path.ends_with(extension));
    let single = |path: &String| {
        let name = path.rsplit('/').next().unwrap_or(path);
        code(path) && name.split('.').next() == Some(module) && is_top(tree, tree::parent(path))
    };
    if let Some(path) = files.iter().find(|path| single(path)) {
        return Some(path.clone());
    }
    let package = |path: &String| -> Option<String> {
        let mut parts = path.split('/').collect::<Vec<_>>();
        parts.pop();
        let at = parts.iter().position(|part| *part == module)?;
        let folder = parts[..=at].join("/");
        let own = code(path) && is_top(tree, tree::parent(&folder));
        // A folder of tests that is named after what it tests is no such module.
        let of_tests = is_test(&tree::join(&folder, "x.py"));
        let importable = tree.is_file(&tree::join(&folder, "__init__.py"));
        (own && (importable || !of_tests) && !(of_tests && holds_tests(tree, &folder))).then_some(folder)
    };
    files.iter().find_map(package)
}

fn is_top(tree: &Tree<'_>, folder: &str) -> bool {
    !tree.is_file(&tree::join(folder, "__init__.py")) || folder.is_empty()
}

fn holds_tests(tree: &Tree<'_>, folder: &str) -> bool {
    tree.list(folder).iter().any(|name| name.starts_with("test_") || name.ends_with("_test.py"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guarded_import_does_not_count() {
        assert!(imports("import yaml.x as y\n", "yaml"));
        assert!(imports("def f():\n    from yaml import load\n", "yaml"));
        assert!(!imports("try:\n    import yaml\nexcept ImportError:\n    yaml = None\n", "yaml"));
        assert!(!imports("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import yaml\n", "yaml"));
        assert!(!imports("from .yaml import x\nimport yamlish\n", "yaml"));
    }

    #[test]
    fn tests_are_told_by_their_place_and_name() {
        assert!(is_test("tests/a/b.py") && is_test("pkg/test_a.py") && is_test("conftest.py"));
        assert!(!is_test("pkg/contest.py") && !is_test("src/latest.py"));
    }
}
