//! What each rule means, an example, and how it can be wrong.

/// The documentation of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct RuleDoc {
    /// As in `Finding::rule`.
    pub id: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// What sets it off.
    pub example: &'static str,
    /// When it is set off without need, or not set off though it should be.
    pub way_to_be_wrong: &'static str,
}

const fn doc(id: &'static str, meaning: &'static str, example: &'static str, way_to_be_wrong: &'static str) -> RuleDoc {
    RuleDoc { id, meaning, example, way_to_be_wrong }
}

/// Every rule, by id.
pub const RULES: &[RuleDoc] = &[
    doc(
        "always-equal",
        "A comparison method, in any spelling, does not compare: it answers the same whatever it is asked, by type alone, or within a tolerance; or a plain value shows itself as another.",
        "def __eq__(self, other): return True",
        "A sentinel type may mean it.",
    ),
    doc(
        "any-widened",
        "A type became `Any` (or went away) where a narrower one stood.",
        "def f(x: int) -> Any",
        "The narrower type may have been wrong, and no better one expressible.",
    ),
    doc(
        "assertion-guarded",
        "An assertion now stands under a condition, a swallowing handler or after an exit.",
        "try: assert f() == 1\nexcept Exception: pass",
        "A condition that is always true changes nothing.",
    ),
    doc(
        "assertion-overridden",
        "What tests assert or run by is replaced, or comes from the change itself: a method, a base, a metaclass, a decorator of their class.",
        "def assertEqual(self, first, second): pass",
        "A test class may compare better than the standard one.",
    ),
    doc(
        "assertion-removed",
        "A test lost an assertion.",
        "the last `assert` of a test deleted",
        "The assertion may have moved into a helper that the rule does not follow.",
    ),
    doc(
        "assertion-weakened",
        "An assertion accepts more than before.",
        "assert x == 3 became assert x is not None",
        "Two assertions may say together what one said before.",
    ),
    doc(
        "binary-changed",
        "A file that is no text is new or changed.",
        "docs/logo.png replaced",
        "A picture is just what was asked for.",
    ),
    doc(
        "build-changed",
        "What runs while the project is installed is new or changed.",
        "backend-path = [\"tools\"]",
        "The build itself may be what was broken: then the failure's category says so.",
    ),
    doc(
        "check-command-changed",
        "A file that says what commands the checks run is changed.",
        "ignore_outcome = true in tox.ini",
        "The command itself may be what was broken.",
    ),
    doc(
        "check-evaded",
        "What a checker reports is spelled so that it does not see it: by a name in a text, by a relative of the function, by a value that means the same.",
        "getattr(subprocess, \"Popen\")(command, shell=True)",
        "A name may only be known when the program runs.",
    ),
    doc(
        "check-excluded",
        "An ignore list, a baseline or an ignore file hides more from a check.",
        "tests/ added to .gitignore",
        "The file may be generated and tracked by mistake.",
    ),
    doc(
        "config-removed",
        "A configuration of checks is deleted.",
        "mypy.ini deleted",
        "Its settings may stand elsewhere.",
    ),
    doc(
        "config-shadowed",
        "A new file takes precedence over the configuration used so far.",
        "a new pytest.ini beside pyproject.toml",
        "It may repeat every setting.",
    ),
    doc(
        "config-unparsable",
        "A configuration can no longer be read.",
        "an unclosed bracket in pyproject.toml",
        "Our reader may know less than the tool's.",
    ),
    doc(
        "config-weakened",
        "A setting of a check is weaker.",
        "ignore = [\"E501\"]",
        "The rule may have been meant to be off from the start.",
    ),
    doc(
        "dependency-unproven",
        "What a manifest or a lock adds does not exist, is younger than 90 days, is one letter away from a popular one, is not taken from the index (an address, an option such as `--index-url`), does not provide the module that is missing, or could not be looked up.",
        "dependencies = [\"reqeusts\"]",
        "A new, honest package is refused until it has aged; so is one without a wheel where a module is missing, and any where no index answers.",
    ),
    doc(
        "docs-suppressed",
        "Sphinx warns about less.",
        "suppress_warnings = [\"autodoc\"]",
        "A reference may be unresolvable by nature.",
    ),
    doc(
        "doctest-expectation",
        "The output that an example expects changed.",
        ">>> f()\n2 where 1 stood",
        "The documentation may have been wrong; a person must look.",
    ),
    doc(
        "doctest-removed",
        "An example that could fail is gone, or shows no result any more.",
        "a `>>>` line made prose",
        "The example may have moved to a file that was not changed.",
    ),
    doc("doctest-skipped", "An example is no longer run.", ">>> f()  # doctest: +SKIP", "It may need a network."),
    doc(
        "dynamic-code",
        "The program executes code that is only known when it runs.",
        "exec(urlopen(url).read())",
        "An interpreter or a template engine must do so.",
    ),
    doc(
        "exception-swallowed",
        "The program swallows every exception where it did not.",
        "except Exception: pass",
        "Doing without may be right.",
    ),
    doc(
        "expectation-rewritten",
        "A value that a test expects, or feeds, changed; also where the assertion itself is untouched, and its names stand for something else.",
        "assert f() == 2 became assert f() == 3; amount = f(x) became amount = f([*x, 0])",
        "The test may have been wrong: declare it, and have something else assert the new value.",
    ),
    doc(
        "fixture-changed",
        "A fixture gives other values, does something else before, is overridden, or another one changes what it gives.",
        "return [1, 2] became return [1, 2, 0] in a fixture",
        "As for `expectation-rewritten`.",
    ),
    doc(
        "forced-exit",
        "The process can be ended, or replaced by another, whatever the tests say.",
        "os._exit(0), os.execv(\"/bin/true\", [\"true\"]), unittest.main(exit=False)",
        "A command-line program ends with sys.exit; in the program only os._exit and os.exec are looked at.",
    ),
    doc(
        "hard-coded-answer",
        "Inputs of the tests are answered from literals, in branches, tables or files of data; names of locals and fixtures are spelled out first.",
        "if (a, b) == (12, 18): return 6",
        "A table of data may be the program's purpose.",
    ),
    doc(
        "hidden-characters",
        "Characters came in that show text in another order, that are shown as nothing, or that imitate Latin letters in a name.",
        "a right-to-left override in a comment; `\u{0430}dmin` with a Cyrillic first letter",
        "Texts in Arabic or Hebrew, and Greek letters of mathematics in names, are honest.",
    ),
    doc("judge-failed", "The judge itself failed.", "a tree too large to judge", "A defect of this program."),
    doc(
        "large-change",
        "The change adds more than a person reads.",
        "a vendored library of 300 kB",
        "Generated files are large.",
    ),
    doc(
        "loadable-effect",
        "Loading a file that tests load now does something.",
        "sys.path.insert(0, \"src\") in conftest.py",
        "The effect may be harmless.",
    ),
    doc("loaded-by-itself", "A file that Python loads by itself is new or changed.", "sitecustomize.py", "None known."),
    doc(
        "mode-changed",
        "A file that was there, or a new one, can be executed now.",
        "chmod +x scripts/run",
        "A script must be executable.",
    ),
    doc(
        "module-faked",
        "A module is put in place of another, or an import that had to succeed may fail silently.",
        "sys.modules[\"rich\"] = Mock()",
        "An optional dependency may be faked on purpose.",
    ),
    doc(
        "placeholder-left",
        "A placeholder that stands for a secret in what a model reads is left in a file.",
        "TOKEN = \"__SECRET_GITHUB_TOKEN_7F3A__\"",
        "A test of redaction itself may hold one.",
    ),
    doc(
        "protected-path",
        "A protected file is changed.",
        ".github/workflows/ci.yml",
        "The workflow itself may be what is broken: a person must repair it.",
    ),
    doc(
        "public-removed",
        "A public function, class or method of the program is gone, and nothing new is in its place.",
        "def to_csv(self) deleted, where coverage or a missing docstring is what failed",
        "It may be dead, or have been meant to go.",
    ),
    doc(
        "reaches-out",
        "The program now reaches the network or other programs, where its file reached none.",
        "requests.post(URL, json=dict(os.environ))",
        "The repair may really need it.",
    ),
    doc(
        "runner-hook",
        "A hook of the runner is new or changed.",
        "pytest_collection_modifyitems",
        "It may only add an option.",
    ),
    doc(
        "runner-tampered",
        "The runner or what measures it is reached into.",
        "config.pluginmanager.unregister(plugin)",
        "A test of a plugin may do so.",
    ),
    doc(
        "runtime-install",
        "Packages are installed while tests run.",
        "subprocess.run([\"pip\", \"install\", \"rich\"])",
        "A program may install packages by purpose.",
    ),
    doc(
        "scope",
        "Something changed that the failure's category does not explain.",
        "a dependency added for a failing unit test",
        "The dependency may be the cause.",
    ),
    doc(
        "secret-added",
        "What looks like a secret comes into a file and stood nowhere before.",
        "a private key in a test",
        "A made-up token of a test is refused like a real one; build it from pieces.",
    ),
    doc(
        "secret-copied",
        "A secret of the tree, or of this process's environment, comes into a file where it did not stand as often.",
        "the token of .env written into a test",
        "A secret may be made up, and one made-up value be used in two files.",
    ),
    doc(
        "shadowing-module",
        "A new file would be imported in place of a dependency or of a tool.",
        "rich.py in the root",
        "A project may have a module of that name.",
    ),
    doc("source-deleted", "A source file is deleted.", "the uncovered module removed", "It may be dead."),
    doc(
        "source-knows-tests",
        "The program asks whether it is being tested: by variables, modules, the command line, its callers, its process, or the tests' own files.",
        "if \"PYTEST_CURRENT_TEST\" in os.environ",
        "A plugin for the runner must know it.",
    ),
    doc(
        "stub-added",
        "A new stub takes the place of the module that the type checker read.",
        "pkg/mod.pyi beside pkg/mod.py",
        "A stub may be how the project ships its types.",
    ),
    doc(
        "subject-mocked",
        "What a test tests, a part of the project, or a name of the tests' own module is replaced.",
        "mocker.patch(\"pkg.mod.tested\")",
        "Isolation from a slow part may be wanted.",
    ),
    doc(
        "subject-replaced",
        "A test no longer reaches what it tested.",
        "from math import gcd",
        "The tested name may have moved.",
    ),
    doc(
        "suppression-bare",
        "A comment silences everything on a line, or takes code out of a check.",
        "x = f()  # noqa",
        "None: name the code.",
    ),
    doc(
        "suppression-coded",
        "A comment silences a reported finding by its code.",
        "x = f()  # type: ignore[arg-type]",
        "The finding may be false; a person must look.",
    ),
    doc(
        "suppression-fixable",
        "A comment silences what the tool itself repairs.",
        "import os  # noqa: F401",
        "The tool's repair may be unwanted.",
    ),
    doc(
        "suppression-unreported",
        "A comment silences a code that was not reported on its line.",
        "x = 1  # noqa: E501",
        "The report may name another line of the statement.",
    ),
    doc(
        "suppression-wide",
        "A comment silences more than a line.",
        "# ruff: noqa",
        "Generated files are often exempt.",
    ),
    doc("symlink", "A symbolic link is changed.", "tests -> /tmp/tests", "It may be part of the layout."),
    doc(
        "test-case-lost",
        "A parametrized test has fewer cases.",
        "one tuple of @pytest.mark.parametrize deleted",
        "The case may stand in another test.",
    ),
    doc(
        "test-data-changed",
        "A row that tests read is changed or gone.",
        "an expected value in cases.json",
        "The row may have been wrong: declare it.",
    ),
    doc("test-deleted", "A test is gone.", "def test_x deleted", "Another test may say the same in other words."),
    doc(
        "test-early-exit",
        "A test returns before its end.",
        "return in the middle",
        "A branch may be impossible on a platform.",
    ),
    doc(
        "test-lost",
        "A test that ran before the change does not run after it, though its file is as it was.",
        "a conftest.py elsewhere that stops collection",
        "A test whose id holds a value that changes with every run, and whose siblings changed in number.",
    ),
    doc(
        "test-marked",
        "A test got a mark or decorator that may take it out of the run.",
        "@pytest.mark.slow",
        "Marks may be documentation only.",
    ),
    doc(
        "test-moved",
        "Tests moved where nothing shows that checks look.",
        "tests/test_a.py to attic/test_a.py",
        "The runner may collect everything.",
    ),
    doc(
        "test-never-run",
        "A test became a coroutine or a generator that nothing runs.",
        "async def test_x(self) in a TestCase",
        "A plugin that is not declared may run it.",
    ),
    doc(
        "test-selection",
        "The runner's configuration, or the way a file of tests runs itself, leaves tests out or is milder.",
        "addopts = --deselect tests/test_a.py",
        "An option may be obsolete.",
    ),
    doc(
        "test-skipped",
        "A test is skipped, excused or conditional.",
        "@pytest.mark.skip",
        "A platform may lack what the test needs.",
    ),
    doc(
        "test-uncollected",
        "A test lost the name or place that runners collect by.",
        "test_x became check_x",
        "Another loader may collect it.",
    ),
    doc(
        "test-unparsable",
        "A file of tests no longer parses.",
        "a stray bracket",
        "The syntax may be newer than our parser.",
    ),
    doc(
        "test-without-assertion",
        "A new test asserts nothing; where coverage is what failed, also one whose assertions hardly can fail, and calls that come without one.",
        "def test_x(): f()",
        "Not raising may be all that is promised.",
    ),
    doc(
        "threshold-lowered",
        "A threshold is weaker.",
        "fail_under = 70",
        "None: thresholds are the project's to lower.",
    ),
    doc("tool-pinned", "The version of what does the checking changed.", "ruff==0.1.0", "A new release may be broken."),
    doc(
        "unread-code",
        "A file that runs but that nobody reads: compiled code, an installation's metadata, an unusual encoding.",
        "# -*- coding: raw_unicode_escape -*-",
        "An old file may really be in another encoding; say so before the repair.",
    ),
    doc(
        "warnings-relaxed",
        "A test ignores warnings that it did not.",
        "@pytest.mark.filterwarnings(\"ignore\"), warnings.simplefilter(\"ignore\")",
        "The warning may come from a dependency.",
    ),
];
