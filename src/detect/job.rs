//! One job's log: its steps, and which of the failures that the tools' parsers found count.

mod header;

use std::collections::{BTreeMap, VecDeque};

use super::facts::{self, Facts};
use super::failure::{Category, Failure, JobLog, JobResult, Step, StepKind};
use super::found::{Found, Sink, Weight};
use super::runner::{self, Mark};
use super::text::{bounded, folded, patterns, plain};
use super::tools::Tools;
use super::verdict;

patterns! {
    EXITED = r"^Process completed with exit code (-?\d+)\.?";
    SHA = r"^'?([0-9a-f]{40})'?$";
    HEAD = r"^HEAD is now at ([0-9a-f]{7,40})\b";
    SYNCING = r"^Syncing repository: ([\w.-]+/[\w.-]+)$";
    COMPOSE = r"^[a-z][a-z0-9.]*(?:[-_][a-z0-9.]+)*[-_]\d+ +\| ";
    PASSED = r"^(?:=* ?(?:\d+ (?:skipped|deselected|xfailed|warnings?), )*\d+ passed(?:, \d+ (?:skipped|deselected|xfailed|xpassed|warnings?|rerun))* in .*|OK(?: \(.*\))?|Success: no issues found.*|All checks passed!|\d+ files? already formatted)$";
}

