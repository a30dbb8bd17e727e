//! A job's steps in a row: expressions filled in, composite actions of the repository in their place.

use std::collections::BTreeMap;

use github_actions_expressions::Evaluation;
use github_actions_models::{
    action::{self, Action, Runs, StepBody},
    common::{Env, EnvValue, If, Uses, expr::LoE},
    workflow::{
        Defaults,
        job::{NormalJob, ParallelStep, RunStep, SharedStepFields, Step, UsesStep},
    },
};

use super::expression::{Contexts, Entries, Known, Unknown};

/// A composite action may use another, so deep.
const DEPTH: usize = 5;
/// So many steps of one job are looked at.
const STEPS: usize = 1000;

/// A text with its expressions filled in, or as it is written and why it can't be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Text {
    /// As the runner would have it.
    Known(String),
    /// As the file has it, and what is not known.
    Unknown(String, String),
}

impl Text {
    fn of(text: &str, contexts: &Contexts) -> Self {
        match contexts.interpolate(text) {
            Ok(known) => Self::Known(known),
            Err(Unknown(why)) => Self::Unknown(text.to_owned(), why),
        }
    }

    /// The text, if all of it is known.
    pub fn known(&self) -> Option<&str> {
        match self {
            Self::Known(text) => Some(text),
            Self::Unknown(..) => None,
        }
    }

    /// The text as the file has it, or better.
    pub fn written(&self) -> &str {
        let (Self::Known(text) | Self::Unknown(text, _)) = self;
        text
    }
}

/// Does a job or a step run, where everything before it has passed?
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Condition {
    /// It does.
    #[default]
    Yes,
    /// Its condition does not hold; the condition.
    No(String),
    /// Only GitHub knows; why.
    Unknown(String),
}

impl Condition {
    pub(super) fn of(condition: Option<&If>, contexts: &Contexts) -> Self {
        let (text, holds) = match condition {
            None => return Self::Yes,
            Some(If::Bool(holds)) => (holds.to_string(), Ok(*holds)),
            Some(If::Expr(text)) => (text.trim().to_owned(), contexts.holds(text)),
        };
        match holds {
            Ok(true) => Self::Yes,
            Ok(false) => Self::No(text),
            Err(Unknown(why)) => Self::Unknown(why),
        }
    }

    /// Both must hold.
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No(why), _) | (_, Self::No(why)) => Self::No(why),
            (Self::Unknown(why), _) | (_, Self::Unknown(why)) => Self::Unknown(why),
            (Self::Yes, Self::Yes) => Self::Yes,
        }
    }
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A script.
    Run {
        /// The script.
        script: Text,
        /// Where another than the runner's default is asked for.
        shell: Option<String>,
    },
    /// An action that is not the repository's own.
    Uses {
        /// `owner/name/path@ref`, without the ref.
        action: String,
        /// Its inputs.
        with: BTreeMap<String, Text>,
    },
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CellStep {
    /// Its number in the job, from 1; those of a composite action share it.
    pub number: usize,
    /// What the file calls it, else its script's first line or its action.
    pub title: String,
    /// What it does.
    pub kind: Kind,
    /// Where, repository-relative; empty for the root.
    pub directory: Text,
    /// Its environment variables, those of job and workflow included.
    pub env: BTreeMap<String, Text>,
    /// Does it run?
    pub condition: Condition,
}

/// Adds a layer of environment variables to what is known.
pub(super) fn layer(contexts: &mut Contexts, env: &LoE<Env>) {
    match env {
        LoE::Literal(env) => {
            for (name, given) in env {
                let value = value(given, contexts);
                contexts.env.insert(name, value);
            }
        }
        LoE::Expr(expression) => {
            contexts.env = Entries::opaque(&format!("the environment is {}", expression.as_curly()));
        }
    }
}

