//! context: what a model sees of one cause. Chosen by what leads to the fault, each line once, bounded: a log of 200 MB
//! and a repository of 10,000 files cost no more than small ones. Pure over a tree and its history; the same failure
//! gives the same bytes in every run and on every machine.

mod code;
mod failing;
mod fence;
mod files;
mod history;
mod mentions;
mod module;
mod outline;
mod places;
mod related;
mod resolve;
mod settings;
mod shown;
mod state;
#[cfg(test)]
mod tests;
mod told;

use std::{collections::BTreeSet, fmt::Write as _};

use serde::Serialize;

use self::{
    code::Pointed,
    files::{Files, bounded},
    shown::Shown,
    told::Told,
};
use crate::{
    detect::{Category, Failure},
    fix_type::FixType,
    repair::{Baseline, Dependence},
    workspace::Tree,
};

pub(super) use fence::{boundary, tagged};

/// One cause that is to be repaired.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    /// The tree as it stands, with what has been repaired already.
    pub tree: &'a Tree,
    /// The job as it failed again.
    pub baseline: &'a Baseline,
    /// Takes secrets out of what its command printed.
    pub redact: &'a (dyn Fn(&str) -> String + Send + Sync),
    /// The failures of this cause, in order.
    pub failures: &'a [Failure],
    /// The kind of failure.
    pub category: Option<Category>,
    /// The fix types that may be proposed.
    pub enabled: &'a [FixType],
}

/// The same as plain values.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// The tree as it stands.
    pub tree: &'a Tree,
    /// The failures of this cause, in order.
    pub failures: &'a [Failure],
    /// The kind of failure.
    pub category: Option<Category>,
    /// The fix types that may be proposed.
    pub enabled: &'a [FixType],
    /// The command that fails.
    pub command: &'a str,
    /// The full version of the Python that ran.
    pub python: &'a str,
    /// Names and versions of what is installed.
    pub installed: &'a [(String, String)],
    /// What the command printed.
    pub output: &'a str,
}

/// How much is shown, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Of the whole user message.
    pub bytes: usize,
    /// Of code, where nothing calls for more: what the failure itself points at may take half as much again.
    pub code: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { bytes: 24_000, code: 8_000 }
    }
}

/// A piece of foreign text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Block {
    /// `file`, `failure`, `change`, `repository`, …
    pub kind: &'static str,
    /// The attributes behind the kind, escaped.
    pub attributes: String,
    /// The text, without its last line ending.
    pub text: String,
}

impl Block {
    fn of(kind: &'static str, text: impl Into<String>) -> Block {
        let mut text = text.into();
        text.truncate(text.trim_end_matches('\n').len());
        Block { kind, attributes: String::new(), text }
    }

    fn at(mut self, path: &str, lines: &str) -> Block {
        let attribute = if lines == "whole" { String::new() } else { format!(" lines=\"{lines}\"") };
        self.attributes = format!(" path=\"{}\"{attribute}", fence::attribute(path));
        self
    }

    fn size(&self) -> usize {
        self.text.len() + self.attributes.len() + 60
    }
}

/// All that the model sees of a cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Context {
    /// What no foreign text contains.
    pub boundary: String,
    /// Where things lie, and the project's conventions.
    pub repository: Block,
    /// What changed last.
    pub change: Option<Block>,
    /// The code.
    pub code: Vec<Block>,
    /// Names beside what is shown.
    pub names: Option<Block>,
    /// What failed, and how.
    pub failure: Block,
    /// How many failures there are.
    pub count: usize,
    /// The fix types that may be proposed, where not all may.
    pub enabled: Option<Vec<FixType>>,
}

impl Context {
    /// The files of which something is shown.
    pub fn blocks(&self) -> impl Iterator<Item = &Block> {
        let first = std::iter::once(&self.repository).chain(&self.change).chain(&self.code);
        first.chain(&self.names).chain(std::iter::once(&self.failure))
    }

    fn size(&self) -> usize {
        self.blocks().map(Block::size).sum::<usize>() + 400
    }
}

/// Uncovered lines of a file that are told with their code.
const UNCOVERED: usize = 12;

/// The most of an output that is read.
const OUTPUT: usize = 1 << 20;

/// Chooses what is shown.
pub fn context(wanted: &Wanted<'_>, limits: &Limits) -> Context {
    let baseline = wanted.baseline;
    let check = (0..baseline.runs().len()).find(|check| baseline.shows_claimed(*check)).unwrap_or(0);
    let output = baseline.runs().get(check).map_or(&[][..], |[first, _]| &first.output);
    let output = (wanted.redact)(&String::from_utf8_lossy(&output[output.len().saturating_sub(OUTPUT)..]));
    let script = baseline.job().checks.get(check).map_or("", |check| check.script.as_str());
    let mut context = choose(
        &Seen {
            tree: wanted.tree,
            failures: wanted.failures,
            category: wanted.category,
            enabled: wanted.enabled,
            command: script,
            python: baseline.python(),
            installed: baseline.installed(),
            output: &output,
        },
        limits,
    );
    let dated = |failure: &Failure| {
        let mut named = baseline.depends().iter().filter(|named| named.cause == Dependence::Clock);
        named.any(|named| failure.test_id.as_ref().is_some_and(|id| named.failures.contains(id)))
    };
    if wanted.failures.iter().any(dated) {
        context.failure.text.push_str(DATED);
    }
    context
}

