//! actions: the protocol of GitHub's runner: inputs, workflow commands, and the files for outputs and the summary.
//!
//! The runner reads commands out of all that is printed, to standard error as well: `::x::` where a line begins, and
//! `##[x]` anywhere in one. So nothing foreign is printed but [`neutralised`]. Here texts are only made; `report` prints.

use std::{
    collections::hash_map::RandomState,
    env, fs,
    hash::{BuildHasher as _, Hasher as _},
    io::{self, Write as _},
    path::PathBuf,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ghactions_core::{ActionTrait, ActionsError};

use crate::{markup::cut, redact::shown};

/// The runner cuts longer messages.
const LONGEST_MESSAGE: usize = 4096;

/// The runner shows no more annotations of a level in a step.
const MOST_OF_A_LEVEL: usize = 10;

/// A longer summary is dropped whole.
const LARGEST_SUMMARY: u64 = 1_048_576;

/// All outputs of a job: 1 MiB, where each character counts two bytes.
const LARGEST_OUTPUTS: u64 = 500_000;

/// The environment of an action, as `ghactions-core` reads it. Of that crate nothing else is used: its outputs and its
/// logger escape nothing (0.20.0).
struct Environment;

impl ActionTrait for Environment {
    fn init() -> Result<Self, ActionsError> {
        Ok(Environment)
    }

    fn name(&self) -> &str {
        env!("CARGO_PKG_NAME")
    }

    fn description(&self) -> &str {
        env!("CARGO_PKG_DESCRIPTION")
    }
}

/// The value of an input of the action, without white space around it; `None` when it is empty or not there.
pub fn input(name: &str) -> Option<String> {
    let value = Environment::get_input(input_variable(name).as_str()).ok()?;
    Some(value.trim().to_owned()).filter(|value| !value.is_empty())
}

/// The variable that the runner puts an input in. Hyphens stay.
fn input_variable(name: &str) -> String {
    format!("INPUT_{}", name.replace(' ', "_").to_uppercase())
}

/// Is this process a step of a workflow?
pub fn is_action() -> bool {
    env::var("GITHUB_ACTIONS").is_ok_and(|value| value == "true")
}

/// A text as it may be printed where the runner reads: no command in any line of it, no escape sequence, and none of
/// the characters that the runner's comparisons overlook.
pub fn neutralised(text: &str) -> String {
    let text = console::strip_ansi_codes(text).replace("\r\n", "\n").replace('\r', "\n");
    let text: String = text.chars().filter(|c| matches!(c, '\n' | '\t') || !is_overlooked(*c)).collect();
    let line = |line: &str| {
        let (indent, rest) = line.split_at(line.len() - line.trim_start().len());
        match rest.strip_prefix("::") {
            Some(rest) => format!("{indent}: :{rest}"),
            None => line.to_owned(),
        }
    };
    let lines: Vec<String> = text.split('\n').map(line).collect();
    lines.join("\n").replace("##[", "# #[")
}

/// Characters that weigh nothing when texts are compared by a culture's rules, as the runner does.
fn is_overlooked(c: char) -> bool {
    let weightless = matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{e0000}'..='\u{e0fff}');
    c.is_control() || weightless
}

/// A command's data.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// The value of a command's property.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// How much an annotation matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Level {
    Notice,
    Warning,
    Error,
}

impl Level {
    fn command(self) -> &'static str {
        match self {
            Level::Notice => "notice",
            Level::Warning => "warning",
            Level::Error => "error",
        }
    }
}

/// Words at a place of the repository, as the runner shows them on the run's page and in the files of a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Annotation {
    /// How much it matters.
    pub level: Level,
    /// Repository-relative.
    pub file: Option<String>,
    /// 1-based.
    pub line: Option<u32>,
    /// Not before `line`.
    pub end_line: Option<u32>,
    /// A few words.
    pub title: Option<String>,
    /// All of it.
    pub message: String,
}

impl Annotation {
    /// The command, on a line of its own.
    pub fn command(&self) -> String {
        let mut properties = Vec::new();
        let mut add = |name: &str, value: &str| {
            let value = neutralised(&shown(value, 300)).replace('\n', " ");
            if !value.is_empty() {
                properties.push(format!("{name}={}", property(&value)));
            }
        };
        if let Some(file) = &self.file {
            add("file", file);
            if let Some(line) = self.line {
                add("line", &line.to_string());
                if let Some(end) = self.end_line.filter(|end| *end >= line) {
                    add("endLine", &end.to_string());
                }
            }
        }
        if let Some(title) = &self.title {
            add("title", title);
        }
        // The runner ignores an empty message, and a space that breaks a command makes a text longer.
        let message = neutralised(&shown(&self.message, LONGEST_MESSAGE));
        let message: String = match message.trim() {
            "" => "(no message)".to_owned(),
            message => message.chars().take(LONGEST_MESSAGE).collect(),
        };
        let space = if properties.is_empty() { "" } else { " " };
        format!("::{}{space}{}::{}\n", self.level.command(), properties.join(","), data(&message))
    }
}

