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

    /// The page of all rules.
    fn page() -> String {
        let mut page = String::from(
            "# Rules\n\nWhat judges a change, and what repairs one. `test-repair explain RULE` says the same on a terminal.\n\
             A finding refuses the change, or flags it for a person; [attacks.md](attacks.md) lists patches that cheat and what \
             sees them.\n\nThis page is written by `UPDATE_EXPECT=1 cargo test --lib explain`.\n",
        );
        let code = |text: &str| format!("```\n{text}\n```\n");
        page.push_str("\n## Rules that judge\n");
        for rule in integrity::RULES {
            let _ = writeln!(page, "\n### {}\n\n{}\n\n{}", rule.id, rule.meaning, code(rule.example));
            let _ = writeln!(page, "*Can be wrong:* {}", rule.way_to_be_wrong);
        }
        page.push_str("\n## Rules that repair\n");
        for rule in rules::CATALOGUE {
            let _ = writeln!(page, "\n### {}\n\n{}\n\n{}", rule.id, rule.repairs, code(rule.example));
            let _ = writeln!(page, "*Evidence:* {}", rule.evidence);
        }
        page
    }

    #[test]
    fn the_published_page_of_rules_is_what_the_code_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/rules.md");
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(path, page()).unwrap();
        }
        let published = std::fs::read_to_string(path).unwrap_or_default();
        assert!(published == page(), "run `UPDATE_EXPECT=1 cargo test --lib explain`");
    }

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
