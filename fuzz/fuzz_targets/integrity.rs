#![no_main]
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;
use test_repair::{
    integrity::{Judged, TreeRead, judge},
    workspace::{Change, FileChange},
};

struct Files(BTreeMap<String, Vec<u8>>);

impl TreeRead for Files {
    fn read(&self, path: &str) -> Option<Vec<u8>> {
        self.0.get(path).cloned()
    }
    fn paths(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }
}

fuzz_target!(|sides: (Vec<u8>, Vec<u8>)| {
    let (before, after) = sides;
    for path in ["tests/test_a.py", "pkg/a.py", "pyproject.toml", "tox.ini", "conftest.py", "docs/a.rst", "a.yml"] {
        let files = Files([(path.to_owned(), before.clone())].into());
        let file =
            FileChange { before: Some(before.clone()), after: Some(after.clone()), executable: false, symlink: false };
        let change = Change { files: [(path.to_owned(), file)].into() };
        let judged =
            Judged { change: &change, before: &files, reported: &[], declared: None, category: None, protected: &[] };
        judge(&judged);
    }
});
