//! Requirements that contradict each other, where raising one of the project's own pins is all that makes them fit. The
//! installer itself says so, by resolving without installing.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use regex::Regex;

use super::{
    Applied, FixType, Repaired, RuleContext, RuleDoc,
    advisories::places,
    manifests::{self, Listing},
    names::matcher,
    text::{self, Edit, Text},
    tree::{self, Tree},
    undeclared,
};
use crate::{detect::Failure, plan::shell, registry::normalise, sandbox::Ended};

pub(super) const DOC: RuleDoc = RuleDoc {
    id: "conflicting-pin",
    repairs: "requirements that pip or uv can't resolve, where one of the project's own pins (`==`) is too old for another",
    evidence: "the installer's word that they conflict, which names the pin; the same command resolves with that pin \
               raised and all others as they are, and does not with all others raised and that one as it is; a pin is \
               never lowered",
    example: "Cannot install -r requirements.txt (line 1) and urllib3==1.20 because these package versions have \
              conflicting dependencies.",
};

/// More pins in one conflict are not tried.
const MOST_PINS: usize = 8;

/// A pin of the project's own.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pin {
    file: String,
    /// As it is written: `urllib3==1.20`.
    written: String,
    /// What is before `==`, and the version behind it.
    name: String,
    version: String,
}

impl Pin {
    /// Of a requirement that is a name, `==`, a version and nothing else.
    fn of(file: &str, requirement: &str) -> Option<Pin> {
        static PIN: LazyLock<Option<Regex>> =
            matcher!(r"^([A-Za-z0-9][A-Za-z0-9._-]*(?:\[[^\]]*\])?)\s*==\s*([0-9][A-Za-z0-9.!]*)$");
        let found = PIN.as_ref()?.captures(requirement)?;
        let (name, version) = (found[1].to_owned(), found[2].to_owned());
        Some(Pin { file: file.to_owned(), written: requirement.to_owned(), name, version })
    }

    fn key(&self) -> String {
        normalise(self.name.split('[').next().unwrap_or(&self.name))
    }

    /// The file's content with another sign and version.
    fn rewritten(&self, content: &str, sign: &str, version: &str) -> Option<String> {
        let new = self.written.replacen("==", sign, 1).replacen(&self.version, version, 1);
        let edit = |at| Edit { range: at..at + self.written.len(), text: new.clone() };
        let edits: Vec<Edit> = places(content, &self.written).map(edit).collect();
        (edits.len() == 1).then(|| text::apply(content, &edits)).flatten()
    }
}

pub(super) async fn apply(context: &RuleContext<'_>, repaired: &mut Repaired) -> anyhow::Result<()> {
    let Some(failure) = context.failures.iter().find(|failure| is_conflict(failure)) else { return Ok(()) };
    let Some(script) = context.checks.iter().find(|script| installer(script).is_some()) else {
        repaired.note(DOC.id, "the command that can't resolve is no plain call of pip or uv");
        return Ok(());
    };
    let tree = Tree::new(context.workspace.root());
    let pins = pins(context, &tree, script);
    let said = names_in(&format!("{}\n{}", failure.message, conflict(context, script).await?));
    let candidates: Vec<&Pin> = pins.iter().filter(|pin| said.contains(&pin.key())).collect();
    if candidates.is_empty() || candidates.len() > MOST_PINS {
        repaired.note(DOC.id, format_args!("{} pins of the project's own are in the conflict", candidates.len()));
        return Ok(());
    }
    let mut ways: Vec<(&Pin, String)> = Vec::new();
    for pin in candidates {
        let version = raised(context, &tree, script, &[pin], pin).await?;
        ways.extend(version.filter(|version| *version != pin.version).map(|version| (pin, version)));
    }
    let list = || ways.iter().map(|(pin, version)| format!("`{}` to {version}", pin.written)).collect::<Vec<_>>();
    let [(pin, version)] = ways.as_slice() else {
        let why = match list().as_slice() {
            [] => "no pin of the project's own can be raised so that all of it resolves".to_owned(),
            several => format!("there are several ways, each of which resolves: {}", several.join(", or ")),
        };
        repaired.note(DOC.id, why);
        return Ok(());
    };
    // One run settles it for all others: where they don't do together, none does alone.
    let others: Vec<&Pin> = pins.iter().filter(|other| other != pin).collect();
    if !others.is_empty() && raised(context, &tree, script, &others, pin).await?.is_some() {
        repaired.note(DOC.id, format_args!("{} would resolve it, and so would others in its place", list().join("")));
        return Ok(());
    }
    let Some(text) = tree.read(&pin.file) else { return Ok(()) };
    let Some(content) = pin.rewritten(&text.content, "==", version) else { return Ok(()) };
    tree.write(&pin.file, &text.with(content))?;
    repaired.applied.push(Applied {
        rule: DOC.id,
        fix_type: FixType::Dependency,
        description: format!(
            "Raised {} in `{}`: with that one pin raised the requirements resolve, and without it they do not.",
            list().join(""),
            pin.file
        ),
        impact: format!("Whoever installs from it gets another `{}`, which may behave otherwise.", pin.name),
        files: vec![pin.file.clone()],
    });
    Ok(())
}

