//! beside: the workflow's other jobs, before and after a change. Before: once for all candidates of a run, and not before
//! one has passed what the failing jobs check. Each runs as far as the time box lasts; what does not is listed.

use std::time::{Duration, Instant};

use tokio::{sync::Mutex, time::timeout};

use super::{
    CheckResult, SHOWN,
    judge::{Judge, altered, last_line, more_often, new_findings, prepare, what_failed},
    per_test,
};
use crate::{
    observe::Observed,
    plan::{self, Check, Job, Skipped, Weight},
    progress::Progress,
    repair::reproduce::{Reproduction, Watch, held, install_failed, run_check, stable_tests},
    sandbox::{Ended, Limits, Prepared, Recipe, Sandbox, SandboxError, describe, tail},
    workspace::{Change, Tree},
};

/// With less time than this nothing is begun.
const LEAST: Duration = Duration::from_secs(2);
/// A check that had so long, and three times as long as before, hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// The other jobs of the failing jobs' workflows.
#[derive(Debug, Default)]
pub struct Beside {
    others: Vec<Other>,
    skipped: Vec<Skipped>,
}

/// One of them, and what it said before any change.
#[derive(Debug)]
struct Other {
    job: Job,
    recipe: Recipe,
    before: Mutex<Option<Before>>,
}

#[derive(Debug)]
enum Before {
    /// Its runs, each with every check; `None` where the time box ended one.
    Ran { recipe: Box<Recipe>, runs: Vec<Run> },
    /// Why not.
    Not(String),
}

type Run = Vec<Option<Observed>>;

/// Where, and who watches.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) sandbox: &'a dyn Sandbox,
    /// The tree and the candidate.
    pub(super) trees: [&'a Tree; 2],
    pub(super) change: &'a Change,
    pub(super) progress: &'a Progress,
}

/// What speaks against the change.
#[derive(Default)]
struct Verdict {
    broken: Vec<String>,
    refused: Vec<(&'static str, String, &'static str)>,
}

impl Verdict {
    fn is_empty(&self) -> bool {
        self.broken.is_empty() && self.refused.is_empty()
    }
}

impl Beside {
    /// Jobs as they were planned; `limit` is that on one command.
    pub fn new(planned: plan::Beside, limit: Duration) -> Beside {
        let other = |job: Job| Other { recipe: job.recipe(limit), job, before: Mutex::default() };
        Beside { others: planned.jobs.into_iter().map(other).collect(), skipped: planned.skipped }
    }

    /// Nothing is run, for a reason.
    pub fn none(why: &str) -> Beside {
        let skipped = Skipped { what: "the workflow's other jobs".to_owned(), why: why.to_owned() };
        Beside { others: Vec::new(), skipped: vec![skipped] }
    }

    /// Runs the jobs that are as heavy as `wanted` says, while the change stands.
    pub(super) async fn compare(
        &self,
        judge: &mut Judge,
        wanted: impl Fn(Weight) -> bool,
        place: Place<'_>,
    ) -> Result<(), SandboxError> {
        for other in self.others.iter().filter(|other| wanted(other.job.weight())) {
            if judge.stands() {
                other.compare(judge, place).await?;
            }
        }
        Ok(())
    }

    /// Lists what is not run at all, those of one reason together.
    pub(super) fn list_skipped(&self, judge: &mut Judge) {
        let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
        for Skipped { what, why } in &self.skipped {
            match reasons.iter_mut().find(|(known, _)| known == why) {
                Some((_, jobs)) => jobs.push(what),
                None => reasons.push((why, vec![what])),
            }
        }
        for (why, jobs) in reasons {
            judge.not_checked(format!("not run beside it: {}: {why}", jobs.join(", ")));
        }
    }
}

impl Other {
    async fn compare(&self, judge: &mut Judge, place: Place<'_>) -> Result<(), SandboxError> {
        let name = &self.job.name;
        let mut before = self.before.lock().await;
        if before.is_none() {
            if judge.left < LEAST {
                judge.not_checked(format!("not run beside it: {name}: the time box was spent"));
                return Ok(());
            }
            let begun = Instant::now();
            *before = Some(self.run_before(place, judge.left).await?);
            judge.spend(begun.elapsed());
        }
        match &mut *before {
            Some(Before::Ran { recipe, runs }) => self.judge(judge, place, recipe, runs).await?,
            Some(Before::Not(why)) => judge.not_checked(format!("not run beside it: {name}: {why}")),
            None => {}
        }
        Ok(())
    }

