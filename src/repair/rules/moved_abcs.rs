//! `collections.Mapping` and its like moved to `collections.abc` in Python 3.3, and out of `collections` in 3.10.

use std::{collections::BTreeSet, sync::LazyLock};

use regex::Regex;
use ruff_python_ast::{
    Expr, Stmt, StmtImportFrom,
    visitor::{Visitor, walk_expr, walk_stmt},
};
use ruff_text_size::Ranged;

use super::{
    Applied, FixType, Repaired, RuleContext, RuleDoc,
    names::matcher,
    text::{self, Edit},
    tree::Tree,
};
use crate::detect::Failure;

pub(super) const DOC: RuleDoc = RuleDoc {
    id: "moved-abc",
    repairs: "abstract base classes that are taken from `collections`, where Python 3.10 has them no more",
    evidence: "the failed import or attribute, named after a class that is known to have moved; the project's own code \
               that takes it from there, outside of a `try`",
    example: "ImportError: cannot import name 'Mapping' from 'collections'",
};

const MOVED: &[&str] = &[
    "AsyncGenerator",
    "AsyncIterable",
    "AsyncIterator",
    "Awaitable",
    "ByteString",
    "Callable",
    "Collection",
    "Container",
    "Coroutine",
    "Generator",
    "Hashable",
    "ItemsView",
    "Iterable",
    "Iterator",
    "KeysView",
    "Mapping",
    "MappingView",
    "MutableMapping",
    "MutableSequence",
    "MutableSet",
    "Reversible",
    "Sequence",
    "Set",
    "Sized",
    "ValuesView",
];

pub(super) fn apply(context: &RuleContext<'_>, repaired: &mut Repaired) -> anyhow::Result<()> {
    if !context.failures.iter().any(is_of_it) {
        return Ok(());
    }
    let tree = Tree::new(context.workspace.root());
    let mut files = Vec::new();
    let mut names = BTreeSet::new();
    for file in tree.python_files() {
        let Some(text) = tree.read(&file).filter(|text| text.content.contains("collections")) else { continue };
        let Some((content, moved)) = rewritten(&text.content) else { continue };
        tree.write(&file, &text.with(content))?;
        names.extend(moved);
        files.push(file);
    }
    if files.is_empty() {
        repaired.note(DOC.id, "no code of the project takes it from `collections`: an installed package does");
        return Ok(());
    }
    repaired.applied.push(Applied {
        rule: DOC.id,
        fix_type: FixType::Import,
        description: format!(
            "Took `{}` from `collections.abc` in {}: `collections` has it no more since Python 3.10.",
            Vec::from_iter(names).join("`, `"),
            super::tool_fixers::listed(&files)
        ),
        impact: "None: they are the same classes, in every Python 3.".to_owned(),
        files,
    });
    Ok(())
}

fn is_of_it(failure: &Failure) -> bool {
    static SAID: LazyLock<Option<Regex>> =
        matcher!(r"cannot import name '(\w+)' from 'collections'|module 'collections' has no attribute '(\w+)'");
    let said = |text: &str| {
        let said = SAID.as_ref().and_then(|said| said.captures(text));
        said.and_then(|said| said.get(1).or(said.get(2)).map(|name| MOVED.contains(&name.as_str()))).unwrap_or(false)
    };
    said(&failure.message) || said(&failure.excerpt)
}

/// The content with what moved taken from its new place, and the classes; `None` where nothing is to be done.
fn rewritten(content: &str) -> Option<(String, BTreeSet<String>)> {
    let parsed = ruff_python_parser::parse_module(content).ok()?;
    let mut search =
        Search { content, edits: Vec::new(), moved: BTreeSet::new(), attributes: Vec::new(), module: None };
    for stmt in parsed.suite() {
        search.visit_stmt(stmt);
    }
    // An attribute needs the submodule to be imported, where the module is, at the top.
    if let Some((at, true)) = search.module.filter(|_| !search.attributes.is_empty()) {
        for (at, name) in std::mem::take(&mut search.attributes) {
            search.edits.push(Edit::insert(at, ".abc"));
            search.moved.insert(name);
        }
        if !content.contains("import collections.abc") {
            search.edits.push(Edit::insert(at, format!("{}import collections.abc", text::newline(content))));
        }
    }
    if search.edits.is_empty() {
        return None;
    }
    let after = text::apply(content, &search.edits)?;
    ruff_python_parser::parse_module(&after).ok()?;
    Some((after, search.moved))
}

