//! Secrets, and the placeholders that stand for them: none comes into a file where it did not stand.

use super::Finding;
use super::context::{Context, File};
use crate::redact;
use aho_corasick::AhoCorasick;
use std::collections::{BTreeMap, BTreeSet};

/// Shorter values may be words.
const TELLING: usize = 12;
/// So many words of a file are looked for elsewhere.
const MOST_WORDS: usize = 4000;

pub(crate) fn judge(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let mut added: Vec<Added<'_>> = Vec::new();
    for file in context.files.iter().filter(|f| f.after.is_some() && !renamed(context, f)) {
        let (before, after) = (file.text_before(), file.text_after());
        let more = |value: &str| after.matches(value).count() > before.matches(value).count();
        // The same value may be found in several places, where different things tell.
        let mut found: BTreeMap<String, &'static str> = BTreeMap::new();
        for (kind, value) in redact::secrets(&after) {
            let known = found.entry(value).or_insert(kind);
            if redact::is_certain(kind) {
                *known = kind;
            }
        }
        for (value, kind) in found.into_iter().filter(|(value, _)| more(value)) {
            added.push(Added { path: file.path, line: first_line(&after, &before, &value), kind, value });
        }
        if let Some(left) = redact::placeholders(&after).find(|p| more(p)) {
            let message = "A placeholder that stands for a secret is left in the file.";
            let finding = Finding::refuse("placeholder-left", Some(file.path), message).seen(left);
            findings.push(finding.at(first_line(&after, &before, left)));
        }
    }
    added.extend(unnamed(context, &added));
    if added.is_empty() {
        return;
    }
    let stands = standing(context, &added);
    for (added, stands) in added.iter().zip(stands) {
        findings.push(added.finding(stands.as_deref()).at(added.line));
    }
}

/// A secret that stands in a file more often than before.
struct Added<'a> {
    path: &'a str,
    line: u32,
    kind: &'static str,
    value: String,
}

impl Added<'_> {
    /// It never says the value.
    fn finding(&self, stands: Option<&str>) -> Finding {
        let kind = self.kind;
        if redact::is_of_process(kind) {
            let message = "A secret of the environment that test-repair runs in comes into the file.";
            return Finding::refuse("secret-copied", Some(self.path), message).seen(kind);
        }
        if let Some(elsewhere) = stands {
            let message = format!("A secret ({kind}) is copied into the file.");
            return Finding::refuse("secret-copied", Some(self.path), message)
                .seen(format!("it stands in {elsewhere}"));
        }
        let message = format!("What looks like a secret ({kind}) comes into the file.");
        match redact::is_certain(kind) {
            true => Finding::refuse("secret-added", Some(self.path), message).seen(kind),
            false => Finding::flag("secret-added", Some(self.path), message).seen(kind),
        }
    }
}

/// Secrets of the tree's other files that come into a file where nothing around them tells.
fn unnamed<'c>(context: &'c Context<'_>, known: &[Added<'_>]) -> Vec<Added<'c>> {
    let mut words: BTreeSet<String> = BTreeSet::new();
    let mut changed = Vec::new();
    for file in context.files.iter().filter(|f| f.after.is_some() && !renamed(context, f)) {
        let (before, after) = (file.text_before(), file.text_after());
        words.extend(telling(&after).filter(|word| !before.contains(word)).take(MOST_WORDS).map(str::to_owned));
        changed.push((file, before, after));
    }
    let mut added: Vec<Added<'_>> = Vec::new();
    let Ok(automaton) = AhoCorasick::new(&words) else { return added };
    for path in context.paths.iter().filter(|_| !words.is_empty()) {
        let Some(text) = context.read(path).filter(|text| automaton.is_match(text)) else { continue };
        for (kind, value) in redact::secrets(&text).into_iter().filter(|(_, value)| value.len() >= TELLING) {
            for (file, before, after) in &changed {
                let is = |a: &Added<'_>| a.path == file.path && a.value == value;
                let more = after.matches(&value).count() > before.matches(&value).count();
                if more && !known.iter().any(is) && !added.iter().any(is) {
                    let line = first_line(after, before, &value);
                    added.push(Added { path: file.path, line, kind, value: value.clone() });
                }
            }
        }
    }
    added
}

/// The words of a text that may be a part of a secret: with letters and digits, and not short.
fn telling(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '+' | '/' | '-' | '_'));
    let has = |word: &str, wanted: fn(&u8) -> bool| word.bytes().any(|b| wanted(&b));
    words.filter(move |w| w.len() >= TELLING && has(w, u8::is_ascii_digit) && has(w, u8::is_ascii_alphabetic))
}

/// For each value, a file of the tree before that holds it.
fn standing(context: &Context<'_>, added: &[Added<'_>]) -> Vec<Option<String>> {
    let mut stands = vec![None; added.len()];
    for path in &context.paths {
        if stands.iter().all(Option::is_some) {
            break;
        }
        let Some(text) = context.read(path) else { continue };
        for (stands, added) in stands.iter_mut().zip(added).filter(|(stands, _)| stands.is_none()) {
            if text.contains(&added.value) {
                *stands = Some(path.clone());
            }
        }
    }
    stands
}

/// Is it another file of the tree under a new name?
fn renamed(context: &Context<'_>, file: &File<'_>) -> bool {
    file.before.is_none() && context.files.iter().any(|f| f.after.is_none() && f.before == file.after)
}

/// The first line after that holds it and did not stand before; otherwise the first that holds it.
fn first_line(after: &str, before: &str, value: &str) -> u32 {
    // A key may go over several lines: its first tells.
    let value = value.lines().next().unwrap_or_default();
    let mut holding = after.lines().zip(1_u32..).filter(|(line, _)| line.contains(value));
    let new = holding.clone().find(|(line, _)| !before.lines().any(|b| b == *line));
    new.or_else(|| holding.next()).map_or(1, |(_, line)| line)
}
