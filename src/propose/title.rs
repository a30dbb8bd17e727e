//! The subject of a proposal, worded as the repository words its own: found in the subjects of its last commits. What
//! a subject must not do (mention, refer, close, skip CI) it can't do, whoever wrote the summary.

mod wording;

use std::{collections::BTreeMap, sync::LazyLock};

use regex::Regex;

use crate::{fix_type::FixType, redact::shown};
use wording::{bounded, capital, first_sentence, harmless, imperative, small};

/// Git's and GitHub's own measure of a subject.
const LONGEST: usize = 72;

/// So many subjects are looked at.
const MOST: usize = 200;

/// What is read of a foreign text.
const READ: usize = 400;

/// A pull request's title, and its commit's subject. `subjects` are those of the base's last commits, the newest
/// first.
pub fn title(subjects: &[String], fix_type: FixType, summary: &str) -> String {
    let habit = Habit::of(subjects);
    let prefix = habit.prefix(fix_type, summary);
    let mut text = harmless(summary);
    // The habit's prefix is ours to write.
    while let Some((_, rest)) = marked(&text) {
        text = rest.to_owned();
    }
    let worded = |text: &str| {
        let text = if habit.capital { capital(text) } else { small(text) };
        bounded(&text, LONGEST - prefix.chars().count())
    };
    let said = Some(worded(&text)).filter(|said| said.contains(char::is_alphanumeric));
    format!("{prefix}{}", said.unwrap_or_else(|| worded(&format!("repair the failing {fix_type} check"))))
}

/// A short imperative subject out of a fix's description: its first sentence.
pub fn summary_of(description: &str) -> String {
    let text = harmless(description);
    let sentence = first_sentence(&text);
    static LEAD: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(
            r"(?i)^(?:(?:this|the) (?:change|patch|fix|commit|edit|repair)|it|we|i|i've|we've) (?:now |has |have )?",
        )
        .ok()
    });
    let lead = LEAD.as_ref().and_then(|lead| lead.find(sentence)).map_or(0, |found| found.end());
    let after = &sentence[lead..];
    let (verb, rest) = after.split_once(' ').unwrap_or((after, ""));
    let text = match imperative(verb) {
        Some(verb) if rest.is_empty() => verb,
        Some(verb) => format!("{verb} {rest}"),
        None => sentence.to_owned(),
    };
    bounded(&capital(&text), LONGEST)
}

/// How a repository marks its subjects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Style {
    /// `fix(scope): …`
    Conventional,
    /// `BUG: …`
    Upper,
    /// `BUG …`
    UpperBare,
    /// `[fix] …`
    Bracketed,
    /// `[fix]: …`
    BracketedColon,
    /// `🐛 …`
    Emoji,
    /// `:bug: …`
    Shortcode,
}

/// What stands before a subject's text.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mark<'a> {
    style: Style,
    word: &'a str,
    scope: Option<&'a str>,
}

/// What the subjects have in common.
#[derive(Debug, Default)]
struct Habit {
    style: Option<Style>,
    /// Marks as they are written, and how often.
    words: BTreeMap<String, usize>,
    /// The scopes of each mark.
    scopes: BTreeMap<(String, String), usize>,
    capital: bool,
}

