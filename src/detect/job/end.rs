//! How a step ends, and the job: which of what was found counts.

use super::{AFTERWARDS, Doubt, Job, Zone};
use crate::detect::command;
use crate::detect::failure::{Category, Failure, JobLog, JobResult, StepKind};
use crate::detect::found::{FAILURES, Found, Weight};
use crate::detect::text::bounded;
use crate::detect::verdict;

impl Job {
    /// The claim that the step ended so stands.
    pub(super) fn settle(&mut self) {
        if let Some(exit) = self.claim.take() {
            self.settled(exit);
        }
        if let Some(ended) = self.over.take() {
            let sealed = self.tail.is_some();
            self.seal();
            // Nothing ran after the step that a doubtful line says failed.
            match self.disproved.take() {
                None if self.open => {
                    self.tools.close(&mut self.sink);
                    self.tail = Some((self.sink.found.len(), self.errors));
                }
                None if sealed => {}
                exit => self.end_step(exit),
            }
            self.zone = Zone::After;
            self.ended |= ended;
        }
    }

    /// The step that seemed to be over is.
    pub(super) fn seal(&mut self) {
        if let Some((found, errors)) = self.tail.take() {
            self.tools.close(&mut self.sink);
            self.sink.found.truncate(found);
            self.errors = errors;
            self.end_step(None);
        }
    }

    pub(super) fn settled(&mut self, exit: i32) {
        // What looked like the job's end was printed by the step.
        self.tail = None;
        if self.open || self.zone == Zone::Before {
            self.end_step(Some(exit));
        } else if let Some(index) = self.steps.len().checked_sub(1)
            && self.steps.get(index).is_some_and(|step| !step.failed)
        {
            self.fail_after_all(index, exit);
        }
        self.zone = Zone::After;
    }

    pub(super) fn fail_after_all(&mut self, index: usize, exit: i32) {
        let doubtful = std::mem::take(&mut self.doubtful).into_iter();
        let (own, others): (Vec<_>, Vec<_>) = doubtful.partition(|doubt| doubt.step == Some(index));
        self.doubtful = others;
        if let Some(step) = self.steps.get_mut(index) {
            step.exit = Some(exit);
            step.failed = true;
        }
        self.failed = true;
        let mut found = verdict::choose(own.into_iter().map(|doubt| doubt.found).collect());
        if found.is_empty() {
            found.push(self.last_word(exit, Some(index)));
        }
        self.keep(Some(index), found);
    }

    /// Keeps failures of a step, as many as there is room for.
    pub(super) fn keep(&mut self, index: Option<usize>, found: Vec<Found>) {
        let room = FAILURES.saturating_sub(self.failures.len());
        self.dropped += found.len().saturating_sub(room) as u64;
        self.failures.extend(found.into_iter().take(room).map(|found| (index, found)));
    }

