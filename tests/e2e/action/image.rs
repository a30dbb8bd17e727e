//! The same in the image that users run: as the runner starts it, with the runner's mounts.

use std::{io::Write as _, path::Path};

use super::*;
use crate::{
    endpoint::{Endpoint, Say},
    world::skipped,
};

/// Names an image that is there: `TEST_REPAIR_IMAGE=test-repair:dev cargo test --test e2e image`.
fn image() -> Option<String> {
    let image = std::env::var("TEST_REPAIR_IMAGE").ok().filter(|name| !name.is_empty());
    let there = |name: &String| {
        Command::new("docker").args(["image", "inspect", name]).output().is_ok_and(|o| o.status.success())
    };
    let image = image.filter(there);
    if image.is_none() {
        skipped("TEST_REPAIR_IMAGE names no image that Docker has");
    }
    image
}

#[test]
fn the_image_makes_the_same_pull_request_in_a_container() {
    let Some(image) = image() else { return };
    let (hub, run) = Hub::failing();
    let event = hub.repo.workflow_run_event(run);
    let (command, place) = hub.command("workflow_run", &event, &[]);
    let mut docker = Command::new("docker");
    docker.args(["run", "--rm", "--network", "host", "--workdir", "/github/workspace"]);
    for (name, value) in command.get_envs() {
        let (name, value) = (name.to_string_lossy(), value.unwrap_or_default().to_string_lossy());
        let ours = ["GITHUB_", "INPUT_", "ACTIONS_"].iter().any(|prefix| name.starts_with(prefix));
        if ours && !value.is_empty() {
            let value = value.replace(&*place.to_string_lossy(), "/github/runner");
            docker.arg("-e").arg(format!("{name}={value}"));
        }
    }
    docker.args(["-e", "HOME=/github/home", "-e", "GITHUB_WORKSPACE=/github/workspace"]);
    docker.arg("-v").arg(format!("{}:/github/runner", place.display()));
    docker.arg("-v").arg(format!("{}:/github/workspace", place.join("workspace").display()));
    docker.args(["-v", "/var/run/docker.sock:/var/run/docker.sock"]);
    // Where an engine can be started in this docker, the default takes it.
    let engine = std::env::var("TEST_REPAIR_ENGINE_CONFIG").ok();
    if let Some(config) = &engine {
        docker.args(["-v", &format!("{config}:/engine.json:ro"), "-e", "TEST_REPAIR_ENGINE_CONFIG=/engine.json"]);
    }
    docker.arg(image);
    let ran = Ran::of(&crate::world::run(&mut docker));
    let acted = hub.acted(ran, &place).ends("fixed");
    let pull = hub.github.take_pull_request();
    assert!(pull.diff.contains("+import json"), "{}", pull.diff);
    assert_eq!(acted.outputs["pull-request-number"], pull.number.to_string());
    assert!(
        acted.summary.contains("Pull request") && acted.ran.stdout.contains("::notice file=tiny.py"),
        "{}",
        acted.ran.stdout
    );
    if engine.is_some() {
        assert!(acted.summary.contains("dagger"), "{}", acted.summary);
    }
}

/// nektos/act is not the runner, but another that reads workflows: `uses:`, `with:`, secrets and outputs as a user writes
/// them. Its paths differ from the runner's.
#[test]
fn act_runs_the_workflow_that_a_user_writes() {
    if Command::new("act").arg("--version").output().is_err() {
        return skipped("act is not installed (go install github.com/nektos/act@v0.2.87)");
    }
    let Some(image) = image() else { return };
    let (hub, run) = Hub::failing();
    let project = hub.world.path("project");
    fs::create_dir_all(project.join(".github/workflows")).unwrap();
    let workflow = "on: {workflow_run: {workflows: [CI], types: [completed]}}\n\
                    permissions: {actions: read, contents: write, pull-requests: write}\njobs:\n  repair:\n    \
                    if: github.event.workflow_run.conclusion == 'failure'\n    runs-on: ubuntu-latest\n    steps:\n      \
                    - uses: ./\n        id: repair\n      \
                    - run: echo \"pull request ${{ steps.repair.outputs.pull-request-number }}\"\n";
    hub.world.file("project/.github/workflows/repair.yml", workflow);
    hub.world.file("project/Dockerfile", format!("FROM {image}\n"));
    fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("action.yml"), project.join("action.yml")).unwrap();
    hub.world.git(&project, &["init", "--quiet"]);
    hub.world.git(&project, &["add", "."]);
    hub.world.git(&project, &["commit", "--quiet", "-m", "Begin"]);
    hub.world.file("event.json", hub.repo.workflow_run_event(run).to_string());
    let mut act = Command::new("act");
    act.current_dir(&project).env("DOCKER_BUILDKIT", "0").env("HOME", hub.world.path("."));
    act.args(["workflow_run", "-e"]).arg(hub.world.path("event.json"));
    act.args(["-P", "ubuntu-latest=debian:bookworm-slim", "--pull=false", "--no-cache-server", "--rm", "--bind"]);
    for (name, value) in [
        ("GITHUB_API_URL", hub.github.api()),
        ("GITHUB_SERVER_URL", hub.github.url()),
        ("GITHUB_REPOSITORY", "octo/tiny".to_owned()),
        ("GITHUB_RUN_ID", "4242".to_owned()),
    ] {
        act.args(["--env", &format!("{name}={value}")]);
    }
    act.args(["-s", &format!("GITHUB_TOKEN={}", hub.github.token())]);
    let ran = Ran::of(&crate::world::run(&mut act));
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    let pull = hub.github.take_pull_request();
    assert!(pull.diff.contains("+import json"), "{}", pull.diff);
    assert!(ran.stdout.contains(&format!("pull request {}", pull.number)), "{}", ran.stdout);
}

