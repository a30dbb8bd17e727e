//! edit: edits of a tree that a model proposes, made into a change, or into words that help it to do better.
//!
//! `find` looks for what is to be replaced, `check` judges the result before anything runs. Nothing is written here.

mod check;
mod find;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::answer::Edit;
use crate::workspace::{Change, FileChange, Tree, inside};
pub(super) use check::LARGEST_FILE;
pub use check::problems;

/// Folders and files that tools leave behind: no repair adds one.
const JUNK: &[&str] = &[
    "__pycache__",
    ".coverage",
    ".eggs",
    ".hg",
    ".hypothesis",
    ".mypy_cache",
    ".nox",
    ".pytest_cache",
    ".ruff_cache",
    ".tox",
    ".venv",
    "build",
    "dist",
    "htmlcov",
    "node_modules",
    "venv",
];

/// Where the halves of a block part from each other, once more: a text of its own may have this line (`answer`).
const DIVIDES: &str = "=======";

/// Makes the edits on `tree` with `on` already over it: the whole change relative to `tree`.
///
/// `restore` puts what redaction took out back into the model's texts.
///
/// # Errors
/// Everything that is wrong with the edits, each in a sentence for the model.
pub fn apply(
    edits: &[Edit],
    tree: &Tree,
    on: &Change,
    protected: &[String],
    restore: &dyn Fn(&str) -> String,
) -> Result<Change, Vec<String>> {
    make(edits, tree, on, protected, restore, true)
}

/// As [`apply`], where both texts of an edit are known to be what was meant.
pub(super) fn apply_as_given(
    edits: &[Edit],
    tree: &Tree,
    on: &Change,
    protected: &[String],
    restore: &dyn Fn(&str) -> String,
) -> Result<Change, Vec<String>> {
    make(edits, tree, on, protected, restore, false)
}

fn make(
    edits: &[Edit],
    tree: &Tree,
    on: &Change,
    protected: &[String],
    restore: &dyn Fn(&str) -> String,
    splits: bool,
) -> Result<Change, Vec<String>> {
    let mut draft = Draft { tree, on, now: BTreeMap::new(), splits };
    let mut wrong: Vec<String> = edits.iter().filter_map(|edit| draft.edit(edit, restore).err()).collect();
    let change = draft.change();
    if wrong.is_empty() && change == *on {
        wrong.push("The edits change nothing.".to_owned());
    }
    wrong.extend(problems(tree, on, &change, protected));
    if wrong.is_empty() { Ok(change) } else { Err(wrong) }
}

/// Does `tree` with `on` over it already have what this edit makes?
pub(super) fn is_made(edit: &Edit, tree: &Tree, on: &Change, restore: &dyn Fn(&str) -> String) -> bool {
    let now = before(tree, on, edit.path());
    match (edit, now.map(String::from_utf8)) {
        (Edit::Delete { .. }, now) => now.is_none() && on.files.contains_key(edit.path()),
        (Edit::Create { content, .. }, Some(Ok(text))) => text == restore(content),
        (Edit::Replace { search, replace, .. }, Some(Ok(text))) => {
            let (search, replace) = (restore(search), restore(replace));
            // What is searched for may be a part of what replaces it.
            find::count(&text, &replace) == 1 && find::count(&text, &search) == find::count(&replace, &search)
        }
        _ => false,
    }
}

/// Is it something that tools leave behind, in a place that the tree does not have?
fn is_junk(tree: &Tree, path: &str) -> bool {
    let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
    ends.map(|end| &path[..end]).any(|above| {
        let part = above.rsplit('/').next().unwrap_or(above);
        let junk = JUNK.contains(&part)
            || [".pyc", ".pyo", ".egg-info", ".orig", ".rej"].iter().any(|end| part.ends_with(end));
        junk && tree.root().join(above).symlink_metadata().is_err()
    })
}

/// The files as they become.
struct Draft<'a> {
    tree: &'a Tree,
    on: &'a Change,
    now: BTreeMap<String, Option<Vec<u8>>>,
    splits: bool,
}

