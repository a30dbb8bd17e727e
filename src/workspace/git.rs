//! git, deaf to what a repository or this machine would tell it.

use std::{
    ffi::OsStr,
    io::Write as _,
    path::{Component, Path, PathBuf},
    process::{Command, Output, Stdio},
};

use anyhow::{Context as _, Result};

/// Tracked and untracked files that git does not ignore; `None` where `repository` is not the root of a git checkout.
pub(super) fn listed_by_git(repository: &Path) -> Result<Option<Vec<PathBuf>>> {
    use std::os::unix::ffi::OsStrExt as _;
    if !repository.join(".git").exists() {
        return Ok(None);
    }
    let output = run(git(repository).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]))?;
    if !output.status.success() {
        return Ok(None);
    }
    let mut paths: Vec<PathBuf> = output
        .stdout
        .split(|b| *b == 0)
        .filter(|p| !p.is_empty())
        .map(|p| PathBuf::from(OsStr::from_bytes(p)))
        .filter(|p| p.components().all(|c| matches!(c, Component::Normal(_))))
        .collect();
    paths.sort();
    paths.dedup();
    Ok(Some(paths))
}

/// git, deaf to the configuration, hooks and programs that a repository or this machine might bring.
pub fn git(directory: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .current_dir(directory)
        .args(["-c", "safe.directory=*", "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false"])
        .args(["-c", "core.autocrlf=false", "-c", "protocol.ext.allow=never", "-c", "core.quotePath=false"])
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_OPTIONAL_LOCKS", "0")
        // A directory that is no checkout stays none, wherever it lies.
        .env("GIT_CEILING_DIRECTORIES", directory.parent().unwrap_or(directory))
        .env("LC_ALL", "C")
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .env_remove("GIT_INDEX_FILE")
        .stdin(Stdio::null());
    command
}

pub(super) fn run(command: &mut Command) -> Result<Output> {
    command.output().context("git is needed and could not be started: install it and try again")
}

pub(super) fn with_input(command: &mut Command, input: &[u8]) -> Result<Output> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("git is needed and could not be started: install it and try again")?;
    let stdin = child.stdin.take();
    std::thread::scope(|scope| {
        // Beside the reading: a long answer must not wait for the end of a long question.
        scope.spawn(move || {
            if let Some(mut stdin) = stdin {
                // A patch that git gives up on early closes the pipe: its message says why.
                let _ = stdin.write_all(input);
            }
        });
        Ok(child.wait_with_output()?)
    })
}
