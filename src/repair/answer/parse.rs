//! Reads an answer. Lenient in how models write it, strict in what it does not understand: the error is a sentence for
//! the model.
//!
//! A half that itself has a line `=======` (an rst heading) leaves open where the first half ends. It is split at the
//! first such line; `edit` knows the file, and looks whether a later one is meant.

use std::sync::LazyLock;

use regex::Regex;

use super::{Answer, Confidence, Edit, Fault};
use crate::fix_type::FixType;

/// A longer answer is not read.
const LONGEST: usize = 256 << 10;
/// So many edits one answer may have.
const MOST_EDITS: usize = 40;
/// Sentences are cut at so many characters.
const LONGEST_SENTENCE: usize = 2000;

const OPENS: &str = "<<<<<<<";
const DIVIDES: &str = "=======";
const CLOSES: &str = ">>>>>>>";

static KEY: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r#"(?ix)^[\s>]* (?:[-*+]\s+|\d+[.)]\s+|\#+\s*)? [*_`"']*
        (root[\ _-]?cause|fix[\ _-]?type|confidence|fault|impact)
        [*_`"']* \s* : [*_`"']* \s* (.*)$"#,
    )
    .ok()
});

/// What a model's text says: its diagnosis, and its edits in order.
///
/// # Errors
/// A sentence for the model, when something is missing, unknown, unfinished or too large.
pub fn parse(text: &str) -> Result<Answer, String> {
    if text.len() > LONGEST {
        return Err(format!("The answer is too long: at most {} KB are read.", LONGEST >> 10));
    }
    let (edits, around) = blocks(text)?;
    let header = Header::read(&around);
    let root_cause = header.sentence("root_cause");
    if root_cause.is_empty() {
        return Err("The answer has no `root_cause:` line. Give all five header lines (root_cause, fix_type, \
                    confidence, fault, impact), and then the edits."
            .to_owned());
    }
    let fix_type = header.word("fix_type", &FixType::ALL.map(|t| (t.word(), t)))?.ok_or_else(|| {
        format!("The answer has no `fix_type:` line: one of {}.", words(&FixType::ALL.map(|t| t.word())))
    })?;
    let confidence = [
        ("low", Confidence::Low),
        ("medium", Confidence::Medium),
        ("high", Confidence::High),
        ("need-more", Confidence::NeedMore),
    ];
    // What is left out is taken for the more careful of what could be meant.
    let confidence = header.word("confidence", &confidence)?.unwrap_or(Confidence::Medium);
    let fault = header.word("fault", &[("code", Fault::Code), ("test", Fault::Test)])?.unwrap_or(Fault::Code);
    Ok(Answer { root_cause, fix_type, confidence, fault, impact: header.sentence("impact"), edits })
}

/// The edit blocks, and the lines around them.
fn blocks(text: &str) -> Result<(Vec<Edit>, Vec<&str>), String> {
    let mut edits: Vec<Edit> = Vec::new();
    let mut around: Vec<&str> = Vec::new();
    let mut after_delete = false;
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if marks(line, CLOSES) && !after_delete {
            return Err("A line `>>>>>>>` closes no block: each block begins with `<<<<<<< path`.".to_owned());
        }
        if !marks(line, OPENS) {
            // A model may close what needs no closing.
            let closing = marks(line, CLOSES) || line.trim_end() == DIVIDES;
            after_delete = after_delete && (closing || line.trim().is_empty());
            if !(after_delete && closing) {
                around.push(line);
            }
            continue;
        }
        if edits.len() == MOST_EDITS {
            return Err(format!("The answer has more than {MOST_EDITS} edits: make fewer and smaller ones."));
        }
        let named = tidy(&line[OPENS.len()..]);
        if let Some(path) = named.strip_prefix("DELETE ").map(tidy).filter(|path| !path.is_empty()) {
            edits.push(Edit::Delete { path: path.to_owned() });
            after_delete = true;
            continue;
        }
        after_delete = false;
        let path = match search_word(named) {
            Some("") => path_before(&mut around)
                .or_else(|| edits.last().map(|edit| edit.path().to_owned()))
                .ok_or("An edit block names no file: begin it with `<<<<<<< path/to/file`.")?,
            Some(path) => path.to_owned(),
            None => named.to_owned(),
        };
        edits.push(block(path, &mut lines)?);
    }
    Ok((edits, around))
}

