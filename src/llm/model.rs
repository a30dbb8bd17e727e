//! model: a chat model behind a URL. A prompt in, a completion out: redacted before anything leaves, within the budget,
//! remembered before it is sent and after it is answered, tried again where that can help.

use std::{
    fmt,
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use governor::{
    DefaultDirectRateLimiter, Quota, RateLimiter,
    clock::{Clock, DefaultClock},
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::time::{Instant, sleep};

use super::{
    budget::{Budget, LEAST, Reservation, seconds},
    cassette::Cassette,
    chat::{Completion, Finish, Prompt, Source, Usage},
    error::LlmError,
    options::{ModelOptions, Price},
    price,
    records::Records,
    send::{Bill, Endpoint, Failed},
    wire::{self, Asked, Redactor, Said},
};
use crate::{breaker::Breaker, retry};

/// Requests that may go at once before the rate limit spreads them.
const BURST: u32 = 10;
/// The longest answer that any endpoint gives.
const MOST_COMPLETION: u32 = 393_216;
/// Of an answer's body: this, and so much for each token (a chunk of a stream carries about one).
const BODY_BASE: usize = 4 << 20;
const BODY_TOKEN: usize = 1 << 10;
const EFFORTS: [&str; 4] = ["none", "low", "high", "max"];
const MOST_NOTES: usize = 32;

/// A chat model. Clones share the budget, the breaker and the records.
#[derive(Clone)]
pub struct Model(Arc<Inner>);

struct Inner {
    options: ModelOptions,
    endpoint: Endpoint,
    redactor: Arc<Redactor>,
    records: Arc<dyn Records>,
    budget: Budget,
    breaker: Breaker,
    rate: DefaultDirectRateLimiter,
    clock: DefaultClock,
    notes: Mutex<Vec<String>>,
}

/// How a try ended.
enum Ended {
    Answered(Box<Completion>),
    /// It may be worth another one, with the reservation for it where one is made already.
    Again {
        why: String,
        pause: Option<Duration>,
        next: Option<Reservation>,
    },
}

impl fmt::Debug for Model {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Model").field(&self.0.options).finish()
    }
}

impl Model {
    /// A model by its options. `redactor` sees every string that would leave; `records` remember the calls, and know what
    /// a run that is resumed has spent.
    ///
    /// [`LlmError::Options`] where the options can't be used: a retired or unknown model, an address that is none or that
    /// would send the key unencrypted, no key where one is needed, limits that allow nothing.
    pub fn new(
        options: ModelOptions,
        redactor: Arc<dyn Fn(&str) -> String + Send + Sync>,
        records: Arc<dyn Records>,
    ) -> Result<Model, LlmError> {
        let (endpoint, price) = usable(&options, &redactor)?;
        let opened = options.cassette.as_ref().map(|path| Cassette::open(path, &options.model, redactor.clone()));
        let endpoint = endpoint.with(opened.transpose()?);
        let budget = Budget::new(options.limits.clone(), price, records.spent(), options.began_before);
        let per_minute = NonZeroU32::new(options.per_minute).unwrap_or(NonZeroU32::MIN);
        let burst = NonZeroU32::new(BURST).unwrap_or(NonZeroU32::MIN).min(per_minute);
        let inner = Inner {
            endpoint,
            redactor,
            records,
            budget,
            breaker: Breaker::new(options.breaker_failures, options.breaker_pause),
            rate: RateLimiter::direct(Quota::per_minute(per_minute).allow_burst(burst)),
            clock: DefaultClock::default(),
            notes: Mutex::default(),
            options,
        };
        Ok(Model(Arc::new(inner)))
    }

    /// Can these options be used? Nothing is opened and nothing is written.
    ///
    /// # Errors
    /// As [`Model::new`].
    pub fn check(options: &ModelOptions) -> Result<(), LlmError> {
        let nothing: Arc<Redactor> = Arc::new(|text: &str| crate::redact::redact(text));
        usable(options, &nothing).map(|_| ())
    }

    /// The model's name.
    pub fn name(&self) -> &str {
        &self.0.options.model
    }

    /// What this run has used, failed tries included, and what the run that is resumed had: to the token as the endpoint
    /// counts, the worst where it said nothing (a note says so then). Dollars at the peak rate.
    pub fn usage(&self) -> Usage {
        self.0.budget.spent()
    }

    /// The most dollars and tokens that calls may have cost which began and never ended, in this run or in the one that is
    /// resumed. The budget counts that, the usage does not.
    pub fn lost(&self) -> (f64, u64) {
        self.0.budget.lost()
    }

    /// The date of the price list whose peak rates the dollars are at; none where the options give the price.
    pub fn price_date(&self) -> Option<&'static str> {
        let (date, _) = price::list_date();
        Some(date).filter(|date| self.0.options.price.is_none() && !date.is_empty())
    }

    /// What a reader of the usage should know by now.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = self.0.notes.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (usd, tokens) = self.lost();
        if usd > 0.0 || tokens > 0 {
            notes.push(format!(
                "calls that began and never ended may have cost up to ${usd:.4} and {tokens} tokens: the budget counts \
                 that, the usage does not"
            ));
        }
        notes
    }

    /// Asks, as often as it takes and may help. The completion's usage is that of the try that answered;
    /// [`Model::usage`] has all.
    ///
    /// An answer that `max_tokens` cut is asked for once more with twice as many, where the budget allows it; what is cut
    /// then comes back as [`Finish::Length`]. Where the budget does not allow all of `max_tokens`, it is lowered to what
    /// fits, but not below 1024.
    pub async fn complete(&self, prompt: &Prompt) -> Result<Completion, LlmError> {
        let Inner { options, records, .. } = &*self.0;
        let mut call = self.call(prompt);
        if let Some(known) = records.known(&call.key) {
            return Ok(known);
        }
        let mut reserved = None;
        let mut last = String::new();
        for failed in 1..=options.tries {
            let more = failed < options.tries;
            let ended = self.attempt(&mut call, reserved.take(), more).await.map_err(|error| after(error, &last))?;
            let (why, asked, next) = match ended {
                Ended::Answered(completion) => return Ok(*completion),
                Ended::Again { why, pause, next } => (why, pause, next),
            };
            last = why;
            reserved = next;
            // A reservation for the next try is held: what was cut goes on at once.
            if more && reserved.is_none() {
                let pause = retry::pause(failed, options.first_pause, options.longest_pause, asked, fastrand::f64());
                let pause = pause.map_err(|asked| {
                    let (asked, longest) = (seconds(asked), seconds(options.longest_pause));
                    LlmError::Unavailable(format!(
                        "{last}; it wants to be left alone for {asked}, longer than {longest}"
                    ))
                })?;
                self.wait(pause).await.map_err(|error| after(error, &last))?;
            }
        }
        // A wall that ended the last try is a spent budget, not a broken endpoint.
        self.0.budget.may_wait(Duration::ZERO).map_err(|error| after(error, &last))?;
        Err(LlmError::Unavailable(format!("{} tries failed; the last: {last}", options.tries)))
    }

    fn call(&self, prompt: &Prompt) -> Call {
        let Inner { options, endpoint, redactor, .. } = &*self.0;
        let asked = Asked {
            model: &options.model,
            deepseek: endpoint.is_deepseek() || options.effort.is_some(),
            effort: options.effort.as_deref(),
            user: options.user.as_deref(),
        };
        let body = wire::request(prompt, &asked, &**redactor);
        let bytes = body.to_string().len() as u64;
        let (key, max_tokens) = (self.key(&body), prompt.max_tokens.max(1));
        Call { key, step: prompt.step, body, bytes, max_tokens, doubled: false, waited: false }
    }

    /// One try: leave by the budget, the rate limit and the breaker; remembered, sent, settled, remembered.
    async fn attempt(&self, call: &mut Call, reserved: Option<Reservation>, more: bool) -> Result<Ended, LlmError> {
        let Inner { endpoint, records, budget, breaker, .. } = &*self.0;
        // First: whoever waits for the budget must hold nothing, and a probe of the breaker's is something.
        let mut reservation = match reserved {
            Some(reservation) => reservation,
            None => budget.reserve(call.bytes, call.max_tokens, LEAST).await?,
        };
        self.wait_for_rate().await?;
        let pass = breaker.enter(&mut call.waited, self.deadline()).await.map_err(|open| {
            LlmError::Unavailable(match open.is_zero() {
                true => "it failed too often in a row; a single probe is under way".to_owned(),
                false => format!("it failed too often in a row; nothing is asked for another {}", seconds(open)),
            })
        })?;
        let max_tokens = reservation.max_tokens();
        if max_tokens < call.max_tokens {
            self.note(format!("the budget lowered an answer's limit from {} to {max_tokens} tokens", call.max_tokens));
        }
        let body = wire::with_max_tokens(&call.body, max_tokens);
        let (worst_usd, worst_tokens) = reservation.worst();
        records.sending(&call.key, call.step, &body, worst_usd, worst_tokens)?;
        reservation.send();
        let most = BODY_BASE.saturating_add(BODY_TOKEN.saturating_mul(max_tokens as usize));
        match endpoint.ask(&call.key, &body, most, self.deadline()).await {
            Ok(said) => {
                pass.succeeded();
                self.answered(call, said, reservation, more).await
            }
            Err(Failed::Unrecorded { error, bill }) => {
                let usage = self.settle(reservation, bill);
                records.failed(&call.key, &error.to_string(), usage)?;
                Err(error)
            }
            Err(Failed::Refused { status, advice }) => {
                // It is there, and takes other requests.
                pass.succeeded();
                records.failed(&call.key, &format!("refused: {status}: {advice}"), Some(reservation.free()))?;
                Err(LlmError::Refused { status, advice })
            }
            Err(Failed::Passing { why, pause, bill, down }) => {
                if down {
                    pass.failed()
                } else {
                    pass.succeeded()
                }
                let usage = self.settle(reservation, bill);
                records.failed(&call.key, &why, usage)?;
                Ok(Ended::Again { why, pause, next: None })
            }
        }
    }

    /// What a failed try counts for.
    fn settle(&self, reservation: Reservation, bill: Bill) -> Option<Usage> {
        match bill {
            Bill::Unsent => {
                reservation.unsent();
                None
            }
            Bill::Free => Some(reservation.free()),
            Bill::Billed(tokens) => {
                if tokens.is_none() {
                    self.note("a try failed without saying what it cost: it is counted at its worst".to_owned());
                }
                Some(reservation.billed(tokens))
            }
        }
    }

    /// An answer that was read: is it one?
    async fn answered(
        &self,
        call: &mut Call,
        said: Said,
        reservation: Reservation,
        more: bool,
    ) -> Result<Ended, LlmError> {
        let Inner { records, budget, .. } = &*self.0;
        if said.tokens.is_none() {
            self.note("an answer came without its usage: it is counted at its worst".to_owned());
        }
        let asked = reservation.max_tokens();
        if said.tokens.is_some_and(|tokens| tokens.prompt > call.bytes || tokens.completion > u64::from(asked)) {
            self.note("the endpoint counted more tokens than a call can have: the budget could not hold it".to_owned());
        }
        let usage = reservation.billed(said.tokens);
        let finish = said.finish();
        if finish == Finish::Length && more && !call.doubled {
            // Reserved before the cut answer is given up: where the budget has no room, a cut one is better than none.
            let doubled = asked.saturating_mul(2).min(MOST_COMPLETION);
            // The larger number may be a digit longer.
            let next = if doubled > asked { budget.reserve(call.bytes + 1, doubled, doubled).await.ok() } else { None };
            if let Some(next) = next {
                call.bytes += 1;
                call.doubled = true;
                call.max_tokens = doubled;
                let why = format!("the answer was cut at {asked} tokens");
                records.failed(&call.key, &why, Some(usage))?;
                return Ok(Ended::Again { why, pause: None, next: Some(next) });
            }
        }
        if said.is_blank() {
            if finish == Finish::Length {
                // The same limit would be filled again.
                let other = match more && !call.doubled {
                    true => "raise the budget, which has no room for more",
                    false => "choose another model (model.name)",
                };
                let why = format!(
                    "it thought for all of {asked} tokens without an answer: lower the effort (model.effort) or {other}"
                );
                records.failed(&call.key, &why, Some(usage))?;
                return Err(LlmError::Unavailable(why));
            }
            let why = "the answer was blank".to_owned();
            records.failed(&call.key, &why, Some(usage))?;
            return Ok(Ended::Again { why, pause: None, next: None });
        }
        let completion = Completion {
            key: call.key.clone(),
            tool_calls: said.tool_calls(),
            content: said.content,
            reasoning: Some(said.reasoning).filter(|reasoning| !reasoning.is_empty()),
            finish,
            usage,
            source: Source::Endpoint,
        };
        records.answered(&completion)?;
        Ok(Ended::Answered(Box::new(completion)))
    }

    async fn wait_for_rate(&self) -> Result<(), LlmError> {
        loop {
            match self.0.rate.check() {
                Ok(()) => return Ok(()),
                Err(until) => self.wait(until.wait_time_from(self.0.clock.now())).await?,
            }
        }
    }

    /// Of whatever begins now.
    fn deadline(&self) -> Instant {
        let now = Instant::now();
        let deadline = now.checked_add(self.0.options.call_deadline).unwrap_or(now + Duration::from_secs(86_400));
        self.0.budget.wall_end().map_or(deadline, |end| end.min(deadline))
    }

    /// Waits, if the wall time has that much left.
    async fn wait(&self, pause: Duration) -> Result<(), LlmError> {
        self.0.budget.may_wait(pause)?;
        sleep(pause).await;
        Ok(())
    }

    /// The question's name: the same for the same question, whatever the budget makes of its limit.
    fn key(&self, body: &Value) -> String {
        let mut hash = Sha256::new();
        // A cassette is replayed where the endpoint that was recorded may not even have a name.
        let url = if self.0.options.cassette.is_some() { "" } else { self.0.endpoint.url() };
        for part in [url, self.name(), &body.to_string()] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn note(&self, note: String) {
        let mut notes = self.0.notes.lock().unwrap_or_else(PoisonError::into_inner);
        if notes.len() < MOST_NOTES && !notes.contains(&note) {
            notes.push(note);
        }
    }
}

