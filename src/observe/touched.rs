//! What a run did to the tree that later checks read.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    hash::{DefaultHasher, Hasher as _},
    io::Read as _,
    path::Path,
};

use walkdir::WalkDir;

/// A file's content, boiled down. Not cryptographic: what it is compared with was made by us.
type Digests = BTreeMap<String, u64>;

/// The files of a tree, `.git` and caches aside.
pub fn digests(root: &Path) -> Digests {
    let skipped = |name: &std::ffi::OsStr| {
        name == ".git" || name == "__pycache__" || name.to_str().is_some_and(|n| n.ends_with("_cache"))
    };
    let walk = WalkDir::new(root).into_iter().filter_entry(|e| !skipped(e.file_name()));
    let files = walk.filter_map(Result::ok).filter(|e| !e.file_type().is_dir());
    files.filter_map(|e| Some((e.path().strip_prefix(root).ok()?.to_str()?.to_owned(), digest(e.path())))).collect()
}

fn digest(path: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    let Ok(meta) = path.symlink_metadata() else { return 0 };
    if meta.is_symlink() {
        hasher.write(fs::read_link(path).unwrap_or_default().as_os_str().as_encoded_bytes());
        return hasher.finish();
    }
    if !meta.is_file() {
        return 1; // a pipe or a device: never opened
    }
    let Ok(mut file) = File::open(path) else { return 2 };
    let mut buffer = vec![0; 1 << 16];
    while let Ok(read @ 1..) = file.read(&mut buffer) {
        hasher.write(&buffer[..read]);
    }
    hasher.finish()
}

/// Files that were changed or removed, and new ones that a tool would load. What a command that `installs` adds to a
/// virtual environment is its work.
pub fn touched(before: &Digests, after: &Digests, installs: bool) -> BTreeSet<String> {
    let changed = before.iter().filter(|(path, digest)| after.get(*path) != Some(digest)).map(|(path, _)| path);
    let installed = |path: &str| installs && of_environment(path, after);
    let new = after.keys().filter(|path| !before.contains_key(*path) && is_loaded(path) && !installed(path));
    changed.chain(new).cloned().collect()
}

/// Is it in a directory with an interpreter of its own?
fn of_environment(path: &str, tree: &Digests) -> bool {
    let mut above = path.match_indices('/').map(|(at, _)| &path[..at]);
    above.any(|dir| ["pyvenv.cfg", "bin/python"].iter().all(|file| tree.contains_key(&format!("{dir}/{file}"))))
}

fn is_loaded(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    const CONFIGURATION: &[&str] = &[
        "Makefile",
        "pytest.ini",
        ".pytest.ini",
        "tox.ini",
        "setup.cfg",
        "pyproject.toml",
        "mypy.ini",
        ".mypy.ini",
        "ruff.toml",
        ".ruff.toml",
        ".flake8",
        ".coveragerc",
        ".bandit",
        ".isort.cfg",
        ".gitignore",
    ];
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    matches!(extension, "py" | "pth" | "pyi" | "so") || CONFIGURATION.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_run_changed_removed_or_left_to_be_loaded_is_known() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| fs::write(root.path().join(path), text).unwrap();
        write("a.py", "1");
        write("b.py", "1");
        write("c.txt", "1");
        let before = digests(root.path());
        write("a.py", "2");
        fs::remove_file(root.path().join("b.py")).unwrap();
        write("ruff.toml", "");
        write("coverage.xml", "");
        let touched = touched(&before, &digests(root.path()), false);
        assert_eq!(touched, BTreeSet::from(["a.py", "b.py", "ruff.toml"].map(str::to_owned)));
    }

    #[test]
    fn what_an_install_adds_to_an_environment_is_its_work_and_all_else_is_seen() {
        let tree = |paths: &[&str]| -> Digests { paths.iter().map(|path| ((*path).to_owned(), 0)).collect() };
        let before = tree(&["src/a.py"]);
        let venv = [".venv/pyvenv.cfg", ".venv/bin/python", ".venv/lib/python3.12/site-packages/x.py"];
        let after = tree(&[&venv[..], &["src/a.py", "src/sitecustomize.py", "no/pyvenv.cfg", "no/b.py"]].concat());
        let seen = |installs| touched(&before, &after, installs);
        let own = ["no/b.py", "src/sitecustomize.py"].map(str::to_owned);
        assert_eq!(seen(true), BTreeSet::from(own));
        assert!(seen(false).contains(venv[2]), "{:?}", seen(false));
    }
}
