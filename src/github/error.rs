//! What GitHub can refuse, as far as a caller acts differently; the words say what to do.

use std::time::Duration;

/// GitHub did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum GitHubError {
    /// 404: not there, or not to be seen with this token.
    #[error("GitHub has no {what}, or the token may not see it (404)")]
    NotFound {
        /// What was asked for.
        what: String,
    },
    /// 410: no longer there.
    #[error(
        "{what}: gone (410). GitHub keeps logs for the repository's retention time only, and has no issues where they are turned off"
    )]
    Gone {
        /// What was asked for.
        what: String,
    },
    /// 401.
    #[error("the GitHub token is not accepted (401): it is wrong, expired or revoked")]
    Unauthorized,
    /// 403 for want of a permission or by a setting.
    #[error("{what}: GitHub refuses (403): {message}")]
    Forbidden {
        /// What was asked for.
        what: String,
        /// What GitHub says.
        message: String,
    },
    /// 409 and 422: the request contradicts what is there.
    #[error("{what}: GitHub refuses ({status}): {message}")]
    Conflict {
        /// What was asked for.
        what: String,
        /// 409 or 422.
        status: u16,
        /// What GitHub says, its errors joined.
        message: String,
    },
    /// A rate limit that lasts longer than this run may wait.
    #[error("{what}: GitHub's rate limit is spent; it asks to wait {} s, longer than this run may", pause.as_secs())]
    RateLimited {
        /// What was asked for.
        what: String,
        /// How long GitHub asks to wait.
        pause: Duration,
    },
    /// No answer that can be used, after all tries.
    #[error("{what}: GitHub does not answer: {why}")]
    Unavailable {
        /// What was asked for.
        what: String,
        /// The last thing that was seen.
        why: String,
    },
    /// An answer that is none, or a client that can't be made.
    #[error("{0}")]
    Unusable(String),
}

impl GitHubError {
    /// Is what was asked for not there?
    pub fn is_absent(&self) -> bool {
        matches!(self, GitHubError::NotFound { .. } | GitHubError::Gone { .. })
    }

    /// Does 409 or 422 say that the thing is there already?
    pub fn says_exists(&self) -> bool {
        matches!(self, GitHubError::Conflict { message, .. } if message.to_lowercase().contains("already exists"))
    }

    /// What a maintainer has to change, and where, so that this is not refused: a sentence with the page.
    pub fn remedy(&self, server: &str, repository: &str, permission: &str) -> Option<String> {
        match self {
            GitHubError::Forbidden { message, .. } if message.contains("not permitted to create or approve") => {
                Some(format!(
                    "GitHub Actions may not open pull requests here: allow it under \"Workflow permissions\" at \
                 {server}/{repository}/settings/actions (for an organisation it may have to be allowed there first), \
                 or give an app's token as `github-token`"
                ))
            }
            GitHubError::Forbidden { message, .. } if message.contains("Resource not accessible") => Some(format!(
                "the token lacks a permission: add `{permission}` to the job's `permissions:` in the workflow that \
                 runs test-repair, at {server}/{repository}/tree/HEAD/.github/workflows (or to the token that is given as \
                 `github-token`)"
            )),
            GitHubError::Forbidden { message, .. } | GitHubError::Conflict { message, .. }
                if message.contains("workflow") && message.contains("permission") =>
            {
                Some("the workflow's own token may never change files below .github/workflows".to_owned())
            }
            GitHubError::Forbidden { message, .. } | GitHubError::Conflict { message, .. }
                if ["rule", "protected"].iter().any(|word| message.to_lowercase().contains(word)) =>
            {
                Some(format!(
                    "a branch protection or ruleset forbids it: exempt the branches of test-repair at \
                     {server}/{repository}/settings/rules, or {server}/{repository}/settings/branches"
                ))
            }
            GitHubError::RateLimited { .. } => Some(
                "run it again later, or give an app's token as `github-token`: it has a limit of its own \
                 (https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api)"
                    .to_owned(),
            ),
            GitHubError::Unauthorized => {
                Some("leave `github-token` out (the workflow's own token is then used), or give a valid one".to_owned())
            }
            GitHubError::NotFound { .. } => {
                Some(format!("check that the token may read {repository} (`contents: read`, `actions: read`)"))
            }
            _ => None,
        }
    }
}
