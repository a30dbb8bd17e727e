//! cache: completions by the content hash of their request, so that a second identical run makes no call. Its files may
//! be damaged or gone at any moment; then the question is asked again.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{
    Completion, LlmError, Source,
    lines::{self, Redact},
};

/// No completion is larger.
const LARGEST: u64 = 8 << 20;

/// Of a file that is being written: a kill leaves it behind.
const UNFINISHED: &str = ".unfinished-";

/// Older files by that name are nobody's.
const SETTLED: Duration = Duration::from_secs(3600);

/// A directory with one file a completion.
pub struct Cache {
    directory: PathBuf,
    ttl: Duration,
    redact: Redact,
    most_files: usize,
    most_bytes: u64,
}

#[derive(Serialize, Deserialize)]
struct Cached {
    key: String,
    at: Timestamp,
    completion: Completion,
}

impl Cache {
    /// The cache in `directory`, which is made; `ttl` is how long a completion is good.
    ///
    /// # Errors
    /// [`LlmError::Record`] when it can't be made.
    pub fn open(directory: &Path, ttl: Duration, redact: Redact) -> Result<Cache, LlmError> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.map_err(|e| {
            LlmError::Record(format!(
                "the completion cache {} cannot be made: {e}; choose another place, or --no-cache",
                directory.display()
            ))
        })?;
        Ok(Cache { directory: directory.to_owned(), ttl, redact, most_files: 5000, most_bytes: 256 << 20 })
    }

    /// The answer to a question, where one is kept that is whole, young enough and of this very question.
    pub fn get(&self, key: &str) -> Option<Completion> {
        let path = self.path(key);
        let metadata = fs::symlink_metadata(&path).ok()?;
        let found = if metadata.is_file() { self.read(&path, key) } else { None };
        if found.is_none() {
            let _ = fs::remove_file(&path);
        }
        found
    }

    fn read(&self, path: &Path, key: &str) -> Option<Completion> {
        let mut text = Vec::new();
        File::open(path).ok()?.take(LARGEST + 1).read_to_end(&mut text).ok()?;
        let cached: Cached = serde_json::from_slice(&text).ok()?;
        // A date in the future is as wrong as one that is long past.
        let age = Timestamp::now().duration_since(cached.at).unsigned_abs();
        let good = text.len() as u64 <= LARGEST && cached.key == key && cached.completion.key == key && age <= self.ttl;
        good.then_some(Completion { source: Source::Cache, ..cached.completion })
    }

    /// Keeps an answer; the oldest ones make room.
    ///
    /// # Errors
    /// [`LlmError::Record`] when it can't be written.
    pub fn put(&self, completion: &Completion) -> Result<(), LlmError> {
        self.write(completion).map_err(|e| {
            LlmError::Record(format!("the completion cache {} cannot be written: {e}", self.directory.display()))
        })?;
        self.sweep();
        Ok(())
    }

    fn write(&self, completion: &Completion) -> std::io::Result<()> {
        let cached = Cached { key: completion.key.clone(), at: Timestamp::now(), completion: completion.clone() };
        let mut value = serde_json::to_value(&cached)?;
        if let Some(completion) = value.get_mut("completion") {
            *completion = lines::redacted(completion.take(), &self.redact);
        }
        let text = value.to_string();
        if text.len() as u64 > LARGEST {
            return Ok(());
        }
        // For the owner alone (tempfile's mode is 0600), and whole or not at all.
        let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(&self.directory)?;
        file.write_all(text.as_bytes())?;
        file.persist(self.path(&completion.key)).map_err(|e| e.error)?;
        Ok(())
    }

    /// Any key makes a name that is safe.
    fn path(&self, key: &str) -> PathBuf {
        let hash = Sha256::digest(key.as_bytes());
        let name: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        self.directory.join(format!("{name}.json"))
    }

    /// Removes what is too old or too much. Files by other names are not ours: they stay.
    fn sweep(&self) {
        let Ok(entries) = self.directory.read_dir() else { return };
        let now = SystemTime::now();
        let mut kept = Vec::new();
        for entry in entries.filter_map(Result::ok) {
            let (name, Ok(metadata)) = (entry.file_name(), entry.metadata()) else { continue };
            let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            let age = now.duration_since(modified).unwrap_or_default();
            match name.to_str() {
                Some(name) if name.starts_with(UNFINISHED) && age > SETTLED => {
                    let _ = fs::remove_file(entry.path());
                }
                Some(name) if is_ours(name) && age > self.ttl => {
                    let _ = fs::remove_file(entry.path());
                }
                Some(name) if is_ours(name) => kept.push((modified, metadata.len(), entry.path())),
                _ => {}
            }
        }
        kept.sort_by(|a, b| b.cmp(a));
        let mut bytes = 0_u64;
        for (number, (_, size, path)) in kept.into_iter().enumerate() {
            bytes = bytes.saturating_add(size);
            if number >= self.most_files || bytes > self.most_bytes {
                let _ = fs::remove_file(path);
            }
        }
    }
}

