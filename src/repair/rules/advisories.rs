//! A report of known vulnerabilities names the versions that have none: the requirement is raised to the lowest of them.

use std::{collections::BTreeMap, str::FromStr, sync::LazyLock};

use pep440_rs::{Version, VersionSpecifiers};
use regex::Regex;

use super::{
    Applied, FixType, Repaired, RuleContext, RuleDoc,
    manifests::{self, Listing},
    names::matcher,
    text::{self, Edit},
    tree::{self, Tree},
    undeclared,
};
use crate::{
    detect::{Failure, Key},
    registry::normalise,
};

pub(super) const DOC: RuleDoc = RuleDoc {
    id: "vulnerable-dependency",
    repairs: "a requirement whose installed version pip-audit reports as vulnerable",
    evidence: "pip-audit's package, version, advisory and fixed versions; a manifest of the project that names the \
               package, and whose other bounds admit the lowest version that is fixed for all advisories",
    example: "jinja2 3.1.2 GHSA-h5c8-rqwp-cp95 3.1.3",
};

/// More vulnerable packages than that are left to a person.
const MOST_PACKAGES: usize = 50;

/// What is known of a package.
struct Vulnerable {
    installed: Version,
    /// The lowest version that all its advisories call fixed.
    fixed: Version,
    advisories: Vec<String>,
}

pub(super) fn apply(context: &RuleContext<'_>, repaired: &mut Repaired) -> anyhow::Result<()> {
    let vulnerable = vulnerable(context.failures, repaired);
    if vulnerable.is_empty() {
        return Ok(());
    }
    if vulnerable.len() > MOST_PACKAGES {
        repaired.note(DOC.id, format_args!("{} packages are too many for one repair", vulnerable.len()));
        return Ok(());
    }
    let tree = Tree::new(context.workspace.root());
    let folder = tree::folder(context.workspace.root(), context.workdir);
    for (package, of_it) in vulnerable {
        match raise(context, &tree, folder, &package, &of_it)? {
            Ok(applied) => repaired.applied.push(applied),
            Err(why) => repaired.note(DOC.id, format_args!("`{package}` {}: {why}", of_it.installed)),
        }
    }
    Ok(())
}

/// The reported packages, by normalised name.
fn vulnerable(failures: &[Failure], repaired: &mut Repaired) -> BTreeMap<String, Vulnerable> {
    static SAID: LazyLock<Option<Regex>> = matcher!(
        r"^([A-Za-z0-9][A-Za-z0-9._-]{0,100}) ([0-9][A-Za-z0-9.!+]{0,40}) ([A-Z]+-[\w-]{1,60})(?: fixed in ([0-9][A-Za-z0-9.!]*(?:, ?[0-9][A-Za-z0-9.!]*)*)(?:\s|$))?"
    );
    let mut found: BTreeMap<String, Vulnerable> = BTreeMap::new();
    let mut without = Vec::new();
    for failure in failures.iter().filter(|f| f.tool == "pip-audit" && matches!(f.key, Key::Finding { .. })) {
        let Some(said) = SAID.as_ref().and_then(|said| said.captures(&failure.message)) else { continue };
        let (package, advisory) = (normalise(&said[1]), said[3].to_owned());
        let Ok(installed) = Version::from_str(&said[2]) else { continue };
        let versions = said.get(4).into_iter().flat_map(|fixed| fixed.as_str().split(','));
        let newer = versions.filter_map(|each| Version::from_str(each.trim()).ok()).filter(|each| *each > installed);
        let Some(fixed) = newer.min() else {
            repaired.note(DOC.id, format_args!("`{package}` {installed}: no version is known that fixes {advisory}"));
            without.push(package);
            continue;
        };
        let known = found.entry(package).or_insert_with(|| Vulnerable {
            installed,
            fixed: fixed.clone(),
            advisories: Vec::new(),
        });
        if fixed > known.fixed {
            known.fixed = fixed;
        }
        if !known.advisories.contains(&advisory) {
            known.advisories.push(advisory);
        }
    }
    // Half a repair leaves the package as reported.
    found.retain(|package, _| !without.contains(package));
    found
}

