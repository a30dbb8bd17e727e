//! Compilers and linkers of C, C++ and the languages of the JVM.

use super::{Kind, Read, Tool, finding};
use crate::detect::exception;
use crate::detect::failure::{Category, Key};
use crate::detect::found::{Found, Sink};
use crate::detect::paths::{from_build, is_project};
use crate::detect::text::{bounded, patterns};

patterns! {
    PLACED = r"^\s*(?::\w+)?(?:\[ERROR\]\s+|e: (?:file://)?)?((?:[A-Za-z]:)?[^:\s(\[][^:(\[]*\.(?:c|cc|cpp|cxx|c\+\+|h|hh|hpp|hxx|inl|cu|cuh|java|kt|kts|scala|m|mm|swift|f90|pyx|cs))(?::(\d+)(?::\d+)?|:? ?[(\[](\d+)(?:,\s?\d+)?[)\]]):? *(?:fatal )?(?:error:?|Error:)? ?(\w*\d*):? (.*)$";
    ERROR = r"(?:fatal )?\berror\b:? ?(?:[A-Z]+\d+)?:? |^\[ERROR\] |^e: ";
    UNDEFINED = r"^(?:/\S*ld(?:\.\w+)?: |ld(?:\.lld)?: |.*rust-lld: )?(?:error: )?(?:(\S+?):(?:(\d+):|\(\S*\): ?) ?)?(undefined reference to [`']([^`']+)'?|undefined symbol: (\S+)|multiple definition of [`']([^`']+)'.*|duplicate symbol:? '?(\S+?)'?)";
    REFERENCED = r">>> referenced by \S+ \((\S+?):(\d+)\)";
    NO_LIBRARY = r"(?:cannot find|library not found for) -l(\S+?)(?::|$)";
}

pub(super) const TOOL: Kind = Kind::new(
    &[
        ": error",
        ": fatal error",
        "error C",
        "[ERROR] ",
        "e: file:",
        ".kt: (",
        "undefined reference",
        "undefined symbol: ",
        "multiple definition of",
        "duplicate symbol",
        "cannot find -l",
        "library not found for",
        "referenced by ",
        ": Fatal error",
    ],
    || Box::<Compiler>::default(),
);

#[derive(Debug, Default)]
struct Compiler;

impl Tool for Compiler {
    fn line(&mut self, line: &str, sink: &mut Sink) -> Read {
        if line.contains("undefined") || line.contains("multiple definition") || line.contains("duplicate symbol") {
            if let Some(found) = UNDEFINED.captures(line) {
                return link(&found, sink);
            }
        } else if let Some(found) = NO_LIBRARY.captures(line) {
            let name = found[1].to_owned();
            let cause = exception::missing_cause(&name);
            let said = line.split(": ").skip(1).collect::<Vec<_>>().join(": ");
            let said = if said.is_empty() { line } else { &said };
            sink.push_once(Found::new(Category::Build, "linker", Key::Missing { name }, said).because(cause));
            return Read::Taken;
        } else if let Some(found) = REFERENCED.captures(line) {
            if let Some(last) = sink.found.last_mut().filter(|last| last.tool == "linker" && last.file.is_none()) {
                last.file = Some(sink.paths.file(&found[1]));
                last.line = found[2].parse().ok();
            }
            return Read::Pass;
        }
        if !ERROR.is_match(line) {
            return Read::Pass;
        }
        let Some(found) = PLACED.captures(line) else { return Read::Pass };
        let number = found.get(2).or(found.get(3)).map_or("", |number| number.as_str()).to_owned();
        let message = if found[4].is_empty() { found[5].to_owned() } else { format!("{} {}", &found[4], &found[5]) };
        let mut failure = finding(
            sink,
            Category::Build,
            "compiler",
            from_build(&found[1]),
            &number,
            "error",
            bounded(&message, 1000),
        );
        if let Key::Finding { symbol, .. } = &mut failure.key {
            // Compilers of C have no codes: what is said tells two errors of one file apart.
            *symbol = Some(sink.paths.stable(&message));
        }
        let known = failure.key.clone();
        if sink.known(&known).is_none_or(|known| known.line != failure.line) {
            sink.push(failure);
        }
        Read::Taken
    }
}

fn link(found: &regex::Captures<'_>, sink: &mut Sink) -> Read {
    let symbol = (4..=7).find_map(|at| found.get(at)).map_or("", |symbol| symbol.as_str());
    let key = Key::Finding { file: String::new(), rule: "link".to_owned(), symbol: Some(symbol.to_owned()) };
    let mut failure = Found::new(Category::Build, "linker", key, bounded(&found[3], 1000));
    failure.cause = Some(format!("link|{symbol}"));
    if let Some(file) = found.get(1) {
        let file = sink.paths.file(file.as_str());
        let line = found.get(2).and_then(|line| line.as_str().parse().ok());
        if is_project(&file) && line.is_some() {
            failure = failure.at(file, line);
        }
    }
    sink.push_once(failure);
    Read::Taken
}
