//! How two expressions differ, as far as a test is concerned: in nothing, in what is used, or in what it is fed.

use super::compare::{Compared, lost};
use super::fed::SURROUNDINGS;
use super::flow::bare;
use super::python::{Py, among, atoms, canon, dotted, exprs_in, is_literal, last, walk};
use super::spelling::nodes;
use ruff_python_ast::{self as ast, Expr, Stmt};
use std::collections::BTreeMap;

/// Larger ones are not compared part by part.
const MOST_COMPARED: usize = 2_000;

/// How two expressions differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Difference {
    /// Not in what they say.
    None,
    /// One thing of others is used instead of another.
    Other,
    /// The same thing, with something added to it, taken from it, or written down in its place.
    Fed,
}

impl Compared<'_> {
    pub(crate) fn differ_all(&self, old: &[Expr], new: &[Expr]) -> Difference {
        match old.len() == new.len() {
            true => old.iter().zip(new).map(|(o, n)| self.differ(o, n)).max().unwrap_or(Difference::None),
            false => Difference::Fed,
        }
    }

    fn differ(&self, old: &Expr, new: &Expr) -> Difference {
        let all = |old: &[&Expr], new: &[&Expr]| {
            old.iter().zip(new).map(|(o, n)| self.differ(o, n)).max().unwrap_or(Difference::None)
        };
        match (bare(old), bare(new)) {
            (Expr::Call(o), Expr::Call(n)) if self.same_name(&o.func, &n.func) => self.arguments(o, n),
            (Expr::Attribute(o), Expr::Attribute(n)) if o.attr == n.attr => self.differ(&o.value, &n.value),
            (Expr::Subscript(o), Expr::Subscript(n)) => all(&[&o.value, &o.slice], &[&n.value, &n.slice]),
            (Expr::BinOp(o), Expr::BinOp(n)) if o.op == n.op => all(&[&o.left, &o.right], &[&n.left, &n.right]),
            (Expr::UnaryOp(o), Expr::UnaryOp(n)) if o.op == n.op => self.differ(&o.operand, &n.operand),
            (Expr::If(o), Expr::If(n)) => all(&[&o.test, &o.body, &o.orelse], &[&n.test, &n.body, &n.orelse]),
            (Expr::Starred(o), Expr::Starred(n)) => self.differ(&o.value, &n.value),
            (Expr::Compare(o), Expr::Compare(n)) if o.ops == n.ops => {
                let sides = |c: &ast::ExprCompare| {
                    std::iter::once(&*c.left).chain(&*c.comparators).cloned().collect::<Vec<_>>()
                };
                self.differ_all(&sides(o), &sides(n))
            }
            (Expr::BoolOp(o), Expr::BoolOp(n)) if o.op == n.op && o.values.len() == n.values.len() => {
                self.differ_all(&o.values, &n.values)
            }
            (old, new) => match (elements(old), elements(new)) {
                (Some(o), Some(n)) if o.len() == n.len() => self.differ_all(&o, &n),
                _ => self.replaced_by(old, new),
            },
        }
    }

    /// Are both names the same, or is one what the change made of the other?
    fn same_name(&self, old: &Expr, new: &Expr) -> bool {
        canon(old) == canon(new) || {
            let (old, new) = (dotted(old), dotted(new));
            self.context.renamed(last(&old), last(&new)) || last(&old) == last(&new) && !self.is_projects(&old)
        }
    }

    pub(crate) fn is_projects(&self, name: &str) -> bool {
        let root = name.split('.').next().unwrap_or("");
        root != "self" && self.context.is_project(name) && name.contains('.')
            || self.suite_before.imports.get(root).is_some_and(|m| self.context.is_project(m))
    }

    fn arguments(&self, old: &ast::ExprCall, new: &ast::ExprCall) -> Difference {
        let mut worst = self.receivers(&old.func, &new.func);
        let own = self.is_projects(&dotted(&old.func));
        let changed = if own { Difference::Fed } else { Difference::Other };
        let (o, n) = (&old.arguments, &new.arguments);
        let (was, is) = (essential(o, own), essential(n, own));
        let (old_count, new_count) = (was.len(), is.len());
        for (was, is) in was.iter().zip(is) {
            worst = worst.max(self.differ(was, is));
        }
        let named = |arguments: &ast::Arguments| -> BTreeMap<String, Expr> {
            let keywords = arguments.keywords.iter();
            keywords.map(|k| (k.arg.as_ref().map_or("**".to_string(), ToString::to_string), k.value.clone())).collect()
        };
        let (was, is) = (named(o), named(n));
        for (name, value) in &is {
            match was.get(name) {
                Some(old) => worst = worst.max(self.differ(old, value)),
                None if among("encoding newline stacklevel check reason match msg timeout", name) && !own => {}
                None if old_count > new_count => {
                    // An argument that is now named.
                    let same = o.args.iter().skip(new_count).any(|a| canon(a) == canon(value));
                    worst = worst.max(if same { Difference::None } else { changed });
                }
                None => worst = worst.max(changed),
            }
        }
        let fewer = was.keys().filter(|name| !is.contains_key(*name)).count() + old_count.saturating_sub(new_count);
        let more = is.keys().filter(|name| !was.contains_key(*name)).count() + new_count.saturating_sub(old_count);
        if fewer > more || new_count > old_count && fewer == 0 {
            worst = worst.max(changed);
        }
        worst
    }

    /// What stands before the last name of a function.
    fn receivers(&self, old: &Expr, new: &Expr) -> Difference {
        match (old, new) {
            (Expr::Attribute(o), Expr::Attribute(n)) if !o.value.is_name_expr() || !n.value.is_name_expr() => {
                self.differ(&o.value, &n.value)
            }
            _ => Difference::None,
        }
    }

    fn replaced_by(&self, old: &Expr, new: &Expr) -> Difference {
        // Whether one holds the other is asked of each part of it.
        if nodes(old) + nodes(new) > MOST_COMPARED {
            return Difference::Fed;
        }
        let (was, is) = (canon(old), canon(new));
        if was == is {
            return Difference::None;
        }
        if let (Expr::Name(o), Expr::Name(n)) = (old, new) {
            let (o, n) = (o.id.as_str(), n.id.as_str());
            return match self.context.renamed(o, n) || among(SURROUNDINGS, o) || !self.is_fixture(o) {
                true => Difference::None,
                false => Difference::Fed,
            };
        }
        let number = |text: &str| super::python::number(text);
        if is_literal(new) {
            return match is_literal(old) {
                true if number(&was).is_some() && number(&was) == number(&is) => Difference::None,
                // What is gone is another rule's; what is only more is not.
                true if lost(&atoms(old), &atoms(new), String::clone).is_empty() => Difference::Fed,
                true => Difference::None,
                false => Difference::Fed,
            };
        }
        if has(new, &was) {
            return if converts(new, &was) { Difference::Other } else { Difference::Fed };
        }
        let calls_project = |expr: &Expr| {
            let mut found = false;
            exprs_in(expr, &mut |e| {
                found |= e.is_call_expr() && self.is_projects(&dotted(e));
                !found
            });
            found
        };
        if calls_project(old) && !calls_project(new) {
            let named = |expr: &Expr| self.context.undefined.contains(last(&dotted(expr)));
            return if named(old) { Difference::None } else { Difference::Fed };
        }
        if calls_project(new) && !calls_project(old) {
            return Difference::Fed;
        }
        if has(old, &is) {
            return Difference::Other;
        }
        // A parameter, which is now something that is made on the spot.
        if let Expr::Name(name) = old
            && !self.suite_before.imports.contains_key(name.id.as_str())
            && !among(SURROUNDINGS, &name.id)
            && matches!(new, Expr::Call(_) | Expr::BinOp(_) | Expr::Subscript(_))
        {
            return Difference::Fed;
        }
        // More elements of what is otherwise the same.
        if let (Some(o), Some(n)) = (elements(old), elements(new)) {
            let texts = |all: &[Expr]| all.iter().map(canon).collect::<Vec<_>>();
            if lost(&texts(&o), &texts(&n), String::clone).is_empty() {
                return Difference::Fed;
            }
        }
        match lost(&atoms(new), &atoms(old), String::clone).is_empty() {
            true => Difference::None,
            false => Difference::Other,
        }
    }

    /// Is there still a function of this name, here or in a `conftest.py` above, that may be a fixture?
    fn is_fixture(&self, name: &str) -> bool {
        let defines = |py: &Py| {
            let mut found = false;
            walk(py.body(), &mut |stmt| {
                found |= matches!(stmt, Stmt::FunctionDef(f) if f.name.as_str() == name);
                !found
            });
            found
        };
        let above = |path: &String| self.context.after(path).is_some_and(|bytes| defines(&Py::parse(&bytes, false)));
        self.file.py_after.as_ref().is_some_and(defines) || self.context.conftests_above(self.file.path).any(above)
    }
}

