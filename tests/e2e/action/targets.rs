//! Whose failure it is, and where the repair goes.

use super::*;
use crate::{
    endpoint::{Endpoint, Say},
    github::Fault,
    model::KEY,
    world::wait_for,
};

/// A pull request whose merge commit was tested.
pub(super) fn pull_request(hub: &Hub) -> (u64, u64) {
    hub.repo.commit(
        "main",
        "Begin",
        &[("tests/__init__.py", ""), (TEST, TESTS), ("tiny.py", FIXED), ("README", "x\n")],
    );
    let base = hub.repo.head("main").unwrap();
    hub.repo.set_ref("refs/heads/feature", &base);
    let head = hub.repo.commit("feature", "Read it", &[("tiny.py", MODULE)]);
    let number = hub.repo.add_pull("alice", "feature", "main", "Read it");
    hub.repo.commit("main", "Meanwhile", &[("other.py", "x = 1\n")]);
    let merge = hub.repo.merge_ref(number);
    let run = NewRun::failed("CI", &head).event("pull_request").branch(Some("feature")).pull_requests(&[number]);
    (number, hub.repo.add_run(run.job(hub.job(&merge))))
}

#[test]
fn a_pull_requests_merge_commit_is_repaired_and_the_proposal_goes_to_its_head() {
    let hub = Hub::new();
    let (_, run) = pull_request(&hub);
    let merge = hub.repo.head("refs/pull/1/merge");
    let acted = hub.act_on(run, &[]).ends("fixed");
    let pull = hub.github.take_pull_request();
    assert_eq!((pull.base.as_str(), pull.paths.as_slice()), ("feature", &["tiny.py".to_owned()][..]));
    let outcome: Value = serde_json::from_str(&fs::read_to_string(acted.report.join("outcome.json")).unwrap()).unwrap();
    assert_eq!(outcome["origin"]["pull_request"], 1);
    assert_eq!(outcome["origin"]["tested_sha"].as_str(), merge.as_deref());
}

#[test]
fn suggestions_stand_on_the_lines_of_the_pull_request_that_failed() {
    let hub = Hub::new();
    let (number, run) = pull_request(&hub);
    let acted = hub.act_on(run, &[("mode", "suggest")]).ends("fixed");
    let review = hub.github.take_review();
    assert!(review.body.contains("fingerprint="), "{}", review.body);
    assert!(review.comments[0].body.contains("```suggestion\nimport json\n"), "{:?}", review.comments);
    assert_eq!(acted.outputs["pull-request-number"], number.to_string());
    // Once is enough.
    hub.act_on(run, &[("mode", "suggest")]).ends("skipped").says(&["suggested in `#1` already"]);
}

/// A pull request that fails for what it does not touch.
pub(super) fn unseen_fault(hub: &Hub) -> (u64, u64) {
    let base = hub.repo.commit("main", "Begin", &[("tiny.py", MODULE), ("README", "x\n")]);
    hub.repo.set_ref("refs/heads/feature", &base);
    let head = hub.repo.commit("feature", "Test it", &[("tests/__init__.py", ""), (TEST, TESTS)]);
    let number = hub.repo.add_pull("alice", "feature", "main", "Test it");
    let merge = hub.repo.merge_ref(number);
    let run = NewRun::failed("CI", &head).event("pull_request").branch(Some("feature")).pull_requests(&[number]);
    (number, hub.repo.add_run(run.job(hub.job(&merge))))
}

#[test]
fn what_the_pull_request_does_not_show_is_suggested_as_a_patch() {
    let hub = Hub::new();
    let (number, run) = unseen_fault(&hub);
    hub.act_on(run, &[("mode", "suggest")]).ends("fixed");
    let comment = hub.github.take_comment();
    assert!(comment.number == number && comment.body.contains("+import json"), "{}", comment.body);
    hub.act_on(run, &[("mode", "suggest")]).ends("skipped");
    // Where the lines have moved meanwhile a review is refused.
    let hub = Hub::new();
    let (_, run) = pull_request(&hub);
    hub.github.fault(Fault::on("POST", "/reviews$").status(422, "Unprocessable Entity: line must be part of the diff"));
    hub.act_on(run, &[("mode", "suggest")]).ends("fixed");
    assert!(hub.github.take_comment().body.contains("+import json"));
}

