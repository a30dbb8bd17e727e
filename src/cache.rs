//! cache: what the cache of environments holds, and what of it goes.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use anyhow::Result;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    cli::{CacheArgs, CacheCommand, Format, PruneArgs},
    input::BadInput,
    redact::shown_line,
    report::{self, Table},
    sandbox::cache::{self, Environment, Evicted, State},
    size,
};

/// Files of a run that is under way may be so old.
const SETTLED: Duration = Duration::from_secs(3600);

/// Lists what the cache holds, or removes what is too old or too much. Always 0.
///
/// # Errors
/// [`BadInput`] for a directory that is no cache, or a limit that is none.
pub fn cache(args: &CacheArgs) -> Result<u8> {
    let root = args.root();
    if root.exists() && !root.is_dir() {
        return Err(BadInput(format!("the cache {} is no directory", root.display())).into());
    }
    match &args.command {
        None => {
            let held = Held::of(&root);
            report::print(&match args.format {
                Format::Text => held.text(),
                Format::Json => report::json_line(&held.json()),
            });
        }
        Some(CacheCommand::Prune(prune)) => {
            let pruned = Pruned::of(&root, prune)?;
            report::print(&match args.format {
                Format::Text => pruned.text(),
                Format::Json => report::json_line(&pruned.json()),
            });
        }
    }
    Ok(0)
}

/// The files of a folder of the cache: completions, or transcripts.
struct Files {
    what: &'static str,
    /// Each with its size and its time, oldest first.
    files: Vec<(SystemTime, u64, PathBuf)>,
}

impl Files {
    fn of(root: &Path, what: &'static str, extension: &str) -> Files {
        let entries = root.join(what).read_dir().into_iter().flatten().filter_map(Result::ok);
        let ours = entries.filter(|entry| entry.path().extension().is_some_and(|e| e == extension));
        let mut files: Vec<_> = ours
            .filter_map(|entry| {
                let meta = entry.metadata().ok().filter(fs::Metadata::is_file)?;
                Some((meta.modified().ok()?, meta.len(), entry.path()))
            })
            .collect();
        files.sort();
        Files { what, files }
    }

    fn both(root: &Path) -> [Files; 2] {
        [Files::of(root, "completions", "json"), Files::of(root, "transcripts", "jsonl")]
    }

    fn bytes(&self) -> u64 {
        self.files.iter().map(|(_, bytes, _)| bytes).sum()
    }
}

/// What the cache holds.
struct Held {
    root: PathBuf,
    environments: Vec<Environment>,
    downloads: (u64, Option<SystemTime>),
    files: [Files; 2],
}

impl Held {
    fn of(root: &Path) -> Held {
        Held {
            root: root.to_owned(),
            environments: cache::contents(root),
            downloads: cache::downloads(root),
            files: Files::both(root),
        }
    }

    fn bytes(&self) -> u64 {
        let environments: u64 = self.environments.iter().map(|e| e.bytes).sum();
        environments + self.downloads.0 + self.files.iter().map(Files::bytes).sum::<u64>()
    }

    fn text(&self) -> String {
        let mut text = String::new();
        if !self.environments.is_empty() {
            let mut table = Table::new(&["environment", "of", "Python", "kind", "size", "last used", ""]);
            for environment in &self.environments {
                table.row(row(environment));
            }
            text.push_str(&format!("{}\n", table.render(0)));
        }
        let mut table = Table::new(&["what", "how many", "size", "last used"]);
        let environments = &self.environments;
        let sum = environments.iter().map(|e| e.bytes).sum();
        let mut line = |what: &str, many: String, bytes: u64, used: Option<SystemTime>| {
            table.row(vec![what.to_owned(), many, size::shown(bytes), ago(used)]);
        };
        line(
            "environments",
            environments.len().to_string(),
            sum,
            environments.iter().filter_map(|e| e.last_used).max(),
        );
        line("downloads", String::new(), self.downloads.0, self.downloads.1);
        for Files { what, files } in &self.files {
            let bytes = files.iter().map(|(_, bytes, _)| bytes).sum();
            line(what, files.len().to_string(), bytes, files.last().map(|(used, ..)| *used));
        }
        text.push_str(&table.render(0));
        text.push_str(&format!("\n{} in all, in {}\n", size::shown(self.bytes()), path(&self.root)));
        text
    }

    fn json(&self) -> Value {
        let files = |files: &Files| json!({ "files": files.files.len(), "bytes": files.bytes() });
        json!({
            "schema": 1,
            "directory": self.root,
            "environments": self.environments.iter().map(environment_json).collect::<Vec<_>>(),
            "downloads": { "bytes": self.downloads.0, "last_used": time(self.downloads.1) },
            "completions": files(&self.files[0]),
            "transcripts": files(&self.files[1]),
            "bytes": self.bytes(),
        })
    }
}

