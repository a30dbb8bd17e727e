//! Logs of other services than GitHub's: GitLab, Azure Pipelines, Travis, CircleCI, Jenkins, Buildkite; and a terminal's.

use super::{Job, SCRIPT, Zone};
use crate::detect::failure::StepKind;
use crate::detect::text::{bounded, patterns};

patterns! {
    SECTION = r"^section_(?:start|end):\d+:(\w+)";
    EXITED = r#"(?x)^(?: ERROR:\ Job\ failed.*?(?:exit\ (?:code|status)|exit\ code)\ (\d+)\b.*
        | The\ command\ ".*"\ exited\ with\ (\d+)\.
        | Exited\ with\ code\ (?:exit\ status\ )?(\d+)
        | (?:Bash|PowerShell|Cmd\.exe|Sh|Docker)\ exited\ with\ code\ '(\d+)'\.
        | (?:ERROR:\ )?script\ returned\ exit\ code\ (\d+)
        | (?:🚨\ )?Error:\ The\ command\ exited\ with\ status\ (\d+))$"#;
    PROMPT = r"^\$ (\S.*)$";
}

/// What is remembered of such a log.
#[derive(Debug, Default)]
pub(super) struct Service {
    /// Azure shows a step's script between two lines.
    script: Option<String>,
}

impl Service {
    pub(super) fn attentive(&self) -> bool {
        self.script.is_some()
    }
}

/// The exit status that a line of such a service says.
pub(super) fn exited(text: &str) -> Option<i32> {
    let found = EXITED.captures(text)?;
    found.iter().skip(1).flatten().next()?.as_str().parse().ok().filter(|exit| *exit != 0)
}

impl Job {
    /// Azure: `##[section]Starting: Run tests`, `##[section]Finishing: Run tests`.
    pub(super) fn section(&mut self, text: &str) {
        self.settle();
        self.seal();
        self.end_step(None);
        if let Some(title) = text.strip_prefix("Starting: ") {
            self.begin(title, None);
            self.zone = Zone::Output;
        } else {
            self.zone = Zone::After;
        }
    }

    /// Reads a line that such a service may have written; `true` if it is one.
    pub(super) fn serviced(&mut self, text: &str, raw: &str) -> bool {
        if let Some(script) = &mut self.service.script {
            if text.contains("Starting Command Output") {
                let script = self.service.script.take().unwrap_or_default();
                self.sink.runs_script(&script);
                if let Some(step) = self.steps.last_mut() {
                    step.kind = StepKind::Run { script, shell: None };
                }
            } else if script.len() + text.len() < SCRIPT {
                if !script.is_empty() {
                    script.push('\n');
                }
                script.push_str(text);
            }
            return true;
        }
        if text == "Script contents:" && self.open {
            self.service.script = Some(String::new());
        } else if let Some(found) = SECTION.captures(text) {
            if text.starts_with("section_start") {
                let over = ["after_script", "cleanup_file_variables", "archive_cache", "upload_artifacts_on_failure"];
                if over.contains(&&found[1]) {
                    self.end_step(None);
                    self.zone = Zone::After;
                } else if self.zone == Zone::After {
                    self.zone = Zone::Before;
                }
            }
        } else if let Some(found) = PROMPT.captures(text)
            && self.zone != Zone::After
            && !self.tools.captures()
            && (raw.contains("\u{1b}[") || self.steps.is_empty() || self.prompted())
        {
            self.end_step(None);
            let command = found[1].to_owned();
            self.begin(&command, None);
            if let Some(step) = self.steps.last_mut() {
                step.kind = StepKind::Run { script: bounded(&command, SCRIPT).to_owned(), shell: None };
            }
            self.sink.runs_script(&command);
            self.zone = Zone::Output;
        } else if let Some(exit) = exited(text) {
            self.claim = Some(exit);
            self.settle();
        } else if matches!(text, "Job succeeded" | "Finished: SUCCESS") {
            self.end_step(None);
            self.ended = true;
            self.zone = Zone::After;
        } else {
            return false;
        }
        true
    }

    fn prompted(&self) -> bool {
        self.steps.last().is_some_and(|step| matches!(&step.kind, StepKind::Run { script, .. } if *script == step.name))
    }
}
