//! The local sandbox: environments from the cache, fresh trees beside them, commands in the isolation.

mod install;

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::Context as _;
use walkdir::{DirEntry, WalkDir};

use super::{
    CheckRun, Exec, Finished, Limits, Network, Posture, Prepared, Recipe, Sandbox, SandboxError,
    cache::{self, About, CacheDir, CacheLimits, Ready, Slot},
    local::{Isolation, IsolationOptions},
    python::{self, Python},
    reports::{index_environment, read_report, report_to},
    variables::{Places, of_check, variables},
};
use crate::{
    scratch,
    workspace::{Tree, copy_entry, copy_tree, inside},
};

/// In an environment: where the Python that it is made of can be found. Not right below it: a Python takes itself for
/// the environment whose `pyvenv.cfg` is one directory up.
const BASE: &str = "base/bin";

/// At home: what was fetched for an installation, of no use to a check.
const DOWNLOADS: [&str; 2] = ["pip", "uv"];

fn is_named(entry: &DirEntry, names: &[&str]) -> bool {
    entry.depth() > 0 && names.iter().any(|name| entry.file_name() == *name)
}

/// Runs commands on this machine, isolated by its kernel.
pub struct LocalSandbox {
    isolation: Arc<Isolation>,
    cache: PathBuf,
    limits: CacheLimits,
    /// Environments that candidates have built: of no use to a later run.
    candidates: Mutex<BTreeSet<PathBuf>>,
    told: Told,
}

/// Who is told how many seconds each command took.
type Told = Arc<dyn Fn(f64) + Send + Sync>;

impl Drop for LocalSandbox {
    fn drop(&mut self) {
        let candidates = self.candidates.get_mut().map(std::mem::take).unwrap_or_default();
        for slot in candidates {
            cache::discard(&self.cache, &slot);
        }
    }
}

impl LocalSandbox {
    /// An environment that unconfined code could write to is never one of the confined.
    fn isolated(&self) -> &'static str {
        if self.posture().missing.iter().any(|m| m.starts_with("isolation")) { "open" } else { "isolated" }
    }

    /// Probes what this machine can enforce, and removes what killed runs left in `cache`.
    ///
    /// # Errors
    /// When no network block can be had and `no_isolation` is not set, or the cache can't be written.
    ///
    /// `pythons` are the versions that will run: where other users can't reach their installations, that decides what
    /// can be enforced.
    pub async fn new(
        cache: &CacheDir,
        no_isolation: bool,
        launcher: PathBuf,
        pythons: &[String],
    ) -> Result<LocalSandbox, SandboxError> {
        let CacheDir { root, limits } = cache.clone();
        fs::create_dir_all(&root).with_context(|| {
            format!(
                "the cache {} cannot be written: choose another with --cache-dir or TEST_REPAIR_CACHE",
                root.display()
            )
        })?;
        let cache = root.canonicalize().context("the cache directory has no path")?;
        let state_dir = cache.join("run");
        Isolation::sweep(&state_dir).map_err(|e| SandboxError::Lost(e.to_string()))?;
        cache::sweep(&cache);
        // Not by size: what this run is about to use may be what was not used for longest.
        cache::keep_within(&cache, CacheLimits { bytes: u64::MAX, ..limits });
        scratch::sweep();
        let mut options = IsolationOptions::new(state_dir.clone()).context("this program has no path")?;
        options.launcher = launcher;
        options.no_isolation = no_isolation;
        options.ours = vec![cache.clone()];
        let found = pythons.iter().filter_map(|wanted| python::find(wanted).ok());
        options.needed = found.map(|python| python.prefix).filter(|prefix| !prefix.starts_with("/usr")).collect();
        let isolation = Isolation::probe(options).await.map_err(|e| SandboxError::Lost(e.to_string()))?;
        let candidates = Mutex::default();
        Ok(LocalSandbox { isolation: Arc::new(isolation), cache, limits, candidates, told: Arc::new(|_| {}) })
    }

    /// Tells somebody how many seconds each command of a repository took.
    #[must_use]
    pub fn telling(mut self, told: impl Fn(f64) + Send + Sync + 'static) -> LocalSandbox {
        self.told = Arc::new(told);
        self
    }
}

