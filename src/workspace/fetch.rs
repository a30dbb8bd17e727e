//! A repository from a server: by our own git, before any code of the repository runs, and with the token in reach of
//! that one command alone.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use tokio::time::timeout;

use super::git::{git, run};
use crate::{redact::redact, scratch::Scratch};

/// No fetch takes longer.
const LONGEST: Duration = Duration::from_secs(900);

/// A checkout with its history and tags, and nothing of ours in it: no remote, no credentials.
#[derive(Debug)]
pub struct Checkout {
    scratch: Scratch,
    root: PathBuf,
    url: String,
}

impl Checkout {
    /// An empty one, named as the repository is.
    ///
    /// # Errors
    /// When git is missing or the disk refuses.
    pub fn new(url: &str) -> Result<Checkout> {
        let scratch = Scratch::new()?;
        let name = url.trim_end_matches(".git").rsplit('/').next().filter(|name| !name.is_empty());
        let root = scratch.path().join(name.filter(|name| !name.starts_with('.')).unwrap_or("repository"));
        std::fs::create_dir(&root)?;
        let made = run(git(&root).args(["init", "--quiet", "--initial-branch=test-repair"]))?;
        ensure!(made.status.success(), "git init: {}", String::from_utf8_lossy(&made.stderr).trim());
        Ok(Checkout { scratch, root, url: url.to_owned() })
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Fetches commits (or refs), their history and the tags. Each becomes `refs/test-repair/COMMIT`.
    ///
    /// # Errors
    /// When the server does not have one of them, or can't be reached in time.
    pub async fn fetch(&self, token: Option<&str>, wanted: &[&str]) -> Result<()> {
        let mut command = git(&self.root);
        command.args(["-c", "protocol.allow=never", "-c", "protocol.https.allow=always"]);
        command.args(["-c", "protocol.http.allow=always", "-c", "http.followRedirects=false", "-c", "gc.auto=0"]);
        command.args(["-c", "fetch.fsckObjects=false", "-c", "credential.helper="]);
        command.args(["fetch", "--quiet", "--force", "--tags", "--no-recurse-submodules", "--no-write-fetch-head"]);
        command.arg("--").arg(&self.url);
        for one in wanted {
            ensure!(!one.starts_with('-') && !one.contains([':', '*', ' ']), "{one} is no commit");
            command.arg(format!("+{one}:{}", reference(one)));
        }
        if let Some(token) = token {
            // In the variables of this command only: not in a URL, not in .git/config, not in an argument.
            let header = format!("Authorization: Basic {}", STANDARD.encode(format!("x-access-token:{token}")));
            command.env("GIT_CONFIG_COUNT", "1");
            command.env("GIT_CONFIG_KEY_0", format!("http.{}.extraHeader", self.url)).env("GIT_CONFIG_VALUE_0", header);
        }
        let mut command = tokio::process::Command::from(command);
        let output = timeout(LONGEST, command.kill_on_drop(true).output())
            .await
            .with_context(|| format!("{} was not fetched within {} s", self.url, LONGEST.as_secs()))?
            .context("git is needed and could not be started: install it and try again")?;
        if !output.status.success() {
            let said = redact(&String::from_utf8_lossy(&output.stderr));
            bail!("{} could not be fetched: {}", self.url, said.trim());
        }
        Ok(())
    }

    /// Checks a fetched commit (or ref) out. No filter, hook or submodule of the repository runs. Says the commit.
    ///
    /// # Errors
    /// When it was not fetched.
    pub fn check_out(&self, wanted: &str) -> Result<String> {
        let commit = self.commit_of(wanted)?;
        // On a branch: a clone of this checkout (for a run) takes no detached head's history.
        let args = ["checkout", "--quiet", "--force", "--no-recurse-submodules", "-B", "test-repair", &commit];
        let done = run(git(&self.root).args(args))?;
        ensure!(done.status.success(), "{wanted}: {}", String::from_utf8_lossy(&done.stderr).trim());
        Ok(commit)
    }

    /// The commit of what was fetched as `wanted`.
    ///
    /// # Errors
    /// When it was not.
    pub fn commit_of(&self, wanted: &str) -> Result<String> {
        let name = format!("{}^{{commit}}", reference(wanted));
        let found = run(git(&self.root).args(["rev-parse", "--verify", "--quiet", &name]))?;
        ensure!(found.status.success(), "{wanted} was not fetched");
        Ok(String::from_utf8_lossy(&found.stdout).trim().to_owned())
    }

    /// A file of a commit; `None` where there is none.
    ///
    /// # Errors
    /// When git is missing.
    pub fn file(&self, commit: &str, path: &str) -> Result<Option<Vec<u8>>> {
        let shown = run(git(&self.root).args(["cat-file", "blob", &format!("{commit}:{path}")]))?;
        Ok(shown.status.success().then_some(shown.stdout))
    }

    /// The subjects of a commit's history, the newest first, at most so many.
    ///
    /// # Errors
    /// When git is missing.
    pub fn subjects(&self, commit: &str, most: usize) -> Result<Vec<String>> {
        let log = run(git(&self.root).args(["log", &format!("--max-count={most}"), "--format=%s", commit, "--"]))?;
        Ok(String::from_utf8_lossy(&log.stdout).lines().map(str::to_owned).collect())
    }

    /// What a checkout without submodules and filters lacks, in words.
    pub fn lacks(&self) -> Vec<String> {
        let read = |name: &str| super::read_inside(&self.root, name).unwrap_or_default();
        let mut lacks = Vec::new();
        let modules = String::from_utf8_lossy(&read(".gitmodules")).into_owned();
        let paths: Vec<&str> = modules
            .lines()
            .filter_map(|line| line.trim().strip_prefix("path"))
            .filter_map(|rest| rest.trim_start().strip_prefix('='))
            .map(str::trim)
            .take(10)
            .collect();
        if !paths.is_empty() {
            lacks.push(format!("submodules are not fetched: {}", paths.join(", ")));
        }
        if String::from_utf8_lossy(&read(".gitattributes")).contains("filter=lfs") {
            lacks.push("files in Git LFS are not fetched: their pointers stand in their places".to_owned());
        }
        lacks
    }

    /// Where nothing of the repository is: for what belongs to it.
    pub fn beside(&self) -> &Path {
        self.scratch.path()
    }
}

fn reference(wanted: &str) -> String {
    format!("refs/test-repair/{}", wanted.replace(['^', '~', '.', '\\'], "-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_no_commit_is_not_asked_for_and_other_protocols_are_closed() {
        let checkout = Checkout::new("file:///tmp/anything.git").unwrap();
        assert!(checkout.root().ends_with("anything"));
        for bad in ["--upload-pack=x", "a:b", "*"] {
            assert!(checkout.fetch(None, &[bad]).await.unwrap_err().to_string().contains("is no commit"));
        }
        let error = checkout.fetch(Some("t0ken"), &["main"]).await.unwrap_err().to_string();
        assert!(error.contains("not allowed") && !error.contains("t0ken"), "{error}");
        assert!(checkout.commit_of("main").is_err());
    }

    #[test]
    fn submodules_and_large_files_are_named() {
        let checkout = Checkout::new("https://example.invalid/o/r").unwrap();
        std::fs::write(checkout.root().join(".gitmodules"), "[submodule \"x\"]\n\tpath = vendor/x\n").unwrap();
        std::fs::write(checkout.root().join(".gitattributes"), "*.bin filter=lfs diff=lfs\n").unwrap();
        let lacks = checkout.lacks();
        assert!(lacks[0].contains("vendor/x") && lacks[1].contains("LFS"), "{lacks:?}");
    }
}
