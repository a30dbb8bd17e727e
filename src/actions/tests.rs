use proptest::prelude::*;

use super::*;
use crate::markup::tests::hostile;

/// The commands that the runner would find in what is printed (`ActionCommand.cs`).
fn obeyed(printed: &str) -> Vec<String> {
    let mut commands = Vec::new();
    for line in printed.split(['\n', '\r']) {
        // .NET compares by a culture's rules, which overlook some characters.
        let line: String = line.chars().filter(|c| !is_overlooked(*c) || *c == '\t').collect();
        let begin = line.trim_start();
        if begin.starts_with("::") && begin[2..].contains("::") {
            commands.push(begin.to_owned());
        } else if let Some(at) = line.find("##[").filter(|at| line[*at..].contains(']')) {
            commands.push(line[at..].to_owned());
        }
    }
    commands
}

fn annotation(message: &str) -> Annotation {
    let text = || Some(message.to_owned());
    Annotation {
        level: Level::Warning,
        file: text(),
        line: Some(3),
        end_line: Some(4),
        title: text(),
        message: message.to_owned(),
    }
}

fn files() -> (tempfile::TempDir, CommandFiles) {
    let place = tempfile::tempdir().unwrap();
    let file = |name: &str| Some(place.path().join(name));
    let files = CommandFiles { output: file("output"), summary: file("summary") };
    (place, files)
}

#[test]
fn no_command_survives_in_what_is_printed() {
    assert_eq!(neutralised("::error::x"), ": :error::x");
    assert_eq!(neutralised("a\n \t::add-mask::x\r::stop-commands::y"), "a\n \t: :add-mask::x\n: :stop-commands::y");
    assert_eq!(neutralised("a ##[error]x ###[group]"), "a # #[error]x ## #[group]");
    assert_eq!(neutralised(":\u{ad}:error::x \u{200b}#\u{feff}#[x]"), ": :error::x # #[x]");
    assert_eq!(neutralised("\u{1b}[31mred\u{1b}[0m \u{1b}]0;t\u{7}"), "red ");
    assert_eq!(neutralised("tests/a.py::test_b passed"), "tests/a.py::test_b passed");
}

#[test]
fn an_annotation_is_one_command_with_its_place() {
    let annotation = Annotation {
        level: Level::Error,
        file: Some("a,b:c.py".to_owned()),
        line: Some(7),
        end_line: Some(6),
        title: Some("pytest".to_owned()),
        message: "100 %\n::error::x".to_owned(),
    };
    let command = annotation.command();
    assert_eq!(command, "::error file=a%2Cb%3Ac.py,line=7,title=pytest::100 %25%0A: :error::x\n");
    let bare = Annotation { file: None, title: None, message: " ".to_owned(), ..annotation };
    assert_eq!(bare.command(), "::error::(no message)\n");
}

#[test]
fn ten_annotations_of_a_level_are_told() {
    let many: Vec<Annotation> = (0..30)
        .map(|n| Annotation {
            level: if n % 2 == 0 { Level::Notice } else { Level::Error },
            ..annotation(&n.to_string())
        })
        .collect();
    let commands = annotate(&many);
    assert_eq!((commands.matches("::notice ").count(), commands.matches("::error ").count()), (10, 10));
    assert!(commands.contains("::19\n") && !commands.contains("::21\n"), "{commands}");
}

#[test]
fn a_secret_is_masked_in_each_line_and_as_it_is_sent() {
    assert_eq!(
        add_mask("tok%en-1\nline two"),
        format!(
            "::add-mask::tok%25en-1%0Aline two\n::add-mask::tok%25en-1\n::add-mask::line two\n::add-mask::{}\n::add-mask::{}\n::add-mask::{}\n",
            STANDARD.encode("tok%en-1\nline two"),
            STANDARD.encode("x-access-token:tok%en-1\nline two"),
            STANDARD.encode(":tok%en-1\nline two"),
        )
    );
    assert_eq!(add_mask(" a "), "");
}

#[test]
fn what_is_quiet_ends_with_a_token_that_is_never_the_same() {
    let (one, two) = (Quiet::new(), Quiet::new());
    assert_ne!(one.end(), two.end());
    assert_eq!(one.begin(), format!("::stop-commands::{}\n", one.0));
    assert_eq!((one.end(), one.0.len()), (format!("::{}::\n", one.0), 32));
}

#[test]
fn an_output_never_ends_early() {
    let mut tokens = ["x", "x", "y"].iter().map(|t| (*t).to_owned());
    let entry = output_entry("pa\nt=ch", "a\nend_x\nb", || tokens.next().unwrap());
    assert_eq!(entry, "patch<<end_y\na\nend_x\nb\nend_y\n");
}

#[test]
fn files_are_appended_to_and_nothing_is_written_where_there_are_none() {
    let (_place, files) = files();
    assert!(files.set_output("a", "1").unwrap() && files.set_output("b", "").unwrap());
    let text = fs::read_to_string(files.output.as_ref().unwrap()).unwrap();
    assert_eq!(text.lines().count(), 6);
    assert!(!files.set_output("c", &"x".repeat(500_000)).unwrap());
    assert_eq!(fs::read_to_string(files.output.as_ref().unwrap()).unwrap(), text);
    let none = CommandFiles::default();
    assert!(none.set_output("a", "1").unwrap() && none.append_summary("a", "b").unwrap());
}

#[test]
fn a_summary_stays_below_what_github_drops_with_what_is_there_already() {
    let (_place, files) = files();
    let path = files.summary.as_ref().unwrap();
    assert!(files.append_summary(&"é line\n".repeat(60_000), "See the file.").unwrap());
    assert!(!files.append_summary(&"another line\n".repeat(60_000), "See the file.").unwrap());
    let text = fs::read_to_string(path).unwrap();
    assert!((1_048_000..1_048_576).contains(&text.len()), "{}", text.len());
    assert!(text.ends_with("another line\n\n*The summary is cut here: GitHub shows no more. See the file.*\n"));
    assert!(!files.append_summary(&"x\n".repeat(1000), "").unwrap());
    assert!(fs::metadata(path).unwrap().len() <= LARGEST_SUMMARY);
}

#[test]
fn inputs_are_where_the_runner_puts_them() {
    assert_eq!(input_variable("deepseek-api-key"), "INPUT_DEEPSEEK-API-KEY");
    assert_eq!(input_variable("fail on"), "INPUT_FAIL_ON");
    assert_eq!(input("nobody-has-this-input"), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn no_foreign_text_is_obeyed_by_the_runner(text in hostile(), odd in "[:# \\[\\]x\u{ad}\u{200b}\u{85}\u{2028}\n\r\t]{0,12}") {
        for text in [&text, &odd] {
            let printed = neutralised(text);
            prop_assert_eq!(obeyed(&printed), Vec::<String>::new(), "{}", printed);
            prop_assert!(printed.chars().all(|c| matches!(c, '\n' | '\t') || !c.is_control()));
            prop_assert_eq!(neutralised(&printed), printed.clone());
            for command in [annotation(text).command(), group(text), add_mask(&format!("{text}12345"))] {
                let printed: Vec<&str> = command.trim_end_matches('\n').split('\n').collect();
                prop_assert_eq!(obeyed(&command).len(), printed.len(), "{}", command);
                prop_assert!(printed.iter().all(|line| line.starts_with("::")), "{}", command);
            }
        }
    }
}
