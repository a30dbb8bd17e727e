use super::Tried;
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

/// Functions, each in two layouts.
const LAYOUTS: [(&str, &str); 9] = [
    (
        "def test_a():\n    assert total([1, 2]) == 3\n",
        "def test_a():\n    assert (\n        total(\n            [\n                1,\n                2,\n            ]\n        )\n        == 3\n    )\n",
    ),
    (
        "def test_b(tmp_path):\n    x = total( [ 1 ] ); y = 'a'\n    assert x == 1 and y == 'a'\n",
        "def test_b(tmp_path):\n    x = total([1])\n    y = \"a\"\n\n    # Both.\n    assert x == 1 and y == \"a\"\n",
    ),
    (
        "class TestC:\n  def test_c(self):\n    with pytest.raises(ValueError, match = 'no'): total('x')\n",
        "class TestC:\n    def test_c(self):\n        with pytest.raises(ValueError, match=\"no\"):\n            total(\"x\")\n",
    ),
    (
        "@pytest.mark.parametrize('n', [1,2,\n  3])\ndef test_d(n): assert total([n]) == n\n",
        "@pytest.mark.parametrize(\"n\", [1, 2, 3])\ndef test_d(n):\n    assert total([n]) == n\n",
    ),
    ("@pytest.fixture\ndef items(): return [1,\n  2]\n", "@pytest.fixture\ndef items():\n    return [1, 2]\n"),
    (
        "def test_e(items):\n    got = []\n    for i in items: got.append( total([i]) )\n    assert got == [1,2]\n",
        "def test_e(items):\n    got = []\n    for i in items:\n        got.append(total([i]))\n    assert got == [\n        1,\n        2,\n    ]\n",
    ),
    (
        "class D(unittest.TestCase):\n    def setUp(self): self.x = [ 1 ]\n    def test_f(self): self.assertEqual(total(self.x), 1)\n",
        "class D(unittest.TestCase):\n    def setUp(self):\n        self.x = [1]\n\n    def test_f(self):\n        self.assertEqual(\n            total(self.x),\n            1,\n        )\n",
    ),
    (
        "def helper(n):\n    if n>2: return {'a':n}\n    return { }\n",
        "def helper(n):\n    if n > 2:\n        return {\"a\": n}\n    return {}\n",
    ),
    (
        "def test_g():\n    assert helper(3)=={'a':3},'three'\n",
        "def test_g():\n    assert helper(3) == {\"a\": 3}, \"three\"\n",
    ),
];

const HEAD: &str = "import unittest\n\nimport pytest\n\nfrom pkg.mod import total\n\n\n";

fn file(functions: &[&str]) -> String {
    format!("{HEAD}{}", functions.join("\n\n"))
}

fn refused(tried: &Tried) -> bool {
    tried.findings().iter().any(|f| f.severity == super::Severity::Refuse)
}

/// What changes a function: nothing, a value, an assertion less, another name, or it is gone.
fn changed(function: &str, how: u8) -> String {
    match how {
        0 => function.replacen('1', "4", 1),
        1 => function.replacen("assert", "print", 1),
        2 => function.replacen("def test_", "def test_more_", 1),
        3 => String::new(),
        4 => function.replacen("    assert", "    return\n    assert", 1),
        _ => function.to_string(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_both_versions_share_need_not_be_read(
        hows in prop::collection::vec(0u8..12, LAYOUTS.len()),
        twice in prop::option::of(0..LAYOUTS.len()),
        order in prop_oneof![Just((0..LAYOUTS.len()).collect::<Vec<_>>()), Just((0..LAYOUTS.len()).collect::<Vec<_>>()).prop_shuffle()],
    ) {
        let mut all: Vec<&str> = LAYOUTS.iter().map(|l| l.1).collect();
        all.extend(twice.map(|at| LAYOUTS[at].0));
        let mut after: Vec<String> = order.iter().map(|i| changed(all[*i], hows[*i])).collect();
        after.extend(twice.map(|at| LAYOUTS[at].0.to_string()));
        let after: Vec<&str> = after.iter().map(String::as_str).collect();
        let tried = Tried::new().edit("tests/test_mod.py", &file(&all), &file(&after));
        let input = super::Judged { change: &tried.change, before: &tried.tree, reported: &[], declared: None, category: None, protected: &[] };
        let context = crate::integrity::context::Context::new(&input);
        let by = |brief| {
            let mut findings = Vec::new();
            crate::integrity::suite::judge_by(&context, brief, &mut findings);
            findings
        };
        prop_assert_eq!(by(true), by(false));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn formatting_alone_yields_nothing(chosen in prop::collection::vec(any::<(bool, bool)>(), LAYOUTS.len())) {
        let side = |pick: &dyn Fn(&(bool, bool)) -> bool| {
            let functions = chosen.iter().zip(LAYOUTS).map(|(choice, (a, b))| if pick(choice) { b } else { a });
            file(&functions.collect::<Vec<_>>())
        };
        let (before, after) = (side(&|c| c.0), side(&|c| c.1));
        let findings = Tried::new().edit("tests/test_mod.py", &before, &after).findings();
        prop_assert!(findings.is_empty(), "{:#?}", findings);
    }

    #[test]
    fn code_that_moved_is_not_refused(
        order in Just((0..LAYOUTS.len()).collect::<Vec<_>>()).prop_shuffle(),
        elsewhere in prop::collection::vec(any::<bool>(), LAYOUTS.len()),
    ) {
        let all: Vec<&str> = LAYOUTS.iter().map(|l| l.1).collect();
        let shuffled: Vec<&str> = order.iter().map(|i| all[*i]).collect();
        prop_assert!(!refused(&Tried::new().edit("tests/test_mod.py", &file(&all), &file(&shuffled))));
        // What others use stays with them; tests may go to another file.
        let moves = |i: &usize| elsewhere[*i] && !matches!(i, 4 | 5 | 7 | 8);
        let (there, here): (Vec<usize>, Vec<usize>) = order.iter().partition(|i| moves(i));
        let of = |indices: &[usize]| file(&indices.iter().map(|i| all[*i]).collect::<Vec<_>>());
        let split = Tried::new().edit("tests/test_mod.py", &file(&all), &of(&here)).add("tests/test_more.py", &of(&there));
        prop_assert!(!refused(&split), "{:#?}", split.findings());
    }
}

#[test]
fn deep_nesting_is_judged() {
    let deep = format!("x = {}1{}\n", "(".repeat(3000), ")".repeat(3000));
    let long = format!("x = {}\n", vec!["1"; 20_000].join(" + "));
    for text in [deep, long] {
        let findings = Tried::new().edit("pkg/other.py", "x = 1\n", &text).findings();
        assert!(findings.iter().all(|f| f.rule != "judge-failed"));
        let asserted = format!("def test_a():\n    {text}    y = x\n    assert y == x\n");
        let before = "def test_a():\n    x = 1\n    assert x == 1\n";
        let findings = Tried::new().edit("tests/test_deep.py", before, &asserted).findings();
        assert!(findings.iter().all(|f| f.rule != "judge-failed"));
    }
}
