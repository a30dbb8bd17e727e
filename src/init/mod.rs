//! init: looks at a repository's CI, writes the workflow that repairs it, and says what remains to be done by hand.

mod ci;
mod pin;
mod remains;
mod write;

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use anyhow::Result;
use serde_json::Value;

use crate::{
    cli::InitArgs,
    config,
    input::BadInput,
    redact::{shown, shown_line},
    report, workspace,
};
use ci::CiFile;
pub use write::{ACTION, EXAMPLE, Opted};

/// What is written.
pub const PATH: &str = ".github/workflows/test-repair.yml";

/// Lines of a difference that are shown.
const MOST_LINES: usize = 80;

/// Writes the workflow, or prints the job with `--same-run`, and says what remains. The exit code is 0; with `--check`,
/// which writes nothing, it is 1 where something is not as it would be written.
///
/// # Errors
/// [`BadInput`] where there is no repository or no CI to repair, or where a file would be overwritten.
pub fn init(args: &InitArgs) -> Result<u8> {
    let root = root(&args.repo)?;
    let files = ci::read(&root);
    let chosen = choose(&files, &args.workflows)?;
    let opted = Opted { reruns: args.reruns.filter(|_| !args.same_run), issues: args.issues };
    let mut said = looked_at(&files, &chosen);
    if args.same_run && args.reruns.is_some() {
        said.push_str("--reruns is left out: a run cannot be run again by a job of its own, while it is under way.\n");
    }
    let as_it_should_be = if args.same_run {
        let commit = if args.check { None } else { newest(&mut said) };
        same_run(&chosen, opted, args.check, commit.as_deref(), &mut said)
    } else {
        let mut text = write::workflow(&names(&chosen), opted);
        let there = write::existing(&root, PATH)?.filter(|_| !args.force);
        // What is there keeps the commit that it has, or none.
        let commit = match &there {
            Some(there) => pin::pin_of(there).map(str::to_owned),
            None if args.check => None,
            None => newest(&mut said),
        };
        if let Some(commit) = commit {
            text = pin::pinned(&text, &commit);
        }
        own_file(&root, &text, args, &mut said)?
    };
    let configured = configuration(&root, opted, args.check, &mut said)?;
    let place = remains::Place::of(&root);
    let _ = write!(said, "\n{}", remains::remains(&place, args.same_run));
    report::print(&said);
    Ok(u8::from(args.check && !(as_it_should_be && configured)))
}

/// The repository's root, as it is given; a directory inside of a repository is refused.
fn root(given: &Path) -> Result<PathBuf, BadInput> {
    let name = given.display();
    let root = given
        .canonicalize()
        .map_err(|e| BadInput(format!("no repository at {name}: give --repo a directory ({e})")))?;
    if !root.is_dir() {
        return Err(BadInput(format!("{name} is not a directory: --repo takes the repository's root")));
    }
    if !root.join(".git").exists()
        && let Some(above) = root.ancestors().skip(1).find(|above| above.join(".git").exists())
    {
        let above = above.display();
        return Err(BadInput(format!("{name} lies inside of the repository {above}: give --repo its root")));
    }
    Ok(root)
}

/// The paths of a repository's workflows that run checks.
pub(crate) fn workflows_that_check(root: &Path) -> Vec<String> {
    ci::read(root).into_iter().filter(|file| file.left_out.is_none()).map(|file| file.path).collect()
}

/// The workflows that a person names, else those that run checks.
fn choose<'a>(files: &'a [CiFile], named: &[String]) -> Result<Vec<&'a CiFile>, BadInput> {
    let known = || match files.is_empty() {
        true => "there is none in .github/workflows".to_owned(),
        false => {
            let list: Vec<String> =
                files.iter().map(|f| format!("`{}` ({})", shown_line(&f.name, 80), f.file())).collect();
            format!("there are {}", list.join(", "))
        }
    };
    if !named.is_empty() {
        let mut chosen: Vec<&CiFile> = Vec::new();
        for name in named {
            let found = files.iter().find(|f| [f.name.as_str(), f.path.as_str(), f.file()].contains(&name.as_str()));
            let Some(file) = found else {
                return Err(BadInput(format!("no workflow is called `{}`: {}", shown_line(name, 80), known())));
            };
            if !chosen.iter().any(|c| c.path == file.path) {
                chosen.push(file);
            }
        }
        return Ok(chosen);
    }
    let chosen: Vec<&CiFile> = files.iter().filter(|f| f.left_out.is_none()).collect();
    if chosen.is_empty() {
        let which = "no workflow was found that runs checks on push or pull_request";
        return Err(BadInput(format!("{which}: {}; name one with --workflow", known())));
    }
    Ok(chosen)
}

/// Each name once.
fn names<'a>(chosen: &[&'a CiFile]) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for file in chosen {
        if !names.contains(&file.name.as_str()) {
            names.push(&file.name);
        }
    }
    names
}

