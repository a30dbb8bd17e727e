use super::*;
use crate::detect::{Step, StepKind};

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
