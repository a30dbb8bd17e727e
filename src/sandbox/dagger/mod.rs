//! The Dagger sandbox: the same plan, in containers of an engine. Each workspace is one generated Dockerfile
//! ([`dockerfile`]); a program of ours inside ([`harness`]) runs each command as a user without rights and answers in
//! files; the tree lies here as well ([`mirror`]), as every stage reads it.

mod dockerfile;
mod engine;
mod harness;
mod image;
mod mirror;
mod prepared;
mod probe;
mod session;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use serde_json::Value;
use tokio::sync::Mutex;

use self::{
    image::Image,
    prepared::{DaggerPrepared, Environment},
    session::{EngineError, Launch, Session},
};
use super::{
    CacheDir, Posture, Prepared, Recipe, Sandbox, SandboxError,
    cache::{self, Slot},
    python::Python,
};
use crate::workspace::Tree;
pub use session::DaggerPlace;

/// An engine, and a session with it that is made again once when it is lost.
struct Engine {
    // Ends before the engine does.
    session: Mutex<Option<Arc<Session>>>,
    launch: Launch,
}

impl Engine {
    /// Asks; the session is started where there is none. What fails of itself ends the session.
    async fn ask(
        &self,
        query: &str,
        variables: &BTreeMap<&str, Value>,
        patience: Duration,
    ) -> Result<Value, EngineError> {
        let session = {
            let mut held = self.session.lock().await;
            match &*held {
                Some(session) => Arc::clone(session),
                None => Arc::clone(held.insert(Arc::new(self.launch.start().await?))),
            }
        };
        let answer = session.ask(query, variables, patience).await;
        if matches!(answer, Err(EngineError::Lost(_))) {
            let mut held = self.session.lock().await;
            if held.as_ref().is_some_and(|current| Arc::ptr_eq(current, &session)) {
                *held = None;
            }
        }
        answer
    }
}

/// Runs commands in containers.
pub struct DaggerSandbox {
    engine: Arc<Engine>,
    cache: PathBuf,
    posture: Posture,
    /// By the wanted Python.
    images: Mutex<BTreeMap<String, Image>>,
    environments: std::sync::Mutex<Environments>,
    /// How often environments were forgotten.
    forgotten: AtomicU32,
    told: Told,
}

/// By the key and the place of the tree: the environment that was built there.
type Environments = BTreeMap<(String, PathBuf), Arc<Environment>>;

/// Who is told how many seconds each command took.
type Told = Arc<dyn Fn(f64) + Send + Sync>;

impl DaggerSandbox {
    /// Starts a session with the engine and probes what it enforces. Nothing of a repository has run. `pythons` are the
    /// versions that will run: what can't be had shows here.
    ///
    /// # Errors
    /// [`SandboxError::Lost`], with what is missing, where no engine can be had or a check would see a network;
    /// [`SandboxError::NoImage`] where there is no such Python.
    pub async fn new(cache: &CacheDir, place: &DaggerPlace, pythons: &[String]) -> Result<DaggerSandbox, SandboxError> {
        let root = &cache.root;
        std::fs::create_dir_all(root).with_context(|| format!("the cache {} cannot be written", root.display()))?;
        let cache = root.canonicalize().context("the cache directory has no path")?;
        let launch = Launch::find(place).await?;
        let engine = Engine { launch, session: Mutex::new(None) };
        let mut images = BTreeMap::new();
        for python in pythons {
            images.insert(python.clone(), image::find(&engine, python).await?);
        }
        let first = match images.values().next() {
            Some(image) => image.clone(),
            None => image::find(&engine, "3").await?,
        };
        let posture = probe::probe(&engine, &first).await?;
        Ok(DaggerSandbox {
            engine: Arc::new(engine),
            cache,
            posture,
            images: Mutex::new(images),
            environments: std::sync::Mutex::default(),
            forgotten: AtomicU32::new(0),
            told: Arc::new(|_| {}),
        })
    }

    /// Where the engine is, for a reader.
    pub fn place(&self) -> &str {
        self.engine.launch.place()
    }

    /// Tells somebody how many seconds each command of a repository took.
    #[must_use]
    pub fn telling(mut self, told: impl Fn(f64) + Send + Sync + 'static) -> DaggerSandbox {
        self.told = Arc::new(told);
        self
    }

    fn environments(&self) -> Result<std::sync::MutexGuard<'_, Environments>, SandboxError> {
        self.environments.lock().map_err(|_| SandboxError::Lost("a preparation panicked".to_owned()))
    }

    async fn image(&self, python: &str) -> Result<Image, SandboxError> {
        let mut known = self.images.lock().await;
        if let Some(image) = known.get(python) {
            return Ok(image.clone());
        }
        let image = image::find(&self.engine, python).await?;
        known.insert(python.to_owned(), image.clone());
        Ok(image)
    }
}

#[async_trait::async_trait]
impl Sandbox for DaggerSandbox {
    fn posture(&self) -> &Posture {
        &self.posture
    }

    async fn prepare(&self, recipe: &Recipe, tree: &Tree, candidate: bool) -> Result<Box<dyn Prepared>, SandboxError> {
        let image = self.image(&recipe.python).await?;
        let key = key(recipe, tree, &image);
        let slot = Slot::take(&self.cache, &format!("{key}-dagger"), true)?;
        let root = slot.tree(tree.name());
        let place = (key, root.clone());
        let known = self.environments()?.get(&place).cloned();
        // What holds a copy of a tree is for that tree alone.
        let known = known.filter(|environment| !environment.copies_project && !recipe.disposable);
        mirror::sync(tree.root(), &root)?;
        let reused = known.is_some();
        let environment = match known {
            Some(environment) => environment,
            None => {
                let salt = self.forgotten.load(Ordering::Relaxed);
                let built = Environment::build(&self.engine, &slot, &root, recipe, &image, candidate, salt).await?;
                let built = Arc::new(built);
                // What a candidate has built is for that tree alone.
                if !candidate {
                    self.environments()?.insert(place, Arc::clone(&built));
                }
                built
            }
        };
        let mut prepared = DaggerPrepared::new(
            Arc::clone(&self.engine),
            slot,
            root,
            recipe.clone(),
            (environment, reused),
            Arc::clone(&self.told),
        );
        prepared.refresh(tree).await?;
        Ok(Box::new(prepared))
    }

    fn pythons(&self) -> Vec<String> {
        image::MINORS.map(str::to_owned).to_vec()
    }

    fn forget(&self, _: &Recipe, _: &Tree) -> Result<(), SandboxError> {
        self.forgotten.fetch_add(1, Ordering::Relaxed);
        self.environments()?.clear();
        Ok(())
    }
}

/// What two environments have in common that can stand for each other.
fn key(recipe: &Recipe, tree: &Tree, image: &Image) -> String {
    let python = Python {
        executable: PathBuf::from("/usr/local/bin/python3"),
        prefix: PathBuf::from("/usr/local"),
        version: format!("{} {}", image.reference, recipe.packages.join(" ")),
    };
    cache::key(recipe, tree, &python, "dagger")
}

impl From<EngineError> for SandboxError {
    fn from(error: EngineError) -> SandboxError {
        SandboxError::Lost(error.to_string())
    }
}
