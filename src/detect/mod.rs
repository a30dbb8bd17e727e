//! detect: a log's bytes in, failures out. One pass, bounded memory, no I/O.
//!
//! The same parser reads a CI job's log ([`Detector::new`]) and what a command of our own printed
//! ([`Detector::for_command`]), so that a failure seen in one has the same [`Key`] in the other.

mod command;
mod exception;
mod facts;
mod failure;
mod found;
mod job;
mod lines;
mod paths;
mod recent;
mod runner;
#[cfg(test)]
mod tests;
mod text;
mod tools;
mod verdict;
mod words;

use memchr::{memchr, memchr2, memrchr2};

pub use failure::{Category, Failure, JobLog, JobResult, Key, Seeds, Step, StepKind};
pub use paths::replace_root;

use self::{
    found::FAILURES,
    job::{HEADERS, Job},
    lines::{LINE, Lines},
    runner::Format,
    tools::{Mask, WORDS},
};

/// The most jobs of one file that are told apart; what more there are is one entry.
const JOBS: usize = 1000;
/// So many lines may go by before a log's format is taken for settled.
const UNDECIDED: u32 = 20;

/// Reads a log piece by piece: one pass over the bytes, bounded memory, no panic on any bytes.
#[derive(Debug)]
pub struct Detector {
    lines: Lines,
    reader: Reader,
}

/// What reads the lines.
#[derive(Debug)]
struct Reader {
    log: String,
    ci: bool,
    job: Job,
    format: Format,
    /// Lines that are left to settle the format.
    undecided: u32,
    columns: Option<(String, String)>,
    /// The columns as they stand before each line of the step.
    prefix: Vec<u8>,
    started: bool,
    done: Vec<JobLog>,
    /// Failures and bytes of headers that the jobs still to come may keep.
    failures: usize,
    headers: usize,
}

impl Detector {
    /// Reads a CI job's log; `log` is the name that the result carries.
    #[must_use]
    pub fn new(log: &str) -> Self {
        Self::with(log, true, Job::new(log, None))
    }

    /// Reads what one command that we ran printed: plain text, no runner's envelope. `roots` are the absolute
    /// directories that paths are made relative to, as they are in the CI log.
    #[must_use]
    pub fn for_command(command: &str, roots: &[String]) -> Self {
        Self::with(command, false, Job::for_command(command, roots))
    }

    fn with(log: &str, ci: bool, job: Job) -> Self {
        let reader = Reader {
            log: log.to_owned(),
            ci,
            job,
            format: Format::Unknown,
            undecided: if ci { UNDECIDED } else { 0 },
            columns: None,
            prefix: Vec::new(),
            started: false,
            done: Vec::new(),
            failures: FAILURES,
            headers: HEADERS,
        };
        Self { lines: Lines::default(), reader }
    }

    /// Reads more bytes. Where they are cut does not matter.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.lines.feed(bytes, &mut |block| self.reader.block(block));
    }

    /// Says how the command of [`Detector::for_command`] ended: nothing failed if it is 0, and a failure that no
    /// tool's output explains is still one if it is not.
    pub fn exited(&mut self, code: i32) {
        self.lines.finish(&mut |block| self.reader.block(block));
        self.reader.job.exited(code);
    }

    /// What the log says: usually one job, several where `gh run view --log` wrote them into one file.
    #[must_use]
    pub fn finish(mut self) -> Vec<JobLog> {
        self.lines.finish(&mut |block| self.reader.block(block));
        self.reader.next_job(None);
        self.reader.done
    }
}

impl Reader {
    /// Reads whole lines.
    fn block(&mut self, block: &[u8]) {
        let words = &*WORDS;
        let escapes = memchr(0x1b, block).is_some();
        let mut start = 0;
        // Where a run of lines that mean nothing to anybody begins.
        let mut passed = None;
        while start < block.len() {
            let end = memchr2(b'\n', b'\r', &block[start..]).map_or(block.len(), |at| start + at);
            let line = &block[start..end.min(start + LINE)];
            let mut mask = words.mask(&line[self.envelope(line)..]);
            if escapes && memchr(0x1b, line).is_some() {
                mask |= tools::ESCAPES;
            }
            if self.means_nothing(line, mask) {
                passed.get_or_insert(start);
            } else {
                if let Some(from) = passed.take() {
                    self.pass(&block[from..start]);
                }
                self.line(line, mask);
            }
            start = end + 1;
            if block.get(end) == Some(&b'\r') && block.get(start) == Some(&b'\n') {
                start += 1;
            }
        }
        if let Some(from) = passed {
            self.pass(&block[from..]);
        }
    }

