//! Configuration of checking tools, whatever file it stands in, as flat keys: `pytest.addopts`, `coverage.run.omit`.

use super::config_keys::{Way, way};
use super::context::{Context, File};
use super::{Finding, compare::lost, paths, python::number};
use std::collections::BTreeMap;

pub(crate) type Flat = BTreeMap<String, Vec<String>>;

/// Which tool a file of its own belongs to: the prefix of its keys.
fn own_tool(path: &str) -> Option<&'static str> {
    Some(match paths::name(path) {
        "pytest.ini" | ".pytest.ini" | "pytest.toml" | ".pytest.toml" => "pytest",
        "mypy.ini" | ".mypy.ini" => "mypy",
        ".flake8" => "flake8",
        "ruff.toml" | ".ruff.toml" => "ruff",
        ".coveragerc" | ".coveragerc.toml" => "coverage",
        ".bandit" | "bandit.yaml" | "bandit.yml" | ".bandit.yml" | ".bandit.yaml" | "bandit.toml" => "bandit",
        ".pylintrc" | "pylintrc" | ".pylintrc.toml" => "pylint",
        ".isort.cfg" => "isort",
        "pyrightconfig.json" => "pyright",
        ".codespellrc" => "codespell",
        ".pydocstyle" | ".pydocstyle.ini" => "pydocstyle",
        ".pycodestyle" => "pycodestyle",
        ".yamllint" | ".yamllint.yml" | ".yamllint.yaml" => "yamllint",
        ".markdownlint.json" | ".markdownlint.yaml" | ".markdownlint.yml" => "markdownlint",
        "ty.toml" => "ty",
        ".interrogate.cfg" => "interrogate",
        ".style.yapf" => "yapf",
        ".semgrep.yml" => "semgrep",
        _ => return None,
    })
}

/// Does the file configure checks?
pub(crate) fn is_config(path: &str) -> bool {
    own_tool(path).is_some() || is_shared(path)
}

pub(crate) fn is_shared(path: &str) -> bool {
    matches!(paths::name(path), "pyproject.toml" | "setup.cfg" | "tox.ini")
}

/// Reads a configuration; `None` where it can't be read.
pub(crate) fn read(path: &str, text: &str) -> Option<Flat> {
    let mut flat = Flat::new();
    let json = |value: &serde_json::Value, flat: &mut Flat| {
        flatten(own_tool(path).unwrap_or(""), value, flat);
    };
    match paths::extension(path).as_str() {
        "toml" => {
            let table: toml_edit::DocumentMut = text.parse().ok()?;
            let value = toml_value(table.as_item());
            json(&value, &mut flat);
        }
        "json" => json(&serde_json::from_str(text).ok()?, &mut flat),
        "yaml" | "yml" => json(&serde_saphyr::from_str(text).ok()?, &mut flat),
        _ if own_tool(path) == Some("yamllint") => json(&serde_saphyr::from_str(text).ok()?, &mut flat),
        _ => {
            for (section, key, values) in ini(text) {
                let section = ini_section(path, &section);
                let full = if section.is_empty() { key } else { format!("{section}.{key}") };
                flat.entry(full).or_default().extend(values);
            }
        }
    }
    Some(flat.into_iter().map(|(k, v)| (normal_key(&k), v)).collect())
}

fn normal_key(key: &str) -> String {
    let key = key.strip_prefix("tool.").unwrap_or(key);
    let key = key.replace("pytest.ini_options.", "pytest.").replace("ruff.lint.", "ruff.");
    match key.split_once('.') {
        Some((tool @ ("coverage" | "mypy" | "flake8" | "black" | "isort" | "pytest"), rest)) => {
            format!("{tool}.{}", if rest.contains("per-file") { rest.to_string() } else { rest.replace('-', "_") })
        }
        _ => key,
    }
}

fn ini_section(path: &str, section: &str) -> String {
    let own = own_tool(path);
    let section = section.trim();
    let lower = section.strip_prefix("tool:").unwrap_or(section).replace(':', ".");
    match own {
        Some("mypy") | None if section.starts_with("mypy-") => format!("mypy.overrides.{}", &section[5..]),
        Some("coverage") if !lower.starts_with("coverage") => format!("coverage.{lower}"),
        Some("pylint") => "pylint".to_string(),
        Some(tool) if lower == "settings" || lower.is_empty() => tool.to_string(),
        _ => lower,
    }
}