const CASE: &str = "corpus/cases/boltons-bits-off-by-one";

#[test]
fn the_image_repairs_a_repository_of_the_corpus_as_the_runner_starts_it() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let (case, runner) = (shared.join(CASE), shared.join("tools/run-like-runner"));
    if !case.is_dir() || !runner.is_file() {
        return skipped(&format!("no corpus and tools at {}", shared.display()));
    }
    let Some(image) = image() else { return };
    let world = World::new();
    let checked = |command: &mut Command| {
        let ran = Ran::of(&crate::world::run(command));
        assert_eq!(ran.code, 0, "{command:?}\n{}\n{}", ran.stdout, ran.stderr);
        ran
    };
    checked(Command::new("tar").arg("xzf").arg(case.join("repo.tar.gz")).arg("-C").arg(world.path(".")));
    let github = GitHub::start();
    let repo = github.repository("octo/boltons");
    let sha = repo.import(&world.path("boltons"));
    let log = fs::read_to_string(case.join("ci.log")).unwrap();
    let job = NewJob::failed("test (3.11)").step("Set up job", "success").step("Test", "failure").log(log);
    let run = repo.add_run(NewRun::failed("CI", &sha).job(job));
    let fix = fs::read_to_string(case.join("fix.patch")).unwrap();
    let endpoint = Endpoint::start([Say::text(&answer(&fix))]);
    // What the runner would build is built already.
    for place in ["action", "workspace", "out"] {
        fs::create_dir(world.path(place)).unwrap();
    }
    world.file("action/Dockerfile", format!("FROM {image}\n"));
    world.file("event.json", repo.workflow_run_event(run).to_string());
    let mut command = Command::new(runner);
    command.arg(world.path("action")).arg(world.path("workspace")).arg("workflow_run");
    command.arg(world.path("event.json")).arg(world.path("out"));
    command.arg(format!("github-token={}", github.token()));
    command.args(["deepseek-api-key=key-of-the-test", &format!("model-url={}", endpoint.url())]);
    command.args(["--", "--network", "host"]);
    command.env("DOCKER_BUILDKIT", "0").env("GITHUB_API_URL", github.api()).env("GITHUB_SERVER_URL", github.url());
    let ran = checked(&mut command);
    let pull = github.take_pull_request();
    let changed = |diff: &str| {
        let lines = diff.lines().filter(|line| !line.starts_with("+++") && !line.starts_with("---"));
        lines.filter(|line| line.starts_with(['+', '-'])).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(changed(&pull.diff), changed(&fix));
    let read = |name: &str| fs::read_to_string(world.path("out").join(name)).unwrap();
    let (outputs, summary) = (outputs(&read("output")), read("step_summary"));
    assert_eq!((outputs["outcome"].as_str(), outputs["pull-request-number"].as_str()), ("fixed", "1"), "{summary}");
    assert!(summary.starts_with("## ✅ test-repair: fixed"), "{summary}");
    assert!(ran.stdout.contains("::notice file=tests/test_mathutils.py,line=121"), "{}", ran.stdout);
    let calls = github.conversation();
    assert!(calls.len() <= 20, "{calls:#?}");
    for (what, text) in [("standard output", hidden_masks(&ran.stdout)), ("summary", summary)] {
        github.check_for_secrets(what, &text);
    }
    endpoint.assert_done();
    github.assert_done();
    let _ = writeln!(std::io::stderr(), "{}\n{} calls of GitHub: {calls:#?}", ran.stdout, calls.len());
}

/// A patch of one hunk, as the model would say it.
fn answer(patch: &str) -> String {
    let path = patch.lines().find_map(|line| line.strip_prefix("+++ b/")).unwrap();
    let lines = || patch.lines().skip_while(|line| !line.starts_with("@@")).skip(1);
    let side = |sign: char| {
        let of = |line: &str| line.strip_prefix([' ', sign]).map(|line| format!("{line}\n"));
        lines().filter_map(of).collect::<String>()
    };
    let (before, after) = (side('-'), side('+'));
    format!(
        "root_cause: The bound is one too high.\nfix_type: test\nconfidence: high\nfault: code\nimpact: None.\n\
         <<<<<<< {path}\n{before}=======\n{after}>>>>>>>\n"
    )
}
