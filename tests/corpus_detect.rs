//! Scores detection against real logs, where the corpus lies beside the repository. Nothing of it is copied here.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;
use test_repair::detect::{Category, Detector, JobLog, JobResult, StepKind};

fn corpus() -> Option<PathBuf> {
    let given = std::env::var_os("TEST_REPAIR_CORPUS").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    given.into_iter().chain([beside]).find(|path| path.join("logs/manifest.jsonl").is_file())
}

/// Past the harness, which keeps what a passing test prints to itself.
fn skipped() {
    let _ = writeln!(std::io::stderr(), "skipped: no corpus beside the repository and none in $TEST_REPAIR_CORPUS");
}

fn detect(path: &Path) -> Vec<JobLog> {
    let mut detector = Detector::new(&path.display().to_string());
    for piece in std::fs::read(path).unwrap_or_default().chunks(4099) {
        detector.feed(piece);
    }
    detector.finish()
}

fn name(category: Category) -> String {
    serde_json::to_value(category).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
}

/// A share of each log, averaged over the logs: a log with many ids counts as much as one with few.
#[derive(Default, Clone, Copy)]
struct Mean {
    sum: f64,
    of: u32,
}

impl Mean {
    fn add(&mut self, share: f64) {
        self.sum += share;
        self.of += 1;
    }

    fn right(&mut self, right: bool) -> bool {
        self.add(f64::from(u8::from(right)));
        right
    }

    fn value(&self) -> f64 {
        if self.of == 0 { 1.0 } else { self.sum / f64::from(self.of) }
    }
}

impl std::fmt::Display for Mean {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.of {
            0 => f.pad("-"),
            of => f.pad(&format!("{:.1} % of {of}", 100.0 * self.value())),
        }
    }
}

/// What is scored of a kind of logs.
#[derive(Default)]
struct Row {
    category: Mean,
    ids: Mean,
    spurious: Mean,
    place: Mean,
}

impl Row {
    /// How many of the wanted ids were found, and how many of the found were not wanted.
    fn ids(&mut self, known: &[&str], wanted: &[String], file: &str) -> String {
        if wanted.is_empty() {
            return String::new();
        }
        let found = wanted.iter().filter(|id| known.iter().any(|known| same(known, id))).count();
        let more: Vec<&&str> = known.iter().filter(|known| !wanted.iter().any(|id| same(known, id))).collect();
        self.ids.add(found as f64 / wanted.len() as f64);
        if !known.is_empty() {
            self.spurious.add(more.len() as f64 / known.len() as f64);
        }
        match found < wanted.len() || !more.is_empty() {
            true => format!("{file}: {found} of {} ids found, {} more: {:?}\n", wanted.len(), more.len(), more.first()),
            false => String::new(),
        }
    }
}

fn table(rows: &BTreeMap<String, Row>) -> String {
    let line = |name: &str, cells: [String; 4]| {
        let cells: Vec<String> = cells.iter().map(|cell| format!(" {cell:>16}")).collect();
        format!("{name:<28}{}\n", cells.concat())
    };
    let mut text = line("logs, macro-averaged", ["category", "ids found", "ids spurious", "place"].map(str::to_owned));
    for (name, row) in rows {
        text += &line(name, [row.category, row.ids, row.spurious, row.place].map(|mean| mean.to_string()));
    }
    text
}

#[derive(Default)]
struct Score {
    right: u32,
    of: u32,
}

impl Score {
    fn add(&mut self, right: bool) -> bool {
        self.of += 1;
        self.right += u32::from(right);
        right
    }

    fn ratio(&self) -> f64 {
        if self.of == 0 { 1.0 } else { f64::from(self.right) / f64::from(self.of) }
    }
}

impl std::fmt::Display for Score {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.right, self.of)
    }
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn ids(jobs: &[JobLog]) -> Vec<&str> {
    jobs.iter().flat_map(|job| &job.failures).filter_map(|failure| failure.test_id.as_deref()).collect()
}

