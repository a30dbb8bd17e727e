//! propose: a validated fix becomes a pull request that people can trust, or suggestions in the one that failed.
//!
//! The order makes races and kills harmless. Tree and commit are objects that nothing shows. Then the branch is created,
//! whole: that is the lock. Then the pull request, of which GitHub allows one a branch. A run that finds the branch of
//! another finds either its pull request, or what a killed run left, and goes on from there.

pub mod codeowners;
mod landing;
mod suggest;
pub mod title;
mod transplant;

use anyhow::Result;
use sha2::{Digest as _, Sha256};

use crate::{
    config::{Config, Reviewers},
    fix_type::FixType,
    github::{Client, GitHubError, Pull},
    markup::code,
    origin::{Proposal, TokenKind},
    outcome::{Outcome, Repair},
    pipeline::Request,
    progress::Progress,
    report::{self, Sheet},
    run::{Mode, TRAILER, Wish},
    workspace::{Change, Checkout},
};

pub use landing::{Landed, Landing, NotLanded};
pub use suggest::suggested;

/// Where a repair goes.
#[derive(Debug, Clone)]
pub struct Target {
    /// The branch that gets it.
    pub into: String,
    /// Where that branch stood.
    pub head: String,
    /// The pull request that failed.
    pub pull: Option<u64>,
}

/// What a proposal is made with.
pub struct Setting<'a> {
    /// GitHub.
    pub client: &'a Client,
    /// What the door wants.
    pub wish: &'a Wish,
    /// The trusted configuration.
    pub config: &'a Config,
    /// What was repaired, to judge it again on a newer head.
    pub request: &'a Request,
    /// Who watches.
    pub progress: &'a Progress,
    /// What the repair is known by.
    pub fingerprint: &'a str,
}

/// The name of our branch: prefix + fingerprint + target. Creating it is the lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch(pub String);

impl Branch {
    /// For a repair of these failures on that branch.
    pub fn of(prefix: &str, fingerprint: &str, into: &str) -> Branch {
        let plain: String = into
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' })
            .take(40)
            .collect();
        let mut name = plain.replace("..", "-").trim_matches(['.', '-']).trim_end_matches(".lock").to_owned();
        if name != into {
            // Two branches may have one plain name.
            let hash = Sha256::digest(into.as_bytes());
            name = format!("{name}-{:02x}{:02x}{:02x}", hash[0], hash[1], hash[2]);
        }
        Branch(format!("{prefix}{fingerprint}-{name}"))
    }

    fn numbered(&self, number: usize) -> Branch {
        if number < 2 { self.clone() } else { Branch(format!("{}-{number}", self.0)) }
    }
}

/// The pull request that this repair has already: an open one, or one that a person closed (`true`). Merged ones, and those
/// that a bot closed, count for nothing: what fails again needs another repair.
///
/// # Errors
/// [`GitHubError`]
pub async fn already(client: &Client, branch: &Branch) -> Result<Option<(Proposal, bool)>, GitHubError> {
    let mut number = 1;
    loop {
        let of = branch.numbered(number);
        let pulls = client.pulls_from(&of.0).await?;
        if let Some(pull) = client.standing(&pulls).await? {
            return Ok(Some((proposal(pull, &of, None), pull.state != "open")));
        }
        if pulls.is_empty() || number >= 20 {
            return Ok(None);
        }
        number += 1;
    }
}

fn proposal(pull: &Pull, branch: &Branch, verified: Option<bool>) -> Proposal {
    Proposal {
        number: pull.number,
        url: pull.html_url.clone(),
        branch: branch.0.clone(),
        into: pull.base.branch.clone(),
        draft: pull.draft,
        verified,
    }
}

