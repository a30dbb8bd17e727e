//! GitHub fails: calls are repeated only where that is safe, limits are waited for, and a kill loses nothing.

use std::time::Duration;

use super::*;
use crate::{github::Fault, world::wait_for};

#[test]
fn a_pull_request_whose_answer_was_lost_is_found_and_not_opened_twice() {
    let (hub, run) = Hub::failing();
    hub.github.fault(Fault::on("POST", "/pulls$").after_the_work(502));
    hub.act_on(run, &[]).ends("fixed");
    hub.github.take_pull_request();
    assert_eq!(hub.repo.pulls().len(), 1);
    assert_eq!(hub.github.writes().iter().filter(|call| call.path.ends_with("/pulls")).count(), 1);
}

#[test]
fn every_call_may_fail_once_and_its_answer_may_be_lost_or_cut() {
    let (hub, run) = Hub::failing();
    for path in [
        "/runs/[0-9]+",
        "/octo/tiny$",
        "/jobs$",
        "/logs$",
        "/git/matching-refs",
        "/git/trees$",
        "/git/commits$",
        "/labels$",
    ] {
        hub.github.fault(Fault::on("GET", path).status(502, "Bad Gateway"));
        hub.github.fault(Fault::on("POST", path).after_the_work(502));
    }
    hub.github.fault(Fault::on("GET", "/pulls").cut());
    hub.github.fault(Fault::on("POST", "/git/refs$").skip(1).after_the_work(502));
    hub.act_on(run, &[]).ends("fixed");
    hub.github.take_pull_request();
    assert_eq!(hub.open_pulls().len(), 1);
}

#[test]
fn a_rate_limit_is_waited_for_where_it_is_short_and_named_where_it_is_long() {
    let (hub, run) = Hub::failing();
    hub.github.fault(Fault::on("GET", "/jobs$").secondary_limit(1));
    hub.github.fault(Fault::on("POST", "/pulls$").too_many(1));
    hub.act_on(run, &[]).ends("fixed");
    hub.github.take_pull_request();
    let (hub, run) = Hub::failing();
    hub.github.rate_limit(0, 3000);
    hub.act_on(run, &[]).ends("skipped").says(&["rate limit"]);
}

#[test]
fn a_kill_at_every_write_leaves_a_finished_step_and_the_next_run_goes_on() {
    for (method, path, skip) in [
        ("POST", "/git/refs$", 0),
        ("POST", "/git/trees$", 0),
        ("POST", "/git/commits$", 0),
        ("POST", "/git/refs$", 1),
        ("POST", "/pulls$", 0),
        ("POST", "/labels$", 0),
    ] {
        let (hub, run) = Hub::failing();
        let event = hub.repo.workflow_run_event(run);
        hub.github.fault(Fault::on(method, path).skip(skip).slow(Duration::from_secs(8)));
        let (running, _) = hub.start("workflow_run", &event, &[]);
        let wanted = regex::Regex::new(path).unwrap();
        wait_for("the call", || {
            hub.github.writes().iter().filter(|call| call.method == method && wanted.is_match(&call.path)).count()
                > skip as usize
        });
        running.signal(nix::sys::signal::Signal::SIGKILL);
        running.ended();
        hub.world.clear_temporary_files();
        hub.github.change(|state| state.faults.clear());
        let acted = hub.act("workflow_run", &event, &[]);
        let outcome = acted.outputs["outcome"].as_str();
        assert!(["fixed", "skipped"].contains(&outcome), "{path}: {}\n{}", acted.summary, acted.ran.stderr);
        let pulls = hub.open_pulls();
        assert_eq!(pulls.len(), 1, "{path}: {}", acted.summary);
        assert_eq!(acted.outputs["pull-request-number"], pulls[0].number.to_string(), "{path}");
        assert!(pulls[0].diff.contains("+import json"), "{path}");
        hub.github.take_pull_request();
        hub.github.change(|state| state.unread.clear());
    }
}

