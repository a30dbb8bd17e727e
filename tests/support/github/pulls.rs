//! Pull requests.

use serde_json::{Value, json};

use super::{
    contents,
    issues::{self, shown_label},
    router::{Ask, Reply, Said},
    schema,
    state::{Issue, Pull, Unread},
};

/// What a title or a body may have at most.
const LONGEST: usize = 65_536;

pub(crate) fn list(ask: &mut Ask<'_>) -> Said {
    let state = ask.query("state").unwrap_or("open").to_owned();
    let pulls = ask.repository().issues.values().rev().filter(|issue| {
        let Some(pull) = &issue.pull else { return false };
        let owner = pull.head_repository.split('/').next().unwrap_or_default();
        // GitHub wants `owner:branch`, and ignores what is not so.
        let head = ask.query("head").is_none_or(|head| !head.contains(':') || head == format!("{owner}:{}", pull.head));
        (state == "all" || issue.state == state) && head && ask.query("base").is_none_or(|base| base == pull.base)
    });
    let shown = pulls.map(|issue| shown_simple(ask, issue)).collect();
    ask.list(shown)
}

pub(crate) fn of_commit(ask: &mut Ask<'_>) -> Said {
    let Some(sha) = ask.repository().bare.resolve(ask.part(0)) else {
        return Err(Reply::error(422, &format!("No commit found for SHA: {}", ask.part(0))));
    };
    let bare = &ask.repository().bare;
    let pulls = ask.repository().issues.values().filter(|issue| {
        issue.pull.as_ref().is_some_and(|pull| {
            bare.is_ancestor(&sha, &pull.head_sha) && !bare.is_ancestor(&sha, &pull.base_sha) || pull.head_sha == sha
        })
    });
    let shown = pulls.map(|issue| shown_simple(ask, issue)).collect();
    ask.list(shown)
}

pub(crate) fn get(ask: &mut Ask<'_>) -> Said {
    let number = found(ask)?;
    if ask.accepts("diff") {
        let (base, head) = ends(ask, number);
        let diff = ask.repository().bare.diff(&base, &head).into_bytes();
        return Ok(Reply::bytes("application/vnd.github.diff; charset=utf-8", diff));
    }
    Ok(Reply::json(200, shown(ask, ask.issue(number)?)))
}

pub(crate) fn files(ask: &mut Ask<'_>) -> Said {
    let number = found(ask)?;
    let (base, head) = ends(ask, number);
    let changes = ask.repository().bare.changes(&base, &head);
    let shown = changes.iter().map(|change| contents::shown_change(ask, &head, change)).collect();
    ask.list(shown)
}

/// The number of the pull request that the path names.
pub(crate) fn found(ask: &Ask<'_>) -> Result<u64, Reply> {
    let issue = ask.issue(ask.number(0)?)?;
    if issue.pull.is_some() { Ok(issue.number) } else { Err(Reply::missing()) }
}

/// Where the branches parted, and the head.
pub(crate) fn ends(ask: &Ask<'_>, number: u64) -> (String, String) {
    let pull = ask.repository().issues[&number].pull.clone().unwrap();
    let base = ask.repository().bare.merge_base(&pull.base_sha, &pull.head_sha);
    (base.unwrap_or(pull.base_sha), pull.head_sha)
}

/// The setting, which is about `GITHUB_TOKEN` alone.
pub(crate) fn may_open(ask: &Ask<'_>) -> Result<(), Reply> {
    let bot = ask.state.identity == super::state::Identity::ActionsBot;
    if bot && !ask.repository().actions_may_open_pull_requests {
        let message = "GitHub Actions is not permitted to create or approve pull requests.";
        return Err(Reply::error(403, message));
    }
    Ok(())
}

