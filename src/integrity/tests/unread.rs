use super::Tried;
use crate::workspace::FileChange;

fn bytes(path: &str, before: &[u8], after: &[u8]) -> Tried {
    let mut tried = Tried::new();
    tried.tree.insert(path.to_string(), before.to_vec());
    let change =
        FileChange { before: Some(before.to_vec()), after: Some(after.to_vec()), executable: false, symlink: false };
    tried.change.files.insert(path.to_string(), change);
    tried
}

#[test]
fn compiled_code_and_metadata_of_installations_are_refused() {
    for path in [
        "pkg/__pycache__/mod.cpython-312.pyc",
        "pkg/mod.pyc",
        "pkg/fast.so",
        "pkg/fast.cpython-312-x86_64-linux-gnu.so",
        "pkg/fast.PYD",
        "x.egg-link",
        "x.pth",
        "src/x.egg-info/entry_points.txt",
        "x-1.dist-info/RECORD",
    ] {
        Tried::new().add(path, "x").is_refused_by("unread-code");
    }
    Tried::new().with("pkg/mod.pyc", "x").delete("pkg/mod.pyc").passes();
    Tried::new().add("docs/so.md", "x").passes();
}

#[test]
fn what_git_reads_is_protected() {
    for path in [".gitattributes", "pkg/.gitattributes", ".gitmodules", ".gitconfig"] {
        Tried::new().add(path, "*.py eol=crlf\n").is_refused_by("protected-path");
    }
}

#[test]
fn an_encoding_that_hides_code_is_refused() {
    let cookie = |c: &str| format!("# -*- coding: {c} -*-\n# nothing\nX = 1\n");
    for name in ["raw_unicode_escape", "utf-7", "unicode-escape", "rot13", "cp1252"] {
        Tried::new().edit("pkg/x.py", "X = 1\n", &cookie(name)).is_refused_by("unread-code");
        Tried::new().add("tests/conftest.py", &format!("\n{}", cookie(name))).is_refused_by("unread-code");
    }
    for name in ["utf-8", "UTF8", "ascii", "latin-1", "iso_8859_1"] {
        Tried::new().edit("pkg/x.py", "X = 1\n", &cookie(name)).passes();
    }
    Tried::new().edit("pkg/x.py", &cookie("cp1252"), &cookie("cp1252").replace("= 1", "= 2")).passes();
}

#[test]
fn bytes_that_are_no_text_are_refused_where_no_encoding_explained_them() {
    bytes("pkg/x.py", b"X = 'a'\n", b"X = '\xe9'\n").is_refused_by("unread-code");
    bytes("pkg/x.py", b"X = 'a'\n", b"# coding: latin-1\nX = '\xe9'\n").is_refused_by("unread-code");
    bytes("pkg/x.py", b"# coding: latin-1\nX = '\xe9'\n", b"# coding: latin-1\nX = '\xe8'\n").passes();
    bytes("pkg/x.py", b"X = 'a'\n", "X = 'é'\n".as_bytes()).passes();
}
