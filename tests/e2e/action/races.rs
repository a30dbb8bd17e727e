//! Runs at once: one pull request.

use std::{collections::BTreeMap, time::Duration};

use futures_util::{StreamExt as _, stream};
use test_repair::{
    github::{Client, ClientOptions},
    propose::{Branch, Landed, Landing},
    workspace::{Change, FileChange},
};

use super::*;

#[test]
fn two_runs_at_once_open_one_pull_request() {
    let (hub, run) = Hub::failing();
    let event = hub.repo.workflow_run_event(run);
    let (first, first_place) = hub.start("workflow_run", &event, &[]);
    let (second, second_place) = hub.start("workflow_run", &event, &[]);
    let acted = [hub.acted(first.ended(), &first_place), hub.acted(second.ended(), &second_place)];
    let pull = hub.github.take_pull_request();
    assert_eq!(hub.repo.pulls().len(), 1);
    for one in acted {
        assert!(["fixed", "skipped"].contains(&one.outputs["outcome"].as_str()), "{}", one.summary);
        assert_eq!(one.outputs["pull-request-number"], pull.number.to_string(), "{}", one.summary);
    }
}

/// Every other time the two have the same repair, and otherwise different ones. `TEST_REPAIR_RACES=1000` runs more of them.
#[test]
fn races_open_one_pull_request_each() {
    let races: usize = std::env::var("TEST_REPAIR_RACES").ok().and_then(|n| n.parse().ok()).unwrap_or(60);
    let github = GitHub::start();
    github.rate_limit(1_000_000, 3600);
    let repo = github.repository("octo/tiny");
    let head = repo.commit("main", "Begin", &[("a.py", "x = 1\n")]);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let client = || Client::new(ClientOptions::new(&github.api(), Some(github.token()), "octo/tiny")).unwrap();
    let opened = runtime.block_on(async {
        let race = async |race: usize| {
            // Each with its own pace of writing.
            let clients = [client(), client()];
            let branch = Branch::of("test-repair/", &format!("{race:012x}"), "main");
            let texts = [0, 1].map(|run| format!("x = {}\n", if race.is_multiple_of(2) { 2 } else { 2 + run }));
            let [text, other] = texts;
            let (first, second) =
                tokio::join!(land(&clients[0], &branch, &head, text), land(&clients[1], &branch, &head, other));
            [first, second].iter().filter(|landed| matches!(landed, Landed::Opened { .. })).count()
        };
        stream::iter(0..races).map(race).buffer_unordered(32).collect::<Vec<usize>>().await
    });
    assert!(opened.iter().all(|opened| *opened == 1), "{opened:?}");
    assert_eq!(repo.pulls().len(), races);
    for pull in repo.pulls() {
        assert_eq!(pull.state, "open");
    }
    github.change(|state| state.unread.clear());
}

async fn land(client: &Client, branch: &Branch, head: &str, text: String) -> Landed {
    let file = FileChange {
        before: Some(b"x = 1\n".to_vec()),
        after: Some(text.into_bytes()),
        executable: false,
        symlink: false,
    };
    let change = Change { files: BTreeMap::from([("a.py".to_owned(), file)]) };
    let landing = Landing {
        branch,
        head,
        into: "main",
        change: &change,
        message: "Mend it",
        title: "Mend it",
        body: &|_| "Mended.".to_owned(),
        draft: false,
        look_every: Duration::from_millis(40),
    };
    landing.land(client).await.unwrap()
}
