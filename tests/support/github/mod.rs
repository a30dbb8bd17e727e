//! A GitHub on this machine: a state model over HTTP with real git repositories behind it. Tests set the state up, let the
//! real client talk to it, and read what came of it. Requests and answers are held to GitHub's own description, and a
//! test that leaves something unread, asked for something unexpected or let a secret out fails when the fake is dropped.
//!
//! ```ignore
//! let github = GitHub::start();
//! github.secret("sk-key-of-the-model");
//! let repo = github.repository("octo/widgets");
//! let sha = repo.commit("main", "Break it", &[("calc.py", "def add(a, b):\n    return a - b\n")]);
//! let job = NewJob::failed("test").log(LOG).step("Run tests", "failure");
//! let run = repo.add_run(NewRun::failed("CI", &sha).job(job));
//!
//! // The client: GITHUB_API_URL is github.api(), the token github.token(), the event a file of this:
//! let payload = repo.workflow_run_event(run);
//! github.fault(Fault::on("POST", "/pulls$").after_the_work(502));
//! // …
//!
//! let pull = github.take_pull_request();
//! assert_eq!(pull.base, "main");
//! assert!(pull.diff.contains("+    return a + b"), "{}", pull.diff);
//! assert!(github.calls().len() <= 20);
//! github.assert_done();
//! ```
//!
//! - **Set up**: [`GitHub::repository`] and [`Repo`] (commits, branches, runs, pulls and issues that were there before,
//!   settings); [`GitHub::identity`], [`GitHub::permissions`]; [`GitHub::rate_limit`]; [`GitHub::fault`] with [`Fault`].
//! - **Read**: `take_…` gives the first of what requests made or changed, and marks it as read; `calls` and `writes` what
//!   was asked; [`Repo::head`], [`Repo::file`], [`Repo::pulls`], [`Repo::git`] what is there.
//! - **Where**: `/api/v3` is REST, `/OWNER/NAME.git` git (reading only), another port serves logs. GraphQL is not served.
//!
//! `extract.mjs` makes the fixtures.

#![allow(dead_code, unused_imports)]

mod actions;
mod bare;
mod checks;
mod contents;
mod events;
mod faults;
mod git_data;
mod issues;
mod pulls;
mod reviews;
mod router;
pub(crate) mod schema;
mod server;
mod setup;
mod state;
mod views;
mod watch;

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tempfile::TempDir;

use self::{
    bare::Bare,
    server::{Server, Shared},
    state::{Unread, seconds},
};
pub(crate) use self::{
    faults::Fault,
    setup::{NewJob, NewRun, Repo},
    state::{Call, Comment, Identity, Issue, Job, Log, Pull, Repository, Review, ReviewComment, Run, State},
    views::{PullRequest, Said},
};

/// The fake. It ends when it is dropped, and fails the test then unless all is in order.
pub(crate) struct GitHub {
    server: Server,
    directory: TempDir,
    checked: AtomicBool,
}

impl GitHub {
    /// On 127.0.0.1.
    pub(crate) fn start() -> GitHub {
        GitHub::start_at(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }

    /// On another address of this machine, for clients in containers. Its addresses name it.
    pub(crate) fn start_at(address: IpAddr) -> GitHub {
        let directory = tempfile::Builder::new().prefix("github-").tempdir().unwrap();
        GitHub { server: Server::start(address), directory, checked: AtomicBool::new(false) }
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.server.shared
    }

    /// `GITHUB_SERVER_URL`.
    pub(crate) fn url(&self) -> String {
        self.shared().lock().server.clone()
    }

    /// `GITHUB_API_URL`.
    pub(crate) fn api(&self) -> String {
        format!("{}/api/v3", self.url())
    }

    /// `GITHUB_GRAPHQL_URL`: nobody should ask there.
    pub(crate) fn graphql(&self) -> String {
        format!("{}/api/graphql", self.url())
    }

    /// Where logs come from: `http://ADDRESS:OTHER`.
    pub(crate) fn storage(&self) -> String {
        self.shared().lock().storage.clone()
    }

    /// The token that is right. It is a secret, too.
    pub(crate) fn token(&self) -> String {
        self.shared().lock().token.clone()
    }

    /// A new, empty repository.
    pub(crate) fn repository(&self, full_name: &str) -> Repo {
        let mut state = self.shared().lock();
        let repository = Repository {
            full_name: full_name.to_owned(),
            id: state.id(),
            default_branch: "main".to_owned(),
            private: false,
            archived: false,
            has_issues: true,
            fork_of: None,
            actions_may_open_pull_requests: true,
            protected: BTreeSet::new(),
            forbidden_branches: Vec::new(),
            collaborators: BTreeSet::new(),
            bare: Bare::create(self.directory.path(), full_name),
            runs: Vec::new(),
            issues: std::collections::BTreeMap::new(),
            comments: Vec::new(),
            reviews: Vec::new(),
            signed: BTreeSet::new(),
            made: BTreeSet::new(),
        };
        state.repositories.insert(full_name.to_owned(), repository);
        Repo { shared: self.shared().clone(), full_name: full_name.to_owned() }
    }

    /// Changes anything, as only a test can.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.shared().lock())
    }

    /// Whose token it is; at first a workflow's `GITHUB_TOKEN`.
    pub(crate) fn identity(&self, identity: Identity) {
        self.shared().lock().identity = identity;
    }

