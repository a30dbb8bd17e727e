//! Strength: a changed line is worth what the project's tests say when it is broken (JUDGEMENT.md).
//!
//! The first mutant that any test notices is enough, so most repairs cost one run more. Where none is noticed, one run
//! marks the lines that are executed at all: only those count.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    time::{Duration, Instant},
};

use ruff_python_ast::comparable::ComparableStmt;
use ruff_python_parser::parse_module;

use super::{
    LARGEST_SOURCE,
    choose::{self, Site},
    edited,
    mutants::{self, Mutant},
};
use crate::{
    detect::Key,
    integrity::{is_test_file, on_a_deep_stack},
    observe::{Observed, TestOutcome, runs},
    progress::Progress,
    repair::{
        reproduce::{Baseline, run_check},
        validate::CheckResult,
    },
    sandbox::{Ended, Limits, Prepared, Sandbox, SandboxError},
    workspace::{Change, Tree},
};

/// So many ways to break the change are tried.
const MUTANTS: usize = 4;

/// So many that tests execute and do not notice are a sign; fewer may well mean the same in other words.
const FEWEST: usize = 2;

/// So many are looked at.
const MATERIAL: usize = 500;

/// All of it shares so much time.
const TIME_BOX: Duration = Duration::from_secs(60);

/// The least time that a run gets to notice one mutant.
const PATIENCE: Duration = Duration::from_secs(20);

/// Marks are files at the tree's root: homes and reports do not outlast a run.
const MARK: &str = ".test-repair-ran-";

/// What the job's tests say when what the change wrote is broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Strength {
    /// Nothing that the change wrote can be broken.
    Nothing,
    /// A test notices.
    Noticed(String),
    /// No test notices anything that was tried: a person must look.
    Unnoticed(String),
    /// It can't be said, and why.
    NotChecked(String),
}

/// Breaks what the change wrote, and runs the job's tests. `checks` are what validation saw.
///
/// # Errors
/// When the sandbox fails twice.
pub async fn strength(
    sandbox: &dyn Sandbox,
    tree: &Tree,
    baselines: &[Baseline],
    change: &Change,
    checks: &[CheckResult],
    progress: &Progress,
) -> Result<Strength, SandboxError> {
    let candidate = tree.with(change)?;
    let Some(material) = on_a_deep_stack(|| Material::of(change)) else {
        return Ok(not_checked("the change could not be read"));
    };
    if material.mutants.is_empty() {
        return Ok(Strength::Nothing);
    }
    let Some((baseline, index)) = baselines.iter().find_map(|b| Some((b, with_tests(b)?))) else {
        return Ok(not_checked("no job that was reproduced runs tests"));
    };
    let script = &baseline.job().checks[index].script;
    let ran = checks.iter().find(|c| c.job == baseline.job().name && c.command == *script);
    let seconds = ran.map_or(f64::MAX, |check| check.seconds);
    if seconds > TIME_BOX.as_secs_f64() {
        return Ok(not_checked("one run of the tests takes longer than the time for it"));
    }
    let prepared = sandbox.prepare(baseline.recipe(), &candidate, true).await?;
    Bench { prepared, baseline, index, candidate: &candidate, seconds, progress }.break_things(&material).await
}

fn not_checked(why: &str) -> Strength {
    Strength::NotChecked(format!("whether tests notice when the changed lines are broken: {why}"))
}

/// The check that shows what CI reported, where it runs tests; else the job's first that does.
fn with_tests(baseline: &Baseline) -> Option<usize> {
    let tests = |index: &usize| {
        let check = &baseline.job().checks[*index];
        let claimed = || baseline.claimed().iter().any(|failure| matches!(failure.key, Key::Test { .. }));
        let reported = baseline.runs()[*index][0].tests.is_some() || baseline.shows_claimed(*index) && claimed();
        !check.installs && (reported || runs(&check.script, "pytest"))
    };
    let all = || 0..baseline.runs().len();
    all().filter(tests).find(|index| baseline.shows_claimed(*index)).or_else(|| all().find(tests))
}

/// The ways to break what the change wrote in the product, and the files' texts.
#[derive(Default)]
struct Material {
    mutants: Vec<Mutant>,
    texts: BTreeMap<String, String>,
}

