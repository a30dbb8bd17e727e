//! Doctests and documentation: examples that were run, and what they were expected to print.

use super::context::{Context, File};
use super::python::{Py, docstring};
use super::{Finding, paths};
use ruff_python_ast::Stmt;
use std::collections::BTreeMap;

/// One example.
#[derive(Debug, Clone, PartialEq)]
struct Example {
    source: String,
    options: Vec<String>,
    want: String,
    line: u32,
}

/// The examples of a text, without indentation and comments.
fn examples(text: &str, first_line: u32) -> Vec<Example> {
    let mut found: Vec<Example> = Vec::new();
    let mut open = false;
    for (index, raw) in text.lines().enumerate() {
        let line = raw.trim();
        let number = first_line + u32::try_from(index).unwrap_or(0);
        if let Some(source) = line.strip_prefix(">>>") {
            let (code, comment) = split_comment(source);
            let options = option_words(comment);
            found.push(Example { source: code, options, want: String::new(), line: number });
            open = true;
        } else if let Some(last) = found.last_mut().filter(|_| open) {
            if line.is_empty() || line.starts_with("```") {
                open = false;
            } else if let Some(more) = line.strip_prefix("...").filter(|_| last.want.is_empty()) {
                let (code, comment) = split_comment(more);
                last.source.push('\n');
                last.source.push_str(&code);
                last.options.extend(option_words(comment));
            } else {
                last.want.push_str(line);
                last.want.push('\n');
            }
        }
    }
    found
}

fn option_words(comment: &str) -> Vec<String> {
    match comment.split_once("doctest:") {
        Some((_, options)) => options
            .split([',', ' '])
            .filter(|o| o.starts_with('+') || o.starts_with('-'))
            .map(ToString::to_string)
            .collect(),
        None => Vec::new(),
    }
}

fn split_comment(line: &str) -> (String, &str) {
    let mut quote = None;
    for (at, c) in line.char_indices() {
        match (quote, c) {
            (None, '\'' | '"') => quote = Some(c),
            (Some(q), c) if q == c => quote = None,
            (None, '#') => return (line[..at].split_whitespace().collect::<Vec<_>>().join(" "), &line[at..]),
            _ => {}
        }
    }
    (line.split_whitespace().collect::<Vec<_>>().join(" "), "")
}

/// The examples of every docstring, by the name of what it documents.
fn of_python(py: &Py) -> BTreeMap<String, Vec<Example>> {
    fn scope(py: &Py, body: &[Stmt], prefix: &str, found: &mut BTreeMap<String, Vec<Example>>) {
        if let Some((text, at)) = docstring(body) {
            found.entry(prefix.to_string()).or_default().extend(examples(&text, py.line_at(at)));
        }
        for stmt in body {
            match stmt {
                Stmt::FunctionDef(f) => scope(py, &f.body, &format!("{prefix}.{}", f.name), found),
                Stmt::ClassDef(c) => scope(py, &c.body, &format!("{prefix}.{}", c.name), found),
                other => {
                    for suite in super::python::suites(other) {
                        scope_inner(py, suite, prefix, found);
                    }
                }
            }
        }
    }
    fn scope_inner(py: &Py, body: &[Stmt], prefix: &str, found: &mut BTreeMap<String, Vec<Example>>) {
        for stmt in body {
            match stmt {
                Stmt::FunctionDef(f) => scope(py, &f.body, &format!("{prefix}.{}", f.name), found),
                Stmt::ClassDef(c) => scope(py, &c.body, &format!("{prefix}.{}", c.name), found),
                _ => {}
            }
        }
    }
    let mut found = BTreeMap::new();
    scope(py, py.body(), "", &mut found);
    found
}

pub(crate) fn judge(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let runs = runs_doctests(context);
    for file in &context.files {
        match (&file.py_before, &file.py_after) {
            (Some(before), Some(after)) => {
                let (old, new) = (of_python(before), of_python(after));
                let all: Vec<&Example> = new.values().flatten().collect();
                for (name, examples) in &old {
                    let now = new.get(name);
                    if now.is_none() && !examples.is_empty() && !exists(after, name) {
                        continue;
                    }
                    compare(context, file, runs, examples, now.map_or(&[], Vec::as_slice), &all, findings);
                }
                let known = old.values().flatten().cloned().collect::<Vec<_>>();
                skipped(file, &known, &all, findings);
            }
            (None, None) if paths::is_docs(file.path) && file.after.is_some() && file.before.is_some() => {
                let (old, new) = (examples(&file.text_before(), 1), examples(&file.text_after(), 1));
                let all: Vec<&Example> = new.iter().collect();
                compare(context, file, runs, &old, &new, &all, findings);
                skipped(file, &old, &all, findings);
                directives(file, findings);
            }
            (None, None) if paths::is_docs(file.path) && file.after.is_none() => {
                let message = "A page of documentation is deleted.";
                findings.push(Finding::flag("doctest-removed", Some(file.path), message));
            }
            _ => {}
        }
        if paths::is_docs_conf(file.path) {
            settings(file, findings);
        }
    }
}

