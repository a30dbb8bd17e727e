//! The texts that are written, and how they get into the repository.

use std::{fs, io::Write as _, path::Path};

use anyhow::{Context as _, Result};

use crate::{input::BadInput, workspace::inside};

/// The action without its version.
pub(super) const ACTION_NAME: &str = "org/test-repair";

/// The action as workflows use it.
pub const ACTION: &str = "org/test-repair@v1";

/// The workflow that is written for a workflow called `CI` where nothing is opted into; for others its marked lines are
/// replaced.
pub const EXAMPLE: &str = include_str!("../../.github/example/test-repair.yml");

/// The lines of [`EXAMPLE`] that depend on the repository and on what is opted into.
const WORKFLOWS: &str = "    workflows: [CI]\n";
const ACTIONS: &str = "      actions: read # the run, its jobs and their logs\n";
const PULL_REQUESTS: &str = "      pull-requests: write # the pull request, or the comment with the diagnosis\n";

/// No line of ours is longer.
const WIDTH: usize = 120;

/// What the user opts into.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Opted {
    /// Rerun what failed for no fault of the code so many times.
    pub reruns: Option<u8>,
    /// Open an issue where there is no fix.
    pub issues: bool,
}

impl Opted {
    /// The configuration for it: key, value, and what it does.
    pub(super) fn configuration(self) -> Vec<(&'static str, String, &'static str)> {
        let reruns = self
            .reruns
            .map(|n| ("reruns", n.to_string(), "failed jobs are run again so often where the code is not at fault"));
        let issue =
            self.issues.then(|| ("issue", "true".to_owned(), "where there is no fix, the diagnosis is an issue"));
        reruns.into_iter().chain(issue).collect()
    }

    fn actions(self) -> String {
        match self.reruns {
            Some(_) => {
                "      actions: write # the run and its logs, and running failed jobs again (--reruns)\n".to_owned()
            }
            None => ACTIONS.to_owned(),
        }
    }

    fn pull_requests(self) -> String {
        let issues =
            if self.issues { "      issues: write # the issue where there is no fix (--issues)\n" } else { "" };
        format!("{PULL_REQUESTS}{issues}")
    }
}

/// The workflow that watches the workflows of these names.
pub(super) fn workflow(names: &[&str], opted: Opted) -> String {
    let quoted: Vec<String> = names.iter().map(|name| quoted(name)).collect();
    let mut list = format!("    workflows: [{}]\n", quoted.join(", "));
    if list.len() > WIDTH {
        list = quoted.iter().fold("    workflows:\n".to_owned(), |list, name| format!("{list}      - {name}\n"));
    }
    EXAMPLE.replacen(WORKFLOWS, &list, 1).replacen(ACTIONS, &opted.actions(), 1).replacen(
        PULL_REQUESTS,
        &opted.pull_requests(),
        1,
    )
}

/// The job that repairs the run that it is part of, as the last of these jobs.
pub(super) fn job(jobs: &[String], opted: Opted) -> String {
    let ids: Vec<String> = jobs.iter().map(|id| quoted(id)).collect();
    let mut needs = format!("    needs: [{}]\n", ids.join(", "));
    if needs.len() > WIDTH {
        needs = ids.iter().fold("    needs:\n".to_owned(), |list, id| format!("{list}      - {id}\n"));
    }
    let id = if jobs.iter().any(|id| id == "test-repair") { "test-repair-job" } else { "test-repair" };
    format!(
        "  # Written by `test-repair init --same-run`. When a job fails, finds out why, repairs it, proves the repair, and\n  \
         # opens a pull request with the evidence. It waits for all other jobs: add new ones to `needs`. A pull request\n  \
         # from a fork has no secrets and may not write: there it only says what failed.\n  \
         {id}:\n    \
         name: Repair\n\
         {needs}    \
         if: failure()\n    \
         runs-on: ubuntu-latest\n    \
         timeout-minutes: 60\n    \
         permissions:\n\
         {}      contents: write # the branch with the fix; never a push to yours\n\
         {}    \
         steps:\n      \
         # `v1` moves with our releases. To hold it still, write the commit instead:\n      \
         #   git ls-remote https://github.com/{ACTION_NAME} v1    prints it\n      \
         #   uses: {ACTION_NAME}@<40 hexadecimal digits> # v1\n      \
         - uses: {ACTION} # zizmor: ignore[unpinned-uses] how to pin it is said above\n        \
         with:\n          \
         # Without the key: rules and diagnosis only. An environment would ask a person before each repair.\n          \
         deepseek-api-key: ${{{{ secrets.DEEPSEEK_API_KEY }}}} # zizmor: ignore[secrets-outside-env]\n",
        opted.actions(),
        opted.pull_requests(),
    )
}

/// Would GitHub evaluate something in it?
pub(super) fn is_expression(text: &str) -> bool {
    text.contains("${{")
}

