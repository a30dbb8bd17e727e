//! The JSON reports of ruff, bandit and mypy, as findings by file and rule.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::plan::shell;

/// How often each rule fires in each file.
pub type Findings = BTreeMap<(String, String), usize>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tool {
    Ruff,
    Bandit,
    Mypy,
}

/// The same check once more, for its JSON report: `None` where the tool has none, or the command line is more than a
/// call of it.
pub fn report_command(script: &str) -> Option<String> {
    let (tool, last) = tool_of(script)?;
    let options = match tool {
        Tool::Ruff => "--output-format json",
        Tool::Bandit => "-q -f json",
        Tool::Mypy => "--output json",
    };
    Some(format!("{}{last} {options}", &script[..script.len() - last.len()]))
}

fn tool_of(script: &str) -> Option<(Tool, &str)> {
    let last = script.trim_end().lines().last()?;
    if last.contains(['|', '>', '<', ';', '&', '$', '`']) || !script.ends_with(last) {
        return None;
    }
    let words = shell::words_of(last);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let arguments = |tool| shell::tool_arguments(&words, tool);
    let plain = |arguments: &[&str]| !arguments.contains(&"--");
    if arguments("ruff").is_some_and(|a| a.first() == Some(&"check") && plain(a)) {
        return Some((Tool::Ruff, last));
    }
    if arguments("bandit").is_some_and(plain) {
        return Some((Tool::Bandit, last));
    }
    (arguments("mypy").is_some_and(plain)).then_some((Tool::Mypy, last))
}

/// Reads the report that [`report_command`] asked for; `None` where it is none (an older tool, a crash).
pub(super) fn read(script: &str, output: &[u8], root: &str) -> Option<Findings> {
    let (tool, _) = tool_of(script)?;
    let text = std::str::from_utf8(output).ok()?;
    let mut findings = Findings::new();
    let mut add = |file: &str, rule: Option<String>| {
        let file = file.strip_prefix(root).unwrap_or(file).trim_start_matches('/').trim_start_matches("./");
        let rule = rule.unwrap_or_else(|| "error".to_owned());
        *findings.entry((file.to_owned(), rule)).or_insert(0) += 1;
    };
    match tool {
        Tool::Ruff => {
            for finding in json_from::<Vec<Ruff>>(text, "[")? {
                add(&finding.filename, finding.code);
            }
        }
        Tool::Bandit => {
            for finding in json_from::<Bandit>(text, "{")?.results {
                add(&finding.filename, Some(finding.test_id));
            }
        }
        Tool::Mypy => {
            let lines: Vec<&str> = text.lines().filter(|l| l.starts_with('{')).collect();
            if lines.is_empty() && !text.trim().is_empty() && !text.contains("Success: no issues") {
                return None;
            }
            for line in lines {
                let finding: Mypy = serde_json::from_str(line).ok()?;
                if finding.severity == "error" {
                    add(&finding.file, finding.code);
                }
            }
        }
    }
    Some(findings)
}

/// The JSON value that begins at a line's start, whatever warnings stand before it.
fn json_from<'a, T: Deserialize<'a>>(text: &'a str, opening: &str) -> Option<T> {
    let start = if text.starts_with(opening) { 0 } else { text.find(&format!("\n{opening}"))? + 1 };
    serde_json::Deserializer::from_str(&text[start..]).into_iter().next()?.ok()
}

#[derive(Deserialize)]
struct Ruff {
    code: Option<String>,
    filename: String,
}

#[derive(Deserialize)]
struct Bandit {
    results: Vec<BanditFinding>,
}

#[derive(Deserialize)]
struct BanditFinding {
    filename: String,
    test_id: String,
}

#[derive(Deserialize)]
struct Mypy {
    file: String,
    code: Option<String>,
    severity: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn only(file: &str, rule: &str, count: usize) -> Option<Findings> {
        Some(Findings::from([((file.to_owned(), rule.to_owned()), count)]))
    }

    #[test]
    fn a_plain_call_of_a_tool_is_asked_for_its_report() {
        assert_eq!(report_command("cd a\nruff check .").as_deref(), Some("cd a\nruff check . --output-format json"));
        assert_eq!(report_command("python -m bandit -r src").as_deref(), Some("python -m bandit -r src -q -f json"));
        assert_eq!(report_command("mypy").as_deref(), Some("mypy --output json"));
        for other in ["ruff format --check .", "mypy src | tee log", "make lint", "pytest", "ruff check . && mypy ."] {
            assert_eq!(report_command(other), None, "{other}");
        }
    }

    #[test]
    fn reports_are_read_behind_whatever_the_tool_warns_of() {
        let ruff = br#"warning: deprecated
[{"code": "F401", "filename": "/r/a.py", "location": {"row": 1}}, {"code": "F401", "filename": "/r/a.py"}]"#;
        assert_eq!(read("ruff check .", ruff, "/r"), only("a.py", "F401", 2));
        let bandit = br#"{"errors": [], "results": [{"filename": "./src/b.py", "test_id": "B602", "line_number": 3}]}"#;
        assert_eq!(read("bandit -r src", bandit, "/r"), only("src/b.py", "B602", 1));
        let mypy = b"{\"file\": \"a.py\", \"line\": 1, \"code\": \"misc\", \"severity\": \"error\"}\n{\"file\": \"a.py\", \"code\": null, \"severity\": \"note\"}\n";
        assert_eq!(read("mypy a.py", mypy, "/r"), only("a.py", "misc", 1));
        assert_eq!(read("mypy a.py", b"Success: no issues found in 1 source file\n", "/r"), Some(Findings::new()));
        assert_eq!(read("mypy a.py", b"usage: mypy\nerror: unrecognized arguments: --output json", "/r"), None);
    }

    proptest! {
        #[test]
        fn no_report_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            for script in ["ruff check .", "bandit -r .", "mypy ."] {
                read(script, &bytes, "/r");
            }
        }
    }
}