    /// `left` is for the run with the change as well: what is built is used again there, but not what holds a copy of the
    /// project; the checks take as long again.
    async fn run_before(&self, place: Place<'_>, left: Duration) -> Result<Before, SandboxError> {
        let Place { sandbox, trees: [tree, _], progress, .. } = place;
        let begun = Instant::now();
        let time = if self.recipe.copies_project { left / 2 } else { left * 3 / 4 };
        let stage = progress.begin("beside", format!("{}, before the change", self.job.name));
        let not = |why: String| Ok(Before::Not(why));
        let prepared = match timeout(time, prepare(sandbox, &self.recipe, tree, false)).await {
            Err(_) => {
                stage.end("its environment takes too long");
                return not("its environment could not be built within the time box".to_owned());
            }
            Ok(Err(error @ (SandboxError::NoPython { .. } | SandboxError::NoImage { .. }))) => {
                return not(error.to_string());
            }
            Ok(Err(SandboxError::Install { command, finished })) => {
                stage.end("its environment cannot be built");
                let (command, how) = (last_line(&command), describe(finished.ended));
                return not(format!("its environment cannot be built: `{command}` {how}"));
            }
            Ok(other) => other?,
        };
        let run = self.run(&*prepared, left.saturating_sub(begun.elapsed()) / 2, None).await?;
        stage.end(&summary(&run));
        if run.iter().all(Option::is_none) {
            return not("it did not end within the time box".to_owned());
        }
        // A candidate installs what this ran with.
        let recipe = Box::new(Recipe { hold: held(prepared.installed(), tree), ..self.recipe.clone() });
        Ok(Before::Ran { recipe, runs: vec![run] })
    }

    /// Runs its checks one after the other on the same tree, as the job does.
    async fn run(&self, prepared: &dyn Prepared, time: Duration, before: Option<&Run>) -> Result<Run, SandboxError> {
        let begun = Instant::now();
        let mut watch = Watch::new(prepared, &self.job.checks);
        let mut run = Vec::new();
        for (index, check) in self.job.checks.iter().enumerate() {
            let wall = time.saturating_sub(begun.elapsed()).min(self.recipe.timeout);
            if wall < Duration::from_secs(1) {
                run.push(None);
                continue;
            }
            let mut seen = run_check(prepared, check, Limits { wall, ..Limits::default() }).await?;
            seen.touched = watch.touched(prepared, check);
            let took = before.and_then(|run| run[index].as_ref()).map(|seen| Duration::from_secs_f64(seen.seconds));
            let hangs = took.is_some_and(|took| wall >= PATIENCE.max(took * 3));
            run.push((seen.ended != Ended::WallTime || hangs).then_some(seen));
        }
        Ok(run)
    }

    /// Runs it with the change, and weighs what it says.
    async fn judge(
        &self,
        judge: &mut Judge,
        place: Place<'_>,
        recipe: &Recipe,
        runs: &mut Vec<Run>,
    ) -> Result<(), SandboxError> {
        let Place { sandbox, trees: [tree, candidate], change, progress } = place;
        let name = &self.job.name;
        let begun = Instant::now();
        let stage = progress.begin("beside", format!("{name}, with the change"));
        let mut prepared = match timeout(judge.left, prepare(sandbox, recipe, candidate, true)).await {
            Err(_) => {
                stage.end("its environment takes too long");
                judge.spend(begun.elapsed());
                judge.not_checked(format!("{name}: its environment could not be built again within the time box"));
                return Ok(());
            }
            Ok(Err(SandboxError::Install { command, finished })) => {
                stage.end("its environment cannot be built");
                judge.spend(begun.elapsed());
                match install_failed(&command, &finished.output, finished.ended) {
                    Reproduction::Infrastructure { why } => judge.not_checked(format!("{name}: {why}")),
                    _ => {
                        let error = SandboxError::Install { command, finished };
                        judge.broke(vec![format!("{name}: with the change, {error}")], Vec::new());
                    }
                }
                return Ok(());
            }
            Ok(other) => other?,
        };
        let mut after = self.run(&*prepared, judge.left.saturating_sub(begun.elapsed()), runs.first()).await?;
        stage.end(&summary(&after));
        judge.spend(begun.elapsed());
        let mut verdicts = self.weigh(runs, &after, change);
        if verdicts.iter().any(|verdict| !verdict.is_empty()) {
            // Broken, or flaky? One more run of each says it; what may speak against a change gets the time for that.
            let took: f64 = runs.iter().flatten().flatten().map(|seen| seen.seconds).sum();
            let time = judge.left.max(PATIENCE + Duration::from_secs_f64(took * 3.0));
            let begun = Instant::now();
            let stage = progress.begin("beside", format!("{name}, once more with and without the change"));
            prepared.refresh(candidate).await?;
            let again = self.run(&*prepared, time, runs.first()).await?;
            drop(prepared);
            match prepare(sandbox, &self.recipe, tree, false).await {
                // It was built before; where it can't be now, the first run is all there is.
                Err(SandboxError::Install { .. }) => {}
                prepared => runs.push(self.run(&*prepared?, time, None).await?),
            }
            stage.end(&summary(&again));
            judge.spend(begun.elapsed());
            let second = self.weigh(runs, &again, change);
            for (index, (verdict, second)) in verdicts.iter_mut().zip(second).enumerate() {
                if !verdict.is_empty() && second.is_empty() {
                    let command = last_line(&self.job.checks[index].script);
                    judge.not_checked(format!("{name}: `{command}` gives now one result, now another"));
                }
                if verdict.is_empty() || second.is_empty() {
                    *verdict = Verdict::default();
                }
            }
            after = again;
        }
        let left_out: Vec<&str> = self.job.skipped.iter().map(|skipped| skipped.what.as_str()).collect();
        if !left_out.is_empty() {
            judge.not_checked(format!("{name}: run without {}", left_out.join(", ")));
        }
        for (index, verdict) in verdicts.into_iter().enumerate() {
            self.report(judge, index, runs, after[index].as_ref(), verdict);
        }
        Ok(())
    }

