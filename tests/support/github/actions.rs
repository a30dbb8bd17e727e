//! Runs, their attempts, jobs and logs.

use std::io::{Cursor, Write as _};

use serde_json::{Value, json};

use super::{
    bare::now,
    router::{Ask, Reply, Said},
    state::{Attempt, Job, Log, Repository, Run, State},
};

pub(crate) fn runs(ask: &mut Ask<'_>) -> Said {
    listed(ask, None)
}

pub(crate) fn workflow_runs(ask: &mut Ask<'_>) -> Said {
    let workflow = ask.part(0).to_owned();
    listed(ask, Some(workflow))
}

fn listed(ask: &Ask<'_>, workflow: Option<String>) -> Said {
    let repository = ask.repository();
    let is = |run: &&Run| {
        let last = run.attempts.last();
        let status = ask.query("status").is_none_or(|wanted| {
            last.is_some_and(|last| last.status == wanted || last.conclusion.as_deref() == Some(wanted))
        });
        let file = run.path.rsplit('/').next().unwrap_or_default();
        status
            && workflow.as_ref().is_none_or(|w| *w == run.workflow_id.to_string() || w == file)
            && ask.query("branch").is_none_or(|branch| run.head_branch.as_deref() == Some(branch))
            && ask.query("event").is_none_or(|event| run.event == event)
            && ask.query("head_sha").is_none_or(|sha| run.head_sha == sha)
            && ask.query("actor").is_none_or(|actor| run.actor == actor)
    };
    // The newest first.
    let found = repository.runs.iter().rev().filter(is);
    let found = found.map(|run| shown(ask.state, repository, run, run.attempts.len())).collect();
    ask.counted("workflow_runs", found)
}

pub(crate) fn run(ask: &mut Ask<'_>) -> Said {
    let run = found(ask)?;
    Ok(Reply::json(200, shown(ask.state, ask.repository(), run, run.attempts.len())))
}

pub(crate) fn attempt(ask: &mut Ask<'_>) -> Said {
    let (run, number) = found_attempt(ask)?;
    Ok(Reply::json(200, shown(ask.state, ask.repository(), run, number)))
}

pub(crate) fn run_jobs(ask: &mut Ask<'_>) -> Said {
    let run = found(ask)?;
    let all = ask.query("filter") == Some("all");
    let attempts = (1..=run.attempts.len()).filter(|number| all || *number == run.attempts.len());
    let jobs = attempts.flat_map(|number| jobs_of(ask, run, number)).collect();
    ask.counted("jobs", jobs)
}

pub(crate) fn attempt_jobs(ask: &mut Ask<'_>) -> Said {
    let (run, number) = found_attempt(ask)?;
    ask.counted("jobs", jobs_of(ask, run, number))
}

fn jobs_of(ask: &Ask<'_>, run: &Run, number: usize) -> Vec<Value> {
    let jobs = &run.attempts[number - 1].jobs;
    jobs.iter().map(|job| shown_job(ask.state, ask.repository(), run, number as u64, job)).collect()
}

pub(crate) fn job(ask: &mut Ask<'_>) -> Said {
    let (run, number, job) = ask.repository().job(ask.number(0)?).ok_or_else(Reply::missing)?;
    Ok(Reply::json(200, shown_job(ask.state, ask.repository(), run, number, job)))
}

pub(crate) fn job_logs(ask: &mut Ask<'_>) -> Said {
    let (.., job) = ask.repository().job(ask.number(0)?).ok_or_else(Reply::missing)?;
    let bytes = match &job.log {
        Log::Bytes(bytes) => bytes.clone(),
        Log::Missing => return Err(Reply::missing()),
        Log::Expired => return Err(Reply::error(410, "Server Error")),
    };
    let to = ask.state.ticket(bytes, "text/plain; charset=utf-8");
    Ok(Reply::redirect(&to))
}

pub(crate) fn run_logs(ask: &mut Ask<'_>) -> Said {
    let run = found(ask)?;
    let last = run.attempts.len();
    zipped(ask, last)
}

pub(crate) fn attempt_logs(ask: &mut Ask<'_>) -> Said {
    let (_, number) = found_attempt(ask)?;
    zipped(ask, number)
}

