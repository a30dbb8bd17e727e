//! A real bare repository: what is behind the git endpoints.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::LazyLock,
};

use tempfile::TempDir;

/// By its path: a name that is to be looked up in a changed environment makes the standard library fork, which for a program
/// as large as the tests takes ten times as long as all that git does.
pub(super) static GIT: LazyLock<PathBuf> = LazyLock::new(|| {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join("git")).find(|git| git.is_file()).unwrap()
});

/// A bare repository, in a directory of its own.
pub(crate) struct Bare {
    /// Goes away with it.
    _directory: Option<TempDir>,
    pub(crate) path: PathBuf,
}

/// Who made a commit, and when: `2026-01-02T03:04:05Z`.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) date: String,
}

impl Person {
    pub(crate) fn new(name: &str, email: &str) -> Person {
        Person { name: name.to_owned(), email: email.to_owned(), date: now() }
    }
}

/// A commit, as git knows it.
#[derive(Debug, Clone)]
pub(crate) struct Commit {
    pub(crate) sha: String,
    pub(crate) tree: String,
    pub(crate) parents: Vec<String>,
    pub(crate) author: Person,
    pub(crate) committer: Person,
    pub(crate) message: String,
}

/// An entry of a tree.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) mode: String,
    pub(crate) kind: String,
    pub(crate) sha: String,
    pub(crate) size: Option<u64>,
    pub(crate) path: String,
}

/// A file of a difference.
#[derive(Debug, Clone)]
pub(crate) struct Changed {
    pub(crate) path: String,
    /// As GitHub words it: added, removed, modified, renamed.
    pub(crate) status: &'static str,
    pub(crate) previous: Option<String>,
    pub(crate) blob: String,
    pub(crate) additions: u64,
    pub(crate) deletions: u64,
    /// The hunks alone; none of a binary file.
    pub(crate) patch: Option<String>,
}

/// Now, as GitHub writes it.
pub(crate) fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

impl Bare {
    pub(crate) fn create(root: &Path, full_name: &str) -> Bare {
        let path = root.join(format!("{full_name}.git"));
        fs::create_dir_all(&path).unwrap();
        let bare = Bare { _directory: None, path };
        bare.git(&["init", "--quiet", "--bare", "--initial-branch=main"]);
        let settings = [
            ("gc.auto", "0"),
            ("maintenance.auto", "false"),
            ("core.fsync", "none"),
            ("uploadpack.allowFilter", "true"),
            ("uploadpack.allowAnySHA1InWant", "true"),
            ("uploadpack.hideRefs", "refs/internal"),
        ];
        for (name, value) in settings {
            bare.git(&["config", name, value]);
        }
        bare
    }

