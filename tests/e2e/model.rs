//! A model on the wire: what a run asks it, what it makes of the answers, and what it costs.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{
    endpoint::{Endpoint, Say},
    world::{Ran, Step, TEST, UNITTEST, World, log, unittest_failure},
};

const WRONG: &str = "AssertionError: 4 != 3";

/// A sum that is one too many, and a test that shows it.
const SUM: &[(&str, &str)] = &[
    (
        "tiny.py",
        "def total(items):\n    result = 1\n    for item in items:\n        result += item\n    return result\n",
    ),
    ("tests/__init__.py", ""),
    (
        TEST,
        "import unittest\nimport tiny\n\n\nclass TinyTest(unittest.TestCase):\n    def test_it(self):\n        \
         self.assertEqual(tiny.total([1, 2]), 3)\n",
    ),
];

pub(crate) const KEY: &str = "sk-0123456789abcdef0123456789abcdef";

/// An answer in the form that is asked for.
pub(crate) fn answer(fix_type: &str, confidence: &str, edits: &str) -> String {
    format!(
        "root_cause: The sum begins at one.\nfix_type: {fix_type}\nconfidence: {confidence}\nfault: code\n\
         impact: Sums are one less.\n{edits}"
    )
}

pub(crate) const RIGHT: &str = "<<<<<<< tiny.py\n    result = 1\n=======\n    result = 0\n>>>>>>>\n";
const USELESS: &str = "<<<<<<< tiny.py\n    result = 1\n=======\n    result = 1 + 0\n>>>>>>>\n";
const SKIPS: &str = "<<<<<<< tests/test_tiny.py\n    def test_it(self):\n=======\n    @unittest.skip(\"later\")\n    \
                     def test_it(self):\n>>>>>>>\n";

pub(crate) fn sum() -> World {
    let world = World::new();
    world.repository(SUM);
    world.file("ci.log", log(&[Step(UNITTEST, &unittest_failure("test_it", TEST, WRONG), 1)]));
    world
}

/// `fix`, with a model at this endpoint.
pub(crate) fn fix(world: &World, url: &str, more: &[&str]) -> Ran {
    let mut command = world.command();
    command
        .args(["fix", "--repo", "tiny", "--log", "ci.log", "--format", "json", "--out", "out", "--model-url", url])
        .args(more)
        .env("DEEPSEEK_API_KEY", KEY);
    if !more.contains(&"--cache-dir") {
        command.arg("--no-cache");
    }
    Ran::of(&crate::world::run(&mut command))
}

fn right() -> Say {
    Say::text(&answer("test", "high", RIGHT))
}

