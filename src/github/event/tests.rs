use super::*;
use proptest::prelude::*;
use serde_json::json;

fn here(event_name: &str) -> Surroundings {
    Surroundings {
        event_name: event_name.to_owned(),
        server: "https://github.com".to_owned(),
        repository: "octo-org/octo-repo".to_owned(),
        run_id: Some(7),
        run_attempt: Some(2),
        input_run_id: None,
    }
}

fn run(run_id: u64, attempt: Option<u64>, via: Via) -> Trigger {
    Trigger::Run { repository: "octo-org/octo-repo".to_owned(), run_id, attempt, via }
}

#[track_caller]
fn skipped(event: &Value, here: &Surroundings, because: &str) {
    match trigger(event, here) {
        Trigger::Skipped { reason } => assert!(reason.contains(because), "{because:?} is not in {reason:?}"),
        other => panic!("{other:?}"),
    }
}

fn ended(conclusion: &str) -> Value {
    json!({
        "action": "completed",
        "workflow_run": {
            "id": 289782451, "run_attempt": 3, "conclusion": conclusion, "status": "completed",
            "repository": {"full_name": "octo-org/octo-repo"}, "a_field_of_tomorrow": [null],
        },
        "repository": {"full_name": "octo-org/octo-repo"},
    })
}

#[test]
fn a_workflow_run_that_failed_is_repaired_in_the_attempt_that_failed() {
    for conclusion in FAILED {
        assert_eq!(trigger(&ended(conclusion), &here("workflow_run")), run(289782451, Some(3), Via::WorkflowRun));
    }
    for conclusion in ["success", "cancelled", "skipped", "action_required", "neutral", "stale"] {
        skipped(&ended(conclusion), &here("workflow_run"), conclusion);
    }
}

#[test]
fn a_workflow_run_that_has_not_ended_or_is_not_ours_is_left_alone_with_a_reason() {
    let mut event = ended("failure");
    event["action"] = json!("requested");
    skipped(&event, &here("workflow_run"), "has not ended (its event is `requested`)");
    let mut event = ended("failure");
    event["workflow_run"]["repository"]["full_name"] = json!("evil/`$(x)`fork");
    skipped(&event, &here("workflow_run"), "one of evil/xfork, not of octo-org/octo-repo");
    skipped(&json!(null), &here("workflow_run"), "does not say what happened");
    skipped(&json!({"action": "completed"}), &here("workflow_run"), "does not say how");
    let mut event = ended("failure");
    event["workflow_run"]["id"] = json!("289782451");
    skipped(&event, &here("workflow_run"), "which workflow run");
    // GitHub keeps names as they are written, and compares them without case.
    let mut event = ended("failure");
    event["workflow_run"]["repository"]["full_name"] = json!("Octo-Org/octo-repo");
    assert_eq!(trigger(&event, &here("workflow_run")), run(289782451, Some(3), Via::WorkflowRun));
}

#[test]
fn a_person_names_a_run_by_number_or_url_and_the_actions_input_comes_first() {
    let event = json!({"inputs": {"run-id": "55"}});
    assert_eq!(trigger(&event, &here("workflow_dispatch")), run(55, None, Via::Dispatch));
    assert_eq!(trigger(&json!({"inputs": {"run-id": 55}}), &here("workflow_dispatch")), run(55, None, Via::Dispatch));
    let mut with = here("workflow_dispatch");
    with.input_run_id = Some(" https://github.com/octo-org/octo-repo/actions/runs/66/attempts/2?pr=1#x ".to_owned());
    assert_eq!(trigger(&event, &with), run(66, Some(2), Via::Dispatch));
    for other in
        ["https://github.com/evil/fork/actions/runs/66", "https://evil.example/octo-org/octo-repo/actions/runs/6"]
    {
        with.input_run_id = Some(other.to_owned());
        skipped(&event, &with, "is not one of octo-org/octo-repo");
    }
    with.input_run_id = Some("latest".to_owned());
    skipped(&event, &with, "`latest` is no workflow run: give a run's number");
    // An empty input is none.
    with.input_run_id = Some(" ".to_owned());
    assert_eq!(
        trigger(&ended("failure"), &Surroundings { event_name: "workflow_run".to_owned(), ..with }),
        run(289782451, Some(3), Via::WorkflowRun)
    );
}

