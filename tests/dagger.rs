//! The Dagger sandbox, on a fake engine whose steps really run; with `TEST_REPAIR_DAGGER=1` the same tests on a real one,
//! which `_EXPERIMENTAL_DAGGER_RUNNER_HOST` and `_EXPERIMENTAL_DAGGER_CLI_BIN` name.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

#[path = "dagger/build.rs"]
mod build;
#[path = "dagger/fake.rs"]
mod fake;

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use fake::{Cli, Fake, Fault};
use serde_json::Value;
use tempfile::TempDir;
use test_repair::{
    sandbox::{DaggerPlace, DaggerSandbox, Ended, Limits, Network, Prepared, Recipe, Sandbox as _, SandboxError},
    workspace::Tree,
};

fn real() -> bool {
    std::env::var("TEST_REPAIR_DAGGER").as_deref() == Ok("1")
}

fn skipped(why: &str) {
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    // Past the harness, which keeps what a passing test prints to itself.
    let _ = writeln!(std::io::stderr(), "skipped: {test}: {why}");
}

/// The engine, and a cache of its own. `None`, said loudly, where steps can't be run.
struct Place {
    directory: TempDir,
    fake: Option<Fake>,
}

impl Place {
    fn new() -> Option<Place> {
        Place::with(Cli::Normal, Fault::None, true)
    }

    /// A fake that misbehaves: of no use for a real engine.
    fn odd(cli: Cli, fault: Fault) -> Option<Place> {
        Place::with(cli, fault, false)
    }

    fn with(cli: Cli, fault: Fault, real_too: bool) -> Option<Place> {
        let directory = tempfile::Builder::new().prefix("dagger-").tempdir().unwrap();
        if real() {
            if !real_too {
                skipped("a real engine does not misbehave on demand");
            }
            return real_too.then_some(Place { directory, fake: None });
        }
        if !build::can_build() {
            skipped("the steps of a build need root and namespaces");
            return None;
        }
        Some(Place { directory, fake: Some(Fake::start(cli, fault)) })
    }

    fn place(&self) -> DaggerPlace {
        self.fake.as_ref().map(Fake::place).unwrap_or_default()
    }

    async fn sandbox(&self) -> DaggerSandbox {
        DaggerSandbox::new(&self.directory.path().join("cache").into(), &self.place(), &[recipe(&[]).python])
            .await
            .unwrap()
    }

    async fn refused(&self) -> String {
        match DaggerSandbox::new(&self.directory.path().join("cache").into(), &self.place(), &[recipe(&[]).python])
            .await
        {
            Ok(_) => panic!("there is an engine"),
            Err(error) => error.to_string(),
        }
    }

    fn fake(&self) -> &Fake {
        self.fake.as_ref().unwrap()
    }
}

fn tree(files: &[(&str, &str)]) -> Tree {
    let directory = tempfile::Builder::new().prefix("tree-").tempdir().unwrap();
    let root = directory.path().join("shop");
    for (path, text) in files {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let git = |arguments: &[&str]| {
        let who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "core.hooksPath=/dev/null"];
        let done = Command::new("git").arg("-C").arg(&root).args(who).args(arguments).output().unwrap();
        assert!(done.status.success(), "{done:?}");
    };
    git(&["init", "-q"]);
    git(&["add", "-A"]);
    git(&["commit", "-q", "-m", "first"]);
    Tree::snapshot(&root).unwrap()
}

fn recipe(install: &[&str]) -> Recipe {
    Recipe {
        python: if real() { "3.12".to_owned() } else { build::PYTHON.1.clone() },
        env: BTreeMap::from([("GREETING".to_owned(), "hello $GITHUB_WORKSPACE".to_owned())]),
        directory: String::new(),
        install: install.iter().map(|command| (*command).to_owned()).collect(),
        setup: Vec::new(),
        versions: Vec::new(),
        hold: Vec::new(),
        copies_project: false,
        packages: Vec::new(),
        disposable: false,
        timeout: Duration::from_secs(300),
    }
}

async fn run(prepared: &dyn Prepared, script: &str) -> (Ended, String) {
    limited(prepared, script, Limits::default()).await
}