/// Proposes what was repaired, or reports that it was not.
///
/// # Errors
/// Unexpected ones; GitHub's refusals end up in `repair`, each with what to change.
pub async fn propose(
    setting: &Setting<'_>,
    checkout: &Checkout,
    mut target: Target,
    branch: &Branch,
    repair: &mut Repair,
) -> Result<()> {
    let fixed = matches!(repair.outcome, Outcome::Fixed | Outcome::Flagged);
    let Some(change) = repair.change.clone().filter(|_| fixed) else {
        issue(setting, repair).await;
        return Ok(());
    };
    let stage = setting.progress.begin("propose", format!("into {}", target.into));
    let change = match transplant::onto_head(setting, checkout, &mut target, change, repair).await? {
        Ok(change) => change,
        Err(reason) => {
            stage.end(&reason);
            repair.outcome = Outcome::Skipped;
            repair.reason = Some(reason);
            return Ok(());
        }
    };
    let done = match setting.wish.mode {
        Mode::Suggest => suggest::suggest(setting, &target, &change, repair).await,
        _ => pull_request(setting, checkout, &target, &change, branch, repair).await,
    };
    match done {
        Ok(()) => {}
        Err(error) => {
            let permission = "contents: write` and `pull-requests: write";
            let remedy = error.remedy(&setting.wish.server, setting.client.repository(), permission);
            let remedy = remedy.map(|remedy| format!(". To change it: {remedy}")).unwrap_or_default();
            repair.reason = Some(format!("the fix could not be proposed: {error}{remedy}"));
            issue(setting, repair).await;
        }
    }
    if setting.wish.mode == Mode::PullRequest {
        link_base(setting.client, repair, target.pull).await;
    }
    stage.end(
        &repair
            .proposal
            .as_ref()
            .map_or_else(|| repair.reason.clone().unwrap_or_default(), |proposal| proposal.url.clone()),
    );
    Ok(())
}

async fn pull_request(
    setting: &Setting<'_>,
    checkout: &Checkout,
    target: &Target,
    change: &Change,
    branch: &Branch,
    repair: &mut Repair,
) -> Result<(), GitHubError> {
    let Some(fix) = repair.fix.clone() else { return Ok(()) };
    let subjects = checkout.subjects(&target.head, 100).unwrap_or_default();
    let fix_type = fix.fix_type.parse().unwrap_or(FixType::Test);
    let title = title::title(&subjects, fix_type, &title::summary_of(&fix.description));
    let run = repair.origin.as_ref().map(|origin| origin.run_url()).unwrap_or_default();
    let landing = Landing {
        branch,
        head: &target.head,
        into: &target.into,
        change,
        message: &format!("{title}\n\n{TRAILER} {}\nTest-Repair-Run: {run}\n", setting.fingerprint),
        title: &title,
        body: &|token| body(setting, target, token, repair),
        draft: repair.outcome == Outcome::Flagged,
        look_every: landing::LOOK_EVERY,
    };
    let landed = landing.land(setting.client).await;
    let (server, repository) = (&setting.wish.server, setting.client.repository());
    match landed {
        Ok(Landed::Opened { proposal, notes }) => {
            repair.learned.notes.extend(notes);
            let number = proposal.number;
            repair.proposal = Some(proposal);
            decorate(setting, checkout, target, change, number, repair).await;
            Ok(())
        }
        Ok(Landed::There(proposal)) => {
            repair.reason = Some(format!("another run has proposed the same repair as #{}", proposal.number));
            repair.proposal = Some(proposal);
            repair.outcome = Outcome::Skipped;
            Ok(())
        }
        Err(NotLanded { error, branch }) => {
            if let Some(Branch(branch)) = branch {
                repair.learned.notes.push(format!(
                    "the branch {branch} holds the fix: a person can open the pull request at \
                     {server}/{repository}/compare/{}...{branch}?expand=1",
                    target.into
                ));
            }
            Err(error)
        }
    }
}

/// Labels and reviewers: a pull request without them is still one.
async fn decorate(
    setting: &Setting<'_>,
    checkout: &Checkout,
    target: &Target,
    change: &Change,
    number: u64,
    repair: &mut Repair,
) {
    let client = setting.client;
    let kind = repair.fix.as_ref().map_or("", |fix| fix.fix_type);
    let labels = setting.config.labels(kind);
    if !labels.is_empty()
        && let Err(error) = client.add_labels(number, &labels).await
    {
        repair.learned.notes.push(format!("no labels: {error}"));
    }
    let (users, teams) = match &setting.config.reviewers {
        None => return,
        Some(Reviewers::Named(names)) => {
            let (teams, users): (Vec<_>, Vec<_>) = names.iter().cloned().partition(|name| name.contains('/'));
            (users, teams)
        }
        Some(Reviewers::Owners(_)) => {
            // GitHub's order.
            let places = [".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS"];
            let file = places.iter().find_map(|place| checkout.file(&target.head, place).ok().flatten());
            let Some(file) = file else {
                repair.learned.notes.push("no CODEOWNERS file names reviewers".to_owned());
                return;
            };
            let files: Vec<String> = change.files.keys().cloned().collect();
            let owners = codeowners::owners(&String::from_utf8_lossy(&file), &files);
            (owners.users, owners.teams)
        }
    };
    let teams: Vec<String> = teams.iter().map(|team| team.rsplit('/').next().unwrap_or(team).to_owned()).collect();
    if users.is_empty() && teams.is_empty() {
        return;
    }
    let mut asked = client.request_reviews(number, &users, &teams).await;
    if matches!(asked, Err(GitHubError::Conflict { .. })) && !users.is_empty() && !teams.is_empty() {
        // One that may not review spoils it for all: a team without access is the usual one.
        asked = client.request_reviews(number, &users, &[]).await;
    }
    if let Err(error) = asked {
        repair.learned.notes.push(format!("not all reviewers could be asked: {error}"));
    }
}