fn zipped(ask: &mut Ask<'_>, number: usize) -> Said {
    let attempt = &found(ask)?.attempts[number - 1];
    if attempt.status != "completed" || attempt.jobs.iter().all(|job| matches!(job.log, Log::Missing)) {
        return Err(Reply::missing());
    }
    if attempt.jobs.iter().all(|job| matches!(job.log, Log::Expired)) {
        return Err(Reply::error(410, "Server Error"));
    }
    let bytes = archive(attempt);
    let to = ask.state.ticket(bytes, "application/zip");
    Ok(Reply::redirect(&to))
}

/// As GitHub lays it out: `N_job.txt` at the top, `job/N_step.txt` where steps have files.
pub(crate) fn archive(attempt: &Attempt) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    let mut file = |name: String, bytes: &[u8]| {
        zip.start_file(name, options).unwrap();
        zip.write_all(bytes).unwrap();
    };
    for (at, job) in attempt.jobs.iter().enumerate() {
        let folder = file_name(&job.name);
        if let Log::Bytes(bytes) = &job.log {
            file(format!("{at}_{folder}.txt"), bytes);
        }
        for step in &job.steps {
            if let Some(log) = &step.log {
                file(format!("{folder}/{}_{}.txt", step.number, file_name(&step.name)), log);
            }
        }
    }
    zip.finish().unwrap().into_inner()
}

/// Without slashes and colons, and no longer than 90 UTF-16 units.
fn file_name(name: &str) -> String {
    let units: Vec<u16> = name.chars().filter(|c| !matches!(c, '/' | ':')).collect::<String>().encode_utf16().collect();
    String::from_utf16_lossy(&units[..units.len().min(90)])
}

pub(crate) fn rerun(ask: &mut Ask<'_>) -> Said {
    let id = found(ask)?.id;
    let login = ask.login();
    let last = found(ask)?.attempts.last().cloned().ok_or_else(Reply::missing)?;
    if last.status != "completed" {
        return Err(Reply::error(403, "This workflow is already running"));
    }
    if last.conclusion.as_deref() == Some("success") {
        return Err(Reply::error(403, "The workflow run containing this job has no failed jobs"));
    }
    let mut jobs = Vec::new();
    for job in last.jobs {
        let again = !matches!(job.conclusion.as_deref(), Some("success" | "skipped" | "neutral"));
        let id = ask.state.id();
        jobs.push(if again {
            let (status, log) = ("queued".to_owned(), Log::Missing);
            Job { id, status, conclusion: None, steps: Vec::new(), log, annotations: Vec::new(), runner: None, ..job }
        } else {
            Job { id, ..job }
        });
    }
    let status = "queued".to_owned();
    let attempt = Attempt { status, conclusion: None, triggering_actor: login, jobs };
    let run = ask.repository_mut().runs.iter_mut().find(|run| run.id == id).unwrap();
    run.attempts.push(attempt);
    Ok(Reply::json(201, json!({})))
}

fn found<'a>(ask: &'a Ask<'_>) -> Result<&'a Run, Reply> {
    let id = ask.number(0)?;
    ask.repository().runs.iter().find(|run| run.id == id).ok_or_else(Reply::missing)
}

fn found_attempt<'a>(ask: &'a Ask<'_>) -> Result<(&'a Run, usize), Reply> {
    let run = found(ask)?;
    let number = usize::try_from(ask.number(1)?).unwrap();
    if (1..=run.attempts.len()).contains(&number) { Ok((run, number)) } else { Err(Reply::missing()) }
}

