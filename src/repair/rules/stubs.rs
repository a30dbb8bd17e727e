//! mypy names the stub package that it misses: declared where the project declares mypy itself.

use std::{collections::BTreeMap, sync::LazyLock, time::SystemTime};

use regex::Regex;

use super::{
    Applied, FixType, Repaired, RuleContext, RuleDoc,
    manifests::{self, Listing, New, Role},
    names::{self, matcher},
    tree::{self, Tree},
    undeclared,
};
use crate::{detect::Failure, registry::normalise};

pub(super) const DOC: RuleDoc = RuleDoc {
    id: "missing-stubs",
    repairs: "a stub package that mypy says is not installed",
    evidence: "mypy's word for it; a list of requirements that the job installs and that mypy, or another stub package, \
               stands in; a package in the index that is older than 90 days, no near-name of a popular one, and whose \
               wheel holds stubs of the module",
    example: "src/a.py:1: error: Library stubs not installed for \"yaml\"  [import-untyped]",
};

/// More stub packages than that at once are another problem.
const MOST_MODULES: usize = 20;

pub(super) async fn apply(context: &RuleContext<'_>, repaired: &mut Repaired) -> anyhow::Result<()> {
    let missing = missing(context.failures);
    if missing.len() > MOST_MODULES {
        repaired.note(DOC.id, format_args!("{} missing stub packages at once are one other problem", missing.len()));
        return Ok(());
    }
    let tree = Tree::new(context.workspace.root());
    for (module, (failure, packages)) in missing {
        let mut left = Vec::new();
        for package in &packages {
            match add(context, &tree, package, &module, failure).await? {
                Ok(applied) => {
                    repaired.applied.push(applied);
                    left.clear();
                    break;
                }
                Err(why) => left.push(format!("`{package}`: {why}")),
            }
        }
        left.iter().for_each(|why| repaired.note(DOC.id, why));
    }
    Ok(())
}

/// The modules that mypy misses stubs for, each with a failure that shows it and what the stubs may be called: mypy's
/// hint stands on a line of its own, which a report may lack, and the next one may be another module's.
fn missing(failures: &[Failure]) -> BTreeMap<String, (&Failure, Vec<String>)> {
    static SAID: LazyLock<Option<Regex>> = matcher!(r#"[Ll]ibrary stubs not installed for "([A-Za-z_][\w.]*)""#);
    static HINT: LazyLock<Option<Regex>> = matcher!(r"pip install (types-[A-Za-z0-9][A-Za-z0-9._-]{0,80})\b");
    let mut found = BTreeMap::new();
    for failure in failures.iter().filter(|failure| failure.tool == "mypy") {
        let said = SAID.as_ref().and_then(|said| said.captures(&failure.message));
        let Some(module) = said.and_then(|said| Some(said.get(1)?.as_str().split('.').next()?.to_owned())) else {
            continue;
        };
        if !names::is_identifier(&module) || names::is_stdlib(&module) {
            continue;
        }
        let hint = HINT.as_ref().and_then(|hint| Some(hint.captures(&failure.excerpt)?.get(1)?.as_str().to_owned()));
        let mut packages = vec![format!("types-{}", names::distribution(&module))];
        packages.extend(hint.filter(|hint| normalise(hint) != normalise(&packages[0])));
        found.entry(module).or_insert((failure, packages));
    }
    found
}

async fn add(
    context: &RuleContext<'_>,
    tree: &Tree<'_>,
    package: &str,
    module: &str,
    failure: &Failure,
) -> anyhow::Result<Result<Applied, String>> {
    macro_rules! leave {
        ($($why:tt)*) => { return Ok(Err(format!($($why)*))) };
    }
    if let Some((name, version)) = context.installed.iter().find(|(name, _)| normalise(name) == normalise(package)) {
        leave!("{name} {version} is installed, so the cause is another");
    }
    let workdir = tree::folder(context.workspace.root(), context.workdir);
    let folder = undeclared::project_folder(tree, failure.file.as_deref().unwrap_or_default(), workdir);
    let listings = manifests::listings(tree, &folder);
    let used = undeclared::used(context.install, tree, workdir, &listings);
    if let Some(listing) = listings.iter().chain(&used).find(|listing| listing.declares(package)) {
        leave!("`{}` declares it already, so it was not installed", listing.file);
    }
    let Some(listing) = chosen(&used) else {
        leave!("mypy stands in no list of requirements that the job installs");
    };
    if let Some(lock) = undeclared::stale_lock(tree, &folder, listing, context.install) {
        leave!("`{lock}` would have to be made anew with the declaration");
    }
    let python = failure.python.as_deref();
    let (_, version) =
        match context.registry.admit(package, &format!("{module}-stubs"), python, SystemTime::now()).await {
            Ok(admitted) => admitted,
            Err(error) => leave!("not added: {error}"),
        };
    let new = New { name: package.to_owned(), version: Some(version), before: None };
    let Some(text) = tree.read(&listing.file) else { leave!("`{}` can't be read", listing.file) };
    let Some(content) = listing.add(&text.content, &new) else {
        leave!("the list in `{}` has no mechanical place for it", listing.file);
    };
    tree.write(&listing.file, &text.with(content))?;
    Ok(Ok(Applied {
        rule: DOC.id,
        fix_type: FixType::Dependency,
        description: format!(
            "Declared `{package}` in `{}`, beside what checks types: mypy misses stubs for `{module}`.",
            listing.file
        ),
        impact: "Whoever checks the project's types installs one more package, which holds no code.".to_owned(),
        files: vec![listing.file.clone()],
    }))
}

/// The list that mypy is installed from, or other stub packages are.
fn chosen(used: &[Listing]) -> Option<&Listing> {
    let mut candidates = used.iter().filter(|listing| listing.role != Role::Runtime);
    let stubs = |listing: &&Listing| {
        listing
            .requirements
            .iter()
            .filter_map(|each| manifests::requirement_name(each))
            .any(|n| n.starts_with("types-"))
    };
    candidates.clone().find(|listing| listing.declares("mypy")).or_else(|| candidates.find(stubs))
}
