//! Reviews, and who is asked for them.

use serde_json::{Value, json};

use super::{
    bare::Changed,
    pulls,
    router::{Ask, Reply, Said},
    schema,
    state::{Review, ReviewComment, Unread},
};

pub(crate) fn request(ask: &mut Ask<'_>) -> Said {
    let number = pulls::found(ask)?;
    let (reviewers, teams) = (ask.texts("reviewers"), ask.texts("team_reviewers"));
    let author = ask.issue(number)?.user.clone();
    let refused = |message: &str| {
        let page = "https://docs.github.com/rest";
        Err(Reply::json(422, json!({"message": message, "documentation_url": page, "status": "422"})))
    };
    if reviewers.contains(&author) {
        return refused("Review cannot be requested from pull request author.");
    }
    let repository = ask.repository();
    let known = |login: &String| repository.collaborators.contains(login);
    if !reviewers.iter().all(known) || !teams.iter().all(known) {
        let name = &repository.full_name;
        return refused(&format!(
            "Reviews may only be requested from collaborators. One or more of the users or teams you specified is not a \
             collaborator of the {name} repository."
        ));
    }
    let pull = ask.issue_mut(number).pull.as_mut().unwrap();
    for login in reviewers {
        if !pull.reviewers.contains(&login) {
            pull.reviewers.push(login);
        }
    }
    for team in teams {
        if !pull.teams.contains(&team) {
            pull.teams.push(team);
        }
    }
    let full_name = ask.full_name.clone();
    ask.state.tell(Unread::PullRequest(full_name, number));
    Ok(Reply::json(201, pulls::shown_simple(ask, ask.issue(number)?)))
}

pub(crate) fn list(ask: &mut Ask<'_>) -> Said {
    let number = pulls::found(ask)?;
    let reviews = ask.repository().reviews.iter().filter(|review| review.pull == number);
    let reviews = reviews.map(|review| shown(ask, review)).collect();
    ask.list(reviews)
}

pub(crate) fn create(ask: &mut Ask<'_>) -> Said {
    let number = pulls::found(ask)?;
    let event = ask.text("event");
    if event.as_deref() == Some("APPROVE") {
        pulls::may_open(ask)?;
    }
    let (base, head) = pulls::ends(ask, number);
    let commit = ask.text("commit_id").unwrap_or_else(|| head.clone());
    let bare = &ask.repository().bare;
    if bare.kind(&commit).as_deref() != Some("commit") {
        return Err(unprocessable("commit_id is not part of the pull request"));
    }
    let changes = bare.changes(&base, &commit);
    let mut comments = Vec::new();
    for comment in ask.call.body["comments"].as_array().into_iter().flatten() {
        comments.push(placed(comment, &changes)?);
    }
    let body = ask.text("body").unwrap_or_default();
    if body.is_empty() && comments.is_empty() && event.as_deref() != Some("APPROVE") {
        return Err(unprocessable("Review body or comments are required"));
    }
    let state = match event.as_deref() {
        None => "PENDING",
        Some("APPROVE") => "APPROVED",
        Some("REQUEST_CHANGES") => "CHANGES_REQUESTED",
        Some(_) => "COMMENTED",
    };
    let (id, user) = (ask.state.id(), ask.login());
    let review = Review { id, pull: number, user, body, state: state.to_owned(), commit, comments };
    ask.repository_mut().reviews.push(review.clone());
    let full_name = ask.full_name.clone();
    ask.state.tell(Unread::Review(full_name, id));
    Ok(Reply::json(200, shown(ask, &review)))
}

fn unprocessable(error: &str) -> Reply {
    let page = "https://docs.github.com/rest";
    let body =
        json!({"message": "Unprocessable Entity", "errors": [error], "documentation_url": page, "status": "422"});
    Reply::json(422, body)
}

/// A comment whose lines are in the difference.
fn placed(comment: &Value, changes: &[Changed]) -> Result<ReviewComment, Reply> {
    let path = comment["path"].as_str().unwrap_or_default();
    let Some(change) = changes.iter().find(|change| change.path == path) else {
        return Err(unprocessable("Path could not be resolved"));
    };
    let hunks = hunks(change.patch.as_deref().unwrap_or_default());
    let side = comment["side"].as_str().unwrap_or("RIGHT");
    let (line, start) = (comment["line"].as_u64(), comment["start_line"].as_u64());
    let within =
        |hunk: &Hunk, line: u64| if side == "LEFT" { hunk.old.contains(&line) } else { hunk.new.contains(&line) };
    match (line, comment["position"].as_u64()) {
        (Some(line), _) => {
            let Some(hunk) = hunks.iter().find(|hunk| within(hunk, line)) else {
                return Err(unprocessable("Line could not be resolved"));
            };
            if start.is_some_and(|start| start >= line) {
                return Err(unprocessable("start_line must precede the end line"));
            }
            if start.is_some_and(|start| !within(hunk, start)) {
                return Err(unprocessable("Start line must be part of the same hunk as the line."));
            }
        }
        (None, Some(position)) => {
            let lines = change.patch.as_deref().unwrap_or_default().lines().count() as u64;
            if position == 0 || position >= lines {
                return Err(unprocessable("Position is invalid"));
            }
        }
        (None, None) => return Err(unprocessable("Position could not be resolved")),
    }
    let (path, side) = (path.to_owned(), side.to_owned());
    let body = comment["body"].as_str().unwrap_or_default().to_owned();
    Ok(ReviewComment { path, line, start_line: start, side, body })
}

/// The lines of a hunk, context and all.
struct Hunk {
    old: std::ops::Range<u64>,
    new: std::ops::Range<u64>,
}

fn hunks(patch: &str) -> Vec<Hunk> {
    let range = |text: &str| {
        let (start, count) = text[1..].split_once(',').unwrap_or((&text[1..], "1"));
        let start: u64 = start.parse().unwrap_or(0);
        start..start + count.parse::<u64>().unwrap_or(0)
    };
    let heads = patch.lines().filter(|line| line.starts_with("@@ "));
    heads
        .filter_map(|line| {
            let mut words = line.split(' ').skip(1);
            Some(Hunk { old: range(words.next()?), new: range(words.next()?) })
        })
        .collect()
}

fn shown(ask: &Ask<'_>, review: &Review) -> Value {
    let pull = format!("{}/pulls/{}", ask.url(), review.pull);
    let html = format!("{}/pull/{}#pullrequestreview-{}", ask.html(), review.pull, review.id);
    schema::with(
        ask.example("pull-request-review"),
        json!({
            "id": review.id, "node_id": format!("PRR_{}", review.id), "user": ask.user(&review.user),
            "body": review.body, "state": review.state, "html_url": html, "pull_request_url": pull,
            "_links": {"html": {"href": html}, "pull_request": {"href": pull}}, "commit_id": review.commit,
            "submitted_at": super::bare::now(), "author_association": "CONTRIBUTOR",
        }),
    )
}
