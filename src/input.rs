//! input: what a person gives, read and refused with a clear word where it can't be used.

use std::{
    fs::File,
    io::{self, Read, Seek as _},
    path::{Path, PathBuf},
};

use crate::{
    detect::{Detector, JobLog},
    plan::{
        Project, Sources,
        workflow::{self, Workflow, Workflows},
    },
    sandbox,
    workspace::Tree,
};

/// Something that was given can't be used; the message says what, where and what to do. Exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadInput(pub String);

/// No patch is larger; a diff of a dependency tree is no repair.
const LARGEST_PATCH: u64 = 64 << 20;

/// No run's logs are larger; more is a bomb.
const LARGEST_ARCHIVE: u64 = 4 << 30;

/// A run has no more jobs and steps.
const MOST_ENTRIES: usize = 50_000;

/// Reads a job's log, or standard input for `-`.
///
/// # Errors
/// [`BadInput`] when the log is missing, unreadable, empty or no text.
pub fn read_log(path: &Path) -> Result<Vec<JobLog>, BadInput> {
    let name = path.display().to_string();
    if path == Path::new("-") {
        return read_stream("standard input", io::stdin().lock());
    }
    let refused = |e: io::Error| BadInput(format!("the log {name} cannot be read: {e}"));
    if path.is_dir() {
        return Err(BadInput(format!("{name} is a directory: --log takes a job's log file")));
    }
    let mut file = File::open(path).map_err(refused)?;
    let mut magic = [0; 4];
    let read = file.read(&mut magic).map_err(refused)?;
    file.rewind().map_err(refused)?;
    if magic[..read] == *b"PK\x03\x04" {
        return read_archive(&name, file);
    }
    read_stream(&name, file)
}

/// No transcript is longer.
const LARGEST_TRANSCRIPT: u64 = 256 << 20;

/// Reads a transcript, or standard input for `-`.
///
/// # Errors
/// [`BadInput`] when it is missing, unreadable or too long.
pub fn read_transcript(path: &Path) -> Result<String, BadInput> {
    let bad = |why: String| BadInput(format!("the transcript {} cannot be read: {why}", path.display()));
    let source: Box<dyn Read> = match path == Path::new("-") {
        true => Box::new(io::stdin().lock()),
        false => Box::new(File::open(path).map_err(|e| bad(e.to_string()))?),
    };
    let mut bytes = Vec::new();
    source.take(LARGEST_TRANSCRIPT + 1).read_to_end(&mut bytes).map_err(|e| bad(e.to_string()))?;
    if bytes.len() as u64 > LARGEST_TRANSCRIPT {
        return Err(bad(format!("it is longer than {} MiB", LARGEST_TRANSCRIPT >> 20)));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Reads the job logs of a run's archive: `N_job.txt` at its top (facts of the layout: cli/cli, pkg/cmd/run/view). Nothing
/// is written anywhere, so no name in it can do harm.
fn read_archive(name: &str, file: File) -> Result<Vec<JobLog>, BadInput> {
    let bad = |why: String| BadInput(format!("the log archive {name} cannot be read: {why}"));
    let mut archive = zip::ZipArchive::new(file).map_err(|e| bad(e.to_string()))?;
    let mut logs = Vec::new();
    let mut left = LARGEST_ARCHIVE;
    for index in 0..archive.len().min(MOST_ENTRIES) {
        let entry = archive.by_index(index).map_err(|e| bad(e.to_string()))?;
        let title = entry.name().map_err(|e| bad(e.to_string()))?.into_owned();
        if title.contains(['/', '\\']) || !title.ends_with(".txt") || !entry.is_file() {
            continue;
        }
        let mut bounded = entry.take(left);
        match read_stream(&title, &mut bounded) {
            Ok(found) => logs.extend(found),
            Err(error) if error.0.contains("is empty") => {}
            Err(error) => return Err(error),
        }
        left = bounded.limit();
        if left == 0 {
            return Err(bad(format!("it unpacks to more than {} GiB", LARGEST_ARCHIVE >> 30)));
        }
    }
    if logs.is_empty() {
        return Err(bad("it holds no job's log (N_job.txt at its top)".to_owned()));
    }
    Ok(logs)
}

fn read_stream(name: &str, mut stream: impl Read) -> Result<Vec<JobLog>, BadInput> {
    let mut detector = Detector::new(name);
    let mut buffer = vec![0; 1 << 16];
    let (mut total, mut blank) = (0u64, true);
    loop {
        let read = match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(BadInput(format!("the log {name} cannot be read: {error}"))),
        };
        let chunk = &buffer[..read];
        if total == 0 {
            if chunk.starts_with(b"PK\x03\x04") {
                return Err(BadInput(format!(
                    "{name} is a zip archive: unpack it and give the failing job's log file"
                )));
            }
            let sample = &chunk[..read.min(8192)];
            let utf16 = sample.starts_with(&[0xFF, 0xFE]) || sample.starts_with(&[0xFE, 0xFF]);
            // Binaries are full of NULs; a stray one in a log is not.
            if !utf16 && sample.iter().filter(|b| **b == 0).count() * 20 > sample.len() {
                return Err(BadInput(format!("{name} is not a text log: give the failing job's log file")));
            }
        }
        total += read as u64;
        blank &= chunk.iter().all(u8::is_ascii_whitespace);
        detector.feed(chunk);
    }
    if blank {
        return Err(BadInput(format!("the log {name} is empty: give the failing job's log file")));
    }
    Ok(detector.finish())
}

/// Copies the working tree of `repository`.
///
/// # Errors
/// [`BadInput`] when there is none.
pub fn read_repository(repository: &Path) -> Result<Tree, BadInput> {
    Tree::snapshot(repository).map_err(|e| BadInput(format!("{e:#}")))
}

/// Reads a patch, or standard input for `-`.
///
/// # Errors
/// [`BadInput`] when it is missing, unreadable or absurdly large.
pub fn read_patch(path: &Path) -> Result<Vec<u8>, BadInput> {
    let refused = |e: io::Error| BadInput(format!("the patch {} cannot be read: {e}", path.display()));
    let mut patch = Vec::new();
    if path == Path::new("-") {
        io::stdin().lock().take(LARGEST_PATCH + 1).read_to_end(&mut patch).map_err(refused)?;
    } else {
        File::open(path).map_err(refused)?.take(LARGEST_PATCH + 1).read_to_end(&mut patch).map_err(refused)?;
    }
    if patch.len() as u64 > LARGEST_PATCH {
        return Err(BadInput(format!("the patch {} is larger than {} MiB", path.display(), LARGEST_PATCH >> 20)));
    }
    Ok(patch)
}

/// What the tree says of its CI and of itself, for plans of these logs.
pub fn sources<'a>(tree: &Tree, logs: impl IntoIterator<Item = &'a JobLog> + Clone) -> Sources {
    let repository = logs.clone().into_iter().find_map(|log| log.repository.as_deref());
    let yaml = |path: &str| path.ends_with(".yml") || path.ends_with(".yaml");
    let of_ci = |path: &str| {
        let name = path.rsplit('/').next().unwrap_or(path);
        (path.starts_with(".github/workflows/") && yaml(path)) || matches!(name, "action.yml" | "action.yaml")
    };
    let text = |path: String| Some((path.clone(), String::from_utf8(tree.read(&path)?).ok()?));
    let paths = tree.paths();
    let mut workflows = Workflows::read(paths.iter().filter(|path| of_ci(path)).cloned().filter_map(text));
    workflows.repository = repository.map(str::to_owned);
    let project = Project::of(paths.into_iter().filter(|path| Project::wants(path)).filter_map(text));
    // Asking every Python for its version takes longer than all the rest.
    let asked = logs.into_iter().any(|log| log.python.is_none());
    Sources { workflows, project, pythons: if asked { sandbox::pythons() } else { Vec::new() } }
}

