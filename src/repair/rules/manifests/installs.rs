//! What a manifest or a lock makes an installer install, read for the judge: a hostile hand may have written it, so what
//! is not understood counts as something that nobody can prove.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value};

use super::{cfg, requirement_name, requirements, setup_py, setup_py::Wanted};
use crate::{integrity::toml_value, registry::normalise, repair::rules::names::matcher};

/// Where what is installed comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The index has it, by this normalised name.
    Index(String),
    /// So, but a tool chose it for what others need: a lock or a compiled list names it.
    Chosen(String),
    /// An address, an option, or what nobody understands: the index says nothing of it.
    Elsewhere,
    /// The file can't be read.
    Unread,
}

/// A part of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::repair::rules) enum Part {
    /// Something to install, as it is written.
    Install(String, Source),
    /// Another file of requirements, as it is written, relative to this one.
    Include(String),
}

/// How a file is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Lines,
    Toml,
    Ini,
    SetupPy,
    Conda,
    Lock,
    PipfileLock,
    /// Nothing reads it.
    Opaque,
}

fn format(path: &str) -> Option<Format> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let (lower, path) = (name.to_ascii_lowercase(), path.to_ascii_lowercase());
    let ends = |ends: &[&str]| ends.iter().any(|end| lower.ends_with(end));
    Some(match lower.as_str() {
        "pyproject.toml" | "uv.toml" | "hatch.toml" | "tox.toml" | "pdm.toml" | "poetry.toml" | "pixi.toml"
        | "pipfile" => Format::Toml,
        "setup.cfg" | "tox.ini" => Format::Ini,
        "setup.py" => Format::SetupPy,
        "uv.lock" | "poetry.lock" | "pdm.lock" => Format::Lock,
        "pipfile.lock" => Format::PipfileLock,
        "conda-lock.yml" | "pixi.lock" | "pip.conf" | "pip.ini" => Format::Opaque,
        _ if lower.starts_with("pylock.") && ends(&[".toml"]) => Format::Lock,
        _ if (lower.contains("environment") || lower.contains("conda")) && ends(&[".yml", ".yaml"]) => Format::Conda,
        _ if (path.contains("require") || lower.contains("constraint")) && ends(&[".txt", ".in", ".pip"]) => {
            Format::Lines
        }
        _ => return None,
    })
}

/// Does an installer read a file of this name?
pub(in crate::repair::rules) fn is_manifest(path: &str) -> bool {
    format(path).is_some()
}

/// Is it a list that a tool made?
pub(in crate::repair::rules) fn is_lock(path: &str) -> bool {
    matches!(format(path), Some(Format::Lock | Format::PipfileLock | Format::Opaque))
}

/// What a file of this path makes an installer install; `None` where it can't be read.
pub(in crate::repair::rules) fn installs(path: &str, content: &str) -> Option<Vec<Part>> {
    let mut found = Vec::new();
    match format(path).unwrap_or(Format::Lines) {
        Format::Lines => lines(content, &mut found),
        Format::Toml => {
            let name = path.rsplit('/').next().unwrap_or(path);
            let value = toml(content)?;
            match name.to_ascii_lowercase().split('.').next() {
                Some("pyproject") | None => tables(&[], &value, &mut found),
                // A tool's own file is what is in its table elsewhere.
                Some(tool) => tables(&["tool", tool], &value, &mut found),
            }
        }
        Format::Ini => ini(content, &mut found),
        Format::SetupPy => {
            let list = |keyword, key| setup_py::read(content, Wanted { keyword, key }).unwrap_or_default();
            let keywords = ["install_requires", "setup_requires", "tests_require", "dependency_links"];
            let own = keywords.into_iter().flat_map(|keyword| list(keyword, None));
            let extras = setup_py::extras(content);
            let extras = extras.iter().flat_map(|extra| list("extras_require", Some(extra)));
            own.chain(extras).for_each(|each| line(&each, &mut found));
        }
        Format::Conda => conda(&serde_saphyr::from_str(content).ok()?, &mut found),
        Format::Lock => {
            let value = toml(content)?;
            for package in ["package", "packages"].iter().filter_map(|key| value[key].as_array()).flatten() {
                locked(package.as_object()?, &mut found)?;
            }
        }
        Format::PipfileLock => {
            for (section, packages) in serde_json::from_str::<Value>(content).ok()?.as_object()? {
                match section.as_str() {
                    "_meta" => addresses(&packages["sources"], &mut found),
                    _ => named(packages.as_object()?, Source::Chosen, &mut found),
                }
            }
        }
        Format::Opaque => return None,
    }
    Some(found)
}

