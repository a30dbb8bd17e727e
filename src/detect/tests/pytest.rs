use super::*;
use crate::detect::Category;

const HEAD: &str = "============================= test session starts ==============================
platform linux -- Python 3.12.1, pytest-8.4.1, pluggy-1.6.0
rootdir: /sandbox/tree
collected 4 items

";

fn session(body: &str) -> Vec<Failure> {
    both("python -m pytest", &format!("{HEAD}{body}"))
}

#[test]
fn an_assertion_keeps_its_class_where_the_summary_only_says_assert() {
    let failures = session(
        "=================================== FAILURES ===================================
__________________________________ test_total __________________________________

    def test_total():
>       assert 1 == 2
E       assert 1 == 2

tests/test_shop.py:7: AssertionError
=========================== short test summary info ============================
FAILED tests/test_shop.py::test_total - assert 1 == 2
============================== 1 failed in 0.02s ===============================
",
    );
    assert_eq!(failures[0].key, test_key("tests/test_shop.py::test_total", "AssertionError"));
    assert_eq!((failures[0].file.as_deref(), failures[0].line), (Some("tests/test_shop.py"), Some(7)));
    assert_eq!(failures[0].python.as_deref(), Some("3.12.1"));
    assert!(failures[0].excerpt.contains("assert 1 == 2"));
}

#[test]
fn a_parametrised_id_with_spaces_and_dashes_is_kept_whole() {
    let failures = session(
        "=========================== short test summary info ============================
FAILED tests/test_a.py::test_p[a b - c] - ValueError: no - really
FAILED tests/test_a.py::TestC::test_p[x::y] - KeyError: 'x'
ERROR tests/test_a.py::test_setup - OSError: [Errno 2] gone
FAILED tests/test_a.py::test_bare
========================= 3 failed, 1 error in 0.10s ===========================
",
    );
    let wanted = [
        "tests/test_a.py::test_p[a b - c]",
        "tests/test_a.py::TestC::test_p[x::y]",
        "tests/test_a.py::test_setup",
        "tests/test_a.py::test_bare",
    ];
    assert_eq!(ids(&failures), wanted);
    assert_eq!(failures[0].message, "ValueError: no - really");
    assert_eq!(failures[2].key, test_key(wanted[2], "OSError"));
}

#[test]
fn a_bracket_inside_a_parameter_is_settled_by_the_section() {
    let failures = session(
        "=================================== FAILURES ===================================
______________________________ test_p[e] - f] __________________________________
tests/test_a.py:3: in test_p
    assert v == 'z'
E   AssertionError: assert 'e] - f' == 'z'
=========================== short test summary info ============================
FAILED tests/test_a.py::test_p[e] - f] - AssertionError: assert 'e] - f' == 'z'
============================== 1 failed in 0.02s ===============================
",
    );
    assert_eq!(ids(&failures), ["tests/test_a.py::test_p[e] - f]"]);
}

#[test]
fn a_pytest_run_inside_a_test_is_not_read() {
    let failures = session(
        "=================================== FAILURES ===================================
_________________________________ test_outer ___________________________________
tests/test_o.py:5: in test_outer
    assert run() == 0
E   AssertionError: assert 1 == 0
----------------------------- Captured stdout call -----------------------------
============================= test session starts ==============================
collected 1 item

=================================== FAILURES ===================================
_________________________________ test_inner ___________________________________
/tmp/pytest-of-x/pytest-1/test_inner.py:2: in test_inner
E   ValueError: inner
=========================== short test summary info ============================
FAILED test_inner.py::test_inner - ValueError: inner
============================== 1 failed in 0.01s ===============================
src/a.py:1:1: F401 `os` imported but unused
__________________________________ test_next ___________________________________
tests/test_o.py:9: in test_next
E   KeyError: 'k'
=========================== short test summary info ============================
FAILED tests/test_o.py::test_outer - AssertionError: assert 1 == 0
FAILED tests/test_o.py::test_next - KeyError: 'k'
============================== 2 failed in 0.30s ===============================
",
    );
    assert_eq!(ids(&failures), ["tests/test_o.py::test_outer", "tests/test_o.py::test_next"]);
}

