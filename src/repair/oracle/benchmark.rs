//! A benchmark is faster when many runs before and after say so, taken in turn, so that a machine that grows busier or
//! warmer meets both sides alike.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use serde::Deserialize;

use super::{
    Ruling, left_by,
    rank_sum::{chance_of_less, median},
};
use crate::{
    detect::Category,
    plan::Check,
    progress::Progress,
    repair::reproduce::{Baseline, run_check},
    sandbox::{Ended, Limits, Sandbox, SandboxError},
    workspace::{Change, Tree},
};

/// Runs of each side.
const RUNS: usize = 8;

/// With fewer, no p below [`CHANCE`] is possible or worth much.
const LEAST: usize = 5;

/// The least time that all runs together get.
const TIME_BOX: Duration = Duration::from_secs(120);

/// How likely luck may be.
const CHANCE: f64 = 0.01;

/// How much faster it must be.
const GAIN: f64 = 0.05;

/// Where pytest-benchmark writes, at the tree's root.
const REPORT: &str = ".test-repair-benchmark.json";

/// What is measured where the command has no report of its own.
const WALL: &str = "the command's wall time";

/// Seconds, by benchmark.
type Times = BTreeMap<String, f64>;

/// Is what failed faster after the change?
pub(super) async fn prove(
    sandbox: &dyn Sandbox,
    tree: &Tree,
    baselines: &[Baseline],
    change: &Change,
    progress: &Progress,
) -> Result<Ruling, SandboxError> {
    let candidate = tree.with(change)?;
    let mut notes = Vec::new();
    for baseline in baselines {
        let slow = baseline.claimed().iter().filter(|f| f.category == Category::Benchmark);
        let names: BTreeSet<String> = slow.filter_map(|f| f.test_id.clone()).collect();
        let checks = (0..baseline.runs().len()).filter(|check| baseline.shows_claimed(*check));
        for index in checks {
            let check = &baseline.job().checks[index];
            let expected = baseline.runs()[index][0].seconds;
            let [before, after] = measure(sandbox, [tree, &candidate], baseline, check, expected, progress).await?;
            match ruling(&before, &after, &names) {
                Ruling::Holds { notes: figures } => notes.extend(figures),
                other => return Ok(other),
            }
        }
    }
    Ok(match notes.is_empty() {
        true => Ruling::NotShown { why: vec!["no benchmark was reproduced that could be measured".to_owned()] },
        false => Ruling::Holds { notes },
    })
}

/// Runs the check before, after, after, before, and so on.
async fn measure(
    sandbox: &dyn Sandbox,
    trees: [&Tree; 2],
    baseline: &Baseline,
    check: &Check,
    expected: f64,
    progress: &Progress,
) -> Result<[Vec<Times>; 2], SandboxError> {
    let time = TIME_BOX.max(Duration::from_secs_f64(expected * 3.0));
    let begun = Instant::now();
    let mut samples = [Vec::new(), Vec::new()];
    for pair in 0..RUNS {
        // What is too slow for all runs still gets the least that can show anything.
        if pair >= LEAST && begun.elapsed() >= time {
            break;
        }
        let order = if pair % 2 == 0 { [0, 1] } else { [1, 0] };
        for side in order {
            let when = if side == 0 { "before" } else { "after" };
            let stage = progress.begin("prove", format!("the benchmark {when} the change, {} of {RUNS}", pair + 1));
            // Each side has the environment that its own tree builds; it is built once.
            let prepared = sandbox.prepare(baseline.recipe(), trees[side], side == 1).await?;
            let report = prepared.root().join(REPORT);
            let timed = Check { script: with_report(&check.script, &report.display().to_string()), ..check.clone() };
            let limits = Limits { wall: baseline.recipe().timeout, ..Limits::default() };
            let run = run_check(&*prepared, &timed, limits).await?;
            stage.end(&format!("{:.2} s", run.seconds));
            if !matches!(run.ended, Ended::Exit(_)) {
                return Ok(samples);
            }
            let times = left_by(&*prepared, REPORT).and_then(|report| read(&report));
            samples[side].push(times.unwrap_or_else(|| Times::from([(WALL.to_owned(), run.seconds)])));
        }
    }
    Ok(samples)
}

