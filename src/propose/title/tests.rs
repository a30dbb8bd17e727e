use super::*;
use proptest::prelude::*;

fn of(subjects: &[&str], fix_type: FixType, summary: &str) -> String {
    let subjects: Vec<String> = subjects.iter().map(|s| (*s).to_owned()).collect();
    title(&subjects, fix_type, summary)
}

const SUMMARY: &str = "Add `import json` to `ledger/book.py`.";

#[test]
fn a_repository_with_conventional_commits_gets_one() {
    let httpx = [
        "feat: support IPv6 zone identifiers (#3120)",
        "fix(client): close the transport on errors",
        "docs: fix a typo in quickstart",
        "Merge pull request #12 from octo/patch-1",
        "build(deps): bump idna from 3.6 to 3.7",
        "fix(client): keep cookies over redirects",
        "test: cover the digest of empty bodies",
        "chore(deps): pin anyio below 5",
    ];
    assert_eq!(of(&httpx, FixType::Import, SUMMARY), "fix: add `import json` to `ledger/book.py`");
    assert_eq!(of(&httpx, FixType::Import, "Close the client twice"), "fix(client): close the client twice");
    assert_eq!(of(&httpx, FixType::Test, SUMMARY), "test: add `import json` to `ledger/book.py`");
    assert_eq!(of(&httpx, FixType::Documentation, SUMMARY), "docs: add `import json` to `ledger/book.py`");
    assert_eq!(of(&httpx, FixType::Dependency, "Declare tomli"), "chore(deps): declare tomli");
    // They have no `style:` and no `perf:`.
    assert_eq!(of(&httpx, FixType::Quality, "Sort imports"), "chore: sort imports");
    assert_eq!(of(&httpx, FixType::Benchmark, "Cache it"), "fix: cache it");
    assert_eq!(of(&["Feat: Add x", "Docs: Say y", "Chore: Drop z"], FixType::Syntax, "close it"), "Fix: Close it");
    assert_eq!(of(&["fix: one thing only"], FixType::Syntax, "fix: Close it."), "fix: close it");
}

#[test]
fn a_repository_with_numpy_s_convention_gets_its_words() {
    let pandas = [
        "BUG: fix to_datetime with mixed offsets (#58211)",
        "DOC: fix SA01 for Series.dt (#58214)",
        "TST: parametrize over engines",
        "Bump pypa/cibuildwheel from 2.17.0 to 2.18.0 (#58712)",
        "CLN: enforce deprecations",
        "REF: share more code",
    ];
    assert_eq!(
        of(&pandas, FixType::Import, SUMMARY),
        "BUG: Add `import json` to `ledger/book.py`".replace("Add", "add")
    );
    assert_eq!(of(&pandas, FixType::Test, "Expect two rows"), "TST: expect two rows");
    assert_eq!(of(&pandas, FixType::Quality, "Sort imports"), "CLN: sort imports");
    let numpy = ["MAINT: Update main after release", "BUG: Fix np.unique", "ENH: Add a dtype", "MAINT, DOC: Fix links"];
    assert_eq!(of(&numpy, FixType::Build, "declare meson"), "MAINT: Declare meson");
    let sklearn =
        ["FIX Make it deterministic (#1)", "DOC Add links", "MNT Remove code", "CI Use pixi", "FIX Raise early"];
    assert_eq!(of(&sklearn, FixType::Syntax, "close the bracket"), "FIX Close the bracket");
    assert_eq!(of(&sklearn, FixType::Quality, "sort imports"), "MNT Sort imports");
}

#[test]
fn brackets_and_emoji_are_conventions_too() {
    let vllm = ["[Bugfix] Fix the scheduler", "[Doc] Update links", "[CI] Split jobs", "[Misc] Remove a flag"];
    assert_eq!(of(&vllm, FixType::Import, "import json"), "[Bugfix] Import json");
    assert_eq!(of(&vllm, FixType::Documentation, "close the fence"), "[Doc] Close the fence");
    assert_eq!(of(&["[fix]: a", "[feat]: b", "[docs]: c"], FixType::Syntax, "Close it"), "[fix]: close it");
    // Where something else stands in brackets there is no convention that we could follow.
    let pytorch = ["[inductor] Fix strides", "[dynamo] Trace more", "[inductor] Cache kernels", "[export] Add a pass"];
    assert_eq!(of(&pytorch, FixType::Syntax, "close it"), "Close it");
    let fastapi = [
        "🐛 Fix support for unions",
        "📝 Update release notes",
        "⬆ Bump ruff from 0.1 to 0.2",
        "✏️ Fix a typo",
        "✅ Add tests",
    ];
    assert_eq!(of(&fastapi, FixType::Import, "import json"), "🐛 Import json");
    assert_eq!(of(&fastapi, FixType::Coverage, "cover the rest"), "✅ Cover the rest");
    let shortcodes = [":sparkles: Add a thing", ":memo: say more", ":bug: Fix it"];
    assert_eq!(of(&shortcodes, FixType::Documentation, "Say it"), ":memo: Say it");
    assert_eq!(of(&shortcodes, FixType::Build, "Say it"), ":bug: Say it");
}

