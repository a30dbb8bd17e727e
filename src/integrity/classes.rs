//! Classes of tests: what they are built of. A base, a metaclass, a decorator or an inherited method can change every test
//! of a class, and none of them changes a line.

use super::Finding;
use super::compare::lost;
use super::context::Context;
use super::python::among;
use super::units::{Class, Suite};
use std::collections::BTreeSet;

/// Methods by which a class changes itself, or those that derive from it.
const MACHINERY: &str = "__init_subclass__ __new__ __getattribute__ __getattr__ __class_getitem__ __prepare__ __init__ \
    __set_name__ __subclasshook__ run __call__ debug";

/// Decorators of classes that leave the tests alone.
const HARMLESS: &str = "pytest unittest mock patch dataclass dataclasses attr attrs override_settings freeze_time responses \
    final runtime_checkable define frozen";

pub(crate) fn judge(
    context: &Context<'_>,
    path: &str,
    before: Option<&Suite>,
    after: &Suite,
    findings: &mut Vec<Finding>,
) {
    let Some(before) = before else { return };
    let mut refuse = |rule: &'static str, line: u32, message: String| {
        findings.push(Finding::refuse(rule, Some(path), message).at(line));
    };
    for class in &after.classes {
        let Some(old) = before.classes.iter().find(|c| c.qual == class.qual) else {
            let shadowed = before.imports.get(&class.qual).is_some_and(|m| context.is_tree(m));
            if shadowed {
                refuse(
                    "subject-replaced",
                    class.line,
                    format!("`{}` is now defined by the tests themselves.", class.qual),
                );
            }
            continue;
        };
        let name = &class.qual;
        for decorator in lost(&class.decorators, &old.decorators, String::clone) {
            let root = decorator.split(['.', '(']).next().unwrap_or("");
            if decorator.contains("create=True") {
                refuse("subject-mocked", class.line, format!("`@{decorator}` brings a name into what `{name}` tests."));
                continue;
            }
            if !among(HARMLESS, root) {
                refuse(
                    "assertion-overridden",
                    class.line,
                    format!("`@{decorator}` may change every test of `{name}`."),
                );
            }
        }
        for keyword in lost(&class.keywords, &old.keywords, String::clone) {
            refuse("assertion-overridden", class.line, format!("`{keyword}` may change every test of `{name}`."));
        }
        for base in lost(&class.bases, &old.bases, String::clone) {
            let end = base.rsplit('.').next().unwrap_or(&base);
            // A base that only prepares and helps is a refactoring.
            let harmless = after.classes.iter().find(|c| c.qual == end).is_some_and(|c| {
                let changes =
                    |m: &String| among(MACHINERY, m) || super::tamper::is_assertion(m) || m.starts_with("test");
                c.keywords.is_empty() && c.decorators.is_empty() && !c.members.iter().any(changes)
            });
            if context.tests_define(end) && !harmless {
                let message = format!("`{name}` now derives from `{base}`, which this change brings.");
                refuse("assertion-overridden", class.line, message);
            }
        }
        members(before, old, class, &mut refuse);
    }
}

/// What a class now has of its own, and had from elsewhere before.
fn members(before: &Suite, old: &Class, class: &Class, refuse: &mut impl FnMut(&'static str, u32, String)) {
    let known: BTreeSet<&str> = old.members.iter().map(String::as_str).collect();
    let prefix = format!("{}.", class.qual);
    let used: BTreeSet<&str> = (before.units.iter())
        .filter(|u| u.qual.starts_with(&prefix))
        .flat_map(|u| u.calls.iter().map(String::as_str).chain(u.facts.iter().map(|f| f.head.as_str())))
        .filter_map(|c| c.strip_prefix("self."))
        .map(|c| c.split(['.', ':', '(', ' ', '[']).next().unwrap_or(""))
        .collect();
    for member in class.members.iter().filter(|m| !known.contains(m.as_str())) {
        if among(MACHINERY, member) && !(member == "__init__" && old.bases.is_empty()) {
            refuse("assertion-overridden", class.line, format!("`{}.{member}` may change every test.", class.qual));
        } else if used.contains(member.as_str()) {
            let message = format!("`{}` now has its own `{member}`, which its tests had from elsewhere.", class.qual);
            refuse("assertion-overridden", class.line, message);
        }
    }
}
