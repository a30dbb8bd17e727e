//! What untouched assertions are fed: their inputs, what happens to them before, what a fixture gives.

use super::cases::{self, Said};
use super::compare::{Compared, lost};
use super::difference::Difference;
use super::flow::{self, Does, Step};
use super::names::{self, Version};
use super::python::{among, atoms, dotted, last};
use super::units::{Kind, Unit};
use super::{Finding, Severity};
use ruff_python_ast::{self as ast, Expr};
use std::collections::{BTreeMap, BTreeSet};

/// Two versions of one unit, statement by statement.
#[derive(Debug, Default)]
pub(crate) struct Fed {
    before: Vec<Step>,
    after: Vec<Step>,
    /// Is everything that the earlier version says in its cases said in those of the later one?
    pub(crate) all_said: bool,
}

/// Calls that end the use of something, and what only waits.
const ENDING: &str = "close aclose join wait flush sleep shutdown dispose stop cancel kill terminate release cleanup \
    disconnect quit rollback commit refresh server_close wait_closed acquire start tick";

/// Methods that change a list, a dictionary or a set.
const MUTATING: &str = "append extend insert remove pop popitem clear update setdefault sort reverse add discard \
    appendleft popleft extendleft rotate difference_update intersection_update __setitem__ __delitem__ __iadd__";

/// Fixtures of pytest and its best-known plugins, which tests use for their surroundings.
pub(crate) const SURROUNDINGS: &str = "monkeypatch caplog capsys capfd capsysbinary capfdbinary recwarn request tmp_path tmpdir \
    tmp_path_factory tmpdir_factory pytester testdir mocker freezer httpx_mock requests_mock respx_mock responses \
    settings record_property event_loop benchmark subtests doctest_namespace cache snapshot warnings pytest";

/// What assertions stand under, loops aside.
fn guards(unit: &Unit) -> Vec<String> {
    unit.facts.iter().flat_map(|f| &f.guards).filter(|g| !g.starts_with("for ")).cloned().collect()
}

/// Is each of the second's in the first?
fn holds(all: &[Said], some: &[Said]) -> bool {
    let all: Vec<Said> = all.iter().cloned().chain(all.iter().filter_map(cases::implied)).collect();
    !some.is_empty() && lost(some, &all, Clone::clone).is_empty()
}

impl Fed {
    /// Do both versions say and do the same, names spelled out?
    pub(crate) fn says_the_same(&self) -> bool {
        let spelled = |steps: &[Step]| {
            let steps = steps.iter().filter(|s| s.does != Does::Names);
            steps.map(|s| (s.does as u8, s.spelled())).collect::<Vec<_>>()
        };
        let (before, after) = (spelled(&self.before), spelled(&self.after));
        !before.is_empty() && before == after
    }
}

