#![no_main]
use libfuzzer_sys::fuzz_target;
use test_repair::llm::stream::Reader;

fuzz_target!(|bytes: &[u8]| {
    let mut reader = Reader::new(1 << 20);
    for chunk in bytes.chunks(5) {
        if reader.feed(chunk).is_err() {
            return;
        }
    }
    let _ = reader.finish();
});
