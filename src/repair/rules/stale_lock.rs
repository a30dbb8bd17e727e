//! A lock that does not go with its manifest any more: the tool that made it makes it again, keeping what it can.

use std::{collections::BTreeMap, path::Path, sync::LazyLock};

use regex::Regex;

use super::{
    Applied, FixType, Repaired, RuleContext, RuleDoc,
    names::matcher,
    rerun,
    tree::{self, Tree},
};
use crate::detect::Failure;

pub(super) const DOC: RuleDoc = RuleDoc {
    id: "stale-lock",
    repairs: "`uv.lock`, `poetry.lock` or `pdm.lock` that its tool says does not go with `pyproject.toml`",
    evidence: "the tool's word for it, and the lock beside its manifest; the lock is the tool's own, made with the \
               network of install steps, with the versions it held wherever they still fit, and from no other index",
    example: "The lockfile at `uv.lock` needs to be updated, but `--locked` was provided.",
};

/// So many changed versions are named.
const NAMED: usize = 6;

struct Locker {
    /// Its program, and its name for detection.
    tool: &'static str,
    lock: &'static str,
    /// What it calls itself in a description.
    command: &'static str,
    script: &'static str,
}

const LOCKERS: [Locker; 3] = [
    Locker {
        tool: "uv",
        lock: "uv.lock",
        command: "uv lock",
        script: "unset UV_LOCKED UV_FROZEN UV_OFFLINE UV_NO_SYNC\nUV_PYTHON_DOWNLOADS=never uv lock",
    },
    Locker {
        tool: "poetry",
        lock: "poetry.lock",
        command: "poetry lock",
        // Before 2.0 it took newer versions unless it was told not to.
        script: "case \"$(poetry --version)\" in\n\
                 *' 1.'*|*'version 1.'*) poetry lock --no-update --no-interaction ;;\n\
                 *) poetry lock --no-interaction ;;\nesac",
    },
    Locker {
        tool: "pdm",
        lock: "pdm.lock",
        command: "pdm lock --update-reuse",
        script: "pdm lock --update-reuse --non-interactive",
    },
];

pub(super) async fn apply(context: &RuleContext<'_>, repaired: &mut Repaired) -> anyhow::Result<()> {
    for locker in &LOCKERS {
        let Some(failure) = context.failures.iter().find(|f| f.tool == locker.tool && is_stale(f)) else { continue };
        match renew(context, locker, failure).await? {
            Ok(applied) => repaired.applied.push(applied),
            Err(why) => repaired.note(DOC.id, format_args!("`{}`: {why}", locker.lock)),
        }
    }
    Ok(())
}

fn is_stale(failure: &Failure) -> bool {
    static STALE: LazyLock<Option<Regex>> = matcher!(
        r"(?i)lock ?file at `[^`]+` needs to be updated|changed significantly since|is not up to date|lock ?file hash doesn't match|lock ?file does not match"
    );
    STALE.as_ref().is_some_and(|stale| stale.is_match(&failure.message))
}

async fn renew(
    context: &RuleContext<'_>,
    locker: &Locker,
    failure: &Failure,
) -> anyhow::Result<Result<Applied, String>> {
    let tree = Tree::new(context.workspace.root());
    let workdir = tree::folder(context.workspace.root(), context.workdir);
    let Some(lock) = place(&tree, locker, failure, workdir) else {
        return Ok(Err("it is not clear which one is meant, or it has no manifest beside it".to_owned()));
    };
    let Some(before) = tree.read(&lock) else { return Ok(Err("it can't be read".to_owned())) };
    let folder = context.workspace.root().join(tree::parent(&lock));
    let Some(folder) = folder.to_str() else { return Ok(Err("its folder has no name".to_owned())) };
    let script = format!("cd {}\n{}", shell_words::quote(folder), locker.script);
    let kept = match rerun::keep(context, &script, true, |file| file == lock).await? {
        Ok(kept) => kept,
        Err(why) => return Ok(Err(why)),
    };
    if kept.changed.is_empty() {
        return Ok(Err(format!("`{}` did not change it: {}", locker.command, kept.said())));
    }
    let after = tree.read(&lock).map(|text| text.content).unwrap_or_default();
    if let Some(other) = other_index(&before.content, &after) {
        tree.write(&lock, &before)?;
        return Ok(Err(format!("made here it would name the index {other}, which it did not before")));
    }
    let moved = moved(&before.content, &after);
    Ok(Ok(Applied {
        rule: DOC.id,
        fix_type: FixType::Dependency,
        description: format!("Made `{lock}` anew with `{}`: it did not go with `pyproject.toml`.", locker.command),
        impact: match moved.as_slice() {
            [] => "No locked version changes.".to_owned(),
            some if some.len() <= NAMED => format!("Locked versions change: {}.", some.join(", ")),
            many => format!("{} locked versions change: {}, …", many.len(), many[..NAMED].join(", ")),
        },
        files: vec![lock],
    }))
}

