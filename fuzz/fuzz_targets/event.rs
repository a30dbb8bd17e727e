#![no_main]
use libfuzzer_sys::fuzz_target;
use test_repair::github::event::{Surroundings, parse_run, trigger};

fuzz_target!(|text: &str| {
    let _ = parse_run(text);
    let Ok(event) = serde_json::from_str(text) else { return };
    for name in ["workflow_run", "check_run", "workflow_dispatch", "push"] {
        let (event_name, repository) = (name.to_owned(), "octo/shop".to_owned());
        let _ = trigger(&event, &Surroundings { event_name, repository, run_id: Some(1), ..Surroundings::default() });
    }
});
