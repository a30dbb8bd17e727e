use std::{collections::BTreeMap, path::PathBuf, process::Stdio};

use super::*;
use crate::{
    detect::{Category, Key},
    registry::tests::{publish, serve},
    sandbox::Ended,
};

mod by_path;
mod by_running;
mod by_tools;
mod declared;

/// A workspace of plain processes.
struct Plain {
    root: PathBuf,
    path: String,
}

#[async_trait]
impl Workspace for Plain {
    fn root(&self) -> &Path {
        &self.root
    }

    async fn run(&self, script: &str) -> anyhow::Result<Finished> {
        // A job's environment has a `python`; a machine may have only a `python3`.
        let script = format!("type python > /dev/null 2>&1 || python() {{ python3 \"$@\"; }}\n{script}");
        let output = tokio::process::Command::new("bash")
            .args(["-e", "-c", &script])
            .current_dir(&self.root)
            .env("PATH", &self.path)
            .env("HOME", &self.root)
            .env_remove("XDG_CACHE_HOME")
            .env_remove("PRE_COMMIT_HOME")
            .stdin(Stdio::null())
            .output()
            .await?;
        let ended = Ended::Exit(output.status.code().unwrap_or(-1));
        Ok(Finished { ended, output: [output.stdout, output.stderr].concat(), dropped: 0, seconds: 0.0 })
    }

    async fn run_online(&self, script: &str) -> anyhow::Result<Finished> {
        self.run(&format!("export ONLINE=1\n{script}")).await
    }
}

/// A tree, what failed in it, and what the rules make of it.
struct Case {
    folder: tempfile::TempDir,
    failures: Vec<Failure>,
    checks: Vec<String>,
    install: Vec<String>,
    installed: Vec<(String, String)>,
    path: String,
    enabled: Vec<FixType>,
}

impl Case {
    fn new(files: &[(&str, &str)]) -> Case {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        let path = std::env::var("PATH").unwrap();
        Case {
            folder,
            failures: Vec::new(),
            checks: Vec::new(),
            install: Vec::new(),
            installed: Vec::new(),
            path,
            enabled: FixType::ALL.to_vec(),
        }
    }

    fn fails(mut self, failure: Failure) -> Case {
        self.failures.push(failure);
        self
    }

    fn checks(mut self, script: &str) -> Case {
        self.checks.push(script.to_owned());
        self
    }

    fn installs(mut self, command: &str) -> Case {
        self.install.push(command.to_owned());
        self
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap()
    }

    async fn repair(&self) -> Repaired {
        let old = "2020-01-02T03:04:05Z";
        let mut answers = BTreeMap::new();
        publish(&mut answers, "pyyaml", &[("6.0.3", old, ">=3.8", &["yaml/__init__.py"])]);
        publish(&mut answers, "zebra", &[("2.5.1", old, ">=3.8", &["zebra/__init__.py"])]);
        publish(&mut answers, "types-pyyaml", &[("6.0.12", old, ">=3.8", &["yaml-stubs/__init__.pyi"])]);
        publish(&mut answers, "types-zebra", &[("1.0", old, ">=3.8", &["zebra/__init__.py"])]);
        publish(&mut answers, "tomli", &[("2.2.1", old, ">=3.8", &["tomli/__init__.py"])]);
        let registry = Registry::new(&serve(answers).await).unwrap();
        let workspace = Plain { root: self.folder.path().to_owned(), path: self.path.clone() };
        let context = RuleContext {
            workspace: &workspace,
            failures: &self.failures,
            checks: &self.checks,
            install: &self.install,
            installed: &self.installed,
            workdir: ".",
            registry: &registry,
            enabled: &self.enabled,
        };
        repair(&context).await.unwrap()
    }
}

pub(super) fn failure(category: Category, tool: &str, message: &str, key: Key) -> Failure {
    Failure {
        category,
        tool: tool.to_owned(),
        test_id: None,
        file: None,
        line: None,
        message: message.to_owned(),
        command: None,
        step: None,
        job: None,
        python: Some("3.11.7".to_owned()),
        excerpt: message.to_owned(),
        fingerprint: "f".to_owned(),
        count: 1,
        key,
    }
}

fn missing(module: &str) -> Failure {
    let message = format!("ModuleNotFoundError: No module named '{module}'");
    failure(Category::ImportDependency, "pytest", &message, Key::Missing { name: module.to_owned() })
}

