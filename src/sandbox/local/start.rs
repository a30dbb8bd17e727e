//! Starts a run in its layer.

use std::{
    fs::File,
    io::{self, Read, Seek, Write},
    os::fd::{AsFd, OwnedFd},
    path::Path,
    process::ExitCode,
    time::Duration,
};

use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    sched::{CloneFlags, unshare},
    sys::{
        memfd::{MFdFlags, memfd_create},
        prctl,
        signal::Signal,
        wait::{WaitStatus, waitpid},
    },
    unistd::{Pid, geteuid},
};

use super::{
    bubblewrap, confine,
    layout::{self, Step},
    records::{self, Slot},
    root,
    spec::{Inner, Layer, Spec},
    supervise::{let_go_of_standard_streams, number, pipe},
    sys,
};

/// A run that is under way.
pub(super) struct Started {
    /// The first process: the run's own, or the sandbox's around it.
    pub(super) pid: Pid,
    /// Its stdout and stderr.
    pub(super) output: OwnedFd,
    /// What the sandbox's own processes say.
    pub(super) status: OwnedFd,
    /// Closes with the supervisor.
    pub(super) _life: OwnedFd,
}

/// Starts what the specification says.
pub(super) fn start(spec: &Spec, slot: &Slot) -> io::Result<Started> {
    let mut inner = Inner {
        layer: spec.layer,
        uid: slot.uid,
        command: spec.command.clone(),
        cwd: spec.cwd.clone(),
        env: spec.env.clone(),
        network: spec.network,
        readable: spec.readable.clone(),
        writable: spec.writable.clone(),
        process_limit: process_limit(spec, slot),
    };
    if let Some(uid) = slot.uid {
        for path in &spec.writable {
            let real = path.canonicalize()?;
            if spec.ours.iter().any(|ours| ours.canonicalize().is_ok_and(|ours| real.starts_with(ours))) {
                records::hand_over(&real, uid)?;
            }
        }
    }
    if spec.layer == Layer::Bare {
        // There is no private /tmp to put over the machine's.
        let tmp = slot.dir.join("tmp");
        inner.env.entry("TMPDIR".into()).or_insert_with(|| tmp.to_string_lossy().into_owned());
        inner.writable.push(tmp);
        if slot.uid.is_some() {
            // Nobody has this number in the machine's list of users.
            inner.env.entry("USER".into()).or_insert_with(|| "runner".into());
        }
        // A closed file is fatal to git; a missing one is not.
        inner.env.entry("GIT_CONFIG_NOSYSTEM".into()).or_insert_with(|| "1".into());
    }
    let steps = if spec.layer.has_namespaces() { layout::plan(spec, slot)? } else { Vec::new() };
    let (output, output_end) = pipe()?;
    let (status, status_end) = pipe()?;
    let (life, life_end) = pipe()?;
    fcntl(&output, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    if let Layer::Native { user_namespace } = spec.layer {
        leave_namespaces(user_namespace)?;
    }
    let supervisor = nix::unistd::getpid();
    let Some(pid) = sys::fork()? else {
        drop((output, status, life_end));
        let say = |line: &str| say_to(&status_end, line);
        let result = dies_with(supervisor, &life, spec.layer).and_then(|()| match spec.layer {
            Layer::Bubblewrap => exec_bubblewrap(spec, &inner, &steps, output_end, &status_end),
            Layer::Native { .. } => first_of_namespace(&inner, slot, &steps, output_end, &say),
            Layer::Bare | Layer::Nothing => {
                confine::become_command(&inner, output_end, &say).map(|never| match never {})
            }
        });
        if let Err(error) = result {
            say(&format!("E{error}"));
        }
        sys::exit_now(126)
    };
    Ok(Started { pid, output, status, _life: life_end })
}

/// A little above the limit, so that the supervisor sees it passed, and says so. As our own user, what else we run
/// counts too, and may come to more meanwhile.
fn process_limit(spec: &Spec, slot: &Slot) -> u64 {
    let others = if slot.uid.is_some() { 64 } else { 1024 + super::tree::threads_of(geteuid().as_raw()) };
    u64::from(spec.processes) + others
}

/// The supervisor's end is the end of this process, even when it came before we could ask for that.
fn dies_with(supervisor: Pid, life: &OwnedFd, layer: Layer) -> io::Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    let [life] = sys::poll([Some(life.as_fd())], Duration::ZERO)?;
    let parent = nix::unistd::getppid();
    // In a process namespace of its own the parent has no number.
    if life.hung_up || (!matches!(layer, Layer::Native { .. }) && parent != supervisor) {
        sys::exit_now(125);
    }
    Ok(())
}

