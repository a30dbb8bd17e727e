//! What a test reads.

use super::state::{Issue, Repository};

/// A pull request, as it was when it was read.
#[derive(Debug, Clone)]
pub(crate) struct PullRequest {
    pub(crate) repository: String,
    pub(crate) number: u64,
    pub(crate) title: String,
    pub(crate) body: String,
    pub(crate) user: String,
    pub(crate) state: String,
    pub(crate) merged: bool,
    pub(crate) draft: bool,
    pub(crate) head: String,
    pub(crate) head_sha: String,
    pub(crate) base: String,
    pub(crate) base_sha: String,
    pub(crate) labels: Vec<String>,
    pub(crate) reviewers: Vec<String>,
    pub(crate) teams: Vec<String>,
    /// The changed paths.
    pub(crate) paths: Vec<String>,
    /// The whole difference, as git writes it.
    pub(crate) diff: String,
    /// The messages of its commits, the oldest first.
    pub(crate) messages: Vec<String>,
    /// Did GitHub sign all its commits?
    pub(crate) signed: bool,
}

impl PullRequest {
    pub(crate) fn of(repository: &Repository, issue: &Issue) -> PullRequest {
        let pull = issue.pull.as_ref().unwrap();
        let bare = &repository.bare;
        let from = bare.merge_base(&pull.base_sha, &pull.head_sha).unwrap_or_else(|| pull.base_sha.clone());
        let shas = bare.git(&["rev-list", "--reverse", &format!("{from}..{}", pull.head_sha)]);
        let commits: Vec<_> = shas.lines().filter_map(|sha| bare.look(sha)).collect();
        PullRequest {
            repository: repository.full_name.clone(),
            number: issue.number,
            title: issue.title.clone(),
            body: issue.body.clone().unwrap_or_default(),
            user: issue.user.clone(),
            state: issue.state.clone(),
            merged: pull.merged_by.is_some(),
            draft: pull.draft,
            head: pull.head.clone(),
            head_sha: pull.head_sha.clone(),
            base: pull.base.clone(),
            base_sha: pull.base_sha.clone(),
            labels: issue.labels.clone(),
            reviewers: pull.reviewers.clone(),
            teams: pull.teams.clone(),
            paths: bare.changes(&from, &pull.head_sha).into_iter().map(|change| change.path).collect(),
            diff: bare.diff(&from, &pull.head_sha),
            signed: commits.iter().all(|commit| repository.signed.contains(&commit.sha)),
            messages: commits.into_iter().map(|commit| commit.message).collect(),
        }
    }
}

/// A comment or an issue: what was said, and where.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    /// Of the issue or the pull request.
    pub(crate) number: u64,
    /// Of an issue.
    pub(crate) title: String,
    pub(crate) body: String,
    pub(crate) user: String,
    pub(crate) labels: Vec<String>,
    /// Of an issue: `open` or `closed`.
    pub(crate) state: String,
}

impl Said {
    pub(crate) fn issue(issue: &Issue) -> Said {
        Said {
            number: issue.number,
            title: issue.title.clone(),
            body: issue.body.clone().unwrap_or_default(),
            user: issue.user.clone(),
            labels: issue.labels.clone(),
            state: issue.state.clone(),
        }
    }
}
