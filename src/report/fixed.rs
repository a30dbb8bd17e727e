//! The report of `fix`, for people: what failed, the proof, the patch, what was not checked.

use std::fmt::Write as _;

use console::style;

use super::{Table, detected, named};
use crate::{
    llm::Usage,
    outcome::{Attempt, Diagnosis, Outcome, Repair, TargetReport},
    progress::Timing,
    redact::{shown, shown_line},
    repair::Validation,
    sandbox::Posture,
};

/// More of a patch is nothing for a terminal.
const LARGEST_PATCH: usize = 1 << 20;

/// The whole report. Its patch stands at the line's beginning: `git apply` takes it from here.
pub fn fixed_text(repair: &Repair) -> String {
    let mut text = String::new();
    let outcome = style(repair.headline()).bold();
    let outcome = match repair.outcome {
        Outcome::Fixed => outcome.green(),
        Outcome::Flagged => outcome.yellow(),
        _ => outcome.red(),
    };
    let _ = writeln!(text, "{outcome}");
    if let Some(proposal) = &repair.proposal {
        let _ = writeln!(text, "{}", shown_line(&proposal.url, 400));
    }
    if let Some(reason) = &repair.reason {
        let _ = writeln!(text, "{}", folded(reason, 2000));
    }
    text.push('\n');
    targets(&mut text, &repair.learned.targets);
    if let Some(fix) = &repair.fix {
        heading(&mut text, "The fix");
        let _ = writeln!(text, "  {} ({}, {})", folded(&fix.description, 1000), fix.fix_type, fix.tier);
        let _ = writeln!(text, "  {}", folded(&fix.impact, 1000));
        list(&mut text, "Look at", &fix.flags);
        list(&mut text, "Shown besides", &repair.validation.evidence);
        proof(&mut text, &repair.validation);
        heading(&mut text, "The patch");
        text.push_str(&diff(&fix.diff, "", LARGEST_PATCH));
        if shown(&fix.diff, LARGEST_PATCH) != fix.diff {
            let why =
                "shown without what a terminal must not get, or cut: --out, --apply and --format json have all of it";
            let _ = writeln!(text, "  {}", style(why).yellow());
        }
    } else {
        if let Some(diagnosis) = &repair.learned.diagnosis {
            heading(&mut text, "The diagnosis");
            let _ = writeln!(text, "  {}", folded(&diagnosis.root_cause, 1000));
            let _ = writeln!(text, "  {}", style(about(diagnosis)).dim());
            if let Some(impact) = &diagnosis.impact {
                let _ = writeln!(text, "  {}", folded(impact, 600));
            }
            if let Some(place) = &diagnosis.place {
                let _ = writeln!(text, "  look first at {}", shown_line(place, 200));
            }
        }
        if repair.outcome == Outcome::NoFixFound && repair.attempts.is_empty() {
            let hint = "`test-repair verify --patch FILE` judges a fix of your own";
            let _ = writeln!(text, "  {}", style(hint).dim());
        }
        for (title, attempt) in attempts(repair) {
            heading(&mut text, &title);
            let _ = writeln!(text, "  {}", folded(&attempt.description, 1000));
            for reason in &attempt.reasons {
                let _ = writeln!(text, "  - {}", shown_line(reason, 400));
            }
            text.push_str(&diff(&attempt.diff, "  ", 20_000));
        }
    }
    let steps: Vec<String> = repair.steps.iter().map(|s| format!("{}: {}", s.step, s.came)).collect();
    if repair.fix.is_none() {
        list(&mut text, "Steps", &steps);
    }
    let baseline_notes =
        repair.learned.targets.iter().filter_map(|t| t.baseline.as_ref()).flat_map(|b| b.notes.clone());
    list(&mut text, "Not checked", &repair.validation.not_checked);
    let notes: Vec<String> = repair.learned.notes.iter().cloned().chain(baseline_notes).collect();
    list(&mut text, "Notes", &notes);
    posture(&mut text, repair.learned.sandbox.as_ref());
    if repair.fix.is_some() && !steps.is_empty() {
        let _ = writeln!(text, "{}", style(format!("steps: {}", steps.join("; "))).dim());
    }
    if let Some(spent) = spent(&repair.usage) {
        let _ = writeln!(text, "{}", style(format!("the model: {spent}")).dim());
    }
    let _ = writeln!(text, "{}", style(times(&repair.timings)).dim());
    text
}

/// What the diagnosis says of itself, in a line.
pub(super) fn about(diagnosis: &Diagnosis) -> String {
    let mut parts = vec![format!("confidence {}", diagnosis.confidence)];
    parts.extend(diagnosis.fix_type.map(|fix_type| format!("fix type {fix_type}")));
    parts.extend(diagnosis.fault.map(|fault| format!("the {fault} is wrong")));
    parts.join(", ")
}

/// The attempts with their titles: where there is no fix the best one first, the others as they came.
pub(super) fn attempts(repair: &Repair) -> impl Iterator<Item = (String, &Attempt)> {
    let best = |(_, attempt): &(usize, &Attempt)| attempt.best && repair.fix.is_none();
    let (best, others): (Vec<_>, Vec<_>) = repair.attempts.iter().enumerate().partition(best);
    let titled = |name: String, attempt: &Attempt| {
        let left = attempt.remaining.map(|left| format!(", {left} failure(s) left")).unwrap_or_default();
        format!("{name}: {}{left}", attempt.verdict)
    };
    let best = best.into_iter().map(move |(_, best)| (titled("The best attempt".to_owned(), best), best));
    best.chain(others.into_iter().map(move |(n, other)| (titled(format!("Attempt {}", n + 1), other), other)))
}

