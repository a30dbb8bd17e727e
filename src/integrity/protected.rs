//! Files that a repair may not touch: continuous integration, runners, hooks, and the job's own scripts.

use super::context::{Context, File};
use super::{Finding, paths};
use regex::Regex;
use ruff_python_ast::Stmt;

/// Is a path one of those that a repository protects: by a glob, or by a directory above it?
pub fn is_protected(path: &str, protected: &[String]) -> bool {
    protected.iter().any(|p| {
        glob::Pattern::new(p).is_ok_and(|glob| glob.matches(path))
            || path.starts_with(&format!("{}/", p.trim_end_matches('/')))
    })
}

pub(crate) fn judge(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let mentioned = mentioned_scripts(context);
    for file in &context.files {
        let path = file.path;
        let configured = is_protected(path, context.input.protected);
        if paths::is_ci(path) || configured {
            let why = if configured { "the configuration protects it" } else { "it belongs to continuous integration" };
            findings.push(
                Finding::refuse("protected-path", Some(path), format!("This file may not change: {why}.")).seen(path),
            );
        } else if paths::is_git(path) {
            let message = "This file decides what git itself reads, runs or writes.";
            findings.push(Finding::refuse("protected-path", Some(path), message).seen(path));
        } else if paths::name(path) == ".pre-commit-config.yaml" {
            hooks(file, findings);
        } else if paths::is_runner(path) {
            runner(context, file, findings);
        } else if paths::is_ignore_list(path) {
            let gained = super::compare::lost(&lines(&file.text_after()), &lines(&file.text_before()), String::clone);
            if let Some(first) = gained.first() {
                let message = "An ignore list or baseline of a check grew.";
                findings.push(Finding::refuse("check-excluded", Some(path), message).texts(None, Some(first)));
            }
        } else if paths::name(path) == ".gitignore" {
            ignored(context, file, findings);
        } else if mentioned.iter().any(|m| m == path) && !file.is_test {
            let raised = context.category() == "runtime_error" || context.reported(path).next().is_some();
            let message = "A script that the checks run is changed.";
            let finding = match raised {
                true => Finding::flag("check-command-changed", Some(path), message),
                false => Finding::refuse("check-command-changed", Some(path), message),
            };
            findings.push(finding.seen("a workflow, tox or make file runs it"));
        }
        if file.symlink {
            let target = file.text_after();
            let message = "A symbolic link is changed.";
            let out = target.starts_with('/') || target.contains("..");
            let delicate = file.is_test || super::config::is_config(path) || out;
            findings.push(match delicate {
                true => Finding::refuse("symlink", Some(path), message),
                false => Finding::flag("symlink", Some(path), message),
            });
        }
    }
}

/// Lines that say something.
fn lines(text: &str) -> Vec<String> {
    let bare = text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
    bare.map(ToString::to_string).collect()
}

fn hooks(file: &File<'_>, findings: &mut Vec<Finding>) {
    let read = |text: String| serde_saphyr::from_str::<serde_json::Value>(&text).ok();
    let (Some(before), Some(after)) = (read(file.text_before()), read(file.text_after())) else {
        let message = "The hooks' configuration is new, gone or unreadable.";
        findings.push(Finding::refuse("protected-path", Some(file.path), message));
        return;
    };
    if before == after {
        return;
    }
    let without = |value: &serde_json::Value| {
        let mut value = value.clone();
        strip(&mut value);
        value
    };
    if without(&before) == without(&after) {
        let message = "The version of a hook, or what is installed with it, changed.";
        findings.push(Finding::flag("tool-pinned", Some(file.path), message));
    } else {
        let message = "The hooks, their arguments or what they look at changed.";
        findings.push(Finding::refuse("protected-path", Some(file.path), message));
    }
}

fn strip(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(map) => {
            map.remove("rev");
            map.remove("additional_dependencies");
            map.values_mut().for_each(strip);
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

fn runner(context: &Context<'_>, file: &File<'_>, findings: &mut Vec<Finding>) {
    if let (Some(before), Some(after)) = (&file.py_before, &file.py_after) {
        let keys = |py: &super::python::Py| py.body().iter().map(super::python::stmt_key).collect::<Vec<_>>();
        if keys(before) == keys(after) {
            return;
        }
        if context.category() == "import_dependency" && without_installs(before) == without_installs(after) {
            let message = "What a session installs changed.";
            findings.push(Finding::flag("check-command-changed", Some(file.path), message));
            return;
        }
    } else if lines(&file.text_before()) == lines(&file.text_after()) {
        return;
    }
    let message = "This file says what commands the checks run.";
    findings.push(Finding::refuse("check-command-changed", Some(file.path), message));
}

fn without_installs(py: &super::python::Py) -> Vec<String> {
    let mut found = Vec::new();
    super::python::walk(py.body(), &mut |stmt| {
        let install = matches!(stmt, Stmt::Expr(e) if super::python::dotted(&e.value).ends_with(".install"));
        if !install && super::python::suites(stmt).is_empty() {
            found.push(super::python::stmt_key(stmt));
        }
        true
    });
    found
}

/// A pattern of `.gitignore` that hides tracked Python or documentation from tools that respect it.
fn ignored(context: &Context<'_>, file: &File<'_>, findings: &mut Vec<Finding>) {
    let (before, after) = (lines(&file.text_before()), lines(&file.text_after()));
    let mut new = super::compare::lost(&after, &before, String::clone);
    new.retain(|l| !l.starts_with('!'));
    // An exception that is gone hides as a new pattern does.
    let gone = super::compare::lost(&before, &after, String::clone);
    new.extend(gone.iter().filter_map(|l| l.strip_prefix('!').map(ToString::to_string)));
    for line in new {
        let plain: String = line.replace('\\', "");
        let line = plain.as_str();
        let bare = line.trim_start_matches('/').trim_end_matches('/').trim_end_matches("/*").trim_end_matches("/**");
        let Ok(pattern) = glob::Pattern::new(bare) else { continue };
        let hit = context.paths.iter().find(|p| {
            let parts = paths::parts(p);
            context.input.change.files.get(*p).is_none_or(|c| c.after.is_some())
                && (pattern.matches(p)
                    || parts.iter().any(|part| pattern.matches(part))
                    || p.starts_with(&format!("{bare}/")))
        });
        if let Some(hit) = hit {
            let message = format!("`{line}` hides tracked files from tools that respect ignore files.");
            findings.push(Finding::refuse("check-excluded", Some(file.path), message).seen(hit.clone()));
        }
    }
}

/// Paths that workflows and runners name as commands.
fn mentioned_scripts(context: &Context<'_>) -> Vec<String> {
    let Ok(token) = Regex::new(r"[A-Za-z0-9_./\-]+") else { return Vec::new() };
    let mut found = Vec::new();
    for path in context.paths.iter().filter(|p| paths::is_ci(p) || paths::is_runner(p) || p.as_str() == "tox.ini") {
        let Some(text) = context.read(path) else { continue };
        for hit in token.find_iter(&text) {
            let hit = hit.as_str().trim_start_matches("./");
            let script = matches!(paths::extension(hit).as_str(), "sh" | "bash" | "py" | "ps1" | "bat" | "")
                && (hit.contains('/') || paths::extension(hit) == "sh")
                && !matches!(paths::name(hit), "setup.py" | "conf.py");
            if script && context.paths.binary_search_by(|p| p.as_str().cmp(hit)).is_ok() {
                found.push(hit.to_string());
            }
        }
    }
    found.sort();
    found.dedup();
    found
}
