use proptest::prelude::*;

use super::*;

/// Lines that mean something to one parser or another, and some that mean nothing.
fn line() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "============================= test session starts ==============================",
        "=================================== FAILURES ===================================",
        "=========================== short test summary info ============================",
        "__________________________________ test_one ____________________________________",
        "----------------------------- Captured stdout call -----------------------------",
        "E       ValueError: no",
        "E   ModuleNotFoundError: No module named 'yaml'",
        "tests/test_a.py:7: ValueError",
        "FAILED tests/test_a.py::test_one - ValueError: no",
        "ERROR tests/test_b.py",
        "============================== 1 failed in 0.02s ===============================",
        "tests/test_a.py::test_two[a b] FAILED                            [ 50%]",
        "======================================================================",
        "FAIL: test_x (tests.test_u.T.test_x)",
        "Ran 3 tests in 0.001s",
        "Traceback (most recent call last):",
        "  File \"/sandbox/tree/shop/cart.py\", line 9, in main",
        "AssertionError: 1 != 2",
        "shop/cart.py:9: error: Incompatible return value type (got",
        "\"int\", expected \"str\")  [return-value]",
        "shop/cart.py:1:8: F401 [*] `os` imported but unused",
        "Would reformat: shop/cart.py",
        ">> Issue: [B602:x] shell",
        "   Location: ./shop/run.py:6:4",
        "Warning, treated as error:",
        "ERROR: No matching distribution found for rich",
        "  error: subprocess-exited-with-error",
        "      TypeError: bad metadata",
        "FAIL Required test coverage of 100% not reached. Total coverage: 99.85%",
        "codespell................................................................Failed",
        "- hook id: codespell",
        "Successfully installed a-1.0 b-c-2.0",
        "rootdir: /sandbox/tree",
        "",
        "    indented",
    ]);
    prop_oneof![8 => known.prop_map(str::to_owned), 1 => "[ -~äé✓\\t]{0,40}"]
}

fn lines() -> impl Strategy<Value = String> {
    prop::collection::vec(line(), 0..60).prop_map(|lines| lines.into_iter().map(|line| line + "\n").collect())
}

/// Lines of a runner's log.
fn rows() -> impl Strategy<Value = String> {
    let mark = prop::sample::select(vec![
        "",
        "##[group]Run x",
        "##[group]Other",
        "with:",
        "env:",
        "shell: bash",
        "  KEY: value",
        "##[endgroup]",
        "##[error]no",
        "##[error]Process completed with exit code 1.",
        "##[error]Process completed with exit code 0.",
        "Post job cleanup.",
        "Cleaning up orphan processes",
        "[command]/usr/bin/git log -1 --format=%H",
    ]);
    let row = (prop::bool::ANY, prop::bool::ANY, prop_oneof![mark.prop_map(str::to_owned), line()]).prop_map(
        |(stamp, column, text)| {
            let stamp = if stamp { "2026-01-02T03:04:05.1234567Z " } else { "" };
            let column = if column { "job\tstep\t" } else { "" };
            format!("{column}{stamp}{text}\n")
        },
    );
    prop::collection::vec(row, 0..80).prop_map(|rows| rows.concat())
}

fn fed(bytes: &[u8], size: usize) -> Vec<JobLog> {
    let mut detector = Detector::new("x");
    bytes.chunks(size.max(1)).for_each(|piece| detector.feed(piece));
    detector.finish()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let _ = fed(&bytes, 7);
        let mut detector = Detector::for_command("x", &["/".to_owned(), String::new()]);
        detector.feed(&bytes);
        detector.exited(1);
        let _ = detector.finish();
    }

    #[test]
    fn where_the_bytes_are_cut_does_not_matter(text in rows(), size in 1usize..50) {
        prop_assert_eq!(fed(text.as_bytes(), size), fed(text.as_bytes(), usize::MAX));
    }

    #[test]
    fn a_log_and_our_own_run_give_the_same_keys(output in lines()) {
        let keys = |job: JobLog| job.failures.into_iter().map(|f| (f.key, f.fingerprint, f.count)).collect::<Vec<_>>();
        prop_assert_eq!(keys(ran("run it", &output, 1)), keys(ci("run it", &output, 1)));
    }

    #[test]
    fn a_green_step_yields_nothing_whatever_it_prints(output in lines()) {
        prop_assert!(ci("run it", &output, 0).failures.is_empty());
    }

    #[test]
    fn a_red_step_always_yields_something(output in lines()) {
        prop_assert!(!ci("run it", &output, 1).failures.is_empty());
    }

    #[test]
    fn messages_and_excerpts_are_bounded(output in lines()) {
        for failure in ran("run it", &output.repeat(20), 1).failures {
            prop_assert!(failure.message.len() <= 2000 && failure.excerpt.len() <= 4096 + 64);
        }
    }
}

#[test]
fn a_line_of_any_length_is_bounded() {
    let mut detector = Detector::new("x");
    for _ in 0..2000 {
        detector.feed(&[b'a'; 4096]);
    }
    assert!(detector.lines.held() <= 16 << 10);
    assert!(detector.finish()[0].failures.is_empty());
}

#[test]
fn failures_without_number_are_bounded_and_quick() {
    let mut output = String::from("=========================== short test summary info ============================\n");
    for number in 0..20_000 {
        output.push_str(&format!("FAILED tests/test_a.py::test_{number}[x] - ValueError: {number}\n"));
    }
    let started = std::time::Instant::now();
    assert_eq!(ran("pytest", &output, 1).failures.len(), 5000);
    assert!(started.elapsed() < std::time::Duration::from_secs(20));
}

#[test]
fn endings_of_lines_do_not_matter() {
    let output = "a.py:1:1: F401 `os` imported but unused\nb.py:1:1: F401 `os` imported but unused\n";
    let keys = |text: &str| ran("ruff check", text, 1).failures.into_iter().map(|f| f.key).collect::<Vec<_>>();
    assert_eq!(keys(output), keys(&output.replace('\n', "\r\n")));
    assert_eq!(keys(output), keys(&format!("12%\r50%\r{output}")));
}
