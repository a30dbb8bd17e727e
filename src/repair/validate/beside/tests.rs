use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use super::*;
use crate::{
    plan::Origin,
    sandbox::{
        Posture,
        double::{Double, ended},
    },
};

/// A sandbox whose runs end as is written down: with or without the change, and with what.
#[derive(Default)]
struct Scripted {
    posture: Option<Posture>,
    /// Exit codes of the runs to come.
    codes: Arc<std::sync::Mutex<VecDeque<i32>>>,
    /// Which tree was run, and with how much time.
    ran: Arc<std::sync::Mutex<Vec<(&'static str, Duration)>>>,
    /// No environment is ever built.
    stuck: bool,
}

#[async_trait::async_trait]
impl Sandbox for Scripted {
    fn posture(&self) -> &Posture {
        self.posture.as_ref().unwrap()
    }

    async fn prepare(&self, _: &Recipe, _: &Tree, candidate: bool) -> Result<Box<dyn Prepared>, SandboxError> {
        if self.stuck {
            std::future::pending::<()>().await;
        }
        let (codes, ran) = (self.codes.clone(), self.ran.clone());
        let tree = if candidate { "with" } else { "without" };
        let root = tempfile::tempdir().unwrap();
        Ok(Box::new(Double::new(root.path().to_owned(), move |_, _, limits| {
            let _ = &root;
            ran.lock().unwrap().push((tree, limits.wall));
            Ok(ended(codes.lock().unwrap().pop_front().expect("a run that nobody expected"), b"oh"))
        })))
    }

    fn pythons(&self) -> Vec<String> {
        Vec::new()
    }

    fn forget(&self, _: &Recipe, _: &Tree) -> Result<(), SandboxError> {
        Ok(())
    }
}

impl Scripted {
    fn of(codes: &[i32]) -> Scripted {
        Scripted { codes: Arc::new(std::sync::Mutex::new(codes.iter().copied().collect())), ..Scripted::default() }
    }

    fn trees(&self) -> Vec<&'static str> {
        self.ran.lock().unwrap().iter().map(|(tree, _)| *tree).collect()
    }

    /// What a judge with so much time left says of a change beside this job.
    async fn judges(&self, beside: &Beside, left: Duration) -> Judge {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("a.py"), "x = 1\n").unwrap();
        let tree = Tree::snapshot(directory.path()).unwrap();
        let (change, progress) = (Change::default(), Progress::silent());
        let mut judge = Judge::new(Vec::new(), &[]);
        judge.left = left;
        let place = Place { sandbox: self, trees: [&tree, &tree], change: &change, progress: &progress };
        beside.compare(&mut judge, |_| true, place).await.unwrap();
        judge
    }
}

/// The job `lint` with one check.
fn lint() -> Beside {
    let recipe = Recipe {
        python: "3".to_owned(),
        env: BTreeMap::new(),
        directory: String::new(),
        install: Vec::new(),
        setup: Vec::new(),
        versions: Vec::new(),
        hold: Vec::new(),
        copies_project: false,
        packages: Vec::new(),
        disposable: false,
        timeout: Duration::from_secs(1200),
    };
    let job = Job {
        name: "lint".to_owned(),
        workflow: None,
        python: "3".to_owned(),
        python_from: "the workflow",
        env: BTreeMap::new(),
        directory: String::new(),
        install: Vec::new(),
        setup: Vec::new(),
        checks: vec![Check::new("./lint", Origin::Workflow, "")],
        skipped: Vec::new(),
        versions: Vec::new(),
        copies_project: false,
        packages: Vec::new(),
    };
    Beside { others: vec![Other { job, recipe, before: Mutex::default() }], skipped: Vec::new() }
}

const BOX: Duration = Duration::from_secs(120);

#[tokio::test]
async fn what_fails_twice_with_the_change_and_never_without_it_is_broken() {
    let sandbox = Scripted::of(&[0, 1, 1, 0]);
    let judge = sandbox.judges(&lint(), BOX).await;
    assert_eq!(judge.reasons, ["lint: `./lint` passed before the change and fails after it: oh"]);
    assert_eq!(sandbox.trees(), ["without", "with", "with", "without"]);
}

#[tokio::test]
async fn what_gives_now_one_result_now_another_rejects_nothing_and_is_listed() {
    for codes in [[0, 1, 0, 0], [0, 1, 1, 1]] {
        let judge = Scripted::of(&codes).judges(&lint(), BOX).await;
        assert!(judge.stands(), "{:?}", judge.reasons);
        let listed = "lint: `./lint` gives now one result, now another";
        assert_eq!(judge.validation.not_checked[0], listed);
    }
}

#[tokio::test]
async fn what_was_before_is_seen_once_for_all_candidates() {
    let (sandbox, beside) = (Scripted::of(&[0, 0, 0]), lint());
    for _ in 0..2 {
        assert!(sandbox.judges(&beside, BOX).await.stands());
    }
    assert_eq!(sandbox.trees(), ["without", "with", "with"]);
}

#[tokio::test]
async fn the_run_before_gets_half_of_the_time_box_and_nothing_begins_without_time() {
    let sandbox = Scripted::of(&[0, 0]);
    sandbox.judges(&lint(), BOX).await;
    let ran = sandbox.ran.lock().unwrap().clone();
    assert!(ran[0].1 <= BOX / 2 && ran[1].1 > BOX / 2 && ran[1].1 <= BOX, "{ran:?}");
    let judge = Scripted::of(&[]).judges(&lint(), Duration::from_secs(1)).await;
    assert_eq!(judge.validation.not_checked, ["not run beside it: lint: the time box was spent"]);
    let stuck = Scripted { stuck: true, ..Scripted::default() };
    let judge = stuck.judges(&lint(), LEAST).await;
    let why = "not run beside it: lint: its environment could not be built within the time box";
    assert_eq!(judge.validation.not_checked, [why]);
    assert!(judge.left < LEAST && judge.stands());
}
