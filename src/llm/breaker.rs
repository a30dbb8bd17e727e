//! breaker: after some failures in a row nobody asks an endpoint that is down, until a pause is over; then a single probe
//! goes, and its end decides for all. Shared by concurrent calls.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// A circuit breaker.
#[derive(Debug)]
pub(super) struct Breaker {
    most: u32,
    pause: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// In a row.
    failures: u32,
    open_until: Option<Instant>,
    probing: bool,
}

/// Leave to ask. Whoever has it says how it went; one that is dropped says nothing, and another may probe.
#[derive(Debug)]
pub(super) struct Pass<'a> {
    breaker: &'a Breaker,
    probe: bool,
}

impl Breaker {
    /// Opens after `most` failures in a row, for the pause.
    pub(super) fn new(most: u32, pause: Duration) -> Breaker {
        Breaker { most, pause, state: Mutex::default() }
    }

    /// Leave to ask, or how long the breaker still is open (zero: while a probe is under way).
    pub(super) fn pass(&self) -> Result<Pass<'_>, Duration> {
        let mut state = self.state();
        let Some(until) = state.open_until else { return Ok(Pass { breaker: self, probe: false }) };
        let now = Instant::now();
        if now < until {
            return Err(until - now);
        }
        if state.probing {
            return Err(Duration::ZERO);
        }
        state.probing = true;
        Ok(Pass { breaker: self, probe: true })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass<'_> {
    /// The endpoint answered.
    pub(super) fn succeeded(self) {
        let mut state = self.breaker.state();
        // A call from before the breaker opened says nothing of now: only the probe closes it.
        if self.probe || state.open_until.is_none() {
            state.failures = 0;
            state.open_until = None;
        }
    }

    /// The endpoint is down, or overloaded.
    pub(super) fn failed(self) {
        let mut state = self.breaker.state();
        state.failures = state.failures.saturating_add(1);
        if self.probe || (state.open_until.is_none() && state.failures >= self.breaker.most) {
            state.open_until = Some(Instant::now() + self.breaker.pause);
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.probe {
            self.breaker.state().probing = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_secs(30);

    fn opened() -> Breaker {
        let breaker = Breaker::new(3, PAUSE);
        for _ in 0..3 {
            breaker.pass().unwrap().failed();
        }
        breaker
    }

    #[tokio::test(start_paused = true)]
    async fn failures_in_a_row_open_it_and_a_success_between_does_not_count_them_on() {
        let breaker = Breaker::new(3, PAUSE);
        breaker.pass().unwrap().failed();
        breaker.pass().unwrap().failed();
        breaker.pass().unwrap().succeeded();
        breaker.pass().unwrap().failed();
        breaker.pass().unwrap().failed();
        assert!(breaker.pass().is_ok());
        breaker.pass().unwrap().failed();
        assert_eq!(breaker.pass().unwrap_err(), PAUSE);
    }

    #[tokio::test(start_paused = true)]
    async fn after_the_pause_a_single_probe_goes_and_its_success_closes_it() {
        let breaker = opened();
        tokio::time::advance(PAUSE).await;
        let probe = breaker.pass().unwrap();
        assert_eq!(breaker.pass().unwrap_err(), Duration::ZERO);
        probe.succeeded();
        let (first, second) = (breaker.pass().unwrap(), breaker.pass().unwrap());
        drop((first, second));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_probe_opens_it_again_and_a_dropped_one_makes_room_for_the_next() {
        let breaker = opened();
        tokio::time::advance(PAUSE).await;
        breaker.pass().unwrap().failed();
        assert_eq!(breaker.pass().unwrap_err(), PAUSE);
        tokio::time::advance(PAUSE).await;
        drop(breaker.pass().unwrap());
        assert!(breaker.pass().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_from_before_it_opened_does_not_close_it() {
        let breaker = Breaker::new(1, PAUSE);
        let early = breaker.pass().unwrap();
        breaker.pass().unwrap().failed();
        early.succeeded();
        assert!(breaker.pass().is_err());
    }
}
