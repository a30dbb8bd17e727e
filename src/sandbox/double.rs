//! A workspace for tests of what stands above the sandbox: a closure says how each run ends.

use std::path::{Path, PathBuf};

use super::{CheckRun, Ended, Finished, Limits, Network, Prepared, SandboxError};
use crate::workspace::Tree;

type Run<'a> = Box<dyn Fn(&str, Network, Limits) -> Result<CheckRun, SandboxError> + Send + Sync + 'a>;

/// Nothing is installed in it, and no tree is put there.
pub(crate) struct Double<'a> {
    root: PathBuf,
    run: Run<'a>,
}

impl<'a> Double<'a> {
    pub(crate) fn new(
        root: PathBuf,
        run: impl Fn(&str, Network, Limits) -> Result<CheckRun, SandboxError> + Send + Sync + 'a,
    ) -> Double<'a> {
        Double { root, run: Box::new(run) }
    }
}

/// A run that took a moment and left no report.
pub(crate) fn ended(code: i32, output: &[u8]) -> CheckRun {
    let finished = Finished { ended: Ended::Exit(code), output: output.to_vec(), dropped: 0, seconds: 0.1 };
    CheckRun { finished, junit: None }
}

#[async_trait::async_trait]
impl Prepared for Double<'_> {
    fn root(&self) -> &Path {
        &self.root
    }
    fn python(&self) -> &str {
        "3.11"
    }
    fn installed(&self) -> &[(String, String)] {
        &[]
    }
    fn notes(&self) -> &[String] {
        &[]
    }
    fn reused(&self) -> bool {
        false
    }
    fn copies_project(&self) -> bool {
        false
    }
    async fn refresh(&mut self, _: &Tree) -> Result<(), SandboxError> {
        Ok(())
    }
    async fn run(&self, script: &str, network: Network, limits: Limits) -> Result<CheckRun, SandboxError> {
        (self.run)(script, network, limits)
    }
}
