//! Two versions of one unit of a test file: what the later one no longer asserts.

use super::cases::Said;
use super::context::{Context, File};
use super::facts::Fact;
use super::fed::Fed;
use super::python::last;
use super::relations::{broad, loosened, narrower, related, tightened};
use super::units::{Kind, Suite, Unit};
use super::{Finding, FixType, Severity, evidence};
use std::collections::{BTreeMap, BTreeSet};

/// Everything that a comparison needs.
pub(crate) struct Compared<'a> {
    pub(crate) context: &'a Context<'a>,
    pub(crate) file: &'a File<'a>,
    pub(crate) before_path: &'a str,
    pub(crate) suite_before: &'a Suite,
    pub(crate) suite_after: &'a Suite,
    /// Facts that were added elsewhere, by key: a lost fact found there has only moved.
    pub(crate) elsewhere: &'a [Fact],
    /// What new and changed tests say, all of them together.
    pub(crate) said: &'a dyn Fn() -> &'a BTreeSet<Said>,
}

/// What is in `before` more often than in `after`.
pub(crate) fn lost<T: Clone, K: Ord>(before: &[T], after: &[T], key: impl Fn(&T) -> K) -> Vec<T> {
    let mut counts: BTreeMap<K, usize> = BTreeMap::new();
    for item in after {
        *counts.entry(key(item)).or_default() += 1;
    }
    (before.iter())
        .filter(|item| match counts.get_mut(&key(item)) {
            Some(count) if *count > 0 => {
                *count -= 1;
                false
            }
            _ => true,
        })
        .cloned()
        .collect()
}

/// Identifiers, and every other character by itself.
pub(crate) fn words(text: &str) -> Vec<&str> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let len = if is_word(first) { rest.find(|c| !is_word(c)).unwrap_or(rest.len()) } else { first.len_utf8() };
        found.push(&rest[..len]);
        rest = &rest[len..];
    }
    found
}

/// Are both the same but for the names of locals, or of what the source renamed?
pub(crate) fn same_but_for_names(
    context: &Context<'_>,
    suites: Option<(&Suite, &Suite)>,
    before: &Unit,
    after: &Unit,
) -> bool {
    // A module of the project that is gone may be imported by another name; so may what is not the project's.
    let imported = |old: &str, new: &str| {
        suites.is_some_and(|(then, now)| match (then.imports.get(old), now.imports.get(new)) {
            (Some(from), Some(to)) => {
                let gone = context.module_file(from).is_none() && !context.is_project(from) && !context.is_project(to);
                let moved = context.is_project(from)
                    && context.module_file(from).is_none()
                    && from.rsplit_once('.').is_none_or(|(parent, name)| {
                        let holder =
                            context.module_file(parent).map(|(_, bytes)| String::from_utf8_lossy(&bytes).into_owned());
                        holder.is_none_or(|text| !words(&text).contains(&name))
                    });
                !now.imports.contains_key(old) && (gone || moved)
            }
            _ => false,
        })
    };
    let (left, right) = (words(&before.whole), words(&after.whole));
    if left.len() != right.len() {
        return false;
    }
    let mut forth: BTreeMap<&str, &str> = BTreeMap::new();
    let mut back: BTreeMap<&str, &str> = BTreeMap::new();
    for (old, new) in left.iter().zip(&right) {
        if *forth.entry(old).or_insert(new) != *new || *back.entry(new).or_insert(old) != *old {
            return false;
        }
        let local = before.locals.contains(*old) && after.locals.contains(*new) && !after.locals.contains(*old);
        if old != new && !local && !context.renamed(old, new) && !imported(old, new) {
            return false;
        }
    }
    true
}

