//! The payloads of events: GitHub's examples with our state over them.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::{
    actions, checks, contents,
    schema::{localized, overlay},
    state::{Repository, State},
};

static EXAMPLES: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../fixtures/github-webhooks.json")).unwrap());

fn example(state: &State, repository: &Repository, name: &str) -> Value {
    let mut payload = localized(&EXAMPLES[name], &state.server, &repository.full_name);
    overlay(&mut payload["repository"], contents::minimal(state, &repository.full_name));
    payload["repository"]["default_branch"] = json!(repository.default_branch);
    let owner = state.user(repository.owner());
    if payload.get("organization").is_some() {
        payload["organization"]["login"] = owner["login"].clone();
    }
    payload
}

/// `workflow_run`, completed: of this attempt.
pub(crate) fn workflow_run(state: &State, repository: &Repository, id: u64, attempt: usize) -> Value {
    let run = repository.runs.iter().find(|run| run.id == id).unwrap();
    let mut payload = example(state, repository, "workflow_run");
    payload["sender"] = state.user(&run.actor);
    let file = run.path.split('@').next().unwrap_or_default();
    let url = format!("{}/api/v3/repos/{}/actions/workflows/{}", state.server, repository.full_name, run.workflow_id);
    overlay(&mut payload["workflow"], json!({"id": run.workflow_id, "name": run.name, "path": file, "url": url}));
    let shown = actions::shown(state, repository, run, attempt);
    for name in ["head_repository", "repository", "pull_requests"] {
        payload["workflow_run"][name] = shown[name].clone();
    }
    overlay(&mut payload["workflow_run"], shown);
    payload
}

/// `check_run`, completed: of this job.
pub(crate) fn check_run(state: &State, repository: &Repository, job: u64) -> Value {
    let (run, _, job) = repository.job(job).unwrap();
    let mut payload = example(state, repository, "check_run");
    payload["sender"] = state.user(&run.actor);
    overlay(&mut payload["check_run"], checks::shown(state, repository, run, job));
    let conclusion = run.attempts.last().and_then(|attempt| attempt.conclusion.clone());
    let suite = json!({
        "head_sha": run.head_sha, "head_branch": run.head_branch, "status": "completed", "conclusion": conclusion,
        "pull_requests": payload["check_run"]["pull_requests"],
    });
    overlay(&mut payload["check_run"]["check_suite"], suite);
    payload
}

/// `workflow_dispatch`, with these inputs.
pub(crate) fn workflow_dispatch(state: &State, repository: &Repository, inputs: Value) -> Value {
    let mut payload = example(state, repository, "workflow_dispatch");
    payload["inputs"] = inputs;
    payload["ref"] = json!(format!("refs/heads/{}", repository.default_branch));
    payload["sender"] = state.user(repository.owner());
    payload
}