/// Sections, keys and values split at whitespace and commas.
fn ini(text: &str) -> Vec<(String, String, Vec<String>)> {
    let mut found: Vec<(String, String, Vec<String>)> = Vec::new();
    let mut section = String::new();
    for line in text.lines() {
        let bare = line.trim();
        if bare.is_empty() || bare.starts_with('#') || bare.starts_with(';') {
            continue;
        }
        let value = |text: &str| -> Vec<String> {
            let text = text.split(" #").next().unwrap_or("").split(" ;").next().unwrap_or("");
            text.split([',', ' ', '\t']).filter(|v| !v.is_empty()).map(ToString::to_string).collect()
        };
        if bare.starts_with('[') && bare.ends_with(']') {
            section = bare[1..bare.len() - 1].to_string();
        } else if line.starts_with([' ', '\t']) && found.last().is_some_and(|f| f.0 == section) {
            if let Some(last) = found.last_mut() {
                last.2.extend(value(bare));
            }
        } else if let Some(at) = bare.find(['=', ':']) {
            found.push((section.clone(), bare[..at].trim().to_string(), value(&bare[at + 1..])));
        } else {
            found.push((section.clone(), bare.to_string(), Vec::new()));
        }
    }
    found
}

/// A TOML item in JSON's words.
pub(crate) fn toml_value(item: &toml_edit::Item) -> serde_json::Value {
    use toml_edit::{Item, Value};
    let of_value = |value: &Value| toml_value(&Item::Value(value.clone()));
    match item {
        Item::None => serde_json::Value::Null,
        Item::Value(Value::String(s)) => s.value().clone().into(),
        Item::Value(Value::Integer(i)) => (*i.value()).into(),
        Item::Value(Value::Float(f)) => f.value().to_string().into(),
        Item::Value(Value::Boolean(b)) => (*b.value()).into(),
        Item::Value(Value::Datetime(d)) => d.value().to_string().into(),
        Item::Value(Value::Array(a)) => a.iter().map(of_value).collect(),
        Item::Value(Value::InlineTable(t)) => {
            t.iter().map(|(k, v)| (k.to_string(), of_value(v))).collect::<serde_json::Map<_, _>>().into()
        }
        Item::Table(t) => {
            t.iter().map(|(k, v)| (k.to_string(), toml_value(v))).collect::<serde_json::Map<_, _>>().into()
        }
        Item::ArrayOfTables(a) => a.iter().map(|t| toml_value(&Item::Table(t.clone()))).collect(),
    }
}

fn flatten(prefix: &str, value: &serde_json::Value, flat: &mut Flat) {
    use serde_json::Value;
    let join = |key: &str| if prefix.is_empty() { key.to_string() } else { format!("{prefix}.{key}") };
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                flatten(&join(key), value, flat);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for (index, item) in items.iter().enumerate() {
                let named = item.get("module").map(|m| match m {
                    Value::Array(a) => a.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("+"),
                    other => other.as_str().unwrap_or("").to_string(),
                });
                flatten(&join(&named.unwrap_or_else(|| index.to_string())), item, flat);
            }
        }
        Value::Array(items) => {
            flat.entry(prefix.to_string()).or_default().extend(items.iter().map(scalar));
        }
        Value::String(s) if prefix.ends_with("addopts") || prefix.ends_with("opts") => {
            flat.entry(prefix.to_string()).or_default().extend(s.split_whitespace().map(ToString::to_string));
        }
        other => flat.entry(prefix.to_string()).or_default().push(scalar(other)),
    }
}

fn scalar(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToString::to_string)
}

pub(crate) fn judge(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for file in context.files.iter().filter(|f| is_config(f.path)) {
        match (file.before, file.after) {
            (Some(_), None) => {
                let message = "A configuration of checks is deleted.";
                findings.push(Finding::refuse("config-removed", Some(file.path), message));
            }
            (before, Some(_)) => {
                let old = if before.is_some() { read(file.path, &file.text_before()) } else { Some(Flat::new()) };
                let new = read(file.path, &file.text_after());
                match (old, new) {
                    (Some(old), Some(new)) => {
                        if before.is_none() {
                            shadows(context, file, &new, findings);
                        }
                        differences(file, &old, &new, findings);
                    }
                    (None, Some(new)) => unreadable_before(file, &new, findings),
                    (Some(_), None) => {
                        let message = "This configuration can no longer be read.";
                        findings.push(Finding::refuse("config-unparsable", Some(file.path), message));
                    }
                    (None, None) => {}
                }
            }
            (None, None) => {}
        }
    }
}

