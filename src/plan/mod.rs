//! plan: a job's log and the repository in, the commands that rebuild the job out.
//!
//! The log decides what ran; the repository's workflow files fill gaps; what could not be rebuilt is said.

pub mod shell;
pub mod workflow;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    detect::{JobLog, Step, StepKind},
    sandbox::Network,
};
use shell::Purpose;
use workflow::Workflow;

/// Where a command comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The log shows that it ran.
    Log,
    /// A later step of the matching workflow job, which CI never reached.
    Workflow,
    /// `--command`.
    Flag,
}

/// A command that judges the code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// For `bash -e -c`.
    pub script: String,
    /// Where it comes from.
    pub origin: Origin,
    /// Which network it sees.
    pub network: Network,
    /// Is it an install command, which changes the environment that it runs in?
    pub installs: bool,
}

/// Something of the job that is not rebuilt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// The step or command.
    pub what: String,
    /// Why.
    pub why: String,
}

/// One job, as it can be run again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The job's name, or the log's.
    pub name: String,
    /// The Python that the job ran (`3.11.7`, or as little as `3`).
    pub python: String,
    /// The job's environment variables, those of the runner left out.
    pub env: BTreeMap<String, String>,
    /// Where the commands ran, repository-relative; empty for the root.
    pub directory: String,
    /// The commands that build the environment, in order.
    pub install: Vec<String>,
    /// The commands that prepare the tree, in order, before any check.
    pub setup: Vec<String>,
    /// The commands that judge the code, in the job's order.
    pub checks: Vec<Check>,
    /// What is not rebuilt.
    pub skipped: Vec<Skipped>,
    /// The versions that the log's install output names.
    pub versions: Vec<(String, String)>,
    /// Does an install command copy the project into the environment, so that a changed source needs a new one?
    pub copies_project: bool,
}

/// What a person said on the command line, over what the log says.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `--command`: these are the checks.
    pub commands: Vec<String>,
    /// `--python`.
    pub python: Option<String>,
    /// `--workflow FILE`, its content.
    pub workflow: Option<Workflow>,
    /// `--job ID` of that workflow.
    pub job: Option<String>,
}

/// How a step of the log stands to its failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Passed,
    Failed,
    /// It failed, and the log blames its installation.
    FailedInstallation,
}

/// Tools whose failure is an installation's.
const INSTALLERS: &[&str] = &["pip", "uv", "poetry", "pdm", "setuptools", "hatchling", "conda"];

/// Variables that a runner, its set-up actions or a shell put there: the sandbox has its own.
const RUNNER_VARIABLES: &[&str] = &[
    "pythonLocation",
    "Python_ROOT_DIR",
    "Python2_ROOT_DIR",
    "Python3_ROOT_DIR",
    "LD_LIBRARY_PATH",
    "PKG_CONFIG_PATH",
    "PATH",
    "HOME",
    "VIRTUAL_ENV",
    "UV_CACHE_DIR",
    "UV_PYTHON",
    "PIP_CACHE_DIR",
    "TMPDIR",
    "ACTIONS_STEP_DEBUG",
];

/// Rebuilds the job that `log` shows. `workflows` are the repository's own, for what the log does not say.
pub fn plan(log: &JobLog, workflows: &[Workflow], overrides: &Overrides) -> Job {
    let mut job = Job {
        name: log.job.clone().unwrap_or_else(|| log.log.clone()),
        python: overrides.python.clone().or_else(|| log.python.clone()).unwrap_or_else(|| "3".to_owned()),
        env: BTreeMap::new(),
        directory: String::new(),
        install: Vec::new(),
        setup: Vec::new(),
        checks: Vec::new(),
        skipped: Vec::new(),
        versions: Vec::new(),
        copies_project: false,
    };
    if overrides.python.is_none() && log.python.is_none() {
        job.skipped.push(skip("Python version", "the log does not name one: this machine's python3 is taken"));
    }
    let failing = log.steps.iter().position(|s| s.failed).or_else(|| last_run(&log.steps));
    let installation_failed = log.failures.iter().any(|f| INSTALLERS.contains(&f.tool.as_str()))
        && !log.failures.iter().any(|f| f.test_id.is_some());
    for (index, step) in log.steps.iter().enumerate() {
        match &step.kind {
            StepKind::Uses { action, .. } => job.uses(action),
            StepKind::Run { script, shell } => {
                if shell.as_deref().is_some_and(|s| !is_posix(s)) {
                    job.skipped.push(skip(script, "its shell is not a POSIX one"));
                    continue;
                }
                let part = match failing == Some(index) {
                    true if installation_failed => Part::FailedInstallation,
                    true => Part::Failed,
                    false => Part::Passed,
                };
                job.script(script, Origin::Log, part);
            }
        }
        job.take_environment(step, failing == Some(index));
        job.versions.extend(step.installed.iter().filter(|(name, _)| !step.local_packages.contains(name)).cloned());
    }
    if let (Some(workspace), Some(step)) = (&log.workspace, failing.and_then(|i| log.steps.get(i))) {
        let below = step.directory.as_deref().and_then(|d| d.strip_prefix(workspace.as_str()));
        job.directory = below.unwrap_or_default().trim_matches('/').to_owned();
    }
    job.fill_from_workflows(log, failing, workflows, overrides);
    if !overrides.commands.is_empty() {
        job.checks.clear();
        for command in &overrides.commands {
            job.checks.push(Check {
                script: command.clone(),
                origin: Origin::Flag,
                network: Network::None,
                installs: false,
            });
        }
    }
    job.copies_project = job.install.iter().any(|command| copies_project(command));
    job
}

