//! The fake GitHub itself: is it one?

use std::{
    collections::BTreeMap,
    path::Path,
    process::Command,
    sync::{
        Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    github::{Fault, GitHub, Identity, NewJob, NewRun, Repo, schema},
    world::run,
};

/// A client that does as it is told.
struct Client {
    runtime: tokio::runtime::Runtime,
    client: reqwest::Client,
    api: String,
    token: Option<String>,
}

struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    bytes: Vec<u8>,
    json: Value,
}

impl Answer {
    #[track_caller]
    fn is(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.json);
        self.json
    }

    /// The message, and those of the errors.
    fn message(&self) -> String {
        let errors = self.json["errors"].as_array().cloned().unwrap_or_default();
        let errors = errors.iter().map(|error| error["message"].as_str().or(error.as_str()).unwrap_or_default());
        let all = [self.json["message"].as_str().unwrap_or_default()].into_iter().chain(errors);
        all.collect::<Vec<_>>().join(" | ")
    }
}

impl Client {
    fn of(github: &GitHub) -> Client {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let client = reqwest::Client::builder().user_agent("double").no_proxy();
        let client = client.redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Client { runtime, client, api: github.api(), token: Some(github.token()) }
    }

    fn try_ask(&self, method: &str, path: &str, body: Value) -> Result<Answer, reqwest::Error> {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.api) };
        let mut request = self.client.request(method.parse().unwrap(), url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if !body.is_null() {
            request = request.json(&body);
        }
        self.runtime.block_on(async {
            let response = request.send().await?;
            let status = response.status().as_u16();
            let text = |value: &reqwest::header::HeaderValue| value.to_str().unwrap_or_default().to_owned();
            let headers = response.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect();
            let bytes = response.bytes().await?.to_vec();
            let json = serde_json::from_slice(&bytes).unwrap_or_default();
            Ok(Answer { status, headers, bytes, json })
        })
    }

    fn get(&self, path: &str) -> Answer {
        self.try_ask("GET", path, Value::Null).unwrap()
    }

    fn post(&self, path: &str, body: Value) -> Answer {
        self.try_ask("POST", path, body).unwrap()
    }

    fn patch(&self, path: &str, body: Value) -> Answer {
        self.try_ask("PATCH", path, body).unwrap()
    }

    /// A branch with one commit more than `base`: its sha.
    fn branch(&self, name: &str, base: &str, path: &str, content: &str) -> String {
        let entry = json!({"path": path, "mode": "100644", "type": "blob", "content": content});
        let tree = self.post("/repos/octo/widgets/git/trees", json!({"base_tree": base, "tree": [entry]})).is(201);
        let body = json!({"message": "Repair add", "tree": tree["sha"], "parents": [base]});
        let commit = self.post("/repos/octo/widgets/git/commits", body).is(201);
        let sha = commit["sha"].as_str().unwrap().to_owned();
        let body = json!({"ref": format!("refs/heads/{name}"), "sha": sha});
        self.post("/repos/octo/widgets/git/refs", body).is(201);
        sha
    }
}

const WRONG: &str = "def add(a, b):\n    return a - b\n";
const RIGHT: &str = "def add(a, b):\n    return a + b\n";

fn widgets(github: &GitHub) -> (Repo, String) {
    let repo = github.repository("octo/widgets");
    repo.commit("main", "Start", &[("README.md", "# Widgets\n"), ("pkg/calc.py", RIGHT)]);
    let sha = repo.commit("main", "Break it", &[("pkg/calc.py", WRONG)]);
    (repo, sha)
}

fn git(directory: &Path, arguments: &[&str]) -> (bool, String) {
    let mut git = Command::new("git");
    git.args(arguments).current_dir(directory).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_TERMINAL_PROMPT", "0");
    let output = run(&mut git);
    (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

/// What a test's end would say.
fn complaint(github: GitHub) -> String {
    let said = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| github.assert_done())).unwrap_err();
    said.downcast_ref::<String>().cloned().unwrap_or_default()
}

