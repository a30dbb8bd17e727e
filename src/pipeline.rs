//! pipeline: the hall that the doors share. Logs and a repository in, reproduced jobs out.

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::Result;

use crate::{
    config::{self, Config},
    detect::{Category, Failure, JobLog, JobResult},
    input::{self, BadInput},
    outcome::{BaselineReport, Diagnosis, Learned, PlanReport, TargetReport},
    plan::{self, Job, Overrides},
    progress::Progress,
    redact,
    repair::{Baseline, Beside, Named, Reproduction, reproduce},
    sandbox::{self, Ahead, CacheDir, Choice, Posture, Recipe, Sandbox, SandboxError},
    workspace::Tree,
};

/// What every door that runs something is told.
#[derive(Debug, Clone)]
pub struct Request {
    /// The repository's root.
    pub repository: PathBuf,
    /// Job logs; `-` for standard input.
    pub logs: Vec<PathBuf>,
    /// What a person says over what the log says.
    pub overrides: Overrides,
    /// `--timeout`: limit on one command, in seconds.
    pub timeout: Option<u64>,
    /// Where environments are kept, and how many.
    pub cache: CacheDir,
    /// Where commands run.
    pub choice: Choice,
    /// The binary that supervises sandboxed commands: this one.
    pub launcher: PathBuf,
    /// What is configured on the trusted side; `None`: what the tree says.
    pub config: Option<Config>,
    /// The job of a log, where its name is known and the log may not say it.
    pub jobs: BTreeMap<PathBuf, String>,
    /// Pythons besides those of the logs: where a failure shows with them too, the fix must hold there.
    pub pythons: Vec<String>,
    /// Files that this program writes itself: where they lie in the repository they are no part of it.
    pub own: Vec<PathBuf>,
}

/// Why there is nothing to judge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// No log shows a failure.
    NothingDetected,
    /// Only failures that no code is to blame for.
    Infrastructure,
    /// One of two runs failed.
    Flaky,
    /// No run failed for the same reason.
    NotReproduced,
}

/// The inputs, read.
pub struct Given {
    /// The tree as it stands.
    pub tree: Tree,
    /// All job logs, those of jobs that passed included.
    pub logs: Vec<JobLog>,
    /// What the tree configures.
    pub config: Config,
}

/// Everything that a repair or a verdict starts from.
pub struct Reproduced {
    /// Where commands run.
    pub sandbox: Box<dyn Sandbox>,
    /// The jobs whose failure was seen again; never empty.
    pub baselines: Vec<Baseline>,
    /// What their workflows check besides.
    pub beside: Beside,
}

impl Given {
    /// The logs that show a failure.
    pub fn failing(&self) -> Vec<&JobLog> {
        failing(&self.logs)
    }
}

/// Reads logs. `jobs` names the job of a log that may not say it.
///
/// # Errors
/// [`BadInput`] for what can't be used.
pub fn read_logs(paths: &[PathBuf], jobs: &BTreeMap<PathBuf, String>) -> Result<Vec<JobLog>, BadInput> {
    let mut logs = Vec::new();
    for path in paths {
        let mut read = input::read_log(path)?;
        if let (Some(name), [log]) = (jobs.get(path), read.as_mut_slice()) {
            log.job = Some(name.clone());
        }
        logs.append(&mut read);
    }
    Ok(logs)
}

/// The logs that show a failure.
pub fn failing(logs: &[JobLog]) -> Vec<&JobLog> {
    logs.iter().filter(|log| log.result != JobResult::Success && !log.failures.is_empty()).collect()
}

/// Reads the logs and the repository.
///
/// # Errors
/// [`BadInput`] for what can't be used.
pub fn read(request: &Request, progress: &Progress, learned: &mut Learned) -> Result<Given> {
    let stage = progress.begin("detect", format!("{} log(s)", request.logs.len()));
    let logs = read_logs(&request.logs, &request.jobs)?;
    let tree = input::read_repository(&request.repository)?;
    for file in &request.own {
        tree.leave_out(&request.repository, file)?;
    }
    learned.note_tree(&tree, &logs);
    let config = request.config.clone().map_or_else(|| Config::of(&tree), Ok)?;
    redact::configure(&config.redact).map_err(|why| BadInput(format!("{}: redact: {why}", config::PATH)))?;
    let given = Given { tree, logs, config };
    learned.learn(&given.logs);
    let failing = given.failing();
    stage.end(&format!("{} failure(s)", failing.iter().map(|l| l.failures.len()).sum::<usize>()));
    Ok(given)
}

