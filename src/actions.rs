//! actions: the runner's protocol: inputs in; commands, outputs and the summary out. Texts are made and files appended to
//! here; only `report` prints.
//!
//! What the runner obeys (actions/runner, `ActionCommand.cs` and `FileCommandManager.cs`): a line that begins with
//! `::name …::` after white space, and `##[name …]` anywhere in a line, on both streams. So every foreign text that an action
//! prints goes through [`neutralised`].

use std::{
    env,
    fs::{self, File},
    io::Write as _,
    path::PathBuf,
};

use anyhow::{Context as _, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use ghactions_core::ActionTrait;

use crate::redact::{redact, shown, shown_line};

/// The runner cuts longer messages.
const LONGEST_MESSAGE: usize = 4000;
/// The runner shows no more of one level for a step.
const MOST_OF_A_LEVEL: usize = 10;
/// The runner drops a larger summary whole (1 MiB, all steps' writes together).
const LARGEST_SUMMARY: usize = (1 << 20) - 1024;

/// How much an annotation matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Level {
    Notice,
    Warning,
}

/// What is shown on a file's line, or on the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Annotation {
    /// How much it matters.
    pub level: Level,
    /// Repository-relative.
    pub file: Option<String>,
    /// 1-based.
    pub line: Option<u32>,
    /// In bold.
    pub title: String,
    /// The rest.
    pub message: String,
}

/// The environment of an action, as `ghactions-core` reads it. Of that crate only the reading of variables is used: its
/// outputs and its logger escape nothing (0.20.0).
struct Environment;

impl ActionTrait for Environment {
    fn name(&self) -> &str {
        env!("CARGO_PKG_NAME")
    }

    fn description(&self) -> &str {
        env!("CARGO_PKG_DESCRIPTION")
    }

    fn init() -> Result<Self, ghactions_core::ActionsError> {
        Ok(Environment)
    }
}

/// An input of the action; `None` where it is empty.
pub fn input(name: &str) -> Option<String> {
    // The runner upper-cases the name, turns spaces into underscores, and keeps hyphens.
    let variable = format!("INPUT_{}", name.to_uppercase().replace(' ', "_"));
    let value = Environment::get_input(variable.as_str()).ok()?;
    Some(value.trim().to_owned()).filter(|value| !value.is_empty())
}

/// Asks the runner to hide a secret, each of its lines and its base64 in every log.
pub fn add_mask(secret: &str) -> String {
    let secret = secret.trim();
    let lines = secret.lines().map(str::trim).filter(|line| line.len() >= 4).map(str::to_owned);
    let mut forms: Vec<String> =
        lines.chain([STANDARD.encode(secret), STANDARD.encode(format!("x-access-token:{secret}"))]).collect();
    forms.dedup();
    if secret.is_empty() {
        return String::new();
    }
    forms.iter().map(|form| format!("::add-mask::{}\n", data(form))).collect()
}

/// Annotations as commands, at most ten of a level.
pub fn commands(annotations: &[Annotation]) -> String {
    let mut text = String::new();
    for level in [Level::Notice, Level::Warning] {
        for one in annotations.iter().filter(|one| one.level == level).take(MOST_OF_A_LEVEL) {
            let name = if level == Level::Notice { "notice" } else { "warning" };
            let mut properties = Vec::new();
            if let Some(file) = &one.file {
                properties.push(format!("file={}", property(&shown_line(file, 400))));
                properties.extend(one.line.map(|line| format!("line={line}")));
            }
            properties.push(format!("title={}", property(&shown_line(&one.title, 200))));
            let message = data(&shown(&one.message, LONGEST_MESSAGE / 3));
            text.push_str(&format!("::{name} {}::{message}\n", properties.join(",")));
        }
    }
    text
}

/// Begins a group of the log.
pub fn group(title: &str) -> String {
    format!("::group::{}\n", data(&shown_line(title, 200)))
}

/// A foreign text that is printed to an action's log: no line of it is a command.
pub fn neutralised(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for (index, line) in text.split('\n').enumerate() {
        if index > 0 {
            clean.push('\n');
        }
        let bare = line.trim_start_matches(|c: char| c.is_whitespace() || c.is_control() || c == '\u{feff}');
        if bare.starts_with("::") {
            // A word joiner: nothing to see, and no command.
            clean.push_str(&line[..line.len() - bare.len()]);
            clean.push('\u{2060}');
            clean.push_str(&bare.replace("##[", "#\u{2060}#["));
        } else {
            clean.push_str(&line.replace("##[", "#\u{2060}#["));
        }
    }
    clean.replace('\r', "")
}

/// `%`, and what ends a line.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// Sets an output of the step; nothing where no runner waits for it.
///
/// # Errors
/// When the runner's file can't be written.
pub fn set_output(name: &str, value: &str) -> Result<()> {
    match file("GITHUB_OUTPUT") {
        Some(file) => append(&file, &entry(name, &redact(value))),
        None => Ok(()),
    }
}

