//! sandbox: commands of a repository, run where they can reach nothing.
//!
//! A [`Sandbox`] prepares a [`Prepared`] workspace: an environment built by the job's install commands, and a fresh
//! copy of a tree. What was really enforced is probed by running, and said in the [`Posture`].

mod ahead;
pub mod cache;
mod choose;
mod dagger;
#[cfg(test)]
pub(crate) mod double;
mod environment;
pub mod local;
mod python;
mod reports;
mod variables;
mod versions;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Serialize;

use crate::workspace::Tree;
pub use ahead::Ahead;
pub use cache::{CacheDir, CacheLimits};
pub use choose::{Choice, Chosen, choose};
pub use dagger::{DaggerPlace, DaggerSandbox};
pub use environment::{LocalSandbox, default_cache};
pub use python::{minor, pythons};

/// What a sandbox enforces, probed by running.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Posture {
    /// `local` or `dagger`.
    pub kind: &'static str,
    /// Layers that hold: `bubblewrap`, `network-namespace`, `landlock`, `seccomp`, `own-uid`, `memory-limit`, …
    pub enforced: Vec<String>,
    /// Layers that do not, each with why.
    pub missing: Vec<String>,
}

/// Which network a command sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// None, loopback aside where the sandbox can give it.
    None,
    /// The machine's: install steps, and checks that need the network by nature.
    Full,
}

/// Limits on a command's whole process tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Wall time.
    pub wall: Duration,
    /// Resident memory of all processes together, in bytes.
    pub memory: u64,
    /// Processes and threads alive at once.
    pub processes: u32,
    /// Bytes of output kept (head and tail); more is counted and dropped.
    pub output: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { wall: Duration::from_secs(1200), memory: 8 << 30, processes: 1024, output: 8 << 20 }
    }
}

/// One command to run inside the isolation.
#[derive(Debug, Clone)]
pub struct Exec {
    /// Given to `bash -e -c`, as GitHub's runner does.
    pub script: String,
    /// Absolute; below one of the writable or readable paths.
    pub cwd: PathBuf,
    /// The whole environment: nothing of ours is added but what the isolation itself needs.
    pub env: BTreeMap<String, String>,
    /// Which network it sees.
    pub network: Network,
    /// Absolute paths that may be read and executed, besides the system's (`/usr`, `/lib*`, `/bin`, `/etc` in part).
    pub readable: Vec<PathBuf>,
    /// Absolute paths that may be read, executed and written.
    pub writable: Vec<PathBuf>,
    /// Directories that are seen at another place as well, below a writable path: what, and where. Nobody can write to
    /// them there. Only namespaces can do it ([`local::Isolation::lays`]).
    pub laid: Vec<(PathBuf, PathBuf)>,
    /// Limits on the whole tree.
    pub limits: Limits,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// With this exit code.
    Exit(i32),
    /// By this signal.
    Signal(i32),
    /// Killed: out of wall time.
    WallTime,
    /// Killed: out of memory.
    Memory,
    /// Killed: too many processes.
    Processes,
}

/// What came of a command.
#[derive(Debug, Clone)]
pub struct Finished {
    /// How it ended.
    pub ended: Ended,
    /// stdout and stderr as they came, bounded.
    pub output: Vec<u8>,
    /// Bytes that were dropped from the middle of the output.
    pub dropped: u64,
    /// Wall time in seconds.
    pub seconds: f64,
}

/// How the workspace of a job is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// The wanted Python: `3.11.7`, `3.11`, or as little as `3`.
    pub python: String,
    /// The job's own environment variables.
    pub env: BTreeMap<String, String>,
    /// Where commands run, relative to the tree's root; empty for the root.
    pub directory: String,
    /// Commands that build the environment, in order, with network.
    pub install: Vec<String>,
    /// Commands that prepare a fresh tree, in order, without network.
    pub setup: Vec<String>,
    /// Versions to hold the installation to.
    pub versions: Vec<(String, String)>,
    /// Versions that a candidate's installation is held to: those that the baseline ran with.
    pub hold: Vec<(String, String)>,
    /// Does an install command say that it copies the project into the environment? What it doesn't say is seen.
    pub copies_project: bool,
    /// The system's packages that it needs, by Debian's names: only a container can have them.
    pub packages: Vec<String>,
    /// Do checks change the environment (a failing `pip install` is itself the check)? It is then built for one use.
    pub disposable: bool,
    /// Limit on each install command.
    pub timeout: Duration,
}

