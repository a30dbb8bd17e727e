//! The versions that an environment is held to, and what is said of them: the same in every sandbox.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Recipe;

/// What is said where the log names no versions.
pub(super) const UNPINNED: &str = "the log names no installed versions: installed by fresh resolution";

/// What is said where an installation fails with the log's versions, and does without them.
pub(super) fn unheld(command: &str) -> String {
    format!("`{command}` fails with the log's versions held: installed by fresh resolution instead")
}

/// What is said where the very version that was wanted is not here; `None` where it is, or none was named.
pub(super) fn stand_in(wanted: &str, python: &str) -> Option<String> {
    let other = wanted.split('.').count() == 3 && wanted != python;
    other.then(|| format!("Python {python} stands in for {wanted}"))
}

impl Recipe {
    /// The versions that an installation is held to: a candidate's to what the baseline ran with.
    pub(super) fn held(&self, candidate: bool) -> &[(String, String)] {
        if candidate && !self.hold.is_empty() { &self.hold } else { &self.versions }
    }
}

/// Versions as constraints for pip, those left out that `bound` does not want.
pub(super) fn constraints(held: &[(String, String)], bound: impl Fn(&str, &str) -> bool) -> String {
    let versions: BTreeMap<&str, &str> = held.iter().map(|(name, version)| (name.as_str(), version.as_str())).collect();
    let bound = versions.into_iter().filter(|(name, version)| bound(name, version));
    bound.map(|(name, version)| format!("{name}=={version}\n")).collect()
}

/// What `pip list --format json` printed; nothing where it is none.
pub(super) fn listed(output: &[u8]) -> Vec<(String, String)> {
    #[derive(Deserialize)]
    struct Distribution {
        name: String,
        version: String,
    }
    let listed: Vec<Distribution> = serde_json::from_slice(output).unwrap_or_default();
    listed.into_iter().map(|d| (d.name, d.version)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constraints_name_each_package_once_and_only_what_is_wanted() {
        let held = [("pip", "24.0"), ("pytest", "8.4.1"), ("pytest", "8.4.2")];
        let held = held.map(|(name, version)| (name.to_owned(), version.to_owned()));
        assert_eq!(constraints(&held, |name, _| name != "pip"), "pytest==8.4.2\n");
    }

    #[test]
    fn a_python_stands_in_only_for_a_full_version() {
        assert_eq!(stand_in("3.11.7", "3.11.2").as_deref(), Some("Python 3.11.2 stands in for 3.11.7"));
        assert_eq!((stand_in("3.11", "3.11.2"), stand_in("3.11.2", "3.11.2")), (None, None));
    }
}
