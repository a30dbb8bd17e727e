//! docker build, and what the daemon refuses.

use super::{Kind, Read, Tool};
use crate::detect::exception;
use crate::detect::failure::{Category, Key};
use crate::detect::found::{Found, Sink, Weight};
use crate::detect::text::{bounded, patterns};

patterns! {
    SOLVE = r"^(?:ERROR: |error: |buildx failed with: |##\[error\])*(?:ERROR: )?failed to (?:solve|build): (.*)$";
    STEP = r"^The command '(.*)' returned a non-zero code: (\d+)$";
    COPY = r"^((?:COPY|ADD) failed: .*)$";
    PARSE = r"dockerfile parse error(?: on)? line (\d+): (.*)$";
    PLACE = r"^(\S*Dockerfile\S*):(\d+)$";
    DAEMON = r"^(?:docker: |ERROR: )?(Error response from daemon: .*|Cannot connect to the Docker daemon.*|Get \x22https?://\S+\x22: .*)$";
    NETWORK = r"dial tcp|no such host|connection refused|i/o timeout|TLS handshake|pull access denied|toomanyrequests|unauthorized|manifest (?:unknown|for)|not found: manifest|failed to resolve source metadata|failed to do request|denied: ";
    RUN = r"process \x22(.*?)\x22 did not complete successfully: exit code: (\d+)|executor failed running \[(.*?)\]: exit code: (\d+)";
    ABSENT = r#"failed to (?:compute cache key|calculate checksum).*?:\s*("?/?\S+"?: not found.*)$"#;
}

pub(super) const TOOL: Kind = Kind::new(
    &[
        "failed to solve",
        "failed to build: ",
        "returned a non-zero code",
        " failed: ",
        "parse error",
        "Dockerfile",
        "daemon",
        "Get \"",
    ],
    || Box::<Docker>::default(),
);

#[derive(Debug, Default)]
struct Docker {
    place: Option<(String, u32)>,
}

impl Tool for Docker {
    fn line(&mut self, line: &str, sink: &mut Sink) -> Read {
        if let Some(found) = PLACE.captures(line) {
            self.place = found[2].parse().ok().map(|number| (found[1].to_owned(), number));
        } else if let Some(found) = PARSE.captures(line) {
            self.push(sink, Category::Build, &found[2], Some(("Dockerfile".to_owned(), found[1].parse().unwrap_or(1))));
        } else if let Some(found) = SOLVE.captures(line) {
            let said = &found[1];
            let place = self.place.take();
            if let Some(run) = RUN.captures(said) {
                let command = run.get(1).or(run.get(3)).map_or("", |command| command.as_str());
                let exit = run.get(2).or(run.get(4)).map_or("", |exit| exit.as_str());
                self.step(sink, command, exit, place);
            } else if let Some(absent) = ABSENT.captures(said) {
                self.push(sink, Category::Build, &absent[1], place);
            } else {
                let category =
                    if NETWORK.is_match(said) || exception::network(said) { Category::Infra } else { Category::Build };
                self.push(sink, category, said, place);
            }
        } else if let Some(found) = STEP.captures(line) {
            self.step(sink, &found[1], &found[2], None);
        } else if let Some(found) = COPY.captures(line) {
            self.push(sink, Category::Build, &found[1], None);
        } else if let Some(found) = DAEMON.captures(line) {
            let said = &found[1];
            if said.contains("executable file not found") {
                return Read::Pass;
            }
            let exec = said.contains("OCI runtime");
            let category = if exec { Category::RuntimeError } else { Category::Infra };
            self.push(sink, category, said, None);
        } else {
            return Read::Pass;
        }
        Read::Pass
    }
}

impl Docker {
    /// A step of the build that failed: what its own tool said of it comes first.
    fn step(&mut self, sink: &mut Sink, command: &str, exit: &str, place: Option<(String, u32)>) {
        let command = command.trim_start_matches("/bin/sh -c ");
        let text = format!("RUN {} exited with {exit}", bounded(command, 500));
        let key = Key::Command { command: bounded(command, 500).to_owned(), error: format!("exit {exit}") };
        let mut found = Found::new(Category::Build, "docker", key, &text).weigh(Weight::Cause);
        if let Some((file, line)) = place {
            found = found.at(sink.paths.file(&file), Some(line));
        }
        if !sink.has(Weight::Cause) {
            sink.push_once(found);
        }
    }

    fn push(&mut self, sink: &mut Sink, category: Category, said: &str, place: Option<(String, u32)>) {
        let said = bounded(said, 1000);
        let key = Key::Message { file: None, message: sink.paths.stable(said) };
        let mut found = Found::new(category, "docker", key, said).weigh(Weight::Cause);
        if let Some((file, line)) = place {
            found = found.at(sink.paths.file(&file), Some(line));
        }
        sink.push_once(found);
    }
}
