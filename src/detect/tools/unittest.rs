//! unittest and doctest, as `python -m unittest`, Django's runner and `python -m doctest` print them.

use super::{Kind, Read, Tool};
use crate::detect::exception;
use crate::detect::failure::{Category, Key};
use crate::detect::found::{Found, Sink, Window};
use crate::detect::paths::{is_project, module};
use crate::detect::text::{bounded, patterns};

patterns! {
    HEAD = r"^(FAIL|ERROR|UNEXPECTED SUCCESS): (\S+)(?: \(([^()\s]+)\))?(?: (.*))?$";
    FRAME = r#"^\s*File "([^"]+)", line (\d+)(?:, in (.+))?$"#;
    RAN = r"^Ran \d+ tests? in ";
}

/// One `FAIL:` or `ERROR:` block.
#[derive(Debug)]
struct Block {
    id: String,
    loader: bool,
    docs: bool,
    window: Window,
    place: Option<(String, u32, Option<String>)>,
    syntax: Option<(String, u32)>,
    class: Option<String>,
    message: Option<String>,
    lines: u32,
    header: bool,
}

pub(super) const TOOL: Kind =
    Kind::new(&["=====", "*****", "Ran #", "***Test Failed***"], || Box::<Unittest>::default());

/// The state between lines.
#[derive(Debug, Default)]
struct Unittest {
    armed: bool,
    stars: bool,
    block: Option<Block>,
    example: Option<Block>,
}

impl Tool for Unittest {
    fn line(&mut self, line: &str, sink: &mut Sink) -> Read {
        if self.report(line, sink) { Read::Hidden } else { Read::Pass }
    }

    fn open(&self) -> bool {
        self.armed || self.stars || self.block.is_some() || self.example.is_some()
    }

    /// Hands over what is open.
    fn close(&mut self, sink: &mut Sink) {
        self.armed = false;
        self.stars = false;
        if let Some(block) = self.block.take().or_else(|| self.example.take()) {
            block.emit(sink);
        }
    }
}

impl Unittest {
    /// `true` if the line belongs to a test's report.
    fn report(&mut self, line: &str, sink: &mut Sink) -> bool {
        if line.len() >= 60 && line.bytes().all(|b| b == b'=') {
            self.close(sink);
            self.armed = true;
            return true;
        }
        if self.armed {
            self.armed = false;
            if let Some(found) = HEAD.captures(line) {
                let name = &found[2];
                let owner = found.get(3).map(|owner| owner.as_str());
                let suffix = found.get(4).map(|suffix| suffix.as_str()).unwrap_or_default();
                self.block = Some(Block::new(name, owner, suffix, line));
                return true;
            }
        }
        if self.block.is_some() {
            if RAN.is_match(line) {
                self.close(sink);
                return true;
            }
            if let Some(block) = &mut self.block {
                block.line(line, sink);
            }
            return true;
        }
        self.example(line, sink)
    }

    /// Doctest's own report, between lines of stars.
    fn example(&mut self, line: &str, sink: &mut Sink) -> bool {
        if line.len() >= 60 && line.bytes().all(|b| b == b'*') {
            self.close(sink);
            self.stars = true;
            return true;
        }
        if self.stars {
            self.stars = false;
            if let Some(found) = FRAME.captures(line)
                && let Some(name) = found.get(3)
            {
                let mut block = Block::new(name.as_str(), None, "", line);
                block.docs = true;
                block.header = false;
                block.class = Some("DocTestFailure".to_owned());
                block.line(line, sink);
                self.example = Some(block);
                return true;
            }
        }
        if let Some(block) = &mut self.example {
            if line.starts_with("***Test Failed***") || block.lines > 400 || line.starts_with("##") {
                self.close(sink);
                return true;
            }
            block.line(line, sink);
            return true;
        }
        false
    }
}

