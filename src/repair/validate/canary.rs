//! A test that can only fail, put beside one that CI reported, and the assertions that failed in CI made to fail: what says
//! that all is well must say that this is not, and what is not reached cannot fail (JUDGEMENT.md: what the code under test
//! can write is not believed alone).

use std::{
    collections::BTreeMap,
    hash::{BuildHasher, Hasher, RandomState},
};

use crate::{
    detect::Key,
    observe::{Observed, TestOutcome},
    repair::reproduce::Baseline,
    sandbox::Ended,
    workspace::{Change, FileChange, Tree},
};

/// So many assertions are made to fail: the file is read again for each.
const MOST_SPOTS: usize = 20;

/// A tree with the test, and the name of it.
pub(super) struct Canary {
    pub(super) tree: Tree,
    name: String,
    file: String,
    spots: Vec<Spot>,
}

/// An assertion that failed in CI, and cannot hold in the canary's tree.
#[derive(Debug, PartialEq, Eq)]
struct Spot {
    id: String,
    /// Does it stand in a block, which may catch what is raised or be passed over rightly?
    nested: bool,
}

/// What the run with it showed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shown<'a> {
    /// It was reported as failing, and the command failed.
    Failing,
    /// It ran, and something made it count for nothing.
    Silent,
    /// The assertion that failed in CI, in this test, was made to fail, and the test passes.
    Unreached(&'a str),
    /// It was not run: nothing is shown.
    NotRun,
}

impl Canary {
    /// Puts it at the end of the file of a claimed test that runs now. `None` where no such file is found.
    pub(super) fn beside(baseline: &Baseline, candidate: &Tree, change: &Change, after: &Observed) -> Option<Canary> {
        let tests = after.tests.as_ref()?;
        let claimed = baseline.claimed().iter().filter(|f| matches!(f.key, Key::Test { .. }));
        let file = claimed.filter_map(|f| f.test_id.as_deref()).find_map(|id| {
            let file = id.split_once("::")?.0;
            let ran = tests.keys().any(|test| test.split_once("::").is_some_and(|(path, _)| path == file));
            let directory = &baseline.recipe().directory;
            let inner = if directory.is_empty() { file.to_owned() } else { format!("{directory}/{file}") };
            let path = [inner, file.to_owned()].into_iter().find(|path| candidate.read(path).is_some())?;
            (ran && path.ends_with(".py")).then_some(path)
        })?;
        let before = candidate.read(&file)?;
        // Nobody can know the name before.
        let name = format!("test_canary_{:016x}", RandomState::new().build_hasher().finish());
        let was = change.files.get(&file).map_or(Some(&before), |changed| changed.before.as_ref());
        let (mut text, spots) = match (was.map(|b| std::str::from_utf8(b)), std::str::from_utf8(&before)) {
            (Some(Ok(was)), Ok(is)) => sabotaged(was, is, &failed_in(baseline, &file)),
            _ => (before.clone(), Vec::new()),
        };
        text.extend_from_slice(format!("\n\n\ndef {name}():\n    raise AssertionError\n").as_bytes());
        let change = FileChange { before: Some(before), after: Some(text), executable: false, symlink: false };
        let tree = candidate.with(&Change { files: BTreeMap::from([(file.clone(), change)]) }).ok()?;
        Some(Canary { tree, name, file, spots })
    }

    /// Where it stands, for a reader.
    pub(super) fn file(&self) -> &str {
        &self.file
    }

    /// Its id.
    pub(super) fn id(&self) -> String {
        format!("{}::{}", self.file, self.name)
    }

    /// What a run of the same check on [`Canary::tree`] says.
    pub(super) fn shown(&self, run: &Observed) -> Shown<'_> {
        let end = format!("::{}", self.name);
        let told = run.tests.iter().flatten().find(|(id, _)| id.ends_with(&end)).map(|(_, outcome)| *outcome);
        let outcome = |id: &str| run.tests.iter().flatten().find(|(test, _)| *test == id).map(|(_, outcome)| *outcome);
        let failed = run.ended != Ended::Exit(0);
        let silent = told.is_some_and(|outcome| outcome != TestOutcome::Failed || !failed);
        if silent {
            return Shown::Silent;
        }
        let unreached = |spot: &&Spot| !spot.nested && outcome(&spot.id) == Some(TestOutcome::Passed);
        if let Some(spot) = self.spots.iter().find(unreached) {
            return Shown::Unreached(&spot.id);
        }
        match told {
            Some(_) => Shown::Failing,
            // A run that ends with the first failure has shown one.
            None if failed && self.spots.iter().any(|s| outcome(&s.id) == Some(TestOutcome::Failed)) => Shown::Failing,
            None => Shown::NotRun,
        }
    }
}

