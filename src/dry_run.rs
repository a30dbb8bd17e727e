//! dry_run: what would run for a failing log, where each line of it comes from, and what is left out. Nothing runs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::Result;
use console::style;
use serde::Serialize;

use crate::{
    cli::{Format, PlanCommandArgs},
    config::Config,
    detect::JobLog,
    input, pipeline,
    plan::{self, Check, Job, Line, Origin, Skipped},
    redact::shown_line,
    report::{self, Table},
    sandbox::{self, Network},
};

/// No line of the text is longer, in characters.
const WIDEST: usize = 110;
/// So many versions are shown as text.
const VERSIONS: usize = 12;

/// A job's plan as JSON, `schema` 1.
#[derive(Debug, Serialize)]
struct Planned<'a> {
    schema: u32,
    log: &'a str,
    job: &'a str,
    workflow: Option<&'a str>,
    python: &'a str,
    python_from: &'a str,
    env: &'a BTreeMap<String, String>,
    directory: &'a str,
    install: Vec<Command<'a>>,
    setup: Vec<Command<'a>>,
    checks: Vec<Command<'a>>,
    versions: BTreeMap<&'a str, &'a str>,
    skipped: &'a [Skipped],
    beside: Beside<'a>,
}

/// What the same workflow checks besides.
#[derive(Debug, Serialize)]
struct Beside<'a> {
    jobs: Vec<Other<'a>>,
    skipped: &'a [Skipped],
}

#[derive(Debug, Serialize)]
struct Other<'a> {
    job: &'a str,
    workflow: Option<&'a str>,
    python: &'a str,
    install: Vec<Command<'a>>,
    setup: Vec<Command<'a>>,
    checks: Vec<Command<'a>>,
    skipped: &'a [Skipped],
}

impl<'a> Other<'a> {
    fn of(job: &'a Job) -> Self {
        let [install, setup, checks] = commands(job);
        let (workflow, python) = (job.workflow.as_deref(), job.python.as_str());
        Other { job: &job.name, workflow, python, install, setup, checks, skipped: &job.skipped }
    }
}

#[derive(Debug, Serialize)]
struct Command<'a> {
    command: &'a str,
    origin: Origin,
    step: &'a str,
    /// Does it see the network?
    network: bool,
}

impl<'a> Command<'a> {
    fn line(line: &'a Line, network: bool) -> Self {
        Self { command: &line.script, origin: line.origin, step: &line.step, network }
    }

    fn check(check: &'a Check) -> Self {
        let network = check.network == Network::Full;
        Self { command: &check.script, origin: check.origin, step: &check.step, network }
    }
}

/// What installs, what sets up and what checks, each in its order.
fn commands(job: &Job) -> [Vec<Command<'_>>; 3] {
    [
        job.install.iter().map(|line| Command::line(line, true)).collect(),
        job.setup.iter().map(|line| Command::line(line, false)).collect(),
        job.checks.iter().map(Command::check).collect(),
    ]
}

/// Prints the plan of every failing job, or of all jobs where none failed. Exits with 0, or with 8 where none failed.
///
/// # Errors
/// [`input::BadInput`] for what can't be used.
pub fn plan(args: &PlanCommandArgs) -> Result<u8> {
    let logs = pipeline::read_logs(&args.given.logs, &BTreeMap::new())?;
    let tree = input::read_repository(&args.given.repo)?;
    let matrix = Config::of(&tree)?.matrix();
    let overrides = args.plan.overrides()?;
    let failing = pipeline::failing(&logs);
    let shown = if failing.is_empty() { logs.iter().collect() } else { failing.clone() };
    let sources = input::sources(&tree, &logs);
    for log in shown {
        let job = plan::plan(log, &sources, &overrides);
        let beside = plan::beside(&[(log, &job)], &sources, &overrides, matrix, &sandbox::pythons);
        report::print(&match args.format {
            Format::Text => text(&job, log) + &beside_text(&beside),
            Format::Json => report::json_line(&planned(&job, log, &beside)),
        });
    }
    if failing.is_empty() {
        report::complain("no log shows a failure: this is what the jobs ran");
        return Ok(8);
    }
    Ok(0)
}

