//! Rust: cargo test and nextest, rustc, clippy, rustfmt, rustdoc, and cargo itself.

use super::{Kind, Read, Tool, finding, test};
use crate::detect::failure::{Category, Key};
use crate::detect::found::{Found, Sink, Weight, Window};
use crate::detect::text::{bounded, patterns};

patterns! {
    LINE = r"^test (\S.*?)(?: - should panic)? \.\.\. FAILED$";
    NEXTEST = r"^\s*(?:TRY \d+ )?(FAIL|TIMEOUT|SIGABRT|SIGSEGV|ABORT) \[ *[\d.]+s\] (?:\(.*?\) )?(?:\S+ )*?(\S+::\S+|\S+)$";
    STDOUT = r"^-{3,4} (?:STD(?:OUT|ERR): +(?:\S+ )?)?(\S.*?)(?: stdout| +-{3,4})? ?-{0,4}$";
    PANICKED = r"^\s*thread '(.*?)'(?: \(\d+\))? (?:has )?panicked at (?:'(.*)', )?(\S+?):(\d+):\d+:?$";
    ERROR = r"^\s*error(?:\[(E\d+)\])?: (.+)$";
    PLACE = r"^\s*--> ([^:]+):(\d+):\d+$";
    RULE = r"^\s*= (?:note|help): .*?(?:-D |`#\[(?:deny|warn|forbid)\()((?:clippy|rustdoc)::)?([\w:-]+)";
    CLIPPY = r"rust-clippy/[^#]*#(\w+)";
    DIFF = r"^Diff in (\S+?)(?: at line |:)(\d+):$";
    EXPECTED = r"as expected at (\S+?):(\d+):\d+$";
    PROGRAM = r"^\s+Running (?:unittests )?(\S+\.rs) \(";
    SIGNAL = r"process didn't exit successfully: .*\((signal: \d+, .*)\)";
    SUMMARY = r"^error: (?:could not (?:compile|document)|aborting due to|\d+ targets? failed|test failed|test run failed|build failed|\d+ (?:previous )?errors?|doctest failed|recipe .* failed|\d+ tests? run)";
    SELF = r"^error: (?:failed to (?:parse|load|get|resolve|read|download|run custom build command)|no matching|process didn't|linking with|could not find|no such command|the lock file|cannot update|toolchain|package `|dependency)";
}

pub(super) const TOOL: Kind = Kind::new(
    &[
        "... FAILED",
        "failures:",
        "---- ",
        "--- STD",
        "panicked at",
        "error: ",
        "error[E",
        "Diff in ",
        "test result: FAILED",
        "FAIL [",
        "SIGABRT",
        "SIGSEGV",
        "TIMEOUT [",
        "Running ",
        "(signal: ",
    ],
    || Box::<Rust>::default(),
);

/// A diagnostic of the compiler, until the next one.
#[derive(Debug)]
struct Diagnostic {
    code: Option<String>,
    message: String,
    place: Option<(String, String)>,
    rule: Option<String>,
    clippy: bool,
    docs: bool,
    lines: Vec<String>,
}

#[derive(Debug, Default)]
struct Rust {
    failed: Vec<String>,
    /// The section of a test's output, and what it says.
    section: Option<String>,
    said: Vec<(String, Said)>,
    names: Option<Vec<String>>,
    diagnostic: Option<Diagnostic>,
    panic: Option<(String, u32, u32)>,
    /// The test program that runs is one of integration tests.
    integration: bool,
}

#[derive(Debug, Default)]
struct Said {
    place: Option<(String, u32)>,
    message: String,
    window: Window,
    wants: bool,
}

