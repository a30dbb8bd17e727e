//! Rules about where modules and names are found.

use super::*;

const PYTEST: &str = "[project]\nname = \"shop\"\n\n[tool.pytest.ini_options]\naddopts = \"-q\"\n\n[tool.x]\n";

fn tested(files: &[(&str, &str)]) -> Case {
    let mut case = Case::new(files).fails(missing("shop"));
    case.installed.push(("pytest".to_owned(), "8.3.4".to_owned()));
    case
}

#[tokio::test]
async fn pytest_is_told_where_the_projects_own_code_is() {
    for (source, place) in [("src/shop/__init__.py", "src"), ("shop/__init__.py", ".")] {
        let case = tested(&[("pyproject.toml", PYTEST), (source, ""), ("tests/test_a.py", "import shop\n")]);
        let repaired = case.repair().await;
        assert_eq!(repaired.applied[0].rule, "source-path", "{:?}", repaired.notes);
        let expected = PYTEST.replace("\"-q\"\n", &format!("\"-q\"\npythonpath = [\"{place}\"]\n"));
        assert_eq!(case.read("pyproject.toml"), expected);
    }
}

#[tokio::test]
async fn pytest_is_told_nothing_where_it_knows_or_the_cause_is_another() {
    let source = ("src/shop/__init__.py", "");
    let told = PYTEST.replace("addopts", "pythonpath = [\".\"]\naddopts");
    let mut installed = tested(&[("pyproject.toml", PYTEST), source]);
    installed.installed.push(("Shop".to_owned(), "1".to_owned()));
    let mut old = tested(&[("pyproject.toml", PYTEST), source]);
    old.installed[0].1 = "6.2.5".to_owned();
    for (case, why) in [
        (tested(&[("pyproject.toml", &told), source]), "says already"),
        (tested(&[("pyproject.toml", "[project]\nname = \"shop\"\n"), source]), "does not configure pytest"),
        (tested(&[("pyproject.toml", PYTEST), source, ("pytest.ini", "[pytest]\n")]), "more than one file"),
        (installed, "is installed"),
        (old, "7 or newer"),
    ] {
        let before = case.read("pyproject.toml");
        let repaired = case.repair().await;
        assert_eq!(repaired.applied, []);
        assert!(repaired.notes.iter().any(|note| note.contains(why)), "{why}: {:?}", repaired.notes);
        assert_eq!(case.read("pyproject.toml"), before);
    }
}

#[tokio::test]
async fn classes_that_moved_are_taken_from_their_new_place() {
    let message =
        "ImportError: cannot import name 'Mapping' from 'collections' (/usr/lib/python3.11/collections/__init__.py)";
    let key = Key::Missing { name: "collections.Mapping".to_owned() };
    let moved = || failure(Category::ImportDependency, "pytest", message, key.clone());
    let case = Case::new(&[("p/a.py", "from collections import Mapping\n")]).fails(moved());
    assert_eq!(case.repair().await.applied[0].rule, "moved-abc");
    assert_eq!(case.read("p/a.py"), "from collections.abc import Mapping\n");
    let of_others = Case::new(&[("p/a.py", "import other\n")]).fails(moved()).repair().await;
    assert!(of_others.notes.iter().any(|note| note.contains("an installed package does")), "{:?}", of_others.notes);
}

#[tokio::test]
async fn a_name_that_one_standard_module_has_is_imported_from_it() {
    let broken = |name: &str| {
        let message = format!("NameError: name '{name}' is not defined");
        let key = Key::Test { id: "tests/test_a.py::test_a".to_owned(), exception: Some("NameError".to_owned()) };
        let mut failure = failure(Category::UnitTest, "pytest", &message, key);
        failure.file = Some("p/a.py".to_owned());
        failure
    };
    for (before, name, after) in [
        (
            "import os\n\nx = urlencode({})\n",
            "urlencode",
            "import os\nfrom urllib.parse import urlencode\n\nx = urlencode({})\n",
        ),
        ("x = Counter()\n", "Counter", "from collections import Counter\n\nx = Counter()\n"),
    ] {
        let case = Case::new(&[("p/a.py", before)]).fails(broken(name));
        let repaired = case.repair().await;
        assert_eq!(repaired.applied.iter().map(|a| a.rule).collect::<Vec<_>>(), ["missing-import"], "{repaired:?}");
        assert_eq!(case.read("p/a.py"), after);
    }
    for (before, name, why) in [
        ("sleep(1)\n", "sleep", "several ways"),
        ("x: Counter[str]\n", "Counter", "several ways"),
        ("no_such_name()\n", "no_such_name", "no known way"),
    ] {
        let case = Case::new(&[("p/a.py", before)]).fails(broken(name));
        let repaired = case.repair().await;
        assert!(repaired.notes.iter().any(|note| note.contains(why)), "{name}: {:?}", repaired.notes);
        assert_eq!(case.read("p/a.py"), before);
    }
}
