//! How fast logs are read.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use test_repair::detect::Detector;

/// A log of a green pytest run with one failure at its end, of about `bytes`.
fn log(bytes: usize) -> Vec<u8> {
    let stamp = "2026-11-06T07:30:00.0000017Z ";
    let mut text =
        format!("{stamp}##[group]Run python -m pytest -v\n{stamp}shell: /usr/bin/bash -e {{0}}\n{stamp}##[endgroup]\n");
    let mut number = 0;
    while text.len() < bytes {
        number += 1;
        text.push_str(&format!("{stamp}tests/test_a.py::test_{number}[case {number}] PASSED     [ 42%]\n"));
    }
    text.push_str(&format!("{stamp}=== short test summary info ===\n"));
    text.push_str(&format!("{stamp}FAILED tests/test_a.py::test_x - AssertionError: assert 1 == 2\n"));
    text.push_str(&format!("{stamp}##[error]Process completed with exit code 1.\n"));
    text.into_bytes()
}

fn detect(criterion: &mut Criterion) {
    let log = log(4 << 20);
    let mut group = criterion.benchmark_group("detect");
    group.throughput(Throughput::Bytes(log.len() as u64)).sample_size(10);
    group.bench_function("a job log of 4 MiB", |bencher| {
        bencher.iter(|| {
            let mut detector = Detector::new("log");
            log.chunks(1 << 16).for_each(|chunk| detector.feed(chunk));
            detector.finish()
        });
    });
    group.finish();
}

criterion_group!(benches, detect);
criterion_main!(benches);