fn toml(content: &str) -> Option<Value> {
    Some(toml_value(content.parse::<toml_edit::DocumentMut>().ok()?.as_item()))
}

/// Lines of a requirements file.
fn lines(content: &str, found: &mut Vec<Part>) {
    let chosen = requirements::is_generated(content);
    let start = found.len();
    content.replace("\\\r\n", " ").replace("\\\n", " ").lines().for_each(|each| line(each, found));
    for part in found.iter_mut().skip(start).filter(|_| chosen) {
        if let Part::Install(_, source) = part
            && let Source::Index(name) = source
        {
            *source = Source::Chosen(std::mem::take(name));
        }
    }
}

/// A line of a list, as pip reads it.
fn line(line: &str, found: &mut Vec<Part>) {
    let bare = line.split(" #").next().unwrap_or(line).split("\t#").next().unwrap_or_default().trim();
    if bare.is_empty() || bare.starts_with('#') {
        return;
    }
    let after = |options: &[&str]| {
        let rest = options.iter().find_map(|option| bare.strip_prefix(option))?;
        Some(rest.trim_start_matches(['=', ' ', '\t']).to_owned())
    };
    if let Some(file) = after(&["--requirement", "--constraint", "-r", "-c"]) {
        let file = file.trim_start_matches("{toxinidir}/").trim_start_matches("{tox_root}/");
        found.push(match is_address(file) {
            true => Part::Install(bare.to_owned(), Source::Elsewhere),
            false => Part::Include(file.to_owned()),
        });
        return;
    }
    let what = after(&["--editable", "-e"]).unwrap_or_else(|| bare.to_owned());
    let requirement = what.split(';').next().unwrap_or_default();
    let requirement = requirement.split(" --hash").next().unwrap_or_default();
    match requirement_name(requirement) {
        Some(name) if !is_address(requirement) => found.push(Part::Install(what, Source::Index(name))),
        None if is_own_folder(requirement) => {}
        _ => found.push(Part::Install(bare.to_owned(), Source::Elsewhere)),
    }
}

fn is_address(text: &str) -> bool {
    text.contains("://") || text.contains('@')
}

/// A folder of the tree itself: `.[test]`, `./more`.
fn is_own_folder(text: &str) -> bool {
    let archive = [".whl", ".zip", ".gz", ".tgz", ".bz2", ".xz", ".tar", ".egg"];
    text.starts_with('.') && !is_address(text) && !archive.iter().any(|end| text.trim_end().ends_with(end))
}

/// Tools that install, and so have tables that say from where.
const INSTALLERS: &[&str] = &["uv", "poetry", "pdm", "hatch", "tox", "pipfile", "rye", "pixi"];
/// Addresses in their tables that are for people.
const FOR_PEOPLE: &[&str] = &["urls", "homepage", "repository", "documentation"];
/// Keys of a table that places a distribution.
const PLACES: &[&str] = &["git", "hg", "svn", "bzr", "url", "file", "path", "ref", "rev", "tag", "branch"];

