//! action: the container action's door: inputs and the event file in; pull request, summary, annotations and outputs out.

use std::{env, fs, path::PathBuf};

use anyhow::{Context as _, Result};
use clap::ValueEnum as _;
use serde_json::Value;

use crate::{
    actions::{self, Annotation, Level},
    cli::{self, SandboxKind},
    config::ModelFlags,
    fix::FixOptions,
    fix_type::FixType,
    github::{
        Client, ClientOptions,
        event::{Surroundings, Trigger, trigger},
    },
    input::BadInput,
    mind::TranscriptFile,
    outcome::{Outcome, Repair},
    progress::Progress,
    redact::redact,
    repair::ladder::Steps,
    report,
    run::{self, Mode, Wish},
    sandbox::{CacheDir, Choice},
};

/// Below the workspace: what a later step may upload.
const REPORT: &str = "test-repair-report";

/// No event file is larger.
const LARGEST_EVENT: u64 = 64 << 20;

/// The action as the workflow started it.
pub struct Action {
    trigger: Trigger,
    server: String,
    api_url: String,
    token: Option<String>,
    key: Option<String>,
    mode: Mode,
    fix: FixOptions,
    config_path: String,
    fail_on: Vec<String>,
    pythons: Vec<String>,
    choice: Choice,
    cache: CacheDir,
    report: PathBuf,
    client: std::sync::OnceLock<Client>,
}

impl Action {
    /// Reads inputs and event.
    ///
    /// # Errors
    /// [`BadInput`] for an input that can't be used, or where no runner started us.
    pub fn from_env() -> Result<Action> {
        let variable = |name: &str| env::var(name).ok().filter(|value| !value.trim().is_empty());
        let place = variable("GITHUB_EVENT_PATH").ok_or_else(|| {
            BadInput(
                "`test-repair action` is started by GitHub's runner (GITHUB_EVENT_PATH is not set): `test-repair fix` \
                      is the command for a person"
                    .to_owned(),
            )
        })?;
        let size = fs::metadata(&place).map(|meta| meta.len()).unwrap_or(0);
        let text = if size > LARGEST_EVENT { String::new() } else { fs::read_to_string(&place).unwrap_or_default() };
        let event: Value = serde_json::from_str(&text)
            .map_err(|error| BadInput(format!("the event file {place} cannot be read: {error}")))?;
        let surroundings = Surroundings::of(|name| env::var(name).ok());
        let list = |name: &str| -> Vec<String> {
            let text = actions::input(name).unwrap_or_default();
            text.split([',', '\n', ' ']).map(str::trim).filter(|one| !one.is_empty()).map(str::to_owned).collect()
        };
        let server = surroundings.server.trim_end_matches('/').to_owned();
        let server = if server.is_empty() { "https://github.com".to_owned() } else { server };
        let workspace = PathBuf::from(variable("GITHUB_WORKSPACE").unwrap_or_else(|| ".".to_owned()));
        let report = workspace.join(REPORT);
        let cache = cli::default_cache()?;
        let sandbox = actions::input("sandbox").unwrap_or_else(|| "auto".to_owned());
        let choice = SandboxKind::from_str(&sandbox, false).map(Choice::from).map_err(|_| {
            let sandbox = crate::redact::shown_line(&sandbox, 40);
            BadInput(format!("sandbox: `{sandbox}` is none: auto, local or dagger"))
        })?;
        let key = actions::input("deepseek-api-key");
        let model = ModelFlags {
            key: key.clone(),
            url: actions::input("model-url"),
            name: actions::input("model"),
            max_cost_usd: actions::input("max-cost-usd").map(|text| dollars(&text)).transpose()?,
            max_calls: None,
            max_tokens: None,
            cache: Some(cache.root.join("completions")),
            cassette: None,
        };
        let transcript = TranscriptFile::New(report.join("transcript.jsonl"));
        let fix_types = list("fix-types")
            .iter()
            .map(|one| one.parse::<FixType>().map_err(BadInput))
            .collect::<Result<Vec<_>, _>>()?;
        let outcomes = list("fail-on");
        if let Some(unknown) = outcomes.iter().find(|one| !Outcome::ALL.iter().any(|known| known.word() == *one)) {
            let known: Vec<&str> = Outcome::ALL.iter().map(|outcome| outcome.word()).collect();
            let unknown = crate::redact::shown_line(unknown, 60);
            return Err(BadInput(format!("fail-on: `{unknown}` is no outcome: {}", known.join(", "))).into());
        }
        Ok(Action {
            trigger: trigger(&event, &surroundings),
            api_url: variable("GITHUB_API_URL").unwrap_or_else(|| api_of(&server)),
            server,
            token: actions::input("github-token"),
            key,
            mode: mode(actions::input("mode").as_deref())?,
            fix: FixOptions { fix_types, steps: Steps::default(), model, transcript },
            config_path: actions::input("config").unwrap_or_else(|| crate::config::PATH.to_owned()),
            fail_on: outcomes,
            pythons: list("python-versions"),
            choice,
            cache,
            report,
            client: std::sync::OnceLock::new(),
        })
    }

    /// What must be said to the runner first: values that it shall hide in every log.
    pub fn masks(&self) -> String {
        [&self.token, &self.key].into_iter().flatten().map(|secret| actions::add_mask(secret)).collect()
    }

