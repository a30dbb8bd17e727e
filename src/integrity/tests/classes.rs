use super::Tried;

const FILE: &str = "import unittest\n\nfrom pkg.mod import total\nfrom tests.helpers import check_sum\n\n\nclass TotalTest(unittest.TestCase):\n    def setUp(self):\n        self.items = [1, 2]\n\n    def test_total(self):\n        self.assertEqual(total(self.items), 3)\n        self.check_order([1])\n        check_sum(total([1]), 1)\n";
const HELPERS: &str = "def check_sum(amount, expected):\n    assert amount == expected\n";

fn file(after: &str) -> Tried {
    Tried::new().with("tests/__init__.py", "").with("tests/helpers.py", HELPERS).edit("tests/test_mod.py", FILE, after)
}

#[test]
fn what_a_class_of_tests_is_built_of_is_refused() {
    let changed = [
        FILE.replace("class TotalTest", "@quiet\nclass TotalTest"),
        FILE.replace("(unittest.TestCase)", "(unittest.TestCase, metaclass=Quiet)"),
        FILE.replace("    def setUp", "    def __getattribute__(self, name):\n        return print\n\n    def setUp"),
        FILE.replace("    def setUp", "    def check_order(self, items):\n        pass\n\n    def setUp"),
        FILE.replace(
            "class TotalTest(unittest.TestCase)",
            "class Quiet(unittest.TestCase):\n    def __init_subclass__(cls):\n        pass\n\n\nclass TotalTest(Quiet)",
        ),
    ];
    for after in changed {
        file(&after).is_refused_by("assertion-overridden");
    }
}

#[test]
fn a_base_that_only_prepares_passes() {
    let base = "class Base(unittest.TestCase):\n    def setUp(self):\n        self.items = [1, 2]\n\n\nclass TotalTest(Base):\n";
    let after = FILE
        .replace("class TotalTest(unittest.TestCase):\n    def setUp(self):\n        self.items = [1, 2]\n\n", base);
    let findings = file(&after).findings();
    assert!(findings.iter().all(|f| f.rule != "assertion-overridden"), "{findings:#?}");
}

#[test]
fn another_helper_of_the_same_name_is_refused() {
    let weak = "def check_sum(amount, expected):\n    assert amount\n";
    file(&FILE.replace("tests.helpers import", "tests.checks import"))
        .add("tests/checks.py", weak)
        .is_refused_by("subject-replaced");
    file(
        &FILE.replace(
            "from tests.helpers import check_sum\n",
            &format!("from tests.helpers import check_sum\n\n\n{weak}"),
        ),
    )
    .is_refused_by("subject-replaced");
    file(
        &FILE.replace(
            "        self.assertEqual",
            "        from tests.checks import check_sum\n        self.assertEqual",
        ),
    )
    .is_refused_by("subject-replaced");
}

#[test]
fn a_helper_that_asserts_is_compared_wherever_it_goes() {
    let helpers = |after: &str| Tried::new().with("tests/test_mod.py", FILE).edit("tests/helpers.py", HELPERS, after);
    helpers("def check_sum(amount, expected):\n    assert amount == expected\n    yield\n")
        .is_refused_by("test-never-run");
    helpers("async def check_sum(amount, expected):\n    assert amount == expected\n").is_refused_by("test-never-run");
    helpers("@quiet\ndef check_sum(amount, expected):\n    assert amount == expected\n")
        .is_refused_by("assertion-guarded");
    helpers("def check_sum(amount, expected):\n    expected = int(amount)\n    assert amount == expected\n")
        .is_refused_by("expectation-rewritten");
    let moved = helpers("from tests.checks import check_sum\n");
    moved
        .add("tests/checks.py", "def check_sum(amount, expected):\n    assert amount >= expected\n")
        .is_refused_by("assertion-weakened");
    let moved = helpers("from tests.checks import check_sum\n");
    moved.add("tests/checks.py", HELPERS).passes();
}
