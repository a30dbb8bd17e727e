//! Type checkers: mypy (plain and pretty) and stubtest.

use super::{Kind, Read, Tool};
use crate::detect::exception;
use crate::detect::failure::{Category, Key};
use crate::detect::found::{Found, Sink};
use crate::detect::text::{bounded, patterns};

patterns! {
    WHOLE = r"^([^:\s][^:]*?\.pyi?): error: (.*)$";
    JSON = r#"^\{"file": "((?:[^"\\]|\\.)*)", "line": (\d+), .*"message": "((?:[^"\\]|\\.)*)",.* "code": (?:"([\w-]+)"|null), "severity": "error""#;
    CONCISE = r"^([\w.]+) (is inconsistent, .*|is not present (?:in stub|at runtime).*|variable differs from runtime type .*)$";
    FATAL = r"^mypy: (?:error: )?(.*)$";
    STUB = r"^error: ([\w.]+) (is inconsistent|is not present in stub|is not present at runtime|variable differs from runtime type\b.*?|failed to find stubs|failed to import\b.*?|is not a \w+|is a .*?|cannot .*?|inconsistently .*?)(?:[,:] (.*))?$";
    STUB_PLACE = r"^(?:Stub|Runtime): in file (.+?):(\d+)$";
    NAME = r#""([A-Za-z_][\w.]*)""#;
}

pub(super) const TOOL: Kind = Kind::new(
    &[
        ": error: ",
        "mypy: ",
        "error: ",
        "in file ",
        "\"severity\": ",
        "is inconsistent",
        "is not present",
        "differs from runtime",
        "files in directory",
    ],
    || Box::<Mypy>::default(),
);

/// The state between lines.
#[derive(Debug, Default)]
struct Mypy {
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

impl Tool for Mypy {
    fn line(&mut self, line: &str, sink: &mut Sink) -> Read {
        if self.read(line, sink) { Read::Taken } else { Read::Pass }
    }

    fn open(&self) -> bool {
        self.open.is_some() || self.stub.is_some()
    }

    fn close(&mut self, sink: &mut Sink) {
        self.hand_over(sink);
    }
}

impl Mypy {
    fn read(&mut self, line: &str, sink: &mut Sink) -> bool {
        if let Some((file, number, message)) = placed(line) {
            self.hand_over(sink);
            let message = message.trim_end();
            match coded(message) {
                Some((said, code)) => push(sink, file, number, said, Some(code), None),
                None => {
                    self.open = Some(Open {
                        file: file.to_owned(),
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
                if coded(&open.message).is_some() {
                    self.hand_over(sink);
                }
                return true;
            }
            self.hand_over(sink);
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
                self.hand_over(sink);
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
        if line.starts_with("{\"file\"")
            && let Some(found) = JSON.captures(line)
        {
            let text =
                serde_json::from_str::<String>(&format!("\"{}\"", &found[3])).unwrap_or_else(|_| found[3].to_owned());
            let code = found.get(4).map(|code| code.as_str());
            push(sink, &found[1], found[2].parse().unwrap_or_default(), &text, code, None);
            return true;
        }
        if let Some(found) = WHOLE.captures(line).filter(|_| sink.runs("mypy") || line.contains(" module")) {
            let file = sink.paths.file(&found[1]);
            let message = sink.paths.stable(&found[2]);
            let key = Key::Message { file: Some(file.clone()), message };
            sink.push(Found::new(Category::Quality, "mypy", key, &found[2]).at(file, None));
            return true;
        }
        if sink.runs("stubtest")
            && let Some(found) = CONCISE.captures(line)
        {
            let rule = found[2].split(',').next().unwrap_or_default().to_owned();
            let key = Key::Finding { file: String::new(), rule, symbol: Some(found[1].to_owned()) };
            sink.push(Found::new(Category::Quality, "stubtest", key, line));
            return true;
        }
        if sink.runs("mypy") && line.starts_with("There are no .py[i] files in directory") {
            let key = Key::Message { file: None, message: sink.paths.stable(line) };
            sink.push(Found::new(Category::Quality, "mypy", key, line));
            return true;
        }
        if (line.starts_with("mypy: ") || sink.runs("mypy") && line.starts_with("usage: mypy"))
            && let Some(found) = FATAL.captures(line)
        {
            let message = sink.paths.stable(&found[1]);
            sink.push(Found::new(Category::Quality, "mypy", Key::Message { file: None, message }, &found[1]));
            return true;
        }
        false
    }

    /// Hands over what is open.
    fn hand_over(&mut self, sink: &mut Sink) {
        if let Some(open) = self.open.take() {
            let excerpt = open.lines.join("\n");
            match coded(&open.message) {
                Some((said, code)) => push(sink, &open.file, open.line, said, Some(code), Some(excerpt)),
                None => push(sink, &open.file, open.line, &open.message, None, Some(excerpt)),
            }
        }
        if let Some(stub) = self.stub.take() {
            let (file, line) = match &stub.file {
                Some((file, line)) => (sink.paths.file(file), Some(*line)),
                None => (String::new(), None),
            };
            let key = Key::Finding { file: file.clone(), rule: stub.rule, symbol: Some(stub.symbol) };
            let mut found =
                Found::new(Category::Quality, "stubtest", key, &stub.message).excerpt(stub.lines.join("\n"));
            if let Some((class, said)) = stub.message.rsplit_once("? ").and_then(|(_, said)| exception::parse(said)) {
                exception::apply(&mut found, &class, &said);
            }
            sink.push(found.at((!file.is_empty()).then_some(file), line));
        }
    }
}

/// File, line and message of `shop/cart.py:9:12: error: message`; columns and ends may follow the line.
fn placed(line: &str) -> Option<(&str, u32, &str)> {
    let (place, message) = line.split_once(": error: ")?;
    let mut file = place;
    let mut number = None;
    for _ in 0..4 {
        let Some((before, digits)) = file.rsplit_once(':') else { break };
        let Ok(digits) = digits.parse() else { break };
        (file, number) = (before, Some(digits));
    }
    let drive = file.as_bytes().get(1) == Some(&b':');
    let ours = [".py", ".pyi", ".toml", ".cfg", ".ini"].iter().any(|end| file.ends_with(end));
    let plain = ours && !file.starts_with(char::is_whitespace) && !file[if drive { 2 } else { 0 }..].contains(':');
    number.filter(|_| plain).map(|number| (file, number, message))
}

/// A message and the code in brackets at its end.
fn coded(message: &str) -> Option<(&str, &str)> {
    let (said, code) = message.trim_end().strip_suffix(']')?.rsplit_once('[')?;
    let fits = code.starts_with(|c: char| c.is_ascii_lowercase())
        && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    fits.then(|| (said.trim_end(), code))
}

fn push(sink: &mut Sink, file: &str, line: u32, message: &str, code: Option<&str>, excerpt: Option<String>) {
    let file = sink.paths.file(file);
    let tool = if sink.runs("stubtest") { "stubtest" } else { "mypy" };
    let mut category = Category::Quality;
    let (key, cause) = match code {
        Some(code) => {
            let symbol = NAME.captures(message).map(|name| bounded(&name[1], 80).to_owned());
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
