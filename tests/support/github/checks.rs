//! Check runs: here each is a job.

use serde_json::{Value, json};

use super::{
    actions::minimal_pull,
    bare::now,
    router::{Ask, Reply, Said},
    schema,
    state::{Job, Repository, Run, State},
};

pub(crate) fn check_run(ask: &mut Ask<'_>) -> Said {
    let (run, _, job) = ask.repository().job(ask.number(0)?).ok_or_else(Reply::missing)?;
    Ok(Reply::json(200, shown(ask.state, ask.repository(), run, job)))
}

pub(crate) fn of_commit(ask: &mut Ask<'_>) -> Said {
    let repository = ask.repository();
    let sha = repository.bare.resolve(ask.part(0)).ok_or_else(|| {
        let message = format!("No commit found for SHA: {}", ask.part(0));
        Reply::error(422, &message)
    })?;
    let all = ask.query("filter") == Some("all");
    let mut checks = Vec::new();
    for run in repository.runs.iter().filter(|run| run.head_sha == sha) {
        let first = if all { 0 } else { run.attempts.len() - 1 };
        for job in run.attempts[first..].iter().flat_map(|attempt| &attempt.jobs) {
            let named = ask.query("check_name").is_none_or(|name| job.name == name);
            if named && ask.query("status").is_none_or(|status| job.status == status) {
                checks.push(shown(ask.state, repository, run, job));
            }
        }
    }
    ask.counted("check_runs", checks)
}

pub(crate) fn annotations(ask: &mut Ask<'_>) -> Said {
    let (run, _, job) = ask.repository().job(ask.number(0)?).ok_or_else(Reply::missing)?;
    let shown = job.annotations.iter().map(|annotation| {
        let mut shown = ask.example_item("check-annotation-items");
        let href = format!("{}/blob/{}/{}", ask.html(), run.head_sha, annotation.path);
        let over = json!({
            "path": annotation.path, "start_line": annotation.line, "end_line": annotation.line,
            "start_column": null, "end_column": null, "annotation_level": annotation.level,
            "title": annotation.title, "message": annotation.message, "raw_details": null, "blob_href": href,
        });
        schema::overlay(&mut shown, over);
        shown
    });
    ask.list(shown.collect())
}

/// A job, as a check run.
pub(crate) fn shown(state: &State, repository: &Repository, run: &Run, job: &Job) -> Value {
    let (server, name) = (&state.server, &repository.full_name);
    let url = format!("{server}/api/v3/repos/{name}/check-runs/{}", job.id);
    let html = format!("{server}/{name}/actions/runs/{}/job/{}", run.id, job.id);
    let pulls: Vec<Value> = run.pull_requests.iter().filter_map(|n| minimal_pull(state, repository, *n)).collect();
    let ended = (job.status == "completed").then(now);
    schema::with(
        schema::example("check-run", server, name),
        json!({
            "id": job.id, "head_sha": run.head_sha, "node_id": format!("CR_{}", job.id), "external_id": "",
            "url": url, "html_url": html, "details_url": html, "status": job.status, "conclusion": job.conclusion,
            "started_at": run.created_at, "completed_at": ended, "name": job.name,
            "output": {
                "title": null, "summary": null, "text": null, "annotations_count": job.annotations.len(),
                "annotations_url": format!("{url}/annotations"),
            },
            "check_suite": {"id": run.id + 1_000_000},
            "app": {"id": 15368, "slug": "github-actions", "name": "GitHub Actions"},
            "pull_requests": pulls,
        }),
    )
}
