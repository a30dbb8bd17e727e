//! Requirements that a change adds to a project's manifests.

use std::{collections::BTreeSet, path::Path};

use super::{
    manifests::installs::{Part, Source, installs, is_lock, is_manifest},
    tree::{self, Tree},
};

/// What one tree's manifests and locks make an installer install, and the other's do not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Added {
    /// The manifest, repository-relative.
    pub file: String,
    /// Where it comes from.
    pub source: Source,
    /// As it is written.
    pub requirement: String,
}

impl Added {
    /// A distribution by its name, whatever its version and its file; all else by its text.
    fn identity(&self) -> &str {
        match &self.source {
            Source::Index(name) | Source::Chosen(name) => name,
            Source::Elsewhere | Source::Unread => &self.requirement,
        }
    }
}

/// What `after` installs and `before` does not, as far as the changed files say: requirements, locks, and where they
/// come from. A changed file that can't be read is one of them.
pub fn added_requirements<'a>(before: &Path, after: &Path, changed: impl Iterator<Item = &'a str>) -> Vec<Added> {
    let changed: BTreeSet<&str> = changed.collect();
    let old = installed(&Tree::new(before), &changed);
    let known: BTreeSet<&str> = old.iter().filter(|each| each.source != Source::Unread).map(Added::identity).collect();
    let mut found: Vec<Added> = Vec::new();
    for each in installed(&Tree::new(after), &changed) {
        if !known.contains(each.identity()) && !found.iter().any(|other| other.identity() == each.identity()) {
            found.push(each);
        }
    }
    found
}

/// What is installed by the changed manifests, by their neighbours, and by what they include; locks come last, since
/// what a manifest asks for has to show more than what a tool chose.
fn installed(tree: &Tree<'_>, changed: &BTreeSet<&str>) -> Vec<Added> {
    let mut open: Vec<String> = Vec::new();
    for folder in changed.iter().map(|path| tree::parent(path)).collect::<BTreeSet<_>>() {
        // The lists of a `requirements` folder belong to the project above it.
        let project = folder.strip_suffix("/requirements").or((folder == "requirements").then_some(""));
        for folder in [Some(folder), project, Some(&tree::join(folder, "requirements"))].into_iter().flatten() {
            open.extend(tree.list(folder).iter().map(|name| tree::join(folder, name)));
        }
    }
    open.extend(changed.iter().map(|&path| path.to_owned()));
    open.retain(|path| is_manifest(path) && (changed.contains(path.as_str()) || tree.is_file(path)));
    open.sort_by_key(|path| is_lock(path));
    let (mut found, mut seen, mut at) = (Vec::new(), BTreeSet::new(), 0);
    while let Some(file) = open.get(at).cloned() {
        at += 1;
        if !seen.insert(file.clone()) {
            continue;
        }
        let text = tree.read(&file);
        let Some(parts) = text.as_ref().and_then(|text| installs(&file, &text.content)) else {
            if changed.contains(file.as_str()) && tree.has(&file) {
                found.push(Added { requirement: file.clone(), file, source: Source::Unread });
            }
            continue;
        };
        for part in parts {
            match part {
                Part::Install(requirement, source) => found.push(Added { file: file.clone(), source, requirement }),
                Part::Include(name) => match beside(&file, &name).filter(|path| tree.is_file(path)) {
                    Some(path) => open.push(path),
                    None => found.push(Added { file: file.clone(), source: Source::Elsewhere, requirement: name }),
                },
            }
        }
    }
    found.sort_by_key(|each| matches!(each.source, Source::Chosen(_)));
    found
}