#[test]
fn what_fails_on_the_base_already_is_repaired_there_and_the_pull_request_is_told() {
    let hub = Hub::new();
    let base = hub.break_it("main");
    hub.repo.add_run(NewRun::failed("CI", &base).workflow(77, ".github/workflows/ci.yml").job(hub.job(&base)));
    hub.repo.set_ref("refs/heads/feature", &base);
    let head = hub.repo.commit("feature", "Say more", &[("README", "more\n")]);
    let number = hub.repo.add_pull("alice", "feature", "main", "Say more");
    let merge = hub.repo.merge_ref(number);
    let run = NewRun::failed("CI", &head).event("pull_request").branch(Some("feature")).pull_requests(&[number]);
    let run = hub.repo.add_run(run.workflow(77, ".github/workflows/ci.yml").job(hub.job(&merge)));
    hub.act_on(run, &[]).ends("fixed");
    let pull = hub.github.take_pull_request();
    assert_eq!(pull.base, "main");
    assert!(pull.body.contains(&format!("#{number}")), "{}", pull.body);
    let comment = hub.github.take_comment();
    assert_eq!(comment.number, number);
    assert!(comment.body.contains(&format!("#{}", pull.number)), "{}", comment.body);
    // Suggested it can't be: none of its lines are the pull request's.
    hub.act_on(run, &[("mode", "suggest")]).ends("fixed");
    let comment = hub.github.take_comment();
    assert!(comment.number == number && comment.body.contains("+import json"), "{}", comment.body);
}

#[test]
fn of_a_fork_nothing_is_run_sent_or_pushed_and_the_log_is_diagnosed() {
    let hub = Hub::new();
    let endpoint = Endpoint::start([]);
    let sha = hub.break_it("main");
    hub.github.secret(KEY);
    for run in [
        NewRun::failed("CI", &sha).event("pull_request").branch(Some("patch-1")).head_repository("evil/tiny"),
        NewRun::failed("CI", &sha).event("pull_request").branch(Some("dependabot/pip/x")).actor("dependabot[bot]"),
    ] {
        let run = hub.repo.add_run(run.job(hub.job(&sha)));
        let acted = hub.act_on(run, &[("deepseek-api-key", KEY), ("model-url", &endpoint.url())]);
        acted.ends("skipped").says(&["NameError", "not run with secrets near"]);
    }
    assert!(hub.github.writes().is_empty());
    assert!(hub.github.other_calls().iter().all(|call| !call.path.contains(".git")), "the code was fetched");
    endpoint.assert_done();
}

#[test]
fn a_commit_that_is_no_longer_the_head_is_superseded_before_anything_is_spent() {
    let (hub, run) = Hub::failing();
    let event = hub.repo.workflow_run_event(run);
    hub.repo.commit("main", "Go on", &[("other.py", "x = 1\n")]);
    hub.act("workflow_run", &event, &[]).ends("skipped").says(&["superseded"]);
    assert!(hub.github.writes().is_empty());
}

#[test]
fn a_head_that_moves_meanwhile_gets_the_repair_after_it_was_proven_there_again() {
    let hub = Hub::new();
    hub.repo.collaborator("alice");
    for n in 0..6 {
        hub.repo.commit("main", &format!("fix: Mend {n}"), &[("n", &n.to_string())]);
    }
    hub.repo.commit(
        "main",
        "fix: Configure",
        &[(".github/test-repair.yml", "reviewers: codeowners\n"), ("CODEOWNERS", "* @alice\n")],
    );
    let sha = hub.break_it("main");
    let run = hub.repo.add_run(NewRun::failed("CI", &sha).job(hub.job(&sha)));
    let event = hub.repo.workflow_run_event(run);
    let (running, place) = hub.start("workflow_run", &event, &[]);
    wait_for("the repair to begin", || hub.github.writes().iter().any(|call| call.path.ends_with("/git/refs")));
    let newer = hub.repo.commit("main", "Go on", &[("other.py", "x = 1\n")]);
    let acted = hub.acted(running.ended(), &place).ends("fixed").says(&["proven again"]);
    let pull = hub.github.take_pull_request();
    assert_eq!(
        (pull.base_sha.as_str(), pull.paths.as_slice()),
        (newer.as_str(), &["tiny.py".to_owned()][..]),
        "{}",
        acted.summary
    );
    assert!(pull.title.starts_with("fix: "), "{}", pull.title);
    assert_eq!(pull.reviewers, ["alice"]);
}

