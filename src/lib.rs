//! test-repair reads a failing CI log, reproduces the failure, repairs it and proves the repair.
//!
//! The map of the rooms and their invariants is in `ARCHITECTURE.md`.

pub mod action;
pub mod actions;
pub mod breaker;
pub mod cache;
pub mod cli;
pub mod config;
pub mod detect;
pub mod doctor;
pub mod dry_run;
pub mod eval;
pub mod explain;
pub mod fix;
pub mod fix_type;
pub mod github;
pub mod hosted;
pub mod init;
pub mod input;
pub mod integrity;
pub mod interrupt;
pub mod llm;
pub mod manual;
pub mod markup;
pub mod mind;
pub mod observe;
pub mod origin;
pub mod outcome;
pub mod pipeline;
pub mod plan;
pub mod progress;
pub mod propose;
pub mod redact;
pub mod registry;
pub mod repair;
pub mod report;
pub mod retry;
pub mod run;
pub mod sandbox;
pub mod scratch;
pub mod size;
pub mod verify;
pub mod workspace;