/// A text as a YAML scalar of a flow or a block list: plain where nothing could read it as something else.
fn quoted(text: &str) -> String {
    const OTHER: [&str; 11] = ["true", "false", "yes", "no", "on", "off", "y", "n", "null", "nan", "inf"];
    let plain = |c: char| c.is_ascii_alphanumeric() || " _-./()".contains(c);
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic());
    if starts
        && !text.ends_with(' ')
        && text.chars().all(plain)
        && !OTHER.iter().any(|word| text.eq_ignore_ascii_case(word))
    {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            // Whatever could end a line, hide or reorder text.
            c if c.is_control()
                || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}') =>
            {
                quoted.push_str(&format!("\\u{:04X}", u32::from(c)));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// The text of a file of the repository, where it is there.
///
/// # Errors
/// [`BadInput`] for what is no plain file below the root.
pub(super) fn existing(root: &Path, path: &str) -> Result<Option<String>> {
    let full =
        inside(root, path).ok_or_else(|| BadInput(format!("{path} leads out of the repository: it is left alone")))?;
    let Ok(meta) = full.symlink_metadata() else { return Ok(None) };
    if !meta.is_file() {
        return Err(BadInput(format!("{path} is no plain file: it is left alone")).into());
    }
    let bytes = fs::read(&full).with_context(|| format!("{path} cannot be read"))?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// Writes a file of the repository at once or not at all; only with `over` one that is there.
///
/// # Errors
/// When the disk refuses, or the file has come in the meantime.
pub(super) fn put(root: &Path, path: &str, text: &str, over: bool) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let cannot = || format!("{path} cannot be written");
    let full =
        inside(root, path).ok_or_else(|| BadInput(format!("{path} leads out of the repository: it is left alone")))?;
    let folder = full.parent().unwrap_or(root);
    fs::create_dir_all(folder).with_context(cannot)?;
    let mut file = tempfile::Builder::new()
        .prefix(".test-repair-")
        .permissions(fs::Permissions::from_mode(0o644))
        .tempfile_in(folder)
        .with_context(cannot)?;
    file.write_all(text.as_bytes()).with_context(cannot)?;
    if over {
        file.persist(&full).with_context(cannot)?;
    } else {
        file.persist_noclobber(&full).with_context(cannot)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn read(text: &str) -> Value {
        serde_saphyr::from_str(text).unwrap_or_else(|e| panic!("{e}\n{text}"))
    }

    #[test]
    fn the_example_that_is_committed_is_what_is_written() {
        assert_eq!(workflow(&["CI"], Opted::default()), EXAMPLE);
        for line in [WORKFLOWS, ACTIONS, PULL_REQUESTS] {
            assert_eq!(EXAMPLE.matches(line).count(), 1, "{line}");
        }
        assert!(EXAMPLE.contains(&format!("uses: {ACTION} ")) && ACTION.starts_with(ACTION_NAME));
        assert!(EXAMPLE.lines().all(|line| line.chars().count() <= WIDTH));
    }

    #[test]
    fn permissions_grow_only_with_what_is_opted_into() {
        let permissions = |opted| read(&workflow(&["CI"], opted))["jobs"]["repair"]["permissions"].clone();
        let least = json!({"actions": "read", "contents": "write", "pull-requests": "write"});
        assert_eq!(permissions(Opted::default()), least);
        let all = json!({"actions": "write", "contents": "write", "pull-requests": "write", "issues": "write"});
        let opted = Opted { reruns: Some(2), issues: true };
        assert_eq!(permissions(opted), all);
        assert_eq!(
            read(&format!("jobs:\n{}", job(&["a".to_owned()], opted)))["jobs"]["test-repair"]["permissions"],
            all
        );
        assert_eq!(read(EXAMPLE)["permissions"], json!({}));
    }

    #[test]
    fn the_job_waits_for_all_others() {
        let jobs = ["test", "lint", "on", "null"].map(str::to_owned);
        let value = read(&format!("jobs:\n{}", job(&jobs, Opted::default())));
        assert_eq!(value["jobs"]["test-repair"]["needs"], json!(jobs));
        assert_eq!(value["jobs"]["test-repair"]["if"], "failure()");
        let many: Vec<String> = (0..60).map(|n| format!("job-{n}")).collect();
        let value = read(&format!("jobs:\n{}", job(&many, Opted::default())));
        assert_eq!(value["jobs"]["test-repair"]["needs"], json!(many));
        let taken = job(&["test-repair".to_owned()], Opted::default());
        assert_eq!(read(&taken)["test-repair-job"]["needs"], json!(["test-repair"]));
    }

    proptest! {
        #[test]
        fn any_name_is_read_back_as_it_was(names in prop::collection::vec("(?s).{1,30}|[a-z:#&*!,%@'\"\\\\\\[\\]{}? -]{1,8}|on|1e3|0x1|~|null", 1..12)) {
            let list: Vec<&str> = names.iter().map(String::as_str).collect();
            let written = workflow(&list, Opted::default());
            prop_assert_eq!(&read(&written)["on"]["workflow_run"]["workflows"], &json!(list), "{}", written);
        }
    }
}
