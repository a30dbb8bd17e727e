//! Which cell of which workflow job a log is of.

use regex::Regex;

use super::{Cell, Condition, Kind, Text};

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

/// How well a cell matches: its name, how many of the log's scripts it has, its Python, its runner.
type Rank = (u8, usize, usize, bool, bool);

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
            let python =
                wanted.python.is_some_and(|python| python_of(cell).is_some_and(|own| same_minor(&own, python)));
            let linux = cell.runs_on.iter().any(|label| !label.starts_with("windows") && !label.starts_with("macos"));
            let runs = linux && !matches!(cell.condition, Condition::No(_));
            Some(((named(cell, wanted.name), strength, shared(cell, &wanted.scripts), python, runs), cell, at))
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
    let (_, cell, failing) = found[0];
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
        let runs = |(_, step, _): &(usize, &super::CellStep, &Text)| !matches!(step.condition, Condition::No(_));
        let first = same.next()?;
        let chosen = if runs(&first) { first } else { same.find(runs).unwrap_or(first) };
        return Some((1, chosen.0));
    }
    let mut best = None;
    for (at, step, script) in scripts {
        if matches!(step.condition, Condition::No(_)) {
            continue;
        }
        let strength = wanted.tools.iter().map(|tool| runs(script.written(), tool)).max().unwrap_or_default();
        if strength > best.map_or(0, |(known, _)| known) {
            best = Some((strength, at));
        }
    }
    best.or_else(|| {
        cell.steps.iter().enumerate().find_map(|(at, step)| match &step.kind {
            Kind::Uses { action, .. } => wanted.tools.iter().any(|tool| action.contains(tool)).then_some((2, at)),
            Kind::Run { .. } => None,
        })
    })
}

/// Does the script run the tool? 2: it names it; 1: it starts something that may.
fn runs(script: &str, tool: &str) -> usize {
    const WRAPPERS: &[&str] = &["tox", "nox", "make", "hatch", "pdm", "invoke", "just", "task", "pre-commit"];
    let program = |line: &str| {
        let mut words =
            line.split(|c: char| c.is_whitespace() || matches!(c, ';' | '&' | '|' | '(' | ')' | '"' | '\''));
        let installs =
            ["install", "uninstall", "add", "sync"].iter().any(|word| line.split_whitespace().any(|w| w == *word));
        match words.any(|word| word.rsplit('/').next() == Some(tool)) {
            true if !installs => 2,
            _ => usize::from(!installs && line.split_whitespace().any(|word| WRAPPERS.contains(&word))),
        }
    };
    script.lines().map(program).max().unwrap_or_default()
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

/// The Python that a cell sets up.
pub fn python_of(cell: &Cell) -> Option<String> {
    const SETUPS: &[&str] = &["actions/setup-python", "astral-sh/setup-uv", "pdm-project/setup-pdm"];
    cell.steps.iter().find_map(|step| match &step.kind {
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

/// Are two versions of one minor, as far as both say it?
pub fn same_minor(a: &str, b: &str) -> bool {
    let minor = |version: &str| version.split('.').take(2).map(str::to_owned).collect::<Vec<_>>();
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
