//! validate: a change in, a proof or the reasons against it out. Only this room can build a [`ValidatedFix`].

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use super::{
    reproduce::{Baseline, run_check, same},
    suite,
};
use crate::{
    detect::Failure,
    integrity::{Finding, Severity},
    observe::{Observed, TestOutcome, Tests},
    plan::{Check, Origin},
    progress::Progress,
    sandbox::{Ended, Limits, Sandbox, SandboxError, describe, tail},
    workspace::{Change, Tree},
};

/// One check, before and after.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CheckResult {
    /// The job it belongs to.
    pub job: String,
    /// The command.
    pub command: String,
    /// `passed`, `failed (exited with 1)`, `flaky`, `not run`.
    pub before: String,
    /// The same, after.
    pub after: String,
    /// Wall time of the run after.
    pub seconds: f64,
}

/// How many tests ran.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Collected {
    /// Before the change.
    pub before: usize,
    /// After it.
    pub after: usize,
}

/// What validation saw.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Validation {
    /// Each check of each job.
    pub checks: Vec<CheckResult>,
    /// Tests of all checks together.
    pub collected: Collected,
    /// What the proof does not cover.
    pub not_checked: Vec<String>,
    /// What integrity found.
    pub findings: Vec<Finding>,
}

/// A change that passed: the failure was reproduced before, the check passes after, nothing else broke, and no test or
/// check is weaker for it. It can only be built here.
#[derive(Debug, Clone)]
pub struct ValidatedFix {
    change: Change,
    validation: Validation,
    flags: Vec<String>,
}

impl ValidatedFix {
    /// What it changes.
    pub fn change(&self) -> &Change {
        &self.change
    }

    /// The evidence.
    pub fn validation(&self) -> &Validation {
        &self.validation
    }

    /// What a person must look at; empty for a proven fix.
    pub fn flags(&self) -> &[String] {
        &self.flags
    }
}

/// What a change is worth.
#[derive(Debug, Clone)]
pub enum Judgement {
    /// Proven, or flagged for a person.
    Validated(Box<ValidatedFix>),
    /// It weakens a test or a check.
    Refused(Validation),
    /// The check still fails, or something else broke.
    Failed {
        /// What was seen.
        validation: Validation,
        /// Why, a sentence each.
        reasons: Vec<String>,
        /// What still fails, by baseline.
        remaining: Vec<Vec<Failure>>,
    },
}

/// The least time that anything gets (JUDGEMENT.md, nothing else broke).
const TIME_BOX: Duration = Duration::from_secs(120);

/// Judges `change` against every baseline, in fresh copies of the tree. `findings` are those of the static judge.
///
/// # Errors
/// When the sandbox fails twice.
pub async fn validate(
    sandbox: &dyn Sandbox,
    tree: &Tree,
    baselines: &[Baseline],
    change: &Change,
    findings: Vec<Finding>,
    progress: &Progress,
) -> Result<Judgement, SandboxError> {
    let mut judge = Judge { validation: Validation { findings, ..Validation::default() }, ..Judge::default() };
    let candidate = tree.with(change)?;
    for baseline in baselines {
        let remaining = judge.job(sandbox, tree, &candidate, change, baseline, progress).await?;
        judge.remaining.push(remaining);
    }
    Ok(judge.conclude(change))
}

#[derive(Default)]
struct Judge {
    validation: Validation,
    reasons: Vec<String>,
    flags: Vec<String>,
    remaining: Vec<Vec<Failure>>,
    /// What is left of the time box.
    left: Duration,
}

