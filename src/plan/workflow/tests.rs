use super::*;

const CI: &str = "
name: CI
on: [push, pull_request]
env: {LEVEL: workflow, KEEP: '1'}
defaults: {run: {working-directory: ./backend}}
jobs:
  test:
    name: tests on ${{ matrix.python }}
    runs-on: ${{ matrix.os }}
    strategy:
      matrix:
        python: ['3.11', '3.12']
        os: [ubuntu-latest, windows-latest]
        exclude: [{os: windows-latest, python: '3.11'}]
    env: {LEVEL: job, TOKEN: '${{ secrets.TOKEN }}'}
    steps:
      - uses: actions/checkout@v5
      - uses: actions/setup-python@v6
        with: {python-version: '${{ matrix.python }}'}
      - run: pip install -e .
      - if: runner.os == 'Windows'
        run: choco install x
      - name: Test
        run: pytest -q -m 'not ${{ matrix.os }}'
        env: {LEVEL: step, PYTHONPATH: '${{ github.workspace }}/src'}
      - run: mypy src
        working-directory: .
      - if: github.event_name == 'push'
        run: ./release
  lint:
    runs-on: ubuntu-latest
    if: ${{ false }}
    container: python:3.12
    services: {db: {image: postgres}}
    steps: [{uses: ./.github/actions/lint, with: {what: src}}]
";
const LINT: &str = "
name: lint
inputs:
  what: {default: .}
  strict: {default: 'true'}
runs:
  using: composite
  steps:
    - {uses: actions/setup-python@v6, with: {python-version: '3.13'}}
    - {run: 'ruff check ${{ inputs.what }}', shell: bash}
    - {run: 'mypy ${{ inputs.what }}', shell: bash, if: \"inputs.strict == 'true'\", working-directory: '${{ inputs.what }}'}
";

fn workflows(files: &[(&str, &str)]) -> Workflows {
    Workflows::read(files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())))
}

fn cells(files: &[(&str, &str)]) -> Vec<Cell> {
    let workflows = workflows(files);
    assert_eq!(workflows.unreadable, []);
    workflows.cells(None, None)
}

fn ci() -> Vec<Cell> {
    cells(&[(".github/workflows/ci.yml", CI), (".github/actions/lint/action.yml", LINT)])
}

fn script(step: &CellStep) -> &str {
    match &step.kind {
        Kind::Run { script, .. } => script.written(),
        Kind::Uses { action, .. } => action,
    }
}

#[test]
fn every_cell_of_a_matrix_has_its_name_its_values_and_its_steps() {
    let cells = ci();
    let shown: Vec<(&str, &str)> =
        cells.iter().map(|cell| (cell.name.as_deref().unwrap_or_default(), cell.runs_on[0].as_str())).collect();
    assert_eq!(
        shown,
        [
            ("tests on 3.11", "ubuntu-latest"),
            ("tests on 3.12", "ubuntu-latest"),
            ("tests on 3.12", "windows-latest"),
            ("lint", "ubuntu-latest"),
        ]
    );
    let test = &cells[0];
    assert_eq!(python_of(test).as_deref(), Some("3.11"));
    let step = &test.steps[4];
    assert_eq!((step.title.as_str(), script(step)), ("Test", "pytest -q -m 'not ubuntu-latest'"));
    assert_eq!(step.directory, Text::Known("backend".to_owned()));
    let env = |name: &str| step.env.get(name).cloned();
    assert_eq!(env("LEVEL"), Some(Text::Known("step".to_owned())));
    assert_eq!(env("KEEP"), Some(Text::Known("1".to_owned())));
    assert_eq!(env("PYTHONPATH"), Some(Text::Known("$GITHUB_WORKSPACE/src".to_owned())));
    assert!(matches!(env("TOKEN"), Some(Text::Unknown(_, why)) if why == "secrets.TOKEN is a secret"));
    assert_eq!(test.steps[5].directory, Text::Known(String::new()));
    assert_eq!(test.steps[3].condition, Condition::No("runner.os == 'Windows'".to_owned()));
    assert!(matches!(&test.steps[6].condition, Condition::Unknown(why) if why.contains("github.event_name")));
}

#[test]
fn a_composite_action_of_the_repository_stands_in_its_step() {
    let lint = ci().pop().unwrap();
    assert_eq!(
        lint.steps.iter().map(script).collect::<Vec<_>>(),
        ["actions/setup-python", "ruff check src", "mypy src"]
    );
    assert_eq!(lint.steps[2].directory, Text::Known("src".to_owned()));
    assert_eq!((lint.steps[2].number, &lint.steps[2].condition), (1, &Condition::Yes));
    assert_eq!(lint.condition, Condition::No("${{ false }}".to_owned()));
    assert_eq!(
        (lint.container.as_deref(), lint.services),
        (Some("python:3.12"), vec![("db".to_owned(), "postgres".to_owned())])
    );
    assert_eq!(python_of(&ci()[3]).as_deref(), Some("3.13"));
}

