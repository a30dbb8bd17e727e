//! Manifests and locks: only what the failure's category explains.

use super::context::{Context, File};
use super::{Finding, config, paths};
use std::collections::BTreeMap;

const CHECKERS: [&str; 34] = [
    "pytest",
    "pytest-cov",
    "coverage",
    "mypy",
    "ruff",
    "flake8",
    "black",
    "isort",
    "bandit",
    "pylint",
    "pyright",
    "tox",
    "nox",
    "sphinx",
    "doc8",
    "interrogate",
    "pytest-benchmark",
    "hypothesis",
    "codespell",
    "pydocstyle",
    "pycodestyle",
    "pyflakes",
    "pre-commit",
    "pip-audit",
    "safety",
    "vulture",
    "radon",
    "xenon",
    "yamllint",
    "ty",
    "pytest-timeout",
    "pytest-randomly",
    "deptry",
    "semgrep",
];

/// Do failures of this category come from dependencies?
pub(crate) fn explains_dependencies(category: &str) -> bool {
    matches!(category, "import_dependency" | "security" | "build" | "infra")
}

pub(crate) fn judge(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for file in &context.files {
        let moved =
            file.before.is_none() && paths::is_python(file.path) && !file.is_test && !paths::is_runner(file.path);
        if moved && context.category() == "coverage" && !paths::is_docs(file.path) {
            let message = "A new module of the program, where coverage is what failed: what is measured has changed.";
            findings.push(Finding::refuse("scope", Some(file.path), message));
        }
        if paths::is_lock(file.path) {
            if !explains_dependencies(context.category()) {
                let message = "A lock file changed, which this category of failure does not explain.";
                findings.push(Finding::flag("scope", Some(file.path), message));
            }
            continue;
        }
        let (before, after) =
            (requirements(file.path, &file.text_before()), requirements(file.path, &file.text_after()));
        if before == after {
            continue;
        }
        requirement_changes(context, file, &before, &after, findings);
    }
}

/// Names of requirements with their versions, wherever a manifest lists them.
fn requirements(path: &str, text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut add = |text: &str| {
        let bare = text.split('#').next().unwrap_or("").trim().trim_matches(['"', '\'', ',']);
        let end = bare.find(|c: char| !(c.is_alphanumeric() || "-_.".contains(c))).unwrap_or(bare.len());
        if end > 0 && !bare.starts_with(['-', '.']) {
            found.insert(bare[..end].to_ascii_lowercase().replace('_', "-"), bare[end..].trim().to_string());
        }
    };
    if paths::is_requirements(path) {
        text.lines()
            .map(str::trim)
            .filter(|l| !l.starts_with('-') || path.ends_with("ml"))
            .for_each(|l| add(l.trim_start_matches("- ")));
    } else if config::is_shared(path) {
        for (key, values) in config::read(path, text).unwrap_or_default() {
            let low = key.to_ascii_lowercase();
            let table = low.contains("dependencies.") && !low.ends_with("dependencies");
            let listing = low.contains("dependencies")
                || low.contains("install_requires")
                || low.contains("extras_require")
                || low.ends_with(".requires");
            if low.starts_with("poetry") && table || low.starts_with("pdm") && table && !low.contains("dev-dep") {
                let name = key.rsplit('.').next().unwrap_or("");
                add(&format!("{name} {}", values.join(" ")));
            } else if listing || low.starts_with("dependency-groups") || low.ends_with(".deps") {
                values.iter().for_each(|v| add(v));
            }
        }
    }
    found
}

fn requirement_changes(
    context: &Context<'_>,
    file: &File<'_>,
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
    findings: &mut Vec<Finding>,
) {
    let category = context.category();
    let mut unexplained = Vec::new();
    for name in before.keys().chain(after.keys().filter(|n| !before.contains_key(*n))) {
        let (was, is) = (before.get(name), after.get(name));
        if was == is {
            continue;
        }
        let checker = CHECKERS.contains(&name.as_str()) || name.starts_with("pytest-") || name.starts_with("flake8-");
        if checker && was.is_some() && !matches!(category, "import_dependency" | "build" | "infra") {
            let failing = context.input.reported.iter().any(|r| r.tool.eq_ignore_ascii_case(name))
                || category == "coverage" && (name.contains("cov"));
            let message = format!("`{name}`, which does the checking, is changed or gone.");
            let finding = match failing || is.is_none() {
                true => Finding::refuse("tool-pinned", Some(file.path), message),
                false => Finding::flag("tool-pinned", Some(file.path), message),
            };
            findings.push(finding.texts(was.map(String::as_str), is.map(String::as_str)));
        } else {
            unexplained.push(name.clone());
        }
    }
    let typing = context.input.reported.iter().any(|r| r.code.as_deref().is_some_and(|c| c.contains("import")));
    if !unexplained.is_empty() && !explains_dependencies(category) && !typing {
        let message = "Dependencies changed, which this category of failure does not explain.";
        findings.push(Finding::flag("scope", Some(file.path), message).seen(unexplained.join(", ")));
    }
}
