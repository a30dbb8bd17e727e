//! Where a project declares its dependencies, and a new one among them. Each kind of file has an editor of its own that
//! keeps format, order, quotes, commas, indentation and comments.

mod cfg;
pub(super) mod installs;
pub(super) mod list;
mod requirements;
pub(super) mod runners;
mod setup_py;
pub(super) mod toml;

use std::sync::LazyLock;

use pep440_rs::Version;
use regex::Regex;

use super::{
    names::matcher,
    tree::{self, Tree},
};
use crate::registry::normalise;
use setup_py::Wanted;

static NAME: LazyLock<Option<Regex>> =
    matcher!(r"^([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:\[[^\]]*\])?\s*(?:$|[<>=!~;@(#])");

/// The normalised name of a requirement.
pub(super) fn requirement_name(requirement: &str) -> Option<String> {
    Some(normalise(NAME.as_ref()?.captures(requirement.trim())?.get(1)?.as_str()))
}

/// A requirement to add.
#[derive(Debug, Clone)]
pub(super) struct New {
    /// As it is to be written.
    pub(super) name: String,
    /// The version that bounds would name.
    pub(super) version: Option<Version>,
    /// Only Pythons before this one (`3.11`) need it.
    pub(super) before: Option<String>,
}

/// How a list writes its requirements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Bare,
    AtLeast,
    Exact,
}

impl Style {
    fn of(siblings: &[String]) -> Style {
        let most = |sign: &str| siblings.iter().filter(|each| each.contains(sign)).count() * 2 > siblings.len();
        match () {
            () if siblings.iter().all(|each| each.contains("==")) && !siblings.is_empty() => Style::Exact,
            () if most(">=") => Style::AtLeast,
            () => Style::Bare,
        }
    }
}

impl New {
    fn key(&self) -> String {
        normalise(&self.name)
    }

    /// As it stands between `quote`s, or on a line of its own.
    fn requirement(&self, style: Style, quote: &str) -> String {
        let bound = match (&self.version, style) {
            (Some(version), Style::AtLeast) => format!("{}>={}", self.name, short(version)),
            (Some(version), Style::Exact) => format!("{}=={version}", self.name),
            _ => self.name.clone(),
        };
        let inner = if quote == "\"" { '\'' } else { '"' };
        match &self.before {
            Some(python) => format!("{bound}; python_version < {inner}{python}{inner}"),
            None => bound,
        }
    }
}

/// `2.3.4` as `2.3`.
fn short(version: &Version) -> String {
    let parts: Vec<String> = version.release().iter().take(2).map(u64::to_string).collect();
    parts.join(".")
}

/// What a list of requirements is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Role {
    /// Installed with the project.
    Runtime,
    /// Installed where the extra is asked for.
    Extra(String),
    /// A dependency group, PEP 735's or a tool's.
    Group(String),
    /// A requirements file.
    File,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Array(Vec<String>),
    Poetry(Vec<String>),
    Cfg(String, String),
    SetupPy(String, Option<String>),
    Lines,
}

/// A list of requirements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listing {
    /// Repository-relative.
    pub(super) file: String,
    pub(super) role: Role,
    /// As they are written.
    pub(super) requirements: Vec<String>,
    kind: Kind,
}

impl Listing {
    /// Does it declare a distribution?
    pub(super) fn declares(&self, distribution: &str) -> bool {
        let wanted = normalise(distribution);
        self.requirements.iter().any(|each| requirement_name(each).as_deref() == Some(&wanted))
    }

    /// The file's content with one more requirement; `None` where the list has no mechanical place for it.
    pub(super) fn add(&self, content: &str, new: &New) -> Option<String> {
        match &self.kind {
            Kind::Array(path) => toml::add_to_array(content, &borrowed(path), new),
            Kind::Poetry(path) => toml::add_to_poetry(content, &borrowed(path), new),
            Kind::Cfg(section, key) => cfg::add(content, section, key, new),
            Kind::SetupPy(keyword, key) => setup_py::add(content, Wanted { keyword, key: key.as_deref() }, new),
            Kind::Lines => requirements::add(content, new),
        }
    }

