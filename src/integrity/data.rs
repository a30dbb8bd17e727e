//! Test data: existing rows are fixed, additions are free.

use super::context::{Context, File};
use super::{Finding, FixType, Severity, compare::lost, evidence, paths};
use serde_json::Value;

pub(crate) fn judge(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for file in context.files.iter().filter(|f| is_test_data(context, f.path)) {
        let Some(before) = file.before else { continue };
        let Some(after) = file.after else {
            let elsewhere = context.files.iter().any(|f| f.before.is_none() && f.after == Some(before));
            if !elsewhere {
                let message = "A file that tests read is deleted.";
                findings.push(Finding::refuse("test-data-changed", Some(file.path), message));
            }
            continue;
        };
        let (Ok(before), Ok(after)) = (std::str::from_utf8(before), std::str::from_utf8(after)) else {
            let message = "A binary file that tests read is changed.";
            findings.push(Finding::refuse("test-data-changed", Some(file.path), message));
            continue;
        };
        if let Some((gone, new)) = changed_row(file.path, before, after) {
            findings.push(changed(context, file, &gone, new.as_deref()));
        }
    }
}

fn changed(context: &Context<'_>, file: &File<'_>, gone: &str, new: Option<&str>) -> Finding {
    let message = "A row that tests read is changed or gone.";
    let mut finding = Finding::refuse("test-data-changed", Some(file.path), message).texts(Some(gone), new);
    let line = file.text_before().lines().position(|l| l.trim() == gone.trim());
    finding.line = line.and_then(|l| u32::try_from(l + 1).ok());
    if let Some(line) = finding.line
        && context.linted(file.path, line, line)
        && squeezed(gone).len().abs_diff(new.map_or(0, |n| squeezed(n).len())) <= 3
    {
        finding.severity = Severity::Flag;
        finding.evidence = "a linter reported this line".to_string();
    } else if context.input.declared == Some(FixType::Test) {
        let stem = paths::name(file.path).split('.').next().unwrap_or("").to_string();
        let value = new.map(|n| n.trim_end_matches([']', ',', ' ']).rsplit(", ").next().unwrap_or("").to_string());
        finding.witnesses = evidence::of(context, file.path, "", &[stem], &value.into_iter().collect::<Vec<_>>());
        if let Some(seen) = finding.witnesses.first() {
            finding.severity = Severity::Flag;
            finding.evidence = seen.to_string();
        }
    }
    finding
}

fn squeezed(text: &str) -> String {
    text.split_whitespace().collect()
}

/// Is it a file that only tests read?
pub(crate) fn is_test_data(context: &Context<'_>, path: &str) -> bool {
    if paths::is_python(path)
        || super::config::is_config(path)
        || paths::is_requirements(path)
        || paths::is_ci(path)
        || paths::is_runner(path)
    {
        return false;
    }
    if paths::is_test_data_by_place(path) {
        return true;
    }
    if paths::is_docs(path) && paths::extension(path) != "txt" || paths::parts(path).len() < 2 {
        return false;
    }
    if !matches!(
        paths::extension(path).as_str(),
        "json" | "jsonl" | "csv" | "tsv" | "yaml" | "yml" | "xml" | "txt" | "html" | "toml" | "ini" | "sql"
    ) {
        return false;
    }
    let name = paths::name(path);
    let mut in_tests = false;
    for other in context.paths.iter().filter(|p| paths::is_python(p)) {
        if context.read(other).is_some_and(|t| t.contains(name)) {
            if !context.is_test(other) {
                return false;
            }
            in_tests = true;
        }
    }
    in_tests
}

/// The first row that is no longer there, and what stands in its place.
fn changed_row(path: &str, before: &str, after: &str) -> Option<(String, Option<String>)> {
    let rows = |text: &str| -> Vec<String> {
        let lines = text.lines().map(|l| l.trim().trim_end_matches(',').to_string());
        lines.filter(|l| !l.is_empty()).collect()
    };
    let parsed: (Option<Value>, Option<Value>) = match paths::extension(path).as_str() {
        "json" => (serde_json::from_str(before).ok(), serde_json::from_str(after).ok()),
        "yml" | "yaml" => (serde_saphyr::from_str(before).ok(), serde_saphyr::from_str(after).ok()),
        _ => (None, None),
    };
    if let (Some(old), Some(new)) = parsed {
        return missing(&old, &new);
    }
    let (old, new) = (rows(before), rows(after));
    let gone = lost(&old, &new, String::clone);
    let first = gone.first()?;
    Some((first.clone(), lost(&new, &old, String::clone).first().cloned()))
}

/// What the later value lacks.
fn missing(old: &Value, new: &Value) -> Option<(String, Option<String>)> {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => old.iter().find_map(|(key, value)| match new.get(key) {
            Some(now) => missing(value, now),
            None => Some((format!("{key}: {value}"), None)),
        }),
        (Value::Array(old), Value::Array(new)) => {
            let mut rest = new.iter();
            let gone = old.iter().find(|o| !rest.any(|n| n == *o))?;
            Some((gone.to_string(), new.iter().find(|n| !old.contains(n)).map(ToString::to_string)))
        }
        (old, new) if old == new => None,
        (old, new) => Some((old.to_string(), Some(new.to_string()))),
    }
}
