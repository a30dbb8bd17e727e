//! What the failures say: normalised, so that the same failure makes the same prompt in every run and on every
//! machine, and cut down to the lines that inform.

use std::{collections::BTreeSet, rc::Rc, sync::LazyLock};

use regex::{Captures, Regex};

use super::{
    files::{Files, bounded},
    module::Module,
};
use crate::detect::{Failure, Key};

/// The longest line that is kept.
const LINE: usize = 300;
/// The longest excerpt.
const EXCERPT: usize = 2400;
/// Lines of one assertion's explanation.
const EXPLAINED: usize = 36;

fn regex(pattern: &str) -> Regex {
    match Regex::new(pattern) {
        Ok(regex) => regex,
        Err(error) => unreachable!("{error}"),
    }
}

macro_rules! patterns {
    ($($name:ident = $pattern:expr;)*) => { $(static $name: LazyLock<Regex> = LazyLock::new(|| regex($pattern));)* };
}

patterns! {
    ESCAPE = "\u{1b}\\[[0-9;:?]*[ -/]*[@-~]|\u{1b}\\][^\u{7}\u{1b}]*(?:\u{7}|\u{1b}\\\\)|\u{1b}.";
    INSTALLED = r#"(?:[A-Za-z]:)?[^\s"'(=\[,<>]*[\\/](?:site|dist)-packages[\\/]([^\s"':,)\]]*)"#;
    STDLIB = r#"(?:[A-Za-z]:)?[^\s"'(=\[,<>]*[\\/]lib[\\/]python3\.\d+t?[\\/]"#;
    ABSOLUTE = r#"(^|[^\w.\-/])((?:file://)?(?:[A-Za-z]:)?/[^\s"'`<>:,;()\[\]{}|]+)"#;
    TEMPORARY = r#"(?:/private)?/(?:var/folders/\w+/\w+/\w|var/tmp|tmp|dev/shm)/[^\s"'`:,;)\]>]*"#;
    ADDRESS = r"\b0x[0-9a-fA-F]{5,}\b";
    TIME = r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?";
    UUID = r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b";
    DURATION = r"\b(?:in|after|took|call|setup|teardown|elapsed:?)\s+\d+(?:\.\d+)?\s?(?:ms|s|seconds?)\b|\b\d+\.\d+\s?(?:ms|s|seconds)\b";
    PROCESS = r"\b(?i:pid|process|thread|port)(?:[=: ]+)\d{3,}";
    RANDOM = r"(?i)random(?:ly)?[-_ ](?:order|seed)|^(?:platform|cachedir|rootdir|plugins:)|\[gw\d+\]";
    TEST_PLACE = r"^([^\s:\x22]+\.\w+):(\d+)(?::|$)";
    TRACE_PLACE = r#"^\s*(?:E\s+)?File "([^"]+)", line (\d+)"#;
    HEADING = r"^_+ ([^_\s].*?|_\w.*?) _+$";
}

/// A text without what differs from run to run and from machine to machine.
pub(super) fn normal(text: &str, files: &Files<'_>) -> String {
    normal_beside(text, "", files)
}

