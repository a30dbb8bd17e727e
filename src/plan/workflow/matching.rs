//! Which cell of which workflow job a log is of.

use std::collections::BTreeMap;

use regex::Regex;

use super::{Cell, CellStep, Condition, Kind, Text};
use crate::plan::{
    actions::{self, Known},
    shell::{Command, Purpose, split, words_of},
};

/// What is known of the job that is looked for.
#[derive(Debug, Clone, Default)]
pub struct Wanted<'a> {
    /// `--job`.
    pub id: Option<&'a str>,
    /// `--matrix`, names and values.
    pub matrix: &'a [(String, String)],
    /// The job's name in the log.
    pub name: Option<&'a str>,
    /// The scripts that the log shows.
    pub scripts: Vec<&'a str>,
    /// Of these, the one that failed.
    pub failing: Option<&'a str>,
    /// The tools whose failures a log without scripts shows.
    pub tools: Vec<&'a str>,
    /// The Python of the log.
    pub python: Option<&'a str>,
    /// The Pythons that there are to run it with.
    pub pythons: &'a [String],
}

/// The cell that was found, and in it the failing step.
#[derive(Debug)]
pub struct Choice<'a> {
    /// The cell.
    pub cell: &'a Cell,
    /// The index of its step that fails.
    pub failing: usize,
    /// What else would have matched as well.
    pub also: Vec<String>,
}

/// How well a cell matches: its name, whether it can run here, how surely it runs what failed, what it calls itself, how
/// many of the log's scripts it has, its Python.
type Rank = (u8, u8, usize, usize, usize, bool);

/// The cell that matches best. With scripts, equal candidates of different jobs claim nothing; without any, the first
/// that runs the tool is taken, and the others are named.
///
/// # Errors
/// In words, why there is none.
pub fn choose<'a>(cells: &'a [Cell], wanted: &Wanted<'_>) -> Result<Choice<'a>, String> {
    if cells.is_empty() {
        return Err("there are no workflow files".to_owned());
    }
    let asked = |cell: &&Cell| {
        let id = wanted.id.is_none_or(|id| cell.id == id || cell.id.rsplit(" / ").next() == Some(id));
        let has = |(name, value): &(String, String)| cell.matrix.iter().any(|(n, v)| n == name && v == value);
        id && wanted.matrix.iter().all(has)
    };
    let mut found: Vec<(Rank, &Cell, usize)> = cells
        .iter()
        .filter(asked)
        .filter_map(|cell| {
            let (strength, at) = failing_step(cell, wanted)?;
            let python = wanted.python.is_some_and(|python| runs_python(cell, python));
            let linux = cell.runs_on.iter().any(|label| !label.starts_with("windows") && !label.starts_with("macos"));
            let alone = cell.container.is_none() && cell.services.is_empty();
            let runs = match linux && !matches!(cell.condition, Condition::No(_)) {
                true => 1 + u8::from(alone),
                false => 0,
            };
            let hint = if wanted.failing.is_some() { 0 } else { hint(cell, at, &wanted.tools) };
            let rank = (named(cell, wanted.name), runs, strength, hint, shared(cell, &wanted.scripts), python);
            Some((rank, cell, at))
        })
        .collect();
    // The first of the best: `max_by_key` would give the last.
    let Some(best) = found.iter().map(|(rank, ..)| *rank).max() else {
        return Err(match (wanted.failing, wanted.id) {
            (_, Some(id)) => format!("no job `{id}` of the workflow files runs what failed"),
            (Some(_), None) => "no job of the workflow files runs this command".to_owned(),
            (None, None) => "no job of the workflow files runs what the log shows".to_owned(),
        });
    };
    found.retain(|(rank, ..)| *rank == best);
    let (_, mut cell, mut failing) = found[0];
    // Of cells that differ in what the log does not say, that with the newest Python that is here.
    let newest = |cell: &Cell| {
        let python = python_of(cell)?;
        Some((wanted.pythons.iter().any(|here| same_minor(here, &python)), minor(&python)))
    };
    for (_, other, at) in &found[1..] {
        if (&other.file, &other.id) == (&cell.file, &cell.id) && newest(other) > newest(cell) {
            (cell, failing) = (other, *at);
        }
    }
    let other = |(_, other, _): &&(Rank, &Cell, usize)| (&other.file, &other.id) != (&cell.file, &cell.id);
    let also: Vec<String> =
        found.iter().filter(other).map(|(_, cell, _)| format!("{}: {}", cell.file, cell.id)).collect();
    if wanted.failing.is_some() && !also.is_empty() {
        return Err(format!("several jobs run this command ({}: {}, {})", cell.file, cell.id, also.join(", ")));
    }
    Ok(Choice { cell, failing, also })
}

