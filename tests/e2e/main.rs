//! The real binary, the real sandbox, the examples. Each test is a [`world::World`] of its own, and ends by looking for
//! what was left behind.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod action;
mod bad_input;
mod beside;
mod cache;
mod conditions;
mod endings;
#[path = "../support/endpoint.rs"]
mod endpoint;
mod environments;
mod eval;
mod examples;
#[path = "../support/github/mod.rs"]
mod github;
mod github_double;
mod init;
mod injection;
mod interrupted;
mod isolation;
mod model;
mod plan;
mod readme;
mod resume;
mod secrets;
mod world;
