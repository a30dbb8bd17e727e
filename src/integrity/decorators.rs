//! Decorators of tests, and calls like them: what they replace, and the cases that they give.

use super::python::{canon, dotted, last, string_value};
use ruff_python_ast::{Expr, StmtFunctionDef};

/// Is the function a fixture of pytest?
pub(crate) fn is_fixture(function: &StmtFunctionDef) -> bool {
    function.decorator_list.iter().any(|d| last(&dotted(&d.expression)) == "fixture")
}

/// The target of a call that replaces something: `patch("a.b")`, `patch.object(a, "b")`, `monkeypatch.setattr(a, "b", x)`.
pub(crate) fn mock_target(expr: &Expr) -> Option<String> {
    let Expr::Call(call) = expr else { return None };
    let name = dotted(&call.func);
    let end = last(&name);
    let patches = end == "patch"
        || name.contains("patch.")
        || matches!(end, "setattr" | "setitem" | "delattr" | "create_autospec");
    if !patches || name.ends_with("setenv") || name.contains("patch.dict") || end.ends_with("env") {
        return None;
    }
    if !matches!(end, "patch" | "object" | "setattr" | "setitem" | "delattr" | "multiple") {
        return None;
    }
    let args = &call.arguments.args;
    let first = args.first()?;
    match (super::environment::folded(first), args.get(1).and_then(string_value)) {
        (Some(target), _) => Some(target),
        (None, Some(attribute)) => Some(format!("{}.{attribute}", canon(first))),
        (None, None) => Some(canon(first)),
    }
}

/// The cases of a `parametrize` decorator.
pub(crate) fn cases(expr: &Expr) -> Vec<String> {
    let Expr::Call(call) = expr else { return Vec::new() };
    let values = call.arguments.args.get(1).or_else(|| {
        call.arguments
            .keywords
            .iter()
            .find(|k| k.arg.as_ref().is_some_and(|a| a.as_str() == "argvalues"))
            .map(|k| &k.value)
    });
    let elements: &[Expr] = match values {
        Some(Expr::List(l)) => &l.elts,
        Some(Expr::Tuple(t)) => &t.elts,
        Some(Expr::Set(t)) => &t.elts,
        Some(other) => return vec![canon(other)],
        None => return Vec::new(),
    };
    elements.iter().map(case).collect()
}

/// The values of `fixture(params=[…])`.
pub(crate) fn params(expr: &Expr) -> Vec<String> {
    let Expr::Call(call) = expr else { return Vec::new() };
    let values = call.arguments.keywords.iter().find(|k| k.arg.as_ref().is_some_and(|a| a.as_str() == "params"));
    match values.map(|k| &k.value) {
        Some(Expr::List(l)) => l.elts.iter().map(case).collect(),
        Some(Expr::Tuple(t)) => t.elts.iter().map(case).collect(),
        Some(other) => vec![canon(other)],
        None => Vec::new(),
    }
}

/// One case; `(1, 2)`, `[1, 2]` and `pytest.param(1, 2, id="x")` are the same.
fn case(expr: &Expr) -> String {
    let join = |items: &[Expr]| items.iter().map(canon).collect::<Vec<_>>().join(", ");
    match expr {
        Expr::List(l) => join(&l.elts),
        Expr::Tuple(t) => join(&t.elts),
        Expr::Call(call) if last(&dotted(&call.func)) == "param" => join(&call.arguments.args),
        other => canon(other),
    }
}
