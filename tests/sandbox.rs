//! What a run can't reach, and that nothing of it is left.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

#[path = "sandbox/endings.rs"]
mod endings;
#[path = "sandbox/oracles.rs"]
mod oracles;

use std::{
    collections::BTreeMap,
    fs,
    net::TcpListener,
    os::unix::{fs::PermissionsExt, net::UnixListener},
    path::{Path, PathBuf},
    sync::LazyLock,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use test_repair::sandbox::{
    CacheDir, Ended, Exec, Finished, Limits, LocalSandbox, Network, Prepared, Recipe, Sandbox as _,
    local::{Isolation, IsolationError, IsolationOptions, LayerChoice},
};
use test_repair::workspace::Tree;

/// The machine's real Python, behind the shims of version managers.
static PYTHON: LazyLock<(PathBuf, PathBuf)> = LazyLock::new(|| {
    let script = "import sys; print(sys.base_prefix); print(sys.version_info[0], sys.version_info[1], sep='.')";
    let python = std::env::var_os("TEST_REPAIR_PYTHON").unwrap_or("python3".into());
    let output = std::process::Command::new(python).args(["-c", script]).output().expect("python3");
    let text = String::from_utf8(output.stdout).unwrap();
    let (prefix, version) = text.trim().split_once('\n').unwrap();
    (prefix.into(), Path::new(prefix).join(format!("bin/python{version}")))
});

/// `TEST_REPAIR_LAYERS` picks the layers that these tests exercise.
fn layers() -> LayerChoice {
    match std::env::var("TEST_REPAIR_LAYERS").as_deref() {
        Ok("bubblewrap") => LayerChoice::Bubblewrap,
        Ok("namespaces") => LayerChoice::Namespaces,
        Ok("user-namespaces") => LayerChoice::UserNamespaces,
        Ok("none") => LayerChoice::NoNamespaces,
        _ => LayerChoice::Auto,
    }
}

struct Room {
    dir: TempDir,
    isolation: Isolation,
}

fn options(dir: &Path) -> IsolationOptions {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
    let mut options = IsolationOptions::new(dir.join("state")).unwrap();
    options.launcher = env!("CARGO_BIN_EXE_test-repair").into();
    options.ours.push(dir.to_owned());
    options.needed.push(PYTHON.0.clone());
    options.layers = layers();
    options
}

impl Room {
    async fn new() -> Room {
        let dir = tempfile::Builder::new().prefix("room-").tempdir().unwrap();
        fs::create_dir(dir.path().join("work")).unwrap();
        let isolation = Isolation::probe(options(dir.path())).await.expect("the probe");
        Room { dir, isolation }
    }

    fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    fn exec(&self, script: &str) -> Exec {
        let readable = match PYTHON.0.starts_with("/usr") {
            true => Vec::new(),
            false => vec![PYTHON.0.clone()],
        };
        Exec {
            script: script.to_owned(),
            cwd: self.work(),
            env: BTreeMap::from([("PATH".into(), "/usr/bin:/bin".into()), ("HOME".into(), "/tmp".into())]),
            network: Network::None,
            readable,
            writable: vec![self.work()],
            laid: vec![],
            limits: Limits { wall: Duration::from_secs(20), memory: 1 << 30, processes: 100, output: 1 << 20 },
        }
    }

    fn python(&self, code: &str) -> Exec {
        fs::write(self.work().join("code.py"), code).unwrap();
        self.exec(&format!("exec {} code.py", PYTHON.1.display()))
    }

    async fn run(&self, exec: &Exec) -> Finished {
        self.isolation.run(exec).await.expect("the run")
    }

    fn missing(&self, name: &str) -> bool {
        self.isolation.posture().missing.iter().any(|missing| missing.starts_with(name))
    }
}

#[track_caller]
fn text(finished: &Finished) -> String {
    let text = String::from_utf8_lossy(&finished.output).into_owned();
    assert_eq!(finished.ended, Ended::Exit(0), "{text}");
    text.trim().to_owned()
}

/// Processes with this text in their command line.
fn alive(marker: &str) -> Vec<i32> {
    let me = std::process::id().cast_signed();
    let pids = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| *pid != me)
        .filter(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(marker)
        })
        .collect()
}

