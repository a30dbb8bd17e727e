//! cmake's configuration, make and ninja.

use super::{Kind, Read, Tool};
use crate::detect::failure::{Category, Key};
use crate::detect::found::{Found, Sink, Weight};
use crate::detect::paths::is_project;
use crate::detect::text::{bounded, patterns};

patterns! {
    CMAKE = r"^CMake Error(?: at ([^:]+):(\d+) \((\w+)\))?:\s*(.*)$";
    CALLED = r"^  (\S+):(\d+) \(\w+\)$";
    RULE = r"^\S*make(?:\[\d+\])?: \*\*\* (No rule to make target .*|No targets specified.*)$";
    MAKEFILE = r"^(\S+):(\d+): \*\*\* (.*?)\s*(?:Stop\.)?$";
}

pub(super) const TOOL: Kind = Kind::new(&["CMake Error", "*** "], || Box::<Cmake>::default());

#[derive(Debug, Default)]
struct Cmake {
    /// An error whose message follows.
    open: Option<Found>,
    lines: u32,
}

impl Tool for Cmake {
    fn line(&mut self, line: &str, sink: &mut Sink) -> Read {
        if let Some(mut found) = self.open.take() {
            self.lines += 1;
            let text = line.trim();
            if text.is_empty() && found.message.is_empty() && self.lines < 4 {
                self.open = Some(found);
                return Read::Taken;
            }
            if line.starts_with("  ") && self.lines < 12 && !CALLED.is_match(line) {
                if !found.message.is_empty() {
                    found.message.push(' ');
                }
                found.message.push_str(bounded(text, 300));
                self.open = Some(found);
                return Read::Taken;
            }
            // A module of cmake's own failed: who called it is further up its stack.
            if found.file.as_deref().is_some_and(|file| !is_project(file)) && self.lines < 30 {
                if let Some(called) = CALLED.captures(line) {
                    let file = sink.paths.file(&called[1]);
                    if is_project(&file) {
                        found.line = called[2].parse().ok();
                        found.file = Some(file);
                        emit(found, sink);
                        return Read::Taken;
                    }
                }
                self.open = Some(found);
                return Read::Taken;
            }
            emit(found, sink);
        }
        if let Some(found) = CMAKE.captures(line) {
            let key = Key::Message { file: None, message: String::new() };
            let mut open = Found::new(Category::Build, "cmake", key, &found[4]);
            if let (Some(file), Some(number)) = (found.get(1), found.get(2)) {
                open.file = Some(sink.paths.file(file.as_str()));
                open.line = number.as_str().parse().ok();
            }
            open.excerpt = line.to_owned();
            self.open = Some(open);
            self.lines = 0;
            return Read::Taken;
        }
        if let Some(found) = RULE.captures(line).or_else(|| MAKEFILE.captures(line)) {
            let said = found.get(3).or(found.get(1)).map_or("", |said| said.as_str());
            let key = Key::Message { file: None, message: sink.paths.stable(said) };
            let mut failure =
                Found::new(Category::Build, "make", key, said.trim_end_matches("  Stop.")).weigh(Weight::Cause);
            if found.get(3).is_some() {
                failure = failure.at(sink.paths.file(&found[1]), found[2].parse().ok());
            }
            sink.push_once(failure);
            return Read::Taken;
        }
        Read::Pass
    }

    fn open(&self) -> bool {
        self.open.is_some()
    }

    fn close(&mut self, sink: &mut Sink) {
        if let Some(found) = self.open.take() {
            emit(found, sink);
        }
    }
}

fn emit(mut found: Found, sink: &mut Sink) {
    found.excerpt = format!("{}\n{}", found.excerpt, found.message);
    found.key = Key::Message { file: found.file.clone(), message: sink.paths.stable(&found.message) };
    if found.message.contains("ackage configuration file") || found.message.contains("Could NOT find") {
        found.category = Category::ImportDependency;
    }
    sink.push_once(found);
}
