//! The action, from an event to a pull request: the real binary as the runner starts it, the real sandbox and real git,
//! GitHub on the wire.

mod endings;
mod faults;
mod image;
mod races;
mod targets;
mod trust;

use std::{collections::BTreeMap, fs, path::PathBuf, process::Command, sync::atomic::AtomicU32};

use serde_json::Value;

use crate::{
    github::{GitHub, NewJob, NewRun, PullRequest, Repo},
    world::{Ran, Running, Step, TEST, UNITTEST, World, log, unittest_failure},
};

/// What a module lacks that uses `json`.
const MODULE: &str = "def read(text):\n    return json.loads(text)\n";
const FIXED: &str = "import json\n\n\ndef read(text):\n    return json.loads(text)\n";

const TESTS: &str = "import unittest\nimport tiny\n\n\nclass TinyTest(unittest.TestCase):\n    def test_it(self):\n        \
                     self.assertEqual(tiny.read('[1]'), [1])\n";

/// The log of its failure; `sha` is what the checkout step says that it tested.
fn log_of(sha: &str) -> String {
    let output = unittest_failure("test_it", "tiny.py", "NameError: name 'json' is not defined");
    let checkout = format!("[command]/usr/bin/git log -1 --format=%H\n{sha}");
    log(&[Step("actions/checkout@v5", &checkout, 0), Step(UNITTEST, &output, 1)])
}

/// A repository on GitHub, and the machine of its runner.
struct Hub {
    world: World,
    github: GitHub,
    repo: Repo,
    runs: AtomicU32,
}

/// What the action left.
struct Acted {
    ran: Ran,
    outputs: BTreeMap<String, String>,
    summary: String,
    report: PathBuf,
}

impl Hub {
    fn new() -> Hub {
        let github = GitHub::start();
        let repo = github.repository("octo/tiny");
        Hub { world: World::new(), github, repo, runs: AtomicU32::new(0) }
    }

    /// With a commit on main that fails, and the run that shows it.
    fn failing() -> (Hub, u64) {
        let hub = Hub::new();
        let sha = hub.break_it("main");
        let run = hub.repo.add_run(NewRun::failed("CI", &sha).job(hub.job(&sha)));
        (hub, run)
    }

    fn break_it(&self, branch: &str) -> String {
        self.repo.commit(branch, "Add the tests", &[("tests/__init__.py", ""), (TEST, TESTS), ("tiny.py", FIXED)]);
        self.repo.commit(branch, "Read it", &[("tiny.py", MODULE)])
    }

    fn job(&self, sha: &str) -> NewJob {
        NewJob::failed("test").step("Set up job", "success").step("Test", "failure").log(log_of(sha))
    }

    fn command(&self, event_name: &str, event: &Value, inputs: &[(&str, &str)]) -> (Command, PathBuf) {
        let number = self.runs.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let place = self.world.path(&format!("runner-{number}"));
        fs::create_dir_all(place.join("workspace")).unwrap();
        for file in ["output", "summary"] {
            fs::write(place.join(file), "").unwrap();
        }
        let file = place.join("event.json");
        fs::write(&file, event.to_string()).unwrap();
        let mut command = self.world.command();
        command
            .arg("action")
            .env("GITHUB_EVENT_NAME", event_name)
            .env("GITHUB_EVENT_PATH", file)
            .env("GITHUB_API_URL", self.github.api())
            .env("GITHUB_SERVER_URL", self.github.url())
            .env("GITHUB_REPOSITORY", "octo/tiny")
            .env("GITHUB_RUN_ID", "4242")
            .env("GITHUB_RUN_ATTEMPT", "1")
            .env("GITHUB_WORKSPACE", place.join("workspace"))
            .env("GITHUB_OUTPUT", place.join("output"))
            .env("GITHUB_STEP_SUMMARY", place.join("summary"))
            .env("GITHUB_ACTIONS", "true")
            .env("ACTIONS_RUNTIME_TOKEN", "runtime-token-that-no-child-may-see")
            .env("INPUT_GITHUB-TOKEN", self.github.token());
        for (name, value) in inputs {
            command.env(format!("INPUT_{}", name.to_uppercase()), value);
        }
        (command, place)
    }

    fn act(&self, event_name: &str, event: &Value, inputs: &[(&str, &str)]) -> Acted {
        let (mut command, place) = self.command(event_name, event, inputs);
        let ran = Ran::of(&crate::world::run(&mut command));
        self.acted(ran, &place)
    }

