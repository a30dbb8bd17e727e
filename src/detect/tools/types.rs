//! Type checkers: mypy (plain and pretty), stubtest, pyright.

use crate::detect::failure::{Category, Key};
use crate::detect::found::{Found, Sink};
use crate::detect::text::{bounded, patterns};

patterns! {
    MYPY = r"^((?:[A-Za-z]:)?[^:\s][^:]*?\.(?:pyi?|toml|cfg|ini)):(\d+)(?::\d+){0,3}: error: (.*)$";
    CODE = r"^(.*?)\s*\[([a-z][a-z0-9-]*)\]\s*$";
    FATAL = r"^mypy: (?:error: )?(.*)$";
    PYRIGHT = r"^\s*((?:[A-Za-z]:)?[^:\s][^:]*?\.pyi?):(\d+):\d+ - error: (.*?)(?: \((report\w+)\))?$";
    STUB = r"^error: ([\w.]+) (is inconsistent|is not present in stub|is not present at runtime|variable differs from runtime type|failed to find stubs|failed to import|is not a \w+|is a .*?|cannot .*?|inconsistently .*?)(?:[,:] (.*))?$";
    STUB_PLACE = r"^(?:Stub|Runtime): in file (.+?):(\d+)$";
    NAME = r#""([A-Za-z_][\w.]{0,80})""#;
}

/// The state between lines.
#[derive(Debug, Default)]
pub(super) struct Types {
    open: Option<Open>,
    stub: Option<Stub>,
}

/// A message of mypy's pretty output that goes on.
#[derive(Debug)]
struct Open {
    file: String,
    line: u32,
    message: String,
    lines: Vec<String>,
}

#[derive(Debug)]
struct Stub {
    symbol: String,
    rule: String,
    message: String,
    file: Option<(String, u32)>,
    lines: Vec<String>,
}

impl Types {
    /// Reads one line; `true` if it is a type checker's.
    pub(super) fn line(&mut self, line: &str, sink: &mut Sink) -> bool {
        if line.contains(": error: ")
            && let Some(found) = MYPY.captures(line)
        {
            self.close(sink);
            let number = found[2].parse().unwrap_or_default();
            let message = found[3].trim_end();
            match CODE.captures(message) {
                Some(code) => push(sink, &found[1], number, &code[1], Some(&code[2]), None),
                None => {
                    self.open = Some(Open {
                        file: found[1].to_owned(),
                        line: number,
                        message: bounded(message, 1000).to_owned(),
                        lines: vec![bounded(line, 300).to_owned()],
                    });
                }
            }
            return true;
        }
        if let Some(open) = &mut self.open {
            let over = line.starts_with("    ")
                || line.starts_with("Found ")
                || line.trim().is_empty()
                || line.contains(": note: ");
            if !over && open.lines.len() < 10 {
                open.lines.push(bounded(line, 300).to_owned());
                let joined = format!("{} {}", open.message, line.trim());
                open.message = bounded(&joined, 1500).to_owned();
                if CODE.is_match(&open.message) && line.trim_end().ends_with(']') {
                    self.close(sink);
                }
                return true;
            }
            self.close(sink);
        }
        if let Some(stub) = &mut self.stub {
            if let Some(found) = STUB_PLACE.captures(line) {
                if line.starts_with("Stub") || stub.file.is_none() {
                    stub.file = found[2].parse().ok().map(|number| (found[1].to_owned(), number));
                }
                stub.lines.push(bounded(line, 300).to_owned());
                return true;
            }
            if line.starts_with("error: ") || line.starts_with("Found ") || stub.lines.len() > 14 {
                self.close(sink);
            } else {
                stub.lines.push(bounded(line, 300).to_owned());
                return true;
            }
        }
        if let Some(said) = line.strip_prefix("error: ") {
            if let Some(found) = STUB.captures(line) {
                self.stub = Some(Stub {
                    symbol: found[1].to_owned(),
                    rule: found[2].to_owned(),
                    message: bounded(said, 1000).to_owned(),
                    file: None,
                    lines: vec![bounded(line, 300).to_owned()],
                });
                return true;
            }
            return false;
        }
        if line.contains(" - error: ")
            && let Some(found) = PYRIGHT.captures(line)
        {
            let file = sink.paths.file(&found[1]);
            let rule = found.get(4).map_or("error", |rule| rule.as_str()).to_owned();
            let symbol = NAME.captures(&found[3]).map(|name| name[1].to_owned());
            let cause = format!("rule|{file}|{rule}");
            let key = Key::Finding { file: file.clone(), rule, symbol };
            let failure = Found::new(Category::Quality, "pyright", key, &found[3]);
            sink.push(failure.at(file, found[2].parse().ok()).because(cause));
            return true;
        }
        if line.starts_with("mypy: ")
            && let Some(found) = FATAL.captures(line)
        {
            let message = sink.paths.stable(&found[1]);
            sink.push(Found::new(Category::Quality, "mypy", Key::Message { file: None, message }, &found[1]));
            return true;
        }
        false
    }

    /// Hands over what is open.
    pub(super) fn close(&mut self, sink: &mut Sink) {
        if let Some(open) = self.open.take() {
            let excerpt = open.lines.join("\n");
            match CODE.captures(&open.message) {
                Some(code) => push(sink, &open.file, open.line, &code[1], Some(&code[2]), Some(excerpt)),
                None => push(sink, &open.file, open.line, &open.message, None, Some(excerpt)),
            }
        }
        if let Some(stub) = self.stub.take() {
            let (file, line) = match &stub.file {
                Some((file, line)) => (sink.paths.file(file), Some(*line)),
                None => (String::new(), None),
            };
            let key = Key::Finding { file: file.clone(), rule: stub.rule, symbol: Some(stub.symbol) };
            let found = Found::new(Category::Quality, "stubtest", key, &stub.message).excerpt(stub.lines.join("\n"));
            sink.push(found.at((!file.is_empty()).then_some(file), line));
        }
    }
}

fn push(sink: &mut Sink, file: &str, line: u32, message: &str, code: Option<&str>, excerpt: Option<String>) {
    let file = sink.paths.file(file);
    let tool = if sink.runs("stubtest") { "stubtest" } else { "mypy" };
    let mut category = Category::Quality;
    let (key, cause) = match code {
        Some(code) => {
            let symbol = NAME.captures(message).map(|name| name[1].to_owned());
            let key = Key::Finding { file: file.clone(), rule: code.to_owned(), symbol };
            (key, format!("rule|{file}|{code}"))
        }
        None => {
            let message = sink.paths.stable(message);
            (Key::Message { file: Some(file.clone()), message: message.clone() }, format!("message|{file}|{message}"))
        }
    };
    let mut cause = cause;
    if code == Some("syntax") {
        category = Category::SyntaxError;
        cause = format!("syntax|{file}");
    }
    let text = match code {
        Some(code) => format!("{}  [{code}]", message.trim_end()),
        None => message.to_owned(),
    };
    let text = sink.paths.relative(&text);
    let mut found = Found::new(category, tool, key, &text).at(file, Some(line)).because(cause);
    if let Some(excerpt) = excerpt {
        found = found.excerpt(excerpt);
    }
    sink.push(found);
}
