//! propose: what a proposal looks like to the people of a repository.
//!
//! `title` words it as they word theirs, `codeowners` finds those who should look at it.

pub mod codeowners;
pub mod title;