#[test]
fn a_failed_run_is_found_with_its_attempts_jobs_steps_and_logs() {
    let github = GitHub::start();
    let (repo, sha) = widgets(&github);
    let job = NewJob::failed("test (3.12)").step("Set up job", "success").step("Run tests", "failure").log("the log\n");
    let id = repo.add_run(NewRun::failed("CI", &sha).job(NewJob::passed("lint").log("fine")).job(job));
    let client = Client::of(&github);

    let run = client.get(&format!("/repos/octo/widgets/actions/runs/{id}")).is(200);
    assert_eq!(
        (&run["conclusion"], &run["run_attempt"], &run["head_sha"]),
        (&json!("failure"), &json!(1), &json!(sha))
    );
    assert_eq!((&run["head_repository"]["full_name"], &run["name"]), (&json!("octo/widgets"), &json!("CI")));
    assert_eq!((&run["head_commit"]["message"], &run["event"]), (&json!("Break it"), &json!("push")));

    let jobs = client.get(&format!("/repos/octo/widgets/actions/runs/{id}/attempts/1/jobs")).is(200);
    assert_eq!(jobs["total_count"], 2);
    let failed = &jobs["jobs"][1];
    assert_eq!((&failed["name"], &failed["steps"][1]["conclusion"]), (&json!("test (3.12)"), &json!("failure")));

    let logs = client.get(&format!("/repos/octo/widgets/actions/jobs/{}/logs", failed["id"]));
    assert_eq!(logs.status, 302);
    assert!(logs.headers["location"].starts_with(&github.storage()), "{:?}", logs.headers);
    let elsewhere = Client { token: None, ..Client::of(&github) };
    assert_eq!(elsewhere.get(&logs.headers["location"]).bytes, b"the log\n");

    let logs = client.get(&format!("/repos/octo/widgets/actions/runs/{id}/logs"));
    let zip = elsewhere.get(&logs.headers["location"]).bytes;
    let zip = zip::ZipArchive::new(std::io::Cursor::new(zip)).unwrap();
    assert_eq!(zip.file_names().collect::<Vec<_>>(), ["0_lint.txt", "1_test (3.12).txt"]);
    github.assert_done();
}

#[test]
fn a_rerun_of_failed_jobs_is_an_attempt_more() {
    let github = GitHub::start();
    let (repo, sha) = widgets(&github);
    let id = repo.add_run(NewRun::failed("CI", &sha).job(NewJob::passed("lint")).job(NewJob::failed("test")));
    let client = Client::of(&github);
    let path = format!("/repos/octo/widgets/actions/runs/{id}");
    assert_eq!(client.post(&format!("{path}/rerun-failed-jobs"), Value::Null).status, 403);
    github.permissions("actions:write");
    client.post(&format!("{path}/rerun-failed-jobs"), Value::Null).is(201);
    let run = client.get(&path).is(200);
    assert_eq!((&run["run_attempt"], &run["status"]), (&json!(2), &json!("queued")));
    assert_eq!(client.get(&format!("{path}/attempts/1")).is(200)["conclusion"], "failure");
    repo.finish(id, "success");
    assert_eq!(client.get(&path).is(200)["conclusion"], "success");
    github.assert_done();
}

#[test]
fn lists_come_in_pages_with_links() {
    let github = GitHub::start();
    let (repo, sha) = widgets(&github);
    let jobs = (0..45).map(|n| NewJob::failed(&format!("job {n}")));
    let id = repo.add_run(jobs.fold(NewRun::failed("CI", &sha), NewRun::job));
    let client = Client::of(&github);
    let first = client.get(&format!("/repos/octo/widgets/actions/runs/{id}/jobs?per_page=40"));
    let link = first.headers["link"].clone();
    assert_eq!(first.is(200)["jobs"].as_array().unwrap().len(), 40);
    let next = link.split(';').next().unwrap().trim_matches(['<', '>']).to_owned();
    let second = client.get(&next);
    assert!(second.headers["link"].contains("rel=\"prev\"") && !second.headers["link"].contains("rel=\"next\""));
    assert_eq!(second.is(200)["jobs"].as_array().unwrap().len(), 5);
    github.assert_done();
}

