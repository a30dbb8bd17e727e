//! Comments that silence a check.

use super::context::{Context, File};
use super::python::{Comment, Py};
use super::{Finding, Reported, paths};
use regex::Regex;
use ruff_python_ast::Stmt;
use ruff_text_size::Ranged;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

/// How far a directive reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    /// The line, for the codes it names.
    Coded,
    /// The line, for everything.
    Bare,
    /// More than the line.
    Wide,
    /// A check that has no codes: coverage, formatting.
    Whole,
}

#[derive(Debug, Clone)]
struct Directive {
    kind: &'static str,
    reach: Reach,
    codes: Vec<String>,
    line: u32,
    code: String,
    text: String,
}

struct Pattern {
    kind: &'static str,
    regex: Option<Regex>,
    reach: Reach,
}

static PATTERNS: LazyLock<Vec<Pattern>> = LazyLock::new(|| {
    // The first group, where there is one, holds the codes.
    [
        ("type: ignore", r"(?i)#\s*type:\s*ignore(?:\s*\[([^\]]*)\])?", Reach::Coded),
        ("ruff: noqa", r"(?i)#\s*(?:ruff|flake8)\s*[:=]\s*noqa", Reach::Wide),
        ("ruff: disable", r"(?i)#\s*ruff\s*:\s*(?:[a-mo-z]|n[a-np-z])", Reach::Wide),
        ("noqa", r"(?i)#\s*noqa(?:\s*:\s*([A-Z]+[0-9]+(?:[,\s]+[A-Z]+[0-9]+)*))?", Reach::Coded),
        ("mypy:", r"(?i)#\s*mypy\s*:", Reach::Wide),
        ("pyright: ignore", r"(?i)#\s*pyright\s*:\s*ignore(?:\s*\[([^\]]*)\])?", Reach::Coded),
        ("pyright:", r"(?i)#\s*pyright\s*:\s*(?:basic|off|\w+\s*=)", Reach::Wide),
        ("ty: ignore", r"(?i)#\s*(?:ty|pyrefly|zuban|basedpyright)\s*:\s*ignore(?:\s*\[([^\]]*)\])?", Reach::Coded),
        ("pyre", r"(?i)#\s*pyre-(?:ignore|fixme)(?:-all-errors)?(?:\s*\[([^\]]*)\])?", Reach::Coded),
        ("pyre-ignore-all", r"(?i)#\s*pyre-ignore-all-errors|#\s*pyre-unsafe", Reach::Wide),
        ("pytype: disable", r"(?i)#\s*pytype:\s*(?:disable|skip-file)", Reach::Wide),
        ("nosec", r"(?i)#\s*nosec\b:?\s*([^#]*)", Reach::Coded),
        ("pylint: disable", r"(?i)#\s*pylint:\s*(?:skip-file|disable(?:-next)?\s*=\s*([\w\-, ]+))", Reach::Coded),
        ("fmt", r"(?i)#\s*(?:fmt|yapf|autopep8|black)\s*:\s*(?:off|skip|disable)", Reach::Whole),
        ("isort", r"(?i)#\s*isort\s*:\s*(?:skip_file|skip|off|dont-add)", Reach::Whole),
        ("no cover", r"(?i)#\s*pragma:?\s*no\s*-?(?:cover|branch|partial|mutate)", Reach::Whole),
        (
            "nosemgrep",
            r"(?i)#\s*(?:nosemgrep|NOSONAR|lgtm|noinspection|skipcq|deepcode ignore|checkov:skip)",
            Reach::Wide,
        ),
        ("codespell", r"(?i)(?:#|\.\.|<!--)\s*codespell:ignore(?:-\w+)?", Reach::Wide),
        ("markdownlint", r"(?i)<!--\s*markdownlint-(?:disable|configure)|yamllint\s+disable", Reach::Wide),
        ("docsig", r"(?i)#\s*(?:docsig|pydoclint|darglint|vulture)\s*:\s*(?:disable|ignore|noqa)", Reach::Wide),
        ("type: skip", r"@(?:typing\.|t\.)?no_type_check\b", Reach::Wide),
    ]
    .into_iter()
    .map(|(kind, regex, reach)| Pattern { kind, regex: Regex::new(regex).ok(), reach })
    .collect()
});

fn directives(comment: &Comment) -> Vec<Directive> {
    let mut found: Vec<Directive> = Vec::new();
    for pattern in PATTERNS.iter() {
        let Some(captures) = pattern.regex.as_ref().and_then(|r| r.captures(&comment.text)) else { continue };
        if pattern.kind == "noqa" && found.iter().any(|d| d.kind == "ruff: noqa") {
            continue;
        }
        if pattern.kind == "pyre" && comment.text.contains("all-errors") {
            continue;
        }
        let listed = captures.get(1).map_or("", |m| m.as_str());
        let mut codes: Vec<String> =
            listed.split([',', ' ', '\t']).map(str::trim).filter(|c| !c.is_empty()).map(ToString::to_string).collect();
        if pattern.kind == "nosec" {
            codes.retain(|c| known_bandit(c));
        }
        let own_line = comment.code.is_empty();
        let wide_pylint = pattern.kind == "pylint: disable"
            && (codes.is_empty()
                || codes.iter().any(|c| c == "all")
                || own_line && !comment.text.contains("disable-next"));
        let reach = match pattern.reach {
            Reach::Coded if wide_pylint => Reach::Wide,
            Reach::Coded if codes.is_empty() => Reach::Bare,
            reach => reach,
        };
        found.push(Directive {
            kind: pattern.kind,
            reach,
            codes,
            line: comment.line,
            code: comment.code.clone(),
            text: captures.get(0).map_or(String::new(), |m| m.as_str().to_string()),
        });
    }
    found
}

