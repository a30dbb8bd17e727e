//! pytest: sections of failures, the short summary, verbose results, collection, usage and internal errors.

mod report;
mod section;
mod summary;

use std::collections::HashSet;

use self::section::{Section, head_of};
use self::summary::{ENTRIES, Listed, listed, push};
use super::{Kind, Read, Tool};
use crate::detect::exception;
use crate::detect::failure::{Category, Key};
use crate::detect::found::{Found, Sink};
use crate::detect::paths::is_project;
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
    USAGE = r"^ERROR: (?:usage: .*|(file or directory not found: .*|not found: .*|.*: error: .*|found no collectors for .*))$";
    CONFIG = r"^ERROR: (\S+\.(?:toml|ini|cfg)): (.*?(?:at line|line) (\d+).*)$";
    BRIEF = r"^((?:[A-Za-z]:)?[^:\s][^:]*\.\w+):(\d+): (\S.*)$";
    STACK = r#"^\s*File "([^"]+)", line (\d+),? in (\S+)$"#;
    RUNNING = r"^(\S+\.py::\S.*?) *$";
    DUMP = r"^(?:(\S+\.py(?:::\S+)?) )?[.FEsxX]*(Timeout \(\d+:\d\d:\d\d\)!)";
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

pub(super) const TOOL: Kind = Kind::new(
    &[
        "====",
        "=== ",
        "___ ",
        "____",
        "----",
        "!!!!",
        "FAILED",
        "FAIL ",
        "SUBFAIL",
        "ERROR",
        "ImportError while loading",
        "no tests ran",
        " passed",
        " failed",
        " error",
        " skipped",
        " deselected",
        " xfailed",
        " xpassed",
        " rerun",
        "+ Timeout +",
        "Timeout (",
        "File \"",
        "collected ",
        "pytest: ",
    ],
    || Box::new(Pytest::default()),
);

/// What an INTERNALERROR says.
#[derive(Debug, Default)]
struct Internal {
    text: String,
    exception: Option<(String, String)>,
    place: Option<(String, u32)>,
}

/// A session that a timeout ended: what was running.
#[derive(Debug, Default)]
struct Hung {
    message: String,
    place: Option<(String, u32)>,
    /// The innermost frame comes first (faulthandler), or last (pytest-timeout).
    first: bool,
}

#[derive(Debug)]
struct Pytest {
    place: Place,
    captured: bool,
    depth: u32,
    /// The sections are of tests that did not fail.
    fine: bool,
    current: Option<Section>,
    sections: Vec<Section>,
    listed: Vec<Listed>,
    verbose: Vec<Listed>,
    shadow: Vec<Listed>,
    shadowing: bool,
    internal: Option<Internal>,
    usage: Option<String>,
    /// The last line of a session in which no test ran.
    empty: Option<String>,
    /// Where a person, or a signal, stopped it.
    interrupted: Option<Option<(String, u32)>>,
    started: Option<String>,
    hung: Option<Hung>,
    /// `--tb=line`: places and messages without heads.
    brief: Vec<(String, u32, String)>,
    /// Entries of the summary beyond the bound.
    dropped: u64,
    /// A session began, and did not end; its tests were collected.
    unfinished: bool,
    collected: bool,
    /// A part of a session was seen.
    seen: bool,
    /// Ids that were printed, and heads of sections: they settle where an id of the summary ends.
    known: HashSet<String>,
}

impl Default for Pytest {
    fn default() -> Self {
        Self {
            place: Place::Outside,
            captured: false,
            depth: 0,
            fine: false,
            current: None,
            sections: Vec::new(),
            listed: Vec::new(),
            verbose: Vec::new(),
            shadow: Vec::new(),
            shadowing: false,
            internal: None,
            usage: None,
            empty: None,
            interrupted: None,
            started: None,
            hung: None,
            brief: Vec::new(),
            dropped: 0,
            unfinished: false,
            collected: false,
            seen: false,
            known: HashSet::new(),
        }
    }
}

impl Tool for Pytest {
    fn line(&mut self, line: &str, sink: &mut Sink) -> Read {
        if line.starts_with('=') || line.starts_with(|c: char| c.is_ascii_digit()) || line.starts_with("no tests ran") {
            if COUNTS.is_match(line) {
                return self.counts(line, sink);
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
                self.dropped += push(&mut self.shadow, listed);
            }
            return Read::Hidden;
        }
        match self.place {
            Place::Outside => self.outside(line, sink),
            Place::Progress => self.progress(line, sink),
            Place::Sections { errors } => self.section(line, errors, sink),
            Place::Summary => self.summary(line),
            Place::Other => {
                if line.starts_with("INTERNALERROR>") {
                    self.internal(line, sink)
                } else {
                    Read::Session
                }
            }
        }
    }

    fn open(&self) -> bool {
        self.current.is_some() && !self.captured
    }

    fn guards(&self) -> bool {
        self.place != Place::Outside || self.current.is_some()
    }

    fn captures(&self) -> bool {
        self.captured || self.place != Place::Outside
    }