/// The tests that failed in CI in a file, each with the line where it did.
fn failed_in(baseline: &Baseline, file: &str) -> Vec<(String, u32)> {
    let directory = &baseline.recipe().directory;
    let here = |path: &str| path == file || !directory.is_empty() && format!("{directory}/{path}") == file;
    let claimed = baseline.claimed().iter().filter(|f| f.file.as_deref().is_some_and(here));
    claimed.filter_map(|f| Some((f.test_id.clone()?, f.line?))).collect()
}

/// The text in which the lines that failed raise instead. `failed` names lines of `was`, 1-based.
fn sabotaged(was: &str, is: &str, failed: &[(String, u32)]) -> (Vec<u8>, Vec<Spot>) {
    let diff = similar::TextDiff::from_lines(was, is);
    let now = |line: u32| -> Option<usize> {
        let old = usize::try_from(line).ok()?.checked_sub(1)?;
        diff.ops().iter().find_map(|op| match op {
            similar::DiffOp::Equal { old_index, new_index, len } => {
                (*old_index..old_index + len).contains(&old).then(|| new_index + old - old_index)
            }
            _ => None,
        })
    };
    let mut spots = Vec::new();
    let mut lines: Vec<String> = is.lines().map(str::to_owned).collect();
    let mut at: Vec<(usize, &String)> = failed.iter().filter_map(|(id, line)| Some((now(*line)?, id))).collect();
    at.sort();
    at.reverse();
    for (index, id) in at.into_iter().take(MOST_SPOTS) {
        let Some(line) = lines.get(index).cloned() else { continue };
        let indent = line.len() - line.trim_start().len();
        if indent == 0 || line.trim().is_empty() {
            continue;
        }
        let mut tried = lines.clone();
        tried.insert(index, format!("{}raise AssertionError", &line[..indent]));
        if ruff_python_parser::parse_module(&tried.join("\n")).is_ok() {
            spots.push(Spot { id: id.clone(), nested: is_nested(&lines, index, indent, id) });
            lines = tried;
        }
    }
    (format!("{}\n", lines.join("\n")).into_bytes(), spots)
}

/// Does a line stand deeper than the first of its function, or in another function than the test's?
fn is_nested(lines: &[String], index: usize, indent: usize, id: &str) -> bool {
    let test = id.rsplit("::").next().and_then(|name| name.split('[').next()).unwrap_or_default();
    let indented = |line: &str| line.len() - line.trim_start().len();
    let head = (0..index).rev().find(|i| {
        let line = lines[*i].trim_start();
        (line.starts_with("def ") || line.starts_with("async def ")) && indented(&lines[*i]) < indent
    });
    let Some(head) = head.filter(|head| lines[*head].contains(&format!("def {test}("))) else { return true };
    let first =
        lines[head + 1..].iter().find(|line| !line.trim().is_empty() && indented(line) > indented(&lines[head]));
    first.is_none_or(|first| indented(first) != indent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_failed_raises_wherever_it_went() {
        let was = "def test_a():\n    x = 1\n    assert x == 2\n\n\ndef test_b():\n    for x in y:\n        assert x\n";
        let is = format!("import os\n\n\n{was}");
        let failed = [("t::test_a".to_owned(), 3), ("t::test_b".to_owned(), 8)];
        let (text, spots) = sabotaged(was, &is, &failed);
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains("    x = 1\n    raise AssertionError\n    assert x == 2\n"), "{text}");
        assert!(text.contains("    for x in y:\n        raise AssertionError\n        assert x\n"), "{text}");
        let nested: Vec<_> = spots.iter().map(|s| (s.id.as_str(), s.nested)).collect();
        assert_eq!(nested, [("t::test_b", true), ("t::test_a", false)]);
    }

    #[test]
    fn a_line_that_changed_or_is_in_the_middle_of_a_statement_is_left_alone() {
        let was = "def test_a():\n    assert f(\n        1,\n    ) == 2\n";
        let (text, spots) = sabotaged(was, was, &[("t::test_a".to_owned(), 3)]);
        assert_eq!((String::from_utf8(text).unwrap().as_str(), spots.len()), (was, 0));
        let (_, spots) = sabotaged(was, &was.replace("1,", "2,"), &[("t::test_a".to_owned(), 3)]);
        assert!(spots.is_empty());
    }
}