#[test]
fn a_called_workflow_runs_with_what_its_caller_says_and_is_seen_through_it_alone() {
    let caller =
        "on: push\njobs:\n  go:\n    name: suite\n    uses: ./.github/workflows/test.yml\n    with: {flags: -x}\n";
    let called = "on:\n  workflow_call:\n    inputs:\n      flags: {type: string, required: false}\n      python: {type: string, default: '3.12'}\njobs:\n  unit:\n    runs-on: ubuntu-latest\n    steps:\n      - {uses: actions/setup-python@v6, with: {python-version: '${{ inputs.python }}'}}\n      - run: pytest ${{ inputs.flags }}\n";
    let cells = cells(&[(".github/workflows/ci.yml", caller), (".github/workflows/test.yml", called)]);
    let [cell] = cells.as_slice() else { panic!("{cells:?}") };
    assert_eq!((cell.name.as_deref(), cell.id.as_str()), (Some("suite / unit"), "go / unit"));
    assert_eq!((script(&cell.steps[1]), python_of(cell).as_deref()), ("pytest -x", Some("3.12")));
}

#[test]
fn a_matrix_that_only_github_knows_is_one_cell_that_says_so() {
    let text = "on: push\njobs:\n  a:\n    runs-on: x\n    strategy: {matrix: {v: '${{ fromJSON(needs.b.outputs.v) }}'}}\n    steps: [{run: 'pytest -k ${{ matrix.v }} tests'}]\n";
    let cells = cells(&[(".github/workflows/ci.yml", text)]);
    assert_eq!((cells.len(), cells[0].notes.len()), (1, 1), "{cells:?}");
    let wanted = Wanted { failing: Some("pytest -k fast tests"), ..Wanted::default() };
    assert_eq!(choose(&cells, &wanted).unwrap().failing, 0);
}

#[test]
fn a_log_is_of_the_cell_that_it_names_and_whose_script_it_shows() {
    let cells = ci();
    let wanted =
        Wanted { name: Some("tests on 3.12"), failing: Some("pytest -q -m 'not ubuntu-latest'"), ..Wanted::default() };
    let choice = choose(&cells, &wanted).unwrap();
    assert_eq!((choice.cell, choice.failing), (&cells[1], 4));
    let wanted = Wanted { tools: vec!["pytest"], python: Some("3.12.4"), ..Wanted::default() };
    assert_eq!(choose(&cells, &wanted).unwrap().cell, &cells[1]);
    let matrix = [("os".to_owned(), "windows-latest".to_owned())];
    let wanted = Wanted { tools: vec!["pytest"], matrix: &matrix, ..Wanted::default() };
    assert_eq!(choose(&cells, &wanted).unwrap().cell, &cells[2]);
    assert!(choose(&cells, &Wanted { failing: Some("make"), ..Wanted::default() }).is_err());
    assert!(choose(&[], &Wanted::default()).is_err());
}

#[test]
fn two_jobs_with_the_same_command_are_told_apart_by_the_logs_job_name_or_not_at_all() {
    let text = "on: push\njobs:\n  a: {runs-on: x, steps: [{run: make}, {run: one}]}\n  b: {runs-on: x, steps: [{run: make}, {run: two}]}\n";
    let cells = cells(&[(".github/workflows/ci.yml", text)]);
    let named = |name| Wanted { name: Some(name), failing: Some("make"), ..Wanted::default() };
    assert!(choose(&cells, &named("lint")).unwrap_err().contains("several jobs"));
    assert_eq!(choose(&cells, &named("b")).unwrap().cell.id, "b");
    assert_eq!(choose(&cells, &Wanted { id: Some("a"), ..named("lint") }).unwrap().cell.id, "a");
}

#[test]
fn a_script_is_the_same_when_its_expressions_could_become_it() {
    assert!(same_script("pytest -q ${{ matrix.extra }} tests", "pytest -q  --fast tests"));
    assert!(same_script("cd $GITHUB_WORKSPACE/x && make check", "cd /home/runner/work/a/a/x && make check"));
    assert!(!same_script("pytest", "pytest -q"));
    assert!(!same_script("${{ x }}", "anything"));
}

#[test]
fn a_file_that_is_no_workflow_is_named_and_left_out() {
    let read = workflows(&[(".github/workflows/a.yml", "- just\n- a list\n"), (".github/workflows/b.yml", CI)]);
    assert_eq!((read.files.len(), read.unreadable.len()), (1, 1));
    assert_eq!(read.unreadable[0].0, ".github/workflows/a.yml");
}

#[test]
fn one_job_that_cannot_be_read_hides_no_other() {
    let text = "on: push\njobs:\n  odd: {runs-on: x, steps: 7}\n  bare: {steps: [{run: make}]}\n  good: {runs-on: x, steps: [{run: pytest}]}\n";
    let read = workflows(&[(".github/workflows/a.yml", text)]);
    let mut ids: Vec<String> = read.cells(None, None).into_iter().map(|cell| cell.id).collect();
    ids.sort();
    assert_eq!(ids, ["bare", "good"]);
    assert!(read.unreadable[0].1.starts_with("job odd: "), "{:?}", read.unreadable);
}

proptest::proptest! {
    #[test]
    fn no_mangled_workflow_panics(cut in 0usize..CI.len(), length in 0usize..60, text in "[a-z${}:\\[\\]'\"&*\n -]{0,40}") {
        let end = (cut + length).min(CI.len());
        let mangled = format!("{}{text}{}", &CI[..cut], &CI[end..]);
        let read = workflows(&[(".github/workflows/ci.yml", &mangled), (".github/actions/lint/action.yml", LINT)]);
        let cells = read.cells(None, Some("3.12"));
        let _ = choose(&cells, &Wanted { tools: vec!["pytest"], ..Wanted::default() });
    }
}