/// The path of a name as another file sees it; `None` where it leaves the tree.
fn beside(file: &str, name: &str) -> Option<String> {
    let mut parts: Vec<&str> = tree::parent(file).split('/').filter(|part| !part.is_empty()).collect();
    for part in name.split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    tree::safe(&parts.join("/")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let target = directory.path().join(path);
            std::fs::create_dir_all(target.parent().unwrap()).unwrap();
            std::fs::write(target, content).unwrap();
        }
        directory
    }

    /// What a change of one file adds: `requirement`, or `!requirement` where nobody can prove it.
    fn added(path: &str, before: &str, after: &str) -> Vec<String> {
        added_beside(&[], path, before, after)
    }

    fn added_beside(others: &[(&str, &str)], path: &str, before: &str, after: &str) -> Vec<String> {
        let before = tree(&[others, &[(path, before)]].concat());
        let after = tree(&[others, &[(path, after)]].concat());
        let found = added_requirements(before.path(), after.path(), std::iter::once(path));
        let shown = found.into_iter().map(|each| match each.source {
            Source::Index(_) => each.requirement,
            Source::Chosen(_) => format!("({})", each.requirement),
            Source::Elsewhere => format!("!{}", each.requirement),
            Source::Unread => format!("?{}", each.requirement),
        });
        shown.collect()
    }

    #[test]
    fn only_new_distributions_are_added_ones() {
        let manifest = |list: &str| format!("[project]\nname = \"x\"\ndependencies = [{list}]\n");
        let before = tree(&[("pyproject.toml", &manifest("\"rich>=1\"")), ("requirements-dev.txt", "pytest\n")]);
        let after = tree(&[
            ("pyproject.toml", &manifest("\"Rich>=2\", \"evil\", \"x @ https://example.org/x.whl\"")),
            ("requirements-dev.txt", "pytest\nruff\n"),
        ]);
        let changed = ["pyproject.toml", "requirements-dev.txt"];
        let mut added: Vec<String> = added_requirements(before.path(), after.path(), changed.into_iter())
            .into_iter()
            .map(|a| a.requirement)
            .collect();
        added.sort();
        assert_eq!(added, ["evil", "ruff", "x @ https://example.org/x.whl"]);
    }

    #[test]
    fn every_manifest_and_lock_is_read_for_what_it_adds() {
        let package = "[[package]]\nname = \"old\"\nversion = \"1\"\n";
        let locked = format!("{package}\n[[package]]\nname = \"new\"\nversion = \"1\"\n");
        for (path, before, after, expected) in [
            ("tox.ini", "[testenv]\ndeps = old\n", "[testenv]\ndeps =\n    old\n    py39: new>=1\n", "new>=1"),
            ("tox.ini", "[testenv]\n", "[testenv] ; x\n  deps = new\n", "new"),
            ("tox.ini", "[tox]\n", "[tox]\nrequires = new\n", "new"),
            ("tox.ini", "[testenv]\n", "[testenv]\nset_env =\n    PIP_INDEX_URL = x\n", "!PIP_INDEX_URL = x"),
            ("tox.toml", "", "[env.test]\ndeps = [\"new\"]\n", "new"),
            ("setup.cfg", "[options]\n", "[options]\nsetup_requires =\n  new\n", "new"),
            ("setup.cfg", "[options]\n", "[options]\ndependency_links = http://x/y\n", "!http://x/y"),
            ("setup.py", "setup()\n", "setup(setup_requires=['new'])\n", "new"),
            ("pyproject.toml", "", "[build-system]\nrequires = [\"new\"]\n", "new"),
            ("pyproject.toml", "", "[tool.hatch.envs.test]\ndependencies = [\"new\"]\n", "new"),
            ("hatch.toml", "", "[envs.test]\nextra-dependencies = [\"new\"]\n", "new"),
            ("pyproject.toml", "", "[dependency-groups]\ndev = [\"new\"]\n", "new"),
            ("pyproject.toml", "", "[tool.pdm.dev-dependencies]\ndev = [\"new\"]\n", "new"),
            ("pyproject.toml", "", "[tool.uv]\ndev-dependencies = [\"new\"]\n", "new"),
            ("pyproject.toml", "", "[tool.poetry.group.dev.dependencies]\nnew = \"^1\"\n", "new"),
            (
                "pyproject.toml",
                "[tool.poetry.dependencies]\nold = \"1\"\n",
                "[tool.poetry.dependencies]\nold = { git = \"https://x/y\", rev = \"a\" }\n",
                "!old @ https://x/y a",
            ),
            (
                "pyproject.toml",
                "",
                "[tool.uv.sources]\nold = { url = \"https://x/y.whl\" }\n",
                "!old @ https://x/y.whl",
            ),
            ("pyproject.toml", "", "[[tool.uv.index]]\nurl = \"https://x/simple\"\n", "!https://x/simple"),
            ("uv.toml", "", "extra-index-url = [\"https://x/simple\"]\n", "!https://x/simple"),
            ("pyproject.toml", "", "[[tool.poetry.source]]\nurl = \"https://x/simple\"\n", "!https://x/simple"),
            ("environment.yml", "dependencies: [pip]\n", "dependencies: [pip, pip: [new]]\n", "new"),
            ("environment.yml", "dependencies: [a=1]\n", "dependencies: [a=2, new=1]\n", "!conda's new"),
            ("Pipfile", "[packages]\nold = \"*\"\n", "[packages]\nold = \"*\"\nnew = \"*\"\n", "new"),
            ("Pipfile", "", "[[source]]\nurl = \"https://x/simple\"\nname = \"x\"\n", "!https://x/simple"),
            ("Pipfile.lock", "{}", "{\"develop\": {\"new\": {\"version\": \"==1\"}}}", "(new)"),
            ("uv.lock", package, &locked, "(new)"),
            ("poetry.lock", package, &locked, "(new)"),
            ("pdm.lock", package, &locked, "(new)"),
            ("pylock.toml", "", "[[packages]]\nname = \"new\"\n", "(new)"),
            ("uv.lock", package, &format!("{package}source = {{ git = \"https://x/y\" }}\n"), "!old @ https://x/y"),
            (
                "uv.lock",
                package,
                &format!("{package}wheels = [{{ url = \"https://x/p/old-1-py3-none-any.whl\" }}]\n"),
                "!https://x/",
            ),
            (
                "uv.lock",
                package,
                &format!(
                    "{package}wheels = [{{ url = \"https://files.pythonhosted.org/p/evil-1-py3-none-any.whl\" }}]\n"
                ),
                "!https://files.pythonhosted.org/p/evil-1-py3-none-any.whl",
            ),
            (
                "poetry.lock",
                package,
                &format!("{package}[package.source]\ntype = \"legacy\"\nurl = \"https://x/simple\"\n"),
                "!https://x/simple",
            ),
            ("conda-lock.yml", "a: 1\n", "a: 2\n", "?conda-lock.yml"),
            ("uv.lock", package, "[[package", "?uv.lock"),
            ("poetry.lock", package, "[[package]]\nversion = \"1\"\n", "?poetry.lock"),
        ] {
            assert_eq!(added(path, before, after), [expected], "{path}: {after}");
        }
    }

    #[test]
    fn a_line_of_a_requirements_file_that_nobody_can_prove_counts_as_added() {
        for line in [
            "https://example.org/x.whl",
            "-e git+https://example.org/x",
            "--editable=git+ssh://example.org/x#egg=x",
            "old @ https://example.org/x.whl",
            "old @ file:x.whl",
            "--extra-index-url https://example.org/simple",
            "--index-url=https://example.org/simple",
            "-i https://example.org/simple",
            "--find-links dist",
            "-f dist",
            "--trusted-host example.org",
            "--pre",
            "./x-1.0.whl",
            "dist/x-1.0.tar.gz",
            "${WHAT}",
            "-r https://example.org/more.txt",
        ] {
            for path in ["requirements.txt", "requirements/dev.in", "constraints.txt"] {
                assert_eq!(added(path, "old\n", &format!("old\n{line}\n")), [format!("!{line}")], "{path}");
                assert!(added(path, &format!("{line}\n"), &format!("{line}\nold>=2\n")) == ["old>=2"], "{path}");
            }
        }
        assert_eq!(added("requirements.txt", "", "-r ../more.txt\n"), ["!../more.txt"]);
        let hashed = "old \\\n  --hash=sha256:0\n-e .[test]\n./more\n";
        assert_eq!(added("requirements.txt", "", hashed), ["(old    --hash=sha256:0)"]);
    }

    #[test]
    fn files_that_are_included_are_read_wherever_they_are() {
        let others = [("deps/more", "new\n"), ("requirements/base.txt", "base\n")];
        assert_eq!(added_beside(&others, "requirements.txt", "", "-r deps/more\n"), ["new"]);
        assert_eq!(added_beside(&others, "tox.ini", "", "[testenv]\ndeps = -r{toxinidir}/deps/more\n"), ["new"]);
        assert!(added_beside(&others, "requirements/dev.txt", "", "-r base.txt\n").is_empty());
    }

    #[test]
    fn honest_updates_add_nothing() {
        let lock = |version: &str, path: &str| {
            format!(
                "version = 1\n[[package]]\nname = \"a-b\"\nversion = \"{version}\"\nsource = {{ registry = \
                 \"https://pypi.org/simple\" }}\nsdist = {{ url = \"https://files.pythonhosted.org/{path}/a_b-{version}.tar.gz\" \
                 }}\n[[package]]\nname = \"mine\"\nversion = \"{version}\"\nsource = {{ editable = \".\" }}\n"
            )
        };
        for (path, before, after) in [
            ("uv.lock", lock("1", "packages/x").as_str(), lock("2", "packages/y").as_str()),
            ("requirements.txt", "-i https://example.org/s\na==1\n", "# why\n-i https://example.org/s\nA == 2 # x\n"),
            (
                "tox.ini",
                "[testenv]\ndeps = a\n",
                "[testenv]\ndeps =\n    a>=2; python_version < \"3.9\"\n    {[base]deps}\n",
            ),
            (
                "pyproject.toml",
                "[tool.poetry]\n",
                "[tool.poetry]\nhomepage = \"https://x\"\n[project.urls]\na = \"https://y\"\n",
            ),
            (
                "Pipfile.lock",
                "{\"default\": {\"a\": {\"version\": \"==1\"}}}",
                "{\"_meta\": {\"sources\": [{\"url\": \"https://pypi.org/simple\"}]}, \"default\": {\"a\": {\"version\": \"==2\"}}}",
            ),
        ] {
            assert!(added(path, before, after).is_empty(), "{path}: {after}: {:?}", added(path, before, after));
        }
    }

    #[test]
    fn a_distribution_that_a_manifest_asks_for_is_not_only_a_tools_choice() {
        let before = tree(&[("pyproject.toml", ""), ("uv.lock", "")]);
        let lock = "[[package]]\nname = \"new\"\n[[package]]\nname = \"other\"\n";
        let after = tree(&[("pyproject.toml", "[project]\ndependencies = [\"new\"]\n"), ("uv.lock", lock)]);
        let found = added_requirements(before.path(), after.path(), ["pyproject.toml", "uv.lock"].into_iter());
        let sources: Vec<Source> = found.into_iter().map(|each| each.source).collect();
        assert_eq!(sources, [Source::Index("new".to_owned()), Source::Chosen("other".to_owned())]);
    }
}
