//! Collecting: the failed jobs of the right attempt, their logs on disk, and where in them the failures stand.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{BufReader, Read as _},
    path::{Path, PathBuf},
};

use anyhow::Result;
use sha2::{Digest as _, Sha256};

use super::{Expected, Stopped, Wish, skipped};
use crate::{
    detect::{Category, JobLog},
    github::{Client, GitHubError, Job, Run, event::Via},
    origin::{Origin, OriginJob},
    outcome::{Outcome, Repair},
    pipeline,
    scratch::Scratch,
};

/// Bytes of one job's log.
const LARGEST_LOG: u64 = 512 << 20;
/// Failed jobs that are read; more are named.
const MOST_JOBS: usize = 20;
/// Of a line of a log, when failures are looked for in it.
const LONGEST_LINE: usize = 4096;

/// What was collected of a run.
pub(super) struct Collected {
    /// The logs of its failed jobs.
    pub(super) logs: Vec<PathBuf>,
    /// The job of each.
    pub(super) jobs: BTreeMap<PathBuf, String>,
    /// The commit that the checkout step's log names.
    pub(super) tested: Option<String>,
    _scratch: Scratch,
}

/// The run as reports show it; its jobs come with [`collect`].
pub(super) fn origin(wish: &Wish, run: &Run, repository: &str) -> Origin {
    Origin {
        server: wish.server.clone(),
        repository: repository.to_owned(),
        run_id: run.id,
        attempt: u32::try_from(run.run_attempt).unwrap_or(1),
        workflow: run.name.clone(),
        event: run.event.clone(),
        head_branch: run.head_branch.clone(),
        head_sha: run.head_sha.clone(),
        pull_request: tested_pull(run),
        ..Origin::default()
    }
}

/// The pull request whose head failed, where the run says it.
pub(super) fn tested_pull(run: &Run) -> Option<u64> {
    let of_pull = run.event.starts_with("pull_request");
    run.pull_requests.first().filter(|_| of_pull).map(|pull| pull.number).filter(|number| *number > 0)
}

/// Downloads the logs of the failed jobs.
pub(super) async fn collect(client: &Client, wish: &Wish, run: &Run, repair: &mut Repair) -> Expected<Collected> {
    let jobs = client.jobs(run.id, run.run_attempt).await?;
    // Our own job, where it is one of the run's, has not ended yet.
    let failed: Vec<&Job> = jobs.iter().filter(|job| job.has_failed()).collect();
    if failed.is_empty() {
        return skipped(match (run.conclusion.as_str(), wish.via) {
            ("startup_failure", _) => {
                "GitHub could not start the workflow: its file is invalid, or names what is not there. No job ran, so there \
                 is no log to read; the run's page says what is wrong"
                    .to_owned()
            }
            (_, Via::SameRun) => "no job of this run has failed so far: put `needs:` all jobs and `if: failure()`".to_owned(),
            _ => "no job of the run has failed".to_owned(),
        });
    }
    if failed.len() > MOST_JOBS {
        let left: Vec<&str> = failed[MOST_JOBS..].iter().map(|job| job.name.as_str()).collect();
        repair.learned.notes.push(format!("only {MOST_JOBS} failed jobs are read; left out: {}", left.join(", ")));
    }
    let scratch = Scratch::new()?;
    let mut collected = Collected { logs: Vec::new(), jobs: BTreeMap::new(), tested: None, _scratch: scratch };
    let mut missing = Vec::new();
    for job in failed.iter().take(MOST_JOBS) {
        if let Some(origin) = repair.origin.as_mut() {
            origin.jobs.push(shown(job));
        }
        let file = collected._scratch.path().join(format!("{}.log", job.id));
        match client.job_log(job.id, &file, LARGEST_LOG).await {
            Ok(done) => {
                if done.cut {
                    let note = format!(
                        "the log of {} is longer than {} MiB: the rest is not read",
                        job.name,
                        LARGEST_LOG >> 20
                    );
                    repair.learned.notes.push(note);
                }
                if done.bytes > 0 {
                    collected.add(file, &job.name);
                }
            }
            Err(error) if error.is_absent() => missing.push((*job, error)),
            Err(error) => return Err(error.into()),
        }
    }
    if !missing.is_empty() {
        from_archive(client, run, &mut collected, &mut missing, repair).await?;
    }
    if let (true, Some((_, error))) = (collected.logs.is_empty(), missing.first()) {
        return skipped(format!("there is no log to read: {error}"));
    }
    repair.learned.notes.extend(missing.iter().map(|(job, error)| format!("{}: {error}", job.name)));
    if collected.logs.is_empty() {
        return Ok(Err(Stopped {
            outcome: Outcome::Skipped,
            reason: "the logs of the failed jobs are empty".to_owned(),
        }));
    }
    Ok(Ok(collected))
}

