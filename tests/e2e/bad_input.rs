//! What can't be used is refused with exit code 2, and the message says what, where and what to do.

use crate::world::{Step, TEST, UNITTEST, World, log, unittest_failure};

fn world() -> World {
    let world = World::new();
    world.repository(&[("tests/__init__.py", ""), ("tiny.py", "x = 1\n")]);
    world.file("ci.log", log(&[Step(UNITTEST, &unittest_failure("test_it", TEST, "ValueError: x"), 1)]));
    world
}

#[test]
fn a_log_that_cannot_be_used_is_refused_by_every_command() {
    let world = world();
    world.file("empty.log", "\n \n");
    world.file("binary.log", [0u8; 4096]);
    world.file("logs.zip", b"PK\x03\x04and so on");
    world.file("a.patch", "--- a/tiny.py\n+++ b/tiny.py\n@@ -1 +1 @@\n-x = 1\n+x = 2\n");
    for (log, what) in [
        ("absent.log", "cannot be read: No such file"),
        ("empty.log", "is empty: give the failing job's log file"),
        ("binary.log", "is not a text log: give the failing job's log file"),
        ("logs.zip", "the log archive logs.zip cannot be read"),
        ("tiny", "is a directory: --log takes a job's log file"),
    ] {
        world.run(&["detect", log]).exits_with(2).complains(&[log, what]);
        world.run(&["fix", "--repo", "tiny", "--log", log]).exits_with(2).complains(&[log, what]);
        world
            .run(&["verify", "--repo", "tiny", "--log", log, "--patch", "a.patch"])
            .exits_with(2)
            .complains(&[log, what]);
    }
}

#[test]
fn a_repository_that_is_not_there_is_refused() {
    let world = world();
    std::fs::create_dir(world.path("void")).unwrap();
    for (repository, what) in [
        ("absent", "no repository at absent: give --repo a directory"),
        ("ci.log", "is not a directory: --repo takes the repository's root"),
        ("void", "holds no file: --repo takes the repository's root"),
    ] {
        world.run(&["fix", "--repo", repository, "--log", "ci.log"]).exits_with(2).complains(&[repository, what]);
    }
}

#[test]
fn a_patch_that_cannot_be_applied_is_refused() {
    let world = world();
    world.file("other.patch", "--- a/tiny.py\n+++ b/tiny.py\n@@ -1 +1 @@\n-y = 1\n+y = 2\n");
    world.file("out.patch", "--- a/../x.py\n+++ b/../x.py\n@@ -0,0 +1 @@\n+y = 2\n");
    world.file("blank.patch", "\n");
    world.file(
        "module.patch",
        "diff --git a/sub b/sub\nnew file mode 160000\nindex 0000000..1111111\n--- /dev/null\n+++ b/sub\n\
         @@ -0,0 +1 @@\n+Subproject commit 1111111111111111111111111111111111111111\n",
    );
    world.file(
        "link.patch",
        "diff --git a/doc b/doc\nnew file mode 120000\n--- /dev/null\n+++ b/doc\n@@ -0,0 +1 @@\n+tiny.py\n\
         \\ No newline at end of file\n",
    );
    world.file("prose.patch", "please make it work\n");
    for (patch, what) in [
        ("absent.patch", "the patch absent.patch cannot be read"),
        ("other.patch", "the patch does not apply to this tree"),
        ("other.patch", "make it with `git diff`"),
        ("out.patch", "does not apply"),
        ("blank.patch", "the patch is empty"),
        ("module.patch", "the patch changes a submodule"),
        ("link.patch", "the patch writes the symbolic link doc"),
        ("prose.patch", "the patch does not apply"),
    ] {
        let arguments = ["verify", "--repo", "tiny", "--log", "ci.log", "--patch", patch];
        world.run(&arguments).exits_with(2).complains(&[what]);
    }
    assert!(!world.path("x.py").exists());
}

#[test]
fn a_python_that_is_not_there_is_named_with_those_that_are() {
    let world = world();
    let arguments = ["fix", "--repo", "tiny", "--log", "ci.log", "--python"];
    world
        .run(&[&arguments[..], &["3.99"]].concat())
        .exits_with(2)
        .complains(&["Python 3.99 was not found (there is 3.", "--python"]);
    world.run(&[&arguments[..], &["3; rm -rf /"]].concat()).exits_with(2).complains(&["was not found"]);
}

#[test]
fn a_workflow_that_cannot_be_read_is_refused() {
    let world = world();
    world.file("list.yml", "- no\n- workflow\n");
    for (workflow, what) in [("absent.yml", "cannot be read"), ("list.yml", "is no workflow file")] {
        let arguments = ["fix", "--repo", "tiny", "--log", "ci.log", "--workflow", workflow];
        world.run(&arguments).exits_with(2).complains(&[workflow, what]);
    }
}

#[test]
fn a_wrong_usage_exits_with_2_and_shows_the_right_one() {
    let world = world();
    world.run(&["fix", "--repo", "tiny"]).exits_with(2).complains(&["--log <LOG>", "Usage"]);
    world.run(&["fix", "--repo", "tiny", "--log", "ci.log", "--accept-flagged"]).exits_with(2).complains(&["--apply"]);
    world.run(&["mend"]).exits_with(2).complains(&["mend"]);
    world.run(&["eval", "tiny"]).exits_with(2).complains(&["tiny has no case", "repo.tar.gz"]);
}

#[test]
fn a_configuration_with_an_unknown_key_is_refused_and_names_the_nearest() {
    let world = World::new();
    world.repository(&[("tiny.py", "x = 1\n"), (".github/test-repair.yml", "protected_path: [x.py]\n")]);
    world.file("ci.log", log(&[Step(UNITTEST, &unittest_failure("test_it", TEST, "ValueError: x"), 1)]));
    world.run(&["fix", "--repo", "tiny", "--log", "ci.log"]).exits_with(2).complains(&[
        ".github/test-repair.yml",
        "`protected_path`",
        "`protected_paths`",
    ]);
}
