//! A directory of its own for each test, the binary run in it, and the look around afterwards.

use std::{
    collections::BTreeSet,
    env, fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{LazyLock, Mutex, Once},
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

/// Environments are shared between tests and runs: most of the time would go into building them again.
static CACHE: LazyLock<PathBuf> = LazyLock::new(|| {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("e2e-cache");
    fs::create_dir_all(&target).unwrap();
    // Root's runs have a user of their own, who must be able to come here.
    let open = |p: &Path| p.metadata().is_ok_and(|m| m.permissions().mode() & 0o001 != 0);
    if target.ancestors().all(open) {
        return target;
    }
    env::temp_dir().join(format!("test-repair-e2e-{}", nix::unistd::geteuid()))
});

/// Can pip reach its index, as this machine configures it?
static INDEX: LazyLock<bool> = LazyLock::new(|| {
    let asked = Command::new("python3")
        .args(["-m", "pip", "index", "versions", "tomli-w", "--retries", "0", "--timeout", "10"])
        .output();
    asked.is_ok_and(|o| o.status.success())
        || "pypi.org:443"
            .parse()
            .ok()
            .or_else(|| std::net::ToSocketAddrs::to_socket_addrs("pypi.org:443").ok()?.next())
            .is_some_and(|a| std::net::TcpStream::connect_timeout(&a, Duration::from_secs(3)).is_ok())
});

/// Says that a test is left out: past the harness, which keeps what a passing test prints to itself.
pub(crate) fn skipped(why: &str) {
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    let _ = writeln!(std::io::stderr(), "skipped: {test}: {why}");
}

/// Is the package index there? Says loudly when it is not.
pub(crate) fn index() -> bool {
    if !*INDEX {
        skipped("the package index can't be reached, and this test installs from it");
    }
    *INDEX
}

/// Processes that tests themselves started: everything else below this process is a leftover.
static OURS: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// A folder of this project.
pub(crate) fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Runs a command to its end; its processes are ours.
pub(crate) fn run(command: &mut Command) -> Output {
    let child = start(command);
    let pid = i32::try_from(child.id()).unwrap();
    let output = child.wait_with_output().unwrap();
    OURS.lock().unwrap().remove(&pid);
    output
}

fn start(command: &mut Command) -> Child {
    static SUBREAPER: Once = Once::new();
    // What a killed run leaves becomes a child of this process, and is seen.
    SUBREAPER.call_once(|| nix::sys::prctl::set_child_subreaper(true).unwrap());
    // Under the lock: between the fork and the entry nobody may look.
    let mut ours = OURS.lock().unwrap();
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    ours.insert(i32::try_from(child.id()).unwrap());
    child
}

/// What a run of `test-repair` left.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn of(output: &Output) -> Ran {
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    #[track_caller]
    pub(crate) fn exits_with(self, code: i32) -> Ran {
        assert_eq!(self.code, code, "\n{}\n{}", self.stdout, self.stderr);
        self
    }

    #[track_caller]
    pub(crate) fn prints(self, text: &str) -> Ran {
        assert!(self.stdout.contains(text), "{text:?} is not in\n{}\n{}", self.stdout, self.stderr);
        self
    }

    /// Standard error says all of this.
    #[track_caller]
    pub(crate) fn complains(self, texts: &[&str]) -> Ran {
        for text in texts {
            assert!(self.stderr.contains(text), "{text:?} is not in\n{}", self.stderr);
        }
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}\n{}\n{}", self.stdout, self.stderr))
    }
}

/// A run that is under way.
pub(crate) struct Running {
    child: Child,
}

impl Running {
    pub(crate) fn signal(&self, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(self.pid(), signal).unwrap();
    }

    /// Has it ended by itself?
    pub(crate) fn is_over(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    pub(crate) fn ended(self) -> Ran {
        let pid = self.pid().as_raw();
        let output = self.child.wait_with_output().unwrap();
        OURS.lock().unwrap().remove(&pid);
        Ran::of(&output)
    }

    fn pid(&self) -> nix::unistd::Pid {
        nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }
}

/// A directory with repositories and logs.
pub(crate) struct World {
    directory: TempDir,
    /// Repositories that must stay as they are.
    watched: Mutex<Vec<PathBuf>>,
}

impl World {
    pub(crate) fn new() -> World {
        let directory = tempfile::Builder::new().prefix("world-").tempdir().unwrap();
        fs::create_dir(directory.path().join("tmp")).unwrap();
        World { directory, watched: Mutex::new(Vec::new()) }
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    pub(crate) fn cache(&self) -> &Path {
        &CACHE
    }

    /// Writes a file.
    pub(crate) fn file(&self, path: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// A copy of an example, committed to a git repository.
    pub(crate) fn example(&self, name: &str) -> PathBuf {
        test_repair::workspace::copy_tree(&project("examples").join(name), &self.path(name), |n| n == "__pycache__")
            .unwrap();
        self.commit(name)
    }

    /// A repository of these files. Trees of one name and without manifests share an environment.
    pub(crate) fn repository(&self, files: &[(&str, &str)]) -> PathBuf {
        for (path, content) in files {
            self.file(&format!("tiny/{path}"), content);
        }
        self.commit("tiny")
    }

    fn commit(&self, name: &str) -> PathBuf {
        let root = self.path(name);
        self.git(&root, &["init", "--quiet"]);
        self.git(&root, &["add", "--all"]);
        self.git(&root, &["commit", "--quiet", "--message", "As it failed"]);
        self.watched.lock().unwrap().push(root.clone());
        root
    }

    /// Runs git, which must succeed.
    #[track_caller]
    pub(crate) fn git(&self, root: &Path, arguments: &[&str]) -> String {
        let mut git = test_repair::workspace::git(root);
        let output = run(git.args(["-c", "user.name=e2e", "-c", "user.email=e2e@localhost"]).args(arguments));
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What is to change from here on is no leftover.
    pub(crate) fn may_change(&self, root: &Path) {
        self.watched.lock().unwrap().retain(|w| w != root);
    }

    /// Forgets what a killed run left in TMPDIR, once nothing that it started writes there any more.
    pub(crate) fn clear_temporary_files(&self) {
        wait_for("the killed run's processes to end", || fs::remove_dir_all(self.path("tmp")).is_ok());
        fs::create_dir(self.path("tmp")).unwrap();
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_test-repair"));
        for (name, _) in env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if ["GITHUB_", "RUNNER_", "ACTIONS_", "TEST_REPAIR_", "DEEPSEEK_"].iter().any(|p| name.starts_with(p)) {
                command.env_remove(name);
            }
        }
        command
            .current_dir(self.directory.path())
            .env("TEST_REPAIR_CACHE", self.cache())
            .env("TMPDIR", self.path("tmp"))
            .env("NO_COLOR", "1");
        command
    }

    /// `test-repair ARGUMENTS`, in this directory.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(&run(self.command().args(arguments)))
    }

    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        Running { child: start(self.command().args(arguments)) }
    }

