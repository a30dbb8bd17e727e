//! One job's log: its steps, and which of the failures that the tools' parsers found count.

mod around;
mod end;
mod header;
mod service;

use std::collections::BTreeMap;

use super::facts::{self, Facts};
use super::failure::{Seeds, Step, StepKind};
use super::found::{FAILURES, Found, Sink};
use super::runner::{self, Format, Mark};
use super::text::{bounded, patterns, plain};
use super::tools::{self, Mask, Tools, WORDS as ALL};

patterns! {
    EXITED = r"^Process completed with exit code (-?\d+)\.?$";
    COMPOSE = r"^(?:[a-z][a-z0-9.]*(?:[-_][a-z0-9.]+)*[-_]\d+ +\| |#\d+ \d+\.\d+ )";
    PASSED = r"^(?:=* ?(?:\d+ (?:skipped|deselected|xfailed|warnings?), )*\d+ passed(?:, \d+ (?:skipped|deselected|xfailed|xpassed|warnings?|rerun))* in .*|OK(?: \(.*\))?|Success: no issues found.*|All checks passed!|\d+ files? already formatted)$";
    ACTION = r"^(?:[\w.-]+/[\w./-]+@\S+|\./\S*|docker://\S+)$";
    AFTERWARDS = r"(?i)upload|report|summar|notif|slack|comment|publish|save|cleanup|clean up|logout";
}

/// Lines with one of these concern the job, not (only) a tool.
pub(super) const WORDS: &[&str] = &[
    "##[error]",
    "##[group]",
    "##[endgroup]",
    "##[warning]",
    "##[command]",
    "##[debug]",
    "##[section]",
    "##[notice]",
    "[command]",
    "::error",
    "::warning",
    "::notice",
    "::group",
    "::endgroup",
    "::debug",
    "Post job cleanup.",
    "Cleaning up orphan processes",
    "Complete job name: ",
    "HEAD is now at ",
    "Syncing repository: ",
    "Current runner version: '",
    " passed",
    "no issues found",
    "All checks passed",
    "already formatted",
    "section_start:",
    "section_end:",
    "Job failed",
    "Job succeeded",
    "Script contents:",
    "Starting Command Output",
    " exited with ",
    "Exited with ",
    "returned exit code",
    "Finished: ",
];

/// The most steps, and the longest script, that are kept.
const STEPS: usize = 300;
const SCRIPT: usize = 64 << 10;
const ENTRIES: usize = 500;
/// The most text of scripts, inputs and environments that is kept of all jobs of a log.
pub(super) const HEADERS: usize = 8 << 20;

/// Where in the job's log the parser stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Zone {
    /// Before the first step, or in an excerpt that shows none.
    Before,
    /// In the group that shows a step's script, inputs and environment.
    Header(Part),
    Output,
    /// After the step's exit, or after the last step.
    After,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Script,
    With,
    Env,
    Rest,
}

/// What was found in a step of which nothing says that it failed.
#[derive(Debug)]
struct Doubt {
    step: Option<usize>,
    /// The step is an action that reported an error: it failed, unless other steps ran after it.
    action: bool,
    found: Found,
}

/// A job's log as it is read.
#[derive(Debug)]
pub(super) struct Job {
    log: String,
    ci: bool,
    name: Option<String>,
    zone: Zone,
    steps: Vec<Step>,
    open: bool,
    /// A group that may be a step's: its title.
    pending: Option<String>,
    key: Option<String>,
    tools: Tools,
    sink: Sink,
    facts: Facts,
    failures: Vec<(Option<usize>, Found)>,
    /// What was found in steps of which nothing says that they failed.
    doubtful: Vec<Doubt>,
    /// Failures that were beyond a bound.
    dropped: u64,
    /// Lines that the runner marked as errors in this step, and the first of them.
    errors: u32,
    error: Option<String>,
    /// A line that says how the step ended. The next line settles whether it was the runner's own.
    claim: Option<i32>,
    /// A line that says that the job is being cleaned up, within what a test prints; is it the last one of a log?
    over: Option<bool>,
    /// The step seems to be over, but a line of the runner's may still say that it is not: how many failures it had,
    /// and how many lines that were marked as errors.
    tail: Option<(usize, u32)>,
    /// Such a line was followed by more of the step's output.
    disproved: Option<i32>,
    /// A tool said that all is well in this step.
    passed: bool,
    failed: bool,
    ended: bool,
    /// The steps are those of GitHub's runner.
    github: bool,
    python: Option<String>,
    asked: Option<String>,
    workspace: Option<String>,
    repository: Option<String>,
    sha: Option<String>,
    head: Option<String>,
    sha_next: bool,
    /// When the last line that was read was printed.
    now: Option<i64>,
    /// What is left of [`HEADERS`].
    room: usize,
    most: usize,
    service: service::Service,
}

