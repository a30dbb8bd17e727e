//! `mode: suggest`: the fix as review suggestions where the pull request shows the lines, else as a comment with the patch.

use std::{collections::BTreeMap, ops::Range};

use serde_json::{Value, json};

use super::{Setting, Target, with_sheet};
use crate::{
    github::{Client, GitHubError},
    origin::{Proposal, TokenKind},
    outcome::Repair,
    report,
    workspace::Change,
};

/// Suggestions of one review; more are for nobody to read.
const MOST: usize = 20;

/// Suggests.
pub(super) async fn suggest(
    setting: &Setting<'_>,
    target: &Target,
    change: &Change,
    repair: &mut Repair,
) -> Result<(), GitHubError> {
    let client = setting.client;
    let pull = match target.pull {
        Some(number) => Some(number),
        None => client.pulls_of_commit(&target.head).await?.iter().find(|p| p.state == "open").map(|p| p.number),
    };
    let Some(number) = pull else {
        repair.reason = Some("there is no pull request to suggest it in: the patch is in the report".to_owned());
        return Ok(());
    };
    let own = for_head(setting.fingerprint, &target.head);
    let setting = &Setting { fingerprint: &own, ..*setting };
    let marker = report::marker(&own);
    let shown = client.shown_lines(number).await?;
    // What is for the base stands on none of the pull request's lines.
    let for_base = repair.origin.as_ref().is_some_and(|origin| origin.base.is_some());
    let suggestions = suggestions(change).filter(|all| {
        !for_base
            && all.len() <= MOST
            && all.iter().all(|one| one.lines().all(|line| shown.get(&one.path).is_some_and(|s| s.contains(&line))))
    });
    let body =
        with_sheet(setting, target, TokenKind::Workflow, repair, |sheet| report::suggestion_comment(repair, sheet));
    let mut said = false;
    if let Some(suggestions) = suggestions {
        let comments: Vec<Value> = suggestions.iter().map(Suggestion::comment).collect();
        said = match client.review(number, &target.head, &body, &marker, &comments.into()).await {
            Ok(()) => true,
            // Its lines have moved meanwhile.
            Err(GitHubError::Conflict { .. }) => false,
            Err(error) => return Err(error),
        };
    }
    if !said {
        client.comment(number, &body, &marker, "the repair as a patch").await?;
    }
    let url = format!("{}/{}/pull/{number}", setting.wish.server, client.repository());
    repair.proposal = Some(Proposal {
        number,
        url,
        branch: target.into.clone(),
        into: target.into.clone(),
        draft: false,
        verified: None,
    });
    Ok(())
}

/// The pull request in which the repair of this head is suggested already.
///
/// # Errors
/// [`GitHubError`]
pub async fn suggested(client: &Client, fingerprint: &str, target: &Target) -> Result<Option<u64>, GitHubError> {
    let Some(number) = target.pull else { return Ok(None) };
    let marker = report::marker(&for_head(fingerprint, &target.head));
    Ok(client.holds(number, &marker).await?.then_some(number))
}

/// Suggestions stand on the lines of one head: another one gets its own.
fn for_head(fingerprint: &str, head: &str) -> String {
    format!("{fingerprint}{head:.12}")
}

/// Lines that are replaced.
#[derive(Debug, PartialEq, Eq)]
struct Suggestion {
    path: String,
    /// 1-based, inclusive.
    first: u64,
    last: u64,
    text: String,
}

impl Suggestion {
    fn lines(&self) -> impl Iterator<Item = u64> {
        self.first..=self.last
    }

    fn comment(&self) -> Value {
        let fence = "`".repeat(self.text.split(|c| c != '`').map(str::len).max().unwrap_or(0).max(2) + 1);
        let line = if self.text.is_empty() || self.text.ends_with('\n') { "" } else { "\n" };
        let body = format!("{fence}suggestion\n{}{line}{fence}", self.text);
        let mut comment = json!({ "path": self.path, "side": "RIGHT", "line": self.last, "body": body });
        if self.first < self.last {
            comment["start_line"] = self.first.into();
            comment["start_side"] = "RIGHT".into();
        }
        comment
    }
}

