//! Which workflow run is to be repaired: out of the event's file and the runner's variables, or out of what a person
//! names. Everything here is foreign text: a field that is missing, null or of another type is a missing field.

use serde_json::Value;

/// Conclusions that are worth a repair.
const FAILED: [&str; 3] = ["failure", "timed_out", "startup_failure"];

/// The app that runs workflows, as check runs name it.
const ACTIONS_APP: &str = "github-actions";

/// What an event asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trigger {
    /// A failed run, to be repaired.
    Run {
        /// `octo/shop`: always the repository that we run in.
        repository: String,
        /// The run's number in URLs.
        run_id: u64,
        /// 1 for the first; `None` where the event does not say: the latest.
        attempt: Option<u64>,
        /// What named the run.
        via: Via,
    },
    /// Nothing to do.
    Skipped {
        /// One sentence for the person who looks.
        reason: String,
    },
}

/// What named the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// A `workflow_run` event: that run has ended.
    WorkflowRun,
    /// A person, with the input `run-id`.
    Dispatch,
    /// We are a job of the failing run itself, which is still under way.
    SameRun,
    /// A `check_run` event: that job has ended, its run may go on.
    CheckRun,
}

/// What the runner says besides the event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// `GITHUB_EVENT_NAME`
    pub event_name: String,
    /// `GITHUB_SERVER_URL`: `https://github.com`
    pub server: String,
    /// `GITHUB_REPOSITORY`: `octo/shop`
    pub repository: String,
    /// `GITHUB_RUN_ID`
    pub run_id: Option<u64>,
    /// `GITHUB_RUN_ATTEMPT`
    pub run_attempt: Option<u64>,
    /// The action's input `run-id`.
    pub input_run_id: Option<String>,
}

impl Surroundings {
    /// Reads them by the variables' names; an empty one is none.
    pub fn of(variable: impl Fn(&str) -> Option<String>) -> Surroundings {
        let filled = |name: &str| variable(name).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty());
        Surroundings {
            event_name: filled("GITHUB_EVENT_NAME").unwrap_or_default(),
            server: filled("GITHUB_SERVER_URL").unwrap_or_default(),
            repository: filled("GITHUB_REPOSITORY").unwrap_or_default(),
            run_id: filled("GITHUB_RUN_ID").as_deref().and_then(number),
            run_attempt: filled("GITHUB_RUN_ATTEMPT").as_deref().and_then(number),
            // The runner upper-cases an input's name and keeps its hyphens.
            input_run_id: filled("INPUT_RUN-ID"),
        }
    }

    fn run(&self, run_id: u64, attempt: Option<u64>, via: Via) -> Trigger {
        Trigger::Run { repository: self.repository.clone(), run_id, attempt, via }
    }

    fn is_here(&self, repository: &str) -> bool {
        repository.eq_ignore_ascii_case(&self.repository)
    }

    /// Is a named run one of this repository on this server? Else, the sentence why not.
    fn check(&self, run: &RunRef) -> Result<(), String> {
        let elsewhere = run.repository.as_ref().is_some_and(|r| !self.is_here(r))
            || run.server.as_ref().is_some_and(|s| !self.server.is_empty() && !s.eq_ignore_ascii_case(&self.server));
        if elsewhere {
            return Err(format!(
                "the run {} is not one of {}: only its own runs are repaired",
                run.run_id, self.repository
            ));
        }
        Ok(())
    }
}

/// What the event asks for.
pub fn trigger(event: &Value, surroundings: &Surroundings) -> Trigger {
    match decide(event, surroundings) {
        Ok(trigger) => trigger,
        Err(reason) => Trigger::Skipped { reason },
    }
}

fn decide(event: &Value, here: &Surroundings) -> Result<Trigger, String> {
    if here.repository.is_empty() {
        return Err("the runner does not say which repository this is: GITHUB_REPOSITORY is not set".to_owned());
    }
    // Before the input is looked at: here anyone with a fork can start us, with secrets in reach.
    if here.event_name == "pull_request_target" {
        return Err("pull_request_target runs a stranger's pull request beside this repository's secrets, and no CI \
                    run belongs to it: use workflow_run, which `test-repair init` writes"
            .to_owned());
    }
    let given = here.input_run_id.clone().or_else(|| input(event));
    if let Some(given) = given.map(|g| g.trim().to_owned()).filter(|g| !g.is_empty()) {
        let run = parse_run(&given).map_err(|why| format!("the input run-id can't be used: {why}"))?;
        here.check(&run)?;
        return Ok(here.run(run.run_id, run.attempt, Via::Dispatch));
    }
    match here.event_name.as_str() {
        "workflow_run" => workflow_run(event, here),
        "check_run" => check_run(event, here),
        _ => {
            let run_id = here.run_id.ok_or("the runner does not say which run this is: GITHUB_RUN_ID is not set")?;
            Ok(here.run(run_id, here.run_attempt, Via::SameRun))
        }
    }
}

