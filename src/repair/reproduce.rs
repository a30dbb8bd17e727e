//! reproduce: the failing check fails again, twice, for the same reason; or it is said why not.

use std::collections::{BTreeMap, BTreeSet};

use super::conditions::{self, Named, Place};
use crate::{
    detect::{Category, Detector, Failure, JobLog, Key},
    observe::{Observed, TestOutcome, digests, observe, report_command, reporting, touched},
    plan::{Check, Job},
    progress::Progress,
    sandbox::{Ended, Limits, Prepared, Recipe, Sandbox, SandboxError, describe, tail},
    workspace::Tree,
};

/// A job whose failure was seen again, twice. Only [`reproduce`] can build one.
#[derive(Debug, Clone)]
pub struct Baseline {
    job: Job,
    recipe: Recipe,
    runs: Vec<[Observed; 2]>,
    claimed: Vec<Failure>,
    flaky: Vec<Key>,
    depends: Vec<Named>,
    excluded: BTreeSet<String>,
    python: String,
    installed: Vec<(String, String)>,
    notes: Vec<String>,
}

impl Baseline {
    /// The job that was run.
    pub fn job(&self) -> &Job {
        &self.job
    }

    /// How its workspace is built.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// Two runs of each of the job's checks, in the job's order.
    pub fn runs(&self) -> &[[Observed; 2]] {
        &self.runs
    }

    /// The log's failures that both runs showed again: only these may be repaired.
    pub fn claimed(&self) -> &[Failure] {
        &self.claimed
    }

    /// What is claimed, as our own run reported it: its output is whole where a log may be cut.
    pub fn to_repair(&self) -> Vec<Failure> {
        let ours = |claimed: &Failure| {
            let mut seen = self.runs.iter().flat_map(|[first, _]| &first.failures);
            seen.find(|f| claimed.key.is_shown_by(&f.key) && f.test_id == claimed.test_id && f.line == claimed.line)
                .cloned()
        };
        self.claimed.iter().map(|claimed| ours(claimed).unwrap_or_else(|| claimed.clone())).collect()
    }

    /// The log's failures that one run showed and the other did not.
    pub fn flaky(&self) -> &[Key] {
        &self.flaky
    }

    /// What claimed failures depend on besides the code: they may be repaired all the same.
    pub fn depends(&self) -> &[Named] {
        &self.depends
    }

    /// Tests that fail only in the sandbox, the same way twice: not checked.
    pub fn excluded(&self) -> &BTreeSet<String> {
        &self.excluded
    }

    /// The full version of the Python that ran.
    pub fn python(&self) -> &str {
        &self.python
    }

    /// What was installed.
    pub fn installed(&self) -> &[(String, String)] {
        &self.installed
    }

    /// What a reader should know of how the environment came to be.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The outcome of a test in both runs, where they agree.
    pub fn stable_tests(&self, check: usize) -> Option<BTreeMap<&str, TestOutcome>> {
        stable_tests(&self.runs.get(check)?.each_ref())
    }

    /// Did CI run the check at this place, as far as the log shows? What follows the failing one was never reached.
    pub fn reached(&self, check: usize) -> bool {
        (check..self.runs.len()).any(|later| self.shows_claimed(later))
    }

    /// Is this test known to fail for reasons that are not the code's: in the sandbox alone, or now and then?
    pub fn excused(&self, id: &str) -> bool {
        self.excluded.contains(id)
            || self.flaky.iter().any(|key| matches!(key, Key::Test { id: flaky, .. } if flaky == id))
    }

    /// Does the check at this place show a failure that is claimed?
    pub fn shows_claimed(&self, check: usize) -> bool {
        let Some([first, _]) = self.runs.get(check) else { return false };
        first.keys().any(|key| self.claimed.iter().any(|c| c.key.is_shown_by(key)))
    }
}