/// Labels of unittest's ids are sometimes written as pytest's.
fn same(id: &str, label: &str) -> bool {
    let plain = |id: &str| id.replace(".py::", ".").replace("::", ".").replace("__main__.", "");
    id == label || id.ends_with(label) || plain(label).ends_with(&plain(id))
}

#[test]
fn the_logs_are_read_as_their_labels_say() {
    let Some(corpus) = corpus() else {
        skipped();
        return;
    };
    let manifest = std::fs::read_to_string(corpus.join("logs/manifest.jsonl")).expect("the manifest is readable");
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    let mut false_alarms = 0;
    for label in manifest.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let file = label["file"].as_str().unwrap_or_default();
        let jobs = detect(&corpus.join(file));
        let wanted = label["category"].as_str().unwrap_or_default();
        if wanted == "passing_control" {
            let extracted: usize = jobs.iter().map(|job| job.failures.len()).sum();
            false_alarms += extracted;
            if extracted > 0 {
                eprintln!("{file}: {extracted} failures in a job that succeeded");
            }
            continue;
        }
        let got = jobs.iter().find_map(|job| job.category).map(name).unwrap_or_default();
        let mut right = strings(&label["category_alt"]);
        right.push(wanted.to_owned());
        let ecosystem = if label["ecosystem"] == "python" { "python" } else { "rest" };
        let project = label["source"]["repo"].as_str().unwrap_or("other projects");
        for row in [ecosystem.to_owned(), format!("  {wanted}"), format!("    of {project}")] {
            let first = row == ecosystem;
            let row = rows.entry(row).or_default();
            if !row.category.right(right.contains(&got)) && first {
                let said =
                    jobs.iter().flat_map(|job| &job.failures).next().map(|f| format!("{} {}", f.tool, f.message));
                let said = said.unwrap_or_default();
                eprintln!("{file}: category {got}, not {right:?}: {}", said.lines().next().unwrap_or_default());
            }
            let said = row.ids(&ids(&jobs), &strings(&label["failing_ids"]), file);
            if first {
                eprint!("{said}");
            }
            if let Some(true_file) = label["true_file"].as_str() {
                let line = label["true_line"].as_u64();
                let ok = jobs.iter().flat_map(|job| &job.failures).any(|failure| {
                    failure.file.as_deref() == Some(true_file)
                        && (line.is_none() || failure.line.map(u64::from) == line)
                });
                if !row.place.right(ok) && first {
                    let first = jobs.iter().flat_map(|job| &job.failures).next();
                    let first = first.map(|f| (&f.file, f.line));
                    eprintln!("{file}: place {true_file}:{line:?} not found; first {first:?}");
                }
            }
        }
    }
    eprint!("{}", table(&rows));
    assert_eq!(false_alarms, 0, "a green log yields no failure");
    for kind in ["python", "rest"] {
        let row = &rows[kind];
        assert!(row.category.value() >= 0.95, "{kind}: category {}", row.category);
        assert!(row.ids.value() >= 0.95, "{kind}: ids {}", row.ids);
        assert!(row.spurious.value() <= 0.02, "{kind}: spurious {}", row.spurious);
        assert!(row.place.value() >= 0.92, "{kind}: place {}", row.place);
    }
}

/// What each case's commands print once its fix is in. `tests/after_fix_logs.py CORPUS target/after-fix` makes the logs,
/// which takes half an hour.
#[test]
fn nothing_is_found_in_what_a_case_prints_after_its_fix() {
    let given = std::env::var_os("TEST_REPAIR_AFTER_FIX").map(PathBuf::from);
    let folder = given.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/after-fix"));
    let Ok(entries) = std::fs::read_dir(&folder) else {
        let _ = writeln!(
            std::io::stderr(),
            "skipped: no logs in {} (tests/after_fix_logs.py makes them)",
            folder.display()
        );
        return;
    };
    let mut logs: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    logs.sort();
    for log in &logs {
        for job in detect(log) {
            let seen: Vec<String> = job.failures.iter().map(|f| format!("{} {}", f.tool, f.message)).collect();
            assert!(
                seen.is_empty() && job.result == JobResult::Success,
                "{}: {:?} {seen:?}",
                log.display(),
                job.result
            );
        }
    }
    eprintln!("{} logs, nothing found in any", logs.len());
}