    /// Most lines mean nothing to anybody: they are not even decoded.
    fn means_nothing(&self, line: &[u8], mask: Mask) -> bool {
        let same = self.format != Format::Columns || line.starts_with(&self.prefix);
        same && self.undecided == 0 && mask & self.job.interest() == 0 && !self.job.attentive()
    }

    /// Passes over lines. The last of them are kept for a while: they may be all that is known of a failure.
    fn pass(&mut self, lines: &[u8]) {
        let mut last: Vec<&[u8]> = Vec::with_capacity(recent::LINES);
        let mut rest = lines;
        while last.len() < recent::LINES && !rest.is_empty() {
            let from = memrchr2(b'\n', b'\r', rest).map_or(0, |at| at + 1);
            if from < rest.len() {
                last.push(&rest[from..rest.len().min(from + LINE)]);
            }
            rest = &rest[..from.saturating_sub(1)];
        }
        for line in last.into_iter().rev() {
            let text = match self.format {
                Format::Columns => line.strip_prefix(self.prefix.as_slice()).unwrap_or(line),
                _ => line,
            };
            self.job.pass(text, self.format);
        }
    }

    /// About where the line's own text begins.
    fn envelope(&self, line: &[u8]) -> usize {
        const STAMP: usize = "2026-01-01T00:00:00.1234567Z ".len();
        let columns =
            if self.format == Format::Columns && line.starts_with(&self.prefix) { self.prefix.len() } else { 0 };
        let stamped = |rest: &[u8]| {
            rest.len() >= STAMP
                && rest[4] == b'-'
                && rest[10] == b'T'
                && rest[STAMP - 2] == b'Z'
                && rest[STAMP - 1] == b' '
        };
        if stamped(&line[columns..]) { columns + STAMP } else { columns }
    }

    fn line(&mut self, bytes: &[u8], mask: Mask) {
        let line = text::decoded(bytes);
        if !self.ci {
            self.job.line(&line, mask, None);
            return;
        }
        if self.undecided > 0 {
            self.format = runner::format(&line);
            self.undecided = match (self.format, line.trim().is_empty()) {
                (Format::Unknown, true) => self.undecided,
                (Format::Unknown, false) => self.undecided - 1,
                _ => 0,
            };
        }
        let known = self.columns.as_ref().map(|(job, step)| (job.as_str(), step.as_str()));
        let envelope = runner::envelope(&line, self.format, known);
        if let Some((job, step)) = envelope.columns
            && known != Some((job, step))
        {
            if known.is_none_or(|(known, _)| known != job) {
                self.next_job(Some(job));
            }
            self.prefix = format!("{job}\t{step}\t").into_bytes();
            self.columns = Some((job.to_owned(), step.to_owned()));
        }
        if self.job.is_over() && envelope.text.starts_with("Current runner version: '") {
            // Logs that were put one after the other.
            let name = self.columns.as_ref().map(|(job, _)| job.clone());
            self.next_job(name.as_deref());
        }
        let step = self.columns.as_ref().map(|(_, step)| step.as_str());
        self.started = true;
        self.job.printed_at(runner::instant(&line, self.format));
        self.job.line(envelope.text, mask, step);
    }

    /// Ends the job, and begins one of this name.
    fn next_job(&mut self, name: Option<&str>) {
        let next = Job::new(&self.log, name);
        let mut job = std::mem::replace(&mut self.job, next);
        if !std::mem::take(&mut self.started) && self.ci && name.is_some() {
            return;
        }
        job.bound(self.failures, self.headers);
        let Some(mut job) = job.finish() else { return };
        self.failures -= job.failures.len().min(self.failures);
        self.headers = self.headers.saturating_sub(job.steps.iter().map(Step::size).sum());
        if self.done.len() < JOBS {
            self.done.push(job);
        } else if let Some(last) = self.done.last_mut() {
            // No job is lost without a word: the last one stands for all that follow.
            last.jobs += 1;
            last.dropped += job.failures.len() as u64 + job.dropped;
            if job.result == JobResult::Failure {
                last.result = job.result;
                last.category = last.category.or(job.category.take());
            }
        }
    }
}
