//! The job summary.

use std::fmt::Write as _;

use super::{causes, checks, depends, diff, items, unfolded};
use crate::{
    markup::{cell_code, code, link, paragraphs, prose},
    outcome::{Outcome, Repair},
    redact::shown_line,
    report::fixed::{attempts, spent},
};

/// Everything at a glance, then the parts; bounded far below GitHub's limit.
pub fn summary(repair: &Repair) -> String {
    let sign = match repair.outcome {
        _ if super::stranded(repair) => "⚠️",
        Outcome::Fixed => "✅",
        Outcome::Flagged => "⚠️",
        Outcome::Skipped => "⏭️",
        _ => "❌",
    };
    let mut text = format!("## {sign} test-repair: {}\n", repair.headline());
    if let Some(reason) = &repair.reason {
        let _ = writeln!(text, "\n{}", paragraphs(reason, 2000));
    }
    if let Some(proposal) = &repair.proposal {
        let draft = if proposal.draft { " (a draft: a person must look first)" } else { "" };
        let _ = writeln!(
            text,
            "\n{}{draft} into {}",
            link(&format!("Pull request #{}", proposal.number), &proposal.url),
            code(&proposal.into)
        );
    }
    if let Some(diagnosis) = &repair.learned.diagnosis {
        let _ = writeln!(
            text,
            "\n**Root cause** (confidence {}): {}",
            diagnosis.confidence,
            paragraphs(&diagnosis.root_cause, 2000)
        );
        if let Some(place) = diagnosis.place.as_ref().filter(|_| repair.fix.is_none()) {
            let _ = writeln!(text, "\nLook first at {}.", code(place));
        }
    }
    if let Some(origin) = &repair.origin {
        let _ = writeln!(
            text,
            "\nOf {} of {} on {}",
            link(&format!("run {}", origin.run_id), &origin.run_url()),
            code(&origin.workflow),
            code(&origin.head_branch)
        );
    }
    table(&mut text, repair);
    depends(&mut text, repair);
    if let Some(fix) = &repair.fix {
        let _ = writeln!(
            text,
            "\n### The fix ({}, {})\n\n{}\n\n{}",
            fix.fix_type,
            fix.tier,
            paragraphs(&fix.description, 2000),
            diff(&fix.diff, 100_000)
        );
        items(&mut text, "Look at:", &fix.flags, 30);
    }
    checks(&mut text, repair);
    items(&mut text, "**Not checked:**", &repair.validation.not_checked, 30);
    for (title, attempt) in attempts(repair).take(5) {
        let mut inner = format!("{}\n", paragraphs(&attempt.description, 1000));
        items(&mut inner, "Why not:", &attempt.reasons, 20);
        inner.push_str(&diff(&attempt.diff, 20_000));
        unfolded(&mut text, &title, &inner);
    }
    if let Some(spent) = spent(&repair.usage) {
        let _ = writeln!(text, "\nThe model: {spent}.");
    }
    let mut rest = String::new();
    items(&mut rest, "Notes:", &repair.learned.notes, 60);
    if let Some(posture) = &repair.learned.sandbox {
        let _ = writeln!(rest, "\nSandbox ({}): {}", posture.kind, prose(&posture.enforced.join(", "), 1000));
        items(&mut rest, "Missing:", &posture.missing, 20);
    }
    if !repair.timings.is_empty() {
        rest.push_str("\n| stage | | seconds |\n|---|---|---:|\n");
        for timing in repair.timings.iter().take(100) {
            let _ = writeln!(
                rest,
                "| {} | {} | {:.1} |",
                timing.stage,
                cell_code(&shown_line(&timing.detail, 100)),
                timing.seconds
            );
        }
    }
    unfolded(&mut text, "Notes, sandbox and times", &rest);
    text
}

/// What failed: a line for each cause.
fn table(text: &mut String, repair: &Repair) {
    if repair.learned.targets.is_empty() {
        return;
    }
    text.push_str("\n| job | failure | | reproduced |\n|---|---|---|---|\n");
    let mut rows = 0;
    for target in &repair.learned.targets {
        let job = repair.origin.as_ref().and_then(|origin| origin.job(&target.job));
        let name = cell_code(&target.job);
        let reproduced = match &target.baseline {
            None => "not run".to_owned(),
            Some(baseline) => match &baseline.why {
                Some(why) => format!("no: {}", cell_code(&shown_line(why, 100))),
                None => format!("{} of {}, twice", baseline.reproduced, target.failures.len()),
            },
        };
        for (failure, count) in causes(target).into_iter().take(20) {
            rows += 1;
            if rows > 200 {
                text.push_str("| … | | | |\n");
                return;
            }
            let place = super::place(failure).map(|place| cell_code(&place)).unwrap_or_default();
            let more = if count > 1 { format!(" ×{count}") } else { String::new() };
            let line = job.map(|job| link("log", &job.log_url(&failure.message))).unwrap_or_default();
            let _ =
                writeln!(text, "| {name} {line} | {}{more} | {place} | {reproduced} |", cell_code(&failure.message));
        }
    }
}
