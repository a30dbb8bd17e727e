//! integrity: a change in, findings out. It judges whether a change weakens a test, a check, a threshold or a
//! protected file; JUDGEMENT.md is its law.

use serde::Serialize;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// A person must look.
    Flag,
    /// The change is refused.
    Refuse,
}

/// One reason to refuse or to flag a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule's id, kebab-case: `protected-path`, `test-deleted`.
    pub rule: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// Repository-relative.
    pub file: Option<String>,
    /// 1-based, in the tree after the change where it still stands, else in the one before.
    pub line: Option<u32>,
    /// What was found, in one sentence.
    pub message: String,
    /// What it was seen by.
    pub evidence: String,
    /// The text before.
    pub before: Option<String>,
    /// The text after.
    pub after: Option<String>,
}
