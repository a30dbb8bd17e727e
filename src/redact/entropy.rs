//! Assignments of values that look random to names that say what they are: `api_key = "…"`, `token: …`, `--password …`.

use std::ops::Range;

/// Names hold one of these.
pub(super) const KEYWORDS: [&str; 8] = ["secret", "token", "passw", "passphrase", "pwd", "credential", "auth", "key"];

const LONGEST_NAME: usize = 48;
const SHORTEST_VALUE: usize = 16;
const LONGEST_VALUE: usize = 1024;

/// Names of which a value of hex digits is a secret as well.
const STRONG: [&str; 13] = [
    "secret",
    "token",
    "passw",
    "passphrase",
    "pwd",
    "credential",
    "apikey",
    "api_key",
    "privatekey",
    "private_key",
    "access_key",
    "accesskey",
    "auth_key",
];

/// Parts of names whose values are for everybody.
const PUBLIC: [&str; 20] = [
    "public",
    "pub",
    "cache",
    "hash",
    "hashes",
    "sha",
    "sha1",
    "sha256",
    "sha512",
    "md5",
    "digest",
    "checksum",
    "commit",
    "fingerprint",
    "primary",
    "foreign",
    "partition",
    "sort",
    "integrity",
    "ref",
];

/// The value that is assigned to the name around a keyword which ends here, if it is one that should be hidden.
pub(super) fn assigned(text: &str, keyword_end: usize) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let name_end = skip(bytes, keyword_end, LONGEST_NAME, is_name);
    let mut at = skip(bytes, name_end, 3, |b| matches!(b, b'"' | b'\'' | b'\\' | b']' | b'`'));
    at = skip(bytes, at, 8, |b| matches!(b, b' ' | b'\t'));
    let separated = skip(bytes, at, 3, |b| matches!(b, b'=' | b':' | b'>' | b'!'));
    let name = || name(text, keyword_end, name_end);
    if !bytes[at..separated].iter().any(|b| matches!(b, b'=' | b':')) {
        // An option and its value.
        if !(name().starts_with("--") && at > name_end && at == separated) {
            return None;
        }
    }
    let mut value = value(bytes, separated);
    // `name: type = value`, `name = Type("value")`
    let after = skip(bytes, value.end, 8, |b| matches!(b, b' ' | b'\t'));
    let next = |at: usize| bytes.get(at).copied();
    if next(after) == Some(b'=') && next(after + 1) != Some(b'=') && value.len() < LONGEST_NAME {
        value = self::value(bytes, after + 1);
    } else if next(value.end) == Some(b'(') && matches!(next(value.end + 1), Some(b'"' | b'\'')) {
        value = self::value(bytes, value.end + 1);
    }
    if matches!(next(value.end), Some(b'(' | b'[' | b'{')) {
        return None;
    }
    if value.len() < SHORTEST_VALUE {
        return None;
    }
    let quoted = value.start.checked_sub(1).is_some_and(|at| matches!(bytes[at], b'"' | b'\'' | b'`'));
    let text = text.get(value.clone())?;
    let secret = (quoted || !is_attribute(text)) && is_random(text, strength(name())?);
    secret.then_some(value)
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-')
}

fn skip(bytes: &[u8], from: usize, most: usize, wanted: impl Fn(u8) -> bool) -> usize {
    let rest = &bytes[from.min(bytes.len())..];
    from + rest.iter().take(most).take_while(|b| wanted(**b)).count()
}

fn name(text: &str, keyword_end: usize, end: usize) -> &str {
    let bytes = text.as_bytes();
    let before = bytes[..keyword_end].iter().rev().take(LONGEST_NAME).take_while(|b| is_name(**b)).count();
    text.get(keyword_end - before..end).unwrap_or_default()
}

/// Does a name say that its value is secret, and how surely? `None` for names that don't.
fn strength(name: &str) -> Option<bool> {
    let parts = parts_of_name(name);
    if parts.iter().any(|p| PUBLIC.contains(&p.as_str())) || parts.last().is_some_and(|p| p == "id" || p == "url") {
        return None;
    }
    let joined = parts.join("_");
    if STRONG.iter().any(|s| joined.contains(s)) && !joined.contains("tokeniz") {
        return Some(true);
    }
    parts.iter().any(|p| matches!(p.as_str(), "key" | "keys" | "auth")).then_some(false)
}

/// `apiKey`, `API_KEY` and `api-key` are two words each.
fn parts_of_name(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut was_lower = false;
    for c in name.chars() {
        let begins = !c.is_ascii_alphanumeric() || was_lower && c.is_ascii_uppercase();
        if begins && parts.last().is_some_and(|p| !p.is_empty()) {
            parts.push(String::new());
        }
        if let Some(last) = parts.last_mut().filter(|_| c.is_ascii_alphanumeric()) {
            last.push(c.to_ascii_lowercase());
        }
        was_lower = c.is_ascii_lowercase();
    }
    parts.retain(|p| !p.is_empty());
    parts
}

