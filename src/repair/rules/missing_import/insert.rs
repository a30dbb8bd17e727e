//! A new import in a module's block of imports: merged into a statement of the same module, or on a line of its own at
//! its sorted place. Nothing else moves.

use ruff_python_ast::{Stmt, StmtImportFrom};
use ruff_text_size::Ranged;

use super::facts::Way;
use crate::repair::rules::{
    manifests::list::List,
    names,
    text::{self, Edit},
};

/// A simple import statement at the top level.
struct Line {
    start: usize,
    end: usize,
    section: u8,
    key: (bool, String),
}

/// The module with one more import; `own` says whether a top-level name belongs to the project.
pub(super) fn insert(content: &str, way: &Way, own: &dyn Fn(&str) -> bool) -> Option<String> {
    let parsed = ruff_python_parser::parse_module(content).ok()?;
    let body = parsed.suite();
    let edits = merge(content, body, way).or_else(|| place(content, body, way, own).map(|edit| vec![edit]))?;
    let after = text::apply(content, &edits)?;
    ruff_python_parser::parse_module(&after).is_ok().then_some(after)
}

/// The imports that the block consists of: those before the first other statement, or before the first definition.
fn block(body: &[Stmt]) -> Vec<&Stmt> {
    let is_import = |stmt: &&Stmt| matches!(stmt, Stmt::Import(_) | Stmt::ImportFrom(_));
    let docstring = |stmt: &&Stmt| matches!(stmt, Stmt::Expr(expr) if expr.value.is_string_literal_expr());
    let leading: Vec<&Stmt> = body.iter().skip_while(docstring).take_while(is_import).collect();
    if leading.iter().any(|stmt| !is_future(stmt)) {
        return leading;
    }
    let definition = |stmt: &&Stmt| matches!(stmt, Stmt::FunctionDef(_) | Stmt::ClassDef(_));
    body.iter().take_while(|stmt| !definition(stmt)).filter(is_import).collect()
}

fn is_future(stmt: &Stmt) -> bool {
    matches!(stmt, Stmt::ImportFrom(import) if import.module.as_ref().is_some_and(|module| module == "__future__"))
}

/// As isort and ruff sort members: constants, classes, the rest.
fn member_key(name: &str) -> String {
    let rank = match () {
        () if name.len() > 1 && !name.contains(|each: char| each.is_lowercase()) => 0,
        () if name.starts_with(|each: char| each.is_uppercase()) => 1,
        () => 2,
    };
    format!("{rank}{name}")
}

fn merge(content: &str, body: &[Stmt], way: &Way) -> Option<Vec<Edit>> {
    let Way::From { level, module, member, asname } = way else { return None };
    let same = |import: &&StmtImportFrom| {
        import.level == *level
            && import.module.as_ref().map_or("", |module| module.as_str()) == module
            && import.names.iter().all(|alias| alias.name.as_str() != "*")
    };
    let imports = block(body).into_iter().filter_map(|stmt| match stmt {
        Stmt::ImportFrom(import) => Some(import),
        _ => None,
    });
    let import = imports.filter(same).last()?;
    let elements: Vec<_> =
        import.names.iter().map(|alias| alias.range().start().to_usize()..alias.range().end().to_usize()).collect();
    let (first, end) = (elements.first()?.start, import.range().end().to_usize());
    let head = content.get(import.range().start().to_usize()..first)?;
    let inside = match head.rfind('(') {
        Some(open) => import.range().start().to_usize() + open + 1..end - 1,
        None if content.get(first..end)?.contains('\n') => return None,
        None => first..end,
    };
    let element = match asname {
        Some(name) => format!("{member} as {name}"),
        None => member.clone(),
    };
    let keys = import.names.iter().map(|alias| member_key(&alias.name)).collect();
    List { content, inside, elements, keys }.insert(&element, &member_key(member))
}

fn section(top: &str, own: &dyn Fn(&str) -> bool) -> u8 {
    match () {
        () if top.is_empty() => 3,
        () if own(top) => 2,
        () if names::is_stdlib(top) => 0,
        () => 1,
    }
}

fn line(stmt: &Stmt, own: &dyn Fn(&str) -> bool) -> Option<Line> {
    let (is_from, module, relative) = match stmt {
        Stmt::Import(import) => (false, import.names.first()?.name.to_string(), false),
        Stmt::ImportFrom(import) => {
            (true, import.module.as_ref().map(ToString::to_string).unwrap_or_default(), import.level > 0)
        }
        _ => return None,
    };
    let top = if relative { "" } else { module.split('.').next().unwrap_or(&module) };
    Some(Line {
        start: stmt.range().start().to_usize(),
        end: stmt.range().end().to_usize(),
        section: section(top, own),
        key: (is_from, module.to_lowercase()),
    })
}