/// The step of a cell that failed, and how surely it is that.
fn failing_step(cell: &Cell, wanted: &Wanted<'_>) -> Option<(usize, usize)> {
    let scripts = cell.steps.iter().enumerate().filter_map(|(at, step)| match &step.kind {
        Kind::Run { script, .. } => Some((at, step, script)),
        Kind::Uses { .. } => None,
    });
    if let Some(failing) = wanted.failing {
        let mut same = scripts.filter(|(_, _, script)| is(script, failing));
        // Of two alike, the one that is run.
        let runs = |(_, step, _): &(usize, &CellStep, &Text)| !matches!(step.condition, Condition::No(_));
        let Some(first) = same.next() else { return shown_by_action(cell, failing).map(|at| (1, at)) };
        let chosen = if runs(&first) { first } else { same.find(runs).unwrap_or(first) };
        return Some((1, chosen.0));
    }
    let mut best = None;
    for (at, step) in cell.steps.iter().enumerate() {
        if matches!(step.condition, Condition::No(_)) {
            continue;
        }
        let strength = wanted.tools.iter().map(|tool| strength(step, tool)).max().unwrap_or_default();
        let rank = (strength, hint(cell, at, &wanted.tools));
        if strength > 0 && best.is_none_or(|(known, _)| rank > known) {
            best = Some((rank, at));
        }
    }
    best.map(|((strength, _), at)| (strength, at))
}

/// The step whose action comes down to the command that the log shows.
fn shown_by_action(cell: &Cell, failing: &str) -> Option<usize> {
    cell.steps.iter().position(|step| match &step.kind {
        Kind::Uses { action, with } => {
            let known = |(name, text): (&String, &Text)| Some((name.clone(), text.known()?.to_owned()));
            match actions::known(action, &with.iter().filter_map(known).collect()) {
                Known::Same(same) => same.checks.iter().any(|(script, _)| same_script(script, failing)),
                _ => false,
            }
        }
        Kind::Run { .. } => false,
    })
}

/// Programs that run other tools.
const WRAPPERS: &[&str] = &["tox", "nox", "make", "hatch", "pdm", "poetry", "invoke", "just", "task", "pre-commit"];
/// Tools that run tests.
const TESTING: &[&str] = &["pytest", "unittest", "django", "trial", "asv", "pytest-benchmark"];

/// Tools that only install: what they run as a check is nothing.
const INSTALLERS: &[&str] = &["pip", "uv", "setuptools", "conda"];

/// Does a step run the tool? 2: it names it; 1: it starts something that may.
fn strength(step: &CellStep, tool: &str) -> usize {
    let script = match &step.kind {
        // What only sets the tool up does not run it.
        Kind::Uses { action, .. } => {
            let sets_up =
                matches!(actions::known(action, &BTreeMap::new()), Known::Same(same) if same.checks.is_empty());
            return if action.contains(tool) && !sets_up { 2 } else { 0 };
        }
        Kind::Run { script, .. } => script.written(),
    };
    let installer = INSTALLERS.contains(&tool);
    let judged = |command: &Command| match command.purpose {
        Purpose::Check | Purpose::OnlineCheck => true,
        Purpose::Install => installer,
        _ => false,
    };
    let program = |command: Command| {
        let words = words_of(&command.script);
        let has = |wanted: &str| words.iter().any(|word| word.rsplit('/').next() == Some(wanted));
        let tests = TESTING.contains(&tool) && words.iter().any(|word| word.to_ascii_lowercase().contains("test"));
        match has(tool) {
            true => 2,
            false => usize::from(WRAPPERS.iter().any(|wrapper| has(wrapper)) || tests),
        }
    };
    split(script).into_iter().filter(judged).map(program).max().unwrap_or_default()
}

/// How much of what a job and its step call themselves goes with the tool.
fn hint(cell: &Cell, at: usize, tools: &[&str]) -> usize {
    let file = cell.file.rsplit('/').next().unwrap_or_default();
    let job = [cell.id.as_str(), cell.name.as_deref().unwrap_or_default(), file].join(" ").to_ascii_lowercase();
    let step = cell.steps.get(at).map_or("", |step| step.title.as_str()).to_ascii_lowercase();
    let words: &[&str] = match tools.first() {
        Some(tool) if TESTING.contains(tool) => &["test"],
        Some(&("sphinx" | "mkdocs")) => &["doc"],
        Some(_) => &["lint", "style", "quality", "check", "static", "typing", "format"],
        None => &[],
    };
    let hooks = match cell.steps.get(at).map(|step| &step.kind) {
        Some(Kind::Run { script, .. }) => script.written().contains("pre-commit run"),
        _ => false,
    };
    let linter = tools.first().is_some_and(|tool| !TESTING.contains(tool) && !INSTALLERS.contains(tool));
    let said = |said: &str| {
        2 * tools.iter().filter(|tool| said.contains(*tool)).count()
            + words.iter().filter(|word| said.contains(*word)).count()
    };
    said(&job) + said(&step) + if hooks && linter { 2 } else { 0 }
}

