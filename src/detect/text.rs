//! Text out of a log: colours off, bounded, folded; and regular expressions that are compiled once.

use std::borrow::Cow;

use regex::Regex;

/// The longest message that is kept.
pub(super) const MESSAGE: usize = 2000;

/// A regular expression that is known to be one. `\d`, `\s` and `\b` are ASCII's, and `\w` is everything beyond ASCII, too
/// (but where case is ignored): Unicode's own classes make automata that are many times as large and slow.
pub(super) fn regex(pattern: &str) -> Regex {
    let any_case = ["(?i)", "(?ix)", "(?xi)"].iter().any(|flags| pattern.starts_with(flags));
    let beyond = if any_case { "" } else { r"\x{80}-\x{10FFFF}" };
    let mut ascii = String::with_capacity(pattern.len() * 2);
    let mut rest = pattern.chars();
    while let Some(c) = rest.next() {
        let escaped = if c == '\\' { rest.next() } else { None };
        match escaped {
            Some('d') => ascii.push_str("[0-9]"),
            Some('D') => ascii.push_str("[^0-9]"),
            Some('s') => ascii.push_str(r"[\t-\r\x20]"),
            Some('S') => ascii.push_str(r"[^\t-\r\x20]"),
            Some('w') => ascii.extend(["[0-9A-Za-z_", beyond, "]"]),
            Some('W') => ascii.extend(["[^0-9A-Za-z_", beyond, "]"]),
            Some('b') => ascii.push_str(r"(?-u:\b)"),
            Some(other) => ascii.extend(['\\', other]),
            None => ascii.push(c),
        }
    }
    match Regex::new(&ascii) {
        Ok(regex) => regex,
        Err(error) => unreachable!("{error}"),
    }
}

/// Declares regular expressions that are compiled once.
macro_rules! patterns {
    ($($vis:vis $name:ident = $pattern:expr;)*) => {
        $($vis static $name: std::sync::LazyLock<regex::Regex> =
            std::sync::LazyLock::new(|| $crate::detect::text::regex($pattern));)*
    };
}
pub(super) use patterns;

/// The line without terminal escapes and control characters.
pub(super) fn plain(line: &str) -> Cow<'_, str> {
    let odd = |byte: u8| (byte < b' ' && byte != b'\t') || byte == 0x7f;
    // Without an early end the compiler looks at many bytes at once.
    let any = line.bytes().fold(false, |any, byte| any | odd(byte) | (byte == b'^') | (byte == 0xBF));
    if !any || (!line.bytes().any(odd) && !line.contains("^[[") && !line.contains("\u{fffd}[")) {
        return Cow::Borrowed(line);
    }
    let mut text = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        rest = match c {
            '\u{1b}' => escaped(after),
            '^' if after.starts_with("[[") => colour(&after[2..]).unwrap_or(after),
            '\u{fffd}' if after.starts_with('[') => colour(&after[1..]).unwrap_or(after),
            _ => after,
        };
        let taken = rest.len() != after.len();
        if !taken && (c == '\t' || !c.is_control()) {
            text.push(c);
        }
    }
    Cow::Owned(text)
}

/// What follows an escape sequence; `text` begins after its ESC (ECMA-48, 5.3 to 5.6).
fn escaped(text: &str) -> &str {
    let bytes = text.as_bytes();
    match bytes.first() {
        Some(b'[') => {
            let body = bytes[1..].iter().take_while(|byte| (0x20..0x40).contains(*byte)).count();
            match bytes.get(1 + body) {
                Some(0x40..=0x7e) => &text[body + 2..],
                _ => text,
            }
        }
        // Strings of the operating system and of applications end with BEL or ESC \; one without an end is text.
        Some(b']' | b'_' | b'P' | b'^' | b'X') => match bytes.iter().position(|byte| matches!(byte, 0x07 | 0x1b)) {
            Some(at) if bytes[at] == 0x07 => &text[at + 1..],
            Some(at) if bytes.get(at + 1) == Some(&b'\\') => &text[at + 2..],
            _ => text,
        },
        Some(b'(' | b')') if bytes.get(1).is_some_and(u8::is_ascii_alphanumeric) => &text[2..],
        Some(b'=' | b'>' | b'7' | b'8' | b'c' | b'D' | b'E' | b'H' | b'M') => &text[1..],
        _ => text,
    }
}

/// What follows a colour whose ESC was written as text or lost: `36;1m`.
fn colour(text: &str) -> Option<&str> {
    let body = text.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b';').count();
    (text.as_bytes().get(body) == Some(&b'm')).then(|| &text[body + 1..])
}

/// Bytes as text; what is no UTF-8 is shown as such.
pub(super) fn decoded(bytes: &[u8]) -> Cow<'_, str> {
    // This is the quicker one where all is well.
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

/// At most `limit` bytes, cut at a character.
pub(super) fn bounded(text: &str, limit: usize) -> &str {
    if text.len() <= limit {
        return text;
    }
    let mut end = limit;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// White space folded, trimmed.
pub(super) fn folded(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_and_control_characters_go() {
        assert_eq!(plain("\u{1b}[36;1mls\u{1b}[0m\u{8}"), "ls");
        assert_eq!(plain("^[[33mwarn^[[39m"), "warn");
        assert_eq!(plain("\u{fffd}[36;1mls\u{fffd}[0m"), "ls");
        assert_eq!(plain("\u{1b}]8;;http://x\u{1b}\\link\u{1b}]8;;\u{7}!"), "link!");
        assert_eq!(plain("\u{1b}_bk;t=17\u{7}x\u{1b}(By"), "xy");
    }

    #[test]
    fn an_escape_without_an_end_hides_nothing() {
        assert_eq!(plain("\u{1b}]0;FAILED tests/a.py::t"), "]0;FAILED tests/a.py::t");
        assert_eq!(plain("\u{1b}[31"), "[31");
        assert_eq!(plain("^[[x"), "^[[x");
    }
}
