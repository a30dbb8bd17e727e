//! What real tools print (`tests/fixtures/detect`, recorded by the scripts there) is read as the person who made the
//! case says.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::*;

/// A recorded case: the header of its log, its output, and what is expected.
struct Case {
    name: String,
    head: Value,
    output: String,
    expected: Value,
}

fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/detect");
    let mut logs: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap()
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.is_file())
        .map(|path| path.with_extension("log"))
        .collect();
    logs.sort();
    logs.dedup();
    let wanted = std::env::var("RECORDED").unwrap_or_default();
    let bytes = |path: &Path| std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let read = |path: &PathBuf| {
        let text = String::from_utf8_lossy(&bytes(path)).into_owned();
        let (head, output) = text.split_once('\n').unwrap();
        let expected = bytes(&path.with_extension("json"));
        Case {
            name: path.file_stem().unwrap().to_string_lossy().into_owned(),
            head: serde_json::from_str(head).unwrap(),
            output: output.to_owned(),
            expected: serde_json::from_slice(&expected).unwrap_or_else(|error| panic!("{}: {error}", path.display())),
        }
    };
    logs.iter().filter(|path| path.to_string_lossy().contains(&wanted)).map(read).collect()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

fn exit(case: &Case) -> i32 {
    i32::try_from(case.head["exit"].as_i64().unwrap()).unwrap()
}

fn command_of(case: &Case) -> JobLog {
    let mut detector = Detector::for_command(text(&case.head, "command"), &[text(&case.head, "root").to_owned()]);
    detector.feed(case.output.as_bytes());
    detector.exited(exit(case));
    detector.finish().remove(0)
}

fn job_of(case: &Case) -> JobLog {
    let output = case.output.replace(text(&case.head, "root"), WORKSPACE);
    ci(text(&case.head, "command"), &output, exit(case))
}

/// Does the failure say what is expected? Only what the expectation names is compared.
fn fits(failure: &Failure, wanted: &Value) -> Vec<String> {
    let seen = serde_json::to_value(failure).unwrap();
    let mut wrong = Vec::new();
    for (key, value) in wanted.as_object().unwrap() {
        let same = match key.as_str() {
            "message" => text(&seen, "message").contains(value.as_str().unwrap_or_default()),
            "note" => true,
            _ => seen[key] == *value,
        };
        if !same {
            wrong.push(format!("{key} is {}, not {value}", seen[key]));
        }
    }
    wrong
}

fn compared(case: &Case, job: &JobLog) -> Vec<String> {
    let mut wrong = Vec::new();
    let category = serde_json::to_value(job.category).unwrap();
    if category != case.expected["category"] {
        wrong.push(format!("category is {category}, not {}", case.expected["category"]));
    }
    let mut left: Vec<&Failure> = job.failures.iter().collect();
    for wanted in case.expected["failures"].as_array().unwrap() {
        let best = left.iter().enumerate().min_by_key(|(_, failure)| {
            let wrong = fits(failure, wanted);
            (wrong.iter().any(|text| text.starts_with("test_id")), wrong.len())
        });
        match best.map(|(at, failure)| (at, fits(failure, wanted))) {
            Some((at, unlike)) if unlike.is_empty() => {
                left.remove(at);
            }
            Some((at, unlike)) => {
                left.remove(at);
                wrong.push(unlike.join("; "));
            }
            None => wrong.push(format!("not found: {wanted}")),
        }
    }
    for failure in left {
        wrong.push(format!(
            "one too many: {} {:?} {:?}:{:?} {}",
            failure.tool,
            failure.test_id,
            failure.file,
            failure.line,
            failure.message.lines().next().unwrap_or_default()
        ));
    }
    wrong
}

#[test]
fn every_recorded_output_is_read_as_its_maker_says() {
    let cases = cases();
    assert!(std::env::var_os("RECORDED").is_some() || cases.len() > 400, "{}", cases.len());
    let mut wrong: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for case in &cases {
        let seen = compared(case, &command_of(case));
        if !seen.is_empty() {
            wrong.insert(&case.name, seen);
        }
    }
    let shown: String = wrong.iter().map(|(name, seen)| format!("{name}\n    {}\n", seen.join("\n    "))).collect();
    assert!(wrong.is_empty(), "{} of {}:\n{shown}", wrong.len(), cases.len());
}

#[test]
fn every_recorded_output_gives_the_same_keys_in_a_jobs_log() {
    let keys = |job: &JobLog| {
        let name = |f: &Failure| (f.key.clone(), f.fingerprint.clone(), f.file.clone(), f.line, f.count);
        (job.category, job.failures.iter().map(name).collect::<Vec<_>>())
    };
    for case in cases() {
        assert_eq!(keys(&command_of(&case)), keys(&job_of(&case)), "{}", case.name);
    }
}

/// GitHub's runner shows `::error file=…::message` as `##[error]message`: where it was said is gone.
#[test]
fn recorded_annotations_are_failures_of_the_same_category_as_the_runner_shows_them() {
    let mut seen = 0;
    for case in cases() {
        let output = case.output.replace(text(&case.head, "root"), WORKSPACE);
        let shown = |line: &str| match line.strip_prefix("::").and_then(|rest| rest.split_once("::")) {
            Some((mark, said)) if mark.starts_with("error") || mark.starts_with("warning") => {
                format!("##[{}]{said}\n", mark.split(' ').next().unwrap_or_default())
            }
            _ => format!("{line}\n"),
        };
        let shown: String = output.lines().map(shown).collect();
        if exit(&case) != 0 && (shown.contains("##[error]") || shown.contains("##[warning]")) {
            let job = ci(text(&case.head, "command"), &shown, exit(&case));
            assert_eq!(serde_json::to_value(job.category).unwrap(), case.expected["category"], "{}", case.name);
            seen += 1;
        }
    }
    assert!(std::env::var_os("RECORDED").is_some() || seen > 5, "{seen}");
}

#[test]
fn no_recorded_output_of_a_green_step_is_a_failure() {
    for case in cases() {
        let output = case.output.replace(text(&case.head, "root"), WORKSPACE);
        let job = ci(text(&case.head, "command"), &output, 0);
        assert!(job.failures.is_empty(), "{}: {:?}", case.name, job.failures);
    }
}

#[test]
fn where_a_recorded_output_is_cut_does_not_matter() {
    for case in cases() {
        let whole = log(text(&case.head, "command"), &case.output, exit(&case));
        let read = |size: usize| {
            let mut detector = Detector::new("log");
            whole.as_bytes().chunks(size).for_each(|piece| detector.feed(piece));
            detector.finish()
        };
        let wanted = read(usize::MAX);
        for size in [1, 7, 4096] {
            assert_eq!(read(size), wanted, "{} in pieces of {size}", case.name);
        }
    }
}
