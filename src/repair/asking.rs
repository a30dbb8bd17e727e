//! asking: the steps of the ladder that need a model. One question for each cause, side by side; what was rejected goes on
//! as a dialogue. Nothing that the model says counts as proof: every change is judged like anybody's.

use std::sync::Mutex;

use async_trait::async_trait;
use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream};

use super::{
    answer::{self, Answer, Confidence, Fault},
    cause::{Cause, causes},
    context::{self, Wanted},
    dialogue::{self, Bench, Chat, LoopLimits, Memory, Ruling, Terms, Workbench},
    edit,
    ladder::{Ended, Found, Steps},
    prompts,
    trial::{Rejected, Task, Told, reason},
    validate::{ValidatedFix, Validation},
};
use crate::{
    detect::Failure,
    fix_type::FixType,
    integrity::Severity,
    llm::{LlmError, Message, Prompt, Role, ToolCall, Transcript, transcript::Entry},
    redact::Redactor,
    sandbox::SandboxError,
    workspace::{Change, Tree},
};

/// Tokens that an answer may have, its thoughts included.
const ANSWER_TOKENS: u32 = 16_384;

impl Memory for Transcript {
    fn tool_result(&self, completion_key: &str, call_id: &str) -> Option<String> {
        Transcript::tool_result(self, completion_key, call_id)
    }

    fn tool(&self, completion_key: &str, call: &ToolCall, result: &str) -> Result<(), LlmError> {
        self.append(&Entry::Tool {
            key: completion_key.to_owned(),
            call: call.id.clone(),
            name: call.name.clone(),
            arguments: call.arguments.clone(),
            result: result.to_owned(),
        })
    }

    fn verdict(&self, step: &str, verdict: &str, reasons: &[String]) -> Result<(), LlmError> {
        let (step, verdict) = (step.to_owned(), verdict.to_owned());
        self.append(&Entry::Verdict { step, verdict, reasons: reasons.to_vec() })
    }
}

/// What a model needs.
#[derive(Clone, Copy)]
pub struct Asker<'a> {
    /// Who answers.
    pub chat: &'a dyn Chat,
    /// Who remembers what tools said.
    pub memory: &'a dyn Memory,
    /// Puts back what was taken out of the prompts.
    pub redactor: &'a Redactor,
    /// Causes that are repaired at once.
    pub side_by_side: usize,
}

/// Where the model begins: after the rules.
pub(super) struct Start {
    /// What the rules did.
    pub(super) base: Change,
    /// The same in words; empty for nothing.
    pub(super) described: String,
    /// What still fails, by baseline.
    pub(super) remaining: Vec<Vec<Failure>>,
}

/// A change that a model proposes.
struct Proposal {
    answer: Answer,
    /// The whole change, what the rules did included.
    change: Change,
    /// The answer as it came.
    said: String,
}

/// How far a cause has come.
enum State {
    /// Nobody was asked yet.
    Open,
    /// There is a change to judge.
    Proposed(Box<Proposal>),
    /// It was no good: what the model said, and what is to be said to it.
    Rejected { said: String, words: String },
    /// No change is to be made; the diagnosis was told.
    Diagnosed,
    /// The model can't go on.
    Stopped(LlmError),
}

/// How a cause stands after its dialogue; with the proof, where it was judged with all the others and passed.
type DialogueEnded = Result<(State, Option<Box<Found>>), SandboxError>;

struct Climb<'a> {
    task: &'a Task<'a>,
    asker: Asker<'a>,
    start: &'a Start,
    tell: &'a (dyn Fn(Told) + Send + Sync),
}

/// Asks about every cause, and judges the answers together.
///
/// # Errors
/// When the sandbox fails.
pub(super) async fn ask(
    task: &Task<'_>,
    asker: Asker<'_>,
    steps: Steps,
    start: &Start,
    tell: &(dyn Fn(Told) + Send + Sync),
) -> Result<Ended, SandboxError> {
    let causes = causes(&start.remaining);
    if causes.is_empty() {
        return Ok(Ended::Nothing);
    }
    let climb = Climb { task, asker, start, tell };
    let mut states: Vec<State> = causes.iter().map(|_| State::Open).collect();
    if steps.question {
        let tree = task.tree.with(&start.base)?;
        // Boxed and collected first: the compiler can't tell that a stream of borrowing futures may be sent.
        let questions: Vec<BoxFuture<'_, State>> = causes.iter().map(|c| climb.question(c, &tree).boxed()).collect();
        states = stream::iter(questions).buffered(asker.side_by_side).collect().await;
        if let Some(found) = climb.together(&causes, &mut states).await? {
            return Ok(Ended::Found(found));
        }
    }
    if let Some(ended) = over(&states) {
        return Ok(ended);
    }
    if !steps.dialogue {
        return Ok(Ended::Nothing);
    }
    if let Some(found) = climb.dialogues(&causes, &mut states).await? {
        return Ok(Ended::Found(found));
    }
    if let Some(ended) = over(&states) {
        return Ok(ended);
    }
    Ok(climb.together(&causes, &mut states).await?.map_or(Ended::Nothing, Ended::Found))
}

