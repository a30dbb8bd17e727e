//! The literals of a unit that stand outside assertions.

use super::facts::is_asserting;
use super::python::{Py, canon, dotted, is_literal, last};
use ruff_python_ast::{self as ast, Expr, Stmt};
use std::collections::BTreeSet;

/// The literals of a statement, without annotations, messages, docstrings and what only names a mode or an encoding.
pub(crate) fn of(py: &Py, stmt: &Stmt, found: &mut Vec<(String, u32)>) {
    let mut skipped: BTreeSet<u32> = BTreeSet::new();
    super::python::walk(std::slice::from_ref(stmt), &mut |inner| {
        let skip = match inner {
            Stmt::Assert(_) => true,
            Stmt::Expr(e) => {
                e.value.is_string_literal_expr() || matches!(&*e.value, Expr::Call(c) if is_asserting(&dotted(&c.func)))
            }
            _ => false,
        };
        if skip {
            skipped.insert(ruff_text_size::Ranged::start(inner).to_u32());
        }
        !skip
    });
    let mut collector = Literals { py, skipped, found };
    ast::visitor::Visitor::visit_stmt(&mut collector, stmt);
}

struct Literals<'a> {
    py: &'a Py,
    skipped: BTreeSet<u32>,
    found: &'a mut Vec<(String, u32)>,
}

impl<'a> ast::visitor::Visitor<'a> for Literals<'a> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        if !self.skipped.contains(&ruff_text_size::Ranged::start(stmt).to_u32())
            || !super::python::suites(stmt).is_empty()
        {
            ast::visitor::walk_stmt(self, stmt);
        }
    }

    fn visit_annotation(&mut self, _: &'a Expr) {}

    fn visit_expr(&mut self, expr: &'a Expr) {
        match expr {
            Expr::StringLiteral(_) | Expr::BytesLiteral(_) | Expr::NumberLiteral(_) | Expr::BooleanLiteral(_) => {
                self.found.push((canon(expr), self.py.line_of(expr)));
            }
            Expr::FString(f) => {
                for element in f.value.elements() {
                    match element {
                        ast::InterpolatedStringElement::Literal(literal) => {
                            self.found.push((format!("{:?}", &*literal.value), self.py.line_of(expr)));
                        }
                        ast::InterpolatedStringElement::Interpolation(inner) => self.visit_expr(&inner.expression),
                    }
                }
            }
            Expr::Call(call) => {
                let name = dotted(&call.func);
                self.visit_expr(&call.func);
                for (index, argument) in call.arguments.args.iter().enumerate() {
                    let mode = matches!(last(&name), "open" | "encode" | "decode")
                        && (index == 1 || last(&name) != "open")
                        || name == "range" && index == 0 && canon(argument) == "0"
                        || matches!(last(&name), "getattr" | "setattr" | "hasattr")
                            && index == 1
                            && !call.arguments.args[0].is_string_literal_expr()
                        // What a mock replaces is another rule's.
                        || index == 0 && super::decorators::mock_target(expr).is_some();
                    if !(mode && is_literal(argument)) {
                        self.visit_expr(argument);
                    }
                }
                for keyword in &call.arguments.keywords {
                    if !keyword
                        .arg
                        .as_ref()
                        .is_some_and(|a| matches!(a.as_str(), "reason" | "msg" | "encoding" | "ids" | "id"))
                    {
                        self.visit_expr(&keyword.value);
                    }
                }
            }
            _ => ast::visitor::walk_expr(self, expr),
        }
    }
}
