//! Where the state comes from that the code on a failure's way reads: constructors that are called with keywords, and
//! the places that assign what is read.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use super::{
    files::{Files, is_test},
    module::{Def, Module},
    places::has_word,
    related::words,
    resolve::{Target, method, resolve},
    shown::Shown,
};

/// A function: its module, and its place among the definitions.
pub(super) type Function = (Rc<Module>, usize);

/// Constructors that are shown, and the most of one, in bytes.
const CONSTRUCTORS: usize = 3;
const CONSTRUCTOR: usize = 1200;
/// Attributes whose writers are shown, and the most that may be shown of all of them.
const ATTRIBUTES: usize = 3;
const WRITERS: usize = 1400;
/// Callers of a setter.
const CALLERS: usize = 3;
/// The most of the first caller's body.
const CALLER: usize = 3600;
/// A signature that is shown whole.
const SIGNATURE: usize = 10;

/// Takes what constructors make of the keywords that a test passes to them. Is there any?
pub(super) fn constructors(files: &Files<'_>, shown: &mut Shown<'_>, (module, at): &Function, room: usize) -> bool {
    let Some(def) = module.defs.get(*at) else { return false };
    let mut left = CONSTRUCTORS;
    let mut led = false;
    for (dotted, keywords) in module.uses((def.first, def.last)).keywords {
        let Some(Target::Def(path, called)) = resolve(files, module, Some(*at), &dotted) else { continue };
        let Some(home) = files.module(&path).filter(|home| left > 0 && !is_test(&home.path)) else { continue };
        // A keyword that a class passes on is its base's.
        let (mut home, mut class_at, mut wanted) = (home, called, keywords);
        for _ in 0..4 {
            if !home.defs.get(class_at).is_some_and(|def| def.class) {
                break;
            }
            let Some(Target::Def(path, made)) =
                ["__init__", "__new__"].iter().find_map(|name| method(files, &home, class_at, name, 5))
            else {
                break;
            };
            let Some(owner) = files.module(&path) else { break };
            let Some(making) = owner.defs.get(made) else { break };
            left = left.saturating_sub(1);
            let (own, passed): (Vec<String>, Vec<String>) =
                wanted.into_iter().partition(|keyword| making.takes.contains(keyword));
            if !own.is_empty() {
                constructor(shown, &owner, made, &own, room);
                led = true;
            }
            wanted = passed;
            let Some(parent) = owner.class_of(made).filter(|_| !wanted.is_empty()) else { break };
            // The first base that has a constructor.
            let bases = owner.defs.get(parent).map(|def| def.takes.clone()).unwrap_or_default();
            let Some((path, base)) = bases.iter().find_map(|base| match resolve(files, &owner, None, base)? {
                Target::Def(path, at) => Some((path, at)),
                _ => None,
            }) else {
                break;
            };
            let Some(next) = files.module(&path) else { break };
            (home, class_at) = (next, base);
        }
    }
    led
}

/// Takes a constructor where it handles these keywords: whole where it is short.
fn constructor(shown: &mut Shown<'_>, module: &Module, at: usize, keywords: &[String], room: usize) {
    let Some(def) = module.defs.get(at) else { return };
    let path = module.path.as_str();
    let before = shown.used();
    let most = |shown: &Shown<'_>| room.min(before + CONSTRUCTOR).max(shown.used());
    shown.headers(module, at, room);
    if module.slice((def.first, def.last)).len() <= CONSTRUCTOR {
        shown.take(path, &module.text, (def.first, def.last), room);
        return;
    }
    let body = def.doc.map_or(def.header, |(_, last)| last) + 1;
    let mut lines: Vec<(bool, usize)> = Vec::new();
    for (number, line) in (body..=def.last).map(|number| (number, module.slice((number, number)))) {
        if let Some(keyword) = keywords.iter().find(|keyword| has_word(line, keyword)) {
            let assigned = line.trim_start().starts_with(&format!("self.{keyword} "));
            lines.push((!assigned, number));
        }
    }
    lines.sort_unstable();
    signature(shown, module, def, room);
    for (_, line) in lines.iter().take(8) {
        let room = most(shown);
        let stretch = (line.saturating_sub(3).max(body), (line + 3).min(def.last));
        if !shown.take(path, &module.text, stretch, room) {
            shown.take(path, &module.text, module.statement(*line), room);
        }
    }
}

fn signature(shown: &mut Shown<'_>, module: &Module, def: &Def, room: usize) {
    let last = if def.header - def.first < SIGNATURE { def.header } else { def.first };
    shown.take(&module.path, &module.text, (def.first, last), room);
}

/// An attribute that a function on the way reads: the module, the class, its name.
type Read = (Rc<Module>, usize, String);