/// How long it took, and how much of that the repository's own commands.
pub(super) fn times(timings: &[Timing]) -> String {
    let sum = |of: fn(&Timing) -> f64| timings.iter().map(of).sum::<f64>();
    let (total, commands) = (sum(|t| t.seconds), sum(|t| t.commands));
    // Commands that ran side by side may take more than all.
    match commands > 0.0 && commands <= total {
        true => format!("{total:.1} s in all, {commands:.1} s of it the repository's own commands"),
        false => format!("{total:.1} s in all"),
    }
}

/// What the model cost; nothing where nobody was asked.
pub(super) fn spent(usage: &Usage) -> Option<String> {
    let Usage { calls, prompt_tokens, cached_tokens, completion_tokens, cost_usd } = usage;
    let calls = match calls {
        0 => return None,
        1 => "1 call".to_owned(),
        n => format!("{n} calls"),
    };
    Some(format!(
        "{calls}, {prompt_tokens} tokens in ({cached_tokens} cached), {completion_tokens} out, ${cost_usd:.5} at peak rates"
    ))
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
                    let _ = writeln!(text, "  not reproduced: {}", folded(why, 2000));
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
        for named in target.baseline.iter().flat_map(|baseline| &baseline.depends) {
            let _ = writeln!(text, "  {}", folded(&named.sentence(), 1000));
        }
        if let Some(plan) = &target.plan {
            for skipped in &plan.skipped {
                let line =
                    format!("  not rebuilt: {} ({})", shown_line(&skipped.what, 100), shown_line(&skipped.why, 200));
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
        let command = named(check, &validation.checks);
        let after = shown_line(&check.after, 60);
        let after = if check.after.starts_with("passed") { style(after).green() } else { style(after).red() };
        table.row(vec![
            shown_line(&command, 70),
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

/// A foreign text in a report's own line: what follows its first line is indented, so that it can't pose as the report.
pub(super) fn folded(text: &str, most: usize) -> String {
    shown(text, most).replace('\n', "\n    ")
}

fn diff(diff: &str, indent: &str, most: usize) -> String {
    let mut text = String::new();
    for line in shown(diff, most).lines() {
        let styled = match line.as_bytes().first() {
            Some(b'+') if !line.starts_with("+++") => style(line).green(),
            Some(b'-') if !line.starts_with("---") => style(line).red(),
            Some(b'@') => style(line).cyan(),
            _ => style(line),
        };
        let _ = writeln!(text, "{indent}{styled}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::FixReport;

    fn repaired(diff: String) -> String {
        let (fix_type, description, impact) = ("import", "It is\nfixed\u{1b}[2J".to_owned(), String::new());
        let fix = FixReport { tier: "rule", fix_type, description, impact, files: Vec::new(), diff, flags: Vec::new() };
        fixed_text(&Repair { fix: Some(fix), ..Repair::new() })
    }

    #[test]
    fn the_best_attempt_is_marked_and_stands_first_in_every_report() {
        let mut repair = Repair { outcome: Outcome::NoFixFound, ..Repair::new() };
        for (verdict, remaining, worse) in [
            ("refused", None, true),
            ("failed", Some(2), false),
            ("failed", Some(1), true),
            ("failed", Some(1), false),
            ("diagnosis", None, true),
            ("unusable", None, true),
        ] {
            let description = format!("{verdict} {remaining:?} {worse}");
            let (diff, reasons) = (String::new(), vec!["it is so".to_owned()]);
            repair.tried(Attempt { tier: "model", description, diff, verdict, reasons, remaining, worse, best: false });
        }
        assert_eq!(repair.attempts.iter().position(|attempt| attempt.best), Some(3));
        assert_eq!(repair.attempts.iter().filter(|attempt| attempt.best).count(), 1);
        for text in [fixed_text(&repair), super::super::markdown(&repair), super::super::summary(&repair)] {
            let text = console::strip_ansi_codes(&text).into_owned();
            let best = text.find("The best attempt: failed, 1 failure(s) left").expect(&text);
            assert!(best < text.find("Attempt 1: refused").expect(&text) && !text.contains("Attempt 4"), "{text}");
        }
    }

    #[test]
    fn a_long_patch_stands_whole_and_unindented_and_says_when_it_does_not() {
        let diff = format!("--- a/x\n+++ b/x\n@@ -0,0 +1,9000 @@\n{}", "+a line of some length\n".repeat(9000));
        let text = repaired(diff.clone());
        assert!(console::strip_ansi_codes(&text).contains(&diff));
        assert!(!text.contains("or cut"));
        let text = repaired("--- a/x\n+++ b/x\n@@ -0,0 +1 @@\n+a\u{1b}[2J\n".to_owned());
        assert!(text.contains("or cut") && !text.contains("\u{1b}[2J"), "{text}");
        // No text of the fix poses as a line of the report.
        assert!(text.contains("It is\n    fixed"), "{text}");
    }
}