#[test]
fn collection_errors_of_one_missing_module_share_a_cause() {
    let section = |file: &str| {
        format!(
            "_____________________ ERROR collecting {file} _____________________
ImportError while importing test module '/sandbox/tree/{file}'.
Traceback:
{file}:1: in <module>
    import yaml
E   ModuleNotFoundError: No module named 'yaml'
"
        )
    };
    let failures = session(&format!(
        "==================================== ERRORS ====================================
{}{}=========================== short test summary info ============================
ERROR tests/test_a.py
ERROR tests/test_b.py
!!!!!!!!!!!!!!!!!!! Interrupted: 2 errors during collection !!!!!!!!!!!!!!!!!!!!
============================== 2 errors in 0.08s ===============================
",
        section("tests/test_a.py"),
        section("tests/test_b.py")
    ));
    assert_eq!(ids(&failures), ["tests/test_a.py", "tests/test_b.py"]);
    assert!(failures.iter().all(|f| f.key == missing("yaml") && f.category == Category::ImportDependency));
    assert_eq!(failures[0].fingerprint, failures[1].fingerprint);
}

#[test]
fn a_file_that_does_not_parse_is_the_place_of_all_that_import_it() {
    let failures = session(
        "==================================== ERRORS ====================================
_____________________ ERROR collecting tests/test_a.py _____________________
tests/test_a.py:1: in <module>
    from shop import cart
E     File \"/sandbox/tree/shop/cart.py\", line 12
E       def broken(:
E                  ^
E   SyntaxError: invalid syntax
=========================== short test summary info ============================
ERROR tests/test_a.py
=============================== 1 error in 0.08s ===============================
",
    );
    assert_eq!(failures[0].category, Category::SyntaxError);
    assert_eq!(failures[0].key, test_key("tests/test_a.py", "SyntaxError"));
    assert_eq!((failures[0].file.as_deref(), failures[0].line), (Some("shop/cart.py"), Some(12)));
}

#[test]
fn a_conftest_that_cannot_be_imported_is_the_missing_module() {
    let failures = both(
        "pytest",
        "ImportError while loading conftest '/sandbox/tree/tests/conftest.py'.
tests/conftest.py:1: in <module>
    import rich
E   ModuleNotFoundError: No module named 'rich'
",
    );
    assert_eq!(failures[0].key, missing("rich"));
    assert_eq!(failures[0].test_id.as_deref(), Some("tests/conftest.py"));
}

#[test]
fn tests_that_die_in_one_function_share_a_cause_and_the_same_under_x() {
    let section = |name: &str| {
        format!(
            "__________________________________ {name} __________________________________
tests/test_a.py:5: in {name}
    total()
shop/cart.py:9: in total
    return 1 / 0
E   ZeroDivisionError: division by zero
"
        )
    };
    let failures = session(&format!(
        "=================================== FAILURES ===================================
{}{}=========================== short test summary info ============================
FAILED tests/test_a.py::test_one - ZeroDivisionError: division by zero
FAILED tests/test_a.py::test_two - ZeroDivisionError: division by zero
============================== 2 failed in 0.08s ===============================
",
        section("test_one"),
        section("test_two")
    ));
    let first = session(&format!(
        "=================================== FAILURES ===================================
{}=========================== short test summary info ============================
FAILED tests/test_a.py::test_two - ZeroDivisionError: division by zero
!!!!!!!!!!!!!!!!!!!!!!!!!! stopping after 1 failures !!!!!!!!!!!!!!!!!!!!!!!!!!!
============================== 1 failed in 0.08s ===============================
",
        section("test_two")
    ));
    assert_eq!(failures[0].fingerprint, failures[1].fingerprint);
    assert_eq!(failures[0].fingerprint, first[0].fingerprint);
    assert_ne!(failures[0].key, failures[1].key);
}

#[test]
fn verbose_results_and_workers_are_read_without_a_summary() {
    let failures = session(
        "tests/test_a.py::test_one PASSED                                        [ 50%]
tests/test_a.py::test_two[a b] FAILED                                    [100%]
[gw0] [ 75%] FAILED tests/test_b.py::test_three
[gw1] [100%] RERUN tests/test_b.py::test_four
",
    );
    assert_eq!(ids(&failures), ["tests/test_a.py::test_two[a b]", "tests/test_b.py::test_three"]);
}

#[test]
fn an_integration_test_is_told_by_its_path() {
    let failures = session(
        "=========================== short test summary info ============================
FAILED tests/integration/test_api.py::test_get - AssertionError: assert 500 == 200
============================== 1 failed in 0.02s ===============================
",
    );
    assert_eq!(failures[0].category, Category::IntegrationTest);
}

#[test]
fn a_threshold_of_coverage_is_one_failure_however_often_it_is_said() {
    let failures = session(
        "ERROR: Coverage failure: total of 79 is less than fail-under=90

FAIL Required test coverage of 90.0% not reached. Total coverage: 78.91%
============================== 4 passed in 0.02s ===============================
",
    );
    assert_eq!(failures.len(), 1);
    assert_eq!(failures[0].key, Key::Threshold { metric: "coverage".into(), required: "90".into() });
    assert_eq!(failures[0].category, Category::Coverage);
}

#[test]
fn a_missing_plugin_a_bad_option_and_no_tests_are_failures() {
    let usage = both(
        "pytest --nope",
        "ERROR: usage: pytest [options] [file_or_dir]\npytest: error: unrecognized arguments: --nope\n",
    );
    assert_eq!(usage[0].key, Key::Message { file: None, message: "unrecognized arguments: --nope".into() });
    let none = both(
        "pytest -k nothing",
        &format!("{HEAD}============================ no tests ran in 0.01s ============================\n"),
    );
    assert_eq!(none[0].key, Key::Command { command: "pytest -k nothing".into(), error: "no tests ran".into() });
}

#[test]
fn what_passing_tests_print_is_no_failure_of_a_failing_run() {
    let failures = session(
        "==================================== PASSES ====================================
__________________________________ test_ok _____________________________________
----------------------------- Captured stdout call -----------------------------
FAILED tests/other.py::test_x - no
Traceback (most recent call last):
ValueError: caught
=========================== short test summary info ============================
PASSED tests/test_a.py::test_ok
FAILED tests/test_a.py::test_bad - ValueError: x
========================= 1 failed, 1 passed in 0.02s ==========================
",
    );
    assert_eq!(ids(&failures), ["tests/test_a.py::test_bad"]);
}

#[test]
fn a_test_that_ran_out_of_time_is_a_timeout() {
    let failures = session(
        "=================================== FAILURES ===================================
__________________________________ test_slow ___________________________________

    def test_slow():
>       sleep(9)
E       Failed: Timeout (>1.0s) from pytest-timeout.

tests/test_t.py:2: Failed
=========================== short test summary info ============================
FAILED tests/test_t.py::test_slow - Failed: Timeout (>1.0s) from pytest-timeout.
============================== 1 failed in 1.02s ===============================
",
    );
    assert_eq!(failures[0].category, Category::Timeout);
    assert_eq!(failures[0].key, test_key("tests/test_t.py::test_slow", "Timeout"));
}

#[test]
fn a_file_that_could_not_be_collected_is_one_failure_wherever_pytest_was_started() {
    let output = "==================================== ERRORS ====================================\n_______________________ ERROR collecting test_cart.py _______________________\ntests/test_cart.py:3: in <module>\n    import cart\ncart.py:7: in <module>\n    HOME = os.getcwd()\nE   NameError: name 'os' is not defined\n=========================== short test summary info ============================\nERROR tests/test_cart.py - NameError: name 'os' is not defined\n!!!!!!!!!!!!!!!!!!!! Interrupted: 1 error during collection !!!!!!!!!!!!!!!!!!!!\n1 error in 0.90s\n";
    let job = ran("pytest -q", output, 2);
    assert_eq!(job.failures.len(), 1, "{:?}", job.failures);
    let found = &job.failures[0];
    assert_eq!(found.test_id.as_deref(), Some("tests/test_cart.py"));
    assert_eq!((found.file.as_deref(), found.line), (Some("cart.py"), Some(7)));
}
