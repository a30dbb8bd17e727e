//! Paths and messages of a log, made the same on every machine: the repository's own paths relative, installed
//! packages without their home, what changes from run to run taken out.

use std::sync::LazyLock;

use regex::Regex;

use super::text::{MESSAGE, bounded, folded, regex};

/// Where CI services and container images put the checkout. Each ends before the repository's own part; the first group,
/// where there is one, must not be one of the runner's own directories (`_temp`, `_actions`).
static WORK: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?x)(?:file://)?(?:
            (?:/home/runner/_?work|/Users/runner/work|/__w|/runner/_work|/[\w./-]*/_work|[A-Za-z]:[\\/](?:[\w.\\/-]*[\\/])?_work|[A-Za-z]:[\\/]a)[\\/]([\w.-]+)[\\/][\w.-]+[\\/]
          | /github/workspace/
          | /builds/[\w.-]+/([\w.-]+)/
          | /home/vsts/work/\d+/s/ | [A-Za-z]:[\\/]a[\\/]\d+[\\/]s[\\/]
          | /home/circleci/(?:project|repo|\w+)/ | /root/(?:project|repo|workspace)/
          | /home/travis/build/[\w.-]+/[\w.-]+/
          | /var/(?:lib/jenkins|jenkins_home)/workspace/[\w.@-]+/
          | /bitbucket/ | /opt/atlassian/pipelines/agent/build/
          | /tmp/cirrus-ci-build/ | /drone/src/ | /bitrise/src/ | /harness/ | /codebuild/output/src\d+/src/[\w.-]+/[\w.-]+/[\w.-]+/
          | /(?:usr/src/app|usr/src/[\w.-]+|app|code|workspaces?/[\w.-]+|workspace|work|repo|project|source)/
        )",
    )
});
static INSTALLED: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r#"[^\s"'(=\[,<>]*[\\/](?:site|dist)-packages[\\/](?:([\w-]+)[\\/.])?|[^\s"'(=\[,<>]*[\\/][Ll]ib[\\/]python3\.\d+t?[\\/]|[A-Za-z]:[\\/](?:[^\s"'(=\[,<>]*[\\/])?[Pp]ython[\\/]?3[^\s"'(=\[,<>]*?[\\/][Ll]ib[\\/]"#,
    )
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
    /// Top-level names of the project's own packages, which an environment may hold a copy of.
    own: Vec<String>,
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

    /// One more prefix, unless it lies in one that is known.
    pub(super) fn add_unless_known(&mut self, root: &str) {
        if !self.roots.iter().any(|known| root.starts_with(known.as_str())) && !WORK.is_match(&format!("{root}/")) {
            self.add(root);
        }
    }

    /// A project or repository of this name is the one under test: its installed copy is its own code.
    pub(super) fn add_own(&mut self, name: &str) {
        let name = name.replace(['-', '.'], "_").to_ascii_lowercase();
        if name.len() > 1 && self.own.len() < 32 && !self.own.contains(&name) {
            self.own.push(name);
        }
    }

    /// The text with every path of the repository made relative, and installed packages' paths without their home.
    pub(super) fn relative(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for root in &self.roots {
            if text.contains(root.as_str()) {
                text = text.replace(&format!("file://{root}/"), "");
                text = text.replace(&format!("{root}/"), "").replace(&format!("{root}\\"), "");
                text = replace_root(&text, root, ".");
            }
        }
        if text.contains("-packages") || text.contains("ib/python3.") || text.contains("ib\\") {
            text = INSTALLED.replace_all(&text, |found: &regex::Captures<'_>| self.installed(found)).into_owned();
        }
        if has_absolute(&text) {
            text = checkout(&text);
        }
        text
    }

    fn installed(&self, found: &regex::Captures<'_>) -> String {
        let whole = &found[0];
        if !whole.contains("-packages") {
            return "<stdlib>/".to_owned();
        }
        let Some(name) = found.get(1) else { return "<site-packages>/".to_owned() };
        let end = whole.chars().last().unwrap_or('/');
        let end = if end == '\\' { '/' } else { end };
        match self.own.contains(&name.as_str().to_ascii_lowercase()) {
            true => format!("{}{end}", name.as_str()),
            false => format!("<site-packages>/{}{end}", name.as_str()),
        }
    }

    /// A file's path as it is seen from the repository.
    pub(super) fn file(&self, path: &str) -> String {
        let path = self.relative(path.trim());
        let rest = path.strip_prefix("<stdlib>/").unwrap_or(&path);
        let path = if rest.contains('\\') && !rest.contains('/') { path.replace('\\', "/") } else { path };
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

/// Does an absolute path begin anywhere in it?
fn has_absolute(text: &str) -> bool {
    let inside = |byte: u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/' | b'\\' | b'~') || byte >= 0x80
    };
    let bytes = text.as_bytes();
    memchr::memchr2_iter(b'/', b'\\', bytes).any(|at| at == 0 || !inside(bytes[at - 1]))
}

/// Takes the checkout's home off every path that begins with one.
fn checkout(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut end = 0;
    for found in WORK.captures_iter(text) {
        let Some(whole) = found.get(0) else { continue };
        // Only at a path's beginning: `docs/app/` has nothing to do with `/app/`.
        let before = text[..whole.start()].chars().next_back();
        let inside = before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '\\' | '~'));
        let own = found.get(1).or(found.get(2)).is_some_and(|name| name.as_str().starts_with('_'));
        if inside || own {
            continue;
        }
        result.push_str(&text[end..whole.start()]);
        end = whole.end();
    }
    result.push_str(&text[end..]);
    result
}

