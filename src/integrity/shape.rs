//! The shape of a test: what runs around it, and whether anything runs it at all.

use super::Finding;
use super::compare::{Compared, lost};
use super::python::{Py, among, dotted, last};
use super::units::{Kind, Unit};
use ruff_python_ast::Expr;

impl Compared<'_> {
    /// What keeps the later version from running, or from counting.
    pub(crate) fn disabled(&self, before: &Unit, after: &Unit, findings: &mut Vec<Finding>) {
        let name = &after.qual;
        if let Some((text, line)) = lost(&after.disabling, &before.disabling, |d| d.0.clone()).first() {
            let message = format!("`{name}` is now skipped, excused or stopped.");
            findings.push(self.refuse("test-skipped", *line, message).texts(None, Some(text)));
        }
        if let Some(guard) = lost(&after.guards, &before.guards, String::clone).first()
            && before.kind == Kind::Test
        {
            let message = format!("`{name}` is now only defined under a condition.");
            findings.push(self.refuse("test-skipped", after.line, message).texts(None, Some(guard)));
        }
        let generator =
            after.yields && !before.yields && !after.decorators.iter().any(|d| d.contains("inlineCallbacks"));
        let coroutine = after.is_async && !before.is_async && !self.awaits(before);
        let asserts = before.kind == Kind::Test || !before.facts.is_empty() && before.fixture.is_none();
        let runs_coroutines = self.suite_after.classes.iter().any(|c| {
            after.qual.starts_with(&format!("{}.", c.qual)) && c.bases.iter().any(|b| b.contains("IsolatedAsyncio"))
        });
        let awaited = self.file.py_after.as_ref().is_some_and(|py| is_awaited(py, &after.name));
        if asserts && (generator || coroutine) && !(coroutine && (awaited || runs_coroutines)) {
            let message = format!("`{name}` became a coroutine or generator, which nothing here runs.");
            findings.push(self.refuse("test-never-run", after.line, message));
        }
        if let Some(default) = lost(&after.defaults, &before.defaults, String::clone).first()
            && before.kind == Kind::Test
        {
            let message = format!("`{name}` no longer gets this argument from its fixture.");
            findings.push(self.refuse("fixture-changed", after.line, message).texts(None, Some(default)));
        }
        let known = "staticmethod classmethod property wraps cache lru_cache contextmanager asynccontextmanager overload \
            override final fixture parametrize";
        if before.kind == Kind::Helper
            && asserts
            && let Some(mark) = lost(&after.decorators, &before.decorators, String::clone)
                .iter()
                .find(|d| !among(known, last(d.split('(').next().unwrap_or(""))))
        {
            let message = format!("`{name}`, by which tests assert, now runs in something else.");
            findings.push(self.refuse("assertion-guarded", after.line, message).texts(None, Some(mark)));
        }
        if after.returns > before.returns && before.kind == Kind::Test {
            let message = format!("`{name}` now returns before its end.");
            findings.push(self.refuse("test-early-exit", after.line, message));
        }
        for mark in lost(&before.decorators, &after.decorators, String::clone) {
            let short = last(mark.split('(').next().unwrap_or(""));
            let message = format!("`{name}` lost or changed `{short}`.");
            let finding = match short {
                "given" | "repeat" | "example" | "idempotent" => {
                    self.refuse("expectation-rewritten", after.line, message)
                }
                "timeout" | "settings" | "benchmark" | "limit_memory" => {
                    Finding::flag("threshold-lowered", Some(self.file.path), message).at(after.line)
                }
                _ => continue,
            };
            findings.push(finding.texts(Some(&mark), None));
        }
        let marks = ["slow", "integration", "network", "manual", "flaky", "broken", "wip", "nightly", "timeout"];
        for mark in lost(&after.decorators, &before.decorators, String::clone) {
            let short = last(mark.split('(').next().unwrap_or(""));
            let known =
                ["parametrize", "usefixtures", "asyncio", "anyio", "django_db", "fixture", "trio", "skip", "xfail"];
            if mark.contains("mark.filterwarnings") && mark.contains("ignore") {
                let message = format!("`{name}` now ignores warnings.");
                findings.push(self.refuse("warnings-relaxed", after.line, message).texts(None, Some(&mark)));
            } else if mark.contains("mark.") && !known.contains(&short) && marks.contains(&short) {
                let message = format!("`{name}` got a mark that runners deselect by.");
                findings.push(
                    Finding::flag("test-marked", Some(self.file.path), message).at(after.line).texts(None, Some(&mark)),
                );
            }
        }
        if after.kind == Kind::Test {
            self.decorated(before, after, findings);
        }
    }

    /// Decorators that are no marks of the runner.
    fn decorated(&self, before: &Unit, after: &Unit, findings: &mut Vec<Finding>) {
        let name = &after.qual;
        for mark in lost(&after.decorators, &before.decorators, String::clone) {
            let called = mark.split('(').next().unwrap_or("");
            let root = called.split('.').next().unwrap_or("");
            if self.context.tests_define(root) {
                let message = format!("`{name}` runs in something that this change brings.");
                findings.push(self.refuse("test-marked", after.line, message).texts(None, Some(&mark)));
            } else if !mark.contains('.') && !mark.contains('(') {
                let message =
                    format!("`{name}` got a decorator of the project's own; it may change whether the test runs.");
                findings.push(Finding::flag("test-marked", Some(self.file.path), message).at(after.line));
            }
        }
    }

    /// Were coroutines run there before the change?
    pub(crate) fn awaits(&self, before: &Unit) -> bool {
        let siblings = |u: &&Unit| u.is_async && u.kind == Kind::Test && parent(&u.qual) == parent(&before.qual);
        let marked = |u: &Unit| u.decorators.iter().any(|d| ["asyncio", "anyio", "trio"].iter().any(|m| d.contains(m)));
        let text = self.context.read(self.before_path).unwrap_or_default();
        let class = before.qual.split('.').next().unwrap_or("");
        let isolated = text.lines().any(|l| l.contains(&format!("class {class}(")) && l.contains("IsolatedAsyncio"));
        isolated
            || self.suite_before.units.iter().filter(siblings).count() > 0
            || self.suite_before.units.iter().any(marked)
    }
}

/// Does anything await a call of this name?
fn is_awaited(py: &Py, name: &str) -> bool {
    let mut found = false;
    for stmt in py.body() {
        super::python::exprs(stmt, &mut |expr| {
            found |= matches!(expr, Expr::Await(a) if a.value.is_call_expr() && last(&dotted(&a.value)) == name);
            !found
        });
    }
    found
}

fn parent(qual: &str) -> &str {
    qual.rsplit_once('.').map_or("", |(parent, _)| parent)
}
