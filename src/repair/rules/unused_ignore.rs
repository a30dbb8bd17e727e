//! mypy says that a `# type: ignore` silences nothing: the comment goes, and nothing else.

use std::{collections::BTreeMap, sync::LazyLock};

use regex::Regex;
use ruff_python_ast::token::TokenKind;
use ruff_text_size::Ranged;

use super::{
    Applied, FixType, Repaired, RuleContext, RuleDoc,
    names::matcher,
    text::{self, Edit},
    tree::Tree,
};
use crate::detect::Key;

pub(super) const DOC: RuleDoc = RuleDoc {
    id: "unused-type-ignore",
    repairs: "a `# type: ignore` comment that mypy reports as unused",
    evidence: "mypy's `unused-ignore` with the file and the line, and a comment token on that line that is a type: ignore",
    example: "src/a.py:96: error: Unused \"type: ignore\" comment  [unused-ignore]",
};

static REPORT: LazyLock<Option<Regex>> =
    matcher!(r#"Unused "type: ignore(?:\[([^\]"]*)\])?" comment(, use narrower)?"#);
static IGNORE: LazyLock<Option<Regex>> = matcher!(r"#\s*type:\s*ignore(?:\s*\[([^\]]*)\])?\s*");

pub(super) fn apply(context: &RuleContext<'_>, repaired: &mut Repaired) -> anyhow::Result<()> {
    let mut reported: BTreeMap<&str, Vec<(u32, Vec<String>)>> = BTreeMap::new();
    for failure in context.failures {
        let rule = matches!(&failure.key, Key::Finding { rule, .. } if rule == "unused-ignore");
        let said = REPORT.as_ref().and_then(|report| report.captures(&failure.message));
        if failure.tool != "mypy" || !(rule || said.is_some()) {
            continue;
        }
        let (Some(file), Some(line)) = (failure.file.as_deref(), failure.line) else { continue };
        if said.as_ref().is_some_and(|said| said.get(2).is_some()) {
            repaired.note(DOC.id, format_args!("{file}:{line} needs a narrower code, which is no removal"));
            continue;
        }
        let codes = said.and_then(|said| said.get(1).map(|codes| split(codes.as_str()))).unwrap_or_default();
        reported.entry(file).or_default().push((line, codes));
    }
    let tree = Tree::new(context.workspace.root());
    let mut files = Vec::new();
    let mut removed = 0;
    for (file, lines) in reported {
        let Some(before) = tree.read(file) else {
            repaired.note(DOC.id, format_args!("{file} can't be read"));
            continue;
        };
        let (content, count) = remove(&before.content, &lines);
        if count < lines.len() {
            repaired.note(DOC.id, format_args!("{} of the reported comments of {file} not found", lines.len() - count));
        }
        if count > 0 {
            tree.write(file, &before.with(content))?;
            files.push(file.to_owned());
            removed += count;
        }
    }
    if removed > 0 {
        repaired.applied.push(Applied {
            rule: DOC.id,
            fix_type: FixType::Quality,
            description: format!("Removed {removed} `type: ignore` that mypy reports as unused."),
            impact: "None at run time: only comments change.".to_owned(),
            files,
        });
    }
    Ok(())
}

fn split(codes: &str) -> Vec<String> {
    codes.split(',').map(|code| code.trim().to_owned()).filter(|code| !code.is_empty()).collect()
}

/// The text without the reported comments, and how many were found. No codes reported: all of the comment.
fn remove(content: &str, lines: &[(u32, Vec<String>)]) -> (String, usize) {
    let untouched = || (content.to_owned(), 0);
    let Ok(parsed) = ruff_python_parser::parse_module(content) else { return untouched() };
    let mut edits = Vec::new();
    for (line, codes) in lines {
        let Some(range) = text::line_range(content, *line) else { continue };
        let comment = parsed
            .tokens()
            .iter()
            .find(|token| token.kind() == TokenKind::Comment && range.contains(&token.range().start().to_usize()));
        let Some(comment) = comment else { continue };
        let (start, end) = (comment.range().start().to_usize(), comment.range().end().to_usize());
        let Some(edit) = edit(content, start, end, codes) else { continue };
        if !edits.contains(&edit) {
            edits.push(edit);
        }
    }
    match text::apply(content, &edits) {
        Some(after) if ruff_python_parser::parse_module(&after).is_ok() => (after, edits.len()),
        _ => untouched(),
    }
}

fn edit(content: &str, start: usize, end: usize, unused: &[String]) -> Option<Edit> {
    let comment = &content[start..end];
    let found = IGNORE.as_ref()?.captures(comment)?;
    let all = found.get(0)?;
    // Text behind that is no comment of its own makes it something else than an ignore.
    if !(comment[all.end()..].is_empty() || comment[all.end()..].starts_with('#')) {
        return None;
    }
    if let Some(listed) = found.get(1).filter(|_| !unused.is_empty()) {
        let listed_codes = split(listed.as_str());
        let kept: Vec<String> = listed_codes.iter().filter(|code| !unused.contains(code)).cloned().collect();
        if kept.len() == listed_codes.len() {
            return None;
        }
        if !kept.is_empty() {
            return Some(Edit { range: start + listed.start()..start + listed.end(), text: kept.join(", ") });
        }
    }
    let (from, to) = (start + all.start(), start + all.end());
    if to < end {
        return Some(Edit { range: from..to, text: String::new() });
    }
    let code = content[..from].trim_end_matches([' ', '\t']).len();
    if code == text::line_start(content, start) {
        let next = content[end..].find('\n').map_or(content.len(), |found| end + found + 1);
        return Some(Edit { range: code..next, text: String::new() });
    }
    Some(Edit { range: code..to, text: String::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without(content: &str, line: u32, codes: &[&str]) -> String {
        remove(content, &[(line, codes.iter().map(|code| (*code).to_owned()).collect())]).0
    }

    #[test]
    fn the_comment_goes_and_the_white_space_before_it() {
        assert_eq!(without("a = 1  # type: ignore[return-value]\r\nb = 2\r\n", 1, &[]), "a = 1\r\nb = 2\r\n");
    }

    #[test]
    fn a_comment_beside_it_stays() {
        assert_eq!(without("a = 1  # type: ignore  # noqa: E501\n", 1, &[]), "a = 1  # noqa: E501\n");
        assert_eq!(without("a = 1  # noqa: E501  # type: ignore[x]\n", 1, &[]), "a = 1  # noqa: E501\n");
    }

    #[test]
    fn only_the_reported_code_goes() {
        assert_eq!(without("a = 1  # type: ignore[x, y]\n", 1, &["x"]), "a = 1  # type: ignore[y]\n");
        assert_eq!(without("a = 1  # type: ignore[x]\n", 1, &["x"]), "a = 1\n");
        assert_eq!(without("a = 1  # type: ignore[x]\n", 1, &["other"]), "a = 1  # type: ignore[x]\n");
    }

    #[test]
    fn a_line_of_its_own_goes_whole() {
        assert_eq!(without("# type: ignore\nimport a\n", 1, &[]), "import a\n");
    }

    #[test]
    fn a_string_that_looks_like_one_stays() {
        let content = "a = '  # type: ignore'\nb = 2  # type: ignore\n";
        assert_eq!(without(content, 1, &[]), content);
        assert_eq!(without(content, 9, &[]), content);
    }
}
