//! records: the places where calls are remembered, as the client sees them: a transcript, a cache, a cassette.

use serde_json::Value;

use super::{
    chat::{Completion, Usage},
    error::LlmError,
};

/// The places where calls are remembered; all optional.
///
/// What `failed` and `answered` are told adds up to [`super::Model::usage`] of this run, to the token: each try is told
/// once, with its own cost.
pub trait Records: Send + Sync {
    /// The answer to a question that was asked before: of a transcript that is resumed, then of the cache. Its `source`
    /// says which. Nothing is sent then, and nothing is counted.
    fn known(&self, key: &str) -> Option<Completion>;

    /// A try is about to be sent: on disk when this returns. An error keeps it from being sent. `body` is what is sent,
    /// redacted; the others are the most that it can cost.
    fn sending(&self, key: &str, step: &str, body: &Value, worst_usd: f64, worst_tokens: u64) -> Result<(), LlmError>;

    /// A usable answer, as the caller gets it, with the cost of this try alone. One that ended by [`super::Finish::Length`]
    /// is no answer to keep for other runs.
    fn answered(&self, completion: &Completion) -> Result<(), LlmError>;

    /// A try that failed, and what is counted for it: exact where the endpoint said it, the worst where it may have been
    /// billed and nobody said; none where nothing reached the endpoint.
    fn failed(&self, key: &str, why: &str, usage: Option<Usage>) -> Result<(), LlmError>;

    /// Of the run that is resumed: what it paid, and the worst dollars and tokens of calls that it began and never ended.
    fn spent(&self) -> (Usage, f64, u64);
}

/// Remembers nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoRecords;

impl Records for NoRecords {
    fn known(&self, _: &str) -> Option<Completion> {
        None
    }

    fn sending(&self, _: &str, _: &str, _: &Value, _: f64, _: u64) -> Result<(), LlmError> {
        Ok(())
    }

    fn answered(&self, _: &Completion) -> Result<(), LlmError> {
        Ok(())
    }

    fn failed(&self, _: &str, _: &str, _: Option<Usage>) -> Result<(), LlmError> {
        Ok(())
    }

    fn spent(&self) -> (Usage, f64, u64) {
        (Usage::default(), 0.0, 0)
    }
}
