//! Paths and files that never leave a root.

use std::{
    ffi::OsStr,
    fs::{self, File},
    path::{Component, Path, PathBuf},
};

use anyhow::{Context as _, Result};
use walkdir::WalkDir;

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
    if let Some(parent) = to.parent()
        && !parent.is_dir()
    {
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

pub(super) fn files_below(root: &Path) -> Vec<String> {
    walk_below(root).filter_map(|path| Some(path.to_str()?.to_owned())).collect()
}

pub(super) fn walk_below(root: &Path) -> impl Iterator<Item = PathBuf> {
    let walk = WalkDir::new(root).sort_by_file_name().into_iter().filter_entry(|e| e.file_name() != ".git");
    walk.filter_map(Result::ok)
        .filter(|e| !e.file_type().is_dir())
        .filter_map(move |e| Some(e.path().strip_prefix(root).ok()?.to_owned()))
}
