//! outcome: every expected ending, its exit code, and the report that goes with it.

use serde::Serialize;

use crate::{
    detect::Failure,
    integrity::Finding,
    llm::Usage,
    origin::{Origin, Proposal},
    plan::{Check, Skipped},
    progress::Timing,
    repair::{
        Baseline, Dependence, Named,
        answer::Answer,
        validate::{CheckResult, Collected, Validation},
    },
    sandbox::{Posture, describe},
};

/// How `fix` ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Outcome {
    Fixed,
    Flagged,
    NoFixFound,
    NotReproduced,
    Infrastructure,
    Flaky,
    BudgetSpent,
    Skipped,
    NothingDetected,
    Interrupted,
}

impl Outcome {
    /// The process's exit code (CONTRACT.md).
    pub fn exit_code(self) -> u8 {
        match self {
            Outcome::Fixed => 0,
            Outcome::NoFixFound => 3,
            Outcome::NotReproduced => 4,
            Outcome::Infrastructure | Outcome::Flaky => 5,
            Outcome::BudgetSpent => 6,
            Outcome::Skipped => 7,
            Outcome::NothingDetected => 8,
            Outcome::Flagged => 10,
            Outcome::Interrupted => 130,
        }
    }

    /// All of them.
    pub const ALL: [Outcome; 10] = [
        Outcome::Fixed,
        Outcome::Flagged,
        Outcome::NoFixFound,
        Outcome::NotReproduced,
        Outcome::Infrastructure,
        Outcome::Flaky,
        Outcome::BudgetSpent,
        Outcome::Skipped,
        Outcome::NothingDetected,
        Outcome::Interrupted,
    ];

    /// The outside's word for it, as in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Fixed => "fixed",
            Outcome::Flagged => "flagged",
            Outcome::NoFixFound => "no_fix_found",
            Outcome::NotReproduced => "not_reproduced",
            Outcome::Infrastructure => "infrastructure",
            Outcome::Flaky => "flaky",
            Outcome::BudgetSpent => "budget_spent",
            Outcome::Skipped => "skipped",
            Outcome::NothingDetected => "nothing_detected",
            Outcome::Interrupted => "interrupted",
        }
    }

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Outcome::Fixed => "fixed",
            Outcome::Flagged => "fixed, but a person must look",
            Outcome::NoFixFound => "no fix found",
            Outcome::NotReproduced => "not reproduced",
            Outcome::Infrastructure => "not the code's fault: infrastructure",
            Outcome::Flaky => "not the code's fault: flaky",
            Outcome::BudgetSpent => "budget or deadline spent",
            Outcome::Skipped => "skipped",
            Outcome::NothingDetected => "nothing detected",
            Outcome::Interrupted => "interrupted",
        }
    }
}

/// How `verify` ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Verdict {
    Proven,
    Flagged,
    Refused,
    Failed,
    NotReproduced,
    Infrastructure,
    Flaky,
    NothingDetected,
    DeadlineSpent,
    Interrupted,
}

impl Verdict {
    /// The process's exit code (CONTRACT.md).
    pub fn exit_code(self) -> u8 {
        match self {
            Verdict::Proven => 0,
            Verdict::Failed => 3,
            Verdict::NotReproduced => 4,
            Verdict::Infrastructure | Verdict::Flaky => 5,
            Verdict::DeadlineSpent => 6,
            Verdict::NothingDetected => 8,
            Verdict::Refused => 9,
            Verdict::Flagged => 10,
            Verdict::Interrupted => 130,
        }
    }

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Verdict::Proven => "proven",
            Verdict::Flagged => "proven, but a person must look",
            Verdict::Refused => "refused",
            Verdict::Failed => "failed: the check still fails, or something else broke",
            Verdict::NotReproduced => Outcome::NotReproduced.words(),
            Verdict::Infrastructure => Outcome::Infrastructure.words(),
            Verdict::Flaky => Outcome::Flaky.words(),
            Verdict::NothingDetected => Outcome::NothingDetected.words(),
            Verdict::DeadlineSpent => Outcome::BudgetSpent.words(),
            Verdict::Interrupted => Outcome::Interrupted.words(),
        }
    }
}

/// Why it failed, as far as is known.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Diagnosis {
    /// One sentence.
    pub root_cause: String,
    /// What kind of fix it takes.
    pub fix_type: Option<&'static str>,
    /// `high` where a rule recognised it, `low` where only the log speaks; else what the model says.
    pub confidence: &'static str,
    /// Whether the code or the test is wrong, where a model says it.
    pub fault: Option<&'static str>,
    /// What the repair means to the project, where a model says it.
    pub impact: Option<String>,
    /// Where to look first: `file:line`.
    #[serde(rename = "where")]
    pub place: Option<String>,
}

