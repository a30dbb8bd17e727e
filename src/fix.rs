//! fix: a repository and a failing log in; a proven patch out, or the diagnosis.

use anyhow::Result;

use crate::{
    fix_type::FixType,
    outcome::{Attempt, Diagnosis, FixReport, Outcome, Repair},
    pipeline::{self, Learned, Request, Stop},
    progress::Progress,
    repair::mechanical::{self, Rejected},
    sandbox::SandboxError,
};

/// What `fix` is told besides.
#[derive(Debug, Clone, Default)]
pub struct FixOptions {
    /// `--fix-types`: the enabled fix types; empty for what the repository configures.
    pub fix_types: Vec<FixType>,
}

impl Repair {
    fn take(&mut self, learned: &Learned) {
        self.targets.clone_from(&learned.targets);
        self.diagnosis.clone_from(&learned.diagnosis);
        self.sandbox.clone_from(&learned.sandbox);
        self.notes.clone_from(&learned.notes);
    }
}

/// Repairs. What is learned is in `repair` at any moment, so that an interrupted run keeps it.
///
/// # Errors
/// [`crate::input::BadInput`] for what can't be used; everything else is unexpected.
pub async fn fix(request: &Request, options: &FixOptions, progress: &Progress, repair: &mut Repair) -> Result<()> {
    let mut learned = Learned::default();
    let given = pipeline::read(request, progress, &mut learned);
    repair.take(&learned);
    let given = given?;
    let reproduced = pipeline::reproduced(request, &given, progress, &mut learned).await;
    repair.take(&learned);
    let reproduced = match reproduced? {
        Ok(reproduced) => reproduced,
        Err(stop) => {
            repair.outcome = match stop {
                Stop::NothingDetected => Outcome::NothingDetected,
                Stop::Infrastructure => Outcome::Infrastructure,
                Stop::Flaky => Outcome::Flaky,
                Stop::NotReproduced => Outcome::NotReproduced,
            };
            return Ok(());
        }
    };
    let (tree, sandbox, baselines) = (&given.tree, &reproduced.sandbox, &reproduced.baselines);
    let result =
        match mechanical::repair(sandbox, tree, baselines, &given.failing(), &given.config.protected_paths, progress)
            .await
        {
            Err(SandboxError::Lost(why)) => {
                repair.notes.push(format!("the sandbox was lost: {why}"));
                repair.outcome = Outcome::Infrastructure;
                return Ok(());
            }
            other => other?,
        };
    repair.notes.extend(result.notes);
    for rejected in &result.rejected {
        repair.attempts.push(attempt(rejected)?);
    }
    let Some((fix, applied)) = result.fix else {
        if let Some(rejected) = result.rejected.last() {
            repair.validation = rejected.validation.clone();
        }
        repair.outcome = Outcome::NoFixFound;
        return Ok(());
    };
    let Some(first) = applied.first() else {
        repair.outcome = Outcome::NoFixFound;
        return Ok(());
    };
    let configured = given.config.fix_types.clone().unwrap_or_else(|| FixType::ALL.to_vec());
    let enabled = if options.fix_types.is_empty() { configured } else { options.fix_types.clone() };
    if let Some(disabled) = applied.iter().find(|a| !enabled.contains(&a.fix_type)) {
        repair.notes.push(format!("a fix was found, but fix type {} is not enabled", disabled.fix_type));
        repair.outcome = Outcome::NoFixFound;
        return Ok(());
    }
    let join = |texts: Vec<&str>| {
        let mut unique: Vec<&str> = Vec::new();
        texts.into_iter().for_each(|t| {
            if !unique.contains(&t) {
                unique.push(t)
            }
        });
        unique.join(" ")
    };
    repair.patch = fix.change().diff()?;
    repair.change = Some(fix.change().clone());
    if let Some(diagnosis) = &mut repair.diagnosis {
        *diagnosis = Diagnosis { fix_type: Some(first.fix_type.word()), confidence: "high", ..diagnosis.clone() };
    }
    repair.fix = Some(FixReport {
        tier: "rule",
        fix_type: first.fix_type.word(),
        description: join(applied.iter().map(|a| a.description.as_str()).collect()),
        impact: join(applied.iter().map(|a| a.impact.as_str()).collect()),
        files: fix.change().files.keys().cloned().collect(),
        diff: String::from_utf8_lossy(&repair.patch).into_owned(),
        flags: fix.flags().to_vec(),
    });
    repair.validation = fix.validation().clone();
    let whole = baselines.len() == repair.targets.len();
    if !whole {
        repair.validation.not_checked.push("jobs of other logs, whose failures were not reproduced".to_owned());
    }
    repair.outcome = if fix.flags().is_empty() { Outcome::Fixed } else { Outcome::Flagged };
    Ok(())
}

fn attempt(rejected: &Rejected) -> Result<Attempt> {
    Ok(Attempt {
        tier: "rule",
        description: rejected.applied.iter().map(|a| a.description.as_str()).collect::<Vec<_>>().join(" "),
        diff: String::from_utf8_lossy(&rejected.change.diff()?).into_owned(),
        verdict: if rejected.refused { "refused" } else { "failed" },
        reasons: rejected.reasons.clone(),
    })
}