/// Which date that was is no part of it: the same failure makes the same prompt.
const DATED: &str = "\nWith the clock set to an earlier date it passes: something depends on what day it is.";

/// Which of the ways to the code a failure takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Code,
    Findings,
    Docs,
    Coverage,
    Packaging,
}

fn category(seen: &Seen<'_>) -> Option<Category> {
    seen.category.or_else(|| seen.failures.first().map(|failure| failure.category))
}

fn way(seen: &Seen<'_>) -> Way {
    let tested = seen.failures.iter().any(|failure| failure.test_id.is_some());
    match category(seen) {
        Some(Category::Quality | Category::Security) => Way::Findings,
        Some(Category::Docs) => Way::Docs,
        Some(Category::Coverage) if !tested => Way::Coverage,
        Some(Category::ImportDependency | Category::Build) => Way::Packaging,
        _ => Way::Code,
    }
}

/// Chooses what is shown, from plain values.
pub fn choose(seen: &Seen<'_>, limits: &Limits) -> Context {
    let files = Files::new(seen.tree);
    let Told { text: mut said, frames } = told::tell(seen.failures, seen.output, &files);
    let mut shown = Shown::new(&files);
    let way = way(seen);
    let uncovered = if way == Way::Coverage { places::uncovered(seen.output, &files) } else { Vec::new() };
    if way == Way::Code && code::unread(&Pointed { failures: seen.failures, frames: &frames, text: &said }) {
        said.push_str("\nNothing behind this error has run: further failures may hide there.");
    }
    for file in &uncovered {
        let _ = write!(said, "\n{}: not covered: {}", file.path, file.missing);
        let text = files.text(&file.path);
        let lines: Vec<&str> = text.iter().flat_map(|text| text.lines()).collect();
        for number in file.lines.iter().take(UNCOVERED) {
            let line = number.checked_sub(1).and_then(|at| lines.get(at)).map_or("", |line| line.trim());
            let _ = write!(said, "\n  {number}: {}", bounded(line, 120));
        }
    }
    match way {
        Way::Code => {}
        Way::Findings => {
            places::findings(&files, &mut shown, &frames, limits);
            if category(seen) == Some(Category::Security) {
                places::imports(&files, &mut shown, &frames, limits.code);
            }
        }
        Way::Docs => {
            places::docs(&files, &mut shown, seen.failures, &frames, limits);
            // Whether a doctest or its function is wrong the function's other tests may say.
            if seen.failures.iter().any(|failure| failure.test_id.is_some()) {
                let pointed = Pointed { failures: seen.failures, frames: &frames, text: &said };
                failing::naming_tests(&files, &mut shown, &pointed, limits);
            }
        }
        Way::Coverage => places::coverage(&files, &mut shown, &uncovered, limits),
        Way::Packaging => {
            settings::manifests(&files, &mut shown, seen.failures, limits.code);
            let last: Vec<Vec<(String, usize)>> =
                frames.iter().take(3).map(|frames| frames.iter().rev().take(2).cloned().collect()).collect();
            places::findings(&files, &mut shown, &last, &Limits { code: limits.code / 2, ..*limits });
        }
    }
    // A formatter names files without lines.
    let formats = way == Way::Findings && frames.iter().all(Vec::is_empty);
    if formats {
        for path in seen.failures.iter().filter_map(|failure| failure.file.as_deref()) {
            shown.file(path, 9000, limits.code);
        }
    }
    if way == Way::Code || (shown.used() == 0 && way != Way::Coverage && !formats) {
        let pointed = Pointed { failures: seen.failures, frames: &frames, text: &said };
        code::take(&files, &mut shown, &pointed, limits);
    }
    if shown.used() == 0 {
        fallback(&files, &mut shown, seen, limits);
    }
    let involved = shown.paths().to_vec();
    let changed = history::changed(&files, &involved);
    for (path, line) in changed.iter().flat_map(|changed| &changed.lines) {
        let Some(module) = files.module(path) else { continue };
        match module.around(*line).filter(|at| !module.defs[*at].class) {
            Some(at) => {
                let detail = shown::Detail { whole: 2200, doc: 250, room: limits.code };
                shown.def(&module, at, &BTreeSet::from([*line]), detail);
            }
            None => {
                shown.window(path, &module.text, *line, 3, limits.code);
            }
        }
    }
    code::needs(&files, &mut shown, limits.code * 3 / 2);
    // The rest of a small file costs little, and edits need exact text.
    for path in shown.paths().to_vec() {
        let most = if files::is_test(&path) { 1500 } else { 2500 };
        shown.file(&path, most, limits.code * 3 / 2);
    }
    let names = mentions::mentions(&files, &shown, seen.failures) + &outline::names(&files, &shown);
    let mut repository = outline::outline(&files);
    let conventions = settings::conventions(&files);
    if !conventions.is_empty() {
        repository = format!("{repository}\n{conventions}");
    }
    let failure = format!("$ {}\n{}\n{said}", command(seen, &files), versions(seen, &files, &shown, &said));
    let enabled = (!FixType::ALL.iter().all(|each| seen.enabled.contains(each))).then(|| seen.enabled.to_vec());
    let mut context = Context {
        boundary: String::new(),
        repository: Block::of("repository", repository),
        change: changed.map(|changed| Block::of("last-change", changed.text)),
        code: shown.blocks(),
        names: (!names.is_empty()).then(|| Block::of("names", names)),
        failure: Block::of("failure", failure),
        count: seen.failures.len(),
        enabled,
    };
    fit(&mut context, limits.bytes);
    let texts = context.blocks().flat_map(|block| [block.attributes.as_str(), block.text.as_str()]);
    context.boundary = boundary(&context.repository.text, texts);
    context
}

