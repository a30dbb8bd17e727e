//! Coverage is worth what its tests assert: what they run is broken, a little at a time, and they must notice.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use super::{
    LARGEST_SOURCE, Ruling,
    choose::{self, Fate, Site},
    covered::{self, Lines},
    edited, left_by,
    mutants::{self, Mutant},
};
use crate::{
    detect::Category,
    integrity::{AddedTest, added_tests, is_test_file, on_a_deep_stack},
    observe::{Observed, TestOutcome},
    plan::{Check, Origin},
    progress::Progress,
    repair::{
        launch::{Launch, is_of},
        reproduce::{Baseline, run_check},
    },
    sandbox::{Ended, Limits, Prepared, Sandbox, SandboxError, describe},
    workspace::{Change, Tree},
};

/// The least time that breaking things gets.
const TIME_BOX: Duration = Duration::from_secs(60);

/// The least time that the tests get to notice one mutant.
const PATIENCE: Duration = Duration::from_secs(20);

/// What coverage.py leaves, at the tree's root: reports and homes do not outlast a run.
const REPORT: &str = ".test-repair-coverage.json";

/// Do the tests that the change adds assert what the code does?
pub(super) async fn prove(
    sandbox: &dyn Sandbox,
    tree: &Tree,
    baselines: &[Baseline],
    change: &Change,
    progress: &Progress,
) -> Result<Ruling, SandboxError> {
    let added = added_tests(tree, change);
    let not_shown = |why: &str| Ok(Ruling::NotShown { why: vec![why.to_owned()] });
    if added.is_empty() {
        return not_shown("the change adds no test: nothing shows that what is covered now is checked");
    }
    let silent = added.iter().filter(|test| test.new && !test.asserts);
    let reasons: Vec<String> = silent.map(|test| format!("{} asserts nothing", name(test))).collect();
    if !reasons.is_empty() {
        return Ok(Ruling::Fails { reasons });
    }
    let of_coverage = |b: &&Baseline| b.claimed().iter().any(|f| f.category == Category::Coverage);
    let Some(baseline) = baselines.iter().find(of_coverage).or(baselines.first()) else {
        return not_shown("no job was reproduced in which the new tests could run");
    };
    let candidate = tree.with(change)?;
    let recipe = baseline.recipe();
    let mut bench = Bench {
        prepared: sandbox.prepare(recipe, &candidate, true).await?,
        launch: Launch::of(baseline),
        baseline,
        added: &added,
        progress,
    };
    let (alone, lines) = bench.covered(None).await?;
    let before = match &lines {
        Some(_) if !alone.passed() => return not_shown("the new tests do not pass when they run alone"),
        Some(_) => bench.covered_before(sandbox, tree).await?,
        None => None,
    };
    let Some(material) = on_a_deep_stack(|| Material::of(&candidate, change, &added, lines.as_ref(), before.as_ref()))
    else {
        return not_shown("what the new tests run could not be read");
    };
    let stage = progress.begin("prove", "the new tests, with the code spelled otherwise");
    bench.prepared.refresh(&candidate.with(&material.respelled)?).await?;
    let everything: Vec<usize> = (0..added.len()).collect();
    let control = bench.run(&everything, recipe.timeout).await?;
    stage.end(if control.passed() { "passed" } else { "failed" });
    if !control.passed() {
        return Ok(match lines {
            None => Ruling::NotShown {
                why: vec![format!("the new tests do not pass when they run alone: {}", describe(control.ended))],
            },
            Some(_) => Ruling::Fails {
                reasons: vec![
                    "the new tests fail when the code is only spelled otherwise: they read it, or pass by chance"
                        .to_owned(),
                ],
            },
        });
    }
    bench.break_things(&candidate, &material, control.seconds).await
}

fn name(test: &AddedTest) -> String {
    format!("{}::{}", test.file, test.qual.replace('.', "::"))
}

/// What can be broken.
struct Material {
    mutants: Vec<Mutant>,
    sites: Vec<Site>,
    texts: BTreeMap<String, String>,
    /// Each of the files, with the same meaning in other words.
    respelled: Change,
}

