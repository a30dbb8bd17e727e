//! The `test-repair` command.

use std::{fs, future::Future, path::Path, process::ExitCode, time::Duration};

use anyhow::{Context as _, Result};
use clap::Parser as _;
use test_repair::{
    action::Action,
    cache,
    cli::{Cli, Command, DetectArgs, FindingsFormat, FixArgs, Format, GivenArgs, PlanArgs, VerifyArgs},
    config::{self, Config},
    detect::JobLog,
    doctor, dry_run, eval, explain,
    fix::{self, FixOptions},
    hosted, init,
    input::{self, BadInput},
    interrupt::interrupted,
    manual,
    outcome::{Outcome, Repair, Verdict, Verification},
    pipeline::Request,
    redact::{shown, shown_line},
    report,
    verify::{self, VerifyOptions},
    workspace::Change,
};

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    if args.next().as_deref() == Some("sandbox-supervise") {
        return test_repair::sandbox::local::supervise(args);
    }
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            report::complain(&format!("error: {error}"));
            return ExitCode::from(1);
        }
    };
    let result = runtime.block_on(run(cli.command));
    // What was interrupted is not waited for.
    runtime.shutdown_timeout(Duration::from_secs(1));
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            report::complain(&format!("error: {}", shown(&format!("{error:#}"), 4000)));
            ExitCode::from(if error.chain().any(|cause| cause.is::<BadInput>()) { 2 } else { 1 })
        }
    }
}

async fn run(command: Command) -> Result<u8> {
    match command {
        Command::Detect(args) => detect(&args),
        Command::Fix(args) => fix(&args).await,
        Command::Verify(args) => verify(&args).await,
        Command::Plan(args) => dry_run::plan(&args),
        Command::Eval(args) => eval::eval(&args).await,
        Command::Explain(args) => Ok(explain::explain(args.rule.as_deref())?),
        Command::Transcript(args) => {
            report::print(&report::transcript(&input::read_transcript(&args.file)?)?);
            Ok(0)
        }
        Command::Action => act().await,
        Command::Doctor(args) => doctor::doctor(&args).await,
        Command::Cache(args) => cache::cache(&args),
        Command::Completions(args) => {
            report::print(&manual::completions(args.shell));
            Ok(0)
        }
        Command::Man => {
            report::print(&manual::man()?);
            Ok(0)
        }
        Command::Init(args) => init::init(&args),
    }
}

fn detect(args: &DetectArgs) -> Result<u8> {
    let mut logs: Vec<JobLog> = Vec::new();
    for path in &args.logs {
        logs.extend(input::read_log(path)?);
    }
    report::print(&match args.format {
        FindingsFormat::Text => report::detected_text(&logs),
        FindingsFormat::Json => report::detected_json(&logs),
        FindingsFormat::Sarif => report::detected_sarif(&logs),
    });
    Ok(u8::from(logs.iter().any(|log| !log.failures.is_empty())))
}

/// The limit on the run, which the repository may configure.
fn deadline(plan: &PlanArgs, given: &GivenArgs) -> Result<Option<Duration>> {
    let text = test_repair::workspace::read_inside(&given.repo, config::PATH).unwrap_or_default();
    Ok(Config::parse(&String::from_utf8_lossy(&text))?.deadline(plan.deadline))
}

/// How a run ended that others can end.
enum Ended {
    ByItself(Result<()>),
    Interrupted,
    Deadline,
}