impl Compared<'_> {
    /// The steps of both versions; nothing where they cannot be found.
    pub(crate) fn fed(&self, before: &Unit, after: &Unit) -> Fed {
        let old = self.context.files.iter().find(|f| f.path == self.before_path).and_then(|f| f.py_before.as_ref());
        let (Some(old), Some(new)) = (old, self.file.py_after.as_ref()) else { return Fed::default() };
        let functions = (flow::function(old, &before.name, before.line), flow::function(new, &after.name, after.line));
        let (Some(was), Some(is)) = functions else { return Fed::default() };
        let names_before = self.context.names(self.before_path, old, &before.qual, Version::Before);
        let names_after = self.context.names(self.file.path, new, &after.qual, Version::After);
        let all_said = after.kind == Kind::Test
            && lost(&guards(after), &guards(before), String::clone).is_empty()
            && cases::said(old, was, &names_before).is_some_and(|was| {
                cases::said(new, is, &names_after).is_some_and(|is| holds(&cases::texts(&is), &cases::texts(&was)))
            });
        Fed {
            before: flow::steps(old, &was.body, &names::at(&names_before, was)),
            after: flow::steps(new, &is.body, &names::at(&names_after, is)),
            all_said,
        }
    }

    /// What untouched assertions, or whoever asks for this fixture, are given otherwise than before.
    pub(crate) fn given(&self, before: &Unit, after: &Unit, fed: &Fed, findings: &mut Vec<Finding>) {
        let (mut old, mut new): (Vec<&Step>, Vec<&Step>) = (fed.before.iter().collect(), fed.after.iter().collect());
        if before.kind == Kind::Test {
            old.retain(|s| s.does != Does::Gives);
            new.retain(|s| s.does != Does::Gives);
        }
        let mut worst: Option<(Difference, &Step, &Step)> = None;
        // A call whose result nobody needs may have had a name, or have one now.
        let named = |step: &Step, there: &[Step]| {
            step.does == Does::Calls && there.iter().any(|s| s.does == Does::Names && s.raw == step.raw)
        };
        old.retain(|s| s.does != Does::Names && !named(s, &fed.after));
        new.retain(|s| s.does != Does::Names && !named(s, &fed.before));
        // Nothing is worse than the worst: what comes after it need not be compared.
        let mut note = |differ: &dyn Fn() -> Difference, was, is| {
            let so_far = worst.as_ref().map_or(Difference::None, |w| w.0);
            let difference = if so_far == Difference::Fed { so_far } else { differ() };
            if difference > so_far {
                worst = Some((difference, was, is));
            }
        };
        if fed.all_said {
            let said: BTreeSet<Said> = fed.before.iter().map(cases::text).collect();
            old.clear();
            new.retain(|s| s.does != Does::Asserts && !said.contains(&cases::text(s)));
        }
        for (was, is) in pair(&mut old, &mut new, |s| (s.does as u8, s.raw.clone())) {
            note(&|| self.differ_all(&was.terms, &is.terms), was, is);
        }
        pair(&mut old, &mut new, |s| (s.does as u8, s.spelled()));
        // The same call on the same thing, written otherwise.
        let called = |s: &Step| (s.touches.clone(), s.terms.first().map(dotted).unwrap_or_default());
        for does in [Does::Calls, Does::Asks] {
            let (mut was_called, mut is_called) = (take(&mut old, does), take(&mut new, does));
            for (was, is) in pair(&mut was_called, &mut is_called, called) {
                note(&|| self.differ_all(&was.terms, &is.terms), was, is);
            }
            old.extend(was_called);
            new.extend(is_called);
        }
        let (gave, gives) = (giving(&old), giving(&new));
        for (index, is) in gives.iter().enumerate() {
            match gave.get(index).or(gave.last()) {
                Some(was) => note(&|| self.differ_all(&was.terms, &is.terms), was, is),
                None => note(&|| Difference::Other, is, is),
            }
        }
        for is in new.iter().filter(|s| matches!(s.does, Does::Sets | Does::Calls)) {
            note(&|| self.gained(&fed.before, &fed.after, is), is, is);
        }
        let kept: BTreeSet<String> = if old.is_empty() { BTreeSet::new() } else { self.everything() };
        for was in old.iter().filter(|s| matches!(s.does, Does::Sets | Does::Calls) && !kept.contains(&s.raw)) {
            let is = new.first().copied().or(fed.after.last()).unwrap_or(was);
            note(&|| self.gained(&fed.after, &fed.before, was), was, is);
        }
        if let Some((difference, was, is)) = worst {
            self.report(before, after, difference, was, is, findings);
        }
    }

    fn report(
        &self,
        before: &Unit,
        after: &Unit,
        difference: Difference,
        was: &Step,
        is: &Step,
        findings: &mut Vec<Finding>,
    ) {
        let linted = was.lines.iter().any(|line| self.context.linted(self.before_path, *line, *line));
        if linted && difference == Difference::Other {
            return;
        }
        let (rule, message) = match (before.fixture, before.kind) {
            (Some(_), _) => ("fixture-changed", format!("`{}` gives or does something else.", after.qual)),
            (None, Kind::Test) => {
                ("expectation-rewritten", format!("What an assertion of `{}` is given has changed.", after.qual))
            }
            _ => ("expectation-rewritten", format!("`{}`, which tests use, does something else.", after.qual)),
        };
        let (old, new) = (was.spelled(), is.spelled());
        let atoms = |step: &Step| step.terms.iter().flat_map(atoms).collect::<Vec<_>>();
        let gained = lost(&atoms(is), &atoms(was), String::clone);
        let mut finding = self.rewritten(before, rule, is.line, message, &gained);
        if difference == Difference::Other {
            finding.severity = Severity::Flag;
        } else if linted {
            finding.severity = Severity::Flag;
            finding.evidence = "a linter reported this line".to_string();
        }
        let old = if old == new { None } else { Some(old) };
        findings.push(finding.texts(old.as_deref(), Some(&new)));
    }

    /// What a new fixture or set-up does to something that another fixture gives.
    pub(crate) fn meddles(&self, unit: &Unit) -> Option<Finding> {
        let py = self.file.py_after.as_ref()?;
        let function = flow::function(py, &unit.name, unit.line)?;
        let parameters = || function.parameters.iter().map(|p| p.name().as_str());
        let given = |name: &str| parameters().any(|p| p == name) && !matches!(name, "self" | "cls");
        let steps = flow::steps(py, &function.body, &BTreeMap::new());
        let changes = |step: &&Step| {
            let call = step.does == Does::Calls;
            let called = step.terms.first().map(dotted).unwrap_or_default();
            (call && among(MUTATING, last(&called)) || step.does == Does::Sets)
                && given(&step.touches)
                && !among(SURROUNDINGS, &step.touches)
        };
        let step = steps.iter().find(changes)?;
        let message = format!("`{}` changes what another fixture gives.", unit.qual);
        Some(self.refuse("fixture-changed", step.line, message).texts(None, Some(&step.raw)))
    }

    /// The lines of assertions that other new or changed tests make now, with all that the test does for them.
    pub(crate) fn said_elsewhere(&self, before: &Unit, fed: &Fed) -> BTreeSet<u32> {
        if before.kind != Kind::Test {
            return BTreeSet::new();
        }
        let mut here: BTreeSet<Said> = fed.after.iter().map(cases::text).collect();
        let implied: Vec<Said> = here.iter().filter_map(cases::implied).collect();
        here.extend(implied);
        let said = |step: &Step| {
            let text = cases::text(step);
            here.contains(&text) || (self.said)().contains(&text)
        };
        let acts = fed.before.iter().filter(|s| matches!(s.does, Does::Calls | Does::Sets | Does::Asks));
        if acts.into_iter().any(|step| !said(step)) {
            return BTreeSet::new();
        }
        let asserted = asserting(&fed.before).into_iter();
        asserted.filter(|s| said(s)).map(|s| s.line).collect()
    }

    /// Is everything that the test asserted asserted now, here or in another test?
    pub(crate) fn says_it_elsewhere(&self, before: &Unit, fed: &Fed) -> bool {
        let asserted: BTreeSet<u32> = asserting(&fed.before).iter().map(|s| s.line).collect();
        !asserted.is_empty() && self.said_elsewhere(before, fed) == asserted
    }

    /// Assertions that are written in another way and say the same, by their lines before and after.
    pub(crate) fn respelled(&self, fed: &Fed) -> Vec<(u32, u32)> {
        let (mut old, mut new) = (asserting(&fed.before), asserting(&fed.after));
        pair(&mut old, &mut new, |s| s.raw.clone());
        pair(&mut old, &mut new, Step::spelled).into_iter().map(|(was, is)| (was.line, is.line)).collect()
    }

    /// Everything that functions of the file do after the change.
    fn everything(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let Some(py) = &self.file.py_after else { return found };
        super::python::walk(py.body(), &mut |stmt| {
            if let ast::Stmt::FunctionDef(f) = stmt {
                found.extend(flow::steps(py, &f.body, &BTreeMap::new()).into_iter().map(|s| s.raw));
            }
            true
        });
        found
    }

    /// A step that only one version has: does it change what is asserted or given there?
    fn gained(&self, other: &[Step], here: &[Step], step: &Step) -> Difference {
        if step.touches.is_empty() && step.does == Does::Sets || step.terms.is_empty() {
            return Difference::None;
        }
        let later = here.iter().skip_while(|s| !std::ptr::eq(*s, step)).skip(1);
        let mut rests: BTreeSet<&str> = BTreeSet::new();
        for s in later.filter(|s| matches!(s.does, Does::Asserts | Does::Gives)) {
            rests.extend(s.names.iter().map(String::as_str));
        }
        let set: BTreeSet<&str> = other
            .iter()
            .filter(|s| s.does == Does::Sets)
            .map(|s| s.touches.as_str())
            .filter(|t| t.contains('.'))
            .collect();
        let called = step.terms.first().map(dotted).unwrap_or_default();
        let call = step.does == Does::Calls;
        if call && (among(ENDING, last(&called)) || super::facts::is_asserting(&called)) {
            return Difference::None;
        }
        let touched = rests.contains(step.touches.as_str())
            || set.contains(step.touches.as_str())
            || step.owners.iter().any(|owner| rests.contains(owner.as_str()));
        if !step.touches.is_empty() && touched {
            let imported = self.suite_after.imports.contains_key(&step.touches);
            return match among(SURROUNDINGS, &step.touches) || call && imported {
                true => Difference::Other,
                false => Difference::Fed,
            };
        }
        // What a function is given it may change, too.
        let given = |expr: &Expr| {
            let name = flow::root(expr);
            !name.is_empty() && rests.contains(name.as_str()) && !self.suite_after.imports.contains_key(&name)
        };
        let arguments = match step.terms.first() {
            Some(Expr::Call(c)) if call => &c.arguments.args,
            _ => return Difference::None,
        };
        let harmless = matches!(called.as_str(), "print" | "next" | "list" | "repr" | "str" | "len" | "isinstance");
        match arguments.iter().any(given) && !harmless && !among(SURROUNDINGS, &step.touches) {
            true => Difference::Other,
            false => Difference::None,
        }
    }
}

/// Takes out the steps of a kind.
fn take<'s>(steps: &mut Vec<&'s Step>, does: Does) -> Vec<&'s Step> {
    let (taken, left) = steps.iter().partition(|s| s.does == does);
    *steps = left;
    taken
}

fn asserting(steps: &[Step]) -> Vec<&Step> {
    steps.iter().filter(|s| s.does == Does::Asserts).collect()
}

fn giving<'s>(steps: &[&'s Step]) -> Vec<&'s Step> {
    steps.iter().copied().filter(|s| s.does == Does::Gives).collect()
}

/// Takes out of both what is equal by a key.
fn pair<'s, K: PartialEq>(
    old: &mut Vec<&'s Step>,
    new: &mut Vec<&'s Step>,
    key: impl Fn(&Step) -> K,
) -> Vec<(&'s Step, &'s Step)> {
    let mut pairs = Vec::new();
    old.retain(|was| match new.iter().position(|is| key(is) == key(was)) {
        Some(at) => {
            pairs.push((*was, new.remove(at)));
            false
        }
        None => true,
    });
    pairs
}
