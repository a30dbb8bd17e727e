//! One section of pytest's FAILURES or ERRORS: its traceback in any style.

use crate::detect::exception;
use crate::detect::found::Window;
use crate::detect::paths::{Paths, is_project};
use crate::detect::text::{bounded, patterns};

patterns! {
    PLACE = r"^((?:[A-Za-z]:)?[^:\s][^:]*):(\d+):(?:\s+(.*))?$";
    DEF = r"^[ >]\s*(?:async )?def (\w+)\(";
    NATIVE = r#"^\s*(?:\|\s*)?File "([^"]+)", line (\d+)(?:, in (.+))?$"#;
}

#[derive(Debug, Clone)]
struct Place {
    file: String,
    line: u32,
    function: Option<String>,
}

/// A section as it is read.
#[derive(Debug)]
pub(super) struct Section {
    /// `TestA.test_b[c]`, or a file where a collection failed.
    pub(super) head: String,
    pub(super) errors: bool,
    /// It is one of a test's subtests.
    pub(super) sub: bool,
    /// The first file of its traceback.
    pub(super) first: Option<String>,
    collecting: bool,
    conftest: bool,
    window: Option<Window>,
    text: String,
    class: Option<String>,
    last_class: Option<String>,
    message: Option<String>,
    more: u32,
    places: Vec<Place>,
    syntax: Option<(String, u32)>,
    function: Option<String>,
    /// The exception of a group was read: what follows are its parts.
    group: bool,
    indent: usize,
    in_block: bool,
    native: bool,
}

/// What a section's head says for this id: `a.py::T::t[p]` → `T.t[p]`.
pub(super) fn head_of(id: &str) -> String {
    let Some((_, name)) = id.split_once("::") else { return id.to_owned() };
    match name.split_once('[') {
        Some((name, parameters)) => format!("{}[{parameters}", name.replace("::", ".")),
        None => name.replace("::", "."),
    }
}

impl Section {
    pub(super) fn new(title: &str, errors: bool, brief: bool) -> Self {
        let mut head = title.trim();
        let mut collecting = false;
        for prefix in ["ERROR collecting ", "ERROR at setup of ", "ERROR at teardown of "] {
            if let Some(rest) = head.strip_prefix(prefix) {
                collecting = prefix.contains("collecting");
                head = rest;
            }
        }
        let head = head.strip_prefix("[doctest] ").unwrap_or(head);
        // `test_prices [message] (text='2')`: what is in a parameter's brackets has no space before them.
        let cut = [" [", " ("].iter().filter_map(|start| head.find(start)).min();
        let cut = cut.filter(|at| !head[..*at].contains(['[', ' ']) && head.ends_with([')', ']']));
        let mut section = Self {
            head: bounded(&head[..cut.unwrap_or(head.len())], 1000).to_owned(),
            sub: cut.is_some(),
            group: false,
            errors,
            first: None,
            collecting,
            conftest: false,
            window: (!brief).then(Window::default),
            text: String::new(),
            class: None,
            last_class: None,
            message: None,
            more: 0,
            places: Vec::new(),
            syntax: None,
            function: None,
            indent: 0,
            in_block: false,
            native: false,
        };
        if let Some(window) = &mut section.window {
            window.line(title);
        }
        section
    }

    pub(super) fn conftest(file: &str, line: &str) -> Self {
        let mut section = Self::new(file, true, false);
        section.collecting = true;
        section.conftest = true;
        if let Some(window) = &mut section.window {
            window.line(line);
        }
        section
    }

    pub(super) fn line(&mut self, line: &str) {
        if let Some(window) = &mut self.window {
            window.line(line);
        }
        if line.starts_with("E  ") || line == "E" {
            self.error(&line[1..]);
            return;
        }
        self.in_block = false;
        self.more = 0;
        if line.starts_with("  + ") || line.starts_with("  | ") || line.starts_with("  +-") {
            self.grouped(&line[3..]);
            return;
        }
        if line.starts_with("Traceback (most recent call last)") || line.trim_start().starts_with("File \"") {
            self.native = true;
            if let Some(found) = NATIVE.captures(line) {
                let function = found.get(3).map(|name| name.as_str().to_owned());
                self.place_at(&found[1], &found[2], function);
                if found.get(3).is_none() {
                    self.syntax = found[2].parse().ok().map(|line| (found[1].to_owned(), line));
                }
            }
            return;
        }
        if line.starts_with([' ', '>']) {
            if self.function.is_none()
                && let Some(found) = DEF.captures(line)
            {
                self.function = Some(found[1].to_owned());
            }
            return;
        }
        if let Some(found) = PLACE.captures(line)
            && (found[1].contains('.') || found[1].contains('/') || found[1].starts_with('<'))
        {
            let rest = found.get(3).map_or("", |rest| rest.as_str()).trim();
            let named = rest.strip_prefix("in ").map(str::to_owned);
            let function = named.or_else(|| self.function.take());
            self.function = None;
            self.place_at(&found[1], &found[2], function);
            if !rest.is_empty() && !rest.starts_with("in ") {
                let class = rest.split([':', ' ']).next().unwrap_or_default();
                let class = class.rsplit('.').next().unwrap_or_default();
                if class.chars().all(|c| c.is_alphanumeric() || c == '_') {
                    self.last_class = Some(class.to_owned());
                }
            }
            return;
        }
        if self.errors
            && let Some((file, number)) = line.rsplit_once(':')
            && number.bytes().all(|b| b.is_ascii_digit())
            && file.ends_with(".py")
            && !file.contains(' ')
        {
            self.place_at(file, number, None);
            return;
        }
        if self.native
            && !self.group
            && let Some((class, message)) = exception::parse(line)
        {
            self.message = Some(if message.is_empty() { class.clone() } else { format!("{class}: {message}") });
            self.class = Some(class);
        } else if self.message.is_none() && line.starts_with("UNEXPECTED EXCEPTION: ") {
            self.message = Some(line.to_owned());
        }
    }

