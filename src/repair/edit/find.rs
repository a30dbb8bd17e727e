//! What is to be replaced, found: exactly, else but for white space at the ends of lines, else with another
//! indentation, else as a part of a line. Always once. Files keep their line endings.

use std::{collections::HashMap, ops::Range};

use similar::TextDiff;

/// More lines than that are not searched for.
const MOST_LINES: usize = 2000;
/// Characters of a file that a message shows.
const SHOWN: usize = 1500;

/// A line: where it is, without and with its ending.
struct Line {
    text: Range<usize>,
    next: usize,
}

/// How the lines that were found are indented, compared with those that were searched for.
enum Shift {
    None,
    In(String),
    Out(String),
}

/// `text` with `replace` for `search`.
pub(super) fn replaced(path: &str, text: &str, search: &str, replace: &str) -> Result<String, String> {
    let wanted = lines_of(search);
    if wanted.iter().all(|line| line.trim().is_empty()) {
        return Err(format!("{path}: the lines to be replaced are blank: give lines that stand once in the file."));
    }
    if wanted.len() > MOST_LINES {
        return Err(format!("{path}: at most {MOST_LINES} lines can be replaced at once."));
    }
    let lines = split(text);
    for same in [exactly, but_for_line_ends] {
        match places(text, &lines, &wanted, same)[..] {
            [] => {}
            [at] => {
                return put(text, &lines, at, wanted.len(), replace, &Shift::None)
                    .ok_or_else(|| not_found(path, text, &lines, &wanted));
            }
            ref several => return Err(ambiguous(path, several)),
        }
    }
    let shifted: Vec<(usize, Shift)> = (0..(lines.len() + 1).saturating_sub(wanted.len()))
        .filter_map(|at| Some((at, shift(text, &lines[at..], &wanted)?)))
        .take(4)
        .collect();
    match &shifted[..] {
        [(at, shift)] => {
            return put(text, &lines, *at, wanted.len(), replace, shift).ok_or_else(|| {
                format!(
                    "{path}: line {} and its neighbours are indented less than you wrote, and so cannot take your lines: \
                     give both halves with the file's own indentation.",
                    at + 1
                )
            });
        }
        [] => {}
        several => return Err(ambiguous(path, &several.iter().map(|(at, _)| *at).collect::<Vec<_>>())),
    }
    part_of_a_line(text, search, replace).ok_or_else(|| not_found(path, text, &lines, &wanted))
}

/// `text` with `replace` for `search`, where these very lines stand in it once.
pub(super) fn replaced_plainly(text: &str, search: &str, replace: &str) -> Option<String> {
    let (lines, wanted) = (split(text), lines_of(search));
    if wanted.is_empty() || wanted.len() > MOST_LINES {
        return None;
    }
    match places(text, &lines, &wanted, but_for_line_ends)[..] {
        [at] => put(text, &lines, at, wanted.len(), replace, &Shift::None),
        _ => None,
    }
}

/// How often these very lines stand in `text`; a few times are enough.
pub(super) fn count(text: &str, half: &str) -> usize {
    let wanted = lines_of(half);
    let blank = wanted.iter().all(|line| line.trim().is_empty());
    if blank || wanted.len() > MOST_LINES { 0 } else { places(text, &split(text), &wanted, but_for_line_ends).len() }
}

fn split(text: &str) -> Vec<Line> {
    let bom = if text.starts_with('\u{feff}') { 3 } else { 0 };
    let mut start = bom;
    let mut lines = Vec::new();
    for line in text[bom..].split_inclusive('\n') {
        let bare = line.strip_suffix('\n').map_or(line, |l| l.strip_suffix('\r').unwrap_or(l));
        lines.push(Line { text: start..start + bare.len(), next: start + line.len() });
        start += line.len();
    }
    lines
}

/// The lines of a half; a last line needs no ending.
fn lines_of(half: &str) -> Vec<&str> {
    half.lines().collect()
}

fn exactly(line: &str, wanted: &str) -> bool {
    line == wanted
}

fn but_for_line_ends(line: &str, wanted: &str) -> bool {
    line.trim_end() == wanted.trim_end()
}

/// Where the wanted lines begin, as line numbers from 0; a few are enough.
fn places(text: &str, lines: &[Line], wanted: &[&str], same: fn(&str, &str) -> bool) -> Vec<usize> {
    let windows = lines.windows(wanted.len().max(1)).enumerate();
    let found =
        windows.filter(|(_, w)| w.iter().zip(wanted).all(|(line, wanted)| same(&text[line.text.clone()], wanted)));
    found.map(|(at, _)| at).take(4).collect()
}

/// The one shift that makes the wanted lines those that stand here.
fn shift(text: &str, lines: &[Line], wanted: &[&str]) -> Option<Shift> {
    let mut found: Option<Shift> = None;
    for (line, wanted) in lines.iter().zip(wanted) {
        let (line, wanted) = (text[line.text.clone()].trim_end(), wanted.trim_end());
        if line.is_empty() && wanted.is_empty() {
            continue;
        }
        match &found {
            Some(Shift::In(by)) => (line.strip_prefix(by.as_str())? == wanted).then_some(())?,
            Some(Shift::Out(by)) => (wanted.strip_prefix(by.as_str())? == line).then_some(())?,
            _ => {
                let blank = |by: &str| by.chars().all(|c| c == ' ' || c == '\t');
                found = Some(match (line.strip_suffix(wanted), wanted.strip_suffix(line)) {
                    (Some(by), _) if !wanted.is_empty() && blank(by) => Shift::In(by.to_owned()),
                    (_, Some(by)) if !line.is_empty() && blank(by) => Shift::Out(by.to_owned()),
                    _ => return None,
                });
            }
        }
    }
    found
}

