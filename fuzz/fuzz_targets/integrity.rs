#![no_main]
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;
use test_repair::{
    integrity::{Judged, judge},
    workspace::{Change, FileChange},
};

fuzz_target!(|sides: (Vec<u8>, Vec<u8>)| {
    let (before, after) = sides;
    for path in ["tests/test_a.py", "pkg/a.py", "pyproject.toml", "tox.ini", "conftest.py", "docs/a.rst", "a.yml"] {
        let files = BTreeMap::from([(path.to_owned(), before.clone())]);
        let file =
            FileChange { before: Some(before.clone()), after: Some(after.clone()), executable: false, symlink: false };
        let change = Change { files: [(path.to_owned(), file)].into() };
        let judged =
            Judged { change: &change, before: &files, reported: &[], declared: None, category: None, protected: &[] };
        judge(&judged);
    }
});
