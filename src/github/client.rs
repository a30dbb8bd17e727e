//! The client: octocrab's transport, and a policy of our own. octocrab's own retries repeat POSTs and wait without bounds
//! (measured, octocrab 0.54.9), so they are off.
//!
//! - Reads and writes that are the same when they are done twice are tried again on 5xx and broken connections.
//! - A POST that broke is never repeated blindly: first it is looked whether it took ([`Client::create`]).
//! - Rate limits are waited for, `Retry-After` and `x-ratelimit-reset` kept to, as long as the run's time allows.

use std::{
    fs::File,
    io::Write as _,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use http::Method;
use http_body_util::BodyExt as _;
use octocrab::{Octocrab, service::middleware::retry::RetryConfig};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    audit::Audit,
    error::GitHubError,
    reply::{Passing, Reply, broken, causes, decided, read, unreadable},
};
use crate::{breaker::Breaker, retry};

/// No answer but a log is larger.
const LARGEST_ANSWER: usize = 32 << 20;
/// Pages of a list.
const MOST_PAGES: usize = 10;

/// Where GitHub is, and how patiently it is asked.
#[derive(Clone)]
pub struct ClientOptions {
    /// `https://api.github.com`, or that of an Enterprise server, its path included.
    pub api_url: String,
    /// None: only what is public can be read.
    pub token: Option<String>,
    /// `octo/shop`
    pub repository: String,
    /// Tries of one call, the first included.
    pub tries: u32,
    /// The first pause between tries; it doubles, with jitter.
    pub first_pause: Duration,
    /// The longest pause, also for a rate limit.
    pub longest_pause: Duration,
    /// One call, answer included; a download has ten times as much.
    pub call_deadline: Duration,
    /// When the run must be over.
    pub end: Option<Instant>,
}

impl ClientOptions {
    /// The usual patience.
    pub fn new(api_url: &str, token: Option<String>, repository: &str) -> ClientOptions {
        ClientOptions {
            api_url: api_url.trim_end_matches('/').to_owned(),
            token: token.filter(|token| !token.trim().is_empty()),
            repository: repository.to_owned(),
            tries: 4,
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(300),
            call_deadline: Duration::from_secs(60),
            end: None,
        }
    }
}

/// GitHub, for one repository.
pub struct Client {
    crab: Octocrab,
    options: ClientOptions,
    breaker: Breaker,
    audit: Arc<Audit>,
    calls: AtomicU32,
}

/// What came of a download.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Downloaded {
    /// Bytes that are in the file.
    pub bytes: u64,
    /// Was there more than the limit?
    pub cut: bool,
}

