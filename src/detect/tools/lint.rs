//! Linters that name a place and a rule: ruff, flake8, pycodestyle, pylint, codespell.

use super::{Kind, Read, Tool};
use crate::detect::failure::{Category, Key};
use crate::detect::found::{Found, Sink};
use crate::detect::text::{bounded, patterns};

patterns! {
    PLACED = r"^((?:[A-Za-z]:)?[^:\s][^:]*?\.(?:pyi?|ipynb|toml|md)(?::cell \d+)?):(\d+):(\d+): ([A-Z]+[0-9]+|SyntaxError|invalid-syntax|[a-z][a-z-]+[a-z])(?::)?(?: \[\*\])? (.*)$";
    PYLINT_OTHER = r"^([^:\s(][^:(]*?\.py)(?::(\d+)|\((\d+)\)): \[([CRWEF]\d{4})\(([\w-]+)\),? ?([^\]]*)\] (.*)$";
    UNPLACED = r"^([^:\s][^:]*\.toml): (DEP\d{3}) (.*)$";
    PYREFLY = r"^\s*(?:ERROR|error) (.*) \[([\w-]+)\]$";
    CONFIG = r"^\s+Cause: Failed to parse (\S+\.toml)$";
    PYLINT = r"^([^:\s][^:]*?):(\d+):(\d+): ([CRWEF]\d{4}): (.*) \(([\w-]+)\)$";
    HEADED = r"^([A-Z]{1,6}[0-9]{2,4}|invalid-syntax|unformatted|error\[[\w-]+\]):?(?: \[\*\]| \[-\])? (.+)$";
    ARROW = r"^\s*--> ((?:[A-Za-z]:)?[^:]+\.(?:pyi?|ipynb|toml|md)(?::cell \d+)?):(\d+):(\d+)$";
    GROUPED_FILE = r"^(\S.*\.(?:pyi?|ipynb)):$";
    GROUPED = r"^\s+(\d+):(\d+)\s+([A-Z]+[0-9]+|SyntaxError|invalid-syntax)(?:: )?(?: \[\*\])? (.*)$";
    PLAIN = r"^([^:\s][^:]*?\.pyi?):(\d+): ([A-Z]+[0-9]+) (.*)$";
    NAME = r"[`']([^`']{1,100})[`']";
    SPELLING = r"^([^:\s][^:]*):(\d+): (\S.*?) ==> (\S.*)$";
}

pub(super) const TOOL: Kind = Kind::new(
    &[
        ": DEP",
        ".py:\n",
        ".pyi:\n",
        ".ipynb:\n",
        ".py:#",
        ".pyi:#",
        ".ipynb:#",
        ".toml:#",
        ".md:#",
        " ==> ",
        "--> ",
        ".py(",
        ": F0#",
        ": E0#",
        "Cause: Failed to parse",
    ],
    || Box::<Lint>::default(),
);

/// The state between lines.
#[derive(Debug, Default)]
struct Lint {
    file: Option<String>,
}

impl Tool for Lint {
    fn line(&mut self, line: &str, sink: &mut Sink) -> Read {
        if self.read(line, sink) { Read::Taken } else { Read::Pass }
    }

    fn open(&self) -> bool {
        self.file.is_some()
    }
}

