//! What a path is, by its name: a test, test data, a runner's file, a check's configuration.

/// The parts of a path.
pub(crate) fn parts(path: &str) -> Vec<&str> {
    path.split('/').filter(|p| !p.is_empty()).collect()
}

/// The last part.
pub(crate) fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The extension, lower case, without the dot.
pub(crate) fn extension(path: &str) -> String {
    name(path).rsplit_once('.').map_or(String::new(), |(_, e)| e.to_ascii_lowercase())
}

pub(crate) fn is_python(path: &str) -> bool {
    matches!(extension(path).as_str(), "py" | "pyi" | "pyw")
}

fn is_test_dir(part: &str) -> bool {
    let part = part.to_ascii_lowercase();
    matches!(part.as_str(), "tests" | "test" | "e2e" | "benchmarks" | "benches" | "benchmark")
        || part.ends_with("_tests")
        || part.ends_with("-tests")
        || part.ends_with("_test")
        || part.ends_with("_testcases")
        || part.starts_with("tests_")
        || part.starts_with("test_")
        || part.starts_with("tests-")
}

/// Is it a file of tests, or of what tests import: by its name, or by a directory that only tests live in?
pub fn is_test_file(path: &str) -> bool {
    is_python(path) && (has_test_name(path) || in_test_dir(path))
}

/// Does the file's own name make runners collect it?
pub(crate) fn has_test_name(path: &str) -> bool {
    let stem = name(path).rsplit_once('.').map_or(name(path), |(s, _)| s);
    is_python(path)
        && (stem.starts_with("test_")
            || stem.ends_with("_test")
            || stem.ends_with("_tests")
            || matches!(stem, "test" | "tests" | "conftest")
            || stem.starts_with("bench_")
            || (stem.starts_with("test") && in_test_dir(path)))
}

/// Is one of its directories a test directory?
pub(crate) fn in_test_dir(path: &str) -> bool {
    let parts = parts(path);
    parts.len() > 1 && parts[..parts.len() - 1].iter().any(|p| is_test_dir(p))
}

/// Is it data by its place: beside tests, or in a directory named for expectations?
pub(crate) fn is_test_data_by_place(path: &str) -> bool {
    if is_python(path) {
        return false;
    }
    let parts = parts(path);
    parts[..parts.len().saturating_sub(1)].iter().any(|part| {
        let part = part.to_ascii_lowercase();
        is_test_dir(&part)
            || matches!(
                part.as_str(),
                "fixtures"
                    | "fixture"
                    | "snapshots"
                    | "__snapshots__"
                    | "golden"
                    | "goldens"
                    | "cassettes"
                    | "testdata"
            )
            || matches!(part.as_str(), "expected" | ".benchmarks" | "baselines" | "testing_data" | "regression")
            || part
                .split(['_', '-', '.'])
                .any(|w| matches!(w, "test" | "tests" | "testdata" | "testcases" | "testfiles"))
    }) || matches!(extension(path).as_str(), "ambr" | "snap")
}

/// A configuration of a continuous-integration system; `.github` with all that is in it.
pub(crate) fn is_ci(path: &str) -> bool {
    let first = path.split('/').next().unwrap_or("");
    let lower = name(path).to_ascii_lowercase();
    matches!(first, ".github" | ".circleci" | ".buildkite" | ".woodpecker" | ".gitlab" | ".azure-pipelines" | ".tekton")
        || matches!(first, ".teamcity" | ".semaphore" | ".drone" | ".forgejo" | ".gitea" | ".builds")
        || matches!(
            lower.as_str(),
            ".gitlab-ci.yml" | ".travis.yml" | "appveyor.yml" | ".appveyor.yml" | "azure-pipelines.yml" | "jenkinsfile"
        )
        || matches!(lower.as_str(), ".cirrus.yml" | ".cirrus.star" | ".drone.yml" | ".woodpecker.yml" | ".build.yml")
        || matches!(lower.as_str(), "bitbucket-pipelines.yml" | "buildkite.yml" | "wercker.yml" | "shippable.yml")
        || matches!(
            lower.as_str(),
            "codecov.yml" | ".codecov.yml" | "codecov.yaml" | ".coveralls.yml" | ".sonarcloud.properties"
        )
        || matches!(
            lower.as_str(),
            "sonar-project.properties" | ".readthedocs.yml" | ".readthedocs.yaml" | "codeowners"
        )
        || lower.starts_with("azure-pipelines")
}

