//! The failing tests: found by the ids that runners give them, with their fixtures; and other tests of the code at fault.

use std::{collections::BTreeSet, rc::Rc};

use super::{
    Limits,
    code::{Pointed, Test},
    files::{Files, is_test, parent},
    module::Module,
    places::has_word,
    resolve::{Target, method},
    shown::{Detail, Shown},
};

/// Different tests of one cause that are shown.
pub(super) const TESTS: usize = 4;

/// The functions of the failing tests, one for all their parameters.
pub(super) fn tests(files: &Files<'_>, pointed: &Pointed<'_>) -> Vec<Test> {
    let mut found: Vec<Test> = Vec::new();
    for failure in pointed.failures {
        let Some(test) = failure.test_id.as_deref().and_then(|id| by_id(files, id)) else { continue };
        if found.len() < TESTS && !found.iter().any(|(module, at)| module.path == test.0.path && *at == test.1) {
            found.push(test);
        }
    }
    found
}

/// The definition that a runner's id names: `tests/test_a.py::TestA::test_b[x]`, `tests.test_a.TestA.test_b`,
/// `package.module.Class` of a doctest.
pub(super) fn by_id(files: &Files<'_>, id: &str) -> Option<Test> {
    if let Some((path, rest)) = id.split_once("::") {
        let dotted = rest.split('[').next().unwrap_or(rest).replace("::", ".");
        let path = if files.has(path) { path } else { files.meant_by(path)? };
        let module = files.module(path)?;
        return find_test(files, &module, &dotted, 3).or_else(|| {
            // A doctest's id repeats the module's name.
            let at = (1..dotted.split('.').count()).find_map(|skip| {
                let tail: Vec<&str> = dotted.split('.').skip(skip).collect();
                module.find(&tail.join("."))
            })?;
            Some((Rc::clone(&module), at))
        });
    }
    let parts: Vec<&str> = id.split('.').collect();
    (1..parts.len()).rev().find_map(|cut| {
        let path = files.of_module(&parts[..cut].join("."), "")?;
        let module = files.module(&path)?;
        find_test(files, &module, &parts[cut..].join("."), 3)
    })
}

/// A test may be inherited.
fn find_test(files: &Files<'_>, module: &Rc<Module>, dotted: &str, depth: u8) -> Option<Test> {
    if let Some(at) = module.find(dotted) {
        return Some((Rc::clone(module), at));
    }
    let (class, name) = dotted.rsplit_once('.')?;
    let class = module.find(class)?;
    match method(files, module, class, name, depth)? {
        Target::Def(path, at) => Some((files.module(&path)?, at)),
        _ => None,
    }
}

/// Takes the fixtures that a test asks for, and those that its class sets up.
pub(super) fn fixtures(files: &Files<'_>, shown: &mut Shown<'_>, (module, at): (&Rc<Module>, usize), detail: Detail) {
    let Some(def) = module.defs.get(at) else { return };
    if let Some(class) = module.class_of(at) {
        for (inner, member) in module.members(class) {
            if matches!(member.name.as_str(), "setUp" | "setup_method" | "setUpClass" | "setup_class" | "asyncSetUp") {
                shown.def(module, inner, &BTreeSet::new(), Detail { whole: 1200, ..detail });
            }
        }
    }
    let mut wanted: Vec<String> =
        def.takes.iter().filter(|name| !matches!(name.as_str(), "self" | "cls")).cloned().collect();
    let mut known = BTreeSet::new();
    while let Some(wanted_name) = wanted.pop() {
        if known.len() > 12 || !known.insert(wanted_name.clone()) {
            continue;
        }
        let Some((home, fixture)) = fixture(files, module, &wanted_name) else { continue };
        shown.def(&home, fixture, &BTreeSet::new(), Detail { whole: 900, doc: 200, ..detail });
        if let Some(def) = home.defs.get(fixture) {
            wanted.extend(def.takes.iter().cloned());
        }
    }
}

fn fixture(files: &Files<'_>, module: &Rc<Module>, wanted: &str) -> Option<(Rc<Module>, usize)> {
    let in_module = |module: Rc<Module>| {
        let at = module.defs.iter().rposition(|def| {
            def.name == wanted && !def.class && def.decorators.iter().any(|decorator| decorator.contains("fixture"))
        })?;
        Some((module, at))
    };
    let mut folder = parent(&module.path);
    let mut homes = vec![module.path.clone()];
    loop {
        homes.push(if folder.is_empty() { "conftest.py".to_owned() } else { format!("{folder}/conftest.py") });
        if folder.is_empty() {
            break;
        }
        folder = parent(folder);
    }
    homes.iter().find_map(|path| in_module(files.module(path)?))
}

/// Takes tests that name the functions that are pointed at: of code that cannot be read they will run next.
pub(super) fn naming_tests(files: &Files<'_>, shown: &mut Shown<'_>, pointed: &Pointed<'_>, limits: &Limits) {
    let mut left = 2;
    let detail = Detail { whole: 1500, doc: 250, room: (limits.code * 3 / 4).min(shown.used() + 1600) };
    let places: BTreeSet<&(String, usize)> =
        pointed.frames.iter().flatten().filter(|(path, _)| !is_test(path)).collect();
    for (path, line) in places {
        let Some(module) = files.module(path) else { continue };
        let Some(def) = module.around(*line).and_then(|at| module.defs.get(at)) else { continue };
        for test in files.paths().iter().filter(|path| is_test(path) && path.ends_with(".py")).take(600) {
            if left == 0 || !files.text(test).is_some_and(|text| has_word(&text, &def.name)) {
                continue;
            }
            let Some(tests) = files.module(test) else { continue };
            let named = tests.defs.iter().enumerate().find(|(_, test)| {
                !test.class
                    && test.name.starts_with("test")
                    && has_word(tests.slice((test.first, test.last)), &def.name)
            });
            if let Some((at, _)) = named {
                left -= 1;
                shown.def(&tests, at, &BTreeSet::new(), detail);
            }
        }
    }
}
