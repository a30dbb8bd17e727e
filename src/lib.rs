//! test-repair reads a failing CI log, reproduces the failure, repairs it and proves the repair.
//!
//! The map of the rooms and their invariants is in `ARCHITECTURE.md`.

pub mod detect;
pub mod integrity;
pub mod plan;
pub mod repair;
pub mod sandbox;
pub mod workspace;
