//! The tools as the model sees them, and its calls as they are read: arguments may be anything.

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::llm::{Tool, ToolCall};

/// Longer arguments are not read.
const LONGEST_ARGUMENTS: usize = 128 << 10;
/// Longer commands are not run.
const LONGEST_COMMAND: usize = 8 << 10;

/// What a call asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Request {
    List { path: Option<String>, glob: Option<String> },
    Read { path: String, from: Option<usize>, to: Option<usize> },
    Search { regex: String, glob: Option<String> },
    Run { command: String },
    Edit { path: String, search: String, replace: String },
    Check,
}

#[derive(Deserialize)]
struct List {
    path: Option<String>,
    glob: Option<String>,
}

#[derive(Deserialize)]
struct Read {
    path: String,
    from: Option<usize>,
    to: Option<usize>,
}

#[derive(Deserialize)]
struct Search {
    regex: String,
    glob: Option<String>,
}

#[derive(Deserialize)]
struct Run {
    command: String,
}

#[derive(Deserialize)]
struct Edit {
    path: String,
    #[serde(default)]
    search: String,
    replace: String,
}

/// All tools.
pub(super) fn tools() -> Vec<Tool> {
    let text = |description: &str| json!({ "type": "string", "description": description });
    let line = |description: &str| json!({ "type": "integer", "description": description });
    vec![
        tool(
            "list",
            "Lists the repository's files.",
            &[],
            json!({
                "path": text("a directory; the root where it is left out"),
                "glob": text("only files like this: *.py, src/**/*.toml"),
            }),
        ),
        tool(
            "read",
            "Shows a file with line numbers, 200 lines unless told otherwise.",
            &["path"],
            json!({
                "path": text("from the repository's root"),
                "from": line("first line, from 1"),
                "to": line("last line"),
            }),
        ),
        tool(
            "search",
            "Lists the lines of the repository's files that match a regular expression (Rust's: no look-around).",
            &["regex"],
            json!({
                "regex": text("the expression"),
                "glob": text("only in files like this"),
            }),
        ),
        tool(
            "run",
            "Runs bash in the repository's root, in a sandbox without network. Files that it creates are not part of \
                     your change; changes to files of the repository are. The environment is read-only. Placeholders of secrets \
                     (`__SECRET_…__`) stay what they are here: use `edit` for lines that hold one.",
            &["command"],
            json!({
                "command": text("the script; its output is cut in the middle when it is long"),
            }),
        ),
        tool(
            "edit",
            "Replaces lines of a file. The search text must stand in it exactly once.",
            &["path", "search", "replace"],
            json!({
                "path": text("from the repository's root"),
                "search": text("whole lines as they stand in the file, without line numbers; empty to create a file"),
                "replace": text("their replacement, or the new file's content"),
            }),
        ),
        tool(
            "check",
            "Runs the failing check on the files as they are now, and undoes what it does to them.",
            &[],
            json!({}),
        ),
    ]
}

fn tool(name: &str, description: &str, required: &[&str], properties: Value) -> Tool {
    let parameters =
        json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false });
    Tool { name: name.to_owned(), description: description.to_owned(), parameters }
}

/// What a call asks for, or what is wrong with it.
pub(super) fn request(call: &ToolCall) -> Result<Request, String> {
    if call.arguments.len() > LONGEST_ARGUMENTS {
        return Err(format!("the arguments are too long: at most {} KB are read", LONGEST_ARGUMENTS >> 10));
    }
    Ok(match call.name.trim() {
        "list" => {
            let List { path, glob } = arguments(call)?;
            Request::List { path, glob }
        }
        "read" => {
            let Read { path, from, to } = arguments(call)?;
            Request::Read { path, from, to }
        }
        "search" => {
            let Search { regex, glob } = arguments(call)?;
            Request::Search { regex, glob }
        }
        "run" => {
            let Run { command } = arguments(call)?;
            if command.len() > LONGEST_COMMAND {
                return Err(format!("the command is too long: at most {} KB are run", LONGEST_COMMAND >> 10));
            }
            if command.trim().is_empty() || command.contains('\0') {
                return Err("the command is empty, or no text".to_owned());
            }
            Request::Run { command }
        }
        "edit" => {
            let Edit { path, search, replace } = arguments(call)?;
            Request::Edit { path, search, replace }
        }
        "check" => Request::Check,
        other => {
            let other: String = other.chars().filter(|c| !c.is_control()).take(60).collect();
            let known: Vec<String> = tools().into_iter().map(|tool| tool.name).collect();
            return Err(format!("there is no tool `{other}`: there are {}", known.join(", ")));
        }
    })
}

fn arguments<T: DeserializeOwned>(call: &ToolCall) -> Result<T, String> {
    let given = call.arguments.trim();
    let mut value: Value = serde_json::from_str(if given.is_empty() { "{}" } else { given })
        .map_err(|e| format!("the arguments are no JSON ({e}): call it again with one JSON object"))?;
    // Some models put their JSON into a string.
    if let Value::String(inner) = &value {
        value = serde_json::from_str(inner).unwrap_or(Value::Null);
    }
    if !value.is_object() {
        return Err("the arguments are no JSON object: call it again with one".to_owned());
    }
    serde_json::from_value(value).map_err(|e| format!("the arguments do not fit ({e}): call it again"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn call(name: &str, arguments: &str) -> ToolCall {
        ToolCall { id: "1".to_owned(), name: name.to_owned(), arguments: arguments.to_owned() }
    }

    #[test]
    fn the_tools_read_as_they_were_meant() {
        let said = tools().into_iter().map(|tool| {
            let schema = serde_json::to_string_pretty(&tool.parameters).unwrap();
            format!("{}: {}\n{schema}\n", tool.name, tool.description)
        });
        insta::assert_snapshot!("tools", said.collect::<String>());
    }

    #[test]
    fn every_tool_that_is_offered_is_understood_with_what_it_demands() {
        for tool in tools() {
            let required = tool.parameters["required"].as_array().unwrap().iter();
            let given: serde_json::Map<String, Value> =
                required.map(|name| (name.as_str().unwrap().to_owned(), json!("x"))).collect();
            assert!(request(&call(&tool.name, &Value::Object(given).to_string())).is_ok(), "{}", tool.name);
        }
    }

    #[test]
    fn wrong_calls_are_answered_with_what_is_wrong() {
        for (name, arguments, why) in [
            ("shell", "{}", "there is no tool `shell`"),
            ("read", "{\"path\": ", "no JSON"),
            ("read", "[1]", "no JSON object"),
            ("read", "{}", "path"),
            ("read", "{\"path\": 3}", "do not fit"),
            ("read", "{\"path\": \"a\", \"from\": -1}", "do not fit"),
            ("run", "{\"command\": \" \"}", "empty"),
            ("run", &format!("{{\"command\": \"{}\"}}", "x".repeat(9000)), "too long"),
            ("edit", &"x".repeat(200 << 10), "too long"),
        ] {
            let error = request(&call(name, arguments)).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
        assert_eq!(request(&call("check", "")), Ok(Request::Check));
        let twice = serde_json::to_string("{\"command\": \"ls\"}").unwrap();
        assert_eq!(request(&call("run", &twice)), Ok(Request::Run { command: "ls".to_owned() }));
    }

    proptest! {
        #[test]
        fn no_call_makes_it_panic(name in "list|read|search|run|edit|check|.{0,6}", arguments in "(?s).{0,60}") {
            let _ = request(&call(&name, &arguments));
        }
    }
}
