//! Documentation: sphinx with `-W`, and mkdocs with `--strict`.

use super::{Kind, Read, Tool};
use crate::detect::exception;
use crate::detect::failure::{Category, Key};
use crate::detect::found::{Found, Sink, Weight};
use crate::detect::text::{bounded, patterns};

patterns! {
    PLACED = r"^(?:(\S[^:]*?(?:\.\w+)?)(?::(docstring of [^:]+))?(?::(\d+|<autosummary>))?: ?)?(WARNING|ERROR|CRITICAL|SEVERE): (.+)$";
    BARE = r"^((?:[A-Za-z]:)?[^:\s][^:]*?\.\w+)(?::(docstring of [^:]+))?(?::(\d+))?: ?(.+)$";
    FATAL = r"^(?:Warning, treated as error|Extension error|Sphinx error|Theme error|Configuration error|Application error|Handler .* for event .*)(?: \([^)]*\))?:?\s*(.*)$";
    DONE = r"^build finished with problems|\(with warnings treated as errors\)|^Aborted with \d+ warnings? in strict mode";
    MKDOCS = r"^(?:WARNING|ERROR)\s+-\s+(.+)$";
}

/// The most warnings of one build that wait for its end.
const WAITING: usize = 2000;

pub(super) const TOOL: Kind = Kind::new(
    &[
        "treated as error",
        "Extension error",
        "Sphinx error",
        "Theme error",
        "Configuration error",
        "Application error",
        "Handler ",
        "build finished with problems",
        "build succeeded",
        "Aborted with ",
        "WARNING",
        "ERROR: ",
        "ERROR   -",
        "CRITICAL: ",
        "SEVERE: ",
    ],
    || Box::<Sphinx>::default(),
);

/// The state between lines.
#[derive(Debug, Default)]
struct Sphinx {
    fatal: bool,
    waiting: Vec<usize>,
    /// The build said that it is well.
    succeeded: bool,
}

impl Tool for Sphinx {
    fn line(&mut self, line: &str, sink: &mut Sink) -> Read {
        if self.read(line, sink) { Read::Taken } else { Read::Pass }
    }

    fn open(&self) -> bool {
        self.fatal
    }

    /// A build that stops at the first warning may not say that it does.
    fn close(&mut self, sink: &mut Sink) {
        let strict = sink.command.as_deref().is_some_and(|command| {
            command.split_whitespace().any(|word| {
                word == "-W" || word == "--fail-on-warning" || word.trim_matches(['"', '\'']).ends_with("=-W")
            })
        });
        if strict && !self.succeeded {
            self.promote(sink);
        }
    }
}

impl Sphinx {
    fn read(&mut self, line: &str, sink: &mut Sink) -> bool {
        self.succeeded |= line.starts_with("build succeeded");
        if self.fatal {
            if line.trim().is_empty() {
                return true;
            }
            self.fatal = false;
            if line.ends_with("error in your configuration file:") {
                // Its traceback follows.
                return false;
            }
            push(sink, line, Weight::Finding);
            return true;
        }
        if (line.contains("rror:") || line.contains("treated as error") || line.contains("rror ("))
            && let Some(found) = FATAL.captures(line)
        {
            match found.get(1).map(|said| said.as_str().trim()) {
                Some(said) if !said.is_empty() => push(sink, said, Weight::Finding),
                _ => self.fatal = true,
            }
            return true;
        }
        if line.starts_with("build finished with problems")
            || line.contains("treated as errors)")
            || line.starts_with("Aborted with ")
        {
            if DONE.is_match(line) {
                self.promote(sink);
            }
            return true;
        }
        if !(line.contains("WARNING")
            || line.contains("ERROR: ")
            || line.starts_with("ERROR   -")
            || line.contains("CRITICAL: ")
            || line.contains("SEVERE: "))
        {
            return false;
        }
        if !(sink.runs("sphinx") || sink.runs("docs") || sink.runs("html") || sink.runs("mkdocs") || sink.runs("doc")) {
            return false;
        }
        if self.waiting.len() >= WAITING {
            return false;
        }
        let at = sink.found.len();
        // What was going on stands before a warning on the same line.
        let line = match (line.find("... "), line.contains(": WARNING: ")) {
            (Some(at), true) if !line[..at].contains(':') => &line[at + 4..],
            _ => line,
        };
        if let Some(found) = MKDOCS.captures(line) {
            push(sink, &found[1], if line.starts_with('E') { Weight::Cause } else { Weight::Hint });
        } else if let Some(found) = PLACED.captures(line) {
            let mut text = String::new();
            if let Some(file) = found.get(1) {
                text.push_str(file.as_str());
                for part in [found.get(2), found.get(3)].into_iter().flatten() {
                    text.push(':');
                    text.push_str(part.as_str());
                }
                text.push_str(": ");
            }
            text.push_str(&found[5]);
            push(sink, &text, Weight::Hint);
        } else {
            return false;
        }
        if sink.found.len() > at {
            self.waiting.push(at);
        }
        true
    }

    /// From here on the warnings so far are errors.
    fn promote(&mut self, sink: &mut Sink) {
        for at in self.waiting.drain(..) {
            if let Some(found) = sink.found.get_mut(at) {
                found.weight = Weight::Finding;
            }
        }
    }
}

fn push(sink: &mut Sink, text: &str, weight: Weight) {
    let text = bounded(text.trim(), 1500);
    let (file, line, message) = match BARE.captures(text) {
        Some(found) => {
            let file = sink.paths.file(&found[1]);
            let docstring = found.get(2);
            let line = found.get(3).and_then(|line| line.as_str().parse().ok()).filter(|_| docstring.is_none());
            let message = match docstring {
                Some(docstring) => format!("{}: {}", docstring.as_str(), &found[4]),
                None => found[4].to_owned(),
            };
            (Some(file), line, message)
        }
        None => (None, None, text.to_owned()),
    };
    let key = Key::Message { file: file.clone(), message: sink.paths.stable(&message) };
    let tool = if sink.runs("mkdocs") { "mkdocs" } else { "sphinx" };
    let mut found = Found::new(Category::Docs, tool, key, &message).at(file, line).weigh(weight);
    if let Some((class, said)) = exception::parse(text).or_else(|| Some((String::new(), text.to_owned())))
        && exception::missing(&class, &said).is_some()
    {
        exception::apply(&mut found, &class, &said);
    }
    sink.push(found);
}
