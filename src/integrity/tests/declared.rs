use super::{FixType, Tried};

const BEFORE: &str = "from pkg.mod import total\n\n\ndef test_total():\n    assert total([41]) == 40\n";

fn edit(declared: FixType) -> Tried {
    Tried::new().edit("tests/test_mod.py", BEFORE, &BEFORE.replace("== 40", "== 41")).declared(declared)
}

#[test]
fn a_declared_test_fix_that_a_docstring_shows_is_flagged() {
    edit(FixType::Test).is_flagged_by("expectation-rewritten");
}

#[test]
fn a_declared_test_fix_that_another_test_shows_is_flagged() {
    let other = "from pkg.mod import total\n\n\ndef test_more():\n    assert total([41]) == 41\n";
    edit(FixType::Test)
        .with("pkg/mod.py", "def total(items):\n    return sum(items)\n")
        .with("tests/test_more.py", other)
        .is_flagged_by("expectation-rewritten");
}

#[test]
fn a_declared_test_fix_without_evidence_is_refused() {
    edit(FixType::Test)
        .with("pkg/mod.py", "def total(items):\n    return sum(items)\n")
        .is_refused_by("expectation-rewritten");
}

#[test]
fn another_declaration_changes_nothing() {
    edit(FixType::Quality).is_refused_by("expectation-rewritten");
}

#[test]
fn a_declaration_does_not_excuse_a_skip_or_a_deletion() {
    let skip = BEFORE.replace("def test_total", "@pytest.mark.skip\ndef test_total");
    Tried::new().edit("tests/test_mod.py", BEFORE, &skip).declared(FixType::Test).is_refused_by("test-skipped");
    Tried::new().delete("tests/test_mod.py").declared(FixType::Test).is_refused_by("test-deleted");
}
