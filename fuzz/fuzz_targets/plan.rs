#![no_main]
use libfuzzer_sys::fuzz_target;
use test_repair::{
    detect::Detector,
    plan::{Overrides, plan, shell, workflow},
};

fuzz_target!(|text: &str| {
    shell::split(text);
    let workflows: Vec<_> = workflow::parse(text).into_iter().collect();
    let mut detector = Detector::new("log");
    detector.feed(text.as_bytes());
    for log in detector.finish() {
        plan(&log, &workflows, &Overrides::default());
    }
});
