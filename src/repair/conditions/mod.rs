//! conditions: what a failure depends on, where repeats under changed conditions show it.
//!
//! A failure of the log that does not show here, or now and then, is looked for under one changed condition after the
//! other: the clock of CI's run, time zones, locales, the order of the tests, hash seeds. Where it shows under one, that
//! is repeated in turn with its contrary, [`REPEATS`] times each, in an order that no test which fails every other time
//! can follow; all must agree, or nothing is named. A failure that does show here is tried with the clock of an earlier
//! date: it stays what it is, and may be repaired.
//!
//! All of it is diagnosis, in a time box, and judges nothing. The clock is changed in Python alone
//! (`sitecustomize.py`).

mod settings;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use serde::Serialize;

use self::settings::{Dimension, Known, Scope, Setting};
use super::launch::{Launch, is_installed};
use crate::{
    detect::{Category, Failure, JobLog, Seeds},
    observe::{Observed, TestOutcome, observe, reporting},
    plan::{Check, Job, Origin},
    progress::Progress,
    sandbox::{Limits, Network, Prepared},
    workspace::{Tree, git},
};

/// What a failure depends on besides the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Dependence {
    Clock,
    TimeZone,
    Locale,
    Order,
    HashSeed,
    RandomSeed,
}

impl Dependence {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Dependence::Clock => "the clock",
            Dependence::TimeZone => "the time zone",
            Dependence::Locale => "the locale",
            Dependence::Order => "the order of the tests",
            Dependence::HashSeed => "the hash seed",
            Dependence::RandomSeed => "the seed of chance",
        }
    }
}

/// What repeats have shown of some failures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Named {
    /// What they depend on.
    pub cause: Dependence,
    /// Their tests, or what they say.
    pub failures: Vec<String>,
    /// Under which condition how many runs failed, and under which how many passed.
    pub shown: String,
}

impl Named {
    /// In one sentence.
    pub fn sentence(&self) -> String {
        let of = match self.failures.as_slice() {
            [one] => format!("{one} depends"),
            [one, rest @ ..] => format!("{one} and {} more depend", rest.len()),
            [] => "it depends".to_owned(),
        };
        format!("{of} on {}: {}", self.cause.words(), self.shown)
    }
}

/// So many runs of each side must agree.
const REPEATS: usize = 4;
/// Does the side that fails run next? Neither every other time nor in a block: Thue and Morse's.
const TURNS: [bool; 2 * REPEATS] = [false, true, true, false, true, false, false, true];
/// More failures are not looked into.
const MOST: usize = 40;
/// A check that takes longer is repeated with the tests in question alone.
const LONG: f64 = 3.0;
/// The time box is so many times what the check takes, and no less and no more than these.
const LONG_BOX: f64 = 40.0;
const SHORT_BOX: Duration = Duration::from_secs(30);
const LONGEST_BOX: Duration = Duration::from_secs(90);
/// All that is spent on a failure that shows here anyway.
const DATED_BOX: Duration = Duration::from_secs(15);

/// Where checks are repeated.
pub(super) struct Place<'a> {
    pub(super) prepared: &'a mut dyn Prepared,
    pub(super) tree: &'a Tree,
    pub(super) job: &'a Job,
    /// Two runs of each check as it stands.
    pub(super) runs: &'a [[Observed; 2]],
    pub(super) progress: &'a Progress,
}

/// What failures depend on that CI showed, and that were not seen in both runs here. `chance`: one of the two showed them.
pub(super) async fn name<'a>(place: Place<'a>, log: &JobLog, failures: &[&'a Failure], chance: bool) -> Vec<Named> {
    let wanted: Vec<&Failure> = failures.iter().copied().filter(|failure| may_depend(failure)).take(MOST).collect();
    let Some(at) = check_of(&place, &wanted) else { return Vec::new() };
    let longest = place.runs[at].iter().map(|run| run.seconds).fold(0.0, f64::max);
    let time = Duration::from_secs_f64(LONG_BOX * longest).clamp(SHORT_BOX, LONGEST_BOX);
    let mut bench = Bench::new(place, at, wanted, time);
    // One run that shows it and its repeats: in less time nothing can be named.
    if bench.usual == Scope::Whole && longest * (TURNS.len() + 1) as f64 > time.as_secs_f64() {
        return Vec::new();
    }
    let step = log.steps.iter().find(|step| step.failed);
    let known = Known {
        ran: step.and_then(|step| step.started),
        seeds: step.map_or_else(Seeds::default, |step| step.seeds.clone()),
        shuffles: is_installed(bench.place.prepared.installed(), "pytest-randomly"),
        alone: bench.alone.is_some(),
        foreign: if chance { None } else { bench.foreign_locale().await },
    };
    let dimensions = if chance { settings::of_chance(&known) } else { settings::of_unseen(&known) };
    bench.search(&dimensions, State::Passes).await
}

