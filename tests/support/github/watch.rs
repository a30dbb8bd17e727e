//! Looks for planted secrets in all that comes in.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    router::decoded,
    state::{Call, State},
};

/// Complains of every secret in a request. The token belongs into `Authorization`, if this is the right host for it.
pub(crate) fn leaks(state: &mut State, call: &Call, right_host: bool) {
    let secrets: Vec<String> = state.secrets.iter().cloned().chain([state.token.clone()]).collect();
    for secret in secrets {
        if let Some(place) = leak(&secret, call, right_host && secret == state.token) {
            let shown: String = secret.chars().take(8).collect();
            state.complaints.push(format!("the secret {shown}… leaked in {place} of {} {}", call.method, call.path));
        }
    }
}

fn leak(secret: &str, call: &Call, authorized: bool) -> Option<String> {
    if shows(&call.path, secret) || shows(&decoded(&call.path), secret) {
        return Some("the path".to_owned());
    }
    if let Some((name, _)) = call.query.iter().find(|(name, value)| shows(name, secret) || shows(value, secret)) {
        return Some(format!("the query ({name})"));
    }
    for (name, value) in &call.headers {
        if (name == "authorization" && authorized) || !shows(value, secret) && !shows(&plain(value), secret) {
            continue;
        }
        return Some(format!("the header {name}"));
    }
    let body = String::from_utf8_lossy(&call.bytes);
    let contents = call.body["content"].as_str().map(plain).unwrap_or_default();
    // JSON may write a secret's characters otherwise.
    let read = texts(&call.body);
    let found = shows(&body, secret) || shows(&contents, secret) || read.iter().any(|text| shows(text, secret));
    found.then(|| "the body".to_owned())
}

/// Is the secret in the text, plainly or in base64?
pub(crate) fn shows(text: &str, secret: &str) -> bool {
    // Without the end, which depends on what follows.
    let coded = STANDARD.encode(secret);
    let coded = &coded[..coded.len() - 4];
    text.contains(secret) || coded.len() >= 12 && text.contains(coded)
}

/// What is in base64, whether with a word (`Basic`) before it or not.
fn plain(value: &str) -> String {
    let coded: String = value.rsplit(' ').next().unwrap_or_default().split_whitespace().collect();
    STANDARD.decode(coded).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

fn texts(value: &serde_json::Value) -> Vec<String> {
    use serde_json::Value;
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        Value::Object(entries) => entries.values().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}
