//! The repository, its branches, commits, comparisons and files.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    bare::{Changed, Commit, Entry},
    git_data::verification,
    router::{Ask, Reply, Said},
    schema,
    state::State,
};

pub(crate) fn repository(ask: &mut Ask<'_>) -> Said {
    let repository = ask.repository();
    let write = ask.state.may("contents", "write");
    let mut shown = schema::with(ask.example("full-repository-default-response"), minimal(ask.state, &ask.full_name));
    // Only forks have these.
    for name in ["parent", "source", "template_repository", "organization"] {
        shown.as_object_mut().unwrap().remove(name);
    }
    if let Some(parent) = repository.fork_of.clone().filter(|parent| ask.state.repositories.contains_key(parent)) {
        let repository = schema::with(ask.example("full-repository-default-response"), minimal(ask.state, &parent));
        shown["parent"] = repository["parent"].clone();
        schema::overlay(&mut shown["parent"], minimal(ask.state, &parent));
        shown["source"] = shown["parent"].clone();
    }
    let over = json!({
        "default_branch": repository.default_branch, "archived": repository.archived, "disabled": false,
        "has_issues": repository.has_issues, "visibility": if repository.private { "private" } else { "public" },
        "permissions": {"admin": false, "maintain": false, "push": write, "triage": false, "pull": true},
    });
    Ok(Reply::json(200, schema::with(shown, over)))
}

/// A repository as runs mention it.
pub(crate) fn minimal(state: &State, full_name: &str) -> Value {
    let (owner, name) = full_name.split_once('/').unwrap_or_default();
    let run = schema::example("workflow-run", &state.server, full_name);
    let known = state.repositories.get(full_name);
    let (server, html) = (&state.server, format!("{}/{full_name}", state.server));
    schema::with(
        run["repository"].clone(),
        json!({
            "id": known.map_or(1, |repository| repository.id), "name": name, "full_name": full_name,
            "private": known.is_some_and(|repository| repository.private), "owner": state.user(owner),
            "fork": known.is_none_or(|repository| repository.fork_of.is_some()), "html_url": html,
            "url": format!("{server}/api/v3/repos/{full_name}"),
        }),
    )
}

pub(crate) fn branch(ask: &mut Ask<'_>) -> Said {
    let name = ask.part(0).to_owned();
    let repository = ask.repository();
    let Some(sha) = repository.bare.reference(&format!("refs/heads/{name}")) else {
        return Err(Reply::error(404, "Branch not found"));
    };
    let commit = repository.bare.look(&sha).ok_or_else(Reply::missing)?;
    let mut shown = ask.example("branch-get");
    shown["commit"] = shown_commit(ask, &commit);
    let (url, html) = (ask.url(), ask.html());
    let over = json!({
        "name": name, "protected": repository.protected.contains(&name),
        "_links": {"html": format!("{html}/tree/{name}"), "self": format!("{url}/branches/{name}")},
        "protection_url": format!("{url}/branches/{name}/protection"),
    });
    Ok(Reply::json(200, schema::with(shown, over)))
}

pub(crate) fn commit(ask: &mut Ask<'_>) -> Said {
    let name = ask.part(0).to_owned();
    let bare = &ask.repository().bare;
    let Some(commit) = bare.look(&name) else {
        return Err(Reply::error(422, &format!("No commit found for SHA: {name}")));
    };
    if ask.accepts("sha") {
        return Ok(Reply::bytes("application/vnd.github.sha; charset=utf-8", commit.sha.into_bytes()));
    }
    let mut shown = shown_commit(ask, &commit);
    let empty = bare.tree(None, &[]).map_err(|complaint| Reply::error(422, &complaint))?;
    let changes = bare.changes(commit.parents.first().unwrap_or(&empty), &commit.sha);
    let (added, removed): (u64, u64) =
        changes.iter().fold((0, 0), |sum, change| (sum.0 + change.additions, sum.1 + change.deletions));
    shown["stats"] = json!({"additions": added, "deletions": removed, "total": added + removed});
    shown["files"] = changes.iter().map(|change| shown_change(ask, &commit.sha, change)).collect();
    Ok(Reply::json(200, shown))
}

/// A commit, without its files.
pub(crate) fn shown_commit(ask: &Ask<'_>, commit: &Commit) -> Value {
    let (url, html, sha) = (ask.url(), ask.html(), &commit.sha);
    let person =
        |person: &super::bare::Person| json!({"name": person.name, "email": person.email, "date": person.date});
    let parents: Vec<Value> = commit
        .parents
        .iter()
        .map(|sha| {
            json!({
                "sha": sha, "url": format!("{url}/commits/{sha}"), "html_url": format!("{html}/commit/{sha}"),
            })
        })
        .collect();
    // The account, where a name is one: bots and people of the tests have no spaces in theirs.
    let account = |name: &str| if name.contains(' ') { Value::Null } else { ask.user(name) };
    json!({
        "url": format!("{url}/commits/{sha}"), "sha": sha, "node_id": format!("C_{sha}"),
        "html_url": format!("{html}/commit/{sha}"), "comments_url": format!("{url}/commits/{sha}/comments"),
        "commit": {
            "url": format!("{url}/git/commits/{sha}"), "author": person(&commit.author),
            "committer": person(&commit.committer), "message": commit.message, "comment_count": 0,
            "tree": {"url": format!("{url}/git/trees/{}", commit.tree), "sha": commit.tree},
            "verification": verification(ask.repository().signed.contains(sha)),
        },
        "author": account(&commit.author.name), "committer": account(&commit.committer.name), "parents": parents,
    })
}

