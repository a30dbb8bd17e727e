//! Decorators of tests, and calls like them: what they replace, and the cases that they give.

use super::python::{canon, dotted, exprs_in, last, string_value};
use ruff_python_ast::{Expr, ExprCall, StmtFunctionDef};

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

/// The fixtures that marks ask for: the words of `usefixtures("a", "b")`, wherever in the expression.
pub(crate) fn asked(marks: &Expr) -> Vec<String> {
    let mut found = Vec::new();
    exprs_in(marks, &mut |expr| {
        if let Expr::Call(call) = expr
            && last(&dotted(expr)) == "usefixtures"
        {
            found.extend(call.arguments.args.iter().filter_map(string_value));
        }
        true
    });
    found
}

/// An argument, by its place or by its name.
pub(crate) fn argument<'a>(call: &'a ExprCall, at: usize, name: &str) -> Option<&'a Expr> {
    let named = call.arguments.keywords.iter().find(|k| k.arg.as_ref().is_some_and(|a| a.as_str() == name));
    call.arguments.args.get(at).or_else(|| named.map(|k| &k.value))
}

/// The elements of a list, a tuple or a set.
pub(crate) fn elements(expr: &Expr) -> Option<&[Expr]> {
    match expr {
        Expr::List(l) => Some(&l.elts),
        Expr::Tuple(t) => Some(&t.elts),
        Expr::Set(s) => Some(&s.elts),
        _ => None,
    }
}

/// The cases of a `parametrize` decorator.
pub(crate) fn cases(expr: &Expr) -> Vec<String> {
    let Expr::Call(call) = expr else { return Vec::new() };
    argument(call, 1, "argvalues").map(texts).unwrap_or_default()
}

/// The values of `fixture(params=[…])`.
pub(crate) fn params(expr: &Expr) -> Vec<String> {
    let Expr::Call(call) = expr else { return Vec::new() };
    argument(call, usize::MAX, "params").map(texts).unwrap_or_default()
}

/// Each case; of what stands elsewhere, its name.
fn texts(values: &Expr) -> Vec<String> {
    elements(values).map_or_else(|| vec![canon(values)], |all| all.iter().map(case).collect())
}

/// One case; `(1, 2)`, `[1, 2]` and `pytest.param(1, 2, id="x")` are the same.
fn case(expr: &Expr) -> String {
    row(expr).iter().map(canon).collect::<Vec<_>>().join(", ")
}

/// The values of a case.
pub(crate) fn row(expr: &Expr) -> &[Expr] {
    match expr {
        Expr::List(l) => &l.elts,
        Expr::Tuple(t) => &t.elts,
        Expr::Call(call) if last(&dotted(&call.func)) == "param" => &call.arguments.args,
        other => std::slice::from_ref(other),
    }
}