/// What came of reproducing a job.
#[derive(Debug, Clone)]
pub enum Reproduction {
    /// The same failure, twice.
    Reproduced(Box<Baseline>),
    /// The same failure in one of two runs, or under other conditions only.
    Flaky {
        /// In one sentence or a few lines.
        why: String,
        /// What it depends on, where repeats show it.
        depends: Vec<Named>,
    },
    /// It did not fail, or not for the same reason.
    NotReproduced {
        /// In one sentence or a few lines.
        why: String,
    },
    /// Nothing in the code is to blame.
    Infrastructure {
        /// In one sentence.
        why: String,
    },
}

/// Runs the job's checks twice on fresh copies of `tree` and compares what fails with what failed in `log`.
///
/// # Errors
/// When the wanted Python is missing, or the sandbox fails twice.
pub async fn reproduce(
    sandbox: &dyn Sandbox,
    tree: &Tree,
    log: &JobLog,
    job: &Job,
    recipe: &Recipe,
    progress: &Progress,
) -> Result<Reproduction, SandboxError> {
    if job.checks.is_empty() {
        let why = "the log shows no command that could be run again: name the failing one with --command".to_owned();
        return Ok(Reproduction::NotReproduced { why });
    }
    let first = attempt(sandbox, tree, log, job, recipe, progress, false).await?;
    match first {
        (Reproduction::NotReproduced { .. }, true) => {
            progress
                .begin("environment", "not reproduced in a cached environment: built once more from scratch")
                .end("");
            sandbox.forget(recipe, tree)?;
            Ok(attempt(sandbox, tree, log, job, recipe, progress, true).await?.0)
        }
        (reproduction, _) => Ok(reproduction),
    }
}

/// One try, and whether its environment came from the cache. That of the `last` try may, too: another run leaves one.
async fn attempt(
    sandbox: &dyn Sandbox,
    tree: &Tree,
    log: &JobLog,
    job: &Job,
    recipe: &Recipe,
    progress: &Progress,
    last: bool,
) -> Result<(Reproduction, bool), SandboxError> {
    let stage =
        progress.begin("environment", format!("Python {}, {} install commands", recipe.python, recipe.install.len()));
    let mut prepared = match sandbox.prepare(recipe, tree, false).await {
        Err(SandboxError::Install { command, finished }) => {
            stage.end("failed");
            return Ok((install_failed(&command, &finished.output, finished.ended), false));
        }
        other => other?,
    };
    stage.end(if prepared.reused() { "reused" } else { "built" });
    let stage = progress.begin("reproduce", format!("`{}`, run 1 of 2", folded(job)));
    let first = run_checks(&*prepared, &job.checks, recipe).await?;
    stage.end(&summary(&first));
    prepared.refresh(tree).await?;
    let stage = progress.begin("reproduce", format!("`{}`, run 2 of 2", folded(job)));
    let second = run_checks(&*prepared, &job.checks, recipe).await?;
    stage.end(&summary(&second));
    let reused = prepared.reused();
    let runs: Vec<[Observed; 2]> = first.into_iter().zip(second).map(|(a, b)| [a, b]).collect();
    // A candidate installs what the baseline ran with.
    let recipe = Recipe { hold: held(prepared.installed(), tree), ..recipe.clone() };
    let compared = compare(log, job, &recipe, &runs, &*prepared);
    let place = Place { prepared: &mut *prepared, tree, job, runs: &runs, progress };
    let reproduction = match compared {
        Compared::Claimed(mut baseline) => {
            baseline.depends = conditions::name_dated(place, &baseline.claimed).await;
            baseline.runs = runs;
            Reproduction::Reproduced(baseline)
        }
        Compared::Flaky(failures) => {
            let why = format!("{} failure(s) in one of two runs", failures.len());
            Reproduction::Flaky { why, depends: conditions::name(place, log, &failures, true).await }
        }
        // It is tried again with another environment first.
        Compared::Nothing(why) if reused && !last => Reproduction::NotReproduced { why },
        Compared::Nothing(why) => {
            let failures: Vec<&Failure> = log.failures.iter().collect();
            match conditions::name(place, log, &failures, false).await {
                depends if depends.is_empty() => Reproduction::NotReproduced { why },
                depends => Reproduction::Flaky { why, depends },
            }
        }
    };
    Ok((reproduction, reused))
}

