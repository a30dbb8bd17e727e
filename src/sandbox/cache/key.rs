//! The key of an environment: what was installed, by what, from which manifests.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use percent_encoding::percent_decode_str;
use sha2::{Digest as _, Sha256};
use walkdir::WalkDir;

use crate::{
    sandbox::{Recipe, python::Python},
    workspace::Tree,
};

/// Raised when what a slot holds changes its meaning.
const FORMAT: &str = "2";

/// The key of the environment that `recipe` builds for `tree`: what was installed, by what, from which manifests.
pub(in crate::sandbox) fn key(recipe: &Recipe, tree: &Tree, python: &Python, kind: &str) -> String {
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
pub(in crate::sandbox) fn candidate_key(base: &str, tree: &Tree) -> String {
    let mut hash = Sha256::new();
    hash.update(base);
    hash.update(content_hash(tree));
    format!("{}-candidate", hex(&hash.finalize()))
}

/// Everything that a tree holds, as a hash.
pub(in crate::sandbox) fn content_hash(tree: &Tree) -> String {
    let mut hash = Sha256::new();
    for path in tree.paths() {
        let content = tree.read(&path).unwrap_or_default();
        for text in [path.as_bytes(), &content] {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        }
    }
    hex(&hash.finalize())
}

/// Is the tree itself installed below one of `places`, and not only pointed at? An installer says so of what it took from
/// this machine (PEP 610), unless a tool told it to be silent; then a module of the tree is there. What it took from
/// `home` an installation had put there: hooks' repositories, not the tree.
pub(in crate::sandbox) fn copied(tree: &Tree, places: &[PathBuf], home: &Path) -> bool {
    let size = |path: &Path| path.symlink_metadata().ok().filter(fs::Metadata::is_file).map(|meta| meta.len());
    let mut modules: BTreeMap<(String, u64), Vec<String>> = BTreeMap::new();
    for path in tree.paths().into_iter().filter(|path| path.ends_with(".py")) {
        let name = path.rsplit('/').next().unwrap_or(&path).to_owned();
        // Of empty ones every package has some.
        if let Some(size) = size(&tree.root().join(&path)).filter(|size| *size > 0) {
            modules.entry((name, size)).or_default().push(path);
        }
    }
    let installed = places.iter().flat_map(|place| WalkDir::new(place).into_iter().filter_map(Result::ok));
    installed.filter(|entry| entry.file_type().is_file()).any(|entry| {
        let path = entry.path();
        if entry.file_name() == "direct_url.json" {
            return fs::read(path).is_ok_and(|origin| is_local_copy(&origin, home));
        }
        let known = entry.file_name().to_str().zip(size(path)).and_then(|(n, size)| modules.get(&(n.to_owned(), size)));
        let below = |folder: &str| path.components().any(|part| part.as_os_str() == folder);
        known.is_some_and(|known| {
            // What pip brings along is the project's own only by name.
            below("site-packages")
                && !below("_vendor")
                && fs::read(path).is_ok_and(|text| known.iter().any(|module| tree.read(module).as_ref() == Some(&text)))
        })
    })
}

/// Does a `direct_url.json` name something of this machine, and no editable installation?
fn is_local_copy(origin: &[u8], home: &Path) -> bool {
    let Ok(origin) = serde_json::from_slice::<serde_json::Value>(origin) else { return false };
    let path = origin["url"].as_str().and_then(|url| url.strip_prefix("file:"));
    let local = path.is_some_and(|path| {
        let path = percent_decode_str(path.strip_prefix("//").unwrap_or(path)).decode_utf8_lossy();
        !Path::new(&*path).starts_with(home)
    });
    local && origin["dir_info"]["editable"] != true
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