/// Is the cell's name the log's? 3: to the letter; 2: with values that the cell has; 1: by its id.
fn named(cell: &Cell, name: Option<&str>) -> u8 {
    let Some(name) = name else { return 0 };
    let own = cell.name.as_deref().unwrap_or_default();
    if own == name {
        return 3;
    }
    let (title, values) = match name.strip_suffix(')').and_then(|rest| rest.rsplit_once(" (")) {
        Some((title, values)) => (title, values.split(", ").collect()),
        None => (name, Vec::new()),
    };
    if !values.iter().all(|value| cell.matrix.iter().any(|(_, own)| own == value)) {
        return 0;
    }
    match (own == title, cell.id == title) {
        // `title (a, b)` with all of the cell's values is its name.
        (true, _) if values.len() == cell.matrix.len() => 3,
        (true, _) => 2,
        (false, true) => 1,
        (false, false) => 0,
    }
}

fn shared(cell: &Cell, scripts: &[&str]) -> usize {
    let has = |logged: &&&str| {
        cell.steps.iter().any(|step| matches!(&step.kind, Kind::Run { script, .. } if is(script, logged)))
    };
    scripts.iter().filter(has).count()
}

/// Does a cell run this Python, by its set-up or its matrix?
fn runs_python(cell: &Cell, python: &str) -> bool {
    let named = |(name, value): &(String, String)| {
        (name.to_ascii_lowercase().contains("py") && version(value).is_some_and(|own| same_minor(&own, python)))
            || value.strip_prefix("py3").is_some_and(|minor| same_minor(&format!("3.{minor}"), python))
    };
    match python_of(cell) {
        Some(own) if own.contains('.') => same_minor(&own, python),
        _ => cell.matrix.iter().any(named),
    }
}

/// The Python that a cell sets up.
pub fn python_of(cell: &Cell) -> Option<String> {
    const SETUPS: &[&str] = &["actions/setup-python", "astral-sh/setup-uv", "pdm-project/setup-pdm"];
    // The last one that is set up is the one that runs.
    cell.steps.iter().rev().find_map(|step| match &step.kind {
        Kind::Uses { action, with } if SETUPS.contains(&action.as_str()) => {
            with.get("python-version").and_then(Text::known).and_then(version)
        }
        _ => None,
    })
}

/// The version that `python-version` asks for: `3.12`, of several the last (the one that is then `python`); `3` for
/// any.
fn version(asked: &str) -> Option<String> {
    let last = asked.lines().rev().map(str::trim).find(|line| !line.is_empty())?;
    let number = last.trim_start_matches(|c: char| !c.is_ascii_digit());
    let end = number.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(number.len());
    let number = number[..end].trim_matches('.');
    (number.starts_with('3') && !last.starts_with('<')).then(|| number.to_owned())
}

/// The numbers of a version, as far as the minor.
fn minor(version: &str) -> Vec<u32> {
    version.split('.').take(2).filter_map(|number| number.parse().ok()).collect()
}

/// Are two versions of one minor, as far as both say it?
pub fn same_minor(a: &str, b: &str) -> bool {
    minor(a) == minor(b)
}

fn is(script: &Text, logged: &str) -> bool {
    same_script(script.written(), logged)
}

fn folded(text: &str) -> String {
    // What the workspace is called is the runner's business.
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    words.replace("$GITHUB_WORKSPACE", "${{ github.workspace }}")
}

/// Is `logged` what `written` becomes when its expressions are evaluated?
pub fn same_script(written: &str, logged: &str) -> bool {
    let (written, logged) = (folded(written), folded(logged));
    if !written.contains("${{") {
        return written == logged;
    }
    let mut pattern = String::from("^");
    let mut rest = written.as_str();
    while let Some((text, tail)) = rest.split_once("${{") {
        pattern.push_str(&regex::escape(text));
        pattern.push_str(".*");
        rest = tail.split_once("}}").map_or("", |(_, tail)| tail);
    }
    pattern.push_str(&regex::escape(rest));
    pattern.push('$');
    // A script of nothing but expressions would match anything.
    written.len() > 12 && Regex::new(&pattern).is_ok_and(|pattern| pattern.is_match(&logged))
}
