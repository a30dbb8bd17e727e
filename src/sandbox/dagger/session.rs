//! A session with a Dagger engine: the CLI as our own child, and questions over its port.
//!
//! The child is ours and not the SDK's, which has no deadline for the start, spins for ever when the CLI ends without its
//! line, and downloads a CLI where there is none (facts: dagger-sdk.md). Standard input is the leash: when this process
//! ends, in whatever way, the child sees the end of it and leaves, and the engine kills what ran.

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE};
use dagger_sdk::core::gql_client::{
    ClientConfig, GQLClient, GQLProxy, GraphQLError, GraphQLErrorMessage, GraphQlExtension, ProxyType,
};
use serde::Deserialize;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader},
    process::{Child, ChildStdin, Command},
    time::timeout,
};

use super::engine::OwnEngine;
use crate::scratch::Scratch;

/// The version of engine and CLI that this program speaks to: what they have in common is the minor one.
pub(super) const VERSION: &str = "0.21";

/// The variable by which Dagger's own tools name their engine.
pub(super) const RUNNER_HOST: &str = "_EXPERIMENTAL_DAGGER_RUNNER_HOST";

/// The variable by which Dagger's own SDKs name the CLI.
const CLI: &str = "_EXPERIMENTAL_DAGGER_CLI_BIN";

/// An engine that is there already answers within a second; a wrong address is waited for without end.
const NAMED: Duration = Duration::from_secs(20);

/// An engine of our own may have to be pulled and started first.
const STARTED: Duration = Duration::from_secs(300);

/// Bytes of the child's complaints that are kept.
const COMPLAINT: usize = 4000;

/// What the child needs of our environment: how it finds docker or a cluster, and nothing that is secret.
const PASSED: [&str; 11] = [
    "PATH",
    "HOME",
    "DOCKER_HOST",
    "DOCKER_CONTEXT",
    "DOCKER_CONFIG",
    "DOCKER_CERT_PATH",
    "DOCKER_TLS_VERIFY",
    "KUBECONFIG",
    "KUBERNETES_SERVICE_HOST",
    "KUBERNETES_SERVICE_PORT",
    "SSL_CERT_FILE",
];

/// Why an engine can't be had, or does not answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum EngineError {
    /// There is no CLI.
    #[error("the Dagger CLI was not found: install dagger {VERSION} on PATH, or name it with {CLI}")]
    NoCli,
    /// It is another one.
    #[error("{0} is not the Dagger CLI {VERSION} that this version works with")]
    WrongVersion(String),
    /// The CLI ended without a session.
    #[error("no Dagger engine can be had: {0}")]
    Refused(String),
    /// It neither gave a session nor ended.
    #[error("the Dagger engine at {place} did not answer within {seconds} s: is the address right, and is it running?")]
    Late {
        /// The runner host.
        place: String,
        /// The deadline.
        seconds: u64,
    },
    /// The session is gone, or refuses us.
    #[error("the Dagger engine was lost: {0}")]
    Lost(String),
    /// A command of a build ended badly.
    #[error("`{command}` exited with {code}: {stderr}")]
    Exec {
        /// What ran.
        command: String,
        /// Its exit code; 128 and more for a signal.
        code: i32,
        /// The end of its output, at most 100 KiB.
        stdout: String,
        /// The same of standard error.
        stderr: String,
    },
    /// There is no room for what is built.
    #[error("the Dagger engine's disk is full: free some of it, or set `gc` in the engine's configuration")]
    Full,
    /// The engine answered that it can't.
    #[error("Dagger says: {0}")]
    Said(String),
}

/// Where the CLI and the engine are; by default what the environment names, as for Dagger's own tools.
#[derive(Debug, Clone, Default)]
pub struct DaggerPlace {
    /// The CLI; `None` for `_EXPERIMENTAL_DAGGER_CLI_BIN`, then PATH.
    pub cli: Option<PathBuf>,
    /// The engine's address, as `_EXPERIMENTAL_DAGGER_RUNNER_HOST` takes it; `None` for that.
    pub runner: Option<String>,
}

/// How a session comes to be.
#[derive(Debug)]
pub(super) struct Launch {
    /// The CLI, absolute.
    cli: PathBuf,
    /// The engine's address.
    runner: String,
    /// The longest that is waited for a session.
    patience: Duration,
    /// The engine, where it is ours.
    own: Option<OwnEngine>,
}

