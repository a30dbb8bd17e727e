//! The cache of environments: content-addressed, safe under two runs at once and under a kill at any moment.
//!
//! `<cache>/env/<key>/<n>/` is a *slot*: one environment and the one place where trees that use it stand, so that an
//! editable install always points at the run's own tree. A slot is used under its lock; a second run takes the next one.

mod evict;
mod key;

use std::{
    fs::{self, File},
    io::ErrorKind,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::workspace::Tree;

pub use evict::{CacheLimits, Environment, Evicted, State, contents, downloads, prune};
pub(super) use evict::{discard, keep_within, size, sweep};
pub(super) use key::{candidate_key, content_hash, copied, key};

/// Where environments are kept, and how many of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheDir {
    /// The directory.
    pub root: PathBuf,
    /// What it may hold.
    pub limits: CacheLimits,
}

impl From<PathBuf> for CacheDir {
    fn from(root: PathBuf) -> Self {
        CacheDir { root, limits: CacheLimits::default() }
    }
}

/// What is known of an environment that was built to the end.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Ready {
    pub(super) installed: Vec<(String, String)>,
    pub(super) notes: Vec<String>,
    /// For the list of what the cache holds; an older version wrote none.
    #[serde(default)]
    pub(super) about: About,
    /// The hash of the tree that was itself installed, where one was: no other tree may use the environment.
    #[serde(default)]
    pub(super) copy_of: Option<String>,
}

impl Ready {
    /// May `tree` use the environment?
    fn serves(&self, tree: &Tree) -> bool {
        self.copy_of.as_ref().is_none_or(|hash| *hash == content_hash(tree))
    }
}

/// What is said of an environment where the cache is listed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct About {
    /// `3.11.7`
    pub(super) python: String,
    /// `isolated`, or `open`: built without isolation.
    pub(super) kind: String,
    /// The name of the repository's folder.
    pub(super) project: String,
    /// What it takes on the disk: it does not change once it is built.
    pub(super) bytes: u64,
}

/// A slot that this process holds.
#[derive(Debug)]
pub(super) struct Slot {
    root: PathBuf,
    disposable: bool,
    // Held, and so locked, as long as the slot is.
    _lock: File,
}

impl Slot {
    /// The first slot of `key` that nobody else uses; a slot of its own for `disposable`.
    pub(super) fn take(cache: &Path, key: &str, disposable: bool) -> Result<Slot> {
        Slot::take_fitting(cache, key, disposable, |_| true)
    }

    /// The first slot of `key` that nobody else uses, and whose environment, if it has one, is for `tree` too.
    pub(super) fn take_for(cache: &Path, key: &str, tree: &Tree) -> Result<Slot> {
        Slot::take_fitting(cache, key, false, |slot| slot.read_ready().is_none_or(|ready| ready.serves(tree)))
    }

    fn take_fitting(cache: &Path, key: &str, disposable: bool, fits: impl Fn(&Slot) -> bool) -> Result<Slot> {
        let environments = cache.join("env");
        fs::create_dir_all(&environments).with_context(|| {
            format!("the cache {} cannot be written: choose another with --cache-dir", cache.display())
        })?;
        for number in 0..1000 {
            let name = if disposable { format!("{key}-once") } else { key.to_owned() };
            let root = environments.join(name).join(number.to_string());
            if let Some(lock) = lock(&root)? {
                let slot = Slot { root, disposable, _lock: lock };
                if !fits(&slot) {
                    continue;
                }
                if disposable {
                    slot.clear()?;
                }
                return Ok(slot);
            }
        }
        anyhow::bail!("a thousand runs use the same environment at once")
    }

    /// A slot of `key` whose environment is whole, for `tree` too, and that nobody else uses.
    pub(super) fn take_ready(cache: &Path, key: &str, tree: &Tree) -> Result<Option<Slot>> {
        let Ok(entries) = cache.join("env").join(key).read_dir() else { return Ok(None) };
        let mut roots: Vec<PathBuf> = entries.filter_map(Result::ok).map(|e| e.path()).collect();
        roots.sort();
        for root in roots.into_iter().filter(|root| root.join("ready.json").exists()) {
            if let Some(lock) = lock(&root)? {
                let slot = Slot { root, disposable: false, _lock: lock };
                if slot.read_ready().is_some_and(|ready| ready.serves(tree)) {
                    return Ok(Some(slot));
                }
            }
        }
        Ok(None)
    }

    pub(super) fn venv(&self) -> PathBuf {
        self.root.join("venv")
    }

    /// HOME during installation; checks get a copy.
    pub(super) fn install_home(&self) -> PathBuf {
        self.root.join("install-home")
    }