impl Block {
    fn new(name: &str, owner: Option<&str>, suffix: &str, line: &str) -> Self {
        const LOADERS: [&str; 4] = [
            "unittest.loader._FailedTest",
            "nose2.loader.ModuleImportFailure",
            "nose2.loader.LoadTestsFailure",
            "nose.failure.Failure",
        ];
        let loader = owner.is_some_and(|owner| LOADERS.iter().any(|loader| owner.starts_with(loader)));
        let mut id = match owner {
            _ if loader => name.to_owned(),
            Some(owner) if owner.ends_with(&format!(".{name}")) || owner == name => owner.to_owned(),
            Some(owner) => format!("{owner}.{name}"),
            None => name.to_owned(),
        };
        if suffix.starts_with(['(', '[']) {
            id = format!("{id} {}", bounded(suffix, 300));
        }
        let mut window = Window::default();
        window.line(line);
        Self {
            id: bounded(&id, 1000).to_owned(),
            loader,
            docs: false,
            window,
            place: None,
            syntax: None,
            class: None,
            message: None,
            lines: 0,
            header: true,
        }
    }

    fn line(&mut self, line: &str, sink: &Sink) {
        self.lines += 1;
        self.window.line(line);
        if self.header {
            if let Some(id) = line.strip_prefix("Doctest: ") {
                self.docs = true;
                self.id = bounded(id.trim(), 1000).to_owned();
            }
            self.header = !line.starts_with("-----");
            return;
        }
        if let Some(found) = FRAME.captures(line) {
            let file = sink.paths.file(&found[1]);
            let Ok(number) = found[2].parse() else { return };
            if found.get(3).is_none() {
                self.syntax = Some((file.clone(), number));
            }
            if is_project(&file) {
                self.place = Some((file, number, found.get(3).map(|name| name.as_str().to_owned())));
            }
            return;
        }
        if line.starts_with("Traceback (most recent call last)") {
            if !self.docs || self.class.is_none() {
                self.class = None;
            }
            return;
        }
        if self.class.is_none()
            && let Some((class, message)) = exception::parse(line)
        {
            self.message = Some(if message.is_empty() { class.clone() } else { format!("{class}: {message}") });
            self.class = Some(class);
        } else if self.docs && self.message.is_none() && line.starts_with("Failed example") {
            self.message = Some(line.to_owned());
        } else if let Some(message) = &mut self.message
            && message.len() < 1200
            && !line.starts_with("-----")
        {
            message.push('\n');
            message.push_str(bounded(line, 300));
        }
    }

    fn emit(self, sink: &mut Sink) {
        let (category, tool) = match self.docs {
            true => (Category::Docs, "doctest"),
            false => (super::test_category(&self.id), "unittest"),
        };
        let message = self.message.as_deref().unwrap_or("failed").trim().to_owned();
        let class = self.class.clone();
        let key = Key::Test { id: self.id.clone(), exception: class.clone() };
        let mut found = Found::new(category, tool, key, &message).excerpt(self.window.text());
        found.test_id = Some(self.id.clone());
        if let Some((file, line, function)) = &self.place {
            found.file = Some(file.clone());
            found.line = Some(*line);
            let short = class.as_deref().unwrap_or_default();
            found.cause = Some(match function {
                Some(function)
                    if !self.docs
                        && !self.id.split(' ').next().unwrap_or_default().ends_with(&format!(".{function}")) =>
                {
                    format!("function|{}|{function}|{short}", module(file))
                }
                _ => format!("test|{}|{short}", self.id.split(' ').next().unwrap_or_default()),
            });
        }
        if let Some(class) = &class {
            if exception::is_syntax(class)
                && let Some((file, line)) = self.syntax.clone()
            {
                found.file = Some(file);
                found.line = Some(line);
            }
            let said = message.lines().next().unwrap_or_default().to_owned();
            let said = said.split_once(": ").map_or("", |(_, said)| said);
            exception::apply(&mut found, class, said);
        }
        if self.loader && found.category == Category::UnitTest {
            found.category = Category::ImportDependency;
        }
        sink.push(found);
    }
}
