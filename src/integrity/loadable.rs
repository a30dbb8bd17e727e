//! Files that run because they are there: `conftest`, plugins, `__init__`, `setup.py`, `sitecustomize`, shadowing modules.

use super::context::{Context, File};
use super::python::{Py, canon, dotted, last, stmt_key, string_value};
use super::{Finding, compare::lost, paths};
use ruff_python_ast::{Expr, Stmt};

pub(crate) fn judge(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for file in &context.files {
        let name = paths::name(file.path);
        if matches!(name, "sitecustomize.py" | "usercustomize.py")
            || paths::extension(file.path) == "pth"
            || name == "pytest_plugin.py" && file.before.is_none()
        {
            let message = "Python or its tools load this file by themselves.";
            findings.push(Finding::refuse("loaded-by-itself", Some(file.path), message));
            continue;
        }
        let Some(after) = &file.py_after else {
            if name == "conftest.py" && file.before.is_some() {
                let message = "A `conftest.py` is deleted.";
                findings.push(Finding::flag("loadable-effect", Some(file.path), message));
            }
            continue;
        };
        anywhere(file, after, findings);
        if name == "conftest.py" || name.contains("plugin") && file.is_test {
            hooks(file, after, findings);
        }
        if matches!(name, "conftest.py" | "__init__.py" | "setup.py") || file.is_test || paths::is_docs_conf(file.path)
        {
            super::effects::judge(file, after, findings);
        }
    }
}

/// Calls that no repair needs, wherever they are.
fn anywhere(file: &File<'_>, after: &Py, findings: &mut Vec<Finding>) {
    let before = file.py_before.as_ref().map(dangerous).unwrap_or_default();
    for (what, text, line) in lost(&dangerous(after), &before, |d| d.1.clone()) {
        let (rule, message) = match what {
            "install" => ("runtime-install", "Packages are installed while the program or its tests run."),
            "exit" => ("forced-exit", "The process can be ended here, whatever the tests say."),
            "modules" => ("module-faked", "A module is put in place of another one."),
            "measure" => ("runner-tampered", "The runner or what measures it is reached into."),
            _ => ("loadable-effect", "A process is started where tests are loaded."),
        };
        if what == "process"
            && !(file.is_test && paths::name(file.path) == "conftest.py" || paths::name(file.path) == "setup.py")
        {
            continue;
        }
        if what == "exit" && !file.is_test && !text.contains("_exit") {
            continue;
        }
        findings.push(Finding::refuse(rule, Some(file.path), message).at(line).texts(None, Some(&text)));
    }
}

fn dangerous(py: &Py) -> Vec<(&'static str, String, u32)> {
    let mut found = Vec::new();
    for stmt in py.changed() {
        super::python::exprs(stmt, &mut |expr| {
            let line = py.line_of(expr);
            if let Expr::Subscript(s) = expr
                && s.ctx.is_store()
                && dotted(&s.value) == "sys.modules"
            {
                found.push(("modules", canon(expr), line));
            }
            let Expr::Call(call) = expr else { return true };
            let name = dotted(&call.func);
            let text = canon(expr);
            let mut words: Vec<String> = Vec::new();
            super::python::exprs_in(expr, &mut |e| {
                words.extend(string_value(e));
                true
            });
            let joined = words.join(" ");
            let starts = name.starts_with("subprocess.")
                || matches!(
                    name.as_str(),
                    "os.system"
                        | "os.popen"
                        | "Popen"
                        | "check_call"
                        | "check_output"
                        | "pip.main"
                        | "os.execv"
                        | "os.execvp"
                );
            if starts && (joined.contains("pip install") || words.iter().any(|w| w == "pip" || w == "install"))
                || name.starts_with("pip.") && name.ends_with("main")
            {
                found.push(("install", text, line));
            } else if starts || matches!(name.as_str(), "exec" | "eval" | "os.execv") {
                found.push(("process", text, line));
            } else if matches!(
                name.as_str(),
                "os._exit" | "posix._exit" | "nt._exit" | "os.abort" | "os.kill" | "sys.exit" | "pytest.exit"
            ) {
                found.push(("exit", text, line));
            } else if matches!(name.as_str(), "sys.modules.setdefault" | "sys.modules.update") {
                found.push(("modules", text, line));
            } else if matches!(
                name.as_str(),
                "sys.settrace" | "sys.setprofile" | "threading.settrace" | "coverage.Coverage" | "atexit.register"
            ) || name.contains("pluginmanager.")
                && !name.ends_with("getplugin")
                && !name.ends_with("hasplugin")
                || matches!(last(&name), "deselect_items" | "pytest_deselected")
            {
                found.push(("measure", text, line));
            }
            true
        });
    }
    found
}

/// Hooks of the runner.
fn hooks(file: &File<'_>, after: &Py, findings: &mut Vec<Finding>) {
    let read = |py: &Py| -> Vec<(String, String, u32)> {
        let mut found = Vec::new();
        super::python::walk_changed(py, &mut |stmt| {
            if let Stmt::FunctionDef(f) = stmt {
                let hook = f.decorator_list.iter().any(|d| canon(&d.expression).contains("hookimpl"));
                if f.name.starts_with("pytest_") || hook {
                    found.push((
                        f.name.to_string(),
                        f.body.iter().map(stmt_key).collect::<String>(),
                        py.line_of(&f.name),
                    ));
                }
            }
            true
        });
        found
    };
    let before = file.py_before.as_ref().map(read).unwrap_or_default();
    let now = read(after);
    for (name, _, line) in lost(&now, &before, |h| (h.0.clone(), h.1.clone())) {
        let message = format!("The runner's hook `{name}` is new or changed.");
        findings.push(Finding::refuse("runner-hook", Some(file.path), message).at(line));
    }
    for (name, _, _) in before.iter().filter(|b| !now.iter().any(|n| n.0 == b.0)) {
        let message = format!("The runner's hook `{name}` is gone.");
        findings.push(Finding::flag("runner-hook", Some(file.path), message));
    }
}
