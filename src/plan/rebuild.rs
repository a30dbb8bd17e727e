//! The job, step by step: of the log, of the workflow's cell that the log is of, of the project's own files.

use std::collections::BTreeMap;

use super::{
    Check, Job, Line, Origin, Overrides, Skipped, Sources,
    actions::{self, Known},
    commands::{self, builds, in_workspace, installs_what_was_built, is_posix},
    place::{Place, is_the_runners},
    shell::{self, Purpose},
    workflow::{self, Cell, CellStep, Choice, Condition, Kind, Text, Wanted},
};
use crate::{
    detect::{JobLog, Step, StepKind},
    sandbox::Network,
};

/// How a step of the job stands to its failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Passed,
    /// CI never reached it.
    Later,
    Failed,
    /// It failed, and the log blames its installation.
    FailedInstallation,
}

/// Tools whose failure is an installation's.
const INSTALLERS: &[&str] = &["pip", "uv", "poetry", "pdm", "setuptools", "hatchling", "conda"];

/// Every job of the workflows, as far as the log lets them be known.
pub(super) fn cells(log: &JobLog, sources: &Sources, overrides: &Overrides) -> Vec<Cell> {
    // Of a matrix that only GitHub knows, the newest Python that is here will do.
    let assumed = log.python.as_deref().or(sources.pythons.last().map(String::as_str));
    sources.workflows.cells(overrides.workflow.as_deref(), assumed)
}

/// Which of them the log is of.
///
/// # Errors
/// In words, why none.
pub(super) fn chosen<'a>(
    cells: &'a [Cell],
    log: &JobLog,
    sources: &Sources,
    overrides: &Overrides,
) -> Result<Choice<'a>, String> {
    workflow::choose(cells, &wanted(log, failing(log), sources, overrides))
}

fn failing(log: &JobLog) -> Option<usize> {
    log.steps.iter().position(|step| step.failed).or_else(|| last_run(&log.steps))
}

pub(super) fn rebuild(log: &JobLog, sources: &Sources, overrides: &Overrides) -> Job {
    let cells = cells(log, sources, overrides);
    let failing = failing(log);
    let choice = chosen(&cells, log, sources, overrides);
    let mut job = Job::named(log.job.clone().unwrap_or_else(|| log.log.clone()));
    let part = match installation_failed(log) {
        true => Part::FailedInstallation,
        false => Part::Failed,
    };
    if let Ok(choice) = &choice {
        job.note_cell(choice);
    }
    job.choose_python(log, choice.as_ref().ok().map(|choice| choice.cell), sources, overrides);
    let shown = log.steps.iter().any(|step| matches!(step.kind, StepKind::Run { .. }));
    match (&choice, shown) {
        (_, true) => {
            job.of_log(log, failing, part, choice.as_ref().ok().map(|choice| choice.cell));
            match &choice {
                Ok(choice) => job.later(choice, log),
                Err(why) if !cells.is_empty() => {
                    let why = format!("{why}: the log alone decides, and later steps are unknown");
                    job.skipped.push(skip("workflow files", &why));
                }
                Err(_) => {}
            }
        }
        (Ok(choice), false) if lock_of_another(log, choice) => {
            job.of_project(log, sources, "no job runs the tool whose lock is at fault");
        }
        (Ok(choice), false) => {
            job.of_cell(choice, part);
            job.later(choice, log);
        }
        (Err(why), false) => job.of_project(log, sources, why),
    }
    if let Some(target) = sources.project.default_target() {
        job.make_alone(target, failing.and_then(|at| log.steps.get(at)).map(|step| step.name.as_str()));
    }
    for (path, why) in &sources.workflows.unreadable {
        job.skipped.push(skip(path, &format!("it can't be read: {why}")));
    }
    if !overrides.commands.is_empty() {
        job.checks = overrides.commands.iter().map(|command| Check::new(command, Origin::Flag, "--command")).collect();
    }
    job.finish();
    job
}

