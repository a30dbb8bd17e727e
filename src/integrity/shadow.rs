//! New files that would be imported, or read by a type checker, in place of what is there.

use super::context::{Context, File};
use super::{Finding, paths};
use std::collections::BTreeSet;

/// Modules that tests and checks import.
const SHADOWED: [&str; 60] = [
    "pytest",
    "_pytest",
    "unittest",
    "mypy",
    "ruff",
    "coverage",
    "flake8",
    "black",
    "isort",
    "bandit",
    "pylint",
    "sphinx",
    "tox",
    "nox",
    "doctest",
    "json",
    "random",
    "time",
    "datetime",
    "math",
    "re",
    "os",
    "sys",
    "typing",
    "logging",
    "subprocess",
    "collections",
    "functools",
    "itertools",
    "hypothesis",
    "mock",
    "numpy",
    "pandas",
    "requests",
    "yaml",
    "rich",
    "click",
    "attr",
    "attrs",
    "pydantic",
    "django",
    "flask",
    "setuptools",
    "pkg_resources",
    "pip",
    "six",
    "toml",
    "tomli",
    "jinja2",
    "httpx",
    "aiohttp",
    "sqlalchemy",
    "dateutil",
    "pluggy",
    "importlib_metadata",
    "typing_extensions",
    "packaging",
    "pytest_cov",
    "pytest_mock",
    "xdist",
];

/// The standard library, as far as `SHADOWED` does not name it.
const STANDARD: &str = "abc argparse array ast asyncio atexit base64 bisect builtins bz2 calendar cmath cmd code codecs \
    colorsys compileall concurrent configparser contextlib contextvars copy copyreg csv ctypes curses dataclasses dbm \
    decimal difflib dis email encodings ensurepip enum errno faulthandler fcntl filecmp fileinput fnmatch fractions \
    ftplib gc getopt getpass gettext glob grp gzip hashlib heapq hmac html http imaplib importlib inspect io ipaddress \
    keyword linecache locale lzma mailbox marshal mimetypes mmap multiprocessing netrc numbers operator optparse pathlib \
    pdb pickle pickletools pkgutil platform plistlib poplib posixpath pprint profile pstats pty pwd pyclbr pydoc queue \
    quopri readline reprlib resource runpy sched secrets select selectors shelve shlex shutil signal site smtplib socket \
    socketserver sqlite3 ssl stat statistics string stringprep struct symtable sysconfig syslog tarfile tempfile termios \
    textwrap threading timeit tkinter token tokenize tomllib trace traceback tracemalloc tty turtle types unicodedata \
    urllib uuid venv warnings wave weakref webbrowser winreg wsgiref xml xmlrpc zipapp zipfile zipimport zlib zoneinfo \
    iniconfig exceptiongroup pygments _pytest";

pub(crate) fn judge(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for file in context.files.iter().filter(|f| f.before.is_none() && f.after.is_some()) {
        stub(context, file, findings);
        module(context, file, findings);
    }
}

/// A stub stands before the module beside it, whatever that holds.
fn stub(context: &Context<'_>, file: &File<'_>, findings: &mut Vec<Finding>) {
    let Some(stem) = file.path.strip_suffix(".pyi") else { return };
    let beside = context.paths.contains(&format!("{stem}.py"));
    let first = paths::parts(file.path).first().copied().unwrap_or("").to_string();
    let package = first.strip_suffix("-stubs").is_some_and(|p| context.modules.contains(p));
    if beside || package {
        let message = "A new stub takes the place of the module that the type checker read.";
        findings.push(Finding::refuse("stub-added", Some(file.path), message));
    }
}

/// Top-level modules of the project that a file stands for, in its root and in its source directories.
fn project(context: &Context<'_>) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for path in context.paths.iter().filter(|p| paths::is_python(p)) {
        if context.input.change.files.get(path).is_some_and(|c| c.after.is_none()) {
            continue;
        }
        let from = ["src/", "lib/"].into_iter().find(|d| path.starts_with(d)).unwrap_or("");
        match paths::parts(&path[from.len()..]).as_slice() {
            [one] => found.insert((from.to_string(), one.split('.').next().unwrap_or("").to_string())),
            [dir, "__init__.py"] => found.insert((from.to_string(), (*dir).to_string())),
            [dir, _, ..] if !from.is_empty() => found.insert((from.to_string(), (*dir).to_string())),
            _ => false,
        };
    }
    found
}

fn module(context: &Context<'_>, file: &File<'_>, findings: &mut Vec<Finding>) {
    if !paths::is_python(file.path) || paths::name(file.path).starts_with("test_") {
        return;
    }
    let from = if file.path.starts_with("src/") { "src/" } else { "" };
    let parts = paths::parts(&file.path[from.len()..]);
    let tests = paths::in_test_dir(file.path);
    let (module, holder) = match parts.as_slice() {
        [one] => (one.split('.').next().unwrap_or(""), ""),
        [dir, "__init__.py"] => (*dir, ""),
        [.., dir, "__init__.py"] if tests => {
            (*dir, file.path.strip_suffix(&format!("/{dir}/__init__.py")).unwrap_or(""))
        }
        [.., one] if tests => (one.split('.').next().unwrap_or(""), file.path.rsplit_once('/').map_or("", |(d, _)| d)),
        _ => return,
    };
    let usual = ["conftest", "setup", "__init__", "__main__", "noxfile", "tasks", "tests", "test", "conf"];
    if usual.contains(&module) {
        return;
    }
    // A directory that is a package is not searched itself, unless somebody names it.
    let packaged = !holder.is_empty() && context.after(&format!("{holder}/__init__.py")).is_some();
    let project = project(context);
    let own = project.iter().any(|(place, name)| name == module && (!holder.is_empty() || place != from));
    let same = project.contains(&(from.to_string(), module.to_string())) && holder.is_empty();
    if same && parts.len() == 1 {
        return;
    }
    let known = SHADOWED.contains(&module) && parts.len() <= 2;
    let standard = STANDARD.split_whitespace().any(|s| s == module);
    let missing =
        context.input.category == Some("import_dependency") && !context.modules.contains(module) && parts.len() <= 2;
    let message = format!("This new file would be imported in place of `{module}`.");
    if known || (own || standard || declared(context, module)) && !packaged {
        findings.push(Finding::refuse("shadowing-module", Some(file.path), message));
    } else if own || standard {
        findings.push(Finding::flag("shadowing-module", Some(file.path), message));
    } else if missing {
        let message = format!("A new top-level module `{module}`, where an import failed.");
        findings.push(Finding::flag("shadowing-module", Some(file.path), message));
    }
}

/// Does a manifest name it?
fn declared(context: &Context<'_>, module: &str) -> bool {
    let manifests = ["pyproject.toml", "setup.cfg", "setup.py", "requirements.txt", "tox.ini"];
    let wanted = module.to_ascii_lowercase().replace('_', "-");
    manifests.iter().filter_map(|m| context.read(m)).any(|t| {
        t.lines().any(|l| {
            let low = l.trim().trim_start_matches(['"', '\'']).to_ascii_lowercase().replace('_', "-");
            low.strip_prefix(&wanted).is_some_and(|r| {
                r.starts_with(['>', '=', '<', '~', '"', '\'', ' ', '[', '!']) && !r.trim_start().starts_with("= {")
            })
        })
    })
}
