//! Environments of several jobs, built at once and before the first of them is needed.

use std::sync::Mutex;

use futures_util::future::join_all;

use super::{Posture, Prepared, Recipe, Sandbox, SandboxError};
use crate::workspace::Tree;

type Built = Result<Box<dyn Prepared>, SandboxError>;

/// A sandbox that has some environments of one tree built already. Each is handed out once; what is asked for besides
/// comes from the sandbox below.
pub struct Ahead<'a> {
    sandbox: &'a dyn Sandbox,
    built: Mutex<Vec<(Recipe, Built)>>,
}

impl<'a> Ahead<'a> {
    /// Builds the environments of the recipes that differ, for a trusted `tree`, as many at once as there are cores. With
    /// fewer than two there is nothing to gain: none is built.
    pub async fn build(sandbox: &'a dyn Sandbox, recipes: &[Recipe], tree: &Tree) -> Ahead<'a> {
        let mut distinct: Vec<&Recipe> = Vec::new();
        for recipe in recipes {
            if !distinct.contains(&recipe) {
                distinct.push(recipe);
            }
        }
        if distinct.len() < 2 {
            distinct.clear();
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let mut built = Vec::new();
        for some in distinct.chunks(cores) {
            let all = join_all(some.iter().map(|recipe| sandbox.prepare(recipe, tree, false))).await;
            built.extend(some.iter().map(|recipe| (*recipe).clone()).zip(all));
        }
        Ahead { sandbox, built: Mutex::new(built) }
    }
}

#[async_trait::async_trait]
impl Sandbox for Ahead<'_> {
    fn posture(&self) -> &Posture {
        self.sandbox.posture()
    }

    async fn prepare(&self, recipe: &Recipe, tree: &Tree, candidate: bool) -> Built {
        let ready = self.built.lock().ok().filter(|_| !candidate).and_then(|mut built| {
            let at = built.iter().position(|(known, _)| known == recipe)?;
            Some(built.swap_remove(at).1)
        });
        match ready {
            Some(built) => built,
            None => self.sandbox.prepare(recipe, tree, candidate).await,
        }
    }

    fn pythons(&self) -> Vec<String> {
        self.sandbox.pythons()
    }

    fn forget(&self, recipe: &Recipe, tree: &Tree) -> Result<(), SandboxError> {
        self.sandbox.forget(recipe, tree)
    }
}
