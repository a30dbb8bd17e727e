//! Tree, commit, branch, pull request: in an order in which races and kills do no harm.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::sleep;

use super::{Branch, proposal};
use crate::{
    github::{Client, Commit, GitHubError, NewPull},
    origin::{Proposal, TokenKind},
    workspace::Change,
};

/// A run that made the branch is given so long to open its pull request before another goes on in its place.
const PATIENCE: Duration = Duration::from_secs(60);
/// Where nobody says another.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(3);

/// A change that is to become a pull request.
pub struct Landing<'a> {
    /// Our branch, as it is wanted.
    pub branch: &'a Branch,
    /// The commit that it begins at.
    pub head: &'a str,
    /// The branch that gets it.
    pub into: &'a str,
    /// What is changed.
    pub change: &'a Change,
    /// The commit's message.
    pub message: &'a str,
    /// The pull request's title.
    pub title: &'a str,
    /// Its body, by whose token opens it.
    pub body: &'a (dyn Fn(TokenKind) -> String + Send + Sync),
    /// Must a person look first?
    pub draft: bool,
    /// How often it is looked for the pull request of another run that has the branch.
    pub look_every: Duration,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Landed {
    /// We opened it.
    Opened {
        /// The pull request.
        proposal: Proposal,
        /// What a reader should know besides.
        notes: Vec<String>,
    },
    /// Another run has.
    There(Proposal),
}

/// GitHub refused.
#[derive(Debug)]
pub struct NotLanded {
    /// Why.
    pub error: GitHubError,
    /// The branch that holds the fix all the same.
    pub branch: Option<Branch>,
}

impl From<GitHubError> for NotLanded {
    fn from(error: GitHubError) -> NotLanded {
        NotLanded { error, branch: None }
    }
}

impl Landing<'_> {
    /// Lands it, or finds that another run has.
    ///
    /// # Errors
    /// [`NotLanded`]
    pub async fn land(&self, client: &Client) -> Result<Landed, NotLanded> {
        let tree = client.create_tree(self.head, self.change.files.iter()).await?;
        let commit = client.create_commit(self.message, &tree, self.head).await?;
        let (branch, taken_over) = match self.own_branch(client, &commit).await? {
            Ok(own) => own,
            Err(there) => return Ok(Landed::There(there)),
        };
        let mut notes = Vec::new();
        let body = (self.body)(token_kind(&commit));
        let new = NewPull { branch: &branch.0, into: self.into, title: self.title, body: &body, draft: self.draft };
        let mut opened = client.open_pull(&new).await;
        if let Err(GitHubError::Conflict { message, .. }) = &opened
            && self.draft
            && message.to_lowercase().contains("draft")
        {
            // A private repository of a small plan has none.
            notes.push("this repository has no draft pull requests: it is an ordinary one".to_owned());
            opened = client.open_pull(&NewPull { draft: false, ..new }).await;
        }
        let pull = match opened {
            Ok(pull) => pull,
            Err(error) if error.says_exists() => {
                let pulls = client.pulls_from(&branch.0).await?;
                return match pulls.iter().find(|pull| pull.state == "open") {
                    // A run that was thought dead has opened it since: its words are of another commit than the branch is.
                    Some(pull) if taken_over => {
                        let pull = client.rewrite_pull(pull.number, self.title, &body).await?;
                        Ok(Landed::There(proposal(&pull, &branch, None)))
                    }
                    Some(pull) => Ok(Landed::There(proposal(pull, &branch, None))),
                    None => Err(NotLanded { error, branch: Some(branch) }),
                };
            }
            Err(error) => return Err(NotLanded { error, branch: Some(branch) }),
        };
        if !commit.verification.verified {
            notes.push(format!("GitHub does not call the commit's signature verified: {}", commit.verification.reason));
        }
        Ok(Landed::Opened { proposal: proposal(&pull, &branch, Some(commit.verification.verified)), notes })
    }

    /// Makes the branch ours, whole, and says whether it was another run's before; or finds the pull request of another run.
    async fn own_branch(
        &self,
        client: &Client,
        commit: &Commit,
    ) -> Result<Result<(Branch, bool), Proposal>, GitHubError> {
        let (mut number, mut waited) = (1, Duration::ZERO);
        loop {
            let of = self.branch.numbered(number);
            let name = format!("heads/{}", of.0);
            if client.create_reference(&name, &commit.sha, "the repair's branch: creating it is the lock").await? {
                return Ok(Ok((of, false)));
            }
            let pulls = client.pulls_from(&of.0).await?;
            if let Some(pull) = client.standing(&pulls).await? {
                return Ok(Err(proposal(pull, &of, None)));
            }
            if !pulls.is_empty() && number < 20 {
                // Merged, or closed by a bot; its branch was kept.
                number += 1;
                continue;
            }
            let Some(there) = client.reference(&name).await? else { continue };
            let theirs = client.commit(&there.object.sha).await?;
            let same = theirs.tree.sha == commit.tree.sha && parent(&theirs) == Some(self.head);
            let age = age(&theirs.committer.date);
            if same && (age.is_none_or(|age| age > self.look_every) || !waited.is_zero()) {
                // The very same repair: whoever opens the pull request first has it.
                return Ok(Ok((of, false)));
            }
            if age.is_none_or(|age| age > PATIENCE) || waited > PATIENCE {
                // Of a run that was killed before it opened a pull request.
                let why = "the branch of a run that ended before its pull request";
                client.move_reference(&name, &commit.sha, why).await?;
                return Ok(Ok((of, true)));
            }
            sleep(self.look_every).await;
            waited += self.look_every;
        }
    }
}

fn parent(commit: &Commit) -> Option<&str> {
    commit.parents.first().map(|parent| parent.sha.as_str())
}

fn age(date: &str) -> Option<Duration> {
    let then: Timestamp = date.parse().ok()?;
    Duration::try_from(Timestamp::now().duration_since(then)).ok()
}

/// GitHub names the author of a commit that names none: the workflow's own token is `github-actions[bot]`.
fn token_kind(commit: &Commit) -> TokenKind {
    match commit.author.name.as_str() {
        "github-actions[bot]" => TokenKind::Workflow,
        _ => TokenKind::Other,
    }
}
