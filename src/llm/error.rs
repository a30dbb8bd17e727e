//! Why there is no answer. A caller acts differently on each.

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LlmError {
    /// An option can't be used: bad input.
    #[error("{0}")]
    Options(String),
    /// The endpoint will never take this (400, 401, 402, 422, …): what it said, and what to do.
    #[error("the model's endpoint answered {status}: {advice}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What to do, and what the endpoint said.
        advice: String,
    },
    /// Nothing but failures, or nothing usable, after all retries; or the circuit breaker is open.
    #[error("the model gave no answer: {0}")]
    Unavailable(String),
    /// A limit of the budget: the call was not made, or was stopped.
    #[error("the budget is spent: {0}")]
    BudgetSpent(String),
    /// A cassette that does not know the question.
    #[error("{0}")]
    Cassette(String),
    /// The transcript or the cache can't be written.
    #[error("{0}")]
    Record(String),
}
