use super::*;
use tempfile::TempDir;

fn repository(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let target = directory.path().join(path);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::write(target, content).unwrap();
    }
    directory
}

fn commit(directory: &Path) {
    for args in [
        vec!["init", "-q"],
        vec!["add", "-A"],
        vec!["-c", "user.name=n", "-c", "user.email=e@x", "commit", "-qm", "one"],
    ] {
        assert!(run(git(directory).args(args)).unwrap().status.success());
    }
}

#[test]
fn a_snapshot_has_uncommitted_files_and_history_but_nothing_that_git_ignores() {
    let directory = repository(&[("a.py", "1\n"), (".gitignore", "*.log\n"), ("x.log", "secret")]);
    commit(directory.path());
    fs::write(directory.path().join("new.py"), "2\n").unwrap();
    run(git(directory.path()).args(["config", "http.extraheader", "AUTHORIZATION: secret"])).unwrap();
    let tree = Tree::snapshot(directory.path()).unwrap();
    assert_eq!(tree.paths(), [".gitignore", "a.py", "new.py"]);
    assert!(tree.dirty);
    assert!(tree.head.is_some());
    let config = fs::read_to_string(tree.root().join(".git/config")).unwrap();
    assert!(!config.contains("secret") && !config.contains(directory.path().to_str().unwrap()), "{config}");
}

#[test]
fn a_directory_without_git_is_taken_without_its_scratch_directories() {
    let directory = repository(&[("a.py", "1\n"), (".venv/x", ""), ("pkg/__pycache__/y", "")]);
    assert_eq!(Tree::snapshot(directory.path()).unwrap().paths(), ["a.py"]);
}

#[test]
fn the_diff_of_a_change_applies_to_the_tree_as_it_was() {
    let directory = repository(&[("a b.py", "one\ntwo\n"), ("gone.py", "x\n"), ("crlf.txt", "a\r\nb\r\n")]);
    let tree = Tree::snapshot(directory.path()).unwrap();
    let after = tree.with(&Change::default()).unwrap();
    fs::write(after.root().join("a b.py"), "one\nTWO").unwrap();
    fs::write(after.root().join("new.py"), "n\n").unwrap();
    fs::write(after.root().join("crlf.txt"), "a\r\nc\r\n").unwrap();
    fs::remove_file(after.root().join("gone.py")).unwrap();
    let change = Change::between(tree.root(), after.root());
    let diff = change.diff().unwrap();
    assert_eq!(tree.patched(&diff).unwrap(), change);
}

#[test]
fn a_patch_that_does_not_apply_says_why() {
    let directory = repository(&[("a.py", "one\n")]);
    let tree = Tree::snapshot(directory.path()).unwrap();
    let error = tree.patched(b"--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-two\n+three\n").unwrap_err();
    assert!(error.to_string().contains("a.py"), "{error}");
    assert!(tree.patched(b" \n").is_err());
}

#[test]
fn no_path_leaves_its_root() {
    let directory = repository(&[("a.py", "one\n")]);
    std::os::unix::fs::symlink("/etc", directory.path().join("link")).unwrap();
    for path in ["../x", "/etc/passwd", ".git/config", "link/passwd", "", "a/../../x", ".GIT/hooks/x"] {
        assert!(inside(directory.path(), path).is_none(), "{path}");
    }
    assert!(inside(directory.path(), "a.py").is_some());
    let tree = Tree::snapshot(directory.path()).unwrap();
    let escape = b"--- /dev/null\n+++ b/../../evil\n@@ -0,0 +1 @@\n+x\n";
    assert!(tree.patched(escape).is_err());
}

#[test]
fn a_snapshot_never_writes_through_a_link_of_the_repository() {
    let directory = repository(&[("data/x", "tracked\n"), ("a.py", "1\n"), ("b", "file\n")]);
    commit(directory.path());
    let outside = repository(&[("x", "the user's own\n")]);
    fs::remove_dir_all(directory.path().join("data")).unwrap();
    std::os::unix::fs::symlink(outside.path(), directory.path().join("data")).unwrap();
    // And a file that has become a directory, with something that git ignores in it.
    fs::remove_file(directory.path().join("b")).unwrap();
    for (path, content) in [("b/new.py", "2\n"), ("b/x.log", "secret"), (".gitignore", "*.log\n")] {
        fs::create_dir_all(directory.path().join("b")).unwrap();
        fs::write(directory.path().join(path), content).unwrap();
    }
    let tree = Tree::snapshot(directory.path()).unwrap();
    assert_eq!(fs::read_to_string(outside.path().join("x")).unwrap(), "the user's own\n");
    assert_eq!(tree.paths(), [".gitignore", "a.py", "b/new.py", "data"]);
    assert!(tree.root().join("data").is_symlink());
}

#[test]
fn a_copy_overwrites_nothing_that_is_there() {
    let directory = repository(&[("from", "new\n"), ("to", "old\n")]);
    let [from, to, link] = ["from", "to", "link"].map(|name| directory.path().join(name));
    assert!(copy_entry(&from, &to).is_err());
    std::os::unix::fs::symlink(&to, &link).unwrap();
    assert!(copy_entry(&from, &link).is_err());
    assert_eq!(fs::read_to_string(to).unwrap(), "old\n");
}

