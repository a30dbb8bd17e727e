//! Functions that share the failure's words: where nothing else leads from a test to the code at fault.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    rc::Rc,
};

use super::{
    code::Pointed,
    files::{Files, is_test, name as file_name},
    module::Module,
    places::has_word,
    resolve::module_file,
    shown::Shown,
};

/// Modules that are searched.
const MODULES: usize = 120;
/// Words that say nothing of what a test is about.
const STOP: &[&str] = &[
    "test",
    "tests",
    "self",
    "assert",
    "equal",
    "the",
    "and",
    "not",
    "for",
    "with",
    "from",
    "import",
    "def",
    "class",
    "return",
    "none",
    "true",
    "false",
    "error",
    "expected",
    "result",
    "should",
    "when",
    "that",
    "this",
    "raises",
    "pytest",
    "unittest",
    "assertion",
    "case",
    "value",
    "str",
    "int",
    "len",
    "name",
    "args",
    "kwargs",
    "data",
    "line",
    "file",
    "file",
    "are",
    "has",
    "have",
    "has",
    "its",
    "does",
    "got",
    "but",
    "all",
    "failed",
    "where",
    "difference",
    "use",
    "full",
    "diff",
    "vvv",
    "parametrize",
    "mark",
    "fixture",
    "cls",
    "call",
    "src",
    "lib",
    "py",
];

/// Words of the language and of its exceptions, as they are split: no test is about them.
const PYTHON: &[&str] = &[
    "syntax",
    "type",
    "attribute",
    "object",
    "byte",
    "bytes",
    "module",
    "function",
    "method",
    "list",
    "dict",
    "tuple",
    "exception",
    "traceback",
    "print",
    "yield",
    "lambda",
    "range",
    "string",
    "instance",
    "argument",
    "positional",
    "missing",
    "required",
    "unexpected",
    "keyword",
    "recent",
    "none",
    "builtin",
    "isinstance",
];

/// A function, with the failure's words that it shares.
struct Document {
    module: Rc<Module>,
    at: usize,
    body: BTreeMap<String, u32>,
    name: BTreeMap<String, f64>,
    /// Does the test, or a message, say its very name?
    named: bool,
    size: usize,
}

/// The functions of the product that are nearest to the failure in words, the nearest first.
pub(super) fn related(
    modules: &[Rc<Module>],
    tests: &[(Rc<Module>, usize)],
    pointed: &Pointed<'_>,
    shown: &Shown<'_>,
) -> Vec<(Rc<Module>, usize)> {
    let mut wanted = wanted(tests, pointed);
    // The language's own words lead nowhere; a test's name means what it says.
    wanted.retain(|word, weight| *weight >= 3.0 || !PYTHON.contains(&word.as_str()));
    if wanted.is_empty() {
        return Vec::new();
    }
    let spoken = spoken(tests, pointed);
    let mut documents: Vec<Document> = Vec::new();
    let mut spread: BTreeMap<String, usize> = BTreeMap::new();
    for module in modules {
        for (at, def) in module.defs.iter().enumerate() {
            if def.class || def.parent.is_some_and(|parent| !module.defs[parent].class) {
                continue;
            }
            let text = module.slice((def.first, def.last));
            let mut body = BTreeMap::new();
            words(text, |word| {
                if wanted.contains_key(word) {
                    *body.entry(word.to_owned()).or_insert(0) += 1;
                }
            });
            // Its own name says most, then what it belongs to.
            let mut name = BTreeMap::new();
            let class = module.class_of(at).map_or("", |class| &module.defs[class].name);
            for (text, weight) in [(file_name(&module.path), 0.4), (class, 0.7), (&def.name, 1.6)] {
                words(text, |word| {
                    if wanted.contains_key(word) {
                        name.insert(word.to_owned(), weight);
                    }
                });
            }
            let named = def.name.len() > 5 && has_word(&spoken, &def.name);
            let known: BTreeSet<&String> = body.keys().chain(name.keys()).collect();
            known.iter().for_each(|word| *spread.entry((*word).clone()).or_insert(0) += 1);
            documents.push(Document { module: Rc::clone(module), at, body, name, named, size: text.len() });
        }
    }
    let total = documents.len().max(1) as f64;
    let average = documents.iter().map(|document| document.size).sum::<usize>() as f64 / total + 1.0;
    let rare = |word: &String| ((total + 1.0) / *spread.get(word).unwrap_or(&1) as f64).ln();
    let weight = |word: &String| rare(word) * wanted.get(word).copied().unwrap_or(0.0);
    let score = |document: &Document| -> f64 {
        let long = 0.6 + 0.4 * (document.size as f64 / average);
        let body = document.body.iter().map(|(word, count)| {
            let count = f64::from(*count);
            weight(word) * count * 2.2 / (count + 1.2 * long)
        });
        let named = if document.named { total.ln() } else { 0.0 };
        named + body.sum::<f64>() + document.name.iter().map(|(word, part)| weight(word) * part).sum::<f64>()
    };
    let mut scored: Vec<(f64, Rc<Module>, usize)> =
        documents.iter().map(|document| (score(document), Rc::clone(&document.module), document.at)).collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| (&a.1.path, a.2).cmp(&(&b.1.path, b.2))));
    let best = scored.first().map_or(0.0, |(score, ..)| *score);
    let good = scored.into_iter().take_while(|(score, ..)| *score > 0.0 && *score >= best * 0.35);
    let unseen = good.filter(|(_, module, at)| !shown.has(&module.path, module.defs[*at].last));
    unseen.map(|(_, module, at)| (module, at)).take(8).collect()
}

