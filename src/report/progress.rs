//! Progress on standard error: a live line with the time on a terminal, plain lines elsewhere.

use std::{
    collections::HashMap,
    io::{IsTerminal as _, Write as _},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::{
    actions::neutralised,
    progress::{Event, Progress},
    redact::shown_line,
};

/// Shows every stage with its time.
pub fn watch() -> Progress {
    if std::io::stderr().is_terminal() { live() } else { plain() }
}

fn live() -> Progress {
    let all = MultiProgress::new();
    let bars: Mutex<HashMap<(&'static str, String), ProgressBar>> = Mutex::default();
    Progress::new(move |event| {
        let Ok(mut bars) = bars.lock() else { return };
        match *event {
            Event::Begin { stage, detail } => {
                let line = all.add(ProgressBar::new_spinner());
                if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix:12} {msg}  {elapsed}") {
                    line.set_style(style);
                }
                line.set_prefix(stage);
                line.set_message(shown_line(detail, 70));
                line.enable_steady_tick(Duration::from_millis(120));
                bars.insert((stage, detail.to_owned()), line);
            }
            Event::End { stage, begun, detail, seconds } => {
                if let Some(line) = bars.remove(&(stage, begun.to_owned())) {
                    line.finish_and_clear();
                    all.remove(&line);
                }
                let line = format!("  {stage:12} {}  {}", shown_line(begun, 70), ended(detail, seconds));
                let _ = all.println(line);
            }
        }
    })
}

fn plain() -> Progress {
    Progress::new(|event| {
        if let Event::End { stage, begun, detail, seconds } = *event {
            let line = format!("{stage}: {}: {}", shown_line(begun, 120), ended(detail, seconds));
            let _ = writeln!(std::io::stderr().lock(), "{line}");
        }
    })
}

/// For the log of an action: a group for each run of stages of one name.
pub fn watch_groups() -> Progress {
    let open: Mutex<Option<&'static str>> = Mutex::default();
    Progress::new(move |event| {
        let Event::End { stage, begun, detail, seconds } = *event else { return };
        let Ok(mut open) = open.lock() else { return };
        let mut text = String::new();
        if *open != Some(stage) {
            let end = if open.is_some() { "::endgroup::\n" } else { "" };
            text = format!("{end}::group::{stage}\n");
            *open = Some(stage);
        }
        text.push_str(&neutralised(&format!("{}: {}", shown_line(begun, 120), ended(detail, seconds))));
        super::print(&format!("{text}\n"));
    })
}

/// The cases of a corpus: a bar and what each is doing on a terminal; elsewhere a line when one begins and when it ends.
pub struct Cases {
    total: usize,
    done: AtomicUsize,
    live: Option<LiveCases>,
}

struct LiveCases {
    all: MultiProgress,
    bar: ProgressBar,
    lines: Mutex<HashMap<String, ProgressBar>>,
}

/// Shows the cases of a corpus of `total`, of which so many are `done` already.
pub fn watch_cases(total: usize, done: usize) -> Cases {
    let live = std::io::stderr().is_terminal().then(|| {
        let all = MultiProgress::new();
        let bar = all.add(ProgressBar::new(total as u64).with_position(done as u64));
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len}  {elapsed}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_secs(1));
        LiveCases { all, bar, lines: Mutex::default() }
    });
    let cases = Cases { total, done: AtomicUsize::new(done), live };
    if done > 0 {
        cases.say(&format!("[{done}/{total}] known from an earlier run"));
    }
    cases
}

impl Cases {
    /// A case begins: what it tells is shown beside it.
    pub fn begin(&self, case: &str) -> Progress {
        let Some(live) = &self.live else {
            self.say(&format!("[{}/{}] {}: begins", self.done.load(Relaxed), self.total, shown_line(case, 200)));
            return Progress::silent();
        };
        let line = live.all.insert_before(&live.bar, ProgressBar::new_spinner());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix}  {msg}  {elapsed}") {
            line.set_style(style);
        }
        line.set_prefix(shown_line(case, 60));
        line.enable_steady_tick(Duration::from_millis(120));
        if let Ok(mut lines) = live.lines.lock() {
            lines.insert(case.to_owned(), line.clone());
        }
        Progress::new(move |event| {
            if let Event::Begin { stage, detail } = *event {
                line.set_message(format!("{stage}: {}", shown_line(detail, 60)));
            }
        })
    }

    /// A case has ended, as this word says.
    pub fn end(&self, case: &str, ended: &str, seconds: f64) {
        let done = self.done.fetch_add(1, Relaxed) + 1;
        if let Some(live) = &self.live {
            if let Some(line) = live.lines.lock().ok().and_then(|mut lines| lines.remove(case)) {
                line.finish_and_clear();
                live.all.remove(&line);
            }
            live.bar.inc(1);
        }
        let (case, ended) = (shown_line(case, 200), shown_line(ended, 40));
        self.say(&format!("[{done}/{}] {case}: {ended} ({seconds:.0} s)", self.total));
    }

    /// Takes the bar away: what follows stands alone.
    pub fn close(&self) {
        let Some(live) = &self.live else { return };
        if let Ok(mut lines) = live.lines.lock() {
            lines.drain().for_each(|(_, line)| line.finish_and_clear());
        }
        live.bar.finish_and_clear();
    }

    fn say(&self, line: &str) {
        match &self.live {
            Some(live) => drop(live.all.println(line)),
            None => super::complain(line),
        }
    }
}

fn ended(detail: &str, seconds: f64) -> String {
    let detail = shown_line(detail, 100);
    if detail.is_empty() { format!("{seconds:.1} s") } else { format!("{detail} ({seconds:.1} s)") }
}
