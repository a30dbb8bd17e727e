//! report.md: the report of `fix` as Markdown.

use std::fmt::Write as _;

use crate::{
    markup::{code, fence, link, paragraphs},
    outcome::Repair,
};

/// The whole report. Foreign text stands only in code spans and fenced blocks, where it can mean nothing.
pub fn markdown(repair: &Repair) -> String {
    let mut text = format!("# {}\n", repair.headline());
    if let Some(proposal) = &repair.proposal {
        let _ = writeln!(text, "\n{}", link(&format!("Pull request #{}", proposal.number), &proposal.url));
    }
    if let Some(reason) = &repair.reason {
        let _ = writeln!(text, "\n{}", paragraphs(reason, 2000));
    }
    for target in &repair.learned.targets {
        let _ = writeln!(text, "\n## What failed in {}\n", code(&target.job));
        for failure in target.failures.iter().take(20) {
            let place = failure.test_id.as_ref().or(failure.file.as_ref()).map(|p| format!("{}: ", code(p)));
            let _ = writeln!(text, "- {}{}", place.unwrap_or_default(), code(&failure.message));
        }
        if target.failures.len() > 20 {
            let _ = writeln!(text, "- … and {} more", target.failures.len() - 20);
        }
        if let Some(baseline) = &target.baseline {
            let _ = match &baseline.why {
                Some(why) => writeln!(text, "\nNot reproduced:\n\n{}", fence(why, "text", 30_000)),
                None => writeln!(text, "\nReproduced twice: {} of {}.", baseline.reproduced, target.failures.len()),
            };
            for named in &baseline.depends {
                let _ = writeln!(text, "\nDepends on {}: {}", named.cause.words(), code(&named.sentence()));
            }
        }
    }
    if !repair.validation.checks.is_empty() {
        let _ = writeln!(text, "\n## The proof\n\n| check | before | after | seconds |\n|---|---|---|---|");
        for check in &repair.validation.checks {
            let command = code(&super::named(check, &repair.validation.checks)).replace('|', "\\|");
            let _ = writeln!(text, "| {command} | {} | {} | {:.1} |", check.before, check.after, check.seconds);
        }
    }
    if let Some(fix) = &repair.fix {
        let _ = writeln!(
            text,
            "\n## The fix ({}, {})\n\n{}",
            fix.fix_type,
            fix.tier,
            fence(&fix.description, "text", 30_000)
        );
        if !fix.impact.is_empty() {
            let _ = writeln!(text, "\n{}", fence(&fix.impact, "text", 30_000));
        }
        let _ = writeln!(text, "\n{}", fence(&fix.diff, "diff", 30_000));
        for evidence in &repair.validation.evidence {
            let _ = writeln!(text, "- shown: {}", code(evidence));
        }
        for flag in &fix.flags {
            let _ = writeln!(text, "- look at: {}", code(flag));
        }
    } else if let Some(diagnosis) = &repair.learned.diagnosis {
        let _ = writeln!(text, "\n## The diagnosis\n\n{}", fence(&diagnosis.root_cause, "text", 30_000));
        let _ = writeln!(text, "\n{}", super::fixed::about(diagnosis));
        if let Some(place) = &diagnosis.place {
            let _ = writeln!(text, "\nLook first at {}.", code(place));
        }
    }
    for (title, attempt) in super::fixed::attempts(repair) {
        let _ = writeln!(text, "\n## {title}\n\n{}", fence(&attempt.description, "text", 2000));
        let _ = writeln!(text, "\n{}", fence(&attempt.diff, "diff", 30_000));
        for reason in &attempt.reasons {
            let _ = writeln!(text, "- {}", code(reason));
        }
    }
    if let Some(spent) = super::fixed::spent(&repair.usage) {
        let _ = writeln!(text, "\n## What the model cost\n\n{spent}");
    }
    if !repair.validation.not_checked.is_empty() {
        let _ = writeln!(text, "\n## Not checked\n");
        for item in &repair.validation.not_checked {
            let _ = writeln!(text, "- {}", code(item));
        }
    }
    text
}
