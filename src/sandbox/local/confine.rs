//! The innermost layers, put on by the process that then becomes the run: user, capabilities, Landlock, seccomp.

use std::{
    ffi::CString,
    fs, io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
};

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, LandlockStatus, PathBeneath, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus, Scope, path_beneath_rules,
};
use nix::sys::{
    prctl,
    resource::{Resource, getrlimit, setrlimit},
    signal::{SigSet, SigmaskHow, Signal, pthread_sigmask},
};

use super::{
    filter::{self, Sockets},
    layout,
    spec::{Command, Inner, Layer},
    sys,
};

/// Says one line to the supervisor.
pub(super) type Say<'a> = &'a dyn Fn(&str);

/// Confines this process and becomes the command. Only returns when that failed.
pub(super) fn become_command(inner: &Inner, output: OwnedFd, say: Say<'_>) -> io::Result<std::convert::Infallible> {
    reset_signals();
    let _ = nix::unistd::setsid();
    let null = fs::File::open("/dev/null")?;
    nix::unistd::dup2_stdin(&null)?;
    nix::unistd::dup2_stdout(&output)?;
    nix::unistd::dup2_stderr(&output)?;
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    let program = Program::open(&inner.command)?;
    if inner.layer == Layer::Nothing {
        set_limits(None)?;
        std::env::set_current_dir(&inner.cwd).map_err(|error| at(&inner.cwd, &error))?;
        sys::close_on_exec_from(3)?;
        return program.exec(inner);
    }
    set_limits(Some(inner.process_limit))?;
    if nix::unistd::geteuid().is_root() || inner.layer != Layer::Bare {
        // Where we have no capability there is none to drop.
        let _ = sys::drop_bounding_set();
    }
    if let Some(uid) = inner.uid {
        sys::become_user(uid)?;
    }
    sys::drop_capabilities()?;
    prctl::set_no_new_privs()?;
    if inner.layer == Layer::Bare {
        // A change of user clears it, so it is set here. The supervisor's end takes the first process with it.
        prctl::set_pdeathsig(Signal::SIGKILL)?;
    }
    std::env::set_current_dir(&inner.cwd).map_err(|error| at(&inner.cwd, &error))?;
    say(&format!("L{}", landlock(inner, &program)?));
    sys::close_on_exec_from(3)?;
    let sockets = match (inner.layer, inner.network) {
        (Layer::Bare, false) => Sockets::None,
        (Layer::Bare, true) => Sockets::Internet,
        _ => Sockets::InternetAndUnix,
    };
    for filter in filter::programs(sockets)? {
        seccompiler::apply_filter(&filter).map_err(io::Error::other)?;
    }
    program.exec(inner)
}

/// What will be executed; our own program is opened before it is out of reach.
enum Program {
    Bash(PathBuf, String),
    Ourselves(OwnedFd, String),
}

impl Program {
    fn open(command: &Command) -> io::Result<Self> {
        match command {
            Command::Script(script) => {
                let shells = ["/bin/bash", "/usr/bin/bash", "/usr/local/bin/bash"].map(PathBuf::from);
                let bash = shells.into_iter().find(|path| path.exists());
                let bash = bash.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "there is no bash"))?;
                Ok(Program::Bash(bash, script.clone()))
            }
            Command::Attempts(json) => Ok(Program::Ourselves(fs::File::open("/proc/self/exe")?.into(), json.clone())),
        }
    }

    fn exec(&self, inner: &Inner) -> io::Result<std::convert::Infallible> {
        let env = inner.env.iter().map(|(name, value)| CString::new(format!("{name}={value}")));
        let env = env.collect::<Result<Vec<_>, _>>().map_err(io::Error::other)?;
        match self {
            Program::Bash(path, script) => {
                let args = [c"bash".into(), c"-e".into(), c"-c".into(), CString::new(script.as_bytes())?];
                Ok(nix::unistd::execve(&CString::new(path.as_os_str().as_bytes())?, &args, &env)?)
            }
            Program::Ourselves(file, json) => {
                let args = [
                    c"test-repair".into(),
                    c"sandbox-supervise".into(),
                    c"--attempt".into(),
                    CString::new(json.as_str())?,
                ];
                Ok(nix::unistd::fexecve(file, &args, &env)?)
            }
        }
    }
}

