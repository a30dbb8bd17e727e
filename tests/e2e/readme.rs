//! The README's commands are the ones that run here and in `.ci/run`: one fact in one place.

use std::fs;

use crate::world::{World, index, project};

fn read(path: &str) -> String {
    fs::read_to_string(project(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The lines of the README's `sh` blocks that are commands.
fn commands() -> Vec<String> {
    let readme = read("README.md");
    let blocks = readme.split("```sh\n").skip(1).map(|b| b.split("```").next().unwrap().to_owned());
    blocks.flat_map(|b| b.lines().map(str::to_owned).collect::<Vec<_>>()).filter(|l| !l.starts_with('#')).collect()
}

#[test]
fn the_two_commands_stand_first() {
    let commands = commands();
    assert!(commands[0].starts_with("cargo run --quiet -- fix --repo examples/"), "{commands:?}");
    assert!(commands[1].starts_with("cargo test"), "{commands:?}");
    // Before anything but the title and what it is.
    assert!(read("README.md").find("```sh").unwrap() < 1500);
}

#[test]
fn the_ci_runs_the_readmes_test_command() {
    let test = commands()[1].clone();
    let is_it = |line: &str| line.trim().trim_start_matches("- ").trim_start_matches("run: ").trim() == test;
    for file in [".ci/run", ".github/workflows/ci.yml"] {
        assert!(read(file).lines().any(is_it), "{file} does not run `{test}`");
    }
}

#[test]
fn every_command_of_the_readme_ends_as_the_readme_says() {
    let world = World::new();
    for command in commands() {
        // `command  # exits with 9`
        let (line, code) = command.split_once("  # exits with ").unwrap_or((command.as_str(), "0"));
        let Some(arguments) = line.strip_prefix("cargo run --quiet -- ") else { continue };
        if (arguments.contains("missing-dependency") || arguments.contains("/lint")) && !index() {
            continue;
        }
        let mut run = world.command();
        run.current_dir(project(".")).args(shell_words::split(arguments).unwrap());
        let output = crate::world::run(&mut run);
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), code.trim().parse().ok(), "{line}\n{said}");
    }
}

#[test]
fn every_exit_code_and_command_is_in_the_readme() {
    let (readme, world) = (read("README.md"), World::new());
    for code in [0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 130] {
        assert!(readme.contains(&format!("| {code} |")), "exit code {code}");
    }
    let help = world.run(&["--help"]).exits_with(0).stdout;
    for name in
        ["detect", "fix", "verify", "eval", "explain", "transcript", "doctor", "cache", "init", "completions", "man"]
    {
        assert!(
            help.contains(name)
                && (readme.contains(&format!("-- {name}")) || readme.contains(&format!("test-repair {name}"))),
            "{name}"
        );
    }
}

#[test]
fn the_transcript_is_one_that_this_program_prints() {
    let readme = read("README.md");
    let transcript = readme.split("```text\n").nth(1).unwrap().split("```").next().unwrap().to_owned();
    let command = commands()[0].clone();
    let arguments = shell_words::split(command.strip_prefix("cargo run --quiet -- ").unwrap()).unwrap();
    let world = World::new();
    let output = crate::world::run(world.command().current_dir(project(".")).args(arguments));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    // Times and what this machine's kernel can do differ.
    let lasting = |text: &str| -> Vec<String> {
        let kept = text.split("The sandbox").next().unwrap_or_default().lines();
        kept.map(|l| l.trim_end().to_owned()).filter(|l| !l.ends_with(" s") && !l.is_empty()).collect()
    };
    let printed = transcript.split_once("\nfixed\n").map(|(_, rest)| format!("fixed\n{rest}")).unwrap();
    assert_eq!(lasting(&printed), lasting(&said));
}