fn looked_at(files: &[CiFile], chosen: &[&CiFile]) -> String {
    let mut said = String::from("Your CI\n");
    for file in files {
        let picked = chosen.iter().any(|c| c.path == file.path);
        let why = match (&file.left_out, picked) {
            (_, true) => "is repaired when it fails".to_owned(),
            (Some(why), false) => format!("is left out: {why}"),
            (None, false) => "is left out: it was not named".to_owned(),
        };
        let _ = writeln!(said, "  {} ({}) {why}", shown_line(&file.name, 80), file.file());
    }
    said.push('\n');
    said
}

/// Writes our workflow, or says that it is there. Is it as it should be?
fn own_file(root: &Path, text: &str, args: &InitArgs, said: &mut String) -> Result<bool> {
    let there = write::existing(root, PATH)?;
    if there.as_deref() == Some(text) {
        let _ = writeln!(said, "{PATH} is already as it would be written: nothing changed.");
        return Ok(true);
    }
    if args.check {
        let state = if there.is_some() { "differs from what would be written" } else { "is not there yet" };
        let _ = writeln!(said, "{PATH} {state}:\n{}", difference(there.as_deref().unwrap_or_default(), text));
        return Ok(false);
    }
    if let Some(there) = there.as_deref().filter(|_| !args.force) {
        let difference = difference(there, text);
        let why = format!("{PATH} is there and differs; --force overwrites it (- yours, + what would be written)");
        return Err(BadInput(format!("{why}:\n{difference}")).into());
    }
    write::put(root, PATH, text, there.is_some())?;
    let _ = writeln!(said, "{} {PATH}", if there.is_some() { "Overwrote" } else { "Wrote" });
    Ok(true)
}

/// The action's newest commit; says so where it can't be had.
fn newest(said: &mut String) -> Option<String> {
    let commit = pin::newest();
    if commit.is_none() {
        let why = "github.com could not be asked for the action's commit: it is not pinned. How to do that is in the comment.";
        let _ = writeln!(said, "{why}\n");
    }
    commit
}

/// Prints the job for each workflow. Has each of them one already?
fn same_run(chosen: &[&CiFile], opted: Opted, check: bool, commit: Option<&str>, said: &mut String) -> bool {
    for file in chosen {
        if let Some(waits_for) = &file.repairs_itself {
            let missing: Vec<&str> =
                file.jobs.iter().filter(|job| !waits_for.contains(job)).map(String::as_str).collect();
            let state = match missing.as_slice() {
                [] => "has the job already, and it waits for all others.".to_owned(),
                some => format!("has the job already; its `needs` lacks {}", shown_line(&some.join(", "), 400)),
            };
            let _ = writeln!(said, "{} {state}", file.path);
        } else if check {
            let _ = writeln!(said, "{} has no job that repairs it.", file.path);
        } else {
            let mut job = write::job(&file.jobs, opted);
            if let Some(commit) = commit {
                job = pin::pinned(&job, commit);
            }
            let _ = writeln!(said, "Paste this at the end of {}, below `jobs:`\n\n{job}", file.path);
        }
    }
    let complete = |file: &&CiFile| {
        file.repairs_itself.as_ref().is_some_and(|waits_for| file.jobs.iter().all(|job| waits_for.contains(job)))
    };
    chosen.iter().all(complete)
}

/// Writes the configuration that what was opted into needs; where there is one, says which lines to add.
fn configuration(root: &Path, opted: Opted, check: bool, said: &mut String) -> Result<bool> {
    let lines = opted.configuration();
    if lines.is_empty() {
        return Ok(true);
    }
    let Some(there) = write::existing(root, config::PATH)? else {
        if check {
            let _ = writeln!(said, "{} is not there yet.", config::PATH);
            return Ok(false);
        }
        let keys: String = lines.iter().map(|(key, value, why)| format!("{key}: {value} # {why}\n")).collect();
        write::put(root, config::PATH, &keys, false)?;
        let _ = writeln!(said, "Wrote {}", config::PATH);
        return Ok(true);
    };
    let value: Value = serde_saphyr::from_str(&there).unwrap_or_default();
    let as_wanted = |key: &str, wanted: &str| value[key].to_string().as_str() == wanted;
    let missing: Vec<_> = lines.into_iter().filter(|(key, wanted, _)| !as_wanted(key, wanted)).collect();
    for (key, wanted, why) in &missing {
        let state = if value[*key].is_null() { "Add to" } else { "Change in" };
        let _ = writeln!(said, "{state} {}: `{key}: {wanted}` ({why})", config::PATH);
    }
    Ok(missing.is_empty())
}

/// The difference of two texts, as it may be shown.
fn difference(before: &str, after: &str) -> String {
    let diff = similar::TextDiff::from_lines(before, after);
    let unified = diff.unified_diff().context_radius(1).to_string();
    let mut lines: Vec<&str> = unified.lines().collect();
    if lines.len() > MOST_LINES {
        lines.truncate(MOST_LINES);
        lines.push("…");
    }
    shown(&lines.join("\n"), 3000)
}

/// What git says, where it says something.
fn asked(root: &Path, question: &[&str]) -> Option<String> {
    let output = workspace::git(root).args(question).output().ok()?;
    let said = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !said.is_empty()).then_some(said)
}
