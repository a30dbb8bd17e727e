//! The repository's workflows: their names, their jobs, and whether they run checks.

use std::{fs, path::Path};

use serde_json::Value;

use super::{
    PATH,
    write::{ACTION_NAME, is_expression},
};
use crate::workspace::{inside, read_inside};

/// No repository has more.
const MOST: usize = 500;

/// No workflow is longer.
const LARGEST: usize = 1 << 20;

/// Words of workflows and jobs that bring something out, or keep house.
const ELSEWHERE: &[&str] = &[
    "announce",
    "backport",
    "changelog",
    "cleanup",
    "deploy",
    "deployment",
    "docker",
    "greetings",
    "label",
    "labeler",
    "labels",
    "lock",
    "merge",
    "pages",
    "publish",
    "pypi",
    "release",
    "releases",
    "stale",
    "sync",
    "triage",
    "upload",
    "welcome",
];

/// Words of scripts that check something.
const CHECKS: &[&str] = &[
    "bandit",
    "black",
    "codespell",
    "coverage",
    "flake8",
    "hatch",
    "isort",
    "just",
    "make",
    "mypy",
    "nose2",
    "nox",
    "pre-commit",
    "prek",
    "pylint",
    "pyright",
    "pytest",
    "ruff",
    "sphinx-build",
    "tox",
    "trial",
    "ty",
    "unittest",
];

/// A workflow of the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CiFile {
    /// `.github/workflows/ci.yml`
    pub(super) path: String,
    /// Its name as `workflow_run` wants it: GitHub takes the path where it has none.
    pub(super) name: String,
    /// The ids of its jobs, without one that repairs.
    pub(super) jobs: Vec<String>,
    /// Why it is none that runs checks.
    pub(super) left_out: Option<String>,
    /// What the job waits for that repairs it, where it has one.
    pub(super) repairs_itself: Option<Vec<String>>,
}

impl CiFile {
    /// `ci.yml`
    pub(super) fn file(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}

/// Reads all workflows, in the order of their names; what is no workflow is left out.
pub(super) fn read(root: &Path) -> Vec<CiFile> {
    let folder = ".github/workflows";
    // The path of a file in it, so that a folder behind a link is none.
    let entries = inside(root, format!("{folder}/x")).and_then(|p| fs::read_dir(p.parent()?).ok());
    let mut files: Vec<String> = entries
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|file| file.ends_with(".yml") || file.ends_with(".yaml"))
        .filter(|file| !file.chars().any(char::is_control))
        .map(|file| format!("{folder}/{file}"))
        .filter(|path| path != PATH)
        .collect();
    files.sort();
    files.truncate(MOST);
    let text = |path: &String| String::from_utf8(read_inside(root, path).filter(|b| b.len() <= LARGEST)?).ok();
    files.iter().filter_map(|path| workflow(path, &text(path)?)).collect()
}

/// Reads one workflow; `None` where the text is none.
pub(super) fn workflow(path: &str, text: &str) -> Option<CiFile> {
    let value: Value = serde_saphyr::from_str(text).ok()?;
    let jobs = value["jobs"].as_object()?;
    let name = value["name"].as_str().map(str::trim).filter(|n| !n.is_empty()).unwrap_or(path).to_owned();
    let is_ours = |job: &Value| steps(job).any(|step| step["uses"].as_str().is_some_and(is_our_action));
    let ours = jobs.values().find(|job| is_ours(job));
    let repairs_itself = ours.map(|job| match &job["needs"] {
        Value::String(one) => vec![one.clone()],
        Value::Array(list) => list.iter().filter_map(|n| Some(n.as_str()?.to_owned())).collect(),
        _ => Vec::new(),
    });
    let others: Vec<(&String, &Value)> = jobs.iter().filter(|(_, job)| !is_ours(job)).collect();
    // In the order of the file, as its writer thinks of them.
    let mut ids: Vec<String> = others.iter().map(|(id, _)| (*id).clone()).filter(|id| is_id(id)).collect();
    ids.sort_by_key(|id| position(text, id));
    let left_out = left_out(&value["on"], &name, path, &others);
    Some(CiFile { path: path.to_owned(), name, jobs: ids, left_out, repairs_itself })
}

/// Why the workflow is none that runs checks on pushes or pull requests.
fn left_out(on: &Value, name: &str, path: &str, jobs: &[(&String, &Value)]) -> Option<String> {
    if is_expression(name) {
        return Some("its name holds an expression".to_owned());
    }
    if !starts_on_changes(on) {
        return Some("it does not run on pushes to branches, nor on pull requests".to_owned());
    }
    let at_work: Vec<&(&String, &Value)> = jobs.iter().filter(|(_, job)| runs_something(job)).collect();
    if at_work.is_empty() {
        return Some("no job of it runs a script or sets up Python".to_owned());
    }
    let file = path.rsplit('/').next().unwrap_or(path);
    let whole = is_elsewhere(name) || is_elsewhere(file);
    let elsewhere = |(id, job): &&(&String, &Value)| {
        let named = whole || is_elsewhere(id) || job["name"].as_str().is_some_and(is_elsewhere);
        named && !steps(job).any(|step| step["run"].as_str().is_some_and(checks))
    };
    at_work.iter().all(elsewhere).then(|| "it publishes or keeps house, and checks nothing".to_owned())
}

/// Does it start on a pull request, or on a push to a branch?
fn starts_on_changes(on: &Value) -> bool {
    match on {
        Value::String(event) => event == "push" || event == "pull_request",
        Value::Array(events) => events.iter().any(|event| event == "push" || event == "pull_request"),
        Value::Object(events) => events.iter().any(|(event, filter)| match event.as_str() {
            "pull_request" => true,
            // Tags alone are releases.
            "push" => {
                let has = |key: &str| !filter[key].is_null();
                !(has("tags") || has("tags-ignore")) || has("branches") || has("branches-ignore")
            }
            _ => false,
        }),
        _ => false,
    }
}