/// `name<<DELIMITER`, with a delimiter that the value does not hold.
fn entry(name: &str, value: &str) -> String {
    let value: String = value.chars().take(200_000).filter(|c| *c != '\r').collect();
    let delimiter = loop {
        let random = format!("test_repair_{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
        if !value.contains(&random) {
            break random;
        }
    };
    format!("{name}<<{delimiter}\n{value}\n{delimiter}\n")
}

/// Appends to the job summary what there is room for.
///
/// # Errors
/// When the runner's file can't be written.
pub fn append_summary(markdown: &str) -> Result<()> {
    let Some(file) = file("GITHUB_STEP_SUMMARY") else { return Ok(()) };
    let held = usize::try_from(fs::metadata(&file).map_or(0, |meta| meta.len())).unwrap_or(usize::MAX);
    append(&file, &fitting(markdown, LARGEST_SUMMARY.saturating_sub(held)))
}

/// As much as fits, cut at a line's end and with no block left open.
fn fitting(markdown: &str, room: usize) -> String {
    const NOTE: &str = "\n\n_Cut: the whole is in the report's files._\n";
    if markdown.len() <= room {
        return markdown.to_owned();
    }
    let mut end = room.saturating_sub(NOTE.len() + 200);
    while !markdown.is_char_boundary(end) {
        end -= 1;
    }
    let kept = &markdown[..markdown[..end].rfind('\n').unwrap_or(0)];
    let mut open: Option<&str> = None;
    for line in kept.lines() {
        let fence = &line[..line.len() - line.trim_start_matches('`').len()];
        match open {
            Some(of) if line.trim_end() == of => open = None,
            None if fence.len() >= 3 => open = Some(fence),
            _ => {}
        }
    }
    let close = open.filter(|fence| fence.len() < 150).map_or_else(String::new, |fence| format!("\n{fence}"));
    if kept.is_empty() { String::new() } else { format!("{kept}{close}{NOTE}") }
}

fn file(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).filter(|place| !place.is_empty()).map(PathBuf::from)
}

fn append(file: &PathBuf, text: &str) -> Result<()> {
    let cannot = || format!("the runner's file {} cannot be written", file.display());
    let mut file = File::options().append(true).create(true).open(file).with_context(cannot)?;
    file.write_all(text.as_bytes()).with_context(cannot)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As the runner reads a line (`ActionCommand.TryParseV2` and `TryParse`).
    fn obeyed(text: &str) -> bool {
        text.split(['\n', '\r']).any(|line| {
            let line = line.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
            line.starts_with("::") && line[2..].contains("::") || line.contains("##[")
        })
    }

    #[test]
    fn an_annotation_is_one_command_whatever_its_texts_say() {
        let one = Annotation {
            level: Level::Warning,
            file: Some("a,b:c.py".to_owned()),
            line: Some(7),
            title: "x::y\n::error::z".to_owned(),
            message: "50% of\nit\r::set-output name=a::b".to_owned(),
        };
        let text = commands(&[one]);
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.starts_with("::warning file=a%2Cb%3Ac.py,line=7,title="), "{text}");
        assert!(text.contains("50%25 of%0Ait"), "{text}");
    }

    #[test]
    fn no_more_than_ten_of_a_level_are_said() {
        let one = |level| Annotation { level, file: None, line: None, title: "t".into(), message: "m".into() };
        let all: Vec<Annotation> =
            (0..30).map(|n| one(if n % 2 == 0 { Level::Notice } else { Level::Warning })).collect();
        assert_eq!(commands(&all).lines().count(), 20);
    }

    #[test]
    fn a_summary_that_is_too_long_is_cut_where_no_block_stays_open() {
        let text = format!("# A\n\n```diff\n{}```\n", "+x\n".repeat(1000));
        let cut = fitting(&text, 1000);
        assert!(cut.len() <= 1000 && cut.contains("+x\n```\n\n_Cut"), "{cut}");
        assert_eq!(fitting(&text, 10_000), text);
        assert_eq!(fitting(&text, 10), "");
    }

    proptest! {
        #[test]
        fn no_text_is_obeyed(text in "([ \t\r\n:#\\[a\u{feff}\u{1b}]|::|##\\[|::error::){0,30}") {
            prop_assert!(!obeyed(&neutralised(&text)), "{:?}", neutralised(&text));
        }

        #[test]
        fn no_value_of_an_output_makes_another(value in "(?s).{0,80}(\n[a-z]+=b|<<EOF\n){0,3}") {
            let text = entry("patch", &value);
            let delimiter = text.lines().next().unwrap().split("<<").nth(1).unwrap();
            let ends: Vec<&str> = text.split('\n').filter(|line| *line == delimiter).collect();
            prop_assert_eq!(ends.len(), 1);
        }
    }
}