struct Search<'a> {
    content: &'a str,
    edits: Vec<Edit>,
    moved: BTreeSet<String>,
    /// The end of `collections` in `collections.Mapping`, and the class.
    attributes: Vec<(usize, String)>,
    /// The end of `import collections`, and whether it is a statement of its own at the top.
    module: Option<(usize, bool)>,
}

impl Search<'_> {
    fn import(&mut self, import: &StmtImportFrom) {
        let is_moved = |name: &str| MOVED.contains(&name);
        let moved: Vec<&str> = import.names.iter().map(|alias| alias.name.as_str()).filter(|n| is_moved(n)).collect();
        let Some(module) = import.module.as_ref().filter(|_| !moved.is_empty()) else { return };
        let range = import.range().start().to_usize()..import.range().end().to_usize();
        let names: Vec<String> = moved.iter().map(|name| (*name).to_owned()).collect();
        if moved.len() == import.names.len() {
            self.edits.push(Edit::insert(module.range().end().to_usize(), ".abc"));
        } else {
            let start = text::line_start(self.content, range.start);
            let alone = self.content[start..range.start].trim().is_empty()
                && self.content[range.end..text::line_end(self.content, range.end)].trim().is_empty();
            // What stands beside it, or in it, would have to be put somewhere.
            if !alone || self.content[range.clone()].contains(['#', '\\']) {
                return;
            }
            let list = |wanted: bool| {
                let of = import.names.iter().filter(|alias| is_moved(alias.name.as_str()) == wanted);
                let written =
                    of.map(|alias| &self.content[alias.range().start().to_usize()..alias.range().end().to_usize()]);
                written.collect::<Vec<_>>().join(", ")
            };
            let indent = &self.content[start..range.start];
            let (newline, stays, goes) = (text::newline(self.content), list(false), list(true));
            let text = format!("from collections import {stays}{newline}{indent}from collections.abc import {goes}");
            self.edits.push(Edit { range, text });
        }
        self.moved.extend(names);
    }
}

impl<'a> Visitor<'a> for Search<'_> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        match stmt {
            // It asks which place there is.
            Stmt::Try(_) => return,
            Stmt::ImportFrom(import) if import.level == 0 && import.module.as_deref() == Some("collections") => {
                self.import(import);
            }
            Stmt::Import(import) if self.module.is_none() => {
                let plain = import.names.iter().any(|a| a.name.as_str() == "collections" && a.asname.is_none());
                if plain {
                    let range = import.range().start().to_usize()..import.range().end().to_usize();
                    let top = text::line_start(self.content, range.start) == range.start
                        && self.content[range.end..text::line_end(self.content, range.end)].trim().is_empty()
                        && import.names.len() == 1;
                    self.module = Some((range.end, top));
                }
            }
            _ => {}
        }
        walk_stmt(self, stmt);
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        if let Expr::Attribute(attribute) = expr
            && let Expr::Name(name) = &*attribute.value
            && name.id.as_str() == "collections"
            && MOVED.contains(&attribute.attr.as_str())
        {
            self.attributes.push((name.range().end().to_usize(), attribute.attr.to_string()));
        }
        walk_expr(self, expr);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(content: &str) -> Option<String> {
        rewritten(content).map(|(content, _)| content)
    }

    #[test]
    fn imports_are_taken_from_the_new_place() {
        let moved = after("from collections import Mapping as M, Set\n");
        assert_eq!(moved.as_deref(), Some("from collections.abc import Mapping as M, Set\n"));
        let mixed = after("def f():\n    from collections import (\n        OrderedDict,\n        Mapping,\n    )\n");
        let expected = "def f():\n    from collections import OrderedDict\n    from collections.abc import Mapping\n";
        assert_eq!(mixed.as_deref(), Some(expected));
    }

    #[test]
    fn attributes_get_their_submodule_and_its_import() {
        let moved = after("import collections\nx = isinstance(y, collections.Mapping)\nz = collections.deque()\n");
        let expected = "import collections\nimport collections.abc\nx = isinstance(y, collections.abc.Mapping)\n\
                        z = collections.deque()\n";
        assert_eq!(moved.as_deref(), Some(expected));
    }

    #[test]
    fn what_asks_for_both_places_or_is_not_clear_stays() {
        for content in [
            "try:\n    from collections.abc import Mapping\nexcept ImportError:\n    from collections import Mapping\n",
            "from collections import OrderedDict\n",
            "from .collections import Mapping\n",
            "from collections import deque, Mapping  # both\n",
            "import collections as c\nc.Mapping\n",
            "def f(collections):\n    return collections.Mapping\n",
        ] {
            assert_eq!(after(content), None, "{content}");
        }
    }
}
