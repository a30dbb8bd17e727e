//! May this run be repaired at all? Asked before anything is spent.

use crate::github::{Client, GitHubError, Run, event::Via};

/// In the last lines of our commits' messages.
pub const TRAILER: &str = "Test-Repair-Fingerprint:";

/// Whether a run may be repaired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Eligibility {
    /// It may.
    Repair,
    /// Nothing of it may be run, sent to a model or pushed: its logs are read, and that is said.
    DiagnoseOnly(String),
    /// Nothing is to be done.
    Skip(String),
}

/// From what the run says of itself.
pub(super) fn eligible(run: &Run, via: Via, prefix: &str, repository: &str) -> Eligibility {
    use Eligibility::{DiagnoseOnly, Repair, Skip};
    let under_way = run.status != "completed" && matches!(via, Via::SameRun | Via::CheckRun);
    if !under_way && !matches!(run.conclusion.as_str(), "failure" | "timed_out" | "startup_failure") {
        let ended = if run.conclusion.is_empty() { &run.status } else { &run.conclusion };
        return Skip(format!("the run is no failure: it is `{ended}`"));
    }
    if run.head_branch.starts_with(prefix) {
        return Skip(format!("{} is a branch of our own: its failures are for a person", run.head_branch));
    }
    let person = [&run.triggering_actor, &run.actor].into_iter().find(|who| !who.login.is_empty());
    if run.head_commit.message.contains(TRAILER)
        && (run.head_commit.author.name.ends_with("[bot]") || person.is_some_and(|who| who.is_bot()))
    {
        return Skip("the failing commit is our own repair: repairing it again could go on for ever".to_owned());
    }
    let head = &run.head_repository.full_name;
    if !head.eq_ignore_ascii_case(repository) {
        let whose = if head.is_empty() { "a fork that is gone" } else { head };
        return DiagnoseOnly(format!(
            "the commit is of {whose}, a fork: its code is not run with secrets near, sent to a model, or pushed to. This is \
             the diagnosis from the log alone"
        ));
    }
    let dependabot = |login: &str| matches!(login, "dependabot[bot]" | "dependabot-preview[bot]");
    if dependabot(&run.actor.login) || run.head_branch.starts_with("dependabot/") {
        return DiagnoseOnly(
            "the commit is Dependabot's: new versions of dependencies are not run with secrets near. This is the diagnosis \
             from the log alone"
                .to_owned(),
        );
    }
    Repair
}

/// Why the run's commit is no longer what its branch stands at; `None` where it is. A run that a person names is repaired
/// all the same, and the repair is judged on the new head again.
pub(super) async fn superseded(client: &Client, run: &Run, via: Via) -> Result<Option<String>, GitHubError> {
    if via == Via::Dispatch || run.head_branch.is_empty() {
        return Ok(None);
    }
    Ok(match client.branch_head(&run.head_branch).await? {
        Some(head) if head == run.head_sha => None,
        Some(head) => Some(format!(
            "superseded: {} stands at {head:.12} by now, and its own run decides; {:.12} failed",
            run.head_branch, run.head_sha
        )),
        None => Some(format!("superseded: the branch {} is gone", run.head_branch)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::github::NamedRepository;

    fn failed() -> Run {
        Run {
            conclusion: "failure".to_owned(),
            status: "completed".to_owned(),
            head_branch: "main".to_owned(),
            head_repository: NamedRepository { full_name: "o/r".to_owned(), fork: false },
            ..Run::default()
        }
    }

    fn of(run: &Run, via: Via) -> Eligibility {
        eligible(run, via, "test-repair/", "o/r")
    }

    #[test]
    fn a_failed_run_of_the_repository_may_be_repaired_and_one_of_a_fork_only_diagnosed() {
        assert_eq!(of(&failed(), Via::WorkflowRun), Eligibility::Repair);
        let mut fork = failed();
        fork.head_repository.full_name = "evil/r".to_owned();
        assert!(matches!(of(&fork, Via::WorkflowRun), Eligibility::DiagnoseOnly(why) if why.contains("evil/r")));
        let mut bot = failed();
        bot.actor.login = "dependabot[bot]".to_owned();
        assert!(matches!(of(&bot, Via::Dispatch), Eligibility::DiagnoseOnly(_)));
    }

    #[test]
    fn our_own_branches_and_commits_and_runs_that_did_not_fail_are_skipped() {
        let skips = |run: &Run, via| matches!(of(run, via), Eligibility::Skip(_));
        let mut ours = failed();
        ours.head_branch = "test-repair/abc-main".to_owned();
        assert!(skips(&ours, Via::WorkflowRun));
        let mut merged = failed();
        merged.head_commit.message = format!("Fix it\n\n{TRAILER} abc");
        // A person merged it: what fails then is worth a repair.
        assert!(!skips(&merged, Via::WorkflowRun));
        merged.head_commit.author.name = "github-actions[bot]".to_owned();
        assert!(skips(&merged, Via::WorkflowRun));
        let mut green = failed();
        green.conclusion = "success".to_owned();
        assert!(skips(&green, Via::Dispatch));
        green.status = "in_progress".to_owned();
        green.conclusion.clear();
        assert!(skips(&green, Via::WorkflowRun) && !skips(&green, Via::SameRun));
    }
}
