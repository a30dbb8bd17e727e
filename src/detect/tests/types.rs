use super::*;

#[test]
fn a_message_of_mypy_that_wraps_has_the_code_of_its_last_line() {
    let plain = "shop/cart.py:9: error: Incompatible return value type (got \"int\", expected \"str\")  [return-value]\nFound 1 error in 1 file (checked 3 source files)\n";
    let pretty = "shop/cart.py:9:12: error: Incompatible return value type (got\n\"int\", expected \"str\")  [return-value]\n            return total\n                   ^~~~~\nFound 1 error in 1 file (checked 3 source files)\n";
    let (plain, pretty) = (both("mypy shop", plain), both("mypy shop", pretty));
    assert_eq!(plain[0].key, finding("shop/cart.py", "return-value", Some("int")));
    assert_eq!(plain[0].key, pretty[0].key);
    assert_eq!((plain.len(), pretty.len(), pretty[0].line), (1, 1, Some(9)));
}

#[test]
fn a_code_alone_on_the_next_line_is_found() {
    let output = "shop/cart.py:9: error: Unused \"type: ignore\" comment \n[unused-ignore]\n    return x  # type: ignore[misc]\n    ^~~~~~~~\n";
    assert_eq!(both("mypy", output)[0].key, finding("shop/cart.py", "unused-ignore", None));
}

#[test]
fn notes_are_no_findings() {
    let output = "shop/a.py:1: error: Name \"x\" already defined  [no-redef]\nshop/a.py:1: note: Defined here\n/opt/hostedtoolcache/Python/3.12.1/x64/lib/python3.12/site-packages/mypy/typeshed/stdlib/builtins.pyi:1: note: here\n";
    assert_eq!(both("mypy", output).len(), 1);
}

#[test]
fn stubtest_names_the_symbol_and_the_stub() {
    let output = "error: shop.cart.total is inconsistent, runtime argument \"tax\" is not in stub\nStub: in file /sandbox/tree/shop/cart.pyi:4\ndef (items: list) -> int\nRuntime: in file /sandbox/tree/shop/cart.py:9\ndef (items, tax)\n\nFound 1 error (checked 1 module)\n";
    let failures = both("stubtest shop.cart", output);
    assert_eq!(failures[0].key, finding("shop/cart.pyi", "is inconsistent", Some("shop.cart.total")));
    assert_eq!(failures[0].line, Some(4));
    let build = "error: not checking stubs due to mypy build errors:\nshop/cart.pyi:4: error: Need type annotation for \"x\"  [var-annotated]\n";
    let failures = both("stubtest shop.cart", build);
    assert_eq!((failures.len(), failures[0].tool.as_str()), (1, "stubtest"));
}

#[test]
fn pyright_is_read() {
    let failures = both(
        "pyright",
        "/sandbox/tree/shop/a.py\n  /sandbox/tree/shop/a.py:3:5 - error: \"x\" is not defined (reportUndefinedVariable)\n",
    );
    assert_eq!(failures[0].key, finding("shop/a.py", "reportUndefinedVariable", Some("x")));
}
