//! sandbox: commands of a repository, run where they can reach nothing.
//!
//! A [`Sandbox`] prepares a [`Prepared`] workspace: an environment built by the job's install commands, and a fresh
//! copy of a tree. What was really enforced is probed by running, and said in the [`Posture`].

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde::Serialize;

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
