//! redact: secrets out of every foreign text before it leaves the process, and nothing in it that a terminal obeys.
//!
//! A secret is what this process was given as one, what looks like a service's token or a private key, and what looks
//! random and is assigned to a name that says what it is. `redact` and `shown` hide them for good; a `Redactor` puts
//! placeholders in their place, for a model, and can put them back.

mod entropy;
mod known;
mod patterns;
mod pem;
mod redactor;
#[cfg(test)]
mod tests;

use std::{
    ops::Range,
    sync::{Arc, LazyLock, PoisonError, RwLock},
};

use aho_corasick::{AhoCorasick, MatchKind};
use known::Known;
use patterns::SHAPES;
use regex::{Regex, RegexBuilder};

pub use redactor::Redactor;

/// The form of a [`Redactor`]'s placeholders.
static PLACEHOLDER: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"__SECRET(?:_[A-Z0-9]+)+_[0-9A-F]{4}(?:_[0-9]{1,9})?__").ok());

/// What was configured, for the whole process.
static CONFIGURED: RwLock<Option<Arc<Vec<Regex>>>> = RwLock::new(None);

/// A stretch of a text that is a secret.
struct Span {
    at: Range<usize>,
    kind: &'static str,
}

const ENVIRONMENT: &str = "environment";
const CONFIGURED_KIND: &str = "configured";
const PRIVATE_KEY: &str = "private-key";
const ASSIGNED: &str = "assigned-secret";

/// Found values are hidden wherever else they stand; shorter ones may be words.
const TELLING: usize = 12;

/// Replaces what looks like a credential by `[redacted]`.
pub fn redact(text: &str) -> String {
    let mut spans = found(text, &configured(), &known::OF_PROCESS);
    if spans.is_empty() {
        return text.to_owned();
    }
    let values: Vec<&str> = spans.iter().map(|s| &text[s.at.clone()]).filter(|v| v.len() >= TELLING).collect();
    if let Ok(again) = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(values) {
        spans.extend(again.find_iter(text).map(|m| Span { at: m.range(), kind: ASSIGNED }));
    }
    replaced(text, merged(spans), |_| "[redacted]".to_owned())
}

/// The secrets of a text that would be one in a commit as well, each with its kind, in their order.
pub fn secrets(text: &str) -> Vec<(&'static str, String)> {
    let spans = found(text, &configured(), &known::OF_PROCESS).into_iter();
    let all = spans.map(|span| (span.kind, text[span.at].to_owned()));
    // `user:password@` stands in many a test.
    let password = |value: &str| {
        let value = value.trim_end_matches('@');
        value.split_once(':').map_or(value, |(_, password)| password).to_owned()
    };
    all.filter(|(kind, value)| is_certain(kind) || !known::is_trivial(&password(value))).collect()
}

/// Is a secret of this kind one beyond doubt: this process's own, a service's token or a private key?
pub fn is_certain(kind: &str) -> bool {
    matches!(kind, ENVIRONMENT | CONFIGURED_KIND | PRIVATE_KEY) || SHAPES.iter().any(|s| s.certain && s.kind == kind)
}

/// Is it a secret that this process was given?
pub fn is_of_process(kind: &str) -> bool {
    kind == ENVIRONMENT
}

/// What has the form of a [`Redactor`]'s placeholder.
pub fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    PLACEHOLDER.iter().flat_map(move |form| form.find_iter(text).map(|m| m.as_str()))
}

/// Lets these expressions be secrets too, in all that this process shows from now on. An error names the expression.
pub fn configure(extras: &[String]) -> Result<(), String> {
    let extras = compiled(extras)?;
    *CONFIGURED.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(extras));
    Ok(())
}

fn configured() -> Arc<Vec<Regex>> {
    CONFIGURED.read().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_default()
}

/// Configured expressions, bounded in number, size and what they match.
fn compiled(extras: &[String]) -> Result<Vec<Regex>, String> {
    const MOST: usize = 64;
    const LONGEST: usize = 1000;
    if extras.len() > MOST {
        return Err(format!("at most {MOST} redaction patterns, not {}", extras.len()));
    }
    let one = |extra: &String| {
        let begin: String = extra.chars().take(80).collect();
        if extra.len() > LONGEST {
            return Err(format!("the redaction pattern `{begin}…` is longer than {LONGEST} bytes"));
        }
        let regex = RegexBuilder::new(extra).size_limit(1 << 20).dfa_size_limit(1 << 21).build().map_err(|error| {
            let why = error.to_string();
            format!("the redaction pattern `{begin}` can't be used: {}", why.lines().last().unwrap_or_default().trim())
        })?;
        if ["", "a", "a 1\n-B é"].iter().any(|probe| regex.find_iter(probe).any(|m| m.is_empty())) {
            return Err(format!("the redaction pattern `{begin}` matches the empty text"));
        }
        Ok(regex)
    };
    extras.iter().map(one).collect()
}