    /// Repairs what the event tells of.
    ///
    /// # Errors
    /// [`BadInput`] for what can't be used; everything else is unexpected.
    pub async fn act(&self, progress: &Progress, repair: &mut Repair) -> Result<()> {
        let (repository, run, attempt, via) = match &self.trigger {
            Trigger::Skipped { reason } => {
                repair.outcome = Outcome::Skipped;
                repair.reason = Some(reason.clone());
                return Ok(());
            }
            Trigger::Run { repository, run_id, attempt, via } => (repository, *run_id, *attempt, *via),
        };
        if self.token.is_none() {
            return Err(BadInput(
                "github-token is empty: leave the input out, so that the workflow's own is used".to_owned(),
            )
            .into());
        }
        let client = Client::new(ClientOptions::new(&self.api_url, self.token.clone(), repository))?;
        let client = self.client.get_or_init(|| client);
        fs::create_dir_all(&self.report).with_context(|| format!("{} cannot be made", self.report.display()))?;
        let wish = Wish {
            run,
            attempt,
            via,
            server: self.server.clone(),
            token: self.token.clone(),
            mode: self.mode,
            config_path: self.config_path.clone(),
            fix: self.fix.clone(),
            timeout: None,
            deadline: None,
            cache: self.cache.clone(),
            choice: self.choice,
            launcher: cli::launcher()?,
            pythons: self.pythons.clone(),
        };
        run::repair_run(client, &wish, progress, repair).await
    }

    /// Writes what is left: report, summary, annotations, outputs. Says the exit code.
    ///
    /// # Errors
    /// When the files can't be written.
    pub fn finish(&self, repair: &Repair) -> Result<u8> {
        let cannot = || format!("{} cannot be written", self.report.display());
        fs::create_dir_all(&self.report).with_context(cannot)?;
        let patch = self.report.join("fix.patch");
        fs::write(self.report.join("outcome.json"), report::json_line(repair)).with_context(cannot)?;
        fs::write(self.report.join("report.md"), report::markdown(repair)).with_context(cannot)?;
        if !repair.patch.is_empty() {
            fs::write(&patch, &repair.patch).with_context(cannot)?;
        }
        let written = self.client.get().map(|client| client.audit().written()).unwrap_or_default();
        fs::write(self.report.join("audit.jsonl"), report::json_lines(&written)).with_context(cannot)?;
        report::print(&actions::annotate(&report::annotations(repair)));
        let files = actions::CommandFiles::of_environment();
        let runners = "the runner's file cannot be written";
        files.append_summary(&report::summary(repair), &format!("{REPORT}/report.md")).context(runners)?;
        let category = repair.learned.targets.iter().flat_map(|target| &target.failures).next().map(|f| f.category);
        let category = category.and_then(|category| serde_json::to_value(category).ok());
        let proposal = repair.proposal.as_ref();
        let fix_type = repair.fix.as_ref().map(|fix| fix.fix_type);
        let fix_type = fix_type.or(repair.learned.diagnosis.as_ref().and_then(|diagnosis| diagnosis.fix_type));
        for (name, value) in [
            ("outcome", repair.outcome.word().to_owned()),
            ("pull-request-number", proposal.map(|p| p.number.to_string()).unwrap_or_default()),
            ("pull-request-url", proposal.map(|p| p.url.clone()).unwrap_or_default()),
            ("category", category.and_then(|c| Some(c.as_str()?.to_owned())).unwrap_or_default()),
            ("fix-type", fix_type.unwrap_or_default().to_owned()),
            ("patch", if repair.patch.is_empty() { String::new() } else { format!("{REPORT}/fix.patch") }),
            ("cost-usd", format!("{:.6}", repair.usage.cost_usd)),
            ("report", REPORT.to_owned()),
        ] {
            files.set_output(name, &redact(&value)).context(runners)?;
        }
        let fails = self.fail_on.iter().any(|outcome| outcome == repair.outcome.word());
        Ok(if fails { repair.outcome.exit_code().max(1) } else { 0 })
    }
}

/// What the runner shows on the run where the action's inputs can't be used.
pub fn refusal(why: &str) -> String {
    let title = Some("test-repair".to_owned());
    let message = why.to_owned();
    let refused = Annotation { level: Level::Error, file: None, line: None, end_line: None, title, message };
    actions::annotate(&[refused])
}

/// The API of a web server.
pub fn api_of(server: &str) -> String {
    match server.trim_end_matches('/') {
        "https://github.com" => "https://api.github.com".to_owned(),
        server => format!("{server}/api/v3"),
    }
}

fn mode(text: Option<&str>) -> Result<Mode, BadInput> {
    Ok(match text {
        None | Some("pull-request") => Mode::PullRequest,
        Some("suggest") => Mode::Suggest,
        Some("diagnose") => Mode::Diagnose,
        Some(other) => {
            let other = crate::redact::shown_line(other, 40);
            return Err(BadInput(format!("mode: `{other}` is none: pull-request, suggest or diagnose")));
        }
    })
}

fn dollars(text: &str) -> Result<f64, BadInput> {
    let bad = || BadInput(format!("max-cost-usd: `{}` is no number of dollars", crate::redact::shown_line(text, 40)));
    text.parse::<f64>().ok().filter(|n| n.is_finite() && *n >= 0.0).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_that_cannot_be_used_are_named() {
        assert!(mode(Some("yolo")).unwrap_err().to_string().contains("suggest"));
        assert!(dollars("-1").is_err() && dollars("NaN").is_err() && dollars("0.5").unwrap() == 0.5);
    }

    #[test]
    fn an_enterprise_server_has_its_api_below_its_own_address() {
        assert_eq!(api_of("https://github.com/"), "https://api.github.com");
        assert_eq!(api_of("https://ghe.example"), "https://ghe.example/api/v3");
    }
}
