//! Bundlers: webpack, vite, rollup, esbuild.

use super::{Kind, Read, Tool, finding};
use crate::detect::failure::Category;
use crate::detect::found::Sink;
use crate::detect::text::{bounded, patterns};

patterns! {
    WEBPACK = r"^ERROR in (\./)?(\S+?)(?: (\d+):\d+(?:-\d+)?)?$";
    VITE = r"^(?:error during build:|✗ Build failed in .*|x Build failed in .*)$";
    ROLLUP = r#"^(?:RollupError: )?(?:\[[^\]]+\]:? )*(?:RollupError: )?(?:(\S+\.\w+)(?: \((\d+):\d+\))?: )?(.+)$"#;
    RAISED = r"^\[!\] (?:\(plugin [^)]+\) )?RollupError: (.*)$";
    CODED = r"^\[([A-Z_]+)\] (.*)$";
    BOXED = r"^\s*╭─\[ (\S+?):(\d+):\d+ \]";
    ESBUILD = r"^[✘X] \[ERROR\] (.+)$";
    PLACE = r"^\s+(\S+\.\w+):(\d+):\d+:?$";
    FROM = r#"(?:Could not resolve|Rollup failed to resolve import|Failed to resolve import) "([^"]+)" from "?([^"\s]+?)"?[.?]?(?: |$)"#;
}

pub(super) const TOOL: Kind =
    Kind::new(&["[!] ", "ERROR in ", "error during build", "Build failed in", "[ERROR] "], || {
        Box::<Bundler>::default()
    });

#[derive(Debug)]
enum Open {
    /// The message is on the next lines; the place, where it is known.
    Webpack(String, String),
    Vite(u32),
    Esbuild(String),
    /// rolldown's: a code, a message, and the place in a box below.
    Rolldown(String, String),
}

#[derive(Debug, Default)]
struct Bundler {
    open: Option<Open>,
    lines: u32,
}

impl Tool for Bundler {
    fn line(&mut self, line: &str, sink: &mut Sink) -> Read {
        self.lines += 1;
        match self.open.take() {
            Some(Open::Webpack(file, number)) if !line.trim().is_empty() => {
                let message = line.trim();
                let missing = message.starts_with("Module not found");
                let syntax = message.contains("Module parse failed") || message.contains("SyntaxError");
                push(sink, "webpack", &file, &number, message, missing, syntax);
                return Read::Taken;
            }
            Some(Open::Rolldown(code, message)) if self.lines < 6 => {
                match BOXED.captures(line) {
                    Some(found) => {
                        let missing = code.contains("UNRESOLVED");
                        push(sink, "vite", &found[1], &found[2], &message, missing, code.contains("PARSE"));
                    }
                    None => self.open = Some(Open::Rolldown(code, message)),
                }
                return Read::Taken;
            }
            Some(Open::Vite(lines)) if lines < 6 => {
                let text = line.trim();
                if let Some(found) = CODED.captures(text) {
                    self.lines = 0;
                    self.open = Some(Open::Rolldown(found[1].to_owned(), bounded(&found[2], 500).to_owned()));
                    return Read::Taken;
                }
                if text.starts_with("Build failed with") {
                    self.open = Some(Open::Vite(lines + 1));
                    return Read::Taken;
                }
                if text.is_empty() || text.starts_with("error during build") {
                    self.open = Some(Open::Vite(lines + 1));
                    return Read::Taken;
                }
                said(sink, if sink.runs("rollup") { "rollup" } else { "vite" }, text);
                return Read::Taken;
            }
            Some(Open::Esbuild(message)) if self.lines < 4 => {
                match PLACE.captures(line) {
                    Some(found) => {
                        let missing = message.starts_with("Could not resolve");
                        push(sink, "esbuild", &found[1], &found[2], &message, missing, message.starts_with("Expected"));
                    }
                    None => self.open = Some(Open::Esbuild(message)),
                }
                return Read::Taken;
            }
            other => self.open = other.filter(|open| matches!(open, Open::Webpack(..))),
        }
        if let Some(found) = RAISED.captures(line) {
            said(sink, "rollup", found[1].trim());
            return Read::Taken;
        }
        if let Some(found) = WEBPACK.captures(line) {
            let number = found.get(3).map_or("", |number| number.as_str());
            self.open = Some(Open::Webpack(found[2].to_owned(), number.to_owned()));
        } else if VITE.is_match(line) {
            self.open = Some(Open::Vite(0));
        } else if let Some(found) = ESBUILD.captures(line) {
            self.open = Some(Open::Esbuild(bounded(&found[1], 500).to_owned()));
        } else {
            return Read::Pass;
        }
        self.lines = 0;
        Read::Taken
    }

    fn open(&self) -> bool {
        self.open.is_some()
    }
}

/// An error that says file, place and reason in one line, each of them or not.
fn said(sink: &mut Sink, tool: &'static str, text: &str) {
    let from = FROM.captures(text);
    let (mut file, mut number) = (String::new(), String::new());
    if let Some(found) = ROLLUP.captures(text) {
        file = found.get(1).map_or("", |file| file.as_str()).to_owned();
        number = found.get(2).map_or("", |number| number.as_str()).to_owned();
    }
    if let Some(from) = &from {
        from[2].trim_matches('"').clone_into(&mut file);
    }
    let syntax = ["Failed to parse", "Parse", "PARSE", "Expected", "reserved word", "Unexpected"]
        .iter()
        .any(|word| text.contains(word));
    push(sink, tool, &file, &number, text, from.is_some(), syntax);
}

fn push(sink: &mut Sink, tool: &'static str, file: &str, line: &str, message: &str, missing: bool, syntax: bool) {
    let category = match () {
        () if missing => Category::ImportDependency,
        () if syntax => Category::SyntaxError,
        () => Category::Build,
    };
    let mut found = finding(sink, category, tool, file, line, "error", bounded(message, 1000));
    found.file = found.file.filter(|file| !file.is_empty());
    if missing {
        found.cause = Some(crate::detect::exception::missing_cause(super::js::quoted(message)));
    }
    sink.push(found);
}
