//! Findings of flake8, pycodestyle and pylint with one mechanical repair: white space at ends of lines and files, blank
//! lines, and imports that nothing uses. These tools repair nothing themselves.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::LazyLock,
};

use regex::Regex;
use ruff_python_ast::{
    Alias, Stmt,
    token::TokenKind,
    visitor::{Visitor, walk_stmt},
};
use ruff_text_size::Ranged;

use super::{
    Applied, FixType, Repaired, RuleContext, RuleDoc,
    names::matcher,
    text::{self, Edit},
    tree::Tree,
};
use crate::detect::{Failure, Key};

pub(super) const DOC: RuleDoc = RuleDoc {
    id: "lint-edit",
    repairs: "trailing white space (W291, W293), the end of a file (W292, W391), missing or superfluous blank lines \
              (E301 to E306) and unused imports (F401) that flake8, pycodestyle or pylint reports",
    evidence: "the tool's file, line and code, and the finding on that line; white space inside of a text that the \
               program uses, a package's `__init__.py`, `conftest.py` and an import that has a `try` around it are left alone",
    example: "src/a.py:3:1: F401 'os' imported but unused",
};

/// What is to be done at a line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Repair {
    Trailing,
    End,
    /// So many blank lines are to stand before the line.
    Blank(usize),
    /// No more blank lines than are usual at its depth.
    Fewer,
    /// The name is no longer imported, as the tool writes it.
    Unused(String),
}

pub(super) fn apply(context: &RuleContext<'_>, repaired: &mut Repaired) -> anyhow::Result<()> {
    let mut reported: BTreeMap<&str, BTreeSet<(u32, Repair)>> = BTreeMap::new();
    for failure in context.failures.iter().filter(|f| matches!(f.tool.as_str(), "flake8" | "pycodestyle" | "pylint")) {
        let (Some(file), Some(line), Some(repair)) = (failure.file.as_deref(), failure.line, wanted(failure)) else {
            continue;
        };
        if file.ends_with(".py") || file.ends_with(".pyi") {
            reported.entry(file).or_default().insert((line, repair));
        }
    }
    let tree = Tree::new(context.workspace.root());
    let mut files = Vec::new();
    let mut done = BTreeSet::new();
    for (file, repairs) in reported {
        let Some(text) = tree.read(file) else { continue };
        let mut edits: Vec<Edit> = Vec::new();
        for (line, repair) in &repairs {
            match edit(file, &text.content, *line, repair) {
                Ok(edit) => {
                    if !edits.iter().any(|other| overlap(&other.range, &edit.range)) {
                        edits.push(edit);
                        done.insert(word(repair));
                    }
                }
                Err(why) => repaired.note(DOC.id, format_args!("{file}:{line}: {why}")),
            }
        }
        let content = text::apply(&text.content, &edits).filter(|content| *content != text.content);
        let Some(content) = content.filter(|content| ruff_python_parser::parse_module(content).is_ok()) else {
            continue;
        };
        tree.write(file, &text.with(content))?;
        files.push(file.to_owned());
    }
    if !files.is_empty() {
        repaired.applied.push(Applied {
            rule: DOC.id,
            fix_type: FixType::Quality,
            description: format!(
                "Repaired {} in {}.",
                Vec::from_iter(done).join(", "),
                super::tool_fixers::listed(&files)
            ),
            impact: "An import that is gone no longer runs its module here; white space means nothing.".to_owned(),
            files,
        });
    }
    Ok(())
}

fn word(repair: &Repair) -> &'static str {
    match repair {
        Repair::Trailing => "trailing white space",
        Repair::End => "the end of the file",
        Repair::Blank(_) | Repair::Fewer => "blank lines",
        Repair::Unused(_) => "unused imports",
    }
}

