//! wire: the JSON of OpenAI's chat format, with DeepSeek's fields. What is sent is redacted here, string by string; what
//! comes back may be anything, so it is read leniently and never trusted.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::chat::{Finish, Message, Prompt, Role, Tool, ToolCall};

/// More calls in one answer than any model makes.
const MOST_CALLS: usize = 128;
/// More tokens than any endpoint counts: a larger number is no count.
const MOST_TOKENS: u64 = 1 << 32;

/// Takes the secrets out of a text.
pub(super) type Redactor = dyn Fn(&str) -> String + Send + Sync;

/// What a request says apart from the prompt.
pub(super) struct Asked<'a> {
    pub(super) model: &'a str,
    /// Fields that only DeepSeek knows.
    pub(super) deepseek: bool,
    pub(super) effort: Option<&'a str>,
    pub(super) user: Option<&'a str>,
}

/// The body of a request, redacted.
pub(super) fn request(prompt: &Prompt, asked: &Asked<'_>, redact: &Redactor) -> Value {
    let mut body = json!({
        "model": asked.model,
        "messages": prompt.messages.iter().map(|each| message(each, redact)).collect::<Vec<_>>(),
        "max_tokens": prompt.max_tokens.max(1),
        "stream": true,
        "stream_options": {"include_usage": true},
    });
    if !prompt.tools.is_empty() {
        body["tools"] = prompt.tools.iter().map(|each| tool(each, redact)).collect();
    }
    if asked.deepseek {
        match asked.effort {
            Some("none") => body["thinking"] = json!({"type": "disabled"}),
            Some(effort) => {
                body["thinking"] = json!({"type": "enabled"});
                body["reasoning_effort"] = json!(effort);
            }
            None => {}
        }
        if let Some(user) = asked.user {
            body["user_id"] = json!(user);
        }
    }
    body
}

/// The same request with another limit.
pub(super) fn with_max_tokens(body: &Value, max_tokens: u32) -> Value {
    let mut body = body.clone();
    body["max_tokens"] = json!(max_tokens);
    body
}

fn message(message: &Message, redact: &Redactor) -> Value {
    let role = match message.role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    };
    let mut said = json!({"role": role, "content": redact(&message.content)});
    if let Some(reasoning) = &message.reasoning {
        said["reasoning_content"] = json!(redact(reasoning));
    }
    // Ids are the endpoint's own words: they stay, so that calls and answers still belong together.
    if !message.tool_calls.is_empty() {
        let call = |call: &ToolCall| {
            let function = json!({"name": redact(&call.name), "arguments": arguments(&call.arguments, redact)});
            json!({"id": call.id, "type": "function", "function": function})
        };
        said["tool_calls"] = message.tool_calls.iter().map(call).collect();
    }
    if let Some(id) = &message.answers {
        said["tool_call_id"] = json!(id);
    }
    said
}

fn tool(tool: &Tool, redact: &Redactor) -> Value {
    let parameters = redacted(&tool.parameters, redact);
    let function =
        json!({"name": redact(&tool.name), "description": redact(&tool.description), "parameters": parameters});
    json!({"type": "function", "function": function})
}

/// Arguments as they may be sent. Endpoints refuse a whole chat for one call whose arguments are no JSON, so such ones
/// are wrapped; others stay to the letter (a cached prefix is one) unless there is a secret in them.
fn arguments(said: &str, redact: &Redactor) -> String {
    match serde_json::from_str::<Value>(said) {
        Ok(value) => {
            let clean = redacted(&value, redact);
            if clean == value && redact(said) == said { said.to_owned() } else { clean.to_string() }
        }
        Err(_) if said.trim().is_empty() => "{}".to_owned(),
        Err(_) => json!({"not_json": redact(said)}).to_string(),
    }
}

/// Every string of a value, redacted: keys too.
fn redacted(value: &Value, redact: &Redactor) -> Value {
    match value {
        Value::String(text) => Value::String(redact(text)),
        Value::Array(values) => values.iter().map(|each| redacted(each, redact)).collect(),
        Value::Object(map) => {
            Value::Object(map.iter().map(|(key, value)| (redact(key), redacted(value, redact))).collect::<Map<_, _>>())
        }
        other => other.clone(),
    }
}

/// Tokens, as an endpoint counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub struct Tokens {
    /// Cached ones included.
    pub prompt: u64,
    pub cached: u64,
    pub completion: u64,
}

/// An answer as far as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Said {
    /// The text.
    pub content: String,
    /// The thoughts.
    pub reasoning: String,
    /// By their index.
    calls: BTreeMap<u64, ToolCall>,
    /// `finish_reason`, as it stands there.
    pub finish: Option<String>,
    /// The usage block.
    pub tokens: Option<Tokens>,
    /// Was its end seen?
    pub complete: bool,
}

