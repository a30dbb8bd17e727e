//! The report of `fix`, for people: what failed, the proof, the patch, what was not checked.

use std::fmt::Write as _;

use console::style;

use super::{Table, detected};
use crate::{
    outcome::{Outcome, Repair, TargetReport},
    redact::{shown, shown_line},
    repair::Validation,
    sandbox::Posture,
};

/// The whole report.
pub fn fixed_text(repair: &Repair) -> String {
    let mut text = String::new();
    let outcome = style(repair.outcome.words()).bold();
    let outcome = match repair.outcome {
        Outcome::Fixed => outcome.green(),
        Outcome::Flagged => outcome.yellow(),
        _ => outcome.red(),
    };
    let _ = writeln!(text, "{outcome}\n");
    targets(&mut text, &repair.learned.targets);
    if let Some(fix) = &repair.fix {
        heading(&mut text, "The fix");
        let _ = writeln!(text, "  {} ({}, {})", shown(&fix.description, 1000), fix.fix_type, fix.tier);
        let _ = writeln!(text, "  {}", shown(&fix.impact, 1000));
        list(&mut text, "Look at", &fix.flags);
        proof(&mut text, &repair.validation);
        heading(&mut text, "The patch");
        text.push_str(&diff(&fix.diff));
    } else {
        if let Some(diagnosis) = &repair.learned.diagnosis {
            heading(&mut text, "The diagnosis");
            let _ = writeln!(text, "  {}", shown_line(&diagnosis.root_cause, 400));
            if let Some(place) = &diagnosis.place {
                let _ = writeln!(text, "  look first at {}", shown_line(place, 200));
            }
        }
        for (number, attempt) in repair.attempts.iter().enumerate() {
            heading(&mut text, &format!("Attempt {}: {}", number + 1, attempt.verdict));
            let _ = writeln!(text, "  {}", shown(&attempt.description, 1000));
            for reason in &attempt.reasons {
                let _ = writeln!(text, "  - {}", shown_line(reason, 400));
            }
            text.push_str(&diff(&attempt.diff));
        }
    }
    let baseline_notes = repair.learned.targets.iter().filter_map(|t| t.baseline.as_ref()).flat_map(|b| b.notes.clone());
    list(&mut text, "Not checked", &repair.validation.not_checked);
    let notes: Vec<String> = repair.learned.notes.iter().cloned().chain(baseline_notes).collect();
    list(&mut text, "Notes", &notes);
    posture(&mut text, repair.learned.sandbox.as_ref());
    let total: f64 = repair.timings.iter().map(|t| t.seconds).sum();
    let _ = writeln!(text, "{}", style(format!("{total:.1} s in all")).dim());
    text
}

pub(super) fn heading(text: &mut String, title: &str) {
    let _ = writeln!(text, "{}", style(title).bold().underlined());
}

pub(super) fn list(text: &mut String, title: &str, items: &[String]) {
    if items.is_empty() {
        return;
    }
    heading(text, title);
    for item in items.iter().take(30) {
        let _ = writeln!(text, "  - {}", shown_line(item, 300));
    }
    if items.len() > 30 {
        let _ = writeln!(text, "  … and {} more", items.len() - 30);
    }
}

/// What failed, and whether it was seen again.
pub(super) fn targets(text: &mut String, targets: &[TargetReport]) {
    for target in targets {
        heading(text, &format!("What failed in {}", shown_line(&target.job, 100)));
        text.push_str(&detected::causes(&target.failures));
        if let Some(baseline) = &target.baseline {
            match &baseline.why {
                Some(why) => {
                    let _ = writeln!(text, "  not reproduced: {}", shown(why, 2000).replace('\n', "\n    "));
                }
                None => {
                    let _ = writeln!(
                        text,
                        "  reproduced twice: {} of {} failure(s)",
                        baseline.reproduced,
                        target.failures.len()
                    );
                }
            }
        }
        if let Some(plan) = &target.plan {
            for skipped in &plan.skipped {
                let line = format!("  not rebuilt: {} ({})", shown_line(&skipped.what, 100), skipped.why);
                let _ = writeln!(text, "{}", style(line).dim());
            }
        }
    }
}

/// The checks before and after.
pub(super) fn proof(text: &mut String, validation: &Validation) {
    if validation.checks.is_empty() {
        return;
    }
    heading(text, "The proof");
    let mut table = Table::new(&["check", "before", "after", ""]);
    for check in &validation.checks {
        let command = check.command.lines().last().unwrap_or_default();
        let after = shown_line(&check.after, 60);
        let after = if check.after.starts_with("passed") { style(after).green() } else { style(after).red() };
        table.row(vec![
            shown_line(command, 70),
            shown_line(&check.before, 40),
            after.to_string(),
            format!("{:.1} s", check.seconds),
        ]);
    }
    text.push_str(&table.render(2));
    if validation.collected.after > 0 {
        let _ = writeln!(text, "  tests: {} before, {} after", validation.collected.before, validation.collected.after);
    }
}

/// What the sandbox enforced.
pub(super) fn posture(text: &mut String, posture: Option<&Posture>) {
    let Some(posture) = posture else { return };
    heading(text, &format!("The sandbox ({})", posture.kind));
    let _ = writeln!(text, "  enforced: {}", posture.enforced.join(", "));
    for missing in &posture.missing {
        let _ = writeln!(text, "  missing: {}", shown_line(missing, 200));
    }
}

fn diff(diff: &str) -> String {
    let mut text = String::new();
    for line in shown(diff, 20_000).lines() {
        let styled = match line.as_bytes().first() {
            Some(b'+') if !line.starts_with("+++") => style(line).green(),
            Some(b'-') if !line.starts_with("---") => style(line).red(),
            Some(b'@') => style(line).cyan(),
            _ => style(line),
        };
        let _ = writeln!(text, "  {styled}");
    }
    text
}
