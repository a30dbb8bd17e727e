//! A text file's content as bytes that can be edited and put back unchanged but for the edit: BOM, line endings and
//! the final newline stay what they were.

use std::ops::Range;

const BOM: &str = "\u{feff}";

/// A decoded file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text {
    bom: bool,
    /// The content behind the BOM.
    pub(super) content: String,
}

impl Text {
    /// `None` where the bytes are no UTF-8.
    pub(super) fn decode(bytes: Vec<u8>) -> Option<Text> {
        let content = String::from_utf8(bytes).ok()?;
        match content.strip_prefix(BOM) {
            Some(rest) => Some(Text { bom: true, content: rest.to_owned() }),
            None => Some(Text { bom: false, content }),
        }
    }

    /// The file's bytes again.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = if self.bom { BOM.as_bytes().to_vec() } else { Vec::new() };
        bytes.extend_from_slice(self.content.as_bytes());
        bytes
    }

    /// The same file with another content.
    pub(super) fn with(&self, content: String) -> Text {
        Text { bom: self.bom, content }
    }
}

/// The line ending of a text: that of its first line.
pub(super) fn newline(content: &str) -> &'static str {
    match content.find('\n') {
        Some(at) if content[..at].ends_with('\r') => "\r\n",
        _ => "\n",
    }
}

/// The start of the line that `at` is in.
pub(super) fn line_start(content: &str, at: usize) -> usize {
    content[..at].rfind('\n').map_or(0, |found| found + 1)
}

/// The end of the line that `at` is in, before its line ending.
pub(super) fn line_end(content: &str, at: usize) -> usize {
    let end = content[at..].find('\n').map_or(content.len(), |found| at + found);
    if end > at && content[..end].ends_with('\r') { end - 1 } else { end }
}

/// The byte range of a line counted from 1, line ending included.
pub(super) fn line_range(content: &str, line: u32) -> Option<Range<usize>> {
    let mut start = 0;
    for _ in 1..line {
        start += content[start..].find('\n')? + 1;
    }
    let end = content[start..].find('\n').map_or(content.len(), |found| start + found + 1);
    (start < content.len()).then_some(start..end)
}

/// The white space a line begins with.
pub(super) fn indent(content: &str, at: usize) -> &str {
    let line = &content[line_start(content, at)..];
    &line[..line.len() - line.trim_start_matches([' ', '\t']).len()]
}

/// One replacement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Edit {
    /// What is replaced.
    pub(super) range: Range<usize>,
    /// By what.
    pub(super) text: String,
}

impl Edit {
    /// Something new at a place.
    pub(super) fn insert(at: usize, text: impl Into<String>) -> Edit {
        Edit { range: at..at, text: text.into() }
    }
}

/// Applies edits; `None` where two overlap or one lies outside.
pub(super) fn apply(content: &str, edits: &[Edit]) -> Option<String> {
    let mut sorted: Vec<&Edit> = edits.iter().collect();
    sorted.sort_by_key(|edit| (edit.range.start, edit.range.end));
    let mut result = String::with_capacity(content.len() + 64);
    let mut done = 0;
    for edit in sorted {
        result.push_str(content.get(done..edit.range.start)?);
        result.push_str(&edit.text);
        done = edit.range.end;
    }
    result.push_str(content.get(done..)?);
    Some(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bom_survives_the_round_trip() {
        let bytes = "\u{feff}a\r\nb".as_bytes().to_vec();
        let text = Text::decode(bytes.clone()).unwrap();
        assert_eq!(text.content, "a\r\nb");
        assert_eq!(text.encode(), bytes);
        assert_eq!(newline(&text.content), "\r\n");
    }

    #[test]
    fn lines_are_found_from_any_place_in_them() {
        let content = "ab\r\ncd\nef";
        assert_eq!(line_end(content, 1), 2);
        assert_eq!(line_start(content, 5), 4);
        assert_eq!(line_range(content, 3), Some(7..9));
        assert_eq!(line_range(content, 4), None);
    }

    #[test]
    fn overlapping_edits_are_refused() {
        let edits = [Edit { range: 0..2, text: String::new() }, Edit { range: 1..3, text: String::new() }];
        assert_eq!(apply("abcd", &edits), None);
    }
}