/// Where environments are kept by default: `/var/cache/test-repair` for root, whose home other users can't enter.
pub fn default_cache() -> PathBuf {
    if nix::unistd::geteuid().is_root() {
        return PathBuf::from("/var/cache/test-repair");
    }
    let home = env::var_os("HOME").map(PathBuf::from).unwrap_or_else(env::temp_dir);
    env::var_os("XDG_CACHE_HOME").map_or_else(|| home.join(".cache"), PathBuf::from).join("test-repair")
}

#[async_trait::async_trait]
impl Sandbox for LocalSandbox {
    fn posture(&self) -> &Posture {
        self.isolation.posture()
    }

    async fn prepare(&self, recipe: &Recipe, tree: &Tree, candidate: bool) -> Result<Box<dyn Prepared>, SandboxError> {
        let python = python::find(&recipe.python)?;
        let key = cache::key(recipe, tree, &python, self.isolated());
        let slot = match (candidate, recipe.disposable) {
            (_, true) => Slot::take(&self.cache, &key, true)?,
            (false, false) => Slot::take_for(&self.cache, &key, tree)?,
            // An environment that the trusted tree has built will do; one is never built there from a candidate.
            (true, false) => match Slot::take_ready(&self.cache, &key, tree)? {
                Some(slot) => slot,
                None => {
                    let slot = Slot::take(&self.cache, &cache::candidate_key(&key, tree), false)?;
                    if let Ok(mut candidates) = self.candidates.lock() {
                        candidates.insert(slot.root().to_owned());
                    }
                    slot
                }
            },
        };
        let mut prepared = LocalPrepared {
            isolation: Arc::clone(&self.isolation),
            root: slot.tree(tree.name()),
            pip_cache: slot.root().join("pip-cache"),
            cache: self.cache.clone(),
            limits: self.limits,
            about: About {
                python: String::new(),
                kind: self.isolated().to_owned(),
                project: tree.name().to_owned(),
                bytes: 0,
            },
            candidate,
            slot,
            python,
            recipe: recipe.clone(),
            laid: Vec::new(),
            ready: Ready { installed: Vec::new(), notes: Vec::new(), about: About::default(), copy_of: None },
            reused: false,
            runs: Mutex::new(0),
            told: Arc::clone(&self.told),
        };
        match prepared.slot.ready() {
            Some(ready) => {
                prepared.ready = ready;
                prepared.reused = true;
            }
            None => prepared.build(tree).await?,
        }
        if prepared.isolation.lays() && !recipe.disposable {
            prepared.laid = prepared.libraries();
        }
        prepared.refresh(tree).await?;
        Ok(Box::new(prepared))
    }

    fn pythons(&self) -> Vec<String> {
        python::pythons()
    }

    fn forget(&self, recipe: &Recipe, tree: &Tree) -> Result<(), SandboxError> {
        let python = python::find(&recipe.python)?;
        let key = cache::key(recipe, tree, &python, self.isolated());
        while let Some(slot) = Slot::take_ready(&self.cache, &key, tree)? {
            slot.clear()?;
        }
        Ok(())
    }
}

struct LocalPrepared {
    isolation: Arc<Isolation>,
    slot: Slot,
    root: PathBuf,
    /// Where pip keeps what it fetched, during installation.
    pip_cache: PathBuf,
    cache: PathBuf,
    limits: CacheLimits,
    about: About,
    candidate: bool,
    python: Python,
    recipe: Recipe,
    /// Libraries that checks see in the tree and at home, where they are in the slot.
    laid: Vec<(PathBuf, PathBuf)>,
    ready: Ready,
    reused: bool,
    runs: Mutex<u32>,
    told: Told,
}

