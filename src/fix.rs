//! fix: a repository and a failing log in; a proven patch out, or the diagnosis.

use anyhow::Result;

use crate::{
    fix_type::FixType,
    outcome::{Attempt, Diagnosis, FixReport, Outcome, Repair},
    pipeline::{self, Request, Stop},
    progress::Progress,
    repair::{
        Validation,
        mechanical::{self, Rejected, Task, Told},
    },
    sandbox::SandboxError,
};

/// What `fix` is told besides.
#[derive(Debug, Clone, Default)]
pub struct FixOptions {
    /// `--fix-types`: the enabled fix types; empty for what the repository configures.
    pub fix_types: Vec<FixType>,
}

/// Repairs. What is learned is in `repair` at any moment, so that an interrupted run keeps it.
///
/// # Errors
/// [`crate::input::BadInput`] for what can't be used; everything else is unexpected.
pub async fn fix(request: &Request, options: &FixOptions, progress: &Progress, repair: &mut Repair) -> Result<()> {
    let given = pipeline::read(request, progress, &mut repair.learned)?;
    let reproduced = match pipeline::reproduced(request, &given, progress, &mut repair.learned).await? {
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
    let baselines = &reproduced.baselines;
    let unseen = pipeline::not_reproduced(&given, baselines);
    repair.validation.not_checked.clone_from(&unseen);
    let configured = given.config.fix_types.clone().unwrap_or_else(|| FixType::ALL.to_vec());
    let task = Task {
        tree: &given.tree,
        baselines,
        logs: &given.failing(),
        protected: &given.config.protected_paths,
        enabled: if options.fix_types.is_empty() { &configured } else { &options.fix_types },
    };
    let mut tell = |told| match told {
        Told::Note(note) => repair.learned.notes.push(note),
        Told::Rejected(rejected) => {
            repair.attempts.push(attempt(&rejected));
            repair.validation = with_unseen(rejected.validation, &unseen);
        }
    };
    let result = match mechanical::repair(&reproduced.sandbox, task, progress, &mut tell).await {
        Err(SandboxError::Lost(why)) => {
            repair.learned.notes.push(format!("the sandbox was lost: {why}"));
            repair.outcome = Outcome::Infrastructure;
            return Ok(());
        }
        other => other?,
    };
    let Some((fix, applied)) = result else {
        repair.outcome = Outcome::NoFixFound;
        return Ok(());
    };
    let Some(first) = applied.first() else {
        repair.outcome = Outcome::NoFixFound;
        return Ok(());
    };
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
    if let Some(diagnosis) = &mut repair.learned.diagnosis {
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
    repair.validation = with_unseen(fix.validation().clone(), &unseen);
    repair.outcome = if fix.flags().is_empty() { Outcome::Fixed } else { Outcome::Flagged };
    Ok(())
}

fn with_unseen(mut validation: Validation, unseen: &[String]) -> Validation {
    validation.not_checked.splice(0..0, unseen.iter().cloned());
    validation
}

fn attempt(rejected: &Rejected) -> Attempt {
    let diff = rejected.change.diff().unwrap_or_else(|error| format!("{error:#}").into_bytes());
    Attempt {
        tier: "rule",
        description: rejected.applied.iter().map(|a| a.description.as_str()).collect::<Vec<_>>().join(" "),
        diff: String::from_utf8_lossy(&diff).into_owned(),
        verdict: if rejected.refused { "refused" } else { "failed" },
        reasons: rejected.reasons.clone(),
    }
}
