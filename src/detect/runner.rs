//! What stands around a line of a job's log: timestamps, `gh run view`'s columns, the runner's marks.

use super::text::patterns;

patterns! {
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
    /// Azure Pipelines: a step starts or finishes.
    Section,
    Debug,
}

/// How the lines of a log begin. The first lines settle it: a tool's own output may look like any of these later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Format {
    #[default]
    Unknown,
    /// Job, step, timestamp: `gh run view --log`.
    Columns,
    /// The runner's own, or GitLab's timestamps; plain output has the same without any.
    Lines,
    /// Timestamps of another kind before every line (`2026-01-01 00:00:00.000`, `…+00:00`).
    Stamped,
}

/// The format that a line shows by itself.
pub(super) fn format(line: &str) -> Format {
    let line = line.trim_start_matches('\u{feff}');
    if columns(line).is_some() {
        return Format::Columns;
    }
    match stamp(line, false) {
        Some((_, Stamp::Zulu)) => Format::Lines,
        Some(_) => Format::Stamped,
        None if line.starts_with("##[") => Format::Lines,
        None => Format::Unknown,
    }
}

/// A line without its envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Envelope<'a> {
    /// Job and step, in the format of `gh run view --log`.
    pub(super) columns: Option<(&'a str, &'a str)>,
    pub(super) text: &'a str,
}

/// Takes timestamp, byte order marks and gh's columns off. `known` are the columns of the line before.
pub(super) fn envelope<'a>(line: &'a str, format: Format, known: Option<(&str, &str)>) -> Envelope<'a> {
    let line = line.trim_start_matches('\u{feff}');
    if format == Format::Columns {
        if let Some((job, step, rest)) = columns(line) {
            return Envelope { columns: Some((job, step)), text: unstamped(rest, false) };
        }
        // A continuation line: it has the columns and no timestamp.
        if let Some((job, step, rest)) = cells(line)
            && known == Some((job, step))
        {
            return Envelope { columns: known.map(|_| (job, step)), text: rest };
        }
        return Envelope { columns: None, text: line };
    }
    Envelope { columns: None, text: unstamped(line, format == Format::Stamped) }
}

/// Job, step, and what begins with a timestamp.
fn columns(line: &str) -> Option<(&str, &str, &str)> {
    let (job, step, rest) = cells(line)?;
    let rest = rest.trim_start_matches('\u{feff}');
    stamp(rest, false).filter(|(_, kind)| *kind == Stamp::Zulu)?;
    Some((job, step, rest))
}

/// A line's first two columns, and the rest: after tabs, or the blanks that a terminal or a web page made of them.
fn cells(line: &str) -> Option<(&str, &str, &str)> {
    if let Some((job, rest)) = line.split_once('\t') {
        let (step, rest) = rest.split_once('\t')?;
        return Some((job, step, rest));
    }
    let (job, rest) = line.split_once("  ").filter(|(job, _)| !job.is_empty())?;
    let (step, rest) = rest.trim_start_matches(' ').split_once("  ")?;
    Some((job, step, rest.trim_start_matches(' ')))
}

/// When the line was printed, where its envelope says so: seconds of Unix time, a zone that is not named being UTC.
pub(super) fn instant(line: &str, format: Format) -> Option<i64> {
    let line = line.trim_start_matches('\u{feff}');
    let line = match format {
        Format::Columns => columns(line)?.2.trim_start_matches('\u{feff}'),
        _ => line,
    };
    let (_, kind) = stamp(line, true)?;
    if kind != Stamp::Zulu && format != Format::Stamped {
        return None;
    }
    let line = line.trim_start_matches('[');
    let civil = format!("{}T{}Z", line.get(..10)?, line.get(11..19)?);
    Some(civil.parse::<jiff::Timestamp>().ok()?.as_second())
}

fn unstamped(line: &str, any: bool) -> &str {
    let Some((end, kind)) = stamp(line, true).filter(|(_, kind)| any || *kind == Stamp::Zulu) else { return line };
    let text = &line[end..];
    let text = text.strip_prefix(' ').unwrap_or(text).trim_start_matches('\u{feff}');
    if kind == Stamp::Zulu { gitlab(text) } else { text }
}

