//! plan: a job's log and the repository in, the commands that rebuild the job out.
//!
//! The log decides what ran; the repository's workflow files fill gaps, and where neither says how, the project's own
//! files do; what could not be rebuilt is said.

mod actions;
mod beside;
mod commands;
mod finish;
mod place;
mod project;
mod rebuild;
pub mod shell;
pub mod workflow;
mod wrappers;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde::Serialize;

use crate::{
    detect::JobLog,
    sandbox::{Network, Recipe},
};
pub use beside::{Beside, Cells, Weight};
pub use project::Project;
use workflow::{Workflow, Workflows};

/// Where a command comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The log shows that it ran.
    Log,
    /// A step of the matching workflow job, which the log does not show.
    Workflow,
    /// The project's own files: neither the log nor a workflow file says it.
    Project,
    /// `--command`.
    Flag,
}

/// A command that brings something in, or prepares the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// For `bash -e -c`.
    pub script: String,
    /// Where it comes from.
    pub origin: Origin,
    /// The step, or the file, that it is of.
    pub step: String,
}

/// A command that judges the code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// For `bash -e -c`.
    pub script: String,
    /// Where it comes from.
    pub origin: Origin,
    /// The step, or the file, that it is of.
    pub step: String,
    /// Which network it sees.
    pub network: Network,
    /// Is it an install command, which changes the environment that it runs in?
    pub installs: bool,
}

impl Check {
    /// A check without network that installs nothing.
    pub fn new(script: impl Into<String>, origin: Origin, step: &str) -> Self {
        Self { script: script.into(), origin, step: step.to_owned(), network: Network::None, installs: false }
    }
}

/// Something of the job that is not rebuilt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// The step or command.
    pub what: String,
    /// Why.
    pub why: String,
}

/// One job, as it can be run again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The job's name, or the log's.
    pub name: String,
    /// The workflow file and the job in it, where one matches.
    pub workflow: Option<String>,
    /// The Python that the job ran (`3.11.7`, or as little as `3`).
    pub python: String,
    /// What says so.
    pub python_from: &'static str,
    /// The job's environment variables, those of the runner left out. `$GITHUB_WORKSPACE` in a value is the tree.
    pub env: BTreeMap<String, String>,
    /// Where the commands ran, repository-relative; empty for the root.
    pub directory: String,
    /// The commands that build the environment, in order.
    pub install: Vec<Line>,
    /// The commands that prepare the tree, in order, before any check.
    pub setup: Vec<Line>,
    /// The commands that judge the code, in the job's order.
    pub checks: Vec<Check>,
    /// What is not rebuilt.
    pub skipped: Vec<Skipped>,
    /// The versions that the log's install output names.
    pub versions: Vec<(String, String)>,
    /// Does an install command copy the project into the environment, so that a changed source needs a new one?
    pub copies_project: bool,
    /// The system's packages that it installs, by Debian's names.
    pub packages: Vec<String>,
}

impl Job {
    /// How its workspace is built.
    pub fn recipe(&self, timeout: Duration) -> Recipe {
        Recipe {
            python: self.python.clone(),
            env: self.env.clone(),
            directory: self.directory.clone(),
            install: self.install.iter().map(|line| line.script.clone()).collect(),
            setup: self.setup.iter().map(|line| line.script.clone()).collect(),
            versions: self.versions.clone(),
            hold: Vec::new(),
            copies_project: self.copies_project,
            packages: self.packages.clone(),
            disposable: self.checks.iter().any(|c| c.installs),
            timeout,
        }
    }
}

/// What a person said on the command line, over what the log says.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `--command`: these are the checks.
    pub commands: Vec<String>,
    /// `--python`.
    pub python: Option<String>,
    /// `--workflow FILE`.
    pub workflow: Option<Arc<Workflow>>,
    /// `--job ID` of that workflow.
    pub job: Option<String>,
    /// `--matrix NAME=VALUE`.
    pub matrix: Vec<(String, String)>,
}

/// What the repository says of its CI and of itself.
#[derive(Debug, Default)]
pub struct Sources {
    /// Its workflow files.
    pub workflows: Workflows,
    /// Its own configuration.
    pub project: Project,
    /// The Pythons that there are to run it with.
    pub pythons: Vec<String>,
}

/// Rebuilds the job that `log` shows. `sources` are the repository's own, for what the log does not say.
pub fn plan(log: &JobLog, sources: &Sources, overrides: &Overrides) -> Job {
    rebuild::rebuild(log, sources, overrides)
}

/// The jobs that the same workflows run beside those of the logs, each log with its own plan, and cells of their own
/// matrices. `pythons` says which Pythons are here; it is asked only where that decides.
pub fn beside(
    failing: &[(&JobLog, &Job)],
    sources: &Sources,
    overrides: &Overrides,
    matrix: Cells,
    pythons: &dyn Fn() -> Vec<String>,
) -> Beside {
    beside::beside(failing, sources, overrides, matrix, pythons)
}

#[cfg(test)]
mod tests;
