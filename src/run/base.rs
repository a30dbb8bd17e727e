//! Does it fail on the base already? Then the repair is for the base, and not for the pull request that met it.

use std::collections::BTreeSet;

use anyhow::Result;

use super::collect::{self, Collected};
use crate::{
    detect::{Category, Failure, JobLog, Key},
    github::{Client, Run},
};

/// The base, where it shows the same failures.
pub(super) struct FailingBase {
    pub(super) branch: String,
    pub(super) sha: String,
    pub(super) logs: Vec<JobLog>,
    pub(super) collected: Collected,
}

/// Looks at the newest run of the same workflow on the base of the pull request. Every failure of the run must show there
/// too, and the base must still stand at that commit.
pub(super) async fn failing_base(
    client: &Client,
    run: &Run,
    logs: &[JobLog],
    _collected: &Collected,
) -> Result<Option<FailingBase>> {
    let Some(pull) = run.pull_requests.first().filter(|_| run.event.starts_with("pull_request")) else {
        return Ok(None);
    };
    let branch = pull.base.branch.clone();
    if branch.is_empty() || run.workflow_id == 0 {
        return Ok(None);
    }
    let Some(latest) = client.latest_run(run.workflow_id, &branch).await? else { return Ok(None) };
    if latest.conclusion != "failure" || client.branch_head(&branch).await?.as_deref() != Some(&latest.head_sha) {
        return Ok(None);
    }
    let names: BTreeSet<&str> = logs.iter().filter_map(|log| log.job.as_deref()).collect();
    let (collected, of_base) = collect::logs_of(client, &latest, &names).await?;
    let there: BTreeSet<&Key> = keys(&of_base).collect();
    if collected.logs.is_empty() || there.is_empty() || !keys(logs).all(|key| there.contains(key)) {
        return Ok(None);
    }
    Ok(Some(FailingBase { branch, sha: latest.head_sha, logs: of_base, collected }))
}

fn keys(logs: &[JobLog]) -> impl Iterator<Item = &Key> {
    let of_code = |failure: &&Failure| !matches!(failure.category, Category::Infra | Category::Aggregate);
    logs.iter().flat_map(|log| &log.failures).filter(of_code).map(|failure| &failure.key)
}
