//! What leads from a failure to the code at fault: keywords, state, copies, names that are missed.

use super::*;

const WIDGETS: &str = "class Base:\n    def __init__(self, label):\n        self.label = label\n\n\nclass Widget(Base):\n    def __init__(\n        self,\n        size,\n        colour=None,\n        **rest,\n    ):\n@\n        if colour:\n            colour = colour.strip()\n        self.colour = colour\n        super().__init__(**rest)\n\n\nclass Box:\n    def __init__(self, size, depth=0):\n@\n        self.depth_of_box = depth\n";
const TEST: &str = "from shop import cart\n\n\ndef test_total_of_basket():\n    box = cart.Box(3)\n    widget = cart.Widget(1, colour=' red', label='x')\n    assert total([1, 2]) == 3\n";

fn padded(text: &str, padding: &str) -> String {
    text.replace("@\n", &padding.repeat(90))
}

fn of(files: &[(&str, &str)]) -> Context {
    let (_place, tree) = tree(files);
    asked(&tree, "/w", "0x7f0000000001")
}

#[test]
fn a_constructor_is_shown_around_the_keywords_that_the_test_passes() {
    let widgets = padded(WIDGETS, "        self.filler = [size, size, size]\n");
    let context = of(&[("shop/__init__.py", ""), ("shop/cart.py", &widgets), ("tests/test_cart.py", TEST)]);
    let cart = text_of(&context, "shop/cart.py");
    assert!(cart.contains("colour = colour.strip()") && cart.contains("self.colour = colour"), "{cart}");
    assert!(cart.contains("self.label = label"), "a base's keyword: {cart}");
    assert!(!cart.contains("depth_of_box"), "called without keywords: {cart}");
}

#[test]
fn the_writers_of_what_is_read_are_shown_with_their_callers() {
    let padding = "\n\ndef unrelated():\n    return 'nothing of interest'\n".repeat(60);
    let cart = format!(
        "class Cart:\n    def basket_total(self):\n        return self._basket.get('x')\n\n    def _put(self, price):\n        self._basket[price] = price\n{padding}\n\nclass Till:\n    def ring_up(self, cart):\n        self.opened = True\n        cart._put_down(3)\n{padding}"
    )
    .replace("_put(", "_put_down(");
    let test = "from shop.cart import Cart\n\n\ndef test_total_of_basket():\n    assert Cart().basket_total() == 3\n    assert total([1, 2]) == 3\n    assert 1\n    assert 2\n    assert 3\n    assert 4\n";
    let context = of(&[("shop/__init__.py", ""), ("shop/cart.py", &cart), ("tests/test_cart.py", test)]);
    let cart = text_of(&context, "shop/cart.py");
    assert!(cart.contains("self._basket[price] = price") && cart.contains("def ring_up"), "{cart}");
    assert!(!cart.contains("def unrelated"), "{cart}");
}

#[test]
fn a_copy_leads_to_what_copies_through_another_name_of_the_class() {
    let padding = "\n\ndef unrelated():\n    return 'nothing of interest'\n".repeat(200);
    let cart = format!(
        "class Basket:\n    def __getstate__(self):\n        return list(self)\n\n    def away(self):\n        return 1\n{padding}\n\nB = Basket\n"
    );
    let test = "import copy\nfrom shop.cart import B\n\n\ndef test_total_of_basket():\n    b = B()\n    assert copy.copy(b) == b\n    assert 1\n    assert 1\n    assert total([1, 2]) == 3\n";
    let context = of(&[("shop/__init__.py", ""), ("shop/cart.py", &cart), ("tests/test_cart.py", test)]);
    assert!(text_of(&context, "shop/cart.py").contains("def __getstate__"));
}

fn failing(message: &str, file: &str, line: u32) -> Vec<Failure> {
    let mut failures = failures(&output("/w", "0x7f0000000001"), "/w");
    failures[0].message = message.to_owned();
    failures[0].excerpt = message.to_owned();
    failures[0].test_id = None;
    failures[0].file = Some(file.to_owned());
    failures[0].line = Some(line);
    failures
}

#[test]
fn a_missed_name_is_looked_up_in_the_whole_tree() {
    let (_place, tree) = tree(&[
        ("shop/__init__.py", "from .cart import total\n\n__all__ = [\n    'apple',\n    'total',\n]\n"),
        ("shop/cart.py", CART),
        ("docs/api.rst", "Use :func:`pairs` first.\n"),
    ]);
    let failures = failing("module 'shop' has no attribute 'pairs'", "shop/cart.py", 1);
    let names = choose(&seen(&tree, &failures, ""), &Limits::default()).names.unwrap().text;
    assert!(names.contains("`pairs` is defined nowhere") && names.contains("docs/api.rst:1: Use"), "{names}");
    assert!(names.contains("from .cart import total") && names.contains("'apple'"), "{names}");
    let failures = failing("cannot import name 'gone' from 'shop'", "shop/cart.py", 1);
    let names = choose(&seen(&tree, &failures, ""), &Limits::default()).names.unwrap().text;
    assert!(names.contains("`gone` stands nowhere"), "{names}");
    let failures = failing("cannot import name 'total' from 'shop'", "shop/cart.py", 5);
    let shown = choose(&seen(&tree, &failures, ""), &Limits::default()).names;
    assert!(!shown.is_some_and(|names| names.text.contains("`total`")), "its definition is shown");
}

