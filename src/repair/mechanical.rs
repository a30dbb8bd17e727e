//! mechanical: the rules, applied round by round until the validator is satisfied or no rule has anything left to say.

use std::{collections::BTreeSet, path::Path};

use super::{
    reproduce::Baseline,
    rules::{self, Applied, RuleContext},
    validate::{Judgement, ValidatedFix, Validation, validate},
};
use crate::{
    detect::{Failure, JobLog, Key},
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

/// What the rules came to.
#[derive(Debug, Default)]
pub struct Mechanical {
    /// The fix and what was done, where it passed.
    pub fix: Option<(Box<ValidatedFix>, Vec<Applied>)>,
    /// What did not pass, in order.
    pub rejected: Vec<Rejected>,
    /// Why rules that nearly applied did not.
    pub notes: Vec<String>,
}

/// Applies the rules to what was reproduced, and validates the result.
///
/// # Errors
/// When the sandbox fails.
pub async fn repair(
    sandbox: &dyn Sandbox,
    tree: &Tree,
    baselines: &[Baseline],
    logs: &[&JobLog],
    protected: &[String],
    progress: &Progress,
) -> Result<Mechanical, SandboxError> {
    let mut result = Mechanical::default();
    let registry = Registry::from_env().map_err(|e| SandboxError::Other(e.into()))?;
    let mut change = Change::default();
    let mut applied: Vec<Applied> = Vec::new();
    let mut remaining: Vec<Vec<Failure>> = baselines.iter().map(|b| b.claimed().to_vec()).collect();
    for _ in 0..ROUNDS {
        let before = change.clone();
        for (baseline, failures) in baselines.iter().zip(&remaining) {
            if failures.is_empty() {
                continue;
            }
            let stage =
                progress.begin("repair", format!("rules for {} failure(s) of {}", failures.len(), baseline.job().name));
            let candidate = tree.with(&change)?;
            let prepared = sandbox.prepare(baseline.recipe(), &candidate, !change.is_empty()).await?;
            let workspace = Workspace { prepared: &*prepared };
            let context = RuleContext {
                workspace: &workspace,
                failures,
                install: &all_installs(baseline),
                installed: prepared.installed(),
                workdir: &baseline.recipe().directory,
                registry: &registry,
            };
            let repaired = rules::repair(&context).await.map_err(SandboxError::Other)?;
            result.notes.extend(repaired.notes);
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
        let findings = judge(tree, &change, logs, None, protected);
        match validate(sandbox, tree, baselines, &change, findings, progress).await? {
            Judgement::Validated(fix) => {
                result.fix = Some((fix, applied));
                break;
            }
            Judgement::Refused(validation) => {
                let reasons = validation.findings.iter().map(|f| format!("{}: {}", f.rule, f.message)).collect();
                result.rejected.push(Rejected { applied, change, refused: true, validation, reasons });
                break;
            }
            Judgement::Failed { validation, reasons, remaining: left } => {
                result.rejected.push(Rejected {
                    applied: applied.clone(),
                    change: change.clone(),
                    refused: false,
                    validation,
                    reasons,
                });
                remaining = left;
            }
        }
    }
    result.notes.dedup();
    Ok(result)
}

/// What the static judge says of a change, knowing what the failing jobs reported.
pub fn judge(
    tree: &Tree,
    change: &Change,
    logs: &[&JobLog],
    declared: Option<crate::fix_type::FixType>,
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
