//! Runs the job's checks with the change, and weighs what they say against the baseline.

use std::{collections::BTreeMap, time::Duration};

use super::canary::{Canary, Shown};
use super::{CheckResult, Judgement, ValidatedFix, Validation, per_test, refused, suite};
use crate::{
    detect::{Failure, Key},
    integrity::{Finding, Severity},
    observe::{Findings, Observed, runs},
    plan::Check,
    progress::Progress,
    repair::reproduce::{Baseline, Watch, run_check},
    sandbox::{Ended, Limits, Prepared, Recipe, Sandbox, SandboxError, describe, tail},
    workspace::{Change, Tree},
};

/// The least time that anything gets (JUDGEMENT.md, nothing else broke).
const TIME_BOX: Duration = Duration::from_secs(120);

/// The evidence, as it comes in.
pub(super) struct Judge {
    pub(super) validation: Validation,
    /// Why it is no fix, a sentence each.
    pub(super) reasons: Vec<String>,
    /// What a person must look at.
    flags: Vec<String>,
    remaining: Vec<Vec<Failure>>,
    /// Is there a reason besides failures of CI's that are still there?
    worse: bool,
    /// What is left of the time box, for all jobs together.
    pub(super) left: Duration,
    /// Was a check of the job not run to its end? What it would have left is not there for those after it.
    gap: bool,
}

impl Judge {
    pub(super) fn new(findings: Vec<Finding>, baselines: &[Baseline]) -> Judge {
        let failing =
            baselines.iter().flat_map(|b| (0..b.runs().len()).filter(|i| b.shows_claimed(*i)).map(|i| &b.runs()[i][0]));
        let seconds: f64 = failing.map(|run| run.seconds).sum();
        Judge {
            validation: Validation { findings, ..Validation::default() },
            reasons: Vec::new(),
            flags: Vec::new(),
            remaining: Vec::new(),
            worse: false,
            left: TIME_BOX.max(Duration::from_secs_f64(seconds * 3.0)),
            gap: false,
        }
    }

    /// One job, in a fresh copy of the candidate.
    pub(super) async fn job(
        &mut self,
        sandbox: &dyn Sandbox,
        candidate: &Tree,
        change: &Change,
        baseline: &Baseline,
        progress: &Progress,
    ) -> Result<(), SandboxError> {
        let job = baseline.job();
        let recipe = baseline.recipe();
        let stage = progress.begin("environment", format!("for the changed tree, Python {}", recipe.python));
        let mut prepared = match prepare(sandbox, recipe, candidate, true).await {
            Err(error @ SandboxError::Install { .. }) => {
                stage.end("failed");
                self.reasons.push(format!("{}: with the change, {error}", job.name));
                // Nothing ran: all of it counts as failing still.
                self.remaining.push(baseline.to_repair());
                self.worse = true;
                return Ok(());
            }
            other => other?,
        };
        stage.end(if prepared.reused() { "reused" } else { "built" });
        let (mut remaining, mut claimed) = (Vec::new(), None);
        let mut watch = Watch::new(&*prepared, &job.checks);
        self.gap = false;
        for (index, check) in job.checks.iter().enumerate() {
            let Some(mut after) = self.run(&mut *prepared, candidate, baseline, index, progress).await? else {
                self.gap = true;
                continue;
            };
            after.touched = watch.touched(&*prepared, check);
            self.weigh(baseline, index, check, &after, change);
            let failures = std::mem::take(&mut after.failures);
            remaining.extend(failures.into_iter().filter(|f| to_repair(baseline, index, f)));
            if baseline.shows_claimed(index) && claimed.is_none() {
                claimed = Some((index, after));
            }
        }
        self.remaining.push(remaining);
        self.list_unchecked(baseline);
        if let Some((index, after)) = claimed.filter(|_| self.stands()) {
            self.canary(&mut *prepared, (candidate, change), baseline, (index, &after), progress).await?;
        }
        Ok(())
    }

