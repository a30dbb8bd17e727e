//! The base image of a Python.

use std::{collections::BTreeMap, time::Duration};

use super::{Engine, session::EngineError};
use crate::sandbox::SandboxError;

/// A first pull of 430 MB took 7.6 s.
const PULL: Duration = Duration::from_secs(600);

/// What `3` means: what a runner's own `python3` is near to, and most projects support.
const DEFAULT: &str = "3.12";

/// Versions that the hub has images of; older ones have none of Debian 12.
pub(super) const MINORS: [&str; 8] = ["3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14"];

/// An image that there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Image {
    /// With its digest, where the registry says it: what is built upon it is the same tomorrow.
    pub(super) reference: String,
    /// As it was asked for.
    pub(super) name: String,
}

/// The images that may have a Python, the best first: the very version, then the newest of its minor one; Debian 12 before
/// whatever is newest, for what is compiled has to find the libraries it knows.
fn candidates(wanted: &str) -> Option<Vec<String>> {
    let wanted = wanted.trim().trim_start_matches('v');
    let parts: Vec<&str> = wanted.split('.').collect();
    if parts.len() > 3 || !parts.iter().all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit())) {
        return None;
    }
    let minor = if parts.len() == 1 { DEFAULT.to_owned() } else { parts[..2].join(".") };
    let mut versions = vec![minor];
    if parts.len() == 3 {
        versions.insert(0, wanted.to_owned());
    }
    let tags = versions.iter().flat_map(|v| [format!("python:{v}-slim-bookworm"), format!("python:{v}-slim")]);
    Some(tags.collect())
}

/// Finds the image for a wanted Python (`3.11.7`, `3.11`, `3`).
///
/// # Errors
/// When there is none, or the engine is lost.
pub(super) async fn find(engine: &Engine, wanted: &str) -> Result<Image, SandboxError> {
    let Some(candidates) = candidates(wanted) else {
        return Err(SandboxError::NoPython { wanted: wanted.to_owned(), found: Vec::new() });
    };
    let mut said = String::new();
    for name in candidates {
        let query = "query($address: String!) { container { from(address: $address) { imageRef } } }";
        match engine.ask(query, &BTreeMap::from([("address", name.as_str().into())]), PULL).await {
            Ok(answer) => {
                let reference = answer["container"]["from"]["imageRef"].as_str().unwrap_or_default();
                // `docker.io/library/python:3.12-slim@sha256:…`, and nothing that would not be one word of a Dockerfile.
                let plain = reference.contains("@sha256:") && !reference.contains(char::is_whitespace);
                let reference = if plain { reference.to_owned() } else { name.clone() };
                return Ok(Image { reference, name });
            }
            Err(EngineError::Said(why)) => said = why,
            Err(other) => return Err(other.into()),
        }
    }
    Err(SandboxError::NoImage { wanted: wanted.to_owned(), why: said })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_very_version_is_asked_for_first() {
        let names = |wanted: &str| candidates(wanted).unwrap();
        assert_eq!(
            names("3.11.7"),
            ["python:3.11.7-slim-bookworm", "python:3.11.7-slim", "python:3.11-slim-bookworm", "python:3.11-slim"]
        );
        assert_eq!(names("3"), ["python:3.12-slim-bookworm", "python:3.12-slim"]);
        assert_eq!(names("v3.9")[0], "python:3.9-slim-bookworm");
    }

    #[test]
    fn what_is_no_version_is_no_image() {
        for wanted in ["", "3.12\nRUN true", "pypy3.10", "3.x", "1.2.3.4", "3."] {
            assert_eq!(candidates(wanted), None, "{wanted}");
        }
    }
}
