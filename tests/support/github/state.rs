//! What this GitHub knows. Tests set it up, requests change it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};

use super::{
    bare::{Bare, now},
    faults::Fault,
};

/// Who a token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Identity {
    /// The `GITHUB_TOKEN` of a workflow.
    ActionsBot,
    /// The installation of an app, by its slug.
    App(String),
    /// A person's token.
    User(String),
}

impl Identity {
    pub(crate) fn login(&self) -> String {
        match self {
            Identity::ActionsBot => "github-actions[bot]".to_owned(),
            Identity::App(slug) => format!("{slug}[bot]"),
            Identity::User(login) => login.clone(),
        }
    }

    pub(crate) fn is_installation(&self) -> bool {
        !matches!(self, Identity::User(_))
    }
}

/// An annotation of a check run.
#[derive(Debug, Clone)]
pub(crate) struct Annotation {
    pub(crate) path: String,
    pub(crate) line: u64,
    /// `notice`, `warning` or `failure`.
    pub(crate) level: String,
    pub(crate) title: Option<String>,
    pub(crate) message: String,
}

/// A step of a job.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) number: u64,
    pub(crate) name: String,
    pub(crate) status: String,
    pub(crate) conclusion: Option<String>,
    /// Its own file in the zip, where it has one.
    pub(crate) log: Option<Vec<u8>>,
}

/// The log of a job.
#[derive(Debug, Clone)]
pub(crate) enum Log {
    Bytes(Vec<u8>),
    /// 404: the job has not ended, or never wrote one.
    Missing,
    /// 410: it was too long ago.
    Expired,
}

/// A job of one attempt. Its check run has its number.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) status: String,
    pub(crate) conclusion: Option<String>,
    pub(crate) steps: Vec<Step>,
    pub(crate) labels: Vec<String>,
    pub(crate) runner: Option<String>,
    pub(crate) log: Log,
    pub(crate) annotations: Vec<Annotation>,
}

/// An attempt of a run.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    pub(crate) status: String,
    pub(crate) conclusion: Option<String>,
    pub(crate) triggering_actor: String,
    pub(crate) jobs: Vec<Job>,
}

/// A run of a workflow.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) id: u64,
    pub(crate) number: u64,
    pub(crate) name: String,
    pub(crate) event: String,
    pub(crate) path: String,
    pub(crate) workflow_id: u64,
    pub(crate) head_sha: String,
    pub(crate) head_branch: Option<String>,
    pub(crate) head_repository: String,
    pub(crate) actor: String,
    /// Empty for those from forks, as GitHub does it.
    pub(crate) pull_requests: Vec<u64>,
    pub(crate) created_at: String,
    pub(crate) attempts: Vec<Attempt>,
}

/// A comment of a review, on lines of the difference.
#[derive(Debug, Clone)]
pub(crate) struct ReviewComment {
    pub(crate) path: String,
    pub(crate) line: Option<u64>,
    pub(crate) start_line: Option<u64>,
    pub(crate) side: String,
    pub(crate) body: String,
}

/// A review of a pull request.
#[derive(Debug, Clone)]
pub(crate) struct Review {
    pub(crate) id: u64,
    pub(crate) pull: u64,
    pub(crate) user: String,
    pub(crate) body: String,
    /// `COMMENTED`, `CHANGES_REQUESTED`, `APPROVED`, `PENDING`.
    pub(crate) state: String,
    pub(crate) commit: String,
    pub(crate) comments: Vec<ReviewComment>,
}

/// A comment on an issue or a pull request.
#[derive(Debug, Clone)]
pub(crate) struct Comment {
    pub(crate) id: u64,
    pub(crate) issue: u64,
    pub(crate) user: String,
    pub(crate) body: String,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
}

/// What makes an issue a pull request.
#[derive(Debug, Clone)]
pub(crate) struct Pull {
    pub(crate) head_repository: String,
    pub(crate) head: String,
    pub(crate) head_sha: String,
    pub(crate) base: String,
    pub(crate) base_sha: String,
    pub(crate) draft: bool,
    pub(crate) merged_by: Option<String>,
    pub(crate) reviewers: Vec<String>,
    pub(crate) teams: Vec<String>,
    pub(crate) maintainer_can_modify: bool,
}

