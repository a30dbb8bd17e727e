//! llm: a chat model behind a URL. A prompt in, a completion out; within a budget, redacted, recorded.
//!
//! It knows nothing of repairs. `chat` has the nouns, `options` what may be configured; `model` asks. A call goes
//! `wire` (the body, redacted) → `records` (asked before?) → rate limit, `breaker`, `budget` → `send` → `stream`, and
//! again by `retry` where that may help. `kept` remembers in a `transcript` and a `cache`; a `cassette` replays a whole
//! endpoint.

mod budget;
pub mod cache;
pub mod cassette;
pub mod chat;
pub mod error;
pub mod kept;
mod lines;
pub mod model;
pub mod options;
pub mod price;
pub mod records;

mod send;
pub mod stream;
pub mod transcript;
pub mod wire;

pub use cache::Cache;
pub use cassette::{Cassette, Recorded};
pub use chat::{Completion, Finish, Message, Prompt, Role, Source, Tool, ToolCall, Usage};
pub use error::LlmError;
pub use kept::Kept;
pub use lines::{LARGEST_FILE, Redact};
pub use model::Model;
pub use options::{BudgetLimits, ModelOptions, Price};
pub use records::{NoRecords, Records};
pub use transcript::Transcript;

#[cfg(test)]
mod tests;
