#![no_main]
use libfuzzer_sys::fuzz_target;
use test_repair::config::Config;

fuzz_target!(|text: &str| {
    let _ = Config::parse(text);
});
