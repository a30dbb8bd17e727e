//! What the cache holds, and what goes when it is too old or too much.
//!
//! A slot is renamed into `<cache>/trash` under its lock, and then deleted: whoever comes meanwhile finds a whole slot or
//! none, and what a kill leaves there the next start deletes. A slot that is in use has its lock held, and stays.

use std::{
    fs::{self, File},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::{Ready, is_at, lock, remove};

/// How old and how large the cache may become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheLimits {
    /// What nobody used for longer is removed.
    pub age: Duration,
    /// Bytes on the disk; what was used last is kept.
    pub bytes: u64,
}

impl Default for CacheLimits {
    fn default() -> Self {
        CacheLimits { age: Duration::from_secs(30 * 24 * 3600), bytes: 20 << 30 }
    }
}

/// What is the matter with an environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Whole, and free.
    Ready,
    /// A run has it.
    InUse,
    /// A killed run left it: the next start removes it.
    Leftover,
}

/// An environment of the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// What it was made of, as a hash.
    pub key: String,
    /// Of those that were made of the same, which.
    pub slot: String,
    /// `isolated`, `open` (built without isolation), `candidate` (of a changed tree), `single-use`; empty where nobody
    /// knows.
    pub kind: String,
    /// Its Python's version; empty where nobody knows.
    pub python: String,
    /// The name of the repository's folder; empty where nobody knows.
    pub project: String,
    /// What it takes on the disk.
    pub bytes: u64,
    /// When a run last took it.
    pub last_used: Option<SystemTime>,
    /// What is the matter with it.
    pub state: State,
    root: PathBuf,
}

