use super::*;
use crate::detect::Category;

#[test]
fn a_distribution_that_is_not_there_is_missing() {
    let output = "ERROR: Could not find a version that satisfies the requirement Nothing_There==9 (from versions: none)\nERROR: No matching distribution found for Nothing_There==9\n";
    let failures = both("pip install nothing", output);
    assert_eq!(failures[0].key, missing("nothing-there"));
    assert_eq!(failures[0].category, Category::ImportDependency);
}

#[test]
fn a_dead_network_makes_it_nobodys_code() {
    let output = "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError('<x at 0x7f00>: Failed to establish a new connection: [Errno -3] Temporary failure in name resolution')': /simple/rich/\nERROR: No matching distribution found for rich\n";
    assert_eq!(both("pip install rich", output)[0].category, Category::Infra);
}

#[test]
fn metadata_that_a_backend_refuses_is_told_by_its_exception() {
    let output = "  error: subprocess-exited-with-error\n  \n  × Preparing editable metadata (pyproject.toml) did not run successfully.\n  │ exit code: 1\n  ╰─> [3 lines of output]\n      Traceback (most recent call last):\n        File \"/tmp/pip-build-env-ab12/overlay/lib/python3.12/site-packages/hatchling/metadata/core.py\", line 9, in urls\n          raise TypeError(message)\n      TypeError: URL `keywords` of field `project.urls` must be a string\n      [end of output]\n  \nerror: metadata-generation-failed\n\n× Encountered error while generating package metadata.\n╰─> See above for output.\n";
    let failures = both("pip install -e .", output);
    assert_eq!(failures.len(), 1);
    assert_eq!(failures[0].message, "TypeError: URL `keywords` of field `project.urls` must be a string");
    assert_eq!(failures[0].category, Category::ImportDependency);
    assert_eq!(failures[0].file.as_deref(), Some("pyproject.toml"));
}

#[test]
fn a_conflict_and_a_stale_lock_are_dependencies() {
    let output = "ERROR: Cannot install a==1 and b==2 because these package versions have conflicting dependencies.\nERROR: ResolutionImpossible: for help visit https://pip.pypa.io\n";
    assert_eq!(both("pip install a b", output).len(), 1);
    let output = "Error: pyproject.toml changed significantly since poetry.lock was last generated. Run `poetry lock` to fix the lock file.\n";
    assert_eq!(both("poetry check --lock", output)[0].file.as_deref(), Some("poetry.lock"));
}

#[test]
fn pips_note_on_its_resolver_is_no_failure() {
    let output = "ERROR: pip's dependency resolver does not currently take into account all the packages that are installed.\npoetry 2 requires core==2, but you have core 1 which is incompatible.\nSuccessfully installed core-1\nassertion went wrong\n";
    assert!(matches!(both("sh run.sh", output)[0].key, Key::Command { .. }));
}

#[test]
fn a_script_that_died_is_placed_in_the_deepest_frame_of_the_repository() {
    let output = "Traceback (most recent call last):\n  File \"/sandbox/tree/tools/run.py\", line 3, in <module>\n    main()\n  File \"/sandbox/tree/shop/cart.py\", line 9, in main\n    json.loads('')\n  File \"/usr/lib/python3.12/json/decoder.py\", line 355, in raw_decode\n    raise JSONDecodeError\njson.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)\n";
    let failures = both("python tools/run.py", output);
    assert_eq!((failures[0].file.as_deref(), failures[0].line), (Some("shop/cart.py"), Some(9)));
    assert_eq!(
        failures[0].key,
        Key::Command { command: "python tools/run.py".into(), error: "JSONDecodeError".into() }
    );
    assert_eq!(failures[0].category, Category::RuntimeError);
}

#[test]
fn a_script_that_does_not_parse_is_a_syntax_error() {
    let output =
        "  File \"/sandbox/tree/tools/run.py\", line 3\n    def f(:\n          ^\nSyntaxError: invalid syntax\n";
    let failures = both("python tools/run.py", output);
    assert_eq!((failures[0].category, failures[0].line), (Category::SyntaxError, Some(3)));
}

#[test]
fn a_command_that_says_nothing_fails_with_its_exit_code() {
    let failures = both("./check.sh", "all is not well\n");
    assert_eq!(failures[0].key, Key::Command { command: "./check.sh".into(), error: "exit 1".into() });
}

#[test]
fn a_tool_that_is_not_installed_is_missing() {
    for output in [
        "/opt/hostedtoolcache/Python/3.12.1/x64/bin/python: No module named pytest\n",
        "error: Failed to spawn: `pytest`\n  Caused by: No such file or directory (os error 2)\n",
        "/home/runner/work/_temp/0.sh: line 1: pytest: command not found\n",
        "sh: 1: pytest: not found\n",
    ] {
        assert_eq!(both("run it", output)[0].key, missing("pytest"), "{output}");
    }
}