/// The same of a text that tells of the files which another one names.
fn normal_beside(text: &str, beside: &str, files: &Files<'_>) -> String {
    let text = ESCAPE.replace_all(text, "");
    let text: String = text.chars().filter(|c| matches!(c, '\n' | '\t') || !c.is_control()).collect();
    let text = INSTALLED.replace_all(&text, |found: &Captures<'_>| {
        let inner = found.get(1).map_or("", |inner| inner.as_str());
        let own = ["", "src/", "lib/"].iter().map(|home| format!("{home}{inner}")).find(|path| files.has(path));
        own.unwrap_or_else(|| format!("<site-packages>/{inner}"))
    });
    let text = STDLIB.replace_all(&text, "<stdlib>/");
    let mut roots = BTreeSet::new();
    let text = ABSOLUTE.replace_all(&text, |found: &Captures<'_>| {
        let (before, path) = (&found[1], &found[2]);
        // An address on the web is no file of ours.
        match files.meant_by(path).filter(|_| !path.starts_with("//")) {
            Some(relative) => {
                let root = path.len().saturating_sub(relative.len() + 1);
                if relative.contains('/') || path.matches('/').count() > 2 {
                    roots.extend(path.get(..root).filter(|root| root.matches('/').count() > 1).map(str::to_owned));
                }
                format!("{before}{relative}")
            }
            None => found[0].to_owned(),
        }
    });
    let mut text = text.into_owned();
    for root in roots.iter().rev() {
        text = text.replace(&format!("{root}/"), "").replace(root, ".");
    }
    let literals = Literals::of(&[&text, beside], files);
    let masked = |pattern: &Regex, text: &str, mask: &str| {
        let mask = |found: &Captures<'_>| if literals.hold(&found[0]) { found[0].to_owned() } else { mask.to_owned() };
        pattern.replace_all(text, mask).into_owned()
    };
    let text = TEMPORARY.replace_all(&text, |found: &Captures<'_>| {
        let name = found[0].rsplit('/').next().unwrap_or_default();
        let plain = name.contains('.') && !name.starts_with("tmp") && !name.contains(|c: char| c.is_ascii_digit());
        match literals.hold(&found[0]) {
            true => found[0].to_owned(),
            false if plain => format!("<tmp>/{name}"),
            false => "<tmp>".to_owned(),
        }
    });
    let text = ADDRESS.replace_all(&text, "0x…");
    let text = masked(&TIME, &text, "<time>");
    let text = masked(&UUID, &text, "<uuid>");
    let text = masked(&PROCESS, &text, "<process>");
    let text = masked(&DURATION, &text, "<duration>");
    let lines = text.lines().filter(|line| !RANDOM.is_match(line.trim_start()));
    lines.map(str::trim_end).collect::<Vec<_>>().join("\n").trim_end().to_owned()
}

/// What stands in the files that a text names: a literal of theirs is the same in every run.
struct Literals {
    texts: Vec<Rc<Module>>,
}

impl Literals {
    fn of(texts: &[&str], files: &Files<'_>) -> Literals {
        let places = texts.iter().flat_map(|text| frames(text, files));
        let paths: BTreeSet<String> = places.map(|(path, _)| path).collect();
        Literals { texts: paths.iter().take(8).filter_map(|path| files.module(path)).collect() }
    }

    /// Does it stand there: as it is, or, of a time, its date, also as numbers?
    fn hold(&self, literal: &str) -> bool {
        let mut forms = vec![literal.to_owned()];
        let date: Vec<u32> = literal.get(..10).unwrap_or("").split('-').filter_map(|part| part.parse().ok()).collect();
        if let ([year, month, day], Some(date)) = (&date[..], literal.get(..10)) {
            forms.extend([date.to_owned(), format!("({year}, {month}, {day}")]);
        }
        self.texts.iter().any(|module| forms.iter().any(|form| module.text.contains(form.as_str())))
    }
}

/// The repository's places that a normalised text names, in order.
pub(super) fn frames(text: &str, files: &Files<'_>) -> Vec<(String, usize)> {
    let mut found: Vec<(String, usize)> = Vec::new();
    for line in text.lines() {
        let place = TEST_PLACE.captures(line).or_else(|| TRACE_PLACE.captures(line));
        let Some(place) = place else { continue };
        let path = place[1].trim_start_matches("./");
        let Ok(number) = place[2].parse::<usize>() else { continue };
        let frame = (path.to_owned(), number);
        if files.has(path) && found.last() != Some(&frame) {
            found.push(frame);
        }
    }
    found
}

