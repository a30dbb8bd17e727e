//! send: one try over HTTP, and what its failure means: will it pass, and was it billed? Two timers run: an absolute
//! deadline, and one for progress, which keep-alives do not reset.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use reqwest::{
    Client, Response, Url,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, RETRY_AFTER},
    redirect,
};
use serde_json::Value;
use tokio::time::{Instant, timeout, timeout_at};

use super::{
    budget::seconds,
    cassette::{Cassette, Recorded},
    error::LlmError,
    options::ModelOptions,
    stream::{Broken, Reader},
    wire::{self, Redactor, Said, Tokens},
};
use crate::{redact::shown_line, retry};

const CONNECT: Duration = Duration::from_secs(15);
/// For the words of a refusal.
const REFUSAL_TIME: Duration = Duration::from_secs(5);
const REFUSAL_BYTES: usize = 64 << 10;
/// Characters of what an endpoint said, in an error.
const WORDS: usize = 400;
const DEEPSEEK: &str = "api.deepseek.com";

/// An endpoint, and the way there.
pub(super) struct Endpoint {
    client: Client,
    url: Url,
    model: String,
    key: Option<String>,
    stall: Duration,
    redactor: Arc<Redactor>,
    cassette: Option<Cassette>,
}

/// Why a try failed.
#[derive(Debug)]
pub(super) enum Failed {
    /// The cassette does not know it, or can't be written.
    Unrecorded { error: LlmError, bill: Bill },
    /// No further try would change it.
    Refused { status: u16, advice: String },
    /// It may pass.
    Passing {
        why: String,
        /// How long the endpoint wants to be left alone.
        pause: Option<Duration>,
        bill: Bill,
        /// Is the endpoint itself in trouble? (One that only says "slower" is not.)
        down: bool,
    },
}

/// What a failed try costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bill {
    /// Nothing was sent.
    Unsent,
    /// It reached the endpoint, and surely is not billed.
    Free,
    /// Perhaps billed: for these tokens, or for nobody knows what.
    Billed(Option<Tokens>),
}

impl Failed {
    fn bill(&self) -> Bill {
        match self {
            Failed::Unrecorded { bill, .. } | Failed::Passing { bill, .. } => *bill,
            Failed::Refused { .. } => Bill::Free,
        }
    }
}

