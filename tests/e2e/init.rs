//! `init` writes a workflow that GitHub takes and that asks for no more than it needs, and says what remains.

use std::{fs, process::Command};

use serde_json::{Value, json};

use crate::world::{Ran, World, project, run, skipped};

const CI: &str = "name: 'CI: tests'
on: [push, pull_request]
permissions: {contents: read}
concurrency: {group: \"${{ github.ref }}\", cancel-in-progress: true}
jobs:
  test:
    name: Tests
    runs-on: ubuntu-latest
    steps: [{run: python -m unittest}]
  lint:
    name: Lints
    runs-on: ubuntu-latest
    steps: [{run: ruff check}]
";
const NAMELESS: &str = "on: {pull_request: {}}\njobs: {types: {runs-on: ubuntu-latest, steps: [{run: mypy src}]}}\n";
const RELEASE: &str =
    "name: Release\non: {push: {tags: ['v*']}}\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: twine}]}}\n";
const OWN: &str = ".github/workflows/test-repair.yml";

fn world() -> World {
    let world = World::new();
    let root = world.repository(&[
        ("tiny.py", ""),
        (".github/workflows/ci.yml", CI),
        (".github/workflows/types.yaml", NAMELESS),
        (".github/workflows/release.yml", RELEASE),
        (".github/workflows/notes.txt", "no workflow"),
    ]);
    let url = "https://someone:ghp_0123456789abcdefghijklmnopqrstuvwxyz@github.com/octo/shop.git";
    world.git(&root, &["remote", "add", "origin", url]);
    world.may_change(&root);
    world
}

fn written(world: &World, path: &str) -> String {
    fs::read_to_string(world.path("tiny").join(path)).unwrap()
}

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

/// Says what zizmor and actionlint find in a repository's workflow; they are not everywhere.
fn lints(world: &World, file: &str) {
    for (tool, arguments) in [("zizmor", &["--offline", "--persona=auditor"][..]), ("actionlint", &[][..])] {
        let mut command = Command::new(tool);
        command.args(arguments).arg(file).current_dir(world.path("tiny"));
        if Command::new(tool).arg("--version").output().is_err() {
            skipped(&format!("{tool} is not installed"));
            continue;
        }
        let output = run(&mut command);
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{tool} {file}:\n{said}");
    }
}

#[test]
fn the_workflow_watches_the_checks_and_a_second_time_nothing_changes() {
    let world = world();
    let ran = world
        .run(&["init", "--repo", "tiny"])
        .exits_with(0)
        .prints("CI: tests (ci.yml) is repaired")
        .prints("Release (release.yml) is left out: it does not run on pushes to branches")
        .prints("gh secret set DEEPSEEK_API_KEY")
        .prints("https://github.com/octo/shop/settings/actions")
        .prints("the default branch");
    assert!(!ran.stdout.contains("ghp_") && !ran.stdout.contains("someone"), "{}", ran.stdout);
    let text = written(&world, OWN);
    let expected = json!(["CI: tests", ".github/workflows/types.yaml"]);
    assert_eq!(yaml(&text)["on"]["workflow_run"]["workflows"], expected);
    lints(&world, OWN);
    world.run(&["init", "--repo", "tiny"]).exits_with(0).prints("already as it would be written");
    world.run(&["init", "--repo", "tiny", "--check"]).exits_with(0);
    assert_eq!(written(&world, OWN), text);
    assert!(!world.path("tiny/.github/test-repair.yml").exists());
}

#[test]
fn a_workflow_that_differs_is_overwritten_only_by_force() {
    let world = world();
    world.run(&["init", "--repo", "tiny", "--check"]).exits_with(1).prints("is not there yet");
    assert!(!world.path("tiny").join(OWN).exists());
    world.file(&format!("tiny/{OWN}"), "name: mine\n");
    world.run(&["init", "--repo", "tiny"]).exits_with(2).complains(&["differs; --force", "-name: mine"]);
    assert_eq!(written(&world, OWN), "name: mine\n");
    world.run(&["init", "--repo", "tiny", "--check"]).exits_with(1).prints("-name: mine");
    world.run(&["init", "--repo", "tiny", "--force", "--workflow", "ci.yml"]).exits_with(0).prints("Overwrote");
    assert_eq!(yaml(&written(&world, OWN))["on"]["workflow_run"]["workflows"], json!(["CI: tests"]));
    lints(&world, OWN);
}

#[test]
fn what_is_opted_into_gets_its_permissions_and_its_configuration() {
    let world = world();
    world
        .run(&["init", "--repo", "tiny", "--reruns", "2", "--issues"])
        .exits_with(0)
        .prints("Wrote .github/test-repair.yml");
    let permissions = yaml(&written(&world, OWN))["jobs"]["repair"]["permissions"].clone();
    let all = json!({"actions": "write", "contents": "write", "issues": "write", "pull-requests": "write"});
    assert_eq!(permissions, all);
    let configuration = written(&world, ".github/test-repair.yml");
    assert_eq!(yaml(&configuration), json!({"reruns": 2, "issue": true}));
    let read = test_repair::config::Config::parse(&configuration).unwrap();
    assert_eq!((read.reruns, read.issue), (2, true));
    lints(&world, OWN);
    world.file("tiny/.github/test-repair.yml", "concurrency: 2\nreruns: 1\n");
    world
        .run(&["init", "--repo", "tiny", "--reruns", "2", "--issues"])
        .exits_with(0)
        .prints("Change in .github/test-repair.yml: `reruns: 2`")
        .prints("Add to .github/test-repair.yml: `issue: true`");
    assert_eq!(written(&world, ".github/test-repair.yml"), "concurrency: 2\nreruns: 1\n");
}

#[test]
fn the_action_is_pinned_to_the_commit_of_its_newest_release() {
    let (world, action) = (world(), World::new());
    let root = action.repository(&[("action.yml", "name: test-repair\n")]);
    action.git(&root, &["tag", "-a", "v1", "-m", "v1"]);
    let init = |more: &[&str]| {
        let mut command = world.command();
        command.env("GIT_CONFIG_COUNT", "1").env("GIT_CONFIG_VALUE_0", "https://github.com/org/test-repair");
        command.env("GIT_CONFIG_KEY_0", format!("url.{}.insteadOf", root.display()));
        Ran::of(&run(command.args(["init", "--repo", "tiny"]).args(more)))
    };
    let commit = action.git(&root, &["rev-parse", "HEAD"]);
    let uses = format!("uses: org/test-repair@{} # v1", commit.trim());
    init(&[]).exits_with(0);
    assert!(written(&world, OWN).contains(&uses), "{}", written(&world, OWN));
    lints(&world, OWN);
    init(&["--same-run"]).exits_with(0).prints(&uses);
    // A release later it is still as it would be written, until somebody wants the newest.
    action.git(&root, &["commit", "--allow-empty", "-m", "Go on"]);
    action.git(&root, &["tag", "-f", "v1"]);
    init(&["--check"]).exits_with(0);
    init(&[]).exits_with(0).prints("nothing changed");
    init(&["--force"]).exits_with(0);
    assert!(!written(&world, OWN).contains(&uses));
    // Where nobody can be asked it says so.
    fs::remove_file(world.path("tiny").join(OWN)).unwrap();
    world.run(&["init", "--repo", "tiny"]).exits_with(0).prints("it is not pinned");
}

#[test]
fn the_job_to_paste_waits_for_all_jobs_of_the_failing_workflow() {
    let world = world();
    let said = world.run(&["init", "--repo", "tiny", "--same-run", "--workflow", "CI: tests"]).exits_with(0).stdout;
    assert!(!world.path("tiny").join(OWN).exists());
    let job = said.split("below `jobs:`\n\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let pasted = format!("{CI}\n{job}\n");
    let value = yaml(&pasted);
    assert_eq!(value["jobs"]["test-repair"]["needs"], json!(["test", "lint"]));
    assert_eq!(value["jobs"]["test-repair"]["if"], "failure()");
    world.file("tiny/.github/workflows/ci.yml", &pasted);
    lints(&world, ".github/workflows/ci.yml");
    let again = ["init", "--repo", "tiny", "--same-run", "--check", "--workflow", "ci.yml"];
    world.run(&again).exits_with(0).prints("has the job already, and it waits for all others");
    world.file("tiny/.github/workflows/ci.yml", pasted.replace("[test, lint]", "[test]"));
    world.run(&again).exits_with(1).prints("lacks lint");
}

#[test]
fn what_cannot_be_written_safely_is_refused() {
    let world = world();
    world.run(&["init", "--repo", "absent"]).exits_with(2).complains(&["no repository at absent"]);
    world.run(&["init", "--repo", "tiny/.github"]).exits_with(2).complains(&["lies inside of the repository"]);
    world
        .run(&["init", "--repo", "tiny", "--workflow", "Nightly"])
        .exits_with(2)
        .complains(&["no workflow is called `Nightly`", "`CI: tests` (ci.yml)"]);
    fs::create_dir(world.path("void")).unwrap();
    world.run(&["init", "--repo", "void"]).exits_with(2).complains(&["there is none in .github/workflows"]);
    // A link in the way: neither followed nor replaced.
    let outside = world.file("outside.yml", "untouched\n");
    std::os::unix::fs::symlink(&outside, world.path("tiny").join(OWN)).unwrap();
    world.run(&["init", "--repo", "tiny", "--force"]).exits_with(2).complains(&["is no plain file"]);
    assert_eq!(fs::read_to_string(&outside).unwrap(), "untouched\n");
    fs::rename(world.path("tiny/.github"), world.path("github")).unwrap();
    std::os::unix::fs::symlink(world.path("github"), world.path("tiny/.github")).unwrap();
    world.run(&["init", "--repo", "tiny", "--force"]).exits_with(2).complains(&["no workflow was found"]);
}

#[test]
fn the_readme_s_example_asks_for_what_init_writes() {
    let readme = fs::read_to_string(project("README.md")).unwrap();
    let example = readme.split("```yaml\n").find_map(|b| b.split("```").next().filter(|b| b.contains("workflow_run")));
    let (short, full) = (yaml(example.unwrap()), yaml(test_repair::init::EXAMPLE));
    assert_eq!(short["on"]["workflow_run"], full["on"]["workflow_run"]);
    let (short, full) = (&short["jobs"]["repair"], &full["jobs"]["repair"]);
    assert_eq!(short["permissions"], full["permissions"]);
    assert_eq!(short["steps"][0]["uses"], full["steps"][0]["uses"]);
    assert_eq!(short["steps"][0]["with"]["deepseek-api-key"], full["steps"][0]["with"]["deepseek-api-key"]);
    let condition = |job: &Value| job["if"].as_str().unwrap().to_owned();
    assert!(condition(full).contains(&condition(short)));
}
