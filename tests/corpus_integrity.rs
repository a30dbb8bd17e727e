//! Measures the judge on a corpus of cheats, honest patches and upstream fixes. Skipped where the corpus is not there.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use test_repair::integrity::{Finding, FixType, Judged, Reported, Severity, TreeRead, judge};
use test_repair::repair::rules::{Source, added_requirements};
use test_repair::workspace::{Change, FileChange};

struct Disk(PathBuf);

impl TreeRead for Disk {
    fn read(&self, path: &str) -> Option<Vec<u8>> {
        std::fs::read(self.0.join(path)).ok()
    }

    fn paths(&self) -> Vec<String> {
        let walk = walkdir::WalkDir::new(&self.0).sort_by_file_name().into_iter();
        walk.filter_entry(|e| e.file_name() != ".git")
            .filter_map(Result::ok)
            .filter(|e| e.file_type().is_file())
            .filter_map(|e| Some(e.path().strip_prefix(&self.0).ok()?.to_str()?.to_string()))
            .collect()
    }
}

fn corpus() -> Option<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let named = std::env::var_os("TEST_REPAIR_CORPUS").map(PathBuf::from);
    let path = named.unwrap_or_else(|| here.join("../shared/corpus"));
    let found = path.join("cheats/manifest.jsonl").is_file();
    if !found {
        // Past the harness, which keeps what a passing test prints to itself.
        let _ = writeln!(std::io::stderr(), "skipped: no corpus at {}", path.display());
    }
    found.then_some(path)
}

fn run(program: &str, args: &[&str], dir: &Path) {
    let output = Command::new(program).args(args).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The tree of a case, and the tree with a patch applied.
fn trees(case: &Path, patch: &Path, at: &Path) -> (PathBuf, PathBuf) {
    let unpack = |name: &str| {
        let dir = at.join(name);
        std::fs::create_dir_all(&dir).unwrap();
        run("tar", &["xzf", case.join("repo.tar.gz").to_str().unwrap()], &dir);
        let inner: Vec<PathBuf> = std::fs::read_dir(&dir).unwrap().map(|e| e.unwrap().path()).collect();
        match inner.as_slice() {
            [one] if one.is_dir() && !dir.join(".git").exists() => one.clone(),
            _ => dir,
        }
    };
    let (before, after) = (unpack("before"), unpack("after"));
    run("git", &["apply", "--whitespace=nowarn", patch.to_str().unwrap()], &after);
    (before, after)
}

fn change(before: &Path, after: &Path) -> Change {
    let (old, new) = (Disk(before.to_path_buf()), Disk(after.to_path_buf()));
    let mut paths = old.paths();
    paths.extend(new.paths());
    let mut change = Change::default();
    for path in paths {
        let (before, after) = (old.read(&path), new.read(&path));
        if before != after {
            change.files.insert(path, FileChange { before, after, executable: false, symlink: false });
        }
    }
    change
}

/// Just enough of a reading of the log: which tool reported what on which line.
fn reported(log: &str, root: &str) -> Vec<Reported> {
    let number = |text: &str| text.parse::<u32>().ok();
    let lines: Vec<&str> = log.lines().map(|l| l.split_once("Z ").map_or(l, |(_, rest)| rest)).collect();
    let version = |tool: &str| {
        let installed = lines.iter().find(|l| l.starts_with("Successfully installed"))?;
        installed.split(' ').find_map(|w| w.strip_prefix(&format!("{tool}-")).map(ToString::to_string))
    };
    let mut found = Vec::new();
    let mut bandit = String::new();
    for (index, line) in lines.iter().enumerate() {
        let entry = |tool: &str, file: &str, line: Option<u32>, code: Option<String>, fixable: Option<bool>| Reported {
            tool: tool.to_string(),
            tool_version: version(tool),
            file: Some(file.to_string()),
            line,
            code,
            fixable_by_tool: fixable,
        };
        if let Some((place, message)) = line.split_once(": error: ") {
            let mut parts = place.split(':');
            let file = parts.next().unwrap_or("");
            let text = std::iter::once(message).chain(lines[index + 1..].iter().take(3).copied());
            let code =
                text.filter_map(|t| t.trim_end().strip_suffix(']')?.rsplit_once('[')).map(|c| c.1.to_string()).next();
            found.push(entry("mypy", file, parts.next().and_then(number), code, None));
        } else if let Some(issue) = line.strip_prefix(">> Issue: [") {
            bandit = issue.split([':', ']']).next().unwrap_or("").to_string();
        } else if let Some(place) = line.trim().strip_prefix("Location: ") {
            let mut parts = place.split(':');
            let file = parts.next().unwrap_or("").trim_start_matches("./").to_string();
            found.push(entry("bandit", &file, parts.next().and_then(number), Some(bandit.clone()), None));
        } else if let Some(file) =
            line.strip_prefix("would reformat ").or_else(|| line.strip_prefix("Would reformat: "))
        {
            let file = file.rsplit_once(root).map_or(file, |(_, f)| f).trim_start_matches('/');
            found.push(entry("black", file, None, None, Some(true)));
        } else if let Some(rest) = line.trim().strip_prefix("File \"") {
            if let Some((file, rest)) = rest.split_once("\", line ") {
                let file = file.rsplit_once(&format!("{root}/{root}/")).map_or(file, |(_, f)| f);
                found.push(entry("pytest", file, rest.split(',').next().and_then(number), None, None));
            }
        } else {
            let parts: Vec<&str> = line.splitn(4, ':').collect();
            if let [file, at, column, message] = parts.as_slice()
                && number(at).is_some()
                && number(column).is_some()
            {
                let code = message.split_whitespace().next().unwrap_or("").to_string();
                let tool = if message.contains("[*]") || log.contains("ruff check") { "ruff" } else { "flake8" };
                let fixable = (tool == "ruff").then(|| message.contains("[*]"));
                found.push(entry(tool, file.trim_start_matches("./"), number(at), Some(code), fixable));
            }
        }
    }
    found
}

fn verdict(findings: &[Finding]) -> &'static str {
    match findings.iter().map(|f| f.severity).max() {
        Some(Severity::Refuse) => "refused",
        Some(Severity::Flag) => "flagged",
        None => "accepted",
    }
}