impl Habit {
    fn of(subjects: &[String]) -> Habit {
        let clean: Vec<String> = subjects.iter().take(MOST).map(|s| shown(s, READ)).collect();
        let counted: Vec<&str> =
            clean.iter().map(|s| s.trim()).filter(|s| !s.is_empty() && !is_mechanical(s)).collect();
        let mut styles: BTreeMap<Style, usize> = BTreeMap::new();
        for (mark, _) in counted.iter().filter_map(|s| marked(s)) {
            *styles.entry(mark.style).or_default() += 1;
        }
        // A habit is what at least two in five have, and not only once or twice among many.
        let usual = |count: usize| count * 5 >= counted.len() * 2 && (count >= 3 || count == counted.len());
        let style =
            styles.into_iter().max_by_key(|(_, count)| *count).filter(|(_, count)| usual(*count)).map(|(s, _)| s);
        let mut habit = Habit { style, ..Habit::default() };
        let (mut capitals, mut smalls) = (0, 0);
        for subject in &counted {
            let found = marked(subject);
            if found.as_ref().map(|(mark, _)| mark.style) != style {
                continue;
            }
            let text = found.as_ref().map_or(*subject, |(_, rest)| rest);
            match text.chars().next() {
                Some(c) if c.is_uppercase() => capitals += 1,
                Some(c) if c.is_lowercase() => smalls += 1,
                _ => {}
            }
            if let Some((mark, _)) = found {
                *habit.words.entry(mark.word.to_owned()).or_default() += 1;
                if let Some(scope) = mark.scope {
                    *habit.scopes.entry((mark.word.to_owned(), scope.to_owned())).or_default() += 1;
                }
            }
        }
        habit.capital = capitals >= smalls && (capitals > 0 || style != Some(Style::Conventional));
        habit
    }

    /// What stands before our text.
    fn prefix(&self, fix_type: FixType, summary: &str) -> String {
        let Some(style) = self.style else { return String::new() };
        let word = self.word(style, fix_type);
        match style {
            Style::Conventional => match self.scope(&word, fix_type, summary) {
                Some(scope) => format!("{word}({scope}): "),
                None => format!("{word}: "),
            },
            Style::Upper => format!("{word}: "),
            Style::UpperBare | Style::Emoji | Style::Shortcode => format!("{word} "),
            Style::Bracketed => format!("[{word}] "),
            Style::BracketedColon => format!("[{word}]: "),
        }
    }

    /// The first word for the type that the repository itself uses; else its own word for a fix, else the usual one.
    fn word(&self, style: Style, fix_type: FixType) -> String {
        let (fitting, usual) = words(style, fix_type);
        for wanted in fitting {
            let same =
                self.words.iter().filter(|(used, _)| used.trim_end_matches('\u{fe0f}').eq_ignore_ascii_case(wanted));
            if let Some((used, _)) = same.max_by_key(|(_, count)| **count) {
                return used.clone();
            }
        }
        // `Fix`, where they write `Feat` and `Docs`.
        let most = self.words.iter().max_by_key(|(_, count)| **count).map(|(used, _)| used.as_str());
        match (style, most.and_then(|m| m.chars().next())) {
            (Style::Conventional | Style::Bracketed | Style::BracketedColon, Some(c)) if c.is_uppercase() => {
                capital(usual)
            }
            _ => usual.to_owned(),
        }
    }

    /// A scope that the repository uses with this word and that the summary is about.
    fn scope(&self, word: &str, fix_type: FixType, summary: &str) -> Option<&str> {
        let of_word = self.scopes.iter().filter(|((used, _), _)| used == word);
        let mut ranked: Vec<(&str, usize)> = of_word.map(|((_, scope), count)| (scope.as_str(), *count)).collect();
        ranked.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let summary = summary.chars().take(READ).collect::<String>().to_lowercase();
        let said: Vec<&str> = summary.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '-').collect();
        let about = |scope: &str| match scope.to_lowercase().as_str() {
            "deps" | "dependencies" | "dep" => fix_type == FixType::Dependency,
            scope => said.contains(&scope),
        };
        ranked.into_iter().map(|(scope, _)| scope).find(|scope| about(scope))
    }
}

