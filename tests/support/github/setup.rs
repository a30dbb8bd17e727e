//! What tests write: repositories, commits, runs, jobs, pull requests that were there before.

use std::{fs, path::Path, sync::Arc};

use serde_json::Value;

use super::{
    actions,
    bare::{Person, now},
    events,
    server::Shared,
    state::{Annotation, Attempt, Comment, Issue, Job, Log, Pull, Repository, Run, Step},
    views::PullRequest,
};

/// A run to add.
#[derive(Debug, Clone)]
pub(crate) struct NewRun(Run);

impl NewRun {
    /// A push to `main` that failed, of `.github/workflows/ci.yml`.
    pub(crate) fn failed(name: &str, head_sha: &str) -> NewRun {
        NewRun::concluded(name, head_sha, "failure")
    }

    pub(crate) fn concluded(name: &str, head_sha: &str, conclusion: &str) -> NewRun {
        let attempt = Attempt {
            status: "completed".to_owned(),
            conclusion: Some(conclusion.to_owned()),
            triggering_actor: "alice".to_owned(),
            jobs: Vec::new(),
        };
        NewRun(Run {
            id: 0,
            number: 0,
            name: name.to_owned(),
            event: "push".to_owned(),
            path: ".github/workflows/ci.yml".to_owned(),
            workflow_id: 77,
            head_sha: head_sha.to_owned(),
            head_branch: Some("main".to_owned()),
            head_repository: String::new(),
            actor: "alice".to_owned(),
            pull_requests: Vec::new(),
            created_at: now(),
            attempts: vec![attempt],
        })
    }

    pub(crate) fn event(mut self, event: &str) -> NewRun {
        event.clone_into(&mut self.0.event);
        self
    }

    pub(crate) fn branch(mut self, branch: Option<&str>) -> NewRun {
        self.0.head_branch = branch.map(str::to_owned);
        self
    }

    /// Of a fork.
    pub(crate) fn head_repository(mut self, full_name: &str) -> NewRun {
        full_name.clone_into(&mut self.0.head_repository);
        self
    }

    pub(crate) fn actor(mut self, login: &str) -> NewRun {
        login.clone_into(&mut self.0.actor);
        login.clone_into(&mut self.0.attempts[0].triggering_actor);
        self
    }

    pub(crate) fn pull_requests(mut self, numbers: &[u64]) -> NewRun {
        self.0.pull_requests = numbers.to_vec();
        self
    }

    /// Of another workflow file.
    pub(crate) fn workflow(mut self, id: u64, path: &str) -> NewRun {
        self.0.workflow_id = id;
        path.clone_into(&mut self.0.path);
        self
    }

    /// Still under way.
    pub(crate) fn in_progress(mut self) -> NewRun {
        let attempt = &mut self.0.attempts[0];
        (attempt.status, attempt.conclusion) = ("in_progress".to_owned(), None);
        self
    }

    pub(crate) fn job(mut self, job: NewJob) -> NewRun {
        self.0.attempts[0].jobs.push(job.0);
        self
    }
}

/// A job to add.
#[derive(Debug, Clone)]
pub(crate) struct NewJob(Job);

impl NewJob {
    pub(crate) fn failed(name: &str) -> NewJob {
        NewJob::concluded(name, Some("failure"))
    }

    pub(crate) fn passed(name: &str) -> NewJob {
        NewJob::concluded(name, Some("success"))
    }

    /// No conclusion: it still runs.
    pub(crate) fn concluded(name: &str, conclusion: Option<&str>) -> NewJob {
        NewJob(Job {
            id: 0,
            name: name.to_owned(),
            status: if conclusion.is_some() { "completed" } else { "in_progress" }.to_owned(),
            conclusion: conclusion.map(str::to_owned),
            steps: Vec::new(),
            labels: vec!["ubuntu-latest".to_owned()],
            runner: Some("GitHub Actions 1".to_owned()),
            log: Log::Missing,
            annotations: Vec::new(),
        })
    }

