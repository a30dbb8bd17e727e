//! Checks that write what they ask for as they run, and fail because there was something to write.

use std::sync::LazyLock;

use regex::Regex;

use super::{Repaired, RuleContext, RuleDoc, names::matcher, precommit, rerun};
use crate::detect::{Failure, Key};

pub(super) const DOC: RuleDoc = RuleDoc {
    id: "self-fixing",
    repairs: "what a check changes as it runs: `ruff check --fix --exit-non-zero-on-fix`, a formatter or generator whose \
              result `git diff --exit-code` compares",
    evidence: "the check says that it fixed or reformatted files, or asks git whether anything changed; the change is \
               the check's own, made by the same command, but never in a workflow or in what decides what is checked",
    example: "Found 1 error (1 fixed, 0 remaining).",
};

pub(super) async fn apply(context: &RuleContext<'_>, repaired: &mut Repaired) -> anyhow::Result<()> {
    for check in context.checks.iter().filter(|check| !precommit::runs_hooks(check)) {
        let failed = rerun::failures_of(context, check);
        if failed.is_empty() || !failed.iter().all(|failure| writes(check, failure)) {
            continue;
        }
        let author = rerun::Author {
            rule: DOC.id,
            name: "the check",
            done: "Kept what the check itself changes in".to_owned(),
            impact: "What the check does wherever it is run.".to_owned(),
        };
        rerun::repair(context, author, check, |_| true, repaired).await?;
    }
    Ok(())
}

/// Did the check fail for what it changed?
fn writes(check: &str, failure: &Failure) -> bool {
    static SAID: LazyLock<Option<Regex>> =
        matcher!(r"(?m)\((?:[1-9]\d*) fixed, 0 remaining\)|^\s*[1-9]\d* files? reformatted\b");
    static ASKS: LazyLock<Option<Regex>> =
        matcher!(r"\bgit (?:-\S+ )*diff(?: [^\n;|&]*)? --(?:exit-code|quiet)\b|\bgit status (?:--porcelain|-s)\b");
    let found = |pattern: &Option<Regex>, text: &str| pattern.as_ref().is_some_and(|p| p.is_match(text));
    matches!(failure.key, Key::Command { .. }) && (found(&SAID, &failure.excerpt) || found(&ASKS, check))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::Category;

    fn failed(excerpt: &str) -> Failure {
        let key = Key::Command { command: "tox".to_owned(), error: "exit 1".to_owned() };
        super::super::tests::failure(Category::Quality, "command", excerpt, key)
    }

    #[test]
    fn what_a_check_says_that_it_changed_is_known() {
        let said = ["Found 1 error (1 fixed, 0 remaining).", "x\n2 files reformatted, 3 files left unchanged"];
        assert!(said.iter().all(|text| writes("tox -e lint", &failed(text))));
        let not = ["Found 2 errors (1 fixed, 1 remaining).", "0 files reformatted", "would reformat a.py"];
        assert!(!not.iter().any(|text| writes("tox -e lint", &failed(text))));
    }

    #[test]
    fn a_check_that_asks_git_for_changes_is_known() {
        for check in
            ["make gen\ngit diff --exit-code", "git diff --stat --quiet", "test -z \"$(git status --porcelain)\""]
        {
            assert!(writes(check, &failed("")), "{check}");
        }
        assert!(!["git diff", "git log --exit-code", "pytest"].iter().any(|check| writes(check, &failed(""))));
    }
}
