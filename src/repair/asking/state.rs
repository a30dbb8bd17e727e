//! How far a cause has come, and what is told of its fix.

use super::super::{answer::Answer, ladder::Found, validate::ValidatedFix};
use super::bench::kind;
use crate::{fix_type::FixType, llm::LlmError, workspace::Change};

/// A change that a model proposes.
pub(super) struct Proposal {
    pub(super) answer: Answer,
    /// The whole change, what the rules did included.
    pub(super) change: Change,
    /// The answer as it came.
    pub(super) said: String,
    /// The key of the completion that it came in.
    pub(super) key: String,
}

/// How far a cause has come.
pub(super) enum State {
    /// Nobody was asked yet.
    Open,
    /// There is a change to judge.
    Proposed(Box<Proposal>),
    /// It is repaired by a change that the others are made on top of.
    Kept(Box<Proposal>),
    /// It was no good: what the model said, and what is to be said to it.
    Rejected { said: String, words: String },
    /// No change is to be made; the diagnosis was told.
    Diagnosed,
    /// The model can't go on.
    Stopped(LlmError),
}

impl State {
    pub(super) fn answer(&self) -> Option<&Answer> {
        match self {
            State::Proposed(proposal) | State::Kept(proposal) => Some(&proposal.answer),
            _ => None,
        }
    }
}

/// A fix in words, before its proof.
pub(super) struct Unproven {
    fix_type: FixType,
    pub(super) description: String,
    impact: String,
}

impl Unproven {
    /// What is told of a fix by these answers; `described` is what the rules did before.
    pub(super) fn of(described: &str, answers: &[&Answer]) -> Unproven {
        let join = |texts: Vec<&str>| {
            let mut unique: Vec<&str> = Vec::new();
            for text in texts.into_iter().filter(|t| !t.is_empty()) {
                if !unique.contains(&text) {
                    unique.push(text);
                }
            }
            unique.join(" ")
        };
        let causes = answers.iter().map(|a| a.root_cause.as_str());
        // A declaration is never lost in the crowd.
        let declared = answers.iter().map(|a| kind(a)).find(|fix_type| *fix_type == FixType::Test);
        Unproven {
            fix_type: declared.or(answers.first().map(|a| kind(a))).unwrap_or(FixType::Test),
            description: join(std::iter::once(described).chain(causes).collect()),
            impact: join(answers.iter().map(|a| a.impact.as_str()).collect()),
        }
    }

    pub(super) fn with(self, fix: Box<ValidatedFix>) -> Found {
        let Unproven { fix_type, description, impact } = self;
        Found { fix, tier: "model", fix_type, description, impact }
    }
}