/// An attempt of a run, as the API shows it.
pub(crate) fn shown(state: &State, repository: &Repository, run: &Run, number: usize) -> Value {
    let (server, name) = (&state.server, &repository.full_name);
    let attempt = &run.attempts[number - 1];
    let url = format!("{server}/api/v3/repos/{name}/actions/runs/{}", run.id);
    let html = format!("{server}/{name}/actions/runs/{}", run.id);
    let commit = repository.bare.look(&run.head_sha);
    let message = commit.as_ref().map(|commit| commit.message.clone()).unwrap_or_default();
    let title = message.lines().next().unwrap_or_default().to_owned();
    let head_commit = commit.map(|commit| {
        json!({
            "id": commit.sha, "tree_id": commit.tree, "message": commit.message, "timestamp": commit.committer.date,
            "author": {"name": commit.author.name, "email": commit.author.email},
            "committer": {"name": commit.committer.name, "email": commit.committer.email},
        })
    });
    let before = if number > 1 { json!(format!("{url}/attempts/{}", number - 1)) } else { Value::Null };
    let pulls: Vec<Value> = run.pull_requests.iter().filter_map(|n| minimal_pull(state, repository, *n)).collect();
    let mut shown = super::schema::example("workflow-run", server, name);
    // The example's own repositories would be merged with ours.
    shown["repository"] = super::contents::minimal(state, name);
    shown["head_repository"] = super::contents::minimal(state, &run.head_repository);
    shown["head_commit"] = head_commit.unwrap_or(Value::Null);
    super::schema::with(
        shown,
        json!({
            "id": run.id, "name": run.name, "node_id": format!("WFR_{}", run.id), "head_branch": run.head_branch,
            "head_sha": run.head_sha, "path": run.path, "run_number": run.number, "event": run.event,
            "display_title": title, "status": attempt.status, "conclusion": attempt.conclusion,
            "workflow_id": run.workflow_id, "url": url, "html_url": html, "pull_requests": pulls,
            "created_at": run.created_at, "updated_at": run.created_at, "run_started_at": run.created_at,
            "actor": state.user(&run.actor), "triggering_actor": state.user(&attempt.triggering_actor),
            "run_attempt": number, "referenced_workflows": [], "previous_attempt_url": before,
            "check_suite_id": run.id + 1_000_000, "check_suite_node_id": format!("CS_{}", run.id),
            "jobs_url": format!("{url}/jobs"), "logs_url": format!("{url}/logs"),
            "artifacts_url": format!("{url}/artifacts"), "cancel_url": format!("{url}/cancel"),
            "rerun_url": format!("{url}/rerun"),
            "workflow_url": format!("{server}/api/v3/repos/{name}/actions/workflows/{}", run.workflow_id),
        }),
    )
}

/// A pull request as runs and check runs mention it.
pub(crate) fn minimal_pull(state: &State, repository: &Repository, number: u64) -> Option<Value> {
    let issue = repository.issues.get(&number)?;
    let pull = issue.pull.as_ref()?;
    let at = |full_name: &str| {
        let name = full_name.rsplit('/').next().unwrap_or_default();
        json!({"id": repository.id, "name": name, "url": format!("{}/api/v3/repos/{full_name}", state.server)})
    };
    let url = format!("{}/api/v3/repos/{}/pulls/{number}", state.server, repository.full_name);
    Some(json!({
        "id": issue.id, "number": number, "url": url,
        "head": {"ref": pull.head, "sha": pull.head_sha, "repo": at(&pull.head_repository)},
        "base": {"ref": pull.base, "sha": pull.base_sha, "repo": at(&repository.full_name)},
    }))
}

fn shown_job(state: &State, repository: &Repository, run: &Run, number: u64, job: &Job) -> Value {
    let (server, name) = (&state.server, &repository.full_name);
    let api = format!("{server}/api/v3/repos/{name}");
    let ended = (job.status == "completed").then(now);
    let steps: Vec<Value> = job
        .steps
        .iter()
        .map(|step| {
            json!({
                "name": step.name, "status": step.status, "conclusion": step.conclusion, "number": step.number,
                "started_at": run.created_at, "completed_at": ended,
            })
        })
        .collect();
    let runner = job.runner.is_some();
    super::schema::with(
        super::schema::example("job", server, name),
        json!({
            "id": job.id, "run_id": run.id, "run_url": format!("{api}/actions/runs/{}", run.id),
            "run_attempt": number, "node_id": format!("CR_{}", job.id), "head_sha": run.head_sha,
            "url": format!("{api}/actions/jobs/{}", job.id),
            "html_url": format!("{server}/{name}/actions/runs/{}/job/{}", run.id, job.id),
            "status": job.status, "conclusion": job.conclusion, "created_at": run.created_at,
            "started_at": run.created_at, "completed_at": ended, "name": job.name, "steps": steps,
            "check_run_url": format!("{api}/check-runs/{}", job.id), "labels": job.labels,
            "runner_id": runner.then_some(1), "runner_name": job.runner, "runner_group_id": runner.then_some(2),
            "runner_group_name": runner.then_some("GitHub Actions"), "workflow_name": run.name,
            "head_branch": run.head_branch,
        }),
    )
}
