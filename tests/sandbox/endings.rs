//! Every run ends within its limits, and nothing of it is left.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    time::{Duration, Instant},
};

use test_repair::sandbox::{Ended, Exec, local::Isolation};

use super::{PYTHON, Room, alive, marker, nothing_is_left, text};

#[tokio::test]
async fn a_memory_bomb_ends_within_its_limit() {
    let room = Room::new().await;
    let code = "import os, time\nfor _ in range(3):\n  if os.fork() == 0: break\nkeep = []\nwhile True:\n  keep.append(bytearray(os.urandom(1 << 20))); time.sleep(0.001)";
    let mut exec = room.python(code);
    exec.limits.memory = 300 << 20;
    let finished = room.run(&exec).await;
    assert_eq!(finished.ended, Ended::Memory, "{}", String::from_utf8_lossy(&finished.output));
}

#[tokio::test]
async fn memory_that_is_shared_counts_once() {
    let room = Room::new().await;
    let code = "import os, time\nkeep = os.urandom(100 << 20)\npids = []\nfor _ in range(5):\n  pid = os.fork()\n  if pid == 0:\n    time.sleep(0.5); os._exit(0)\n  pids.append(pid)\nfor pid in pids: os.waitpid(pid, 0)\nprint('done')";
    let mut exec = room.python(code);
    exec.limits.memory = 300 << 20;
    assert_eq!(text(&room.run(&exec).await), "done");
}

#[tokio::test]
async fn a_fork_bomb_ends_within_its_limit() {
    let room = Room::new().await;
    let name = marker("bomb");
    let code = format!("import os, time\n'{name}'\nwhile True:\n  try: os.fork()\n  except OSError: time.sleep(0.01)");
    let exec = Exec { script: format!("exec {} -c \"{code}\"", PYTHON.1.display()), ..room.exec("") };
    let finished = room.run(&exec).await;
    assert_eq!(finished.ended, Ended::Processes, "{}", String::from_utf8_lossy(&finished.output));
    nothing_is_left(&name);
}

#[tokio::test]
async fn of_an_output_flood_head_and_tail_are_kept() {
    let room = Room::new().await;
    let mut exec = room.exec("echo first; head -c 50000000 /dev/zero | tr '\\0' x; echo; echo last");
    exec.limits.output = 10_000;
    let finished = room.run(&exec).await;
    assert_eq!(finished.ended, Ended::Exit(0));
    assert_eq!(finished.output.len(), 10_000);
    assert_eq!(finished.dropped, 50_000_012 - 10_000);
    assert!(finished.output.starts_with(b"first\nxxx") && finished.output.ends_with(b"xxx\nlast\n"));
}

#[tokio::test]
async fn sleeping_forever_ends_in_time() {
    let room = Room::new().await;
    let mut exec = room.exec("echo begun; sleep 1000");
    exec.limits.wall = Duration::from_millis(500);
    let finished = room.run(&exec).await;
    assert_eq!(finished.ended, Ended::WallTime);
    assert_eq!(finished.output, b"begun\n");
    assert!((0.4..3.0).contains(&finished.seconds), "{}", finished.seconds);
}

#[tokio::test]
async fn daemons_end_with_their_run() {
    let room = Room::new().await;
    let name = marker("daemon");
    let code = r#"
import os, sys, time
def daemon(holds):
    if os.fork(): return
    os.setsid()
    if os.fork(): os._exit(0)
    if not holds:
        null = os.open('/dev/null', os.O_RDWR)
        for fd in (0, 1, 2): os.dup2(null, fd)
    time.sleep(1000)
daemon(False); daemon(True)
print('main ended')
"#;
    fs::write(room.work().join(format!("{name}.py")), code).unwrap();
    let begun = Instant::now();
    let finished = room.run(&room.exec(&format!("exec {} {name}.py", PYTHON.1.display()))).await;
    assert_eq!(text(&finished), "main ended");
    assert!(begun.elapsed() < Duration::from_secs(15));
    assert_eq!(alive(&name), Vec::<i32>::new());
}

#[tokio::test]
async fn dropping_the_future_kills_the_tree() {
    let room = Room::new().await;
    let name = marker("dropped");
    let exec = room.exec(&format!("(exec -a {name} sleep 1000) & setsid bash -c 'exec -a {name} sleep 1000' & wait"));
    let run = tokio::time::timeout(Duration::from_millis(700), room.isolation.run(&exec));
    let seen = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        alive(&name).len()
    };
    let (run, seen) = tokio::join!(run, seen);
    assert!(run.is_err() && seen >= 2, "{seen}");
    nothing_is_left(&name);
}

