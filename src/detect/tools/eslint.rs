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
    WARNING = r"^\s+\d+:\d+\s+(?:warning|⚠)\s";
    DONE = r"^✖ (\d+) problems? \((\d+) errors?";
}

pub(super) const TOOL: Kind =
    Kind::new(&["  error ", "  warning ", "✖ ", "[warn] ", "[error] ", " MD0", "  ×", "ESLint co"], || {
        Box::<Eslint>::default()
    });

#[derive(Debug, Default)]
struct Eslint {
    file: Option<String>,
    /// Warnings that are failures if there turns out to be no error (`--max-warnings`): a file, and its lines.
    warnings: Vec<(String, String)>,
    errors: bool,
}

impl Tool for Eslint {
    fn line(&mut self, line: &str, sink: &mut Sink) -> Read {
        if line.starts_with(char::is_whitespace) && ERROR.is_match(line) {
            // The file stands alone on a line before its findings.
            if let Some(file) = sink.recent.before(1).filter(|line| FILE.is_match(line)) {
                self.file = Some(file);
            }
            let Some(file) = &self.file else { return Read::Pass };
            if !WARNING.is_match(line) {
                self.errors = true;
                read(file, line, sink).into_iter().for_each(|failure| sink.push(failure));
            } else if self.warnings.len() < 500 {
                self.warnings.push((file.clone(), bounded(line, 1000).to_owned()));
            }
            return Read::Taken;
        }
        if line.starts_with("ESLint couldn't find ") || line.starts_with("No ESLint configuration found") {
            let key = Key::Message { file: None, message: sink.paths.stable(line) };
            sink.push_once(Found::new(Category::Quality, "eslint", key, &sink.paths.relative(line)));
            return Read::Taken;
        }
        if line.starts_with('✖')
            && let Some(found) = DONE.captures(line)
        {
            if &found[2] == "0" && !self.errors {
                for (file, line) in self.warnings.drain(..) {
                    read(&file, &line, sink).into_iter().for_each(|found| sink.push(found.weigh(Weight::Hint)));
                }
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
        if line.contains(" MD0")
            && let Some(found) = MARKDOWN.captures(line)
        {
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

/// A finding on a line of its own: `  3:7  error  message  rule`.
fn read(file: &str, line: &str, sink: &Sink) -> Option<Found> {
    let found = ERROR.captures(line)?;
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
    let mut failure = finding(sink, category, tool, file, &found[1], rule, &format!("{rule}: {message}"));
    if let Key::Finding { symbol, .. } = &mut failure.key {
        *symbol = Some(bounded(message, 200).to_owned());
    }
    Some(failure.excerpt(bounded(line, 300)))
}
