//! Tools of other languages, and checks of a project's own: enough to name the category.

use crate::detect::failure::{Category, Key};
use crate::detect::found::{Found, Sink, Weight};
use crate::detect::text::patterns;

patterns! {
    GO_TEST = r"^\s*--- FAIL: (\S+) \([\d.]+s\)$";
    GO_PLACE = r"^\s+(\S+_test\.go):(\d+): (.*)$";
    CARGO_TEST = r"^test (\S.*?) \.\.\. FAILED$";
    RUST = r"^error(?:\[(E\d+)\])?: (.+)$";
    RUST_PLACE = r"^\s*--> ([^:]+):(\d+):\d+$";
    TSC = r"^(\S[^(]*)\((\d+),\d+\): error (TS\d+): (.*)$";
    C = r"^((?:[A-Za-z]:)?[^:\s(][^:(]*\.(?:c|cc|cpp|cxx|h|hpp|cu|java|kt|m|mm))(?::(\d+)(?::\d+)?|\((\d+)(?:,\d+)?\)): (?:fatal )?error:? ?(\w*\d*):? (.*)$";
    VITEST = r"^\s*(?:❯|×|✗|FAIL)\s+(\S+\.(?:test|spec)\.[cm]?[jt]sx?)(?: > (.*))?$";
    JEST = r"^\s*● (.+ › .+)$";
    ESLINT = r"^\s+(\d+):(\d+)\s+error\s+(.*?)\s{2,}(\S+)$";
    ESLINT_FILE = r"^(/\S+|[A-Za-z]:\\\S+)$";
    PRETTIER = r"^\[warn\] (\S+)$";
    MAVEN = r"^(?:\d+ )?\[ERROR\]\s+([\w.$]+\.[A-Za-z_]\w*)(?:\(.*\))?(?::(\d+)|\s).*(?:FAILURE!|ERROR!|expected|->).*$";
    SUREFIRE = r"Tests run: .*<<< (?:FAILURE|ERROR)!.* in ([\w.$]+)$";
    GRADLE = r"^(\w+(?:\.\w+)*) > (.+?) FAILED$";
    AT = r"^\s*(?:❯|at .*\(|at )\s*([^\s():]+\.[cm]?[jt]sx?):(\d+):\d+\)?$";
    SUITE = r"^\s*FAIL\s+(\S+\.[cm]?[jt]sx?)";
    BENCH_ID = r"benchmark \('([^']+)'";
    BENCHMARK = r"(?i)^(?:REGRESSION: benchmark .*|.*Performance has regressed:?.*|.*performance regression.*)$";
}

/// The state between lines.
#[derive(Debug, Default)]
pub(super) struct Other {
    file: Option<String>,
    rust: Option<(Option<String>, String)>,
    go: Option<(String, u32, String)>,
    suite: Option<String>,
    classes: Vec<String>,
    failures: Option<Vec<String>>,
}

