//! cassette: what an endpoint answered, recorded at the HTTP layer and replayed without one. A question that the cassette
//! does not know is an error that says what changed: a replay never guesses.

use std::{
    fs::File,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::{Timestamp, Unit};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use similar::TextDiff;

use super::{
    LlmError,
    lines::{self, InOrder, Lines, Redact},
};
use crate::redact::{shown, shown_line};

/// The cassettes that this version writes and reads.
const FORMAT: u32 = 1;

/// More of a message is not compared.
const COMPARED: usize = 200_000;

/// A difference is shown in so many lines.
const MOST_LINES: usize = 40;

/// What an endpoint answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// The HTTP status.
    pub status: u16,
    /// `text/event-stream`, or what it said.
    pub content_type: String,
    /// The text, as it came over the wire, redacted.
    pub body: String,
}

/// A recording that is made, or replayed.
pub enum Cassette {
    /// The file was not there.
    Recording(Recording),
    /// It was.
    Replaying(Replaying),
}

impl Cassette {
    /// Replays the file where it exists, records to it where it does not.
    ///
    /// # Errors
    /// [`LlmError::Cassette`] when it is none, or one of another model; [`LlmError::Record`] when it can't be made.
    pub fn open(path: &Path, model: &str, redact: Redact) -> Result<Cassette, LlmError> {
        if path.exists() {
            return Replaying::open(path, model).map(Cassette::Replaying);
        }
        let made = Lines::create(path, redact).and_then(|lines| {
            let now = Timestamp::now();
            let recorded = now.round(Unit::Second).unwrap_or(now);
            let (model, test_repair) = (model.to_owned(), env!("CARGO_PKG_VERSION").to_owned());
            lines.append(&Header { cassette: FORMAT, model, recorded, test_repair }, true)?;
            Ok(lines)
        });
        let lines = made.map_err(|e| LlmError::Record(format!("the cassette {e}")))?;
        Ok(Cassette::Recording(Recording { lines }))
    }
}

/// Its first line.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Header {
    cassette: u32,
    model: String,
    recorded: Timestamp,
    test_repair: String,
}

/// Every other line.
#[derive(Debug, Serialize, Deserialize)]
struct Take {
    key: String,
    request: Value,
    #[serde(flatten)]
    answer: Recorded,
}

/// A cassette that is made.
pub struct Recording {
    lines: Lines,
}

impl Recording {
    /// Adds an answer.
    ///
    /// # Errors
    /// [`LlmError::Record`] when it can't be written.
    pub fn record(&self, key: &str, request: &Value, answer: &Recorded) -> Result<(), LlmError> {
        let take = Take { key: key.to_owned(), request: request.clone(), answer: answer.clone() };
        self.lines.append(&take, true).map_err(|e| LlmError::Record(format!("the cassette {e}")))
    }
}

/// A cassette that is replayed.
pub struct Replaying {
    path: PathBuf,
    header: Header,
    requests: Vec<Value>,
    answers: InOrder<Recorded>,
}

impl Replaying {
    fn open(path: &Path, model: &str) -> Result<Replaying, LlmError> {
        let unusable = |why: String| LlmError::Cassette(format!("the cassette cannot be replayed: {why}"));
        let says = |e: std::io::Error| unusable(format!("{}: {e}", path.display()));
        if !path.metadata().map_err(says)?.is_file() {
            return Err(unusable(format!("{} is no regular file", path.display())));
        }
        let file = File::open(path).map_err(says)?;
        let (mut header, mut requests, answers) = (None::<Header>, Vec::new(), InOrder::new());
        let none = |e: serde_json::Error| format!("it is no line of a cassette ({})", shown_line(&e.to_string(), 200));
        // What a killed recording left half written was no answer yet.
        let each = |line: &[u8]| {
            if header.is_none() {
                let found: Header = serde_json::from_slice(line).map_err(none)?;
                if found.cassette != FORMAT {
                    return Err(format!("it has format {}; this version knows {FORMAT}", found.cassette));
                }
                header = Some(found);
            } else {
                let take: Take = serde_json::from_slice(line).map_err(none)?;
                answers.push(&take.key, take.answer);
                requests.push(take.request);
            }
            Ok(())
        };
        lines::read(path, &file, each).map_err(unusable)?;
        let anew = format!("delete {} to record anew", path.display());
        let Some(header) = header else { return Err(unusable(format!("it is empty; {anew}"))) };
        if header.model != model {
            let theirs = shown_line(&header.model, 100);
            return Err(unusable(format!("it was recorded from {theirs} on {}, not {model}; {anew}", header.recorded)));
        }
        Ok(Replaying { path: path.to_owned(), header, requests, answers })
    }

