//! A transcript, for people: what was asked, what the model said and called, what came of it, and what it cost.

use std::{
    collections::{HashMap, HashSet},
    fmt::Write as _,
    hash::{DefaultHasher, Hasher as _},
};

use console::style;
use jiff::Timestamp;
use serde_json::Value;

use super::fixed::folded;
use crate::{
    input::BadInput,
    llm::{
        Completion, Source, Usage,
        transcript::{Entry, Ledger, Line},
    },
    redact::{shown, shown_line},
};

/// More of one text is nothing for a terminal: the file itself has it.
const LONGEST_TEXT: usize = 20_000;

/// More of all is not.
const LARGEST: usize = 16 << 20;

/// Makes the text of a transcript readable.
///
/// # Errors
/// [`BadInput`] when it is none; the message names the line.
pub fn transcript(text: &str) -> Result<String, BadInput> {
    page(text, LARGEST)
}

fn page(text: &str, most: usize) -> Result<String, BadInput> {
    if text.trim().is_empty() {
        return Err(BadInput("the transcript is empty".to_owned()));
    }
    let mut page = Page::default();
    for (number, line) in text.split_inclusive('\n').enumerate() {
        match Line::parse(line.as_bytes()) {
            Ok(line) => page.entry(&line),
            Err(_) if number > 0 && !line.ends_with('\n') => page.warn("the last line was cut off: the run was killed"),
            Err(why) => return Err(BadInput(format!("line {} of the transcript: {}", number + 1, shown(&why, 300)))),
        }
        if page.text.len() > most {
            page.warn("cut here: the rest is in the file");
            break;
        }
    }
    page.end();
    Ok(page.text)
}

/// What is shown so far.
#[derive(Default)]
struct Page {
    text: String,
    requests: usize,
    ledger: Ledger,
    sent: HashMap<String, Timestamp>,
    /// Hashes of all beginnings of chats that were shown.
    chats: HashSet<u64>,
    /// Hashes of answers and results that were shown where they came in; the next request repeats them.
    heard: HashSet<u64>,
}

impl Page {
    fn entry(&mut self, line: &Line) {
        self.ledger.enter(&line.entry);
        match &line.entry {
            Entry::Start(start) => {
                let (model, url) = (shown_line(&start.model, 100), shown_line(&start.base_url, 200));
                let title = if self.text.is_empty() { "Transcript" } else { "Resumed" };
                self.line(&style(format!("{title}: {model} at {url}")).bold().underlined().to_string());
                let version = shown_line(&start.version, 50);
                let head = format!("  {}, test-repair {version}", line.at.strftime("%Y-%m-%d %H:%M:%S UTC"));
                self.line(&style(head).dim().to_string());
            }
            Entry::Request { key, step, body, .. } => {
                self.requests += 1;
                self.sent.insert(key.clone(), line.at);
                let title = style(format!("{}. {}", self.requests, shown_line(step, 100))).bold();
                let when = style(line.at.strftime("%H:%M:%S").to_string()).dim();
                self.line(&format!("\n{title}  {when}"));
                self.messages(body);
            }
            Entry::Answer(completion) => self.answer(completion, line.at),
            Entry::Failed { key, why, usage } => {
                let cost = usage.map(|usage| format!(" · {}", cost(&usage))).unwrap_or_default();
                let took = self.took(key, line.at);
                let failed = style("failed").red();
                self.line(&format!("  {failed}: {}{}", folded(why, 2000), style(cost + &took).dim()));
            }
            Entry::Tool { call, name, result, .. } => {
                self.heard.insert(hashed(&("tool", call, result)));
                self.block(&style(format!("{} says", shown_line(name, 100))).cyan().to_string(), result);
            }
            Entry::Verdict { step, verdict, reasons } => {
                let verdict = shown_line(verdict, 100);
                let verdict = match verdict.as_str() {
                    "accepted" => style(verdict).green(),
                    _ => style(verdict).yellow(),
                };
                self.line(&format!("  {} of {}: {verdict}", style("verdict").bold(), shown_line(step, 100)));
                for reason in reasons.iter().take(50) {
                    self.line(&format!("    - {}", folded(reason, 2000)));
                }
            }
            Entry::Note { text } => self.line(&style(format!("  note: {}", folded(text, 2000))).dim().to_string()),
            Entry::End { outcome, .. } => {
                let when = line.at.strftime("%H:%M:%S");
                self.line(&format!("\n{} {}  {}", style("Ended:").bold(), shown_line(outcome, 200), style(when).dim()));
            }
        }
    }

