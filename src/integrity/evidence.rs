//! Evidence for a declared test fix: something else in the tree before the change that asserts the new value.

use super::context::Context;
use super::paths;
use super::python::{Py, docstring, last};
use ruff_python_ast::Stmt;

/// What in the tree shows that the new values are right, if anything does.
pub(crate) fn of(context: &Context<'_>, path: &str, qual: &str, subjects: &[String], new: &[String]) -> Option<String> {
    let trivial = |v: &String| matches!(v.as_str(), "True" | "False" | "None" | "0" | "1" | "\"\"");
    if subjects.is_empty() || new.is_empty() || new.iter().all(trivial) {
        return None;
    }
    for other in context.paths.iter().filter(|p| paths::is_python(p)) {
        let Some(text) = context.read(other) else { continue };
        if !subjects.iter().any(|s| text.contains(s.as_str())) {
            continue;
        }
        let py = Py::parse(text.as_bytes(), false);
        if context.is_test(other) {
            for unit in context.suite(&py).tests().filter(|u| !(other == path && u.qual == qual)) {
                let known = |v: &String| {
                    unit.facts.iter().any(|f| f.atoms.contains(v)) || unit.cases.iter().any(|c| c.contains(v.as_str()))
                };
                let about = unit.calls.iter().any(|c| subjects.iter().any(|s| s == last(c)))
                    || unit.facts.iter().any(|f| subjects.iter().any(|s| f.key.contains(s.as_str())));
                if about && new.iter().all(known) {
                    return Some(format!("`{}` in {other} asserts the same value", unit.qual));
                }
            }
        } else if let Some(seen) = in_docstring(&py, subjects, new) {
            return Some(format!("the docstring of `{seen}` in {other} shows the value"));
        }
    }
    None
}

fn in_docstring(py: &Py, subjects: &[String], new: &[String]) -> Option<String> {
    let mut found = None;
    super::python::walk(py.body(), &mut |stmt| {
        let (name, body) = match stmt {
            Stmt::FunctionDef(f) => (f.name.to_string(), &f.body),
            Stmt::ClassDef(c) => (c.name.to_string(), &c.body),
            _ => return true,
        };
        if found.is_none()
            && subjects.contains(&name)
            && let Some((text, _)) = docstring(body)
            && new.iter().all(|v| {
                text.contains(v.as_str()) || text.contains(v.trim_matches('"')) || text.contains(&v.replace('"', "'"))
            })
        {
            found = Some(name);
        }
        true
    });
    found
}
