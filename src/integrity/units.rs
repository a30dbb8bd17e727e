//! Units: the functions, class bodies and module bodies of a file of tests, each with what it asserts.

use super::decorators::{asked, cases, is_fixture, mock_target, params};
use super::facts::{Fact, Facts, is_asserting};
use super::python::{Py, canon, dotted, exprs, imported, is_string_stmt, last, stmt_key, without_docstring};
use ruff_python_ast::{self as ast, Expr, Stmt};
use std::collections::{BTreeMap, BTreeSet};

/// What kind of unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Collected and run.
    Test,
    /// Any other function.
    Helper,
    /// The statements of a class or module that are neither.
    Body,
}

/// One unit.
#[derive(Debug, Clone)]
pub(crate) struct Unit {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) qual: String,
    pub(crate) line: u32,
    /// The body without layout and docstring.
    pub(crate) key: String,
    /// The same with the decorators and parameters.
    pub(crate) whole: String,
    pub(crate) facts: Vec<Fact>,
    /// Literals outside assertions, by line.
    pub(crate) literals: Vec<(String, u32)>,
    pub(crate) calls: Vec<String>,
    pub(crate) locals: BTreeSet<String>,
    /// What it imports itself.
    pub(crate) imports: BTreeMap<String, String>,
    /// The fixtures that its marks ask for.
    pub(crate) asks: BTreeSet<String>,
    /// Decorators by canonical text.
    pub(crate) decorators: Vec<String>,
    /// Parametrized cases.
    pub(crate) cases: Vec<String>,
    /// Whatever skips or stops it, canonical.
    pub(crate) disabling: Vec<(String, u32)>,
    pub(crate) returns: usize,
    /// What it replaces: target and line.
    pub(crate) mocks: Vec<(String, u32)>,
    /// Does it stand under an `if` or `try`?
    pub(crate) guards: Vec<String>,
    pub(crate) fixture: Option<bool>,
    pub(crate) is_async: bool,
    pub(crate) yields: bool,
    /// Is it the same in both versions, and only its name was read?
    pub(crate) brief: bool,
    /// Parameters that have a default value, which no fixture gives then.
    pub(crate) defaults: Vec<String>,
}

/// What is collected as a test.
#[derive(Debug, Clone)]
pub(crate) struct Collecting {
    pub(crate) functions: Vec<String>,
    pub(crate) classes: Vec<String>,
}

impl Default for Collecting {
    fn default() -> Self {
        Collecting { functions: vec!["test".to_string(), "bench_".to_string()], classes: vec!["Test".to_string()] }
    }
}

/// A file of tests.
#[derive(Debug, Clone, Default)]
pub(crate) struct Suite {
    pub(crate) units: Vec<Unit>,
    /// Imported names: what each stands for.
    pub(crate) imports: BTreeMap<String, String>,
    /// Disabling expressions at module and class level.
    pub(crate) disabling: Vec<(String, u32)>,
    /// The fixtures that marks of the module and of its classes ask for.
    pub(crate) asks: BTreeSet<String>,
    pub(crate) classes: Vec<Class>,
}

/// A class in a file of tests.
#[derive(Debug, Clone)]
pub(crate) struct Class {
    /// `TestA`, `Outer.TestB`.
    pub(crate) qual: String,
    pub(crate) decorators: Vec<String>,
    pub(crate) bases: Vec<String>,
    /// `metaclass=M` and the like.
    pub(crate) keywords: Vec<String>,
    /// Methods and attributes.
    pub(crate) members: Vec<String>,
    pub(crate) line: u32,
}

const SKIPS: [&str; 12] = [
    "skip",
    "skipif",
    "skipIf",
    "skipUnless",
    "xfail",
    "expectedFailure",
    "importorskip",
    "skipTest",
    "SkipTest",
    "flaky",
    "requires_resource",
    "quarantine",
];