fn folded(job: &Job) -> String {
    let scripts: Vec<&str> = job.checks.iter().map(|c| c.script.lines().last().unwrap_or_default()).collect();
    scripts.join("`, `")
}

fn summary(runs: &[Observed]) -> String {
    let red = runs.iter().filter(|o| !o.passed()).count();
    if red == 0 { "passed".to_owned() } else { format!("{red} of {} failed", runs.len()) }
}

/// The tests whose outcome is the same in all runs; `None` where one has no report of them.
pub(super) fn stable_tests<'a>(runs: &[&'a Observed]) -> Option<BTreeMap<&'a str, TestOutcome>> {
    let tests: Vec<_> = runs.iter().map(|run| run.tests.as_ref()).collect::<Option<_>>()?;
    let (first, rest) = tests.split_first()?;
    let stable = first.iter().filter(|(id, outcome)| rest.iter().all(|tests| tests.get(*id) == Some(outcome)));
    Some(stable.map(|(id, outcome)| (id.as_str(), *outcome)).collect())
}

/// Runs checks one after the other on the same tree, as the job did.
pub(super) async fn run_checks(
    prepared: &dyn Prepared,
    checks: &[Check],
    recipe: &Recipe,
) -> Result<Vec<Observed>, SandboxError> {
    let mut runs = Vec::new();
    let mut watch = Watch::new(prepared, checks);
    for check in checks {
        let mut run = run_check(prepared, check, Limits { wall: recipe.timeout, ..Limits::default() }).await?;
        run.touched = watch.touched(prepared, check);
        runs.push(run);
    }
    Ok(runs)
}

/// Sees what each of several checks does to the tree that the next ones read.
pub(super) struct Watch {
    several: bool,
    before: BTreeMap<String, u64>,
}

impl Watch {
    pub(super) fn new(prepared: &dyn Prepared, checks: &[Check]) -> Watch {
        let several = checks.len() > 1;
        Watch { several, before: if several { digests(prepared.root()) } else { BTreeMap::new() } }
    }

    /// What the check that ran last did.
    pub(super) fn touched(&mut self, prepared: &dyn Prepared, check: &Check) -> BTreeSet<String> {
        if !self.several {
            return BTreeSet::new();
        }
        let after = digests(prepared.root());
        let touched = touched(&self.before, &after, check.installs);
        self.before = after;
        touched
    }
}

/// Runs one check, and once more when the sandbox is lost under it.
pub(super) async fn run_check(
    prepared: &dyn Prepared,
    check: &Check,
    limits: Limits,
) -> Result<Observed, SandboxError> {
    let script = reporting(&check.script);
    let run = match prepared.run(&script, check.network, limits).await {
        Err(SandboxError::Lost(_)) => prepared.run(&script, check.network, limits).await?,
        other => other?,
    };
    let report = match report_command(&check.script) {
        Some(script) => Some(prepared.run(&script, check.network, limits).await?.finished.output),
        None => None,
    };
    Ok(observe(check, run, report.as_deref(), &prepared.root().display().to_string()))
}

pub(super) fn install_failed(command: &str, output: &[u8], ended: Ended) -> Reproduction {
    let mut detector = Detector::for_command(command, &[]);
    detector.feed(output);
    if let Ended::Exit(code) = ended {
        detector.exited(code);
    }
    let failures: Vec<Failure> = detector.finish().into_iter().flat_map(|log| log.failures).collect();
    let why = format!("the environment could not be built: `{command}` {}\n{}", describe(ended), tail(output, 1500));
    if failures.iter().any(|f| f.category == Category::Infra) {
        return Reproduction::Infrastructure { why };
    }
    Reproduction::NotReproduced { why }
}

/// The versions that a candidate's installation is held to: what the baseline ran with, the project itself left out.
pub(super) fn held(installed: &[(String, String)], tree: &Tree) -> Vec<(String, String)> {
    let own = crate::registry::normalise(&project_name(tree).unwrap_or_default());
    let installed = installed.iter().filter(|(name, version)| {
        crate::registry::normalise(name) != own && !version.contains(['+', ' ']) && !version.contains("dev")
    });
    installed.cloned().collect()
}

