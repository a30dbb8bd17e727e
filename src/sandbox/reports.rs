//! What goes into a run from this machine, and what of its reports comes out.

use std::{collections::BTreeMap, env, fs, io::Read as _, path::Path, sync::LazyLock};

use regex::{NoExpand, Regex};

/// Variables that say how this machine reaches its package index. No other variable of ours is ever inside.
const INDEX_VARIABLES: &[&str] = &[
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_TRUSTED_HOST",
    "PIP_FIND_LINKS",
    "PIP_CERT",
    "PIP_DEFAULT_TIMEOUT",
    "UV_INDEX_URL",
    "UV_DEFAULT_INDEX",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// How this machine reaches its index, without credentials.
pub(super) fn index_environment() -> BTreeMap<String, String> {
    let known = INDEX_VARIABLES.iter().filter_map(|name| Some(((*name).to_owned(), env::var(name).ok()?)));
    // `https://user:secret@host` is a secret, wherever it stands.
    known.filter(|(_, value)| !value.contains('@')).collect()
}

/// The time zone that a run is told of where this machine has another: a runner's clock shows UTC.
pub(super) fn zone() -> Option<&'static str> {
    (!is_universal(fs::canonicalize("/etc/localtime").ok().as_deref())).then_some("UTC")
}

/// Does a machine whose zone is this file show UTC?
fn is_universal(zone: Option<&Path>) -> bool {
    let Some(zone) = zone else { return true };
    zone.file_name().is_some_and(|name| ["UTC", "UCT", "Universal", "Zulu"].iter().any(|known| name == *known))
}

/// No report is larger.
const LARGEST_REPORT: u64 = 256 << 20;

/// A report that code under test could have replaced by anything: only a regular file is read, and not without end.
pub(super) fn read_report(path: &Path) -> Option<Vec<u8>> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;
    let file = fs::OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
    let meta = file.metadata().ok()?;
    if !meta.is_file() || meta.len() > LARGEST_REPORT {
        return None;
    }
    let mut report = Vec::new();
    file.take(LARGEST_REPORT).read_to_end(&mut report).ok()?;
    Some(report)
}

/// The script with its own JUnit report, if it asks for one, written to `junit`: a command line wins over
/// `PYTEST_ADDOPTS`.
pub(super) fn report_to(script: &str, junit: &Path) -> String {
    static OWN: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r#"--junit-?xml(?:=|\s+)("[^"]*"|'[^']*'|\S+)"#).ok());
    let option = format!("--junitxml={}", quote(junit));
    match &*OWN {
        Some(own) => own.replace_all(script, NoExpand(&option)).into_owned(),
        None => script.to_owned(),
    }
}

pub(super) fn quote(path: &Path) -> String {
    shell_words::quote(&path.display().to_string()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_of_another_time_zone_is_told_from_one_that_shows_utc() {
        let of = |zone: &str| is_universal(Some(&Path::new("/usr/share/zoneinfo").join(zone)));
        assert!(is_universal(None) && of("Etc/UTC") && of("Zulu"));
        assert!(!of("Europe/Berlin") && !of("Etc/GMT+2") && !is_universal(Some(Path::new("/etc/localtime"))));
    }

    #[test]
    fn a_report_that_was_replaced_by_something_else_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("real.xml"), "<testsuite/>").unwrap();
        std::os::unix::fs::symlink(path("real.xml"), path("link.xml")).unwrap();
        nix::unistd::mkfifo(&path("pipe.xml"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(read_report(&path("real.xml")).as_deref(), Some(&b"<testsuite/>"[..]));
        for name in ["link.xml", "pipe.xml", "absent.xml", "."] {
            assert_eq!(read_report(&path(name)), None, "{name}");
        }
    }

    #[test]
    fn a_commands_own_report_goes_where_we_read_it() {
        let ours = Path::new("/r/junit-1.xml");
        for script in
            ["pytest --junitxml=out.xml tests", "pytest --junit-xml out.xml tests", "pytest --junitxml 'a b.xml' tests"]
        {
            assert_eq!(report_to(script, ours), "pytest --junitxml=/r/junit-1.xml tests");
        }
        assert_eq!(report_to("pytest -q", ours), "pytest -q");
    }
}
