//! report: one value, many renderings. Only this room prints.

mod detected;
mod fixed;
mod markdown;
mod progress;
mod sarif;
mod table;
mod verified;

use std::io::{self, Write as _};

use serde::Serialize;

pub use detected::{detected_json, detected_text};
pub use fixed::fixed_text;
pub use markdown::markdown;
pub use progress::watch;
pub use sarif::{detected_sarif, verified_sarif};
pub use table::Table;
pub use verified::verified_text;

/// Writes a text to standard output. A reader that has gone away is no error.
pub fn print(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Writes a line to standard error.
pub fn complain(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// One JSON value on one line.
pub fn json_line(value: &impl Serialize) -> String {
    match serde_json::to_string(value) {
        Ok(text) => format!("{text}\n"),
        Err(error) => format!("{}\n", serde_json::json!({ "schema": 1, "error": error.to_string() })),
    }
}