/// The version of `wanted` that resolves where these pins may be raised; `None` where nothing does. The files are left
/// as they were.
async fn raised(
    context: &RuleContext<'_>,
    tree: &Tree<'_>,
    script: &str,
    loose: &[&Pin],
    wanted: &Pin,
) -> anyhow::Result<Option<String>> {
    let mut before: BTreeMap<&str, Text> = BTreeMap::new();
    let mut written = true;
    for pin in loose {
        let Some(text) = tree.read(&pin.file) else { continue };
        match pin.rewritten(&text.content, ">=", &pin.version) {
            Some(content) => tree.write(&pin.file, &text.with(content))?,
            None => written = false,
        }
        before.entry(&pin.file).or_insert(text);
    }
    let found = match written {
        true => resolved(context, script, &wanted.key()).await,
        // What could not be tried might be a way.
        false => Ok(Some(wanted.version.clone())),
    };
    for (file, text) in before {
        tree.write(file, &text)?;
    }
    found
}

fn is_conflict(failure: &Failure) -> bool {
    let said = |text: &str| text.contains("conflicting dependencies") || text.contains("No solution found");
    matches!(failure.tool.as_str(), "pip" | "uv") && said(&failure.message)
}

/// What resolves for a script that ends with a plain call of `pip install` or `uv pip install`.
fn installer(script: &str) -> Option<&'static str> {
    let last = script.trim_end().lines().last()?;
    if last.contains(['|', '>', '<', ';', '&', '$', '`']) {
        return None;
    }
    let words = shell::words_of(last);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let of = |tool| shell::tool_arguments(&words, tool);
    match (of("pip").or_else(|| of("pip3")), of("uv")) {
        (Some(["install", ..]), _) => Some("pip"),
        (_, Some(["pip", "install", ..])) => Some("uv"),
        _ => None,
    }
}

/// The pins in the lists that the script installs.
fn pins(context: &RuleContext<'_>, tree: &Tree<'_>, script: &str) -> Vec<Pin> {
    let folder = tree::folder(context.workspace.root(), context.workdir);
    let listings = manifests::listings(tree, folder);
    let mut lists = undeclared::used(&[script.to_owned()], tree, folder, &listings);
    let own = |word: &String| word == "." || word.starts_with("./") || word.starts_with(".[");
    if shell::words_of(script).iter().any(own) {
        lists.extend(listings.into_iter().filter(|listing| listing.role == manifests::Role::Runtime));
    }
    let mut found: Vec<Pin> = Vec::new();
    let written = |list: &Listing| tree.read(&list.file).is_some_and(|text| !list.is_generated(&text.content));
    for list in lists.iter().filter(|list| written(list)) {
        for pin in list.requirements.iter().filter_map(|each| Pin::of(&list.file, each)) {
            if !found.contains(&pin) {
                found.push(pin);
            }
        }
    }
    found
}

