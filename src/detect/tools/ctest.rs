//! ctest and GoogleTest.

use super::{Kind, Read, Tool, test};
use crate::detect::failure::Category;
use crate::detect::found::{Sink, Window};
use crate::detect::text::{bounded, patterns};

patterns! {
    LISTED = r"^\s+\d+ - (.+?) \((Failed|Timeout|SEGFAULT|Not Run|Subprocess aborted|Subprocess killed|ILLEGAL|NUMERICAL|BAD_COMMAND|OTHER_FAULT|[\w ]+)\)(?:\s+.*)?$";
    STARTED = r"^ *\d+/\d+ Test +#\d+: (\S.*?) \.+ *(?:\S.*)?\*\*\*";
    RUN = r"^\[ RUN      \] (\S+)$";
    FAILED = r"^\[  FAILED  \] (\S+?)(?:, where .*)?(?: \(\d+ ms\))?$";
    PLACE = r"^(\S+?)[:(](\d+)\)?: (?:Failure|error: .*|FAILED:?|Assertion .*|\w+: Assertion .*)$";
    VERBOSE = r"^\d+: ";
    ASSERT = r"^\S+: (\S+?):(\d+): .*(Assertion .*)$";
}

pub(super) const TOOL: Kind = Kind::new(
    &[
        "The following tests FAILED",
        "***Failed",
        "***Exception",
        "***Timeout",
        "***Not Run",
        "***Skipped",
        "[ RUN      ]",
        "[  FAILED  ]",
    ],
    || Box::<Ctest>::default(),
);

/// What a test printed: its message and place.
#[derive(Debug, Default)]
struct Said {
    name: String,
    place: Option<(String, u32)>,
    message: Option<String>,
    window: Window,
    lines: u32,
}

#[derive(Debug, Default)]
struct Ctest {
    listing: bool,
    current: Option<Said>,
    said: Vec<Said>,
    google: bool,
}

impl Tool for Ctest {
    fn line(&mut self, line: &str, sink: &mut Sink) -> Read {
        if line.starts_with("The following tests FAILED") {
            self.end();
            self.listing = true;
            return Read::Taken;
        }
        if self.listing {
            if let Some(found) = LISTED.captures(line) {
                self.failed(found[1].trim(), &found[2], sink);
                return Read::Taken;
            }
            self.listing = line.trim().is_empty();
            return Read::Pass;
        }
        if let Some(found) = STARTED.captures(line).or_else(|| RUN.captures(line)) {
            // GoogleTest's own start says nothing new inside the output of the ctest test of that name.
            let name = &found[1];
            self.google |= line.starts_with('[');
            if self.current.as_ref().is_none_or(|said| said.name != *name) {
                self.end();
                self.current = Some(Said { name: name.to_owned(), ..Said::default() });
            }
            return Read::Pass;
        }
        if let Some(found) = FAILED.captures(line) {
            let name = found[1].to_owned();
            self.end();
            if line.ends_with("ms)") && !sink.runs("ctest") && name.contains('.') {
                self.failed(&name, "Failed", sink);
            }
            return Read::Taken;
        }
        if let Some(said) = &mut self.current {
            said.read(line, sink);
            if line.trim_start().starts_with("Start ") || line.starts_with("[       OK ]") || said.lines > 100 {
                self.end();
            }
        }
        Read::Pass
    }

    fn open(&self) -> bool {
        self.listing || self.current.is_some()
    }
}

impl Said {
    fn read(&mut self, line: &str, sink: &Sink) {
        self.lines += 1;
        self.window.line(line);
        // `ctest -V` numbers the lines of a test's output.
        let line = VERBOSE.find(line).map_or(line, |found| &line[found.end()..]);
        let place = PLACE.captures(line).or_else(|| ASSERT.captures(line));
        if let Some(found) = place {
            if self.place.is_none() {
                let file = sink.paths.file(&found[1]);
                self.place = found[2].parse().ok().map(|line| (file, line)).filter(|(file, _)| file.contains('.'));
                self.message = found.get(3).map(|said| said.as_str().to_owned());
            }
        } else if self.message.is_none()
            && !line.trim().is_empty()
            && !line.starts_with('[')
            && !line.starts_with("unknown file: Failure")
            && !line.trim_start().starts_with("Start ")
            && !line.starts_with("test ")
            && !line.starts_with("Test command:")
            && !line.starts_with("Running main")
            && !line.starts_with("Note: Google")
        {
            self.message = Some(bounded(line.trim(), 500).to_owned());
        }
    }
}

impl Ctest {
    fn end(&mut self) {
        if let Some(said) = self.current.take()
            && self.said.len() < 2000
        {
            self.said.push(said);
        }
    }

    fn failed(&mut self, name: &str, how: &str, sink: &mut Sink) {
        let tool = if self.google && !sink.runs("ctest") { "gtest" } else { "ctest" };
        let at = self.said.iter().position(|said| said.name == name);
        let said = at.map(|at| self.said.swap_remove(at)).unwrap_or_default();
        let message = match (&said.message, how) {
            (Some(message), _) => message.clone(),
            (None, how) => format!("{name} ({how})"),
        };
        let mut found = test(tool, name, None, &message);
        found.category = match how {
            "Timeout" => Category::Timeout,
            "SEGFAULT" | "ILLEGAL" | "BUS" | "NUMERICAL" => Category::Crash,
            _ => found.category,
        };
        if let Some((file, line)) = said.place {
            found.file = Some(file);
            found.line = Some(line);
        }
        found.excerpt = said.window.text();
        if found.excerpt.is_empty() {
            found.excerpt = format!("{name} ({how})");
        }
        if sink.known(&found.key).is_none() {
            sink.push(found);
        }
    }
}
