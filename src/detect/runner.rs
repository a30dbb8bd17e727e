//! The runner's format: what stands around a line of a job's log.

use super::text::patterns;

patterns! {
    TIMESTAMP = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z";
    COMMAND = r"##\[(group|endgroup|error|warning|command|debug|section|notice)\]";
    WORKFLOW = r"^::(error|warning|notice|group|endgroup|debug)(?: [^:]*(?:::?[^:=]+=[^:]*)*?)?::(.*)$";
}

/// What the runner says of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    None,
    Group,
    EndGroup,
    Error,
    Warning,
    Command,
    Debug,
}

/// A line without its envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Envelope<'a> {
    /// Job and step, in the format of `gh run view --log`.
    pub(super) columns: Option<(&'a str, &'a str)>,
    pub(super) stamped: bool,
    pub(super) text: &'a str,
}

/// Takes timestamp, byte order marks and gh's columns off.
pub(super) fn envelope<'a>(line: &'a str, columns: Option<(&str, &str)>) -> Envelope<'a> {
    let line = line.trim_start_matches('\u{feff}');
    if let Some((job, rest)) = line.split_once('\t')
        && let Some((step, rest)) = rest.split_once('\t')
    {
        let rest = rest.trim_start_matches('\u{feff}');
        let found = TIMESTAMP.find(rest);
        if found.is_some() || columns == Some((job, step)) {
            let text = found.map_or(rest, |found| unstamped(rest, found.end()));
            return Envelope { columns: Some((job, step)), stamped: found.is_some(), text };
        }
    }
    match TIMESTAMP.find(line) {
        Some(found) => Envelope { columns: None, stamped: true, text: unstamped(line, found.end()) },
        None => Envelope { columns: None, stamped: false, text: line },
    }
}

fn unstamped(line: &str, end: usize) -> &str {
    let text = &line[end..];
    text.strip_prefix(' ').unwrap_or(text).trim_start_matches('\u{feff}')
}

/// The runner's mark of a line, and the text after it. A `##[…]` inside a line counts as well, as the runner has it.
pub(super) fn mark(text: &str) -> (Mark, &str) {
    if let Some(rest) = text.strip_prefix("[command]") {
        return (Mark::Command, rest);
    }
    if !text.contains("##[") {
        return (Mark::None, text);
    }
    let Some(found) = COMMAND.captures(text) else { return (Mark::None, text) };
    let (Some(whole), Some(name)) = (found.get(0), found.get(1)) else { return (Mark::None, text) };
    let mark = match name.as_str() {
        "group" => Mark::Group,
        "endgroup" => Mark::EndGroup,
        "error" => Mark::Error,
        "warning" => Mark::Warning,
        "command" => Mark::Command,
        _ => Mark::Debug,
    };
    (mark, &text[whole.end()..])
}

/// A workflow command in a tool's own output (`::error file=a.py,line=1::message`), as the runner would show it.
pub(super) fn workflow(text: &str) -> Option<(Mark, &str)> {
    if !text.starts_with("::") {
        return None;
    }
    let found = WORKFLOW.captures(text)?;
    let mark = match found.get(1)?.as_str() {
        "error" => Mark::Error,
        "warning" | "notice" => Mark::Warning,
        "group" => Mark::Group,
        "endgroup" => Mark::EndGroup,
        _ => Mark::Debug,
    };
    let text = found.get(2)?.as_str();
    Some((mark, text.split("%0A").next().unwrap_or(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_and_marks_of_byte_order_go() {
        let line = "\u{feff}2026-01-01T00:00:00.1234567Z \u{feff}hello";
        assert_eq!(envelope(line, None).text, "hello");
        assert_eq!(envelope("2026-01-01T00:00:00.1234567Z", None).text, "");
        assert_eq!(envelope("2026-01-01T00:00:00.1234567Z     x", None).text, "    x");
    }

    #[test]
    fn the_columns_of_gh_are_read() {
        let found = envelope("test (3.11)\tRun tests\t\u{feff}2026-01-01T00:00:00.1234567Z a\tb", None);
        assert_eq!(found.columns, Some(("test (3.11)", "Run tests")));
        assert_eq!(found.text, "a\tb");
        assert_eq!(envelope("a\tb\tc", None).columns, None);
        assert_eq!(envelope("a\tb\tc", Some(("a", "b"))).text, "c");
    }

    #[test]
    fn a_mark_inside_a_line_counts() {
        assert_eq!(mark("##[group]Run x"), (Mark::Group, "Run x"));
        assert_eq!(mark("npm ##[error]no"), (Mark::Error, "no"));
        assert_eq!(mark("[command]/usr/bin/git"), (Mark::Command, "/usr/bin/git"));
    }

    #[test]
    fn a_workflow_command_is_read_as_the_runner_shows_it() {
        let line = "::error title=Ruff (F401),file=/w/a.py,line=1,col=8::a.py:1:8: F401 `os` imported but unused";
        assert_eq!(workflow(line), Some((Mark::Error, "a.py:1:8: F401 `os` imported but unused")));
        assert_eq!(workflow("::endgroup::"), Some((Mark::EndGroup, "")));
    }
}