fn place(content: &str, body: &[Stmt], way: &Way, own: &dyn Fn(&str) -> bool) -> Option<Edit> {
    let newline = text::newline(content);
    let statement = way.statement();
    let (new_section, key) = match way {
        Way::Import { module, .. } => (section(way.top(), own), (false, module.to_lowercase())),
        Way::From { module, .. } => (section(way.top(), own), (true, module.to_lowercase())),
    };
    let stmts: Vec<&Stmt> = block(body).into_iter().filter(|stmt| !is_future(stmt)).collect();
    let lines: Vec<Line> = stmts.iter().filter_map(|stmt| line(stmt, own)).collect();
    let alone = |line: &Line| {
        let rest = content.get(line.end..text::line_end(content, line.end)).unwrap_or("?").trim();
        text::line_start(content, line.start) == line.start && (rest.is_empty() || rest.starts_with('#'))
    };
    if !lines.iter().all(alone) {
        return None;
    }
    let same: Vec<&Line> = lines.iter().filter(|line| line.section == new_section).collect();
    let before = |line: &Line, gap: &str| {
        Edit::insert(above_comments(content, line.start), format!("{statement}{newline}{gap}"))
    };
    let after =
        |end: usize, gap: &str| Edit::insert(text::line_end(content, end), format!("{newline}{gap}{statement}"));
    if let Some(last) = same.last() {
        let sorted = same.windows(2).all(|pair| pair[0].key <= pair[1].key);
        return Some(match same.iter().find(|line| sorted && line.key > key) {
            Some(next) => before(next, ""),
            None => after(last.end, ""),
        });
    }
    // Does the module keep its sections apart?
    let apart = |from: usize, to: usize| content.get(from..to).is_some_and(|gap| gap.matches('\n').count() > 1);
    let earlier = lines.iter().rposition(|line| line.section < new_section);
    if let Some(at) = earlier {
        let gap = match lines.get(at + 1) {
            Some(next) if !apart(lines[at].end, next.start) => "",
            _ => newline,
        };
        return Some(after(lines[at].end, gap));
    }
    if let Some(first) = lines.first() {
        return Some(before(first, newline));
    }
    let future = body.iter().rfind(|stmt| is_future(stmt));
    let docstring = body.first().filter(|stmt| matches!(stmt, Stmt::Expr(expr) if expr.value.is_string_literal_expr()));
    if let Some(stmt) = future.or(docstring) {
        let end = text::line_end(content, stmt.range().end().to_usize());
        let below = content[end..].trim_start_matches(['\r', '\n']);
        let blank = content[end..content.len() - below.len()].matches('\n').count() > 1 || below.is_empty();
        let tail = if blank { "" } else { newline };
        return Some(Edit::insert(end, format!("{newline}{newline}{statement}{tail}")));
    }
    let first = body.first()?;
    let start = first.range().start().to_usize();
    let gap =
        if matches!(first, Stmt::FunctionDef(_) | Stmt::ClassDef(_)) { newline.repeat(2) } else { newline.to_owned() };
    let start = if content[..start].contains("\n\n") || content[..start].contains("\r\n\r\n") {
        above_comments(content, start)
    } else {
        text::line_start(content, start)
    };
    Some(Edit::insert(start, format!("{statement}{newline}{gap}")))
}

/// The start of the comment lines right above a line: they belong to it.
fn above_comments(content: &str, start: usize) -> usize {
    let line = text::line_start(content, start);
    let mut place = line;
    while place > 0 {
        let above = text::line_start(content, place - 1);
        if !content[above..place].starts_with('#') {
            return place;
        }
        place = above;
    }
    // Comments at the head of the file belong to the file.
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(content: &str, way: Way) -> String {
        insert(content, &way, &|top| top == "own").unwrap()
    }

    fn import(module: &str) -> Way {
        Way::Import { module: module.to_owned(), asname: None }
    }

    fn from(module: &str, member: &str) -> Way {
        Way::From { level: 0, module: module.to_owned(), member: member.to_owned(), asname: None }
    }

    #[test]
    fn an_import_takes_its_sorted_place_among_its_kind() {
        let content = "\"\"\"Doc.\"\"\"\nfrom __future__ import annotations\n\nimport abc\nimport sys\nfrom os import path\n\nimport yaml\n";
        assert_eq!(add(content, import("json")), content.replace("import sys", "import json\nimport sys"));
        assert_eq!(add(content, import("zipfile")), content.replace("from os", "import zipfile\nfrom os"));
        assert_eq!(add(content, from("typing", "Any")), content.replace("path\n", "path\nfrom typing import Any\n"));
        assert_eq!(add(content, import("attr")), content.replace("import yaml", "import attr\nimport yaml"));
        assert_eq!(add(content, import("own")), format!("{content}\nimport own\n"));
    }

    #[test]
    fn a_member_joins_the_statement_of_its_module() {
        let content = "from typing import Any, Union\nimport os\n";
        assert_eq!(add(content, from("typing", "Optional")), "from typing import Any, Optional, Union\nimport os\n");
        let content = "from typing import (\n    Any,\n    Union,\n)\n";
        assert_eq!(add(content, from("typing", "cast")), "from typing import (\n    Any,\n    Union,\n    cast,\n)\n");
    }

    #[test]
    fn a_module_without_imports_gets_its_first() {
        assert_eq!(add("\"\"\"Doc.\"\"\"\n\nx = 1\n", import("os")), "\"\"\"Doc.\"\"\"\n\nimport os\n\nx = 1\n");
        assert_eq!(
            add("#!/usr/bin/python\ndef f():\n    pass\n", import("os")),
            "#!/usr/bin/python\nimport os\n\n\ndef f():\n    pass\n"
        );
        assert_eq!(add("x = os\r\n", import("os")), "import os\r\n\r\nx = os\r\n");
    }

    #[test]
    fn a_section_of_its_own_comes_in_between() {
        assert_eq!(add("import yaml\n\nx = 1\n", import("os")), "import os\n\nimport yaml\n\nx = 1\n");
        let content = "import os\n\nfrom . import x\n";
        assert_eq!(add(content, import("yaml")), "import os\n\nimport yaml\n\nfrom . import x\n");
        assert_eq!(add("import os\nfrom . import x\n", import("yaml")), "import os\nimport yaml\nfrom . import x\n");
    }
}
