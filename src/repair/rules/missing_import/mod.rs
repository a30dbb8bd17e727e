//! A name that a module uses and nobody binds, where there is one way to import it: a module of the standard library,
//! or what the project's other modules do.

mod facts;
mod insert;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use regex::Regex;

use super::{
    Applied, FixType, Repaired, RuleContext, RuleDoc, importers,
    names::{self, matcher},
    tree::{self, Tree},
};
use crate::{
    detect::{Failure, Key},
    sandbox::Ended,
};
use facts::{Facts, Uses, Way};

pub(super) const DOC: RuleDoc = RuleDoc {
    id: "missing-import",
    repairs: "a name that is used and never imported: a standard module, what one standard module has, or what the \
              project imports in one way",
    evidence: "a NameError, ruff's F821, or mypy, pyright or pylint saying so; a use of the name in the file and no \
               binding of it; one way to import it, shown in the job's Python to have what the file uses of it",
    example: "NameError: name 'json' is not defined",
};

/// More names than that are one other problem.
const MOST_NAMES: usize = 20;

/// Members of the standard library that are what is meant, though other modules have one of that name.
const KNOWN: &[(&str, &str)] = &[
    ("OrderedDict", "collections"),
    ("Path", "pathlib"),
    ("Protocol", "typing"),
    ("TypeVar", "typing"),
    ("Union", "typing"),
    ("cast", "typing"),
];

pub(super) async fn apply(context: &RuleContext<'_>, repaired: &mut Repaired) -> anyhow::Result<()> {
    let tree = Tree::new(context.workspace.root());
    let mut wanted = BTreeSet::new();
    for failure in context.failures {
        let Some(name) = undefined(failure) else { continue };
        let used_in = files(failure).into_iter().find_map(|file| {
            let file = in_tree(&tree, &file)?;
            let facts = Facts::read(&tree.read(&file)?.content)?;
            (facts.uses.contains_key(&name) && !facts.bound.contains(&name)).then_some(file)
        });
        match used_in {
            Some(file) => {
                wanted.insert((file, name));
            }
            None => repaired.note(DOC.id, format_args!("`{name}`: no reported file uses it without binding it")),
        }
    }
    if wanted.len() > MOST_NAMES {
        repaired.note(DOC.id, format_args!("{} names at once are one other problem", wanted.len()));
        return Ok(());
    }
    if wanted.is_empty() {
        return Ok(());
    }
    let names: BTreeSet<&str> = wanted.iter().map(|(_, name)| name.as_str()).collect();
    let ways = ways(&tree, &names);
    for (file, name) in &wanted {
        match add(context, &tree, file, name, ways.get(name)).await? {
            Ok(applied) => repaired.applied.push(applied),
            Err(note) => repaired.note(DOC.id, format_args!("`{name}` in {file}: {note}")),
        }
    }
    Ok(())
}