impl Job {
    pub(super) fn new(log: &str, name: Option<&str>) -> Self {
        Self {
            log: log.to_owned(),
            ci: true,
            name: name.map(str::to_owned),
            zone: Zone::Before,
            steps: Vec::new(),
            open: false,
            pending: None,
            key: None,
            tools: Tools::default(),
            sink: Sink::default(),
            facts: Facts::default(),
            failures: Vec::new(),
            doubtful: Vec::new(),
            dropped: 0,
            errors: 0,
            error: None,
            claim: None,
            over: None,
            tail: None,
            disproved: None,
            passed: false,
            failed: false,
            ended: false,
            github: false,
            python: None,
            asked: None,
            workspace: None,
            repository: None,
            sha: None,
            head: None,
            sha_next: false,
            now: None,
            room: HEADERS,
            most: FAILURES,
            service: service::Service::default(),
        }
    }

    pub(super) fn for_command(command: &str, roots: &[String]) -> Self {
        let mut job = Self::new(command, None);
        job.ci = false;
        job.sink.paths = super::paths::Paths::new(roots);
        job.workspace = roots.first().filter(|root| root.len() > 1).cloned();
        job.begin(command, None);
        if let Some(StepKind::Run { script, .. }) = job.steps.last_mut().map(|step| &mut step.kind) {
            command.clone_into(script);
        }
        job.sink.runs_script(command);
        job.zone = Zone::Output;
        job
    }

    /// Keeps no more than this of the rest.
    pub(super) fn bound(&mut self, failures: usize, headers: usize) {
        self.most = failures;
        self.room = self.room.min(headers);
    }

    /// The next line was printed then, where its envelope says it.
    pub(super) fn printed_at(&mut self, instant: Option<i64>) {
        self.now = instant.or(self.now);
    }

    /// Whose words make a line worth reading now.
    pub(super) fn interest(&self) -> Mask {
        match self.python.is_some() && (!self.ci || self.workspace.is_some()) {
            true => !tools::KNOWN,
            false => !0,
        }
    }

    /// Must the next line be read, whatever it says?
    pub(super) fn attentive(&self) -> bool {
        self.pending.is_some()
            || self.claim.is_some()
            || self.over.is_some()
            || self.sha_next
            || matches!(self.zone, Zone::Header(_))
            || self.service.attentive()
            || self.sink.quotes()
            || self.tools.open()
    }

    /// Did the job's log come to its end?
    pub(super) fn is_over(&self) -> bool {
        self.zone == Zone::After || self.ended
    }

    /// A line that means nothing to anybody.
    pub(super) fn pass(&mut self, line: &[u8], format: Format) {
        if self.zone != Zone::After || self.tail.is_some() {
            self.sink.recent.raw(line, format);
        }
    }

