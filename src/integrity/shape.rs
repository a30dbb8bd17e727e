//! The shape of a test: what runs around it, and whether anything runs it at all.

use super::compare::Compared;
use super::units::{Kind, Unit};

impl Compared<'_> {
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

fn parent(qual: &str) -> &str {
    qual.rsplit_once('.').map_or("", |(parent, _)| parent)
}
