//! The TypeScript compiler, plain and `--pretty`.

use super::{Kind, Read, Tool, finding};
use crate::detect::exception;
use crate::detect::failure::{Category, Key};
use crate::detect::found::{Found, Sink};
use crate::detect::text::patterns;

patterns! {
    PLAIN = r"^(\S[^(]*)\((\d+),\d+\): error (TS\d+): (.*)$";
    PRETTY = r"^(\S[^:]*\.\w+):(\d+):\d+ - error (TS\d+): (.*)$";
    BARE = r"^(?:error|ERROR:?) (TS\d+): (.*)$";
}

pub(super) const TOOL: Kind = Kind::new(&["error TS"], || Box::new(Tsc));

#[derive(Debug)]
struct Tsc;

impl Tool for Tsc {
    fn line(&mut self, line: &str, sink: &mut Sink) -> Read {
        if let Some(found) = PLAIN.captures(line).or_else(|| PRETTY.captures(line)) {
            let rule = &found[3];
            // TS1xxx: the text is no TypeScript.
            let syntax = rule.starts_with("TS1") && rule.len() == 6;
            let category = match () {
                () if syntax || sink.runs("build") => Category::Build,
                () => Category::Quality,
            };
            let mut failure =
                finding(sink, category, "tsc", &found[1], &found[2], rule, &format!("{rule}: {}", &found[4]));
            if found[4].starts_with("Cannot find module '") {
                let name = super::js::quoted(&found[4]);
                failure.category = Category::ImportDependency;
                failure.cause = Some(exception::missing_cause(name));
            }
            sink.push(failure);
            return Read::Taken;
        }
        if let Some(found) = BARE.captures(line) {
            let said = sink.paths.relative(&found[2]);
            let key = Key::Message { file: None, message: found[1].to_owned() };
            sink.push(Found::new(Category::Quality, "tsc", key, &format!("{}: {said}", &found[1])));
            return Read::Taken;
        }
        Read::Pass
    }
}
