//! What is read of GitHub's answers: lenient, because its own are (null branches, fields that come and go).

use serde::{Deserialize, Deserializer};

/// A field that may be null or missing.
fn lenient<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

macro_rules! lenient {
    ($($(#[$meta:meta])* $name:ident { $($(#[$of:meta])* $field:ident: $kind:ty,)* })*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq, Deserialize)]
        #[serde(default)]
        #[allow(missing_docs)]
        pub struct $name {
            $($(#[$of])* #[serde(deserialize_with = "lenient")] pub $field: $kind,)*
        }
    )*};
}

lenient! {
    /// A workflow run.
    Run {
        id: u64,
        name: String,
        event: String,
        /// `completed`, `in_progress`, …
        status: String,
        /// `failure`, …; empty while it runs.
        conclusion: String,
        head_sha: String,
        head_branch: String,
        run_attempt: u64,
        html_url: String,
        workflow_id: u64,
        path: String,
        repository: NamedRepository,
        head_repository: NamedRepository,
        actor: Account,
        triggering_actor: Account,
        head_commit: HeadCommit,
        pull_requests: Vec<PullOfRun>,
    }
    NamedRepository { full_name: String, fork: bool, }
    Account {
        login: String,
        /// `User`, `Bot`, …
        #[serde(rename = "type")]
        kind: String,
    }
    HeadCommit { message: String, author: Author, }
    Author { name: String, email: String, }
    PullOfRun { number: u64, base: Side, head: Side, }
    /// A side of a pull request.
    Side {
        #[serde(rename = "ref")]
        branch: String,
        sha: String,
        repo: NamedRepository,
    }
    /// A job of a run's attempt.
    Job {
        id: u64,
        name: String,
        status: String,
        conclusion: String,
        html_url: String,
        steps: Vec<JobStep>,
    }
    JobStep { name: String, number: u64, conclusion: String, }
    /// An annotation of a check run.
    Annotation {
        path: String,
        start_line: u64,
        annotation_level: String,
        title: String,
        message: String,
    }
    /// A pull request.
    Pull {
        number: u64,
        html_url: String,
        /// `open` or `closed`.
        state: String,
        merged_at: String,
        draft: bool,
        user: Account,
        head: Side,
        base: Side,
    }
    /// An issue, or a comment of one.
    Issue {
        number: u64,
        id: u64,
        html_url: String,
        body: String,
        state: String,
        user: Account,
        /// Empty where nobody closed it, or nobody knows who.
        closed_by: Account,
    }
    /// A repository.
    Repository { full_name: String, default_branch: String, private: bool, }
    /// A git object, as `git/ref` names it.
    Reference {
        #[serde(rename = "ref")]
        name: String,
        object: Object,
    }
    Object { sha: String, }
    /// A commit, as `git/commits` has it.
    Commit {
        sha: String,
        message: String,
        tree: Object,
        verification: Verification,
        author: Author,
        committer: Stamp,
        parents: Vec<Object>,
    }
    Verification { verified: bool, reason: String, }
    Stamp { date: String, }
    /// A git tree.
    GitTree { sha: String, }
    /// A file of a pull request, and its hunks.
    PullFile { filename: String, patch: String, }
    Content { content: String, encoding: String, }
}

impl Job {
    /// Did it fail, and not only stop?
    pub fn has_failed(&self) -> bool {
        matches!(self.conclusion.as_str(), "failure" | "timed_out" | "startup_failure")
    }

    /// Its first failed step.
    pub fn failed_step(&self) -> Option<&JobStep> {
        self.steps.iter().find(|step| matches!(step.conclusion.as_str(), "failure" | "timed_out"))
    }
}

impl Pull {
    /// Was it closed without being merged?
    pub fn is_unmerged(&self) -> bool {
        self.state == "closed" && self.merged_at.is_empty()
    }
}

impl Account {
    /// Is it no person?
    pub fn is_bot(&self) -> bool {
        self.kind == "Bot" || self.login.ends_with("[bot]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nulls_and_missing_fields_are_read_as_nothing() {
        let run: Run = serde_json::from_str(
            r#"{"id": 7, "name": null, "head_branch": null, "head_commit": null, "pull_requests": null, "other": [1]}"#,
        )
        .unwrap();
        assert_eq!(run, Run { id: 7, ..Run::default() });
        let pull: Pull =
            serde_json::from_str(r#"{"state": "closed", "merged_at": null, "head": {"repo": null}}"#).unwrap();
        assert!(pull.is_unmerged());
    }
}
