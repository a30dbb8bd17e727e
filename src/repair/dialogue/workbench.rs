//! The scratch copy that a model works in: its shell writes there, and what counts of it is a change of files that the
//! repository has, and of those that were edited by name.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
};

use super::{
    LoopLimits, browse,
    shown::{ENVIRONMENT, data, environment, error, shown},
    tools::{Request, request, tools},
};
use crate::{
    llm::{Tool, ToolCall},
    plan::Check,
    redact::placeholders,
    repair::{answer::Edit, edit},
    sandbox::{Ended, Finished, Limits, Network, Prepared, SandboxError, describe},
    workspace::{Change, FileChange, Tree, inside},
};

/// Bytes of a command's output that are shown.
const MOST_OUTPUT: usize = 6000;
/// Bytes of it that are kept at all.
const MOST_KEPT: usize = 256 << 10;

/// What the model's work is bound by.
#[derive(Clone, Copy)]
pub struct Terms<'a> {
    /// The failing checks of the baseline, in the job's order.
    pub checks: &'a [Check],
    /// Paths that no change may touch.
    pub protected: &'a [String],
    /// Puts what redaction took out of the prompt back into the model's edits. Never into its commands.
    pub restore: &'a (dyn Fn(&str) -> String + Send + Sync),
    /// Takes secrets out of what the tools say, before it is cut to size; so it learns what `restore` must know.
    pub redact: &'a (dyn Fn(&str) -> String + Send + Sync),
}

/// A scratch copy with tools.
pub struct Workbench<'a> {
    prepared: Box<dyn Prepared>,
    tree: &'a Tree,
    base: Change,
    terms: Terms<'a>,
    /// Regular files of the tree, small enough to be looked at.
    tracked: BTreeSet<String>,
    /// What the model edited by name.
    edited: BTreeSet<String>,
    /// What the job's own set-up did to the copy: no part of any change while it stays so.
    set_up: BTreeMap<String, Option<Vec<u8>>>,
}

/// What stands at a path: bytes, and whether they may be executed.
type Standing = Option<(Vec<u8>, bool)>;

