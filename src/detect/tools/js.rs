//! What the test runners of JavaScript share: a failing test's message and place, in the lines after its name.

use crate::detect::failure::{Category, Key};
use crate::detect::found::{Found, Sink, Window};
use crate::detect::paths::is_project;
use crate::detect::text::{MESSAGE, bounded, patterns};

patterns! {
    AT = r"^\s*(?:at\s+(?:async\s+)?(?:.*?\()?|❯\s+(?:.*\s)?|⎯\s+|›\s+)(?:file://)?((?:[A-Za-z]:)?[^\s():]+\.(?:[cm]?[jt]sx?|vue|svelte)):(\d+)(?::\d+)?\)?(?:\s*\{)?$";
    FILE = r"^\s*File: (\S+?):(\d+):\d+$";
    CLASS = r"^(?:Uncaught )?([A-Za-z_]\w*(?:Error|Exception|Failure)\w*)(?: \[[^\]]+\])?(?::|$)";
    IN_SYNTAX = r"^\s*(?:SyntaxError: )?(/\S+|[\w./-]+\.\w+): .*\((\d+):\d+\)$";
    CODE = r"^\s*>?\s*(\d+) \|";
    POSITION = r"^((?:/|[A-Za-z]:)\S+\.(?:[cm]?[jt]sx?)):(\d+)(?::\d+: ERROR: .*)?$";
    FRAMED = r"^\s*[╭┌]─+\[ (\S+):(\d+):\d+ \]";
}

/// The place that a line of a stack names, if it is the project's own.
pub(super) fn place(line: &str, sink: &Sink) -> Option<(String, u32)> {
    let found = AT
        .captures(line)
        .or_else(|| FILE.captures(line))
        .or_else(|| POSITION.captures(line))
        .or_else(|| FRAMED.captures(line))?;
    let file = sink.paths.file(&found[1]);
    let own = is_project(&file) && !file.starts_with("node:") && !file.contains("internal/");
    Some((file, found[2].parse().ok()?)).filter(|_| own)
}

/// The class of an error's first line.
pub(super) fn class(message: &str) -> Option<String> {
    CLASS.captures(message).map(|found| found[1].to_owned())
}

/// Is it a module or a package that is not there?
pub(super) fn is_missing(text: &str) -> bool {
    [
        "Cannot find module",
        "Cannot find package",
        "Failed to resolve import",
        "Could not resolve",
        "Module not found",
        "ERR_MODULE_NOT_FOUND",
    ]
    .iter()
    .any(|words| text.contains(words))
}

/// A failing test, or suite, as it is read.
#[derive(Debug, Clone)]
pub(super) struct Block {
    found: Found,
    suite: bool,
    frame: Option<u32>,
    message: Option<String>,
    placed: bool,
    window: Window,
    lines: u32,
}

impl Block {
    pub(super) fn new(tool: &'static str, id: &str, head: &str) -> Self {
        let mut window = Window::default();
        window.line(head);
        let found = super::test(tool, bounded(id.trim(), 1000), None, "");
        Self { found, suite: false, frame: None, message: None, placed: false, window, lines: 0 }
    }

    /// The file that the test is in may say that it is an integration test.
    pub(super) fn of_suite(mut self, file: &str) -> Self {
        if super::test_category(file) == Category::IntegrationTest {
            self.found.category = Category::IntegrationTest;
        }
        self
    }

    /// A suite that could not be loaded: its id is its file.
    pub(super) fn suite(tool: &'static str, file: &str, head: &str) -> Self {
        Self { suite: true, ..Self::new(tool, file, head) }
    }

    /// Is nothing but its name known?
    pub(super) fn is_bare(&self) -> bool {
        self.lines == 0
    }

    /// What is said here, said of another test or suite.
    pub(super) fn as_of(&self, other: Self) -> Self {
        let mut block = self.clone();
        block.suite = other.suite;
        block.found.test_id = other.found.test_id;
        block.found.category = other.found.category;
        block
    }

    /// Reads a line; `false` when it has been read long enough.
    pub(super) fn line(&mut self, line: &str, sink: &Sink) -> bool {
        self.lines += 1;
        self.window.line(line);
        let text = line.trim();
        let at = place(line, sink);
        if let Some((file, number)) = at.filter(|_| !self.placed) {
            self.placed = true;
            self.found.file = Some(file);
            self.found.line = Some(number);
            // esbuild names the place and the error in one line.
            if let Some((_, said)) = text.split_once(": ERROR: ") {
                self.say(said, sink);
            }
        } else if !text.is_empty() && !AT.is_match(line) {
            self.say(text, sink);
            // The code frame marks its line, or begins with it.
            if let Some(found) = CODE.captures(line)
                && self.suite
                && (self.frame.is_none() || line.trim_start().starts_with('>'))
            {
                self.frame = found[1].parse().ok();
            }
        }
        self.lines < 400
    }

    fn say(&mut self, text: &str, sink: &Sink) {
        let syntax = text.contains("SyntaxError: ");
        match &mut self.message {
            // What jest says first of a file that does not parse is no reason yet.
            Some(message) if syntax && !message.contains("SyntaxError") => *message = sink.paths.relative(text),
            Some(message) if message.len() < 300 && self.lines < 12 && !message.contains('\n') => {
                message.push('\n');
                message.push_str(bounded(text, 300));
            }
            Some(_) => {}
            // `'test failed'`: what node says of a file, when the reason stands above.
            None if text.trim_matches('\'') == "test failed" => {}
            None => self.message = Some(sink.paths.relative(bounded(text, MESSAGE))),
        }
        if syntax && let Some(found) = IN_SYNTAX.captures(text) {
            self.placed = true;
            self.found.file = Some(sink.paths.file(&found[1]));
            self.found.line = found[2].parse().ok();
        }
    }

    /// The failure, once: the same test may be shown again in a summary.
    pub(super) fn emit(mut self, sink: &mut Sink) {
        let message = self.message.take().unwrap_or_else(|| "failed".to_owned());
        let id = self.found.test_id.clone().unwrap_or_default();
        let class = class(&message);
        self.found.key = Key::Test { id: id.clone(), exception: class.clone() };
        self.found.message = message;
        self.found.excerpt = self.window.text();
        let said = &self.found.message;
        let syntax = class.as_deref() == Some("SyntaxError")
            || said.contains("SyntaxError: ")
            || said.contains("invalid JS syntax")
            || said.starts_with("Error: Transform failed");
        if self.suite {
            if self.found.file.is_none() {
                self.found.file = Some(sink.paths.file(&id));
                self.found.line = self.frame;
            }
            if syntax {
                self.found.category = Category::SyntaxError;
                self.found.cause = self.found.file.as_ref().map(|file| format!("syntax|{file}"));
            } else if is_missing(said) {
                self.found.category = Category::ImportDependency;
                self.found.cause = Some(format!("missing|{}", quoted(said)));
            }
        } else if said.contains("imed out in ")
            || said.contains("Exceeded timeout of")
            || said.contains("imeout of ")
            || said.contains("timed out after")
        {
            self.found.category = Category::Timeout;
        }
        // The tree names a test before its error is shown: one id, one failure.
        let same =
            sink.found.iter().rposition(|known| known.tool == self.found.tool && known.test_id == self.found.test_id);
        match same.and_then(|at| sink.found.get_mut(at)) {
            Some(known) => {
                if known.file.is_none() || known.message == "failed" {
                    *known = self.found;
                }
            }
            None => sink.push(self.found),
        }
    }
}

/// The first quoted name of a message.
pub(super) fn quoted(text: &str) -> &str {
    text.split(['\'', '"']).nth(1).unwrap_or(text)
}
