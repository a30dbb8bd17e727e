//! dependencies: whoever adds one, it is checked before anything is installed (JUDGEMENT.md, an added dependency).

use std::{collections::BTreeSet, time::SystemTime};

use futures_util::{StreamExt as _, stream};

use super::rules::{Added, Source, added_requirements};
use crate::{
    detect::{JobLog, Key},
    integrity::{Finding, Severity},
    registry::{Registry, RegistryError, backports::Backport, normalise},
    workspace::{Change, Tree},
};

/// So many packages are looked up at once: a lock may name hundreds.
const LOOK_UPS: usize = 8;

/// What is to be said of the dependencies that `change` adds, with the modules that the logs miss.
///
/// # Errors
/// When the disk refuses a copy of the tree.
pub async fn judge_added(
    tree: &Tree,
    change: &Change,
    logs: &[&JobLog],
    registry: &Registry,
) -> anyhow::Result<Vec<Finding>> {
    let candidate = tree.with(change)?;
    let added = added_requirements(tree.root(), candidate.root(), change.files.keys().map(String::as_str));
    let missing: BTreeSet<&str> = logs
        .iter()
        .flat_map(|log| &log.failures)
        .filter_map(|f| match &f.key {
            Key::Missing { name } => name.split('.').next(),
            _ => None,
        })
        .collect();
    let judged = stream::iter(added).map(|dependency| judged(dependency, &missing, registry));
    Ok(judged.buffered(LOOK_UPS).filter_map(|found| async { found }).collect().await)
}

async fn judged(dependency: Added, missing: &BTreeSet<&str>, registry: &Registry) -> Option<Finding> {
    let why = match &dependency.source {
        Source::Index(name) => unproven(name, missing, registry).await?,
        // What others need provides nothing that this project imports.
        Source::Chosen(name) => unproven(name, &BTreeSet::new(), registry).await?,
        Source::Elsewhere => "it is not taken from the index, so nothing is known of it".to_owned(),
        Source::Unread => "the file cannot be read, so nothing is known of what it installs".to_owned(),
    };
    Some(finding(&dependency, &why))
}

/// Why a dependency may not be added; `None` when it may. What can't be looked up may not: it would be installed before
/// anybody knew what it is.
async fn unproven(name: &str, missing: &BTreeSet<&str>, registry: &Registry) -> Option<String> {
    let now = SystemTime::now();
    let mut refusal = registry.known(name, now).await.err();
    if refusal.is_none() {
        for module in missing {
            // What the standard library lacks is missed under the name that it has there.
            let backport = Backport::of(module).filter(|backport| normalise(backport.package) == normalise(name));
            let module = backport.map_or(*module, |backport| backport.stand_in.split('.').next().unwrap_or(module));
            match registry.admit(name, module, None, now).await {
                Ok(_) => return None,
                Err(error) => refusal = Some(error),
            }
        }
    }
    Some(match refusal? {
        error @ (RegistryError::Unreachable(_) | RegistryError::Address | RegistryError::Answer(..)) => {
            format!("it could not be looked up, so nothing was installed: {error}")
        }
        error => error.to_string(),
    })
}