fn reset_signals() {
    let _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None);
    // Rust ignores it; a shell's children expect it.
    let _ = sys::default_signal(Signal::SIGPIPE);
}

fn set_limits(processes: Option<u64>) -> io::Result<()> {
    const FILE_SIZE: u64 = 16 << 30;
    const FILES: u64 = 65_536;
    let lower = |resource, to: u64| -> io::Result<()> {
        let (_, hard) = getrlimit(resource)?;
        let to = to.min(hard);
        Ok(setrlimit(resource, to, to)?)
    };
    lower(Resource::RLIMIT_CORE, 0)?;
    lower(Resource::RLIMIT_FSIZE, FILE_SIZE)?;
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE)?;
    lower(Resource::RLIMIT_NOFILE, FILES)?;
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, soft.clamp(1024.min(hard), hard), hard)?;
    if let Some(processes) = processes {
        lower(Resource::RLIMIT_NPROC, processes)?;
    }
    Ok(())
}

/// Denies every file but the given ones; what the kernel then enforces.
fn landlock(inner: &Inner, program: &Program) -> io::Result<String> {
    let abi = ABI::V6;
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(abi))
        .and_then(|ruleset| ruleset.scope(Scope::from_all(abi)))
        .map_err(io::Error::other)?;
    if inner.layer == Layer::Bare && !inner.network {
        ruleset = ruleset.handle_access(AccessNet::from_all(abi)).map_err(io::Error::other)?;
    }
    let (read, all) = (AccessFs::from_read(abi), AccessFs::from_all(abi));
    let in_place = AccessFs::from_file(abi) & !AccessFs::Execute;
    let readable: Vec<PathBuf> = if inner.layer.has_namespaces() {
        vec!["/".into()]
    } else {
        let etc = layout::ETC.iter().copied().chain(["passwd", "group", "hosts", "resolv.conf"]);
        let etc = etc.map(|name| Path::new("/etc").join(name));
        let system = layout::SYSTEM.into_iter().chain(["/proc", "/sys/devices/system/cpu"]).map(PathBuf::from);
        system.chain(etc).chain(inner.readable.iter().cloned()).collect()
    };
    let mut writable = inner.writable.clone();
    let mut files: Vec<&str> = vec!["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];
    if inner.layer.has_namespaces() {
        writable.extend(["/tmp", "/dev/shm"].map(PathBuf::from));
        files.extend(["/dev/pts", "/dev/ptmx", "/dev/tty"]);
    }
    let mut created = ruleset
        .create()
        .and_then(|ruleset| ruleset.add_rules(path_beneath_rules(&readable, read)))
        .and_then(|ruleset| ruleset.add_rules(path_beneath_rules(&writable, all)))
        .and_then(|ruleset| ruleset.add_rules(path_beneath_rules(&files, in_place | AccessFs::ReadDir)))
        .map_err(io::Error::other)?;
    if let Program::Ourselves(file, _) = program {
        let rule = PathBeneath::new(file.as_fd(), AccessFs::Execute | AccessFs::ReadFile);
        created = created.add_rule(rule).map_err(io::Error::other)?;
    }
    let status = created.restrict_self().map_err(io::Error::other)?;
    let what = match status.ruleset {
        RulesetStatus::FullyEnforced => "full",
        RulesetStatus::PartiallyEnforced => "partial",
        RulesetStatus::NotEnforced => return Ok(String::new()),
    };
    Ok(match status.landlock {
        LandlockStatus::Available { effective_abi, .. } => format!("{what}, ABI {}", effective_abi as i32),
        _ => what.to_owned(),
    })
}

fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
