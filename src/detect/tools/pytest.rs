//! pytest: sections of failures, the short summary, verbose results, collection, usage and internal errors.

use std::collections::{HashMap, HashSet};

use super::section::{Section, head_of};
use crate::detect::exception;
use crate::detect::failure::{Category, Key};
use crate::detect::found::{Found, Sink, Weight};
use crate::detect::text::{bounded, is_project, patterns};

patterns! {
    BANNER = r"^=+ (.+?) =+$";
    HEAD = r"^_+ (.+?) _+$";
    CAPTURED = r"^-+ Captured .+ -+$";
    TABLE = r"^-+ (?:coverage: |generated |benchmark|Docs: |snapshot )";
    COUNTS = r"^(?:=+ )?(?:no tests ran|\d+ (?:failed|passed|errors?|skipped|deselected|xfailed|xpassed|warnings?|rerun|subtests (?:passed|failed))(?:, \d+ [a-z ]+)*) in [\d.]+ ?s(?:econds)?.*$";
    VERBOSE = r"^([^\s\[].*?::.*?)(?: <- \S+)? (FAILED|ERROR)(?: +\([^)]*\))?(?: +\[[^\]]*\]){0,2}\s*$";
    XDIST = r"^\[gw\d+\] (?:\[ *\d+%\] )?(FAILED|ERROR) (\S.*?::.*?)(?: <- \S+)?\s*$";
    SUMMARY = r"^(FAILED|ERROR) (?:\[[\d.]+s\] )?(\S.*)$";
    FILE_ID = r"^[^\s:]+\.(?:py|pyx|txt|rst|md|ipynb|yml|yaml|toml)$";
    CONFTEST = r"^(?:ImportError while loading conftest|ConftestImportFailure: .*\(from) '?([^')]+?\.py)'?\)?\.?$";
    USAGE = r"^ERROR: (?:usage: .*|file or directory not found: (.*)|not found: (.*)|(.*: error: .*)|(found no collectors for .*))$";
}

/// Where in a session's output the parser stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Outside,
    Progress,
    Sections { errors: bool },
    Summary,
    Other,
}

/// What may still read the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Open {
    /// Every parser.
    All,
    /// Only what looks for a crash, a threshold or the runner's word.
    Crash,
    /// Nobody: it is what a test printed.
    Nobody,
}

#[derive(Debug)]
struct Listed {
    error: bool,
    id: String,
    message: Option<String>,
}

#[derive(Debug)]
pub(super) struct Pytest {
    place: Place,
    captured: bool,
    depth: u32,
    current: Option<Section>,
    sections: Vec<Section>,
    listed: Vec<Listed>,
    verbose: Vec<Listed>,
    shadow: Vec<Listed>,
    shadowing: bool,
    internal: Option<(String, String)>,
    usage: Option<String>,
    empty: bool,
    interrupted: bool,
    started: Option<String>,
    hung: bool,
}

impl Default for Pytest {
    fn default() -> Self {
        Self {
            place: Place::Outside,
            captured: false,
            depth: 0,
            current: None,
            sections: Vec::new(),
            listed: Vec::new(),
            verbose: Vec::new(),
            shadow: Vec::new(),
            shadowing: false,
            internal: None,
            usage: None,
            empty: false,
            interrupted: false,
            started: None,
            hung: false,
        }
    }
}

const ENTRIES: usize = 5000;

