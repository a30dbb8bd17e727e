//! Tests that cannot import the project's own package, where pytest's configuration stands beside it and nothing
//! installs it: pytest is told where it is.

use std::{collections::BTreeSet, str::FromStr};

use pep440_rs::Version;

use super::{
    Applied, FixType, Repaired, RuleContext, RuleDoc,
    manifests::toml,
    names,
    text::{self, Edit},
    tree::{self, Tree},
};
use crate::{detect::Key, registry::normalise};

pub(super) const DOC: RuleDoc = RuleDoc {
    id: "source-path",
    repairs: "tests that cannot import the project's own package because the job does not install the project",
    evidence: "the failed import; one package of that name, in `src` or beside the manifest; `[tool.pytest.ini_options]` \
               without `pythonpath`, no other configuration of pytest, and pytest 7 or newer",
    example: "ModuleNotFoundError: No module named 'shop'",
};

pub(super) fn apply(context: &RuleContext<'_>, repaired: &mut Repaired) -> anyhow::Result<()> {
    let missing = context.failures.iter().filter(|f| f.tool == "pytest").filter_map(|f| match &f.key {
        Key::Missing { name } => name.split('.').next(),
        _ => None,
    });
    let modules: BTreeSet<&str> = missing.filter(|module| names::is_identifier(module)).collect();
    let tree = Tree::new(context.workspace.root());
    let folder = tree::folder(context.workspace.root(), context.workdir);
    let mut places = BTreeSet::new();
    for module in &modules {
        places.extend(["src", ""].into_iter().filter(|place| holds(&tree, &tree::join(folder, place), module)));
    }
    let Some(place) = places.first().filter(|_| places.len() == 1) else { return Ok(()) };
    match tell(context, &tree, folder, place)? {
        Ok(file) => repaired.applied.push(Applied {
            rule: DOC.id,
            fix_type: FixType::Import,
            description: format!(
                "Told pytest in `{file}` that the project's own code is in `{}`: nothing installs `{}` in this job.",
                if place.is_empty() { "." } else { place },
                Vec::from_iter(modules).join("`, `")
            ),
            impact: "Tests import the code of the tree; whether the project installs well is not shown by them."
                .to_owned(),
            files: vec![file],
        }),
        Err(why) => repaired.note(DOC.id, why),
    }
    Ok(())
}

/// Is a module at the top of a folder?
fn holds(tree: &Tree<'_>, folder: &str, module: &str) -> bool {
    let base = folder.trim_end_matches('/');
    tree.is_file(&tree::join(base, &format!("{module}/__init__.py")))
        || tree.is_file(&tree::join(base, &format!("{module}.py")))
}

fn tell(
    context: &RuleContext<'_>,
    tree: &Tree<'_>,
    folder: &str,
    place: &str,
) -> anyhow::Result<Result<String, &'static str>> {
    let file = tree::join(folder, "pyproject.toml");
    let Some(text) = tree.read(&file) else { return Ok(Err("there is no pyproject.toml to say it in")) };
    let Some(parsed) = toml::parse(&text.content) else { return Ok(Err("pyproject.toml can't be read")) };
    let path = ["tool", "pytest", "ini_options"];
    let Some(table) = toml::get(&parsed, &path).and_then(|item| item.as_table()) else {
        return Ok(Err("pyproject.toml does not configure pytest"));
    };
    if table.contains_key("pythonpath") {
        return Ok(Err("pytest's `pythonpath` says already where the code is"));
    }
    let others = ["pytest.ini", ".pytest.ini", "tox.ini", "setup.cfg"].iter().any(|name| {
        let content = tree.read(&tree::join(folder, name)).map(|text| text.content).unwrap_or_default();
        name.ends_with("pytest.ini") && !content.is_empty()
            || content.contains("[pytest]")
            || content.contains("[tool:pytest]")
    });
    if others {
        return Ok(Err("pytest is configured in more than one file"));
    }
    let own = toml::get(&parsed, &["project", "name"]).and_then(|name| name.as_str()).map(normalise);
    let is_own = |name: &str| own.as_deref() == Some(&normalise(name));
    if context.installed.iter().any(|(name, _)| is_own(name)) {
        return Ok(Err("the project is installed, so the cause is another"));
    }
    let new_enough = |(name, version): &(String, String)| {
        normalise(name) == "pytest" && Version::from_str(version).is_ok_and(|v| v.release().first() >= Some(&7))
    };
    if !context.installed.iter().any(new_enough) {
        return Ok(Err("pytest is not known to be 7 or newer, which is the first to know `pythonpath`"));
    }
    let Some(end) = toml::end_of_values(&text.content, table) else {
        return Ok(Err("the table of pytest's options has no mechanical place for it"));
    };
    let place = if place.is_empty() { "." } else { place };
    let line = format!("{}pythonpath = [\"{place}\"]", text::newline(&text.content));
    let content = text::apply(&text.content, &[Edit::insert(end, line)]);
    let told = |content: &String| {
        let parsed = toml::parse(content)?;
        toml::strings(&parsed, &["tool", "pytest", "ini_options", "pythonpath"])
    };
    let Some(content) = content.filter(|content| told(content).is_some_and(|paths| paths == [place])) else {
        return Ok(Err("the table of pytest's options has no mechanical place for it"));
    };
    tree.write(&file, &text.with(content))?;
    Ok(Ok(file))
}