/// Runs to the end, to the deadline, or to Ctrl-C; what is dropped takes its processes with it.
async fn until(deadline: Option<Duration>, work: impl Future<Output = Result<()>>) -> Ended {
    let spent = async {
        match deadline {
            Some(deadline) => tokio::time::sleep(deadline).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        result = work => Ended::ByItself(result),
        () = interrupted() => Ended::Interrupted,
        () = spent => Ended::Deadline,
    }
}

/// What `fix --out` writes besides the transcript.
const RESULTS: [&str; 3] = ["outcome.json", "report.md", "fix.patch"];

async fn act() -> Result<u8> {
    let action = match Action::from_env() {
        Ok(action) => action,
        Err(error) => {
            report::print(&test_repair::action::refusal(&format!("{error:#}")));
            return Err(error);
        }
    };
    report::print(&action.masks());
    let progress = report::watch_groups();
    let mut repair = Repair::new();
    let ended = until(None, action.act(&progress, &mut repair)).await;
    let failed = match ended {
        Ended::ByItself(Ok(())) => None,
        Ended::ByItself(Err(error)) => {
            repair.reason = Some(format!("{error:#}"));
            Some(error)
        }
        Ended::Interrupted => {
            repair.outcome = Outcome::Interrupted;
            None
        }
        Ended::Deadline => {
            repair.outcome = Outcome::BudgetSpent;
            None
        }
    };
    repair.timings = progress.timings();
    // Annotations would be folded away with the last stage.
    report::print("::endgroup::\n");
    let code = action.finish(&repair)?;
    failed.map_or(Ok(code), Err)
}

async fn fix(args: &FixArgs) -> Result<u8> {
    let (given, options) = (args.given(), FixOptions::of(args)?);
    let progress = report::watch();
    let mut repair = Repair::new();
    let ended = match &args.run {
        Some(run) => {
            let hosted = hosted::Hosted::of(args, run, options)?;
            let ended = until(None, hosted.repair(&progress, &mut repair)).await;
            if let Some(directory) = &args.out {
                hosted.write_audit(directory)?;
            }
            hosted.audit(&mut repair);
            ended
        }
        None => {
            let request = request(args, &given)?;
            until(deadline(&args.plan, &given)?, fix::fix(&request, &options, &progress, &mut repair)).await
        }
    };
    match ended {
        Ended::ByItself(result) => result?,
        Ended::Interrupted => repair.outcome = Outcome::Interrupted,
        Ended::Deadline => repair.outcome = Outcome::BudgetSpent,
    }
    repair.timings = progress.timings();
    if let Some(directory) = &args.out {
        write_out(directory, &repair, args.resume.as_deref())?;
    }
    report::print(&match args.format {
        Format::Text => report::fixed_text(&repair),
        Format::Json => report::json_line(&repair),
    });
    let accepted = repair.outcome == Outcome::Fixed || (repair.outcome == Outcome::Flagged && args.accept_flagged);
    match (&repair.change, args.apply) {
        (Some(change), true) if accepted => apply(change, &given.repo)?,
        (Some(_), true) => report::complain("not applied: a person must look first; --accept-flagged applies it"),
        _ => {}
    }
    Ok(repair.outcome.exit_code())
}

fn request(args: &FixArgs, given: &GivenArgs) -> Result<Request> {
    let mut request = given.request(&args.plan, &args.sandbox)?;
    let results = RESULTS.iter().chain(["transcript.jsonl"].iter());
    request.own.extend(args.out.iter().flat_map(|out| results.clone().map(|name| out.join(name))));
    request.own.extend(args.resume.clone().into_iter().chain(args.model.cassette.clone()));
    Ok(request)
}

/// Writes a fix to the repository, unless a file has changed in the meantime.
fn apply(change: &Change, repository: &Path) -> Result<()> {
    for (path, file) in &change.files {
        if test_repair::workspace::read_inside(repository, path) != file.before {
            return Err(BadInput(format!("not applied: {path} has changed since the repair began")).into());
        }
    }
    change.apply(repository)?;
    let files: Vec<&str> = change.files.keys().map(String::as_str).collect();
    report::complain(&shown_line(&format!("applied to {}", files.join(", ")), 4000));
    Ok(())
}

/// Are two names of one file?
fn same_file(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

fn write_out(directory: &Path, repair: &Repair, resumed: Option<&Path>) -> Result<()> {
    let cannot = || format!("--out {} cannot be written", directory.display());
    fs::create_dir_all(directory).with_context(cannot)?;
    let [outcome, report, patch] = RESULTS.map(|name| directory.join(name));
    fs::write(outcome, report::json_line(repair)).with_context(cannot)?;
    fs::write(report, report::markdown(repair)).with_context(cannot)?;
    if !repair.patch.is_empty() {
        fs::write(patch, &repair.patch).with_context(cannot)?;
    }
    let transcript = directory.join("transcript.jsonl");
    if let Some(resumed) = resumed.filter(|file| !same_file(file, &transcript)) {
        fs::copy(resumed, transcript).with_context(cannot)?;
    }
    Ok(())
}

async fn verify(args: &VerifyArgs) -> Result<u8> {
    let request = args.given.request(&args.plan, &args.sandbox)?;
    let options = VerifyOptions { declared: args.fix_type };
    let progress = report::watch();
    let mut verification = Verification::new();
    match until(
        deadline(&args.plan, &args.given)?,
        verify::verify(&request, &args.patch, &options, &progress, &mut verification),
    )
    .await
    {
        Ended::ByItself(result) => result?,
        Ended::Interrupted => verification.verdict = Verdict::Interrupted,
        Ended::Deadline => verification.verdict = Verdict::DeadlineSpent,
    }
    verification.timings = progress.timings();
    report::print(&match args.format {
        FindingsFormat::Text => report::verified_text(&verification),
        FindingsFormat::Json => report::json_line(&verification),
        FindingsFormat::Sarif => report::verified_sarif(&verification.findings),
    });
    Ok(verification.verdict.exit_code())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
        assert!(test_repair::cli::launcher().is_ok());
    }
}
