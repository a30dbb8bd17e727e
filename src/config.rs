//! config: `.github/test-repair.yml`, read from the tree before any patch. A flag wins over the file, the file over the
//! default.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::{
    fix_type::FixType,
    input::BadInput,
    llm::options::{BudgetLimits, ModelOptions, Price},
    plan::Cells,
    workspace::Tree,
};

/// Where the file stands in a repository.
pub const PATH: &str = ".github/test-repair.yml";

/// The limit on one command where nobody says another, in seconds.
pub const TIMEOUT: u64 = 1200;

/// Every key, for the error that names the nearest.
const KEYS: &[&str] = &[
    "attempts",
    "branch_prefix",
    "budget",
    "concurrency",
    "deadline_seconds",
    "fix_types",
    "issue",
    "labels",
    "matrix",
    "model",
    "other_jobs",
    "protected_paths",
    "redact",
    "reruns",
    "reviewers",
    "timeout_seconds",
];

/// Before the names of our branches, where nobody says otherwise.
pub const BRANCH_PREFIX: &str = "test-repair/";

/// So many repairs of one commit are tried, where nobody says another number.
const ATTEMPTS: u32 = 3;

/// So many causes are repaired side by side where nobody says another number.
const CONCURRENCY: usize = 4;

/// What a repository configures.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Only fixes of these types are proposed; all when it is left out.
    pub fix_types: Option<Vec<FixType>>,
    /// Globs of files that no fix may touch, besides those that are always protected.
    pub protected_paths: Vec<String>,
    /// Are the workflow's other jobs run as well, before and after a fix? They are where it is left out.
    pub other_jobs: Option<bool>,
    /// Which cells of a failing job's own matrix are run beside those that failed.
    pub matrix: Option<Cells>,
    /// Limit on one command.
    pub timeout_seconds: Option<u64>,
    /// Limit on the whole run.
    pub deadline_seconds: Option<u64>,
    /// Which model, and how it is asked.
    pub model: ModelConfig,
    /// What a run may spend on the model.
    pub budget: BudgetConfig,
    /// Regular expressions of secrets, besides those that are known everywhere.
    pub redact: Vec<String>,
    /// Causes that are repaired side by side.
    pub concurrency: Option<usize>,
    /// Runs that may try to repair one commit.
    pub attempts: Option<u32>,
    /// Before the names of our branches.
    pub branch_prefix: Option<String>,
    /// Labels of our pull requests; `{fix_type}` stands for the kind of fix.
    pub labels: Option<Vec<String>>,
    /// Who is asked for a review.
    pub reviewers: Option<Reviewers>,
    /// How often failed jobs are run again where the infrastructure is to blame; needs `actions: write`.
    pub reruns: u32,
    /// Is an issue opened where there is no fix? Needs `issues: write`.
    pub issue: bool,
}

/// `reviewers:`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Reviewers {
    /// `codeowners`: the owners of the changed files.
    Owners(Owners),
    /// Logins, and teams as `org/team`.
    Named(Vec<String>),
}

/// The one word that `reviewers:` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Owners {
    /// The owners of the changed files.
    Codeowners,
}

/// `model:`. No address stands here: a repository must not say where the key is sent.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelConfig {
    /// `deepseek-flash`.
    pub name: Option<String>,
    /// `low`, `high`, `max`, or `none`.
    pub effort: Option<String>,
    /// Dollars per million tokens, for a model that the price list does not know.
    pub price: Option<PriceConfig>,
}

/// `model.price:`, in dollars per million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct PriceConfig {
    #[serde(default)]
    pub cached: Option<f64>,
    pub prompt: f64,
    pub completion: f64,
}

/// `budget:`, for one run.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs)]
pub struct BudgetConfig {
    pub max_cost_usd: Option<f64>,
    pub max_calls: Option<u32>,
    pub max_tokens: Option<u64>,
    pub max_seconds: Option<u64>,
}

/// What the command line and the environment say of the model.
#[derive(Clone, Default)]
pub struct ModelFlags {
    /// `DEEPSEEK_API_KEY`. Never a flag: other processes can read those.
    pub key: Option<String>,
    /// `--model-url`, `DEEPSEEK_BASE_URL`.
    pub url: Option<String>,
    /// `--model`, `DEEPSEEK_MODEL`.
    pub name: Option<String>,
    /// `--max-cost-usd`.
    pub max_cost_usd: Option<f64>,
    /// `--max-calls`.
    pub max_calls: Option<u32>,
    /// `--max-tokens`.
    pub max_tokens: Option<u64>,
    /// Where completions are kept; `None` for `--no-cache`.
    pub cache: Option<std::path::PathBuf>,
    /// `--cassette`.
    pub cassette: Option<std::path::PathBuf>,
}

