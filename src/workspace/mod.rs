//! workspace: trees of files, and changes between them. Path-safe: nothing here leaves its root.
//!
//! A [`Tree`] is a private copy of a repository, a [`Change`] the difference of two trees.

mod change;
mod fetch;
mod files;
mod git;

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::scratch::Scratch;
use change::unnamed;
pub use change::{Change, FileChange, merge_text};
pub use fetch::Checkout;
pub(crate) use files::copy_entry;
use files::files_below;
pub use files::{copy_tree, inside, read_inside};
pub use git::git;
use git::{listed_by_git, run, with_input};

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

    /// Takes a file of `repository` out of the copy, which git does not have: one that this program wrote there.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn leave_out(&self, repository: &Path, file: &Path) -> Result<()> {
        let (Ok(repository), Some(Ok(directory))) = (repository.canonicalize(), file.parent().map(Path::canonicalize))
        else {
            return Ok(());
        };
        let Ok(below) = directory.strip_prefix(&repository) else { return Ok(()) };
        let path = below.join(file.file_name().unwrap_or_default());
        let Some(copy) = inside(&self.root, &path).filter(|copy| copy.is_file()) else { return Ok(()) };
        let known = run(git(&self.root).args(["ls-files", "--error-unmatch", "--"]).arg(&path))?;
        if !known.status.success() {
            fs::remove_file(&copy)?;
            // Only where nothing else is in it.
            let _ = copy.parent().filter(|parent| *parent != self.root).map(fs::remove_dir);
        }
        Ok(())
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
        // A clone, not a copy: hooks, credentials and remotes of the user's configuration stay behind. Objects that lie
        // alone become one pack: they are copied with every tree.
        let ways: &[&str] = if loose_objects(repository) { &["--no-local", "--local"] } else { &["--local"] };
        let mut cloned = false;
        for way in ways {
            let options = ["clone", "--quiet", "--bare", "--template=", "--no-hardlinks", way];
            cloned = run(git(repository).args(options).arg(repository).arg(&git_dir))?.status.success();
            if cloned {
                break;
            }
            let _ = fs::remove_dir_all(&git_dir);
        }
        if !cloned {
            // Nothing that later stages need: a project that asks git for its version will say so itself.
            return Ok(());
        }
        let config = git_dir.join("config");
        let text = without_remotes(&fs::read_to_string(&config)?);
        let own = "[core]\n\tbare = false\n[user]\n\tname = test-repair\n\temail = test-repair@localhost\n";
        fs::write(&config, format!("{text}{own}"))?;
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

/// Does a repository keep many of its objects in files of their own?
fn loose_objects(repository: &Path) -> bool {
    // Where `.git` is a file, they are elsewhere.
    let Ok(folders) = fs::read_dir(repository.join(".git/objects")) else { return false };
    folders.filter_map(Result::ok).filter(|folder| folder.file_name().len() == 2).count() > 16
}

/// The configuration that `git clone` wrote, without the sections of remotes.
fn without_remotes(config: &str) -> String {
    let mut kept = String::new();
    let mut remote = false;
    for line in config.split_inclusive('\n') {
        if line.starts_with('[') {
            remote = line.starts_with("[remote ");
        }
        if !remote {
            kept.push_str(line);
        }
    }
    kept
}

#[cfg(test)]
mod tests;
