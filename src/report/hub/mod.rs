//! What GitHub shows of a repair: pull request, issue, comment, summary, annotations. Foreign text stands in code spans and
//! blocks, or is escaped by [`prose`]: no Markdown, HTML, mention or reference of it means anything.

mod annotations;
mod body;
mod issue;
mod summary;

use std::fmt::Write as _;

use super::{code, markdown::fence};
use crate::{
    detect::Failure,
    origin::{Origin, TokenKind},
    outcome::{Repair, TargetReport},
    redact::{shown, shown_line},
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

/// A foreign text as running words: every sign that Markdown or GitHub could read is written as an entity.
pub(super) fn prose(text: &str, most: usize) -> String {
    let mut clean = String::with_capacity(text.len());
    for c in shown(text, most).chars() {
        match c {
            '\n' => clean.push_str("  \n"),
            // Letters, digits and the signs of a sentence. A full stop between letters would make a link of `www.x.y`.
            c if c.is_alphanumeric() || " ,;!?'\"/%()-=+".contains(c) => clean.push(c),
            c if c.is_whitespace() => clean.push(' '),
            c => {
                let _ = write!(clean, "&#{};", c as u32);
            }
        }
    }
    // Lines that would begin a list, a heading of dashes, or an indented block.
    let line = |line: &str| {
        let bare = line.trim_start();
        let numbered = bare.trim_start_matches(|c: char| c.is_ascii_digit());
        match bare.chars().next() {
            Some(sign @ ('-' | '+' | '=')) => format!("&#{};{}", sign as u32, &bare[1..]),
            _ if numbered.len() < bare.len() && numbered.starts_with(')') => bare.replacen(')', "&#41;", 1),
            _ => bare.to_owned(),
        }
    };
    clean.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// A cell of a table: a code span without the sign that ends cells.
pub(super) fn cell(text: &str) -> String {
    code(text).replace('|', "\\|")
}

/// A link to a page that we made up; its words are ours.
pub(super) fn link(words: &str, url: &str) -> String {
    let url: String = url.chars().filter(|c| c.is_ascii_graphic() && !"<>()[]\"'`\\".contains(*c)).collect();
    format!("[{words}]({url})")
}

/// The failures of a target, one of a cause, with links into the log.
pub(super) fn causes<'a>(target: &'a TargetReport) -> Vec<(&'a Failure, usize)> {
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
    let _ = writeln!(text, "\n| check | before (twice) | after |\n|---|---|---|");
    for check in validation.checks.iter().take(60) {
        let command = check.command.lines().last().unwrap_or_default();
        let after = format!("{}, {:.1} s", check.after, check.seconds);
        let _ = writeln!(text, "| {} | {} | {} |", cell(command), cell(&check.before), cell(&after));
    }
    if validation.collected.after > 0 {
        let _ = writeln!(
            text,
            "\nTests that ran: {} before, {} after.",
            validation.collected.before, validation.collected.after
        );
    }
}

/// A list of foreign sentences under our words.
pub(super) fn items(text: &mut String, words: &str, items: &[String], most: usize) {
    if items.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n{words}\n");
    for item in items.iter().take(most) {
        let _ = writeln!(text, "- {}", prose(&shown_line(item, 400), 400));
    }
    if items.len() > most {
        let _ = writeln!(text, "- … and {} more", items.len() - most);
    }
}

/// A part that is folded away.
pub(super) fn details(text: &mut String, summary: &str, inner: &str) {
    if !inner.trim().is_empty() {
        let _ = writeln!(text, "\n<details><summary>{summary}</summary>\n\n{}\n\n</details>", inner.trim());
    }
}

/// A diff, bounded.
pub(super) fn diff(diff: &str, most: usize) -> String {
    let mut end = diff.len().min(most);
    while !diff.is_char_boundary(end) {
        end -= 1;
    }
    let cut = if end < diff.len() { "\n… cut: the report's fix.patch has all of it" } else { "" };
    fence(&format!("{}{cut}", &diff[..end]), "diff")
}

#[cfg(test)]
mod tests;