/// The tables of a TOML file, wherever they list requirements or say where they come from.
fn tables(path: &[&str], value: &Value, found: &mut Vec<Part>) {
    let installer = matches!(path, ["tool", tool, ..] if INSTALLERS.contains(tool));
    match value {
        Value::Object(table) => match path {
            ["tool", "poetry", .., "dependencies" | "dev-dependencies" | "requires-plugins"]
            | ["tool", "pixi", .., "pypi-dependencies"] => named(table, Source::Index, found),
            ["tool", "pixi", .., "dependencies"] => named(table, |_| Source::Elsewhere, found),
            ["tool", "pipfile", section] if !matches!(*section, "source" | "requires" | "scripts" | "pipenv") => {
                named(table, Source::Index, found);
            }
            ["tool", "uv", "sources", name] => {
                if let Some(place) = place(table) {
                    found.push(Part::Install(format!("{name} @ {place}"), Source::Elsewhere));
                }
            }
            ["tool", "setuptools", "dynamic", "dependencies" | "optional-dependencies", ..]
            | ["tool", "hatch", "metadata", "hooks", "requirements_txt"] => {
                let files =
                    table.iter().filter(|(key, _)| key.starts_with("file")).flat_map(|(_, files)| strings(files));
                found.extend(files.map(|file| Part::Include(file.to_owned())));
            }
            _ => {
                for (key, value) in table {
                    tables(&[path, &[key.as_str()]].concat(), value, found);
                }
            }
        },
        Value::Array(items) if is_list(path) => items.iter().for_each(|item| match item.as_str() {
            Some(text) if path.starts_with(&["tool", "tox"]) => tox(text, found),
            Some(text) => line(text, found),
            None => tables(path, item, found),
        }),
        Value::Array(items) => items.iter().for_each(|item| tables(path, item, found)),
        Value::String(text) if path == ["tool", "tox", "legacy_tox_ini"].as_slice() => ini(text, found),
        Value::String(text) if installer && !path.iter().any(|key| FOR_PEOPLE.contains(key)) => address(text, found),
        _ => {}
    }
}

fn is_list(path: &[&str]) -> bool {
    let lists = ["dependencies", "extra-dependencies", "dev-dependencies", "requires", "deps", "build-requires"];
    let groups = ["optional-dependencies", "dependency-groups", "dev-dependencies"];
    match path {
        ["tool", "uv", "override-dependencies" | "constraint-dependencies"] => true,
        [.., group, _] if groups.contains(group) => true,
        [.., last] => lists.contains(last),
        [] => false,
    }
}

fn strings(value: &Value) -> impl Iterator<Item = &str> {
    let single = value.as_str().into_iter();
    single.chain(value.as_array().into_iter().flatten().filter_map(Value::as_str))
}

/// A table of distributions, as Poetry and Pipenv write it.
fn named(table: &Map<String, Value>, source: fn(String) -> Source, found: &mut Vec<Part>) {
    for (name, value) in table.iter().filter(|(name, _)| *name != "python") {
        let items = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        for place in items.iter().map(|item| item.as_object().and_then(place)) {
            found.push(match place {
                Some(place) => Part::Install(format!("{name} @ {place}"), Source::Elsewhere),
                None => Part::Install(name.clone(), source(normalise(name))),
            });
        }
    }
}

/// Where a table puts a distribution, unless the index or the tree itself has it.
fn place(table: &Map<String, Value>) -> Option<String> {
    let parts: Vec<&str> = PLACES.iter().filter_map(|key| table.get(*key)?.as_str()).collect();
    (!parts.is_empty() && !parts.iter().all(|part| is_own_folder(part))).then(|| parts.join(" "))
}

/// The addresses in a value.
fn addresses(value: &Value, found: &mut Vec<Part>) {
    match value {
        Value::String(text) => address(text, found),
        Value::Array(items) => items.iter().for_each(|item| addresses(item, found)),
        Value::Object(table) => table.values().for_each(|value| addresses(value, found)),
        _ => {}
    }
}

fn address(text: &str, found: &mut Vec<Part>) {
    let index = ["https://pypi.org/simple", "https://pypi.python.org/simple"];
    if text.contains("://") && !index.contains(&text.trim_end_matches('/')) {
        found.push(Part::Install(text.to_owned(), Source::Elsewhere));
    }
}

/// A package of a lock: its name, and where its files are.
fn locked(package: &Map<String, Value>, found: &mut Vec<Part>) -> Option<()> {
    let name = package.get("name")?.as_str()?;
    let tables = ["source", "vcs", "archive", "directory"].iter().filter_map(|key| package.get(*key)?.as_object());
    let tables: Vec<&Map<String, Value>> = tables.chain([package]).collect();
    let says = |key: &str| tables.iter().any(|table| table.contains_key(key));
    let kind = |word: &str| tables.iter().any(|table| table.get("type").and_then(Value::as_str) == Some(word));
    let indexes = tables.iter().flat_map(|table| [table.get("registry"), table.get("index")]).flatten();
    let indexes: Vec<&str> = indexes.filter_map(Value::as_str).collect();
    let place = tables.iter().find_map(|table| place(table));
    let local = ["editable", "virtual", "directory", "path", "url"].iter().any(|key| says(key)) || kind("directory");
    match place {
        // Poetry's word for another index.
        Some(index) if kind("legacy") => {
            address(&index, found);
            found.push(Part::Install(name.to_owned(), Source::Chosen(normalise(name))));
        }
        Some(place) => found.push(Part::Install(format!("{name} @ {place}"), Source::Elsewhere)),
        // The project itself, or a folder of the tree.
        None if local && indexes.is_empty() => {}
        None => found.push(Part::Install(name.to_owned(), Source::Chosen(normalise(name)))),
    }
    indexes.into_iter().for_each(|index| address(index, found));
    for file in ["wheels", "sdist", "files"].iter().filter_map(|key| package.get(*key)) {
        let items = file.as_array().map_or(std::slice::from_ref(file), Vec::as_slice);
        items.iter().filter_map(|item| item["url"].as_str()).for_each(|url| archive(name, url, found));
    }
    Some(())
}

