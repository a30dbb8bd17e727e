//! Measures how fair the judge is on real history, without running anything: fix commits of public projects, and commits
//! that tidy up tests. Of a fix, as in a repair, the tests are there already: the tree before is the parent with the
//! commit's tests, the change is the rest.
//!
//! `TEST_REPAIR_HISTORY=DIR` names a directory of git repositories (each `DIR/*` or `DIR/*/repo`). Skipped without.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

use std::{
    collections::BTreeMap,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use test_repair::{
    integrity::{Finding, Judged, Severity, is_test_file, judge},
    workspace::{Change, FileChange},
};

/// So many commits of each project.
const COMMITS: usize = 40;

/// A commit's files, all of them read.
type Files = BTreeMap<String, Vec<u8>>;

fn git(repository: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("git").arg("-C").arg(repository).args(arguments).stderr(Stdio::null()).output().unwrap();
    output.stdout
}

fn files(repository: &Path, commit: &str) -> Files {
    let tar = git(repository, &["archive", "--format=tar", commit]);
    let mut found = BTreeMap::new();
    for entry in tar::Archive::new(tar.as_slice()).entries().unwrap() {
        let mut entry = entry.unwrap();
        if entry.header().entry_type().is_file() {
            let path = entry.path().unwrap().to_string_lossy().into_owned();
            let mut content = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
            found.insert(path, content);
        }
    }
    found
}

/// What a commit's message says, and which files it changes.
struct Kind {
    words: &'static str,
    takes: fn(&str) -> bool,
    /// Are its tests in the tree before it?
    tests_first: bool,
}

const FIXES: Kind = Kind {
    words: "\\bfix(e[sd])?\\b",
    takes: |path| path.ends_with(".py") && !path.contains("test"),
    tests_first: true,
};

const TIDYING: Kind = Kind {
    words: "refactor|clean ?up|tidy|simplif|pyupgrade|ruff|black|isort|flake8|lint|f-string|parametri[sz]e|moderni[sz]e",
    takes: is_test_file,
    tests_first: false,
};

/// The newest small commits of a kind.
fn commits(repository: &Path, kind: &Kind) -> Vec<String> {
    let words = format!("--grep={}", kind.words);
    let asked = ["log", "--no-merges", "--format=%x00%H", "--numstat", "-i", "-E", &words, "-2000"];
    let log = String::from_utf8_lossy(&git(repository, &asked)).into_owned();
    let small = |entry: &&str| {
        let files: Vec<&str> = entry.lines().skip(1).filter(|line| !line.is_empty()).collect();
        let lines: usize = files.iter().filter_map(|line| line.split('\t').next()?.parse::<usize>().ok()).sum();
        let taken = |line: &&&str| line.rsplit('\t').next().is_some_and(kind.takes);
        files.len() <= 8 && lines <= 200 && files.iter().find(taken).is_some()
    };
    log.split('\0')
        .filter(|entry| !entry.is_empty())
        .filter(small)
        .map(|e| e.lines().next().unwrap().to_owned())
        .take(COMMITS)
        .collect()
}

fn is_of_tests(path: &str) -> bool {
    is_test_file(path) || path.split('/').any(|folder| matches!(folder, "tests" | "test" | "testing"))
}

fn change(before: &Files, after: &Files) -> Change {
    let mut change = Change::default();
    for path in before.keys().chain(after.keys()) {
        let (before, after) = (before.get(path).cloned(), after.get(path).cloned());
        if before != after {
            change.files.insert(path.clone(), FileChange { before, after, executable: false, symlink: false });
        }
    }
    change
}

/// Judges commits of a kind and prints what was found; how many there were.
fn measured(kind: &Kind) -> Option<usize> {
    let Some(place) = std::env::var_os("TEST_REPAIR_HISTORY").map(PathBuf::from) else {
        let _ = writeln!(std::io::stderr(), "skipped: TEST_REPAIR_HISTORY names no directory of repositories");
        return None;
    };
    let mut projects: Vec<PathBuf> = std::fs::read_dir(place).unwrap().map(|entry| entry.unwrap().path()).collect();
    projects.sort();
    let (mut all, mut refused, mut flagged, mut slowest) = (0, 0, 0, Duration::ZERO);
    for project in projects {
        let repository = if project.join("repo").is_dir() { project.join("repo") } else { project.clone() };
        for commit in commits(&repository, kind) {
            let (mut before, after) = (files(&repository, &format!("{commit}^")), files(&repository, &commit));
            if kind.tests_first {
                before.retain(|path, _| !is_of_tests(path));
                before.extend(after.iter().filter(|(path, _)| is_of_tests(path)).map(|(p, f)| (p.clone(), f.clone())));
            }
            let change = change(&before, &after);
            if change.files.is_empty() {
                continue;
            }
            let begun = Instant::now();
            let findings: Vec<Finding> = judge(&Judged {
                change: &change,
                before: &before,
                reported: &[],
                declared: None,
                category: Some("unit_test"),
                protected: &[],
            });
            slowest = slowest.max(begun.elapsed());
            all += 1;
            let worst = findings.iter().map(|finding| finding.severity).max();
            refused += usize::from(worst == Some(Severity::Refuse));
            flagged += usize::from(worst == Some(Severity::Flag));
            for finding in findings.iter().filter(|finding| Some(finding.severity) == worst) {
                let (file, line) = (finding.file.as_deref().unwrap_or_default(), finding.line.unwrap_or_default());
                let name = project.file_name().unwrap().to_string_lossy();
                println!(
                    "{:?} {} {name} {} {file}:{line} {}",
                    finding.severity,
                    finding.rule,
                    &commit[..9],
                    finding.message
                );
            }
        }
    }
    println!("{all} commits: {refused} refused, {flagged} flagged; the slowest took {slowest:?}");
    Some(all)
}

#[test]
fn fix_commits_of_public_projects_are_seldom_refused() {
    let Some(all) = measured(&FIXES) else { return };
    assert!(all >= 300, "{all} commits say little: name more repositories");
}

#[test]
fn commits_that_tidy_up_tests_are_judged() {
    let Some(all) = measured(&TIDYING) else { return };
    assert!(all >= 100, "{all} commits say little: name more repositories");
}
