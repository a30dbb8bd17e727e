//! A command that changes files as it runs, and what is kept of that: files of the project that may change, and nothing
//! else.

use std::collections::BTreeSet;

use super::{Applied, FixType, Repaired, RuleContext, tool_fixers, tree::Tree};
use crate::{
    detect::Failure,
    integrity,
    sandbox::{Finished, describe, tail},
};

/// How much of what a command printed a note quotes.
const QUOTED: usize = 300;
/// More changed files than that are no repair.
pub(super) const MOST_FILES: usize = 500;

/// What a run left.
pub(super) struct Kept {
    /// Changed, and kept; repository-relative.
    pub(super) changed: Vec<String>,
    /// Changed, and put back: they may not change.
    pub(super) refused: Vec<String>,
    /// How the command ended and what it said.
    pub(super) finished: Finished,
}

impl Kept {
    /// How the command ended, in a few words for a note.
    pub(super) fn said(&self) -> String {
        format!("it {}: {}", describe(self.finished.ended), tail(&self.finished.output, QUOTED))
    }
}

/// The failures of a check: CI's command has the check within it.
pub(super) fn failures_of<'a>(context: &RuleContext<'a>, check: &str) -> Vec<&'a Failure> {
    let fold = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let check = fold(check);
    context.failures.iter().filter(|f| f.command.as_deref().is_some_and(|c| fold(c).contains(&check))).collect()
}

/// Who changes files, for what is said of it.
pub(super) struct Author<'a> {
    /// The rule's id.
    pub(super) rule: &'static str,
    /// As the subject of a sentence.
    pub(super) name: &'a str,
    /// What was done, before the files: "Kept what the hooks change in".
    pub(super) done: String,
    /// See [`Applied`].
    pub(super) impact: String,
}

/// Lets `script` make a repair of quality: keeps what it changed, and notes what it may not change and why nothing was.
pub(super) async fn repair(
    context: &RuleContext<'_>,
    author: Author<'_>,
    script: &str,
    wanted: impl Fn(&str) -> bool,
    repaired: &mut Repaired,
) -> anyhow::Result<()> {
    let Author { rule, name, done, impact } = author;
    let kept = match keep(context, script, false, wanted).await? {
        Ok(kept) => kept,
        Err(why) => {
            repaired.note(rule, format_args!("{name}: {why}"));
            return Ok(());
        }
    };
    if !kept.refused.is_empty() {
        let files = kept.refused.join("`, `");
        repaired.note(rule, format_args!("{name} would change `{files}`, which no repair may"));
    }
    if kept.changed.is_empty() {
        repaired.note(rule, format_args!("{name} changed nothing: {}", kept.said()));
        return Ok(());
    }
    let description = format!("{done} {}.", tool_fixers::listed(&kept.changed));
    repaired.applied.push(Applied { rule, fix_type: FixType::Quality, description, impact, files: kept.changed });
    Ok(())
}

/// Runs `script`, with network where `online`, and keeps what it changed of the project's files that are `wanted`.
/// `Err` says why nothing was run or kept.
pub(super) async fn keep(
    context: &RuleContext<'_>,
    script: &str,
    online: bool,
    wanted: impl Fn(&str) -> bool,
) -> anyhow::Result<Result<Kept, String>> {
    let tree = Tree::new(context.workspace.root());
    let before = match tree.snapshot() {
        Ok(before) => before,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let own = own_files(context).await?;
    let finished = match online {
        true => context.workspace.run_online(script).await?,
        false => context.workspace.run(script).await?,
    };
    let wanted: Vec<String> = tree
        .files()
        .into_iter()
        .filter(|file| own.as_ref().is_none_or(|own| own.contains(file)) && wanted(file))
        .collect();
    let differing = tree.differing(&before, &wanted);
    let (refused, allowed): (Vec<String>, Vec<String>) = differing.into_iter().partition(|file| is_settled(file));
    let too_many = allowed.len() > MOST_FILES;
    let changed = tree.restore(&before, if too_many { &[] } else { &allowed })?;
    if too_many {
        return Ok(Err(format!("it changes {} files, which is too many for one repair", allowed.len())));
    }
    Ok(Ok(Kept { changed, refused, finished }))
}

/// The files that git has or would take; `None` where there is no git to ask. What an installation put beside them is
/// no part of the project.
async fn own_files(context: &RuleContext<'_>) -> anyhow::Result<Option<BTreeSet<String>>> {
    let script = "cd \"$(git rev-parse --show-toplevel 2>/dev/null)\"\ngit ls-files -z --cached --others --exclude-standard 2>/dev/null";
    let finished = context.workspace.run(script).await?;
    if finished.ended != crate::sandbox::Ended::Exit(0) || finished.dropped > 0 {
        return Ok(None);
    }
    let names = String::from_utf8_lossy(&finished.output);
    Ok(Some(names.split('\0').filter(|name| !name.is_empty()).map(str::to_owned).collect()))
}

/// Does a file say what is checked, and how? Nothing that repairs by running may touch it.
fn is_settled(file: &str) -> bool {
    let name = file.rsplit('/').next().unwrap_or(file);
    integrity::is_of_checks(file) || name == ".pre-commit-config.yaml" || name == ".pre-commit-hooks.yaml"
}
