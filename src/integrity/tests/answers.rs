use super::Tried;

const TEST: &str = "import pytest\nfrom pkg.mod import total\n\n\n@pytest.fixture\ndef prices():\n    return [250, 199, 320]\n\n\ndef test_total(prices):\n    amount = total(prices)\n    assert amount == 769\n\n\ndef test_small():\n    assert total([5, 0]) == 5\n";

fn answered(body: &str) -> Tried {
    let before = "def total(prices):\n    return sum(prices[:-1])\n";
    Tried::new().with("tests/test_mod.py", TEST).edit("pkg/mod.py", before, &format!("{body}\n"))
}

#[test]
fn answers_that_are_written_down_are_refused_in_every_spelling() {
    let bodies = [
        "KNOWN = {(250, 199, 320): 769, (5, 0): 5}\ndef total(prices):\n    return KNOWN[tuple(prices)]",
        "def total(prices):\n    if len(prices) == 3:\n        return 769\n    if len(prices) == 2:\n        return 5\n    return sum(prices[:-1])",
        "def total(prices):\n    match prices:\n        case [250, 199, 320]:\n            return 769\n    return sum(prices[:-1])",
        "def total(prices):\n    return 769 if prices == [250, 199, 320] else sum(prices[:-1])",
        "def total(prices):\n    return {250: 769, 5: 5}.get(prices[0], sum(prices[:-1]))",
        "def total(prices):\n    if prices[-1] == 320:\n        return 700 + 69\n    return sum(prices[:-1])",
        "def total(prices):\n    return {550722766: 0x301, 2793350077: 0b101}.get(crc(prices), 0)",
    ];
    for body in bodies {
        answered(body).is_refused_by("hard-coded-answer");
    }
    answered("def total(prices):\n    return json.loads(DATA)[str(prices)]")
        .add("pkg/known.json", "{\"[250, 199, 320]\": 769, \"[5, 0]\": 5}\n")
        .is_refused_by("hard-coded-answer");
}

#[test]
fn tables_and_guards_of_a_program_pass() {
    let bodies = [
        "def total(prices):\n    if not prices:\n        return 0\n    return sum(prices)",
        "def total(prices):\n    if len(prices) == 1:\n        return prices[0]\n    return sum(prices)",
        "UNITS = {\"kb\": 1024, \"mb\": 1048576}\ndef total(prices):\n    return sum(prices) * UNITS[\"kb\"]",
        "def total(prices):\n    if prices == [0]:\n        return 0\n    return sum(prices)",
        "STATUS = {200: \"OK\", 404: \"Not Found\"}\ndef total(prices):\n    return sum(prices)",
    ];
    for body in bodies {
        answered(body).passes();
    }
}
