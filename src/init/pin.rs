//! The action pinned to a commit: a tag can be moved, a commit can't.

use std::{
    io::Read as _,
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use super::write::{ACTION, ACTION_NAME};

/// What GitHub may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Where the words about pinning begin in what is written.
const UNPINNED: &str = "# `v1` moves with our releases.";

/// The commit that the action's newest release of this major version is; `None` where it can't be asked for.
pub(super) fn newest() -> Option<String> {
    let (name, tag) = ACTION.split_once('@')?;
    let mut asking = Command::new("git")
        .args(["-c", "credential.helper=", "ls-remote", &format!("https://github.com/{name}")])
        // An annotated tag has its commit behind it.
        .args([format!("refs/tags/{tag}"), format!("refs/tags/{tag}^{{}}")])
        .env("GIT_TERMINAL_PROMPT", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let begun = Instant::now();
    while asking.try_wait().ok()?.is_none() {
        if begun.elapsed() > PATIENCE {
            let _ = asking.kill();
            let _ = asking.wait();
            return None;
        }
        sleep(Duration::from_millis(20));
    }
    let mut said = String::new();
    asking.stdout.take()?.take(4096).read_to_string(&mut said).ok()?;
    let commit = said.lines().next_back()?.split_whitespace().next()?;
    is_commit(commit).then(|| commit.to_owned())
}

/// The commit that a workflow has the action pinned to.
pub(super) fn pin_of(workflow: &str) -> Option<&str> {
    let (_, rest) = workflow.split_once(&format!("uses: {ACTION_NAME}@"))?;
    rest.split_whitespace().next().filter(|commit| is_commit(commit))
}

/// What is written, with the action pinned to this commit.
pub(super) fn pinned(text: &str, commit: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut about = false;
    for line in text.split_inclusive('\n') {
        let indent = &line[..line.len() - line.trim_start().len()];
        if line.trim_start().starts_with(UNPINNED) {
            about = true;
            lines.push(format!("{indent}# The commit that v1 was; `test-repair init --force` writes the newest.\n"));
        } else if line.contains(&format!("uses: {ACTION} ")) {
            about = false;
            let tag = ACTION.rsplit('@').next().unwrap_or_default();
            lines.push(format!("{indent}- uses: {ACTION_NAME}@{commit} # {tag}\n"));
        } else if !about {
            lines.push(line.to_owned());
        }
    }
    lines.concat()
}

fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::init::EXAMPLE;

    #[test]
    fn what_is_pinned_says_so_and_is_found_again() {
        let commit = "0123456789abcdef0123456789abcdef01234567";
        let text = pinned(EXAMPLE, commit);
        assert_eq!((pin_of(&text), pin_of(EXAMPLE)), (Some(commit), None));
        assert!(text.contains(&format!("      - uses: org/test-repair@{commit} # v1\n        with:")), "{text}");
        assert!(!text.contains("unpinned-uses") && !text.contains("To hold it still"), "{text}");
        assert_eq!(text.lines().count() + 2, EXAMPLE.lines().count());
    }
}
