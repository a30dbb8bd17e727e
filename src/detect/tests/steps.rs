use super::*;
use crate::detect::{Category, JobResult, Seeds, Step, StepKind};

#[test]
fn a_step_has_its_script_shell_and_environment() {
    let command = "python -m pip install -e .\npython -m pytest";
    let job = ci(command, "hello\n", 2);
    let step = job.steps.last().expect("a step");
    assert_eq!(step.kind, StepKind::Run { script: command.into(), shell: Some("/usr/bin/bash -e {0}".into()) });
    assert_eq!(step.env.get("PIP_NO_INPUT").map(String::as_str), Some("1"));
    assert_eq!((step.exit, step.failed), (Some(2), true));
    let checkout = &job.steps[0];
    assert!(
        matches!(&checkout.kind, StepKind::Uses { action, with } if action == "actions/checkout@v5" && with["repository"] == "acme/shop")
    );
    assert_eq!((checkout.exit, checkout.failed), (Some(0), false));
}

#[test]
fn the_job_knows_its_checkout() {
    let job = ci("true", "", 0);
    assert_eq!(job.job.as_deref(), Some("linux (3.12)"));
    assert_eq!(job.workspace.as_deref(), Some(WORKSPACE));
    assert_eq!(job.repository.as_deref(), Some("acme/shop"));
    assert_eq!(job.sha.as_deref(), Some("0123456789abcdef0123456789abcdef01234567"));
}

#[test]
fn a_step_knows_when_it_began_and_the_seeds_that_it_names() {
    let output = "Using --randomly-seed=3083905216\npy311: PYTHONHASHSEED='42'\nUsing --randomly-seed=1\n";
    let step = ci("pytest", output, 1).steps.pop().expect("a step");
    assert_eq!(step.seeds, Seeds { randomly: Some(3_083_905_216), hash: Some(42) });
    assert!(step.started.is_some(), "{step:?}");
}

fn installed(output: &str) -> Step {
    ci("pip install -e .", output, 0).steps.pop().expect("a step")
}

#[test]
fn installed_versions_are_cut_at_the_version() {
    let step = installed(
        "Successfully installed Jinja2-3.1.6 pytest-cov-4.1.0 types-PyYAML-6.0.12.20250516 torch-2.1.0+cu118 x-y-2024.8.6rc1\n",
    );
    let wanted = [
        ("Jinja2", "3.1.6"),
        ("pytest-cov", "4.1.0"),
        ("types-PyYAML", "6.0.12.20250516"),
        ("torch", "2.1.0+cu118"),
        ("x-y", "2024.8.6rc1"),
    ];
    let wanted: Vec<(String, String)> =
        wanted.iter().map(|(name, version)| ((*name).to_owned(), (*version).to_owned())).collect();
    assert_eq!(step.installed, wanted);
}

#[test]
fn other_installers_lists_are_read() {
    let step = installed(
        "Installed 2 packages in 3ms\n + click==8.1.7\n + shop==0.1.0 (from file:///sandbox/tree)\n  - Installing rich (13.7.1)\n",
    );
    assert_eq!(step.installed.len(), 3);
    assert_eq!(step.local_packages, ["shop"]);
}

#[test]
fn packages_of_this_machine_are_named() {
    let step = installed(
        "Obtaining file:///sandbox/tree/sub\n  Preparing editable metadata (pyproject.toml): started\nBuilding wheels for collected packages: shop\n  Building editable for shop (pyproject.toml): started\n",
    );
    assert_eq!(step.local_packages, ["shop"]);
    assert_eq!(step.directory.as_deref(), Some("/home/runner/work/shop/shop/sub"));
    let step = installed(
        "Processing ./.\n  Downloading old-1.0.tar.gz (3 kB)\n  Building wheel for old (setup.py): started\n  Building wheel for shop (pyproject.toml): started\n",
    );
    assert_eq!(step.local_packages, ["shop"]);
}

#[test]
fn an_environment_value_may_have_several_lines() {
    let text = "##[group]Run x\n\u{1b}[36;1mx\u{1b}[0m\nshell: /usr/bin/bash -e {0}\nenv:\n  KEY: first\nsecond\n  OTHER: 1\n##[endgroup]\n";
    let text: String = text.lines().map(|line| format!("2026-01-02T03:04:05.0000000Z {line}\n")).collect();
    let job = read(&text);
    assert_eq!(job.steps[0].env["KEY"], "first\nsecond");
    assert_eq!(job.steps[0].env["OTHER"], "1");
}

/// A whole job's log, its only other step a checkout's.
fn action(action: &str, output: &str) -> JobLog {
    let text = format!(
        "##[group]Run {action}\nwith:\n  retries: 1\n##[endgroup]\n{output}Post job cleanup.\n[command]/usr/bin/git version\nCleaning up orphan processes\n"
    );
    let text: String = text.lines().map(|line| format!("2026-01-02T03:04:05.0000000Z {line}\n")).collect();
    read(&text)
}

#[test]
fn what_a_failing_action_printed_is_what_failed() {
    let job = action(
        "game/builder@v4",
        "src/camera.cs(29,20): error CS1061: no Damping\n##[error]Build failed with exit code 1\n",
    );
    assert_eq!((job.result, job.failures.len()), (JobResult::Failure, 1));
    let found = &job.failures[0];
    assert_eq!((found.file.as_deref(), found.line), (Some("src/camera.cs"), Some(29)));
    assert_eq!(found.step.as_deref(), Some("game/builder@v4"));
    let job = action(
        "acme/run-pytest@v2",
        "FAILED tests/test_a.py::test_x - assert 1 == 2\n=== 1 failed in 0.10s ===\n##[error]The process '/usr/bin/python' failed with exit code 1\n",
    );
    assert_eq!(job.failures[0].test_id.as_deref(), Some("tests/test_a.py::test_x"));
    assert_eq!(job.category, Some(Category::UnitTest));
}

#[test]
fn an_actions_own_stack_says_less_than_the_action() {
    let job = action(
        "school/check@v1",
        "##[error]The tests have failed.\nfile:///home/runner/work/_actions/school/check/v1/index.js:149\n    return response.catch(\n    ^\nError: The process '/usr/bin/docker' failed with exit code 2\n    at ExecState.done (file:///home/runner/work/_actions/school/check/v1/index.js:149:1)\n",
    );
    assert_eq!((job.failures.len(), job.failures[0].message.as_str()), (1, "The tests have failed."));
    assert_eq!(job.category, Some(Category::UnitTest));
}

#[test]
fn findings_of_an_action_that_went_on_are_not_failures() {
    let job = action("game/builder@v4", "src/camera.cs(29,20): error CS1061: no Damping\n");
    assert_eq!((job.result, job.failures.len()), (JobResult::Success, 0));
}

#[test]
fn what_a_script_reports_as_an_error_is_its_last_word() {
    let job = ci("./review", "##[error]Action failed: no such user\nInternal error: none of your business\n", 1);
    assert_eq!(job.failures[0].message, "Action failed: no such user");
}