/// The next fork is the first process of a new process namespace.
fn leave_namespaces(user_namespace: bool) -> io::Result<()> {
    if !user_namespace {
        return unshare(CloneFlags::CLONE_NEWPID).map_err(|errno| failed("make a process namespace", errno));
    }
    let (uid, gid) = (geteuid().as_raw(), nix::unistd::getegid().as_raw());
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWPID)
        .map_err(|errno| failed("make a user namespace", errno))?;
    std::fs::write("/proc/self/setgroups", "deny")?;
    std::fs::write("/proc/self/uid_map", format!("{} {uid} 1", layout::inner_uid(uid)))?;
    std::fs::write("/proc/self/gid_map", format!("{} {gid} 1", layout::inner_uid(gid)))
}

fn first_of_namespace(
    inner: &Inner,
    slot: &Slot,
    steps: &[Step],
    output: OwnedFd,
    say: confine::Say<'_>,
) -> io::Result<()> {
    let_go_of_standard_streams()?;
    let mut flags = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWUTS;
    if !inner.network {
        flags |= CloneFlags::CLONE_NEWNET;
    }
    unshare(flags).map_err(|errno| failed("make namespaces", errno))?;
    if !inner.network {
        sys::loopback_up()?;
    }
    nix::unistd::sethostname("sandbox")?;
    root::enter(&slot.dir.join("root"), steps)?;
    enter(inner, output, say)
}

fn exec_bubblewrap(spec: &Spec, inner: &Inner, steps: &[Step], output: OwnedFd, status: &OwnedFd) -> io::Result<()> {
    let program = spec.bubblewrap.as_deref().ok_or_else(|| io::Error::other("there is no bubblewrap"))?;
    let mut file = File::from(memfd_create(c"inner", MFdFlags::empty())?);
    file.write_all(&serde_json::to_vec(inner)?)?;
    file.rewind()?;
    let file = OwnedFd::from(file);
    sys::keep_over_exec(status.as_fd())?;
    let_go_of_standard_streams()?;
    nix::unistd::dup2_stdout(&output)?;
    nix::unistd::dup2_stderr(&output)?;
    let mut args = vec![c"bwrap".to_owned()];
    for arg in bubblewrap::arguments(steps, inner.network, number(&file), number(status))? {
        args.push(sys::c_path(Path::new(&arg))?);
    }
    nix::unistd::execve(&sys::c_path(program)?, &args, &[] as &[&std::ffi::CStr])?;
    Ok(())
}

/// The first process inside bubblewrap.
pub(super) fn enter_from(inner: &str, status: &str) -> ExitCode {
    let open = |number: &str| number.parse().map_err(io::Error::other).and_then(sys::adopt);
    let Ok(status) = open(status) else { return ExitCode::from(126) };
    let say = |line: &str| say_to(&status, line);
    let entered = || -> io::Result<()> {
        let mut json = Vec::new();
        File::from(open(inner)?).read_to_end(&mut json)?;
        let inner: Inner = serde_json::from_slice(&json)?;
        let output = io::stdout().as_fd().try_clone_to_owned()?;
        let_go_of_standard_streams()?;
        enter(&inner, output, &say)
    };
    if let Err(error) = entered() {
        say(&format!("E{error}"));
    }
    ExitCode::from(126)
}

/// Forks the run, stays as the first process of the namespace, and says how the run ended. Everything else in the
/// namespace ends with this process.
fn enter(inner: &Inner, output: OwnedFd, say: confine::Say<'_>) -> io::Result<()> {
    // So that the run can't read our memory or descriptors, even as the same user.
    prctl::set_dumpable(false)?;
    let Some(run) = sys::fork()? else {
        let Err(error) = confine::become_command(inner, output, say);
        say(&format!("E{error}"));
        sys::exit_now(126)
    };
    drop(output);
    let _ = sys::drop_bounding_set();
    sys::drop_capabilities()?;
    loop {
        match waitpid(None, None) {
            Ok(WaitStatus::Exited(pid, code)) if pid == run => say(&format!("X{code}")),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == run => say(&format!("K{}", signal as i32)),
            Ok(_) | Err(nix::errno::Errno::EINTR) => continue,
            Err(errno) => return Err(errno.into()),
        }
        sys::exit_now(0)
    }
}

fn say_to(status: &OwnedFd, line: &str) {
    // Nobody to tell is no reason to go on differently.
    let _ = nix::unistd::write(status, format!("{}\n", line.replace('\n', " ")).as_bytes());
}

fn failed(what: &str, errno: nix::errno::Errno) -> io::Error {
    io::Error::other(format!("can't {what}: {errno}"))
}
