//! Secrets, and the placeholders that stand for them: none comes into a file where it did not stand.

use super::Finding;
use super::context::{Context, File};
use crate::redact;
use std::collections::{BTreeMap, HashMap};

/// Shorter values may be words.
const TELLING: usize = 12;
/// Larger files of the tree are not looked through, nor more of them.
const LARGEST: usize = 1 << 20;
const MOST: usize = 64 << 20;

pub(crate) fn judge(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let mut added: Vec<Added<'_>> = Vec::new();
    let mut written = Vec::new();
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
            let line = first_line(&after, &before, &value);
            added.push(Added { path: file.path, line, kind, value, stands: None });
        }
        if let Some(left) = redact::placeholders(&after).find(|p| more(p)) {
            let message = "A placeholder that stands for a secret is left in the file.";
            let finding = Finding::refuse("placeholder-left", Some(file.path), message).seen(left);
            findings.push(finding.at(first_line(&after, &before, left)));
        }
        if has_new_word(&before, &after) {
            written.push((file.path, before, after));
        }
    }
    copied(context, &written, &mut added);
    if added.is_empty() {
        return;
    }
    find(context, &mut added);
    findings.extend(added.iter().map(|added| added.finding().at(added.line)));
}

/// A secret that stands in a file more often than before.
struct Added<'a> {
    path: &'a str,
    line: u32,
    kind: &'static str,
    value: String,
    /// A file of the tree before that holds it.
    stands: Option<String>,
}

impl Added<'_> {
    /// It never says the value.
    fn finding(&self) -> Finding {
        let kind = self.kind;
        if redact::is_of_process(kind) {
            let message = "A secret of the environment that test-repair runs in comes into the file.";
            return Finding::refuse("secret-copied", Some(self.path), message).seen(kind);
        }
        if let Some(elsewhere) = &self.stands {
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

/// Does a line come in with a word that could be a secret's value?
fn has_new_word(before: &str, after: &str) -> bool {
    let mut old: HashMap<&str, usize> = HashMap::new();
    before.lines().for_each(|line| *old.entry(line).or_default() += 1);
    let mut is_new = |line: &str| match old.get_mut(line) {
        Some(left) if *left > 0 => {
            *left -= 1;
            false
        }
        _ => true,
    };
    after.lines().any(|line| is_new(line) && line.split_whitespace().any(|word| word.len() >= TELLING))
}

/// Adds the secrets of the tree that stand in a file more often than before, though nothing there tells that they are any.
fn copied<'a>(context: &Context<'_>, written: &[(&'a str, String, String)], added: &mut Vec<Added<'a>>) {
    let mut left = if written.is_empty() { 0 } else { MOST };
    for path in &context.paths {
        if left == 0 {
            return;
        }
        let Some(bytes) = context.input.before.read(path) else { continue };
        if bytes.len() > LARGEST || bytes.contains(&0) {
            continue;
        }
        left = left.saturating_sub(bytes.len());
        for (kind, value) in redact::secrets(&String::from_utf8_lossy(&bytes)) {
            if value.len() < TELLING {
                continue;
            }
            for (file, before, after) in written {
                let known = |added: &Added<'_>| added.path == *file && added.value == value;
                if after.matches(&value).count() > before.matches(&value).count() && !added.iter().any(known) {
                    let (line, stands) = (first_line(after, before, &value), Some(path.clone()));
                    added.push(Added { path: file, line, kind, value: value.clone(), stands });
                }
            }
        }
    }
}

/// Finds for each value a file of the tree before that holds it.
fn find(context: &Context<'_>, added: &mut [Added<'_>]) {
    for path in &context.paths {
        if added.iter().all(|added| added.stands.is_some()) {
            break;
        }
        let Some(text) = context.read(path) else { continue };
        for added in added.iter_mut().filter(|added| added.stands.is_none() && text.contains(&added.value)) {
            added.stands = Some(path.clone());
        }
    }
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