#[test]
fn a_failed_job_of_actions_leads_to_its_run() {
    let event = |slug: &str, url: &str| json!({"action": "completed", "check_run": {"conclusion": "failure", "app": {"slug": slug}, "details_url": url}});
    let url = "https://github.com/octo-org/octo-repo/actions/runs/11/job/22";
    assert_eq!(trigger(&event("github-actions", url), &here("check_run")), run(11, None, Via::CheckRun));
    skipped(&event("codecov", url), &here("check_run"), "the app codecov");
    skipped(&event("github-actions", "https://octocoders.io"), &here("check_run"), "names no workflow run");
    // A check run's own number is not a workflow run's.
    skipped(&event("github-actions", "https://github.com/octo-org/octo-repo/runs/5"), &here("check_run"), "names no");
    skipped(&event("github-actions", "https://github.com/a/b/actions/runs/5"), &here("check_run"), "is not one of");
}

#[test]
fn every_other_event_means_the_run_that_we_are_a_job_of() {
    for name in ["push", "pull_request", "schedule", "merge_group", "workflow_dispatch", "workflow_call", "tomorrow"] {
        assert_eq!(trigger(&json!({"action": "opened"}), &here(name)), run(7, Some(2), Via::SameRun));
    }
    skipped(&json!({}), &Surroundings { run_id: None, ..here("push") }, "GITHUB_RUN_ID");
    skipped(&json!({}), &Surroundings { repository: String::new(), ..here("push") }, "GITHUB_REPOSITORY");
    let with = Surroundings { input_run_id: Some("5".to_owned()), ..here("pull_request_target") };
    skipped(&json!({"inputs": {"run-id": "5"}}), &with, "pull_request_target");
}

#[test]
fn surroundings_are_read_from_the_runners_variables_and_an_empty_one_is_none() {
    let variables = |name: &str| {
        let value = match name {
            "GITHUB_EVENT_NAME" => "push",
            "GITHUB_REPOSITORY" => "octo-org/octo-repo",
            "GITHUB_SERVER_URL" => "https://github.com",
            "GITHUB_RUN_ID" => "7",
            "GITHUB_RUN_ATTEMPT" => "2",
            "INPUT_RUN-ID" => "",
            _ => return None,
        };
        Some(value.to_owned())
    };
    assert_eq!(Surroundings::of(variables), here("push"));
    assert_eq!(Surroundings::of(|_| None), Surroundings::default());
}

/// Trimmed from the payloads of @octokit/webhooks-examples 7.
#[test]
fn github_s_own_examples_are_understood() {
    let examples: Vec<Value> = serde_json::from_str(include_str!("examples.json")).unwrap();
    let judged: Vec<String> = examples
        .iter()
        .map(|example| {
            let (name, event) = (example["event"].as_str().unwrap(), &example["payload"]);
            let repository = event["repository"]["full_name"].as_str().unwrap().to_owned();
            match trigger(event, &Surroundings { repository, ..here(name) }) {
                Trigger::Run { run_id, via, .. } => format!("{name}: {run_id} {via:?}"),
                Trigger::Skipped { reason } => format!("{name}: {reason}"),
            }
        })
        .collect();
    let expected = [
        "workflow_run: the event does not say how the workflow run ended",
        "workflow_run: the workflow run ended with `success`: there is nothing to repair",
        "workflow_run: the workflow run has not ended (its event is `requested`)",
        "check_run: the check run has not ended (its event is `created`)",
        "check_run: the check run's details_url names no workflow run",
        "check_run: the check run has not ended (its event is `requested_action`)",
        "workflow_dispatch: 7 SameRun",
    ];
    assert_eq!(judged, expected);
}

