//! Go: go test, build, vet, and linters that print as they do.

use std::collections::HashMap;

use super::{Kind, Read, Tool, finding, test};
use crate::detect::exception;
use crate::detect::failure::{Category, Key};
use crate::detect::found::{Found, Sink, Weight, Window};
use crate::detect::paths::is_project;
use crate::detect::text::{bounded, folded, patterns};

patterns! {
    FAIL = r"^\s*--- FAIL: (\S+) \([\d.]+s\)$";
    RUN = r"^=== (?:RUN|CONT|NAME)\s+(\S+)$";
    SAID = r"^\s+(\S+\.go):(\d+): ?(.*)$";
    PACKAGE = r"^(?:FAIL|ok  |\?   )\t(\S+)(?:\t(?:\(cached\)|[\d.]+s|\[no test files\]).*)?$";
    FAILED = r"^FAIL\t(\S+)(?:\s+\[(build failed|setup failed)\]|\t[\d.]+s)$";
    PANIC = r"^panic: (.*?)(?: \[recovered.*\])?$";
    FRAME = r"^\t(\S+\.go):(\d+)(?: \+0x[0-9a-f]+)?$";
    RACE = r"^ {6}(\S+\.go):(\d+) \+0x";
    RUNNING = r"^\t\t(\S+) \([\d.]+m?s?\)$";
    PLACED = r"^(?:vet: |#\d+ )?((?:\./)?[\w./@-]+\.go):(\d+)(?::(\d+))?: (.+)$";
    CODED = r"^(.+?) \(([\w-]+)\)$";
    GOLANGCI = r"\((?:errcheck|govet|staticcheck|gosimple|unused|ineffassign|typecheck|gofmt|gofumpt|goimports|gci|revive|golint|gosec|gocritic|misspell|lll|deadcode|structcheck|varcheck|stylecheck|unparam|unconvert|dupl|goconst|gocyclo|gocognit|cyclop|funlen|nestif|bodyclose|nilerr|noctx|wrapcheck|errorlint|exhaustive|godot|whitespace|prealloc|depguard|testifylint|perfsprint|nolintlint)\)$";
    MISSING = r"(?:no required module provides package|cannot find module providing package|cannot find package|missing go\.sum entry for module providing package) \x22?([^\s;:\x22]+)|package (\S+) is not in (?:std|GOROOT)";
    MODULE = r"^go: (?:.*(?:missing go\.sum entry|updates to go\.mod needed|inconsistent vendoring|no matching versions|invalid version|unknown revision|module .* not found).*|errors parsing .*|.*: reading .*: 404 Not Found.*)$";
}

pub(super) const TOOL: Kind = Kind::new(
    &[
        "--- FAIL: ",
        "=== RUN",
        "=== CONT",
        "=== NAME",
        "FAIL\t",
        "ok  \t",
        "?   \t",
        "panic: ",
        ".go:#",
        "go: ",
        "DATA RACE",
    ],
    || Box::<Go>::default(),
);

/// What a test said, and where.
#[derive(Debug, Default)]
struct Said {
    place: Option<(String, u32)>,
    message: String,
    lines: Vec<String>,
}

#[derive(Debug, Default)]
struct Go {
    /// The failing tests of the package that is being read, in order.
    failed: Vec<String>,
    /// Where the race detector saw two goroutines at once.
    race: Option<Option<(String, u32)>>,
    said: HashMap<String, Said>,
    current: Option<String>,
    packages: Vec<String>,
    panic: Option<Panic>,
    lines: u32,
}

#[derive(Debug)]
struct Panic {
    message: String,
    place: Option<(String, u32)>,
    running: Vec<String>,
    window: Window,
    lines: u32,
}

impl Tool for Go {
    fn line(&mut self, line: &str, sink: &mut Sink) -> Read {
        if let Some(found) = PACKAGE.captures(line)
            && self.packages.len() < 500
        {
            self.packages.push(found[1].to_owned());
        }
        if let Some(found) = FAILED.captures(line) {
            self.package(&found[1], found.get(2).is_some(), sink);
            return Read::Taken;
        }
        if line.starts_with("ok  \t") {
            self.said.clear();
            self.current = None;
            return Read::Pass;
        }
        if let Some(panic) = &mut self.panic {
            if panic.line(line, sink) {
                return Read::Taken;
            }
            self.end_panic(sink);
        }
        if let Some(found) = FAIL.captures(line) {
            let name = bounded(&found[1], 500).to_owned();
            if self.failed.len() < 5000 {
                self.failed.push(name.clone());
            }
            if let Some(Some(place)) = self.race.take() {
                let said = self.said.entry(name.clone()).or_default();
                said.place = Some(place);
                "race detected during execution of test".clone_into(&mut said.message);
            }
            self.current = Some(name);
            self.lines = 0;
            return Read::Taken;
        }
        if line == "WARNING: DATA RACE" {
            self.race.get_or_insert(None);
            return Read::Pass;
        }
        if let Some(place @ None) = &mut self.race
            && let Some(found) = RACE.captures(line)
        {
            let file = sink.paths.file(&found[1]);
            *place = found[2].parse().ok().map(|line| (file, line)).filter(|(file, _)| is_project(file));
            return Read::Pass;
        }
        if let Some(found) = RUN.captures(line) {
            self.current = Some(bounded(&found[1], 500).to_owned());
            self.lines = 0;
            return Read::Pass;
        }
        if let Some(found) = PANIC.captures(line) {
            let mut window = Window::default();
            window.line(line);
            self.panic =
                Some(Panic { message: found[1].to_owned(), place: None, running: Vec::new(), window, lines: 0 });
            return Read::Taken;
        }
        if self.current.is_some() && self.say(line) {
            return Read::Pass;
        }
        self.build(line, sink)
    }