#[test]
fn without_a_convention_the_subject_is_plain_with_the_repository_s_capitalisation() {
    let requests = ["Fix proxy handling", "Update docs", "Add a test for cookies", "fix: one who did otherwise"];
    assert_eq!(of(&requests, FixType::Import, SUMMARY), "Add `import json` to `ledger/book.py`");
    let small = ["fix proxy handling", "update docs", "Merge branch 'main'", "add a test"];
    assert_eq!(of(&small, FixType::Import, "Add it."), "add it");
    assert_eq!(of(&small, FixType::Import, "JSON is imported"), "JSON is imported");
    assert_eq!(of(&[], FixType::Import, "add it"), "Add it");
    assert_eq!(of(&[], FixType::Coverage, " \u{202e}\n"), "Repair the failing coverage check");
    // What tools write is nobody's habit.
    let tools =
        ["build(deps): bump a from 1 to 2", "chore(deps): update dependency b to v3", "fix(deps): bump c", "Fix it"];
    assert_eq!(of(&tools, FixType::Syntax, "close it"), "Close it");
}

#[test]
fn a_subject_does_nothing_but_say_something() {
    for (summary, expected) in [
        ("Fix @octocat and @org/team", "Fix octocat and org/team"),
        ("Use a@b.example", "Use a b.example"),
        ("closes #12, fixes o/r#3, GH-4", "Closes 12, fixes o/r3, GH 4"),
        ("Fixes https://github.com/o/r/issues/5", "Fixes github.com/o/r/issues/5"),
        ("Add it [skip ci]", "Add it skip ci"),
        ("Add it [skip [ci skip] ci] ***NO_CI***", "Add it skip ci skip ci ***noci***"),
        ("Add\u{0} it\u{1b}[31m\nskip-checks: true", "Add it[31m skip checks: true"),
        ("# Add it", "Add it"),
        ("Multiply by `a @ b`", "Multiply by `a @ b`"),
        ("Keep C# and `list[int]`", "Keep C# and `list[int]`"),
    ] {
        let said = of(&[], FixType::Syntax, summary);
        assert_eq!(said.to_lowercase(), expected.to_lowercase(), "{summary}");
    }
}

#[test]
fn a_long_summary_is_cut_between_words() {
    let long = "Handle the empty list of rows that the reader returns for a file with a header and nothing else in it";
    assert_eq!(of(&[], FixType::Test, long), "Handle the empty list of rows that the reader returns for a file");
    let said = of(&[], FixType::Test, &"x".repeat(500));
    assert_eq!(said.chars().count(), LONGEST);
    assert_eq!(of(&[], FixType::Test, &format!("Call `{}`", "a b ".repeat(30))).matches('`').count(), 0);
}

#[test]
fn a_description_s_first_sentence_becomes_an_imperative() {
    for (description, expected) in [
        (
            "Added `import json` to `ledger/book.py`, from the standard library.",
            "Add `import json` to `ledger/book.py`, from the standard library",
        ),
        (
            "Removed 2 `type: ignore` that mypy reports as unused.",
            "Remove 2 `type: ignore` that mypy reports as unused",
        ),
        ("Corrected the spelling of `teh`.", "Correct the spelling of `teh`"),
        ("Sorted imports with isort in a.py. And more.", "Sort imports with isort in a.py"),
        ("Applied ruff's safe fixes", "Apply ruff's safe fixes"),
        ("This change makes x 1.5 times y. It is right.", "Make x 1.5 times y"),
        ("Dropped it, e.g. for pypy. Next", "Drop it, e.g. for pypy"),
        ("We now return `a. b`; the rest stays", "Return `a. b`"),
        ("The sum was off by one. Start at 0.", "The sum was off by one"),
        ("", ""),
    ] {
        assert_eq!(summary_of(description), expected);
    }
}

fn subject() -> impl Strategy<Value = String> {
    prop_oneof![
        "(fix|feat|Docs|evil)(\\([a-z@# ]{0,6}\\))?: .{0,30}",
        "(BUG|TST)[: ]{1,2}.{0,20}",
        "\\[(fix|ci|skip ci)\\].{0,20}",
        "(🐛|:bug:|✏️).{0,10}",
        ".{0,60}"
    ]
}

proptest! {
    #[test]
    fn whatever_is_said_a_title_is_one_short_harmless_line(
        subjects in prop::collection::vec(subject(), 0..12),
        summary in "(?s)((@|#|\\[|\\]|skip|ci|no_ci|\\*|gh-|://|http|[0-9]| |`|\u{200b}|fixes )|.){0,60}",
    ) {
        let active = Regex::new(r"(?i)@\w|#\w|\bgh-\d|://|no_ci|skip-checks|\[(skip ci|ci skip|no ci|skip actions|actions skip)\]").unwrap();
        for fix_type in FixType::ALL {
            let said = title(&subjects, fix_type, &summary);
            prop_assert!(said.chars().count() <= LONGEST && !said.is_empty(), "{said:?}");
            prop_assert!(!said.chars().any(|c| c.is_control() || ('\u{200b}'..='\u{200f}').contains(&c)), "{said:?}");
            prop_assert!(!active.is_match(&said), "{said:?}");
        }
        let said = summary_of(&summary);
        prop_assert!(said.chars().count() <= LONGEST && !said.contains('\n'));
    }
}
