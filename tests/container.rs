//! The image of the action, as the runner starts it. Needs a docker engine and the bases of `Dockerfile`, else every test
//! says `skipped: …`. `TEST_REPAIR_IMAGE` names an image that is built already.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    collections::BTreeSet,
    env, fs,
    io::Write as _,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::LazyLock,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

const CANARY: &str = "canary-of-the-runner";
const BUILT: &str = "test-repair:container-test";
/// A build from nothing takes longer on a small machine: then it is for a person to start it.
const PATIENCE: Duration = Duration::from_secs(200);

/// The image, or why there is none.
static IMAGE: LazyLock<Result<String, String>> = LazyLock::new(|| {
    if let Ok(image) = env::var("TEST_REPAIR_IMAGE") {
        return match docker(&["image", "inspect", &image]) {
            Some(output) if output.status.success() => Ok(image),
            _ => panic!("TEST_REPAIR_IMAGE names {image}, which is not there"),
        };
    }
    if !docker(&["version", "--format", "{{.Server.Version}}"]).is_some_and(|o| o.status.success()) {
        return Err("no docker engine answers".to_owned());
    }
    for base in ["rust:1-slim-bookworm", "debian:bookworm-slim"] {
        if !docker(&["image", "inspect", base]).is_some_and(|o| o.status.success()) {
            return Err(format!("{base} is not here (docker pull {base})"));
        }
    }
    let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join("docker-build.log");
    let mut build = Command::new("docker")
        .args(["build", "-t", BUILT])
        .args(tools())
        .arg(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null())
        .stdout(fs::File::create(&log).unwrap())
        .stderr(fs::File::options().append(true).open(&log).unwrap())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    loop {
        match build.try_wait().unwrap() {
            Some(status) if status.success() => return Ok(BUILT.to_owned()),
            Some(status) => panic!("docker build: {status}\n{}", fs::read_to_string(&log).unwrap_or_default()),
            None if begun.elapsed() > PATIENCE => {
                let _ = build.kill();
                let _ = build.wait();
                return Err(format!("the build takes longer than {PATIENCE:?}: run `docker build -t {BUILT} .` first"));
            }
            None => std::thread::sleep(Duration::from_millis(100)),
        }
    }
});

/// Where the images of the Dagger CLI and of the docker client are not here, something that only tells its name stands in.
fn tools() -> Vec<String> {
    let dockerfile = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Dockerfile")).unwrap();
    let mut arguments = Vec::new();
    for (argument, tool) in [("DAGGER_IMAGE", "dagger"), ("DOCKER_IMAGE", "docker")] {
        let image = dockerfile.lines().find_map(|line| line.strip_prefix(&format!("ARG {argument}="))).unwrap();
        if docker(&["image", "inspect", image]).is_some_and(|o| o.status.success()) {
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        let (script, stand_in) = (format!("#!/bin/sh\necho {tool} v0.0.0\n"), format!("test-repair:{tool}-stand-in"));
        fs::write(folder.path().join(tool), script).unwrap();
        fs::set_permissions(folder.path().join(tool), fs::Permissions::from_mode(0o755)).unwrap();
        let text = format!("FROM debian:bookworm-slim\nCOPY {tool} /usr/local/bin/{tool}\n");
        fs::write(folder.path().join("Dockerfile"), text).unwrap();
        assert!(docker(&["build", "-q", "-t", &stand_in, folder.path().to_str().unwrap()]).unwrap().status.success());
        arguments.extend(["--build-arg".to_owned(), format!("{argument}={stand_in}")]);
    }
    arguments
}

/// `None` where there is no docker.
fn docker(args: &[&str]) -> Option<Output> {
    Command::new("docker").args(args).stdin(Stdio::null()).output().ok()
}

/// The image; says loudly when there is none.
fn image() -> Option<&'static str> {
    match &*IMAGE {
        Ok(image) => Some(image),
        Err(why) => {
            let test = std::thread::current().name().unwrap_or_default().to_owned();
            // Past the harness, which keeps what a passing test prints to itself.
            let _ = std::io::stderr().write_all(format!("skipped: {test}: {why}\n").as_bytes());
            None
        }
    }
}

/// What the runner mounts, with a secret in everything.
struct Runner {
    dir: TempDir,
}