/// Plans and reproduces every failing job.
///
/// # Errors
/// [`BadInput`] for a Python that is not there; everything else is unexpected.
pub async fn reproduced(
    request: &Request,
    given: &Given,
    progress: &Progress,
    learned: &mut Learned,
) -> Result<Result<Reproduced, Stop>> {
    let failing = given.failing();
    if failing.is_empty() {
        return Ok(Err(Stop::NothingDetected));
    }
    let repairable = |log: &JobLog| {
        log.category != Some(Category::Infra)
            && log.failures.iter().any(|f| !matches!(f.category, Category::Infra | Category::Aggregate))
    };
    if !failing.iter().any(|log| repairable(log)) {
        let aggregate = failing.iter().all(|log| log.category == Some(Category::Aggregate));
        if aggregate {
            learned.notes.push("the job only repeats the failures of others: give their logs".to_owned());
        }
        return Ok(Err(Stop::Infrastructure));
    }
    let sources = input::sources(&given.tree, failing.iter().copied());
    let jobs: Vec<(usize, &JobLog, Job)> = failing
        .iter()
        .enumerate()
        .filter(|(_, log)| repairable(log))
        .map(|(index, log)| (index, *log, plan::plan(log, &sources, &request.overrides)))
        .collect();
    let stage = progress.begin("sandbox", "probing what this machine can enforce");
    let pythons: Vec<String> = jobs.iter().map(|(_, _, job)| job.python.clone()).collect();
    let watcher = progress.clone();
    let told = move |seconds| watcher.ran(seconds);
    let chosen = sandbox::choose(request.choice, &request.cache, request.launcher.clone(), &pythons, told).await?;
    learned.notes.extend(chosen.why);
    let sandbox = chosen.sandbox;
    let enforced = &sandbox.posture().enforced;
    let first = enforced.first().map_or("nothing", String::as_str);
    stage.end(&format!("{first}: {} protections hold", enforced.len()));
    learned.sandbox = Some(sandbox.posture().clone());
    let mut baselines = Vec::new();
    let mut stop = Stop::NotReproduced;
    let (mut seen, mut cells) = (Vec::new(), Vec::new());
    // Before anything runs: an interrupted run reports it.
    for (index, _, job) in &jobs {
        learned.targets[*index].plan = Some(PlanReport::of(job));
    }
    let ahead = environments(request, given, &*sandbox, jobs.iter().map(|(_, _, job)| job), progress).await;
    for (index, log, job) in jobs {
        let (baseline, why) = attempt(request, given, &ahead, log, &job, progress).await?;
        let target = &mut learned.targets[index];
        let report = baseline_report(&baseline, &why);
        learned.cause = learned.cause.or(report.depends.first().map(|named| named.cause));
        target.baseline = Some(report);
        match baseline {
            Some(baseline) => {
                baselines.push(baseline);
                seen.push((log, job.clone()));
                cells.extend(
                    request
                        .pythons
                        .iter()
                        .filter(|python| !plan::workflow::same_minor(python, &job.python))
                        .map(|python| (log, Job { python: python.clone(), versions: Vec::new(), ..job.clone() })),
                );
            }
            None => stop = why.stop.unwrap_or(stop),
        }
    }
    let ahead = environments(request, given, &*sandbox, cells.iter().map(|(_, job)| job), progress).await;
    for (log, job) in cells {
        let (baseline, why) = attempt(request, given, &ahead, log, &job, progress).await?;
        learned.targets.push(TargetReport {
            job: format!("{}, Python {}", job.name, job.python),
            failures: log.failures.clone(),
            plan: Some(PlanReport::of(&job)),
            baseline: Some(baseline_report(&baseline, &why)),
        });
        match baseline {
            Some(baseline) => baselines.push(baseline),
            None => learned
                .notes
                .push(format!("with Python {} the failure does not show: the fix is not checked there", job.python)),
        }
    }
    if baselines.is_empty() {
        return Ok(Err(stop));
    }
    let beside = match given.config.other_jobs() {
        true => {
            let seen: Vec<(&JobLog, &Job)> = seen.iter().map(|(log, job)| (*log, job)).collect();
            let planned =
                plan::beside(&seen, &sources, &request.overrides, given.config.matrix(), &|| sandbox.pythons());
            Beside::new(planned, given.config.timeout(request.timeout))
        }
        false => Beside::none(&format!("other_jobs: false in {}", config::PATH)),
    };
    Ok(Ok(Reproduced { sandbox, baselines, beside }))
}

