//! trial: one way to judge a change, whoever made it. The texts first, then what it adds to the manifests, then the runs.

use super::{
    dependencies,
    oracle::{Ruling, Strength, prove, strength},
    reproduce::Baseline,
    validate::{Beside, Judgement, Validation, refused, validate},
};
use crate::{
    detect::{Category, Failure, JobLog, Key},
    fix_type::FixType,
    integrity::{self, Finding},
    progress::Progress,
    registry::Registry,
    sandbox::{Sandbox, SandboxError},
    workspace::{Change, Tree},
};

/// What is to be repaired.
#[derive(Clone, Copy)]
pub struct Task<'a> {
    /// Where commands run.
    pub sandbox: &'a dyn Sandbox,
    /// The tree before any change.
    pub tree: &'a Tree,
    /// What was reproduced.
    pub baselines: &'a [Baseline],
    /// What the same workflows check besides.
    pub beside: &'a Beside,
    /// The logs that show a failure.
    pub logs: &'a [&'a JobLog],
    /// Paths that no change may touch.
    pub protected: &'a [String],
    /// The types that may be proposed.
    pub enabled: &'a [FixType],
    /// Where packages are looked up.
    pub registry: &'a Registry,
    /// Who watches.
    pub progress: &'a Progress,
}

impl Task<'_> {
    /// Judges a change that anybody made: refused by its text it costs no run.
    ///
    /// # Errors
    /// When the sandbox fails twice.
    pub async fn judge(&self, change: &Change, declared: &[FixType]) -> Result<Judgement, SandboxError> {
        let mut findings = self.statically(change, declared);
        if !refused(&findings) {
            findings.extend(dependencies::judge_added(self.tree, change, self.logs, self.registry).await?);
        }
        if refused(&findings) {
            let validation = Validation { findings, ..Validation::default() };
            return Ok(Judgement::Refused { validation, remaining: Vec::new() });
        }
        self.run(change, declared, findings).await
    }

    /// What the static judge says.
    pub fn statically(&self, change: &Change, declared: &[FixType]) -> Vec<Finding> {
        let test = declared.iter().find(|fix_type| **fix_type == FixType::Test);
        statically(self.tree, change, self.logs, test.or(declared.first()).copied(), self.protected)
    }

    /// Runs everything with a change whose text was judged: `findings`.
    ///
    /// # Errors
    /// When the sandbox fails twice.
    pub async fn run(
        &self,
        change: &Change,
        declared: &[FixType],
        findings: Vec<Finding>,
    ) -> Result<Judgement, SandboxError> {
        let Task { sandbox, tree, baselines, beside, progress, .. } = *self;
        let judgement = validate(sandbox, tree, baselines, beside, change, findings, progress).await?;
        let Judgement::Validated(fix) = judgement else { return Ok(judgement) };
        // All that failed asks for its proof, not only what CI blames first.
        let claimed = baselines.iter().flat_map(|b| b.claimed().iter().map(|f| f.category));
        let categories: Vec<Category> = claimed.chain(self.logs.iter().filter_map(|log| log.category)).collect();
        let failed = |reasons| Judgement::Failed {
            validation: fix.validation().clone(),
            reasons,
            remaining: baselines.iter().map(Baseline::to_repair).collect(),
            worse: true,
        };
        let benchmark = declared.contains(&FixType::Benchmark) || categories.contains(&Category::Benchmark);
        let fix = match prove(sandbox, tree, baselines, change, declared, &categories, progress).await? {
            Ruling::Holds { notes } => fix.with(notes, Vec::new()),
            Ruling::NotShown { why } if benchmark => return Ok(failed(why)),
            Ruling::NotShown { why } => fix.with(Vec::new(), why),
            Ruling::Fails { reasons } => return Ok(failed(reasons)),
        };
        let coverage = declared.contains(&FixType::Coverage) || categories.contains(&Category::Coverage);
        if benchmark || coverage {
            return Ok(Judgement::Validated(fix)); // their own proof says more
        }
        let checks = &fix.validation().checks;
        Ok(Judgement::Validated(match strength(sandbox, tree, baselines, change, checks, progress).await? {
            Strength::Nothing => fix,
            Strength::Noticed(note) => fix.with(vec![note], Vec::new()),
            Strength::Unnoticed(why) => fix.with(Vec::new(), vec![why]),
            Strength::NotChecked(what) => fix.without(what),
        }))
    }
}

