//! The project imports a module that no manifest of it declares: the distribution is looked up, shown to provide the
//! module, and declared where the project declares its others.

use std::{collections::BTreeMap, sync::LazyLock, time::SystemTime};

use regex::Regex;

use super::{
    Applied, FixType, Repaired, RuleContext, RuleDoc, importers,
    manifests::{self, Listing, New, Role},
    names::{self, matcher},
    tree::{self, Tree},
};
use crate::{
    detect::{Failure, Key},
    registry::normalise,
};

pub(super) const DOC: RuleDoc = RuleDoc {
    id: "undeclared-dependency",
    repairs: "a third-party module that the project imports and does not declare",
    evidence: "the failed import; an import of it in the project's own code; no module of that name in the tree, no \
               declaration and no installation of it; a package in the index that is older than 90 days, no near-name \
               of a popular one, and whose wheel holds the module",
    example: "ModuleNotFoundError: No module named 'yaml'",
};

/// More missing modules than that are one other problem.
const MOST_MODULES: usize = 10;

pub(super) async fn apply(context: &RuleContext<'_>, repaired: &mut Repaired) -> anyhow::Result<()> {
    let missing = missing(context.failures);
    if missing.is_empty() {
        return Ok(());
    }
    if missing.len() > MOST_MODULES {
        repaired.note(DOC.id, format_args!("{} missing modules at once are one other problem", missing.len()));
        return Ok(());
    }
    let tree = Tree::new(context.workspace.root());
    for (module, python) in missing {
        match add(context, &tree, &module, python.as_deref()).await? {
            Ok(applied) => repaired.applied.push(applied),
            Err(note) => repaired.note(DOC.id, format_args!("`{module}`: {note}")),
        }
    }
    Ok(())
}

/// What checkers call an import of a module that is not installed.
const UNRESOLVED: &[(&str, &str)] = &[
    ("mypy", "import-not-found"),
    ("pyright", "reportMissingImports"),
    ("basedpyright", "reportMissingImports"),
    ("pylint", "import-error"),
    ("pylint", "E0401"),
];

