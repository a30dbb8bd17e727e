//! Reaching into the runner: hooks under any spelling, fixtures that change what runs, methods of test classes,
//! attributes of test tools, and product code that knows how to skip.

use super::context::{Context, File};
use super::decorators::is_fixture;
use super::python::{Py, among, canon, dotted, ignores_warnings, imported, last, stmt_key, string_value};
use super::{Finding, compare::lost, paths};
use ruff_python_ast::{self as ast, Expr, Stmt};

/// A rule, whether it is sure, the text that is counted, and its line.
type Sign = (&'static str, bool, String, u32);

pub(crate) fn judge(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let plugin = is_plugin(context);
    for file in &context.files {
        let Some(after) = &file.py_after else { continue };
        let read = |py: &Py| {
            let mut found = Vec::new();
            attributes(file, py, &mut found);
            if file.is_test {
                bindings(context, file, py, &mut found);
                methods(py, &mut found);
                mains(py, &mut found);
                quietened(py, &mut found);
            } else if !paths::is_runner(file.path) && !matches!(paths::name(file.path), "setup.py" | "conf.py") {
                product(py, &mut found);
                if !plugin {
                    hooks_of_product(py, &mut found);
                }
            }
            found
        };
        let old = file.py_before.as_ref().map(read).unwrap_or_default();
        for (rule, sure, text, line) in lost(&read(after), &old, |s| (s.0, s.2.clone())) {
            let message = match rule {
                "runner-hook" => "A hook of the runner is new or changed.",
                "assertion-overridden" => "A method by which tests assert or run is replaced.",
                "dynamic-code" => "Code that is only known when the program runs is executed.",
                "test-selection" => "What this file runs when it is run by itself is changed.",
                "forced-exit" => "The process can be ended or replaced here, whatever the tests say.",
                "subject-mocked" => "A name that tests use is set from outside of them.",
                "warnings-relaxed" => "Warnings are ignored here.",
                "test-uncollected" => "Names of this file's tests, or their cases, are changed while it is loaded.",
                "test-skipped" => "The program itself can skip or excuse the tests that call it.",
                "source-knows-tests" => "The program loads the test runner, or the tests.",
                _ => "The runner, or what it holds about a test, is reached into.",
            };
            findings.push(
                match sure {
                    true => Finding::refuse(rule, Some(file.path), message),
                    false => Finding::flag(rule, Some(file.path), message),
                }
                .at(line)
                .texts(None, Some(&text)),
            );
        }
    }
}

const TOOLS: [&str; 7] = ["unittest.", "pytest.", "_pytest.", "pluggy.", "doctest.", "builtins.", "mypy."];

/// Attributes of test tools that are assigned, and insides of functions that are exchanged.
fn attributes(file: &File<'_>, py: &Py, found: &mut Vec<Sign>) {
    for stmt in py.changed() {
        super::python::exprs(stmt, &mut |expr| {
            let line = py.line_of(expr);
            match expr {
                Expr::Attribute(a) if !a.ctx.is_load() => {
                    let name = dotted(expr);
                    let harmless = matches!(a.attr.as_str(), "maxDiff" | "longMessage" | "_MAX_LENGTH");
                    let inside = matches!(a.attr.as_str(), "__code__" | "__globals__" | "__closure__");
                    if TOOLS.iter().any(|t| name.starts_with(t)) && !harmless || inside {
                        found.push(("runner-tampered", true, canon(expr), line));
                    }
                    if file.is_test && is_assertion(&a.attr) {
                        found.push(("assertion-overridden", true, canon(expr), line));
                    }
                }
                Expr::Call(call) => {
                    let name = dotted(&call.func);
                    let words: Vec<String> = call.arguments.args.iter().filter_map(string_value).collect();
                    let target = call.arguments.args.first().map(dotted).unwrap_or_default();
                    let set = matches!(last(&name), "setattr" | "__setattr__" | "delattr");
                    // What a test replaces for itself, outside of the runner.
                    let own = |name: &str| name.starts_with("builtins.") || name.starts_with("unittest.mock");
                    let tool = |name: &str| TOOLS.iter().any(|t| format!("{name}.").starts_with(t));
                    let patches = name.contains("monkeypatch") || name.contains("patch");
                    let replaces = (set || patches)
                        && (words.iter().chain([&target]).any(|w| tool(w) && !(patches && own(&format!("{w}.")))));
                    if set && words.iter().any(|w| w == "__code__") || replaces {
                        found.push(("runner-tampered", true, canon(expr), line));
                    }
                    if file.is_test
                        && (set && words.iter().any(|w| is_assertion(w)) || last(&name) == "addTypeEqualityFunc")
                    {
                        found.push(("assertion-overridden", true, canon(expr), line));
                    }
                }
                _ => {}
            }
            true
        });
    }
}

/// The methods of `TestCase` that assert and run.
pub(crate) fn is_assertion(name: &str) -> bool {
    const METHODS: &str = "assertEqual assertEquals assertNotEqual assertTrue assertFalse assert_ assertIs assertIsNot \
        assertIsNone assertIsNotNone assertIn assertNotIn assertIsInstance assertNotIsInstance assertRaises \
        assertRaisesRegex assertWarns assertWarnsRegex assertLogs assertNoLogs assertAlmostEqual \
        assertNotAlmostEqual assertGreater assertGreaterEqual assertLess assertLessEqual assertRegex assertNotRegex \
        assertCountEqual assertMultiLineEqual assertSequenceEqual assertListEqual assertTupleEqual assertSetEqual \
        assertDictEqual fail failIf failUnless failureException _callTestMethod _callSetUp _baseAssertEqual \
        _getAssertEqualityFunc countTestCases addTypeEqualityFunc";
    among(METHODS, name)
}

/// Names that a statement binds, without those in it.
pub(crate) fn bound(stmt: &Stmt) -> Vec<String> {
    match stmt {
        Stmt::FunctionDef(f) => vec![f.name.to_string()],
        Stmt::ClassDef(c) => vec![c.name.to_string()],
        Stmt::Import(_) | Stmt::ImportFrom(_) => imported(stmt).into_iter().map(|(name, _)| name).collect(),
        Stmt::Assign(s) => {
            let mut names = Vec::new();
            for target in &s.targets {
                super::python::exprs_in(target, &mut |e| {
                    if let Expr::Name(n) = e {
                        names.push(n.id.to_string());
                    }
                    true
                });
            }
            names
        }
        Stmt::AnnAssign(s) => vec![dotted(&s.target)],
        _ => Vec::new(),
    }
}

/// Hooks that are bound otherwise than by `def`, `load_tests`, fixtures that reach into a test, changed namespaces.
fn bindings(context: &Context<'_>, file: &File<'_>, py: &Py, found: &mut Vec<Sign>) {
    let hooking = !context.is_collected(file.path);
    let conftest = paths::name(file.path) == "conftest.py";
    super::python::walk_changed(py, &mut |stmt| {
        let line = py.line_of(stmt);
        for name in bound(stmt) {
            let hook = name.starts_with("pytest_") && name != "pytest_plugins" && hooking;
            if name == "load_tests" || hook && !(matches!(stmt, Stmt::FunctionDef(_)) && conftest) {
                found.push(("runner-hook", true, format!("{name}: {}", stmt_key(stmt)), line));
            }
        }
        if let Stmt::ImportFrom(s) = stmt
            && hooking
            && let Some(sure) = brings_hooks(context, file.path, s)
        {
            found.push(("runner-hook", sure, stmt_key(stmt), line));
        }
        if let Stmt::FunctionDef(f) = stmt {
            let fixture = is_fixture(f);
            let around = ["setUp", "setup_", "tearDown", "teardown_"].iter().any(|p| f.name.starts_with(p));
            if fixture || conftest || around {
                f.body.iter().for_each(|s| reaching(py, s, found));
            }
            if around && let Some(module) = f.parameters.iter().map(|p| p.name().as_str()).find(|p| *p == "module") {
                f.body.iter().for_each(|s| writes(py, s, &[module], "subject-mocked", found));
            }
        }
        true
    });
    for stmt in py.changed() {
        let inner = matches!(stmt, Stmt::FunctionDef(_) | Stmt::ClassDef(_));
        super::python::exprs(stmt, &mut |expr| {
            if let Expr::Name(name) = expr
                && !name.ctx.is_load()
                && !matches!(stmt, Stmt::FunctionDef(_))
                && !bound(stmt).iter().any(|b| *b == name.id.as_str())
                && name.id.starts_with("pytest_")
                && name.id.as_str() != "pytest_plugins"
                && hooking
            {
                found.push(("runner-hook", true, format!("{}: bound", name.id), py.line_of(expr)));
            }
            if let Expr::Call(call) = expr {
                let name = dotted(&call.func);
                let namespace = matches!(name.as_str(), "globals")
                    || matches!(name.as_str(), "vars" | "locals") && !inner && call.arguments.is_empty();
                let shrinks = !inner
                    && matches!(last(&name), "pop" | "remove" | "clear" | "popitem" | "discard")
                    && name.contains('.')
                    && !name.starts_with("os.")
                    && !name.starts_with("sys.");
                if namespace || shrinks {
                    found.push(("test-uncollected", true, canon(expr), py.line_of(expr)));
                }
            }
            true
        });
        let shrinks = match stmt {
            Stmt::Delete(s) => s.targets.iter().any(Expr::is_subscript_expr),
            Stmt::Assign(s) => s.targets.iter().any(|t| matches!(t, Expr::Subscript(i) if i.slice.is_slice_expr())),
            _ => false,
        };
        if shrinks {
            found.push(("test-uncollected", true, stmt_key(stmt), py.line_of(stmt)));
        }
    }
}

/// Does an import bring hooks of the runner by a star? Sure where they can be seen.
fn brings_hooks(context: &Context<'_>, path: &str, import: &ast::StmtImportFrom) -> Option<bool> {
    if !import.names.iter().any(|alias| alias.name.as_str() == "*") {
        return None;
    }
    let module = import.module.as_ref().map_or("", |m| m.as_str());
    let full = context.absolute(path, &format!("{}{module}", ".".repeat(import.level as usize)));
    let Some((_, bytes)) = context.module_file(&full) else { return Some(false) };
    let py = Py::parse(&bytes, false);
    let hooks = py.body().iter().flat_map(bound).any(|name| name.starts_with("pytest_"));
    hooks.then_some(true)
}

/// Warnings that a file of tests ignores, and assertions that pytest is told not to read.
fn quietened(py: &Py, found: &mut Vec<Sign>) {
    if super::python::docstring(py.body()).is_some_and(|(text, _)| text.contains("PYTEST_DONT_REWRITE")) {
        found.push(("runner-tampered", true, "PYTEST_DONT_REWRITE".to_string(), 1));
    }
    for stmt in py.changed() {
        super::python::exprs(stmt, &mut |expr| {
            if let Expr::Call(call) = expr
                && ignores_warnings(call)
            {
                found.push(("warnings-relaxed", true, canon(expr), py.line_of(expr)));
            }
            true
        });
    }
}

/// How a file of tests runs itself.
fn mains(py: &Py, found: &mut Vec<Sign>) {
    for stmt in py.changed() {
        super::python::exprs(stmt, &mut |expr| {
            if let Expr::Call(call) = expr
                && matches!(dotted(&call.func).as_str(), "unittest.main" | "pytest.main")
                && !call.arguments.is_empty()
                && !canon(expr).starts_with("pytest.main([__file__")
            {
                let exit = call.arguments.keywords.iter().any(|k| k.arg.as_ref().is_some_and(|a| a.as_str() == "exit"));
                let rule = if exit { "forced-exit" } else { "test-selection" };
                found.push((rule, true, canon(expr), py.line_of(expr)));
            }
            true
        });
    }
}

/// Attributes and items of these that a statement sets: by a statement, by a call, through `vars`.
fn writes(py: &Py, stmt: &Stmt, owners: &[&str], rule: &'static str, found: &mut Vec<Sign>) {
    let owned = |expr: &Expr| {
        let mut seen = false;
        super::python::exprs_in(expr, &mut |e| {
            seen |= matches!(e, Expr::Name(_) | Expr::Attribute(_)) && owners.contains(&dotted(e).as_str());
            !seen
        });
        seen
    };
    super::python::exprs(stmt, &mut |expr| {
        let sets = match expr {
            Expr::Attribute(a) => !a.ctx.is_load() && owned(&a.value),
            Expr::Subscript(s) => !s.ctx.is_load() && owned(&s.value),
            Expr::Call(call) => {
                let name = dotted(&call.func);
                matches!(last(&name), "setattr" | "delattr" | "__setattr__" | "setitem" | "delitem")
                    && call.arguments.args.first().is_some_and(owned)
            }
            _ => false,
        };
        if sets {
            found.push((rule, true, canon(expr), py.line_of(expr)));
        }
        true
    });
}

/// What a fixture has no business with.
fn reaching(py: &Py, stmt: &Stmt, found: &mut Vec<Sign>) {
    const READ: &str = "name nodeid originalname get_closest_marker iter_markers keywords path fspath config module cls \
        function callspec stash own_markers location parent user_properties rep_call rep_setup";
    writes(py, stmt, &["request.module"], "subject-mocked", found);
    let held = ["request.session", "request.node", "request.function", "request.config", "request._pyfuncitem"];
    writes(py, stmt, &held, "runner-tampered", found);
    super::python::exprs(stmt, &mut |expr| {
        if let Expr::Attribute(a) = expr {
            let name = dotted(expr);
            let inside =
                matches!(a.attr.as_str(), "__dict__" | "__setattr__" | "__code__" | "__wrapped__" | "__globals__");
            let node = name.strip_prefix("request.node.").is_some_and(|rest| {
                let first = rest.split('.').next().unwrap_or("");
                !among(READ, first) || !a.ctx.is_load()
            });
            if inside || node {
                found.push(("runner-tampered", true, canon(expr), py.line_of(expr)));
            }
        }
        true
    });
}

/// Methods of test classes by which they assert or run.
fn methods(py: &Py, found: &mut Vec<Sign>) {
    super::python::walk_changed(py, &mut |stmt| {
        if let Stmt::ClassDef(c) = stmt {
            let tests = c.body.iter().any(|s| matches!(s, Stmt::FunctionDef(f) if f.name.starts_with("test")));
            let case = c.arguments.iter().flat_map(|a| &a.args).any(|b| {
                let base = dotted(b);
                let end = last(&base);
                end.contains("Case") || end.contains("Test") || end.contains("Mixin")
            });
            for inner in &c.body {
                for name in bound(inner) {
                    let runs = matches!(
                        name.as_str(),
                        "run"
                            | "__call__"
                            | "debug"
                            | "__getattribute__"
                            | "__getattr__"
                            | "doCleanups"
                            | "subTest"
                            | "skipTest"
                    );
                    if is_assertion(&name) && (case || tests) || runs && case {
                        found.push(("assertion-overridden", true, format!("{}.{name}", c.name), py.line_of(inner)));
                    }
                }
            }
        }
        true
    });
}

/// Is the project itself a plugin of pytest?
fn is_plugin(context: &Context<'_>) -> bool {
    let manifests = ["pyproject.toml", "setup.cfg", "setup.py"];
    manifests.iter().any(|path| context.read(path).is_some_and(|text| text.contains("pytest11")))
}

/// Hooks of the runner in a program that is no plugin.
fn hooks_of_product(py: &Py, found: &mut Vec<Sign>) {
    for stmt in py.changed() {
        for name in bound(stmt).into_iter().filter(|name| name.starts_with("pytest_")) {
            found.push(("runner-hook", true, format!("{name}: {}", stmt_key(stmt)), py.line_of(stmt)));
        }
    }
}

/// Product code that loads the runner, skips tests, or executes what it computes.
fn product(py: &Py, found: &mut Vec<Sign>) {
    super::python::walk_changed(py, &mut |stmt| {
        let modules: Vec<String> = match stmt {
            Stmt::Import(s) => s.names.iter().map(|a| a.name.to_string()).collect(),
            Stmt::ImportFrom(s) if s.level == 0 => {
                let module = s.module.as_ref().map_or("", |m| m.as_str());
                s.names.iter().map(|a| format!("{module}.{}", a.name)).collect()
            }
            _ => Vec::new(),
        };
        for module in modules {
            let of_tests = matches!(
                module.split('.').next(),
                Some("pytest" | "_pytest" | "pluggy" | "tests" | "conftest" | "mock")
            );
            if of_tests || module.starts_with("unittest.mock") {
                found.push((
                    "source-knows-tests",
                    true,
                    format!("import {}", module.split('.').next().unwrap_or("")),
                    py.line_of(stmt),
                ));
            }
        }
        if let Stmt::Raise(s) = stmt
            && let Some(exc) = &s.exc
        {
            let name = dotted(exc);
            if name.starts_with("_pytest.")
                || name.starts_with("pytest.")
                || name.starts_with("unittest.") && last(&name).contains("Skip")
            {
                found.push(("test-skipped", true, canon(exc), py.line_of(stmt)));
            }
        }
        true
    });
    for stmt in py.changed() {
        super::python::exprs(stmt, &mut |expr| {
            if let Expr::Call(call) = expr {
                let name = dotted(&call.func);
                if name.starts_with("os.exec") {
                    found.push(("forced-exit", true, canon(expr), py.line_of(expr)));
                }
                if matches!(name.as_str(), "exec" | "eval" | "builtins.exec" | "builtins.eval")
                    && !call.func.is_call_expr()
                {
                    let literal = call.arguments.args.first().is_some_and(super::python::is_literal);
                    found.push(("dynamic-code", !literal, canon(expr), py.line_of(expr)));
                }
                if matches!(name.as_str(), "pytest.skip" | "pytest.xfail" | "pytest.fail" | "pytest.importorskip") {
                    found.push(("test-skipped", true, canon(expr), py.line_of(expr)));
                }
                if matches!(name.as_str(), "gc.get_objects" | "gc.get_referrers") {
                    found.push(("runner-tampered", true, canon(expr), py.line_of(expr)));
                }
            }
            true
        });
    }
}

/// Is the body of the function one of a generator?
pub(crate) fn yields(body: &[Stmt]) -> bool {
    struct Finder(bool);
    impl<'a> ast::visitor::Visitor<'a> for Finder {
        fn visit_stmt(&mut self, stmt: &'a Stmt) {
            if !matches!(stmt, Stmt::FunctionDef(_) | Stmt::ClassDef(_)) {
                ast::visitor::walk_stmt(self, stmt);
            }
        }
        fn visit_expr(&mut self, expr: &'a Expr) {
            match expr {
                Expr::Yield(_) | Expr::YieldFrom(_) => self.0 = true,
                Expr::Lambda(_) => {}
                _ => ast::visitor::walk_expr(self, expr),
            }
        }
    }
    let mut finder = Finder(false);
    ast::visitor::Visitor::visit_body(&mut finder, body);
    finder.0
}