impl std::fmt::Debug for ModelFlags {
    /// Without the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ModelFlags").field("url", &self.url).field("name", &self.name).finish_non_exhaustive()
    }
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
        let prefix = config.branch_prefix();
        let sane = |c: char| c.is_ascii_alphanumeric() || "-_/".contains(c);
        if !prefix.chars().all(sane) || prefix.starts_with(['/', '-']) || prefix.contains("//") || prefix.len() < 3 {
            return Err(bad(format!("branch_prefix: `{prefix}` begins no branch: letters, digits, - _ and /")));
        }
        Ok(config)
    }

    /// Before the names of our branches.
    pub fn branch_prefix(&self) -> &str {
        self.branch_prefix.as_deref().unwrap_or(BRANCH_PREFIX)
    }

    /// Runs that may try to repair one commit.
    pub fn attempts(&self) -> u32 {
        self.attempts.unwrap_or(ATTEMPTS)
    }

    /// The labels of a pull request with this kind of fix.
    pub fn labels(&self, fix_type: &str) -> Vec<String> {
        let default = || vec!["test-repair".to_owned(), "{fix_type}".to_owned()];
        let labels = self.labels.clone().unwrap_or_else(default);
        labels.iter().map(|label| label.replace("{fix_type}", fix_type)).filter(|l| !l.trim().is_empty()).collect()
    }

    /// Are the workflow's other jobs run as well?
    pub fn other_jobs(&self) -> bool {
        self.other_jobs.unwrap_or(true)
    }

    /// Which cells of a failing job's own matrix are run as well?
    pub fn matrix(&self) -> Cells {
        self.matrix.unwrap_or_default()
    }

    /// The limit on one command: the flag, the file, the default.
    pub fn timeout(&self, flag: Option<u64>) -> Duration {
        Duration::from_secs(flag.or(self.timeout_seconds).unwrap_or(TIMEOUT))
    }

    /// The limit on the run: the flag, the file, none.
    pub fn deadline(&self, flag: Option<u64>) -> Option<Duration> {
        flag.or(self.deadline_seconds).map(Duration::from_secs)
    }

    /// Causes that are repaired side by side: the file, the default; never none.
    pub fn concurrency(&self) -> usize {
        self.concurrency.unwrap_or(CONCURRENCY).clamp(1, 32)
    }

    /// The model's options: the flag or the environment, the file, the default. `None` where DeepSeek itself is meant
    /// and there is no key.
    pub fn model(&self, flags: &ModelFlags) -> Option<ModelOptions> {
        let default = ModelOptions::default();
        // DeepSeek itself wants a key, whether it is named or not.
        let own = flags.url.as_ref().is_none_or(|url| url.trim_end_matches('/') == default.base_url);
        if flags.key.is_none() && own && flags.cassette.is_none() {
            return None;
        }
        let limits = BudgetLimits {
            cost_usd: flags.max_cost_usd.or(self.budget.max_cost_usd).unwrap_or(default.limits.cost_usd),
            tokens: flags.max_tokens.or(self.budget.max_tokens).unwrap_or(default.limits.tokens),
            calls: flags.max_calls.or(self.budget.max_calls).unwrap_or(default.limits.calls),
            wall: self.budget.max_seconds.map(Duration::from_secs),
        };
        let price =
            |p: PriceConfig| Price { cached: p.cached.unwrap_or(p.prompt), prompt: p.prompt, completion: p.completion };
        Some(ModelOptions {
            base_url: flags.url.clone().unwrap_or(default.base_url.clone()),
            key: flags.key.clone(),
            model: flags.name.clone().or_else(|| self.model.name.clone()).unwrap_or(default.model.clone()),
            effort: self.model.effort.clone(),
            price: self.model.price.map(price),
            limits,
            // What the cache answered would be missing from the recording.
            cache: flags.cache.clone().filter(|_| flags.cassette.is_none()),
            cassette: flags.cassette.clone(),
            ..default
        })
    }

    /// Each value and where it comes from, for `doctor`.
    pub fn origins(&self, flags: &ModelFlags) -> Vec<(&'static str, String, &'static str)> {
        let from = |set: bool| if set { PATH } else { "default" };
        let limits = BudgetLimits::default();
        let model = |flag: bool, set: bool| if flag { "flag or environment" } else { from(set) };
        let types = |types: &Vec<FixType>| types.iter().map(|t| t.word()).collect::<Vec<_>>().join(", ");
        vec![
            (
                "fix_types",
                self.fix_types.as_ref().map_or_else(|| "all".to_owned(), types),
                from(self.fix_types.is_some()),
            ),
            ("protected_paths", self.protected_paths.join(", "), from(!self.protected_paths.is_empty())),
            ("other_jobs", self.other_jobs().to_string(), from(self.other_jobs.is_some())),
            ("matrix", self.matrix().word().to_owned(), from(self.matrix.is_some())),
            ("timeout_seconds", self.timeout(None).as_secs().to_string(), from(self.timeout_seconds.is_some())),
            (
                "deadline_seconds",
                self.deadline_seconds.map_or_else(|| "none".to_owned(), |s| s.to_string()),
                from(self.deadline_seconds.is_some()),
            ),
            (
                "model",
                flags.name.clone().or_else(|| self.model.name.clone()).unwrap_or(ModelOptions::default().model),
                model(flags.name.is_some(), self.model.name.is_some()),
            ),
            (
                "model endpoint",
                flags.url.clone().unwrap_or(ModelOptions::default().base_url),
                model(flags.url.is_some(), false),
            ),
            (
                "model key",
                if flags.key.is_some() { "set" } else { "not set: rules and diagnosis only" }.to_owned(),
                model(flags.key.is_some(), false),
            ),
            (
                "budget.max_cost_usd",
                flags.max_cost_usd.or(self.budget.max_cost_usd).unwrap_or(limits.cost_usd).to_string(),
                model(flags.max_cost_usd.is_some(), self.budget.max_cost_usd.is_some()),
            ),
            (
                "budget.max_calls",
                flags.max_calls.or(self.budget.max_calls).unwrap_or(limits.calls).to_string(),
                model(flags.max_calls.is_some(), self.budget.max_calls.is_some()),
            ),
            (
                "budget.max_tokens",
                flags.max_tokens.or(self.budget.max_tokens).unwrap_or(limits.tokens).to_string(),
                model(flags.max_tokens.is_some(), self.budget.max_tokens.is_some()),
            ),
            (
                "budget.max_seconds",
                self.budget.max_seconds.map_or_else(|| "none".to_owned(), |s| s.to_string()),
                from(self.budget.max_seconds.is_some()),
            ),
            ("concurrency", self.concurrency().to_string(), from(self.concurrency.is_some())),
            ("attempts", self.attempts().to_string(), from(self.attempts.is_some())),
            ("branch_prefix", self.branch_prefix().to_owned(), from(self.branch_prefix.is_some())),
            ("labels", self.labels("FIX_TYPE").join(", "), from(self.labels.is_some())),
            (
                "reviewers",
                match &self.reviewers {
                    None => "nobody".to_owned(),
                    Some(Reviewers::Owners(_)) => "codeowners".to_owned(),
                    Some(Reviewers::Named(names)) => names.join(", "),
                },
                from(self.reviewers.is_some()),
            ),
            ("reruns", self.reruns.to_string(), from(self.reruns > 0)),
            ("issue", self.issue.to_string(), from(self.issue)),
            ("redact", format!("{} of its own", self.redact.len()), from(!self.redact.is_empty())),
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

    #[test]
    fn without_a_key_there_is_no_model_and_a_flag_wins_over_the_file() {
        let config =
            Config::parse("model: {name: deepseek-v4-pro}\nbudget: {max_calls: 3, max_cost_usd: 0.5}\n").unwrap();
        assert!(config.model(&ModelFlags::default()).is_none());
        let flags = ModelFlags { key: Some("k".to_owned()), max_calls: Some(7), ..ModelFlags::default() };
        let options = config.model(&flags).unwrap();
        assert_eq!((options.model.as_str(), options.limits.calls), ("deepseek-v4-pro", 7));
        assert_eq!(options.limits.cost_usd, 0.5);
        assert!(!format!("{flags:?}{options:?}").contains("\"k\""));
        // A repository must not say where the key is sent.
        assert!(Config::parse("model: {url: 'https://evil.example'}\n").is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(?s).{0,120}") {
            let _ = Config::parse(&text);
        }
    }
}
