//! The tree of a container, as it lies here: what is sent, and what comes back. A file that stays the same is not touched,
//! for the engine asks again only for what looks new.

use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
};

use anyhow::{Context as _, Result};
use walkdir::WalkDir;

use crate::workspace::copy_entry;

/// Makes `to` what `from` is, `__pycache__` left out.
///
/// # Errors
/// When the disk refuses.
pub(super) fn sync(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("{} cannot be made", to.display()))?;
    let walk = |root: &Path| {
        let skipped = |entry: &walkdir::DirEntry| entry.depth() > 0 && entry.file_name() == "__pycache__";
        WalkDir::new(root).min_depth(1).into_iter().filter_entry(move |entry| !skipped(entry))
    };
    let mut old = walk(to);
    while let Some(entry) = old.next() {
        let entry = entry?;
        let source = from.join(entry.path().strip_prefix(to)?);
        let same_kind = source.symlink_metadata().is_ok_and(|meta| meta.file_type() == entry.file_type());
        if !same_kind {
            if entry.file_type().is_dir() {
                old.skip_current_dir();
            }
            clear(entry.path())?;
        }
    }
    for entry in walk(from) {
        let entry = entry?;
        let target = to.join(entry.path().strip_prefix(from)?);
        if entry.file_type().is_dir() {
            fs::create_dir_all(&target)?;
        } else if !is_same(entry.path(), &target) {
            clear(&target)?;
            copy_entry(entry.path(), &target)?;
        }
    }
    Ok(())
}

fn is_same(one: &Path, other: &Path) -> bool {
    let (Ok(a), Ok(b)) = (one.symlink_metadata(), other.symlink_metadata()) else { return false };
    if a.is_symlink() {
        return fs::read_link(one).ok() == fs::read_link(other).ok();
    }
    a.len() == b.len()
        && a.permissions() == b.permissions()
        && a.is_file()
        && fs::read(one).ok() == fs::read(other).ok()
}

/// Removes whatever is there.
///
/// # Errors
/// When the disk refuses.
pub(super) fn clear(path: &Path) -> Result<()> {
    match path.symlink_metadata() {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path)?,
        Ok(_) => fs::remove_file(path)?,
        Err(_) => {}
    }
    Ok(())
}

/// Writes a file in place of whatever is there, below `root`.
///
/// # Errors
/// When the disk refuses.
pub(super) fn write(root: &Path, path: &Path, content: &[u8], executable: bool) -> Result<()> {
    make_room(root, path)?;
    let mut file = File::options().write(true).create_new(true).open(path)?;
    file.write_all(content)?;
    file.set_permissions(fs::Permissions::from_mode(if executable { 0o755 } else { 0o644 }))?;
    Ok(())
}

/// Makes a link in place of whatever is there, below `root`.
///
/// # Errors
/// When the disk refuses.
pub(super) fn link(root: &Path, path: &Path, to: &Path) -> Result<()> {
    make_room(root, path)?;
    Ok(symlink(to, path)?)
}

fn make_room(root: &Path, path: &Path) -> Result<()> {
    clear(path)?;
    let above = path.ancestors().skip(1).take_while(|folder| *folder != root);
    for file in above.filter(|folder| folder.symlink_metadata().is_ok_and(|meta| !meta.is_dir())) {
        fs::remove_file(file)?;
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_the_same_is_not_touched_and_what_is_gone_goes() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (from, to) = (from.path(), to.path());
        fs::create_dir_all(from.join("pkg/__pycache__")).unwrap();
        fs::write(from.join("pkg/a.py"), "a").unwrap();
        fs::write(from.join("pkg/b.py"), "b").unwrap();
        fs::write(from.join("pkg/__pycache__/a.pyc"), "x").unwrap();
        symlink("a.py", from.join("pkg/l")).unwrap();
        sync(from, to).unwrap();
        let time = |name: &str| to.join(name).symlink_metadata().unwrap().modified().unwrap();
        let before = (time("pkg/a.py"), time("pkg/l"));
        assert!(!to.join("pkg/__pycache__").exists());
        fs::write(from.join("pkg/b.py"), "B").unwrap();
        fs::write(to.join("left"), "left").unwrap();
        fs::create_dir(to.join("folder")).unwrap();
        fs::write(from.join("folder"), "now a file").unwrap();
        sync(from, to).unwrap();
        assert_eq!((time("pkg/a.py"), time("pkg/l")), before);
        assert_eq!(fs::read_to_string(to.join("pkg/b.py")).unwrap(), "B");
        assert_eq!(fs::read_to_string(to.join("folder")).unwrap(), "now a file");
        assert!(!to.join("left").exists());
    }

    #[test]
    fn a_file_takes_the_place_of_a_folder_and_a_folder_that_of_a_file() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        write(root, &root.join("a/b"), b"1", false).unwrap();
        write(root, &root.join("a/b/c"), b"2", true).unwrap();
        assert_eq!(fs::read_to_string(root.join("a/b/c")).unwrap(), "2");
        write(root, &root.join("a"), b"3", false).unwrap();
        assert_eq!(fs::read_to_string(root.join("a")).unwrap(), "3");
    }
}
