//! github: what GitHub says and is told.
//!
//! `event` reads the event that started us: which run is to be repaired, or why none is.

pub mod event;
