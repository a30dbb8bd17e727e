//! markup: foreign text inside Markdown that GitHub renders, so that it can mean nothing there.
//!
//! Job names, branch names, test ids, messages, diffs and what a model says come from strangers. Here they lose all that
//! GitHub would obey: markup, HTML, links, images, mentions (`@who`), references (`#1`, `o/r#1`, `GH-1`, a commit's
//! hash), formulas, and fences that end too early. Mentions and references are looked for in rendered text, where an
//! escape is gone: what could be one stands in a code span, where GitHub looks for none.

use crate::redact::{shown, shown_line};

/// A code span of a foreign text's first line.
pub fn code(text: &str) -> String {
    span(&shown_line(text, 300))
}

/// Markdown that this module made, for a table's cell: in code spans too, `|` ends a cell. Behind a backslash nothing
/// escapes it for every reader, and a sign that looks like it stands there.
pub fn cell(markdown: &str) -> String {
    markdown.replace("\\|", "\\\u{2502}").replace('|', "\\|")
}

/// [`code`] for a table's cell.
pub fn cell_code(text: &str) -> String {
    cell(&code(text))
}

/// A code span that no run of backticks inside can close.
fn span(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() {
        return "` `".to_owned();
    }
    let fence = "`".repeat(longest_run(text) + 1);
    let pad = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}

/// A fenced block of at most `most` characters, which nothing inside can end.
pub fn fence(text: &str, language: &str, most: usize) -> String {
    let text = shown(text, most);
    let fence = "`".repeat(longest_run(&text).max(2) + 1);
    format!("{fence}{language}\n{}\n{fence}", text.trim_end_matches('\n'))
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

/// A foreign text as words of one line: its code spans stay, and what GitHub could obey becomes one. Fit for a list's
/// item, and in [`cell`] for a table; no markup may stand directly before or after it.
pub fn prose(text: &str, most: usize) -> String {
    let text = folded(text, most);
    let mut words = String::with_capacity(text.len() + 16);
    let mut rest = text.as_str();
    while let Some(begin) = rest.find('`') {
        let (before, from) = rest.split_at(begin);
        plain(&mut words, before);
        let run = from.len() - from.trim_start_matches('`').len();
        let inside = &from[run..];
        match closing(inside, run).filter(|end| !inside[..*end].trim().is_empty()) {
            Some(end) => {
                push_span(&mut words, &inside[..end]);
                rest = &inside[end + run..];
            }
            None => {
                words.push_str(&"\\`".repeat(run));
                rest = inside;
            }
        }
    }
    plain(&mut words, rest);
    words
}

/// Each line of a foreign text as a paragraph of its own.
pub fn paragraphs(text: &str, most: usize) -> String {
    let text = shown(text, most);
    let lines: Vec<String> = text.lines().map(|line| prose(line, most)).filter(|line| !line.is_empty()).collect();
    lines.join("\n\n")
}

/// A foreign text for a title: no markup is read there, but mentions and references are.
pub fn title(text: &str, most: usize) -> String {
    let text = folded(text, most);
    let mut title = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        title.push(c);
        let (before, after) = (&text[..at], &text[at + c.len_utf8()..]);
        let refers = match c {
            '@' | '#' => after.starts_with(char::is_alphanumeric),
            '-' => before.ends_with(['h', 'H']) && after.starts_with(|c: char| c.is_ascii_digit()),
            ':' => after.starts_with("//"),
            _ => false,
        };
        if refers {
            title.push('\u{200b}');
        }
    }
    title
}

/// A foreign text on one line.
fn folded(text: &str, most: usize) -> String {
    let text = shown(text, most);
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ")
}

/// A link, where `url` is one that may be followed; else only the words, which are Markdown already.
pub fn link(words: &str, url: &str) -> String {
    match address(url) {
        Some(url) => format!("[{words}]({url})"),
        None => words.to_owned(),
    }
}

/// An address of the web that can stand anywhere as it is.
pub fn address(url: &str) -> Option<&str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._~:/?#&=+,%".contains(c);
    let host = url.strip_prefix("https://").or(url.strip_prefix("http://"))?;
    (host.starts_with(|c: char| c.is_ascii_alphanumeric()) && host.chars().all(fits) && url.len() <= 1000)
        .then_some(url)
}

