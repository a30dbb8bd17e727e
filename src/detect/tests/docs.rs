use super::*;
use crate::detect::Category;

#[test]
fn a_warning_treated_as_an_error_is_on_the_next_line() {
    let output = "reading sources... [100%] index\n\nWarning, treated as error:\nautodoc: failed to import function 'gone' from module 'shop'; the following exception was raised:\nTraceback (most recent call last):\n  File \"/usr/lib/python3.12/site-packages/sphinx/util.py\", line 4, in get\nAttributeError: gone\n";
    let failures = both("sphinx-build -W -b html docs out", output);
    assert_eq!(failures.len(), 1);
    assert_eq!(failures[0].category, Category::Docs);
    assert!(failures[0].message.contains("failed to import function 'gone'"));
}

#[test]
fn a_docstring_has_a_file_and_no_line() {
    let output = "Warning, treated as error:\n/sandbox/tree/shop/cart.py:docstring of shop.cart.total:1:duplicate object description of shop.total\n";
    let failures = both("sphinx-build -W docs out", output);
    assert_eq!((failures[0].file.as_deref(), failures[0].line), (Some("shop/cart.py"), None));
    let moved = output.replace(":1:", ":7:");
    assert_eq!(both("sphinx-build -W docs out", &moved)[0].key, failures[0].key);
}

#[test]
fn warnings_count_when_the_end_says_so() {
    let output = "/sandbox/tree/docs/index.rst:6: WARNING: undefined label: 'zz' [ref.ref]\nbuild finished with problems, 1 warning (with warnings treated as errors).\n";
    let failures = both("make -C docs html", output);
    assert_eq!((failures[0].file.as_deref(), failures[0].line), (Some("docs/index.rst"), Some(6)));
}
