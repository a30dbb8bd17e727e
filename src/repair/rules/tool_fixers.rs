//! The tool that reported a finding repairs it: its own safe fixes, for exactly the reported codes and files.

use std::{collections::BTreeSet, sync::LazyLock};

use regex::Regex;

use super::{
    Applied, FixType, Repaired, RuleContext, RuleDoc,
    names::matcher,
    tree::{self, Tree},
};
use crate::{
    detect::{Failure, Key},
    sandbox::Ended,
};

pub(super) const RUFF_DOC: RuleDoc = RuleDoc {
    id: "ruff-fix",
    repairs: "findings of `ruff check` that ruff has a safe fix for",
    evidence: "ruff's code and file; the fix is ruff's own, for these codes and files only, never an unsafe one",
    example: "src/a.py:1:8: F401 [*] `os` imported but unused",
};
pub(super) const ISORT_DOC: RuleDoc = RuleDoc {
    id: "isort",
    repairs: "imports that `isort --check` reports as unsorted",
    evidence: "isort's report of the file",
    example: "ERROR: src/a.py Imports are incorrectly sorted and/or formatted.",
};
pub(super) const FORMAT_DOC: RuleDoc = RuleDoc {
    id: "format",
    repairs: "files that `ruff format --check` or `black --check` would reformat",
    evidence: "the formatter's report of the file",
    example: "Would reformat: tests/test_a.py",
};

/// More files in one command than that are left alone: a project-wide reformatting is no repair.
const MOST_FILES: usize = 500;

static CODE: LazyLock<Option<Regex>> = matcher!(r"^[A-Z]{1,7}[0-9]{1,5}$");
static VALUE: LazyLock<Option<Regex>> = matcher!(r"^[A-Za-z0-9_.,/=*:][A-Za-z0-9_.,/=*:-]*$");

fn matches(pattern: &Option<Regex>, text: &str) -> bool {
    pattern.as_ref().is_some_and(|pattern| pattern.is_match(text))
}

/// A tool and how it is called to repair.
struct Tool {
    /// As detection calls it.
    reported_as: &'static str,
    doc: RuleDoc,
    /// Its executable, and its name for `python -m`.
    program: &'static str,
    /// The words that stand before the options.
    words: &'static str,
    /// Options of the failing command that say what is right, with whether a value follows.
    kept: &'static [(&'static str, bool)],
    description: &'static str,
    impact: &'static str,
}

const TOOLS: &[Tool] = &[
    Tool {
        reported_as: "ruff",
        doc: RUFF_DOC,
        program: "ruff",
        words: "check --fix --no-unsafe-fixes --no-cache",
        kept: &[
            ("--config", true),
            ("--line-length", true),
            ("--target-version", true),
            ("--preview", false),
            ("--isolated", false),
        ],
        description: "Applied ruff's safe fixes",
        impact: "ruff holds these fixes to keep the meaning of the code.",
    },
    Tool {
        reported_as: "isort",
        doc: ISORT_DOC,
        program: "isort",
        words: "-q",
        kept: &[
            ("--profile", true),
            ("--settings-path", true),
            ("--settings-file", true),
            ("--sp", true),
            ("-l", true),
            ("--line-length", true),
            ("--src", true),
            ("--filter-files", false),
        ],
        description: "Sorted imports with isort",
        impact: "Imports run in another order; nothing else changes.",
    },
    Tool {
        reported_as: "ruff-format",
        doc: FORMAT_DOC,
        program: "ruff",
        words: "format --no-cache",
        kept: &[
            ("--config", true),
            ("--line-length", true),
            ("--target-version", true),
            ("--preview", false),
            ("--isolated", false),
        ],
        description: "Formatted with ruff",
        impact: "None: only the layout changes.",
    },
    Tool {
        reported_as: "black",
        doc: FORMAT_DOC,
        program: "black",
        words: "-q",
        kept: &[
            ("-l", true),
            ("--line-length", true),
            ("-t", true),
            ("--target-version", true),
            ("--config", true),
            ("-S", false),
            ("--skip-string-normalization", false),
            ("-C", false),
            ("--skip-magic-trailing-comma", false),
            ("--preview", false),
            ("--pyi", false),
        ],
        description: "Formatted with black",
        impact: "None: black proves that the syntax tree stays the same.",
    },
];