fn finding(tool: &str, file: &str, line: u32, rule: &str, message: &str) -> Failure {
    let key = Key::Finding { file: file.to_owned(), rule: rule.to_owned(), symbol: None };
    Failure { file: Some(file.to_owned()), line: Some(line), ..failure(Category::Quality, tool, message, key) }
}

fn unformatted(tool: &str, file: &str) -> Failure {
    let message = format!("would reformat {file}");
    let key = Key::Message { file: Some(file.to_owned()), message: message.clone() };
    Failure { file: Some(file.to_owned()), ..failure(Category::Quality, tool, &message, key) }
}

const PROJECT: &str = "[project]\nname = \"p\"\nrequires-python = \">=3.9\"\ndependencies = [\n  \"click>=8\",\n]\n\n\
                       [project.optional-dependencies]\ntest = [\"pytest\"]\n";

#[tokio::test]
async fn an_undeclared_dependency_is_declared_with_its_siblings() {
    let case = Case::new(&[("pyproject.toml", PROJECT), ("p/__init__.py", "import yaml\n")]).fails(missing("yaml"));
    let repaired = case.repair().await;
    assert_eq!(repaired.notes, Vec::<String>::new());
    assert_eq!(repaired.applied[0].files, ["pyproject.toml"]);
    assert_eq!(
        case.read("pyproject.toml"),
        PROJECT.replace("  \"click>=8\",\n", "  \"click>=8\",\n  \"PyYAML>=6.0\",\n")
    );
}

#[tokio::test]
async fn what_checkers_can_not_resolve_is_undeclared_as_well() {
    for (tool, rule, message) in [
        ("mypy", "import-not-found", "Cannot find implementation or library stub for module named \"yaml\""),
        ("pyright", "reportMissingImports", "Import \"yaml.nodes\" could not be resolved (reportMissingImports)"),
        ("pylint", "import-error", "import-error Unable to import 'yaml.nodes'"),
    ] {
        let case = Case::new(&[("pyproject.toml", PROJECT), ("p/__init__.py", "import yaml\n")]).fails(finding(
            tool,
            "p/__init__.py",
            1,
            rule,
            message,
        ));
        let repaired = case.repair().await;
        assert!(case.read("pyproject.toml").contains("\"PyYAML>=6.0\""), "{tool}: {:?}", repaired.notes);
    }
}

#[tokio::test]
async fn what_only_tests_import_goes_to_the_extra_that_the_job_installs() {
    let case = Case::new(&[("pyproject.toml", PROJECT), ("tests/test_p.py", "import zebra\n")])
        .fails(missing("zebra"))
        .installs("python -m pip install -e '.[test]'");
    let repaired = case.repair().await;
    assert_eq!(repaired.notes, Vec::<String>::new());
    assert_eq!(case.read("pyproject.toml"), PROJECT.replace("[\"pytest\"]", "[\"pytest\", \"zebra\"]"));
}

#[tokio::test]
async fn a_requirements_file_of_the_job_takes_what_tests_import() {
    let case = Case::new(&[
        ("pyproject.toml", PROJECT),
        ("tests/test_p.py", "import zebra\n"),
        ("requirements-test.txt", "pytest==8.0.0\n"),
    ])
    .fails(missing("zebra"))
    .installs("pip install -r requirements-test.txt -e .");
    assert_eq!(case.repair().await.applied.len(), 1);
    assert_eq!(case.read("requirements-test.txt"), "pytest==8.0.0\nzebra==2.5.1\n");
    assert_eq!(case.read("pyproject.toml"), PROJECT);
}

#[tokio::test]
async fn a_dependency_is_not_added_where_the_cause_is_another() {
    let source = ("p/__init__.py", "import yaml\n");
    let declared = PROJECT.replace("click>=8", "pyyaml>=5");
    let extra = PROJECT.replace("[\"pytest\"]", "[\"PyYAML\"]");
    let lock = PROJECT.replace("[project]", "[tool.x]\n[project]");
    let cases = [
        (Case::new(&[("pyproject.toml", &declared), source]), "declares it already"),
        (Case::new(&[("pyproject.toml", &extra), source]), "which the job did not install"),
        (Case::new(&[("pyproject.toml", PROJECT), source, ("src/yaml/__init__.py", "")]), "the tree holds"),
        (Case::new(&[("pyproject.toml", PROJECT), ("p/a.py", "import click\n")]), "no code of the project imports it"),
        (Case::new(&[("pyproject.toml", PROJECT), ("tests/test_a.py", "import yaml\n")]), "no list of dependencies"),
        (
            Case::new(&[("pyproject.toml", &lock), source, ("uv.lock", "")]).installs("uv sync --locked"),
            "would have to be made anew",
        ),
    ];
    for (case, why) in cases {
        let case = case.fails(missing("yaml"));
        let before = case.read("pyproject.toml");
        let repaired = case.repair().await;
        assert_eq!(repaired.applied, []);
        assert!(repaired.notes[0].contains(why), "{why}: {:?}", repaired.notes);
        assert_eq!(case.read("pyproject.toml"), before);
    }
}

