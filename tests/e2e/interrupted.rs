//! A run that is ended from outside takes everything with it.

use nix::sys::signal::Signal;

use crate::world::{Step, TEST, UNITTEST, World, log, unittest_failure, wait_for, with_words};

/// A repository whose check hangs, with a process of its own that carries `marker`.
fn hanging(world: &World, marker: &str) {
    let test = format!(
        "import subprocess, sys, time, unittest\n\n\nclass TinyTest(unittest.TestCase):\n    def test_it(self):\n        \
         subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(3600)', '{marker}'], start_new_session=True)\n        \
         time.sleep(3600)\n"
    );
    let file = format!("{marker}.txt");
    world.repository(&[
        ("tests/__init__.py", ""),
        ("tests/test_tiny.py", &test),
        (&file, "a file to be found again\n"),
    ]);
    world.file("ci.log", log(&[Step(UNITTEST, &unittest_failure("test_it", TEST, "ValueError: x"), 1)]));
}

/// Copies of the marker's file in the cache.
fn copies(world: &World, marker: &str) -> Vec<std::path::PathBuf> {
    let pattern = world.cache().join(format!("**/{marker}.txt"));
    glob::glob(pattern.to_str().unwrap()).unwrap().filter_map(Result::ok).collect()
}

fn ended_by(signal: Signal, marker: &str) {
    let world = World::new();
    hanging(&world, marker);
    let running = world.start(&["fix", "--repo", "tiny", "--log", "ci.log"]);
    wait_for("the check to run", || !with_words(marker).is_empty());
    running.signal(signal);
    running.ended().exits_with(130).prints("interrupted\n").prints("What failed in test").prints("ValueError: x");
    wait_for("the check to end", || with_words(marker).is_empty());
    assert_eq!(copies(&world, marker), Vec::<std::path::PathBuf>::new());
}

#[test]
fn ctrl_c_keeps_what_was_learned_and_leaves_nothing() {
    ended_by(Signal::SIGINT, "e2e-marker-interrupted");
}

#[test]
fn a_termination_keeps_what_was_learned_and_leaves_nothing() {
    ended_by(Signal::SIGTERM, "e2e-marker-terminated");
}

#[test]
fn what_was_learned_before_the_end_is_in_the_json_of_both_doors() {
    let marker = "e2e-marker-learned";
    let world = World::new();
    hanging(&world, marker);
    world.file("a.patch", "--- /dev/null\n+++ b/new.py\n@@ -0,0 +1 @@\n+X = 1\n");
    let given = ["--repo", "tiny", "--log", "ci.log", "--format", "json"];
    for door in [&["fix"][..], &["verify", "--patch", "a.patch"]] {
        let running = world.start(&[door, &given].concat());
        wait_for("the check to run", || !with_words(marker).is_empty());
        running.signal(Signal::SIGINT);
        let said = running.ended().exits_with(130).json();
        assert_eq!(said["targets"][0]["plan"]["checks"][0], UNITTEST, "{said:#}");
        assert_eq!(said["sandbox"]["kind"], "local", "{said:#}");
        assert_eq!(said.get("notes").is_some(), door[0] == "fix", "{said:#}");
        wait_for("the check to end", || with_words(marker).is_empty());
    }
}

/// Kills a run while its check hangs, and starts another one.
fn killed(marker: &str) -> World {
    let world = World::new();
    hanging(&world, marker);
    let running = world.start(&["fix", "--repo", "tiny", "--log", "ci.log"]);
    wait_for("the check to run", || !with_words(marker).is_empty());
    running.signal(Signal::SIGKILL);
    running.ended();
    wait_for("the check to end", || with_words(marker).is_empty());
    // The next start, whatever it is for.
    world.run(&["doctor"]);
    world
}

#[test]
fn a_kill_leaves_no_process_and_the_next_start_removes_what_stands_in_the_cache() {
    let world = killed("e2e-marker-killed");
    wait_for("the files to go", || copies(&world, "e2e-marker-killed").is_empty());
    world.clear_temporary_files();
}

#[test]
fn the_next_start_after_a_kill_removes_the_scratch_trees_too() {
    killed("e2e-marker-scratch");
}

#[test]
fn a_corpus_that_is_interrupted_leaves_no_process() {
    let marker = "e2e-marker-corpus";
    let world = World::new();
    hanging(&world, marker);
    crate::eval::pack(&world, "corpus/hanging", "tiny", &std::fs::read(world.path("ci.log")).unwrap());
    crate::eval::pack(&world, "corpus/an-empty-log", "tiny", b"\n");
    let running = world.start(&["eval", "corpus", "--resume", "done.jsonl", "--out", "out"]);
    wait_for("the check to run", || !with_words(marker).is_empty());
    running.signal(Signal::SIGINT);
    let ran = running.ended().exits_with(130).complains(&["interrupted: 1 of 2 cases are done; under way: hanging"]);
    ran.prints("an-empty-log").prints("0 of 2 reproduced; 1 error, 1 interrupted");
    // What was learned of the case that was under way is kept; that it has ended is not said.
    let outcome = std::fs::read_to_string(world.path("out/hanging/outcome.json")).unwrap();
    assert!(outcome.contains("\"interrupted\"") && outcome.contains(UNITTEST), "{outcome}");
    assert!(!std::fs::read_to_string(world.path("done.jsonl")).unwrap().contains("hanging"));
    wait_for("the check to end", || with_words(marker).is_empty());
}