/// What a finding asks for.
fn wanted(failure: &Failure) -> Option<Repair> {
    static BLANK: LazyLock<Option<Regex>> = matcher!(r"expected (\d) blank lines?\b");
    static UNUSED: LazyLock<Option<Regex>> =
        matcher!(r"'([\w.]+(?: as \w+)?)' imported but unused|Unused (?:import )?(\w[\w.]*)(?: imported)?");
    let Key::Finding { rule, .. } = &failure.key else { return None };
    let capture = |pattern: &'static LazyLock<Option<Regex>>| pattern.as_ref()?.captures(&failure.message);
    Some(match rule.as_str() {
        "W291" | "W293" | "trailing-whitespace" => Repair::Trailing,
        "W292" | "W391" | "missing-final-newline" | "trailing-newlines" => Repair::End,
        "E301" | "E302" | "E305" | "E306" => Repair::Blank(capture(&BLANK)?.get(1)?.as_str().parse().ok()?),
        "E303" => Repair::Fewer,
        "E304" => Repair::Blank(0),
        "F401" => Repair::Unused(capture(&UNUSED)?.get(1)?.as_str().to_owned()),
        _ => return None,
    })
}

fn overlap(left: &Range<usize>, right: &Range<usize>) -> bool {
    left.start < right.end && right.start < left.end || left == right
}

fn edit(file: &str, content: &str, line: u32, repair: &Repair) -> Result<Edit, String> {
    match repair {
        Repair::Trailing => trailing(content, line),
        Repair::End => {
            let body = content.trim_end_matches([' ', '\t', '\r', '\n', '\u{c}']).len();
            let text = if body == 0 { "" } else { text::newline(content) };
            Ok(Edit { range: body..content.len(), text: text.to_owned() })
        }
        Repair::Blank(count) => blank(content, line, *count),
        Repair::Fewer => {
            let start = text::line_range(content, line).ok_or("there is no such line")?.start;
            blank(content, line, if text::indent(content, start).is_empty() { 2 } else { 1 })
        }
        Repair::Unused(name) => unused(file, content, line, name),
    }
}

fn trailing(content: &str, line: u32) -> Result<Edit, String> {
    let range = text::line_range(content, line).ok_or("there is no such line")?;
    let whole = content[range.clone()].trim_end_matches(['\n', '\r']);
    let bare = whole.trim_end_matches([' ', '\t', '\u{c}']);
    let range = range.start + bare.len()..range.start + whole.len();
    if range.is_empty() {
        return Err("its white space is gone".to_owned());
    }
    let Ok(parsed) = ruff_python_parser::parse_module(content) else { return Err("it does not parse".to_owned()) };
    let docstrings = super::spelling::prose(content);
    let is_text = |kind| matches!(kind, TokenKind::String | TokenKind::FStringMiddle | TokenKind::TStringMiddle);
    let inside = parsed.tokens().iter().filter(|token| is_text(token.kind())).any(|token| {
        let (start, end) = (token.range().start().to_usize(), token.range().end().to_usize());
        let prose = docstrings.iter().any(|part| part.start <= start && end <= part.end);
        start < range.end && range.start < end && !prose
    });
    if inside {
        return Err("the white space is in a text of the program".to_owned());
    }
    // Behind a backslash it is a syntax error, which another tool must see.
    Ok(Edit { range, text: String::new() })
}

/// The line, with as many blank lines before it, or before its comment or decorator.
fn blank(content: &str, line: u32, count: usize) -> Result<Edit, String> {
    let start = text::line_range(content, line).ok_or("there is no such line")?.start;
    let above = content[..start].trim_end_matches([' ', '\t', '\r', '\n']);
    if above.is_empty() {
        return Err("nothing stands before it".to_owned());
    }
    let above_end = text::line_end(content, above.len());
    let between = content[above_end..start].matches('\n').count().saturating_sub(1);
    if count > between && content[text::line_start(content, above.len())..above_end].trim_start().starts_with('#') {
        return Err("a comment stands above it".to_owned());
    }
    let newline = text::newline(content);
    Ok(Edit { range: above_end..start, text: newline.repeat(count + 1) })
}

