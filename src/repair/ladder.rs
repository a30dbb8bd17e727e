//! ladder: rules first; then one well-made question; then, if that was rejected, a dialogue with tools. Each step can be
//! switched off; all of them are judged alike.

use super::{
    asking::{self, Asker, Start},
    mechanical::{self, Repaired},
    rules::Applied,
    trial::{Task, Told},
    validate::ValidatedFix,
};
use crate::{fix_type::FixType, llm::LlmError, sandbox::SandboxError, workspace::Change};

/// Which steps are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Steps {
    pub rules: bool,
    pub question: bool,
    pub dialogue: bool,
}

impl Default for Steps {
    fn default() -> Self {
        Steps { rules: true, question: true, dialogue: true }
    }
}

impl Steps {
    /// Is no step left that needs a model?
    pub fn asks_nobody(self) -> bool {
        !self.question && !self.dialogue
    }
}

/// A fix, and who made it.
#[derive(Debug)]
pub struct Found {
    /// The proof.
    pub fix: Box<ValidatedFix>,
    /// `rule`, or `model` where a model made any of it.
    pub tier: &'static str,
    /// What kind of repair it is.
    pub fix_type: FixType,
    /// What was done.
    pub description: String,
    /// What it may mean to the project.
    pub impact: String,
}

/// How the ladder ends.
#[derive(Debug)]
pub enum Ended {
    /// With a fix.
    Found(Box<Found>),
    /// Without one.
    Nothing,
    /// The model can't go on.
    Stopped(LlmError),
}

/// Climbs until a fix is found.
///
/// # Errors
/// When the sandbox fails.
pub async fn climb(
    task: &Task<'_>,
    steps: Steps,
    asker: Option<Asker<'_>>,
    tell: &(dyn Fn(Told) + Send + Sync),
) -> Result<Ended, SandboxError> {
    let start = if steps.rules {
        match mechanical::repair(task, tell).await? {
            Repaired::Fixed(fix, applied) => {
                tell(Told::Step { step: "rules", came: "repaired".to_owned() });
                return Ok(Ended::Found(Box::new(by_rules(fix, &applied))));
            }
            Repaired::Partly { change, applied, remaining } => {
                let came = match applied.is_empty() {
                    true => "no rule repairs it".to_owned(),
                    false => "repaired a part; the rest goes on".to_owned(),
                };
                tell(Told::Step { step: "rules", came });
                Start { base: change, described: mechanical::describe(&applied), remaining }
            }
        }
    } else {
        let remaining = task.baselines.iter().map(|b| b.to_repair()).collect();
        Start { base: Change::default(), described: String::new(), remaining }
    };
    match asker.filter(|_| !steps.asks_nobody()) {
        Some(asker) => asking::ask(task, asker, steps, &start, tell).await,
        None => Ok(Ended::Nothing),
    }
}

fn by_rules(fix: Box<ValidatedFix>, applied: &[Applied]) -> Found {
    let mut impact: Vec<&str> = Vec::new();
    for one in applied {
        if !impact.contains(&one.impact.as_str()) {
            impact.push(&one.impact);
        }
    }
    Found {
        fix,
        tier: "rule",
        // A fix by rules has at least one.
        fix_type: applied.first().map_or(FixType::Quality, |a| a.fix_type),
        description: mechanical::describe(applied),
        impact: impact.join(" "),
    }
}
