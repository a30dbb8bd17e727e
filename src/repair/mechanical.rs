//! mechanical: the rules, applied round by round until the validator is satisfied or no rule has anything left to say.

use std::{collections::BTreeSet, path::Path};

use super::{
    reproduce::Baseline,
    rules::{self, Applied, RuleContext},
    validate::{Judgement, ValidatedFix, Validation, refused, validate},
};
use crate::{
    detect::{Failure, JobLog, Key},
    fix_type::FixType,
    integrity,
    progress::Progress,
    registry::Registry,
    sandbox::{Finished, Limits, Network, Prepared, Sandbox, SandboxError},
    workspace::{Change, Tree},
};

/// One failure may hide the next (a missing module behind a missing module): so many are followed.
const ROUNDS: usize = 5;

/// A repair that did not pass.
#[derive(Debug, Clone)]
pub struct Rejected {
    /// What it was.
    pub applied: Vec<Applied>,
    /// The change.
    pub change: Change,
    /// Was it refused, or did it fail?
    pub refused: bool,
    /// What was seen.
    pub validation: Validation,
    /// Why.
    pub reasons: Vec<String>,
}

/// What is told as it happens, so that an interrupted run keeps it.
#[derive(Debug)]
pub enum Told {
    /// Why a rule that nearly applied did not.
    Note(String),
    /// What did not pass.
    Rejected(Box<Rejected>),
}

/// What is to be repaired.
#[derive(Clone, Copy)]
pub struct Task<'a> {
    /// The tree before any change.
    pub tree: &'a Tree,
    /// What was reproduced.
    pub baselines: &'a [Baseline],
    /// The logs that show a failure.
    pub logs: &'a [&'a JobLog],
    /// Paths that no change may touch.
    pub protected: &'a [String],
    /// The types whose rules are applied.
    pub enabled: &'a [FixType],
}

/// Applies the rules to what was reproduced, and validates the result: the fix and what was done, where it passed.
///
/// # Errors
/// When the sandbox fails.
pub async fn repair(
    sandbox: &dyn Sandbox,
    task: Task<'_>,
    progress: &Progress,
    tell: &mut (dyn FnMut(Told) + Send),
) -> Result<Option<(Box<ValidatedFix>, Vec<Applied>)>, SandboxError> {
    let Task { tree, baselines, logs, .. } = task;
    let registry = Registry::from_env().map_err(|e| SandboxError::Other(e.into()))?;
    let mut change = Change::default();
    let mut applied: Vec<Applied> = Vec::new();
    let mut noted = BTreeSet::new();
    let mut remaining: Vec<Vec<Failure>> = baselines.iter().map(|b| b.to_repair()).collect();
    for _ in 0..ROUNDS {
        let before = change.clone();
        for (baseline, failures) in baselines.iter().zip(&remaining) {
            if failures.is_empty() {
                continue;
            }
            let name = &baseline.job().name;
            let stage = progress.begin("repair", format!("rules for {} failure(s) of {name}", failures.len()));
            let candidate = tree.with(&change)?;
            let prepared = match sandbox.prepare(baseline.recipe(), &candidate, !change.is_empty()).await {
                Err(error @ SandboxError::Install { .. }) => {
                    // A change that breaks the installation is rejected below, like any other that breaks something.
                    stage.end("its environment cannot be built");
                    tell(Told::Note(format!("{name}: no rule could be applied: {error}")));
                    continue;
                }
                other => other?,
            };
            let workspace = Workspace { prepared: &*prepared };
            let context = RuleContext {
                workspace: &workspace,
                failures,
                install: &all_installs(baseline),
                installed: prepared.installed(),
                workdir: &baseline.recipe().directory,
                registry: &registry,
                enabled: task.enabled,
            };
            let repaired = rules::repair(&context).await.map_err(SandboxError::Other)?;
            for note in repaired.notes {
                if noted.insert(note.clone()) {
                    tell(Told::Note(note));
                }
            }
            let files: BTreeSet<String> =
                change.files.keys().cloned().chain(repaired.applied.iter().flat_map(|a| a.files.clone())).collect();
            change = Change::of(tree.root(), prepared.root(), files);
            let names: Vec<&str> = repaired.applied.iter().map(|a| a.rule).collect();
            stage.end(&if names.is_empty() { "no rule applies".to_owned() } else { names.join(", ") });
            applied.extend(repaired.applied);
        }
        if change == before {
            break;
        }
        let findings = judge(tree, &change, logs, None, task.protected);
        let judgement = if refused(&findings) {
            // It is refused whatever its check would say.
            Judgement::Refused { validation: Validation { findings, ..Validation::default() }, remaining: Vec::new() }
        } else {
            validate(sandbox, tree, baselines, &change, findings, progress).await?
        };
        let (refused, validation, reasons, left) = match judgement {
            Judgement::Validated(fix) => return Ok(Some((fix, applied))),
            Judgement::Refused { validation, remaining } => {
                let reasons = validation.findings.iter().map(|f| format!("{}: {}", f.rule, f.message)).collect();
                (true, validation, reasons, remaining)
            }
            Judgement::Failed { validation, reasons, remaining } => (false, validation, reasons, remaining),
        };
        let (applied, change) = (applied.clone(), change.clone());
        tell(Told::Rejected(Box::new(Rejected { applied, change, refused, validation, reasons })));
        remaining = left;
        if remaining.iter().all(Vec::is_empty) {
            break;
        }
    }
    Ok(None)
}

/// What the static judge says of a change, knowing what the failing jobs reported.
pub fn judge(
    tree: &Tree,
    change: &Change,
    logs: &[&JobLog],
    declared: Option<FixType>,
    protected: &[String],
) -> Vec<integrity::Finding> {
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

fn all_installs(baseline: &Baseline) -> Vec<String> {
    let checks = baseline.job().checks.iter().filter(|c| c.installs).map(|c| c.script.clone());
    baseline.recipe().install.iter().cloned().chain(checks).collect()
}

struct Workspace<'a> {
    prepared: &'a dyn Prepared,
}

#[async_trait::async_trait]
impl rules::Workspace for Workspace<'_> {
    fn root(&self) -> &Path {
        self.prepared.root()
    }

    async fn run(&self, script: &str) -> anyhow::Result<Finished> {
        Ok(self.prepared.run(script, Network::None, Limits::default()).await?.finished)
    }
}

impl integrity::TreeRead for Tree {
    fn read(&self, path: &str) -> Option<Vec<u8>> {
        Tree::read(self, path)
    }

    fn paths(&self) -> Vec<String> {
        Tree::paths(self)
    }
}
