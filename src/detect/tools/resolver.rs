//! Requirements that nothing satisfies, and packages that are not there: uv, poetry, pdm, conda, npm, yarn, pnpm, cargo,
//! apt.

use super::{Kind, Read, Tool};
use crate::detect::exception;
use crate::detect::failure::{Category, Key};
use crate::detect::found::{Found, Sink, Weight};
use crate::detect::text::{bounded, patterns};

patterns! {
    UNSOLVED = r"(?x) version\ solving\ failed | No\ solution\ found\ when\ resolving | Unable\ to\ find\ a\ resolution
        | LibMambaUnsatisfiableError | PackagesNotFoundError | UnsatisfiableError | ResolutionTooDeep | ResolutionImpossible
        | npm\ (?:ERR!|error)\ code\ (?:ERESOLVE|E404|ETARGET|EBADENGINE|ENOVERSIONS|ENOENT|EJSONPARSE|ECONN\w+|ETIMEDOUT|EAI_AGAIN|ENOTFOUND|E5\d\d|EPUBLISHCONFLICT) | npm\ (?:ERR!|error)\ (?:Missing\ script:|missing\ script:|enoent|JSON\.parse) | ERR_PNPM_\w+
        | Could\ not\ find\ a\ matching\ version\ of | was\ not\ found\ in\ the\ package\ registry
        | Couldn't\ find\ (?:package|any\ versions\ for)\ \x22 | Could\ not\ solve\ for\ environment\ specs
        | no\ matching\ package\ named | failed\ to\ select\ a\ version\ for | no\ matching\ version
        | E:\ Unable\ to\ locate\ package\ \S+ | E:\ Version\ '.*'\ for\ '.*'\ was\ not\ found | E:\ Package\ '.*'\ has\ no\ installation\ candidate
        | is\ incompatible\ with\ the\ project's\ Python\ requirement | Unable\ to\ find\ candidates\ for\ \S+ | Nothing\ provides\ \S+ | Because\ .*\ depends\ on\ .* | we\ can\ conclude\ that\ .*unsatisfiable";
    NPM = r"^npm (?:ERR!|error) (?:404|notarget|peer|notsup|engine|JSON\.parse|syscall \S+|errno \S+|path \S+)?\s*(\S.*)$";
    NETWORK = r"ERR_PNPM_(?:META_)?FETCH_FAIL|ECONN|ETIMEDOUT|EAI_AGAIN|ENOTFOUND";
    NOT_HERE = r#"(?:Couldn't find package "([^"]+)"|no matching package named `([^`]+)`|Unable to locate package (\S+)|'([^']+)' has no installation candidate)"#;
    BOX = r"^[\s│╰├─▶×┬╌┄|>-]+";
}

pub(super) const TOOL: Kind = Kind::new(
    &[
        "version solving failed",
        "No solution found",
        "Unable to find a resolution",
        "UnsatisfiableError",
        "PackagesNotFoundError",
        "ResolutionTooDeep",
        "ResolutionImpossible",
        "npm ERR! code ",
        "npm error code ",
        "issing script:",
        "ERR_PNPM_",
        "Could not find a matching version of",
        "in the package registry",
        "Couldn't find package",
        "Couldn't find any versions",
        "Could not solve for",
        "no matching package named",
        "failed to select a version",
        "E: Unable to locate",
        "E: Version '",
        "E: Package '",
        "Nothing provides ",
        "Python requirement",
        "Unable to find candidates",
    ],
    || Box::<Resolver>::default(),
);

/// A message whose sense is on the lines that follow.
#[derive(Debug)]
struct Open {
    tool: &'static str,
    head: String,
    said: Vec<String>,
    lines: u32,
}

#[derive(Debug, Default)]
struct Resolver {
    open: Option<Open>,
}

