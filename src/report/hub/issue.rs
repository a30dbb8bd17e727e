//! The fallback issue, and the comment that suggests a fix.

use std::fmt::Write as _;

use super::{Sheet, checks, depends, diff, failures, items, marker, unfolded};
use crate::{
    markup::{code, link, paragraphs, title},
    outcome::Repair,
    redact::shown_line,
    report::{
        fixed::attempts,
        hub::body::{bounded, short},
    },
};

/// `CI fails: …`
pub fn issue_title(repair: &Repair) -> String {
    let cause = repair.learned.diagnosis.as_ref().map(|d| d.root_cause.lines().next().unwrap_or_default().to_owned());
    let cause = shown_line(&cause.unwrap_or_else(|| repair.outcome.words().to_owned()), 70);
    format!("CI fails: {}", title(&cause, 70))
}

/// The diagnosis, and the best attempt.
pub fn issue_body(repair: &Repair, sheet: &Sheet<'_>) -> String {
    let (mut text, origin) = (String::new(), sheet.origin);
    let run = link(&format!("run {}", origin.run_id), &origin.run_url());
    let _ = writeln!(
        text,
        "CI failed in {run} on {} at {}, and no proven repair was found: {}.",
        code(&origin.head_branch),
        code(&short(&origin.head_sha)),
        repair.outcome.words()
    );
    if let Some(diagnosis) = &repair.learned.diagnosis {
        let _ = writeln!(
            text,
            "\n**Diagnosis** (confidence {}): {}",
            diagnosis.confidence,
            paragraphs(&diagnosis.root_cause, 2000)
        );
        if let Some(place) = &diagnosis.place {
            let _ = writeln!(text, "\nLook first at {}.", code(place));
        }
    }
    failures(&mut text, repair, 10);
    depends(&mut text, repair);
    if let Some((title, attempt)) = attempts(repair).next() {
        let _ = writeln!(text, "\n### {title}\n\n{}", paragraphs(&attempt.description, 1000));
        items(&mut text, "Why it was not accepted:", &attempt.reasons, 15);
        unfolded(&mut text, "Its patch", &diff(&attempt.diff, 20_000));
    }
    let _ = writeln!(
        text,
        "\n<sub>Updated by {} as the failure comes back; close it when it is repaired. `issue: false` in {} turns these off.</sub>",
        link("test-repair", &format!("https://github.com/{}", sheet.action)),
        code(sheet.config_path)
    );
    bounded(text, &marker(sheet.fingerprint))
}

/// The fix as a comment of the pull request that failed.
pub fn suggestion_comment(repair: &Repair, sheet: &Sheet<'_>) -> String {
    let (mut text, origin) = (String::new(), sheet.origin);
    let run = link(&format!("run {}", origin.run_id), &origin.run_url());
    let _ = writeln!(text, "A proven repair for the failure in {run}:");
    if let Some(diagnosis) = &repair.learned.diagnosis {
        let _ = writeln!(text, "\n{}", paragraphs(&diagnosis.root_cause, 1500));
    }
    if let Some(fix) = &repair.fix {
        let _ = writeln!(text, "\n**The fix** ({}): {}", fix.fix_type, paragraphs(&fix.description, 1500));
        items(&mut text, "**Look at this before you take it:**", &fix.flags, 20);
        unfolded(&mut text, "The patch (save it and <code>git apply</code> it)", &diff(&fix.diff, 40_000));
    }
    checks(&mut text, repair);
    items(&mut text, "**Not checked:**", &repair.validation.not_checked, 15);
    let _ = writeln!(text, "\n<sub>By {}.</sub>", link("test-repair", &format!("https://github.com/{}", sheet.action)));
    bounded(text, &marker(sheet.fingerprint))
}
