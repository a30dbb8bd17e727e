//! A workspace in containers: an environment that was built once, and checks upon it.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use serde_json::Value;

use super::{
    Engine, Told,
    dockerfile::{Step, Text},
    harness::{Answer, Does, FAILED, HERE, PROGRAM, Spec},
    image::Image,
    mirror,
    session::EngineError,
};
use crate::{
    sandbox::{
        CheckRun, Limits, Network, Prepared, Recipe, SandboxError,
        cache::Slot,
        reports::{index_environment, report_to},
        variables::{Places, of_check, variables},
        versions,
    },
    workspace::Tree,
};

/// What an engine may take beyond the commands themselves: uploads, layers, a first pull.
const ASIDE: Duration = Duration::from_secs(900);

/// Bytes of an installation's output: an engine hands on 100 KiB of what failed, and this comes in base64.
const INSTALL_OUTPUT: usize = 48 << 10;

/// The image's Python, which environments are made of.
const PYTHON: &str = "/usr/local/bin/python3";

/// An environment that an engine holds, and how it is asked for.
pub(super) struct Environment {
    image: Image,
    packages: Vec<String>,
    /// The handle of the tree that it was built for.
    base: String,
    steps: Vec<(Step, Spec)>,
    constraints: String,
    pub(super) copies_project: bool,
    python: String,
    installed: Vec<(String, String)>,
    notes: Vec<String>,
}

/// The folder of the context with the tree that an environment is built for.
const BASE: &str = "base";

/// What is told of one container.
struct Workspace<'a> {
    slot: &'a Slot,
    root: &'a Path,
    recipe: &'a Recipe,
}

impl Workspace<'_> {
    fn spec(&self, does: Does, script: &str, env: BTreeMap<String, String>, nonce: String) -> Spec {
        let shown = |path: &Path| path.display().to_string();
        let folders = [self.slot.venv(), self.slot.home(), self.slot.reports(), self.root.to_owned()];
        Spec {
            cwd: shown(&self.root.join(&self.recipe.directory)),
            env,
            venv: shown(&self.slot.venv()),
            home: shown(&self.slot.home()),
            folders: folders.iter().map(|folder| shown(folder)).collect(),
            ..Spec::new(does, script, &shown(self.root), nonce)
        }
    }

    fn variables(&self) -> BTreeMap<String, String> {
        let (venv, home, reports) = (self.slot.venv(), self.slot.home(), self.slot.reports());
        let places = Places {
            venv: &venv,
            home: &home,
            tree: self.root,
            reports: &reports,
            python: Path::new(PYTHON),
            base: None,
        };
        variables(&places, self.recipe)
    }
}

/// How this machine reaches its index, as far as that means the same in a container: neither files nor this machine's own
/// addresses.
fn index() -> BTreeMap<String, String> {
    let local =
        |value: &str| value.starts_with('/') || ["localhost", "127.0.0.1", "[::1]"].iter().any(|h| value.contains(h));
    index_environment().into_iter().filter(|(_, value)| !local(value)).collect()
}

impl Environment {
    /// Builds it for the tree that lies at `root` now.
    pub(super) async fn build(
        engine: &Engine,
        slot: &Slot,
        root: &Path,
        recipe: &Recipe,
        image: &Image,
        candidate: bool,
        salt: u32,
    ) -> Result<Environment, SandboxError> {
        let workspace = Workspace { slot, root, recipe };
        let held = recipe.held(candidate);
        let pinned = !held.is_empty();
        let base = upload(engine, root).await?;
        let mut notes = vec![format!("image {}", image.reference)];
        // pip itself is in a new environment already, and must not bind what it builds with.
        let constraints = versions::constraints(held, |name, _| !name.eq_ignore_ascii_case("pip"));
        let plan = |constraints: &str| Environment {
            image: image.clone(),
            packages: recipe.packages.clone(),
            base: base.clone(),
            steps: steps(&workspace, !constraints.is_empty(), salt),
            constraints: constraints.to_owned(),
            copies_project: recipe.copies_project,
            python: String::new(),
            installed: Vec::new(),
            notes: Vec::new(),
        };
        let mut environment = plan(&constraints);
        let mut solved = environment.solve(engine, recipe).await;
        if pinned
            && !candidate
            && let Err(SandboxError::Install { command, .. }) = &solved
        {
            notes.push(versions::unheld(command));
            environment = plan("");
            solved = environment.solve(engine, recipe).await;
        }
        let answer = solved?;
        if !pinned && !recipe.install.is_empty() {
            notes.push(versions::UNPINNED.to_owned());
        }
        notes.extend(versions::stand_in(&recipe.python, &answer.python));
        environment.copies_project |= answer.copied;
        environment.installed = versions::listed(&answer.finished().output);
        (environment.python, environment.notes) = (answer.python, notes);
        Ok(environment)
    }

