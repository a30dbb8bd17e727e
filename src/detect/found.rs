//! What the tools' parsers hand over, before a step's end says which of it counts.

use super::failure::{Category, Key};
use super::text::{MESSAGE, Paths, bounded};

/// How much a piece of evidence is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Weight {
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
const FAILURES: usize = 5000;
/// The most text that all excerpts of a job may have together.
const EXCERPTS: usize = 2 << 20;
const EXCERPT: usize = 4 << 10;
const EXCERPT_LINES: u32 = 10;

/// Where the parsers of one step put what they found.
#[derive(Debug, Default)]
pub(super) struct Sink {
    pub(super) paths: Paths,
    pub(super) found: Vec<Found>,
    /// Failures beyond the bound.
    pub(super) dropped: u64,
    /// The step's script, or the command that we ran.
    pub(super) command: Option<String>,
    /// Network trouble was seen in this step.
    pub(super) network: bool,
    /// The hook of pre-commit that is running.
    pub(super) hook: Option<String>,
    open: u32,
    excerpts: usize,
}

impl Sink {
    /// Keeps a failure. Its excerpt grows with the lines that follow, if it has none yet.
    pub(super) fn push(&mut self, mut found: Found) {
        if self.found.len() >= FAILURES {
            self.dropped += 1;
            return;
        }
        if found.excerpt.is_empty() {
            self.open = EXCERPT_LINES;
        } else {
            self.open = 0;
            let room = EXCERPT.min(EXCERPTS.saturating_sub(self.excerpts)).max(200);
            found.excerpt.truncate(bounded(&found.excerpt, room).len());
        }
        self.excerpts += found.excerpt.len();
        self.found.push(found);
    }

    /// A line that is part of what the latest failure may quote.
    pub(super) fn quote(&mut self, line: &str) {
        if self.open == 0 {
            return;
        }
        self.open -= 1;
        if line.trim().is_empty() || self.excerpts > EXCERPTS {
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
            self.excerpts += line.len() + 1;
        }
    }

    /// A new step begins.
    pub(super) fn reset(&mut self) -> Vec<Found> {
        self.open = 0;
        self.network = false;
        std::mem::take(&mut self.found)
    }

    /// Does the step's script, or the hook, name this tool?
    pub(super) fn runs(&self, tool: &str) -> bool {
        match &self.hook {
            Some(hook) => hook.contains(tool),
            None => self.command.as_deref().is_some_and(|command| command.contains(tool)),
        }
    }

    pub(super) fn has(&self, weight: Weight) -> bool {
        self.found.iter().any(|found| found.weight >= weight)
    }
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
