//! mechanical: the rules, applied round by round until the validator is satisfied or no rule has anything left to say.

use std::{collections::BTreeSet, path::Path};

use super::{
    reproduce::Baseline,
    rules::{self, Applied, RuleContext},
    trial::{Rejected, Task, Told},
    validate::ValidatedFix,
};
use crate::{
    detect::Failure,
    sandbox::{Finished, Limits, Network, Prepared, SandboxError},
    workspace::{Change, inside},
};

/// One failure may hide the next (a missing module behind a missing module): so many are followed.
const ROUNDS: usize = 5;

/// What the rules came to.
#[derive(Debug)]
pub enum Repaired {
    /// It passed.
    Fixed(Box<ValidatedFix>, Vec<Applied>),
    /// It did not; what the rules did is kept where it helped.
    Partly {
        /// To go on with; empty where no rule helped.
        change: Change,
        /// What was done.
        applied: Vec<Applied>,
        /// What still fails, by baseline.
        remaining: Vec<Vec<Failure>>,
    },
}

/// Applies the rules to what was reproduced, and validates the result.
///
/// # Errors
/// When the sandbox fails.
pub async fn repair(task: &Task<'_>, tell: &(dyn Fn(Told) + Send + Sync)) -> Result<Repaired, SandboxError> {
    let Task { sandbox, tree, baselines, progress, .. } = *task;
    let mut change = Change::default();
    let mut applied: Vec<Applied> = Vec::new();
    let mut noted = BTreeSet::new();
    let all: Vec<Vec<Failure>> = baselines.iter().map(|b| b.to_repair()).collect();
    let mut remaining = all.clone();
    let mut best = (Change::default(), Vec::new(), all.clone());
    for _ in 0..ROUNDS {
        let before = change.clone();
        for (baseline, failures) in baselines.iter().zip(&remaining) {
            if failures.is_empty() {
                continue;
            }
            let name = &baseline.job().name;
            let stage = progress.begin("repair", format!("rules for {} failure(s) of {name}", failures.len()));
            let candidate = tree.with(&change)?;
            let prepared = match sandbox.prepare(baseline.recipe(), &candidate, !change.is_empty()).await {
                Err(error @ SandboxError::Install { .. }) => {
                    // A change that breaks the installation is rejected below, like any other that breaks something.
                    stage.end("its environment cannot be built");
                    tell(Told::Note(format!("{name}: no rule could be applied: {error}")));
                    continue;
                }
                other => other?,
            };
            let workspace = Workspace { prepared: &*prepared };
            let failures = in_repository(failures, prepared.root(), &baseline.recipe().directory);
            let context = RuleContext {
                workspace: &workspace,
                failures: &failures,
                checks: &baseline.job().checks.iter().map(|c| c.script.clone()).collect::<Vec<_>>(),
                install: &all_installs(baseline),
                installed: prepared.installed(),
                workdir: &baseline.recipe().directory,
                registry: task.registry,
                enabled: task.enabled,
            };
            let repaired = rules::repair(&context).await.map_err(SandboxError::Other)?;
            for note in repaired.notes {
                if noted.insert(note.clone()) {
                    tell(Told::Note(note));
                }
            }
            let files: BTreeSet<String> =
                change.files.keys().cloned().chain(repaired.applied.iter().flat_map(|a| a.files.clone())).collect();
            change = Change::of(tree.root(), prepared.root(), files);
            let names: Vec<&str> = repaired.applied.iter().map(|a| a.rule).collect();
            stage.end(&if names.is_empty() { "no rule applies".to_owned() } else { names.join(", ") });
            applied.extend(repaired.applied);
        }
        if change == before {
            break;
        }
        let judgement = task.judge(&change, &[]).await?;
        let rejected = match Rejected::of("rule", describe(&applied), change.clone(), judgement) {
            Ok(fix) => return Ok(Repaired::Fixed(fix, applied)),
            Err(rejected) => rejected,
        };
        remaining.clone_from(&rejected.remaining);
        if rejected.verdict == "failed" && helped(&all, &remaining) {
            best = (change.clone(), applied.clone(), remaining.clone());
        }
        tell(Told::Rejected(rejected));
        if remaining.iter().all(Vec::is_empty) {
            break;
        }
    }
    let (change, applied, remaining) = best;
    Ok(Repaired::Partly { change, applied, remaining })
}

/// What was done, in a sentence each.
pub fn describe(applied: &[Applied]) -> String {
    let mut unique: Vec<&str> = Vec::new();
    for Applied { description, .. } in applied {
        if !unique.contains(&description.as_str()) {
            unique.push(description);
        }
    }
    unique.join(" ")
}