    fn open(&self) -> bool {
        self.panic.is_some() || self.current.is_some()
    }

    fn close(&mut self, sink: &mut Sink) {
        self.end_panic(sink);
        self.tests("", sink);
    }
}

impl Panic {
    fn line(&mut self, line: &str, sink: &Sink) -> bool {
        self.lines += 1;
        self.window.line(line);
        if let Some(found) = RUNNING.captures(line) {
            self.running.push(found[1].to_owned());
        } else if let Some(found) = FRAME.captures(line)
            && self.place.is_none()
            && !found[1].contains("/go/src/")
            && !found[1].contains("/pkg/mod/")
            && !found[1].starts_with("_testmain")
        {
            let file = sink.paths.file(&found[1]);
            self.place = found[2].parse().ok().map(|line| (file, line)).filter(|(file, _)| is_project(file));
        }
        self.lines < 400 && !line.starts_with("exit status ") && !line.starts_with("--- ")
    }
}

impl Go {
    /// A line of a test's output; `false` if it is none.
    fn say(&mut self, line: &str) -> bool {
        self.lines += 1;
        let Some(current) = self.current.clone() else { return false };
        if self.lines > 200 || !(line.starts_with(' ') || line.starts_with('\t')) {
            // The expected output of an Example stands at the line's beginning.
            let example = current.starts_with("Example") && self.lines < 20 && line != "FAIL";
            if !example {
                self.current = None;
                return false;
            }
        }
        if self.said.len() > 5000 {
            return true;
        }
        let said = self.said.entry(current).or_default();
        if said.lines.len() < 12 {
            said.lines.push(bounded(line, 300).to_owned());
        }
        if let Some(found) = SAID.captures(line).filter(|found| &found[1] != "testing.go") {
            // The last place is the failure's more often than the first, but what testify says is in the lines below.
            if said.place.is_none() || (!found[3].is_empty() && said.message.is_empty()) {
                said.place = found[2].parse().ok().map(|line| (found[1].to_owned(), line));
                found[3].clone_into(&mut said.message);
            }
        } else if said.message.is_empty() {
            let text = line.trim();
            let text = text.strip_prefix("Error:").map_or(text, str::trim);
            if !text.is_empty() && !text.starts_with("Error Trace:") {
                said.message = bounded(text, 500).to_owned();
            }
        }
        true
    }

    /// A package is over, and failed.
    fn package(&mut self, package: &str, built: bool, sink: &mut Sink) {
        let before = sink.found.len();
        self.end_panic(sink);
        let directory = self.directory(package);
        self.tests(&directory, sink);
        if sink.found.len() == before && !built {
            let recent = sink.recent.lines();
            let said =
                recent.iter().rev().skip(1).find(|line| !line.starts_with("FAIL") && !line.starts_with("exit status"));
            let message = said.map_or_else(|| format!("{package} failed"), |said| bounded(said, 500).to_owned());
            let key = Key::Test { id: package.to_owned(), exception: None };
            sink.push_once(Found::new(Category::UnitTest, "go", key, &message));
        }
    }

    /// A package's directory: its import path less the module's.
    fn directory(&self, package: &str) -> String {
        let parts: Vec<&str> = package.split('/').collect();
        let hosted = ["github.com", "gitlab.com", "bitbucket.org"].contains(&parts[0]);
        let shared = || {
            let mut shared = parts.len();
            for other in self.packages.iter().filter(|other| *other != package) {
                let same = other.split('/').zip(&parts).take_while(|(one, two)| one == *two).count();
                shared = shared.min(same);
            }
            // With one package alone: a host, and a name.
            if shared == parts.len() && parts[0].contains('.') { 2 } else { shared.min(parts.len()) }
        };
        let module = if hosted { 3 } else { shared() };
        let rest = parts.get(module..).unwrap_or_default();
        let rest = match rest.first() {
            Some(version)
                if version.starts_with('v')
                    && version[1..].bytes().all(|b| b.is_ascii_digit())
                    && version.len() > 1 =>
            {
                &rest[1..]
            }
            _ => rest,
        };
        rest.join("/")
    }