#[test]
fn code_that_cannot_be_read_shows_the_tests_that_will_run_next() {
    let test = format!("{TOOLS}{}", "\n# padding\n".repeat(400));
    let (_place, tree) = tree(&[("shop/__init__.py", ""), ("shop/cart.py", CART), ("tests/test_cart.py", &test)]);
    let failures = failing("SyntaxError: f-string: expecting '}'", "shop/cart.py", 6);
    let context = choose(&seen(&tree, &failures, ""), &Limits::default());
    assert!(context.failure.text.contains("further failures may hide"), "{}", context.failure.text);
    assert!(text_of(&context, "tests/test_cart.py").contains("def test_total_of_basket"));
}

#[test]
fn a_literal_of_the_test_is_no_time_of_the_run() {
    let test = "def test_a():\n    assert read('2020-01-02T03:04:05.06') == '/tmp/file'\n";
    let (_place, tree) = tree(&[("tests/test_a.py", test)]);
    let files = Files::new(&tree);
    let text =
        "tests/test_a.py:2: read('2020-01-02T03:04:05.06') '/tmp/file' at 2026-11-22T10:00:00 in /tmp/pytest-of-me/x9";
    let told = told::normal(text, &files);
    assert_eq!(told, "tests/test_a.py:2: read('2020-01-02T03:04:05.06') '/tmp/file' at <time> in <tmp>");
}

#[test]
fn an_old_scanner_is_said_to_refuse_every_suppression() {
    let (_place, tree) = tree(&[("shop/cart.py", CART)]);
    let mut failures = failing("B404:blacklist subprocess", "shop/cart.py", 1);
    failures[0].tool = "bandit".to_owned();
    for (version, old) in [("1.7.0", true), ("1.7.10", true), ("1.8.0", false), ("2.0", false)] {
        let installed = [("bandit".to_owned(), version.to_owned())];
        let context = choose(&Seen { installed: &installed, ..seen(&tree, &failures, "") }, &Limits::default());
        assert_eq!(context.failure.text.contains("every suppression is refused"), old, "{version}");
    }
}

#[test]
fn a_method_that_the_failing_test_calls_is_shown_before_what_shares_its_words() {
    let long = "        total_of_basket = [self.items, index, 'total', 'basket', 'negative']\n".repeat(12);
    let cart = format!(
        "class Other:\n    def pop(self, index):\n        'other'\n{long}\n\nclass Basket:\n    def __init__(self, items):\n        self.items = items\n\n    def pop(self, index=None):\n        real_index = self.items[index]\n        return real_index\n\n{}",
        "    def filler(self):\n        return 'nothing of interest'\n\n".repeat(80)
    );
    let usual: String =
        (0..9).map(|n| format!("\n\ndef test_other_{n}():\n    assert Basket([{n}]).pop(0) == {n}\n")).collect();
    let test = format!(
        "from shop.cart import Basket\n\n\ndef test_total_of_basket():\n    total = 0\n    basket = Basket([1, 2])\n    # a negative index\n    # of the basket\n    total += basket.pop(-2)\n    assert total == 3\n{usual}"
    );
    let (_place, tree) = tree(&[("shop/__init__.py", ""), ("shop/cart.py", &cart), ("tests/test_cart.py", &test)]);
    let output = output("/w", "0x7f0000000001");
    let failures = failures(&output, "/w");
    let limits = Limits { code: 900, ..Limits::default() };
    let cart = text_of(&choose(&seen(&tree, &failures, &output), &limits), "shop/cart.py");
    assert!(cart.contains("return real_index"), "{cart}");
    assert!(!cart.contains("'other'"), "{cart}");
}

#[test]
fn the_imports_of_a_file_with_a_security_finding_are_shown() {
    let padding = "\n\ndef unrelated():\n    return 'nothing of interest'\n".repeat(200);
    let code = format!(
        "import logging\nimport subprocess\n{padding}\n\ndef run(line):\n    subprocess.call(line, shell=True)\n"
    );
    let line = code.lines().count() as u32;
    let (_place, tree) = tree(&[("shop/cart.py", &code)]);
    let failures = failing("B602: subprocess call with shell=True", "shop/cart.py", line);
    for (category, all) in [(Category::Security, true), (Category::Quality, false)] {
        let seen = Seen { category: Some(category), ..seen(&tree, &failures, "") };
        let shown = text_of(&choose(&seen, &Limits::default()), "shop/cart.py");
        assert!(shown.contains("import subprocess") && !shown.contains("def unrelated"), "{shown}");
        assert_eq!(shown.contains("import logging"), all, "{shown}");
    }
}

#[test]
fn a_doctest_is_shown_with_the_ordinary_tests_of_its_function() {
    let code = "def scaled(price):\n    \"\"\"Scale.\n\n    >>> scaled(2)\n    5\n    \"\"\"\n    return price * 2\n";
    let test = format!(
        "from shop.cart import scaled\n\n\ndef test_scaled():\n    assert scaled(2) == 4\n{}",
        "\n# padding\n".repeat(400)
    );
    let (_place, tree) = tree(&[("shop/__init__.py", ""), ("shop/cart.py", code), ("tests/test_cart.py", &test)]);
    let mut failures = failing("Expected: 5, got: 4", "shop/cart.py", 4);
    failures[0].test_id = Some("shop.cart.scaled".to_owned());
    let seen = Seen { category: Some(Category::Docs), ..seen(&tree, &failures, "") };
    assert!(text_of(&choose(&seen, &Limits::default()), "tests/test_cart.py").contains("assert scaled(2) == 4"));
}
