use super::*;
use crate::detect::Category;

const LINE: &str = "======================================================================";
const DASH: &str = "----------------------------------------------------------------------";

fn block(head: &str, body: &str) -> String {
    format!(
        "F\n{LINE}\n{head}\n{DASH}\nTraceback (most recent call last):\n{body}\n\n{DASH}\nRan 3 tests in 0.001s\n\nFAILED (failures=1)\n"
    )
}

const BODY: &str = "  File \"/sandbox/tree/tests/test_cart.py\", line 8, in test_sum
    self.assertEqual(1, 2)
AssertionError: 1 != 2";

#[test]
fn the_id_is_the_same_in_old_and_new_pythons() {
    let new = both("python -m unittest", &block("FAIL: test_sum (tests.test_cart.CartTests.test_sum)", BODY));
    let old = both("python -m unittest", &block("FAIL: test_sum (tests.test_cart.CartTests)", BODY));
    assert_eq!(new[0].key, test_key("tests.test_cart.CartTests.test_sum", "AssertionError"));
    assert_eq!(new[0].key, old[0].key);
    assert_eq!((new[0].file.as_deref(), new[0].line), (Some("tests/test_cart.py"), Some(8)));
}

#[test]
fn a_sub_test_keeps_its_parameters() {
    let failures =
        both("python -m unittest", &block("FAIL: test_sum (tests.test_cart.CartTests.test_sum) (i=1)", BODY));
    assert_eq!(ids(&failures), ["tests.test_cart.CartTests.test_sum (i=1)"]);
}

#[test]
fn a_module_that_cannot_be_loaded_is_the_missing_module() {
    let body = "ImportError: Failed to import test module: test_v
Traceback (most recent call last):
  File \"/sandbox/tree/test_v.py\", line 1, in <module>
    import not_here
ModuleNotFoundError: No module named 'not_here'";
    let output = block("ERROR: test_v (unittest.loader._FailedTest.test_v)", body)
        .replace("Traceback (most recent call last):\nImport", "Import");
    let failures = both("python -m unittest", &output);
    assert_eq!(failures[0].key, missing("not_here"));
    assert_eq!(failures[0].test_id.as_deref(), Some("test_v"));
    assert_eq!(failures[0].category, Category::ImportDependency);
}

#[test]
fn a_doctest_under_unittest_is_documentation() {
    let output = format!(
        "F\n{LINE}\nFAIL: total (shop.cart)\nDoctest: shop.cart.total\n{DASH}
Traceback (most recent call last):
  File \"/usr/lib/python3.12/doctest.py\", line 2247, in runTest
    raise self.failureException(self.format_failure(new.getvalue()))
AssertionError: Failed doctest test for shop.cart.total
  File \"/sandbox/tree/shop/cart.py\", line 3, in total

{DASH}
File \"/sandbox/tree/shop/cart.py\", line 6, in shop.cart.total
Failed example:
    total([1])
Expected:
    2
Got:
    1


{DASH}
Ran 5 tests in 0.010s

FAILED (failures=1)
"
    );
    let failures = both("python -m unittest", &output);
    assert_eq!(ids(&failures), ["shop.cart.total"]);
    assert_eq!((failures[0].category, failures[0].line), (Category::Docs, Some(6)));
}

#[test]
fn a_plain_doctest_is_read() {
    let stars = "*".repeat(70);
    let output = format!(
        "{stars}\nFile \"/sandbox/tree/cart.py\", line 4, in cart.total\nFailed example:\n    total()\nExpected:\n    1\nGot:\n    2\n{stars}\n1 items had failures:\n   1 of   1 in cart.total\n***Test Failed*** 1 failures.\n"
    );
    let failures = both("python -m doctest cart.py", &output);
    assert_eq!(failures[0].key, test_key("cart.total", "DocTestFailure"));
}