#[track_caller]
fn nothing_is_left(marker: &str) {
    let begun = Instant::now();
    while !alive(marker).is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{marker} is still alive: {:?}", alive(marker));
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn marker(name: &str) -> String {
    format!("marker-{name}-{}", std::process::id())
}

#[tokio::test]
async fn the_probe_says_what_holds_and_is_quick() {
    LazyLock::force(&PYTHON);
    let begun = Instant::now();
    let room = Room::new().await;
    let took = begun.elapsed();
    println!("the probe took {took:?}: {:#?}", room.isolation.posture());
    assert!(took < Duration::from_millis(1500), "{took:?}");
    let enforced = &room.isolation.posture().enforced;
    for layer in [
        "files-outside",
        "environments-outside",
        "unix-sockets-outside",
        "signals-outside",
        "syscall-filter",
        "seccomp",
        "no-new-privileges",
        "no-capabilities",
        "clean-environment",
    ] {
        assert!(enforced.iter().any(|enforced| enforced == layer), "{layer}: {:#?}", room.isolation.posture());
    }
}

#[tokio::test]
async fn a_script_runs_as_github_runs_it() {
    let room = Room::new().await;
    let finished = room.run(&room.exec("echo out; echo err >&2; pwd; id -u; umask; false; echo never")).await;
    let output = String::from_utf8(finished.output).unwrap();
    assert_eq!(finished.ended, Ended::Exit(1), "{output}");
    assert!(output.starts_with(&format!("out\nerr\n{}\n", room.work().display())), "{output}");
    assert!(output.ends_with("0022\n"), "{output}");
    assert_eq!(room.run(&room.exec("exit 42")).await.ended, Ended::Exit(42));
    assert_eq!(room.run(&room.exec("kill -SEGV $$")).await.ended, Ended::Signal(11));
}

#[tokio::test]
async fn what_a_run_writes_is_ours_to_read_and_remove() {
    let room = Room::new().await;
    fs::write(room.work().join("before"), "1").unwrap();
    let exec = room.exec("echo 2 >> before; mkdir -p a/b; echo 3 > a/b/c; chmod 700 a; rm -f before.bak");
    text(&room.run(&exec).await);
    assert_eq!(fs::read_to_string(room.work().join("before")).unwrap(), "12\n");
    assert_eq!(fs::read_to_string(room.work().join("a/b/c")).unwrap(), "3\n");
    // A later run may go on with it.
    text(&room.run(&room.exec("echo 4 >> a/b/c")).await);
    fs::remove_dir_all(room.work().join("a")).unwrap();
}

#[tokio::test]
async fn the_environment_is_what_was_given_and_nothing_else() {
    let room = Room::new().await;
    let code = "import os; print(sorted(set(os.environ) - {'LC_CTYPE', 'PWD', 'SHLVL', '_', 'OLDPWD', 'TMPDIR', 'GIT_CONFIG_NOSYSTEM', 'USER'}))";
    assert_eq!(text(&room.run(&room.python(code)).await), "['HOME', 'PATH']");
}

#[tokio::test]
async fn no_network_is_reached() {
    let room = Room::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let code = format!(
        r#"
import socket
def tries(name, attempt):
    try:
        attempt(); print('REACHED', name)
    except OSError as error:
        print('blocked', name, error)
def tcp(host, port):
    socket.create_connection((host, port), timeout=3)
def udp(host):
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', (host, 53))
tries('tcp', lambda: tcp('1.1.1.1', 443))
tries('outer loopback', lambda: tcp('127.0.0.1', {port}))
tries('udp', lambda: udp('1.1.1.1'))
tries('nameserver', lambda: [udp(line.split()[1]) for line in {resolv:?}.splitlines() if line.startswith('nameserver')])
tries('dns', lambda: socket.getaddrinfo('pypi.org', 443))
tries('packet', lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
tries('vsock', lambda: socket.socket(40, socket.SOCK_STREAM))
tries('alg', lambda: socket.socket(38, socket.SOCK_SEQPACKET))
"#,
        port = listener.local_addr().unwrap().port(),
        resolv = fs::read_to_string("/etc/resolv.conf").unwrap_or_default(),
    );
    let output = text(&room.run(&room.python(&code)).await);
    assert_eq!(output.matches("blocked").count(), 8, "{output}");
    assert!(!output.contains("REACHED"), "{output}");
}

#[tokio::test]
async fn a_local_server_works_inside_when_the_posture_says_so() {
    let room = Room::new().await;
    let code = r#"
import http.server, threading, urllib.request
server = http.server.HTTPServer(('127.0.0.1', 0), http.server.SimpleHTTPRequestHandler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(urllib.request.urlopen('http://localhost:%d/' % server.server_port).status)
"#;
    let finished = room.run(&room.python(code)).await;
    match room.isolation.loopback() {
        true => assert_eq!(text(&finished).lines().last(), Some("200"), "{}", text(&finished)),
        false => assert!(room.missing("loopback") && finished.ended == Ended::Exit(1)),
    }
}

#[tokio::test]
async fn no_unix_socket_of_the_machine_is_reached() {
    let room = Room::new().await;
    let outside = tempfile::tempdir().unwrap();
    fs::set_permissions(outside.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let socket = outside.path().join("docker.sock");
    let _listener = UnixListener::bind(&socket).unwrap();
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o777)).unwrap();
    let code = format!(
        "import socket\nfor path in ({socket:?}, '/var/run/docker.sock', '/run/docker.sock'):\n  try:\n    socket.socket(socket.AF_UNIX).connect(path); print('REACHED')\n  except OSError as error: print('blocked', error)"
    );
    let output = text(&room.run(&room.python(&code)).await);
    assert_eq!(output.matches("blocked").count(), 3, "{output}");
}

#[tokio::test]
async fn no_other_process_is_read_or_signalled() {
    let room = Room::new().await;
    let decoy_marker = marker("decoy");
    let mut decoy = std::process::Command::new("bash")
        .args(["-c", "sleep 30; true", &decoy_marker])
        .env("DECOY", &decoy_marker)
        .spawn()
        .unwrap();
    let code = format!(
        r#"
import os, glob
for pid in [int(p) for p in os.listdir('/proc') if p.isdigit()]:
    if pid == os.getpid(): continue
    for name in ('environ', 'cmdline', 'maps', 'mem'):
        try:
            data = open('/proc/%d/%s' % (pid, name), 'rb').read(4096)
            if b'decoy' in data: print('READ', name)
        except (OSError, ValueError): pass
    for name in ('root', 'cwd', 'fd'):
        try:
            path = '/proc/%d/%s' % (pid, name)
            entries = os.listdir(path)
            for entry in entries:
                if name == 'fd': os.readlink(path + '/' + entry)
            if entries: print('LISTED', pid, name)
        except OSError: pass
for pid in ({decoy}, {us}):
    try:
        os.kill(pid, 0); print('SIGNALLED', pid)
    except OSError as error: pass
try:
    os.kill(-1, 9)
except OSError: pass
print('done')
"#,
        decoy = decoy.id(),
        us = std::process::id(),
    );
    let mut output = text(&room.run(&room.python(&code)).await);
    if room.missing("process-list") {
        output = output.replace("READ cmdline\n", "");
    }
    assert_eq!(output, "done");
    assert!(decoy.try_wait().unwrap().is_none(), "the decoy was killed");
    decoy.kill().unwrap();
    decoy.wait().unwrap();
}

#[tokio::test]
async fn no_file_outside_is_read_or_written() {
    let room = Room::new().await;
    let home = PathBuf::from(std::env::var_os("HOME").unwrap());
    let in_home = tempfile::Builder::new().prefix("canary").tempfile_in(home).unwrap();
    let in_tmp = tempfile::NamedTempFile::new().unwrap();
    let beside = room.dir.path().join("state/canary");
    fs::write(&beside, "x").unwrap();
    for path in [in_home.path(), in_tmp.path(), &beside] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o666)).unwrap();
    }
    let code = format!(
        r#"
for path in ({:?}, {:?}, {:?}, '/etc/shadow', '/proc/1/root/etc/shadow', '/proc/1/environ', '/dev/mem', '/dev/kvm'):
    for mode in ('r', 'a'):
        try:
            open(path, mode).close(); print('REACHED', path, mode)
        except OSError: pass
for path in ('/usr/x', '/etc/x', '/x', '/proc/sys/kernel/core_pattern', {python:?}):
    try:
        open(path, 'a').close(); print('WROTE', path)
    except OSError: pass
print('done')
"#,
        in_home.path(),
        in_tmp.path(),
        beside,
        python = PYTHON.0.join("canary"),
    );
    let output = text(&room.run(&room.python(&code)).await);
    // A private file of the same name may be made in a private /tmp; the one outside stays as it was.
    let output: Vec<&str> = output.lines().filter(|line| !(line.contains("/tmp/") && line.ends_with(" a"))).collect();
    assert_eq!(output, ["done"]);
    assert_eq!(fs::read(in_tmp.path()).unwrap(), b"");
}

