//! What the same workflow checks beside the failing job: one cell of each other job, or why that job is not run.

use std::{cell::LazyCell, collections::BTreeSet};

use serde::Deserialize;

use super::{
    Job, Overrides, Skipped, Sources,
    place::is_the_runners,
    rebuild::{Part, cells, chosen, skip},
    shell,
    workflow::{Cell, CellStep, Choice, Condition, Kind, Text, python_of, same_minor},
};
use crate::detect::JobLog;

/// The jobs beside the failing ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Beside {
    /// Those that can be run here, the quickest first.
    pub jobs: Vec<Job>,
    /// The others, and why.
    pub skipped: Vec<Skipped>,
}

/// Which cells of a failing job's own matrix are run beside those that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cells {
    /// None.
    None,
    /// The nearest that can be run.
    #[default]
    One,
    /// All that can be run.
    All,
}

impl Cells {
    /// As the configuration spells it.
    pub fn word(self) -> &'static str {
        match self {
            Cells::None => "none",
            Cells::One => "one",
            Cells::All => "all",
        }
    }
}

/// How long a job may take, as far as its commands say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// It reads the code: linters, formatters, types.
    Light,
    /// Documentation, packages, whatever else.
    Medium,
    /// It runs tests.
    Heavy,
}

pub(super) fn beside(
    failing: &[(&JobLog, &Job)],
    sources: &Sources,
    overrides: &Overrides,
    matrix: Cells,
    pythons: &dyn Fn() -> Vec<String>,
) -> Beside {
    let mut beside = Beside::default();
    let pythons = LazyCell::new(pythons);
    let mut taken = BTreeSet::new();
    let all: Vec<Vec<Cell>> = failing.iter().map(|(log, _)| cells(log, sources, overrides)).collect();
    let mut of_log = Vec::new();
    for ((log, job), cells) in failing.iter().zip(&all) {
        match chosen(cells, log, sources, overrides) {
            Ok(choice) => {
                taken.insert((choice.cell.entry.as_str(), choice.cell.id.as_str()));
                of_log.push((choice.cell, *job, cells));
            }
            // Where there are none at all, nothing is missing.
            Err(_) if cells.is_empty() => {}
            Err(why) => {
                let missing = skip("the workflow's other jobs", &why);
                beside.skipped.extend((!beside.skipped.contains(&missing)).then_some(missing));
            }
        }
    }
    beside.own_matrix(&of_log, matrix, &|| pythons.clone());
    for (failed, job, cells) in of_log {
        let entry = failed.entry.as_str();
        for cell in cells.iter().filter(|cell| cell.entry == entry) {
            if !taken.insert((entry, &cell.id)) {
                continue;
            }
            let group: Vec<&Cell> = cells.iter().filter(|c| c.entry == entry && c.id == cell.id).collect();
            match rebuilt(&group, group.len() == 1, job, &|| pythons.clone()) {
                Ok(other) => beside.jobs.push(other),
                Err(why) => beside.skipped.push(skip(&title(cell, group.len() == 1), &why)),
            }
        }
    }
    beside.jobs.sort_by_key(Job::weight);
    let known: Vec<&Job> = failing.iter().map(|(_, job)| *job).collect();
    beside.leave_out_repeated(&known);
    beside
}

/// The best of a job's cells, as it can be run; or why none can. `only` where the job has no other.
fn rebuilt(group: &[&Cell], only: bool, failing: &Job, pythons: &dyn Fn() -> Vec<String>) -> Result<Job, String> {
    let (mut runnable, mut why) = (Vec::new(), String::new());
    for cell in group {
        match unrunnable(cell) {
            None => runnable.push(*cell),
            Some(reason) => why = reason,
        }
    }
    // Of cells that are as near, the file's first; where any Python failed, the newest.
    let minor = |version: &str| version.split('.').nth(1).and_then(|minor| minor.parse().ok()).unwrap_or(u32::MAX);
    let named = |cell: &Cell| python_of(cell).filter(|python| python.contains('.'));
    runnable.sort_by_key(|cell| named(cell).map_or(0, |python| minor(&python).abs_diff(minor(&failing.python))));
    let mut missing = Vec::new();
    for cell in runnable {
        // One that names none takes what is there for sure.
        let python = named(cell).filter(|python| !same_minor(python, &failing.python));
        if let Some(python) = python.as_ref().filter(|python| !pythons().iter().any(|here| same_minor(here, python))) {
            missing.push(python.clone());
            continue;
        }
        let mut job = of_cell(cell, title(cell, only), python.as_ref().unwrap_or(&failing.python));
        if python.is_none() {
            // What CI had at that time is the same in its jobs.
            job.versions.clone_from(&failing.versions);
        }
        return match job.checks.is_empty() {
            false => Ok(job),
            true => Err(nothing_to_check(&job)),
        };
    }
    match missing.is_empty() {
        true => Err(why),
        false => Err(format!("there is no Python {} here", missing.join(" or "))),
    }
}

