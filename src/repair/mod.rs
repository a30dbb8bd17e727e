//! repair: the heart. Reproduce, repair, validate.

pub mod answer;
pub mod cause;
pub mod dependencies;
pub mod ladder;
pub mod dialogue;
pub mod edit;
pub mod mechanical;
pub mod oracle;
pub mod reproduce;
pub mod rules;
pub mod trial;
pub mod validate;

pub use reproduce::{Baseline, Reproduction, reproduce};
pub use trial::{Rejected, Task, Told};
pub use validate::{Judgement, ValidatedFix, Validation, validate};
