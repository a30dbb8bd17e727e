//! progress: what a long run is doing, told to whoever watches.

use std::{
    sync::{Arc, Mutex},
    time::Instant,
};

use serde::Serialize;

/// Something that a watcher may show.
#[derive(Debug, Clone)]
pub enum Event<'a> {
    /// A stage begins.
    Begin {
        /// `plan`, `reproduce`, `repair`, `validate`, …
        stage: &'static str,
        /// What exactly.
        detail: &'a str,
    },
    /// A stage ends; others may be under way beside it.
    End {
        /// Its name again.
        stage: &'static str,
        /// What it was exactly, again.
        begun: &'a str,
        /// What came of it.
        detail: &'a str,
        /// How long it took.
        seconds: f64,
    },
}

/// How long a stage took.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Timing {
    /// The stage.
    pub stage: &'static str,
    /// What exactly.
    pub detail: String,
    /// Wall time.
    pub seconds: f64,
    /// How much of it commands of the repository took, in the sandbox; where several ran at once, the sum.
    pub commands: f64,
}

type Watcher = Arc<dyn Fn(&Event<'_>) + Send + Sync>;

/// The stages that ended, and those that are under way with what their commands took.
#[derive(Default)]
struct Ledger {
    ended: Vec<Timing>,
    open: Vec<(u64, f64)>,
    begun: u64,
}

/// Tells a watcher of stages, and remembers how long each took.
#[derive(Clone)]
pub struct Progress {
    watcher: Watcher,
    ledger: Arc<Mutex<Ledger>>,
}

impl Progress {
    /// Tells `watcher`.
    pub fn new(watcher: impl Fn(&Event<'_>) + Send + Sync + 'static) -> Progress {
        Progress { watcher: Arc::new(watcher), ledger: Arc::default() }
    }

    /// Tells nobody.
    pub fn silent() -> Progress {
        Progress::new(|_| {})
    }

    /// Begins a stage.
    pub fn begin(&self, stage: &'static str, detail: impl Into<String>) -> Stage {
        let detail = detail.into();
        (self.watcher)(&Event::Begin { stage, detail: &detail });
        let mut number = 0;
        if let Ok(mut ledger) = self.ledger.lock() {
            ledger.begun += 1;
            number = ledger.begun;
            ledger.open.push((number, 0.0));
        }
        Stage { progress: self.clone(), stage, detail, since: Instant::now(), number, ended: false }
    }

    /// A command of the repository took so many seconds: it is put down to the stage that began last.
    pub fn ran(&self, seconds: f64) {
        if let Ok(mut ledger) = self.ledger.lock()
            && let Some((_, commands)) = ledger.open.last_mut()
        {
            *commands += seconds;
        }
    }

    /// The stages that ended, in order.
    pub fn timings(&self) -> Vec<Timing> {
        self.ledger.lock().map(|ledger| ledger.ended.clone()).unwrap_or_default()
    }
}

/// A stage that is under way; it ends when it is dropped.
pub struct Stage {
    progress: Progress,
    stage: &'static str,
    detail: String,
    since: Instant,
    number: u64,
    ended: bool,
}

impl Stage {
    /// Ends the stage and says what came of it.
    pub fn end(mut self, detail: &str) {
        self.finish(detail);
    }

    fn finish(&mut self, detail: &str) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let seconds = self.since.elapsed().as_secs_f64();
        (self.progress.watcher)(&Event::End { stage: self.stage, begun: &self.detail, detail, seconds });
        if let Ok(mut ledger) = self.progress.ledger.lock() {
            let at = ledger.open.iter().position(|(number, _)| *number == self.number);
            let commands = at.map_or(0.0, |at| ledger.open.remove(at).1);
            ledger.ended.push(Timing { stage: self.stage, detail: self.detail.clone(), seconds, commands });
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.finish("");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_command_took_is_put_down_to_the_stage_under_way() {
        let progress = Progress::silent();
        let outer = progress.begin("repair", "one");
        progress.ran(1.0);
        let inner = progress.begin("validate", "two");
        progress.ran(2.0);
        inner.end("");
        progress.ran(4.0);
        outer.end("");
        progress.ran(8.0);
        let commands: Vec<(&str, f64)> = progress.timings().iter().map(|t| (t.stage, t.commands)).collect();
        assert_eq!(commands, [("validate", 2.0), ("repair", 5.0)]);
    }
}
