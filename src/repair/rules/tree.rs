//! Bounded, path-safe reads and writes below the workspace's root, and a snapshot to undo what a tool did beside its
//! task.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Component, Path, PathBuf},
};

use anyhow::{Context, bail};
use walkdir::WalkDir;

use super::text::Text;

/// Larger files are left alone.
const LARGEST_FILE: u64 = 2 << 20;
/// More files than that in a tree are not looked at.
const MOST_FILES: usize = 50_000;
/// A snapshot keeps that much content.
const LARGEST_SNAPSHOT: u64 = 512 << 20;
/// Folders that are no part of the project.
const FOREIGN: &[&str] =
    &[".git", ".hg", ".venv", "venv", ".tox", ".nox", "node_modules", "__pycache__", ".eggs", ".mypy_cache"];

/// A tree of files that never leaves its root.
pub(super) struct Tree<'a> {
    root: &'a Path,
}

impl<'a> Tree<'a> {
    pub(super) fn new(root: &'a Path) -> Tree<'a> {
        Tree { root }
    }

    /// The absolute path of a regular file below the root that is reached through no symbolic link.
    fn locate(&self, path: &str) -> Option<PathBuf> {
        let path = safe(path)?;
        let mut absolute = self.root.to_owned();
        for part in path.split('/') {
            absolute.push(part);
            if fs::symlink_metadata(&absolute).ok()?.is_symlink() {
                return None;
            }
        }
        Some(absolute)
    }

    /// Is it a regular file that may be read?
    pub(super) fn is_file(&self, path: &str) -> bool {
        self.locate(path).is_some_and(|found| found.is_file())
    }

    /// Is there anything at a path?
    pub(super) fn has(&self, path: &str) -> bool {
        self.root.join(path).symlink_metadata().is_ok()
    }

    /// Is it a folder?
    pub(super) fn is_dir(&self, path: &str) -> bool {
        path.is_empty() || self.locate(path).is_some_and(|found| found.is_dir())
    }

    /// A regular file's text, where it is small enough and UTF-8.
    pub(super) fn read(&self, path: &str) -> Option<Text> {
        let found = self.locate(path)?;
        let metadata = fs::metadata(&found).ok()?;
        if !metadata.is_file() || metadata.len() > LARGEST_FILE {
            return None;
        }
        Text::decode(fs::read(found).ok()?)
    }

    /// Overwrites a file that is there.
    pub(super) fn write(&self, path: &str, text: &Text) -> anyhow::Result<()> {
        let Some(found) = self.locate(path).filter(|found| found.is_file()) else {
            bail!("{path} is no file that may be written");
        };
        fs::write(&found, text.encode()).with_context(|| format!("could not write {path}"))
    }

    /// Names in a folder, sorted; empty where there is none.
    pub(super) fn list(&self, folder: &str) -> Vec<String> {
        let absolute = if folder.is_empty() { Some(self.root.to_owned()) } else { self.locate(folder) };
        let Some(entries) = absolute.and_then(|found| fs::read_dir(found).ok()) else { return Vec::new() };
        let mut names: Vec<String> =
            entries.take(MOST_FILES).filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    /// Repository-relative paths of the project's regular files, sorted.
    pub(super) fn files(&self) -> Vec<String> {
        self.walk().map(|(path, _)| path).collect()
    }

    /// The project's Python files, sorted.
    pub(super) fn python_files(&self) -> Vec<String> {
        self.walk().map(|(path, _)| path).filter(|path| path.ends_with(".py")).collect()
    }

    fn walk(&self) -> impl Iterator<Item = (String, PathBuf)> + use<'a> {
        let root = self.root;
        WalkDir::new(root)
            .follow_links(false)
            .sort_by_file_name()
            .into_iter()
            .filter_entry(|entry| entry.depth() == 0 || !entry.file_name().to_str().is_some_and(is_foreign))
            .filter_map(Result::ok)
            .filter(|entry| entry.file_type().is_file())
            .take(MOST_FILES)
            .filter_map(move |entry| {
                let path = entry.path().strip_prefix(root).ok()?.to_str()?.to_owned();
                Some((path, entry.path().to_owned()))
            })
    }

    /// The content of all files now.
    pub(super) fn snapshot(&self) -> anyhow::Result<Snapshot> {
        let mut files = BTreeMap::new();
        let mut total = 0;
        for (path, absolute) in self.walk() {
            let size = fs::metadata(&absolute).with_context(|| format!("could not read {path}"))?.len();
            total += size;
            if total > LARGEST_SNAPSHOT || files.len() == MOST_FILES - 1 {
                bail!("the tree is too large to be watched while a tool changes it");
            }
            files.insert(path.clone(), fs::read(&absolute).with_context(|| format!("could not read {path}"))?);
        }
        Ok(Snapshot { files, links: self.links() })
    }

    /// Puts back everything that differs from the snapshot but `allowed`, and says which of `allowed` differ.
    pub(super) fn restore(&self, snapshot: &Snapshot, allowed: &[String]) -> anyhow::Result<Vec<String>> {
        let mut changed = Vec::new();
        for link in self.links().difference(&snapshot.links) {
            fs::remove_file(link).context("could not remove a symbolic link")?;
        }
        for path in self.files() {
            if !snapshot.files.contains_key(&path) {
                fs::remove_file(self.root.join(&path)).with_context(|| format!("could not remove {path}"))?;
            }
        }
        for (path, before) in &snapshot.files {
            let absolute = self.root.join(path);
            let kind = fs::symlink_metadata(&absolute).map(|metadata| metadata.file_type());
            let regular = kind.as_ref().is_ok_and(|kind| kind.is_file());
            if regular && fs::read(&absolute).is_ok_and(|now| now == *before) {
                continue;
            }
            if regular && allowed.contains(path) {
                changed.push(path.clone());
                continue;
            }
            if kind.is_ok_and(|kind| kind.is_symlink()) {
                fs::remove_file(&absolute).with_context(|| format!("could not remove {path}"))?;
            }
            if self.locate_parent(path).is_none() {
                bail!("{path} could not be put back");
            }
            fs::write(&absolute, before).with_context(|| format!("could not put back {path}"))?;
        }
        Ok(changed)
    }

    /// Which of `files` differ from the snapshot.
    pub(super) fn differing(&self, snapshot: &Snapshot, files: &[String]) -> Vec<String> {
        let differs = |file: &&String| {
            let now = self.locate(file).and_then(|found| fs::read(found).ok());
            now.is_some() && snapshot.files.get(*file).is_some_and(|before| now.as_ref() != Some(before))
        };
        files.iter().filter(differs).cloned().collect()
    }

    fn links(&self) -> BTreeSet<PathBuf> {
        let entries = WalkDir::new(self.root).follow_links(false).into_iter();
        let own =
            entries.filter_entry(|entry| entry.depth() == 0 || !entry.file_name().to_str().is_some_and(is_foreign));
        let links = own.filter_map(Result::ok).filter(|entry| entry.path_is_symlink() && entry.depth() > 0);
        links.map(walkdir::DirEntry::into_path).collect()
    }

    fn locate_parent(&self, path: &str) -> Option<PathBuf> {
        match path.rsplit_once('/') {
            Some((folder, _)) => self.locate(folder).filter(|found| found.is_dir()),
            None => Some(self.root.to_owned()),
        }
    }
}

/// What a tree held at a moment.
pub(super) struct Snapshot {
    files: BTreeMap<String, Vec<u8>>,
    links: BTreeSet<PathBuf>,
}

fn is_foreign(name: &str) -> bool {
    FOREIGN.contains(&name) || name.ends_with(".egg-info")
}

/// A repository-relative path in its plain form, or `None` where it could leave the root or hide something.
pub(super) fn safe(path: &str) -> Option<&str> {
    let path = path.strip_prefix("./").unwrap_or(path);
    let plain = !path.is_empty()
        && path.len() < 1024
        && !path.contains(['\\', '\0'])
        && !path.contains("//")
        && !path.ends_with('/')
        && !path.chars().any(char::is_control)
        && Path::new(path).components().all(|part| matches!(part, Component::Normal(name) if name != ".git"))
        && !path.split('/').any(|part| part == ".");
    plain.then_some(path)
}

/// The folder of a path, empty for the root.
pub(super) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// A name below a folder, which may be the root.
pub(super) fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// The job's working directory as a repository-relative folder, empty for the root.
pub(super) fn folder<'p>(root: &Path, workdir: &'p str) -> &'p str {
    let relative = match root.to_str().and_then(|root| workdir.strip_prefix(root)) {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => rest.trim_start_matches('/'),
        _ => workdir,
    };
    safe(relative.trim_end_matches('/')).unwrap_or("")
}

