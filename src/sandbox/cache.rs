//! The cache of environments: content-addressed, safe under two runs at once and under a kill at any moment.
//!
//! `<cache>/env/<key>/<n>/` is a *slot*: one environment and the one place where trees that use it stand, so that an
//! editable install always points at the run's own tree. A slot is used under its lock; a second run takes the next one.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Recipe, python::Python};
use crate::workspace::Tree;

/// Raised when what a slot holds changes its meaning.
const FORMAT: &str = "1";

/// Environments that nobody used for so long are removed.
const KEPT: Duration = Duration::from_secs(14 * 24 * 3600);

/// What is known of an environment that was built to the end.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Ready {
    pub(super) installed: Vec<(String, String)>,
    pub(super) notes: Vec<String>,
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
        let environments = cache.join("env");
        fs::create_dir_all(&environments).with_context(|| {
            format!("the cache {} cannot be written: choose another with --cache-dir", cache.display())
        })?;
        for number in 0..1000 {
            let name = if disposable { format!("{key}-once") } else { key.to_owned() };
            let root = environments.join(name).join(number.to_string());
            if let Some(lock) = lock(&root)? {
                let slot = Slot { root, disposable, _lock: lock };
                if disposable {
                    slot.clear()?;
                }
                return Ok(slot);
            }
        }
        anyhow::bail!("a thousand runs use the same environment at once")
    }

    /// A slot of `key` whose environment is whole and that nobody else uses.
    pub(super) fn take_ready(cache: &Path, key: &str) -> Result<Option<Slot>> {
        let Ok(entries) = cache.join("env").join(key).read_dir() else { return Ok(None) };
        let mut roots: Vec<PathBuf> = entries.filter_map(Result::ok).map(|e| e.path()).collect();
        roots.sort();
        for root in roots.into_iter().filter(|root| root.join("ready.json").exists()) {
            if let Some(lock) = lock(&root)?
                && root.join("ready.json").exists()
            {
                return Ok(Some(Slot { root, disposable: false, _lock: lock }));
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

    pub(super) fn ready(&self) -> Option<Ready> {
        let ready = serde_json::from_slice(&fs::read(self.root.join("ready.json")).ok()?).ok()?;
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

/// The lock of a slot, `None` when another run holds it.
fn lock(root: &Path) -> Result<Option<File>> {
    use std::os::unix::fs::MetadataExt as _;
    let path = root.join("lock");
    for _ in 0..100 {
        fs::create_dir_all(root)?;
        let Ok(lock) = File::create(&path) else { continue };
        if lock.try_lock().is_err() {
            return Ok(None);
        }
        // A sweep may have removed the slot between the two: then this locks a file that nobody else will see.
        let identity = |meta: fs::Metadata| (meta.dev(), meta.ino());
        if path.metadata().map(identity).ok() == lock.metadata().map(identity).ok() {
            return Ok(Some(lock));
        }
    }
    Ok(None)
}

/// Removes a slot that nobody uses.
pub(super) fn discard(root: &Path) {
    if let Ok(Some(_lock)) = lock(root) {
        let _ = remove(root);
        let _ = root.parent().map(fs::remove_dir); // only when it is empty
    }
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

/// Removes what killed runs left behind, and environments that nobody used for two weeks.
pub(super) fn sweep(cache: &Path) {
    let slots = glob::glob(&format!("{}/env/*/*", glob::Pattern::escape(&cache.display().to_string())));
    for slot in slots.into_iter().flatten().filter_map(Result::ok) {
        let Ok(lock) = File::options().write(true).open(slot.join("lock")) else { continue };
        if lock.try_lock().is_err() {
            continue; // in use
        }
        let ready = slot.join("ready.json");
        let age = ready.metadata().and_then(|m| m.modified()).ok().and_then(|m| m.elapsed().ok());
        let unfinished = !ready.exists();
        // A candidate's environment is of no use to a later run.
        let key = slot.parent().and_then(Path::file_name).and_then(|n| n.to_str()).unwrap_or_default();
        let temporary = key.ends_with("-candidate") || key.ends_with("-once");
        if unfinished || temporary || age.is_some_and(|age| age > KEPT) {
            let _ = remove(&slot);
            let _ = slot.parent().map(fs::remove_dir); // only when it is empty
            continue;
        }
        for name in ["w", "home", "reports"] {
            let _ = remove(&slot.join(name));
        }
    }
}

/// The key of the environment that `recipe` builds for `tree`: what was installed, by what, from which manifests.
pub(super) fn key(recipe: &Recipe, tree: &Tree, python: &Python, kind: &str) -> String {
    let mut hash = Sha256::new();
    let mut add = |text: &[u8]| {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    };
    for text in
        [FORMAT, kind, &python.version, &python.executable.display().to_string(), tree.name(), &recipe.directory]
    {
        add(text.as_bytes());
    }
    for command in &recipe.install {
        add(command.as_bytes());
    }
    for (name, value) in recipe.env.iter().chain(recipe.versions.iter().map(|(n, v)| (n, v))) {
        add(name.as_bytes());
        add(value.as_bytes());
    }
    let named = named_files(recipe, tree);
    let copies = recipe.copies_project || named.copies_project;
    for path in tree.paths() {
        if copies || shapes_environment(&path) || named.files.contains(&path) {
            add(path.as_bytes());
            add(&tree.read(&path).unwrap_or_default());
        }
    }
    hex(&hash.finalize())
}

/// The key of an environment that only this very tree may use.
pub(super) fn candidate_key(base: &str, tree: &Tree) -> String {
    let mut hash = Sha256::new();
    hash.update(base);
    for path in tree.paths() {
        let content = tree.read(&path).unwrap_or_default();
        for text in [path.as_bytes(), &content] {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        }
    }
    format!("{}-candidate", hex(&hash.finalize()))
}

fn hex(hash: &[u8]) -> String {
    hash.iter().take(10).map(|byte| format!("{byte:02x}")).collect()
}

/// Files of the tree that install commands name, and those that they include.
struct Named {
    files: BTreeSet<String>,
    /// Does one of them install the project itself, not editable?
    copies_project: bool,
}

fn named_files(recipe: &Recipe, tree: &Tree) -> Named {
    let below = |name: &str| match recipe.directory.as_str() {
        "" => name.trim_start_matches("./").to_owned(),
        directory => format!("{directory}/{}", name.trim_start_matches("./")),
    };
    let mut open: Vec<String> =
        recipe.install.iter().flat_map(|c| c.split_whitespace()).map(|w| below(w.trim_matches(['"', '\'']))).collect();
    let mut named = Named { files: BTreeSet::new(), copies_project: false };
    while let Some(path) = open.pop() {
        if named.files.len() > 200 || named.files.contains(&path) {
            continue;
        }
        let Some(content) = tree.read(&path) else { continue };
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for line in String::from_utf8_lossy(&content).lines().map(str::trim) {
            let included = ["-r", "--requirement", "-c", "--constraint"].iter().find_map(|o| line.strip_prefix(o));
            if let Some(included) = included {
                let included = included.trim_start_matches(['=', ' ']).trim();
                open.push(if folder.is_empty() { included.to_owned() } else { format!("{folder}/{included}") });
            }
            let local = line == "." || line.starts_with(".[") || line.starts_with("./") || line.starts_with("../");
            named.copies_project |= local && !path.ends_with(".py");
        }
        named.files.insert(path);
    }
    named
}

/// Manifests, locks and sources of extensions: what an installation reads even where it only points at the tree.
fn shapes_environment(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let extension = name.rsplit_once('.').map_or("", |(_, e)| e);
    matches!(
        name,
        "setup.py"
            | "setup.cfg"
            | "tox.ini"
            | "MANIFEST.in"
            | "CMakeLists.txt"
            | "meson.build"
            | "Pipfile"
            | "Makefile"
    ) || matches!(extension, "toml" | "lock" | "c" | "cc" | "cpp" | "h" | "hpp" | "pyx" | "pxd" | "rs" | "f90" | "in")
        || (extension == "txt"
            && (name.contains("require") || name.contains("constraint") || path.contains("requirements/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_run_takes_a_slot_of_its_own_and_a_later_one_takes_the_first_again() {
        let cache = tempfile::tempdir().unwrap();
        let first = Slot::take(cache.path(), "k", false).unwrap();
        first.set_ready(&Ready { installed: Vec::new(), notes: Vec::new() }).unwrap();
        let second = Slot::take(cache.path(), "k", false).unwrap();
        assert_ne!(first.root(), second.root());
        assert!(second.ready().is_none());
        let root = first.root().to_owned();
        drop(first);
        let third = Slot::take(cache.path(), "k", false).unwrap();
        assert_eq!(third.root(), root);
        assert!(third.ready().is_some());
    }

    #[test]
    fn the_next_start_removes_what_a_killed_run_left_and_keeps_what_is_whole_or_in_use() {
        let cache = tempfile::tempdir().unwrap();
        let whole = Slot::take(cache.path(), "whole", false).unwrap();
        whole.set_ready(&Ready { installed: Vec::new(), notes: Vec::new() }).unwrap();
        let root = whole.root().to_owned();
        drop(whole);
        fs::create_dir_all(root.join("w/leftover")).unwrap();
        let tried = Slot::take(cache.path(), "k-candidate", false).unwrap();
        tried.set_ready(&Ready { installed: Vec::new(), notes: Vec::new() }).unwrap();
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
}
