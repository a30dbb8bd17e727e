use super::Tried;

fn evades(category: &'static str, before: &str, after: &str) -> Tried {
    Tried::new().edit("pkg/mod.py", before, after).category(category)
}

#[test]
fn the_same_risk_in_another_spelling_is_refused() {
    let pairs = [
        ("import subprocess\nsubprocess.run(c, shell=True)\n", "import subprocess\nsubprocess.run(c, shell=1)\n"),
        (
            "import subprocess\nsubprocess.run(c, shell=True)\n",
            "import subprocess\nsubprocess.run(c, **{\"shell\": True})\n",
        ),
        (
            "import subprocess\nsubprocess.run(c, shell=True)\n",
            "import subprocess\nsubprocess.run([\"sh\", \"-c\", c])\n",
        ),
        ("import pickle\nx = pickle.load(f)\n", "x = __import__(\"pick\" + \"le\").load(f)\n"),
        ("import pickle\nx = pickle.load(f)\n", "import joblib\nx = joblib.load(f)\n"),
        ("import hashlib\nh = hashlib.md5(b)\n", "import hashlib\nh = hashlib.new(\"MD\" + \"5\", b)\n"),
        ("x = eval(text)\n", "evaluate = eval\nx = evaluate(text)\n"),
        ("import requests\nrequests.get(u, verify=False)\n", "import requests\nrequests.get(u, verify=0)\n"),
        (
            "def f(c, n):\n    return c.execute(f\"SELECT {n}\")\n",
            "def f(c, n):\n    return c.execute(\"SELECT {}\".format(n))\n",
        ),
    ];
    for (before, after) in pairs {
        evades("security", before, after).is_refused_by("check-evaded");
    }
}

#[test]
fn a_risk_that_is_gone_passes() {
    let pairs = [
        ("import subprocess\nsubprocess.run(c, shell=True)\n", "import subprocess\nsubprocess.run([c])\n"),
        ("import hashlib\nh = hashlib.md5(b)\n", "import hashlib\nh = hashlib.sha256(b)\n"),
        ("import yaml\nx = yaml.load(t, Loader=yaml.Loader)\n", "import yaml\nx = yaml.safe_load(t)\n"),
        (
            "def f(c, n):\n    return c.execute(f\"SELECT {n}\")\n",
            "def f(c, n):\n    return c.execute(\"SELECT ?\", (n,))\n",
        ),
    ];
    for (before, after) in pairs {
        evades("security", before, after).passes();
    }
}

#[test]
fn what_only_keeps_a_linter_quiet_is_refused() {
    let pairs = [
        ("import os\n\nx = 1\n", "import os\n\n_ = os\nx = 1\n"),
        ("import os\n\n__all__ = [\"x\"]\nx = 1\n", "import os\n\n__all__ = [\"x\", \"os\"]\nx = 1\n"),
        ("def f(x):\n    return x > 10\n", "def f(x):\n    return x > int(\"10\")\n"),
    ];
    for (before, after) in pairs {
        evades("quality", before, after).is_refused_by("check-evaded");
    }
}

#[test]
fn what_a_type_checker_is_told_but_does_not_check_is_refused() {
    let before = "from typing import Any\n\n\ndef f(x: str | None) -> str:\n    return x\n";
    for body in ["    if TYPE_CHECKING:\n        return \"\"\n    return x\n", "    y: Any = x\n    return y\n"] {
        evades("quality", before, &before.replace("    return x\n", body)).is_refused_by("any-widened");
    }
    let guard = format!("{before}\n\ndef is_str(x) -> TypeGuard[str]:\n    return True\n");
    evades("quality", before, &guard).is_refused_by("any-widened");
}

#[test]
fn an_import_that_may_now_fail_is_refused_and_a_choice_of_two_passes() {
    let before = "import toml\n\n\ndef f():\n    return toml.loads(\"\")\n";
    for import in [
        "with suppress(ImportError):\n    import toml\n",
        "if find_spec(\"toml\"):\n    import toml\n",
        "if TYPE_CHECKING:\n    import toml\n",
    ] {
        evades("import_dependency", before, &before.replace("import toml\n", import)).is_refused_by("module-faked");
    }
    let choice = "if sys.version_info >= (3, 11):\n    import tomllib as toml\nelse:\n    import toml\n";
    evades("import_dependency", before, &before.replace("import toml\n", choice)).passes();
}

#[test]
fn a_public_function_that_is_gone_is_flagged_and_one_that_moved_passes() {
    let before = "def total(items):\n    return sum(items)\n\n\ndef helper():\n    return 1\n";
    let after = "def total(items):\n    return sum(items)\n";
    evades("unit_test", before, after).is_flagged_by("public-removed");
    evades("docs", before, after).is_refused_by("public-removed");
    evades("unit_test", before, &before.replace("helper", "assist")).passes();
    evades("unit_test", before, after).add("pkg/more.py", "def helper():\n    return 1\n").passes();
}

#[test]
fn coverage_that_nothing_asserts_is_refused() {
    let before = "from pkg.mod import total\n\n\ndef test_total():\n    assert total([1, 2]) == 3\n";
    let tried = |after: &str| Tried::new().edit("tests/test_mod.py", before, after).category("coverage");
    tried(&before.replace("    assert", "    total([])\n    assert")).is_refused_by("test-without-assertion");
    for body in ["total([]) is not None", "total([]) == total([])", "isinstance(total([]), int)"] {
        tried(&format!("{before}\n\ndef test_more():\n    assert {body}\n")).is_refused_by("test-without-assertion");
    }
    tried(&format!("{before}\n\ndef test_more():\n    assert total([]) == 0\n")).passes();
}
