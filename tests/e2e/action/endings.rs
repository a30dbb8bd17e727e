//! Every ending that is no pull request says why, and what to change.

use super::*;
use crate::{endpoint::Endpoint, github::Fault};

#[test]
fn events_that_are_no_failure_of_ours_are_skipped_with_a_reason() {
    let hub = Hub::new();
    let sha = hub.break_it("main");
    let green = hub.repo.add_run(NewRun::concluded("CI", &sha, "success"));
    hub.act_on(green, &[]).ends("skipped");
    hub.repo.set_ref("refs/heads/test-repair/abc-main", &sha);
    let ours = hub.repo.add_run(NewRun::failed("CI", &sha).branch(Some("test-repair/abc-main")).job(hub.job(&sha)));
    hub.act_on(ours, &[]).ends("skipped").says(&["a branch of our own"]);
    hub.act("pull_request_target", &serde_json::json!({ "action": "opened" }), &[]).ends("skipped");
    assert!(hub.github.writes().is_empty());
}

#[test]
fn what_is_proposed_or_was_closed_by_a_person_is_not_proposed_again_but_what_was_merged_may_be() {
    let (hub, run) = Hub::failing();
    hub.act_on(run, &[]).ends("fixed");
    let first = hub.github.take_pull_request();
    let acted = hub.act_on(run, &[]).ends("skipped").says(&["is open already"]);
    assert_eq!(acted.outputs["pull-request-number"], first.number.to_string());
    hub.repo.close(first.number, "alice");
    hub.act_on(run, &[]).ends("skipped").says(&["closed by a person"]);
    assert_eq!(hub.repo.pulls().len(), 1);
    // What was merged, and is broken again in the same way, gets a branch of its own beside the one that was kept.
    let (hub, run) = Hub::failing();
    hub.act_on(run, &[]).ends("fixed");
    let first = hub.github.take_pull_request();
    hub.repo.merge(first.number, "alice");
    let sha = hub.repo.commit("main", "Read it again", &[("tiny.py", MODULE)]);
    let run = hub.repo.add_run(NewRun::failed("CI", &sha).job(hub.job(&sha)));
    hub.act_on(run, &[]).ends("fixed");
    let second = hub.github.take_pull_request();
    assert_eq!(second.head, format!("{}-2", first.head));
    hub.github.assert_done();
}

/// A run that no rule can repair.
pub(super) fn unfixable(hub: &Hub) -> u64 {
    let wrong = [("tests/__init__.py", ""), (TEST, TESTS), ("tiny.py", "def read(text):\n    return [2]\n")];
    let sha = hub.repo.commit("main", "Break it", &wrong);
    let output = unittest_failure("test_it", TEST, "AssertionError: Lists differ: [2] != [1]");
    let job = NewJob::failed("test").log(log(&[Step(UNITTEST, &output, 1)]));
    hub.repo.add_run(NewRun::failed("CI", &sha).job(job))
}

#[test]
fn a_commit_is_tried_so_often_and_no_more() {
    let hub = Hub::new();
    hub.repo.commit("main", "Configure", &[(".github/test-repair.yml", "attempts: 2\n"), ("a", "")]);
    let run = unfixable(&hub);
    hub.act_on(run, &[]).ends("no_fix_found").says(&["no model was asked"]);
    hub.act_on(run, &[]).ends("no_fix_found");
    hub.act_on(run, &[]).ends("skipped").says(&["tried 2 times already"]);
    assert_eq!(hub.repo.branches(), ["main"]);
}

#[test]
fn without_a_fix_the_diagnosis_goes_into_one_issue_where_that_is_configured() {
    let hub = Hub::new();
    hub.github.permissions("actions:read contents:write pull-requests:write issues:write");
    hub.repo.commit("main", "Configure", &[(".github/test-repair.yml", "issue: true\n"), ("a", "")]);
    let run = unfixable(&hub);
    hub.act_on(run, &[]).ends("no_fix_found");
    let issue = hub.github.take_issue();
    assert!(issue.title.starts_with("CI fails: ") && issue.body.contains("Lists differ"), "{issue:?}");
    hub.act_on(run, &[]).ends("no_fix_found");
    assert_eq!(hub.github.take_issue().number, issue.number);
}

#[test]
fn infrastructure_is_named_and_run_again_only_where_that_is_configured() {
    let hub = Hub::new();
    let lost = "##[error]The runner has received a shutdown signal. This can happen when the runner service is stopped, or a manually \
                started runner is canceled.";
    let sha = hub.break_it("main");
    let job = || NewJob::failed("test").log(log(&[Step("make", lost, 1)]));
    let run = hub.repo.add_run(NewRun::failed("CI", &sha).job(job()));
    hub.act_on(run, &[]).ends("infrastructure").says(&["no code is to blame"]);
    assert!(hub.github.writes().is_empty());
    hub.github.permissions("actions:write contents:write pull-requests:write");
    let sha = hub.repo.commit("main", "Configure", &[(".github/test-repair.yml", "reruns: 1\n")]);
    let run = hub.repo.add_run(NewRun::failed("CI", &sha).job(job()));
    hub.act_on(run, &[]).ends("infrastructure").says(&["run again"]);
    assert_eq!(hub.repo.attempts(run), 2);
    hub.repo.add_attempt(run, "failure", vec![job()]);
    hub.act_on(run, &[]).ends("infrastructure").says(&["they are not run again"]);
    assert_eq!(hub.repo.attempts(run), 3);
}

