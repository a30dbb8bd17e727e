//! audit: every call that writes to GitHub, with why and what came of it.

use std::sync::{Mutex, PoisonError};

use serde::Serialize;

/// A call that wrote, or tried to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Written {
    /// When, in UTC: `2026-11-28T02:30:00Z`.
    pub at: String,
    /// `POST`, `PATCH`, …
    pub method: String,
    /// Below the API's address.
    pub path: String,
    /// What for.
    pub why: String,
    /// `201`, or why not.
    pub result: String,
}

/// What was written so far.
#[derive(Debug, Default)]
pub struct Audit(Mutex<Vec<Written>>);

impl Audit {
    pub(super) fn enter(&self, method: &str, path: &str, why: &str, result: String) {
        let at = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let written = Written { at, method: method.to_owned(), path: path.to_owned(), why: why.to_owned(), result };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(written);
    }

    /// In their order.
    pub fn written(&self) -> Vec<Written> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
