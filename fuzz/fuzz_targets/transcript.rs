#![no_main]
use libfuzzer_sys::fuzz_target;
use test_repair::{llm::transcript::Line, report};

fuzz_target!(|text: &str| {
    text.lines().for_each(|line| drop(Line::parse(line.as_bytes())));
    let _ = report::transcript(text);
});