/// What the installer says of the conflict: a failure's excerpt may not hold all of it.
async fn conflict(context: &RuleContext<'_>, script: &str) -> anyhow::Result<String> {
    let finished = context.workspace.run_online(&format!("{} --dry-run 2>&1", script.trim_end())).await?;
    let output = String::from_utf8_lossy(&finished.output).into_owned();
    let begins = ["Cannot install", "No solution found"].iter().filter_map(|words| output.find(words)).min();
    Ok(begins.map_or_else(String::new, |at| output[at..].to_owned()))
}

/// Whatever in a text may be a package's name, normalised.
fn names_in(said: &str) -> BTreeSet<String> {
    let part = |c: char| !(c.is_alphanumeric() || matches!(c, '.' | '_' | '-'));
    said.split(part).filter(|word| !word.is_empty()).map(normalise).collect()
}

/// The version of a package that the script would install; `None` where it does not resolve.
async fn resolved(context: &RuleContext<'_>, script: &str, package: &str) -> anyhow::Result<Option<String>> {
    let options = match installer(script) {
        Some("pip") => "--dry-run --ignore-installed --quiet --report - 2> /dev/null",
        _ => "--dry-run 2>&1",
    };
    let finished = context.workspace.run_online(&format!("{} {options}", script.trim_end())).await?;
    let output = String::from_utf8_lossy(&finished.output);
    Ok((finished.ended == Ended::Exit(0)).then(|| version_in(&output, package)).flatten())
}

/// The version of a package in pip's report, or in the list that uv prints.
fn version_in(output: &str, package: &str) -> Option<String> {
    let plain = |version: &str| version.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'!'));
    let report = output.find('{').and_then(|at| serde_json::from_str::<serde_json::Value>(output[at..].trim()).ok());
    let found = match report {
        Some(report) => {
            let all = report["install"].as_array()?.iter().map(|each| &each["metadata"]);
            let mut all = all.filter_map(|each| Some((each["name"].as_str()?, each["version"].as_str()?)));
            all.find(|(name, _)| normalise(name) == package)?.1.to_owned()
        }
        None => {
            let mut all = output.lines().filter_map(|line| line.strip_prefix(" + ")?.split_once("=="));
            all.find(|(name, _)| normalise(name) == package)?.1.trim().to_owned()
        }
    };
    plain(&found).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bare_pin_is_one() {
        let pin = |text| Pin::of("r.txt", text).map(|pin| (pin.key(), pin.version));
        assert_eq!(pin("Url_lib3==1.20"), Some(("url-lib3".to_owned(), "1.20".to_owned())));
        assert_eq!(pin("a[x] == 1"), Some(("a".to_owned(), "1".to_owned())));
        for other in ["a>=1", "a==1.*", "a==1,<2", "a==1; python_version < '3'", "a==1+local", "a === 1", "a @ x"] {
            assert_eq!(pin(other), None, "{other}");
        }
    }

    #[test]
    fn what_would_be_installed_is_read_from_both_tools() {
        let pip = r#"{"version": "1", "install": [{"metadata": {"name": "Url.Lib", "version": "2.0"}}]}"#;
        assert_eq!(version_in(pip, "url-lib").as_deref(), Some("2.0"));
        let uv = "Resolved 2 packages in 1ms\nWould install 1 package\n + url-lib==2.1\n";
        assert_eq!(version_in(uv, "url-lib").as_deref(), Some("2.1"));
        for output in [pip, uv, "", "{", "{\"install\": 1}", " + other==2; rm\n"] {
            assert_eq!(version_in(output, "other"), None, "{output}");
        }
    }

    #[test]
    fn a_command_that_is_more_than_a_call_is_left_alone() {
        assert_eq!(installer("cd x\npython -m pip install -r a.txt"), Some("pip"));
        assert_eq!(installer("uv pip install -r a.txt"), Some("uv"));
        for other in ["pip install x | tee log", "pip download x", "uv sync", "make install", ""] {
            assert_eq!(installer(other), None, "{other}");
        }
    }
}
