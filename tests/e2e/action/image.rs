//! The same in the image that users run: as the runner starts it, with the runner's mounts.

use super::*;
use crate::world::skipped;

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
    docker.args(["-v", "/var/run/docker.sock:/var/run/docker.sock"]).arg(image);
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
}