#[tokio::test]
async fn temporary_files_and_shared_memory_are_private() {
    let room = Room::new().await;
    let code = "import tempfile, os\nwith tempfile.NamedTemporaryFile() as f: f.write(b'x')\nprint('left' in os.listdir(tempfile.gettempdir()))\nopen(os.path.join(tempfile.gettempdir(), 'left'), 'w').close()";
    for _ in 0..2 {
        assert_eq!(text(&room.run(&room.python(code)).await), "False");
    }
    if !room.missing("shared-memory") {
        let code = "import multiprocessing as m\ndef f(x): return x * x\nif __name__ == '__main__':\n  lock = m.Lock()\n  with m.Pool(2) as pool: print(pool.map(f, [1, 2, 3]))";
        assert_eq!(text(&room.run(&room.python(code)).await), "[1, 4, 9]");
    }
}

#[tokio::test]
async fn git_trusts_the_tree_and_knows_who_commits() {
    let room = Room::new().await;
    let script = "git init -q . && git config user.email a@b && git config user.name n && echo x > f && git add f && git commit -qm m && git status --short && git log --format=%s";
    assert_eq!(text(&room.run(&room.exec(script)).await), "m");
    let code = "import getpass, os; print(bool(getpass.getuser()), os.path.expanduser('~'))";
    assert_eq!(text(&room.run(&room.python(code)).await), "True /tmp");
}

