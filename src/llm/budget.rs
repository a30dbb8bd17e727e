//! budget: dollars, tokens, calls and wall time of a run. The worst that a call can cost is put aside before it is made
//! and settled by what it did cost, so that concurrent calls cannot overrun together. Prices are peak rates, so the
//! dollars are an upper bound of the bill.
//!
//! The worst: a prompt has at most as many tokens as its body has bytes, a completion at most `max_tokens`. Where that is
//! too dear only for `max_tokens`, the limit is lowered to what fits, as long as [`LEAST`] stays.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    chat::Usage,
    error::LlmError,
    options::{BudgetLimits, Price},
    wire::Tokens,
};

/// `max_tokens` is not lowered below this: a shorter answer is worth nothing.
pub(super) const LEAST: u32 = 1024;

/// What may be spent, and what is.
#[derive(Debug, Clone)]
pub(super) struct Budget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limits: BudgetLimits,
    price: Price,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// As it is told.
    spent: Usage,
    /// Calls that began and never ended, here or in the run that is resumed: perhaps billed, so they count.
    lost: Worst,
    /// Calls under way.
    held: Worst,
    calls_held: u32,
    began: Option<Instant>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Worst {
    usd: f64,
    tokens: u64,
}

/// A call's worst, put aside. Dropped before it is sent, it is given back; dropped after, it counts as lost.
#[derive(Debug)]
pub(super) struct Reservation {
    budget: Budget,
    prompt: u64,
    max_tokens: u32,
    worst: Worst,
    sent: bool,
    settled: bool,
}

impl Budget {
    /// A budget that some of is spent of: by the run that is resumed.
    pub(super) fn new(limits: BudgetLimits, price: Price, spent: Usage, lost_usd: f64, lost_tokens: u64) -> Budget {
        let lost = Worst { usd: lost_usd.max(0.0), tokens: lost_tokens };
        let state = State { spent, lost, held: Worst::default(), calls_held: 0, began: None };
        Budget(Arc::new(Inner { limits, price, state: Mutex::new(state) }))
    }

    /// What is spent.
    pub(super) fn spent(&self) -> Usage {
        self.state().spent
    }

    pub(super) fn limits(&self) -> &BudgetLimits {
        &self.0.limits
    }

    pub(super) fn price(&self) -> Price {
        self.0.price
    }

    /// The wall time begins with the first call. When it ends, where it does.
    pub(super) fn wall_end(&self) -> Option<Instant> {
        let began = *self.state().began.get_or_insert_with(Instant::now);
        self.0.limits.wall.and_then(|wall| began.checked_add(wall))
    }

    /// May one still wait so long, and ask then?
    pub(super) fn may_wait(&self, pause: Duration) -> Result<(), LlmError> {
        match self.wall_end() {
            Some(end) if Instant::now() + pause >= end => Err(LlmError::BudgetSpent(format!(
                "wall time: the limit of {} is reached",
                seconds(self.0.limits.wall.unwrap_or_default())
            ))),
            _ => Ok(()),
        }
    }

    /// Puts the worst of a call aside: a prompt of at most so many tokens, and `wanted` more, or as many as fit, but at
    /// least `least`.
    pub(super) fn reserve(&self, prompt: u64, wanted: u32, least: u32) -> Result<Reservation, LlmError> {
        self.may_wait(Duration::ZERO)?;
        let Inner { limits, price, .. } = &*self.0;
        let mut state = self.state();
        let calls = state.spent.calls.saturating_add(state.calls_held);
        if calls >= limits.calls {
            return Err(LlmError::BudgetSpent(format!("calls: the limit of {} is reached", limits.calls)));
        }
        let least = least.min(wanted);
        let spent_tokens = state.spent.prompt_tokens.saturating_add(state.spent.completion_tokens);
        let used = spent_tokens.saturating_add(state.lost.tokens).saturating_add(state.held.tokens);
        let room = limits.tokens.saturating_sub(used);
        let fits = room.saturating_sub(prompt);
        if prompt.saturating_add(u64::from(least)) > room {
            return Err(LlmError::BudgetSpent(format!(
                "tokens: the limit is {}, {} are spent or held, and this call needs up to {}",
                limits.tokens,
                used,
                prompt.saturating_add(u64::from(wanted))
            )));
        }
        let used = state.spent.cost_usd + state.lost.usd + state.held.usd;
        let affordable =
            |completion: u32| used + price.worst(prompt, u64::from(completion)).cost_usd <= limits.cost_usd;
        if !affordable(least) {
            return Err(LlmError::BudgetSpent(format!(
                "dollars: the limit is {:.4}, {used:.4} are spent or held, and this call needs up to {:.4}",
                limits.cost_usd,
                price.worst(prompt, u64::from(wanted)).cost_usd
            )));
        }
        let mut max_tokens = wanted.min(u32::try_from(fits).unwrap_or(u32::MAX));
        if !affordable(max_tokens) {
            // The most that is affordable: the cost only grows with the tokens.
            let (mut low, mut high) = (least, max_tokens);
            while high - low > 1 {
                let middle = low + (high - low) / 2;
                if affordable(middle) { low = middle } else { high = middle }
            }
            max_tokens = low;
        }
        let worst =
            Worst { usd: price.worst(prompt, u64::from(max_tokens)).cost_usd, tokens: prompt + u64::from(max_tokens) };
        state.held.usd += worst.usd;
        state.held.tokens += worst.tokens;
        state.calls_held += 1;
        Ok(Reservation { budget: self.clone(), prompt, max_tokens, worst, sent: false, settled: false })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reservation {
    /// The most tokens that the answer may have.
    pub(super) fn max_tokens(&self) -> u32 {
        self.max_tokens
    }

    /// Dollars and tokens.
    pub(super) fn worst(&self) -> (f64, u64) {
        (self.worst.usd, self.worst.tokens)
    }

    /// From here on it may be billed.
    pub(super) fn send(&mut self) {
        self.sent = true;
    }

    /// It was billed: for what the endpoint counts, or nobody knows for what, so for the worst.
    pub(super) fn billed(self, tokens: Option<Tokens>) -> Usage {
        let price = self.budget.price();
        let usage = match tokens {
            Some(tokens) => price.usage(tokens),
            None => price.worst(self.prompt, u64::from(self.max_tokens)),
        };
        self.settle(usage)
    }

    /// It reached the endpoint and was not billed.
    pub(super) fn free(self) -> Usage {
        self.settle(Usage { calls: 1, ..Usage::default() })
    }

    /// It never reached the endpoint.
    pub(super) fn unsent(mut self) {
        self.sent = false;
    }

    fn settle(mut self, usage: Usage) -> Usage {
        self.settled = true;
        let mut state = self.budget.state();
        state.spent += usage;
        drop(state);
        usage
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut state = self.budget.state();
        state.calls_held = state.calls_held.saturating_sub(1);
        state.held.tokens = state.held.tokens.saturating_sub(self.worst.tokens);
        // Sums of fractions drift: nothing is held where no call is.
        state.held.usd = if state.calls_held == 0 { 0.0 } else { (state.held.usd - self.worst.usd).max(0.0) };
        if self.sent && !self.settled {
            state.lost.usd += self.worst.usd;
            state.lost.tokens = state.lost.tokens.saturating_add(self.worst.tokens);
            state.spent.calls = state.spent.calls.saturating_add(1);
        }
    }
}

/// `900 s`, `0.5 s`.
pub(super) fn seconds(duration: Duration) -> String {
    format!("{} s", (duration.as_secs_f64() * 1000.0).round() / 1000.0)
}

#[cfg(test)]
#[path = "tests/budget.rs"]
mod tests;
