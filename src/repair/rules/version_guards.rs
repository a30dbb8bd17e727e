//! A module or a name that newer Pythons have in their standard library, and this job's does not: taken from the package
//! that backports it where the Python is older, and declared for those Pythons only.

use std::{collections::BTreeSet, sync::LazyLock};

use regex::Regex;
use ruff_python_ast::{Alias, Stmt};
use ruff_text_size::Ranged;

use super::{
    Applied, FixType, Repaired, RuleContext, RuleDoc, importers, missing_import,
    names::{self, matcher},
    text::{self, Edit},
    tool_fixers::listed,
    tree::{self, Tree},
    undeclared::{self, Wanted},
};
use crate::{
    detect::Failure,
    registry::backports::{BACKPORTS, Backport},
};

pub(super) const DOC: RuleDoc = RuleDoc {
    id: "version-guard",
    repairs: "an import of what the job's Python does not have yet (`tomllib`, `zoneinfo`, `typing.Self`), where one \
              package backports it under the same names",
    evidence: "the failed import; the project's own code that imports it unguarded at a module's top level; no word of \
               the project that it needs a newer Python; the backport, as for an undeclared dependency",
    example: "ModuleNotFoundError: No module named 'tomllib'",
};

/// Modules that Python gave up, and why nothing mechanical stands in for them.
const GONE: &[(&str, &str)] = &[
    ("distutils", "Python 3.12 has it no more, and its parts went different ways (setuptools, packaging, sysconfig)"),
    ("imp", "Python 3.12 has it no more: importlib does the same with other functions"),
    ("asyncore", "Python 3.12 has it no more: asyncio does the same in another way"),
    ("asynchat", "Python 3.12 has it no more: asyncio does the same in another way"),
    ("cgi", "Python 3.13 has it no more, and its parts went different ways"),
    ("pipes", "Python 3.13 has it no more: subprocess and shlex do the same with other functions"),
    ("imghdr", "Python 3.13 has it no more"),
    ("telnetlib", "Python 3.13 has it no more"),
    ("crypt", "Python 3.13 has it no more"),
];

/// What failed: the backport, the name where it is not the module, and the job's Python.
type Lacking = (&'static Backport, Option<String>, Option<String>);

pub(super) async fn apply(context: &RuleContext<'_>, repaired: &mut Repaired) -> anyhow::Result<()> {
    let tree = Tree::new(context.workspace.root());
    let mut done = BTreeSet::new();
    for failure in context.failures {
        if let Some((module, why)) = gone(failure) {
            repaired.note(DOC.id, format_args!("`{module}`: {why}"));
        }
        let Some(lacking) = lacking(failure).filter(|(backport, ..)| done.insert(backport.module)) else { continue };
        match guard(context, &tree, &lacking).await? {
            Ok(applied) => repaired.applied.push(applied),
            Err(note) => repaired.note(DOC.id, format_args!("`{}`: {note}", lacking.0.module)),
        }
    }
    Ok(())
}

fn said(failure: &Failure, pattern: Option<&Regex>) -> Option<(String, Option<String>)> {
    let pattern = pattern?;
    let found = pattern.captures(&failure.message).or_else(|| pattern.captures(&failure.excerpt))?;
    Some((found.get(1)?.as_str().to_owned(), found.get(2).map(|name| name.as_str().to_owned())))
}

static NO_MODULE: LazyLock<Option<Regex>> = matcher!(r"No module named '(\w+)'");
static NO_NAME: LazyLock<Option<Regex>> = matcher!(r"cannot import name '(\w+)' from '(typing)'");

fn gone(failure: &Failure) -> Option<&'static (&'static str, &'static str)> {
    let (module, _) = said(failure, NO_MODULE.as_ref())?;
    GONE.iter().find(|(known, _)| *known == module)
}

