//! What runs while the project is installed: `setup.py`, the build backend, and hooks of the build.

use super::context::{Context, File};
use super::python::{Py, stmt_key};
use super::{Finding, config, paths};
use ruff_python_ast::Stmt;

pub(crate) fn judge(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let explained = matches!(context.category(), "import_dependency" | "build");
    for file in context.files.iter().filter(|f| f.after.is_some()) {
        match paths::name(file.path) {
            "setup.py" => setup(context, file, explained, findings),
            "hatch_build.py" | "pdm_build.py" => {
                found(file, explained, "A hook of the build is new or changed.", findings)
            }
            "pyproject.toml" | "setup.cfg" => keys(context, file, explained, findings),
            _ => {}
        }
    }
}

fn found(file: &File<'_>, explained: bool, message: &str, findings: &mut Vec<Finding>) {
    findings.push(match explained {
        true => Finding::flag("build-changed", Some(file.path), message),
        false => Finding::refuse("build-changed", Some(file.path), message),
    });
}

fn setup(context: &Context<'_>, file: &File<'_>, explained: bool, findings: &mut Vec<Finding>) {
    let Some(after) = &file.py_after else { return };
    let keys = |py: &Py| py.body().iter().map(stmt_key).collect::<Vec<_>>();
    if file.py_before.as_ref().is_some_and(|before| keys(before) == keys(after)) {
        return;
    }
    let old: Vec<String> = file.py_before.as_ref().map(imported).unwrap_or_default();
    for name in imported(after).iter().filter(|n| !old.contains(n)) {
        if context.files.iter().any(|f| f.after.is_some() && f.path != file.path && provides(f.path, name)) {
            let message = format!("`setup.py` now loads `{name}`, which is part of the same change.");
            findings.push(Finding::refuse("build-changed", Some(file.path), message));
        }
    }
    if !explained {
        let reported = file.before.is_some() && context.reported(file.path).next().is_some();
        found(file, reported, "What runs while the project is installed is new or changed.", findings);
    }
}

/// Is the file the module of this dotted name, from some directory?
pub(crate) fn provides(path: &str, dotted: &str) -> bool {
    let stem = path.strip_suffix(".py").map(|s| s.strip_suffix("/__init__").unwrap_or(s));
    let wanted = dotted.trim_start_matches('.').replace('.', "/");
    stem.is_some_and(|s| !wanted.is_empty() && (s == wanted || s.ends_with(&format!("/{wanted}"))))
}

/// Modules, and names in them, that a file imports anywhere.
fn imported(py: &Py) -> Vec<String> {
    let mut found = Vec::new();
    super::python::walk(py.body(), &mut |stmt| {
        match stmt {
            Stmt::Import(s) => found.extend(s.names.iter().map(|a| a.name.to_string())),
            Stmt::ImportFrom(s) => {
                let module = s.module.as_ref().map_or(String::new(), ToString::to_string);
                found.extend(s.names.iter().map(|a| format!("{module}.{}", a.name)));
                found.push(module);
            }
            _ => {}
        }
        true
    });
    found
}

/// Keys that name code to run, or what is installed to run it.
fn decides(key: &str) -> bool {
    key.starts_with("build-system.")
        || key.contains("build.hooks")
        || key.contains("metadata.hooks")
        || key.contains("cmdclass")
        || key.contains("command_packages")
        || key.starts_with("poetry.build")
        || key.starts_with("pdm.build.") && key.contains("script")
        || key.starts_with("hatch.version.path")
        || key.starts_with("hatch.version.source")
}

fn keys(context: &Context<'_>, file: &File<'_>, explained: bool, findings: &mut Vec<Finding>) {
    let old = config::read(file.path, &file.text_before()).unwrap_or_default();
    let Some(new) = config::read(file.path, &file.text_after()) else { return };
    let mut changed: Vec<&String> = old.keys().chain(new.keys()).filter(|k| decides(k)).collect();
    changed.retain(|k| old.get(*k) != new.get(*k));
    changed.sort();
    changed.dedup();
    for key in changed {
        // `repair::dependencies` looks up what it names.
        let dependency = key == "build-system.requires" && explained;
        if !dependency {
            found(file, explained, &format!("`{key}` decides what runs while the project is installed."), findings);
        }
    }
    // An in-tree backend runs as it stands.
    for directory in new.get("build-system.backend-path").into_iter().flatten() {
        let below = format!("{}/", directory.trim_start_matches("./").trim_end_matches(['/', '.']));
        for other in context.files.iter().filter(|f| f.after.is_some() && paths::is_python(f.path)) {
            if below != "/" && other.path.starts_with(&below) {
                found(other, false, "This file is part of the build's backend.", findings);
            }
        }
    }
}