impl Material {
    fn of(
        candidate: &Tree,
        change: &Change,
        added: &[AddedTest],
        lines: Option<&Lines>,
        before: Option<&Lines>,
    ) -> Material {
        let mut material =
            Material { mutants: Vec::new(), sites: Vec::new(), texts: BTreeMap::new(), respelled: Change::default() };
        let names: BTreeSet<&str> = added.iter().flat_map(|test| &test.names).map(String::as_str).collect();
        for path in candidate.paths().into_iter().filter(|p| p.ends_with(".py") && !is_test_file(p)) {
            if lines.is_some_and(|lines| !lines.contains_key(&path)) {
                continue;
            }
            let Some(text) = candidate.read(&path).and_then(|bytes| String::from_utf8(bytes).ok()) else { continue };
            if text.len() > LARGEST_SOURCE || lines.is_none() && !names.iter().any(|name| text.contains(name)) {
                continue;
            }
            let mut made = mutants::mutants(&path, &text);
            let mut sites = Vec::new();
            made.retain(|mutant| {
                let tests = match lines.and_then(|lines| lines.get(&path)) {
                    Some(lines) => by_lines(mutant, lines, added),
                    None => by_name(mutant, added),
                };
                let ran_before = |before: &Lines| before.get(&path).is_some_and(|l| l.contains_key(&mutant.line));
                // Lines of a file that the change touches are not the ones of before.
                let fresh = change.files.contains_key(&path) || !before.is_some_and(ran_before);
                if !tests.is_empty() {
                    let function = format!("{path} {}", mutant.function);
                    sites.push(Site { function, kind: mutant.kind, line: mutant.line, tests: tests.clone(), fresh });
                }
                !tests.is_empty()
            });
            let Some(respelled) = mutants::respelled(&text, &made) else { continue };
            material.respelled.files.insert(path.clone(), edited(candidate, &path, &text, respelled));
            material.mutants.extend(made);
            material.sites.extend(sites);
            material.texts.insert(path, text);
        }
        material
    }
}

/// The tests that run a mutant's line. A line that no test is known to have run (in a fixture, in a coroutine) counts
/// for those that are known to have run none, and for a test that was alone.
fn by_lines(mutant: &Mutant, lines: &BTreeMap<u32, BTreeSet<String>>, added: &[AddedTest]) -> BTreeSet<usize> {
    let Some(contexts) = lines.get(&mutant.line) else { return BTreeSet::new() };
    let ran = |test: &AddedTest, contexts: &BTreeSet<String>| {
        contexts.iter().any(|context| is_of(context, &test.file, &test.qual))
    };
    let own: BTreeSet<usize> = (0..added.len()).filter(|test| ran(&added[*test], contexts)).collect();
    if !own.is_empty() {
        return own;
    }
    let idle = |test: &AddedTest| added.len() == 1 || !lines.values().any(|contexts| ran(test, contexts));
    (0..added.len()).filter(|test| idle(&added[*test])).collect()
}

/// Without coverage.py: the tests that name the mutant's function.
fn by_name(mutant: &Mutant, added: &[AddedTest]) -> BTreeSet<usize> {
    let mut parts = mutant.function.rsplit('.');
    let name = match parts.next() {
        Some("__init__" | "__post_init__" | "__call__" | "__new__") => parts.next().unwrap_or_default(),
        own => own.unwrap_or_default(),
    };
    (0..added.len()).filter(|test| added[*test].names.contains(name)).collect()
}

/// Where the new tests run.
struct Bench<'a> {
    prepared: Box<dyn Prepared>,
    launch: Launch,
    baseline: &'a Baseline,
    added: &'a [AddedTest],
    progress: &'a Progress,
}