    fn start(&self, event_name: &str, event: &Value, inputs: &[(&str, &str)]) -> (Running, PathBuf) {
        let (mut command, place) = self.command(event_name, event, inputs);
        (self.world.start_command(&mut command), place)
    }

    fn acted(&self, ran: Ran, place: &std::path::Path) -> Acted {
        let summary = fs::read_to_string(place.join("summary")).unwrap();
        let outputs = outputs(&fs::read_to_string(place.join("output")).unwrap());
        let report = place.join("workspace/test-repair-report");
        for (what, text) in [
            ("standard output", hidden_masks(&ran.stdout)),
            ("standard error", ran.stderr.clone()),
            ("summary", summary.clone()),
        ] {
            self.github.check_for_secrets(what, &text);
        }
        for entry in fs::read_dir(&report).into_iter().flatten() {
            let file = entry.unwrap().path();
            self.github
                .check_for_secrets(&file.display().to_string(), &String::from_utf8_lossy(&fs::read(&file).unwrap()));
        }
        Acted { ran, outputs, summary, report }
    }

    /// As for the event that the run's end makes.
    fn act_on(&self, run: u64, inputs: &[(&str, &str)]) -> Acted {
        self.act("workflow_run", &self.repo.workflow_run_event(run), inputs)
    }

    fn open_pulls(&self) -> Vec<PullRequest> {
        self.repo.pulls().into_iter().filter(|pull| pull.state == "open").collect()
    }
}

/// What the runner would hide: it is told the secrets by these very lines.
fn hidden_masks(stdout: &str) -> String {
    stdout.lines().filter(|line| !line.starts_with("::add-mask::")).collect::<Vec<_>>().join("\n")
}

/// As the runner reads the file.
fn outputs(text: &str) -> BTreeMap<String, String> {
    let mut outputs = BTreeMap::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let (name, delimiter) =
            line.split_once("<<").unwrap_or_else(|| panic!("a malformed file fails the step: {line}"));
        let value: Vec<&str> = lines.by_ref().take_while(|line| *line != delimiter).collect();
        outputs.insert(name.to_owned(), value.join("\n"));
    }
    outputs
}

impl Acted {
    #[track_caller]
    fn ends(self, outcome: &str) -> Acted {
        assert_eq!(self.ran.code, 0, "\n{}\n{}", self.ran.stdout, self.ran.stderr);
        assert_eq!(self.outputs["outcome"], outcome, "\n{}\n{}\n{}", self.ran.stdout, self.ran.stderr, self.summary);
        self
    }

    #[track_caller]
    fn says(self, words: &[&str]) -> Acted {
        for word in words {
            assert!(self.summary.contains(word), "{word:?} is not in\n{}\n{}", self.summary, self.ran.stdout);
        }
        self
    }
}

#[test]
fn a_failed_run_becomes_a_pull_request_with_the_evidence() {
    let (hub, run) = Hub::failing();
    let acted = hub.act_on(run, &[]).ends("fixed");
    let pull = hub.github.take_pull_request();
    assert_eq!((pull.base.as_str(), pull.draft, pull.state.as_str()), ("main", false, "open"));
    assert!(pull.head.starts_with("test-repair/") && pull.head.ends_with("-main"), "{}", pull.head);
    assert!(pull.diff.contains("+import json"), "{}", pull.diff);
    assert_eq!(pull.paths, ["tiny.py"]);
    assert!(pull.signed);
    assert_eq!(pull.labels, ["test-repair", "import"]);
    let url = format!("{}/octo/tiny/actions/runs/{run}", hub.github.url());
    for part in [
        url.as_str(),
        "NameError",
        "### The proof",
        "python -m unittest",
        "Reproduced twice",
        "with the fix</summary>",
        "Ran 1 test in",
        "not run on this pull request by itself",
        "fix --run",
        ".github/test-repair.yml",
        "<!-- test-repair: fingerprint=",
    ] {
        assert!(pull.body.contains(part), "{part:?} is not in\n{}", pull.body);
    }
    assert!(pull.messages[0].contains("Test-Repair-Fingerprint: "), "{:?}", pull.messages);
    let outputs = &acted.outputs;
    assert_eq!(outputs["pull-request-number"], pull.number.to_string());
    assert!(outputs["pull-request-url"].ends_with(&format!("/pull/{}", pull.number)));
    assert_eq!((outputs["category"].as_str(), outputs["fix-type"].as_str()), ("unit_test", "import"));
    assert_eq!(
        (outputs["patch"].as_str(), outputs["report"].as_str()),
        ("test-repair-report/fix.patch", "test-repair-report")
    );
    assert_eq!(outputs["cost-usd"], "0.000000");
    for file in ["report.md", "outcome.json", "fix.patch", "audit.jsonl"] {
        assert!(acted.report.join(file).is_file(), "{file}");
    }
    let audit = fs::read_to_string(acted.report.join("audit.jsonl")).unwrap();
    assert_eq!(audit.lines().count(), hub.github.writes().len(), "{audit}");
    assert!(acted.summary.starts_with("## ✅ test-repair: fixed"), "{}", acted.summary);
    assert!(
        acted.ran.stdout.contains("::group::reproduce") && acted.ran.stdout.contains("::notice file=tiny.py,line=2"),
        "{}",
        acted.ran.stdout
    );
    let calls = hub.github.conversation();
    assert!(calls.len() <= 20, "{calls:#?}");
    hub.github.assert_done();
}

