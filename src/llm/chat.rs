//! The nouns of a chat: what is asked, and what comes back.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Who says a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Role {
    System,
    User,
    Assistant,
    Tool,
}

/// One message of a chat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Who says it.
    pub role: Role,
    /// The text.
    #[serde(default)]
    pub content: String,
    /// What the model thought before it called a tool: it must be sent back as it came (facts/deepseek.md).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<String>,
    /// The tools that the model calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// Of a tool's answer: the call that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<String>,
}

impl Message {
    /// A message without tools.
    pub fn new(role: Role, content: impl Into<String>) -> Message {
        Message { role, content: content.into(), reasoning: None, tool_calls: Vec::new(), answers: None }
    }

    /// What a tool says to a call.
    pub fn tool(call: &ToolCall, result: impl Into<String>) -> Message {
        Message { answers: Some(call.id.clone()), ..Message::new(Role::Tool, result) }
    }
}

/// A tool that the model may call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// What it does, for the model.
    pub description: String,
    /// A JSON Schema of its arguments.
    pub parameters: Value,
}

/// A call of a tool, as the model made it: its arguments may be anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCall {
    /// Chosen by the endpoint.
    pub id: String,
    /// The tool.
    pub name: String,
    /// JSON, as far as the model got it right.
    pub arguments: String,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Prompt {
    /// The step of the ladder that asks: `question`, `loop`.
    pub step: &'static str,
    /// The chat so far, not yet redacted.
    pub messages: Vec<Message>,
    /// What the model may call; empty for none.
    pub tools: Vec<Tool>,
    /// The most tokens that the answer may have, thoughts included. Every call has a limit, so that its worst price is
    /// known before it is made.
    pub max_tokens: u32,
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// It was complete.
    Stop,
    /// The model calls tools.
    ToolCalls,
    /// `max_tokens` was reached.
    Length,
    /// Anything else: filtered, or cut for lack of resources.
    Other,
}

/// Where an answer came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The endpoint, in this run: it was paid for.
    Endpoint,
    /// The completion cache.
    Cache,
    /// The transcript of the run that is resumed: paid for then.
    Transcript,
}

/// What an answer cost, to the token as the endpoint counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Usage {
    pub calls: u32,
    /// Cached ones included.
    pub prompt_tokens: u64,
    pub cached_tokens: u64,
    pub completion_tokens: u64,
    pub cost_usd: f64,
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Usage) {
        // An endpoint's numbers, and a transcript's, may be anything.
        self.calls = self.calls.saturating_add(other.calls);
        self.prompt_tokens = self.prompt_tokens.saturating_add(other.prompt_tokens);
        self.cached_tokens = self.cached_tokens.saturating_add(other.cached_tokens);
        self.completion_tokens = self.completion_tokens.saturating_add(other.completion_tokens);
        self.cost_usd += other.cost_usd;
    }
}

/// What the model says. Secrets in it are placeholders, as in the prompt that was sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Completion {
    /// A content hash of the request: the same for the same question.
    pub key: String,
    /// The text.
    pub content: String,
    /// What it thought, where the endpoint says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<String>,
    /// The tools that it calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// Why it ended.
    pub finish: Finish,
    /// What it cost when it was asked.
    pub usage: Usage,
    /// Where it came from.
    pub source: Source,
}

impl Completion {
    /// The message to go on with.
    pub fn message(&self) -> Message {
        Message {
            role: Role::Assistant,
            content: self.content.clone(),
            // Only a chat with tools needs its thoughts back; elsewhere they cost and are ignored.
            reasoning: if self.tool_calls.is_empty() { None } else { self.reasoning.clone() },
            tool_calls: self.tool_calls.clone(),
            answers: None,
        }
    }
}