/// The part of a run's output that tells of one test (pytest's long reports), which a failure's excerpt may have cut.
pub(super) fn section<'t>(output: &'t str, id: &str) -> Option<&'t str> {
    let name = id.split_once("::").map_or(id, |(_, name)| name).replace("::", ".");
    let mut begin = None;
    let mut at = 0;
    for line in output.split_inclusive('\n') {
        let text = line.trim_end();
        match begin {
            None => begin = HEADING.captures(text).filter(|h| h[1] == *name).map(|_| at),
            Some(begin) if HEADING.is_match(text) || text.starts_with("=====") => return output.get(begin..at),
            Some(_) => {}
        }
        at += line.len();
    }
    output.get(begin?..)
}

fn is_place(line: &str) -> bool {
    TEST_PLACE.is_match(line)
        || TRACE_PLACE.is_match(line)
        || line.starts_with("<site-packages>/")
        || line.starts_with("<stdlib>/")
}

fn is_foreign(line: &str) -> bool {
    let line = line.trim_start().trim_start_matches("File \"");
    line.starts_with('<') || line.starts_with("/usr/") || line.starts_with("importlib/")
}

/// The lines of an excerpt that inform: frames of the project, the deepest of others, what was asserted, what was
/// printed. The code itself is shown elsewhere.
pub(super) fn compact(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let reported = lines.iter().any(|line| line.starts_with("E  ") || line.starts_with(">  "));
    let traced = lines.iter().any(|line| line.trim_start().starts_with("File \""));
    let kept = if reported || traced {
        informative(&lines, reported)
    } else {
        lines.iter().map(|l| (*l).to_owned()).collect()
    };
    let mut kept: Vec<String> = kept.iter().map(|line| bounded(line, LINE).to_owned()).collect();
    kept.dedup();
    clipped(&kept.join("\n"), EXCERPT)
}

fn informative(lines: &[&str], reported: bool) -> Vec<String> {
    let last_place = lines.iter().rposition(|line| is_place(line));
    let mut kept = Vec::new();
    let (mut captured, mut explained, mut foreign, mut after_place) = (0, 0, false, false);
    for (at, line) in lines.iter().enumerate() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.chars().all(|c| matches!(c, '^' | '~' | ' ' | '_' | '-')) {
            continue;
        }
        if captured > 0 && !trimmed.starts_with("----") {
            captured -= 1;
            kept.push((*line).to_owned());
        } else if trimmed.starts_with("----") && trimmed.contains("Captured") {
            captured = 12;
            kept.push((*line).to_owned());
        } else if line.starts_with('E') && reported {
            explained += 1;
            if explained <= EXPLAINED && trimmed != "E" {
                kept.push((*line).to_owned());
            }
        } else if line.starts_with('>') {
            kept.push((*line).to_owned());
        } else if is_place(line) {
            foreign = is_foreign(line) && last_place != Some(at);
            after_place = true;
            explained = 0;
            if !foreign {
                kept.push((*line).to_owned());
            }
            continue;
        } else if !reported || (after_place && !foreign && line.starts_with("    ") && !line.starts_with("     ")) {
            // The line of code below a frame; all that a plain traceback says besides.
            if !(foreign && after_place) {
                kept.push((*line).to_owned());
            }
        } else if reported && is_local(line) && kept.len() < 40 {
            kept.push(bounded(line, 160).to_owned());
        }
        after_place = false;
    }
    kept
}

/// A line of pytest's `--showlocals`.
fn is_local(line: &str) -> bool {
    let Some((name, value)) = line.split_once(" = ") else { return false };
    let name = name.trim_end();
    !name.is_empty()
        && name.chars().all(|c| c.is_alphanumeric() || c == '_')
        && line.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && !(value.starts_with('<') && value.ends_with('>'))
}

/// A text of at most `limit` bytes: its beginning and, more of it, its end.
pub(super) fn clipped(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let head = bounded(text, limit / 3);
    let mut from = text.len() - limit * 2 / 3;
    while !text.is_char_boundary(from) {
        from += 1;
    }
    let head = head.rsplit_once('\n').map_or(head, |(head, _)| head);
    let tail = text[from..].split_once('\n').map_or(&text[from..], |(_, tail)| tail);
    format!("{head}\n[…]\n{tail}")
}

