//! What a transcript says, line by line.

use jiff::{Timestamp, Unit};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    llm::{Completion, Usage},
    redact::shown_line,
};

/// The transcripts that this version writes and reads.
pub const SCHEMA: u32 = 1;

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// When it was written (RFC 3339, UTC).
    pub at: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub entry: Entry,
}

impl Line {
    /// What happens now.
    pub(super) fn now(entry: Entry) -> Line {
        let now = Timestamp::now();
        Line { at: now.round(Unit::Millisecond).unwrap_or(now), entry }
    }

    /// Reads a line.
    ///
    /// # Errors
    /// Says why it is none.
    pub fn parse(text: &[u8]) -> Result<Line, String> {
        let line: Line = serde_json::from_slice(text)
            .map_err(|e| format!("it is no line of a transcript ({})", shown_line(&e.to_string(), 200)))?;
        match &line.entry {
            Entry::Start(start) if start.schema != SCHEMA => {
                Err(format!("it begins a transcript of schema {}; this version knows schema {SCHEMA}", start.schema))
            }
            _ => Ok(line),
        }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Entry {
    /// A run begins, or goes on after a kill.
    Start(Start),
    /// A question is about to be sent.
    Request {
        /// The content hash of the request.
        key: String,
        /// The step of the ladder that asks.
        step: String,
        /// What is sent, redacted.
        body: Value,
        /// The most that it can cost.
        worst_usd: f64,
        /// The most tokens that it can take.
        worst_tokens: u64,
    },
    /// The answer to the last request with its key.
    Answer(Completion),
    /// The last request with this key has no usable answer.
    Failed {
        /// The content hash of the request.
        key: String,
        /// Why.
        why: String,
        /// What is counted for it; nothing where nothing reached the endpoint.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        usage: Option<Usage>,
    },
    /// A tool that the model called, and what it said.
    Tool {
        /// The key of the completion that calls it.
        key: String,
        /// The call's id.
        call: String,
        /// The tool.
        name: String,
        /// As the model wrote them.
        arguments: String,
        /// What the model is told.
        result: String,
    },
    /// What was made of an answer.
    Verdict {
        /// The step of the ladder.
        step: String,
        /// `accepted`, `refused`, `failed`, `unusable`, `diagnosis`, ….
        verdict: String,
        /// Why.
        reasons: Vec<String>,
    },
    /// Anything else worth telling.
    Note {
        /// In a sentence.
        text: String,
    },
    /// The run ended in order.
    End {
        /// How.
        outcome: String,
        /// What all of it cost.
        usage: Usage,
    },
}

impl Entry {
    /// Must it outlive a crash of the machine? Only what money hangs on.
    pub(super) fn is_dear(&self) -> bool {
        !matches!(self, Entry::Tool { .. } | Entry::Verdict { .. } | Entry::Note { .. })
    }
}

/// What a transcript is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// Of the transcript: 1.
    pub schema: u32,
    /// Of test-repair.
    pub version: String,
    /// The model.
    pub model: String,
    /// Its endpoint.
    pub base_url: String,
    /// A hash of what is repaired.
    pub digest: String,
}

impl Start {
    /// A run of this version.
    pub fn new(model: &str, base_url: &str, digest: &str) -> Start {
        Start {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            model: model.to_owned(),
            base_url: base_url.to_owned(),
            digest: digest.to_owned(),
        }
    }
}
