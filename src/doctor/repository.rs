//! What of this machine is missing for a repository, and how to get it.

use std::{collections::BTreeSet, env, path::Path};

use console::style;

use super::needs::Needs;
use crate::{redact::shown_line, report::Table, workspace::git};

/// Where programs are looked for by what runs in the sandbox.
const SANDBOX_PATH: [&str; 3] = ["/usr/local/bin", "/usr/bin", "/bin"];

/// What is there, and what to do about it.
pub(super) enum Found {
    /// It is there.
    There(String),
    /// It is not, and this gets it.
    Missing(String, String),
    /// It can't be had here; checks that need it fail, or it does not matter.
    Never(String),
}

/// What this machine has.
pub(super) struct Machine {
    /// Versions of its Pythons: `3.11.7`.
    pub(super) pythons: Vec<String>,
    /// Directories of PATH.
    pub(super) path: Vec<std::path::PathBuf>,
    /// Those that the sandbox sees.
    pub(super) inside: Vec<std::path::PathBuf>,
}

impl Machine {
    /// This one.
    pub(super) fn this(pythons: Vec<String>) -> Machine {
        let path = env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect();
        Machine { pythons, path, inside: SANDBOX_PATH.iter().map(Into::into).collect() }
    }

    fn has(&self, program: &str) -> bool {
        self.path.iter().any(|directory| directory.join(program).is_file())
    }

    fn python(&self, (major, minor): (u32, u32)) -> Found {
        let version = format!("{major}.{minor}");
        let same: Vec<&str> =
            self.pythons.iter().map(String::as_str).filter(|v| v.starts_with(&format!("{version}."))).collect();
        match same.last() {
            Some(found) => Found::There((*found).to_owned()),
            None if self.has("uv") => Found::There("uv installs it when it is needed".to_owned()),
            None => {
                let get = if self.has("pyenv") {
                    format!("pyenv install {version}")
                } else {
                    format!("python3 -m pip install uv && uv python install {version}")
                };
                Found::Missing("not on this machine".to_owned(), get)
            }
        }
    }

    fn tool(&self, tool: &str, needs: &Needs) -> Found {
        let at = |places: &[std::path::PathBuf]| places.iter().map(|p| p.join(tool)).find(|p| p.is_file());
        if tool == "docker" {
            return Found::Never("the local sandbox has no container engine".to_owned());
        }
        if let Some(inside) = at(&self.inside) {
            return Found::There(inside.display().to_string());
        }
        if needs.brought.contains(tool) {
            return Found::There("the job installs it".to_owned());
        }
        let get = how_to_get(tool, self.has("apt-get"));
        match at(&self.path) {
            Some(outside) => {
                let outside = outside.display();
                Found::Missing(
                    format!("{outside}, where the sandbox does not look"),
                    format!("{get}, into one of {}", SANDBOX_PATH.join(", ")),
                )
            }
            None => Found::Missing("not on this machine".to_owned(), get),
        }
    }
}

fn how_to_get(tool: &str, apt: bool) -> String {
    let package = match tool {
        "uv" | "poetry" | "pdm" | "hatch" | "tox" | "nox" | "pre-commit" | "pipenv" => {
            return format!("python3 -m pip install {tool}");
        }
        "node" => "nodejs",
        "yarn" | "pnpm" => return format!("npm install --global {tool}"),
        "cc" => "gcc",
        "go" => "golang-go",
        "java" => "default-jdk",
        other => other,
    };
    if apt {
        format!("apt-get install {package}")
    } else {
        format!("install {package} with the system's package manager")
    }
}

/// The history that versions are made of.
fn history(repository: &Path) -> Found {
    let ask = |arguments: &[&str]| {
        let output = git(repository).args(arguments).output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    match ask(&["rev-parse", "--is-shallow-repository"]).as_deref() {
        Some("false") => match ask(&["tag", "--list"]).unwrap_or_default().lines().count() {
            0 => Found::Missing("all commits, and no tag".to_owned(), "git fetch --tags".to_owned()),
            tags => Found::There(format!("all commits, {tags} tag(s)")),
        },
        Some(_) => Found::Missing("a shallow clone".to_owned(), "git fetch --unshallow --tags".to_owned()),
        None => Found::Missing("no git history".to_owned(), "clone the repository with git".to_owned()),
    }
}

/// A table of what `needs` say; the second is whether all is there that can be had.
pub(super) fn table(needs: &Needs, machine: &Machine, repository: &Path) -> (Option<Table>, bool) {
    let mut table = Table::new(&["the repository's CI", "named by", "", "found", "how to get it"]);
    let (mut any, mut complete) = (false, true);
    let mut row = |what: &str, places: &BTreeSet<String>, found: Found| {
        any = true;
        let (mark, found, get) = match found {
            Found::There(found) => (style("ok").green(), found, String::new()),
            Found::Missing(found, get) => {
                complete = false;
                (style("missing").red(), found, get)
            }
            Found::Never(why) => (style("–").dim(), why, String::new()),
        };
        let places: Vec<String> = places.iter().map(|place| shown_line(place, 60)).collect();
        let (what, found) = (shown_line(what, 80), shown_line(&found, 200));
        table.row(vec![what, shown_line(&places.join(", "), 60), mark.to_string(), found, get]);
    };
    for (version, places) in &needs.pythons {
        row(&format!("Python {}.{}", version.0, version.1), places, machine.python(*version));
    }
    for (name, places) in &needs.odd_pythons {
        row(&format!("Python {name}"), places, Found::Never("only releases of CPython are run".to_owned()));
    }
    for (tool, places) in &needs.tools {
        let name = if *tool == "cc" { "C compiler (cc)" } else { tool };
        row(name, places, machine.tool(tool, needs));
    }
    if !needs.history.is_empty() {
        row("git history, tags", &needs.history, history(repository));
    }
    for (what, places) in &needs.elsewhere {
        row(
            what,
            places,
            Found::Never("the local sandbox has none: checks that need it are not reproduced".to_owned()),
        );
    }
    (any.then_some(table), complete)
}
