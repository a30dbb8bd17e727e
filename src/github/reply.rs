//! What GitHub answered: decided, or to be asked again; its words, and the value in it.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::GitHubError;
use crate::{
    redact::{redact, shown_line},
    retry,
};

/// An answer.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// Why a try brought no answer that decides.
pub(super) struct Passing {
    pub(super) why: String,
    /// How long to wait, where GitHub says it.
    pub(super) pause: Option<Duration>,
    /// Surely nothing was done.
    pub(super) idle: bool,
}

pub(super) fn broken(why: &str) -> Passing {
    Passing { why: shown_line(why, 300), pause: None, idle: false }
}

/// What an answer's status means: the answer, an error, or that it may pass.
pub(super) fn decided(reply: Reply, what: &str) -> Result<Result<Reply, GitHubError>, Passing> {
    if reply.status.is_success() {
        return Ok(Ok(reply));
    }
    let (message, what) = (message(&reply.body), what.to_owned());
    let status = reply.status.as_u16();
    if matches!(status, 403 | 429)
        && let Some(pause) = limit(&reply.headers, &message, status)
    {
        return Err(Passing { why: format!("rate limit: {message}"), pause: Some(pause), idle: true });
    }
    Ok(Err(match status {
        401 => GitHubError::Unauthorized,
        403 => GitHubError::Forbidden { what, message },
        404 => GitHubError::NotFound { what },
        410 => GitHubError::Gone { what },
        409 | 422 => GitHubError::Conflict { what, status, message },
        _ => GitHubError::Unavailable { what, why: format!("it answers {status}: {message}") },
    }))
}

/// How long a rate limit asks to wait; `None` where it is none.
fn limit(headers: &HeaderMap, message: &str, status: u16) -> Option<Duration> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(asked) = header("retry-after").and_then(|value| retry::retry_after(value, SystemTime::now())) {
        return Some(asked);
    }
    if header("x-ratelimit-remaining") == Some("0") {
        let reset = header("x-ratelimit-reset").and_then(|value| value.trim().parse::<u64>().ok())?;
        let reset = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(reset))?;
        return Some(reset.duration_since(SystemTime::now()).unwrap_or_default() + Duration::from_secs(1));
    }
    // GitHub's advice for a secondary limit that says no time: at least a minute.
    (status == 429 || message.to_lowercase().contains("rate limit")).then_some(Duration::from_secs(60))
}

/// GitHub's `message`, and the messages of its `errors`.
fn message(body: &[u8]) -> String {
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        return shown_line(&redact(&String::from_utf8_lossy(&body[..body.len().min(2000)])), 300);
    };
    let mut words: Vec<String> = value["message"].as_str().map(str::to_owned).into_iter().collect();
    for error in value["errors"].as_array().into_iter().flatten().take(5) {
        let said = error.as_str().or(error["message"].as_str()).map(str::to_owned);
        let coded = || Some(format!("{} {}", error["field"].as_str()?, error["code"].as_str()?));
        words.extend(said.or_else(coded));
    }
    shown_line(&redact(&words.join("; ")), 500)
}

pub(super) fn read<T: DeserializeOwned>(reply: &Reply, what: &str) -> Result<T, GitHubError> {
    // 204, and 201 and 202 of some calls, have no body.
    let body: &[u8] = if reply.body.iter().all(u8::is_ascii_whitespace) { b"null" } else { &reply.body };
    serde_json::from_slice(body).map_err(|error| unreadable(what, &error))
}

pub(super) fn unreadable(what: &str, error: &serde_json::Error) -> GitHubError {
    GitHubError::Unusable(format!("{what}: GitHub's answer is not what its documentation says: {error}"))
}

/// An error's own words and those of its causes: octocrab's own say only "GitHub" or "Hyper".
pub(super) fn causes(error: &dyn std::error::Error) -> String {
    let mut words = vec![error.to_string()];
    let mut source = error.source();
    while let Some(cause) = source.filter(|_| words.len() < 6) {
        let said = cause.to_string();
        if !words.contains(&said) {
            words.push(said);
        }
        source = cause.source();
    }
    redact(&words.join(": "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(k, v)| (k.parse::<http::HeaderName>().unwrap(), v.parse().unwrap())).collect()
    }

    #[test]
    fn a_rate_limit_is_told_from_a_missing_permission() {
        let permission = "Resource not accessible by integration";
        assert_eq!(limit(&headers(&[("x-ratelimit-remaining", "4000")]), permission, 403), None);
        assert_eq!(limit(&headers(&[("retry-after", "7")]), permission, 403), Some(Duration::from_secs(7)));
        assert_eq!(
            limit(&HeaderMap::new(), "You have exceeded a secondary rate limit", 403),
            Some(Duration::from_secs(60))
        );
        let past = headers(&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1700000000")]);
        assert_eq!(limit(&past, "API rate limit exceeded", 403), Some(Duration::from_secs(1)));
    }

    #[test]
    fn what_github_says_is_read_with_its_errors() {
        let body = br#"{"message":"Validation Failed","errors":[{"message":"A pull request already exists for o:b."},{"resource":"PullRequest","code":"invalid","field":"head"}]}"#;
        assert_eq!(message(body), "Validation Failed; A pull request already exists for o:b.; head invalid");
    }

    proptest! {
        #[test]
        fn no_answer_panics(body in prop::collection::vec(any::<u8>(), 0..300), status in 100u16..600, after in "[ -~]{0,30}") {
            let mut map = HeaderMap::new();
            map.insert("retry-after", after.parse().unwrap());
            if let Ok(status) = StatusCode::from_u16(status) {
                let _ = decided(Reply { status, headers: map, body }, "x");
            }
        }
    }
}