fn planned<'a>(job: &'a Job, log: &'a JobLog, beside: &'a plan::Beside) -> Planned<'a> {
    let [install, setup, checks] = commands(job);
    Planned {
        schema: 1,
        log: &log.log,
        job: &job.name,
        workflow: job.workflow.as_deref(),
        python: &job.python,
        python_from: job.python_from,
        env: &job.env,
        directory: &job.directory,
        install,
        setup,
        checks,
        versions: job.versions.iter().map(|(name, version)| (name.as_str(), version.as_str())).collect(),
        skipped: &job.skipped,
        beside: Beside { jobs: beside.jobs.iter().map(Other::of).collect(), skipped: &beside.skipped },
    }
}

fn text(job: &Job, log: &JobLog) -> String {
    let line = |text: &str| shown_line(text, WIDEST);
    let mut out = format!("{}\n", style(line(&job.name)).bold());
    let mut facts = Vec::new();
    if let Some(workflow) = &job.workflow {
        facts.push(("workflow", workflow.clone()));
    }
    facts.push(("Python", format!("{} (from {})", job.python, job.python_from)));
    if !job.directory.is_empty() {
        facts.push(("directory", job.directory.clone()));
    }
    if let Some(sha) = &log.sha {
        facts.push(("tested", sha.clone()));
    }
    for (name, value) in &job.env {
        facts.push(("env", format!("{name}={value}")));
    }
    if !job.versions.is_empty() {
        let some: Vec<String> =
            job.versions.iter().take(VERSIONS).map(|(name, version)| format!("{name}=={version}")).collect();
        let rest = job.versions.len().saturating_sub(VERSIONS);
        let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
        facts.push(("versions", format!("{}{more} (from the log)", some.join(" "))));
    }
    for (name, value) in facts {
        let _ = writeln!(out, "  {name:10} {}", shown_line(&value, 400));
    }
    out.push('\n');
    let mut table = Table::new(&["", "command", "network", "from"]);
    let mut before = "";
    let kinds = ["install", "set up", "check"].into_iter().zip(commands(job));
    for (kind, command) in kinds.flat_map(|(kind, commands)| commands.into_iter().map(move |command| (kind, command))) {
        for (at, part) in command.command.lines().enumerate() {
            let first = at == 0;
            let from = match command.step {
                "" => origin(command.origin).to_owned(),
                step => format!("{}, {}", origin(command.origin), line(step)),
            };
            table.row(vec![
                if first && before != kind { kind.to_owned() } else { String::new() },
                line(part),
                if first && command.network { "yes".to_owned() } else { String::new() },
                if first { from } else { String::new() },
            ]);
        }
        before = kind;
    }
    if before.is_empty() {
        out.push_str("  nothing: see below\n");
    } else {
        out.push_str(&table.render(2));
    }
    if !job.skipped.is_empty() {
        let mut table = Table::new(&["left out", "why"]);
        for skipped in &job.skipped {
            table.row(vec![line(&skipped.what), shown_line(&skipped.why, 400)]);
        }
        let _ = write!(out, "\n{}", table.render(2));
    }
    out.push('\n');
    out
}

/// The other jobs, in the order in which a repair would run them.
fn beside_text(beside: &plan::Beside) -> String {
    let mut out = String::new();
    let line = |text: &str| shown_line(text, WIDEST);
    if !beside.jobs.is_empty() {
        let mut table = Table::new(&["beside it", "Python", "check"]);
        for job in &beside.jobs {
            for (at, check) in job.checks.iter().enumerate() {
                let last = check.script.lines().last().unwrap_or_default();
                let first = |text: &str| if at == 0 { line(text) } else { String::new() };
                table.row(vec![first(&job.name), first(&job.python), line(last)]);
            }
        }
        let _ = writeln!(out, "{}", table.render(2));
    }
    let part = |job: &Job, skipped: &Skipped| (format!("{}: {}", job.name, skipped.what), skipped.why.clone());
    let parts = beside.jobs.iter().flat_map(|job| job.skipped.iter().map(|skipped| part(job, skipped)));
    let whole = beside.skipped.iter().map(|skipped| (skipped.what.clone(), skipped.why.clone()));
    let left_out: Vec<(String, String)> = parts.chain(whole).collect();
    if !left_out.is_empty() {
        let mut table = Table::new(&["not run beside it", "why"]);
        for (what, why) in left_out {
            table.row(vec![line(&what), shown_line(&why, 400)]);
        }
        let _ = writeln!(out, "{}", table.render(2));
    }
    out
}

fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Log => "log",
        Origin::Workflow => "workflow",
        Origin::Project => "project",
        Origin::Flag => "command line",
    }
}
