//! Changes between trees: read, written, and shown as a diff.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use tempfile::NamedTempFile;

use super::{
    files::{files_below, inside, walk_below},
    git::{git, run},
};
use crate::scratch::Scratch;

/// A file's content on both sides of a change; `None` where there is no file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    /// Before, `None` for a new file.
    pub before: Option<Vec<u8>>,
    /// After, `None` for a deleted file.
    pub after: Option<Vec<u8>>,
    /// Is it executable afterwards?
    pub executable: bool,
    /// Is either side a symbolic link (its content is then the target)?
    pub symlink: bool,
}

/// What a patch does to a tree: repository-relative paths with `/`, and both contents.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Change {
    /// By path.
    pub files: BTreeMap<String, FileChange>,
}

impl Change {
    /// All that differs between two trees, `.git` aside.
    pub fn between(before: &Path, after: &Path) -> Change {
        let paths: BTreeSet<String> = files_below(before).into_iter().chain(files_below(after)).collect();
        Change::of(before, after, paths)
    }

    /// What differs between two trees in these paths.
    pub fn of(before: &Path, after: &Path, paths: impl IntoIterator<Item = String>) -> Change {
        let files = paths.into_iter().filter_map(|path| {
            let (old, new) = (Entry::read(before, &path), Entry::read(after, &path));
            (old != new).then(|| {
                let executable = new.as_ref().is_some_and(|entry| entry.executable);
                let symlink = [&old, &new].into_iter().flatten().any(|entry| entry.symlink);
                let change =
                    FileChange { before: old.map(|e| e.content), after: new.map(|e| e.content), executable, symlink };
                (path, change)
            })
        });
        Change { files: files.collect() }
    }

    /// Does it change nothing?
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Writes the new contents below `root`: all of them beside their places first, so that what fails on the way
    /// leaves the files as they were.
    ///
    /// # Errors
    /// When a path leaves the root, goes through a symbolic link or into `.git`, or the disk refuses.
    pub fn apply(&self, root: &Path) -> Result<()> {
        let mut staged = Vec::new();
        let mut deleted = Vec::new();
        for (path, change) in &self.files {
            let target =
                inside(root, path).with_context(|| format!("{path}: a change may not leave the repository"))?;
            let Some(content) = &change.after else {
                deleted.push(target);
                continue;
            };
            ensure!(!change.symlink, "{path}: a change may not write symbolic links");
            let old = target.symlink_metadata().ok().filter(|meta| !meta.is_dir());
            ensure!(change.before.is_some() || old.is_none(), "{path} cannot be written: it is there already");
            let mode = mode(old.filter(fs::Metadata::is_file).as_ref(), change.executable);
            let file = stage(root, &target, content, mode).with_context(|| format!("{path} cannot be written"))?;
            staged.push((target, file));
        }
        // A file in whose place a directory comes, and the other way round, goes first; all others go last.
        let (blocking, deleted): (Vec<_>, Vec<_>) =
            deleted.into_iter().partition(|d| staged.iter().any(|(t, _)| t.starts_with(d) || d.starts_with(t)));
        blocking.iter().try_for_each(|target| remove(root, target))?;
        for (target, file) in staged {
            if let Some(parent) = target.parent() {
                fs::create_dir_all(parent)?;
            }
            file.persist(&target).with_context(|| format!("{} cannot be replaced", target.display()))?;
        }
        deleted.iter().try_for_each(|target| remove(root, target))
    }

    /// Both changes together, line by line where they touch the same file, as `git merge-file` does. Both must be
    /// changes of one tree, with `base` in both.
    ///
    /// # Errors
    /// When git is missing; `Ok(Err(path))` names the file in which they contradict each other.
    pub fn merge(&self, other: &Change, base: &Change) -> Result<Result<Change, String>> {
        let mut merged = self.clone();
        for (path, theirs) in &other.files {
            let Some(ours) = self.files.get(path) else {
                // What `base` did there and `self` took back stays taken back.
                if base.files.get(path) != Some(theirs) {
                    merged.files.insert(path.clone(), theirs.clone());
                }
                continue;
            };
            let common = base.files.get(path);
            if ours == theirs || common == Some(theirs) {
                continue;
            }
            if common == Some(ours) {
                merged.files.insert(path.clone(), theirs.clone());
                continue;
            }
            let before = common.map_or(&ours.before, |c| &c.after);
            let (Some(a), Some(o), Some(b)) = (&ours.after, before, &theirs.after) else {
                return Ok(Err(path.clone()));
            };
            let Some(content) = merge_text(a, o, b)? else { return Ok(Err(path.clone())) };
            merged.files.insert(path.clone(), FileChange { after: Some(content), ..ours.clone() });
        }
        Ok(Ok(merged))
    }

