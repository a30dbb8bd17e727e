//! The tests as a whole: which are gone, which moved, which changed.

use super::cases::Said;
use super::compare::{Compared, same_but_for_names};
use super::context::{Context, File};
use super::facts::Fact;
use super::flow::Step;
use super::names::Version;
use super::preparing::{asked_by_modules, newly_asked, preparing};
use super::units::{Kind, Suite, Unit};
use super::{Finding, paths};
use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet};

pub(crate) struct Side {
    pub(crate) path: String,
    pub(crate) suite: Suite,
    pub(crate) collected: bool,
}

pub(crate) fn judge(context: &Context<'_>, findings: &mut Vec<Finding>) {
    judge_by(context, true, findings);
}

/// The same; of what both versions share only the names are read, where `brief` says so and it is enough.
pub(crate) fn judge_by(context: &Context<'_>, brief: bool, findings: &mut Vec<Finding>) {
    let tests: Vec<&File<'_>> = context.files.iter().filter(|f| f.is_test || is_collected_here(context, f)).collect();
    let tests: Vec<&File<'_>> = tests.into_iter().filter(|file| is_readable(context, file, findings)).collect();
    let (mut before, mut after) = sides(context, &tests, brief);
    if brief && !is_settled(&before, &after) {
        (before, after) = sides(context, &tests, false);
    }
    // Tests may also have moved into files that are no tests by name, or out of them.
    let all_said = LazyCell::new(|| said(context, &before, &after));
    let all_said = || LazyCell::force(&all_said);
    let pairs = pair(context, &before, &after, &all_said, findings);
    let elsewhere = added_facts(&before, &after, &pairs);
    for side in &before {
        let file = tests.iter().find(|f| f.path == side.path);
        for unit in &side.suite.units {
            let target = pairs.get(&(side.path.as_str(), unit.qual.as_str()));
            let target = target.copied().or_else(|| same_place(&after, side, unit));
            let target = target.or_else(|| elsewhere_by_name(&before, &after, unit));
            if target.is_none() {
                helper_gone(&after, side, unit, findings);
            }
            if let (Some((other, now)), Some(file)) = (target, file) {
                let at = tests.iter().find(|f| f.path == other.path).unwrap_or(file);
                let compared = Compared {
                    context,
                    file: at,
                    before_path: &side.path,
                    suite_before: &side.suite,
                    suite_after: &other.suite,
                    elsewhere: &elsewhere,
                    said: &all_said,
                };
                compared.units(unit, now, findings);
            }
        }
    }
    let requested: BTreeSet<String> = (before.iter())
        .flat_map(|s| s.suite.units.iter().map(move |u| (s, u)))
        .filter_map(|(s, u)| Some((u, pairs.get(&(s.path.as_str(), u.qual.as_str()))?)))
        .flat_map(|(old, (_, new))| newly_asked(old, new))
        .chain(asked_by_modules(&before, &after))
        .collect();
    let moved: BTreeSet<&str> = pairs.values().map(|(_, u)| u.qual.as_str()).collect();
    for side in &after {
        if let Some(file) = tests.iter().find(|f| f.path == side.path) {
            preparing(context, file, before.iter().find(|b| b.path == side.path), side, &requested, findings);
        }
        imports(context, before.iter().find(|b| b.path == side.path), side, findings);
        let old = before.iter().find(|b| b.path == side.path).map(|b| &b.suite);
        level(side, old, findings);
        super::classes::judge(context, &side.path, old, &side.suite, findings);
        shadowed(side, old, findings);
        added(context, side, old, &moved, findings);
    }
}

/// Can both versions be read? What is wrong with one that can't is found at once.
fn is_readable(context: &Context<'_>, file: &File<'_>, findings: &mut Vec<Finding>) -> bool {
    let was_parsed = file.py_before.as_ref().is_none_or(|p| p.ok);
    let is_parsed = file.py_after.as_ref().is_none_or(|p| p.ok);
    if was_parsed && !is_parsed {
        let message = "This file of tests no longer parses, so nothing in it runs.";
        let line = file.py_after.as_ref().and_then(super::python::Py::error_line).unwrap_or(1);
        findings.push(Finding::refuse("test-unparsable", Some(file.path), message).at(line));
        return false;
    }
    if !was_parsed && file.after.is_some() {
        unparsable_before(context, file, findings);
        return false;
    }
    true
}