fn wanted<'a>(log: &'a JobLog, failing: Option<usize>, sources: &'a Sources, overrides: &'a Overrides) -> Wanted<'a> {
    let script = |step: &'a Step| match &step.kind {
        StepKind::Run { script, .. } => Some(script.as_str()),
        StepKind::Uses { .. } => None,
    };
    let mut tools: Vec<&str> = log.failures.iter().map(|failure| failure.tool.as_str()).take(200).collect();
    tools.dedup();
    let named = |tool: &&'a str| match *tool {
        "pytest-cov" => "pytest",
        "ruff-format" => "ruff",
        other => other,
    };
    Wanted {
        id: overrides.job.as_deref(),
        matrix: &overrides.matrix,
        name: log.job.as_deref(),
        scripts: log.steps.iter().filter_map(script).collect(),
        failing: failing.and_then(|index| log.steps.get(index)).and_then(script),
        tools: tools.iter().map(named).collect(),
        python: log.python.as_deref(),
        pythons: &sources.pythons,
    }
}

/// Does the log blame an installation?
fn installation_failed(log: &JobLog) -> bool {
    log.failures.iter().any(|failure| INSTALLERS.contains(&failure.tool.as_str()))
        && !log.failures.iter().any(|failure| failure.test_id.is_some())
}

/// Is a lock at fault that the chosen step has nothing to do with: only that it may start anything?
fn lock_of_another(log: &JobLog, choice: &Choice<'_>) -> bool {
    let Some(failure) = log.failures.first().filter(|f| f.file.as_deref().is_some_and(|file| file.ends_with(".lock")))
    else {
        return false;
    };
    match choice.cell.steps.get(choice.failing).map(|step| &step.kind) {
        Some(Kind::Run { script, .. }) => {
            !script.written().lines().any(|line| shell::words_of(line).contains(&failure.tool))
        }
        _ => false,
    }
}

impl Job {
    pub(super) fn named(name: String) -> Job {
        Job {
            name,
            workflow: None,
            python: String::new(),
            python_from: "",
            env: BTreeMap::new(),
            directory: String::new(),
            install: Vec::new(),
            setup: Vec::new(),
            checks: Vec::new(),
            skipped: Vec::new(),
            versions: Vec::new(),
            copies_project: false,
            packages: Vec::new(),
        }
    }

    fn choose_python(&mut self, log: &JobLog, cell: Option<&Cell>, sources: &Sources, overrides: &Overrides) {
        let named = [
            (overrides.python.clone(), "--python"),
            (log.python.clone(), "the log"),
            (cell.and_then(workflow::python_of), "the workflow"),
            (cell.filter(|cell| !cell.notes.is_empty()).and_then(|_| sources.pythons.last().cloned()), "this machine"),
            (sources.project.python(), ".python-version"),
        ];
        match named.into_iter().find_map(|(version, from)| Some((version?, from))) {
            Some((version, from)) => (self.python, self.python_from) = (version, from),
            None => {
                (self.python, self.python_from) = ("3".to_owned(), "this machine");
                let why = "neither the log nor the workflow names one: this machine's python3 is taken";
                self.skipped.push(skip("Python version", why));
            }
        }
    }

    /// What the workflow says of the job as a whole.
    pub(super) fn note_cell(&mut self, choice: &Choice<'_>) {
        let cell = choice.cell;
        let values: Vec<String> = cell.matrix.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let values = if values.is_empty() { String::new() } else { format!(" ({})", values.join(", ")) };
        self.workflow = Some(format!("{}: {}{values}", cell.file, cell.id));
        if let Some(image) = &cell.container {
            self.skipped
                .push(skip(&format!("container {image}"), "the local sandbox has this machine's system instead"));
        }
        if !cell.services.is_empty() {
            let names: Vec<&str> = cell.services.iter().map(|(name, _)| name.as_str()).collect();
            let what = format!("services {}", names.join(", "));
            self.skipped.push(skip(&what, "the local sandbox has no services"));
        }
        for note in &cell.notes {
            self.skipped.push(skip("workflow files", note));
        }
        if !choice.also.is_empty() {
            let why = format!("it runs what failed; so do {}: --workflow and --job say which", choice.also.join(", "));
            self.skipped.push(skip(&format!("job {}", cell.id), &why));
        }
    }