impl Endpoint {
    /// The endpoint of these options, if they make one.
    pub(super) fn new(options: &ModelOptions, redactor: Arc<Redactor>) -> Result<Endpoint, LlmError> {
        let bad = |words: &str| LlmError::Options(words.to_owned());
        let address = || bad("the model's base URL is no http(s) address");
        let mut url = Url::parse(options.base_url.trim()).map_err(|_| address())?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(address());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad("the model's base URL holds credentials: give the key by DEEPSEEK_API_KEY instead"));
        }
        url.set_fragment(None);
        let path = format!("{}/chat/completions", url.path().trim_end_matches('/'));
        url.set_path(&path);
        let key = options.key.as_deref().map(str::trim).filter(|key| !key.is_empty()).map(str::to_owned);
        let local = is_loopback(&url);
        if key.is_some() && url.scheme() == "http" && !local {
            return Err(bad("plain http would send the model's key unencrypted: the base URL must be https"));
        }
        if key.as_deref().is_some_and(|key| bearer(key).is_none()) {
            return Err(bad("the model's key holds characters that no key has"));
        }
        // A replayed recording needs no key.
        let replayed = options.cassette.as_ref().is_some_and(|cassette| cassette.exists());
        if key.is_none() && url.host_str() == Some(DEEPSEEK) && !replayed {
            return Err(bad("api.deepseek.com wants a key: set DEEPSEEK_API_KEY"));
        }
        // Another crate may have installed one already; either will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut client = Client::builder()
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT)
            .user_agent(concat!("test-repair/", env!("CARGO_PKG_VERSION")));
        if local {
            client = client.no_proxy();
        }
        let client = client.build().map_err(|error| LlmError::Options(causes(error)))?;
        let (model, stall) = (options.model.clone(), options.stall);
        Ok(Endpoint { client, url, model, key, stall, redactor, cassette: None })
    }

    /// Replays a recording of it, or makes one.
    pub(super) fn with(self, cassette: Option<Cassette>) -> Endpoint {
        Endpoint { cassette, ..self }
    }

    /// Does it know DeepSeek's own fields?
    pub(super) fn is_deepseek(&self) -> bool {
        self.url.host_str() == Some(DEEPSEEK)
    }

    /// The address that is asked.
    pub(super) fn url(&self) -> &str {
        self.url.as_str()
    }

    /// One try. An answer may be blank or cut; it was read, and its cost is known if its usage is.
    pub(super) async fn ask(&self, key: &str, body: &Value, most: usize, deadline: Instant) -> Result<Said, Failed> {
        if let Some(Cassette::Replaying(cassette)) = &self.cassette {
            let unknown = |error| Failed::Unrecorded { error, bill: Bill::Unsent };
            return self.replayed(cassette.replay(key, body).map_err(unknown)?, most).await;
        }
        let begun = Instant::now();
        let late = || passing(format!("no whole answer within {}", seconds(begun.elapsed())), Bill::Billed(None));
        timeout_at(deadline, self.exchange(key, body, most)).await.unwrap_or_else(|_| Err(late()))
    }

    /// What was recorded, read as it was then.
    async fn replayed(&self, recorded: Recorded, most: usize) -> Result<Said, Failed> {
        if !(200..300).contains(&recorded.status) {
            return Err(self.refusal(recorded.status, None, None, recorded.body.as_bytes()));
        }
        read(Some(recorded.body.into_bytes()), Reader::new(most), Instant::now(), self.stall).await
    }

    fn record(&self, key: &str, body: &Value, status: u16, content_type: &str, answer: &[u8]) -> Result<(), LlmError> {
        let Some(Cassette::Recording(cassette)) = &self.cassette else { return Ok(()) };
        let (content_type, answer) = (content_type.to_owned(), String::from_utf8_lossy(answer).into_owned());
        cassette.record(key, body, &Recorded { status, content_type, body: answer })
    }

    async fn exchange(&self, key: &str, asked: &Value, most: usize) -> Result<Said, Failed> {
        let body = asked.to_string().into_bytes();
        let mut request = self.client.post(self.url.clone()).header(CONTENT_TYPE, "application/json");
        request = request.header(ACCEPT, "text/event-stream, application/json").body(body);
        if let Some(bearer) = self.key.as_deref().and_then(bearer) {
            request = request.header(AUTHORIZATION, bearer);
        }
        let quiet_since = Instant::now();
        let sent = timeout_at(quiet_since + self.stall, request.send()).await;
        let response = sent.map_err(|_| stalled(self.stall, None))?;
        let response = response.map_err(|error| {
            let bill = if error.is_connect() { Bill::Unsent } else { Bill::Billed(None) };
            passing(self.clean(&causes(error)), bill)
        })?;
        let status = response.status().as_u16();
        let content_type = header(&response, CONTENT_TYPE).unwrap_or_default().to_owned();
        if !(200..300).contains(&status) {
            let pause = header(&response, RETRY_AFTER).and_then(|value| retry::retry_after(value, SystemTime::now()));
            let location = header(&response, LOCATION).map(|to| self.clean(to));
            let body = timeout(REFUSAL_TIME, beginning(response)).await.unwrap_or_default();
            let failed = self.refusal(status, pause, location, &body);
            let unrecorded = |error| Failed::Unrecorded { error, bill: failed.bill() };
            self.record(key, asked, status, &content_type, &body).map_err(unrecorded)?;
            return Err(failed);
        }
        let mut taped = Taped { response, tape: self.cassette.is_some().then(Vec::new) };
        let said = read(&mut taped, Reader::new(most), quiet_since, self.stall).await;
        if let Some(tape) = &taped.tape {
            // It is paid for all the same.
            let bill = said.as_ref().map_or_else(Failed::bill, |said| Bill::Billed(said.tokens));
            let unrecorded = |error| Failed::Unrecorded { error, bill };
            self.record(key, asked, status, &content_type, tape).map_err(unrecorded)?;
        }
        said.map_err(|failed| match failed {
            Failed::Passing { why, pause, bill, down } => Failed::Passing { why: self.clean(&why), pause, bill, down },
            other => other,
        })
    }

    /// What a status that is no success means.
    fn refusal(&self, code: u16, pause: Option<Duration>, location: Option<String>, body: &[u8]) -> Failed {
        let (said, out_of_quota) = match serde_json::from_slice(body) {
            Ok(json) => (wire::complaint(&json).unwrap_or_default(), wire::is_out_of_quota(&json)),
            Err(_) => (String::from_utf8_lossy(body).into_owned(), false),
        };
        let said = self.clean(&said);
        let said = if said.is_empty() { String::new() } else { format!("; it said: {said}") };
        if matches!(code, 408 | 429 | 500..) && !(code == 429 && out_of_quota) {
            let bill = if matches!(code, 408 | 429 | 503) { Bill::Free } else { Bill::Billed(None) };
            return Failed::Passing { why: format!("it answered {code}{said}"), pause, bill, down: code != 429 };
        }
        let advice = match code {
            300..=399 => format!(
                "it redirects to {}, and redirects are never followed: give the base URL where the model really is",
                location.unwrap_or_else(|| "nowhere".to_owned())
            ),
            401 | 403 => "the key was not accepted: set DEEPSEEK_API_KEY to a key of this endpoint".to_owned(),
            402 => "the balance is used up: top up at https://platform.deepseek.com/top_up".to_owned(),
            429 => "the quota is used up: top up where the key is from".to_owned(),
            404 => format!("nothing is there: check the base URL ({}) and the model `{}`", self.url, self.model),
            _ => "it does not take the request: check the model's name and options".to_owned(),
        };
        Failed::Refused { status: code, advice: format!("{advice}{said}") }
    }

    /// A foreign text as it may be told: without the key, redacted, on one line, bounded.
    pub(super) fn clean(&self, text: &str) -> String {
        let text = match &self.key {
            Some(key) => text.replace(key.as_str(), "[key]"),
            None => text.to_owned(),
        };
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        shown_line(&(self.redactor)(&line), WORDS)
    }
}