impl Tool for Rust {
    fn line(&mut self, line: &str, sink: &mut Sink) -> Read {
        if self.diagnostic.is_some() && self.goes_on(line, sink) {
            return Read::Taken;
        }
        if let Some(names) = &mut self.names {
            let name = line.trim();
            if line.starts_with("    ") && !name.is_empty() && names.len() < 2000 {
                names.push(name.to_owned());
                return Read::Taken;
            }
            if name.starts_with("test result: FAILED") {
                self.result(name, sink);
                return Read::Taken;
            }
            if !name.is_empty() {
                self.names = None;
            }
        }
        if let Some(found) = PROGRAM.captures(line) {
            self.integration = super::test_category(&found[1]) == Category::IntegrationTest;
            return Read::Pass;
        }
        if let Some(found) = SIGNAL.captures(line) {
            let command = sink.command.clone().unwrap_or_default();
            let key = Key::Command { command, error: "signal".to_owned() };
            sink.push_once(Found::new(Category::Crash, "cargo", key, &found[1]));
            return Read::Taken;
        }
        if line == "failures:" {
            self.section = None;
            self.names = Some(Vec::new());
            return Read::Taken;
        }
        if line.starts_with("test result: FAILED") {
            self.result(line, sink);
            return Read::Taken;
        }
        if let Some(found) = LINE.captures(line) {
            if self.failed.len() < 5000 {
                self.failed.push(bounded(&found[1], 500).to_owned());
            }
            return Read::Taken;
        }
        if let Some(found) = NEXTEST.captures(line) {
            let name = bounded(&found[2], 500).to_owned();
            if !self.failed.contains(&name) && self.failed.len() < 5000 {
                self.failed.push(name);
            }
            return Read::Taken;
        }
        if line.starts_with("---")
            && let Some(found) = STDOUT.captures(line)
        {
            self.names = None;
            let name = found[1].trim_end_matches(" stdout").trim().to_owned();
            if self.said.len() < 2000 {
                self.said.push((name.clone(), Said::default()));
                self.section = Some(name);
            }
            return Read::Taken;
        }
        if self.section.is_some() {
            self.say(line, sink);
            return Read::Taken;
        }
        self.program(line, sink)
    }

    fn open(&self) -> bool {
        self.names.is_some() || self.section.is_some() || self.diagnostic.is_some() || self.panic.is_some()
    }

    fn close(&mut self, sink: &mut Sink) {
        self.end_diagnostic(sink);
        self.tests(sink);
    }
}

impl Rust {
    fn say(&mut self, line: &str, sink: &Sink) {
        let Some((_, said)) = self.said.last_mut() else { return };
        said.window.line(line);
        let text = line.trim();
        if let Some(found) = PANICKED.captures(line) {
            if said.place.is_none() {
                let file = sink.paths.file(&found[3]);
                said.place = found[4].parse().ok().map(|line| (file, line));
                said.message = found.get(2).map_or(String::new(), |said| said.as_str().to_owned());
                said.wants = said.message.is_empty();
            }
        } else if said.wants && !text.is_empty() {
            said.message = bounded(text, 500).to_owned();
            said.wants = false;
        } else if said.message.is_empty()
            && (text.starts_with("Error: ")
                || text.starts_with("note: test did not panic")
                || text.starts_with("error"))
        {
            said.message = bounded(text, 500).to_owned();
            if let Some(found) = EXPECTED.captures(text) {
                said.place = found[2].parse().ok().map(|line| (sink.paths.file(&found[1]), line));
            }
        } else if said.place.is_none()
            && let Some(found) = PLACE.captures(line)
        {
            said.place = found[2].parse().ok().map(|line| (sink.paths.file(&found[1]), line));
        }
    }

    /// One test program is over.
    fn result(&mut self, line: &str, sink: &mut Sink) {
        self.section = None;
        for name in self.names.take().unwrap_or_default() {
            if !self.failed.contains(&name) {
                self.failed.push(name);
            }
        }
        if self.failed.is_empty() {
            let key = Key::Command { command: sink.command.clone().unwrap_or_default(), error: "FAILED".to_owned() };
            sink.push(Found::new(Category::UnitTest, "cargo", key, line).weigh(Weight::Cause));
        }
        self.tests(sink);
    }