    /// A git diff that `git apply` takes on the tree before.
    ///
    /// # Errors
    /// When git is missing or the disk refuses.
    pub fn diff(&self) -> Result<Vec<u8>> {
        let directory = Scratch::new()?;
        for (side, content) in [("a", true), ("b", false)] {
            let root = directory.path().join(side);
            fs::create_dir(&root)?;
            for (path, change) in &self.files {
                let Some(bytes) = (if content { &change.before } else { &change.after }) else { continue };
                let target = inside(&root, path).with_context(|| format!("{path} leaves the repository"))?;
                if let Some(parent) = target.parent() {
                    fs::create_dir_all(parent)?;
                }
                fs::write(&target, bytes)?;
                if change.executable {
                    use std::os::unix::fs::PermissionsExt as _;
                    fs::set_permissions(&target, fs::Permissions::from_mode(0o755))?;
                }
            }
        }
        let output = run(git(directory.path()).args([
            "diff",
            "--no-index",
            "--no-prefix",
            "--no-color",
            "--no-ext-diff",
            "--no-textconv",
            "--no-renames",
            "--binary",
            "a",
            "b",
        ]))?;
        Ok(output.stdout)
    }
}

/// Three versions of a text made one, as `git merge-file` does; `None` where they contradict each other.
///
/// # Errors
/// When git is missing or the disk refuses.
pub fn merge_text(ours: &[u8], base: &[u8], theirs: &[u8]) -> Result<Option<Vec<u8>>> {
    let directory = Scratch::new()?;
    for (name, content) in [("ours", ours), ("base", base), ("theirs", theirs)] {
        fs::write(directory.path().join(name), content)?;
    }
    let output = run(git(directory.path()).args(["merge-file", "--stdout", "--quiet", "ours", "base", "theirs"]))?;
    Ok(output.status.success().then_some(output.stdout))
}

/// The mode of a file's new version: as it was, but for the executable bits.
fn mode(old: Option<&fs::Metadata>, executable: bool) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    let old = old.map_or(0o644, |meta| meta.permissions().mode() & 0o777);
    match (executable, old & 0o100 != 0) {
        // Whoever may read it may run it.
        (true, false) => old | (old & 0o444) >> 2,
        (false, true) => old & !0o111,
        _ => old,
    }
}

/// A temporary file with the new content, in the nearest directory that there is.
fn stage(root: &Path, target: &Path, content: &[u8], mode: u32) -> Result<NamedTempFile> {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = target.ancestors().skip(1).find(|d| d.is_dir()).unwrap_or(root);
    let mut file = tempfile::Builder::new().prefix(".test-repair-").tempfile_in(directory)?;
    file.write_all(content)?;
    file.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
    Ok(file)
}

/// Removes a file, and the directories that it leaves empty, as git does.
fn remove(root: &Path, target: &Path) -> Result<()> {
    if target.symlink_metadata().is_ok() {
        fs::remove_file(target).with_context(|| format!("{} cannot be removed", target.display()))?;
    }
    for parent in target.ancestors().skip(1).take_while(|d| *d != root) {
        if fs::remove_dir(parent).is_err() {
            break;
        }
    }
    Ok(())
}

#[derive(PartialEq, Eq)]
struct Entry {
    content: Vec<u8>,
    executable: bool,
    symlink: bool,
}

impl Entry {
    fn read(root: &Path, path: impl AsRef<Path>) -> Option<Entry> {
        use std::os::unix::{ffi::OsStrExt as _, fs::PermissionsExt as _};
        let full = root.join(path);
        let meta = full.symlink_metadata().ok()?;
        if meta.is_symlink() {
            let target = fs::read_link(&full).ok()?;
            return Some(Entry { content: target.as_os_str().as_bytes().to_vec(), executable: false, symlink: true });
        }
        let executable = meta.permissions().mode() & 0o100 != 0;
        Some(Entry { content: fs::read(&full).ok()?, executable, symlink: false })
    }
}

/// A file that differs between two trees, whose name no text can hold.
pub(super) fn unnamed(before: &Path, after: &Path) -> Option<PathBuf> {
    let mut odd = walk_below(before).chain(walk_below(after)).filter(|path| path.to_str().is_none());
    odd.find(|path| Entry::read(before, path) != Entry::read(after, path))
}