impl Material {
    fn of(change: &Change) -> Material {
        let mut material = Material::default();
        for (path, file) in change.files.iter().filter(|(path, _)| path.ends_with(".py") && !is_test_file(path)) {
            let text = |bytes: &Option<Vec<u8>>| bytes.clone().map(String::from_utf8);
            let Some(Ok(after)) = text(&file.after).filter(|_| !file.symlink) else { continue };
            let Ok(before) = text(&file.before).unwrap_or_else(|| Ok(String::new())) else { continue };
            if after.len() > LARGEST_SOURCE || means_the_same(&before, &after) {
                continue;
            }
            let written = written(&before, &after);
            let mut mutants = mutants::mutants(path, &after);
            mutants.retain(|mutant| {
                let span = mutant.span();
                let next = written.partition_point(|lines| lines.end <= span.start);
                written.get(next).is_some_and(|lines| lines.start < span.end)
            });
            material.mutants.extend(mutants);
            material.texts.insert(path.clone(), after);
        }
        // More are never tried, but every one of them would be marked.
        material.mutants.truncate(MATERIAL);
        material
    }

    /// A mutant, and the text that it breaks.
    fn get(&self, index: usize) -> Option<(&Mutant, &str)> {
        let mutant = self.mutants.get(index)?;
        Some((mutant, self.texts.get(&mutant.file)?))
    }
}

/// Is only the layout another?
fn means_the_same(before: &str, after: &str) -> bool {
    let (Ok(before), Ok(after)) = (parse_module(before), parse_module(after)) else { return false };
    let (before, after) = (&before.syntax().body, &after.syntax().body);
    before.iter().map(ComparableStmt::from).eq(after.iter().map(ComparableStmt::from))
}

/// The bytes of `after` whose lines `before` does not have, in order.
fn written(before: &str, after: &str) -> Vec<Range<usize>> {
    let starts: Vec<usize> = std::iter::once(0).chain(after.match_indices('\n').map(|(at, _)| at + 1)).collect();
    let byte = |line: usize| starts.get(line).copied().unwrap_or(after.len());
    let diff = similar::TextDiff::from_lines(before, after);
    let new = diff.ops().iter().filter(|op| !matches!(op, similar::DiffOp::Equal { .. })).map(|op| op.new_range());
    new.filter(|lines| !lines.is_empty()).map(|lines| byte(lines.start)..byte(lines.end)).collect()
}

/// Where the job's tests run.
struct Bench<'a> {
    prepared: Box<dyn Prepared>,
    baseline: &'a Baseline,
    index: usize,
    candidate: &'a Tree,
    /// A run of the tests took so long, with the change.
    seconds: f64,
    progress: &'a Progress,
}

impl Bench<'_> {
    async fn break_things(&mut self, material: &Material) -> Result<Strength, SandboxError> {
        let begun = Instant::now();
        let sites: Vec<Site> = material.mutants.iter().map(site).collect();
        let mut executed: Option<BTreeSet<usize>> = None;
        let mut missed: Vec<String> = Vec::new();
        let counts = |executed: &Option<BTreeSet<usize>>, index: usize| {
            executed.as_ref().is_none_or(|executed| executed.contains(&index))
        };
        for index in choose::order(&sites) {
            if missed.len() == MUTANTS || begun.elapsed().as_secs_f64() + self.seconds > TIME_BOX.as_secs_f64() {
                break;
            }
            if !counts(&executed, index) {
                continue;
            }
            let Some((mutant, text)) = material.get(index) else { continue };
            let Some(Some(mutated)) = on_a_deep_stack(|| mutant.applied(text)) else { continue };
            let what = mutant.describe(text);
            let stage = self.progress.begin("prove", format!("broken: {what}"));
            let run = self.run(&mutant.file, text, mutated).await?;
            let noticed = self.notices(&run);
            stage.end(if noticed { "noticed" } else { "not noticed" });
            if noticed {
                return Ok(Strength::Noticed(format!("the tests notice when a changed line is broken: {what}")));
            }
            if executed.is_none() {
                executed = Some(self.executed(material).await?);
            }
            if counts(&executed, index) {
                missed.push(what);
            }
        }
        Ok(match (executed.is_some_and(|lines| lines.is_empty()), missed.len()) {
            (true, _) => not_checked("the job's tests execute none of them"),
            (false, 0..FEWEST) => not_checked("too few ways to break them could be tried"),
            (false, _) => {
                let missed = missed.join("; ");
                Strength::Unnoticed(format!("no test notices when what the change wrote is broken: {missed}"))
            }
        })
    }

    /// The mutants whose lines the tests execute: each line leaves a mark when it runs.
    async fn executed(&mut self, material: &Material) -> Result<BTreeSet<usize>, SandboxError> {
        let root = self.prepared.root().to_owned();
        let mark = |index: usize| root.join(format!("{MARK}{index}"));
        let touch = |index| format!("__import__('pathlib').Path({:?}).touch()", mark(index).display().to_string());
        let mut marked = Change::default();
        for (path, text) in &material.texts {
            let of_file = material.mutants.iter().enumerate().filter(|(_, mutant)| mutant.file == *path);
            let of_file: Vec<(usize, &Mutant)> = of_file.collect();
            if let Some(Some(after)) = on_a_deep_stack(|| mutants::marked(text, &of_file, touch)) {
                marked.files.insert(path.clone(), edited(self.candidate, path, text, after));
            }
        }
        let stage = self.progress.begin("prove", "which of the changed lines the tests execute");
        self.prepared.refresh(&self.candidate.with(&marked)?).await?;
        self.check().await?;
        let line = |mutant: &Mutant| (mutant.file.clone(), mutant.line);
        let numbered = || material.mutants.iter().enumerate();
        let ran = numbered().filter(|(index, _)| mark(*index).symlink_metadata().is_ok());
        let ran: BTreeSet<_> = ran.map(|(_, mutant)| line(mutant)).collect();
        let all: BTreeSet<_> = material.mutants.iter().map(line).collect();
        stage.end(&format!("{} of {}", ran.len(), all.len()));
        Ok(numbered().filter(|(_, mutant)| ran.contains(&line(mutant))).map(|(index, _)| index).collect())
    }

    async fn run(&mut self, path: &str, text: &str, mutated: String) -> Result<Observed, SandboxError> {
        let file = edited(self.candidate, path, text, mutated);
        let broken = self.candidate.with(&Change { files: BTreeMap::from([(path.to_owned(), file)]) })?;
        self.prepared.refresh(&broken).await?;
        self.check().await
    }

    async fn check(&self) -> Result<Observed, SandboxError> {
        let wall = PATIENCE.max(Duration::from_secs_f64(self.seconds * 5.0));
        let check = &self.baseline.job().checks[self.index];
        run_check(&*self.prepared, check, Limits { wall, ..Limits::default() }).await
    }

    /// Does a test fail that is known to pass?
    fn notices(&self, run: &Observed) -> bool {
        if run.passed() {
            return false;
        }
        let Some(tests) = &run.tests else { return true };
        let failed = tests.iter().any(|(id, o)| *o == TestOutcome::Failed && !self.baseline.excused(id));
        failed || !matches!(run.ended, Ended::Exit(0 | 1))
    }
}

