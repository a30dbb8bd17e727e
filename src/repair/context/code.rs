//! The code that a failing test or a traceback leads to: the test and what it is made of, the functions of every
//! frame, what the test calls and what that calls in turn, and what shares the failure's rarest words.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use super::{
    Limits,
    failing::{TESTS, fixtures, naming_tests, tests},
    files::{Files, is_test, name},
    module::{Module, Uses},
    places::has_word,
    related::{reachable, related, wanted},
    resolve::{Target, method, resolve},
    shown::{Detail, Shown},
    state::{constructors, writers},
};
use crate::detect::Failure;

/// Frames of one failure that are followed.
const FRAMES: usize = 8;
/// What is found by words alone, where something better leads.
const RELATED: usize = 1500;
/// More lines than that are shown in part where only words lead to them.
const LONG: usize = 60;

/// What the failures point at.
pub(super) struct Pointed<'a> {
    pub(super) failures: &'a [Failure],
    /// Of each failure, as far as they are known.
    pub(super) frames: &'a [Vec<(String, usize)>],
    /// What the failures say.
    pub(super) text: &'a str,
}

/// A test function: its module, and its place among the definitions.
pub(super) type Test = (Rc<Module>, usize);

/// Takes the code.
pub(super) fn take(files: &Files<'_>, shown: &mut Shown<'_>, pointed: &Pointed<'_>, limits: &Limits) {
    let hot = hot(pointed.frames);
    let near = Detail { whole: 4000, doc: 1500, room: limits.code * 3 / 2 };
    let called = Detail { whole: 4500, doc: 900, room: limits.code };
    let further = Detail { whole: 1500, doc: 250, room: limits.code * 3 / 4 };

    let tests = tests(files, pointed);
    let wanted = wanted(&tests, pointed);
    shown.guide(wanted.clone());
    let mut raised = false;
    // The product's functions on the failure's way.
    let mut way: Vec<Test> = Vec::new();
    // Where it was raised, then who called that.
    for frames in pointed.frames.iter().take(TESTS) {
        for (path, line) in frames.iter().rev().take(FRAMES) {
            if !is_test(path) {
                raised |= frame(files, shown, path, *line, &hot, near);
                way.extend(files.module(path).and_then(|module| Some((Rc::clone(&module), module.around(*line)?))));
            }
        }
    }
    for (module, at) in &tests {
        shown.def(module, *at, &of(&hot, &module.path), near);
    }
    for frames in pointed.frames.iter().take(TESTS) {
        for (path, line) in frames.iter().rev().take(FRAMES) {
            if is_test(path) {
                frame(files, shown, path, *line, &hot, near);
            }
        }
    }
    let far = reachable(files, &tests);
    mentioned(files, shown, pointed, &far, limits.code);
    let mut followed = BTreeSet::new();
    let mut usual = Vec::new();
    let mut led = raised;
    for test in &tests {
        led |= constructors(files, shown, test, limits.code);
    }
    for (module, at) in &tests {
        fixtures(files, shown, (module, *at), called);
        for target in referents(files, (module, *at), &far, &of(&hot, &module.path)) {
            if is_test(target.path()) {
                show(files, shown, &target, &hot, Detail { whole: 1200, ..further });
                let Target::Def(path, inner) = &target else { continue };
                let Some(helper) = files.module(path) else { continue };
                followed.extend(referents(files, (&helper, *inner), &far, &BTreeSet::new()));
            } else if is_usual(files, module, &target) {
                // Where nothing was raised in the code, a method that the test calls is nearer to the fault than what only
                // shares its words.
                if !raised && is_method(files, &target) {
                    show(files, shown, &target, &hot, Detail { whole: 2600, ..called });
                }
                usual.push(target);
            } else {
                show(files, shown, &target, &hot, called);
                if let Target::Constant(path, lines) = &target {
                    led |= made(files, shown, (path, *lines), called);
                }
                if let Target::Def(path, at) = &target
                    && let Some(home) = files.module(path)
                {
                    led |= !home.defs[*at].class;
                    way.push((home, *at));
                }
            }
        }
    }
    writers(files, shown, &depth_one(files, &way), &wanted, limits.code);
    // What was raised in the product is nearly always mended there; a wrong value may come from anywhere.
    let (most, room) = if raised { (2, limits.code * 5 / 8) } else { (5, limits.code) };
    let (most, cap) = if led { (2, shown.used() + RELATED) } else { (most, usize::MAX) };
    let near_in_words = if unread(pointed) { Vec::new() } else { related(&far, &tests, pointed, shown) };
    for (rank, (module, at)) in near_in_words.iter().take(most).enumerate() {
        let def = &module.defs[*at];
        let (long, size) = (def.last - def.first > LONG, module.slice((def.first, def.last)).len());
        // What does not fit says nothing, nor does a constructor that nothing is passed to.
        if led && (if long { def.name == "__init__" } else { size > RELATED }) {
            continue;
        }
        // The nearest one is worth its length.
        let (whole, room) = if rank == 0 && !raised { (4500, limits.code * 5 / 4) } else { (2600, room) };
        let whole = if led && long { 600 } else { whole };
        shown.def(module, *at, &of(&hot, &module.path), Detail { whole, room: room.min(cap), ..further });
    }
    if unread(pointed) {
        naming_tests(files, shown, pointed, limits);
    }
    let last = Detail { room: if raised { limits.code / 2 } else { limits.code * 3 / 4 }, ..further };
    for target in usual.iter().chain(followed.iter().filter(|target| !is_test(target.path()))) {
        show(files, shown, target, &hot, Detail { whole: 2600, ..last });
    }
    callees(files, shown, &hot, last);
}

