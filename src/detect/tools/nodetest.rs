//! node's own test runner: its tree (spec) and its TAP.

use super::js::Block;
use super::{Kind, Read, Tool};
use crate::detect::found::Sink;
use crate::detect::text::{bounded, patterns};

patterns! {
    OPEN = r"^( *)▶ (.+?)(?: \([\d.]+ms\))?$";
    CROSS = r"^( *)✖ (.+?) \([\d.]+ms\)(?: # .*)?$";
    AT = r"^test at (\S+?):(\d+):\d+$";
    SUBTEST = r"^( *)# Subtest: (.+)$";
    NOT_OK = r"^( *)not ok \d+ - (.*?)(?: # (TODO|SKIP)\b.*)?$";
    FIELD = r"^ *(location|failureType|error|name|stack): (.*)$";
}

pub(super) const TOOL: Kind =
    Kind::new(&["▶ ", "✖ ", "test at ", "# Subtest: ", "not ok ", "TAP version", "ℹ tests "], || {
        Box::<NodeTest>::default()
    });

#[derive(Debug, Default)]
struct NodeTest {
    /// The open suites of the tree, by their indent.
    path: Vec<(usize, String)>,
    /// Full names of the tests that failed in the tree, to be told apart by their last part.
    tree: Vec<(String, String)>,
    listing: bool,
    at: Option<(String, u32)>,
    block: Option<(Block, String)>,
    tap: Option<Tap>,
}

/// The block under a `not ok`.
#[derive(Debug)]
struct Tap {
    id: String,
    indent: usize,
    lines: Vec<String>,
    location: Option<String>,
    failure: String,
    error: String,
    name: String,
    wants: bool,
}

impl Tool for NodeTest {
    fn line(&mut self, line: &str, sink: &mut Sink) -> Read {
        if self.tap.is_some() {
            return self.yaml(line, sink);
        }
        if let Some(found) = SUBTEST.captures(line) {
            self.enter(found[1].len(), &found[2]);
            return Read::Taken;
        }
        if let Some(found) = NOT_OK.captures(line) {
            if found.get(3).is_none() {
                let (indent, name) = (found[1].len(), found[2].to_owned());
                self.path.retain(|(known, _)| *known < indent);
                let parents: Vec<&str> = self.path.iter().map(|(_, name)| name.as_str()).collect();
                let id = [parents.as_slice(), &[name.as_str()]].concat().join(" > ");
                let id = if id.starts_with('/') { sink.paths.file(&id) } else { id };
                self.tap = Some(Tap {
                    id: bounded(&id, 1000).to_owned(),
                    indent,
                    lines: vec![line.to_owned()],
                    location: None,
                    failure: String::new(),
                    error: String::new(),
                    name: String::new(),
                    wants: false,
                });
            }
            return Read::Taken;
        }
        if line.starts_with("✖ failing tests:") {
            self.listing = true;
            return Read::Taken;
        }
        if self.listing {
            return self.listed(line, sink);
        }
        if let Some(found) = OPEN.captures(line) {
            self.enter(found[1].len(), &found[2]);
            return Read::Pass;
        }
        if let Some(found) = CROSS.captures(line) {
            let indent = found[1].len();
            self.path.retain(|(known, _)| *known < indent);
            let parents: Vec<&str> = self.path.iter().map(|(_, name)| name.as_str()).collect();
            let id = [parents.as_slice(), &[&found[2]]].concat().join(" > ");
            if self.tree.len() < 5000 {
                self.tree.push((found[2].to_owned(), bounded(&id, 1000).to_owned()));
            }
        }
        Read::Pass
    }

    fn open(&self) -> bool {
        self.tap.is_some() || self.block.is_some() || self.at.is_some()
    }

    fn close(&mut self, sink: &mut Sink) {
        self.finish(sink);
        self.end_tap(sink);
        self.listing = false;
    }
}