    fn tests(&mut self, sink: &mut Sink) {
        self.section = None;
        for name in std::mem::take(&mut self.failed) {
            let at = self.said.iter().position(|(known, _)| *known == name || known.ends_with(&format!(" {name}")));
            let said = at.map(|at| self.said.swap_remove(at).1).unwrap_or_default();
            let message = if said.message.is_empty() { "failed" } else { said.message.as_str() };
            let mut found = test("cargo", &name, None, message);
            if self.integration {
                found.category = Category::IntegrationTest;
            }
            if let Some((file, line)) = said.place {
                found = found.at(file, Some(line));
            }
            found.excerpt = said.window.text();
            if found.excerpt.is_empty() {
                found.excerpt = format!("test {name} ... FAILED");
            }
            if sink.known(&found.key).is_none() {
                sink.push(found);
            }
        }
        self.said.clear();
    }

    /// What is no test's: diagnostics, cargo's own errors, a program's panic.
    fn program(&mut self, line: &str, sink: &mut Sink) -> Read {
        if let Some((file, number, lines)) = self.panic.take() {
            if !line.trim().is_empty() {
                let command = sink.command.clone().unwrap_or_default();
                let key = Key::Command { command, error: "panic".to_owned() };
                let build = file == "build.rs";
                let (category, tool) =
                    if build { (Category::Build, "cargo") } else { (Category::RuntimeError, "cargo") };
                let found = Found::new(category, tool, key, bounded(line.trim(), 500)).at(file, Some(number));
                sink.push_once(found.weigh(if build { Weight::Finding } else { Weight::Cause }));
            } else if lines < 3 {
                self.panic = Some((file, number, lines + 1));
            }
            return Read::Pass;
        }
        if let Some(found) = PANICKED.captures(line) {
            let file = sink.paths.file(&found[3]);
            self.panic = found[4].parse().ok().map(|number| (file, number, 0));
            return Read::Pass;
        }
        if let Some(found) = DIFF.captures(line) {
            let failure = finding(sink, Category::Quality, "rustfmt", &found[1], &found[2], "format", line);
            sink.push_once(failure.excerpt(bounded(line, 300)));
            return Read::Taken;
        }
        if SUMMARY.is_match(line.trim_start()) {
            return Read::Taken;
        }
        if let Some(found) = ERROR.captures(line)
            && !found[2].starts_with("linking with")
            && (line.starts_with("error") || found.get(1).is_some())
        {
            self.diagnostic = Some(Diagnostic {
                code: found.get(1).map(|code| code.as_str().to_owned()),
                message: bounded(&found[2], 1000).to_owned(),
                place: None,
                rule: None,
                clippy: sink.runs("clippy"),
                docs: sink.runs("doc"),
                lines: vec![bounded(line, 300).to_owned()],
            });
            return Read::Pass;
        }
        Read::Pass
    }

    /// A line of an open diagnostic; `false` if it is over.
    fn goes_on(&mut self, line: &str, sink: &mut Sink) -> bool {
        let Some(open) = &mut self.diagnostic else { return false };
        if let Some(found) = PLACE.captures(line) {
            open.place.get_or_insert((found[1].to_owned(), found[2].to_owned()));
        } else if open.place.is_none() && !SELF.is_match(open.lines.first().map_or("", String::as_str)) {
            // Any tool may print `error: …`: it is the compiler's where a place follows.
            self.diagnostic = None;
            return false;
        }
        if let Some(found) = RULE.captures(line) {
            open.docs |= found.get(1).is_some_and(|tool| tool.as_str() == "rustdoc::");
            open.rule.get_or_insert(found[2].replace('-', "_"));
        }
        if let Some(found) = CLIPPY.captures(line) {
            open.clippy = true;
            open.rule = Some(found[1].to_owned());
        }
        let head = line.starts_with("error") || line.starts_with("warning");
        let inside = line.is_empty()
            || line.starts_with(' ')
            || line.starts_with('|')
            || line.starts_with("...")
            || line.starts_with("help: ")
            || line.starts_with("note: ")
            || line.starts_with("Caused by")
            || line.starts_with(|c: char| c.is_ascii_digit());
        if head || !inside || open.lines.len() > 80 {
            self.end_diagnostic(sink);
            return false;
        }
        if let Some(found) = PANICKED.captures(line) {
            // A build script's own words are the reason.
            open.place = Some((found[3].to_owned(), found[4].to_owned()));
            open.message.clear();
        } else if open.message.is_empty() && !line.trim().is_empty() {
            open.message = bounded(line.trim(), 500).to_owned();
        }
        open.lines.push(bounded(line, 300).to_owned());
        true
    }