fn raise(
    context: &RuleContext<'_>,
    tree: &Tree<'_>,
    folder: &str,
    package: &str,
    vulnerable: &Vulnerable,
) -> anyhow::Result<Result<Applied, String>> {
    let listings = manifests::listings(tree, folder);
    let used = undeclared::used(context.install, tree, folder, &listings);
    let naming: Vec<&Listing> = listings.iter().chain(&used).filter(|listing| listing.declares(package)).collect();
    if naming.is_empty() {
        return Ok(Err("no manifest names it: it comes with another package".to_owned()));
    }
    let mut contents: BTreeMap<&str, String> = BTreeMap::new();
    for listing in naming {
        if let Some(lock) = undeclared::stale_lock(tree, folder, listing, context.install) {
            return Ok(Err(format!("`{lock}` would have to be made anew")));
        }
        let Some(text) = tree.read(&listing.file) else { return Ok(Err(format!("`{}` can't be read", listing.file))) };
        let content = contents.remove(listing.file.as_str()).unwrap_or(text.content);
        match raised_in(&content, listing, package, &vulnerable.fixed) {
            Ok(raised) => contents.insert(&listing.file, raised),
            Err(why) => return Ok(Err(format!("`{}`: {why}", listing.file))),
        };
    }
    let mut files = Vec::new();
    for (file, content) in contents {
        let Some(text) = tree.read(file).filter(|text| text.content != content) else { continue };
        tree.write(file, &text.with(content))?;
        files.push(file.to_owned());
    }
    if files.is_empty() {
        return Ok(Err(
            "what its manifests say admits the fixed version already, so another one was installed".to_owned()
        ));
    }
    let Vulnerable { installed, fixed, advisories } = vulnerable;
    let major = installed.release().first() != fixed.release().first();
    Ok(Ok(Applied {
        rule: DOC.id,
        fix_type: FixType::Security,
        description: format!("Raised `{package}` from {installed} to {fixed}, which fixes {}.", advisories.join(", ")),
        impact: match major {
            true => format!("`{package}` changes its major version: it may behave otherwise."),
            false => {
                format!("Whoever installs the project gets `{package}` {fixed} or what the bounds admit above it.")
            }
        },
        files,
    }))
}

/// A manifest's content with the requirement raised in one of its lists.
fn raised_in(content: &str, listing: &Listing, package: &str, fixed: &Version) -> Result<String, String> {
    if listing.is_poetry() || listing.is_generated(content) {
        return Err("it is written by a tool, or in Poetry's own form".to_owned());
    }
    let mut content = content.to_owned();
    let of_it = |each: &&String| manifests::requirement_name(each).as_deref() == Some(package);
    for requirement in listing.requirements.iter().filter(of_it) {
        let raised = raised(requirement, fixed)?;
        if raised == *requirement {
            continue;
        }
        let edits: Vec<Edit> = places(&content, requirement)
            .map(|at| Edit { range: at..at + requirement.len(), text: raised.clone() })
            .collect();
        // Raised by the list before, where several lists share a file.
        if edits.is_empty() && places(&content, &raised).next().is_none() {
            return Err(format!("`{requirement}` was not found in it"));
        }
        content = text::apply(&content, &edits).ok_or("its places overlap")?;
    }
    Ok(content)
}

/// Where a requirement stands, whole.
pub(super) fn places<'a>(content: &'a str, requirement: &'a str) -> impl Iterator<Item = usize> + 'a {
    let part = |each: Option<char>| each.is_some_and(|each| each.is_alphanumeric() || "-_.,;<>=!~[]*+".contains(each));
    let whole = move |at: &usize| {
        !part(content[..*at].chars().next_back()) && {
            let rest = content[at + requirement.len()..].trim_start_matches([' ', '\t']);
            // A comma may separate it from the next one.
            !part(rest.chars().next().filter(|each| *each != ',' && !each.is_alphanumeric()))
                && !part(content[at + requirement.len()..].chars().next().filter(|each| each.is_alphanumeric()))
        }
    };
    content.match_indices(requirement).map(|(at, _)| at).filter(whole)
}