/// Do tests that fail here pass with the clock of an earlier date?
pub(super) async fn name_dated<'a>(place: Place<'a>, claimed: &'a [Failure]) -> Vec<Named> {
    let wanted: Vec<&Failure> =
        claimed.iter().filter(|failure| failure.test_id.is_some() && may_depend(failure)).take(MOST).collect();
    if wanted.is_empty() || !asks_for_the_time(place.tree) {
        return Vec::new();
    }
    let Some(at) = check_of(&place, &wanted) else { return Vec::new() };
    let Some(today) = now() else { return Vec::new() };
    let mut dates = Vec::new();
    let written = wanted.iter().find_map(|failure| written(place.tree, failure.file.as_deref()?));
    dates.extend(written.filter(|date| today - date > DAY).map(|date| (date, "when the test's file was last changed")));
    dates.push((today - 2 * 365 * DAY, "two years ago"));
    let mut bench = Bench::new(place, at, wanted, DATED_BOX);
    if bench.alone.is_none() {
        return Vec::new();
    }
    bench.usual = Scope::Alone;
    bench.search(&[settings::of_dates(&dates)], State::Shows).await
}

const DAY: i64 = 24 * 60 * 60;

fn now() -> Option<i64> {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_secs()).ok()
}

/// Whether anything but the code may have to do with it.
fn may_depend(failure: &Failure) -> bool {
    matches!(failure.category, Category::UnitTest | Category::IntegrationTest | Category::RuntimeError | Category::Docs)
}

/// The check that shows these failures, or whose report knows their tests.
fn check_of(place: &Place<'_>, wanted: &[&Failure]) -> Option<usize> {
    let first = wanted.first()?;
    let checks = || place.job.checks.iter().zip(place.runs).enumerate();
    let shows = |run: &Observed| run.keys().any(|key| wanted.iter().any(|f| f.key.is_shown_by(key)));
    let shown = checks().find(|(_, (_, runs))| runs.iter().any(shows));
    let reports =
        |run: &Observed| run.tests.as_ref().is_some_and(|tests| wanted.iter().any(|f| ran(tests, f).is_some()));
    let reported = || checks().find(|(_, (_, [run, _]))| reports(run));
    let of_step = || {
        let passed = |run: &Observed| run.passed() && (first.test_id.is_none() || run.tests.is_none());
        checks().find(|(_, (check, [run, _]))| first.step.as_ref() == Some(&check.step) && passed(run))
    };
    shown.or_else(reported).or_else(of_step).map(|(at, _)| at)
}

/// What became of a failure's test.
fn ran(tests: &crate::observe::Tests, failure: &Failure) -> Option<TestOutcome> {
    tests.get(failure.test_id.as_ref()?).copied()
}

/// Does any of the tree's Python ask what time it is?
fn asks_for_the_time(tree: &Tree) -> bool {
    let asks = |path: &String| {
        let text = tree.read(path).unwrap_or_default();
        let has = |word: &[u8]| memchr::memmem::find(&text, word).is_some();
        has(b"datetime") || has(b"time.time") || has(b"localtime") || has(b"gmtime") || has(b"strftime")
    };
    tree.paths().iter().filter(|path| path.ends_with(".py")).take(2000).any(asks)
}

/// When a file was last changed, as its author has it.
fn written(tree: &Tree, file: &str) -> Option<i64> {
    tree.head.as_ref()?;
    let output = git(tree.root()).args(["log", "-1", "--format=%at", "--", file]).output().ok()?;
    String::from_utf8_lossy(&output.stdout).trim().parse().ok()
}

/// How a run ended for one of the failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Shows,
    Passes,
    /// It failed otherwise, or did not run.
    Unclear,
}

struct Bench<'a> {
    place: Place<'a>,
    whole: &'a Check,
    alone: Option<Check>,
    usual: Scope,
    wanted: Vec<&'a Failure>,
    ends: Instant,
}

/// The time box is empty, or the sandbox was lost: what is named stays so.
struct Over;

