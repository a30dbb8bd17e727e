//! mocha, and what numbers its failures as it does.

use super::js::Block;
use super::{Kind, Read, Tool};
use crate::detect::found::Sink;
use crate::detect::text::{bounded, patterns};

patterns! {
    FAILING = r"^  \d+ failing$";
    HEAD = r"^  \d+\) (.+)$";
}

pub(super) const TOOL: Kind = Kind::new(&[" failing"], || Box::<Mocha>::default());

#[derive(Debug, Default)]
struct Mocha {
    listing: bool,
    title: Option<Vec<String>>,
    block: Option<Block>,
    lines: u32,
}

impl Tool for Mocha {
    fn line(&mut self, line: &str, sink: &mut Sink) -> Read {
        if FAILING.is_match(line) {
            self.listing = true;
            self.lines = 0;
            return Read::Taken;
        }
        if !self.listing {
            return Read::Pass;
        }
        self.lines += 1;
        if let Some(found) = HEAD.captures(line) {
            self.finish(sink);
            self.title = Some(Vec::new());
            self.name(&found[1]);
            return Read::Taken;
        }
        if self.title.is_some() {
            self.name(line.trim());
            return Read::Taken;
        }
        if let Some(block) = &mut self.block {
            let over = !line.is_empty()
                && !line.starts_with([' ', '+', '-', '@', '\\'])
                && self.lines > 3
                && !line.contains(['!', '=']);
            if over || !block.line(line, sink) {
                self.finish(sink);
            }
            if over {
                self.listing = false;
                return Read::Pass;
            }
            return Read::Taken;
        }
        if self.lines > 20 {
            self.listing = false;
        }
        Read::Pass
    }

    fn open(&self) -> bool {
        self.listing
    }

    fn close(&mut self, sink: &mut Sink) {
        self.finish(sink);
        self.listing = false;
    }
}

impl Mocha {
    /// One more line of a test's full title; a colon ends it.
    fn name(&mut self, text: &str) {
        let Some(title) = &mut self.title else { return };
        let last = text.strip_suffix(':');
        title.push(bounded(last.unwrap_or(text).trim(), 300).to_owned());
        if last.is_some() || title.len() > 20 {
            let id = title.join(" ");
            self.title = None;
            self.block = Some(Block::new("mocha", &id, &id));
        }
    }

    fn finish(&mut self, sink: &mut Sink) {
        self.title = None;
        if let Some(block) = self.block.take() {
            block.emit(sink);
        }
    }
}
