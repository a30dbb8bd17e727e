use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf, sync::Arc};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::llm::{Finish, ToolCall};

const SECRET: &str = "hunter2";

fn redact() -> Redact {
    Arc::new(|text: &str| text.replace(SECRET, "[secret]"))
}

fn start() -> Start {
    Start::new("deepseek-flash", "https://api.deepseek.com", "digest")
}

fn usage(cost_usd: f64) -> Usage {
    Usage { calls: 1, prompt_tokens: 100, cached_tokens: 10, completion_tokens: 20, cost_usd }
}

fn answer(key: &str, cost_usd: f64, source: Source) -> Completion {
    let call = ToolCall { id: "c1".to_owned(), name: "read".to_owned(), arguments: "{}".to_owned() };
    Completion {
        key: key.to_owned(),
        content: format!("answer to {key} é"),
        reasoning: Some("hm".to_owned()),
        tool_calls: vec![call],
        finish: Finish::ToolCalls,
        usage: usage(cost_usd),
        source,
    }
}

fn request(key: &str) -> Entry {
    let body = json!({ "model": "m", "messages": [{ "role": "user", "content": "why\n\"é\"?" }] });
    Entry::Request { key: key.to_owned(), step: "loop".to_owned(), body, worst_usd: 1.0, worst_tokens: 1000 }
}

fn failed(key: &str, usage: Option<Usage>) -> Entry {
    Entry::Failed { key: key.to_owned(), why: "503".to_owned(), usage }
}

fn tool(key: &str, result: &str) -> Entry {
    let [key, call, name, arguments, result] = [key, "c1", "read", "{}", result].map(str::to_owned);
    Entry::Tool { key, call, name, arguments, result }
}

/// One entry of each kind.
fn story() -> Vec<Entry> {
    vec![
        Entry::Start(start()),
        request("a"),
        failed("a", None),
        request("a"),
        failed("a", Some(usage(0.25))),
        request("a"),
        Entry::Answer(answer("a", 0.5, Source::Endpoint)),
        tool("a", "x = 1"),
        request("b"),
        Entry::Answer(answer("b", 0.125, Source::Endpoint)),
        Entry::Answer(answer("c", 0.75, Source::Cache)),
        Entry::Verdict { step: "loop".to_owned(), verdict: "refused".to_owned(), reasons: vec!["it is".to_owned()] },
        Entry::Note { text: "a note".to_owned() },
        Entry::End { outcome: "fixed".to_owned(), usage: usage(0.875) },
    ]
}

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Place {
        Place(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("transcript.jsonl")
    }

    fn written(entries: &[Entry]) -> Place {
        let place = Place::new();
        let transcript = Transcript::create(&place.path(), redact()).unwrap();
        entries.iter().for_each(|entry| transcript.append(entry).unwrap());
        place
    }

    fn resume(&self) -> Result<Transcript, LlmError> {
        Transcript::resume(&self.path(), redact())
    }
}

#[test]
fn a_transcript_that_is_cut_anywhere_is_resumed_with_every_answer_whose_line_is_whole_and_never_spends_less() {
    let story = story();
    let place = Place::written(&story);
    let text = fs::read(place.path()).unwrap();
    for cut in 0..=text.len() {
        fs::write(place.path(), &text[..cut]).unwrap();
        let whole = text[..cut].iter().filter(|b| **b == b'\n').count();
        let resumed = place.resume().unwrap_or_else(|e| panic!("{cut}: {e}"));
        resumed.check(&start()).unwrap();
        let (mut paid, mut begun) = (Usage::default(), 0_u32);
        for entry in &story[..whole] {
            match entry {
                Entry::Request { .. } => begun += 1,
                Entry::Answer(answer) if answer.source == Source::Endpoint => {
                    paid += answer.usage;
                    begun -= 1;
                }
                Entry::Failed { usage, .. } => {
                    paid += usage.unwrap_or_default();
                    begun -= 1;
                }
                _ => {}
            }
        }
        let spent = (Usage { calls: paid.calls + begun, ..paid }, f64::from(begun), u64::from(begun) * 1000);
        assert_eq!(resumed.spent(), spent, "{cut}");
        for (key, cost) in [("a", 0.5), ("b", 0.125), ("c", 0.75)] {
            let line = story.iter().position(|e| matches!(e, Entry::Answer(c) if c.key == key)).unwrap();
            let expected = (line < whole).then(|| answer(key, cost, Source::Transcript));
            assert_eq!(resumed.answered(key), expected, "{cut}");
        }
        assert_eq!(resumed.tool_result("a", "c1"), (whole > 7).then(|| "x = 1".to_owned()), "{cut}");
        // Nothing is torn behind what the resumed run adds.
        let added = if whole == 0 { Entry::Start(start()) } else { Entry::Note { text: "again".to_owned() } };
        resumed.append(&added).unwrap();
        drop(resumed);
        let again = fs::read(place.path()).unwrap();
        let kept = text[..cut].iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
        assert_eq!(again[..kept], text[..kept]);
        assert_eq!(Line::parse(&again[kept..]).unwrap().entry, added, "{cut}");
        assert_eq!(place.resume().unwrap().spent(), spent, "{cut}");
    }
}

