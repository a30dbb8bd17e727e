use super::{Tried, body};

const CASE: &str = "import unittest\n\nfrom pkg.mod import total\n\n\nclass TotalTest(unittest.TestCase):\n    def test_total(self):\n        self.assertEqual(total([1]), 1)\n";

fn case(after: &str) -> Tried {
    Tried::new().edit("tests/test_mod.py", CASE, after)
}

fn conftest(after: &str) -> Tried {
    Tried::new().edit("tests/conftest.py", "import pytest\n", &format!("import pytest\n{after}"))
}

#[test]
fn a_hook_under_any_spelling_is_refused() {
    for code in [
        "from trim import tidy as pytest_collection_modifyitems\n",
        "pytest_runtest_call = print\n",
        "pytest_runtest_call: object = print\n",
        "class P:\n    pytest_runtest_call = print\n",
    ] {
        conftest(code).is_refused_by("runner-hook");
    }
    case(&format!("{CASE}\n\ndef load_tests(loader, tests, pattern):\n    return tests\n"))
        .is_refused_by("runner-hook");
    conftest("\n\n@pytest.fixture\ndef pytest_free():\n    return 1\n").is_refused_by("runner-hook");
    conftest("\n\n@pytest.fixture\ndef one(request):\n    return request.node.name\n").passes();
}

#[test]
fn a_fixture_that_reaches_into_a_test_is_refused() {
    let fixture = |code: &str| {
        conftest(&format!("\n\n@pytest.fixture(autouse=True)\ndef calm(request):\n    {code}\n    yield\n"))
    };
    fixture("request.node.__dict__['runtest'] = None").is_refused_by("runner-tampered");
    fixture("request.node.obj = None").is_refused_by("runner-tampered");
    fixture("pkg.mod.total.__setattr__('__code__', 1)").is_refused_by("runner-tampered");
    fixture("x = request.node.get_closest_marker('slow')").passes();
}

#[test]
fn attributes_of_test_tools_are_not_assigned() {
    let product = |code: &str| Tried::new().edit("pkg/other.py", "X = 1\n", &format!("{code}\nX = 1\n"));
    product("import unittest\nunittest.TestCase.assertEqual = lambda *a: None").is_refused_by("runner-tampered");
    product("from _pytest import python\npython.Function.runtest = None").is_refused_by("runner-tampered");
    product("import pytest").is_refused_by("source-knows-tests");
    product("from unittest import SkipTest as S\n\n\ndef f():\n    raise S('x')\n").is_refused_by("test-skipped");
    product("def f(x):\n    exec(x)\n").is_refused_by("dynamic-code");
    product("def f(model):\n    return model.eval()\n").passes();
}

#[test]
fn methods_by_which_tests_assert_are_not_replaced() {
    let class = "TestCase):\n";
    let edit = |code: &str| case(&CASE.replace(class, &format!("{class}{code}\n\n")));
    edit("    failureException = KeyError").is_refused_by("assertion-overridden");
    edit("    def assertEqual(self, a, b):\n        pass").is_refused_by("assertion-overridden");
    edit("    def run(self, result=None):\n        pass").is_refused_by("assertion-overridden");
    edit("    def setUp(self):\n        self.assertEqual = print").is_refused_by("assertion-overridden");
    edit("    def assertSorted(self, a):\n        self.assertEqual(a, sorted(a))").passes();
}

#[test]
fn names_of_tests_are_not_changed_while_loading() {
    case(&format!("{CASE}\n\nglobals().pop('TotalTest')\n")).is_refused_by("test-uncollected");
    case(&format!("CASES = [1, 2]\nCASES.pop()\n{CASE}")).is_refused_by("test-uncollected");
    case(&format!("CASES = [1, 2]\ndel CASES[0]\n{CASE}")).is_refused_by("test-uncollected");
    case(&format!("CASES = [1, 2]\nCASES.append(3)\n{CASE}")).passes();
    body("x = [1]\nassert total([1]) == 1", "x = [1]\nx.pop()\nassert total([1]) == 1").passes();
}

#[test]
fn a_test_that_nothing_awaits_is_refused() {
    case(&CASE.replace("    def test", "    async def test")).is_refused_by("test-never-run");
    case(&CASE.replace("[1]), 1)", "[1]), 1)\n        yield")).is_refused_by("test-never-run");
    let isolated = CASE.replace("TestCase)", "IsolatedAsyncioTestCase)");
    let awaited = isolated.replace("    def test", "    async def test");
    Tried::new().edit("tests/test_mod.py", &isolated, &awaited).passes();
}
