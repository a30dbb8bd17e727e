//! origin: the workflow run that a repair is of, and the pull request that came of it, as every report shows them.
//!
//! Reports know GitHub only by these nouns; the `github` room fills them.

use serde::Serialize;

/// The failed workflow run.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Origin {
    /// The web server: `https://github.com`, without a slash at its end.
    pub server: String,
    /// `octo/shop`
    pub repository: String,
    /// The run's number in URLs.
    pub run_id: u64,
    /// 1 for the first.
    pub attempt: u32,
    /// The workflow's name.
    pub workflow: String,
    /// What triggered the run: `push`, `pull_request`, …
    pub event: String,
    /// The branch whose head failed.
    pub head_branch: String,
    /// The head's commit.
    pub head_sha: String,
    /// The commit that was tested and is repaired, where it is not the head: a pull request's merge commit.
    pub tested_sha: Option<String>,
    /// The pull request whose head failed.
    pub pull_request: Option<u64>,
    /// Where the repair is for the base, because it fails there already: the base's branch.
    pub base: Option<String>,
    /// The failed jobs.
    pub jobs: Vec<OriginJob>,
}

/// A failed job of the run.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct OriginJob {
    pub id: u64,
    /// As `TargetReport::job` has it.
    pub name: String,
    /// Its page.
    pub url: String,
    /// Its first failed step: the number in URLs, and the name.
    pub failed_step: Option<(u64, String)>,
    /// Lines of the step's log, 1-based, that show a failure: message as in `Failure::message`, and line.
    pub lines: Vec<(String, u64)>,
}

/// The pull request that was opened, or that is there already.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct Proposal {
    pub number: u64,
    pub url: String,
    /// Our branch.
    pub branch: String,
    /// The branch that it wants to go into.
    pub into: String,
    pub draft: bool,
    /// Does GitHub call our commit's signature verified?
    pub verified: Option<bool>,
}

/// What GitHub does with a pull request that is opened with the token that was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenKind {
    /// The workflow's own `GITHUB_TOKEN`: CI waits for a maintainer's approval.
    Workflow,
    /// An app's installation token or a person's: CI runs by itself.
    Other,
}

impl Origin {
    /// The run's page.
    pub fn run_url(&self) -> String {
        let Origin { server, repository, run_id, attempt, .. } = self;
        match attempt {
            0 | 1 => format!("{server}/{repository}/actions/runs/{run_id}"),
            n => format!("{server}/{repository}/actions/runs/{run_id}/attempts/{n}"),
        }
    }

    /// The failed job of this name.
    pub fn job(&self, name: &str) -> Option<&OriginJob> {
        self.jobs.iter().find(|job| job.name == name)
    }

    /// The commit that is repaired.
    pub fn repaired_sha(&self) -> &str {
        self.tested_sha.as_deref().unwrap_or(&self.head_sha)
    }
}

impl OriginJob {
    /// The page of the failed step, at the line that shows `message` where that is known.
    pub fn log_url(&self, message: &str) -> String {
        let Some((step, _)) = &self.failed_step else { return self.url.clone() };
        let line = self.lines.iter().find(|(of, _)| of == message).map_or(1, |(_, line)| *line);
        format!("{}#step:{step}:{line}", self.url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_the_attempt_the_step_and_the_line() {
        let job = OriginJob {
            url: "https://github.com/o/r/actions/runs/7/job/9".to_owned(),
            failed_step: Some((4, "Test".to_owned())),
            lines: vec![("boom".to_owned(), 12)],
            ..OriginJob::default()
        };
        assert_eq!(job.log_url("boom"), format!("{}#step:4:12", job.url));
        assert_eq!(job.log_url("else"), format!("{}#step:4:1", job.url));
        let origin = Origin {
            server: "https://github.com".to_owned(),
            repository: "o/r".to_owned(),
            run_id: 7,
            attempt: 2,
            ..Origin::default()
        };
        assert_eq!(origin.run_url(), "https://github.com/o/r/actions/runs/7/attempts/2");
    }
}
