//! config: `.github/test-repair.yml`, read from the tree before any patch. A flag wins over the file, the file over the
//! default.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::{fix_type::FixType, input::BadInput, workspace::Tree};

/// Where the file stands in a repository.
pub const PATH: &str = ".github/test-repair.yml";

/// The limit on one command where nobody says another, in seconds.
pub const TIMEOUT: u64 = 1200;

/// Every key, for the error that names the nearest.
const KEYS: &[&str] = &["deadline_seconds", "fix_types", "protected_paths", "timeout_seconds"];

/// What a repository configures.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Only fixes of these types are proposed; all when it is left out.
    pub fix_types: Option<Vec<FixType>>,
    /// Globs of files that no fix may touch, besides those that are always protected.
    pub protected_paths: Vec<String>,
    /// Limit on one command.
    pub timeout_seconds: Option<u64>,
    /// Limit on the whole run.
    pub deadline_seconds: Option<u64>,
}

impl Config {
    /// The tree's own configuration; the default where it has none.
    ///
    /// # Errors
    /// [`BadInput`] for a file that can't be read, naming the key and the nearest known one.
    pub fn of(tree: &Tree) -> Result<Config, BadInput> {
        match tree.read(PATH) {
            Some(bytes) => Config::parse(&String::from_utf8_lossy(&bytes)),
            None => Ok(Config::default()),
        }
    }

    /// Reads the file's text.
    ///
    /// # Errors
    /// As [`Config::of`].
    pub fn parse(text: &str) -> Result<Config, BadInput> {
        let bad = |why: String| BadInput(format!("{PATH}: {why}"));
        if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
            return Ok(Config::default());
        }
        let value: Value = serde_saphyr::from_str(text).map_err(|e| bad(e.to_string()))?;
        let Value::Object(map) = &value else { return Err(bad("it must be a mapping of keys to values".to_owned())) };
        if let Some(unknown) = map.keys().find(|key| !KEYS.contains(&key.as_str())) {
            return Err(bad(format!("unknown key `{unknown}`: did you mean `{}`?", nearest(unknown))));
        }
        let config: Config = serde_json::from_value(value).map_err(|e| bad(e.to_string()))?;
        for pattern in &config.protected_paths {
            glob::Pattern::new(pattern).map_err(|e| bad(format!("protected_paths: `{pattern}`: {e}")))?;
        }
        Ok(config)
    }

    /// The limit on one command: the flag, the file, the default.
    pub fn timeout(&self, flag: Option<u64>) -> Duration {
        Duration::from_secs(flag.or(self.timeout_seconds).unwrap_or(TIMEOUT))
    }

    /// The limit on the run: the flag, the file, none.
    pub fn deadline(&self, flag: Option<u64>) -> Option<Duration> {
        flag.or(self.deadline_seconds).map(Duration::from_secs)
    }

    /// Each value and where it comes from, for `doctor`.
    pub fn origins(&self) -> Vec<(&'static str, String, &'static str)> {
        let from = |set: bool| if set { PATH } else { "default" };
        let types = |types: &Vec<FixType>| types.iter().map(|t| t.word()).collect::<Vec<_>>().join(", ");
        vec![
            (
                "fix_types",
                self.fix_types.as_ref().map_or_else(|| "all".to_owned(), types),
                from(self.fix_types.is_some()),
            ),
            ("protected_paths", self.protected_paths.join(", "), from(!self.protected_paths.is_empty())),
            ("timeout_seconds", self.timeout(None).as_secs().to_string(), from(self.timeout_seconds.is_some())),
            (
                "deadline_seconds",
                self.deadline_seconds.map_or_else(|| "none".to_owned(), |s| s.to_string()),
                from(self.deadline_seconds.is_some()),
            ),
        ]
    }
}

fn nearest(key: &str) -> &'static str {
    let alike = |known: &&&str| {
        let ratio = similar::TextDiff::from_chars(key, **known).ratio();
        (ratio * 1000.0) as u32
    };
    KEYS.iter().max_by_key(alike).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_unknown_key_is_an_error_that_names_the_nearest() {
        let error = Config::parse("fix-type: [quality]\n").unwrap_err().to_string();
        assert!(error.contains("`fix-type`") && error.contains("`fix_types`") && error.contains(PATH), "{error}");
    }

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        let config = Config::parse("timeout_seconds: 60\nfix_types: [quality, import]\n").unwrap();
        assert_eq!(config.timeout(None), Duration::from_secs(60));
        assert_eq!(config.timeout(Some(5)), Duration::from_secs(5));
        assert_eq!(Config::default().timeout(None), Duration::from_secs(TIMEOUT));
        assert_eq!(config.fix_types, Some(vec![FixType::Quality, FixType::Import]));
        assert_eq!(Config::parse("# nothing\n").unwrap(), Config::default());
        assert!(Config::parse("fix_types: [magic]\n").is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(?s).{0,120}") {
            let _ = Config::parse(&text);
        }
    }
}