impl Diagnosis {
    /// What a model says, and where the log says to look first.
    pub fn by_model(answer: &Answer, place: Option<String>) -> Diagnosis {
        Diagnosis {
            root_cause: answer.root_cause.clone(),
            fix_type: Some(answer.fix_type.word()),
            confidence: answer.confidence.word(),
            fault: Some(answer.fault.word()),
            impact: Some(answer.impact.clone()).filter(|impact| !impact.is_empty()),
            place,
        }
    }
}

impl Diagnosis {
    /// What a model says of several causes: all root causes, and the rest of the first.
    pub fn of_all(each: &[(String, Diagnosis)]) -> Option<Diagnosis> {
        let mut all = each.first()?.1.clone();
        let causes: Vec<&str> = each.iter().map(|(_, diagnosis)| diagnosis.root_cause.as_str()).collect();
        all.root_cause = causes.join("\nBesides: ");
        Some(all)
    }
}

/// How the job was rebuilt.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct PlanReport {
    pub python: String,
    /// The base image: containers only.
    pub image: Option<String>,
    pub env: std::collections::BTreeMap<String, String>,
    pub install: Vec<String>,
    pub checks: Vec<String>,
    pub skipped: Vec<Skipped>,
}

/// Two runs before any change.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct BaselineReport {
    /// Failures of the log that both runs showed.
    pub reproduced: usize,
    /// Failures of the log that one run showed.
    pub flaky: usize,
    /// What failures depend on besides the code, where repeats under changed conditions show it.
    pub depends: Vec<Named>,
    pub runs: Vec<RunReport>,
    /// How the environment came to be.
    pub notes: Vec<String>,
    /// Why not, where nothing was reproduced.
    pub why: Option<String>,
}

/// One check of the baseline.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct RunReport {
    pub command: String,
    pub ended: [String; 2],
    pub seconds: [f64; 2],
    pub tests: Option<usize>,
}

/// One job of the report.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct TargetReport {
    pub job: String,
    pub failures: Vec<Failure>,
    pub plan: Option<PlanReport>,
    pub baseline: Option<BaselineReport>,
}

/// The fix that is proposed.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct FixReport {
    /// `rule`, or `model` where a model made any of it.
    pub tier: &'static str,
    pub fix_type: &'static str,
    pub description: String,
    pub impact: String,
    pub files: Vec<String>,
    pub diff: String,
    /// What a person must look at.
    pub flags: Vec<String>,
}

/// A step of the ladder.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepReport {
    /// `rules`, `question`, `dialogue`.
    pub step: &'static str,
    /// What came of it, or why it was not taken.
    pub came: String,
}

/// A repair that was tried and did not pass.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct Attempt {
    pub tier: &'static str,
    pub description: String,
    pub diff: String,
    /// `refused`, `failed`, `diagnosis` for what was not tried, or `unusable` for an answer that is no change at all.
    pub verdict: &'static str,
    pub reasons: Vec<String>,
    /// Failures that are left with it, where it was run.
    pub remaining: Option<usize>,
    /// Is there a reason besides them?
    #[serde(skip)]
    pub worse: bool,
    /// Is it the best of those that did not pass?
    pub best: bool,
}

impl Attempt {
    /// The less, the nearer it came to a fix.
    fn distance(&self) -> (usize, usize, bool) {
        let nearest = ["failed", "diagnosis", "refused"];
        let verdict = nearest.iter().position(|verdict| *verdict == self.verdict).unwrap_or(nearest.len());
        (verdict, self.remaining.unwrap_or(usize::MAX), self.worse)
    }
}

/// What the pipeline learns on its way. The doors' reports own it, so that an interrupted run keeps it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Learned {
    /// From the logs alone.
    pub diagnosis: Option<Diagnosis>,
    /// What the failure depends on besides the code, where repeats under changed conditions show it.
    pub cause: Option<Dependence>,
    /// Each failing job.
    pub targets: Vec<TargetReport>,
    /// What the sandbox enforces.
    pub sandbox: Option<Posture>,
    /// What a reader should know besides.
    pub notes: Vec<String>,
}

impl Learned {
    /// The words of an ending, with the cause where there is one to name.
    fn headline(&self, words: &str, flaky: bool) -> String {
        match self.cause.filter(|_| flaky) {
            Some(cause) => format!("{words}, it depends on {}", cause.words()),
            None => words.to_owned(),
        }
    }
}

/// What a run of `fix` knows, filled as it goes: an interrupted run still reports what it learned.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct Repair {
    pub schema: u32,
    pub outcome: Outcome,
    #[serde(flatten)]
    pub learned: Learned,
    pub fix: Option<FixReport>,
    pub validation: Validation,
    /// The steps of the ladder that were taken or switched off, in their order; those after a success are not there.
    pub steps: Vec<StepReport>,
    pub attempts: Vec<Attempt>,
    pub usage: Usage,
    pub timings: Vec<Timing>,
    /// The workflow run that it is of, where GitHub was asked.
    pub origin: Option<Origin>,
    /// The pull request, where there is one.
    pub proposal: Option<Proposal>,
    /// Why nothing was repaired or proposed, where the outcome alone does not say it: not eligible, already proposed,
    /// superseded, a permission that is missing.
    pub reason: Option<String>,
    /// The patch's very bytes.
    #[serde(skip)]
    pub patch: Vec<u8>,
    /// What the patch changes.
    #[serde(skip)]
    pub change: Option<crate::workspace::Change>,
}

