//! Hooks of pre-commit that change files: run once more, and what they change is the repair.

use super::{Applied, FixType, Repaired, RuleContext, RuleDoc, rerun, tool_fixers};
use crate::detect::{Failure, Key};

pub(super) const DOC: RuleDoc = RuleDoc {
    id: "pre-commit",
    repairs: "what hooks of pre-commit change by themselves",
    evidence: "a failing `pre-commit run`; the change is the hooks' own, made by the same command, but never in a \
               workflow, in pre-commit's configuration or in what decides what is checked",
    example: "- files were modified by this hook",
};

/// What pre-commit says of such a hook.
const MODIFIED: &str = "files were modified by this hook";

pub(super) async fn apply(context: &RuleContext<'_>, repaired: &mut Repaired) -> anyhow::Result<()> {
    for check in context.checks.iter().filter(|check| runs_hooks(check)) {
        let of_hooks = |f: &&Failure| f.command.as_deref().is_some_and(runs_hooks);
        let failed: Vec<&Failure> = context.failures.iter().filter(of_hooks).collect();
        if failed.is_empty() {
            continue;
        }
        let kept = match rerun::keep(context, check, false, |_| true).await? {
            Ok(kept) => kept,
            Err(why) => {
                repaired.note(DOC.id, why);
                continue;
            }
        };
        if !kept.refused.is_empty() {
            let files = kept.refused.join("`, `");
            repaired.note(DOC.id, format_args!("the hooks would change `{files}`, which no repair may"));
        }
        if !kept.changed.is_empty() {
            repaired.applied.push(Applied {
                rule: DOC.id,
                fix_type: FixType::Quality,
                description: format!(
                    "Kept what the hooks of pre-commit change in {}.",
                    tool_fixers::listed(&kept.changed)
                ),
                impact: "What the hooks do to every commit of those who have them installed.".to_owned(),
                files: kept.changed,
            });
        } else if failed.iter().any(|f| f.tool == "pre-commit" && said_modified(f)) {
            repaired.note(DOC.id, format_args!("the hooks changed nothing: {}", kept.said()));
        }
    }
    Ok(())
}

fn said_modified(failure: &Failure) -> bool {
    matches!(&failure.key, Key::Command { error, .. } if error == MODIFIED) || failure.excerpt.contains(MODIFIED)
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