    fn close(&mut self, sink: &mut Sink) {
        self.flush(sink);
    }
}

impl Pytest {
    fn counts(&mut self, line: &str, _sink: &mut Sink) -> Read {
        if self.captured && self.depth > 0 {
            self.depth -= 1;
            self.shadowing = false;
            self.captured &= self.depth > 0 || self.place != Place::Progress;
            return Read::Hidden;
        }
        if self.captured && !line.starts_with('=') {
            return Read::Hidden;
        }
        if !["passed", "failed", "error", "skipped", "xfailed", "xpassed"].iter().any(|word| line.contains(word)) {
            let said = line.trim_matches(['=', ' ']).split(" in ").next().unwrap_or_default();
            self.empty = Some(said.to_owned());
        }
        self.unfinished = false;
        self.seen = true;
        self.end_section();
        self.place = Place::Outside;
        Read::Hidden
    }

    /// A line between `=`; `None` if it means nothing to pytest.
    fn banner(&mut self, title: &str, sink: &mut Sink) -> Option<Read> {
        if self.captured {
            if title == "test session starts" {
                self.depth += 1;
                return Some(Read::Hidden);
            }
            if self.depth > 0 {
                if title == "short test summary info" {
                    self.shadowing = true;
                    self.shadow.clear();
                }
                return Some(Read::Hidden);
            }
        }
        let place = match title {
            // A session within one that runs: a test prints it.
            "test session starts" if self.place == Place::Progress && !self.captured && self.collected => {
                self.captured = true;
                self.depth = 1;
                return Some(Read::Hidden);
            }
            "test session starts" => {
                self.flush(sink);
                self.unfinished = true;
                Place::Progress
            }
            "FAILURES" => Place::Sections { errors: false },
            "ERRORS" => Place::Sections { errors: true },
            "short test summary info" => Place::Summary,
            // Sections as well, of tests that did not fail.
            "PASSES" | "RERUNS" | "XFAILURES" | "XPASSES" => Place::Sections { errors: false },
            "warnings summary" | "tests coverage" => Place::Other,
            _ if title.starts_with("slowest") || title.starts_with("warnings summary") => Place::Other,
            _ if self.place != Place::Outside && !self.captured => Place::Other,
            _ => return None,
        };
        self.end_section();
        self.place = place;
        self.seen = true;
        self.fine = matches!(title, "PASSES" | "RERUNS" | "XFAILURES" | "XPASSES");
        if place == Place::Summary {
            self.known = self.verbose.iter().map(|listed| listed.id.clone()).collect();
            self.known.extend(self.sections.iter().map(|section| section.head.clone()));
        }
        Some(Read::Hidden)
    }

    fn outside(&mut self, line: &str, sink: &mut Sink) -> Read {
        if let Some(section) = &mut self.current {
            // A conftest that could not be loaded: its traceback follows until something else begins.
            if line.trim().is_empty() {
                self.end_section();
            } else {
                section.line(line);
                return Read::Hidden;
            }
        }
        if line.contains("onftest")
            && let Some(found) = CONFTEST.captures(line)
            && line.starts_with("ImportError")
        {
            self.current = Some(Section::conftest(&found[1], line));
            return Read::Hidden;
        }
        if line.starts_with("INTERNALERROR>") {
            return self.internal(line, sink);
        }
        if line.starts_with("ERROR: ") && self.usage.is_none() {
            if let Some(found) = CONFIG.captures(line) {
                let file = sink.paths.file(&found[1]);
                let key = Key::Finding { file: file.clone(), rule: "syntax".to_owned(), symbol: None };
                let failure =
                    Found::new(Category::SyntaxError, "pytest", key, &found[2]).because(format!("syntax|{file}"));
                sink.push(failure.at(file, found[3].parse().ok()));
                return Read::Hidden;
            }
            if let Some(found) = USAGE.captures(line) {
                let said = found.get(1).map_or(&line[7..], |said| said.as_str());
                self.usage = Some(bounded(said, 500).to_owned());
                return Read::Session;
            }
        }
        if self.usage.is_some() && line.contains(": error: ") && line.contains("pytest") {
            self.usage = Some(bounded(line, 500).to_owned());
        }
        // An excerpt may show nothing but entries of the summary.
        if !self.seen
            && (line.starts_with("FAILED ") || line.starts_with("ERROR "))
            && line.contains(".py::")
            && let Some(listed) = listed(line, &self.known)
        {
            self.dropped += push(&mut self.listed, listed);
            return Read::Hidden;
        }
        if self.result(line) { Read::Hidden } else { Read::Pass }
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
        let (path, name) = id.split_once("::").unwrap_or_default();
        // Only a parameter has spaces in it.
        let name = name.split('[').next().unwrap_or_default();
        if path.contains(' ') || !path.contains('.') || name.contains(' ') {
            return false;
        }
        let _ = push(&mut self.verbose, Listed { error, sub: false, id, message: None });
        true
    }

