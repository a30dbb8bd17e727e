use super::{Tried, body};

const TEST: &str = "items = [1, 2]\namount = total(items)\nassert amount == 3";

#[test]
fn an_untouched_assertion_that_is_fed_something_else_is_refused() {
    let changed = [
        "items = [1, 2]\namount = total([*items, 0])\nassert amount == 3",
        "items = [1, 2]\nitems.append(0)\namount = total(items)\nassert amount == 3",
        "items = [1, 2]\nitems += [0]\namount = total(items)\nassert amount == 3",
        "items = [1, 2]\nitems[:] = [3]\namount = total(items)\nassert amount == 3",
        "items = [1, 2]\namount = total(items) + items[-1]\nassert amount == 3",
        "items = [1, 2]\namount = total(items)\namount = 3\nassert amount == 3",
        "items = [1, 2]\namount = total(items)\nif amount != 3:\n    amount = 3\nassert amount == 3",
        "items = [1, 2]\namount = total(items, 3)\nassert amount == 3",
        "items = [1, 2]\namount = total(items, strict=False)\nassert amount == 3",
        "items = [1, 2]\namount = round(total(items))\nassert amount == 3",
        "items = [1, 2, 0]\namount = total(items)\nassert amount == 3",
    ];
    for after in changed {
        body(TEST, after).is_refused_by("expectation-rewritten");
    }
}

#[test]
fn a_step_that_is_gone_is_refused() {
    let before = "items = list(total.items)\nitems.reverse()\nassert total(items) == 3";
    body(before, "items = list(total.items)\nassert total(items) == 3").is_refused_by("expectation-rewritten");
}

#[test]
fn what_says_the_same_in_other_words_passes() {
    let respelled = [
        "amount = total([1, 2])\nassert amount == 3",
        "assert total([1, 2]) == 3",
        "items = [1, 2]\nassert 3 == total(items)",
        "numbers = [1, 2]\nfound = total(numbers)\nassert found == 3",
        "items = [1, 2]\nprint(items)\namount = total(items)\nassert amount == 3",
    ];
    for after in respelled {
        body(TEST, after).passes();
    }
}

#[test]
fn a_value_chosen_by_if_or_by_an_expression_is_the_same() {
    let statement = "if total.fast:\n    items = [1]\nelse:\n    items = [2]\nassert total(items) == 3";
    body(statement, "items = [1] if total.fast else [2]\nassert total(items) == 3").passes();
}

#[test]
fn a_result_that_nobody_needs_may_lose_its_name() {
    body("r = total([1])\nassert mod.seen == 3", "total([1])\nassert mod.seen == 3").passes();
}

#[test]
fn another_outside_function_with_the_same_values_passes_and_with_new_ones_is_flagged() {
    let before = "when = clock.utcnow()\nassert total(when) == 3";
    body(before, "when = clock.now(clock.UTC)\nassert total(when) == 3").passes();
    body(before, "when = clock.fixed(2020)\nassert total(when) == 3").is_flagged_by("expectation-rewritten");
}

#[test]
fn a_call_that_only_ends_something_passes() {
    let before = "stream = total.stream()\nassert total(stream) == 3";
    body(before, "stream = total.stream()\nassert total(stream) == 3\nstream.close()").passes();
}

#[test]
fn a_fixture_that_gives_or_does_more_is_refused() {
    let file = |inner: &str| {
        format!(
            "import pytest\nfrom pkg.mod import total\n\n\n@pytest.fixture\ndef items():\n{inner}\n\n\ndef test_total(items):\n    assert total(items) == 3\n"
        )
    };
    let before = file("    return [1, 2]");
    for inner in ["    return [1, 2, 0]", "    found = [1, 2]\n    found.append(0)\n    return found"] {
        Tried::new().edit("tests/test_mod.py", &before, &file(inner)).is_refused_by("fixture-changed");
    }
    Tried::new().edit("tests/test_mod.py", &before, &file("    found = [1, 2]\n    yield found")).passes();
}

#[test]
fn a_default_that_stands_in_for_a_fixture_is_refused() {
    let before = "from pkg.mod import total\n\n\ndef test_total(items):\n    assert total(items) == 3\n";
    let after = before.replace("(items):", "(items=(1, 2, 0)):");
    Tried::new().edit("tests/test_mod.py", before, &after).is_refused_by("fixture-changed");
}

#[test]
fn tests_that_became_cases_of_one_are_not_lost() {
    let before = "import pytest\nfrom pkg.mod import total\n\n\ndef test_one():\n    assert total([1]) == 1\n\n\ndef test_two():\n    items = [1, 2]\n    assert total(items) == 3\n";
    let after = |rows: &str| {
        format!(
            "import pytest\nfrom pkg.mod import total\n\n\n@pytest.mark.parametrize((\"items\", \"amount\"), [{rows}])\ndef test_total(items, amount):\n    assert total(items) == amount\n"
        )
    };
    let tried = |rows: &str| Tried::new().edit("tests/test_mod.py", before, &after(rows));
    tried("([1], 1), ([1, 2], 3)").passes();
    tried("pytest.param([1], 1, id=\"one\"), ([1, 2], 3), ([], 0)").passes();
    tried("([1], 1), ([1, 2, 0], 3)").is_refused_by("test-deleted");
    tried("([1], 1)").is_refused_by("test-deleted");
}

#[test]
fn assertions_that_became_cases_are_not_lost() {
    let before = "import pytest\nfrom pkg.mod import total\n\n\ndef test_total():\n    assert total([1]) == 1\n    assert total([2]) == 2\n    with pytest.raises(ValueError, match=\"no\"):\n        total(None)\n";
    let after = "import pytest\nfrom pkg.mod import total\n\n\n@pytest.mark.parametrize(\"n\", [1, 2])\ndef test_total(n):\n    assert total([n]) == n\n    with pytest.raises(ValueError, match=\"no\"):\n        total(None)\n";
    Tried::new().edit("tests/test_mod.py", before, after).passes();
    let weaker = after.replace(", match=\"no\"", "");
    let findings = Tried::new().edit("tests/test_mod.py", before, &weaker).findings();
    assert!(findings.iter().any(|f| f.severity == crate::integrity::Severity::Refuse), "{findings:#?}");
}

/// What a hostile author could write: values that double, loops in loops, long sums, many conditions.
#[test]
fn texts_that_would_grow_without_end_are_judged() {
    let doubling = format!("x = total([1])\n{}assert x == 3", "x = x + x\n".repeat(60));
    let loops: String = (0..7)
        .map(|depth| format!("{}for i{depth} in {:?}:\n", "    ".repeat(depth), (0..20).collect::<Vec<_>>()))
        .collect();
    let loops = format!("{loops}{}pass\nassert total([1]) == 1", "    ".repeat(7));
    let sum = format!("assert total([1]) == {}", vec!["1 + x"; 5_000].join(" + "));
    let text = format!("assert total([1]) == {}", vec!["\"a\" + x"; 2_000].join(" + "));
    let conditions = format!("x = total([1])\n{}assert x == 3", "if x:\n    x = total([x])\n".repeat(500));
    for before in [doubling, loops, sum, text, conditions] {
        let after = before.replace("total([1])", "total([1, 0])");
        let findings = body(&before, &after).findings();
        assert!(findings.iter().any(|f| f.severity == crate::integrity::Severity::Refuse && f.rule != "judge-failed"));
    }
}
