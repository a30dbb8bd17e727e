//! The supervisor: a process of its own for each run, which starts it, watches it and ends it with all it started.
//!
//! The specification comes as one line on stdin, which test-repair holds open: when it closes, for whatever reason,
//! the run ends. The report goes to stdout as one line, with the output after it.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::fd::{AsFd, AsRawFd, OwnedFd},
    process::ExitCode,
    time::{Duration, Instant},
};

use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    sys::wait::WaitStatus,
    unistd::{Pid, pipe2},
};

use super::{
    attempt,
    output::Bounded,
    spec::{Report, Spec, WireEnded},
    start::{self, Started},
    sys, tree,
};

/// How often the tree is looked at, at most.
const INTERVAL: Duration = Duration::from_millis(20);

/// Entry of the hidden subcommand `sandbox-supervise`; `args` are those after it.
///
/// To be called before anything starts a thread.
pub fn supervise(args: impl IntoIterator<Item = String>) -> ExitCode {
    let args: Vec<String> = args.into_iter().collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => match run() {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        ["--enter", inner, status] => start::enter_from(inner, status),
        ["--attempt", json] => attempt::run(json),
        _ => ExitCode::from(2),
    }
}

fn run() -> io::Result<()> {
    let _ = nix::unistd::setsid();
    nix::sys::prctl::set_child_subreaper(true)?;
    let Some(spec) = read_spec()? else { return Ok(()) };
    let mut out = Vec::new();
    let report = match supervised(&spec) {
        Ok(Some((report, output))) => {
            out = output;
            report
        }
        // Nobody waits for the report any more.
        Ok(None) => return Ok(()),
        Err(error) => Report::Failed(error.to_string()),
    };
    let mut stdout = io::stdout().lock();
    serde_json::to_writer(&mut stdout, &report)?;
    stdout.write_all(b"\n")?;
    stdout.write_all(&out)?;
    stdout.flush()
}

fn read_spec() -> io::Result<Option<Spec>> {
    let mut line = Vec::new();
    let mut stdin = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut chunk = vec![0; 1 << 16];
    while !line.ends_with(b"\n") {
        match stdin.read(&mut chunk)? {
            0 => return Ok(None),
            n => line.extend_from_slice(&chunk[..n]),
        }
    }
    Ok(Some(serde_json::from_slice(&line)?))
}

fn supervised(spec: &Spec) -> io::Result<Option<(Report, Vec<u8>)>> {
    let slot = super::records::Slot::take(&spec.state_dir, spec.own_uid)?;
    let result = watched(spec, &slot);
    slot.clear();
    result
}

fn watched(spec: &Spec, slot: &super::records::Slot) -> io::Result<Option<(Report, Vec<u8>)>> {
    let begun = Instant::now();
    let Started { pid, output, status, _life } = start::start(spec, slot)?;
    let watch = Watch { spec, pid, begun };
    // Even when watching fails, nothing may be left.
    let seen = watch.until_end(&output);
    let main = tree::kill_all(slot.uid, pid);
    let (mut seen, seconds) = (seen?, begun.elapsed().as_secs_f64());
    if seen.abandoned {
        return Ok(None);
    }
    read_available(&output, &mut seen.output)?;
    let said = read_said(status)?;
    let (output, dropped) = seen.output.finish();
    let ended = match seen.limit.or(said.ended) {
        Some(ended) => ended,
        None if said.error.is_none() && !spec.layer.has_namespaces() => match seen.main.or(main) {
            Some(WaitStatus::Exited(_, code)) => WireEnded::Exit(code),
            Some(WaitStatus::Signaled(_, signal, _)) => WireEnded::Signal(signal as i32),
            _ => return Err(io::Error::other("the run was lost")),
        },
        None => {
            let why = said.error.unwrap_or_else(|| {
                let text = String::from_utf8_lossy(&output[output.len().saturating_sub(2000)..]).trim().to_owned();
                format!("the sandbox ended before the run did {text}")
            });
            return Err(io::Error::other(why));
        }
    };
    let length = output.len();
    Ok(Some((Report::Ended { ended, length, dropped, seconds, landlock: said.landlock }, output)))
}

struct Watch<'a> {
    spec: &'a Spec,
    pid: Pid,
    begun: Instant,
}

struct Seen {
    output: Bounded,
    main: Option<WaitStatus>,
    limit: Option<WireEnded>,
    /// test-repair went away, or wants the run no more.
    abandoned: bool,
}