impl Pytest {
    /// Reads one line and says who else may.
    pub(super) fn line(&mut self, line: &str, sink: &mut Sink) -> Open {
        if line.starts_with('=') || line.starts_with(|c: char| c.is_ascii_digit()) || line.starts_with("no tests ran") {
            if COUNTS.is_match(line) {
                return self.counts(line);
            }
            if let Some(banner) = BANNER.captures(line)
                && let Some(open) = self.banner(&banner[1], sink)
            {
                return open;
            }
        }
        if self.captured && self.depth > 0 {
            if self.shadowing
                && let Some(listed) = listed(line, &HashSet::new())
            {
                push(&mut self.shadow, listed);
            }
            return Open::Nobody;
        }
        match self.place {
            Place::Outside => self.outside(line, sink),
            Place::Progress => self.progress(line),
            Place::Sections { errors } => self.section(line, errors),
            Place::Summary => self.summary(line, sink),
            Place::Other => {
                if line.starts_with("INTERNALERROR>") {
                    self.internal(line)
                } else {
                    Open::Crash
                }
            }
        }
    }

    fn counts(&mut self, line: &str) -> Open {
        if self.captured && self.depth > 0 {
            self.depth -= 1;
            self.shadowing = false;
            return Open::Nobody;
        }
        if self.captured && !line.starts_with('=') {
            return Open::Nobody;
        }
        if line.contains("no tests ran") {
            self.empty = true;
        }
        self.close();
        self.place = Place::Outside;
        Open::Nobody
    }

    /// A line between `=`; `None` if it means nothing to pytest.
    fn banner(&mut self, title: &str, sink: &mut Sink) -> Option<Open> {
        if self.captured {
            if title == "test session starts" {
                self.depth += 1;
                return Some(Open::Nobody);
            }
            if self.depth > 0 {
                if title == "short test summary info" {
                    self.shadowing = true;
                    self.shadow.clear();
                }
                return Some(Open::Nobody);
            }
        }
        let place = match title {
            "test session starts" => {
                self.flush(sink);
                Place::Progress
            }
            "FAILURES" => Place::Sections { errors: false },
            "ERRORS" => Place::Sections { errors: true },
            "short test summary info" => Place::Summary,
            "PASSES" | "RERUNS" | "XFAILURES" | "XPASSES" | "warnings summary" | "tests coverage" => Place::Other,
            _ if title.starts_with("slowest") || title.starts_with("warnings summary") => Place::Other,
            _ if self.place != Place::Outside && !self.captured => Place::Other,
            _ => return None,
        };
        self.close();
        self.place = place;
        Some(Open::Nobody)
    }

    fn outside(&mut self, line: &str, sink: &mut Sink) -> Open {
        if let Some(section) = &mut self.current {
            // A conftest that could not be loaded: its traceback follows until something else begins.
            if line.trim().is_empty() {
                self.close();
            } else {
                section.line(line);
                return Open::Nobody;
            }
        }
        if line.contains("onftest")
            && let Some(found) = CONFTEST.captures(line)
            && line.starts_with("ImportError")
        {
            self.current = Some(Section::conftest(&found[1], line));
            return Open::Nobody;
        }
        if line.starts_with("INTERNALERROR>") {
            return self.internal(line);
        }
        if line.starts_with("ERROR: ")
            && self.usage.is_none()
            && let Some(found) = USAGE.captures(line)
        {
            let said = found.iter().skip(1).flatten().next().map_or(&line[7..], |said| said.as_str());
            self.usage = Some(bounded(said, 500).to_owned());
            let _ = sink;
            return Open::Crash;
        }
        if self.usage.is_some() && line.contains(": error: ") && line.contains("pytest") {
            self.usage = Some(bounded(line, 500).to_owned());
        }
        if self.result(line) { Open::Nobody } else { Open::All }
    }

    /// A verbose result.
    fn result(&mut self, line: &str) -> bool {
        if !line.contains("::") || !(line.contains(" FAILED") || line.contains(" ERROR")) {
            return false;
        }
        let (error, id) = if let Some(found) = XDIST.captures(line) {
            (&found[1] == "ERROR", found[2].to_owned())
        } else if let Some(found) = VERBOSE.captures(line) {
            (&found[2] == "ERROR", found[1].to_owned())
        } else {
            return false;
        };
        let path = id.split("::").next().unwrap_or_default();
        if path.contains(' ') || !path.contains('.') {
            return false;
        }
        push(&mut self.verbose, Listed { error, id, message: None });
        true
    }

