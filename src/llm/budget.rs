//! budget: dollars, tokens, calls and wall time of a run. The worst that a call can cost is put aside before it is made
//! and settled by what it did cost, so that concurrent calls cannot overrun together. Prices are peak rates, so the
//! dollars are an upper bound of the bill.
//!
//! The worst: a prompt has at most as many tokens as its body has bytes, a completion at most `max_tokens`. Where that is
//! too dear only for `max_tokens`, the limit is lowered to what fits, as long as [`LEAST`] stays.
//!
//! What calls under way hold is mostly given back: a call that fits only without it waits its turn. Who waits holds
//! nothing, and who holds is being sent, so every wait ends.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Mutex as Turn, Notify},
    time::{Instant, timeout_at},
};

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
    /// Of the wall time, used before this run.
    began_before: Duration,
    state: Mutex<State>,
    /// Calls that wait for room do so in their order, so that none waits forever.
    turn: Turn<()>,
    /// A call under way ended.
    settled: Notify,
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
    /// A budget that some of is spent of, and of the wall time too: by the run that is resumed.
    pub(super) fn new(
        limits: BudgetLimits,
        price: Price,
        (spent, lost_usd, lost_tokens): (Usage, f64, u64),
        began_before: Duration,
    ) -> Budget {
        let lost = Worst { usd: lost_usd.max(0.0), tokens: lost_tokens };
        let state = State { spent, lost, held: Worst::default(), calls_held: 0, began: None };
        Budget(Arc::new(Inner {
            limits,
            price,
            began_before,
            state: Mutex::new(state),
            turn: Turn::default(),
            settled: Notify::new(),
        }))
    }

    /// What is spent.
    pub(super) fn spent(&self) -> Usage {
        self.state().spent
    }

    /// The worst dollars and tokens of calls that began and never ended.
    pub(super) fn lost(&self) -> (f64, u64) {
        let lost = self.state().lost;
        (lost.usd, lost.tokens)
    }

    pub(super) fn price(&self) -> Price {
        self.0.price
    }

    /// The wall time begins with the first call. When it ends, where it does.
    pub(super) fn wall_end(&self) -> Option<Instant> {
        let began = *self.state().began.get_or_insert_with(Instant::now);
        self.0.limits.wall.and_then(|wall| began.checked_add(wall.saturating_sub(self.0.began_before)))
    }

    /// May one still wait so long, and ask then?
    pub(super) fn may_wait(&self, pause: Duration) -> Result<(), LlmError> {
        match self.wall_end() {
            Some(end) if Instant::now().checked_add(pause).is_none_or(|then| then >= end) => Err(self.out_of_time()),
            _ => Ok(()),
        }
    }

    fn out_of_time(&self) -> LlmError {
        let wall = self.0.limits.wall.unwrap_or_default();
        LlmError::BudgetSpent(format!("wall time: the limit of {} is reached", seconds(wall)))
    }

    /// Puts the worst of a call aside: a prompt of at most so many tokens, and `wanted` more, or as many as fit, but at
    /// least `least`. Where calls under way hold what it needs, it waits for their end.
    pub(super) async fn reserve(&self, prompt: u64, wanted: u32, least: u32) -> Result<Reservation, LlmError> {
        let reserved = async {
            let _turn = self.0.turn.lock().await;
            loop {
                // From before the look, so that no end is missed.
                let settled = self.0.settled.notified();
                if let Some(reservation) = self.take(prompt, wanted, least)? {
                    return Ok(reservation);
                }
                settled.await;
            }
        };
        match self.wall_end() {
            Some(end) => timeout_at(end, reserved).await.unwrap_or_else(|_| Err(self.out_of_time())),
            None => reserved.await,
        }
    }

    /// The same at once; `None` where there may be more room when a call under way ends.
    fn take(&self, prompt: u64, wanted: u32, least: u32) -> Result<Option<Reservation>, LlmError> {
        self.may_wait(Duration::ZERO)?;
        let mut state = self.state();
        let least = least.min(wanted);
        let alone = self.grant(&state, (Worst::default(), 0), prompt, wanted, least)?;
        match self.grant(&state, (state.held, state.calls_held), prompt, wanted, least) {
            Ok(now) if now >= alone => {}
            _ => return Ok(None),
        }
        let cost = self.0.price.worst(prompt, u64::from(alone)).cost_usd;
        let worst = Worst { usd: cost, tokens: prompt.saturating_add(u64::from(alone)) };
        state.held.usd += worst.usd;
        state.held.tokens = state.held.tokens.saturating_add(worst.tokens);
        state.calls_held += 1;
        Ok(Some(Reservation { budget: self.clone(), prompt, max_tokens: alone, worst, sent: false, settled: false }))
    }

    /// The most tokens, of those wanted, that an answer may have where so much is held.
    fn grant(
        &self,
        state: &State,
        (held, calls_held): (Worst, u32),
        prompt: u64,
        wanted: u32,
        least: u32,
    ) -> Result<u32, LlmError> {
        let Inner { limits, price, .. } = &*self.0;
        if state.spent.calls.saturating_add(calls_held) >= limits.calls {
            return Err(LlmError::BudgetSpent(format!("calls: the limit of {} is reached", limits.calls)));
        }
        let spent = state.spent.prompt_tokens.saturating_add(state.spent.completion_tokens);
        let used = spent.saturating_add(state.lost.tokens).saturating_add(held.tokens);
        let room = limits.tokens.saturating_sub(used);
        if prompt.saturating_add(u64::from(least)) > room {
            return Err(LlmError::BudgetSpent(format!(
                "tokens: the limit is {}, {used} are spent or may be, and this call needs up to {}",
                limits.tokens,
                prompt.saturating_add(u64::from(wanted))
            )));
        }
        let used = state.spent.cost_usd + state.lost.usd + held.usd;
        let affordable =
            |completion: u32| used + price.worst(prompt, u64::from(completion)).cost_usd <= limits.cost_usd;
        if !affordable(least) {
            return Err(LlmError::BudgetSpent(format!(
                "dollars: the limit is {:.4}, {used:.4} are spent or may be, and this call needs up to {:.4}",
                limits.cost_usd,
                price.worst(prompt, u64::from(wanted)).cost_usd
            )));
        }
        let most = wanted.min(u32::try_from(room.saturating_sub(prompt)).unwrap_or(u32::MAX));
        if affordable(most) {
            return Ok(most);
        }
        // The most that is affordable: the cost only grows with the tokens.
        let (mut low, mut high) = (least, most);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if affordable(middle) { low = middle } else { high = middle }
        }
        Ok(low)
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
        drop(state);
        self.budget.0.settled.notify_waiters();
    }
}

/// `900 s`, `0.5 s`.
pub(super) fn seconds(duration: Duration) -> String {
    format!("{} s", (duration.as_secs_f64() * 1000.0).round() / 1000.0)
}

#[cfg(test)]
#[path = "tests/budget.rs"]
mod tests;