/// A body as it comes. (An async closure would do, if its future could be told to be `Send`.)
trait Chunks {
    fn next(&mut self) -> impl Future<Output = Result<Option<Vec<u8>>, String>> + Send;
}

/// An answer, and what was read of it for a cassette.
struct Taped {
    response: Response,
    tape: Option<Vec<u8>>,
}

impl Chunks for &mut Taped {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, String> {
        let chunk = self.response.chunk().await.map_err(causes)?;
        if let (Some(tape), Some(chunk)) = (&mut self.tape, &chunk) {
            tape.extend_from_slice(chunk);
        }
        Ok(chunk.map(Vec::from))
    }
}

/// A recorded body comes in one piece.
impl Chunks for Option<Vec<u8>> {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, String> {
        Ok(self.take())
    }
}

/// Reads a body to its end. The deadline is kept from outside, by who drops this; `quiet_since` is when the endpoint last
/// said anything that counts.
async fn read(
    mut body: impl Chunks,
    mut reader: Reader,
    mut quiet_since: Instant,
    stall: Duration,
) -> Result<Said, Failed> {
    let unreadable = |broken: Broken| passing(broken.to_string(), Bill::Billed(None));
    let mut cut = None;
    while !reader.is_done() {
        let Ok(chunk) = timeout_at(quiet_since + stall, body.next()).await else {
            // A whole answer whose connection stays open is a whole answer.
            let said = reader.finish().map_err(|_| stalled(stall, None))?;
            return if said.complete { Ok(said) } else { Err(stalled(stall, said.tokens)) };
        };
        match chunk {
            Ok(Some(chunk)) => {
                if reader.feed(&chunk).map_err(unreadable)? {
                    quiet_since = Instant::now();
                }
            }
            Ok(None) => break,
            Err(why) => {
                cut = Some(why);
                break;
            }
        }
    }
    let said = match (reader.finish(), cut) {
        (Ok(said), Some(why)) if !said.complete => {
            return Err(passing(format!("the answer was cut: {why}"), Bill::Billed(said.tokens)));
        }
        (Err(_), Some(why)) => return Err(passing(format!("the answer was cut: {why}"), Bill::Billed(None))),
        (said, _) => said.map_err(unreadable)?,
    };
    if said.is_cut() {
        return Err(passing("the answer was cut".to_owned(), Bill::Billed(said.tokens)));
    }
    Ok(said)
}

fn passing(why: String, bill: Bill) -> Failed {
    Failed::Passing { why, pause: None, bill, down: true }
}

fn stalled(stall: Duration, tokens: Option<Tokens>) -> Failed {
    passing(format!("it went on without saying anything for {}", seconds(stall)), Bill::Billed(tokens))
}

fn bearer(key: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {key}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    address.map_or_else(|_| host == "localhost" || host.ends_with(".localhost"), |address| address.is_loopback())
}

fn header(response: &Response, name: HeaderName) -> Option<&str> {
    response.headers().get(name)?.to_str().ok()
}

/// The first bytes of a body, as far as they come.
async fn beginning(mut response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk[..chunk.len().min(REFUSAL_BYTES - body.len())]);
        if body.len() >= REFUSAL_BYTES {
            break;
        }
    }
    body
}

/// An error and its causes, without addresses.
fn causes(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut said = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(next) = cause {
        said = format!("{said}: {next}");
        cause = next.source();
    }
    said
}

#[cfg(test)]
#[path = "tests/send.rs"]
mod tests;