#[test]
fn a_run_is_named_by_its_number_or_by_any_of_its_pages() {
    let of = |server: &str, attempt, job| RunRef {
        server: Some(server.to_owned()),
        repository: Some("o/r.py".to_owned()),
        run_id: 1,
        attempt,
        job,
    };
    let github = "https://github.com";
    for (text, expected) in [
        ("https://github.com/o/r.py/actions/runs/1", of(github, None, None)),
        ("https://GitHub.com/o/r.py/actions/runs/1/", of(github, None, None)),
        ("github.com/o/r.py/actions/runs/1", of(github, None, None)),
        ("https://github.com/o/r.py/actions/runs/1/job/2#step:4:10", of(github, None, Some(2))),
        ("https://github.com/o/r.py/actions/runs/1/attempts/3?pr=9", of(github, Some(3), None)),
        ("https://github.com/o/r.py/actions/runs/1/attempts/3/job/2", of(github, Some(3), Some(2))),
        ("https://github.com/o/r.py/actions/runs/1/workflow", of(github, None, None)),
        (
            "https://ghe.corp.example:8443/o/r.py/actions/runs/1/job/2",
            of("https://ghe.corp.example:8443", None, Some(2)),
        ),
        (" 1\n", RunRef { run_id: 1, ..RunRef::default() }),
    ] {
        assert_eq!(parse_run(text).as_ref(), Ok(&expected), "{text}");
    }
    for text in [
        "",
        "0",
        "+1",
        "-1",
        "1.0",
        "99999999999999999999999",
        "https://github.com/o/r/pull/1",
        "https://github.com/o/r/actions/runs/",
        "https://github.com/o/r/actions/runs/x",
        "https://github.com/o/r/actions/runs/1/job/x",
        "https://github.com/../r/actions/runs/1",
        "https://user:secret@github.com/o/r/actions/runs/1",
        "ftp://github.com/o/r/actions/runs/1",
        "https://github.com/o/r/s/actions/runs/1",
        "https:///o/r/actions/runs/1",
    ] {
        let error = parse_run(text).unwrap_err();
        assert!(error.contains("give a run's number"), "{error}");
    }
}

/// JSON of any shape, with the names that we look for at every level.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop_oneof![
            Just("completed".to_owned()),
            Just("failure".to_owned()),
            Just("github-actions".to_owned()),
            Just("https://github.com/octo-org/octo-repo/actions/runs/5".to_owned()),
            ".{0,20}",
        ]
        .prop_map(Value::from),
    ];
    let key = prop_oneof![
        Just("action"),
        Just("workflow_run"),
        Just("check_run"),
        Just("inputs"),
        Just("run-id"),
        Just("repository"),
        Just("full_name"),
        Just("conclusion"),
        Just("app"),
        Just("slug"),
        Just("details_url"),
        Just("id"),
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::hash_map(key.clone().prop_map(str::to_owned), inner, 0..8)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_event_panics_and_no_run_of_another_repository_is_ever_named(
        event in anything(),
        name in prop_oneof![Just("workflow_run"), Just("check_run"), Just("workflow_dispatch"), Just("push")],
    ) {
        match trigger(&event, &here(name)) {
            Trigger::Run { repository, run_id, .. } => prop_assert!(repository == "octo-org/octo-repo" && run_id > 0),
            Trigger::Skipped { reason } => prop_assert!(!reason.is_empty() && !reason.contains('\n')),
        }
    }

    #[test]
    fn no_text_that_names_a_run_panics(text in "(https://)?[a-z.]{0,8}(/[a-z0-9]{0,4}){0,3}/actions/runs/.{0,20}|.{0,40}") {
        if let Ok(run) = parse_run(&text) {
            prop_assert!(run.run_id > 0);
        }
    }
}