    fn weigh(&self, runs: &[Run], after: &Run, change: &Change) -> Vec<Verdict> {
        let last = self.job.checks.len().saturating_sub(1);
        let weighed = |(index, check): (usize, &Check)| {
            let Some(after) = &after[index] else { return Verdict::default() };
            weigh(last_line(&check.script), &seen(runs, index), after, index < last, change)
        };
        self.job.checks.iter().enumerate().map(weighed).collect()
    }

    fn report(&self, judge: &mut Judge, index: usize, runs: &[Run], after: Option<&Observed>, verdict: Verdict) {
        let (name, check) = (&self.job.name, &self.job.checks[index]);
        let command = last_line(&check.script);
        let before = seen(runs, index);
        let (Some(first), Some(after)) = (before.first(), after) else {
            judge.not_checked(format!("{name}: `{command}` did not end within the time box"));
            return;
        };
        let word = |run: &Observed| match run.passed() {
            true => "passed".to_owned(),
            false => format!("failed ({})", describe(run.ended)),
        };
        let mixed = before.iter().any(|run| run.passed()) && before.iter().any(|run| !run.passed());
        if !after.passed() && verdict.is_empty() {
            judge.not_checked(format!("{name}: `{command}` fails before the change and no worse after it"));
        }
        let broken = verdict.broken.into_iter().map(|why| format!("{name}: {why}")).collect();
        judge.broke(broken, verdict.refused);
        judge.validation.checks.push(CheckResult {
            job: name.clone(),
            command: check.script.clone(),
            before: if mixed { "flaky".to_owned() } else { word(first) },
            after: word(after),
            seconds: after.seconds,
            output: tail(&after.output, SHOWN),
        });
    }
}

/// A check's runs.
fn seen(runs: &[Run], index: usize) -> Vec<&Observed> {
    runs.iter().filter_map(|run| run[index].as_ref()).collect()
}

/// Compares a check's run with those before the change. `others_follow`: later checks read what it leaves.
fn weigh(command: &str, before: &[&Observed], after: &Observed, others_follow: bool, change: &Change) -> Verdict {
    let mut verdict = Verdict::default();
    if before.is_empty() {
        return verdict;
    }
    let broken = &mut verdict.broken;
    if !after.passed() && before.iter().all(|run| run.passed()) {
        broken.push(format!("`{command}` passed before the change and fails after it: {}", what_failed(after)));
    } else if let Some(failure) = more_often(before, after).filter(|_| !after.passed()) {
        broken.push(format!("`{command}` fails in a new way: {}", failure.message));
    }
    broken.extend(new_findings(command, before, after));
    broken.extend(altered(command, before, after).filter(|_| others_follow));
    let stable = stable_tests(before).unwrap_or_default();
    match &after.tests {
        Some(tests) => {
            let complete = matches!(after.ended, Ended::Exit(0 | 1));
            let compared = per_test::compare(&stable, tests, change, complete);
            verdict.broken.extend(compared.broken);
            verdict.refused = compared.refused;
        }
        None if !stable.is_empty() && after.passed() => {
            let count = stable.len();
            broken.push(format!("`{command}` reported its {count} tests before the change and none after it"));
        }
        None => {}
    }
    verdict
}

fn summary(run: &Run) -> String {
    let ended: Vec<&Observed> = run.iter().flatten().collect();
    let red = ended.iter().filter(|seen| !seen.passed()).count();
    match (ended.len(), red) {
        (0, _) => "did not end within the time box".to_owned(),
        (_, 0) => "passed".to_owned(),
        (all, red) => format!("{red} of {all} failed"),
    }
}

#[cfg(test)]
mod tests;
