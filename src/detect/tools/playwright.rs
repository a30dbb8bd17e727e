//! Playwright's test runner.

use super::js::Block;
use super::{Kind, Read, Tool};
use crate::detect::found::Sink;
use crate::detect::text::patterns;

patterns! {
    HEAD = r"^\s+\d+\) (?:\[[^\]]+\] › )?(\S+:\d+:\d+ › .+?)\s*(?:─+)?$";
    OVER = r"^\s+\d+ (failed|flaky|passed|skipped|did not run|interrupted)\b";
    LISTED = r"^\s+(?:\[[^\]]+\] › )?(\S+:\d+:\d+ › .+?)\s*(?:─+)?$";
    PLACE = r"^(\S+):(\d+):\d+ ›";
}

pub(super) const TOOL: Kind = Kind::new(&[" › ", " flaky"], || Box::<Playwright>::default());

#[derive(Debug, Default)]
struct Playwright {
    block: Option<Block>,
    /// The list of tests that passed at last.
    flaky: bool,
}

impl Tool for Playwright {
    fn line(&mut self, line: &str, sink: &mut Sink) -> Read {
        // An annotation repeats the head alone.
        if let Some(found) = HEAD.captures(line).filter(|_| !sink.error) {
            self.close(sink);
            self.block = Some(Block::new("playwright", &found[1], line));
            return Read::Taken;
        }
        if let Some(found) = OVER.captures(line) {
            self.close(sink);
            self.flaky = &found[1] == "flaky";
            return Read::Pass;
        }
        if self.flaky
            && let Some(found) = LISTED.captures(line)
        {
            sink.found.retain(|known| known.tool != "playwright" || known.test_id.as_deref() != Some(&found[1]));
            return Read::Taken;
        }
        let Some(block) = &mut self.block else { return Read::Pass };
        if line.starts_with("Running ") {
            self.close(sink);
            return Read::Pass;
        }
        if !block.line(line, sink) {
            self.close(sink);
        }
        Read::Taken
    }

    fn open(&self) -> bool {
        self.block.is_some() || self.flaky
    }

    fn close(&mut self, sink: &mut Sink) {
        if let Some(block) = self.block.take() {
            let before = sink.found.len();
            block.emit(sink);
            // Its id has the place of the test, where no frame says a better one.
            if let Some(found) = sink.found.get_mut(before)
                && found.file.is_none()
                && let Some((file, line)) = found.test_id.as_deref().and_then(|id| {
                    let place = PLACE.captures(id)?;
                    Some((place[1].to_owned(), place[2].parse().ok()))
                })
            {
                found.file = Some(file);
                found.line = line;
            }
        }
    }
}