/// An environment variable's or an input's value.
pub(super) fn value(given: &EnvValue, contexts: &Contexts) -> Known<Evaluation> {
    match given {
        EnvValue::String(text) => match text.trim().strip_prefix("${{").and_then(|rest| rest.strip_suffix("}}")) {
            // A boolean input stays one.
            Some(expression) if !expression.contains("}}") => contexts.evaluate(expression),
            _ => contexts.interpolate(text).map(Evaluation::String),
        },
        EnvValue::Number(number) => Ok(Evaluation::Number(*number)),
        EnvValue::Boolean(value) => Ok(Evaluation::Boolean(*value)),
    }
}

/// Where steps stand, and what is known there.
struct Place<'a> {
    actions: &'a BTreeMap<String, Action>,
    /// `defaults.run` of the job, then of the workflow.
    directory: Option<&'a str>,
    shell: Option<String>,
    number: usize,
    condition: Condition,
    depth: usize,
}

/// All steps of a job.
pub(super) fn flatten(
    job: &NormalJob,
    defaults: &[Option<&Defaults>],
    contexts: &Contexts,
    actions: &BTreeMap<String, Action>,
) -> Vec<CellStep> {
    let run = || defaults.iter().flatten().filter_map(|defaults| defaults.run.as_ref());
    let mut steps = Vec::new();
    let mut place = Place {
        actions,
        directory: run().find_map(|run| run.working_directory.as_deref()),
        shell: run().find_map(|run| run.shell.as_ref()).and_then(|shell| shell_of(shell, contexts)),
        number: 0,
        condition: Condition::Yes,
        depth: DEPTH,
    };
    for step in &job.steps {
        place.number += 1;
        match step {
            Step::Run(step) => run_step(step, contexts, &place, &mut steps),
            Step::Uses(step) => uses_step(step, contexts, &place, &mut steps),
            Step::Parallel { parallel } => {
                for step in parallel {
                    match step {
                        ParallelStep::Run(step) => run_step(step, contexts, &place, &mut steps),
                        ParallelStep::Uses(step) => uses_step(step, contexts, &place, &mut steps),
                    }
                }
            }
            Step::Wait { .. } | Step::WaitAll { .. } | Step::Cancel { .. } => {}
        }
        if steps.len() >= STEPS {
            steps.truncate(STEPS);
            break;
        }
    }
    steps
}