/// The top-level modules that could not be found, each with the job's Python.
fn missing(failures: &[Failure]) -> BTreeMap<String, Option<String>> {
    static SAID: LazyLock<Option<Regex>> = matcher!(r#"No module named ['"]?([A-Za-z_][A-Za-z0-9_.]*)"#);
    static FOUND: LazyLock<Option<Regex>> =
        matcher!(r#"(?:library stub for module named |Import |Unable to import )["']([A-Za-z_][A-Za-z0-9_.]*)["']"#);
    let mut found = BTreeMap::new();
    for failure in failures {
        let named_by = |pattern: &Option<Regex>, text: &str| -> Option<String> {
            Some(pattern.as_ref()?.captures(text)?.get(1)?.as_str().split('.').next()?.to_owned())
        };
        let said = |text: &str| named_by(&SAID, text);
        let named = match &failure.key {
            Key::Missing { name } => {
                let name = name.split('.').next().unwrap_or(name);
                let texts = [failure.message.as_str(), failure.excerpt.as_str()];
                texts.iter().any(|text| said(text).as_deref() == Some(name)).then(|| name.to_owned())
            }
            Key::Test { exception: Some(exception), .. } if exception.ends_with("Error") => said(&failure.message),
            Key::Command { .. } | Key::Message { .. } | Key::Test { .. } => said(&failure.message),
            Key::Finding { rule, .. } if UNRESOLVED.contains(&(failure.tool.as_str(), rule.as_str())) => {
                named_by(&FOUND, &failure.message)
            }
            _ => None,
        };
        if let Some(module) = named.filter(|module| names::is_identifier(module)) {
            found.entry(module).or_insert_with(|| failure.python.clone());
        }
    }
    found
}

/// Declares the distribution of a module, or says why not.
async fn add(
    context: &RuleContext<'_>,
    tree: &Tree<'_>,
    module: &str,
    python: Option<&str>,
) -> anyhow::Result<Result<Applied, String>> {
    macro_rules! leave {
        ($($why:tt)*) => { return Ok(Err(format!($($why)*))) };
    }
    if names::is_stdlib(module) {
        leave!("it belongs to the standard library");
    }
    if names::SHARED.contains(&module) {
        leave!("many distributions share that name");
    }
    let distribution = names::distribution(module);
    if let Some((name, version)) =
        context.installed.iter().find(|(name, _)| normalise(name) == normalise(&distribution))
    {
        leave!("{name} {version} is installed, so the cause is another");
    }
    let workdir = tree::folder(context.workspace.root(), context.workdir);
    if let Some(place) = importers::in_tree(tree, module) {
        leave!("the tree holds `{place}`, so the path is wrong and not a declaration missing");
    }
    let importers = importers::of(tree, module);
    let Some(first) = importers.runtime.first().or(importers.tests.first()) else {
        leave!("no code of the project imports it unconditionally");
    };
    let for_tests = importers.runtime.is_empty();
    let folder = project_folder(tree, first, workdir);
    let listings = manifests::listings(tree, &folder);
    let used = used(context.install, tree, workdir, &listings);
    let declared = |listing: &&Listing| listing.declares(&distribution) || listing.declares(module);
    for listing in listings.iter().filter(declared) {
        match &listing.role {
            Role::Extra(name) | Role::Group(name) if for_tests || matches!(listing.role, Role::Extra(_)) => {
                leave!("`{}` declares it in `{name}`, which the job did not install", listing.file)
            }
            Role::Runtime => leave!("`{}` declares it already, so the cause is another", listing.file),
            Role::File if for_tests => leave!("`{}` declares it already", listing.file),
            _ => {}
        }
    }
    if let Some(listing) = used.iter().find(declared) {
        leave!("`{}` declares it already, so the cause is another", listing.file);
    }
    let words: Vec<&str> = context.install.iter().flat_map(|line| line.split_whitespace()).collect();
    if words.iter().any(|word| manifests::requirement_name(word).as_deref() == Some(&normalise(&distribution))) {
        leave!("the job installs it already, so the cause is another");
    }
    let wanted = Wanted { package: &distribution, module, python, before: None, for_tests };
    let file = match declared_in(context, tree, &folder, (&listings, &used), &wanted).await? {
        Ok(file) => file,
        Err(note) => return Ok(Err(note)),
    };
    let what = if for_tests { "a test dependency" } else { "a dependency" };
    Ok(Ok(Applied {
        rule: DOC.id,
        fix_type: FixType::Dependency,
        description: format!(
            "Declared `{distribution}` as {what} in `{file}`: `{first}` imports `{module}`, and nothing declares it."
        ),
        impact: if for_tests {
            "Whoever installs the project's test dependencies installs one more package.".to_owned()
        } else {
            "Whoever installs the project installs one more package; it runs with the project's rights.".to_owned()
        },
        files: vec![file],
    }))
}

/// A package that is to be declared.
pub(super) struct Wanted<'a> {
    pub(super) package: &'a str,
    /// The module that it must provide.
    pub(super) module: &'a str,
    /// The job's Python.
    pub(super) python: Option<&'a str>,
    /// Only Pythons before this one (`3.11`) need it.
    pub(super) before: Option<&'a str>,
    pub(super) for_tests: bool,
}

/// Declares a package where the project of a folder declares its others, unless it does already; gives the file that
/// was changed, or says why nothing can be declared.
pub(super) async fn declare(
    context: &RuleContext<'_>,
    tree: &Tree<'_>,
    folder: &str,
    workdir: &str,
    wanted: &Wanted<'_>,
) -> anyhow::Result<Result<Option<String>, String>> {
    let listings = manifests::listings(tree, folder);
    let used = used(context.install, tree, workdir, &listings);
    let serves = |listing: &&Listing| match wanted.for_tests {
        true => listing.role == Role::Runtime || used.contains(listing),
        false => listing.role == Role::Runtime,
    };
    if listings.iter().chain(&used).filter(serves).any(|listing| listing.declares(wanted.package)) {
        return Ok(Ok(None));
    }
    Ok(declared_in(context, tree, folder, (&listings, &used), wanted).await?.map(Some))
}

/// Declares a package in the list that it belongs in, and gives that list's file.
async fn declared_in(
    context: &RuleContext<'_>,
    tree: &Tree<'_>,
    folder: &str,
    (listings, used): (&[Listing], &[Listing]),
    wanted: &Wanted<'_>,
) -> anyhow::Result<Result<String, String>> {
    macro_rules! leave {
        ($($why:tt)*) => { return Ok(Err(format!($($why)*))) };
    }
    let chosen = if wanted.for_tests { for_test(used, listings) } else { for_runtime(listings, used) };
    let Some(listing) = chosen else {
        leave!("there is no list of dependencies that the job installs and that it belongs in");
    };
    if let Some(lock) = stale_lock(tree, folder, listing, context.install) {
        leave!("`{lock}` would have to be made anew with the declaration");
    }
    let admitted = context.registry.admit(wanted.package, wanted.module, wanted.python, SystemTime::now()).await;
    let (package, newest) = match admitted {
        Ok(admitted) => admitted,
        Err(error) => leave!("not added: {error}"),
    };
    // A bound must suit the oldest Python that the project supports, not only this job's.
    let oldest = manifests::oldest_python(tree, folder).map(|version| version.to_string());
    let version = match oldest.as_deref() {
        Some(oldest) => package.newest_for(Some(oldest)).map(|version| version.min(newest)),
        None => Some(newest),
    };
    let new = New { name: wanted.package.to_owned(), version, before: wanted.before.map(str::to_owned) };
    let Some(text) = tree.read(&listing.file) else { leave!("`{}` can't be read", listing.file) };
    let Some(content) = listing.add(&text.content, &new) else {
        leave!("the list in `{}` has no mechanical place for it", listing.file);
    };
    tree.write(&listing.file, &text.with(content))?;
    Ok(Ok(listing.file.clone()))
}

/// The nearest folder above a file that describes a project, else the working directory.
pub(super) fn project_folder(tree: &Tree<'_>, file: &str, workdir: &str) -> String {
    let mut folder = tree::parent(file);
    loop {
        if manifests::is_project(tree, folder) {
            return folder.to_owned();
        }
        if folder.is_empty() {
            return workdir.to_owned();
        }
        folder = tree::parent(folder);
    }
}

/// The lists beside the project's own that the install commands name, or tox and nox for them: extras, groups and
/// requirements files.
pub(super) fn used(install: &[String], tree: &Tree<'_>, workdir: &str, listings: &[Listing]) -> Vec<Listing> {
    static EXTRAS: LazyLock<Option<Regex>> = matcher!(r"\[([A-Za-z0-9_,. -]+)\]");
    let mut names: Vec<String> = Vec::new();
    let mut files: Vec<String> = Vec::new();
    let mut all_extras = false;
    for command in install.iter().chain(&manifests::runners::installs(tree, workdir, install)) {
        let words: Vec<String> =
            shell_words::split(command).unwrap_or_else(|_| command.split_whitespace().map(str::to_owned).collect());
        let has = |word: &str| words.iter().any(|each| each == word);
        if has("uv") && has("sync") && !has("--no-dev") || has("pdm") && has("install") {
            names.push("dev".to_owned());
        }
        if has("poetry") && has("install") && !has("--no-dev") && !has("--only") {
            names.extend(listings.iter().filter_map(|listing| match &listing.role {
                Role::Group(name) if listing.is_poetry() => Some(name.clone()),
                _ => None,
            }));
        }
        all_extras |= has("--all-extras");
        for (at, word) in words.iter().enumerate() {
            let (option, value) = match word.split_once('=') {
                Some((option, value)) if option.starts_with("--") => (option, Some(value.to_owned())),
                _ => (word.as_str(), words.get(at + 1).cloned()),
            };
            match option {
                "-r" | "--requirement" | "--requirements" => files.extend(value),
                "--group" | "--with" | "--only" | "--extra" | "-E" | "--extras" | "-G" | "--only-group" => {
                    let list = value.unwrap_or_default();
                    names.extend(list.split([',', ' ']).map(|name| name.trim().to_owned()));
                }
                _ if word.starts_with("-r") && word.len() > 2 => files.push(word[2..].to_owned()),
                _ if word.starts_with('-') => {}
                _ => {
                    let extras = EXTRAS.as_ref().and_then(|pattern| pattern.captures(word)?.get(1));
                    // Extras of the project itself, which is given by a path.
                    if let Some(extras) = extras.filter(|_| word.starts_with(['.', '/']) || word.contains("file:")) {
                        names.extend(extras.as_str().split(',').map(|name| name.trim().to_owned()));
                    }
                }
            }
        }
    }
    let named = |listing: &&Listing| match &listing.role {
        Role::Extra(name) => all_extras || names.iter().any(|each| normalise(each) == normalise(name)),
        Role::Group(name) => names.iter().any(|each| normalise(each) == normalise(name)),
        _ => false,
    };
    let mut used: Vec<Listing> = listings.iter().filter(named).cloned().collect();
    for file in files {
        used.extend(manifests::file_and_included(tree, &tree::join(workdir, file.trim_start_matches("./"))));
    }
    used
}

fn is_for_tests(listing: &Listing) -> bool {
    let name = match &listing.role {
        Role::Extra(name) | Role::Group(name) => name.as_str(),
        Role::File => listing.file.rsplit('/').next().unwrap_or_default(),
        Role::Runtime => return false,
    };
    ["test", "dev", "ci"].iter().any(|word| name.to_lowercase().contains(word))
}

/// The list that the job's test tools come from.
fn for_test<'a>(used: &'a [Listing], listings: &'a [Listing]) -> Option<&'a Listing> {
    let runners = ["pytest", "nose", "nose2", "hypothesis", "pytest-cov", "coverage", "tox"];
    let of_tools = |listing: &&Listing| runners.iter().any(|runner| listing.declares(runner));
    let candidates: Vec<&Listing> = used.iter().filter(|listing| listing.role != Role::Runtime).collect();
    let with_tools = candidates.iter().copied().find(of_tools);
    let named = candidates.iter().copied().find(|listing| is_for_tests(listing));
    let only = match candidates.as_slice() {
        [only] => Some(*only),
        _ => None,
    };
    // A requirements file that is all the project has is for its tests as well.
    with_tools.or(named).or(only.filter(|listing| !listings.iter().any(|other| other.file != listing.file)))
}

/// The list that comes with the project, or the requirements file that the job installs in place of one.
fn for_runtime<'a>(listings: &'a [Listing], used: &'a [Listing]) -> Option<&'a Listing> {
    let own = listings.iter().find(|listing| listing.role == Role::Runtime);
    own.or_else(|| {
        let mut files = used.iter().filter(|listing| listing.role == Role::File && !is_for_tests(listing));
        files.find(|listing| listing.file.rsplit('/').next().is_some_and(|name| name.starts_with("requirements")))
    })
}

/// A lock file that would disagree with a changed manifest where the job insists on it.
pub(super) fn stale_lock(tree: &Tree<'_>, folder: &str, listing: &Listing, install: &[String]) -> Option<&'static str> {
    let has = |text: &str| install.iter().any(|command| command.contains(text));
    let there = |name: &'static str| tree.is_file(&tree::join(folder, name)).then_some(name);
    if !listing.file.ends_with("pyproject.toml") {
        return None;
    }
    let insists = has("--locked") || has("--frozen") || has("--no-sync");
    match () {
        () if has("poetry") || listing.is_poetry() => there("poetry.lock").filter(|_| has("poetry")),
        () if has("uv ") && insists => there("uv.lock"),
        () if has("pdm ") && (insists || has("pdm sync") || has("--frozen-lockfile")) => there("pdm.lock"),
        () => None,
    }
}
