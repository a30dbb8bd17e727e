//! The parsers of the tools' output, one file a family.
//!
//! A family is one file with a `TOOL` and one name in the list below, whose order is that in which they read a line. A
//! parser sees only the lines that hold one of its `words`, and every line while it is [`Tool::open`]: a log is mostly
//! lines that mean nothing to anybody, and [`super::words`] passes over them.

use std::fmt::Debug;
use std::sync::LazyLock;

use super::failure::{Category, Key};
use super::found::{Found, Sink};
use super::words::Words;

/// Who may read a line after this parser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Read {
    /// Everybody: it is not this parser's, or it says something to others too.
    Pass,
    /// Nobody: it is this parser's.
    Taken,
    /// Only those that look for what ends a test session: crashes, thresholds, the network.
    Session,
    /// Nobody, and the step's facts neither: it is what a test printed.
    Hidden,
}

/// A parser of one tool's, or one family's, output. Lines come without envelope, colours and control characters.
pub(super) trait Tool: Debug + Send {
    /// Reads one line.
    fn line(&mut self, line: &str, sink: &mut Sink) -> Read;

    /// Does it want the next line, whatever that says?
    fn open(&self) -> bool {
        false
    }

    /// Does it want every line that means something to anybody?
    fn guards(&self) -> bool {
        false
    }

    /// Is what comes next a test's own output, in which nothing is the runner's?
    fn captures(&self) -> bool {
        false
    }

    /// The step's output is over: hands over what is held back.
    fn close(&mut self, _sink: &mut Sink) {}
}

/// A parser as the list below knows it.
pub(super) struct Kind {
    /// Literal pieces of text, one of which every line that begins something for it holds; `.py:#` stands for a
    /// digit after the colon.
    words: &'static [&'static str],
    /// Lines that begin with one of these concern it, too.
    starts: &'static [&'static str],
    /// Does it read every line that the runner marked as an error?
    errors: bool,
    /// Does it read what a test session prints, too?
    session: bool,
    new: fn() -> Box<dyn Tool>,
}

impl Kind {
    const fn new(words: &'static [&'static str], new: fn() -> Box<dyn Tool>) -> Self {
        Self { words, starts: &[], errors: false, session: false, new }
    }

    const fn starting(self, starts: &'static [&'static str]) -> Self {
        Self { starts, ..self }
    }

    const fn on_errors(self) -> Self {
        Self { errors: true, ..self }
    }

    const fn in_session(self) -> Self {
        Self { session: true, ..self }
    }
}

macro_rules! tools {
    ($($name:ident),* $(,)?) => {
        $(mod $name;)*
        const TOOLS: &[Kind] = &[$($name::TOOL),*];
    };
}

tools![
    wrappers, pytest, trial, unittest, django, coverage, mypy, pyright, precommit, format, diffs, located, lint,
    security, audit, lock, pip, resolver, sphinx, links, asv, benchmark, vitest, jest, mocha, nodetest, playwright,
    eslint, tsc, bundler, node, go, rust, java, ctest, compiler, cmake, docker, traceback, shell, crash, infra,
];

mod js;

/// Which parsers, and which of the job's own readers, a line may concern: a bit each.
pub(super) type Mask = u64;
/// The runner's marks, and what is said of the job outside its steps' output.
pub(super) const JOB: Mask = 1 << 63;
/// A step's facts: what was installed, which Python.
pub(super) const FACTS: Mask = 1 << 62;
/// Which Python, which checkout: of interest until they are known.
pub(super) const KNOWN: Mask = 1 << 60;
/// Colours and other escapes stand between the words: look again without them.
pub(super) const ESCAPES: Mask = 1 << 61;

const _: () = assert!(TOOLS.len() < 60);