fn shared(fields: &SharedStepFields, contexts: &Contexts, place: &Place<'_>) -> (Contexts, Condition) {
    let mut own = contexts.clone();
    layer(&mut own, &fields.env);
    let condition = place.condition.clone().and(Condition::of(fields.r#if.as_ref(), &own));
    (own, condition)
}

fn run_step(step: &RunStep, contexts: &Contexts, place: &Place<'_>, steps: &mut Vec<CellStep>) {
    let (contexts, condition) = shared(&step.shared, contexts, place);
    let shell = step.shell.as_ref().and_then(|shell| shell_of(shell, &contexts)).or_else(|| place.shell.clone());
    let directory = step.working_directory.as_deref();
    steps.push(script(step.shared.name.as_deref(), &step.run, shell, directory, &contexts, condition, place));
}

fn script(
    name: Option<&str>,
    run: &str,
    shell: Option<String>,
    directory: Option<&str>,
    contexts: &Contexts,
    condition: Condition,
    place: &Place<'_>,
) -> CellStep {
    let first = run.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    CellStep {
        number: place.number,
        title: titled(name, first, contexts),
        kind: Kind::Run { script: Text::of(run, contexts), shell },
        directory: directory_of(directory.or(place.directory), contexts),
        env: contexts.env.texts(),
        condition,
    }
}

fn uses_step(step: &UsesStep, contexts: &Contexts, place: &Place<'_>, steps: &mut Vec<CellStep>) {
    let (contexts, condition) = shared(&step.shared, contexts, place);
    uses(step.shared.name.as_deref(), &step.uses, &step.with, &contexts, condition, place, steps);
}

fn uses(
    name: Option<&str>,
    used: &Uses,
    with: &LoE<Env>,
    contexts: &Contexts,
    condition: Condition,
    place: &Place<'_>,
    steps: &mut Vec<CellStep>,
) {
    let action = match used {
        Uses::Local(local) => local.raw().to_owned(),
        Uses::Repository(repository) => {
            let path = repository.subpath().map(|path| format!("/{}", path.trim_matches('/'))).unwrap_or_default();
            format!("{}{path}", repository.slug())
        }
        Uses::Docker(docker) => format!("docker://{}", docker.raw()),
    };
    let folder = action.trim_start_matches("./").trim_matches('/');
    if let (Uses::Local(_), Some(own), Some(depth)) = (used, place.actions.get(folder), place.depth.checked_sub(1))
        && let Runs::Composite(composite) = &own.runs
    {
        let mut inner = Contexts { inputs: inputs(own, with, contexts), ..contexts.clone() };
        let place = Place { condition, depth, shell: None, directory: None, ..*place };
        for step in &composite.steps {
            composite_step(step, &mut inner, &place, steps);
        }
        return;
    }
    let inputs = match with {
        LoE::Literal(with) => {
            let text = |given: &EnvValue| Text::of(&given.to_string(), contexts);
            with.iter().map(|(name, given)| (name.to_ascii_lowercase(), text(given))).collect()
        }
        LoE::Expr(_) => BTreeMap::new(),
    };
    steps.push(CellStep {
        number: place.number,
        title: titled(name, &action, contexts),
        kind: Kind::Uses { action, with: inputs },
        directory: Text::Known(String::new()),
        env: contexts.env.texts(),
        condition,
    });
}

fn composite_step(step: &action::Step, contexts: &mut Contexts, place: &Place<'_>, steps: &mut Vec<CellStep>) {
    if steps.len() >= STEPS {
        return;
    }
    let mut own = contexts.clone();
    layer(&mut own, &step.env);
    let condition = place.condition.clone().and(Condition::of(step.r#if.as_ref(), &own));
    match &step.body {
        StepBody::Run { run, shell, working_directory } => {
            let shell = shell_of(shell, &own);
            steps.push(script(step.name.as_deref(), run, shell, working_directory.as_deref(), &own, condition, place));
        }
        StepBody::Uses { uses: used, with } => {
            uses(step.name.as_deref(), used, with, &own, condition, place, steps);
        }
    }
}

/// The inputs of a composite action.
fn inputs(action: &Action, with: &LoE<Env>, contexts: &Contexts) -> Entries {
    let mut inputs = match with {
        LoE::Expr(_) => Entries::opaque("the action's inputs are an expression"),
        LoE::Literal(_) => Entries::default(),
    };
    for (name, input) in &action.inputs {
        let default = input.default.as_deref().unwrap_or_default();
        inputs.insert(name, contexts.interpolate(default).map(Evaluation::String));
    }
    if let LoE::Literal(with) = with {
        for (name, given) in with {
            // The inputs of an action are texts.
            inputs.insert(name, contexts.interpolate(&given.to_string()).map(Evaluation::String));
        }
    }
    inputs
}

fn titled(name: Option<&str>, otherwise: &str, contexts: &Contexts) -> String {
    let name = name.unwrap_or(otherwise);
    contexts.interpolate(name).unwrap_or_else(|_| name.to_owned())
}

fn shell_of(shell: &LoE<String>, contexts: &Contexts) -> Option<String> {
    match shell {
        LoE::Literal(shell) => Some(shell.clone()),
        LoE::Expr(expression) => contexts.evaluate(expression.as_bare()).ok().map(|shell| shell.sema().to_string()),
    }
}

fn directory_of(written: Option<&str>, contexts: &Contexts) -> Text {
    match Text::of(written.unwrap_or_default(), contexts) {
        Text::Known(directory) => {
            let below = directory.strip_prefix("$GITHUB_WORKSPACE").unwrap_or(&directory);
            Text::Known(below.trim_start_matches("./").trim_matches('/').trim_start_matches('.').to_owned())
        }
        unknown => unknown,
    }
}
