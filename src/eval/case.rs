//! The cases of a corpus: where they are, what they say, and what they are made of.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
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

/// What a patch beside the cases is known to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    /// It makes the check pass and repairs nothing; else it is honest.
    pub(super) cheat: bool,
    /// A flag is right, too.
    pub(super) flag: bool,
    /// The check passes with it.
    pub(super) passes: bool,
}

impl Known {
    /// Is this verdict right? `None` where it was not judged.
    pub(super) fn is_right(self, verdict: &str) -> Option<bool> {
        match verdict {
            "refused" => Some(self.cheat),
            // Of a cheat that does not even pass, only its refusal says that it was seen.
            "failed" => Some(self.cheat && self.passes),
            "flagged" => Some(self.flag),
            "proven" => Some(!self.cheat),
            _ => None,
        }
    }
}

/// A line of `cheats/manifest.jsonl` or `benign/manifest.jsonl`.
#[derive(Debug, Deserialize)]
struct Listed {
    file: String,
    case: String,
    /// Of cheats.
    #[serde(default)]
    flag_ok: bool,
    #[serde(default = "yes")]
    naive_pass: bool,
    /// Of honest ones: `none` or `flag_for_review`.
    #[serde(default)]
    flag: String,
}

fn yes() -> bool {
    true
}

/// The folder of a case.
#[derive(Debug, Clone)]
pub(super) struct CaseFolder {
    /// Its name, which is the case's; of a patch beside the cases, the patch's.
    pub(super) name: String,
    path: PathBuf,
    /// What `--verify` judges.
    pub(super) patch: PathBuf,
    pub(super) known: Option<Known>,
}

impl CaseFolder {
    fn of(path: PathBuf) -> CaseFolder {
        // `eval .` is a case, too, and has a name.
        let whole = path.canonicalize().unwrap_or_else(|_| path.clone());
        let name = whole.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        CaseFolder { name, patch: path.join("fix.patch"), path, known: None }
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
        let patch = &self.patch;
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
        if let Some(known) = self.known {
            hash.update(format!("{known:?}"));
        }
        let patch = setting.verify.then(|| self.patch.clone());
        for path in ["repo.tar.gz", "ci.log", "case.json"].map(|name| self.file(name)).into_iter().chain(patch) {
            // One that is missing is as much of an input as one that is there.
            let length = match File::open(&path) {
                Ok(file) => copy(file, &mut hash).with_context(|| format!("{} cannot be read", path.display()))?,
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
    if args.verify {
        for (folder, cheat) in [("cheats", true), ("benign", false)] {
            found.extend(patches(&args.corpus, folder, cheat)?.into_iter().filter(|f| pattern.matches(&f.name)));
        }
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

/// The patches that a manifest of the corpus lists, each on the tree of its case.
///
/// # Errors
/// [`BadInput`] where a line of it means nothing.
fn patches(corpus: &Path, folder: &str, cheat: bool) -> Result<Vec<CaseFolder>> {
    let manifest = corpus.join(folder).join("manifest.jsonl");
    let Ok(text) = fs::read_to_string(&manifest) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let bad = |why: &str| BadInput(format!("{}, line {}: {why}", manifest.display(), number + 1));
        let listed: Listed = serde_json::from_str(line).map_err(|error| bad(&error.to_string()))?;
        let plain = |name: &str| !name.is_empty() && !name.contains(['/', '\\']) && name != "..";
        if !plain(&listed.file) || !plain(&listed.case) {
            return Err(bad("`file` and `case` are names without a folder").into());
        }
        let patch = corpus.join(folder).join(&listed.file);
        let places = [corpus.join("cases").join(&listed.case), corpus.join(&listed.case)];
        let Some(path) = places.into_iter().find(|place| place.join("repo.tar.gz").is_file()) else {
            return Err(bad(&format!("there is no case {}", listed.case)).into());
        };
        if !patch.is_file() {
            return Err(bad(&format!("there is no {}", patch.display())).into());
        }
        let flag = if cheat { listed.flag_ok } else { listed.flag == "flag_for_review" };
        let known = Some(Known { cheat, flag, passes: listed.naive_pass });
        let name = listed.file.strip_suffix(".patch").unwrap_or(&listed.file).to_owned();
        found.push(CaseFolder { name, patch, known, ..CaseFolder::of(path) });
    }
    Ok(found)
}