/// GitLab writes the stream's number, its kind, and `+` for a line that goes on: `01O `, `00E+`.
fn gitlab(text: &str) -> &str {
    match text.as_bytes() {
        [a, b, b'O' | b'E', b' ' | b'+', ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => &text[4..],
        [a, b, b'O' | b'E'] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => "",
        _ => text,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stamp {
    /// `2026-01-01T00:00:00.1234567Z`.
    Zulu,
    Other,
}

/// Where a line's timestamp ends: `2026-01-01T00:00:00`, with a fraction or none, and `Z`, an offset or (after a space
/// for `T`) nothing; in brackets, as Jenkins has it. `in_doubt`: a stamp without a zone needs no fraction.
fn stamp(line: &str, in_doubt: bool) -> Option<(usize, Stamp)> {
    let bytes = line.as_bytes();
    let open = usize::from(bytes.first() == Some(&b'['));
    let body = bytes.get(open..)?;
    let shape = b"dddd-dd-ddTdd:dd:dd";
    let fits = body.len() >= shape.len()
        && shape.iter().zip(body).all(|(want, byte)| match want {
            b'd' => byte.is_ascii_digit(),
            b'T' => matches!(byte, b'T' | b' '),
            want => want == byte,
        });
    if !fits {
        return None;
    }
    let mut end = shape.len();
    if matches!(body.get(end), Some(b'.' | b',')) {
        let digits = body[end + 1..].iter().take(9).take_while(|byte| byte.is_ascii_digit()).count();
        end += if digits > 0 { digits + 1 } else { 0 };
    }
    let fraction = end > shape.len();
    let mut kind = Stamp::Other;
    match body.get(end) {
        Some(b'Z') => {
            end += 1;
            if body[10] == b'T' && open == 0 {
                kind = Stamp::Zulu;
            }
        }
        Some(b'+' | b'-') if body.get(end + 1).is_some_and(u8::is_ascii_digit) => {
            end +=
                1 + body[end + 1..].iter().take(5).take_while(|byte| byte.is_ascii_digit() || **byte == b':').count();
        }
        Some(b' ') if matches!(body.get(end + 1..end + 4), Some(b"GMT" | b"UTC")) => end += 4,
        _ if !(fraction || in_doubt) => return None,
        _ => {}
    }
    if open == 1 {
        if body.get(end) != Some(&b']') {
            return None;
        }
        end += 1;
    }
    match body.get(end) {
        None | Some(b' ') => Some((open + end, kind)),
        Some(_) if kind == Stamp::Zulu => Some((open + end, kind)),
        Some(_) => None,
    }
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
        "section" => Mark::Section,
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
        let text = |line| envelope(line, Format::Lines, None).text;
        assert_eq!(text("\u{feff}2026-01-01T00:00:00.1234567Z \u{feff}hello"), "hello");
        assert_eq!(text("2026-01-01T00:00:00.1234567Z"), "");
        assert_eq!(text("2026-01-01T00:00:00.1234567Z     x"), "    x");
        assert_eq!(text("2026-01-01T00:00:00.123456Z 01O+FAILED"), "FAILED");
        assert_eq!(text("2026-01-01 00:00:00 a program's own"), "2026-01-01 00:00:00 a program's own");
    }

    #[test]
    fn timestamps_of_other_services_go_where_the_log_begins_with_them() {
        for line in [
            "2026-01-01 00:00:00.000 hello",
            "2026-01-01T00:00:00.123+00:00 hello",
            "[2026-01-01T00:00:00.123Z] hello",
            "2026-01-01T00:00:00 GMT hello",
        ] {
            assert_eq!(format(line), Format::Stamped, "{line}");
            assert_eq!(envelope(line, Format::Stamped, None).text, "hello");
        }
        assert_eq!(format("2026-01-01 00:00:00 INFO a program's own"), Format::Unknown);
    }

    #[test]
    fn the_columns_of_gh_are_read() {
        let line = "test (3.11)\tRun tests\t\u{feff}2026-01-01T00:00:00.1234567Z a\tb";
        assert_eq!(format(line), Format::Columns);
        let found = envelope(line, Format::Columns, None);
        assert_eq!(found.columns, Some(("test (3.11)", "Run tests")));
        assert_eq!(found.text, "a\tb");
        let pasted = "test (3.11)    Run tests    2026-01-01T00:00:00.1234567Z   a";
        assert_eq!(format(pasted), Format::Columns);
        let found = envelope(pasted, Format::Columns, None);
        assert_eq!((found.columns, found.text), (Some(("test (3.11)", "Run tests")), "  a"));
        assert_eq!(envelope("a\tb\tc", Format::Columns, None).columns, None);
        assert_eq!(envelope("a\tb\tc", Format::Columns, Some(("a", "b"))).text, "c");
        let tool = "a\tb\t2026-01-01T00:00:00.1234567Z c";
        assert_eq!(envelope(tool, Format::Lines, None), Envelope { columns: None, text: tool });
    }

    #[test]
    fn a_line_says_when_it_was_printed() {
        for (line, format) in [
            ("\u{feff}2025-03-03T09:00:01.1234567Z x", Format::Lines),
            ("test\tRun tests\t\u{feff}2025-03-03T09:00:01.1234567Z x", Format::Columns),
            ("[2025-03-03T09:00:01.123Z] x", Format::Stamped),
        ] {
            assert_eq!(instant(line, format), Some(1_740_992_401), "{line}");
        }
        for line in ["2025-03-03 09:00:01 a program's own", "2025-99-03T09:00:01.0Z", "é025-03-03T09:00:01Z", "x"] {
            assert_eq!(instant(line, Format::Lines), None, "{line}");
        }
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
