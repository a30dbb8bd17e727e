//! Flow: what a test's statements say once its local names are spelled out. After `amount = total(prices)`, the line
//! `assert amount == 769` says `total(prices) == 769`; only this shows that an assertion nobody touched is fed something
//! else.

use super::decorators::{elements, mock_target};
use super::facts::{Fact, Facts, is_asserting, is_raises};
use super::python::{Py, canon, dotted, exprs_in, imported, last};
use super::spelling::{MOST_NODES, Value, conditional, item, nodes, not, spelled, starred};
use ruff_python_ast::{self as ast, AtomicNodeIndex, Expr, Stmt};
use ruff_text_size::TextRange;
use std::collections::{BTreeMap, BTreeSet};

/// What kind of step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Does {
    /// It asserts.
    Asserts,
    /// It gives a value back: a fixture's, a helper's.
    Gives,
    /// It sets an attribute or an item.
    Sets,
    /// It calls something for its effect.
    Calls,
    /// It asks what runs next, or how often: `if`, `for`, `while`.
    Asks,
    /// It calls something and names the result.
    Names,
}

/// One statement that says or does something.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) does: Does,
    /// As it is written, without layout; for what is set, without the value.
    pub(crate) raw: String,
    /// Its expressions, names spelled out.
    pub(crate) terms: Vec<Expr>,
    /// What it changes: the receiver of a call, or whose attribute or item is set.
    pub(crate) touches: String,
    /// What that is a part of: of a loop's variable, what the loop runs over.
    pub(crate) owners: BTreeSet<String>,
    /// The names that it rests on, those that their values rest on included.
    pub(crate) names: BTreeSet<String>,
    pub(crate) line: u32,
    /// The lines of the statements that it rests on, its own among them.
    pub(crate) lines: BTreeSet<u32>,
}

impl Step {
    /// The terms as text. Of an assertion it is what it says, whatever the spelling.
    pub(crate) fn spelled(&self) -> String {
        let facts: Vec<String> = match (self.does, self.terms.as_slice()) {
            (Does::Asserts, [term]) => facts(term),
            _ => Vec::new(),
        };
        match facts.is_empty() {
            true => self.terms.iter().map(canon).collect::<Vec<_>>().join(" ; "),
            false => facts.join(" ; "),
        }
    }
}

/// What an assertion of this says: each of its facts, in an order of their own.
fn facts(term: &Expr) -> Vec<String> {
    let (node_index, range) = (AtomicNodeIndex::NONE, TextRange::default());
    let value = Box::new(term.clone());
    let stmt = match term {
        Expr::Call(_) if is_asserting(&dotted(term)) => Stmt::Expr(ast::StmtExpr { node_index, range, value }),
        Expr::Call(_) if is_raises(&dotted(term)) => return vec![canon(term)],
        _ => Stmt::Assert(ast::StmtAssert { node_index, range, test: value, msg: None }),
    };
    let mut keys: Vec<String> = Facts::of(&[stmt], &|_| 0).into_iter().map(|fact| sided(&fact)).collect();
    keys.sort();
    keys
}

/// Which side of an equality is which says nothing.
fn sided(fact: &Fact) -> String {
    let symmetric = matches!(fact.op.as_str(), "==" | "!=") && fact.head > fact.right && fact.tolerance.is_empty();
    if symmetric { format!("{} {} {}", fact.right, fact.op, fact.head) } else { fact.key.clone() }
}

/// The steps of a body. `given` says what names stand for from the beginning.
pub(crate) fn steps(py: &Py, body: &[Stmt], given: &BTreeMap<String, Expr>) -> Vec<Step> {
    let known = given.iter().map(|(name, expr)| (name.clone(), Value::of(expr.clone()))).collect();
    let mut flow = Flow { py, known, conditions: Vec::new(), rounds: 0, steps: Vec::new() };
    flow.suite(body);
    flow.steps
}

struct Flow<'a> {
    py: &'a Py,
    known: BTreeMap<String, Value>,
    conditions: Vec<Expr>,
    /// Rounds of loops that were said one by one.
    rounds: usize,
    steps: Vec<Step>,
}

/// More rounds are not said one by one: loops in loops multiply.
const MOST_ROUNDS: usize = 300;