    fn progress(&mut self, line: &str, sink: &mut Sink) -> Read {
        if self.result(line) {
            return Read::Hidden;
        }
        if line.starts_with("INTERNALERROR>") {
            return self.internal(line, sink);
        }
        if line.starts_with('_')
            && HEAD.captures(line).is_some_and(|head| !head[1].starts_with("_ "))
            && line.len() > 30
        {
            // pytest-instafail and the like print a section as soon as it happens.
            self.place = Place::Sections { errors: line.contains(" ERROR ") };
            return self.section(line, line.contains(" ERROR "), sink);
        }
        self.collected |= line.starts_with("collected ") || line.contains(" collected ");
        if line.contains("+ Timeout +") {
            self.hung.get_or_insert(Hung { message: "Timeout".to_owned(), ..Hung::default() });
            if let Some((id, _)) = line.split_once(" +++").filter(|(id, _)| id.contains("::") && !id.contains(' ')) {
                self.started = Some(bounded(id, 500).to_owned());
            }
        } else if let Some(found) = DUMP.captures(line) {
            self.hung = Some(Hung { message: found[2].to_owned(), place: None, first: true });
            self.started = found.get(1).map(|id| id.as_str().to_owned()).filter(|id| id.contains("::"));
        } else if let Some(hung) = &mut self.hung
            && let Some(found) = STACK.captures(line)
            && (hung.place.is_none() || !hung.first)
        {
            let file = sink.paths.file(&found[1]);
            if is_project(&file) {
                hung.place = found[2].parse().ok().map(|line| (file, line));
            }
        } else if line.starts_with("!!!!") && line.contains("KeyboardInterrupt") {
            self.interrupted = Some(None);
        } else if let Some(place @ None) = &mut self.interrupted
            && let Some(found) = BRIEF.captures(line)
        {
            *place = found[2].parse().ok().map(|number| (sink.paths.file(&found[1]), number));
        }
        Read::Session
    }

    fn section(&mut self, line: &str, errors: bool, sink: &Sink) -> Read {
        if line.starts_with('_')
            && let Some(head) = HEAD.captures(line)
            && !head[1].starts_with("_ ")
        {
            self.end_section();
            self.current = Some(Section::new(&head[1], errors, self.sections.len() > 300));
            return Read::Hidden;
        }
        if line.starts_with('-') {
            if CAPTURED.is_match(line) {
                self.captured = true;
                return Read::Hidden;
            }
            if !self.captured && TABLE.is_match(line) {
                self.end_section();
                self.place = Place::Other;
                return Read::Session;
            }
        }
        if line.starts_with("!!!!") && line.ends_with("!!!!") {
            if line.contains("KeyboardInterrupt") {
                self.interrupted = Some(None);
            }
            return Read::Hidden;
        }
        if self.current.is_none()
            && !self.fine
            && let Some(found) = BRIEF.captures(line)
            && found[1].contains('.')
        {
            self.captured = false;
            if self.brief.len() < ENTRIES {
                let number = found[2].parse().unwrap_or_default();
                self.brief.push((sink.paths.file(&found[1]), number, bounded(&found[3], 500).to_owned()));
            }
            return Read::Hidden;
        }
        if self.captured {
            return Read::Hidden;
        }
        match &mut self.current {
            Some(section) => section.line(line),
            // A progress line of a section printer between two sections.
            None => {
                self.result(line);
            }
        }
        Read::Hidden
    }

    fn summary(&mut self, line: &str) -> Read {
        if (line.starts_with("FAILED ") || line.starts_with("ERROR ") || line.contains("SUBFAIL"))
            && let Some(listed) = listed(line, &self.known)
        {
            self.dropped += push(&mut self.listed, listed);
            return Read::Hidden;
        }
        if line.starts_with("!!!!") && line.contains("KeyboardInterrupt") {
            self.interrupted = Some(None);
        }
        Read::Session
    }

    fn internal(&mut self, line: &str, sink: &Sink) -> Read {
        let text = line.trim_start_matches("INTERNALERROR>").trim_start();
        let internal = self.internal.get_or_insert_default();
        if let Some(found) = STACK.captures(text) {
            let file = sink.paths.file(&found[1]);
            if is_project(&file) {
                internal.place = found[2].parse().ok().map(|line| (file, line));
            }
        } else if let Some(exception) = exception::parse(text)
            && text.starts_with(|c: char| c.is_alphabetic())
        {
            internal.exception = Some(exception);
            internal.text = sink.paths.relative(bounded(text, 1000));
        }
        Read::Hidden
    }

    fn end_section(&mut self) {
        self.captured = false;
        self.depth = 0;
        self.shadowing = false;
        if let Some(mut section) = self.current.take() {
            section.finish();
            if self.sections.len() < ENTRIES && !self.fine {
                self.sections.push(section);
            }
        }
    }

    /// The session is over: what is known becomes failures.
    fn flush(&mut self, sink: &mut Sink) {
        if self.depth > 0 && self.listed.is_empty() {
            self.listed = std::mem::take(&mut self.shadow);
        }
        self.end_section();
        let state = std::mem::take(self);
        sink.dropped += state.dropped;
        let before = sink.found.len();
        state.report(sink);
        state.trouble(sink, before);
    }
}
