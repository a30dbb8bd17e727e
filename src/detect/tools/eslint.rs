//! Linters and formatters of JavaScript: eslint, stylelint, prettier, markdownlint.

use super::{Kind, Read, Tool, finding};
use crate::detect::failure::{Category, Key};
use crate::detect::found::{Found, Sink, Weight};
use crate::detect::text::{bounded, patterns};

patterns! {
    FILE = r"^(/\S.*|[A-Za-z]:\\\S.*|[\w@.][\w@./ -]*\.\w{1,6})$";
    ERROR = r"^\s+(\d+):(\d+)\s+(error|warning|✖|×|⚠)\s+(.*?)(?:\s{2,}(\S+))?$";
    PRETTIER = r"^\[(warn|error)\] (\S.*?)(?:: (\w*Error: .*?)(?: \((\d+):\d+\))?)?$";
    WORDS = r"^(?:Code style issues|All matched files|Forgot to run|Ignored unknown|Checking formatting|Invalid configuration|No files matching|\s*[|>\d])";
    MARKDOWN = r"^(\S.*?\.(?:md|markdown|mdx)):(\d+)(?::\d+)? (?:error )?(MD\d{3}(?:/[\w/-]+)?) (.*)$";
    DONE = r"^✖ (\d+) problems? \((\d+) errors?";
}

pub(super) const TOOL: Kind =
    Kind::new(&["  error ", "  warning ", "✖ ", "[warn] ", "[error] ", " MD0", "  ×", "ESLint co"], || {
        Box::<Eslint>::default()
    });

#[derive(Debug, Default)]
struct Eslint {
    file: Option<String>,
    /// Warnings that are failures if there turns out to be no error (`--max-warnings`).
    warnings: Vec<Found>,
    errors: bool,
}

impl Tool for Eslint {
    fn line(&mut self, line: &str, sink: &mut Sink) -> Read {
        if let Some(found) = ERROR.captures(line) {
            // The file stands alone on a line before its findings.
            if let Some(file) = sink.recent.before(1).filter(|line| FILE.is_match(line)) {
                self.file = Some(file);
            }
            let Some(file) = self.file.clone() else { return Read::Pass };
            let message = found[4].trim_end();
            let parsing = message.starts_with("Parsing error");
            let rule = found.get(5).map_or(if parsing { "syntax" } else { "error" }, |rule| rule.as_str());
            let rule = rule.trim_matches(['(', ')']);
            let parsing = parsing || rule == "syntax" || rule == "CssSyntaxError";
            let tool = match &found[3] {
                _ if sink.runs("yamllint") => "yamllint",
                "error" | "warning" => "eslint",
                _ => "stylelint",
            };
            let category = if parsing { Category::SyntaxError } else { Category::Quality };
            let mut failure = finding(sink, category, tool, &file, &found[1], rule, &format!("{rule}: {message}"));
            if let Key::Finding { symbol, .. } = &mut failure.key {
                *symbol = Some(bounded(message, 200).to_owned());
            }
            if matches!(&found[3], "warning" | "⚠") {
                if self.warnings.len() < 500 {
                    self.warnings.push(failure.excerpt(bounded(line, 300)));
                }
            } else {
                self.errors = true;
                sink.push(failure.excerpt(bounded(line, 300)));
            }
            return Read::Taken;
        }
        if line.starts_with("ESLint couldn't find ") || line.starts_with("No ESLint configuration found") {
            let key = Key::Message { file: None, message: sink.paths.stable(line) };
            sink.push_once(Found::new(Category::Quality, "eslint", key, &sink.paths.relative(line)));
            return Read::Taken;
        }
        if let Some(found) = DONE.captures(line) {
            if &found[2] == "0" && !self.errors {
                self.warnings.drain(..).for_each(|found| sink.push(found.weigh(Weight::Hint)));
            }
            self.warnings.clear();
            return Read::Taken;
        }
        if line.starts_with('[')
            && let Some(found) = PRETTIER.captures(line)
        {
            let file = &found[2];
            if WORDS.is_match(file) || !file.contains('.') || file.ends_with('.') {
                return Read::Pass;
            }
            if &found[1] == "warn" {
                let failure = finding(sink, Category::Quality, "prettier", file, "", "format", line);
                sink.push(failure.excerpt(line));
            } else if let Some(said) = found.get(3) {
                let number = found.get(4).map_or("", |number| number.as_str());
                let failure = finding(sink, Category::SyntaxError, "prettier", file, number, "syntax", said.as_str());
                sink.push(failure);
            } else {
                return Read::Pass;
            }
            return Read::Taken;
        }
        if let Some(found) = MARKDOWN.captures(line) {
            let file = sink.paths.file(&found[1]);
            let rule = found[3].to_owned();
            let key = Key::Finding { file: file.clone(), rule: rule.clone(), symbol: None };
            let said = format!("{rule} {}", &found[4]);
            let found = Found::new(Category::Quality, "markdownlint", key, &said).at(file, found[2].parse().ok());
            sink.push(found.excerpt(bounded(line, 300)));
            return Read::Taken;
        }
        Read::Pass
    }
}