/// The most steps, and the longest script, that are kept.
const STEPS: usize = 300;
const SCRIPT: usize = 64 << 10;
const ENTRIES: usize = 500;
/// The most text of scripts, inputs and environments that is kept of a job.
const HEADERS: usize = 8 << 20;

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
    recent: VecDeque<String>,
    failures: Vec<(Option<usize>, Found)>,
    /// Findings of steps that went on, and errors of actions after which other steps ran.
    doubtful: Vec<(Option<usize>, Found)>,
    errors: u32,
    /// A tool said that all is well in this step.
    passed: bool,
    failed: bool,
    ended: bool,
    python: Option<String>,
    asked: Option<String>,
    workspace: Option<String>,
    repository: Option<String>,
    sha: Option<String>,
    head: Option<String>,
    sha_next: bool,
    /// What is left of [`HEADERS`].
    room: usize,
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
            recent: VecDeque::new(),
            failures: Vec::new(),
            doubtful: Vec::new(),
            errors: 0,
            passed: false,
            failed: false,
            ended: false,
            python: None,
            asked: None,
            workspace: None,
            repository: None,
            sha: None,
            head: None,
            sha_next: false,
            room: HEADERS,
        }
    }

    pub(super) fn for_command(command: &str, roots: &[String]) -> Self {
        let mut job = Self::new(command, None);
        job.ci = false;
        job.sink.paths = super::text::Paths::new(roots);
        job.begin(command, None);
        if let Some(StepKind::Run { script, .. }) = job.steps.last_mut().map(|step| &mut step.kind) {
            command.clone_into(script);
        }
        job.sink.command = Some(folded(command));
        job.zone = Zone::Output;
        job
    }

    /// Reads one line without its envelope. `step` is gh's column.
    pub(super) fn line(&mut self, raw: &str, step: Option<&str>) {
        let text = plain(raw);
        if !self.ci {
            match runner::workflow(&text) {
                Some((Mark::Error, text)) => self.output(text, true),
                Some((Mark::Warning, text)) => self.output(text, false),
                Some(_) => {}
                None => self.output(&text, false),
            }
            return;
        }
        if let Some(step) = step {
            self.column(step);
        }
        self.around(&text);
        let (mark, rest) = runner::mark(&text);
        if let Some(title) = self.pending.take() {
            let script = ["\u{1b}[36;1m", "^[[36;1m", "[36;1m", "\u{fffd}[36;1m"];
            let header = script.iter().any(|start| raw.starts_with(start))
                || mark == Mark::EndGroup
                || ["with:", "env:"].contains(&text.as_ref())
                || text.starts_with("shell: ");
            if header {
                self.end_step(None);
                self.begin(&title, step);
                self.zone = Zone::Header(Part::Script);
            }
        }
        match mark {
            Mark::Group if rest.starts_with("Run ") => self.pending = Some(bounded(&rest[4..], 1000).to_owned()),
            Mark::EndGroup if matches!(self.zone, Zone::Header(_)) => self.close_header(),
            Mark::Group | Mark::EndGroup | Mark::Command | Mark::Debug => {}
            Mark::Error => self.error(rest),
            Mark::Warning | Mark::None => {
                if text == "Post job cleanup." || text == "Cleaning up orphan processes" {
                    self.end_step(None);
                    self.zone = Zone::After;
                    self.ended |= text.starts_with("Cleaning");
                } else if let Zone::Header(part) = self.zone {
                    self.header(part, &text);
                } else if let Some((Mark::Error, said)) = runner::workflow(&text) {
                    self.output(said, true);
                } else {
                    self.output(rest, false);
                }
            }
        }
    }

    /// gh's step column: a new one ends the step before.
    fn column(&mut self, step: &str) {
        let same = self.steps.last().is_some_and(|known| known.name == step);
        let unknown = step == "UNKNOWN STEP";
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

    /// What the lines around the steps say of the job.
    fn around(&mut self, text: &str) {
        if std::mem::take(&mut self.sha_next)
            && self.sha.is_none()
            && let Some(found) = SHA.captures(text.trim())
        {
            self.sha = Some(found[1].to_owned());
        }
        if text.starts_with("[command]") && text.contains("git log -1 --format=") {
            self.sha_next = true;
        } else if let Some(found) = text.strip_prefix("Complete job name: ") {
            self.name.get_or_insert_with(|| bounded(found, 300).to_owned());
        } else if self.head.is_none() && text.starts_with("HEAD is now at ") {
            self.head = HEAD.captures(text).map(|found| found[1].to_owned());
        } else if self.repository.is_none() && text.starts_with("Syncing repository: ") {
            self.repository = SYNCING.captures(text).map(|found| found[1].to_owned());
        }
        if self.workspace.is_none()
            && let Some(found) = facts::workspace(text)
        {
            self.workspace = Some(found.to_owned());
            self.sink.paths.add(found);
        }
        if let Some(found) = facts::python(text) {
            if found.matches('.').count() >= 2 {
                self.python.get_or_insert(found);
            } else {
                self.asked.get_or_insert(found);
            }
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
        });
        if self.ci
            && let Some(step) = self.steps.last_mut()
        {
            step.kind = StepKind::Uses { action: title.trim().to_owned(), with: BTreeMap::new() };
        }
        self.open = true;
        self.errors = 0;
        self.passed = false;
        self.key = None;
        self.facts = Facts::default();
        self.recent.clear();
        self.sink.command = None;
    }

    fn error(&mut self, text: &str) {
        if let Some(found) = EXITED.captures(text) {
            if self.zone != Zone::After {
                let exit = found[1].parse().unwrap_or(1);
                self.end_step(Some(exit));
                self.zone = Zone::After;
            }
            return;
        }
        if self.zone == Zone::After && self.failed {
            return;
        }
        self.errors += 1;
        if matches!(self.zone, Zone::Header(_)) {
            self.close_header();
        }
        self.output(text, true);
    }

    fn output(&mut self, text: &str, error: bool) {
        if self.zone == Zone::After && !error {
            return;
        }
        // What docker compose puts before each line of a service.
        let text = match text.contains("| ") {
            true => COMPOSE.find(text).map_or(text, |found| &text[found.end()..]),
            false => text,
        };
        self.passed |= text.len() < 200 && PASSED.is_match(text);
        if !text.trim().is_empty() {
            if self.recent.len() >= 30 {
                self.recent.pop_front();
            }
            self.recent.push_back(bounded(text, 300).to_owned());
        }
        if !self.tools.line(text, error, &mut self.sink) {
            return;
        }
        if !self.ci
            && self.python.is_none()
            && let Some(found) = facts::python(text)
        {
            self.python = Some(found);
        }
        if let Some(step) = self.steps.last_mut().filter(|_| self.open) {
            self.facts.line(text, self.workspace.as_deref(), step);
        }
    }

    /// The step is over. `None`: nothing says how.
    fn end_step(&mut self, exit: Option<i32>) {
        let index = self.open.then(|| self.steps.len().saturating_sub(1));
        self.tools.close(&mut self.sink);
        let found = self.sink.reset();
        let step = index.and_then(|index| self.steps.get_mut(index));
        let failed = exit.is_some_and(|exit| exit != 0);
        let errors = std::mem::take(&mut self.errors);
        let uses = step.as_ref().is_none_or(|step| matches!(step.kind, StepKind::Uses { .. }));
        if let Some(step) = step {
            step.exit = exit.or((errors == 0).then_some(0));
            step.failed = failed || (errors > 0 && (uses || found.iter().any(|found| found.weight == Weight::Runner)));
        }
        if failed {
            self.failed = true;
            let mut found = verdict::choose(found);
            if found.is_empty() {
                found.push(self.last_word(exit.unwrap_or(1), index));
            }
            self.failures.extend(found.into_iter().map(|found| (index, found)));
        } else if errors > 0 {
            let found = verdict::choose(found);
            self.doubtful.extend(found.into_iter().map(|found| (index, found)));
        } else {
            let known = self.doubtful.len();
            let found = found.into_iter().filter(|found| found.weight == Weight::Finding);
            self.doubtful.extend(found.take(5000usize.saturating_sub(known)).map(|found| (index, found)));
        }
        self.open = false;
    }

    /// A command that failed and of which no tool's word is known.
    fn last_word(&self, exit: i32, index: Option<usize>) -> Found {
        let command = self.sink.command.clone().unwrap_or_default();
        let name = index.and_then(|index| self.steps.get(index)).map_or("", |step| step.name.as_str());
        verdict::exited(&command, name, self.name.as_deref().unwrap_or_default(), exit, &self.recent)
    }

    /// The exit status of the command that we ran.
    pub(super) fn exited(&mut self, exit: i32) {
        if self.open {
            self.end_step(Some(exit));
            if exit == 0 {
                self.doubtful.clear();
                self.ended = true;
            }
        }
    }

    /// The log is over.
    pub(super) fn finish(mut self) -> Option<JobLog> {
        let ended = self.ended;
        if self.open || self.zone == Zone::Before {
            let index = self.open.then(|| self.steps.len().saturating_sub(1));
            self.tools.close(&mut self.sink);
            let found = self.sink.reset();
            let errors = self.errors;
            if !ended || errors > 0 {
                let found = verdict::choose(found);
                let passed = self.passed;
                let found = found.into_iter().filter(|found| {
                    let code = matches!(
                        found.category,
                        Category::RuntimeError | Category::ImportDependency | Category::SyntaxError
                    );
                    errors > 0 || found.weight == Weight::Finding || !((passed && code) || found.tool == "network")
                });
                self.failures.extend(found.map(|found| (index, found)));
            }
            if let Some(step) = index.and_then(|index| self.steps.get_mut(index)) {
                step.exit = None;
                step.failed = !self.failures.is_empty();
            }
        }
        if self.failures.is_empty() {
            let doubtful = std::mem::take(&mut self.doubtful);
            let certain = |found: &Found| !ended || matches!(found.weight, Weight::Runner);
            self.failures = doubtful.into_iter().filter(|(_, found)| certain(found)).collect();
        }
        let result = match (self.failures.is_empty() && !self.failed, ended) {
            (false, _) => JobResult::Failure,
            (true, true) => JobResult::Success,
            (true, false) => JobResult::Unknown,
        };
        let job = self.name.clone();
        let python = self.python.clone().or(self.asked.clone());
        let category = verdict::primary(&self.failures, job.as_deref());
        let failures = verdict::merged(std::mem::take(&mut self.failures));
        let failures = failures.into_iter().map(|(index, found)| self.failure(index, found, &job, &python)).collect();
        Some(JobLog {
            log: self.log,
            job,
            result,
            category,
            failures,
            steps: self.steps,
            python,
            workspace: self.workspace,
            repository: self.repository,
            sha: self.sha.or(self.head),
        })
    }

    fn failure(&self, index: Option<usize>, found: Found, job: &Option<String>, python: &Option<String>) -> Failure {
        let step = index.and_then(|index| self.steps.get(index));
        let command = step.and_then(|step| match &step.kind {
            StepKind::Run { script, .. } if !script.is_empty() => Some(bounded(script, 4096).to_owned()),
            _ => None,
        });
        Failure {
            category: found.category,
            tool: found.tool.to_owned(),
            test_id: found.test_id,
            file: found.file.filter(|file| !file.is_empty()),
            line: found.line.filter(|line| *line > 0),
            message: found.message,
            command,
            step: step.filter(|_| self.ci).map(|step| step.name.clone()),
            job: job.clone(),
            python: python.clone(),
            excerpt: found.excerpt,
            fingerprint: verdict::fingerprint(found.cause.as_deref(), &found.key),
            count: found.count,
            key: found.key,
        }
    }
}
