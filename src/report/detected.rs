//! What `detect` found: for people grouped by cause, for scripts one object a log.

use std::{collections::HashMap, fmt::Write as _};

use console::style;
use serde_json::json;

use super::json_line;
use crate::{
    detect::{Category, Failure, JobLog, JobResult},
    redact::{redact, shown_line},
};

/// At most so many failures of one cause, and so many causes, are listed for people.
const LISTED: usize = 5;
const GROUPS: usize = 50;

/// The outside's word for a category.
pub(super) fn word(category: Category) -> String {
    serde_json::to_value(category).ok().and_then(|v| Some(v.as_str()?.to_owned())).unwrap_or_default()
}

/// One object a line for each job log.
pub fn detected_json(logs: &[JobLog]) -> String {
    let line = |log: &JobLog| {
        let failures: Vec<Failure> = log.failures.iter().map(clean).collect();
        json_line(&json!({
            "schema": 1, "log": log.log, "job": log.job, "result": log.result, "category": log.category,
            "failures": failures, "dropped": log.dropped,
        }))
    };
    logs.iter().map(line).collect()
}

fn clean(failure: &Failure) -> Failure {
    Failure { message: redact(&failure.message), excerpt: redact(&failure.excerpt), ..failure.clone() }
}

/// What broke, at a glance.
pub fn detected_text(logs: &[JobLog]) -> String {
    let mut text = String::new();
    for log in logs {
        let job = log.job.clone().unwrap_or_else(|| log.log.clone());
        let result = match log.result {
            JobResult::Failure => style("failed").red().to_string(),
            JobResult::Success => style("passed").green().to_string(),
            JobResult::Unknown => "unknown result".to_owned(),
        };
        let category = log.category.map(|c| format!(", {}", word(c))).unwrap_or_default();
        let file =
            if logs.len() > 1 && log.log != job { format!(" ({})", shown_line(&log.log, 120)) } else { String::new() };
        let step = log.failures.first().and_then(|failure| failure.step.as_deref());
        let step = step.map(|step| format!(", in {}", shown_line(step, 100))).unwrap_or_default();
        let _ = writeln!(text, "{}{file}: {result}{category}{step}", style(shown_line(&job, 120)).bold());
        text.push_str(&causes(&log.failures));
        if log.failures.is_empty() {
            let _ = writeln!(text, "  no failure found");
        }
        if log.dropped > 0 {
            let _ = writeln!(text, "  … and {} more, which were only counted", log.dropped);
        }
        if log.jobs > 1 {
            let _ = writeln!(text, "  … and {} more jobs, of which only the result was kept", log.jobs - 1);
        }
    }
    text
}

/// Failures grouped by cause, in the log's order.
pub(super) fn causes(failures: &[Failure]) -> String {
    let mut text = String::new();
    let mut groups: Vec<Vec<&Failure>> = Vec::new();
    let mut at: HashMap<&str, usize> = HashMap::new();
    for failure in failures {
        let next = groups.len();
        match *at.entry(&failure.fingerprint).or_insert(next) {
            known if known < next => groups[known].push(failure),
            _ => groups.push(vec![failure]),
        }
    }
    let more = groups.len().saturating_sub(GROUPS);
    for group in groups.into_iter().take(GROUPS) {
        let first = group[0];
        let total: u32 = group.iter().map(|f| f.count).sum();
        let times = if total > 1 { format!(" ({total} of one cause)") } else { String::new() };
        let _ = writeln!(
            text,
            "  {} {}{times}",
            style(shown_line(&first.tool, 60)).cyan(),
            style(shown_line(&first.message, 160)).bold()
        );
        for failure in group.iter().take(LISTED) {
            let place = failure.file.as_ref().map(|file| match failure.line {
                Some(line) => format!("{file}:{line}"),
                None => file.clone(),
            });
            let parts: Vec<String> =
                [place, failure.test_id.clone()].into_iter().flatten().map(|p| shown_line(&p, 140)).collect();
            if !parts.is_empty() {
                let _ = writeln!(text, "      {}", parts.join("  "));
            }
        }
        if group.len() > LISTED {
            let _ = writeln!(text, "      … and {} more", group.len() - LISTED);
        }
    }
    if more > 0 {
        let _ = writeln!(text, "  … and {more} more causes (--format json has them all)");
    }
    text
}
