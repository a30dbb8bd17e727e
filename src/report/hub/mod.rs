//! What GitHub shows of a repair: pull request, issue, comment, summary, annotations. Foreign text stands in code spans and
//! blocks, or is escaped by [`prose`]: no Markdown, HTML, mention or reference of it means anything.

mod annotations;
mod body;
mod issue;
mod summary;

use std::fmt::Write as _;

use crate::{
    detect::Failure,
    markup::{cell_code, code, details, fence, link, prose},
    origin::{Origin, TokenKind},
    outcome::{Outcome, Repair, TargetReport},
    redact::shown_line,
    report::named,
};
pub use annotations::annotations;
pub use body::pull_request_body;
pub use issue::{issue_body, issue_title, suggestion_comment};
pub use summary::summary;

/// What is shown besides the repair.
pub struct Sheet<'a> {
    /// The run.
    pub origin: &'a Origin,
    /// Whether CI runs on the pull request by itself.
    pub token: TokenKind,
    /// The model's name, where one was to be had.
    pub model: Option<&'a str>,
    /// The configuration's path in the repository.
    pub config_path: &'a str,
    /// Pull requests that fail for the base's fault.
    pub also_failing: &'a [u64],
    /// The action, as workflows name it.
    pub action: &'a str,
    /// What the repair is known by.
    pub fingerprint: &'a str,
}

/// Where our text is found again: nothing that a reader sees.
pub fn marker(fingerprint: &str) -> String {
    let plain: String = fingerprint.chars().filter(char::is_ascii_alphanumeric).collect();
    format!("<!-- test-repair: fingerprint={plain} -->")
}

/// The failures of a target, one of a cause, with links into the log.
pub(super) fn causes(target: &TargetReport) -> Vec<(&Failure, usize)> {
    let mut causes: Vec<(&Failure, usize)> = Vec::new();
    for failure in &target.failures {
        match causes.iter_mut().find(|(known, _)| known.fingerprint == failure.fingerprint) {
            Some((_, count)) => *count += 1,
            None => causes.push((failure, 1)),
        }
    }
    causes
}

/// `tests/test_a.py:7` of a failure, or its test.
pub(super) fn place(failure: &Failure) -> Option<String> {
    let line = |file: &String| failure.line.map_or_else(|| file.clone(), |line| format!("{file}:{line}"));
    failure.file.as_ref().map(line).or_else(|| failure.test_id.clone())
}

/// What failed, job by job, as a list.
pub(super) fn failures(text: &mut String, repair: &Repair, most: usize) {
    for target in &repair.learned.targets {
        let job = repair.origin.as_ref().and_then(|origin| origin.job(&target.job));
        let name = code(&target.job);
        let _ = match job {
            Some(job) => writeln!(text, "\n**{name}** ({})\n", link("log", &job.log_url(""))),
            None => writeln!(text, "\n**{name}**\n"),
        };
        let causes = causes(target);
        for (failure, count) in causes.iter().take(most) {
            let more = if *count > 1 { format!(" ({count} of one cause)") } else { String::new() };
            let place = place(failure).map(|place| format!("{}: ", code(&place))).unwrap_or_default();
            let line = job.map(|job| job.log_url(&failure.message)).filter(|url| url.contains("#step"));
            let line = line.map(|url| format!(" {}", link("log line", &url))).unwrap_or_default();
            let _ = writeln!(text, "- {} {place}{}{more}{line}", shown_line(&failure.tool, 40), code(&failure.message));
        }
        if causes.len() > most {
            let _ = writeln!(text, "- … and {} more", causes.len() - most);
        }
    }
}

/// The checks before and after, as a table.
pub(super) fn checks(text: &mut String, repair: &Repair) {
    let validation = &repair.validation;
    if validation.checks.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n| check | before | after |\n|---|---|---|");
    for check in validation.checks.iter().take(60) {
        let command = named(check, &validation.checks);
        let after = format!("{}, {:.1} s", check.after, check.seconds);
        let _ = writeln!(text, "| {} | {} | {} |", cell_code(&command), cell_code(&check.before), cell_code(&after));
    }
    if validation.collected.after > 0 {
        let _ = writeln!(
            text,
            "\nTests that ran: {} before, {} after.",
            validation.collected.before, validation.collected.after
        );
    }
}

/// Is there a fix that could not be brought to where it belongs?
pub(super) fn stranded(repair: &Repair) -> bool {
    matches!(repair.outcome, Outcome::Fixed | Outcome::Flagged) && repair.proposal.is_none() && repair.reason.is_some()
}

/// A list of foreign sentences under our words.
pub(super) fn items(text: &mut String, words: &str, items: &[String], most: usize) {
    if items.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n{words}\n");
    for item in items.iter().take(most) {
        let _ = writeln!(text, "- {}", prose(item, 400));
    }
    if items.len() > most {
        let _ = writeln!(text, "- … and {} more", items.len() - most);
    }
}

/// What failures depend on besides the code.
pub(super) fn depends(text: &mut String, repair: &Repair) {
    let named = repair.learned.targets.iter().filter_map(|target| target.baseline.as_ref()).flat_map(|b| &b.depends);
    let named: Vec<String> = named.map(|named| named.sentence()).collect();
    items(text, "**Not the code alone**, as repeats under changed conditions show:", &named, 10);
}

/// A part that is folded away; nothing where it is empty.
pub(super) fn unfolded(text: &mut String, words: &str, inner: &str) {
    if !inner.trim().is_empty() {
        let _ = writeln!(text, "\n{}", details(words, inner));
    }
}

/// A diff, bounded.
pub(super) fn diff(diff: &str, most: usize) -> String {
    let cut = if diff.chars().count() > most { "\n\n_Cut: the report's fix.patch has all of it._" } else { "" };
    format!("{}{cut}", fence(diff, "diff", most))
}

#[cfg(test)]
mod tests;
