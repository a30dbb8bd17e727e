//! dependencies: whoever adds one, it is checked before anything is installed (JUDGEMENT.md, an added dependency).

use std::{collections::BTreeSet, time::SystemTime};

use super::rules::{Added, added_requirements};
use crate::{
    detect::{JobLog, Key},
    integrity::{Finding, Severity},
    registry::{Registry, RegistryError},
    workspace::{Change, Tree},
};

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
    let mut findings = Vec::new();
    for dependency in added {
        let found = match &dependency.name {
            Some(name) if !dependency.requirement.contains("://") => admitted(name, &missing, registry).await,
            _ => Some((Severity::Refuse, "it is not taken from the index, so nothing is known of it".to_owned())),
        };
        findings.extend(found.map(|(severity, why)| finding(&dependency, severity, &why)));
    }
    Ok(findings)
}

/// Why a dependency may not be added; `None` when it may.
async fn admitted(name: &str, missing: &BTreeSet<&str>, registry: &Registry) -> Option<(Severity, String)> {
    let now = SystemTime::now();
    let mut refusal = match registry.known(name, now).await {
        Ok(_) if missing.is_empty() => return None,
        Ok(_) => None,
        Err(error) => Some(error),
    };
    if refusal.is_none() {
        for module in missing {
            match registry.admit(name, module, None, now).await {
                Ok(_) => return None,
                Err(error) => refusal = Some(error),
            }
        }
    }
    Some(match refusal? {
        error @ (RegistryError::Unreachable(_) | RegistryError::Address | RegistryError::Answer(..)) => {
            (Severity::Flag, format!("it could not be looked up: {error}"))
        }
        // What is no wheel can't be read without running it: a person must look.
        error @ RegistryError::NoWheel(..) => (Severity::Flag, error.to_string()),
        error => (Severity::Refuse, error.to_string()),
    })
}

fn finding(dependency: &Added, severity: Severity, why: &str) -> Finding {
    Finding {
        rule: "dependency-unproven",
        severity,
        file: Some(dependency.file.clone()),
        line: None,
        message: format!("the added dependency `{}` is not proven: {why}", dependency.requirement),
        evidence: "the package index".to_owned(),
        before: None,
        after: Some(dependency.requirement.clone()),
        witnesses: Vec::new(),
    }
}
