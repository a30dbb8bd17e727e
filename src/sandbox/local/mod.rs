//! local: a command's processes kept apart on this machine.
//!
//! Each run has a supervisor of its own (`supervise`), which starts it in the best layers that hold here (`start`):
//! namespaces by bubblewrap (`bubblewrap`) or made by ourselves (`root`, `layout`), then a user of its own, no
//! capabilities, Landlock and seccomp (`confine`, `filter`). It watches the whole tree (`tree`, `output`) and leaves
//! nothing behind; what a killed one leaves is swept by its record (`records`). What really holds is found by trying
//! (`probe` outside, `attempt` inside).
//!
//! Invariants: no run without a network block that the probe saw hold, unless a person said so. A run sees only what
//! its [`Exec`](crate::sandbox::Exec) names, and parts of the system. Its environment holds only what was given
//! (without namespaces, `TMPDIR` besides). Nothing of it is alive when its result is.

mod attempt;
mod bubblewrap;
mod confine;
mod filter;
mod isolation;
mod layout;
mod output;
mod probe;
mod records;
mod root;
mod spec;
mod start;
mod supervise;
mod sys;
mod tree;

pub use isolation::{Isolation, IsolationError, IsolationOptions, LayerChoice};
pub use records::Swept;
pub use supervise::supervise;