impl LocalPrepared {
    /// Empties the reports, and makes HOME what the installation left.
    fn fresh_home(&self) -> Result<(), SandboxError> {
        for (directory, model) in [(self.slot.home(), Some(self.slot.install_home())), (self.slot.reports(), None)] {
            cache::remove(&directory)?;
            fs::create_dir_all(&directory).with_context(|| format!("{} cannot be made", directory.display()))?;
            if let Some(model) = model {
                self.lay(&model, &directory, &DOWNLOADS)?;
            }
        }
        Ok(())
    }

    /// The libraries of the environments that an installation made in the tree and at home (tox's, hatch's), and hooks'
    /// repositories: they are most of what it wrote, and no check has to write there.
    fn libraries(&self) -> Vec<(PathBuf, PathBuf)> {
        let places = [(self.slot.overlay(), self.root.clone()), (self.slot.install_home(), self.slot.home())];
        let below = |(from, to): &(PathBuf, PathBuf)| {
            let mut found = Vec::new();
            let mut walk = WalkDir::new(from).into_iter().filter_entry(|e| !is_named(e, &DOWNLOADS));
            while let Some(entry) = walk.next() {
                let Some(entry) = entry.ok().filter(|entry| entry.file_type().is_dir()) else { continue };
                let of_environment = entry.path().with_file_name("pyvenv.cfg").is_file();
                let name = entry.file_name().to_string_lossy();
                let of_hooks = name.starts_with("repo") && entry.path().ends_with(Path::new("pre-commit").join(&*name));
                if (name == "lib" && of_environment) || of_hooks {
                    walk.skip_current_dir();
                    let at = entry.path().strip_prefix(from).map(|relative| to.join(relative));
                    found.extend(at.ok().map(|at| (entry.path().to_owned(), at)));
                }
            }
            found
        };
        places.iter().flat_map(below).collect()
    }

    /// Copies what an installation left at `from` into `to`, where nothing else is; what is laid there gets its place.
    fn lay(&self, from: &Path, to: &Path, without: &[&str]) -> Result<(), SandboxError> {
        let laid = |path: &Path| self.laid.iter().any(|(what, _)| what == path);
        let mut walk = WalkDir::new(from).into_iter().filter_entry(|e| !is_named(e, without));
        while let Some(entry) = walk.next() {
            let Ok(entry) = entry else { continue };
            let Ok(relative) = entry.path().strip_prefix(from) else { continue };
            // Never through a link of the tree's, which could lead anywhere.
            let Some(target) = relative.to_str().and_then(|path| inside(to, path)) else { continue };
            if laid(entry.path()) {
                walk.skip_current_dir();
            }
            if target.symlink_metadata().is_ok() {
                continue;
            }
            match entry.file_type().is_dir() {
                true => fs::create_dir_all(&target).context("what was installed cannot be laid out")?,
                false => copy_entry(entry.path(), &target)?,
            }
        }
        Ok(())
    }

    /// How many checks have run, these included.
    fn count(&self, more: u32) -> Result<u32, SandboxError> {
        let mut runs = self.runs.lock().map_err(|_| SandboxError::Lost("a check panicked".to_owned()))?;
        *runs += more;
        Ok(*runs)
    }

    fn environment(&self, home: &Path) -> BTreeMap<String, String> {
        let (venv, reports) = (self.slot.venv(), self.slot.reports());
        let base = Some(venv.join(BASE));
        let python = &self.python.executable;
        variables(&Places { venv: &venv, home, tree: &self.root, reports: &reports, python, base }, &self.recipe)
    }

