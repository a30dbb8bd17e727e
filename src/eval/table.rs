//! The table of what came of the cases, and its sums.

use console::style;

use super::Scored;
use crate::{llm::Usage, redact::shown_line, report::Table};

/// All results as text.
pub(super) fn table(scored: &[Scored]) -> String {
    let asked = scored.iter().any(|s| s.usage.calls > 0);
    let mut head = vec!["case", "category", "reproduced", "ended", "seconds"];
    if asked {
        head.extend(["model s", "calls", "tokens in", "cached", "out", "dollars"]);
    }
    head.push("files, or why not");
    let mut table = Table::new(&head);
    for case in scored {
        let word = shown_line(&case.ended, 40);
        let ended = match case.ended.as_str() {
            _ if case.known.is_some() && case.as_expected() != Some(true) => style(word).red(),
            "fixed" | "proven" => style(word).green(),
            "flagged" => style(word).yellow(),
            _ if case.as_expected() == Some(true) => style(word).green(),
            _ => style(word).red(),
        };
        let reproduced = match (case.reproduced, case.tests_reproduced) {
            (true, Some((seen, all))) => format!("{seen}/{all}"),
            (true, None) => "yes".to_owned(),
            (false, _) if case.nothing_to_reproduce() => "–".to_owned(),
            (false, _) => "no".to_owned(),
        };
        let last = match (case.as_expected(), &case.expected) {
            _ if !case.files.is_empty() => shown_line(&case.files.join(", "), 400),
            (Some(true), _) if case.nothing_to_reproduce() => format!("as expected: {}", shown_line(&case.why, 90)),
            (Some(false), Some(expected)) => {
                format!("expected {}: {}", shown_line(expected, 40), shown_line(&case.why, 90))
            }
            _ => shown_line(&case.why, 90),
        };
        let mut row = vec![
            shown_line(&case.case, 100),
            shown_line(&case.category, 40),
            reproduced,
            ended.to_string(),
            format!("{:.0}", case.seconds),
        ];
        if asked {
            let Usage { calls, prompt_tokens, cached_tokens, completion_tokens, cost_usd } = case.usage;
            row.extend([format!("{:.0}", case.model_seconds), calls.to_string()]);
            row.extend([prompt_tokens, cached_tokens, completion_tokens].map(|n| n.to_string()));
            row.push(format!("{cost_usd:.5}"));
        }
        row.push(last);
        table.row(row);
    }
    let count = |word: &str| scored.iter().filter(|s| s.ended == word).count();
    let mut words: Vec<&str> = scored.iter().map(|s| s.ended.as_str()).collect();
    words.sort_unstable();
    words.dedup();
    let sums: Vec<String> = words.iter().map(|w| format!("{} {w}", count(w))).collect();
    let reproduced = scored.iter().filter(|s| s.reproduced).count();
    let reproducible = scored.iter().filter(|s| !s.nothing_to_reproduce()).count();
    let sums = shown_line(&sums.join(", "), 400);
    let mut text = format!("{}\n{reproduced} of {reproducible} reproduced; {sums}\n", table.render(0));
    text.push_str(&confusion(scored));
    let said: Vec<bool> = scored.iter().filter(|s| s.known.is_none()).filter_map(Scored::as_expected).collect();
    if !said.is_empty() {
        let right = said.iter().filter(|right| **right).count();
        text.push_str(&format!("{right} of {} ended as their case.json expects\n", said.len()));
    }
    if asked {
        text.push_str(&costs(scored));
    }
    text
}

/// Of patches that are known to cheat or to be honest, how each kind was judged; nothing where there are none.
fn confusion(scored: &[Scored]) -> String {
    if scored.iter().all(|s| s.known.is_none()) {
        return String::new();
    }
    let verdicts = ["refused", "failed", "flagged", "proven"];
    let mut table = Table::new(&["patches", "refused", "failed", "flagged", "proven", "not judged", "right"]);
    let mut wrong = String::new();
    let kinds = [("cheats", Some(true)), ("honest", Some(false)), ("the cases' own", None)];
    for (name, cheat) in kinds {
        let of: Vec<&Scored> = scored.iter().filter(|s| s.known.map(|known| known.cheat) == cheat).collect();
        if of.is_empty() {
            continue;
        }
        let counts = verdicts.map(|verdict| of.iter().filter(|s| s.ended == verdict).count());
        let mut row = vec![name.to_owned()];
        row.extend(counts.iter().map(ToString::to_string));
        row.push((of.len() - counts.iter().sum::<usize>()).to_string());
        let right = |right: bool| of.iter().filter(move |s| s.known.is_some() && s.as_expected() == Some(right));
        row.push(if cheat.is_some() { format!("{} of {}", right(true).count(), of.len()) } else { "–".to_owned() });
        table.row(row);
        for s in right(false) {
            let (case, ended) = (shown_line(&s.case, 100), shown_line(&s.ended, 40));
            wrong.push_str(&format!("wrong: {case} ({name}) was {ended}: {}\n", shown_line(&s.why, 200)));
        }
    }
    format!("\n{}\n{wrong}", table.render(0))
}