/// The name that a failure says is not defined.
fn undefined(failure: &Failure) -> Option<String> {
    static RUN: LazyLock<Option<Regex>> = matcher!(r"NameError: name '([A-Za-z_][A-Za-z0-9_]*)' is not defined");
    static RUFF: LazyLock<Option<Regex>> = matcher!(r"[Uu]ndefined name [`']([A-Za-z_][A-Za-z0-9_]*)[`']");
    static TYPES: LazyLock<Option<Regex>> = matcher!(r#""([A-Za-z_][A-Za-z0-9_]*)" is not defined"#);
    static PYLINT: LazyLock<Option<Regex>> = matcher!(r"Undefined variable '([A-Za-z_][A-Za-z0-9_]*)'");
    let rule = match &failure.key {
        Key::Finding { rule, .. } => rule.as_str(),
        _ => "",
    };
    let (pattern, texts) = match (failure.tool.as_str(), rule) {
        ("ruff" | "flake8" | "pyflakes", "F821") => (&RUFF, vec![&failure.message, &failure.excerpt]),
        ("mypy", "name-defined") | ("pyright" | "basedpyright", "reportUndefinedVariable") => {
            (&TYPES, vec![&failure.message, &failure.excerpt])
        }
        ("pylint", "undefined-variable" | "E0602") => (&PYLINT, vec![&failure.message, &failure.excerpt]),
        ("ruff" | "mypy" | "flake8" | "pylint" | "pyright" | "basedpyright", _) => return None,
        _ => (&RUN, vec![&failure.message, &failure.excerpt]),
    };
    let name = texts.iter().find_map(|text| pattern.as_ref()?.captures(text)?.get(1));
    name.map(|name| name.as_str().to_owned()).filter(|name| names::is_identifier(name))
}

/// The files that a failure points at, the likeliest first.
fn files(failure: &Failure) -> Vec<String> {
    static PLACE: LazyLock<Option<Regex>> = matcher!(r"(?m)([^\s:()]+\.py):(\d+): NameError");
    static FRAME: LazyLock<Option<Regex>> =
        matcher!(r#"(?m)File "([^"\n]+\.py)", line \d+|^(?:E\s+)?([^\s:()]+\.py):\d+:"#);
    let mut found = Vec::new();
    if matches!(failure.key, Key::Finding { .. }) {
        found.extend(failure.file.clone());
        return found;
    }
    let all = |pattern: &Option<Regex>| -> Vec<String> {
        let captures = pattern.iter().flat_map(|pattern| pattern.captures_iter(&failure.excerpt));
        captures.filter_map(|each| Some(each.get(1).or(each.get(2))?.as_str().to_owned())).collect()
    };
    found.extend(all(&PLACE));
    found.extend(all(&FRAME).into_iter().rev());
    found.extend(failure.file.clone());
    found
}

/// A path of the log as a file of the tree: absolute ones lose what is before the checkout, and an installed copy of the
/// project's own module is that module.
fn in_tree(tree: &Tree<'_>, path: &str) -> Option<String> {
    if let Some((_, module)) = path.rsplit_once("site-packages/") {
        let places = [module.to_owned(), format!("src/{module}")];
        return places.into_iter().find(|place| tree::safe(place).is_some_and(|place| tree.is_file(place)));
    }
    let mut rest = path;
    loop {
        if let Some(plain) = tree::safe(rest).filter(|plain| tree.is_file(plain)) {
            return Some(plain.to_owned());
        }
        rest = rest.split_once('/')?.1;
    }
}

/// How the project's modules import names: each distinct way, with the folder it was seen in where it is relative.
fn ways(tree: &Tree<'_>, names: &BTreeSet<&str>) -> BTreeMap<String, BTreeSet<(Way, Option<String>)>> {
    let mut found: BTreeMap<String, BTreeSet<(Way, Option<String>)>> = BTreeMap::new();
    for file in tree.python_files() {
        let Some(text) = tree.read(&file) else { continue };
        if !names.iter().any(|name| text.content.contains(name)) {
            continue;
        }
        let Some(facts) = Facts::read(&text.content) else { continue };
        for (name, way) in facts.ways {
            if names.contains(name.as_str()) {
                let relative = way.top().is_empty().then(|| tree::parent(&file).to_owned());
                found.entry(name).or_default().insert((way, relative));
            }
        }
    }
    found
}

async fn add(
    context: &RuleContext<'_>,
    tree: &Tree<'_>,
    file: &str,
    name: &str,
    ways: Option<&BTreeSet<(Way, Option<String>)>>,
) -> anyhow::Result<Result<Applied, &'static str>> {
    let Some(text) = tree.read(file) else { return Ok(Err("the file can't be read")) };
    let Some(facts) = Facts::read(&text.content) else { return Ok(Err("the file is no Python")) };
    let Some(uses) = facts.uses.get(name) else { return Ok(Err("it is not used")) };
    if facts.star {
        return Ok(Err("a star import may be meant to bring it"));
    }
    let mut candidates: BTreeSet<Way> = BTreeSet::new();
    let mut source = "as the project's other modules do";
    for (way, relative) in ways.into_iter().flatten() {
        if relative.as_deref().is_some_and(|folder| folder != tree::parent(file)) {
            return Ok(Err("the project imports it by a path that does not hold here"));
        }
        candidates.insert(way.clone());
    }
    if candidates.is_empty() {
        source = "from the standard library";
        if names::is_stdlib(name) && !name.starts_with('_') {
            candidates.insert(Way::Import { module: name.to_owned(), asname: None });
        }
        if let Some((member, module)) = KNOWN.iter().find(|(known, _)| *known == name) {
            let (module, member) = ((*module).to_owned(), (*member).to_owned());
            candidates.insert(Way::From { level: 0, module, member, asname: None });
        }
        if candidates.is_empty() {
            candidates = homes(context, name, uses).await?;
        }
    }
    let mut fitting = Vec::new();
    for way in candidates {
        if fits(context, tree, file, &way, uses).await? {
            fitting.push(way);
        }
    }
    let way = match fitting.as_slice() {
        [] => return Ok(Err("no known way to import it has what the file uses of it")),
        [only] => only,
        _ => return Ok(Err("there are several ways to import it")),
    };
    let own = |top: &str| !names::is_stdlib(top) && importers::in_tree(tree, top).is_some();
    let Some(content) = insert::insert(&text.content, way, &own) else {
        return Ok(Err("the file has no mechanical place for the import"));
    };
    if !Facts::read(&content).is_some_and(|facts| facts.ways.contains(&(name.to_owned(), way.clone()))) {
        return Ok(Err("the import could not be added"));
    }
    tree.write(file, &text.with(content))?;
    Ok(Ok(Applied {
        rule: DOC.id,
        fix_type: FixType::Import,
        description: format!("Added `{}` to `{file}`, {source}.", way.statement()),
        impact: "The module imports one more name when it is loaded.".to_owned(),
        files: vec![file.to_owned()],
    }))
}

/// The public modules of the standard library that have the name as their own: the job's Python is asked.
async fn homes(context: &RuleContext<'_>, name: &str, uses: &Uses) -> anyhow::Result<BTreeSet<Way>> {
    let mut words = vec!["python", "-W", "ignore", "-I", "-c", include_str!("homes.py"), name];
    words.extend(names::stdlib());
    let finished = context.workspace.run(&shell_words::join(words)).await?;
    if finished.ended != Ended::Exit(0) {
        return Ok(BTreeSet::new());
    }
    let said = String::from_utf8_lossy(&finished.output);
    let mut modules: BTreeSet<&str> =
        said.lines().filter(|line| line.split('.').all(names::is_identifier)).take(MOST_NAMES).collect();
    // What typing has of other modules is for subscripts only, and stands for what they have.
    if modules.len() > 1 && !uses.subscripted {
        modules.remove("typing");
    }
    let way = |module: &str| {
        let (module, member) = (module.to_owned(), name.to_owned());
        Way::From { level: 0, module, member, asname: None }
    };
    Ok(modules.into_iter().map(way).collect())
}

/// The module with `import module` at its sorted place; `own` says whether a top-level name belongs to the project.
pub(super) fn with_import(content: &str, module: &str, own: &dyn Fn(&str) -> bool) -> Option<String> {
    insert::insert(content, &Way::Import { module: module.to_owned(), asname: None }, own)
}

/// Has what a way imports all that the file uses of it? Of the project's own modules the tree is asked, of others the
/// job's Python.
async fn fits(context: &RuleContext<'_>, tree: &Tree<'_>, file: &str, way: &Way, uses: &Uses) -> anyhow::Result<bool> {
    let (module, member) = match way {
        Way::Import { asname: None, module } if module.contains('.') => return Ok(false),
        Way::Import { module, .. } => (module.as_str(), ""),
        Way::From { level: 0, module, member, .. } => (module.as_str(), member.as_str()),
        Way::From { .. } => return Ok(true),
    };
    if member.is_empty() && (uses.called || uses.subscripted) {
        return Ok(false);
    }
    let top = way.top();
    if !names::is_stdlib(top) && importers::in_tree(tree, top).is_some() {
        // A module that imports itself, or what imports it, gains nothing.
        let own = format!("{}.py", module.replace('.', "/"));
        return Ok(!file.ends_with(&own) && !member.is_empty());
    }
    let program = "import importlib, sys\n\
                   m = importlib.import_module(sys.argv[1])\n\
                   o = getattr(m, sys.argv[2]) if sys.argv[2] else m\n\
                   [getattr(o, a) for a in sys.argv[4:]]\n\
                   sys.exit(0 if sys.argv[3] != 'called' or callable(o) else 3)";
    let called = if uses.called { "called" } else { "-" };
    let mut words = vec!["python", "-I", "-c", program, module, member, called];
    words.extend(uses.attributes.iter().map(String::as_str));
    let safe = |text: &str| text.is_empty() || text.split('.').all(names::is_identifier);
    if !safe(module) || !safe(member) || !uses.attributes.iter().all(|attribute| safe(attribute)) {
        return Ok(false);
    }
    let finished = context.workspace.run(&shell_words::join(words)).await?;
    Ok(finished.ended == Ended::Exit(0))
}