impl<'a> Bench<'a> {
    fn new(place: Place<'a>, at: usize, wanted: Vec<&'a Failure>, time: Duration) -> Bench<'a> {
        let whole = &place.job.checks[at];
        let [first, _] = &place.runs[at];
        let known = |id: &&String| !id.starts_with('-') && first.tests.as_ref().is_some_and(|t| t.contains_key(*id));
        let ids: Vec<String> = wanted.iter().filter_map(|f| f.test_id.as_ref()).filter(known).cloned().collect();
        let launch = Launch::of_script(&whole.script, place.prepared.installed()).filter(|_| ids.len() == wanted.len());
        let alone = launch.map(|launch| {
            let script = format!("{}\n{} {}", launch.prefix(), launch.python(), launch.these(ids.into_iter()));
            Check::new(script.trim_start().to_owned(), Origin::Log, &whole.step)
        });
        let usual = if first.seconds > LONG && alone.is_some() { Scope::Alone } else { Scope::Whole };
        Bench { place, whole, alone, usual, wanted, ends: Instant::now() + time }
    }

    /// What each of the failures depends on, as far as one of `dimensions` shows it. `known` is how controls end.
    async fn search(&mut self, dimensions: &[Dimension], known: State) -> Vec<Named> {
        let mut named = Vec::new();
        let mut open: Vec<usize> = (0..self.wanted.len()).collect();
        for dimension in dimensions {
            if open.is_empty() || self.vary(dimension, known, &mut open, &mut named).await.is_err() {
                break;
            }
        }
        named
    }

    /// Looks for two settings between which failures come and go, and repeats both.
    async fn vary(
        &mut self,
        dimension: &Dimension,
        known: State,
        open: &mut Vec<usize>,
        named: &mut Vec<Named>,
    ) -> Result<(), Over> {
        let mut seen: Vec<Vec<State>> = Vec::new();
        for setting in &dimension.settings {
            seen.push(self.run(setting).await?);
            let Some((fails, passes)) = pair(dimension, known, &seen, open) else { continue };
            let mut left: Vec<usize> = open.clone();
            for turn in TURNS {
                let states = self.run(if turn { fails } else { passes }).await?;
                let wanted = if turn { State::Shows } else { State::Passes };
                left.retain(|at| states[*at] == wanted);
                if left.is_empty() {
                    break;
                }
            }
            if !left.is_empty() {
                let failure = |at: &usize| self.wanted[*at].test_id.as_ref().unwrap_or(&self.wanted[*at].message);
                named.push(Named {
                    cause: dimension.of,
                    failures: left.iter().map(|at| failure(at).clone()).collect(),
                    shown: format!(
                        "{REPEATS} of {REPEATS} repeats fail {}, and {REPEATS} of {REPEATS} pass {}",
                        fails.words, passes.words
                    ),
                });
                open.retain(|at| !left.contains(at));
            }
            // Where two were looked for, the next pair is found as easily by chance.
            if dimension.control.is_none() || open.is_empty() {
                break;
            }
        }
        Ok(())
    }

    /// One run on a fresh tree.
    async fn run(&mut self, setting: &Setting) -> Result<Vec<State>, Over> {
        let scope = if setting.scope == Scope::Usual { self.usual } else { setting.scope };
        let check = self.alone.as_ref().filter(|_| scope == Scope::Alone).unwrap_or(self.whole);
        let left = self.ends.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Over);
        }
        let stage = self.place.progress.begin("repeat", format!("the failing check {}", setting.words));
        self.place.prepared.refresh(self.place.tree).await.map_err(|_| Over)?;
        let script = format!("{}{}", setting.lines, reporting(&check.script));
        let limits = Limits { wall: left, ..Limits::default() };
        let run = self.place.prepared.run(&script, check.network, limits).await.map_err(|_| Over)?;
        let root = self.place.prepared.root().display().to_string();
        let observed = observe(check, run, None, &root);
        let states: Vec<State> = self.wanted.iter().map(|failure| state(&observed, failure)).collect();
        stage.end(match states.iter().find(|state| **state != State::Passes) {
            None => "passes",
            Some(_) if states.contains(&State::Shows) => "fails as in CI",
            Some(_) => "no answer",
        });
        Ok(states)
    }

    /// A locale of another language than English, where one is installed.
    async fn foreign_locale(&self) -> Option<String> {
        let limits = Limits { wall: Duration::from_secs(10), ..Limits::default() };
        let run = self.place.prepared.run("locale -a", Network::None, limits).await.ok()?;
        let listed = String::from_utf8_lossy(&run.finished.output).into_owned();
        let foreign = |name: &&str| {
            let name = name.to_ascii_lowercase();
            ["de_", "fr_", "es_", "tr_", "ja_", "ru_"].iter().any(|l| name.starts_with(l)) && name.contains("utf")
        };
        listed.lines().map(str::trim).find(foreign).map(str::to_owned)
    }
}

/// The first settings between which one of the `open` failures comes and goes: the one that shows it, the one that
/// does not.
fn pair<'a>(
    dimension: &'a Dimension,
    known: State,
    seen: &[Vec<State>],
    open: &[usize],
) -> Option<(&'a Setting, &'a Setting)> {
    let settings = &dimension.settings;
    let latest = seen.last()?;
    if let Some(control) = &dimension.control {
        let setting = settings.get(seen.len() - 1)?;
        return match known {
            State::Passes => open.iter().any(|at| latest[*at] == State::Shows).then_some((setting, control)),
            _ => open.iter().any(|at| latest[*at] == State::Passes).then_some((control, setting)),
        };
    }
    let first = |at: usize, state: State| seen.iter().position(|states| states[at] == state);
    let (shows, passes) = open.iter().find_map(|at| Some((first(*at, State::Shows)?, first(*at, State::Passes)?)))?;
    Some((&settings[shows], &settings[passes]))
}

fn state(run: &Observed, failure: &Failure) -> State {
    if run.keys().any(|key| failure.key.is_shown_by(key)) {
        return State::Shows;
    }
    let test = run.tests.as_ref().filter(|_| failure.test_id.is_some()).map(|tests| ran(tests, failure));
    match test {
        Some(Some(TestOutcome::Passed)) => State::Passes,
        None if run.passed() => State::Passes,
        _ => State::Unclear,
    }
}