    /// Is it a requirements file that a tool wrote?
    pub(super) fn is_generated(&self, content: &str) -> bool {
        self.kind == Kind::Lines && requirements::is_generated(content)
    }

    pub(super) fn is_poetry(&self) -> bool {
        matches!(self.kind, Kind::Poetry(_))
    }
}

fn borrowed(path: &[String]) -> Vec<&str> {
    path.iter().map(String::as_str).collect()
}

fn owned(path: &[&str]) -> Vec<String> {
    path.iter().map(|key| (*key).to_owned()).collect()
}

/// Does a folder hold a package's own description?
pub(super) fn is_project(tree: &Tree<'_>, folder: &str) -> bool {
    let content = |name: &str| tree.read(&tree::join(folder, name)).map(|text| text.content);
    content("setup.py").is_some_and(|content| setup_py::calls_setup(&content))
        || content("setup.cfg").is_some_and(|content| cfg::has_section(&content, "options"))
        || content("pyproject.toml").and_then(|content| toml::parse(&content)).is_some_and(|toml| {
            toml::get(&toml, &["project"]).is_some() || toml::get(&toml, &["tool", "poetry"]).is_some()
        })
}

/// The oldest Python that the project says it supports (`3.9`).
pub(super) fn oldest_python(tree: &Tree<'_>, folder: &str) -> Option<Version> {
    static BOUND: LazyLock<Option<Regex>> = matcher!(r"(?:>=|\^|~=?)\s*(3\.[0-9]+)");
    let content = |name: &str| tree.read(&tree::join(folder, name)).map(|text| text.content);
    let declared = content("pyproject.toml").and_then(|content| toml::parse(&content)).and_then(|toml| {
        let paths: [&[&str]; 2] = [&["project", "requires-python"], &["tool", "poetry", "dependencies", "python"]];
        paths.iter().find_map(|path| toml::get(&toml, path)?.as_str().map(str::to_owned))
    });
    let line = |name: &str| {
        content(name)?.lines().find(|line| line.trim_start().starts_with("python_requires")).map(str::to_owned)
    };
    let declared = declared.or_else(|| line("setup.cfg")).or_else(|| line("setup.py"))?;
    BOUND.as_ref()?.captures(&declared)?.get(1)?.as_str().parse().ok()
}

/// All lists of requirements of the project in a folder, its requirements files included; the first one for run time
/// is the one that decides.
pub(super) fn listings(tree: &Tree<'_>, folder: &str) -> Vec<Listing> {
    let mut found = Vec::new();
    let path = tree::join(folder, "pyproject.toml");
    let mut dynamic = true;
    let toml = tree.read(&path).and_then(|text| toml::parse(&text.content));
    if let Some(toml) = &toml {
        dynamic = from_toml(tree, folder, &path, toml, &mut found);
    }
    if dynamic {
        from_cfg(tree, folder, &mut found);
        from_setup_py(tree, folder, &mut found);
    }
    for file in requirements_files(tree, folder) {
        file_listing(tree, &file, Role::File, &mut found);
    }
    found
}

