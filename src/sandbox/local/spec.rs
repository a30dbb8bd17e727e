//! What passes between test-repair and the supervisor of one run.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use crate::sandbox::{Ended, Exec, Finished, Limits, Network};

/// How a run is kept apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Layer {
    /// bubblewrap makes the namespaces.
    Bubblewrap,
    /// We make them; inside a user namespace of our own where we lack the right otherwise.
    Native {
        /// With a user namespace.
        user_namespace: bool,
    },
    /// No namespaces: Landlock, seccomp and another user only.
    Bare,
    /// Nothing but the limits: a person said so.
    Nothing,
}

impl Layer {
    /// A root, a network and a process list of its own.
    pub(super) fn has_namespaces(self) -> bool {
        matches!(self, Layer::Bubblewrap | Layer::Native { .. })
    }
}

/// What runs inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Command {
    /// A script, given to `bash -e -c`.
    Script(String),
    /// This program's own attempts at what is forbidden, as JSON.
    Attempts(String),
}

/// One run, as the supervisor gets it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Spec {
    pub(super) layer: Layer,
    /// As a user of its own: only root can.
    pub(super) own_uid: bool,
    pub(super) state_dir: PathBuf,
    /// Directories of ours: what is writable below them is handed to the run's user.
    pub(super) ours: Vec<PathBuf>,
    pub(super) bubblewrap: Option<PathBuf>,
    pub(super) command: Command,
    pub(super) cwd: PathBuf,
    pub(super) env: BTreeMap<String, String>,
    pub(super) network: bool,
    pub(super) readable: Vec<PathBuf>,
    pub(super) writable: Vec<PathBuf>,
    pub(super) laid: Vec<(PathBuf, PathBuf)>,
    pub(super) wall_millis: u64,
    pub(super) memory: u64,
    pub(super) processes: u32,
    pub(super) output: usize,
}

impl Spec {
    pub(super) fn new(exec: &Exec, layer: Layer, own_uid: bool, state_dir: PathBuf, ours: Vec<PathBuf>) -> Self {
        let Limits { wall, memory, processes, output } = exec.limits;
        Spec {
            layer,
            own_uid,
            state_dir,
            ours,
            bubblewrap: None,
            command: Command::Script(exec.script.clone()),
            cwd: exec.cwd.clone(),
            env: exec.env.clone(),
            network: exec.network == Network::Full,
            readable: exec.readable.clone(),
            writable: exec.writable.clone(),
            laid: exec.laid.clone(),
            wall_millis: u64::try_from(wall.as_millis()).unwrap_or(u64::MAX),
            memory,
            processes,
            output,
        }
    }

    pub(super) fn wall(&self) -> Duration {
        Duration::from_millis(self.wall_millis)
    }
}

/// What the innermost process needs to confine itself; it passes through bubblewrap.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Inner {
    pub(super) layer: Layer,
    /// The user to become, where there is one.
    pub(super) uid: Option<u32>,
    pub(super) command: Command,
    pub(super) cwd: PathBuf,
    pub(super) env: BTreeMap<String, String>,
    pub(super) network: bool,
    pub(super) readable: Vec<PathBuf>,
    pub(super) writable: Vec<PathBuf>,
    /// Of the run's user, in the kernel's count.
    pub(super) process_limit: u64,
}

/// How a run ended, as the supervisor says it; the output follows as raw bytes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Report {
    /// It ran.
    Ended {
        ended: WireEnded,
        length: usize,
        dropped: u64,
        seconds: f64,
        /// What the kernel said of Landlock.
        landlock: Option<String>,
    },
    /// It could not be started, or was lost.
    Failed(String),
}

/// [`Ended`] on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum WireEnded {
    Exit(i32),
    Signal(i32),
    WallTime,
    Memory,
    Processes,
}

impl From<WireEnded> for Ended {
    fn from(ended: WireEnded) -> Self {
        match ended {
            WireEnded::Exit(code) => Ended::Exit(code),
            WireEnded::Signal(signal) => Ended::Signal(signal),
            WireEnded::WallTime => Ended::WallTime,
            WireEnded::Memory => Ended::Memory,
            WireEnded::Processes => Ended::Processes,
        }
    }
}

/// A finished run with what only the probe wants to know.
#[derive(Debug)]
pub(super) struct Supervised {
    pub(super) finished: Finished,
    pub(super) landlock: Option<String>,
}
