//! No secret leaves: not in a request, not in what is kept, not in what is said. And what was hidden from the model comes
//! back where it stood, and nowhere else. Besides: a huge log and a huge repository cost no more than small ones.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::{
    endpoint::{Endpoint, Say},
    injection::{TOKEN, files, fix, keeps},
    model::{KEY, RIGHT, answer},
    world::{Ran, Step, TEST, UNITTEST, World, log, unittest_failure, wait_for},
};

// In the file that is repaired, so that the patch may show them.
const ASSIGNED: &str = "Zk3vQ9xW2mLp8RtY5nHb";
const DATABASE: &str = "hunter-Xy72kq";
// In the test, the log, the commit's message, a file beside.
const AWS_ID: &str = "AKIAQ4ZT7NMW2XKL5RVB";
const AWS_SECRET: &str = "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";
const GITHUB: &str = "ghp_x9Kd82mQpLr4TzVn6WbY3sHcJf7GtRaE1uXo";
const GITLAB: &str = "glpat-Qm3xT8vK2nW9pR5yB7Lc";
const CONFIGURED: &str = "ACME-481516";
const BESIDE: &str = "sk_live_9fK2mQ8xT4vW7nR3pL6yB5cH";
const PEM: [&str; 4] = [
    "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj",
    "MzEfYyjiWA4R4/M2bS1GB4t7NXp98C3SC6dVMvDuictGeurT8jNbvJZHtCSuYEvu",
    "NMoSfm76oqFvAp8Gy0iz5sxjZmSnXyCdPEovGhLa0VzMaQ8s+CLOyS56YyCFGeJZ",
    "qgtzJ6GR3eqoYSW9b9UMvkBpZODSctWSNGj3P7jRFDO5VoTwCQAWbFnOjDfH5Ulg",
];

/// All that nobody may see, those that the patch's own lines show left out.
const ELSEWHERE: [&str; 12] =
    [KEY, TOKEN, AWS_ID, AWS_SECRET, GITHUB, GITLAB, CONFIGURED, BESIDE, PEM[0], PEM[1], PEM[2], PEM[3]];

/// A sum that is one too many, among secrets of all kinds.
fn planted() -> World {
    let world = World::new();
    let source = format!(
        "def total(items):\n    api_key = \"{ASSIGNED}\"\n    result = 1\n    url = \"postgres://app:{DATABASE}@db.example.org/app\"\n    \
         for item in items:\n        result += item\n    return result if api_key and url else None\n"
    );
    let test = format!(
        "import unittest\nimport tiny\n\n\nclass TinyTest(unittest.TestCase):\n    def test_it(self):\n        \
         aws = {{\"aws_access_key_id\": \"{AWS_ID}\", \"aws_secret_access_key\": \"{AWS_SECRET}\"}}\n        \
         self.assertEqual(tiny.total([1, 2]), 3, \"with {GITHUB} and {CONFIGURED}\" if aws else None)\n"
    );
    let keys = format!(
        "STRIPE = \"{BESIDE}\"\nPRIVATE = \"\"\"\n-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n\"\"\"\n",
        PEM.join("\n")
    );
    let root = world.repository(&[
        ("tiny.py", &source.replace("result += item", "result = result + item")),
        ("keys.py", &keys),
        ("helper.py", "x = 1\n"),
        ("tests/__init__.py", ""),
        (TEST, &test),
        (".github/test-repair.yml", "redact: [\"ACME-[0-9]{6}\"]\n"),
    ]);
    world.file("tiny/tiny.py", source);
    world.git(&root, &["commit", "--quiet", "--all", "--message", &format!("Add faster, with {GITLAB}")]);
    let error = format!("AssertionError: 4 != 3 : with {GITHUB} and {CONFIGURED}");
    let printed = format!("token is {TOKEN}\n{}", unittest_failure("test_it", TEST, &error));
    world.file("ci.log", log(&[Step(UNITTEST, &printed, 1)]));
    world
}

/// What stands in the prompt for the key beside the fault.
fn placeholder(body: &Value) -> String {
    let user = body["messages"][1]["content"].as_str().unwrap();
    let at = user.find("api_key = \"").expect(user) + "api_key = \"".len();
    user[at..].split('"').next().unwrap().to_owned()
}

/// How many answers this chat has.
fn answers(body: &Value) -> usize {
    body["messages"].as_array().unwrap().iter().filter(|m| m["role"] == "assistant").count()
}

fn call(name: &str, arguments: Value) -> Say {
    Say::call(name, &arguments.to_string())
}