/// The statement's import without one name.
fn unused(file: &str, content: &str, line: u32, name: &str) -> Result<Edit, String> {
    let base = file.rsplit('/').next().unwrap_or(file);
    if base == "__init__.py" || base == "conftest.py" {
        return Err(format!("`{name}` may be imported for others"));
    }
    let Ok(parsed) = ruff_python_parser::parse_module(content) else { return Err("it does not parse".to_owned()) };
    let mut finder = Finder { content, line, found: None, guarded: false };
    finder.body(parsed.suite());
    for stmt in parsed.suite() {
        finder.visit_stmt(stmt);
    }
    let Some((stmt, alone)) = finder.found else { return Err(format!("`{name}` is not imported there")) };
    if finder.guarded {
        return Err(format!("`{name}` is imported to see whether it is there"));
    }
    let names: &[Alias] = match stmt {
        Stmt::Import(import) => &import.names,
        Stmt::ImportFrom(import) => &import.names,
        _ => &[],
    };
    let matching: Vec<usize> =
        (0..names.len()).filter(|at| written(stmt, &names[*at]).iter().any(|w| w == name)).collect();
    let [at] = matching[..] else { return Err(format!("`{name}` is not imported there once")) };
    let range = stmt.range().start().to_usize()..stmt.range().end().to_usize();
    let place = |alias: &Alias| alias.range().start().to_usize()..alias.range().end().to_usize();
    if names.len() == 1 {
        let start = text::line_start(content, range.start);
        let end = text::line_end(content, range.end);
        let around = [&content[start..range.start], content[range.end..end].split('#').next().unwrap_or_default()];
        if around.iter().any(|part| !part.trim().is_empty()) {
            return Err("more stands on its line".to_owned());
        }
        if alone {
            return Err(format!("the import of `{name}` is all there is in its block"));
        }
        let end = content[end..].find('\n').map_or(content.len(), |found| end + found + 1);
        return Ok(Edit { range: start..end, text: String::new() });
    }
    let gap = match at.checked_sub(1) {
        Some(before) => place(&names[before]).end..place(&names[at]).end,
        None => place(&names[0]).start..place(&names[1]).start,
    };
    if content[gap.clone()].contains('#') {
        return Err("a comment stands between the names".to_owned());
    }
    Ok(Edit { range: gap, text: String::new() })
}

/// How pyflakes writes what an alias imports.
fn written(stmt: &Stmt, alias: &Alias) -> Vec<String> {
    let name = alias.name.as_str();
    let full = match stmt {
        Stmt::ImportFrom(import) => {
            let module = import.module.as_ref().map_or("", |module| module.as_str());
            let dots = ".".repeat(import.level as usize);
            match module {
                "" => format!("{dots}{name}"),
                module => format!("{dots}{module}.{name}"),
            }
        }
        _ => name.to_owned(),
    };
    match &alias.asname {
        Some(asname) if asname.as_str() != name => vec![format!("{full} as {asname}")],
        Some(asname) => vec![format!("{full} as {asname}"), full],
        None => vec![full],
    }
}

/// Finds the import that begins on a line.
struct Finder<'a> {
    content: &'a str,
    line: u32,
    /// The statement, and whether it is all of its block.
    found: Option<(&'a Stmt, bool)>,
    guarded: bool,
}

impl<'a> Finder<'a> {
    fn body(&mut self, body: &'a [Stmt]) -> bool {
        let wanted = text::line_range(self.content, self.line);
        let found = body.iter().find(|stmt| {
            let start = stmt.range().start().to_usize();
            matches!(stmt, Stmt::Import(_) | Stmt::ImportFrom(_))
                && wanted.as_ref().is_some_and(|line| line.contains(&start))
        });
        if let Some(stmt) = found {
            self.found = Some((stmt, body.len() == 1));
        }
        found.is_some()
    }
}