/// A new file takes precedence over the sections that configured the tool so far.
fn shadows(context: &Context<'_>, file: &File<'_>, new: &Flat, findings: &mut Vec<Finding>) {
    let tools: Vec<String> = match own_tool(file.path) {
        Some(tool) => vec![tool.to_string()],
        None => {
            let mut all: Vec<String> =
                new.keys().filter_map(|k| k.split('.').next().map(ToString::to_string)).collect();
            all.dedup();
            all
        }
    };
    for other in context.paths.iter().filter(|p| is_config(p)) {
        let Some(text) = context.read(other) else { continue };
        let Some(flat) = read(other, &text) else { continue };
        for tool in tools.iter().filter(|t| way(&format!("{t}.x")) != Way::Free || own_tool(file.path).is_some()) {
            if flat.keys().any(|k| k.starts_with(&format!("{tool}."))) {
                let message = format!("This new file takes the place of the configuration of {tool} in `{other}`.");
                findings.push(Finding::refuse("config-shadowed", Some(file.path), message));
                return;
            }
        }
    }
}

fn unreadable_before(file: &File<'_>, new: &Flat, findings: &mut Vec<Finding>) {
    let before: String = file.text_before().split_whitespace().collect();
    for (key, values) in new.iter().filter(|(k, _)| !matches!(way(k), Way::Free)) {
        let missing = values.iter().find(|v| !before.contains(&v.split_whitespace().collect::<String>()));
        if let Some(value) = missing {
            let message = format!("`{key}` is new in a file that could not be read before.");
            findings.push(Finding::refuse("config-weakened", Some(file.path), message).texts(None, Some(value)));
        }
    }
}

fn differences(file: &File<'_>, old: &Flat, new: &Flat, findings: &mut Vec<Finding>) {
    let none = Vec::new();
    let mut keys: Vec<&String> = old.keys().chain(new.keys()).collect();
    keys.sort();
    keys.dedup();
    for key in keys {
        let (before, after) = (old.get(key), new.get(key));
        if before == after {
            continue;
        }
        let (was, is) = (before.unwrap_or(&none), after.unwrap_or(&none));
        let Some((refused, why)) = weaker(way(key), before.map(Vec::as_slice), after.map(Vec::as_slice), key) else {
            continue;
        };
        let rule = rule_of(key);
        let message = format!("`{key}`: {why}.");
        let finding = if refused {
            Finding::refuse(rule, Some(file.path), message)
        } else {
            Finding::flag(rule, Some(file.path), message)
        };
        let mut finding = finding.texts(Some(&was.join(" ")), Some(&is.join(" ")));
        let leaf = key.rsplit('.').next().unwrap_or(key);
        let line = file.text_after().lines().position(|l| l.contains(leaf));
        finding.line = line.and_then(|l| u32::try_from(l + 1).ok());
        findings.push(finding);
    }
}

fn rule_of(key: &str) -> &'static str {
    let low = key.to_ascii_lowercase();
    if low.contains("fail_under") || low.contains("fail-under") || low.contains("max-") || low.contains("complexity") {
        "threshold-lowered"
    } else if low.starts_with("tox.") || low.starts_with("testenv") || low.contains("scripts") || low.contains("tasks")
    {
        "check-command-changed"
    } else if low.starts_with("pytest.") {
        "test-selection"
    } else {
        "config-weakened"
    }
}

fn is_on(values: Option<&[String]>) -> Option<bool> {
    let value = values?.first()?.to_ascii_lowercase();
    match value.as_str() {
        "true" | "1" | "yes" | "on" | "error" | "strict" => Some(true),
        "false" | "0" | "no" | "off" | "none" | "basic" => Some(false),
        _ => None,
    }
}