/// The ending, where some cause can't be repaired: the others alone make no check pass.
fn over(states: &[State]) -> Option<Ended> {
    let stopped = states.iter().find_map(|state| match state {
        State::Stopped(error) => Some(Ended::Stopped(error.clone())),
        _ => None,
    });
    stopped.or_else(|| states.iter().any(|state| matches!(state, State::Diagnosed)).then_some(Ended::Nothing))
}

impl Climb<'_> {
    /// One question, and what its answer comes to before anything runs.
    async fn question(&self, cause: &Cause, tree: &Tree) -> State {
        let messages = prompts::question(&self.context(cause, tree));
        let prompt = Prompt { step: "question", messages, tools: Vec::new(), max_tokens: ANSWER_TOKENS };
        let said = match self.asker.chat.complete(&prompt).await {
            Ok(completion) => completion.content,
            Err(error) => return State::Stopped(error),
        };
        let answer = match answer::parse(&said) {
            Ok(answer) => answer,
            Err(why) => return self.unusable(cause, said, vec![why]),
        };
        (self.tell)(Told::Diagnosed(Box::new(answer.clone())));
        if answer.edits.is_empty() {
            // It was told that tools come next: what it lacks it may look for.
            let words = "You gave no edits. Now you have tools: look further, and repair it.".to_owned();
            return State::Rejected { said, words };
        }
        if let Some(why) = self.no_change(&answer) {
            (self.tell)(Told::Note(why));
            return State::Diagnosed;
        }
        let restore = |text: &str| self.asker.redactor.restore(text);
        match edit::apply(&answer.edits, self.task.tree, &self.start.base, self.task.protected, &restore) {
            Ok(change) => State::Proposed(Box::new(Proposal { answer, change, said })),
            Err(reasons) => self.unusable(cause, said, reasons),
        }
    }

    fn context(&self, cause: &Cause, tree: &Tree) -> context::Context {
        let wanted = Wanted {
            tree,
            baseline: &self.task.baselines[cause.baseline],
            failures: &cause.failures,
            category: cause.category(),
            enabled: self.task.enabled,
        };
        context::context(&wanted, &context::Limits::default())
    }

    /// An answer that is no change: an attempt like any other.
    fn unusable(&self, cause: &Cause, said: String, reasons: Vec<String>) -> State {
        let words = prompts::rejection("unusable", &reasons, "");
        (self.tell)(Told::Rejected(Box::new(Rejected {
            tier: "model",
            description: format!("An answer about {} that could not be applied.", cause.name()),
            change: Change::default(),
            verdict: "unusable",
            validation: Validation::default(),
            reasons,
            remaining: Vec::new(),
        })));
        State::Rejected { said, words }
    }

    /// Why an answer ends as a diagnosis; `None` where it may be tried.
    fn no_change(&self, answer: &Answer) -> Option<String> {
        if answer.confidence == Confidence::Low {
            return Some("the model's confidence is low: its answer is a diagnosis only".to_owned());
        }
        let fix_type = kind(answer);
        let enabled = self.task.enabled.contains(&fix_type);
        (!enabled).then(|| format!("fix type {fix_type} is not enabled: the model's answer is a diagnosis only"))
    }

    /// Judges all proposals in one change. Those that are to blame for a rejection are sent back.
    async fn together(&self, causes: &[Cause], states: &mut [State]) -> Result<Option<Box<Found>>, SandboxError> {
        let (merged, proposed) = self.merged(states)?;
        let answers: Vec<&Answer> = states.iter().filter_map(State::answer).collect();
        if answers.is_empty() {
            return Ok(None);
        }
        let found = self.found(&answers);
        let judgement = self.task.judge(&merged, declared(&answers)).await?;
        let rejected = match Rejected::of("model", found.description.clone(), merged, judgement) {
            Ok(fix) => return Ok(Some(Box::new(found.with(fix)))),
            Err(rejected) => rejected,
        };
        let mut blamed: Vec<usize> =
            proposed.iter().copied().filter(|i| self.to_blame(&causes[*i], &states[*i], &rejected)).collect();
        if blamed.is_empty() {
            blamed = proposed;
        }
        for index in blamed {
            if let State::Proposed(proposal) = &states[index] {
                let words = words(&rejected, &proposal.change);
                states[index] = State::Rejected { said: proposal.said.clone(), words };
            }
        }
        (self.tell)(Told::Rejected(rejected));
        Ok(None)
    }

    /// All that is proposed, in one change, and by which causes. One that contradicts those before it is sent back.
    fn merged(&self, states: &mut [State]) -> Result<(Change, Vec<usize>), SandboxError> {
        let base = &self.start.base;
        let mut merged: Option<Change> = None;
        let mut proposed = Vec::new();
        for (index, state) in states.iter_mut().enumerate() {
            let State::Proposed(proposal) = state else { continue };
            match merged.as_ref().map(|so_far| so_far.merge(&proposal.change, base)).transpose()? {
                None => merged = Some(proposal.change.clone()),
                Some(Ok(both)) => merged = Some(both),
                Some(Err(path)) => {
                    let words = format!("Your change contradicts the repair of another failure in {path}.");
                    *state = State::Rejected { said: std::mem::take(&mut proposal.said), words };
                    continue;
                }
            }
            proposed.push(index);
        }
        Ok((merged.unwrap_or_else(|| base.clone()), proposed))
    }

    /// Did this proposal bring the rejection about?
    fn to_blame(&self, cause: &Cause, state: &State, rejected: &Rejected) -> bool {
        let State::Proposed(proposal) = state else { return false };
        let touches = |file: &String| {
            proposal.change.files.get(file).is_some_and(|change| self.start.base.files.get(file) != Some(change))
        };
        if rejected.verdict == "refused" {
            let refusing = rejected.validation.findings.iter().filter(|f| f.severity == Severity::Refuse);
            return refusing.filter_map(|f| f.file.as_ref()).any(touches);
        }
        rejected.remaining.get(cause.baseline).is_some_and(|failures| cause.still_in(failures))
    }

    /// A dialogue about every cause that is not repaired yet, on top of what is. The proof, where one of them was judged
    /// with all the others and passed.
    async fn dialogues(&self, causes: &[Cause], states: &mut [State]) -> Result<Option<Box<Found>>, SandboxError> {
        let (kept, _) = self.merged(states)?;
        let pending: Vec<usize> =
            (0..causes.len()).filter(|i| matches!(states[*i], State::Open | State::Rejected { .. })).collect();
        let kept_answers: Vec<Answer> = states.iter().filter_map(State::answer).cloned().collect();
        let mut dialogues: Vec<BoxFuture<'_, DialogueEnded>> = Vec::new();
        for index in &pending {
            let others = pending.iter().filter(|i| *i != index).map(|i| causes[*i].clone()).collect();
            dialogues.push(self.dialogue(&causes[*index], &states[*index], &kept, &kept_answers, others).boxed());
        }
        let ended: Vec<DialogueEnded> = stream::iter(dialogues).buffered(self.asker.side_by_side).collect().await;
        let mut found = None;
        for (index, ended) in pending.into_iter().zip(ended) {
            let (state, proven) = ended?;
            states[index] = state;
            found = found.or(proven);
        }
        Ok(found)
    }

    async fn dialogue(
        &self,
        cause: &Cause,
        state: &State,
        kept: &Change,
        kept_answers: &[Answer],
        others: Vec<Cause>,
    ) -> DialogueEnded {
        let tree = self.task.tree.with(kept)?;
        let mut opening = prompts::dialogue_opening(&self.context(cause, &tree));
        if let State::Rejected { said, words } = state {
            opening.push(Message::new(Role::Assistant, said.clone()));
            opening.push(Message::new(Role::User, words.clone()));
        }
        let baseline = &self.task.baselines[cause.baseline];
        let prepared = self.task.sandbox.prepare(baseline.recipe(), &tree, !kept.is_empty()).await?;
        let restore = |text: &str| self.asker.redactor.restore(text);
        let redact = |text: &str| self.asker.redactor.redact(text);
        let (checks, protected) = (&baseline.job().checks, self.task.protected);
        let terms = Terms { checks, protected, restore: &restore, redact: &redact };
        let workbench = Workbench::new(prepared, self.task.tree, kept.clone(), terms);
        let bench = Judged { climb: self, cause, others, kept_answers, found: Mutex::new(None) };
        let limits = LoopLimits::default();
        let ended = dialogue::converse(self.asker.chat, self.asker.memory, &bench, workbench, opening, &limits).await?;
        Ok(match ended {
            dialogue::Ended::Accepted { answer, change } => {
                let found = bench.found.into_inner().unwrap_or_default();
                (State::Proposed(Box::new(Proposal { answer, change, said: String::new() })), found)
            }
            dialogue::Ended::GivenUp { answer, why } => {
                if let Some(answer) = answer {
                    (self.tell)(Told::Diagnosed(Box::new(answer)));
                }
                (self.tell)(Told::Note(why));
                (State::Diagnosed, None)
            }
            dialogue::Ended::Stopped { error, answer } => {
                if let Some(answer) = answer {
                    (self.tell)(Told::Diagnosed(Box::new(answer)));
                }
                (State::Stopped(error), None)
            }
        })
    }

    /// What is told of a fix by these answers.
    fn found(&self, answers: &[&Answer]) -> Unproven {
        let join = |texts: Vec<&str>| {
            let mut unique: Vec<&str> = Vec::new();
            for text in texts.into_iter().filter(|t| !t.is_empty()) {
                if !unique.contains(&text) {
                    unique.push(text);
                }
            }
            unique.join(" ")
        };
        let causes = answers.iter().map(|a| a.root_cause.as_str());
        Unproven {
            fix_type: answers.first().map_or(FixType::Test, |a| kind(a)),
            description: join(std::iter::once(self.start.described.as_str()).chain(causes).collect()),
            impact: join(answers.iter().map(|a| a.impact.as_str()).collect()),
        }
    }
}

