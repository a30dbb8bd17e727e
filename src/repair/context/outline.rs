//! The repository in a few lines, and the other names of the modules at hand.

use std::collections::BTreeMap;

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

/// The top-level names of the product's modules at hand that are not shown, two modules at most.
pub(super) fn names(files: &Files<'_>, shown: &Shown<'_>) -> String {
    let product = shown.paths().iter().filter(|path| is_python(path) && !is_test(path));
    let mut text = String::new();
    for path in product.take(2) {
        let Some(module) = files.module(path) else { continue };
        let unseen = module.defs.iter().filter(|def| def.parent.is_none() && !shown.has(path, def.header));
        let mut line = String::new();
        for def in unseen.filter(|def| !def.name.starts_with("__")) {
            if line.len() + def.name.len() > NAMES {
                line.push_str(" …");
                break;
            }
            line.push_str(if line.is_empty() { "" } else { ", " });
            line.push_str(&def.name);
        }
        if !line.is_empty() {
            text.push_str(&format!("{path} also defines: {line}\n"));
        }
        // Of a class that is shown in part, what else it has.
        let partly = |def: &&Def| def.class && shown.has(path, def.header) && !shown.has(path, def.last);
        for (at, class) in module.defs.iter().enumerate().filter(|(_, def)| partly(def)).take(2) {
            let unseen = module.members(at).filter(|(_, member)| !shown.has(path, member.header));
            let members: Vec<&str> = unseen.map(|(_, member)| member.name.as_str()).collect();
            if !members.is_empty() {
                let members = members.join(", ");
                text.push_str(&format!("class {} has besides: {}\n", class.name, bounded(&members, NAMES * 2)));
            }
        }
    }
    text
}