/// Both versions of the tests; of what they share only the names, where `brief` says so.
fn sides(context: &Context<'_>, tests: &[&File<'_>], brief: bool) -> (Vec<Side>, Vec<Side>) {
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for file in tests {
        let side = |py: &super::python::Py| Side {
            path: file.path.to_string(),
            suite: if brief { context.brief_suite(py) } else { context.suite(py) },
            collected: collects(context, file.path),
        };
        let large = file.before.is_some_and(|text| text.len() > super::LARGE);
        let (was, is) = super::both(large, || file.py_before.as_ref().map(side), || file.py_after.as_ref().map(side));
        before.extend(was);
        after.extend(is);
    }
    (before, after)
}

/// Is every test where it was, by its name? Then nothing but those that changed need be read.
fn is_settled(before: &[Side], after: &[Side]) -> bool {
    before.iter().all(|side| {
        let Some(other) = after.iter().find(|other| other.path == side.path) else { return false };
        let held: BTreeMap<&str, bool> = other.suite.tests().map(|u| (u.qual.as_str(), u.brief)).collect();
        side.suite.tests().all(|u| held.get(u.qual.as_str()) == Some(&u.brief))
            && other.suite.units.iter().filter(|u| u.brief).count()
                == side.suite.units.iter().filter(|u| u.brief).count()
    })
}

fn is_collected_here(context: &Context<'_>, file: &File<'_>) -> bool {
    context.is_collected(file.path)
}

fn collects(context: &Context<'_>, path: &str) -> bool {
    context.is_collected(path) || context.input.before.read(path).is_some() && context.is_test(path)
}

fn same_place<'s>(after: &'s [Side], side: &Side, unit: &Unit) -> Option<(&'s Side, &'s Unit)> {
    if unit.kind == Kind::Test {
        return None;
    }
    let other = after.iter().find(|a| a.path == side.path)?;
    Some((other, other.suite.units.iter().find(|u| u.qual == unit.qual && u.kind == unit.kind)?))
}

/// A helper that went to another file.
fn elsewhere_by_name<'s>(before: &[Side], after: &'s [Side], unit: &Unit) -> Option<(&'s Side, &'s Unit)> {
    if unit.kind != Kind::Helper || unit.brief {
        return None;
    }
    let was =
        |s: &Side, u: &Unit| before.iter().any(|b| b.path == s.path && b.suite.units.iter().any(|o| o.qual == u.qual));
    let mut all = after.iter().flat_map(|s| s.suite.units.iter().map(move |u| (s, u)));
    all.find(|(s, u)| u.kind == Kind::Helper && u.name == unit.name && !was(s, u))
}

/// A helper that asserted is nowhere, and tests still call something by its name.
fn helper_gone(after: &[Side], side: &Side, unit: &Unit, findings: &mut Vec<Finding>) {
    let called = |u: &Unit| {
        u.calls.iter().any(|c| super::python::last(c) == unit.name)
            || u.facts
                .iter()
                .any(|f| f.head.starts_with(&format!("{}:", unit.name)) || f.head.contains(&format!(".{}:", unit.name)))
    };
    if unit.kind == Kind::Helper && !unit.facts.is_empty() && after.iter().any(|s| s.suite.units.iter().any(called)) {
        let message = format!("`{}`, by which tests assert, is gone, and something else has its name.", unit.qual);
        findings.push(Finding::refuse("assertion-removed", Some(&side.path), message).at(unit.line));
    }
}

type Pairs<'s> = BTreeMap<(&'s str, &'s str), (&'s Side, &'s Unit)>;

