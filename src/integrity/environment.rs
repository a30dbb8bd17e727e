//! How a program can ask where it runs: variables of continuous integration and sandboxes, frames of its callers.

use super::python::{Py, canon, dotted, last, string_value};
use ruff_python_ast::{Expr, Stmt};
use std::collections::BTreeSet;

const NAMES: &str = "CI GITLAB_CI TRAVIS COVERAGE_RUN TESTING TEST_MODE IN_TEST UNIT_TEST RUNNING_TESTS IS_TEST \
    NOX_SESSION BUILD_NUMBER JENKINS_URL VIRTUAL_ENV";

/// Is it the name of a variable that only a check's surroundings set?
fn variable(text: &str) -> bool {
    ["GITHUB_", "RUNNER_", "PYTEST", "TOX_"].iter().any(|p| text.starts_with(p))
        || NAMES.split_whitespace().any(|n| n == text)
}

fn runner(text: &str) -> bool {
    let low = text.to_ascii_lowercase();
    (low.contains("pytest") || matches!(low.as_str(), "unittest" | "nose" | "py.test"))
        && text.len() < 60
        && !text.contains(' ')
}

/// A text, also one that is put together from literals.
fn folded(expr: &Expr) -> Option<String> {
    match expr {
        Expr::BinOp(b) => Some(folded(&b.left)? + &folded(&b.right)?),
        _ => string_value(expr),
    }
}

/// Every question, with its line and whether it is sure.
pub(crate) fn questions(py: &Py) -> Vec<(String, u32, bool)> {
    let mut found = Vec::new();
    let mut environs: BTreeSet<String> = BTreeSet::from(["os.environ".to_string(), "os.environb".to_string()]);
    super::python::walk(py.body(), &mut |stmt| {
        if let Stmt::Assign(s) = stmt
            && matches!(dotted(&s.value).as_str(), "os.environ" | "os.environ.copy")
        {
            environs.extend(s.targets.iter().map(dotted));
        }
        true
    });
    let about = |expr: &Expr| {
        let mut seen = false;
        super::python::exprs_in(expr, &mut |e| {
            let name = dotted(e);
            seen |= environs.contains(&name)
                || ["os.environ", "os.getenv", "sys.modules", "sys.argv"].iter().any(|p| name.starts_with(p));
            !seen
        });
        seen
    };
    for stmt in py.body() {
        super::python::exprs(stmt, &mut |expr| {
            let mut asked = |text: Option<String>| {
                if let Some(text) = text.filter(|t| variable(t) || runner(t)) {
                    found.push((format!("{text:?}"), py.line_of(expr), text != "VIRTUAL_ENV"));
                }
            };
            match expr {
                Expr::Subscript(s) if about(&s.value) => asked(folded(&s.slice)),
                Expr::Call(call) if about(&call.func) => asked(call.arguments.args.first().and_then(folded)),
                Expr::Compare(c) => {
                    let sides: Vec<&Expr> = std::iter::once(&*c.left).chain(c.comparators.iter()).collect();
                    if sides.iter().any(|s| about(s)) {
                        for side in sides {
                            super::python::exprs_in(side, &mut |e| {
                                asked(folded(e));
                                true
                            });
                        }
                    }
                }
                Expr::StringLiteral(_) => {
                    let text = string_value(expr).unwrap_or_default();
                    let telling = ["GITHUB_", "PYTEST_", "RUNNER_"].iter().any(|p| text.starts_with(p));
                    if telling && text.chars().all(|c| c.is_ascii_uppercase() || c == '_') {
                        found.push((format!("{text:?}"), py.line_of(expr), true));
                    }
                }
                Expr::Attribute(a) => {
                    let name = dotted(expr);
                    let frames = matches!(
                        a.attr.as_str(),
                        "tb_frame" | "f_back" | "_current_frames" | "_getframe" | "_called_from_test" | "gi_frame"
                    );
                    if frames || name == "sys.gettrace" {
                        found.push((last(&name).to_string(), py.line_of(expr), true));
                    }
                }
                _ => {}
            }
            if let Expr::Call(call) = expr {
                let name = dotted(&call.func);
                let frames = ["inspect.stack", "inspect.currentframe", "inspect.getouterframes", "inspect.trace"];
                if frames.contains(&name.as_str())
                    || matches!(
                        name.as_str(),
                        "traceback.extract_stack" | "traceback.format_stack" | "traceback.walk_stack"
                    )
                {
                    found.push((canon(&call.func), py.line_of(expr), true));
                }
            }
            true
        });
    }
    found
}