/// Does a line of the text hold this code?
fn shows(text: &str, code: &str) -> bool {
    let squeezed = |text: &str| text.split_whitespace().collect::<String>();
    let code = squeezed(code);
    code.len() > 3 && text.lines().any(|line| squeezed(line).contains(&code))
}

/// Does the function or class still exist?
fn exists(py: &Py, name: &str) -> bool {
    let end = name.rsplit('.').next().unwrap_or(name);
    name.is_empty() || py.text.contains(&format!("def {end}(")) || py.text.contains(&format!("class {end}"))
}

/// Does anything of the project's configuration run doctests?
fn runs_doctests(context: &Context<'_>) -> bool {
    let configured = context
        .paths
        .iter()
        .filter(|p| super::config::is_config(p) || paths::is_ci(p) || paths::is_runner(p) || paths::is_docs_conf(p));
    configured.take(200).any(|p| context.read(p).is_some_and(|t| t.contains("doctest")))
        || context
            .paths
            .iter()
            .filter(|p| context.is_test(p))
            .any(|p| context.read(p).is_some_and(|t| t.contains("doctest.") || t.contains("import doctest")))
}

fn compare(
    context: &Context<'_>,
    file: &File<'_>,
    runs: bool,
    old: &[Example],
    new: &[Example],
    all: &[&Example],
    findings: &mut Vec<Finding>,
) {
    let mut rest: Vec<&Example> = new.iter().collect();
    let mut open = Vec::new();
    for example in old {
        match rest.iter().position(|n| n.source == example.source && n.want == example.want) {
            Some(at) => {
                rest.remove(at);
            }
            None => open.push(example),
        }
    }
    for example in open {
        if let Some(at) = rest.iter().position(|n| n.source == example.source) {
            let now = rest.remove(at);
            let reported = context.input.reported.is_empty()
                || context.reported(file.path).next().is_some()
                || context.category() == "docs";
            let message = "The output that an example is expected to print changed.";
            let finding = match reported || !runs {
                true => Finding::flag("doctest-expectation", Some(file.path), message),
                false => Finding::refuse("doctest-expectation", Some(file.path), message),
            };
            findings.push(finding.at(now.line).texts(Some(&example.want), Some(&now.want)));
        } else if !all.iter().any(|a| a.source == example.source && a.want == example.want) {
            let near = rest.iter().position(|n| {
                n.want == example.want || similar::TextDiff::from_chars(&n.source, &example.source).ratio() > 0.7
            });
            let now = near.map(|at| rest.remove(at));
            let silent = now.is_some_and(|n| n.want.is_empty() && !example.want.is_empty());
            // What still stands there, but no longer as an example.
            let quoted = now.is_none() && shows(&file.text_after(), &example.source);
            let message = match now {
                Some(_) if silent => "An example no longer shows what it gives, so it can't fail.",
                Some(_) => "An example was rewritten.",
                None => "An example that could fail is gone.",
            };
            let finding = match silent || now.is_none() && file.py_before.is_some() || quoted && runs {
                true => Finding::refuse("doctest-removed", Some(file.path), message),
                false => Finding::flag("doctest-expectation", Some(file.path), message),
            };
            findings.push(
                finding
                    .at(now.map_or(example.line, |n| n.line))
                    .texts(Some(&example.source), now.map(|n| n.source.as_str())),
            );
        }
    }
}

fn skipped(file: &File<'_>, old: &[Example], new: &[&Example], findings: &mut Vec<Finding>) {
    let pairs = |all: &[&Example]| -> Vec<(String, String, u32)> {
        all.iter().flat_map(|e| e.options.iter().map(|o| (o.clone(), e.source.clone(), e.line))).collect()
    };
    let before = pairs(&old.iter().collect::<Vec<_>>());
    for (option, source, line) in super::compare::lost(&pairs(new), &before, |p| (p.0.clone(), p.1.clone())) {
        // A new example may say what it likes.
        if !old.iter().any(|o| o.source == source) {
            continue;
        }
        let message = format!("`{option}` was added to an example.");
        let finding = match option.as_str() {
            "+SKIP" | "+IGNORE_EXCEPTION_DETAIL" => Finding::refuse("doctest-skipped", Some(file.path), message),
            _ => Finding::flag("doctest-expectation", Some(file.path), message),
        };
        findings.push(finding.at(line).texts(None, Some(&source)));
    }
}

