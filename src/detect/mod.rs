//! detect: a log's bytes in, failures out. One pass, bounded memory, no I/O.

mod failure;

pub use failure::{Category, Failure, JobLog, JobResult, Key, Step, StepKind};