/// Is the value after weaker than before: refused or only flagged, and why.
fn weaker(way: Way, before: Option<&[String]>, after: Option<&[String]>, key: &str) -> Option<(bool, String)> {
    let (was, is) = (before.unwrap_or(&[]), after.unwrap_or(&[]));
    let refuse = |why: String| Some((true, why));
    match way {
        Way::Free => None,
        Way::Fixed => refuse("this decides what the checks run or see".to_string()),
        Way::Watched => Some((false, "this changes how a check works".to_string())),
        Way::MayShrink => {
            let new = lost(is, was, |v| v.trim_matches(['"', '\'']).to_string());
            (!new.is_empty()).then(|| (true, format!("`{}` is now left out of the check", new.join(" "))))
        }
        Way::MayGrow => {
            let gone = lost(was, is, |v| v.trim_matches(['"', '\'']).to_string());
            if before.is_none() {
                // A first selection narrows what was the tool's own default.
                return match key.ends_with("extend-select") || key.contains("extend_select") || is.is_empty() {
                    true => None,
                    false => refuse("what was the default is now narrowed".to_string()),
                };
            }
            if after.is_none() {
                return Some((
                    key.contains("select") || key.contains("plugins"),
                    "what was listed is the default again".to_string(),
                ));
            }
            (!gone.is_empty()).then(|| (true, format!("`{}` is no longer checked", gone.join(" "))))
        }
        Way::MayRise | Way::MayFall => {
            let value = |v: &[String]| v.first().and_then(|v| number(v));
            match (value(was), value(is)) {
                (Some(old), Some(new)) if (new > old) == matches!(way, Way::MayRise) => None,
                (None, Some(_)) if matches!(way, Way::MayRise) => None,
                (Some(_), None) if matches!(way, Way::MayFall) => None,
                _ => refuse("the threshold is weaker".to_string()),
            }
        }
        Way::On => match (is_on(before), is_on(after)) {
            (_, Some(true)) => None,
            (None, None) if before.is_none() => Some((false, "this changes how a check works".to_string())),
            (Some(false), None) => None,
            _ => refuse("a strict setting is switched off".to_string()),
        },
        Way::Off => match (is_on(before), is_on(after)) {
            (_, Some(false)) | (Some(true), None) => None,
            (_, None) if after.is_none() => None,
            _ => refuse("a lenient setting is switched on".to_string()),
        },
        Way::Options => options(was, is),
    }
}

/// Options that leave tests out, make them milder, or run none at all.
const WEAK: [&str; 32] = [
    "--setup-plan",
    "--setup-only",
    "--markers",
    "--fixtures",
    "--funcargs",
    "--fixtures-per-test",
    "--version",
    "-V",
    "--help",
    "-h",
    "--cache-show",
    "--stepwise",
    "-k",
    "-m",
    "--deselect",
    "--ignore",
    "--ignore-glob",
    "-p",
    "--co",
    "--collect-only",
    "--no-cov",
    "--reruns",
    "--disable-warnings",
    "--noconftest",
    "-o",
    "--override-ini",
    "-c",
    "--lf",
    "--last-failed",
    "--sw",
    "-W",
    "--disable-pytest-warnings",
];

/// Options on a command line.
fn options(was: &[String], is: &[String]) -> Option<(bool, String)> {
    let clean = |v: &String| v.trim_matches(['"', '\'']).to_string();
    let (new, gone) = (lost(is, was, clean), lost(was, is, clean));
    let head = |v: &String| clean(v).split('=').next().unwrap_or("").to_string();
    let limit =
        |values: &[String]| values.iter().find_map(|v| clean(v).strip_prefix("--cov-fail-under=").and_then(number));
    if let (Some(old), Some(new)) = (limit(was), limit(is))
        && new < old
    {
        return Some((true, "the coverage threshold is lower".to_string()));
    }
    let weak = |v: &&String| {
        WEAK.contains(&head(v).as_str())
            || !v.starts_with('-')
            || v.starts_with("-k")
            || v.starts_with("-m")
            || v.starts_with("-pno")
            || v.starts_with("-W")
    };
    if let Some(option) = new.iter().find(weak) {
        return Some((true, format!("`{option}` leaves tests out or makes them milder")));
    }
    let kept = |v: &&String| {
        let raised = v.contains("fail-under") && limit(is).is_some();
        !raised && !matches!(v.as_str(), "-v" | "-vv" | "-vvv" | "-q" | "-s" | "-x" | "--verbose" | "--quiet")
    };
    if let Some(option) = gone.iter().find(kept) {
        return Some((true, format!("`{option}` is gone")));
    }
    let stricter = |v: &String| {
        let option = clean(v);
        ["--strict", "-ra", "-rA", "--tb=", "--color=", "--durations", "-vv", "-v"]
            .iter()
            .any(|s| option.starts_with(s))
    };
    (!new.iter().all(stricter)).then(|| (false, "the options of the runner changed".to_string()))
}