/// All of them count for the same tests: those of the job.
fn site(mutant: &Mutant) -> Site {
    Site {
        function: format!("{} {}", mutant.file, mutant.function),
        kind: mutant.kind,
        line: mutant.line,
        tests: BTreeSet::from([0]),
        fresh: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::FileChange;

    fn change(path: &str, before: &str, after: &str) -> Change {
        let file = FileChange {
            before: Some(before.as_bytes().to_vec()),
            after: Some(after.as_bytes().to_vec()),
            executable: false,
            symlink: false,
        };
        Change { files: BTreeMap::from([(path.to_owned(), file)]) }
    }

    #[test]
    fn only_what_the_change_wrote_in_the_product_is_broken() {
        let before = "def f(a):\n    return a + 1\n\n\ndef g(a):\n    return a\n";
        let after = before.replace("return a\n", "return (\n        a < 2\n    )\n");
        let broken = |path| -> Vec<String> {
            let material = Material::of(&change(path, before, &after));
            material.mutants.iter().map(|mutant| mutant.describe(&after)).collect()
        };
        let expected = [
            "shop.py:6 in g: `a < 2` → `((a) >= (2))`",
            "shop.py:6 in g: `a < 2` → `None`",
            "shop.py:6 in g: `2` → `(2 + 1)`",
        ];
        assert_eq!(broken("shop.py"), expected);
        assert_eq!(broken("tests/test_shop.py"), Vec::<String>::new());
        let formatted = before.replace("a + 1", "(a+1)");
        assert!(Material::of(&change("shop.py", before, &formatted)).mutants.is_empty());
    }
    #[test]
    fn a_large_file_is_looked_at_in_no_time_and_a_larger_one_not_at_all() {
        let function = |n: usize| format!("def f{n}(a):\n    return a + {n} < {n}\n\n\n");
        let before: String = (0..10_000).map(function).collect();
        let material = Material::of(&change("shop.py", "", &before));
        assert_eq!(material.mutants.len(), MATERIAL);
        let after = before.replace("a + 9999 <", "a - 9999 <");
        let lines: BTreeSet<u32> =
            Material::of(&change("shop.py", &before, &after)).mutants.iter().map(|m| m.line).collect();
        assert_eq!(lines, BTreeSet::from([39_998]));
        assert!(Material::of(&change("shop.py", "", &before.repeat(4))).mutants.is_empty());
    }
}
