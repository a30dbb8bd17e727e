//! eval: a corpus of failing repositories in, a table out.
//!
//! A case is a folder with `repo.tar.gz` (the failing tree in one folder), `ci.log`, `case.json` and `fix.patch`. Only
//! the tree and the log are given to the repair; `case.json` says what to score against. With `--verify`, patches beside
//! the cases that are known to cheat (`cheats/`) or to be honest (`benign/`) are judged like the cases' own.

mod case;
mod replay;
mod results;
mod table;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use tokio::{sync::watch, task::JoinSet};

use crate::{
    cli::{EvalArgs, Format},
    interrupt::interrupted,
    llm::Usage,
    redact::shown_line,
    report::{self, Cases},
};
use case::{CaseFolder, Known};
use replay::Setting;
use results::Results;

/// The word for a case that was under way when the run was ended.
const INTERRUPTED: &str = "interrupted";

/// The word for a case that could not be run.
const ERROR: &str = "error";

/// What came of a case.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Scored {
    case: String,
    category: String,
    tool: String,
    /// `outcome` of `fix`, `verdict` of `verify`, or `error`.
    ended: String,
    /// What the case is expected to end as, where it says so.
    expected: Option<String>,
    reproduced: bool,
    /// Of the failing tests that the case names, how many were reproduced.
    tests_reproduced: Option<(usize, usize)>,
    files: Vec<String>,
    seconds: f64,
    /// Of those, the seconds that the model took.
    #[serde(default)]
    model_seconds: f64,
    /// What the model cost.
    #[serde(default)]
    usage: Usage,
    /// The first reason why it is not better.
    why: String,
    /// Of a patch beside the cases: what it is known to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    known: Option<Known>,
    /// A hash of what the case and the command line gave: a result of others is none of this run.
    #[serde(default)]
    inputs: String,
}

impl Scored {
    /// Did it end as the case says that it should? `None` where the case says nothing.
    fn as_expected(&self) -> Option<bool> {
        if let Some(known) = self.known {
            return known.is_right(&self.ended);
        }
        let expected = self.expected.as_deref()?;
        // What a repair fixes, its patch proves.
        Some(self.ended == expected || expected == "fixed" && self.ended == "proven")
    }

    /// Is it right that nothing was reproduced?
    fn nothing_to_reproduce(&self) -> bool {
        let elsewhere =
            matches!(self.ended.as_str(), "infrastructure" | "flaky" | "nothing_detected" | "not_reproduced");
        elsewhere && self.as_expected() == Some(true)
    }
}

/// Replays the corpus. 0 when every case could be run, 1 else.
///
/// # Errors
/// [`crate::input::BadInput`] for a corpus without cases, or results that can't be gone on with.
pub async fn eval(args: &EvalArgs) -> Result<u8> {
    let setting = Setting::of(args)?;
    let cases = case::find(args)?;
    let total = cases.len();
    let mut results = args.resume.as_deref().map(Results::open).transpose()?;
    let mut done: Vec<Scored> = Vec::new();
    let mut waiting = Vec::new();
    for folder in cases {
        let inputs = folder.inputs(&setting)?;
        match results.as_ref().and_then(|results| results.of(&folder.name)) {
            Some(scored) => match again(scored, &inputs) {
                None => done.push(scored.clone()),
                Some(why) => {
                    report::complain(&format!("{}: run again: {why}", shown_line(&folder.name, 200)));
                    waiting.push((folder, inputs));
                }
            },
            None => waiting.push((folder, inputs)),
        }
    }
    let progress = report::watch_cases(total, done.len());
    let interrupted = run(args, &setting, waiting, &progress, results.as_mut(), &mut done).await;
    progress.close();
    done.sort_by(|a, b| a.case.cmp(&b.case));
    report::print(&match args.format {
        Format::Text => table::table(&done),
        Format::Json => done.iter().map(report::json_line).collect(),
    });
    if interrupted? {
        let under_way: Vec<&str> = done.iter().filter(|s| s.ended == INTERRUPTED).map(|s| s.case.as_str()).collect();
        let under_way = match under_way.as_slice() {
            [] => String::new(),
            names => format!("; under way: {}", shown_line(&names.join(", "), 400)),
        };
        let whole = done.iter().filter(|s| s.ended != INTERRUPTED).count();
        report::complain(&format!("interrupted: {whole} of {total} cases are done{under_way}"));
        return Ok(130);
    }
    Ok(u8::from(done.iter().any(|s| s.ended == ERROR)))
}

/// Why a result does not stand for a case whose inputs are these.
fn again(scored: &Scored, inputs: &str) -> Option<&'static str> {
    match scored {
        Scored { ended, .. } if ended == ERROR => Some("it could not be run"),
        Scored { inputs: known, .. } if known != inputs => Some("its files or the options are not those of its result"),
        _ => None,
    }
}

/// Runs what is waiting. Says whether it was interrupted; those that were under way are then among the `done`, as far
/// as they came.
async fn run(
    args: &EvalArgs,
    setting: &Setting,
    waiting: Vec<(CaseFolder, String)>,
    progress: &Cases,
    mut results: Option<&mut Results>,
    done: &mut Vec<Scored>,
) -> Result<bool> {
    let mut waiting = waiting.into_iter();
    let mut running: JoinSet<Scored> = JoinSet::new();
    let (stop, stopped) = watch::channel(false);
    let ended = interrupted();
    tokio::pin!(ended);
    loop {
        while running.len() < usize::from(args.jobs) && !*stop.borrow() {
            let Some((folder, inputs)) = waiting.next() else { break };
            let (setting, stopped) = (setting.clone(), stopped.clone());
            let watched = progress.begin(&folder.name);
            running.spawn(async move { replay::one(&folder, inputs, &setting, &watched, stopped).await });
        }
        let scored = tokio::select! {
            next = running.join_next() => match next {
                Some(scored) => scored.context("a case panicked")?,
                None => return Ok(*stop.borrow()),
            },
            () = &mut ended, if !*stop.borrow() => {
                stop.send_replace(true);
                continue;
            }
        };
        // What was cut short is no result: the next run has it from the beginning.
        if scored.ended != INTERRUPTED {
            if let Some(results) = results.as_deref_mut() {
                results.append(&scored)?;
            }
            progress.end(&scored.case, &scored.ended, scored.seconds);
        }
        done.push(scored);
    }
}
