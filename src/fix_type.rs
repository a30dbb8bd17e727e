//! fix_type: what kind of repair a change is, in the outside's words.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// What a repair says that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum FixType {
    Syntax,
    Import,
    Test,
    Coverage,
    Quality,
    Dependency,
    Security,
    Documentation,
    Benchmark,
    Build,
}

impl FixType {
    /// All of them.
    pub const ALL: [FixType; 10] = [
        FixType::Syntax,
        FixType::Import,
        FixType::Test,
        FixType::Coverage,
        FixType::Quality,
        FixType::Dependency,
        FixType::Security,
        FixType::Documentation,
        FixType::Benchmark,
        FixType::Build,
    ];

    /// The outside's word for it.
    pub fn word(self) -> &'static str {
        match self {
            FixType::Syntax => "syntax",
            FixType::Import => "import",
            FixType::Test => "test",
            FixType::Coverage => "coverage",
            FixType::Quality => "quality",
            FixType::Dependency => "dependency",
            FixType::Security => "security",
            FixType::Documentation => "documentation",
            FixType::Benchmark => "benchmark",
            FixType::Build => "build",
        }
    }
}

impl fmt::Display for FixType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for FixType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        FixType::ALL.into_iter().find(|t| t.word() == text).ok_or_else(|| {
            let known: Vec<&str> = FixType::ALL.iter().map(|t| t.word()).collect();
            format!("unknown fix type {text}: one of {}", known.join(", "))
        })
    }
}