/// A workflow file that a person names.
///
/// # Errors
/// [`BadInput`] when it is missing or no workflow.
pub fn read_workflow(path: &PathBuf) -> Result<Workflow, BadInput> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| BadInput(format!("the workflow {} cannot be read: {e}", path.display())))?;
    workflow::parse(&path.display().to_string(), &text)
        .map_err(|e| BadInput(format!("{} is no workflow file: {e}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn the_job_logs_of_a_runs_archive_are_read_and_nothing_else_in_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("logs.zip");
        let mut archive = zip::ZipWriter::new(File::create(&path).unwrap());
        let red = "FAILED tests/test_a.py::test_a - AssertionError: x\n##[error]Process completed with exit code 1.\n";
        for (name, text) in [("1_test.txt", red), ("test/2_step.txt", red), ("../evil.txt", red), ("2_empty.txt", "")] {
            archive
                .start_file(
                    name,
                    zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored),
                )
                .unwrap();
            archive.write_all(text.as_bytes()).unwrap();
        }
        archive.finish().unwrap();
        let logs = read_log(&path).unwrap();
        assert_eq!(logs.len(), 1);
        assert_eq!(logs[0].log, "1_test.txt");
    }

    #[test]
    fn a_log_that_cannot_be_used_says_what_and_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &[u8]| {
            let path = directory.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path
        };
        for (path, word) in [
            (directory.path().join("absent.log"), "cannot be read"),
            (file("empty.log", b" \n\n"), "is empty"),
            (file("logs.zip", b"PK\x03\x04rest"), "archive"),
            (file("core", &[0; 4096]), "not a text log"),
            (directory.path().to_owned(), "is a directory"),
        ] {
            let error = read_log(&path).unwrap_err().to_string();
            assert!(error.contains(word) && error.contains(path.to_str().unwrap()), "{error}");
        }
    }
}
