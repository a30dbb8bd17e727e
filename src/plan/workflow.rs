//! The repository's workflow files, as far as the log leaves gaps: working directories, and the steps after the
//! failing one.

use regex::Regex;
use serde::Deserialize;

/// A workflow file, read leniently: what we do not need may have any shape.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Workflow {
    #[serde(default)]
    jobs: std::collections::BTreeMap<String, WorkflowJob>,
    #[serde(default)]
    defaults: Defaults,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct WorkflowJob {
    name: Option<String>,
    #[serde(default)]
    steps: Vec<WorkflowStep>,
    #[serde(default)]
    defaults: Defaults,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Defaults {
    #[serde(default)]
    run: DefaultRun,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct DefaultRun {
    working_directory: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct WorkflowStep {
    name: Option<String>,
    run: Option<String>,
    uses: Option<String>,
    working_directory: Option<String>,
    r#if: Option<serde_json::Value>,
}

/// A step that CI never reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Later {
    /// Runnable as it stands.
    Run(String),
    /// Not runnable here.
    Unknown {
        /// The step.
        what: String,
        /// Why.
        why: String,
        /// Its script, where it has one.
        run: Option<String>,
    },
}

/// The workflow job that runs the failing command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matched {
    /// The failing step's working directory, where the workflow names one.
    pub directory: Option<String>,
    /// The steps after it.
    pub later: Vec<Later>,
}

/// Reads a workflow file.
///
/// # Errors
/// When the text is no YAML mapping of a workflow's shape.
pub fn parse(text: &str) -> anyhow::Result<Workflow> {
    Ok(serde_saphyr::from_str(text)?)
}

/// The job, of all workflows, with a step that runs `script`: the one whose id or name is asked for, else the one whose
/// name is the log's, else the only one. Several equal candidates claim nothing.
pub fn matching(workflows: &[Workflow], script: &str, id: Option<&str>, name: Option<&str>) -> Option<Matched> {
    let mut found = Vec::new();
    for workflow in workflows {
        for (job_id, job) in &workflow.jobs {
            if id.is_some_and(|id| id != job_id) {
                continue;
            }
            let runs = |s: &WorkflowStep| s.run.as_deref().is_some_and(|run| same_script(run, script));
            if let Some(at) = job.steps.iter().position(runs) {
                found.push((job_id, job, workflow, at));
            }
        }
    }
    let title = name.map(|n| n.split(" (").next().unwrap_or(n));
    let named =
        found.iter().position(|(id, job, ..)| title.is_some_and(|t| job.name.as_deref() == Some(t) || *id == t));
    let (_, job, workflow, at) = match (named, found.len()) {
        (Some(index), _) => found.swap_remove(index),
        (None, 1) => found.swap_remove(0),
        _ => return None,
    };
    let default =
        job.defaults.run.working_directory.clone().or_else(|| workflow.defaults.run.working_directory.clone());
    let directory_of = |s: &WorkflowStep| {
        let written = s.working_directory.as_deref().or(default.as_deref())?;
        Some(written.trim_start_matches("./").trim_end_matches('/').to_owned())
    };
    let directory = directory_of(&job.steps[at]);
    let later = job.steps[at + 1..].iter().filter_map(|step| later(step, directory_of(step) == directory)).collect();
    Some(Matched { directory: directory.filter(|d| !d.contains("${{")), later })
}

fn later(step: &WorkflowStep, same_directory: bool) -> Option<Later> {
    let title = |text: &str| step.name.clone().unwrap_or_else(|| text.lines().next().unwrap_or_default().to_owned());
    if let Some(action) = &step.uses {
        let why = "a later step of the workflow: actions are not run by the local sandbox".to_owned();
        return Some(Later::Unknown { what: title(action), why, run: None });
    }
    let run = step.run.as_ref()?;
    let why = if step.r#if.is_some() {
        "a later step of the workflow with a condition, which is not evaluated"
    } else if run.contains("${{") {
        "a later step of the workflow with expressions, which are not evaluated"
    } else if !same_directory {
        "a later step of the workflow in another directory"
    } else {
        return Some(Later::Run(run.clone()));
    };
    Some(Later::Unknown { what: title(run), why: why.to_owned(), run: Some(run.clone()) })
}

/// Is `logged` what `written` becomes when its expressions are evaluated?
pub fn same_script(written: &str, logged: &str) -> bool {
    let fold = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (written, logged) = (fold(written), fold(logged));
    if !written.contains("${{") {
        return written == logged;
    }
    let mut pattern = String::from("^");
    let mut rest = written.as_str();
    while let Some((text, tail)) = rest.split_once("${{") {
        pattern.push_str(&regex::escape(text));
        pattern.push_str(".*");
        rest = tail.split_once("}}").map_or("", |(_, tail)| tail);
    }
    pattern.push_str(&regex::escape(rest));
    pattern.push('$');
    // A script of nothing but expressions would match anything.
    written.len() > 12 && Regex::new(&pattern).is_ok_and(|p| p.is_match(&logged))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CI: &str = "
on: push
jobs:
  test:
    name: tests
    strategy: {matrix: {python: ['3.11']}}
    steps:
      - uses: actions/checkout@v5
      - run: pip install -e .
      - run: pytest -q ${{ matrix.extra }} tests
        working-directory: ./backend
      - run: mypy src
        working-directory: backend
      - name: upload
        uses: codecov/codecov-action@v5
      - run: ./release ${{ secrets.X }}
  other:
    steps: [{run: make}]
";

    #[test]
    fn the_steps_that_ci_never_reached_are_found_by_the_failing_command() {
        let workflows = [parse(CI).unwrap()];
        let found = matching(&workflows, "pytest -q --fast tests", None, None).unwrap();
        assert_eq!(found.directory.as_deref(), Some("backend"));
        assert_eq!(found.later.len(), 3);
        assert_eq!(found.later[0], Later::Run("mypy src".to_owned()));
        assert!(matches!(&found.later[2], Later::Unknown { why, .. } if why.contains("expressions")));
        assert!(matching(&workflows, "pytest", None, None).is_none());
        assert!(matching(&workflows, "make", Some("test"), None).is_none());
    }

    #[test]
    fn two_jobs_with_the_same_command_are_told_apart_by_the_logs_job_name_or_not_at_all() {
        let text = "jobs:\n  a:\n    steps: [{run: make}, {run: one}]\n  b:\n    steps: [{run: make}, {run: two}]\n";
        let workflows = [parse(text).unwrap()];
        assert!(matching(&workflows, "make", None, Some("lint")).is_none());
        let found = matching(&workflows, "make", None, Some("b (3.12)")).unwrap();
        assert_eq!(found.later, [Later::Run("two".to_owned())]);
    }

    #[test]
    fn a_text_that_is_no_workflow_is_an_error() {
        assert!(parse("- just\n- a list\n").is_err());
    }
}
