//! Runs that tried to repair one commit: each leaves a ref that no branch list shows, so that two runs at once count as
//! two, and a killed one counts as well. Old ones are removed by later runs.

use jiff::{Timestamp, ToSpan as _, civil::Date, tz::TimeZone};

use crate::github::{Client, GitHubError};

/// Below `refs/`.
const PLACE: &str = "test-repair";
/// Days after which nobody repairs that commit any more.
const KEPT: i64 = 14;
/// Old refs that one run removes.
const SWEPT: usize = 5;

/// Enters an attempt at this commit. Says why not, where there were enough.
pub(super) async fn spend(
    client: &Client,
    sha: &str,
    most: u32,
    notes: &mut Vec<String>,
) -> Result<Option<String>, GitHubError> {
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
    let known = client.references(&format!("{PLACE}/")).await?;
    let names = || known.iter().filter_map(|found| found.name.strip_prefix("refs/"));
    for old in names().filter(|name| is_old(name, today)).take(SWEPT) {
        client.delete_reference(old, "an attempt of long ago").await?;
    }
    let mut number = names().filter(|name| name.contains(sha)).count() as u32 + 1;
    while number <= most {
        let name = format!("{PLACE}/{today}/{sha}/{number}");
        match client.create_reference(&name, sha, "this attempt at the commit").await {
            Ok(true) => return Ok(None),
            // Another run has this number.
            Ok(false) => number += 1,
            Err(error @ (GitHubError::Forbidden { .. } | GitHubError::NotFound { .. })) => {
                notes.push(format!("this attempt could not be counted: {error}"));
                return Ok(None);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Some(format!("{sha:.12} was tried {most} times already (`attempts` in the configuration)")))
}

fn is_old(name: &str, today: Date) -> bool {
    let date = name.split('/').nth(1).and_then(|date| date.parse::<Date>().ok());
    date.is_some_and(|date| date.saturating_add(KEPT.days()) < today)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_kept_for_two_weeks() {
        let today: Date = "2026-11-28".parse().unwrap();
        assert!(!is_old("test-repair/2026-11-14/abc/1", today));
        assert!(is_old("test-repair/2026-11-13/abc/1", today));
        assert!(!is_old("test-repair/what/abc/1", today));
    }
}
