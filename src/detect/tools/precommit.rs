//! The hooks of pre-commit.

use super::format::push;
use super::{Kind, Read, Tool};
use crate::detect::failure::{Category, Key};
use crate::detect::found::{Found, Sink, Weight};
use crate::detect::text::{bounded, patterns};

patterns! {
    HOOK = r"^(\S.*?)\.{3,}(?:\(.*\))?(Failed|Passed|Skipped)$";
    HOOK_ID = r"^- hook id: (\S+)$";
    HOOK_EXIT = r"^- exit code: (\d+)$";
    FIXING = r"^(?:Fixing|fixed|Fixed|reformatted) (\S+)$";
    IN = r#"^\s*in "([^"]+)", line (\d+)"#;
    ERROR = r"^An (?:unexpected )?error has occurred: (.*)$";
    NO_TOOL = r"^Executable `([^`]+)` not found$";
}

pub(super) const TOOL: Kind = Kind::new(
    &["error has occurred: ", "...Failed", "...Passed", "...Skipped", ")Failed", ")Passed", ")Skipped"],
    || Box::<PreCommit>::default(),
);

/// The state between lines.
#[derive(Debug, Default)]
struct PreCommit {
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

impl Tool for PreCommit {
    fn line(&mut self, line: &str, sink: &mut Sink) -> Read {
        if self.read(line, sink) { Read::Taken } else { Read::Pass }
    }

    fn open(&self) -> bool {
        self.hook.is_some()
    }

    fn close(&mut self, sink: &mut Sink) {
        self.end_hook(sink);
    }
}

impl PreCommit {
    fn read(&mut self, line: &str, sink: &mut Sink) -> bool {
        if let Some(found) = ERROR.captures(line) {
            let key = Key::Message { file: None, message: sink.paths.stable(&found[1]) };
            let category =
                if sink.network || found[1].contains("'fetch'") { Category::Infra } else { Category::Quality };
            sink.push(Found::new(category, "pre-commit", key, &found[1]).weigh(Weight::Hint));
            return true;
        }
        if line.ends_with("ed")
            && line.contains("...")
            && let Some(found) = HOOK.captures(line)
        {
            self.end_hook(sink);
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
                sink.hooked(hook.id.clone());
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
                self.end_hook(sink);
                return true;
            }
            if let Some(found) = FIXING.captures(line) {
                let rule = hook.id.clone().unwrap_or_else(|| hook.name.clone());
                let said = format!("{}: {line}", hook.name);
                push(sink, "pre-commit", &found[1], &rule, &said, None);
                return true;
            }
            if let Some(found) = NO_TOOL.captures(line) {
                let key = Key::Missing { name: found[1].to_owned() };
                sink.push(Found::new(Category::ImportDependency, "pre-commit", key, line));
                return true;
            }
        }
        false
    }

    /// The hook is over: if its tool said nothing that was understood, its own word counts.
    fn end_hook(&mut self, sink: &mut Sink) {
        sink.hooked(None);
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
        let mut found = Found::new(category, "pre-commit", key, &message).excerpt(hook.lines.join("\n"));
        // Parsers of data name the place on a line of its own, the last one being where they gave up.
        if let Some((at, place)) =
            hook.lines.iter().enumerate().rev().find_map(|(at, line)| Some((at, IN.captures(line)?)))
        {
            let reason = hook.lines.get(at.saturating_sub(1)).map_or("", String::as_str);
            found.message = format!("{id}: {reason}");
            found = found.at(sink.paths.file(&place[1]), place[2].parse().ok());
        }
        sink.push(found);
    }
}
