//! repair: the heart. Reproduce, repair, validate.

pub mod answer;
pub mod context;
pub mod dependencies;
pub mod mechanical;
pub mod prompts;
pub mod reproduce;
pub mod rules;
pub mod validate;

pub use reproduce::{Baseline, Reproduction, reproduce};
pub use validate::{Judgement, ValidatedFix, Validation, validate};