/// Something that was removed from the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evicted {
    /// An environment, and why.
    Environment(Environment, &'static str),
    /// What was downloaded for installations: so many bytes, and why.
    Downloads(u64, &'static str),
}

impl Evicted {
    /// What it took on the disk.
    pub fn bytes(&self) -> u64 {
        match self {
            Evicted::Environment(environment, _) => environment.bytes,
            Evicted::Downloads(bytes, _) => *bytes,
        }
    }
}

const TOO_OLD: &str = "not used for too long";
const TOO_MUCH: &str = "least recently used, and the cache is too large";
const LEFTOVER: &str = "left by a run that was killed";

/// The environments in `cache`, those that were used last first.
pub fn contents(cache: &Path) -> Vec<Environment> {
    let mut found: Vec<Environment> = slots(cache).into_iter().filter_map(environment).collect();
    found.sort_by(|a, b| (b.last_used, &a.key, &a.slot).cmp(&(a.last_used, &b.key, &b.slot)));
    found
}

/// What was downloaded for installations: its size, and when it was last used.
pub fn downloads(cache: &Path) -> (u64, Option<SystemTime>) {
    let used = cache.join("pip.lock").metadata().and_then(|meta| meta.modified()).ok();
    (size(&cache.join("pip")), used)
}

/// Removes what `limits` say, and what killed runs left; with `dry` says only what would go.
pub fn prune(cache: &Path, limits: CacheLimits, dry: bool) -> Vec<Evicted> {
    let mut gone = Vec::new();
    for environment in contents(cache).into_iter().filter(|e| e.state == State::Leftover) {
        if dry || evict(cache, &environment.root) {
            gone.push(Evicted::Environment(environment, LEFTOVER));
        }
    }
    if !dry {
        sweep(cache);
    }
    gone.extend(evict_over(cache, limits, dry));
    gone
}

/// Removes what `limits` say.
pub(in crate::sandbox) fn keep_within(cache: &Path, limits: CacheLimits) {
    evict_over(cache, limits, false);
}

fn evict_over(cache: &Path, limits: CacheLimits, dry: bool) -> Vec<Evicted> {
    let environments = contents(cache);
    let (downloaded, used) = downloads(cache);
    let mut total = environments.iter().fold(downloaded, |sum, e| sum.saturating_add(e.bytes));
    let mut candidates: Vec<(Option<SystemTime>, Evicted)> = environments
        .into_iter()
        .filter(|e| e.state == State::Ready)
        .map(|e| (e.last_used, Evicted::Environment(e, TOO_MUCH)))
        .collect();
    if downloaded > 0 {
        candidates.push((used, Evicted::Downloads(downloaded, TOO_MUCH)));
    }
    // Those that nobody used for longest come first.
    candidates.sort_by_key(|(used, _)| *used);
    let mut gone = Vec::new();
    for (used, candidate) in candidates {
        // A time in the future is none that has passed.
        let age = used.map(|used| used.elapsed().unwrap_or_default());
        let old = age.is_none_or(|age| age >= limits.age);
        if !old && total <= limits.bytes {
            continue;
        }
        let candidate = match candidate {
            Evicted::Environment(e, _) if old => Evicted::Environment(e, TOO_OLD),
            Evicted::Downloads(bytes, _) if old => Evicted::Downloads(bytes, TOO_OLD),
            much => much,
        };
        let evicted = match &candidate {
            _ if dry => true,
            Evicted::Environment(environment, _) => evict(cache, &environment.root),
            Evicted::Downloads(..) => evict_downloads(cache),
        };
        if evicted {
            total = total.saturating_sub(candidate.bytes());
            gone.push(candidate);
        }
    }
    gone
}

/// Removes what killed runs left behind.
pub(in crate::sandbox) fn sweep(cache: &Path) {
    for left in fs::read_dir(cache.join("trash")).into_iter().flatten().filter_map(Result::ok) {
        let _ = remove(&left.path());
    }
    for slot in slots(cache) {
        if !slot.join("ready.json").exists() || is_temporary(&slot) {
            evict(cache, &slot);
        } else if let Some(_lock) = free(&slot) {
            for name in ["w", "home", "reports"] {
                let _ = remove(&slot.join(name));
            }
        }
    }
}

/// Removes a slot that nobody uses.
pub(in crate::sandbox) fn discard(cache: &Path, slot: &Path) {
    if let Ok(Some(lock)) = lock(slot) {
        throw_away(cache, slot);
        drop(lock);
    }
}

fn slots(cache: &Path) -> Vec<PathBuf> {
    let entries = |path: &Path| path.read_dir().into_iter().flatten().filter_map(Result::ok).map(|e| e.path());
    entries(&cache.join("env")).flat_map(|key| entries(&key).collect::<Vec<_>>()).filter(|slot| slot.is_dir()).collect()
}

/// A candidate's environment, and one that is used once, are of no use to a later run.
fn is_temporary(slot: &Path) -> bool {
    let key = slot.parent().and_then(Path::file_name).and_then(|n| n.to_str()).unwrap_or_default();
    key.ends_with("-candidate") || key.ends_with("-once")
}

fn environment(root: PathBuf) -> Option<Environment> {
    let name = |path: &Path| path.file_name().and_then(|n| n.to_str()).map(str::to_owned);
    let (key, slot) = (name(root.parent()?)?, name(&root)?);
    let lock = File::options().write(true).open(root.join("lock")).ok()?;
    // Shared, and let go at once: who wants to use it is hardly ever in its way.
    let state = match (lock.try_lock_shared().is_ok(), root.join("ready.json").exists() && !is_temporary(&root)) {
        (false, _) => State::InUse,
        (true, true) => State::Ready,
        (true, false) => State::Leftover,
    };
    drop(lock);
    let ready = fs::read(root.join("ready.json")).ok();
    let about = ready.and_then(|bytes| serde_json::from_slice::<Ready>(&bytes).ok()).map(|ready| ready.about);
    let about = about.unwrap_or_default();
    let kind = match key.rsplit_once('-') {
        Some((_, "candidate")) => "candidate".to_owned(),
        Some((_, "once")) => "single-use".to_owned(),
        _ => about.kind,
    };
    let python = if about.python.is_empty() { python_of(&root.join("venv")).unwrap_or_default() } else { about.python };
    let bytes = if about.bytes > 0 && state == State::Ready { about.bytes } else { size(&root) };
    let modified = |file: &str| root.join(file).metadata().and_then(|meta| meta.modified()).ok();
    let last_used = modified("ready.json").or_else(|| modified("lock"));
    Some(Environment { key, slot, kind, python, project: about.project, bytes, last_used, state, root })
}

/// What an environment says of its Python.
fn python_of(venv: &Path) -> Option<String> {
    let text = fs::read_to_string(venv.join("pyvenv.cfg")).ok()?;
    text.lines().find_map(|line| Some(line.strip_prefix("version")?.trim().strip_prefix('=')?.trim().to_owned()))
}

/// What a directory takes on the disk.
pub(in crate::sandbox) fn size(root: &Path) -> u64 {
    let entries = walkdir::WalkDir::new(root).into_iter().filter_map(Result::ok);
    entries.filter_map(|entry| entry.metadata().ok()).map(|meta| meta.blocks() * 512).sum()
}

/// The lock of a slot that nobody uses, as it stands.
fn free(slot: &Path) -> Option<File> {
    let path = slot.join("lock");
    let lock = File::options().write(true).open(&path).ok()?;
    (lock.try_lock().is_ok() && is_at(&lock, &path)).then_some(lock)
}

/// Removes a slot, unless somebody uses it.
fn evict(cache: &Path, slot: &Path) -> bool {
    let Some(lock) = free(slot) else { return false };
    let gone = throw_away(cache, slot);
    drop(lock);
    gone
}

/// What was downloaded goes, unless an installation is using it.
fn evict_downloads(cache: &Path) -> bool {
    // Not created anew: its time says when it was last used.
    let lock = File::options().create(true).truncate(false).write(true).open(cache.join("pip.lock"));
    lock.is_ok_and(|lock| lock.try_lock().is_ok() && throw_away(cache, &cache.join("pip")))
}

/// Moves a directory, whose lock is held, out of the way, and deletes it.
fn throw_away(cache: &Path, directory: &Path) -> bool {
    let trash = cache.join("trash");
    let aside = trash.join(format!("{}-{:016x}", std::process::id(), fastrand::u64(..)));
    if fs::create_dir_all(&trash).and_then(|()| fs::rename(directory, &aside)).is_err() {
        return false;
    }
    let _ = directory.parent().map(fs::remove_dir); // only when it is empty
    let _ = remove(&aside);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::cache::{About, Slot, tests::ready};
    use std::{
        collections::BTreeSet,
        sync::atomic::{AtomicBool, Ordering},
    };

    const HOUR: Duration = Duration::from_secs(3600);
    const NO_LIMIT: CacheLimits = CacheLimits { age: Duration::MAX, bytes: u64::MAX };

    /// A whole environment, last used so many hours ago.
    fn built(cache: &Path, key: &str, bytes: u64, hours: u32) -> PathBuf {
        let slot = Slot::take(cache, key, false).unwrap();
        slot.set_ready(&Ready { about: About { bytes, ..About::default() }, ..ready() }).unwrap();
        let ready = File::options().append(true).open(slot.root().join("ready.json")).unwrap();
        ready.set_modified(SystemTime::now() - HOUR * hours).unwrap();
        slot.root().to_owned()
    }

    fn keys(cache: &Path) -> Vec<String> {
        contents(cache).into_iter().map(|e| e.key).collect()
    }

    #[test]
    fn the_next_start_removes_what_a_killed_run_left_and_keeps_what_is_whole_or_in_use() {
        let cache = tempfile::tempdir().unwrap();
        let whole = Slot::take(cache.path(), "whole", false).unwrap();
        whole.set_ready(&ready()).unwrap();
        let root = whole.root().to_owned();
        drop(whole);
        fs::create_dir_all(root.join("w/leftover")).unwrap();
        let tried = Slot::take(cache.path(), "k-candidate", false).unwrap();
        tried.set_ready(&ready()).unwrap();
        let candidate = tried.root().to_owned();
        drop(tried);
        let used = Slot::take(cache.path(), "used", false).unwrap();
        let killed = Slot::take(cache.path(), "killed", false).unwrap().root().to_owned();
        fs::create_dir_all(killed.join("venv")).unwrap();
        sweep(cache.path());
        assert!(root.join("ready.json").exists() && !root.join("w").exists());
        assert!(used.root().exists());
        assert!(!killed.exists() && !candidate.exists());
    }

    #[test]
    fn what_nobody_used_for_too_long_goes_and_then_the_least_recently_used_until_the_rest_fits() {
        let place = tempfile::tempdir().unwrap();
        let cache = place.path();
        for (key, hours) in [("a", 1), ("b", 50), ("c", 2), ("d", 3)] {
            built(cache, key, 100, hours);
        }
        assert_eq!(keys(cache), ["a", "c", "d", "b"]);
        assert_eq!(prune(cache, NO_LIMIT, false), []);
        let limits = CacheLimits { age: HOUR * 48, bytes: 250 };
        let said = prune(cache, limits, true);
        assert_eq!(keys(cache).len(), 4, "only said");
        assert_eq!(prune(cache, limits, false), said);
        let why = |evicted: &Evicted| match evicted {
            Evicted::Environment(e, why) => (e.key.clone(), *why),
            Evicted::Downloads(..) => Default::default(),
        };
        assert_eq!(said.iter().map(why).collect::<Vec<_>>(), [("b".into(), TOO_OLD), ("d".into(), TOO_MUCH)]);
        assert_eq!(keys(cache), ["a", "c"]);
        assert!(cache.join("trash").read_dir().unwrap().next().is_none());
        assert!(!cache.join("env/b").exists(), "an empty folder of a key");
    }

    #[test]
    fn an_environment_that_is_in_use_stays_however_old_and_large_it_is() {
        let place = tempfile::tempdir().unwrap();
        let cache = place.path();
        // A process that another test starts holds a lock that was given back until it is the program it will be.
        let free = || {
            while contents(cache)[0].state == State::InUse {
                std::thread::sleep(Duration::from_millis(1));
            }
        };
        built(cache, "a", u64::MAX, 5000);
        free();
        let used = Slot::take(cache, "a", false).unwrap();
        assert_eq!(contents(cache)[0].state, State::InUse);
        let none = CacheLimits { age: Duration::ZERO, bytes: 0 };
        assert_eq!(prune(cache, none, false), []);
        assert!(used.root().join("ready.json").exists());
        drop(used);
        free();
        assert_eq!(prune(cache, none, false).len(), 1);
    }

    #[test]
    fn downloads_are_one_thing_among_the_others_and_stay_while_an_installation_uses_them() {
        let place = tempfile::tempdir().unwrap();
        let cache = place.path();
        fs::create_dir_all(cache.join("pip/http")).unwrap();
        fs::write(cache.join("pip/http/wheel"), [7; 10_000]).unwrap();
        let lock = File::create(cache.join("pip.lock")).unwrap();
        let (bytes, used) = downloads(cache);
        assert!(bytes >= 10_000 && used.is_some());
        built(cache, "a", 100, 1);
        lock.try_lock().unwrap();
        assert_eq!(prune(cache, CacheLimits { bytes: 150, ..NO_LIMIT }, false).len(), 1, "the environment alone");
        assert!(cache.join("pip/http/wheel").exists());
        lock.unlock().unwrap();
        assert!(matches!(prune(cache, CacheLimits { bytes: 150, ..NO_LIMIT }, false)[..], [Evicted::Downloads(..)]));
        assert!(!cache.join("pip").exists());
        assert_eq!(downloads(cache).1, used);
    }

    #[test]
    fn what_a_killed_eviction_left_the_next_start_deletes() {
        let place = tempfile::tempdir().unwrap();
        let cache = place.path();
        let root = built(cache, "a", 100, 1);
        // Killed between the renaming and the deletion, or in the middle of that.
        fs::create_dir_all(cache.join("trash")).unwrap();
        fs::rename(root, cache.join("trash/77-left")).unwrap();
        assert_eq!(contents(cache), []);
        let again = Slot::take(cache, "a", false).unwrap();
        assert!(again.ready().is_none());
        sweep(cache);
        assert!(!cache.join("trash/77-left").exists() && again.root().exists());
    }

    #[test]
    fn runs_that_take_slots_while_others_evict_them_never_lose_one_that_they_hold() {
        let place = tempfile::tempdir().unwrap();
        let cache = place.path();
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        prune(cache, CacheLimits { age: Duration::ZERO, bytes: 0 }, false);
                    }
                });
            }
            let runs: Vec<_> = (0..2)
                .map(|_| {
                    scope.spawn(|| {
                        let mut seen = BTreeSet::new();
                        for _ in 0..200 {
                            let slot = Slot::take(cache, "k", false).unwrap();
                            slot.set_ready(&ready()).unwrap();
                            fs::create_dir_all(slot.venv()).unwrap();
                            std::thread::yield_now();
                            assert!(slot.venv().exists() && slot.ready().is_some());
                            seen.insert(slot.root().to_owned());
                        }
                        seen
                    })
                })
                .collect();
            let ended: Vec<_> = runs.into_iter().map(|run| run.join()).collect();
            over.store(true, Ordering::Relaxed);
            assert!(ended.iter().all(Result::is_ok));
        });
    }
}