impl State {
    fn answer(&self) -> Option<&Answer> {
        match self {
            State::Proposed(proposal) => Some(&proposal.answer),
            _ => None,
        }
    }
}

/// A fix in words, before its proof.
struct Unproven {
    fix_type: FixType,
    description: String,
    impact: String,
}

impl Unproven {
    fn with(self, fix: Box<ValidatedFix>) -> Found {
        let Unproven { fix_type, description, impact } = self;
        Found { fix, tier: "model", fix_type, description, impact }
    }
}

/// Judges what comes out of a dialogue about one cause.
struct Judged<'a> {
    climb: &'a Climb<'a>,
    cause: &'a Cause,
    /// Causes that are still being repaired beside it: they may go on failing.
    others: Vec<Cause>,
    kept_answers: &'a [Answer],
    found: Mutex<Option<Box<Found>>>,
}

#[async_trait]
impl Bench for Judged<'_> {
    async fn judge(&self, change: &Change, answer: &Answer) -> Result<Ruling, SandboxError> {
        (self.climb.tell)(Told::Diagnosed(Box::new(answer.clone())));
        if let Some(why) = self.climb.no_change(answer) {
            return Ok(Ruling::Rejected { verdict: "refused", reasons: vec![why], output: String::new() });
        }
        let answers: Vec<&Answer> = self.kept_answers.iter().chain([answer]).collect();
        let unproven = self.climb.found(&answers);
        let judgement = self.climb.task.judge(change, declared(&answers)).await?;
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
            output: output(&rejected.remaining),
        };
        (self.climb.tell)(Told::Rejected(rejected));
        Ok(ruling)
    }
}

