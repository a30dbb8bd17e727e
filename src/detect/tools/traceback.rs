//! A plain Python traceback: a script of the job that died.

use super::{Kind, Read, Tool};
use crate::detect::exception;
use crate::detect::failure::{Category, Key};
use crate::detect::found::{Found, Sink, Weight, Window};
use crate::detect::paths::{is_project, module};
use crate::detect::text::{bounded, patterns};

patterns! {
    SORRY = r"^\*\*\* Sorry: (\w+Error): (.*) \((\S+), line (\d+)\)$";
    FRAME = r#"^(?:\*+)?\s*(?:\|\s*)?File "([^"]+)", line (\d+)(?:, in (.+))?$"#;
}

pub(super) const TOOL: Kind =
    Kind::new(&["Traceback (most recent call last)", "Exception Group Traceback", "*** Sorry: ", "File \""], || {
        Box::<Traceback>::default()
    })
    .in_session();

/// The state between lines.
#[derive(Debug, Default)]
struct Traceback {
    indent: usize,
    open: bool,
    window: Window,
    place: Option<(String, u32, Option<String>)>,
    syntax: Option<(String, u32)>,
    lines: u32,
    /// An exception group is told: its own frames and exception, not its parts'.
    group: bool,
    /// There are frames of a build backend, of sphinx.
    backend: bool,
    sphinx: bool,
    last: Option<Found>,
    more: Vec<Found>,
}

impl Tool for Traceback {
    fn line(&mut self, line: &str, sink: &mut Sink) -> Read {
        self.read(line, sink);
        Read::Pass
    }

    fn open(&self) -> bool {
        self.open
    }

    /// The last one of the step: it is what the script died of.
    fn close(&mut self, sink: &mut Sink) {
        self.open = false;
        self.more.drain(..).chain(self.last.take()).for_each(|found| sink.push(found));
    }
}

impl Traceback {
    fn read(&mut self, line: &str, sink: &Sink) {
        if line.starts_with("  + Exception Group Traceback") {
            self.begin(0);
            self.group = true;
            self.window.line(line);
            return;
        }
        if self.group && self.open && line.starts_with("  +-") {
            self.open = false;
            self.group = false;
            return;
        }
        let line = match self.group {
            true => line.trim_start_matches(' ').trim_start_matches('|').strip_prefix(' ').unwrap_or(line),
            false => line,
        };
        let text = line.trim_start();
        let indent = line.len() - text.len();
        if text.starts_with("Traceback (most recent call last)") {
            self.begin(indent);
            self.window.line(line);
            return;
        }
        let stars = text.starts_with("*** ");
        let frame = text.starts_with("File \"") || text.starts_with("| ") || stars;
        if frame && let Some(found) = FRAME.captures(line) {
            if !self.open {
                // The Python that could not even compile the script prints no head.
                self.begin(if stars { 0 } else { indent.saturating_sub(2) });
            } else if stars {
                self.begin(0);
            }
            self.sphinx |= found[1].contains("/sphinx/");
            self.backend |= [
                "pyproject_hooks",
                "_in_process",
                "setuptools",
                "hatchling",
                "/pip/",
                "pip-req-build",
                "/build/__main__",
            ]
            .iter()
            .any(|part| found[1].contains(part));
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
        if let Some(found) = SORRY.captures(line) {
            self.begin(0);
            self.window.line(line);
            let file = sink.paths.file(&found[3]);
            self.syntax = found[4].parse().ok().map(|number| (file, number));
            self.emit(&found[1], &found[2], &format!("{}: {}", &found[1], &found[2]), sink);
            self.open = false;
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
            self.group = false;
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
        self.group = false;
        self.backend = false;
        self.sphinx = false;
    }

    fn emit(&mut self, class: &str, message: &str, text: &str, sink: &Sink) {
        if matches!(class, "KeyboardInterrupt" | "BrokenPipeError" | "CalledProcessError") && self.last.is_some() {
            return;
        }
        let command = sink.command.clone().unwrap_or_default();
        let key = Key::Command { command: command.clone(), error: class.to_owned() };
        let text = sink.paths.relative(bounded(text, 2000));
        let mut found = Found::new(Category::RuntimeError, "python", key, &text).weigh(Weight::Cause);
        found.excerpt = self.window.text();
        if let Some((file, line, function)) = self.place.take() {
            found.cause = Some(format!("function|{}|{}|{class}", module(&file), function.unwrap_or_default()));
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
        if exception::network(&text)
            || clone
            || text.contains("HTTP Error 429")
            || text.contains("HTTP Error 5")
            || text.contains("[Errno 28]")
            || text.contains("out of sync with")
        {
            found.category = Category::Infra;
        } else if class.contains("Timeout") {
            found.category = Category::Timeout;
        }
        if self.sphinx && (sink.runs("sphinx") || sink.runs("docs") || sink.runs("html")) {
            found.tool = "sphinx";
            if found.category == Category::RuntimeError {
                found.category = Category::Docs;
            }
        }
        if text.contains("codecov.io/") {
            found.tool = "codecov";
        }
        if self.backend
            && found.category == Category::RuntimeError
            && ["pip", "build", "uv", "hatch", "poetry", "pdm"].iter().any(|tool| sink.runs(tool))
        {
            found.category = Category::ImportDependency;
        }
        // Compiling many files says it of each.
        let each = found.category == Category::SyntaxError && found.excerpt.starts_with("***");
        if each && let Some(before) = self.last.take() {
            self.more.extend((self.more.len() < 500).then_some(before));
        }
        self.last = Some(found);
    }
}
