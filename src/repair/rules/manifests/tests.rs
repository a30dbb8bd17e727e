//! Properties of all editors: they never panic, and every line that was there stays there.

use proptest::prelude::*;

use super::*;

fn new() -> New {
    New { name: "mid-name".to_owned(), version: Some("2.3.4".parse().unwrap()), before: None }
}

/// What was there stays there, byte for byte: the new element is put in at one place, and a comma perhaps at a second
/// one with no more than a comment in between.
fn keeps_lines(before: &str, after: &str) -> bool {
    let (before, after) = (before.as_bytes(), after.as_bytes());
    let head = before.iter().zip(after).take_while(|(a, b)| a == b).count();
    let tails = before[head..].iter().rev().zip(after[head..].iter().rev());
    let tail = tails.take_while(|(a, b)| a == b).count();
    let between = String::from_utf8_lossy(&before[head..before.len() - tail]).into_owned();
    let comment = between.trim().starts_with('#') && !between.trim().contains('\n');
    (between.trim().is_empty() || comment) && after.len() <= before.len() + 60
}

fn editors() -> Vec<Kind> {
    vec![
        Kind::Array(owned(&["project", "dependencies"])),
        Kind::Poetry(owned(&["tool", "poetry", "dependencies"])),
        Kind::Cfg("options".to_owned(), "install_requires".to_owned()),
        Kind::SetupPy("install_requires".to_owned(), None),
        Kind::Lines,
    ]
}

fn add(kind: Kind, content: &str) -> Option<String> {
    Listing { file: String::new(), role: Role::Runtime, requirements: Vec::new(), kind }.add(content, &new())
}

/// Requirements as people write them.
fn requirement() -> impl Strategy<Value = String> {
    "[a-zA-Z][a-zA-Z0-9_.-]{0,6}[a-z0-9](>=1\\.2|==3|\\[x\\]|<4,>=2)?"
}

fn layout() -> impl Strategy<Value = (Vec<String>, usize, bool, bool, String)> {
    let comment = prop_oneof![Just(String::new()), Just("  # why, [x] \"y\"".to_owned())];
    (prop::collection::vec(requirement(), 0..5), 0..3_usize, any::<bool>(), any::<bool>(), comment)
}

/// A bracketed list in one of the usual layouts.
fn bracketed(items: &[String], layout: usize, trailing: bool, double: bool, comment: &str) -> String {
    let quote = if double { '"' } else { '\'' };
    let items: Vec<String> = items.iter().map(|item| format!("{quote}{item}{quote}")).collect();
    let last = if trailing && !items.is_empty() { "," } else { "" };
    match layout {
        0 => format!("[{}{last}]", items.join(", ")),
        1 => {
            let lines: Vec<String> = items
                .iter()
                .enumerate()
                .map(|(at, item)| format!("    {item}{}{comment}\n", if at + 1 < items.len() { "," } else { last }))
                .collect();
            format!("[\n{}]", lines.concat())
        }
        _ => format!("[{}{last}]", items.join(",\n      ")),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_editor_panics_on_any_text(content in "(?s).{0,200}") {
        for kind in editors() {
            let _ = add(kind, &content);
        }
    }

    #[test]
    fn no_editor_panics_on_text_that_looks_right(
        parts in prop::collection::vec(
            prop_oneof![
                Just("[project]\n"), Just("dependencies = ["), Just("\"a\""), Just(","), Just("]"), Just("\r\n"),
                Just("\n"), Just("[options]\n"), Just("install_requires ="), Just("    b>=1\n"), Just("setup("),
                Just("install_requires=["), Just(")"), Just("# c"), Just("'é'"), Just("[tool.poetry.dependencies]\n"),
                Just("x = \"^1\"\n"), Just("\\"), Just("-r a.txt\n"), Just("é"), Just("(")
            ],
            0..14,
        )
    ) {
        let content = parts.concat();
        for kind in editors() {
            if let Some(after) = add(kind, &content) {
                prop_assert!(keeps_lines(&content, &after), "{content:?}\n{after:?}");
            }
        }
    }

    #[test]
    fn a_toml_array_grows_by_one((items, form, trailing, double, comment) in layout(), windows in any::<bool>()) {
        let list = bracketed(&items, form, trailing, double, &comment);
        let mut content = format!("# head\n[project]\nname = 'é'\ndependencies = {list} # tail\n\n[tool.x]\ny = [1, 2]\n");
        if windows {
            content = content.replace('\n', "\r\n");
        }
        let after = add(Kind::Array(owned(&["project", "dependencies"])), &content);
        prop_assert!(after.is_some(), "{}", content);
        let after = after.unwrap();
        prop_assert!(keeps_lines(&content, &after), "{content}\n{after}");
        prop_assert_eq!(after.matches("\r\n").count() == after.matches('\n').count(), windows);
    }

    #[test]
    fn a_list_of_setup_py_grows_by_one((items, form, trailing, double, comment) in layout()) {
        let list = bracketed(&items, form, trailing, double, &comment);
        let content = format!("from setuptools import setup\nreqs = {list}  # tail\nsetup(install_requires=reqs)\n");
        let after = add(Kind::SetupPy("install_requires".to_owned(), None), &content);
        prop_assert!(after.is_some(), "{}", content);
        prop_assert!(keeps_lines(&content, &after.clone().unwrap()), "{content}\n{after:?}");
    }

    #[test]
    fn lines_grow_by_one(items in prop::collection::vec(requirement(), 0..6), end in any::<bool>()) {
        let mut content = items.iter().map(|item| format!("{item}\n")).collect::<String>();
        if !end {
            content = content.trim_end().to_owned();
        }
        let after = add(Kind::Lines, &content).unwrap();
        prop_assert_eq!(after.lines().count(), items.len() + 1);
        prop_assert!(keeps_lines(&content, &after));
        let cfg = format!(
            "[metadata]\nname = x\n[options]\ninstall_requires =\n{}zip_safe = no\n",
            items.iter().map(|item| format!("    {item}\n")).collect::<String>()
        );
        let after = add(Kind::Cfg("options".to_owned(), "install_requires".to_owned()), &cfg).unwrap();
        prop_assert_eq!(after.lines().count(), cfg.lines().count() + 1);
        prop_assert!(keeps_lines(&cfg, &after));
    }
}