/// What can be unfolded: `words` are ours, and HTML.
pub fn details(words: &str, inside: &str) -> String {
    format!("<details>\n<summary>{words}</summary>\n\n{}\n\n</details>\n", inside.trim())
}

/// At most `most` bytes of Markdown that this module made: cut between two lines, what is open there closed, and
/// `note` (Markdown of ours) behind it.
pub fn cut(text: &str, most: usize, note: &str) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let (mut end, mut closed) = (0, String::new());
    let (mut at, mut fence, mut unfolded) = (0, 0, 0);
    for line in text.split_inclusive('\n') {
        at += line.len();
        let ticks = line.len() - line.trim_start_matches('`').len();
        let after = line[ticks..].trim_end();
        match (fence, line.trim_end()) {
            (0, _) if ticks >= 3 && !after.contains('`') => fence = ticks,
            (open, _) if open > 0 && ticks >= open && after.is_empty() => fence = 0,
            (0, "<details>") => unfolded += 1,
            (0, "</details>") => unfolded = usize::saturating_sub(unfolded, 1),
            _ => {}
        }
        let fence = if fence > 0 { format!("{}\n", "`".repeat(fence)) } else { String::new() };
        let closing = format!("{fence}{}\n{note}\n", "\n</details>\n".repeat(unfolded));
        if at + closing.len() > most {
            break;
        }
        if line.ends_with('\n') {
            (end, closed) = (at, closing);
        }
    }
    if end == 0 {
        return if note.len() <= most { note.to_owned() } else { String::new() };
    }
    format!("{}{closed}", &text[..end])
}

/// Where the run of exactly `run` backticks begins that closes a span.
fn closing(text: &str, run: usize) -> Option<usize> {
    let mut at = 0;
    while let Some(begin) = text[at..].find('`').map(|found| at + found) {
        let length = text.len() - begin - text[begin..].trim_start_matches('`').len();
        if length == run {
            return Some(begin);
        }
        at = begin + length;
    }
    None
}

/// A code span beside what is there: two spans must not touch.
fn push_span(words: &mut String, inside: &str) {
    if words.ends_with('`') {
        words.push(' ');
    }
    words.push_str(&span(inside));
}

/// Words without backticks.
fn plain(words: &mut String, text: &str) {
    for (number, word) in text.split(' ').enumerate() {
        if number > 0 {
            words.push(' ');
        }
        if is_obeyed(word) {
            push_span(words, word);
            continue;
        }
        // What begins a line may make it a list's item, or a heading of the line above.
        let begins = words.trim().is_empty();
        let number_ends = if begins { word.find(|c: char| !c.is_ascii_digit()) } else { None };
        for (at, c) in word.char_indices() {
            match c {
                '<' => words.push_str("&lt;"),
                '>' => words.push_str("&gt;"),
                '&' => words.push_str("&amp;"),
                '\\' | '*' | '_' | '[' | ']' | '~' | '!' => words.extend(['\\', c]),
                '-' | '+' | '=' if begins && at == 0 => words.extend(['\\', c]),
                '.' | ')' if number_ends == Some(at) => words.extend(['\\', c]),
                _ => words.push(c),
            }
        }
    }
}

/// Could GitHub make a mention, a reference, a link, a formula or a picture of this word?
fn is_obeyed(word: &str) -> bool {
    let lower = word.to_ascii_lowercase();
    let numbered = |(at, found): (usize, &str)| lower[at + found.len()..].starts_with(|c: char| c.is_ascii_digit());
    let is_hash = |run: &str| (7..=64).contains(&run.len()) && run.bytes().all(|b| b.is_ascii_hexdigit());
    word.contains(['@', '#', '$'])
        || lower.contains("://")
        || lower.contains("www.")
        || lower.match_indices("gh-").any(numbered)
        || word.matches(':').count() > 1
        || word.split(|c: char| !c.is_ascii_alphanumeric()).any(is_hash)
}

#[cfg(test)]
pub(crate) mod tests;
