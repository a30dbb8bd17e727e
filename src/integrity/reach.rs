//! Code that reaches out of the program: to the network, and to other programs. A repair seldom needs it,
//! and no test sees what it does there.

use super::context::Context;
use super::python::{Py, dotted, last};
use super::{Finding, compare::lost};
use ruff_python_ast::Expr;

pub(crate) fn judge(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for file in context.files.iter().filter(|f| !f.is_test) {
        let Some(after) = &file.py_after else { continue };
        let old = file.py_before.as_ref().map(reaches).unwrap_or_default();
        for (what, line, name) in lost(&reaches(after), &old, |r| r.0) {
            let message = format!("The program now reaches {what}, which this file did not.");
            findings.push(Finding::flag("reaches-out", Some(file.path), message).seen(name).at(line));
        }
    }
}

/// What a file reaches, each once, with the line and the name by which it does.
fn reaches(py: &Py) -> Vec<(&'static str, u32, String)> {
    let mut found: Vec<(&'static str, u32, String)> = Vec::new();
    for stmt in py.body() {
        super::python::exprs(stmt, &mut |expr| {
            let name = match expr {
                Expr::Attribute(_) => dotted(expr),
                Expr::Call(call) if matches!(&*call.func, Expr::Name(_)) => dotted(&call.func),
                _ => return true,
            };
            if let Some(what) = reached(&name).filter(|what| found.iter().all(|(known, ..)| known != what)) {
                found.push((what, py.line_of(expr), name));
            }
            true
        });
    }
    found
}

fn reached(name: &str) -> Option<&'static str> {
    let begins = |modules: &[&str]| modules.iter().any(|module| name.starts_with(module));
    let end = last(name);
    // Constants, errors and types do nothing.
    let plain = !end.contains(|c: char| c.is_ascii_lowercase())
        || ["Error", "Exception", "Response", "CompletedProcess", "timeout", "gethostname"]
            .iter()
            .any(|e| end.ends_with(e))
        || name.contains(".exceptions");
    if plain {
        return None;
    }
    let network = [
        "aiohttp.",
        "ftplib.",
        "http.client.",
        "httpx.",
        "requests.",
        "smtplib.",
        "socket.",
        "urllib.request.",
        "urllib3.",
    ];
    if begins(&network) || matches!(end, "urlopen" | "urlretrieve") {
        return Some("the network");
    }
    let programs =
        ["os.exec", "os.fork", "os.popen", "os.posix_spawn", "os.spawn", "os.system", "pty.", "subprocess.", "ctypes."];
    if begins(&programs) || matches!(end, "create_subprocess_exec" | "create_subprocess_shell") {
        return Some("other programs");
    }
    None
}