    fn tests(&mut self, directory: &str, sink: &mut Sink) {
        let failed = std::mem::take(&mut self.failed);
        for name in &failed {
            let parent = format!("{name}/");
            if failed.iter().any(|other| other.starts_with(&parent)) {
                continue;
            }
            let said = self.said.remove(name).unwrap_or_default();
            let message = if said.message.is_empty() { "failed" } else { said.message.as_str() };
            let mut found = test("go", name, None, message);
            if let Some((file, line)) = said.place {
                let file = sink.paths.file(&file);
                let file =
                    if directory.is_empty() || file.contains('/') { file } else { format!("{directory}/{file}") };
                found = found.at(file, Some(line));
            }
            found.excerpt = format!("--- FAIL: {name}\n{}", said.lines.join("\n"));
            if sink.known(&found.key).is_none() {
                sink.push(found);
            }
        }
        self.said.clear();
        self.current = None;
    }

    fn end_panic(&mut self, sink: &mut Sink) {
        let Some(panic) = self.panic.take() else { return };
        if panic.message.starts_with("test timed out") {
            let names = if panic.running.is_empty() { self.failed.clone() } else { panic.running.clone() };
            for name in names {
                let mut found = test("go", &name, Some("Timeout"), &panic.message);
                found.category = Category::Timeout;
                found.excerpt = panic.window.text();
                if let Some((file, line)) = &panic.place {
                    found = found.at(file.clone(), Some(*line));
                }
                sink.push_once(found);
            }
            self.failed.clear();
        } else if let Some(name) = self.failed.last() {
            let said = self.said.entry(name.clone()).or_default();
            said.message = bounded(&panic.message, 500).to_owned();
            said.place = panic.place.or(said.place.take());
            said.lines.push(panic.window.text());
        } else {
            let command = sink.command.clone().unwrap_or_default();
            let key = Key::Command { command, error: "panic".to_owned() };
            let mut found = Found::new(Category::RuntimeError, "go", key, bounded(&panic.message, 500));
            found.excerpt = panic.window.text();
            if let Some((file, line)) = panic.place {
                found = found.at(file, Some(line));
            }
            sink.push(found.weigh(Weight::Cause));
        }
    }

    fn build(&mut self, line: &str, sink: &mut Sink) -> Read {
        if let Some(found) = MODULE.captures(line) {
            let said = found[0].trim_start_matches("go: ");
            let key = Key::Message { file: None, message: sink.paths.stable(said) };
            sink.push_once(Found::new(Category::ImportDependency, "go", key, said).weigh(Weight::Cause));
            return Read::Taken;
        }
        let Some(found) = PLACED.captures(line) else { return Read::Pass };
        let (file, number, said) = (&found[1], &found[2], found[4].trim());
        if let Some(missing) = MISSING.captures(said) {
            let name = missing.get(1).or(missing.get(2)).map_or("", |name| name.as_str()).to_owned();
            let cause = exception::missing_cause(&name);
            let said = said.split("; to add").next().unwrap_or(said);
            let found = Found::new(Category::ImportDependency, "go", Key::Missing { name }, said).because(cause);
            sink.push(found.at(sink.paths.file(file), number.parse().ok()));
            return Read::Taken;
        }
        let golangci = sink.runs("golangci-lint") || GOLANGCI.is_match(said);
        let lint = golangci || sink.runs("staticcheck") || sink.runs("revive");
        let vet = sink.runs("vet") || line.starts_with("vet: ");
        let coded = CODED.captures(said).filter(|_| lint);
        let (said, rule) = coded.as_ref().map_or((said, "error"), |found| {
            (found.get(1).map_or(said, |said| said.as_str()), found.get(2).map_or("error", |rule| rule.as_str()))
        });
        let category = match () {
            () if lint || vet => Category::Quality,
            () => Category::Build,
        };
        let tool = match () {
            () if golangci => "golangci-lint",
            () if sink.runs("staticcheck") => "staticcheck",
            () => "go",
        };
        let mut failure = finding(sink, category, tool, file, number, rule, said);
        if let Key::Finding { symbol, .. } = &mut failure.key {
            *symbol = Some(folded(said)).filter(|_| rule == "error");
        }
        if sink.known(&failure.key).is_none_or(|known| known.line != failure.line) {
            sink.push(failure);
        }
        Read::Taken
    }
}