    /// The answer to a request. Where it was recorded several times, its answers come in their order, then the last again.
    ///
    /// # Errors
    /// [`LlmError::Cassette`] when the cassette does not know it: the message has what changed.
    pub fn replay(&self, key: &str, request: &Value) -> Result<Recorded, LlmError> {
        self.answers.next(key).ok_or_else(|| {
            LlmError::Cassette(format!(
                "the cassette {path} (model {model}, recorded {when}) does not know this request: the prompt changed \
                 since it was recorded. Delete {path} to record it anew.\n{what}",
                path = self.path.display(),
                model = shown_line(&self.header.model, 100),
                when = self.header.recorded,
                what = what_changed(&self.requests, request),
            ))
        })
    }
}

/// The first difference from the request that is most like it: `-` was recorded, `+` is asked now.
fn what_changed(recorded: &[Value], now: &Value) -> String {
    // Of equally long common beginnings, the one whose next message is of about the same length.
    let length = |request: &Value, number| messages(request).get(number).map_or(0, |m| message(m).len());
    let likeness = |old: &&Value| {
        let shared = shared_messages(old, now);
        (shared, std::cmp::Reverse(length(old, shared).abs_diff(length(now, shared))))
    };
    let Some(nearest) = recorded.iter().max_by_key(likeness) else {
        return "It holds no request at all.".to_owned();
    };
    let shared = shared_messages(nearest, now);
    let (what, old, new) = match (messages(nearest).get(shared), messages(now).get(shared)) {
        (None, None) => ("What differs beside the messages".to_owned(), settings(nearest), settings(now)),
        (old, new) => (
            format!("The first message that differs, number {}", shared + 1),
            old.map_or_else(String::new, message),
            new.map_or_else(String::new, message),
        ),
    };
    let mut diff = TextDiff::configure();
    diff.timeout(Duration::from_secs(2));
    let text = diff.diff_lines(&old, &new).unified_diff().context_radius(1).to_string();
    if text.is_empty() {
        return "A recorded request is the same to the letter: its key has changed, as with another --model-url."
            .to_owned();
    }
    let mut said = format!("{what} (`-` recorded, `+` now):\n");
    let mut lines = text.lines();
    for line in lines.by_ref().take(MOST_LINES) {
        said.push_str(&format!("  {}\n", shown(line, 200)));
    }
    if lines.next().is_some() {
        said.push_str("  …\n");
    }
    said
}