/// Is it code that cannot be read, so that its words say nothing of what it does?
pub(super) fn unread(pointed: &Pointed<'_>) -> bool {
    let errors = ["SyntaxError", "IndentationError", "TabError"];
    pointed.failures.first().is_some_and(|failure| errors.iter().any(|error| failure.message.contains(error)))
}

/// Functions, and those of their own classes and modules that they call.
fn depth_one(files: &Files<'_>, way: &[Test]) -> Vec<Test> {
    let mut found: Vec<Test> = way.to_vec();
    for (module, at) in way.iter().take(12) {
        let Some(def) = module.defs.get(*at).filter(|def| !def.class) else { continue };
        for dotted in module.uses((def.first, def.last)).dotted.iter().filter(|dotted| dotted.starts_with("self.")) {
            if let Some(Target::Def(path, inner)) = resolve(files, module, Some(*at), dotted)
                && let Some(home) = files.module(&path)
            {
                found.push((home, inner));
            }
        }
    }
    let mut known = BTreeSet::new();
    found.retain(|(module, at)| known.insert((module.path.clone(), *at)));
    found
}

/// The lines that failures name, by file.
pub(super) fn hot(frames: &[Vec<(String, usize)>]) -> BTreeMap<String, BTreeSet<usize>> {
    let mut hot: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    for (path, line) in frames.iter().flatten() {
        hot.entry(path.clone()).or_default().insert(*line);
    }
    hot
}

fn of(hot: &BTreeMap<String, BTreeSet<usize>>, path: &str) -> BTreeSet<usize> {
    hot.get(path).cloned().unwrap_or_default()
}

/// Takes what is around a place that a traceback names.
fn frame(
    files: &Files<'_>,
    shown: &mut Shown<'_>,
    path: &str,
    line: usize,
    hot: &BTreeMap<String, BTreeSet<usize>>,
    detail: Detail,
) -> bool {
    let Some(module) = files.module(path) else { return false };
    let mut at = module.around(line);
    // A function in a function is understood with the outer one.
    while let Some(outer) = at.and_then(|at| module.defs.get(at)?.parent) {
        let Some(def) = module.defs.get(outer).filter(|def| !def.class) else { break };
        if module.slice((def.first, def.last)).len() > detail.whole {
            break;
        }
        at = Some(outer);
    }
    match at {
        Some(at) if !module.defs[at].class => shown.def(&module, at, &of(hot, path), detail),
        Some(at) => {
            shown.headers(&module, at, detail.room);
            shown.window(path, &module.text, line, 8, detail.room)
        }
        // An import that failed leads on, and says no more.
        None if module.imports.iter().any(|import| import.lines.0 <= line && line <= import.lines.1) => {
            shown.take(path, &module.text, module.statement(line), detail.room)
        }
        None => shown.window(path, &module.text, line, 8, detail.room),
    }
}

/// What a test uses of the project, what its failing statement uses first.
fn referents(
    files: &Files<'_>,
    (module, at): (&Rc<Module>, usize),
    far: &[Rc<Module>],
    hot: &BTreeSet<usize>,
) -> Vec<Target> {
    let Some(def) = module.defs.get(at) else { return Vec::new() };
    let failing = hot.iter().filter(|line| def.first <= **line && **line <= def.last);
    let mut stretches: Vec<(usize, usize)> = failing.map(|line| module.statement(*line)).collect();
    stretches.push((def.first, def.last));
    let mut found = Vec::new();
    let all = module.uses((def.first, def.last));
    let classes: Vec<(Rc<Module>, usize)> = (all.dotted.iter())
        .filter_map(|dotted| match resolve(files, module, Some(at), dotted)? {
            Target::Def(path, class) => Some((files.module(&path)?, class)),
            _ => None,
        })
        .collect();
    for stretch in stretches {
        let uses = module.uses(stretch);
        // What the statement does to values of the classes at hand, by operators too.
        for (home, class) in classes.iter().filter(|_| stretch != (def.first, def.last)) {
            found_members(files, home, *class, &uses, &mut found);
        }
        for dotted in &uses.dotted {
            let Some(target) = resolve(files, module, Some(at), dotted) else { continue };
            if target == Target::Def(module.path.clone(), at) {
                continue;
            }
            push(&mut found, target.clone());
            if let Target::Def(path, class) = &target
                && let Some(home) = files.module(path)
            {
                found_members(files, &home, *class, &uses, &mut found);
            }
        }
        methods_by_name(files, &found.clone(), far, &uses, &mut found);
    }
    found
}

