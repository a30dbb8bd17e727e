//! The latest lines of a step's output, for a failure of which nothing else is known.

use std::collections::VecDeque;

use super::runner::{self, Format};
use super::text::{self, bounded, plain};

/// So many lines are kept, and of each so many bytes.
pub(super) const LINES: usize = 40;
const BYTES: usize = 340;

/// A ring of lines. Writing one is cheap; they are decoded when somebody asks.
#[derive(Debug, Default)]
pub(super) struct Recent {
    lines: VecDeque<(Vec<u8>, Option<Format>)>,
}

impl Recent {
    /// A line with its envelope.
    pub(super) fn raw(&mut self, line: &[u8], format: Format) {
        self.put(line, Some(format));
    }

    /// A line as it was read.
    pub(super) fn text(&mut self, line: &str) {
        self.put(line.as_bytes(), None);
    }

    fn put(&mut self, line: &[u8], format: Option<Format>) {
        let mut slot = match self.lines.len() < LINES {
            true => (Vec::new(), None),
            false => self.lines.pop_front().unwrap_or_default(),
        };
        slot.0.clear();
        slot.0.extend_from_slice(&line[..line.len().min(BYTES)]);
        slot.1 = format;
        self.lines.push_back(slot);
    }

    pub(super) fn clear(&mut self) {
        self.lines.clear();
    }

    /// The last lines that say something, in their order.
    pub(super) fn lines(&self) -> Vec<String> {
        let lines = self.lines.iter().map(decoded).filter(|line| !line.trim().is_empty());
        lines.map(|line| bounded(&line, 300).to_owned()).collect()
    }

    /// The line that stands `back` lines before the latest.
    pub(super) fn before(&self, back: usize) -> Option<String> {
        self.lines.iter().rev().nth(back).map(decoded)
    }
}

fn decoded((bytes, format): &(Vec<u8>, Option<Format>)) -> String {
    let line = text::decoded(bytes);
    match format {
        // Columns were taken off already.
        Some(Format::Columns) => plain(runner::envelope(&line, Format::Lines, None).text).into_owned(),
        Some(format) => plain(runner::envelope(&line, *format, None).text).into_owned(),
        None => line.into_owned(),
    }
}
