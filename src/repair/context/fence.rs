//! The tags around foreign text: they carry a boundary that no foreign text of the message contains.

use sha2::{Digest as _, Sha256};

use super::files::bounded;

/// The first eight digits of a hash over `seed`, hashed again until none of the texts contains it. Texts behind the same
/// seed nearly always have the same boundary, so that endpoints can cache what they have in common.
pub(in crate::repair) fn boundary<'t>(seed: &str, texts: impl Iterator<Item = &'t str>) -> String {
    let texts: Vec<&str> = texts.collect();
    let mut digest = Sha256::digest(seed).to_vec();
    loop {
        let boundary: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        if !texts.iter().any(|text| text.contains(&boundary)) {
            return boundary;
        }
        digest = Sha256::digest(&digest).to_vec();
    }
}

/// An attribute's value: one line, no quotes, bounded.
pub(super) fn attribute(text: &str) -> String {
    let mut escaped = String::new();
    for c in bounded(text, 300).chars() {
        match c {
            '"' => escaped.push_str("&quot;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => escaped.push('?'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// A text between its tags.
pub(in crate::repair) fn tagged(boundary: &str, kind: &str, attributes: &str, text: &str) -> String {
    format!("<data-{boundary} kind=\"{kind}\"{attributes}>\n{text}\n</data-{boundary}>")
}