impl Watch<'_> {
    /// Reads the output and keeps to the limits, until the main process ended or has to.
    fn until_end(&self, output: &OwnedFd) -> io::Result<Seen> {
        let mut seen = Seen { output: Bounded::new(self.spec.output), main: None, limit: None, abandoned: false };
        let ended = sys::pidfd(self.pid).ok();
        let deadline = self.begun.checked_add(self.spec.wall());
        let (mut next_look, mut open) = (Instant::now() + INTERVAL / 4, true);
        loop {
            let timeout = next_look.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            let stdin = io::stdin();
            let fds = [Some(stdin.as_fd()), open.then_some(output.as_fd()), ended.as_ref().map(AsFd::as_fd)];
            let [control, out, _] = sys::poll(fds, timeout)?;
            if control.hung_up || control.readable {
                seen.abandoned = true;
                return Ok(seen);
            }
            if out.readable || out.hung_up {
                open = read_available(output, &mut seen.output)?;
            }
            let (main, _) = tree::reap(self.pid);
            if main.is_some() {
                seen.main = main;
                return Ok(seen);
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                seen.limit = Some(WireEnded::WallTime);
                return Ok(seen);
            }
            let look = Instant::now();
            if look >= next_look {
                if let Some(limit) = self.over_limit() {
                    seen.limit = Some(limit);
                    return Ok(seen);
                }
                // On a machine with many processes a look costs more; then there are fewer.
                next_look = look + INTERVAL.max(look.elapsed() * 10);
            }
        }
    }

    fn over_limit(&self) -> Option<WireEnded> {
        let usage = tree::below(nix::unistd::getpid().as_raw());
        // The sandbox's own processes: bubblewrap's, and the first of the process namespace.
        let own = if self.spec.layer.has_namespaces() { 2 } else { 0 };
        if usage.threads > self.spec.processes.saturating_add(own) {
            return Some(WireEnded::Processes);
        }
        if usage.resident > self.spec.memory {
            let exact = tree::proportional(&usage.pids).unwrap_or(usage.resident);
            return (exact > self.spec.memory).then_some(WireEnded::Memory);
        }
        None
    }
}

/// Reads what is there; whether more may come.
fn read_available(output: &OwnedFd, into: &mut Bounded) -> io::Result<bool> {
    let mut chunk = vec![0; 1 << 16];
    // Bounded, so that a flood can't keep us from looking at the limits.
    for _ in 0..64 {
        match nix::unistd::read(output, &mut chunk) {
            Ok(0) => return Ok(false),
            Ok(n) => into.push(&chunk[..n]),
            Err(nix::errno::Errno::EAGAIN) => return Ok(true),
            Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(true)
}

/// What the processes of the sandbox itself said, line by line.
#[derive(Default)]
struct Said {
    error: Option<String>,
    landlock: Option<String>,
    ended: Option<WireEnded>,
}

fn read_said(status: OwnedFd) -> io::Result<Said> {
    fcntl(&status, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    let mut bytes = Vec::new();
    match File::from(status).read_to_end(&mut bytes) {
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
        _ => {}
    }
    let mut said = Said::default();
    for line in String::from_utf8_lossy(&bytes).lines() {
        match line.split_at_checked(1) {
            Some(("E", why)) => said.error = Some(why.to_owned()),
            Some(("L", status)) if !status.is_empty() => said.landlock = Some(status.to_owned()),
            Some(("X", code)) => said.ended = code.parse().ok().map(WireEnded::Exit),
            Some(("K", signal)) => said.ended = signal.parse().ok().map(WireEnded::Signal),
            _ => {}
        }
    }
    if said.error.is_some() {
        said.ended = None;
    }
    Ok(said)
}

/// A pipe whose ends do not survive an exec.
pub(super) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(pipe2(OFlag::O_CLOEXEC)?)
}

/// Gives up this process's own stdin, stdout and stderr.
pub(super) fn let_go_of_standard_streams() -> io::Result<()> {
    let null = fs::File::options().read(true).write(true).open("/dev/null")?;
    nix::unistd::dup2_stdin(&null)?;
    nix::unistd::dup2_stdout(&null)?;
    Ok(nix::unistd::dup2_stderr(&null)?)
}

/// A descriptor's number, for a command line.
pub(super) fn number(fd: &OwnedFd) -> i32 {
    fd.as_raw_fd()
}
