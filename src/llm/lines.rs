//! lines: a file of JSON lines that only grows. At any moment, after any kill, it holds whole lines and at most a part
//! of one more, which the next reader drops.

use std::{
    collections::{HashMap, VecDeque},
    fs::{self, File, TryLockError},
    io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use serde::Serialize;
use serde_json::Value;

/// Takes secrets out of a text. What it made of a text, it must leave alone.
pub type Redact = Arc<dyn Fn(&str) -> String + Send + Sync>;

/// No line is longer: it has a whole chat, or a whole answer.
pub(super) const LONGEST_LINE: usize = 32 << 20;

/// No file of lines, transcript or cassette, is larger.
pub const LARGEST_FILE: u64 = 512 << 20;

/// Of the line itself, not texts: what is found by them must stay what it is.
const NOT_TEXT: [&str; 4] = ["kind", "at", "key", "digest"];

/// The file. It is locked as long as this lives: two runs that go on with one transcript would spend its budget twice.
pub(super) struct Lines {
    path: PathBuf,
    redact: Redact,
    end: Mutex<End>,
}

struct End {
    file: File,
    /// Of all whole lines.
    whole: u64,
    /// A part of a line may follow them.
    torn: bool,
}

impl Lines {
    /// A new file in the place of an older one, for the owner alone.
    pub(super) fn create(path: &Path, redact: Redact) -> Result<Lines, String> {
        let says = |e: std::io::Error| format!("{} cannot be written: {e}", path.display());
        match fs::symlink_metadata(path) {
            Ok(old) if !old.is_file() => return Err(format!("{} is no regular file", path.display())),
            Ok(_) => {
                hold(&File::open(path).map_err(says)?, path)?;
                fs::remove_file(path).map_err(says)?;
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(says(error)),
        }
        let file = File::options().create_new(true).append(true).mode(0o600).open(path).map_err(says)?;
        hold(&file, path)?;
        // The name must outlive a crash of the machine too; where a directory can't be synced, nothing is lost by trying.
        let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let _ = File::open(parent).and_then(|parent| parent.sync_all());
        Ok(Lines { path: path.to_owned(), redact, end: Mutex::new(End { file, whole: 0, torn: false }) })
    }

    /// An earlier file, to be read and gone on with.
    pub(super) fn resume(
        path: &Path,
        redact: Redact,
        each: impl FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<Lines, String> {
        let says = |e: std::io::Error| format!("{} cannot be read: {e}", path.display());
        if !fs::metadata(path).map_err(says)?.is_file() {
            return Err(format!("{} is no regular file", path.display()));
        }
        let file = File::options().read(true).append(true).open(path).map_err(says)?;
        hold(&file, path)?;
        let (whole, torn) = read(path, &file, each)?;
        Ok(Lines { path: path.to_owned(), redact, end: Mutex::new(End { file, whole, torn }) })
    }

    /// Adds a line; on disk, not only with the kernel, when it returns and `sync` is asked for.
    pub(super) fn append(&self, value: &impl Serialize, sync: bool) -> Result<(), String> {
        let says = |e: std::io::Error| format!("{} cannot be written: {e}", self.path.display());
        let value = serde_json::to_value(value).map_err(|e| e.to_string())?;
        let line = format!("{}\n", redacted(value, &self.redact));
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        if line.len() > LONGEST_LINE || end.whole + line.len() as u64 > LARGEST_FILE {
            return Err(format!("{} would become too large", self.path.display()));
        }
        if end.torn {
            end.file.set_len(end.whole).map_err(says)?;
        }
        end.torn = true;
        end.file.write_all(line.as_bytes()).and_then(|()| end.file.flush()).map_err(says)?;
        if sync {
            end.file.sync_data().map_err(says)?;
        }
        end.whole += line.len() as u64;
        end.torn = false;
        Ok(())
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A text as it stands in the file.
    pub(super) fn redacted(&self, text: &str) -> String {
        (self.redact)(text)
    }
}

/// Gives each whole line; says how many bytes they have, and whether a part of a line follows.
pub(super) fn read(
    path: &Path,
    file: &File,
    mut each: impl FnMut(&[u8]) -> Result<(), String>,
) -> Result<(u64, bool), String> {
    let at = |number: usize, why: &str| format!("{}, line {number}: {why}", path.display());
    let says = |e: std::io::Error| format!("{} cannot be read: {e}", path.display());
    if file.metadata().map_err(says)?.len() > LARGEST_FILE {
        return Err(format!("{} is larger than {} MiB", path.display(), LARGEST_FILE >> 20));
    }
    let mut reader = BufReader::new(file.take(LARGEST_FILE));
    let (mut whole, mut line) = (0, Vec::new());
    for number in 1.. {
        line.clear();
        let read = reader.by_ref().take(LONGEST_LINE as u64 + 1).read_until(b'\n', &mut line).map_err(says)?;
        if read > LONGEST_LINE {
            return Err(at(number, &format!("it is longer than {} MiB", LONGEST_LINE >> 20)));
        }
        if line.last() != Some(&b'\n') {
            // What may be cut off is a line of ours, not some other file of one line.
            if number == 1 && !line.starts_with(b"{\"") && !b"{\"".starts_with(&line) {
                return Err(at(number, "it is no JSON"));
            }
            return Ok((whole, read > 0));
        }
        each(&line).map_err(|why| at(number, &why))?;
        whole += read as u64;
    }
    Ok((whole, false))
}

/// Takes the lock, or says who has it. A file system without locks has none to offer.
fn hold(file: &File, path: &Path) -> Result<(), String> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(format!("{} is in use by another run", path.display())),
        Ok(()) | Err(TryLockError::Error(_)) => Ok(()),
    }
}

/// A line's value with every text in it redacted.
pub(super) fn redacted(value: Value, redact: &Redact) -> Value {
    let Value::Object(fields) = value else { return clean(value, redact) };
    let field = |(name, value): (String, Value)| {
        let value = if NOT_TEXT.contains(&name.as_str()) { value } else { clean(value, redact) };
        (name, value)
    };
    Value::Object(fields.into_iter().map(field).collect())
}

fn clean(value: Value, redact: &Redact) -> Value {
    match value {
        Value::String(text) => Value::String(redact(&text)),
        Value::Array(items) => items.into_iter().map(|item| clean(item, redact)).collect(),
        Value::Object(fields) => {
            Value::Object(fields.into_iter().map(|(name, value)| (redact(&name), clean(value, redact))).collect())
        }
        other => other,
    }
}

/// Answers by key, given in the order in which they came; the last one stays.
#[derive(Debug)]
pub(super) struct InOrder<T>(Mutex<HashMap<String, VecDeque<T>>>);

impl<T: Clone> InOrder<T> {
    pub(super) fn new() -> InOrder<T> {
        InOrder(Mutex::new(HashMap::new()))
    }

    pub(super) fn push(&self, key: &str, answer: T) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(key.to_owned()).or_default().push_back(answer);
    }

    pub(super) fn next(&self, key: &str) -> Option<T> {
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let answers = answers.get_mut(key)?;
        if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() }
    }
}
