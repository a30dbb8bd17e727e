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
}

type Watcher = Arc<dyn Fn(&Event<'_>) + Send + Sync>;

/// Tells a watcher of stages, and remembers how long each took.
#[derive(Clone)]
pub struct Progress {
    watcher: Watcher,
    timings: Arc<Mutex<Vec<Timing>>>,
}

impl Progress {
    /// Tells `watcher`.
    pub fn new(watcher: impl Fn(&Event<'_>) + Send + Sync + 'static) -> Progress {
        Progress { watcher: Arc::new(watcher), timings: Arc::default() }
    }

    /// Tells nobody.
    pub fn silent() -> Progress {
        Progress::new(|_| {})
    }

    /// Begins a stage.
    pub fn begin(&self, stage: &'static str, detail: impl Into<String>) -> Stage {
        let detail = detail.into();
        (self.watcher)(&Event::Begin { stage, detail: &detail });
        Stage { progress: self.clone(), stage, detail, since: Instant::now(), ended: false }
    }

    /// The stages that ended, in order.
    pub fn timings(&self) -> Vec<Timing> {
        self.timings.lock().map(|t| t.clone()).unwrap_or_default()
    }
}

/// A stage that is under way; it ends when it is dropped.
pub struct Stage {
    progress: Progress,
    stage: &'static str,
    detail: String,
    since: Instant,
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
        if let Ok(mut timings) = self.progress.timings.lock() {
            timings.push(Timing { stage: self.stage, detail: self.detail.clone(), seconds });
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.finish("");
    }
}
