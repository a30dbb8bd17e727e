//! unittest's verbose output, as tests by id: the runner has no other report.

use super::{TestOutcome, Tests};

/// The tests that `python -m unittest -v` names; `None` where the output has no verbose lines.
pub(super) fn read(output: &[u8]) -> Option<Tests> {
    let text = String::from_utf8_lossy(output);
    let mut tests = Tests::new();
    let mut pending: Option<(String, Option<TestOutcome>)> = None;
    let mut enter = |pending: Option<(String, Option<TestOutcome>)>| {
        if let Some((id, Some(outcome))) = pending {
            let kept = tests.entry(id).or_insert(outcome);
            *kept = (*kept).max(outcome);
        }
    };
    for line in text.lines() {
        if let Some(id) = test_id(line) {
            enter(pending.replace((id, None)));
        } else if line.len() >= 70 && line.bytes().all(|b| b == line.as_bytes()[0] && matches!(b, b'=' | b'-')) {
            enter(pending.take());
        }
        let Some((_, status)) = &mut pending else { continue };
        // What a test prints, and warnings, stand between its name and how it ended: then that has a line of its own. Where
        // there are several, as a test may print one, the worst counts.
        let word = line.rsplit_once(" ... ").map_or(line, |(_, word)| word).trim();
        let ended = match word {
            "ok" => Some(TestOutcome::Passed),
            "expected failure" => Some(TestOutcome::ExpectedFailure),
            "FAIL" | "ERROR" | "unexpected success" => Some(TestOutcome::Failed),
            skipped if skipped.starts_with("skipped ") => Some(TestOutcome::Skipped),
            _ => None,
        };
        *status = (*status).max(ended);
    }
    enter(pending);
    (!tests.is_empty()).then_some(tests)
}

/// `test_x (pkg.Class.test_x)` of Python 3.11 on, `test_x (pkg.Class)` before: both `pkg.Class.test_x`.
fn test_id(line: &str) -> Option<String> {
    let (name, rest) = line.split_once(" (")?;
    let (owner, rest) = rest.split_once(')')?;
    let plain = |s: &str| !s.is_empty() && s.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.'));
    if !plain(name) || !plain(owner) || !(rest.is_empty() || rest.starts_with(" ... ") || rest.starts_with(" [")) {
        return None;
    }
    Some(if owner.ends_with(&format!(".{name}")) { owner.to_owned() } else { format!("{owner}.{name}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbose_lines_of_old_and_new_pythons_name_the_same_tests() {
        let output = b"test_a (tests.t.C.test_a) ... ok\ntest_b (tests.t.C)\nWhat it is for. ... FAIL\ntest_s (tests.t.C) ... skipped 'slow'\n\n-----\nRan 3 tests\n";
        let tests = read(output).unwrap();
        let expected = [
            ("tests.t.C.test_a", TestOutcome::Passed),
            ("tests.t.C.test_b", TestOutcome::Failed),
            ("tests.t.C.test_s", TestOutcome::Skipped),
        ];
        assert_eq!(tests.into_iter().collect::<Vec<_>>(), expected.map(|(id, o)| (id.to_owned(), o)));
        assert_eq!(read(b"...F.\nRan 5 tests"), None);
    }

    #[test]
    fn how_a_test_ended_is_found_behind_what_was_printed_meanwhile() {
        let line = "-".repeat(70);
        let output = format!(
            "test_a (t.C.test_a) ... /w/t.py:3: ResourceWarning: unclosed file\n  open('x')\nok\ntest_b (t.C.test_b) ... ok\nFAIL\nok\n\
             test_c (t.C.test_c) ... hello\n{line}\nok\n"
        );
        let tests: Vec<_> = read(output.as_bytes()).unwrap().into_iter().collect();
        let expected = [("t.C.test_a", TestOutcome::Passed), ("t.C.test_b", TestOutcome::Failed)];
        assert_eq!(tests, expected.map(|(id, outcome)| (id.to_owned(), outcome)));
    }
}
