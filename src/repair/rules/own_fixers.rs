//! A check that can write what it asks for is run again as CI wrote it, but for the options that make it only look.

use std::{collections::BTreeSet, sync::LazyLock};

use regex::Regex;

use super::{Repaired, RuleContext, RuleDoc, names::matcher, rerun};
use crate::detect::{Failure, Key};

pub(super) const DOC: RuleDoc = RuleDoc {
    id: "own-fixer",
    repairs: "files that a check which can write would change: docformatter, pyupgrade, autoflake, autopep8, yapf, \
              pycln, ssort, pyproject-fmt, toml-sort, setup-cfg-fmt, taplo, mdformat, and pre-commit's whitespace fixers",
    evidence: "the tool in the failing command; the change is the tool's own, made by the same command without its \
               options to only look, in the reported files where it names them",
    example: "docformatter --check -r src",
};

/// A tool that only looks, or writes.
struct Fixer {
    /// Its program, and its name for detection.
    program: &'static str,
    /// Options that make it look only: left out.
    looks: &'static [&'static str],
    /// The option that makes it write, where it needs one.
    writes: &'static str,
    /// What its files end with; empty for any text.
    files: &'static [&'static str],
}

const PYTHON: &[&str] = &[".py", ".pyi"];
const TOML: &[&str] = &[".toml"];

const fn fixer(
    program: &'static str,
    looks: &'static [&'static str],
    writes: &'static str,
    files: &'static [&'static str],
) -> Fixer {
    Fixer { program, looks, writes, files }
}

const FIXERS: &[Fixer] = &[
    fixer("docformatter", &["--check", "-c", "--diff", "-d"], "--in-place", PYTHON),
    fixer("pyupgrade", &[], "", PYTHON),
    fixer("reorder-python-imports", &["--diff-only"], "", PYTHON),
    fixer("add-trailing-comma", &[], "", PYTHON),
    fixer("autoflake", &["--check", "-c", "--check-diff", "-cd"], "--in-place", PYTHON),
    fixer("autopep8", &["--diff", "-d", "--exit-code"], "--in-place", PYTHON),
    fixer("yapf", &["--diff", "-d", "--quiet", "-q"], "--in-place", PYTHON),
    fixer("pycln", &["--check", "-c", "--diff", "-d"], "", PYTHON),
    fixer("ssort", &["--check", "--diff"], "", PYTHON),
    fixer("pyproject-fmt", &["--check"], "", TOML),
    fixer("toml-sort", &["--check"], "--in-place", TOML),
    fixer("taplo", &["--check", "--diff"], "", TOML),
    fixer("setup-cfg-fmt", &[], "", &["setup.cfg"]),
    fixer("mdformat", &["--check"], "", &[".md"]),
    fixer("double-quote-string-fixer", &[], "", PYTHON),
    fixer("end-of-file-fixer", &[], "", &[]),
    fixer("trailing-whitespace-fixer", &[], "", &[]),
    fixer("mixed-line-ending", &[], "", &[]),
    fixer("fix-byte-order-marker", &[], "", &[]),
    fixer("requirements-txt-fixer", &[], "", &[".txt", ".in"]),
];

pub(super) async fn apply(context: &RuleContext<'_>, repaired: &mut Repaired) -> anyhow::Result<()> {
    for check in context.checks {
        let failed = rerun::failures_of(context, check);
        if failed.is_empty() {
            continue;
        }
        for fixer in FIXERS {
            // What another tool of the same command reports is not this one's.
            let of_it = |f: &&&Failure| f.tool == fixer.program || matches!(f.key, Key::Command { .. });
            if !failed.iter().any(|f| of_it(&f)) {
                continue;
            }
            let Some(script) = writing(check, fixer) else { continue };
            run(context, fixer, &failed, &script, repaired).await?;
        }
    }
    Ok(())
}

async fn run(
    context: &RuleContext<'_>,
    fixer: &Fixer,
    failed: &[&Failure],
    script: &str,
    repaired: &mut Repaired,
) -> anyhow::Result<()> {
    let program = fixer.program;
    let named = failed.iter().filter(|f| f.tool == program).filter_map(|f| f.file.as_deref());
    let reported: BTreeSet<&str> = named.collect();
    let wanted = |file: &str| {
        (fixer.files.is_empty() || fixer.files.iter().any(|end| file.ends_with(end)))
            && (reported.is_empty() || reported.contains(file))
    };
    let author = rerun::Author {
        rule: DOC.id,
        name: program,
        done: format!("Let {program} write what its check asks for in"),
        impact: format!("What {program} does to these files, with the options of the check."),
    };
    rerun::repair(context, author, script, wanted, repaired).await
}

