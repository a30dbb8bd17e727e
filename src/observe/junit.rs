//! pytest's JUnit report (family xunit1), as tests by node id.

use quick_xml::{
    Reader,
    events::{BytesStart, Event},
};

use super::{TestOutcome, Tests};

/// The tests of a report; `None` where the bytes are no JUnit report.
pub(super) fn read(report: &[u8], root: &str) -> Option<Tests> {
    let mut reader = Reader::from_reader(report);
    let mut buffer = Vec::new();
    let mut tests = Tests::new();
    let mut current: Option<(String, TestOutcome)> = None;
    let mut is_report = false;
    let mut record = |test: Option<(String, TestOutcome)>| {
        if let Some((id, outcome)) = test {
            let kept = tests.entry(id).or_insert(outcome);
            *kept = (*kept).max(outcome);
        }
    };
    loop {
        let (element, empty) = match reader.read_event_into(&mut buffer).ok()? {
            Event::Start(element) => (element, false),
            Event::Empty(element) => (element, true),
            Event::End(element) if element.name().as_ref() == "testcase" => {
                record(current.take());
                continue;
            }
            Event::Eof => break,
            _ => continue,
        };
        match element.name().as_ref() {
            "testsuite" | "testsuites" => is_report = true,
            "testcase" => {
                let test = (id(&element, root), TestOutcome::Passed);
                if empty {
                    record(Some(test));
                } else {
                    current = Some(test);
                }
            }
            "failure" | "error" => worsen(&mut current, TestOutcome::Failed),
            // An expected failure ran; what is skipped did not.
            "skipped" if attribute(&element, "type").as_deref() == Some("pytest.xfail") => {
                worsen(&mut current, TestOutcome::ExpectedFailure);
            }
            "skipped" => worsen(&mut current, TestOutcome::Skipped),
            _ => {}
        }
        buffer.clear();
    }
    is_report.then_some(tests)
}

fn worsen(test: &mut Option<(String, TestOutcome)>, outcome: TestOutcome) {
    if let Some((_, kept)) = test {
        *kept = (*kept).max(outcome);
    }
}

fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let attribute = element.try_get_attribute(name).ok()??;
    Some(attribute.normalized_value(quick_xml::XmlVersion::Implicit1_0).ok()?.into_owned())
}

/// `tests/test_x.py::TestA::test_b[1]`, from `file`, `classname` and `name`.
fn id(element: &BytesStart<'_>, root: &str) -> String {
    let get = |name| attribute(element, name).unwrap_or_default();
    let (file, class, name) = (get("file"), get("classname"), get("name"));
    let file = file.strip_prefix(root).unwrap_or(&file).trim_start_matches('/').to_owned();
    if class.is_empty() {
        // A module that could not be collected: pytest's own output calls it by its path.
        let dotted = !name.contains(['/', ':', ' ']) && !name.ends_with(".py");
        return if dotted { format!("{}.py", name.replace('.', "/")) } else { name };
    }
    let module = file.trim_end_matches(".py").replace('/', ".");
    let inner = match class.strip_prefix(&module) {
        Some("") => None,
        Some(rest) if rest.starts_with('.') => Some(rest.trim_start_matches('.').replace('.', "::")),
        // A test that is inherited from another file: its class says where it ran.
        _ => return format!("{class}::{name}"),
    };
    match inner {
        Some(inner) => format!("{file}::{inner}::{name}"),
        None => format!("{file}::{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const REPORT: &str = r#"<?xml version="1.0" encoding="utf-8"?><testsuites><testsuite name="pytest" errors="1" tests="6">
<testcase classname="tests.test_a" name="test_ok" file="tests/test_a.py" line="3" time="0.1"/>
<testcase classname="tests.test_a.TestX" name="test_b[a &amp; b]" file="tests/test_a.py"><failure message="AssertionError: 1">x</failure></testcase>
<testcase classname="tests.test_a" name="test_skip" file="tests/test_a.py"><skipped type="pytest.skip" message="why"/></testcase>
<testcase classname="tests.test_a" name="test_x" file="tests/test_a.py"><skipped type="pytest.xfail" message="why"/></testcase>
<testcase classname="tests.test_b.TestY" name="test_in" file="tests/base.py"></testcase>
<testcase classname="" name="tests.test_c" time="0"><error message="collection failure">E</error></testcase>
</testsuite></testsuites>"#;

    #[test]
    fn every_test_of_a_report_is_known_by_its_node_id() {
        let tests = read(REPORT.as_bytes(), "/root").unwrap();
        let expected = [
            ("tests.test_b.TestY::test_in", TestOutcome::Passed),
            ("tests/test_a.py::TestX::test_b[a & b]", TestOutcome::Failed),
            ("tests/test_a.py::test_ok", TestOutcome::Passed),
            ("tests/test_a.py::test_skip", TestOutcome::Skipped),
            ("tests/test_a.py::test_x", TestOutcome::ExpectedFailure),
            ("tests/test_c.py", TestOutcome::Failed),
        ];
        assert_eq!(tests.into_iter().collect::<Vec<_>>(), expected.map(|(id, o)| (id.to_owned(), o)));
    }

    #[test]
    fn what_is_no_report_is_none() {
        assert_eq!(read(b"passed", "/"), None);
        assert_eq!(read(b"<testsuite><testcase", "/"), None);
        assert_eq!(read(b"", "/"), None);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            read(&bytes, "/r");
        }
    }
}