/// The script with pytest-benchmark's report. Where the plugin is not there, nothing may be asked of it.
fn with_report(script: &str, report: &str) -> String {
    let option = shell_words::quote(&format!("--benchmark-json={report}")).replace('"', "");
    format!(
        "if python -c 'import pytest_benchmark' 2> /dev/null; then\n\
         export PYTEST_ADDOPTS=\"${{PYTEST_ADDOPTS:-}} {option}\"\nfi\n{script}"
    )
}

#[derive(Deserialize)]
struct Report {
    benchmarks: Vec<Benchmark>,
}

#[derive(Deserialize)]
struct Benchmark {
    fullname: String,
    stats: Stats,
}

#[derive(Deserialize)]
struct Stats {
    median: f64,
}

/// Each benchmark's median; `None` where the bytes are no report, or an empty one.
fn read(report: &[u8]) -> Option<Times> {
    let report: Report = serde_json::from_slice(report).ok()?;
    let times: Times = report.benchmarks.into_iter().map(|b| (b.fullname, b.stats.median)).collect();
    let sound = !times.is_empty() && times.values().all(|t| t.is_finite() && *t >= 0.0);
    sound.then_some(times)
}

/// One benchmark, before and after.
struct Compared {
    figures: String,
    gain: f64,
    /// The chance that luck made it so much faster, and so much slower.
    faster: f64,
    slower: f64,
}

fn compare(name: &str, before: &[f64], after: &[f64]) -> Option<Compared> {
    let (was, is) = (median(before)?, median(after)?);
    let gain = if was > 0.0 { 1.0 - is / was } else { 0.0 };
    let (faster, slower) = (chance_of_less(after, before), chance_of_less(before, after));
    let figures = format!(
        "{name}: median {} before, {} after ({:+.1} %), {} (one-sided Mann-Whitney U, n = {} and {})",
        seconds(was),
        seconds(is),
        -100.0 * gain,
        if faster < 1e-4 { "p < 0.0001".to_owned() } else { format!("p = {faster:.4}") },
        before.len(),
        after.len()
    );
    Some(Compared { figures, gain, faster, slower })
}

fn seconds(time: f64) -> String {
    match time {
        t if t < 1e-6 => format!("{:.3} ns", t * 1e9),
        t if t < 1e-3 => format!("{:.3} µs", t * 1e6),
        t if t < 1.0 => format!("{:.3} ms", t * 1e3),
        t => format!("{t:.3} s"),
    }
}

