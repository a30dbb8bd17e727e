//! scratch: temporary directories that even a kill leaves no trace of for long. Each is held by a lock on a file beside
//! its content; the next start removes those that nobody holds.

use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};

/// A directory by this name has its lock held, or nobody uses it.
const PREFIX: &str = "test-repair-scratch-";

/// A directory by this name is about to get its lock.
const UNBORN: &str = "test-repair-unborn-";

/// The probe's bait, which lies where the sandbox must not reach (`sandbox::local::probe`).
const CANARY: &str = ".test-repair-canary-";

/// Younger files without a lock may be in use.
const SETTLED: Duration = Duration::from_secs(60);

/// A temporary directory, removed with this value, or by the next start.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    _lock: File,
}

impl Scratch {
    /// A new one, below the machine's temporary directory.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn new() -> Result<Scratch> {
        let made = || {
            let unborn = tempfile::Builder::new().prefix(UNBORN).tempdir()?;
            let lock = File::create(unborn.path().join(".lock"))?;
            lock.lock()?;
            let name =
                unborn.path().file_name().and_then(|n| n.to_str()).unwrap_or_default().replacen(UNBORN, PREFIX, 1);
            let path = unborn.path().with_file_name(name);
            fs::rename(unborn.keep(), &path)?;
            Ok::<Scratch, std::io::Error>(Scratch { path, _lock: lock })
        };
        made().with_context(|| format!("{} cannot be written", env::temp_dir().display()))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Removes what killed runs left in the temporary directory and at home.
pub fn sweep() {
    let home = env::var_os("HOME").map(PathBuf::from);
    for place in [Some(env::temp_dir()), home].into_iter().flatten() {
        let Ok(entries) = place.read_dir() else { continue };
        for entry in entries.filter_map(Result::ok) {
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            let age = entry.metadata().and_then(|m| m.modified()).ok().and_then(|m| m.elapsed().ok());
            let settled = age.is_some_and(|age| age > SETTLED);
            if name.starts_with(CANARY) && settled {
                let _ = fs::remove_file(entry.path());
            } else if (name.starts_with(PREFIX) && !held(&entry.path())) || (name.starts_with(UNBORN) && settled) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}

fn held(scratch: &Path) -> bool {
    File::options().write(true).open(scratch.join(".lock")).is_ok_and(|lock| lock.try_lock().is_err())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_holds_is_known_from_what_is_in_use() {
        let scratch = Scratch::new().unwrap();
        let path = scratch.path().to_owned();
        assert!(held(&path));
        let kept = std::mem::ManuallyDrop::new(scratch);
        kept._lock.unlock().unwrap(); // as the kernel does for a killed process
        assert!(path.exists() && !held(&path));
        fs::remove_dir_all(path).unwrap();
    }
}
