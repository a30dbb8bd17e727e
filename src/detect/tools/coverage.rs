//! Thresholds that were not reached.

use super::{Kind, Read, Tool};
use crate::detect::failure::{Category, Key};
use crate::detect::found::{Found, Sink, Weight};
use crate::detect::text::patterns;

patterns! {
    PYTEST_COV = r"^(?:FAIL|ERROR:?|FAILED:?) Required test coverage of ([\d.]+)% not reached\. Total coverage: ([\d.]+)%";
    COVERAGE = r"^(?:ERROR: )?Coverage failure: total of ([\d.]+) is less than fail-under=([\d.]+)";
    DIFF_COVER = r"^Failure\. (?:Coverage|Quality) is below ([\d.]+)%";
    INTERROGATE = r"RESULT: FAILED \(minimum: ([\d.]+)%, actual: ([\d.]+)%\)";
    CODECOV = r"^error - \S+ \S+ -- (.*[Ff]ailed\b.*)$";
    NO_DATA = r"^(?:Couldn't combine from non-existent path .*|No data to (?:report|combine)\.?|No source for code: .*|Couldn't parse .* as Python source.*|.*CoverageException: .*)$";
}

pub(super) const TOOL: Kind =
    Kind::new(&["error - ", "overage", "No data to ", "No source for code", "Couldn't ", "RESULT: "], || {
        Box::new(Coverage)
    })
    .in_session();

#[derive(Debug)]
struct Coverage;

impl Tool for Coverage {
    fn line(&mut self, line: &str, sink: &mut Sink) -> Read {
        if threshold(line, sink) { Read::Taken } else { Read::Pass }
    }
}

/// Reads one line; `true` if it tells of a threshold.
fn threshold(line: &str, sink: &mut Sink) -> bool {
    if let Some(found) = CODECOV.captures(line) {
        let key = Key::Message { file: None, message: sink.paths.stable(&found[1]) };
        sink.push_once(Found::new(Category::Infra, "codecov", key, &found[1]).weigh(Weight::Cause));
        return true;
    }
    let (metric, required, tool) = if let Some(found) = PYTEST_COV.captures(line) {
        ("coverage", number(&found[1]), "pytest-cov")
    } else if let Some(found) = COVERAGE.captures(line) {
        ("coverage", number(&found[2]), "coverage")
    } else if let Some(found) = DIFF_COVER.captures(line) {
        ("diff-coverage", number(&found[1]), "diff-cover")
    } else if let Some(found) = INTERROGATE.captures(line) {
        ("docstrings", number(&found[1]), "interrogate")
    } else {
        if NO_DATA.is_match(line) {
            let message = sink.paths.stable(line);
            let key = Key::Message { file: None, message };
            sink.push(Found::new(Category::Coverage, "coverage", key, line).weigh(Weight::Hint));
        }
        return false;
    };
    let key = Key::Threshold { metric: metric.to_owned(), required };
    if let Some(known) = sink.found.iter_mut().rev().take(20).find(|known| known.key == key) {
        // pytest-cov says it in its own words and in coverage's.
        if tool == "pytest-cov" && known.tool == "coverage" {
            known.tool = tool;
            known.message = line.to_owned();
        }
        return true;
    }
    let category = if metric == "docstrings" { Category::Docs } else { Category::Coverage };
    sink.push(Found::new(category, tool, key, line));
    true
}

/// `90.0` and `90` are the same threshold.
fn number(text: &str) -> String {
    match text.parse::<f64>() {
        Ok(number) => format!("{number}"),
        Err(_) => text.to_owned(),
    }
}