/// Is it what a good part of the module's tests use: the way in, and seldom what one of them is about?
fn is_usual(files: &Files<'_>, module: &Module, target: &Target) -> bool {
    let Target::Def(path, at) = target else { return false };
    let Some(home) = files.module(path) else { return false };
    let Some(name) = home.defs.get(*at).map(|def| def.name.as_str()) else { return false };
    let tests = module.defs.iter().filter(|def| !def.class && def.name.starts_with("test"));
    let (mut all, mut using) = (0, 0);
    for test in tests.take(400) {
        all += 1;
        using += usize::from(has_word(module.slice((test.first, test.last)), name));
    }
    all >= 8 && using * 3 > all
}

fn is_method(files: &Files<'_>, target: &Target) -> bool {
    let Target::Def(path, at) = target else { return false };
    files.module(path).is_some_and(|home| !home.defs[*at].class && home.class_of(*at).is_some())
}

fn push(found: &mut Vec<Target>, target: Target) {
    if !found.contains(&target) {
        found.push(target);
    }
}

/// The methods of a class that are used by name or by operator.
fn found_members(files: &Files<'_>, home: &Module, class: usize, uses: &Uses, found: &mut Vec<Target>) {
    if !home.defs.get(class).is_some_and(|def| def.class) {
        return;
    }
    for attribute in &uses.attributes {
        if let Some(target) = method(files, home, class, attribute, 4) {
            push(found, target);
        }
    }
}

/// Methods that are called on values whose class nothing says: where the modules at hand know one or two of the name.
fn methods_by_name(files: &Files<'_>, known: &[Target], far: &[Rc<Module>], uses: &Uses, found: &mut Vec<Target>) {
    let modules: BTreeSet<&str> = known.iter().map(Target::path).filter(|path| !is_test(path)).collect();
    let near: Vec<Rc<Module>> = modules.iter().filter_map(|path| files.module(path)).collect();
    for attribute in uses.attributes.iter().filter(|name| !name.starts_with("__") && name.len() > 4) {
        let mut of_name = Vec::new();
        // A long name means the same wherever it is defined.
        let modules = if attribute.len() > 9 && attribute.contains('_') { far } else { &near };
        for module in modules {
            for (at, def) in module.defs.iter().enumerate() {
                if def.name == *attribute && module.class_of(at).is_some() {
                    of_name.push(Target::Def(module.path.clone(), at));
                }
            }
        }
        if of_name.len() <= 2 {
            of_name.into_iter().for_each(|target| push(found, target));
        }
    }
}

/// Takes what the messages name in quotes: a class by its head and its constructor, and the other places of a name
/// that is rare (a misspelled one seldom stands alone).
fn mentioned(files: &Files<'_>, shown: &mut Shown<'_>, pointed: &Pointed<'_>, far: &[Rc<Module>], room: usize) {
    let mut names = BTreeSet::new();
    for failure in pointed.failures.iter().take(8) {
        let quoted = failure.message.split(['\'', '"', '`']).skip(1).step_by(2);
        let plain = |c: char| c.is_alphanumeric() || c == '_';
        names.extend(quoted.filter(|name| (4..60).contains(&name.len()) && name.chars().all(plain)));
    }
    for name in names.into_iter().take(8) {
        let mut places = Vec::new();
        for module in far.iter().filter(|module| module.text.contains(name)) {
            if let Some(class) = module.defs.iter().position(|def| def.name == name && def.class) {
                let detail = Detail { whole: 1500, doc: 200, room };
                show(files, shown, &Target::Def(module.path.clone(), class), &BTreeMap::new(), detail);
            }
            let lines = module.text.lines().enumerate().filter(|(_, line)| line.contains(name));
            places.extend(lines.map(|(at, _)| (Rc::clone(module), at + 1)).take(8));
        }
        if places.len() <= 4 {
            for (module, line) in places {
                if !shown.has(&module.path, line) && shown.window(&module.path, &module.text, line, 3, room) {
                    module.around(line).into_iter().for_each(|at| shown.headers(&module, at, room));
                }
            }
        }
    }
}

