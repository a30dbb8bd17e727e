//! vitest.

use super::js::{self, Block};
use super::{Kind, Read, Tool};
use crate::detect::failure::{Category, Key};
use crate::detect::found::{Found, Sink, Weight};
use crate::detect::text::patterns;

patterns! {
    TEST = r"^\s*(?:❯|×|✗|FAIL)\s+(?:\|[^|]+\|\s+)?(\S+\.[\w.]*(?:test|spec)\.[cm]?[jt]sx?|\S+\.(?:test|spec)\.[cm]?[jt]sx?|\S+\.[cm]?[jt]sx?)(?: > (.*?))?(?: \d+ ?m?s)?$";
    SUITE = r"^\s*FAIL\s+(?:\|[^|]+\|\s+)?(\S+)(?: > [^\[]*)? \[ (\S+) \]$";
    RULE = r"^\s*⎯{3,}";
    LOOSE = r"Unhandled (?:Rejection|Error|Exception)";
}

pub(super) const TOOL: Kind =
    Kind::new(&["FAIL ", "❯ ", " × ", "✗ ", "⎯⎯⎯", "No test files found", "No test suite found"], || {
        Box::<Vitest>::default()
    });

#[derive(Debug, Default)]
struct Vitest {
    block: Option<Block>,
    /// Tests and suites that are named before it and share its error.
    alike: Vec<Block>,
    /// An error outside of any test: its message, then its place.
    loose: Option<Option<String>>,
}

impl Tool for Vitest {
    fn line(&mut self, line: &str, sink: &mut Sink) -> Read {
        if RULE.is_match(line) {
            self.close(sink);
            if LOOSE.is_match(line) && !line.contains("Errors") {
                self.loose = Some(None);
            }
            return Read::Taken;
        }
        if let Some(message) = &mut self.loose {
            return loose(message, line, sink).map_or(Read::Taken, |found| {
                self.loose = None;
                sink.push_once(found);
                Read::Taken
            });
        }
        if let Some(found) = SUITE.captures(line) {
            self.next(line, sink);
            self.block = Some(Block::suite("vitest", &sink.paths.file(&found[2]), line));
            return Read::Taken;
        }
        if let Some(found) = TEST.captures(line)
            && let Some(name) = found.get(2)
        {
            // A stack has the same mark, and a place for a name.
            self.next(line, sink);
            self.block =
                Some(Block::new("vitest", &format!("{} > {}", sink.paths.file(&found[1]), name.as_str()), line));
            return Read::Taken;
        }
        if let Some(block) = &mut self.block {
            // `→ message`: the short form below a test's line in the tree.
            let line = line.trim_start().strip_prefix("→ ").unwrap_or(line);
            let over = ["Test Files ", "Snapshots ", "Tests "].iter().any(|word| line.trim_start().starts_with(word));
            if over || !block.line(line, sink) {
                self.close(sink);
            }
            return Read::Taken;
        }
        if line.starts_with("No test files found, exiting with code 1") {
            let key = Key::Message { file: None, message: "No test files found".to_owned() };
            sink.push(Found::new(Category::UnitTest, "vitest", key, line).weigh(Weight::Cause));
            return Read::Taken;
        }
        Read::Pass
    }

    fn open(&self) -> bool {
        self.block.is_some() || self.loose.is_some()
    }

    fn close(&mut self, sink: &mut Sink) {
        if let Some(block) = self.block.take() {
            for alike in self.alike.drain(..) {
                block.as_of(alike).emit(sink);
            }
            block.emit(sink);
        }
        self.loose = None;
    }
}

impl Vitest {
    /// Another test or suite is named: `FAIL` right below `FAIL` when one error is shown for both.
    fn next(&mut self, line: &str, sink: &mut Sink) {
        let fails = line.trim_start().starts_with("FAIL");
        match self.block.take() {
            Some(block) if fails && block.is_bare() && self.alike.len() < 1000 => self.alike.push(block),
            block => {
                self.block = block;
                self.close(sink);
            }
        }
    }
}

fn loose(message: &mut Option<String>, line: &str, sink: &Sink) -> Option<Found> {
    let Some(said) = message else {
        if !line.trim().is_empty() {
            *message = Some(line.trim().to_owned());
        }
        return None;
    };
    let (file, number) = js::place(line, sink)?;
    let key = Key::Message { file: Some(file.clone()), message: sink.paths.stable(said) };
    Some(Found::new(Category::UnitTest, "vitest", key, said).at(file, Some(number)))
}