    /// The steps that the log shows.
    fn of_log(&mut self, log: &JobLog, failing: Option<usize>, part: Part, cell: Option<&Cell>) {
        let written = |step: &Step| {
            let StepKind::Run { script, .. } = &step.kind else { return None };
            cell?.steps.iter().find(|own| runs(own, script))
        };
        if let Some(step) = failing.and_then(|index| log.steps.get(index)) {
            let below = log.workspace.as_deref().and_then(|root| step.directory.as_deref()?.strip_prefix(root));
            let written = written(step).and_then(|step| step.directory.known());
            let directory = below.filter(|below| !below.is_empty()).or(written).unwrap_or_default();
            self.directory = directory.trim_matches('/').to_owned();
        }
        for (index, step) in log.steps.iter().enumerate() {
            let part = if failing == Some(index) { part } else { Part::Passed };
            let directory = written(step).and_then(|step| step.directory.known()).map(str::to_owned);
            let place = Place { step: step.name.clone(), directory, env: Vec::new() };
            match &step.kind {
                StepKind::Uses { action, with } => {
                    let with = with.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect();
                    self.uses(action, &with, Origin::Log, &place);
                }
                StepKind::Run { script, shell } => {
                    if shell.as_deref().is_some_and(|shell| !is_posix(shell)) {
                        self.skipped.push(skip(script, "its shell is not a POSIX one"));
                    } else if script.contains("GITHUB_ACTION_PATH") {
                        self.skipped.push(skip(script, "it is an action's own program, which is not here"));
                    } else {
                        let script = in_workspace(script, log.workspace.as_deref());
                        self.script(&script, Origin::Log, part, &place);
                    }
                }
            }
            self.take_environment(step, failing == Some(index), log.workspace.as_deref());
            let own = |name: &String| step.local_packages.contains(name);
            self.versions.extend(step.installed.iter().filter(|(name, _)| !own(name)).cloned());
        }
    }

    /// The steps of the workflow up to the failing one, where the log shows none.
    fn of_cell(&mut self, choice: &Choice<'_>, part: Part) {
        let Some(failing) = choice.cell.steps.get(choice.failing) else { return };
        self.directory = failing.directory.known().unwrap_or_default().to_owned();
        for (name, value) in &failing.env {
            match value {
                Text::Known(value) if !is_the_runners(name) => drop(self.env.insert(name.clone(), value.clone())),
                Text::Known(_) => {}
                Text::Unknown(_, why) => self.skipped.push(skip(&format!("env {name}"), why)),
            }
        }
        for (at, step) in choice.cell.steps.iter().enumerate().take(choice.failing + 1) {
            self.cell_step(step, if at == choice.failing { part } else { Part::Passed });
        }
    }

    /// The workflow's steps that CI never reached.
    fn later(&mut self, choice: &Choice<'_>, log: &JobLog) {
        // What it brings in was not there when the failing command ran.
        let mut needs = None;
        let ran = |step: &CellStep| {
            log.steps.iter().any(|own| matches!(&own.kind, StepKind::Run { script, .. } if runs(step, script)))
        };
        for step in choice.cell.steps.iter().skip(choice.failing + 1) {
            // The log shows that it ran all the same.
            if ran(step) || matches!(step.condition, Condition::No(_)) {
                continue;
            }
            if needs.is_none() && changes_environment(step) {
                needs = Some("a later step of the workflow that changes the environment");
            }
            match needs {
                Some(why) => self.skipped.push(skip(&step.title, why)),
                None => self.cell_step(step, Part::Later),
            }
            needs = needs.map(|_| "a later step of the workflow, behind one that changes the environment");
        }
    }