fn finding(dependency: &Added, why: &str) -> Finding {
    Finding {
        rule: "dependency-unproven",
        severity: Severity::Refuse,
        file: Some(dependency.file.clone()),
        line: None,
        message: format!("the added dependency `{}` is not proven: {why}", dependency.requirement),
        evidence: "the package index".to_owned(),
        before: None,
        after: Some(dependency.requirement.clone()),
        witnesses: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        detect::Detector,
        registry::tests::{publish, serve},
        workspace::FileChange,
    };

    const OLD: &str = "2020-01-02T03:04:05Z";

    /// What is said of a file that a change adds, where `modules` are missing.
    async fn said(path: &str, content: &str, modules: &[&str], registry: &Registry) -> Vec<String> {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("a.py"), "").unwrap();
        let tree = Tree::snapshot(directory.path()).unwrap();
        let after = Some(content.as_bytes().to_vec());
        let mut change = Change::default();
        change.files.insert(path.to_owned(), FileChange { before: None, after, executable: false, symlink: false });
        let mut detector = Detector::for_command("python -m a", &[]);
        for module in modules {
            let raised = "Traceback (most recent call last):\n  File \"a.py\", line 1, in <module>\n    import it\n";
            detector.feed(format!("{raised}ModuleNotFoundError: No module named '{module}'\n").as_bytes());
        }
        detector.exited(1);
        let logs = detector.finish();
        let logs: Vec<&JobLog> = logs.iter().collect();
        let findings = judge_added(&tree, &change, &logs, registry).await.unwrap();
        assert!(findings.iter().all(|f| f.rule == "dependency-unproven" && f.severity == Severity::Refuse));
        findings.into_iter().map(|finding| finding.message).collect()
    }

    async fn index() -> Registry {
        let mut answers = BTreeMap::new();
        publish(&mut answers, "zebra-stripes", &[("1.0", OLD, ">=3", &["zebra/__init__.py"])]);
        publish(&mut answers, "needed", &[("1.0", OLD, ">=3", &["needed.py"])]);
        publish(&mut answers, "young", &[("1.0", "2999-01-01T00:00:00Z", ">=3", &["young.py"])]);
        answers.insert("/simple/broken/".to_owned(), ("200 OK".to_owned(), b"<html>".to_vec()));
        answers.insert("/simple/busy/".to_owned(), ("503 Service Unavailable".to_owned(), Vec::new()));
        Registry::new(&serve(answers).await).unwrap()
    }

    #[tokio::test]
    async fn whatever_is_added_is_refused_unless_the_index_proves_it() {
        let registry = index().await;
        for (line, why) in [
            ("nobody-made-this", "has no package"),
            ("reqeusts", "one letter away from the popular `requests`"),
            ("young", "less than 90 days"),
            ("broken", "could not be looked up, so nothing was installed"),
            ("busy", "could not be looked up, so nothing was installed: the index can't be reached"),
            ("zebra-stripes @ https://example.org/x.whl", "not taken from the index"),
            ("--extra-index-url https://example.org", "not taken from the index"),
        ] {
            let said = said("requirements.txt", line, &[], &registry).await;
            assert!(said.len() == 1 && said[0].contains(why), "{line}: {said:?}");
        }
        assert!(said("requirements.txt", "zebra_stripes>=1\nneeded\n", &[], &registry).await.is_empty());
        assert!(said("uv.lock", "[[package", &[], &registry).await[0].contains("the file cannot be read"));
    }

    #[tokio::test]
    async fn where_no_index_answers_nothing_that_is_added_is_admitted() {
        let closed = Registry::new("http://127.0.0.1:1/simple").unwrap();
        for path in ["requirements.txt", "pyproject.toml"] {
            let content = if path.ends_with("txt") { "needed\n" } else { "[build-system]\nrequires = [\"needed\"]\n" };
            let said = said(path, content, &[], &closed).await;
            assert!(
                said.len() == 1 && said[0].contains("could not be looked up, so nothing was installed"),
                "{said:?}"
            );
        }
    }

    #[tokio::test]
    async fn what_a_manifest_adds_provides_what_is_missing_and_what_a_lock_adds_need_not() {
        let registry = index().await;
        assert!(said("requirements.txt", "zebra-stripes\n", &["zebra"], &registry).await.is_empty());
        let other = said("requirements.txt", "needed\n", &["zebra"], &registry).await;
        assert!(other.len() == 1 && other[0].contains("does not provide the module `zebra`"), "{other:?}");
        let lock = "[[package]]\nname = \"needed\"\nversion = \"1.0\"\n";
        assert!(said("uv.lock", lock, &["zebra"], &registry).await.is_empty());
    }
}
