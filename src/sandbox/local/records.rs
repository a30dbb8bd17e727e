//! The record of each run: a locked slot, a directory, a user of its own. A free lock with a directory is a leftover.

use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder, File, OpenOptions},
    hash::{DefaultHasher, Hash, Hasher},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, lchown},
    path::{Path, PathBuf},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::{Deserialize, Serialize};

use super::tree;

/// How many runs may be alive at once in one state directory.
const SLOTS: u32 = 4096;

/// What was done about runs that an earlier, killed test-repair left.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swept {
    /// Runs whose records were removed.
    pub runs: usize,
    /// Processes that were still alive, and were killed.
    pub killed: usize,
}

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    uid: Option<u32>,
    supervisor: i32,
}

/// A locked slot; the lock ends with the last process that holds the file.
#[derive(Debug)]
pub(super) struct Slot {
    _lock: File,
    /// The run's own directory.
    pub(super) dir: PathBuf,
    /// The user that only this run has, where we may choose one.
    pub(super) uid: Option<u32>,
}

impl Slot {
    /// Takes the first free slot, and clears what an earlier run left in it.
    pub(super) fn take(state_dir: &Path, own_uid: bool) -> io::Result<Slot> {
        let runs = runs_dir(state_dir)?;
        for number in 0..SLOTS {
            let Some(lock) = try_lock(&runs.join(format!("{number}.lock")))? else { continue };
            let dir = runs.join(number.to_string());
            clear(&dir);
            let uid = own_uid.then(|| user(&runs, number));
            make_dir(&dir, 0o711)?;
            let record = Record { uid, supervisor: nix::unistd::getpid().as_raw() };
            fs::write(dir.join("record.json"), serde_json::to_vec(&record)?)?;
            for (name, mode) in [("tmp", 0o700), ("shm", 0o700), ("root", 0o700), ("files", 0o755)] {
                make_dir(&dir.join(name), mode)?;
            }
            if let Some(uid) = uid {
                for name in ["tmp", "shm"] {
                    lchown(dir.join(name), Some(uid), Some(uid))?;
                }
            }
            return Ok(Slot { _lock: lock, dir, uid });
        }
        Err(io::Error::other(format!("{SLOTS} runs are alive at once")))
    }

    /// Removes the run's directory.
    pub(super) fn clear(&self) {
        remove(&self.dir);
    }
}

/// Kills and removes what runs without a live supervisor left.
pub(super) fn sweep(state_dir: &Path) -> io::Result<Swept> {
    let mut swept = Swept::default();
    let runs = state_dir.join("runs");
    let entries = match fs::read_dir(&runs) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(swept),
        Err(error) => return Err(error),
    };
    let mut numbers = BTreeSet::new();
    for entry in entries {
        if let Some(number) = entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) {
            numbers.insert(number);
        }
    }
    for number in numbers {
        let Some(_lock) = try_lock(&runs.join(format!("{number}.lock")))? else { continue };
        swept.killed += clear(&runs.join(number.to_string()));
        swept.runs += 1;
    }
    Ok(swept)
}

/// Ends what still runs for a dead run, and removes its directory; how many processes were alive.
fn clear(dir: &Path) -> usize {
    let record = fs::read(dir.join("record.json")).ok().and_then(|json| serde_json::from_slice::<Record>(&json).ok());
    let mut killed = 0;
    if let Some(record) = record.filter(|record| record.uid.is_none_or(is_run_user)) {
        killed = kill_leftovers(dir, &record);
    }
    remove(dir);
    killed
}