    async fn execute(
        &self,
        script: &str,
        env: BTreeMap<String, String>,
        network: Network,
        limits: Limits,
        installs: bool,
    ) -> Result<Finished, SandboxError> {
        let mut readable = vec![self.slot.root().join("constraints.txt")];
        // The system's own Python stands where every run may read anyway.
        if self.python.prefix != Path::new("/usr") {
            readable.push(self.python.prefix.clone());
        }
        if network == Network::Full {
            let files = ["PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_FIND_LINKS"];
            readable
                .extend(files.iter().filter_map(|name| env.get(*name)).map(PathBuf::from).filter(|p| p.is_absolute()));
        }
        let mut writable = vec![self.root.clone(), self.slot.reports()];
        let environment = [self.slot.venv(), self.slot.install_home()];
        if installs || self.recipe.disposable {
            writable.extend(environment);
            writable.push(if installs { self.pip_cache.clone() } else { self.slot.root().join("pip-cache") });
        } else {
            readable.extend(environment);
        }
        writable.push(self.slot.home());
        readable.retain(|p| p.exists());
        writable.retain(|p| p.exists());
        let directory = self.root.join(&self.recipe.directory);
        let cwd = if directory.is_dir() { directory } else { self.root.clone() };
        // A check may have moved the place, or put a link there.
        let in_place = |at: &Path| {
            let below = |root: &Path| at.strip_prefix(root).ok().and_then(|path| inside(root, path));
            below(&self.root).or_else(|| below(&self.slot.home())).is_some_and(|at| at.is_dir() && !at.is_symlink())
        };
        let laid = match installs {
            true => Vec::new(),
            false => self.laid.iter().filter(|(_, at)| in_place(at)).cloned().collect(),
        };
        let exec = Exec { script: script.to_owned(), cwd, env, network, readable, writable, laid, limits };
        let finished = self.isolation.run(&exec).await.map_err(|e| SandboxError::Lost(e.to_string()))?;
        (self.told)(finished.seconds);
        Ok(finished)
    }
}

#[async_trait::async_trait]
impl Prepared for LocalPrepared {
    fn root(&self) -> &Path {
        &self.root
    }

    fn python(&self) -> &str {
        &self.python.version
    }

    fn installed(&self) -> &[(String, String)] {
        &self.ready.installed
    }

    fn notes(&self) -> &[String] {
        &self.ready.notes
    }

    fn reused(&self) -> bool {
        self.reused
    }

    fn copies_project(&self) -> bool {
        self.recipe.copies_project || self.ready.copy_of.is_some()
    }

    async fn refresh(&mut self, tree: &Tree) -> Result<(), SandboxError> {
        if self.recipe.disposable && self.count(0)? > 0 {
            // A check has written to the environment: it is built anew as well.
            self.build(tree).await?;
        }
        cache::remove(&self.root)?;
        copy_tree(tree.root(), &self.root, |name| name == "__pycache__")?;
        self.lay(&self.slot.overlay(), &self.root, &[])?;
        // Each check begins with a fresh one as well.
        if !self.recipe.setup.is_empty() {
            self.fresh_home()?;
        }
        for script in &self.recipe.setup {
            // A set-up command that fails here leaves the check to say what it misses.
            let limits = Limits { wall: Duration::from_secs(120), ..Limits::default() };
            self.execute(script, self.environment(&self.slot.home()), Network::None, limits, false).await?;
        }
        Ok(())
    }

    async fn run(&self, script: &str, network: Network, limits: Limits) -> Result<CheckRun, SandboxError> {
        let number = self.count(1)?;
        // What an earlier check left at home or among the reports is not there for this one.
        self.fresh_home()?;
        let junit = self.slot.reports().join(format!("junit-{number}.xml"));
        let script = &report_to(script, &junit);
        let mut env = self.environment(&self.slot.home());
        of_check(&mut env, &junit, network);
        if network == Network::Full {
            env.extend(index_environment());
            if self.recipe.disposable {
                let own = self.slot.root().join("pip-cache");
                env.insert("PIP_CACHE_DIR".to_owned(), own.display().to_string());
            }
        }
        let finished = self.execute(script, env, network, limits, false).await?;
        Ok(CheckRun { finished, junit: read_report(&junit) })
    }
}
