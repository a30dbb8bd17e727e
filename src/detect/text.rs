//! Text out of a log: colours off, paths made relative, what changes from run to run taken out.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

/// The longest message that is kept.
pub(super) const MESSAGE: usize = 2000;

/// A regular expression that is known to be one.
pub(super) fn regex(pattern: &str) -> Regex {
    match Regex::new(pattern) {
        Ok(regex) => regex,
        Err(error) => unreachable!("{error}"),
    }
}

/// Declares regular expressions that are compiled once.
macro_rules! patterns {
    ($($name:ident = $pattern:expr;)*) => {
        $(static $name: std::sync::LazyLock<regex::Regex> =
            std::sync::LazyLock::new(|| $crate::detect::text::regex($pattern));)*
    };
}
pub(super) use patterns;

static ESCAPE: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        "\u{1b}\\[[0-9;:?]*[ -/]*[@-~]|\u{1b}\\][^\u{7}\u{1b}]*(?:\u{7}|\u{1b}\\\\)|\u{1b}[()][0-9A-B]|\u{1b}[=>78cDEHM]|\\^\\[\\[[0-9;]*m|\u{fffd}\\[[0-9;]*m",
    )
});

/// The line without terminal escapes and control characters.
pub(super) fn plain(line: &str) -> Cow<'_, str> {
    let text = if line.contains(['\u{1b}', '\u{fffd}']) || line.contains("^[[") {
        ESCAPE.replace_all(line, "")
    } else {
        Cow::Borrowed(line)
    };
    if text.contains(|c: char| (c < ' ' && c != '\t') || c == '\u{7f}') {
        Cow::Owned(text.chars().filter(|c| (*c >= ' ' && *c != '\u{7f}') || *c == '\t').collect())
    } else {
        text
    }
}

/// At most `limit` bytes, cut at a character.
pub(super) fn bounded(text: &str, limit: usize) -> &str {
    if text.len() <= limit {
        return text;
    }
    let mut end = limit;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// White space folded, trimmed.
pub(super) fn folded(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

static RUNNER: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?:file://)?(?:/home/runner/_?work|/Users/runner/work|/__w|/runner/_work|/[\w./-]*/_work|[A-Za-z]:[\\/](?:[\w.\\/-]*[\\/])?_work|[A-Za-z]:[\\/]a)[\\/]([\w.-]+)[\\/][\w.-]+[\\/]|/github/workspace/",
    )
});
static INSTALLED: LazyLock<Regex> = LazyLock::new(|| {
    regex(r#"[^\s"'(=\[,<>]*[\\/](?:site|dist)-packages[\\/]|[^\s"'(=\[,<>]*[\\/]lib[\\/]python3\.\d+t?[\\/]"#)
});
static VOLATILE: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r#"(?x)
        (?P<address> 0x[0-9a-fA-F]{4,})
        | (?P<temporary> (?:/private)?/(?:var/folders/\w+/\w+/\w|tmp|home/runner/work/_temp|__w/_temp)/[^\s'":,;)\]>]*)
        | (?P<time> \d{4}-\d\d-\d\d[T\ ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?)
        | (?P<uuid> [0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})
        | (?P<duration> \b\d+\.\d+\ ?(?:ms|s|secs?|seconds?|minutes?)\b)
        | (?P<place> \.(?:py|pyi|rst|md|txt|toml|cfg|ini):\d+(?::\d+)?)
        | (?P<line> \bline\ \d+\b)
        | (?P<pid> \bpid[=:\ ]\d+)"#,
    )
});

/// What the paths of this log are relative to.
#[derive(Debug, Clone, Default)]
pub(super) struct Paths {
    roots: Vec<String>,
}

impl Paths {
    pub(super) fn new(roots: &[String]) -> Self {
        let mut paths = Self::default();
        roots.iter().for_each(|root| paths.add(root));
        paths
    }

    /// One more absolute prefix to strip; the longest is tried first.
    pub(super) fn add(&mut self, root: &str) {
        let root = root.trim_end_matches(['/', '\\']);
        if root.len() < 2 || self.roots.iter().any(|known| known == root) || self.roots.len() >= 16 {
            return;
        }
        self.roots.push(root.to_owned());
        self.roots.sort_by_key(|root| std::cmp::Reverse(root.len()));
    }

    /// The text with every path of the repository made relative, and installed packages' paths without their home.
    pub(super) fn relative(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for root in &self.roots {
            if text.contains(root.as_str()) {
                text = text.replace(&format!("file://{root}/"), "");
                text = text.replace(&format!("{root}/"), "").replace(&format!("{root}\\"), "");
                text = without(&text, root);
            }
        }
        if text.contains("work") || text.contains("__w") || text.contains(":\\a\\") || text.contains(":/a/") {
            text = RUNNER
                .replace_all(&text, |found: &regex::Captures<'_>| match found.get(1) {
                    Some(name) if name.as_str().starts_with('_') => found[0].to_owned(),
                    _ => String::new(),
                })
                .into_owned();
        }
        if text.contains("-packages") || text.contains("python3.") {
            text = INSTALLED.replace_all(&text, installed).into_owned();
        }
        text
    }

    /// A file's path as it is seen from the repository.
    pub(super) fn file(&self, path: &str) -> String {
        let path = self.relative(path.trim());
        let path = if path.contains('\\') && !path.contains('/') { path.replace('\\', "/") } else { path };
        let mut path = path.as_str();
        while let Some(rest) = path.strip_prefix("./") {
            path = rest;
        }
        bounded(path, 1024).to_owned()
    }

    /// A message for a key: nothing in it that changes from run to run.
    pub(super) fn stable(&self, text: &str) -> String {
        let text = self.relative(bounded(text, MESSAGE));
        let text = VOLATILE.replace_all(&text, |found: &regex::Captures<'_>| {
            if found.name("address").is_some() {
                "0x".to_owned()
            } else if found.name("temporary").is_some() {
                "<tmp>".to_owned()
            } else if let Some(place) = found.name("place") {
                place.as_str().split(':').next().unwrap_or_default().to_owned()
            } else if found.name("line").is_some() {
                "line".to_owned()
            } else {
                "<>".to_owned()
            }
        });
        bounded(&folded(&text), 400).to_owned()
    }
}