#[test]
fn a_repair_goes_from_a_tree_to_a_pull_request_that_the_test_reads() {
    let github = GitHub::start();
    let (repo, sha) = widgets(&github);
    repo.collaborator("bob");
    let client = Client::of(&github);
    let fixed = client.branch("test-repair/add", &sha, "pkg/calc.py", RIGHT);
    let commit = client.get(&format!("/repos/octo/widgets/git/commits/{fixed}")).is(200);
    assert_eq!(commit["verification"]["verified"], true);
    let body =
        json!({"title": "Repair add", "head": "test-repair/add", "base": "main", "body": "Proof.", "draft": true});
    let opened = client.post("/repos/octo/widgets/pulls", body.clone()).is(201);
    assert_eq!(opened["changed_files"], 1);
    let again = client.post("/repos/octo/widgets/pulls", body);
    assert_eq!(again.message(), "Validation Failed | A pull request already exists for octo:test-repair/add.");
    let number = &opened["number"];
    let labels = json!({"labels": ["test-repair"]});
    client.post(&format!("/repos/octo/widgets/issues/{number}/labels"), labels).is(200);
    let reviewers = format!("/repos/octo/widgets/pulls/{number}/requested_reviewers");
    client.post(&reviewers, json!({"reviewers": ["bob"]})).is(201);
    assert_eq!(client.post(&reviewers, json!({"reviewers": ["eve"]})).status, 422);
    let listed = client.get("/repos/octo/widgets/pulls?head=octo:test-repair/add&state=all").is(200);
    assert_eq!(listed.as_array().unwrap().len(), 1);

    let pull = github.take_pull_request();
    assert_eq!((pull.base.as_str(), pull.draft, pull.signed), ("main", true, true));
    assert_eq!((pull.labels, pull.reviewers), (vec!["test-repair".to_owned()], vec!["bob".to_owned()]));
    assert_eq!((pull.paths, pull.messages), (vec!["pkg/calc.py".to_owned()], vec!["Repair add".to_owned()]));
    assert!(pull.diff.contains("-    return a - b\n+    return a + b\n"), "{}", pull.diff);
    assert_eq!(repo.file("test-repair/add", "README.md").unwrap(), "# Widgets\n");
    github.assert_done();
}

#[test]
fn what_can_not_be_opened_says_why() {
    let github = GitHub::start();
    let (repo, sha) = widgets(&github);
    let client = Client::of(&github);
    repo.set_ref("refs/heads/same", &sha);
    let open =
        |head: &str| client.post("/repos/octo/widgets/pulls", json!({"title": "x", "head": head, "base": "main"}));
    assert_eq!(open("same").message(), "Validation Failed | No commits between main and same");
    assert_eq!(open("nowhere").json["errors"][0]["field"], "head");
    repo.forbid_pull_requests();
    let refused = open("same");
    assert_eq!((refused.status, refused.message().contains("not permitted to create")), (403, true));
    github.permissions("contents:read");
    assert_eq!(open("same").message(), "Resource not accessible by integration");
    let body = json!({"ref": "refs/heads/x", "sha": sha});
    assert_eq!(client.post("/repos/octo/widgets/git/refs", body.clone()).status, 403);
    github.permissions("contents:write");
    let missing = json!({"ref": "refs/heads/x", "sha": "0".repeat(40)});
    assert_eq!(client.post("/repos/octo/widgets/git/refs", missing).message(), "Object does not exist");
    repo.forbid_branches("x");
    let forbidden = client.post("/repos/octo/widgets/git/refs", body).message();
    assert!(forbidden.starts_with("Repository rule violations found"), "{forbidden}");
    github.assert_done();
}