pub(crate) fn open(ask: &mut Ask<'_>) -> Said {
    may_open(ask)?;
    let repository = ask.repository();
    let owner = repository.owner().to_owned();
    let (title, asked) = (ask.text("title").unwrap_or_default(), ask.text("head").unwrap_or_default());
    let base = ask.text("base").unwrap_or_default();
    let invalid =
        |field: &str| Err(Reply::invalid(json!([{"resource": "PullRequest", "field": field, "code": "invalid"}])));
    let custom =
        |message: &str| Err(Reply::invalid(json!([{"resource": "PullRequest", "code": "custom", "message": message}])));
    if title.is_empty() {
        return Err(Reply::invalid(json!([{"resource": "PullRequest", "field": "title", "code": "missing_field"}])));
    }
    if ask.text("body").is_some_and(|body| body.chars().count() > LONGEST) {
        return custom("body is too long (maximum is 65536 characters)");
    }
    let (from, branch) = asked.split_once(':').unwrap_or((&owner, &asked));
    let head_repository = ask.state.repositories.values().find(|repository| {
        repository.owner() == from
            && (repository.full_name == ask.full_name || repository.fork_of.as_deref() == Some(&ask.full_name))
    });
    let Some((head_name, head_sha)) = head_repository
        .and_then(|head| Some((head.full_name.clone(), head.bare.reference(&format!("refs/heads/{branch}"))?)))
    else {
        return invalid("head");
    };
    let Some(base_sha) = repository.bare.reference(&format!("refs/heads/{base}")) else { return invalid("base") };
    let same = repository.issues.values().any(|issue| {
        issue.state == "open"
            && issue
                .pull
                .as_ref()
                .is_some_and(|pull| pull.head == branch && pull.base == base && pull.head_repository == head_name)
    });
    if same {
        return custom(&format!("A pull request already exists for {from}:{branch}."));
    }
    if head_name != ask.full_name {
        // The objects of forks are one store.
        let fork = ask.state.repositories[&head_name].bare.path.display().to_string();
        repository.bare.git(&["fetch", "--quiet", "--no-tags", &fork, &head_sha]);
    }
    if repository.bare.is_ancestor(&head_sha, &base_sha) {
        return custom(&format!("No commits between {base} and {branch}"));
    }
    let pull = Pull {
        head_repository: head_name,
        head: branch.to_owned(),
        head_sha,
        base,
        base_sha,
        draft: ask.call.body["draft"].as_bool().unwrap_or(false),
        merged_by: None,
        reviewers: Vec::new(),
        teams: Vec::new(),
        maintainer_can_modify: ask.call.body["maintainer_can_modify"].as_bool().unwrap_or(false),
    };
    let (body, login) = (ask.text("body"), ask.login());
    let number = issues::add(ask, &login, &title, body);
    let reference = format!("refs/pull/{number}/head");
    ask.repository().bare.set_reference(&reference, &pull.head_sha);
    ask.issue_mut(number).pull = Some(pull);
    let full_name = ask.full_name.clone();
    ask.state.tell(Unread::PullRequest(full_name, number));
    let shown = shown(ask, ask.issue(number)?);
    let url = format!("{}/pulls/{number}", ask.url());
    Ok(Reply::json(201, shown).header("location", &url))
}

pub(crate) fn change(ask: &mut Ask<'_>) -> Said {
    let number = found(ask)?;
    let body = ask.call.body.clone();
    if ask.text("body").is_some_and(|body| body.chars().count() > LONGEST) {
        let message = "body is too long (maximum is 65536 characters)";
        return Err(Reply::invalid(json!([{"resource": "PullRequest", "code": "custom", "message": message}])));
    }
    let base = ask.text("base");
    let base_sha = match &base {
        Some(base) => match ask.repository().bare.reference(&format!("refs/heads/{base}")) {
            Some(sha) => Some(sha),
            None => {
                let error = json!([{"resource": "PullRequest", "field": "base", "code": "invalid"}]);
                return Err(Reply::invalid(error));
            }
        },
        None => None,
    };
    issues::apply(ask, number, &body);
    let pull = ask.issue_mut(number).pull.as_mut().unwrap();
    if let (Some(base), Some(base_sha)) = (base, base_sha) {
        (pull.base, pull.base_sha) = (base, base_sha);
    }
    let full_name = ask.full_name.clone();
    ask.state.tell(Unread::PullRequest(full_name, number));
    Ok(Reply::json(200, shown(ask, ask.issue(number)?)))
}

/// As lists show it.
pub(crate) fn shown_simple(ask: &Ask<'_>, issue: &Issue) -> Value {
    overlaid(ask, issue, ask.example_item("pull-request-simple-items"))
}