/// Takes the jobs that have no log of their own from the run's archive; of those that are missing there too, the
/// annotations.
async fn from_archive(
    client: &Client,
    run: &Run,
    collected: &mut Collected,
    missing: &mut Vec<(&Job, GitHubError)>,
    repair: &mut Repair,
) -> Result<()> {
    let archive = collected._scratch.path().join("run.zip");
    match client.run_logs(run.id, run.run_attempt, &archive, 4 * LARGEST_LOG).await {
        Ok(done) if done.bytes > 0 && !done.cut => missing.retain(|(job, _)| {
            let file = collected._scratch.path().join(format!("{}.log", job.id));
            let found = unpacked(&archive, &job.name, &file).unwrap_or(false);
            if found {
                collected.add(file, &job.name);
            }
            !found
        }),
        Ok(done) if done.cut => {
            let most = (4 * LARGEST_LOG) >> 20;
            repair.learned.notes.push(format!("the run's archive of logs is larger than {most} MiB, and not read"));
        }
        Ok(_) => {}
        Err(error) if error.is_absent() => {}
        Err(error) => return Err(error.into()),
    }
    for (job, _) in missing.iter().take(3) {
        // Only where the token may read checks.
        for said in client.annotations(job.id).await.unwrap_or_default().iter().take(5) {
            repair.learned.notes.push(format!("{}: {}:{}: {}", job.name, said.path, said.start_line, said.message));
        }
    }
    Ok(())
}

/// Writes a job's log out of a run's archive, where it is in it: `N_job.txt` at the top, the name without `/` and `:`, and
/// cut at 90 UTF-16 units (as cli/cli's `pkg/cmd/run/view/logs.go` reads it).
fn unpacked(archive: &Path, job: &str, to: &Path) -> Result<bool> {
    let plain = |name: &str| name.replace(['/', ':'], "");
    let wanted: String = plain(job).encode_utf16().take(90).flat_map(|unit| char::from_u32(u32::from(unit))).collect();
    let mut archive = zip::ZipArchive::new(BufReader::new(File::open(archive)?))?;
    let is_wanted = |name: &str| {
        let number_and_job = name.strip_suffix(".txt").and_then(|name| name.trim_start_matches('-').split_once('_'));
        number_and_job.is_some_and(|(number, of)| {
            !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) && (of == wanted || of == plain(job))
        })
    };
    let name = archive.file_names().flatten().find(|name| is_wanted(name)).map(|name| name.into_owned());
    let Some(name) = name else { return Ok(false) };
    let mut log = archive.by_name(&name)?.take(LARGEST_LOG);
    Ok(std::io::copy(&mut log, &mut File::create(to)?)? > 0)
}

fn shown(job: &Job) -> OriginJob {
    let failed_step = job.failed_step().map(|step| (step.number, step.name.clone()));
    OriginJob { id: job.id, name: job.name.clone(), url: job.html_url.clone(), failed_step, lines: Vec::new() }
}

impl Collected {
    fn add(&mut self, file: PathBuf, job: &str) {
        self.jobs.insert(file.clone(), job.to_owned());
        self.logs.push(file);
    }

    /// Logs of another run's jobs, for [`super::base`].
    pub(super) fn of(scratch: Scratch, logs: Vec<(PathBuf, String)>) -> Collected {
        let mut collected = Collected { logs: Vec::new(), jobs: BTreeMap::new(), tested: None, _scratch: scratch };
        logs.into_iter().for_each(|(file, job)| collected.add(file, &job));
        collected
    }

    /// Finds where in the logs the failures stand, and what was tested.
    pub(super) fn locate(&mut self, logs: &[JobLog], origin: Option<&mut Origin>) {
        self.tested = logs
            .iter()
            .filter(|log| !log.failures.is_empty())
            .find_map(|log| log.sha.clone())
            .filter(|sha| sha.len() == 40);
        let Some(origin) = origin else { return };
        for job in &mut origin.jobs {
            let file = self.jobs.iter().find(|(_, name)| **name == job.name).map(|(file, _)| file);
            let Some(log) = logs.iter().find(|log| log.job.as_ref() == Some(&job.name)) else { continue };
            let messages: Vec<&str> = log.failures.iter().take(50).map(|f| f.message.as_str()).collect();
            job.lines = file.map(|file| lines_of(file, &messages)).unwrap_or_default();
        }
    }
}

/// Where in a job's log each message stands first, counted as GitHub's page does: from the beginning of its step.
fn lines_of(log: &Path, messages: &[&str]) -> Vec<(String, u64)> {
    let wanted =
        |message: &str| message.lines().next().unwrap_or_default().trim().chars().take(200).collect::<String>();
    let mut left: Vec<(&str, String)> =
        messages.iter().map(|m| (*m, wanted(m))).filter(|(_, text)| text.len() >= 8).collect();
    let Ok(file) = File::open(log) else { return Vec::new() };
    let mut reader = BufReader::new(file);
    let (mut found, mut number, mut line) = (Vec::new(), 0u64, Vec::new());
    while !left.is_empty() {
        line.clear();
        match next_line(&mut reader, &mut line) {
            Ok(true) => {}
            _ => break,
        }
        let text = String::from_utf8_lossy(&line);
        number = if text.contains("##[group]Run ") { 1 } else { number + 1 };
        left.retain(|(message, wanted)| {
            let here = text.contains(wanted.as_str());
            if here {
                found.push(((*message).to_owned(), number));
            }
            !here
        });
    }
    found
}

