//! The Dockerfile of a workspace: our own text, never one of the repository's (theirs could ask for the engine's network).
//!
//! Three stages that cache: the system, which is the same for every repository of a Python; the environment, in which the
//! job's install commands have run; and the checks, without a network unless one is theirs by nature.

use std::fmt::Write as _;

use super::harness::{ANSWERS, HERE, USER};
use crate::sandbox::Network;

/// Packages of the base system that a GitHub runner has and a slim image has not.
const PACKAGES: &str = "bzip2 ca-certificates curl file g++ gcc git gnupg jq less libffi-dev libssl-dev locales make netbase \
    openssh-client patch pkg-config procps rsync sqlite3 tzdata unzip wget xz-utils zip zlib1g-dev";

/// uv, as the image of the action has it: pinned, by hash.
const UV: &str = include_str!("../../../docker/uv.txt");

/// A command of the harness, as one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    /// The name of the file that tells it what to do.
    pub(super) name: String,
    /// Does it see a network?
    pub(super) network: Network,
    /// The folder of the context that holds the tree, where it is laid out anew.
    pub(super) tree: Option<String>,
}

/// What a Dockerfile is made of.
#[derive(Debug, Clone)]
pub(super) struct Text<'a> {
    /// The base image.
    pub(super) image: &'a str,
    /// Packages that the job installs besides.
    pub(super) packages: &'a [String],
    /// The steps that build the environment.
    pub(super) install: &'a [Step],
    /// The checks.
    pub(super) checks: &'a [Step],
}

impl Text<'_> {
    /// The Dockerfile.
    pub(super) fn write(&self) -> String {
        let mut text = system(self.image);
        if !self.packages.is_empty() {
            // One by one where they don't go together: another distribution may not have all of them.
            let packages = self.packages.join(" ");
            let install = "DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends";
            let _ = writeln!(
                text,
                "RUN apt-get update -q && ({install} {packages} || for package in {packages}; do {install} \"$package\" || true; \
                 done) && rm -rf /var/lib/apt/lists/*"
            );
        }
        text += "FROM system AS environment\n";
        text.extend(self.install.iter().map(written));
        if !self.checks.is_empty() {
            text += "FROM environment AS check\n";
            text.extend(self.checks.iter().map(written));
        }
        text + &answered(if self.checks.is_empty() { "environment" } else { "check" })
    }
}

/// The stage that is the same for every repository.
pub(super) fn system(image: &str) -> String {
    // On one line, and no file that would have to be mounted.
    let lines = UV.lines().filter(|line| !line.starts_with('#')).map(|line| line.trim().trim_end_matches('\\').trim());
    let uv = lines.collect::<Vec<_>>().join(" ");
    format!(
        "FROM {image} AS system\n\
         RUN apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends {PACKAGES} \
         && rm -rf /var/lib/apt/lists/*\n\
         RUN echo '{}' > /tmp/uv.txt && python3 -m venv /tmp/uv && /tmp/uv/bin/pip install -q --no-cache-dir --no-deps \
         --only-binary :all: --require-hashes -r /tmp/uv.txt && mv /tmp/uv/bin/uv /tmp/uv/bin/uvx /usr/local/bin/ \
         && rm -rf /tmp/uv /tmp/uv.txt && mkdir -p {HERE} \
         && echo 'runner:x:{USER}:{USER}:runner:/tmp:/bin/bash' >> /etc/passwd && echo 'runner:x:{USER}:' >> /etc/group\n",
        uv.trim()
    )
}

/// A stage that holds nothing but the answers of another: the engine copies what a build comes to.
pub(super) fn answered(stage: &str) -> String {
    format!("FROM scratch AS answers\nCOPY --from={stage} {ANSWERS}/ /\n")
}

/// The line that runs a step, with what it reads mounted: for each COPY the engine would look through the whole of what it
/// copies into. What a step does not read is not mounted: it would be run again when that changes.
pub(super) fn written(step: &Step) -> String {
    let Step { name, network, tree } = step;
    let network = if *network == Network::None { "--network=none " } else { "" };
    let mount = |from: &str, to: &str| format!("--mount=type=bind,source={from},target={HERE}/{to} ");
    let told = mount(&format!("told/{name}"), "told");
    let (tree, path) = match tree {
        Some(tree) => (mount(tree, "tree"), format!(" {HERE}/tree")),
        None => Default::default(),
    };
    format!(
        "RUN {network}{told}{tree}/usr/local/bin/python3 -I {HERE}/told/harness.py {HERE}/told/told.json{path} # {name}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_has_no_network_and_an_installation_has_one() {
        let step = |name: &str, network, tree: Option<&str>| Step {
            name: name.to_owned(),
            network,
            tree: tree.map(str::to_owned),
        };
        let text = Text {
            image: "python:3.12-slim-bookworm",
            packages: &["graphviz".to_owned()],
            install: &[step("begin", Network::None, Some("base")), step("install-0", Network::Full, None)],
            checks: &[step("check-0", Network::None, Some("tree-0"))],
        };
        insta::assert_snapshot!(text.write());
    }
}