    /// One step of the workflow.
    pub(super) fn cell_step(&mut self, step: &CellStep, part: Part) {
        let because = |what: &str, why: &str| skip(what, &format!("a step of the workflow: {why}"));
        match &step.condition {
            Condition::Yes => {}
            Condition::No(condition) => {
                self.skipped.push(because(&step.title, &format!("its condition `{condition}` does not hold")));
                return;
            }
            // What is known of it is that it failed.
            Condition::Unknown(_) if matches!(part, Part::Failed | Part::FailedInstallation) => {}
            Condition::Unknown(why) => {
                self.skipped.push(because(&step.title, &format!("whether it runs is not known: {why}")));
                return;
            }
        }
        let Text::Known(directory) = &step.directory else {
            self.skipped.push(because(&step.title, "its working directory is known on GitHub only"));
            return;
        };
        let mut env = Vec::new();
        for (name, value) in &step.env {
            match value {
                Text::Known(value) if self.env.get(name) != Some(value) && !is_the_runners(name) => {
                    env.push((name.clone(), value.clone()));
                }
                _ => {}
            }
        }
        let place =
            Place { step: format!("step {}: {}", step.number, step.title), directory: Some(directory.clone()), env };
        match &step.kind {
            Kind::Uses { action, with } => {
                let known = |(name, text): (&String, &Text)| Some((name.clone(), text.known()?.to_owned()));
                self.uses(action, &with.iter().filter_map(known).collect(), Origin::Workflow, &place);
            }
            Kind::Run { shell: Some(shell), .. } if !is_posix(shell) => {
                self.skipped.push(because(&step.title, "its shell is not a POSIX one"));
            }
            Kind::Run { script: Text::Unknown(_, why), .. } => self.skipped.push(because(&step.title, why)),
            Kind::Run { script: Text::Known(script), .. } => {
                if !self.checks.iter().any(|check| check.script == script.trim()) {
                    self.script(script, Origin::Workflow, part, &place);
                }
            }
        }
    }

    /// Neither the log nor a workflow says what ran: the project's own files say how it would.
    fn of_project(&mut self, log: &JobLog, sources: &Sources, why: &str) {
        let guess = log.failures.iter().find_map(|failure| sources.project.guess(&failure.tool));
        let Some(guess) = guess else {
            let why = format!("the log does not show them, {why}, and nothing else says how: give --command");
            self.skipped.push(skip("the job's commands", &why));
            return;
        };
        let why = format!("the log does not show them, and {why}: taken from {}", guess.from);
        self.skipped.push(skip("the job's commands", &why));
        let place = Place { step: guess.from, ..Place::default() };
        for (scripts, part) in [(guess.install, Part::Passed), (guess.checks, Part::Failed)] {
            scripts.iter().for_each(|script| self.script(script, Origin::Project, part, &place));
        }
    }

    fn uses(&mut self, action: &str, with: &BTreeMap<String, String>, origin: Origin, place: &Place) {
        match actions::known(action, with) {
            Known::Done => {}
            Known::Not(why) => self.skipped.push(skip(action, why)),
            Known::Same(same) if same.shown && origin == Origin::Log => {}
            Known::Same(same) => {
                let line = |script: String| Line { script, origin, step: place.step.clone() };
                self.install.extend(same.install.into_iter().map(line));
                self.checks.extend(same.checks.into_iter().map(|(script, network)| {
                    let check = Check::new(place.before(&script, &self.directory), origin, &place.step);
                    Check { network, ..check }
                }));
            }
        }
    }