/// Leaves out what matters least until it fits.
fn fit(context: &mut Context, most: usize) {
    let mut left = [false; 3];
    while context.size() > most {
        if !left[0] {
            left[0] = true;
            context.names = None;
        } else if context.code.len() > 2 {
            context.code.pop();
        } else if !left[1] {
            left[1] = true;
            context.failure.text = told::clipped(&context.failure.text, most / 3);
        } else if !left[2] {
            left[2] = true;
            context.change = None;
        } else if context.code.pop().is_none() {
            break;
        }
    }
}

/// Where nothing points anywhere: the files that the command or what it said names.
fn fallback(files: &Files<'_>, shown: &mut Shown<'_>, seen: &Seen<'_>, limits: &Limits) {
    let said = seen.failures.iter().map(|failure| failure.excerpt.as_str());
    let texts = std::iter::once(seen.command).chain(said);
    let words: Vec<&str> = texts.flat_map(|text| text.split([' ', '\n', '"', '\'', ':', '=', '(', ')', ','])).collect();
    for word in words.iter().filter(|word| word.contains('.') && word.len() < 300).take(2000) {
        let path = word.trim_start_matches("./");
        if let Some(text) = files.text(path)
            && !shown.file(path, 4000, limits.code)
        {
            shown.take(path, &text, (1, 60), limits.code);
        }
    }
}

/// The command as one short line.
fn command(seen: &Seen<'_>, files: &Files<'_>) -> String {
    let script = match seen.command.trim() {
        "" => seen.failures.iter().find_map(|failure| failure.command.as_deref()).unwrap_or_default(),
        script => script,
    };
    let script = told::normal(bounded(script, 1000), files);
    bounded(&script.split_whitespace().collect::<Vec<_>>().join(" "), 300).to_owned()
}

/// Python's version, and those of the tool that fails and of the packages that the code at hand imports.
fn versions(seen: &Seen<'_>, files: &Files<'_>, shown: &Shown<'_>, said: &str) -> String {
    let mut modules: Vec<String> = seen.failures.iter().map(|failure| failure.tool.clone()).collect();
    let foreign = said.split("<site-packages>/").skip(1).filter_map(|rest| rest.split(['/', '.']).next());
    modules.extend(foreign.map(str::to_owned));
    for path in shown.paths().iter().filter(|path| !files::is_test(path)) {
        let Some(module) = files.module(path) else { continue };
        let tops = module.imports.iter().filter(|import| import.level == 0);
        modules.extend(tops.filter_map(|import| Some(import.module.split('.').next()?.to_owned())));
    }
    let mut said = vec![format!("Python {}", version(seen.python))];
    let mut known = BTreeSet::new();
    for module in modules {
        let module = module.split('-').next().unwrap_or(&module).to_ascii_lowercase().replace('_', "-");
        let own = files.of_module(&module.replace('-', "_"), "").is_some();
        if own || said.len() > 6 || !known.insert(module.clone()) {
            continue;
        }
        let installed = seen.installed.iter().find(|(name, _)| name.to_ascii_lowercase().replace('_', "-") == module);
        if let Some((name, number)) = installed.filter(|(_, number)| !number.contains("dev")) {
            let refused =
                if ignores_codes(&module, number) { " (with this version every suppression is refused)" } else { "" };
            said.push(format!("{} {}{refused}", version(name), version(number)));
        }
    }
    said.join(", ")
}

/// Old versions take a coded suppression for a bare one, as the integrity rules know too.
fn ignores_codes(tool: &str, version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    tool == "bandit" && (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) < (1, 8)
}

fn version(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '+')).take(60).collect()
}
