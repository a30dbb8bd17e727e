//! jest.

use super::js::Block;
use super::{Kind, Read, Tool};
use crate::detect::failure::{Category, Key};
use crate::detect::found::{Found, Sink};
use crate::detect::text::patterns;

patterns! {
    SUITE = r"^\s*FAIL\s+(?:\S+ )?(?:\./)?(\S+\.[cm]?[jt]sx?)(?: \([\d.]+ m?s\))?$";
    HEAD = r"^  ● (.+)$";
    THRESHOLD = r#"^(?:Jest: "([^"]+)" coverage threshold for (\w+) \(([\d.]+)%\) not met|Jest: Coverage for (\w+) \([\d.]+%\) does not meet "([^"]+)" threshold \(([\d.]+)%\)|ERROR: Coverage for (\w+) \([\d.]+%\) does not meet (\S+) threshold \(([\d.]+)%\))"#;
    SUMMARY = r"^(?:Test Suites|Tests|Snapshots): |^Summary of all failing tests|^ › \d+ snapshot";
}

pub(super) const TOOL: Kind = Kind::new(
    &["FAIL ", "  ● ", "PASS ", "Test Suites: ", "Jest: ", "Coverage for ", "Summary of all failing tests"],
    || Box::<Jest>::default(),
);

#[derive(Debug, Default)]
struct Jest {
    suite: Option<String>,
    block: Option<Block>,
}

impl Tool for Jest {
    fn line(&mut self, line: &str, sink: &mut Sink) -> Read {
        if let Some(found) = SUITE.captures(line) {
            self.close(sink);
            self.suite = Some(sink.paths.file(&found[1]));
            return Read::Pass;
        }
        if line.starts_with("PASS ") {
            self.close(sink);
            self.suite = None;
        }
        if let Some(suite) = &self.suite
            && let Some(found) = HEAD.captures(line)
        {
            let head = found[1].trim().to_owned();
            let suite = suite.clone();
            self.close(sink);
            match head.as_str() {
                "Test suite failed to run" => self.block = Some(Block::suite("jest", &suite, line)),
                "Console" => {}
                _ if head.contains("snapshot obsolete") || head.contains("snapshots obsolete") => {}
                id => self.block = Some(Block::new("jest", id, line).of_suite(&suite)),
            }
            return Read::Taken;
        }
        if let Some(found) = THRESHOLD.captures(line) {
            let group = |at: usize| found.get(at).map(|text| text.as_str());
            let metric = group(2).or(group(4)).or(group(7)).unwrap_or("lines");
            let required = group(3).or(group(6)).or(group(9)).unwrap_or_default();
            let key = Key::Threshold { metric: format!("coverage of {metric}"), required: required.to_owned() };
            sink.push_once(Found::new(Category::Coverage, "jest", key, line));
            return Read::Taken;
        }
        if SUMMARY.is_match(line) {
            self.close(sink);
            return Read::Pass;
        }
        match &mut self.block {
            Some(block) => {
                if !block.line(line, sink) {
                    self.close(sink);
                }
                Read::Taken
            }
            None => Read::Pass,
        }
    }

    fn open(&self) -> bool {
        self.block.is_some()
    }

    fn close(&mut self, sink: &mut Sink) {
        if let Some(block) = self.block.take() {
            block.emit(sink);
        }
    }
}
