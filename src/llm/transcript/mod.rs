//! transcript: what was asked, answered, called and judged, as it happens. A run that was killed goes on from it without
//! paying twice: its answers are served again, and what may have been paid counts as paid.

mod entry;
mod ledger;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, VecDeque},
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;

pub use entry::{Entry, Line, SCHEMA, Start};
pub use ledger::Ledger;

use super::{
    Completion, LlmError, Source, Usage,
    lines::{InOrder, Lines, Redact},
};
use crate::redact::shown_line;

/// The transcript of a run, and what is known from the run that it goes on with.
pub struct Transcript {
    lines: Option<Lines>,
    start: Option<Start>,
    answers: InOrder<Completion>,
    results: Mutex<HashMap<(String, String), VecDeque<String>>>,
    ledger: Ledger,
    /// Of the runs before: how long they went on, and when the last of them began and was last heard of.
    used: Duration,
    last: Option<(Timestamp, Timestamp)>,
}

impl Transcript {
    /// Written nowhere.
    pub fn none() -> Transcript {
        Transcript {
            lines: None,
            start: None,
            answers: InOrder::new(),
            results: Mutex::default(),
            ledger: Ledger::default(),
            used: Duration::ZERO,
            last: None,
        }
    }

    /// A new one, in the place of an older file.
    ///
    /// # Errors
    /// [`LlmError::Record`] when it can't be written, or another run is writing there.
    pub fn create(path: &Path, redact: Redact) -> Result<Transcript, LlmError> {
        let lines = Lines::create(path, redact).map_err(|e| LlmError::Record(format!("the transcript {e}")))?;
        Ok(Transcript { lines: Some(lines), ..Transcript::none() })
    }

    /// Reads an earlier one, to go on with it. A last line that a kill cut off is dropped.
    ///
    /// # Errors
    /// [`LlmError::Options`] when it is missing, in use, or no transcript: the message names the line.
    pub fn resume(path: &Path, redact: Redact) -> Result<Transcript, LlmError> {
        let mut resumed = Transcript::none();
        let lines = Lines::resume(path, redact, |text| resumed.learn(Line::parse(text)?))
            .map_err(|e| LlmError::Options(format!("the transcript cannot be resumed: {e}")))?;
        resumed.lines = Some(lines);
        Ok(resumed)
    }

    fn learn(&mut self, Line { at, entry }: Line) -> Result<(), String> {
        self.ledger.enter(&entry);
        if matches!(entry, Entry::Start(_)) {
            self.used = self.time_used();
            self.last = Some((at, at));
        } else if let Some((_, heard)) = &mut self.last {
            *heard = at;
        }
        match entry {
            Entry::Start(start) => {
                self.start.get_or_insert(start);
            }
            _ if self.start.is_none() => return Err("a transcript begins with its `start`".to_owned()),
            Entry::Answer(completion) => {
                let key = completion.key.clone();
                self.answers.push(&key, Completion { source: Source::Transcript, ..completion });
            }
            Entry::Tool { key, call, result, .. } => {
                let results = self.results.get_mut().unwrap_or_else(PoisonError::into_inner);
                results.entry((key, call)).or_default().push_back(result);
            }
            _ => {}
        }
        Ok(())
    }

    /// Is the transcript that is resumed of the same model, endpoint and repair as this run? To be asked before `start` is
    /// appended.
    ///
    /// # Errors
    /// [`LlmError::Options`] when it is not.
    pub fn check(&self, start: &Start) -> Result<(), LlmError> {
        let (Some(lines), Some(old)) = (&self.lines, &self.start) else { return Ok(()) };
        let url = lines.redacted(&start.base_url);
        let differs = if old.digest != start.digest {
            "it is of another repair: the logs or the repository are not what they were".to_owned()
        } else if old.model != lines.redacted(&start.model) {
            format!("it was made with the model {}, not {}", shown_line(&old.model, 100), start.model)
        } else if old.base_url != url {
            format!("it was made with the endpoint {}, not {url}", shown_line(&old.base_url, 200))
        } else {
            return Ok(());
        };
        let what = "give what the first run was given, or begin anew without --resume";
        Err(LlmError::Options(format!(
            "the transcript {} cannot be resumed: {differs}; {what}",
            lines.path().display()
        )))
    }

    /// Adds what happened. Requests, answers and failures are on disk when it returns.
    ///
    /// # Errors
    /// [`LlmError::Record`] when it can't be written.
    pub fn append(&self, entry: &Entry) -> Result<(), LlmError> {
        let Some(lines) = &self.lines else { return Ok(()) };
        if let Entry::Request { worst_usd, .. } = entry
            && !worst_usd.is_finite()
        {
            // JSON has no word for it: the transcript could not be read again.
            return Err(LlmError::Record("the worst price of a call is not known".to_owned()));
        }
        lines
            .append(&Line::now(entry.clone()), entry.is_dear())
            .map_err(|e| LlmError::Record(format!("the transcript {e}")))
    }

    /// What a tool said to a call in the run that is resumed. Each result is told once, in their order: some endpoints
    /// give all calls of a completion one id.
    pub fn tool_result(&self, completion: &str, call: &str) -> Option<String> {
        let mut results = self.results.lock().unwrap_or_else(PoisonError::into_inner);
        results.get_mut(&(completion.to_owned(), call.to_owned()))?.pop_front()
    }

    /// The answer to a question that the run that is resumed asked. Where it asked it several times, its answers come in
    /// their order, then the last one again.
    pub fn answered(&self, key: &str) -> Option<Completion> {
        self.answers.next(key)
    }

    /// How long the runs that are gone on with took, from their `start` to the last that was heard of them.
    pub fn time_used(&self) -> Duration {
        let last = self.last.map(|(begun, heard)| heard.duration_since(begun));
        // A clock that was set back took no time.
        let last = last.and_then(|time| Duration::try_from(time).ok()).unwrap_or_default();
        self.used.saturating_add(last)
    }

    /// What the run that is resumed paid; and the worst price and tokens of calls that it began and never ended.
    /// These are among the calls.
    pub fn spent(&self) -> (Usage, f64, u64) {
        self.ledger.spent()
    }
}