impl Lint {
    fn read(&mut self, line: &str, sink: &mut Sink) -> bool {
        if line.contains("--> ")
            && let Some(place) = ARROW.captures(line)
        {
            return self.headed(&place, sink);
        }
        if sink.runs("ruff")
            && let Some(found) = CONFIG.captures(line)
        {
            self.push(sink, "ruff", &found[1], "", "configuration", line.trim());
            return true;
        }
        if line.starts_with(' ') {
            if let Some(file) = &self.file
                && let Some(found) = GROUPED.captures(line)
            {
                let file = file.clone();
                self.push(sink, "ruff", &file, &found[1], &found[3], &found[4]);
                return true;
            }
            return false;
        }
        if !line.contains(':') {
            self.file = None;
            return false;
        }
        if line.ends_with(':') {
            self.file = GROUPED_FILE.captures(line).map(|found| found[1].to_owned());
            return false;
        }
        self.file = None;
        if let Some(found) = UNPLACED.captures(line) {
            self.push(sink, "deptry", &found[1], "", &found[2], &found[3]);
            return true;
        }
        if let Some(found) = PYLINT_OTHER.captures(line) {
            let number = found.get(2).or(found.get(3)).map_or("", |number| number.as_str()).to_owned();
            self.push(sink, "pylint", &found[1], &number, &found[5], &found[7]);
            return true;
        }
        if let Some(found) = PYLINT.captures(line) {
            self.push(sink, "pylint", &found[1], &found[2], &found[6], &found[5]);
            return true;
        }
        if let Some(found) = PLACED.captures(line) {
            let rule = &found[4];
            if matches!(rule, "error" | "note" | "warning" | "in") {
                return false;
            }
            if rule.starts_with(char::is_lowercase) && rule != "invalid-syntax" && !sink.runs("ruff") {
                return false;
            }
            let tool = tool(sink, rule, &found[5], line);
            self.push(sink, tool, &found[1], &found[2], rule, &found[5]);
            return true;
        }
        if line.contains(" ==> ")
            && let Some(found) = SPELLING.captures(line)
        {
            let file = sink.paths.file(&found[1]);
            let key = Key::Finding {
                file: file.clone(),
                rule: "codespell".to_owned(),
                symbol: Some(bounded(&found[3], 100).to_owned()),
            };
            let message = format!("{} ==> {}", &found[3], &found[4]);
            sink.push(Found::new(Category::Quality, "codespell", key, &message).at(file, found[2].parse().ok()));
            return true;
        }
        if sink.runs("flake8")
            && let Some(found) = PLAIN.captures(line)
        {
            self.push(sink, "flake8", &found[1], &found[2], &found[3], &found[4]);
            return true;
        }
        false
    }

    /// A place whose rule stands on the line before it.
    fn headed(&mut self, place: &regex::Captures<'_>, sink: &mut Sink) -> bool {
        let Some(before) = sink.recent.before(1) else { return false };
        if let Some(head) = PYREFLY.captures(&before) {
            self.push(sink, "pyrefly", &place[1], &place[2], &head[2], &head[1]);
            return true;
        }
        let Some(head) = HEADED.captures(&before) else { return false };
        if &head[1] == "unformatted" {
            super::format::push(sink, "ruff-format", &place[1], "format", &head[2], place[2].parse().ok());
            return true;
        }
        let ty = head[1].strip_prefix("error[").map(|rule| rule.trim_end_matches(']').to_owned());
        let tool = if ty.is_some() && !sink.runs("ruff") { "ty" } else { "ruff" };
        let rule = ty.unwrap_or_else(|| head[1].to_owned());
        self.push(sink, tool, &place[1], &place[2], &rule, &head[2]);
        if let Some(found) = sink.found.last_mut() {
            found.excerpt = bounded(&before, 300).to_owned();
        }
        true
    }

    fn push(&mut self, sink: &mut Sink, tool: &'static str, file: &str, line: &str, rule: &str, message: &str) {
        let file = sink.paths.file(file.split(":cell ").next().unwrap_or(file));
        let symbol = NAME.captures(message).map(|found| found[1].to_owned());
        let text = format!("{rule} {message}");
        let dependency = rule.len() == 6 && rule.starts_with("DEP");
        let security = rule.len() == 4 && rule.starts_with('S') && rule[1..].bytes().all(|b| b.is_ascii_digit());
        let syntax = matches!(rule, "SyntaxError" | "invalid-syntax" | "E999" | "E901" | "E902" | "syntax-error");
        let category = match () {
            () if syntax => Category::SyntaxError,
            () if security => Category::Security,
            () if dependency => Category::ImportDependency,
            () => Category::Quality,
        };
        let key = Key::Finding { file: file.clone(), rule: rule.to_owned(), symbol };
        let mut found = Found::new(category, tool, key, &text).at(file.clone(), line.parse().ok());
        if syntax {
            found = found.because(format!("syntax|{file}"));
        } else {
            found = found.because(format!("rule|{file}|{rule}"));
        }
        sink.push(found);
    }
}

fn tool(sink: &Sink, rule: &str, message: &str, line: &str) -> &'static str {
    for tool in ["ruff", "flake8", "pycodestyle", "pydocstyle", "pylint", "deptry"] {
        if sink.runs(tool) {
            return tool;
        }
    }
    let fixable = line.contains(&format!(" {rule} [*] "));
    let one_letter = rule.len() <= 4 && rule.starts_with(['E', 'W', 'F', 'C']);
    if fixable || message.contains('`') || !one_letter { "ruff" } else { "flake8" }
}