#[tokio::test]
async fn runs_side_by_side_do_not_meet() {
    let room = Room::new().await;
    let other = Room::new().await;
    let first =
        room.exec("echo $PPID > /tmp/one 2>/dev/null; sleep 0.3; ls /tmp 2>/dev/null; kill -9 -1; echo survived");
    let second = other.exec("sleep 0.5; echo survived");
    let third = Exec { writable: vec![], cwd: "/usr".into(), ..room.exec("sleep 0.5; echo survived") };
    let (_, second, third) = tokio::join!(room.run(&first), other.run(&second), room.run(&third));
    assert_eq!((text(&second), text(&third)), ("survived".into(), "survived".into()));
}

/// The specification of a run as the supervisor gets it: the wire is private, so it is taken from a launcher that
/// only writes it down.
async fn wire_of(room: &Room, exec: &Exec) -> Vec<u8> {
    let launcher = room.dir.path().join("launcher");
    let written = room.dir.path().join("spec");
    fs::write(&launcher, format!("#!/bin/bash\nread -r line; printf '%s\\n' \"$line\" > {}", written.display()))
        .unwrap();
    fs::set_permissions(&launcher, fs::Permissions::from_mode(0o755)).unwrap();
    let isolation = room.isolation.clone().with_launcher(launcher);
    assert!(isolation.run(exec).await.is_err());
    fs::read(written).unwrap()
}

/// A parent that starts a supervisor, holds its stdin open, and can be killed.
fn parent(spec: &Path) -> std::process::Child {
    let script = "coproc S { exec \"$1\" sandbox-supervise; }; cat \"$2\" >&${S[1]}; echo $S_PID; wait";
    std::process::Command::new("bash")
        .args(["-c", script, "bash", env!("CARGO_BIN_EXE_test-repair")])
        .arg(spec)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap()
}

fn wait_for(marker: &str, count: usize) {
    let begun = Instant::now();
    while alive(marker).len() < count {
        assert!(begun.elapsed() < Duration::from_secs(30), "{marker} did not start: {:?}", alive(marker));
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn detached(name: &str) -> String {
    format!(
        "(exec -a {name} sleep 1000) & setsid bash -c 'setsid bash -c \"exec -a {name} sleep 1000\" & exec -a {name} sleep 1000' & wait"
    )
}

#[tokio::test]
async fn when_test_repair_is_killed_nothing_is_left() {
    let room = Room::new().await;
    let name = marker("orphan");
    let mut spec = wire_of(&room, &room.exec(&detached(&name))).await;
    spec.push(b'\n');
    fs::write(room.dir.path().join("spec"), &spec).unwrap();
    let mut parent = parent(&room.dir.path().join("spec"));
    wait_for(&name, 3);
    parent.kill().unwrap();
    parent.wait().unwrap();
    nothing_is_left(&name);
    let begun = Instant::now();
    while room.dir.path().join("state/runs/0").exists() {
        assert!(begun.elapsed() < Duration::from_secs(30), "the record is left");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[tokio::test]
async fn when_the_supervisor_is_killed_too_the_kernel_or_the_next_start_ends_the_rest() {
    let room = Room::new().await;
    let name = marker("twice");
    let mut spec = wire_of(&room, &room.exec(&detached(&name))).await;
    spec.push(b'\n');
    fs::write(room.dir.path().join("spec"), &spec).unwrap();
    let mut parent = parent(&room.dir.path().join("spec"));
    wait_for(&name, 3);
    let mut supervisor = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(parent.stdout.take().unwrap()), &mut supervisor).unwrap();
    parent.kill().unwrap();
    let kill = // bash's own: a bare machine has no `kill`.
        std::process::Command::new("bash").args(["-c", "kill -9 $0", supervisor.trim()]).status().unwrap();
    parent.wait().unwrap();
    if kill.success() && !room.missing("process-list") {
        nothing_is_left(&name);
    }
    let state = room.dir.path().join("state");
    let begun = Instant::now();
    while state.join("runs/0").exists() {
        Isolation::sweep(&state).unwrap();
        assert!(begun.elapsed() < Duration::from_secs(30), "the record is left");
    }
    nothing_is_left(&name);
    assert_eq!(Isolation::sweep(&state).unwrap().runs, 0);
}

#[tokio::test]
async fn a_sweep_leaves_the_living_alone() {
    let room = Room::new().await;
    let exec = room.exec("sleep 0.5; echo survived");
    let sweep = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        Isolation::sweep(&room.dir.path().join("state")).unwrap()
    };
    let (finished, swept) = tokio::join!(room.run(&exec), sweep);
    assert_eq!((text(&finished).as_str(), swept.runs), ("survived", 0));
}
