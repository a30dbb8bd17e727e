//! What kind of thing a command is, where only its words are known.

use super::failure::{Category, Step, StepKind};
use super::text::patterns;

patterns! {
    pub(super) GATE = r"(?ix)needs\.[\w*-]+\.result | needs\.\*\. | \balls?-green\b | merge-?gatekeeper | wait-?on-?check
        | (?:some|all|required|one\ or\ more|dependent|upstream|previous)\ (?:of\ the\ )?(?:required\ |needed\ |dependent\ )?(?:jobs?|checks?|builds?|workflows?)\ (?:did\ not|didn't|have\ not|has\ not|failed|have\ failed|has\ failed|was\ not|were\ not|must|are\ not|is\ not|should)
        | (?:jobs?|checks?)\ (?:\S+\ )?(?:failed\ or\ (?:was\ |were\ )?(?:cancell?ed|skipped))";
    RESULT = r#"(?x) ["'\s=!](?:success|failure|cancelled|skipped)["']?\s*(?:[!=]=?|-ne|-eq)\s*["']?(?:success|failure|cancelled|skipped|true|false)\b
        | "result"\s*:\s*"(?:success|failure|cancelled|skipped)"
        | (?:\b(?:contains|grep|jq|any|all)\b.*["'](?:failure|cancelled)["'])"#;
    WORD = r"^(?:success|failure|cancelled|skipped)$";
}

/// Does the step look at other jobs' results and at nothing else? The log shows its script with them filled in.
pub(super) fn is_gate(step: &Step, script: &str) -> bool {
    let shown = match &step.kind {
        StepKind::Run { script, .. } => script.as_str(),
        StepKind::Uses { .. } => script,
    };
    if GATE.is_match(shown) || GATE.is_match(&step.name) || RESULT.is_match(shown) {
        return true;
    }
    let given = |value: &String| WORD.is_match(value.trim()) || RESULT.is_match(value);
    step.env.values().any(given) || only_exits(shown)
}

/// A script that does nothing but say something and fail: `if: failure()` decided before it ran.
fn only_exits(script: &str) -> bool {
    let mut lines = script.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).peekable();
    lines.peek().is_some()
        && script.contains("exit ")
        && lines.all(|line| {
            let mut parts = line.split(['&', ';', '|']).map(str::trim).filter(|part| !part.is_empty());
            parts.all(|part| part.starts_with("echo ") || part.starts_with("exit ") || part == "false")
        })
}

/// Does a script start a runner of whatever is configured, whose own name says nothing?
pub(super) fn starts_any(script: &str) -> bool {
    let mut words = script.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'));
    words.any(|word| matches!(word, "tox" | "nox"))
}

/// The category that the command's words name.
pub(super) fn category(command: &str) -> Option<Category> {
    const WORDS: [(&[&str], Category); 10] = [
        (
            &[
                "bandit",
                "safety",
                "pip-audit",
                "audit",
                "trivy",
                "semgrep",
                "gitleaks",
                "zizmor",
                "snyk",
                "codeql",
                "grype",
                "osv-scanner",
                "trufflehog",
                "detect-secrets",
                "dependency-review-action",
                "security",
                "vulnerabilities",
            ],
            Category::Security,
        ),
        (
            &[
                "sphinx",
                "sphinx-build",
                "mkdocs",
                "docs",
                "doc",
                "documentation",
                "pydocstyle",
                "interrogate",
                "rustdoc",
                "lychee",
                "linkcheck",
                "linkchecker",
                "doctest",
                "readme",
                "changelog",
                "docstrings",
            ],
            Category::Docs,
        ),
        (
            &[
                "ruff",
                "flake8",
                "pylint",
                "black",
                "isort",
                "mypy",
                "pyright",
                "codespell",
                "pre-commit",
                "lint",
                "lints",
                "linter",
                "linting",
                "format",
                "formatting",
                "fmt",
                "eslint",
                "prettier",
                "style",
                "typecheck",
                "type-check",
                "quality",
                "clippy",
                "ty",
                "deptry",
                "vulture",
                "yamllint",
                "actionlint",
                "check-manifest",
                "shellcheck",
                "hadolint",
                "golangci-lint",
                "staticcheck",
                "vet",
                "stylelint",
                "biome",
                "markdownlint",
                "checkstyle",
                "spotless",
                "ktlint",
                "detekt",
                "rubocop",
                "typing",
                "types",
                "static-analysis",
                "policy",
                "ratchet",
                "dirty",
                "freshness",
                "drift",
                "conformance",
                "consistency",
                "conventions",
                "hygiene",
                "committed",
                "up-to-date",
                "architecture",
                "import-linter",
                "lint-imports",
            ],
            Category::Quality,
        ),
        (&["benchmark", "benchmarks", "asv", "bench", "codspeed", "perf"], Category::Benchmark),
        (&["coverage", "diff-cover", "codecov", "coveralls"], Category::Coverage),
        (&["integration", "e2e", "end-to-end"], Category::IntegrationTest),
        (
            &[
                "pytest", "unittest", "nose2", "trial", "stestr", "test", "tests", "jest", "vitest", "mocha", "tox",
                "nox", "ctest", "rspec", "phpunit",
            ],
            Category::UnitTest,
        ),
        (&["pip", "pip3", "pipenv", "conda", "mamba", "poetry", "pdm", "lock", "install"], Category::ImportDependency),
        (
            &[
                "build",
                "compile",
                "cmake",
                "make",
                "gcc",
                "gradle",
                "mvn",
                "webpack",
                "tsc",
                "wheel",
                "sdist",
                "docker-build",
                "buildx",
                "bundle",
                "pack",
                "package",
            ],
            Category::Build,
        ),
        (
            &[
                "deploy",
                "release",
                "publish",
                "upload",
                "download",
                "login",
                "checkout",
                "artifact",
                "artifacts",
                "cache",
            ],
            Category::Infra,
        ),
    ];
    let command = command.to_ascii_lowercase();
    let remote =
        ["git push", "git rebase", "git merge", "git fetch", "git clone", "codecov upload", "aws s3", "gh release"];
    if remote.iter().any(|words| command.contains(words)) {
        return Some(Category::Infra);
    }
    let words: Vec<&str> =
        command.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).map(|word| word.trim_matches('-')).collect();
    let named = |names: &&[&str]| words.iter().any(|word| names.contains(word));
    WORDS.iter().find(|(names, _)| named(names)).map(|(_, category)| *category)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_what_its_words_say() {
        for (command, wanted) in [
            ("python -m pip install -r requirements.txt && ruff check .", Some(Category::Quality)),
            ("docker run app", None),
            ("make -C docs html", Some(Category::Docs)),
            ("git push origin main", Some(Category::Infra)),
            ("npm run build", Some(Category::Build)),
        ] {
            assert_eq!(category(command), wanted, "{command}");
        }
    }

    #[test]
    fn a_script_that_only_says_something_and_fails_is_a_gate() {
        assert!(only_exits("echo 'a job failed'\nexit 1"));
        assert!(!only_exits("./check.sh\nexit 1"));
        assert!(!only_exits(""));
    }
}