pub(super) async fn apply(context: &RuleContext<'_>, repaired: &mut Repaired) -> anyhow::Result<()> {
    for tool in TOOLS {
        let reported: Vec<&Failure> =
            context.failures.iter().filter(|failure| failure.tool == tool.reported_as).collect();
        if !reported.is_empty() {
            run(context, tool, &reported, repaired).await?;
        }
    }
    Ok(())
}

async fn run(
    context: &RuleContext<'_>,
    tool: &Tool,
    reported: &[&Failure],
    repaired: &mut Repaired,
) -> anyhow::Result<()> {
    let tree = Tree::new(context.workspace.root());
    let mut files = BTreeSet::new();
    let mut codes = BTreeSet::new();
    for failure in reported {
        if tool.reported_as == "ruff" {
            match &failure.key {
                // An undefined name is another rule's, and a syntax error nobody's: ruff has no fix for them.
                Key::Finding { rule, .. } if matches(&CODE, rule) && !["F821", "E999"].contains(&rule.as_str()) => {
                    codes.insert(rule.clone())
                }
                _ => continue,
            };
        }
        match failure.file.as_deref().and_then(tree::safe).filter(|file| tool.takes(file) && tree.is_file(file)) {
            Some(file) => {
                files.insert(file.to_owned());
            }
            None => repaired.note(tool.doc.id, "a reported path is no source file of the tree"),
        }
    }
    if files.is_empty() || (tool.reported_as == "ruff" && codes.is_empty()) {
        return Ok(());
    }
    if files.len() > MOST_FILES {
        repaired.note(tool.doc.id, format_args!("{} files are too many for one repair", files.len()));
        return Ok(());
    }
    let files: Vec<String> = files.into_iter().collect();
    let command = reported.iter().find_map(|failure| failure.command.as_deref()).unwrap_or_default();
    let origin = origin(command);
    let options = match origin {
        Origin::PreCommit => hook_options(&tree, tool),
        _ => options(command, tool),
    };
    let call = Call { context, options, origin, tool };
    let before = match tree.snapshot() {
        Ok(before) => before,
        Err(error) => {
            repaired.note(tool.doc.id, error);
            return Ok(());
        }
    };
    // A file that was in ruff's format before its fixes stays in it.
    let formatted = if tool.reported_as == "ruff" { call.in_format(&files).await? } else { Vec::new() };
    tree.restore(&before, &[])?;
    let select = codes.iter().cloned().collect::<Vec<_>>().join(",");
    let select = if codes.is_empty() { String::new() } else { format!("--select {select}") };
    let finished = call.run(&format!("{} {select}", tool.words), &files).await?;
    let said = String::from_utf8_lossy(&finished.output);
    if !matches!(finished.ended, Ended::Exit(0 | 1)) || said.contains(&format!("No module named {}", tool.program)) {
        tree.restore(&before, &[])?;
        let said: String = said.trim().chars().take(300).collect();
        repaired.note(tool.doc.id, format_args!("{} could not be run: {said}", tool.program));
        return Ok(());
    }
    let mut changed = tree.restore(&before, &files)?;
    let reformat: Vec<String> = formatted.into_iter().filter(|file| changed.contains(file)).collect();
    if !reformat.is_empty() {
        call.run("format --no-cache", &reformat).await?;
        changed = tree.restore(&before, &files)?;
    }
    if changed.is_empty() {
        let why =
            if tool.reported_as == "ruff" { "ruff has no safe fix for what it reports" } else { "nothing changed" };
        repaired.note(tool.doc.id, why);
        return Ok(());
    }
    let what = if codes.is_empty() { String::new() } else { format!(" for {}", Vec::from_iter(codes).join(", ")) };
    repaired.applied.push(Applied {
        rule: tool.doc.id,
        fix_type: FixType::Quality,
        description: format!("{}{what} in {}.", tool.description, listed(&changed)),
        impact: tool.impact.to_owned(),
        files: changed,
    });
    Ok(())
}

