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
        // GitHub tells alerts of one run apart by this: the cause, and which of its findings.
        let prints = json!({ "testRepair/v1": failure.fingerprint });
        let text = match &failure.test_id {
            Some(id) => format!("{id}: {}", failure.message),
            None => failure.message.clone(),
        };
        let mut result = result(&rule, "error", &text, failure.file.as_deref(), failure.line);
        result["partialFingerprints"] = prints;
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
    if let Some(file) = file.filter(|file| in_repository(file)) {
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
    let (mut listed, mut placeless) = (Vec::new(), Vec::new());
    for (rule, result) in results.take(MOST_RESULTS) {
        if result.get("locations").is_none() {
            placeless
                .push(json!({ "level": result["level"], "message": result["message"], "descriptor": { "id": rule } }));
            continue;
        }
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
            // An upload refuses a result without a place in the repository: what has none is said of the run.
            "invocations": [{ "executionSuccessful": true, "toolExecutionNotifications": placeless }],
            "results": listed,
        }],
    });
    format!("{document:#}\n")
}

/// Is the path one that a reader of the repository can open?
fn in_repository(file: &str) -> bool {
    !file.is_empty() && !file.starts_with(['/', '<', '~']) && !file.starts_with("..") && !file.contains(":\\")
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

    /// The standard's own schema (OASIS, as the crate serde-sarif has it), and what GitHub's upload asks for besides
    /// (https://docs.github.com/en/code-security/code-scanning/integrating-with-code-scanning/sarif-support-for-code-scanning).
    fn accepted(text: &str) -> Value {
        let schema = include_str!("../../tests/fixtures/sarif-2.1.0.json");
        let mut schema: Value = serde_json::from_str(schema).unwrap();
        // The one pattern in it that is no regular expression.
        for place in ["run", "toolComponent"] {
            schema["definitions"][place]["properties"]["language"].as_object_mut().unwrap().remove("pattern");
        }
        let document: Value = serde_json::from_str(text).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let wrong: Vec<String> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
        assert!(wrong.is_empty(), "{wrong:?}\n{text}");
        let results = document["runs"][0]["results"].as_array().unwrap();
        assert!(results.len() <= MOST_RESULTS);
        for result in results {
            let location = &result["locations"][0]["physicalLocation"];
            let uri = location["artifactLocation"]["uri"].as_str().unwrap();
            assert!(!uri.starts_with('/') && !uri.contains(' ') && !uri.contains("://"), "{uri}");
            assert!(location["region"]["startLine"].as_u64().is_none_or(|line| line > 0));
            assert!(result["message"]["text"].as_str().is_some_and(|text| !text.is_empty()));
            let rules = document["runs"][0]["tool"]["driver"]["rules"].as_array().unwrap();
            assert!(rules.iter().any(|rule| rule["id"] == result["ruleId"]));
        }
        document
    }

    #[test]
    fn what_has_no_place_in_the_repository_is_a_notification_and_every_document_fits_the_schema() {
        let output = "a.py:1:1: F401 `os` imported but unused\n/usr/lib/x.py:2:1: F401 `sys` imported but unused\nERROR: No matching distribution found for nothing\n";
        let mut detector = Detector::for_command("ruff check . && pip install nothing", &[]);
        detector.feed(output.as_bytes());
        detector.exited(1);
        let document = accepted(&detected_sarif(&detector.finish()));
        let run = &document["runs"][0];
        assert_eq!(run["results"].as_array().map(Vec::len), Some(1));
        let said = run["invocations"][0]["toolExecutionNotifications"].as_array().unwrap();
        assert_eq!(said.len(), 1, "{said:?}");
        assert_eq!(said[0]["descriptor"]["id"], "ruff/F401");
        accepted(&detected_sarif(&[]));
    }

    #[test]
    fn every_recorded_output_makes_a_document_that_fits_the_schema() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/detect");
        let mut detector = Detector::new("all");
        let (mut logs, mut read) = (Vec::new(), 0);
        for entry in
            std::fs::read_dir(folder).unwrap().flatten().filter(|e| e.path().extension().is_some_and(|x| x == "log"))
        {
            detector.feed(&std::fs::read(entry.path()).unwrap());
            logs.extend(std::mem::replace(&mut detector, Detector::new("all")).finish());
            read += 1;
        }
        assert!(read > 400);
        let document = accepted(&detected_sarif(&logs));
        assert!(document["runs"][0]["results"].as_array().is_some_and(|results| results.len() > 200));
    }
}