/// All words, and whose they are.
pub(super) static WORDS: LazyLock<Words> = LazyLock::new(|| {
    let mut words: Vec<(String, Mask)> = Vec::new();
    let mut put = |word: String, mask: Mask| match words.iter_mut().find(|(known, _)| *known == word) {
        Some((_, known)) => *known |= mask,
        None => words.push((word, mask)),
    };
    let mut add = |list: &[&'static str], mask: Mask| {
        for word in list {
            match word.char_indices().next_back() {
                Some((at, '#')) => (b'0'..=b'9').for_each(|c| put(format!("{}{}", &word[..at], char::from(c)), mask)),
                _ => put((*word).to_owned(), mask),
            }
        }
    };
    add(super::job::WORDS, JOB);
    add(super::facts::WORDS, FACTS);
    add(super::facts::KNOWN, KNOWN);
    add(&["^[[#", "\u{fffd}["], ESCAPES);
    for (at, tool) in TOOLS.iter().enumerate() {
        add(tool.words, 1 << at);
    }
    let tools = TOOLS.iter().enumerate();
    let starts = tools.flat_map(|(at, tool)| tool.starts.iter().map(move |start| (*start, 1 << at)));
    let own = [("$", JOB), ("O", JOB), (super::facts::START, FACTS)];
    Words::new(words.into_iter(), starts.chain(own))
});

/// Everything that reads a step's output.
#[derive(Debug)]
pub(super) struct Tools {
    tools: Vec<Box<dyn Tool>>,
    /// Those that have read something.
    touched: Mask,
    /// Those that are open.
    open: Mask,
    /// Those that guard what others may read.
    guard: Mask,
}

impl Default for Tools {
    fn default() -> Self {
        Self { tools: TOOLS.iter().map(|kind| (kind.new)()).collect(), touched: 0, open: 0, guard: 0 }
    }
}

impl Tools {
    /// Reads one line of a step's output. `false`: it belongs to a test's report, and nobody else should make anything
    /// of it.
    pub(super) fn line(&mut self, line: &str, mask: Mask, sink: &mut Sink) -> bool {
        let before = sink.found.len();
        let mut session = false;
        for (at, (tool, kind)) in self.tools.iter_mut().zip(TOOLS).enumerate() {
            let bit = 1 << at;
            let wanted = (mask | self.open | self.guard) & bit != 0 || (sink.error && kind.errors);
            if !wanted || (session && !kind.session) {
                continue;
            }
            self.touched |= bit;
            let read = tool.line(line, sink);
            self.open = if tool.open() { self.open | bit } else { self.open & !bit };
            self.guard = if tool.guards() { self.guard | bit } else { self.guard & !bit };
            match read {
                Read::Pass => {}
                Read::Session => session = true,
                Read::Taken => {
                    if sink.found.len() > before {
                        sink.quote(line);
                    }
                    return true;
                }
                Read::Hidden => return false,
            }
        }
        if !session || sink.found.len() > before {
            sink.quote(line);
        }
        true
    }

    /// Does any parser want the next line, whatever it says?
    pub(super) fn open(&self) -> bool {
        self.open != 0
    }

    /// Is what comes next a test's own output?
    pub(super) fn captures(&self) -> bool {
        self.touched != 0 && self.tools.iter().any(|tool| tool.captures())
    }

    /// The step's output is over.
    pub(super) fn close(&mut self, sink: &mut Sink) {
        for (at, (tool, kind)) in self.tools.iter_mut().zip(TOOLS).enumerate() {
            if self.touched & (1 << at) != 0 {
                tool.close(sink);
                *tool = (kind.new)();
            }
        }
        self.touched = 0;
        self.open = 0;
        self.guard = 0;
    }
}

