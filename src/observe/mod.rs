//! observe: what a run of a check left in, what it says out. The tools' own reports come first; the exit status and
//! the report must agree before anything counts as passed.

mod findings;
mod junit;
mod touched;
mod unittest;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::{
    detect::{Detector, Failure, Key},
    plan::{Check, shell},
    sandbox::{CheckRun, Ended, Finished},
};

pub use findings::{Findings, report_command};
pub use touched::{digests, touched};

/// What became of one test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TestOutcome {
    /// It ran and passed.
    Passed,
    /// It ran and failed, as it says that it must.
    ExpectedFailure,
    /// It did not run, by its own or its caller's decision.
    Skipped,
    /// It failed, or broke before it could run.
    Failed,
}

/// The tests of a run, by id; an id that ran several times keeps its worst outcome.
pub type Tests = BTreeMap<String, TestOutcome>;

/// What one run of one check says.
#[derive(Debug, Clone)]
pub struct Observed {
    /// How the command ended.
    pub ended: Ended,
    /// Wall time in seconds.
    pub seconds: f64,
    /// What failed, by the same reader that read CI's log.
    pub failures: Vec<Failure>,
    /// Its tests, where the tool reports them.
    pub tests: Option<Tests>,
    /// Its findings by file and rule, where the tool reports them.
    pub findings: Option<Findings>,
    /// Files of the tree that the run changed or removed, and files that it left which later checks would load.
    pub touched: BTreeSet<String>,
    /// The output, bounded.
    pub output: Vec<u8>,
}

impl Observed {
    /// Did the command pass, and does its report agree?
    pub fn passed(&self) -> bool {
        self.ended == Ended::Exit(0)
            && self.failing_tests().next().is_none()
            && !self.tests.as_ref().is_some_and(BTreeMap::is_empty)
    }

    /// Ids of the tests that failed.
    pub fn failing_tests(&self) -> impl Iterator<Item = &str> {
        self.tests.iter().flatten().filter(|(_, o)| **o == TestOutcome::Failed).map(|(id, _)| id.as_str())
    }

    /// The keys of what failed.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.failures.iter().map(|f| &f.key)
    }

    /// How many tests ran.
    pub fn collected(&self) -> Option<usize> {
        self.tests.as_ref().map(BTreeMap::len)
    }
}

/// The command to run instead of `script`, so that its tool reports what it did: unittest names its tests only when
/// it is told to. Everything else runs as it stands.
pub fn reporting(script: &str) -> String {
    let last = script.lines().last().unwrap_or_default();
    let words = shell::words_of(last);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let verbose = |w: &&str| matches!(*w, "-v" | "--verbose" | "-q" | "--quiet" | "--help");
    let pipes = last.contains(['|', '>', ';', '&']);
    match shell::tool_arguments(&words, "unittest") {
        Some(arguments) if !pipes && !arguments.iter().any(verbose) => format!("{script} -v"),
        _ => script.to_owned(),
    }
}

/// Is the script's last command this tool?
pub fn runs(script: &str, tool: &str) -> bool {
    let words = shell::words_of(script.trim_end().lines().last().unwrap_or_default());
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    shell::tool_arguments(&words, tool).is_some()
}

/// Reads a run, and the output of its [`report_command`] where there was one. `root` is where the tree stood.
pub fn observe(check: &Check, run: CheckRun, report: Option<&[u8]>, root: &str) -> Observed {
    let mut detector = Detector::for_command(&check.script, &[root.to_owned()]);
    detector.feed(&run.finished.output);
    if let Ended::Exit(code) = run.finished.ended {
        detector.exited(code); // what a passing command prints is no failure
    }
    let mut failures: Vec<Failure> = detector.finish().into_iter().flat_map(|log| log.failures).collect();
    // Code under test can write any file and any line: each runner's report is looked for where that runner runs.
    let tests = match &run.junit {
        Some(report) if !runs(&check.script, "unittest") => junit::read(report, root),
        None if runs(&check.script, "unittest") => unittest::read(&run.finished.output),
        _ => None,
    };
    let findings = report.and_then(|report| findings::read(&check.script, report, root));
    if let Some(findings) = &findings {
        // The tool's own report decides which findings there are.
        failures.retain(|failure| match &failure.key {
            Key::Finding { file, rule, .. } => findings.contains_key(&(file.clone(), rule.clone())),
            _ => true,
        });
    }
    let Finished { ended, seconds, output, .. } = run.finished;
    Observed { ended, seconds, failures, tests, findings, touched: BTreeSet::new(), output }
}
