//! What the rest of the room uses: probe once, then run.

use std::{
    io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::Command as Process,
};

use super::{
    bubblewrap, layout,
    probe::{self, Bait, Findings},
    records::{self, Swept},
    spec::{Command, Layer, Report, Spec, Supervised},
};
use crate::sandbox::{Exec, Finished, Limits, Network, Posture};

/// Which layers the probe may choose from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LayerChoice {
    /// The best that holds.
    #[default]
    Auto,
    /// bubblewrap only.
    Bubblewrap,
    /// Namespaces made by root only.
    Namespaces,
    /// Namespaces inside a user namespace only.
    UserNamespaces,
    /// None of them: what is left in a container as Docker starts it.
    NoNamespaces,
}

/// How to isolate.
#[derive(Debug, Clone)]
pub struct IsolationOptions {
    /// The test-repair binary, started again as a supervisor.
    pub launcher: PathBuf,
    /// A person said that nothing needs to be kept apart.
    pub no_isolation: bool,
    /// Where the records of runs live; ours alone. It is hidden from runs.
    pub state_dir: PathBuf,
    /// Directories of ours. Where a run has a user of its own, what is writable must lie below one of them, and is
    /// given to that user.
    pub ours: Vec<PathBuf>,
    /// Paths that runs will need: without namespaces they decide whether another user is possible.
    pub needed: Vec<PathBuf>,
    /// Which layers may be chosen.
    pub layers: LayerChoice,
}

impl IsolationOptions {
    /// The usual ones: this program is the launcher, and everything of ours is below the state directory.
    pub fn new(state_dir: impl Into<PathBuf>) -> io::Result<Self> {
        let state_dir = state_dir.into();
        Ok(IsolationOptions {
            launcher: std::env::current_exe()?,
            no_isolation: false,
            ours: vec![state_dir.clone()],
            state_dir,
            needed: Vec::new(),
            layers: LayerChoice::Auto,
        })
    }
}

/// Why something could not be isolated.
#[derive(Debug, thiserror::Error)]
pub enum IsolationError {
    /// Nothing that was tried keeps a run from the network.
    #[error("no way to keep a run from the network holds here: {}", .0.join("; "))]
    NoNetworkBlock(Vec<String>),
    /// A path may not be given to a run.
    #[error("{0}")]
    Path(String),
    /// The supervisor could not be started or talked to.
    #[error("the supervisor {}: {error}", .launcher.display())]
    Launcher {
        /// The binary.
        launcher: PathBuf,
        /// What went wrong.
        error: io::Error,
    },
    /// The sandbox could not be made, or was lost.
    #[error("the sandbox failed: {0}")]
    Sandbox(String),
    /// The state directory can't be used.
    #[error("{}: {error}", .path.display())]
    State {
        /// The directory.
        path: PathBuf,
        /// What went wrong.
        error: io::Error,
    },
}

/// Runs commands where they can reach nothing.
#[derive(Debug, Clone)]
pub struct Isolation {
    options: IsolationOptions,
    layer: Layer,
    own_uid: bool,
    bubblewrap: Option<PathBuf>,
    findings: Findings,
}

impl Isolation {
    /// Takes the best layers that hold on this machine: each candidate is run once, and tries each forbidden thing.
    pub async fn probe(mut options: IsolationOptions) -> Result<Isolation, IsolationError> {
        let state = |error| IsolationError::State { path: options.state_dir.clone(), error };
        records::make_state_dir(&options.state_dir).map_err(state)?;
        options.state_dir = options.state_dir.canonicalize().map_err(state)?;
        if options.no_isolation {
            return Ok(Isolation::nothing(options));
        }
        let bubblewrap = bubblewrap::find();
        let mut failures = Vec::new();
        let mut refused = None;
        for layer in candidates(options.layers, bubblewrap.is_some()) {
            let own_uid = nix::unistd::geteuid().is_root()
                && match layer {
                    Layer::Bubblewrap | Layer::Native { user_namespace: false } => true,
                    Layer::Bare => {
                        records::reachable_by_others(&options.state_dir.join("runs/0/tmp"))
                            && options.needed.iter().all(|path| records::reachable_by_others(path))
                    }
                    _ => false,
                };
            let findings = Findings::none();
            let mut isolation =
                Isolation { options: options.clone(), layer, own_uid, bubblewrap: bubblewrap.clone(), findings };
            match isolation.try_everything().await {
                Ok(findings) if findings.network.is_none() => {
                    isolation.findings = findings;
                    return Ok(isolation);
                }
                Ok(findings) => failures.push(format!("{layer:?} {}", findings.network.unwrap_or_default())),
                Err(error @ IsolationError::Launcher { .. }) => refused = Some(error),
                Err(error) => failures.push(format!("{layer:?}: {error}")),
            }
        }
        Err(refused.unwrap_or(IsolationError::NoNetworkBlock(failures)))
    }

