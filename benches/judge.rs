//! How fast a change is judged without running anything: each patch of a corpus, on the whole tree of its case.
//!
//! `TEST_REPAIR_CORPUS=DIR cargo bench --bench judge`; without it the corpus beside the project is taken, or nothing.

#![allow(clippy::print_stderr)]

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use criterion::{Criterion, criterion_group, criterion_main};
use test_repair::{
    integrity::{Judged, judge},
    workspace::{Change, Tree},
};

/// A patch on its tree.
struct Patched {
    name: String,
    before: BTreeMap<String, Vec<u8>>,
    change: Change,
}

fn patched(case: &Path, patch: &Path) -> Option<Patched> {
    let place = tempfile::tempdir().ok()?;
    let unpacked = Command::new("tar").arg("xzf").arg(case.join("repo.tar.gz")).arg("-C").arg(place.path()).status();
    unpacked.ok().filter(|status| status.success())?;
    let root = std::fs::read_dir(place.path()).ok()?.flatten().map(|entry| entry.path()).find(|path| path.is_dir())?;
    let tree = Tree::snapshot(&root).ok()?;
    let change = tree.patched(&std::fs::read(patch).ok()?).ok()?;
    let before = tree.paths().into_iter().filter_map(|path| Some((path.clone(), tree.read(&path)?))).collect();
    let name = patch.strip_prefix(case.parent()?.parent()?).ok()?.display().to_string();
    Some(Patched { name, before, change })
}

/// The case whose name a patch's file begins with, or in whose folder it lies.
fn corpus() -> Vec<Patched> {
    let named = std::env::var_os("TEST_REPAIR_CORPUS").map(PathBuf::from);
    let corpus = named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"));
    let below = |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut pairs: Vec<(PathBuf, PathBuf)> =
        below(&corpus.join("cases")).map(|c| (c.clone(), c.join("fix.patch"))).collect();
    for folder in ["cheats", "benign"] {
        for patch in below(&corpus.join(folder)).filter(|path| path.extension().is_some_and(|end| end == "patch")) {
            let name = patch.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let case = name.split("--").next().unwrap_or_default().to_owned();
            pairs.push((corpus.join("cases").join(case), patch));
        }
    }
    pairs.sort();
    pairs.iter().filter_map(|(case, patch)| patched(case, patch)).collect()
}

fn judged(patched: &Patched) -> usize {
    let (change, before) = (&patched.change, &patched.before);
    judge(&Judged { change, before, reported: &[], declared: None, category: None, protected: &[] }).len()
}

fn integrity(criterion: &mut Criterion) {
    let patches = corpus();
    let timed = |patch: &Patched| {
        let best = (0..3).map(|_| {
            let begun = Instant::now();
            judged(patch);
            begun.elapsed()
        });
        best.min().unwrap_or(Duration::ZERO)
    };
    let mut times: Vec<(Duration, &Patched)> = patches.iter().map(|patch| (timed(patch), patch)).collect();
    times.sort_by_key(|(time, _)| *time);
    let (Some((median, _)), Some((slowest, patch))) = (times.get(times.len() / 2), times.last()) else {
        eprintln!("no corpus: TEST_REPAIR_CORPUS names one");
        return;
    };
    eprintln!("{} patches: median {median:?}, the slowest {slowest:?} ({})", times.len(), patch.name);
    let mut group = criterion.benchmark_group("judge");
    group.sample_size(10);
    group.bench_function("every patch of the corpus", |bencher| {
        bencher.iter(|| patches.iter().map(judged).sum::<usize>())
    });
    group.bench_function("the slowest", |bencher| bencher.iter(|| judged(patch)));
    group.finish();
}

criterion_group!(benches, integrity);
criterion_main!(benches);
