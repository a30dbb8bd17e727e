//! The parsers of the tools' output, one file a family, and the order in which they read a line.

mod coverage;
mod format;
mod infra;
mod lint;
mod other;
mod packages;
mod pytest;
mod section;
mod security;
mod sphinx;
mod summary;
mod traceback;
mod types;
mod unittest;

use self::pytest::Open;
use super::failure::Category;
use super::found::Sink;

/// Everything that reads a step's output.
#[derive(Debug, Default)]
pub(super) struct Tools {
    pytest: pytest::Pytest,
    unittest: unittest::Unittest,
    lint: lint::Lint,
    format: format::Format,
    types: types::Types,
    security: security::Security,
    sphinx: sphinx::Sphinx,
    packages: packages::Packages,
    traceback: traceback::Traceback,
    other: other::Other,
}

impl Tools {
    /// Reads one line of a step's output, plain text. `error` says that the runner marked it as an error.
    /// `false`: it belongs to a test's report, and nobody else should make anything of it.
    pub(super) fn line(&mut self, line: &str, error: bool, sink: &mut Sink) -> bool {
        let open = self.pytest.line(line, sink);
        if open == Open::Nobody || self.unittest.line(line, sink) {
            return false;
        }
        self.rest(line, error, open, sink);
        true
    }

    fn rest(&mut self, line: &str, error: bool, open: Open, sink: &mut Sink) {
        if coverage::line(line, sink) {
            sink.quote(line);
            return;
        }
        if open == Open::All {
            let before = sink.found.len();
            let taken = self.types.line(line, sink)
                || self.format.line(line, sink)
                || self.lint.line(line, sink)
                || self.security.line(line, sink)
                || self.packages.line(line, sink)
                || self.sphinx.line(line, sink);
            if sink.found.len() > before || !taken {
                sink.quote(line);
            }
            if taken {
                return;
            }
            self.other.line(line, error, sink);
        }
        self.traceback.line(line, sink);
        infra::line(line, error, sink);
    }

    /// The step's output is over.
    pub(super) fn close(&mut self, sink: &mut Sink) {
        self.unittest.close(sink);
        self.types.close(sink);
        self.security.close(sink);
        self.format.close(sink);
        self.sphinx.close();
        self.pytest.flush(sink);
        self.traceback.close(sink);
        self.packages.close(sink);
        *self = Self::default();
    }
}

/// Unit or integration, by the words of a test's id.
fn test_category(id: &str) -> Category {
    const WORDS: [&str; 5] = ["integration", "e2e", "functional", "acceptance", "endtoend"];
    let path = id.split(['[', ' ']).next().unwrap_or(id).to_ascii_lowercase();
    let mut words = path.split(|c: char| !c.is_ascii_alphanumeric());
    let integration =
        words.any(|word| WORDS.contains(&word)) || path.contains("end_to_end") || path.contains("end-to-end");
    if integration || id.starts_with("TestAcc") { Category::IntegrationTest } else { Category::UnitTest }
}
