use super::{Reported, Tried};

const SOURCE: &str = "import os\n\n\ndef f(x):\n    return os.name + x\n";

fn edit(after: &str) -> Tried {
    Tried::new().edit("pkg/other.py", SOURCE, after)
}

fn line(comment: &str) -> Tried {
    edit(&SOURCE.replace("+ x", &format!("+ x  {comment}")))
}

#[test]
fn bare_suppressions_are_refused() {
    for comment in [
        "# noqa",
        "# NOQA",
        "#noqa",
        "# type: ignore",
        "# type:ignore",
        "# nosec",
        "# nosec B999",
        "# pragma: no cover",
        "# fmt: skip",
        "# pragma: no branch",
        "# pyright: ignore",
        "# isort: skip",
        "# ty: ignore",
        "# because  # noqa",
    ] {
        line(comment).reported("flake8", "pkg/other.py", 5, "E501").is_refused_by("suppression-bare");
    }
}

#[test]
fn wide_suppressions_are_refused() {
    for comment in [
        "# ruff: noqa",
        "# flake8: noqa",
        "# ruff: noqa: E501",
        "# mypy: ignore-errors",
        "# mypy: disable-error-code=\"arg-type\"",
        "# pylint: skip-file",
        "# pylint: disable=all",
        "# pylint: disable=C0114",
        "# pyright: basic",
        "# pyright: reportMissingImports=false",
    ] {
        edit(&format!("{comment}\n{SOURCE}")).is_refused_by("suppression-wide");
    }
    edit(&format!("# fmt: off\n{SOURCE}")).is_refused_by("suppression-bare");
    edit(&format!("# isort: skip_file\n{SOURCE}")).is_refused_by("suppression-bare");
    edit(&SOURCE.replace("def f", "@typing.no_type_check\ndef f")).is_refused_by("suppression-wide");
}

#[test]
fn a_coded_suppression_of_exactly_what_was_reported_is_flagged() {
    line("# type: ignore[operator]").reported("mypy", "pkg/other.py", 5, "operator").is_flagged_by("suppression-coded");
    line("# noqa: E501").reported("flake8", "pkg/other.py", 5, "E501").is_flagged_by("suppression-coded");
    line("# nosec B602").reported("bandit", "pkg/other.py", 5, "B602").is_flagged_by("suppression-coded");
    line("# pylint: disable=no-member")
        .reported("pylint", "pkg/other.py", 5, "no-member")
        .is_flagged_by("suppression-coded");
}

#[test]
fn a_suppression_is_found_again_where_lines_moved() {
    let after = format!("import sys\n{}", SOURCE.replace("+ x", "+ x  # noqa: E501"));
    edit(&after).reported("flake8", "pkg/other.py", 5, "E501").is_flagged_by("suppression-coded");
}

#[test]
fn a_coded_suppression_of_something_else_is_refused() {
    line("# type: ignore[operator]")
        .reported("mypy", "pkg/other.py", 4, "operator")
        .is_refused_by("suppression-unreported");
    line("# noqa: E501,F401").reported("flake8", "pkg/other.py", 5, "E501").is_refused_by("suppression-unreported");
    line("# noqa: E501").is_refused_by("suppression-unreported");
}

#[test]
fn a_suppression_of_what_the_tool_repairs_is_refused() {
    let mut tried = line("# noqa: UP037").reported("ruff", "pkg/other.py", 5, "UP037");
    tried.reported[0].fixable_by_tool = Some(true);
    tried.is_refused_by("suppression-fixable");
}

#[test]
fn a_code_that_the_tool_ignores_is_refused() {
    let mut tried = line("# nosec B602");
    tried.reported.push(Reported {
        tool: "bandit".to_string(),
        tool_version: Some("1.7.0".to_string()),
        file: Some("pkg/other.py".to_string()),
        line: Some(5),
        code: Some("B602".to_string()),
        fixable_by_tool: None,
    });
    tried.is_refused_by("suppression-bare");
}

#[test]
fn narrowed_moved_and_removed_suppressions_pass() {
    let with = |comment: &str| SOURCE.replace("+ x", &format!("+ x  {comment}"));
    let change = |before: &str, after: &str| Tried::new().edit("pkg/other.py", &with(before), &with(after));
    change("# type: ignore", "# type: ignore[operator]").passes();
    change("# noqa", "# noqa: E501").passes();
    change("# noqa: E501,F401", "# noqa: E501").passes();
    change("# type: ignore", "").passes();
    Tried::new()
        .edit("pkg/other.py", &with("# noqa: E501"), &with("# noqa: E501").replace("os.name", "os.curdir"))
        .passes();
    change("# noqa: E501", "# noqa").is_refused_by("suppression-bare");
}

#[test]
fn the_word_in_a_string_is_no_suppression() {
    edit(&SOURCE.replace("os.name", "'# noqa'")).passes();
}

#[test]
fn a_skipped_example_is_refused() {
    let before = "def f():\n    \"\"\"F.\n\n    >>> f()\n    1\n    \"\"\"\n    return 1\n";
    let change = |after: &str| Tried::new().edit("pkg/other.py", before, after);
    change(&before.replace("f()\n    1", "f()  # doctest: +SKIP\n    1")).is_refused_by("doctest-skipped");
    change(&before.replace("    >>> f()\n    1\n", "")).is_refused_by("doctest-removed");
    change(&before.replace(">>> f()", "f()")).is_refused_by("doctest-removed");
    change(&before.replace("f()\n    1\n", "f()\n    2\n")).is_flagged_by("doctest-expectation");
    change(&before.replace("    1\n", "    1\n    >>> f() + 1\n    2\n")).passes();
    change(&before.replace(">>> f()\n", ">>> f()  # one\n")).passes();
}
