use std::fs;

use proptest::prelude::*;

use super::*;
use crate::workspace::git;

fn tree(files: &[(&str, &str)]) -> Tree {
    let directory = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let target = directory.path().join(path);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::write(target, content).unwrap();
    }
    std::os::unix::fs::symlink("/etc", directory.path().join("link")).unwrap();
    Tree::snapshot(directory.path()).unwrap()
}

fn replace(path: &str, search: &str, replace: &str) -> Edit {
    Edit::Replace { path: path.to_owned(), search: search.to_owned(), replace: replace.to_owned() }
}

fn create(path: &str, content: &str) -> Edit {
    Edit::Create { path: path.to_owned(), content: content.to_owned() }
}

fn made(tree: &Tree, edits: &[Edit]) -> Result<Change, Vec<String>> {
    apply(edits, tree, &Change::default(), &["secrets".to_owned(), "*.lock".to_owned()], &str::to_owned)
}

/// What one edit makes of one file.
fn edited(path: &str, content: &str, search: &str, by: &str) -> Result<String, String> {
    let change = made(&tree(&[(path, content)]), &[replace(path, search, by)]).map_err(|e| e.join("\n"))?;
    Ok(String::from_utf8(change.files[path].after.clone().unwrap()).unwrap())
}

#[test]
fn the_change_is_that_of_the_tree_that_has_it() {
    let tree =
        tree(&[("a.py", "x = 1\ny = 2\n"), ("gone.py", "z = 1\n"), ("run.sh", "true\n"), ("pkg/__init__.py", "")]);
    let run = tree.root().join("run.sh");
    fs::set_permissions(&run, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let edits = [
        replace("./a.py", "x = 1\n", "x = 3\n"),
        replace("a/a.py", "y = 2\n", ""),
        Edit::Delete { path: "gone.py".to_owned() },
        create("pkg/new.py", "n = 1\n"),
        create("pkg/__init__.py", "from .new import n\n"),
        replace("run.sh", "true\n", "false\n"),
    ];
    let change = made(&tree, &edits).unwrap();
    let after = tree.with(&change).unwrap();
    assert_eq!(Change::between(tree.root(), after.root()), change);
    assert_eq!(after.read("a.py").unwrap(), b"x = 3\n");
    assert!(change.files["run.sh"].executable && change.files["gone.py"].after.is_none());
}

#[test]
fn a_change_goes_on_with_the_one_before_it() {
    let tree = tree(&[("a.py", "x = 1\n"), ("b.py", "y = 1\n")]);
    let first = made(&tree, &[replace("a.py", "x = 1", "x = 2"), create("c.py", "z = 1\n")]).unwrap();
    let edits =
        [replace("a.py", "x = 2", "x = 1"), replace("c.py", "z = 1", "z = 2"), replace("b.py", "y = 1", "y = 2")];
    let second = apply(&edits, &tree, &first, &[], &str::to_owned).unwrap();
    assert_eq!(second.files.keys().collect::<Vec<_>>(), ["b.py", "c.py"], "what is as it was is no change");
    assert!(second.files["c.py"].before.is_none());
    assert_eq!(second.files["c.py"].after.as_deref(), Some(&b"z = 2\n"[..]));
}

#[test]
fn lines_are_found_though_white_space_differs() {
    assert_eq!(edited("a.txt", "one  \ntwo\n", "one\n", "ONE\n").unwrap(), "ONE\ntwo\n");
    assert_eq!(
        edited("a.txt", "    if a:\n\n        b\n", "if a:\n\n    b\n", "if c:\n    d\n").unwrap(),
        "    if c:\n        d\n"
    );
    assert_eq!(edited("a.txt", "if a:\n  b\n", "    if a:\n      b\n", "    if c:\n").unwrap(), "if c:\n");
    assert_eq!(edited("a.txt", "a\r\nb\r\nc\r\n", "b\n", "x\ny\n").unwrap(), "a\r\nx\r\ny\r\nc\r\n");
    assert_eq!(edited("a.txt", "a\nb", "b\n", "c\n").unwrap(), "a\nc");
    assert_eq!(edited("a.txt", "\u{feff}a\nb\n", "a\n", "c\n").unwrap(), "\u{feff}c\nb\n");
    assert_eq!(edited("a.txt", "value = one + two\n", "one + two", "three").unwrap(), "value = three\n");
    assert_eq!(edited("a.txt", "x = 1\nxx = 1\n", "x = 1", "x = 2").unwrap(), "x = 2\nxx = 1\n");
    assert!(edited("a.txt", "a\n\tb\n", "a\n  b\n", "c\n").is_err(), "no uniform shift");
}

#[test]
fn what_is_not_found_once_is_said_with_what_is_there() {
    let error = edited("a.txt", "one\ntwo\none\n", "one\n", "x\n").unwrap_err();
    assert!(error.contains("more than once (at lines 1, 3)"), "{error}");
    let error = edited(
        "a.py",
        "import os\n\ndef total(items):\n    return sum(items)\n",
        "def total(item):\n    return 0\n",
        "",
    )
    .unwrap_err();
    assert!(error.contains("from line 1 on") && error.contains("def total(items):"), "{error}");
    let error = edited("a.txt", "a\n", "something else\n", "x\n").unwrap_err();
    assert!(error.contains("Nothing in the file is like them"), "{error}");
    assert!(edited("a.txt", "a\n", " \n", "x\n").unwrap_err().contains("blank"));
    let error = made(&tree(&[("src/deep/a.py", "x\n")]), &[replace("a.py", "x", "y")]).unwrap_err();
    assert_eq!(error, ["There is no file a.py: is src/deep/a.py meant?"]);
}

#[test]
fn a_heading_of_seven_belongs_to_the_half_that_the_file_shows() {
    let rst = "Heading\n=======\nold\n";
    // As `parse` splits it: at the first such line.
    assert_eq!(
        edited("a.rst", rst, "Heading\n", "old\n=======\nHeading\n=======\nnew\n").unwrap(),
        "Heading\n=======\nnew\n"
    );
    assert_eq!(edited("a.rst", "Old\n", "Old\n", "New\n=======\ntext\n").unwrap(), "New\n=======\ntext\n");
    let over = tree(&[("a.rst", "=======\nTitle\n=======\n")]);
    let change = made(&over, &[create("a.rst", "Title\n=======\n=======\nNew\n")]).unwrap();
    assert_eq!(change.files["a.rst"].after.as_deref(), Some(&b"New\n"[..]));
    // A tool's texts are what they are.
    let tree = tree(&[("a.rst", rst)]);
    let edits = [replace("a.rst", "Heading", "old\n=======\nHeading")];
    let change = apply_as_given(&edits, &tree, &Change::default(), &[], &str::to_owned).unwrap();
    assert_eq!(change.files["a.rst"].after.as_deref(), Some(&b"old\n=======\nHeading\n=======\nold\n"[..]));
}

#[test]
fn all_that_is_wrong_is_said_together() {
    let tree = tree(&[
        ("a.py", "x = 1\n"),
        ("b.json", "{}\n"),
        ("c.yml", "a: 1\n"),
        ("d.toml", "a = 1\n"),
        ("secrets/x", "s\n"),
    ]);
    let edits = [
        replace("a.py", "x = 1", "x = = 1"),
        replace("b.json", "{}", "{"),
        replace("c.yml", "a: 1", "a: [1"),
        replace("d.toml", "a = 1", "a = "),
        replace("secrets/x", "s", "t"),
        create("poetry.lock", "x\n"),
        create("pkg/__pycache__/x.pyc", "x\n"),
        create("../evil.py", "x = 1\n"),
        create("link/passwd", "x\n"),
        create(".git/hooks/x", "x\n"),
        create("/etc/passwd", "x\n"),
        create("link", "x\n"),
        create("a.py/b.py", "x = 1\n"),
        create("secrets", "x = 1\n"),
        create("a.py", "x = 2\n"),
        create("nul.txt", "a\0b"),
        create("large.txt", &"x".repeat(70 << 10)),
        create("long.txt", &"x\n".repeat(601)),
    ];
    let wrong = made(&tree, &edits).unwrap_err();
    for (path, why) in [
        ("a.py", "line 1"),
        ("b.json", "valid"),
        ("c.yml", "valid"),
        ("d.toml", "valid"),
        ("secrets/x", "protects"),
        ("poetry.lock", "protects"),
        ("x.pyc", "no part of the project"),
        ("../evil.py", "no path"),
        ("link/passwd", "no path"),
        (".git/hooks/x", "no path"),
        ("/etc/passwd", "no path"),
        ("`link`", "no path"),
        ("a.py/b.py", "is a file"),
        ("secrets", "is a directory"),
        ("a.py exists", "already"),
        ("nul.txt", "binary"),
        ("large.txt", "64 KB"),
        ("lines are changed", "600"),
    ] {
        assert!(wrong.iter().any(|w| w.contains(path) && w.contains(why)), "{path}, {why}: {wrong:#?}");
    }
}

#[test]
fn what_was_broken_before_may_stay_so() {
    assert!(edited("a.py", "x = = 1\ny = 1\n", "y = 1", "y = 2").is_ok());
    let error = made(&tree(&[("a.py", "")]), &[create("new.py", "def f(:\n")]).unwrap_err();
    assert!(error[0].contains("new.py") && error[0].contains("line 1"), "{error:?}");
}

#[test]
fn no_nesting_brings_the_process_down() {
    let tree = tree(&[("a.py", "x = 1\n")]);
    for deep in ["(", "[", "-", "not ", "1**", "{", "lambda: "] {
        let content = format!("x = {}", deep.repeat((60 << 10) / deep.len()));
        let _ =
            made(&tree, &[create("b.py", &content), create("b.json", &content[4..]), create("b.yaml", &content[4..])]);
    }
}

#[test]
fn an_edit_that_changes_nothing_is_said_to() {
    let tree = tree(&[("a.py", "x = 1\n")]);
    assert_eq!(made(&tree, &[replace("a.py", "x = 1", "x = 1")]).unwrap_err(), ["The edits change nothing."]);
    assert_eq!(made(&tree, &[]).unwrap_err(), ["The edits change nothing."]);
}

#[test]
fn what_redaction_took_out_is_put_back() {
    let tree = tree(&[("a.py", "key = 'hunter2'\n")]);
    let restore = |text: &str| text.replace("<SECRET_1>", "hunter2");
    let edits = [replace("a.py", "key = '<SECRET_1>'", "KEY = '<SECRET_1>'")];
    let change = apply(&edits, &tree, &Change::default(), &[], &restore).unwrap();
    assert_eq!(change.files["a.py"].after.as_deref(), Some(&b"KEY = 'hunter2'\n"[..]));
}

#[test]
fn a_file_that_git_ignores_is_not_added() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join(".gitignore"), "local.py\n").unwrap();
    assert!(git(directory.path()).args(["init", "-q"]).status().unwrap().success());
    let tree = Tree::snapshot(directory.path()).unwrap();
    assert!(made(&tree, &[create("local.py", "x = 1\n")]).unwrap_err()[0].contains("git ignores it"));
    assert!(made(&tree, &[create("other.py", "x = 1\n")]).is_ok());
}