    pub(crate) fn log(mut self, bytes: impl AsRef<[u8]>) -> NewJob {
        self.0.log = Log::Bytes(bytes.as_ref().to_vec());
        self
    }

    /// 404, as it is without a log (and is so by default).
    pub(crate) fn log_missing(mut self) -> NewJob {
        self.0.log = Log::Missing;
        self
    }

    /// 410.
    pub(crate) fn log_expired(mut self) -> NewJob {
        self.0.log = Log::Expired;
        self
    }

    /// The next step.
    pub(crate) fn step(mut self, name: &str, conclusion: &str) -> NewJob {
        let number = self.0.steps.len() as u64 + 1;
        let (name, conclusion) = (name.to_owned(), Some(conclusion.to_owned()));
        self.0.steps.push(Step { number, name, status: "completed".to_owned(), conclusion, log: None });
        self
    }

    /// The next step, with a file of its own in the zip.
    pub(crate) fn step_log(mut self, name: &str, conclusion: &str, log: &str) -> NewJob {
        self = self.step(name, conclusion);
        if let Some(step) = self.0.steps.last_mut() {
            step.log = Some(log.as_bytes().to_vec());
        }
        self
    }

    /// `level` is `notice`, `warning` or `failure`.
    pub(crate) fn annotation(mut self, path: &str, line: u64, level: &str, message: &str) -> NewJob {
        let (path, level, message) = (path.to_owned(), level.to_owned(), message.to_owned());
        self.0.annotations.push(Annotation { path, line, level, title: None, message });
        self
    }
}

/// A repository of the fake, to set it up and to look at it. What a test does here needs no reading.
#[derive(Clone)]
pub(crate) struct Repo {
    pub(crate) shared: Arc<Shared>,
    pub(crate) full_name: String,
}