/// With everything.
pub(crate) fn shown(ask: &Ask<'_>, issue: &Issue) -> Value {
    let pull = issue.pull.as_ref().unwrap();
    let bare = &ask.repository().bare;
    let (base, head) = ends(ask, issue.number);
    let changes = bare.changes(&base, &head);
    let sum = |count: fn(&super::bare::Changed) -> u64| changes.iter().map(count).sum::<u64>();
    let commits = bare.git(&["rev-list", "--count", &format!("{base}..{head}")]);
    let comments = ask.repository().comments.iter().filter(|comment| comment.issue == issue.number).count();
    let over = json!({
        "merged": pull.merged_by.is_some(), "mergeable": issue.state == "open", "rebaseable": true,
        "mergeable_state": if pull.draft { "draft" } else { "clean" },
        "merged_by": pull.merged_by.as_ref().map(|login| ask.user(login)), "comments": comments,
        "review_comments": 0, "maintainer_can_modify": pull.maintainer_can_modify,
        "commits": commits.parse::<u64>().unwrap_or(0), "additions": sum(|change| change.additions),
        "deletions": sum(|change| change.deletions), "changed_files": changes.len(),
    });
    schema::with(overlaid(ask, issue, ask.example("pull-request")), over)
}

fn overlaid(ask: &Ask<'_>, issue: &Issue, example: Value) -> Value {
    let pull = issue.pull.as_ref().unwrap();
    let (api, html, number) = (ask.url(), ask.html(), issue.number);
    let url = format!("{api}/pulls/{number}");
    let page = format!("{html}/pull/{number}");
    let side = |full_name: &str, branch: &str, sha: &str| {
        let owner = full_name.split('/').next().unwrap_or_default();
        json!({
            "label": format!("{owner}:{branch}"), "ref": branch, "sha": sha, "user": ask.user(owner),
            "repo": contents::minimal(ask.state, full_name),
        })
    };
    let people = |logins: &[String]| logins.iter().map(|login| ask.user(login)).collect::<Vec<_>>();
    let team = ask.example_item("pull-request-simple-items")["requested_teams"][0].clone();
    let teams: Vec<Value> =
        pull.teams.iter().map(|slug| schema::with(team.clone(), json!({"slug": slug, "name": slug}))).collect();
    let labels: Vec<Value> = issue.labels.iter().map(|name| shown_label(ask, name)).collect();
    let merged_at = pull.merged_by.as_ref().and(issue.closed_at.clone());
    let (issue_url, statuses) = (format!("{api}/issues/{number}"), format!("{api}/statuses/{}", pull.head_sha));
    let addresses = json!({
        "url": url, "html_url": page, "diff_url": format!("{page}.diff"), "patch_url": format!("{page}.patch"),
        "issue_url": issue_url, "commits_url": format!("{url}/commits"), "statuses_url": statuses,
        "review_comments_url": format!("{url}/comments"), "comments_url": format!("{issue_url}/comments"),
        "_links": {
            "self": {"href": url}, "html": {"href": page}, "issue": {"href": issue_url},
            "comments": {"href": format!("{issue_url}/comments")}, "statuses": {"href": statuses},
            "review_comments": {"href": format!("{url}/comments")}, "commits": {"href": format!("{url}/commits")},
        },
    });
    let over = json!({
        "id": issue.id, "node_id": format!("PR_{}", issue.id), "number": number, "state": issue.state,
        "locked": false, "title": issue.title, "user": ask.user(&issue.user), "body": issue.body,
        "labels": labels, "milestone": null, "active_lock_reason": null, "created_at": issue.created_at,
        "updated_at": issue.updated_at, "closed_at": issue.closed_at, "merged_at": merged_at,
        "merge_commit_sha": null, "assignee": null, "assignees": people(&issue.assignees),
        "requested_reviewers": people(&pull.reviewers), "requested_teams": teams,
        "head": side(&pull.head_repository, &pull.head, &pull.head_sha),
        "base": side(&ask.full_name, &pull.base, &pull.base_sha), "author_association": "CONTRIBUTOR",
        "auto_merge": null, "draft": pull.draft,
    });
    schema::with(schema::with(example, addresses), over)
}