#[test]
fn refs_move_only_forwards_unless_forced_and_go_away() {
    let github = GitHub::start();
    let (repo, sha) = widgets(&github);
    let client = Client::of(&github);
    let first = repo.git(&["rev-parse", "main^"]);
    let newer = client.branch("fix/a", &sha, "a.py", "a = 1\n");
    let path = "/repos/octo/widgets/git/refs/heads/fix/a";
    assert_eq!(client.patch(path, json!({"sha": first})).message(), "Update is not a fast forward");
    client.patch(path, json!({"sha": first, "force": true})).is(200);
    client.patch(path, json!({"sha": newer})).is(200);
    assert_eq!(client.get("/repos/octo/widgets/git/ref/heads/fix/a").is(200)["object"]["sha"], json!(newer));
    let matching = client.get("/repos/octo/widgets/git/matching-refs/heads/fix/").is(200);
    assert_eq!(matching[0]["ref"], "refs/heads/fix/a");
    client.try_ask("DELETE", path, Value::Null).unwrap().is(204);
    assert_eq!(client.get("/repos/octo/widgets/git/ref/heads/fix/a").status, 404);
    repo.protect("main");
    assert_eq!(client.patch("/repos/octo/widgets/git/refs/heads/main", json!({"sha": newer})).status, 422);
    assert_eq!(client.get("/repos/octo/widgets/branches/main").is(200)["protected"], true);
    github.assert_done();
}

#[test]
fn of_a_thousand_that_make_one_ref_one_does() {
    let github = GitHub::start();
    let (repo, sha) = widgets(&github);
    let (made, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let together = Barrier::new(8);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let client = Client::of(&github);
                together.wait();
                for _ in 0..125 {
                    let body = json!({"ref": "refs/heads/test-repair/lock", "sha": sha});
                    let answer = client.post("/repos/octo/widgets/git/refs", body);
                    match (answer.status, answer.message().as_str()) {
                        (201, _) => made.fetch_add(1, Ordering::SeqCst),
                        (422, "Reference already exists") => refused.fetch_add(1, Ordering::SeqCst),
                        other => panic!("{other:?}"),
                    };
                }
            });
        }
    });
    assert_eq!((made.load(Ordering::SeqCst), refused.load(Ordering::SeqCst)), (1, 999));
    assert_eq!(repo.head("test-repair/lock"), Some(sha));
    github.change(|state| state.rate.remaining = 1);
    github.assert_done();
}

#[test]
fn a_body_that_github_does_not_describe_fails_the_test() {
    let github = GitHub::start();
    let (_, sha) = widgets(&github);
    let client = Client::of(&github);
    assert_eq!(client.post("/repos/octo/widgets/git/refs", json!({"ref": 7, "sha": sha})).status, 422);
    assert_eq!(client.post("/repos/octo/widgets/git/refs", json!({"ref": "refs/heads/a"})).status, 422);
    assert_eq!(client.get("/repos/octo/widgets/pulls?sate=open").status, 422);
    assert!(github.take_complaint().contains("/ref: 7 is not of type"), "the first complaint is of the type");
    assert!(github.take_complaint().contains("\"sha\" is a required property"));
    assert!(complaint(github).contains("sate is no parameter of it"));
    let wrong = schema::response_complaints("GET /git/ref/{ref}", 200, &json!({"ref": "refs/heads/a"}));
    assert!(wrong.iter().any(|complaint| complaint.contains("\"object\" is a required property")), "{wrong:?}");
}

