//! What the failing commit changed, where the tree has a history.

use std::process::Stdio;

use super::{
    files::{Files, bounded, is_beside, is_python, is_test},
    told::clipped,
};
use crate::workspace::git;

/// Changed files that are shown.
const FILES: usize = 6;
/// More changed files than that are no single change: only those at hand are shown.
const MANY: usize = 200;
/// The longest diff of one file.
const DIFF: usize = 1400;
/// All of them.
const ALL: usize = 2800;

/// What changed last.
#[derive(Debug, Default)]
pub(super) struct Changed {
    /// The diff with the commit's message, bounded.
    pub(super) text: String,
    /// Lines of the product that it touched, as they stand now.
    pub(super) lines: Vec<(String, usize)>,
}

fn run(files: &Files<'_>, arguments: &[&str]) -> Option<String> {
    let mut command = git(files.tree().root());
    let output = command.args(arguments).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The change of the commit that is checked out against its first parent, with what is not committed; files in
/// `involved` come first.
pub(super) fn changed(files: &Files<'_>, involved: &[String]) -> Option<Changed> {
    files.tree().head.as_ref()?;
    run(files, &["rev-parse", "--verify", "--quiet", "HEAD~1^{commit}"])?;
    // Against the working tree: what is not committed is a part of what fails.
    let listed = run(files, &["diff", "--name-only", "-z", "--no-renames", "HEAD~1"])?;
    let paths: Vec<&str> = listed.split('\0').filter(|path| !path.is_empty() && files.has(path)).collect();
    let worth = |path: &str| match () {
        () if involved.iter().any(|known| known == path) => 0,
        () if is_python(path) && !is_test(path) && !is_beside(path) => 1,
        () if is_test(path) => 3,
        () if path.ends_with(".toml") || path.ends_with(".cfg") || path.ends_with(".txt") => 2,
        () => 9,
    };
    let most = if paths.len() > MANY { 0 } else { 3 };
    let mut chosen: Vec<(i32, &str)> =
        paths.iter().map(|path| (worth(path), *path)).filter(|(worth, _)| *worth <= most).collect();
    chosen.sort();
    let mut changed = Changed::default();
    for (_, path) in chosen.iter().take(FILES) {
        if files.text(path).is_none() {
            continue;
        }
        let arguments =
            ["diff", "--no-color", "--no-ext-diff", "--no-textconv", "--no-renames", "-U1", "HEAD~1", "--", path];
        let Some(diff) = run(files, &arguments) else { continue };
        let hunks = diff.split_once("\n@@").map_or("", |(_, hunks)| hunks);
        if hunks.is_empty() {
            continue;
        }
        if is_python(path) && !is_test(path) {
            changed.lines.extend(touched(hunks).into_iter().take(12).map(|line| ((*path).to_owned(), line)));
        }
        changed.text.push_str(&format!("--- {path}\n@@{}\n", clipped(hunks.trim_end(), DIFF)));
    }
    if changed.text.is_empty() {
        return None;
    }
    let message = run(files, &["log", "-1", "--format=%B", "HEAD"]).unwrap_or_default();
    let message = bounded(message.trim(), 300).replace('\n', "\n  ");
    changed.text = clipped(&format!("message: {message}\n{}", changed.text), ALL);
    Some(changed)
}

/// The lines of the new version that a diff's hunks begin to change.
fn touched(hunks: &str) -> Vec<usize> {
    let mut found = Vec::new();
    let mut line = 0_usize;
    let mut inside = false;
    for (at, text) in hunks.lines().enumerate() {
        let head = if at == 0 { Some(text) } else { text.strip_prefix("@@") };
        if let Some(place) = head.and_then(|head| head.split('+').nth(1)).filter(|_| at == 0 || text.starts_with("@@"))
        {
            let number: String = place.chars().take_while(char::is_ascii_digit).collect();
            line = number.parse().unwrap_or(0);
            inside = false;
            continue;
        }
        let changes = text.starts_with(['+', '-']);
        if changes && !inside {
            found.push(line.max(1));
        }
        inside = changes;
        if !text.starts_with('-') {
            line = line.saturating_add(1);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_is_found_at_its_new_line() {
        let hunks = " -1,3 +10,4 @@ def f\n a\n-b\n+c\n+d\n e\n@@ -30 +40 @@\n-x\n+y\n";
        assert_eq!(touched(hunks), [11, 40]);
    }
}