impl<'a> Workbench<'a> {
    /// Works in `prepared`, which was made of `tree` with `base` over it.
    pub fn new(prepared: Box<dyn Prepared>, tree: &'a Tree, base: Change, terms: Terms<'a>) -> Workbench<'a> {
        let small = |path: &String| {
            let meta = inside(tree.root(), path).and_then(|full| full.symlink_metadata().ok());
            meta.is_some_and(|meta| meta.is_file() && meta.len() <= edit::LARGEST_FILE as u64)
        };
        let tracked = tree.paths().into_iter().filter(small).collect();
        let (edited, set_up) = (BTreeSet::new(), BTreeMap::new());
        let mut workbench = Workbench { prepared, tree, base, terms, tracked, edited, set_up };
        let (first, _) = workbench.standing(None);
        let paths: BTreeSet<&String> = first.files.keys().chain(workbench.base.files.keys()).collect();
        let differing = paths.into_iter().filter(|path| workbench.base.files.get(*path) != first.files.get(*path));
        workbench.set_up = differing.map(|path| (path.clone(), edit::before(tree, &first, path))).collect();
        workbench
    }

    /// The tools that it has.
    pub(super) fn tools(&self) -> Vec<Tool> {
        tools()
    }

    /// A text of the sandbox as the model may see it.
    pub(super) fn shown(&self, bytes: &[u8], most: usize) -> String {
        shown(bytes, self.root(), self.terms.redact, most)
    }

    /// What a tool says to a call. What it said in an earlier run is said again; it is called all the same, for its effect,
    /// and so that the redactor learns the secrets whose placeholders stand in what was said.
    pub(super) async fn call(
        &mut self,
        call: &ToolCall,
        limits: &LoopLimits,
        recorded: Option<String>,
    ) -> Result<String, SandboxError> {
        let request = match request(call) {
            Ok(request) => request,
            Err(why) => return Ok(recorded.unwrap_or_else(|| error(&format!("{why}.")))),
        };
        // A check may take minutes, has no effect, and mostly prints what the log had: it is run again only where it said a
        // placeholder that nobody knows.
        let unknown = |said: &&String| placeholders(said).any(|p| (self.terms.restore)(p) == p);
        if request == Request::Check
            && let Some(recorded) = recorded.as_ref().filter(|said| !unknown(said))
        {
            return Ok(recorded.clone());
        }
        let said = match request {
            Request::List { path, glob } => {
                let path = self.plain(path.as_deref().unwrap_or_default());
                browse::list(&self.files(), &path, glob.as_deref())
                    .map(|list| data("list", &(self.terms.redact)(&list)))
            }
            Request::Read { path, from, to } => {
                let path = self.plain(&path);
                browse::read(self.root(), &path, (from, to), &self.terms).map(|text| data(&label(&path), &text))
            }
            Request::Search { regex, glob } => {
                let hits = browse::search(self.root(), &self.files(), &regex, glob.as_deref(), &self.terms);
                hits.map(|hits| data("search", &hits))
            }
            Request::Edit { path, search, replace } => self.edit(&path, search, replace),
            Request::Run { command } => Ok(self.run(&command, limits).await?),
            Request::Check => Ok(self.check(limits).await?),
        };
        Ok(recorded.unwrap_or_else(|| said.unwrap_or_else(|why| error(&why))))
    }

    /// Makes the edits of a final answer, and says what has then been changed; or what is wrong with it.
    pub(super) fn finish(&mut self, edits: &[Edit]) -> Result<Change, Vec<String>> {
        let Terms { protected, restore, .. } = self.terms;
        let (current, mut wrong) = self.standing(None);
        // Some models say once more what they have done.
        let again = |edit: &&Edit| current != self.base && edit::is_made(edit, self.tree, &current, restore);
        let edits: Vec<Edit> = edits.iter().filter(|edit| !again(edit)).cloned().collect();
        let mut change = current;
        if !edits.is_empty() {
            match edit::apply(&edits, self.tree, &change, protected, restore) {
                Ok(after) => match self.lay(&change, &after) {
                    Ok(()) => {
                        self.edited.extend(after.files.keys().cloned());
                        change = after;
                    }
                    Err(error) => wrong.push(error),
                },
                Err(problems) => {
                    wrong.push("None of the answer's edits was made: give all of them again.".to_owned());
                    wrong.extend(problems);
                }
            }
        }
        if wrong.is_empty() && change == self.base {
            wrong.push(
                "Nothing is changed: edit files, or say `confidence: low` where no change of the repository can repair it."
                    .to_owned(),
            );
        }
        for problem in edit::problems(self.tree, &self.base, &change, protected) {
            if !wrong.contains(&problem) {
                wrong.push(problem);
            }
        }
        if wrong.is_empty() { Ok(change) } else { Err(wrong) }
    }

    fn root(&self) -> &Path {
        self.prepared.root()
    }

    /// A path as the tree spells it, whichever way the model does.
    fn plain(&self, path: &str) -> String {
        let root = self.root().display().to_string();
        let path = path.trim();
        let path = path.strip_prefix(&root).map_or(path, |rest| rest.trim_start_matches('/'));
        let parts: Vec<&str> = path.split('/').filter(|part| *part != ".").collect();
        parts.join("/").trim_end_matches('/').to_owned()
    }

    /// The files that are there: the tree's, and those that were edited by name.
    fn files(&self) -> BTreeSet<&str> {
        let all = self.tracked.iter().chain(&self.edited).chain(self.base.files.keys());
        let there = |path: &&String| {
            inside(self.root(), path).and_then(|full| full.symlink_metadata().ok()).is_some_and(|meta| meta.is_file())
        };
        all.filter(there).map(String::as_str).collect()
    }

    fn edit(&mut self, path: &str, search: String, replace: String) -> Result<String, String> {
        let path = self.plain(path);
        // A file that the shell made becomes a part of the change when it is edited by name.
        let made = (!search.is_empty() && !self.tracked.contains(&path)).then_some(path.as_str());
        let (current, _) = self.standing(made);
        let edit = match search.is_empty() {
            true => Edit::Create { path: path.clone(), content: replace },
            false => Edit::Replace { path: path.clone(), search, replace },
        };
        let after = edit::apply_as_given(&[edit], self.tree, &current, self.terms.protected, self.terms.restore)
            .map_err(|problems| problems.join("\n"))?;
        self.lay(&current, &after)?;
        self.edited.extend(after.files.keys().cloned());
        Ok(format!("{path} is changed."))
    }

    async fn run(&self, command: &str, limits: &LoopLimits) -> Result<String, SandboxError> {
        let root = self.root().display().to_string();
        // Placeholders stay: a shell could write the secret down in a form in which nobody knows it again.
        let command = match environment(self.root()) {
            Some(real) => command.replace(ENVIRONMENT, &real),
            None => command.to_owned(),
        };
        // A shell as a person has it: it goes on after a command that fails.
        let script = format!("set +e\ncd {}\n{command}", shell_words::quote(&root));
        let limits = Limits { wall: limits.command, output: MOST_KEPT, ..Limits::default() };
        let finished = self.finished(&script, limits).await?;
        let output = self.shown(&finished.output, MOST_OUTPUT);
        Ok(format!("It {}.\n{}", describe(finished.ended), data("run", &output)))
    }

    async fn check(&self, limits: &LoopLimits) -> Result<String, SandboxError> {
        let mut said = String::new();
        let (before, _) = self.standing(None);
        for check in self.terms.checks {
            let name = data("the command", &self.shown(check.script.as_bytes(), 300));
            if check.network == Network::Full || check.installs {
                said.push_str(&format!(
                    "not run here, since it needs the network (it is judged after your final answer):\n{name}"
                ));
                continue;
            }
            let limits = Limits { wall: limits.check, ..Limits::default() };
            let finished = self.finished(&check.script, limits).await?;
            if finished.ended == Ended::Exit(0) {
                said.push_str(&format!("passed:\n{name}"));
                continue;
            }
            let output = self.shown(&finished.output, MOST_OUTPUT);
            said.push_str(&format!("failed (it {}):\n{name}{}", describe(finished.ended), data("check", &output)));
        }
        let (after, _) = self.standing(None);
        if after != before
            && let Err(why) = self.lay(&after, &before)
        {
            said.push_str(&format!("It changed files, and they cannot be put back:\n{}", error(&why)));
        }
        if said.is_empty() {
            said.push_str("error: there is no check that could be run here.");
        }
        Ok(said)
    }

    /// Runs a script without network, and once more when the sandbox is lost under it.
    async fn finished(&self, script: &str, limits: Limits) -> Result<Finished, SandboxError> {
        let run = match self.prepared.run(script, Network::None, limits).await {
            Err(SandboxError::Lost(_)) => self.prepared.run(script, Network::None, limits).await?,
            other => other?,
        };
        Ok(run.finished)
    }

    /// All that differs from the tree now, and what is wrong with it. A file beside the tree's may be counted in.
    fn standing(&self, besides: Option<&str>) -> (Change, Vec<String>) {
        let mut change = Change::default();
        let mut wrong = Vec::new();
        let paths: BTreeSet<&str> = self.tracked.iter().map(String::as_str).chain(besides).collect();
        let more = self.edited.iter().chain(self.base.files.keys()).map(String::as_str);
        for path in paths.into_iter().chain(more).collect::<BTreeSet<&str>>() {
            let based = self.base.files.get(path);
            let as_based = |change: &mut Change| {
                change.files.extend(based.map(|file| (path.to_owned(), file.clone())));
            };
            if based.is_some_and(|file| file.symlink) {
                as_based(&mut change);
                continue;
            }
            let now = match at(self.root(), path) {
                Ok(now) => now,
                Err(problem) => {
                    wrong.push(problem);
                    as_based(&mut change);
                    continue;
                }
            };
            if self.set_up.get(path).is_some_and(|made| made.as_ref() == now.as_ref().map(|(bytes, _)| bytes)) {
                as_based(&mut change);
                continue;
            }
            let Ok(old) = at(self.tree.root(), path) else { continue };
            if old != now {
                let executable = now.as_ref().is_some_and(|(_, executable)| *executable);
                let (before, after) = (old.map(|(bytes, _)| bytes), now.map(|(bytes, _)| bytes));
                change.files.insert(path.to_owned(), FileChange { before, after, executable, symlink: false });
            }
        }
        (change, wrong)
    }

    /// Makes the copy's files those of another change; the error is a sentence for the model.
    fn lay(&self, from: &Change, to: &Change) -> Result<(), String> {
        let paths: BTreeSet<&String> = from.files.keys().chain(to.files.keys()).collect();
        let steps = paths.into_iter().filter(|path| from.files.get(*path) != to.files.get(*path)).map(|path| {
            let file = FileChange {
                // Whatever the shell has put there goes.
                before: Some(Vec::new()),
                after: edit::before(self.tree, to, path),
                executable: edit::executable(self.tree, to, path),
                symlink: false,
            };
            (path.clone(), file)
        });
        let step = Change { files: steps.collect() };
        step.apply(self.root()).map_err(|error| {
            let error = self.shown(format!("{error:#}").as_bytes(), 400);
            format!("the scratch copy cannot be written: {error}")
        })
    }
}

/// The regular file at a path below `root`.
fn at(root: &Path, path: &str) -> Result<Standing, String> {
    use std::os::unix::fs::PermissionsExt as _;
    let link = || format!("{path} is no regular file any more, or lies behind a symbolic link: put it back.");
    let full = inside(root, path).ok_or_else(link)?;
    let meta = match full.symlink_metadata() {
        Ok(meta) => meta,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(_) => return Err(format!("{path} cannot be looked at any more: put it back.")),
    };
    if !meta.is_file() {
        return Err(link());
    }
    if meta.len() > edit::LARGEST_FILE as u64 {
        return Err(format!("{path} has become too large: put it back."));
    }
    let bytes = fs::read(&full).map_err(|_| format!("{path} cannot be read any more: put it back."))?;
    Ok(Some((bytes, meta.permissions().mode() & 0o100 != 0)))
}

/// A path in a frame's first line.
fn label(path: &str) -> String {
    path.chars().filter(|c| !c.is_control() && !matches!(c, '<' | '>')).take(200).collect()
}