    pub(super) fn home(&self) -> PathBuf {
        self.root.join("home")
    }

    /// Files that the installation put into the tree.
    pub(super) fn overlay(&self) -> PathBuf {
        self.root.join("overlay")
    }

    /// Where checks leave their reports.
    pub(super) fn reports(&self) -> PathBuf {
        self.root.join("reports")
    }

    pub(super) fn tree(&self, name: &str) -> PathBuf {
        self.root.join("w").join(name)
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    fn read_ready(&self) -> Option<Ready> {
        serde_json::from_slice(&fs::read(self.root.join("ready.json")).ok()?).ok()
    }

    pub(super) fn ready(&self) -> Option<Ready> {
        let ready = self.read_ready()?;
        // The time of the last use, for eviction.
        let _ =
            File::options().append(true).open(self.root.join("ready.json")).map(|f| f.set_modified(SystemTime::now()));
        Some(ready)
    }

    /// Everything that was built is whole from here on.
    pub(super) fn set_ready(&self, ready: &Ready) -> Result<()> {
        let temporary = self.root.join("ready.json.new");
        fs::write(&temporary, serde_json::to_vec(ready)?)?;
        fs::rename(temporary, self.root.join("ready.json"))?;
        Ok(())
    }

    /// Removes all but the lock.
    pub(super) fn clear(&self) -> Result<()> {
        let _ = fs::remove_file(self.root.join("ready.json"));
        for entry in fs::read_dir(&self.root)? {
            let path = entry?.path();
            if path.file_name().is_some_and(|n| n == "lock") {
                continue;
            }
            remove(&path)?;
        }
        Ok(())
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let left = [self.root.join("w"), self.home(), self.reports()];
        for path in left {
            let _ = remove(&path);
        }
        if self.disposable {
            let _ = self.clear();
        }
    }
}

/// Does the path still name the file that is open? Between the two a sweep may have removed it.
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let identity = |meta: fs::Metadata| (meta.dev(), meta.ino());
    path.metadata().map(identity).ok().is_some_and(|there| file.metadata().map(identity).ok() == Some(there))
}

/// Locks it, if nobody else does. A program that is being started holds what we had locked for a moment longer, until it
/// has become another: that is waited for.
fn is_free(lock: &File) -> bool {
    (0..3).any(|attempt| {
        std::thread::sleep(Duration::from_millis(if attempt == 0 { 0 } else { 10 }));
        lock.try_lock().is_ok()
    })
}

/// The lock of a slot, `None` when another run holds it.
fn lock(root: &Path) -> Result<Option<File>> {
    let path = root.join("lock");
    for _ in 0..100 {
        match fs::create_dir_all(root) {
            // It went, or a folder above it, while it was looked at: another run evicts.
            Err(error) if matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::NotFound) => continue,
            made => made?,
        }
        let Ok(lock) = File::create(&path) else { continue };
        if !is_free(&lock) {
            return Ok(None);
        }
        // Else this locks a file that nobody else will see.
        if is_at(&lock, &path) {
            return Ok(Some(lock));
        }
    }
    Ok(None)
}