/// A model that looks at every secret, in whole and in parts, and then repairs the line next to one.
fn curious(body: &Value) -> Say {
    let key = placeholder(body);
    if body["tools"].is_null() {
        return Say::text(&answer("test", "high", "<<<<<<< helper.py\nx = 1\n=======\nx = 2\n>>>>>>>\n"));
    }
    match answers(body) {
        1 => call("read", json!({ "path": "keys.py", "from": 5, "to": 6 })),
        2 => call("run", json!({ "command": "sed -n 6,7p keys.py; cut -c1-60 keys.py | tail -4 | cat -n" })),
        3 => call("search", json!({ "regex": "M|q|_|=" })),
        4 => call("read", json!({ "path": "keys.py" })).calling("read", &json!({ "path": TEST }).to_string()),
        5 => call("run", json!({ "command": "cat keys.py tiny.py tests/*.py .github/*; git log; head -c 60 keys.py" })),
        6 => call(
            "run",
            json!({ "command": format!("base64 -w0 tiny.py; echo; echo -n '{key}' | base64; echo '{key}' >> gone.txt") }),
        ),
        7 => {
            let lines = format!("    api_key = \"{key}\"\n    result = 1\n");
            let repaired = format!("    api_key = str(\"{key}\")\n    result = 0\n");
            call("edit", json!({ "path": "tiny.py", "search": lines, "replace": repaired }))
        }
        8 => call("check", json!({})),
        _ => Say::text(&answer("test", "high", "")),
    }
}

/// A report and what stands beside it, without the patch.
fn without_patch(world: &World, ran: Ran) -> Ran {
    let mut report = ran.json();
    report["fix"]["diff"] = Value::Null;
    for path in ["out/fix.patch", "out/outcome.json"] {
        let _ = fs::remove_file(world.path(path));
    }
    Ran { stdout: report.to_string(), ..ran }
}

#[test]
fn no_planted_secret_leaves_and_the_one_beside_the_fault_comes_back_whole() {
    let world = planted();
    let endpoint = Endpoint::answering(curious);
    let ran = fix(&world, &endpoint.url(), &[]).exits_with(0);
    keeps(&world, &endpoint, &ran, &ELSEWHERE);
    let report = ran.json();
    assert_eq!(report["outcome"], "fixed", "{report:#}");
    let patch = fs::read_to_string(world.path("out/fix.patch")).unwrap();
    assert!(patch.contains(&format!("+    api_key = str(\"{ASSIGNED}\")")), "{patch}");
    assert!(!patch.contains("__SECRET"), "{patch}");
    assert_eq!(patch, report["fix"]["diff"].as_str().unwrap());
    let ran = without_patch(&world, ran);
    keeps(&world, &endpoint, &ran, &[ASSIGNED, DATABASE]);
    // Nor in the other dress that everybody can take off.
    let requests = endpoint.bodies().iter().map(Value::to_string).collect::<String>();
    assert!(!requests.contains("WmszdlE5eFcybUxwOFJ0WTVuSGI"), "the key in base64");
    // For people, and answered from what was kept.
    let again = fix(&world, &endpoint.url(), &["--format", "text"]).exits_with(0);
    assert!(again.stdout.contains("[redacted]"), "{}", again.stdout);
    fs::remove_file(world.path("out/fix.patch")).unwrap();
    fs::remove_file(world.path("out/outcome.json")).unwrap();
    keeps(&world, &endpoint, &again, &ELSEWHERE);
    keeps(&world, &endpoint, &again, &[ASSIGNED, DATABASE]);
}

#[test]
fn a_run_that_goes_on_after_a_kill_knows_the_secrets_that_the_killed_one_hid() {
    // Killed while the key that only a tool had shown is about to be used.
    let world = planted();
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let endpoint = Endpoint::answering(move |body| {
        let beside = || {
            let told: Vec<&Value> =
                body["messages"].as_array().unwrap().iter().filter(|m| m["role"] == "tool").collect();
            let said = told[0]["content"].as_str().unwrap();
            let at = said.find("__SECRET_").expect(said);
            said[at..].split('"').next().unwrap().to_owned()
        };
        match counted.fetch_add(1, Ordering::SeqCst) {
            0 => Say::text(&answer("test", "high", "")),
            1 => call("read", json!({ "path": "keys.py" })),
            2 => Say::nothing(),
            3 => {
                let old = format!("STRIPE = \"{}\"\n", beside());
                call("edit", json!({ "path": "keys.py", "search": old, "replace": format!("{old}\n") }))
            }
            4 => {
                call("edit", json!({ "path": "tiny.py", "search": "    result = 1\n", "replace": "    result = 0\n" }))
            }
            _ => Say::text(&answer("test", "high", "")),
        }
    });
    let mut command = world.command();
    command
        .args([
            "fix",
            "--repo",
            "tiny",
            "--log",
            "ci.log",
            "--no-cache",
            "--out",
            "out",
            "--model-url",
            &endpoint.url(),
        ])
        .env("DEEPSEEK_API_KEY", KEY)
        .env("MY_SERVICE_TOKEN", TOKEN);
    let mut running = world.start_command(&mut command);
    wait_for("the third question", || asked.load(Ordering::SeqCst) == 3 || running.is_over());
    running.signal(Signal::SIGKILL);
    running.ended();
    wait_for("every process of the killed run to end", || crate::world::strangers().is_empty());
    world.clear_temporary_files();
    let ran = fix(&world, &endpoint.url(), &["--resume", "out/transcript.jsonl"]).exits_with(0);
    let bodies = endpoint.bodies();
    assert_eq!(bodies[2], bodies[3], "the same question is asked again");
    assert_eq!(ran.json()["outcome"], "fixed", "{}", ran.stdout);
    assert!(ran.json()["fix"]["files"].to_string().contains("keys.py"), "{}", ran.stdout);
    let ran = without_patch(&world, ran);
    keeps(&world, &endpoint, &ran, &ELSEWHERE);
    keeps(&world, &endpoint, &ran, &[ASSIGNED, DATABASE]);
}