impl Flow<'_> {
    fn suite(&mut self, body: &[Stmt]) {
        body.iter().for_each(|stmt| self.statement(stmt));
    }

    fn statement(&mut self, stmt: &Stmt) {
        match stmt {
            Stmt::Assert(s) => self.step(stmt, Does::Asserts, canon(&s.test), &[&s.test], String::new()),
            Stmt::Return(s) => {
                if let Some(value) = &s.value {
                    self.step(stmt, Does::Gives, canon(value), &[value], String::new());
                }
            }
            Stmt::Expr(s) => self.expression(stmt, &s.value),
            Stmt::Assign(s) => s.targets.iter().for_each(|target| self.assign(stmt, target, &s.value)),
            Stmt::AnnAssign(s) => {
                if let Some(value) = &s.value {
                    self.assign(stmt, &s.target, value);
                }
            }
            Stmt::AugAssign(s) => {
                let (left, right) = (s.target.clone(), s.value.clone());
                let sum = Expr::BinOp(ast::ExprBinOp {
                    node_index: AtomicNodeIndex::NONE,
                    range: TextRange::default(),
                    left,
                    op: s.op,
                    right,
                });
                self.assign(stmt, &s.target, &sum);
            }
            Stmt::Delete(s) => {
                for target in s.targets.iter().filter(|t| !t.is_name_expr()) {
                    self.step(stmt, Does::Sets, format!("del {}", canon(target)), &[target], root(target));
                }
            }
            Stmt::For(s) => self.looped(stmt, s),
            Stmt::With(s) => {
                for item in &s.items {
                    let (expr, name) = (&item.context_expr, dotted(&item.context_expr));
                    if is_raises(&name) {
                        self.step(stmt, Does::Asserts, canon(expr), &[expr], String::new());
                    }
                    match &item.optional_vars {
                        Some(target) => self.assign(stmt, target, expr),
                        None if is_raises(&name) || last(&name) == "subTest" => {}
                        None => self.expression(stmt, expr),
                    }
                }
                self.suite(&s.body);
            }
            Stmt::If(s) => {
                self.step(stmt, Does::Asks, format!("if {}", canon(&s.test)), &[&s.test], String::new());
                self.under(self.spelled(&s.test), &s.body);
                for clause in &s.elif_else_clauses {
                    let test = clause.test.as_ref().map_or_else(|| not(self.spelled(&s.test)), |t| self.spelled(t));
                    self.under(test, &clause.body);
                }
            }
            Stmt::While(s) => {
                self.step(stmt, Does::Asks, format!("while {}", canon(&s.test)), &[&s.test], String::new());
                self.under(self.spelled(&s.test), &s.body);
            }
            Stmt::Import(_) | Stmt::ImportFrom(_) => {
                imported(stmt).iter().for_each(|(name, full)| self.import(name, full));
            }
            Stmt::FunctionDef(s) => {
                let before = self.known.clone();
                for parameter in s.parameters.iter() {
                    self.known.remove(parameter.name().as_str());
                }
                self.suite(&s.body);
                self.known = before;
                self.known.remove(s.name.as_str());
            }
            other => super::python::suites(other).into_iter().for_each(|suite| self.suite(suite)),
        }
    }

    /// A loop over what stands there is said element by element.
    fn looped(&mut self, stmt: &Stmt, s: &ast::StmtFor) {
        let iterated = self.spelled(&s.iter);
        match few(&iterated).filter(|all| s.orelse.is_empty() && self.rounds + all.len() <= MOST_ROUNDS) {
            Some(elements) => {
                self.rounds += elements.len();
                for element in elements {
                    self.bind(stmt, &s.target, element, &s.iter);
                    self.suite(&s.body);
                }
            }
            None => {
                self.step(stmt, Does::Asks, format!("for {}", canon(&s.iter)), &[&s.iter], String::new());
                self.bind(stmt, &s.target, &starred(iterated), &s.iter);
                self.suite(&s.body);
                self.suite(&s.orelse);
            }
        }
    }

    /// A name is imported here; of a relative module nothing is known.
    fn import(&mut self, name: &str, full: &str) {
        let value = Value::of(super::names::spelled(full));
        match full.starts_with('.') {
            true => self.known.remove(name),
            false => self.known.insert(name.to_string(), value),
        };
    }

    fn under(&mut self, test: Expr, body: &[Stmt]) {
        self.conditions.push(test);
        self.suite(body);
        self.conditions.pop();
    }

    fn expression(&mut self, stmt: &Stmt, expr: &Expr) {
        match expr {
            Expr::Yield(y) => {
                if let Some(value) = &y.value {
                    self.step(stmt, Does::Gives, canon(value), &[value], String::new());
                }
            }
            Expr::Await(a) => self.expression(stmt, &a.value),
            // What is replaced is judged by itself.
            Expr::Call(_) if mock_target(expr).is_some() => {}
            Expr::Call(call) => {
                let name = dotted(expr);
                let receiver = match &*call.func {
                    Expr::Attribute(a) => root(&a.value),
                    _ => String::new(),
                };
                let does = if is_asserting(&name) { Does::Asserts } else { Does::Calls };
                self.step(stmt, does, canon(expr), &[expr], receiver);
            }
            _ => {}
        }
    }

    fn step(&mut self, stmt: &Stmt, does: Does, raw: String, terms: &[&Expr], touches: String) {
        let line = self.py.line_of(stmt);
        let (mut names, mut lines) = (BTreeSet::new(), BTreeSet::from([line]));
        terms.iter().for_each(|term| self.rests_on(term, &mut names, &mut lines));
        let terms = terms.iter().map(|term| self.spelled(term)).collect();
        let owners = self.known.get(&touches).map(|v| v.names.clone()).unwrap_or_default();
        self.steps.push(Step { does, raw, terms, touches, owners, names, line, lines });
    }

    /// Collects the names of an expression, with those that they rest on.
    fn rests_on(&self, expr: &Expr, names: &mut BTreeSet<String>, lines: &mut BTreeSet<u32>) {
        exprs_in(expr, &mut |e| {
            match e {
                Expr::Name(name) => {
                    names.insert(name.id.to_string());
                    if let Some(value) = self.known.get(name.id.as_str()) {
                        names.extend(value.names.iter().cloned());
                        lines.extend(&value.lines);
                    }
                }
                Expr::Attribute(_) => {
                    names.insert(dotted(e));
                }
                _ => {}
            }
            true
        });
    }

    fn assign(&mut self, stmt: &Stmt, target: &Expr, value: &Expr) {
        match target {
            Expr::Attribute(_) | Expr::Subscript(_) => {
                let raw = format!("{} =", canon(target));
                self.step(stmt, Does::Sets, raw, &[value], root(target));
            }
            _ => {
                if value.is_call_expr() || value.is_await_expr() {
                    self.step(stmt, Does::Names, canon(bare(value)), &[], String::new());
                }
                let spelled = self.spelled(value);
                self.bind(stmt, target, &spelled, value);
            }
        }
    }

    /// A name, or each of several, now stands for a value.
    fn bind(&mut self, stmt: &Stmt, target: &Expr, value: &Expr, written: &Expr) {
        match target {
            Expr::Name(name) => {
                let (mut names, mut lines) = (BTreeSet::new(), BTreeSet::from([self.py.line_of(stmt)]));
                self.rests_on(written, &mut names, &mut lines);
                let old = self.known.get(name.id.as_str());
                let mut expr = value.clone();
                if let Some(test) = self.conditions.last() {
                    let other = old.map_or_else(|| target.clone(), |v| v.expr.clone());
                    expr = conditional(test.clone(), expr, other);
                    names.extend(old.into_iter().flat_map(|v| v.names.iter().cloned()));
                    lines.extend(old.into_iter().flat_map(|v| v.lines.iter().copied()));
                }
                // What is too long stands for itself.
                let expr = if nodes(&expr) > MOST_NODES { target.clone() } else { expr };
                self.known.insert(name.id.to_string(), Value { expr, names, lines });
            }
            Expr::Tuple(ast::ExprTuple { elts, .. }) | Expr::List(ast::ExprList { elts, .. }) => {
                for (index, each) in elts.iter().enumerate() {
                    let part = match value {
                        Expr::Tuple(t) if t.elts.len() == elts.len() => t.elts[index].clone(),
                        _ => item(value.clone(), index),
                    };
                    self.bind(stmt, each, &part, written);
                }
            }
            Expr::Starred(s) => self.bind(stmt, &s.value, value, written),
            _ => {
                let raw = format!("{} =", canon(target));
                self.step(stmt, Does::Sets, raw, &[written], root(target));
            }
        }
    }

    /// The expression with its local names spelled out.
    fn spelled(&self, expr: &Expr) -> Expr {
        spelled(&self.known, expr)
    }
}

