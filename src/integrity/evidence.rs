//! Evidence for a declared test fix: something else in the tree before the change that asserts the new value.

use super::context::Context;
use super::paths;
use super::python::{Py, canon, docstring, dotted, last};
use ruff_python_ast::{Expr, Stmt};
use std::fmt;

/// Something in the tree before the change that asserts the value which a test is to expect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Witness {
    /// Another test. It counts only if it ran and passed before the change, which this room can't know.
    Test {
        /// Repository-relative.
        file: String,
        /// `test_x`, `TestA.test_x`.
        qual: String,
    },
    /// The docstring of what is tested.
    Docstring {
        /// Repository-relative.
        file: String,
        /// The function or class.
        name: String,
    },
    /// The return type of what is tested admits nothing else.
    Type {
        /// Repository-relative.
        file: String,
        /// The function.
        name: String,
    },
}

impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Witness::Test { file, qual } => write!(f, "`{qual}` in {file} asserts the same value"),
            Witness::Docstring { file, name } => write!(f, "the docstring of `{name}` in {file} shows the value"),
            Witness::Type { file, name } => write!(f, "the return type of `{name}` in {file} is this value alone"),
        }
    }
}

/// So many witnesses are named.
const MOST: usize = 20;

/// What in the tree shows that the new values are right, if anything does.
pub(crate) fn of(context: &Context<'_>, path: &str, qual: &str, subjects: &[String], new: &[String]) -> Vec<Witness> {
    let trivial = |v: &String| matches!(v.as_str(), "True" | "False" | "None" | "0" | "1" | "\"\"");
    let mut found = Vec::new();
    if subjects.is_empty() || new.is_empty() || new.iter().all(trivial) {
        return found;
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
                    found.push(Witness::Test { file: other.clone(), qual: unit.qual.clone() });
                }
            }
        } else {
            found.extend(in_source(&py, other, subjects, new));
        }
        if found.len() >= MOST {
            break;
        }
    }
    found
}

/// The docstrings and types of the subjects that show the values.
fn in_source(py: &Py, path: &str, subjects: &[String], new: &[String]) -> Vec<Witness> {
    let mut found = Vec::new();
    super::python::walk(py.body(), &mut |stmt| {
        let (name, body, returns) = match stmt {
            Stmt::FunctionDef(f) => (f.name.to_string(), &f.body, f.returns.as_deref()),
            Stmt::ClassDef(c) => (c.name.to_string(), &c.body, None),
            _ => return true,
        };
        if !subjects.contains(&name) {
            return true;
        }
        let file = path.to_string();
        if let Some((text, _)) = docstring(body)
            && new.iter().all(|v| {
                text.contains(v.as_str()) || text.contains(v.trim_matches('"')) || text.contains(&v.replace('"', "'"))
            })
        {
            found.push(Witness::Docstring { file, name });
        } else if returns.is_some_and(|returns| is_only(returns, new)) {
            found.push(Witness::Type { file, name });
        }
        true
    });
    found
}

/// Is the type a `Literal` of these values and no other? One that admits more says nothing about which of them it is.
fn is_only(returns: &Expr, values: &[String]) -> bool {
    let Expr::Subscript(subscript) = returns else { return false };
    if last(&dotted(&subscript.value)) != "Literal" {
        return false;
    }
    let members = match &*subscript.slice {
        Expr::Tuple(tuple) => tuple.elts.iter().map(canon).collect(),
        one => vec![canon(one)],
    };
    members.iter().all(|m| values.contains(m)) && values.iter().all(|v| members.contains(v))
}