/// All that is said of a cause's failures, and the places that it names.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) text: String,
    /// Every place in it, the first failure's first, each failure's in the order of its frames.
    pub(super) frames: Vec<Vec<(String, usize)>>,
}

/// Failures of which the whole excerpt is told.
const TOLD: usize = 3;
/// Failures that are named.
const NAMED: usize = 40;

/// What the failures of one cause say. `output` is what our own run printed.
pub(super) fn tell(failures: &[Failure], output: &str, files: &Files<'_>) -> Told {
    let mut told = Told::default();
    let mut lines = Vec::new();
    let (mut known, mut told_whole) = (BTreeSet::new(), 0);
    for failure in failures.iter().take(NAMED) {
        let place = match (&failure.file, failure.line) {
            (Some(file), Some(line)) => format!("{file}:{line}"),
            (Some(file), None) => file.clone(),
            _ => String::new(),
        };
        let id = failure.test_id.as_deref().unwrap_or_default();
        let whole = failure.test_id.as_deref().and_then(|id| section(output, id)).unwrap_or(&failure.excerpt);
        let whole = normal(bounded(whole, 60_000), files);
        let message = normal_beside(bounded(&failure.message, 2000), &format!("{whole}\n{place}"), files);
        let mut frames = frames(&whole, files);
        if let (Some(file), Some(line)) = (&failure.file, failure.line)
            && let Ok(line) = usize::try_from(line)
            && files.has(file)
            && !frames.contains(&(file.clone(), line))
        {
            frames.push((file.clone(), line));
        }
        told.frames.push(frames);
        let head: Vec<&str> = [id, place.as_str()].into_iter().filter(|part| !part.is_empty()).collect();
        let first = message.lines().next().unwrap_or_default();
        let repeats = if failure.count > 1 { format!(" ({} times)", failure.count) } else { String::new() };
        let head = if head.is_empty() { String::new() } else { format!("{}: ", head.join(" ")) };
        lines.push(format!("{head}{}{repeats}", bounded(first, 400)));
        let excerpt = match failure.key {
            // The code is shown, and the message says the rest.
            Key::Finding { .. } => notes(&whole),
            _ => compact(&whole),
        };
        // A file that cannot be read fails every test file that imports it.
        let collected = excerpt.trim_start().starts_with("ERROR collecting");
        let explained: String = excerpt.lines().filter(|line| line.starts_with("E ")).collect();
        let repeated = collected && !explained.is_empty() && !known.insert(explained);
        // One of a function's parameters tells for all: the others' messages say how they differ.
        let function = id.split('[').next().unwrap_or(id);
        let cause = if function.is_empty() {
            excerpt.clone()
        } else {
            format!("{function} {}", failure.message.split(':').next().unwrap_or_default())
        };
        let new = known.insert(cause) && !repeated && told_whole < TOLD;
        told_whole += usize::from(new);
        let says_more = !excerpt.trim().is_empty() && excerpt.trim() != first.trim();
        if new && says_more {
            lines.extend(excerpt.lines().map(|line| format!("  {line}")));
        } else if new && message.lines().count() > 1 {
            lines.extend(message.lines().skip(1).map(|line| format!("  {line}")));
        }
    }
    if failures.len() > NAMED {
        lines.push(format!("… and {} more of the same cause", failures.len() - NAMED));
    }
    told.text = clipped(&lines.join("\n"), 8000);
    told
}

/// What a checker adds to its finding.
fn notes(excerpt: &str) -> String {
    let lines = excerpt.lines().filter(|line| line.contains("note:") || line.trim_start().starts_with("= help"));
    lines.take(6).map(|line| bounded(line.trim(), LINE)).collect::<Vec<_>>().join("\n")
}