impl Tool for Resolver {
    fn line(&mut self, line: &str, sink: &mut Sink) -> Read {
        if let Some(open) = &mut self.open {
            if open.goes_on(line) {
                return Read::Taken;
            }
            self.close(sink);
        }
        if !UNSOLVED.is_match(line) || line.contains("_LOCKFILE") {
            return Read::Pass;
        }
        let tool = tool(line, sink);
        // What a tool's own exception repeats at the end.
        if line.starts_with("[ResolutionError]") || line.contains("exceptions.ResolutionFailure") {
            return Read::Taken;
        }
        let head = BOX.replace(line, "").trim().to_owned();
        if line.contains("issing script:") {
            let said = line.trim_start_matches("npm ERR! ").trim_start_matches("npm error ");
            push(sink, "npm", said, line.to_owned());
        } else if (tool == "npm" && line.starts_with("npm "))
            || (tool == "uv" && line.contains("No solution found"))
            || line.starts_with("Error: ERR_PNPM_")
        {
            self.open = Some(Open { tool, head, said: Vec::new(), lines: 0 });
        } else {
            push(sink, tool, &head, String::new());
        }
        Read::Taken
    }

    fn open(&self) -> bool {
        self.open.is_some()
    }

    fn close(&mut self, sink: &mut Sink) {
        if let Some(open) = self.open.take() {
            let head = open.head.trim_start_matches("Error: ").to_owned();
            let message = match (open.tool, open.said.first()) {
                // npm's code says less than the line after it; uv's sense is the whole conclusion.
                ("npm", Some(first)) => first.clone(),
                ("uv", Some(_)) => format!("{head} {}", open.said.join(" ")),
                (_, Some(_)) => format!("{head}: {}", open.said.join(" ")),
                (_, None) => head.clone(),
            };
            push(sink, open.tool, bounded(&message, 1500), format!("{head}\n{}", open.said.join("\n")));
        }
    }
}

impl Open {
    fn goes_on(&mut self, line: &str) -> bool {
        self.lines += 1;
        if self.lines > 30 {
            return false;
        }
        if self.tool == "npm" {
            if !line.starts_with("npm ") {
                return false;
            }
            if let Some(found) = NPM.captures(line)
                && self.said.len() < 12
                && !line.contains("A complete log of this run")
                && !line.contains("npm error code")
                && found[1].contains(' ')
                && !found[1].starts_with("Unsupported engine")
            {
                self.said.push(bounded(found[1].trim(), 300).to_owned());
            }
            return true;
        }
        let text = BOX.replace(line, "");
        let text = text.trim();
        if text.is_empty() {
            return self.lines < 3;
        }
        if text.starts_with("hint:") || text.starts_with("help:") || !line.starts_with([' ', '×', '╰', '├', '│'])
        {
            return false;
        }
        if self.said.len() < 12 && text != "installing dependencies" {
            self.said.push(bounded(text, 300).to_owned());
        }
        true
    }
}

fn tool(line: &str, sink: &Sink) -> &'static str {
    match () {
        () if line.contains("npm ") => "npm",
        () if line.contains("PNPM") => "pnpm",
        () if line.starts_with("E: ") => "apt",
        () if line.contains("Mamba")
            || line.contains("PackagesNotFound")
            || sink.runs("conda")
            || sink.runs("mamba") =>
        {
            "conda"
        }
        () if line.contains("No solution found") || sink.runs("uv") => "uv",
        () if line.contains("version solving") || sink.runs("poetry") => "poetry",
        () if line.contains("Unable to find a resolution") || sink.runs("pdm") => "pdm",
        () if sink.runs("cargo") || line.contains("matching package") || line.contains("select a version") => "cargo",
        () if line.contains("Couldn't find") => "yarn",
        () if sink.runs("pip") => "pip",
        () => "resolver",
    }
}

fn push(sink: &mut Sink, tool: &'static str, text: &str, excerpt: String) {
    let network = sink.network || NETWORK.is_match(text) || NETWORK.is_match(&excerpt);
    let category = if network { Category::Infra } else { Category::ImportDependency };
    let text = text.strip_prefix("error: ").or(text.strip_prefix("error ")).unwrap_or(text);
    // mamba says it as an error and as a critical one.
    let text = text.strip_prefix("critical ").unwrap_or(text).trim_start().trim_start_matches("libmamba ");
    let key = match NOT_HERE.captures(text).and_then(|found| found.iter().skip(1).flatten().next()) {
        Some(name) => Key::Missing { name: name.as_str().to_owned() },
        None => Key::Message { file: None, message: sink.paths.stable(text) },
    };
    let cause = match &key {
        Key::Missing { name } => Some(exception::missing_cause(name)),
        _ => None,
    };
    let mut found = Found::new(category, tool, key, &sink.paths.relative(text)).weigh(Weight::Cause).excerpt(excerpt);
    found.cause = cause;
    sink.push_once(found);
}
