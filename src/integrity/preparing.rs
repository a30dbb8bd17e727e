//! What runs around tests: fixtures that they ask for, set-ups, and what those do to them.

use super::compare::Compared;
use super::context::{Context, File};
use super::suite::Side;
use super::units::{Kind, Suite, Unit};
use super::{Finding, paths};
use std::collections::BTreeSet;

/// The fixtures that a test asks for, and did not before.
pub(crate) fn newly_asked(old: &Unit, new: &Unit) -> Vec<String> {
    let named = new.locals.difference(&old.locals);
    named.chain(new.asks.difference(&old.asks)).cloned().collect()
}

/// The fixtures that other fixtures, and whole modules and classes, ask for now.
pub(crate) fn asked_by_modules(before: &[Side], after: &[Side]) -> Vec<String> {
    let mut found = Vec::new();
    for side in after {
        let old = before.iter().find(|b| b.path == side.path);
        for unit in side.suite.units.iter().filter(|u| u.fixture.is_some()) {
            let was = old.and_then(|o| o.suite.units.iter().find(|u| u.qual == unit.qual));
            found.extend(was.map(|was| newly_asked(was, unit)).unwrap_or_default());
        }
        let none = BTreeSet::new();
        let asked = old.map_or(&none, |old| &old.suite.asks);
        found.extend(side.suite.asks.difference(asked).cloned());
    }
    found
}

/// New fixtures and set-ups that run around tests that were there before.
pub(crate) fn preparing(
    context: &Context<'_>,
    file: &File<'_>,
    before: Option<&Side>,
    side: &Side,
    requested: &BTreeSet<String>,
    findings: &mut Vec<Finding>,
) {
    let none = Suite::default();
    let old = before.map_or(&none, |b| &b.suite);
    let nothing = BTreeSet::new();
    let compared = Compared {
        context,
        file,
        before_path: &side.path,
        suite_before: old,
        suite_after: &side.suite,
        elsewhere: &[],
        said: &|| &nothing,
    };
    let shared = paths::name(&side.path) == "conftest.py";
    for unit in side.suite.units.iter().filter(|u| !old.units.iter().any(|o| o.qual == u.qual)) {
        let set_up = ["setUp", "setup", "tearDown", "teardown", "setUpClass", "setUpModule", "asyncSetUp"];
        let automatic = unit.fixture == Some(true)
            || set_up.iter().any(|s| unit.name == *s || unit.name.starts_with(&format!("{s}_")));
        let applies = automatic && (shared || before.is_some()) || requested.contains(&unit.name);
        if !applies {
            continue;
        }
        for (target, line) in &unit.mocks {
            findings.extend(compared.mocked(unit, target, *line).map(|f| f.texts(None, Some(target))));
        }
        findings.extend(compared.meddles(unit));
        let runs = unit.calls.iter().any(|c| {
            let root = c.split('.').next().unwrap_or("");
            side.suite.imports.get(root).is_some_and(|m| context.is_project(m))
        });
        if context.category() == "coverage" && runs {
            let message = format!("`{}` runs the program around tests, and asserts nothing of it.", unit.qual);
            findings.push(Finding::refuse("test-without-assertion", Some(&side.path), message).at(unit.line));
        }
        for (text, line) in &unit.disabling {
            let message = format!("`{}` skips or excuses the tests it runs around.", unit.qual);
            findings.push(Finding::refuse("test-skipped", Some(&side.path), message).at(*line).texts(None, Some(text)));
        }
    }
    for unit in side.suite.units.iter().filter(|u| u.fixture.is_some() && !old.units.iter().any(|o| o.qual == u.qual)) {
        if let Some(path) = overridden(context, &side.path, unit)
            && (shared || old.units.iter().any(|o| o.locals.contains(&unit.name)))
        {
            let message = format!("`{}` takes the place of the fixture of this name in `{path}`.", unit.qual);
            findings.push(Finding::refuse("fixture-changed", Some(&side.path), message).at(unit.line));
        }
    }
    for unit in side.suite.units.iter().filter(|u| u.kind == Kind::Helper && u.qual == u.name) {
        let subject = side.suite.imports.get(&unit.name).or_else(|| old.imports.get(&unit.name));
        let was = old.units.iter().any(|o| o.qual == unit.qual);
        if !was && before.is_some() && subject.is_some_and(|m| context.is_tree(m)) {
            let message = format!("`{}` is now defined by the tests themselves.", unit.name);
            findings.push(Finding::refuse("subject-replaced", Some(&side.path), message).at(unit.line));
        }
    }
}

/// The `conftest.py` above that has a fixture of the same name and another body.
fn overridden(context: &Context<'_>, path: &str, unit: &Unit) -> Option<String> {
    for conftest in context.conftests_above(path) {
        let Some(text) = context.read(conftest).filter(|t| t.contains(&format!("def {}(", unit.name))) else {
            continue;
        };
        let suite = context.suite(&super::python::Py::parse(text.as_bytes(), false));
        if suite.units.iter().any(|u| u.name == unit.name && u.fixture.is_some() && u.key != unit.key) {
            return Some(conftest.clone());
        }
    }
    None
}
