//! The shell's own errors, and other interpreters' that say where a script died: perl, ruby.

use super::{Kind, Read, Tool};
use crate::detect::exception;
use crate::detect::failure::{Category, Key};
use crate::detect::found::{Found, Sink, Weight};
use crate::detect::paths::is_project;
use crate::detect::text::{bounded, patterns};

patterns! {
    NOT_FOUND = r"^(?:\S+: )?(?:line (\d+): |(\d+): )?(\S+): (?:command )?not found$|^error: Failed to spawn: `?([^`]+?)`?$|^nox > Program (\S+) not found\.$|^\S+: Exception running subprocess \[Errno 2\] No such file or directory: '([^']+)'|^Command not found: (\S+)$|exec: \x22?([\w./-]+)\x22?: executable file not found in|^\S+: failed with (could not find python interpreter .*)$|^tox: error: .*(could not find .*)$|^\S*python[\w.]*(?:\.exe)?: No module named ([\w.]+)(?:; .*)?$|^(?:env|/usr/bin/env): [‘']?([^’']+?)[’']?: No such file or directory$";
    LINE = r"^(\S+): (?:line )?(\d+): (?:(syntax error.*|unexpected EOF .*|.*: unbound variable|.*: parameter (?:null or )?not set|.*: Permission denied|.*: bad substitution|.*: ambiguous redirect|Syntax error: .*|.*: cannot execute.*|.*: No such file or directory))$";
    NO_FILE = r"^(?:/\S+/)?(?:bash|sh|dash|python[\d.]*|node): (?:can't open file )?(?:0: (?:Can't|cannot) open )?'?(\S+?)'?: (?:\[Errno 2\] )?No such file(?: or directory)?$";
    TOX = r"^\S+: failed with (\S.* is not allowed, use allowlist_externals.*)$";
    PERL = r"^(.*) at (\S+\.(?:pl|pm|t)) line (\d+)\.$";
    PERL_MODULE = r"^Can't locate (\S+)\.pm in @INC";
    RUBY = r"^(\S+\.rb):(\d+):in [`'].*?': (.*) \((\w+(?:::\w+)*)\)$";
}

pub(super) const TOOL: Kind = Kind::new(
    &[
        "not found",
        ": No module named ",
        "Exception running subprocess",
        "allowlist_externals",
        "Command not found",
        "could not find python",
        "Failed to spawn",
        "syntax error",
        "yntax error",
        "unbound variable",
        "unexpected EOF",
        "ermission denied",
        "bad substitution",
        "not set",
        "cannot execute",
        "o such file",
        ".pl line ",
        ".pm line ",
        ".t line ",
        ".rb:#",
        "Can't locate ",
    ],
    || Box::<Shell>::default(),
);

#[derive(Debug, Default)]
struct Shell {
    perl: Option<Found>,
}

impl Tool for Shell {
    fn line(&mut self, line: &str, sink: &mut Sink) -> Read {
        if line.len() > 1000 || line.starts_with(' ') {
            return Read::Pass;
        }
        if let Some(found) = NOT_FOUND.captures(line) {
            let name = found.iter().skip(3).flatten().next().map_or("", |name| name.as_str());
            let cause = exception::missing_cause(name);
            let key = Key::Missing { name: name.to_owned() };
            let tool = match () {
                () if line.starts_with("nox > ") => "nox",
                () if line.contains("Exception running") || line.contains(": failed with ") => "tox",
                () if line.starts_with("error: Failed to spawn") => "uv",
                () if line.starts_with("Command not found") => "poetry",
                () if line.contains("executable file not found") => "docker",
                () => "shell",
            };
            let mut failure =
                Found::new(Category::ImportDependency, tool, key, &sink.paths.relative(line)).because(cause);
            let script = line.split(": ").next().unwrap_or_default();
            if let Some(number) = found.get(1).or(found.get(2))
                && is_script(script, sink)
            {
                failure = failure.at(sink.paths.file(script), number.as_str().parse().ok());
            }
            sink.push_once(failure.weigh(Weight::Cause));
        } else if let Some(found) = LINE.captures(line) {
            let said = &found[3];
            let lower = said.to_ascii_lowercase();
            let syntax = lower.starts_with("syntax error") || lower.starts_with("unexpected eof");
            let category = if syntax { Category::SyntaxError } else { Category::RuntimeError };
            let key = Key::Message { file: None, message: sink.paths.stable(said) };
            let mut failure = Found::new(category, "shell", key, &sink.paths.relative(said)).weigh(Weight::Cause);
            if is_script(&found[1], sink) {
                failure = failure.at(sink.paths.file(&found[1]), found[2].parse().ok());
            }
            sink.push_once(failure);
        } else if let Some(found) = TOX.captures(line) {
            let key = Key::Message { file: None, message: sink.paths.stable(&found[1]) };
            sink.push_once(Found::new(Category::RuntimeError, "tox", key, &found[1]).weigh(Weight::Cause));
        } else if let Some(found) = NO_FILE.captures(line) {
            let key = Key::Message { file: None, message: format!("no such file {}", sink.paths.file(&found[1])) };
            sink.push_once(
                Found::new(Category::RuntimeError, "shell", key, &sink.paths.relative(line)).weigh(Weight::Cause),
            );
        } else if let Some(found) = RUBY.captures(line) {
            let command = sink.command.clone().unwrap_or_default();
            let key = Key::Command { command, error: found[4].to_owned() };
            let failure = Found::new(Category::RuntimeError, "ruby", key, &format!("{} ({})", &found[3], &found[4]));
            sink.push_once(failure.at(sink.paths.file(&found[1]), found[2].parse().ok()).weigh(Weight::Cause));
        } else if let Some(found) = PERL_MODULE.captures(line) {
            let name = found[1].replace('/', "::");
            let cause = exception::missing_cause(&name);
            let failure = Found::new(Category::ImportDependency, "perl", Key::Missing { name }, bounded(line, 500));
            sink.push_once(failure.because(cause).weigh(Weight::Cause));
        } else if let Some(found) = PERL.captures(line)
            && !line.starts_with('#')
        {
            let command = sink.command.clone().unwrap_or_default();
            let key = Key::Command { command, error: "die".to_owned() };
            let place = (sink.paths.file(&found[2]), found[3].parse().ok());
            if found[1].starts_with("BEGIN failed")
                && let Some(last) = sink.found.last_mut().filter(|last| last.tool == "perl")
            {
                (last.file, last.line) = (Some(place.0), place.1);
                return Read::Pass;
            }
            let failure = Found::new(Category::RuntimeError, "perl", key, &found[1]);
            self.perl.get_or_insert(failure.at(sink.paths.file(&found[2]), found[3].parse().ok()).weigh(Weight::Hint));
        }
        Read::Pass
    }

    fn close(&mut self, sink: &mut Sink) {
        if let Some(found) = self.perl.take() {
            sink.push(found);
        }
    }
}

/// Is it a script of the repository, and not the runner's own?
fn is_script(name: &str, sink: &Sink) -> bool {
    let file = sink.paths.file(name);
    is_project(&file) && !matches!(file.as_str(), "bash" | "sh" | "dash" | "zsh") && !file.contains("_temp")
}