#[tokio::test]
async fn too_much_can_not_be_given() {
    let room = Room::new().await;
    let home = std::env::var("HOME").unwrap();
    for path in ["/", "/etc", &home, "/proc", "relative", "/tmp/../etc", "/does/not/exist"] {
        let exec = Exec { readable: vec![path.into()], ..room.exec("true") };
        assert!(matches!(room.isolation.run(&exec).await, Err(IsolationError::Path(_))), "{path}");
    }
    let exec = Exec { writable: vec!["/usr/lib".into()], ..room.exec("true") };
    assert!(matches!(room.isolation.run(&exec).await, Err(IsolationError::Path(_))));
}

#[tokio::test]
async fn what_is_laid_into_a_writable_directory_is_seen_there_and_stays_as_it_is() {
    let room = Room::new().await;
    let (what, at) = (room.dir.path().join("library"), room.work().join("lib"));
    fs::create_dir(&what).unwrap();
    fs::write(what.join("module"), "as it was").unwrap();
    fs::create_dir(&at).unwrap();
    let script = "cat lib/module; echo changed > lib/module || rm -rf lib || mv lib away || echo : refused";
    let exec = Exec { laid: vec![(what.clone(), at.clone())], ..room.exec(script) };
    if room.isolation.lays() {
        let said = text(&room.run(&exec).await);
        assert!(said.starts_with("as it was") && said.ends_with(": refused"), "{said}");
        assert_eq!(fs::read_to_string(what.join("module")).unwrap(), "as it was");
        assert!(at.read_dir().unwrap().next().is_none());
    } else {
        assert!(matches!(room.isolation.run(&exec).await, Err(IsolationError::Path(_))));
    }
}

