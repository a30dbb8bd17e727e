//! Security tools: bandit (text and JSON), pip-audit.

use crate::detect::failure::{Category, Key};
use crate::detect::found::{Found, Sink};
use crate::detect::text::{bounded, patterns};

patterns! {
    ISSUE = r"^>> Issue: \[(B\d{3})(?::([\w-]+))?\] (.*)$";
    LOCATION = r"^\s+Location: (.+?):(\d+)(?::\d+)?$";
    JSON = r#"^\s+"(filename|issue_text|line_number|test_id)": "?(.*?)"?,?$"#;
    AUDIT = r"^(\S+)\s+(\S+)\s+((?:PYSEC|GHSA|CVE|OSV)-[\w-]+)(?:\s+(\S.*?))?\s*$";
}

/// The state between lines.
#[derive(Debug, Default)]
pub(super) struct Security {
    issue: Option<Issue>,
    json: Option<(String, String, Option<u32>)>,
}

#[derive(Debug)]
struct Issue {
    rule: String,
    message: String,
    place: Option<(String, Option<u32>)>,
    lines: Vec<String>,
}

impl Security {
    /// Reads one line; `true` if it is a security tool's.
    pub(super) fn line(&mut self, line: &str, sink: &mut Sink) -> bool {
        if line.starts_with(">> Issue: ")
            && let Some(found) = ISSUE.captures(line)
        {
            self.close(sink);
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
                self.close(sink);
            } else if !line.trim().is_empty() {
                issue.lines.push(bounded(line, 300).to_owned());
            }
            return true;
        }
        if line.contains("\": ")
            && let Some(found) = JSON.captures(line)
        {
            return self.json(&found[1], &found[2], sink);
        }
        if line.contains('-')
            && let Some(found) = AUDIT.captures(line)
        {
            let fixed = found.get(4).map_or("", |fixed| fixed.as_str());
            let message = format!("{} {} {} fixed in {fixed}", &found[1], &found[2], &found[3]);
            let key = Key::Finding {
                file: found[1].to_owned(),
                rule: found[3].to_owned(),
                symbol: Some(found[1].to_owned()),
            };
            sink.push(Found::new(Category::Security, "pip-audit", key, message.trim_end_matches(" fixed in ")));
            return true;
        }
        false
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
    pub(super) fn close(&mut self, sink: &mut Sink) {
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