#[test]
fn a_call_that_a_kill_left_behind_stays_at_its_worst_when_its_question_is_asked_again() {
    let entries = [Entry::Start(start()), request("a")];
    let place = Place::written(&entries);
    let resumed = place.resume().unwrap();
    resumed.append(&request("a")).unwrap();
    resumed.append(&Entry::Answer(answer("a", 0.5, Source::Endpoint))).unwrap();
    drop(resumed);
    let (paid, worst, tokens) = place.resume().unwrap().spent();
    assert_eq!((paid.calls, paid.cost_usd, worst, tokens), (2, 0.5, 1.0, 1000));
}

#[test]
fn several_answers_to_one_question_are_served_in_their_order_and_the_last_one_again() {
    let mut entries = vec![Entry::Start(start())];
    entries.extend([0.25, 0.5].map(|cost| Entry::Answer(answer("a", cost, Source::Endpoint))));
    let resumed = Place::written(&entries).resume().unwrap();
    let costs: Vec<f64> = (0..3).map(|_| resumed.answered("a").unwrap().usage.cost_usd).collect();
    assert_eq!(costs, [0.25, 0.5, 0.5]);
}

#[test]
fn results_of_calls_that_share_one_id_are_told_in_their_order_and_none_twice() {
    let entries = [Entry::Start(start()), tool("a", "one"), tool("b", "other"), tool("a", "two")];
    let resumed = Place::written(&entries).resume().unwrap();
    let told = [(); 3].map(|()| resumed.tool_result("a", "c1"));
    assert_eq!(told, [Some("one".to_owned()), Some("two".to_owned()), None], "the third was not made yet");
}

#[test]
fn everything_is_redacted_before_it_is_written_but_what_calls_are_found_by() {
    let body = json!({ "messages": [{ "content": SECRET, SECRET: 1 }] });
    let leak = |text: &str| format!("{text} {SECRET}");
    let place = Place::written(&[
        Entry::Start(Start::new(&leak("m"), &format!("https://{SECRET}@host"), "d")),
        Entry::Request { key: "k".to_owned(), step: leak("s"), body, worst_usd: 0.0, worst_tokens: 0 },
        Entry::Answer(Completion {
            content: leak("c"),
            reasoning: Some(leak("r")),
            ..answer("k", 0.0, Source::Endpoint)
        }),
        Entry::Failed { key: "k".to_owned(), why: leak("w"), usage: None },
        tool("k", SECRET),
        Entry::Verdict { step: leak("s"), verdict: leak("v"), reasons: vec![leak("r")] },
        Entry::Note { text: leak("n") },
        Entry::End { outcome: leak("o"), usage: Usage::default() },
    ]);
    let text = fs::read_to_string(place.path()).unwrap();
    assert!(!text.contains(SECRET), "{text}");
    assert_eq!(text.matches("[secret]").count(), 14, "{text}");
    let resumed = place.resume().unwrap();
    assert_eq!(resumed.answered("k").unwrap().content, "c [secret]");
    // The same endpoint, though its secret is not in the file.
    resumed.check(&Start::new(&leak("m"), &format!("https://{SECRET}@host"), "d")).unwrap();
}

#[test]
fn a_transcript_of_another_model_endpoint_or_repair_is_refused() {
    let place = Place::written(&[Entry::Start(start())]);
    let resumed = place.resume().unwrap();
    let says = |start: Start| resumed.check(&start).unwrap_err().to_string();
    assert!(says(Start { model: "other".to_owned(), ..start() }).contains("model deepseek-flash, not other"));
    assert!(says(Start { base_url: "http://b".to_owned(), ..start() }).contains("not http://b"));
    assert!(says(Start { digest: "e".to_owned(), ..start() }).contains("another repair"));
    resumed.check(&Start { version: "9".to_owned(), ..start() }).unwrap();
    Transcript::none().check(&start()).unwrap();
}