/// Unit or integration, by the words of a test's id.
fn test_category(id: &str) -> Category {
    const WORDS: [&str; 5] = ["integration", "e2e", "functional", "acceptance", "endtoend"];
    let path = id.split('[').next().unwrap_or(id);
    let lower = path.to_ascii_lowercase();
    let mut words = lower.split(|c: char| !c.is_ascii_alphanumeric());
    // In a name such as `TestIntegrationOrders` or Go's `TestAccOrders` the word has no borders but its capitals.
    let capital = ["Integration", "EndToEnd", "E2E", "TestAcc"].iter().any(|word| {
        path.match_indices(word).any(|(at, _)| !path[at + word.len()..].starts_with(|c: char| c.is_ascii_lowercase()))
    });
    match words.any(|word| WORDS.contains(&word))
        || capital
        || lower.contains("end_to_end")
        || lower.contains("end-to-end")
    {
        true => Category::IntegrationTest,
        false => Category::UnitTest,
    }
}

/// A finding of a tool whose rules have names.
fn finding(
    sink: &Sink,
    category: Category,
    tool: &'static str,
    file: &str,
    line: &str,
    rule: &str,
    said: &str,
) -> Found {
    let file = sink.paths.file(file);
    let key = Key::Finding { file: file.clone(), rule: rule.to_owned(), symbol: None };
    let cause = format!("rule|{file}|{rule}");
    Found::new(category, tool, key, &sink.paths.relative(said)).because(cause).at(file, line.parse().ok())
}

/// A failing test of a runner of which little more than its name is known.
fn test(tool: &'static str, id: &str, exception: Option<&str>, message: &str) -> Found {
    let key = Key::Test { id: id.to_owned(), exception: exception.map(str::to_owned) };
    let mut found = Found::new(test_category(id), tool, key, message);
    found.test_id = Some(id.to_owned());
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::detect::{Detector, JobLog};

    /// Lines out of one parser's own words, with anything between them.
    fn lines(words: &'static [&'static str]) -> impl Strategy<Value = String> {
        let word = prop::sample::select(words.to_vec()).prop_map(str::to_owned);
        let piece = prop_oneof![
            3 => word,
            2 => "[ -~]{0,12}",
            1 => "(/sandbox/tree/)?[a-z]{1,6}\\.(py|rs|go|js|md|toml)(:[0-9]{1,4}){0,2}(: )?",
            1 => "[^\\r\\n]{0,6}",
        ];
        let line = prop::collection::vec(piece, 0..5).prop_map(|pieces| pieces.concat());
        prop::collection::vec(line, 0..40).prop_map(|lines| lines.join("\n"))
    }

    fn read(text: &str, size: usize) -> Vec<JobLog> {
        let mut detector = Detector::for_command("run it", &["/sandbox/tree".to_owned()]);
        text.as_bytes().chunks(size).for_each(|piece| detector.feed(piece));
        detector.exited(1);
        detector.finish()
    }

    /// One parser alone, with every line, whatever it says.
    fn alone(kind: &Kind, text: &str) -> Vec<(Key, Option<u32>, String)> {
        let mut sink = Sink::default();
        let mut tool = (kind.new)();
        for line in text.lines() {
            sink.recent.text(line);
            let _ = tool.line(line, &mut sink);
        }
        tool.close(&mut sink);
        assert!(!tool.open() || text.is_empty() || sink.found.len() <= text.lines().count() + 1);
        sink.found.into_iter().map(|found| (found.key, found.line, found.message)).collect()
    }

    #[test]
    fn every_parser_takes_any_lines_and_says_the_same_of_them_however_they_are_cut() {
        let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(24));
        for kind in TOOLS {
            let given = (lines(kind.words), 1usize..40);
            let checked = runner.run(&given, |(text, size)| {
                prop_assert_eq!(alone(kind, &text), alone(kind, &text));
                prop_assert_eq!(read(&text, size), read(&text, usize::MAX));
                for (_, _, message) in alone(kind, &text) {
                    prop_assert!(message.len() <= crate::detect::text::MESSAGE);
                }
                Ok(())
            });
            assert!(checked.is_ok(), "{:?}: {checked:?}", kind.words);
        }
    }

    #[test]
    fn every_word_is_long_enough_to_be_found() {
        for kind in TOOLS {
            for word in kind.words {
                assert!(word.len() >= 4, "{word:?}");
            }
        }
    }
}
