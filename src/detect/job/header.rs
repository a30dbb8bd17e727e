//! The group at a step's beginning: its script, shell, inputs and environment.

use super::{ENTRIES, Job, Part, SCRIPT, Zone};
use crate::detect::failure::StepKind;
use crate::detect::text::bounded;

/// Inputs of actions that run what they are told to.
const COMMANDS: [&str; 6] = ["run", "command", "cmd", "script", "args", "options"];

impl Job {
    /// Reads one line of the group that shows a step.
    pub(super) fn header(&mut self, part: Part, text: &str) {
        if text.len() > self.room {
            return;
        }
        self.room -= text.len();
        let Some(step) = self.steps.last_mut() else { return };
        let next = match text {
            "with:" => Some(Part::With),
            "env:" => Some(Part::Env),
            _ if text.starts_with("shell: ") => Some(Part::Rest),
            _ => None,
        };
        if let Some(next) = next {
            self.key = None;
            self.zone = Zone::Header(next);
            if let Some(given) = text.strip_prefix("shell: ") {
                let action = std::mem::take(&mut self.sink.command);
                if let StepKind::Uses { .. } = step.kind {
                    step.kind = StepKind::Run { script: action.unwrap_or_default(), shell: None };
                }
                if let StepKind::Run { shell, .. } = &mut step.kind {
                    *shell = Some(bounded(given, 500).to_owned());
                }
            }
            return;
        }
        match part {
            Part::Script => {
                // Until `shell:` says that it is one, the script waits where the command will be.
                let text = text.strip_prefix("[36;1m").map_or(text, |text| text.trim_end_matches("[0m"));
                let script = self.sink.command.get_or_insert_with(String::new);
                if script.len() + text.len() < SCRIPT {
                    if !script.is_empty() {
                        script.push('\n');
                    }
                    script.push_str(text);
                }
            }
            Part::With | Part::Env => {
                let map = match (&mut step.kind, part) {
                    (StepKind::Uses { with, .. }, Part::With) => with,
                    _ => &mut step.env,
                };
                if let Some((name, value)) = entry(text) {
                    if map.len() < ENTRIES {
                        map.insert(name.to_owned(), bounded(value, 4096).to_owned());
                        self.key = Some(name.to_owned());
                    }
                } else if let Some(value) = self.key.as_ref().and_then(|key| map.get_mut(key))
                    && value.len() + text.len() < 16 << 10
                {
                    value.push('\n');
                    value.push_str(text);
                }
            }
            Part::Rest => {}
        }
    }

    /// The group is over: the step's output follows.
    pub(super) fn close_header(&mut self) {
        self.zone = Zone::Output;
        let waiting = std::mem::take(&mut self.sink.command);
        let Some(step) = self.steps.last_mut() else { return };
        if let (StepKind::Uses { .. }, Some(script)) = (&step.kind, waiting) {
            step.kind = StepKind::Run { script, shell: None };
        }
        match &step.kind {
            StepKind::Run { script, .. } => self.sink.runs_script(script),
            StepKind::Uses { action, with } => {
                let commands = COMMANDS.iter().filter_map(|input| with.get(*input));
                let script: Vec<&str> = [action].into_iter().chain(commands).map(String::as_str).collect();
                self.sink.runs_script(&script.join("\n"));
            }
        }
    }
}

/// `  name: value`.
fn entry(text: &str) -> Option<(&str, &str)> {
    let (name, value) = text.strip_prefix("  ")?.split_once(':')?;
    let fits = |at: usize, c: char| c.is_alphanumeric() || c == '_' || (at > 0 && matches!(c, '.' | '-'));
    let named =
        !name.is_empty() && !name.starts_with(char::is_numeric) && name.char_indices().all(|(at, c)| fits(at, c));
    named.then(|| (name, value.strip_prefix(' ').unwrap_or(value)))
}