    /// The messages behind the longest beginning of the chat that an earlier request had.
    fn messages(&mut self, body: &Value) {
        let messages = body.get("messages").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let mut hash = 0;
        let beginnings: Vec<u64> = messages
            .iter()
            .map(|message| {
                hash = hashed(&(hash, message.to_string()));
                hash
            })
            .collect();
        let known = beginnings.iter().rposition(|hash| self.chats.contains(hash)).map_or(0, |last| last + 1);
        self.chats.extend(beginnings);
        if known > 0 {
            self.line(&style(format!("  after {known} message(s) that an earlier request had")).dim().to_string());
        }
        for message in &messages[known..] {
            self.message(message);
        }
    }

    fn message(&mut self, message: &Value) {
        let word = |field: &str| message.get(field).and_then(Value::as_str).unwrap_or_default();
        let calls = || message.get("tool_calls").and_then(Value::as_array).into_iter().flatten();
        let ids: Vec<&str> = calls().filter_map(|call| call.get("id")?.as_str()).collect();
        let heard = match word("role") {
            "assistant" => hashed(&("assistant", word("content"), ids)),
            "tool" => hashed(&("tool", word("tool_call_id"), word("content"))),
            _ => 0,
        };
        if self.heard.contains(&heard) {
            return;
        }
        let content = match message.get("content") {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        self.block(&style(shown_line(word("role"), 30)).cyan().to_string(), &content);
        for call in calls() {
            let function = |field: &str| call.pointer(&format!("/function/{field}")).and_then(Value::as_str);
            self.call(function("name").unwrap_or_default(), function("arguments").unwrap_or_default());
        }
    }

    fn answer(&mut self, completion: &Completion, at: Timestamp) {
        let ids: Vec<&str> = completion.tool_calls.iter().map(|call| call.id.as_str()).collect();
        self.heard.insert(hashed(&("assistant", completion.content.as_str(), ids)));
        let cost = match completion.source {
            Source::Endpoint => format!("{}{}", cost(&completion.usage), self.took(&completion.key, at)),
            Source::Cache => "from the cache, at no cost".to_owned(),
            Source::Transcript => "from the transcript, paid for before".to_owned(),
        };
        let finish = serde_json::to_value(completion.finish).unwrap_or_default();
        let how = format!("({}) · {cost}", finish.as_str().unwrap_or_default());
        if let Some(thoughts) = completion.reasoning.as_deref().filter(|t| !t.trim().is_empty()) {
            self.block(&style("thoughts").dim().to_string(), thoughts);
        }
        self.block(&format!("{} {}", style("answer").green(), style(how).dim()), &completion.content);
        for call in &completion.tool_calls {
            self.call(&call.name, &call.arguments);
        }
    }

    fn call(&mut self, name: &str, arguments: &str) {
        let arguments = folded(arguments, LONGEST_TEXT);
        self.line(&format!("  {} {} {arguments}", style("calls").cyan(), style(shown_line(name, 100)).bold()));
    }

    fn took(&self, key: &str, until: Timestamp) -> String {
        let seconds = self.sent.get(key).map(|from| until.duration_since(*from).as_secs_f64());
        seconds.filter(|seconds| *seconds >= 0.0).map(|seconds| format!(" · {seconds:.1} s")).unwrap_or_default()
    }

    fn end(&mut self) {
        let (paid, worst, _) = self.ledger.spent();
        self.line(&format!("\n{} {} request(s), {}", style("In all:").bold(), self.requests, cost(&paid)));
        if worst > 0.0 {
            self.warn(&format!("and at most ${worst:.4} for requests that never ended"));
        }
    }

    /// A foreign text below its title, indented, so that none of it can pose as the report.
    fn block(&mut self, title: &str, text: &str) {
        self.line(&format!("  {title}"));
        for line in shown(text.trim_end(), LONGEST_TEXT).lines() {
            let _ = writeln!(self.text, "    {line}");
        }
    }

    fn warn(&mut self, text: &str) {
        self.line(&style(format!("  {text}")).yellow().to_string());
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }
}

fn cost(usage: &Usage) -> String {
    format!(
        "{} prompt tokens ({} cached), {} completion tokens, ${:.6}",
        usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens, usage.cost_usd
    )
}

fn hashed(value: &impl std::hash::Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::transcript::Start;
    use proptest::prelude::*;
    use serde_json::json;

    /// A question, a failed try, an answer that calls a tool, and the answer after it.
    fn lines() -> Vec<String> {
        let system = json!({ "role": "system", "content": "You repair.\u{1b}[2J" });
        let user = json!({ "role": "user", "content": "1. It fails\n2. question" });
        let call = json!({ "id": "c1", "type": "function", "function": { "name": "read", "arguments": "{}" } });
        let calling = json!({ "role": "assistant", "content": "let me look", "tool_calls": [call] });
        let told = json!({ "role": "tool", "tool_call_id": "c1", "content": "x = 1" });
        let request = |key: &str, messages: Value| {
            json!({ "kind": "request", "key": key, "step": "question", "body": { "messages": messages },
                    "worst_usd": 0.5, "worst_tokens": 900 })
        };
        let usage = json!({ "calls": 1, "prompt_tokens": 100, "cached_tokens": 40, "completion_tokens": 7,
                            "cost_usd": 0.25 });
        let entries = [
            json!({ "kind": "start", "schema": 1, "version": "0.1.0", "model": "deepseek-flash",
                    "base_url": "http://x", "digest": "d" }),
            request("a", json!([system, user])),
            json!({ "kind": "failed", "key": "a", "why": "503", "usage": { "calls": 1, "prompt_tokens": 0,
                    "cached_tokens": 0, "completion_tokens": 0, "cost_usd": 0.0 } }),
            request("a", json!([system, user])),
            json!({ "kind": "answer", "key": "a", "content": "let me look", "reasoning": "hm",
                    "tool_calls": [{ "id": "c1", "name": "read", "arguments": "{\"path\": \"a.py\"}" }],
                    "finish": "tool_calls", "usage": usage, "source": "endpoint" }),
            json!({ "kind": "tool", "key": "a", "call": "c1", "name": "read", "arguments": "{}", "result": "x = 1" }),
            request("b", json!([system, user, calling, told])),
            json!({ "kind": "answer", "key": "b", "content": "done", "finish": "stop", "usage": usage,
                    "source": "endpoint" }),
            json!({ "kind": "verdict", "step": "question", "verdict": "refused", "reasons": ["a test was weakened"] }),
            json!({ "kind": "note", "text": "tired" }),
            request("c", json!("no list")),
            json!({ "kind": "end", "outcome": "no_fix_found", "usage": usage }),
        ];
        let line = |(second, mut entry): (usize, Value)| {
            entry["at"] = json!(format!("2026-11-22T20:20:{second:02}.5Z"));
            format!("{entry}\n")
        };
        entries.into_iter().enumerate().map(line).collect()
    }

    #[test]
    fn a_transcript_reads_as_a_story_and_says_nothing_twice() {
        let text = transcript(&lines().concat()).unwrap();
        let text = console::strip_ansi_codes(&text);
        for (part, times) in [
            ("Transcript: deepseek-flash at http://x", 1),
            ("You repair.", 1),
            ("1. question", 1),
            ("    2. question", 1), // the user's, indented
            ("\n2. question", 1),
            ("after 2 message(s)", 2),
            ("failed: 503", 1),
            ("let me look", 1),
            ("    hm\n", 1),
            ("calls read {\"path\": \"a.py\"}", 1),
            ("x = 1", 1),
            ("answer (stop) · 100 prompt tokens (40 cached), 7 completion tokens, $0.250000 · 1.0 s", 1),
            ("verdict of question: refused\n    - a test was weakened", 1),
            ("Ended: no_fix_found", 1),
            ("In all: 4 request(s), 200 prompt tokens (80 cached), 14 completion tokens, $0.500000", 1),
            ("at most $0.5000 for requests", 1),
        ] {
            assert_eq!(text.matches(part).count(), times, "{part}: {text}");
        }
        assert!(!text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn what_is_no_transcript_is_refused_by_its_line_and_a_line_that_was_cut_off_is_told() {
        let mut all = lines();
        assert!(transcript(" \n").is_err());
        assert!(transcript("hello\n").unwrap_err().0.starts_with("line 1 of"));
        all.insert(2, "{\"kind\":\"note\"}\n".to_owned());
        assert!(transcript(&all.concat()).unwrap_err().0.starts_with("line 3 of"));
        let text = lines().concat();
        assert!(transcript(&text[..text.len() - 3]).unwrap().contains("was cut off"));
        let newer = lines()[0].replace("\"schema\":1", "\"schema\":2");
        assert!(transcript(&newer).unwrap_err().0.contains("schema 2"));
    }

    #[test]
    fn a_huge_transcript_is_cut() {
        let text = page(&format!("{}{}", lines()[0], lines()[9].repeat(100)), 500).unwrap();
        assert!(text.len() < 1000 && text.contains("cut here"), "{text}");
    }

    #[test]
    fn the_first_start_is_what_the_writer_writes() {
        let written = serde_json::to_value(Entry::Start(Start::new("deepseek-flash", "http://x", "d"))).unwrap();
        let mut read: Value = serde_json::from_str(&lines()[0]).unwrap();
        read.as_object_mut().unwrap().remove("at");
        read["version"] = written["version"].clone();
        assert_eq!(read, written);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(?s).{0,300}") {
            let _ = transcript(&text);
        }

        #[test]
        fn no_damaged_transcript_makes_it_panic_or_lets_an_escape_through(
            at in 0..10_000_usize, length in 0..400_usize, with in "(?s).{0,8}",
        ) {
            let mut text = lines().concat();
            let at = text.floor_char_boundary(at % text.len());
            let end = text.floor_char_boundary((at + length).min(text.len()));
            text.replace_range(at..end.max(at), &with);
            if let Ok(text) = transcript(&text) {
                let plain = console::strip_ansi_codes(&text);
                prop_assert!(plain.chars().all(|c| c == '\n' || c == '\t' || !c.is_control()));
            }
        }

        #[test]
        fn no_message_of_any_shape_makes_it_panic(role in "(?s).{0,20}", content in "(?s).{0,40}", shape in 0..6) {
            let message = match shape {
                0 => json!({ "role": role, "content": content }),
                1 => json!({ "role": role, "content": [content] }),
                2 => json!({ "role": "assistant", "content": null, "tool_calls": [content, { "id": role }] }),
                3 => json!({ "role": "tool", "tool_call_id": 3, "content": content }),
                4 => json!(content),
                _ => json!([role, { "content": content }]),
            };
            let mut request: Value = serde_json::from_str(&lines()[1]).unwrap();
            request["body"]["messages"] = json!([message]);
            request["worst_usd"] = json!(-1e308);
            request["worst_tokens"] = json!(u64::MAX);
            let text = transcript(&format!("{0}{request}\n{request}\n{1}", lines()[0], lines()[2])).unwrap();
            prop_assert!(text.contains("In all"));
        }
    }
}