/// What stands between the markers of one block.
fn block<'a>(path: String, lines: &mut impl Iterator<Item = &'a str>) -> Result<Edit, String> {
    let mut search: Option<String> = None;
    let mut half = String::new();
    for line in lines {
        if marks(line, CLOSES) {
            let Some(search) = search else {
                return Err(format!("The block for {path} has no line of exactly seven `=` between its halves."));
            };
            let create = search.trim().is_empty();
            return Ok(match create {
                true => Edit::Create { path, content: half },
                false => Edit::Replace { path, search, replace: half },
            });
        }
        if marks(line, OPENS) {
            break;
        }
        if search.is_none() && line.trim_end() == DIVIDES {
            search = Some(std::mem::take(&mut half));
            continue;
        }
        half.push_str(line);
        half.push('\n');
    }
    Err(format!("The block for {path} is not closed: end it with a line `>>>>>>>`."))
}

/// Is it a marker line: exactly seven of them, alone or with a word behind?
fn marks(line: &str, marker: &str) -> bool {
    let Some(rest) = line.strip_prefix(marker) else { return false };
    // More of them are a drawing, and `>>>>>>>x` is no closing either.
    !rest.starts_with(&marker[..1]) && (marker == OPENS || rest.is_empty() || rest.starts_with(char::is_whitespace))
}

/// `SEARCH`, as aider writes it, with what stands behind it.
fn search_word(named: &str) -> Option<&str> {
    if named.is_empty() {
        return Some("");
    }
    let (word, rest) = named.split_once(char::is_whitespace).unwrap_or((named, ""));
    matches!(word, "SEARCH" | "ORIGINAL" | "HEAD").then(|| tidy(rest))
}

/// A path on the line before its block: it is taken away, so that no sentence of the header goes on with it.
fn path_before(around: &mut Vec<&str>) -> Option<String> {
    let bare = |line: &&str| line.trim().is_empty() || line.trim_start().starts_with("```");
    let at = around.iter().rposition(|line| !bare(line))?;
    let path = tidy(around[at].trim().trim_start_matches(['#', '-', '*', ' ']));
    let path = path.strip_suffix(':').map_or(path, tidy);
    let looks =
        path.contains(['.', '/']) && !path.contains(char::is_whitespace) && KEY.as_ref()?.captures(path).is_none();
    looks.then(|| {
        let path = path.to_owned();
        around.remove(at);
        path
    })
}

/// Without the quotes that models put around names.
fn tidy(name: &str) -> &str {
    name.trim().trim_matches(['`', '"', '\'', '*']).trim()
}

/// The header's keys with what follows each.
struct Header(Vec<(String, String)>);

impl Header {
    fn read(lines: &[&str]) -> Header {
        let mut header = Header(Vec::new());
        let mut open = false;
        for line in lines {
            if let Some(found) = KEY.as_ref().and_then(|key| key.captures(line)) {
                let key = found[1].to_lowercase().replace([' ', '-'], "_");
                let key = match key.as_str() {
                    "rootcause" => "root_cause".to_owned(),
                    "fixtype" => "fix_type".to_owned(),
                    _ => key,
                };
                header.0.push((key, found[2].trim().to_owned()));
                open = true;
                continue;
            }
            let fence = line.trim_start().starts_with("```");
            let Some((_, value)) = header.0.last_mut().filter(|_| open && !fence) else {
                open = open && !fence;
                continue;
            };
            if line.trim().is_empty() {
                open = value.is_empty();
            } else if value.len() < LONGEST_SENTENCE {
                value.push(' ');
                value.push_str(line.trim());
            }
        }
        header
    }

    /// Everything that is said of a key; where it is said twice, the last word.
    fn sentence(&self, key: &str) -> String {
        let said = self.0.iter().rev().filter(|(k, _)| k == key).map(|(_, value)| value.trim());
        let value = said.map(|v| v.trim_end_matches(['*', '"', '`'])).find(|v| !v.is_empty()).unwrap_or_default();
        value.trim().chars().take(LONGEST_SENTENCE).collect()
    }

    /// One of the known words; `None` where nothing is said.
    fn word<T: Copy>(&self, key: &str, known: &[(&str, T)]) -> Result<Option<T>, String> {
        let mut unknown = None;
        for (_, value) in self.0.iter().rev().filter(|(k, _)| k == key) {
            // `need-more`, `need_more`, `need more`: what comes first is enough.
            let mut parts = value
                .split(|c: char| c.is_whitespace() || matches!(c, '-' | '_'))
                .map(|part| part.trim_matches(|c: char| !c.is_ascii_alphabetic()).to_lowercase());
            let first = parts.find(|part| !part.is_empty()).unwrap_or_default();
            if let Some((_, meant)) = known.iter().find(|(word, _)| word.split('-').next() == Some(&first)) {
                return Ok(Some(*meant));
            }
            if !first.is_empty() {
                unknown.get_or_insert(first);
            }
        }
        let Some(unknown) = unknown else { return Ok(None) };
        let unknown: String = unknown.chars().take(60).collect();
        let known: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
        Err(format!("`{key}: {unknown}` is unknown: one of {}.", words(&known)))
    }
}

