//! What a reader of the patch does not see, or cannot read: characters that reorder or imitate others, modes, binaries,
//! and changes too large to read.

use super::context::{Context, File};
use super::python::Py;
use super::{Finding, compare::lost, paths};
use ruff_python_ast::token::TokenKind;

/// More added bytes than this nobody reads.
const MOST_READ: usize = 200_000;

pub(crate) fn judge(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for (path, change) in &context.input.change.files {
        let only_mode = change.before == change.after;
        if change.executable && !change.symlink && (only_mode || change.before.is_none()) {
            let message = if only_mode { "The file can be executed now." } else { "A new file can be executed." };
            findings.push(Finding::flag("mode-changed", Some(path), message));
        }
    }
    let mut added = 0;
    for file in &context.files {
        let Some(after) = file.after else { continue };
        match std::str::from_utf8(after) {
            Ok(text) => characters(file, text, findings),
            Err(_) if !paths::is_python(file.path) => {
                let message = "A binary file is new or changed, and nobody can read what is in it.";
                findings.push(Finding::flag("binary-changed", Some(file.path), message));
            }
            Err(_) => {}
        }
        if !paths::is_lock(file.path) {
            added += after.len().saturating_sub(file.before.map_or(0, <[u8]>::len));
        }
    }
    if added > MOST_READ {
        let message = format!("The change adds {added} bytes, more than a person reads.");
        findings.push(Finding::flag("large-change", None, message));
    }
}

/// Does the character change the order in which others are shown?
fn reorders(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{061c}')
}

/// Is it shown as nothing?
fn is_nothing(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{00ad}' | '\u{180e}')
}

fn characters(file: &File<'_>, after: &str, findings: &mut Vec<Finding>) {
    let before = file.text_before();
    let of = |text: &str, kind: fn(char) -> bool| -> Vec<(char, usize)> {
        let lines = text.trim_start_matches('\u{feff}').lines().enumerate();
        lines.flat_map(|(at, line)| line.chars().filter(|c| kind(*c)).map(move |c| (c, at + 1))).collect()
    };
    let new = |kind: fn(char) -> bool| lost(&of(after, kind), &of(&before, kind), |c| c.0).into_iter().next();
    let line = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    if let Some((c, at)) = new(reorders) {
        let message = format!("U+{:04X} shows the text in another order than it is read in.", u32::from(c));
        findings.push(Finding::refuse("hidden-characters", Some(file.path), message).at(line(at)));
    } else if let Some((c, at)) = new(is_nothing) {
        let message = format!("U+{:04X} is shown as nothing.", u32::from(c));
        findings.push(Finding::flag("hidden-characters", Some(file.path), message).at(line(at)));
    }
    let imitating = |py: &Option<Py>| py.as_ref().map(imitations).unwrap_or_default();
    if let Some((name, at)) = lost(&imitating(&file.py_after), &imitating(&file.py_before), |n| n.0.clone()).first() {
        let message = format!("`{name}` mixes letters that look like those of another script.");
        findings.push(Finding::refuse("hidden-characters", Some(file.path), message).at(*at));
    }
}

/// Names with Latin letters and with Greek, Cyrillic, Armenian or full-width ones, which look like Latin ones.
fn imitations(py: &Py) -> Vec<(String, u32)> {
    let alike = |c: char| matches!(c, '\u{0370}'..='\u{03ff}' | '\u{0400}'..='\u{052f}' | '\u{0530}'..='\u{058f}' | '\u{ff21}'..='\u{ff5a}');
    let names = py.parsed.tokens().iter().filter(|t| t.kind() == TokenKind::Name);
    names
        .map(|t| (py.slice(t), t))
        .filter(|(name, _)| name.chars().any(alike) && name.chars().any(|c| c.is_ascii_alphabetic()))
        .map(|(name, t)| (name.to_string(), py.line_of(t)))
        .collect()
}