/// Takes the places that assign what these functions read: the attributes first whose names the failure speaks of.
pub(super) fn writers(
    files: &Files<'_>,
    shown: &mut Shown<'_>,
    way: &[Function],
    wanted: &BTreeMap<String, f64>,
    room: usize,
) {
    let mut found: Vec<(f64, usize, Read)> = Vec::new();
    for (order, (module, at)) in way.iter().enumerate().take(24) {
        let (Some(class), Some(def)) = (module.class_of(*at), module.defs.get(*at)) else { continue };
        for name in module.uses((def.first, def.last)).read {
            let known = found.iter().any(|(.., (home, of, known))| {
                home.path == module.path
                    && *known == name
                    && (*of == class || family(files, module, class).contains(of))
            });
            if known || method(files, module, class, &name, 5).is_some() {
                continue;
            }
            let mut score = 0.0;
            words(&name, |word| score += wanted.get(word).copied().unwrap_or(0.0));
            found.push((score, order, (Rc::clone(module), class, name)));
        }
    }
    found.retain(|(score, ..)| *score > 0.0);
    found.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, &a.2.2).cmp(&(b.1, &b.2.2))));
    let room = room.min(shown.used() + WRITERS);
    for (.., read) in found.iter().take(ATTRIBUTES) {
        written(files, shown, read, room);
    }
}

/// A class, its bases and its subclasses, as far as they stand in its module.
fn family(files: &Files<'_>, module: &Module, class: usize) -> BTreeSet<usize> {
    let mut family = BTreeSet::from([class]);
    let bases = |at: usize| -> Vec<usize> {
        let takes = module.defs.get(at).map(|def| def.takes.clone()).unwrap_or_default();
        let here = takes.iter().filter_map(|base| match resolve(files, module, None, base)? {
            Target::Def(path, at) if path == module.path => Some(at),
            _ => None,
        });
        here.collect()
    };
    let mut open = vec![class];
    while let Some(at) = open.pop() {
        open.extend(bases(at).into_iter().filter(|base| family.insert(*base)));
    }
    for (at, _) in module.defs.iter().enumerate().filter(|(_, def)| def.class) {
        if bases(at).contains(&class) {
            family.insert(at);
        }
    }
    family
}

fn written(files: &Files<'_>, shown: &mut Shown<'_>, (module, class, name): &Read, room: usize) {
    let path = module.path.as_str();
    let family = family(files, module, *class);
    let mut places: Vec<(bool, bool, usize, usize)> = Vec::new();
    for (at, def) in module.defs.iter().enumerate().filter(|(_, def)| !def.class) {
        if !has_word(module.slice((def.first, def.last)), name) || module.around(def.header) != Some(at) {
            continue;
        }
        let kin = module.class_of(at).is_some_and(|class| family.contains(&class));
        for (own, written, line) in module.uses((def.header, def.last)).written {
            // Of another object, a name that is not everybody's tells that it is the same.
            if written == *name && module.around(line) == Some(at) && (own && kin || !own && name.len() > 5) {
                places.push((!own, def.name.starts_with("__"), line, at));
            }
        }
    }
    places.sort_unstable();
    for (_, special, line, at) in places.iter().take(6) {
        let Some(def) = module.defs.get(*at) else { continue };
        let (first, last) = module.statement(*line);
        let last = last.min(first + 8);
        let window = (first.saturating_sub(2).max(def.first), last + 2);
        if !shown.take(path, &module.text, window, room) && !shown.take(path, &module.text, (first, last), room) {
            continue;
        }
        let tiny = def.last - def.doc.map_or(def.header, |(_, last)| last) <= 6;
        shown.headers(module, *at, room);
        signature(shown, module, def, room);
        if tiny && !special {
            callers(shown, module, *at, room);
        }
    }
}

/// Takes the places of the module that call a method: of the first function what surrounds them too, since the order
/// of its steps may be the fault.
fn callers(shown: &mut Shown<'_>, module: &Module, at: usize, room: usize) {
    let Some(def) = module.defs.get(at) else { return };
    let call = format!(".{}(", def.name);
    // A short name is another's too.
    let own = if def.name.len() > 8 { call.clone() } else { format!("self{call}") };
    let lines = module.text.lines().enumerate().filter(|(_, line)| line.contains(&own)).map(|(at, _)| at + 1);
    for (order, line) in lines.filter(|line| !(def.first..=def.last).contains(line)).take(CALLERS).enumerate() {
        let around = module.around(line);
        let body = around.and_then(|at| module.defs.get(at)).filter(|def| order == 0 && !def.class);
        let body = body.map(|def| (def.doc.map_or(def.header, |(_, last)| last) + 1, def.last));
        if let Some(body) = body.filter(|body| module.slice(*body).len() <= CALLER) {
            shown.take(&module.path, &module.text, body, room + CALLER);
        } else if !shown.take(&module.path, &module.text, (line.saturating_sub(4).max(1), line + 2), room) {
            continue;
        }
        let Some(around) = around else { continue };
        shown.headers(module, around, room + CALLER);
        signature(shown, module, &module.defs[around], room + CALLER);
    }
}