/// Lets every run read what an installation wrote: the next one may be another user's, and tools make private directories
/// (`mkdtemp`). Links are not followed, and what has other names stays as it is.
pub(super) fn open_to_readers(path: &Path) -> Result<()> {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    // A directory that nobody may enter is opened before it is walked.
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().with_context(|| format!("{} cannot be read", folder.display()))? {
            let entry = entry?;
            let meta = entry.path().symlink_metadata()?;
            let mode = meta.permissions().mode();
            let opened = mode | 0o044 | if meta.is_dir() || mode & 0o100 != 0 { 0o011 } else { 0 };
            if meta.is_symlink() || (meta.is_file() && meta.nlink() > 1) || !(meta.is_dir() || meta.is_file()) {
                continue;
            }
            if opened != mode {
                fs::set_permissions(entry.path(), fs::Permissions::from_mode(opened))?;
            }
            if meta.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    Ok(())
}

/// Removes a file or a directory, also one whose directories were made read-only.
pub(super) fn remove(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let Ok(meta) = path.symlink_metadata() else { return Ok(()) };
    if !meta.is_dir() {
        return Ok(fs::remove_file(path)?);
    }
    if fs::remove_dir_all(path).is_err() {
        for entry in walkdir::WalkDir::new(path).into_iter().filter_map(Result::ok) {
            if entry.file_type().is_dir() {
                let _ = fs::set_permissions(entry.path(), fs::Permissions::from_mode(0o755));
            }
        }
        fs::remove_dir_all(path).with_context(|| format!("{} cannot be removed", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    #[test]
    fn what_an_installation_keeps_to_itself_is_opened_to_other_runs() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        let directory = tempfile::tempdir().unwrap();
        let (private, outside) = (directory.path().join("env/private"), directory.path().join("outside"));
        fs::create_dir_all(&private).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let close = |path: &Path, mode: u32| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        for name in ["data", "tool"] {
            fs::write(private.join(name), "x").unwrap();
        }
        fs::write(&outside, "x").unwrap();
        symlink(&outside, private.join("link")).unwrap();
        fs::hard_link(&outside, private.join("name")).unwrap();
        close(&private.join("data"), 0o600);
        close(&private.join("tool"), 0o700);
        close(&outside, 0o600);
        close(&private, 0o700);
        open_to_readers(&directory.path().join("env")).unwrap();
        assert_eq!((mode(&private), mode(&private.join("data")), mode(&private.join("tool"))), (0o755, 0o644, 0o755));
        assert_eq!(mode(&outside), 0o600);
    }

    pub(in crate::sandbox::cache) fn ready() -> Ready {
        Ready { installed: Vec::new(), notes: Vec::new(), about: About::default(), copy_of: None }
    }

    #[test]
    fn a_second_run_takes_a_slot_of_its_own_and_a_later_one_takes_the_first_again() {
        let cache = tempfile::tempdir().unwrap();
        let first = Slot::take(cache.path(), "k", false).unwrap();
        first.set_ready(&ready()).unwrap();
        let second = Slot::take(cache.path(), "k", false).unwrap();
        assert_ne!(first.root(), second.root());
        assert!(second.ready().is_none());
        let root = first.root().to_owned();
        drop(first);
        let third = Slot::take(cache.path(), "k", false).unwrap();
        assert_eq!(third.root(), root);
        assert!(third.ready().is_some());
    }

    fn tree(files: &[(&str, &str)]) -> Tree {
        let directory = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = directory.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Tree::snapshot(directory.path()).unwrap()
    }

    #[test]
    fn an_environment_that_holds_a_copy_of_a_tree_serves_no_other() {
        let cache = tempfile::tempdir().unwrap();
        let (one, other) = (tree(&[("a.py", "A = 1")]), tree(&[("a.py", "A = 2")]));
        let first = Slot::take_for(cache.path(), "k", &one).unwrap();
        first.set_ready(&Ready { copy_of: Some(content_hash(&one)), ..ready() }).unwrap();
        let root = first.root().to_owned();
        drop(first);
        assert_ne!(Slot::take_for(cache.path(), "k", &other).unwrap().root(), root);
        assert!(Slot::take_ready(cache.path(), "k", &other).unwrap().is_none());
        assert_eq!(Slot::take_ready(cache.path(), "k", &one).unwrap().unwrap().root(), root);
    }

    #[test]
    fn a_copy_of_the_project_is_seen_in_whatever_environment_it_is() {
        let tree = tree(&[("src/shop/__init__.py", ""), ("src/shop/till.py", "OPEN = True\n")]);
        let installed = |path: &str, text: &str| {
            let place = tempfile::tempdir().unwrap();
            let path = place.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
            copied(&tree, &[place.path().to_owned()], Path::new("/cache/my home"))
        };
        assert!(installed(".tox/py/lib/python3.12/site-packages/shop/till.py", "OPEN = True\n"));
        assert!(!installed(".tox/py/lib/python3.12/site-packages/shop.pth", "/w/shop/src\n"));
        assert!(!installed(".tox/py/lib/python3.12/site-packages/shop/till.py", "OPEN = None\n"));
        assert!(!installed(".tox/py/lib/python3.12/site-packages/other/__init__.py", ""));
        assert!(!installed(".tox/py/tmp/shop/till.py", "OPEN = True\n"));
        let origin = |said: &str| installed("lib/python3.12/site-packages/shop-1.dist-info/direct_url.json", said);
        assert!(origin(r#"{"archive_info": {}, "url": "file:///w/shop/.tox/.tmp/package/1/shop-1.tar.gz"}"#));
        assert!(origin(r#"{"dir_info": {}, "url": "file:///w/shop"}"#));
        assert!(!origin(r#"{"dir_info": {"editable": true}, "url": "file:///w/shop"}"#));
        assert!(!origin(r#"{"archive_info": {}, "url": "https://example.org/a.whl"}"#) && !origin("no json"));
        assert!(!origin(r#"{"dir_info": {}, "url": "file:///cache/my%20home/.cache/pre-commit/repo1"}"#));
        assert!(origin(r#"{"dir_info": {}, "url": "file:///cache/my%20home2/shop"}"#));
        assert!(!installed("lib/python3.12/site-packages/pip/_vendor/shop/till.py", "OPEN = True\n"));
    }
}
