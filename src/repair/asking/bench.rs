//! What is made of a proposal: who is to blame for a rejection, what is declared, and the bench of a dialogue.

use std::sync::Mutex;

use async_trait::async_trait;

use super::{Climb, State, Unproven};
use crate::{
    detect::Failure,
    fix_type::FixType,
    integrity::Severity,
    redact::Redactor,
    repair::{
        answer::{Answer, Fault},
        cause::Cause,
        dialogue::{self, Bench, Ruling},
        ladder::Found,
        prompts,
        trial::{Rejected, Told, reason},
    },
    sandbox::SandboxError,
    workspace::Change,
};

/// Did this proposal bring the rejection about?
pub(super) fn to_blame(cause: &Cause, state: &State, rejected: &Rejected, base: &Change) -> bool {
    let State::Proposed(proposal) = state else { return false };
    let touches =
        |file: &String| proposal.change.files.get(file).is_some_and(|change| base.files.get(file) != Some(change));
    if rejected.verdict == "refused" {
        let refusing = rejected.validation.findings.iter().filter(|f| f.severity == Severity::Refuse);
        return refusing.filter_map(|f| f.file.as_ref()).any(touches);
    }
    rejected.remaining.get(cause.baseline).is_some_and(|failures| cause.still_in(failures))
}

/// Judges what comes out of a dialogue about one cause.
pub(super) struct Judged<'a> {
    pub(super) climb: &'a Climb<'a>,
    pub(super) cause: &'a Cause,
    /// Causes that are still being repaired beside it: they may go on failing.
    pub(super) others: Vec<Cause>,
    pub(super) kept_answers: &'a [Answer],
    pub(super) found: Mutex<Option<Box<Found>>>,
}

#[async_trait]
impl Bench for Judged<'_> {
    async fn judge(&self, change: &Change, answer: &Answer) -> Result<Ruling, SandboxError> {
        self.climb.diagnosed(self.cause, answer);
        if let Some(why) = self.climb.no_change(answer, Some(change)) {
            self.climb.untried(answer, change.clone(), why.clone());
            return Ok(Ruling::Diagnosis { why });
        }
        let answers: Vec<&Answer> = self.kept_answers.iter().chain([answer]).collect();
        let unproven = Unproven::of(&self.climb.start.described, &answers);
        let judgement = self.climb.task.judge(change, &declared(&answers)).await?;
        let rejected = match Rejected::of("model", unproven.description.clone(), change.clone(), judgement) {
            Ok(fix) => {
                if let Ok(mut found) = self.found.lock() {
                    *found = Some(Box::new(unproven.with(fix)));
                }
                return Ok(Ruling::Accepted);
            }
            Err(rejected) => rejected,
        };
        if self.only_others_fail(&rejected) {
            return Ok(Ruling::Accepted); // they are judged together at the end
        }
        let ruling = Ruling::Rejected {
            verdict: rejected.verdict,
            reasons: rejected.reasons.iter().map(|reason| dialogue::stable(reason)).collect(),
            output: output(&rejected.remaining, self.climb.asker.redactor),
        };
        (self.climb.tell)(Told::Rejected(rejected));
        Ok(ruling)
    }

    /// Of a run that is resumed: the trial was held then.
    fn told(&self, change: &Change, answer: &Answer, verdict: &'static str, reasons: &[String]) {
        self.climb.diagnosed(self.cause, answer);
        let rejected = Rejected::unrun(answer.root_cause.clone(), change.clone(), verdict, reasons.to_vec());
        (self.climb.tell)(Told::Rejected(rejected));
    }
}

impl Judged<'_> {
    fn only_others_fail(&self, rejected: &Rejected) -> bool {
        let theirs = |baseline: usize, failure: &Failure| {
            self.others.iter().any(|c| c.baseline == baseline && c.still_in(std::slice::from_ref(failure)))
        };
        rejected.verdict == "failed"
            && !rejected.worse
            && rejected.remaining.len() == self.climb.task.baselines.len()
            && rejected.remaining.iter().any(|failures| !failures.is_empty())
            && rejected.remaining.get(self.cause.baseline).is_some_and(|failures| !self.cause.still_in(failures))
            && rejected.remaining.iter().enumerate().all(|(b, failures)| failures.iter().all(|f| theirs(b, f)))
    }
}

/// What an answer is a repair of: a test that is wrong is a test fix, whatever else it is called.
pub(super) fn kind(answer: &Answer) -> FixType {
    if answer.fault == Fault::Test { FixType::Test } else { answer.fix_type }
}

/// What the judge is told. Only a test that is said to be wrong is declared as a test fix.
pub(super) fn declared(answers: &[&Answer]) -> Vec<FixType> {
    let mut types = Vec::new();
    for answer in answers {
        let fix_type = kind(answer);
        let declares = fix_type != FixType::Test || answer.fault == Fault::Test;
        if declares && !types.contains(&fix_type) {
            types.push(fix_type);
        }
        // A test fix of documentation or coverage is shown to be what it is as well.
        if answer.fix_type != FixType::Test && !types.contains(&answer.fix_type) {
            types.push(answer.fix_type);
        }
    }
    types
}

/// What is said to the model of a rejection: only what its own change has to do with.
pub(super) fn words(rejected: &Rejected, change: &Change, redactor: &Redactor) -> String {
    let elsewhere: Vec<String> = rejected
        .validation
        .findings
        .iter()
        .filter(|f| f.file.as_ref().is_some_and(|file| !change.files.contains_key(file)))
        .map(reason)
        .collect();
    let mut reasons: Vec<String> = Vec::new();
    for reason in rejected.reasons.iter().filter(|reason| !elsewhere.contains(reason)) {
        let reason = dialogue::stable(&redactor.redact(reason));
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    prompts::rejection(rejected.verdict, &reasons, &output(&rejected.remaining, redactor))
}

/// What still fails, for the model: the log around the first few failures.
fn output(remaining: &[Vec<Failure>], redactor: &Redactor) -> String {
    let mut text = String::new();
    for failure in remaining.iter().flatten().take(3) {
        let excerpt: String = redactor.redact(&failure.excerpt).chars().take(1500).collect();
        text.push_str(&format!("{}\n{excerpt}\n", redactor.redact(&failure.message)));
    }
    dialogue::stable(&text)
}
