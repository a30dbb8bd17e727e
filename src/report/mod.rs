//! report: one value, many renderings. Only this room prints.

mod detected;
mod fixed;
mod hub;
mod markdown;
mod progress;
mod sarif;
mod table;
mod transcript;
mod verified;

use std::io::{self, Write as _};

use serde::Serialize;

use crate::{actions::neutralised, redact::redact, repair::validate::CheckResult};

pub use detected::{detected_json, detected_text};
pub use fixed::fixed_text;
pub use hub::*;
pub use markdown::markdown;
pub use progress::{Cases, watch, watch_cases, watch_groups};
pub use sarif::{detected_sarif, verified_sarif};
pub use table::Table;
pub use transcript::transcript;
pub use verified::verified_text;

/// A check's command, with its job where that is not the first that failed.
fn named(check: &CheckResult, checks: &[CheckResult]) -> String {
    let command = check.command.lines().last().unwrap_or_default();
    match checks.first().filter(|first| first.job != check.job) {
        Some(_) => format!("{}: {command}", check.job),
        None => command.to_owned(),
    }
}

/// Writes a text to standard output. A reader that has gone away is no error.
pub fn print(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Writes a line to standard error. Nothing of it is a command to the runner of an action, which reads this, too.
pub fn complain(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", neutralised(text));
}

/// One JSON value on one line, its texts redacted. A `diff` stays as it is: it must apply.
pub fn json_line(value: &impl Serialize) -> String {
    match serde_json::to_string(value) {
        Ok(text) => format!("{}\n", redacted(&text)),
        Err(error) => format!("{}\n", serde_json::json!({ "schema": 1, "error": error.to_string() })),
    }
}

/// A line for each.
pub fn json_lines(values: &[impl Serialize]) -> String {
    values.iter().map(json_line).collect()
}

/// A JSON text with its strings redacted, as they are and in their order.
fn redacted(json: &str) -> String {
    let mut clean = String::with_capacity(json.len());
    let mut rest = json;
    let mut diff = false;
    while let Some(begin) = rest.find('"') {
        let (before, literal) = rest.split_at(begin);
        clean.push_str(before);
        let (literal, after) = literal.split_at(end_of_string(literal));
        let is_key = after.starts_with(':');
        match serde_json::from_str::<String>(literal) {
            Ok(text) if !is_key && !diff => clean.push_str(&serde_json::Value::String(redact(&text)).to_string()),
            _ => clean.push_str(literal),
        }
        diff = is_key && literal == "\"diff\"";
        rest = after;
    }
    clean.push_str(rest);
    clean
}

/// Where the string literal that `json` begins with ends.
fn end_of_string(json: &str) -> usize {
    let mut escaped = false;
    let end = json.bytes().skip(1).position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    end.map_or(json.len(), |end| end + 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn no_secret_leaves_in_json_but_a_diff_stays_as_it_is() {
        let secret = "say \"ghp_abcdefghijklmnopqrstuvwxyz0123456789\" \\";
        let value = json!({
            "a": [secret, { "diff": secret, "b": secret }], "diff": secret, "diffs": secret, "n": 1, "e": "", "x": null,
        });
        let said: Value = serde_json::from_str(&json_line(&value)).unwrap();
        let clean = "say \"[redacted]\" \\";
        let expected = json!({
            "a": [clean, { "diff": secret, "b": clean }], "diff": secret, "diffs": clean, "n": 1, "e": "", "x": null,
        });
        assert_eq!(said, expected);
    }

    #[test]
    fn what_holds_no_secret_keeps_its_text_and_order() {
        #[derive(Serialize)]
        struct Two {
            z: &'static str,
            a: Vec<&'static str>,
        }
        let two = Two { z: "\u{1b}[0m é \n", a: vec!["x", "/"] };
        assert_eq!(json_line(&two), format!("{}\n", serde_json::to_string(&two).unwrap()));
    }
}
