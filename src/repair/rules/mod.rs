//! Repairs that need no model. Rules propose; the validator judges them like any other fix.
//!
//! A rule matches what a tool reported, and does the one thing that has a single mechanical reading. All matching rules
//! of a job are applied together, in the order of the [`CATALOGUE`]. A rule that nearly applied says why it did not.

mod added;
mod advisories;
mod conflicting_pins;
mod importers;
mod lint_edits;
mod manifests;
mod metadata;
mod missing_import;
mod moved_abcs;
mod names;
mod own_fixers;
mod precommit;
mod rerun;
mod self_fixing;
mod source_path;
mod spelling;
mod stale_lock;
mod stubs;
mod text;
mod tool_fixers;
mod tree;
mod undeclared;
mod unused_ignore;
mod version_guards;

use std::path::Path;

use async_trait::async_trait;
use serde::Serialize;

pub use crate::fix_type::FixType;
use crate::{detect::Failure, registry::Registry, sandbox::Finished};
pub use added::{Added, added_requirements};
pub use manifests::installs::Source;

/// The oldest Python that the project of a file says it supports: that of the nearest folder that says one.
pub fn oldest_python(root: &Path, file: &str) -> Option<pep440_rs::Version> {
    let tree = tree::Tree::new(root);
    let mut folders = Path::new(file).ancestors().skip(1);
    folders.find_map(|folder| manifests::oldest_python(&tree, folder.to_str()?))
}

/// A scratch copy of the tree, with the job's environment prepared.
#[async_trait]
pub trait Workspace: Send + Sync {
    /// Rules edit files below it.
    fn root(&self) -> &Path;

    /// Runs a script with `bash -e -c` in the job's working directory and environment, without network.
    async fn run(&self, script: &str) -> anyhow::Result<Finished>;

    /// Runs a script in the same way, with the network that install steps have: what can't be made without an index.
    async fn run_online(&self, script: &str) -> anyhow::Result<Finished>;
}

/// What a rule may know.
pub struct RuleContext<'a> {
    /// Where it works.
    pub workspace: &'a dyn Workspace,
    /// The reproduced failures; only these may be repaired.
    pub failures: &'a [Failure],
    /// The job's checks, as they are run.
    pub checks: &'a [String],
    /// The job's install commands.
    pub install: &'a [String],
    /// Names and versions in the job's environment.
    pub installed: &'a [(String, String)],
    /// The job's working directory, repository-relative (`""` or `.` for the root).
    pub workdir: &'a str,
    /// Where packages are looked up.
    pub registry: &'a Registry,
    /// Rules of other types are not applied.
    pub enabled: &'a [FixType],
}

/// A rule that changed the workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Applied {
    /// The rule's id, one of the [`CATALOGUE`].
    pub rule: &'static str,
    /// What kind of repair it is.
    pub fix_type: FixType,
    /// What was done, in a sentence.
    pub description: String,
    /// What it may mean to the project, in a sentence.
    pub impact: String,
    /// The changed files, repository-relative.
    pub files: Vec<String>,
}

/// What came of all rules.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Repaired {
    /// In the order of application; empty where nothing was changed.
    pub applied: Vec<Applied>,
    /// Why rules that nearly applied did not.
    pub notes: Vec<String>,
}

impl Repaired {
    fn note(&mut self, rule: &str, note: impl std::fmt::Display) {
        let note = format!("{rule}: {note}");
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}

/// A rule, for the documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RuleDoc {
    /// Kebab-case.
    pub id: &'static str,
    /// What it repairs.
    pub repairs: &'static str,
    /// What it must see first.
    pub evidence: &'static str,
    /// A failure that it repairs.
    pub example: &'static str,
}

/// All rules, in the order of application.
pub const CATALOGUE: &[RuleDoc] = &[
    metadata::DOC,
    undeclared::DOC,
    version_guards::DOC,
    stubs::DOC,
    advisories::DOC,
    stale_lock::DOC,
    conflicting_pins::DOC,
    missing_import::DOC,
    moved_abcs::DOC,
    source_path::DOC,
    unused_ignore::DOC,
    spelling::DOC,
    lint_edits::DOC,
    tool_fixers::RUFF_DOC,
    tool_fixers::ISORT_DOC,
    tool_fixers::FORMAT_DOC,
    own_fixers::DOC,
    precommit::DOC,
    self_fixing::DOC,
];

/// The types that rules repair.
const RULE_TYPES: [FixType; 5] =
    [FixType::Build, FixType::Dependency, FixType::Security, FixType::Import, FixType::Quality];

/// Applies all rules that match to the workspace's files.
pub async fn repair(context: &RuleContext<'_>) -> anyhow::Result<Repaired> {
    let mut repaired = Repaired::default();
    let enabled = |fix_type| context.enabled.contains(&fix_type);
    if enabled(FixType::Build) {
        metadata::apply(context, &mut repaired)?;
    }
    if enabled(FixType::Dependency) {
        undeclared::apply(context, &mut repaired).await?;
        version_guards::apply(context, &mut repaired).await?;
        stubs::apply(context, &mut repaired).await?;
        stale_lock::apply(context, &mut repaired).await?;
        conflicting_pins::apply(context, &mut repaired).await?;
    }
    if enabled(FixType::Security) {
        advisories::apply(context, &mut repaired)?;
    }
    if enabled(FixType::Import) {
        missing_import::apply(context, &mut repaired).await?;
        moved_abcs::apply(context, &mut repaired)?;
        source_path::apply(context, &mut repaired)?;
    }
    if enabled(FixType::Quality) {
        unused_ignore::apply(context, &mut repaired)?;
        spelling::apply(context, &mut repaired)?;
        lint_edits::apply(context, &mut repaired)?;
        tool_fixers::apply(context, &mut repaired).await?;
        own_fixers::apply(context, &mut repaired).await?;
        precommit::apply(context, &mut repaired).await?;
        self_fixing::apply(context, &mut repaired).await?;
    }
    for left_out in RULE_TYPES.iter().filter(|fix_type| !enabled(**fix_type)) {
        repaired.notes.push(format!("fix type {left_out} is not enabled: its rules were not applied"));
    }
    Ok(repaired)
}
#[cfg(test)]
mod tests;
