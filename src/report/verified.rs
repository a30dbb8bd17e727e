//! The report of `verify`, for people.

use std::fmt::Write as _;

use console::style;

use super::fixed::{folded, heading, list, posture, proof, targets, times};
use crate::{
    integrity::Severity,
    outcome::{Verdict, Verification},
    redact::shown_line,
    repair::Validation,
};

/// The whole report.
pub fn verified_text(verification: &Verification) -> String {
    let mut text = String::new();
    let verdict = style(verification.headline()).bold();
    let verdict = match verification.verdict {
        Verdict::Proven => verdict.green(),
        Verdict::Flagged => verdict.yellow(),
        _ => verdict.red(),
    };
    let _ = writeln!(text, "{verdict}\n");
    if !verification.findings.is_empty() {
        heading(&mut text, "What integrity found");
    }
    for finding in &verification.findings {
        let severity = match finding.severity {
            Severity::Refuse => style("refused").red(),
            Severity::Flag => style("flagged").yellow(),
        };
        let place = finding.file.as_ref().map(|file| match finding.line {
            Some(line) => format!("{file}:{line}: "),
            None => format!("{file}: "),
        });
        let place = shown_line(&place.unwrap_or_default(), 200);
        let _ = writeln!(text, "  {severity} {place} {} [{}]", folded(&finding.message, 600), finding.rule);
        for (sign, side) in [("-", &finding.before), ("+", &finding.after)] {
            for line in side.iter().flat_map(|s| s.lines()).take(6) {
                let _ = writeln!(text, "    {sign} {}", shown_line(line, 160));
            }
        }
    }
    if let Some(finding) = verification.findings.first() {
        let hint = format!("`test-repair explain {}` says what the rule means and how it can be wrong", finding.rule);
        let _ = writeln!(text, "  {}", style(hint).dim());
    }
    let from_findings = |r: &String| !verification.findings.iter().any(|f| r.contains(&f.message));
    let reasons: Vec<String> = verification.all_reasons().into_iter().filter(from_findings).collect();
    list(&mut text, "Why", &reasons);
    targets(&mut text, &verification.learned.targets);
    proof(
        &mut text,
        &Validation { checks: verification.checks.clone(), collected: verification.collected, ..Validation::default() },
    );
    list(&mut text, "Not checked", &verification.not_checked);
    posture(&mut text, verification.learned.sandbox.as_ref());
    let _ = writeln!(text, "{}", style(times(&verification.timings)).dim());
    text
}
