//! workspace: trees of files, and changes between them. Path-safe: nothing here leaves its root.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs::{self, File},
    io::Write as _,
    path::{Component, Path, PathBuf},
    process::{Command, Output, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::NamedTempFile;
use walkdir::WalkDir;

use crate::scratch::Scratch;

/// Directories that no project keeps its sources in: left out where there is no git to say what is ignored.
const SCRATCH_DIRECTORIES: &[&str] = &[
    ".git",
    ".hg",
    ".mypy_cache",
    ".nox",
    ".pytest_cache",
    ".ruff_cache",
    ".tox",
    ".venv",
    "__pycache__",
    "node_modules",
    "venv",
];

/// A private copy of a repository's working tree, history included, that nothing else writes.
#[derive(Debug)]
pub struct Tree {
    // Held, so that the copy stays.
    _scratch: Scratch,
    root: PathBuf,
    /// The commit that is checked out, where the tree has one.
    pub head: Option<String>,
    /// Does the working tree differ from that commit?
    pub dirty: bool,
}

impl Tree {
    /// Copies the working tree of `repository` as it stands, uncommitted changes included, without what git ignores.
    ///
    /// # Errors
    /// When `repository` is no readable directory, or holds no file.
    pub fn snapshot(repository: &Path) -> Result<Tree> {
        let repository = repository
            .canonicalize()
            .with_context(|| format!("no repository at {}: give --repo a directory", repository.display()))?;
        ensure!(repository.is_dir(), "{} is not a directory: --repo takes the repository's root", repository.display());
        let name = repository.file_name().unwrap_or(OsStr::new("repository")).to_owned();
        let scratch = Scratch::new()?;
        let root = scratch.path().join(name);
        fs::create_dir(&root)?;
        let tracked = listed_by_git(&repository)?;
        let mut tree = Tree { _scratch: scratch, root, head: None, dirty: false };
        match tracked {
            Some(paths) => {
                for (index, path) in paths.iter().enumerate() {
                    // What the index names may lie behind a link by now: nothing is read or written through one.
                    let (Some(from), Some(to)) = (inside(&repository, path), inside(&tree.root, path)) else {
                        continue;
                    };
                    // A file that has become a directory: its own files are listed as well.
                    let spelled_out = paths.get(index + 1).is_some_and(|next| next.starts_with(path));
                    if !(spelled_out && from.is_dir() && !from.is_symlink()) {
                        copy_entry(&from, &to)?;
                    }
                }
                tree.clone_history(&repository)?;
            }
            None => copy_tree(&repository, &tree.root, |name| SCRATCH_DIRECTORIES.iter().any(|s| name == *s))?,
        }
        let empty = fs::read_dir(&tree.root)?.filter_map(Result::ok).all(|entry| entry.file_name() == ".git");
        ensure!(!empty, "{} holds no file: --repo takes the repository's root", repository.display());
        Ok(tree)
    }

    /// Where the copy stands.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The name of the repository's directory.
    pub fn name(&self) -> &str {
        self.root.file_name().and_then(OsStr::to_str).unwrap_or("repository")
    }

    /// Another private copy, with `change` over it.
    ///
    /// # Errors
    /// When the change leaves the tree, or the disk refuses.
    pub fn with(&self, change: &Change) -> Result<Tree> {
        let scratch = Scratch::new()?;
        let root = scratch.path().join(self.name());
        copy_tree(&self.root, &root, |_| false)?;
        change.apply(&root)?;
        Ok(Tree { _scratch: scratch, root, head: self.head.clone(), dirty: true })
    }

    /// The content of a file, `None` where there is none (a symbolic link is never followed).
    pub fn read(&self, path: &str) -> Option<Vec<u8>> {
        read_inside(&self.root, path)
    }

    /// All files, repository-relative with `/`, without `.git`; symbolic links included.
    pub fn paths(&self) -> Vec<String> {
        files_below(&self.root)
    }

    /// What `git apply` makes of `patch` on this tree.
    ///
    /// # Errors
    /// When the patch is empty, does not apply, or leaves the tree.
    pub fn patched(&self, patch: &[u8]) -> Result<Change> {
        ensure!(!patch.iter().all(u8::is_ascii_whitespace), "the patch is empty");
        let copy = self.with(&Change::default())?;
        let output = with_input(git(&copy.root).args(["apply", "--whitespace=nowarn", "-"]), patch)?;
        if !output.status.success() {
            bail!(
                "the patch does not apply to this tree: {}\nmake it with `git diff` against the tree that --repo names",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        let change = Change::between(&self.root, &copy.root);
        self.ensure_whole(patch, &copy, &change)?;
        ensure!(!change.files.is_empty(), "the patch changes nothing in this tree");
        Ok(change)
    }

    /// Is all that `patch` does in `change`? What is not seen is not judged.
    fn ensure_whole(&self, patch: &[u8], after: &Tree, change: &Change) -> Result<()> {
        if let Some(path) = unnamed(&self.root, &after.root) {
            bail!("the patch changes {}, whose name is not UTF-8: such a file cannot be judged", path.display());
        }
        let gitlink = |line: &[u8]| {
            let line = line.trim_ascii_end();
            let header = [&b"new file mode "[..], b"deleted file mode ", b"old mode ", b"new mode ", b"index "];
            line.ends_with(b" 160000") && header.iter().any(|h| line.starts_with(h))
        };
        ensure!(
            !patch.split(|b| *b == b'\n').any(gitlink),
            "the patch changes a submodule (mode 160000): what it then holds cannot be judged"
        );
        let listed = with_input(git(&self.root).args(["apply", "--numstat", "-z", "-"]), patch)?;
        ensure!(
            listed.status.success(),
            "the patch cannot be listed: {}",
            String::from_utf8_lossy(&listed.stderr).trim()
        );
        for entry in listed.stdout.split(|b| *b == 0).filter(|e| !e.is_empty()) {
            let name = entry.splitn(3, |b| *b == b'\t').nth(2).unwrap_or(entry);
            let name = String::from_utf8_lossy(name);
            // A file that stays as it is may be named: both trees have it, or neither has anything there.
            let at = |tree: &Tree| tree.root.join(&*name).symlink_metadata().ok().map(|meta| meta.is_dir());
            let same = matches!((at(self), at(after)), (Some(false), Some(false)) | (None, None));
            ensure!(
                change.files.contains_key(&*name) || (same && inside(&self.root, &*name).is_some()),
                "the patch names {name}, but what it does there cannot be seen in a tree of files, and so not be judged"
            );
        }
        Ok(())
    }

    fn clone_history(&mut self, repository: &Path) -> Result<()> {
        let git_dir = self.root.join(".git");
        // A clone, not a copy: hooks, credentials and remotes of the user's configuration stay behind.
        let cloned = run(git(repository)
            .args(["clone", "--quiet", "--bare", "--no-hardlinks", "--local"])
            .arg(repository)
            .arg(&git_dir))?;
        if !cloned.status.success() {
            // Nothing that later stages need: a project that asks git for its version will say so itself.
            let _ = fs::remove_dir_all(&git_dir);
            return Ok(());
        }
        for (key, value) in
            [("core.bare", "false"), ("user.name", "test-repair"), ("user.email", "test-repair@localhost")]
        {
            run(git(&self.root).args(["config", key, value]))?;
        }
        run(git(&self.root).args(["remote", "remove", "origin"]))?;
        let head = run(git(repository).args(["rev-parse", "--verify", "--quiet", "HEAD"]))?;
        if head.status.success() {
            let head = String::from_utf8_lossy(&head.stdout).trim().to_owned();
            run(git(&self.root).args(["reset", "--quiet", "--mixed", &head]))?;
            let status = run(git(&self.root).args(["status", "--porcelain"]))?;
            self.dirty = !status.stdout.is_empty();
            self.head = Some(head);
        }
        Ok(())
    }
}

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

/// `root`/`path`, where that is a plain relative path that neither leaves `root`, nor goes through a symbolic link,
/// nor enters `.git`.
pub fn inside(root: &Path, path: impl AsRef<Path>) -> Option<PathBuf> {
    let relative = path.as_ref();
    let mut full = root.to_owned();
    let mut parts = relative.components().peekable();
    parts.peek()?;
    while let Some(part) = parts.next() {
        let Component::Normal(part) = part else { return None };
        if part.eq_ignore_ascii_case(".git") {
            return None;
        }
        full.push(part);
        if parts.peek().is_some() && full.is_symlink() {
            return None;
        }
    }
    Some(full)
}

/// The content of a regular file below `root`, by a path that [`inside`] takes.
pub fn read_inside(root: &Path, path: &str) -> Option<Vec<u8>> {
    let full = inside(root, path)?;
    full.symlink_metadata().ok()?.is_file().then(|| fs::read(full).ok())?
}

/// Copies a tree with its modes and symbolic links; directories that `skip` names (at any depth) are left out.
///
/// # Errors
/// When the disk refuses, or a file is there already.
pub fn copy_tree(from: &Path, to: &Path, skip: impl Fn(&OsStr) -> bool) -> Result<()> {
    let walk = WalkDir::new(from).into_iter().filter_entry(|e| e.depth() == 0 || !skip(e.file_name()));
    for entry in walk {
        let entry = entry?;
        let target = to.join(entry.path().strip_prefix(from)?);
        if entry.file_type().is_dir() {
            fs::create_dir_all(&target)?;
        } else {
            copy_entry(entry.path(), &target)?;
        }
    }
    Ok(())
}

/// Copies a file, a symbolic link or a directory. Nothing that is there is overwritten.
pub(crate) fn copy_entry(from: &Path, to: &Path) -> Result<()> {
    let Ok(meta) = from.symlink_metadata() else {
        return Ok(()); // listed by git, deleted in the working tree
    };
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    if meta.is_symlink() {
        std::os::unix::fs::symlink(fs::read_link(from)?, to)?;
    } else if meta.is_dir() {
        copy_tree(from, to, |name| name == ".git")?; // a submodule's checkout
    } else if meta.is_file() {
        copy_file(from, to, &meta).with_context(|| format!("{} cannot be copied", from.display()))?;
    }
    Ok(())
}

fn copy_file(from: &Path, to: &Path, meta: &fs::Metadata) -> std::io::Result<()> {
    let mut source = File::open(from)?;
    // Made new, it is no link to elsewhere.
    let mut target = File::options().write(true).create_new(true).open(to)?;
    std::io::copy(&mut source, &mut target)?;
    target.set_permissions(meta.permissions())
}

fn files_below(root: &Path) -> Vec<String> {
    walk_below(root).filter_map(|path| Some(path.to_str()?.to_owned())).collect()
}

fn walk_below(root: &Path) -> impl Iterator<Item = PathBuf> {
    let walk = WalkDir::new(root).sort_by_file_name().into_iter().filter_entry(|e| e.file_name() != ".git");
    walk.filter_map(Result::ok)
        .filter(|e| !e.file_type().is_dir())
        .filter_map(move |e| Some(e.path().strip_prefix(root).ok()?.to_owned()))
}

/// A file that differs between two trees, whose name no text can hold.
fn unnamed(before: &Path, after: &Path) -> Option<PathBuf> {
    let mut odd = walk_below(before).chain(walk_below(after)).filter(|path| path.to_str().is_none());
    odd.find(|path| Entry::read(before, path) != Entry::read(after, path))
}

/// Tracked and untracked files that git does not ignore; `None` where `repository` is not the root of a git checkout.
fn listed_by_git(repository: &Path) -> Result<Option<Vec<PathBuf>>> {
    use std::os::unix::ffi::OsStrExt as _;
    if !repository.join(".git").exists() {
        return Ok(None);
    }
    let output = run(git(repository).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]))?;
    if !output.status.success() {
        return Ok(None);
    }
    let mut paths: Vec<PathBuf> = output
        .stdout
        .split(|b| *b == 0)
        .filter(|p| !p.is_empty())
        .map(|p| PathBuf::from(OsStr::from_bytes(p)))
        .filter(|p| p.components().all(|c| matches!(c, Component::Normal(_))))
        .collect();
    paths.sort();
    paths.dedup();
    Ok(Some(paths))
}

/// git, deaf to the configuration, hooks and programs that a repository or this machine might bring.
pub fn git(directory: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .current_dir(directory)
        .args(["-c", "safe.directory=*", "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false"])
        .args(["-c", "core.autocrlf=false", "-c", "protocol.ext.allow=never", "-c", "core.quotePath=false"])
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_OPTIONAL_LOCKS", "0")
        // A directory that is no checkout stays none, wherever it lies.
        .env("GIT_CEILING_DIRECTORIES", directory.parent().unwrap_or(directory))
        .env("LC_ALL", "C")
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .env_remove("GIT_INDEX_FILE")
        .stdin(Stdio::null());
    command
}

fn run(command: &mut Command) -> Result<Output> {
    command.output().context("git is needed and could not be started: install it and try again")
}

fn with_input(command: &mut Command, input: &[u8]) -> Result<Output> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("git is needed and could not be started: install it and try again")?;
    let stdin = child.stdin.take();
    std::thread::scope(|scope| {
        // Beside the reading: a long answer must not wait for the end of a long question.
        scope.spawn(move || {
            if let Some(mut stdin) = stdin {
                // A patch that git gives up on early closes the pipe: its message says why.
                let _ = stdin.write_all(input);
            }
        });
        Ok(child.wait_with_output()?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn repository(files: &[(&str, &str)]) -> TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let target = directory.path().join(path);
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            fs::write(target, content).unwrap();
        }
        directory
    }

    fn commit(directory: &Path) {
        for args in [
            vec!["init", "-q"],
            vec!["add", "-A"],
            vec!["-c", "user.name=n", "-c", "user.email=e@x", "commit", "-qm", "one"],
        ] {
            assert!(run(git(directory).args(args)).unwrap().status.success());
        }
    }

    #[test]
    fn a_snapshot_has_uncommitted_files_and_history_but_nothing_that_git_ignores() {
        let directory = repository(&[("a.py", "1\n"), (".gitignore", "*.log\n"), ("x.log", "secret")]);
        commit(directory.path());
        fs::write(directory.path().join("new.py"), "2\n").unwrap();
        run(git(directory.path()).args(["config", "http.extraheader", "AUTHORIZATION: secret"])).unwrap();
        let tree = Tree::snapshot(directory.path()).unwrap();
        assert_eq!(tree.paths(), [".gitignore", "a.py", "new.py"]);
        assert!(tree.dirty);
        assert!(tree.head.is_some());
        let config = fs::read_to_string(tree.root().join(".git/config")).unwrap();
        assert!(!config.contains("secret") && !config.contains(directory.path().to_str().unwrap()), "{config}");
    }

    #[test]
    fn a_directory_without_git_is_taken_without_its_scratch_directories() {
        let directory = repository(&[("a.py", "1\n"), (".venv/x", ""), ("pkg/__pycache__/y", "")]);
        assert_eq!(Tree::snapshot(directory.path()).unwrap().paths(), ["a.py"]);
    }

    #[test]
    fn the_diff_of_a_change_applies_to_the_tree_as_it_was() {
        let directory = repository(&[("a b.py", "one\ntwo\n"), ("gone.py", "x\n"), ("crlf.txt", "a\r\nb\r\n")]);
        let tree = Tree::snapshot(directory.path()).unwrap();
        let after = tree.with(&Change::default()).unwrap();
        fs::write(after.root().join("a b.py"), "one\nTWO").unwrap();
        fs::write(after.root().join("new.py"), "n\n").unwrap();
        fs::write(after.root().join("crlf.txt"), "a\r\nc\r\n").unwrap();
        fs::remove_file(after.root().join("gone.py")).unwrap();
        let change = Change::between(tree.root(), after.root());
        let diff = change.diff().unwrap();
        assert_eq!(tree.patched(&diff).unwrap(), change);
    }

    #[test]
    fn a_patch_that_does_not_apply_says_why() {
        let directory = repository(&[("a.py", "one\n")]);
        let tree = Tree::snapshot(directory.path()).unwrap();
        let error = tree.patched(b"--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-two\n+three\n").unwrap_err();
        assert!(error.to_string().contains("a.py"), "{error}");
        assert!(tree.patched(b" \n").is_err());
    }

    #[test]
    fn no_path_leaves_its_root() {
        let directory = repository(&[("a.py", "one\n")]);
        std::os::unix::fs::symlink("/etc", directory.path().join("link")).unwrap();
        for path in ["../x", "/etc/passwd", ".git/config", "link/passwd", "", "a/../../x", ".GIT/hooks/x"] {
            assert!(inside(directory.path(), path).is_none(), "{path}");
        }
        assert!(inside(directory.path(), "a.py").is_some());
        let tree = Tree::snapshot(directory.path()).unwrap();
        let escape = b"--- /dev/null\n+++ b/../../evil\n@@ -0,0 +1 @@\n+x\n";
        assert!(tree.patched(escape).is_err());
    }

    #[test]
    fn a_snapshot_never_writes_through_a_link_of_the_repository() {
        let directory = repository(&[("data/x", "tracked\n"), ("a.py", "1\n"), ("b", "file\n")]);
        commit(directory.path());
        let outside = repository(&[("x", "the user's own\n")]);
        fs::remove_dir_all(directory.path().join("data")).unwrap();
        std::os::unix::fs::symlink(outside.path(), directory.path().join("data")).unwrap();
        // And a file that has become a directory, with something that git ignores in it.
        fs::remove_file(directory.path().join("b")).unwrap();
        for (path, content) in [("b/new.py", "2\n"), ("b/x.log", "secret"), (".gitignore", "*.log\n")] {
            fs::create_dir_all(directory.path().join("b")).unwrap();
            fs::write(directory.path().join(path), content).unwrap();
        }
        let tree = Tree::snapshot(directory.path()).unwrap();
        assert_eq!(fs::read_to_string(outside.path().join("x")).unwrap(), "the user's own\n");
        assert_eq!(tree.paths(), [".gitignore", "a.py", "b/new.py", "data"]);
        assert!(tree.root().join("data").is_symlink());
    }

    #[test]
    fn a_copy_overwrites_nothing_that_is_there() {
        let directory = repository(&[("from", "new\n"), ("to", "old\n")]);
        let [from, to, link] = ["from", "to", "link"].map(|name| directory.path().join(name));
        assert!(copy_entry(&from, &to).is_err());
        std::os::unix::fs::symlink(&to, &link).unwrap();
        assert!(copy_entry(&from, &link).is_err());
        assert_eq!(fs::read_to_string(to).unwrap(), "old\n");
    }

    #[test]
    fn a_patch_of_which_a_part_would_not_be_seen_is_not_judged() {
        let directory = repository(&[("a.py", "one\n")]);
        commit(directory.path());
        let tree = Tree::snapshot(directory.path()).unwrap();
        let seen = "diff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-one\n+two\n";
        let link = "diff --git a/sub b/sub\nnew file mode 160000\nindex 0000000..1111111\n--- /dev/null\n+++ b/sub\n\
                    @@ -0,0 +1 @@\n+Subproject commit 1111111111111111111111111111111111111111\n";
        let odd = "diff --git \"a/\\377.py\" \"b/\\377.py\"\nnew file mode 100644\n--- /dev/null\n+++ \"b/\\377.py\"\n\
                   @@ -0,0 +1 @@\n+x\n";
        for (hidden, why) in [(link, "submodule"), (odd, "not UTF-8")] {
            let error = tree.patched(format!("{seen}{hidden}").as_bytes()).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
        assert_eq!(tree.patched(seen.as_bytes()).unwrap().files.len(), 1);
    }

    #[test]
    fn a_hunk_that_changes_nothing_hides_nothing() {
        let directory = repository(&[("a.py", "one\n"), ("b.py", "same\n")]);
        let tree = Tree::snapshot(directory.path()).unwrap();
        let patch =
            b"--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-one\n+two\n--- a/b.py\n+++ b/b.py\n@@ -1 +1 @@\n-same\n+same\n";
        assert_eq!(tree.patched(patch).unwrap().files.keys().collect::<Vec<_>>(), ["a.py"]);
    }

    #[test]
    fn a_patch_is_of_the_tree_even_where_that_lies_in_another_checkout() {
        let outer = repository(&[("inner/a.py", "one\n")]);
        commit(outer.path());
        let inner = outer.path().join("inner");
        assert!(!run(git(&inner).args(["rev-parse", "--show-toplevel"])).unwrap().status.success());
    }

    fn changed(path: &str, before: Option<&str>, after: Option<&str>, executable: bool) -> (String, FileChange) {
        let bytes = |text: &str| text.as_bytes().to_vec();
        let change = FileChange { before: before.map(bytes), after: after.map(bytes), executable, symlink: false };
        (path.to_owned(), change)
    }

    #[test]
    fn a_change_keeps_the_mode_of_a_file_and_leaves_nothing_else() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory =
            repository(&[("a.py", "1\n"), ("run", "1\n"), ("gone/only.py", "x\n"), ("d/x", "1\n"), ("f", "1\n")]);
        let root = directory.path();
        fs::set_permissions(root.join("a.py"), fs::Permissions::from_mode(0o600)).unwrap();
        let files = [
            changed("a.py", Some("1\n"), Some("2\n"), false),
            changed("run", Some("1\n"), Some("2\n"), true),
            changed("new/b.py", None, Some("n\n"), false),
            changed("new/c", None, Some("n\n"), true),
            changed("gone/only.py", Some("x\n"), None, false),
            // A directory where a file was, and a file where a directory was.
            changed("f", Some("1\n"), None, false),
            changed("f/g", None, Some("n\n"), false),
            changed("d/x", Some("1\n"), None, false),
            changed("d", None, Some("n\n"), false),
        ];
        Change { files: files.into() }.apply(root).unwrap();
        let mode = |path: &str| fs::metadata(root.join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!([mode("a.py"), mode("new/b.py"), mode("new/c")], [0o600, 0o644, 0o755]);
        assert_eq!(mode("run") & 0o100, 0o100);
        assert_eq!(files_below(root), ["a.py", "d", "f/g", "new/b.py", "new/c", "run"]);
        assert!(!root.join("gone").exists());
    }

    #[test]
    fn a_change_that_cannot_be_written_as_a_whole_is_not_begun() {
        let directory = repository(&[("a.py", "1\n"), ("taken", "the user's own\n")]);
        for last in [changed("taken", None, Some("n\n"), false), changed("../z", None, Some("n\n"), false)] {
            let files =
                [changed("a.py", Some("1\n"), Some("2\n"), false), changed("b.py", None, Some("n\n"), false), last];
            assert!(Change { files: files.into() }.apply(directory.path()).is_err());
            assert_eq!(files_below(directory.path()), ["a.py", "taken"]);
            assert_eq!(fs::read_to_string(directory.path().join("a.py")).unwrap(), "1\n");
            assert_eq!(fs::read_to_string(directory.path().join("taken")).unwrap(), "the user's own\n");
        }
    }
}