impl Bench<'_> {
    /// Runs the new tests under coverage.py; no lines where it is not installed. With `whole`, the job's own tests.
    async fn covered(&self, whole: Option<&dyn Prepared>) -> Result<(Observed, Option<Lines>), SandboxError> {
        let prepared = whole.unwrap_or(&*self.prepared);
        let root = prepared.root().display().to_string();
        let (arguments, what, wall) = match whole {
            Some(_) => (self.launch.all(), "what the tests before the change run", self.patience()),
            None => {
                let all: Vec<&AddedTest> = self.added.iter().collect();
                let arguments = self.launch.only(&all, &root, &self.baseline.recipe().directory);
                (arguments, "what the new tests run", self.baseline.recipe().timeout)
            }
        };
        let (data, config) = (format!("{root}/.test-repair-coverage"), format!("{root}/.test-repair-coveragerc"));
        let report = format!("{root}/{REPORT}");
        let settings = format!(
            "[run]\ndata_file = {data}\ninclude = {root}/*\ndynamic_context = test_function\n[json]\nshow_contexts = True\n"
        );
        let quote = |text: &str| shell_words::quote(text).into_owned();
        let (python, config_quoted) = (self.launch.python(), quote(&config));
        let script = format!(
            "{start}\nprintf %s {settings} > {config_quoted}\nexport COVERAGE_CORE=ctrace\ncode=0\n\
             {python} -m coverage run --rcfile={config_quoted} {arguments} || code=$?\n\
             {python} -m coverage json --rcfile={config_quoted} -o {report} > /dev/null || true\nexit $code",
            start = self.start(prepared),
            settings = quote(&settings),
            report = quote(&report),
        );
        let stage = self.progress.begin("prove", what);
        let run = run_check(prepared, &check(script), Limits { wall, ..Limits::default() }).await?;
        let paths = paths_below(prepared);
        let lines = left_by(prepared, REPORT).and_then(|report| covered::read(&report, &root, &paths));
        stage.end(match &lines {
            Some(_) => "measured",
            None => "not measured",
        });
        Ok((run, lines))
    }

    /// What the job's tests ran before the change; `None` where that can't be measured in time.
    async fn covered_before(&self, sandbox: &dyn Sandbox, tree: &Tree) -> Result<Option<Lines>, SandboxError> {
        let prepared = sandbox.prepare(self.baseline.recipe(), tree, false).await?;
        let (run, lines) = self.covered(Some(&*prepared)).await?;
        Ok(lines.filter(|_| matches!(run.ended, Ended::Exit(0 | 1))))
    }

    fn patience(&self) -> Duration {
        let seconds: f64 = self.baseline.runs().iter().map(|[first, _]| first.seconds).sum();
        Duration::from_secs(120).max(Duration::from_secs_f64(3.0 * seconds))
    }

    /// What every script begins with. Where the project was copied into the environment, the tree goes before the copy.
    fn start(&self, prepared: &dyn Prepared) -> String {
        let mut start = self.launch.prefix().to_owned();
        if prepared.copies_project() {
            let root = prepared.root().display().to_string();
            let path = shell_words::quote(&format!("{root}/src:{root}")).into_owned();
            start += &format!("\nexport PYTHONPATH={path}${{PYTHONPATH:+:$PYTHONPATH}}");
        }
        start
    }

    /// Runs these of the new tests, as they are.
    async fn run(&self, tests: &[usize], wall: Duration) -> Result<Observed, SandboxError> {
        let tests: Vec<&AddedTest> = tests.iter().filter_map(|test| self.added.get(*test)).collect();
        let root = self.prepared.root().display().to_string();
        let arguments = self.launch.only(&tests, &root, &self.baseline.recipe().directory);
        let script = format!("{}\n{} {arguments}", self.start(&*self.prepared), self.launch.python());
        run_check(&*self.prepared, &check(script), Limits { wall, ..Limits::default() }).await
    }

    async fn break_things(
        &mut self,
        candidate: &Tree,
        material: &Material,
        seconds: f64,
    ) -> Result<Ruling, SandboxError> {
        let names: Vec<String> = self.added.iter().map(name).collect();
        let time = TIME_BOX.max(Duration::from_secs_f64(seconds * 10.0));
        let wall = PATIENCE.max(Duration::from_secs_f64(seconds * 5.0));
        let begun = Instant::now();
        let mut fates: Vec<Fate> = Vec::new();
        let mut complete = true;
        for index in choose::order(&material.sites) {
            let (site, mutant) = (&material.sites[index], &material.mutants[index]);
            if !choose::wanted(site, &material.sites, &fates) {
                continue;
            }
            if begun.elapsed() >= time {
                complete = false;
                break;
            }
            let Some(text) = material.texts.get(&mutant.file) else { continue };
            let Some(Some(mutated)) = on_a_deep_stack(|| mutant.applied(text)) else { continue };
            let what = mutant.describe(text);
            let stage = self.progress.begin("prove", format!("broken: {what}"));
            let file = edited(candidate, &mutant.file, text, mutated);
            let broken = candidate.with(&Change { files: BTreeMap::from([(mutant.file.clone(), file)]) })?;
            self.prepared.refresh(&broken).await?;
            let tests: Vec<usize> = site.tests.iter().copied().collect();
            let run = self.run(&tests, wall).await?;
            let killers = killers(&run, &tests, self.added);
            stage.end(if killers.is_empty() { "not noticed" } else { "noticed" });
            fates.push(Fate { site: index, killers, what });
        }
        Ok(choose::ruling(&names, &material.sites, &fates, complete))
    }
}