/// An issue, or a pull request.
#[derive(Debug, Clone)]
pub(crate) struct Issue {
    pub(crate) number: u64,
    pub(crate) id: u64,
    pub(crate) title: String,
    pub(crate) body: Option<String>,
    pub(crate) user: String,
    /// `open` or `closed`.
    pub(crate) state: String,
    pub(crate) state_reason: Option<String>,
    pub(crate) closed_by: Option<String>,
    pub(crate) closed_at: Option<String>,
    pub(crate) labels: Vec<String>,
    pub(crate) assignees: Vec<String>,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
    pub(crate) pull: Option<Pull>,
}

/// A repository.
pub(crate) struct Repository {
    pub(crate) full_name: String,
    pub(crate) id: u64,
    pub(crate) default_branch: String,
    pub(crate) private: bool,
    pub(crate) archived: bool,
    pub(crate) has_issues: bool,
    pub(crate) fork_of: Option<String>,
    /// "Allow GitHub Actions to create and approve pull requests".
    pub(crate) actions_may_open_pull_requests: bool,
    pub(crate) protected: BTreeSet<String>,
    /// A rule set: branches that begin so can't be made.
    pub(crate) forbidden_branches: Vec<String>,
    pub(crate) collaborators: BTreeSet<String>,
    pub(crate) bare: Bare,
    pub(crate) runs: Vec<Run>,
    /// Issues and pull requests, which count together.
    pub(crate) issues: BTreeMap<u64, Issue>,
    pub(crate) comments: Vec<Comment>,
    pub(crate) reviews: Vec<Review>,
    /// Commits that the API signed.
    pub(crate) signed: BTreeSet<String>,
    /// Commits that requests made.
    pub(crate) made: BTreeSet<String>,
}

impl Repository {
    pub(crate) fn owner(&self) -> &str {
        self.full_name.split_once('/').map_or("", |(owner, _)| owner)
    }

    pub(crate) fn name(&self) -> &str {
        self.full_name.split_once('/').map_or("", |(_, name)| name)
    }

    /// A job of any attempt of any run.
    pub(crate) fn job(&self, id: u64) -> Option<(&Run, u64, &Job)> {
        self.runs.iter().find_map(|run| {
            let jobs = run.attempts.iter().zip(1..).flat_map(|(a, n)| a.jobs.iter().map(move |job| (n, job)));
            jobs.into_iter().find(|(_, job)| job.id == id).map(|(n, job)| (run, n, job))
        })
    }
}

/// A request as it came, and what was answered.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) method: String,
    /// Below `/api/v3`, percent-decoded.
    pub(crate) path: String,
    pub(crate) query: BTreeMap<String, String>,
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    /// Null where it was no JSON.
    pub(crate) body: Value,
    pub(crate) bytes: Vec<u8>,
    /// 0 while it is not answered.
    pub(crate) status: u16,
}

impl Call {
    /// Does it ask for a change?
    pub(crate) fn writes(&self) -> bool {
        !matches!(self.method.as_str(), "GET" | "HEAD")
    }
}

/// What a test has to read: repository and number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unread {
    PullRequest(String, u64),
    Issue(String, u64),
    Comment(String, u64),
    Review(String, u64),
}

/// A log that can be fetched for a while.
pub(crate) struct Ticket {
    pub(crate) bytes: Vec<u8>,
    pub(crate) kind: &'static str,
    pub(crate) made: Instant,
}

/// The budget of requests.
pub(crate) struct Rate {
    pub(crate) limit: u64,
    pub(crate) remaining: u64,
    /// Seconds since 1970.
    pub(crate) reset: u64,
}

/// Everything.
pub(crate) struct State {
    /// `http://127.0.0.1:PORT`.
    pub(crate) server: String,
    /// Where logs are fetched from.
    pub(crate) storage: String,
    pub(crate) token: String,
    pub(crate) identity: Identity,
    /// `contents` → `write`.
    pub(crate) permissions: BTreeMap<String, String>,
    pub(crate) repositories: BTreeMap<String, Repository>,
    pub(crate) faults: Vec<Fault>,
    pub(crate) rate: Rate,
    pub(crate) tickets: BTreeMap<String, Ticket>,
    pub(crate) ticket_life: Duration,
    pub(crate) calls: Vec<Call>,
    /// Requests for git and for logs.
    pub(crate) other_calls: Vec<Call>,
    /// What fails the test.
    pub(crate) complaints: Vec<String>,
    pub(crate) unread: Vec<Unread>,
    pub(crate) secrets: Vec<String>,
    pub(crate) last_id: u64,
}