    /// Has the engine build it, as far as it does not hold it already.
    async fn solve(&self, engine: &Engine, recipe: &Recipe) -> Result<Answer, SandboxError> {
        let commands = u32::try_from(recipe.install.len()).unwrap_or(u32::MAX);
        let patience = ASIDE + recipe.timeout.saturating_mul(commands.min(20));
        match self.ask(engine, &[], "finish", patience).await {
            Ok(text) => Ok(Answer::read(&text)?),
            Err(EngineError::Exec { command, code: FAILED, stdout, .. }) => {
                let finished = Answer::read(&stdout)?.finished();
                let failed = self.steps.iter().find(|(step, _)| command.ends_with(&format!("# {}", step.name)));
                let command = failed.map(|(_, spec)| spec.script.clone()).unwrap_or(command);
                Err(SandboxError::Install { command, finished })
            }
            Err(other) => Err(other.into()),
        }
    }

    /// What a container answers, built up to `checks`: each with what it is told, and the last of them is run.
    async fn ask(
        &self,
        engine: &Engine,
        checks: &[Checked],
        answer: &str,
        patience: Duration,
    ) -> Result<String, EngineError> {
        let install: Vec<Step> = self.steps.iter().map(|(step, _)| step.clone()).collect();
        let checked: Vec<Step> = checks.iter().map(|check| check.step.clone()).collect();
        let text = Text { image: &self.image.reference, packages: &self.packages, install: &install, checks: &checked };
        let mut files = vec![("Dockerfile".to_owned(), text.write())];
        let specs = self.steps.iter().map(|(step, spec)| (step, spec));
        for (step, spec) in specs.chain(checks.iter().map(|check| (&check.step, &check.spec))) {
            let told = serde_json::to_string(spec).map_err(|e| EngineError::Said(e.to_string()))?;
            files.push((format!("told/{}/told.json", step.name), told));
            files.push((format!("told/{}/harness.py", step.name), PROGRAM.to_owned()));
            if spec.does == Does::Install {
                files.push((format!("told/{}/constraints.txt", step.name), self.constraints.clone()));
            }
        }
        let mut folders = vec![(BASE, self.base.as_str())];
        folders.extend(checks.iter().filter_map(|check| Some((check.step.tree.as_deref()?, check.tree.as_str()))));
        build(engine, &folders, &files, &format!("/{answer}.json"), patience).await
    }
}

/// A check, and the tree that it saw.
#[derive(Debug, Clone)]
struct Checked {
    step: Step,
    spec: Spec,
    /// Its handle.
    tree: String,
}

