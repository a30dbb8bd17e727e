//! What a model is shown of foreign text: bounded, the same in every run and on every machine, and marked as data.

use std::{path::Path, sync::LazyLock};

use regex::Regex;

use crate::repair::context::boundary;

/// What stands for the environment's own directory, outside the tree.
pub(super) const ENVIRONMENT: &str = "<env>";

/// What a terminal obeys.
const ESCAPES: &str = r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])";
static ESCAPE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(ESCAPES).ok());

/// No secret of one word is longer.
const LONGEST_WORD: usize = 2048;

/// What differs from run to run, with what stands for it.
static UNSTABLE: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let patterns = [
        // A tree in a slot of the cache, and the slot itself: which one a run gets is chance.
        (r#"[^\s"'`(]*/env/[0-9a-f]{12,}(?:-candidate|-once)*/\d+/w/[^/\s"'`]+/"#, ""),
        (r#"[^\s"'`(]*/env/[0-9a-f]{12,}(?:-candidate|-once)*/\d+\b"#, ENVIRONMENT),
        (ESCAPES, ""),
        (
            r"(?i)\b((?:random[ _-]?seed|randomly-seed|random-order-seed|PYTHONHASHSEED)['\x22]?(?:: ?| ?= ?| )['\x22]?)\d+\b",
            "${1}N",
        ),
        (r"@seed\(\d+\)", "@seed(N)"),
        // Ports that a system chooses.
        (r"(127\.0\.0\.1|localhost|\[?::1\]?)(:|['\x22], ?)(?:3[2-9]\d{3}|4\d{4}|5\d{4}|6[0-5]\d{3})\b", "${1}${2}N"),
        (r"(?i)\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "<uuid>"),
        (
            r"(?m)\b(in|took|after|Time:|real|user|sys|elapsed:?)([ \t]+)\d+(?:m\d+)?(?:[.:]\d+)* ?(s|ms|sec|secs|seconds)\b",
            "$1${2}N$3",
        ),
        (r"\b\d+\.\d+(?: ?)(s|ms|sec|secs|seconds)\b", "N$1"),
        (r"\(\d+:\d\d:\d\d\)", "(N)"),
        (r"\b0x[0-9a-fA-F]{8,16}\b", "0x…"),
        (r"/tmp/pytest-of-[^/\s]+/pytest-\d+", "/tmp/pytest"),
        (r"/tmp/tmp[A-Za-z0-9_]{6,10}\b", "/tmp/tmp…"),
        (r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?", "<time>"),
    ];
    patterns.into_iter().filter_map(|(pattern, by)| Some((Regex::new(pattern).ok()?, by))).collect()
});

/// A text of the sandbox: redacted, paths from the tree's root, no escapes, no durations, at most `most` bytes, its
/// beginning and its end (which says more) kept.
pub(super) fn shown(bytes: &[u8], root: &Path, redact: &dyn Fn(&str) -> String, most: usize) -> String {
    // More than is shown may be needed to see what is dropped by the patterns; a multiple is enough.
    let bytes = cut_between_words(bytes, most.saturating_mul(8));
    let mut text = String::from_utf8_lossy(&bytes).replace("\r\n", "\n");
    if let Some(escape) = &*ESCAPE {
        text = escape.replace_all(&text, "").into_owned();
    }
    text.retain(|c| matches!(c, '\n' | '\t') || !c.is_control());
    // Before anything else is changed or cut: nobody would know a secret by its half.
    text = redact(&text);
    let root_text = root.display().to_string();
    if root_text.len() > 1 {
        text = text.replace(&format!("{root_text}/"), "").replace(&root_text, ".");
    }
    if let Some(environment) = environment(root) {
        text = text.replace(&environment, ENVIRONMENT);
    }
    text = stable(&text);
    let text = cut(text.trim_end().as_bytes(), most);
    String::from_utf8_lossy(&text).into_owned()
}

/// A text without what differs from run to run.
pub(crate) fn stable(text: &str) -> String {
    UNSTABLE.iter().fold(text.to_owned(), |text, (pattern, by)| pattern.replace_all(&text, *by).into_owned())
}

/// The directory of the environment that the tree at `root` lies in: the sandbox keeps the tree in it, two levels deep.
/// None where it is too short to be told from others.
pub(super) fn environment(root: &Path) -> Option<String> {
    let above = root.parent()?.parent()?;
    (above.components().count() > 2).then(|| above.display().to_string())
}

/// What is wrong with a call. The words may quote files, so they are data as well.
pub(super) fn error(why: &str) -> String {
    format!("error:\n{}", data("the tool", why))
}

/// A third from the beginning, the rest from the end.
pub(super) fn cut(bytes: &[u8], most: usize) -> Vec<u8> {
    if bytes.len() <= most {
        return bytes.to_vec();
    }
    let (head, tail) = (most / 3, most - most / 3);
    joined(&bytes[..head], &bytes[bytes.len() - tail..], bytes.len())
}

/// The same without the words at the cut, of which there are only halves.
fn cut_between_words(bytes: &[u8], most: usize) -> Vec<u8> {
    if bytes.len() <= most {
        return bytes.to_vec();
    }
    let (head, tail) = (&bytes[..most / 3], &bytes[bytes.len() - (most - most / 3)..]);
    let blank = |byte: &u8| byte.is_ascii_whitespace();
    let half = head.iter().rev().take(LONGEST_WORD).position(blank).unwrap_or(LONGEST_WORD.min(head.len()));
    let other = tail.iter().take(LONGEST_WORD).position(blank).unwrap_or(LONGEST_WORD.min(tail.len()));
    joined(&head[..head.len() - half], &tail[other..], bytes.len())
}

fn joined(head: &[u8], tail: &[u8], all: usize) -> Vec<u8> {
    let note = format!("\n… {} bytes left out …\n", all - head.len() - tail.len());
    [head, note.as_bytes(), tail].concat()
}

/// The text between marks that do not stand in it.
pub(super) fn data(of: &str, text: &str) -> String {
    let mark = boundary(text, std::iter::once(text));
    format!("<data {mark} from {of}>\n{}\n</data {mark}>\n", text.trim_end_matches('\n'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn two_runs_on_two_machines_show_the_same() {
        let run = |environment: &str, seconds: &str, address: &str| {
            let root = format!("{environment}/w/project");
            let text = format!(
                "\x1b[31mFAILED\x1b[0m {root}/tests/test_a.py in {root}\n<object at {address}>\n{environment}/venv/x.py\n\
                 ===== 1 failed in {seconds}s =====\nRan 3 tests in {seconds}s\n"
            );
            shown(text.as_bytes(), Path::new(&root), &str::to_owned, 4000)
        };
        let one = run("/home/a/.cache/e/1234", "0.12", "0x7f0012345678");
        assert_eq!(one, run("/var/tmp/b/e/99", "13.5", "0x55d012345678"));
        assert!(one.starts_with("FAILED tests/test_a.py in .\n"), "{one}");
        assert!(
            one.contains("<env>/venv/x.py") && one.contains("1 failed in Ns") && one.contains("Ran 3 tests in Ns"),
            "{one}"
        );
    }

    #[test]
    fn the_slot_that_a_run_got_is_not_shown() {
        let text = "File \"/var/cache/test-repair/env/9f1abd4c4282b5c723a7/2/w/tiny/tests/test_tiny.py\", line 7 in 0.123s\n\
                    /var/cache/test-repair/env/9f1abd4c4282b5c723a7/2/venv/bin/python";
        assert_eq!(stable(text), "File \"tests/test_tiny.py\", line 7 in Ns\n<env>/venv/bin/python");
    }

    #[test]
    fn slots_of_candidates_seeds_ports_and_uuids_are_not_shown() {
        let run = |slot: &str, seed: &str, port: &str, uuid: &str| {
            stable(&format!(
                "/c/env/9f1abd4c4282b5c723a7{slot}/w/tiny/a.py /c/env/9f1abd4c4282b5c723a7{slot}/venv/bin/python\n\
                 random seed: {seed}\nUsing --randomly-seed={seed}\nUsing --random-order-seed={seed}\n\
                 PYTHONHASHSEED='{seed}'\nhttp://127.0.0.1:{port}/x ('127.0.0.1', {port}) localhost:{port}\n\
                 /tmp/{uuid}.json\n"
            ))
        };
        let one = run("/0", "17", "43211", "0f8fad5b-d9cb-469f-a165-70867728950e");
        for slot in ["-candidate/3", "-once/12", "-candidate-once/0"] {
            assert_eq!(run(slot, "4242", "60123", "7c9e6679-7425-40de-944b-e07fc1f90ae7"), one);
        }
        let kept = "a.py <env>/venv/bin/python\nrandom seed: N\nUsing --randomly-seed=N\n";
        assert!(one.starts_with(kept), "{one}");
        let fixed = "connect to 127.0.0.1:5432, port 8080; seeds are sown in 1999";
        assert_eq!(stable(fixed), fixed);
    }

    #[test]
    fn no_part_of_a_secret_is_shown_where_a_cut_goes_through_it() {
        let token = "ghp_abcdefghijklmnopqrstuvwxyz0123456789";
        // The second goes away before the second cut, so that the first is seen.
        for filler in ["x ", "\x1b[00000000m "] {
            let many = filler.repeat(600);
            for at in 0..500 {
                let (near, pad) = (filler.repeat(at / filler.len()), "x".repeat(at % filler.len()));
                for text in [format!("{pad} {near}{token} {many}"), format!("{many}{token} {near}{pad}")] {
                    let shown = shown(text.as_bytes(), Path::new("/a/b/c/d"), &crate::redact::redact, 60);
                    let part = (0..token.len() - 6).find(|from| shown.contains(&token[*from..from + 6]));
                    assert!(part.is_none(), "{shown}");
                }
            }
        }
    }

    #[test]
    fn nothing_can_close_its_own_frame() {
        let inner = data("run", "x");
        let outer = data("run", &inner);
        let last = outer.trim_end().lines().last().unwrap();
        assert!(!inner.contains(last) && outer.matches(last).count() == 1);
        assert_eq!(data("run", "x"), inner, "and it is the same in every run");
    }

    proptest! {
        #[test]
        fn any_output_is_bounded_and_free_of_escapes(bytes in prop::collection::vec(any::<u8>(), 0..2000), most in 30..300usize) {
            let shown = shown(&bytes, Path::new("/a/b/c/d"), &str::to_owned, most);
            prop_assert!(shown.chars().all(|c| c == '\n' || c == '\t' || !c.is_control()));
            prop_assert!(shown.len() <= 3 * most + 100);
        }
    }
}