fn kill_leftovers(dir: &Path, record: &Record) -> usize {
    let me = nix::unistd::getpid().as_raw();
    let mut killed = BTreeSet::new();
    // A few rounds: a process may fork between the list and the signal.
    for _ in 0..50 {
        let left: Vec<i32> = tree::pids().filter(|pid| *pid != me && is_left(*pid, dir, record.uid)).collect();
        if left.is_empty() {
            break;
        }
        for signal in [Signal::SIGSTOP, Signal::SIGKILL] {
            for pid in &left {
                let _ = kill(Pid::from_raw(*pid), signal);
            }
        }
        killed.extend(left);
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    killed.len()
}

/// By its user, where the run had one of its own; else by the run's directory in its environment.
fn is_left(pid: i32, dir: &Path, uid: Option<u32>) -> bool {
    use std::os::unix::ffi::OsStrExt;
    let proc = PathBuf::from(format!("/proc/{pid}"));
    // The dead have no memory and can't be killed again.
    if fs::read_to_string(proc.join("stat"))
        .ok()
        .is_none_or(|stat| stat.rsplit(')').next().is_none_or(|rest| rest.trim_start().starts_with(['Z', 'X'])))
    {
        return false;
    }
    if let Some(uid) = uid {
        return fs::metadata(&proc).is_ok_and(|meta| meta.uid() == uid) || status_uid(&proc) == Some(uid);
    }
    let needle = [dir.as_os_str().as_bytes(), b"/"].concat();
    fs::read(proc.join("environ")).is_ok_and(|env| env.windows(needle.len()).any(|window| window == needle))
}

fn status_uid(proc: &Path) -> Option<u32> {
    let status = fs::read_to_string(proc.join("status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("Uid:")?.split_ascii_whitespace().next()?.parse().ok())
}

/// Gives what is writable to the run's user. Hard links stay: their other names are not ours to give.
pub(super) fn hand_over(path: &Path, to: u32) -> io::Result<()> {
    let ours = nix::unistd::geteuid().as_raw();
    for entry in walkdir::WalkDir::new(path).follow_links(false) {
        let entry = entry?;
        let meta = fs::symlink_metadata(entry.path())?;
        let from = meta.uid();
        let hard_link = !meta.is_dir() && meta.nlink() > 1;
        if from == to || hard_link || !(from == ours || is_run_user(from)) {
            continue;
        }
        lchown(entry.path(), Some(to), Some(to))?;
    }
    Ok(())
}

/// Makes the state directory, such that the users of runs can pass through it.
pub(super) fn make_state_dir(state_dir: &Path) -> io::Result<()> {
    if !state_dir.is_dir() {
        DirBuilder::new().recursive(true).mode(0o711).create(state_dir)?;
    }
    runs_dir(state_dir).map(drop)
}

fn runs_dir(state_dir: &Path) -> io::Result<PathBuf> {
    let runs = state_dir.canonicalize()?.join("runs");
    if !runs.is_dir() {
        match DirBuilder::new().mode(0o711).create(&runs) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => fs::set_permissions(&runs, fs::Permissions::from_mode(0o711))?,
        }
    }
    Ok(runs)
}

fn make_dir(path: &Path, mode: u32) -> io::Result<()> {
    DirBuilder::new().mode(mode).create(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

fn try_lock(path: &Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}

const HIGH: u32 = 0x7000_0000;

/// The users of runs: high numbers that nobody has, apart for each state directory; lower where those are not mapped.
fn user(runs: &Path, number: u32) -> u32 {
    let mut hasher = DefaultHasher::new();
    runs.hash(&mut hasher);
    let place = u32::from(u16::try_from(hasher.finish() & 0xffff).unwrap_or_default());
    if is_mapped(HIGH | 0x0fff_ffff) { HIGH + place * SLOTS + number } else { 30_000 + number }
}

fn is_run_user(uid: u32) -> bool {
    (HIGH..HIGH + 0x1000_0000).contains(&uid) || (30_000..30_000 + SLOTS).contains(&uid)
}

fn is_mapped(uid: u32) -> bool {
    let Ok(map) = fs::read_to_string("/proc/self/uid_map") else { return false };
    map.lines().any(|line| {
        let mut numbers = line.split_ascii_whitespace().filter_map(|number| number.parse::<u64>().ok());
        let (Some(first), Some(_), Some(count)) = (numbers.next(), numbers.next(), numbers.next()) else {
            return false;
        };
        (first..first + count).contains(&u64::from(uid))
    })
}

/// Removes a tree, whatever permissions hostile code set in it.
fn remove(path: &Path) {
    if fs::remove_dir_all(path).is_err() && path.exists() {
        for entry in walkdir::WalkDir::new(path).follow_links(false).into_iter().flatten() {
            if entry.file_type().is_dir() {
                let _ = fs::set_permissions(entry.path(), fs::Permissions::from_mode(0o700));
            }
        }
        let _ = fs::remove_dir_all(path);
    }
}

/// Whether another user may read what is at a path, once there.
pub(super) fn readable_by_others(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| {
        let needed = if meta.is_dir() { 0o005 } else { 0o004 };
        meta.mode() & needed == needed || is_run_user(meta.uid())
    })
}

/// Whether another user could get to a path.
pub(super) fn reachable_by_others(path: &Path) -> bool {
    let closed = |dir: &Path| fs::metadata(dir).is_ok_and(|meta| meta.mode() & 0o001 == 0);
    !path.ancestors().skip(1).any(closed)
}