/// The lock that a failure is about: the one it names, else that of the working directory or the nearest one above it,
/// else the only one.
fn place(tree: &Tree<'_>, locker: &Locker, failure: &Failure, workdir: &str) -> Option<String> {
    let with_manifest =
        |lock: &String| tree.is_file(lock) && tree.is_file(&tree::join(tree::parent(lock), "pyproject.toml"));
    let named = failure.file.as_deref().and_then(tree::safe).filter(|file| file.contains('/')).map(str::to_owned);
    let above = Path::new(workdir).ancestors().filter_map(|folder| Some(tree::join(folder.to_str()?, locker.lock)));
    let direct = named.into_iter().filter(|file| file.ends_with(locker.lock)).chain(above).find(with_manifest);
    direct.or_else(|| {
        let mut all = tree.files().into_iter().filter(|file| file.rsplit('/').next() == Some(locker.lock));
        match (all.next().filter(with_manifest), all.next()) {
            (Some(only), None) => Some(only),
            _ => None,
        }
    })
}

/// An index that only the new lock names. This machine may have been told of one that nobody else knows.
fn other_index(before: &str, after: &str) -> Option<String> {
    static INDEX: LazyLock<Option<Regex>> = matcher!(r#"\bregistry = "([^"]+)""#);
    let named = |text: &str| -> Vec<String> {
        let found = INDEX.as_ref().map(|pattern| pattern.captures_iter(text));
        let mut named: Vec<String> = found.into_iter().flatten().map(|found| found[1].to_owned()).collect();
        named.sort();
        named.dedup();
        named
    };
    let known = named(before);
    // Without one to compare with, only the public one is known to be meant.
    let fits = |index: &String| known.contains(index) || known.is_empty() && index == "https://pypi.org/simple";
    named(after).into_iter().find(|index| !fits(index)).map(|index| {
        let shown = index.split("//").last().unwrap_or(&index).rsplit('@').next().unwrap_or_default();
        shown.split('/').next().unwrap_or_default().to_owned()
    })
}

/// What locks another version than before, or is locked for the first time, or no longer.
fn moved(before: &str, after: &str) -> Vec<String> {
    let (before, after) = (versions(before), versions(after));
    let mut names: Vec<&String> =
        before.keys().chain(after.keys().filter(|name| !before.contains_key(*name))).collect();
    names.sort();
    let changed = |name: &&String| before.get(*name) != after.get(*name);
    let said = |name: &String| match (before.get(name), after.get(name)) {
        (Some(was), Some(is)) => format!("{name} {was} → {is}"),
        (None, Some(is)) => format!("{name} {is} (new)"),
        (Some(was), None) => format!("{name} {was} (gone)"),
        (None, None) => name.clone(),
    };
    names.into_iter().filter(changed).map(said).collect()
}

/// Name and versions of each `[[package]]`.
fn versions(lock: &str) -> BTreeMap<String, String> {
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    let Ok(parsed) = lock.parse::<toml_edit::DocumentMut>() else { return found };
    let packages = parsed.get("package").and_then(|item| item.as_array_of_tables());
    for package in packages.into_iter().flatten() {
        let text = |key: &str| package.get(key).and_then(|item| item.as_str());
        let (Some(name), Some(version)) = (text("name"), text("version")) else { continue };
        let known = found.entry(name.to_owned()).or_default();
        if !known.is_empty() {
            known.push_str(" and ");
        }
        known.push_str(version);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = "version = 1\n\n[[package]]\nname = \"a\"\nversion = \"1\"\nsource = { registry = \"https://pypi.org/simple\" }\n";

    #[test]
    fn what_a_new_lock_changes_is_named() {
        let after = format!("{}\n[[package]]\nname = \"b\"\nversion = \"3\"\n", LOCK.replace("\"1\"", "\"2\""));
        assert_eq!(moved(LOCK, &after), ["a 1 → 2", "b 3 (new)"]);
        assert_eq!(moved(LOCK, "version = 1\n"), ["a 1 (gone)"]);
        assert!(moved(LOCK, LOCK).is_empty());
    }

    #[test]
    fn an_index_that_only_this_machine_knows_is_seen() {
        assert_eq!(other_index(LOCK, LOCK), None);
        assert_eq!(other_index("", LOCK), None);
        let other = LOCK.replace("pypi.org", "u:p@mirror.example");
        assert_eq!(other_index(LOCK, &other).as_deref(), Some("mirror.example"));
        assert_eq!(other_index("", &other).as_deref(), Some("mirror.example"));
    }
}
