//! Progress on standard error: a live line with the time on a terminal, plain lines elsewhere.

use std::{
    collections::HashMap,
    io::{IsTerminal as _, Write as _},
    sync::Mutex,
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

fn ended(detail: &str, seconds: f64) -> String {
    let detail = shown_line(detail, 100);
    if detail.is_empty() { format!("{seconds:.1} s") } else { format!("{detail} ({seconds:.1} s)") }
}