/// A file of a package: its host has to be known, and its name has to be the package's.
fn archive(name: &str, url: &str, found: &mut Vec<Part>) {
    static URL: LazyLock<Option<Regex>> = matcher!(r"^(https://[^/?#@]+/)(?:[^?#]*/)?([^/?#]+)(?:[?#].*)?$");
    let parts = URL.as_ref().and_then(|pattern| pattern.captures(url));
    let named = |file: &str| normalise(file).starts_with(&format!("{}-", normalise(name)));
    match parts.filter(|parts| named(&parts[2])) {
        Some(parts) if matches!(&parts[1], "https://files.pythonhosted.org/" | "https://pypi.org/") => {}
        Some(parts) => found.push(Part::Install(parts[1].to_owned(), Source::Elsewhere)),
        None => found.push(Part::Install(url.to_owned(), Source::Elsewhere)),
    }
}

/// Conda's environments: what conda installs is in no index that is asked.
fn conda(value: &Value, found: &mut Vec<Part>) {
    for channel in value["channels"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        found.push(Part::Install(format!("channel {channel}"), Source::Elsewhere));
    }
    for item in value["dependencies"].as_array().into_iter().flatten() {
        match item {
            Value::String(text) => {
                let name = text.split(['=', '<', '>', '!', '~', ' ', '[']).next().unwrap_or(text);
                found.push(Part::Install(format!("conda's {name}"), Source::Elsewhere));
            }
            other => strings(&other["pip"]).for_each(|each| line(each, found)),
        }
    }
}

/// `setup.cfg` and `tox.ini`.
fn ini(content: &str, found: &mut Vec<Part>) {
    for (section, key, values) in cfg::entries(content) {
        let key = key.to_lowercase().replace('-', "_");
        let setuptools = section == "options" || section == "options.extras_require";
        let lists = ["install_requires", "setup_requires", "tests_require", "dependency_links"];
        if section == "options.extras_require" || section == "options" && lists.contains(&key.as_str()) {
            let inline = values.first().into_iter().flat_map(|first| first.split(';'));
            for value in inline.chain(values.iter().skip(1).map(String::as_str)) {
                match value.trim().strip_prefix("file:") {
                    Some(files) => found.extend(files.split(',').map(|file| Part::Include(file.trim().to_owned()))),
                    None => line(value, found),
                }
            }
        } else if !setuptools && (key.ends_with("deps") || key == "requires") {
            values.iter().for_each(|value| tox(value, found));
        } else if matches!(key.as_str(), "install_command" | "indexserver") {
            found.extend(values.into_iter().filter(|v| !v.is_empty()).map(|v| Part::Install(v, Source::Elsewhere)));
        } else if matches!(key.as_str(), "setenv" | "set_env") {
            let decides = |value: &String| value.contains("PIP_") || value.contains("UV_");
            found.extend(values.into_iter().filter(decides).map(|v| Part::Install(v, Source::Elsewhere)));
        }
    }
}

/// A line of tox's `deps`: for some environments only, or another list's.
fn tox(text: &str, found: &mut Vec<Part>) {
    static LIST: LazyLock<Option<Regex>> = matcher!(r"^\{\[[^\]{}]+\][A-Za-z_-]*deps\}$");
    let (_, bare) = cfg::of_tox(text);
    if !LIST.as_ref().is_some_and(|list| list.is_match(bare)) {
        line(bare, found);
    }
}