/// What git reads to decide how files are checked out.
pub(crate) fn is_git(path: &str) -> bool {
    matches!(name(path).to_ascii_lowercase().as_str(), ".gitattributes" | ".gitmodules" | ".gitconfig" | ".lfsconfig")
        || parts(path).iter().any(|p| p.eq_ignore_ascii_case(".git"))
}

/// A file that says what is checked, and where: nothing mechanical may touch it.
pub(crate) fn is_of_checks(path: &str) -> bool {
    is_ci(path) || is_git(path) || is_ignore_list(path)
}

/// A file that says what commands the checks run.
pub(crate) fn is_runner(path: &str) -> bool {
    let lower = name(path).to_ascii_lowercase();
    matches!(
        lower.as_str(),
        "makefile"
            | "gnumakefile"
            | "noxfile.py"
            | "justfile"
            | ".justfile"
            | "taskfile.yml"
            | "taskfile.yaml"
            | "tasks.py"
    ) || matches!(
        lower.as_str(),
        "dodo.py" | "fabfile.py" | "rakefile" | "runtests.py" | "run_tests.py" | "runtests.sh"
    ) || matches!(
        lower.as_str(),
        "run_tests.sh" | "run-tests.sh" | "runtests" | "tox.toml" | "earthfile" | "docker-bake.hcl"
    ) || lower.ends_with(".mk")
}

/// Ignore lists and baselines of checking tools: whatever is added there is no longer checked.
pub(crate) fn is_ignore_list(path: &str) -> bool {
    let lower = name(path).to_ascii_lowercase();
    matches!(
        lower.as_str(),
        ".trivyignore" | ".snyk" | ".gitleaksignore" | ".secrets.baseline" | ".semgrepignore" | ".codespellignore"
    ) || matches!(lower.as_str(), "osv-scanner.toml" | ".safety-policy.yml" | ".markdownlintignore" | ".prettierignore")
        || matches!(lower.as_str(), ".ignore" | ".ruffignore" | ".eslintignore" | ".pylintignore" | ".mypyignore")
        || lower.contains("mypy-baseline")
        || lower.contains("mypy_baseline")
        || lower.contains("codespell") && lower.contains("ignore")
        || lower.ends_with(".baseline")
        || lower == "allowlist.txt"
        || (lower.contains("stubtest") && lower.contains("allow"))
        || lower.contains("vulture") && lower.contains("whitelist")
}

/// Dependencies and locks.
pub(crate) fn is_requirements(path: &str) -> bool {
    let lower = name(path).to_ascii_lowercase();
    let in_dir = parts(path).iter().rev().skip(1).any(|p| p.to_ascii_lowercase().starts_with("requirements"));
    ((lower.contains("requirement") || lower.contains("constraint") || in_dir)
        && matches!(extension(path).as_str(), "txt" | "in" | "pip"))
        || matches!(
            lower.as_str(),
            "pipfile" | "environment.yml" | "environment.yaml" | "conda.yml" | "meta.yaml" | "pylock.toml"
        )
        || is_lock(path)
}

/// A lock file.
pub(crate) fn is_lock(path: &str) -> bool {
    matches!(
        name(path),
        "poetry.lock" | "uv.lock" | "pdm.lock" | "Pipfile.lock" | "pylock.toml" | "conda-lock.yml" | "pixi.lock"
    )
}

/// Prose.
pub(crate) fn is_docs(path: &str) -> bool {
    matches!(extension(path).as_str(), "md" | "rst" | "txt" | "adoc" | "markdown")
        && !is_requirements(path)
        && !is_test_data_by_place(path)
}

/// Sphinx's configuration.
pub(crate) fn is_docs_conf(path: &str) -> bool {
    name(path) == "conf.py" && !in_test_dir(path)
}

/// The first directory, or the empty text.
pub(crate) fn top(path: &str) -> &str {
    path.split_once('/').map_or("", |(top, _)| top)
}
