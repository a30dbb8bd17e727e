//! What loading a file does: every expression that is evaluated at module level, in class bodies, decorators and
//! default values, and in functions of the same file that are called there.

use super::context::File;
use super::python::{Py, canon, dotted, is_string_stmt, last, stmt_key, string_value};
use super::{Finding, compare::lost, paths};
use ruff_python_ast::visitor::{Visitor, walk_expr, walk_stmt};
use ruff_python_ast::{self as ast, Expr, Stmt};
use std::collections::{BTreeMap, BTreeSet};

/// Statements that do something when the file is loaded.
pub(crate) fn judge(file: &File<'_>, after: &Py, findings: &mut Vec<Finding>) {
    let before = file.py_before.as_ref().map(|p| loaded(file, p)).unwrap_or_default();
    let mut seen: BTreeSet<(String, u32)> = BTreeSet::new();
    for (text, line) in lost(&loaded(file, after), &before, |e| e.0.clone()) {
        if seen.insert((text.clone(), line)) {
            let message = "Loading this file now has an effect.";
            findings
                .push(Finding::refuse("loadable-effect", Some(file.path), message).at(line).texts(None, Some(&text)));
        }
    }
}

fn loaded(file: &File<'_>, py: &Py) -> Vec<(String, u32)> {
    let mut found = Vec::new();
    let setup = paths::name(file.path) == "setup.py";
    let strict = matches!(paths::name(file.path), "conftest.py" | "__init__.py" | "setup.py");
    super::python::walk(py.body(), &mut |stmt| {
        let line = py.line_of(stmt);
        match stmt {
            Stmt::FunctionDef(_) => return false,
            Stmt::If(s) if canon(&s.test).contains("__main__") => return false,
            Stmt::Expr(s) if !is_string_stmt(stmt) => {
                if let Expr::Call(call) = &*s.value {
                    let name = dotted(&call.func);
                    if effect(&name, strict) && !(setup && last(&name) == "setup") {
                        found.push((canon(&s.value), line));
                    }
                }
            }
            Stmt::Assign(s) => {
                for target in &s.targets {
                    let outside = match target {
                        Expr::Attribute(a) => !matches!(dotted(&a.value).as_str(), "self" | "cls"),
                        Expr::Subscript(sub) => {
                            dotted(&sub.value).starts_with("os.environ") || dotted(&sub.value).starts_with("sys.")
                        }
                        _ => false,
                    };
                    if outside {
                        found.push((format!("{} = {}", canon(target), canon(&s.value)), line));
                    }
                    if canon(target) == "pytest_plugins" {
                        found.push((format!("pytest_plugins = {}", canon(&s.value)), line));
                    }
                }
                if setup_class(&s.value) && setup {
                    found.push((canon(&s.value), line));
                }
            }
            Stmt::Raise(_) if strict => found.push(("raise".to_string(), line)),
            Stmt::Delete(s) if s.targets.iter().any(|t| matches!(t, Expr::Attribute(_) | Expr::Subscript(_))) => {
                found.push((stmt_key(stmt), line))
            }
            _ => {}
        }
        true
    });
    let plain: BTreeSet<String> = found.iter().map(|f| f.0.clone()).collect();
    found.extend(evaluated(py).into_iter().filter(|e| !plain.contains(&e.0)));
    if setup {
        for stmt in py.body() {
            super::python::exprs(stmt, &mut |expr| {
                if let Expr::Call(call) = expr
                    && last(&dotted(&call.func)) == "setup"
                {
                    for keyword in &call.arguments.keywords {
                        if keyword
                            .arg
                            .as_ref()
                            .is_some_and(|a| matches!(a.as_str(), "cmdclass" | "test_suite" | "test_loader"))
                            || pytest11(&keyword.value)
                        {
                            found.push((format!("setup {}", canon(&keyword.value)), py.line_of(keyword)));
                        }
                    }
                }
                true
            });
        }
    }
    found
}

fn pytest11(expr: &Expr) -> bool {
    matches!(expr, Expr::Dict(d) if d.items.iter().any(|i: &ast::DictItem| i.key.as_ref().and_then(string_value).as_deref() == Some("pytest11")))
}

fn setup_class(expr: &Expr) -> bool {
    matches!(expr, Expr::Call(c) if matches!(dotted(&c.func).as_str(), "exec" | "eval" | "subprocess.run" | "os.system"))
}

/// Does a bare call by this name at module level have an effect on others?
fn effect(name: &str, strict: bool) -> bool {
    let end = last(name);
    if end == "addHandler"
        || name.starts_with("__all__.")
        || matches!(name, "print" | "pytest.register_assert_rewrite")
        || name.is_empty()
    {
        return false;
    }
    let known = name.starts_with("os.")
        || name.starts_with("sys.")
        || name.starts_with("subprocess")
        || name.starts_with("warnings.")
        || name.starts_with("unittest.")
        || name.starts_with("atexit")
        || name.starts_with("signal")
        || name.starts_with("logging.disable")
        || matches!(name, "setattr" | "exec" | "eval" | "patch" | "pytest.skip" | "pytest.exit" | "importlib.reload");
    strict || known
}

