//! Formatters that only check: ruff format, black, isort, and the hooks of pre-commit.

use crate::detect::failure::{Category, Key};
use crate::detect::found::{Found, Sink, Weight};
use crate::detect::text::{bounded, patterns};

patterns! {
    RUFF = r"^Would reformat: (.+)$";
    BLACK = r"^would reformat (\S.*?)$";
    ISORT = r"^ERROR: (.+?) Imports are incorrectly sorted and/or formatted\.$";
    UNPARSED = r"^error: (?:cannot format|Failed to (?:parse|format)) (.+?):(?:(\d+):\d+:)? (.*)$";
    POSITION = r"(\d+):\d+";
    HOOK = r"^(\S.*?)\.{3,}(?:\(.*\))?(Failed|Passed|Skipped)$";
    HOOK_ID = r"^- hook id: (\S+)$";
    HOOK_EXIT = r"^- exit code: (\d+)$";
    FIXING = r"^(?:Fixing|fixed|Fixed|reformatted) (\S+)$";
    NO_TOOL = r"^Executable `([^`]+)` not found$";
}

/// The state between lines.
#[derive(Debug, Default)]
pub(super) struct Format {
    hook: Option<Hook>,
}

#[derive(Debug)]
struct Hook {
    name: String,
    id: Option<String>,
    exit: Option<String>,
    before: usize,
    lines: Vec<String>,
}

impl Format {
    /// Reads one line; `true` if it is a formatter's or pre-commit's.
    pub(super) fn line(&mut self, line: &str, sink: &mut Sink) -> bool {
        if line.ends_with("ed")
            && line.contains("...")
            && let Some(found) = HOOK.captures(line)
        {
            self.close(sink);
            if &found[2] == "Failed" {
                self.hook = Some(Hook {
                    name: found[1].to_owned(),
                    id: None,
                    exit: None,
                    before: sink.found.len(),
                    lines: vec![bounded(line, 200).to_owned()],
                });
            }
            return true;
        }
        if let Some(hook) = &mut self.hook {
            if hook.lines.len() < 30 {
                hook.lines.push(bounded(line, 200).to_owned());
            }
            if let Some(found) = HOOK_ID.captures(line) {
                hook.id = Some(found[1].to_owned());
                sink.hook = hook.id.clone();
                return true;
            }
            if let Some(found) = HOOK_EXIT.captures(line) {
                hook.exit = Some(found[1].to_owned());
                return true;
            }
            if line == "- files were modified by this hook" {
                hook.exit = Some("files were modified by this hook".to_owned());
                return true;
            }
            if line.starts_with("pre-commit hook(s) made changes.") || line.starts_with("All changes made by hooks:") {
                self.close(sink);
                return true;
            }
            if let Some(found) = FIXING.captures(line) {
                let rule = hook.id.clone().unwrap_or_else(|| hook.name.clone());
                push(sink, "pre-commit", &found[1], &rule, line, None);
                return true;
            }
            if let Some(found) = NO_TOOL.captures(line) {
                let key = Key::Missing { name: found[1].to_owned() };
                sink.push(Found::new(Category::ImportDependency, "pre-commit", key, line));
                return true;
            }
        }
        if line.starts_with('W')
            && let Some(found) = RUFF.captures(line)
        {
            push(sink, "ruff-format", &found[1], "format", line, None);
        } else if line.starts_with("would reformat ")
            && let Some(found) = BLACK.captures(line)
        {
            push(sink, "black", &found[1], "format", line, None);
        } else if line.starts_with("ERROR: ")
            && let Some(found) = ISORT.captures(line)
        {
            push(sink, "isort", &found[1], "imports", line, None);
        } else if line.starts_with("error: ")
            && let Some(found) = UNPARSED.captures(line)
        {
            let number = found.get(2).map(|number| number.as_str());
            let number =
                number.or_else(|| POSITION.captures(&found[3]).and_then(|found| found.get(1)).map(|m| m.as_str()));
            let tool = if line.contains("cannot format") { "black" } else { "ruff" };
            push(sink, tool, &found[1], "syntax", line, number.and_then(|number| number.parse().ok()));
        } else {
            return false;
        }
        true
    }

    /// The hook is over: if its tool said nothing that was understood, its own word counts.
    pub(super) fn close(&mut self, sink: &mut Sink) {
        sink.hook = None;
        let Some(hook) = self.hook.take() else { return };
        if sink.found.iter().skip(hook.before).any(|found| found.weight == Weight::Finding) {
            return;
        }
        let id = hook.id.unwrap_or(hook.name);
        let error = hook.exit.unwrap_or_else(|| "failed".to_owned());
        let said = hook.lines.iter().skip(1).find(|line| !line.starts_with("- ") && !line.trim().is_empty());
        let message = match said {
            Some(said) => format!("{id}: {said}"),
            None => format!("{id} failed"),
        };
        let error = if error.bytes().all(|b| b.is_ascii_digit()) { format!("exit {error}") } else { error };
        let key = Key::Command { command: format!("pre-commit {id}"), error };
        let category = if id.contains("pytest") { Category::UnitTest } else { Category::Quality };
        sink.push(Found::new(category, "pre-commit", key, &message).excerpt(hook.lines.join("\n")));
    }
}

fn push(sink: &mut Sink, tool: &'static str, file: &str, rule: &str, message: &str, line: Option<u32>) {
    let file = sink.paths.file(file);
    let syntax = rule == "syntax";
    let category = if syntax { Category::SyntaxError } else { Category::Quality };
    let key = Key::Finding { file: file.clone(), rule: rule.to_owned(), symbol: None };
    let cause = if syntax { format!("syntax|{file}") } else { format!("rule|{file}|{tool}|{rule}") };
    let message = sink.paths.relative(message);
    sink.push(Found::new(category, tool, key, &message).at(file, line).because(cause));
}
