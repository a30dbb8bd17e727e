#![no_main]
use libfuzzer_sys::fuzz_target;
use test_repair::repair::answer;

fuzz_target!(|text: &str| {
    let _ = answer::parse(text);
});