/// A job as one of the workflow's cells has it, all of its steps: no log shows it.
fn of_cell(cell: &Cell, name: String, python: &str) -> Job {
    let mut job = Job { python: python.to_owned(), python_from: "the workflow", ..Job::named(name) };
    job.note_cell(&Choice { cell, failing: 0, also: Vec::new() });
    let scripts = cell.steps.iter().rev().filter(|step| matches!(step.kind, Kind::Run { .. }));
    job.directory = scripts.filter_map(|step| step.directory.known()).next().unwrap_or_default().to_owned();
    let everywhere = |name: &String, value: &Text| cell.steps.iter().all(|step| step.env.get(name) == Some(value));
    let common = cell.steps.iter().take(1).flat_map(|step| &step.env);
    for (name, value) in common.filter(|(name, value)| everywhere(name, value) && !is_the_runners(name)) {
        match value {
            Text::Known(value) => drop(job.env.insert(name.clone(), value.clone())),
            Text::Unknown(_, why) => job.skipped.push(skip(&format!("env {name}"), why)),
        }
    }
    for step in &cell.steps {
        let own = |(name, value): (&String, &Text)| is_secret(value) && !everywhere(name, value);
        let script = matches!(&step.kind, Kind::Run { script, .. } if is_secret(script));
        if script || matches!(step.kind, Kind::Run { .. }) && step.env.iter().any(own) {
            job.skipped.push(skip(&step.title, "it needs a secret, which nothing gets here"));
        } else {
            job.cell_step(step, Part::Passed);
        }
    }
    job.finish();
    job
}

/// What GitHub calls a job; of several cells, one.
fn title(cell: &Cell, only: bool) -> String {
    match &cell.name {
        Some(name) if only || cell.matrix.iter().any(|(_, value)| name.contains(value.as_str())) => name.clone(),
        _ if only || cell.matrix.is_empty() => cell.id.clone(),
        name => {
            let values: Vec<&str> = cell.matrix.iter().map(|(_, value)| value.as_str()).collect();
            format!("{} ({})", name.as_ref().unwrap_or(&cell.id), values.join(", "))
        }
    }
}

/// Why a cell can't, or must not, be run here.
fn unrunnable(cell: &Cell) -> Option<String> {
    match &cell.condition {
        Condition::Yes => {}
        Condition::No(condition) => return Some(format!("its condition `{condition}` does not hold")),
        Condition::Unknown(why) => return Some(format!("whether it runs is not known: {why}")),
    }
    if cell.steps.is_empty() {
        return Some(cell.notes.last().cloned().unwrap_or_else(|| "it has no steps".to_owned()));
    }
    if let Some(label) = cell.runs_on.iter().find(|label| label.starts_with("windows") || label.starts_with("macos")) {
        return Some(format!("it runs on {label}"));
    }
    if let Some(image) = &cell.container {
        return Some(format!("it runs in the container {image}"));
    }
    if !cell.services.is_empty() {
        let names: Vec<&str> = cell.services.iter().map(|(name, _)| name.as_str()).collect();
        return Some(format!("it needs services: {}", names.join(", ")));
    }
    let runs = cell.steps.iter().filter(|step| matches!(step.condition, Condition::Yes));
    if let Some(what) = runs.clone().find_map(publishes) {
        return Some(format!("it publishes or deploys: {what}"));
    }
    let uses = |wanted: &str| {
        runs.clone().any(|step| matches!(&step.kind, Kind::Uses { action, .. } if action.starts_with(wanted)))
    };
    if uses("actions/download-artifact") {
        return Some("it needs what another job made".to_owned());
    }
    (!uses("actions/checkout")).then(|| "it does not check the code out".to_owned())
}

/// The action or the command that brings something out of the run for good.
fn publishes(step: &CellStep) -> Option<String> {
    const ACTIONS: &[&str] = &["publish", "deploy", "gh-pages", "gh-release", "create-release", "release-drafter"];
    const WORDS: &[&str] = &["publish", "gh-deploy", "deploy", "semantic-release"];
    match &step.kind {
        Kind::Uses { action, .. } => {
            let name = action.rsplit('/').next().unwrap_or(action);
            ACTIONS.iter().any(|word| name.contains(word)).then(|| action.clone())
        }
        Kind::Run { script, .. } => {
            let of = |line: &&str| {
                let words = shell::words_of(line);
                let pair = |pair: &[String]| {
                    matches!((pair[0].as_str(), pair[1].as_str()), ("twine", "upload") | ("git" | "docker", "push"))
                };
                words.iter().take(4).any(|word| WORDS.contains(&word.as_str())) || words.windows(2).any(pair)
            };
            script.written().lines().find(of).map(|line| line.trim().to_owned())
        }
    }
}

