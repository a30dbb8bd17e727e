//! oracle: what some repairs must show beyond a validation. Called for what was validated; only code decides.
//!
//! Whose proof is what, by fix type; all of them have to pass `validate` and the static judge:
//!
//! | type | its oracle |
//! |---|---|
//! | syntax, import | `versions`: what is written parses on the oldest Python that the project supports (asked of every type) |
//! | test | `evidence`: what an expectation's new value rests on passed before the change |
//! | coverage | `coverage`: new tests fail when the code is broken, by `mutants`; `choose`, `covered` serve it |
//! | quality | `validate::judge`: no finding more in the tools' own reports; `integrity::suppress`: none silenced |
//! | dependency | `repair::dependencies`: what is added is in the index, old enough, and provides what is missing |
//! | security | `validate::judge` on bandit's report; `integrity::suppress` |
//! | documentation | `validate::judge` on what sphinx says; `integrity::doctests`: examples show what the code does |
//! | benchmark | `benchmark`: a gain in a sound before and after (`rank_sum`) |
//! | build | `validate::judge`: it builds and installs; `integrity::building`: what runs meanwhile is not the change's |
//!
//! `strength` is asked of all the others that change what a program does: tests must notice when that is broken.

mod benchmark;
mod choose;
mod coverage;
mod covered;
mod evidence;
mod mutants;
mod rank_sum;
mod strength;
mod versions;

use super::reproduce::Baseline;
use crate::{
    detect::Category,
    fix_type::FixType,
    integrity::on_a_deep_stack,
    progress::Progress,
    sandbox::{Prepared, Sandbox, SandboxError},
    workspace::{Change, FileChange, Tree, read_inside},
};
pub use strength::{Strength, strength};

/// What the extra proof says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruling {
    /// Nothing is missing.
    Holds {
        /// What was seen, a sentence each; empty where nothing more had to be shown.
        notes: Vec<String>,
    },
    /// It is shown that the repair is not what it says.
    Fails {
        /// Why, a sentence each.
        reasons: Vec<String>,
    },
    /// It can't be shown either way: a person must look; for a benchmark, there is no fix.
    NotShown {
        /// Why, a sentence each.
        why: Vec<String>,
    },
}

impl Ruling {
    /// Both must hold; what fails weighs more than what is not shown.
    fn and(self, other: Ruling) -> Ruling {
        use Ruling::{Fails, Holds, NotShown};
        let joined = |mut a: Vec<String>, b: Vec<String>| {
            a.extend(b);
            a
        };
        match (self, other) {
            (Fails { reasons: a }, Fails { reasons: b }) => Fails { reasons: joined(a, b) },
            (Fails { reasons }, _) | (_, Fails { reasons }) => Fails { reasons },
            (NotShown { why: a }, NotShown { why: b }) => NotShown { why: joined(a, b) },
            (NotShown { why }, _) | (_, NotShown { why }) => NotShown { why },
            (Holds { notes: a }, Holds { notes: b }) => Holds { notes: joined(a, b) },
        }
    }
}

/// Proves what the kind of the repair, or of the failure, asks for beyond [`validate`](super::validate()). `categories`
/// are the failures'.
///
/// # Errors
/// When the sandbox fails twice.
pub async fn prove(
    sandbox: &dyn Sandbox,
    tree: &Tree,
    baselines: &[Baseline],
    change: &Change,
    fix_types: &[FixType],
    categories: &[Category],
    progress: &Progress,
) -> Result<Ruling, SandboxError> {
    let unread = || Ruling::NotShown { why: vec!["the change could not be read".to_owned()] };
    let mut ruling = on_a_deep_stack(|| versions::prove(tree, change)).unwrap_or_else(unread);
    if fix_types.contains(&FixType::Test) {
        let shown = on_a_deep_stack(|| evidence::prove(tree, baselines, change));
        let unread = || Ruling::NotShown { why: vec!["the evidence could not be read".to_owned()] };
        ruling = ruling.and(shown.unwrap_or_else(unread));
    }
    if matches!(ruling, Ruling::Fails { .. }) {
        return Ok(ruling);
    }
    if fix_types.contains(&FixType::Coverage) || categories.contains(&Category::Coverage) {
        ruling = ruling.and(coverage::prove(sandbox, tree, baselines, change, progress).await?);
    }
    if fix_types.contains(&FixType::Benchmark) || categories.contains(&Category::Benchmark) {
        ruling = ruling.and(benchmark::prove(sandbox, tree, baselines, change, progress).await?);
    }
    Ok(ruling)
}

/// One file of the candidate with other text, and all else as it was.
fn edited(candidate: &Tree, path: &str, before: &str, after: String) -> FileChange {
    use std::os::unix::fs::PermissionsExt as _;
    let meta = candidate.root().join(path).metadata().ok();
    FileChange {
        before: Some(before.as_bytes().to_vec()),
        after: Some(after.into_bytes()),
        executable: meta.is_some_and(|meta| meta.permissions().mode() & 0o100 != 0),
        symlink: false,
    }
}

/// Files larger than this hold tables, no functions to break.
const LARGEST_SOURCE: usize = 1 << 20;

/// No report of a tool is larger.
const LARGEST_REPORT: u64 = 64 << 20;

/// A report that a run left at the tree's root: code under test could have put anything there.
fn left_by(prepared: &dyn Prepared, name: &str) -> Option<Vec<u8>> {
    let meta = prepared.root().join(name).symlink_metadata().ok()?;
    if !meta.is_file() || meta.len() > LARGEST_REPORT {
        return None;
    }
    read_inside(prepared.root(), name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_weighs_more_than_what_is_not_shown_and_that_more_than_what_holds() {
        let holds = || Ruling::Holds { notes: vec!["a".to_owned()] };
        let fails = || Ruling::Fails { reasons: vec!["b".to_owned()] };
        let not_shown = || Ruling::NotShown { why: vec!["c".to_owned()] };
        assert_eq!(holds().and(holds()), Ruling::Holds { notes: vec!["a".to_owned(), "a".to_owned()] });
        assert_eq!(holds().and(not_shown()), not_shown());
        assert_eq!(not_shown().and(fails()), fails());
        assert_eq!(fails().and(holds()), fails());
    }
}
