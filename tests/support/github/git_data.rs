//! The git endpoints: objects and refs of the real repository.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    bare::{Commit, Person},
    router::{Ask, Reply, Said, not_accessible},
    schema,
};

fn shown_reference(ask: &Ask<'_>, name: &str, sha: &str) -> Value {
    let kind = ask.repository().bare.kind(sha).unwrap_or_default();
    shown(ask, name, sha, &kind)
}

fn shown(ask: &Ask<'_>, name: &str, sha: &str, kind: &str) -> Value {
    let url = ask.url();
    json!({
        "ref": name, "node_id": format!("REF_{name}"), "url": format!("{url}/git/{name}"),
        "object": {"type": kind, "sha": sha, "url": format!("{url}/git/{kind}s/{sha}")},
    })
}

pub(crate) fn reference(ask: &mut Ask<'_>) -> Said {
    let name = format!("refs/{}", ask.part(0));
    let sha = ask.repository().bare.reference(&name).ok_or_else(Reply::missing)?;
    Ok(Reply::json(200, shown_reference(ask, &name, &sha)))
}

pub(crate) fn matching(ask: &mut Ask<'_>) -> Said {
    let found = ask.repository().bare.references(&format!("refs/{}", ask.part(0)));
    let found = found.iter().map(|(name, sha)| shown_reference(ask, name, sha)).collect();
    Ok(Reply::json(200, Value::Array(found)))
}

pub(crate) fn make_reference(ask: &mut Ask<'_>) -> Said {
    let name = ask.text("ref").unwrap_or_default();
    let sha = ask.text("sha").unwrap_or_default();
    let well_formed = name.starts_with("refs/") && name.matches('/').count() >= 2;
    if !well_formed {
        return Err(Reply::error(422, "Reference name must start with 'refs/' and have at least two slashes"));
    }
    let kind = ask.repository().bare.kind(&sha);
    let Some(kind) = kind.filter(|kind| kind == "commit" || !name.starts_with("refs/heads/")) else {
        return Err(Reply::error(422, "Object does not exist"));
    };
    if ["refs/pull/", "refs/internal/"].iter().any(|own| name.starts_with(own)) {
        return Err(Reply::error(422, "Reference update failed"));
    }
    may_update(ask, &name, &sha)?;
    match ask.repository().bare.create_reference(&name, &sha) {
        Ok(true) => Ok(Reply::json(201, shown(ask, &name, &sha, &kind))),
        Ok(false) => Err(Reply::error(422, "Reference already exists")),
        Err(_) => Err(Reply::error(422, "Reference update failed")),
    }
}

pub(crate) fn move_reference(ask: &mut Ask<'_>) -> Said {
    let name = format!("refs/{}", ask.part(0));
    let sha = ask.text("sha").unwrap_or_default();
    let force = ask.call.body["force"].as_bool().unwrap_or(false);
    let bare = &ask.repository().bare;
    let Some(old) = bare.reference(&name) else { return Err(Reply::error(422, "Reference does not exist")) };
    if bare.kind(&sha).is_none() {
        return Err(Reply::error(422, "Object does not exist"));
    }
    if protected(ask, &name) {
        return Err(Reply::error(422, "Changes must be made through a pull request."));
    }
    if !force && !bare.is_ancestor(&old, &sha) {
        return Err(Reply::error(422, "Update is not a fast forward"));
    }
    may_update(ask, &name, &sha)?;
    ask.repository().bare.set_reference(&name, &sha);
    head_moved(ask, &name, Some(&sha));
    Ok(Reply::json(200, shown_reference(ask, &name, &sha)))
}

pub(crate) fn delete_reference(ask: &mut Ask<'_>) -> Said {
    let name = format!("refs/{}", ask.part(0));
    if ask.repository().bare.reference(&name).is_none() {
        return Err(Reply::error(422, "Reference does not exist"));
    }
    if protected(ask, &name) {
        return Err(Reply::error(422, "Cannot delete this protected branch"));
    }
    ask.repository().bare.delete_reference(&name);
    head_moved(ask, &name, None);
    Ok(Reply::empty(204))
}

fn protected(ask: &Ask<'_>, name: &str) -> bool {
    name.strip_prefix("refs/heads/").is_some_and(|branch| ask.repository().protected.contains(branch))
}