async fn limited(prepared: &dyn Prepared, script: &str, limits: Limits) -> (Ended, String) {
    let run = prepared.run(script, Network::None, limits).await.unwrap();
    (run.finished.ended, String::from_utf8_lossy(&run.finished.output).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_reaches_nothing_that_is_ours_and_no_network() {
    let Some(place) = Place::new() else { return };
    let sandbox = place.sandbox().await;
    let posture = sandbox.posture();
    let expected =
        ["answers-outside", "clean-environment", "loopback", "network-namespace", "no-capabilities", "own-uid"];
    for name in expected {
        assert!(posture.enforced.iter().any(|held| held == name), "{name}: {posture:?}");
    }
    let prepared = sandbox.prepare(&recipe(&[]), &tree(&[("a.py", "x = 1\n")]), false).await.unwrap();
    let (ended, said) =
        run(&*prepared, "id -u; env | sort; cat /proc/self/status | grep -E 'Cap|NoNew'; ls /sys/class/net").await;
    assert_eq!(ended, Ended::Exit(0), "{said}");
    assert!(
        said.starts_with("1001\n") && said.contains("NoNewPrivs:\t1") && said.contains("CapBnd:\t0000000000000000"),
        "{said}"
    );
    assert!(said.ends_with("\nlo\n") || said.contains("\nlo\n"), "{said}");
    for ours in ["OTEL_", "TRACEPARENT", "DAGGER", "TOKEN", "SESSION"] {
        assert!(!said.contains(ours), "{ours}: {said}");
    }
    assert!(said.contains(&format!("GREETING=hello {}", prepared.root().display())), "{said}");
    let forbidden = "cat /out/check.json /proc/1/environ; echo x > /out/check.json; rm -rf /opt/test-repair/told/harness.py; \
                     python3 -c \"import socket; socket.create_connection(('1.1.1.1', 53), 2)\"; echo end";
    let (_, said) = run(&*prepared, &format!("set +e; {forbidden}")).await;
    assert!(said.matches("denied").count() >= 2 && said.contains("unreachable") && said.ends_with("end\n"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_limit_ends_a_check_and_is_named() {
    let Some(place) = Place::new() else { return };
    let sandbox = place.sandbox().await;
    let prepared = sandbox.prepare(&recipe(&[]), &tree(&[("a.py", "")]), false).await.unwrap();
    let limits = Limits { wall: Duration::from_secs(3), memory: 200 << 20, processes: 30, output: 1000 };
    let ended = async |script: &str| limited(&*prepared, script, limits).await.0;
    assert_eq!(ended("sleep 60").await, Ended::WallTime);
    assert_eq!(ended("(setsid sleep 60 &) ; exit 3").await, Ended::Exit(3));
    assert_eq!(ended("python3 -c \"x = bytearray(500 << 20); import time; time.sleep(30)\"").await, Ended::Memory);
    assert_eq!(ended("for i in $(seq 60); do sleep 30 & done; wait").await, Ended::Processes);
    assert_eq!(ended("kill -9 $$").await, Ended::Signal(9));
    assert_eq!(ended("exit 139").await, Ended::Exit(139));
    let run = prepared.run("echo first; seq 100000; echo last", Network::None, limits).await.unwrap().finished;
    let said = String::from_utf8_lossy(&run.output);
    assert!(run.dropped > 500_000 && said.starts_with("first") && said.ends_with("last\n") && said.len() <= 1000);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_check_is_run_again_and_what_it_left_is_there_until_the_tree_is_fresh() {
    let Some(place) = Place::new() else { return };
    let sandbox = place.sandbox().await;
    let shop = tree(&[("a.py", "x = 1\n"), ("b.py", "")]);
    let mut prepared = sandbox.prepare(&recipe(&[]), &shop, false).await.unwrap();
    let script =
        "echo run >> count; cat count; rm -f b.py; test -f .git/HEAD; ln -s /etc/passwd link; mkdir -p d; echo 1 > d/e";
    assert_eq!(run(&*prepared, script).await, (Ended::Exit(0), "run\n".to_owned()));
    let root = prepared.root().to_owned();
    assert_eq!(fs::read_to_string(root.join("count")).unwrap(), "run\n");
    assert!(!root.join("b.py").exists() && root.join("link").is_symlink() && root.join("d/e").is_file());
    let (ended, said) = run(&*prepared, "echo run >> count; cat count; test ! -e b.py").await;
    assert_eq!((ended, said.as_str()), (Ended::Exit(0), "run\nrun\n"));
    prepared.refresh(&shop).await.unwrap();
    let (ended, said) = run(&*prepared, "cat a.py; ls").await;
    assert_eq!((ended, said.as_str()), (Ended::Exit(0), "x = 1\na.py\nb.py\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_check_leaves_can_not_lead_out_of_the_tree() {
    let Some(place) = Place::new() else { return };
    let sandbox = place.sandbox().await;
    let prepared = sandbox.prepare(&recipe(&[]), &tree(&[("pkg/a.py", "x = 1\n")]), false).await.unwrap();
    let outside = place.directory.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("a.py"), "ours\n").unwrap();
    // The folder becomes a link to ours; what stands below it later must not be written through it.
    let script = format!("rm -r pkg; ln -s {} pkg", outside.display());
    assert_eq!(run(&*prepared, &script).await.0, Ended::Exit(0));
    let script = "rm pkg; mkdir pkg; echo theirs > pkg/a.py; mkdir -p .git; echo x > .git/config";
    assert_eq!(run(&*prepared, script).await.0, Ended::Exit(0));
    assert_eq!(fs::read_to_string(outside.join("a.py")).unwrap(), "ours\n");
    assert_eq!(fs::read_to_string(prepared.root().join("pkg/a.py")).unwrap(), "theirs\n");
    assert_ne!(fs::read_to_string(prepared.root().join(".git/config")).unwrap(), "x\n");
    symlink("/", prepared.root().join("root")).unwrap();
    assert_eq!(run(&*prepared, "test -d root/etc; rm root; mkdir root; echo 1 > root/x").await.0, Ended::Exit(0));
    assert_eq!(run(&*prepared, "cat root/x").await, (Ended::Exit(0), "1\n".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_environment_is_built_once_and_a_candidate_takes_it() {
    let Some(place) = Place::new() else { return };
    let sandbox = place.sandbox().await;
    let install = "echo built >> $VIRTUAL_ENV/built; echo left > generated.txt; test -f *a.py";
    let recipe = recipe(&[install]);
    let before = tree(&[("a.py", "x = 1\n"), ("old.py", "")]);
    let prepared = sandbox.prepare(&recipe, &before, false).await.unwrap();
    assert!(!prepared.reused() && prepared.installed().iter().any(|(name, _)| name == "pip"));
    let said = "cat $VIRTUAL_ENV/built generated.txt a.py; ls; which python";
    let (ended, text) = run(&*prepared, said).await;
    assert_eq!(ended, Ended::Exit(0), "{text}");
    assert!(
        text.starts_with("built\nleft\nx = 1\na.py\ngenerated.txt\nold.py\n") && text.contains("/venv/bin/python"),
        "{text}"
    );
    drop(prepared);
    let candidate = sandbox.prepare(&recipe, &tree(&[("a.py", "x = 2\n")]), true).await.unwrap();
    assert!(candidate.reused());
    let (_, text) = run(&*candidate, said).await;
    assert!(text.starts_with("built\nleft\nx = 2\na.py\ngenerated.txt\n/"), "{text}");
    if let Some(fake) = &place.fake {
        assert_eq!(fake.ran("# install-1"), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_candidate_installs_is_for_that_candidate_alone_and_leads_nowhere() {
    let Some(place) = Place::new() else { return };
    let sandbox = place.sandbox().await;
    // The tree's folder becomes a link to the programs of the system, and what is called as the tree's file would go.
    let install =
        "cat secret > $VIRTUAL_ENV/from; rm -rf bin; ln -s /usr/local/bin bin; ln -s /usr/local .cache; test -L bin";
    let recipe = recipe(&[install]);
    let candidate = |secret: &str| tree(&[("bin/python3", ""), ("secret_", ""), ("secret", secret)]);
    for secret in ["first\n", "second\n"] {
        let prepared = sandbox.prepare(&recipe, &candidate(secret), true).await;
        match prepared {
            Ok(prepared) => {
                assert!(!prepared.reused());
                let (ended, said) = run(&*prepared, "cat $VIRTUAL_ENV/from; test -x /usr/local/bin/python3").await;
                assert_eq!((ended, said.as_str()), (Ended::Exit(0), secret));
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_that_fails_names_its_command_and_is_tried_again() {
    let Some(place) = Place::new() else { return };
    let sandbox = place.sandbox().await;
    let mut recipe = recipe(&["true", "echo no such thing; exit 4", "true"]);
    let shop = tree(&[("a.py", "")]);
    for _ in 0..2 {
        match sandbox.prepare(&recipe, &shop, false).await {
            Err(SandboxError::Install { command, finished }) => {
                assert_eq!((command.as_str(), finished.ended), ("echo no such thing; exit 4", Ended::Exit(4)));
                assert_eq!(finished.output, b"no such thing\n");
            }
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("it was built"),
        }
    }
    if let Some(fake) = &place.fake {
        assert_eq!((fake.ran("# install-1"), fake.ran("# install-2"), fake.ran("# install-3")), (1, 2, 0));
    }
    recipe.install = vec!["sleep 60".to_owned()];
    recipe.timeout = Duration::from_secs(2);
    let Err(SandboxError::Install { finished, .. }) = sandbox.prepare(&recipe, &tree(&[("a.py", "")]), false).await
    else {
        panic!("it was built")
    };
    assert_eq!(finished.ended, Ended::WallTime);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_installs_changes_the_environment_for_those_after_it() {
    let Some(place) = Place::new() else { return };
    let sandbox = place.sandbox().await;
    let recipe = Recipe { disposable: true, ..recipe(&[]) };
    let shop = tree(&[("a.py", "")]);
    let mut prepared = sandbox.prepare(&recipe, &shop, false).await.unwrap();
    assert_eq!(run(&*prepared, "echo x > $VIRTUAL_ENV/installed; echo 1 > made").await.0, Ended::Exit(0));
    assert_eq!(run(&*prepared, "cat $VIRTUAL_ENV/installed made").await, (Ended::Exit(0), "x\n1\n".to_owned()));
    prepared.refresh(&shop).await.unwrap();
    assert_eq!(run(&*prepared, "test ! -e $VIRTUAL_ENV/installed; test ! -e made").await.0, Ended::Exit(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_engine_is_asked_once_more_and_then_it_is_infrastructure() {
    // The probe and the environment are builds, too.
    let Some(place) = Place::odd(Cli::Normal, Fault::LostAt(3)) else { return };
    let sandbox = place.sandbox().await;
    let prepared = sandbox.prepare(&recipe(&[]), &tree(&[("a.py", "")]), false).await.unwrap();
    let lost = prepared.run("true", Network::None, Limits::default()).await;
    assert!(matches!(&lost, Err(SandboxError::Lost(why)) if why.contains("the Dagger engine was lost")), "{lost:?}");
    assert_eq!(run(&*prepared, "echo again").await, (Ended::Exit(0), "again\n".to_owned()));
    assert_eq!(place.fake().sessions().iter().filter(|word| *word == "started").count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_said_in_a_sentence_of_its_own() {
    for (cli, fault, why) in [
        (Cli::Older, Fault::None, "is not the Dagger CLI 0.21"),
        (
            Cli::Refuses,
            Fault::None,
            "no Dagger engine can be had: Error: driver for scheme \"image\" was not available",
        ),
        (Cli::Normal, Fault::Unauthorized, "the Dagger engine was lost"),
        (Cli::Normal, Fault::GoneAfter(0), "the Dagger engine was lost"),
    ] {
        let Some(place) = Place::odd(cli, fault) else { return };
        let begun = Instant::now();
        let said = place.refused().await;
        assert!(said.contains(why), "{said}");
        assert!(!said.contains("token-"), "{said}");
        assert!(begun.elapsed() < Duration::from_secs(15));
    }
    let nowhere = DaggerPlace { cli: Some("/nonexistent/dagger".into()), runner: None };
    if std::env::var_os("PATH").is_some_and(|p| std::env::split_paths(&p).any(|f| f.join("dagger").is_file())) {
        return skipped("there is a dagger on PATH");
    }
    let cache = tempfile::tempdir().unwrap();
    let Err(error) = DaggerSandbox::new(&cache.path().to_owned().into(), &nowhere, &[]).await else { panic!() };
    assert!(error.to_string().contains("the Dagger CLI was not found"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_never_answers_is_given_up_and_its_client_killed() {
    let Some(place) = Place::odd(Cli::Silent, Fault::None) else { return };
    let begun = Instant::now();
    let said = place.refused().await;
    assert!(said.contains("the Dagger engine at container://fake did not answer within 20 s"), "{said}");
    assert!(begun.elapsed() < Duration::from_secs(40));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_is_told_no_secret_and_leaves_with_us() {
    let Some(place) = Place::odd(Cli::Normal, Fault::None) else { return };
    let sandbox = place.sandbox().await;
    let environment = place.fake().environment();
    for name in ["DO_NOT_TRACK=1", "DAGGER_NO_NAG=1", "DAGGER_NO_UPDATE_CHECK=1", "DAGGER_LEAVE_OLD_ENGINE=1"] {
        assert!(environment.contains(name), "{environment}");
    }
    for name in ["CARGO", "GITHUB_", "DEEPSEEK", "OTEL", "DAGGER_CLOUD"] {
        assert!(!environment.contains(name), "{environment}");
    }
    drop(sandbox);
    for _ in 0..100 {
        if place.fake().sessions() == ["started", "ended"] {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{:?}", place.fake().sessions());
}

/// `test-repair` on a repository whose test fails.
fn command(place: &Place, arguments: &[&str]) -> Command {
    let root = place.directory.path().join("shop");
    fs::create_dir_all(root.join("tests")).unwrap();
    fs::write(root.join("shop.py"), "def total(prices):\n    return json.dumps(sum(prices))\n").unwrap();
    fs::write(root.join("tests/__init__.py"), "").unwrap();
    let test = "import unittest\n\nfrom shop import total\n\n\nclass ShopTest(unittest.TestCase):\n    def test_total(self):\n        self.assertEqual(total([1, 2]), \"3\")\n";
    fs::write(root.join("tests/test_shop.py"), test).unwrap();
    let (rule, line) = ("=".repeat(70), "-".repeat(70));
    let check = "python -m unittest discover -s tests -t .";
    let log = format!(
        "Current runner version: '2.322.0'\nComplete job name: test\n##[group]Run {check}\n\u{1b}[36;1m{check}\u{1b}[0m\nshell: /usr/bin/bash -e {{0}}\n##[endgroup]\nE\n{rule}\nERROR: test_total (tests.test_shop.ShopTest.test_total)\n{line}\nTraceback (most recent call last):\n  File \"/home/runner/work/shop/shop/tests/test_shop.py\", line 8, in test_total\n    self.assertEqual(total([1, 2]), \"3\")\n  File \"/home/runner/work/shop/shop/shop.py\", line 2, in total\n    return json.dumps(sum(prices))\nNameError: name 'json' is not defined\n\n{line}\nRan 1 test in 0.001s\n\nFAILED (errors=1)\n##[error]Process completed with exit code 1.\n"
    );
    let log_file = place.directory.path().join("log.txt");
    fs::write(&log_file, log).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_test-repair"));
    command
        .args(arguments)
        .arg("--repo")
        .arg(&root)
        .arg("--log")
        .arg(&log_file)
        .args(["--python", &recipe(&[]).python]);
    command.arg("--cache-dir").arg(place.directory.path().join("cache"));
    if let Some(fake) = &place.fake {
        command.env("_EXPERIMENTAL_DAGGER_CLI_BIN", fake.cli());
        command.env("_EXPERIMENTAL_DAGGER_RUNNER_HOST", "container://fake");
    }
    command.stdin(Stdio::null());
    command
}

#[test]
fn a_failure_is_reproduced_repaired_and_proven_as_in_the_local_sandbox() {
    let Some(place) = Place::new() else { return };
    let outcome = |sandbox: &str| -> Value {
        let output = command(&place, &["fix", "--format", "json", "--sandbox", sandbox]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
    };
    let (local, dagger) = (outcome("local"), outcome("dagger"));
    assert_eq!(dagger["outcome"], "fixed", "{dagger:#}");
    for part in ["outcome", "fix", "reason"] {
        assert_eq!(local[part], dagger[part]);
    }
    let shown = |said: &Value| -> Vec<Value> {
        said["validation"]["checks"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| [&c["before"], &c["after"]].map(Clone::clone).into_iter().collect())
            .collect()
    };
    assert_eq!(shown(&local), shown(&dagger));
    assert_eq!(dagger["sandbox"]["kind"], "dagger");
    let auto = outcome("auto");
    assert_eq!((&auto["outcome"], &auto["sandbox"]["kind"]), (&dagger["outcome"], &dagger["sandbox"]["kind"]));
    assert!(auto["notes"].to_string().contains("the sandbox is Dagger's"), "{auto:#}");
}

#[test]
fn without_an_engine_auto_is_local_and_says_why_and_dagger_is_an_error() {
    let Some(place) = Place::odd(Cli::Refuses, Fault::None) else { return };
    let output = command(&place, &["fix", "--format", "json", "--sandbox", "auto"]).output().unwrap();
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&said["outcome"], &said["sandbox"]["kind"]), (&"fixed".into(), &"local".into()));
    assert!(
        said["notes"].to_string().contains("the sandbox is the local one: no Dagger engine can be had"),
        "{said:#}"
    );
    let output = command(&place, &["fix", "--format", "json", "--sandbox", "dagger"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success() && text.contains("driver for scheme"), "{text}");
}

#[test]
fn a_client_that_is_killed_leaves_no_session() {
    let Some(place) = Place::odd(Cli::Normal, Fault::None) else { return };
    let mut child =
        command(&place, &["fix", "--sandbox", "dagger"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    while place.fake().asked().len() < 3 && begun.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let begun = Instant::now();
    while place.fake().sessions().last().map(String::as_str) != Some("ended") {
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", place.fake().sessions());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What was sent before is not sent again.
#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_file_of_the_tree_is_not_touched_where_it_is_sent_from() {
    let Some(place) = Place::new() else { return };
    let sandbox = place.sandbox().await;
    let shop = tree(&[("a.py", "x = 1\n"), ("b.py", "y = 1\n")]);
    let mut prepared = sandbox.prepare(&recipe(&[]), &shop, false).await.unwrap();
    let time = |root: &Path| -> (PathBuf, std::time::SystemTime) {
        (root.to_owned(), root.join("a.py").metadata().unwrap().modified().unwrap())
    };
    let before = time(prepared.root());
    run(&*prepared, "echo z >> b.py").await;
    prepared.refresh(&tree(&[("a.py", "x = 1\n"), ("b.py", "y = 2\n")])).await.unwrap();
    assert_eq!(time(prepared.root()), before);
    assert_eq!(run(&*prepared, "cat b.py").await, (Ended::Exit(0), "y = 2\n".to_owned()));
}

/// The engines that we have started, and that are there.
fn engines() -> Vec<String> {
    let listed = Command::new("docker")
        .args(["ps", "--all", "--filter", "label=org.test-repair.engine", "--format", "{{.Names}}"])
        .output()
        .unwrap();
    String::from_utf8(listed.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// Takes a docker in which the engine's image is: `TEST_REPAIR_DAGGER=own`.
#[test]
fn an_engine_of_our_own_is_gone_with_us_also_after_a_kill() {
    if std::env::var("TEST_REPAIR_DAGGER").as_deref() != Ok("own") {
        return skipped("TEST_REPAIR_DAGGER=own starts engines in docker");
    }
    let before = engines();
    let doctor = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_test-repair"));
        command
            .args(["doctor", "--sandbox", "dagger"])
            .env_remove("_EXPERIMENTAL_DAGGER_RUNNER_HOST")
            .stdin(Stdio::null());
        command
    };
    let said = doctor().output().unwrap();
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(text.contains("network-namespace") && text.contains("dagger: container"), "{text}");
    assert_eq!(engines(), before);
    let mut child = doctor().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let wait_for = |there: bool| {
        let begun = Instant::now();
        while (engines().len() > before.len()) != there {
            assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", engines());
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    wait_for(true);
    std::thread::sleep(Duration::from_secs(2));
    child.kill().unwrap();
    child.wait().unwrap();
    wait_for(false);
}

#[tokio::test(flavor = "multi_thread")]
async fn packages_of_the_system_are_there_where_the_job_installs_them() {
    let Some(place) = Place::new() else { return };
    if place.fake.is_some() {
        return skipped("packages come from Debian, which the fake does not ask");
    }
    let sandbox = place.sandbox().await;
    let recipe = Recipe { packages: vec!["tree".to_owned(), "no-such-package-here".to_owned()], ..recipe(&[]) };
    let prepared = sandbox.prepare(&recipe, &tree(&[("a.py", "")]), false).await.unwrap();
    assert_eq!(run(&*prepared, "tree --version").await.0, Ended::Exit(0));
}
