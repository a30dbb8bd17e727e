//! How a program can ask where it runs: variables of continuous integration and sandboxes, frames of its callers.

use super::python::{Py, among, canon, dotted, last, string_value};
use ruff_python_ast::{Expr, ExprList, ExprTuple, InterpolatedStringElement, Operator, Stmt};
use std::collections::BTreeSet;

const NAMES: &str = "CI GITLAB_CI TRAVIS COVERAGE_RUN TESTING TEST_MODE IN_TEST UNIT_TEST RUNNING_TESTS IS_TEST \
    NOX_SESSION BUILD_NUMBER JENKINS_URL VIRTUAL_ENV";

/// Is it the name of a variable that only a check's surroundings set?
fn variable(text: &str) -> bool {
    ["GITHUB_", "RUNNER_", "PYTEST", "TOX_"].iter().any(|p| text.starts_with(p)) || among(NAMES, text)
}

fn runner(text: &str) -> bool {
    let low = text.to_ascii_lowercase();
    (low.contains("pytest") || matches!(low.as_str(), "unittest" | "nose" | "py.test"))
        && text.len() < 60
        && !text.contains(' ')
}

/// A text, also one that is put together from literals and the module's own name.
pub(crate) fn folded(expr: &Expr) -> Option<String> {
    match expr {
        Expr::BinOp(b) if b.op == Operator::Add => Some(folded(&b.left)? + &folded(&b.right)?),
        Expr::Name(name) if name.id.as_str() == "__name__" => Some("__name__".to_string()),
        Expr::FString(f) => {
            let part = |element: &InterpolatedStringElement| match element {
                InterpolatedStringElement::Literal(text) => Some(text.value.to_string()),
                InterpolatedStringElement::Interpolation(inner) => folded(&inner.expression),
            };
            f.value.elements().map(part).collect()
        }
        Expr::Call(call) => {
            let Expr::Attribute(method) = &*call.func else { return None };
            let text = folded(&method.value)?;
            match (method.attr.as_str(), &*call.arguments.args) {
                ("join", [Expr::List(ExprList { elts, .. }) | Expr::Tuple(ExprTuple { elts, .. })]) => {
                    Some(elts.iter().map(folded).collect::<Option<Vec<_>>>()?.join(&text))
                }
                ("upper", []) => Some(text.to_uppercase()),
                ("lower", []) => Some(text.to_lowercase()),
                ("strip" | "encode" | "decode", _) => Some(text),
                ("replace", [from, to]) => Some(text.replace(&folded(from)?, &folded(to)?)),
                _ => None,
            }
        }
        // What is written backwards.
        Expr::Subscript(s) => match &*s.slice {
            Expr::Slice(slice) if slice.step.as_ref().is_some_and(|step| canon(step) == "-1") => {
                Some(folded(&s.value)?.chars().rev().collect())
            }
            _ => None,
        },
        Expr::BytesLiteral(b) => Some(b.value.bytes().map(char::from).collect()),
        _ => string_value(expr),
    }
}

/// Does the text name a runner or its variables, whatever is asked about them?
fn telling(text: &str) -> bool {
    runner(text) && !text.eq_ignore_ascii_case("nose") || text.starts_with("PYTEST")
}

/// Calls that look for a module, or for something in a text.
const LOOKING: &str = "find_spec find_loader import_module __import__ distribution version requires startswith endswith \
    find rfind index count search match fullmatch findall fnmatch";

/// Calls that say where a file is, whether it is there, or what is in it.
const READING: &str = "Path PurePath PosixPath open join joinpath exists isdir isfile is_dir is_file listdir glob rglob \
    iglob scandir walk stat lstat access read_text read_bytes with_name loadtxt";

/// The path of tests; whether that is sure.
fn of_tests(text: &str) -> Option<bool> {
    let parts: Vec<&str> = text.split('/').filter(|p| !matches!(*p, "." | "..")).collect();
    let name = parts.last()?;
    let file = name.starts_with("test_") && name.ends_with(".py") || *name == "conftest.py";
    match parts.first() {
        Some(&"tests") => Some(true),
        _ if file => Some(true),
        Some(&"test") => Some(false),
        _ => None,
    }
}

/// What the program reads of the process it runs in, and of the tests beside it.
fn reads(expr: &Expr) -> Option<(String, bool)> {
    match expr {
        Expr::StringLiteral(_) => {
            let text = string_value(expr)?;
            let process = ["cmdline", "environ", "self", "comm", "stat"].iter().any(|p| text.contains(p));
            (text.starts_with("/proc/") && process).then_some((text, true))
        }
        Expr::BinOp(b) if b.op == Operator::Div => {
            let text = string_value(&b.right)?;
            of_tests(&text).map(|sure| (text, sure))
        }
        Expr::Call(call) if among(READING, last(&dotted(&call.func))) => {
            call.arguments.args.iter().filter_map(string_value).find_map(|t| of_tests(&t).map(|sure| (t, sure)))
        }
        _ => None,
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
                || ["os.environ", "os.getenv", "sys.modules", "sys.argv", "sys.orig_argv"]
                    .iter()
                    .any(|p| name.starts_with(p));
            !seen
        });
        seen
    };
    for stmt in py.body() {
        super::python::exprs(stmt, &mut |expr| {
            if let Some((text, sure)) = reads(expr) {
                found.push((format!("{text:?}"), py.line_of(expr), sure));
            }
            let mut asked = |text: Option<String>| {
                if let Some(text) = text.filter(|t| variable(t) || runner(t)) {
                    found.push((format!("{text:?}"), py.line_of(expr), text != "VIRTUAL_ENV"));
                }
            };
            match expr {
                Expr::Subscript(s) if about(&s.value) => asked(folded(&s.slice)),
                Expr::Call(call) if about(&call.func) => asked(call.arguments.args.first().and_then(folded)),
                Expr::Call(call) if among(LOOKING, last(&dotted(&call.func))) => {
                    asked(call.arguments.args.first().and_then(folded).filter(|text| telling(text)));
                }
                Expr::Compare(c) => {
                    let sides: Vec<&Expr> = std::iter::once(&*c.left).chain(c.comparators.iter()).collect();
                    if !sides.iter().any(|s| about(s)) {
                        sides.iter().for_each(|side| asked(folded(side).filter(|text| telling(text))));
                    } else {
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
                    let of_runner = ["GITHUB_", "PYTEST_", "RUNNER_"].iter().any(|p| text.starts_with(p));
                    if of_runner && text.chars().all(|c| c.is_ascii_uppercase() || c == '_') {
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
