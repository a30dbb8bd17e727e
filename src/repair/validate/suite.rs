//! suite: where CI ran a part of the tests, the whole of them before and after a change.

use std::time::Duration;

use super::{CheckResult, judge::last_line};
use crate::{
    observe::{Observed, TestOutcome, Tests},
    plan::{Check, Origin, shell},
    progress::Progress,
    repair::reproduce::{Baseline, run_check},
    sandbox::{Limits, Prepared, Sandbox, SandboxError, describe, tail},
    workspace::Tree,
};

/// What the whole suite says.
pub(super) enum Compared {
    /// CI ran all of it already, or its runner has no reports.
    Nothing,
    /// It did not end within the time box, or left no report.
    NotFinished(String),
    /// Both runs ended.
    Both {
        result: CheckResult,
        before: Tests,
        after: Tests,
        /// Tests that failed in one of two runs after the change; they are not in `after`.
        flaky: Vec<String>,
    },
}

/// Runs the whole suite on the tree and on the candidate, as long as the time box lasts.
pub(super) async fn compare(
    sandbox: &dyn Sandbox,
    [tree, candidate]: [&Tree; 2],
    baseline: &Baseline,
    left: &mut Duration,
    progress: &Progress,
) -> Result<Compared, SandboxError> {
    let checks = &baseline.job().checks;
    let claimed = checks.iter().enumerate().filter(|(i, _)| baseline.shows_claimed(*i)).map(|(_, check)| check);
    let Some(script) = claimed.filter_map(|check| whole_suite_of(&check.script)).next() else {
        return Ok(Compared::Nothing);
    };
    let check = Check::new(script, Origin::Log, "");
    let mut run = async |prepared: &dyn Prepared, when: &str| {
        let stage =
            progress.begin("validate", format!("the whole suite {when} the change, {} s at most", left.as_secs()));
        let run = run_check(prepared, &check, Limits { wall: *left, ..Limits::default() }).await?;
        *left = left.saturating_sub(Duration::from_secs_f64(run.seconds));
        stage.end(&describe(run.ended));
        Ok::<Observed, SandboxError>(run)
    };
    let unfinished = |run: &Observed| {
        Compared::NotFinished(format!("the whole suite: `{}` {}", last_line(&check.script), describe(run.ended)))
    };
    let before = run(&*sandbox.prepare(baseline.recipe(), tree, false).await?, "before").await?;
    let Some(was) = before.tests.clone() else { return Ok(unfinished(&before)) };
    let mut prepared = sandbox.prepare(baseline.recipe(), candidate, true).await?;
    let after = run(&*prepared, "after").await?;
    let Some(mut is) = after.tests.clone() else { return Ok(unfinished(&after)) };
    let broken = |is: &Tests| -> Vec<String> {
        let failed = is.iter().filter(|(_, outcome)| **outcome == TestOutcome::Failed);
        failed.filter(|(id, _)| was.get(*id) == Some(&TestOutcome::Passed)).map(|(id, _)| id.clone()).collect()
    };
    let mut flaky = Vec::new();
    let suspects = broken(&is);
    if !suspects.is_empty() {
        prepared.refresh(candidate).await?;
        if let Some(again) = run(&*prepared, "once more after").await?.tests {
            flaky = suspects.into_iter().filter(|id| again.get(id) == Some(&TestOutcome::Passed)).collect();
            is.retain(|id, _| !flaky.contains(id));
        }
    }
    let outcome =
        |run: &Observed| if run.passed() { "passed".to_owned() } else { format!("failed ({})", describe(run.ended)) };
    let result = CheckResult {
        job: baseline.job().name.clone(),
        command: check.script.clone(),
        before: outcome(&before),
        after: outcome(&after),
        seconds: after.seconds,
        output: tail(&after.output, super::SHOWN),
    };
    let was = was.into_iter().filter(|(id, _)| !flaky.contains(id)).collect();
    Ok(Compared::Both { result, before: was, after: is, flaky })
}

/// `pytest tests/test_x.py -k y` as the whole suite: `pytest`. `None` where it is the whole suite already.
fn whole_suite_of(script: &str) -> Option<String> {
    let (before, last) = script.rsplit_once('\n').map_or(("", script), |(before, last)| (before, last));
    if last.contains(['|', '>', ';', '&', '$']) {
        return None;
    }
    let words = shell::words_of(last);
    let borrowed: Vec<&str> = words.iter().map(String::as_str).collect();
    let arguments =
        shell::tool_arguments(&borrowed, "pytest").or_else(|| shell::tool_arguments(&borrowed, "py.test"))?;
    let start = borrowed.len() - arguments.len();
    let mut kept = Vec::new();
    let mut partial = false;
    let mut rest = arguments.iter();
    while let Some(&word) = rest.next() {
        match word {
            "-k" | "-m" => {
                rest.next();
                partial = true;
            }
            "-x" | "--exitfirst" | "--lf" | "--last-failed" => {}
            _ if word.starts_with('-') => {
                kept.push(word);
                let takes_value =
                    matches!(word, "-p" | "-n" | "-c" | "-o" | "-W" | "-r" | "--cov" | "--rootdir" | "--timeout");
                kept.extend(takes_value.then(|| rest.next().copied()).flatten());
            }
            _ => partial |= word.contains("::") || word.ends_with(".py"),
        }
    }
    if !partial {
        return None;
    }
    let mut whole: Vec<&str> = borrowed[..start].to_vec();
    whole.extend(kept);
    let line = shell_words::join(whole);
    Some(if before.is_empty() { line } else { format!("{before}\n{line}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_the_suite_is_widened_to_the_whole() {
        assert_eq!(whole_suite_of("python -m pytest tests/test_a.py -q").as_deref(), Some("python -m pytest -q"));
        assert_eq!(whole_suite_of("cd x\npytest -k fast --cov pkg").as_deref(), Some("cd x\npytest --cov pkg"));
        assert_eq!(whole_suite_of("pytest --doctest-modules pkg tests"), None);
        assert_eq!(whole_suite_of("mypy src"), None);
    }
}
