//! Cheating patches to a small project: each makes the failing check pass, and the judge refuses it.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use test_repair::integrity::{Finding, Judged, Severity, judge};
use test_repair::workspace::{Change, FileChange};
use toml_edit::{DocumentMut, Item, Table};

/// What the checks need.
const PYTEST: &str = "pytest==8.4.1";
const TIME_OUT: Duration = Duration::from_secs(60);
const THREADS: usize = 4;

type Tree = BTreeMap<String, String>;

struct Project {
    files: Tree,
    /// Arguments of Python, by the name that attacks use.
    checks: BTreeMap<String, String>,
}

struct Attack {
    family: String,
    id: String,
    what: String,
    rule: Option<String>,
    flag: bool,
    /// Why the judge cannot see it.
    unseen: Option<String>,
    check: String,
    edits: Vec<Edit>,
}

struct Edit {
    file: String,
    how: How,
}

enum How {
    Replace(String, String),
    Content(String),
    Delete,
}

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/attacks")
}

fn document(path: &Path) -> DocumentMut {
    let text = std::fs::read_to_string(path).unwrap();
    text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn text(table: &Table, key: &str) -> Option<String> {
    Some(table.get(key)?.as_str()?.to_string())
}

fn tables<'a>(table: &'a Table, key: &str) -> Vec<&'a Table> {
    table.get(key).and_then(Item::as_array_of_tables).map(|t| t.iter().collect()).unwrap_or_default()
}

fn project() -> Project {
    let document = document(&here().join("project.toml"));
    let strings = |key: &str| -> BTreeMap<String, String> {
        let table = document[key].as_table().unwrap();
        table.iter().map(|(name, value)| (name.to_string(), value.as_str().unwrap().to_string())).collect()
    };
    Project { files: strings("files"), checks: strings("checks") }
}

fn edit(table: &Table) -> Edit {
    let how = match (text(table, "replace"), text(table, "content")) {
        (Some(old), None) => How::Replace(old, text(table, "with").unwrap()),
        (None, Some(content)) => How::Content(content),
        _ => How::Delete,
    };
    Edit { file: text(table, "file").unwrap(), how }
}

fn attacks() -> Vec<Attack> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(here()).unwrap().map(|e| e.unwrap().path()).collect();
    paths.retain(|p| p.extension().is_some_and(|e| e == "toml") && !p.ends_with("project.toml"));
    paths.sort();
    let mut found = Vec::new();
    for path in paths {
        let family = path.file_stem().unwrap().to_str().unwrap();
        let document = document(&path);
        found.extend(tables(&document, "attack").into_iter().map(|table| Attack {
            family: family.to_string(),
            id: text(table, "id").unwrap(),
            what: text(table, "what").unwrap(),
            rule: text(table, "rule"),
            flag: table.get("flag").and_then(Item::as_bool).unwrap_or(false),
            unseen: text(table, "unseen"),
            check: text(table, "check").unwrap_or_else(|| "pytest".to_string()),
            edits: tables(table, "edit").into_iter().map(edit).collect(),
        }));
    }
    found
}

/// The project after an attack.
fn attacked(before: &Tree, attack: &Attack) -> Tree {
    let mut after = before.clone();
    for edit in &attack.edits {
        let old = after.get(&edit.file);
        match &edit.how {
            How::Content(content) => {
                after.insert(edit.file.clone(), content.clone());
            }
            How::Delete => {
                after.remove(&edit.file).unwrap_or_else(|| panic!("{}: no {}", attack.id, edit.file));
            }
            How::Replace(from, to) => {
                let old = old.filter(|text| text.contains(from.as_str()));
                let new = old.unwrap_or_else(|| panic!("{}: {} has no {from:?}", attack.id, edit.file));
                let new = new.replace(from.as_str(), to);
                after.insert(edit.file.clone(), new);
            }
        }
    }
    after
}

fn change(before: &Tree, after: &Tree) -> Change {
    let bytes = |tree: &Tree, path: &str| tree.get(path).map(|text| text.as_bytes().to_vec());
    let mut change = Change::default();
    for path in before.keys().chain(after.keys()) {
        let (before, after) = (bytes(before, path), bytes(after, path));
        if before != after {
            change.files.insert(path.clone(), FileChange { before, after, executable: false, symlink: false });
        }
    }
    change
}

fn findings(before: &Tree, attack: &Attack) -> Vec<Finding> {
    let change = change(before, &attacked(before, attack));
    assert!(!change.files.is_empty(), "{} changes nothing", attack.id);
    judge(&Judged {
        change: &change,
        before,
        reported: &[],
        declared: None,
        category: Some("unit_test"),
        protected: &[],
    })
}

/// What is wrong with the judgement of an attack.
fn missed(project: &Project, attack: &Attack) -> Option<String> {
    let found = findings(&project.files, attack);
    let worst = found.iter().map(|f| f.severity).max();
    let rules: BTreeSet<&str> = found.iter().filter(|f| Some(f.severity) == worst).map(|f| f.rule).collect();
    let wanted = match (&attack.unseen, attack.flag) {
        (Some(_), _) => worst != Some(Severity::Refuse),
        (None, true) => worst == Some(Severity::Flag),
        (None, false) => worst == Some(Severity::Refuse),
    };
    let named = attack.rule.as_ref().is_none_or(|rule| rules.contains(rule.as_str()));
    (!wanted || !named).then(|| format!("{}: judged {worst:?} by {rules:?}", attack.id))
}

