use super::{Tried, body};
use crate::workspace::FileChange;

#[test]
fn characters_that_hide_what_is_read_are_refused() {
    body("assert total([1]) == 1", "assert total([1]) == 1  # \u{202e}no\u{202c}").is_refused_by("hidden-characters");
    let product = |text: &str| Tried::new().edit("pkg/more.py", "x = 1\n", text);
    product("x = 1\ny = \"\u{2066}a\u{2069}\"\n").is_refused_by("hidden-characters");
    product("x = 1\n\u{0430}dmin = 2\n").is_refused_by("hidden-characters");
    product("x = 1\ny = \"a\u{200b}b\"\n").is_flagged_by("hidden-characters");
}

#[test]
fn texts_of_other_scripts_and_what_stood_there_before_pass() {
    let product = |before: &str, after: &str| Tried::new().edit("pkg/more.py", before, after);
    product("x = 1\n", "x = \"\u{043f}\u{0440}\u{0438}\"\n").passes();
    product("x = 1\n", "x = 1\n\u{03c0} = 3\n").passes();
    product("x = \"\u{202e}a\"\n", "y = \"\u{202e}a\"\n").passes();
}

#[test]
fn modes_binaries_and_what_is_too_large_to_read_are_flagged() {
    let with = |path: &str, before: Option<&[u8]>, after: &[u8], executable: bool| {
        let mut tried = Tried::new();
        let change =
            FileChange { before: before.map(<[u8]>::to_vec), after: Some(after.to_vec()), executable, symlink: false };
        tried.change.files.insert(path.to_string(), change);
        tried
    };
    with("docs/more.md", Some(b"x"), b"x", true).is_flagged_by("mode-changed");
    with("docs/more.md", None, b"x", true).is_flagged_by("mode-changed");
    with("docs/more.png", None, b"\x89PNG\xff", false).is_flagged_by("binary-changed");
    with("docs/more.md", None, &b"word\n".repeat(50_000), false).is_flagged_by("large-change");
    with("docs/more.md", None, b"word\n", false).passes();
}