impl Client {
    /// Connects to nothing yet. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When the address is none.
    pub fn new(options: ClientOptions) -> Result<Client, GitHubError> {
        // Another room may have installed it already; either will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let unusable = |error: octocrab::Error| GitHubError::Unusable(format!("GitHub's client: {}", causes(&error)));
        let mut builder = Octocrab::builder()
            .base_uri(format!("{}/", options.api_url))
            .map_err(unusable)?
            .add_retry_config(RetryConfig::None)
            .set_connect_timeout(Some(Duration::from_secs(15)));
        if let Some(token) = &options.token {
            if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(GitHubError::Unusable("the GitHub token holds characters that no token has".to_owned()));
            }
            builder = builder.personal_token(token.clone());
        }
        let crab = builder.build().map_err(unusable)?;
        let breaker = Breaker::new(5, Duration::from_secs(30));
        Ok(Client { crab, options, breaker, audit: Arc::default(), calls: AtomicU32::new(0) })
    }

    /// `octo/shop`
    pub fn repository(&self) -> &str {
        &self.options.repository
    }

    /// The owner's name.
    pub fn owner(&self) -> &str {
        self.options.repository.split('/').next().unwrap_or_default()
    }

    /// Requests that were sent so far.
    pub fn calls(&self) -> u32 {
        self.calls.load(Ordering::Relaxed)
    }

    /// What was written.
    pub fn audit(&self) -> &Audit {
        &self.audit
    }

    /// Reads a value below the repository: `get("pulls/7", …)`.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str, what: &str) -> Result<T, GitHubError> {
        let reply = self.send(&Method::GET, &self.below(path), None, what).await?;
        read(&reply, what)
    }

    /// Reads all of a list, page by page, at most 1,000 entries. `key` names the list within an answer that is an object.
    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        path: &str,
        key: Option<&str>,
        what: &str,
    ) -> Result<Vec<T>, GitHubError> {
        let mut all = Vec::new();
        for page in 1..=MOST_PAGES {
            let sign = if path.contains('?') { '&' } else { '?' };
            let path = self.below(&format!("{path}{sign}per_page=100&page={page}"));
            let reply = self.send(&Method::GET, &path, None, what).await?;
            let mut value: Value = read(&reply, what)?;
            let list = match key {
                Some(key) => value[key].take(),
                None => value.take(),
            };
            let list: Vec<T> = serde_json::from_value(list).map_err(|error| unreadable(what, &error))?;
            all.extend(list);
            let next = reply.headers.get("link").and_then(|link| link.to_str().ok());
            if !next.is_some_and(|link| link.contains("rel=\"next\"")) {
                break;
            }
        }
        Ok(all)
    }

    /// Downloads to a file, following one redirection to another host, where the token is not sent.
    pub(super) async fn download(
        &self,
        path: &str,
        to: &Path,
        most: u64,
        what: &str,
    ) -> Result<Downloaded, GitHubError> {
        let path = self.below(path);
        let mut failed = 0;
        loop {
            let why = match self.download_once(&path, to, most, what).await? {
                Ok(done) => return Ok(done),
                Err(passing) => passing,
            };
            failed += 1;
            self.wait(failed, why, what).await?;
        }
    }

    /// Changes what stays the same when it is changed twice.
    pub(super) async fn change<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &Value,
        why: &str,
    ) -> Result<T, GitHubError> {
        let path = self.below(path);
        let sent = self.send(&method, &path, Some(body), why).await;
        self.enter(&method, &path, why, &sent);
        read(&sent?, why)
    }

    /// Creates something. Where nobody knows whether it took, `look` finds it, or it is tried again.
    pub(super) async fn create<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &Value,
        why: &str,
        look: impl AsyncFn() -> Result<Option<T>, GitHubError>,
    ) -> Result<T, GitHubError> {
        let path = self.below(path);
        let mut failed = 0;
        loop {
            let passing = match self.once(&Method::POST, &path, Some(body), why).await {
                Ok(decided) => {
                    self.enter(&Method::POST, &path, why, &decided);
                    return read(&decided?, why);
                }
                Err(passing) => passing,
            };
            failed += 1;
            let idle = passing.idle;
            self.audit.enter("POST", &path, why, format!("no answer: {}", passing.why));
            self.wait(failed, passing, why).await?;
            if !idle && let Some(there) = look().await? {
                self.audit.enter("GET", &path, why, "it took all the same".to_owned());
                return Ok(there);
            }
        }
    }

    fn enter(&self, method: &Method, path: &str, why: &str, sent: &Result<Reply, GitHubError>) {
        let result = match sent {
            Ok(reply) => reply.status.as_u16().to_string(),
            Err(error) => error.to_string(),
        };
        self.audit.enter(method.as_str(), path, why, result);
    }

    fn below(&self, path: &str) -> String {
        let (repository, slash) = (&self.options.repository, if path.is_empty() { "" } else { "/" });
        format!("/repos/{repository}{slash}{path}")
    }

    /// Until an answer decides.
    async fn send(&self, method: &Method, path: &str, body: Option<&Value>, what: &str) -> Result<Reply, GitHubError> {
        let mut failed = 0;
        loop {
            match self.once(method, path, body, what).await {
                Ok(decided) => return decided,
                Err(passing) => {
                    failed += 1;
                    self.wait(failed, passing, what).await?;
                }
            }
        }
    }

    /// Waits before the next try; an error where there is none.
    async fn wait(&self, failed: u32, passing: Passing, what: &str) -> Result<(), GitHubError> {
        let Passing { why, pause, .. } = passing;
        let ClientOptions { tries, first_pause, longest_pause, end, .. } = &self.options;
        let unavailable = || GitHubError::Unavailable { what: what.to_owned(), why: why.clone() };
        if failed >= *tries {
            return Err(unavailable());
        }
        let limited = |pause| GitHubError::RateLimited { what: what.to_owned(), pause };
        let next = retry::pause(failed, *first_pause, *longest_pause, pause, fastrand::f64()).map_err(limited)?;
        if end.is_some_and(|end| Instant::now() + next >= end) {
            return Err(if pause.is_some() { limited(next) } else { unavailable() });
        }
        sleep(next).await;
        Ok(())
    }

    /// One try: an answer that decides, or why there is none.
    async fn once(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
        what: &str,
    ) -> Result<Result<Reply, GitHubError>, Passing> {
        let deadline = Instant::now() + self.options.call_deadline;
        let exchange = async {
            let response = self.sent(method, path, body).await?;
            let (head, mut body) = response.into_parts();
            let mut bytes = Vec::new();
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|error| broken(&causes(&error)))?;
                if let Ok(data) = frame.into_data() {
                    bytes.extend_from_slice(&data);
                }
                if bytes.len() > LARGEST_ANSWER {
                    return Err(broken(&format!("its answer is larger than {} MiB", LARGEST_ANSWER >> 20)));
                }
            }
            Ok(Reply { status: head.status, headers: head.headers, body: bytes })
        };
        let reply = self.guarded(deadline, exchange).await?;
        decided(reply, what)
    }

    /// Under the breaker and a deadline.
    async fn guarded<T>(
        &self,
        deadline: Instant,
        work: impl Future<Output = Result<T, Passing>>,
    ) -> Result<T, Passing> {
        let pass = self.breaker.enter(&mut false, deadline).await.map_err(|open| Passing {
            why: "it failed too often in a row".to_owned(),
            pause: Some(open),
            idle: true,
        })?;
        let late = || broken("no whole answer in time");
        let done = timeout_at(deadline, work).await.unwrap_or_else(|_| Err(late()));
        match &done {
            Ok(_) => pass.succeeded(),
            Err(passing) if passing.pause.is_some() => pass.succeeded(),
            Err(_) => pass.failed(),
        }
        done
    }

    /// 5xx is a passing failure already here, so that the breaker sees it.
    async fn sent(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<http::Response<http_body_util::combinators::BoxBody<bytes::Bytes, octocrab::Error>>, Passing> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let sent = match *method {
            Method::GET => self.crab._get(path).await,
            Method::POST => self.crab._post(path, body).await,
            Method::PATCH => self.crab._patch(path, body).await,
            Method::PUT => self.crab._put(path, body).await,
            _ => self.crab._delete(path, body).await,
        };
        let response = sent.map_err(|error| broken(&causes(&error)))?;
        if response.status().is_server_error() {
            return Err(broken(&format!("it answers {}", response.status().as_u16())));
        }
        Ok(response)
    }

    async fn download_once(
        &self,
        path: &str,
        to: &Path,
        most: u64,
        what: &str,
    ) -> Result<Result<Downloaded, Passing>, GitHubError> {
        let deadline = Instant::now() + 10 * self.options.call_deadline;
        let written = |error: std::io::Error| {
            GitHubError::Unusable(format!("{what}: {} cannot be written: {error}", to.display()))
        };
        let mut file = File::create(to).map_err(written)?;
        let exchange = async {
            let response = self.sent(&Method::GET, path, None).await?;
            let (head, mut body) = response.into_parts();
            let ok = head.status.is_success();
            let (mut bytes, mut beginning) = (0u64, Vec::new());
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|error| broken(&causes(&error)))?;
                let Ok(data) = frame.into_data() else { continue };
                if !ok {
                    beginning.extend_from_slice(&data[..data.len().min(64 << 10)]);
                    if beginning.len() > 64 << 10 {
                        break;
                    }
                    continue;
                }
                let room = usize::try_from(most - bytes).unwrap_or(usize::MAX);
                let part = &data[..data.len().min(room)];
                if let Err(error) = file.write_all(part) {
                    return Ok(Err(written(error)));
                }
                bytes += part.len() as u64;
                if part.len() < data.len() {
                    return Ok(Ok((None, Downloaded { bytes, cut: true })));
                }
            }
            let refused = (!ok).then_some(Reply { status: head.status, headers: head.headers, body: beginning });
            Ok(Ok((refused, Downloaded { bytes, cut: false })))
        };
        match self.guarded(deadline, exchange).await {
            Err(passing) => Ok(Err(passing)),
            Ok(Err(error)) => Err(error),
            Ok(Ok((None, done))) => Ok(Ok(done)),
            Ok(Ok((Some(reply), _))) => match decided(reply, what) {
                Err(passing) => Ok(Err(passing)),
                Ok(Err(error)) => Err(error),
                Ok(Ok(_)) => Ok(Err(broken("a redirection leads nowhere"))),
            },
        }
    }
}
