//! Lock files that do not go with their manifest: uv, poetry, pdm, pipenv, npm, yarn, pnpm, cargo.

use super::{Kind, Read, Tool};
use crate::detect::failure::{Category, Key};
use crate::detect::found::{Found, Sink, Weight};
use crate::detect::text::patterns;

patterns! {
    STALE = r"(?x) pyproject\.toml\ changed\ significantly\ since\ (\S+)\ was\ last\ generated
        | The\ lock\ ?file\ at\ `([^`]+)`\ needs\ to\ be\ updated
        | (poetry\.lock)\ is\ not\ up\ to\ date
        | Lock\ ?file\ hash\ doesn't\ match
        | Lock\ ?file\ does\ not\ (?:exist|match)
        | Unable\ to\ find\ lockfile\ at\ `([^`]+)`
        | (Pipfile\.lock)\ (?:\(.*\)\ out\ of\ date|is\ out-of-date) | Your\ (Pipfile\.lock)\s*(?:$|\()
        | `npm\ ci`\ can\ only\ install\ packages\ when\ your | The\ `npm\ ci`\ command\ can\ only\ install\ with\ an\ existing\ (package-lock\.json)
        | Your\ lockfile\ needs\ to\ be\ updated | The\ lockfile\ would\ have\ been\ modified\ by\ this\ install
        | ERR_PNPM_(?:OUTDATED_LOCKFILE|NO_LOCKFILE)\s+\S | Cannot\ install\ with\ \x22frozen-lockfile\x22
        | cannot\ update\ the\ lock\ file\ (\S+)\ because | the\ lock\ file\ (\S+)\ needs\ to\ be\ updated";
}

pub(super) const TOOL: Kind = Kind::new(
    &[
        "lock file",
        "lockfile",
        "poetry.lock",
        "Lock file",
        "Lockfile",
        "Pipfile.lock",
        "`npm ci`",
        "was last generated",
        "_LOCKFILE",
        "frozen-lockfile",
    ],
    || Box::new(Lock),
);

#[derive(Debug)]
struct Lock;

impl Tool for Lock {
    fn line(&mut self, line: &str, sink: &mut Sink) -> Read {
        let Some(found) = STALE.captures(line) else { return Read::Pass };
        // A lock that is made anew is nothing that failed.
        if line.contains("does not exist") && line.starts_with("WARNING") {
            return Read::Taken;
        }
        let file = found.iter().skip(1).flatten().next().map(|file| sink.paths.file(file.as_str()));
        let text = line.trim_start_matches([' ', '╰', '─', '▶', '×']);
        let text = ["ERROR: ", "WARNING: ", "Error: ", "error: ", "error ", "npm error ", "npm ERR! ", "npm ERR "]
            .iter()
            .find_map(|start| text.strip_prefix(start))
            .unwrap_or(text);
        let names = file.as_deref().unwrap_or(line);
        let tool = match () {
            () if names.contains("uv.lock") => "uv",
            () if names.contains("poetry") => "poetry",
            () if names.contains("Pipfile") => "pipenv",
            () if names.contains("npm ") || names.contains("package-lock") => "npm",
            () if names.contains("PNPM") || sink.runs("pnpm") => "pnpm",
            () if names.contains("Cargo.lock") || sink.runs("cargo") => "cargo",
            () if line.contains("frozen-lockfile") || sink.runs("yarn") => "yarn",
            () if sink.runs("uv") => "uv",
            () if sink.runs("pdm") => "pdm",
            () if sink.runs("poetry") => "poetry",
            () => "lock",
        };
        let key = Key::Message { file: file.clone(), message: sink.paths.stable(text) };
        if sink.known(&key).is_none() {
            let text = sink.paths.relative(text);
            // pdm only warns of it, before what it ends with.
            let weight = if text.contains("hash doesn't match") { Weight::Cause } else { Weight::Finding };
            sink.push(Found::new(Category::ImportDependency, tool, key, &text).at(file, None).weigh(weight));
        }
        Read::Taken
    }
}
