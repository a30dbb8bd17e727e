use super::*;
use crate::detect::Category;

#[test]
fn every_format_of_ruff_gives_the_same_keys() {
    let concise = "shop/cart.py:1:8: F401 [*] `os` imported but unused\nFound 1 error.\n";
    let full = "F401 [*] `os` imported but unused\n --> shop/cart.py:1:8\n  |\n1 | import os\n  |        ^^\n  |\nhelp: Remove unused import: `os`\n\nFound 1 error.\n";
    let old = "shop/cart.py:1:8: F401 [*] `os` imported but unused\n  |\n1 | import os\n  |        ^^ F401\n  |\n  = help: Remove unused import: `os`\n";
    let grouped = "shop/cart.py:\n  1:8 F401 [*] `os` imported but unused\n\nFound 1 error.\n";
    let github = "::error title=ruff (F401),file=/sandbox/tree/shop/cart.py,line=1,col=8,endLine=1,endColumn=10::shop/cart.py:1:8: F401 `os` imported but unused\n";
    for output in [concise, full, old, grouped] {
        let failures = both("ruff check .", output);
        assert_eq!(failures.len(), 1);
        assert_eq!(failures[0].key, finding("shop/cart.py", "F401", Some("os")));
        assert_eq!((failures[0].category, failures[0].line), (Category::Quality, Some(1)));
    }
    let shown = "##[error]shop/cart.py:1:8: F401 `os` imported but unused\n";
    let keys = |job: JobLog| job.failures.into_iter().map(|failure| failure.key).collect::<Vec<_>>();
    assert_eq!(keys(ran("ruff check .", github, 1)), keys(ci("ruff check .", shown, 1)));
}

#[test]
fn formatters_name_the_file() {
    let cases = [
        ("ruff format --check .", "Would reformat: shop/cart.py\n1 file would be reformatted\n", "format"),
        ("black --check .", "would reformat /sandbox/tree/shop/cart.py\n\nOh no!\n", "format"),
        (
            "isort --check .",
            "ERROR: /sandbox/tree/shop/cart.py Imports are incorrectly sorted and/or formatted.\n",
            "imports",
        ),
    ];
    for (command, output, rule) in cases {
        assert_eq!(both(command, output)[0].key, finding("shop/cart.py", rule, None));
    }
    let code = "unformatted: File would be reformatted\n  --> docs/usage.md:28:46\n   |\n27 | a = b(\n   -     1, 2\n28 +     1,\n   |\n\n1 file would be reformatted\n";
    let failures = both("ruff format --check .", code);
    assert_eq!((failures.len(), &failures[0].key), (1, &finding("docs/usage.md", "format", None)));
}

#[test]
fn a_file_that_no_formatter_can_parse_is_a_syntax_error() {
    let failures = both(
        "black --check .",
        "error: cannot format /sandbox/tree/a.py: Cannot parse for target version: 3:4: def f(:\n",
    );
    assert_eq!((failures[0].category, failures[0].line), (Category::SyntaxError, Some(3)));
}

#[test]
fn flake8_and_pylint_are_read() {
    let failures = both(
        "flake8 .",
        "./shop/cart.py:1:1: F401 'os' imported but unused\n./shop/cart.py:9:80: E501 line too long (91 > 79 characters)\n",
    );
    assert_eq!(failures[0].key, finding("shop/cart.py", "F401", Some("os")));
    assert_eq!((failures[1].tool.as_str(), failures[1].line), ("flake8", Some(9)));
    let failures = both(
        "pylint shop",
        "shop/cart.py:3:0: C0116: Missing function or method docstring (missing-function-docstring)\n",
    );
    assert_eq!(failures[0].key, finding("shop/cart.py", "missing-function-docstring", None));
}

#[test]
fn a_security_rule_of_ruff_is_security_and_bandit_is_read_in_both_orders() {
    assert_eq!(
        both("ruff check", "a.py:2:1: S602 `subprocess` call with `shell=True`\n")[0].category,
        Category::Security
    );
    let first = ">> Issue: [B602:subprocess_popen_with_shell_equals_true] call with shell=True\n   Severity: High   Confidence: High\n   Location: ./shop/run.py:6\n   More Info: https://bandit\n5\n6\tcall(x, shell=True)\n\n--------------------------------------------------\n";
    let last = ">> Issue: [B602:subprocess_popen_with_shell_equals_true] call with shell=True\n   Severity: High   Confidence: High\n   CWE: CWE-78\n   More Info: https://bandit\n   Location: ./shop/run.py:6:4\n5\n6\tcall(x, shell=True)\n\n--------------------------------------------------\n";
    for output in [first, last] {
        let failures = both("bandit -r shop", output);
        assert_eq!(failures[0].key, finding("shop/run.py", "B602", None));
        assert_eq!(failures[0].line, Some(6));
    }
}

#[test]
fn a_hook_that_says_nothing_more_is_a_failure_and_one_with_findings_is_not() {
    let output = "trim trailing whitespace.................................................Failed\n- hook id: trailing-whitespace\n- exit code: 1\n- files were modified by this hook\n\nFixing shop/cart.py\n\ncheck yaml...............................................................Failed\n- hook id: check-yaml\n- exit code: 1\n\nmapping values are not allowed in this context\nruff.....................................................................Passed\n";
    let failures = both("pre-commit run --all-files", output);
    assert_eq!(failures[0].key, finding("shop/cart.py", "trailing-whitespace", None));
    assert_eq!(failures[1].key, Key::Command { command: "pre-commit check-yaml".into(), error: "exit 1".into() });
    assert_eq!(failures.len(), 2);
}

#[test]
fn a_misspelling_is_a_finding() {
    let failures = both("codespell", "docs/a.rst:4: teh ==> the\n");
    assert_eq!(failures[0].key, finding("docs/a.rst", "codespell", Some("teh")));
}