/// The value that begins after a separator, in quotes or bare; empty where there is none.
fn value(bytes: &[u8], after: usize) -> Range<usize> {
    let mut at = skip(bytes, after, 8, |b| matches!(b, b' ' | b'\t'));
    let prefixed = skip(bytes, at, 2, |b| matches!(b, b'b' | b'r' | b'f' | b'u' | b'B' | b'R' | b'F' | b'U'));
    let quoted = |at: usize| matches!(bytes.get(at), Some(b'"' | b'\'' | b'`'));
    if quoted(prefixed) {
        at = prefixed;
    } else if bytes.get(at) == Some(&b'\\') && quoted(at + 1) {
        at += 1;
    }
    if quoted(at) {
        let begin = skip(bytes, at, 3, |b| b == bytes[at]);
        let end = skip(bytes, begin, LONGEST_VALUE, |b| b != bytes[at] && b != b'\\' && b.is_ascii_graphic());
        // A blank: it is a sentence.
        let closed = matches!(bytes.get(end), Some(b'"' | b'\'' | b'`' | b'\\') | None);
        return if closed { begin..end } else { end..end };
    }
    let end = skip(bytes, at, LONGEST_VALUE, |b| {
        b.is_ascii_alphanumeric()
            || matches!(b, b'+' | b'/' | b'_' | b'.' | b'~' | b'-' | b'!' | b'@' | b'#' | b'%' | b'^' | b'*' | b'$')
    });
    at..skip(bytes, end, 2, |b| b == b'=' && end - at >= SHORTEST_VALUE)
}

/// `module.Class`
fn is_attribute(value: &str) -> bool {
    let is_identifier = |p: &str| p.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let (first, rest) = value.split_once('.').unwrap_or_default();
    is_identifier(first) && !first.contains(|c: char| c.is_ascii_uppercase()) && rest.split('.').all(is_identifier)
}

/// Does a value look as if nobody had thought of it?
fn is_random(value: &str, strong: bool) -> bool {
    let has = |wanted: fn(&u8) -> bool| value.bytes().any(|b| wanted(&b));
    if value.len() < SHORTEST_VALUE || !has(u8::is_ascii_digit) || !has(u8::is_ascii_alphabetic) {
        return false;
    }
    // Templates, URLs, hashes that say so, and our own placeholders.
    if has(|b| matches!(b, b'{' | b'}' | b'<' | b'>' | b'(' | b')' | b'[' | b']' | b'|' | b',' | b';'))
        || value.starts_with(['$', '%', '/', '.', '@', ':'])
        || value.contains("://")
        || value.contains("...")
        || ["sha1", "sha256", "sha384", "sha512", "md5"].iter().any(|h| value.starts_with(h))
        || super::PLACEHOLDER.as_ref().is_some_and(|p| p.is_match(value))
    {
        return false;
    }
    let parts = || value.split(|c: char| !c.is_ascii_alphanumeric()).filter(|p| !p.is_empty());
    let is_hex = |p: &str| p.bytes().all(|b| b.is_ascii_hexdigit());
    if parts().map(str::len).eq([8, 4, 4, 4, 12]) && parts().all(is_hex) {
        return false;
    }
    let odd: usize = parts().filter(|p| !is_word(p)).map(str::len).sum();
    if odd < 12 || odd * 5 < value.len() * 2 {
        return false;
    }
    if parts().filter(|p| !is_word(p)).all(is_hex) {
        return strong && value.len() >= 20 && entropy(value) >= 3.0;
    }
    match strong {
        true => entropy(value) >= 3.3,
        false => {
            value.len() >= 20 && entropy(value) >= 3.7 && has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase)
        }
    }
}

/// Is a piece of a value what people write: a word, several in camel case, a number, or words and a short number?
fn is_word(part: &str) -> bool {
    let digits = part.bytes().filter(u8::is_ascii_digit).count();
    let letters = part.len() - digits;
    if letters == 0 {
        return digits <= 14;
    }
    let mut words = part.split(|c: char| c.is_ascii_digit()).filter(|w| !w.is_empty());
    let count = words.clone().count();
    part.len() <= 5 || digits <= 4 && count <= 2 && letters >= 4 * count && words.all(is_camel)
}

/// Do capitals begin words, rather than stand anywhere?
fn is_camel(letters: &str) -> bool {
    let turns =
        letters.as_bytes().windows(2).filter(|w| w[0].is_ascii_lowercase() != w[1].is_ascii_lowercase()).count();
    turns.saturating_sub(1) * 3 <= letters.len()
}

/// Shannon's, in bits a character.
fn entropy(text: &str) -> f64 {
    let mut counts = [0_u32; 256];
    text.bytes().for_each(|b| counts[usize::from(b)] += 1);
    let all = text.len() as f64;
    counts.iter().filter(|c| **c > 0).map(|c| f64::from(*c) / all).map(|p| -p * p.log2()).sum()
}