fn transcript(world: &World) -> Vec<Value> {
    let text = std::fs::read_to_string(world.path("out/transcript.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What the transcript says of the question's answers.
fn verdicts(world: &World) -> Vec<Value> {
    let lines = transcript(world).into_iter().filter(|line| line["kind"] == "verdict" && line["step"] == "question");
    lines.map(|line| line["verdict"].clone()).collect()
}

fn reasons(report: &Value) -> String {
    format!("{}{}", report["attempts"], report["notes"])
}

#[test]
fn one_question_repairs_what_no_rule_can_and_its_cost_is_exact() {
    let (world, endpoint) = (sum(), Endpoint::start([right().usage(1000, 400, 50)]));
    let report = fix(&world, &endpoint.url(), &[]).exits_with(0).json();
    assert_eq!(report["outcome"], "fixed");
    assert_eq!(report["fix"]["tier"], "model");
    assert_eq!(report["diagnosis"]["root_cause"], "The sum begins at one.");
    assert_eq!(report["diagnosis"]["fault"], "code");
    let usage = &report["usage"];
    assert_eq!((&usage["calls"], &usage["prompt_tokens"]), (&1.into(), &1000.into()), "{usage}");
    assert_eq!((&usage["cached_tokens"], &usage["completion_tokens"]), (&400.into(), &50.into()), "{usage}");
    // The rates of deepseek-flash at the peak (facts: 0.006, 0.30 and 1.20 dollars per million).
    let dollars = (400.0 * 0.006 + 600.0 * 0.30 + 50.0 * 1.20) / 1e6;
    assert!((usage["cost_usd"].as_f64().unwrap() - dollars).abs() < 1e-12, "{usage}");
    let request = &endpoint.requests()[0];
    assert_eq!(request.headers["authorization"], format!("Bearer {KEY}"));
    assert_eq!(request.body["model"], "deepseek-flash");
    assert!(request.body["max_tokens"].as_u64().unwrap() > 1000);
    let prompt = request.body["messages"][1]["content"].as_str().unwrap();
    assert!(prompt.contains("result += item") && prompt.contains("assertEqual(tiny.total([1, 2]), 3)"), "{prompt}");
    let kinds: Vec<Value> = transcript(&world).iter().map(|line| line["kind"].clone()).collect();
    assert_eq!(kinds, ["start", "request", "answer", "verdict", "end"]);
    endpoint.assert_done();
    let readable = world.run(&["transcript", "out/transcript.jsonl"]).exits_with(0).stdout;
    assert!(readable.contains("The sum begins at one.") && readable.contains("$0.0002"), "{readable}");
    assert!(readable.contains("verdict of question: accepted"), "{readable}");
}

#[test]
fn a_second_identical_run_makes_no_call() {
    let (world, endpoint) = (sum(), Endpoint::start([right()]));
    let cache = world.path("cache");
    let with_cache = ["--cache-dir", cache.to_str().unwrap()];
    let first = fix(&world, &endpoint.url(), &with_cache).exits_with(0).json();
    let second = fix(&world, &endpoint.url(), &with_cache).exits_with(0).json();
    assert_eq!(first["fix"], second["fix"]);
    assert_eq!((&first["usage"]["calls"], &second["usage"]["calls"]), (&1.into(), &0.into()));
    assert_eq!(second["usage"]["cost_usd"], 0.0);
    endpoint.assert_done();
}

#[test]
fn what_rules_can_do_opens_no_connection_and_neither_does_rules_only() {
    let endpoint = Endpoint::start([]);
    let world = World::new();
    world.example("missing-import");
    let log = crate::world::project("examples/missing-import.log");
    let url = endpoint.url();
    let arguments = ["fix", "--repo", "missing-import", "--log", log.to_str().unwrap(), "--python", "3"];
    let mut command = world.command();
    command.args(arguments).args(["--model-url", &url, "--out", "out"]).env("DEEPSEEK_API_KEY", KEY);
    Ran::of(&crate::world::run(&mut command)).exits_with(0).prints("(import, rule)").prints("steps: rules: repaired\n");
    assert!(!world.path("out/transcript.jsonl").exists());
    let rules_only = |world: &World, arguments: &[&str]| {
        let mut command = world.command();
        command.args(arguments).arg("--rules-only").env("DEEPSEEK_API_KEY", KEY).env("DEEPSEEK_BASE_URL", &url);
        Ran::of(&crate::world::run(&mut command))
    };
    rules_only(&world, &arguments).exits_with(0).prints("(import, rule)");
    rules_only(&sum(), &["fix", "--repo", "tiny", "--log", "ci.log"]).exits_with(3);
    assert_eq!(endpoint.connections(), 0);
}

#[test]
fn without_a_model_a_run_says_so_and_still_delivers_the_diagnosis() {
    let world = sum();
    world
        .run(&["fix", "--repo", "tiny", "--log", "ci.log"])
        .exits_with(3)
        .prints("DEEPSEEK_API_KEY is not set")
        .prints("look first at tests/test_tiny.py");
}

#[test]
fn every_step_is_reported_as_it_was_taken_or_switched_off() {
    let (off, none, no_rule) = ("switched off", "no model", "no rule repairs it");
    for (flags, rules, question, dialogue) in [
        (&[][..], no_rule, none, none),
        (&["--no-rules"][..], off, none, none),
        (&["--no-question"][..], no_rule, off, none),
        (&["--no-loop"][..], no_rule, none, off),
        (&["--no-question", "--no-loop"][..], no_rule, off, off),
        (&["--rules-only"][..], no_rule, off, off),
    ] {
        let world = sum();
        let arguments = ["fix", "--repo", "tiny", "--log", "ci.log", "--format", "json"];
        let report = world.run(&[&arguments[..], flags].concat()).exits_with(3).json();
        let expected = [("rules", rules), ("question", question), ("dialogue", dialogue)]
            .map(|(step, came)| serde_json::json!({ "step": step, "came": came }));
        assert_eq!(report["steps"], serde_json::json!(expected), "{flags:?}");
        let says = reasons(&report).contains("DEEPSEEK_API_KEY is not set");
        assert_eq!(says, question == none || dialogue == none, "{flags:?}");
    }
    // With a model: the dialogue alone, on top of nothing.
    let (world, endpoint) = (sum(), Endpoint::start([right()]));
    let report = fix(&world, &endpoint.url(), &["--no-rules", "--no-question"]).exits_with(0).json();
    let came: Vec<&Value> = report["steps"].as_array().unwrap().iter().map(|step| &step["came"]).collect();
    assert_eq!(came, [off, off, "repaired"]);
    endpoint.assert_done();
}

#[test]
fn what_was_rejected_goes_on_as_a_dialogue_that_repairs_it() {
    let world = sum();
    // As DeepSeek does, it answers 400 where thoughts that led to a call don't come back.
    let edit = r#"{"path": "tiny.py", "search": "    result = 1\n", "replace": "    result = 0\n"}"#;
    let endpoint = Endpoint::start([
        Say::text(&answer("test", "high", USELESS)),
        Say::call("read", r#"{"path": "tiny.py"}"#).thinking("Let me look."),
        Say::call("edit", edit).thinking("It begins at one.").wants_reasoning(),
        Say::call("check", "{}").thinking("Now it is right.").wants_reasoning(),
        Say::text(&answer("test", "high", "")).wants_reasoning(),
    ]);
    let report = fix(&world, &endpoint.url(), &[]).exits_with(0).json();
    assert_eq!(report["fix"]["tier"], "model");
    assert_eq!(report["attempts"][0]["verdict"], "failed");
    assert_eq!(report["usage"]["calls"], 5);
    let bodies = endpoint.bodies();
    let chat = |n: usize| bodies[n]["messages"].as_array().unwrap().clone();
    // The rejection is in the opening, the thoughts go back, and what was said once stays as it is.
    let opening = serde_json::to_string(&chat(1)).unwrap();
    assert!(opening.contains("still fails"), "{opening}");
    // All that the question sent is sent again as it was: the endpoint's prefix cache has it.
    assert_eq!(chat(0)[..], chat(1)[..chat(0).len()]);
    assert!(serde_json::to_string(&chat(2)).unwrap().contains("Let me look."));
    for n in 1..4 {
        assert_eq!(chat(n)[..], chat(n + 1)[..chat(n).len()]);
    }
    let checked = serde_json::to_string(chat(4).last().unwrap()).unwrap();
    assert!(checked.contains("passed"), "{checked}");
    endpoint.assert_done();
}

#[test]
fn a_change_that_weakens_the_test_is_refused_however_sure_the_model_is() {
    let world = sum();
    let endpoint = Endpoint::start([Say::text(&answer("test", "high", SKIPS))]);
    let report = fix(&world, &endpoint.url(), &["--no-loop"]).exits_with(3).json();
    assert_eq!(report["outcome"], "no_fix_found");
    assert_eq!(report["attempts"][0]["verdict"], "refused");
    assert!(reasons(&report).contains("test-skipped"), "{report:#}");
    assert_eq!(verdicts(&world), ["refused"]);
    endpoint.assert_done();
}

#[test]
fn low_confidence_or_a_disabled_type_ends_as_a_diagnosis() {
    for (fix_type, confidence, more, why) in
        [("test", "low", &[][..], "confidence is low"), ("quality", "high", &["--fix-types", "test"], "not enabled")]
    {
        let (world, endpoint) = (sum(), Endpoint::start([Say::text(&answer(fix_type, confidence, RIGHT))]));
        let report = fix(&world, &endpoint.url(), more).exits_with(3).json();
        assert_eq!(report["diagnosis"]["root_cause"], "The sum begins at one.");
        assert!(report["fix"].is_null() && reasons(&report).contains(why), "{report:#}");
        assert_eq!(verdicts(&world), ["diagnosis"]);
        // What it would have changed is shown all the same.
        let untried = &report["attempts"][0];
        assert_eq!((&untried["verdict"], &untried["best"]), (&"diagnosis".into(), &true.into()), "{report:#}");
        assert!(untried["diff"].as_str().unwrap().contains("+    result = 0"), "{untried:#}");
        endpoint.assert_done();
    }
}

#[test]
fn an_answer_that_is_none_is_an_attempt_that_is_told_and_fed_back() {
    let world = sum();
    let endpoint = Endpoint::start([
        Say::text("I would rather talk about something else."),
        Say::text("Still no answer."),
        right(),
    ]);
    let report = fix(&world, &endpoint.url(), &[]).exits_with(0).json();
    assert_eq!(report["attempts"][0]["verdict"], "unusable");
    assert_eq!(verdicts(&world), ["unusable"]);
    endpoint.assert_done();
}

#[test]
fn an_edit_outside_the_repository_or_of_a_workflow_reaches_nothing() {
    let out = "<<<<<<< ../../escaped.py\n=======\nx = 1\n>>>>>>>\n";
    let workflow = "<<<<<<< .github/workflows/ci.yml\n=======\non: push\n>>>>>>>\n";
    for edits in [out, workflow] {
        let (world, endpoint) = (sum(), Endpoint::start([Say::text(&answer("test", "high", edits))]));
        let report = fix(&world, &endpoint.url(), &["--no-loop"]).exits_with(3).json();
        assert!(report["attempts"][0]["verdict"] != "failed", "{report:#}");
        endpoint.assert_done();
    }
}

#[test]
fn what_the_endpoint_will_never_take_stops_at_once_and_says_what_to_do() {
    for (status, words) in [(400, "400"), (401, "DEEPSEEK_API_KEY"), (402, "402"), (422, "422")] {
        let (world, endpoint) = (sum(), Endpoint::start([Say::status(status)]));
        let report = fix(&world, &endpoint.url(), &[]).exits_with(3).json();
        assert!(reasons(&report).contains(words), "{report:#}");
        assert!(!report.to_string().contains(KEY));
        assert!(!report["diagnosis"].is_null());
        endpoint.assert_done();
    }
}

#[test]
fn what_passes_is_tried_again() {
    let world = sum();
    let endpoint = Endpoint::start([
        Say::status(503),
        Say::status(429).header("retry-after", "0"),
        Say::blank(),
        Say::keepalives(3).then(right()),
    ]);
    let report = fix(&world, &endpoint.url(), &[]).exits_with(0).json();
    // The blank answer was paid for as well.
    assert_eq!(report["usage"]["completion_tokens"].as_u64().unwrap() % 20, 0);
    assert!(report["usage"]["calls"].as_u64().unwrap() >= 2, "{}", report["usage"]);
    endpoint.assert_done();
}

#[test]
fn whatever_the_endpoint_does_the_run_ends_in_time_with_an_outcome_and_a_diagnosis() {
    let (none, spent) = ("no_fix_found", "budget_spent");
    let cases = [
        ("a cut stream", right().cut(), &[none, spent][..]),
        ("a stream that stands still in the middle", right().cut().left_open(), &[none, spent]),
        ("a hang-up", Say::hang_up(), &[none, spent]),
        ("garbage", Say::garbage(), &[none, spent]),
        ("silence", Say::nothing(), &[none, spent]),
        ("thoughts without end", Say::thinking_forever(), &[none, spent]),
        ("blank answers", Say::blank(), &[none, spent]),
        ("answers cut off by their length", Say::text("root_cause: It").finish("length"), &[none, spent]),
        ("wrong arguments for a tool that is none", Say::call("shell", "{\"a\": "), &[none, spent]),
        ("a redirect", Say::redirect("http://127.0.0.1:1/"), &[none]),
        ("400", Say::status(400), &[none]),
        ("402", Say::status(402), &[none]),
        ("429 for an hour", Say::status(429).retry_after("3600"), &[none, spent]),
        ("500", Say::status(500), &[none, spent]),
        ("503", Say::status(503), &[none, spent]),
        ("a slow answer", right().slowly(Duration::from_millis(20)), &["fixed", spent]),
    ];
    const DEADLINE: u64 = 20;
    let next = std::sync::Mutex::new(cases.iter());
    let one_after_the_other = || {
        loop {
            let Some((name, say, allowed)) = next.lock().unwrap().next() else { break };
            let (world, say) = (sum(), say.clone());
            let endpoint = Endpoint::answering(move |_| say.clone());
            let begun = Instant::now();
            let ran = fix(&world, &endpoint.url(), &["--deadline", &DEADLINE.to_string()]);
            assert!(begun.elapsed() < Duration::from_secs(DEADLINE + 20), "{name}: {:?}", begun.elapsed());
            let report = ran.json();
            let outcome = report["outcome"].as_str().unwrap();
            assert!(allowed.contains(&outcome), "{name}: {report:#}");
            assert_eq!(
                ran.code,
                match outcome {
                    "fixed" => 0,
                    "no_fix_found" => 3,
                    _ => 6,
                },
                "{name}"
            );
            assert!(report["diagnosis"].is_object(), "{name}: {report:#}");
        }
    };
    std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(one_after_the_other))));
}

#[test]
fn keep_alives_for_ever_do_not_outlast_the_deadline() {
    let (world, endpoint) = (sum(), Endpoint::answering(|_| Say::keepalives_forever()));
    let begun = Instant::now();
    let report = fix(&world, &endpoint.url(), &["--deadline", "12"]).exits_with(6).json();
    assert_eq!(report["outcome"], "budget_spent");
    assert!(begun.elapsed() < Duration::from_secs(60));
    assert_eq!(report["targets"][0]["baseline"]["reproduced"], 1, "{report:#}");
}

#[test]
fn a_spent_budget_ends_the_run_in_order_with_what_it_has() {
    let (world, endpoint) = (sum(), Endpoint::start([Say::text(&answer("test", "high", USELESS))]));
    let report = fix(&world, &endpoint.url(), &["--max-calls", "1"]).exits_with(6).json();
    assert_eq!(report["outcome"], "budget_spent");
    assert_eq!(report["attempts"][0]["verdict"], "failed");
    assert!(reasons(&report).contains("budget is spent"), "{report:#}");
    endpoint.assert_done();
    // What could overrun is not asked at all.
    let (world, endpoint) = (sum(), Endpoint::start([]));
    fix(&world, &endpoint.url(), &["--max-cost-usd", "0.000001"]).exits_with(6);
    endpoint.assert_done();
}

#[test]
fn what_cannot_be_used_of_a_model_is_bad_input() {
    let world = sum();
    let url = Endpoint::nobody();
    fix(&world, &url, &["--model", "deepseek-chat"]).exits_with(2).complains(&["deepseek-flash"]);
    fix(&world, &url, &["--model", "a-model-of-mine"]).exits_with(2).complains(&["price"]);
    fix(&world, "ftp://localhost", &[]).exits_with(2);
    fix(&world, "http://model.example", &[]).exits_with(2).complains(&["unencrypted"]);
    world.run(&["fix", "--repo", "tiny", "--log", "ci.log", "--resume", "nowhere.jsonl"]).exits_with(2);
    world.run(&["transcript", "nowhere.jsonl"]).exits_with(2).complains(&["nowhere.jsonl"]);
}

#[test]
fn an_endpoint_that_nobody_serves_ends_as_a_diagnosis() {
    let world = sum();
    let report = fix(&world, &Endpoint::nobody(), &[]).exits_with(3).json();
    assert!(reasons(&report).contains("no answer"), "{report:#}");
    assert_eq!(report["usage"]["cost_usd"], 0.0);
}

#[test]
fn a_cassette_is_replayed_without_an_endpoint_and_a_changed_prompt_is_said_loudly() {
    let (world, endpoint) = (sum(), Endpoint::start([right()]));
    let url = endpoint.url();
    let first = fix(&world, &url, &["--cassette", "run.cassette"]).exits_with(0).json();
    endpoint.assert_done();
    drop(endpoint);
    let again = fix(&world, &url, &["--cassette", "run.cassette"]).exits_with(0).json();
    assert_eq!(first["fix"], again["fix"]);
    let head: Value =
        serde_json::from_str(std::fs::read_to_string(world.path("run.cassette")).unwrap().lines().next().unwrap())
            .unwrap();
    assert_eq!(head["model"], "deepseek-flash");
    assert!(head["recorded"].as_str().unwrap().starts_with("20"));
    world.file("tiny/tiny.py", SUM[0].1.replace("item", "each"));
    world.may_change(&world.path("tiny"));
    fix(&world, &url, &["--cassette", "run.cassette"]).exits_with(2).complains(&["run.cassette", "deepseek-flash"]);
}

/// Two modules that are wrong for reasons of their own.
fn two() -> World {
    modules(&[("ant", 1), ("bee", 2)], "")
}

/// Modules whose sums begin too high, each with a test file, and a configuration.
fn modules(wrong: &[(&str, u8)], configuration: &str) -> World {
    let world = World::new();
    let mut files = vec![("tests/__init__.py".to_owned(), String::new())];
    files.push((".github/test-repair.yml".to_owned(), configuration.to_owned()));
    for (module, one) in wrong {
        let code = format!("def total(items):\n    result = {one}\n    return result + sum(items)\n");
        let test = format!(
            "import unittest\nimport {module}\n\n\nclass {module}Test(unittest.TestCase):\n    def test_{module}(self):\n        \
             self.assertEqual({module}.total([1, 2]), 3)\n"
        );
        files.extend([(format!("{module}.py"), code), (format!("tests/test_{module}.py"), test)]);
    }
    world.repository(&files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect::<Vec<_>>());
    let (rule, line) = ("=".repeat(70), "-".repeat(70));
    let fails = |module: &str, sum: u8| {
        format!(
            "{rule}\nFAIL: test_{module} (tests.test_{module}.{module}Test.test_{module})\n{line}\nTraceback (most recent \
             call last):\n  File \"/home/runner/work/tiny/tiny/tests/test_{module}.py\", line 7, in test_{module}\n    \
             self.assertEqual({module}.total([1, 2]), 3)\nAssertionError: {sum} != 3\n\n"
        )
    };
    let (all, many) = (wrong.iter().map(|(module, one)| fails(module, one + 3)).collect::<String>(), wrong.len());
    let letters = "F".repeat(many);
    let output = format!("{letters}\n{all}{line}\nRan {many} tests in 0.001s\n\nFAILED (failures={many})");
    world.file("ci.log", log(&[Step(UNITTEST, &output, 1)]));
    world
}

fn about(module: &str, from: u8, to: u8) -> Say {
    let edit = format!("<<<<<<< {module}.py\n    result = {from}\n=======\n    result = {to}\n>>>>>>>\n");
    Say::text(&answer("test", "high", &edit).replace("The sum", &format!("The sum of {module}")))
}

#[test]
fn independent_failures_are_asked_about_side_by_side_and_repaired_in_one_patch() {
    let world = two();
    let endpoint = Endpoint::answering(|body| {
        let user = body["messages"][1]["content"].as_str().unwrap();
        match (user.contains("test_ant.py\">"), user.contains("test_bee.py\">")) {
            (true, false) => about("ant", 1, 0).slowly(Duration::from_millis(100)),
            (false, true) => about("bee", 2, 0),
            both => panic!("{both:?}: {user}"),
        }
    });
    let report = fix(&world, &endpoint.url(), &[]).exits_with(0).json();
    assert_eq!(report["fix"]["files"], serde_json::json!(["ant.py", "bee.py"]));
    assert_eq!(report["usage"]["calls"], 2);
    let description = report["fix"]["description"].as_str().unwrap();
    assert!(description.contains("of ant") && description.contains("of bee"), "{description}");
    endpoint.assert_done();
}

#[test]
fn no_more_questions_wait_at_once_than_the_configuration_allows() {
    let wrong = [("ant", 1), ("bee", 2), ("cat", 3)];
    for most in [1, 2] {
        let world = modules(&wrong, &format!("concurrency: {most}\n"));
        let endpoint = Endpoint::answering(move |body| {
            let user = body["messages"][1]["content"].as_str().unwrap();
            let of = |(module, _): &(&str, u8)| user.contains(&format!("test_{module}.py\">"));
            let (module, one) = wrong.into_iter().find(of).unwrap();
            about(module, one, 0).after(Duration::from_secs(1))
        });
        let report = fix(&world, &endpoint.url(), &[]).exits_with(0).json();
        assert_eq!(report["usage"]["calls"], 3);
        assert_eq!(endpoint.peak(), most);
        endpoint.assert_done();
    }
}

#[test]
fn only_the_cause_whose_repair_was_rejected_goes_on_and_the_other_repair_is_kept() {
    let world = two();
    let endpoint = Endpoint::answering(|body| {
        let chat = body["messages"].to_string();
        if body["tools"].is_array() {
            assert!(chat.contains("test_bee.py") && !chat.contains("class antTest"), "{chat}");
            return about("bee", 2, 0);
        }
        if chat.contains("class antTest") { about("ant", 1, 0) } else { about("bee", 2, 1) }
    });
    let report = fix(&world, &endpoint.url(), &[]).exits_with(0).json();
    assert_eq!(report["fix"]["files"], serde_json::json!(["ant.py", "bee.py"]));
    assert_eq!(report["usage"]["calls"], 3);
    assert_eq!(report["attempts"].as_array().unwrap().len(), 1);
    endpoint.assert_done();
}