/// A project, and the environment that `install` makes for it.
async fn environment(dir: &Path, install: &str) -> (Tree, Box<dyn Prepared>) {
    held(dir, install, &[]).await
}

/// The same, held to versions.
async fn held(dir: &Path, install: &str, versions: &[(String, String)]) -> (Tree, Box<dyn Prepared>) {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(dir.join("project")).unwrap();
    fs::write(dir.join("project/a.py"), "A = 1\n").unwrap();
    let tree = Tree::snapshot(&dir.join("project")).unwrap();
    let cache = CacheDir::from(dir.join("cache"));
    let python = PYTHON.1.display().to_string();
    let python = python.rsplit("python").next().unwrap().to_owned();
    let launcher = env!("CARGO_BIN_EXE_test-repair").into();
    let sandbox = LocalSandbox::new(&cache, false, launcher, std::slice::from_ref(&python)).await.unwrap();
    let recipe = Recipe {
        python,
        env: BTreeMap::new(),
        directory: String::new(),
        install: vec![install.to_owned()],
        setup: Vec::new(),
        versions: versions.to_vec(),
        hold: Vec::new(),
        copies_project: false,
        packages: Vec::new(),
        disposable: false,
        timeout: Duration::from_secs(60),
    };
    let prepared = sandbox.prepare(&recipe, &tree, false).await.unwrap();
    (tree, prepared)
}

#[tokio::test]
async fn what_a_new_environment_begins_with_binds_nothing() {
    let listed = async |versions: &[(String, String)]| {
        let dir = tempfile::tempdir().unwrap();
        let (_tree, prepared) = held(dir.path(), "cat \"${PIP_CONSTRAINT:-/dev/null}\" > bound", versions).await;
        let bound = text(&prepared.run("cat bound", Network::None, Limits::default()).await.unwrap().finished);
        (bound, prepared.installed().to_vec())
    };
    let (none, mut versions) = listed(&[]).await;
    assert!(none.is_empty() && versions.iter().any(|(name, _)| name == "pip"), "{none}{versions:?}");
    versions.push(("shop".to_owned(), "1.2".to_owned()));
    assert_eq!(listed(&versions).await.0, "shop==1.2");
    assert_eq!(listed(&[("pip".to_owned(), "1.0".to_owned())]).await.0, "pip==1.0");
}

#[tokio::test]
async fn an_environment_that_an_installation_makes_in_the_tree_is_the_same_for_every_check() {
    let dir = tempfile::tempdir().unwrap();
    let install = "python -m venv --without-pip .own; echo said > .own/lib/there; ln -s lib/there .own";
    let (tree, mut prepared) = environment(dir.path(), install).await;
    for _ in 0..2 {
        let script = "cat .own/there; .own/bin/python -c 'print(3)'; echo 4 > .own/note; mv .own other; ln -s / .own";
        let run = prepared.run(script, Network::None, Limits::default()).await.unwrap();
        assert_eq!(text(&run.finished), "said\n3");
        // It sees what the check before it did to the tree.
        let run = prepared.run("cat other/note; ls .own", Network::None, Limits::default()).await.unwrap();
        assert!(text(&run.finished).starts_with("4\n"), "{}", text(&run.finished));
        prepared.refresh(&tree).await.unwrap();
    }
}

