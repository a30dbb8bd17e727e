//! dialogue: the model looks, runs and edits in a scratch copy, until what it made stands before the bench.
//!
//! The loop fits on a page (mini-swe-agent's idea): a mistake of the model's is a message sent back. What it has been
//! sent once never changes, so that the endpoint's prefix cache and a resumed run find the same chat again.

mod browse;
mod shown;
#[cfg(test)]
mod tests;
mod tools;
mod workbench;

use std::time::Duration;

use async_trait::async_trait;

use super::answer::{Answer, Confidence, parse};
use crate::{
    llm::{Completion, Finish, LlmError, Message, Prompt, Role, ToolCall},
    sandbox::SandboxError,
    workspace::Change,
};
pub(crate) use shown::stable;
pub use workbench::{Terms, Workbench};

/// The step of the ladder that this is.
pub(super) const STEP: &str = "loop";
/// So many tools may be called at once.
const MOST_CALLS: usize = 8;
/// So many problems are sent back at once.
const MOST_PROBLEMS: usize = 10;
/// So many bytes of what the bench saw are sent back.
const MOST_SEEN: usize = 6000;

/// What is said of a rejected change begins and ends with this.
const JUDGED: &str = "Your change was judged in a fresh copy: ";
const MEND: &str = "The scratch copy still has your change. Mend it, and give your final answer again.";
/// Verdicts that are known again.
const VERDICTS: [&str; 2] = ["refused", "failed"];

/// Whoever answers a prompt.
#[async_trait]
pub trait Chat: Send + Sync {
    /// One answer.
    async fn complete(&self, prompt: &Prompt) -> Result<Completion, LlmError>;
}

/// What remembers tools' results across a kill. A recorded result is used again, so that the chat stays the same to the
/// byte, though its effect is made again.
pub trait Memory: Send + Sync {
    /// What the tool said then. Where calls of a completion share one id, their results come in their order, each once.
    fn tool_result(&self, completion_key: &str, call_id: &str) -> Option<String>;
    /// Remembers what a tool says.
    ///
    /// # Errors
    /// When it can't be written.
    fn tool(&self, completion_key: &str, call: &ToolCall, result: &str) -> Result<(), LlmError>;
    /// Remembers what became of an answer: `accepted`, `malformed`, or the bench's word.
    ///
    /// # Errors
    /// When it can't be written.
    fn verdict(&self, step: &str, verdict: &str, reasons: &[String]) -> Result<(), LlmError>;
}

/// Judges a finished change in a fresh copy.
#[async_trait]
pub trait Bench: Send + Sync {
    /// Is it accepted?
    async fn judge(&self, change: &Change, answer: &Answer) -> Result<Ruling, SandboxError>;
    /// Hears of a change that it rejected in the run that is resumed, and that is not judged once more.
    fn told(&self, _change: &Change, _answer: &Answer, _verdict: &'static str, _reasons: &[String]) {}
}

/// What the bench says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruling {
    /// The change is proven, or at most flagged.
    Accepted,
    /// No change is wanted here: the answer ends the dialogue as a diagnosis.
    Diagnosis {
        /// Why, in a sentence.
        why: String,
    },
    /// It is not.
    Rejected {
        /// In a word: `refused`, `failed`.
        verdict: &'static str,
        /// Why.
        reasons: Vec<String>,
        /// What the checks printed: foreign text.
        output: String,
    },
}

/// How a dialogue ended.
#[derive(Debug)]
pub enum Ended {
    /// With a change that the bench accepted.
    Accepted {
        /// What the model says of it.
        answer: Answer,
        /// The whole change, relative to the tree before any change.
        change: Change,
    },
    /// Without one.
    GivenUp {
        /// The last diagnosis, where there was one.
        answer: Option<Answer>,
        /// Why, in a sentence.
        why: String,
    },
    /// The model could not be asked any more.
    Stopped {
        /// Why.
        error: LlmError,
        /// The last diagnosis, where there was one.
        answer: Option<Answer>,
    },
}

