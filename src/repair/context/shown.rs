//! The lines that are shown: taken in the order of their worth until the room is used up, each line once.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Block,
    files::Files,
    module::{Def, Module},
    related::telling,
};

/// What the tags around a stretch of code cost.
const TAGS: usize = 90;
/// Lines around one that matters, in a definition that is too long to be shown whole.
const AROUND: usize = 10;

/// A stretch that has been taken.
pub(super) struct Shown<'a> {
    files: &'a Files<'a>,
    lines: BTreeMap<String, BTreeSet<usize>>,
    order: Vec<String>,
    used: usize,
    /// Words of the failure, for definitions that are too long to be shown whole.
    guide: BTreeMap<String, f64>,
}

/// How a definition is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Detail {
    /// A longer one is shown in parts.
    pub(super) whole: usize,
    /// A longer docstring is cut.
    pub(super) doc: usize,
    /// The room that may be used up for it, of all.
    pub(super) room: usize,
}

impl<'a> Shown<'a> {
    pub(super) fn new(files: &'a Files<'a>) -> Shown<'a> {
        Shown { files, lines: BTreeMap::new(), order: Vec::new(), used: 0, guide: BTreeMap::new() }
    }

    pub(super) fn used(&self) -> usize {
        self.used
    }

    /// Long definitions are shown where they share these words.
    pub(super) fn guide(&mut self, words: BTreeMap<String, f64>) {
        self.guide = words;
    }

    /// The files of which something is shown, the one that matters most first.
    pub(super) fn paths(&self) -> &[String] {
        &self.order
    }

    pub(super) fn has(&self, path: &str, line: usize) -> bool {
        self.lines.get(path).is_some_and(|lines| lines.contains(&line))
    }

    /// Stretches of a file that are shown.
    pub(super) fn stretches(&self, path: &str) -> Vec<(usize, usize)> {
        let mut found: Vec<(usize, usize)> = Vec::new();
        for line in self.lines.get(path).into_iter().flatten() {
            match found.last_mut() {
                Some((_, last)) if *last + 1 == *line => *last = *line,
                _ => found.push((*line, *line)),
            }
        }
        found
    }

    /// Takes lines of a file, where the room allows them all. `text` is the file's.
    pub(super) fn take(&mut self, path: &str, text: &str, stretch: (usize, usize), room: usize) -> bool {
        let wanted: Vec<(usize, usize)> = {
            let known = self.lines.get(path);
            let lines = text.split_inclusive('\n').enumerate().skip(stretch.0.saturating_sub(1));
            let lines = lines.take_while(|(at, _)| *at < stretch.1).map(|(at, line)| (at + 1, line.len()));
            lines.filter(|(line, _)| !known.is_some_and(|known| known.contains(line))).collect()
        };
        if wanted.is_empty() {
            return true;
        }
        let touches = |line: usize| self.has(path, line);
        let apart = !touches(stretch.0.saturating_sub(1)) && !touches(stretch.1 + 1);
        let cost = wanted.iter().map(|(_, size)| size).sum::<usize>() + if apart { TAGS } else { 0 };
        if self.used + cost > room {
            return false;
        }
        self.used += cost;
        if !self.lines.contains_key(path) {
            self.order.push(path.to_owned());
        }
        self.lines.entry(path.to_owned()).or_default().extend(wanted.iter().map(|(line, _)| line));
        true
    }

    /// Takes lines around one.
    pub(super) fn window(&mut self, path: &str, text: &str, line: usize, around: usize, room: usize) -> bool {
        self.take(path, text, (line.saturating_sub(around).max(1), line + around), room)
            || self.take(path, text, (line.saturating_sub(2).max(1), line + 2), room)
    }

    /// Takes a whole file, where it is small enough.
    pub(super) fn file(&mut self, path: &str, most: usize, room: usize) -> bool {
        let Some(text) = self.files.text(path).filter(|text| text.len() <= most) else { return false };
        self.take(path, &text, (1, text.lines().count()), room)
    }

    /// Takes a definition: whole where it is short, else its signature and what lies around the lines that matter.
    pub(super) fn def(&mut self, module: &Module, at: usize, hot: &BTreeSet<usize>, detail: Detail) -> bool {
        let Some(def) = module.defs.get(at) else { return false };
        let (path, text) = (module.path.as_str(), module.text.as_str());
        let inside = hot.iter().any(|line| def.first <= *line && *line <= def.last);
        let code = def.doc.map_or(def.header, |(_, last)| last) + 1;
        let long = !def.class && !inside && module.slice((code, def.last)).len() > detail.whole;
        let guided = if long { telling(module.slice((code, def.last)), code, &self.guide) } else { BTreeSet::new() };
        let hot = if long { &guided } else { hot };
        let taken = match pieces(module, def, hot, detail) {
            Some(pieces) => {
                let taken = pieces.iter().filter(|piece| self.take(path, text, **piece, detail.room));
                taken.count() > 0
            }
            None => false,
        };
        if taken {
            self.headers(module, at, detail.room);
        }
        taken
    }

    /// Takes the signatures of what a definition stands in.
    pub(super) fn headers(&mut self, module: &Module, at: usize, room: usize) {
        let mut outer = module.defs.get(at).and_then(|def| def.parent);
        while let Some(def) = outer.and_then(|outer| module.defs.get(outer)) {
            if def.header - def.first < 30 {
                self.take(&module.path, &module.text, (def.first, def.header), room);
            }
            outer = def.parent;
        }
    }

    /// The blocks: files by their worth, each from top to bottom, near stretches joined.
    pub(super) fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        for path in &self.order {
            let Some(text) = self.files.text(path) else { continue };
            let lines: Vec<&str> = text.split_inclusive('\n').collect();
            let mut joined: Vec<(usize, usize)> = Vec::new();
            for (first, last) in self.stretches(path) {
                // What lies between two stretches may cost less than tags would.
                let between = |end: usize| lines.get(end..first - 1).unwrap_or_default().concat().len();
                match joined.last_mut() {
                    Some((_, end)) if between(*end) <= TAGS => *end = last,
                    _ => joined.push((first, last)),
                }
            }
            for (first, last) in joined {
                let whole = first == 1 && last >= lines.len();
                // Blank lines at the edges say nothing.
                let blank = |line: usize| lines.get(line - 1).is_none_or(|line| line.trim().is_empty());
                let first = (first..=last).find(|line| !blank(*line)).unwrap_or(first);
                let last = (first..=last).rev().find(|line| !blank(*line)).unwrap_or(first);
                let text: String = lines.get(first - 1..last.min(lines.len())).unwrap_or_default().concat();
                if text.trim().is_empty() {
                    continue;
                }
                let place = if whole { "whole".to_owned() } else { format!("{first}-{last}") };
                blocks.push(Block::of("file", text).at(path, &place));
            }
        }
        blocks
    }
}

