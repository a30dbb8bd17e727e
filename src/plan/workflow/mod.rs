//! The repository's workflow files: every job that they hold, as GitHub would run it, as far as that is known here.
//!
//! The log decides what ran; this fills its gaps. Syntax is `github-actions-models`'; a file that it can't read is
//! named and left out. Expressions are [`expression`]'s, matrices [`matrix`]'s, and a job's steps, those of composite
//! actions included, [`steps`]'.

mod expression;
mod matching;
mod matrix;
mod steps;

use std::collections::BTreeMap;

use github_actions_expressions::Evaluation;
use github_actions_models::{
    common::{Uses, expr::LoE},
    workflow::{
        self, Job, Trigger,
        job::{Container, NormalJob, ReusableWorkflowCallJob, RunsOn},
    },
};
use serde::{Deserialize, de::DeserializeOwned};

use crate::sandbox;
use expression::{Contexts, Entries, Known, Unknown};
pub use matching::{Choice, Wanted, choose, python_of, same_minor, same_script};
pub use steps::{CellStep, Condition, Kind, Text};

/// A workflow that calls another that calls another … is followed so far.
const DEPTH: usize = 4;
/// So many cells of one repository's workflows are looked at.
const CELLS: usize = 2000;

/// A workflow file.
#[derive(Debug)]
pub struct Workflow {
    /// Repository-relative.
    pub path: String,
    parsed: workflow::Workflow,
    /// Jobs that could not be read, and why.
    lost: Vec<String>,
    /// What callers of it need not say: the defaults of `workflow_call`'s inputs.
    defaults: BTreeMap<String, serde_json::Value>,
}

/// The workflow files of a repository, and its own actions.
#[derive(Debug, Default)]
pub struct Workflows {
    /// Those that could be read.
    pub files: Vec<Workflow>,
    /// Those that could not, and why.
    pub unreadable: Vec<(String, String)>,
    /// By the action's folder, repository-relative.
    actions: BTreeMap<String, github_actions_models::action::Action>,
    /// `owner/name`.
    pub repository: Option<String>,
}

/// One job as one cell of its matrix runs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// The workflow file, repository-relative.
    pub file: String,
    /// The file that the run starts with: another than `file` where that is called.
    pub entry: String,
    /// The job's id; of a called workflow `caller / job`.
    pub id: String,
    /// What GitHub shows as its name, where that is known.
    pub name: Option<String>,
    /// The matrix's values in the file's order, as text.
    pub matrix: Vec<(String, String)>,
    /// The runner's labels.
    pub runs_on: Vec<String>,
    /// The image that its steps run in.
    pub container: Option<String>,
    /// The names and the images of its services.
    pub services: Vec<(String, String)>,
    /// Its steps, those of composite actions in their place.
    pub steps: Vec<CellStep>,
    /// Does it run?
    pub condition: Condition,
    /// What could not be settled.
    pub notes: Vec<String>,
}

/// Reads a YAML text as one of the models.
fn typed<T: DeserializeOwned>(text: &str) -> anyhow::Result<T> {
    /// A larger file is no workflow.
    const LARGEST: usize = 1 << 20;
    anyhow::ensure!(text.len() <= LARGEST, "the file is larger than a workflow may be");
    Ok(serde_saphyr::from_str(text)?)
}

/// Reads a workflow file; `path` is where it lies in the repository.
///
/// # Errors
/// When the text is no workflow.
pub fn parse(path: &str, text: &str) -> anyhow::Result<Workflow> {
    #[derive(Deserialize)]
    struct Call {
        #[serde(default)]
        inputs: BTreeMap<String, Input>,
    }
    #[derive(Deserialize)]
    struct Input {
        default: Option<serde_json::Value>,
    }
    #[derive(Deserialize)]
    struct On {
        workflow_call: Option<Call>,
    }
    #[derive(Deserialize)]
    struct Callable {
        on: On,
    }
    let (parsed, lost) = match typed(text) {
        Ok(parsed) => (parsed, Vec::new()),
        Err(error) => leniently(text).ok_or(error)?,
    };
    let called = typed::<Callable>(text).ok().and_then(|callable| callable.on.workflow_call);
    let inputs = called.map(|call| call.inputs).unwrap_or_default();
    let defaults = inputs.into_iter().filter_map(|(name, input)| Some((name, input.default?))).collect();
    Ok(Workflow { path: path.to_owned(), parsed, defaults, lost })
}