    /// The failing command once more, with a test beside CI's that can only fail, and with CI's assertions made to fail: all of
    /// them must be reported as failing.
    async fn canary(
        &mut self,
        prepared: &mut dyn Prepared,
        (candidate, change): (&Tree, &Change),
        baseline: &Baseline,
        (index, after): (usize, &Observed),
        progress: &Progress,
    ) -> Result<(), SandboxError> {
        let check = &baseline.job().checks[index];
        let name = last_line(&check.script);
        let Some(canary) = Canary::beside(baseline, candidate, change, after) else { return Ok(()) };
        if self.left.as_secs_f64() < after.seconds {
            self.not_checked(format!("`{name}` with a test that must fail: the time box was spent before it"));
            return Ok(());
        }
        let stage = progress.begin("validate", format!("`{name}` with a test that must fail"));
        prepared.refresh(&canary.tree).await?;
        let run = run_check(prepared, check, Limits { wall: self.left, ..Limits::default() }).await?;
        self.spend(Duration::from_secs_f64(run.seconds));
        let shown = canary.shown(&run);
        stage.end(if shown == Shown::Failing { "failed, as it must" } else { "not seen failing" });
        match shown {
            Shown::Failing => {}
            Shown::Silent => {
                self.refuse("runner-tampered", &canary.id(), "a test that can only fail is not reported as failing");
            }
            Shown::Unreached(id) => {
                self.refuse("test-early-exit", id, "the assertion that failed in CI is not reached after the change");
            }
            Shown::NotRun => {
                self.not_checked(format!("a test that must fail, put into {}, was not run by `{name}`", canary.file()));
            }
        }
        Ok(())
    }

    /// Does nothing speak against the change so far?
    pub(super) fn stands(&self) -> bool {
        self.reasons.is_empty() && !refused(&self.validation.findings)
    }

    /// So much of the time box is gone.
    pub(super) fn spend(&mut self, time: Duration) {
        self.left = self.left.saturating_sub(time);
    }

    /// The whole suite, where CI ran a part of it.
    pub(super) async fn suite(
        &mut self,
        sandbox: &dyn Sandbox,
        trees: [&Tree; 2],
        change: &Change,
        baseline: &Baseline,
        progress: &Progress,
    ) -> Result<(), SandboxError> {
        let compared = suite::compare(sandbox, trees, baseline, &mut self.left, progress).await?;
        self.weigh_suite(compared, change);
        Ok(())
    }

    /// What was seen of a check besides those of the failing job: why it speaks against the change, and what is worth less.
    pub(super) fn broke(&mut self, reasons: Vec<String>, refused: Vec<(&'static str, String, &'static str)>) {
        self.worse |= !reasons.is_empty();
        self.reasons.extend(reasons);
        refused.into_iter().for_each(|(rule, id, why)| self.refuse(rule, &id, why));
    }