fn judged(case: &Path, patch: &Path, declared: Option<FixType>) -> Vec<Finding> {
    let temporary = tempfile::tempdir().unwrap();
    let (before, after) = trees(case, patch, temporary.path());
    let change = change(&before, &after);
    assert!(!change.files.is_empty(), "{} changes nothing", patch.display());
    let honest = !patch.components().any(|part| part.as_os_str() == "cheats");
    for added in added_requirements(&before, &after, change.files.keys().map(String::as_str)) {
        println!("         {}: adds {} ({:?})", patch.display(), added.requirement, added.source);
        let asked = matches!(added.source, Source::Index(_) | Source::Chosen(_));
        assert!(asked || !honest, "{}: no index is asked about {added:?}", patch.display());
    }
    let about: serde_json::Value = serde_json::from_slice(&std::fs::read(case.join("case.json")).unwrap()).unwrap();
    let log = std::fs::read_to_string(case.join("ci.log")).unwrap_or_default();
    let root = about["source_repo"].as_str().and_then(|r| r.rsplit('/').next()).unwrap_or("").to_string();
    let reported = reported(&log, &root);
    judge(&Judged {
        change: &change,
        before: &Disk(before),
        reported: &reported,
        declared,
        category: about["category"].as_str(),
        protected: &[],
    })
}

fn rows(corpus: &Path, kind: &str) -> Vec<BTreeMap<String, serde_json::Value>> {
    let text = std::fs::read_to_string(corpus.join(kind).join("manifest.jsonl")).unwrap();
    text.lines().filter(|l| !l.trim().is_empty()).map(|l| serde_json::from_str(l).unwrap()).collect()
}

fn case_dir(corpus: &Path, case: &str) -> PathBuf {
    let places = ["cases", "wild"].map(|p| corpus.join(p).join(case));
    places.into_iter().find(|p| p.is_dir()).unwrap()
}

fn show(name: &str, wanted: &str, findings: &[Finding]) {
    let mut rules: Vec<&str> = findings.iter().map(|f| f.rule).collect();
    rules.dedup();
    println!("{:8} {:8} {name}: {}", wanted, verdict(findings), rules.join(", "));
    if std::env::var_os("VERBOSE").is_some() {
        for f in findings {
            println!(
                "    {:?} {} {:?}:{:?} {} | {:?} -> {:?}",
                f.severity, f.rule, f.file, f.line, f.message, f.before, f.after
            );
        }
    }
}

#[test]
fn every_cheat_of_the_corpus_is_refused() {
    let Some(corpus) = corpus() else { return };
    let mut missed = Vec::new();
    for row in rows(&corpus, "cheats") {
        let file = row["file"].as_str().unwrap();
        let findings =
            judged(&case_dir(&corpus, row["case"].as_str().unwrap()), &corpus.join("cheats").join(file), None);
        let flag_ok = row.get("flag_ok").and_then(serde_json::Value::as_bool).unwrap_or(false);
        show(file, if flag_ok { "flag ok" } else { "refused" }, &findings);
        let got = verdict(&findings);
        if !(got == "refused" || flag_ok && got == "flagged") {
            missed.push(file.to_string());
        }
    }
    assert!(missed.is_empty(), "missed: {missed:#?}");
}

#[test]
fn no_honest_patch_of_the_corpus_is_refused() {
    let Some(corpus) = corpus() else { return };
    let mut wrong = Vec::new();
    for row in rows(&corpus, "benign") {
        let file = row["file"].as_str().unwrap();
        let findings =
            judged(&case_dir(&corpus, row["case"].as_str().unwrap()), &corpus.join("benign").join(file), None);
        let wanted = if row["flag"] == "none" { "accepted" } else { "flagged" };
        show(file, wanted, &findings);
        if verdict(&findings) != wanted {
            wrong.push(file.to_string());
        }
    }
    assert!(wrong.is_empty(), "wrong: {wrong:#?}");
}

#[test]
fn upstream_fixes_are_accepted_unless_the_law_refuses_them() {
    let Some(corpus) = corpus() else { return };
    // Bare `# nosec` for bandit 1.7.0, and a bare `# type: ignore`.
    let refused_by_law = ["cookiecutter-bandit", "coreason-bandit-try-except-pass"];
    let mut wrong = Vec::new();
    for kind in ["cases", "wild"] {
        let mut cases: Vec<PathBuf> =
            std::fs::read_dir(corpus.join(kind)).unwrap().map(|e| e.unwrap().path()).collect();
        cases.sort();
        for case in cases {
            let patch = case.join("fix.patch");
            if std::fs::metadata(&patch).map_or(0, |m| m.len()) == 0 {
                continue;
            }
            let findings = judged(&case, &patch, None);
            let name = case.file_name().unwrap().to_str().unwrap().to_string();
            let law = refused_by_law.contains(&name.as_str());
            show(&name, if law { "refused" } else { "not ref." }, &findings);
            if (verdict(&findings) == "refused") != law {
                wrong.push(name);
            }
        }
    }
    assert!(wrong.is_empty(), "wrong: {wrong:#?}");
}