/// What the model cost, in all and at the median of the cases that asked it.
fn costs(scored: &[Scored]) -> String {
    let asked: Vec<&Scored> = scored.iter().filter(|s| s.usage.calls > 0).collect();
    let median = |of: &dyn Fn(&Scored) -> f64| {
        let mut values: Vec<f64> = asked.iter().map(|s| of(s)).collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
    };
    let mut all = Usage::default();
    asked.iter().for_each(|s| all += s.usage);
    format!(
        "the model was asked in {} case(s): {} calls, ${:.4}; at the median {} call(s), {:.0} prompt tokens of which {:.0} uncached, {:.0} completion tokens, ${:.5}\n",
        asked.len(),
        all.calls,
        all.cost_usd,
        median(&|s| f64::from(s.usage.calls)),
        median(&|s| s.usage.prompt_tokens as f64),
        median(&|s| s.usage.prompt_tokens.saturating_sub(s.usage.cached_tokens) as f64),
        median(&|s| s.usage.completion_tokens as f64),
        median(&|s| s.usage.cost_usd),
    )
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A result.
    pub(in crate::eval) fn scored(case: &str, ended: &str) -> Scored {
        let line = serde_json::json!({
            "case": case, "category": case, "tool": case, "ended": ended, "expected": null, "reproduced": true,
            "tests_reproduced": null, "files": [case], "seconds": 1.0, "why": case,
        });
        serde_json::from_value(line).unwrap()
    }

    #[test]
    fn no_name_of_a_case_or_file_reaches_the_terminal_with_an_escape_in_it() {
        let evil = "a\u{1b}[2Jb";
        let expected = Some(evil.to_owned());
        let evil = Scored { expected, files: Vec::new(), ..scored(evil, evil) };
        assert!(!table(&[scored("a\u{1b}[2Jb", "fixed"), evil]).contains("\u{1b}[2J"));
    }

    #[test]
    fn patches_that_are_known_are_counted_by_verdict_and_the_wrong_ones_named() {
        use crate::eval::Known;

        let of = |case: &str, ended: &str, cheat, flag| Scored {
            known: Some(Known { cheat, flag, passes: case != "idle" }),
            ..scored(case, ended)
        };
        let text = table(&[
            of("skip", "refused", true, false),
            of("slip", "proven", true, false),
            of("noqa", "flagged", true, true),
            of("idle", "failed", true, false),
            of("other", "failed", true, false),
            of("refactor", "proven", false, false),
            of("guard", "refused", false, false),
            of("lost", "not_reproduced", false, false),
            scored("upstream", "flagged"),
        ]);
        let row = |name: &str| {
            let row = text.lines().rev().find(|line| line.starts_with(name)).unwrap();
            row[name.len()..].split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(row("cheats"), "1 2 1 1 0 3 of 5", "{text}");
        assert_eq!(row("honest"), "1 0 0 1 1 1 of 3", "{text}");
        assert_eq!(row("the cases' own"), "0 0 1 0 0 –", "{text}");
        for (name, wrong) in [("slip", true), ("idle", true), ("guard", true), ("noqa", false), ("lost", false)] {
            assert_eq!(text.contains(&format!("wrong: {name} ")), wrong, "{name}\n{text}");
        }
        assert!(!table(&[scored("upstream", "proven")]).contains("cheats"));
    }

    #[test]
    fn a_case_that_nothing_repairs_is_right_when_that_is_said_of_it_and_is_not_missed_among_the_reproduced() {
        let of = |ended: &str, expected: &str, reproduced| Scored {
            expected: Some(expected.to_owned()),
            reproduced,
            files: Vec::new(),
            ..scored("a", ended)
        };
        let right = table(&[of("infrastructure", "infrastructure", false), of("proven", "fixed", true)]);
        assert!(right.contains("as expected: a") && right.contains("1 of 1 reproduced"), "{right}");
        assert!(right.contains("2 of 2 ended as their case.json expects"), "{right}");
        let wrong = table(&[of("failed", "infrastructure", true), of("infrastructure", "fixed", false)]);
        assert!(wrong.contains("expected infrastructure: a") && wrong.contains("1 of 2 reproduced"), "{wrong}");
        assert!(wrong.contains("0 of 2 ended as their case.json expects"), "{wrong}");
    }
}
