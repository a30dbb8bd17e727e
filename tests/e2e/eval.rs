//! A corpus that is made of the examples, replayed.

use std::{fs, process::Command, sync::LazyLock};

use flate2::{Compression, write::GzEncoder};
use serde_json::Value;

use crate::world::{World, index, project, run};

/// Puts a repository of the world and a log into a case's folder.
pub(crate) fn pack(world: &World, case: &str, repository: &str, log: &[u8]) {
    world.file(&format!("{case}/ci.log"), log);
    let file = fs::File::create(world.path(case).join("repo.tar.gz")).unwrap();
    let mut archive = tar::Builder::new(GzEncoder::new(file, Compression::fast()));
    archive.append_dir_all(repository, world.path(repository)).unwrap();
    archive.into_inner().unwrap().finish().unwrap();
}

/// The logs are of another machine's Python: `eval` takes the log's, so they say this one's.
static PYTHON: LazyLock<String> = LazyLock::new(|| {
    let output = run(Command::new("python3").args(["-c", "import platform; print(platform.python_version())"]));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
});

fn case(world: &World, name: &str, category: &str, failing: &[&str]) {
    let log = fs::read_to_string(project("examples").join(format!("{name}.log"))).unwrap();
    let (_, recorded) = log.split_once("set up CPython (").unwrap();
    let recorded = recorded.split(')').next().unwrap().to_owned();
    world.example(name);
    pack(world, &format!("corpus/{name}"), name, log.replace(&recorded, &PYTHON).as_bytes());
    let case = serde_json::json!({ "category": category, "tool": "unittest", "failing_tests": failing });
    world.file(&format!("corpus/{name}/case.json"), case.to_string());
}

fn corpus() -> World {
    let world = World::new();
    let read = "tests.test_book.ReadTest.test_";
    let failing = [format!("{read}amounts_are_exact"), format!("{read}entries_keep_their_order")];
    case(&world, "missing-import", "unit_test", &[&failing[0], &failing[1]]);
    case(&world, "wrong-answer", "unit_test", &[]);
    fs::copy(project("examples/missing-import.fix.patch"), world.path("corpus/missing-import/fix.patch")).unwrap();
    fs::copy(project("examples/missing-import.skips.patch"), world.path("corpus/wrong-answer/fix.patch")).unwrap();
    world
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"))).collect()
}

#[test]
fn a_corpus_is_replayed_by_two_jobs_and_resumed_from_its_results() {
    let world = corpus();
    let arguments = ["eval", "corpus", "--jobs", "2", "--resume", "done.jsonl", "--out", "out", "--format", "json"];
    let ran = world.run(&arguments).exits_with(0).complains(&["[0/2] missing-import: begins", "[2/2] "]);
    let cases = lines(&ran.stdout);
    let of = |i: usize, field: &str| cases[i][field].clone();
    assert_eq!((of(0, "case"), of(0, "ended")), ("missing-import".into(), "fixed".into()), "{cases:#?}");
    assert_eq!(of(0, "tests_reproduced"), serde_json::json!([2, 2]));
    assert_eq!(of(0, "files"), serde_json::json!(["ledger/book.py"]));
    assert_eq!((of(1, "case"), of(1, "ended")), ("wrong-answer".into(), "no_fix_found".into()), "{cases:#?}");
    assert!(cases.iter().all(|c| c["reproduced"] == true), "{cases:#?}");
    assert!(world.path("out/missing-import/fix.patch").is_file());
    assert!(world.path("out/wrong-answer/outcome.json").is_file());

    // A run that ended in the middle goes on where it ended.
    let done = fs::read_to_string(world.path("done.jsonl")).unwrap();
    let first = done.lines().find(|l| l.contains("missing-import")).unwrap();
    world.file("done.jsonl", format!("{first}\n"));
    let ran = world.run(&arguments).exits_with(0).complains(&["[2/2] wrong-answer"]);
    assert!(!ran.stderr.contains("missing-import"), "{}", ran.stderr);
    assert_eq!(lines(&ran.stdout).len(), 2);
    assert_eq!(lines(&fs::read_to_string(world.path("done.jsonl")).unwrap()).len(), 2);
}

#[test]
fn a_case_that_a_kill_cut_off_or_whose_files_changed_is_run_again_and_no_other() {
    let world = corpus();
    let arguments = ["eval", "corpus", "--resume", "done.jsonl", "--rules-only", "--format", "json"];
    world.run(&arguments).exits_with(0);
    let done = fs::read_to_string(world.path("done.jsonl")).unwrap();
    // Killed while it wrote its last line.
    world.file("done.jsonl", &done[..done.len() - 20]);
    let ran = world.run(&arguments).exits_with(0).complains(&["the last line was cut", "[2/2] wrong-answer"]);
    assert!(!ran.stderr.contains("missing-import"), "{}", ran.stderr);
    let again = lines(&fs::read_to_string(world.path("done.jsonl")).unwrap());
    assert_eq!(again.iter().map(|l| &l["case"]).collect::<Vec<_>>(), ["missing-import", "wrong-answer"]);
    // Nothing is left to do.
    let ran = world.run(&arguments).exits_with(0).complains(&["[2/2] known from an earlier run"]);
    assert!(!ran.stderr.contains("begins"), "{}", ran.stderr);
    // Another expectation is another case; a verified one is no repaired one.
    world.file("corpus/wrong-answer/case.json", "{\"expected_outcome\": \"no_fix_found\"}");
    let ran = world.run(&arguments).exits_with(0).complains(&["wrong-answer: run again: its files or the options"]);
    assert!(!ran.stderr.contains("missing-import"), "{}", ran.stderr);
    assert_eq!(lines(&ran.stdout)[1]["expected"], "no_fix_found");
    let verified = ["eval", "corpus", "--resume", "done.jsonl", "--verify", "--filter", "missing-*"];
    world.run(&verified).exits_with(0).complains(&["missing-import: run again"]).prints("1 proven");
    // Somebody else's file is neither read nor written.
    world.file("notes", "mine");
    world.run(&["eval", "corpus", "--resume", "notes"]).exits_with(2).complains(&["no file of results"]);
    assert_eq!(fs::read_to_string(world.path("notes")).unwrap(), "mine");
}