    /// Reads one line without its envelope. `step` is gh's column.
    pub(super) fn line(&mut self, raw: &str, mask: Mask, step: Option<&str>) {
        let text = plain(raw);
        let mask = if matches!(text, std::borrow::Cow::Owned(_)) { ALL.mask(text.as_bytes()) } else { mask };
        if !self.ci {
            match runner::workflow(&text) {
                Some((Mark::Error, text)) => self.output(text, ALL.mask(text.as_bytes()), true),
                Some((Mark::Warning | Mark::Group, text)) => self.output(text, ALL.mask(text.as_bytes()), false),
                Some(_) => {}
                None => self.output(&text, mask, false),
            }
            return;
        }
        if let Some(step) = step {
            self.column(step);
        }
        if mask & self.interest() == 0 && !self.attentive() {
            // Only its colours made it worth a look.
            if self.zone != Zone::After || self.tail.is_some() {
                self.sink.recent.text(&text);
            }
            return;
        }
        self.around(&text, mask);
        let (mark, rest) = match mask & tools::JOB == 0 {
            true => (Mark::None, text.as_ref()),
            // Within a line only where nobody can have quoted it.
            false if self.tools.captures() && !text.starts_with("##[") => (Mark::None, text.as_ref()),
            false => runner::mark(&text),
        };
        if let Some(title) = self.pending.take()
            && self.is_header(&title, raw, &text, mark)
        {
            self.settle();
            self.seal();
            self.end_step(None);
            self.begin(&title, step);
            self.github = true;
            self.zone = Zone::Header(Part::Script);
        }
        if self.claim.is_some() || self.over.is_some() {
            self.doubt(&text, mark);
        }
        match mark {
            Mark::Group if rest.starts_with("Run ") => self.pending = Some(bounded(&rest[4..], 1000).to_owned()),
            Mark::EndGroup if matches!(self.zone, Zone::Header(_)) => self.close_header(),
            Mark::Section => self.section(rest),
            // Some tools name in a group's title the file that its lines are about.
            Mark::Group if self.zone == Zone::Output => self.output(rest, ALL.mask(rest.as_bytes()), false),
            Mark::Group | Mark::EndGroup | Mark::Command | Mark::Debug => {}
            Mark::Error => self.error(&text, rest),
            Mark::Warning | Mark::None => {
                if is_cleanup(&text) {
                    self.over = Some(text.starts_with("Cleaning"));
                    if !self.tools.captures() {
                        self.settle();
                    }
                } else if let Zone::Header(part) = self.zone {
                    self.header(part, &text);
                } else if let Some((mark @ (Mark::Error | Mark::Group), said)) = runner::workflow(&text) {
                    self.output(said, ALL.mask(said.as_bytes()), mark == Mark::Error);
                } else if !(mask & tools::JOB != 0 && !self.github && self.serviced(&text, raw)) {
                    let mask = if rest.len() == text.len() { mask } else { ALL.mask(rest.as_bytes()) };
                    self.output(rest, mask, false);
                }
            }
        }
    }

    /// Is the group that was announced a step's? Any script can print a group.
    fn is_header(&self, title: &str, raw: &str, text: &str, mark: Mark) -> bool {
        const SCRIPT: [&str; 4] = ["\u{1b}[36;1m", "^[[36;1m", "[36;1m", "\u{fffd}[36;1m"];
        if self.tools.captures() {
            return false;
        }
        let action = ACTION.is_match(title.trim());
        SCRIPT.iter().any(|start| raw.starts_with(start))
            || (mark == Mark::EndGroup && action)
            || ["with:", "env:"].contains(&text) && (action || text == "env:")
            || text.starts_with("shell: ")
            || (mark == Mark::None && !title.trim().is_empty() && text.trim() == title.trim())
    }

    /// A line after one that says how the step ended: only the runner's own goes with a step that is over.
    fn doubt(&mut self, text: &str, mark: Mark) {
        match mark {
            Mark::Group | Mark::Section | Mark::EndGroup | Mark::Command => self.settle(),
            Mark::Error | Mark::Warning | Mark::Debug => {}
            Mark::None => {
                const OWN: [&str; 12] = [
                    "Prepare all required actions",
                    "Getting action download info",
                    "Download action repository",
                    "Node ",
                    "Post job cleanup.",
                    "Cleaning up orphan processes",
                    "Evaluate and set job outputs",
                    "Set output '",
                    "Print service container logs",
                    "Stop and remove container",
                    "Remove container network",
                    "Terminate orphan process",
                ];
                if OWN.iter().any(|own| text.starts_with(own)) {
                    self.settle();
                } else if !text.trim().is_empty() {
                    let claim = self.claim.take();
                    self.disproved = claim.filter(|_| !self.tools.captures()).or(self.disproved);
                    self.over = None;
                }
            }
        }
    }

