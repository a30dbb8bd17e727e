//! How much of what upstream changed the prompt shows, over real cases. Run by hand:
//! `TEST_REPAIR_CORPUS=/work/shared/corpus cargo test --lib context::tests::corpus -- --ignored --nocapture`

use std::process::Command;

use super::*;

/// The lines of the old version that a patch removes, and those that an insertion stands between.
fn sites(patch: &str) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    let (mut path, mut line, mut removed) = (String::new(), 0_usize, false);
    for text in patch.lines() {
        if let Some(old) = text.strip_prefix("--- a/") {
            path = old.trim().to_owned();
        } else if let Some(rest) = text.strip_prefix("@@ -") {
            line = rest.split([',', ' ']).next().unwrap().parse().unwrap();
        } else if text.starts_with('-') && !text.starts_with("---") {
            found.push((path.clone(), line));
            line += 1;
            removed = true;
        } else if text.starts_with('+') && !text.starts_with("+++") {
            // A line in its place may be put behind the one before it.
            if !removed && line > 1 {
                found.push((path.clone(), line - 1));
            }
            removed = true;
        } else if text.starts_with(' ') {
            line += 1;
            removed = false;
        }
    }
    found
}

#[test]
#[ignore = "measures on data beside the project"]
fn the_prompt_shows_what_upstream_changed() {
    let Ok(corpus) = std::env::var("TEST_REPAIR_CORPUS") else { return };
    let out = std::env::var("TEST_REPAIR_PROMPTS").ok();
    let mut report = String::new();
    let (mut all, mut whole, mut sizes) = (0, 0, Vec::<usize>::new());
    for group in ["cases", "wild"] {
        let mut cases: Vec<_> =
            fs::read_dir(Path::new(&corpus).join(group)).unwrap().map(|e| e.unwrap().path()).collect();
        cases.sort();
        for case in cases {
            let name = case.file_name().unwrap().to_str().unwrap().to_owned();
            let place = tempfile::tempdir().unwrap();
            let unpacked =
                Command::new("tar").arg("xzf").arg(case.join("repo.tar.gz")).arg("-C").arg(place.path()).status();
            assert!(unpacked.unwrap().success());
            let repository = fs::read_dir(place.path()).unwrap().next().unwrap().unwrap().path();
            let tree = Tree::snapshot(&repository).unwrap();
            let bytes = fs::read(case.join("ci.log")).unwrap();
            let mut detector = Detector::new("ci.log");
            detector.feed(&bytes);
            let Some(log) = detector.finish().into_iter().next() else { continue };
            let text = String::from_utf8_lossy(&bytes);
            let output: String = text
                .lines()
                .map(|line| line.split_once("Z ").map_or(line, |(_, rest)| rest))
                .collect::<Vec<_>>()
                .join("\n");
            let patch = fs::read_to_string(case.join("fix.patch")).unwrap_or_default();
            let mut seen: BTreeSet<(String, usize)> = BTreeSet::new();
            let mut causes: Vec<&str> = Vec::new();
            let mut bytes = Vec::new();
            let began = std::time::Instant::now();
            for failure in &log.failures {
                if causes.contains(&failure.fingerprint.as_str()) || causes.len() == 6 {
                    continue;
                }
                causes.push(&failure.fingerprint);
                let failures: Vec<Failure> =
                    log.failures.iter().filter(|f| f.fingerprint == failure.fingerprint).cloned().collect();
                let context = choose(
                    &Seen {
                        tree: &tree,
                        failures: &failures,
                        category: Some(failure.category),
                        enabled: &FixType::ALL,
                        command: failure.command.as_deref().unwrap_or(""),
                        python: log.python.as_deref().unwrap_or("3"),
                        installed: &log.steps.iter().flat_map(|s| s.installed.clone()).collect::<Vec<_>>(),
                        output: &output,
                    },
                    &Limits::default(),
                );
                let prompt = crate::repair::prompts::question(&context);
                bytes.push(prompt[1].content.len());
                if let Some(out) = &out {
                    fs::create_dir_all(out).unwrap();
                    let file = Path::new(out).join(format!("{name}-{}.txt", causes.len()));
                    fs::write(file, &prompt[1].content).unwrap();
                }
                for block in context.code.iter() {
                    let attribute = |name: &str| {
                        let rest = block.attributes.split_once(&format!("{name}=\""))?.1;
                        Some(rest.split_once('"')?.0.to_owned())
                    };
                    let path = attribute("path").unwrap();
                    let (first, last) = match attribute("lines") {
                        Some(lines) => {
                            let (first, last) = lines.split_once('-').unwrap();
                            (first.parse().unwrap(), last.parse().unwrap())
                        }
                        None => (1, 100_000),
                    };
                    seen.extend((first..=last.min(first + 20_000)).map(|line| (path.clone(), line)));
                }
            }
            let sites: Vec<_> =
                sites(&patch).into_iter().filter(|(p, _)| !p.starts_with("CHANGES") && !p.ends_with(".lock")).collect();
            let hit = sites.iter().filter(|site| seen.contains(*site)).count();
            if !sites.is_empty() {
                all += 1;
                whole += usize::from(hit == sites.len());
            }
            sizes.extend(&bytes);
            let missed: Vec<_> = sites.iter().filter(|site| !seen.contains(*site)).take(3).collect();
            report += &format!(
                "{hit:>3}/{:<3} {name:<42} bytes {bytes:?} {} ms {}\n",
                sites.len(),
                began.elapsed().as_millis(),
                if missed.is_empty() { String::new() } else { format!("missed {missed:?}") }
            );
        }
    }
    sizes.sort_unstable();
    report +=
        &format!("whole: {whole}/{all}; median bytes {}, largest {}\n", sizes[sizes.len() / 2], sizes[sizes.len() - 1]);
    fs::write(std::env::temp_dir().join("context-report.txt"), &report).unwrap();
}