    fn script(&mut self, script: &str, origin: Origin, part: Part, place: &Place) {
        let prebuilt = script.contains("--installpkg dist/") && !self.checks.iter().any(|check| builds(&check.script));
        let script = if prebuilt { without_package(script) } else { script.to_owned() };
        let commands = shell::split(&script);
        let installs_only = commands.iter().all(|c| !matches!(c.purpose, Purpose::Check | Purpose::OnlineCheck));
        for command in commands {
            let script = place.before(&command.script, &self.directory);
            let check =
                |network, installs| Check { network, installs, ..Check::new(script.clone(), origin, &place.step) };
            match command.purpose {
                // The installation is what failed, and what is to be repaired.
                Purpose::Install if part == Part::FailedInstallation || part == Part::Failed && installs_only => {
                    self.checks.push(check(Network::Full, true));
                }
                Purpose::Install => {
                    if installs_what_was_built(&command.script) && !self.build_first() {
                        let why = "another job built what it installs: the project itself is installed instead";
                        self.skipped.push(skip(&command.script, why));
                        let script = place.before("python -m pip install .", &self.directory);
                        self.install.push(Line { script, origin, step: place.step.clone() });
                        continue;
                    }
                    // What only a later step needs keeps nothing from being reproduced: the step itself will say it.
                    let tolerant = part == Part::Later && command.wrapped;
                    let script = if tolerant { format!("{script} || true") } else { script };
                    self.install.push(Line { script, origin, step: place.step.clone() });
                }
                Purpose::Setup => self.setup.push(Line { script, origin, step: place.step.clone() }),
                Purpose::Check => self.checks.push(check(Network::None, false)),
                Purpose::OnlineCheck => self.checks.push(check(Network::Full, false)),
                Purpose::Skip("prints only") => {}
                Purpose::Skip(why) => {
                    self.packages.extend(shell::debian_packages(&command.script));
                    self.skipped.push(skip(&command.script, why));
                }
            }
        }
    }

    /// What an earlier step builds is about to be installed: building is part of the environment. `false` where no step
    /// builds.
    fn build_first(&mut self) -> bool {
        let (built, rest): (Vec<Check>, Vec<Check>) =
            std::mem::take(&mut self.checks).into_iter().partition(|check| builds(&check.script));
        self.checks = rest;
        self.install.extend(built.into_iter().map(|check| Line {
            script: check.script,
            origin: check.origin,
            step: check.step,
        }));
        self.install.iter().any(|line| builds(&line.script))
    }

    fn take_environment(&mut self, step: &Step, failing: bool, workspace: Option<&str>) {
        for (name, value) in &step.env {
            if is_the_runners(name) {
                continue;
            }
            if value.contains("***") {
                let what = format!("env {name}");
                if failing && !self.skipped.iter().any(|skipped| skipped.what == what) {
                    self.skipped.push(skip(&what, "its value is a secret, which no check gets"));
                }
                continue;
            }
            if failing || !self.env.contains_key(name) {
                self.env.insert(name.clone(), in_workspace(value, workspace));
            }
        }
    }
}

/// Is this step of the workflow the one whose script the log shows?
fn runs(step: &CellStep, logged: &str) -> bool {
    matches!(&step.kind, Kind::Run { script, .. } if workflow::same_script(script.written(), logged))
}

/// Calls of tox without the package that another job built: it builds its own.
fn without_package(script: &str) -> String {
    script.lines().map(|line| commands::without(line, &[], &["--installpkg"])).collect::<Vec<_>>().join("\n")
}

fn changes_environment(step: &CellStep) -> bool {
    match &step.kind {
        Kind::Run { script, .. } => {
            // A wrapper's own environment is nobody else's.
            let changes = |c: &shell::Command| !c.wrapped && matches!(c.purpose, Purpose::Install | Purpose::Setup);
            shell::split(script.written()).iter().any(changes)
        }
        Kind::Uses { .. } => false,
    }
}

pub(super) fn skip(what: &str, why: &str) -> Skipped {
    Skipped { what: what.lines().next().unwrap_or_default().to_owned(), why: why.to_owned() }
}

fn last_run(steps: &[Step]) -> Option<usize> {
    steps.iter().rposition(|s| matches!(s.kind, StepKind::Run { .. }))
}