#[tokio::test]
async fn a_package_that_the_index_does_not_have_is_not_added() {
    let case = Case::new(&[("pyproject.toml", PROJECT), ("p/a.py", "import giraffe\n")]).fails(missing("giraffe"));
    let repaired = case.repair().await;
    assert_eq!(repaired.applied, []);
    assert!(repaired.notes[0].contains("has no package `giraffe`"), "{:?}", repaired.notes);
}

#[tokio::test]
async fn an_unused_ignore_is_removed() {
    let source = "a = 1  # type: ignore[assignment]\nb = 2\n";
    let case = Case::new(&[("src/a.py", source)]).fails(finding(
        "mypy",
        "src/a.py",
        1,
        "unused-ignore",
        "Unused \"type: ignore\" comment  [unused-ignore]",
    ));
    assert_eq!(case.repair().await.applied[0].files, ["src/a.py"]);
    assert_eq!(case.read("src/a.py"), "a = 1\nb = 2\n");
}

#[tokio::test]
async fn slid_keys_go_back_up() {
    let case = Case::new(&[(
        "pyproject.toml",
        "[project]\nname = \"x\"\n\n[project.urls]\nHome = \"https://h\"\n\nkeywords = [\"a\"]\n",
    )])
    .fails(failure(
        Category::ImportDependency,
        "pip",
        "TypeError: URL `keywords` of field `project.urls` must be a string",
        Key::Command { command: "pip install".to_owned(), error: "TypeError".to_owned() },
    ));
    assert_eq!(case.repair().await.applied.len(), 1);
    assert!(case.read("pyproject.toml").starts_with("[project]\nname = \"x\"\n\nkeywords = [\"a\"]\n\n[project.urls]"));
}

#[tokio::test]
async fn a_path_out_of_the_log_never_leaves_the_tree() {
    let case = Case::new(&[("a.py", "")])
        .fails(finding("ruff", "../../etc/x.py", 1, "F401", ""))
        .fails(unformatted("black", "$(touch evil).py"))
        .fails(finding("mypy", "/etc/passwd", 1, "unused-ignore", ""));
    assert_eq!(case.repair().await.applied, []);
    assert_eq!(std::fs::read_dir(case.folder.path()).unwrap().count(), 1);
}

fn undefined(file: &str, name: &str) -> Failure {
    finding("ruff", file, 1, "F821", &format!("Undefined name `{name}`"))
}

#[tokio::test]
async fn a_forgotten_standard_module_is_imported() {
    let case = Case::new(&[("p/a.py", "import os\nimport sys\n\n\ndef f(x):\n    return json.loads(x)\n")]);
    let message = "NameError: name 'json' is not defined. Did you forget to import 'json'?";
    let key = Key::Test { id: "t".to_owned(), exception: Some("NameError".to_owned()) };
    let excerpt =
        format!("p/a.py:6: in f\n    return json.loads(x)\nE   {message}\n/home/runner/work/p/p/p/a.py:6: NameError");
    let case = case.fails(Failure { excerpt, ..failure(Category::UnitTest, "pytest", message, key) });
    let repaired = case.repair().await;
    assert_eq!(repaired.notes, Vec::<String>::new());
    assert!(case.read("p/a.py").starts_with("import json\nimport os\nimport sys\n"));
}

#[tokio::test]
async fn what_fails_in_an_installed_copy_of_the_project_is_imported_in_its_source() {
    let case = Case::new(&[("src/p/a.py", "import os\n\n\nclass A(string.Formatter): ...\n")]);
    let message = "NameError: name 'string' is not defined";
    let key = Key::Test { id: "t".to_owned(), exception: Some("NameError".to_owned()) };
    let place = ".tox/py3.12/lib/python3.12/site-packages/p/a.py";
    let excerpt =
        format!("tests/conftest.py:9: in <module>\n    import p\n{place}:4: in <module>\n    class A\nE   {message}");
    let case = case.fails(Failure { excerpt, ..failure(Category::UnitTest, "pytest", message, key) });
    let repaired = case.repair().await;
    assert!(case.read("src/p/a.py").starts_with("import os\nimport string\n"), "{:?}", repaired.notes);
}

