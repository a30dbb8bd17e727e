//! The annotations that matter: one for a cause, those with a place first.

use std::collections::BTreeSet;

use crate::{
    actions::{Annotation, Level},
    outcome::{Outcome, Repair},
};

/// GitHub shows ten of a level for a step.
const MOST: usize = 9;

/// What is shown on files and on the run.
pub fn annotations(repair: &Repair) -> Vec<Annotation> {
    let mut all = Vec::new();
    let fixed = matches!(repair.outcome, Outcome::Fixed | Outcome::Flagged);
    let level = if fixed && !super::stranded(repair) { Level::Notice } else { Level::Warning };
    let title = format!("test-repair: {}", repair.headline());
    if let Some(proposal) = &repair.proposal {
        let message = format!("pull request {}: {}", proposal.number, proposal.url);
        all.push(Annotation {
            level: Level::Notice,
            file: None,
            line: None,
            end_line: None,
            title: Some(title.clone()),
            message,
        });
    } else if let Some(reason) = &repair.reason {
        all.push(Annotation {
            level,
            file: None,
            line: None,
            end_line: None,
            title: Some(title.clone()),
            message: reason.clone(),
        });
    }
    let mut seen = BTreeSet::new();
    let mut failures: Vec<_> = repair.learned.targets.iter().flat_map(|target| &target.failures).collect();
    failures.retain(|failure| seen.insert(failure.fingerprint.clone()));
    failures.sort_by_key(|failure| (failure.file.is_none(), failure.line.is_none()));
    all.extend(failures.into_iter().take(MOST).map(|failure| Annotation {
        level,
        file: failure.file.clone(),
        line: failure.line.filter(|_| failure.file.is_some()),
        end_line: None,
        title: Some(format!("{} {}", failure.tool, if fixed { "(repaired)" } else { "" }).trim().to_owned()),
        message: failure.message.clone(),
    }));
    all
}