/// The arguments by position, without what says nothing where it is not the project's function: a last `None`, a mode
/// for reading.
fn essential(arguments: &ast::Arguments, own: bool) -> &[Expr] {
    match &*arguments.args {
        [rest @ .., end] if !own && !rest.is_empty() && matches!(canon(end).as_str(), "None" | "\"r\"" | "\"rt\"") => {
            rest
        }
        all => all,
    }
}

/// Keys and values of a display, in order.
fn elements(expr: &Expr) -> Option<Vec<Expr>> {
    match expr {
        Expr::Dict(d) => {
            Some(d.items.iter().flat_map(|i| i.key.iter().cloned().chain(std::iter::once(i.value.clone()))).collect())
        }
        _ => super::decorators::elements(expr).map(<[Expr]>::to_vec),
    }
}

/// Does the expression hold another one, by its text?
fn has(expr: &Expr, text: &str) -> bool {
    let mut found = false;
    exprs_in(expr, &mut |e| {
        found |= canon(e) == text;
        !found
    });
    found
}

/// Is the expression a conversion of that value?
fn converts(expr: &Expr, text: &str) -> bool {
    let known = ["str", "Path", "fspath", "list", "tuple", "PurePath", "as_posix", "resolve"];
    match expr {
        Expr::Call(c) if known.contains(&last(&dotted(&c.func))) && c.arguments.keywords.is_empty() => {
            let receiver = matches!(&*c.func, Expr::Attribute(a) if canon(&a.value) == text);
            receiver && c.arguments.args.is_empty()
                || c.arguments.args.len() == 1
                    && (canon(&c.arguments.args[0]) == text || converts(&c.arguments.args[0], text))
        }
        _ => false,
    }
}
