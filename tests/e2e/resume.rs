//! A run that is killed goes on: no answer that was paid for is paid again, at whatever moment the kill came.

use std::fs;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::{
    endpoint::{Endpoint, Say},
    model::{KEY, answer, fix, sum},
    world::{World, wait_for},
};

const USELESS: &str = "<<<<<<< tiny.py\n    result = 1\n=======\n    result = 1 + 0\n>>>>>>>\n";

/// A question that is rejected, and a dialogue that repairs it: five answers.
fn answers() -> Vec<Say> {
    let edit = r#"{"path": "tiny.py", "search": "    result = 1\n", "replace": "    result = 0\n"}"#;
    vec![
        Say::text(&answer("test", "high", USELESS)),
        Say::call("run", r#"{"command": "echo looked >> seen.txt; cat tiny.py seen.txt"}"#),
        Say::call("edit", edit),
        Say::call("check", "{}"),
        Say::text(&answer("test", "high", "")),
    ]
}

/// Starts a run, and kills it as soon as `now` says so. Whether it came to that.
fn killed(world: &World, url: &str, now: impl Fn() -> bool) -> bool {
    killed_with(world, url, &[], now)
}

fn killed_with(world: &World, url: &str, more: &[&str], now: impl Fn() -> bool) -> bool {
    let mut command = world.command();
    command
        .args(["fix", "--repo", "tiny", "--log", "ci.log", "--no-cache", "--out", "out", "--model-url", url])
        .args(more)
        .env("DEEPSEEK_API_KEY", KEY);
    let mut running = world.start_command(&mut command);
    wait_for("the moment to kill", || now() || running.is_over());
    let killed = !running.is_over();
    if killed {
        running.signal(Signal::SIGKILL);
    }
    running.ended();
    wait_for("every process of the killed run to end", || crate::world::strangers().is_empty());
    world.clear_temporary_files();
    killed
}

fn lines(world: &World) -> usize {
    fs::read(world.path("out/transcript.jsonl")).map_or(0, |text| text.iter().filter(|b| **b == b'\n').count())
}

fn resumed(world: &World, endpoint: &Endpoint) -> Value {
    fix(world, &endpoint.url(), &["--resume", "out/transcript.jsonl"]).exits_with(0).json()
}

#[test]
fn a_kill_while_any_call_is_under_way_loses_no_answer_and_asks_only_that_one_again() {
    for at in 0..answers().len() {
        let mut script = answers();
        script.insert(at, Say::nothing());
        let (world, endpoint) = (sum(), Endpoint::start(script));
        assert!(killed(&world, &endpoint.url(), || endpoint.requests().len() == at + 1));
        let report = resumed(&world, &endpoint);
        endpoint.assert_done();
        let bodies = endpoint.bodies();
        assert_eq!(bodies.len(), answers().len() + 1);
        assert_eq!(bodies[at], bodies[at + 1], "the same question is asked again");
        // Five answers were paid; the one that was cut off nobody counted.
        assert_eq!(report["usage"]["prompt_tokens"], 500, "{}", report["usage"]);
        assert!(report["notes"].to_string().contains("never ended"), "{}", report["notes"]);
    }
}

#[test]
fn a_kill_between_the_steps_pays_nothing_twice() {
    let mut kills = 0;
    for at in 2..18 {
        // Answers by how far the chat has come: a call that was under way may be asked again.
        let endpoint = Endpoint::answering(|body| {
            let messages = body["messages"].as_array().unwrap();
            answers()[messages.iter().filter(|message| message["role"] == "assistant").count()].clone()
        });
        let world = sum();
        if !killed(&world, &endpoint.url(), || lines(&world) >= at) {
            break; // it was over by then
        }
        kills += 1;
        let text = fs::read_to_string(world.path("out/transcript.jsonl")).unwrap();
        let answered = text.lines().filter(|line| line.contains("\"kind\":\"answer\"")).count();
        let asked = endpoint.requests().len();
        let report = resumed(&world, &endpoint);
        assert_eq!(endpoint.requests().len() - asked, answers().len() - answered, "killed at line {at}");
        assert_eq!(report["usage"]["prompt_tokens"], 500, "{}", report["usage"]);
        endpoint.assert_done();
    }
    assert!(kills >= 3, "only {kills} runs were killed in time");
}

#[test]
fn a_run_that_is_killed_twice_goes_on_from_both() {
    let mut script = answers();
    script.insert(1, Say::nothing());
    script.insert(4, Say::nothing());
    let (world, endpoint) = (sum(), Endpoint::start(script));
    assert!(killed(&world, &endpoint.url(), || endpoint.requests().len() == 2));
    let resume = ["--resume", "out/transcript.jsonl"];
    assert!(killed_with(&world, &endpoint.url(), &resume, || endpoint.requests().len() == 5));
    let report = resumed(&world, &endpoint);
    endpoint.assert_done();
    let bodies = endpoint.bodies();
    assert_eq!((&bodies[1], &bodies[4]), (&bodies[2], &bodies[5]), "what was under way is asked again");
    assert_eq!(report["usage"]["prompt_tokens"], 500, "{}", report["usage"]);
}

#[test]
fn what_a_killed_run_spent_counts_for_the_budget_of_the_run_that_goes_on() {
    let mut script = answers();
    script.insert(2, Say::nothing());
    let (world, endpoint) = (sum(), Endpoint::start(script));
    assert!(killed(&world, &endpoint.url(), || endpoint.requests().len() == 3));
    // Two answers and one call that never ended: a budget of three calls is spent.
    let more = ["--resume", "out/transcript.jsonl", "--max-calls", "3"];
    let report = fix(&world, &endpoint.url(), &more).exits_with(6).json();
    assert_eq!(report["outcome"], "budget_spent");
    assert_eq!(endpoint.requests().len(), 3);
}

#[test]
fn a_transcript_of_another_repair_is_not_gone_on_with() {
    let (world, endpoint) = (sum(), Endpoint::start([Say::nothing()]));
    assert!(killed(&world, &endpoint.url(), || endpoint.requests().len() == 1));
    let more = ["--resume", "out/transcript.jsonl", "--model", "deepseek-v4-pro"];
    fix(&world, &endpoint.url(), &more).exits_with(2).complains(&["deepseek-v4-pro"]);
    world.file("tiny/tiny.py", "def total(items):\n    return 7\n");
    fix(&world, &endpoint.url(), &more[..2]).exits_with(2).complains(&["another repair"]);
    world.may_change(&world.path("tiny"));
}
