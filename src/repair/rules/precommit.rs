//! Hooks of pre-commit that change files: run once more, and what they change is the repair.

use super::{Repaired, RuleContext, RuleDoc, rerun};

pub(super) const DOC: RuleDoc = RuleDoc {
    id: "pre-commit",
    repairs: "what hooks of pre-commit change by themselves",
    evidence: "a failing `pre-commit run`; the change is the hooks' own, made by the same command, but never in a \
               workflow, in pre-commit's configuration or in what decides what is checked",
    example: "- files were modified by this hook",
};

pub(super) async fn apply(context: &RuleContext<'_>, repaired: &mut Repaired) -> anyhow::Result<()> {
    for check in context.checks.iter().filter(|check| runs_hooks(check)) {
        if !context.failures.iter().any(|f| f.command.as_deref().is_some_and(runs_hooks)) {
            continue;
        }
        let author = rerun::Author {
            rule: DOC.id,
            name: "the hooks",
            done: "Kept what the hooks of pre-commit change in".to_owned(),
            impact: "What the hooks do to every commit of those who have them installed.".to_owned(),
        };
        rerun::repair(context, author, check, |_| true, repaired).await?;
    }
    Ok(())
}

/// Does a command run pre-commit's hooks?
pub(super) fn runs_hooks(command: &str) -> bool {
    let words: Vec<&str> = command.split_whitespace().collect();
    words.windows(2).any(|pair| {
        let program = pair[0].rsplit('/').next().unwrap_or(pair[0]);
        matches!(program, "pre-commit" | "pre_commit" | "prek") && pair[1] == "run"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_of_hooks_is_known() {
        for command in ["pre-commit run --all-files", "cd a\nuv run pre-commit run -a", "python -m pre_commit run"] {
            assert!(runs_hooks(command), "{command}");
        }
        assert!(!runs_hooks("pip install pre-commit") && !runs_hooks("pre-commit autoupdate"));
    }
}
