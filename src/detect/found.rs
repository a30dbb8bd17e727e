//! What the tools' parsers hand over, before a step's end says which of it counts.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::failure::{Category, Key};
use super::paths::Paths;
use super::recent::Recent;
use super::text::{MESSAGE, bounded, folded};

/// How much a piece of evidence is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Weight {
    /// The only error that an action of the job printed: it counts when nothing else is there, and the job ended with it.
    Action,
    /// Something that often stands beside a failure: it counts when nothing better is there.
    Hint,
    /// A script that died, an installer that gave up: it counts when no tool reported a finding.
    Cause,
    /// The runner's own word.
    Runner,
    /// A tool's own word on one test or one place.
    Finding,
}

/// A failure in the making.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) category: Category,
    pub(super) tool: &'static str,
    pub(super) test_id: Option<String>,
    pub(super) file: Option<String>,
    pub(super) line: Option<u32>,
    pub(super) message: String,
    pub(super) excerpt: String,
    pub(super) key: Key,
    /// The cause's own key, where it is not the failure's.
    pub(super) cause: Option<String>,
    pub(super) weight: Weight,
    pub(super) count: u32,
}

impl Found {
    pub(super) fn new(category: Category, tool: &'static str, key: Key, message: &str) -> Self {
        Self {
            category,
            tool,
            test_id: None,
            file: None,
            line: None,
            message: bounded(message, MESSAGE).to_owned(),
            excerpt: String::new(),
            key,
            cause: None,
            weight: Weight::Finding,
            count: 1,
        }
    }

    pub(super) fn at(mut self, file: impl Into<Option<String>>, line: Option<u32>) -> Self {
        self.file = file.into();
        self.line = line;
        self
    }

    pub(super) fn weigh(mut self, weight: Weight) -> Self {
        self.weight = weight;
        self
    }

    pub(super) fn because(mut self, cause: impl Into<String>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    pub(super) fn excerpt(mut self, excerpt: impl Into<String>) -> Self {
        self.excerpt = excerpt.into();
        self
    }
}

/// The most failures that are kept of one job; more are only counted.
pub(super) const FAILURES: usize = 5000;
/// The most text that all excerpts, and all messages, of a step may have together.
const TEXTS: usize = 2 << 20;
const EXCERPT: usize = 4 << 10;
const EXCERPT_LINES: u32 = 10;

/// Where the parsers of one step put what they found.
#[derive(Debug, Default)]
pub(super) struct Sink {
    pub(super) paths: Paths,
    pub(super) found: Vec<Found>,
    /// Failures beyond the bound.
    pub(super) dropped: u64,
    /// The step's script, or the command that we ran: white space folded, bounded.
    pub(super) command: Option<String>,
    /// The same without comments.
    spoken: Option<String>,
    /// What was asked of them already.
    asked: RefCell<HashMap<&'static str, bool>>,
    /// The command inside it that its runner (tox, nox, npm, `set -x`) said it starts.
    inner: Option<String>,
    /// The latest lines, the current one the last of them.
    pub(super) recent: Recent,
    /// The runner marked the line as an error.
    pub(super) error: bool,
    /// Network trouble was seen in this step.
    pub(super) network: bool,
    /// The hook of pre-commit that is running.
    hook: Option<String>,
    seen: HashMap<u64, usize>,
    open: u32,
    texts: usize,
}

impl Sink {
    /// Keeps a failure. Its excerpt grows with the lines that follow, if it has none yet.
    pub(super) fn push(&mut self, mut found: Found) {
        if self.found.len() >= FAILURES {
            self.dropped += 1;
            return;
        }
        let room = TEXTS.saturating_sub(self.texts);
        if found.excerpt.is_empty() {
            self.open = EXCERPT_LINES;
        } else {
            self.open = 0;
            found.excerpt.truncate(bounded(&found.excerpt, EXCERPT.min(room).max(200)).len());
        }
        found.message.truncate(bounded(&found.message, room.max(200)).len());
        self.texts += found.excerpt.len() + found.message.len();
        self.seen.insert(hash(&found.key), self.found.len());
        self.found.push(found);
    }

    /// The latest failure of this key.
    pub(super) fn known(&mut self, key: &Key) -> Option<&mut Found> {
        let at = *self.seen.get(&hash(key))?;
        self.found.get_mut(at).filter(|found| found.key == *key)
    }

    /// Keeps a failure, or counts one that is known.
    pub(super) fn push_once(&mut self, found: Found) {
        match self.known(&found.key) {
            Some(known) => known.count += 1,
            None => self.push(found),
        }
    }