    /// What is enforced, as the probe found it.
    pub fn posture(&self) -> &Posture {
        &self.findings.posture
    }

    /// Whether a run without network can still open a local server.
    pub fn loopback(&self) -> bool {
        self.findings.loopback
    }

    /// Whether runs have a user of their own, so that readable paths must be open to others.
    pub fn own_uid(&self) -> bool {
        self.own_uid
    }

    /// Whether a run can see a directory at another place than its own.
    pub fn lays(&self) -> bool {
        self.layer.has_namespaces()
    }

    /// The same, with another launcher.
    #[must_use]
    pub fn with_launcher(mut self, launcher: PathBuf) -> Self {
        self.options.launcher = launcher;
        self
    }

    /// Runs a command to its end. Dropping the future kills the whole tree.
    pub async fn run(&self, exec: &Exec) -> Result<Finished, IsolationError> {
        self.check_paths(exec)?;
        let spec = self.spec(exec);
        Ok(self.supervise(&spec, None).await?.finished)
    }

    /// Kills what an earlier, killed test-repair left in this state directory, and removes its records.
    pub fn sweep(state_dir: &Path) -> Result<Swept, IsolationError> {
        records::sweep(state_dir).map_err(|error| IsolationError::State { path: state_dir.to_owned(), error })
    }

    fn nothing(options: IsolationOptions) -> Self {
        let posture = Posture {
            kind: "local",
            enforced: ["wall-time-limit", "memory-limit (polled)", "process-limit (polled)", "output-limit"]
                .map(str::to_owned)
                .into(),
            missing: vec!["isolation: a person said --no-isolation; network, files and processes are open".to_owned()],
        };
        let findings = Findings { posture, loopback: true, network: None };
        Isolation { options, layer: Layer::Nothing, own_uid: false, bubblewrap: None, findings }
    }

    fn spec(&self, exec: &Exec) -> Spec {
        let IsolationOptions { state_dir, ours, .. } = &self.options;
        let mut spec = Spec::new(exec, self.layer, self.own_uid, state_dir.clone(), ours.clone());
        spec.bubblewrap.clone_from(&self.bubblewrap);
        spec
    }

    async fn try_everything(&self) -> Result<Findings, IsolationError> {
        let state = |error| IsolationError::State { path: self.options.state_dir.clone(), error };
        let bait = Bait::lay(&self.options.state_dir).map_err(state)?;
        let mut attempts = bait.attempts(self.layer.has_namespaces());
        attempts.udp.extend(bait.udp());
        let json = serde_json::to_string(&attempts).map_err(|error| IsolationError::Sandbox(error.to_string()))?;
        let exec = Exec {
            script: String::new(),
            cwd: "/".into(),
            env: Default::default(),
            network: Network::None,
            readable: Vec::new(),
            writable: Vec::new(),
            laid: Vec::new(),
            limits: Limits { wall: Duration::from_secs(5), memory: 1 << 30, processes: 64, output: 1 << 20 },
        };
        let mut spec = self.spec(&exec);
        spec.command = Command::Attempts(json);
        let Supervised { finished, landlock } = self.supervise(&spec, Some(&bait.secret)).await?;
        let reached = probe::read(finished.ended, &finished.output).map_err(IsolationError::Sandbox)?;
        Ok(probe::judge(self.layer, self.own_uid, landlock.as_deref(), reached, &bait))
    }

