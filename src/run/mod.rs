//! run: the repair of a failed workflow run: eligible? → collected → whose fault? → repaired → proposed. The doors `action`
//! and `fix --run` share it.
//!
//! Everything before the repair costs nothing but requests, and stops where there is nothing to repair: a run that is
//! ours, superseded, of a fork, already proposed, tried too often, or not the code's fault.

mod attempts;
mod base;
mod collect;
mod eligible;

use std::path::PathBuf;

use anyhow::Result;
use tokio::time::Instant;

use crate::{
    config::{self, Config},
    detect::{Category, JobLog},
    fix::{self, FixOptions},
    fix_type::FixType,
    github::{Client, GitHubError, Run, event::Via},
    outcome::{Outcome, Repair},
    pipeline::{self, Request},
    plan::Overrides,
    progress::{Progress, Stage},
    propose::{self, Target},
    sandbox::{CacheDir, Choice},
    workspace::Checkout,
};
use collect::Collected;
use eligible::Eligibility;
pub use eligible::TRAILER;

/// What is done with a fix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// It is proposed as a pull request.
    #[default]
    PullRequest,
    /// It is suggested in the pull request that failed.
    Suggest,
    /// Nothing is repaired, and nothing is written to GitHub.
    Diagnose,
    /// It is repaired, and nothing is written to GitHub.
    Local,
}

/// What a door wants.
#[derive(Clone)]
pub struct Wish {
    /// The run's number.
    pub run: u64,
    /// Which attempt; the latest where nothing is said.
    pub attempt: Option<u64>,
    /// What named the run.
    pub via: Via,
    /// The web server: `https://github.com`.
    pub server: String,
    /// For the one fetch of the repository; the client has it too.
    pub token: Option<String>,
    /// What is done with a fix.
    pub mode: Mode,
    /// Where the configuration stands in the repository.
    pub config_path: String,
    /// The repair's own options.
    pub fix: FixOptions,
    /// Limit on one command, in seconds.
    pub timeout: Option<u64>,
    /// Limit on the run, in seconds, before what the configuration says.
    pub deadline: Option<u64>,
    /// Where environments are kept.
    pub cache: CacheDir,
    /// Where commands run.
    pub choice: Choice,
    /// This binary.
    pub launcher: PathBuf,
    /// Pythons besides those of the logs.
    pub pythons: Vec<String>,
}

/// A stop that was expected: the outcome, and why.
struct Stopped {
    outcome: Outcome,
    reason: String,
}

/// `Ok(Err(stopped))` is an expected ending.
type Expected<T> = Result<std::result::Result<T, Stopped>>;

fn skipped<T>(reason: impl Into<String>) -> Expected<T> {
    Ok(Err(Stopped { outcome: Outcome::Skipped, reason: reason.into() }))
}

/// Repairs a run. What is learned is in `repair` at any moment, so that an interrupted run keeps it.
///
/// # Errors
/// [`crate::input::BadInput`] for what can't be used; everything else is unexpected.
pub async fn repair_run(client: &Client, wish: &Wish, progress: &Progress, repair: &mut Repair) -> Result<()> {
    let begun = Instant::now();
    match repaired(client, wish, progress, repair).await {
        Ok(Ok(())) => {}
        Ok(Err(Stopped { outcome, reason })) => {
            repair.outcome = outcome;
            repair.reason = Some(reason);
        }
        Err(error) => match error.downcast::<GitHubError>() {
            // GitHub's refusals are expected endings: each says what to change.
            Ok(error) => {
                let remedy = error.remedy(&wish.server, client.repository(), "actions: read` and `contents: read");
                repair.outcome = Outcome::Skipped;
                repair.reason =
                    Some(remedy.map_or_else(|| error.to_string(), |remedy| format!("{error}. To change it: {remedy}")));
            }
            Err(error) => return Err(error),
        },
    }
    let (calls, seconds) = (client.calls(), begun.elapsed().as_secs());
    repair.learned.notes.push(format!("{calls} request(s) to GitHub's API, {seconds} s from event to end"));
    Ok(())
}

async fn repaired(client: &Client, wish: &Wish, progress: &Progress, repair: &mut Repair) -> Expected<()> {
    let stage = progress.begin("collect", format!("run {} of {}", wish.run, client.repository()));
    let mut run = client.run(wish.run, wish.attempt).await?;
    run.run_attempt = run.run_attempt.max(1);
    let repository = client.repository_of().await?;
    let config = trusted_config(client, wish, &repository.default_branch).await?;
    repair.origin = Some(collect::origin(wish, &run, client.repository()));
    let Some(deadline) = config.deadline(wish.deadline) else {
        return within(client, wish, &config, run, stage, progress, repair).await;
    };
    let work = within(client, wish, &config, run, stage, progress, repair);
    match tokio::time::timeout(deadline, work).await {
        Ok(ended) => ended,
        Err(_) => Ok(Err(Stopped {
            outcome: Outcome::BudgetSpent,
            reason: format!(
                "the deadline of {} s is over (`deadline_seconds` in the configuration)",
                deadline.as_secs()
            ),
        })),
    }
}