/// The root itself, where no longer name begins with it, is `.`.
fn without(text: &str, root: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(root) {
        let (before, after) = (&rest[..at], &rest[at + root.len()..]);
        result.push_str(before);
        let longer = after.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'));
        result.push_str(if longer { root } else { "." });
        rest = after;
    }
    result.push_str(rest);
    result
}

fn installed(found: &regex::Captures<'_>) -> String {
    if found[0].contains("-packages") { "<site-packages>/".to_owned() } else { "<stdlib>/".to_owned() }
}

/// Is this file one of the repository's own (after [`Paths::file`])?
pub(super) fn is_project(file: &str) -> bool {
    !(file.is_empty()
        || file.starts_with(['/', '<', '~'])
        || file.starts_with("..")
        || file.contains("-packages/")
        || file.contains(":\\")
        || file.contains(".tox/")
        || file.contains(".nox/")
        || file.contains(".venv/")
        || file.contains("/lib/python"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_the_runner_becomes_relative() {
        let paths = Paths::default();
        assert_eq!(paths.file("/home/runner/work/click/click/src/click/core.py"), "src/click/core.py");
        assert_eq!(paths.file("/__w/r/r/tests/test_a.py"), "tests/test_a.py");
        assert_eq!(paths.file("D:\\a\\r\\r\\tests\\test_a.py"), "tests/test_a.py");
        assert_eq!(paths.file("./a.py"), "a.py");
    }

    #[test]
    fn the_runners_temporary_directory_is_not_the_repository() {
        assert_eq!(Paths::default().file("/home/runner/work/_temp/abc/x.py"), "/home/runner/work/_temp/abc/x.py");
    }

    #[test]
    fn installed_packages_lose_their_home() {
        let paths = Paths::new(&["/sandbox/tree".to_owned()]);
        assert_eq!(
            paths.file("/opt/hostedtoolcache/Python/3.11.7/x64/lib/python3.11/site-packages/a/b.py"),
            "<site-packages>/a/b.py"
        );
        assert_eq!(paths.file("/usr/lib/python3.12/json/decoder.py"), "<stdlib>/json/decoder.py");
        assert_eq!(paths.file("/sandbox/tree/a.py"), "a.py");
        assert!(!is_project("<stdlib>/json/decoder.py"));
    }

    #[test]
    fn a_stable_message_has_no_address_time_or_temporary_path() {
        let paths = Paths::default();
        let one = paths.stable("<A at 0x7f1200ff> in /tmp/pytest-of-x/pytest-3/t0/f.txt took 1.23s at a.py:12");
        let two = paths.stable("<A at 0x7fabcdef> in /tmp/pytest-of-y/pytest-14/t0/f.txt took 9.1s at a.py:99");
        assert_eq!(one, two);
    }

    #[test]
    fn colours_and_control_characters_go() {
        assert_eq!(plain("\u{1b}[36;1mls\u{1b}[0m\u{8}"), "ls");
        assert_eq!(plain("^[[33mwarn^[[39m"), "warn");
    }
}