#[test]
fn the_cases_are_read_as_their_labels_say() {
    let Some(corpus) = corpus() else {
        skipped();
        return;
    };
    let mut scores: BTreeMap<&str, Score> = BTreeMap::new();
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    for folder in ["cases", "wild"] {
        let mut cases: Vec<PathBuf> = std::fs::read_dir(corpus.join(folder))
            .expect("the corpus is readable")
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .filter(|path| path.join("case.json").is_file())
            .collect();
        cases.sort();
        for path in cases {
            let case: Value =
                serde_json::from_slice(&std::fs::read(path.join("case.json")).expect("a case")).expect("JSON");
            let jobs = detect(&path.join("ci.log"));
            let title = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let job = jobs.first().expect("a job");
            let mut check = |what: &'static str, ok: bool, said: String| {
                if !scores.entry(what).or_default().add(ok) {
                    eprintln!("{folder}/{title}: {what}: {said}");
                }
            };
            let category = job.category.map(name).unwrap_or_default();
            check("category", Some(category.as_str()) == case["category"].as_str(), category.clone());
            check("result", job.result == JobResult::Failure, format!("{:?}", job.result));
            let known = ids(&jobs);
            let row = rows.entry(folder.to_owned()).or_default();
            row.category.right(Some(category.as_str()) == case["category"].as_str());
            eprint!("{}", row.ids(&known, &strings(&case["failing_tests"]), &title));
            for id in strings(&case["failing_tests"]) {
                check("ids", known.iter().any(|known| same(known, &id)), format!("{id} not in {known:?}"));
            }
            let no_more = known.iter().all(|known| strings(&case["failing_tests"]).iter().any(|id| same(known, id)));
            check("no more ids", no_more || known.is_empty() || category != "unit_test", format!("{known:?}"));
            check("python", job.python.as_deref() == case["python_full"].as_str(), format!("{:?}", job.python));
            let scripts: Vec<&str> = job
                .steps
                .iter()
                .filter_map(|step| match &step.kind {
                    StepKind::Run { script, .. } => Some(script.as_str()),
                    StepKind::Uses { .. } => None,
                })
                .collect();
            let all = scripts.join("\n");
            let failing = case["failing_command"].as_str().unwrap_or_default();
            check("failing command", all.contains(failing.trim()), format!("{failing:?} not in {scripts:?}"));
            let installs = case["install"].as_str().map(str::to_owned).into_iter().chain(strings(&case["install"]));
            for install in installs {
                check("install", all.contains(install.trim()), format!("{install:?} not in {scripts:?}"));
            }
            let failed = job.steps.iter().find(|step| step.failed);
            check(
                "failed step",
                failed.is_some_and(|step| step.exit == case["exit_code"].as_i64().map(|n| n as i32)),
                format!("{failed:?}"),
            );
            check(
                "repository",
                job.repository.is_some() && job.sha.is_some() && job.workspace.is_some(),
                format!("{:?} {:?} {:?}", job.repository, job.sha, job.workspace),
            );
            check(
                "command",
                job.failures.iter().all(|f| f.command.as_deref().is_some_and(|c| c.contains(failing.trim()))),
                String::new(),
            );
            for failure in &job.failures {
                let at = format!("{}:{}", failure.file.as_deref().unwrap_or("-"), failure.line.unwrap_or(0));
                println!(
                    "{title} | {} {} | {} | {at} | x{} {} | {:?} | {}",
                    failure.tool,
                    name(failure.category),
                    failure.test_id.as_deref().unwrap_or("-"),
                    failure.count,
                    failure.fingerprint,
                    failure.key,
                    failure.message.lines().next().unwrap_or_default()
                );
            }
        }
    }
    eprint!("{}", table(&rows));
    for (what, score) in &scores {
        eprintln!("{what:<20} {score}");
    }
    for (what, floor) in [("category", 1.0), ("result", 1.0), ("ids", 1.0), ("python", 1.0), ("failing command", 1.0)] {
        assert!(scores.get(what).is_some_and(|score| score.ratio() >= floor), "{what}");
    }
}