impl Repair {
    /// Nothing is known yet.
    pub fn new() -> Repair {
        Repair {
            schema: 1,
            outcome: Outcome::Interrupted,
            learned: Learned::default(),
            fix: None,
            validation: Validation::default(),
            steps: Vec::new(),
            attempts: Vec::new(),
            usage: Usage::default(),
            timings: Vec::new(),
            origin: None,
            proposal: None,
            reason: None,
            patch: Vec::new(),
            change: None,
        }
    }

    /// How it ended, in words.
    pub fn headline(&self) -> String {
        self.learned.headline(self.outcome.words(), self.outcome == Outcome::Flaky)
    }

    /// Enters an attempt, and says which is the best now: the last of those that came nearest.
    pub fn tried(&mut self, attempt: Attempt) {
        self.attempts.push(attempt);
        let best = self.attempts.iter().enumerate().rev().min_by_key(|(_, attempt)| attempt.distance());
        let best = best.map(|(at, _)| at);
        for (at, attempt) in self.attempts.iter_mut().enumerate() {
            attempt.best = Some(at) == best;
        }
    }
}

impl Default for Repair {
    fn default() -> Self {
        Repair::new()
    }
}

/// What a run of `verify` knows, filled as it goes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(into = "Verified")]
#[allow(missing_docs)]
pub struct Verification {
    pub schema: u32,
    pub verdict: Verdict,
    pub findings: Vec<Finding>,
    pub checks: Vec<CheckResult>,
    pub collected: Collected,
    pub not_checked: Vec<String>,
    pub timings: Vec<Timing>,
    /// Why the verdict is not better.
    pub reasons: Vec<String>,
    pub learned: Learned,
}

impl Verification {
    /// How it ended, in words.
    pub fn headline(&self) -> String {
        self.learned.headline(self.verdict.words(), self.verdict == Verdict::Flaky)
    }

    /// Why the verdict is not better, and what a reader should know besides.
    pub fn all_reasons(&self) -> Vec<String> {
        self.learned.notes.iter().chain(&self.reasons).cloned().collect()
    }
}

/// What the outside sees of it.
#[derive(Serialize)]
struct Verified {
    schema: u32,
    verdict: Verdict,
    findings: Vec<Finding>,
    checks: Vec<CheckResult>,
    collected: Collected,
    not_checked: Vec<String>,
    sandbox: Option<Posture>,
    timings: Vec<Timing>,
    reasons: Vec<String>,
    cause: Option<Dependence>,
    targets: Vec<TargetReport>,
}

impl From<Verification> for Verified {
    fn from(v: Verification) -> Verified {
        Verified {
            reasons: v.all_reasons(),
            schema: v.schema,
            verdict: v.verdict,
            findings: v.findings,
            checks: v.checks,
            collected: v.collected,
            not_checked: v.not_checked,
            sandbox: v.learned.sandbox,
            timings: v.timings,
            cause: v.learned.cause,
            targets: v.learned.targets,
        }
    }
}

impl PlanReport {
    /// How `job` was rebuilt.
    pub fn of(job: &crate::plan::Job) -> PlanReport {
        let check = |c: &Check| c.script.clone();
        PlanReport {
            python: job.python.clone(),
            image: None,
            env: job.env.clone(),
            install: job.install.iter().map(|line| line.script.clone()).collect(),
            checks: job.checks.iter().map(check).collect(),
            skipped: job.skipped.clone(),
        }
    }
}

impl BaselineReport {
    /// What was seen before any change.
    pub fn of(baseline: &Baseline) -> BaselineReport {
        let run = |(check, [a, b]): (&Check, &[crate::observe::Observed; 2])| RunReport {
            command: check.script.clone(),
            ended: [describe(a.ended), describe(b.ended)],
            seconds: [a.seconds, b.seconds],
            tests: a.collected(),
        };
        BaselineReport {
            reproduced: baseline.claimed().len(),
            flaky: baseline.flaky().len(),
            depends: baseline.depends().to_vec(),
            runs: baseline.job().checks.iter().zip(baseline.runs()).map(run).collect(),
            notes: baseline.notes().to_vec(),
            why: None,
        }
    }

    /// Nothing was reproduced.
    pub fn not(why: &str, depends: &[Named]) -> BaselineReport {
        BaselineReport {
            reproduced: 0,
            flaky: 0,
            depends: depends.to_vec(),
            runs: Vec::new(),
            notes: Vec::new(),
            why: Some(why.to_owned()),
        }
    }
}
