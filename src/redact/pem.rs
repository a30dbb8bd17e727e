//! Private keys between their two marks, whole or cut at either end.

use std::{ops::Range, sync::LazyLock};

use regex::Regex;

/// Each private key holds it.
pub(super) const ANCHOR: &str = "private key";

static MARKS: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"-----(?:BEGIN|(END)) [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----").ok());

/// The longest key that is looked for.
const LONGEST: usize = 32 * 1024;

/// The private keys of a text. A mark alone is none: programs look for it.
pub(super) fn find(text: &str) -> Vec<Range<usize>> {
    let Some(marks) = &*MARKS else { return Vec::new() };
    let marks: Vec<(Range<usize>, bool)> =
        (marks.captures_iter(text)).filter_map(|found| Some((found.get(0)?.range(), found.get(1).is_some()))).collect();
    let mut keys = Vec::new();
    let mut from = 0;
    for (at, (mark, is_end)) in marks.iter().enumerate() {
        match (is_end, marks.get(at + 1)) {
            (false, Some((end, true))) if end.start - mark.end <= LONGEST => {
                if longest_run(&text[mark.end..end.start]) >= 16 {
                    keys.push(mark.start..end.end);
                }
            }
            (false, next) => {
                let upto = next.map_or(text.len(), |(next, _)| next.start);
                let body = key_lines(text[mark.end..upto].split_inclusive('\n'));
                if body > 0 {
                    keys.push(mark.start..mark.end + body);
                }
            }
            // The end of a key whose begin was seen is dealt with.
            (true, _) if at > 0 && !marks[at - 1].1 && mark.start - from <= LONGEST => {}
            (true, _) => {
                let body = key_lines(text[from..mark.start].split_inclusive('\n').rev());
                if body > 0 {
                    keys.push(mark.start - body..mark.end);
                }
            }
        }
        from = mark.end;
    }
    keys
}

/// How many bytes of these lines belong to a key: long lines, and a short one at its end.
fn key_lines<'t>(lines: impl Iterator<Item = &'t str>) -> usize {
    let (mut read, mut key) = (0, 0);
    let (mut any_long, mut any_short) = (false, false);
    for line in lines {
        read += line.len();
        let trimmed = line.trim_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '\\' | ','));
        if longest_run(line) >= 32 {
            (any_long, key) = (true, read);
        } else if trimmed.len() >= 4 && trimmed.bytes().all(is_base64) && !any_short {
            (any_short, key) = (true, read);
        } else if !(trimmed.is_empty() || ["Proc-Type:", "DEK-Info:", "Version:"].iter().any(|h| line.contains(h))) {
            break;
        }
        if read > LONGEST {
            break;
        }
    }
    if any_long { key } else { 0 }
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
}

fn longest_run(text: &str) -> usize {
    text.as_bytes().split(|b| !is_base64(*b)).map(<[u8]>::len).max().unwrap_or(0)
}