/// What rule sets and the lack of the permission `workflows` forbid.
fn may_update(ask: &Ask<'_>, name: &str, sha: &str) -> Result<(), Reply> {
    let repository = ask.repository();
    if let Some(branch) = name.strip_prefix("refs/heads/")
        && repository.forbidden_branches.iter().any(|prefix| branch.starts_with(prefix))
    {
        let why = "Repository rule violations found\n\nCannot create ref due to creations being restricted.\n\n";
        return Err(Reply::error(422, why));
    }
    // Only what a request made can be news: what was there before was allowed to be.
    if repository.made.contains(sha) && !ask.state.may("workflows", "write") {
        let parent = format!("{sha}^");
        let changes = repository.bare.changes(&parent, sha);
        if changes.iter().any(|change| change.path.starts_with(".github/workflows/")) {
            return Err(not_accessible());
        }
    }
    Ok(())
}

/// Pull requests follow their branch, and close without it.
fn head_moved(ask: &mut Ask<'_>, name: &str, sha: Option<&str>) {
    let Some(branch) = name.strip_prefix("refs/heads/").map(str::to_owned) else { return };
    let login = ask.login();
    let repository = ask.repository_mut();
    let full_name = repository.full_name.clone();
    for issue in repository.issues.values_mut() {
        let Some(pull) = &mut issue.pull else { continue };
        if pull.head != branch || pull.head_repository != full_name || issue.state != "open" {
            continue;
        }
        match sha {
            Some(sha) => sha.clone_into(&mut pull.head_sha),
            None => issue.close(&login),
        }
    }
}

pub(crate) fn commit(ask: &mut Ask<'_>) -> Said {
    let sha = ask.part(0).to_owned();
    if ask.repository().bare.kind(&sha).as_deref() != Some("commit") {
        return Err(Reply::missing());
    }
    let commit = ask.repository().bare.look(&sha).ok_or_else(Reply::missing)?;
    Ok(Reply::json(200, shown_commit(ask, &commit)))
}

fn shown_commit(ask: &Ask<'_>, commit: &Commit) -> Value {
    let (url, html) = (ask.url(), ask.html());
    let person = |person: &Person| json!({"name": person.name, "email": person.email, "date": person.date});
    let parents: Vec<Value> = commit
        .parents
        .iter()
        .map(|sha| {
            json!({
                "sha": sha, "url": format!("{url}/git/commits/{sha}"), "html_url": format!("{html}/commit/{sha}"),
            })
        })
        .collect();
    json!({
        "sha": commit.sha, "node_id": format!("C_{}", commit.sha), "url": format!("{url}/git/commits/{}", commit.sha),
        "html_url": format!("{html}/commit/{}", commit.sha), "author": person(&commit.author),
        "committer": person(&commit.committer), "message": commit.message,
        "tree": {"sha": commit.tree, "url": format!("{url}/git/trees/{}", commit.tree)}, "parents": parents,
        "verification": verification(ask.repository().signed.contains(&commit.sha)),
    })
}

/// Whether GitHub signed it.
pub(crate) fn verification(signed: bool) -> Value {
    if signed {
        let signature = "-----BEGIN PGP SIGNATURE-----\n\nZmFrZQ==\n-----END PGP SIGNATURE-----\n";
        json!({
            "verified": true, "reason": "valid", "signature": signature, "payload": "tree",
            "verified_at": super::bare::now(),
        })
    } else {
        json!({"verified": false, "reason": "unsigned", "signature": null, "payload": null, "verified_at": null})
    }
}

pub(crate) fn make_commit(ask: &mut Ask<'_>) -> Said {
    let body = &ask.call.body;
    let (message, tree) = (ask.text("message").unwrap_or_default(), ask.text("tree").unwrap_or_default());
    let parents = ask.texts("parents");
    let bare = &ask.repository().bare;
    if bare.kind(&tree).as_deref() != Some("tree") {
        return Err(Reply::error(422, "Tree SHA does not exist"));
    }
    if parents.iter().any(|parent| bare.kind(parent).as_deref() != Some("commit")) {
        return Err(Reply::error(422, "Parent SHA does not exist or is not a commit object"));
    }
    let given = |name: &str| {
        let value = &body[name];
        let mut person = Person::new(value["name"].as_str()?, value["email"].as_str()?);
        if let Some(date) = value["date"].as_str() {
            date.clone_into(&mut person.date);
        }
        Some(person)
    };
    let login = ask.login();
    let own = match login.as_str() {
        "github-actions[bot]" => Person::new(&login, "41898282+github-actions[bot]@users.noreply.github.com"),
        _ => Person::new(&login, &format!("1+{login}@users.noreply.github.com")),
    };
    let (author, committer) = (given("author"), given("committer"));
    // GitHub signs for bots and apps, and only what is all their own.
    let signed = ask.state.identity.is_installation() && author.is_none() && committer.is_none();
    let author = author.unwrap_or(own);
    let committer = match committer {
        Some(committer) => committer,
        None if signed => Person::new("GitHub", "noreply@github.com"),
        None => author.clone(),
    };
    let sha = bare.commit(&tree, &parents, &message, (&author, &committer));
    let repository = ask.repository_mut();
    repository.made.insert(sha.clone());
    if signed {
        repository.signed.insert(sha.clone());
    }
    let commit = ask.repository().bare.look(&sha).ok_or_else(Reply::missing)?;
    Ok(Reply::json(201, shown_commit(ask, &commit)))
}