/// The root itself, where no longer name begins with it, becomes `by`.
pub fn replace_root(text: &str, root: &str, by: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(root) {
        result.push_str(before);
        let longer = after.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'));
        result.push_str(if longer { root } else { by });
        rest = after;
    }
    result.push_str(rest);
    result
}

/// Is this file one of the repository's own (after [`Paths::file`])?
pub(super) fn is_project(file: &str) -> bool {
    !(file.is_empty()
        || file.starts_with(['/', '<', '~'])
        || file.starts_with("..")
        || file.as_bytes().get(1) == Some(&b':')
        || file.contains("-packages/")
        || file.contains(".tox/")
        || file.contains(".nox/")
        || file.contains(".venv/")
        || file.contains("node_modules/")
        || file.contains("/lib/python"))
}

/// A file as a compiler or a program that was built in a directory of its own names it: `../src/job.c`.
pub(super) fn from_build(mut path: &str) -> &str {
    while let Some(rest) = path.strip_prefix("../") {
        path = rest;
    }
    path
}

/// A file's name for a cause: the same whether a project's package lies in `src/` or is installed.
pub(super) fn module(file: &str) -> &str {
    file.strip_prefix("src/").or(file.strip_prefix("lib/")).unwrap_or(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_the_runner_becomes_relative() {
        let paths = Paths::default();
        for (path, wanted) in [
            ("/home/runner/work/click/click/src/click/core.py", "src/click/core.py"),
            ("/__w/r/r/tests/test_a.py", "tests/test_a.py"),
            ("D:\\a\\r\\r\\tests\\test_a.py", "tests/test_a.py"),
            ("D:\\a\\1\\s\\tests\\test_a.py", "tests/test_a.py"),
            ("/home/vsts/work/1/s/tests/test_a.py", "tests/test_a.py"),
            ("/builds/acme/shop/tests/test_a.py", "tests/test_a.py"),
            ("/home/circleci/project/tests/test_a.py", "tests/test_a.py"),
            ("/home/travis/build/acme/shop/tests/test_a.py", "tests/test_a.py"),
            ("/usr/src/app/tests/test_a.py", "tests/test_a.py"),
            ("/app/tests/test_a.py", "tests/test_a.py"),
            ("docs/app/test_a.py", "docs/app/test_a.py"),
            ("./a.py", "a.py"),
        ] {
            assert_eq!(paths.file(path), wanted, "{path}");
        }
    }

    #[test]
    fn the_runners_temporary_directory_is_not_the_repository() {
        assert_eq!(Paths::default().file("/home/runner/work/_temp/abc/x.py"), "/home/runner/work/_temp/abc/x.py");
    }

    #[test]
    fn installed_packages_lose_their_home_and_the_projects_own_are_its_own() {
        let mut paths = Paths::new(&["/sandbox/tree".to_owned()]);
        assert_eq!(
            paths.file("/opt/hostedtoolcache/Python/3.11.7/x64/lib/python3.11/site-packages/a/b.py"),
            "<site-packages>/a/b.py"
        );
        assert_eq!(paths.file("/usr/lib/python3.12/json/decoder.py"), "<stdlib>/json/decoder.py");
        assert_eq!(
            paths.file("C:\\hostedtoolcache\\windows\\Python\\3.9.13\\x64\\lib\\encodings\\cp1252.py"),
            "<stdlib>/encodings/cp1252.py"
        );
        assert!(!is_project(&paths.file("C:\\tools\\thing.py")));
        assert_eq!(paths.file("/sandbox/tree/a.py"), "a.py");
        assert!(!is_project("<stdlib>/json/decoder.py"));
        paths.add_own("my-shop");
        let copy = "/home/runner/work/r/r/.tox/py311/lib/python3.11/site-packages/my_shop/cart.py";
        assert_eq!(paths.file(copy), "my_shop/cart.py");
        assert_eq!(module("src/my_shop/cart.py"), "my_shop/cart.py");
    }

    #[test]
    fn a_stable_message_has_no_address_time_or_temporary_path() {
        let paths = Paths::default();
        let one = paths.stable("<A at 0x7f1200ff> in /tmp/pytest-of-x/pytest-3/t0/f.txt took 1.23s at a.py:12");
        let two = paths.stable("<A at 0x7fabcdef> in /tmp/pytest-of-y/pytest-14/t0/f.txt took 9.1s at a.py:99");
        assert_eq!(one, two);
    }
}
