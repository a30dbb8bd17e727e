//! Finds out what holds on this machine by trying to break it.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    os::unix::{fs::PermissionsExt, net::UnixListener},
    path::{Path, PathBuf},
};

use super::{
    attempt::{Attempts, Reached},
    spec::Layer,
};
use crate::sandbox::{Ended, Posture};

/// What the probe lays out for the attempts to find; removed when dropped.
#[derive(Debug)]
pub(super) struct Bait {
    tcp: TcpListener,
    udp: UdpSocket,
    _unix: UnixListener,
    dir: PathBuf,
    files: Vec<PathBuf>,
    /// In the environment of the probe's supervisor.
    pub(super) secret: String,
    nonce: String,
    write: Vec<PathBuf>,
}

/// An address outside, documented as a public resolver's; in a network of its own no packet leaves.
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(1, 1, 1, 1);

impl Bait {
    pub(super) fn lay(state_dir: &Path) -> std::io::Result<Bait> {
        let nonce = format!("{:016x}{:08x}", random(), std::process::id());
        let dir = state_dir.canonicalize()?.join(format!("probe-{nonce}"));
        fs::create_dir(&dir)?;
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755))?;
        let socket = dir.join("listener");
        let unix = UnixListener::bind(&socket)?;
        fs::set_permissions(&socket, fs::Permissions::from_mode(0o777))?;
        let mut bait = Bait {
            tcp: TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?,
            udp: UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?,
            _unix: unix,
            dir: dir.clone(),
            files: Vec::new(),
            secret: format!("secret-{nonce}"),
            nonce,
            write: Vec::new(),
        };
        let home = std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
        for place in [Some(dir), home, Some(std::env::temp_dir())].into_iter().flatten() {
            let canary = place.join(format!(".test-repair-canary-{}", bait.nonce));
            if fs::write(&canary, &bait.secret).is_ok() {
                bait.files.push(canary);
                bait.write.push(place.join(format!(".test-repair-written-{}", bait.nonce)));
            }
        }
        Ok(bait)
    }

    /// `own_processes`: the run has a process 1 of its own.
    pub(super) fn attempts(&self, own_processes: bool) -> Attempts {
        let mut udp = vec![SocketAddr::from((OUTSIDE, 53))];
        udp.extend(nameservers(&fs::read_to_string("/etc/resolv.conf").unwrap_or_default()));
        let mut tcp = vec![SocketAddr::from((OUTSIDE, 443))];
        tcp.extend(self.tcp.local_addr());
        let (first, second) = self.secret.split_at(self.secret.len() / 2);
        Attempts {
            tcp,
            udp,
            unix: vec![
                self.dir.join("listener"),
                "/var/run/docker.sock".into(),
                "/run/containerd/containerd.sock".into(),
            ],
            read: self.files.iter().cloned().chain(["/etc/shadow".into()]).collect(),
            write: self.write.clone(),
            open: vec!["/proc/sys/kernel/core_pattern".into(), "/proc/sysrq-trigger".into(), "/usr/bin/env".into()],
            pids: outside(own_processes, [std::process::id().cast_signed(), nix::unistd::getppid().as_raw()]),
            secret: (first.to_owned(), second.to_owned()),
        }
    }

    /// What the attempts could write outside.
    pub(super) fn written(&self) -> Vec<String> {
        self.write.iter().filter(|path| path.exists()).map(|path| format!("write {}", path.display())).collect()
    }

    /// Whether anything came to the outer UDP socket, whatever the inside said.
    pub(super) fn heard(&self) -> bool {
        let _ = self.udp.set_nonblocking(true);
        let _ = self.tcp.set_nonblocking(true);
        self.udp.recv(&mut [0; 8]).is_ok() || self.tcp.accept().is_ok()
    }

    /// The outer UDP socket.
    pub(super) fn udp(&self) -> Option<SocketAddr> {
        self.udp.local_addr().ok()
    }
}