impl Said {
    /// Takes in a chunk of a stream, or a whole answer. Did it say anything? The error is what the endpoint complains
    /// of, or what can't be read.
    pub(super) fn absorb(&mut self, chunk: &Value) -> Result<bool, String> {
        match chunk.get("error") {
            None | Some(Value::Null) => {}
            Some(_) => return Err(complaint(chunk).unwrap_or_else(|| "an error without words".to_owned())),
        }
        let mut news = false;
        if let Some(tokens) = chunk.get("usage").and_then(tokens) {
            self.tokens = Some(tokens);
            news = true;
        }
        let choice = chunk.get("choices").and_then(Value::as_array).and_then(|choices| choices.first());
        let Some(choice) = choice.filter(|choice| choice.get("index").and_then(Value::as_u64).unwrap_or(0) == 0) else {
            return Ok(news);
        };
        if let Some(delta) = ["delta", "message"].iter().find_map(|name| choice.get(name)) {
            news |= text(delta.get("content"), &mut self.content);
            let reasoning = ["reasoning_content", "reasoning"].iter().find_map(|name| delta.get(name));
            news |= text(reasoning, &mut self.reasoning);
            for call in delta.get("tool_calls").and_then(Value::as_array).into_iter().flatten() {
                news |= self.absorb_call(call)?;
            }
        }
        if let Some(finish) = choice.get("finish_reason").and_then(Value::as_str) {
            self.finish = Some(finish.chars().take(64).collect());
            self.complete = true;
            news = true;
        }
        Ok(news)
    }

    fn absorb_call(&mut self, said: &Value) -> Result<bool, String> {
        let id = said.get("id").and_then(Value::as_str).filter(|id| !id.is_empty());
        let last = self.calls.last_key_value().map(|(index, _)| *index);
        // Some endpoints give no index: an id begins a call then.
        let index = said.get("index").and_then(Value::as_u64).unwrap_or_else(|| match (id, last) {
            (Some(_), Some(last)) => last.saturating_add(1),
            (None, Some(last)) => last,
            (_, None) => 0,
        });
        if self.calls.len() >= MOST_CALLS && !self.calls.contains_key(&index) {
            return Err(format!("it calls more than {MOST_CALLS} tools at once"));
        }
        let call = self.calls.entry(index).or_insert_with(|| ToolCall {
            id: String::new(),
            name: String::new(),
            arguments: String::new(),
        });
        let mut news = false;
        if let Some(id) = id.filter(|_| call.id.is_empty()) {
            call.id = id.to_owned();
            news = true;
        }
        let function = said.get("function");
        let name = function.and_then(|function| function.get("name")).and_then(Value::as_str);
        if let Some(name) = name.filter(|name| !name.is_empty() && call.name.is_empty()) {
            call.name = name.to_owned();
            news = true;
        }
        match function.and_then(|function| function.get("arguments")) {
            Some(Value::String(piece)) if !piece.is_empty() => call.arguments.push_str(piece),
            // Against the format, but seen: the arguments as they are, not as a string.
            Some(whole @ Value::Object(_)) => call.arguments.push_str(&whole.to_string()),
            _ => return Ok(news),
        }
        Ok(true)
    }

    /// The tools that it calls, in order.
    pub fn tool_calls(&self) -> Vec<ToolCall> {
        let numbered = |(index, call): (&u64, &ToolCall)| match call.id.is_empty() {
            true => ToolCall { id: format!("call_{index}"), ..call.clone() },
            false => call.clone(),
        };
        self.calls.iter().map(numbered).collect()
    }

    /// Nothing but white space, and no tool is called.
    pub fn is_blank(&self) -> bool {
        self.content.trim().is_empty() && self.calls.is_empty()
    }

    /// Did it end before it was whole: cut on the wire, or by an endpoint that ran out of resources?
    pub fn is_cut(&self) -> bool {
        !self.complete || self.finish.as_deref() == Some("insufficient_system_resource")
    }

    /// Why it ended.
    pub fn finish(&self) -> Finish {
        match self.finish.as_deref() {
            Some("length") => Finish::Length,
            Some("stop" | "tool_calls" | "function_call") | None if self.calls.is_empty() => Finish::Stop,
            Some("stop" | "tool_calls" | "function_call") | None => Finish::ToolCalls,
            Some(_) => Finish::Other,
        }
    }
}

/// What an endpoint complains of: `{"error": {"message": …}}`, and its cousins.
pub(super) fn complaint(body: &Value) -> Option<String> {
    let error = body.get("error").filter(|error| !error.is_null()).unwrap_or(body);
    let words = [error.get("message"), error.get("detail"), body.get("message"), Some(error)];
    let words = words.into_iter().flatten().find_map(Value::as_str).map(str::to_owned);
    words.or_else(|| body.get("error").map(Value::to_string))
}

/// Does it complain of a balance that is used up? Some say that by a 429, where no waiting helps.
pub(super) fn is_out_of_quota(body: &Value) -> bool {
    let says = |name| body.pointer(name).and_then(Value::as_str) == Some("insufficient_quota");
    says("/error/code") || says("/error/type")
}

/// Appends a text; content may also be a list of parts.
fn text(value: Option<&Value>, to: &mut String) -> bool {
    let before = to.len();
    match value {
        Some(Value::String(piece)) => to.push_str(piece),
        Some(Value::Array(parts)) => {
            parts.iter().filter_map(|part| part.get("text")?.as_str()).for_each(|piece| to.push_str(piece));
        }
        _ => {}
    }
    to.len() > before
}

/// A usage block: DeepSeek names its cache's hits at the top, OpenAI below.
fn tokens(usage: &Value) -> Option<Tokens> {
    let count = |value: Option<&Value>| value.and_then(Value::as_u64).filter(|count| *count <= MOST_TOKENS);
    let prompt = count(usage.get("prompt_tokens"))?;
    let completion = count(usage.get("completion_tokens"))?;
    let cached = count(usage.get("prompt_cache_hit_tokens"))
        .or_else(|| count(usage.get("prompt_tokens_details")?.get("cached_tokens")))
        .unwrap_or(0);
    Some(Tokens { prompt, cached: cached.min(prompt), completion })
}

#[cfg(test)]
#[path = "tests/wire.rs"]
mod tests;