impl Runner {
    /// The workspace holds the example with the missing import, and beside its tests one that tries everything.
    fn new() -> Runner {
        let dir = tempfile::Builder::new().prefix("container-").tempdir().unwrap();
        let project = Path::new(env!("CARGO_MANIFEST_DIR"));
        for name in ["home", "workflow", "file_commands", "runner_temp", "out"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        copy(&project.join("examples/missing-import"), &dir.path().join("workspace"));
        let write = |path: &str, text: &str| fs::write(dir.path().join(path), text).unwrap();
        write("workflow/event.json", &format!(r#"{{"secret": "{CANARY}"}}"#));
        write("runner_temp/git-credentials-1.config", CANARY);
        for name in ["output", "step_summary", "env", "path", "state"] {
            write(&format!("file_commands/{name}_1"), "");
        }
        for (from, to) in [
            ("tests/container/probe.py", "workspace/tests/test_probe.py"),
            ("tests/container/listener.py", "out/listener.py"),
            ("examples/missing-import.log", "out/job.log"),
        ] {
            fs::copy(project.join(from), dir.path().join(to)).unwrap();
        }
        // Everything is the runner's, and open to all, so that only the sandbox stands before it.
        for entry in walk(dir.path()) {
            let mode = entry.metadata().unwrap().permissions().mode() | 0o666;
            let mode = if entry.is_dir() { mode | 0o111 } else { mode };
            fs::set_permissions(&entry, fs::Permissions::from_mode(mode)).unwrap();
            let _ = std::os::unix::fs::chown(&entry, Some(1001), Some(1001));
        }
        Runner { dir }
    }

    /// Runs the image as the runner does, with these options and arguments.
    fn start(&self, options: &[&str], arguments: &[&str]) -> Output {
        let mut command = Command::new("docker");
        command.args(["run", "--rm", "--workdir", "/github/workspace", "-e", "HOME=/github/home", "-e", "CI=true"]);
        command.args(["-e", "GITHUB_ACTIONS=true", "-e", "GITHUB_WORKSPACE=/github/workspace"]);
        command.args(["-e", "GITHUB_EVENT_NAME=push", "-e", "GITHUB_EVENT_PATH=/github/workflow/event.json"]);
        command.args(["-e", "GITHUB_REPOSITORY=org/app", "-e", "GITHUB_RUN_ID=1", "-e", "GITHUB_RUN_ATTEMPT=1"]);
        for secret in ["INPUT_GITHUB-TOKEN", "INPUT_DEEPSEEK-API-KEY", "GITHUB_TOKEN", "ACTIONS_RUNTIME_TOKEN"] {
            command.args(["-e", &format!("{secret}={CANARY}")]);
        }
        for name in ["output", "step_summary", "env", "path", "state"] {
            command.args(["-e", &format!("GITHUB_{}=/github/file_commands/{name}_1", name.to_uppercase())]);
        }
        for name in ["home", "workflow", "file_commands", "runner_temp", "workspace"] {
            command.args(["-v", &format!("{}/{name}:/github/{name}", self.dir.path().display())]);
        }
        command.args(["-v", &format!("{}/out:/out", self.dir.path().display())]);
        if engine_socket() {
            command.args(["-v", "/var/run/docker.sock:/var/run/docker.sock"]);
        }
        command.args(options).arg(image().unwrap()).args(arguments).stdin(Stdio::null()).output().unwrap()
    }

    /// The same, in a shell, with somebody listening; what the listener got.
    fn start_beside_listener(&self, script: &str) -> (Output, BTreeSet<String>) {
        let script = format!(
            "python3 /out/listener.py /out/arrived & while [ ! -s /out/arrived ]; do sleep 0.05; done; {script}; \
             code=$?; sleep 0.2; exit $code"
        );
        let output = self.start(&["--entrypoint", "/bin/bash"], &["-c", &script]);
        let arrived = fs::read_to_string(self.dir.path().join("out/arrived")).unwrap_or_default();
        let arrived: BTreeSet<String> = arrived.lines().map(str::to_owned).collect();
        assert!(arrived.contains("listening"), "{}", text(&output));
        (output, arrived)
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        // Where the tests' user is not root, the container's files are not ours to remove.
        let _ = docker(&[
            "run",
            "--rm",
            "--entrypoint",
            "/bin/chown",
            "-v",
            &format!("{}:/dir", self.dir.path().display()),
            image().unwrap_or_default(),
            "-R",
            &nix::unistd::getuid().to_string(),
            "/dir",
        ]);
    }
}

/// As on GitHub, the socket is root's and its group's.
fn engine_socket() -> bool {
    fs::metadata("/var/run/docker.sock").is_ok_and(|meta| meta.uid() == 0 && meta.mode() & 0o007 == 0)
}

fn walk(path: &Path) -> Vec<PathBuf> {
    let mut all = vec![path.to_owned()];
    if path.is_dir() {
        all.extend(path.read_dir().unwrap().flat_map(|entry| walk(&entry.unwrap().path())));
    }
    all
}

fn copy(from: &Path, to: &Path) {
    for entry in walk(from).into_iter().filter(|path| !path.ends_with("__pycache__")) {
        let target = to.join(entry.strip_prefix(from).unwrap());
        match entry.is_dir() {
            true => fs::create_dir_all(&target).unwrap(),
            false => drop(fs::copy(&entry, &target).unwrap()),
        }
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

/// Runs a shell in the image; what it printed.
fn shell(script: &str) -> String {
    let output = docker(&["run", "--rm", "--entrypoint", "/bin/sh", image().unwrap(), "-euc", script]).unwrap();
    assert!(output.status.success(), "{}", text(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_image_is_built_from_all_that_the_sources_need() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &Path| fs::read_to_string(path).unwrap();
    let (dockerfile, ignored) = (read(&project.join("Dockerfile")), read(&project.join(".dockerignore")));
    let manifest = read(&project.join("Cargo.toml"));
    for bench in manifest.split("[[bench]]").skip(1) {
        let name = bench.split('"').nth(1).unwrap();
        assert!(dockerfile.contains(&format!("benches/{name}.rs")), "no stand-in for the bench {name}");
    }
    for file in walk(&project.join("src")).into_iter().filter(|path| path.extension().is_some_and(|x| x == "rs")) {
        let text = read(&file);
        // What only tests include is not there.
        let product = text.split("#[cfg(test)]").next().unwrap();
        for included in product.split("include_str!(\"").skip(1) {
            let path = included.split('"').next().unwrap();
            let from = file.parent().unwrap().join(path).canonicalize().unwrap();
            let from = from.strip_prefix(project.canonicalize().unwrap()).unwrap().to_owned();
            let copied = |folder: &Path| dockerfile.contains(&format!("\nCOPY {0} {0}\n", folder.display()));
            assert!(from.ancestors().any(copied), "{} is not copied", from.display());
            let sent = |folder: &Path| ignored.lines().any(|line| line == format!("!{}", folder.display()));
            assert!(from.ancestors().any(sent), "{} is not sent to the builder", from.display());
        }
    }
}

#[test]
fn the_image_says_what_it_is_and_leaves_user_and_directory_to_the_runner() {
    let Some(image) = image() else { return };
    let inspected: Value = serde_json::from_slice(&docker(&["image", "inspect", image]).unwrap().stdout).expect("JSON");
    let config = &inspected[0]["Config"];
    assert_eq!(config["Entrypoint"], serde_json::json!(["/entrypoint.sh"]));
    assert!(config["Cmd"].is_null() || config["Cmd"] == serde_json::json!(["bash"]), "{config}");
    assert_eq!(config["User"], "");
    assert!(matches!(config["WorkingDir"].as_str(), None | Some("" | "/")), "{config}");
    for label in ["title", "description", "source", "licenses", "version", "revision"] {
        let value = config["Labels"][format!("org.opencontainers.image.{label}")].as_str().unwrap_or_default();
        assert!(!value.is_empty(), "{label} is missing in {config}");
    }
    assert_eq!(config["Labels"]["org.opencontainers.image.licenses"], env!("CARGO_PKG_LICENSE"));
}

#[test]
fn with_arguments_the_image_is_the_command_and_without_it_is_the_action() {
    if image().is_none() {
        return;
    }
    let runner = Runner::new();
    let version = runner.start(&[], &["--version"]);
    assert_eq!(text(&version).trim(), concat!("test-repair ", env!("CARGO_PKG_VERSION")));
    // In the place of the program: one that says how it was started. No shell may come between that loses inputs.
    let says = runner.dir.path().join("out/says");
    fs::write(
        &says,
        "#!/usr/bin/python3\nimport os, sys\nprint(sys.argv[1:], os.environ['INPUT_GITHUB-TOKEN'], os.getcwd())\n",
    )
    .unwrap();
    fs::set_permissions(&says, fs::Permissions::from_mode(0o755)).unwrap();
    let started = runner.start(&["-v", &format!("{}:/usr/local/bin/test-repair:ro", says.display())], &[]);
    assert_eq!(text(&started).trim(), format!("['action'] {CANARY} /github/workspace"));
}

#[test]
fn nothing_in_the_image_raises_its_rights_and_what_is_in_it_is_listed() {
    if image().is_none() {
        return;
    }
    assert_eq!(shell("find / -xdev -perm /6000 -type f"), "");
    assert_eq!(shell("find /var/lib/apt/lists /var/cache/apt /root/.cache -type f 2>/dev/null || true"), "");
    let listed = shell("cut -f 1 /usr/share/sbom/debian.tsv");
    for package in ["git", "python3", "python3-venv", "ca-certificates", "libc6"] {
        assert!(listed.lines().any(|line| line == package), "{package} is not in {listed}");
    }
    let crates = shell("cat /usr/share/sbom/crates.txt");
    assert!(crates.contains("landlock v") && crates.contains(env!("CARGO_PKG_LICENSE")), "{crates}");
    let uv: Value = serde_json::from_str(&shell("cat /usr/share/sbom/uv.cdx.json")).unwrap();
    assert_eq!(uv["bomFormat"], "CycloneDX");
    let tools = shell("cat /usr/share/sbom/tools.txt");
    assert!(tools.starts_with("dagger v") && tools.lines().count() == 2, "{tools}");
}

#[test]
fn the_sandboxs_users_can_read_the_pythons_that_uv_installs() {
    if image().is_none() {
        return;
    }
    let python = shell(
        "umask 022; uv --version >&2; mkdir -p \"$UV_PYTHON_INSTALL_DIR/cpython-3.11.99-linux-x86_64-gnu/bin\"; \
         stat -c %a $UV_PYTHON_INSTALL_DIR; ls -ld / /opt /opt/uv | cut -c 8-10",
    );
    assert!(python.starts_with("755") && python.lines().skip(1).all(|mode| mode == "r-x"), "{python}");
}

#[test]
fn a_hostile_check_reaches_nothing_of_the_runner() {
    if image().is_none() {
        return;
    }
    // Without the sandbox the same tests reach the same things: so they would notice.
    let (outside, arrived) = Runner::new().start_beside_listener("python3 -m unittest -v tests.test_probe 2>&1");
    let reached = text(&outside);
    for test in [
        "variables",
        "user",
        "other_processes",
        "files_of_the_runner",
        "writing_outside",
        "engine",
        "network",
        "signals",
        "system_calls",
    ] {
        assert!(
            reached.contains(&format!("FAIL: test_{test} (")),
            "{test} was not reached without a sandbox: {reached}"
        );
    }
    assert_eq!(arrived.len(), 5, "{arrived:?}");

    let runner = Runner::new();
    let fix = "/entrypoint.sh fix --repo /github/workspace --log /out/job.log --python 3 --rules-only --format json";
    let (inside, arrived) = runner.start_beside_listener(fix);
    let report = String::from_utf8_lossy(&inside.stdout);
    // The one test that fails is repaired, and every test of the probe passes, before and after.
    assert_eq!(inside.status.code(), Some(0), "{report}\n{}", text(&inside));
    assert!(!report.contains("REACHED") && !report.contains("FAIL: "), "{report}");
    assert!(!text(&inside).contains(CANARY));
    assert_eq!(arrived, BTreeSet::from(["listening".to_owned()]));
    let outcome: Value = serde_json::from_slice(&inside.stdout).expect("JSON");
    let sandbox = outcome["sandbox"].to_string();
    for held in ["seccomp", "landlock", "own-uid", "no-capabilities", "no-new-privileges"] {
        assert!(sandbox.contains(held), "{held} is not in {sandbox}");
    }
    for name in ["output", "step_summary", "env", "path", "state"] {
        let file = runner.dir.path().join(format!("file_commands/{name}_1"));
        assert_eq!(fs::read_to_string(file).unwrap(), "", "{name}");
    }
}
