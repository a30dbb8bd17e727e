//! github: GitHub's API as far as test-repair needs it, for one repository.
//!
//! `event` says what triggered us, `runs` reads, `write` writes; `client` is the policy that all calls go through, `audit`
//! remembers what was written. The room knows neither the model nor the sandbox.

mod audit;
mod client;
mod error;
pub mod event;
mod reply;
mod runs;
mod wire;
mod write;

pub use audit::{Audit, Written};
pub use client::{Client, ClientOptions, Downloaded};
pub use error::GitHubError;
pub use wire::*;
pub use write::NewPull;