/// How long a dialogue may go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoopLimits {
    /// Answers of the model.
    pub steps: u32,
    /// Rejections by the bench.
    pub rejections: u32,
    /// Tokens of one answer, thoughts included.
    pub max_tokens: u32,
    /// Wall time of a command.
    pub command: Duration,
    /// Wall time of each of the failing checks.
    pub check: Duration,
}

impl Default for LoopLimits {
    fn default() -> Self {
        LoopLimits {
            steps: 25,
            rejections: 3,
            max_tokens: 16_000,
            command: Duration::from_secs(120),
            check: Duration::from_secs(600),
        }
    }
}

/// Talks with the model until the bench accepts what it made, or a limit is reached. `opening` tells it the task.
///
/// # Errors
/// When the sandbox fails.
pub async fn converse(
    chat: &dyn Chat,
    memory: &dyn Memory,
    bench: &dyn Bench,
    mut workbench: Workbench<'_>,
    opening: Vec<Message>,
    limits: &LoopLimits,
) -> Result<Ended, SandboxError> {
    let mut prompt = Prompt { step: STEP, messages: opening, tools: workbench.tools(), max_tokens: limits.max_tokens };
    let mut last = None;
    let mut rejections = 0;
    for left in (0..limits.steps).rev() {
        let completion = match chat.complete(&prompt).await {
            Ok(completion) => completion,
            Err(error) => return Ok(Ended::Stopped { error, answer: last }),
        };
        // A message that says nothing is no message to an endpoint.
        if !(completion.content.trim().is_empty() && completion.tool_calls.is_empty()) {
            prompt.messages.push(completion.message());
        }
        if completion.tool_calls.is_empty() {
            let said = match finished(&completion, memory, bench, &mut workbench, &mut last).await? {
                Turn::End(ended) => return Ok(ended),
                Turn::Mistake(said) => said,
                Turn::Rejected(said) => {
                    rejections += 1;
                    if rejections >= limits.rejections {
                        let why = format!("{rejections} changes of the model were rejected");
                        return Ok(Ended::GivenUp { answer: last, why });
                    }
                    said
                }
                Turn::Stopped(error) => return Ok(Ended::Stopped { error, answer: last }),
            };
            prompt.messages.push(Message::new(Role::User, said));
        }
        // All of them before the first is made: some endpoints give every call the same id.
        let recorded: Vec<Option<String>> =
            completion.tool_calls.iter().map(|call| memory.tool_result(&completion.key, &call.id)).collect();
        for (n, (call, recorded)) in completion.tool_calls.iter().zip(recorded).enumerate() {
            let known = recorded.is_some();
            let result = match n < MOST_CALLS {
                true => workbench.call(call, limits, recorded).await?,
                false => {
                    shown::error(&format!("at most {MOST_CALLS} tools can be called at once: this call was not made."))
                }
            };
            if !known && let Err(error) = memory.tool(&completion.key, call, &result) {
                return Ok(Ended::Stopped { error, answer: last });
            }
            prompt.messages.push(Message::tool(call, result));
        }
        if left == 2 {
            let hurry =
                "Two answers are left. Give your final answer now; say `confidence: low` if there is no repair.";
            prompt.messages.push(Message::new(Role::User, hurry));
        }
    }
    Ok(Ended::GivenUp { answer: last, why: format!("no repair was accepted within {} answers", limits.steps) })
}

/// What a final answer leads to.
enum Turn {
    End(Ended),
    Mistake(String),
    Rejected(String),
    Stopped(LlmError),
}