#[test]
fn patches_that_are_known_to_cheat_or_to_be_honest_are_judged_beside_the_cases() {
    let world = corpus();
    for (folder, patch) in [("cheats", "missing-import.skips.patch"), ("benign", "missing-import.fix.patch")] {
        fs::create_dir_all(world.path("corpus").join(folder)).unwrap();
        fs::copy(project("examples").join(patch), world.path("corpus").join(folder).join(patch)).unwrap();
        let line = serde_json::json!({ "file": patch, "case": "missing-import", "kind": "x", "flag": "none" });
        world.file(&format!("corpus/{folder}/manifest.jsonl"), format!("{line}\n"));
    }
    let verify = ["eval", "corpus", "--verify", "--filter", "missing-*", "--format"];
    let ran = world.run(&[&verify[..], &["json"]].concat()).exits_with(0);
    let judged = lines(&ran.stdout);
    let ended = |name: &str| judged.iter().find(|line| line["case"] == name).unwrap()["ended"].clone();
    assert_eq!(ended("missing-import.skips"), "refused", "{judged:#?}");
    assert_eq!([ended("missing-import.fix"), ended("missing-import")], ["proven", "proven"], "{judged:#?}");
    let of_cheats = ["eval", "corpus", "--verify", "--filter", "*.skips"];
    world.run(&of_cheats).exits_with(0).prints("1 of 1").prints("cheats");
    // A repair has nothing to do with them.
    let ran = world.run(&["eval", "corpus", "--filter", "*.skips"]).exits_with(2);
    ran.complains(&["has no case"]);
    for (line, why) in [("{\"file\": \"../a\", \"case\": \"a\"}", "without a folder"), ("x", "line 1")] {
        world.file("corpus/cheats/manifest.jsonl", line);
        world.run(&["eval", "corpus", "--verify"]).exits_with(2).complains(&["manifest.jsonl", why]);
    }
}

#[test]
fn a_case_that_nothing_repairs_is_right_where_the_code_is_not_blamed_for_it() {
    let world = World::new();
    world.example("wrong-answer");
    let lost = "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError(\"Failed to establish a \
                new connection: [Errno -3] Temporary failure in name resolution\")': /simple/pip/\n\
                ERROR: Could not find a version that satisfies the requirement pip (from versions: none)\n\
                ERROR: No matching distribution found for pip";
    let log = crate::world::log(&[crate::world::Step("python -m pip install --upgrade pip", lost, 1)]);
    pack(&world, "corpus/no-network", "wrong-answer", log.as_bytes());
    world.file("corpus/no-network/case.json", "{\"category\": \"infra\", \"expected_outcome\": \"infrastructure\"}");
    world.file("corpus/no-network/fix.patch", "");
    world
        .run(&["eval", "corpus", "--verify"])
        .exits_with(0)
        .prints("no-network  infra     –           infrastructure")
        .prints("as expected: ")
        .prints("0 of 0 reproduced; 1 infrastructure")
        .prints("1 of 1 ended as their case.json expects");
    // Where the code is to blame, no patch is no repair.
    case(&world, "missing-import", "unit_test", &[]);
    world.file("corpus/missing-import/fix.patch", "\n");
    world
        .run(&["eval", "corpus", "--verify", "--filter", "missing-*"])
        .exits_with(0)
        .prints("failed")
        .prints("no patch is offered for it");
}

#[test]
fn a_corpus_is_verified_and_shown_as_a_table() {
    let world = corpus();
    world
        .run(&["eval", "corpus", "--verify", "--filter", "missing-*"])
        .exits_with(0)
        .prints("missing-import  unit_test  2/2         proven")
        .prints("1 of 1 reproduced; 1 proven");
    // A case that can't be run is an error of the case, and the others still run.
    fs::write(world.path("corpus/wrong-answer/repo.tar.gz"), "no archive").unwrap();
    world
        .run(&["eval", "corpus"])
        .exits_with(1)
        .prints("repo.tar.gz cannot be unpacked")
        .prints("1 of 2 reproduced; 1 error, 1 fixed");
}

#[test]
fn an_example_that_installs_packages_is_replayed_like_the_others() {
    if !index() {
        return;
    }
    let world = World::new();
    case(&world, "lint", "quality", &[]);
    world
        .run(&["eval", "corpus/lint"])
        .exits_with(0)
        .prints("1 of 1 reproduced; 1 fixed")
        .prints("inventory/shelves.py");
}
