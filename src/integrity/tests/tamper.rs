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

#[test]
fn names_of_the_tests_themselves_are_not_set_from_outside() {
    let conftest = |body: &str| {
        format!("import pytest\n\n\n@pytest.fixture(autouse=True)\ndef fast(request, monkeypatch):\n    {body}\n")
    };
    for body in [
        "request.module.total = sum",
        "vars(request.module)[\"total\"] = sum",
        "setattr(request.module, \"total\", sum)",
        "monkeypatch.setattr(request.module, \"total\", sum)",
        "monkeypatch.setattr(\"tests.test_mod.total\", sum)",
    ] {
        Tried::new().add("tests/conftest.py", &conftest(body)).is_refused_by("subject-mocked");
    }
    for body in [
        "type(request.session).testsfailed = 0",
        "vars(request.node)[\"runtest\"] = print",
        "monkeypatch.setattr(pytest.Function, \"runtest\", print)",
        "monkeypatch.setattr(\"_pytest.python.Function.runtest\", print)",
    ] {
        Tried::new().add("tests/conftest.py", &conftest(body)).is_refused_by("runner-tampered");
    }
    for body in ["monkeypatch.setenv(\"HOME\", \"/tmp\")", "request.cls.driver = object()"] {
        Tried::new().add("tests/conftest.py", &conftest(body)).passes();
    }
}

#[test]
fn a_hook_that_comes_with_a_star_is_refused_and_fixtures_pass() {
    let starred = |module: &str| {
        Tried::new()
            .edit("tests/conftest.py", "import pytest\n", "import pytest\nfrom pkg.more import *\n")
            .add("pkg/more.py", module)
    };
    starred("def pytest_runtest_call(item):\n    pass\n").is_refused_by("runner-hook");
    starred("def helper():\n    return 1\n").passes();
}

#[test]
fn a_plugin_of_pytest_may_have_hooks() {
    let plugin = "[project.entry-points.pytest11]\npkg = \"pkg.plugin\"\n";
    let (before, after) =
        ("def pytest_configure(config):\n    pass\n", "def pytest_configure(config):\n    config.x = 1\n");
    Tried::new().with("pyproject.toml", plugin).edit("pkg/plugin.py", before, after).passes();
    Tried::new().edit("pkg/plugin.py", before, after).is_refused_by("runner-hook");
}

#[test]
fn a_file_of_tests_that_runs_itself_otherwise_is_refused() {
    let file = |main: &str| {
        format!(
            "import unittest\n\n\nclass A(unittest.TestCase):\n    def test_a(self):\n        self.assertEqual(1, one())\n\n\nif __name__ == \"__main__\":\n    {main}\n"
        )
    };
    let tried = |main: &str| Tried::new().edit("tests/test_a.py", &file("unittest.main()"), &file(main));
    tried("unittest.main(exit=False)").is_refused_by("forced-exit");
    tried("unittest.main(defaultTest=\"A.test_b\")").is_refused_by("test-selection");
}