pub(crate) fn tree(ask: &mut Ask<'_>) -> Said {
    let name = ask.part(0).to_owned();
    let recursive = ask.query("recursive").is_some();
    let bare = &ask.repository().bare;
    // A branch will do as well.
    let tree = match bare.kind(&name).as_deref() {
        Some("tree") => name,
        _ => bare.look(&name).ok_or_else(Reply::missing)?.tree,
    };
    shown_tree(ask, 200, &tree, recursive)
}

fn shown_tree(ask: &Ask<'_>, status: u16, sha: &str, recursive: bool) -> Said {
    let url = ask.url();
    let entries = ask.repository().bare.entries(sha, recursive).ok_or_else(Reply::missing)?;
    let entries: Vec<Value> = entries
        .iter()
        .map(|entry| {
            let mut shown = json!({
                "path": entry.path, "mode": entry.mode, "type": entry.kind, "sha": entry.sha,
                "url": format!("{url}/git/{}s/{}", entry.kind, entry.sha),
            });
            if let Some(size) = entry.size {
                shown["size"] = json!(size);
            }
            shown
        })
        .collect();
    let tree = json!({"sha": sha, "url": format!("{url}/git/trees/{sha}"), "tree": entries, "truncated": false});
    Ok(Reply::json(status, tree))
}

pub(crate) fn make_blob(ask: &mut Ask<'_>) -> Said {
    let content = ask.text("content").unwrap_or_default();
    let bytes = match ask.text("encoding").as_deref() {
        Some("base64") => {
            let packed: String = content.split_whitespace().collect();
            STANDARD.decode(packed).map_err(|_| Reply::error(422, "content is not valid Base64"))?
        }
        None | Some("utf-8") => content.into_bytes(),
        Some(_) => return Err(Reply::error(422, "encoding must be utf-8 or base64")),
    };
    let sha = ask.repository().bare.blob(&bytes);
    let url = format!("{}/git/blobs/{sha}", ask.url());
    Ok(Reply::json(201, schema::with(ask.example("short-blob"), json!({"sha": sha, "url": url}))))
}

pub(crate) fn make_tree(ask: &mut Ask<'_>) -> Said {
    let bare = &ask.repository().bare;
    let base = ask.text("base_tree");
    if let Some(base) = &base
        && !matches!(bare.kind(base).as_deref(), Some("tree" | "commit"))
    {
        return Err(Reply::error(422, "base_tree is not a valid tree oid"));
    }
    let mut entries = Vec::new();
    for entry in ask.call.body["tree"].as_array().into_iter().flatten() {
        let path = entry["path"].as_str().unwrap_or_default().to_owned();
        if path.is_empty()
            || path.starts_with('/')
            || path.split('/').any(|part| ["", ".", "..", ".git"].contains(&part))
        {
            return Err(Reply::error(422, "tree.path contains a malformed path component"));
        }
        let Some(mode) = entry["mode"].as_str() else {
            return Err(Reply::error(422, "Must supply a valid tree.mode"));
        };
        let sha = match (&entry["sha"], &entry["content"]) {
            (Value::String(_), Value::String(_)) => {
                return Err(Reply::error(422, "Must supply either tree.sha or tree.content"));
            }
            (Value::String(sha), _) => {
                if bare.kind(sha).is_none() && mode != "160000" {
                    return Err(Reply::error(422, &format!("tree.sha {sha} is not a valid blob")));
                }
                Some(sha.clone())
            }
            (_, Value::String(content)) => Some(bare.blob(content.as_bytes())),
            _ if entry.as_object().is_some_and(|entry| entry.contains_key("sha")) => {
                // What is not there can't be removed.
                if base.as_deref().is_none_or(|base| bare.read(base, &path).is_none()) {
                    return Err(Reply::error(422, "GitRPC::BadObjectState"));
                }
                None
            }
            _ => return Err(Reply::error(422, "Must supply either tree.sha or tree.content")),
        };
        entries.push((mode.to_owned(), sha, path));
    }
    let made = bare.tree(base.as_deref(), &entries);
    let sha = made.map_err(|complaint| Reply::error(422, &complaint))?;
    shown_tree(ask, 201, &sha, false)
}
