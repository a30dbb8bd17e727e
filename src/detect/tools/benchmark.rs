//! Benchmarks that got slower: pytest-benchmark, asv, and what projects print of their own.

use super::{Kind, Read, Tool};
use crate::detect::failure::{Category, Key};
use crate::detect::found::{Found, Sink, Weight};
use crate::detect::text::{bounded, patterns};

patterns! {
    REGRESSED = r#"(?xi)^(?:
          .*\bPerformance\ has\ regressed.*
        | .*\bperformance\ (?:regression|degradation)s?\b.*
        | (?:error:\ |\#+\ )?REGRESSION\b.*\bbenchmark.*
        | .*\bbenchmarks?\b.*\b(?:regressed|(?:is|got|was)\ [\d.]+\ ?[%x]\ slower\ than)\b.*
        | .*\bPERFORMANCE\ (?:ALERT|DECREASED)\b.*
        )$"#;
    ITEM = r"^\t(\S+ \([^)]*\)|\S+) - (Field '.*)$";
    NAMED = r#"benchmark[s:]? \(?['"`]([^'"`]+)['"`]"#;
    TABLE = r"^(\w[\w./-]*)\s{2,}FAIL:\s+(\S.*)$";
}

pub(super) const TOOL: Kind =
    Kind::new(&["egress", "EGRESS", "slower than", "degradation", "PERFORMANCE ", "- Field '", "FAIL:"], || {
        Box::<Benchmark>::default()
    })
    .in_session();

#[derive(Debug, Default)]
struct Benchmark {
    listing: bool,
}

impl Tool for Benchmark {
    fn line(&mut self, line: &str, sink: &mut Sink) -> Read {
        if self.listing {
            if let Some(found) = ITEM.captures(line) {
                let name = found[1].split(' ').next().unwrap_or_default().to_owned();
                push(sink, "pytest-benchmark", Some(&name), found[0].trim(), Weight::Finding);
                return Read::Taken;
            }
            self.listing = line.trim().is_empty();
        }
        // A table of items, of which each passes or not.
        if (sink.runs("benchmarks") || sink.runs("benchmark"))
            && let Some(found) = TABLE.captures(line)
        {
            push(sink, "benchmark", Some(&found[1]), line.trim(), Weight::Finding);
            return Read::Taken;
        }
        if !REGRESSED.is_match(line) || line.len() > 1000 {
            return Read::Pass;
        }
        if line.contains("Performance has regressed") {
            // pytest-benchmark names the benchmarks on the lines that follow.
            self.listing = true;
            return Read::Pass;
        }
        let id = NAMED.captures(line).map(|found| found[1].to_owned());
        push(sink, "benchmark", id.as_deref(), line.trim(), Weight::Cause);
        Read::Taken
    }

    fn open(&self) -> bool {
        self.listing
    }
}

fn push(sink: &mut Sink, tool: &'static str, id: Option<&str>, text: &str, weight: Weight) {
    let key = match id {
        Some(id) => Key::Test { id: id.to_owned(), exception: Some("regression".to_owned()) },
        None => Key::Message { file: None, message: sink.paths.stable(text) },
    };
    let mut found = Found::new(Category::Benchmark, tool, key, bounded(text, 1000)).weigh(weight);
    found.test_id = id.map(str::to_owned);
    sink.push_once(found);
}