impl Judge {
    async fn job(
        &mut self,
        sandbox: &dyn Sandbox,
        tree: &Tree,
        candidate: &Tree,
        change: &Change,
        baseline: &Baseline,
        progress: &Progress,
    ) -> Result<Vec<Failure>, SandboxError> {
        let job = baseline.job();
        let stage = progress.begin("environment", format!("for the changed tree, Python {}", baseline.recipe().python));
        let mut prepared = match sandbox.prepare(baseline.recipe(), candidate, true).await {
            Err(error @ SandboxError::Install { .. }) => {
                stage.end("failed");
                self.reasons.push(format!("{}: with the change, {error}", job.name));
                return Ok(Vec::new());
            }
            Err(SandboxError::Lost(_)) => sandbox.prepare(baseline.recipe(), candidate, true).await?,
            other => other?,
        };
        stage.end(if prepared.reused() { "reused" } else { "built" });
        let mut remaining = Vec::new();
        let failing = (0..job.checks.len()).filter(|i| baseline.shows_claimed(*i));
        let seconds: f64 = failing.map(|i| baseline.runs()[i][0].seconds).sum();
        self.left = TIME_BOX.max(Duration::from_secs_f64(seconds * 3.0));
        for (index, check) in job.checks.iter().enumerate() {
            let stage = progress.begin("validate", format!("`{}`", last_line(&check.script)));
            // The failing command may do far more once it no longer fails early; all else shares one time box.
            let claimed = baseline.shows_claimed(index);
            let wall = if claimed { baseline.recipe().timeout } else { self.left };
            let limits = Limits { wall, ..Limits::default() };
            let mut after = run_check(&*prepared, check, limits).await?;
            stage.end(if after.passed() { "passed" } else { "failed" });
            let still = after.keys().any(|key| baseline.claimed().iter().any(|c| same(&c.key, key)));
            let was_green = baseline.runs()[index].iter().all(Observed::passed);
            if !after.passed() && !still && (claimed || was_green) && after.tests.is_some() {
                // What CI reported is gone, and something else fails: broken, or flaky? Two more runs decide.
                let odd = what_failed(&after);
                let mut again = Vec::new();
                for run in 1..=2 {
                    let stage = progress.begin("validate", format!("`{}` again, {run} of 2", last_line(&check.script)));
                    prepared.refresh(candidate).await?;
                    again.push(run_check(&*prepared, check, limits).await?);
                    stage.end(if again[run - 1].passed() { "passed" } else { "failed" });
                }
                if again.iter().all(Observed::passed)
                    && let Some(last) = again.pop()
                {
                    let name = last_line(&check.script);
                    self.flags.push(format!("`{name}` failed in one of three runs after the change: {odd}"));
                    after = last;
                }
            }
            if !claimed {
                self.left = self.left.saturating_sub(Duration::from_secs_f64(after.seconds));
            }
            if !claimed && after.ended == Ended::WallTime {
                self.not_checked(format!("`{}` did not end within the time box", last_line(&check.script)));
                continue;
            }
            self.check(baseline, index, check, &after, change);
            remaining.extend(after.failures.iter().cloned());
        }
        for id in baseline.excluded() {
            self.not_checked(format!("{id}: fails in the sandbox before the change too, and did not in CI"));
        }
        for key in baseline.flaky() {
            self.not_checked(format!("flaky: {key:?}"));
        }
        drop(prepared);
        self.whole_suite(sandbox, [tree, candidate], change, baseline, progress).await?;
        Ok(remaining)
    }

    fn check(&mut self, baseline: &Baseline, index: usize, check: &Check, after: &Observed, change: &Change) {
        let [first, second] = &baseline.runs()[index];
        let name = last_line(&check.script);
        let new: Vec<&Failure> =
            after.failures.iter().filter(|f| !first.keys().chain(second.keys()).any(|k| same(k, &f.key))).collect();
        let excused = passes_but_for_excluded(baseline, after);
        let green = after.passed() || excused;
        let before = match (first.passed(), second.passed()) {
            (true, true) => "passed".to_owned(),
            (false, false) => format!("failed ({})", describe(first.ended)),
            _ => "flaky".to_owned(),
        };
        let was_green = first.passed() && second.passed();
        let claimed = baseline.shows_claimed(index);
        let checks = &baseline.job().checks;
        let no_baseline = (0..index).any(|i| checks[i].installs && baseline.shows_claimed(i));
        if !green && claimed {
            self.reasons.push(format!("`{name}` still fails: {}", what_failed(after)));
        } else if !green && was_green {
            self.reasons.push(format!("`{name}` passed before the change and fails after it: {}", what_failed(after)));
        } else if !green && (check.origin == Origin::Workflow || no_baseline) {
            self.flags
                .push(format!("`{name}`, a later step that CI never reached, is still red: {}", what_failed(after)));
        } else if let Some(failure) = new.first().filter(|_| !green) {
            self.reasons.push(format!("`{name}` fails in a new way: {}", failure.message));
        } else if !green {
            self.not_checked(format!("`{name}`: {before} before the change and after it"));
        }
        if let Some(tests) = &after.tests {
            self.validation.collected.after += tests.len();
        }
        self.validation.collected.before += first.tests.as_ref().map_or(0, BTreeMap::len);
        if let (Some(a), Some(b), Some(now)) = (&first.findings, &second.findings, &after.findings) {
            for (finding, count) in now {
                if *count > a.get(finding).copied().unwrap_or(0).max(b.get(finding).copied().unwrap_or(0)) {
                    self.reasons
                        .push(format!("`{name}` reports {} in {}, which it did not before", finding.1, finding.0));
                }
            }
        }
        match (baseline.stable_tests(index), &after.tests) {
            (Some(before), Some(after)) => self.tests(&before, after, change),
            (Some(before), None) if !before.is_empty() && green => {
                self.reasons
                    .push(format!("`{name}` reported its {} tests before the change and none after it", before.len()));
            }
            _ => {}
        }
        self.validation.checks.push(CheckResult {
            job: baseline.job().name.clone(),
            command: check.script.clone(),
            before,
            after: match (after.passed(), excused) {
                (true, _) => "passed".to_owned(),
                (false, true) => "passed, but for tests that fail only in the sandbox".to_owned(),
                (false, false) => format!("failed ({})", describe(after.ended)),
            },
            seconds: after.seconds,
        });
    }

