//! A session that is over: what it says becomes failures.

use std::collections::{HashMap, HashSet, VecDeque};

use super::summary::emit;
use super::{Pytest, RUNNING, head_of};
use crate::detect::exception;
use crate::detect::failure::{Category, Key};
use crate::detect::found::{Found, Sink, Weight};
use crate::detect::tools::test;

impl Pytest {
    pub(super) fn report(&self, sink: &mut Sink) {
        let mut heads: HashMap<(String, bool), VecDeque<usize>> = HashMap::new();
        for (index, section) in self.sections.iter().enumerate() {
            heads.entry((section.head.clone(), section.errors)).or_default().push_back(index);
        }
        let mut used = vec![false; self.sections.len()];
        let mut seen: HashMap<(String, Option<String>), usize> = HashMap::new();
        let mut ids: HashSet<&str> = HashSet::new();
        let mut briefs: VecDeque<&(String, u32, String)> = self.brief.iter().collect();
        let listed = self.listed.iter().chain(&self.verbose);
        for (index, listed) in listed.enumerate() {
            let verbose = index >= self.listed.len();
            if verbose && ids.contains(listed.id.as_str()) {
                continue;
            }
            let again = !ids.insert(&listed.id);
            let path = sink.paths.file(listed.id.split("::").next().unwrap_or_default());
            // Tests of one name in several files: the section whose traceback begins in the test's file.
            let candidates = heads.get_mut(&(head_of(&listed.id), listed.error));
            let best = candidates.and_then(|candidates| {
                let first = |index: &usize| self.sections.get(*index).and_then(|section| section.first.as_deref());
                let own = |index: &usize| first(index).is_some_and(|first| sink.paths.file(first).ends_with(&path));
                let at = candidates.iter().take(64).position(own).unwrap_or(0);
                candidates.remove(at)
            });
            // Sections are named from the root, the summary from where pytest was started.
            let from_root = |index: &usize| {
                self.sections.get(*index).is_some_and(|section| {
                    section.errors && path.strip_suffix(&section.head).is_some_and(|before| before.ends_with('/'))
                })
            };
            let best = best.or_else(|| {
                let whole = listed.error && !listed.id.contains("::");
                (0..used.len().min(64)).filter(|index| whole && !used[*index]).find(from_root)
            });
            if let Some(best) = best {
                used[best] = true;
            }
            let section = best.map(|best| &self.sections[best]);
            // The test of a subtest that is known, or one more of its subtests.
            let contains = listed.message.as_deref().is_some_and(|said| said.starts_with("contains "));
            if again && (listed.sub || contains || section.is_some_and(|section| section.sub)) {
                continue;
            }
            let before = sink.found.len();
            emit(sink, &mut seen, &listed.id, listed.message.as_deref(), section);
            if section.is_none()
                && let Some(said) = &listed.message
                && let Some(found) = sink.found.get_mut(before)
            {
                self.place_briefly(&mut briefs, &path, said, found);
            }
        }
        for (index, section) in self.sections.iter().enumerate() {
            if !used[index] {
                let id = section.id(&sink.paths);
                // One more subtest of a test that is known.
                if section.sub && ids.contains(id.as_str()) {
                    continue;
                }
                // xdist heads the section of a worker that died with the test's file.
                if section.class().is_none() && ids.iter().any(|known| known.starts_with(&section.head)) {
                    continue;
                }
                // The same id is known from the summary: one of several sections of one test.
                if !(section.listed_elsewhere() && ids.contains(id.as_str())) {
                    emit(sink, &mut seen, &id, None, Some(section));
                }
            }
        }
    }

    /// Where `--tb=line` says that a listed failure happened.
    fn place_briefly(&self, briefs: &mut VecDeque<&(String, u32, String)>, path: &str, said: &str, found: &mut Found) {
        let said = said.lines().next().unwrap_or_default();
        let same = |brief: &&(String, u32, String)| brief.2.starts_with(said) || said.starts_with(brief.2.as_str());
        let Some(at) = briefs.iter().take(64).position(|brief| same(brief) || brief.0 == path) else { return };
        if let Some((file, line, _)) = briefs.remove(at) {
            found.file = Some(file.clone());
            found.line = Some(*line);
        }
    }

    pub(super) fn trouble(&self, sink: &mut Sink, before: usize) {
        if sink.found.len() > before {
            return;
        }
        let command = sink.command.clone().unwrap_or_else(|| "pytest".to_owned());
        let key = |error: &str| Key::Command { command: command.clone(), error: error.to_owned() };
        let found = if let Some(internal) = &self.internal {
            let class = internal.exception.as_ref().map_or("INTERNALERROR", |(class, _)| class.as_str());
            let text = if internal.text.is_empty() { "INTERNALERROR" } else { internal.text.as_str() };
            let mut found = Found::new(Category::RuntimeError, "pytest", key(class), text).weigh(Weight::Cause);
            if let Some((class, message)) = &internal.exception {
                exception::apply(&mut found, class, message);
            }
            at(found, internal.place.clone())
        } else if let Some(usage) = &self.usage {
            let said = usage.split_once(": error: ").map_or(usage.as_str(), |(_, said)| said);
            let key = Key::Message { file: None, message: sink.paths.stable(said) };
            // An option that nobody knows is one of a plugin that is not installed.
            let category = if said.starts_with("unrecognized arguments") {
                Category::ImportDependency
            } else {
                Category::UnitTest
            };
            Found::new(category, "pytest", key, &sink.paths.relative(usage)).weigh(Weight::Cause)
        } else if let Some(hung) = &self.hung {
            let mut found = Found::new(Category::Timeout, "pytest", key("Timeout"), &hung.message);
            if let Some(id) = &self.started {
                found.test_id = Some(id.clone());
                found.key = Key::Test { id: id.clone(), exception: Some("Timeout".to_owned()) };
            }
            at(found, hung.place.clone())
        } else if let Some(place) = &self.interrupted {
            at(Found::new(Category::Timeout, "pytest", key("KeyboardInterrupt"), "KeyboardInterrupt"), place.clone())
                .weigh(Weight::Cause)
        } else if let Some(empty) = &self.empty {
            let found = Found::new(Category::UnitTest, "pytest", key("no tests ran"), empty);
            found.weigh(Weight::Cause)
        } else if self.unfinished
            && let Some(found) = sink.recent.lines().last().and_then(|line| RUNNING.captures(line))
        {
            // The log ends in the middle of a test: it took the interpreter with it.
            let id = sink.paths.file(&found[1]);
            let mut failure = test("pytest", &id, Some("crash"), "the session ended in this test");
            failure.category = Category::Crash;
            failure.weigh(Weight::Cause)
        } else {
            return;
        };
        sink.push(found);
    }
}

fn at(found: Found, place: Option<(String, u32)>) -> Found {
    match place {
        Some((file, line)) => found.at(file, Some(line)),
        None => found,
    }
}
