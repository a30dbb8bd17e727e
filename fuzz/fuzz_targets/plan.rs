#![no_main]
use libfuzzer_sys::fuzz_target;
use test_repair::{
    detect::Detector,
    plan::{Overrides, Project, Sources, plan, shell, workflow::Workflows},
};

// The same text as a script, a workflow file, an action, the project's files and a log.
fuzz_target!(|text: &str| {
    shell::split(text);
    let named = |path: &str| (path.to_owned(), text.to_owned());
    let sources = Sources {
        workflows: Workflows::read([named(".github/workflows/ci.yml"), named(".github/actions/a/action.yml")]),
        project: Project::of([named("pyproject.toml"), named("setup.cfg"), named("noxfile.py")]),
        pythons: vec!["3.12.1".to_owned()],
    };
    let mut detector = Detector::new("log");
    detector.feed(text.as_bytes());
    for log in detector.finish() {
        plan(&log, &sources, &Overrides::default());
    }
});