/// Which test became which; what became none is lost.
fn pair<'s>(
    context: &Context<'_>,
    before: &'s [Side],
    after: &'s [Side],
    all_said: &dyn Fn() -> &'s BTreeSet<Said>,
    findings: &mut Vec<Finding>,
) -> Pairs<'s> {
    let mut pairs: Pairs<'s> = BTreeMap::new();
    let mut taken: BTreeSet<(&str, &str)> = BTreeSet::new();
    let mut open: Vec<(&'s Side, &'s Unit)> = Vec::new();
    let candidates: Vec<(&'s Side, &'s Unit)> =
        after.iter().filter(|s| s.collected).flat_map(|s| s.suite.tests().map(move |u| (s, u))).collect();
    open.extend(before.iter().flat_map(|side| side.suite.tests().map(move |unit| (side, unit))));
    // The same place and body first, the same place last: a name may have gone to another test.
    type Way<'w> = &'w dyn Fn(bool, &Unit, &Unit) -> bool;
    let ways: [Way<'_>; 7] = [
        &|here, old, new| here && old.qual == new.qual && old.key == new.key,
        &|_, old, new| old.key == new.key && old.name == new.name,
        &|_, old, new| old.key == new.key,
        &|here, old, new| here && old.qual == new.qual,
        &|_, old, new| same_but_for_names(context, None, old, new),
        &|_, old, new| old.name == new.name,
        &|_, old, new| !old.facts.is_empty() && covers(new, old),
    ];
    for way in ways {
        open.retain(|(side, unit)| {
            let free = |s: &Side, u: &Unit| !taken.contains(&(s.path.as_str(), u.qual.as_str()));
            let found = candidates.iter().find(|(s, u)| free(s, u) && way(s.path == side.path, unit, u));
            let Some(found) = found else { return true };
            taken.insert((&found.0.path, &found.1.qual));
            pairs.insert((&side.path, &unit.qual), *found);
            moved_away(context, &side.path, &found.0.path, findings);
            false
        });
    }
    let mut gone: BTreeMap<&str, Vec<&Unit>> = BTreeMap::new();
    for (side, unit) in open {
        // A duplicate of a test that still runs is not lost.
        let kept = candidates.iter().any(|(_, u)| u.key == unit.key && lost_nothing(unit, u))
            || spelled(context, &side.path, unit, Version::Before).is_some_and(|was| {
                !was.is_empty() && was.iter().all(|step| all_said().contains(&super::cases::text(step)))
            });
        if !kept {
            gone.entry(&side.path).or_default().push(unit);
        }
    }
    for (path, units) in gone {
        lost_tests(context, path, &units, after, findings);
    }
    pairs
}

/// What a test says in all of its cases.
fn spelled(context: &Context<'_>, path: &str, unit: &Unit, version: Version) -> Option<Vec<Step>> {
    let file = context.files.iter().find(|f| f.path == path)?;
    let py = match version {
        Version::Before => file.py_before.as_ref()?,
        Version::After => file.py_after.as_ref()?,
    };
    let function = super::flow::function(py, &unit.name, unit.line)?;
    super::cases::said(py, function, &context.names(path, py, &unit.qual, version))
}

/// What the tests say that are new or were changed, and that surely run to their end.
fn said(context: &Context<'_>, before: &[Side], after: &[Side]) -> BTreeSet<Said> {
    let mut found = BTreeSet::new();
    for side in after.iter().filter(|s| s.collected) {
        let old = before.iter().find(|b| b.path == side.path);
        let same = |u: &Unit| old.is_some_and(|o| o.suite.tests().any(|t| t.qual == u.qual && t.whole == u.whole));
        for unit in side.suite.tests().filter(|u| !u.brief && !same(u)) {
            if unit.disabling.is_empty() && unit.guards.is_empty() {
                let guarded = |f: &&Fact| f.guards.iter().any(|g| !g.starts_with("for "));
                let passed_over: BTreeSet<u32> = unit.facts.iter().filter(guarded).map(|f| f.line).collect();
                let steps = spelled(context, &side.path, unit, Version::After).unwrap_or_default();
                found.extend(steps.iter().filter(|s| !passed_over.contains(&s.line)).map(super::cases::text));
            }
        }
    }
    let implied: Vec<Said> = found.iter().filter_map(super::cases::implied).collect();
    found.extend(implied);
    found
}

fn lost_nothing(old: &Unit, new: &Unit) -> bool {
    super::compare::lost(&new.disabling, &old.disabling, |d| d.0.clone()).is_empty() && new.guards == old.guards
}

fn covers(new: &Unit, old: &Unit) -> bool {
    old.facts.iter().all(|f| new.facts.iter().any(|g| g.key == f.key))
}