/// The words that fit a type in a style, the best first, and the one where the repository uses none of them.
fn words(style: Style, fix_type: FixType) -> (&'static [&'static str], &'static str) {
    use FixType::{Benchmark, Build, Coverage, Dependency, Documentation, Quality, Security, Test};
    match style {
        Style::Conventional => match fix_type {
            Test | Coverage => (&["test", "tests", "fix"], "fix"),
            Documentation => (&["docs", "doc", "fix"], "fix"),
            Quality => (&["style", "lint", "chore", "fix"], "fix"),
            Dependency => (&["deps", "build", "chore", "fix"], "fix"),
            Build => (&["build", "fix"], "fix"),
            Security => (&["security", "sec", "fix"], "fix"),
            Benchmark => (&["perf", "fix"], "fix"),
            _ => (&["fix", "bugfix"], "fix"),
        },
        Style::Upper | Style::UpperBare => match fix_type {
            Test | Coverage => (&["TST", "TEST", "TESTS", "BUG", "FIX"], "BUG"),
            Documentation => (&["DOC", "DOCS", "BUG", "FIX"], "BUG"),
            Quality => (&["STY", "STYLE", "CLN", "TYP", "MAINT", "MNT", "BUG", "FIX"], "MAINT"),
            Dependency | Build => (&["BLD", "BUILD", "MAINT", "MNT", "BUG", "FIX"], "BUG"),
            Benchmark => (&["BENCH", "PERF", "BUG", "FIX"], "BUG"),
            _ => (&["BUG", "FIX"], "BUG"),
        },
        Style::Bracketed | Style::BracketedColon => match fix_type {
            Test | Coverage => (&["test", "tests", "fix", "bugfix", "bug"], "fix"),
            Documentation => (&["doc", "docs", "fix", "bugfix", "bug"], "fix"),
            Quality => (&["style", "lint", "chore", "maint", "misc", "fix", "bugfix", "bug"], "fix"),
            Dependency | Build => (&["build", "deps", "maint", "chore", "fix", "bugfix", "bug"], "fix"),
            Security => (&["security", "fix", "bugfix", "bug"], "fix"),
            _ => (&["fix", "bugfix", "bug", "hotfix"], "fix"),
        },
        Style::Emoji => match fix_type {
            Test | Coverage => (&["✅", "🧪", "🐛"], "🐛"),
            Documentation => (&["📝", "📚", "✏", "🐛"], "🐛"),
            Quality => (&["🎨", "🚨", "🐛"], "🐛"),
            Dependency => (&["➕", "📌", "⬆", "🐛"], "🐛"),
            Build => (&["👷", "📦", "🔧", "🐛"], "🐛"),
            Security => (&["🔒", "🐛"], "🐛"),
            Benchmark => (&["⚡", "🐛"], "🐛"),
            _ => (&["🐛"], "🐛"),
        },
        Style::Shortcode => match fix_type {
            Test | Coverage => (&[":white_check_mark:", ":bug:"], ":bug:"),
            Documentation => (&[":memo:", ":books:", ":bug:"], ":bug:"),
            Quality => (&[":art:", ":rotating_light:", ":bug:"], ":bug:"),
            Dependency => (&[":heavy_plus_sign:", ":pushpin:", ":arrow_up:", ":bug:"], ":bug:"),
            Build => (&[":construction_worker:", ":package:", ":wrench:", ":bug:"], ":bug:"),
            Security => (&[":lock:", ":bug:"], ":bug:"),
            Benchmark => (&[":zap:", ":bug:"], ":bug:"),
            _ => (&[":bug:"], ":bug:"),
        },
    }
}

/// Words of Conventional Commits and of those who nearly follow them.
const CONVENTIONAL: &[&str] = &[
    "bugfix", "build", "chore", "ci", "deps", "doc", "docs", "feat", "feature", "fix", "lint", "perf", "refactor",
    "sec", "security", "style", "test", "tests", "typing",
];

/// Words of NumPy's convention and its relatives.
const UPPER: &[&str] = &[
    "API", "BENCH", "BLD", "BUG", "BUILD", "CI", "CLN", "COMPAT", "DEP", "DEPR", "DEV", "DOC", "DOCS", "ENH", "FEA",
    "FIX", "MAINT", "MNT", "PERF", "REF", "REL", "REV", "RLS", "SEC", "SIMD", "STY", "STYLE", "TEST", "TESTS", "TST",
    "TYP", "WEB",
];