/// Is something that failed gone, and can it be seen what is left?
fn helped(before: &[Vec<Failure>], after: &[Vec<Failure>]) -> bool {
    let left = |index: usize, failure: &Failure| after[index].iter().any(|f| f.key == failure.key);
    before.len() == after.len()
        && after.iter().any(|failures| !failures.is_empty())
        && before.iter().enumerate().any(|(index, failures)| failures.iter().any(|f| !left(index, f)))
}

/// Tools name files as the working directory has them, and modules as they are installed; rules, as the repository does.
fn in_repository(failures: &[Failure], root: &Path, directory: &str) -> Vec<Failure> {
    let directory = directory.trim_start_matches("./").trim_matches('/');
    let below = |file: &String| {
        let places =
            [format!("{directory}/{file}"), file.clone(), format!("{directory}/src/{file}"), format!("src/{file}")];
        let mut paths = places.into_iter().map(|place| place.trim_start_matches('/').to_owned());
        paths.find(|path| inside(root, path).is_some_and(|full| full.is_file()))
    };
    let mut failures = failures.to_vec();
    for failure in &mut failures {
        failure.file = failure.file.as_ref().and_then(below).or(failure.file.take());
    }
    failures
}

fn all_installs(baseline: &Baseline) -> Vec<String> {
    let checks = baseline.job().checks.iter().filter(|c| c.installs).map(|c| c.script.clone());
    baseline.recipe().install.iter().cloned().chain(checks).collect()
}

struct Workspace<'a> {
    prepared: &'a dyn Prepared,
}

#[async_trait::async_trait]
impl rules::Workspace for Workspace<'_> {
    fn root(&self) -> &Path {
        self.prepared.root()
    }

    async fn run(&self, script: &str) -> anyhow::Result<Finished> {
        Ok(self.prepared.run(&entered(script), Network::None, Limits::default()).await?.finished)
    }

    async fn run_online(&self, script: &str) -> anyhow::Result<Finished> {
        Ok(self.prepared.run(&entered(script), Network::Full, Limits::default()).await?.finished)
    }
}

/// The script in the environment that uv, Poetry or PDM made in the tree, where they did: the job's tools are there.
fn entered(script: &str) -> String {
    format!("if test -x .venv/bin/python; then PATH=\"$PWD/.venv/bin:$PATH\"; fi\n{script}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::Detector;

    #[test]
    fn a_tool_is_the_one_of_the_environment_that_the_job_made_in_the_tree() {
        use std::os::unix::fs::PermissionsExt;

        let root = tempfile::tempdir().unwrap();
        let says = |script: &str| {
            let ran = std::process::Command::new("bash")
                .args(["-e", "-c", script])
                .current_dir(root.path())
                .env("PATH", "/usr/bin:/bin")
                .output()
                .unwrap();
            String::from_utf8(ran.stdout).unwrap()
        };
        let script = entered("command -v ls");
        assert_eq!(says(&script).trim(), says("command -v ls").trim());
        let bin = root.path().join(".venv/bin");
        std::fs::create_dir_all(&bin).unwrap();
        for name in ["python", "ls"] {
            std::fs::write(bin.join(name), "#!/bin/sh\n").unwrap();
            std::fs::set_permissions(bin.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        assert!(says(&script).trim().ends_with("/.venv/bin/ls"));
    }

    #[test]
    fn what_a_tool_reports_in_the_working_directory_is_a_file_of_the_repository() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("services/shop/pkg")).unwrap();
        std::fs::create_dir_all(root.path().join("src/installed")).unwrap();
        for path in ["services/shop/pkg/a.py", "b.py", "src/installed/c.py"] {
            std::fs::write(root.path().join(path), "").unwrap();
        }
        let mut detector = Detector::for_command("ruff check .", &[]);
        detector
            .feed(b"pkg/a.py:1:8: F401 [*] `os` imported but unused\nb.py:1:8: F401 [*] `os` imported but unused\n");
        detector.feed(b"installed/c.py:1:8: F401 [*] `os` imported but unused\n");
        detector.exited(1);
        let failures: Vec<Failure> = detector.finish().into_iter().flat_map(|log| log.failures).collect();
        for (directory, expected) in [("services/shop", "services/shop/pkg/a.py"), ("", "pkg/a.py")] {
            let files: Vec<_> = in_repository(&failures, root.path(), directory).into_iter().map(|f| f.file).collect();
            assert_eq!(files, [expected, "b.py", "src/installed/c.py"].map(|file| Some(file.to_owned())));
        }
    }
}