fn moved_away(context: &Context<'_>, from: &str, to: &str, findings: &mut Vec<Finding>) {
    if from == to || paths::top(from) == paths::top(to) {
        return;
    }
    let top = paths::top(to);
    if !context.paths.iter().any(|p| paths::top(p) == top && paths::has_test_name(p)) {
        let message = format!("Tests moved here from `{from}`; nothing shows that the checks look here.");
        findings.push(Finding::flag("test-moved", Some(to), message));
    }
}

fn lost_tests(context: &Context<'_>, path: &str, units: &[&Unit], after: &[Side], findings: &mut Vec<Finding>) {
    let deleted = context.input.change.files.get(path).is_some_and(|f| f.after.is_none());
    if deleted {
        let names: Vec<&str> = units.iter().map(|u| u.qual.as_str()).take(5).collect();
        let message = format!("The file is deleted, and {} of its tests are nowhere else.", units.len());
        findings.push(Finding::refuse("test-deleted", Some(path), message).seen(names.join(", ")));
        return;
    }
    for unit in units {
        let still = after.iter().flat_map(|s| &s.suite.units).find(|u| u.key == unit.key && u.kind != Kind::Test);
        let (rule, message) = match still {
            Some(other) => {
                ("test-uncollected", format!("`{}` became `{}`, which no runner collects.", unit.qual, other.qual))
            }
            None => ("test-deleted", format!("`{}` is gone, and nothing else has its body.", unit.qual)),
        };
        let finding = Finding::refuse(rule, Some(path), message).at(still.map_or(unit.line, |u| u.line));
        findings.push(finding.texts(Some(&unit.qual), still.map(|u| u.qual.as_str())));
    }
}

fn added_facts(before: &[Side], after: &[Side], pairs: &Pairs<'_>) -> Vec<Fact> {
    let old: BTreeSet<(&str, &str)> =
        before.iter().flat_map(|s| s.suite.units.iter().map(move |u| (s.path.as_str(), u.qual.as_str()))).collect();
    let paired: BTreeSet<(&str, &str)> = pairs.values().map(|(s, u)| (s.path.as_str(), u.qual.as_str())).collect();
    (after.iter())
        .flat_map(|s| s.suite.units.iter().map(move |u| (s, u)))
        .filter(|(s, u)| {
            let key = (s.path.as_str(), u.qual.as_str());
            !old.contains(&key) && !paired.contains(&key)
        })
        .flat_map(|(_, u)| u.facts.iter().cloned())
        .collect()
}

/// A name that tests use now comes from somewhere else.
fn imports(context: &Context<'_>, before: Option<&Side>, after: &Side, findings: &mut Vec<Finding>) {
    let Some(before) = before else { return };
    for (name, old) in &before.suite.imports {
        let Some(new) = after.suite.imports.get(name).filter(|new| *new != old) else { continue };
        if !context.is_tree(old) || old.trim_start_matches('.') == new.trim_start_matches('.') {
            continue;
        }
        let full = context.absolute(&after.path, old);
        let (module, symbol) = full.rsplit_once('.').unwrap_or((&full, ""));
        if context.defines(module, symbol) == Some(true) {
            let message = format!(
                "`{name}` is now taken from `{new}`, though `{module}` still has it: something else is tested."
            );
            findings.push(Finding::refuse("subject-replaced", Some(&after.path), message).texts(Some(old), Some(new)));
        }
    }
}

/// Module and class level: marks, `collect_ignore`, `__test__`.
fn level(side: &Side, old: Option<&Suite>, findings: &mut Vec<Finding>) {
    let none = Vec::new();
    let before = old.map_or(&none, |s| &s.disabling);
    if old.is_none() && !side.suite.disabling.iter().any(|d| d.0.starts_with("collect_ignore")) {
        return;
    }
    for (text, line) in super::compare::lost(&side.suite.disabling, before, |d| d.0.clone()) {
        let message = "Tests are skipped or left out here as a group.";
        findings.push(Finding::refuse("test-skipped", Some(&side.path), message).at(line).texts(None, Some(&text)));
    }
}

