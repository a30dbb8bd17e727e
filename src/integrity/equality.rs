//! Values that lie: comparison methods, in any spelling, that do not compare.

use super::context::{Context, File};
use super::python::{Py, among, canon, dotted, exprs, exprs_in, last, stmt_key, string_value, walk, walk_changed};
use super::{Finding, Severity, compare::lost};
use ruff_python_ast::{self as ast, CmpOp, Expr, Stmt};
use std::collections::BTreeSet;

/// Methods by which a value says what it is equal to, or what belongs to it; and those by which it is shown and found.
const METHODS: [&str; 7] = ["__eq__", "__ne__", "__contains__", "__instancecheck__", "__hash__", "__repr__", "__str__"];

/// Types whose values tests compare by themselves.
const VALUES: &str = "int float complex str bytes bytearray bool tuple list dict set frozenset Decimal Fraction date \
    datetime timedelta time UUID";

/// A comparison method.
struct Method {
    /// The class and the body, which are counted.
    key: String,
    /// What is wrong with it, and how bad that is.
    wrong: Option<(Severity, String)>,
    line: u32,
}

pub(crate) fn judge(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for file in &context.files {
        compared(file, findings);
    }
}

fn compared(file: &File<'_>, findings: &mut Vec<Finding>) {
    let Some(after) = &file.py_after else { return };
    let old: Vec<String> = file.py_before.iter().flat_map(methods).map(|m| m.key).collect();
    let new = methods(after);
    let keys: Vec<String> = new.iter().map(|m| m.key.clone()).collect();
    let added: BTreeSet<String> = lost(&keys, &old, String::clone).into_iter().collect();
    for method in new.into_iter().filter(|m| added.contains(&m.key)) {
        if let Some((severity, message)) = method.wrong {
            // Tests have such helpers for new tests; what old ones are fed is another rule's.
            let severity = if file.is_test { Severity::Flag } else { severity };
            findings.push(Finding::new("always-equal", severity, Some(file.path), message).at(method.line));
        }
    }
}

fn methods(py: &Py) -> Vec<Method> {
    let mut found = Vec::new();
    walk_changed(py, &mut |stmt| {
        match stmt {
            Stmt::ClassDef(class) => {
                let value = class.arguments.iter().flat_map(|a| &a.args).any(is_value);
                for inner in &class.body {
                    in_class(py, inner, class.name.as_str(), value, &mut found);
                }
            }
            Stmt::Assign(s) => {
                for target in &s.targets {
                    if let Expr::Attribute(a) = target
                        && METHODS.contains(&a.attr.as_str())
                    {
                        found.extend(given(py, &canon(target), &a.attr, &s.value, false));
                    }
                }
            }
            _ => {}
        }
        true
    });
    for stmt in py.changed() {
        exprs(stmt, &mut |expr| {
            if let Expr::Call(call) = expr {
                let name = dotted(&call.func);
                match (last(&name), &*call.arguments.args) {
                    ("setattr", [owner, method, value]) => {
                        let method = string_value(method).unwrap_or_default();
                        if METHODS.contains(&method.as_str()) {
                            found.extend(given(py, &format!("{}.{method}", canon(owner)), &method, value, false));
                        }
                    }
                    ("type", [_, bases, Expr::Dict(members)]) => {
                        let value = matches!(bases, Expr::Tuple(t) if t.elts.iter().any(is_value));
                        for item in &members.items {
                            let method = item.key.as_ref().and_then(string_value).unwrap_or_default();
                            if METHODS.contains(&method.as_str()) {
                                found.extend(given(py, &canon(&call.arguments.args[0]), &method, &item.value, value));
                            }
                        }
                    }
                    _ => {}
                }
            }
            true
        });
    }
    found
}

fn is_value(base: &Expr) -> bool {
    among(VALUES, last(&dotted(base)))
}

fn in_class(py: &Py, stmt: &Stmt, class: &str, value: bool, found: &mut Vec<Method>) {
    match stmt {
        Stmt::FunctionDef(f) if METHODS.contains(&f.name.as_str()) => {
            let parameters: Vec<String> = f.parameters.iter().map(|p| p.name().to_string()).collect();
            let body = super::python::without_docstring(&f.body);
            found.push(Method {
                key: format!("{class}.{}{}", f.name, body.iter().map(stmt_key).collect::<String>()),
                wrong: wrong(&f.name, &parameters, Body::Statements(body), value),
                line: py.line_of(&f.name),
            });
        }
        Stmt::Assign(s) => {
            for target in &s.targets {
                let name = canon(target);
                if METHODS.contains(&name.as_str()) {
                    found.extend(given(py, class, &name, &s.value, value));
                }
            }
        }
        _ => {}
    }
}