    /// A line of an exception group: its own frames and its own exception, not its parts'.
    fn grouped(&mut self, line: &str) {
        self.native = true;
        if self.group {
            return;
        }
        if let Some(found) = NATIVE.captures(line) {
            let function = found.get(3).map(|name| name.as_str().to_owned());
            self.place_at(&found[1], &found[2], function);
        } else if let Some((class, message)) = exception::parse(line.trim_start()) {
            self.message = Some(format!("{class}: {message}"));
            self.class = Some(class);
            self.group = true;
        }
    }

    fn place_at(&mut self, file: &str, line: &str, function: Option<String>) {
        let Ok(line) = line.parse() else { return };
        let function = function.map(|name| bounded(&name, 200).to_owned());
        let place = Place { file: bounded(file, 300).to_owned(), line, function };
        if self.first.is_none() {
            self.first = Some(place.file.clone());
        }
        let most = if self.window.is_some() { 64 } else { 12 };
        if self.places.len() >= most {
            self.places.remove(most / 2);
        }
        self.places.push(place);
    }

    /// A line that pytest marked with `E`.
    fn error(&mut self, text: &str) {
        let indent = text.len() - text.trim_start().len();
        let body = text.trim();
        if let Some(found) = NATIVE.captures(body)
            && found.get(3).is_none()
        {
            self.syntax = found[2].parse().ok().map(|line| (found[1].to_owned(), line));
        }
        let fresh = !self.in_block;
        self.in_block = true;
        if fresh {
            self.indent = usize::MAX;
            self.more = 0;
        }
        if indent < self.indent && !body.is_empty() {
            let parsed = exception::parse(body);
            if parsed.is_some() || body.starts_with("assert ") || fresh {
                self.indent = indent;
                self.message = Some(body.to_owned());
                self.more = 0;
                self.class = match parsed {
                    Some((class, _)) => Some(class),
                    None if body.starts_with("assert ") => Some("AssertionError".to_owned()),
                    None => None,
                };
                if self.class.is_none() {
                    // Not the exception's own line yet (the source of a syntax error comes first).
                    self.indent = usize::MAX;
                }
                return;
            }
        }
        if self.more < 12
            && let Some(message) = &mut self.message
            && message.len() < 1500
        {
            self.more += 1;
            message.push('\n');
            message.push_str(bounded(text.trim_end(), 300));
        }
    }

    pub(super) fn finish(&mut self) {
        if let Some(window) = self.window.take() {
            self.text = window.text();
        }
    }

    pub(super) fn excerpt(&self) -> String {
        self.text.clone()
    }

    pub(super) fn class(&self) -> Option<&str> {
        let last = self.last_class.as_deref().filter(|class| exception::is_class(class, true) || self.class.is_none());
        last.or(self.class.as_deref())
    }

    pub(super) fn message(&self) -> Option<String> {
        let message = self.message.clone()?;
        let first = message.lines().next().unwrap_or_default();
        if self.class() == Some("AssertionError") && first.starts_with("assert ") {
            return Some(format!("AssertionError: {message}"));
        }
        Some(message)
    }

    pub(super) fn doctest(&self) -> bool {
        matches!(self.last_class.as_deref(), Some("DocTestFailure" | "UnexpectedException"))
    }

    /// A teardown or setup error of a test that the summary lists too.
    pub(super) fn listed_elsewhere(&self) -> bool {
        self.collecting && !self.conftest
    }

    /// The id, where only the section is there to tell.
    pub(super) fn id(&self, paths: &Paths) -> String {
        if self.collecting {
            return paths.file(&self.head);
        }
        // With chained exceptions the first place may be the code's own: the test's is where the test's name is.
        let name = self.head.split(['[', ' ']).next().unwrap_or_default().rsplit('.').next();
        let test = self.places.iter().find(|place| place.function.as_deref() == name);
        let places = test.into_iter().chain(&self.places);
        let file = places.map(|place| paths.file(&place.file)).find(|file| is_project(file));
        let name = match self.head.split_once('[') {
            Some((name, parameters)) => format!("{}[{parameters}", name.replace('.', "::")),
            None if self.doctest() => self.head.clone(),
            None => self.head.replace('.', "::"),
        };
        match file {
            Some(file) => format!("{file}::{name}"),
            None => name,
        }
    }

    /// The place that pytest reports.
    pub(super) fn place(&self, paths: &Paths) -> (Option<String>, Option<u32>) {
        if self.class().is_some_and(exception::is_syntax)
            && let Some((file, line)) = &self.syntax
        {
            return (Some(paths.file(file)), Some(*line));
        }
        let own = self.places.iter().rev().find(|place| is_project(&paths.file(&place.file)));
        match own {
            Some(place) => (Some(paths.file(&place.file)), Some(place.line)),
            None => (None, None),
        }
    }

    /// The deepest function of the repository on the way to the exception.
    pub(super) fn function(&self, paths: &Paths) -> Option<(String, String)> {
        let own = self.places.iter().rev().find(|place| is_project(&paths.file(&place.file)))?;
        let function = own.function.clone()?;
        Some((paths.file(&own.file), function))
    }
}