fn is_ours(name: &str) -> bool {
    name.strip_suffix(".json").is_some_and(|hash| hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::{Finish, Usage};
    use proptest::prelude::*;
    use std::{os::unix::fs::PermissionsExt as _, sync::Arc};

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn answer(key: &str, content: &str) -> Completion {
        Completion {
            key: key.to_owned(),
            content: content.to_owned(),
            reasoning: None,
            tool_calls: Vec::new(),
            finish: Finish::Stop,
            usage: Usage { cost_usd: 0.5, ..Usage::default() },
            source: Source::Endpoint,
        }
    }

    fn cache(directory: &Path) -> Cache {
        Cache::open(directory, DAY, Arc::new(|text: &str| text.replace("hunter2", "[secret]"))).unwrap()
    }

    fn files(directory: &Path) -> usize {
        directory.read_dir().unwrap().count()
    }

    #[test]
    fn an_answer_is_found_by_its_key_alone_and_holds_no_secret() {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("llm");
        let key = "../../etc/hunter2";
        cache(&directory).put(&answer(key, "say hunter2")).unwrap();
        let found = cache(&directory).get(key).unwrap();
        assert_eq!(found, Completion { source: Source::Cache, ..answer(key, "say [secret]") });
        assert_eq!(cache(&directory).get("other"), None);
        assert_eq!((files(place.path()), files(&directory)), (1, 1));
        let file = cache(&directory).path(key);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);
        cache(&directory).put(&answer(key, "newer")).unwrap();
        assert_eq!(cache(&directory).get(key).unwrap().content, "newer");
    }

    #[test]
    fn what_is_damaged_or_of_another_question_is_removed_and_asked_again() {
        let place = tempfile::tempdir().unwrap();
        let cache = cache(place.path());
        cache.put(&answer("a", "x")).unwrap();
        let whole = fs::read_to_string(cache.path("a")).unwrap();
        let huge = whole.replace("\"x\"", &format!("\"{}\"", "x".repeat(LARGEST as usize)));
        for damaged in [&whole[..whole.len() - 1], "", "{}", "\u{0}", &whole.replacen("\"a\"", "\"b\"", 1), &huge] {
            fs::write(cache.path("a"), damaged).unwrap();
            assert_eq!(cache.get("a"), None, "{:.200}", damaged);
            assert!(!cache.path("a").exists());
        }
        // A file that was moved to another key's name.
        fs::write(cache.path("b"), &whole).unwrap();
        assert_eq!(cache.get("b"), None);
        // A link leads nowhere.
        let elsewhere = place.path().join("elsewhere");
        fs::write(&elsewhere, &whole).unwrap();
        std::os::unix::fs::symlink(&elsewhere, cache.path("a")).unwrap();
        assert_eq!(cache.get("a"), None);
        assert_eq!(fs::read_to_string(elsewhere).unwrap(), whole);
    }

    #[test]
    fn an_answer_that_is_too_old_or_from_the_future_is_asked_for_again() {
        let place = tempfile::tempdir().unwrap();
        let cache = cache(place.path());
        for (shift, good) in [(0.5, true), (1.5, false), (-1.5, false)] {
            let at = Timestamp::now() - jiff::SignedDuration::from_secs_f64(shift * DAY.as_secs_f64());
            let cached = Cached { key: "a".to_owned(), at, completion: answer("a", "x") };
            fs::write(cache.path("a"), serde_json::to_string(&cached).unwrap()).unwrap();
            assert_eq!(cache.get("a").is_some(), good, "{shift}");
        }
    }

    #[test]
    fn the_oldest_make_room_and_files_that_are_not_ours_stay() {
        let place = tempfile::tempdir().unwrap();
        let mut cache = Cache { most_files: 3, ..cache(place.path()) };
        let touch = |path: &Path, hours: u64| {
            let file = File::options().write(true).open(path).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(hours * 3600)).unwrap();
        };
        for (key, hours) in [("a", 3), ("b", 2), ("c", 1)] {
            cache.put(&answer(key, "x")).unwrap();
            touch(&cache.path(key), hours);
        }
        for name in ["notes.json", ".unfinished-old", ".unfinished-new"] {
            fs::write(place.path().join(name), "").unwrap();
        }
        touch(&place.path().join("notes.json"), 1000);
        touch(&place.path().join(".unfinished-old"), 2);
        let here = |cache: &Cache| ["a", "b", "c", "d", "e"].map(|key| cache.path(key).exists());
        cache.put(&answer("d", "x")).unwrap();
        assert_eq!(here(&cache), [false, true, true, true, false]);
        assert_eq!(files(place.path()), 5);
        // Room for two and not for three: the time in a file may be a few digits longer in another.
        cache.most_bytes = fs::metadata(cache.path("d")).unwrap().len() * 5 / 2;
        cache.put(&answer("e", "x")).unwrap();
        assert_eq!(here(&cache), [false, false, false, true, true]);
        touch(&cache.path("d"), 25);
        cache.put(&answer("e", "x")).unwrap();
        assert_eq!(here(&cache), [false, false, false, false, true]);
        assert!(place.path().join("notes.json").exists());
        // What is too large to be kept is no error, and nothing is kept of it.
        cache.put(&answer("a", &"x".repeat(LARGEST as usize))).unwrap();
        assert_eq!(here(&cache), [false, false, false, false, true]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_file_in_it_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let place = tempfile::tempdir().unwrap();
            let cache = cache(place.path());
            fs::write(cache.path("a"), bytes).unwrap();
            prop_assert_eq!(cache.get("a"), None);
        }
    }
}