    fn end_diagnostic(&mut self, sink: &mut Sink) {
        let Some(open) = self.diagnostic.take() else { return };
        let head = open.lines.first().cloned().unwrap_or_default();
        let excerpt = open.lines.iter().take(10).cloned().collect::<Vec<_>>().join("\n");
        if SELF.is_match(&head) && open.code.is_none() {
            return cargo(&open, &head, excerpt, sink);
        }
        let Some((file, line)) = &open.place else { return };
        let rule = open.rule.clone().or(open.code.clone()).unwrap_or_else(|| "error".to_owned());
        let lint = open.rule.is_some();
        let (category, tool) = match () {
            () if open.docs => (Category::Docs, "rustdoc"),
            () if file.ends_with("Cargo.toml") => (Category::ImportDependency, "cargo"),
            () if open.clippy && open.code.is_none() && lint => (Category::Quality, "clippy"),
            () if lint && open.code.is_none() => (Category::Quality, "rustc"),
            () => (Category::Build, "rustc"),
        };
        let message = match &open.code {
            Some(code) => format!("{code}: {}", open.message),
            None => open.message.clone(),
        };
        let mut failure = finding(sink, category, tool, file, line, &rule, &message);
        if let Key::Finding { symbol, .. } = &mut failure.key {
            *symbol = Some(bounded(&open.message, 200).to_owned());
        }
        failure.excerpt = excerpt;
        let known = failure.key.clone();
        // Library and tests are compiled apart, and complain of the same place twice.
        if sink.known(&known).is_none_or(|known| known.line != failure.line) {
            sink.push(failure);
        }
    }
}

/// An error of cargo's own.
fn cargo(open: &Diagnostic, head: &str, excerpt: String, sink: &mut Sink) {
    if head.contains("linking with")
        || head.contains("lock file")
        || head.contains("no matching")
        || head.contains("select a version")
    {
        return;
    }
    let caused = open.lines.iter().skip_while(|line| !line.starts_with("Caused by")).nth(1);
    let said = caused.map_or(open.message.as_str(), |line| line.trim());
    let text = if said == open.message { said.to_owned() } else { format!("{}: {said}", open.message) };
    let (category, key) = match () {
        () if head.contains("custom build command") => {
            (Category::Build, Key::Message { file: None, message: sink.paths.stable(&text) })
        }
        () if sink.network => (Category::Infra, Key::Message { file: None, message: sink.paths.stable(&text) }),
        () if text.contains("signal: ") => {
            let command = sink.command.clone().unwrap_or_default();
            (Category::Crash, Key::Command { command, error: "signal".to_owned() })
        }
        () => (Category::ImportDependency, Key::Message { file: None, message: sink.paths.stable(&text) }),
    };
    let mut found =
        Found::new(category, "cargo", key, &sink.paths.relative(&text)).weigh(Weight::Cause).excerpt(excerpt);
    if let Some((file, line)) = &open.place {
        found = found.at(sink.paths.file(file), line.parse().ok());
    }
    sink.push_once(found);
}