    /// Why a check that took so many seconds before the change is not run with it; `None` where it is.
    fn left_out(&self, claimed: bool, seconds: f64) -> Option<&'static str> {
        match () {
            () if claimed => None,
            () if self.gap => Some("a check before it was not run to its end, and it may read what that leaves"),
            () if self.left.as_secs_f64() < seconds.max(1.0) => Some("the time box was spent before it"),
            () => None,
        }
    }

    /// Runs a check; twice more where something fails that CI did not report. `None` when it got no time.
    async fn run(
        &mut self,
        prepared: &mut dyn Prepared,
        candidate: &Tree,
        baseline: &Baseline,
        index: usize,
        progress: &Progress,
    ) -> Result<Option<Observed>, SandboxError> {
        let check = &baseline.job().checks[index];
        let name = last_line(&check.script);
        let [first, second] = &baseline.runs()[index];
        // The failing command may do far more once it no longer fails early; all else shares one time box.
        let claimed = baseline.shows_claimed(index);
        let limits = Limits { wall: if claimed { baseline.recipe().timeout } else { self.left }, ..Limits::default() };
        if let Some(why) = self.left_out(claimed, first.seconds) {
            self.not_checked(format!("`{name}`: {why}"));
            self.flags.push(format!("`{name}` was not run with the change: {why}"));
            return Ok(None);
        }
        let stage = progress.begin("validate", format!("`{name}`"));
        let mut after = run_check(prepared, check, limits).await?;
        stage.end(if after.passed() { "passed" } else { "failed" });
        if !claimed {
            self.left = self.left.saturating_sub(Duration::from_secs_f64(after.seconds));
            if after.ended == Ended::WallTime && limits.wall.as_secs_f64() < (first.seconds * 3.0).max(30.0) {
                // Not given enough time to say that it hangs.
                self.not_checked(format!("`{name}` did not end within the time box"));
                self.flags.push(format!("`{name}` did not end within the time box with the change"));
                return Ok(None);
            }
        }
        let still = after.keys().any(|key| baseline.claimed().iter().any(|c| c.key.is_shown_by(key)));
        let green_before = first.passed() && second.passed();
        if !after.passed() && !still && (claimed || green_before) && after.tests.is_some() {
            // What CI reported is gone, and something else fails: broken, or flaky? Two more runs decide.
            let odd = what_failed(&after);
            let mut again = Vec::new();
            for run in 1..=2 {
                let stage = progress.begin("validate", format!("`{name}` again, {run} of 2"));
                prepared.refresh(candidate).await?;
                let run = run_check(prepared, check, limits).await?;
                stage.end(if run.passed() { "passed" } else { "failed" });
                again.push(run);
            }
            if again.iter().all(Observed::passed)
                && let Some(last) = again.pop()
            {
                self.flags.push(format!("`{name}` failed in one of three runs after the change: {odd}"));
                after = last;
            }
        }
        Ok(Some(after))
    }

    fn weigh(&mut self, baseline: &Baseline, index: usize, check: &Check, after: &Observed, change: &Change) {
        let [first, second] = &baseline.runs()[index];
        let name = last_line(&check.script);
        let excused = passes_but_for_excused(baseline, after);
        let green = after.passed() || excused;
        let green_before = first.passed() && second.passed();
        let before = match (first.passed(), second.passed()) {
            (true, true) => "passed".to_owned(),
            (false, false) => format!("failed ({})", describe(first.ended)),
            _ => "flaky".to_owned(),
        };
        let claimed = baseline.shows_claimed(index);
        let (reasons, checks) = (self.reasons.len(), &baseline.job().checks);
        let still = usize::from(!green && claimed && !after.failures.is_empty());
        let no_baseline = (0..index).any(|i| checks[i].installs && baseline.shows_claimed(i));
        if !green && claimed {
            self.reasons.push(format!("`{name}` still fails: {}", what_failed(after)));
        } else if !green && green_before {
            self.reasons.push(format!("`{name}` passed before the change and fails after it: {}", what_failed(after)));
        } else if !green && (no_baseline || !baseline.reached(index)) {
            let what = what_failed(after);
            self.flags.push(format!("`{name}`, a later step that CI never reached, is still red: {what}"));
        } else if let Some(failure) = more_often(&[first, second], after).filter(|_| !green) {
            self.reasons.push(format!("`{name}` fails in a new way: {}", failure.message));
        } else if !green {
            self.not_checked(format!("`{name}`: {before} before the change and after it"));
        }
        self.reasons.extend(new_findings(name, &[first, second], after));
        self.reasons.extend(altered(name, &[first, second], after).filter(|_| index + 1 < checks.len()));
        self.validation.collected.before += first.tests.as_ref().map_or(0, BTreeMap::len);
        self.validation.collected.after += after.tests.as_ref().map_or(0, BTreeMap::len);
        match (baseline.stable_tests(index), &after.tests) {
            (Some(before), Some(tests)) => {
                // A run that broke off says nothing of the tests that it did not come to.
                let complete = matches!(after.ended, Ended::Exit(0 | 1));
                let verdict = per_test::compare(&before, tests, change, complete);
                self.reasons.extend(verdict.broken);
                verdict.refused.into_iter().for_each(|(rule, id, why)| self.refuse(rule, &id, why));
                if claimed && green {
                    self.claimed_ran(baseline, tests);
                }
            }
            (Some(before), None) if !before.is_empty() && green => {
                let count = before.len();
                self.reasons.push(format!("`{name}` reported its {count} tests before the change and none after it"));
            }
            (None, None) if green && claimed && runs(&check.script, "pytest") => {
                self.flags.push(format!("`{name}` left no report of its tests: only its exit status speaks"));
            }
            _ => {}
        }
        self.worse |= self.reasons.len() > reasons + still;
        self.validation.checks.push(CheckResult {
            job: baseline.job().name.clone(),
            command: check.script.clone(),
            before,
            after: match (after.passed(), excused) {
                (true, _) => "passed".to_owned(),
                (false, true) => "passed, but for tests that are not the code's to pass here".to_owned(),
                (false, false) => format!("failed ({})", describe(after.ended)),
            },
            seconds: after.seconds,
            output: tail(&after.output, super::SHOWN),
        });
    }

    /// Every test that CI reported must have been seen passing, where its id is one that runs report.
    fn claimed_ran(&mut self, baseline: &Baseline, after: &crate::observe::Tests) {
        let reported = |id: &str| {
            baseline.runs().iter().any(|[first, _]| first.tests.as_ref().is_some_and(|t| t.contains_key(id)))
        };
        let ids = baseline
            .claimed()
            .iter()
            .filter(|f| matches!(f.key, Key::Test { .. }))
            .filter_map(|f| f.test_id.as_deref());
        for id in ids.filter(|id| id.contains("::") && reported(id)) {
            if !per_test::seen_passing(id, after) {
                self.refuse("test-lost", id, "the test that failed in CI was not seen passing after the change");
            }
        }
    }

    fn weigh_suite(&mut self, compared: suite::Compared, change: &Change) {
        match compared {
            suite::Compared::Nothing => {}
            suite::Compared::NotFinished(why) => self.not_checked(why),
            suite::Compared::Both { result, before, after, flaky } => {
                for id in flaky {
                    self.not_checked(format!("{id}: fails in one of two runs after the change, in the whole suite"));
                }
                let before = before.iter().map(|(id, outcome)| (id.as_str(), *outcome)).collect();
                let verdict = per_test::compare(&before, &after, change, true);
                self.broke(verdict.broken, verdict.refused);
                self.validation.checks.push(result);
            }
        }
    }

    fn list_unchecked(&mut self, baseline: &Baseline) {
        for id in baseline.excluded() {
            self.not_checked(format!("{id}: fails in the sandbox before the change too, and did not in CI"));
        }
        for key in baseline.flaky() {
            self.not_checked(format!("flaky: {key:?}"));
        }
    }

    fn refuse(&mut self, rule: &'static str, id: &str, message: &str) {
        let message = format!("{message}: {id}");
        if self.validation.findings.iter().any(|f| f.message == message) {
            return;
        }
        self.validation.findings.push(Finding {
            rule,
            severity: Severity::Refuse,
            file: id.split_once("::").map(|(file, _)| file.to_owned()),
            line: None,
            message,
            evidence: "the test runs before and after the change".to_owned(),
            before: None,
            after: None,
            witnesses: Vec::new(),
        });
    }

    pub(super) fn not_checked(&mut self, what: String) {
        if !self.validation.not_checked.contains(&what) {
            self.validation.not_checked.push(what);
        }
    }

    /// In JUDGEMENT.md's order: refused, failed, flagged, proven.
    pub(super) fn conclude(mut self, change: &Change) -> Judgement {
        if refused(&self.validation.findings) {
            return Judgement::Refused { validation: self.validation, remaining: self.remaining };
        }
        if !self.reasons.is_empty() {
            let Judge { validation, reasons, remaining, worse, .. } = self;
            return Judgement::Failed { validation, reasons, remaining, worse };
        }
        self.flags.extend(self.validation.findings.iter().map(|f| f.message.clone()));
        let fix = ValidatedFix { change: change.clone(), validation: self.validation, flags: self.flags };
        Judgement::Validated(Box::new(fix))
    }
}