/// The file that a line of `ruff format --check` names: `Would reformat: a.py`, or ` --> a.py:3:1` of newer ones.
fn unformatted(line: &str) -> Option<&str> {
    match line.trim_start().strip_prefix("--> ") {
        Some(place) => place.trim().rsplitn(3, ':').last(),
        None => line.strip_prefix("Would reformat: ").map(str::trim),
    }
}

pub(super) fn listed(files: &[String]) -> String {
    match files {
        [] => String::new(),
        [only] => format!("`{only}`"),
        more => format!("{} files", more.len()),
    }
}

impl Tool {
    /// Is this a source file, or code in a document for the formatter that takes it?
    fn takes(&self, file: &str) -> bool {
        let ends = |extension: &&str| file.ends_with(*extension);
        [".py", ".pyi", ".ipynb", ".pyx"].iter().any(ends)
            || (self.reported_as == "ruff-format" && file.ends_with(".md"))
    }
}

/// A tool as the failing command called it.
struct Call<'a> {
    context: &'a RuleContext<'a>,
    tool: &'a Tool,
    options: Vec<String>,
    origin: Origin,
}

/// Where a tool's program is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    Path,
    Prefix(&'static str),
    PreCommit,
}

impl Call<'_> {
    async fn run(&self, words: &str, files: &[String]) -> anyhow::Result<crate::sandbox::Finished> {
        let folder = tree::folder(self.context.workspace.root(), self.context.workdir);
        let paths: Vec<String> = files.iter().map(|file| tree::from_folder(folder, file)).collect();
        let program = self.tool.program;
        let (options, paths) = (shell_words::join(&self.options), shell_words::join(&paths));
        let script = match self.origin {
            Origin::Prefix(prefix) => format!("{prefix} {program} {words} {options} -- {paths}"),
            Origin::Path => format!(
                "if command -v {program} >/dev/null 2>&1; then tool=({program}); else tool=(python -m {program}); fi\n\
                 \"${{tool[@]}}\" {words} {options} -- {paths}"
            ),
            // The environment that pre-commit made for the hook, whose version may be another one than the path's.
            Origin::PreCommit => format!(
                "tool=({program})\n\
                 for found in \"${{PRE_COMMIT_HOME:-${{XDG_CACHE_HOME:-$HOME/.cache}}/pre-commit}}\"/repo*/py_env-*/bin/{program}; do\n\
                 if test -x \"$found\"; then tool=(\"$found\"); fi\ndone\n\
                 \"${{tool[@]}}\" {words} {options} -- {paths}"
            ),
        };
        self.context.workspace.run(&script).await
    }

    /// Those of the files that ruff's formatter would leave alone.
    async fn in_format(&self, files: &[String]) -> anyhow::Result<Vec<String>> {
        let all = self.run("format --check --no-cache", files).await?;
        if all.ended == Ended::Exit(0) {
            return Ok(files.to_vec());
        }
        let output = String::from_utf8_lossy(&all.output).into_owned();
        let folder = tree::folder(self.context.workspace.root(), self.context.workdir);
        let reported: BTreeSet<&str> = output.lines().filter_map(unformatted).collect();
        if all.ended != Ended::Exit(1) || reported.is_empty() {
            return Ok(Vec::new());
        }
        let stays = |file: &&String| !reported.contains(tree::from_folder(folder, file).as_str());
        Ok(files.iter().filter(stays).cloned().collect())
    }
}

/// How the failing command finds its programs, without another installation.
fn origin(command: &str) -> Origin {
    let words: Vec<&str> = command.split_whitespace().collect();
    let starts = |first: &str, second: &str| words.windows(2).any(|pair| pair == [first, second]);
    match () {
        () if starts("pre-commit", "run") || words.first() == Some(&"prek") => Origin::PreCommit,
        () if starts("uv", "run") => Origin::Prefix("uv run --no-sync"),
        () if starts("poetry", "run") => Origin::Prefix("poetry run"),
        () if starts("pdm", "run") => Origin::Prefix("pdm run"),
        () => Origin::Path,
    }
}