/// A file of a difference.
pub(crate) fn shown_change(ask: &Ask<'_>, commit: &str, change: &Changed) -> Value {
    let (url, html, path) = (ask.url(), ask.html(), &change.path);
    let mut shown = json!({
        "sha": change.blob, "filename": path, "status": change.status, "additions": change.additions,
        "deletions": change.deletions, "changes": change.additions + change.deletions,
        "blob_url": format!("{html}/blob/{commit}/{path}"), "raw_url": format!("{html}/raw/{commit}/{path}"),
        "contents_url": format!("{url}/contents/{path}?ref={commit}"),
    });
    if let Some(previous) = &change.previous {
        shown["previous_filename"] = json!(previous);
    }
    if let Some(patch) = &change.patch {
        shown["patch"] = json!(patch);
    }
    shown
}

pub(crate) fn compare(ask: &mut Ask<'_>) -> Said {
    let both = ask.part(0).to_owned();
    let Some((base, head)) = both.split_once("...") else { return Err(Reply::missing()) };
    let bare = &ask.repository().bare;
    let end = |name: &str| bare.look(name.rsplit(':').next().unwrap_or_default()).ok_or_else(Reply::missing);
    let (base, head) = (end(base)?, end(head)?);
    let Some(common) = bare.merge_base(&base.sha, &head.sha) else {
        return Err(Reply::error(404, "No common ancestor between these commits."));
    };
    if ask.accepts("diff") {
        let diff = bare.diff(&common, &head.sha).into_bytes();
        return Ok(Reply::bytes("application/vnd.github.diff; charset=utf-8", diff));
    }
    let between = |from: &str, to: &str| -> Vec<String> {
        bare.git(&["rev-list", "--reverse", &format!("{from}..{to}")]).lines().map(str::to_owned).collect()
    };
    let (ahead, behind) = (between(&common, &head.sha), between(&common, &base.sha));
    let status = match (ahead.len(), behind.len()) {
        (0, 0) => "identical",
        (_, 0) => "ahead",
        (0, _) => "behind",
        _ => "diverged",
    };
    let commits: Vec<Value> =
        ahead.iter().filter_map(|sha| bare.look(sha)).map(|commit| shown_commit(ask, &commit)).collect();
    let common_commit = bare.look(&common).ok_or_else(Reply::missing)?;
    let changes = bare.changes(&common, &head.sha);
    let files: Vec<Value> = changes.iter().map(|change| shown_change(ask, &head.sha, change)).collect();
    let (url, html) = (format!("{}/compare/{both}", ask.url()), format!("{}/compare/{both}", ask.html()));
    let shown = json!({
        "url": url, "html_url": html, "permalink_url": html, "diff_url": format!("{html}.diff"),
        "patch_url": format!("{html}.patch"), "base_commit": shown_commit(ask, &base),
        "merge_base_commit": shown_commit(ask, &common_commit), "status": status, "ahead_by": ahead.len(),
        "behind_by": behind.len(), "total_commits": ahead.len(), "commits": commits, "files": files,
    });
    Ok(Reply::json(200, shown))
}

pub(crate) fn contents(ask: &mut Ask<'_>) -> Said {
    let path = ask.part(0).trim_matches('/').to_owned();
    let repository = ask.repository();
    let name = ask.query("ref").unwrap_or(&repository.default_branch).to_owned();
    let name = name.strip_prefix("refs/heads/").unwrap_or(&name);
    let bare = &repository.bare;
    let Some(commit) = bare.resolve(name) else {
        return Err(Reply::error(404, &format!("No commit found for the ref {name}")));
    };
    let about = |entry: &Entry, path: &str| {
        let kind = match entry.kind.as_str() {
            "tree" => "dir",
            "commit" => "submodule",
            _ => "file",
        };
        let url = format!("{}/contents/{path}?ref={name}", ask.url());
        let git = format!("{}/git/{}s/{}", ask.url(), entry.kind, entry.sha);
        let html = format!("{}/blob/{name}/{path}", ask.html());
        let download = (kind == "file").then(|| format!("{}/raw/{name}/{path}", ask.html()));
        json!({
            "type": kind, "size": entry.size.unwrap_or(0), "name": path.rsplit('/').next(), "path": path,
            "sha": entry.sha, "url": url, "git_url": git, "html_url": html, "download_url": download,
            "_links": {"git": git, "self": url, "html": html},
        })
    };
    let tree = if path.is_empty() { commit.clone() } else { format!("{commit}:{path}") };
    if let Some(entries) = bare.entries(&tree, false) {
        let folder = if path.is_empty() { String::new() } else { format!("{path}/") };
        let items = entries.iter().map(|entry| about(entry, &format!("{folder}{}", entry.path)));
        return Ok(Reply::json(200, items.collect()));
    }
    let bytes = bare.read(&commit, &path).ok_or_else(Reply::missing)?;
    if ask.accepts("raw") {
        return Ok(Reply::bytes("application/vnd.github.raw+json; charset=utf-8", bytes));
    }
    let folder = path.rsplit_once('/').map_or(commit.clone(), |(folder, _)| format!("{commit}:{folder}"));
    let entries = bare.entries(&folder, false).unwrap_or_default();
    let entry = entries.iter().find(|entry| Some(entry.path.as_str()) == path.rsplit('/').next());
    let mut shown = about(entry.ok_or_else(Reply::missing)?, &path);
    let coded = STANDARD.encode(bytes);
    // As GitHub breaks its lines.
    let lines: Vec<&str> = coded.as_bytes().chunks(60).map(|line| std::str::from_utf8(line).unwrap()).collect();
    shown["encoding"] = json!("base64");
    shown["content"] = json!(lines.join("\n") + "\n");
    Ok(Reply::json(200, shown))
}
