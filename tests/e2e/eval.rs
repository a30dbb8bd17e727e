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
    let ran = world.run(&arguments).exits_with(0).complains(&["[1/2]", "[2/2]"]);
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