/// What is evaluated while a file is loaded.
struct Evaluated<'a> {
    py: &'a Py,
    functions: BTreeMap<&'a str, &'a ast::StmtFunctionDef>,
    entered: BTreeSet<&'a str>,
    found: Vec<(String, u32)>,
}

fn evaluated(py: &Py) -> Vec<(String, u32)> {
    let mut functions = BTreeMap::new();
    super::python::walk(py.body(), &mut |stmt| {
        if let Stmt::FunctionDef(f) = stmt {
            functions.insert(f.name.as_str(), f);
        }
        true
    });
    let mut visitor = Evaluated { py, functions, entered: BTreeSet::new(), found: Vec::new() };
    visitor.visit_body(py.body());
    visitor.found
}

impl<'a> Visitor<'a> for Evaluated<'a> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        match stmt {
            Stmt::FunctionDef(f) => {
                for decorator in &f.decorator_list {
                    self.called(&decorator.expression);
                    self.visit_expr(&decorator.expression);
                }
                f.parameters.iter().filter_map(|p| p.default()).for_each(|d| self.visit_expr(d));
            }
            Stmt::If(s) if canon(&s.test).contains("__main__") => {}
            _ => walk_stmt(self, stmt),
        }
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        match expr {
            Expr::Lambda(l) => {
                let parameters = l.parameters.iter().flat_map(|p| p.iter());
                parameters.filter_map(|p| p.default()).for_each(|d| self.visit_expr(d));
                return;
            }
            Expr::Call(call) => {
                if acts(call) {
                    self.found.push((canon(expr), self.py.line_of(expr)));
                }
                self.called(&call.func);
            }
            _ => {}
        }
        walk_expr(self, expr);
    }

    fn visit_annotation(&mut self, _: &'a Expr) {}
}

impl<'a> Evaluated<'a> {
    /// A function of the same file that is called while it is loaded is part of the loading.
    fn called(&mut self, func: &Expr) {
        let name = dotted(func);
        let Some((key, function)) = self.functions.get_key_value(name.as_str()).map(|(k, f)| (*k, *f)) else { return };
        if self.entered.insert(key) {
            function.body.iter().for_each(|s| self.visit_stmt(s));
        }
    }
}

/// Does the call reach out of the process, or into what others use?
fn acts(call: &ast::ExprCall) -> bool {
    let name = dotted(&call.func);
    let end = last(&name);
    let reads = name.starts_with("os.path.")
        || matches!(
            end,
            "getenv" | "getcwd" | "fspath" | "listdir" | "cpu_count" | "stat" | "scandir" | "walk" | "uname"
        )
        || matches!(
            name.as_str(),
            "os.environ.get" | "os.environ.copy" | "os.environ.items" | "os.fsencode" | "os.fsdecode" | "os.getpid"
        );
    if name.starts_with("os.") {
        return !reads;
    }
    let modules = [
        "subprocess.",
        "urllib.request",
        "requests.",
        "httpx.",
        "socket.",
        "shutil.",
        "ctypes.",
        "runpy.",
        "multiprocessing.",
        "signal.",
        "atexit.",
        "site.",
        "faulthandler.",
        "gc.",
    ];
    if modules.iter().any(|m| name.starts_with(m)) {
        return !matches!(name.as_str(), "shutil.which" | "socket.gethostname" | "shutil.get_terminal_size")
            && !name.starts_with("signal.Signals");
    }
    match name.as_str() {
        "exec" | "eval" | "setattr" | "delattr" | "__import__" | "threading.Thread" | "importlib.reload"
        | "sys.exit" => return true,
        "open" | "io.open" | "codecs.open" => return writes(call.arguments.args.get(1), call),
        _ => {}
    }
    if name.starts_with("sys.path.")
        || name.starts_with("sys.modules.")
        || name.starts_with("sys.set")
        || name.starts_with("sys.meta_path.")
    {
        return !matches!(name.as_str(), "sys.modules.get" | "sys.path.index");
    }
    match end {
        "write_text" | "write_bytes" | "symlink_to" | "hardlink_to" | "unlink" | "urlopen" | "urlretrieve" => true,
        "open" => writes(call.arguments.args.first(), call),
        _ => false,
    }
}

fn writes(mode: Option<&Expr>, call: &ast::ExprCall) -> bool {
    let named = call.arguments.keywords.iter().find(|k| k.arg.as_ref().is_some_and(|a| a.as_str() == "mode"));
    match named.map(|k| &k.value).or(mode) {
        Some(mode) => string_value(mode).is_some_and(|m| m.len() < 5 && m.contains(['w', 'a', 'x', '+'])),
        None => false,
    }
}