/// The rest of it, which takes as long as the configuration lets it.
async fn within(
    client: &Client,
    wish: &Wish,
    config: &Config,
    run: Run,
    stage: Stage,
    progress: &Progress,
    repair: &mut Repair,
) -> Expected<()> {
    let eligibility = eligible::eligible(&run, wish.via, config.branch_prefix(), client.repository());
    if let Eligibility::Skip(reason) = &eligibility {
        return skipped(reason.clone());
    }
    let diagnose_only = match &eligibility {
        Eligibility::DiagnoseOnly(reason) => Some(reason.clone()),
        _ => None,
    };
    if diagnose_only.is_none()
        && let Some(reason) = eligible::superseded(client, &run, wish.via).await?
    {
        return skipped(reason);
    }
    let mut collected = match collect::collect(client, wish, &run, repair).await? {
        Ok(collected) => collected,
        Err(stopped) => return Ok(Err(stopped)),
    };
    stage.end(&format!("{} failed job(s)", collected.logs.len()));
    let mut logs = pipeline::read_logs(&collected.logs, &collected.jobs)?;
    repair.learned.learn(&logs);
    collected.locate(&logs, repair.origin.as_mut());
    if let Some(reason) = diagnose_only {
        return skipped(reason);
    }
    if let Some(stopped) = whose_fault(client, &run, config, wish, &logs).await? {
        return Ok(Err(stopped));
    }
    let enabled = enabled(&wish.fix, config);
    let types = collect::fix_types(&logs);
    if !types.is_empty() && !types.iter().any(|of| enabled.iter().any(|on| on.word() == *of)) {
        return skipped(format!("fixes of this kind ({}) are not enabled", types.join(", ")));
    }
    let writes = matches!(wish.mode, Mode::PullRequest | Mode::Suggest);
    let mut target =
        Target { into: run.head_branch.clone(), head: run.head_sha.clone(), pull: collect::tested_pull(&run) };
    if let Some(of) = base::failing_base(client, &run, &logs, &collected).await? {
        // The repair is for the base: its own logs and its own commit.
        if let Some(origin) = repair.origin.as_mut() {
            origin.base = Some(of.branch.clone());
            origin.tested_sha = Some(of.sha.clone());
        }
        repair.learned.notes.push(format!("it fails on {} already: the repair is for {}", of.branch, of.branch));
        target = Target { into: of.branch.clone(), head: of.sha.clone(), pull: target.pull };
        logs = of.logs.clone();
        collected = of.collected;
    }
    let fingerprint = collect::fingerprint(&logs);
    let branch = propose::Branch::of(config.branch_prefix(), &fingerprint, &target.into);
    if wish.mode == Mode::PullRequest
        && let Some(proposal) = propose::already(client, &branch).await?
    {
        let why = if proposal.1 { "was closed by a person: it is not proposed again" } else { "is open already" };
        let reason = format!("the repair of this failure is proposed as #{}, which {why}", proposal.0.number);
        repair.proposal = Some(proposal.0);
        if !proposal.1 {
            propose::link_base(client, repair, target.pull).await;
        }
        return skipped(reason);
    }
    if wish.mode == Mode::Suggest
        && let Some(number) = propose::suggested(client, &fingerprint, &target).await?
    {
        return skipped(format!("the repair of this commit is suggested in #{number} already"));
    }
    if wish.mode == Mode::Diagnose {
        return skipped("only the diagnosis was asked for (`mode: diagnose`)");
    }
    if writes
        && let Some(reason) =
            attempts::spend(client, &target.head, config.attempts(), &mut repair.learned.notes).await?
    {
        return skipped(reason);
    }
    let checkout = match check_out(wish, client, &collected, &target, progress, repair).await? {
        Ok(checkout) => checkout,
        Err(stopped) => return Ok(Err(stopped)),
    };
    let request = request(wish, &checkout, &collected, config);
    fix::fix(&request, &wish.fix, progress, repair).await?;
    if repair.outcome == Outcome::Infrastructure
        && let Some(words) = rerun(client, &run, config, wish).await
    {
        repair.learned.notes.push(words);
    }
    let setting = propose::Setting { client, wish, config, request: &request, progress, fingerprint: &fingerprint };
    if writes {
        propose::propose(&setting, &checkout, target, &branch, repair).await?;
    }
    Ok(Ok(()))
}

