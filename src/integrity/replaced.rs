//! What a test is about, and whether something else now stands in its place.

use super::Finding;
use super::compare::{Compared, lost, words};
use super::python::last;
use super::units::{Kind, Suite, Unit};

impl Compared<'_> {
    /// What the test newly replaces.
    pub(crate) fn mocks(&self, before: &Unit, after: &Unit, findings: &mut Vec<Finding>) {
        let full = |suite: &Suite, target: &str| {
            let root = target.split('.').next().unwrap_or("");
            suite.imports.get(root).map_or_else(|| target.to_string(), |m| format!("{m}{}", &target[root.len()..]))
        };
        let named = |suite: &Suite, unit: &Unit| {
            unit.mocks.iter().map(|(t, line)| (full(suite, t), t.clone(), *line)).collect::<Vec<_>>()
        };
        let (old, new) = (named(self.suite_before, before), named(self.suite_after, after));
        let gone = lost(&old, &new, |m| m.0.clone());
        for (_, target, line) in lost(&new, &old, |m| m.0.clone()) {
            // What is replaced has moved, and the test follows it.
            let follows = gone.iter().any(|(was, ..)| last(was) == last(&target) && self.is_gone(was));
            if let Some(finding) = self.mocked(after, &target, line).filter(|_| !follows) {
                findings.push(finding.texts(None, Some(&target)));
            }
        }
    }

    /// Is what a dotted name stood for no longer there?
    fn is_gone(&self, dotted: &str) -> bool {
        dotted.rsplit_once('.').is_some_and(|(module, name)| self.context.defines(module, name) != Some(true))
    }

    /// What the test is about is replaced by something else.
    pub(crate) fn replaced(&self, before: &Unit, after: &Unit, findings: &mut Vec<Finding>) {
        self.mocks(before, after, findings);
        for name in after.locals.difference(&before.locals) {
            let imported = self.suite_before.imports.get(name).or_else(|| self.suite_after.imports.get(name));
            let used = before.kind == Kind::Body
                || before.calls.iter().any(|c| c.split('.').next() == Some(name))
                || before.facts.iter().any(|f| words(&f.key).contains(&name.as_str()));
            if used && imported.is_some_and(|m| self.context.is_tree(m)) {
                let message = format!("`{}` is now a local of `{}`, no longer what was imported.", name, after.qual);
                findings.push(self.refuse("subject-replaced", after.line, message));
            }
        }
        let calls = |unit: &Unit| -> Vec<String> { unit.calls.iter().map(|c| last(c).to_string()).collect() };
        let (old, new) = (calls(before), calls(after));
        for name in lost(&old, &new, String::clone) {
            let imported = self.suite_before.imports.get(&name);
            let through = before.calls.iter().find(|c| last(c) == name).and_then(|c| {
                let root = c.split('.').next().unwrap_or("");
                self.suite_before.imports.get(root).filter(|_| root != name)
            });
            let subject = imported.or(through).is_some_and(|m| self.context.is_project(m));
            let gone = self.context.undefined.contains(&name);
            if subject && !gone && !new.contains(&name) && before.kind == Kind::Test {
                let message = format!("`{}` no longer calls `{name}`, which it tested.", after.qual);
                findings.push(self.refuse("subject-replaced", after.line, message));
            }
        }
    }

    pub(crate) fn mocked(&self, unit: &Unit, target: &str, line: u32) -> Option<Finding> {
        // A method of what the tests have of their own, by which they test.
        if target.starts_with("self.") && self.suite_before.units.iter().any(|u| u.calls.iter().any(|c| c == target)) {
            let message = format!("`{}` replaces what it tests: `{target}`.", unit.qual);
            return Some(self.refuse("subject-mocked", line, message));
        }
        let (assigned, target) = match target.strip_prefix('=') {
            Some(rest) => (true, rest),
            None => (false, target),
        };
        let root = target.split('.').next().unwrap_or("");
        let bound = unit.locals.contains(root) && !unit.imports.contains_key(root);
        if root != "request" && bound && !self.suite_after.imports.contains_key(root) {
            return None;
        }
        let full = match unit.imports.get(root).or_else(|| self.suite_after.imports.get(root)) {
            Some(module) => format!("{module}{}", &target[root.len()..]),
            None if assigned => return None,
            None => target.to_string(),
        };
        let name = last(&full);
        let called =
            unit.calls.iter().any(|c| last(c) == name) || unit.facts.iter().any(|f| words(&f.key).contains(&name));
        let refuse =
            |why: &str| Some(self.refuse("subject-mocked", line, format!("`{}` replaces {why}: `{full}`.", unit.qual)));
        if let Some(name) = full.strip_prefix("request.module.").or(full.strip_prefix("__name__.")) {
            let imported = self.suite_after.imports.get(name);
            return match imported.is_none_or(|module| self.context.is_project(module)) {
                true => refuse("a name of the tests themselves"),
                false => None,
            };
        }
        if let Some((module, name)) = full.rsplit_once('.')
            && let Some((path, bytes)) = self.context.module_file(module)
            && self.context.is_collected(&path)
        {
            let tests = self.context.suite(&super::python::Py::parse(&bytes, false));
            let imported = tests.imports.get(name);
            let own = tests.units.iter().any(|u| u.qual == name);
            if own || imported.is_some_and(|module| self.context.is_project(module)) {
                return refuse("a name of the tests themselves");
            }
        }
        if self.context.is_project(&full) {
            if called {
                return refuse("what it tests");
            }
            let mut module = full.as_str();
            while let Some((parent, _)) = module.rsplit_once('.') {
                let part = full[parent.len() + 1..].split('.').next().unwrap_or("");
                match self.context.defines_code(parent, part) {
                    Some(true) => return refuse("a part of the project"),
                    Some(false) => break,
                    None => {}
                }
                module = parent;
            }
            let message = format!("`{}` replaces something that the project uses: `{full}`.", unit.qual);
            return Some(Finding::flag("subject-mocked", Some(self.file.path), message).at(line));
        }
        if full.starts_with("sys.modules") {
            return refuse("a module");
        }
        if matches!(unit.kind, Kind::Test) && called && !matches!(root, "time" | "sys" | "os" | "random") {
            let message = format!("`{}` replaces something that it uses: `{full}`.", unit.qual);
            return Some(Finding::flag("subject-mocked", Some(self.file.path), message).at(line));
        }
        None
    }
}