impl<'a> Visitor<'a> for Finder<'a> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        if let Stmt::Try(attempt) = stmt {
            for body in [&attempt.body, &attempt.orelse, &attempt.finalbody] {
                self.guarded |= self.body(body);
            }
        }
        walk_stmt(self, stmt);
    }

    fn visit_body(&mut self, body: &'a [Stmt]) {
        self.body(body);
        for stmt in body {
            self.visit_stmt(stmt);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(content: &str, line: u32, repair: &Repair) -> Result<String, String> {
        edit("p/a.py", content, line, repair).map(|edit| text::apply(content, &[edit]).unwrap())
    }

    fn without(content: &str, line: u32, name: &str) -> Result<String, String> {
        after(content, line, &Repair::Unused(name.to_owned()))
    }

    #[test]
    fn white_space_goes_where_it_means_nothing() {
        assert_eq!(after("a = 1  \nb\t\r\n", 1, &Repair::Trailing).unwrap(), "a = 1\nb\t\r\n");
        assert_eq!(after("a = 1  \nb\t\r\n", 2, &Repair::Trailing).unwrap(), "a = 1  \nb\r\n");
        assert_eq!(after("'''a  \nb'''\n", 1, &Repair::Trailing).unwrap(), "'''a\nb'''\n");
        assert!(after("x = '''a  \nb'''\n", 1, &Repair::Trailing).is_err());
        assert!(after("x = f'''a  \n{b}'''\n", 1, &Repair::Trailing).is_err());
    }

    #[test]
    fn a_file_ends_with_one_line_ending() {
        for content in ["a", "a\n\n\n", "a\n  \n"] {
            assert_eq!(after(content, 1, &Repair::End).unwrap(), "a\n");
        }
        assert_eq!(after("a\r\n\r\n", 1, &Repair::End).unwrap(), "a\r\n");
    }

    #[test]
    fn blank_lines_come_to_the_expected_number() {
        let expected = "import os\n\n\ndef f():\n    pass\n";
        for content in ["import os\ndef f():\n    pass\n", "import os\n\ndef f():\n    pass\n"] {
            let line = content.lines().position(|line| line.starts_with("def")).unwrap() as u32 + 1;
            assert_eq!(after(content, line, &Repair::Blank(2)).unwrap(), expected);
        }
        assert_eq!(after("a = 1\n\n\n\nb = 2\n", 5, &Repair::Fewer).unwrap(), "a = 1\n\n\nb = 2\n");
        assert_eq!(after("if a:\n    # c\n\n\n    b\n", 5, &Repair::Fewer).unwrap(), "if a:\n    # c\n\n    b\n");
        assert_eq!(after("@d\n\ndef f(): ...\n", 3, &Repair::Blank(0)).unwrap(), "@d\ndef f(): ...\n");
        assert!(after("import os\n# about f\ndef f(): ...\n", 3, &Repair::Blank(2)).is_err());
    }

    #[test]
    fn an_import_that_nothing_uses_goes() {
        assert_eq!(without("import os\nimport sys\n", 1, "os").unwrap(), "import sys\n");
        assert_eq!(without("from a import b, c\n", 1, "a.b").unwrap(), "from a import c\n");
        assert_eq!(without("from a import b, c\n", 1, "a.c").unwrap(), "from a import b\n");
        assert_eq!(
            without("from .a import (\n    b,\n    c as d,\n)\n", 1, ".a.c as d").unwrap(),
            "from .a import (\n    b,\n)\n"
        );
        assert_eq!(without("import a.b as c  # why\nx\n", 1, "a.b as c").unwrap(), "x\n");
        assert_eq!(without("def f():\n    import os\n    return 1\n", 2, "os").unwrap(), "def f():\n    return 1\n");
    }

    #[test]
    fn an_import_that_may_be_meant_stays() {
        assert!(without("try:\n    import a\nexcept ImportError:\n    a = 1\n", 2, "a").is_err());
        assert!(without("if x:\n    import a\n", 2, "a").is_err());
        assert!(without("import a; import b\n", 1, "a").is_err());
        assert!(without("from a import (\n    b,  # of b\n    c,\n)\n", 1, "a.c").is_err());
        assert!(edit("p/__init__.py", "import a\n", 1, &Repair::Unused("a".to_owned())).is_err());
    }
}
