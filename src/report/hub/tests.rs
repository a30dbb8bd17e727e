use super::*;
use crate::{
    detect::{Category, Key},
    markup::tests::{Rendered, hostile},
    origin::OriginJob,
    outcome::{FixReport, Outcome},
};
use proptest::prelude::*;

const HOSTILE: &str = "@octocat #77 GH-3 o/r#4 <img src=x onerror=y> ![a](http://evil) [b](//evil) http://evil.example \
                       www.evil.example **bold** `x` ``` | a ::error::x ##[error]y \u{1b}[2J </details>";

fn repair(word: &str) -> Repair {
    let failure = Failure {
        category: Category::UnitTest,
        tool: "pytest".to_owned(),
        test_id: Some(format!("tests/test_a.py::{word}")),
        file: Some(format!("tests/{word}.py")),
        line: Some(7),
        message: format!("AssertionError: {word}"),
        command: None,
        step: None,
        job: None,
        python: None,
        excerpt: format!(">  assert 1\n{word}"),
        fingerprint: "f".to_owned(),
        count: 1,
        key: Key::Missing { name: "x".to_owned() },
    };
    let mut repair = Repair::new();
    repair.outcome = Outcome::Fixed;
    let job = format!("test ({word})");
    repair.learned.targets =
        vec![TargetReport { job: job.clone(), failures: vec![failure], plan: None, baseline: None }];
    repair.learned.notes = vec![word.to_owned()];
    repair.reason = Some(word.to_owned());
    repair.learned.diagnosis = Some(crate::outcome::Diagnosis {
        root_cause: format!("It is {word}"),
        fix_type: Some("test"),
        confidence: "high",
        fault: None,
        impact: None,
        place: Some(word.to_owned()),
    });
    repair.fix = Some(FixReport {
        tier: "model",
        fix_type: "test",
        description: word.to_owned(),
        impact: word.to_owned(),
        files: vec![word.to_owned()],
        diff: format!("--- a/x\n+++ b/x\n@@ -1 +1 @@\n-{word}\n+y\n"),
        flags: vec![word.to_owned()],
    });
    repair.origin = Some(Origin {
        server: "https://github.com".to_owned(),
        repository: "o/r".to_owned(),
        run_id: 7,
        workflow: word.to_owned(),
        head_branch: word.to_owned(),
        head_sha: "0123456789abcdef0123".to_owned(),
        jobs: vec![OriginJob {
            name: job,
            url: "https://github.com/o/r/actions/runs/7/job/9".to_owned(),
            ..OriginJob::default()
        }],
        ..Origin::default()
    });
    repair
}

fn rendered(repair: &Repair) -> Vec<String> {
    let origin = repair.origin.clone().unwrap();
    let sheet = Sheet {
        origin: &origin,
        token: TokenKind::Workflow,
        model: Some("deepseek-flash"),
        config_path: ".github/test-repair.yml",
        also_failing: &[],
        action: "org/test-repair",
        fingerprint: "abc",
    };
    vec![
        pull_request_body(repair, &sheet),
        issue_body(repair, &sheet),
        suggestion_comment(repair, &sheet),
        summary(repair),
    ]
}

#[test]
fn hostile_text_means_nothing_in_any_report() {
    for text in rendered(&repair(HOSTILE)) {
        judged(&text);
    }
}

/// As a reader of Markdown sees it.
fn judged(text: &str) {
    let seen = Rendered::of(text);
    // Of ours: the pages of the run and the project.
    let foreign: Vec<_> = seen.links.iter().filter(|link| !link.starts_with("https://github.com/")).collect();
    assert!(foreign.is_empty(), "{foreign:?}\n{text}");
    assert!(seen.obeyed().is_empty(), "{:?}\n{text}", seen.obeyed());
    for bad in ["<img", "<script", "<b>"] {
        assert!(!seen.html.contains(bad), "{bad}\n{text}");
    }
    assert_eq!(seen.html.matches("<details>").count(), seen.html.matches("</details>").count(), "{text}");
}

#[test]
fn the_body_says_the_point_first_and_carries_the_marker() {
    let [body, issue, suggestion, summary] = rendered(&repair("wrong")).try_into().unwrap();
    assert!(body.starts_with("It is wrong\n\n**The fix** (test, by the model): wrong"), "{body}");
    for part in ["actions/runs/7", "Approve workflows to run", "--run https://github.com/o/r/actions/runs/7"] {
        assert!(body.contains(part), "{part}\n{body}");
    }
    for text in [body, issue, suggestion] {
        assert!(text.trim_end().ends_with("<!-- test-repair: fingerprint=abc -->"), "{text}");
    }
    // A fix that went nowhere, for a reason, is not all right.
    assert!(summary.starts_with("## ⚠️ test-repair: fixed"), "{summary}");
    let whole = Repair { reason: None, ..repair("wrong") };
    assert!(super::summary(&whole).starts_with("## ✅ test-repair: fixed"));
}

#[test]
fn huge_texts_stay_within_what_github_takes() {
    let word = "x`|\n".repeat(200_000);
    let mut repair = repair("x");
    let target = repair.learned.targets[0].clone();
    repair.learned.targets = vec![target; 400];
    repair.learned.notes = vec![word.clone(); 300];
    if let Some(fix) = repair.fix.as_mut() {
        fix.diff.clone_from(&word);
    }
    let [body, issue, suggestion, summary] = rendered(&repair).try_into().unwrap();
    for text in [body, issue, suggestion] {
        assert!(text.len() < 65_000 && text.contains("fingerprint=abc"), "{}", text.len());
    }
    assert!(summary.len() < 900_000, "{}", summary.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_text_leaves_its_code_or_becomes_markup(word in hostile()) {
        for text in rendered(&repair(&word)) {
            judged(&text);
        }
    }
}