/// What the runs say. `names` are the benchmarks that failed, where the log names them.
fn ruling(before: &[Times], after: &[Times], names: &BTreeSet<String>) -> Ruling {
    let runs = before.len().min(after.len());
    if runs < LEAST {
        let why = format!("only {runs} runs before and after ended: too few to tell a gain from luck");
        return Ruling::NotShown { why: vec![why] };
    }
    let of =
        |runs: &[Times], name: &str| -> Vec<f64> { runs.iter().filter_map(|run| run.get(name)).copied().collect() };
    let known: BTreeSet<&String> = before.iter().flat_map(BTreeMap::keys).collect();
    let is_named = |name: &str| {
        names.iter().any(|n| name == n || name.ends_with(&format!("::{n}")) || n.ends_with(&format!("::{name}")))
    };
    // Whatever failed must be faster; where nobody says what failed, something must be.
    let named: BTreeSet<&String> = known.iter().copied().filter(|name| is_named(name)).collect();
    let (mut reasons, mut why, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    for name in known {
        let (was, is) = (of(before, name), of(after, name));
        if is.len() < LEAST {
            reasons.push(format!("{name}: it is no longer measured after the change"));
            continue;
        }
        let Some(compared) = compare(name, &was, &is).filter(|_| was.len() >= LEAST) else {
            why.push(format!("{name}: it was measured in {} runs before the change only", was.len()));
            continue;
        };
        if compared.slower < CHANCE && compared.gain <= -GAIN {
            reasons.push(format!("slower: {}", compared.figures));
        } else if compared.faster < CHANCE && compared.gain >= GAIN {
            notes.push(compared.figures);
        } else if named.contains(name) || named.is_empty() {
            why.push(format!("no gain that could not be luck or noise: {}", compared.figures));
        }
    }
    match (reasons.is_empty(), why.is_empty() || named.is_empty() && !notes.is_empty(), notes.is_empty()) {
        (false, ..) => Ruling::Fails { reasons },
        (true, true, false) => Ruling::Holds { notes },
        _ => Ruling::NotShown { why },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn runs(name: &str, times: &[f64]) -> Vec<Times> {
        times.iter().map(|time| Times::from([(name.to_owned(), *time)])).collect()
    }

    fn both(one: Vec<Times>, other: Vec<Times>) -> Vec<Times> {
        one.into_iter()
            .zip(other)
            .map(|(mut a, b)| {
                a.extend(b);
                a
            })
            .collect()
    }

    const SLOW: [f64; 5] = [1.00, 1.02, 1.01, 1.05, 1.03];
    const FAST: [f64; 5] = [0.50, 0.52, 0.51, 0.55, 0.53];

    fn ruled(before: &[Times], after: &[Times], names: &[&str]) -> Ruling {
        ruling(before, after, &names.iter().map(|n| (*n).to_owned()).collect())
    }

    #[test]
    fn a_clear_gain_holds_and_its_figures_are_told() {
        let Ruling::Holds { notes } = ruled(&runs(WALL, &SLOW), &runs(WALL, &FAST), &[]) else { panic!() };
        let figures = "the command's wall time: median 1.020 s before, 520.000 ms after (-49.0 %), p = 0.0040 (one-sided Mann-Whitney U, n = 5 and 5)";
        assert_eq!(notes, [figures]);
    }

    #[test]
    fn a_gain_that_may_be_luck_or_is_too_small_is_not_shown() {
        let noisy = [1.0, 0.5, 1.1, 0.6, 1.2];
        assert!(matches!(ruled(&runs("b", &SLOW), &runs("b", &noisy), &[]), Ruling::NotShown { .. }));
        let steady = [1.000, 1.001, 1.002, 1.003, 1.004];
        let little = steady.map(|t| t * 0.98);
        assert!(matches!(ruled(&runs("b", &steady), &runs("b", &little), &[]), Ruling::NotShown { .. }));
        assert!(matches!(ruled(&runs("b", &SLOW[..4]), &runs("b", &FAST[..4]), &[]), Ruling::NotShown { .. }));
        assert!(matches!(ruled(&[], &[], &[]), Ruling::NotShown { .. }));
    }

    #[test]
    fn a_benchmark_that_is_slower_or_gone_fails() {
        assert!(matches!(ruled(&runs("b", &FAST), &runs("b", &SLOW), &[]), Ruling::Fails { .. }));
        assert!(matches!(ruled(&runs("b", &SLOW), &runs("c", &FAST), &[]), Ruling::Fails { .. }));
        let (before, after) = (both(runs("b", &SLOW), runs("c", &FAST)), both(runs("b", &FAST), runs("c", &SLOW)));
        assert!(matches!(ruled(&before, &after, &["b"]), Ruling::Fails { .. }));
    }

    #[test]
    fn what_failed_must_be_what_is_faster() {
        let (before, after) = (
            both(runs("t.py::b", &SLOW), runs("t.py::c", &SLOW)),
            both(runs("t.py::b", &FAST), runs("t.py::c", &SLOW)),
        );
        assert!(matches!(ruled(&before, &after, &["b"]), Ruling::Holds { notes } if notes.len() == 1));
        assert!(matches!(ruled(&before, &after, &["c"]), Ruling::NotShown { .. }));
        assert!(matches!(ruled(&before, &after, &[]), Ruling::Holds { .. }));
    }

    #[test]
    fn the_report_of_pytest_benchmark_is_read() {
        let report = br#"{"machine_info": {}, "benchmarks": [{"fullname": "tests/test_b.py::test_sum", "name": "test_sum", "stats": {"min": 0.1, "median": 0.25}}]}"#;
        assert_eq!(read(report), Some(Times::from([("tests/test_b.py::test_sum".to_owned(), 0.25)])));
        for other in
            ["", "{}", "{\"benchmarks\": []}", "{\"benchmarks\": [{\"fullname\": \"a\", \"stats\": {\"median\": -1}}]}"]
        {
            assert_eq!(read(other.as_bytes()), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            read(&bytes);
        }

        #[test]
        fn no_numbers_panic(
            before in proptest::collection::vec(0.0..10.0_f64, 0..9),
            after in proptest::collection::vec(0.0..10.0_f64, 0..9),
        ) {
            ruling(&runs("b", &before), &runs("b", &after), &BTreeSet::new());
        }

        #[test]
        fn what_does_not_change_never_holds(times in proptest::collection::vec(0.001..10.0_f64, 5..9)) {
            let held = matches!(ruled(&runs("b", &times), &runs("b", &times), &[]), Ruling::Holds { .. });
            prop_assert!(!held);
        }
    }
}
