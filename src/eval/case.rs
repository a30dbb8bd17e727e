//! The cases of a corpus: where they are, what they say, and what they are made of.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::replay::Setting;
use crate::{cli::EvalArgs, input::BadInput};

/// What `case.json` says that is scored against.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Case {
    pub(super) category: String,
    pub(super) tool: String,
    pub(super) failing_tests: Vec<String>,
    pub(super) expected_outcome: Option<String>,
}

/// The folder of a case.
#[derive(Debug, Clone)]
pub(super) struct CaseFolder {
    /// Its name, which is the case's.
    pub(super) name: String,
    path: PathBuf,
}

impl CaseFolder {
    fn of(path: PathBuf) -> CaseFolder {
        // `eval .` is a case, too, and has a name.
        let whole = path.canonicalize().unwrap_or_else(|_| path.clone());
        let name = whole.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        CaseFolder { name, path }
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// What it says of itself; nothing where it does not.
    pub(super) fn case(&self) -> Case {
        let bytes = fs::read(self.file("case.json")).ok();
        bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// Is there a patch that says that nothing repairs it?
    pub(super) fn has_empty_patch(&self) -> bool {
        let patch = self.file("fix.patch");
        // A real one is larger than any that is blank.
        patch.metadata().is_ok_and(|meta| meta.is_file() && meta.len() < 4096)
            && fs::read(patch).is_ok_and(|bytes| bytes.iter().all(u8::is_ascii_whitespace))
    }

    /// A hash of all that decides what comes of it.
    ///
    /// # Errors
    /// When a file can't be read to its end.
    pub(super) fn inputs(&self, setting: &Setting) -> Result<String> {
        let mut hash = Sha256::new();
        hash.update(setting.words());
        let patch = if setting.verify { "fix.patch" } else { "" };
        for name in ["repo.tar.gz", "ci.log", "case.json", patch].iter().filter(|name| !name.is_empty()) {
            // One that is missing is as much of an input as one that is there.
            let length = match File::open(self.file(name)) {
                Ok(file) => {
                    copy(file, &mut hash).with_context(|| format!("{} cannot be read", self.file(name).display()))?
                }
                Err(_) => u64::MAX,
            };
            hash.update(length.to_le_bytes());
        }
        Ok(hash.finalize().iter().take(10).map(|byte| format!("{byte:02x}")).collect())
    }
}

fn copy(mut from: impl Read, hash: &mut Sha256) -> io::Result<u64> {
    let mut buffer = vec![0; 1 << 16];
    let mut length = 0;
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(length),
            Ok(read) => {
                hash.update(&buffer[..read]);
                length += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The cases that are asked for, in the order of their names.
///
/// # Errors
/// [`BadInput`] when there is none.
pub(super) fn find(args: &EvalArgs) -> Result<Vec<CaseFolder>> {
    let pattern = glob::Pattern::new(&args.filter).map_err(|e| BadInput(format!("--filter {}: {e}", args.filter)))?;
    let is_case = |path: &Path| path.join("repo.tar.gz").is_file();
    let mut found = Vec::new();
    for root in [args.corpus.clone(), args.corpus.join("cases")] {
        let Ok(entries) = root.read_dir() else { continue };
        let folders = entries.filter_map(Result::ok).map(|e| e.path()).filter(|path| is_case(path)).map(CaseFolder::of);
        found.extend(folders.filter(|folder| pattern.matches(&folder.name)));
    }
    if is_case(&args.corpus) {
        found.push(CaseFolder::of(args.corpus.clone()));
    }
    found.sort_by(|a, b| (&a.name, &a.path).cmp(&(&b.name, &b.path)));
    if let Some(pair) = found.windows(2).find(|pair| pair[0].name == pair[1].name) {
        let (one, other) = (pair[0].path.display(), pair[1].path.display());
        bail!(BadInput(format!("two cases have one name: {one} and {other}")));
    }
    if found.is_empty() {
        let corpus = args.corpus.display();
        bail!(BadInput(format!(
            "{corpus} has no case (a folder with repo.tar.gz and ci.log) that matches {}",
            args.filter
        )));
    }
    Ok(found)
}