/// The text with other lines in the place of `count` lines; `None` where one of them can't be shifted.
fn put(text: &str, lines: &[Line], at: usize, count: usize, replace: &str, shift: &Shift) -> Option<String> {
    let (first, last) = (lines.get(at)?, lines.get(at + count - 1)?);
    let ending = |line: &Line| text[line.text.end..line.next].to_owned();
    // The last line of a file may have none: its own is then that of the file's first.
    let newline = [first, lines.first()?].into_iter().map(ending).find(|e| !e.is_empty());
    let newline = newline.unwrap_or_else(|| "\n".to_owned());
    let mut put = Vec::new();
    for line in lines_of(replace) {
        put.push(match shift {
            Shift::In(by) if !line.trim().is_empty() => format!("{by}{line}"),
            Shift::Out(by) if !line.trim().is_empty() => line.strip_prefix(by.as_str())?.to_owned(),
            Shift::Out(by) => line.strip_prefix(by.as_str()).unwrap_or_default().to_owned(),
            _ => line.to_owned(),
        });
    }
    let end = if put.is_empty() { String::new() } else { ending(last) };
    Some([&text[..first.text.start], &put.join(&newline), &end, &text[last.next..]].concat())
}

/// A piece of text that stands once in the file, and is no whole line.
fn part_of_a_line(text: &str, search: &str, replace: &str) -> Option<String> {
    let newline =
        if text.lines().next().is_some_and(|first| text[first.len()..].starts_with("\r\n")) { "\r\n" } else { "\n" };
    let half = |half: &str| lines_of(half).join(newline);
    let (search, replace) = (half(search), half(replace));
    let mut found = text.match_indices(&search);
    let (at, _) = found.next().filter(|_| search.trim().len() >= 3)?;
    found.next().is_none().then(|| [&text[..at], &replace, &text[at + search.len()..]].concat())
}

fn ambiguous(path: &str, places: &[usize]) -> String {
    let shown: Vec<String> = places.iter().map(|at| (at + 1).to_string()).collect();
    format!(
        "{path}: the lines to be replaced stand there more than once (at lines {}): take lines around them along, so that \
         they are found once.",
        shown.join(", ")
    )
}

fn not_found(path: &str, text: &str, lines: &[Line], wanted: &[&str]) -> String {
    let first: String = wanted.iter().find(|l| !l.trim().is_empty()).unwrap_or(&"").trim().chars().take(120).collect();
    let said = format!("{path}: the lines to be replaced do not stand there (`{first}` …).");
    let Some(at) = nearest(text, lines, wanted) else {
        return format!("{said} Nothing in the file is like them: read it first.");
    };
    let (from, to) = (at.saturating_sub(2), (at + wanted.len() + 2).min(lines.len()));
    let mut excerpt = String::new();
    for line in &lines[from..to] {
        excerpt.extend(text[line.text.clone()].chars().take(300));
        excerpt.push('\n');
        if excerpt.len() > SHOWN {
            excerpt.push_str("…\n");
            break;
        }
    }
    format!("{said} The nearest are these, from line {} on:\n{excerpt}", from + 1)
}

/// Where most of the wanted lines stand; else where something like the longest of them does.
fn nearest(text: &str, lines: &[Line], wanted: &[&str]) -> Option<usize> {
    let mut by_line: HashMap<&str, usize> = HashMap::new();
    for (n, line) in wanted.iter().enumerate().filter(|(_, line)| line.trim().len() > 2) {
        by_line.entry(line.trim()).or_insert(n);
    }
    let mut votes: HashMap<usize, usize> = HashMap::new();
    for (n, line) in lines.iter().enumerate() {
        if let Some(at) = by_line.get(text[line.text.clone()].trim()).and_then(|offset| n.checked_sub(*offset)) {
            *votes.entry(at).or_default() += 1;
        }
    }
    if let Some((at, _)) = votes.into_iter().max_by_key(|(at, votes)| (*votes, std::cmp::Reverse(*at))) {
        return Some(at);
    }
    let (offset, longest) = wanted.iter().enumerate().max_by_key(|(_, line)| line.trim().len())?;
    let longest: String = longest.trim().chars().take(200).collect();
    let like = |line: &Line| {
        let line = text[line.text.clone()].trim();
        let comparable = line.len() * 3 > longest.len() && line.len() < longest.len() * 3;
        comparable.then(|| (TextDiff::from_chars(line, longest.as_str()).ratio() * 1000.0) as u32)
    };
    let scored = lines.iter().enumerate().filter_map(|(n, line)| Some((n, like(line)?))).take(3000);
    let (n, _) = scored.filter(|(_, score)| *score >= 550).max_by_key(|(n, score)| (*score, std::cmp::Reverse(*n)))?;
    Some(n.saturating_sub(offset))
}