/// The name that the tree's manifest gives the project.
fn project_name(tree: &Tree) -> Option<String> {
    ["pyproject.toml", "setup.cfg", "setup.py"].iter().find_map(|manifest| {
        let text = String::from_utf8(tree.read(manifest)?).ok()?;
        text.lines().find_map(|line| {
            let (key, value) = line.split_once('=')?;
            let value = value.trim().trim_end_matches(',').trim_matches(['"', '\'']);
            (key.trim() == "name" && !value.is_empty()).then(|| value.to_owned())
        })
    })
}

/// What two runs say of the log's failures.
enum Compared<'a> {
    Claimed(Box<Baseline>),
    Flaky(Vec<&'a Failure>),
    Nothing(String),
}

/// The baseline that comes of it has no runs yet.
fn compare<'a>(
    log: &'a JobLog,
    job: &Job,
    recipe: &Recipe,
    runs: &[[Observed; 2]],
    prepared: &dyn Prepared,
) -> Compared<'a> {
    let seen = |n: usize| -> Vec<&Key> { runs.iter().flat_map(|pair| pair[n].keys()).collect() };
    let (first, second) = (seen(0), seen(1));
    let shows = |keys: &[&Key], key: &Key| keys.iter().any(|k| key.is_shown_by(k));
    let mut claimed = Vec::new();
    let mut flaky = Vec::new();
    for failure in log.failures.iter().filter(|f| f.category != Category::Infra) {
        match (shows(&first, &failure.key), shows(&second, &failure.key)) {
            (true, true) => claimed.push(failure.clone()),
            (false, false) => {}
            _ => flaky.push(failure),
        }
    }
    if claimed.is_empty() {
        return if flaky.is_empty() { Compared::Nothing(why_not(log, runs)) } else { Compared::Flaky(flaky) };
    }
    // Seen here twice and never in CI: the sandbox is to blame, not the code.
    let in_log = |key: &Key| log.failures.iter().any(|f| f.key.is_shown_by(key));
    let last =
        runs.iter().rposition(|[a, _]| a.keys().any(|key| claimed.iter().any(|c: &Failure| c.key.is_shown_by(key))));
    let excluded = runs.iter().take(last.map_or(0, |last| last + 1)).flat_map(|[a, b]| {
        let again: BTreeSet<&str> = b.failing_tests().collect();
        let of_log: BTreeSet<&str> =
            a.failures.iter().filter(|f| in_log(&f.key)).filter_map(|f| f.test_id.as_deref()).collect();
        a.failing_tests()
            .filter(|id| again.contains(id) && !of_log.contains(id) && !named_in(log, id))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    });
    let excluded = excluded.collect();
    Compared::Claimed(Box::new(Baseline {
        job: job.clone(),
        recipe: recipe.clone(),
        claimed,
        flaky: flaky.into_iter().map(|failure| failure.key.clone()).collect(),
        depends: Vec::new(),
        excluded,
        python: prepared.python().to_owned(),
        installed: prepared.installed().to_vec(),
        notes: prepared.notes().to_vec(),
        runs: Vec::new(),
    }))
}

/// Does the log name this test among its failures? Module ids come with and without `.py` and slashes.
fn named_in(log: &JobLog, id: &str) -> bool {
    let plain = |text: &str| text.trim_end_matches(".py").replace('/', ".");
    log.failures.iter().any(|f| f.test_id.as_deref().is_some_and(|t| plain(t) == plain(id)))
}

fn why_not(log: &JobLog, runs: &[[Observed; 2]]) -> String {
    let expected = log.failures.first().map(|f| f.message.clone()).unwrap_or_default();
    let Some([red, _]) = runs.iter().find(|[a, _]| !a.passed()) else {
        return format!("the checks pass here; CI failed with: {expected}");
    };
    let seen = red.failures.first().map_or_else(|| tail(&red.output, 600), |f| f.message.clone());
    format!("the check fails here for another reason ({}): {seen}\nCI failed with: {expected}", describe(red.ended))
}
