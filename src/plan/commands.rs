//! What a single command says of itself: does it build, does it copy the project, which program does it need.

use super::{actions::TOOLS, shell};
use crate::detect::replace_root;

/// The program of [`TOOLS`] that a command runs, and whether as a module (`python -m tox`).
pub(super) fn program(command: &str) -> Option<(&'static str, bool)> {
    let words = shell::words_of(command);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if shell::tool_arguments(&words, "uvx").is_some() {
        return Some(("uv", false));
    }
    let tool = TOOLS.into_iter().find(|tool| shell::tool_arguments(&words, tool).is_some())?;
    Some((tool, words.windows(2).any(|pair| pair == ["-m", tool])))
}

/// A command line without some options: `flags` stand alone, `valued` have their value behind a blank or `=`.
pub(super) fn without(line: &str, flags: &[&str], valued: &[&str]) -> String {
    let mut words = line.split(' ');
    let mut kept = Vec::new();
    while let Some(word) = words.next() {
        if valued.contains(&word) {
            words.next();
        } else if !flags.contains(&word) && !word.split_once('=').is_some_and(|(name, _)| valued.contains(&name)) {
            kept.push(word);
        }
    }
    kept.join(" ")
}

/// Does the command make an environment of the project's own?
pub(super) fn makes_environment(command: &str) -> bool {
    let words = shell::words_of(command);
    let made = words.iter().any(|word| matches!(word.as_str(), "venv" | "virtualenv"));
    // Those of programs are none of the project's.
    (made && !command.contains("$VIRTUAL_ENV/tools/")) || command.contains("uv sync")
}

/// Does the line only activate an environment: one that nothing has `made`?
pub(super) fn activates(line: &str, made: bool) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        ["source" | ".", place] => {
            let place = place.trim_matches('"');
            place == "$VENV" || (!made && (place.ends_with("/activate") || place.ends_with("/Activate")))
        }
        _ => false,
    }
}

/// Does this command install a program of [`TOOLS`]?
pub(super) fn brings(command: &str, tool: &str) -> bool {
    let named = |word: &str| {
        let rest = word.trim_matches(['"', '\'']).strip_prefix(tool);
        rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.')))
    };
    command.contains(&format!("tools/{tool}"))
        || (program(command).is_none_or(|(own, _)| own != tool)
            && command.contains("install")
            && command.split_whitespace().skip(1).any(named))
}

/// `pip install dist/*.whl`
pub(super) fn installs_what_was_built(command: &str) -> bool {
    command.split_whitespace().any(|word| {
        let word = word.trim_matches(['"', '\'']).trim_start_matches("./");
        let word = word.strip_prefix("--find-links=").unwrap_or(word).trim_start_matches("./");
        word == "dist" || word.starts_with("dist/") || word.starts_with("wheelhouse/")
            // One at an address is nobody's artefact.
            || (word.ends_with(".whl") && !word.contains("://"))
    })
}

pub(super) fn builds(command: &str) -> bool {
    let words = shell::words_of(command);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let second = |tool: &str| shell::tool_arguments(&words, tool).and_then(<[&str]>::first) == Some(&"build");
    shell::tool_arguments(&words, "build").is_some()
        || shell::tool_arguments(&words, "pyproject-build").is_some()
        || ["uv", "hatch", "poetry", "pdm", "flit"].into_iter().any(second)
        || words.contains(&"bdist_wheel")
        || words.contains(&"sdist")
}

/// Paths below the runner's checkout are paths below the tree.
pub(super) fn in_workspace(text: &str, workspace: Option<&str>) -> String {
    match workspace.filter(|root| root.len() > 4) {
        Some(root) => replace_root(text, root, "$GITHUB_WORKSPACE"),
        None => text.to_owned(),
    }
}

pub(super) fn is_posix(shell: &str) -> bool {
    let program = shell.split_whitespace().next().unwrap_or_default();
    matches!(program.rsplit('/').next(), Some("bash" | "sh" | "dash"))
}

/// `pip install .` copies the project; `pip install -e .` points at it. What tools do in environments of their own is
/// seen when they are built.
pub(super) fn copies_project(command: &str) -> bool {
    let words = shell::words_of(command);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if words.contains(&"setup.py") {
        return true;
    }
    let editable = |i: usize| i > 0 && matches!(words[i - 1], "-e" | "--editable");
    words.iter().enumerate().any(|(i, w)| {
        let path = w.split('[').next().unwrap_or(w);
        (path == "." || path == ".." || path.starts_with("./") || path.starts_with("../"))
            && !editable(i)
            && !w.ends_with(".txt")
    }) || installs_what_was_built(command)
}