impl Job {
    fn uses(&mut self, action: &str) {
        let name = action.split('@').next().unwrap_or(action);
        if matches!(name, "actions/checkout" | "actions/setup-python" | "actions/cache" | "actions/cache/restore") {
            return; // what they would have done is done, or only saves time
        }
        self.skipped.push(skip(action, "actions are not run by the local sandbox"));
    }

    fn script(&mut self, script: &str, origin: Origin, part: Part) {
        let commands = shell::split(script);
        let installs_only = commands.iter().all(|c| !matches!(c.purpose, Purpose::Check | Purpose::OnlineCheck));
        for command in commands {
            let check = |network, installs| Check { script: command.script.clone(), origin, network, installs };
            match command.purpose {
                // The installation is what failed, and what is to be repaired.
                Purpose::Install if part == Part::FailedInstallation || part == Part::Failed && installs_only => {
                    self.checks.push(check(Network::Full, true));
                }
                Purpose::Install => self.install.push(command.script),
                Purpose::Setup => self.setup.push(command.script),
                Purpose::Check => self.checks.push(check(Network::None, false)),
                Purpose::OnlineCheck => self.checks.push(check(Network::Full, false)),
                Purpose::Skip("prints only") => {}
                Purpose::Skip(why) => self.skipped.push(skip(&command.script, why)),
            }
        }
    }

    fn take_environment(&mut self, step: &Step, failing: bool) {
        for (name, value) in &step.env {
            if RUNNER_VARIABLES.contains(&name.as_str()) || name.starts_with("GITHUB_") || name.starts_with("RUNNER_") {
                continue;
            }
            if value.contains("***") {
                let what = format!("env {name}");
                if failing && !self.skipped.iter().any(|s| s.what == what) {
                    self.skipped.push(skip(&what, "its value is a secret, which no check gets"));
                }
                continue;
            }
            if failing || !self.env.contains_key(name) {
                self.env.insert(name.clone(), value.clone());
            }
        }
    }

    fn fill_from_workflows(&mut self, log: &JobLog, failing: Option<usize>, own: &[Workflow], overrides: &Overrides) {
        let Some(StepKind::Run { script, .. }) = failing.and_then(|i| log.steps.get(i)).map(|s| &s.kind) else {
            return;
        };
        let candidates = overrides.workflow.as_ref().map_or(own, std::slice::from_ref);
        let Some(found) = workflow::matching(candidates, script, overrides.job.as_deref(), log.job.as_deref()) else {
            if !candidates.is_empty() {
                let why = "no job of the workflow files runs this command: the log alone decides, and later steps are unknown";
                self.skipped.push(skip("workflow files", why));
            }
            return;
        };
        if self.directory.is_empty()
            && let Some(directory) = &found.directory
        {
            self.directory = directory.clone();
        }
        let ran = |run: &str| {
            log.steps
                .iter()
                .any(|step| matches!(&step.kind, StepKind::Run { script, .. } if workflow::same_script(run, script)))
        };
        let mut needs = None;
        for later in &found.later {
            match later {
                workflow::Later::Run(script) => {
                    let installs = |c: &shell::Command| matches!(c.purpose, Purpose::Install | Purpose::Setup);
                    if needs.is_none() && shell::split(script).iter().any(installs) {
                        // What it brings in was not there when the failing command ran.
                        needs = Some("a later step of the workflow that changes the environment");
                    }
                    match needs {
                        Some(why) => self.skipped.push(skip(script, why)),
                        None if self.checks.iter().any(|c| c.script == script.trim()) => {}
                        None => self.script(script, Origin::Workflow, Part::Passed),
                    }
                    needs = needs.map(|_| "a later step of the workflow, behind one that changes the environment");
                }
                // The log shows that it ran all the same.
                workflow::Later::Unknown { run: Some(run), .. } if ran(run) => {}
                workflow::Later::Unknown { what, why, .. } => self.skipped.push(skip(what, why)),
            }
        }
    }
}

fn skip(what: &str, why: &str) -> Skipped {
    Skipped { what: what.lines().next().unwrap_or_default().to_owned(), why: why.to_owned() }
}

