use std::sync::LazyLock;

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

/// What real tools printed, line by line (`tests/fixtures/detect`).
static RECORDED: LazyLock<Vec<Vec<String>>> = LazyLock::new(|| {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/detect");
    let mut logs: Vec<_> = std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path()).collect();
    logs.retain(|log| log.extension().is_some_and(|end| end == "log"));
    logs.sort();
    let lines = |log: &std::path::PathBuf| {
        let text = String::from_utf8_lossy(&std::fs::read(log).unwrap()).into_owned();
        text.lines().skip(1).map(|line| format!("{line}\n")).collect()
    };
    logs.iter().map(lines).collect()
});

/// Pieces of recorded outputs of any tools, one after the other, cut anywhere.
fn recorded() -> impl Strategy<Value = String> {
    let piece =
        (any::<prop::sample::Index>(), any::<prop::sample::Index>(), 1usize..25).prop_map(|(log, from, count)| {
            let lines = log.get(&RECORDED);
            let from = if lines.is_empty() { 0 } else { from.index(lines.len()) };
            lines.iter().skip(from).take(count).cloned().collect::<String>()
        });
    prop::collection::vec(piece, 1..10).prop_map(|pieces| pieces.concat())
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
    fn any_pieces_of_real_outputs_give_the_same_failures_however_they_are_cut(text in recorded(), size in 1usize..80) {
        let text = log("run it", &text, 1);
        prop_assert_eq!(fed(text.as_bytes(), size), fed(text.as_bytes(), usize::MAX));
    }

    #[test]
    fn any_pieces_of_real_outputs_mean_the_same_in_a_log_and_in_our_own_run(output in recorded()) {
        let keys = |job: JobLog| {
            let name = |f: Failure| (f.key, f.fingerprint, f.count);
            job.failures.into_iter().map(name).collect::<Vec<_>>()
        };
        // What the runner itself would read otherwise, or write.
        let output = output.replace("::error", "error").replace("##[", "[");
        let output = output.replace("Post job cleanup.", "Post").replace("Cleaning up orphan processes", "Cleaning");
        prop_assert_eq!(keys(ran("run it", &output, 1)), keys(ci("run it", &output, 1)));
    }

    #[test]
    fn any_pieces_of_real_outputs_are_nothing_where_the_step_passed(output in recorded()) {
        let output = output.replace("##[", "[");
        prop_assert!(ci("run it", &output, 0).failures.is_empty());
        prop_assert!(ran("run it", &output, 0).failures.is_empty());
    }

    #[test]
    fn any_pieces_of_real_outputs_with_broken_bytes_do_no_harm(
        output in recorded(), broken in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..40)
    ) {
        let mut bytes = log("run it", &output, 1).into_bytes();
        for (at, byte) in broken {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        for failure in fed(&bytes, 100).into_iter().flat_map(|job| job.failures) {
            prop_assert!(failure.message.len() <= 2000 && failure.excerpt.len() <= 4096 + 64);
        }
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
    let job = ran("pytest", &output, 1);
    assert_eq!((job.failures.len(), job.dropped), (5000, 15_000));
    assert!(started.elapsed() < std::time::Duration::from_secs(20));
}

#[test]
fn endings_of_lines_do_not_matter() {
    let output = "a.py:1:1: F401 `os` imported but unused\nb.py:1:1: F401 `os` imported but unused\n";
    let keys = |text: &str| ran("ruff check", text, 1).failures.into_iter().map(|f| f.key).collect::<Vec<_>>();
    assert_eq!(keys(output), keys(&output.replace('\n', "\r\n")));
    assert_eq!(keys(output), keys(&format!("12%\r50%\r{output}")));
}

#[test]
fn the_failures_of_all_steps_and_jobs_together_are_bounded_and_counted() {
    let mut text = String::new();
    for step in 0..8 {
        let output: String =
            (0..2000).map(|at| format!("pkg{step}/a{at}.py:1:1: F401 `x` imported but unused\n")).collect();
        text = match step {
            0 => log("ruff check", &output, 1),
            _ => followed(&text, "ruff check", &output, 1),
        };
    }
    let job = read(&text);
    assert_eq!((job.failures.len(), job.dropped), (5000, 11_000));

    let row = |job: usize, line: &str| format!("job {job}\tstep\t2026-01-02T03:04:05.1234567Z {line}\n");
    let mut detector = Detector::new("run.log");
    for job in 0..1100 {
        let lines = [
            "##[group]Run ruff",
            "shell: bash",
            "##[endgroup]",
            "a.py:1:1: F401 `x` unused",
            "b.py:1:1: F401 `x` unused",
        ];
        lines.iter().for_each(|line| detector.feed(row(job, line).as_bytes()));
        detector.feed(row(job, "##[error]Process completed with exit code 1.").as_bytes());
    }
    let jobs = detector.finish();
    assert_eq!(jobs.iter().map(|job| job.jobs).sum::<u64>(), 1100);
    assert_eq!(jobs.iter().map(|job| job.failures.len() as u64 + job.dropped).sum::<u64>(), 2200);
}

/// Ten times the log takes about ten times as long: counted in what is read again and again, not in seconds.
#[test]
fn a_log_that_is_ten_times_as_long_is_not_read_a_hundred_times_as_long() {
    let time = |count: usize| {
        let output: String = RECORDED.iter().flatten().cycle().take(count).map(String::as_str).collect();
        let text = log("run it", &output, 1);
        let best = (0..3).map(|_| {
            let started = std::time::Instant::now();
            let _ = fed(text.as_bytes(), 1 << 16);
            started.elapsed()
        });
        best.min().unwrap()
    };
    let (short, long) = (time(6_000), time(60_000));
    assert!(long < short * 40, "{short:?} and {long:?}");
}