/// A line, of which the beginning is kept; `false` at the end.
fn next_line(reader: &mut impl std::io::BufRead, line: &mut Vec<u8>) -> std::io::Result<bool> {
    let mut any = false;
    loop {
        let part = reader.fill_buf()?;
        if part.is_empty() {
            return Ok(any);
        }
        any = true;
        let end = part.iter().position(|byte| *byte == b'\n');
        let upto = end.unwrap_or(part.len());
        let room = LONGEST_LINE.saturating_sub(line.len());
        line.extend_from_slice(&part[..upto.min(room)]);
        let used = end.map_or(upto, |end| end + 1);
        reader.consume(used);
        if end.is_some() {
            return Ok(true);
        }
    }
}

/// What the run's repair is known by: the fingerprints of its causes.
pub(super) fn fingerprint(logs: &[JobLog]) -> String {
    let failures = logs.iter().flat_map(|log| &log.failures);
    let of_code = failures.filter(|f| !matches!(f.category, Category::Infra | Category::Aggregate));
    let causes: BTreeSet<&str> = of_code.map(|failure| failure.fingerprint.as_str()).collect();
    let mut hash = Sha256::new();
    for cause in causes {
        hash.update(cause);
        hash.update("\n");
    }
    hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

/// The kinds of fix that these logs take, each once.
pub(super) fn fix_types(logs: &[JobLog]) -> Vec<&'static str> {
    let failures = logs.iter().flat_map(|log| &log.failures);
    let mut types: BTreeSet<&str> = BTreeSet::new();
    for failure in failures {
        types.extend(pipeline::fix_type(failure.category));
        if failure.category == Category::ImportDependency {
            types.insert("import");
        }
    }
    types.into_iter().collect()
}

/// Reads the jobs' logs of another run, for a look at what fails there.
pub(super) async fn logs_of(client: &Client, run: &Run, names: &BTreeSet<&str>) -> Result<(Collected, Vec<JobLog>)> {
    let jobs = client.jobs(run.id, run.run_attempt.max(1)).await?;
    let scratch = Scratch::new()?;
    let mut files = Vec::new();
    for job in jobs.iter().filter(|job| job.has_failed() && names.contains(job.name.as_str())).take(MOST_JOBS) {
        let file = scratch.path().join(format!("{}.log", job.id));
        if client.job_log(job.id, &file, LARGEST_LOG).await.is_ok_and(|done| done.bytes > 0) {
            files.push((file, job.name.clone()));
        } else {
            let _ = fs::remove_file(&file);
        }
    }
    let collected = Collected::of(scratch, files);
    let logs = pipeline::read_logs(&collected.logs, &collected.jobs)?;
    Ok((collected, logs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failures_line_is_counted_from_the_beginning_of_its_step() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("log");
        let text = "T Set up\nT ##[group]Run pytest\nT pytest\nT ##[endgroup]\nT E   AssertionError: 4 != 3\nT x\n";
        fs::write(&file, text).unwrap();
        let found = lines_of(&file, &["AssertionError: 4 != 3\nmore", "not in the log", "x"]);
        assert_eq!(found, [("AssertionError: 4 != 3\nmore".to_owned(), 4)]);
    }

    #[test]
    fn a_jobs_log_is_found_in_an_archive_by_what_is_left_of_its_name() {
        let directory = tempfile::tempdir().unwrap();
        let archive = directory.path().join("run.zip");
        let mut zip = zip::ZipWriter::new(File::create(&archive).unwrap());
        let long = "x".repeat(100);
        for (name, text) in
            [("0_test (3.11, ab).txt", "one"), (&format!("-1_{}.txt", &long[..90]), "two"), ("test/1_Set up.txt", "no")]
        {
            zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
            std::io::Write::write_all(&mut zip, text.as_bytes()).unwrap();
        }
        zip.finish().unwrap();
        let log = directory.path().join("log");
        for (job, text) in [("test (3.11, a/b)", "one"), (&long, "two")] {
            assert!(unpacked(&archive, job, &log).unwrap());
            assert_eq!(fs::read_to_string(&log).unwrap(), text);
        }
        assert!(!unpacked(&archive, "Set up", &log).unwrap());
    }

    #[test]
    fn a_line_without_end_takes_bounded_memory() {
        let mut line = Vec::new();
        let mut bytes = &[b'x'; 100_000][..];
        assert!(next_line(&mut bytes, &mut line).unwrap());
        assert_eq!(line.len(), LONGEST_LINE);
        assert!(!next_line(&mut bytes, &mut line).unwrap());
    }
}
