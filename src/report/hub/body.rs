//! The pull request's body: the evidence.

use std::fmt::Write as _;

use super::{Sheet, causes, checks, items, marker, unfolded};
use crate::{
    markup::{code, cut, fence, link, paragraphs, prose},
    origin::{Origin, TokenKind},
    outcome::Repair,
    redact::shown_line,
    report::{fixed::spent, named},
};

/// GitHub takes 65,536 characters.
const LARGEST: usize = 60_000;

/// The evidence, the point first.
pub fn pull_request_body(repair: &Repair, sheet: &Sheet<'_>) -> String {
    let mut text = String::new();
    let origin = sheet.origin;
    if let Some(diagnosis) = &repair.learned.diagnosis {
        let _ = writeln!(text, "{}", paragraphs(&diagnosis.root_cause, 1500));
    }
    if let Some(fix) = &repair.fix {
        let _ = writeln!(
            text,
            "\n**The fix** ({}, by {}): {}",
            fix.fix_type,
            by(fix.tier),
            paragraphs(&fix.description, 1500)
        );
        if !fix.impact.is_empty() {
            let _ = writeln!(text, "\n{}", paragraphs(&fix.impact, 800));
        }
        items(&mut text, "**Look at this before you merge:**", &fix.flags, 20);
    }
    let run = link(&format!("run {}", origin.run_id), &origin.run_url());
    let _ = write!(text, "\nFailed in {run} of {} at {}", code(&origin.workflow), code(&short(&origin.head_sha)));
    if let Some(tested) = &origin.tested_sha {
        let _ = write!(text, ", where {} was tested", code(&short(tested)));
    }
    let _ = writeln!(text, ".");
    if let (Some(base), false) = (&origin.base, sheet.also_failing.is_empty()) {
        let pulls: Vec<String> = sheet.also_failing.iter().take(20).map(|n| format!("#{n}")).collect();
        let _ =
            writeln!(text, "\nIt fails on {} already; so do {}, which this repairs too.", code(base), pulls.join(", "));
    }
    before(&mut text, repair);
    let _ = writeln!(text, "\n### The proof");
    checks(&mut text, repair);
    after(&mut text, repair);
    items(&mut text, "Shown besides:", &repair.validation.evidence, 20);
    items(&mut text, "**Not checked:**", &repair.validation.not_checked, 30);
    let findings: Vec<String> =
        repair.validation.findings.iter().map(|f| format!("{}: {}", f.rule, f.message)).collect();
    match findings.is_empty() {
        true => text.push_str("\nIntegrity: no test, check, threshold or protected file is weaker for it.\n"),
        false => items(&mut text, "Integrity findings:", &findings, 20),
    }
    unfolded(&mut text, "Commands, environment and sandbox", &environment(repair));
    if let Some(spent) = spent(&repair.usage) {
        let model = sheet.model.map(|model| format!("{}: ", code(model))).unwrap_or_default();
        let _ = writeln!(text, "\nThe model ({model}{spent}).");
    }
    reproduce(&mut text, repair, origin);
    let _ = writeln!(text, "\n{}", ci(sheet.token, &origin.server));
    let _ = writeln!(
        text,
        "\n<sub>By {}. Plausible is not correct: read it before you merge it. Not wanted? Close it, and it is not proposed \
         again; `fix_types` in {} says what is repaired at all; deleting the workflow turns it off.</sub>",
        link("test-repair", &format!("https://github.com/{}", sheet.action)),
        code(sheet.config_path)
    );
    bounded(text, &marker(sheet.fingerprint))
}

fn by(tier: &str) -> &'static str {
    if tier == "rule" { "a rule" } else { "the model" }
}

pub(super) fn short(sha: &str) -> String {
    sha.chars().take(12).collect()
}