/// Does the expression disable a test, or make its failure not count?
pub(crate) fn disables(expr: &Expr) -> bool {
    let name = dotted(expr);
    let end = last(&name);
    // A mark whose name is put together.
    if let Expr::Call(call) = expr
        && (name == "getattr" && call.arguments.args.first().is_some_and(|a| is_of_runner(&dotted(a)))
            || matches!(end, "__getattr__" | "__getattribute__") && is_of_runner(&name))
    {
        return true;
    }
    (SKIPS.contains(&end) && (name.contains('.') || name == end && end != "skip" || name == "skip"))
        && (!matches!(expr, Expr::Attribute(_))
            || name.contains("mark")
            || name.contains("unittest")
            || name.contains("pytest"))
}

fn is_of_runner(name: &str) -> bool {
    matches!(name.split('.').next(), Some("pytest" | "_pytest" | "unittest"))
}

impl Suite {
    /// All units; of what both versions of a file share only the names, where `brief` says so.
    pub(crate) fn of(py: &Py, collecting: &Collecting, brief: bool) -> Suite {
        let mut reader = Reader { py, collecting, suite: Suite::default(), may_be_brief: brief, brief: false };
        reader.scope(py.body(), "", &[], true);
        // A later definition of the same name is the one that runs.
        let mut last_of: BTreeMap<String, usize> = BTreeMap::new();
        for (index, unit) in reader.suite.units.iter().enumerate() {
            last_of.insert(unit.qual.clone(), index);
        }
        let mut index = 0;
        reader.suite.units.retain(|unit| {
            index += 1;
            last_of.get(&unit.qual) == Some(&(index - 1)) || !unit.guards.is_empty()
        });
        reader.suite
    }

    pub(crate) fn tests(&self) -> impl Iterator<Item = &Unit> {
        self.units.iter().filter(|u| u.kind == Kind::Test)
    }
}

struct Reader<'a> {
    py: &'a Py,
    collecting: &'a Collecting,
    suite: Suite,
    may_be_brief: bool,
    brief: bool,
}

fn matches_any(name: &str, patterns: &[String]) -> bool {
    patterns.iter().any(|p| match p.contains('*') {
        true => glob::Pattern::new(p).is_ok_and(|p| p.matches(name)),
        false => name.starts_with(p.as_str()),
    })
}

