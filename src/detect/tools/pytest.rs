//! pytest: sections of failures, the short summary, verbose results, collection, usage and internal errors.

use std::collections::{HashMap, HashSet, VecDeque};

use super::section::{Section, head_of};
use super::summary::{ENTRIES, Listed, emit, listed, push};
use crate::detect::exception;
use crate::detect::failure::{Category, Key};
use crate::detect::found::{Found, Sink, Weight};
use crate::detect::text::{bounded, patterns};

patterns! {
    BANNER = r"^=+ (.+?) =+$";
    HEAD = r"^_+ (.+?) _+$";
    CAPTURED = r"^-+ Captured .+ -+$";
    TABLE = r"^-+ (?:coverage: |generated |benchmark|Docs: |snapshot )";
    COUNTS = r"^(?:=+ )?(?:no tests ran|\d+ (?:failed|passed|errors?|skipped|deselected|xfailed|xpassed|warnings?|rerun|subtests (?:passed|failed))(?:, \d+ [a-z ]+)*) in [\d.]+ ?s(?:econds)?.*$";
    VERBOSE = r"^([^\s\[].*?::.*?)(?: <- \S+)? (FAILED|ERROR)(?: +\([^)]*\))?(?: +\[[^\]]*\]){0,2}\s*$";
    XDIST = r"^\[gw\d+\] (?:\[ *\d+%\] )?(FAILED|ERROR) (\S.*?::.*?)(?: <- \S+)?\s*$";
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
    /// Ids that were printed, and heads of sections: they settle where an id of the summary ends.
    known: HashSet<String>,
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
            known: HashSet::new(),
        }
    }
}

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
            Place::Outside => self.outside(line),
            Place::Progress => self.progress(line),
            Place::Sections { errors } => self.section(line, errors),
            Place::Summary => self.summary(line),
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
        self.empty |=
            !["passed", "failed", "error", "skipped", "xfailed", "xpassed"].iter().any(|word| line.contains(word));
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
        if place == Place::Summary {
            self.known = self.verbose.iter().map(|listed| listed.id.clone()).collect();
            self.known.extend(self.sections.iter().map(|section| section.head.clone()));
        }
        Some(Open::Nobody)
    }

    fn outside(&mut self, line: &str) -> Open {
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
        if line.contains("+ Timeout +") {
            self.hung = true;
            if let Some((id, _)) = line.split_once(" +++").filter(|(id, _)| id.contains("::") && !id.contains(' ')) {
                self.started = Some(bounded(id, 500).to_owned());
            }
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

    fn summary(&mut self, line: &str) -> Open {
        if (line.starts_with("FAILED ") || line.starts_with("ERROR "))
            && let Some(listed) = listed(line, &self.known)
        {
            push(&mut self.listed, listed);
            return Open::Nobody;
        }
        if line.starts_with("!!!!") {
            self.interrupted |= line.contains("KeyboardInterrupt");
        }
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
        let mut heads: HashMap<(String, bool), VecDeque<usize>> = HashMap::new();
        for (index, section) in self.sections.iter().enumerate() {
            heads.entry((section.head.clone(), section.errors)).or_default().push_back(index);
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
            let path = sink.paths.file(listed.id.split("::").next().unwrap_or_default());
            // Tests of one name in several files: the section whose traceback begins in the test's file.
            let candidates = heads.get_mut(&(head_of(&listed.id), listed.error));
            let best = candidates.and_then(|candidates| {
                let first = |index: &usize| self.sections.get(*index).and_then(|section| section.first.as_deref());
                let own = |index: &usize| first(index).is_some_and(|first| sink.paths.file(first).ends_with(&path));
                let at = candidates.iter().take(64).position(own).unwrap_or(0);
                candidates.remove(at)
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
                // xdist heads the section of a worker that died with the test's file.
                if section.class().is_none() && ids.iter().any(|known| known.starts_with(&section.head)) {
                    continue;
                }
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
            let said = usage.split_once(": error: ").map_or(usage.as_str(), |(_, said)| said);
            let key = Key::Message { file: None, message: sink.paths.stable(said) };
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