/// The check's script with the tool writing instead of looking; `None` where it does not call the tool.
fn writing(script: &str, fixer: &Fixer) -> Option<String> {
    static WORD: LazyLock<Option<Regex>> = matcher!(r"[^\s]+");
    let mut edited = String::with_capacity(script.len() + 16);
    let mut done = 0;
    // The tool's own words come between its name and what ends the command.
    let mut inside = false;
    let mut found = false;
    let mut before = "";
    for word in WORD.as_ref()?.find_iter(script) {
        let gap = &script[done..word.start()];
        let text = word.as_str();
        if gap.contains('\n') && !edited.ends_with('\\') {
            inside = false;
        }
        let is_program = text.rsplit(['/', '(', '`', '"']).next() == Some(fixer.program)
            && !matches!(before, "install" | "import" | "echo" | "which" | "-v");
        edited.push_str(gap);
        if is_program {
            (inside, found) = (true, true);
            edited.push_str(text);
            if !fixer.writes.is_empty() {
                edited.push(' ');
                edited.push_str(fixer.writes);
            }
        } else if inside && fixer.looks.contains(&text) {
            edited.truncate(edited.trim_end_matches(' ').len());
        } else if let Some(kept) = without_looking(text, fixer).filter(|_| inside) {
            edited.push_str(&kept);
        } else {
            // What another command prints in its place has options of its own.
            inside &=
                !matches!(text, "&&" | "||" | ";" | "|" | "--") && !text.ends_with(';') && !text.contains(['`', '(']);
            edited.push_str(text);
        }
        done = word.end();
        before = text;
    }
    edited.push_str(&script[done..]);
    found.then_some(edited)
}

/// Short options that are written as one word (`-dr`), without those that only look; `None` where none of them does.
fn without_looking(word: &str, fixer: &Fixer) -> Option<String> {
    let letters = word.strip_prefix('-').filter(|l| l.len() > 1 && l.bytes().all(|b| b.is_ascii_alphabetic()))?;
    let looks = |letter: &char| fixer.looks.contains(&format!("-{letter}").as_str());
    let kept: String = letters.chars().filter(|letter| !looks(letter)).collect();
    (!kept.is_empty() && kept.len() < letters.len()).then(|| format!("-{kept}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(program: &str, script: &str) -> Option<String> {
        writing(script, FIXERS.iter().find(|fixer| fixer.program == program).unwrap())
    }

    #[test]
    fn a_check_is_made_to_write() {
        for (program, script, expected) in [
            ("docformatter", "docformatter --check --diff -r src", "docformatter --in-place -r src"),
            ("docformatter", "python -m docformatter -c a.py", "python -m docformatter --in-place a.py"),
            ("docformatter", "cd b\ndocformatter \\\n  --check .", "cd b\ndocformatter --in-place \\\n ."),
            (
                "pyupgrade",
                "pyupgrade --py39-plus $(git ls-files '*.py')",
                "pyupgrade --py39-plus $(git ls-files '*.py')",
            ),
            (
                "autoflake",
                "find . -name '*.py' | xargs autoflake -c",
                "find . -name '*.py' | xargs autoflake --in-place",
            ),
            ("yapf", "yapf -dr src", "yapf --in-place -r src"),
            ("pycln", "uv run pycln . --check && x --check", "uv run pycln . && x --check"),
            ("toml-sort", "toml-sort --check $(x --check) a.toml", "toml-sort --in-place $(x --check) a.toml"),
        ] {
            assert_eq!(of(program, script).as_deref(), Some(expected));
        }
    }

    #[test]
    fn what_is_no_call_of_the_tool_is_left_alone() {
        assert_eq!(of("docformatter", "pip install docformatter"), None);
        assert_eq!(of("yapf", "tox -e yapf-check"), None);
        assert_eq!(of("pyupgrade", "make lint"), None);
    }
}