/// Reads a final answer, makes its edits, and has the whole judged.
async fn finished(
    completion: &Completion,
    memory: &dyn Memory,
    bench: &dyn Bench,
    workbench: &mut Workbench<'_>,
    last: &mut Option<Answer>,
) -> Result<Turn, SandboxError> {
    let mistake = |reasons: Vec<String>| match memory.verdict(STEP, "malformed", &reasons) {
        Ok(()) => Turn::Mistake(listed("Your answer could not be used:", &reasons)),
        Err(error) => Turn::Stopped(error),
    };
    if completion.finish == Finish::Length {
        return Ok(mistake(vec!["It was cut off at the limit of tokens: think less, and answer shorter.".to_owned()]));
    }
    let answer = match parse(&completion.content) {
        Ok(answer) => answer,
        Err(error) => return Ok(mistake(vec![error])),
    };
    *last = Some(answer.clone());
    if answer.confidence == Confidence::NeedMore {
        return Ok(mistake(vec!["You have tools: call them to see what you need, and answer then.".to_owned()]));
    }
    if answer.confidence == Confidence::Low {
        let why = "the model is not sure of its own diagnosis".to_owned();
        return Ok(Turn::End(Ended::GivenUp { answer: Some(answer), why }));
    }
    let change = match workbench.finish(&answer.edits) {
        Ok(change) => change,
        Err(problems) => return Ok(mistake(problems)),
    };
    // What was said then is said again, and needs no second trial.
    let trial = ToolCall { id: "judgement".to_owned(), name: "judge".to_owned(), arguments: String::new() };
    if let Some(said) = memory.tool_result(&completion.key, &trial.id) {
        let (verdict, reasons) = ruled(&said);
        bench.told(&change, &answer, verdict, &reasons);
        return Ok(Turn::Rejected(said));
    }
    let ruling = bench.judge(&change, &answer).await?;
    let (verdict, reasons) = match &ruling {
        Ruling::Accepted => ("accepted", &[][..]),
        Ruling::Diagnosis { why } => ("diagnosis", std::slice::from_ref(why)),
        Ruling::Rejected { verdict, reasons, .. } => (*verdict, &reasons[..]),
    };
    if let Err(error) = memory.verdict(STEP, verdict, reasons) {
        return Ok(Turn::Stopped(error));
    }
    let (verdict, reasons, output) = match ruling {
        Ruling::Accepted => return Ok(Turn::End(Ended::Accepted { answer, change })),
        Ruling::Diagnosis { why } => return Ok(Turn::End(Ended::GivenUp { answer: Some(answer), why })),
        Ruling::Rejected { verdict, reasons, output } => (verdict, reasons, output),
    };
    let reasons: Vec<String> = reasons.iter().map(|reason| workbench.shown(reason.as_bytes(), 600)).collect();
    let mut said = listed(&format!("{JUDGED}{verdict}."), &reasons);
    if !output.trim().is_empty() {
        said.push_str(&shown::data("the checks", &workbench.shown(output.as_bytes(), MOST_SEEN)));
        said.push('\n');
    }
    said.push_str(MEND);
    Ok(match memory.tool(&completion.key, &trial, &said) {
        Ok(()) => Turn::Rejected(said),
        Err(error) => Turn::Stopped(error),
    })
}

/// The verdict and the reasons in what was said of a judgement.
fn ruled(said: &str) -> (&'static str, Vec<String>) {
    let mut lines = said.lines();
    let first = lines.next().and_then(|line| line.strip_prefix(JUDGED)).unwrap_or_default();
    let verdict = VERDICTS.into_iter().find(|verdict| first.trim_end_matches('.') == *verdict).unwrap_or("rejected");
    let mut reasons: Vec<String> = Vec::new();
    let mut blocks = 0;
    for line in lines.take_while(|line| *line != MEND) {
        // The reasons are the first block of data; what follows is what the checks print.
        if line.starts_with("<data") {
            blocks += 1;
            continue;
        }
        if blocks > 1 || line.starts_with("</data") {
            continue;
        }
        match (line.strip_prefix("- "), reasons.last_mut()) {
            (Some(reason), _) => reasons.push(reason.to_owned()),
            (None, Some(last)) => last.extend(["\n", line]),
            (None, None) => {}
        }
    }
    (verdict, reasons)
}

/// A heading and a list below it.
fn listed(heading: &str, items: &[String]) -> String {
    let mut text = String::new();
    for item in items.iter().take(MOST_PROBLEMS) {
        text.push_str(&format!("- {item}\n"));
    }
    if items.len() > MOST_PROBLEMS {
        text.push_str(&format!("- and {} more\n", items.len() - MOST_PROBLEMS));
    }
    if text.is_empty() { format!("{heading}\n") } else { format!("{heading}\n{}", shown::data("the judge", &text)) }
}
