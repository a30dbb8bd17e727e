//! answer: what a model says of a failure, and the edits that it proposes. Nothing in it counts as proof.

mod parse;

use serde::Serialize;

use crate::fix_type::FixType;
pub use parse::parse;

/// How sure the model says that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Confidence {
    Low,
    Medium,
    High,
    /// It has not seen enough to say: it wants to look further.
    NeedMore,
}

impl Confidence {
    /// The outside's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Confidence::Low | Confidence::NeedMore => "low",
            Confidence::Medium => "medium",
            Confidence::High => "high",
        }
    }
}

/// What is wrong: the code, or the test that judges it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Fault {
    Code,
    Test,
}

impl Fault {
    /// The outside's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Fault::Code => "code",
            Fault::Test => "test",
        }
    }
}

/// One edit of one file, by its repository-relative path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// A piece of text that stands once in the file becomes another.
    Replace {
        /// The file.
        path: String,
        /// What stands there.
        search: String,
        /// What is to stand there.
        replace: String,
    },
    /// A new file.
    Create {
        /// The file.
        path: String,
        /// Its whole content.
        content: String,
    },
    /// A file goes.
    Delete {
        /// The file.
        path: String,
    },
}

impl Edit {
    /// The file that it changes.
    pub fn path(&self) -> &str {
        match self {
            Edit::Replace { path, .. } | Edit::Create { path, .. } | Edit::Delete { path } => path,
        }
    }
}

/// A diagnosis, and edits where the model has any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Why it fails, in a sentence or two.
    pub root_cause: String,
    /// What kind of repair it is.
    pub fix_type: FixType,
    /// How sure it is.
    pub confidence: Confidence,
    /// Is the code wrong, or the test?
    pub fault: Fault,
    /// What the change means to the project, in a sentence.
    pub impact: String,
    /// In order.
    pub edits: Vec<Edit>,
}
