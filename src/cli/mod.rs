//! cli: the command line, as CONTRACT.md has it.
// The help texts are the documentation; a flattened group has none of its own.
#![allow(missing_docs)]

mod cache;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{
    config::ModelFlags,
    fix_type::FixType,
    input::{self, BadInput},
    pipeline::Request,
    plan::Overrides,
    repair::ladder::Steps,
};
pub use cache::{CacheArgs, CacheCommand, PruneArgs, SandboxArgs, SandboxKind, default_cache};

/// Reads a failing CI log, reproduces the failure, repairs it, and proves the repair.
#[derive(Debug, Parser)]
#[command(name = "test-repair", version, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say what failed in CI logs. Exits with 0 (nothing found), 1 (failures found) or 2 (bad input)
    Detect(DetectArgs),
    /// Repair a repository whose CI failed. Prints a report with the patch; --apply writes it to the repository
    Fix(FixArgs),
    /// Judge anyone's patch for a repository whose CI failed
    Verify(VerifyArgs),
    /// Say what would be run for a failing log, where each line comes from, and what is left out. Runs nothing
    Plan(PlanCommandArgs),
    /// Replay a corpus of failing repositories
    Eval(EvalArgs),
    /// Say what a rule means, with an example and how it can be wrong; without one, list them all
    Explain(ExplainArgs),
    /// Make the transcript of a run readable: what the model was asked, what it said, what came of it
    Transcript(TranscriptArgs),
    /// Say what this machine can do, and what is missing
    Doctor(DoctorArgs),
    /// List what the cache of environments holds, or remove what is too old or too much
    Cache(CacheArgs),
    /// What GitHub's runner starts: inputs and event from the environment
    Action,
    /// Write the workflow that repairs a repository's CI on GitHub, and say what remains to be done by hand
    Init(InitArgs),
    /// Print the completions of a shell
    Completions(CompletionsArgs),
    /// Print the manual page, as roff
    Man,
}

/// How a result is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For scripts; the schema is in CONTRACT.md.
    Json,
}

/// How findings are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FindingsFormat {
    /// For people.
    Text,
    /// For scripts; the schema is in CONTRACT.md.
    Json,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
}

/// `detect`
#[derive(Debug, Args)]
pub struct DetectArgs {
    /// A job's log file, or a run's log archive (.zip); `-` for standard input
    #[arg(required = true, value_name = "LOG")]
    pub logs: Vec<PathBuf>,
    /// How to print
    #[arg(long, value_enum, default_value = "text")]
    pub format: FindingsFormat,
}

/// `fix`
#[derive(Debug, Args)]
pub struct FixArgs {
    /// The repository's root; judged as the working tree stands
    #[arg(long, value_name = "DIR", required_unless_present = "run")]
    pub repo: Option<PathBuf>,
    /// The failing job's log, or a run's log archive (.zip); `-` for standard input. May be given several times
    #[arg(long = "log", value_name = "LOG", required_unless_present = "run", conflicts_with = "run", num_args = 1..)]
    pub logs: Vec<PathBuf>,
    /// A failed workflow run on GitHub, by URL or number, instead of a log. The token is read from GITHUB_TOKEN; writes
    /// nothing to GitHub
    #[arg(long, value_name = "URL|ID")]
    pub run: Option<String>,
    /// With --run: propose the fix as a pull request
    #[arg(long, requires = "run")]
    pub open_pr: bool,
    /// Write the fix to the repository
    #[arg(long)]
    pub apply: bool,
    /// With --apply: also a fix that a person must look at
    #[arg(long, requires = "apply")]
    pub accept_flagged: bool,
    /// The enabled fix types
    #[arg(long, value_name = "TYPE", value_delimiter = ',')]
    pub fix_types: Vec<FixType>,
    /// Also write fix.patch, outcome.json, report.md and transcript.jsonl here
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// How to print
    #[arg(long, value_enum, default_value = "text")]
    pub format: Format,
    /// Go on with the run that wrote this transcript: what it paid for is not paid again
    #[arg(long, value_name = "FILE", conflicts_with = "rules_only")]
    pub resume: Option<PathBuf>,
    #[command(flatten)]
    pub plan: PlanArgs,
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub sandbox: SandboxArgs,
}

/// `verify`
#[derive(Debug, Args)]
pub struct VerifyArgs {
    #[command(flatten)]
    pub given: GivenArgs,
    /// The patch, as `git diff` makes it; `-` for standard input
    #[arg(long, value_name = "FILE")]
    pub patch: PathBuf,
    /// What kind of repair the patch says that it is
    #[arg(long, value_name = "TYPE")]
    pub fix_type: Option<FixType>,
    /// How to print
    #[arg(long, value_enum, default_value = "text")]
    pub format: FindingsFormat,
    #[command(flatten)]
    pub plan: PlanArgs,
    #[command(flatten)]
    pub sandbox: SandboxArgs,
}