    fn progress(&mut self, line: &str) -> Open {
        if self.result(line) {
            return Open::Nobody;
        }
        if line.starts_with("INTERNALERROR>") {
            return self.internal(line);
        }
        if line.starts_with('_')
            && HEAD.captures(line).is_some_and(|head| !head[1].starts_with("_ "))
            && line.len() > 30
        {
            // pytest-instafail and the like print a section as soon as it happens.
            self.place = Place::Sections { errors: line.contains(" ERROR ") };
            return self.section(line, line.contains(" ERROR "));
        }
        if line.starts_with("+++") && line.contains(" Timeout +") {
            self.hung = true;
        }
        if line.contains("::") && !line.contains(' ') {
            self.started = Some(bounded(line, 500).to_owned());
        }
        Open::Crash
    }

    fn section(&mut self, line: &str, errors: bool) -> Open {
        if line.starts_with('_')
            && let Some(head) = HEAD.captures(line)
            && !head[1].starts_with("_ ")
        {
            self.close();
            self.current = Some(Section::new(&head[1], errors, self.sections.len() > 300));
            return Open::Nobody;
        }
        if line.starts_with('-') {
            if CAPTURED.is_match(line) {
                self.captured = true;
                return Open::Nobody;
            }
            if !self.captured && TABLE.is_match(line) {
                self.close();
                self.place = Place::Other;
                return Open::Crash;
            }
        }
        if line.starts_with("!!!!") && line.ends_with("!!!!") {
            self.interrupted |= line.contains("KeyboardInterrupt");
            return Open::Nobody;
        }
        if self.captured {
            return Open::Nobody;
        }
        match &mut self.current {
            Some(section) => section.line(line),
            // A progress line of a section printer between two sections.
            None => {
                self.result(line);
            }
        }
        Open::Nobody
    }

    fn summary(&mut self, line: &str, sink: &mut Sink) -> Open {
        if line.starts_with("FAILED ") || line.starts_with("ERROR ") {
            let known: HashSet<&str> = self.verbose.iter().map(|listed| listed.id.as_str()).collect();
            if let Some(listed) = listed(line, &known) {
                push(&mut self.listed, listed);
                return Open::Nobody;
            }
        }
        if line.starts_with("!!!!") {
            self.interrupted |= line.contains("KeyboardInterrupt");
        }
        let _ = sink;
        Open::Crash
    }

    fn internal(&mut self, line: &str) -> Open {
        let text = line.trim_start_matches("INTERNALERROR>").trim_start();
        if let Some((class, message)) = exception::parse(text)
            && text.starts_with(|c: char| c.is_alphabetic())
        {
            self.internal = Some((class, message));
        } else if self.internal.is_none() {
            self.internal = Some(("INTERNALERROR".to_owned(), String::new()));
        }
        Open::Nobody
    }

    fn close(&mut self) {
        self.captured = false;
        self.depth = 0;
        self.shadowing = false;
        if let Some(mut section) = self.current.take() {
            section.finish();
            if self.sections.len() < ENTRIES {
                self.sections.push(section);
            }
        }
    }

    /// The session is over: what is known becomes failures.
    pub(super) fn flush(&mut self, sink: &mut Sink) {
        if self.depth > 0 && self.listed.is_empty() {
            self.listed = std::mem::take(&mut self.shadow);
        }
        self.close();
        let state = std::mem::take(self);
        let before = sink.found.len();
        state.report(sink);
        state.trouble(sink, before);
    }

