//! repair: the heart. Reproduce, repair, validate.

pub mod answer;
pub mod asking;
pub mod cause;
pub mod conditions;
pub mod context;
pub mod dependencies;
pub mod dialogue;
pub mod edit;
pub mod ladder;
mod launch;
pub mod mechanical;
pub mod oracle;
pub mod prompts;
pub mod reproduce;
pub mod rules;
pub mod trial;
pub mod validate;

pub use asking::Asker;
pub use conditions::{Dependence, Named};
pub use reproduce::{Baseline, Reproduction, reproduce};
pub use trial::{Rejected, Task, Told};
pub use validate::{Beside, Judgement, ValidatedFix, Validation, validate};