/// Has the engine build a Dockerfile with a context of ours, and reads one file of what comes out.
pub(super) async fn build(
    engine: &Engine,
    folders: &[(&str, &str)],
    files: &[(String, String)],
    answer: &str,
    patience: Duration,
) -> Result<String, EngineError> {
    let names: Vec<String> = (0..folders.len() + files.len()).map(|index| format!("v{index}")).collect();
    let (mut query, mut close) = (String::from("query("), String::new());
    for (index, name) in names.iter().enumerate() {
        let _ = write!(query, "${name}: {}, ", if index < folders.len() { "ID!" } else { "String!" });
    }
    query += "$answer: String!) { directory ";
    let mut variables: BTreeMap<&str, Value> = BTreeMap::from([("answer", answer.into())]);
    let (of_folders, of_files) = names.split_at(folders.len());
    for (name, (path, source)) in of_folders.iter().zip(folders) {
        let _ = write!(query, "{{ withDirectory(path: \"{path}\", source: ${name}) ");
        variables.insert(name, (*source).into());
        close += " }";
    }
    for (name, (path, contents)) in of_files.iter().zip(files) {
        let _ = write!(query, "{{ withNewFile(path: \"{path}\", contents: ${name}) ");
        variables.insert(name, contents.as_str().into());
        close += " }";
    }
    query += "{ dockerBuild(dockerfile: \"Dockerfile\") { file(path: $answer) { contents } } }";
    query += &close;
    query += " }";
    let answered = engine.ask(&query, &variables, patience).await?;
    let contents = leaf(&answered).and_then(Value::as_str);
    contents.map(str::to_owned).ok_or_else(|| EngineError::Said("there is no answer in the container".to_owned()))
}

/// What a chain of fields with one member each ends in.
fn leaf(mut value: &Value) -> Option<&Value> {
    while let Some(fields) = value.as_object() {
        let mut members = fields.values();
        value = members.next().filter(|_| members.next().is_none())?;
    }
    Some(value)
}

/// Sends the tree as it lies here. What was sent before is not sent again.
async fn upload(engine: &Engine, root: &Path) -> Result<String, EngineError> {
    let query = "query($path: String!) { host { directory(path: $path, noCache: true) { id } } }";
    let path = root.display().to_string();
    let answered = engine.ask(query, &BTreeMap::from([("path", path.as_str().into())]), ASIDE).await?;
    let id = leaf(&answered).and_then(Value::as_str);
    id.map(str::to_owned).ok_or_else(|| EngineError::Said("the tree could not be sent".to_owned()))
}

/// The steps that build the environment.
fn steps(workspace: &Workspace<'_>, pinned: bool, salt: u32) -> Vec<(Step, Spec)> {
    let recipe = workspace.recipe;
    let nonce = || format!("environment {salt}");
    let named = |name: String, network| Step { name, network, tree: None };
    let plain = workspace.variables();
    let begin = Step { name: "begin".to_owned(), network: Network::None, tree: Some(BASE.to_owned()) };
    let mut steps = vec![(begin, workspace.spec(Does::Begin, "", BTreeMap::new(), nonce()))];
    let bare = if recipe.install.is_empty() && !recipe.disposable { "--without-pip " } else { "" };
    let venv = shell_words::quote(&workspace.slot.venv().display().to_string()).into_owned();
    let installing = {
        let mut env = plain.clone();
        env.extend(index());
        env.insert("UV_LINK_MODE".to_owned(), "copy".to_owned());
        if pinned {
            env.insert("PIP_CONSTRAINT".to_owned(), format!("{HERE}/told/constraints.txt"));
        }
        env
    };
    let make = (format!("exec {PYTHON} -m venv {bare}{venv}"), plain.clone(), Network::None);
    let commands = recipe.install.iter().map(|command| (command.clone(), installing.clone(), Network::Full));
    for (number, (script, env, network)) in std::iter::once(make).chain(commands).enumerate() {
        let limits = Limits { wall: recipe.timeout, output: INSTALL_OUTPUT, ..Limits::default() };
        let spec = workspace.spec(Does::Install, &script, env, nonce()).limited(limits);
        steps.push((named(format!("install-{number}"), network), spec));
    }
    let list = format!("exec {venv}/bin/python -m pip list --format json 2>/dev/null");
    steps.push((named("finish".to_owned(), Network::None), workspace.spec(Does::Finish, &list, plain, nonce())));
    steps
}