impl Other {
    /// Reads one line.
    pub(super) fn line(&mut self, line: &str, error: bool, sink: &mut Sink) {
        if let Some((code, message)) = self.rust.take() {
            if let Some(found) = RUST_PLACE.captures(line) {
                let rule = code.unwrap_or_else(|| "error".to_owned());
                finding(sink, Category::Build, "rustc", &found[1], &found[2], &rule, &message);
                return;
            }
            self.rust = Some((code, message)).filter(|_| line.starts_with(' '));
        }
        if let Some(failures) = &mut self.failures {
            let name = line.trim();
            if line.starts_with("    ") && !name.is_empty() && failures.len() < 1000 {
                failures.push(name.to_owned());
                return;
            }
            if name.starts_with("test result: FAILED") {
                let failures = self.failures.take().unwrap_or_default();
                failures.iter().for_each(|name| test(sink, "cargo", name, None));
                if failures.is_empty() {
                    let key =
                        Key::Command { command: sink.command.clone().unwrap_or_default(), error: "FAILED".to_owned() };
                    sink.push(Found::new(Category::UnitTest, "cargo", key, name).weigh(Weight::Cause));
                }
                return;
            }
            if !name.is_empty() {
                failures.clear();
            }
        }
        if line == "failures:" {
            self.failures = Some(Vec::new());
        } else if error && let Some(found) = TSC.captures(line) {
            let syntax = found[3].starts_with("TS1") && found[3].len() == 6;
            let category = if syntax || sink.runs("build") { Category::Build } else { Category::Quality };
            finding(sink, category, "tsc", &found[1], &found[2], &found[3], &found[4]);
        } else if line.contains(": error") || line.contains(": fatal error") || line.contains("error C") {
            if let Some(found) = TSC.captures(line) {
                finding(sink, Category::Quality, "tsc", &found[1], &found[2], &found[3], &found[4]);
            } else if let Some(found) = C.captures(line) {
                let number = found.get(2).or(found.get(3)).map_or("", |number| number.as_str()).to_owned();
                let message =
                    if found[4].is_empty() { found[5].to_owned() } else { format!("{} {}", &found[4], &found[5]) };
                finding(sink, Category::Build, "compiler", &found[1], &number, "error", &message);
            }
        } else if line.starts_with("error") {
            if let Some(found) = RUST.captures(line) {
                self.rust = Some((found.get(1).map(|code| code.as_str().to_owned()), found[2].to_owned()));
            }
        } else if line.contains("--- FAIL: ") {
            if let Some(found) = GO_TEST.captures(line) {
                let place = self.go.take();
                test(sink, "go", &found[1], place);
            }
        } else if line.contains("_test.go:") {
            if let Some(found) = GO_PLACE.captures(line)
                && self.go.is_none()
            {
                self.go = Some((found[1].to_owned(), found[2].parse().unwrap_or_default(), found[3].to_owned()));
            }
        } else if line.starts_with("test ") && line.ends_with("... FAILED") {
            if let Some(found) = CARGO_TEST.captures(line) {
                test(sink, "cargo", &found[1], None);
            }
        } else if line.contains(" › ") {
            if let Some(found) = JEST.captures(line) {
                test(sink, "jest", &found[1], None);
            }
        } else if line.contains("● Test suite failed to run") {
            if let Some(file) = self.suite.clone() {
                test(sink, "jest", &file, None);
                if let Some(last) = sink.found.last_mut().filter(|last| last.test_id.as_ref() == Some(&file)) {
                    last.category = Category::ImportDependency;
                    last.file = Some(file);
                    last.line = Some(1);
                }
            }
        } else if let Some(found) = at(line) {
            if let Some(last) =
                sink.found.iter_mut().rev().take(50).find(|last| last.tool == "vitest" || last.tool == "jest")
                && last.file.is_none()
                && !found.0.contains("node_modules")
            {
                last.file = Some(sink.paths.file(&found.0));
                last.line = found.1.parse().ok();
            }
        } else if line.contains(".test.") || line.contains(".spec.") {
            if let Some(found) = VITEST.captures(line)
                && let Some(name) = found.get(2)
            {
                test(sink, "vitest", &format!("{} > {}", &found[1], name.as_str()), None);
            } else if let Some(found) = SUITE.captures(line) {
                self.suite = Some(found[1].to_owned());
            }
        } else if line.contains(" error ") {
            if let Some(found) = ESLINT.captures(line)
                && let Some(file) = self.file.clone()
            {
                finding(sink, Category::Quality, "eslint", &file, &found[1], &found[4], &found[3]);
            }
        } else if line.starts_with("[warn] ") {
            if let Some(found) = PRETTIER.captures(line) {
                finding(sink, Category::Quality, "prettier", &found[1], "", "format", line);
            }
        } else if line.contains(" > ") && line.ends_with(" FAILED") {
            if let Some(found) = GRADLE.captures(line) {
                test(sink, "gradle", &format!("{}.{}", &found[1], &found[2]), None);
            }
        } else if line.contains("[ERROR]") {
            if let Some(found) = SUREFIRE.captures(line) {
                if self.classes.len() < 200 {
                    self.classes.push(found[1].to_owned());
                }
            } else if let Some(found) = MAVEN.captures(line) {
                let class = found[1].rsplit_once('.').map_or("", |(class, _)| class);
                let full = self.classes.iter().rev().find(|full| full.ends_with(&format!(".{class}")));
                let package = full.and_then(|full| full.strip_suffix(class)).unwrap_or_default();
                test(sink, "maven", &format!("{package}{}", &found[1]), None);
            }
        } else if (line.contains("egress") || line.starts_with("REGRESS")) && BENCHMARK.is_match(line) {
            let key = Key::Message { file: None, message: sink.paths.stable(line) };
            let mut failure = Found::new(Category::Benchmark, "benchmark", key, line).weigh(Weight::Cause);
            failure.test_id = BENCH_ID.captures(line).map(|found| found[1].to_owned());
            sink.push(failure);
        } else if line.starts_with(['/', 'C', 'D']) && ESLINT_FILE.is_match(line) {
            self.file = Some(line.to_owned());
        }
    }
}

fn at(line: &str) -> Option<(String, String)> {
    let text = line.trim_start();
    if !(text.starts_with('❯') || text.starts_with("at ")) {
        return None;
    }
    AT.captures(line).map(|found| (found[1].to_owned(), found[2].to_owned()))
}

fn finding(sink: &mut Sink, category: Category, tool: &'static str, file: &str, line: &str, rule: &str, message: &str) {
    let file = sink.paths.file(file);
    let key = Key::Finding { file: file.clone(), rule: rule.to_owned(), symbol: None };
    let found = Found::new(category, tool, key, &format!("{rule}: {message}")).because(format!("rule|{file}|{rule}"));
    sink.push(found.at(file, line.parse().ok()));
}

fn test(sink: &mut Sink, tool: &'static str, id: &str, place: Option<(String, u32, String)>) {
    let key = Key::Test { id: id.to_owned(), exception: None };
    if sink.found.iter().rev().take(500).any(|known| known.key == key) {
        return;
    }
    let mut found = Found::new(super::test_category(id), tool, key, id);
    found.test_id = Some(id.to_owned());
    if let Some((file, line, message)) = place {
        found.file = Some(file);
        found.line = Some(line);
        found.message = message;
    }
    sink.push(found);
}