    fn check_paths(&self, exec: &Exec) -> Result<(), IsolationError> {
        let refuse = |why: String| Err(IsolationError::Path(why));
        if self.layer == Layer::Nothing {
            return Ok(());
        }
        let home = std::env::var_os("HOME").map(PathBuf::from).and_then(|home| home.canonicalize().ok());
        let runs = self.options.state_dir.join("runs");
        let laid = exec.laid.iter().map(|(what, _)| what);
        let all = exec.readable.iter().chain(laid).map(|path| (path, false));
        let all = all.chain(exec.writable.iter().map(|path| (path, true)));
        for (path, writable) in all {
            if let Some(why) = layout::refusal(path, writable) {
                return refuse(why);
            }
            let real = path.canonicalize().unwrap_or_default();
            if runs.starts_with(&real)
                || real.starts_with(&runs)
                || home.as_ref().is_some_and(|home| home.starts_with(&real))
            {
                return refuse(format!("{} is too much to give to a run", path.display()));
            }
            if writable && self.own_uid && !self.is_ours(&real) {
                return refuse(format!("{} is not below a directory of ours, so it can't be writable", path.display()));
            }
            if !writable && self.own_uid && !records::readable_by_others(&real) {
                return refuse(format!("{} is closed to the run's user: it needs mode o+rX", path.display()));
            }
            if self.layer == Layer::Bare && self.own_uid && !records::reachable_by_others(&real) {
                return refuse(format!("{} is closed to the run's user, and there are no namespaces", path.display()));
            }
        }
        if !self.lays() && !exec.laid.is_empty() {
            return refuse("nothing can be laid elsewhere without namespaces".to_owned());
        }
        if !exec.cwd.is_dir() {
            return refuse(format!("{} is no directory", exec.cwd.display()));
        }
        Ok(())
    }

    fn is_ours(&self, real: &Path) -> bool {
        self.options.ours.iter().any(|ours| ours.canonicalize().is_ok_and(|ours| real.starts_with(ours)))
    }

    async fn supervise(&self, spec: &Spec, secret: Option<&str>) -> Result<Supervised, IsolationError> {
        let failed = |error| IsolationError::Launcher { launcher: self.options.launcher.clone(), error };
        let mut line = serde_json::to_vec(spec).map_err(|error| failed(error.into()))?;
        line.push(b'\n');
        let mut process = Process::new(&self.options.launcher);
        process.arg("sandbox-supervise").env_clear().current_dir("/");
        process.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        if let Some(secret) = secret {
            process.env("TEST_REPAIR_PROBE", secret);
        }
        let mut child = process.spawn().map_err(failed)?;
        let (Some(mut control), Some(mut stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(failed(io::Error::other("no pipes")));
        };
        control.write_all(&line).await.map_err(failed)?;
        let mut reply = Vec::new();
        stdout.read_to_end(&mut reply).await.map_err(failed)?;
        // Held until here: when it closes, the supervisor ends the run.
        drop(control);
        let status = child.wait().await.map_err(failed)?;
        let Some(end) = reply.iter().position(|byte| *byte == b'\n') else {
            return Err(IsolationError::Sandbox(format!("the supervisor ended without a report: {status}")));
        };
        let output = reply.split_off(end + 1);
        match serde_json::from_slice(&reply).map_err(|error| failed(error.into()))? {
            Report::Ended { ended, length, dropped, seconds, landlock } if length == output.len() => {
                Ok(Supervised { finished: Finished { ended: ended.into(), output, dropped, seconds }, landlock })
            }
            Report::Ended { .. } => Err(IsolationError::Sandbox("the supervisor's report was cut off".to_owned())),
            Report::Failed(why) => Err(IsolationError::Sandbox(why)),
        }
    }
}

fn candidates(choice: LayerChoice, bubblewrap: bool) -> Vec<Layer> {
    let root = nix::unistd::geteuid().is_root();
    let (own, user) = (Layer::Native { user_namespace: false }, Layer::Native { user_namespace: true });
    match choice {
        LayerChoice::Auto => [(bubblewrap, Layer::Bubblewrap), (root, own), (true, user), (true, Layer::Bare)]
            .into_iter()
            .filter_map(|(possible, layer)| possible.then_some(layer))
            .collect(),
        LayerChoice::Bubblewrap => vec![Layer::Bubblewrap],
        LayerChoice::Namespaces => vec![own],
        LayerChoice::UserNamespaces => vec![user],
        LayerChoice::NoNamespaces => vec![Layer::Bare],
    }
}
