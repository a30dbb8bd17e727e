use super::*;
use crate::detect::{Category, JobResult};

#[test]
fn a_green_log_is_a_success_without_failures() {
    let output = "Traceback (most recent call last):\nValueError: caught and logged\nerror: nothing serious\nFAILED tests/a.py::b - no\nThe runner is fine, Connection refused and retried\n";
    let job = ci("make check", output, 0);
    assert_eq!((job.result, job.failures.len(), job.category), (JobResult::Success, 0, None));
}

#[test]
fn the_columns_of_gh_give_the_same_failures() {
    let output = "tests/test_a.py::test_one FAILED    [100%]\n";
    let raw = log("pytest -v", output, 1);
    let columns: String = raw.lines().map(|line| format!("test (3.12)\tRun tests\t{line}\n")).collect();
    let (one, two) = (read(&raw), read(&columns));
    assert_eq!(one.failures[0].key, two.failures[0].key);
    assert_eq!(two.job.as_deref(), Some("test (3.12)"));
    assert_eq!(two.failures[0].step.as_deref(), Some("Run tests"));
}

#[test]
fn several_jobs_of_one_file_are_told_apart() {
    let one = log("pytest", "tests/a.py::t FAILED [ 1%]\n", 1);
    let two = log("pytest", "", 0);
    let rows =
        |job: &str, log: &str| log.lines().map(|line| format!("{job}\tUNKNOWN STEP\t{line}\n")).collect::<String>();
    let mut detector = Detector::new("run.log");
    detector.feed(format!("{}{}", rows("a", &one), rows("b", &two)).as_bytes());
    let jobs = detector.finish();
    assert_eq!(
        jobs.iter().map(|job| (job.job.as_deref(), job.result)).collect::<Vec<_>>(),
        [(Some("a"), JobResult::Failure), (Some("b"), JobResult::Success),]
    );
}

#[test]
fn an_excerpt_with_failures_failed() {
    let job = read("FAILED tests/a.py::t - ValueError: x\n============ 1 failed in 0.1s ============\n");
    assert_eq!((job.result, job.failures.len()), (JobResult::Failure, 1));
    let session = "============ test session starts ============\n============ 2 passed in 0.1s ============\n";
    let job = read(&format!("{session}FAILED tests/a.py::t - ValueError: x\n"));
    assert_eq!(job.failures.len(), 0, "a line after a whole session is nobody's");
    let job = read(
        "=========================== short test summary info ============================\nFAILED tests/a.py::t - ValueError: x\n",
    );
    assert_eq!((job.result, job.failures.len()), (JobResult::Failure, 1));
    assert_eq!(read("just a few\nlines\n").result, JobResult::Unknown);
}

#[test]
fn the_runners_own_trouble_is_infrastructure() {
    for text in [
        "The runner has received a shutdown signal. This can happen when the runner service is stopped.",
        "Unable to download artifact(s): Artifact not found for name: wheels",
        "Failed to download archive 'https://codeload.github.com/a/b/tar.gz/1' after 3 attempts.",
    ] {
        let job = read(&format!(
            "2026-01-02T03:04:05.0000000Z ##[group]Run actions/download-artifact@v4\n2026-01-02T03:04:05.0000000Z with:\n2026-01-02T03:04:05.0000000Z ##[endgroup]\n2026-01-02T03:04:05.0000000Z ##[error]{text}\n2026-01-02T03:04:05.0000000Z Cleaning up orphan processes\n"
        ));
        assert_eq!((job.category, job.result), (Some(Category::Infra), JobResult::Failure), "{text}");
    }
    let job = read(
        "2026-01-02T03:04:05.0000000Z ##[error]The job running on runner X has exceeded the maximum execution time of 360 minutes.\n",
    );
    assert_eq!(job.category, Some(Category::Timeout));
}

#[test]
fn a_group_that_a_script_prints_is_no_step() {
    let output = "##[group]Run the slow tests\nworking\n##[endgroup]\ntests/a.py::t FAILED [ 1%]\n";
    let job = ci("pytest -v", output, 1);
    assert_eq!(job.steps.len(), 2);
    assert_eq!(job.failures.len(), 1);
}

#[test]
fn a_gate_job_only_repeats_others() {
    let job = ci("echo '${{ needs.test.result }}'\nexit 1", "needs.test.result was failure\n", 1);
    assert_eq!(job.category, Some(Category::Aggregate));
}

#[test]
fn the_first_failed_step_is_the_primary_cause() {
    let one = log("pytest", "tests/a.py::t FAILED [ 1%]\n", 1);
    let text = followed(&one, "ruff check", "a.py:1:1: F401 `os` imported but unused\n", 1);
    assert_eq!(read(&text).category, Some(Category::UnitTest));
}

#[test]
fn the_prefix_of_docker_compose_is_taken_off() {
    let output = "web_1  | =========================== short test summary info ============================\nweb-1  | FAILED tests/a.py::t - ValueError: x\n";
    assert_eq!(ids(&both("docker compose up", output)), ["tests/a.py::t"]);
}

#[test]
fn an_excerpt_whose_tests_passed_has_no_failure() {
    let output = "Traceback (most recent call last):\n  File \"a.py\", line 1, in f\nValueError: logged\n============ 3 passed, 1 warning in 0.1s ============\n";
    assert!(read(output).failures.is_empty());
}

#[test]
fn a_step_that_ran_out_of_time_failed() {
    let text = log("pytest", "working\n##[error]The action 'Run tests' has timed out after 10 minutes.\n", 0);
    let job = read(&text);
    assert_eq!((job.category, job.result), (Some(Category::Timeout), JobResult::Failure));
    assert!(job.steps.last().is_some_and(|step| step.failed && step.exit.is_none()));
}

#[test]
fn a_step_that_may_fail_is_not_the_jobs_failure_when_a_tool_explains_another() {
    let text = followed(&log("./optional.sh", "no luck\n", 3), "pytest", "tests/a.py::t FAILED [ 1%]\n", 1);
    assert_eq!(read(&text).category, Some(Category::UnitTest));
}
