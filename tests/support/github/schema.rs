//! GitHub's own description of its API: what a request may say, what an answer must, and examples to start from.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, LazyLock, Mutex},
};

use jsonschema::Validator;
use serde_json::{Map, Value, json};

static DESCRIPTION: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../fixtures/github-openapi.json")).unwrap());

type Validators = Mutex<HashMap<String, Option<Arc<Validator>>>>;

/// Built once for each place in the description: a building costs more than many checks.
static VALIDATORS: LazyLock<Validators> = LazyLock::new(Mutex::default);

/// Is the operation (`POST /git/refs`) described?
pub(crate) fn knows(operation: &str) -> bool {
    DESCRIPTION["operations"].get(operation).is_some()
}

/// What is wrong with a request.
pub(crate) fn request_complaints(operation: &str, query: &BTreeMap<String, String>, body: &Value) -> Vec<String> {
    let described = &DESCRIPTION["operations"][operation];
    let mut complaints = Vec::new();
    for (name, value) in query {
        let Some(schema) = described["query"].get(name) else {
            complaints.push(format!("query: {name} is no parameter of it"));
            continue;
        };
        // A query is text: what the schema wants decides how it is read.
        let value = match schema["type"].as_str() {
            Some("integer" | "boolean") => serde_json::from_str(value).unwrap_or_else(|_| json!(value)),
            _ => json!(value),
        };
        let at = format!("{operation} ?{name}");
        complaints.extend(failures(&at, schema, &value).into_iter().map(|failure| format!("query: {name}: {failure}")));
    }
    let schema = &described["body"];
    if schema.is_null() {
        if !body.is_null() {
            complaints.push("body: none is expected".to_owned());
        }
    } else if !body.is_null() || described["bodyRequired"] == json!(true) {
        let at = format!("{operation} body");
        complaints.extend(failures(&at, schema, body).into_iter().map(|failure| format!("body: {failure}")));
    }
    complaints
}

/// What is wrong with an answer.
pub(crate) fn response_complaints(operation: &str, status: u16, body: &Value) -> Vec<String> {
    let schema = &DESCRIPTION["operations"][operation]["responses"][status.to_string()]["schema"];
    if schema.is_null() {
        return Vec::new();
    }
    failures(&format!("{operation} {status}"), schema, body)
}

fn failures(at: &str, schema: &Value, value: &Value) -> Vec<String> {
    let validator = {
        let mut known = VALIDATORS.lock().unwrap();
        known.entry(at.to_owned()).or_insert_with(|| validator(schema)).clone()
    };
    let Some(validator) = validator else { return vec![format!("the description of {at} is no schema")] };
    let failures = validator.iter_errors(value).take(8);
    failures
        .map(|failure| {
            let text = failure.to_string();
            let text = if text.chars().count() > 300 { text.chars().take(300).collect() } else { text };
            format!("{}: {text}", failure.instance_path())
        })
        .collect()
}

fn validator(schema: &Value) -> Option<Arc<Validator>> {
    let document = json!({"allOf": [schema], "components": DESCRIPTION["components"]});
    let built = jsonschema::draft7::options().should_validate_formats(false).build(&document);
    built.ok().map(Arc::new)
}

/// The operations that are described.
pub(crate) fn operations() -> Vec<String> {
    DESCRIPTION["operations"].as_object().unwrap().keys().cloned().collect()
}

/// The example of an operation's answer.
pub(crate) fn example_of(operation: &str, status: u16) -> Option<Value> {
    let name = DESCRIPTION["operations"][operation]["responses"][status.to_string()]["example"].as_str()?;
    Some(DESCRIPTION["examples"][name].clone())
}

/// One of GitHub's examples, as if it came from this server and this repository.
pub(crate) fn example(name: &str, server: &str, repository: &str) -> Value {
    let example = &DESCRIPTION["examples"][name];
    assert!(!example.is_null(), "GitHub has no example {name}");
    localized(example, server, repository)
}

/// The first of a list of examples.
pub(crate) fn example_item(name: &str, server: &str, repository: &str) -> Value {
    let example = &DESCRIPTION["examples"][name][0];
    assert!(!example.is_null(), "GitHub has no example {name}");
    localized(example, server, repository)
}

/// With this server's addresses and this repository's name.
pub(crate) fn localized(value: &Value, server: &str, repository: &str) -> Value {
    let names = [
        "octocat/Hello-World",
        "octo-org/octo-repo",
        "github/hello-world",
        "github/octocat",
        "octokit/octokit.rb",
        "octocat/example",
        "Codertocat/Hello-World",
    ];
    match value {
        Value::String(text) => {
            let mut text = text.replace("https://api.github.com", &format!("{server}/api/v3"));
            text = text.replace("https://github.com", server);
            for name in names {
                text = text.replace(name, repository);
            }
            Value::String(text)
        }
        Value::Array(items) => items.iter().map(|item| localized(item, server, repository)).collect(),
        Value::Object(entries) => {
            let entries = entries.iter().map(|(name, value)| (name.clone(), localized(value, server, repository)));
            Value::Object(entries.collect::<Map<_, _>>())
        }
        other => other.clone(),
    }
}

/// Objects are merged; everything else is replaced.
pub(crate) fn overlay(under: &mut Value, over: Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (name, value) in over {
                overlay(under.entry(name).or_insert(Value::Null), value);
            }
        }
        (under, over) => *under = over,
    }
}

/// An example with this state over it.
pub(crate) fn with(mut example: Value, over: Value) -> Value {
    overlay(&mut example, over);
    example
}