#[test]
fn a_head_that_holds_the_repair_meanwhile_is_left_alone() {
    let (hub, run) = Hub::failing();
    let event = hub.repo.workflow_run_event(run);
    let (running, place) = hub.start("workflow_run", &event, &[]);
    wait_for("the repair to begin", || hub.github.writes().iter().any(|call| call.path.ends_with("/git/refs")));
    hub.repo.commit(
        "main",
        "Mend it",
        &[("tiny.py", "import json\n\n\ndef read(text):\n    return json.loads(text)  # mended\n")],
    );
    hub.acted(running.ended(), &place).ends("skipped").says(&["superseded"]);
    assert!(hub.open_pulls().is_empty());
}

#[test]
fn the_model_repairs_what_no_rule_can() {
    let (hub, run) = trust::wrong_sum();
    let edit = "root_cause: The sum begins at one @octocat.\nfix_type: test\nconfidence: high\nfault: code\nimpact: Sums are right.\n\
                <<<<<<< tiny.py\n    result = 1\n=======\n    result = 0\n>>>>>>>\n";
    let endpoint = Endpoint::start([Say::text(edit)]);
    let acted = hub
        .act_on(run, &[("deepseek-api-key", KEY), ("model-url", &endpoint.url()), ("max-cost-usd", "0.10")])
        .ends("fixed");
    let pull = hub.github.take_pull_request();
    assert!(pull.body.contains("deepseek-flash") && pull.body.contains("1 call"), "{}", pull.body);
    assert!(pull.body.contains("`@octocat.`") && !pull.body.contains(" @octocat"), "{}", pull.body);
    assert!(pull.title.starts_with("fix: "), "{}", pull.title);
    assert_ne!(acted.outputs["cost-usd"], "0.000000");
    assert!(acted.report.join("transcript.jsonl").is_file());
    endpoint.assert_done();
}

#[test]
fn code_owners_are_asked_where_that_is_configured_and_labels_and_prefix_are_the_repositorys() {
    let hub = Hub::new();
    let config = "labels: [ci, 'kind/{fix_type}']\nreviewers: codeowners\nbranch_prefix: bot/fix-\n";
    hub.repo.collaborator("alice");
    hub.repo.commit(
        "main",
        "Configure",
        &[(".github/test-repair.yml", config), ("CODEOWNERS", "* @alice @octo/core\n")],
    );
    let sha = hub.break_it("main");
    let run = hub.repo.add_run(NewRun::failed("CI", &sha).job(hub.job(&sha)));
    hub.act_on(run, &[]).ends("fixed");
    let pull = hub.github.take_pull_request();
    assert!(pull.head.starts_with("bot/fix-"), "{}", pull.head);
    assert_eq!(pull.labels, ["ci", "kind/import"]);
    assert_eq!(pull.reviewers, ["alice"]);
}

#[test]
fn what_a_pull_request_configures_for_itself_counts_for_nothing() {
    let hub = Hub::new();
    hub.repo.commit("main", "Configure", &[(".github/test-repair.yml", "fix_types: [quality]\n"), ("a", "")]);
    let base = hub.repo.head("main").unwrap();
    hub.repo.set_ref("refs/heads/feature", &base);
    hub.repo.commit("feature", "Allow it", &[(".github/test-repair.yml", "fix_types: [import, test]\n")]);
    let sha = hub.break_it("feature");
    let run = hub.repo.add_run(NewRun::failed("CI", &sha).branch(Some("feature")).job(hub.job(&sha)));
    hub.act_on(run, &[]).ends("skipped").says(&["not enabled"]);
    assert!(hub.github.writes().is_empty());
    let _ = Fault::on("GET", "x");
}
