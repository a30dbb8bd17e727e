//! How fast logs are read. `benches/detect_table.py` measures the whole program, with its memory, against ripgrep.

use std::path::Path;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use test_repair::detect::Detector;

const STAMP: &str = "2026-11-06T07:30:00.0000017Z ";

/// A job's log of about `bytes`: a long green run of pytest, an install, a build, and one failure at its end.
fn mostly_green(bytes: usize) -> Vec<u8> {
    let mut text = format!("{STAMP}##[group]Run make ci\n{STAMP}shell: /usr/bin/bash -e {{0}}\n{STAMP}##[endgroup]\n");
    let mut number = 0;
    while text.len() < bytes {
        number += 1;
        let line = match number % 8 {
            0 => format!("  Downloading package_{number}-1.{number}.0-py3-none-any.whl (12 kB)"),
            1 => format!("[{}/600] Building CXX object CMakeFiles/shop.dir/src/part_{number}.cpp.o", number % 600),
            2 => format!(
                "2026-11-06 07:30:00,123 INFO shop.worker: processed order {number} for customer c{}",
                number % 9
            ),
            _ => format!("tests/test_a.py::test_{number}[case {number}] PASSED     [ 42%]"),
        };
        text.push_str(&format!("{STAMP}{line}\n"));
    }
    text.push_str(&format!("{STAMP}=== short test summary info ===\n"));
    text.push_str(&format!("{STAMP}FAILED tests/test_a.py::test_x - AssertionError: assert 1 == 2\n"));
    text.push_str(&format!("{STAMP}##[error]Process completed with exit code 1.\n"));
    text.into_bytes()
}

/// Every recorded output of a real tool, as a step of its own: nearly every line means something to some parser.
fn every_tool() -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/detect");
    let mut text = Vec::new();
    let mut logs: Vec<_> =
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    logs.sort();
    for log in logs.iter().filter(|log| log.extension().is_some_and(|end| end == "log")) {
        text.extend_from_slice(format!("{STAMP}##[group]Run x\n{STAMP}shell: bash\n{STAMP}##[endgroup]\n").as_bytes());
        for line in std::fs::read(log).unwrap_or_default().split(|byte| *byte == b'\n').skip(1) {
            text.extend_from_slice(STAMP.as_bytes());
            text.extend_from_slice(line);
            text.push(b'\n');
        }
        text.extend_from_slice(format!("{STAMP}##[error]Process completed with exit code 1.\n").as_bytes());
    }
    text
}

fn detect(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("detect");
    group.sample_size(10);
    let logs = [("mostly green", mostly_green(8 << 20)), ("every tool's failure", every_tool())];
    for (name, log) in &logs {
        group.throughput(Throughput::Bytes(log.len() as u64));
        group.bench_with_input(BenchmarkId::from_parameter(name), log, |bencher, log| {
            bencher.iter(|| {
                let mut detector = Detector::new("log");
                log.chunks(1 << 16).for_each(|chunk| detector.feed(chunk));
                detector.finish()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, detect);
criterion_main!(benches);