/// Has the job a script, Python, or a workflow that may have them?
fn runs_something(job: &Value) -> bool {
    let sets_up = |step: &Value| {
        step["uses"].as_str().is_some_and(|uses| {
            ["actions/setup-python", "astral-sh/setup-uv", "pre-commit/action", "astral-sh/ruff-action", "psf/black"]
                .iter()
                .any(|action| uses.starts_with(action))
        })
    };
    job["uses"].is_string() || steps(job).any(|step| step["run"].is_string() || sets_up(step))
}

fn steps(job: &Value) -> impl Iterator<Item = &Value> {
    job["steps"].as_array().into_iter().flatten()
}

fn is_our_action(uses: &str) -> bool {
    let name = uses.split('@').next().unwrap_or_default();
    name.eq_ignore_ascii_case(ACTION_NAME) || name.to_ascii_lowercase().ends_with("/test-repair")
}

fn is_elsewhere(title: &str) -> bool {
    let words = title.split(|c: char| !c.is_alphanumeric()).map(str::to_lowercase);
    words.into_iter().any(|word| ELSEWHERE.contains(&word.as_str()))
}

fn checks(script: &str) -> bool {
    let mut words = script.split(|c: char| c.is_whitespace() || "/;&|(){}'\"=".contains(c));
    words.any(|word| CHECKS.contains(&word))
}

/// An id that GitHub takes for a job.
fn is_id(id: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    id.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && id.len() <= 100 && id.chars().all(plain)
}

/// Where a job's id stands in the text.
fn position(text: &str, id: &str) -> usize {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let key = line.trim_start().trim_start_matches(['"', '\'']);
        let rest = key.strip_prefix(id).map(|rest| rest.trim_start_matches(['"', '\'']).trim_start());
        if line.starts_with([' ', '\t']) && rest.is_some_and(|rest| rest.starts_with(':')) {
            return at;
        }
        at += line.len();
    }
    usize::MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(file: &str, text: &str) -> Option<String> {
        workflow(&format!(".github/workflows/{file}"), text).unwrap().left_out
    }

    #[test]
    fn workflows_that_run_checks_on_changes_are_picked() {
        for text in [
            "on: push\njobs: {a: {steps: [{run: pytest}]}}\n",
            "on: [pull_request]\njobs: {a: {steps: [{uses: actions/setup-python@v6}]}}\n",
            "'on': {pull_request: null}\njobs: {a: {uses: ./.github/workflows/tests.yml}}\n",
            "on: {push: {branches: [main], tags: ['v*']}}\njobs: {a: {steps: [{run: ./x}]}}\n",
            "on: push\njobs: {test: {steps: [{run: nox}]}, publish: {steps: [{run: twine upload}]}}\n",
            "on: push\njobs: {publish: {steps: [{run: python -m pytest}, {run: twine upload}]}}\n",
        ] {
            assert_eq!(why("ci.yml", text), None, "{text}");
        }
    }

    #[test]
    fn workflows_that_publish_keep_house_or_start_otherwise_are_left_out_with_a_reason() {
        for (file, text, expected) in [
            ("a.yml", "on: schedule\njobs: {a: {steps: [{run: x}]}}\n", "does not run on"),
            ("a.yml", "on: pull_request_target\njobs: {a: {steps: [{run: x}]}}\n", "does not run on"),
            ("a.yml", "on: {push: {tags: ['v*']}}\njobs: {a: {steps: [{run: pytest}]}}\n", "does not run on"),
            ("a.yml", "on: push\njobs: {a: {steps: [{uses: actions/labeler@v5}]}}\n", "no job of it"),
            ("release.yml", "on: push\njobs: {a: {steps: [{run: python -m build}]}}\n", "publishes"),
            ("a.yml", "on: push\nname: Deploy docs\njobs: {a: {steps: [{run: mkdocs gh-deploy}]}}\n", "publishes"),
            ("a.yml", "on: push\njobs: {deploy: {steps: [{run: fly up}]}}\n", "publishes"),
            ("a.yml", "on: push\nname: CI ${{ x }}\njobs: {a: {steps: [{run: x}]}}\n", "expression"),
        ] {
            let said = why(file, text).unwrap_or_default();
            assert!(said.contains(expected), "{text}: {said}");
        }
    }

    #[test]
    fn a_workflow_without_a_name_goes_by_its_path_and_jobs_keep_their_order() {
        let text = "on: push\njobs:\n  test:\n    steps: [{run: x}]\n  'build':\n    steps: [{run: x}]\n  a-lint:\n    steps: [{run: x}]\n";
        let file = workflow(".github/workflows/ci.yml", text).unwrap();
        assert_eq!((file.name.as_str(), file.file()), (".github/workflows/ci.yml", "ci.yml"));
        assert_eq!(file.jobs, ["test", "build", "a-lint"]);
        assert_eq!(file.repairs_itself, None);
        let text = format!("{text}  fix:\n    needs: [test, build]\n    steps: [{{uses: Org/test-repair@abc}}]\n");
        let file = workflow(".github/workflows/ci.yml", &text).unwrap();
        assert_eq!(file.jobs, ["test", "build", "a-lint"]);
        assert_eq!(file.repairs_itself, Some(vec!["test".to_owned(), "build".to_owned()]));
    }

    #[test]
    fn what_is_no_workflow_is_none() {
        for text in ["", "- a\n", "on: push\n", "on: push\njobs: [a]\n", "{", "jobs: *x\n"] {
            assert_eq!(workflow("ci.yml", text), None, "{text}");
        }
    }
}