    /// Git, which knows nothing of this machine's settings.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut git = Command::new(&*GIT);
        git.env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", &self.path)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .arg("--git-dir")
            .arg(&self.path)
            .args(arguments);
        git
    }

    /// What git says, or its complaint.
    pub(crate) fn try_git(&self, arguments: &[&str], input: &[u8], env: &[(&str, &str)]) -> Result<Vec<u8>, String> {
        let mut git = self.command(arguments);
        git.envs(env.iter().copied()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = git.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let writing = std::thread::spawn(move || stdin.write_all(&input));
        let output = child.wait_with_output().unwrap();
        let _ = writing.join();
        if output.status.success() {
            return Ok(output.stdout);
        }
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }

    /// Git's line, where it must succeed.
    #[track_caller]
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        match self.try_git(arguments, b"", &[]) {
            Ok(said) => String::from_utf8_lossy(&said).trim_end().to_owned(),
            Err(complaint) => panic!("git {arguments:?}: {complaint}"),
        }
    }

    fn line(&self, arguments: &[&str]) -> Option<String> {
        let said = self.try_git(arguments, b"", &[]).ok()?;
        Some(String::from_utf8_lossy(&said).trim_end().to_owned()).filter(|said| !said.is_empty())
    }

    /// The object that a ref names; `refs/…` in full.
    pub(crate) fn reference(&self, name: &str) -> Option<String> {
        // Most refs are loose: a look at the file spares a process.
        if let Ok(loose) = fs::read_to_string(self.path.join(name)) {
            return Some(loose.trim().to_owned());
        }
        if !self.path.join("packed-refs").exists() {
            return None;
        }
        self.line(&["rev-parse", "--verify", "--quiet", name])
    }

    /// Refs that begin so: name and object.
    pub(crate) fn references(&self, prefix: &str) -> Vec<(String, String)> {
        let listed = self.git(&["for-each-ref", "--format=%(refname) %(objectname)"]);
        let pairs = listed.lines().filter_map(|line| line.split_once(' '));
        pairs.filter(|(name, _)| name.starts_with(prefix)).map(|(n, s)| (n.to_owned(), s.to_owned())).collect()
    }

    /// `blob`, `tree`, `commit` or `tag`.
    pub(crate) fn kind(&self, sha: &str) -> Option<String> {
        if sha.len() != 40 || !sha.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        self.line(&["cat-file", "-t", sha])
    }

    /// The commit behind a branch, a tag, a ref or a sha.
    pub(crate) fn resolve(&self, name: &str) -> Option<String> {
        if name.starts_with('-') {
            return None;
        }
        let candidates = [format!("refs/heads/{name}"), format!("refs/tags/{name}"), name.to_owned()];
        let peeled = candidates.iter().map(|candidate| format!("{candidate}^{{commit}}"));
        peeled.into_iter().find_map(|name| self.line(&["rev-parse", "--verify", "--quiet", &name]))
    }

    /// Makes a ref; false where it is there already.
    pub(crate) fn create_reference(&self, name: &str, sha: &str) -> Result<bool, String> {
        if self.reference(name).is_some() {
            return Ok(false);
        }
        let zero = "0".repeat(40);
        match self.try_git(&["update-ref", name, sha, &zero], b"", &[]) {
            Ok(_) => Ok(true),
            Err(complaint) if complaint.contains("reference already exists") => Ok(false),
            Err(complaint) => Err(complaint),
        }
    }

    pub(crate) fn set_reference(&self, name: &str, sha: &str) {
        self.git(&["update-ref", name, sha]);
    }

    pub(crate) fn delete_reference(&self, name: &str) {
        self.git(&["update-ref", "-d", name]);
    }

    pub(crate) fn is_ancestor(&self, old: &str, new: &str) -> bool {
        self.try_git(&["merge-base", "--is-ancestor", old, new], b"", &[]).is_ok()
    }

    pub(crate) fn merge_base(&self, a: &str, b: &str) -> Option<String> {
        self.line(&["merge-base", a, b])
    }

    pub(crate) fn blob(&self, bytes: &[u8]) -> String {
        let said = self.try_git(&["hash-object", "-w", "--stdin"], bytes, &[]).unwrap();
        String::from_utf8_lossy(&said).trim().to_owned()
    }

    /// A file's bytes.
    pub(crate) fn read(&self, commit: &str, path: &str) -> Option<Vec<u8>> {
        self.try_git(&["cat-file", "blob", &format!("{commit}:{path}")], b"", &[]).ok()
    }

    /// A tree like `base` (or empty) with these entries, in order: mode, sha, path; no sha removes.
    pub(crate) fn tree(
        &self,
        base: Option<&str>,
        entries: &[(String, Option<String>, String)],
    ) -> Result<String, String> {
        let index = tempfile::Builder::new().prefix("index-").tempdir().unwrap();
        let index = index.path().join("index").display().to_string();
        let env = [("GIT_INDEX_FILE", index.as_str())];
        if let Some(base) = base {
            self.try_git(&["read-tree", base], b"", &env)?;
        }
        let mut lines = Vec::new();
        for (mode, sha, path) in entries {
            match sha {
                Some(sha) => lines.extend(format!("{mode} {sha}\t{path}\0").into_bytes()),
                None => lines.extend(format!("0 {}\t{path}\0", "0".repeat(40)).into_bytes()),
            }
        }
        self.try_git(&["update-index", "-z", "--index-info"], &lines, &env)?;
        let said = self.try_git(&["write-tree"], b"", &env)?;
        Ok(String::from_utf8_lossy(&said).trim().to_owned())
    }

    pub(crate) fn entries(&self, tree: &str, recursive: bool) -> Option<Vec<Entry>> {
        let mut arguments = vec!["ls-tree", "-z", "-l"];
        if recursive {
            arguments.extend(["-r", "-t"]);
        }
        arguments.push(tree);
        let said = self.try_git(&arguments, b"", &[]).ok()?;
        let said = String::from_utf8_lossy(&said).into_owned();
        let entry = |line: &str| {
            let (about, path) = line.split_once('\t')?;
            let mut about = about.split_whitespace().map(str::to_owned);
            let (mode, kind, sha) = (about.next()?, about.next()?, about.next()?);
            Some(Entry { mode, kind, sha, size: about.next()?.parse().ok(), path: path.to_owned() })
        };
        Some(said.split('\0').filter_map(entry).collect())
    }

    pub(crate) fn commit(&self, tree: &str, parents: &[String], message: &str, by: (&Person, &Person)) -> String {
        let mut arguments = vec!["commit-tree", tree];
        for parent in parents {
            arguments.extend(["-p", parent]);
        }
        let (author, committer) = by;
        let env = [
            ("GIT_AUTHOR_NAME", author.name.as_str()),
            ("GIT_AUTHOR_EMAIL", &author.email),
            ("GIT_AUTHOR_DATE", &author.date),
            ("GIT_COMMITTER_NAME", &committer.name),
            ("GIT_COMMITTER_EMAIL", &committer.email),
            ("GIT_COMMITTER_DATE", &committer.date),
        ];
        let said = self.try_git(&arguments, message.as_bytes(), &env).unwrap();
        String::from_utf8_lossy(&said).trim().to_owned()
    }

    pub(crate) fn look(&self, name: &str) -> Option<Commit> {
        let format = "--format=%H%x00%T%x00%P%x00%an%x00%ae%x00%aI%x00%cn%x00%ce%x00%cI%x00%B";
        let commit = self.resolve(name)?;
        let said = self.git(&["log", "-1", format, &commit]);
        let mut parts = said.split('\0').map(str::to_owned);
        let mut next = || parts.next().unwrap_or_default();
        let (sha, tree, parents) = (next(), next(), next());
        let mut person = || Person { name: next(), email: next(), date: next() };
        let (author, committer) = (person(), person());
        let parents = parents.split_whitespace().map(str::to_owned).collect();
        Some(Commit { sha, tree, parents, author, committer, message: next() })
    }

    /// What differs between two trees, with renames.
    pub(crate) fn changes(&self, old: &str, new: &str) -> Vec<Changed> {
        let numbers = self.git(&["diff-tree", "-r", "-M", "--numstat", "-z", old, new]);
        let counts = counts(&numbers);
        let raw = self.git(&["diff-tree", "-r", "-M", "--raw", "-z", "--abbrev=40", old, new]);
        let mut fields = raw.split('\0');
        let mut changes = Vec::new();
        while let Some(about) = fields.next().filter(|about| about.starts_with(':')) {
            let words: Vec<&str> = about.split(' ').collect();
            let first = fields.next().unwrap_or_default().to_owned();
            let letter = words[4].chars().next().unwrap_or('M');
            let (previous, path) = match letter {
                'R' | 'C' => (Some(first), fields.next().unwrap_or_default().to_owned()),
                _ => (None, first),
            };
            let (status, blob) = match letter {
                'A' => ("added", words[3]),
                'D' => ("removed", words[2]),
                'R' => ("renamed", words[3]),
                _ => ("modified", words[3]),
            };
            let (additions, deletions) = counts.get(&path).copied().unwrap_or((0, 0));
            let mut arguments = vec!["diff", "-M", "--no-color", "--no-ext-diff", old, new, "--", &path];
            arguments.extend(previous.as_deref());
            let text = self.git(&arguments);
            let patch = text.find("\n@@ ").map(|at| text[at + 1..].to_owned());
            let blob = blob.to_owned();
            changes.push(Changed { status, previous, blob, additions, deletions, patch, path });
        }
        changes
    }

    /// The whole difference, as git writes it.
    pub(crate) fn diff(&self, old: &str, new: &str) -> String {
        let said = self.try_git(&["diff", "-M", "--no-color", "--no-ext-diff", old, new], b"", &[]);
        String::from_utf8_lossy(&said.unwrap_or_default()).into_owned()
    }
}

/// Added and removed lines by (new) path.
fn counts(numbers: &str) -> BTreeMap<String, (u64, u64)> {
    let mut fields = numbers.split('\0');
    let mut counts = BTreeMap::new();
    while let Some(field) = fields.next() {
        let mut parts = field.splitn(3, '\t');
        let (Some(added), Some(removed), Some(path)) = (parts.next(), parts.next(), parts.next()) else { continue };
        // A rename has its two paths in fields of their own.
        let path = if path.is_empty() { fields.nth(1).unwrap_or_default() } else { path };
        counts.insert(path.to_owned(), (added.parse().unwrap_or(0), removed.parse().unwrap_or(0)));
    }
    counts
}