fn is_secret(text: &Text) -> bool {
    matches!(text, Text::Unknown(written, why) if why.ends_with(" is a secret") || written.contains("github.token"))
}

/// Why a job has no check: because of what is left out of it, or because it is none.
fn nothing_to_check(job: &Job) -> String {
    let told = |skipped: &&Skipped| !matches!(skipped.what.as_str(), "workflow files");
    match job.skipped.iter().rev().find(told) {
        Some(Skipped { what, why }) => format!("none of its commands that can be run here is a check ({what}: {why})"),
        None => "none of its commands is a check".to_owned(),
    }
}

impl Beside {
    /// The cells of the failing jobs' own matrices that did not fail, as far as they are wanted. `of_log` has for each log
    /// the cell that failed, its job, and all cells.
    fn own_matrix(&mut self, of_log: &[(&Cell, &Job, &Vec<Cell>)], matrix: Cells, pythons: &dyn Fn() -> Vec<String>) {
        let same = |a: &Cell, b: &Cell| (&a.entry, &a.id) == (&b.entry, &b.id);
        let is_failed = |cell: &Cell| of_log.iter().any(|(f, ..)| same(f, cell) && f.matrix == cell.matrix);
        for (index, (failed, job, cells)) in of_log.iter().enumerate() {
            if of_log.iter().take(index).any(|(earlier, ..)| same(earlier, failed)) {
                continue;
            }
            let others: Vec<&Cell> = cells.iter().filter(|cell| same(cell, failed) && !is_failed(cell)).collect();
            let groups: Vec<&[&Cell]> = match matrix {
                Cells::None => Vec::new(),
                Cells::One => (!others.is_empty()).then_some(others.as_slice()).into_iter().collect(),
                Cells::All => others.chunks(1).collect(),
            };
            for group in groups {
                match rebuilt(group, false, job, pythons) {
                    Ok(job) => self.jobs.push(job),
                    Err(why) => {
                        let names: Vec<String> = group.iter().map(|cell| title(cell, false)).collect();
                        self.skipped.push(skip(&names.join(", "), &why));
                    }
                }
            }
        }
    }

    /// What a job checks that another checks in the same environment needs no second run.
    fn leave_out_repeated(&mut self, failing: &[&Job]) {
        let mut kept: Vec<Job> = Vec::new();
        for mut job in std::mem::take(&mut self.jobs) {
            let alike = |other: &&Job| {
                let scripts = |job: &Job| -> Vec<String> {
                    job.install.iter().chain(&job.setup).map(|line| line.script.clone()).collect()
                };
                same_minor(&other.python, &job.python)
                    && (&other.env, &other.directory) == (&job.env, &job.directory)
                    && scripts(other) == scripts(&job)
            };
            let others: Vec<&Job> = failing.iter().copied().chain(&kept).filter(alike).collect();
            let ran = |script: &str| others.iter().any(|job| job.checks.iter().any(|check| check.script == script));
            let mut known = BTreeSet::new();
            let mut new = |script: &str| !ran(script) && known.insert(script.to_owned());
            let left: Vec<_> = job.checks.iter().filter(|check| new(&check.script)).cloned().collect();
            if left.is_empty() {
                let names: Vec<&str> = others.iter().map(|job| job.name.as_str()).collect();
                let why = format!("all that it checks is run by {}, in the same environment", names.join(" and "));
                self.skipped.push(skip(&job.name, &why));
                continue;
            }
            job.checks = left;
            kept.push(job);
        }
        self.jobs = kept;
    }
}

impl Job {
    /// How long its checks may take.
    pub fn weight(&self) -> Weight {
        self.checks.iter().map(|check| weight(&check.script)).max().unwrap_or(Weight::Light)
    }
}

