//! What a check can't see of us.

use crate::world::{Step, TEST, UNITTEST, World, log, run, unittest_failure};

/// Fails as the log says where nothing is to be seen; passes where something is, and then nothing is reproduced.
const LOOKS: &str = r#"
import os
import socket
import unittest
from pathlib import Path

CANARY = "can" + "ary-of-e2e"


def seen():
    for name, value in os.environ.items():
        if CANARY in value or name.startswith("TEST_REPAIR"):
            yield f"variable {name}"
    for process in Path("/proc").glob("[0-9]*"):
        for name in ("environ", "cmdline"):
            try:
                if CANARY.encode() in (process / name).read_bytes():
                    yield str(process / name)
            except OSError:
                pass
    for path in ("OUTSIDE", "/root/.ssh", "/var/run/docker.sock"):
        try:
            if Path(path).is_dir():
                os.listdir(path)
            else:
                Path(path).read_bytes()
            yield path
        except OSError:
            pass
    try:
        socket.create_connection(("1.1.1.1", 53), timeout=3).close()
        yield "network"
    except OSError:
        pass
    for path in ("OUTSIDE", "/usr/e2e-canary", "/etc/e2e-canary"):
        try:
            Path(path).write_text("x")
            yield f"written {path}"
        except OSError:
            pass


class TinyTest(unittest.TestCase):
    def test_it(self):
        found = list(seen())
        print("seen:", found)
        if not found:
            self.fail("nothing")
"#;

#[test]
fn a_check_sees_none_of_our_environment_files_processes_and_network() {
    let world = World::new();
    let outside = world.file("outside.txt", "canary-of-e2e");
    let looks = LOOKS.replace("OUTSIDE", outside.to_str().unwrap());
    world.repository(&[("tests/__init__.py", ""), ("tests/test_tiny.py", &looks)]);
    world.file("ci.log", log(&[Step(UNITTEST, &unittest_failure("test_it", TEST, "AssertionError: nothing"), 1)]));
    let mut command = world.command();
    for name in [
        "TEST_REPAIR_CANARY",
        "GITHUB_TOKEN",
        "ACTIONS_RUNTIME_TOKEN",
        "DEEPSEEK_API_KEY",
        "AWS_SECRET_ACCESS_KEY",
        "PYTHONPATH",
        "LD_LIBRARY_PATH",
        "PIP_CONFIG_FILE",
    ] {
        command.env(name, "/canary-of-e2e");
    }
    let output = run(command.args(["fix", "--repo", "tiny", "--log", "ci.log"]));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("reproduced twice: 1 of 1") && !said.contains("canary-of-e2e"), "{said}");
    assert_eq!(std::fs::read_to_string(outside).unwrap(), "canary-of-e2e");
}

#[test]
fn doctor_says_what_the_sandbox_enforces() {
    let world = World::new();
    world.run(&["doctor"]).exits_with(0).prints("local: ").prints("network-").prints("Python").prints("git version");
}

#[test]
fn doctor_says_what_a_repository_needs_and_how_to_get_what_is_missing() {
    let world = World::new();
    let ci = "on: push\njobs:\n  test:\n    runs-on: ubuntu-latest\n    services: {db: {image: 'postgres:16'}}\n    steps:\n    \
              - uses: actions/setup-python@v6\n      with: {python-version: '3.2'}\n    - run: bash -c true\n";
    world.repository(&[(".github/workflows/ci.yml", ci)]);
    let mut doctor = world.command();
    // Where uv is, it gets any Python.
    doctor.env("PATH", "/usr/bin:/bin").args(["doctor", "--repo", "tiny"]);
    let ran = crate::world::Ran::of(&run(&mut doctor)).prints("postgres:16").prints("the local sandbox has none");
    if !std::path::Path::new("/usr/bin/uv").exists() {
        ran.exits_with(1).prints("Python 3.2").prints("3.2");
    }
}