/// Reads the project's tables, and says whether another file may declare dependencies as well.
fn from_toml(tree: &Tree<'_>, folder: &str, file: &str, toml: &toml::Toml, found: &mut Vec<Listing>) -> bool {
    let mut push = |role, kind, requirements| {
        found.push(Listing { file: file.to_owned(), role, requirements, kind });
    };
    let dynamic = toml::strings(toml, &["project", "dynamic"]).unwrap_or_default();
    let is_dynamic = |key: &str| dynamic.iter().any(|each| each == key);
    let project = toml::get(toml, &["project"]).is_some();
    let poetry = ["tool", "poetry", "dependencies"];
    let names = toml::poetry(toml, &poetry);
    if project && !is_dynamic("dependencies") {
        let path = ["project", "dependencies"];
        let declared = toml::strings(toml, &path);
        if declared.is_some() || names.is_none() {
            push(Role::Runtime, Kind::Array(owned(&path)), declared.unwrap_or_default());
        }
    }
    if let Some(names) = names {
        push(Role::Runtime, Kind::Poetry(owned(&poetry)), names);
    }
    for extra in toml::keys(toml, &["project", "optional-dependencies"]) {
        let path = ["project", "optional-dependencies", &extra];
        let declared = toml::strings(toml, &path).unwrap_or_default();
        push(Role::Extra(extra.clone()), Kind::Array(owned(&path)), declared);
    }
    for tables in [&["dependency-groups"][..], &["tool", "pdm", "dev-dependencies"]] {
        for group in toml::keys(toml, tables) {
            let path = [tables, &[group.as_str()]].concat();
            let declared = toml::strings(toml, &path).unwrap_or_default();
            push(Role::Group(group.clone()), Kind::Array(owned(&path)), declared);
        }
    }
    let uv = ["tool", "uv", "dev-dependencies"];
    if let Some(declared) = toml::strings(toml, &uv) {
        push(Role::Group("dev".to_owned()), Kind::Array(owned(&uv)), declared);
    }
    for group in toml::keys(toml, &["tool", "poetry", "group"]) {
        let path = ["tool", "poetry", "group", &group, "dependencies"];
        if let Some(names) = toml::poetry(toml, &path) {
            push(Role::Group(group.clone()), Kind::Poetry(owned(&path)), names);
        }
    }
    let dev = ["tool", "poetry", "dev-dependencies"];
    if let Some(names) = toml::poetry(toml, &dev) {
        push(Role::Group("dev".to_owned()), Kind::Poetry(owned(&dev)), names);
    }
    let setuptools = ["tool", "setuptools", "dynamic", "dependencies", "file"];
    let hatch = ["tool", "hatch", "metadata", "hooks", "requirements_txt", "files"];
    for name in files_of(toml, &setuptools).into_iter().chain(files_of(toml, &hatch)) {
        file_listing(tree, &tree::join(folder, &name), Role::Runtime, found);
    }
    !project || is_dynamic("dependencies") || is_dynamic("optional-dependencies")
}

/// The files of `{ file = "a" }` or `{ file = ["a", "b"] }`.
fn files_of(toml: &toml::Toml, path: &[&str]) -> Vec<String> {
    let single = toml::get(toml, path).and_then(|item| item.as_str().map(|name| vec![name.to_owned()]));
    single.or_else(|| toml::strings(toml, path)).unwrap_or_default()
}

fn from_cfg(tree: &Tree<'_>, folder: &str, found: &mut Vec<Listing>) {
    let file = tree::join(folder, "setup.cfg");
    let Some(text) = tree.read(&file) else { return };
    let (section, key) = ("options", "install_requires");
    match cfg::read(&text.content, section, key) {
        Some(requirements) => match requirements.first().and_then(|first| first.strip_prefix("file:")) {
            Some(names) => {
                for name in names.split(',') {
                    file_listing(tree, &tree::join(folder, name.trim()), Role::Runtime, found);
                }
            }
            None => {
                let kind = Kind::Cfg(section.to_owned(), key.to_owned());
                found.push(Listing { file: file.clone(), role: Role::Runtime, requirements, kind });
            }
        },
        None if cfg::has_section(&text.content, section) && !tree.is_file(&tree::join(folder, "setup.py")) => {
            let kind = Kind::Cfg(section.to_owned(), key.to_owned());
            found.push(Listing { file: file.clone(), role: Role::Runtime, requirements: Vec::new(), kind });
        }
        None => {}
    }
    let extras = "options.extras_require";
    for extra in cfg::keys(&text.content, extras) {
        let requirements = cfg::read(&text.content, extras, &extra).unwrap_or_default();
        let kind = Kind::Cfg(extras.to_owned(), extra.clone());
        found.push(Listing { file: file.clone(), role: Role::Extra(extra), requirements, kind });
    }
}

