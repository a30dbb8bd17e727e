//! codespell names a word and the one correction it knows: that word, on that line, in prose.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::LazyLock,
};

use regex::Regex;
use ruff_python_ast::{
    Expr, Stmt,
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

pub(super) const DOC: RuleDoc = RuleDoc {
    id: "spelling",
    repairs: "a word that codespell reports with a single correction, in documentation, comments and docstrings",
    evidence: "codespell's file, line, word and correction, and the word on that line",
    example: "docs/quickstart.rst:465: interanlly ==> internally",
};

pub(super) fn apply(context: &RuleContext<'_>, repaired: &mut Repaired) -> anyhow::Result<()> {
    static SAID: LazyLock<Option<Regex>> =
        matcher!(r"(?:^|[\s:])([A-Za-z][A-Za-z'-]*)\s*==>\s*([A-Za-z][A-Za-z' -]*?)(,[^\n]*)?\s*$");
    let mut reported: BTreeMap<&str, BTreeSet<(u32, String, String)>> = BTreeMap::new();
    for failure in context.failures.iter().filter(|failure| failure.tool.contains("codespell")) {
        let (Some(file), Some(line)) = (failure.file.as_deref(), failure.line) else { continue };
        let Some(said) = SAID.as_ref().and_then(|pattern| pattern.captures(failure.message.trim_end())) else {
            continue;
        };
        if said.get(3).is_some() {
            repaired.note(DOC.id, format_args!("{file}:{line}: `{}` has several corrections", &said[1]));
            continue;
        }
        reported.entry(file).or_default().insert((line, said[1].to_owned(), said[2].to_owned()));
    }
    let tree = Tree::new(context.workspace.root());
    let mut files = Vec::new();
    let mut words = BTreeSet::new();
    for (file, corrections) in reported {
        let Some(text) = tree.read(file) else { continue };
        let prose = if file.ends_with(".py") { Some(prose(&text.content)) } else { None };
        let mut edits = Vec::new();
        for (line, word, correction) in &corrections {
            let found = places(&text.content, *line, word);
            let inside = |place: &Range<usize>| match &prose {
                Some(prose) => prose.iter().any(|part| part.start <= place.start && place.end <= part.end),
                None => true,
            };
            if found.is_empty() || !found.iter().all(inside) {
                repaired.note(DOC.id, format_args!("{file}:{line}: `{word}` is not in prose"));
                continue;
            }
            edits.extend(found.into_iter().map(|range| Edit { range, text: correction.clone() }));
            words.insert(correction.clone());
        }
        let Some(content) = text::apply(&text.content, &edits).filter(|content| *content != text.content) else {
            continue;
        };
        tree.write(file, &text.with(content))?;
        files.push(file.to_owned());
    }
    if !files.is_empty() {
        repaired.applied.push(Applied {
            rule: DOC.id,
            fix_type: FixType::Quality,
            description: format!("Corrected the spelling of `{}`.", Vec::from_iter(words).join("`, `")),
            impact: "None at run time: only prose changes.".to_owned(),
            files,
        });
    }
    Ok(())
}

/// Where a word stands by itself on a line.
fn places(content: &str, line: u32, word: &str) -> Vec<Range<usize>> {
    let Some(range) = text::line_range(content, line) else { return Vec::new() };
    let line = &content[range.clone()];
    let part = |each: Option<char>| each.is_some_and(|each| each.is_alphanumeric() || each == '_');
    let alone = |at: &usize| !part(line[..*at].chars().next_back()) && !part(line[at + word.len()..].chars().next());
    let found = line.match_indices(word).map(|(at, _)| at).filter(alone);
    found.map(|at| range.start + at..range.start + at + word.len()).collect()
}

/// Comments and docstrings of a module.
pub(super) fn prose(content: &str) -> Vec<Range<usize>> {
    struct Docstrings(Vec<Range<usize>>);
    impl Docstrings {
        fn of(&mut self, body: &[Stmt]) {
            if let Some(Stmt::Expr(stmt)) = body.first()
                && matches!(&*stmt.value, Expr::StringLiteral(_))
            {
                self.0.push(stmt.range().start().to_usize()..stmt.range().end().to_usize());
            }
        }
    }
    impl<'a> Visitor<'a> for Docstrings {
        fn visit_stmt(&mut self, stmt: &'a Stmt) {
            match stmt {
                Stmt::FunctionDef(def) => self.of(&def.body),
                Stmt::ClassDef(def) => self.of(&def.body),
                _ => {}
            }
            walk_stmt(self, stmt);
        }
    }
    let Ok(parsed) = ruff_python_parser::parse_module(content) else { return Vec::new() };
    let mut docstrings = Docstrings(Vec::new());
    docstrings.of(parsed.suite());
    for stmt in parsed.suite() {
        docstrings.visit_stmt(stmt);
    }
    let comments = parsed.tokens().iter().filter(|token| token.kind() == TokenKind::Comment);
    docstrings.0.extend(comments.map(|token| token.range().start().to_usize()..token.range().end().to_usize()));
    docstrings.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_found_by_itself_only() {
        assert_eq!(places("teh tehx x_teh (teh)\n", 1, "teh"), [0..3, 16..19]);
        assert!(places("teh\n", 2, "teh").is_empty());
    }

    #[test]
    fn prose_is_comments_and_docstrings() {
        let content = "'''doc'''\nx = 'text'  # why\ndef f():\n    '''more'''\n";
        let parts: Vec<&str> = prose(content).into_iter().map(|range| &content[range]).collect();
        assert_eq!(parts, ["'''doc'''", "'''more'''", "# why"]);
    }
}