fn body(setting: &Setting<'_>, target: &Target, token: TokenKind, repair: &Repair) -> String {
    with_sheet(setting, target, token, repair, |sheet| report::pull_request_body(repair, sheet))
}

/// Gives the reports what they show besides the repair.
fn with_sheet<T>(
    setting: &Setting<'_>,
    target: &Target,
    token: TokenKind,
    repair: &Repair,
    render: impl FnOnce(&Sheet<'_>) -> T,
) -> T {
    let origin = repair.origin.clone().unwrap_or_default();
    let also: Vec<u64> = target.pull.filter(|_| origin.base.is_some()).into_iter().collect();
    let model = setting.config.model(&setting.wish.fix.model).map(|options| options.model);
    render(&Sheet {
        origin: &origin,
        token,
        model: model.as_deref(),
        config_path: &setting.wish.config_path,
        also_failing: &also,
        action: "org/test-repair",
        fingerprint: setting.fingerprint,
    })
}

/// Says in the pull request that failed for its base's fault where the repair is. Asked for by nobody else, so a failure to
/// say it is only noted.
pub async fn link_base(client: &Client, repair: &mut Repair, pull: Option<u64>) {
    let (Some(pull), Some(base)) = (pull, repair.origin.as_ref().and_then(|origin| origin.base.clone())) else {
        return;
    };
    let Some(proposal) = &repair.proposal else { return };
    let marker = "<!-- test-repair: base -->";
    let body = format!(
        "The failing checks fail on {} already; this pull request is not to blame. The repair for it is #{}.\n\n{marker}",
        code(&base),
        proposal.number
    );
    if let Err(error) = client.comment(pull, &body, marker, "the link to the base's repair").await {
        repair.learned.notes.push(format!("#{pull} could not be told: {error}"));
    }
}

/// The fallback issue, where it is configured: one a fingerprint.
async fn issue(setting: &Setting<'_>, repair: &mut Repair) {
    let worth = matches!(
        repair.outcome,
        Outcome::NoFixFound
            | Outcome::NotReproduced
            | Outcome::BudgetSpent
            | Outcome::Flaky
            | Outcome::Fixed
            | Outcome::Flagged
    );
    if !setting.config.issue || !worth {
        return;
    }
    let target = Target { into: String::new(), head: String::new(), pull: None };
    let marker = report::marker(setting.fingerprint);
    let (title, body) = (
        report::issue_title(repair),
        with_sheet(setting, &target, TokenKind::Workflow, repair, |sheet| report::issue_body(repair, sheet)),
    );
    match setting.client.report_issue(&title, &body, "test-repair", &marker).await {
        Ok(issue) => repair.learned.notes.push(format!("the diagnosis is in {}", issue.html_url)),
        Err(error) => {
            let remedy =
                error.remedy(&setting.wish.server, setting.client.repository(), "issues: write").unwrap_or_default();
            repair.learned.notes.push(format!("no issue could be opened: {error} {remedy}").trim_end().to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_branch_is_named_by_failure_and_target_and_odd_names_stay_apart() {
        assert_eq!(Branch::of("test-repair/", "abc123", "main").0, "test-repair/abc123-main");
        let (a, b) = (Branch::of("t/", "f", "feature/x y"), Branch::of("t/", "f", "feature/x-y"));
        assert_ne!(a, b);
        assert!(a.0.starts_with("t/f-feature-x-y-"), "{a:?}");
        assert_eq!(a.numbered(1), a);
        assert_eq!(Branch::of("t/", "f", "main").numbered(2).0, "t/f-main-2");
    }

    proptest! {
        #[test]
        fn every_branch_name_is_one_that_git_takes(into in ".{0,60}") {
            let Branch(name) = Branch::of("test-repair/", "0123456789ab", &into);
            prop_assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/".contains(&b)));
            prop_assert!(!name.contains("..") && !name.ends_with(['.', '/']) && !name.ends_with(".lock"));
        }
    }
}
