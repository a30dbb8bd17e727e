//! detect: a log's bytes in, failures out. One pass, bounded memory, no I/O.
//!
//! The same parser reads a CI job's log ([`Detector::new`]) and what a command of our own printed
//! ([`Detector::for_command`]), so that a failure seen in one has the same [`Key`] in the other.

mod exception;
mod facts;
mod failure;
mod found;
mod job;
mod runner;
#[cfg(test)]
mod tests;
mod text;
mod tools;
mod verdict;

pub use failure::{Category, Failure, JobLog, JobResult, Key, Step, StepKind};

use self::job::Job;

/// The longest line that is read; the rest of a longer one is dropped.
const LINE: usize = 16 << 10;
/// The most jobs of one file.
const JOBS: usize = 500;

/// Reads a log piece by piece: one pass over the bytes, bounded memory, no panic on any bytes.
#[derive(Debug)]
pub struct Detector {
    log: String,
    ci: bool,
    line: Vec<u8>,
    returned: bool,
    job: Job,
    columns: Option<(String, String)>,
    started: bool,
    done: Vec<JobLog>,
}

impl Detector {
    /// Reads a CI job's log; `log` is the name that the result carries.
    #[must_use]
    pub fn new(log: &str) -> Self {
        Self {
            log: log.to_owned(),
            ci: true,
            line: Vec::new(),
            returned: false,
            job: Job::new(log, None),
            columns: None,
            started: false,
            done: Vec::new(),
        }
    }

    /// Reads what one command that we ran printed: plain text, no runner's envelope. `roots` are the absolute
    /// directories that paths are made relative to, as they are in the CI log.
    #[must_use]
    pub fn for_command(command: &str, roots: &[String]) -> Self {
        let mut detector = Self::new(command);
        detector.ci = false;
        detector.job = Job::for_command(command, roots);
        detector
    }

    /// Reads more bytes. Where they are cut does not matter.
    pub fn feed(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
            let (text, end) = match piece.split_last() {
                Some((end @ (b'\n' | b'\r'), text)) => (text, Some(*end)),
                _ => (piece, None),
            };
            let room = LINE.saturating_sub(self.line.len());
            self.line.extend_from_slice(&text[..text.len().min(room)]);
            if !text.is_empty() {
                self.returned = false;
            }
            match end {
                Some(b'\n') if self.returned => self.returned = false,
                Some(end) => {
                    self.returned = end == b'\r';
                    self.end_line();
                }
                None => {}
            }
        }
    }

    /// Says how the command of [`Detector::for_command`] ended: nothing failed if it is 0, and a failure that no
    /// tool's output explains is still one if it is not.
    pub fn exited(&mut self, code: i32) {
        if !self.line.is_empty() {
            self.end_line();
        }
        self.job.exited(code);
    }

    fn end_line(&mut self) {
        let bytes = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&bytes);
        if self.ci {
            let columns = self.columns.as_ref().map(|(job, step)| (job.as_str(), step.as_str()));
            let envelope = runner::envelope(&line, columns);
            if let Some((job, step)) = envelope.columns {
                if columns.is_none_or(|(known, _)| known != job) {
                    self.next_job(job);
                }
                self.columns = Some((job.to_owned(), step.to_owned()));
            }
            let step = self.columns.as_ref().map(|(_, step)| step.as_str());
            self.started = true;
            self.job.line(envelope.text, step);
        } else {
            self.job.line(&line, None);
        }
        self.line = bytes;
        self.line.clear();
    }

    fn next_job(&mut self, name: &str) {
        let job = std::mem::replace(&mut self.job, Job::new(&self.log, Some(name)));
        if std::mem::take(&mut self.started)
            && self.done.len() < JOBS
            && let Some(job) = job.finish()
        {
            self.done.push(job);
        }
    }

    /// What the log says: usually one job, several where `gh run view --log` wrote them into one file.
    #[must_use]
    pub fn finish(mut self) -> Vec<JobLog> {
        if !self.line.is_empty() {
            self.end_line();
        }
        self.done.extend(self.job.finish());
        self.done
    }
}