#[test]
fn a_kill_while_it_only_reads_or_works_leaves_nothing_and_the_next_run_begins_anew() {
    for stage in ["/attempts/1$", "/contents/", "/jobs$", "/logs$", "/pulls$", "the repair"] {
        let (hub, run) = Hub::failing();
        let event = hub.repo.workflow_run_event(run);
        let works = stage == "the repair";
        if !works {
            hub.github.fault(Fault::on("GET", stage).slow(Duration::from_secs(8)));
        }
        let (running, _) = hub.start("workflow_run", &event, &[]);
        let wanted = regex::Regex::new(stage).unwrap();
        wait_for("the stage", || match works {
            // The attempt is counted, and nothing is proposed yet.
            true => hub.github.writes().iter().any(|call| call.path.ends_with("/git/refs")),
            false => hub.github.calls().iter().any(|call| call.method == "GET" && wanted.is_match(&call.path)),
        });
        running.signal(nix::sys::signal::Signal::SIGKILL);
        running.ended();
        hub.world.clear_temporary_files();
        assert!(hub.repo.branches() == ["main"] && hub.repo.pulls().is_empty(), "{stage}");
        hub.github.change(|state| state.faults.clear());
        hub.act("workflow_run", &event, &[]).ends("fixed");
        hub.github.take_pull_request();
    }
}

#[test]
fn a_kill_while_a_review_a_comment_or_an_issue_is_written_leaves_one() {
    let issues = "actions:read contents:write pull-requests:write issues:write";
    for (path, mode) in [("/reviews$", "suggest"), ("/comments$", "suggest"), ("/issues$", "pull-request")] {
        let (hub, run) = match path {
            "/reviews$" => {
                let hub = Hub::new();
                let (_, run) = targets::pull_request(&hub);
                (hub, run)
            }
            "/comments$" => {
                let hub = Hub::new();
                let (_, run) = targets::unseen_fault(&hub);
                (hub, run)
            }
            _ => {
                let hub = Hub::new();
                hub.github.permissions(issues);
                hub.repo.commit("main", "Configure", &[(".github/test-repair.yml", "issue: true\n"), ("a", "")]);
                let run = endings::unfixable(&hub);
                (hub, run)
            }
        };
        let event = hub.repo.workflow_run_event(run);
        hub.github.fault(Fault::on("POST", path).slow(Duration::from_secs(8)));
        let (running, _) = hub.start("workflow_run", &event, &[("mode", mode)]);
        let wanted = regex::Regex::new(path).unwrap();
        wait_for("the call", || hub.github.writes().iter().any(|call| wanted.is_match(&call.path)));
        running.signal(nix::sys::signal::Signal::SIGKILL);
        running.ended();
        hub.world.clear_temporary_files();
        hub.github.change(|state| state.faults.clear());
        hub.act("workflow_run", &event, &[("mode", mode)]);
        match path {
            "/reviews$" => drop(hub.github.take_review()),
            "/comments$" => drop(hub.github.take_comment()),
            _ => drop(hub.github.take_issue()),
        }
        // The harness would complain of a second one.
        hub.github.assert_done();
    }
}

#[test]
fn a_conflict_ends_in_order_and_a_redirection_elsewhere_never_gets_the_token() {
    let (hub, run) = Hub::failing();
    hub.github.fault(Fault::on("POST", "/git/commits$").status(409, "Conflict").always());
    hub.act_on(run, &[]).ends("fixed").says(&["## ⚠️", "could not be proposed", "409"]);
    assert_eq!(hub.repo.branches(), ["main"]);
    let elsewhere = crate::endpoint::Endpoint::answering(|_| crate::endpoint::Say::status(404));
    let (hub, run) = Hub::failing();
    hub.github.fault(Fault::on("GET", "/jobs$").redirect(&elsewhere.url()).always());
    hub.act_on(run, &[]).ends("skipped");
    for request in elsewhere.requests() {
        hub.github.check_for_secrets("a request elsewhere", &format!("{request:?}"));
    }
}
