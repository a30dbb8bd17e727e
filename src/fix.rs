//! fix: a repository and a failing log in; a proven patch out, or the diagnosis.

use std::sync::Mutex;

use anyhow::Result;

use crate::{
    cli::FixArgs,
    config::ModelFlags,
    fix_type::FixType,
    input::BadInput,
    llm::LlmError,
    mind::{Mind, TranscriptFile},
    outcome::{Attempt, Diagnosis, FixReport, Outcome, Repair, StepReport},
    pipeline::{self, Given, Request, Stop},
    progress::Progress,
    redact::redact,
    registry::Registry,
    repair::{
        Rejected, Task, Told, Validation,
        ladder::{self, Ended, Found, Steps},
    },
    sandbox::SandboxError,
};

/// What `fix` is told besides.
#[derive(Debug, Clone, Default)]
pub struct FixOptions {
    /// `--fix-types`: the enabled fix types; empty for what the repository configures.
    pub fix_types: Vec<FixType>,
    /// The steps of the ladder.
    pub steps: Steps,
    /// The model.
    pub model: ModelFlags,
    /// Where the transcript goes.
    pub transcript: TranscriptFile,
}

impl FixOptions {
    /// What the command line says.
    ///
    /// # Errors
    /// [`crate::input::BadInput`] for a sandbox that this version has not.
    pub fn of(args: &FixArgs) -> Result<FixOptions> {
        let transcript = match (&args.resume, &args.out) {
            (Some(file), _) => TranscriptFile::Resumed(file.clone()),
            (None, Some(out)) => TranscriptFile::New(out.join("transcript.jsonl")),
            (None, None) => TranscriptFile::Kept(args.sandbox.cache().join("transcripts")),
        };
        let (steps, model) = (args.model.steps(), args.model.flags(&args.sandbox));
        Ok(FixOptions { fix_types: args.fix_types.clone(), steps, model, transcript })
    }
}

/// Repairs. What is learned is in `repair` at any moment, so that an interrupted run keeps it.
///
/// # Errors
/// [`crate::input::BadInput`] for what can't be used; everything else is unexpected.
pub async fn fix(request: &Request, options: &FixOptions, progress: &Progress, repair: &mut Repair) -> Result<()> {
    let given = pipeline::read(request, progress, &mut repair.learned)?;
    // What can't be used is said before anything runs.
    let mind = match options.steps.asks_nobody() {
        true => None,
        false => Mind::of(&options.model, &options.transcript, &given, progress)?,
    };
    let account = Account { mind, repair };
    repaired(request, options, &given, account.mind.as_ref(), progress, account.repair).await
}

/// Enters what was spent into the report when the run ends, however it ends.
struct Account<'a> {
    mind: Option<Mind>,
    repair: &'a mut Repair,
}

impl Drop for Account<'_> {
    fn drop(&mut self) {
        let Some(mind) = &self.mind else { return };
        self.repair.usage = mind.usage();
        // A run that is dropped has no outcome of its own.
        let over = (self.repair.outcome != Outcome::Interrupted).then(|| self.repair.outcome.words());
        let notes = mind.end(over);
        self.repair.learned.notes.extend(notes);
    }
}