/// Why there is no baseline.
#[derive(Debug, Default)]
struct Why {
    text: String,
    /// What that means, where it is more than "not reproduced".
    stop: Option<Stop>,
    /// What the failures depend on, where repeats show it.
    depends: Vec<Named>,
}

fn baseline_report(baseline: &Option<Baseline>, why: &Why) -> BaselineReport {
    baseline.as_ref().map_or_else(|| BaselineReport::not(&why.text, &why.depends), BaselineReport::of)
}

/// Builds the environments of several jobs at once.
async fn environments<'a>(
    request: &Request,
    given: &Given,
    sandbox: &'a dyn Sandbox,
    jobs: impl ExactSizeIterator<Item = &Job>,
    progress: &Progress,
) -> Ahead<'a> {
    let stage = (jobs.len() > 1).then(|| progress.begin("environments", format!("of {} jobs, at once", jobs.len())));
    let timeout = given.config.timeout(request.timeout);
    let recipes: Vec<Recipe> = jobs.map(|job| job.recipe(timeout)).collect();
    let ahead = Ahead::build(sandbox, &recipes, &given.tree).await;
    drop(stage);
    ahead
}

/// Reproduces one job.
async fn attempt(
    request: &Request,
    given: &Given,
    sandbox: &dyn Sandbox,
    log: &JobLog,
    job: &Job,
    progress: &Progress,
) -> Result<(Option<Baseline>, Why)> {
    let recipe = job.recipe(given.config.timeout(request.timeout));
    let reproduction = match reproduce(sandbox, &given.tree, log, job, &recipe, progress).await {
        Err(error @ SandboxError::NoPython { .. }) => return Err(BadInput(error.to_string()).into()),
        Err(error @ SandboxError::NoImage { .. }) => Reproduction::Infrastructure { why: error.to_string() },
        Err(SandboxError::Lost(why)) => Reproduction::Infrastructure { why: format!("the sandbox was lost: {why}") },
        other => other?,
    };
    Ok(match reproduction {
        Reproduction::Reproduced(baseline) => (Some(*baseline), Why::default()),
        Reproduction::Flaky { why, depends } => (None, Why { text: why, stop: Some(Stop::Flaky), depends }),
        Reproduction::NotReproduced { why } => {
            (None, Why { text: explain_loopback(why, sandbox.posture()), ..Why::default() })
        }
        Reproduction::Infrastructure { why } => {
            (None, Why { text: why, stop: Some(Stop::Infrastructure), ..Why::default() })
        }
    })
}

/// So many failures that were not seen again are listed.
const UNSEEN: usize = 20;

/// What the logs show and no baseline does: a fix is proven for the rest only.
pub fn not_reproduced(given: &Given, baselines: &[Baseline]) -> Vec<String> {
    let failing = given.failing();
    let mut lines = Vec::new();
    if baselines.len() < failing.len() {
        lines.push("jobs of other logs, whose failures were not reproduced".to_owned());
    }
    let seen =
        |failure: &Failure| baselines.iter().any(|b| b.claimed().contains(failure) || b.flaky().contains(&failure.key));
    let of_code = |failure: &Failure| !matches!(failure.category, Category::Infra | Category::Aggregate);
    let unseen: Vec<&Failure> =
        failing.iter().flat_map(|log| &log.failures).filter(|f| of_code(f) && !seen(f)).collect();
    lines.extend(unseen.iter().take(UNSEEN).map(|failure| {
        let place = failure.test_id.as_ref().or(failure.file.as_ref()).map(|place| format!("{place}: "));
        format!("not reproduced: {}{}", place.unwrap_or_default(), failure.message)
    }));
    if unseen.len() > UNSEEN {
        lines.push(format!("… and {} more that were not reproduced", unseen.len() - UNSEEN));
    }
    lines
}

