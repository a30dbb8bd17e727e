//! validate: a change in, a proof or the reasons against it out. Only this room can build a [`ValidatedFix`].
//!
//! `judge` runs the job's checks again and weighs what they say, `per_test` compares them test by test, `suite` runs
//! the whole suite where CI ran a part of it, `beside` the workflow's other jobs.

mod beside;
mod canary;
mod judge;
mod per_test;
mod suite;

use serde::Serialize;

use super::reproduce::Baseline;
use crate::{
    detect::Failure,
    integrity::{Finding, Severity},
    plan::Weight,
    progress::Progress,
    sandbox::{Sandbox, SandboxError},
    workspace::{Change, Tree},
};
pub use beside::Beside;
use beside::Place;
use judge::Judge;

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
    /// The end of what that run printed, at most 2,000 bytes.
    pub output: String,
}

/// Bytes of [`CheckResult::output`].
const SHOWN: usize = 2000;

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
    /// What the fix type's own proof showed, a sentence each.
    pub evidence: Vec<String>,
}

impl Validation {
    /// Was nothing run and nothing found?
    pub fn is_empty(&self) -> bool {
        self.checks.is_empty() && self.findings.is_empty() && self.not_checked.is_empty()
    }
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
    /// What a proof of the fix type's own adds: evidence, and what a person must look at. It can only weaken the verdict.
    pub(super) fn with(mut self: Box<Self>, evidence: Vec<String>, flags: Vec<String>) -> Box<Self> {
        self.validation.evidence.extend(evidence);
        self.flags.extend(flags);
        self
    }

    /// What could not be proven of it, and does not weaken the verdict.
    pub(super) fn without(mut self: Box<Self>, what: String) -> Box<Self> {
        self.validation.not_checked.push(what);
        self
    }

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
    Refused {
        /// What was seen.
        validation: Validation,
        /// What still fails, by baseline.
        remaining: Vec<Vec<Failure>>,
    },
    /// The check still fails, or something else broke.
    Failed {
        /// What was seen.
        validation: Validation,
        /// Why, a sentence each.
        reasons: Vec<String>,
        /// What still fails, by baseline.
        remaining: Vec<Vec<Failure>>,
        /// Is there a reason besides failures of CI's that are still there?
        worse: bool,
    },
}

/// Judges `change` against every baseline, in fresh copies of the tree; then, cheap things first and in one time box,
/// against the workflow's other jobs and the whole suite. `findings` are those of the static judge.
///
/// # Errors
/// When the sandbox fails twice.
pub async fn validate(
    sandbox: &dyn Sandbox,
    tree: &Tree,
    baselines: &[Baseline],
    beside: &Beside,
    change: &Change,
    findings: Vec<Finding>,
    progress: &Progress,
) -> Result<Judgement, SandboxError> {
    let mut judge = Judge::new(findings, baselines);
    let candidate = tree.with(change)?;
    for baseline in baselines {
        judge.job(sandbox, &candidate, change, baseline, progress).await?;
    }
    let trees = [tree, &candidate];
    let place = Place { sandbox, trees, change, progress };
    beside.compare(&mut judge, |weight| weight < Weight::Heavy, place).await?;
    for baseline in baselines {
        if judge.stands() {
            judge.suite(sandbox, trees, change, baseline, progress).await?;
        }
    }
    beside.compare(&mut judge, |weight| weight == Weight::Heavy, place).await?;
    if judge.stands() {
        beside.list_skipped(&mut judge);
    }
    Ok(judge.conclude(change))
}

/// Does any finding refuse the change?
pub fn refused(findings: &[Finding]) -> bool {
    findings.iter().any(|f| f.severity == Severity::Refuse)
}
