//! What the lines around the steps say of the job: checkout, repository, Python.

use super::Job;
use crate::detect::facts;
use crate::detect::text::{bounded, patterns};
use crate::detect::tools::{self, Mask};

patterns! {
    SHA = r"^'?([0-9a-f]{40})'?$";
    HEAD = r"^HEAD is now at ([0-9a-f]{7,40})\b";
    SYNCING = r"^Syncing repository: ([\w.-]+/[\w.-]+)$";
}

impl Job {
    /// What the lines around the steps say of the job.
    pub(super) fn around(&mut self, text: &str, mask: Mask) {
        if std::mem::take(&mut self.sha_next)
            && self.sha.is_none()
            && let Some(found) = SHA.captures(text.trim())
        {
            self.sha = Some(found[1].to_owned());
        }
        if mask & tools::JOB != 0 {
            if text.starts_with("[command]") && text.contains("git log -1 --format=") {
                self.sha_next = true;
            } else if let Some(found) = text.strip_prefix("Complete job name: ") {
                self.name.get_or_insert_with(|| bounded(found, 300).to_owned());
            } else if self.head.is_none() && text.starts_with("HEAD is now at ") {
                self.head = HEAD.captures(text).map(|found| found[1].to_owned());
            } else if self.repository.is_none()
                && text.starts_with("Syncing repository: ")
                && let Some(found) = SYNCING.captures(text)
            {
                self.sink.paths.add_own(found[1].split('/').next_back().unwrap_or_default());
                self.repository = Some(found[1].to_owned());
            }
        }
        if mask & tools::KNOWN == 0 {
            return;
        }
        if self.workspace.is_none()
            && let Some(found) = facts::workspace(text)
        {
            self.workspace = Some(found.to_owned());
            self.sink.paths.add(found);
            self.sink.paths.add_own(found.rsplit('/').next().unwrap_or_default());
        }
        if let Some(found) = facts::python(text) {
            if found.matches('.').count() >= 2 {
                self.python.get_or_insert(found);
            } else {
                self.asked.get_or_insert(found);
            }
        }
    }
}