/// A change as suggestions; `None` where it is more than changed lines of text files.
fn suggestions(change: &Change) -> Option<Vec<Suggestion>> {
    let mut all = Vec::new();
    for (path, file) in &change.files {
        if file.symlink {
            return None;
        }
        let before = std::str::from_utf8(file.before.as_deref()?).ok()?;
        let after = std::str::from_utf8(file.after.as_deref()?).ok()?;
        let (old, new): (Vec<&str>, Vec<&str>) =
            (before.split_inclusive('\n').collect(), after.split_inclusive('\n').collect());
        let mut changed: Vec<(Range<usize>, Range<usize>)> = Vec::new();
        let ops = similar::capture_diff_slices(similar::Algorithm::Myers, &old, &new);
        for op in ops.iter().filter(|op| op.tag() != similar::DiffTag::Equal) {
            let (mut was, mut is) = (op.old_range(), op.new_range());
            // What is only added stands with the line before it, or the first line after.
            match (was.is_empty(), was.start) {
                (true, 0) => (was.end, is.end) = (was.end + 1, is.end + 1),
                (true, _) => (was.start, is.start) = (was.start - 1, is.start - 1),
                _ => {}
            }
            match changed.last_mut() {
                // No line stands in two suggestions.
                Some((known, news)) if was.start < known.end => {
                    (known.end, news.end) = (was.end.max(known.end), is.end.max(news.end))
                }
                _ => changed.push((was, is)),
            }
        }
        for (was, is) in changed {
            old.get(was.clone()).filter(|lines| !lines.is_empty())?;
            let (first, last) = (was.start as u64 + 1, was.end as u64);
            all.push(Suggestion { path: path.clone(), first, last, text: new.get(is)?.concat() });
        }
    }
    Some(all)
}

/// The lines of the new side that a unified diff's hunks show.
pub(crate) fn lines_of_patch(patch: &str) -> Vec<u64> {
    let (mut lines, mut at) = (Vec::new(), 0u64);
    for line in patch.lines() {
        if let Some(header) = line.strip_prefix("@@ ") {
            let new = header.split(' ').find_map(|part| part.strip_prefix('+'));
            at = new.and_then(|new| new.split(',').next()?.parse().ok()).unwrap_or(0);
        } else if at > 0 && !line.starts_with(['-', '\\']) {
            lines.push(at);
            at = at.saturating_add(1);
        }
    }
    lines
}

impl crate::github::Client {
    /// The lines of each file that a pull request shows on its new side.
    async fn shown_lines(&self, number: u64) -> Result<BTreeMap<String, Vec<u64>>, GitHubError> {
        let files = self.pull_files(number).await?;
        Ok(files.into_iter().map(|file| (file.filename, lines_of_patch(&file.patch))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::FileChange;
    use proptest::prelude::*;

    fn change(before: &str, after: &str) -> Change {
        let bytes = |text: &str| Some(text.as_bytes().to_vec());
        let file = FileChange { before: bytes(before), after: bytes(after), executable: false, symlink: false };
        Change { files: [("a.py".to_owned(), file)].into() }
    }

    #[test]
    fn changed_added_and_removed_lines_become_suggestions() {
        let of = |before, after| suggestions(&change(before, after)).unwrap();
        let one = |first, last, text: &str| Suggestion { path: "a.py".to_owned(), first, last, text: text.to_owned() };
        assert_eq!(of("a\nb\nc\n", "a\nB\nc\n"), [one(2, 2, "B\n")]);
        assert_eq!(of("a\nb\n", "a\nx\nb\n"), [one(1, 1, "a\nx\n")]);
        assert_eq!(of("a\n", "x\na\n"), [one(1, 1, "x\na\n")]);
        assert_eq!(of("a\nb\nc\n", "a\nc\n"), [one(2, 2, "")]);
        assert_eq!(one(2, 3, "``` x\n").comment()["body"], "````suggestion\n``` x\n````");
        assert_eq!(one(2, 3, "x").comment()["start_line"], 2);
    }

    #[test]
    fn the_lines_that_a_pull_request_shows_are_those_of_its_hunks() {
        assert_eq!(lines_of_patch("@@ -1,3 +1,3 @@ def x\n a\n-b\n+B\n c\n@@ -9 +9,2 @@\n i\n+j\n"), [1, 2, 3, 9, 10]);
    }

    proptest! {
        #[test]
        fn suggestions_applied_from_the_end_make_the_new_text(before in "([ab]\n){1,8}", after in "([ab]\n){1,8}") {
            let mut lines: Vec<String> = before.split_inclusive('\n').map(str::to_owned).collect();
            for one in suggestions(&change(&before, &after)).unwrap().iter().rev() {
                lines.splice(one.first as usize - 1..one.last as usize, [one.text.clone()]);
            }
            prop_assert_eq!(lines.concat(), after);
        }

        #[test]
        fn no_patch_panics(patch in ".{0,200}") {
            let _ = lines_of_patch(&patch);
        }
    }
}