    /// Per test: what passed passes, what ran is not skipped, and nothing is lost.
    fn tests(&mut self, before: &BTreeMap<&str, TestOutcome>, after: &Tests, change: &Change) {
        let mut lost = Vec::new();
        for (&id, &was) in before {
            match after.get(id) {
                Some(TestOutcome::Failed) if was == TestOutcome::Passed => {
                    self.reasons.push(format!("{id} passed before the change and fails after it"));
                }
                Some(TestOutcome::Skipped) if was != TestOutcome::Skipped => {
                    self.refuse("test-skipped", id, "a test that ran before the change is skipped after it")
                }
                Some(_) => {}
                None => lost.push(id),
            }
        }
        let ran: BTreeMap<&str, usize> = count_functions(after.keys().map(String::as_str));
        let had: BTreeMap<&str, usize> = count_functions(before.keys().copied());
        for id in lost {
            let function = function_of(id);
            // A module that could not be collected is replaced by its tests, ids of unstable values by their siblings.
            // Of a file that the change touches the static judge has seen whether the test moved or went.
            let module = !id.contains("::") && id.ends_with(".py");
            let still = ran.get(function).copied().unwrap_or(0) >= had.get(function).copied().unwrap_or(0);
            let touched = id.split_once("::").is_some_and(|(file, _)| change.files.contains_key(file));
            let broken = before.get(id) == Some(&TestOutcome::Failed);
            if !(module || still || touched || broken) {
                self.refuse("test-lost", id, "a test that ran before the change does not run after it");
            }
        }
    }

    /// The whole suite, where CI ran a part of it.
    async fn whole_suite(
        &mut self,
        sandbox: &dyn Sandbox,
        [tree, candidate]: [&Tree; 2],
        change: &Change,
        baseline: &Baseline,
        progress: &Progress,
    ) -> Result<(), SandboxError> {
        if !self.reasons.is_empty() || refused(&self.validation.findings) {
            return Ok(());
        }
        match suite::compare(sandbox, [tree, candidate], baseline, &mut self.left, progress).await? {
            suite::Compared::Nothing => {}
            suite::Compared::NotFinished(why) => self.not_checked(why),
            suite::Compared::Both { result, before, after, flaky } => {
                for id in flaky {
                    self.not_checked(format!("{id}: fails in one of two runs after the change, in the whole suite"));
                }
                let before = before.iter().map(|(id, outcome)| (id.as_str(), *outcome)).collect();
                self.tests(&before, &after, change);
                self.validation.checks.push(result);
            }
        }
        Ok(())
    }

    fn refuse(&mut self, rule: &'static str, id: &str, message: &str) {
        self.validation.findings.push(Finding {
            rule,
            severity: Severity::Refuse,
            file: id.split_once("::").map(|(file, _)| file.to_owned()),
            line: None,
            message: format!("{message}: {id}"),
            evidence: "the test runs before and after the change".to_owned(),
            before: None,
            after: None,
        });
    }

    fn not_checked(&mut self, what: String) {
        if !self.validation.not_checked.contains(&what) {
            self.validation.not_checked.push(what);
        }
    }

    /// In JUDGEMENT.md's order: refused, failed, flagged, proven.
    fn conclude(mut self, change: &Change) -> Judgement {
        if refused(&self.validation.findings) {
            return Judgement::Refused(self.validation);
        }
        if !self.reasons.is_empty() {
            return Judgement::Failed { validation: self.validation, reasons: self.reasons, remaining: self.remaining };
        }
        self.flags.extend(self.validation.findings.iter().map(|f| f.message.clone()));
        let fix = ValidatedFix { change: change.clone(), validation: self.validation, flags: self.flags };
        Judgement::Validated(Box::new(fix))
    }
}

/// Does any finding refuse the change?
pub fn refused(findings: &[Finding]) -> bool {
    findings.iter().any(|f| f.severity == Severity::Refuse)
}

pub(super) fn last_line(script: &str) -> &str {
    script.lines().last().unwrap_or_default()
}

fn what_failed(run: &Observed) -> String {
    let first = run.failures.first().map(|f| f.message.clone());
    first.or_else(|| run.failing_tests().next().map(str::to_owned)).unwrap_or_else(|| tail(&run.output, 400))
}

/// Is everything that fails excluded, since it fails in the sandbox alone?
fn passes_but_for_excluded(baseline: &Baseline, after: &Observed) -> bool {
    let mut failing = after.failing_tests().peekable();
    matches!(after.ended, Ended::Exit(_))
        && failing.peek().is_some()
        && failing.all(|id| baseline.excluded().contains(id))
        && after.failures.iter().all(|f| f.test_id.as_deref().is_some_and(|id| baseline.excluded().contains(id)))
}

fn function_of(id: &str) -> &str {
    id.split('[').next().unwrap_or(id)
}

fn count_functions<'a>(ids: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, usize> {
    let mut counts = BTreeMap::new();
    for id in ids {
        *counts.entry(function_of(id)).or_insert(0) += 1;
    }
    counts
}