/// Differs from what any run before has asked.
pub(super) fn nonce() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format!("{}-{}-{}", time.as_nanos(), std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// A prepared workspace.
pub(super) struct DaggerPrepared {
    engine: Arc<Engine>,
    slot: Slot,
    root: PathBuf,
    recipe: Recipe,
    environment: Arc<Environment>,
    reused: bool,
    /// Checks that have changed the environment for those after them.
    history: Mutex<Vec<Checked>>,
    told: Told,
}

impl DaggerPrepared {
    pub(super) fn new(
        engine: Arc<Engine>,
        slot: Slot,
        root: PathBuf,
        recipe: Recipe,
        (environment, reused): (Arc<Environment>, bool),
        told: Told,
    ) -> DaggerPrepared {
        DaggerPrepared { engine, slot, root, recipe, environment, reused, history: Mutex::default(), told }
    }

    fn workspace(&self) -> Workspace<'_> {
        Workspace { slot: &self.slot, root: &self.root, recipe: &self.recipe }
    }

    /// Runs a command on the tree as it lies here, and does here what it did there.
    async fn execute(&self, spec: Spec, network: Network, limits: Limits) -> Result<Answer, SandboxError> {
        let lost = || SandboxError::Lost("a check panicked".to_owned());
        let tree = upload(&self.engine, &self.root).await?;
        let mut checks = self.history.lock().map_err(|_| lost())?.clone();
        let number = checks.len();
        let step = Step { name: format!("check-{number}"), network, tree: Some(format!("tree-{number}")) };
        checks.push(Checked { step, spec: spec.limited(limits), tree });
        let asked = self.environment.ask(&self.engine, &checks, "check", limits.wall + ASIDE);
        let answer = Answer::read(&asked.await?)?;
        answer.bring_back(&self.root)?;
        if self.recipe.disposable {
            *self.history.lock().map_err(|_| lost())? = checks;
        }
        Ok(answer)
    }
}

#[async_trait::async_trait]
impl Prepared for DaggerPrepared {
    fn root(&self) -> &Path {
        &self.root
    }

    fn python(&self) -> &str {
        &self.environment.python
    }

    fn installed(&self) -> &[(String, String)] {
        &self.environment.installed
    }

    fn notes(&self) -> &[String] {
        &self.environment.notes
    }

    fn reused(&self) -> bool {
        self.reused
    }

    fn copies_project(&self) -> bool {
        self.environment.copies_project
    }

    async fn refresh(&mut self, tree: &Tree) -> Result<(), SandboxError> {
        mirror::sync(tree.root(), &self.root)?;
        if let Ok(history) = self.history.get_mut() {
            history.clear();
        }
        for script in self.recipe.setup.clone() {
            // A set-up command that fails here leaves the check to say what it misses.
            let limits = Limits { wall: Duration::from_secs(120), ..Limits::default() };
            let workspace = self.workspace();
            let spec = workspace.spec(Does::Check, &script, workspace.variables(), nonce());
            self.execute(spec, Network::None, limits).await?;
        }
        Ok(())
    }

    async fn run(&self, script: &str, network: Network, limits: Limits) -> Result<CheckRun, SandboxError> {
        let workspace = self.workspace();
        let junit = self.slot.reports().join("junit.xml");
        let mut env = workspace.variables();
        of_check(&mut env, &junit, network);
        if network == Network::Full {
            env.extend(index());
        }
        let mut spec = workspace.spec(Does::Check, &report_to(script, &junit), env, nonce());
        spec.report = Some(junit.display().to_string());
        let answer = self.execute(spec, network, limits).await?;
        let finished = answer.finished();
        (self.told)(finished.seconds);
        Ok(CheckRun { finished, junit: answer.report() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_what_a_chain_of_fields_ends_in() {
        let value = serde_json::json!({"directory": {"withNewFile": {"file": {"contents": "x"}}}});
        assert_eq!(leaf(&value).and_then(Value::as_str), Some("x"));
        assert_eq!(leaf(&serde_json::json!({"a": 1, "b": 2})), None);
    }
}