/// Directives that switch examples off.
fn directives(file: &File<'_>, findings: &mut Vec<Finding>) {
    let count = |text: &str, word: &str| text.matches(word).count();
    let (before, after) = (file.text_before(), file.text_after());
    for word in [".. testcode", ".. doctest", ".. testoutput"] {
        if count(&after, word) < count(&before, word) {
            let message = format!("Fewer `{word}::` directives than before.");
            findings.push(Finding::flag("doctest-removed", Some(file.path), message));
        }
    }
    if count(&after, ":skipif:") > count(&before, ":skipif:") {
        let message = "`:skipif:` was added to an example.";
        findings.push(Finding::refuse("doctest-skipped", Some(file.path), message));
    }
}

/// Sphinx's configuration: lists of what is not warned about may not grow.
fn settings(file: &File<'_>, findings: &mut Vec<Finding>) {
    let read = |py: &Option<Py>| -> BTreeMap<String, (Vec<String>, String, u32)> {
        let mut found: BTreeMap<String, (Vec<String>, String, u32)> = BTreeMap::new();
        let Some(py) = py else { return found };
        super::python::walk(py.body(), &mut |stmt| {
            let (name, value) = match stmt {
                Stmt::Assign(s) => (s.targets.first().map(super::python::canon).unwrap_or_default(), &s.value),
                Stmt::AugAssign(s) => (super::python::canon(&s.target), &s.value),
                Stmt::AnnAssign(s) => match &s.value {
                    Some(value) => (super::python::canon(&s.target), value),
                    None => return true,
                },
                Stmt::Expr(s) => match &*s.value {
                    ruff_python_ast::Expr::Call(call) if super::python::dotted(&call.func).contains('.') => {
                        let name = super::python::dotted(&call.func);
                        (name.split('.').next().unwrap_or("").to_string(), &s.value)
                    }
                    _ => return true,
                },
                _ => return true,
            };
            let entry = found.entry(name).or_insert((Vec::new(), String::new(), py.line_of(stmt)));
            entry.0.extend(super::python::atoms(value));
            entry.1.push_str(&super::python::canon(value));
            true
        });
        found
    };
    let (before, after) = (read(&file.py_before), read(&file.py_after));
    let none = (Vec::new(), String::new(), 1);
    let names = [
        "suppress_warnings",
        "nitpick_ignore",
        "nitpick_ignore_regex",
        "exclude_patterns",
        "linkcheck_ignore",
        "linkcheck_exclude_documents",
        "coverage_ignore_modules",
        "coverage_ignore_functions",
        "coverage_ignore_classes",
        "autodoc_mock_imports",
        "doctest_test_doctest_blocks",
        "linkcheck_anchors_ignore",
    ];
    for name in names {
        let (old, new) = (before.get(name).unwrap_or(&none), after.get(name).unwrap_or(&none));
        let grown = super::compare::lost(&new.0, &old.0, String::clone);
        if !grown.is_empty() || new.0.is_empty() && old.1 != new.1 && !new.1.is_empty() && new.1 != "[]" {
            let message = format!("`{name}` silences more of the documentation's warnings.");
            let finding = match name {
                "autodoc_mock_imports" => Finding::flag("docs-suppressed", Some(file.path), message),
                _ => Finding::refuse("docs-suppressed", Some(file.path), message),
            };
            findings.push(finding.at(new.2).texts(Some(&old.1), Some(&new.1)));
        }
    }
    let (old, new) = (before.get("nitpicky").unwrap_or(&none), after.get("nitpicky").unwrap_or(&none));
    if old.1 == "True" && new.1 != "True" {
        findings.push(Finding::refuse("docs-suppressed", Some(file.path), "`nitpicky` is switched off.").at(new.2));
    }
    let (old, new) = (before.get("extensions").unwrap_or(&none), after.get("extensions").unwrap_or(&none));
    if let Some(gone) = super::compare::lost(&old.0, &new.0, String::clone).first() {
        let message = "An extension of the documentation is gone.";
        findings.push(Finding::flag("docs-suppressed", Some(file.path), message).at(new.2).texts(Some(gone), None));
    }
}