fn lacking(failure: &Failure) -> Option<Lacking> {
    let python = failure.python.clone();
    if let Some((name, Some(module))) = said(failure, NO_NAME.as_ref()) {
        let backport =
            Backport::of(&module).filter(|backport| backport.names.iter().any(|(known, _)| *known == name))?;
        return Some((backport, Some(name), python));
    }
    let (module, _) = said(failure, NO_MODULE.as_ref())?;
    let backport = BACKPORTS.iter().find(|backport| backport.module == module && backport.names.is_empty())?;
    Some((backport, None, python))
}

/// Major and minor of a Python's version.
fn minor(python: &str) -> Option<(u64, u64)> {
    let mut parts = python.split('.').map(|part| part.parse::<u64>().ok());
    Some((parts.next()??, parts.next()??))
}

/// Guards every import of it, and declares the backport; or says why not.
async fn guard(
    context: &RuleContext<'_>,
    tree: &Tree<'_>,
    (backport, name, python): &Lacking,
) -> anyhow::Result<Result<Applied, String>> {
    let job = python.as_deref().and_then(minor);
    let names: Vec<&str> = match name {
        None => Vec::new(),
        // What else the job's Python lacks would fail next.
        Some(name) => {
            let newer = |(known, since): &&(&str, (u64, u64))| job.is_some_and(|job| *since > job) || known == name;
            backport.names.iter().filter(newer).map(|(name, _)| *name).collect()
        }
    };
    let mut files = Vec::new();
    let mut since = if name.is_none() { backport.since } else { (0, 0) };
    let mut rewritten = Vec::new();
    for file in tree.python_files() {
        let Some(text) = tree.read(&file).filter(|text| text.content.contains(backport.module)) else { continue };
        let Some((content, newest)) = guarded(tree, &text.content, backport, &names) else { continue };
        since = since.max(newest);
        rewritten.push((file.clone(), text.with(content)));
        files.push(file);
    }
    let Some(first) = files.iter().find(|file| !importers::is_test(file)).or(files.first()).cloned() else {
        return Ok(Err("no import of the project's own could be guarded".to_owned()));
    };
    if job.is_some_and(|job| job >= since) {
        return Ok(Err("the job's Python has it, so the cause is another".to_owned()));
    }
    let workdir = tree::folder(context.workspace.root(), context.workdir);
    let folder = undeclared::project_folder(tree, &first, workdir);
    let oldest = super::manifests::oldest_python(tree, &folder).and_then(|oldest| minor(&oldest.to_string()));
    if let Some((major, minor)) = oldest.filter(|oldest| *oldest >= since) {
        return Ok(Err(format!("the project needs Python {major}.{minor}, and the job runs an older one")));
    }
    let marker = format!("{}.{}", since.0, since.1);
    let wanted = Wanted {
        package: backport.package,
        module: backport.stand_in.split('.').next().unwrap_or(backport.stand_in),
        python: python.as_deref(),
        before: Some(&marker),
        for_tests: files.iter().all(|file| importers::is_test(file)),
    };
    let declared = match undeclared::declare(context, tree, &folder, workdir, &wanted).await? {
        Ok(declared) => declared,
        Err(note) => return Ok(Err(note)),
    };
    for (file, text) in &rewritten {
        tree.write(file, text)?;
    }
    let list = listed(&files);
    files.extend(declared.clone());
    let what =
        if names.is_empty() { format!("`{}`", backport.module) } else { format!("`{}`'s names", backport.module) };
    let declared = match declared {
        Some(file) => format!(", and declared it in `{file}` for those"),
        None => String::new(),
    };
    Ok(Ok(Applied {
        rule: DOC.id,
        fix_type: FixType::Dependency,
        description: format!(
            "Took {what} from `{}` before Python {marker} in {list}{declared}: the standard library has it since then.",
            backport.package
        ),
        impact: format!("Whoever installs the project on a Python before {marker} installs one more package."),
        files,
    }))
}

/// The content with its imports guarded, and the Python from which on nothing stands in; `None` where there is nothing
/// to guard.
fn guarded(tree: &Tree<'_>, content: &str, backport: &Backport, names: &[&str]) -> Option<(String, (u64, u64))> {
    find(content, backport, names)?;
    let own = |top: &str| !names::is_stdlib(top) && importers::in_tree(tree, top).is_some();
    let content = with_sys(content, &own)?;
    let mut content = content;
    let mut since = None;
    while let Some(import) = find(&content, backport, names) {
        since = since.max(Some(import.since));
        content = text::apply(&content, &import.edits)?;
        ruff_python_parser::parse_module(&content).ok()?;
    }
    Some((content, since?))
}

