//! Where a command stands: what must be said before it there, and which variables are the runner's own.

/// Variables that a runner, its set-up actions or a shell put there: the sandbox has its own.
const RUNNER_VARIABLES: &[&str] = &[
    "pythonLocation",
    "Python_ROOT_DIR",
    "Python2_ROOT_DIR",
    "Python3_ROOT_DIR",
    "LD_LIBRARY_PATH",
    "PKG_CONFIG_PATH",
    "PATH",
    "HOME",
    "VIRTUAL_ENV",
    "UV_CACHE_DIR",
    "UV_PYTHON",
    "UV_PYTHON_INSTALL_DIR",
    "UV_PYTHON_PREFERENCE",
    "UV_PYTHON_DOWNLOADS",
    "UV_MANAGED_PYTHON",
    "UV_NO_MANAGED_PYTHON",
    "PIP_CACHE_DIR",
    "PRE_COMMIT_HOME",
    "TMPDIR",
    "ACTIONS_STEP_DEBUG",
];

/// Where a command stands: its step, and what must be said before it there.
#[derive(Debug, Clone, Default)]
pub(super) struct Place {
    pub(super) step: String,
    /// Repository-relative, where it is not the job's own.
    pub(super) directory: Option<String>,
    /// Variables that only this step has.
    pub(super) env: Vec<(String, String)>,
}

impl Place {
    /// A command of this step, run from the job's directory.
    pub(super) fn before(&self, script: &str, job: &str) -> String {
        let mut lines = Vec::new();
        if let Some(directory) = self.directory.as_deref().filter(|directory| *directory != job) {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
            lines.push(match directory {
                "" => "cd \"$GITHUB_WORKSPACE\"".to_owned(),
                name if name.chars().all(plain) => format!("cd \"$GITHUB_WORKSPACE/{name}\""),
                name => format!("cd \"$GITHUB_WORKSPACE\"/{}", shell_words::quote(name)),
            });
        }
        let a_name = |name: &str| {
            !name.starts_with(|c: char| c.is_ascii_digit())
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        for (name, value) in self.env.iter().filter(|(name, _)| a_name(name)) {
            // The tree's place is the shell's to fill in; nothing else is.
            let words = value.split("$GITHUB_WORKSPACE").map(|part| match part {
                "" => String::new(),
                part => shell_words::quote(part).into_owned(),
            });
            let value = words.collect::<Vec<_>>().join("\"$GITHUB_WORKSPACE\"");
            lines.push(format!("export {name}={value}"));
        }
        lines.push(script.to_owned());
        lines.join("\n")
    }
}

/// Is this variable the runner's own?
pub(super) fn is_the_runners(name: &str) -> bool {
    RUNNER_VARIABLES.contains(&name) || name.starts_with("GITHUB_") || name.starts_with("RUNNER_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_step_needs_is_said_before_its_command_and_nothing_of_it_is_run() {
        let env = vec![
            ("A".to_owned(), "$(id) $GITHUB_WORKSPACE/x".to_owned()),
            ("NO-NAME".to_owned(), "x".to_owned()),
            ("1A".to_owned(), "x".to_owned()),
        ];
        let place = Place { step: String::new(), directory: Some("a $(id)".to_owned()), env };
        assert_eq!(
            place.before("pytest", ""),
            "cd \"$GITHUB_WORKSPACE\"/'a $(id)'\nexport A='$(id) '\"$GITHUB_WORKSPACE\"/x\npytest"
        );
        assert_eq!(place.before("pytest", "a $(id)").lines().count(), 2);
    }
}