#[tokio::test]
async fn the_last_python_of_the_path_is_no_environment() {
    let dir = tempfile::tempdir().unwrap();
    let (_, prepared) = environment(dir.path(), "true").await;
    let script = "${PATH##*:}/python3 -c 'import sys; print(sys.prefix == sys.base_prefix)'";
    let run = prepared.run(script, Network::None, Limits::default()).await.unwrap();
    assert_eq!(text(&run.finished), "True");
}

#[tokio::test]
async fn a_directory_that_is_missing_is_an_error_and_no_result() {
    let room = Room::new().await;
    let exec = Exec { cwd: "/does/not/exist".into(), ..room.exec("true") };
    assert!(room.isolation.run(&exec).await.is_err());
}

#[tokio::test]
async fn an_install_step_resolves_names_and_trusts_certificates() {
    use std::net::ToSocketAddrs;
    if ("pypi.org", 443).to_socket_addrs().is_err() {
        eprintln!("SKIPPED: this machine has no network");
        return;
    }
    let room = Room::new().await;
    let code = "import socket, ssl\ns = socket.create_connection(('pypi.org', 443), timeout=20)\ns = ssl.create_default_context(cafile='/etc/ssl/certs/ca-certificates.crt').wrap_socket(s, server_hostname='pypi.org')\nprint(s.version()[:3])";
    let exec = Exec { network: Network::Full, ..room.python(code) };
    assert_eq!(text(&room.run(&exec).await), "TLS");
}

#[tokio::test]
async fn without_isolation_only_the_limits_hold_and_the_posture_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let isolation = Isolation::probe(IsolationOptions { no_isolation: true, ..options(dir.path()) }).await.unwrap();
    assert!(isolation.posture().missing[0].starts_with("isolation"));
    let name = marker("plain");
    let mut exec = Exec {
        script: format!("(exec -a {name} sleep 1000) & echo begun; cat"),
        cwd: dir.path().into(),
        env: BTreeMap::from([("PATH".into(), "/usr/bin:/bin".into())]),
        network: Network::None,
        readable: vec![],
        writable: vec![],
        laid: vec![],
        limits: Limits { wall: Duration::from_secs(10), ..Limits::default() },
    };
    let finished = isolation.run(&exec).await.unwrap();
    assert_eq!(text(&finished), "begun");
    nothing_is_left(&name);
    exec.script = "exit 3".into();
    assert_eq!(isolation.run(&exec).await.unwrap().ended, Ended::Exit(3));
}

#[tokio::test]
async fn where_no_namespace_can_be_made_the_probe_falls_back_and_says_so() {
    let room = Room::new().await;
    if !room.isolation.loopback() {
        // No listener can be opened there, so the inner probe has nothing to hold against.
        return;
    }
    let ourselves = std::env::current_exe().unwrap();
    let target = Path::new(env!("CARGO_BIN_EXE_test-repair")).parent().unwrap();
    let mut exec = room.exec(&format!("{} the_probe_says --nocapture", ourselves.display()));
    exec.readable.push(target.to_owned());
    exec.env.insert("TEST_REPAIR_PYTHON".into(), PYTHON.1.display().to_string());
    exec.env.insert("TMPDIR".into(), room.work().display().to_string());
    let output = text(&room.run(&exec).await);
    assert!(output.contains("network-block") && output.contains("loopback: without namespaces"), "{output}");
}

#[tokio::test]
async fn what_only_we_may_read_is_refused_rather_than_given() {
    let room = Room::new().await;
    let closed = room.dir.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    let exec = Exec { readable: vec![closed], ..room.exec("true") };
    let result = room.isolation.run(&exec).await;
    assert_eq!(matches!(result, Err(IsolationError::Path(_))), room.isolation.own_uid(), "{result:?}");
}
