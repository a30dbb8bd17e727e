//! A fix of the tested tree on the head that gets it: the head may have moved, and a pull request's run tested its merge
//! commit. What lands on another tree than the one that it was proven on is merged text by text, and a moved head is proven
//! again.

use anyhow::{Context as _, Result};

use super::{Setting, Target};
use crate::{
    input::BadInput,
    outcome::{Outcome, Repair, Verdict, Verification},
    pipeline::Request,
    verify::{self, VerifyOptions},
    workspace::{Change, Checkout, FileChange, merge_text},
};

/// The change as it is to be committed on `target.head`, which becomes the newest head. `Err` says why it can't be.
pub(super) async fn onto_head(
    setting: &Setting<'_>,
    checkout: &Checkout,
    target: &mut Target,
    change: Change,
    repair: &mut Repair,
) -> Result<std::result::Result<Change, String>> {
    let Some(head) = setting.client.branch_head(&target.into).await? else {
        return Ok(Err(format!("superseded: the branch {} is gone", target.into)));
    };
    if head == target.head {
        let change = moved(checkout, &head, &change)?;
        return Ok(change.and_then(|change| match change.files.is_empty() {
            // A pull request's merge commit failed for what its base has.
            true => Err(format!("{} has what the fix brings already: bring it up to its base", target.into)),
            false => Ok(change),
        }));
    }
    let note = format!("{} moved from {:.12} to {head:.12} meanwhile", target.into, target.head);
    let newer = Checkout::new(&format!("{}/{}.git", setting.wish.server, setting.client.repository()))?;
    newer.fetch(setting.wish.token.as_deref(), &[&head]).await?;
    newer.check_out(&head)?;
    let change = match moved(&newer, &head, &change)? {
        Ok(change) if change.files.is_empty() => return Ok(Err(format!("superseded: {note}, and holds the repair"))),
        Ok(change) => change,
        Err(why) => return Ok(Err(format!("superseded: {note}; {why}"))),
    };
    match judged_again(setting, &newer, &change, repair).await? {
        Verdict::Proven => {}
        Verdict::Flagged => repair.outcome = Outcome::Flagged,
        other => return Ok(Err(format!("superseded: {note}, and there the repair is {}", other.words()))),
    }
    repair.learned.notes.push(format!("{note}: the repair was proven again there"));
    repair.patch = change.diff()?;
    if let Some(fix) = repair.fix.as_mut() {
        fix.diff = String::from_utf8_lossy(&repair.patch).into_owned();
    }
    // Its subjects and owners are asked for.
    checkout.fetch(setting.wish.token.as_deref(), &[&head]).await?;
    target.head = head;
    Ok(Ok(change))
}

/// The change on another commit's files.
fn moved(checkout: &Checkout, commit: &str, change: &Change) -> Result<std::result::Result<Change, String>> {
    let mut files = std::collections::BTreeMap::new();
    for (path, file) in &change.files {
        let there = checkout.file(commit, path)?;
        let after = if there == file.before {
            file.after.clone()
        } else if there == file.after {
            continue;
        } else {
            match (&file.after, &file.before, &there) {
                (Some(after), Some(before), Some(there)) => match merge_text(after, before, there)? {
                    Some(merged) => Some(merged),
                    None => return Ok(Err(format!("{path} differs there, and the repair does not fit"))),
                },
                _ => return Ok(Err(format!("{path} differs there, and the repair does not fit"))),
            }
        };
        files.insert(path.clone(), FileChange { before: there, after, ..file.clone() });
    }
    Ok(Ok(Change { files }))
}

async fn judged_again(setting: &Setting<'_>, newer: &Checkout, change: &Change, repair: &Repair) -> Result<Verdict> {
    let patch = newer.beside().join("again.patch");
    std::fs::write(&patch, change.diff()?).context("the patch cannot be written")?;
    let request = Request { repository: newer.root().to_owned(), ..setting.request.clone() };
    let declared = repair.fix.as_ref().and_then(|fix| fix.fix_type.parse().ok());
    let mut verification = Verification::new();
    let options = VerifyOptions { declared };
    match verify::verify(&request, &patch, &options, setting.progress, &mut verification).await {
        Ok(()) => Ok(verification.verdict),
        Err(error) if error.is::<BadInput>() => Ok(Verdict::Failed),
        Err(error) => Err(error),
    }
}