/// A name of a test is bound again at module or class level.
fn shadowed(side: &Side, old: Option<&Suite>, findings: &mut Vec<Finding>) {
    for body in side.suite.units.iter().filter(|u| u.kind == Kind::Body) {
        let prefix = body.qual.trim_end_matches("<body>");
        for test in side.suite.tests().filter(|t| t.qual == format!("{prefix}{}", t.name)) {
            let was = old.and_then(|s| s.units.iter().find(|u| u.qual == body.qual));
            if body.locals.contains(&test.name) && !was.is_some_and(|w| w.locals.contains(&test.name)) {
                let message = format!("`{}` is bound again, so the test no longer runs.", test.qual);
                findings.push(Finding::refuse("test-deleted", Some(&side.path), message).at(body.line));
            }
        }
    }
}

/// New tests that assert nothing; where coverage was what failed, that is all they are for.
fn added(context: &Context<'_>, side: &Side, old: Option<&Suite>, moved: &BTreeSet<&str>, findings: &mut Vec<Finding>) {
    if !side.collected {
        return;
    }
    let is_new =
        |u: &&Unit| !old.is_some_and(|s| s.units.iter().any(|o| o.qual == u.qual)) && !moved.contains(u.qual.as_str());
    let new: Vec<&Unit> = side.suite.tests().filter(is_new).collect();
    // Where coverage is what failed, an assertion that hardly can fail is none.
    let coverage = context.category() == "coverage";
    let weak = |u: &Unit| u.facts.iter().filter(|f| coverage && f.is_weak()).count();
    let asserts = |u: &Unit| !u.facts.is_empty() && weak(u) * 3 < u.facts.len() * 2;
    let empty = new.iter().filter(|u| !asserts(u)).count();
    for unit in new.iter().filter(|u| !asserts(u)) {
        let message = format!("The new test `{}` asserts nothing.", unit.qual);
        let finding = match context.category() == "coverage" && empty * 2 > new.len() {
            true => Finding::refuse("test-without-assertion", Some(&side.path), message),
            false => Finding::flag("test-without-assertion", Some(&side.path), message),
        };
        findings.push(finding.at(unit.line));
    }
}

/// The file did not parse before: its text must still hold every test and every assertion that was not near the error.
fn unparsable_before(context: &Context<'_>, file: &File<'_>, findings: &mut Vec<Finding>) {
    let (before, after) = (file.text_before(), file.text_after());
    let names = |text: &str| -> Vec<String> {
        (text.lines())
            .filter_map(|l| l.trim().trim_start_matches("async ").strip_prefix("def "))
            .filter_map(|l| l.split(['(', ' ', ':']).next().map(ToString::to_string))
            .filter(|n| context.collecting.functions.iter().any(|p| n.starts_with(p.trim_end_matches('*'))))
            .collect()
    };
    for name in super::compare::lost(&names(&before), &names(&after), String::clone) {
        let message = format!("`{name}` is gone from a file that did not parse before.");
        findings.push(Finding::refuse("test-deleted", Some(file.path), message));
    }
    let squeeze = |line: &str| line.split_whitespace().collect::<String>();
    let asserting = |line: &&str| line.contains("assert") || line.contains("raises");
    let error = file.py_before.as_ref().and_then(super::python::Py::error_line).unwrap_or(1);
    let now: Vec<String> = after.lines().map(squeeze).collect();
    let mut near = 0_usize;
    for (index, line) in before.lines().enumerate().filter(|(_, l)| asserting(l)) {
        let number = u32::try_from(index + 1).unwrap_or(u32::MAX);
        if now.contains(&squeeze(line)) {
            continue;
        }
        if number.abs_diff(error) <= 3 {
            near += 1;
        } else {
            let message = "An assertion away from the syntax error changed.";
            findings.push(
                Finding::refuse("assertion-removed", Some(file.path), message)
                    .at(number)
                    .texts(Some(line.trim()), None),
            );
        }
    }
    let count = |text: &str| text.lines().filter(asserting).count();
    if count(&after) < count(&before) && near > 0 {
        let message = "Fewer assertions stand where the syntax error was.";
        findings.push(Finding::refuse("assertion-removed", Some(file.path), message).at(error));
    }
    let skips = ["skip", "xfail", "SkipTest", "collect_ignore", "__test__", "suppress("];
    for word in skips {
        if after.matches(word).count() > before.matches(word).count() {
            let message = format!("`{word}` was added to a file that did not parse before.");
            findings.push(Finding::refuse("test-skipped", Some(file.path), message));
        }
    }
}