#[test]
fn a_patch_of_which_a_part_would_not_be_seen_is_not_judged() {
    let directory = repository(&[("a.py", "one\n")]);
    commit(directory.path());
    let tree = Tree::snapshot(directory.path()).unwrap();
    let seen = "diff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-one\n+two\n";
    let link = "diff --git a/sub b/sub\nnew file mode 160000\nindex 0000000..1111111\n--- /dev/null\n+++ b/sub\n\
                @@ -0,0 +1 @@\n+Subproject commit 1111111111111111111111111111111111111111\n";
    let odd = "diff --git \"a/\\377.py\" \"b/\\377.py\"\nnew file mode 100644\n--- /dev/null\n+++ \"b/\\377.py\"\n\
               @@ -0,0 +1 @@\n+x\n";
    for (hidden, why) in [(link, "submodule"), (odd, "not UTF-8")] {
        let error = tree.patched(format!("{seen}{hidden}").as_bytes()).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
    assert_eq!(tree.patched(seen.as_bytes()).unwrap().files.len(), 1);
}

#[test]
fn a_hunk_that_changes_nothing_hides_nothing() {
    let directory = repository(&[("a.py", "one\n"), ("b.py", "same\n")]);
    let tree = Tree::snapshot(directory.path()).unwrap();
    let patch = b"--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-one\n+two\n--- a/b.py\n+++ b/b.py\n@@ -1 +1 @@\n-same\n+same\n";
    assert_eq!(tree.patched(patch).unwrap().files.keys().collect::<Vec<_>>(), ["a.py"]);
}

#[test]
fn a_patch_is_of_the_tree_even_where_that_lies_in_another_checkout() {
    let outer = repository(&[("inner/a.py", "one\n")]);
    commit(outer.path());
    let inner = outer.path().join("inner");
    assert!(!run(git(&inner).args(["rev-parse", "--show-toplevel"])).unwrap().status.success());
}

fn changed(path: &str, before: Option<&str>, after: Option<&str>, executable: bool) -> (String, FileChange) {
    let bytes = |text: &str| text.as_bytes().to_vec();
    let change = FileChange { before: before.map(bytes), after: after.map(bytes), executable, symlink: false };
    (path.to_owned(), change)
}

#[test]
fn a_change_keeps_the_mode_of_a_file_and_leaves_nothing_else() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory =
        repository(&[("a.py", "1\n"), ("run", "1\n"), ("gone/only.py", "x\n"), ("d/x", "1\n"), ("f", "1\n")]);
    let root = directory.path();
    fs::set_permissions(root.join("a.py"), fs::Permissions::from_mode(0o600)).unwrap();
    let files = [
        changed("a.py", Some("1\n"), Some("2\n"), false),
        changed("run", Some("1\n"), Some("2\n"), true),
        changed("new/b.py", None, Some("n\n"), false),
        changed("new/c", None, Some("n\n"), true),
        changed("gone/only.py", Some("x\n"), None, false),
        // A directory where a file was, and a file where a directory was.
        changed("f", Some("1\n"), None, false),
        changed("f/g", None, Some("n\n"), false),
        changed("d/x", Some("1\n"), None, false),
        changed("d", None, Some("n\n"), false),
    ];
    Change { files: files.into() }.apply(root).unwrap();
    let mode = |path: &str| fs::metadata(root.join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!([mode("a.py"), mode("new/b.py"), mode("new/c")], [0o600, 0o644, 0o755]);
    assert_eq!(mode("run") & 0o100, 0o100);
    assert_eq!(files_below(root), ["a.py", "d", "f/g", "new/b.py", "new/c", "run"]);
    assert!(!root.join("gone").exists());
}

#[test]
fn a_change_that_cannot_be_written_as_a_whole_is_not_begun() {
    let directory = repository(&[("a.py", "1\n"), ("taken", "the user's own\n")]);
    for last in [changed("taken", None, Some("n\n"), false), changed("../z", None, Some("n\n"), false)] {
        let files = [changed("a.py", Some("1\n"), Some("2\n"), false), changed("b.py", None, Some("n\n"), false), last];
        assert!(Change { files: files.into() }.apply(directory.path()).is_err());
        assert_eq!(files_below(directory.path()), ["a.py", "taken"]);
        assert_eq!(fs::read_to_string(directory.path().join("a.py")).unwrap(), "1\n");
        assert_eq!(fs::read_to_string(directory.path().join("taken")).unwrap(), "the user's own\n");
    }
}

#[test]
fn changes_of_one_tree_become_one_unless_they_contradict_each_other() {
    let file = |before: &str, after: &str| FileChange {
        before: Some(before.into()),
        after: Some(after.into()),
        executable: false,
        symlink: false,
    };
    let change = |files: &[(&str, &str, &str)]| Change {
        files: files.iter().map(|(path, before, after)| ((*path).to_owned(), file(before, after))).collect(),
    };
    let before = "one\n2\n3\n4\n5\n6\n7\neight\n";
    let top = before.replace("one", "1");
    let end = before.replace("eight", "8");
    let base = change(&[("c", "c", "base")]);
    let a = change(&[("c", "c", "base"), ("x", before, &top), ("a", "a", "A")]);
    let b = change(&[("c", "c", "theirs"), ("x", before, &end)]);
    let both = change(&[("a", "a", "A"), ("c", "c", "theirs"), ("x", before, &top.replace("eight", "8"))]);
    assert_eq!(a.merge(&b, &base).unwrap(), Ok(both.clone()));
    assert_eq!(b.merge(&a, &base).unwrap(), Ok(both));
    let against = change(&[("x", before, &before.replace("one", "uno"))]);
    assert_eq!(a.merge(&against, &base).unwrap(), Err("x".to_owned()));
    // What one took back stays taken back.
    assert_eq!(Change::default().merge(&base, &base).unwrap(), Ok(Change::default()));
}