fn weight(script: &str) -> Weight {
    const LIGHT: &[&str] = &[
        "ruff",
        "flake8",
        "black",
        "isort",
        "mypy",
        "pyright",
        "pylint",
        "bandit",
        "codespell",
        "typos",
        "pre-commit",
        "lint",
        "style",
        "format",
        "typ",
        "vulture",
        "pyflakes",
    ];
    const HEAVY: &[&str] = &["test", "tox", "nox", "make", "trial", "coverage", "asv"];
    let words = shell::words_of(script.lines().last().unwrap_or_default());
    let has = |named: &[&str]| words.iter().any(|word| named.iter().any(|name| word.contains(name)));
    let suite = words.iter().any(|word| matches!(word.as_str(), "pytest" | "unittest"));
    match (has(LIGHT) && !suite, has(HEAVY)) {
        (true, _) => Weight::Light,
        (false, true) => Weight::Heavy,
        (false, false) => Weight::Medium,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{detect::Detector, plan, plan::workflow::Workflows};

    /// What stands beside the job `test`, which ran `pytest` with Python 3.12, where 3.11, 3.12 and 3.14 are here.
    fn beside(files: &[(&str, &str)]) -> Beside {
        beside_with(files, Cells::One)
    }

    fn beside_with(files: &[(&str, &str)], matrix: Cells) -> Beside {
        let read = files.iter().map(|(path, text)| (format!(".github/workflows/{path}"), (*text).to_owned()));
        let sources = Sources { workflows: Workflows::read(read), ..Sources::default() };
        let mut detector = Detector::new("log");
        detector.feed(
            b"Complete job name: test\nSuccessfully set up CPython (3.12.1)\n##[group]Run pip install -e .\n\x1b[36;1mpip install \
              -e .\x1b[0m\nshell: /usr/bin/bash -e {0}\n##[endgroup]\nSuccessfully installed pytest-8.3.4\n##[group]Run \
              pytest\n\x1b[36;1mpytest\x1b[0m\nshell: /usr/bin/bash -e {0}\n##[endgroup]\nFAILED tests/test_a.py::test_a - \
              AssertionError: x\n##[error]Process completed with exit code 1.\n",
        );
        let log = detector.finish().remove(0);
        let job = plan::plan(&log, &sources, &Overrides::default());
        let pythons = || ["3.11.7", "3.12.1", "3.14.0"].map(str::to_owned).to_vec();
        plan::beside(&[(&log, &job)], &sources, &Overrides::default(), matrix, &pythons)
    }

    const TEST: &str = "
on: push
jobs:
  test:
    name: test
    runs-on: ubuntu-latest
    steps: [{uses: actions/checkout@v5}, {run: pip install -e .}, {run: pytest}]
";

    /// A job of this one command, for each of these Pythons.
    fn job(id: &str, pythons: &str, command: &str) -> String {
        format!(
            "  {id}:
    runs-on: ${{{{ matrix.os }}}}
    strategy: {{matrix: {{os: [windows-latest, ubuntu-latest], python: [{pythons}]}}}}
    steps:
      - uses: actions/checkout@v5
      - {{uses: actions/setup-python@v6, with: {{python-version: '${{{{ matrix.python }}}}'}}}}
      - run: {command}
"
        )
    }

    fn of(jobs: &[String]) -> Beside {
        beside(&[("ci.yml", &format!("{TEST}{}", jobs.concat()))])
    }

    #[test]
    fn one_cell_of_each_job_runs_that_with_the_python_nearest_to_the_failing_one() {
        let found = of(&[job("lint", "'3.9', '3.12', '3.14'", "ruff check")]);
        let [lint] = found.jobs.as_slice() else { panic!("{found:?}") };
        assert_eq!((lint.name.as_str(), lint.python.as_str()), ("lint (ubuntu-latest, 3.12)", "3.12.1"));
        // The log's versions are those of that day: for this Python.
        assert_eq!(lint.versions, [("pytest".to_owned(), "8.3.4".to_owned())]);
        let found = of(&[job("lint", "'3.9', '3.13', '3.14'", "ruff check")]);
        assert_eq!((found.jobs[0].python.as_str(), found.jobs[0].versions.len()), ("3.14", 0));
        let found = of(&[job("lint", "'3.9', '3.13'", "ruff check")]);
        assert_eq!(found.skipped[0].why, "there is no Python 3.13 or 3.9 here");
    }

    #[test]
    fn a_cell_beside_the_one_that_failed_is_run_as_well() {
        let test = TEST.replace(
            "    name: test\n    runs-on: ubuntu-latest\n    steps: [{uses: actions/checkout@v5},",
            "    runs-on: ubuntu-latest\n    strategy: {matrix: {python: ['3.9', '3.11', '3.12', '3.14']}}\n    name: test\n    \
             steps: [{uses: actions/checkout@v5}, {uses: actions/setup-python@v6, with: {python-version: '${{ matrix.python }}'}},",
        );
        let found = beside(&[("ci.yml", &test)]);
        let [cell] = found.jobs.as_slice() else { panic!("{found:?}") };
        assert_eq!((cell.name.as_str(), cell.python.as_str()), ("test (3.11)", "3.11"));
        assert_eq!(cell.checks[0].script, "pytest");
        let all = beside_with(&[("ci.yml", &test)], Cells::All);
        let names: Vec<&str> = all.jobs.iter().map(|job| job.name.as_str()).collect();
        assert_eq!(names, ["test (3.11)", "test (3.14)"]);
        assert_eq!(all.skipped, [skip("test (3.9)", "there is no Python 3.9 here")]);
        assert_eq!(beside_with(&[("ci.yml", &test)], Cells::None), Beside::default());
    }

    #[test]
    fn what_reads_the_code_comes_before_what_runs_it() {
        let jobs = [("suite", "tox -e py"), ("docs", "sphinx-build docs out"), ("types", "mypy src")];
        let found = of(&jobs.map(|(id, command)| job(id, "'3.12'", command)));
        let ids: Vec<&str> = found.jobs.iter().filter_map(|job| job.name.split(' ').next()).collect();
        assert_eq!(ids, ["types", "docs", "suite"]);
        assert_eq!(weight("pytest tests/test_style.py"), Weight::Heavy);
    }

    #[test]
    fn a_job_that_checks_the_same_in_the_same_environment_is_not_run_again() {
        let same = "  same:\n    runs-on: x\n    steps: [{uses: actions/checkout@v5}, {run: pip install -e .}, {run: \"pytest\\nmypy .\\nmypy .\"}]\n";
        let found = of(&[same.to_owned(), same.replace("same:", "twice:"), job("other", "'3.11'", "pytest")]);
        let checks = |job: &Job| job.checks.iter().map(|check| check.script.clone()).collect::<Vec<_>>();
        assert_eq!(found.jobs.iter().map(checks).collect::<Vec<_>>(), [vec!["mypy ."], vec!["pytest"]]);
        assert_eq!(
            found.skipped,
            [skip("twice", "all that it checks is run by test and same, in the same environment")]
        );
    }

    #[test]
    fn a_step_that_only_may_publish_leaves_its_job_a_check() {
        let docs = "  docs:\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v5\n      - run: mkdocs build\n      - {run: mkdocs gh-deploy, if: github.ref == 'refs/heads/main'}\n";
        let found = of(&[docs.to_owned()]);
        assert_eq!(found.jobs[0].checks.len(), 1, "{found:?}");
        let found = of(&[docs.replace(", if: github.ref == 'refs/heads/main'", "")]);
        assert_eq!(found.skipped, [skip("docs", "it publishes or deploys: mkdocs gh-deploy")]);
    }

    #[test]
    fn a_secret_of_the_whole_job_is_left_out_and_one_of_a_step_leaves_the_step_out() {
        let job = "  lint:\n    runs-on: x\n    env: {TOKEN: '${{ secrets.T }}', MODE: ci}\n    steps:\n      - uses: actions/checkout@v5\n      - run: ruff check\n      - {run: ./report, env: {KEY: '${{ secrets.K }}'}}\n";
        let found = of(&[job.to_owned()]);
        assert_eq!(found.jobs[0].env.iter().collect::<Vec<_>>(), [(&"MODE".to_owned(), &"ci".to_owned())]);
        assert_eq!(found.jobs[0].checks.len(), 1);
        let left_out: Vec<&str> = found.jobs[0].skipped.iter().map(|skipped| skipped.what.as_str()).collect();
        assert_eq!(left_out, ["env TOKEN", "./report"]);
    }

    #[test]
    fn called_workflows_are_beside_each_other_and_other_files_are_not() {
        let caller = "on: push\njobs:\n  tests: {uses: ./.github/workflows/test.yml}\n  style: {uses: ./.github/workflows/style.yml}\n";
        let test = TEST.replace("on: push", "on: workflow_call");
        let style = "on: workflow_call\njobs:\n  lint:\n    runs-on: x\n    steps: [{uses: actions/checkout@v5}, {run: ruff check}]\n";
        let apart = style.replace("workflow_call", "push").replace("lint", "apart");
        let found = beside(&[("ci.yml", caller), ("test.yml", &test), ("style.yml", style), ("apart.yml", &apart)]);
        assert_eq!(found.jobs.iter().map(|job| job.name.as_str()).collect::<Vec<_>>(), ["style / lint"]);
        assert_eq!(found.skipped, []);
        assert_eq!(beside(&[]), Beside::default());
    }
}
