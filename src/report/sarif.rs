//! SARIF 2.1.0, as GitHub's code scanning takes it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::detected::word;
use crate::{
    detect::{JobLog, Key},
    integrity::{Finding, Severity},
    redact::shown,
};

/// GitHub takes no more results in a run.
const MOST_RESULTS: usize = 5000;

/// The failures of logs.
pub fn detected_sarif(logs: &[JobLog]) -> String {
    let results = logs.iter().flat_map(|log| &log.failures).map(|failure| {
        let rule = match &failure.key {
            Key::Finding { rule, .. } => format!("{}/{rule}", failure.tool),
            _ => format!("{}/{}", failure.tool, word(failure.category)),
        };
        let mut result = result(&rule, "error", &failure.message, failure.file.as_deref(), failure.line);
        result["partialFingerprints"] = json!({ "testRepair/v1": failure.fingerprint });
        (rule, result)
    });
    document(results)
}

/// What integrity found in a patch.
pub fn verified_sarif(findings: &[Finding]) -> String {
    document(findings.iter().map(|finding| {
        let level = match finding.severity {
            Severity::Refuse => "error",
            Severity::Flag => "warning",
        };
        let result = result(finding.rule, level, &finding.message, finding.file.as_deref(), finding.line);
        (finding.rule.to_owned(), result)
    }))
}

fn result(rule: &str, level: &str, message: &str, file: Option<&str>, line: Option<u32>) -> Value {
    let mut result = json!({
        "ruleId": rule,
        "level": level,
        "message": { "text": shown(message, 2000) },
    });
    if let Some(file) = file {
        let mut location = json!({ "artifactLocation": { "uri": uri(file), "uriBaseId": "%SRCROOT%" } });
        if let Some(line) = line {
            location["region"] = json!({ "startLine": line.max(1) });
        }
        result["locations"] = json!([{ "physicalLocation": location }]);
    }
    result
}

fn document(results: impl Iterator<Item = (String, Value)>) -> String {
    let mut rules: BTreeMap<String, Value> = BTreeMap::new();
    let mut listed = Vec::new();
    for (rule, result) in results.take(MOST_RESULTS) {
        rules.entry(rule.clone()).or_insert_with(|| json!({ "id": rule, "shortDescription": { "text": rule } }));
        listed.push(result);
    }
    let rules: Vec<Value> = rules.into_values().collect();
    let document = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "test-repair",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            } },
            "results": listed,
        }],
    });
    format!("{document:#}\n")
}

/// A relative path as a URI: what a URI can't hold is escaped.
fn uri(path: &str) -> String {
    let mut uri = String::new();
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b'~' => uri.push(char::from(byte)),
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::Detector;

    #[test]
    fn a_failing_log_becomes_results_with_places_rules_and_fingerprints() {
        let mut detector = Detector::for_command("ruff check .", &[]);
        detector.feed(b"a b.py:3:1: F401 [*] `os` imported but unused\nFound 1 error.\n");
        detector.exited(1);
        let text = detected_sarif(&detector.finish());
        let document: Value = serde_json::from_str(&text).unwrap();
        let run = &document["runs"][0];
        assert_eq!(document["version"], "2.1.0");
        assert_eq!(run["results"][0]["ruleId"], "ruff/F401");
        assert_eq!(run["tool"]["driver"]["rules"][0]["id"], "ruff/F401");
        let place = &run["results"][0]["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "a%20b.py");
        assert_eq!(place["region"]["startLine"], 3);
        assert!(run["results"][0]["partialFingerprints"]["testRepair/v1"].is_string());
    }
}