#[test]
fn a_folder_of_the_projects_own_may_have_any_name() {
    let tree = tree(&[("src/build/a.py", "x = 1\n")]);
    assert!(made(&tree, &[create("src/build/b.py", "x = 1\n")]).is_ok());
    assert!(made(&tree, &[create("build/b.py", "x = 1\n")]).is_err());
}

fn any_edit() -> impl Strategy<Value = Edit> {
    let path = prop_oneof![
        prop::sample::select(vec![
            "a.py", "b.txt", "link", "link/x", "d/c.txt", "d", "../x", "/x", ".git/x", "", "a.py/x", "./b.txt"
        ])
        .prop_map(str::to_owned),
        "[a-d./]{0,8}",
        "(?s).{0,5}",
    ];
    let text = prop_oneof!["[ab\\n\\r =\t]{0,12}", "(?s).{0,8}", Just("=======\na\n".to_owned())];
    (path, text.clone(), text, 0..3u8).prop_map(|(path, search, replace, kind)| match kind {
        0 => Edit::Replace { path, search, replace },
        1 => Edit::Create { path, content: replace },
        _ => Edit::Delete { path },
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_the_edits_are_the_change_stays_inside_and_can_be_written(edits in prop::collection::vec(any_edit(), 0..6)) {
        let tree = tree(&[("a.py", "a = b\n"), ("b.txt", "a\nb\na b\n"), ("d/c.txt", "a\r\nb\r\n")]);
        let before = Change::default();
        if let Ok(change) = apply(&edits, &tree, &before, &[], &str::to_owned) {
            prop_assert!(change.files.keys().all(|path| inside(tree.root(), path).is_some()));
            let after = tree.with(&change).unwrap();
            prop_assert_eq!(Change::between(tree.root(), after.root()), change);
        }
        prop_assert!(tree.root().join("link").is_symlink());
    }

    #[test]
    fn no_text_makes_the_search_panic(text in "[ab\\n\\r \t]{0,30}", search in "[ab\\n\\r \t]{0,8}", by in "[ab\\n ]{0,8}") {
        if let Ok(after) = find::replaced("a.txt", &text, &search, &by) {
            prop_assert!(after.len() <= text.len() + 4 * by.len() + 16 * by.lines().count());
        }
    }
}