/// Is a failure after the change one to repair? What failed alike in both runs before and is not CI's, or is known to fail
/// for other reasons, is not.
fn to_repair(baseline: &Baseline, index: usize, failure: &Failure) -> bool {
    let claimed = baseline.claimed().iter().any(|c| c.key.is_shown_by(&failure.key));
    let before = |run: &Observed| run.failures.iter().any(|f| f.key.is_shown_by(&failure.key));
    let always = baseline.runs().get(index).is_some_and(|runs| runs.iter().all(before));
    let excused = failure.test_id.as_deref().is_some_and(|id| baseline.excused(id));
    claimed || !(always || excused)
}

pub(super) fn last_line(script: &str) -> &str {
    script.lines().last().unwrap_or_default()
}

pub(super) fn what_failed(run: &Observed) -> String {
    let first = run.failures.first().map(|f| f.message.clone());
    first.or_else(|| run.failing_tests().next().map(str::to_owned)).unwrap_or_else(|| tail(&run.output, 400))
}

/// A failure that is there more often than in every run before.
pub(super) fn more_often<'a>(before: &[&Observed], after: &'a Observed) -> Option<&'a Failure> {
    let count = |run: &Observed, key: &Key| -> u32 {
        run.failures.iter().filter(|f| f.key.is_shown_by(key)).map(|f| f.count).sum()
    };
    after.failures.iter().find(|f| before.iter().all(|run| count(after, &f.key) > count(run, &f.key)))
}

