//! Run inside the sandbox by the probe: tries each forbidden thing, and says what it reached.

use std::{
    fs, io,
    io::Write,
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::unix::net::UnixStream,
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use nix::{
    sys::signal::kill,
    unistd::{Pid, getpid},
};
use serde::{Deserialize, Serialize};

use super::{sys, tree};

/// What to try.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Attempts {
    pub(super) tcp: Vec<SocketAddr>,
    pub(super) udp: Vec<SocketAddr>,
    pub(super) unix: Vec<PathBuf>,
    pub(super) read: Vec<PathBuf>,
    pub(super) write: Vec<PathBuf>,
    /// To be opened for writing, and left as they are.
    pub(super) open: Vec<PathBuf>,
    pub(super) pids: Vec<i32>,
    /// In the environment of a process outside, in two halves, so that it is not in ours.
    pub(super) secret: (String, String),
}

/// What was reached: all of it should not have been.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reached {
    pub(super) network: Vec<String>,
    pub(super) unix: Vec<String>,
    pub(super) files: Vec<String>,
    pub(super) environments: Vec<String>,
    pub(super) signals: Vec<String>,
    pub(super) calls: Vec<String>,
    /// Processes outside whose command line can be read.
    pub(super) command_lines: usize,
    /// Variables that are set.
    pub(super) variables: Vec<String>,
    pub(super) uid: String,
    pub(super) capabilities: String,
    pub(super) no_new_privileges: bool,
    pub(super) seccomp: bool,
    /// These should work.
    pub(super) loopback: bool,
    pub(super) unix_sockets: bool,
    pub(super) tmp: bool,
    pub(super) shared_memory: bool,
    /// The last line: a report that was cut off is none.
    pub(super) complete: bool,
}

pub(super) fn run(json: &str) -> ExitCode {
    let Ok(attempts) = serde_json::from_str::<Attempts>(json) else { return ExitCode::from(2) };
    let Ok(report) = serde_json::to_vec(&attempts.run()) else { return ExitCode::from(2) };
    if io::stdout().write_all(&report).is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl Attempts {
    fn run(&self) -> Reached {
        let mut reached = Reached::default();
        for address in &self.tcp {
            match TcpStream::connect_timeout(address, Duration::from_millis(40)) {
                Ok(_) => reached.network.push(format!("TCP {address}")),
                // Nobody answered yet, or somebody refused outside: packets left all the same.
                Err(error) if error.kind() == io::ErrorKind::TimedOut => reached.network.push(format!("TCP {address}")),
                Err(_) => {}
            }
        }
        for address in &self.udp {
            let from = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let sent = UdpSocket::bind(from).is_ok_and(|socket| sends(&socket, *address));
            // Our own loopback takes anything; whether it was the outer one, the listener there knows.
            if sent && !address.ip().is_loopback() {
                reached.network.push(format!("UDP {address}"));
            }
        }
        for path in &self.unix {
            if UnixStream::connect(path).is_ok() {
                reached.unix.push(path.display().to_string());
            }
        }
        for path in &self.read {
            if fs::read(path).is_ok() {
                reached.files.push(format!("read {}", path.display()));
            }
        }
        for path in &self.write {
            // A private place of the same name is no harm; the probe looks whether it appeared outside.
            let _ = fs::write(path, "reached");
        }
        for path in &self.open {
            if fs::File::options().append(true).open(path).is_ok() {
                reached.files.push(format!("open for writing {}", path.display()));
            }
        }
        for pid in &self.pids {
            if *pid != getpid().as_raw() && kill(Pid::from_raw(*pid), None).is_ok() {
                reached.signals.push(pid.to_string());
            }
        }
        self.look_at_processes(&mut reached);
        forbidden_calls(&mut reached);
        own_state(&mut reached);
        reached.loopback = loopback();
        reached.unix_sockets = UnixStream::pair().is_ok()
            && sys::attempt(libc::SYS_socket, [libc::AF_UNIX.into(), libc::SOCK_STREAM.into(), 0]).is_ok();
        reached.tmp = writes(&std::env::temp_dir().join("attempt"));
        reached.shared_memory = writes("/dev/shm/attempt".as_ref());
        reached.complete = true;
        reached
    }

    fn look_at_processes(&self, reached: &mut Reached) {
        let secret = [self.secret.0.as_bytes(), self.secret.1.as_bytes()].concat();
        for pid in tree::pids().filter(|pid| *pid != getpid().as_raw()) {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            if environment.windows(secret.len()).any(|window| window == secret) {
                reached.environments.push(pid.to_string());
            }
            if self.pids.contains(&pid) && fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty()) {
                reached.command_lines += 1;
            }
        }
    }
}

fn sends(socket: &UdpSocket, to: SocketAddr) -> bool {
    socket.send_to(b"\0", to).is_ok()
}

fn loopback() -> bool {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .and_then(|address| {
            let listener = TcpListener::bind(address)?;
            TcpStream::connect_timeout(&listener.local_addr()?, Duration::from_millis(200))
        })
        .is_ok()
}

fn writes(path: &std::path::Path) -> bool {
    let written = fs::write(path, "x").is_ok();
    let _ = fs::remove_file(path);
    written
}

fn forbidden_calls(reached: &mut Reached) {
    let family = |family: libc::c_int| [family.into(), libc::c_long::from(libc::SOCK_DGRAM), 0];
    let calls = [
        ("unshare", libc::SYS_unshare, [libc::CLONE_NEWUSER.into(), 0, 0]),
        ("ptrace", libc::SYS_ptrace, [libc::PTRACE_TRACEME.into(), 0, 0]),
        ("AF_VSOCK", libc::SYS_socket, family(libc::AF_VSOCK)),
        ("AF_ALG", libc::SYS_socket, [libc::AF_ALG.into(), libc::SOCK_SEQPACKET.into(), 0]),
        ("AF_PACKET", libc::SYS_socket, family(libc::AF_PACKET)),
    ];
    for (name, number, args) in calls {
        if sys::attempt(number, args).is_ok() {
            reached.calls.push(name.to_owned());
        }
    }
    // With no memory given, an allowed call fails with EFAULT, a denied one with ENOSYS.
    let setup = sys::attempt(libc::SYS_io_uring_setup, [1, 0, 0]);
    if setup.is_err_and(|error| error.raw_os_error() == Some(libc::EFAULT)) {
        reached.calls.push("io_uring".to_owned());
    }
}

fn own_state(reached: &mut Reached) {
    reached.variables = std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned()).collect();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_default().split_whitespace().next().unwrap_or_default().to_owned()
    };
    reached.uid = field("Uid");
    // What an exec could give back matters for root only.
    let sets = if reached.uid == "0" { &["CapPrm", "CapEff", "CapBnd"][..] } else { &["CapPrm", "CapEff"][..] };
    reached.capabilities = sets.iter().map(|name| field(name).trim_start_matches('0').to_owned()).collect();
    reached.no_new_privileges = field("NoNewPrivs") == "1";
    reached.seccomp = field("Seccomp") == "2";
}
