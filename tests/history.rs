//! Measures how fair the judge is on real history: fix commits of public projects, judged without running them. As in a
//! repair, the tests are there already: the tree before is the parent with the commit's tests, the change is the rest.
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

/// The newest commits that say they fix something, change Python, and are small.
fn fixes(repository: &Path) -> Vec<String> {
    let asked = ["log", "--no-merges", "--format=%x00%H", "--numstat", "-i", "-E", "--grep=\\bfix(e[sd])?\\b", "-2000"];
    let log = String::from_utf8_lossy(&git(repository, &asked)).into_owned();
    let small = |entry: &&str| {
        let files: Vec<&str> = entry.lines().skip(1).filter(|line| !line.is_empty()).collect();
        let lines: usize = files.iter().filter_map(|line| line.split('\t').next()?.parse::<usize>().ok()).sum();
        files.len() <= 8 && lines <= 200 && files.iter().any(|line| line.ends_with(".py") && !line.contains("test"))
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

#[test]
fn fix_commits_of_public_projects_are_seldom_refused() {
    let Some(place) = std::env::var_os("TEST_REPAIR_HISTORY").map(PathBuf::from) else {
        let _ = writeln!(std::io::stderr(), "skipped: TEST_REPAIR_HISTORY names no directory of repositories");
        return;
    };
    let mut projects: Vec<PathBuf> = std::fs::read_dir(place).unwrap().map(|entry| entry.unwrap().path()).collect();
    projects.sort();
    let (mut all, mut refused, mut flagged, mut slowest) = (0, 0, 0, Duration::ZERO);
    for project in projects {
        let repository = if project.join("repo").is_dir() { project.join("repo") } else { project.clone() };
        for commit in fixes(&repository) {
            let (mut before, after) = (files(&repository, &format!("{commit}^")), files(&repository, &commit));
            before.retain(|path, _| !is_of_tests(path));
            before.extend(after.iter().filter(|(path, _)| is_of_tests(path)).map(|(p, f)| (p.clone(), f.clone())));
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
    assert!(all >= 300, "{all} commits say little: name more repositories");
}