async fn repaired(
    request: &Request,
    options: &FixOptions,
    given: &Given,
    mind: Option<&Mind>,
    progress: &Progress,
    repair: &mut Repair,
) -> Result<()> {
    let reproduced = match pipeline::reproduced(request, given, progress, &mut repair.learned).await? {
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
    let unseen = pipeline::not_reproduced(given, baselines);
    repair.validation.not_checked.clone_from(&unseen);
    let configured = given.config.fix_types.clone().unwrap_or_else(|| FixType::ALL.to_vec());
    let registry = Registry::from_env()?;
    let task = Task {
        sandbox: &*reproduced.sandbox,
        tree: &given.tree,
        baselines,
        beside: &reproduced.beside,
        logs: &given.failing(),
        protected: &given.config.protected_paths,
        enabled: if options.fix_types.is_empty() { &configured } else { &options.fix_types },
        registry: &registry,
        progress,
    };
    let mut diagnosed: Vec<(String, Diagnosis)> = Vec::new();
    let known = Mutex::new((&mut *repair, &mut diagnosed));
    let tell = |told| {
        let Ok(mut known) = known.lock() else { return };
        let (repair, diagnosed) = &mut *known;
        match told {
            Told::Note(note) if repair.learned.notes.contains(&note) => {}
            Told::Note(note) => repair.learned.notes.push(note),
            Told::Step { step, came } => repair.steps.push(StepReport { step, came }),
            Told::Diagnosed { cause, place, answer } => {
                let diagnosis = Diagnosis::by_model(&answer, place);
                match diagnosed.iter_mut().find(|(of, _)| *of == cause) {
                    Some((_, known)) => *known = diagnosis,
                    None => diagnosed.push((cause, diagnosis)),
                }
                repair.learned.diagnosis = Diagnosis::of_all(diagnosed);
            }
            Told::Rejected(rejected) => {
                repair.tried(attempt(&rejected, mind));
                if !rejected.validation.is_empty() {
                    repair.validation = with_unseen(rejected.validation, &unseen);
                }
            }
        }
    };
    for (step, on) in
        [("rules", options.steps.rules), ("question", options.steps.question), ("dialogue", options.steps.dialogue)]
    {
        if !on {
            tell(Told::Step { step, came: "switched off".to_owned() });
        }
    }
    let asker = mind.map(|mind| mind.asker(given.config.concurrency()));
    let ended = ladder::climb(&task, options.steps, asker, &tell).await;
    anyhow::ensure!(known.into_inner().is_ok(), "a step of the repair panicked");
    if mind.is_none() && matches!(ended, Ok(Ended::Nothing)) && !options.steps.asks_nobody() {
        let asking = [("question", options.steps.question), ("dialogue", options.steps.dialogue)];
        let unasked = asking.into_iter().filter(|(_, on)| *on);
        repair.steps.extend(unasked.map(|(step, _)| StepReport { step, came: "no model".to_owned() }));
        repair.learned.notes.push(NO_MODEL.to_owned());
    }
    let place = |step: &StepReport| ["rules", "question", "dialogue"].iter().position(|name| *name == step.step);
    repair.steps.sort_by_key(place);
    match ended {
        Err(SandboxError::Lost(why)) => {
            repair.learned.notes.push(format!("the sandbox was lost: {why}"));
            repair.outcome = Outcome::Infrastructure;
        }
        Err(error) => return Err(error.into()),
        Ok(Ended::Nothing) => repair.outcome = Outcome::NoFixFound,
        Ok(Ended::Stopped(error)) => repair.outcome = stopped(error, &mut repair.learned.notes)?,
        Ok(Ended::Found(found)) => take(repair, *found, &unseen)?,
    }
    Ok(())
}

/// What a run without a model says.
const NO_MODEL: &str = "no model was asked: DEEPSEEK_API_KEY is not set (or name an endpoint with --model-url), so only \
                        rules were tried";

/// How a run ends that the model can't go on with.
fn stopped(error: LlmError, notes: &mut Vec<String>) -> Result<Outcome> {
    match error {
        LlmError::Options(why) | LlmError::Cassette(why) => Err(BadInput(why).into()),
        LlmError::BudgetSpent(_) => {
            notes.push(error.to_string());
            Ok(Outcome::BudgetSpent)
        }
        LlmError::Refused { .. } | LlmError::Unavailable(_) | LlmError::Record(_) => {
            notes.push(error.to_string());
            Ok(Outcome::NoFixFound)
        }
    }
}

fn take(repair: &mut Repair, found: Found, unseen: &[String]) -> Result<()> {
    let Found { fix, tier, fix_type, description, impact } = found;
    repair.patch = fix.change().diff()?;
    repair.change = Some(fix.change().clone());
    if let Some(diagnosis) = repair.learned.diagnosis.as_mut().filter(|_| tier == "rule") {
        *diagnosis = Diagnosis { fix_type: Some(fix_type.word()), confidence: "high", ..diagnosis.clone() };
    }
    repair.fix = Some(FixReport {
        tier,
        fix_type: fix_type.word(),
        description,
        impact,
        files: fix.change().files.keys().cloned().collect(),
        diff: String::from_utf8_lossy(&repair.patch).into_owned(),
        flags: fix.flags().to_vec(),
    });
    repair.validation = with_unseen(fix.validation().clone(), unseen);
    repair.outcome = if fix.flags().is_empty() { Outcome::Fixed } else { Outcome::Flagged };
    Ok(())
}

fn with_unseen(mut validation: Validation, unseen: &[String]) -> Validation {
    validation.not_checked.splice(0..0, unseen.iter().cloned());
    validation
}

/// The diff is no patch to apply, so it is shown without secrets.
fn attempt(rejected: &Rejected, mind: Option<&Mind>) -> Attempt {
    let diff = rejected.change.diff().unwrap_or_else(|error| format!("{error:#}").into_bytes());
    let diff = redact(&String::from_utf8_lossy(&diff));
    Attempt {
        tier: rejected.tier,
        description: rejected.description.clone(),
        diff: mind.map_or_else(|| diff.clone(), |mind| mind.redacted(&diff)),
        verdict: rejected.verdict,
        reasons: rejected.reasons.clone(),
        remaining: (!rejected.remaining.is_empty()).then(|| rejected.remaining.iter().map(Vec::len).sum()),
        worse: rejected.worse,
        best: false,
    }
}
