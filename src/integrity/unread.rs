//! Files that run though nobody reads them: compiled code, metadata of installations, and text in another encoding
//! than the one we read it in.

use super::context::{Context, File};
use super::{Finding, paths};
use regex::bytes::Regex;
use std::sync::LazyLock;

static COOKIE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^[ \t\x0c]*#.*?coding[:=][ \t]*([-_.a-zA-Z0-9]+)").ok());

pub(crate) fn judge(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for file in context.files.iter().filter(|f| f.after.is_some()) {
        if compiled(file.path) {
            let message = "Python or its tools would run or trust this file, and nobody can read what it does.";
            findings.push(Finding::refuse("unread-code", Some(file.path), message).seen(file.path));
        } else if paths::is_python(file.path) {
            encoded(file, findings);
        }
    }
}

/// Compiled code, and what an installation writes.
fn compiled(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    let mut parts = paths::parts(&lower);
    let name = parts.pop().unwrap_or("");
    let compiled = ["pyc", "pyo", "so", "pyd", "dylib", "dll", "pth", "egg-link", "egg"];
    compiled.contains(&paths::extension(name).as_str())
        || name.contains(".so.")
        || parts.iter().any(|p| *p == "__pycache__" || p.ends_with(".dist-info") || p.ends_with(".egg-info"))
}

/// The encoding that the first two lines name.
fn cookie(bytes: &[u8]) -> Option<String> {
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut lines = text.split(|b| matches!(b, b'\n' | b'\r')).filter(|l| !l.is_empty());
    let found = lines.by_ref().take(2).find_map(|line| Some(COOKIE.as_ref()?.captures(line)?.get(1)?.as_bytes()));
    found.map(|name| String::from_utf8_lossy(name).to_ascii_lowercase().replace('_', "-"))
}

/// Does the text mean the same when it is read as UTF-8, as far as it is ASCII?
fn plain(encoding: &str) -> bool {
    matches!(encoding, "utf-8" | "utf8" | "ascii" | "us-ascii" | "latin-1" | "latin1" | "iso-8859-1" | "iso-latin-1")
        || encoding.starts_with("utf-8-")
        || encoding.starts_with("latin-1-")
        || encoding.starts_with("iso-8859-1-")
}

fn encoded(file: &File<'_>, findings: &mut Vec<Finding>) {
    let Some(after) = file.after else { return };
    let (was, is) = (file.before.and_then(cookie), cookie(after));
    if let Some(now) = is.as_deref().filter(|now| !plain(now) && was.as_deref() != Some(*now)) {
        let message = format!("The file is now read as `{now}`: what Python runs is not what the text shows.");
        findings.push(Finding::refuse("unread-code", Some(file.path), message).at(1).texts(was.as_deref(), Some(now)));
        return;
    }
    let other = was.as_deref().is_some_and(|w| !w.starts_with("utf"));
    if !other && std::str::from_utf8(after).is_err() {
        let message = "The file holds bytes that are no UTF-8.";
        findings.push(Finding::refuse("unread-code", Some(file.path), message));
    }
}
