//! eval: a corpus of failing repositories in, a table out.
//!
//! A case is a folder with `repo.tar.gz` (the failing tree in one folder), `ci.log`, `case.json` and `fix.patch`. Only
//! the tree and the log are given to the repair; `case.json` says what to score against.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context as _, Result, bail};
use console::style;
use serde::{Deserialize, Serialize};

use crate::{
    cli::{self, EvalArgs, Format},
    config::ModelFlags,
    fix::{self, FixOptions},
    input::BadInput,
    llm::Usage,
    mind::TranscriptFile,
    outcome::{Outcome, Repair, TargetReport, Verdict, Verification},
    pipeline::Request,
    plan::Overrides,
    progress::Progress,
    redact::shown_line,
    repair::ladder::Steps,
    report::{self, Table},
    scratch::Scratch,
    verify::{self, VerifyOptions},
};

/// What `case.json` says that is scored against.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Case {
    category: String,
    tool: String,
    failing_tests: Vec<String>,
    expected_outcome: Option<String>,
}

/// What came of a case.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Scored {
    case: String,
    category: String,
    tool: String,
    /// `outcome` of `fix`, `verdict` of `verify`, or `error`.
    ended: String,
    /// What the case is expected to end as, where it says so.
    expected: Option<String>,
    reproduced: bool,
    /// Of the failing tests that the case names, how many were reproduced.
    tests_reproduced: Option<(usize, usize)>,
    files: Vec<String>,
    seconds: f64,
    /// Of those, the seconds that the model took.
    #[serde(default)]
    model_seconds: f64,
    /// What the model cost.
    #[serde(default)]
    usage: Usage,
    /// The first reason why it is not better.
    why: String,
}

/// Replays the corpus. 0 when every case could be run, 1 else.
///
/// # Errors
/// [`BadInput`] for a corpus without cases.
pub async fn eval(args: &EvalArgs) -> Result<u8> {
    let cases = cases(args)?;
    let mut done: Vec<Scored> = Vec::new();
    if let Some(file) = args.resume.as_ref().filter(|f| f.exists()) {
        for line in fs::read_to_string(file)?.lines().filter(|l| !l.trim().is_empty()) {
            let scored = serde_json::from_str(line)
                .map_err(|e| BadInput(format!("{} is no result of eval: {e}", file.display())))?;
            done.push(scored);
        }
    }
    let finished: BTreeSet<String> = done.iter().map(|s| s.case.clone()).collect();
    let total = cases.len();
    let mut waiting = cases.into_iter().filter(|d| !finished.contains(&name_of(d)));
    let mut running = tokio::task::JoinSet::new();
    let ended = interrupted();
    tokio::pin!(ended);
    let mut interrupted = false;
    loop {
        while running.len() < usize::from(args.jobs) {
            let Some(directory) = waiting.next() else { break };
            let setting = Setting::of(args)?;
            running.spawn(async move { one(&directory, &setting).await });
        }
        let scored = tokio::select! {
            next = running.join_next() => match next {
                Some(scored) => scored.context("a case panicked")?,
                None => break,
            },
            () = &mut ended => {
                interrupted = true;
                break;
            }
        };
        report::complain(&format!(
            "[{}/{total}] {}: {} ({:.0} s)",
            done.len() + 1,
            shown_line(&scored.case, 200),
            scored.ended,
            scored.seconds
        ));
        if let Some(file) = &args.resume {
            let mut file = File::options().create(true).append(true).open(file)?;
            file.write_all(report::json_line(&scored).as_bytes())?;
        }
        done.push(scored);
    }
    done.sort_by(|a, b| a.case.cmp(&b.case));
    report::print(&match args.format {
        Format::Text => table(&done),
        Format::Json => done.iter().map(report::json_line).collect(),
    });
    if interrupted {
        report::complain(&format!("interrupted: {} of {total} cases are done", done.len()));
        return Ok(130);
    }
    Ok(u8::from(done.iter().any(|s| s.ended == "error")))
}

/// Ctrl-C, or a polite end.
async fn interrupted() {
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
}

fn cases(args: &EvalArgs) -> Result<Vec<PathBuf>> {
    let pattern = glob::Pattern::new(&args.filter).map_err(|e| BadInput(format!("--filter {}: {e}", args.filter)))?;
    let mut found = Vec::new();
    for root in [args.corpus.clone(), args.corpus.join("cases")] {
        let Ok(entries) = root.read_dir() else { continue };
        let directories = entries.filter_map(Result::ok).map(|e| e.path()).filter(|p| p.join("repo.tar.gz").is_file());
        found.extend(directories.filter(|p| pattern.matches(&name_of(p))));
    }
    if args.corpus.join("repo.tar.gz").is_file() {
        found.push(args.corpus.clone());
    }
    found.sort();
    if found.is_empty() {
        let corpus = args.corpus.display();
        bail!(BadInput(format!(
            "{corpus} has no case (a folder with repo.tar.gz and ci.log) that matches {}",
            args.filter
        )));
    }
    Ok(found)
}

fn name_of(directory: &Path) -> String {
    directory.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}

