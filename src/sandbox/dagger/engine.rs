//! An engine of our own, where none is named: one container for one run, with limits, without root capabilities for what
//! it builds, and gone when we are.
//!
//! The CLI would start one by itself; but that one stays, takes the whole machine, lets a Dockerfile ask for the host's
//! network, and replaces the engines of others (facts: dagger-in-actions.md).

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt as _, process::Command, time::timeout};

use super::session::EngineError;

/// Marks our containers, and says whose they are.
const LABEL: &str = "org.test-repair.engine";

/// Names a file of the engine's own configuration: mirrors and certificates of registries, mostly.
const CONFIG: &str = "TEST_REPAIR_ENGINE_CONFIG";

/// An image of 600 MB may have to be pulled.
const PULL: Duration = Duration::from_secs(300);

/// Any other command of docker's.
const SOON: Duration = Duration::from_secs(60);

/// What `--privileged` gives, on machines that lack CAP_SYS_RESOURCE themselves and so refuse that.
const PIECEMEAL: [&str; 12] = [
    "--cap-add=ALL",
    "--cap-drop=SYS_RESOURCE",
    "--security-opt",
    "seccomp=unconfined",
    "--security-opt",
    "apparmor=unconfined",
    "--security-opt",
    "systempaths=unconfined",
    "--device-cgroup-rule",
    "a *:* rwm",
    "--volume",
    "/sys/fs/cgroup:/sys/fs/cgroup:rw",
];

/// A running engine. Dropped, it is removed with its state.
#[derive(Debug)]
pub(super) struct OwnEngine {
    name: String,
    leash: Option<ChildStdin>,
    watch: Child,
}

impl OwnEngine {
    /// Starts one of this version (`v0.21.8`).
    pub(super) async fn start(version: &str) -> Result<OwnEngine, EngineError> {
        let docker = docker()?;
        sweep(&docker).await;
        let image = format!("registry.dagger.io/engine:{version}");
        let name = format!("test-repair-engine-{:08x}", fastrand::u32(..));
        let (leash, watch) = watch(&docker, &name)?;
        // From here on, whatever happens, it is removed.
        let engine = OwnEngine { name, leash: Some(leash), watch };
        let config = config()?;
        if !engine.create(&docker, &image, &config, &["--privileged"]).await? {
            let _ = run(&docker, &["rm", "--force", "--volumes", &engine.name], SOON).await;
            if !engine.create(&docker, &image, &config, &PIECEMEAL).await? {
                let why = "docker refuses privileged containers here, and an engine can't be without: name one with \
                           _EXPERIMENTAL_DAGGER_RUNNER_HOST";
                return Err(EngineError::Refused(why.to_owned()));
            }
        }
        Ok(engine)
    }

    /// The address by which the CLI finds it.
    pub(super) fn address(&self) -> String {
        format!("container://{}", self.name)
    }

    /// Creates and starts the container; `false` where docker refuses its rights.
    async fn create(&self, docker: &Path, image: &str, config: &[u8], rights: &[&str]) -> Result<bool, EngineError> {
        let (cpus, memory) = (format!("--cpus={}", cores()), format!("--memory={}m", memory()));
        let (name, label) = (format!("--name={}", self.name), format!("--label={LABEL}={}", owner()));
        let mut arguments = vec!["create", &name, &label, &cpus, &memory, "--volume", "/var/lib/dagger"];
        arguments.extend(rights);
        arguments.push(image);
        run(docker, &arguments, PULL).await?;
        let mut copy = Command::new(docker);
        copy.args(["cp", "-", &format!("{}:/etc", self.name)]).kill_on_drop(true);
        copy.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut copying = copy.spawn().map_err(|e| EngineError::Refused(e.to_string()))?;
        if let Some(mut stdin) = copying.stdin.take() {
            stdin.write_all(config).await.map_err(|e| EngineError::Refused(e.to_string()))?;
        }
        finished(timeout(SOON, copying.wait_with_output()).await, "cp")?;
        match run(docker, &["start", &self.name], SOON).await {
            Ok(_) => Ok(true),
            Err(EngineError::Refused(why)) if why.contains("caps") || why.contains("not permitted") => Ok(false),
            Err(other) => Err(other),
        }
    }
}