    fn report(&self, sink: &mut Sink) {
        let mut heads: HashMap<&str, Vec<usize>> = HashMap::new();
        for (index, section) in self.sections.iter().enumerate() {
            heads.entry(section.head.as_str()).or_default().push(index);
        }
        let mut used = vec![false; self.sections.len()];
        let mut seen: HashMap<(String, Option<String>), usize> = HashMap::new();
        let mut ids: HashSet<&str> = HashSet::new();
        let listed = self.listed.iter().chain(&self.verbose);
        for (index, listed) in listed.enumerate() {
            let verbose = index >= self.listed.len();
            if verbose && ids.contains(listed.id.as_str()) {
                continue;
            }
            ids.insert(&listed.id);
            let head = head_of(&listed.id);
            let candidates = heads.get(head.as_str()).map_or(&[][..], Vec::as_slice);
            let path = sink.paths.file(listed.id.split("::").next().unwrap_or_default());
            let best = candidates.iter().copied().filter(|index| !used[*index]).max_by_key(|index| {
                let section = &self.sections[*index];
                (
                    section.errors == listed.error,
                    section.first.as_deref().is_some_and(|first| sink.paths.file(first).ends_with(&path)),
                    std::cmp::Reverse(*index),
                )
            });
            if let Some(best) = best {
                used[best] = true;
            }
            let section = best.map(|best| &self.sections[best]);
            emit(sink, &mut seen, &listed.id, listed.message.as_deref(), section);
        }
        for (index, section) in self.sections.iter().enumerate() {
            if !used[index] {
                let id = section.id(&sink.paths);
                // The same id is known from the summary: one of several sections of one test.
                if !(section.listed_elsewhere() && ids.contains(id.as_str())) {
                    emit(sink, &mut seen, &id, None, Some(section));
                }
            }
        }
    }

    fn trouble(&self, sink: &mut Sink, before: usize) {
        if sink.found.len() > before {
            return;
        }
        let command = sink.command.clone().unwrap_or_else(|| "pytest".to_owned());
        let key = |error: &str| Key::Command { command: command.clone(), error: error.to_owned() };
        if let Some((class, message)) = &self.internal {
            let text = format!("INTERNALERROR {class}: {message}");
            let mut found = Found::new(Category::Crash, "pytest", key(class), &text).weigh(Weight::Cause);
            exception::apply(&mut found, class, message);
            sink.push(found);
        } else if let Some(usage) = &self.usage {
            let key = Key::Message { file: None, message: sink.paths.stable(usage) };
            sink.push(Found::new(Category::RuntimeError, "pytest", key, usage).weigh(Weight::Cause));
        } else if self.hung {
            let message = "a test ran into its timeout";
            let mut found = Found::new(Category::Timeout, "pytest", key("Timeout"), message);
            if let Some(id) = &self.started {
                found.test_id = Some(id.clone());
                found.key = Key::Test { id: id.clone(), exception: Some("Timeout".to_owned()) };
            }
            sink.push(found);
        } else if self.interrupted {
            let found = Found::new(Category::Timeout, "pytest", key("KeyboardInterrupt"), "KeyboardInterrupt");
            sink.push(found.weigh(Weight::Hint));
        } else if self.empty {
            let found = Found::new(Category::UnitTest, "pytest", key("no tests ran"), "no tests ran");
            sink.push(found.weigh(Weight::Cause));
        }
    }
}

fn push(list: &mut Vec<Listed>, listed: Listed) {
    if list.len() < ENTRIES {
        list.push(listed);
    }
}

/// A line of the short summary. `known` are ids that were printed before, which settles where an id ends.
fn listed(line: &str, known: &HashSet<&str>) -> Option<Listed> {
    let found = SUMMARY.captures(line)?;
    let error = &found[1] == "ERROR";
    let text = found.get(2)?.as_str();
    let (id, message) = split(text, known);
    let path = id.split("::").next().unwrap_or_default();
    if path.contains(' ') || !(id.contains("::") || FILE_ID.is_match(id) || (error && id.contains('/'))) {
        return None;
    }
    Some(Listed { error, id: bounded(id, 1000).trim_end().to_owned(), message: message.map(str::to_owned) })
}