#[test]
fn the_examples_that_answers_start_from_are_as_github_describes_them() {
    let mut wrong = Vec::new();
    for operation in schema::operations() {
        for status in [200, 201] {
            let Some(example) = schema::example_of(&operation, status) else { continue };
            let complaints = schema::response_complaints(&operation, status, &example);
            wrong.extend(complaints.into_iter().map(|complaint| format!("{operation}: {complaint}")));
        }
    }
    // GitHub's own examples of jobs lack what is required since.
    wrong.retain(|complaint| !complaint.contains("\"created_at\" is a required property"));
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_is_unexpected_unread_or_leaked_fails_the_test() {
    let github = GitHub::start();
    widgets(&github);
    let client = Client::of(&github);
    assert_eq!(client.get("/repos/octo/widgets/stargazers").status, 404);
    assert_eq!(client.post(&github.graphql(), json!({"query": "{viewer{login}}"})).status, 404);
    let said = complaint(github);
    assert!(said.contains("GET /repos/octo/widgets/stargazers") && said.contains("POST /api/graphql"), "{said}");

    let github = GitHub::start();
    let (repo, _) = widgets(&github);
    let number = repo.add_issue("alice", "It is broken", "See there.");
    github.permissions("issues:write");
    let path = format!("/repos/octo/widgets/issues/{number}/comments");
    Client::of(&github).post(&path, json!({"body": "I see."})).is(201);
    assert!(complaint(github).contains("the test did not read [Comment"));

    let github = GitHub::start();
    widgets(&github);
    github.secret("sk-very-secret-key");
    let client = Client::of(&github);
    client.post("/repos/octo/widgets/git/blobs", json!({"content": "key = sk-very-secret-key"})).is(201);
    // The same in base64.
    let content = json!({"content": "a2V5ID0gc2stdmVyeS1zZWNyZXQta2V5", "encoding": "base64"});
    client.post("/repos/octo/widgets/git/blobs", content).is(201);
    client.get(&format!("/repos/octo/widgets?token={}", github.token()));
    github.check_for_secrets("the summary", "nothing");
    let leaks: Vec<String> = (0..3).map(|_| github.take_complaint()).collect();
    assert!(leaks.iter().all(|leak| leak.contains("leaked in the")), "{leaks:?}");
    github.take_complaint();
    github.assert_done();
}

#[test]
fn the_host_of_the_logs_must_not_see_a_token() {
    let github = GitHub::start();
    let (repo, sha) = widgets(&github);
    let id = repo.add_run(NewRun::failed("CI", &sha).job(NewJob::failed("test").log("x")));
    let client = Client::of(&github);
    let logs = client.get(&format!("/repos/octo/widgets/actions/jobs/{}/logs", repo.jobs(id)[0]));
    client.get(&logs.headers["location"]);
    let said = complaint(github);
    assert!(said.contains("the host of the logs got an Authorization header"), "{said}");
}

#[test]
fn logs_expire_and_go_missing_and_so_do_their_addresses() {
    let github = GitHub::start();
    let (repo, sha) = widgets(&github);
    let run = NewRun::failed("CI", &sha).job(NewJob::failed("a").log_expired()).job(NewJob::failed("b"));
    let id = repo.add_run(run.job(NewJob::failed("c").log("text")));
    let client = Client::of(&github);
    let logs = |job: usize| client.get(&format!("/repos/octo/widgets/actions/jobs/{}/logs", repo.jobs(id)[job]));
    assert_eq!((logs(0).status, logs(1).status), (410, 404));
    github.log_addresses_hold(Duration::ZERO);
    let elsewhere = Client { token: None, ..Client::of(&github) };
    assert_eq!(elsewhere.get(&logs(2).headers["location"]).status, 403);
    github.permissions("contents:read");
    assert_eq!(logs(2).status, 403);
    github.assert_done();
}

#[test]
fn faults_strike_once_and_some_after_the_work() {
    let github = GitHub::start();
    let (repo, sha) = widgets(&github);
    let client = Client::of(&github);
    let make = |name: &str| {
        let body = json!({"ref": format!("refs/heads/{name}"), "sha": sha});
        client.try_ask("POST", "/repos/octo/widgets/git/refs", body)
    };
    github.fault(Fault::on("POST", "/git/refs$").status(502, "Server Error"));
    assert_eq!((make("a").unwrap().status, repo.head("a")), (502, None));
    assert_eq!(make("a").unwrap().status, 201);

    github.fault(Fault::on("POST", "/git/refs$").after_the_work(502));
    assert_eq!((make("b").unwrap().status, repo.head("b")), (502, Some(sha.clone())));
    assert_eq!(make("b").unwrap().message(), "Reference already exists");

    github.fault(Fault::on("POST", "/git/refs$").cut());
    assert!(make("c").is_err());
    assert_eq!(repo.head("c"), Some(sha.clone()));

    github.fault(Fault::on("*", ".").secondary_limit(7));
    let limited = client.get("/repos/octo/widgets");
    assert_eq!((limited.status, limited.headers["retry-after"].as_str()), (403, "7"));
    github.fault(Fault::on("GET", "^/repos/octo/widgets$").too_many(3).times(2).skip(1));
    let statuses: Vec<u16> = (0..4).map(|_| client.get("/repos/octo/widgets").status).collect();
    assert_eq!(statuses, [200, 429, 429, 200]);

    github.fault(Fault::on("GET", ".").slow(Duration::from_millis(200)));
    let begun = Instant::now();
    client.get("/repos/octo/widgets").is(200);
    assert!(begun.elapsed() >= Duration::from_millis(200));

    github.rate_limit(0, 60);
    let over = client.get("/repos/octo/widgets");
    assert_eq!((over.status, over.headers["x-ratelimit-remaining"].as_str()), (403, "0"));
    assert_eq!(client.get("/rate_limit").is(200)["rate"]["remaining"], 0);
    github.assert_done();
}

#[test]
fn git_clones_what_is_public_or_with_the_token() {
    let github = GitHub::start();
    let (repo, sha) = widgets(&github);
    repo.set_ref("refs/tags/v1", &sha);
    let directory = tempfile::tempdir().unwrap();
    let url = repo.clone_url();
    assert!(git(directory.path(), &["clone", "--quiet", &url, "public"]).0);
    let repo = repo.private();
    let (ok, said) = git(directory.path(), &["clone", "--quiet", &url, "refused"]);
    assert!(!ok && said.contains("could not read Username"), "{said}");
    use base64::Engine as _;
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("x-access-token:{}", github.token()));
    let header = format!("http.extraHeader=Authorization: Basic {basic}");
    let (ok, said) = git(directory.path(), &["-c", &header, "clone", "--quiet", "--branch", "v1", &url, "private"]);
    assert!(ok, "{said}");
    assert_eq!(std::fs::read_to_string(directory.path().join("private/pkg/calc.py")).unwrap(), WRONG);
    let anonymous = Client { token: None, ..Client::of(&github) };
    assert_eq!(anonymous.get("/repos/octo/widgets").status, 404);
    let (ok, _) =
        git(&directory.path().join("private"), &["-c", &header, "push", "--quiet", "origin", "HEAD:refs/heads/x"]);
    assert!(!ok && github.take_complaint().contains("unexpected push"));
    assert_eq!(repo.head("x"), None);
    github.assert_done();
}