/// The options that pre-commit's configuration gives to the tool's hook.
fn hook_options(tree: &Tree<'_>, tool: &Tool) -> Vec<String> {
    #[derive(serde::Deserialize)]
    struct Configuration {
        repos: Vec<Repo>,
    }
    #[derive(serde::Deserialize)]
    struct Repo {
        #[serde(default)]
        hooks: Vec<Hook>,
    }
    #[derive(serde::Deserialize)]
    struct Hook {
        id: String,
        #[serde(default)]
        args: Vec<String>,
    }
    let Some(text) = tree.read(".pre-commit-config.yaml") else { return Vec::new() };
    let Ok(configuration) = serde_saphyr::from_str::<Configuration>(&text.content) else { return Vec::new() };
    let named = |hook: &&Hook| hook.id == tool.reported_as || (tool.reported_as == "ruff" && hook.id == "ruff-check");
    let hook = configuration.repos.iter().flat_map(|repo| &repo.hooks).find(named);
    hook.map(|hook| kept(&hook.args, tool)).unwrap_or_default()
}

/// The options of the failing command that say what is right; others, and values that look odd, are left out.
fn options(command: &str, tool: &Tool) -> Vec<String> {
    let line = command.lines().find(|line| line.split_whitespace().any(|word| word.ends_with(tool.program)));
    let words = line.and_then(|line| shell_words::split(line).ok()).unwrap_or_default();
    let start =
        words.iter().position(|word| word.rsplit('/').next() == Some(tool.program)).map_or(words.len(), |at| at + 1);
    kept(&words[start..], tool)
}

fn kept(words: &[String], tool: &Tool) -> Vec<String> {
    let mut kept = Vec::new();
    let mut rest = words.iter().take_while(|word| !["&&", "||", ";", "|", "--"].contains(&word.as_str()));
    while let Some(word) = rest.next() {
        let name = word.split('=').next().unwrap_or(word);
        let Some((_, takes_value)) = tool.kept.iter().find(|(known, _)| *known == name) else { continue };
        if !takes_value {
            kept.push(word.clone());
        } else if word.contains('=') {
            if word.split_once('=').is_some_and(|(_, value)| is_value(value)) {
                kept.push(word.clone());
            }
        } else if let Some(value) = rest.next().filter(|value| is_value(value)) {
            kept.extend([word.clone(), value.clone()]);
        }
    }
    kept
}

fn is_value(value: &str) -> bool {
    matches(&VALUE, value) && !value.starts_with('/') && !value.split('/').any(|part| part == "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool(name: &str) -> &'static Tool {
        TOOLS.iter().find(|tool| tool.reported_as == name).unwrap()
    }

    #[test]
    fn options_that_say_what_is_right_are_kept() {
        assert_eq!(options("black --check -l 79 --diff .", tool("black")), ["-l", "79"]);
        assert_eq!(options("python -m black --line-length=100 src && x -l 3", tool("black")), ["--line-length=100"]);
        assert_eq!(options("set -e\nruff check --config ci/ruff.toml .", tool("ruff")), ["--config", "ci/ruff.toml"]);
    }

    #[test]
    fn odd_values_are_left_out() {
        assert!(options("ruff check --config ../../evil.toml .", tool("ruff")).is_empty());
        assert!(options("ruff check --config='$(x)' .", tool("ruff")).is_empty());
        assert!(options("black -l 'a b' .", tool("black")).is_empty());
    }

    #[test]
    fn codes_have_the_shape_of_codes() {
        assert!(matches(&CODE, "UP037") && matches(&CODE, "F401"));
        assert!(!matches(&CODE, "F401;ls") && !matches(&CODE, "invalid-syntax") && !matches(&CODE, "ALL"));
    }
}
