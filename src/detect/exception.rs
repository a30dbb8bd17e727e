//! What an exception says about the cause: a missing module, a file that does not parse, a network that is away.

use super::failure::{Category, Key};
use super::found::Found;
use super::text::patterns;

patterns! {
    EXCEPTION = r"^((?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*)(?::(?:\s+(.*))?)?$";
    NO_MODULE = r#"No module named ['"]?([\w.]+)"#;
    CANNOT_IMPORT = r#"cannot import name ['"]?(\w+)['"]? from (?:partially initialized module )?['"]?([\w.]+)"#;
    NETWORK = r"(?x)NewConnectionError | Temporary\ failure\ in\ name\ resolution | Name\ or\ service\ not\ known
        | Read\ timed\ out | ReadTimeoutError | ConnectTimeoutError | Could\ not\ fetch\ URL | Max\ retries\ exceeded
        | Network\ is\ unreachable | Connection\ reset\ by\ peer | Could\ not\ resolve\ host | RemoteDisconnected
        | We\ couldn't\ connect\ to | Connection\ refused | Failed\ to\ establish\ a\ new\ connection
        | TLS\ handshake\ timeout | (?:502\ Bad|504)\ Gateway | 503\ Service\ (?:Temporarily\ )?Unavailable | connection\ broken\ by
        | dns\ error | error\ sending\ request\ for\ url | IncompleteRead | ProtocolError\(
        | \bECONNREFUSED\b | \bECONNRESET\b | \bETIMEDOUT\b | \bEAI_AGAIN\b | \bENOTFOUND\b | SSL:\ UNEXPECTED_EOF | Failed\ to\ download\ from | (?:error:\ |Exception:\ )Request\ failed\ after\ (?:\d+|too\ many)\ retries";
}

/// Does the line tell of a network that failed?
pub(super) fn network(line: &str) -> bool {
    NETWORK.is_match(line)
}

/// The class and the message of a line such as `pkg.SomeError: message`.
pub(super) fn parse(line: &str) -> Option<(String, String)> {
    let found = EXCEPTION.captures(line.trim_end())?;
    let class = found[1].rsplit('.').next().unwrap_or_default();
    let message = found.get(2).map_or("", |message| message.as_str());
    if !is_class(class, !message.is_empty() || line.ends_with(':')) {
        return None;
    }
    Some((class.to_owned(), message.to_owned()))
}

/// Could this be an exception's class name?
pub(super) fn is_class(name: &str, with_message: bool) -> bool {
    const ENDINGS: [&str; 10] =
        ["Error", "Exception", "Exit", "Interrupt", "Warning", "Failed", "Failure", "Group", "Timeout", "Found"];
    if ENDINGS.iter().any(|ending| name.ends_with(ending)) || name == "StopIteration" || name == "Skipped" {
        return true;
    }
    with_message
        && name.len() > 3
        && name.chars().next().is_some_and(char::is_uppercase)
        && name.chars().any(char::is_lowercase)
        && !matches!(name, "Expected" | "Actual" | "Received" | "Got" | "Left" | "Right" | "Note" | "Full" | "First")
}

/// The module that is missing, as Python reports it.
pub(super) fn missing(class: &str, message: &str) -> Option<String> {
    // Sphinx says what an extension died of in brackets.
    let quoted = message.contains("(exception: No module named ");
    if class != "ModuleNotFoundError" && class != "ImportError" && class != "ModuleNotFound" && !quoted {
        return None;
    }
    if let Some(found) = NO_MODULE.captures(message) {
        return Some(found[1].trim_end_matches('.').to_owned());
    }
    let found = CANNOT_IMPORT.captures(message)?;
    Some(format!("{}.{}", &found[2], &found[1]))
}

/// Does this class say that a file does not parse?
pub(super) fn is_syntax(class: &str) -> bool {
    matches!(class, "SyntaxError" | "IndentationError" | "TabError")
}

/// The cause of all failures that a missing module has.
pub(super) fn missing_cause(name: &str) -> String {
    format!("missing|{name}")
}

/// Lets an exception change category, key and cause of a failure.
pub(super) fn apply(found: &mut Found, class: &str, message: &str) {
    if let Some(name) = missing(class, message) {
        found.category = Category::ImportDependency;
        found.cause = Some(missing_cause(&name));
        found.key = Key::Missing { name };
    } else if is_syntax(class) {
        found.category = Category::SyntaxError;
        if let Some(file) = &found.file {
            found.cause = Some(format!("syntax|{file}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_read_without_its_module() {
        assert_eq!(parse("a.b.SomeError: it broke"), Some(("SomeError".into(), "it broke".into())));
        assert_eq!(parse("KeyError"), Some(("KeyError".into(), String::new())));
        assert_eq!(parse("INFO: all is well"), None);
        assert_eq!(parse("assert 1 == 2"), None);
    }

    #[test]
    fn a_missing_module_is_named_as_python_names_it() {
        assert_eq!(missing("ModuleNotFoundError", "No module named 'yaml'"), Some("yaml".into()));
        assert_eq!(missing("ImportError", "cannot import name 'x' from 'a.b' (/p/a/b.py)"), Some("a.b.x".into()));
        assert_eq!(missing("ValueError", "No module named 'yaml'"), None);
    }

    #[test]
    fn a_dead_network_is_told_from_a_missing_package() {
        assert!(network(
            "Retrying after connection broken by 'NewConnectionError(': Failed to establish a new connection"
        ));
        assert!(!network("ERROR: No matching distribution found for nothing-of-that-name"));
    }
}