impl Reader<'_> {
    fn scope(&mut self, body: &[Stmt], prefix: &str, guards: &[String], collected: bool) {
        let mut rest: Vec<&Stmt> = Vec::new();
        for stmt in body {
            if prefix.is_empty() && guards.is_empty() {
                self.brief = self.may_be_brief && self.py.shares(stmt);
            }
            match stmt {
                Stmt::FunctionDef(f) => self.function(f, prefix, guards, collected),
                Stmt::ClassDef(c) => self.class(c, prefix, guards, collected),
                Stmt::If(s) if contains_def(stmt) => {
                    let mut inner = guards.to_vec();
                    inner.push(format!("if {}", canon(&s.test)));
                    self.scope(&s.body, prefix, &inner, collected);
                    for clause in &s.elif_else_clauses {
                        let mut inner = guards.to_vec();
                        inner.push(clause.test.as_ref().map_or("else".to_string(), |t| format!("if {}", canon(t))));
                        self.scope(&clause.body, prefix, &inner, collected);
                    }
                }
                Stmt::Try(s) if contains_def(stmt) => {
                    let mut inner = guards.to_vec();
                    inner.push("try".to_string());
                    self.scope(&s.body, prefix, &inner, collected);
                }
                Stmt::Import(_) | Stmt::ImportFrom(_) => self.suite.imports.extend(imported(stmt)),
                Stmt::Assign(s) if s.targets.iter().any(|t| dotted(t) == "pytestmark") => {
                    self.suite.asks.extend(asked(&s.value));
                    rest.push(stmt);
                }
                Stmt::If(s) if canon(&s.test).contains("__main__") => {}
                _ => rest.push(stmt),
            }
        }
        if prefix.is_empty() && guards.is_empty() {
            self.brief = false;
        }
        let owned: Vec<Stmt> = rest.iter().filter(|s| !is_string_stmt(s)).map(|s| (*s).clone()).collect();
        if guards.is_empty() || !owned.is_empty() {
            let line = owned.first().map_or(1, |s| self.py.line_of(s));
            let mut unit = self.unit(Kind::Body, "<body>", &format!("{prefix}<body>"), &owned, line);
            unit.guards = guards.to_vec();
            unit.whole = unit.key.clone();
            self.suite.disabling.extend(unit.disabling.iter().cloned());
            self.suite.units.push(unit);
        }
    }

    fn class(&mut self, class: &ast::StmtClassDef, prefix: &str, guards: &[String], collected: bool) {
        let qual = format!("{prefix}{}.", class.name);
        let bases: Vec<String> = class.arguments.iter().flat_map(|a| a.args.iter().map(canon)).collect();
        self.suite.classes.push(Class {
            qual: qual.trim_end_matches('.').to_string(),
            decorators: class.decorator_list.iter().map(|d| canon(&d.expression)).collect(),
            bases: bases.clone(),
            keywords: class.arguments.iter().flat_map(|a| &a.keywords).map(|k| canon(&k.value)).collect(),
            members: class.body.iter().flat_map(super::tamper::bound).collect(),
            line: self.py.line_of(&class.name),
        });
        let has_init = class.body.iter().any(|s| matches!(s, Stmt::FunctionDef(f) if f.name.as_str() == "__init__"));
        let named = matches_any(&class.name, &self.collecting.classes) && !(has_init && bases.is_empty());
        let own = collected && (named || bases.iter().any(|b| b != "object"));
        for decorator in &class.decorator_list {
            self.suite.asks.extend(asked(&decorator.expression));
            if disables(&decorator.expression) || is_known_mark(&decorator.expression) {
                self.suite
                    .disabling
                    .push((format!("@{} {}", canon(&decorator.expression), class.name), self.py.line_of(decorator)));
            }
        }
        self.scope(&class.body, &qual, guards, own);
    }

    fn function(&mut self, f: &ast::StmtFunctionDef, prefix: &str, guards: &[String], collected: bool) {
        let is_test = collected && matches_any(&f.name, &self.collecting.functions) && !is_fixture(f);
        let kind = if is_test { Kind::Test } else { Kind::Helper };
        let qual = format!("{prefix}{}", f.name);
        let line = self.py.line_of(&f.name);
        let body = without_docstring(&f.body);
        let mut unit = self.unit(kind, &f.name, &qual, body, line);
        for decorator in &f.decorator_list {
            let text = canon(&decorator.expression);
            if disables(&decorator.expression) {
                unit.disabling.push((format!("@{text}"), self.py.line_of(decorator)));
            }
            if last(&dotted(&decorator.expression)) == "parametrize" {
                super::python::exprs_in(&decorator.expression, &mut |e| {
                    if disables(e) {
                        unit.disabling.push((format!("@parametrize {}", canon(e)), self.py.line_of(e)));
                    }
                    true
                });
                unit.cases.extend(cases(&decorator.expression));
            }
            if last(&dotted(&decorator.expression)) == "fixture" {
                unit.fixture = Some(text.contains("autouse=True"));
                unit.cases.extend(params(&decorator.expression));
            }
            if let Some(target) = mock_target(&decorator.expression) {
                unit.mocks.push((target, self.py.line_of(decorator)));
            }
            unit.asks.extend(asked(&decorator.expression));
            unit.decorators.push(text);
        }
        let parameters: Vec<String> = f.parameters.iter().map(|p| p.name().to_string()).collect();
        for parameter in f.parameters.iter() {
            if let Some(default) = parameter.default() {
                unit.literals.extend(super::python::atoms(default).into_iter().map(|a| (a, line)));
                unit.defaults.push(format!("{}={}", parameter.name(), canon(default)));
            }
        }
        unit.locals.extend(parameters.iter().cloned());
        unit.is_async = f.is_async;
        unit.yields = !self.brief && super::tamper::yields(body);
        let kind_of = if f.is_async { "async" } else { "" };
        let defaults = &unit.defaults;
        unit.whole = format!("{kind_of}{:?}{parameters:?}{defaults:?}{}", unit.decorators, unit.key);
        unit.guards = guards.to_vec();
        self.suite.units.push(unit);
    }

    fn unit(&self, kind: Kind, name: &str, qual: &str, body: &[Stmt], line: u32) -> Unit {
        let py = self.py;
        let line_of = |s: &Stmt| py.line_of(s);
        let mut unit = Unit {
            kind,
            name: name.to_string(),
            qual: qual.to_string(),
            line,
            key: String::new(),
            whole: String::new(),
            facts: Vec::new(),
            literals: Vec::new(),
            calls: Vec::new(),
            locals: BTreeSet::new(),
            imports: BTreeMap::new(),
            asks: BTreeSet::new(),
            decorators: Vec::new(),
            cases: Vec::new(),
            disabling: Vec::new(),
            returns: 0,
            mocks: Vec::new(),
            guards: Vec::new(),
            fixture: None,
            is_async: false,
            yields: false,
            brief: self.brief,
            defaults: Vec::new(),
        };
        if self.brief {
            return unit;
        }
        unit.key = body.iter().map(stmt_key).collect::<Vec<_>>().join("\n");
        unit.facts = Facts::of(body, &line_of);
        unit.returns = count_returns(body);
        super::python::walk(body, &mut |stmt| {
            match stmt {
                Stmt::Import(_) | Stmt::ImportFrom(_) => unit.imports.extend(imported(stmt)),
                Stmt::Raise(s) if s.exc.as_ref().is_some_and(|e| disables(e)) => {
                    unit.disabling.push(("raise SkipTest".to_string(), py.line_of(stmt)));
                }
                Stmt::Assign(s) => {
                    for target in &s.targets {
                        let text = canon(target);
                        if matches!(text.as_str(), "__test__" | "collect_ignore" | "collect_ignore_glob" | "pytestmark")
                            && (text != "pytestmark" || disabling_mark(&s.value))
                        {
                            unit.disabling.push((format!("{text} = {}", canon(&s.value)), py.line_of(stmt)));
                        }
                        if let Expr::Attribute(a) = target
                            && !matches!(dotted(&a.value).as_str(), "self" | "cls")
                        {
                            unit.mocks.push((format!("={text}"), py.line_of(stmt)));
                        }
                    }
                }
                Stmt::FunctionDef(f) => {
                    unit.locals.insert(f.name.to_string());
                }
                _ => {}
            }
            true
        });
        unit.locals.extend(unit.imports.keys().cloned());
        for stmt in body {
            self.expressions(stmt, &mut unit);
        }
        unit
    }

    fn expressions(&self, stmt: &Stmt, unit: &mut Unit) {
        let py = self.py;
        exprs(stmt, &mut |expr| {
            match expr {
                Expr::Call(call) => {
                    let name = dotted(&call.func);
                    if disables(expr) && name != "flaky" {
                        unit.disabling.push((canon(expr), py.line_of(expr)));
                    }
                    if let Some(target) = mock_target(expr) {
                        unit.mocks.push((target, py.line_of(expr)));
                    }
                    if !is_asserting(&name) {
                        unit.calls.push(name);
                    }
                }
                Expr::Name(n) if n.ctx.is_store() || n.ctx.is_del() => {
                    unit.locals.insert(n.id.to_string());
                }
                Expr::Attribute(_) if disables(expr) => unit.disabling.push((canon(expr), py.line_of(expr))),
                _ => {}
            }
            true
        });
        super::literals::of(py, stmt, &mut unit.literals);
    }
}

fn contains_def(stmt: &Stmt) -> bool {
    super::python::suites(stmt)
        .iter()
        .any(|suite| suite.iter().any(|s| matches!(s, Stmt::FunctionDef(_) | Stmt::ClassDef(_)) || contains_def(s)))
}

/// The `return`s of a function, without those of functions in it.
fn count_returns(body: &[Stmt]) -> usize {
    let mut count = 0;
    super::python::walk(body, &mut |s| {
        count += usize::from(matches!(s, Stmt::Return(_)));
        !matches!(s, Stmt::FunctionDef(_) | Stmt::ClassDef(_))
    });
    count
}

fn is_known_mark(expr: &Expr) -> bool {
    dotted(expr) == "pytest.mark.flaky"
}

fn disabling_mark(expr: &Expr) -> bool {
    let mut found = false;
    super::python::exprs_in(expr, &mut |e| {
        found |= disables(e);
        true
    });
    found
}
