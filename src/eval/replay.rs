//! One case, run.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    path::PathBuf,
    time::Instant,
};

use anyhow::{Context as _, Result};
use serde::Serialize;
use tokio::sync::watch;

use super::{
    ERROR, Scored,
    case::{Case, CaseFolder},
};
use crate::{
    cli::{self, EvalArgs},
    config::ModelFlags,
    fix::{self, FixOptions},
    llm::Usage,
    mind::TranscriptFile,
    outcome::{Outcome, Repair, TargetReport, Verdict, Verification},
    pipeline::Request,
    plan::Overrides,
    progress::Progress,
    redact::shown_line,
    repair::ladder::Steps,
    report,
    sandbox::{CacheDir, Choice},
    scratch::Scratch,
    verify::{self, VerifyOptions},
};

/// What is the same for all cases.
#[derive(Clone)]
pub(super) struct Setting {
    pub(super) verify: bool,
    out: Option<PathBuf>,
    timeout: u64,
    cache: CacheDir,
    choice: Choice,
    launcher: PathBuf,
    steps: Steps,
    model: ModelFlags,
}

impl Setting {
    pub(super) fn of(args: &EvalArgs) -> Result<Setting> {
        Ok(Setting {
            verify: args.verify,
            out: args.out.clone(),
            timeout: args.timeout,
            cache: args.sandbox.environments(),
            choice: args.sandbox.choice()?,
            launcher: cli::launcher()?,
            steps: args.model.steps(),
            model: args.model.flags(&args.sandbox),
        })
    }

    /// What of it decides what comes of a case: results of one are none of another.
    pub(super) fn words(&self) -> String {
        if self.verify {
            return "verify".to_owned();
        }
        let asks = (self.steps.question || self.steps.dialogue) && self.model.key.is_some();
        let model = if asks { (self.model.name.as_deref(), self.model.url.as_deref()) } else { (None, None) };
        format!("fix {:?} {asks} {model:?}", self.steps)
    }

    /// Of one case: its transcript lies beside its outcome.
    fn options(&self, case: &str) -> FixOptions {
        let transcript = match &self.out {
            Some(out) => TranscriptFile::New(out.join(case).join("transcript.jsonl")),
            None => TranscriptFile::Kept(self.cache.root.join("transcripts")),
        };
        // Each case has a recording of its own.
        let cassette = self.model.cassette.as_ref().map(|file| {
            let mut name = file.clone().into_os_string();
            name.push(format!(".{case}"));
            PathBuf::from(name)
        });
        let model = ModelFlags { cassette, ..self.model.clone() };
        FixOptions { fix_types: Vec::new(), steps: self.steps, model, transcript }
    }
}

/// Runs a case to its end, or until `stopped` says so: what is known by then is in the result.
pub(super) async fn one(
    folder: &CaseFolder,
    inputs: String,
    setting: &Setting,
    progress: &Progress,
    stopped: watch::Receiver<bool>,
) -> Scored {
    let begun = Instant::now();
    let case = folder.case();
    let mut scored = Scored {
        case: folder.name.clone(),
        category: case.category.clone(),
        tool: case.tool.clone(),
        ended: ERROR.to_owned(),
        expected: case.expected_outcome.clone().filter(|_| folder.known.is_none()),
        reproduced: false,
        tests_reproduced: None,
        files: Vec::new(),
        seconds: 0.0,
        model_seconds: 0.0,
        usage: Usage::default(),
        why: String::new(),
        known: folder.known,
        inputs,
    };
    let replay = Replay { folder, setting, progress, stopped };
    if let Err(error) = replay.run(&case, &mut scored).await {
        scored.why = shown_line(&format!("{error:#}"), 300);
    }
    scored.seconds = begun.elapsed().as_secs_f64();
    scored
}

struct Replay<'a> {
    folder: &'a CaseFolder,
    setting: &'a Setting,
    progress: &'a Progress,
    stopped: watch::Receiver<bool>,
}