impl Draft<'_> {
    fn read(&self, path: &str) -> Option<Vec<u8>> {
        self.now.get(path).cloned().unwrap_or_else(|| before(self.tree, self.on, path))
    }

    fn edit(&mut self, edit: &Edit, restore: &dyn Fn(&str) -> String) -> Result<(), String> {
        let path = self.place(edit.path())?;
        let after = match edit {
            Edit::Replace { search, replace, .. } => {
                Some(self.replaced(&path, &restore(search), &restore(replace))?.into_bytes())
            }
            Edit::Create { content, .. } => Some(self.created(&path, restore(content))?.into_bytes()),
            Edit::Delete { .. } => match self.read(&path) {
                Some(_) => None,
                None => return Err(self.missing(&path)),
            },
        };
        self.now.insert(path, after);
        Ok(())
    }

    /// The path as the tree spells it.
    fn place(&self, path: &str) -> Result<String, String> {
        let shown: String = path.chars().filter(|c| !c.is_control()).take(200).collect();
        let outside = || {
            format!(
                "`{shown}` is no path that may be edited: name a file by its path from the repository's root, not in .git and through no symbolic link."
            )
        };
        if path.len() > 300 || path.starts_with('/') || path.contains(|c: char| c.is_control()) {
            return Err(outside());
        }
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        let mut plain = parts.join("/");
        // As diffs write it.
        if let Some(rest) = plain.strip_prefix("a/").or(plain.strip_prefix("b/"))
            && self.read(&plain).is_none()
            && self.read(rest).is_some()
        {
            plain = rest.to_owned();
        }
        let full = inside(self.tree.root(), &plain).ok_or_else(outside)?;
        if full.is_symlink() {
            return Err(outside());
        }
        let within = format!("{plain}/");
        let holds = |path: &String| path.starts_with(&within);
        let drafted = self.now.iter().any(|(path, content)| holds(path) && content.is_some())
            || self.on.files.iter().any(|(path, change)| holds(path) && change.after.is_some());
        if full.is_dir() || drafted {
            return Err(format!("`{shown}` is a directory: name a file."));
        }
        let mut above = plain.match_indices('/').map(|(at, _)| &plain[..at]);
        if let Some(file) = above.find(|above| self.read(above).is_some()) {
            return Err(format!("`{shown}` cannot be: `{file}` is a file."));
        }
        Ok(plain)
    }

    fn text(&self, path: &str) -> Result<Option<String>, String> {
        let Some(bytes) = self.read(path) else { return Ok(None) };
        if bytes.len() > LARGEST_FILE {
            return Err(format!("{path} is too large to be edited."));
        }
        let text = String::from_utf8(bytes).map_err(|_| format!("{path} is no UTF-8 text: it cannot be edited."))?;
        Ok(Some(text))
    }

    fn replaced(&self, path: &str, search: &str, replace: &str) -> Result<String, String> {
        let Some(text) = self.text(path)? else { return Err(self.missing(path)) };
        self.later_split(&text, search, replace).map_or_else(|| find::replaced(path, &text, search, replace), Ok)
    }

    fn created(&self, path: &str, content: String) -> Result<String, String> {
        match self.text(path)? {
            Some(old) if !old.is_empty() => self
                .later_split(&old, "", &content)
                .ok_or_else(|| format!("{path} exists already: give the lines of it that are to be replaced.")),
            _ => Ok(content),
        }
    }

    /// The edit with its halves parted at a later line of seven `=`, where the file has just what then stands before it:
    /// the longest that it has is meant.
    fn later_split(&self, text: &str, search: &str, replace: &str) -> Option<String> {
        let lines: Vec<&str> = replace.split_inclusive('\n').collect();
        let at: Vec<usize> = (0..lines.len()).filter(|n| lines[*n].trim_end() == DIVIDES).take(40).collect();
        at.into_iter().rev().filter(|_| self.splits).find_map(|at| {
            let longer = format!("{search}{DIVIDES}\n{}", lines[..at].concat());
            find::replaced_plainly(text, &longer, &lines[at + 1..].concat())
        })
    }

    fn missing(&self, path: &str) -> String {
        let name = path.rsplit('/').next().unwrap_or(path);
        let same = self.tree.paths().into_iter().filter(|p| p.rsplit('/').next() == Some(name));
        let same: Vec<String> = same.take(5).collect();
        match same.is_empty() {
            true => format!("There is no file {path}."),
            false => format!("There is no file {path}: is {} meant?", same.join(" or ")),
        }
    }

    /// All that differs from the tree.
    fn change(&self) -> Change {
        let mut change = self.on.clone();
        for (path, after) in &self.now {
            if *after == before(self.tree, self.on, path) {
                continue;
            }
            let old = self.tree.read(path);
            if old == *after {
                change.files.remove(path);
                continue;
            }
            let executable = after.is_some() && executable(self.tree, self.on, path);
            let file = FileChange { before: old, after: after.clone(), executable, symlink: false };
            change.files.insert(path.clone(), file);
        }
        change
    }
}

/// A file's content in `tree` with `change` over it.
pub(super) fn before(tree: &Tree, change: &Change, path: &str) -> Option<Vec<u8>> {
    match change.files.get(path) {
        Some(file) => file.after.clone(),
        None => tree.read(path),
    }
}

/// May it be executed there?
pub(super) fn executable(tree: &Tree, on: &Change, path: &str) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    if let Some(file) = on.files.get(path).filter(|file| file.after.is_some()) {
        return file.executable;
    }
    let meta = inside(tree.root(), path).and_then(|full| full.symlink_metadata().ok());
    meta.is_some_and(|meta| meta.is_file() && meta.permissions().mode() & 0o100 != 0)
}