/// From the default branch: what a pull request says of itself is not trusted.
async fn trusted_config(client: &Client, wish: &Wish, branch: &str) -> Result<Config> {
    match client.file(&wish.config_path, branch).await? {
        Some(bytes) => Ok(Config::parse(&String::from_utf8_lossy(&bytes))?),
        None if wish.config_path != config::PATH => {
            Err(crate::input::BadInput(format!("{} is not on {branch}: `config` names it", wish.config_path)).into())
        }
        None => Ok(Config::default()),
    }
}

fn enabled(fix: &FixOptions, config: &Config) -> Vec<FixType> {
    match fix.fix_types.is_empty() {
        true => config.fix_types.clone().unwrap_or_else(|| FixType::ALL.to_vec()),
        false => fix.fix_types.clone(),
    }
}

/// Is no code to blame? Then nothing is spent; where it is configured, the failed jobs run again.
async fn whose_fault(
    client: &Client,
    run: &Run,
    config: &Config,
    wish: &Wish,
    logs: &[JobLog],
) -> Result<Option<Stopped>> {
    let failures = || logs.iter().flat_map(|log| &log.failures);
    if failures().next().is_none() {
        let reason = "the logs of the failed jobs show no failure that is known".to_owned();
        return Ok(Some(Stopped { outcome: Outcome::NothingDetected, reason }));
    }
    let of_code = |log: &JobLog| {
        log.category != Some(Category::Infra)
            && log.failures.iter().any(|f| !matches!(f.category, Category::Infra | Category::Aggregate))
    };
    if logs.iter().any(of_code) {
        return Ok(None);
    }
    let first = failures().next().map(|failure| failure.message.clone()).unwrap_or_default();
    let mut reason = format!("no code is to blame: {first}");
    if let Some(words) = rerun(client, run, config, wish).await {
        reason = format!("{reason}. {words}");
    }
    Ok(Some(Stopped { outcome: Outcome::Infrastructure, reason }))
}

/// Runs the failed jobs again, where that is configured and was not done too often. Says what it did.
async fn rerun(client: &Client, run: &Run, config: &Config, wish: &Wish) -> Option<String> {
    if config.reruns == 0 || !matches!(wish.mode, Mode::PullRequest | Mode::Suggest) || wish.via == Via::SameRun {
        return None;
    }
    if run.run_attempt > u64::from(config.reruns) {
        return Some(format!("the failed jobs ran {} times: they are not run again", run.run_attempt));
    }
    let why = "no code is to blame for the failure";
    Some(match client.rerun_failed(run.id, why).await {
        Ok(()) => format!("the failed jobs run again (attempt {})", run.run_attempt + 1),
        Err(error) => {
            let remedy = error.remedy(&wish.server, client.repository(), "actions: write").unwrap_or_default();
            format!("the failed jobs could not be run again: {error} {remedy}").trim_end().to_owned()
        }
    })
}

/// The tree that was tested, with its history and tags.
async fn check_out(
    wish: &Wish,
    client: &Client,
    collected: &Collected,
    target: &Target,
    progress: &Progress,
    repair: &mut Repair,
) -> Expected<Checkout> {
    let url = format!("{}/{}.git", wish.server, client.repository());
    let stage = progress.begin("fetch", url.clone());
    let checkout = Checkout::new(&url)?;
    let token = wish.token.as_deref();
    if let Err(error) = checkout.fetch(token, &[&target.head]).await {
        return Ok(Err(Stopped { outcome: Outcome::Infrastructure, reason: format!("{error:#}") }));
    }
    // What a pull request's run tested is the merge commit, which its log names.
    let merge = collected.tested.clone().filter(|sha| *sha != target.head);
    let tested = match &merge {
        None => target.head.clone(),
        Some(merge) => match checkout.fetch(token, &[merge]).await {
            Ok(()) => merge.clone(),
            Err(_) => {
                let note =
                    format!("the tested commit {merge} can't be had any more: the head {} is repaired", target.head);
                repair.learned.notes.push(note);
                target.head.clone()
            }
        },
    };
    checkout.check_out(&tested)?;
    if let Some(origin) = repair.origin.as_mut() {
        origin.tested_sha = Some(tested.clone()).filter(|sha| *sha != origin.head_sha);
    }
    repair.learned.notes.extend(checkout.lacks());
    stage.end(&format!("{:.12} is checked out", tested));
    Ok(Ok(checkout))
}

fn request(wish: &Wish, checkout: &Checkout, collected: &Collected, config: &Config) -> Request {
    Request {
        repository: checkout.root().to_owned(),
        logs: collected.logs.clone(),
        overrides: Overrides::default(),
        timeout: wish.timeout,
        cache: wish.cache.clone(),
        choice: wish.choice,
        launcher: wish.launcher.clone(),
        config: Some(config.clone()),
        jobs: collected.jobs.clone(),
        pythons: wish.pythons.clone(),
        own: Vec::new(),
    }
}
