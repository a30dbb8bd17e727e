use super::{FixType, Tried, Witness};

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

/// A test of `state`, whose hint is this, that is to expect "off" from now on.
fn hinted(hint: &str) -> Tried {
    let before = "from pkg.mod import state\n\n\ndef test_state():\n    assert state() == \"on\"\n";
    Tried::new()
        .with("pkg/mod.py", &format!("def state() -> {hint}:\n    return compute()\n"))
        .edit("tests/test_mod.py", before, &before.replace("\"on\"", "\"off\""))
        .declared(FixType::Test)
}

#[test]
fn a_type_that_admits_the_new_value_alone_is_evidence() {
    hinted("Literal[\"off\"]").is_flagged_by("expectation-rewritten");
    hinted("typing.Literal['off']").is_flagged_by("expectation-rewritten");
}

#[test]
fn a_type_that_admits_more_than_the_new_value_is_none() {
    for hint in ["Literal[\"on\", \"off\"]", "str", "Literal[\"on\"]", "Final[\"off\"]"] {
        hinted(hint).is_refused_by("expectation-rewritten");
    }
}

#[test]
fn every_witness_is_named_so_that_one_which_passed_can_be_found() {
    let other = "from pkg.mod import total\n\n\ndef test_more():\n    assert total([41]) == 41\n";
    let findings = edit(FixType::Test).with("tests/test_more.py", other).findings();
    let test = Witness::Test { file: "tests/test_more.py".to_string(), qual: "test_more".to_string() };
    let docstring = Witness::Docstring { file: "pkg/mod.py".to_string(), name: "total".to_string() };
    assert_eq!(findings[0].witnesses, [docstring, test]);
}
