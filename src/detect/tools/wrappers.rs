//! Runners of other commands: tox, nox, npm, hatch, `set -x`. What they say they start is what the step runs.

use super::{Kind, Read, Tool};
use crate::detect::found::Sink;
use crate::detect::text::{bounded, patterns};

patterns! {
    NAMED = r"^(?:\S+: commands(?:_pre|_post)?\[\d+\](?: \w+)?>|\S+ run-test(?:-pre|-post)?: commands\[\d+\] \||nox >(?: Running session)?|cmd \[\d+\] \|) (.+)$";
    PACKAGE = r"^\S+@\d\S* |^Task |^Configure ";
}

pub(super) const TOOL: Kind =
    Kind::new(&["commands", "nox > ", "cmd ["], || Box::<Wrappers>::default()).starting(&[">", "+", "$"]);

#[derive(Debug, Default)]
struct Wrappers;

impl Tool for Wrappers {
    fn line(&mut self, line: &str, sink: &mut Sink) -> Read {
        if line.starts_with(' ') || line.len() > 2000 {
            return Read::Pass;
        }
        let command = match line.as_bytes() {
            [b'+' | b'$' | b'>', ..] => {
                let rest = line.trim_start_matches('+');
                let rest = if rest.len() == line.len() { &line[1..] } else { rest };
                rest.strip_prefix(' ').filter(|rest| !rest.starts_with(' ') && !PACKAGE.is_match(rest))
            }
            _ => NAMED.captures(line).and_then(|found| found.get(1)).map(|found| found.as_str()),
        };
        if let Some(command) = command.filter(|command| !command.is_empty()) {
            started(command, sink);
        }
        Read::Pass
    }
}

/// The latest commands are kept, the last of them first.
fn started(command: &str, sink: &mut Sink) {
    const TRIVIAL: [&str; 6] = ["echo ", "return ", "exit ", "set ", "export ", "cd "];
    if TRIVIAL.iter().any(|start| command.starts_with(start)) {
        return;
    }
    let mut inner = bounded(command, 500).to_owned();
    for known in sink.inner().unwrap_or_default().lines().take(7) {
        inner.push('\n');
        inner.push_str(known);
    }
    sink.starts(Some(inner));
}
