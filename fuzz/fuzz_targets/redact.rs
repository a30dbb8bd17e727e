#![no_main]
use libfuzzer_sys::fuzz_target;
use test_repair::redact::{Redactor, redact};

fuzz_target!(|text: &str| {
    let redacted = redact(text);
    assert_eq!(redact(&redacted), redacted);
    let Ok(redactor) = Redactor::new(&[]) else { return };
    assert_eq!(redactor.restore(&redactor.redact(text)), text);
});
