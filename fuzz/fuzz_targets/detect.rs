#![no_main]
use libfuzzer_sys::fuzz_target;
use test_repair::detect::Detector;

fuzz_target!(|log: &[u8]| {
    let mut whole = Detector::new("log");
    whole.feed(log);
    let mut pieces = Detector::new("log");
    log.chunks(7).for_each(|chunk| pieces.feed(chunk));
    assert_eq!(whole.finish(), pieces.finish());
});
