//! The environment variables of a workspace's commands: the same in every sandbox.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{Network, Recipe, reports::zone};

/// Where the parts of a workspace stand, as its commands see them.
pub(super) struct Places<'a> {
    /// The environment.
    pub(super) venv: &'a Path,
    /// HOME.
    pub(super) home: &'a Path,
    /// The tree's root.
    pub(super) tree: &'a Path,
    /// Where reports are left.
    pub(super) reports: &'a Path,
    /// The Python that the environment is made of.
    pub(super) python: &'a Path,
    /// A directory in which it is found by name, where that is none of the system's.
    pub(super) base: Option<PathBuf>,
}

/// What every command sees: a runner's variables, and the job's own.
pub(super) fn variables(places: &Places<'_>, recipe: &Recipe) -> BTreeMap<String, String> {
    let Places { venv, reports, .. } = places;
    let shown = |path: &Path| path.display().to_string();
    let mut path = format!("{}:/usr/local/bin:/usr/bin:/bin", venv.join("bin").display());
    if let Some(base) = &places.base {
        path += &format!(":{}", base.display());
    }
    let root = shown(places.tree);
    let mut env: BTreeMap<String, String> = [
        ("PATH", path),
        ("VIRTUAL_ENV", shown(venv)),
        ("HOME", shown(places.home)),
        ("USER", "runner".to_owned()),
        ("LOGNAME", "runner".to_owned()),
        ("LANG", "C.UTF-8".to_owned()),
        ("CI", "true".to_owned()),
        ("GITHUB_ACTIONS", "true".to_owned()),
        ("GITHUB_WORKSPACE", root.clone()),
        ("GITHUB_ENV", shown(&reports.join("github-env"))),
        ("GITHUB_PATH", shown(&reports.join("github-path"))),
        ("GITHUB_OUTPUT", shown(&reports.join("github-output"))),
        ("GITHUB_STEP_SUMMARY", shown(&reports.join("github-summary"))),
        ("RUNNER_OS", "Linux".to_owned()),
        ("RUNNER_TEMP", "/tmp".to_owned()),
        // The environment's Python, and none that uv would fetch.
        ("UV_PYTHON", shown(places.python)),
        // Programs stand where they are found.
        ("UV_TOOL_DIR", shown(&venv.join("tools"))),
        ("UV_TOOL_BIN_DIR", shown(&venv.join("bin"))),
        ("PIPX_HOME", shown(&venv.join("tools/pipx"))),
        ("PIPX_BIN_DIR", shown(&venv.join("bin"))),
        ("UV_PYTHON_PREFERENCE", "only-system".to_owned()),
        ("UV_PYTHON_DOWNLOADS", "never".to_owned()),
        ("PIP_DISABLE_PIP_VERSION_CHECK", "1".to_owned()),
        ("PIP_NO_INPUT", "1".to_owned()),
        ("PIP_ROOT_USER_ACTION", "ignore".to_owned()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    env.extend(zone().map(|zone| ("TZ".to_owned(), zone.to_owned())));
    let placed = |(name, value): (&String, &String)| (name.clone(), value.replace("$GITHUB_WORKSPACE", &root));
    env.extend(recipe.env.iter().map(placed));
    env
}

/// What a check sees besides: where pytest leaves the report that we read, and that nothing is installed by the way.
pub(super) fn of_check(env: &mut BTreeMap<String, String>, junit: &Path, network: Network) {
    let mut set = |name: &str, value: &str| env.insert(name.to_owned(), value.to_owned());
    // tox hands on what it is told to: version 4 by the first, 3 by the second.
    set("TOX_OVERRIDE", "testenv.pass_env+=PYTEST_ADDOPTS");
    set("TOX_TESTENV_PASSENV", "PYTEST_ADDOPTS");
    if network == Network::None {
        // `uv run` checks; what it would install is installed.
        set("UV_NO_SYNC", "1");
        set("UV_OFFLINE", "1");
        // tox-uv would build the project again.
        set("TOX_SKIP_UV_SYNC", "1");
    }
    let own = env.get("PYTEST_ADDOPTS").cloned().unwrap_or_default();
    // xunit1 is the family that names each test's file.
    let options = format!("{own} --junitxml={} -o junit_family=xunit1", junit.display());
    env.insert("PYTEST_ADDOPTS".to_owned(), options.trim().to_owned());
}
