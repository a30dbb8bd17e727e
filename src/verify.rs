//! verify: a repository, a failing log and anyone's patch in; a verdict out.

use std::path::Path;

use anyhow::Result;

use crate::{
    fix_type::FixType,
    input::{self, BadInput},
    integrity::Finding,
    outcome::{Learned, Verdict, Verification},
    pipeline::{self, Request, Stop},
    progress::Progress,
    registry::Registry,
    repair::{Judgement, Task, Validation, dependencies, trial, validate::refused},
    sandbox::SandboxError,
};

/// What `verify` is told besides.
#[derive(Debug, Clone, Default)]
pub struct VerifyOptions {
    /// What the patch says that it is.
    pub declared: Option<FixType>,
}

impl Verification {
    /// Nothing is known yet.
    pub fn new() -> Verification {
        Verification {
            schema: 1,
            verdict: Verdict::Interrupted,
            findings: Vec::new(),
            checks: Vec::new(),
            collected: Default::default(),
            not_checked: Vec::new(),
            timings: Vec::new(),
            reasons: Vec::new(),
            learned: Learned::default(),
        }
    }

    fn stopped(&mut self, stop: Stop) {
        self.verdict = match stop {
            Stop::NothingDetected => Verdict::NothingDetected,
            Stop::Infrastructure => Verdict::Infrastructure,
            Stop::Flaky => Verdict::Flaky,
            Stop::NotReproduced => Verdict::NotReproduced,
        };
        let why = self.learned.targets.iter().filter_map(|t| t.baseline.as_ref()?.why.clone());
        self.reasons.extend(why.collect::<Vec<_>>());
    }

    fn take(&mut self, validation: Validation) {
        self.findings = validation.findings;
        self.checks = validation.checks;
        self.collected = validation.collected;
        self.not_checked.extend(validation.not_checked);
    }
}

impl Default for Verification {
    fn default() -> Self {
        Verification::new()
    }
}

/// Judges a patch. What is learned is in `verification` at any moment, so that an interrupted run keeps it.
///
/// # Errors
/// [`BadInput`] for what can't be used; everything else is unexpected.
pub async fn verify(
    request: &Request,
    patch: &Path,
    options: &VerifyOptions,
    progress: &Progress,
    verification: &mut Verification,
) -> Result<()> {
    let patch = input::read_patch(patch)?;
    let given = pipeline::read(request, progress, &mut verification.learned)?;
    let tree = &given.tree;
    let change = tree.patched(&patch).map_err(|e| BadInput(format!("{e:#}")))?;
    // The texts are judged before anything runs: a patch that can't be accepted costs no installation, and is refused
    // whatever its check would say.
    let stage = progress.begin("integrity", format!("{} changed file(s)", change.files.len()));
    let logs = given.failing();
    let mut findings = trial::statically(tree, &change, &logs, options.declared, &given.config.protected_paths);
    if !refused(&findings) {
        if let Some((path, _)) = change.files.iter().find(|(_, file)| file.symlink && file.after.is_some()) {
            let why = format!("the patch writes the symbolic link {path}: what lies behind it cannot be judged");
            return Err(BadInput(why).into());
        }
        findings.extend(dependencies::judge_added(tree, &change, &logs, &Registry::from_env()?).await?);
    }
    stage.end(&format!("{} finding(s)", findings.len()));
    verification.findings.clone_from(&findings);
    if refused(&findings) {
        verification.verdict = Verdict::Refused;
        verification.reasons.extend(findings.iter().map(reason));
        return Ok(());
    }
    let reproduced = match pipeline::reproduced(request, &given, progress, &mut verification.learned).await? {
        Ok(reproduced) => reproduced,
        Err(stop) => {
            verification.stopped(stop);
            return Ok(());
        }
    };
    let (sandbox, baselines) = (&*reproduced.sandbox, &reproduced.baselines);
    verification.not_checked = pipeline::not_reproduced(&given, baselines);
    let registry = Registry::from_env()?;
    let protected = &given.config.protected_paths;
    let enabled = &FixType::ALL;
    let beside = &reproduced.beside;
    let task =
        Task { sandbox, tree, baselines, beside, logs: &logs, protected, enabled, registry: &registry, progress };
    let judgement = match task.run(&change, options.declared.as_slice(), findings).await {
        Err(SandboxError::Lost(why)) => {
            verification.reasons.push(format!("the sandbox was lost: {why}"));
            verification.verdict = Verdict::Infrastructure;
            return Ok(());
        }
        other => other?,
    };
    match judgement {
        Judgement::Validated(fix) => {
            verification.verdict = if fix.flags().is_empty() { Verdict::Proven } else { Verdict::Flagged };
            verification.reasons.extend(fix.flags().to_vec());
            verification.take(fix.validation().clone());
        }
        Judgement::Refused { validation, .. } => {
            verification.verdict = Verdict::Refused;
            verification.reasons.extend(validation.findings.iter().map(reason));
            verification.take(validation);
        }
        Judgement::Failed { validation, reasons, .. } => {
            verification.verdict = Verdict::Failed;
            verification.reasons.extend(reasons);
            verification.take(validation);
        }
    }
    Ok(())
}

/// What there is to say where no patch is offered, since nothing of the code is held to be at fault: the same as
/// [`verify`] up to the point where one would be tried.
///
/// # Errors
/// As [`verify`].
pub async fn without_patch(request: &Request, progress: &Progress, verification: &mut Verification) -> Result<()> {
    let given = pipeline::read(request, progress, &mut verification.learned)?;
    match pipeline::reproduced(request, &given, progress, &mut verification.learned).await? {
        Err(stop) => verification.stopped(stop),
        Ok(_) => {
            verification.verdict = Verdict::Failed;
            verification.reasons.push("the failure shows here as well, and no patch is offered for it".to_owned());
        }
    }
    Ok(())
}

fn reason(finding: &Finding) -> String {
    format!("{}: {}", finding.rule, finding.message)
}