#[test]
fn a_secret_that_is_copied_elsewhere_is_refused_and_the_refusal_does_not_show_it() {
    let world = planted();
    // By an edit of the answer, by an edit's tool, and by the shell.
    let endpoint = Endpoint::answering(|body| {
        let key = placeholder(body);
        let copy = format!("<<<<<<< helper.py\nx = 1\n=======\nx = \"{key}\"\n>>>>>>>\n{RIGHT}");
        match (body["tools"].is_null(), answers(body)) {
            (true, _) => Say::text(&answer("test", "high", &copy)),
            (_, 1) => {
                call("edit", json!({ "path": "tiny.py", "search": "    result = 1\n", "replace": "    result = 0\n" }))
                    .calling(
                        "edit",
                        &json!({ "path": "helper.py", "search": "x = 1", "replace": format!("x = \"{key}\"") })
                            .to_string(),
                    )
            }
            (_, 2) => Say::text(&answer("test", "high", "")),
            (_, 3) => call(
                "run",
                json!({ "command": format!("git checkout helper.py; echo 'x = \"{key}\"' >> helper.py; cat helper.py") }),
            ),
            (_, 4) => Say::text(&answer("test", "high", "")),
            _ => Say::text(&answer("test", "low", "")),
        }
    });
    let ran = fix(&world, &endpoint.url(), &[]).exits_with(3);
    let report = ran.json();
    let attempts = report["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 3, "{report:#}");
    // Nothing is put back into a command: what the shell wrote is the placeholder.
    for (attempt, rule) in attempts.iter().zip(["secret-copied", "secret-copied", "placeholder-left"]) {
        assert_eq!(attempt["verdict"], "refused", "{report:#}");
        assert!(attempt["reasons"].to_string().contains(rule), "{report:#}");
    }
    keeps(&world, &endpoint, &ran, &ELSEWHERE);
    // Not even in the diff of what was refused.
    keeps(&world, &endpoint, &ran, &[ASSIGNED, DATABASE]);
}

#[test]
fn a_huge_log_and_a_huge_repository_cost_no_more_than_small_ones() {
    let files_of = |many: usize| {
        let world = World::new();
        for n in 0..many {
            let module =
                format!("def part_{n}(items):\n    result = {n}\n    return [item + result for item in items]\n");
            world.file(&format!("tiny/parts/p{}/part_{n}.py", n % 60), module);
        }
        world.repository(&[
            ("tiny.py", "def total(items):\n    result = 1\n    for item in items:\n        result += item\n    return result\n"),
            ("tests/__init__.py", ""),
            (TEST, "import unittest\nimport tiny\n\n\nclass TinyTest(unittest.TestCase):\n    def test_it(self):\n        self.assertEqual(tiny.total([1, 2]), 3)\n"),
        ]);
        let log = log(&[Step(UNITTEST, &unittest_failure("test_it", TEST, "AssertionError: 4 != 3"), 1)]);
        let (head, tail) = log.split_once("##[endgroup]\n").unwrap();
        let noise =
            "2025-03-03T09:00:00.0000000Z Collecting a-package==1.2.3 (from -r requirements.txt (line 7)): is there\n";
        // 200 MB take minutes in a debug build: `TEST_REPAIR_HUGE=200` asks for them.
        let megabytes: usize = std::env::var("TEST_REPAIR_HUGE").ok().and_then(|n| n.parse().ok()).unwrap_or(40);
        let noise = noise.repeat(if many > 100 { (megabytes << 20) / noise.len() } else { 3 });
        world.file("ci.log", format!("{head}##[endgroup]\n{noise}{tail}"));
        world
    };
    let size = |many: usize| {
        let world = files_of(many);
        let endpoint = Endpoint::start([Say::text(&answer("test", "low", ""))]);
        fix(&world, &endpoint.url(), &["--no-loop"]).exits_with(3);
        endpoint.assert_done();
        assert!(!files(&world.path("out")).is_empty());
        endpoint.bodies()[0].to_string().len()
    };
    let (small, large) = (size(30), size(10_000));
    assert!(large * 5 <= small * 6, "{small} bytes became {large}");
}