fn messages(request: &Value) -> &[Value] {
    request.get("messages").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn shared_messages(a: &Value, b: &Value) -> usize {
    messages(a).iter().zip(messages(b)).take_while(|(a, b)| a == b).count()
}

/// A message in lines: its text as it reads, the rest as JSON.
fn message(message: &Value) -> String {
    match message.get("content").and_then(Value::as_str) {
        Some(text) => format!("{}\n{}\n", without(message, "content"), start(text)),
        None => without(message, ""),
    }
}

/// All of a request but its messages.
fn settings(request: &Value) -> String {
    without(request, "messages")
}

/// The object's other fields, a line each.
fn without(object: &Value, left_out: &str) -> String {
    let fields = object.as_object().into_iter().flatten().filter(|(name, _)| *name != left_out);
    let fields: serde_json::Map<_, _> = fields.map(|(name, value)| (name.clone(), value.clone())).collect();
    start(&serde_json::to_string_pretty(&fields).unwrap_or_default())
}

fn start(text: &str) -> String {
    text.chars().take(COMPARED).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;
    use std::{fs, os::unix::fs::PermissionsExt as _, sync::Arc};

    fn redact() -> Redact {
        Arc::new(|text: &str| text.replace("hunter2", "[secret]"))
    }

    fn recording(path: &Path) -> Recording {
        match Cassette::open(path, "deepseek-flash", redact()).unwrap() {
            Cassette::Recording(recording) => recording,
            Cassette::Replaying(_) => panic!("it is replayed"),
        }
    }

    fn replaying(path: &Path, model: &str) -> Result<Replaying, LlmError> {
        match Cassette::open(path, model, redact())? {
            Cassette::Replaying(replaying) => Ok(replaying),
            Cassette::Recording(_) => panic!("it is recorded"),
        }
    }

    fn chat(messages: &[&str]) -> Value {
        let messages: Vec<Value> = messages.iter().map(|text| json!({ "role": "user", "content": text })).collect();
        json!({ "model": "deepseek-flash", "max_tokens": 100, "messages": messages })
    }

    fn said(status: u16, body: &str) -> Recorded {
        Recorded { status, content_type: "text/event-stream".to_owned(), body: body.to_owned() }
    }

    /// `a` is answered twice, `b` once.
    fn recorded(path: &Path) {
        let tape = recording(path);
        tape.record("a", &chat(&["system", "one\ntwo\nthree"]), &said(503, "busy")).unwrap();
        tape.record("a", &chat(&["system", "one\ntwo\nthree"]), &said(200, "data: {\"a\": 1}\n\n")).unwrap();
        tape.record("b", &chat(&["other", "hunter2"]), &said(200, "hunter2")).unwrap();
    }

    #[test]
    fn what_was_recorded_is_replayed_in_its_order_and_the_last_answer_again() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("cassette.jsonl");
        recorded(&path);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!fs::read_to_string(&path).unwrap().contains("hunter2"));
        let tape = replaying(&path, "deepseek-flash").unwrap();
        let again = replaying(&path, "deepseek-flash").unwrap(); // by two at once
        for expected in [said(503, "busy"), said(200, "data: {\"a\": 1}\n\n"), said(200, "data: {\"a\": 1}\n\n")] {
            assert_eq!(tape.replay("a", &Value::Null).unwrap(), expected);
        }
        assert_eq!(again.replay("a", &Value::Null).unwrap(), said(503, "busy"));
        assert_eq!(tape.replay("b", &Value::Null).unwrap(), said(200, "[secret]"));
    }

    #[test]
    fn a_changed_prompt_fails_loudly_and_shows_what_changed() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("cassette.jsonl");
        recorded(&path);
        let tape = replaying(&path, "deepseek-flash").unwrap();
        let says = |request: &Value| match tape.replay("new", request) {
            Err(LlmError::Cassette(why)) => why,
            other => panic!("{other:?}"),
        };
        let why = says(&chat(&["system", "one\n2\u{1b}[2J\nthree"]));
        for part in ["deepseek-flash, recorded 20", "prompt changed", "Delete ", "number 2", "-two", "+2[2J", " one"] {
            assert!(why.contains(part), "{part}: {why}");
        }
        assert!(!why.contains("other") && !why.contains('\u{1b}'), "{why}");
        let why = says(&chat(&["system", "one\ntwo\nthree", "more"]));
        assert!(why.contains("number 3") && why.contains("+more") && !why.contains("\n  -"), "{why}");
        let mut request = chat(&["system", "one\ntwo\nthree"]);
        request["max_tokens"] = json!(200);
        let why = says(&request);
        assert!(why.contains("beside the messages") && why.contains("-  \"max_tokens\": 100"), "{why}");
        let why = says(&chat(&["system", "one\ntwo\nthree"]));
        assert!(why.contains("the same to the letter"), "{why}");
        let why = says(&chat(&["system", &"long\n".repeat(1000)]));
        assert!(why.lines().count() < 50 && why.contains('…'), "{why}");
    }

    #[test]
    fn a_cassette_of_another_model_or_none_at_all_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("cassette.jsonl");
        recorded(&path);
        let why = replaying(&path, "pro").err().unwrap().to_string();
        assert!(why.contains("recorded from deepseek-flash on 20") && why.contains("not pro"), "{why}");
        let text = fs::read_to_string(&path).unwrap();
        let damaged = text.replacen("\"status\":200", "\"status\":\"x\"", 1);
        for (text, part) in [
            ("", "is empty"),
            (
                "{\"cassette\":2,\"model\":\"m\",\"recorded\":\"2026-01-01T00:00:00Z\",\"test_repair\":\"1\"}\n",
                "format 2",
            ),
            ("hello\n", "line 1: it is no line of a cassette"),
            (&damaged, "line 3: it is no line of a cassette"),
        ] {
            fs::write(&path, text).unwrap();
            let why = replaying(&path, "deepseek-flash").err().unwrap();
            assert!(matches!(&why, LlmError::Cassette(why) if why.contains(part)), "{part}: {why}");
        }
        assert!(matches!(Cassette::open(place.path(), "m", redact()), Err(LlmError::Cassette(_))));
        let nowhere = place.path().join("no/where");
        assert!(matches!(Cassette::open(&nowhere, "m", redact()), Err(LlmError::Record(_))));
        // A recording that was killed knows what it had.
        fs::write(&path, &text[..text.len() - 2]).unwrap();
        let tape = replaying(&path, "deepseek-flash").unwrap();
        assert!(tape.replay("a", &Value::Null).is_ok() && tape.replay("b", &Value::Null).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_request_and_no_damage_makes_a_replay_panic(
            content in "(?s).{0,60}", at in 0..2000_usize, bytes in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            let place = tempfile::tempdir().unwrap();
            let path = place.path().join("cassette.jsonl");
            recorded(&path);
            let tape = replaying(&path, "deepseek-flash").unwrap();
            for request in [chat(&[&content]), json!({ "messages": [content, [content]] }), json!(content)] {
                prop_assert!(tape.replay("new", &request).is_err());
            }
            let mut text = fs::read(&path).unwrap();
            let at = at % text.len();
            let end = (at + bytes.len()).min(text.len());
            text.splice(at..end, bytes);
            fs::write(&path, text).unwrap();
            if let Ok(tape) = replaying(&path, "deepseek-flash") {
                let _ = tape.replay("a", &Value::Null);
            }
        }
    }
}
