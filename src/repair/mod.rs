//! repair: the heart. Reproduce, repair, validate.

pub mod rules;