#[test]
fn the_last_job_of_the_failing_workflow_repairs_its_own_run() {
    let hub = Hub::new();
    let sha = hub.break_it("main");
    let own = NewJob::concluded("Repair", None);
    let run = hub.repo.add_run(NewRun::failed("CI", &sha).in_progress().job(hub.job(&sha)).job(own));
    let event = serde_json::json!({ "ref": "refs/heads/main", "after": sha });
    let (mut command, place) = hub.command("push", &event, &[]);
    let ran = Ran::of(&crate::world::run(command.env("GITHUB_RUN_ID", run.to_string())));
    hub.acted(ran, &place).ends("fixed");
    assert_eq!(hub.github.take_pull_request().base, "main");
}

#[test]
fn a_person_names_the_run_by_its_number_or_its_page() {
    let (hub, run) = Hub::failing();
    let url = format!("{}/octo/tiny/actions/runs/{run}", hub.github.url());
    let event = hub.repo.workflow_dispatch_event(serde_json::json!({ "run-id": url }));
    hub.act("workflow_dispatch", &event, &[("mode", "diagnose")])
        .ends("skipped")
        .says(&["NameError", "only the diagnosis"]);
    hub.act("workflow_dispatch", &event, &[("run-id", &run.to_string())]).ends("fixed");
    hub.github.take_pull_request();
}

#[test]
fn a_failed_check_run_names_its_run() {
    let (hub, run) = Hub::failing();
    let event = hub.repo.check_run_event(hub.repo.jobs(run)[0]);
    hub.act("check_run", &event, &[]).ends("fixed");
    hub.github.take_pull_request();
}

#[test]
fn fix_run_does_the_same_from_a_persons_machine_and_writes_only_when_asked() {
    let (hub, run) = Hub::failing();
    let url = format!("{}/octo/tiny/actions/runs/{run}", hub.github.url());
    let fix = |more: &[&str]| {
        let mut command = hub.world.command();
        command.args(["fix", "--run", &url, "--rules-only", "--format", "json"]).args(more);
        Ran::of(&crate::world::run(command.env("GITHUB_TOKEN", hub.github.token())))
    };
    let report = fix(&[]).exits_with(0).json();
    assert_eq!(report["fix"]["files"], serde_json::json!(["tiny.py"]));
    assert_eq!(report["origin"]["run_id"], run);
    assert!(hub.github.writes().is_empty());
    let report = fix(&["--open-pr"]).exits_with(0).json();
    assert_eq!(report["proposal"]["number"], hub.github.take_pull_request().number);
    // For people the page of it, and why there is no second one.
    let mut command = hub.world.command();
    command.args(["fix", "--run", &url, "--rules-only", "--open-pr"]).env("GITHUB_TOKEN", hub.github.token());
    let again = Ran::of(&crate::world::run(&mut command)).exits_with(7);
    again.prints("/octo/tiny/pull/1\n").prints("is proposed as #1, which is open already");
    hub.world.run(&["fix", "--run", &url]).exits_with(2).complains(&["GITHUB_TOKEN"]);
    hub.world.run(&["fix", "--run", "7"]).exits_with(2).complains(&["whose run"]);
    hub.world.run(&["fix", "--run", &url, "--log", "x"]).exits_with(2);
}
