//! Where commands run, and the cache that they run from.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand, ValueEnum};

use super::Format;
use crate::{
    input::BadInput,
    sandbox::{self, CacheDir, CacheLimits, Choice},
    size,
};

/// The sandboxes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SandboxKind {
    /// This machine's kernel keeps it apart.
    Local,
    /// Containers of a Dagger engine.
    Dagger,
    /// Dagger where an engine can be had, else local.
    Auto,
}

impl From<SandboxKind> for Choice {
    fn from(kind: SandboxKind) -> Choice {
        match kind {
            SandboxKind::Local => Choice::Local,
            SandboxKind::Dagger => Choice::Dagger,
            SandboxKind::Auto => Choice::Auto,
        }
    }
}

/// Where commands run.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sandbox")]
pub struct SandboxArgs {
    /// Where the repository's code runs
    #[arg(long, value_enum, default_value = "local")]
    pub sandbox: SandboxKind,
    /// Run the repository's code without isolation. Only for code that you trust
    #[arg(long)]
    pub no_isolation: bool,
    /// Where environments are kept [default: /var/cache/test-repair for root, else ~/.cache/test-repair]
    #[arg(long, value_name = "DIR", env = "TEST_REPAIR_CACHE")]
    pub cache_dir: Option<PathBuf>,
    /// Environments that nobody used for so long are removed
    #[arg(long, value_name = "DAYS", env = "TEST_REPAIR_CACHE_MAX_AGE", default_value = "30", value_parser = days)]
    pub cache_max_age: Duration,
    /// The environments that were used last are kept, up to this size on the disk
    #[arg(long, value_name = "SIZE", env = "TEST_REPAIR_CACHE_MAX_SIZE", default_value = "20GiB", value_parser = size::parse)]
    pub cache_max_size: u64,
}

impl SandboxArgs {
    /// Which sandbox is asked for.
    ///
    /// # Errors
    /// [`BadInput`] for one without isolation that can't be without.
    pub fn choice(&self) -> Result<Choice, BadInput> {
        match (self.sandbox, self.no_isolation) {
            (SandboxKind::Dagger, true) => {
                Err(BadInput("--no-isolation is for --sandbox local: a container is always isolated".to_owned()))
            }
            (_, true) => Ok(Choice::Open),
            (kind, false) => Ok(kind.into()),
        }
    }

    /// The directory of the cache.
    pub fn cache(&self) -> PathBuf {
        self.cache_dir.clone().unwrap_or_else(sandbox::default_cache)
    }

    /// Where environments are kept, and how many.
    pub fn environments(&self) -> CacheDir {
        CacheDir { root: self.cache(), limits: CacheLimits { age: self.cache_max_age, bytes: self.cache_max_size } }
    }
}

/// `cache`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = false)]
pub struct CacheArgs {
    /// What to do; without it, list what the cache holds
    #[command(subcommand)]
    pub command: Option<CacheCommand>,
    /// How to print
    #[arg(long, value_enum, default_value = "text", global = true)]
    pub format: Format,
    /// Where environments are kept [default: /var/cache/test-repair for root, else ~/.cache/test-repair]
    #[arg(long, value_name = "DIR", env = "TEST_REPAIR_CACHE", global = true)]
    pub cache_dir: Option<PathBuf>,
}

/// What `cache` does besides listing.
#[derive(Debug, Subcommand)]
pub enum CacheCommand {
    /// Remove what is too old or too much, least recently used first, and never what is in use. Without a limit of its
    /// own: what a run would remove (30 days, 20 GiB, or as the environment says)
    Prune(PruneArgs),
}

/// `cache prune`
#[derive(Debug, Args)]
pub struct PruneArgs {
    /// What nobody used for so many days; 0 for all
    #[arg(long, value_name = "DAYS", value_parser = days)]
    pub older_than: Option<Duration>,
    /// What goes beyond this size on the disk: 500MiB, 20GiB
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    pub max_size: Option<u64>,
    /// Say what would be removed, and remove nothing
    #[arg(long)]
    pub dry_run: bool,
}

impl CacheArgs {
    /// The directory of the cache.
    pub fn root(&self) -> PathBuf {
        self.cache_dir.clone().filter(|said| !said.as_os_str().is_empty()).unwrap_or_else(sandbox::default_cache)
    }
}

impl PruneArgs {
    /// The limits that are named; none of them is what a run keeps to.
    ///
    /// # Errors
    /// As [`default_cache`].
    pub fn limits(&self) -> Result<CacheLimits, BadInput> {
        match (self.older_than, self.max_size) {
            (None, None) => Ok(default_cache()?.limits),
            (age, bytes) => Ok(CacheLimits { age: age.unwrap_or(Duration::MAX), bytes: bytes.unwrap_or(u64::MAX) }),
        }
    }
}

/// Where environments are kept, and how many, where no flag says it.
///
/// # Errors
/// [`BadInput`] where the environment says what is no limit.
pub fn default_cache() -> Result<CacheDir, BadInput> {
    let said = |name: &str| std::env::var_os(name).filter(|said| !said.is_empty());
    let text = |name: &str| said(name).map(|said| said.to_string_lossy().into_owned());
    let mut cache = CacheDir::from(said("TEST_REPAIR_CACHE").map_or_else(sandbox::default_cache, PathBuf::from));
    let (age, bytes) = ("TEST_REPAIR_CACHE_MAX_AGE", "TEST_REPAIR_CACHE_MAX_SIZE");
    if let Some(said) = text(age) {
        cache.limits.age = days(&said).map_err(|why| BadInput(format!("{age}: {why}")))?;
    }
    if let Some(said) = text(bytes) {
        cache.limits.bytes = size::parse(&said).map_err(|why| BadInput(format!("{bytes}: {why}")))?;
    }
    Ok(cache)
}

fn days(text: &str) -> Result<Duration, String> {
    let days: f64 = text.trim().parse().map_err(|_| "no number of days".to_owned())?;
    Duration::try_from_secs_f64(days * 24.0 * 3600.0).map_err(|_| "no number of days".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_of_the_flags_are_those_of_the_room() {
        #[derive(clap::Parser)]
        struct Cli {
            #[command(flatten)]
            sandbox: SandboxArgs,
        }
        let cli = <Cli as clap::Parser>::parse_from(["x", "--cache-max-age", "30", "--cache-max-size", "20GiB"]);
        assert_eq!(cli.sandbox.environments().limits, CacheLimits::default());
    }

    #[test]
    fn days_are_a_number_that_is_not_negative() {
        assert_eq!(days("0.5"), Ok(Duration::from_secs(12 * 3600)));
        for text in ["", "-1", "NaN", "inf", "a week"] {
            assert!(days(text).is_err(), "{text}");
        }
    }
}