/// Words that say what a change is, in brackets.
const BRACKETED: &[&str] = &[
    "bug", "bugfix", "build", "chore", "ci", "deps", "doc", "docs", "feat", "feature", "fix", "hotfix", "lint",
    "maint", "minor", "misc", "perf", "refactor", "security", "style", "test", "tests",
];

/// Takes a subject apart: its mark, and its text.
fn marked(subject: &str) -> Option<(Mark<'_>, &str)> {
    static SHAPES: LazyLock<Option<[Regex; 5]>> = LazyLock::new(|| {
        let of = |text: &str| Regex::new(text).ok();
        Some([
            of(r"^([A-Za-z]{2,8})(?:\(([A-Za-z0-9_./-]{1,24})\))?!?:\s+")?,
            of(r"^([A-Z]{2,6})(?:[,/] ?[A-Z]{2,6})*(:?)\s+")?,
            of(r"^\[([A-Za-z]{2,8})\](:?)\s*")?,
            of(
                r"^((?:\p{Extended_Pictographic}|[\x{1F1E6}-\x{1F1FF}])\x{fe0f}?)(?:[\p{Extended_Pictographic}\x{fe0f}\x{200d}])*\s*",
            )?,
            of(r"^(:[a-z][a-z0-9_]{1,30}:)\s*")?,
        ])
    });
    let [conventional, upper, bracketed, emoji, shortcode] = SHAPES.as_ref()?;
    let has = |list: &[&str], word: &str| list.iter().any(|known| known.eq_ignore_ascii_case(word));
    let mark = |style, word, scope| Mark { style, word, scope };
    let group = |found: &regex::Captures<'_>, n: usize| found.get(n).map(|m| m.range());
    let parts = |shape: &Regex| {
        let found = shape.captures(subject)?;
        Some((&subject[group(&found, 1)?], group(&found, 2).map(|at| &subject[at]), &subject[found.get(0)?.end()..]))
    };
    if let Some((word, colon, rest)) = parts(upper)
        && UPPER.contains(&word)
    {
        let style = if colon == Some(":") { Style::Upper } else { Style::UpperBare };
        return Some((mark(style, word, None), rest));
    }
    if let Some((word, scope, rest)) = parts(conventional)
        && has(CONVENTIONAL, word)
    {
        return Some((mark(Style::Conventional, word, scope), rest));
    }
    if let Some((word, colon, rest)) = parts(bracketed)
        && has(BRACKETED, word)
    {
        let style = if colon == Some(":") { Style::BracketedColon } else { Style::Bracketed };
        return Some((mark(style, word, None), rest));
    }
    if let Some((word, _, rest)) = parts(emoji) {
        return Some((mark(Style::Emoji, word, None), rest));
    }
    parts(shortcode).map(|(word, _, rest)| (mark(Style::Shortcode, word, None), rest))
}

/// Subjects that tools write: nobody's convention.
fn is_mechanical(subject: &str) -> bool {
    static TOOLS: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(
            r#"(?x)
            ^(?:Merge\ |Merged\ |Revert\ |revert[:(]|Reapply\ |fixup!|squash!|amend!|[Ii]nitial\ commit|Auto-?merge
              |Bump\ |Update\ dependency\ |Update\ pre-commit|Apply\ suggestions\ from|\[pre-commit\.ci\]|\[autofix\.ci\]
              |v?\d+\.\d+[\w.]*$|[Rr]elease\ v?\d|[Vv]ersion\ v?\d)
            |^[A-Za-z]+(?:\([^)]*\))?!?:\s+(?:bump|update\ dependency|lock\ file\ maintenance|update\ all\ |pin\ dependencies
              |pre-commit\ autoupdate|release\ v?\d)
            |^\S{1,4}\s*(?:Bump|Upgrade)\ \S+\ from\ \d
            |\[bot\]|dependabot|renovate"#,
        )
        .ok()
    });
    TOOLS.as_ref().is_some_and(|tools| tools.is_match(subject))
}

#[cfg(test)]
mod tests;