impl Drop for Bait {
    fn drop(&mut self) {
        for path in self.files.iter().chain(&self.write) {
            let _ = fs::remove_file(path);
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Processes that a run must not reach: ours, our parent, and a container's first, which has the secrets of all.
fn outside(own_processes: bool, ours: [i32; 2]) -> Vec<i32> {
    let mut pids = ours.to_vec();
    // The first process of a container has no parent: 0 is a caller's own group.
    pids.retain(|pid| *pid > 1);
    if !own_processes {
        pids.push(1);
    }
    pids
}

fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}

fn nameservers(resolv: &str) -> impl Iterator<Item = SocketAddr> {
    let servers = resolv.lines().filter_map(|line| line.trim().strip_prefix("nameserver")?.trim().parse().ok());
    servers.take(3).map(|server: std::net::IpAddr| SocketAddr::new(server, 53))
}

/// What a probe found: the posture, and what it means.
#[derive(Debug, Clone)]
pub(super) struct Findings {
    pub(super) posture: Posture,
    pub(super) loopback: bool,
    /// Why there is no network block, when there is none.
    pub(super) network: Option<String>,
}

impl Findings {
    /// Before anything was tried.
    pub(super) fn none() -> Self {
        let posture = Posture { kind: "local", enforced: Vec::new(), missing: Vec::new() };
        Findings { posture, loopback: false, network: None }
    }
}

/// Reads the report of the attempts; one that is missing or cut off proves nothing.
pub(super) fn read(ended: Ended, output: &[u8]) -> Result<Reached, String> {
    let reached = serde_json::from_slice::<Reached>(output).ok().filter(|reached| reached.complete);
    reached.filter(|_| ended == Ended::Exit(0)).ok_or_else(|| {
        let text = String::from_utf8_lossy(&output[..output.len().min(500)]).into_owned();
        format!("the probe ended without a report ({ended:?}) {text}")
    })
}

/// Judges what was reached.
pub(super) fn judge(
    layer: Layer,
    own_uid: bool,
    landlock: Option<&str>,
    mut reached: Reached,
    bait: &Bait,
) -> Findings {
    let mut enforced = Vec::new();
    let mut missing = Vec::new();
    reached.files.extend(bait.written());
    if bait.heard() {
        reached.network.push("a listener outside".to_owned());
    }
    let mut hold = |name: &str, found: &[String], what: &str| match found {
        [] => enforced.push(name.to_owned()),
        some => missing.push(format!("{name}: {what} {}", some.join(", "))),
    };
    let named = match layer {
        Layer::Bubblewrap => "bubblewrap",
        Layer::Native { user_namespace: false } => "namespaces",
        Layer::Native { user_namespace: true } => "user-namespaces",
        Layer::Bare | Layer::Nothing => "",
    };
    if !named.is_empty() {
        hold(named, &[], "");
    }
    hold(if layer.has_namespaces() { "network-namespace" } else { "network-block" }, &reached.network, "reached");
    hold("unix-sockets-outside", &reached.unix, "reached");
    hold("files-outside", &reached.files, "could");
    hold("environments-outside", &reached.environments, "read that of process");
    hold("signals-outside", &reached.signals, "could signal process");
    hold("syscall-filter", &reached.calls, "allowed");
    let ours: Vec<String> = reached.variables.iter().filter(|name| !is_expected(name)).cloned().collect();
    hold("clean-environment", &ours, "set");
    let mut check = |name: &str, holds: bool, why: &str| match holds {
        true => enforced.push(name.to_owned()),
        false => missing.push(format!("{name}: {why}")),
    };
    check("seccomp", reached.seccomp, "no filter is active");
    match landlock {
        Some(status) => check(&format!("landlock ({status})"), true, ""),
        None => check("landlock", false, "the kernel enforces no rules"),
    }
    check("no-new-privileges", reached.no_new_privileges, "not set");
    check("no-capabilities", reached.capabilities.is_empty(), "the run has some");
    let why = match nix::unistd::geteuid().is_root() {
        true => format!("the run is user {}: the paths it needs are closed to other users", reached.uid),
        false => "only root can change the user".to_owned(),
    };
    check("own-uid", own_uid && reached.uid != nix::unistd::geteuid().to_string(), &why);
    check("process-list", reached.command_lines == 0, "command lines of processes outside can be read");
    check("loopback", reached.loopback, "without namespaces, tests that open a local server fail");
    check("unix-sockets", reached.unix_sockets, "closed, because those of the machine could be reached");
    check(
        "private-tmp",
        layer.has_namespaces() && reached.tmp,
        match reached.tmp {
            true => "/tmp itself is closed; TMPDIR names a private directory",
            false => "there is no place for temporary files",
        },
    );
    check("shared-memory", reached.shared_memory, "/dev/shm is closed: multiprocessing's locks fail");
    if !own_uid {
        missing.push("process-limit by the kernel: it needs a user of its own; counted by polling only".to_owned());
    }
    missing.push("memory-limit by the kernel: resident memory is polled".to_owned());
    for limit in ["wall-time-limit", "memory-limit (polled)", "process-limit", "output-limit"] {
        enforced.push(limit.to_owned());
    }
    let network = (!reached.network.is_empty()).then(|| format!("reached {}", reached.network.join(", ")));
    Findings { posture: Posture { kind: "local", enforced, missing }, loopback: reached.loopback, network }
}

/// What the isolation itself sets.
fn is_expected(name: &str) -> bool {
    matches!(name, "TMPDIR" | "GIT_CONFIG_NOSYSTEM" | "USER")
}

#[cfg(test)]
mod tests {
    use super::{nameservers, outside};

    #[test]
    fn the_first_process_is_outside_unless_the_run_has_one_of_its_own() {
        // As a container's first process, as the child of it, and on a machine.
        assert_eq!(outside(false, [1, 0]), [1]);
        assert_eq!(outside(false, [7, 1]), [7, 1]);
        assert_eq!(outside(true, [1, 0]), [] as [i32; 0]);
        assert_eq!(outside(true, [700, 600]), [700, 600]);
    }

    #[test]
    fn nameservers_are_read_and_nothing_else() {
        let text =
            "# nameserver 9.9.9.9\nnameserver 10.0.0.1\nsearch example\nnameserver  ::1\nnameserver fe80::1%eth0\n";
        let found: Vec<String> = nameservers(text).map(|address| address.to_string()).collect();
        assert_eq!(found, ["10.0.0.1:53", "[::1]:53"]);
    }
}
