//! A plain Python traceback: a script of the job that died.

use crate::detect::exception;
use crate::detect::failure::{Category, Key};
use crate::detect::found::{Found, Sink, Weight, Window};
use crate::detect::text::{bounded, is_project, patterns};

patterns! {
    FRAME = r#"^\s*(?:\|\s*)?File "([^"]+)", line (\d+)(?:, in (.+))?$"#;
}

/// The state between lines.
#[derive(Debug, Default)]
pub(super) struct Traceback {
    indent: usize,
    open: bool,
    window: Window,
    place: Option<(String, u32, Option<String>)>,
    syntax: Option<(String, u32)>,
    lines: u32,
    last: Option<Found>,
}

impl Traceback {
    /// Reads one line.
    pub(super) fn line(&mut self, line: &str, sink: &Sink) {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        if text.starts_with("Traceback (most recent call last)") {
            self.begin(indent);
            self.window.line(line);
            return;
        }
        let frame = text.starts_with("File \"") || text.starts_with("| ");
        if frame && let Some(found) = FRAME.captures(line) {
            if !self.open {
                // The Python that could not even compile the script prints no head.
                self.begin(indent.saturating_sub(2));
            }
            self.window.line(line);
            let file = sink.paths.file(&found[1]);
            let Ok(number) = found[2].parse() else { return };
            let function = found.get(3).map(|function| function.as_str().to_owned());
            if function.is_none() {
                self.syntax = Some((file.clone(), number));
            }
            if is_project(&file) {
                self.place = Some((file, number, function));
            }
            return;
        }
        if !self.open {
            return;
        }
        self.lines += 1;
        self.window.line(line);
        if indent <= self.indent
            && let Some((class, message)) = exception::parse(text)
        {
            self.emit(&class, &message, text, sink);
            self.open = false;
        } else if self.lines > 200 || (indent < self.indent && !text.is_empty()) {
            self.open = false;
        }
    }

    fn begin(&mut self, indent: usize) {
        self.open = true;
        self.indent = indent;
        self.window = Window::default();
        self.place = None;
        self.syntax = None;
        self.lines = 0;
    }

    fn emit(&mut self, class: &str, message: &str, text: &str, sink: &Sink) {
        if matches!(class, "KeyboardInterrupt" | "BrokenPipeError") && self.last.is_some() {
            return;
        }
        let command = sink.command.clone().unwrap_or_default();
        let key = Key::Command { command: command.clone(), error: class.to_owned() };
        let text = sink.paths.relative(bounded(text, 2000));
        let mut found = Found::new(Category::RuntimeError, "python", key, &text).weigh(Weight::Cause);
        found.excerpt = self.window.text();
        if let Some((file, line, function)) = self.place.take() {
            found.cause = Some(format!("function|{file}|{}|{class}", function.unwrap_or_default()));
            found.file = Some(file);
            found.line = Some(line);
        }
        if exception::is_syntax(class)
            && let Some((file, line)) = self.syntax.take()
        {
            found.key = Key::Finding { file: file.clone(), rule: class.to_owned(), symbol: None };
            found.file = Some(file);
            found.line = Some(line);
        }
        exception::apply(&mut found, class, message);
        if class == "ImportError" && found.category == Category::RuntimeError {
            found.category = Category::ImportDependency;
        }
        let clone = text.contains("git ")
            && (text.contains("cherry-pick") || text.contains(" fetch") || text.contains(" clone"));
        if exception::network(&text) || clone || text.contains("HTTP Error 429") || text.contains("HTTP Error 5") {
            found.category = Category::Infra;
        } else if class.contains("Timeout") {
            found.category = Category::Timeout;
        }
        self.last = Some(found);
    }

    /// The last one of the step: it is what the script died of.
    pub(super) fn close(&mut self, sink: &mut Sink) {
        self.open = false;
        if let Some(found) = self.last.take() {
            sink.push(found);
        }
    }
}
