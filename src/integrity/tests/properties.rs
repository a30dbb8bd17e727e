use super::{Tried, judge};
use proptest::prelude::*;

const PATHS: [&str; 12] = [
    "tests/test_a.py",
    "pkg/a.py",
    "conftest.py",
    "pyproject.toml",
    "tox.ini",
    "setup.cfg",
    ".coveragerc",
    "docs/conf.py",
    "tests/data/a.json",
    ".pre-commit-config.yaml",
    "setup.py",
    "README.md",
];

const PIECES: [&str; 24] = [
    "def test_a():\n",
    "    assert f(1) == 2\n",
    "    pass\n",
    "class TestA(B):\n",
    "    def test_b(self):\n",
    "        self.assertEqual(a, 1)\n",
    "@pytest.mark.skip\n",
    "@pytest.mark.parametrize('a', [1, (2, 3)])\n",
    "if x:\n",
    "    with pytest.raises(A, match='é'):\n",
    "        f()\n",
    "# noqa: E501\n",
    "\"\"\"\n>>> f()\n1\n\"\"\"\n",
    "x = {1: 2, 3: 4}\n",
    "[tool.ruff]\n",
    "ignore = [\"E\"]\n",
    "\u{feff}",
    "(((((",
    "f'{a!r:>{w}}'\n",
    "\t",
    "\r\n",
    "\0",
    "match x:\n    case 1:\n        return 2\n",
    "{\"a\": [1, 2]}\n",
];

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => prop::collection::vec(prop::sample::select(PIECES.to_vec()), 0..12).prop_map(|p| p.concat().into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..200),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn judging_any_bytes_never_panics(path in prop::sample::select(PATHS.to_vec()), before in prop::option::of(text()), after in prop::option::of(text())) {
        let mut tried = Tried::new();
        if let Some(before) = &before {
            tried.tree.insert(path.to_string(), before.clone());
        }
        tried.change.files.insert(path.to_string(), super::FileChange { before, after, executable: false, symlink: false });
        let findings = tried.findings();
        prop_assert!(findings.iter().all(|f| f.rule != "judge-failed"));
        prop_assert_eq!(findings, tried.findings());
    }

    #[test]
    fn an_identical_change_yields_nothing(path in prop::sample::select(PATHS.to_vec()), same in text()) {
        let mut tried = Tried::new();
        tried.change.files.insert(path.to_string(), super::FileChange { before: Some(same.clone()), after: Some(same), executable: false, symlink: false });
        prop_assert!(tried.findings().is_empty());
    }
}

#[test]
fn deep_nesting_is_judged() {
    let deep = format!("x = {}1{}\n", "(".repeat(3000), ")".repeat(3000));
    let long = format!("x = {}\n", vec!["1"; 20_000].join(" + "));
    for text in [deep, long] {
        let findings = Tried::new().edit("pkg/other.py", "x = 1\n", &text).findings();
        assert!(findings.iter().all(|f| f.rule != "judge-failed"));
    }
    let _ = judge;
}