impl Launch {
    /// Finds the CLI, asks its version, and starts an engine where none is named.
    pub(super) async fn find(place: &DaggerPlace) -> Result<Launch, EngineError> {
        let named = place.cli.clone().or_else(|| env::var_os(CLI).map(PathBuf::from));
        let named = named.filter(|path| path.is_absolute());
        let paths = env::var_os("PATH").unwrap_or_default();
        let on_path = || env::split_paths(&paths).map(|folder| folder.join("dagger"));
        let cli = named.into_iter().chain(on_path()).find(|path| path.is_absolute() && path.is_file());
        let cli = cli.ok_or(EngineError::NoCli)?;
        let asked = command(&cli).arg("version").stdin(Stdio::null()).output();
        let said = match timeout(Duration::from_secs(20), asked).await {
            Ok(Ok(output)) => String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned(),
            Ok(Err(error)) => return Err(EngineError::Refused(format!("{} cannot be run: {error}", cli.display()))),
            Err(_) => String::new(),
        };
        let version = said.split_whitespace().find(|word| {
            let version = word.trim_start_matches('v');
            version.strip_prefix(VERSION).is_some_and(|rest| rest.starts_with('.'))
        });
        let Some(version) = version.map(|version| format!("v{}", version.trim_start_matches('v'))) else {
            let said: String = said.chars().take(80).collect();
            return Err(EngineError::WrongVersion(format!("{} ({said})", cli.display())));
        };
        let runner = place.runner.clone().or_else(|| env::var(RUNNER_HOST).ok()).filter(|host| !host.is_empty());
        match runner {
            // The CLI starts such a one, which may take a pull.
            Some(runner) if runner.contains("image") => Ok(Launch { cli, runner, patience: STARTED, own: None }),
            Some(runner) => Ok(Launch { cli, runner, patience: NAMED, own: None }),
            None => {
                let own = OwnEngine::start(&version).await?;
                Ok(Launch { cli, runner: own.address(), patience: NAMED, own: Some(own) })
            }
        }
    }

    /// Where the engine is, for a reader.
    pub(super) fn place(&self) -> &str {
        if self.own.is_some() { "an engine of its own" } else { &self.runner }
    }

    /// Starts a session.
    pub(super) async fn start(&self) -> Result<Session, EngineError> {
        let refused = |error: &dyn std::fmt::Display| EngineError::Refused(error.to_string());
        // Its state and configuration are its own: an engine.json of this user's would be mounted by path.
        let home = Scratch::new().map_err(|e| refused(&e))?;
        let mut command = command(&self.cli);
        for (name, folder) in [
            ("XDG_CONFIG_HOME", "config"),
            ("XDG_STATE_HOME", "state"),
            ("XDG_CACHE_HOME", "cache"),
            ("XDG_DATA_HOME", "data"),
        ] {
            command.env(name, home.path().join(folder));
        }
        command.env(RUNNER_HOST, &self.runner);
        command.args(["--progress=logs", "session"]).current_dir(home.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(|e| refused(&e))?;
        let leash = child.stdin.take();
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(EngineError::Refused("its output can't be read".to_owned()));
        };
        let complaint = tokio::spawn(last_of(stderr));
        let mut lines = BufReader::new(stdout.take(1 << 16));
        let mut line = String::new();
        let read = timeout(self.patience, lines.read_line(&mut line)).await;
        let parameters: Option<Parameters> = serde_json::from_str(&line).ok();
        match (read, parameters) {
            (Err(_), _) => {
                // It ignores everything else while it connects.
                let _ = child.kill().await;
                Err(EngineError::Late { place: self.place().to_owned(), seconds: self.patience.as_secs() })
            }
            (Ok(_), Some(parameters)) => {
                let mut rest = lines.into_inner().into_inner();
                tokio::spawn(async move { tokio::io::copy(&mut rest, &mut tokio::io::sink()).await });
                Ok(Session { client: client(&parameters), child: Some(child), leash, home: Some(home) })
            }
            (Ok(_), None) => {
                let _ = child.kill().await;
                let said = complaint.await.unwrap_or_default();
                Err(EngineError::Refused(reason(&said)))
            }
        }
    }
}

#[derive(Deserialize)]
struct Parameters {
    port: u16,
    session_token: String,
}

/// A session. Dropped, it is closed, and what runs in it is killed.
pub(super) struct Session {
    client: GQLClient,
    child: Option<Child>,
    leash: Option<ChildStdin>,
    home: Option<Scratch>,
}