/// What can be read of a file that GitHub might refuse: the jobs that are as they should be, and what is wrong with the
/// others.
fn leniently(text: &str) -> Option<(workflow::Workflow, Vec<String>)> {
    let mut file: serde_json::Value = typed(text).ok()?;
    let whole = file.as_object_mut()?;
    whole.entry("on").or_insert_with(|| "push".into());
    let mut lost = Vec::new();
    whole.get_mut("jobs")?.as_object_mut()?.retain(|id, job| {
        if let Some(job) = job.as_object_mut().filter(|job| job.contains_key("steps")) {
            job.entry("runs-on").or_insert_with(|| "ubuntu-latest".into());
        }
        let read = Job::deserialize(&*job);
        lost.extend(read.as_ref().err().map(|error| format!("job {id}: {error}")));
        read.is_ok()
    });
    Some((workflow::Workflow::deserialize(&file).ok()?, lost))
}

impl Workflows {
    /// Reads the workflow files and actions among `files` (path and text).
    pub fn read(files: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut workflows = Self::default();
        for (path, text) in files {
            if path.starts_with(".github/workflows/") {
                match parse(&path, &text) {
                    Ok(workflow) => {
                        let lost = workflow.lost.iter().map(|why| (path.clone(), why.clone()));
                        workflows.unreadable.extend(lost);
                        workflows.files.push(workflow);
                    }
                    Err(error) => workflows.unreadable.push((path, format!("{error:#}"))),
                }
            } else if let Some((folder, _)) = path.rsplit_once('/').or(Some(("", &path)))
                && let Ok(action) = typed(&text)
            {
                workflows.actions.insert(folder.to_owned(), action);
            }
        }
        workflows
    }

    /// Every job of every file, or of one that a person names, cell by cell.
    /// `python` is what the log says of the job that is looked for.
    pub fn cells(&self, named: Option<&Workflow>, python: Option<&str>) -> Vec<Cell> {
        let mut cells = Vec::new();
        let files = named.map_or_else(|| self.files.iter().collect(), |workflow| vec![workflow]);
        for workflow in files {
            // One that is only called is seen through its callers, where there are any.
            let called = || self.files.iter().any(|other| calls(other, &workflow.path));
            if named.is_none() && only_called(&workflow.parsed.on) && called() {
                continue;
            }
            let (repository, python) = (self.repository.clone(), python.map(sandbox::minor));
            let contexts = Contexts { repository, python, ..Contexts::default() };
            let inputs = workflow.inputs(None, &contexts, "an input of the workflow");
            let contexts = Contexts { inputs, ..contexts };
            self.expand(workflow, &contexts, &Caller::default(), DEPTH, &mut cells);
        }
        cells.truncate(CELLS);
        cells
    }

    fn expand(&self, workflow: &Workflow, given: &Contexts, caller: &Caller, depth: usize, cells: &mut Vec<Cell>) {
        let mut contexts = given.clone();
        contexts.env = Entries::default();
        steps::layer(&mut contexts, &workflow.parsed.env);
        for (id, job) in &workflow.parsed.jobs {
            if cells.len() >= CELLS {
                return;
            }
            match job {
                Job::NormalJob(job) => self.normal(workflow, id, job, &contexts, caller, cells),
                Job::ReusableWorkflowCallJob(job) => self.called(workflow, id, job, &contexts, caller, depth, cells),
            }
        }
    }