#[test]
fn a_pull_request_of_a_fork_has_a_merge_ref_that_can_be_fetched() {
    let github = GitHub::start();
    let (repo, _) = widgets(&github);
    let fork = github.repository("mallory/widgets").fork_of("octo/widgets");
    let checkout = tempfile::tempdir().unwrap();
    assert!(git(checkout.path(), &["clone", "--quiet", &repo.clone_url(), "."]).0);
    fork.import(checkout.path());
    let head = fork.commit("patch", "Repair it", &[("pkg/calc.py", RIGHT)]);
    let number = repo.add_pull_from("mallory/widgets", "mallory", "patch", "main", "Repair it");
    let merge = repo.merge_ref(number);
    let reference = format!("refs/pull/{number}/merge");
    assert!(git(checkout.path(), &["fetch", "--quiet", "origin", &reference]).0);
    assert_eq!(git(checkout.path(), &["rev-parse", "FETCH_HEAD"]).1.trim(), merge);
    let client = Client::of(&github);
    let pull = client.get(&format!("/repos/octo/widgets/pulls/{number}")).is(200);
    assert_eq!(pull["head"]["repo"]["full_name"], "mallory/widgets");
    assert_eq!(pull["head"]["repo"]["fork"], true);
    let pulls = client.get(&format!("/repos/octo/widgets/commits/{head}/pulls")).is(200);
    assert_eq!(pulls[0]["number"], number);
    let files = client.get(&format!("/repos/octo/widgets/pulls/{number}/files")).is(200);
    assert!(files[0]["patch"].as_str().unwrap().starts_with("@@ -1,2 +1,2 @@"), "{files}");
    client.get("/repos/mallory/widgets").is(200);
    repo.close(number, "alice");
    let issue = client.get(&format!("/repos/octo/widgets/issues/{number}")).is(200);
    assert_eq!((&issue["state"], &issue["closed_by"]["login"]), (&json!("closed"), &json!("alice")));
    github.assert_done();
}

