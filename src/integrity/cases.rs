//! Parametrized tests, case by case: what each of them says once the values stand where the names stood.

use super::decorators::{argument, elements, row};
use super::flow::{self, Does, Step};
use super::names::Known;
use super::python::{Py, dotted, last, string_value};
use ruff_python_ast::{self as ast, Expr};
use std::collections::BTreeMap;

/// More cases are not told apart.
const MOST: usize = 300;

type Case = BTreeMap<String, Expr>;

/// What kind of step, and its text.
pub(crate) type Said = (u8, String);

/// What a test says and does, in all of its cases. `None` where the cases cannot be told apart.
pub(crate) fn said(py: &Py, test: &ast::StmtFunctionDef, known: &Known) -> Option<Vec<Step>> {
    let mut all: Vec<Case> = vec![super::names::at(known, test)];
    for decorator in &test.decorator_list {
        if last(&dotted(&decorator.expression)) != "parametrize" {
            continue;
        }
        let rows = rows(&decorator.expression, known)?;
        let product = all.iter().flat_map(|case| {
            rows.iter().map(move |row| case.iter().chain(row).map(|(k, v)| (k.clone(), v.clone())).collect::<Case>())
        });
        all = product.take(MOST + 1).collect();
        if all.len() > MOST {
            return None;
        }
    }
    let steps = all.iter().flat_map(|case| flow::steps(py, &test.body, case));
    Some(steps.filter(|s| !matches!(s.does, Does::Names | Does::Gives)).collect())
}

/// What follows from a step: who says that something `is True` says that it is true.
pub(crate) fn implied(said: &Said) -> Option<Said> {
    let weaker = |value: &str, truth: &str| Some((said.0, format!("{} {truth} ", said.1.strip_suffix(value)?)));
    weaker(" is True", "true").or_else(|| weaker(" is False", "false"))
}

/// The texts of steps.
pub(crate) fn texts(steps: &[Step]) -> Vec<Said> {
    steps.iter().map(text).collect()
}

pub(crate) fn text(step: &Step) -> Said {
    let name = if step.does == Does::Sets { step.raw.as_str() } else { "" };
    (step.does as u8, format!("{name}{}", step.spelled()))
}

/// The rows of a `parametrize` decorator: names and their values.
fn rows(decorator: &Expr, known: &Known) -> Option<Vec<Case>> {
    let Expr::Call(call) = decorator else { return None };
    let names: Vec<String> = match argument(call, 0, "argnames")? {
        Expr::Tuple(ast::ExprTuple { elts, .. }) | Expr::List(ast::ExprList { elts, .. }) => {
            elts.iter().map(string_value).collect::<Option<_>>()?
        }
        one => string_value(one)?.split(',').map(|n| n.trim().to_string()).filter(|n| !n.is_empty()).collect(),
    };
    let values = super::spelling::resolved(argument(call, 1, "argvalues")?, known);
    elements(&values)?.iter().map(|row| case(&names, row)).collect()
}

fn case(names: &[String], expr: &Expr) -> Option<Case> {
    // One name takes a tuple as it is.
    let whole = names.len() == 1 && !expr.is_call_expr();
    let values = if whole { std::slice::from_ref(expr) } else { row(expr) };
    (values.len() == names.len()).then(|| names.iter().cloned().zip(values.iter().cloned()).collect())
}
