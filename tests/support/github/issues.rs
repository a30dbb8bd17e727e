//! Issues, comments, labels. A pull request is an issue as well.

use serde_json::{Value, json};

use super::{
    bare::now,
    router::{Ask, Reply, Said},
    schema,
    state::{Comment, Issue, Unread},
};

pub(crate) fn list(ask: &mut Ask<'_>) -> Said {
    let state = ask.query("state").unwrap_or("open").to_owned();
    let wanted: Vec<&str> = ask.query("labels").map(|labels| labels.split(',').collect()).unwrap_or_default();
    let issues = ask.repository().issues.values().rev().filter(|issue| {
        (state == "all" || issue.state == state)
            && wanted.iter().all(|label| issue.labels.iter().any(|given| given == label))
            && ask.query("creator").is_none_or(|creator| issue.user == creator)
    });
    let shown = issues.map(|issue| shown(ask, issue)).collect();
    ask.list(shown)
}

pub(crate) fn get(ask: &mut Ask<'_>) -> Said {
    let number = ask.number(0)?;
    Ok(Reply::json(200, shown(ask, ask.issue(number)?)))
}

/// A new issue, whoever asks for it.
pub(crate) fn add(ask: &mut Ask<'_>, user: &str, title: &str, body: Option<String>) -> u64 {
    let id = ask.state.id();
    let repository = ask.repository_mut();
    let number = repository.issues.keys().last().copied().unwrap_or(0) + 1;
    repository.issues.insert(number, Issue::new(number, id, user, title, body));
    number
}

pub(crate) fn open(ask: &mut Ask<'_>) -> Said {
    if !ask.repository().has_issues {
        return Err(Reply::error(410, "Issues has been disabled in this repository."));
    }
    let (title, body, login) = (ask.text("title").unwrap_or_default(), ask.text("body"), ask.login());
    let (labels, assignees) = (ask.texts("labels"), ask.texts("assignees"));
    let number = add(ask, &login, &title, body);
    let issue = ask.issue_mut(number);
    (issue.labels, issue.assignees) = (labels, assignees);
    let full_name = ask.full_name.clone();
    ask.state.tell(Unread::Issue(full_name, number));
    let url = format!("{}/issues/{number}", ask.url());
    Ok(Reply::json(201, shown(ask, ask.issue(number)?)).header("location", &url))
}

/// `pull-requests: write` is enough for pull requests, not for issues.
fn may_write(ask: &Ask<'_>, number: u64) -> Result<(), Reply> {
    if ask.issue(number)?.pull.is_some() { Ok(()) } else { ask.need("issues", "write") }
}

pub(crate) fn change(ask: &mut Ask<'_>) -> Said {
    let number = ask.number(0)?;
    may_write(ask, number)?;
    let body = ask.call.body.clone();
    apply(ask, number, &body);
    told(ask, number);
    Ok(Reply::json(200, shown(ask, ask.issue(number)?)))
}

/// What issues and pull requests take alike.
pub(crate) fn apply(ask: &mut Ask<'_>, number: u64, body: &Value) {
    let login = ask.login();
    let labels = body["labels"].is_array().then(|| ask.texts("labels"));
    let issue = ask.issue_mut(number);
    if let Some(title) = body["title"].as_str() {
        title.clone_into(&mut issue.title);
    }
    if let Some(text) = body["body"].as_str() {
        issue.body = Some(text.to_owned());
    }
    if let Some(labels) = labels {
        issue.labels = labels;
    }
    match body["state"].as_str() {
        Some("closed") if issue.state == "open" => {
            issue.close(&login);
            issue.state_reason = Some(body["state_reason"].as_str().unwrap_or("completed").to_owned());
        }
        Some("open") if issue.state == "closed" => {
            issue.reopen();
            issue.state_reason = Some("reopened".to_owned());
        }
        _ => {}
    }
    issue.updated_at = now();
}

fn told(ask: &mut Ask<'_>, number: u64) {
    let full_name = ask.full_name.clone();
    let what = match ask.repository().issues[&number].pull {
        Some(_) => Unread::PullRequest(full_name, number),
        None => Unread::Issue(full_name, number),
    };
    ask.state.tell(what);
}

pub(crate) fn add_labels(ask: &mut Ask<'_>) -> Said {
    let number = ask.number(0)?;
    may_write(ask, number)?;
    let labels = ask.texts("labels");
    let issue = ask.issue_mut(number);
    for label in labels {
        if !issue.labels.contains(&label) {
            issue.labels.push(label);
        }
    }
    let labels = issue.labels.clone();
    told(ask, number);
    Ok(Reply::json(200, labels.iter().map(|name| shown_label(ask, name)).collect()))
}

pub(crate) fn comments(ask: &mut Ask<'_>) -> Said {
    let number = ask.number(0)?;
    ask.issue(number)?;
    let comments = ask.repository().comments.iter().filter(|comment| comment.issue == number);
    let comments = comments.map(|comment| shown_comment(ask, comment)).collect();
    ask.list(comments)
}

