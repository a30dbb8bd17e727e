//! breaker: after some failures in a row nobody asks an endpoint that is down, until a pause is over; then a single probe
//! goes, and its end decides for all. Shared by concurrent calls.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep_until, timeout_at},
};

/// A circuit breaker.
#[derive(Debug)]
pub struct Breaker {
    most: u32,
    pause: Duration,
    state: Mutex<State>,
    /// A probe ended.
    probed: Notify,
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
pub struct Pass<'a> {
    breaker: &'a Breaker,
    probe: bool,
}

impl Breaker {
    /// Opens after `most` failures in a row, for the pause.
    pub fn new(most: u32, pause: Duration) -> Breaker {
        Breaker { most, pause, state: Mutex::default(), probed: Notify::new() }
    }

    /// Leave to ask, waited for where that may come before `end`. A call waits until the pause is over and a probe told;
    /// when the breaker opens again after that (`waited` remembers it), that is the answer.
    ///
    /// # Errors
    /// How long it still is open (zero: a probe is under way).
    pub async fn enter(&self, waited: &mut bool, end: Instant) -> Result<Pass<'_>, Duration> {
        loop {
            // From before the look, so that no end is missed.
            let probed = self.probed.notified();
            let open = match self.pass() {
                Ok(pass) => return Ok(pass),
                Err(open) => open,
            };
            if open.is_zero() {
                timeout_at(end, probed).await.map_err(|_| open)?;
            } else {
                let until = Instant::now().checked_add(open).filter(|until| *until < end && !*waited).ok_or(open)?;
                sleep_until(until).await;
            }
            *waited = true;
        }
    }

    /// Leave to ask, or how long the breaker still is open (zero: while a probe is under way).
    fn pass(&self) -> Result<Pass<'_>, Duration> {
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
    pub fn succeeded(self) {
        let mut state = self.breaker.state();
        // A call from before the breaker opened says nothing of now: only the probe closes it.
        if self.probe || state.open_until.is_none() {
            state.failures = 0;
            state.open_until = None;
        }
    }

    /// The endpoint is down, or overloaded.
    pub fn failed(self) {
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
            self.breaker.probed.notify_waiters();
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
    async fn an_open_breaker_is_waited_for_once_and_a_probe_of_another_to_its_end() {
        let end = Instant::now() + 10 * PAUSE;
        let breaker = opened();
        let (mut mine, mut theirs) = (false, false);
        let begun = Instant::now();
        let probe = breaker.enter(&mut mine, end).await.unwrap();
        assert_eq!(begun.elapsed(), PAUSE);
        let (entered, ()) = tokio::join!(breaker.enter(&mut theirs, end), async { probe.succeeded() });
        drop(entered.unwrap());
        for _ in 0..3 {
            breaker.pass().unwrap().failed();
        }
        // Both have waited once.
        assert_eq!(breaker.enter(&mut mine, end).await.unwrap_err(), PAUSE);
        assert_eq!(breaker.enter(&mut theirs, end).await.unwrap_err(), PAUSE);
        let (mut mine, mut theirs) = (false, false);
        let probe = breaker.enter(&mut mine, end).await.unwrap();
        let (entered, ()) = tokio::join!(breaker.enter(&mut theirs, end), async { probe.failed() });
        assert_eq!(entered.unwrap_err(), PAUSE);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_the_breaker_beyond_the_end() {
        let breaker = opened();
        let begun = Instant::now();
        assert_eq!(breaker.enter(&mut false, begun + PAUSE).await.unwrap_err(), PAUSE);
        assert_eq!(begun.elapsed(), Duration::ZERO);
        tokio::time::advance(PAUSE).await;
        let _probe = breaker.pass().unwrap();
        assert_eq!(breaker.enter(&mut false, begun + 2 * PAUSE).await.unwrap_err(), Duration::ZERO);
        assert_eq!(begun.elapsed(), 2 * PAUSE);
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