impl Judged<'_> {
    fn only_others_fail(&self, rejected: &Rejected) -> bool {
        let theirs = |baseline: usize, failure: &Failure| {
            self.others.iter().any(|c| c.baseline == baseline && c.still_in(std::slice::from_ref(failure)))
        };
        rejected.verdict == "failed"
            && rejected.remaining.len() == self.climb.task.baselines.len()
            && rejected.remaining.iter().any(|failures| !failures.is_empty())
            && rejected.remaining.get(self.cause.baseline).is_some_and(|failures| !self.cause.still_in(failures))
            && rejected.remaining.iter().enumerate().all(|(b, failures)| failures.iter().all(|f| theirs(b, f)))
    }
}

/// What an answer is a repair of: a test that is wrong is a test fix, whatever else it is called.
fn kind(answer: &Answer) -> FixType {
    if answer.fault == Fault::Test { FixType::Test } else { answer.fix_type }
}

/// What the judge is told. Only a test that is said to be wrong is declared as a test fix.
fn declared(answers: &[&Answer]) -> Option<FixType> {
    if answers.iter().any(|a| a.fault == Fault::Test) {
        return Some(FixType::Test);
    }
    answers.first().map(|a| a.fix_type).filter(|fix_type| *fix_type != FixType::Test)
}

/// What is said to the model of a rejection: only what its own change has to do with.
fn words(rejected: &Rejected, change: &Change) -> String {
    let elsewhere: Vec<String> = rejected
        .validation
        .findings
        .iter()
        .filter(|f| f.file.as_ref().is_some_and(|file| !change.files.contains_key(file)))
        .map(reason)
        .collect();
    let mut reasons: Vec<String> = Vec::new();
    for reason in rejected.reasons.iter().filter(|reason| !elsewhere.contains(reason)) {
        let reason = dialogue::stable(reason);
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    prompts::rejection(rejected.verdict, &reasons, &output(&rejected.remaining))
}

/// What still fails, for the model: the log around the first few failures.
fn output(remaining: &[Vec<Failure>]) -> String {
    let mut text = String::new();
    for failure in remaining.iter().flatten().take(3) {
        let excerpt: String = failure.excerpt.chars().take(1500).collect();
        text.push_str(&format!("{}\n{excerpt}\n", failure.message));
    }
    dialogue::stable(&text)
}
