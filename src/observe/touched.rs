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

/// Files that were changed or removed, and new ones that a tool would load. What a command that `installs` adds is its
/// work (environments, extensions, `build`, a version's module), but for what is loaded without being asked for.
pub fn touched(before: &Digests, after: &Digests, installs: bool) -> BTreeSet<String> {
    let changed = before.iter().filter(|(path, digest)| after.get(*path) != Some(digest)).map(|(path, _)| path);
    let own = |path: &str| {
        installs && (!is_loaded_unasked(path) || path.starts_with("build/") || in_environment(path, after))
    };
    let new = after.keys().filter(|path| !before.contains_key(*path) && is_loaded(path) && !own(path));
    changed.chain(new).cloned().collect()
}

/// Is it in a directory with an interpreter of its own?
fn in_environment(path: &str, tree: &Digests) -> bool {
    let mut above = path.match_indices('/').map(|(at, _)| &path[..at]);
    above.any(|dir| ["pyvenv.cfg", "bin/python"].iter().all(|file| tree.contains_key(&format!("{dir}/{file}"))))
}

/// Configuration, tests and their hooks, what Python itself looks for, and what stands where a tool's own module may be
/// looked for.
fn is_loaded_unasked(path: &str) -> bool {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let stem = name.split('.').next().unwrap_or(name);
    is_configuration(name)
        || name.ends_with(".pth")
        || matches!(stem, "conftest" | "sitecustomize" | "usercustomize")
        || stem.starts_with("test")
        || stem.ends_with("_test")
        || matches!(folder, "" | "src" | "lib" | "tests" | "test")
}

fn is_loaded(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    matches!(extension, "py" | "pth" | "pyi" | "so") || is_configuration(name)
}

fn is_configuration(name: &str) -> bool {
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
    CONFIGURATION.contains(&name)
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
    fn what_an_install_adds_is_its_work_but_for_what_is_loaded_unasked() {
        let tree = |paths: &[&str]| -> Digests { paths.iter().map(|path| ((*path).to_owned(), 0)).collect() };
        let before = tree(&["src/p/a.py", "src/p/b.py"]);
        let work = [
            ".venv/pyvenv.cfg",
            ".venv/bin/python",
            ".venv/lib/python3.12/site-packages/conftest.py",
            "build/lib/p/test_a.py",
            "src/p/_speed.so",
            "src/p/_version.py",
        ];
        let seen =
            ["a/conftest.py", "no/pyvenv.cfg", "pytest.py", "src/p/tests/test_b.py", "src/sitecustomize.py", "tox.ini"];
        let mut after = tree(&[&work[..], &seen, &["src/p/b.py"]].concat());
        after.insert("src/p/b.py".to_owned(), 1);
        let mut expected: BTreeSet<String> = seen.iter().map(|path| (*path).to_owned()).collect();
        expected.remove("no/pyvenv.cfg");
        expected.extend(["src/p/a.py", "src/p/b.py"].map(str::to_owned));
        assert_eq!(touched(&before, &after, true), expected);
        assert!(touched(&before, &after, false).contains("src/p/_speed.so"));
    }
}