fn shows_signature(def: &Def, detail: Detail) -> bool {
    def.header - def.first <= 12 || detail.whole > 1000
}

/// The parts of a definition that are shown, the most important first.
fn pieces(module: &Module, def: &Def, hot: &BTreeSet<usize>, detail: Detail) -> Option<Vec<(usize, usize)>> {
    let size = |lines| module.slice(lines).len();
    let mut bodies = vec![(def.first, def.last)];
    if let Some((first, last)) = def.doc
        && size((first, last)) > detail.doc
        && last - first > 4
        && !hot.iter().any(|line| first <= *line && *line <= last)
    {
        // Its first paragraph says what it is for.
        bodies = vec![(def.first, first + 2), (last, def.last)];
    }
    let total: usize = bodies.iter().map(|lines| size(*lines)).sum();
    if total <= detail.whole {
        return Some(bodies);
    }
    let inside: Vec<usize> = hot.iter().copied().filter(|line| def.first <= *line && *line <= def.last).collect();
    if inside.is_empty() && def.class {
        return None;
    }
    // A long signature costs more than it says, unless the function is on the way.
    let head = if shows_signature(def, detail) { def.header.min(def.first + 40) } else { def.first };
    let mut parts = vec![(def.first, head)];
    for line in &inside {
        let (first, last) = module.statement(*line);
        let (first, last) = if last - first > 2 * AROUND { (*line, *line) } else { (first, last) };
        parts.push((first.saturating_sub(AROUND).max(def.first), (last + AROUND).min(def.last)));
    }
    if inside.is_empty() {
        // Nothing says where to look: as much of its beginning as there is room for.
        let from = def.doc.filter(|doc| size(*doc) > detail.doc).map_or(def.header, |(_, last)| last);
        let mut last = from;
        while last < def.last && size((from, last + 1)) < detail.whole {
            last += 1;
        }
        parts.push((from, last));
    }
    Some(parts)
}
