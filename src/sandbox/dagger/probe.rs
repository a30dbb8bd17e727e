//! What the engine's containers enforce, found out by trying, before anything of a repository runs.

use std::{collections::BTreeMap, time::Duration};

use super::{
    Engine,
    dockerfile::{self, Step},
    harness::{Answer, Does, PROGRAM, Spec},
    image::Image,
    prepared::{build, nonce},
};
use crate::sandbox::{Ended, Limits, Network, Posture, SandboxError, tail};

/// What runs inside.
const PROBE: &str = include_str!("probe.py");

/// A base image may have to be pulled.
const PATIENCE: Duration = Duration::from_secs(600);

/// What is said of a protection that does not hold.
const UNLESS: &str = "a container of this engine does not have it";

/// Builds the base system, and tries in it everything that a check must not be able to do.
pub(super) async fn probe(engine: &Engine, image: &Image) -> Result<Posture, SandboxError> {
    let script = "exec /usr/local/bin/python3 -I /tmp/probe/probe.py";
    let spec = Spec {
        env: BTreeMap::from([("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".to_owned())]),
        ..Spec::new(Does::Check, script, "/tmp/probe", nonce())
    };
    let spec = spec.limited(Limits { wall: Duration::from_secs(60), ..Limits::default() });
    let step = Step { name: "probe".to_owned(), network: Network::None, tree: Some("program".to_owned()) };
    let dockerfile = dockerfile::system(&image.reference)
        + "FROM system AS probe\n"
        + &dockerfile::written(&step)
        + &dockerfile::answered("probe");
    let told = serde_json::to_string(&spec).map_err(anyhow::Error::from)?;
    let files = [
        ("Dockerfile", dockerfile),
        ("told/probe/harness.py", PROGRAM.to_owned()),
        ("program/probe.py", PROBE.to_owned()),
        ("told/probe/told.json", told),
    ]
    .map(|(name, text)| (name.to_owned(), text));
    let answer = build(engine, &[], &files, "/check.json", PATIENCE).await?;
    let finished = Answer::read(&answer)?.finished();
    let found: BTreeMap<String, bool> = serde_json::from_slice(&finished.output).unwrap_or_default();
    if finished.ended != Ended::Exit(0) || found.is_empty() {
        let said = tail(&finished.output, 500);
        return Err(SandboxError::Lost(format!("what the engine enforces can't be found out: {said}")));
    }
    if found.get("network-namespace") != Some(&true) {
        let why = "a check in a container of this engine would see a network, and nothing is run with one";
        return Err(SandboxError::Lost(why.to_owned()));
    }
    let (mut enforced, mut missing) = (vec!["container".to_owned()], Vec::new());
    for (name, holds) in found {
        match holds {
            true => enforced.push(name),
            false => missing.push(format!("{name}: {UNLESS}")),
        }
    }
    enforced.extend(["time-limit", "memory-limit", "process-limit"].map(str::to_owned));
    Ok(Posture { kind: "dagger", enforced, missing })
}
