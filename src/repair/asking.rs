//! asking: the steps of the ladder that need a model. One question for each cause, side by side; what was rejected goes on
//! as a dialogue. Nothing that the model says counts as proof: every change is judged like anybody's.

mod bench;
mod memory;
mod state;

use std::sync::Mutex;

use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream};

use bench::{Judged, declared, kind, to_blame, words};
use state::{Proposal, State, Unproven};

use super::{
    answer::{self, Answer, Confidence, Fault},
    cause::{Cause, causes},
    context::{self, Wanted},
    dialogue::{self, Chat, LoopLimits, Memory, Terms, Workbench},
    edit,
    ladder::{Ended, Found, Steps},
    prompts,
    rules::added_requirements,
    trial::{Rejected, Task, Told},
    validate::{Judgement, Validation, refused},
};
use crate::{
    detect::Failure,
    fix_type::FixType,
    llm::{Prompt, ToolCall},
    redact::Redactor,
    sandbox::SandboxError,
    workspace::{Change, Tree},
};

/// The steps, as requests and the transcript call them.
const QUESTION: &str = "question";

/// Tokens that an answer may have, its thoughts included.
const ANSWER_TOKENS: u32 = 16_384;

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
        let found = climb.together(QUESTION, &causes, &mut states, &start.base).await?;
        climb.came_to(QUESTION, &states, found.is_some());
        if let Some(found) = found {
            return Ok(Ended::Found(found));
        }
    }
    if let Some(ended) = over(&states) {
        return Ok(ended);
    }
    if !steps.dialogue {
        return Ok(Ended::Nothing);
    }
    let (kept, _) = climb.merged(QUESTION, &mut states, &start.base)?;
    for state in &mut states {
        *state = match std::mem::replace(state, State::Open) {
            State::Proposed(proposal) => State::Kept(proposal),
            other => other,
        };
    }
    let mut found = climb.dialogues(&causes, &mut states, &kept).await?;
    if found.is_none() {
        // Also where some cause was given up: what the others came to is the best attempt.
        found = climb.together(dialogue::STEP, &causes, &mut states, &kept).await?;
    }
    climb.came_to("dialogue", &states, found.is_some());
    Ok(found.map(Ended::Found).or_else(|| over(&states)).unwrap_or(Ended::Nothing))
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
        let prompt = Prompt { step: QUESTION, messages, tools: Vec::new(), max_tokens: ANSWER_TOKENS };
        let (key, said) = match self.asker.chat.complete(&prompt).await {
            Ok(completion) => (completion.key, completion.content),
            Err(error) => return State::Stopped(error),
        };
        let answer = match answer::parse(&said) {
            Ok(answer) => answer,
            Err(why) => return self.unusable(cause, said, vec![why]),
        };
        self.diagnosed(cause, &answer);
        let restore = |text: &str| self.asker.redactor.restore(text);
        let change = match answer.edits.is_empty() {
            true => Ok(None),
            false => {
                edit::apply(&answer.edits, self.task.tree, &self.start.base, self.task.protected, &restore).map(Some)
            }
        };
        let made = change.as_ref().ok().and_then(Option::as_ref);
        if let Some(why) = self.no_change(&answer, made) {
            self.verdict(QUESTION, "diagnosis", std::slice::from_ref(&why));
            if let Some(made) = made {
                self.untried(&answer, made.clone(), why.clone());
            }
            (self.tell)(Told::Note(why));
            return State::Diagnosed;
        }
        match change {
            Ok(Some(change)) if answer.confidence != Confidence::NeedMore => {
                State::Proposed(Box::new(Proposal { answer, change, said, key }))
            }
            Err(reasons) if answer.confidence != Confidence::NeedMore => self.unusable(cause, said, reasons),
            _ => {
                // It was told that tools come next: what it lacks it may look for.
                let words = "Nothing is changed yet. Now you have tools: look further, and repair it.".to_owned();
                self.verdict(QUESTION, "need-more", &[]);
                State::Rejected { said, words }
            }
        }
    }

    /// What a diagnosis proposes besides is shown, though it is not tried.
    fn untried(&self, answer: &Answer, change: Change, why: String) {
        let rejected = Rejected::unrun(answer.root_cause.clone(), change, "diagnosis", vec![why]);
        (self.tell)(Told::Rejected(rejected));
    }

    /// Writes down what became of an answer. A transcript that can't be written is complained of when the next question
    /// is sent.
    fn verdict(&self, step: &str, verdict: &str, reasons: &[String]) {
        let _ = self.asker.memory.verdict(step, verdict, reasons);
    }

    fn diagnosed(&self, cause: &Cause, answer: &Answer) {
        let first = &cause.failures[0];
        let place = first.file.as_ref().map(|file| match first.line {
            Some(line) => format!("{file}:{line}"),
            None => file.clone(),
        });
        (self.tell)(Told::Diagnosed { cause: cause.name(), place, answer: Box::new(answer.clone()) });
    }

    /// Says what a step came to.
    fn came_to(&self, step: &'static str, states: &[State], found: bool) {
        let count = |of: &dyn Fn(&State) -> bool| states.iter().filter(|state| of(state)).count();
        let came = match found {
            true => "repaired".to_owned(),
            false => format!(
                "{} of {} cause(s): {} rejected, {} ended as a diagnosis, {} not answered",
                count(&|s| matches!(s, State::Proposed(_) | State::Kept(_))),
                states.len(),
                count(&|s| matches!(s, State::Rejected { .. })),
                count(&|s| matches!(s, State::Diagnosed)),
                count(&|s| matches!(s, State::Stopped(_) | State::Open)),
            ),
        };
        (self.tell)(Told::Step { step, came });
    }

    fn context(&self, cause: &Cause, tree: &Tree) -> context::Context {
        // Before anything is cut: half a secret is not known as one.
        let redact = |text: &str| self.asker.redactor.redact(text);
        let hidden = |failure: &Failure| Failure {
            message: redact(&failure.message),
            excerpt: redact(&failure.excerpt),
            ..failure.clone()
        };
        let failures: Vec<Failure> = cause.failures.iter().map(hidden).collect();
        let wanted = Wanted {
            tree,
            baseline: &self.task.baselines[cause.baseline],
            redact: &redact,
            failures: &failures,
            category: cause.category(),
            enabled: self.task.enabled,
        };
        context::context(&wanted, &context::Limits::default())
    }

    /// An answer that is no change: an attempt like any other.
    fn unusable(&self, cause: &Cause, said: String, reasons: Vec<String>) -> State {
        let words = prompts::rejection("unusable", &reasons, "");
        self.verdict(QUESTION, "unusable", &reasons);
        let description = format!("An answer about {} that could not be applied.", cause.name());
        (self.tell)(Told::Rejected(Rejected::unrun(description, Change::default(), "unusable", reasons)));
        State::Rejected { said, words }
    }

    /// Why an answer ends as a diagnosis; `None` where it may be tried. What the change does counts, not only what the
    /// answer calls it.
    fn no_change(&self, answer: &Answer, change: Option<&Change>) -> Option<String> {
        if answer.confidence == Confidence::Low {
            return Some("the model's confidence is low: its answer is a diagnosis only".to_owned());
        }
        let adds = |change: &Change| {
            let candidate = self.task.tree.with(change).ok()?;
            let paths = change.files.keys().map(String::as_str);
            (!added_requirements(self.task.tree.root(), candidate.root(), paths).is_empty())
                .then_some(FixType::Dependency)
        };
        let mut types = [Some(kind(answer)), change.and_then(adds)].into_iter().flatten();
        let disabled = types.find(|fix_type| !self.task.enabled.contains(fix_type))?;
        Some(format!("fix type {disabled} is not enabled: the model's answer is a diagnosis only"))
    }

    /// Judges all proposals in one change. Those that are to blame for a rejection are sent back. `base` is in each of
    /// them.
    async fn together(
        &self,
        step: &str,
        causes: &[Cause],
        states: &mut [State],
        base: &Change,
    ) -> Result<Option<Box<Found>>, SandboxError> {
        self.each_alone(step, states);
        let (merged, proposed) = self.merged(step, states, base)?;
        if proposed.is_empty() {
            return Ok(None);
        }
        let answers: Vec<&Answer> = states.iter().filter_map(State::answer).collect();
        let found = Unproven::of(&self.start.described, &answers);
        let judgement = self.task.judge(&merged, &declared(&answers)).await?;
        let rejected = match Rejected::of("model", found.description.clone(), merged, judgement) {
            Ok(fix) => {
                self.verdict(step, "accepted", &[]);
                return Ok(Some(Box::new(found.with(fix))));
            }
            Err(rejected) => rejected,
        };
        self.verdict(step, rejected.verdict, &rejected.reasons);
        let mut blamed: Vec<usize> =
            proposed.iter().copied().filter(|i| to_blame(&causes[*i], &states[*i], &rejected, base)).collect();
        if blamed.is_empty() {
            blamed = proposed;
        }
        for index in blamed {
            if let State::Proposed(proposal) = &states[index] {
                let words = self.recorded(&proposal.key, || words(&rejected, &proposal.change, self.asker.redactor));
                states[index] = State::Rejected { said: proposal.said.clone(), words };
            }
        }
        (self.tell)(Told::Rejected(rejected));
        Ok(None)
    }

    /// Where one answer says that a test is wrong, the others must do without that excuse.
    fn each_alone(&self, step: &str, states: &mut [State]) {
        let answers: Vec<&Answer> = states.iter().filter_map(State::answer).collect();
        if answers.len() < 2 || !answers.iter().any(|a| a.fault == Fault::Test) {
            return;
        }
        for state in states.iter_mut() {
            let State::Proposed(proposal) = &*state else { continue };
            let findings = self.task.statically(&proposal.change, &declared(&[&proposal.answer]));
            if refused(&findings) {
                let validation = Validation { findings, ..Validation::default() };
                let judgement = Judgement::Refused { validation, remaining: Vec::new() };
                let description = proposal.answer.root_cause.clone();
                let Err(rejected) = Rejected::of("model", description, proposal.change.clone(), judgement) else {
                    continue;
                };
                self.verdict(step, rejected.verdict, &rejected.reasons);
                let words = words(&rejected, &proposal.change, self.asker.redactor);
                let said = proposal.said.clone();
                (self.tell)(Told::Rejected(rejected));
                *state = State::Rejected { said, words };
            }
        }
    }

    /// What is said of an answer: in a run that is resumed, what was said then.
    fn recorded(&self, key: &str, words: impl FnOnce() -> String) -> String {
        let trial = ToolCall { id: "judgement".to_owned(), name: "judge".to_owned(), arguments: String::new() };
        if let Some(said) = self.asker.memory.tool_result(key, &trial.id) {
            return said;
        }
        let words = words();
        let _ = self.asker.memory.tool(key, &trial, &words); // as with a verdict
        words
    }

    /// All that is proposed on top of `base`, in one change, and by which causes. One that contradicts those before it is
    /// sent back.
    fn merged(&self, step: &str, states: &mut [State], base: &Change) -> Result<(Change, Vec<usize>), SandboxError> {
        let mut merged: Option<Change> = None;
        let mut proposed = Vec::new();
        for (index, state) in states.iter_mut().enumerate() {
            let State::Proposed(proposal) = state else { continue };
            match merged.as_ref().map(|so_far| so_far.merge(&proposal.change, base)).transpose()? {
                None => merged = Some(proposal.change.clone()),
                Some(Ok(both)) => merged = Some(both),
                Some(Err(path)) => {
                    let words = format!("Your change contradicts the repair of another failure in {path}.");
                    self.verdict(step, "contradicted", std::slice::from_ref(&words));
                    (self.tell)(Told::Note(format!(
                        "two repairs of independent failures contradict each other in {path}"
                    )));
                    *state = State::Rejected { said: std::mem::take(&mut proposal.said), words };
                    continue;
                }
            }
            proposed.push(index);
        }
        Ok((merged.unwrap_or_else(|| base.clone()), proposed))
    }

    /// A dialogue about every cause that is not repaired yet, on top of what is. The proof, where one of them was judged
    /// with all the others and passed.
    async fn dialogues(
        &self,
        causes: &[Cause],
        states: &mut [State],
        kept: &Change,
    ) -> Result<Option<Box<Found>>, SandboxError> {
        let pending: Vec<usize> =
            (0..causes.len()).filter(|i| matches!(states[*i], State::Open | State::Rejected { .. })).collect();
        let kept_answers: Vec<Answer> = states.iter().filter_map(State::answer).cloned().collect();
        let mut dialogues: Vec<BoxFuture<'_, (usize, DialogueEnded)>> = Vec::new();
        for index in pending.iter().copied() {
            let others = pending.iter().filter(|i| **i != index).map(|i| causes[*i].clone()).collect();
            let dialogue = self.dialogue(&causes[index], &states[index], kept, &kept_answers, others);
            dialogues.push(dialogue.map(move |ended| (index, ended)).boxed());
        }
        let mut ended = Vec::new();
        let mut running = stream::iter(dialogues).buffer_unordered(self.asker.side_by_side);
        let mut found = None;
        while let Some((index, one)) = running.next().await {
            match one? {
                // It passed with everything else: nothing is left to wait for.
                (_, Some(proven)) => {
                    found = Some(proven);
                    break;
                }
                (state, None) => ended.push((index, state)),
            }
        }
        drop(running);
        for (index, state) in ended {
            states[index] = state;
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
        let rejected = match state {
            State::Rejected { said, words } => Some((said.as_str(), words.as_str())),
            _ => None,
        };
        let opening = prompts::dialogue_opening(&self.context(cause, &tree), rejected);
        let baseline = &self.task.baselines[cause.baseline];
        let prepared = match self.task.sandbox.prepare(baseline.recipe(), &tree, !kept.is_empty()).await {
            Err(error @ SandboxError::Install { .. }) => {
                (self.tell)(Told::Note(format!("{}: no dialogue: {error}", cause.name())));
                return Ok((State::Diagnosed, None));
            }
            other => other?,
        };
        // The workbench holds its environment: a second one from the same tree is ready for the judge then, who would
        // build one anew for every change otherwise.
        drop(self.task.sandbox.prepare(baseline.recipe(), &tree, !kept.is_empty()).await);
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
                let (said, key) = (String::new(), String::new());
                (State::Proposed(Box::new(Proposal { answer, change, said, key })), found)
            }
            dialogue::Ended::GivenUp { answer, why } => {
                if let Some(answer) = answer {
                    self.diagnosed(cause, &answer);
                }
                (self.tell)(Told::Note(why));
                (State::Diagnosed, None)
            }
            dialogue::Ended::Stopped { error, answer } => {
                if let Some(answer) = answer {
                    self.diagnosed(cause, &answer);
                }
                (State::Stopped(error), None)
            }
        })
    }
}