/// What a check leaves in the tree now and in no run before, as a reason where other checks follow and read it.
pub(super) fn altered(name: &str, before: &[&Observed], after: &Observed) -> Option<String> {
    let new = after.touched.iter().filter(|path| !before.iter().any(|run| run.touched.contains(*path)));
    let new: Vec<&str> = new.map(String::as_str).take(5).collect();
    let said = || format!("with the change, `{name}` alters what later checks read: {}", new.join(", "));
    (!new.is_empty()).then(said)
}

/// A sandbox that is lost is tried once more.
pub(super) async fn prepare(
    sandbox: &dyn Sandbox,
    recipe: &Recipe,
    tree: &Tree,
    candidate: bool,
) -> Result<Box<dyn Prepared>, SandboxError> {
    match sandbox.prepare(recipe, tree, candidate).await {
        Err(SandboxError::Lost(_)) => sandbox.prepare(recipe, tree, candidate).await,
        other => other,
    }
}

/// What the tool's own report has now and in no run before.
pub(super) fn new_findings(name: &str, before: &[&Observed], after: &Observed) -> Vec<String> {
    let known: Option<Vec<&Findings>> = before.iter().map(|run| run.findings.as_ref()).collect();
    let Some(known) = known else { return Vec::new() };
    let more = |(finding, count): &(&(String, String), &usize)| {
        known.iter().all(|findings| findings.get(*finding).is_none_or(|before| before < *count))
    };
    let new = after.findings.iter().flatten().filter(more);
    new.map(|((file, rule), _)| format!("`{name}` reports {rule} in {file}, which it did not before")).collect()
}

/// Is everything that fails known to fail for reasons that are not the code's?
fn passes_but_for_excused(baseline: &Baseline, after: &Observed) -> bool {
    let mut failing = after.failing_tests().peekable();
    matches!(after.ended, Ended::Exit(_))
        && failing.peek().is_some()
        && failing.all(|id| baseline.excused(id))
        && after.failures.iter().all(|f| f.test_id.as_deref().is_some_and(|id| baseline.excused(id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_behind_one_that_got_no_time_is_not_run_either() {
        let mut judge = Judge::new(Vec::new(), &[]);
        assert_eq!(judge.left_out(false, 60.0), None);
        assert_eq!(judge.left_out(false, 600.0), Some("the time box was spent before it"));
        judge.gap = true;
        assert!(judge.left_out(false, 0.1).is_some_and(|why| why.contains("a check before it")));
        assert_eq!(judge.left_out(true, 600.0), None);
    }
}