/// The elements of a display that is not long, and in order.
fn few(expr: &Expr) -> Option<&[Expr]> {
    let all = elements(expr).filter(|_| !expr.is_set_expr())?;
    (all.len() <= 30 && !all.iter().any(Expr::is_starred_expr)).then_some(all)
}

pub(crate) fn bare(expr: &Expr) -> &Expr {
    match expr {
        Expr::Await(a) => bare(&a.value),
        _ => expr,
    }
}

/// The name that an attribute, item or call chain begins with; attributes of `self` are names of their own.
pub(crate) fn root(expr: &Expr) -> String {
    if let Expr::Call(call) = expr
        && matches!(dotted(&call.func).as_str(), "vars" | "getattr")
        && let Some(owner) = call.arguments.args.first()
    {
        return root(owner);
    }
    let name = dotted(expr);
    let mut parts = name.split('.');
    match (parts.next(), parts.next()) {
        (Some(own @ ("self" | "cls")), Some(attribute)) => format!("{own}.{attribute}"),
        (Some(first), _) => first.to_string(),
        (None, _) => String::new(),
    }
}

/// The function that stands at a line.
pub(crate) fn function<'p>(py: &'p Py, name: &str, line: u32) -> Option<&'p ast::StmtFunctionDef> {
    let mut found = None;
    super::python::walk(py.body(), &mut |stmt| {
        if let Stmt::FunctionDef(f) = stmt
            && f.name.as_str() == name
            && py.line_of(&f.name) == line
        {
            found = Some(f);
        }
        found.is_none()
    });
    found
}