/// What a person filled in when they started the workflow.
fn input(event: &Value) -> Option<String> {
    match &event["inputs"]["run-id"] {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn workflow_run(event: &Value, here: &Surroundings) -> Result<Trigger, String> {
    let run = &event["workflow_run"];
    ended("workflow run", event, run)?;
    let repository = text(&run["repository"]["full_name"]).or_else(|| text(&event["repository"]["full_name"]));
    if let Some(other) = repository.filter(|r| !here.is_here(r)) {
        return Err(format!("the workflow run is one of {}, not of {}", word(other), here.repository));
    }
    let run_id = run["id"].as_u64().filter(|id| *id > 0).ok_or("the event does not say which workflow run ended")?;
    Ok(here.run(run_id, run["run_attempt"].as_u64().filter(|n| *n > 0), Via::WorkflowRun))
}

fn check_run(event: &Value, here: &Surroundings) -> Result<Trigger, String> {
    let check = &event["check_run"];
    ended("check run", event, check)?;
    let app = text(&check["app"]["slug"]).unwrap_or_default();
    if app != ACTIONS_APP {
        let whose = if app.is_empty() { "an unnamed app".to_owned() } else { format!("the app {}", word(app)) };
        return Err(format!("the check run is of {whose}: only jobs of GitHub Actions have logs to repair by"));
    }
    let run = text(&check["details_url"]).and_then(|url| parse_run(url).ok());
    let run = run.ok_or("the check run's details_url names no workflow run")?;
    here.check(&run)?;
    Ok(here.run(run.run_id, run.attempt, Via::CheckRun))
}

/// Has it ended, and badly?
fn ended(what: &str, event: &Value, subject: &Value) -> Result<(), String> {
    match text(&event["action"]) {
        Some("completed") => {}
        Some(action) => return Err(format!("the {what} has not ended (its event is `{}`)", word(action))),
        None => return Err(format!("the event does not say what happened to the {what}")),
    }
    match text(&subject["conclusion"]) {
        Some(conclusion) if FAILED.contains(&conclusion) => Ok(()),
        Some(conclusion) => Err(format!("the {what} ended with `{}`: there is nothing to repair", word(conclusion))),
        None => Err(format!("the event does not say how the {what} ended")),
    }
}

fn text(value: &Value) -> Option<&str> {
    value.as_str().filter(|t| !t.is_empty())
}

/// A foreign word as it may stand in our sentence.
fn word(foreign: &str) -> String {
    foreign.chars().filter(|c| c.is_ascii_alphanumeric() || "-_./".contains(*c)).take(80).collect()
}

/// A run as a person names it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunRef {
    /// `https://github.com`, where a URL was given.
    pub server: Option<String>,
    /// `octo/shop`, where a URL was given.
    pub repository: Option<String>,
    /// The run's number.
    pub run_id: u64,
    /// Which attempt, where the URL says it.
    pub attempt: Option<u64>,
    /// The number of one job, where the URL says it.
    pub job: Option<u64>,
}

/// Reads a run's number, or the URL of its page (or of one attempt's, or of one job's).
///
/// # Errors
/// A sentence on what is wrong and what is wanted.
pub fn parse_run(text: &str) -> Result<RunRef, String> {
    let text = text.trim();
    let wanted = "give a run's number, or its page's URL (https://github.com/OWNER/REPO/actions/runs/NUMBER)";
    let bad = || format!("`{}` is no workflow run: {wanted}", crate::redact::shown_line(text, 200));
    if let Some(run_id) = number(text) {
        return Ok(RunRef { run_id, ..RunRef::default() });
    }
    let path = text.split(['?', '#']).next().unwrap_or_default();
    let (place, run) = path.split_once("/actions/runs/").ok_or_else(bad)?;
    let (scheme, place) = match place.split_once("://") {
        Some((scheme @ ("https" | "http"), rest)) => (scheme, rest),
        Some(_) => return Err(bad()),
        None => ("https", place),
    };
    let mut places = place.split('/');
    let (Some(host), Some(owner), Some(name), None) = (places.next(), places.next(), places.next(), places.next())
    else {
        return Err(bad());
    };
    if !is_host(host) || !is_name(owner) || !is_name(name) {
        return Err(bad());
    }
    let mut parts = run.trim_end_matches('/').split('/');
    let mut found = RunRef {
        server: Some(format!("{scheme}://{}", host.to_ascii_lowercase())),
        repository: Some(format!("{owner}/{name}")),
        run_id: parts.next().and_then(number).ok_or_else(bad)?,
        ..RunRef::default()
    };
    while let Some(part) = parts.next() {
        match part {
            "attempts" => found.attempt = Some(parts.next().and_then(number).ok_or_else(bad)?),
            "job" | "jobs" => found.job = Some(parts.next().and_then(number).ok_or_else(bad)?),
            // A tab of the run's page: `/workflow`, `/usage`. What is said so far is enough.
            _ => break,
        }
    }
    Ok(found)
}

/// A positive number in plain digits.
fn number(text: &str) -> Option<u64> {
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|n| *n > 0)
}

/// A host, with a port perhaps; no user, no brackets.
fn is_host(text: &str) -> bool {
    let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
    !host.is_empty() && host.bytes().all(plain) && port.is_none_or(|p| number(p).is_some_and(|n| n < 65536))
}

/// The name of an owner or a repository.
fn is_name(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    !matches!(text, "" | "." | "..") && text.len() <= 100 && text.bytes().all(plain)
}

#[cfg(test)]
mod tests;