#[derive(Clone)]
struct Setting {
    verify: bool,
    out: Option<PathBuf>,
    timeout: u64,
    cache: PathBuf,
    no_isolation: bool,
    launcher: PathBuf,
    steps: Steps,
    model: ModelFlags,
}

impl Setting {
    fn of(args: &EvalArgs) -> Result<Setting> {
        Ok(Setting {
            verify: args.verify,
            out: args.out.clone(),
            timeout: args.timeout,
            cache: args.sandbox.cache()?,
            no_isolation: args.sandbox.no_isolation,
            launcher: cli::launcher()?,
            steps: args.model.steps(),
            model: args.model.flags(&args.sandbox)?,
        })
    }

    /// Of one case: its transcript lies beside its outcome.
    fn options(&self, case: &str) -> FixOptions {
        let transcript = match &self.out {
            Some(out) => TranscriptFile::New(out.join(case).join("transcript.jsonl")),
            None => TranscriptFile::Kept(self.cache.join("transcripts")),
        };
        // Each case has a recording of its own.
        let cassette = self.model.cassette.as_ref().map(|file| {
            let mut name = file.clone().into_os_string();
            name.push(format!(".{case}"));
            PathBuf::from(name)
        });
        let model = ModelFlags { cassette, ..self.model.clone() };
        FixOptions { fix_types: Vec::new(), steps: self.steps, model, transcript }
    }
}

async fn one(directory: &Path, setting: &Setting) -> Scored {
    let begun = Instant::now();
    let case = fs::read(directory.join("case.json"))
        .ok()
        .and_then(|b| serde_json::from_slice::<Case>(&b).ok())
        .unwrap_or_default();
    let mut scored = Scored {
        case: name_of(directory),
        category: case.category.clone(),
        tool: case.tool.clone(),
        ended: "error".to_owned(),
        expected: case.expected_outcome.clone(),
        reproduced: false,
        tests_reproduced: None,
        files: Vec::new(),
        seconds: 0.0,
        model_seconds: 0.0,
        usage: Usage::default(),
        why: String::new(),
    };
    if let Err(error) = replay(directory, setting, &case, &mut scored).await {
        scored.why = shown_line(&format!("{error:#}"), 300);
    }
    scored.seconds = begun.elapsed().as_secs_f64();
    scored
}

async fn replay(directory: &Path, setting: &Setting, case: &Case, scored: &mut Scored) -> Result<()> {
    let scratch = Scratch::new()?;
    let archive = flate2::read::GzDecoder::new(File::open(directory.join("repo.tar.gz"))?);
    tar::Archive::new(archive).unpack(scratch.path().join("tree")).context("repo.tar.gz cannot be unpacked")?;
    let unpacked = scratch.path().join("tree");
    let mut roots = fs::read_dir(&unpacked)?.filter_map(Result::ok).map(|e| e.path()).filter(|p| p.is_dir());
    let repository = roots.next().context("repo.tar.gz holds no folder")?;
    let request = Request {
        repository,
        logs: vec![directory.join("ci.log")],
        overrides: Overrides::default(),
        timeout: Some(setting.timeout),
        cache: setting.cache.clone(),
        no_isolation: setting.no_isolation,
        launcher: setting.launcher.clone(),
        config: None,
        jobs: BTreeMap::new(),
        pythons: Vec::new(),
        own: Vec::new(),
    };
    let progress = Progress::silent();
    let (text, patch) = if setting.verify {
        let mut verification = Verification::new();
        let patch = directory.join("fix.patch");
        verify::verify(&request, &patch, &VerifyOptions::default(), &progress, &mut verification).await?;
        scored.ended = word(&verification.verdict);
        scored.score(case, &verification.learned.targets);
        let good = matches!(verification.verdict, Verdict::Proven);
        scored.why = if good { String::new() } else { verification.all_reasons().join("; ") };
        (report::json_line(&verification), Vec::new())
    } else {
        let mut repair = Repair::new();
        let ended = fix::fix(&request, &setting.options(&scored.case), &progress, &mut repair).await;
        // Also where it ended in an error: it was paid for.
        scored.usage = repair.usage;
        ended?;
        repair.timings = progress.timings();
        scored.ended = word(&repair.outcome);
        scored.score(case, &repair.learned.targets);
        scored.files = repair.fix.iter().flat_map(|f| f.files.clone()).collect();
        scored.why = why(&repair);
        scored.model_seconds =
            repair.timings.iter().filter(|t| t.stage == "model").map(|t| t.seconds).fold(0.0, |a, b| a + b);
        (report::json_line(&repair), repair.patch)
    };
    if let Some(out) = &setting.out {
        let out = out.join(&scored.case);
        fs::create_dir_all(&out)?;
        fs::write(out.join("outcome.json"), text)?;
        if !patch.is_empty() {
            fs::write(out.join("fix.patch"), patch)?;
        }
    }
    Ok(())
}