impl Compared<'_> {
    pub(crate) fn refuse(&self, rule: &'static str, line: u32, message: String) -> Finding {
        Finding::refuse(rule, Some(self.file.path), message).at(line)
    }

    /// An expectation changed: refused, or flagged where it was declared and the tree shows the new value.
    pub(crate) fn rewritten(
        &self,
        unit: &Unit,
        rule: &'static str,
        line: u32,
        message: String,
        new: &[String],
    ) -> Finding {
        let mut finding = self.refuse(rule, line, message);
        if self.context.input.declared == Some(FixType::Test) {
            let subjects = self.subjects(unit);
            finding.witnesses = evidence::of(self.context, self.before_path, &unit.qual, &subjects, new);
            match finding.witnesses.first() {
                Some(seen) => {
                    finding.severity = Severity::Flag;
                    finding.evidence = seen.to_string();
                }
                None => finding
                    .message
                    .push_str(" It is declared as a test fix, but nothing else in the tree asserts the new value."),
            }
        }
        finding
    }

    /// The project's names that the unit calls.
    fn subjects(&self, unit: &Unit) -> Vec<String> {
        let named = |call: &&String| {
            let root = call.split('.').next().unwrap_or("");
            self.suite_before.imports.get(root).is_some_and(|m| self.context.is_project(m))
        };
        let mut found: Vec<String> = unit.calls.iter().filter(named).map(|c| last(c).to_string()).collect();
        for fact in &unit.facts {
            for word in words(&fact.key) {
                if self.suite_before.imports.get(word).is_some_and(|m| self.context.is_project(m)) {
                    found.push(word.to_string());
                }
            }
        }
        found.sort();
        found.dedup();
        found
    }

    pub(crate) fn units(&self, before: &Unit, after: &Unit, findings: &mut Vec<Finding>) {
        if before.guards == after.guards
            && (before.whole == after.whole
                || same_but_for_names(self.context, Some((self.suite_before, self.suite_after)), before, after))
        {
            return;
        }
        let start = findings.len();
        let fed = self.fed(before, after);
        self.disabled(before, after, findings);
        self.unasserted(before, after, findings);
        if fed.all_said {
            self.mocks(before, after, findings);
            self.given(before, after, &fed, findings);
            return;
        }
        self.cases(before, after, findings);
        self.facts(before, after, &fed, findings);
        self.replaced(before, after, findings);
        let refused = |findings: &[Finding]| findings.iter().skip(start).any(|f| f.severity == Severity::Refuse);
        if findings.len() == start && !fed.says_the_same() && !self.says_it_elsewhere(before, &fed) {
            self.values(before, after, findings);
        }
        if !refused(findings) {
            self.given(before, after, &fed, findings);
        }
    }

    fn cases(&self, before: &Unit, after: &Unit, findings: &mut Vec<Finding>) {
        let gone = lost(&before.cases, &after.cases, String::clone);
        let Some(first) = gone.first() else { return };
        let new = lost(&after.cases, &before.cases, String::clone);
        if new.len() < gone.len() {
            let message = format!("`{}` lost {} of its parametrized cases.", after.qual, gone.len() - new.len());
            findings.push(
                self.refuse("test-case-lost", after.line, message).texts(Some(first), new.first().map(String::as_str)),
            );
        } else {
            let message = format!("A parametrized case of `{}` was rewritten.", after.qual);
            let values: Vec<String> = lost(&split_values(&new), &split_values(&gone), String::clone);
            findings.push(
                self.rewritten(before, "expectation-rewritten", after.line, message, &values)
                    .texts(Some(first), new.first().map(String::as_str)),
            );
        }
    }

    fn facts(&self, before: &Unit, after: &Unit, fed: &Fed, findings: &mut Vec<Finding>) {
        let mut gained = after.facts.clone();
        let mut gone: Vec<&Fact> = Vec::new();
        let respelled = self.respelled(fed);
        let guards = |facts: &[Fact], line: u32| facts.iter().find(|f| f.line == line).map(|f| f.guards.clone());
        let same = |(was, is): &&(u32, u32)| guards(&before.facts, *was) == guards(&after.facts, *is);
        let (old, new): (Vec<u32>, Vec<u32>) = respelled.iter().filter(same).copied().unzip();
        gained.retain(|f| !new.contains(&f.line));
        for fact in before.facts.iter().filter(|f| !old.contains(&f.line)) {
            // The copy with the fewest guards is the one that stands for it.
            let same = (0..gained.len())
                .filter(|i| gained[*i].key == fact.key)
                .min_by_key(|i| lost(&gained[*i].guards, &fact.guards, String::clone).len());
            match same {
                Some(index) => self.guarded(before, after, fact, &gained.remove(index), findings),
                None => gone.push(fact),
            }
        }
        let kept = if gone.is_empty() { BTreeSet::new() } else { self.said_elsewhere(before, fed) };
        for fact in gone {
            if kept.contains(&fact.line) {
                continue;
            }
            if self.elsewhere.iter().any(|f| f.key == fact.key) && before.kind != Kind::Test {
                continue;
            }
            let near = (0..gained.len()).find(|i| related(fact, &gained[*i]));
            let found = near.map(|index| gained.remove(index));
            if let Some(finding) = self.changed_fact(before, after, fact, found.as_ref()) {
                findings.push(finding);
            }
        }
    }

    fn guarded(&self, unit: &Unit, after: &Unit, fact: &Fact, now: &Fact, findings: &mut Vec<Finding>) {
        let new: Vec<String> = lost(&now.guards, &fact.guards, String::clone);
        let old = lost(&fact.guards, &now.guards, String::clone);
        let Some(guard) = new.iter().find(|g| passes_over(g, after)) else {
            if new.len() > old.len() && new.iter().any(|g| g.starts_with("for ")) {
                let message = format!("An assertion of `{}` now stands in a loop.", unit.qual);
                findings.push(Finding::flag("assertion-guarded", Some(self.file.path), message).at(now.line));
            }
            return;
        };
        // A condition or iterated value that was only respelled.
        if old.len() >= new.len()
            && !guard.starts_with("try")
            && !guard.starts_with("after")
            && old.iter().any(|g| g.split(' ').next() == guard.split(' ').next())
        {
            let message = format!("An assertion of `{}` now stands under another condition.", unit.qual);
            findings.push(
                self.refuse("assertion-guarded", now.line, message).texts(old.first().map(String::as_str), Some(guard)),
            );
            return;
        }
        let message = format!("An assertion of `{}` can now be passed over.", unit.qual);
        findings.push(self.refuse("assertion-guarded", now.line, message).texts(Some(&fact.key), Some(guard)));
    }

    fn changed_fact(&self, before: &Unit, after: &Unit, fact: &Fact, now: Option<&Fact>) -> Option<Finding> {
        let texts = |f: Finding| f.texts(Some(&readable(fact)), now.map(readable).as_deref());
        let Some(now) = now else {
            let message = format!("`{}` lost an assertion.", after.qual);
            return Some(texts(self.refuse("assertion-removed", after.line, message)));
        };
        let weaker = |why: &str| {
            let message = format!("An assertion of `{}` was weakened: {why}.", after.qual);
            Some(texts(self.refuse("assertion-weakened", now.line, message)))
        };
        let guards = lost(&now.guards, &fact.guards, String::clone);
        if guards.iter().any(|g| passes_over(g, after)) {
            return weaker("it stands under a new condition");
        }
        if matches!(fact.op.as_str(), "raises" | "warns") {
            if fact.pattern.is_some() && now.pattern.is_none() {
                return weaker("the message is no longer compared");
            }
            if fact.right != now.right && !narrower(&fact.right, &now.right) {
                if broad(&now.right) || now.right.contains(&fact.right) {
                    return weaker("more exceptions are accepted");
                }
            } else if fact.pattern == now.pattern || fact.pattern.is_none() {
                let kept = now.body.iter().all(|s| fact.body.contains(s)) && fact.body.last() == now.body.last();
                return if kept { None } else { self.rewrite(before, fact, now) };
            }
            return self.rewrite(before, fact, now);
        }
        if fact.head == now.head && fact.op == now.op && loosened(fact, now) {
            return weaker("the limit or tolerance is wider");
        }
        if fact.head == now.head && tightened(fact, now) {
            return None;
        }
        if now.rank() < fact.rank() {
            if fact.op == "==" && now.op == "~=" {
                return Some(self.rewritten(
                    before,
                    "assertion-weakened",
                    now.line,
                    format!("`{}` now compares with a tolerance.", after.qual),
                    &[],
                ));
            }
            return weaker("the new one accepts more");
        }
        if now.rank() > fact.rank() && fact.head == now.head {
            return None;
        }
        if now.right.starts_with("ANY") || now.right.ends_with(".ANY") || now.right == now.head {
            return weaker("it can no longer fail");
        }
        self.rewrite(before, fact, now)
    }

    fn rewrite(&self, unit: &Unit, fact: &Fact, now: &Fact) -> Option<Finding> {
        let mut new: Vec<String> = lost(&now.atoms, &fact.atoms, String::clone);
        if let Some(pattern) = now.pattern.as_ref().filter(|p| fact.pattern.as_ref() != Some(p)) {
            new = vec![pattern.clone()];
        }
        let message = format!("`{}` now expects something else.", unit.qual);
        Some(
            self.rewritten(unit, "expectation-rewritten", now.line, message, &new)
                .texts(Some(&readable(fact)), Some(&readable(now))),
        )
    }

    /// Where coverage failed: calls of the program that came into a test, without an assertion that came with them.
    fn unasserted(&self, before: &Unit, after: &Unit, findings: &mut Vec<Finding>) {
        let own = |c: &&String| {
            let root = c.split('.').next().unwrap_or("");
            let imported = after.imports.get(root).or_else(|| self.suite_after.imports.get(root));
            imported.is_some_and(|m| self.context.is_project(m))
        };
        let calls = |unit: &Unit| unit.calls.iter().filter(own).count();
        let asserts = |unit: &Unit| unit.facts.iter().filter(|f| !f.is_weak()).count();
        let more = calls(after) > calls(before) && asserts(after) <= asserts(before);
        if self.context.category() == "coverage" && after.kind == Kind::Test && more {
            let message = format!("`{}` now runs more of the program, and asserts nothing of it.", after.qual);
            findings.push(self.refuse("test-without-assertion", after.line, message));
        }
    }

    /// Values outside assertions: inputs, expected values in variables, constants.
    fn values(&self, before: &Unit, after: &Unit, findings: &mut Vec<Finding>) {
        let keys = |unit: &Unit| unit.literals.iter().map(|l| normal_text(&l.0)).collect::<Vec<_>>();
        let (old, new) = (keys(before), keys(after));
        let gone = lost(&old, &new, String::clone);
        let Some(first) = gone.first() else { return };
        let moved: Vec<String> = self.suite_after.units.iter().flat_map(keys).collect();
        let all_before: Vec<String> = self.suite_before.units.iter().flat_map(keys).collect();
        if lost(&all_before, &moved, String::clone).iter().all(|l| !gone.contains(l)) {
            return;
        }
        let gained = lost(&new, &old, String::clone);
        let line = before.literals.iter().find(|l| normal_text(&l.0) == *first).map_or(before.line, |l| l.1);
        let message = format!("A value that `{}` relied on was changed or removed.", after.qual);
        let rule = if before.fixture.is_some() { "fixture-changed" } else { "expectation-rewritten" };
        let mut finding = self.rewritten(before, rule, after.line, message, &gained);
        if self.context.linted(self.before_path, line, line) {
            finding.severity = Severity::Flag;
            finding.evidence = "a linter reported this line".to_string();
        }
        findings.push(finding.texts(Some(first), gained.first().map(String::as_str)));
    }
}

/// Can an assertion under this guard be passed over?
fn passes_over(guard: &str, unit: &Unit) -> bool {
    match guard.split_once(' ') {
        Some(("for", iterated)) => matches!(iterated, "[]" | "(,)" | "{}" | "range(0)" | "()" | "\"\""),
        Some(("in", name)) if !guard.starts_with("in a ") => !unit.calls.iter().any(|c| last(c) == name),
        _ => true,
    }
}

/// Text without the placeholders that a change of formatting style moves around.
fn normal_text(literal: &str) -> String {
    if !literal.starts_with('"') {
        return literal.to_string();
    }
    literal.replace("\\n", "\n").trim().to_string()
}

fn split_values(cases: &[String]) -> Vec<String> {
    cases.iter().flat_map(|c| c.split(", ").map(ToString::to_string).collect::<Vec<_>>()).collect()
}

fn readable(fact: &Fact) -> String {
    match &fact.pattern {
        Some(pattern) => format!("{} {} matching {pattern}", fact.op, fact.right),
        None if matches!(fact.op.as_str(), "raises" | "warns") => format!("{} {}", fact.op, fact.right),
        None => fact.key.clone(),
    }
}
