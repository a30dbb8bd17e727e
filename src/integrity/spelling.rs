//! Expressions with the names in them spelled out, and expressions that are made for it.

use super::python::{canon, exprs_in};
use ruff_python_ast::visitor::transformer::{Transformer, walk_expr};
use ruff_python_ast::{self as ast, AtomicNodeIndex, Expr, ExprContext};
use ruff_text_size::TextRange;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// Longer expressions keep their names.
pub(crate) const MOST_NODES: usize = 300;

/// What a local name stands for.
#[derive(Debug, Clone)]
pub(crate) struct Value {
    pub(crate) expr: Expr,
    pub(crate) names: BTreeSet<String>,
    pub(crate) lines: BTreeSet<u32>,
}

impl Value {
    /// A value that rests on nothing.
    pub(crate) fn of(expr: Expr) -> Value {
        Value { expr, names: BTreeSet::new(), lines: BTreeSet::new() }
    }
}

/// An expression with names spelled out.
pub(crate) fn resolved(expr: &Expr, known: &BTreeMap<String, Expr>) -> Expr {
    let known = known.iter().map(|(name, expr)| (name.clone(), Value::of(expr.clone()))).collect();
    spelled(&known, expr)
}

pub(crate) fn spelled(known: &BTreeMap<String, Value>, expr: &Expr) -> Expr {
    let mut expr = expr.clone();
    let spelling = Spelling { known, bound: RefCell::default(), nodes: RefCell::new(0) };
    spelling.visit_expr(&mut expr);
    expr
}

struct Spelling<'a> {
    known: &'a BTreeMap<String, Value>,
    /// Names that an inner scope binds: a lambda's parameters, a comprehension's targets.
    bound: RefCell<Vec<(String, bool)>>,
    nodes: RefCell<usize>,
}

impl Transformer for Spelling<'_> {
    fn visit_expr(&self, expr: &mut Expr) {
        let inner: Vec<String> = match expr {
            Expr::Lambda(l) => {
                l.parameters.iter().flat_map(|p| p.iter()).map(|p| p.name().to_string()).collect::<Vec<_>>()
            }
            Expr::ListComp(ast::ExprListComp { generators, .. })
            | Expr::SetComp(ast::ExprSetComp { generators, .. })
            | Expr::DictComp(ast::ExprDictComp { generators, .. })
            | Expr::Generator(ast::ExprGenerator { generators, .. }) => {
                let mut names = Vec::new();
                for generator in generators {
                    exprs_in(&generator.target, &mut |e| {
                        if let Expr::Name(name) = e {
                            names.push(name.id.to_string());
                        }
                        true
                    });
                }
                names
            }
            _ => Vec::new(),
        };
        let depth = self.bound.borrow().len();
        let renames = !matches!(expr, Expr::Lambda(_));
        self.bound.borrow_mut().extend(inner.into_iter().map(|name| (name, renames)));
        if let Expr::Name(name) = expr {
            let bound = self.bound.borrow();
            if let Some(at) = bound.iter().rposition(|(b, _)| *b == name.id.as_str()) {
                // What a comprehension calls its elements says nothing.
                if bound[at].1 {
                    name.id = ast::name::Name::new(format!("_{at}"));
                }
                return;
            }
        }
        *self.nodes.borrow_mut() += 1;
        let value = match expr {
            Expr::Name(name) => self.known.get(name.id.as_str()),
            Expr::Attribute(a) if matches!(&*a.value, Expr::Name(own) if own.id.as_str() == "self") => {
                self.known.get(&format!("self.{}", a.attr))
            }
            _ => None,
        };
        match value {
            Some(value) => {
                let size = nodes(&value.expr);
                if *self.nodes.borrow() + size <= MOST_NODES {
                    *self.nodes.borrow_mut() += size;
                    *expr = value.expr.clone();
                }
            }
            None => walk_expr(self, expr),
        }
        self.bound.borrow_mut().truncate(depth);
    }
}

/// How large an expression is.
pub(crate) fn nodes(expr: &Expr) -> usize {
    let mut count = 0;
    exprs_in(expr, &mut |_| {
        count += 1;
        true
    });
    count
}

pub(crate) fn starred(value: Expr) -> Expr {
    let (node_index, range) = (AtomicNodeIndex::NONE, TextRange::default());
    Expr::Starred(ast::ExprStarred { node_index, range, value: Box::new(value), ctx: ExprContext::Load })
}

pub(crate) fn not(operand: Expr) -> Expr {
    let (node_index, range) = (AtomicNodeIndex::NONE, TextRange::default());
    Expr::UnaryOp(ast::ExprUnaryOp { node_index, range, op: ast::UnaryOp::Not, operand: Box::new(operand) })
}

/// One value or another; what an `else` gives completes what its `if` gave.
pub(crate) fn conditional(test: Expr, body: Expr, orelse: Expr) -> Expr {
    let (test, body, orelse) = match (test, orelse) {
        (Expr::UnaryOp(not), Expr::If(first)) if canon(&not.operand) == canon(&first.test) => {
            (*first.test, *first.body, body)
        }
        (test, orelse) => (test, body, orelse),
    };
    let (node_index, range) = (AtomicNodeIndex::NONE, TextRange::default());
    let (test, body, orelse) = (Box::new(test), Box::new(body), Box::new(orelse));
    Expr::If(ast::ExprIf { node_index, range, test, body, orelse })
}

pub(crate) fn item(value: Expr, index: usize) -> Expr {
    let (node_index, range) = (AtomicNodeIndex::NONE, TextRange::default());
    let number = ast::Number::Int(ast::Int::from(index as u64));
    let slice = Box::new(Expr::NumberLiteral(ast::ExprNumberLiteral {
        node_index: AtomicNodeIndex::NONE,
        range,
        value: number,
    }));
    Expr::Subscript(ast::ExprSubscript { node_index, range, value: Box::new(value), slice, ctx: ExprContext::Load })
}