impl Learned {
    /// What the logs alone say.
    pub fn learn(&mut self, logs: &[JobLog]) {
        let failing = failing(logs);
        let target = |log: &&JobLog| {
            let job = log.job.clone().unwrap_or_else(|| log.log.clone());
            TargetReport { job, failures: log.failures.clone(), plan: None, baseline: None }
        };
        self.targets = failing.iter().map(target).collect();
        self.diagnosis = diagnose(&failing);
    }

    fn note_tree(&mut self, tree: &Tree, logs: &[JobLog]) {
        if tree.dirty {
            self.notes.push("the working tree has uncommitted changes, which are part of what is judged".to_owned());
        }
        let paths = tree.paths();
        let folder = |path: &String| path.split_once('/').map(|(folder, _)| folder.to_owned());
        if tree.head.is_none()
            && let Some(Some(first)) = paths.first().map(folder)
            && paths.iter().all(|path| folder(path).as_ref() == Some(&first))
        {
            self.notes.push(format!("the tree holds one folder and no file: should --repo name `{first}` in it?"));
        }
        let tested = logs.iter().find_map(|log| log.sha.as_deref());
        if let (Some(tested), Some(head)) = (tested, &tree.head)
            && tested != head
        {
            let short = |sha: &str| sha.chars().take(12).collect::<String>();
            let (tested, head) = (short(tested), short(head));
            self.notes.push(format!("the log tested {tested}, the tree is at {head}: the tree is what is judged"));
        }
    }
}

/// Where the sandbox has no loopback, a check that opens a local server can't but fail: that is said.
fn explain_loopback(why: String, posture: &Posture) -> String {
    const SIGNS: &[&str] = &["socket", "bind", "Errno 13", "Errno 97", "Permission denied", "Connection refused"];
    let missing = posture.missing.iter().find(|m| m.starts_with("loopback"));
    match missing {
        Some(missing) if SIGNS.iter().any(|sign| why.contains(sign)) => {
            format!("{why}\nThis sandbox has no loopback ({missing}): checks that open a local server fail in it")
        }
        _ => why,
    }
}

/// What the logs alone say: the cause that most failures share, and where to look first.
fn diagnose(logs: &[&JobLog]) -> Option<Diagnosis> {
    let failures: Vec<&Failure> = logs.iter().flat_map(|log| &log.failures).collect();
    let category = logs.iter().find_map(|log| log.category);
    let of_category = |f: &&&Failure| category.is_none_or(|c| f.category == c);
    let first = failures.iter().find(of_category).or(failures.first())?;
    let same = failures.iter().filter(|f| f.fingerprint == first.fingerprint).count();
    let root_cause =
        if same > 1 { format!("{} ({same} failures of one cause)", first.message) } else { first.message.clone() };
    let place =
        first.file.as_ref().map(|file| first.line.map_or_else(|| file.clone(), |line| format!("{file}:{line}")));
    Some(Diagnosis {
        root_cause,
        fix_type: fix_type(first.category),
        confidence: "low",
        fault: None,
        impact: None,
        place,
    })
}

/// The kind of fix that a category takes.
pub fn fix_type(category: Category) -> Option<&'static str> {
    Some(match category {
        Category::UnitTest | Category::IntegrationTest | Category::RuntimeError => "test",
        Category::Coverage => "coverage",
        Category::Docs => "documentation",
        Category::Quality => "quality",
        Category::Security => "security",
        Category::Benchmark => "benchmark",
        Category::ImportDependency => "dependency",
        Category::SyntaxError => "syntax",
        Category::Build => "build",
        Category::Timeout | Category::Crash | Category::Infra | Category::Aggregate => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_that_needs_localhost_is_told_where_there_is_none() {
        let posture = |missing: &[&str]| Posture {
            kind: "local",
            enforced: Vec::new(),
            missing: missing.iter().map(|one| (*one).to_owned()).collect(),
        };
        let none = posture(&["loopback: there is no network namespace"]);
        let bound = "the check fails: PermissionError: [Errno 13] Permission denied";
        assert!(explain_loopback(bound.to_owned(), &none).contains("has no loopback (loopback: there is no network"));
        assert_eq!(explain_loopback("4 != 3".to_owned(), &none), "4 != 3");
        assert_eq!(explain_loopback(bound.to_owned(), &posture(&[])), bound);
    }
}