impl Scored {
    fn score(&mut self, case: &Case, targets: &[TargetReport]) {
        let reproduced = targets.iter().filter(|t| t.baseline.as_ref().is_some_and(|b| b.reproduced > 0));
        let ids: BTreeSet<&str> = reproduced
            .flat_map(|t| &t.failures)
            .flat_map(|f| [f.test_id.as_deref(), f.file.as_deref()])
            .flatten()
            .collect();
        self.reproduced = targets.iter().any(|t| t.baseline.as_ref().is_some_and(|b| b.reproduced > 0));
        if !case.failing_tests.is_empty() {
            let seen = case.failing_tests.iter().filter(|id| ids.contains(id.as_str())).count();
            self.tests_reproduced = Some((seen, case.failing_tests.len()));
        }
    }
}

fn why(repair: &Repair) -> String {
    if repair.outcome == Outcome::Fixed {
        return String::new();
    }
    let flags = repair.fix.iter().flat_map(|f| f.flags.clone());
    let attempts = repair.attempts.iter().flat_map(|a| a.reasons.clone());
    let baselines = repair.learned.targets.iter().filter_map(|t| t.baseline.as_ref()?.why.clone());
    flags.chain(attempts).chain(baselines).chain(repair.learned.notes.clone()).next().unwrap_or_default()
}

fn word(value: &impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|v| Some(v.as_str()?.to_owned())).unwrap_or_default()
}

fn table(scored: &[Scored]) -> String {
    let asked = scored.iter().any(|s| s.usage.calls > 0);
    let mut head = vec!["case", "category", "reproduced", "ended", "seconds"];
    if asked {
        head.extend(["model s", "calls", "tokens in", "cached", "out", "dollars"]);
    }
    head.push("files, or why not");
    let mut table = Table::new(&head);
    for case in scored {
        let ended = match case.ended.as_str() {
            "fixed" | "proven" => style(&case.ended).green(),
            "flagged" => style(&case.ended).yellow(),
            _ => style(&case.ended).red(),
        };
        let reproduced = match (case.reproduced, case.tests_reproduced) {
            (true, Some((seen, all))) => format!("{seen}/{all}"),
            (true, None) => "yes".to_owned(),
            (false, _) => "no".to_owned(),
        };
        let last =
            if case.files.is_empty() { shown_line(&case.why, 90) } else { shown_line(&case.files.join(", "), 400) };
        let mut row = vec![
            shown_line(&case.case, 100),
            shown_line(&case.category, 40),
            reproduced,
            ended.to_string(),
            format!("{:.0}", case.seconds),
        ];
        if asked {
            let Usage { calls, prompt_tokens, cached_tokens, completion_tokens, cost_usd } = case.usage;
            row.extend([format!("{:.0}", case.model_seconds), calls.to_string()]);
            row.extend([prompt_tokens, cached_tokens, completion_tokens].map(|n| n.to_string()));
            row.push(format!("{cost_usd:.5}"));
        }
        row.push(last);
        table.row(row);
    }
    let count = |word: &str| scored.iter().filter(|s| s.ended == word).count();
    let mut words: Vec<&str> = scored.iter().map(|s| s.ended.as_str()).collect();
    words.sort_unstable();
    words.dedup();
    let sums: Vec<String> = words.iter().map(|w| format!("{} {w}", count(w))).collect();
    let reproduced = scored.iter().filter(|s| s.reproduced).count();
    let mut text = format!("{}\n{reproduced} of {} reproduced; {}\n", table.render(0), scored.len(), sums.join(", "));
    if asked {
        text.push_str(&costs(scored));
    }
    text
}

/// What the model cost, in all and at the median of the cases that asked it.
fn costs(scored: &[Scored]) -> String {
    let asked: Vec<&Scored> = scored.iter().filter(|s| s.usage.calls > 0).collect();
    let median = |of: &dyn Fn(&Scored) -> f64| {
        let mut values: Vec<f64> = asked.iter().map(|s| of(s)).collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
    };
    let mut all = Usage::default();
    asked.iter().for_each(|s| all += s.usage);
    format!(
        "the model was asked in {} case(s): {} calls, ${:.4}; at the median {} call(s), {:.0} prompt tokens of which {:.0} uncached, {:.0} completion tokens, ${:.5}\n",
        asked.len(),
        all.calls,
        all.cost_usd,
        median(&|s| f64::from(s.usage.calls)),
        median(&|s| s.usage.prompt_tokens as f64),
        median(&|s| s.usage.prompt_tokens.saturating_sub(s.usage.cached_tokens) as f64),
        median(&|s| s.usage.completion_tokens as f64),
        median(&|s| s.usage.cost_usd),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_of_a_case_or_file_reaches_the_terminal_with_an_escape_in_it() {
        let evil = "a\u{1b}[2Jb";
        let line = serde_json::json!({
            "case": evil, "category": evil, "tool": evil, "ended": "fixed", "expected": null, "reproduced": true,
            "tests_reproduced": null, "files": [evil], "seconds": 1.0, "why": evil,
        });
        let scored: Scored = serde_json::from_value(line).unwrap();
        assert!(!table(&[scored]).contains("\u{1b}[2J"));
    }
}