/// The tests that noticed: those that failed, and those that a run which failed did not come to report.
fn killers(run: &Observed, tests: &[usize], added: &[AddedTest]) -> BTreeSet<usize> {
    if run.passed() {
        return BTreeSet::new();
    }
    let noticed = |test: &AddedTest| {
        let mut reported = run
            .tests
            .iter()
            .flatten()
            .filter(|(id, _)| is_of(id, &test.file, &test.qual))
            .map(|(_, outcome)| *outcome)
            .peekable();
        reported.peek().is_none() || reported.any(|outcome| outcome == TestOutcome::Failed)
    };
    tests.iter().copied().filter(|test| noticed(&added[*test])).collect()
}

fn check(script: String) -> Check {
    Check::new(script, Origin::Log, "")
}

/// The Python files of a prepared tree, repository-relative.
fn paths_below(prepared: &dyn Prepared) -> Vec<String> {
    let walk = walkdir::WalkDir::new(prepared.root()).sort_by_file_name().into_iter();
    let files = walk.filter_entry(|e| e.file_name() != ".git").filter_map(Result::ok);
    let python = files.filter(|e| e.file_type().is_file() && e.path().extension().is_some_and(|x| x == "py"));
    python.filter_map(|e| Some(e.path().strip_prefix(prepared.root()).ok()?.to_str()?.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(qual: &str) -> AddedTest {
        AddedTest {
            file: "tests/test_a.py".to_owned(),
            qual: qual.to_owned(),
            new: true,
            asserts: true,
            names: BTreeSet::from(["total".to_owned(), "Cart".to_owned()]),
        }
    }

    fn first_mutant(text: &str) -> Mutant {
        mutants::mutants("shop.py", text).remove(0)
    }

    #[test]
    fn a_line_belongs_to_the_tests_that_ran_it() {
        let mutant = first_mutant("def total(a):\n    return a\n");
        let added = [test("test_x"), test("test_y"), test("test_idle")];
        let contexts = |names: &[&str]| names.iter().map(|n| format!("tests.test_a.{n}")).collect::<BTreeSet<_>>();
        let lines = BTreeMap::from([(2, contexts(&["test_x"])), (5, contexts(&["test_y"]))]);
        assert_eq!(by_lines(&mutant, &lines, &added), BTreeSet::from([0]));
        // Of a line that ran in a fixture, the test that is not known to have run any is taken.
        let lines = BTreeMap::from([(2, BTreeSet::new()), (5, contexts(&["test_x", "test_y"]))]);
        assert_eq!(by_lines(&mutant, &lines, &added), BTreeSet::from([2]));
        assert_eq!(by_lines(&mutant, &BTreeMap::new(), &added), BTreeSet::new());
    }

    #[test]
    fn without_coverage_a_function_belongs_to_the_tests_that_name_it() {
        let added = [test("test_x")];
        let owned = |text| by_name(&first_mutant(text), &added).len();
        assert_eq!(owned("def total(a):\n    return a\n"), 1);
        assert_eq!(owned("class Cart:\n    def __init__(self):\n        self.go()\n"), 1);
        assert_eq!(owned("def other(a):\n    return a\n"), 0);
    }

    fn observed(code: i32, tests: Option<&[(&str, TestOutcome)]>) -> Observed {
        Observed {
            ended: Ended::Exit(code),
            seconds: 0.0,
            failures: Vec::new(),
            tests: tests.map(|t| t.iter().map(|(id, o)| ((*id).to_owned(), *o)).collect()),
            findings: None,
            touched: BTreeSet::new(),
            output: Vec::new(),
        }
    }

    #[test]
    fn a_mutant_is_killed_by_the_tests_that_fail_and_by_those_that_a_crash_swallows() {
        let added = [test("test_x"), test("test_y")];
        let report = [
            ("tests/test_a.py::test_x", TestOutcome::Passed),
            ("tests/test_a.py::test_y[1]", TestOutcome::Failed),
            ("tests/test_a.py::test_y[2]", TestOutcome::Passed),
        ];
        assert_eq!(killers(&observed(1, Some(&report)), &[0, 1], &added), BTreeSet::from([1]));
        assert_eq!(killers(&observed(139, None), &[0, 1], &added), BTreeSet::from([0, 1]));
        assert_eq!(killers(&observed(0, Some(&report[..1])), &[0], &added), BTreeSet::new());
    }
}