/// A call through its tries.
struct Call {
    key: String,
    step: &'static str,
    body: Value,
    /// Of the body: no prompt has more tokens.
    bytes: u64,
    max_tokens: u32,
    doubled: bool,
    /// For the breaker.
    waited: bool,
}

/// A spent budget, with what made another try needed.
fn after(error: LlmError, last: &str) -> LlmError {
    match error {
        LlmError::BudgetSpent(words) if !last.is_empty() => {
            LlmError::BudgetSpent(format!("{words} (the try before: {last})"))
        }
        error => error,
    }
}

/// The endpoint and the price of these options, if they can be used.
fn usable(options: &ModelOptions, redactor: &Arc<Redactor>) -> Result<(Endpoint, Price), LlmError> {
    check(options)?;
    let endpoint = Endpoint::new(options, redactor.clone())?;
    let Some(price) = options.price.or_else(|| price::price_of(&options.model)) else {
        return Err(LlmError::Options(format!(
            "no price is known for the model `{}`, so no budget could hold: give its price, or use one of {}",
            endpoint.clean(&options.model),
            price::known_models().join(", ")
        )));
    };
    Ok((endpoint, price))
}

fn check(options: &ModelOptions) -> Result<(), LlmError> {
    let bad = |words: String| Err(LlmError::Options(words));
    let model = options.model.as_str();
    let plain = |each: char| each.is_ascii_graphic();
    if model.is_empty() || model.len() > 200 || !model.chars().all(plain) {
        return bad("the model's name can't be one".to_owned());
    }
    if let Some(replacement) = price::replacement_of(model) {
        return bad(format!("the model `{model}` was retired by DeepSeek: use `{replacement}`"));
    }
    if let Some(effort) = options.effort.as_deref().filter(|effort| !EFFORTS.contains(effort)) {
        let effort = crate::redact::shown_line(effort, 40);
        return bad(format!("the effort `{effort}` is not known: use one of {}", EFFORTS.join(", ")));
    }
    if options.price.is_some_and(|price| !price.is_sane()) {
        return bad("the model's price is no price".to_owned());
    }
    let limits = &options.limits;
    let free = options.price.is_some_and(|price| price.is_free());
    if !limits.cost_usd.is_finite() || limits.cost_usd < 0.0 || (limits.cost_usd == 0.0 && !free) {
        return bad(format!("a budget of {} dollars allows nothing", limits.cost_usd));
    }
    let none = Duration::ZERO;
    let nonsense = [
        (limits.tokens == 0, "a budget of no tokens allows nothing"),
        (limits.calls == 0, "a budget of no calls allows nothing"),
        (limits.wall == Some(none), "a budget of no wall time allows nothing"),
        (options.call_deadline == none, "a call without any time can't be answered"),
        (options.stall == none, "an answer needs some time between its bytes"),
        (options.tries == 0, "a call needs at least one try"),
        (options.per_minute == 0, "a rate of no requests a minute allows nothing"),
        (options.breaker_failures == 0, "a circuit breaker that opens after no failure allows nothing"),
    ];
    match nonsense.iter().find(|(is, _)| *is) {
        Some((_, words)) => bad((*words).to_owned()),
        None => Ok(()),
    }
}

#[cfg(test)]
#[path = "tests/model.rs"]
mod tests;