/// Which detector an anchor calls.
enum Call {
    Shape(usize),
    PrivateKey,
    Assignment,
}

/// One pass over the text says which detectors have anything to do.
static ANCHORS: LazyLock<Option<(AhoCorasick, Vec<Call>)>> = LazyLock::new(|| {
    let shapes = SHAPES.iter().enumerate().flat_map(|(at, s)| s.anchors.iter().map(move |a| (*a, Call::Shape(at))));
    let keywords = entropy::KEYWORDS.iter().map(|k| (*k, Call::Assignment));
    let (anchors, calls): (Vec<&str>, Vec<Call>) =
        shapes.chain(keywords).chain([(pem::ANCHOR, Call::PrivateKey)]).unzip();
    let automaton = AhoCorasick::builder().ascii_case_insensitive(true).build(anchors).ok()?;
    Some((automaton, calls))
});

/// The secrets of a text, in their order, none overlapping another.
fn found(text: &str, extras: &[Regex], known: &Known) -> Vec<Span> {
    let mut spans: Vec<Span> = known.find(text).map(|at| Span { at, kind: ENVIRONMENT }).collect();
    let of_extras = extras.iter().flat_map(|extra| extra.find_iter(text)).filter(|m| !m.is_empty());
    spans.extend(of_extras.map(|m| Span { at: m.range(), kind: CONFIGURED_KIND }));
    let Some((anchors, calls)) = &*ANCHORS else { return merged(spans) };
    let mut shapes = [false; SHAPES.len()];
    let mut private_keys = false;
    for anchor in anchors.find_overlapping_iter(text) {
        match calls.get(anchor.pattern().as_usize()) {
            Some(Call::Shape(at)) => shapes[*at] = true,
            Some(Call::PrivateKey) => private_keys = true,
            Some(Call::Assignment) => {
                spans.extend(entropy::assigned(text, anchor.end()).map(|at| Span { at, kind: ASSIGNED }));
            }
            None => {}
        }
    }
    if private_keys {
        spans.extend(pem::find(text).into_iter().map(|at| Span { at, kind: PRIVATE_KEY }));
    }
    for shape in SHAPES.iter().zip(shapes).filter_map(|(shape, called)| called.then_some(shape)) {
        let Some(regex) = shape.regex() else { continue };
        let group =
            |found: regex::Captures<'_>| found.iter().skip(1).flatten().next().or(found.get(0)).map(|m| m.range());
        spans.extend(regex.captures_iter(text).filter_map(group).map(|at| Span { at, kind: shape.kind }));
    }
    merged(spans)
}

/// Spans that overlap become one, of the surest kind.
fn merged(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_by_key(|s| (s.at.start, std::cmp::Reverse(s.at.end)));
    let rank = |kind: &str| match kind {
        ENVIRONMENT => 3,
        _ if is_certain(kind) => 2,
        ASSIGNED => 0,
        _ => 1,
    };
    let mut merged: Vec<Span> = Vec::new();
    for span in spans {
        match merged.last_mut().filter(|last| span.at.start < last.at.end) {
            Some(last) => {
                last.at.end = last.at.end.max(span.at.end);
                if rank(span.kind) > rank(last.kind) {
                    last.kind = span.kind;
                }
            }
            None => merged.push(span),
        }
    }
    merged
}

/// A text with something else in the place of its spans.
fn replaced(text: &str, spans: Vec<Span>, mut by: impl FnMut(&Span) -> String) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut from = 0;
    for span in spans {
        clean.push_str(&text[from..span.at.start]);
        clean.push_str(&by(&span));
        from = span.at.end;
    }
    clean.push_str(&text[from..]);
    clean
}

/// A foreign text as it may be shown: redacted, no escape sequences or other control characters, at most `most`
/// characters.
pub fn shown(text: &str, most: usize) -> String {
    let redacted = redact(text);
    let mut clean: String = redacted
        .chars()
        .filter(|c| matches!(c, '\n' | '\t') || !(c.is_control() || is_invisible(*c)))
        .take(most + 1)
        .collect();
    if clean.chars().count() > most {
        clean.pop();
        clean.push('…');
    }
    clean
}

/// The first line of a foreign text, as it may be shown.
pub fn shown_line(text: &str, most: usize) -> String {
    shown(text.trim().lines().next().unwrap_or_default(), most)
}

/// Characters that reorder or hide text.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}
