//! How an environment is built: what the job installs, and what it leaves in the tree and at home.

use std::{collections::BTreeSet, fs};

use anyhow::Context as _;
use walkdir::WalkDir;

use super::{BASE, LocalPrepared};
use crate::{
    sandbox::{
        Ended, Limits, Network, SandboxError,
        cache::{self, About, Ready},
        python,
        reports::{index_environment, quote},
        versions,
    },
    workspace::{Tree, copy_tree},
};

impl LocalPrepared {
    pub(super) async fn build(&mut self, tree: &Tree) -> Result<(), SandboxError> {
        // One run at a time writes to the shared cache; another takes one of its own.
        let lock = fs::File::create(self.cache.join("pip.lock")).context("the cache cannot be written")?;
        let shares = !self.candidate && lock.try_lock().is_ok();
        self.pip_cache = if shares { self.cache.join("pip") } else { self.slot.root().join("pip-cache") };
        let built = self.build_with(tree).await;
        if !shares && !self.recipe.disposable {
            cache::remove(&self.pip_cache)?;
        }
        drop(lock);
        if built.is_ok() && !self.recipe.disposable {
            cache::keep_within(&self.cache, self.limits);
        }
        built
    }

    async fn build_with(&mut self, tree: &Tree) -> Result<(), SandboxError> {
        let mut notes: Vec<String> = Vec::new();
        notes.extend(versions::stand_in(&self.recipe.python, &self.python.version));
        let pinned = !self.recipe.held(self.candidate).is_empty();
        let mut built = self.install(tree, pinned).await;
        if pinned
            && !self.candidate
            && let Err(SandboxError::Install { command, .. }) = &built
        {
            notes.push(versions::unheld(command));
            built = self.install(tree, false).await;
        }
        built?;
        if !pinned && !self.recipe.install.is_empty() {
            notes.push(versions::UNPINNED.to_owned());
        }
        self.keep_overlay(tree)?;
        let bytes = cache::size(self.slot.root());
        let about = About { python: self.python.version.clone(), bytes, ..self.about.clone() };
        let places = [self.slot.venv(), self.slot.install_home(), self.slot.overlay()];
        let copy_of = cache::copied(tree, &places, &self.slot.install_home()).then(|| cache::content_hash(tree));
        self.ready = Ready { installed: self.list_installed().await?, notes, about, copy_of };
        if !self.recipe.disposable {
            self.slot.set_ready(&self.ready)?;
        }
        Ok(())
    }

    async fn install(&self, tree: &Tree, pinned: bool) -> Result<(), SandboxError> {
        self.slot.clear()?;
        let own_cache = self.slot.root().join("pip-cache");
        for directory in
            [self.slot.venv(), self.slot.install_home(), self.slot.reports(), self.pip_cache.clone(), own_cache]
        {
            fs::create_dir_all(&directory).with_context(|| format!("{} cannot be made", directory.display()))?;
        }
        copy_tree(tree.root(), &self.root, |name| name == "__pycache__")?;
        // pip is most of an environment's making: only for those that install something.
        let bare = if self.recipe.install.is_empty() && !self.recipe.disposable { "--without-pip " } else { "" };
        let venv = format!("exec {} -m venv {bare}{}", quote(&self.python.executable), quote(&self.slot.venv()));
        let mut commands = vec![(venv, Network::None)];
        commands.extend(self.recipe.install.iter().map(|c| (c.clone(), Network::Full)));
        let constraints = self.slot.root().join("constraints.txt");
        for (number, (script, network)) in commands.into_iter().enumerate() {
            if number == 1 {
                self.show_base()?;
                if pinned {
                    fs::write(&constraints, self.constraints()).context("the constraints cannot be written")?;
                }
            }
            let mut env = self.environment(&self.slot.install_home());
            if network == Network::Full {
                env.extend(index_environment());
                env.insert("PIP_CACHE_DIR".to_owned(), self.pip_cache.display().to_string());
                env.insert("UV_CACHE_DIR".to_owned(), self.pip_cache.join("uv").display().to_string());
                // A hard link into the cache would tie an environment to it.
                env.insert("UV_LINK_MODE".to_owned(), "copy".to_owned());
                if pinned {
                    env.insert("PIP_CONSTRAINT".to_owned(), constraints.display().to_string());
                }
            }
            let limits = Limits { wall: self.recipe.timeout, ..Limits::default() };
            let finished = self.execute(&script, env, network, limits, true).await?;
            if finished.ended != Ended::Exit(0) {
                return Err(SandboxError::Install { command: script, finished });
            }
        }
        for written in [self.slot.venv(), self.slot.install_home()] {
            cache::open_to_readers(&written)?;
        }
        Ok(())
    }

    /// The versions that it is held to, as constraints for pip: all but what is in a new environment already, which no command changed
    /// and which must not bind what pip builds with, or other environments.
    fn constraints(&self) -> String {
        let venv = glob::Pattern::escape(&self.slot.venv().display().to_string());
        let seeds = glob::glob(&format!("{venv}/lib/python3*/site-packages/*.dist-info"));
        let seeds: BTreeSet<String> = seeds
            .into_iter()
            .flatten()
            .filter_map(|path| Some(path.ok()?.file_stem()?.to_str()?.to_ascii_lowercase()))
            .collect();
        versions::constraints(self.recipe.held(self.candidate), |name, version| {
            !seeds.contains(&format!("{}-{}", name.replace('-', "_").to_ascii_lowercase(), version))
        })
    }

    /// Moves what the installation put into the tree out of it, to be laid over every fresh tree.
    fn keep_overlay(&self, tree: &Tree) -> Result<(), SandboxError> {
        let change = WalkDir::new(&self.root)
            .into_iter()
            .filter_entry(|e| e.file_name() != ".git" && e.file_name() != "__pycache__");
        for entry in change.filter_map(Result::ok).filter(|e| !e.file_type().is_dir()) {
            let Ok(relative) = entry.path().strip_prefix(&self.root) else { continue };
            if tree.root().join(relative).symlink_metadata().is_ok() {
                continue;
            }
            let target = self.slot.overlay().join(relative);
            if let Some(parent) = target.parent() {
                fs::create_dir_all(parent).context("the overlay cannot be written")?;
            }
            fs::rename(entry.path(), &target).context("the overlay cannot be written")?;
        }
        fs::create_dir_all(self.slot.overlay()).context("the overlay cannot be written")?;
        Ok(cache::open_to_readers(&self.slot.overlay())?)
    }

    /// Tools that make environments of their own (tox, nox, uv) look for the Python that is no environment: it, and
    /// nothing that is installed beside it.
    fn show_base(&self) -> Result<(), SandboxError> {
        let base = self.slot.venv().join(BASE);
        fs::create_dir_all(&base).context("the environment cannot be written")?;
        for name in [format!("python{}", python::minor(&self.python.version)), "python3".to_owned()] {
            std::os::unix::fs::symlink(&self.python.executable, base.join(name))
                .context("the environment cannot be written")?;
        }
        Ok(())
    }

    async fn list_installed(&self) -> Result<Vec<(String, String)>, SandboxError> {
        let script =
            format!("exec {} -m pip list --format json 2>/dev/null", quote(&self.slot.venv().join("bin/python")));
        let env = self.environment(&self.slot.install_home());
        let finished = self.execute(&script, env, Network::None, Limits::default(), false).await?;
        Ok(versions::listed(&finished.output))
    }
}