fn words(words: &[&str]) -> String {
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEADER: &str =
        "root_cause: The sum is off by one.\nfix_type: test\nconfidence: high\nfault: code\nimpact: None.\n";

    fn edits(blocks: &str) -> Vec<Edit> {
        parse(&format!("{HEADER}{blocks}")).unwrap().edits
    }

    fn replace(path: &str, search: &str, replace: &str) -> Edit {
        Edit::Replace { path: path.to_owned(), search: search.to_owned(), replace: replace.to_owned() }
    }

    #[test]
    fn an_answer_as_it_is_asked_for_is_read_whole() {
        let text = "root_cause: The sum is off\n  by one.\nfix_type: quality\nconfidence: low\nfault: test\nimpact: Fine.\n\
                    <<<<<<< a.py\nx = 1\n=======\nx = 2\n>>>>>>>\n<<<<<<< new.py\n=======\ny = 1\n>>>>>>>\n<<<<<<< DELETE old.py\n";
        let answer = parse(text).unwrap();
        assert_eq!(answer.root_cause, "The sum is off by one.");
        assert_eq!(
            (answer.fix_type, answer.confidence, answer.fault),
            (FixType::Quality, Confidence::Low, Fault::Test)
        );
        assert_eq!(answer.impact, "Fine.");
        assert_eq!(
            answer.edits,
            [
                replace("a.py", "x = 1\n", "x = 2\n"),
                Edit::Create { path: "new.py".to_owned(), content: "y = 1\n".to_owned() },
                Edit::Delete { path: "old.py".to_owned() },
            ]
        );
    }

    #[test]
    fn a_header_is_read_in_every_dress_that_models_give_it() {
        for text in [
            "**root_cause:** It broke.\n**fix_type:** `import`\n**confidence:** High\n**fault:** code",
            "- root_cause: It broke.\n- fix_type: import\n- confidence: high (sure)\n- fault: code",
            "ROOT_CAUSE: It broke.\nFIX_TYPE: IMPORT\nCONFIDENCE: HIGH\nFAULT: CODE",
            "I looked at it. Here is what I found:\n\n```text\nroot_cause: It broke.\nfix_type: import\nconfidence: high\nfault: code\n```\nDone.",
            "### Root cause: It broke.\nFix-type: import.\nConfidence: *high*\nFault: code",
            "root_cause: It broke.\r\nfix_type: import\r\nconfidence: high\r\nfault: code\r\nimpact: x\r\n",
            "**root_cause**:\nIt broke.\n\nfix_type: import\nconfidence: high",
        ] {
            let answer = parse(text).unwrap_or_else(|e| panic!("{e}: {text}"));
            assert_eq!(answer.root_cause, "It broke.", "{text}");
            assert_eq!((answer.fix_type, answer.confidence), (FixType::Import, Confidence::High), "{text}");
        }
    }

    #[test]
    fn that_more_must_be_seen_is_read_in_every_spelling() {
        for (word, confidence) in [
            ("need-more", Confidence::NeedMore),
            ("need_more", Confidence::NeedMore),
            ("**Need more** (the caller)", Confidence::NeedMore),
            ("medium", Confidence::Medium),
            ("medium-high", Confidence::Medium),
        ] {
            let answer = parse(&HEADER.replace("confidence: high", &format!("confidence: {word}"))).unwrap();
            assert_eq!(answer.confidence, confidence, "{word}");
        }
    }

    #[test]
    fn a_block_is_read_in_every_dress_that_models_give_it() {
        let plain = [replace("src/a.py", "x = 1\n", "x = 2\n")];
        for block in [
            "```python\n<<<<<<< src/a.py\nx = 1\n=======\nx = 2\n>>>>>>>\n```\n",
            "src/a.py\n<<<<<<< SEARCH\nx = 1\n=======\nx = 2\n>>>>>>> REPLACE\n",
            "\n`src/a.py`:\n```python\n<<<<<<< SEARCH\nx = 1\n=======\nx = 2\n>>>>>>> REPLACE\n```",
            "<<<<<<< `src/a.py`\nx = 1\n=======\nx = 2\n>>>>>>> src/a.py\n",
            "<<<<<<< SEARCH src/a.py\r\nx = 1\r\n=======\r\nx = 2\r\n>>>>>>>\r\n",
            "**src/a.py**\n<<<<<<< HEAD\nx = 1\n======= \nx = 2\n>>>>>>>   \nThat is all.",
        ] {
            assert_eq!(edits(block), plain, "{block}");
        }
        let answer = parse(&format!("{HEADER}src/a.py\n<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE")).unwrap();
        assert_eq!(answer.impact, "None.", "the path is no part of the sentence");
    }

    #[test]
    fn a_second_block_in_aiders_style_is_of_the_same_file() {
        let block = "<<<<<<< SEARCH\nx\n=======\ny\n>>>>>>> REPLACE\n";
        let paths: Vec<String> =
            edits(&format!("a.py\n{block}\nand then\n{block}")).iter().map(|e| e.path().to_owned()).collect();
        assert_eq!(paths, ["a.py", "a.py"]);
    }

    #[test]
    fn a_deletion_may_be_closed_though_it_needs_none() {
        assert_eq!(edits("<<<<<<< DELETE a.py\n=======\n>>>>>>>\n"), [Edit::Delete { path: "a.py".to_owned() }]);
    }

    #[test]
    fn a_heading_of_seven_keeps_every_line_of_the_block() {
        let block = "<<<<<<< a.rst\nHeading\n=======\ntext\n=======\nHeading\n=======\nnew\n>>>>>>>\n";
        assert_eq!(edits(block), [replace("a.rst", "Heading\n", "text\n=======\nHeading\n=======\nnew\n")]);
    }

    #[test]
    fn what_is_not_understood_is_said() {
        for (text, why) in [
            (String::new(), "root_cause"),
            ("root_cause: x".to_owned(), "fix_type"),
            ("root_cause: x\nfix_type: magic".to_owned(), "magic"),
            ("root_cause: x\nfix_type: test\nconfidence: 90%".to_owned(), ""),
            (format!("{HEADER}<<<<<<< a.py\nx\n=======\ny\n"), "a.py is not closed"),
            (format!("{HEADER}<<<<<<< a.py\nx\n=======\ny\n<<<<<<< b.py\n=======\n>>>>>>>"), "a.py is not closed"),
            (format!("{HEADER}<<<<<<< a.py\nx\n>>>>>>>\n"), "exactly seven"),
            (format!("{HEADER}<<<<<<< SEARCH\nx\n=======\n>>>>>>>\n"), "names no file"),
            (format!("{HEADER}>>>>>>>\n"), "closes no block"),
            (format!("{HEADER}confidence: sure\n").replace("confidence: high\n", ""), "sure"),
            (format!("{HEADER}{}", "<<<<<<< DELETE a\n".repeat(41)), "more than 40"),
            ("x".repeat(300 << 10), "too long"),
        ] {
            match parse(&text) {
                Err(error) => assert!(error.contains(why), "{error}"),
                Ok(answer) => assert!(why.is_empty(), "{answer:?}"),
            }
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(?s).{0,300}") {
            let _ = parse(&text);
        }

        #[test]
        fn no_order_of_the_words_that_it_knows_makes_it_panic(
            words in prop::collection::vec(prop::sample::select(vec![
                "root_cause: x", "fix_type: test", "confidence:", "fault: é", "<<<<<<<", "<<<<<<< a.py", "<<<<<<< SEARCH",
                "<<<<<<< DELETE", "<<<<<<< DELETE b", "=======", ">>>>>>>", ">>>>>>> REPLACE", "```", "", "text", "a/b.py", "é:", "**",
            ]), 0..40)
        ) {
            if let Ok(answer) = parse(&words.join("\n")) {
                prop_assert!(!answer.root_cause.is_empty());
                prop_assert!(answer.edits.iter().all(|e| !e.path().is_empty()));
            }
        }

        #[test]
        fn halves_come_back_as_they_were_written(search in "[a-z ]{1,20}x", content in "[a-z=\n ]{0,60}") {
            let block = format!("<<<<<<< a.py\n{search}\n=======\n{content}\n>>>>>>>\n");
            prop_assert_eq!(edits(&block), vec![replace("a.py", &format!("{search}\n"), &format!("{content}\n"))]);
        }
    }
}
