//! A script of node that died, and what starts one: eslint, mocha, playwright, bundlers that fail before their work.

use super::js;
use super::{Kind, Read, Tool};
use crate::detect::exception;
use crate::detect::failure::{Category, Key};
use crate::detect::found::{Found, Sink, Weight, Window};
use crate::detect::text::{bounded, patterns};

patterns! {
    UNCAUGHT = r"^\s*(?:Exception during run: |Uncaught |Unhandled (?:promise )?rejection:? )?((?:[A-Z]\w*)?(?:Error|Exception))(?: \[[A-Z_]+\])?: (.*)$";
    THROWN = r"^\s*(?:Exception during run: )?((?:/|[A-Za-z]:\\|file://)[^:]+):(\d+)$";
    INTERNAL = r"^node:[\w/]+:\d+$";
    HEAP = r"FATAL ERROR: .*(?:JavaScript heap out of memory|Allocation failed)";
    COMPACT = r"^    at |^\s+at .*:\d+:\d+\)?$";
}

pub(super) const TOOL: Kind =
    Kind::new(&["Error: ", "Error [", "Exception: ", "FATAL ERROR: ", "Exception during run", "Node.js v"], || {
        Box::<Node>::default()
    });

/// An error whose stack follows.
#[derive(Debug)]
struct Open {
    class: String,
    text: String,
    message: String,
    place: Option<(String, u32)>,
    thrown: Option<(String, u32)>,
    /// Frames were seen: it is one of node's errors, and no line that looks like one.
    frames: u32,
    required_by: Option<String>,
    window: Window,
    lines: u32,
}

#[derive(Debug, Default)]
struct Node {
    open: Option<Open>,
    last: Option<Found>,
}

impl Tool for Node {
    fn line(&mut self, line: &str, sink: &mut Sink) -> Read {
        if HEAP.is_match(line) {
            let key =
                Key::Command { command: sink.command.clone().unwrap_or_default(), error: "out of memory".to_owned() };
            let at = line.find("FATAL ERROR").unwrap_or_default();
            sink.push_once(Found::new(Category::Crash, "node", key, &line[at..]).weigh(Weight::Cause));
            return Read::Pass;
        }
        if let Some(open) = &mut self.open {
            open.lines += 1;
            open.window.line(line);
            if COMPACT.is_match(line) {
                open.frames += 1;
                if open.place.is_none() {
                    open.place = js::place(line, sink);
                }
                return Read::Pass;
            }
            if open.required_by.is_none()
                && let Some(file) = line.strip_prefix("- ")
            {
                open.required_by = Some(sink.paths.file(file));
            }
            let over = (open.frames > 0
                && !line.is_empty()
                && !line.starts_with([' ', '}', '{', '-'])
                && !line.starts_with("Require stack")
                && !line.contains(" !== "))
                || open.lines > 40
                || line.starts_with("Node.js v");
            if !over {
                return Read::Pass;
            }
            self.settle(sink);
        }
        if let Some(found) = UNCAUGHT.captures(line) {
            let mut window = Window::default();
            let before = (1..=6).rev().filter_map(|back| sink.recent.before(back)).collect::<Vec<_>>();
            // `file:line`, the source, a caret, and an empty line stand before the error.
            let thrown = before.iter().rev().find_map(|line| THROWN.captures(line));
            before.iter().for_each(|line| window.line(line));
            window.line(line);
            let place = thrown.and_then(|found| {
                let file = sink.paths.file(found[1].trim_start_matches("file://"));
                let own = crate::detect::paths::is_project(&file);
                Some((file, found[2].parse().ok()?)).filter(|_| own)
            });
            let frames = u32::from(place.is_some() || before.iter().any(|line| INTERNAL.is_match(line)));
            self.open = Some(Open {
                class: found[1].to_owned(),
                text: bounded(line.trim().trim_start_matches("Exception during run: "), 1000).to_owned(),
                message: bounded(&found[2], 1000).to_owned(),
                // Where it was thrown, unless a frame says better; where it does not parse, in any case.
                thrown: place.clone().filter(|_| &found[1] != "SyntaxError"),
                place: place.filter(|_| &found[1] == "SyntaxError"),
                frames,
                required_by: None,
                window,
                lines: 0,
            });
        }
        Read::Pass
    }

    fn open(&self) -> bool {
        self.open.is_some()
    }

    fn close(&mut self, sink: &mut Sink) {
        self.settle(sink);
        if let Some(found) = self.last.take() {
            sink.push_once(found);
        }
    }
}

impl Node {
    fn settle(&mut self, sink: &Sink) {
        let Some(mut open) = self.open.take() else { return };
        if let Some((_, from)) = open.message.split_once(" imported from ") {
            open.required_by.get_or_insert(sink.paths.file(from));
        }
        if open.frames == 0 {
            return;
        }
        let text = sink.paths.relative(&open.text);
        let command = sink.command.clone().unwrap_or_default();
        let key = Key::Command { command, error: open.class.clone() };
        let tool = ["eslint", "mocha", "playwright", "jest", "vitest"].into_iter().find(|tool| sink.runs(tool));
        let mut found = Found::new(Category::RuntimeError, tool.unwrap_or("node"), key, &text).weigh(Weight::Cause);
        found.excerpt = open.window.text();
        let place = open.place.or(open.thrown).or(open
            .required_by
            .clone()
            .filter(|file| crate::detect::paths::is_project(file))
            .map(|file| (file, 0)));
        if let Some((file, line)) = place {
            found.cause = Some(format!("function|{file}||{}", open.class));
            found.file = Some(file);
            found.line = Some(line);
        }
        if let Some(command) = open.message.strip_prefix("Command failed: ") {
            found.category = crate::detect::command::category(command).unwrap_or(found.category);
        }
        if open.class == "SyntaxError" && !text.contains("does not provide an export named") {
            found.category = Category::SyntaxError;
            found.cause = found.file.as_ref().map(|file| format!("syntax|{file}"));
        } else if js::is_missing(&text) || text.contains("does not provide an export named") {
            let name = sink.paths.relative(js::quoted(&open.message));
            found.category = Category::ImportDependency;
            found.cause = Some(exception::missing_cause(&name));
            found.key = Key::Missing { name };
        } else if exception::network(&text)
            || ["ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "EAI_AGAIN", "ENOTFOUND"]
                .iter()
                .any(|code| text.contains(code))
        {
            found.category = Category::Infra;
        }
        self.last = Some(found);
    }
}