/// The commands of the first ten of each level: the runner shows no more.
pub fn annotate(annotations: &[Annotation]) -> String {
    let mut commands = String::new();
    for level in [Level::Error, Level::Warning, Level::Notice] {
        let of_level = annotations.iter().filter(|annotation| annotation.level == level);
        commands.extend(of_level.take(MOST_OF_A_LEVEL).map(Annotation::command));
    }
    commands
}

/// The line that begins a group of the log's lines.
pub fn group(title: &str) -> String {
    let title = neutralised(&shown(title, 200)).replace('\n', " ");
    format!("::group::{}\n", data(&title))
}

/// The line that ends it.
pub fn end_group() -> &'static str {
    "::endgroup::\n"
}

/// The lines that let the runner hide a secret, each of its lines, and the forms that it is sent in.
pub fn add_mask(secret: &str) -> String {
    let secret = secret.trim();
    let lines = secret.lines().map(str::trim);
    let encoded = ["", "x-access-token:", ":"].map(|user| STANDARD.encode(format!("{user}{secret}")));
    let forms = [secret.to_owned()].into_iter().chain(lines.map(str::to_owned)).chain(encoded);
    let mut masks: Vec<String> = Vec::new();
    // What is shorter stands in every log.
    for form in forms.filter(|form| form.len() >= 4 && secret.len() >= 4) {
        let mask = format!("::add-mask::{}\n", data(&form));
        if !masks.contains(&mask) {
            masks.push(mask);
        }
    }
    masks.concat()
}

/// Lets the runner obey nothing that is printed between two lines.
#[derive(Debug)]
pub struct Quiet(String);

impl Quiet {
    /// With a token that nobody can guess.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Quiet {
        Quiet(random())
    }

    /// The line before.
    pub fn begin(&self) -> String {
        format!("::stop-commands::{}\n", self.0)
    }

    /// The line after.
    pub fn end(&self) -> String {
        format!("::{}::\n", self.0)
    }
}

/// 128 bits that nobody can guess: the standard library's hashers are keyed by the system.
fn random() -> String {
    let bits = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", bits(), bits())
}

/// The files by which a step tells the runner its outputs and its summary. Where the runner names none, nothing is
/// written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommandFiles {
    /// `GITHUB_OUTPUT`
    pub output: Option<PathBuf>,
    /// `GITHUB_STEP_SUMMARY`
    pub summary: Option<PathBuf>,
}

impl CommandFiles {
    /// Those of the environment.
    pub fn of_environment() -> CommandFiles {
        let file = |name: &str| env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from);
        CommandFiles { output: file("GITHUB_OUTPUT"), summary: file("GITHUB_STEP_SUMMARY") }
    }

    /// Sets an output to the very bytes of `value`. `false` when there is no room for it: GitHub takes 1 MiB a job, and
    /// a patch is nothing when it is cut.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn set_output(&self, name: &str, value: &str) -> io::Result<bool> {
        let Some(file) = &self.output else { return Ok(true) };
        let entry = output_entry(name, value, random);
        let held = fs::metadata(file).map_or(0, |file| file.len());
        if held + entry.len() as u64 > LARGEST_OUTPUTS {
            return Ok(false);
        }
        append(file, &entry)
    }

    /// Appends Markdown to the summary, cut where GitHub would drop it for its length. `whole` says where all of it is:
    /// a sentence of ours.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn append_summary(&self, markdown: &str, whole: &str) -> io::Result<bool> {
        let Some(file) = &self.summary else { return Ok(true) };
        let held = fs::metadata(file).map_or(0, |file| file.len());
        let room = LARGEST_SUMMARY.saturating_sub(held + 1);
        let markdown = format!("{}\n", markdown.trim_end());
        let fits = markdown.len() as u64 <= room;
        let note = format!("*The summary is cut here: GitHub shows no more. {whole}*");
        append(file, &cut(&markdown, usize::try_from(room).unwrap_or(0), &note))?;
        Ok(fits)
    }
}

/// The lines of an output, between delimiters that the value does not hold.
fn output_entry(name: &str, value: &str, mut random: impl FnMut() -> String) -> String {
    let name: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).collect();
    let mut delimiter = format!("end_{}", random());
    while value.contains(&delimiter) {
        delimiter = format!("end_{}", random());
    }
    format!("{name}<<{delimiter}\n{value}\n{delimiter}\n")
}

fn append(file: &PathBuf, text: &str) -> io::Result<bool> {
    fs::OpenOptions::new().append(true).create(true).open(file)?.write_all(text.as_bytes())?;
    Ok(true)
}

#[cfg(test)]
mod tests;