impl Replay<'_> {
    async fn run(&self, case: &Case, scored: &mut Scored) -> Result<()> {
        let scratch = Scratch::new()?;
        let request = self.request(self.unpacked(&scratch)?);
        let (text, patch) = match self.setting.verify {
            true => (self.verify(&request, case, scored).await?, Vec::new()),
            false => self.fix(&request, case, scored).await?,
        };
        if let Some(out) = &self.setting.out {
            let out = out.join(&scored.case);
            fs::create_dir_all(&out)?;
            fs::write(out.join("outcome.json"), text)?;
            if !patch.is_empty() {
                fs::write(out.join("fix.patch"), patch)?;
            }
        }
        Ok(())
    }

    fn unpacked(&self, scratch: &Scratch) -> Result<PathBuf> {
        let file = File::open(self.folder.file("repo.tar.gz")).context("repo.tar.gz cannot be read")?;
        let unpacked = scratch.path().join("tree");
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
        archive.unpack(&unpacked).context("repo.tar.gz cannot be unpacked")?;
        let mut roots = fs::read_dir(&unpacked)?.filter_map(Result::ok).map(|e| e.path()).filter(|p| p.is_dir());
        roots.next().context("repo.tar.gz holds no folder")
    }

    fn request(&self, repository: PathBuf) -> Request {
        Request {
            repository,
            logs: vec![self.folder.file("ci.log")],
            overrides: Overrides::default(),
            timeout: Some(self.setting.timeout),
            cache: self.setting.cache.clone(),
            choice: self.setting.choice,
            launcher: self.setting.launcher.clone(),
            config: None,
            jobs: BTreeMap::new(),
            pythons: Vec::new(),
            own: Vec::new(),
        }
    }

    /// `None` when the run was stopped first: what is dropped takes its processes with it.
    async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut stopped = self.stopped.clone();
        tokio::select! {
            result = work => Some(result),
            Ok(_) = stopped.wait_for(|stopped| *stopped) => None,
        }
    }

    async fn verify(&self, request: &Request, case: &Case, scored: &mut Scored) -> Result<String> {
        let mut verification = Verification::new();
        let patch = self.folder.patch.clone();
        let options = VerifyOptions::default();
        let ended = if self.folder.has_empty_patch() {
            // Nothing of the code repairs it: is that what is said of it?
            self.unless_stopped(verify::without_patch(request, self.progress, &mut verification)).await
        } else {
            self.unless_stopped(verify::verify(request, &patch, &options, self.progress, &mut verification)).await
        };
        ended.unwrap_or_else(|| {
            verification.verdict = Verdict::Interrupted;
            Ok(())
        })?;
        verification.timings = self.progress.timings();
        scored.ended = word(&verification.verdict);
        scored.score(case, &verification.learned.targets);
        scored.why = match verification.verdict {
            Verdict::Proven => String::new(),
            Verdict::Infrastructure | Verdict::Flaky if verification.all_reasons().is_empty() => {
                let diagnosis = verification.learned.diagnosis.as_ref();
                diagnosis.map(|diagnosis| diagnosis.root_cause.clone()).unwrap_or_default()
            }
            _ => verification.all_reasons().join("; "),
        };
        Ok(report::json_line(&verification))
    }

    async fn fix(&self, request: &Request, case: &Case, scored: &mut Scored) -> Result<(String, Vec<u8>)> {
        let mut repair = Repair::new();
        let options = self.setting.options(&scored.case);
        let ended = self.unless_stopped(fix::fix(request, &options, self.progress, &mut repair)).await;
        // Also where it ended in an error: it was paid for.
        scored.usage = repair.usage;
        ended.unwrap_or_else(|| {
            repair.outcome = Outcome::Interrupted;
            Ok(())
        })?;
        repair.timings = self.progress.timings();
        scored.ended = word(&repair.outcome);
        scored.score(case, &repair.learned.targets);
        scored.files = repair.fix.iter().flat_map(|f| f.files.clone()).collect();
        scored.why = why(&repair);
        scored.model_seconds =
            repair.timings.iter().filter(|t| t.stage == "model").map(|t| t.seconds).fold(0.0, |a, b| a + b);
        Ok((report::json_line(&repair), repair.patch))
    }
}

impl Scored {
    fn score(&mut self, case: &Case, targets: &[TargetReport]) {
        let reproduced = targets.iter().filter(|t| t.baseline.as_ref().is_some_and(|b| b.reproduced > 0));
        let ids: BTreeSet<&str> = reproduced
            .flat_map(|t| &t.failures)
            .flat_map(|f| [f.test_id.as_deref(), f.file.as_deref()])
            .flatten()
            .collect();
        self.reproduced = targets.iter().any(|t| t.baseline.as_ref().is_some_and(|b| b.reproduced > 0));
        if !case.failing_tests.is_empty() {
            let seen = case.failing_tests.iter().filter(|id| ids.contains(id.as_str())).count();
            self.tests_reproduced = Some((seen, case.failing_tests.len()));
        }
    }
}

fn why(repair: &Repair) -> String {
    if repair.outcome == Outcome::Fixed {
        return String::new();
    }
    let flags = repair.fix.iter().flat_map(|f| f.flags.clone());
    let attempts = repair.attempts.iter().flat_map(|a| a.reasons.clone());
    let baselines = repair.learned.targets.iter().filter_map(|t| t.baseline.as_ref()?.why.clone());
    let first = flags.chain(attempts).chain(baselines).chain(repair.learned.notes.clone()).next();
    let cause = || repair.learned.diagnosis.as_ref().map(|diagnosis| diagnosis.root_cause.clone());
    first.or_else(cause).unwrap_or_default()
}

fn word(value: &impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|v| Some(v.as_str()?.to_owned())).unwrap_or_default()
}
