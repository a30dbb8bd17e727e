//! What may be configured of a model. `config` and the command line fill it in.

use std::{path::PathBuf, time::Duration};

use serde::Deserialize;

/// Limits on all calls of a run together.
#[derive(Debug, Clone, PartialEq)]
pub struct BudgetLimits {
    /// Dollars, at the highest rate that the price list knows.
    pub cost_usd: f64,
    /// Prompt and completion tokens together, cached ones included.
    pub tokens: u64,
    /// Requests that are sent.
    pub calls: u32,
    /// Wall time in which calls may be made, from the first on.
    pub wall: Option<Duration>,
}

impl Default for BudgetLimits {
    fn default() -> Self {
        BudgetLimits { cost_usd: 0.25, tokens: 1_000_000, calls: 60, wall: None }
    }
}

/// A price per million tokens, in dollars.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub struct Price {
    /// Prompt tokens that the endpoint's cache had.
    pub cached: f64,
    /// All other prompt tokens.
    pub prompt: f64,
    /// Completion tokens, thoughts included.
    pub completion: f64,
}

/// Which model, where, and how patiently.
#[derive(Clone)]
pub struct ModelOptions {
    /// `https://api.deepseek.com`; `/chat/completions` is added.
    pub base_url: String,
    /// The bearer token; none for an endpoint that wants none.
    pub key: Option<String>,
    /// `deepseek-flash`.
    pub model: String,
    /// `low`, `high`, `max`, or `none` to switch thinking off; the endpoint's default where nothing is said.
    pub effort: Option<String>,
    /// A hash that names the repository: DeepSeek keeps its prompt cache apart by it (`user_id`). Nothing readable.
    pub user: Option<String>,
    /// Over the bundled price list.
    pub price: Option<Price>,
    /// The budget.
    pub limits: BudgetLimits,
    /// Of the wall time, what the run that is resumed used already.
    pub began_before: Duration,
    /// From the sending of a request to the last byte of its answer, whatever happens in between.
    pub call_deadline: Duration,
    /// Without a byte of the answer itself (blank lines and comments do not count).
    pub stall: Duration,
    /// Tries of one call, the first included.
    pub tries: u32,
    /// The first pause between tries; it doubles, with jitter.
    pub first_pause: Duration,
    /// The longest pause between tries: an endpoint whose `Retry-After` wants more is not asked again.
    pub longest_pause: Duration,
    /// Requests a minute, at most.
    pub per_minute: u32,
    /// Failures in a row that open the circuit breaker.
    pub breaker_failures: u32,
    /// How long it stays open before a single probe. A call waits for that once.
    pub breaker_pause: Duration,
    /// Where completions are kept; `None` for nowhere.
    pub cache: Option<PathBuf>,
    /// Completions older than this are asked for again.
    pub cache_ttl: Duration,
    /// A recording: replayed where the file exists, made where it does not.
    pub cassette: Option<PathBuf>,
}

impl Default for ModelOptions {
    fn default() -> Self {
        ModelOptions {
            base_url: "https://api.deepseek.com".to_owned(),
            key: None,
            model: "deepseek-flash".to_owned(),
            effort: None,
            user: None,
            price: None,
            limits: BudgetLimits::default(),
            began_before: Duration::ZERO,
            call_deadline: Duration::from_secs(900),
            stall: Duration::from_secs(300),
            tries: 4,
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(120),
            per_minute: 120,
            breaker_failures: 5,
            breaker_pause: Duration::from_secs(30),
            cache: None,
            cache_ttl: Duration::from_secs(7 * 24 * 3600),
            cassette: None,
        }
    }
}

impl std::fmt::Debug for ModelOptions {
    /// Without the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ModelOptions")
            .field("base_url", &self.base_url)
            .field("model", &self.model)
            .field("effort", &self.effort)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