/// A method that is given as a value; of names nothing is known.
fn given(py: &Py, owner: &str, name: &str, expr: &Expr, value: bool) -> Option<Method> {
    let Expr::Lambda(lambda) = expr else { return None };
    let parameters: Vec<String> =
        lambda.parameters.iter().flat_map(|p| p.iter()).map(|p| p.name().to_string()).collect();
    Some(Method {
        key: format!("{owner}.{name}{}", canon(expr)),
        wrong: wrong(name, &parameters, Body::Expression(&lambda.body), value),
        line: py.line_of(expr),
    })
}

#[derive(Clone, Copy)]
enum Body<'a> {
    Statements(&'a [Stmt]),
    Expression(&'a Expr),
}

impl<'a> Body<'a> {
    /// What can come out of it.
    fn results(self) -> Vec<&'a Expr> {
        match self {
            Body::Expression(expr) => vec![expr],
            Body::Statements(body) => {
                let mut found = Vec::new();
                walk(body, &mut |stmt| {
                    if let Stmt::Return(ast::StmtReturn { value: Some(value), .. }) = stmt {
                        found.push(&**value);
                    }
                    !matches!(stmt, Stmt::FunctionDef(_))
                });
                found
            }
        }
    }

    fn each(self, visit: &mut dyn FnMut(&'a Expr) -> bool) {
        match self {
            Body::Expression(expr) => exprs_in(expr, visit),
            Body::Statements(body) => body.iter().for_each(|stmt| exprs(stmt, visit)),
        }
    }
}

fn wrong(name: &str, parameters: &[String], body: Body<'_>, value: bool) -> Option<(Severity, String)> {
    let results = body.results();
    if matches!(name, "__hash__" | "__repr__" | "__str__") {
        // Of a class of its own that may well be all there is to say.
        let fixed = value && !results.is_empty() && results.iter().all(|e| e.is_literal_expr());
        return fixed.then(|| (Severity::Refuse, format!("`{name}` of a plain value says the same whatever it is.")));
    }
    let constant = |e: &&Expr| {
        e.is_boolean_literal_expr()
            || matches!(e, Expr::UnaryOp(u) if u.op == ast::UnaryOp::Not && u.operand.is_literal_expr())
    };
    let decided: Vec<&&Expr> = results.iter().filter(|e| dotted(e) != "NotImplemented").collect();
    let first = decided.first().map(|e| canon(e));
    if !decided.is_empty() && decided.iter().all(|e| constant(e) && Some(canon(e)) == first) {
        return Some((Severity::Refuse, format!("`{name}` answers the same whatever it is asked.")));
    }
    let [own, other, ..] = parameters else { return None };
    if !matches!(name, "__eq__" | "__ne__") || decided.is_empty() {
        return None;
    }
    let (mut compares, mut near) = (false, false);
    let derived = derived(body, other);
    body.each(&mut |expr| {
        let both = || mentions(expr, &BTreeSet::from([own.clone()])) && mentions(expr, &derived);
        match expr {
            Expr::Compare(c) => {
                let sides = std::iter::once(&*c.left).chain(&*c.comparators);
                let kinds = sides.clone().any(|s| matches!(last(&dotted(s)), "type" | "__class__" | "id"));
                let limits = c.ops.iter().any(|op| matches!(op, CmpOp::Lt | CmpOp::LtE | CmpOp::Gt | CmpOp::GtE));
                near |= limits && both();
                compares |= !limits && !kinds && both();
            }
            Expr::Call(call) => {
                let called = dotted(&call.func);
                near |= last(&called) == "isclose" && both();
                compares |=
                    !matches!(last(&called), "isinstance" | "issubclass" | "type" | "hasattr" | "isclose" | "abs")
                        && !is_value(&call.func)
                        && both();
            }
            _ => {}
        }
        true
    });
    match (compares, near, value) {
        (false, false, _) => Some((Severity::Refuse, format!("`{name}` does not compare what it is asked about."))),
        (false, true, true) => Some((Severity::Refuse, format!("`{name}` makes a plain value equal to others."))),
        (false, true, false) => Some((Severity::Flag, format!("`{name}` compares with a tolerance."))),
        (true, _, true) => Some((Severity::Flag, format!("`{name}` decides anew what a plain value is equal to."))),
        (true, _, false) => None,
    }
}

fn mentions(expr: &Expr, names: &BTreeSet<String>) -> bool {
    let mut found = false;
    exprs_in(expr, &mut |e| {
        found |= matches!(e, Expr::Name(n) if names.contains(n.id.as_str()));
        !found
    });
    found
}

/// The parameter, and the locals that are made of it.
fn derived(body: Body<'_>, other: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::from([other.to_string()]);
    if let Body::Statements(body) = body {
        walk(body, &mut |stmt| {
            let (targets, value): (&[Expr], &Expr) = match stmt {
                Stmt::Assign(s) => (&s.targets, &s.value),
                Stmt::For(s) => (std::slice::from_ref(&s.target), &s.iter),
                _ => return true,
            };
            if mentions(value, &names) {
                for target in targets {
                    exprs_in(target, &mut |e| {
                        if let Expr::Name(n) = e {
                            names.insert(n.id.to_string());
                        }
                        true
                    });
                }
            }
            true
        });
    }
    names
}
