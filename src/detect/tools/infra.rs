//! What is nobody's code: the runner, the network, credentials, cancellation; and time that ran out.

use crate::detect::exception;
use crate::detect::failure::{Category, Key};
use crate::detect::found::{Found, Sink, Weight};
use crate::detect::text::patterns;

patterns! {
    RUNNER = r"(?x) The\ runner\ has\ received\ a\ shutdown\ signal | lost\ communication\ with\ the\ server
        | The\ operation\ was\ canceled | A\ task\ was\ canceled | The\ self-hosted\ runner
        | The\ job\ was\ not\ acquired | hosted\ runner.*(?:lost|encountered\ an\ error)
        | Failed\ to\ download\ (?:archive|action) | An\ action\ could\ not\ be\ found | Unable\ to\ resolve\ action
        | Can't\ find\ 'action\.yml' | Unable\ to\ download\ artifact | Artifact\ not\ found\ for\ name
        | Failed\ to\ CreateArtifact | Credentials\ could\ not\ be\ loaded | Could\ not\ load\ credentials
        | Bad\ credentials | Resource\ not\ accessible\ by\ integration | Input\ required\ and\ not\ supplied
        | pod\ failed\ to\ come\ online | No\ space\ left\ on\ device | rate\ limit | couldn't\ find\ remote\ ref
        | The\ process\ '.*git(?:\.exe)?'\ failed\ with\ exit\ code | Docker\ pull\ failed | Version\ .*\ was\ not\ found\ in\ the\ local\ cache
        | The\ version\ '.*'\ with\ architecture\ '.*'\ was\ not\ found | repository\ '.*'\ not\ found | Service\ Unavailable | Unexpected\ HTTP\ response
        | Executing\ the\ custom\ container | toomanyrequests | denied:\ requested\ access | HttpError:";
    TIMED_OUT = r"has exceeded the maximum execution time|has timed out after \d+ minutes|returning 124$|^Command took >\d+|^timeout: sending signal";
    SOFT = r"(?x) No\ space\ left\ on\ device | API\ rate\ limit\ exceeded | couldn't\ find\ remote\ ref | Could\ not\ resolve\ host
        | ^Could\ not\ apply\ [0-9a-f]{7} | ^CONFLICT\ \( | Automatic\ merge\ failed | fatal:\ unable\ to\ access
        | ^!\ \[(?:remote\ )?rejected\] | error:\ failed\ to\ push\ some\ refs | fatal:\ Authentication\ failed
        | Permission\ denied\ \(publickey\) | Cannot\ connect\ to\ the\ Docker\ daemon | ^E:\ (?:Failed\ to\ fetch|Unable\ to\ fetch|Could\ not\ get\ lock)
        | ^received\ SIG(?:INT|TERM)|toomanyrequests:|Error\ response\ from\ daemon|^gpg:\ .*failed | runner-container-hooks\]\ FATAL";
    CRASH = r"^(?:Fatal Python error: .*|.*Segmentation fault.*|.*\(core dumped\).*|Bus error.*|Aborted.*|Illegal instruction.*|Killed|.*terminate called after throwing.*)$";
    NOT_FOUND = r"^(?:\S+: )?(?:line \d+: |\d+: )?(\S+): (?:command )?not found$|^error: Failed to spawn: `([^`]+)`$|^\S*python[\w.]*(?:\.exe)?: No module named ([\w.]+)$";
}

/// Reads one line. `error` says that the runner marked it as one.
pub(super) fn line(line: &str, error: bool, sink: &mut Sink) {
    if exception::network(line) {
        if !sink.network && !sink.has(Weight::Hint) {
            sink.network = true;
            hint(Category::Infra, "network", line, sink, Weight::Hint);
        }
        sink.network = true;
    }
    if (error || line.contains("onnection")) && sink.found.len() > 4000 {
        return;
    }
    if TIMED_OUT.is_match(line) && (error || !line.contains("::")) {
        let weight = if error { Weight::Runner } else { Weight::Cause };
        hint(Category::Timeout, "runner", line, sink, weight);
    } else if error && RUNNER.is_match(line) {
        hint(Category::Infra, "runner", line, sink, Weight::Runner);
    } else if line.contains(' ') && SOFT.is_match(line) {
        hint(Category::Infra, "git", line, sink, Weight::Hint);
    } else if !line.starts_with(' ') && CRASH.is_match(line) {
        let key = Key::Command { command: command(sink), error: error_class(line).to_owned() };
        sink.push(Found::new(Category::Crash, "process", key, line).weigh(Weight::Cause));
    } else if (line.ends_with("not found")
        || line.contains(": No module named ")
        || line.starts_with("error: Failed to s"))
        && let Some(found) = NOT_FOUND.captures(line)
    {
        let name = found.iter().skip(1).flatten().next().map_or("", |name| name.as_str());
        let cause = exception::missing_cause(name);
        let key = Key::Missing { name: name.to_owned() };
        let failure = Found::new(Category::ImportDependency, "shell", key, &sink.paths.relative(line));
        sink.push(failure.because(cause).weigh(Weight::Cause));
    }
}

fn hint(category: Category, tool: &'static str, line: &str, sink: &mut Sink, weight: Weight) {
    let message = sink.paths.stable(line);
    let key = Key::Message { file: None, message };
    if let Some(known) = sink.found.iter_mut().rev().take(8).find(|known| known.key == key) {
        known.count += 1;
        return;
    }
    sink.push(Found::new(category, tool, key, line).weigh(weight));
}

fn error_class(line: &str) -> &str {
    const CLASSES: [&str; 5] = ["Segmentation fault", "Bus error", "Illegal instruction", "Killed", "Aborted"];
    CLASSES.iter().find(|class| line.contains(**class)).copied().unwrap_or("crash")
}

fn command(sink: &Sink) -> String {
    sink.command.clone().unwrap_or_default()
}
