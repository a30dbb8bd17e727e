//! What the program inside a container is told, and what it answers. It is `harness.py`, run by the image's own Python
//! as root; the command that it runs is a user without rights.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context as _, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use super::mirror;
use crate::{
    sandbox::{Ended, Finished, Limits},
    workspace::inside,
};

/// The program.
pub(super) const PROGRAM: &str = include_str!("harness.py");

/// Where the program and what it is told lie in a container.
pub(super) const HERE: &str = "/opt/test-repair";

/// Where it answers: only root can write there.
pub(super) const ANSWERS: &str = "/out";

/// The user that commands are: who a runner's commands are.
pub(super) const USER: u32 = 1001;

/// How it ends when an installation failed; the answer is its output then.
pub(super) const FAILED: i32 = 97;

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Does {
    /// Note what the tree is made of.
    Begin,
    /// Run an install command.
    Install,
    /// Say what was installed, and leave of the tree what that put there.
    Finish,
    /// Run a check.
    Check,
}

/// What the program is told.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Spec {
    pub(super) does: Does,
    /// Differs where the same has to be run again.
    pub(super) nonce: String,
    /// Given to `bash -e -c`.
    pub(super) script: String,
    pub(super) cwd: String,
    pub(super) env: BTreeMap<String, String>,
    /// Seconds.
    pub(super) wall: f64,
    /// Bytes, of all processes together.
    pub(super) memory: u64,
    pub(super) processes: u32,
    /// Bytes of output that are kept.
    pub(super) output: usize,
    pub(super) uid: u32,
    pub(super) tree: String,
    pub(super) venv: String,
    pub(super) home: String,
    /// Made, and given to the user.
    pub(super) folders: Vec<String>,
    /// The report that comes back.
    pub(super) report: Option<String>,
}

impl Spec {
    /// A command in a tree, with nothing around it and the usual limits.
    pub(super) fn new(does: Does, script: &str, tree: &str, nonce: String) -> Spec {
        let limits = Limits::default();
        Spec {
            does,
            nonce,
            script: script.to_owned(),
            cwd: tree.to_owned(),
            env: BTreeMap::new(),
            wall: limits.wall.as_secs_f64(),
            memory: limits.memory,
            processes: limits.processes,
            output: limits.output,
            uid: USER,
            tree: tree.to_owned(),
            venv: String::new(),
            home: String::new(),
            folders: vec![tree.to_owned()],
            report: None,
        }
    }

    /// Sets the limits.
    pub(super) fn limited(mut self, limits: Limits) -> Spec {
        self.wall = limits.wall.as_secs_f64();
        (self.memory, self.processes, self.output) = (limits.memory, limits.processes, limits.output);
        self
    }
}

/// What the program answers. Paths and contents are the code's under test.
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    seconds: f64,
    dropped: u64,
    /// As Python has it: negative for a signal.
    code: i32,
    killed: Option<Killed>,
    /// In base64.
    output: String,
    #[serde(default)]
    changed: Vec<Changed>,
    #[serde(default)]
    gone: Vec<String>,
    /// In base64.
    #[serde(default)]
    report: Option<String>,
    /// Is the tree itself installed, and not only pointed at?
    #[serde(default)]
    pub(super) copied: bool,
    /// Of the image.
    #[serde(default)]
    pub(super) python: String,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Killed {
    WallTime,
    Memory,
    Processes,
}

#[derive(Debug, Deserialize)]
struct Changed {
    path: String,
    link: Option<String>,
    /// In base64.
    content: Option<String>,
    #[serde(default)]
    executable: bool,
}