/// Bandit's own ids; it takes a comment that names no test it knows for a bare one.
fn known_bandit(code: &str) -> bool {
    let digits = code.strip_prefix(['B', 'b']).and_then(|d| d.parse::<u32>().ok());
    match digits {
        Some(d) => matches!(d, 101..=113 | 201..=202 | 301..=325 | 401..=415 | 501..=509 | 601..=615 | 701..=704),
        None => code.contains('_') && code.chars().all(|c| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit()),
    }
}

fn of_python(py: &Py) -> Vec<Directive> {
    let mut all: Vec<Directive> = py.comments().iter().flat_map(directives).collect();
    super::python::walk(py.body(), &mut |stmt| {
        let decorators = match stmt {
            Stmt::FunctionDef(f) => &f.decorator_list,
            Stmt::ClassDef(c) => &c.decorator_list,
            _ => return true,
        };
        for decorator in decorators {
            let name = super::python::dotted(&decorator.expression);
            if super::python::last(&name).starts_with("no_type_check") {
                let line = py.line_of(decorator);
                all.extend(directives(&Comment { line, text: "@no_type_check".to_string(), code: "@".to_string() }));
            }
        }
        true
    });
    all
}

fn of_text(text: &str) -> Vec<Directive> {
    (text.lines().enumerate())
        .filter(|(_, l)| l.contains('#') || l.contains("<!--") || l.contains(".. "))
        .flat_map(|(index, line)| {
            let line_number = u32::try_from(index + 1).unwrap_or(0);
            directives(&Comment { line: line_number, text: line.to_string(), code: "text".to_string() })
        })
        .collect()
}

fn squeeze(text: &str) -> String {
    text.split_whitespace().collect()
}

pub(crate) fn judge(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let mut leftover: Vec<Directive> = Vec::new();
    let mut new: Vec<(&File<'_>, Directive)> = Vec::new();
    for file in &context.files {
        let (mut before, after) = match (&file.py_before, &file.py_after) {
            (None, None) => {
                let prose = paths::is_docs(file.path)
                    || matches!(paths::extension(file.path).as_str(), "yml" | "yaml" | "toml" | "cfg" | "html");
                if !prose || paths::is_lock(file.path) {
                    continue;
                }
                (of_text(&file.text_before()), of_text(&file.text_after()))
            }
            (before, after) => {
                (before.as_ref().map_or(Vec::new(), of_python), after.as_ref().map_or(Vec::new(), of_python))
            }
        };
        for directive in after {
            let exact = before.iter().position(|b| {
                b.kind == directive.kind && b.codes == directive.codes && squeeze(&b.code) == squeeze(&directive.code)
            });
            match exact {
                Some(at) => {
                    before.remove(at);
                }
                None => new.push((file, directive)),
            }
        }
        leftover.extend(before);
    }
    for (file, mut directive) in new {
        let near = leftover.iter().position(|b| {
            b.kind == directive.kind && b.reach >= directive.reach.min(Reach::Bare) && alike(&b.code, &directive.code)
        });
        if let Some(at) = near {
            let old = leftover.remove(at);
            if old.reach != Reach::Coded
                || directive.codes.iter().all(|c| old.codes.contains(c)) && directive.reach == Reach::Coded
            {
                continue;
            }
            if directive.reach == Reach::Coded {
                directive.codes.retain(|c| !old.codes.contains(c));
            }
        }
        findings.extend(judged(context, file, &directive));
    }
}

fn alike(before: &str, after: &str) -> bool {
    let (before, after) = (squeeze(before), squeeze(after));
    before == after || similar::TextDiff::from_chars(&before, &after).ratio() > 0.6
}

fn judged(context: &Context<'_>, file: &File<'_>, directive: &Directive) -> Option<Finding> {
    let refuse = |rule: &'static str, message: String| {
        let finding = Finding::refuse(rule, Some(file.path), message).at(directive.line);
        Some(finding.texts(Some(&directive.code), Some(&directive.text)))
    };
    let text = directive.text.trim();
    match directive.reach {
        Reach::Wide => refuse("suppression-wide", format!("`{text}` silences more than one line.")),
        Reach::Whole => refuse("suppression-bare", format!("`{text}` takes code out of a check.")),
        Reach::Bare => refuse("suppression-bare", format!("`{text}` silences every finding of the line.")),
        Reach::Coded => {
            let lines = reported_lines(file, directive.line);
            let on_line =
                |r: &&Reported| r.line.is_some_and(|l| lines.contains(&l)) && tool_fits(directive.kind, &r.tool);
            let here: Vec<&Reported> = context.reported(file.path).filter(on_line).collect();
            let matching = |code: &String| here.iter().find(|r| r.code.as_deref().is_some_and(|c| same_code(c, code)));
            let found: Option<Vec<&&Reported>> = directive.codes.iter().map(matching).collect();
            let Some(found) = found else {
                if lines.is_empty() && !file.is_test && file.before.is_some() {
                    let message = format!("`{text}` stands on a line that is new.");
                    return Some(
                        Finding::flag("suppression-coded", Some(file.path), message)
                            .at(directive.line)
                            .texts(None, Some(text)),
                    );
                }
                return refuse(
                    "suppression-unreported",
                    format!("`{text}` silences what was not reported on this line."),
                );
            };
            if found.iter().any(|r| r.fixable_by_tool == Some(true)) {
                return refuse("suppression-fixable", format!("`{text}` silences what the tool itself repairs."));
            }
            if found.iter().any(|r| ignores_codes(r)) {
                return refuse(
                    "suppression-bare",
                    format!("`{text}`: this version of the tool ignores the code and silences everything."),
                );
            }
            let message = format!("`{text}` silences the reported finding instead of repairing it.");
            let finding = Finding::flag("suppression-coded", Some(file.path), message).at(directive.line);
            Some(
                finding
                    .texts(Some(&directive.code), Some(text))
                    .seen("the line and the code are those that were reported"),
            )
        }
    }
}