impl State {
    pub(crate) fn new(server: String, storage: String) -> State {
        let token = format!("ghs_{:032x}", fastrand::u128(..));
        let granted = [("actions", "read"), ("contents", "write"), ("pull-requests", "write"), ("metadata", "read")];
        State {
            server,
            storage,
            token,
            identity: Identity::ActionsBot,
            permissions: granted.iter().map(|(name, access)| ((*name).to_owned(), (*access).to_owned())).collect(),
            repositories: BTreeMap::new(),
            faults: Vec::new(),
            rate: Rate { limit: 1000, remaining: 1000, reset: seconds() + 3600 },
            tickets: BTreeMap::new(),
            ticket_life: Duration::from_secs(60),
            calls: Vec::new(),
            other_calls: Vec::new(),
            complaints: Vec::new(),
            unread: Vec::new(),
            secrets: Vec::new(),
            last_id: 1000,
        }
    }

    pub(crate) fn id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// May the token do this? `read` or `write` of one of the areas.
    pub(crate) fn may(&self, areas: &str, access: &str) -> bool {
        areas.split('|').any(|area| {
            let granted = self.permissions.get(area).map(String::as_str);
            matches!((granted, access), (Some("write"), _) | (Some("read"), "read"))
        })
    }

    /// A test has to look at it.
    pub(crate) fn tell(&mut self, what: Unread) {
        if !self.unread.contains(&what) {
            self.unread.push(what);
        }
    }

    pub(crate) fn ticket(&mut self, bytes: Vec<u8>, kind: &'static str) -> String {
        let name = format!("{:016x}", fastrand::u64(..));
        let url = format!("{}/logs/{name}?sig={:016x}", self.storage, fastrand::u64(..));
        self.tickets.insert(name, Ticket { bytes, kind, made: Instant::now() });
        url
    }

    /// The headers of the rate limit; a budget comes back when its hour is over.
    pub(crate) fn spend(&mut self) -> bool {
        if seconds() >= self.rate.reset {
            self.rate.remaining = self.rate.limit;
            self.rate.reset = seconds() + 3600;
        }
        let left = self.rate.remaining > 0;
        self.rate.remaining = self.rate.remaining.saturating_sub(1);
        left
    }

    /// A user, or a bot, as the API shows it.
    pub(crate) fn user(&self, login: &str) -> Value {
        let api = format!("{}/api/v3/users/{login}", self.server);
        let id: u64 = login.bytes().fold(7, |sum, byte| (sum * 31 + u64::from(byte)) % 100_000_000);
        let kind = if login.ends_with("[bot]") { "Bot" } else { "User" };
        json!({
            "login": login, "id": id, "node_id": format!("U_{id}"), "type": kind, "site_admin": false,
            "avatar_url": format!("{}/avatars/{id}", self.server), "gravatar_id": "",
            "url": api, "html_url": format!("{}/{login}", self.server),
            "followers_url": format!("{api}/followers"), "following_url": format!("{api}/following{{/other_user}}"),
            "gists_url": format!("{api}/gists{{/gist_id}}"), "starred_url": format!("{api}/starred{{/owner}}{{/repo}}"),
            "subscriptions_url": format!("{api}/subscriptions"), "organizations_url": format!("{api}/orgs"),
            "repos_url": format!("{api}/repos"), "events_url": format!("{api}/events{{/privacy}}"),
            "received_events_url": format!("{api}/received_events"),
        })
    }
}

/// Seconds since 1970.
pub(crate) fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

impl Issue {
    pub(crate) fn new(number: u64, id: u64, user: &str, title: &str, body: Option<String>) -> Issue {
        Issue {
            number,
            id,
            title: title.to_owned(),
            body,
            user: user.to_owned(),
            state: "open".to_owned(),
            state_reason: None,
            closed_by: None,
            closed_at: None,
            labels: Vec::new(),
            assignees: Vec::new(),
            created_at: now(),
            updated_at: now(),
            pull: None,
        }
    }

    pub(crate) fn close(&mut self, by: &str) {
        self.state = "closed".to_owned();
        self.closed_by = Some(by.to_owned());
        self.closed_at = Some(now());
        self.updated_at = now();
    }

    pub(crate) fn reopen(&mut self) {
        self.state = "open".to_owned();
        self.closed_by = None;
        self.closed_at = None;
        self.updated_at = now();
    }
}