impl Drop for Session {
    /// Lets the child end the session, for what a session that was killed has built is not kept; and sees that it does.
    fn drop(&mut self) {
        drop(self.leash.take());
        let (Some(mut child), home) = (self.child.take(), self.home.take()) else { return };
        std::thread::spawn(move || {
            for _ in 0..400 {
                if !matches!(child.try_wait(), Ok(None)) {
                    break;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            drop((child, home));
        });
    }
}

impl Session {
    /// Asks, and waits for an answer at most so long. A question that is dropped kills what it started.
    pub(super) async fn ask(
        &self,
        query: &str,
        variables: &BTreeMap<&str, Value>,
        patience: Duration,
    ) -> Result<Value, EngineError> {
        let asked = self.client.query_with_vars::<Value, _>(query, variables);
        match timeout(patience, asked).await {
            Err(_) => Err(EngineError::Lost(format!("no answer within {} s", patience.as_secs()))),
            Ok(Ok(Some(data))) => Ok(data),
            Ok(Ok(None)) => Err(EngineError::Lost("it answered without data".to_owned())),
            Ok(Err(error)) => Err(failure(&error)),
        }
    }
}

/// The SDK's client, without the SDK's session: it is ours.
fn client(parameters: &Parameters) -> GQLClient {
    let token = URL_SAFE.encode(format!("{}:", parameters.session_token));
    GQLClient::new_with_config(ClientConfig {
        endpoint: format!("http://127.0.0.1:{}/query", parameters.port),
        execute_timeout_ms: None,
        connect_timeout_ms: Some(10_000),
        headers: Some([("Authorization".to_owned(), format!("Basic {token}"))].into()),
        // One for https alone, which is never asked: else a proxy of the environment's would be given the token.
        proxy: Some(GQLProxy { schema: "http://127.0.0.1:9".to_owned(), type_: ProxyType::Https, auth: None }),
    })
}

fn failure(error: &GraphQLError) -> EngineError {
    let said = error.json().and_then(|all| all.into_iter().next());
    match said {
        Some(GraphQLErrorMessage { message, .. }) if message.contains("no space left on device") => EngineError::Full,
        Some(GraphQLErrorMessage {
            extensions: Some(GraphQlExtension::ExecError { cmd, exit_code, stdout, stderr }),
            ..
        }) => EngineError::Exec { command: cmd.join(" "), code: exit_code, stdout, stderr },
        Some(GraphQLErrorMessage { message, .. }) if is_transport(&message) => EngineError::Lost(untraced(&message)),
        Some(GraphQLErrorMessage { message, .. }) => EngineError::Said(untraced(&message)),
        None => EngineError::Lost(untraced(error.message())),
    }
}

/// Does the session child only say that the engine behind it is gone?
fn is_transport(message: &str) -> bool {
    ["connection refused", "connection reset", "transport is closing", "code = Unavailable", "EOF", "broken pipe"]
        .iter()
        .any(|sign| message.contains(sign))
}

/// The message without the mark that tracing leaves in it, and no longer than a reader reads.
fn untraced(message: &str) -> String {
    let message = message.split(" [traceparent:").next().unwrap_or_default();
    message.chars().take(1000).collect()
}

/// The CLI with a clean environment: what it finds docker by, and no word to anybody.
fn command(cli: &Path) -> Command {
    let mut command = Command::new(cli);
    command.env_clear();
    for name in PASSED {
        if let Some(value) = env::var_os(name) {
            command.env(name, value);
        }
    }
    for name in ["DO_NOT_TRACK", "DAGGER_NO_UPDATE_CHECK", "DAGGER_NO_NAG", "NO_COLOR", "DAGGER_LEAVE_OLD_ENGINE"] {
        command.env(name, "1");
    }
    command
}

/// The end of a stream that has to be read lest its writer stops.
async fn last_of(mut stream: impl AsyncRead + Unpin) -> String {
    let mut kept: Vec<u8> = Vec::new();
    let mut buffer = [0; 8192];
    while let Ok(read) = stream.read(&mut buffer).await {
        if read == 0 {
            break;
        }
        kept.extend_from_slice(&buffer[..read]);
        let over = kept.len().saturating_sub(COMPLAINT);
        kept.drain(..over);
    }
    String::from_utf8_lossy(&kept).into_owned()
}

/// What the CLI says when it gives up, in one line.
fn reason(said: &str) -> String {
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let telling =
        lines.iter().rev().find(|line| line.to_ascii_lowercase().contains("error") || line.contains("failed"));
    let line = telling.or(lines.last()).copied().unwrap_or("the CLI ended and said nothing");
    let plain = console::strip_ansi_codes(line);
    untraced(&plain).chars().take(400).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_the_line_that_tells_it() {
        let said =
            "1   : connect\n1   : connect ERROR [0.1s]\n\nError: driver for scheme \"image\" was not available\n";
        assert_eq!(reason(said), "Error: driver for scheme \"image\" was not available");
        assert_eq!(reason(""), "the CLI ended and said nothing");
    }

    #[test]
    fn an_engine_that_is_gone_is_told_from_one_that_refuses() {
        assert!(is_transport("dial unix: connect: connection refused"));
        assert!(!is_transport("failed to resolve image \"x\": not found"));
        assert_eq!(untraced("exit code: 7 [traceparent:44f9]"), "exit code: 7");
    }
}
