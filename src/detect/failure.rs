//! The nouns of detection: what failed, why two failures are the same, and what a job's log says of its steps.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What kind of thing failed. The names are the outside's (`detect --format json`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Category {
    UnitTest,
    IntegrationTest,
    Coverage,
    Docs,
    Quality,
    Security,
    Benchmark,
    ImportDependency,
    SyntaxError,
    Build,
    RuntimeError,
    Timeout,
    Crash,
    Infra,
    Aggregate,
}

/// What makes two failures the same one: compared as a multiset, without lines, addresses, times, durations or
/// temporary paths (JUDGEMENT.md, key of a failure).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Key {
    /// A test and the exception it ended with.
    Test {
        /// The test's id as the runner prints it.
        id: String,
        /// The exception's class name, without its module.
        exception: Option<String>,
    },
    /// A finding of a tool whose rules have codes.
    Finding {
        /// Repository-relative.
        file: String,
        /// `F401`, `B602`, `return-value`.
        rule: String,
        /// The name that the finding is about, where the tool says it.
        symbol: Option<String>,
    },
    /// A finding of a tool without codes.
    Message {
        /// Repository-relative.
        file: Option<String>,
        /// Normalised: no lines, addresses, times or temporary paths.
        message: String,
    },
    /// A number that was not reached.
    Threshold {
        /// `coverage`.
        metric: String,
        /// As printed, `%` left out.
        required: String,
    },
    /// A module or a requirement that is not there.
    Missing {
        /// The module as Python reports it (`yaml`, `shop.cart`, `shop.cart.total` for a name that can't be
        /// imported), the requirement's normalised name, or the command that is not installed.
        name: String,
    },
    /// A command that failed without saying more.
    Command {
        /// The command, white space folded.
        command: String,
        /// The class of error: an exception's name, or `exit N`.
        error: String,
    },
}

impl Key {
    /// Is what a log shows by this key the failure that a run of ours shows by `seen`? A command is known by its error
    /// class even where the log shows it as a part of a script.
    pub fn is_shown_by(&self, seen: &Key) -> bool {
        match (self, seen) {
            (Key::Command { command: a, error: x }, Key::Command { command: b, error: y }) => {
                x == y && (a.contains(b.as_str()) || b.contains(a.as_str()))
            }
            _ => self == seen,
        }
    }
}

/// One failing test id, or one finding of a tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// What kind of thing failed.
    pub category: Category,
    /// The tool that reported it: `pytest`, `unittest`, `ruff`, `ruff-format`, `mypy`, `pip`, …
    pub tool: String,
    /// The test's id as the runner prints it.
    pub test_id: Option<String>,
    /// Repository-relative, with `/`.
    pub file: Option<String>,
    /// 1-based.
    pub line: Option<u32>,
    /// The line that matters, bounded.
    pub message: String,
    /// The command of the log that was running.
    pub command: Option<String>,
    /// The step's name.
    pub step: Option<String>,
    /// The job's name.
    pub job: Option<String>,
    /// The job's Python, as far as the log says it.
    pub python: Option<String>,
    /// A bounded piece of the log around it.
    pub excerpt: String,
    /// Shared by all failures of one cause; the same in every run, cell and machine.
    pub fingerprint: String,
    /// Repeats of the very same finding.
    pub count: u32,
    /// What makes it the same as another.
    #[serde(skip)]
    pub key: Key,
}

/// How a job ended, as far as its log says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum JobResult {
    Failure,
    Success,
    Unknown,
}

/// What one job's log says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobLog {
    /// The log's name, as the caller gave it.
    pub log: String,
    /// The job's name ("Complete job name: …", or the first column of `gh run view --log`).
    pub job: Option<String>,
    /// How the job ended.
    pub result: JobResult,
    /// The job's primary cause.
    pub category: Option<Category>,
    /// In the log's order.
    pub failures: Vec<Failure>,
    /// Failures that were found and, beyond a bound, not kept.
    pub dropped: u64,
    /// 1; more where this entry also stands for jobs that were beyond the bound of one file.
    pub jobs: u64,
    /// In the log's order.
    pub steps: Vec<Step>,
    /// The full version where the log says it (`3.11.7`), else what was asked for (`3.11`).
    pub python: Option<String>,
    /// The checkout's absolute path on the runner: `/home/runner/work/click/click`.
    pub workspace: Option<String>,
    /// `owner/name` that the checkout step fetched.
    pub repository: Option<String>,
    /// The commit that the checkout step ended on.
    pub sha: Option<String>,
}

/// What a step was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepKind {
    /// `run:`, with its script as the log shows it.
    Run {
        /// Lines joined with `\n`, without colour.
        script: String,
        /// The shell line of the log (`/usr/bin/bash -e {0}`).
        shell: Option<String>,
    },
    /// `uses:`.
    Uses {
        /// `actions/setup-python@v6`.
        action: String,
        /// The inputs that the log shows.
        with: BTreeMap<String, String>,
    },
}

/// One step of a job, as the log's `##[group]Run …` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The step's name where the log has one (`gh run view --log`), else the group's title.
    pub name: String,
    /// What it was.
    pub kind: StepKind,
    /// The step's `env:` block, secrets (`***`) included as they are.
    pub env: BTreeMap<String, String>,
    /// `##[error]Process completed with exit code N`, or `Some(0)` when a later step began.
    pub exit: Option<i32>,
    /// Did the step fail? (a `continue-on-error` step fails, and later steps run all the same)
    pub failed: bool,
    /// Name and version, from "Successfully installed …", in the log's order.
    pub installed: Vec<(String, String)>,
    /// Names of packages that were built from a path of this machine (`Obtaining file://…`, `Processing ./…`).
    pub local_packages: Vec<String>,
    /// An absolute directory that the step's output says it ran in, or `None`.
    pub directory: Option<String>,
    /// When it began, in seconds of Unix time, where the log has timestamps.
    pub started: Option<i64>,
    /// What its output says of chance: the seeds of test orders and hashes.
    pub seeds: Seeds,
}

/// The seeds that a step's output names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seeds {
    /// pytest-randomly's.
    pub randomly: Option<u32>,
    /// `PYTHONHASHSEED`.
    pub hash: Option<u32>,
}

impl Step {
    /// About how many bytes of text it holds.
    pub(super) fn size(&self) -> usize {
        let map =
            |map: &BTreeMap<String, String>| map.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
        let kind = match &self.kind {
            StepKind::Run { script, .. } => script.len(),
            StepKind::Uses { action, with } => action.len() + map(with),
        };
        kind + map(&self.env) + self.name.len()
    }
}