#[tokio::test]
async fn a_name_is_imported_as_the_projects_other_modules_do() {
    let case = Case::new(&[
        ("p/a.py", "from typing import Any\n\n\ndef f(x: Optional[Any]):\n    return dt.date.today(), Oops\n"),
        ("p/b.py", "import datetime as dt\nfrom .errors import Oops\n"),
        ("p/errors.py", "class Oops(Exception):\n    pass\n"),
    ])
    .fails(undefined("p/a.py", "Optional"))
    .fails(undefined("p/a.py", "dt"))
    .fails(undefined("p/a.py", "Oops"));
    let repaired = case.repair().await;
    assert_eq!(repaired.notes, Vec::<String>::new());
    let imports = "import datetime as dt\nfrom typing import Any, Optional\n\nfrom .errors import Oops\n\n\n";
    assert!(case.read("p/a.py").starts_with(imports), "{}", case.read("p/a.py"));
}

#[tokio::test]
async fn an_import_that_does_not_fit_is_not_made() {
    let cases = [
        ("time()\n", "time", "no known way"),
        ("json.no_such_thing\n", "json", "no known way"),
        ("from os import *\njson.loads('')\n", "json", "star import"),
        ("helper()\n", "helper", "no known way"),
        ("import json\njson.x\n", "json", "without binding it"),
    ];
    for (source, name, why) in cases {
        let case = Case::new(&[("a.py", source)]).fails(undefined("a.py", name));
        let repaired = case.repair().await;
        assert_eq!(repaired.applied, [], "{source}");
        assert!(repaired.notes[0].contains(why), "{source}: {:?}", repaired.notes);
        assert_eq!(case.read("a.py"), source);
    }
}

#[tokio::test]
async fn two_ways_of_the_project_are_told_apart_by_the_use() {
    let others = [("b.py", "import datetime\n"), ("c.py", "from datetime import datetime\n")];
    for (source, way) in [
        ("x = datetime.datetime.now()\n", "import datetime\n\n"),
        ("x = datetime.now()\n", "from datetime import datetime\n\n"),
    ] {
        let case = Case::new(&[("a.py", source), others[0], others[1]]).fails(undefined("a.py", "datetime"));
        let repaired = case.repair().await;
        assert_eq!(case.read("a.py"), format!("{way}{source}"), "{:?}", repaired.notes);
    }
}

#[tokio::test]
async fn requirements_files_that_the_project_reads_are_its_declaration() {
    let source = ("p/__init__.py", "import yaml\n");
    let list = ("requirements.txt", "click>=8\nzebra>=2\n");
    let dynamic = "[project]\nname = \"p\"\ndynamic = [\"dependencies\"]\n\n\
                   [tool.setuptools.dynamic]\ndependencies = { file = [\"requirements.txt\"] }\n";
    let setup = "setup(install_requires=open('requirements.txt').read().splitlines())\n";
    let cfg = "[options]\ninstall_requires = file: requirements.txt\n";
    for manifest in [("pyproject.toml", dynamic), ("setup.py", setup), ("setup.cfg", cfg), ("README.md", "")] {
        let case =
            Case::new(&[manifest, source, list]).fails(missing("yaml")).installs("pip install -r requirements.txt");
        let repaired = case.repair().await;
        assert_eq!(repaired.notes, Vec::<String>::new(), "{}", manifest.0);
        assert_eq!(case.read("requirements.txt"), "click>=8\nPyYAML>=6.0\nzebra>=2\n", "{}", manifest.0);
    }
}

#[tokio::test]
async fn a_monorepos_dependency_goes_to_the_package_that_imports_it() {
    let case = Case::new(&[
        ("pyproject.toml", PROJECT),
        ("services/api/pyproject.toml", "[project]\nname = \"api\"\ndependencies = []\n"),
        ("services/api/src/api/__init__.py", "import yaml\n"),
    ])
    .fails(missing("yaml"));
    assert_eq!(case.repair().await.applied[0].files, ["services/api/pyproject.toml"]);
    assert_eq!(case.read("services/api/pyproject.toml"), "[project]\nname = \"api\"\ndependencies = [\"PyYAML\"]\n");
}