fn last_run(steps: &[Step]) -> Option<usize> {
    steps.iter().rposition(|s| matches!(s.kind, StepKind::Run { .. }))
}

fn is_posix(shell: &str) -> bool {
    let program = shell.split_whitespace().next().unwrap_or_default();
    matches!(program.rsplit('/').next(), Some("bash" | "sh" | "dash"))
}

/// `pip install .` and `tox` copy the project; `pip install -e .` points at it.
fn copies_project(command: &str) -> bool {
    let words = shell::words_of(command);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if shell::tool_arguments(&words, "tox").is_some() || words.contains(&"setup.py") {
        return true;
    }
    let editable = |i: usize| i > 0 && matches!(words[i - 1], "-e" | "--editable");
    words.iter().enumerate().any(|(i, w)| {
        let path = w.split('[').next().unwrap_or(w);
        (path == "." || path == ".." || path.starts_with("./") || path.starts_with("../"))
            && !editable(i)
            && !w.ends_with(".txt")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::Detector;

    fn log(steps: &[(&str, Option<i32>)]) -> JobLog {
        let mut text = String::from("Complete job name: test (3.11)\nSuccessfully set up CPython (3.11.7)\n");
        for (script, exit) in steps {
            text.push_str(&format!("##[group]Run {}\n", script.lines().next().unwrap_or_default()));
            for line in script.lines() {
                text.push_str(&format!("\u{1b}[36;1m{line}\u{1b}[0m\n"));
            }
            text.push_str(
                "shell: /usr/bin/bash -e {0}\nenv:\n  MODE: fast\n  TOKEN: ***\n  LD_LIBRARY_PATH: /x\n##[endgroup]\n",
            );
            if script.contains("pip install") {
                text.push_str("Successfully installed pytest-8.3.4 typing-extensions-4.1\n");
            }
            if let Some(code) = exit {
                text.push_str("FAILED tests/test_a.py::test_a - AssertionError: x\n");
                text.push_str(&format!("##[error]Process completed with exit code {code}.\n"));
            }
        }
        let stamped: String = text.lines().map(|l| format!("2026-11-06T07:30:00.0000017Z {l}\n")).collect();
        let mut detector = Detector::new("log");
        detector.feed(stamped.as_bytes());
        detector.finish().remove(0)
    }

    fn scripts(job: &Job) -> Vec<&str> {
        job.checks.iter().map(|c| c.script.as_str()).collect()
    }

    #[test]
    fn a_job_is_rebuilt_from_its_log() {
        let log = log(&[("pip install -e . pytest==8.3.4", None), ("ruff check .\npytest -q", Some(1))]);
        let job = plan(&log, &[], &Overrides::default());
        assert_eq!(job.python, "3.11.7");
        assert_eq!(job.install, ["pip install -e . pytest==8.3.4"]);
        assert_eq!(scripts(&job), ["ruff check .", "pytest -q"]);
        assert_eq!(job.env, BTreeMap::from([("MODE".to_owned(), "fast".to_owned())]));
        assert_eq!(job.versions[0], ("pytest".to_owned(), "8.3.4".to_owned()));
        assert_eq!(job.versions[1].0, "typing-extensions");
        assert!(job.skipped.iter().any(|s| s.what == "env TOKEN"));
        assert!(!job.copies_project);
    }

    #[test]
    fn what_a_later_step_installs_is_never_there_for_the_failing_one() {
        let workflow = "jobs:\n  test:\n    steps:\n    - run: pytest -q\n    - run: mypy .\n    - run: pip uninstall -y x\n    - run: make\n";
        let workflow = workflow::parse(workflow).unwrap();
        let job = plan(&log(&[("pytest -q", Some(1))]), &[workflow], &Overrides::default());
        assert_eq!(scripts(&job), ["pytest -q", "mypy ."]);
        assert!(job.install.is_empty());
        assert_eq!(job.skipped.len(), 3, "{:?}", job.skipped); // the secret, and two later steps
    }

    #[test]
    fn what_a_person_names_is_what_is_checked() {
        let overrides = Overrides {
            commands: vec!["make check".to_owned()],
            python: Some("3.12".to_owned()),
            ..Overrides::default()
        };
        let job = plan(&log(&[("pytest -q", Some(1))]), &[], &overrides);
        assert_eq!((scripts(&job), job.python.as_str()), (vec!["make check"], "3.12"));
    }

    #[test]
    fn an_environment_that_holds_a_copy_of_the_project_is_known() {
        for (command, copies) in [
            ("pip install -e .", false),
            ("pip install -e '.[dev]' pytest", false),
            ("pip install .", true),
            ("pip install '.[dev]'", true),
            ("pip install -r requirements.txt", false),
            ("tox -e py --notest", true),
        ] {
            assert_eq!(copies_project(command), copies, "{command}");
        }
    }
}
