//! The secrets that this process was given: values of variables whose names say so, however they are written.

use std::{collections::BTreeSet, ops::Range, sync::LazyLock};

use aho_corasick::{AhoCorasick, MatchKind};
use base64::{Engine as _, engine::general_purpose};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The secrets of this process's environment, read once.
pub(super) static OF_PROCESS: LazyLock<Known> = LazyLock::new(|| {
    let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    Known::of(std::env::vars_os().map(|(name, value)| (text(name), text(value))))
});

const NAMES: [&str; 16] = [
    "TOKEN",
    "SECRET",
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "API_KEY",
    "APIKEY",
    "PRIVATE_KEY",
    "CREDENTIAL",
    "ACCESS_KEY",
    "AUTH_KEY",
    "ENCRYPTION_KEY",
    "SIGNING_KEY",
    "DEPLOY_KEY",
    "CONNECTION_STRING",
    "WEBHOOK",
];

/// Values that hide nothing, and that logs are full of.
const TRIVIAL: [&str; 14] = [
    "postgres",
    "password",
    "passw0rd",
    "password123",
    "password1",
    "changeme",
    "localhost",
    "disabled",
    "required",
    "undefined",
    "username",
    "test-token",
    "testtest",
    "secretsecret",
];

/// What browsers and Python's `quote` leave as it is.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
const UNRESERVED_AND_SLASH: &AsciiSet = &UNRESERVED.remove(b'/');

/// Values that are secret whatever they look like.
#[derive(Default)]
pub(super) struct Known {
    values: Option<AhoCorasick>,
}

impl Known {
    /// Those of an environment.
    pub(super) fn of(variables: impl IntoIterator<Item = (String, String)>) -> Known {
        let mut values = BTreeSet::new();
        for (name, value) in variables {
            let value = value.trim();
            if is_secret_name(&name) && !is_trivial(value) {
                values.insert(value.to_owned());
                // A key is often printed line by line.
                let lines = value.lines().map(str::trim).filter(|l| l.len() >= 20 && !l.starts_with("-----"));
                values.extend(lines.map(str::to_owned));
            }
        }
        Known::values(values)
    }

    /// These values, and what they are encoded.
    pub(super) fn values(values: impl IntoIterator<Item = String>) -> Known {
        let forms: BTreeSet<String> = values.into_iter().flat_map(|value| forms(&value)).collect();
        let automaton = || AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&forms).ok();
        Known { values: if forms.is_empty() { None } else { automaton() } }
    }

    /// Where they stand.
    pub(super) fn find<'t>(&'t self, text: &'t str) -> impl Iterator<Item = Range<usize>> + 't {
        self.values.iter().flat_map(move |values| values.find_iter(text).map(|found| found.range()))
    }
}

fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_uppercase().replace('-', "_");
    let elsewhere = ["_FILE", "_PATH", "_DIR", "_URL", "_HOST", "_NAME", "_TTL"];
    (NAMES.iter().any(|n| name.contains(n)) || name.ends_with("_PAT") || name.ends_with("_DSN"))
        && (!elsewhere.iter().any(|end| name.ends_with(end)) || name.contains("WEBHOOK"))
}

/// Would hiding it hide nothing but words of the log?
pub(super) fn is_trivial(value: &str) -> bool {
    let distinct = value.chars().collect::<BTreeSet<_>>().len();
    value.chars().count() < 8
        || distinct < 4
        || TRIVIAL.contains(&value.to_ascii_lowercase().as_str())
        || value.len() < 12 && value.bytes().all(|b| b.is_ascii_digit())
        || (value.starts_with('/') || value.starts_with("~/")) && !value.contains("==")
}

/// A value as it is, as it stands in a URL, and as it stands within base64, wherever it begins there.
pub(super) fn forms(value: &str) -> Vec<String> {
    let mut forms = Vec::new();
    for set in [UNRESERVED, NON_ALPHANUMERIC, UNRESERVED_AND_SLASH] {
        let encoded = utf8_percent_encode(value, set).to_string();
        let lower = encoded.split('%').enumerate().map(|(at, piece)| match piece.get(..2).filter(|_| at > 0) {
            Some(hex) => format!("%{}{}", hex.to_ascii_lowercase(), &piece[2..]),
            None => piece.to_owned(),
        });
        forms.extend([lower.collect(), encoded.replace("%20", "+"), encoded]);
    }
    for offset in 0..3 {
        let mut bytes = vec![0; offset];
        bytes.extend_from_slice(value.as_bytes());
        // The first and the last characters depend on what stands around the value.
        let whole = (bytes.len() * 8 / 6).max(offset + 1);
        for engine in [&general_purpose::STANDARD_NO_PAD, &general_purpose::URL_SAFE_NO_PAD] {
            forms.push(engine.encode(&bytes)[if offset == 0 { 0 } else { offset + 1 }..whole].to_owned());
        }
    }
    forms.push(value.to_owned());
    forms.retain(|form| form.len() >= 8);
    forms
}