#[tokio::test]
async fn an_installed_package_or_an_unreachable_index_adds_nothing() {
    let mut case = Case::new(&[("pyproject.toml", PROJECT), ("p/a.py", "import yaml\n")]).fails(missing("yaml"));
    case.installed.push(("pyyaml".to_owned(), "6.0".to_owned()));
    assert!(case.repair().await.notes[0].contains("is installed"));
    let workspace = Plain { root: case.folder.path().to_owned(), path: case.path.clone() };
    let registry = Registry::new("http://127.0.0.1:1/simple").unwrap();
    let (failures, install) = (&case.failures, &case.install);
    let enabled = &FixType::ALL;
    let context = RuleContext {
        workspace: &workspace,
        failures,
        checks: &[],
        install,
        installed: &[],
        workdir: "",
        registry: &registry,
        enabled,
    };
    let repaired = repair(&context).await.unwrap();
    assert_eq!(repaired.applied, []);
    assert!(repaired.notes[0].contains("can't be reached"), "{:?}", repaired.notes);
}

#[tokio::test]
async fn what_type_checkers_and_pylint_find_undefined_is_imported_as_well() {
    for (tool, rule, message) in [
        ("mypy", "name-defined", "Name \"Path\" is not defined  [name-defined]"),
        ("pyright", "reportUndefinedVariable", "\"Path\" is not defined (reportUndefinedVariable)"),
        ("pylint", "undefined-variable", "undefined-variable Undefined variable 'Path'"),
        ("pylint", "E0602", "E0602 Undefined variable 'Path'"),
    ] {
        let case = Case::new(&[("a.py", "\"\"\"A.\"\"\"\n\n\ndef f(x: Path) -> None: ...\n")])
            .fails(finding(tool, "a.py", 4, rule, message));
        let repaired = case.repair().await;
        let begins = "\"\"\"A.\"\"\"\n\nfrom pathlib import Path\n\n\ndef";
        assert!(case.read("a.py").starts_with(begins), "{tool}: {:?}", repaired.notes);
    }
}

#[tokio::test]
async fn what_a_check_changes_as_it_runs_is_its_repair_but_for_what_decides_the_check() {
    let check = "sed -i s/old/new/ a.py .github/workflows/ci.yml; echo 'Found 1 error (1 fixed, 0 remaining).'; exit 1";
    let key = Key::Command { command: check.to_owned(), error: "exit 1".to_owned() };
    let failure = Failure {
        command: Some(check.to_owned()),
        ..failure(Category::Quality, "command", "Found 1 error (1 fixed, 0 remaining).", key)
    };
    let workflow = ".github/workflows/ci.yml";
    let case = Case::new(&[("a.py", "old = 1\n"), (workflow, "on: old\n")]).checks(check).fails(failure);
    let repaired = case.repair().await;
    let applied: Vec<_> = repaired.applied.iter().map(|a| (a.rule, &a.files[..])).collect();
    assert_eq!(applied, [("self-fixing", &["a.py".to_owned()][..])], "{:?}", repaired.notes);
    assert_eq!((case.read("a.py").as_str(), case.read(workflow).as_str()), ("new = 1\n", "on: old\n"));
    assert_eq!(repaired.notes, [format!("self-fixing: the check would change `{workflow}`, which no repair may")]);
}

#[test]
fn the_catalogue_names_each_rule_once() {
    let ids: std::collections::BTreeSet<&str> = CATALOGUE.iter().map(|doc| doc.id).collect();
    assert_eq!(ids.len(), CATALOGUE.len());
    assert!(CATALOGUE.iter().all(|doc| ![doc.repairs, doc.evidence, doc.example].contains(&"")));
}

#[tokio::test]
async fn a_rule_of_a_type_that_is_not_enabled_is_not_applied() {
    let mut case = Case::new(&[("pyproject.toml", PROJECT), ("p/a.py", "import yaml\n")]).fails(missing("yaml"));
    case.enabled = vec![FixType::Import, FixType::Quality, FixType::Build, FixType::Security];
    let repaired = case.repair().await;
    assert_eq!(repaired.applied, []);
    assert_eq!(repaired.notes, ["fix type dependency is not enabled: its rules were not applied"]);
    assert_eq!(case.read("pyproject.toml"), PROJECT);
}