/// What the static judge says of a change, knowing what the failing jobs reported.
pub fn statically(
    tree: &Tree,
    change: &Change,
    logs: &[&JobLog],
    declared: Option<FixType>,
    protected: &[String],
) -> Vec<Finding> {
    let mut reported = Vec::new();
    for log in logs {
        let installed: Vec<&(String, String)> = log.steps.iter().flat_map(|step| &step.installed).collect();
        for failure in &log.failures {
            let version = installed.iter().rev().find(|(name, _)| *name == failure.tool).map(|(_, v)| v.clone());
            let code = match &failure.key {
                Key::Finding { rule, .. } => Some(rule.clone()),
                _ => None,
            };
            reported.push(integrity::Reported {
                tool: failure.tool.clone(),
                tool_version: version,
                file: failure.file.clone(),
                line: failure.line,
                code,
                fixable_by_tool: None,
            });
        }
    }
    let category = logs.iter().find_map(|log| log.category).and_then(|c| serde_json::to_value(c).ok());
    let category = category.as_ref().and_then(|c| c.as_str());
    let judged = integrity::Judged { change, before: tree, reported: &reported, declared, category, protected };
    integrity::judge(&judged)
}

impl integrity::TreeRead for Tree {
    fn read(&self, path: &str) -> Option<Vec<u8>> {
        Tree::read(self, path)
    }

    fn paths(&self) -> Vec<String> {
        Tree::paths(self)
    }
}

/// A change that did not pass.
#[derive(Debug, Clone)]
pub struct Rejected {
    /// `rule` or `model`.
    pub tier: &'static str,
    /// What it was.
    pub description: String,
    /// The change.
    pub change: Change,
    /// `refused`, `failed`, `diagnosis` for what was not tried, or `unusable` for what is no change at all.
    pub verdict: &'static str,
    /// What was seen.
    pub validation: Validation,
    /// Why.
    pub reasons: Vec<String>,
    /// What still fails, by baseline; empty where nothing ran.
    pub remaining: Vec<Vec<Failure>>,
    /// Is there a reason besides failures of CI's that are still there?
    pub worse: bool,
}

impl Rejected {
    /// A model's change that did not come to a run here.
    pub(super) fn unrun(
        description: String,
        change: Change,
        verdict: &'static str,
        reasons: Vec<String>,
    ) -> Box<Rejected> {
        let (validation, remaining) = (Validation::default(), Vec::new());
        Box::new(Rejected { tier: "model", description, change, verdict, validation, reasons, remaining, worse: true })
    }

    /// The change's ending, where it did not pass.
    pub fn of(
        tier: &'static str,
        description: String,
        change: Change,
        judgement: Judgement,
    ) -> Result<Box<super::ValidatedFix>, Box<Rejected>> {
        let (verdict, validation, reasons, remaining, worse) = match judgement {
            Judgement::Validated(fix) => return Ok(fix),
            Judgement::Refused { validation, remaining } => {
                let refusing = validation.findings.iter().filter(|f| f.severity == integrity::Severity::Refuse);
                let mut reasons: Vec<String> = refusing.map(reason).collect();
                reasons.dedup();
                ("refused", validation, reasons, remaining, true)
            }
            Judgement::Failed { validation, reasons, remaining, worse } => {
                ("failed", validation, reasons, remaining, worse)
            }
        };
        Err(Box::new(Rejected { tier, description, change, verdict, validation, reasons, remaining, worse }))
    }
}

/// A finding as a reason.
pub(super) fn reason(finding: &Finding) -> String {
    format!("{}: {}", finding.rule, finding.message)
}

/// What is told as it happens, so that an interrupted run keeps it.
#[derive(Debug)]
pub enum Told {
    /// What a reader should know.
    Note(String),
    /// What did not pass.
    Rejected(Box<Rejected>),
    /// What a model says of a cause.
    Diagnosed {
        /// The cause, in a few words.
        cause: String,
        /// Where its first failure is reported: `file:line`.
        place: Option<String>,
        /// What it says.
        answer: Box<super::answer::Answer>,
    },
    /// A step of the ladder was taken.
    Step {
        /// `rules`, `question`, `dialogue`.
        step: &'static str,
        /// What came of it.
        came: String,
    },
}