impl Repo {
    /// Changes the repository as only a test can.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Repository) -> T) -> T {
        change(self.shared.lock().repositories.get_mut(&self.full_name).unwrap())
    }

    fn id(&self) -> u64 {
        self.shared.lock().id()
    }

    /// Where it is cloned from.
    pub(crate) fn clone_url(&self) -> String {
        format!("{}/{}.git", self.shared.lock().server, self.full_name)
    }

    pub(crate) fn private(self) -> Repo {
        self.change(|repository| repository.private = true);
        self
    }

    pub(crate) fn fork_of(self, parent: &str) -> Repo {
        self.change(|repository| repository.fork_of = Some(parent.to_owned()));
        self
    }

    pub(crate) fn default_branch(self, branch: &str) -> Repo {
        self.change(|repository| {
            repository.default_branch = branch.to_owned();
            repository.bare.git(&["symbolic-ref", "HEAD", &format!("refs/heads/{branch}")]);
        });
        self
    }

    /// The setting "Allow GitHub Actions to create and approve pull requests", off.
    pub(crate) fn forbid_pull_requests(&self) {
        self.change(|repository| repository.actions_may_open_pull_requests = false);
    }

    pub(crate) fn protect(&self, branch: &str) {
        self.change(|repository| repository.protected.insert(branch.to_owned()));
    }

    /// A rule set that lets nobody make branches that begin so.
    pub(crate) fn forbid_branches(&self, prefix: &str) {
        self.change(|repository| repository.forbidden_branches.push(prefix.to_owned()));
    }

    /// Somebody (or a team, by its slug) who may be asked for a review.
    pub(crate) fn collaborator(&self, login: &str) {
        self.change(|repository| repository.collaborators.insert(login.to_owned()));
    }

    pub(crate) fn without_issues(&self) {
        self.change(|repository| repository.has_issues = false);
    }

    /// Git in the bare repository; it must succeed.
    #[track_caller]
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        self.change(|repository| repository.bare.git(arguments))
    }

    /// A commit on top of a branch (which it makes where there is none) with these files changed: its sha.
    pub(crate) fn commit(&self, branch: &str, message: &str, files: &[(&str, &str)]) -> String {
        let files = files.iter().map(|(path, text)| (*path, Some(text.as_bytes().to_vec()), "100644"));
        self.committed(branch, message, files.collect())
    }

    /// A commit that is without these files.
    pub(crate) fn commit_removal(&self, branch: &str, message: &str, paths: &[&str]) -> String {
        self.committed(branch, message, paths.iter().map(|path| (*path, None, "0")).collect())
    }

    fn committed(&self, branch: &str, message: &str, files: Vec<(&str, Option<Vec<u8>>, &str)>) -> String {
        self.change(|repository| {
            let bare = &repository.bare;
            let reference = format!("refs/heads/{branch}");
            let parent = bare.reference(&reference);
            let entries: Vec<(String, Option<String>, String)> = files
                .into_iter()
                .map(|(path, bytes, mode)| (mode.to_owned(), bytes.map(|bytes| bare.blob(&bytes)), path.to_owned()))
                .collect();
            let tree = bare.tree(parent.as_deref(), &entries).unwrap();
            let alice = Person::new("alice", "alice@example.com");
            let parents: Vec<String> = parent.into_iter().collect();
            let sha = bare.commit(&tree, &parents, message, (&alice, &alice));
            bare.set_reference(&reference, &sha);
            sha
        })
    }

    /// A commit of a directory as it is, on a branch; `.git` and caches of Python are left out.
    pub(crate) fn commit_directory(&self, branch: &str, message: &str, directory: &Path) -> String {
        let tree = self.change(|repository| {
            let index = tempfile::Builder::new().prefix("index-").tempdir().unwrap();
            let index = index.path().join("index").display().to_string();
            let exclude = index.clone() + "-exclude";
            fs::write(&exclude, ".git\n__pycache__\n*.pyc\n").unwrap();
            let (work, excluded) = (directory.display().to_string(), format!("core.excludesFile={exclude}"));
            let env = [("GIT_INDEX_FILE", index.as_str()), ("GIT_WORK_TREE", work.as_str())];
            let bare = &repository.bare;
            let add = ["-C", &work, "-c", "core.bare=false", "-c", &excluded, "add", "--all", "."];
            bare.try_git(&add, b"", &env).unwrap();
            String::from_utf8(bare.try_git(&["write-tree"], b"", &env).unwrap()).unwrap().trim().to_owned()
        });
        self.change(|repository| {
            let bare = &repository.bare;
            let reference = format!("refs/heads/{branch}");
            let parents: Vec<String> = bare.reference(&reference).into_iter().collect();
            let alice = Person::new("alice", "alice@example.com");
            let sha = bare.commit(&tree, &parents, message, (&alice, &alice));
            bare.set_reference(&reference, &sha);
            sha
        })
    }

    /// All branches and tags of a checkout; its branch becomes the default one. Its sha.
    pub(crate) fn import(&self, checkout: &Path) -> String {
        self.change(|repository| {
            let bare = &repository.bare;
            let from = checkout.display().to_string();
            bare.git(&[
                "fetch",
                "--quiet",
                "--update-head-ok",
                &from,
                "+refs/heads/*:refs/heads/*",
                "+refs/tags/*:refs/tags/*",
            ]);
            let head = fs::read_to_string(checkout.join(".git/HEAD")).unwrap();
            if let Some(branch) = head.trim().strip_prefix("ref: refs/heads/") {
                branch.clone_into(&mut repository.default_branch);
                repository.bare.git(&["symbolic-ref", "HEAD", head.trim().trim_start_matches("ref: ")]);
            }
            repository.bare.resolve(&repository.default_branch).unwrap()
        })
    }

    /// Sets a ref: `refs/heads/x`, `refs/tags/v1`.
    pub(crate) fn set_ref(&self, name: &str, sha: &str) {
        self.change(|repository| repository.bare.set_reference(name, sha));
    }

    /// The commit of a branch, a tag or a full ref.
    pub(crate) fn head(&self, name: &str) -> Option<String> {
        self.change(|repository| repository.bare.resolve(name))
    }

    /// A file's text on a branch or of a commit.
    pub(crate) fn file(&self, name: &str, path: &str) -> Option<String> {
        let bytes = self.change(|repository| repository.bare.read(name, path))?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    pub(crate) fn branches(&self) -> Vec<String> {
        let found = self.change(|repository| repository.bare.references("refs/heads/"));
        found.into_iter().map(|(name, _)| name.trim_start_matches("refs/heads/").to_owned()).collect()
    }

    /// `refs/pull/N/merge` of a pull request, as GitHub makes it: its sha.
    pub(crate) fn merge_ref(&self, number: u64) -> String {
        self.change(|repository| {
            let pull = repository.issues[&number].pull.clone().unwrap();
            let bare = &repository.bare;
            let tree = bare.git(&["merge-tree", "--write-tree", &pull.base_sha, &pull.head_sha]);
            let message = format!("Merge {} into {}", pull.head_sha, pull.base_sha);
            let by = Person::new("GitHub", "noreply@github.com");
            let sha = bare.commit(&tree, &[pull.base_sha, pull.head_sha], &message, (&by, &by));
            bare.set_reference(&format!("refs/pull/{number}/merge"), &sha);
            sha
        })
    }

    /// Adds a run with its first attempt: its number.
    pub(crate) fn add_run(&self, run: NewRun) -> u64 {
        let NewRun(mut run) = run;
        run.id = self.id();
        for job in &mut run.attempts[0].jobs {
            job.id = self.id();
        }
        if run.head_repository.is_empty() {
            run.head_repository.clone_from(&self.full_name);
        }
        self.change(|repository| {
            run.number = repository.runs.len() as u64 + 1;
            let id = run.id;
            repository.runs.push(run);
            id
        })
    }

    /// Adds an attempt to a run.
    pub(crate) fn add_attempt(&self, run: u64, conclusion: &str, jobs: Vec<NewJob>) {
        let jobs = jobs.into_iter().map(|job| Job { id: self.id(), ..job.0 }).collect();
        let (status, conclusion) = ("completed".to_owned(), Some(conclusion.to_owned()));
        let attempt = Attempt { status, conclusion, triggering_actor: "alice".to_owned(), jobs };
        self.change(|repository| run_of(repository, run).attempts.push(attempt));
    }

    /// Ends the last attempt of a run, which was rerun, and all that is still open in it.
    pub(crate) fn finish(&self, run: u64, conclusion: &str) {
        self.change(|repository| {
            let attempt = run_of(repository, run).attempts.last_mut().unwrap();
            (attempt.status, attempt.conclusion) = ("completed".to_owned(), Some(conclusion.to_owned()));
            for job in attempt.jobs.iter_mut().filter(|job| job.conclusion.is_none()) {
                (job.status, job.conclusion) = ("completed".to_owned(), Some(conclusion.to_owned()));
            }
        });
    }

    /// How many attempts a run has had.
    pub(crate) fn attempts(&self, run: u64) -> usize {
        self.change(|repository| run_of(repository, run).attempts.len())
    }

    /// The numbers of the jobs of the last attempt.
    pub(crate) fn jobs(&self, run: u64) -> Vec<u64> {
        self.change(|repository| run_of(repository, run).attempts.last().unwrap().jobs.iter().map(|j| j.id).collect())
    }

    /// The zip of the logs, as it would be fetched.
    pub(crate) fn zip(&self, run: u64) -> Vec<u8> {
        self.change(|repository| actions::archive(run_of(repository, run).attempts.last().unwrap()))
    }

    /// An issue that was there before.
    pub(crate) fn add_issue(&self, user: &str, title: &str, body: &str) -> u64 {
        let id = self.id();
        self.change(|repository| {
            let number = repository.issues.keys().last().copied().unwrap_or(0) + 1;
            repository.issues.insert(number, Issue::new(number, id, user, title, Some(body.to_owned())));
            number
        })
    }

    /// A pull request that was there before, of a branch here.
    pub(crate) fn add_pull(&self, user: &str, head: &str, base: &str, title: &str) -> u64 {
        let full_name = self.full_name.clone();
        self.add_pull_from(&full_name, user, head, base, title)
    }

    /// A pull request that was there before, of a branch of a fork.
    pub(crate) fn add_pull_from(&self, fork: &str, user: &str, head: &str, base: &str, title: &str) -> u64 {
        let number = self.add_issue(user, title, "");
        let (head_sha, from) = {
            let state = self.shared.lock();
            let bare = &state.repositories[fork].bare;
            (bare.reference(&format!("refs/heads/{head}")).unwrap(), bare.path.display().to_string())
        };
        self.change(|repository| {
            let to = format!("+{head_sha}:refs/pull/{number}/head");
            repository.bare.git(&["fetch", "--quiet", "--no-tags", &from, &to]);
            let base_sha = repository.bare.reference(&format!("refs/heads/{base}")).unwrap();
            let issue = repository.issues.get_mut(&number).unwrap();
            issue.pull = Some(Pull {
                head_repository: fork.to_owned(),
                head: head.to_owned(),
                head_sha,
                base: base.to_owned(),
                base_sha,
                draft: false,
                merged_by: None,
                reviewers: Vec::new(),
                teams: Vec::new(),
                maintainer_can_modify: true,
            });
            number
        })
    }

    /// Closes an issue, or a pull request unmerged.
    pub(crate) fn close(&self, number: u64, by: &str) {
        self.change(|repository| repository.issues.get_mut(&number).unwrap().close(by));
    }

    /// Merges a pull request.
    pub(crate) fn merge(&self, number: u64, by: &str) {
        let sha = self.merge_ref(number);
        self.change(|repository| {
            let issue = repository.issues.get_mut(&number).unwrap();
            issue.close(by);
            let pull = issue.pull.as_mut().unwrap();
            pull.merged_by = Some(by.to_owned());
            let base = format!("refs/heads/{}", pull.base);
            repository.bare.set_reference(&base, &sha);
        });
    }

    /// A comment that was there before.
    pub(crate) fn add_comment(&self, number: u64, user: &str, body: &str) -> u64 {
        let id = self.id();
        let (user, body) = (user.to_owned(), body.to_owned());
        let comment = Comment { id, issue: number, user, body, created_at: now(), updated_at: now() };
        self.change(|repository| repository.comments.push(comment));
        id
    }

    /// All pull requests, as they are now.
    pub(crate) fn pulls(&self) -> Vec<PullRequest> {
        self.change(|repository| {
            let pulls = repository.issues.values().filter(|issue| issue.pull.is_some());
            pulls.map(|issue| PullRequest::of(repository, issue)).collect()
        })
    }

    /// The payload of `workflow_run` completed, for the last attempt.
    pub(crate) fn workflow_run_event(&self, run: u64) -> Value {
        let state = self.shared.lock();
        let repository = &state.repositories[&self.full_name];
        let attempts = repository.runs.iter().find(|found| found.id == run).unwrap().attempts.len();
        events::workflow_run(&state, repository, run, attempts)
    }

    /// The payload of `check_run` completed, for a job.
    pub(crate) fn check_run_event(&self, job: u64) -> Value {
        let state = self.shared.lock();
        events::check_run(&state, &state.repositories[&self.full_name], job)
    }

    /// The payload of `workflow_dispatch`.
    pub(crate) fn workflow_dispatch_event(&self, inputs: Value) -> Value {
        let state = self.shared.lock();
        events::workflow_dispatch(&state, &state.repositories[&self.full_name], inputs)
    }
}

fn run_of(repository: &mut Repository, id: u64) -> &mut Run {
    repository.runs.iter_mut().find(|run| run.id == id).unwrap()
}