/// `plan`
#[derive(Debug, Args)]
pub struct PlanCommandArgs {
    #[command(flatten)]
    pub given: GivenArgs,
    /// How to print
    #[arg(long, value_enum, default_value = "text")]
    pub format: Format,
    #[command(flatten)]
    pub plan: PlanArgs,
}

/// `eval`
#[derive(Debug, Args)]
pub struct EvalArgs {
    /// A directory with a folder for each case (repo.tar.gz, ci.log, case.json, fix.patch), or with a `cases` folder
    #[arg(value_name = "CORPUS")]
    pub corpus: PathBuf,
    /// Only cases whose name matches
    #[arg(long, value_name = "GLOB", default_value = "*")]
    pub filter: String,
    /// Judge each case's own fix.patch instead of repairing, and the patches that cheats/manifest.jsonl and
    /// benign/manifest.jsonl list
    #[arg(long)]
    pub verify: bool,
    /// Cases at once
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub jobs: u16,
    /// Keep results here, and leave out cases that are in it
    #[arg(long, value_name = "FILE")]
    pub resume: Option<PathBuf>,
    /// Also write each case's patch and outcome here
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// How to print
    #[arg(long, value_enum, default_value = "text")]
    pub format: Format,
    /// Limit on each command
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub timeout: u64,
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub sandbox: SandboxArgs,
}

/// `explain`
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// A rule's id, as reports show it
    #[arg(value_name = "RULE")]
    pub rule: Option<String>,
}

/// `transcript`
#[derive(Debug, Args)]
pub struct TranscriptArgs {
    /// A transcript.jsonl; `-` for standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// `doctor`
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Also say what this repository configures, what its CI needs of this machine, and how to get what is missing
    #[arg(long, value_name = "DIR")]
    pub repo: Option<PathBuf>,
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub sandbox: SandboxArgs,
}

/// `init`
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The repository's root
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub repo: PathBuf,
    /// The workflow to repair, by its name or its file, instead of those that run checks. May be given several times
    #[arg(long = "workflow", value_name = "NAME")]
    pub workflows: Vec<String>,
    /// Print a job to paste into the failing workflow, instead of writing a workflow
    #[arg(long)]
    pub same_run: bool,
    /// Let failed jobs run again so many times where the code is not at fault (permission: actions: write)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=5))]
    pub reruns: Option<u8>,
    /// Let the diagnosis become an issue where there is no fix (permission: issues: write)
    #[arg(long)]
    pub issues: bool,
    /// Write nothing; exit with 1 where something is not as it would be written
    #[arg(long, conflicts_with = "force")]
    pub check: bool,
    /// Overwrite a workflow that differs
    #[arg(long)]
    pub force: bool,
}

/// `completions`
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL", value_enum)]
    pub shell: clap_complete::Shell,
}

/// What is given.
#[derive(Debug, Args)]
pub struct GivenArgs {
    /// The repository's root; judged as the working tree stands
    #[arg(long, value_name = "DIR")]
    pub repo: PathBuf,
    /// The failing job's log, or a run's log archive (.zip); `-` for standard input. May be given several times
    #[arg(long = "log", value_name = "LOG", required = true, num_args = 1..)]
    pub logs: Vec<PathBuf>,
}

/// What a person says over what the log says.
#[derive(Debug, Args)]
#[command(next_help_heading = "Plan")]
pub struct PlanArgs {
    /// The check to run, instead of those that the log shows. May be given several times
    #[arg(long = "command", value_name = "CMD")]
    pub commands: Vec<String>,
    /// The Python to run
    #[arg(long, value_name = "X.Y")]
    pub python: Option<String>,
    /// The workflow file that the log is of
    #[arg(long, value_name = "FILE")]
    pub workflow: Option<PathBuf>,
    /// The id of the job in the workflow file
    #[arg(long, value_name = "ID")]
    pub job: Option<String>,
    /// A value of the job's matrix. May be given several times
    #[arg(long = "matrix", value_name = "NAME=VALUE", value_parser = matrix_value)]
    pub matrix: Vec<(String, String)>,
    /// Limit on one command [default: 1200]
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<u64>,
    /// Limit on the whole run
    #[arg(long, value_name = "SECONDS")]
    pub deadline: Option<u64>,
}