    /// All that the token may do, in words like `contents:write actions:read`; at first what the README's workflow grants.
    pub(crate) fn permissions(&self, permissions: &str) {
        let pairs = permissions.split_whitespace().filter_map(|word| word.split_once(':'));
        let pairs = pairs.map(|(area, access)| (area.to_owned(), access.to_owned()));
        self.shared().lock().permissions = pairs.collect();
    }

    /// So many requests are left, and in so many seconds there are new ones.
    pub(crate) fn rate_limit(&self, remaining: u64, reset_in: u64) {
        let rate = &mut self.shared().lock().rate;
        (rate.remaining, rate.reset) = (remaining, seconds() + reset_in);
    }

    /// The addresses of logs hold so long; at first a minute.
    pub(crate) fn log_addresses_hold(&self, life: Duration) {
        self.shared().lock().ticket_life = life;
    }

    /// Something is to go wrong.
    pub(crate) fn fault(&self, fault: Fault) {
        self.shared().lock().faults.push(fault);
    }

    /// This may be in no request.
    pub(crate) fn secret(&self, value: &str) {
        self.shared().lock().secrets.push(value.to_owned());
    }

    /// Complains where a secret (the token is one) is in a text that the test has got: an output, a summary, a report.
    pub(crate) fn check_for_secrets(&self, what: &str, text: &str) {
        let mut state = self.shared().lock();
        let secrets: Vec<String> = state.secrets.iter().cloned().chain([state.token.clone()]).collect();
        if secrets.iter().any(|secret| watch::shows(text, secret)) {
            state.complaints.push(format!("a secret leaked in {what}"));
        }
    }

    /// The API's requests so far.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.shared().lock().calls.clone()
    }

    /// Those that ask for a change.
    pub(crate) fn writes(&self) -> Vec<Call> {
        self.calls().into_iter().filter(Call::writes).collect()
    }

    /// `METHOD /path` of the API's requests so far.
    pub(crate) fn conversation(&self) -> Vec<String> {
        self.calls().iter().map(|call| format!("{} {}", call.method, call.path)).collect()
    }

    /// Requests for git, and for logs on the other host.
    pub(crate) fn other_calls(&self) -> Vec<Call> {
        self.shared().lock().other_calls.clone()
    }

    /// The first pull request that was opened or changed and not read yet.
    #[track_caller]
    pub(crate) fn take_pull_request(&self) -> PullRequest {
        self.take("pull request", |state, unread| {
            let Unread::PullRequest(full_name, number) = unread else { return None };
            let repository = state.repositories.get(full_name)?;
            Some(PullRequest::of(repository, repository.issues.get(number)?))
        })
    }

    /// The first issue that was opened or changed and not read yet.
    #[track_caller]
    pub(crate) fn take_issue(&self) -> Said {
        self.take("issue", |state, unread| {
            let Unread::Issue(full_name, number) = unread else { return None };
            Some(Said::issue(state.repositories.get(full_name)?.issues.get(number)?))
        })
    }

    /// The first comment that was made or changed and not read yet.
    #[track_caller]
    pub(crate) fn take_comment(&self) -> Said {
        self.take("comment", |state, unread| {
            let Unread::Comment(full_name, id) = unread else { return None };
            let repository = state.repositories.get(full_name)?;
            let comment = repository.comments.iter().find(|comment| comment.id == *id)?;
            let issue = Said::issue(repository.issues.get(&comment.issue)?);
            Some(Said { body: comment.body.clone(), user: comment.user.clone(), ..issue })
        })
    }

    /// The first review that was made and not read yet.
    #[track_caller]
    pub(crate) fn take_review(&self) -> Review {
        self.take("review", |state, unread| {
            let Unread::Review(full_name, id) = unread else { return None };
            state.repositories.get(full_name)?.reviews.iter().find(|review| review.id == *id).cloned()
        })
    }

    #[track_caller]
    fn take<T>(&self, what: &str, read: impl Fn(&State, &Unread) -> Option<T>) -> T {
        let mut state = self.shared().lock();
        let found = state.unread.iter().enumerate().find_map(|(at, unread)| Some((at, read(&state, unread)?)));
        let Some((at, found)) = found else {
            let (unread, complaints) = (state.unread.clone(), state.complaints.clone());
            drop(state);
            panic!("no {what} to read; unread: {unread:?}; complaints: {complaints:#?}");
        };
        state.unread.remove(at);
        found
    }

    /// The first complaint, where a test wants one.
    #[track_caller]
    pub(crate) fn take_complaint(&self) -> String {
        let mut state = self.shared().lock();
        if state.complaints.is_empty() {
            drop(state);
            panic!("nothing to complain of");
        }
        state.complaints.remove(0)
    }

    /// Fails the test where anything is unread, unexpected, out of shape, or leaked.
    #[track_caller]
    pub(crate) fn assert_done(&self) {
        self.checked.store(true, Ordering::SeqCst);
        let state = self.shared().lock();
        let (unread, complaints) = (state.unread.clone(), state.complaints.clone());
        drop(state);
        assert!(complaints.is_empty(), "GitHub complains: {complaints:#?}");
        assert!(unread.is_empty(), "the test did not read {unread:?}");
    }
}

impl Drop for GitHub {
    fn drop(&mut self) {
        if !std::thread::panicking() && !self.checked.load(Ordering::SeqCst) {
            self.assert_done();
        }
    }
}
