//! Which sandbox: decided before any code of the repository runs, and never again.

use std::path::PathBuf;

use super::{CacheDir, DaggerPlace, DaggerSandbox, LocalSandbox, Sandbox, SandboxError};

/// What a person, or a workflow, asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Choice {
    /// This machine's kernel.
    #[default]
    Local,
    /// This machine, without isolation.
    Open,
    /// Containers of a Dagger engine.
    Dagger,
    /// Dagger where an engine can be had, else local.
    Auto,
}

/// The sandbox that it is, and why it is no other, where that was not a person's choice.
pub struct Chosen {
    /// The sandbox.
    pub sandbox: Box<dyn Sandbox>,
    /// In a sentence.
    pub why: Option<String>,
}

/// Makes a sandbox. `pythons` are the versions that will run, and `told` hears how many seconds each command took.
///
/// # Errors
/// When what was asked for can't be had.
pub async fn choose(
    choice: Choice,
    cache: &CacheDir,
    launcher: PathBuf,
    pythons: &[String],
    told: impl Fn(f64) + Send + Sync + 'static,
) -> Result<Chosen, SandboxError> {
    let chosen = |sandbox: Box<dyn Sandbox>, why| Chosen { sandbox, why };
    let refused = match choice {
        Choice::Local | Choice::Open => None,
        Choice::Dagger => {
            return Ok(chosen(
                Box::new(DaggerSandbox::new(cache, &DaggerPlace::default(), pythons).await?.telling(told)),
                None,
            ));
        }
        Choice::Auto => match DaggerSandbox::new(cache, &DaggerPlace::default(), pythons).await {
            Ok(sandbox) => {
                let why = format!("the sandbox is Dagger's: {} is there", sandbox.place());
                return Ok(chosen(Box::new(sandbox.telling(told)), Some(why)));
            }
            Err(error @ SandboxError::NoImage { .. }) => Some(format!("the sandbox is the local one: {error}")),
            Err(SandboxError::Lost(why)) => Some(format!("the sandbox is the local one: {why}")),
            Err(other) => return Err(other),
        },
    };
    let local = LocalSandbox::new(cache, choice == Choice::Open, launcher, pythons).await?;
    Ok(chosen(Box::new(local.telling(told)), refused))
}
