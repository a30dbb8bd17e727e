//! Which of a step's evidence counts, what the job's primary cause is, and the name of a cause.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::command;
use super::failure::{Category, Key};
use super::found::{Found, Weight};
use super::text::{bounded, patterns};

patterns! {
    REPEATED = r"^\S*make(?:\[\d+\])?: \*\*\* \[|^\s*\S+: (?:exit \d+ \(|FAIL |OK )|^\s*evaluation failed :\(|^nox > ";
    RULE = r"^[A-Z]{2,8}\d{2,4}:? [a-z]";
    SPOKEN = r"(?i)\b(?:\w*error|failed|failure|fatal|missing|exceeded|cannot|refusing|invalid|denied|not found|does not exist|no such|unable)\b";
}

/// A tool's own findings, else the runner's word, else what a script died of, else the last hint.
pub(super) fn choose(found: Vec<Found>) -> Vec<Found> {
    let Some(best) = found.iter().map(|found| found.weight).max() else { return found };
    let mut found: Vec<Found> = found.into_iter().filter(|found| found.weight == best).collect();
    match best {
        Weight::Finding => found,
        Weight::Runner | Weight::Action => {
            found.truncate(1);
            found
        }
        Weight::Cause => {
            for category in [Category::Infra, Category::Timeout] {
                if found.iter().any(|found| found.category == category) {
                    found.retain(|found| found.category == category);
                }
            }
            let plain = |found: &Found| matches!(found.tool, "python" | "shell" | "process");
            if found.iter().any(|found| !plain(found)) {
                found.retain(|found| !plain(found));
            }
            found
        }
        Weight::Hint => {
            if found.iter().any(|found| found.tool == "sphinx" || found.tool == "mkdocs") {
                found.retain(|found| found.tool == "sphinx" || found.tool == "mkdocs");
                return found;
            }
            let at = found.iter().rposition(|found| found.tool != "network").unwrap_or(found.len() - 1);
            vec![found.swap_remove(at)]
        }
    }
}

/// The very same finding said twice is one with a count.
pub(super) fn merged(found: Vec<(Option<usize>, Found)>) -> Vec<(Option<usize>, Found)> {
    let mut seen: HashMap<(Key, Option<String>, Option<u32>), usize> = HashMap::new();
    let mut result: Vec<(Option<usize>, Found)> = Vec::with_capacity(found.len());
    for (index, found) in found {
        let line = if matches!(found.key, Key::Finding { .. }) { found.line } else { None };
        let id = (found.key.clone(), found.test_id.clone(), line);
        match seen.get(&id) {
            Some(at) => {
                if let Some((_, known)) = result.get_mut(*at) {
                    known.count += found.count;
                }
            }
            None => {
                seen.insert(id, result.len());
                result.push((index, found));
            }
        }
    }
    result
}

/// The category of the first failed step's main cause.
pub(super) fn primary(failures: &[(Option<usize>, Found)], job: Option<&str>) -> Option<Category> {
    // A step of which only the exit code is known says less than a later one (it may have been allowed to fail).
    let first = failures.iter().find(|(_, found)| found.tool != "command").or(failures.first())?.0;
    let own: Vec<&Found> = failures.iter().filter(|(index, _)| *index == first).map(|(_, found)| found).collect();
    // What kept tests from being collected comes before what the others say.
    let collection = own.iter().find(|found| {
        matches!(found.category, Category::SyntaxError | Category::ImportDependency)
            && matches!(found.tool, "pytest" | "unittest")
            && found.test_id.as_deref().is_none_or(|id| !id.contains("::"))
    });
    if let Some(found) = collection {
        return Some(found.category);
    }
    // A file that does not parse comes before what a tool says of others.
    if own.iter().any(|found| {
        found.category == Category::SyntaxError && found.test_id.is_none() && found.weight == Weight::Finding
    }) {
        return Some(Category::SyntaxError);
    }
    let mut counts: BTreeMap<Category, (usize, usize)> = BTreeMap::new();
    for (at, found) in own.iter().enumerate() {
        let entry = counts.entry(found.category).or_insert((0, usize::MAX - at));
        entry.0 += 1;
    }
    if counts.len() > 1 {
        counts.remove(&Category::Coverage);
    }
    let category = counts.into_iter().max_by_key(|(_, rank)| *rank).map(|(category, _)| category)?;
    let named = job.unwrap_or_default().to_ascii_lowercase();
    if category == Category::UnitTest
        && (named.contains("integration") || named.contains("e2e") || named.contains("end-to-end"))
    {
        return Some(Category::IntegrationTest);
    }
    Some(category)
}

/// A short name of a cause: the same in every run, cell and machine.
pub(super) fn fingerprint(cause: Option<&str>, key: &Key) -> String {
    let text = match cause {
        Some(cause) => cause.to_owned(),
        None => serde_json::to_string(key).unwrap_or_default(),
    };
    let mut name = String::with_capacity(16);
    for byte in Sha256::digest(text.as_bytes()).iter().take(8) {
        let _ = write!(name, "{byte:02x}");
    }
    name
}

/// A failure of which only the exit code is known. `words`: what may tell its category, the best first. `gate`: the
/// step looks at other jobs' results. `error`: what the step reported as its error.
pub(super) fn exited(
    command: &str,
    words: [&str; 4],
    exit: i32,
    gate: bool,
    error: Option<&str>,
    recent: &[String],
) -> Found {
    // make, tox and nox only repeat that what they started failed.
    let own: Vec<&String> =
        recent.iter().filter(|line| line.contains(char::is_alphabetic) && !REPEATED.is_match(line)).collect();
    let last_of = || own.iter().rev().find(|line| SPOKEN.is_match(line)).or(own.last()).copied().or(recent.last());
    let message = match error.or_else(|| last_of().map(String::as_str)) {
        Some(said) => bounded(said.trim(), 500).to_owned(),
        None => format!("exit code {exit}"),
    };
    let category = match exit {
        _ if gate || recent.iter().any(|line| command::GATE.is_match(line)) => Category::Aggregate,
        124 => Category::Timeout,
        134 | 136 | 137 | 139 => Category::Crash,
        _ => match words.iter().find_map(|words| command::category(words)) {
            Some(category) => category,
            // Only linters number what they say.
            None if RULE.is_match(&message) => Category::Quality,
            None => Category::RuntimeError,
        },
    };
    let key = Key::Command { command: bounded(command, 1000).to_owned(), error: format!("exit {exit}") };
    Found::new(category, "command", key, &message).excerpt(last(recent)).weigh(Weight::Cause)
}

/// An action that failed, of which only its error is known.
pub(super) fn action(action: &str, said: &str, recent: &[String]) -> Found {
    let name = action.split('@').next().unwrap_or_default();
    let category = match () {
        () if command::GATE.is_match(name) || command::GATE.is_match(said) => Category::Aggregate,
        () => command::category(said).or(command::category(name)).unwrap_or(Category::Infra),
    };
    let key = Key::Command { command: bounded(name, 1000).to_owned(), error: bounded(said, 300).to_owned() };
    Found::new(category, "action", key, said).excerpt(last(recent)).weigh(Weight::Action)
}

fn last(recent: &[String]) -> String {
    recent[recent.len().saturating_sub(20)..].join("\n")
}
