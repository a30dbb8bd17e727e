//! What a step's output says besides failures: what was installed, where it ran, which Python.

use super::failure::Step;
use super::paths::Paths;
use super::text::{bounded, patterns};

patterns! {
    EDITABLE = r"^\s*(?:Building editable|Preparing editable metadata|Running setup\.py develop) for ([\w.-]+)";
    WHEEL = r"^\s*Building wheels? for ([\w.-]+) \(";
    SDIST = r"^\s*(?:Downloading|Using cached) (\S+)-\d[\w.+!]*\.(?:tar\.gz|zip)\b";
    UV = r"^ \+ ([A-Za-z0-9][\w.-]*)==(\S+?)(?: \(from (.*)\))?$";
    UV_URL = r"^ \+ ([A-Za-z0-9][\w.-]*)==(\S+) \(from (?:file://|\./)";
    POETRY = r"^\s+- Installing ([\w.-]+) \(([^)\s]+)\)";
    POETRY_ROOT = r"^Installing the current project: ([\w.-]+) \(";
    PDM = r"^\s+✔ Install ([\w.-]+) (\S+) successful";
    SEED = r"^(?:Using --(random)ly-seed=|.*PYTHONHASHSEED=['\x22]?)(\d{1,10})\b";
    VERSION = r"-\d";
    PYTHON = r"^(?:Successfully set up (?:CPython|PyPy) \(([^)]+)\)|platform \w+ -- Python (\d+\.\d+[\w.]*)|\s*python-version: ['\x22]?(\d\.\d+[\w.-]*)|Using (?:CPython|Python) (\d+\.\d+\.\d+))";
    WORKSPACE = r"(?:/home/runner/work|/Users/runner/work|/__w)/[\w.-]+/[\w.-]+";
}

/// Lines with one of these say what was installed, and where.
pub(super) const WORDS: &[&str] = &[
    "Successfully installed ",
    "Obtaining file://",
    "Processing ./",
    "Processing /",
    "rootdir: ",
    "Building editable for",
    "Preparing editable metadata",
    "Running setup.py develop",
    "Building wheel",
    ".tar.gz",
    ".zip",
    "- Installing ",
    "✔ Install ",
    "Installing the current project",
    "Using --randomly-seed=",
    "PYTHONHASHSEED=",
];
/// And lines that begin so: what uv installs.
pub(super) const START: &str = " + ";
/// Lines with one of these may name the Python, or the checkout's directory.
pub(super) const KNOWN: &[&str] = &["ython", "/work/", "/__w/"];

/// The most packages that are kept of a step.
const PACKAGES: usize = 1000;

/// What is remembered between the lines of one step.
#[derive(Debug, Default)]
pub(super) struct Facts {
    local: u32,
    sdists: Vec<String>,
}

impl Facts {
    /// Reads one line of a step's output.
    pub(super) fn line(&mut self, text: &str, workspace: Option<&str>, step: &mut Step, paths: &mut Paths) {
        if let Some(list) = text.trim_start().strip_prefix("Successfully installed ") {
            for item in list.split_whitespace() {
                let cut = VERSION.find_iter(item).last().map(|found| found.start());
                if let Some(cut) = cut {
                    install(step, &item[..cut], &item[cut + 1..]);
                }
            }
            return;
        }
        let trimmed = text.trim_start();
        if let Some(path) = trimmed.strip_prefix("Obtaining file://") {
            self.local += 1;
            let path = path.split(" (from").next().unwrap_or(path).trim();
            step.directory.get_or_insert_with(|| bounded(path, 1000).to_owned());
        } else if trimmed.starts_with("Processing ./") || trimmed.starts_with("Processing /") {
            self.local += 1;
        } else if let Some(path) = text.strip_prefix("rootdir: ") {
            let path = path.split(", ").next().unwrap_or_default().trim();
            if workspace.is_none_or(|workspace| path.starts_with(workspace)) && path.starts_with('/') {
                step.directory.get_or_insert_with(|| bounded(path, 1000).to_owned());
                // Where tests run, the paths of their tracebacks begin.
                paths.add_unless_known(path);
            }
        } else if text.starts_with(" + ") {
            if UV_URL.is_match(text)
                && let Some(found) = UV_URL.captures(text)
            {
                local(step, &found[1], paths);
            }
            if let Some(found) = UV.captures(text) {
                install(step, &found[1], &found[2]);
            }
        } else if let Some(found) = EDITABLE.captures(text) {
            local(step, &found[1], paths);
        } else if text.contains("Building wheel") {
            if self.local > 0
                && let Some(found) = WHEEL.captures(text)
                && !self.sdists.iter().any(|known| same(known, &found[1]))
            {
                local(step, &found[1], paths);
            }
        } else if text.contains(".tar.gz") || text.contains(".zip") {
            if self.sdists.len() < 500
                && let Some(found) = SDIST.captures(text)
            {
                self.sdists.push(found[1].to_owned());
            }
        } else if text.contains("SEED=") || text.contains("seed=") {
            if let Some(found) = SEED.captures(text) {
                let seed = found[2].parse().ok();
                match found.get(1) {
                    Some(_) => step.seeds.randomly = step.seeds.randomly.or(seed),
                    None => step.seeds.hash = step.seeds.hash.or(seed),
                }
            }
        } else if text.contains("Install") {
            if let Some(found) = POETRY.captures(text).or_else(|| PDM.captures(text)) {
                install(step, &found[1], &found[2]);
            } else if let Some(found) = POETRY_ROOT.captures(text) {
                local(step, &found[1], paths);
            }
        }
    }
}

fn same(one: &str, two: &str) -> bool {
    let fold = |c: char| if matches!(c, '.' | '_') { '-' } else { c.to_ascii_lowercase() };
    one.chars().map(fold).eq(two.chars().map(fold))
}

fn install(step: &mut Step, name: &str, version: &str) {
    if step.installed.len() < PACKAGES {
        step.installed.push((bounded(name, 100).to_owned(), bounded(version, 100).to_owned()));
    }
}

fn local(step: &mut Step, name: &str, paths: &mut Paths) {
    paths.add_own(name);
    if step.local_packages.len() < PACKAGES && !step.local_packages.iter().any(|known| known == name) {
        step.local_packages.push(bounded(name, 200).to_owned());
    }
}

/// The Python that a line names.
pub(super) fn python(text: &str) -> Option<String> {
    if !text.contains("ython") {
        return None;
    }
    let found = PYTHON.captures(text)?;
    found.iter().skip(1).flatten().next().map(|version| version.as_str().to_owned())
}

/// The checkout's directory that a line names.
pub(super) fn workspace(text: &str) -> Option<&str> {
    if !(text.contains("/work/") || text.contains("/__w/")) {
        return None;
    }
    let found = WORKSPACE.find(text)?.as_str();
    let mut parts = found.rsplit('/');
    let (name, repository) = (parts.next()?, parts.next()?);
    (name == repository && !name.starts_with('_')).then_some(found)
}