#[test]
fn suggestions_must_lie_in_the_difference() {
    let github = GitHub::start();
    let (repo, sha) = widgets(&github);
    repo.set_ref("refs/heads/topic", &sha);
    repo.commit("topic", "Try", &[("pkg/calc.py", "def add(a, b):\n    return a * b\n")]);
    let number = repo.add_pull("alice", "topic", "main", "Try");
    let client = Client::of(&github);
    let review = |line: u64| {
        let comment = json!({"path": "pkg/calc.py", "line": line, "body": "```suggestion\n    return a + b\n```"});
        let body = json!({"event": "COMMENT", "body": "Proof.", "comments": [comment]});
        client.post(&format!("/repos/octo/widgets/pulls/{number}/reviews"), body)
    };
    assert_eq!(review(40).message(), "Unprocessable Entity | Line could not be resolved");
    assert_eq!(review(2).is(200)["state"], "COMMENTED");
    let read = github.take_review();
    assert_eq!((read.comments[0].line, read.pull), (Some(2), number));
    assert_eq!(client.get(&format!("/repos/octo/widgets/pulls/{number}/reviews")).is(200)[0]["id"], read.id);
    github.assert_done();
}

#[test]
fn files_folders_commits_and_comparisons_are_those_of_git() {
    let github = GitHub::start();
    let (repo, sha) = widgets(&github);
    repo.git(&["pack-refs", "--all"]);
    let client = Client::of(&github);
    let file = client.get("/repos/octo/widgets/contents/pkg/calc.py?ref=main").is(200);
    use base64::Engine as _;
    let coded = file["content"].as_str().unwrap().replace('\n', "");
    assert_eq!(base64::engine::general_purpose::STANDARD.decode(coded).unwrap(), WRONG.as_bytes());
    let root = client.get("/repos/octo/widgets/contents/").is(200);
    assert_eq!((root.as_array().unwrap().len(), &root[1]["type"]), (2, &json!("dir")));
    assert_eq!(client.get("/repos/octo/widgets/contents/CODEOWNERS").status, 404);
    assert_eq!(client.get("/repos/octo/widgets/commits/main").is(200)["files"][0]["filename"], "pkg/calc.py");
    let compared = client.get(&format!("/repos/octo/widgets/compare/{sha}~1...main")).is(200);
    assert_eq!((&compared["status"], &compared["ahead_by"]), (&json!("ahead"), &json!(1)));
    let tree = client.get("/repos/octo/widgets/git/trees/main?recursive=1").is(200);
    assert_eq!(tree["tree"][2]["path"], "pkg/calc.py");
    let runs = client.get("/repos/octo/widgets/actions/runs?branch=main&status=failure&per_page=5").is(200);
    assert_eq!(runs["total_count"], 0);
    github.assert_done();
}

#[test]
fn checks_and_their_annotations_are_those_of_the_jobs() {
    let github = GitHub::start();
    let (repo, sha) = widgets(&github);
    let job = NewJob::failed("test").annotation("pkg/calc.py", 2, "failure", "1 != 3");
    let id = repo.add_run(NewRun::failed("CI", &sha).job(job));
    let client = Client::of(&github);
    let job = repo.jobs(id)[0];
    let annotations = format!("/repos/octo/widgets/check-runs/{job}/annotations");
    assert_eq!(client.get(&annotations).status, 403);
    github.permissions("checks:read");
    assert_eq!(client.get(&annotations).is(200)[0]["message"], "1 != 3");
    assert_eq!(client.get(&format!("/repos/octo/widgets/check-runs/{job}")).is(200)["name"], "test");
    assert_eq!(client.get(&format!("/repos/octo/widgets/commits/{sha}/check-runs")).is(200)["total_count"], 1);
    github.assert_done();
}

