//! pip, and the build backends that it and others run.

use super::{Kind, Read, Tool};
use crate::detect::exception;
use crate::detect::failure::{Category, Key};
use crate::detect::found::{Found, Sink, Weight, Window};
use crate::detect::text::{bounded, patterns};

patterns! {
    NO_MATCH = r"^\s*ERROR: No matching distribution found for (\S.*)$";
    REQUIREMENT = r"^([A-Za-z0-9][\w.-]*)";
    BUILD = r"^\s*(?:ERROR: )?(?:Failed building (?:wheel|editable) for|Failed to build(?: '[^']*' when)?|Could not build wheels for) ?(.*)$";
    PIP = r"(?x)^\s*ERROR:\ (
          Cannot\ install\ .*
        | ResolutionImpossible.*
        | Package\ '.*'\ requires\ a\ different\ Python.*
        | Could\ not\ open\ requirements\ file.*
        | Invalid\ requirement.*
        | Directory\ '.*'\ is\ not\ installable.*
        | .*\ does\ not\ appear\ to\ be\ a\ Python\ project.*
        | .*\ is\ not\ a\ valid\ (?:editable\ )?requirement.*
        | .*\ is\ not\ a\ supported\ wheel.*
        | File\ .setup\.py.*not\ found.*
        | THESE\ PACKAGES\ DO\ NOT\ MATCH\ THE\ HASHES.*
        | Hashes\ are\ required.*
        | Cannot\ uninstall.*
        | Could\ not\ install\ packages.*
        | Project\ .*\ has\ a\ .*pyproject\.toml.*
        | Backend\ subprocess\ exited.*
        | .*\ metadata\ .*\ (?:invalid|inconsistent).*
        | Ignored\ the\ following.*)$";
    UNPARSED = r"^error: Failed to parse: `?(\S+?\.toml)`?$";
    TWINE = r"^Checking (\S+): FAILED";
    BROKEN = r"^(\S+ \S+ (?:requires \S+, which is not installed\.|has requirement .*, but you have .*\.|is not supported on this platform))$";
    INNER = r"^(?:error: (?:invalid command .*|command .* failed.*|subprocess.*|package directory .*|.*)|fatal error: .*|configuration error: .*|invalid pyproject\.toml config: .*|error in .* setup command: .*)$";
}

pub(super) const TOOL: Kind = Kind::new(
    &[
        "ERROR: ",
        "error: subprocess-exited",
        "error: metadata-",
        "error: failed-wheel",
        "Failed to build",
        "end of output",
        "which is not installed.",
        "error: Failed to parse",
        ": FAILED",
        ", but you have ",
    ],
    || Box::<Pip>::default(),
);

/// The state between lines.
#[derive(Debug, Default)]
struct Pip {
    block: Option<Block>,
    inner: Option<Block>,
    no_match: bool,
}

/// What pip prints of a build backend's death.
#[derive(Debug, Default)]
struct Block {
    exception: Option<(String, String)>,
    inner: Option<String>,
    window: Window,
    lines: u32,
    project: bool,
}

impl Tool for Pip {
    fn line(&mut self, line: &str, sink: &mut Sink) -> Read {
        if self.read(line, sink) { Read::Taken } else { Read::Pass }
    }

    fn open(&self) -> bool {
        self.block.is_some()
    }

    fn close(&mut self, sink: &mut Sink) {
        let block = self.inner.take().or(self.block.take());
        if let Some(block) = block
            && !self.no_match
        {
            block.emit(sink);
        }
    }
}