/// The model, and the steps of the ladder.
#[derive(Debug, Args)]
#[command(next_help_heading = "Model (the key is read from DEEPSEEK_API_KEY)")]
pub struct ModelArgs {
    /// Rules only: no model is asked
    #[arg(long, conflicts_with = "no_rules")]
    pub rules_only: bool,
    /// No rules: the model is asked at once
    #[arg(long)]
    pub no_rules: bool,
    /// Not the one question: the dialogue with tools at once
    #[arg(long)]
    pub no_question: bool,
    /// No dialogue with tools
    #[arg(long)]
    pub no_loop: bool,
    /// The model [default: deepseek-flash]
    #[arg(long = "model", value_name = "NAME", env = "DEEPSEEK_MODEL")]
    pub model_name: Option<String>,
    /// Any endpoint that speaks the OpenAI chat format [default: https://api.deepseek.com]
    #[arg(long, value_name = "URL", env = "DEEPSEEK_BASE_URL")]
    pub model_url: Option<String>,
    /// What the run may cost, in dollars at the highest rate [default: 0.25]
    #[arg(long, value_name = "N")]
    pub max_cost_usd: Option<f64>,
    /// Requests that the run may send [default: 60]
    #[arg(long, value_name = "N")]
    pub max_calls: Option<u32>,
    /// Tokens that the run may use, in and out [default: 1000000]
    #[arg(long, value_name = "N")]
    pub max_tokens: Option<u64>,
    /// Ask again what was asked before
    #[arg(long)]
    pub no_cache: bool,
    /// A recording of the endpoint: replayed where the file exists, made where it does not
    #[arg(long, value_name = "FILE")]
    pub cassette: Option<PathBuf>,
}

impl ModelArgs {
    /// The steps that are taken.
    pub fn steps(&self) -> Steps {
        let asks = !self.rules_only;
        Steps { rules: !self.no_rules, question: asks && !self.no_question, dialogue: asks && !self.no_loop }
    }

    /// What is said of the model here and in the environment.
    pub fn flags(&self, sandbox: &SandboxArgs) -> ModelFlags {
        let filled = |value: Option<String>| value.filter(|v| !v.trim().is_empty());
        ModelFlags {
            key: filled(std::env::var("DEEPSEEK_API_KEY").ok()).map(|key| key.trim().to_owned()),
            url: filled(self.model_url.clone()),
            name: filled(self.model_name.clone()),
            max_cost_usd: self.max_cost_usd,
            max_calls: self.max_calls,
            max_tokens: self.max_tokens,
            cache: if self.no_cache { None } else { Some(sandbox.cache().join("completions")) },
            cassette: self.cassette.clone(),
        }
    }
}

impl FixArgs {
    /// What is given without a run: both are there, or the command line was refused.
    pub fn given(&self) -> GivenArgs {
        GivenArgs { repo: self.repository(), logs: self.logs.clone() }
    }

    /// The repository's root: with a run, the working directory where nothing else is said.
    pub fn repository(&self) -> PathBuf {
        self.repo.clone().unwrap_or_else(|| PathBuf::from("."))
    }
}

fn matrix_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("a value of the matrix is written NAME=VALUE, such as python-version=3.12".to_owned()),
    }
}

impl PlanArgs {
    /// What a person says over what the log says.
    ///
    /// # Errors
    /// [`BadInput`] when the workflow file can't be used.
    pub fn overrides(&self) -> Result<Overrides, BadInput> {
        Ok(Overrides {
            commands: self.commands.clone(),
            python: self.python.clone(),
            workflow: self.workflow.as_ref().map(input::read_workflow).transpose()?.map(Arc::new),
            job: self.job.clone(),
            matrix: self.matrix.clone(),
        })
    }
}

impl GivenArgs {
    /// Everything that a door is told.
    ///
    /// # Errors
    /// [`BadInput`] when the workflow file can't be used.
    pub fn request(&self, plan: &PlanArgs, sandbox: &SandboxArgs) -> Result<Request, BadInput> {
        Ok(Request {
            repository: self.repo.clone(),
            logs: self.logs.clone(),
            overrides: plan.overrides()?,
            timeout: plan.timeout,
            cache: sandbox.environments(),
            choice: sandbox.choice()?,
            launcher: launcher()?,
            config: None,
            jobs: BTreeMap::new(),
            pythons: Vec::new(),
            own: Vec::new(),
        })
    }
}

/// This binary: the sandbox starts it again as a supervisor.
///
/// # Errors
/// [`BadInput`] when it has no path.
pub fn launcher() -> Result<PathBuf, BadInput> {
    std::env::current_exe().map_err(|e| BadInput(format!("this program cannot find itself: {e}")))
}