#[test]
fn an_issue_is_opened_once_found_again_and_closed() {
    let github = GitHub::start();
    widgets(&github);
    let client = Client::of(&github);
    let body = json!({"title": "CI fails", "body": "fingerprint", "labels": ["test-repair"]});
    assert_eq!(client.post("/repos/octo/widgets/issues", body.clone()).status, 403);
    github.permissions("issues:write");
    let number = client.post("/repos/octo/widgets/issues", body).is(201)["number"].clone();
    assert_eq!(github.take_issue().labels, ["test-repair"]);
    let found = client.get("/repos/octo/widgets/issues?labels=test-repair&state=open").is(200);
    assert_eq!(found[0]["number"], number);
    let comment =
        client.post(&format!("/repos/octo/widgets/issues/{number}/comments"), json!({"body": "again"})).is(201);
    let path = format!("/repos/octo/widgets/issues/comments/{}", comment["id"]);
    client.patch(&path, json!({"body": "and again"})).is(200);
    assert_eq!(github.take_comment().body, "and again");
    client.patch(&format!("/repos/octo/widgets/issues/{number}"), json!({"state": "closed"})).is(200);
    assert_eq!(github.take_issue().state, "closed");
    let comments = client.get(&format!("/repos/octo/widgets/issues/{number}/comments")).is(200);
    assert_eq!(comments.as_array().unwrap().len(), 1);
    github.assert_done();
}

#[test]
fn payloads_of_events_tell_what_the_api_tells() {
    let github = GitHub::start();
    let (repo, sha) = widgets(&github);
    let id = repo.add_run(NewRun::failed("CI", &sha).event("pull_request").branch(None).job(NewJob::failed("test")));
    let event = repo.workflow_run_event(id);
    let run = Client::of(&github).get(&format!("/repos/octo/widgets/actions/runs/{id}")).is(200);
    assert_eq!((&event["action"], &event["workflow_run"]["id"]), (&json!("completed"), &run["id"]));
    for field in ["head_sha", "head_branch", "head_repository", "run_attempt", "event", "conclusion", "pull_requests"] {
        assert_eq!(event["workflow_run"][field], run[field], "{field}");
    }
    assert_eq!(event["repository"]["full_name"], "octo/widgets");
    let check = repo.check_run_event(repo.jobs(id)[0]);
    assert_eq!((&check["action"], &check["check_run"]["head_sha"]), (&json!("completed"), &json!(sha)));
    let dispatch = repo.workflow_dispatch_event(json!({"run-id": id.to_string()}));
    assert_eq!((&dispatch["inputs"]["run-id"], &dispatch["ref"]), (&json!(id.to_string()), &json!("refs/heads/main")));
    let all = format!("{event}{check}{dispatch}");
    assert!(
        !all.contains("github.com/octo-org") && !all.contains("Codertocat/Hello-World"),
        "an example shows through"
    );
    github.assert_done();
}

#[test]
fn an_installation_is_no_user_and_a_person_signs_nothing() {
    let github = GitHub::start();
    let (_, sha) = widgets(&github);
    let client = Client::of(&github);
    assert_eq!(client.get("/user").status, 403);
    let wrong = Client { token: Some("ghs_wrong".to_owned()), ..Client::of(&github) };
    assert_eq!(wrong.get("/user").message(), "Bad credentials");
    github.identity(Identity::User("alice".to_owned()));
    assert_eq!(client.get("/user").is(200)["login"], "alice");
    let mine = client.branch("mine", &sha, "a.py", "a = 1\n");
    let commit = client.get(&format!("/repos/octo/widgets/git/commits/{mine}")).is(200);
    assert_eq!(commit["verification"]["verified"], false);
    github.identity(Identity::App("fixer".to_owned()));
    let workflow = json!({"path": ".github/workflows/ci.yml", "mode": "100644", "type": "blob", "content": "on: push"});
    let tree = client.post("/repos/octo/widgets/git/trees", json!({"base_tree": sha, "tree": [workflow]})).is(201);
    let body = json!({"message": "Workflow", "tree": tree["sha"], "parents": [sha]});
    let commit = client.post("/repos/octo/widgets/git/commits", body).is(201);
    let body = json!({"ref": "refs/heads/workflow", "sha": commit["sha"]});
    assert_eq!(client.post("/repos/octo/widgets/git/refs", body).message(), "Resource not accessible by integration");
    github.assert_done();
}