fn from_setup_py(tree: &Tree<'_>, folder: &str, found: &mut Vec<Listing>) {
    static FILE: LazyLock<Option<Regex>> =
        matcher!(r#"["']([A-Za-z0-9_./-]*requirements?[A-Za-z0-9_./-]*\.(?:txt|in))["']"#);
    let file = tree::join(folder, "setup.py");
    let Some(text) = tree.read(&file) else { return };
    let keyword = "install_requires";
    match setup_py::read(&text.content, Wanted { keyword, key: None }) {
        Some(requirements) => {
            let kind = Kind::SetupPy(keyword.to_owned(), None);
            found.push(Listing { file: file.clone(), role: Role::Runtime, requirements, kind });
        }
        None => {
            // A requirements file that it reads: only where it is the only one.
            let names = FILE.as_ref().map(|pattern| pattern.captures_iter(&text.content));
            let mut names: Vec<String> =
                names.into_iter().flatten().filter_map(|name| Some(name.get(1)?.as_str().to_owned())).collect();
            names.sort();
            names.dedup();
            if let ([only], true) = (names.as_slice(), text.content.contains(keyword)) {
                file_listing(tree, &tree::join(folder, only), Role::Runtime, found);
            }
        }
    }
    for extra in setup_py::extras(&text.content) {
        let keyword = "extras_require";
        let requirements = setup_py::read(&text.content, Wanted { keyword, key: Some(&extra) }).unwrap_or_default();
        let kind = Kind::SetupPy(keyword.to_owned(), Some(extra.clone()));
        found.push(Listing { file: file.clone(), role: Role::Extra(extra), requirements, kind });
    }
    if let Some(requirements) = setup_py::read(&text.content, Wanted { keyword: "tests_require", key: None }) {
        let kind = Kind::SetupPy("tests_require".to_owned(), None);
        found.push(Listing { file, role: Role::Group("tests_require".to_owned()), requirements, kind });
    }
}

/// A requirements file as a list, unless one of that file is there already.
fn file_listing(tree: &Tree<'_>, file: &str, role: Role, found: &mut Vec<Listing>) {
    let Some(file) = tree::safe(file) else { return };
    if found.iter().any(|listing| listing.file == file && listing.kind == Kind::Lines) {
        return;
    }
    if let Some(text) = tree.read(file) {
        let requirements = requirements::read(&text.content);
        found.push(Listing { file: file.to_owned(), role, requirements, kind: Kind::Lines });
    }
}

fn requirements_files(tree: &Tree<'_>, folder: &str) -> Vec<String> {
    let listed =
        |folder: &str| -> Vec<String> { tree.list(folder).iter().map(|name| tree::join(folder, name)).collect() };
    let named = |path: &String| {
        let name = path.rsplit('/').next().unwrap_or(path);
        name.contains("requirement") && [".txt", ".in"].iter().any(|extension| name.ends_with(extension))
    };
    let mut files: Vec<String> = listed(folder).into_iter().filter(named).collect();
    let inside = listed(&tree::join(folder, "requirements"));
    files.extend(inside.into_iter().filter(|path| path.ends_with(".txt") || path.ends_with(".in")));
    files
}

/// A requirements file and all that it includes, each with its own list.
pub(super) fn file_and_included(tree: &Tree<'_>, file: &str) -> Vec<Listing> {
    let mut found = Vec::new();
    let mut open = vec![file.to_owned()];
    while let (Some(next), true) = (open.pop(), found.len() < 20) {
        let before = found.len();
        file_listing(tree, &next, Role::File, &mut found);
        if found.len() > before
            && let Some(text) = tree.read(&next)
        {
            let folder = tree::parent(&next).to_owned();
            open.extend(requirements::includes(&text.content).iter().map(|name| tree::join(&folder, name)));
        }
    }
    found
}

#[cfg(test)]
mod tests;
