//! Requirements that a change adds to a project's manifests.

use std::{collections::BTreeSet, path::Path};

use super::{
    manifests::{self, Listing},
    tree::{self, Tree},
};
use crate::registry::normalise;

/// A requirement that one tree has and the other has not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Added {
    /// The manifest, repository-relative.
    pub file: String,
    /// The distribution's normalised name, `None` where the requirement names none.
    pub name: Option<String>,
    /// As it is written.
    pub requirement: String,
}

/// The requirements that `after` has and `before` has not, by distribution, in the manifests among `changed`.
pub fn added_requirements<'a>(before: &Path, after: &Path, changed: impl Iterator<Item = &'a str>) -> Vec<Added> {
    let mut found = Vec::new();
    let changed: BTreeSet<&str> = changed.collect();
    let folders: BTreeSet<String> = changed.iter().map(|path| tree::parent(path).to_owned()).collect();
    for folder in folders {
        // The lists of a `requirements` folder belong to the project above it.
        let project =
            folder.strip_suffix("/requirements").or((folder == "requirements").then_some("")).unwrap_or(&folder);
        let old = listed(before, project, &changed);
        let known: BTreeSet<String> = old.iter().flat_map(|l| &l.requirements).map(|r| identity(r)).collect();
        for listing in listed(after, project, &changed) {
            for requirement in &listing.requirements {
                let name = manifests::requirement_name(requirement).map(|name| normalise(&name));
                let added = Added { file: listing.file.clone(), name, requirement: requirement.clone() };
                if !known.contains(&identity(requirement)) && !found.contains(&added) {
                    found.push(added);
                }
            }
        }
    }
    found
}

fn listed(root: &Path, folder: &str, changed: &BTreeSet<&str>) -> Vec<Listing> {
    let tree = Tree::new(root);
    let mut listings = manifests::listings(&tree, folder);
    for path in changed.iter().filter(|p| p.ends_with(".txt") || p.ends_with(".in")) {
        if tree::parent(path).starts_with(folder) && path.contains("require") {
            listings.extend(manifests::file_and_included(&tree, path));
        }
    }
    listings
}

/// A distribution's name; a requirement with an address is itself, since the address is what is installed.
fn identity(requirement: &str) -> String {
    match manifests::requirement_name(requirement) {
        Some(name) if !requirement.contains("://") => normalise(&name),
        _ => requirement.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let target = directory.path().join(path);
            std::fs::create_dir_all(target.parent().unwrap()).unwrap();
            std::fs::write(target, content).unwrap();
        }
        directory
    }

    #[test]
    fn only_new_distributions_are_added_ones() {
        let manifest = |list: &str| format!("[project]\nname = \"x\"\ndependencies = [{list}]\n");
        let before = tree(&[("pyproject.toml", &manifest("\"rich>=1\"")), ("requirements-dev.txt", "pytest\n")]);
        let after = tree(&[
            ("pyproject.toml", &manifest("\"Rich>=2\", \"evil\", \"x @ https://example.org/x.whl\"")),
            ("requirements-dev.txt", "pytest\nruff\n"),
        ]);
        let changed = ["pyproject.toml", "requirements-dev.txt"];
        let mut added: Vec<String> = added_requirements(before.path(), after.path(), changed.into_iter())
            .into_iter()
            .map(|a| a.requirement)
            .collect();
        added.sort();
        assert_eq!(added, ["evil", "ruff", "x @ https://example.org/x.whl"]);
    }
}
