//! What a transcript's calls cost. Each request is ended by one answer or one failure with its key; one that never was
//! may have been paid for, and counts at its worst.

use std::collections::HashMap;

use super::Entry;
use crate::llm::{Source, Usage};

/// What was paid, and what may have been.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    paid: Usage,
    open: HashMap<String, Vec<Worst>>,
}

/// The most that a call can cost.
#[derive(Debug, Clone, Copy)]
struct Worst {
    usd: f64,
    tokens: u64,
}

impl Ledger {
    /// Counts an entry.
    pub fn enter(&mut self, entry: &Entry) {
        match entry {
            Entry::Request { key, worst_usd, worst_tokens, .. } => {
                let worst = Worst { usd: worst_usd.max(0.0), tokens: *worst_tokens };
                self.open.entry(key.clone()).or_default().push(worst);
            }
            // An answer that cost nothing ends no request.
            Entry::Answer(completion) if completion.source == Source::Endpoint => {
                self.end(&completion.key);
                self.pay(completion.usage);
            }
            Entry::Failed { key, usage, .. } => {
                self.end(key);
                // Where it says no cost, nothing reached the endpoint.
                self.pay(usage.unwrap_or_default());
            }
            _ => {}
        }
    }

    /// What was paid; and the worst price and tokens of calls that never ended. Those are among the calls.
    pub fn spent(&self) -> (Usage, f64, u64) {
        let (mut paid, mut usd, mut tokens) = (self.paid, 0.0, 0_u64);
        for worst in self.open.values().flatten() {
            paid.calls = paid.calls.saturating_add(1);
            usd += worst.usd;
            tokens = tokens.saturating_add(worst.tokens);
        }
        (paid, usd, tokens)
    }

    /// The latest: an earlier one with the same key was left behind by a kill, and stays open.
    fn end(&mut self, key: &str) {
        self.open.get_mut(key).and_then(Vec::pop);
    }

    fn pay(&mut self, usage: Usage) {
        self.paid += Usage { cost_usd: usage.cost_usd.max(0.0), ..usage };
    }
}