pub(crate) fn comment(ask: &mut Ask<'_>) -> Said {
    let number = ask.number(0)?;
    may_write(ask, number)?;
    let body = text(ask)?;
    let (id, user) = (ask.state.id(), ask.login());
    let comment = Comment { id, issue: number, user, body, created_at: now(), updated_at: now() };
    ask.repository_mut().comments.push(comment.clone());
    let full_name = ask.full_name.clone();
    ask.state.tell(Unread::Comment(full_name, id));
    let url = format!("{}/issues/comments/{id}", ask.url());
    Ok(Reply::json(201, shown_comment(ask, &comment)).header("location", &url))
}

fn text(ask: &Ask<'_>) -> Result<String, Reply> {
    let body = ask.text("body").unwrap_or_default();
    if body.trim().is_empty() {
        let error = json!([{"resource": "IssueComment", "code": "unprocessable", "field": "data"}]);
        return Err(Reply::invalid(error));
    }
    if body.chars().count() > 65_536 {
        let message = "body is too long (maximum is 65536 characters)";
        return Err(Reply::invalid(json!([{"resource": "IssueComment", "code": "custom", "message": message}])));
    }
    Ok(body)
}

pub(crate) fn change_comment(ask: &mut Ask<'_>) -> Said {
    let id = ask.number(0)?;
    let found = ask.repository().comments.iter().find(|comment| comment.id == id).ok_or_else(Reply::missing)?;
    let (number, user) = (found.issue, found.user.clone());
    may_write(ask, number)?;
    // Bots may not edit what others said.
    if ask.state.identity.is_installation() && user != ask.login() {
        return Err(super::router::not_accessible());
    }
    let body = text(ask)?;
    let comment = ask.repository_mut().comments.iter_mut().find(|comment| comment.id == id).unwrap();
    (comment.body, comment.updated_at) = (body, now());
    let comment = comment.clone();
    let full_name = ask.full_name.clone();
    ask.state.tell(Unread::Comment(full_name, id));
    Ok(Reply::json(200, shown_comment(ask, &comment)))
}

fn shown_comment(ask: &Ask<'_>, comment: &Comment) -> Value {
    let issue = format!("{}/issues/{}", ask.url(), comment.issue);
    schema::with(
        ask.example("issue-comment"),
        json!({
            "id": comment.id, "node_id": format!("IC_{}", comment.id), "body": comment.body,
            "url": format!("{}/issues/comments/{}", ask.url(), comment.id), "issue_url": issue,
            "html_url": format!("{}/issues/{}#issuecomment-{}", ask.html(), comment.issue, comment.id),
            "user": ask.user(&comment.user), "created_at": comment.created_at, "updated_at": comment.updated_at,
            "author_association": "CONTRIBUTOR",
        }),
    )
}

/// A label by its name.
pub(crate) fn shown_label(ask: &Ask<'_>, name: &str) -> Value {
    let id: u64 = name.bytes().fold(11, |sum, byte| (sum * 31 + u64::from(byte)) % 100_000_000);
    json!({
        "id": id, "node_id": format!("LA_{id}"), "url": format!("{}/labels/{name}", ask.url()), "name": name,
        "description": null, "color": "ededed", "default": false,
    })
}

fn shown(ask: &Ask<'_>, issue: &Issue) -> Value {
    let (api, number) = (ask.url(), issue.number);
    let url = format!("{api}/issues/{number}");
    let place = if issue.pull.is_some() { "pull" } else { "issues" };
    let html = format!("{}/{place}/{number}", ask.html());
    let labels: Vec<Value> = issue.labels.iter().map(|name| shown_label(ask, name)).collect();
    let assignees: Vec<Value> = issue.assignees.iter().map(|login| ask.user(login)).collect();
    let comments = ask.repository().comments.iter().filter(|comment| comment.issue == number).count();
    let mut shown = ask.example("issue");
    // An example of another repository's.
    let entries = shown.as_object_mut().unwrap();
    for name in ["repository", "pull_request", "performed_via_github_app", "pinned_comment"] {
        entries.remove(name);
    }
    let closed_by = issue.closed_by.as_ref().map(|login| ask.user(login)).unwrap_or_default();
    entries.insert("closed_by".to_owned(), closed_by);
    if let Some(pull) = &issue.pull {
        let merged = pull.merged_by.as_ref().and(issue.closed_at.clone());
        let links = json!({
            "url": format!("{api}/pulls/{number}"), "html_url": html, "diff_url": format!("{html}.diff"),
            "patch_url": format!("{html}.patch"), "merged_at": merged,
        });
        entries.insert("pull_request".to_owned(), links);
        entries.insert("draft".to_owned(), json!(pull.draft));
    }
    schema::with(
        shown,
        json!({
            "id": issue.id, "node_id": format!("I_{}", issue.id), "url": url, "repository_url": api,
            "labels_url": format!("{url}/labels{{/name}}"), "comments_url": format!("{url}/comments"),
            "events_url": format!("{url}/events"), "html_url": html, "number": number, "state": issue.state,
            "state_reason": issue.state_reason, "title": issue.title, "body": issue.body,
            "user": ask.user(&issue.user), "labels": labels, "assignee": assignees.first(), "assignees": assignees,
            "milestone": null, "locked": false, "active_lock_reason": null, "comments": comments,
            "closed_at": issue.closed_at, "created_at": issue.created_at, "updated_at": issue.updated_at,
            "author_association": "CONTRIBUTOR",
        }),
    )
}
