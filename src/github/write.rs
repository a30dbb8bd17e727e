//! Writing: commits, branches, pull requests, comments, issues. No POST is repeated without looking whether it took.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::Method;
use serde_json::{Value, json};

use super::{
    client::Client,
    error::GitHubError,
    runs::encoded,
    wire::{Commit, GitTree, Issue, Object, Pull, PullFile, Reference},
};
use crate::workspace::FileChange;

/// A pull request that is to be opened.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct NewPull<'a> {
    pub branch: &'a str,
    pub into: &'a str,
    pub title: &'a str,
    pub body: &'a str,
    pub draft: bool,
}

impl Client {
    /// A tree like that of `base` (a tree or commit), with these files changed. Nothing shows it until a branch does.
    ///
    /// # Errors
    /// [`GitHubError`], as everywhere here.
    pub async fn create_tree<'a>(
        &self,
        base: &str,
        files: impl Iterator<Item = (&'a String, &'a FileChange)>,
    ) -> Result<String, GitHubError> {
        let mut entries = Vec::new();
        for (path, file) in files {
            let mode = match (file.symlink, file.executable) {
                (true, _) => "120000",
                (_, true) => "100755",
                _ => "100644",
            };
            let mut entry = json!({ "path": path, "mode": mode, "type": "blob" });
            match &file.after {
                None => entry["sha"] = Value::Null,
                Some(content) => match std::str::from_utf8(content) {
                    Ok(text) => entry["content"] = text.into(),
                    Err(_) => entry["sha"] = self.create_blob(content).await?.into(),
                },
            }
            entries.push(entry);
        }
        let body = json!({ "base_tree": base, "tree": entries });
        // The same tree made twice is the same object.
        let tree: GitTree = self.create("git/trees", &body, "the repaired files", async || Ok(None)).await?;
        Ok(tree.sha)
    }

    async fn create_blob(&self, content: &[u8]) -> Result<String, GitHubError> {
        let body = json!({ "content": STANDARD.encode(content), "encoding": "base64" });
        let blob: Object = self.create("git/blobs", &body, "a repaired file", async || Ok(None)).await?;
        Ok(blob.sha)
    }

    /// A commit. Without an author of its own it is signed by GitHub, where the token is an app's or the workflow's.
    ///
    /// # Errors
    /// [`GitHubError`]
    pub async fn create_commit(&self, message: &str, tree: &str, parent: &str) -> Result<Commit, GitHubError> {
        let body = json!({ "message": message, "tree": tree, "parents": [parent] });
        // A second commit that no branch shows harms nobody.
        self.create("git/commits", &body, "the repair's commit", async || Ok(None)).await
    }

    /// Creates a ref (`heads/x`); `false` where it is there already. That makes it a lock.
    ///
    /// # Errors
    /// [`GitHubError`]
    pub async fn create_reference(&self, name: &str, sha: &str, why: &str) -> Result<bool, GitHubError> {
        let body = json!({ "ref": format!("refs/{name}"), "sha": sha });
        // Only a ref that points at our own commit is ours.
        let look = async || Ok(self.reference(name).await?.filter(|found| found.object.sha == sha));
        match self.create::<Reference>("git/refs", &body, why, look).await {
            Ok(_) => Ok(true),
            // The second of two POSTs of which the first took after all.
            Err(error) if error.says_exists() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Lets a ref (`heads/x`) point elsewhere, whatever it pointed at.
    ///
    /// # Errors
    /// [`GitHubError`]
    pub async fn move_reference(&self, name: &str, sha: &str, why: &str) -> Result<(), GitHubError> {
        let path = format!("git/refs/{}", encoded(name));
        self.change::<Value>(Method::PATCH, &path, &json!({ "sha": sha, "force": true }), why).await.map(drop)
    }

    /// All pull requests from a branch of this repository, closed ones too, the newest first.
    ///
    /// # Errors
    /// [`GitHubError`]
    pub async fn pulls_from(&self, branch: &str) -> Result<Vec<Pull>, GitHubError> {
        let head = encoded(&format!("{}:{branch}", self.owner()));
        self.get(&format!("pulls?state=all&head={head}&per_page=20"), "pull requests of the branch").await
    }

    /// A pull request.
    ///
    /// # Errors
    /// [`GitHubError`]
    pub async fn pull(&self, number: u64) -> Result<Pull, GitHubError> {
        self.get(&format!("pulls/{number}"), "pull request").await
    }

    /// The files of a pull request.
    ///
    /// # Errors
    /// [`GitHubError`]
    pub async fn pull_files(&self, number: u64) -> Result<Vec<PullFile>, GitHubError> {
        self.list(&format!("pulls/{number}/files"), None, "files of the pull request").await
    }

    /// Opens a pull request.
    ///
    /// # Errors
    /// [`GitHubError`]; one that [`GitHubError::says_exists`] when the branch has one already.
    pub async fn open_pull(&self, new: &NewPull<'_>) -> Result<Pull, GitHubError> {
        let body = json!({
            "title": new.title, "head": new.branch, "base": new.into, "body": new.body, "draft": new.draft,
            "maintainer_can_modify": true,
        });
        let look = async || Ok(self.pulls_from(new.branch).await?.into_iter().find(|pull| pull.state == "open"));
        self.create("pulls", &body, "the repair's pull request", look).await
    }

    /// Adds labels to a pull request or an issue.
    ///
    /// # Errors
    /// [`GitHubError`]
    pub async fn add_labels(&self, number: u64, labels: &[String]) -> Result<(), GitHubError> {
        let body = json!({ "labels": labels });
        // Adding them twice is adding them once.
        let added = self.create::<Value>(&format!("issues/{number}/labels"), &body, "labels", async || Ok(None)).await;
        added.map(drop)
    }

    /// Asks for reviews.
    ///
    /// # Errors
    /// [`GitHubError`]
    pub async fn request_reviews(&self, number: u64, users: &[String], teams: &[String]) -> Result<(), GitHubError> {
        let body = json!({ "reviewers": users, "team_reviewers": teams });
        let path = format!("pulls/{number}/requested_reviewers");
        self.create::<Value>(&path, &body, "reviewers", async || Ok(None)).await.map(drop)
    }

    /// The pull request that stands for a repair: an open one, or one that a person closed unmerged. What a bot closed (for
    /// its age, say) was not judged. Who closed it is known by its issue alone.
    ///
    /// # Errors
    /// [`GitHubError`]
    pub async fn standing<'p>(&self, pulls: &'p [Pull]) -> Result<Option<&'p Pull>, GitHubError> {
        if let Some(open) = pulls.iter().find(|pull| pull.state == "open") {
            return Ok(Some(open));
        }
        for pull in pulls.iter().filter(|pull| pull.is_unmerged()) {
            let issue: Issue = self.get(&format!("issues/{}", pull.number), "who closed the pull request").await?;
            if !issue.closed_by.is_bot() {
                return Ok(Some(pull));
            }
        }
        Ok(None)
    }

    /// Gives a pull request that is there another text.
    ///
    /// # Errors
    /// [`GitHubError`]
    pub async fn rewrite_pull(&self, number: u64, title: &str, body: &str) -> Result<Pull, GitHubError> {
        let text = json!({ "title": title, "body": body });
        self.change(Method::PATCH, &format!("pulls/{number}"), &text, "the branch holds another run's repair now").await
    }

    /// Has a review or a comment of this pull request the marker?
    ///
    /// # Errors
    /// [`GitHubError`]
    pub async fn holds(&self, number: u64, marker: &str) -> Result<bool, GitHubError> {
        Ok(self.reviews(number).await?.iter().any(|review| carries(&review.body, marker))
            || self.comments(number).await?.iter().any(|comment| carries(&comment.body, marker)))
    }

    /// The comments of a pull request or an issue.
    ///
    /// # Errors
    /// [`GitHubError`]
    pub async fn comments(&self, number: u64) -> Result<Vec<Issue>, GitHubError> {
        self.list(&format!("issues/{number}/comments"), None, "comments").await
    }

    async fn reviews(&self, number: u64) -> Result<Vec<Issue>, GitHubError> {
        self.list(&format!("pulls/{number}/reviews"), None, "reviews").await
    }

    /// Writes a comment that ends with `marker`, or replaces the one that is there.
    ///
    /// # Errors
    /// [`GitHubError`]
    pub async fn comment(&self, number: u64, body: &str, marker: &str, why: &str) -> Result<Issue, GitHubError> {
        let ours = async || Ok(self.comments(number).await?.into_iter().find(|c| carries(&c.body, marker)));
        let text = json!({ "body": body });
        match ours().await? {
            Some(there) => self.change(Method::PATCH, &format!("issues/comments/{}", there.id), &text, why).await,
            None => self.create(&format!("issues/{number}/comments"), &text, why, ours).await,
        }
    }

    /// Reviews a pull request with suggestions, each on lines that it shows.
    ///
    /// # Errors
    /// [`GitHubError`]: 422 where a line is not part of the pull request.
    pub async fn review(
        &self,
        number: u64,
        sha: &str,
        body: &str,
        marker: &str,
        comments: &Value,
    ) -> Result<(), GitHubError> {
        let path = format!("pulls/{number}/reviews");
        let ours = async || Ok(self.reviews(number).await?.into_iter().find(|review| carries(&review.body, marker)));
        if ours().await?.is_some() {
            return Ok(());
        }
        let review = json!({ "commit_id": sha, "event": "COMMENT", "body": body, "comments": comments });
        self.create(&path, &review, "the repair as suggestions", ours).await.map(drop)
    }

    /// The open issue that ends with `marker`, updated; or a new one.
    ///
    /// # Errors
    /// [`GitHubError`]
    pub async fn report_issue(&self, title: &str, body: &str, label: &str, marker: &str) -> Result<Issue, GitHubError> {
        let path = format!("issues?state=open&labels={}", encoded(label));
        let ours = async || {
            let open: Vec<Issue> = self.list(&path, None, "issues").await?;
            Ok(open.into_iter().find(|issue| carries(&issue.body, marker)))
        };
        let why = "the diagnosis";
        match ours().await? {
            Some(there) => {
                self.change(Method::PATCH, &format!("issues/{}", there.number), &json!({ "body": body }), why).await
            }
            None => self.create("issues", &json!({ "title": title, "body": body, "labels": [label] }), why, ours).await,
        }
    }
}

/// Is the text one of ours? The marker is its last line; anywhere else it is a quotation, or a forgery within a diff.
fn carries(body: &str, marker: &str) -> bool {
    body.trim_end().lines().next_back() == Some(marker)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_counts_on_the_last_line_alone() {
        let marker = "<!-- test-repair: fingerprint=ab -->";
        assert!(carries(&format!("Mended.\r\n\n{marker}\r\n"), marker));
        assert!(!carries(&format!("> Mended.\n> {marker}"), marker));
        assert!(!carries(&format!("```diff\n{marker}\n```\n"), marker));
        assert!(!carries("", marker));
    }
}