/// A repository-relative path as it is written in the working directory.
pub(super) fn from_folder(folder: &str, path: &str) -> String {
    if folder.is_empty() {
        return path.to_owned();
    }
    if let Some(rest) = path.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/')) {
        return rest.to_owned();
    }
    format!("{}{path}", "../".repeat(folder.split('/').count()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_leave_the_tree_are_refused() {
        for path in ["../a", "/etc/passwd", "a/../b", "a//b", "", "a\0b", ".git/config", "a/.git/b", "a\nb", "a/./b"] {
            assert_eq!(safe(path), None, "{path}");
        }
        assert_eq!(safe("./a b/c.py"), Some("a b/c.py"));
    }

    #[test]
    fn a_symbolic_link_is_neither_read_nor_written() {
        let tree = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret.py"), "x").unwrap();
        std::os::unix::fs::symlink(outside.path(), tree.path().join("link")).unwrap();
        std::os::unix::fs::symlink(outside.path().join("secret.py"), tree.path().join("file.py")).unwrap();
        let files = Tree::new(tree.path());
        assert!(files.read("link/secret.py").is_none());
        assert!(files.read("file.py").is_none());
        assert!(files.write("file.py", &Text::decode(b"y".to_vec()).unwrap()).is_err());
        assert_eq!(fs::read(outside.path().join("secret.py")).unwrap(), b"x");
    }

    #[test]
    fn what_a_tool_did_beside_its_task_is_undone() {
        let root = tempfile::tempdir().unwrap();
        for name in ["a.py", "b.py", "c.py"] {
            fs::write(root.path().join(name), "1").unwrap();
        }
        let tree = Tree::new(root.path());
        let before = tree.snapshot().unwrap();
        fs::write(root.path().join("a.py"), "2").unwrap();
        fs::write(root.path().join("b.py"), "2").unwrap();
        fs::remove_file(root.path().join("c.py")).unwrap();
        fs::write(root.path().join("new.py"), "2").unwrap();
        std::os::unix::fs::symlink("/etc", root.path().join("link")).unwrap();
        assert_eq!(tree.restore(&before, &["a.py".to_owned()]).unwrap(), ["a.py"]);
        assert_eq!(tree.files(), ["a.py", "b.py", "c.py"]);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 3);
        assert_eq!(fs::read(root.path().join("b.py")).unwrap(), b"1");
    }

    #[test]
    fn paths_are_written_as_the_working_directory_sees_them() {
        assert_eq!(from_folder("", "a/b.py"), "a/b.py");
        assert_eq!(from_folder("a", "a/b.py"), "b.py");
        assert_eq!(from_folder("a/c", "a/b.py"), "../../a/b.py");
        assert_eq!(folder(Path::new("/w"), "/w/sub/"), "sub");
        assert_eq!(folder(Path::new("/w"), "."), "");
    }
}
