//! asv: benchmarks that got slower, and those that raise.

use super::{Kind, Read, Tool};
use crate::detect::exception;
use crate::detect::failure::{Category, Key};
use crate::detect::found::{Found, Sink, Window};
use crate::detect::paths::is_project;
use crate::detect::text::{bounded, patterns};

patterns! {
    SLOWER = r"^\|?\s*\+\s+\|?\s*(\S+)\s+\|?\s*(\S+)\s+\|?\s*~?(\d+\.\d+|inf|n/a)\s+\|?\s*([\w.]+\.\w+(?:\(.*?\))?)(?:\s*\[\S.*\])?\s*\|?$";
    FAILED = r"^\[ *[\d.]+%\] ·+ (\S.*?)\s+failed$";
    FRAME = r#"^\s+File "([^"]+)", line (\d+), in "#;
}

pub(super) const TOOL: Kind = Kind::new(&["%] ··"], || Box::<Asv>::default()).starting(&["+", "|"]);

/// A benchmark that failed: its traceback follows.
#[derive(Debug, Default)]
struct Raised {
    id: String,
    place: Option<(String, u32)>,
    exception: Option<(String, String)>,
    window: Window,
    lines: u32,
}

#[derive(Debug, Default)]
struct Asv {
    raised: Option<Raised>,
}

impl Tool for Asv {
    fn line(&mut self, line: &str, sink: &mut Sink) -> Read {
        if let Some(raised) = &mut self.raised {
            raised.lines += 1;
            if raised.lines < 200 && !line.trim().is_empty() && !FAILED.is_match(line) {
                raised.line(line, sink);
                return Read::Taken;
            }
            self.close(sink);
        }
        if !sink.runs("asv") {
            return Read::Pass;
        }
        if let Some(found) = FAILED.captures(line) {
            let mut window = Window::default();
            window.line(line);
            self.raised = Some(Raised { id: bounded(&found[1], 500).to_owned(), window, ..Raised::default() });
        } else if let Some(found) = SLOWER.captures(line) {
            let said = format!("{} got slower: {} to {}, a ratio of {}", &found[4], &found[1], &found[2], &found[3]);
            sink.push_once(failed(&found[4], "regression", &said));
        } else {
            return Read::Pass;
        }
        Read::Taken
    }

    fn open(&self) -> bool {
        self.raised.is_some()
    }

    fn close(&mut self, sink: &mut Sink) {
        let Some(raised) = self.raised.take() else { return };
        let (class, said) = raised.exception.unwrap_or_else(|| ("failed".to_owned(), String::new()));
        let said = if said.is_empty() { class.clone() } else { format!("{class}: {said}") };
        let mut found = failed(&raised.id, &class, &said).excerpt(raised.window.text());
        if let Some((file, line)) = raised.place {
            found = found.at(file, Some(line));
        }
        sink.push_once(found);
    }
}

impl Raised {
    fn line(&mut self, line: &str, sink: &Sink) {
        self.window.line(line);
        if let Some(found) = FRAME.captures(line) {
            let file = sink.paths.file(&found[1]);
            if is_project(&file) {
                self.place = found[2].parse().ok().map(|line| (file, line));
            }
        } else if let Some(exception) = exception::parse(line.trim())
            && self.exception.is_none()
        {
            self.exception = Some(exception);
        }
    }
}

fn failed(id: &str, how: &str, said: &str) -> Found {
    let key = Key::Test { id: id.to_owned(), exception: Some(how.to_owned()) };
    let mut found = Found::new(Category::Benchmark, "asv", key, bounded(said, 1000));
    found.test_id = Some(id.to_owned());
    found
}
