//! Security findings in code: bandit (text and JSON), semgrep.

use super::{Kind, Read, Tool};
use crate::detect::failure::{Category, Key};
use crate::detect::found::{Found, Sink};
use crate::detect::text::{bounded, patterns};

patterns! {
    ISSUE = r"^>> Issue: \[(B\d{3})(?::([\w-]+))?\] (.*)$";
    LOCATION = r"^\s+Location: (.+?):(\d+)(?::\d+)?$";
    FILE = r"^ {2,6}(\S+\.\w+)$";
    RULE = r"^ +❯{1,3}❱ (\S+)$";
    CODE = r"^ +(\d+)┆ ";
    BROKEN = r"^\[ERROR\] (Rule parse error in rule .*?):?$";
    JSON = r#"^\s+"(filename|issue_text|line_number|test_id)": "?(.*?)"?,?$"#;
}

pub(super) const TOOL: Kind = Kind::new(
    &[
        "❯❱ ",
        "┆ ",
        "Rule parse error",
        ">> Issue: ",
        "\"filename\": ",
        "\"issue_text\": ",
        "\"line_number\": ",
        "\"test_id\": ",
    ],
    || Box::<Security>::default(),
);

/// The state between lines.
#[derive(Debug, Default)]
struct Security {
    issue: Option<Issue>,
    json: Option<(String, String, Option<u32>)>,
    semgrep: Semgrep,
}

/// A finding of semgrep's as it is read.
#[derive(Debug, Default)]
struct Semgrep {
    file: Option<String>,
    rule: Option<String>,
    message: Vec<String>,
}

#[derive(Debug)]
struct Issue {
    rule: String,
    message: String,
    place: Option<(String, Option<u32>)>,
    lines: Vec<String>,
}

impl Tool for Security {
    fn line(&mut self, line: &str, sink: &mut Sink) -> Read {
        if self.read(line, sink) { Read::Taken } else { Read::Pass }
    }

    fn open(&self) -> bool {
        self.issue.is_some() || self.semgrep.rule.is_some()
    }

    fn close(&mut self, sink: &mut Sink) {
        self.hand_over(sink);
    }
}

impl Security {
    fn read(&mut self, line: &str, sink: &mut Sink) -> bool {
        if line.starts_with(">> Issue: ")
            && let Some(found) = ISSUE.captures(line)
        {
            self.hand_over(sink);
            let rule = found[1].to_owned();
            let message = match found.get(2) {
                Some(name) => format!("{rule}:{} {}", name.as_str(), &found[3]),
                None => format!("{rule} {}", &found[3]),
            };
            self.issue = Some(Issue { rule, message, place: None, lines: vec![bounded(line, 300).to_owned()] });
            return true;
        }
        if let Some(issue) = &mut self.issue {
            if issue.place.is_none()
                && let Some(found) = LOCATION.captures(line)
            {
                issue.place = Some((found[1].to_owned(), found[2].parse().ok()));
            }
            if line.starts_with("-----") || line.starts_with("Code scanned:") || issue.lines.len() > 16 {
                self.hand_over(sink);
            } else if !line.trim().is_empty() {
                issue.lines.push(bounded(line, 300).to_owned());
            }
            return true;
        }
        if self.semgrep(line, sink) {
            return true;
        }
        if line.contains("\": ")
            && let Some(found) = JSON.captures(line)
        {
            return self.json(&found[1], &found[2], sink);
        }
        false
    }

    fn semgrep(&mut self, line: &str, sink: &mut Sink) -> bool {
        let open = &mut self.semgrep;
        if let Some(found) = RULE.captures(line) {
            // The file stands above its first finding.
            if let Some(before) = sink.recent.before(1)
                && let Some(file) = FILE.captures(&before)
            {
                open.file = Some(file[1].to_owned());
            }
            open.rule = Some(found[1].to_owned());
            open.message.clear();
        } else if let Some(found) = BROKEN.captures(line) {
            let key = Key::Message { file: None, message: sink.paths.stable(&found[1]) };
            sink.push(Found::new(Category::Security, "semgrep", key, &found[1]));
        } else if let (Some(rule), Some(file), Some(found)) = (&open.rule, &open.file, CODE.captures(line)) {
            let file = sink.paths.file(file);
            let said = open.message.join(" ");
            let key = Key::Finding { file: file.clone(), rule: rule.clone(), symbol: None };
            let cause = format!("rule|{file}|{rule}");
            let failure = Found::new(Category::Security, "semgrep", key, &said).because(cause);
            sink.push(failure.at(file, found[1].parse().ok()).excerpt(bounded(line.trim(), 300)));
            open.rule = None;
        } else if open.rule.is_some() {
            let text = line.trim();
            if !text.is_empty() && !text.starts_with('❰') && !text.starts_with("Details:") && open.message.len() < 8 {
                open.message.push(bounded(text, 300).to_owned());
            }
        } else {
            return false;
        }
        true
    }

    fn json(&mut self, name: &str, value: &str, sink: &mut Sink) -> bool {
        match name {
            "filename" => self.json = Some((value.to_owned(), String::new(), None)),
            _ => {
                let Some(issue) = &mut self.json else { return false };
                match name {
                    "issue_text" => issue.1 = bounded(value, 1000).to_owned(),
                    "line_number" => issue.2 = value.parse().ok(),
                    _ => {
                        if let Some((file, message, line)) = self.json.take()
                            && value.starts_with('B')
                        {
                            push(sink, value, &format!("{value} {message}"), &file, line, String::new());
                        }
                    }
                }
            }
        }
        true
    }

    /// Hands over what is open.
    fn hand_over(&mut self, sink: &mut Sink) {
        if let Some(issue) = self.issue.take() {
            let (file, line) = issue.place.unwrap_or_default();
            push(sink, &issue.rule, &issue.message, &file, line, issue.lines.join("\n"));
        }
    }
}

fn push(sink: &mut Sink, rule: &str, message: &str, file: &str, line: Option<u32>, excerpt: String) {
    let file = sink.paths.file(file);
    let key = Key::Finding { file: file.clone(), rule: rule.to_owned(), symbol: None };
    let found = Found::new(Category::Security, "bandit", key, message).because(format!("rule|{file}|{rule}"));
    sink.push(found.at((!file.is_empty()).then_some(file), line).excerpt(excerpt));
}
