//! Reading: runs, jobs, logs, annotations, branches, files.

use std::path::Path;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::Method;
use serde_json::{Value, json};

use super::{
    client::{Client, Downloaded},
    error::GitHubError,
    wire::{Annotation, Commit, Content, Job, Pull, Reference, Repository, Run},
};

impl Client {
    /// The repository.
    ///
    /// # Errors
    /// As every call here: [`GitHubError`].
    pub async fn repository_of(&self) -> Result<Repository, GitHubError> {
        self.get("", "repository").await
    }

    /// A run, or one of its earlier attempts.
    ///
    /// # Errors
    /// [`GitHubError`]
    pub async fn run(&self, run: u64, attempt: Option<u64>) -> Result<Run, GitHubError> {
        match attempt {
            Some(attempt) => self.get(&format!("actions/runs/{run}/attempts/{attempt}"), "workflow run").await,
            None => self.get(&format!("actions/runs/{run}"), "workflow run").await,
        }
    }

    /// The jobs of a run's attempt.
    ///
    /// # Errors
    /// [`GitHubError`]
    pub async fn jobs(&self, run: u64, attempt: u64) -> Result<Vec<Job>, GitHubError> {
        self.list(&format!("actions/runs/{run}/attempts/{attempt}/jobs"), Some("jobs"), "jobs of the run").await
    }

    /// A job's log, at most so many bytes of it.
    ///
    /// # Errors
    /// [`GitHubError`]: gone (410) when it has expired, absent (404) while the job has none.
    pub async fn job_log(&self, job: u64, to: &Path, most: u64) -> Result<Downloaded, GitHubError> {
        self.download(&format!("actions/jobs/{job}/logs"), to, most, "log of the job").await
    }

    /// The archive of an attempt's logs.
    ///
    /// # Errors
    /// [`GitHubError`]
    pub async fn run_logs(&self, run: u64, attempt: u64, to: &Path, most: u64) -> Result<Downloaded, GitHubError> {
        self.download(&format!("actions/runs/{run}/attempts/{attempt}/logs"), to, most, "logs of the run").await
    }

    /// The annotations of a job: its check run has its number. Needs `checks: read`.
    ///
    /// # Errors
    /// [`GitHubError`]
    pub async fn annotations(&self, job: u64) -> Result<Vec<Annotation>, GitHubError> {
        self.list(&format!("check-runs/{job}/annotations"), None, "annotations of the job").await
    }

    /// The newest completed run of a workflow on a branch.
    ///
    /// # Errors
    /// [`GitHubError`]
    pub async fn latest_run(&self, workflow: u64, branch: &str) -> Result<Option<Run>, GitHubError> {
        let branch = encoded(branch);
        let path = format!("actions/workflows/{workflow}/runs?branch={branch}&event=push&status=completed&per_page=1");
        let mut found: Value = self.get(&path, "runs on the base").await?;
        let runs: Vec<Run> = serde_json::from_value(found["workflow_runs"].take()).unwrap_or_default();
        Ok(runs.into_iter().next())
    }

    /// Runs the failed jobs of a run again.
    ///
    /// # Errors
    /// [`GitHubError`]
    pub async fn rerun_failed(&self, run: u64, why: &str) -> Result<(), GitHubError> {
        let path = format!("actions/runs/{run}/rerun-failed-jobs");
        // Whether it took is seen by the attempt that has begun.
        let before = self.run(run, None).await?.run_attempt;
        let look = async || {
            let now = self.run(run, None).await?;
            Ok((now.run_attempt > before).then_some(Value::Null))
        };
        self.create::<Value>(&path, &json!({}), why, look).await.map(drop)
    }

    /// The pull requests that hold a commit.
    ///
    /// # Errors
    /// [`GitHubError`]
    pub async fn pulls_of_commit(&self, sha: &str) -> Result<Vec<Pull>, GitHubError> {
        self.get(&format!("commits/{sha}/pulls"), "pull requests of the commit").await
    }

    /// The head of a branch; `None` where there is no such branch.
    ///
    /// # Errors
    /// [`GitHubError`]
    pub async fn branch_head(&self, branch: &str) -> Result<Option<String>, GitHubError> {
        Ok(self.reference(&format!("heads/{branch}")).await?.map(|found| found.object.sha))
    }

    /// What a ref (`heads/main`) points at; `None` where there is none.
    ///
    /// # Errors
    /// [`GitHubError`]
    pub async fn reference(&self, name: &str) -> Result<Option<Reference>, GitHubError> {
        absent(self.get(&format!("git/ref/{}", encoded(name)), "branch").await)
    }

    /// The refs that begin with this.
    ///
    /// # Errors
    /// [`GitHubError`]
    pub async fn references(&self, prefix: &str) -> Result<Vec<Reference>, GitHubError> {
        self.get(&format!("git/matching-refs/{}", encoded(prefix)), "refs").await
    }

    /// A commit.
    ///
    /// # Errors
    /// [`GitHubError`]
    pub async fn commit(&self, sha: &str) -> Result<Commit, GitHubError> {
        self.get(&format!("git/commits/{sha}"), "commit").await
    }

    /// A file's bytes at a ref; `None` where there is none.
    ///
    /// # Errors
    /// [`GitHubError`]
    pub async fn file(&self, path: &str, at: &str) -> Result<Option<Vec<u8>>, GitHubError> {
        let asked = format!("contents/{}?ref={}", encoded(path), encoded(at));
        let Some(found) = absent(self.get::<Content>(&asked, path).await)? else { return Ok(None) };
        if found.encoding != "base64" {
            return Err(GitHubError::Unusable(format!("{path} is larger than GitHub shows here, or no file")));
        }
        let text: String = found.content.split_whitespace().collect();
        STANDARD.decode(text).map(Some).map_err(|error| GitHubError::Unusable(format!("{path}: {error}")))
    }

    /// Deletes a ref (`heads/x`). One that is gone already is no error.
    ///
    /// # Errors
    /// [`GitHubError`]
    pub async fn delete_reference(&self, name: &str, why: &str) -> Result<(), GitHubError> {
        let done =
            self.change::<Value>(Method::DELETE, &format!("git/refs/{}", encoded(name)), &Value::Null, why).await;
        match done {
            Err(error) if !error.is_absent() && !matches!(error, GitHubError::Conflict { status: 422, .. }) => {
                Err(error)
            }
            _ => Ok(()),
        }
    }
}

/// For a URL's path or query; a slash stays.
pub(super) fn encoded(text: &str) -> String {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    utf8_percent_encode(text, KEPT).to_string()
}

fn absent<T>(found: Result<T, GitHubError>) -> Result<Option<T>, GitHubError> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(GitHubError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