/// A Python that has pytest; none where it cannot be installed.
fn python() -> Option<&'static Path> {
    static PYTHON: OnceLock<Option<(tempfile::TempDir, PathBuf)>> = OnceLock::new();
    let made = PYTHON.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let python = dir.path().join("bin/python");
        let run = |program: &Path, args: &[&str]| {
            Command::new(program).args(args).output().is_ok_and(|output| output.status.success())
        };
        let made = run(Path::new("python3"), &["-m", "venv", dir.path().to_str().unwrap()])
            && run(&python, &["-m", "pip", "install", "--quiet", "--disable-pip-version-check", PYTEST]);
        if !made {
            // Past the harness, which keeps what a passing test prints to itself.
            let _ = writeln!(std::io::stderr(), "SKIPPED: no attack's check is run, {PYTEST} cannot be installed");
        }
        made.then_some((dir, python))
    });
    made.as_ref().map(|(_, python)| python.as_path())
}

/// Runs a check in a tree; what it says where it does not pass.
fn run(python: &Path, check: &str, tree: &Tree) -> Result<(), String> {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in tree {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let said = dir.path().join(".said");
    let out = std::fs::File::create(&said).unwrap();
    let mut child = Command::new(python)
        .args(check.split(' '))
        .current_dir(dir.path())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("CI", "true")
        .env_remove("PYTEST_ADDOPTS")
        .stdin(Stdio::null())
        .stderr(out.try_clone().unwrap())
        .stdout(out)
        .spawn()
        .unwrap();
    let start = Instant::now();
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if start.elapsed() > TIME_OUT => {
                child.kill().unwrap();
                break child.wait().unwrap();
            }
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    let said = || String::from_utf8_lossy(&std::fs::read(&said).unwrap()).into_owned();
    if status.success() { Ok(()) } else { Err(format!("{status}\n{}", said())) }
}

/// Does `work` for each item, on a few threads; what it gives is in no order.
fn each<T: Sync>(items: &[T], work: impl Fn(&T) -> Option<String> + Sync) -> Vec<String> {
    let next = AtomicUsize::new(0);
    let worker = || {
        let taken = std::iter::from_fn(|| items.get(next.fetch_add(1, Ordering::Relaxed)));
        taken.filter_map(&work).collect::<Vec<String>>()
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(worker)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn the_base_project_fails_its_check() {
    let project = project();
    let Some(python) = python() else { return };
    let checks: Vec<(&String, &String)> = project.checks.iter().collect();
    let green = each(&checks, |(name, check)| {
        let passed = run(python, check, &project.files).is_ok();
        passed.then(|| format!("{name} passes before any attack"))
    });
    assert!(green.is_empty(), "{green:#?}");
}

#[test]
fn every_attack_passes_the_naive_check_and_is_refused() {
    let (project, attacks) = (project(), attacks());
    let python = python();
    let mut wrong = each(&attacks, |attack| {
        let judged = missed(&project, attack);
        let Some(check) = project.checks.get(&attack.check) else {
            return Some(format!("{}: no check {}", attack.id, attack.check));
        };
        let ran = python.and_then(|python| run(python, check, &attacked(&project.files, attack)).err());
        let ran = ran.map(|said| format!("{}: the check fails: {said}", attack.id));
        (judged.is_some() || ran.is_some()).then(|| [judged, ran].into_iter().flatten().collect::<Vec<_>>().join("\n"))
    });
    wrong.sort();
    assert!(wrong.is_empty(), "{} of {} attacks:\n{}", wrong.len(), attacks.len(), wrong.join("\n"));
}

#[test]
fn there_are_a_hundred_attacks_of_different_names_that_are_refused() {
    let attacks = attacks();
    let ids: BTreeSet<&str> = attacks.iter().map(|a| a.id.as_str()).collect();
    assert_eq!(ids.len(), attacks.len(), "two attacks share a name");
    let seen = attacks.iter().filter(|a| a.unseen.is_none()).count();
    assert!(seen >= 100, "only {seen} attacks");
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn page(attacks: &[Attack]) -> String {
    let mut page = String::from(
        "# Attacks\n\nEach of these patches leaves the bug as it is and makes the failing check pass. \
         The check is really run, and the judge refuses the patch.\n\
         The projects and the patches are in `tests/attacks/`.\n\
         This page is written by `UPDATE_EXPECT=1 cargo test --test attacks`.\n",
    );
    let (unseen, seen): (Vec<&Attack>, Vec<&Attack>) = attacks.iter().partition(|a| a.unseen.is_some());
    let flagged = seen.iter().filter(|a| a.flag).count();
    let refused = seen.len() - flagged;
    writeln!(page, "\n{refused} are refused, {flagged} flagged, {} not seen.", unseen.len()).unwrap();
    let mut family = "";
    for attack in seen {
        if attack.family != family {
            family = &attack.family;
            writeln!(page, "\n## {family}\n\n| Attack | What it does | Rule |\n|---|---|---|").unwrap();
        }
        let rule = attack.rule.as_ref().map_or(String::new(), |rule| format!("`{rule}`"));
        let flag = if attack.flag { " (flagged)" } else { "" };
        writeln!(page, "| `{}` | {} | {rule}{flag} |", attack.id, cell(&attack.what)).unwrap();
    }
    page.push_str("\n## What the judge can't see\n\n| Attack | What it does | Why |\n|---|---|---|\n");
    for attack in unseen {
        let why = attack.unseen.as_deref().unwrap_or_default();
        writeln!(page, "| `{}` | {} | {} |", attack.id, cell(&attack.what), cell(why)).unwrap();
    }
    page
}

#[test]
fn the_published_list_of_attacks_is_the_one_that_is_tried() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/attacks.md");
    let page = page(&attacks());
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let published = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(published == page, "run `UPDATE_EXPECT=1 cargo test --test attacks`");
}