/// What one run of a check leaves.
#[derive(Debug, Clone)]
pub struct CheckRun {
    /// How the command ended, and what it printed.
    pub finished: Finished,
    /// pytest's own JUnit report, where it wrote one.
    pub junit: Option<Vec<u8>>,
}

/// What a sandbox can't do.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// No such Python on this machine.
    #[error("Python {wanted} was not found ({}): install it (uv python install {wanted}, pyenv install {wanted}) or choose another with --python", if found.is_empty() { "no Python was".to_owned() } else { format!("there is {}", found.join(", ")) })]
    NoPython {
        /// The version that was asked for.
        wanted: String,
        /// The versions that are there.
        found: Vec<String>,
    },
    /// No image of such a Python can be had.
    #[error("there is no image of Python {wanted}: {why}")]
    NoImage {
        /// The version that was asked for.
        wanted: String,
        /// What the engine says.
        why: String,
    },
    /// An install command failed.
    #[error("the environment could not be built: `{command}` {how}\n{output}", how = describe(finished.ended), output = tail(&finished.output, 2000))]
    Install {
        /// The command.
        command: String,
        /// How it ended.
        finished: Finished,
    },
    /// The isolation can't be had, or was lost.
    #[error("the sandbox failed: {0}")]
    Lost(String),
    /// Anything that nobody planned for.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

/// A place where commands of a repository run isolated.
#[async_trait::async_trait]
pub trait Sandbox: Send + Sync {
    /// What it enforces.
    fn posture(&self) -> &Posture;

    /// Builds or reuses the environment of `recipe` for `tree`, and puts a fresh copy of the tree beside it. The
    /// environment of a `candidate` (a tree that a patch has touched) never becomes that of another tree.
    async fn prepare(&self, recipe: &Recipe, tree: &Tree, candidate: bool) -> Result<Box<dyn Prepared>, SandboxError>;

    /// The Pythons that there are, at least as far as their minor versions.
    fn pythons(&self) -> Vec<String>;

    /// Forgets the environment of `recipe` and `tree`: the next one is built from scratch.
    ///
    /// # Errors
    /// When the cache can't be written.
    fn forget(&self, recipe: &Recipe, tree: &Tree) -> Result<(), SandboxError>;
}

/// An environment and a fresh tree, ready to run checks.
#[async_trait::async_trait]
pub trait Prepared: Send + Sync {
    /// The tree's root, as the checks see it and as we do.
    fn root(&self) -> &Path;
    /// The full version of its Python.
    fn python(&self) -> &str;
    /// Names and versions of what is installed.
    fn installed(&self) -> &[(String, String)];
    /// What a reader should know of how it was built.
    fn notes(&self) -> &[String];
    /// Was the environment built in an earlier run?
    fn reused(&self) -> bool;
    /// Does the environment hold a copy of the tree, so that a changed source needs a new one?
    fn copies_project(&self) -> bool;
    /// Replaces the tree by a fresh copy of `tree`.
    async fn refresh(&mut self, tree: &Tree) -> Result<(), SandboxError>;
    /// Runs a check in the job's directory and environment.
    async fn run(&self, script: &str, network: Network, limits: Limits) -> Result<CheckRun, SandboxError>;
}

/// How a command ended, in words.
pub fn describe(ended: Ended) -> String {
    match ended {
        Ended::Exit(code) => format!("exited with {code}"),
        Ended::Signal(signal) => format!("was ended by signal {signal}"),
        Ended::WallTime => "ran out of time".to_owned(),
        Ended::Memory => "ran out of memory".to_owned(),
        Ended::Processes => "started too many processes".to_owned(),
    }
}

/// The last `most` bytes of an output, as text.
pub fn tail(output: &[u8], most: usize) -> String {
    String::from_utf8_lossy(&output[output.len().saturating_sub(most)..]).trim().to_owned()
}
