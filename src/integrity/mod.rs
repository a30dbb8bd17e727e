//! integrity: a change in, findings out. It judges whether a change weakens a test, a check, a threshold or a
//! protected file; JUDGEMENT.md is its law.
//!
//! `judge` looks at syntax trees and configuration before and after, never at diff text alone. It runs nothing and
//! reads nothing but what it is given, so it is deterministic. One file holds one family of rules.

mod added;
mod aliases;
mod answers;
mod building;
mod cases;
mod classes;
mod compare;
mod config;
mod config_keys;
mod context;
mod data;
mod decorators;
mod difference;
mod doctests;
mod effects;
mod environment;
mod equality;
mod evasion;
mod evidence;
mod facts;
mod fed;
mod flow;
mod folding;
mod literals;
mod loadable;
mod names;
mod paths;
mod preparing;
mod protected;
mod python;
mod reach;
mod relations;
mod replaced;
mod rule_docs;
mod scope;
mod secrets;
mod shadow;
mod shape;
mod source;
mod special;
mod spelling;
mod suite;
mod suppress;
mod tamper;
mod units;
mod unread;
mod unseen;

use crate::workspace::Change;
use serde::Serialize;
use std::collections::BTreeMap;

pub use crate::fix_type::FixType;

pub use added::{AddedTest, added_tests};
pub(crate) use config::toml_value;
pub use evidence::Witness;
pub(crate) use paths::is_of_checks;
pub use paths::is_test_file;
pub use protected::is_protected;
pub use rule_docs::{RULES, RuleDoc};

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
    /// What a declared test fix rests on; what of it ran and passed is for the oracle to say (`repair::oracle`).
    #[serde(skip)]
    pub witnesses: Vec<Witness>,
}

/// Reads the tree before the change.
pub trait TreeRead: Sync {
    /// The content of a file, `None` where there is none.
    fn read(&self, path: &str) -> Option<Vec<u8>>;
    /// Every file's path, repository-relative with `/`.
    fn paths(&self) -> Vec<String>;
}

/// A tree in memory.
impl<T: AsRef<[u8]> + Sync> TreeRead for BTreeMap<String, T> {
    fn read(&self, path: &str) -> Option<Vec<u8>> {
        Some(self.get(path)?.as_ref().to_vec())
    }

    fn paths(&self) -> Vec<String> {
        self.keys().cloned().collect()
    }
}

/// A finding that the failing job reported.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reported {
    /// `ruff`, `mypy`, `bandit`, `pytest`, …
    pub tool: String,
    /// The tool's version, where the log names it.
    pub tool_version: Option<String>,
    /// Repository-relative.
    pub file: Option<String>,
    /// 1-based, in the tree before the change.
    pub line: Option<u32>,
    /// The rule's code: `E501`, `return-value`, `B110`.
    pub code: Option<String>,
    /// Does the tool itself offer a fix?
    pub fixable_by_tool: Option<bool>,
}

/// All that is judged.
pub struct Judged<'a> {
    /// The change.
    pub change: &'a Change,
    /// The whole tree before it.
    pub before: &'a dyn TreeRead,
    /// What the failing job reported.
    pub reported: &'a [Reported],
    /// What the change was declared to be.
    pub declared: Option<FixType>,
    /// The failure's category, as in the contract: `unit_test`, `import_dependency`, …
    pub category: Option<&'a str>,
    /// More protected paths, as globs.
    pub protected: &'a [String],
}

/// Judges a change. No finding means that nothing was weakened as far as the texts show.
///
/// The order of the findings depends on nothing but the input.
pub fn judge(input: &Judged<'_>) -> Vec<Finding> {
    on_a_deep_stack(|| judge_here(input))
        .unwrap_or_else(|| vec![Finding::refuse("judge-failed", None, "The change could not be judged.")])
}

/// Bytes of stack; only what is used is paid for.
const STACK: usize = 1 << 29;

/// Files of so many bytes are worth a thread.
const LARGE: usize = 30_000;