    /// A line that is part of what the latest failure may quote.
    pub(super) fn quote(&mut self, line: &str) {
        if self.open == 0 {
            return;
        }
        self.open -= 1;
        if line.trim().is_empty() || self.texts > TEXTS {
            self.open = 0;
            return;
        }
        let Some(last) = self.found.last_mut() else { return };
        let line = bounded(line, 500);
        if last.excerpt.len() + line.len() < EXCERPT {
            if !last.excerpt.is_empty() {
                last.excerpt.push('\n');
            }
            last.excerpt.push_str(line);
            self.texts += line.len() + 1;
        }
    }

    /// Does the latest failure quote what follows?
    pub(super) fn quotes(&self) -> bool {
        self.open > 0
    }

    /// The step runs this script.
    pub(super) fn runs_script(&mut self, script: &str) {
        let script = bounded(script, 2000);
        let spoken: Vec<&str> = script.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
        self.asked.get_mut().clear();
        self.spoken = Some(folded(&spoken.join("\n")));
        self.command = Some(folded(script));
    }

    /// What the step runs is not known yet.
    pub(super) fn runs_nothing(&mut self) {
        self.asked.get_mut().clear();
        self.command = None;
        self.spoken = None;
    }

    pub(super) fn inner(&self) -> Option<&str> {
        self.inner.as_deref()
    }

    /// A new step begins.
    pub(super) fn reset(&mut self) -> Vec<Found> {
        self.open = 0;
        self.texts = 0;
        self.network = false;
        self.starts(None);
        self.seen.clear();
        std::mem::take(&mut self.found)
    }

    /// Does the step's script, the command that runs inside it, or the hook, name this tool?
    pub(super) fn runs(&self, tool: &'static str) -> bool {
        if let Some(known) = self.asked.borrow().get(tool) {
            return *known;
        }
        let runs = match &self.hook {
            Some(hook) => names(hook, tool),
            None => [&self.inner, &self.spoken].into_iter().flatten().any(|command| names(command, tool)),
        };
        self.asked.borrow_mut().insert(tool, runs);
        runs
    }

    /// A command that the step's own starts.
    pub(super) fn starts(&mut self, command: Option<String>) {
        self.inner = command;
        self.asked.get_mut().clear();
    }

    /// The hook of pre-commit that runs now.
    pub(super) fn hooked(&mut self, hook: Option<String>) {
        self.hook = hook;
        self.asked.get_mut().clear();
    }

    pub(super) fn has(&self, weight: Weight) -> bool {
        self.found.iter().any(|found| found.weight >= weight)
    }
}

fn hash(key: &Key) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

/// Is the tool's name a word of the command? (`docs` is none of `docker-docs.io`'s, but `sphinx` is one of
/// `sphinx-build`.)
fn names(command: &str, tool: &str) -> bool {
    let inside = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    command
        .match_indices(tool)
        .any(|(at, _)| !inside(command[..at].chars().next_back()) && !inside(command[at + tool.len()..].chars().next()))
}

/// The first lines and the last ones of a section, bounded.
#[derive(Debug, Default, Clone)]
pub(super) struct Window {
    head: Vec<String>,
    tail: std::collections::VecDeque<String>,
    skipped: u64,
}

impl Window {
    pub(super) fn line(&mut self, line: &str) {
        let line = bounded(line, 300);
        if self.head.len() < 12 {
            self.head.push(line.to_owned());
            return;
        }
        if self.tail.len() >= 26 {
            self.tail.pop_front();
            self.skipped += 1;
        }
        self.tail.push_back(line.to_owned());
    }

    pub(super) fn text(&self) -> String {
        let mut lines: Vec<&str> = self.head.iter().map(String::as_str).collect();
        if self.skipped > 0 {
            lines.push("…");
        }
        // The end of a section says more than its middle: cut from the middle when it is too long.
        let mut room = EXCERPT.saturating_sub(lines.iter().map(|line| line.len() + 1).sum());
        let mut tail: Vec<&str> = Vec::new();
        for line in self.tail.iter().rev() {
            if line.len() + 1 > room {
                break;
            }
            room -= line.len() + 1;
            tail.push(line);
        }
        lines.extend(tail.into_iter().rev());
        lines.join("\n").trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_is_a_word_of_the_command() {
        assert!(names("python -m sphinx docs", "sphinx") && names("sphinx-build -W", "sphinx"));
        assert!(!names("docker build .", "doc") && !names("make rebuild", "build"));
    }
}