#[test]
fn a_damaged_line_is_named_and_the_file_stays_as_it_is() {
    let place = Place::written(&story());
    let text = fs::read_to_string(place.path()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    for (number, damage) in [(1, "{}"), (3, "not JSON"), (5, ""), (14, "{\"kind\":\"note\"}")] {
        let mut lines = lines.clone();
        lines[number - 1] = damage;
        let damaged = lines.join("\n") + "\n{\"torn";
        fs::write(place.path(), &damaged).unwrap();
        let error = place.resume().err().unwrap();
        assert!(matches!(&error, LlmError::Options(why) if why.contains(&format!("line {number}:"))), "{error}");
        assert_eq!(fs::read_to_string(place.path()).unwrap(), damaged);
    }
    // Another file of a single line is no transcript that was cut off.
    fs::write(place.path(), "my notes").unwrap();
    assert!(place.resume().is_err());
    let newer = lines[0].replace("\"schema\":1", "\"schema\":2");
    fs::write(place.path(), newer + "\n").unwrap();
    assert!(place.resume().err().unwrap().to_string().contains("schema 2"));
    fs::write(place.path(), lines[1..].join("\n") + "\n").unwrap();
    assert!(place.resume().err().unwrap().to_string().contains("begins with"));
    assert!(matches!(Transcript::resume(place.0.path(), redact()), Err(LlmError::Options(_))));
    assert!(matches!(Transcript::resume(&place.0.path().join("absent"), redact()), Err(LlmError::Options(_))));
}

#[test]
fn a_line_without_end_is_refused_before_it_fills_the_memory() {
    let place = Place::written(&[Entry::Start(start())]);
    let file = fs::File::options().append(true).open(place.path()).unwrap();
    file.set_len(super::super::lines::LONGEST_LINE as u64 * 2).unwrap();
    let error = place.resume().err().unwrap();
    assert!(error.to_string().contains("line 2: it is longer"), "{error}");
    file.set_len(super::super::LARGEST_FILE + 1).unwrap();
    let error = place.resume().err().unwrap();
    assert!(error.to_string().contains("is larger than"), "{error}");
}

#[test]
fn only_the_owner_reads_it_and_two_runs_never_share_it() {
    let place = Place::new();
    fs::write(place.path(), "an older file").unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o644)).unwrap();
    let first = Transcript::create(&place.path(), redact()).unwrap();
    assert_eq!(fs::metadata(place.path()).unwrap().permissions().mode() & 0o777, 0o600);
    first.append(&Entry::Start(start())).unwrap();
    assert!(place.resume().err().unwrap().to_string().contains("in use"));
    assert!(
        matches!(Transcript::create(&place.path(), redact()), Err(LlmError::Record(why)) if why.contains("in use"))
    );
    drop(first);
    place.resume().unwrap();
    // Nor is anything but a file replaced.
    assert!(matches!(Transcript::create(place.0.path(), redact()), Err(LlmError::Record(_))));
}

#[test]
fn what_could_not_be_read_again_is_not_written() {
    let place = Place::written(&[Entry::Start(start())]);
    let resumed = place.resume().unwrap();
    let Entry::Request { key, step, body, worst_tokens, .. } = request("a") else { panic!() };
    let endless = Entry::Request { key, step, body, worst_usd: f64::INFINITY, worst_tokens };
    assert!(matches!(resumed.append(&endless), Err(LlmError::Record(_))));
    let huge = "x".repeat(super::super::lines::LONGEST_LINE);
    assert!(matches!(resumed.append(&Entry::Note { text: huge.clone() }), Err(LlmError::Record(_))));
    drop(resumed);
    place.resume().unwrap();
    // What is wrong with a line is told briefly.
    fs::write(place.path(), format!("{{\"at\":\"2026-01-01T00:00:00Z\",\"kind\":\"{}\"}}\n", &huge[..100_000]))
        .unwrap();
    assert!(place.resume().err().unwrap().to_string().len() < 1000);
}

#[test]
fn the_time_of_every_run_before_counts_and_the_time_between_them_does_not() {
    let place = Place::written(&[]);
    let line = |at: &str, entry: Entry| serde_json::to_string(&Line { at: at.parse().unwrap(), entry }).unwrap() + "\n";
    let note = || Entry::Note { text: "x".to_owned() };
    let text = [
        line("2026-01-01T00:00:00Z", Entry::Start(start())),
        line("2026-01-01T00:00:30Z", note()),
        line("2026-01-01T05:00:00Z", Entry::Start(start())),
        line("2026-01-01T05:00:12Z", note()),
        // The clock was set back.
        line("2026-01-01T06:00:00Z", Entry::Start(start())),
        line("2026-01-01T04:00:00Z", note()),
    ];
    fs::write(place.path(), text.concat()).unwrap();
    assert_eq!(place.resume().unwrap().time_used(), std::time::Duration::from_secs(42));
}

#[test]
fn none_writes_nothing_and_knows_nothing() {
    let none = Transcript::none();
    none.append(&request("a")).unwrap();
    assert_eq!((none.answered("a"), none.tool_result("a", "c1")), (None, None));
    assert_eq!(none.spent(), (Usage::default(), 0.0, 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_file_makes_resuming_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0..6000_usize) {
        let place = Place::written(&story());
        let mut text = fs::read(place.path()).unwrap();
        let at = at % text.len();
        let end = (at + bytes.len()).min(text.len());
        text.splice(at..end, bytes);
        fs::write(place.path(), &text).unwrap();
        if let Ok(resumed) = place.resume() {
            prop_assert!(resumed.spent().0.cost_usd >= 0.0);
        }
    }

    #[test]
    fn what_is_written_is_what_is_read(content in "(?s).{0,60}", cost in 0.0..10.0_f64) {
        let said = Completion { content, ..answer("a", cost, Source::Endpoint) };
        let line = serde_json::to_string(&Line::now(Entry::Answer(said.clone()))).unwrap();
        let Entry::Answer(read) = Line::parse(line.as_bytes()).unwrap().entry else { panic!("{line}") };
        prop_assert!((read.usage.cost_usd - cost).abs() < 1e-12);
        prop_assert_eq!(read.content, said.content);
        let _: Value = serde_json::from_str(&line).unwrap();
    }
}
