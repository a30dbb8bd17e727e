//! cause: failures that are repaired together. Independent ones are repaired side by side, the same cause once.

use std::collections::BTreeSet;

use crate::detect::{Category, Failure, Key};

/// More causes than this are not asked about side by side: the rest joins the last.
const MOST: usize = 8;

/// Failures that most likely have one cause, of one job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// Which baseline they are of.
    pub baseline: usize,
    /// In the job's order; never empty.
    pub failures: Vec<Failure>,
}

impl Cause {
    /// What kind of thing failed first.
    pub fn category(&self) -> Option<Category> {
        self.failures.first().map(|f| f.category)
    }

    /// Does this cause show in `failures`?
    pub fn still_in(&self, failures: &[Failure]) -> bool {
        failures.iter().any(|f| self.failures.iter().any(|mine| alike(&mine.key, &f.key)))
    }

    /// In a few words.
    pub fn name(&self) -> String {
        let first = &self.failures[0];
        let place = first.test_id.as_ref().or(first.file.as_ref()).unwrap_or(&first.message);
        match self.failures.len() {
            1 => place.clone(),
            n => format!("{place} and {} more", n - 1),
        }
    }
}

/// The same test or finding, whatever exception it ends with now.
fn alike(a: &Key, b: &Key) -> bool {
    match (a, b) {
        (Key::Test { id: a, .. }, Key::Test { id: b, .. }) => a == b,
        _ => a == b,
    }
}

/// Sorts what still fails, by baseline, into causes. Failures of one fingerprint are one cause in all jobs; so are those
/// of one job that are reported in the same file.
pub fn causes(remaining: &[Vec<Failure>]) -> Vec<Cause> {
    let mut causes: Vec<Cause> = Vec::new();
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for (baseline, failures) in remaining.iter().enumerate() {
        let first = causes.len();
        let mut here: BTreeSet<&str> = BTreeSet::new();
        for failure in failures.iter().filter(|f| !matches!(f.category, Category::Infra | Category::Aggregate)) {
            if seen.contains(failure.fingerprint.as_str()) {
                continue; // another job's cell has it
            }
            here.insert(&failure.fingerprint);
            let mut joined: Vec<usize> = (first..causes.len())
                .filter(|i| causes[*i].failures.iter().any(|other| together(other, failure)))
                .collect();
            match joined.first().copied() {
                Some(into) => {
                    causes[into].failures.push(failure.clone());
                    // It may join what stood apart so far.
                    joined.remove(0);
                    for from in joined.into_iter().rev() {
                        let moved = causes.remove(from);
                        causes[into].failures.extend(moved.failures);
                    }
                }
                None => causes.push(Cause { baseline, failures: vec![failure.clone()] }),
            }
        }
        // Each job with something of its own keeps one.
        while causes.len() > MOST.max(first + 1) {
            let Some(last) = causes.pop() else { break };
            if let Some(into) = causes.last_mut() {
                into.failures.extend(last.failures);
            }
        }
        seen.extend(here);
    }
    causes
}

fn together(a: &Failure, b: &Failure) -> bool {
    let test_file =
        |f: &Failure| f.test_id.as_ref().and_then(|id| id.split_once("::")).map(|(file, _)| file.to_owned());
    a.fingerprint == b.fingerprint
        || (a.file.is_some() && a.file == b.file)
        || (test_file(a).is_some() && test_file(a) == test_file(b))
        || (a.tool == b.tool && a.category == Category::Quality)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(id: &str, file: &str, fingerprint: &str) -> Failure {
        Failure {
            category: Category::UnitTest,
            tool: "pytest".to_owned(),
            test_id: Some(id.to_owned()),
            file: Some(file.to_owned()),
            line: None,
            message: "AssertionError".to_owned(),
            command: None,
            step: None,
            job: None,
            python: None,
            excerpt: String::new(),
            fingerprint: fingerprint.to_owned(),
            count: 1,
            key: Key::Test { id: id.to_owned(), exception: None },
        }
    }

    #[test]
    fn failures_of_one_fingerprint_or_one_file_are_one_cause_and_others_stand_apart() {
        let of =
            |remaining: &[Vec<Failure>]| -> Vec<usize> { causes(remaining).iter().map(|c| c.failures.len()).collect() };
        let a = failure("t/a.py::one", "m.py", "1");
        let b = failure("t/a.py::two", "n.py", "2");
        let c = failure("t/c.py::three", "o.py", "3");
        assert_eq!(of(&[vec![a.clone(), b.clone(), c.clone()]]), [2, 1]);
        let far = failure("t/d.py::four", "p.py", "3");
        assert_eq!(of(&[vec![c.clone(), far]]), [2]);
        // What joins two that stood apart makes them one.
        let joins = failure("t/a.py::five", "o.py", "5");
        assert_eq!(of(&[vec![a.clone(), c.clone(), joins]]), [3]);
    }

    #[test]
    fn the_same_cause_in_another_cell_is_repaired_once() {
        let a = failure("t/a.py::one", "m.py", "1");
        let only_here = failure("t/z.py::one", "z.py", "9");
        let found = causes(&[vec![a.clone()], vec![a, only_here]]);
        assert_eq!(found.iter().map(|c| c.baseline).collect::<Vec<_>>(), [0, 1]);
    }

    #[test]
    fn a_flood_of_causes_stays_a_handful() {
        let flood = (0..50).map(|i| failure(&format!("t/{i}.py::x"), &format!("{i}.py"), &i.to_string())).collect();
        let found = causes(&[flood]);
        assert_eq!(found.len(), MOST);
        assert_eq!(found.iter().map(|c| c.failures.len()).sum::<usize>(), 50);
    }

    #[test]
    fn a_cause_is_still_there_when_its_test_fails_in_another_way() {
        let cause = Cause { baseline: 0, failures: vec![failure("t/a.py::one", "m.py", "1")] };
        let mut other = failure("t/a.py::one", "q.py", "8");
        other.key = Key::Test { id: "t/a.py::one".to_owned(), exception: Some("TypeError".to_owned()) };
        assert!(cause.still_in(&[other]));
        assert!(!cause.still_in(&[failure("t/b.py::one", "m.py", "1")]));
    }
}