/// Splits `id - message`, where both may hold ` - `.
fn split<'a>(text: &'a str, known: &HashSet<&str>) -> (&'a str, Option<&'a str>) {
    let mut cuts = text.match_indices(" - ").map(|(at, _)| at);
    if !known.is_empty() {
        if known.contains(text.trim_end()) {
            return (text, None);
        }
        if let Some(at) = cuts.clone().take(20).find(|at| known.contains(&text[..*at])) {
            return (&text[..at], Some(&text[at + 3..]));
        }
    }
    let name = text.find("::").map_or(0, |at| at + 2);
    // Parameters end at the first `]` that ends the line or has a message after it, if they begin before any ` - `.
    if let Some(open) = text[name..].find('[').map(|at| at + name)
        && !text[..open].contains(" - ")
    {
        if let Some(at) = text[open..].find("] - ").map(|at| at + open + 1) {
            return (&text[..at], Some(&text[at + 3..]));
        }
        return (text, None);
    }
    match cuts.next() {
        Some(at) => (&text[..at], Some(&text[at + 3..])),
        None => (text, None),
    }
}

/// One failure for one id.
fn emit(
    sink: &mut Sink,
    seen: &mut HashMap<(String, Option<String>), usize>,
    id: &str,
    said: Option<&str>,
    section: Option<&Section>,
) {
    let id = sink.paths.file(id);
    let (mut class, mut message) = (None, String::new());
    if let Some(said) = said {
        message = said.to_owned();
        if let Some((name, _)) = exception::parse(said) {
            class = Some(name);
        } else if said.starts_with("assert ") {
            class = Some("AssertionError".to_owned());
        }
    }
    let mut found =
        Found::new(super::test_category(&id), "pytest", Key::Message { file: None, message: String::new() }, "");
    let mut cause = None;
    if let Some(section) = section {
        if let Some(name) = section.class() {
            class = Some(name.to_owned());
        }
        if let Some(text) = section.message() {
            message = text;
        }
        let (file, line) = section.place(&sink.paths);
        found.file = file;
        found.line = line;
        found.excerpt = section.excerpt();
        cause = section.function(&sink.paths);
        if section.doctest() {
            found.category = Category::Docs;
            found.tool = "doctest";
        }
    }
    if found.file.is_none() {
        let path = id.split("::").next().unwrap_or_default();
        found.file = (is_project(path) && path.contains('.')).then(|| path.to_owned());
    }
    if message.is_empty() {
        message = class.clone().unwrap_or_else(|| "failed".to_owned());
    }
    let timeout = message.contains("Timeout >") || message.contains("Timeout (>");
    if timeout && class.as_deref() == Some("Failed") {
        class = Some("Timeout".to_owned());
        found.category = Category::Timeout;
    }
    let base = id.split('[').next().unwrap_or(&id);
    let short = class.clone().unwrap_or_default();
    found.cause = Some(match cause {
        Some((file, function)) if !(base.contains(&file) && base.ends_with(&format!("::{function}"))) => {
            format!("function|{file}|{function}|{short}")
        }
        _ => format!("test|{base}|{short}"),
    });
    found.message = bounded(message.trim(), crate::detect::text::MESSAGE).to_owned();
    found.test_id = Some(id.clone());
    found.key = Key::Test { id: id.clone(), exception: class.clone() };
    if let Some(class) = &class {
        let text = found.message.clone();
        let text = text.split_once(": ").map_or(text.as_str(), |(_, text)| text);
        exception::apply(&mut found, class, text);
    }
    if let Some(at) = seen.get(&(id.clone(), class.clone())) {
        if let Some(first) = sink.found.get_mut(*at) {
            first.count += 1;
        }
        return;
    }
    let at = sink.found.len();
    if found.excerpt.is_empty() {
        found.excerpt = format!("{id}: {}", bounded(&found.message, 500));
    }
    sink.push(found);
    if sink.found.len() > at {
        seen.insert((id, class), at);
    }
}