impl Pip {
    fn read(&mut self, line: &str, sink: &mut Sink) -> bool {
        let text = line.trim_start_matches([' ', '│', '|', '╰', '─', '>', '<']);
        if text.starts_with("error: subprocess-exited-with-error") {
            self.inner = self.block.take().or(self.inner.take());
            if self.inner.is_none() {
                self.block = Some(Block::default());
            }
        }
        if let Some(block) = &mut self.block {
            block.line(line, text);
            if text.starts_with("[end of output]") {
                self.inner = self.block.take();
            }
        }
        if let Some(found) = UNPARSED.captures(line) {
            let file = sink.paths.file(&found[1]);
            let key = Key::Message { file: Some(file.clone()), message: "Failed to parse".to_owned() };
            let tool = if sink.runs("uv") { "uv" } else { "pip" };
            sink.push_once(Found::new(Category::ImportDependency, tool, key, &line[7..]).at(file, None));
            return true;
        }
        if sink.runs("twine")
            && let Some(found) = TWINE.captures(line)
        {
            let key = Key::Message { file: None, message: sink.paths.stable(line) };
            sink.push(Found::new(Category::ImportDependency, "twine", key, &format!("{} is refused", &found[1])));
            return true;
        }
        if sink.runs("pip check")
            && let Some(found) = BROKEN.captures(line)
        {
            let key = Key::Message { file: None, message: sink.paths.stable(&found[1]) };
            sink.push(Found::new(Category::ImportDependency, "pip", key, &found[1]));
            return true;
        }
        if let Some(found) = NO_MATCH.captures(text) {
            self.no_match = true;
            let name = REQUIREMENT.captures(&found[1]).map_or_else(String::new, |found| normalized(&found[1]));
            let category = if sink.network { Category::Infra } else { Category::ImportDependency };
            let cause = exception::missing_cause(&name);
            let message = format!("No matching distribution found for {}", &found[1]);
            sink.push(Found::new(category, "pip", Key::Missing { name }, &message).because(cause).weigh(Weight::Cause));
            return true;
        }
        if line.contains("ERROR: ")
            && let Some(found) = PIP.captures(text)
        {
            let repeated =
                found[1].starts_with("ResolutionImpossible") && sink.found.iter().any(|found| found.tool == "pip");
            if repeated || found[1].starts_with("Ignored the following") {
                return true;
            }
            let category = if sink.network { Category::Infra } else { Category::ImportDependency };
            let key = Key::Message { file: None, message: sink.paths.stable(&found[1]) };
            sink.push(Found::new(category, "pip", key, &found[1]).weigh(Weight::Cause));
            return true;
        }
        if text.starts_with("ERROR: Failed b")
            || text.starts_with("ERROR: Could not build")
            || text.starts_with("× Failed to build")
        {
            if BUILD.is_match(text) && self.inner.is_none() && self.block.is_none() {
                let mut block = Block::default();
                block.line(line, text);
                block.inner = Some(bounded(text.trim_start_matches("ERROR: "), 500).to_owned());
                self.inner = Some(block);
            }
            return true;
        }
        if text.starts_with("error: metadata-generation-failed")
            || text.starts_with("error: failed-wheel-build-for-install")
        {
            return true;
        }
        false
    }
}

impl Block {
    fn line(&mut self, line: &str, text: &str) {
        self.window.line(line);
        self.lines += 1;
        self.project |= text.contains("pyproject.toml") || text.contains("setup.");
        if let Some((class, message)) = exception::parse(text)
            && exception::is_class(&class, false)
        {
            self.exception = Some((class, message));
        } else if INNER.is_match(text) && !text.contains("subprocess-exited") {
            self.inner = Some(bounded(text, 500).to_owned());
        }
    }

    fn emit(self, sink: &mut Sink) {
        let text = match (&self.exception, self.inner) {
            (Some((class, message)), _) => format!("{class}: {message}"),
            (None, Some(inner)) => inner,
            (None, None) => "subprocess-exited-with-error".to_owned(),
        };
        let key = Key::Message { file: None, message: sink.paths.stable(&text) };
        let category = if sink.network { Category::Infra } else { Category::ImportDependency };
        let mut found = Found::new(category, "pip", key, &sink.paths.relative(&text)).weigh(Weight::Cause);
        found.excerpt = self.window.text();
        if let Some((class, message)) = &self.exception
            && !sink.network
        {
            exception::apply(&mut found, class, message);
            if found.category == Category::SyntaxError {
                found.category = Category::ImportDependency;
            }
        }
        if self.project && found.category == Category::ImportDependency && !matches!(found.key, Key::Missing { .. }) {
            found.file = Some("pyproject.toml".to_owned());
        }
        sink.push(found);
    }
}

/// A project's name as the index spells it.
pub(super) fn normalized(name: &str) -> String {
    let mut result = String::new();
    for c in name.chars() {
        if matches!(c, '-' | '_' | '.') {
            if !result.ends_with('-') {
                result.push('-');
            }
        } else {
            result.extend(c.to_lowercase());
        }
    }
    result
}