    fn normal(
        &self,
        workflow: &Workflow,
        id: &str,
        job: &NormalJob,
        contexts: &Contexts,
        caller: &Caller,
        cells: &mut Vec<Cell>,
    ) {
        let mut notes = caller.notes.clone();
        let given = job.strategy.as_ref().and_then(|strategy| strategy.matrix.as_ref());
        let combinations = match given.map(|matrix| matrix::combinations(matrix, contexts)) {
            None => vec![None],
            Some(Ok(combinations)) => combinations.into_iter().map(Some).collect(),
            Some(Err(Unknown(why))) => {
                notes.push(format!("the matrix: {why}"));
                vec![None]
            }
        };
        let opaque = given.is_some() && combinations == [None];
        for combination in combinations {
            let mut contexts = contexts.clone();
            if opaque {
                contexts.matrix = Entries::opaque("the matrix is known on GitHub only");
            }
            for (name, value) in combination.iter().flatten() {
                contexts.matrix.insert(name, Ok(value.clone()));
            }
            steps::layer(&mut contexts, &job.env);
            let shown = |value: &Evaluation| match value {
                Evaluation::Object(_) | Evaluation::Array(_) => None,
                other => Some(other.sema().to_string()),
            };
            let matrix: Vec<(String, String)> =
                combination.iter().flatten().filter_map(|(name, value)| Some((name.clone(), shown(value)?))).collect();
            let own = job.name.as_deref().map_or_else(|| Ok(id.to_owned()), |name| contexts.interpolate(name));
            let defaults = [job.defaults.as_ref(), workflow.parsed.defaults.as_ref()];
            cells.push(Cell {
                file: workflow.path.clone(),
                entry: caller.entry.clone().unwrap_or_else(|| workflow.path.clone()),
                id: caller.joined(id),
                name: own.ok().map(|name| caller.named(&name)),
                matrix,
                runs_on: runs_on(&job.runs_on, &contexts),
                container: job.container.as_ref().map(|container| image(container, &contexts)),
                services: job.services.iter().map(|(name, own)| (name.clone(), image(own, &contexts))).collect(),
                steps: steps::flatten(job, &defaults, &contexts, &self.actions),
                condition: caller.condition.clone().and(Condition::of(job.r#if.as_ref(), &contexts)),
                notes: notes.clone(),
            });
        }
    }

    #[expect(clippy::too_many_arguments, reason = "a job, where it stands, and what is known there")]
    fn called(
        &self,
        workflow: &Workflow,
        id: &str,
        job: &ReusableWorkflowCallJob,
        contexts: &Contexts,
        caller: &Caller,
        depth: usize,
        cells: &mut Vec<Cell>,
    ) {
        let callee = match &job.uses {
            Uses::Local(path) => {
                let path = path.raw().trim_start_matches("./");
                self.files.iter().find(|file| file.path == path)
            }
            _ => None,
        };
        let Some(callee) = callee else {
            cells.push(elsewhere(workflow, id, job, caller));
            return;
        };
        let Some(depth) = depth.checked_sub(1).filter(|_| callee.path != workflow.path) else { return };
        let own = job.name.as_deref().map_or_else(|| Ok(id.to_owned()), |name| contexts.interpolate(name));
        let caller = Caller {
            entry: Some(caller.entry.clone().unwrap_or_else(|| workflow.path.clone())),
            ids: Some(caller.joined(id)),
            name: Some(caller.named(&own.unwrap_or_else(|_| id.to_owned()))),
            condition: caller.condition.clone().and(Condition::of(job.r#if.as_ref(), contexts)),
            notes: caller.notes.clone(),
        };
        let inputs = callee.inputs(Some(&job.with), contexts, "an input of the called workflow");
        let (repository, python) = (contexts.repository.clone(), contexts.python.clone());
        let given = Contexts { inputs, repository, python, ..Contexts::default() };
        self.expand(callee, &given, &caller, depth, cells);
    }
}

/// Who calls a workflow.
#[derive(Debug, Clone, Default)]
struct Caller {
    entry: Option<String>,
    ids: Option<String>,
    name: Option<String>,
    condition: Condition,
    notes: Vec<String>,
}

impl Caller {
    fn joined(&self, id: &str) -> String {
        self.ids.as_ref().map_or_else(|| id.to_owned(), |ids| format!("{ids} / {id}"))
    }

    fn named(&self, name: &str) -> String {
        self.name.as_ref().map_or_else(|| name.to_owned(), |caller| format!("{caller} / {name}"))
    }
}

impl Workflow {
    /// The inputs as a caller gives them; without one, their defaults.
    fn inputs(&self, given: Option<&LoE<github_actions_models::common::Env>>, at: &Contexts, what: &str) -> Entries {
        let mut inputs = match given {
            Some(LoE::Expr(_)) => Entries::opaque(what),
            _ => Entries::default(),
        };
        for (name, value) in &self.defaults {
            let value: Known<Evaluation> = match value {
                serde_json::Value::String(text) => at.interpolate(text).map(Evaluation::String),
                other => other.clone().try_into().map_err(|()| Unknown(format!("{what}: {name}"))),
            };
            inputs.insert(name, value);
        }
        if let Some(LoE::Literal(given)) = given {
            for (name, value) in given {
                inputs.insert(name, steps::value(value, at));
            }
        }
        inputs
    }
}

/// A job whose workflow is another repository's, or not here: there is one, and nothing is known of it.
fn elsewhere(workflow: &Workflow, id: &str, job: &ReusableWorkflowCallJob, caller: &Caller) -> Cell {
    Cell {
        file: workflow.path.clone(),
        entry: caller.entry.clone().unwrap_or_else(|| workflow.path.clone()),
        id: caller.joined(id),
        name: job.name.as_deref().filter(|name| !name.contains("${{")).map(|name| caller.named(name)),
        matrix: Vec::new(),
        runs_on: Vec::new(),
        container: None,
        services: Vec::new(),
        steps: Vec::new(),
        condition: Condition::Yes,
        notes: vec!["its steps are not in this repository".to_owned()],
    }
}

fn only_called(on: &Trigger) -> bool {
    on.events.workflow_call.is_present() && on.events.count() == 1
}

fn calls(workflow: &Workflow, path: &str) -> bool {
    workflow.parsed.jobs.values().any(|job| match job {
        Job::ReusableWorkflowCallJob(job) => {
            matches!(&job.uses, Uses::Local(local) if local.raw().trim_start_matches("./") == path)
        }
        Job::NormalJob(_) => false,
    })
}

fn runs_on(given: &LoE<RunsOn>, contexts: &Contexts) -> Vec<String> {
    let filled = |text: &String| contexts.interpolate(text).unwrap_or_else(|_| text.clone());
    match given {
        LoE::Expr(expression) => match contexts.evaluate(expression.as_bare()) {
            Ok(Evaluation::Array(labels)) => labels.iter().map(|label| label.sema().to_string()).collect(),
            Ok(label) => vec![label.sema().to_string()],
            Err(_) => vec![expression.as_curly().to_owned()],
        },
        LoE::Literal(RunsOn::Target(labels) | RunsOn::Group { labels, .. }) => labels.iter().map(filled).collect(),
    }
}

fn image(container: &Container, contexts: &Contexts) -> String {
    let (Container::Name(image) | Container::Container { image, .. }) = container;
    match image {
        LoE::Literal(image) => contexts.interpolate(image.raw()).unwrap_or_else(|_| image.raw().to_owned()),
        LoE::Expr(expression) => {
            let value = contexts.evaluate(expression.as_bare());
            value.map_or_else(|_| expression.as_curly().to_owned(), |value| value.sema().to_string())
        }
    }
}

#[cfg(test)]
mod tests;
