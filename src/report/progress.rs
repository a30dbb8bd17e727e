//! Progress on standard error: a live line with the time on a terminal, plain lines elsewhere.

use std::{
    io::{IsTerminal as _, Write as _},
    sync::Mutex,
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    progress::{Event, Progress},
    redact::shown_line,
};

/// Shows every stage with its time.
pub fn watch() -> Progress {
    if std::io::stderr().is_terminal() { live() } else { plain() }
}

fn live() -> Progress {
    let bar: Mutex<Option<ProgressBar>> = Mutex::new(None);
    Progress::new(move |event| {
        let Ok(mut bar) = bar.lock() else { return };
        match event {
            Event::Begin { stage, detail } => {
                let line = ProgressBar::new_spinner();
                if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix:12} {msg}  {elapsed}") {
                    line.set_style(style);
                }
                line.set_prefix(*stage);
                line.set_message(shown_line(detail, 70));
                line.enable_steady_tick(Duration::from_millis(120));
                *bar = Some(line);
            }
            Event::End { stage, detail, seconds } => {
                let Some(line) = bar.take() else { return };
                let begun = line.message();
                line.finish_and_clear();
                let _ = writeln!(std::io::stderr().lock(), "  {stage:12} {begun}  {}", ended(detail, *seconds));
            }
        }
    })
}

fn plain() -> Progress {
    let begun: Mutex<String> = Mutex::new(String::new());
    Progress::new(move |event| {
        let Ok(mut begun) = begun.lock() else { return };
        match event {
            Event::Begin { detail, .. } => *begun = shown_line(detail, 120),
            Event::End { stage, detail, seconds } => {
                let _ = writeln!(std::io::stderr().lock(), "{stage}: {begun}: {}", ended(detail, *seconds));
            }
        }
    })
}

fn ended(detail: &str, seconds: f64) -> String {
    let detail = shown_line(detail, 100);
    if detail.is_empty() { format!("{seconds:.1} s") } else { format!("{detail} ({seconds:.1} s)") }
}