/// What was removed.
struct Pruned {
    root: PathBuf,
    dry: bool,
    evicted: Vec<Evicted>,
    /// Completions and transcripts: how many, how large.
    files: Vec<(&'static str, usize, u64)>,
    left: u64,
}

impl Pruned {
    fn of(root: &Path, args: &PruneArgs) -> Result<Pruned> {
        let mut limits = args.limits()?;
        let dry = args.dry_run;
        let before = if dry { Held::of(root).bytes() } else { 0 };
        let mut kept = Files::both(root);
        let mut files = Vec::new();
        let old = |used: SystemTime| used.elapsed().is_ok_and(|age| age >= limits.age.max(SETTLED));
        for kept in &mut kept {
            let (gone, rest): (Vec<_>, Vec<_>) = kept.files.drain(..).partition(|(used, ..)| old(*used));
            kept.files = rest;
            if !gone.is_empty() {
                files.push((kept.what, gone.len(), gone.iter().map(|(_, bytes, _)| bytes).sum()));
            }
            for (_, _, file) in gone.iter().filter(|_| !dry) {
                let _ = fs::remove_file(file);
            }
        }
        // What is left of them takes its part of the room.
        let rest: u64 = kept.iter().map(Files::bytes).sum();
        limits.bytes = if limits.bytes == u64::MAX { u64::MAX } else { limits.bytes.saturating_sub(rest) };
        let evicted = cache::prune(root, limits, dry);
        let pruned = Pruned { root: root.to_owned(), dry, evicted, files, left: 0 };
        let left = if dry { before.saturating_sub(pruned.bytes()) } else { Held::of(root).bytes() };
        Ok(Pruned { left, ..pruned })
    }

    fn bytes(&self) -> u64 {
        let evicted: u64 = self.evicted.iter().map(Evicted::bytes).sum();
        evicted + self.files.iter().map(|(.., bytes)| bytes).sum::<u64>()
    }

    fn text(&self) -> String {
        let mut text = String::new();
        if !self.evicted.is_empty() || !self.files.is_empty() {
            let mut table = Table::new(&["removed", "of", "Python", "kind", "size", "last used", "why"]);
            for evicted in &self.evicted {
                table.row(match evicted {
                    Evicted::Environment(environment, why) => {
                        let mut row = row(environment);
                        row.pop();
                        row.push((*why).to_owned());
                        row
                    }
                    Evicted::Downloads(bytes, why) => {
                        let [none, nothing, nobody] = [const { String::new() }; 3];
                        let last = String::new();
                        vec![
                            "downloads".to_owned(),
                            none,
                            nothing,
                            nobody,
                            size::shown(*bytes),
                            last,
                            (*why).to_owned(),
                        ]
                    }
                });
            }
            text.push_str(&table.render(0));
            for (what, many, bytes) in &self.files {
                text.push_str(&format!("{many} {what}, {}: not used for too long\n", size::shown(*bytes)));
            }
            text.push('\n');
        }
        let (freed, left, root) = (size::shown(self.bytes()), size::shown(self.left), path(&self.root));
        text.push_str(&match self.dry {
            true => format!("{freed} would go, {left} would be left in {root}\n"),
            false => format!("{freed} freed, {left} left in {root}\n"),
        });
        text
    }

    fn json(&self) -> Value {
        let evicted = self.evicted.iter().map(|evicted| match evicted {
            Evicted::Environment(environment, why) => {
                json!({ "what": "environment", "environment": environment_json(environment), "bytes": environment.bytes, "why": why })
            }
            Evicted::Downloads(bytes, why) => json!({ "what": "downloads", "bytes": bytes, "why": why }),
        });
        let files = self.files.iter().map(|(what, many, bytes)| json!({ "what": what, "files": many, "bytes": bytes }));
        json!({
            "schema": 1,
            "directory": self.root,
            "dry_run": self.dry,
            "removed": evicted.chain(files).collect::<Vec<_>>(),
            "freed": self.bytes(),
            "bytes": self.left,
        })
    }
}

/// Names come from file names: nothing of them is a command to a terminal.
fn row(environment: &Environment) -> Vec<String> {
    let known = |text: &str| if text.is_empty() { "–".to_owned() } else { shown_line(text, 40) };
    vec![
        shown_line(&format!("{}/{}", environment.key, environment.slot), 60),
        known(&environment.project),
        known(&environment.python),
        known(&environment.kind),
        size::shown(environment.bytes),
        ago(environment.last_used),
        match environment.state {
            State::Ready => String::new(),
            State::InUse => "in use".to_owned(),
            State::Leftover => "left by a killed run".to_owned(),
        },
    ]
}

fn environment_json(environment: &Environment) -> Value {
    let known = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    json!({
        "key": environment.key,
        "slot": environment.slot,
        "project": known(&environment.project),
        "python": known(&environment.python),
        "kind": known(&environment.kind),
        "bytes": environment.bytes,
        "last_used": time(environment.last_used),
        "state": match environment.state {
            State::Ready => "ready",
            State::InUse => "in_use",
            State::Leftover => "leftover",
        },
    })
}

fn path(root: &Path) -> String {
    shown_line(&root.display().to_string(), 400)
}

fn time(at: Option<SystemTime>) -> Option<String> {
    Some(Timestamp::try_from(at?).ok()?.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

/// `3 days ago`
fn ago(at: Option<SystemTime>) -> String {
    let Some(at) = at else { return "–".to_owned() };
    let seconds = at.elapsed().unwrap_or_default().as_secs();
    let (count, unit) = match seconds {
        0..60 => return "now".to_owned(),
        60..3600 => (seconds / 60, "minute"),
        3600..86_400 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{count} {unit}{} ago", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_as_people_tell_them() {
        let before = |seconds| ago(Some(SystemTime::now() - Duration::from_secs(seconds)));
        let told = [10, 60, 7300, 86_400, 86_400 * 40].map(before);
        assert_eq!(told, ["now", "1 minute ago", "2 hours ago", "1 day ago", "40 days ago"]);
        assert_eq!(ago(Some(SystemTime::now() + Duration::from_secs(1000))), "now");
        assert_eq!(ago(None), "–");
    }
}
