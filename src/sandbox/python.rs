//! The Pythons of this machine: on PATH, of pyenv, of uv, and of a runner's tool cache.

use std::{
    collections::BTreeSet,
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::SandboxError;

/// An interpreter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Python {
    /// The interpreter itself, never a shim.
    pub(super) executable: PathBuf,
    /// Where its installation stands.
    pub(super) prefix: PathBuf,
    /// `3.11.7`
    pub(super) version: String,
}

/// The interpreter for a wanted version: exactly that one, else the newest of the same minor version. A want of `3`
/// takes this machine's default.
pub(super) fn find(wanted: &str) -> Result<Python, SandboxError> {
    let parts: Vec<&str> = wanted.trim().trim_start_matches('v').split('.').collect();
    let minor = minor(&parts.join("."));
    let sane = parts.len() <= 3 && parts.iter().all(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()));
    if !sane {
        return Err(SandboxError::NoPython { wanted: wanted.to_owned(), found: versions(&installations()) });
    }
    if parts.len() == 1 {
        let found = on_path(&[format!("python{minor}"), "python".to_owned()]).into_iter().find_map(|p| ask(&p));
        return found.ok_or_else(|| SandboxError::NoPython { wanted: wanted.to_owned(), found: Vec::new() });
    }
    let mut candidates = installations();
    candidates.extend(on_path(&[format!("python{minor}"), "python3".to_owned(), "python".to_owned()]));
    if let Some(python) = choose(&candidates, wanted, &minor) {
        return Ok(python);
    }
    if let Some(python) = from_uv(&minor) {
        return Ok(python);
    }
    Err(SandboxError::NoPython { wanted: wanted.to_owned(), found: versions(&candidates) })
}

/// The version as far as its minor: `3.11` of `3.11.7`.
pub fn minor(version: &str) -> String {
    version.split('.').take(2).collect::<Vec<_>>().join(".")
}

fn choose(candidates: &[PathBuf], wanted: &str, minor: &str) -> Option<Python> {
    let mut known: Vec<Python> = Vec::new();
    // A directory that names another version need not be asked.
    let plausible = |path: &Path| {
        let named = path.ancestors().nth(2).and_then(Path::file_name).and_then(|n| n.to_str());
        named.is_none_or(|name| {
            let version = name.trim_start_matches("cpython-");
            !version.starts_with(|c: char| c.is_ascii_digit()) || version.starts_with(&format!("{minor}."))
        })
    };
    for candidate in candidates.iter().filter(|p| plausible(p)) {
        let Some(python) = ask(candidate) else { continue };
        if python.version == wanted {
            return Some(python);
        }
        if python.version.starts_with(&format!("{minor}.")) {
            known.push(python);
        }
    }
    known.into_iter().max_by_key(|python| patch_level(&python.version))
}

fn patch_level(version: &str) -> u32 {
    version.rsplit('.').next().and_then(|p| p.parse().ok()).unwrap_or(0)
}

fn versions(candidates: &[PathBuf]) -> Vec<String> {
    let known: BTreeSet<String> = candidates.iter().filter_map(|p| ask(p)).map(|p| p.version).collect();
    known.into_iter().collect()
}

/// The versions of the Pythons that can be found here, sorted.
pub fn pythons() -> Vec<String> {
    let mut candidates = installations();
    candidates.extend(on_path(&["python3".to_owned(), "python".to_owned()]));
    let mut found = versions(&candidates);
    found.sort_by_key(|v| v.split('.').map(|p| p.parse().unwrap_or(0)).collect::<Vec<u32>>());
    found
}

/// Interpreters by the places where tools install them.
fn installations() -> Vec<PathBuf> {
    let home = env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let pyenv = env::var_os("PYENV_ROOT").map_or_else(|| home.join(".pyenv"), PathBuf::from);
    let data = env::var_os("XDG_DATA_HOME").map_or_else(|| home.join(".local/share"), PathBuf::from);
    let uv = env::var_os("UV_PYTHON_INSTALL_DIR").map_or_else(|| data.join("uv/python"), PathBuf::from);
    let mut found = Vec::new();
    for (root, below) in [
        (pyenv.join("versions"), "bin/python3"),
        (uv, "bin/python3"),
        (PathBuf::from("/opt/hostedtoolcache/Python"), "x64/bin/python3"),
    ] {
        let Ok(entries) = root.read_dir() else { continue };
        found.extend(entries.filter_map(Result::ok).map(|e| e.path().join(below)).filter(|p| p.exists()));
    }
    found.sort();
    found
}

fn on_path(names: &[String]) -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let directories: Vec<PathBuf> = env::split_paths(&path).collect();
    names.iter().flat_map(|n| directories.iter().map(move |d| d.join(n))).filter(|p| p.is_file()).collect()
}

/// uv finds what it installed, and installs what it does not find.
fn from_uv(minor: &str) -> Option<Python> {
    let uv = on_path(&["uv".to_owned()]).into_iter().next()?;
    let find = || {
        let output = uv_python(&uv, &["find", minor]).output().ok()?;
        let path = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| ask(Path::new(path.trim())))?
    };
    find().or_else(|| {
        let installed = uv_python(&uv, &["install", minor]).output().ok()?;
        installed.status.success().then(find)?
    })
}

/// `uv python`, outside any sandbox: so it must not heed the directory that we were started in. A repository's `uv.toml`
/// says where Pythons are downloaded from, and its `.venv` would be found as one.
fn uv_python(uv: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(uv);
    command.arg("python").args(arguments).arg("--no-config").current_dir("/");
    command.env_remove("VIRTUAL_ENV").stdin(Stdio::null()).stderr(Stdio::null());
    command
}

/// What an interpreter (or the shim before it) says of itself.
fn ask(candidate: &Path) -> Option<Python> {
    const QUESTION: &str = "import sys; print('%d.%d.%d' % sys.version_info[:3]); print(sys.base_prefix)";
    let output = Command::new(candidate)
        .args(["-I", "-S", "-c", QUESTION])
        .env_remove("VIRTUAL_ENV")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = output.status.success().then(|| String::from_utf8(output.stdout).ok())??;
    let (version, prefix) = text.trim().split_once('\n')?;
    let prefix = PathBuf::from(prefix);
    let minor = version.rsplit_once('.')?.0;
    // The base interpreter, so that an environment made of it depends on neither shims nor other environments.
    let executable = [format!("bin/python{minor}"), "bin/python3".to_owned()]
        .iter()
        .map(|name| prefix.join(name))
        .find(|p| p.exists())?;
    Some(Python { executable, prefix, version: version.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_python_is_found_as_an_interpreter_and_not_as_a_shim() {
        let python = find("3").unwrap();
        assert!(python.executable.starts_with(&python.prefix));
        assert!(find(&python.version).unwrap().version == python.version);
    }

    #[test]
    fn uv_is_not_led_by_the_directory_that_it_is_started_in() {
        let command = uv_python(Path::new("uv"), &["find", "3.12"]);
        assert_eq!(command.get_current_dir(), Some(Path::new("/")));
        assert_eq!(command.get_args().collect::<Vec<_>>(), ["python", "find", "3.12", "--no-config"]);
        assert!(command.get_envs().any(|(name, value)| name == "VIRTUAL_ENV" && value.is_none()));
    }

    #[test]
    fn a_python_that_is_not_there_says_what_was_wanted_and_what_there_is() {
        let error = find("3.99").unwrap_err().to_string();
        assert!(error.contains("3.99") && error.contains("--python"), "{error}");
        assert!(find("3.11; rm").is_err() && find("").is_err());
    }
}