/// The content with `import sys` at its top.
fn with_sys(content: &str, own: &dyn Fn(&str) -> bool) -> Option<String> {
    let parsed = ruff_python_parser::parse_module(content).ok()?;
    let is_sys = |alias: &Alias| alias.name.as_str() == "sys" && alias.asname.is_none();
    let has = parsed.suite().iter().any(|stmt| matches!(stmt, Stmt::Import(import) if import.names.iter().any(is_sys)));
    if has { Some(content.to_owned()) } else { missing_import::with_import(content, "sys", own) }
}

/// An import that is to be guarded.
struct Import {
    edits: Vec<Edit>,
    since: (u64, u64),
}

/// The first import at the top level that needs a guard and can have one.
fn find(content: &str, backport: &Backport, names: &[&str]) -> Option<Import> {
    let parsed = ruff_python_parser::parse_module(content).ok()?;
    let body = parsed.suite();
    (0..body.len()).find_map(|at| import(content, body, at, backport, names))
}

fn import(content: &str, body: &[Stmt], at: usize, backport: &Backport, names: &[&str]) -> Option<Import> {
    let stmt = &body[at];
    let range = stmt.range().start().to_usize()..stmt.range().end().to_usize();
    let source = content.get(range.clone())?;
    let written = |alias: &Alias| content.get(alias.range().start().to_usize()..alias.range().end().to_usize());
    let join = |aliases: &[&Alias]| Some(aliases.iter().map(|a| written(a)).collect::<Option<Vec<_>>>()?.join(", "));
    let (module, stand_in) = (backport.module, backport.stand_in);
    // What stays, and the two sides of the guard.
    let (stays, newer, older, since) = match stmt {
        Stmt::Import(import) if names.is_empty() => {
            let [alias] = import.names.as_slice() else { return None };
            if alias.name.as_str() != module {
                return None;
            }
            let bound = alias.asname.as_ref().map_or(module, |name| name.as_str());
            let older = match stand_in.rsplit_once('.') {
                Some((package, last)) if last == bound => format!("from {package} import {last}"),
                Some((package, last)) => format!("from {package} import {last} as {bound}"),
                None => format!("import {stand_in} as {bound}"),
            };
            (None, source.to_owned(), older, backport.since)
        }
        Stmt::ImportFrom(import) if import.level == 0 && import.module.as_deref() == Some(module) => {
            let lacks = |alias: &&Alias| names.is_empty() || names.contains(&alias.name.as_str());
            let (goes, stays): (Vec<&Alias>, Vec<&Alias>) = import.names.iter().partition(lacks);
            if goes.is_empty() || goes.iter().any(|alias| alias.name.as_str() == "*") {
                return None;
            }
            let of = |alias: &&Alias| backport.names.iter().find(|(name, _)| *name == alias.name.as_str());
            let since = goes.iter().filter_map(of).map(|(_, since)| *since).max().unwrap_or(backport.since);
            let list = join(&goes)?;
            let stays = if stays.is_empty() { None } else { Some(format!("from {module} import {}", join(&stays)?)) };
            (stays, format!("from {module} import {list}"), format!("from {stand_in} import {list}"), since)
        }
        _ => return None,
    };
    // What stands beside it, or in it, would have to be put somewhere.
    let line_end = text::line_end(content, range.end);
    let alone = text::line_start(content, range.start) == range.start && content[range.end..line_end].trim().is_empty();
    if !alone || source.contains(['#', '\\']) {
        return None;
    }
    let newline = text::newline(content);
    let guard = [
        format!("if sys.version_info >= ({}, {}):", since.0, since.1),
        format!("    {newer}"),
        "else:".to_owned(),
        format!("    {older}"),
    ]
    .join(newline);
    // Behind the block of imports that it stands in.
    let is_import = |stmt: &&Stmt| matches!(stmt, Stmt::Import(_) | Stmt::ImportFrom(_));
    let last = at + body[at + 1..].iter().take_while(is_import).count();
    let end = text::line_end(content, body[last].range().end().to_usize());
    let blank_follows = content[end..].trim().is_empty() || content[end..].starts_with(&newline.repeat(2));
    let below = if blank_follows { "" } else { newline };
    let blank_before = content[..range.start].is_empty() || content[..range.start].ends_with(&newline.repeat(2));
    let edits = match stays {
        None if last == at => {
            let above = if blank_before { "" } else { newline };
            vec![Edit { range, text: format!("{above}{guard}{below}") }]
        }
        stays => {
            let (range, text) = match stays {
                Some(stays) => (range, stays),
                None => (range.start..(line_end + newline.len()).min(content.len()), String::new()),
            };
            vec![Edit { range, text }, Edit::insert(end, format!("{newline}{newline}{guard}{below}"))]
        }
    };
    Some(Import { edits, since })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(content: &str, module: &str, names: &[&str]) -> Option<String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.py"), content).unwrap();
        Some(guarded(&Tree::new(folder.path()), content, Backport::of(module).unwrap(), names)?.0)
    }

    #[test]
    fn a_module_is_guarded_behind_its_block_of_imports() {
        let guarded = after("import json\nimport tomllib\nfrom pathlib import Path\n\n\nA = 1\n", "tomllib", &[]);
        let expected = "import json\nimport sys\nfrom pathlib import Path\n\nif sys.version_info >= (3, 11):\n    \
                        import tomllib\nelse:\n    import tomli as tomllib\n\n\nA = 1\n";
        assert_eq!(guarded.as_deref(), Some(expected));
        let guarded = after("\"\"\"Doc.\"\"\"\nimport sys\nimport tomllib as t\nA = t\n", "tomllib", &[]);
        let expected = "\"\"\"Doc.\"\"\"\nimport sys\n\nif sys.version_info >= (3, 11):\n    import tomllib as t\nelse:\n    \
                        import tomli as t\n\nA = t\n";
        assert_eq!(guarded.as_deref(), Some(expected));
        let guarded = after("import sys\n\nfrom zoneinfo import ZoneInfo\n", "zoneinfo", &[]).unwrap();
        assert!(guarded.ends_with("\nelse:\n    from backports.zoneinfo import ZoneInfo\n"), "{guarded}");
        let guarded = after("import sys\nimport zoneinfo\n", "zoneinfo", &[]).unwrap();
        assert!(guarded.ends_with("\nelse:\n    from backports import zoneinfo\n"), "{guarded}");
    }

    #[test]
    fn of_names_only_those_that_lack_are_guarded() {
        let guarded =
            after("import sys\nfrom typing import (\n    Any,\n    Self as Me,\n)\n\nA = Any\n", "typing", &["Self"]);
        let expected = "import sys\nfrom typing import Any\n\nif sys.version_info >= (3, 11):\n    from typing import \
                        Self as Me\nelse:\n    from typing_extensions import Self as Me\n\nA = Any\n";
        assert_eq!(guarded.as_deref(), Some(expected));
        let two = after("from typing import Self, override\n", "typing", &["Self", "override"]).unwrap();
        assert!(two.contains("if sys.version_info >= (3, 12):\n    from typing import Self, override\nelse:"), "{two}");
    }

    #[test]
    fn what_is_guarded_or_has_no_place_for_a_guard_stays() {
        for content in [
            "try:\n    import tomllib\nexcept ModuleNotFoundError:\n    import tomli as tomllib\n",
            "import sys\nif sys.version_info >= (3, 11):\n    import tomllib\nelse:\n    import tomli as tomllib\n",
            "def f():\n    import tomllib\n",
            "import json, tomllib\n",
            "import tomllib  # type: ignore\n",
            "from .tomllib import load\n",
            "import tomllib; A = 1\n",
        ] {
            assert_eq!(after(content, "tomllib", &[]), None, "{content}");
        }
    }
}
