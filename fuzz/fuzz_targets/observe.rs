#![no_main]
use libfuzzer_sys::fuzz_target;
use test_repair::{
    observe::observe,
    plan::{Check, Origin},
    sandbox::{CheckRun, Ended, Finished, Network},
};

fuzz_target!(|parts: (Vec<u8>, Vec<u8>, i32)| {
    let (output, report, code) = parts;
    for script in ["python -m pytest", "python -m unittest", "ruff check .", "mypy .", "bandit -r ."] {
        let check = Check {
            script: script.to_owned(),
            origin: Origin::Log,
            step: String::new(),
            network: Network::None,
            installs: false,
        };
        let finished = Finished { ended: Ended::Exit(code), output: output.clone(), dropped: 0, seconds: 0.0 };
        observe(&check, CheckRun { finished, junit: Some(report.clone()) }, Some(&report), "/root");
    }
});
