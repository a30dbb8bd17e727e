//! explain: what a rule means, an example, and how it can be wrong.

use std::fmt::Write as _;

use console::style;

use crate::{input::BadInput, integrity, repair::rules, report};

/// Prints a rule, or the list of all of them.
///
/// # Errors
/// [`BadInput`] for a rule that there is not, naming the nearest.
pub fn explain(rule: Option<&str>) -> Result<u8, BadInput> {
    let text = match rule {
        None => list(),
        Some(id) => one(id).ok_or_else(|| {
            let ids = integrity::RULES.iter().map(|r| r.id).chain(rules::CATALOGUE.iter().map(|r| r.id));
            let alike = |known: &&str| (similar::TextDiff::from_chars(id, *known).ratio() * 1000.0) as u32;
            let nearest = ids.max_by_key(alike).unwrap_or_default();
            BadInput(format!("there is no rule `{id}`: did you mean `{nearest}`? `test-repair explain` lists them all"))
        })?,
    };
    report::print(&text);
    Ok(0)
}

fn one(id: &str) -> Option<String> {
    let mut text = format!("{}\n\n", style(id).bold());
    let parts = match integrity::RULES.iter().find(|r| r.id == id) {
        Some(rule) => [("Judges", rule.meaning), ("Example", rule.example), ("Can be wrong", rule.way_to_be_wrong)],
        None => {
            let rule = rules::CATALOGUE.iter().find(|r| r.id == id)?;
            [("Repairs", rule.repairs), ("Evidence", rule.evidence), ("Example", rule.example)]
        }
    };
    for (title, body) in parts {
        let _ = writeln!(text, "{}\n  {}\n", style(title).underlined(), body.replace('\n', "\n  "));
    }
    Some(text)
}

fn list() -> String {
    let mut text = String::new();
    for (title, ids) in [
        ("Rules that judge a change", integrity::RULES.iter().map(|r| (r.id, r.meaning)).collect::<Vec<_>>()),
        ("Rules that repair", rules::CATALOGUE.iter().map(|r| (r.id, r.repairs)).collect()),
    ] {
        let _ = writeln!(text, "{}", style(title).bold());
        for (id, meaning) in ids {
            let _ = writeln!(text, "  {id:24} {}", meaning.lines().next().unwrap_or_default());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_can_be_explained_and_ids_are_unique() {
        let mut ids: Vec<&str> =
            integrity::RULES.iter().map(|r| r.id).chain(rules::CATALOGUE.iter().map(|r| r.id)).collect();
        ids.extend(["test-lost", "dependency-unproven"].iter().filter(|id| !ids.contains(id)).collect::<Vec<_>>());
        for id in &ids {
            assert!(one(id).is_some(), "{id}");
        }
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count);
        assert!(explain(Some("suppression-bar")).unwrap_err().to_string().contains("suppression-bare"));
    }
}
