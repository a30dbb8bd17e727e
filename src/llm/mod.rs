//! llm: a chat model behind a URL. A prompt in, a completion out; within a budget, redacted, recorded.
//!
//! It knows nothing of repairs. `chat` has the nouns, `options` what may be configured.

pub mod chat;
pub mod error;
pub mod options;

pub use chat::{Completion, Finish, Message, Prompt, Role, Source, Tool, ToolCall, Usage};
pub use error::LlmError;
pub use options::{BudgetLimits, ModelOptions};
