//! Tests of the room, one file a tool family. All snippets are our own.

mod docs;
mod lint;
mod packages;
mod properties;
mod pytest;
mod recorded;
mod runner;
mod steps;
mod types;
mod unittest;

use super::{Detector, Failure, JobLog, Key};

const ROOT: &str = "/sandbox/tree";
const WORKSPACE: &str = "/home/runner/work/shop/shop";

/// What a command of our own printed, with its exit status.
fn ran(command: &str, output: &str, exit: i32) -> JobLog {
    let mut detector = Detector::for_command(command, &[ROOT.to_owned()]);
    detector.feed(output.as_bytes());
    detector.exited(exit);
    detector.finish().remove(0)
}

/// The same output as a step of a CI job.
fn log(command: &str, output: &str, exit: i32) -> String {
    let mut lines = vec![
        "\u{feff}Current runner version: '2.330.0'".to_owned(),
        "Complete job name: linux (3.12)".to_owned(),
        "##[group]Run actions/checkout@v5".to_owned(),
        "with:".to_owned(),
        "  repository: acme/shop".to_owned(),
        "##[endgroup]".to_owned(),
        "Syncing repository: acme/shop".to_owned(),
        format!("[command]/usr/bin/git config --global --add safe.directory {WORKSPACE}"),
        "[command]/usr/bin/git log -1 --format=%H".to_owned(),
        "0123456789abcdef0123456789abcdef01234567".to_owned(),
        format!("##[group]Run {}", command.lines().next().unwrap_or_default()),
    ];
    lines.extend(command.lines().map(|line| format!("\u{1b}[36;1m{line}\u{1b}[0m")));
    lines.extend(["shell: /usr/bin/bash -e {0}".to_owned(), "env:".to_owned()]);
    lines.extend(["  PIP_NO_INPUT: 1".to_owned(), "##[endgroup]".to_owned()]);
    lines.extend(output.replace(ROOT, WORKSPACE).lines().map(str::to_owned));
    if exit != 0 {
        lines.push(format!("##[error]Process completed with exit code {exit}."));
    }
    lines.extend(["Post job cleanup.".to_owned(), "Cleaning up orphan processes".to_owned()]);
    let mut text = String::new();
    for (at, line) in lines.iter().enumerate() {
        text.push_str(&format!("2026-01-02T03:04:{:02}.{:07}Z {line}\n", at % 60, at));
    }
    text
}

/// The log with one more step before its end.
fn followed(first: &str, command: &str, output: &str, exit: i32) -> String {
    let second = log(command, output, exit);
    let begins = second.find(&format!("##[group]Run {}", command.lines().next().unwrap_or_default()));
    let begins = begins.and_then(|at| second[..at].rfind('\n')).map_or(0, |at| at + 1);
    let ends = first.find("Post job cleanup.").and_then(|at| first[..at].rfind('\n')).map_or(0, |at| at + 1);
    format!("{}{}", &first[..ends], &second[begins..])
}

fn read(log: &str) -> JobLog {
    let mut detector = Detector::new("log.txt");
    detector.feed(log.as_bytes());
    detector.finish().remove(0)
}

fn ci(command: &str, output: &str, exit: i32) -> JobLog {
    read(&log(command, output, exit))
}

/// Reads the output both ways, and wants the same keys and causes of both.
fn both(command: &str, output: &str) -> Vec<Failure> {
    let (here, there) = (ran(command, output, 1), ci(command, output, 1));
    let names = |job: &JobLog| {
        job.failures.iter().map(|f| (f.key.clone(), f.fingerprint.clone(), f.file.clone(), f.line)).collect::<Vec<_>>()
    };
    assert_eq!(names(&here), names(&there));
    assert_eq!(here.category, there.category);
    assert!(ci(command, output, 0).failures.is_empty(), "a green step yields nothing");
    assert!(ran(command, output, 0).failures.is_empty(), "a green command yields nothing");
    here.failures
}

fn test_key(id: &str, exception: &str) -> Key {
    Key::Test { id: id.to_owned(), exception: Some(exception.to_owned()) }
}

fn finding(file: &str, rule: &str, symbol: Option<&str>) -> Key {
    Key::Finding { file: file.to_owned(), rule: rule.to_owned(), symbol: symbol.map(str::to_owned) }
}

fn missing(name: &str) -> Key {
    Key::Missing { name: name.to_owned() }
}

fn ids(failures: &[Failure]) -> Vec<&str> {
    failures.iter().filter_map(|failure| failure.test_id.as_deref()).collect()
}