/// What the tests and the messages say, comments included.
fn spoken(tests: &[(Rc<Module>, usize)], pointed: &Pointed<'_>) -> String {
    let tests = tests.iter().map(|(module, at)| module.slice((module.defs[*at].first, module.defs[*at].last)));
    tests.chain(pointed.failures.iter().take(8).map(|failure| failure.message.as_str())).collect()
}

/// The words of the failure, with their weights.
pub(super) fn wanted(tests: &[(Rc<Module>, usize)], pointed: &Pointed<'_>) -> BTreeMap<String, f64> {
    let mut wanted: BTreeMap<String, f64> = BTreeMap::new();
    let mut add = |text: &str, weight: f64| {
        words(text, |word| {
            let known = wanted.entry(word.to_owned()).or_insert(0.0);
            *known = known.max(weight);
        });
    };
    for (module, at) in tests {
        let def = &module.defs[*at];
        add(&def.name, 3.0);
        if let Some(class) = module.class_of(*at) {
            add(&module.defs[class].name, 2.0);
        }
        add(module.slice((def.first, def.last)), 0.6);
    }
    for failure in pointed.failures.iter().take(8) {
        add(spoken_of(&failure.message), 1.5);
    }
    for line in pointed.text.lines().map(str::trim_start).filter(|line| line.starts_with("> ")) {
        add(line, 2.0);
    }
    wanted
}

/// A message without the exception's type, which says nothing of the code.
fn spoken_of(message: &str) -> &str {
    let (kind, rest) = message.split_once(": ").unwrap_or(("", message));
    let is_kind = kind.len() < 60 && ["Error", "Exception", "Warning"].iter().any(|ending| kind.ends_with(ending));
    if is_kind && !kind.contains(' ') { rest } else { message }
}

/// The lines of a long definition that share the rarest of its wanted words, three at most.
pub(super) fn telling(text: &str, first: usize, wanted: &BTreeMap<String, f64>) -> BTreeSet<usize> {
    let mut lines: Vec<(usize, BTreeSet<String>)> = Vec::new();
    let mut spread: BTreeMap<String, usize> = BTreeMap::new();
    for (at, line) in text.lines().enumerate().skip(1) {
        let mut found = BTreeSet::new();
        words(line, |word| {
            if wanted.contains_key(word) {
                found.insert(word.to_owned());
            }
        });
        found.iter().for_each(|word| *spread.entry(word.clone()).or_insert(0) += 1);
        lines.push((first + at, found));
    }
    let total = lines.len() as f64 + 1.0;
    let score = |found: &BTreeSet<String>| -> f64 {
        let weight = |word: &String| (total / spread[word] as f64).ln() * wanted.get(word).copied().unwrap_or(0.0);
        found.iter().map(weight).sum()
    };
    let mut scored: Vec<(f64, usize)> = lines.iter().map(|(line, found)| (score(found), *line)).collect();
    scored.retain(|(score, _)| *score > 0.0);
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let mut chosen: BTreeSet<usize> = BTreeSet::new();
    for (_, line) in scored {
        if chosen.len() < 3 && !chosen.iter().any(|known| known.abs_diff(line) < 16) {
            chosen.insert(line);
        }
    }
    chosen
}

/// The words of a text, in small letters: `parseISODate` and `parse_iso_date` have the same.
pub(super) fn words(text: &str, mut each: impl FnMut(&str)) {
    // A whole name that is shared says more than its words.
    for name in text.split(|c: char| !(c.is_alphanumeric() || c == '_')) {
        if name.trim_matches('_').contains('_') && (8..60).contains(&name.len()) && !name.starts_with("test_") {
            each(name);
        }
    }
    let mut word = String::new();
    let mut end = |word: &mut String| {
        if word.len() > 2 && word.len() < 40 && !STOP.contains(&word.as_str()) {
            each(word.strip_suffix('s').filter(|stem| stem.len() > 3).unwrap_or(word));
        }
        word.clear();
    };
    let mut small = false;
    for c in text.chars() {
        if !c.is_alphabetic() {
            end(&mut word);
            small = false;
            continue;
        }
        if c.is_uppercase() && small {
            end(&mut word);
        }
        small = c.is_lowercase();
        word.extend(c.to_lowercase());
    }
    end(&mut word);
}

/// The product's modules that the tests import, at whatever distance, the nearest first; all of them where a test
/// imports none.
pub(super) fn reachable(files: &Files<'_>, tests: &[(Rc<Module>, usize)]) -> Vec<Rc<Module>> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    let mut queue: VecDeque<Rc<Module>> = tests.iter().map(|(module, _)| Rc::clone(module)).collect();
    while let Some(module) = queue.pop_front() {
        if found.len() >= MODULES || !seen.insert(module.path.clone()) {
            continue;
        }
        for import in &module.imports {
            let base = module_file(files, &module, import.level, &import.module);
            let sub = import.member.as_ref().and_then(|member| {
                let dotted =
                    if import.module.is_empty() { member.clone() } else { format!("{}.{member}", import.module) };
                module_file(files, &module, import.level, &dotted)
            });
            queue.extend([base, sub].into_iter().flatten().filter_map(|path| files.module(&path)));
        }
        if !is_test(&module.path) {
            found.push(module);
        }
    }
    if found.is_empty() {
        let product: Vec<String> = files.product().take(MODULES).map(str::to_owned).collect();
        found = product.iter().filter_map(|path| files.module(path)).collect();
    }
    found
}