/// Takes what a name means: a function, a class (its whole where it is small, else its head and its constructor), a
/// constant.
fn show(
    files: &Files<'_>,
    shown: &mut Shown<'_>,
    target: &Target,
    hot: &BTreeMap<String, BTreeSet<usize>>,
    detail: Detail,
) -> bool {
    match target {
        Target::Def(path, at) => {
            let Some(module) = files.module(path) else { return false };
            let Some(def) = module.defs.get(*at) else { return false };
            if !def.class || module.slice((def.first, def.last)).len() <= detail.whole.min(2600) {
                return shown.def(&module, *at, &of(hot, path), detail);
            }
            let taken = shown.take(path, &module.text, (def.first, def.header), detail.room);
            let short = Detail { whole: 1200, doc: 200, ..detail };
            for (inner, member) in module.members(*at) {
                // A long one matters where it is called with keywords.
                let size = module.slice((member.first, member.last)).len();
                if matches!(member.name.as_str(), "__init__" | "__new__" | "__post_init__") && size <= short.whole {
                    shown.def(&module, inner, &BTreeSet::new(), short);
                }
            }
            taken
        }
        Target::Constant(path, lines) => {
            let Some(module) = files.module(path) else { return false };
            let short = module.slice(*lines).len() <= 1200;
            short && shown.take(path, &module.text, *lines, detail.room)
        }
        Target::Module(_) => false,
    }
}

/// Takes what makes a constant: the functions, and the constants that it is put together from.
fn made(files: &Files<'_>, shown: &mut Shown<'_>, (path, lines): (&str, (usize, usize)), detail: Detail) -> bool {
    let mut led = false;
    let mut open = vec![(path.to_owned(), lines)];
    let mut seen = BTreeSet::new();
    while let Some((path, lines)) = open.pop() {
        let Some(module) = files.module(&path).filter(|_| seen.len() < 8 && seen.insert((path.clone(), lines))) else {
            continue;
        };
        for target in module.uses(lines).dotted.iter().filter_map(|dotted| resolve(files, &module, None, dotted)) {
            led |= show(files, shown, &target, &BTreeMap::new(), detail);
            if let Target::Constant(path, lines) = target {
                open.push((path, lines));
            }
        }
    }
    led
}

/// Takes what the shown functions of the product call, where it is small.
fn callees(files: &Files<'_>, shown: &mut Shown<'_>, hot: &BTreeMap<String, BTreeSet<usize>>, detail: Detail) {
    for path in shown.paths().to_vec() {
        if is_test(&path) || name(&path) == "setup.py" {
            continue;
        }
        let Some(module) = files.module(&path) else { continue };
        for stretch in shown.stretches(&path) {
            // What stands at a module's top was taken for what it is, not for what made it.
            let Some(within) = module.around(stretch.1) else { continue };
            let own = |target: &Target| matches!(target, Target::Def(home, _) if *home == path);
            let uses = module.uses(stretch);
            let mut targets: Vec<Target> =
                uses.dotted.iter().filter_map(|dotted| resolve(files, &module, Some(within), dotted)).collect();
            targets.sort_by_key(|target| !own(target));
            for target in targets.iter().take(12) {
                let class = match target {
                    Target::Def(home, at) => {
                        files.module(home).is_some_and(|m| m.defs.get(*at).is_some_and(|d| d.class))
                    }
                    _ => false,
                };
                if !class {
                    show(files, shown, target, hot, detail);
                }
            }
        }
    }
}

/// Every module has these, and no repair hangs on them.
fn is_typing(module: &str) -> bool {
    matches!(module, "typing" | "__future__" | "collections.abc" | "typing_extensions")
}

/// Takes the import lines that the shown code needs, and the constants that it uses.
pub(super) fn needs(files: &Files<'_>, shown: &mut Shown<'_>, room: usize) {
    for path in shown.paths().to_vec() {
        let Some(module) = files.module(&path) else { continue };
        let mut used = BTreeSet::new();
        for stretch in shown.stretches(&path) {
            let uses = module.uses(stretch);
            used.extend(uses.dotted.iter().filter_map(|dotted| Some(dotted.split('.').next()?.to_owned())));
        }
        for import in module
            .imports
            .iter()
            .filter(|import| import.top && used.contains(&import.name) && !is_typing(&import.module))
        {
            let (first, last) = import.lines;
            if last - first < 25 {
                shown.take(&path, &module.text, (first, last), room);
            }
        }
        let constants = module.constants.iter().filter(|(name, _)| used.contains(name));
        for (_, lines) in constants.take(10) {
            if module.slice(*lines).len() <= 400 {
                shown.take(&path, &module.text, *lines, room);
            }
        }
    }
}