fn same_code(reported: &str, code: &str) -> bool {
    let (reported, code) = (reported.to_ascii_lowercase(), code.to_ascii_lowercase());
    reported == code || reported.split_once(':').is_some_and(|(id, name)| id == code || name == code)
}

fn ignores_codes(reported: &Reported) -> bool {
    reported.tool.eq_ignore_ascii_case("bandit")
        && reported.tool_version.as_deref().is_some_and(|v| {
            let mut parts = v.split('.').map(|p| p.parse::<u32>().unwrap_or(0));
            (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) < (1, 8)
        })
}

fn tool_fits(kind: &str, tool: &str) -> bool {
    let tool = tool.to_ascii_lowercase();
    match kind {
        "type: ignore" => {
            tool.contains("mypy")
                || tool.contains("pyright")
                || tool.contains("ty")
                || tool.contains("pyre")
                || tool.contains("stubtest")
        }
        "noqa" => !matches!(tool.as_str(), "mypy" | "pyright" | "bandit" | "pytest"),
        "nosec" => tool.contains("bandit"),
        "pylint: disable" => tool.contains("pylint"),
        "pyright: ignore" => tool.contains("pyright"),
        _ => true,
    }
}

/// The lines before the change that an after-line's statement stood on; empty where it is new.
fn reported_lines(file: &File<'_>, line: u32) -> BTreeSet<u32> {
    let (Some(before), Some(after)) = (&file.py_before, &file.py_after) else { return BTreeSet::new() };
    let strip = |py: &Py| -> Vec<String> {
        let cut: BTreeMap<u32, String> = py.comments().into_iter().map(|c| (c.line, c.code)).collect();
        let lines = py.text.lines().enumerate();
        lines
            .map(|(i, l)| {
                cut.get(&u32::try_from(i + 1).unwrap_or(0)).map_or_else(|| l.trim().to_string(), Clone::clone)
            })
            .collect()
    };
    let (old, new) = (strip(before), strip(after));
    let diff = similar::capture_diff_slices(similar::Algorithm::Myers, &old, &new);
    let mut map: BTreeMap<u32, u32> = BTreeMap::new();
    for op in diff {
        let paired = match op {
            similar::DiffOp::Equal { old_index, new_index, len } => Some((old_index, new_index, len)),
            similar::DiffOp::Replace { old_index, old_len, new_index, new_len } if old_len == new_len => {
                Some((old_index, new_index, old_len))
            }
            _ => None,
        };
        if let Some((old_index, new_index, len)) = paired {
            for offset in 0..len {
                let pair = (u32::try_from(new_index + offset + 1), u32::try_from(old_index + offset + 1));
                if let (Ok(new), Ok(old)) = pair {
                    map.insert(new, old);
                }
            }
        }
    }
    let (from, to) = logical_line(after, line);
    if !map.contains_key(&line) {
        return BTreeSet::new();
    }
    (from..=to).filter_map(|l| map.get(&l).copied()).collect()
}

/// The first and last line of the smallest statement, or header of one, around a line.
fn logical_line(py: &Py, line: u32) -> (u32, u32) {
    let mut found = (line, line);
    super::python::walk(py.body(), &mut |stmt| {
        let from = py.line_of(stmt);
        let to = match super::python::suites(stmt).iter().find_map(|s| s.first()) {
            Some(first) => py.line_of(first).saturating_sub(1).max(from),
            None => py.line_at(stmt.end()),
        };
        if from <= line && line <= to && !matches!(stmt, Stmt::ClassDef(_)) {
            found = (from, to);
        }
        true
    });
    found
}