/// A requirement that admits no version below `fixed`, and all that it admitted above.
fn raised(requirement: &str, fixed: &Version) -> Result<String, String> {
    static PARTS: LazyLock<Option<Regex>> =
        matcher!(r"^([A-Za-z0-9][A-Za-z0-9._-]*\s*(?:\[[^\]]*\])?)(\s*)([^;@#\[]*?)(\s*(?:;.*)?)$");
    static FLOOR: LazyLock<Option<Regex>> = matcher!(r"(>=|===?|~=|>)(\s*)([0-9][A-Za-z0-9.!+]*)");
    let odd = || format!("`{requirement}` has no bound that can be raised");
    let parts = PARTS.as_ref().and_then(|parts| parts.captures(requirement)).ok_or_else(odd)?;
    let (name, gap, bounds, rest) = (&parts[1], &parts[2], &parts[3], &parts[4]);
    if bounds.is_empty() {
        return Ok(format!("{name}>={fixed}{rest}"));
    }
    let floors: Vec<regex::Captures<'_>> =
        FLOOR.as_ref().map(|f| f.captures_iter(bounds).collect()).unwrap_or_default();
    let new = match floors.as_slice() {
        [] => format!("{bounds},>={fixed}"),
        [floor] => {
            let Some(whole) = floor.get(0) else { return Err(odd()) };
            // `==1.*` leaves a star behind.
            if bounds[whole.end()..].starts_with(['*', '.']) {
                return Err(odd());
            }
            let low = Version::from_str(&floor[3]).map_err(|_| odd())?;
            if low >= *fixed {
                return Ok(requirement.to_owned());
            }
            let sign = if &floor[1] == ">" { ">=" } else { &floor[1] };
            if sign == "~=" && !VersionSpecifiers::from_str(bounds).is_ok_and(|all| all.contains(fixed)) {
                return Err(format!("`{requirement}` does not admit {fixed}"));
            }
            format!("{}{sign}{}{fixed}{}", &bounds[..whole.start()], &floor[2], &bounds[whole.end()..])
        }
        _ => return Err(odd()),
    };
    match VersionSpecifiers::from_str(&new).is_ok_and(|all| all.contains(fixed)) {
        true => Ok(format!("{name}{gap}{new}{rest}")),
        false => Err(format!("`{requirement}` does not admit {fixed}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_raised_in_its_own_form() {
        let fixed = Version::from_str("3.1.3").unwrap();
        for (before, after) in [
            ("jinja2", "jinja2>=3.1.3"),
            ("Jinja2==3.1.2", "Jinja2==3.1.3"),
            ("jinja2 >= 3.0, <4 ; python_version > '3.8'", "jinja2 >= 3.1.3, <4 ; python_version > '3.8'"),
            ("jinja2[x]~=3.1.2", "jinja2[x]~=3.1.3"),
            ("jinja2<4", "jinja2<4,>=3.1.3"),
            ("jinja2>3", "jinja2>=3.1.3"),
            ("jinja2>=3.2", "jinja2>=3.2"),
        ] {
            assert_eq!(raised(before, &fixed).as_deref(), Ok(after));
        }
        for odd in ["jinja2==3.0.*", "jinja2<3.1", "jinja2~=2.11.0", "jinja2 @ https://x/y", "jinja2>=3,==3.1.2"] {
            assert!(raised(odd, &fixed).is_err(), "{odd}");
        }
    }

    #[test]
    fn a_requirement_is_found_whole() {
        let found = |content: &str| places(content, "a>=1").count();
        assert_eq!(found("[\"a>=1\", 'a>=1']\na>=1\na>=1  # c\n"), 4);
        assert_eq!(found("ba>=1\na>=1.2\na>=1,<2\nx-a>=1\na>=10\na>=1 ; x\n"), 1);
    }
}
