//! What names stand for in a file of tests before a test begins: imports, constants, what fixtures and set-ups give.

use super::context::Context;
use super::decorators::is_fixture;
use super::flow::{self, Does};
use super::python::{Py, imported, is_literal, last};
use ruff_python_ast::{self as ast, AtomicNodeIndex, Expr, ExprContext, Identifier, Stmt, name::Name};
use ruff_text_size::TextRange;
use std::collections::BTreeMap;

/// Which version of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    Before,
    After,
}

pub(crate) type Known = BTreeMap<String, Expr>;

/// The names of a file, with the fixtures of the `conftest.py` files above it.
pub(crate) fn of(context: &Context<'_>, path: &str, py: &Py, version: Version) -> Known {
    let mut known = Known::new();
    for conftest in context.conftests_above(path) {
        let bytes = match version {
            Version::Before => context.input.before.read(conftest),
            Version::After => context.after(conftest),
        };
        if let Some(bytes) = bytes {
            let py = Py::parse(&bytes, false);
            let own = module(context, conftest, &py);
            known.extend(own_fixtures(&py, &own));
        }
    }
    let own = module(context, path, py);
    known.extend(own_fixtures(py, &own));
    known.extend(own);
    known
}

/// Imports, by their full names, and constants.
fn module(context: &Context<'_>, path: &str, py: &Py) -> Known {
    let mut known = Known::new();
    for stmt in py.body() {
        match stmt {
            Stmt::Import(_) | Stmt::ImportFrom(_) => {
                let all = imported(stmt).into_iter().filter(|(name, _)| name != "*");
                known.extend(all.map(|(name, full)| (name, spelled(&context.absolute(path, &full)))));
            }
            Stmt::Assign(s) => {
                if let [Expr::Name(name)] = s.targets.as_slice() {
                    let value = super::spelling::resolved(&s.value, &known);
                    if is_literal(&value) || super::environment::folded(&value).is_some() {
                        known.insert(name.id.to_string(), value);
                    }
                }
            }
            _ => {}
        }
    }
    known
}

/// A dotted name as an expression.
pub(crate) fn spelled(full: &str) -> Expr {
    let range = TextRange::default();
    let mut parts = full.split('.').filter(|part| !part.is_empty());
    let first = Name::new(parts.next().unwrap_or("_"));
    let name = ast::ExprName { node_index: AtomicNodeIndex::NONE, range, id: first, ctx: ExprContext::Load };
    parts.fold(Expr::Name(name), |value, part| {
        Expr::Attribute(ast::ExprAttribute {
            node_index: AtomicNodeIndex::NONE,
            range,
            value: Box::new(value),
            attr: Identifier::new(part, range),
            ctx: ExprContext::Load,
        })
    })
}

/// Fixtures are known by a name of their own: only who asks for one gets it.
fn fixture(name: &str) -> String {
    format!("fixture {name}")
}

/// What names stand for where a function begins: its parameters are what fixtures give, or nothing that is known.
pub(crate) fn at(known: &Known, function: &ast::StmtFunctionDef) -> Known {
    let mut known = known.clone();
    for parameter in function.parameters.iter() {
        let name = parameter.name().as_str();
        match known.get(&fixture(name)).cloned() {
            Some(value) => known.insert(name.to_string(), value),
            None => known.remove(name),
        };
    }
    known
}

/// What fixtures give that do nothing else, each by the name that is its own.
fn own_fixtures(py: &Py, known: &Known) -> Vec<(String, Expr)> {
    fixtures(py, known).into_iter().filter(|f| !f.acts).map(|f| (fixture(&f.name), f.gives)).collect()
}

/// A fixture that gives one value.
pub(crate) struct Fixture {
    pub(crate) name: String,
    pub(crate) gives: Expr,
    /// Does it do anything besides?
    pub(crate) acts: bool,
}

/// The fixtures of a file.
pub(crate) fn fixtures(py: &Py, known: &Known) -> Vec<Fixture> {
    let mut found = Vec::new();
    for stmt in py.body() {
        if let Stmt::FunctionDef(f) = stmt
            && is_fixture(f)
        {
            let steps = flow::steps(py, &f.body, known);
            let gives: Vec<_> = steps.iter().filter(|s| s.does == Does::Gives).collect();
            let acts = steps.iter().any(|s| matches!(s.does, Does::Calls | Does::Sets | Does::Asks));
            if let [one] = gives.as_slice()
                && let [value] = one.terms.as_slice()
            {
                found.push(Fixture { name: f.name.to_string(), gives: value.clone(), acts });
            }
        }
    }
    found
}

/// The attributes that the set-up of a class gives to `self`, and touches no more.
pub(crate) fn of_class(py: &Py, qual: &str, known: &Known) -> Known {
    let mut found = Known::new();
    let Some((class, _)) = qual.rsplit_once('.') else { return found };
    let name = last(class);
    super::python::walk(py.body(), &mut |stmt| {
        if let Stmt::ClassDef(c) = stmt
            && c.name.as_str() == name
        {
            for inner in &c.body {
                if let Stmt::FunctionDef(f) = inner
                    && matches!(f.name.as_str(), "setUp" | "setup_method" | "asyncSetUp")
                {
                    let steps = flow::steps(py, &f.body, known);
                    for step in steps.iter().filter(|s| s.does == Does::Sets && s.raw == format!("{} =", s.touches)) {
                        let others = steps.iter().filter(|s| s.touches == step.touches).count();
                        if let ([value], 1) = (step.terms.as_slice(), others) {
                            found.insert(step.touches.clone(), value.clone());
                        }
                    }
                }
            }
        }
        true
    });
    found
}
