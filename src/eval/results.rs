//! The results of a run, kept so that another one goes on from them: JSON lines, each on disk before the next case ends.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    path::Path,
};

use anyhow::{Context as _, Result};

use super::Scored;
use crate::{input::BadInput, report};

/// What every line of results begins with.
const BEGIN: &[u8] = b"{\"case\":";

/// A file of results that this run alone writes.
#[derive(Debug)]
pub(super) struct Results {
    // Locked, as long as this value lives.
    file: File,
    known: BTreeMap<String, Scored>,
}

impl Results {
    /// Reads what an earlier run left, up to its last whole line: a kill may have cut the one after it.
    ///
    /// # Errors
    /// [`BadInput`] when another run writes to the file, or it is none of results.
    pub(super) fn open(path: &Path) -> Result<Results> {
        let bad = |why: String| BadInput(format!("--resume {}: {why}", path.display()));
        let mut file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)
            .map_err(|e| bad(format!("it cannot be written: {e}")))?;
        if file.try_lock().is_err() {
            return Err(bad("another run of eval is writing to it".to_owned()).into());
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(|e| bad(e.to_string()))?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let (lines, rest) = bytes.split_at(whole);
        let mut known = BTreeMap::new();
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
            let scored: Scored =
                serde_json::from_slice(line).map_err(|e| bad(format!("a line of it is no result of eval: {e}")))?;
            // A case that was run again has two lines.
            known.insert(scored.case.clone(), scored);
        }
        let rest_is_whole = serde_json::from_slice::<Scored>(rest).ok();
        let unfinished = !rest.trim_ascii().is_empty();
        match rest_is_whole {
            Some(scored) => {
                file.seek(SeekFrom::End(0)).and_then(|_| file.write_all(b"\n")).map_err(|e| bad(e.to_string()))?;
                known.insert(scored.case.clone(), scored);
            }
            // Nothing whole is in it and no line ever was: that is no half of a result, but somebody's file.
            None if unfinished && whole == 0 && !(rest.starts_with(BEGIN) || BEGIN.starts_with(rest)) => {
                return Err(bad("it is no file of results of eval".to_owned()).into());
            }
            None => {
                if unfinished {
                    report::complain(&format!("{}: the last line was cut: it is left out", path.display()));
                }
                file.set_len(whole as u64).map_err(|e| bad(e.to_string()))?;
                file.seek(SeekFrom::End(0)).map_err(|e| bad(e.to_string()))?;
            }
        }
        Ok(Results { file, known })
    }

    /// What is known of a case.
    pub(super) fn of(&self, case: &str) -> Option<&Scored> {
        self.known.get(case)
    }

    /// Keeps a result: on disk when this returns.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) fn append(&mut self, scored: &Scored) -> Result<()> {
        let line = report::json_line(scored);
        let written = self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_data());
        written.context("the results of --resume cannot be written")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::table::tests::scored;
    use std::fs;

    #[test]
    fn a_file_that_a_kill_cut_is_read_to_its_last_whole_line_and_goes_on_from_there() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("done.jsonl");
        let [a, b] = ["a", "b"].map(|case| report::json_line(&scored(case, "fixed")));
        for cut in 0..=b.len() {
            fs::write(&path, format!("{a}{}", &b[..cut])).unwrap();
            let mut results = Results::open(&path).unwrap();
            assert!(results.of("a").is_some());
            // All of it but the newline is a result, too.
            assert_eq!(results.of("b").is_some(), cut >= b.len() - 1, "{cut}");
            results.append(&scored("c", "flagged")).unwrap();
            drop(results);
            let again = Results::open(&path).unwrap();
            assert_eq!(["a", "b", "c"].map(|case| again.of(case).is_some()), [true, cut >= b.len() - 1, true]);
        }
    }

    #[test]
    fn the_last_line_of_a_case_counts() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("done.jsonl");
        let mut results = Results::open(&path).unwrap();
        for ended in ["error", "fixed"] {
            results.append(&scored("a", ended)).unwrap();
        }
        drop(results);
        assert_eq!(Results::open(&path).unwrap().of("a").unwrap().ended, "fixed");
    }

    #[test]
    fn a_file_of_something_else_is_refused_and_stays_as_it_is() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("notes");
        for text in ["dear diary", "dear diary\n", "{\"a\": 1}\n", "{\"a\": 1"] {
            fs::write(&path, text).unwrap();
            let error = Results::open(&path).unwrap_err();
            assert!(error.is::<BadInput>(), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn two_runs_never_write_to_one_file() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("done.jsonl");
        let first = Results::open(&path).unwrap();
        assert!(Results::open(&path).unwrap_err().to_string().contains("another run"));
        drop(first);
        Results::open(&path).unwrap();
    }
}
