//! Foreign texts made into short, harmless subjects.

use std::sync::LazyLock;

use regex::Regex;

use super::READ;
use crate::redact::shown;

/// A foreign text on one line, that can do nothing where GitHub or a CI reads it: it mentions nobody, refers to no
/// issue, closes none, and skips no CI.
pub(super) fn harmless(text: &str) -> String {
    static SCHEME: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"(?i)\b[a-z][a-z0-9+.-]*://").ok());
    static SKIP: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"(?i)\[([^\[\]]*\b(?:skip|no|ci|cd|azp)\b[^\[\]]*)\]").ok());
    static REFERENCE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"(?i)\b(gh)-(\d)").ok());
    let shown = shown(&text.chars().take(10 * READ).collect::<String>(), READ);
    let visible = |c: &char| !matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{fe00}'..='\u{fe0e}' | '\u{e0000}'..='\u{e0fff}');
    let visible: String = shown.chars().filter(visible).collect();
    let line = visible.split_whitespace().collect::<Vec<_>>().join(" ");
    // Each step comes before those whose words it could put together; one that could make its own is repeated.
    let mut line = unaddressed(&line);
    line = repeated(line, SCHEME.as_ref(), "");
    while line.contains("://") {
        line = line.replace("://", ":");
    }
    line = repeated(line, SKIP.as_ref(), "$1");
    // `owner/repo#1`, `GH-1`, and URLs of issues are references; words before them would close.
    line = repeated(line, REFERENCE.as_ref(), "$1 $2").replace("www.", "www ");
    for (mark, instead) in [("no_ci", "noci"), ("skip-checks", "skip checks")] {
        while let Some(at) = line.to_ascii_lowercase().find(mark) {
            line.replace_range(at..at + mark.len(), instead);
        }
    }
    // Git takes a line that starts with `#` for a comment.
    line.trim_start_matches(['#', ' ', '-', '*', '>', ':']).trim().to_owned()
}

/// Without the `@` of mentions and the `#` of references.
fn unaddressed(line: &str) -> String {
    let mut clean = String::with_capacity(line.len());
    let mut letters = line.chars().peekable();
    while let Some(c) = letters.next() {
        let alone = letters.peek().is_none_or(|n| n.is_whitespace() || ".,;:)`'\"".contains(*n));
        match c {
            '@' if !alone && clean.ends_with(char::is_alphanumeric) => clean.push(' '),
            '@' | '#' if !alone => {}
            c => clean.push(c),
        }
    }
    clean
}

/// Replaces until there is nothing left to replace.
fn repeated(mut line: String, pattern: Option<&Regex>, by: &str) -> String {
    while let Some(pattern) = pattern.filter(|p| p.is_match(&line)) {
        line = pattern.replace_all(&line, by).into_owned();
    }
    line
}

/// Up to a full stop that ends a sentence: not one in code, a number, a file's name or an abbreviation.
pub(super) fn first_sentence(text: &str) -> &str {
    let mut code = false;
    for (at, c) in text.char_indices() {
        let so_far = &text[..at];
        match c {
            '`' => code = !code,
            '.' | '!' | '?' | ';' if !code => {
                let ends = text[at + 1..].chars().next().is_none_or(char::is_whitespace);
                let short = ["e.g", "i.e", "etc", "cf", "vs"].iter().any(|s| so_far.ends_with(s));
                if ends && !short && at > 0 {
                    return so_far;
                }
            }
            _ => {}
        }
    }
    text
}

/// `Added` and `Adds` are `Add`: the verbs that descriptions of fixes begin with.
pub(super) fn imperative(verb: &str) -> Option<String> {
    const VERBS: &[&str] = &[
        "Accept",
        "Add",
        "Adjust",
        "Allow",
        "Apply",
        "Avoid",
        "Call",
        "Change",
        "Check",
        "Close",
        "Compare",
        "Compute",
        "Convert",
        "Correct",
        "Declare",
        "Define",
        "Drop",
        "Ensure",
        "Escape",
        "Exclude",
        "Fix",
        "Format",
        "Guard",
        "Handle",
        "Implement",
        "Import",
        "Include",
        "Initialize",
        "Install",
        "Make",
        "Move",
        "Normalize",
        "Pass",
        "Pin",
        "Prevent",
        "Raise",
        "Remove",
        "Rename",
        "Repair",
        "Replace",
        "Restore",
        "Return",
        "Rewrite",
        "Round",
        "Set",
        "Skip",
        "Sort",
        "Strip",
        "Support",
        "Update",
        "Use",
        "Validate",
        "Wrap",
        "Write",
    ];
    let lower = verb.to_lowercase();
    let irregular = match lower.as_str() {
        "made" => Some("Make"),
        "wrote" => Some("Write"),
        "rewrote" => Some("Rewrite"),
        _ => None,
    };
    let same = |known: &&&str| {
        let base = known.to_lowercase();
        let stem = base.trim_end_matches('e');
        let last = base.chars().last().unwrap_or_default();
        let y = base.strip_suffix('y').unwrap_or("\0");
        lower == base
            || lower == format!("{base}s")
            || lower == format!("{base}es")
            || lower == format!("{stem}ed")
            || lower == format!("{base}{last}ed")
            || lower == format!("{y}ied")
            || lower == format!("{y}ies")
    };
    irregular.or_else(|| VERBS.iter().find(same).copied()).map(str::to_owned)
}

/// At most `most` characters, cut between words, without what a cut or a sentence leaves at the end.
pub(super) fn bounded(text: &str, most: usize) -> String {
    let mut kept = String::new();
    let cut = text.chars().count() > most;
    for word in text.split(' ') {
        let length = kept.chars().count() + usize::from(!kept.is_empty()) + word.chars().count();
        if length > most {
            break;
        }
        if !kept.is_empty() {
            kept.push(' ');
        }
        kept.push_str(word);
    }
    if kept.is_empty() {
        kept = text.chars().take(most).collect();
    }
    let ends: &[char] = &['.', ',', ';', ':', '-', '–', '—', '(', '[', '{', ' ', '…'];
    let mut short = kept.trim_end_matches(ends);
    while cut
        && let Some((rest, last)) = short.rsplit_once(' ')
        && ["a", "an", "and", "at", "by", "for", "from", "in", "of", "on", "or", "the", "to", "with"].contains(&last)
    {
        short = rest.trim_end_matches(ends);
    }
    // Half of a pair of backticks would make code of what follows.
    if short.matches('`').count() % 2 == 1 { short.replace('`', "'") } else { short.to_owned() }
}

/// With a capital, unless the first word is a name that is written as it is.
pub(super) fn capital(text: &str) -> String {
    match text.chars().next() {
        Some(first) if is_plain_word(text) => first.to_uppercase().chain(text.chars().skip(1)).collect(),
        _ => text.to_owned(),
    }
}

/// Without a capital, unless the first word is a name that is written as it is.
pub(super) fn small(text: &str) -> String {
    match text.chars().next() {
        Some(first) if is_plain_word(text) => first.to_lowercase().chain(text.chars().skip(1)).collect(),
        _ => text.to_owned(),
    }
}

/// Is the first word one of prose: letters, and small ones after the first?
fn is_plain_word(text: &str) -> bool {
    let word = text.split(' ').next().unwrap_or_default().trim_end_matches([',', ':', ';']);
    !word.is_empty() && word.chars().all(char::is_alphabetic) && word.chars().skip(1).all(char::is_lowercase)
}