    /// gh's step column: a new one ends the step before.
    fn column(&mut self, step: &str) {
        let same = self.steps.last().is_some_and(|known| known.name == step);
        let unknown = step == "UNKNOWN STEP";
        if !unknown && !same {
            self.settle();
            self.seal();
        }
        if !unknown && !same && self.open {
            self.end_step(None);
            self.zone = Zone::Before;
        }
        if step.starts_with("Post ") || step == "Complete job" {
            self.ended |= step == "Complete job";
            self.zone = Zone::After;
        } else if self.zone == Zone::After && !self.open && !unknown && !same {
            self.zone = Zone::Before;
        }
    }

    fn begin(&mut self, title: &str, step: Option<&str>) {
        if self.steps.len() >= STEPS {
            self.steps.pop();
        }
        let name = step.filter(|step| *step != "UNKNOWN STEP").unwrap_or(title);
        self.steps.push(Step {
            name: bounded(name, 500).to_owned(),
            kind: StepKind::Run { script: String::new(), shell: None },
            env: BTreeMap::new(),
            exit: None,
            failed: false,
            installed: Vec::new(),
            local_packages: Vec::new(),
            directory: None,
            started: self.now,
            seeds: Seeds::default(),
        });
        if self.ci
            && let Some(step) = self.steps.last_mut()
        {
            step.kind = StepKind::Uses { action: title.trim().to_owned(), with: BTreeMap::new() };
        }
        self.open = true;
        self.errors = 0;
        self.error = None;
        self.disproved = None;
        self.passed = false;
        self.key = None;
        self.facts = Facts::default();
        self.sink.recent.clear();
        self.sink.runs_nothing();
    }

    /// A line that the runner marked as an error, whole and from the mark on.
    fn error(&mut self, whole: &str, text: &str) {
        // The runner writes its own marks at a line's beginning, and never that something ended with 0.
        if whole.starts_with("##[error]")
            && let Some(exit) = EXITED.captures(text).and_then(|found| found[1].parse().ok())
            && exit != 0
        {
            self.claim = Some(exit);
            return;
        }
        if let Some(exit) = service::exited(text).filter(|_| !self.github) {
            self.claim = Some(exit);
            return;
        }
        if self.zone == Zone::After && self.failed {
            return;
        }
        self.errors += 1;
        if self.error.is_none() && !text.trim().is_empty() {
            self.error = Some(bounded(text.trim(), 1000).to_owned());
        }
        if matches!(self.zone, Zone::Header(_)) {
            self.close_header();
        }
        self.output(text, ALL.mask(text.as_bytes()), true);
    }

    fn output(&mut self, text: &str, mask: Mask, error: bool) {
        if self.zone == Zone::After && !error && self.tail.is_none() {
            return;
        }
        // What docker compose puts before each line of a service, and docker build before each of a step.
        let text = match text.starts_with('#') || text.contains("| ") {
            true => COMPOSE.find(text).map_or(text, |found| &text[found.end()..]),
            false => text,
        };
        self.passed |= mask & tools::JOB != 0 && text.len() < 200 && PASSED.is_match(text);
        self.sink.recent.text(text);
        self.sink.error = error;
        if !self.tools.line(text, mask, &mut self.sink) {
            return;
        }
        if mask & tools::KNOWN != 0
            && !self.ci
            && self.python.is_none()
            && let Some(found) = facts::python(text)
        {
            self.python = Some(found);
        }
        if mask & tools::FACTS != 0
            && let Some(step) = self.steps.last_mut().filter(|_| self.open)
        {
            self.facts.line(text, self.workspace.as_deref(), step, &mut self.sink.paths);
        }
    }
}

fn is_cleanup(text: &str) -> bool {
    text == "Post job cleanup." || text == "Cleaning up orphan processes"
}
