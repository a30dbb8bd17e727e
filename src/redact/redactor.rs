//! Redaction that can be taken back, within one run.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, PoisonError},
};

use aho_corasick::{AhoCorasick, MatchKind};
use regex::Regex;
use sha2::{Digest as _, Sha256};

use super::known::{self, Known};
use super::{ASSIGNED, CONFIGURED_KIND, PLACEHOLDER, Span, TELLING, compiled, configured, found, merged, replaced};

/// What every placeholder begins with.
const PREFIX: &str = "__SECRET_";

/// The name of a value that only its surroundings tell: they may be others in the next text.
const UNNAMED: &str = "value";

/// The kind of a foreign text that has the form of a placeholder, or of its beginning.
const LITERAL: &str = "literal";

/// Puts placeholders in the place of secrets, and secrets in the place of its placeholders.
///
/// A placeholder is `__SECRET_GITHUB_TOKEN_7F3A__`: the kind, and some bits of the value's hash, which a text that never
/// saw the value can't name. It hangs on the value alone, so that every run and every order of texts makes the same
/// prompts of the same texts; only the later of two values of one run that would share one gets a number behind it. It
/// is one word in Python, TOML, YAML and shells.
pub struct Redactor {
    extras: Vec<Regex>,
    /// What this process was given.
    pub(super) known: &'static Known,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// By first appearance.
    secrets: Vec<Secret>,
    by_value: HashMap<String, usize>,
    by_placeholder: HashMap<String, usize>,
    /// The values, to find them where nothing around them tells.
    values: Option<AhoCorasick>,
}

struct Secret {
    kind: &'static str,
    value: String,
    placeholder: String,
    /// Did the placeholder stand in for it anywhere?
    told: bool,
}

/// Longer texts are not looked through beforehand, nor more of them, nor more secrets learned.
const LONGEST_TEXT: usize = 2 << 20;
const MOST_TEXT: usize = 64 << 20;
const MOST_LEARNED: usize = 4096;

impl Redactor {
    /// One that takes these expressions for secrets as well; an error names the one that can't be used.
    pub fn new(extras: &[String]) -> Result<Redactor, String> {
        Ok(Redactor { extras: compiled(extras)?, known: &known::OF_PROCESS, seen: Mutex::default() })
    }