    /// The step is over. `None`: nothing says how.
    pub(super) fn end_step(&mut self, exit: Option<i32>) {
        let index = self.open.then(|| self.steps.len().saturating_sub(1));
        self.tools.close(&mut self.sink);
        let found = self.sink.reset();
        let dropped = std::mem::take(&mut self.sink.dropped);
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
            self.dropped += dropped;
            let mut found = verdict::choose(found);
            if found.is_empty() {
                found.push(self.last_word(exit.unwrap_or(1), index));
            }
            self.keep(index, found);
        } else {
            let mut found = match errors > 0 {
                true => verdict::choose(found),
                false => found.into_iter().filter(|found| found.weight == Weight::Finding).collect(),
            };
            // What the action's own program died of says less than what the action says.
            if uses && found.iter().all(|found| found.tool == "node" && found.file.is_none()) {
                found.clear();
            }
            if uses
                && found.is_empty()
                && let Some(said) = self.error.take()
            {
                found.push(self.action_failed(&said, index));
            }
            let room = FAILURES.saturating_sub(self.doubtful.len());
            let action = uses && errors > 0;
            self.doubtful.extend(found.into_iter().take(room).map(|found| Doubt { step: index, action, found }));
        }
        self.open = false;
    }

    /// A command that failed and of which no tool's word is known.
    pub(super) fn last_word(&self, exit: i32, index: Option<usize>) -> Found {
        let script = self.sink.command.clone().unwrap_or_default();
        let step = index.and_then(|index| self.steps.get(index));
        let name = step.map_or("", |step| step.name.as_str());
        let gate = step.is_some_and(|step| command::is_gate(step, &script));
        // What tox ran says more than that it was tox.
        let inner = self.sink.inner().and_then(|inner| inner.lines().next()).filter(|_| command::starts_any(&script));
        let words = [inner.unwrap_or_default(), &script, name, self.name.as_deref().unwrap_or_default()];
        verdict::exited(&script, words, exit, gate, self.error.as_deref(), &self.sink.recent.lines())
    }

    /// An action that ended with an error which no list knows.
    pub(super) fn action_failed(&self, said: &str, index: Option<usize>) -> Found {
        let step = index.and_then(|index| self.steps.get(index));
        let action = step.map_or("", |step| match &step.kind {
            StepKind::Uses { action, .. } => action.as_str(),
            StepKind::Run { .. } => step.name.as_str(),
        });
        verdict::action(action, said, &self.sink.recent.lines())
    }

    /// The exit status of the command that we ran.
    pub(in crate::detect) fn exited(&mut self, exit: i32) {
        if self.open {
            self.end_step(Some(exit));
            if exit == 0 {
                self.doubtful.clear();
                self.ended = true;
            }
        }
    }

    /// The log is over.
    pub(in crate::detect) fn finish(mut self) -> Option<JobLog> {
        self.settle();
        self.seal();
        let ended = self.ended;
        if self.open || self.zone == Zone::Before {
            self.finish_open(ended);
        }
        if self.failures.is_empty() {
            let last = self.steps.len().checked_sub(1);
            let later = |index: usize| self.steps.iter().skip(index + 1).all(|step| AFTERWARDS.is_match(&step.name));
            let doubtful = std::mem::take(&mut self.doubtful);
            let mut sure = Vec::new();
            for Doubt { step, action, found } in doubtful {
                let failed = action && (step == last || step.is_none_or(later));
                if !ended || found.weight == Weight::Runner || failed {
                    sure.push((step, found));
                }
            }
            // What an action says of itself counts when nobody says more.
            if sure.iter().any(|(_, found)| found.weight != Weight::Action) {
                sure.retain(|(_, found)| found.weight != Weight::Action);
            }
            self.failures = sure;
        }
        let result = match (self.failures.is_empty() && !self.failed, ended) {
            (false, _) => JobResult::Failure,
            (true, true) => JobResult::Success,
            (true, false) => JobResult::Unknown,
        };
        let job = self.name.clone();
        let python = self.python.clone().or(self.asked.clone());
        let category = verdict::primary(&self.failures, job.as_deref());
        let mut failures = verdict::merged(std::mem::take(&mut self.failures));
        self.dropped += failures.len().saturating_sub(self.most) as u64;
        failures.truncate(self.most);
        let failures = failures.into_iter().map(|(index, found)| self.failure(index, found, &job, &python)).collect();
        Some(JobLog {
            log: self.log,
            job,
            result,
            category,
            failures,
            dropped: self.dropped,
            jobs: 1,
            steps: self.steps,
            python,
            workspace: self.workspace,
            repository: self.repository,
            sha: self.sha.or(self.head),
        })
    }

    /// The log ends within a step, or shows none.
    pub(super) fn finish_open(&mut self, ended: bool) {
        let index = self.open.then(|| self.steps.len().saturating_sub(1));
        if let Some(exit) = self.disproved.take().filter(|_| !ended) {
            self.end_step(Some(exit));
            return;
        }
        self.tools.close(&mut self.sink);
        let found = self.sink.reset();
        let errors = self.errors;
        if !ended || errors > 0 {
            self.dropped += std::mem::take(&mut self.sink.dropped);
            let passed = self.passed;
            let mut found: Vec<Found> = verdict::choose(found)
                .into_iter()
                .filter(|found| {
                    let code = matches!(
                        found.category,
                        Category::RuntimeError | Category::ImportDependency | Category::SyntaxError
                    );
                    errors > 0 || found.weight == Weight::Finding || !((passed && code) || found.tool == "network")
                })
                .collect();
            if found.is_empty()
                && let Some(said) = self.error.take()
            {
                found.push(self.action_failed(&said, index));
            }
            self.keep(index, found);
        }
        if let Some(step) = index.and_then(|index| self.steps.get_mut(index)) {
            step.exit = None;
            step.failed = !self.failures.is_empty();
        }
    }

    pub(super) fn failure(
        &self,
        index: Option<usize>,
        found: Found,
        job: &Option<String>,
        python: &Option<String>,
    ) -> Failure {
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