impl NodeTest {
    fn enter(&mut self, indent: usize, name: &str) {
        self.path.retain(|(known, _)| *known < indent);
        if self.path.len() < 50 {
            self.path.push((indent, bounded(name.trim(), 300).to_owned()));
        }
    }

    /// The list at the end, which has each failing test with its place and error.
    fn listed(&mut self, line: &str, sink: &mut Sink) -> Read {
        if let Some(found) = AT.captures(line) {
            self.finish(sink);
            self.at = found[2].parse().ok().map(|number| (sink.paths.file(&found[1]), number));
            return Read::Taken;
        }
        if let Some(found) = CROSS.captures(line)
            && let Some((file, _)) = self.at.take()
        {
            let known = self.tree.iter().position(|(name, _)| *name == found[2]).map(|at| self.tree.remove(at).1);
            let id = known.unwrap_or_else(|| found[2].to_owned());
            let block = match id == file || id.ends_with(&format!("/{file}")) {
                true => Block::suite("node", &file, line),
                false => Block::new("node", &id, line),
            };
            self.block = Some((block, String::new()));
            return Read::Taken;
        }
        let Some((block, said)) = &mut self.block else { return Read::Pass };
        if said.is_empty() {
            line.trim().clone_into(said);
        }
        if !block.line(line, sink) {
            self.finish(sink);
        }
        Read::Taken
    }

    fn finish(&mut self, sink: &mut Sink) {
        self.at = None;
        if let Some((block, said)) = self.block.take()
            && !is_consequence(&said)
        {
            block.emit(sink);
        }
    }

    fn yaml(&mut self, line: &str, sink: &mut Sink) -> Read {
        let Some(tap) = &mut self.tap else { return Read::Pass };
        let indent = line.len() - line.trim_start().len();
        if tap.lines.len() > 60
            || line.trim() == "..."
            || (indent <= tap.indent && !line.trim().is_empty() && line.trim() != "---")
        {
            let ours = line.trim() == "...";
            self.end_tap(sink);
            return if ours { Read::Taken } else { self.line(line, sink) };
        }
        tap.lines.push(bounded(line, 300).to_owned());
        if tap.wants && !line.trim().is_empty() {
            tap.error = line.trim().to_owned();
            tap.wants = false;
        } else if let Some(found) = FIELD.captures(line) {
            let value = found[2].trim_matches('\'').to_owned();
            match &found[1] {
                "location" => tap.location = Some(value),
                "failureType" => tap.failure = value,
                "error" if value.starts_with('|') => tap.wants = true,
                "error" => tap.error = value,
                "name" => tap.name = value,
                _ => {}
            }
        }
        Read::Taken
    }

    fn end_tap(&mut self, sink: &mut Sink) {
        let Some(tap) = self.tap.take() else { return };
        if tap.failure == "subtestsFailed" || is_consequence(&tap.error) {
            return;
        }
        let message = match tap.name.is_empty() || tap.error.starts_with(&tap.name) {
            true => tap.error.clone(),
            false => format!("{}: {}", tap.name, tap.error),
        };
        let file = tap.location.as_deref().and_then(|at| at.rsplit(':').nth(2).map(|file| sink.paths.file(file)));
        let mut block = match file.as_deref() == Some(tap.id.as_str()) {
            true => Block::suite("node", &tap.id, &tap.id),
            false => Block::new("node", &tap.id, &tap.id),
        };
        if !message.is_empty() {
            block.line(&message, sink);
        }
        for line in &tap.lines {
            let text = line.trim();
            // Frames in TAP have no `at`.
            if text.ends_with(')') || text.starts_with('/') {
                block.line(&format!("    at {text}"), sink);
            }
        }
        if let Some(location) = &tap.location {
            block.line(&format!("    at {location}"), sink);
        }
        block.emit(sink);
    }
}

/// A suite that failed because a test in it did.
fn is_consequence(said: &str) -> bool {
    let said = said.trim_matches('\'');
    said.ends_with(" subtest failed") || said.ends_with(" subtests failed")
}