/// The failing output.
fn before(text: &mut String, repair: &Repair) {
    let _ = writeln!(text, "\n### What failed");
    super::failures(text, repair, 5);
    for target in repair.learned.targets.iter().take(4) {
        let Some((failure, _)) = causes(target).into_iter().next() else { continue };
        if !failure.excerpt.trim().is_empty() {
            let title = format!("Output of {}", code_html(&target.job));
            unfolded(text, &title, &fence(&failure.excerpt, "text", 4000));
        }
        if let Some(baseline) = target.baseline.as_ref().filter(|baseline| baseline.why.is_none()) {
            let _ = writeln!(
                text,
                "\nReproduced twice in the sandbox: {} of {} failures.",
                baseline.reproduced,
                target.failures.len()
            );
        }
    }
    super::depends(text, repair);
}

/// The passing output.
fn after(text: &mut String, repair: &Repair) {
    for check in repair.validation.checks.iter().filter(|check| !check.output.trim().is_empty()).take(4) {
        let title = format!("Output of {} with the fix", code_html(&named(check, &repair.validation.checks)));
        unfolded(text, &title, &fence(&check.output, "text", 2500));
    }
}

/// In HTML, where backticks mean nothing.
fn code_html(text: &str) -> String {
    let entity = |c: char| {
        if c.is_alphanumeric() || " .,-_()/".contains(c) { c.to_string() } else { format!("&#{};", c as u32) }
    };
    format!("<code>{}</code>", shown_line(text, 120).chars().map(entity).collect::<String>())
}

fn environment(repair: &Repair) -> String {
    let mut text = String::new();
    for target in repair.learned.targets.iter().take(10) {
        let Some(plan) = &target.plan else { continue };
        let _ = writeln!(text, "{}, Python {}:\n", code(&target.job), code(&plan.python));
        let commands: Vec<&str> = plan.install.iter().chain(&plan.checks).map(String::as_str).collect();
        let _ = writeln!(text, "{}\n", fence(&commands.join("\n"), "sh", 4000));
        let variables: Vec<String> = plan.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !variables.is_empty() {
            let _ = writeln!(text, "with\n\n{}\n", fence(&variables.join("\n"), "sh", 2000));
        }
        if let Some(baseline) = &target.baseline {
            for run in &baseline.runs {
                let [first, second] = &run.seconds;
                let _ = writeln!(
                    text,
                    "- {}: twice before ({first:.1} s, {second:.1} s), then with the fix",
                    code(&run.command)
                );
            }
            items(&mut text, "Notes:", &baseline.notes, 10);
        }
        let skipped: Vec<String> = plan.skipped.iter().map(|s| format!("{}: {}", s.what, s.why)).collect();
        items(&mut text, "Not rebuilt:", &skipped, 15);
    }
    if let Some(posture) = &repair.learned.sandbox {
        let _ = writeln!(text, "\nSandbox ({}): {}.", posture.kind, prose(&posture.enforced.join(", "), 1000));
        items(&mut text, "Missing:", &posture.missing, 15);
    }
    text
}

fn reproduce(text: &mut String, repair: &Repair, origin: &Origin) {
    let check = repair.learned.targets.iter().find_map(|target| target.plan.as_ref()?.checks.last());
    let _ = writeln!(
        text,
        "\nTo see it yourself: {}{}",
        code(&format!("test-repair fix --run {}", origin.run_url())),
        check
            .map(|check| format!(
                ", or in a checkout of {}:\n\n{}",
                code(&short(origin.repaired_sha())),
                fence(check, "sh", 4000)
            ))
            .unwrap_or_default()
    );
}

fn ci(token: TokenKind, server: &str) -> &'static str {
    match token {
        // GitHub's own server has a button for it; others may not (GitHub Enterprise Server has none).
        TokenKind::Workflow if server != "https://github.com" => {
            "**CI does not run on this pull request by itself**, because the workflow's own token opened it: close it and open \
             it again, or push to its branch. With an app's token as `github-token` it would run at once."
        }
        TokenKind::Workflow => {
            "**CI does not run on this pull request by itself**, because the workflow's own token opened it: press \"Approve \
             workflows to run\" below. With an app's token as `github-token` it would run at once."
        }
        TokenKind::Other => "CI runs on this pull request by itself.",
    }
}

/// The marker always stays.
pub(super) fn bounded(text: String, marker: &str) -> String {
    format!("{}\n{marker}\n", cut(&text, LARGEST, "_Cut: the whole is in the run's report._").trim_end())
}