#[test]
fn logs_that_are_gone_are_explained_and_the_archive_is_the_fallback() {
    let hub = Hub::new();
    let sha = hub.break_it("main");
    let job = hub.job(&sha).annotation("tiny.py", 2, "failure", "Process completed with exit code 1.");
    let run = hub.repo.add_run(NewRun::failed("CI", &sha).job(job.log_expired()));
    hub.github.permissions("actions:read checks:read contents:write pull-requests:write");
    hub.github.fault(Fault::on("GET", "/attempts/1/logs$").status(410, "Gone").always());
    hub.act_on(run, &[]).ends("skipped").says(&["there is no log to read", "410", "tiny.py:2"]);
    hub.github.change(|state| state.faults.clear());
    let run = hub.repo.add_run(NewRun::failed("CI", &sha).job(hub.job(&sha)));
    hub.github.fault(Fault::on("GET", "/jobs/[0-9]+/logs$").status(404, "Not Found").always());
    hub.act_on(run, &[]).ends("fixed");
    hub.github.take_pull_request();
}

#[test]
fn each_refusal_of_github_says_what_to_change_and_where() {
    let (hub, run) = Hub::failing();
    hub.repo.forbid_pull_requests();
    hub.act_on(run, &[]).ends("fixed").says(&["## ⚠️", "/octo/tiny/settings/actions", "compare/main"]);
    let (hub, run) = Hub::failing();
    hub.github.permissions("actions:read contents:write");
    hub.act_on(run, &[]).says(&["pull-requests: write"]);
    let (hub, run) = Hub::failing();
    hub.github.permissions("contents:write pull-requests:write");
    hub.act_on(run, &[]).ends("skipped").says(&["actions: read", "/octo/tiny/tree/HEAD/.github/workflows"]);
    let (hub, run) = Hub::failing();
    hub.repo.forbid_branches("test-repair/");
    hub.act_on(run, &[]).says(&["settings/rules"]);
}

#[test]
fn inputs_that_cannot_be_used_fail_the_step_and_fail_on_fails_it_by_outcome() {
    let (hub, run) = Hub::failing();
    let event = hub.repo.workflow_run_event(run);
    for input in [
        ("mode", "yolo"),
        ("fix-types", "magic"),
        ("max-cost-usd", "much"),
        ("fail-on", "sometimes"),
        ("sandbox", "cloud"),
        ("config", "nowhere.yml"),
    ] {
        let acted = hub.act("workflow_run", &event, &[input]);
        assert_eq!(acted.ran.code, 2, "{input:?}: {}", acted.ran.stderr);
    }
    let acted = hub.act("workflow_run", &event, &[("mode", "diagnose"), ("fail-on", "skipped,no_fix_found")]);
    assert_eq!(acted.ran.code, 7, "{}", acted.ran.stderr);
}

#[test]
fn no_text_of_a_log_is_a_command_of_the_runner_or_markup_of_the_page() {
    let hub = Hub::new();
    let sha = hub.break_it("main");
    let hostile =
        "NameError: ::error::x ##[error]y ::set-output name=outcome::z @octocat #1 <img src=x> ![a](http://evil)";
    let output = unittest_failure("test_it", "tiny.py", hostile);
    let name = "test ::warning::job ##[command] @team";
    let run = hub.repo.add_run(
        NewRun::failed("CI ::stop-commands::x", &sha).job(NewJob::failed(name).log(log(&[Step(UNITTEST, &output, 1)]))),
    );
    let acted = hub.act_on(run, &[("mode", "diagnose")]).ends("skipped");
    for line in acted.ran.stdout.lines().chain(acted.ran.stderr.lines()) {
        let command = line.trim_start().strip_prefix("::").and_then(|rest| rest.split([' ', ':']).next());
        assert!(matches!(command, None | Some("group" | "endgroup" | "notice" | "warning" | "add-mask")), "{line}");
        assert!(!line.contains("##["), "{line}");
    }
    let warnings = acted.ran.stdout.lines().filter(|line| line.starts_with("::warning")).count();
    assert!((1..=10).contains(&warnings), "{}", acted.ran.stdout);
    let outside: String = acted.summary.split('`').step_by(2).collect();
    assert!(!outside.contains("@octocat") && !outside.contains("<img"), "{}", acted.summary);
}

#[test]
fn a_termination_ends_in_order_with_what_was_learned() {
    let hub = Hub::new();
    let hang = "import time, unittest\n\n\nclass TinyTest(unittest.TestCase):\n    def test_it(self):\n        time.sleep(60)\n";
    let sha = hub.repo.commit("main", "Hang", &[("tests/__init__.py", ""), (TEST, hang)]);
    let output = unittest_failure("test_it", TEST, "AssertionError: 4 != 3");
    let run = hub
        .repo
        .add_run(NewRun::failed("CI", &sha).job(NewJob::failed("test").log(log(&[Step(UNITTEST, &output, 1)]))));
    let (running, place) = hub.start("workflow_run", &hub.repo.workflow_run_event(run), &[]);
    let counted = || hub.github.writes().iter().any(|call| call.path.ends_with("/git/refs"));
    crate::world::wait_for("the repair to begin", counted);
    running.signal(nix::sys::signal::Signal::SIGTERM);
    let acted = hub.acted(running.ended(), &place).ends("interrupted");
    assert!(acted.summary.contains("4 != 3"), "{}", acted.summary);
    let _ = Endpoint::nobody();
}