impl Answer {
    /// Reads an answer.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn read(text: &str) -> Result<Answer> {
        serde_json::from_str(text).context("what came out of the container is no answer")
    }

    /// How the command ended.
    pub(super) fn finished(&self) -> Finished {
        let ended = match self.killed {
            Some(Killed::WallTime) => Ended::WallTime,
            Some(Killed::Memory) => Ended::Memory,
            Some(Killed::Processes) => Ended::Processes,
            None if self.code < 0 => Ended::Signal(self.code.saturating_neg()),
            None => Ended::Exit(self.code),
        };
        Finished { ended, output: decoded(&self.output), dropped: self.dropped, seconds: self.seconds }
    }

    /// The report, where there is one.
    pub(super) fn report(&self) -> Option<Vec<u8>> {
        self.report.as_deref().map(decoded)
    }

    /// Does to a tree of ours what the command did to its own. What would leave it, or enter `.git`, is passed over.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) fn bring_back(&self, root: &Path) -> Result<()> {
        for path in &self.gone {
            if let Some(full) = inside(root, path) {
                mirror::clear(&full)?;
            }
        }
        for file in &self.changed {
            let Some(full) = inside(root, &file.path) else { continue };
            let (content, link) = (file.content.as_deref().map(decoded), file.link.as_deref());
            match (content, link) {
                (Some(content), _) => mirror::write(root, &full, &content, file.executable)?,
                (None, Some(link)) => mirror::link(root, &full, Path::new(link))?,
                (None, None) => {}
            }
        }
        Ok(())
    }
}

fn decoded(text: &str) -> Vec<u8> {
    STANDARD.decode(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn answer(fields: &serde_json::Value) -> Answer {
        let mut answer = serde_json::json!({"seconds": 0.5, "dropped": 0, "code": 0, "killed": null, "output": ""});
        for (name, value) in fields.as_object().unwrap() {
            answer[name] = value.clone();
        }
        Answer::read(&answer.to_string()).unwrap()
    }

    #[test]
    fn how_a_command_ended_is_what_python_says_of_it() {
        let ended = |code: i32, killed: Option<&str>| {
            answer(&serde_json::json!({"code": code, "killed": killed})).finished().ended
        };
        assert_eq!(ended(3, None), Ended::Exit(3));
        assert_eq!(ended(139, None), Ended::Exit(139));
        assert_eq!(ended(-9, None), Ended::Signal(9));
        assert_eq!(ended(-9, Some("memory")), Ended::Memory);
        assert_eq!(ended(-9, Some("wall_time")), Ended::WallTime);
        assert_eq!(ended(0, Some("processes")), Ended::Processes);
    }

    proptest! {
        #[test]
        fn no_answer_panics(text in ".{0,200}") {
            let _ = Answer::read(&text).map(|answer| answer.finished());
        }

        #[test]
        fn whatever_comes_back_stays_in_the_tree(
            files in proptest::collection::vec(
                ("(\\.\\./|/|a/|b/|\\.git/|c|d|e|\\.){1,5}", proptest::option::of("[a-z]{0,3}"), any::<bool>()), 0..12,
            ),
            gone in proptest::collection::vec("(\\.\\./|/|a/|b/|c|outside){1,4}", 0..4),
        ) {
            let directory = tempfile::tempdir().unwrap();
            let root = directory.path().join("tree");
            std::fs::create_dir_all(root.join(".git")).unwrap();
            std::fs::write(root.join(".git/config"), "ours").unwrap();
            std::fs::write(directory.path().join("outside"), "ours").unwrap();
            let changed: Vec<_> = files
                .iter()
                .map(|(path, content, executable)| match content {
                    Some(content) => serde_json::json!({"path": path, "content": STANDARD.encode(content), "executable": executable}),
                    None => serde_json::json!({"path": path, "link": "../outside"}),
                })
                .collect();
            answer(&serde_json::json!({"changed": changed, "gone": gone})).bring_back(&root).unwrap();
            prop_assert_eq!(std::fs::read_to_string(directory.path().join("outside")).unwrap(), "ours");
            prop_assert_eq!(std::fs::read_to_string(root.join(".git/config")).unwrap(), "ours");
            let around: Vec<_> = directory.path().read_dir().unwrap().map(|e| e.unwrap().file_name()).collect();
            prop_assert_eq!(around.len(), 2);
        }
    }
}