    /// Learns the secrets of these texts. It then knows them in any part and place, where nothing around them tells; and
    /// the same texts give them the same placeholders in every run.
    pub fn learn(&self, texts: impl IntoIterator<Item = String>) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut left = MOST_TEXT;
        for text in texts.into_iter().filter(|text| text.len() <= LONGEST_TEXT) {
            left = left.saturating_sub(text.len());
            if left == 0 || seen.secrets.len() > MOST_LEARNED {
                break;
            }
            for span in self.secrets(&text, &seen).into_iter().filter(|span| span.kind != LITERAL) {
                let value = &text[span.at];
                seen.number(span.kind, value, || self.name(span.kind, value));
                for line in lines(value) {
                    seen.number(span.kind, &line, || self.name(span.kind, &line));
                }
            }
        }
        seen.learn();
    }

    /// The text without its secrets. The same value gets the same placeholder, and placeholders stay.
    pub fn redact(&self, text: &str) -> String {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut clean = text.to_owned();
        // What stands beside a placeholder may look like a secret now. Each round hides something more.
        for _ in 0..16 {
            let before = seen.secrets.len();
            let (next, replaced) = self.round(&clean, &mut seen);
            clean = next;
            if seen.secrets.len() > before {
                seen.learn();
            }
            if !replaced {
                break;
            }
        }
        clean
    }

    /// Redacts what stands between the placeholders.
    fn round(&self, text: &str, seen: &mut Seen) -> (String, bool) {
        let mut clean = String::with_capacity(text.len());
        let mut any = false;
        let mut from = 0;
        let own: Vec<_> = (PLACEHOLDER.iter().flat_map(|form| form.find_iter(text)))
            .filter(|m| seen.by_placeholder.contains_key(m.as_str()))
            .map(|m| m.range())
            .chain(std::iter::once(text.len()..text.len()))
            .collect();
        for own in own {
            let piece = &text[from..own.start];
            let spans = self.secrets(piece, seen);
            any |= !spans.is_empty();
            clean.push_str(&replaced(piece, spans, |span| {
                let value = &piece[span.at.clone()];
                seen.placeholder(span.kind, value, || self.name(span.kind, value))
            }));
            clean.push_str(&text[own.clone()]);
            from = own.end;
        }
        (clean, any)
    }

    /// What a placeholder calls a value: its kind, where the value itself tells.
    fn name(&self, kind: &'static str, value: &str) -> &'static str {
        if kind == LITERAL {
            return LITERAL;
        }
        match &self.secrets(value, &Seen::default())[..] {
            [alone] if alone.at == (0..value.len()) => alone.kind,
            _ => UNNAMED,
        }
    }

    fn secrets(&self, piece: &str, seen: &Seen) -> Vec<Span> {
        let mut spans = found(piece, &configured(), self.known);
        let extras = self.extras.iter().flat_map(|extra| extra.find_iter(piece)).filter(|m| !m.is_empty());
        spans.extend(extras.map(|m| Span { at: m.range(), kind: CONFIGURED_KIND }));
        if let Some(values) = &seen.values {
            spans.extend(values.find_iter(piece).map(|m| Span { at: m.range(), kind: ASSIGNED }));
        }
        let forged = PLACEHOLDER.iter().flat_map(|form| form.find_iter(piece)).map(|m| m.range());
        let begun = piece.match_indices(PREFIX).map(|(at, found)| at..at + found.len());
        spans.extend(forged.chain(begun).map(|at| Span { at, kind: LITERAL }));
        merged(spans)
    }

    /// The text with the values of this redactor's placeholders. Others stay.
    pub fn restore(&self, text: &str) -> String {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(form) = &*PLACEHOLDER else { return text.to_owned() };
        let value = |found: &regex::Captures<'_>| {
            let secret = seen.by_placeholder.get(&found[0]).and_then(|at| seen.secrets.get(*at));
            secret.map_or_else(|| found[0].to_owned(), |secret| secret.value.clone())
        };
        form.replace_all(text, value).into_owned()
    }

    /// How many secrets of each kind were hidden. What was forged is none.
    pub fn counts(&self) -> BTreeMap<String, usize> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut counts = BTreeMap::new();
        for secret in seen.secrets.iter().filter(|secret| secret.told && secret.kind != LITERAL) {
            *counts.entry(secret.kind.to_owned()).or_default() += 1;
        }
        counts
    }
}

impl Seen {
    /// The placeholder of a value, which is to stand in for it.
    fn placeholder(&mut self, kind: &'static str, value: &str, name: impl FnOnce() -> &'static str) -> String {
        let number = self.number(kind, value, name);
        let Some(secret) = self.secrets.get_mut(number) else { return String::new() };
        secret.told = true;
        secret.placeholder.clone()
    }

    /// The place of a value among the secrets.
    fn number(&mut self, kind: &'static str, value: &str, name: impl FnOnce() -> &'static str) -> usize {
        if let Some(number) = self.by_value.get(value) {
            return *number;
        }
        let number = self.secrets.len();
        let hash = Sha256::new().chain_update(b"placeholder").chain_update(value).finalize();
        let name = name().to_ascii_uppercase().replace('-', "_");
        let stem = format!("{PREFIX}{name}_{:02X}{:02X}", hash[0], hash[1]);
        // What another value has, and what stood in a foreign text before, is taken.
        let taken = |placeholder: &String| {
            self.by_placeholder.contains_key(placeholder) || self.by_value.contains_key(placeholder)
        };
        let mut placeholder = format!("{stem}__");
        let mut copy = 2;
        while taken(&placeholder) {
            placeholder = format!("{stem}_{copy}__");
            copy += 1;
        }
        self.by_value.insert(value.to_owned(), number);
        self.by_placeholder.insert(placeholder.clone(), number);
        self.secrets.push(Secret { kind, value: value.to_owned(), placeholder, told: false });
        number
    }

    fn learn(&mut self) {
        let values = self.secrets.iter().filter(|s| s.kind != LITERAL && s.value.len() >= TELLING);
        let forms = values.flat_map(|secret| known::forms(&secret.value).into_iter().chain(lines(&secret.value)));
        self.values = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(forms).ok();
    }
}

/// The lines of a key, which are often shown one by one.
fn lines(value: &str) -> impl Iterator<Item = String> {
    let lines = value.lines().flat_map(|line| line.split("\\n")).map(str::trim);
    lines.filter(move |line| *line != value && line.len() >= 20 && !line.starts_with("-----")).map(str::to_owned)
}
