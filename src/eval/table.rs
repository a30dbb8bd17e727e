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
    let said: Vec<bool> = scored.iter().filter_map(Scored::as_expected).collect();
    if !said.is_empty() {
        let right = said.iter().filter(|right| **right).count();
        text.push_str(&format!("{right} of {} ended as their case.json expects\n", said.len()));
    }
    if asked {
        text.push_str(&costs(scored));
    }
    text
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