impl Drop for OwnEngine {
    fn drop(&mut self) {
        drop(self.leash.take());
        // In a container the watch would end with us: its work is waited for.
        for _ in 0..300 {
            if !matches!(self.watch.try_wait(), Ok(None)) {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn docker() -> Result<PathBuf, EngineError> {
    let paths = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&paths).map(|folder| folder.join("docker")).find(|p| p.is_absolute() && p.is_file());
    found.ok_or_else(|| {
        let why = "there is no docker on PATH to start one with, and _EXPERIMENTAL_DAGGER_RUNNER_HOST names none";
        EngineError::Refused(why.to_owned())
    })
}

/// A process that outlives us and removes the container when we end, in whatever way: then its standard input ends.
fn watch(docker: &Path, name: &str) -> Result<(ChildStdin, Child), EngineError> {
    use std::os::unix::process::CommandExt as _;
    let script = "cat > /dev/null; exec \"$0\" rm --force --volumes \"$1\" > /dev/null 2>&1";
    let mut command = std::process::Command::new("/bin/sh");
    command.args(["-c", script]).arg(docker).arg(name).process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|e| EngineError::Refused(format!("/bin/sh: {e}")))?;
    let leash = child.stdin.take().ok_or_else(|| EngineError::Refused("/bin/sh has no input".to_owned()))?;
    Ok((leash, child))
}

type Output = Result<std::io::Result<std::process::Output>, tokio::time::error::Elapsed>;

async fn run(docker: &Path, arguments: &[&str], patience: Duration) -> Result<String, EngineError> {
    let mut command = Command::new(docker);
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    finished(timeout(patience, command.output()).await, arguments.first().copied().unwrap_or_default())
}

fn finished(output: Output, what: &str) -> Result<String, EngineError> {
    let refused = |why: String| EngineError::Refused(format!("docker {what}: {why}"));
    let output = match output {
        Err(_) => return Err(refused("did not end in time".to_owned())),
        Ok(Err(error)) => return Err(refused(error.to_string())),
        Ok(Ok(output)) => output,
    };
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let line = said.lines().find(|line| !line.trim().is_empty()).unwrap_or("it failed and said nothing");
        return Err(refused(line.trim().chars().take(400).collect()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The engine's configuration, as a tar that goes to `/etc`: what a person gives, but for root capabilities.
fn config() -> Result<Vec<u8>, EngineError> {
    let bad = |path: &str, why: String| EngineError::Refused(format!("{CONFIG} names {path}: {why}"));
    let mut config = match env::var(CONFIG).ok().filter(|path| !path.is_empty()) {
        None => json!({}),
        Some(path) => {
            let text = fs::read(&path).map_err(|e| bad(&path, e.to_string()))?;
            let config: Value = serde_json::from_slice(&text).map_err(|e| bad(&path, e.to_string()))?;
            if !config.is_object() {
                return Err(bad(&path, "it is no object".to_owned()));
            }
            config
        }
    };
    config["security"] = json!({"insecureRootCapabilities": false});
    let text = config.to_string();
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(text.len() as u64);
    header.set_mode(0o644);
    let added = archive.append_data(&mut header, "dagger/engine.json", text.as_bytes());
    added.and_then(|()| archive.into_inner()).map_err(|e| EngineError::Refused(e.to_string()))
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// MiB that an engine may take: three quarters of the machine's.
fn memory() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse().ok());
    (total.unwrap_or(4 << 20_u64) / 1024 * 3 / 4).max(1024)
}

/// Who we are, for those who come after us: `host/namespace/pid/start`.
fn owner() -> String {
    let pid = std::process::id();
    format!("{}/{}/{pid}/{}", host(), namespace(), began(pid).unwrap_or_default())
}

/// In which a process has its number: containers may have one host name.
fn namespace() -> String {
    let link = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    link.to_string_lossy().chars().filter(char::is_ascii_digit).collect()
}

fn host() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned()
}

/// When a process began, in the kernel's clock ticks: a number is given to another one some day.
fn began(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(19).map(str::to_owned)
}

/// Removes engines whose owners are gone: processes of this host, or containers that are no more.
async fn sweep(docker: &Path) {
    let (filter, format) = (format!("label={LABEL}"), format!("{{{{.Names}}}} {{{{.Label \"{LABEL}\"}}}}"));
    let Ok(listed) = run(docker, &["ps", "--all", "--filter", &filter, "--format", &format], SOON).await else {
        return;
    };
    for line in listed.lines() {
        let Some((name, owner)) = line.split_once(' ') else { continue };
        let mut parts = owner.split('/');
        let (Some(of), Some(within), Some(pid), Some(start)) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let gone = if within == namespace() {
            pid.parse().ok().and_then(began).as_deref() != Some(start)
        } else {
            // A container's host name is its id. What shares the host's can't be told from one that lives.
            of != host() && run(docker, &["inspect", "--type", "container", of], SOON).await.is_err()
        };
        if gone {
            let _ = run(docker, &["rm", "--force", "--volumes", name], SOON).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_number_and_its_beginning() {
        let owner = owner();
        let parts: Vec<&str> = owner.split('/').collect();
        assert_eq!(parts.len(), 4);
        assert_eq!(began(std::process::id()).as_deref(), Some(parts[3]));
        assert_eq!(began(u32::MAX), None);
    }

    #[test]
    fn an_engine_never_gives_root_capabilities() {
        let archive = config().unwrap();
        let mut archive = tar::Archive::new(archive.as_slice());
        let entry = archive.entries().unwrap().next().unwrap().unwrap();
        assert_eq!(entry.path().unwrap().to_str(), Some("dagger/engine.json"));
        let config: Value = serde_json::from_reader(entry).unwrap();
        assert_eq!(config["security"]["insecureRootCapabilities"], false);
    }
}
