//! The repository in a few lines, and the other names of the modules at hand.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    files::{Files, bounded, is_python, is_test, parent},
    module::Def,
    shown::Shown,
};

/// The longest outline.
const OUTLINE: usize = 300;
/// The longest list of one module's names.
const NAMES: usize = 240;

/// Folders with the number of their files, those with Python first.
pub(super) fn outline(files: &Files<'_>) -> String {
    let mut folders: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for path in files.paths().iter().filter(|path| !path.starts_with('.')) {
        // Two levels say what lies where.
        let folder = parent(path);
        let cut = folder.match_indices('/').nth(1).map_or(folder.len(), |(at, _)| at);
        let counts = folders.entry(&folder[..cut]).or_default();
        counts.0 += usize::from(is_python(path));
        counts.1 += 1;
    }
    let mut folders: Vec<(&str, (usize, usize))> = folders.into_iter().collect();
    folders.sort_by_key(|(folder, (python, all))| (std::cmp::Reverse(*python), std::cmp::Reverse(*all), *folder));
    let mut text = String::new();
    for (folder, (python, all)) in folders {
        let folder = bounded(folder, 100);
        let entry = match python {
            0 => format!("{folder}/ {all}"),
            _ => format!("{folder}/ {python} py of {all}"),
        };
        if text.len() + entry.len() + 2 > OUTLINE {
            text.push_str(", …");
            break;
        }
        if !text.is_empty() {
            text.push_str(", ");
        }
        text.push_str(&entry);
    }
    text
}

/// What else the product's modules at hand define, two modules at most: first what the classes have that are shown in
/// part, the one first of which most is shown.
pub(super) fn names(files: &Files<'_>, shown: &Shown<'_>) -> String {
    let product = shown.paths().iter().filter(|path| is_python(path) && !is_test(path));
    let mut text = String::new();
    for path in product.take(2) {
        let Some(module) = files.module(path) else { continue };
        let mut classes: Vec<(usize, String)> = Vec::new();
        for (at, class) in module.defs.iter().enumerate().filter(|(_, def)| def.class) {
            let lines = (class.header + 1..=class.last).filter(|line| shown.has(path, *line)).count();
            let unseen: Vec<&Def> =
                module.members(at).map(|(_, member)| member).filter(|member| !shown.has(path, member.header)).collect();
            if lines > 0 && !unseen.is_empty() {
                classes.push((lines, format!("class {} has besides: {}\n", class.name, list(&unseen, NAMES * 2))));
            }
        }
        classes.sort_by_key(|(lines, _)| std::cmp::Reverse(*lines));
        let top: Vec<&Def> = module.defs.iter().filter(|def| def.parent.is_none()).collect();
        let unseen: Vec<&Def> =
            top.into_iter().filter(|def| !def.name.starts_with("__") && !shown.has(path, def.first)).collect();
        classes.iter().take(2).for_each(|(_, line)| text.push_str(line));
        if !unseen.is_empty() {
            text.push_str(&format!("{path} also defines: {}\n", list(&unseen, NAMES)));
        }
    }
    text
}

/// Names, each once, as many as there is room for.
fn list(defs: &[&Def], most: usize) -> String {
    let mut line = String::new();
    let mut known = BTreeSet::new();
    for def in defs.iter().filter(|def| known.insert(def.name.as_str())) {
        if line.len() + def.name.len() > most {
            line.push_str(" …");
            break;
        }
        line.push_str(if line.is_empty() { "" } else { ", " });
        line.push_str(&def.name);
    }
    line
}