    pub(crate) fn start_command(&self, command: &mut Command) -> Running {
        Running { child: start(command) }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        for root in self.watched.lock().unwrap().drain(..) {
            let status = run(test_repair::workspace::git(&root).args(["status", "--porcelain", "--ignored"]));
            let status = String::from_utf8_lossy(&status.stdout).into_owned();
            assert!(status.is_empty(), "left in {}:\n{status}", root.display());
        }
        let left: Vec<PathBuf> = fs::read_dir(self.path("tmp")).unwrap().map(|e| e.unwrap().path()).collect();
        assert!(left.is_empty(), "left in TMPDIR: {left:?}");
        wait_for("every process of a run to end", || strangers().is_empty());
    }
}

/// Processes below this one that no test started: `pid: command line`.
pub(crate) fn strangers() -> Vec<String> {
    let ours = OURS.lock().unwrap();
    let me = std::process::id().to_string();
    processes()
        .into_iter()
        .filter(|(pid, parent, dead, _)| *parent == me && !dead && !ours.contains(pid))
        .map(|(pid, .., command)| format!("{pid}: {command}"))
        .collect()
}

/// Processes with `text` in their command line.
pub(crate) fn with_words(text: &str) -> Vec<i32> {
    let ours = OURS.lock().unwrap();
    let found = processes().into_iter().filter(|(pid, _, dead, command)| {
        !dead && command.contains(text) && !ours.contains(pid) && *pid != i32::try_from(std::process::id()).unwrap()
    });
    found.map(|(pid, ..)| pid).collect()
}

/// Every process: number, parent, whether it is dead, command line.
fn processes() -> Vec<(i32, String, bool, String)> {
    let entries = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let of = |entry: fs::DirEntry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        let mut rest = stat.rsplit_once(')')?.1.split_whitespace();
        let (state, parent) = (rest.next()?, rest.next()?.to_owned());
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        Some((pid, parent, matches!(state, "Z" | "X"), command))
    };
    entries.filter_map(of).collect()
}

/// Waits, at most a minute.
#[track_caller]
pub(crate) fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(60), "waited in vain for {what}; processes: {:?}", strangers());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A step of a job: what it ran, what it printed, and how it ended.
pub(crate) struct Step<'a>(pub(crate) &'a str, pub(crate) &'a str, pub(crate) i32);

/// The log of a job called `test`, as GitHub's runner writes it. It names no Python: this machine's will do.
pub(crate) fn log(steps: &[Step<'_>]) -> String {
    let mut lines: Vec<String> = vec!["Current runner version: '2.322.0'".into(), "Complete job name: test".into()];
    for Step(command, output, code) in steps {
        lines.push(format!("##[group]Run {command}"));
        lines.push(format!("\u{1b}[36;1m{command}\u{1b}[0m"));
        lines.push("shell: /usr/bin/bash -e {0}".into());
        lines.push("##[endgroup]".into());
        lines.extend(output.lines().map(str::to_owned));
        if *code != 0 {
            lines.push(format!("##[error]Process completed with exit code {code}."));
        }
    }
    lines.push("Cleaning up orphan processes".into());
    let stamped = lines.iter().enumerate().map(|(n, l)| format!("2025-03-03T09:00:{:02}.{n:07}Z {l}\n", n % 60));
    stamped.collect()
}

/// What `python -m unittest` prints when one test of `tests/test_tiny.py` fails, in a line of `file`.
pub(crate) fn unittest_failure(test: &str, file: &str, error: &str) -> String {
    let (rule, line) = ("=".repeat(70), "-".repeat(70));
    let assertion = error.starts_with("AssertionError");
    let (letter, kind, end) = if assertion { ("F", "FAIL", "failures") } else { ("E", "ERROR", "errors") };
    let mut frames =
        format!("  File \"/home/runner/work/tiny/tiny/tests/test_tiny.py\", line 7, in {test}\n    it()\n");
    if file != TEST {
        frames += &format!("  File \"/home/runner/work/tiny/tiny/{file}\", line 2, in read\n    it()\n");
    }
    format!(
        "{letter}\n{rule}\n{kind}: {test} (tests.test_tiny.TinyTest.{test})\n{line}\nTraceback (most recent call last):\n\
         {frames}{error}\n\n{line}\nRan 1 test in 0.001s\n\nFAILED ({end}=1)"
    )
}

/// The command of most tests.
pub(crate) const UNITTEST: &str = "python -m unittest discover -s tests -t .";

/// The file of most tests.
pub(crate) const TEST: &str = "tests/test_tiny.py";