/// The results of two pieces of work, done at once where they are large.
fn both<A: Send, B>(large: bool, first: impl FnOnce() -> A + Send, second: impl FnOnce() -> B) -> (A, B) {
    if !large {
        return (first(), second());
    }
    std::thread::scope(|scope| {
        let spawned = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, first);
        let second = second();
        match spawned.map(|thread| thread.join()) {
            Ok(Ok(first)) => (first, second),
            // The judge's own thread ends, and `judge` says that it failed.
            _ => std::panic::resume_unwind(Box::new("a thread of the judge failed")),
        }
    })
}

/// Trees can be nested as deeply as their author likes: worked on with a stack of its own, which only costs what is
/// used. `None` when that failed.
pub(crate) fn on_a_deep_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Option<T> {
    std::thread::scope(|scope| {
        let spawned = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work);
        spawned.ok()?.join().ok()
    })
}

fn judge_here(input: &Judged<'_>) -> Vec<Finding> {
    let context = context::Context::new(input);
    let large = context.files.iter().any(|file| file.after.is_some_and(|after| after.len() > LARGE));
    let (mut findings, more) = both(large, || of_tests(&context), || of_the_rest(&context));
    findings.extend(more);
    findings.sort_by(|a, b| {
        let key = |f: &Finding| (std::cmp::Reverse(f.severity), f.file.clone(), f.line, f.rule);
        key(a).cmp(&key(b)).then_with(|| a.message.cmp(&b.message))
    });
    findings.dedup();
    findings
}

fn of_tests(context: &context::Context<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    suite::judge(context, &mut findings);
    findings
}

fn of_the_rest(context: &context::Context<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    unread::judge(context, &mut findings);
    unseen::judge(context, &mut findings);
    protected::judge(context, &mut findings);
    config::judge(context, &mut findings);
    scope::judge(context, &mut findings);
    secrets::judge(context, &mut findings);
    suppress::judge(context, &mut findings);
    building::judge(context, &mut findings);
    data::judge(context, &mut findings);
    doctests::judge(context, &mut findings);
    loadable::judge(context, &mut findings);
    tamper::judge(context, &mut findings);
    shadow::judge(context, &mut findings);
    source::judge(context, &mut findings);
    equality::judge(context, &mut findings);
    evasion::judge(context, &mut findings);
    reach::judge(context, &mut findings);
    special::judge(context, &mut findings);
    findings
}

impl Finding {
    pub(crate) fn new(
        rule: &'static str,
        severity: Severity,
        file: Option<&str>,
        message: impl Into<String>,
    ) -> Finding {
        Finding {
            rule,
            severity,
            file: file.map(ToString::to_string),
            line: None,
            message: message.into(),
            evidence: String::new(),
            before: None,
            after: None,
            witnesses: Vec::new(),
        }
    }

    pub(crate) fn refuse(rule: &'static str, file: Option<&str>, message: impl Into<String>) -> Finding {
        Finding::new(rule, Severity::Refuse, file, message)
    }

    pub(crate) fn flag(rule: &'static str, file: Option<&str>, message: impl Into<String>) -> Finding {
        Finding::new(rule, Severity::Flag, file, message)
    }

    pub(crate) fn in_file(mut self, file: &str) -> Finding {
        self.file = Some(file.to_string());
        self
    }

    pub(crate) fn at(mut self, line: u32) -> Finding {
        self.line = Some(line);
        self
    }

    pub(crate) fn seen(mut self, evidence: impl Into<String>) -> Finding {
        self.evidence = short(&evidence.into());
        self
    }

    pub(crate) fn texts(mut self, before: Option<&str>, after: Option<&str>) -> Finding {
        self.before = before.map(short);
        self.after = after.map(short);
        self
    }
}

/// Bounded text for a report.
fn short(text: &str) -> String {
    match text.char_indices().nth(400) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_string(),
    }
}

#[cfg(test)]
mod tests;
