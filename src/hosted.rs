//! hosted: `fix --run`: a failed run on GitHub in, repaired on this machine with a person's token.

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::{
    action::api_of,
    cli::{self, FixArgs},
    fix::FixOptions,
    github::{
        Client, ClientOptions,
        event::{RunRef, Via, parse_run},
    },
    input::BadInput,
    outcome::Repair,
    progress::Progress,
    redact::shown_line,
    report,
    run::{self, Mode, Wish},
    workspace::git,
};

/// A run on GitHub, and what is wanted of it.
pub struct Hosted {
    client: Client,
    wish: Wish,
}

impl Hosted {
    /// The run that `text` names: by its URL, or by its number where the repository's remote says whose it is.
    ///
    /// # Errors
    /// [`BadInput`] for what names no run.
    pub fn of(args: &FixArgs, text: &str, fix: FixOptions) -> Result<Hosted> {
        let RunRef { server, repository, run_id, attempt, .. } = parse_run(text).map_err(BadInput)?;
        let (server, repository) = match (server, repository) {
            (Some(server), Some(repository)) => (server, repository),
            _ => remote(&args.repository())?,
        };
        let token = ["GITHUB_TOKEN", "GH_TOKEN"].into_iter().find_map(|name| std::env::var(name).ok());
        let token = token.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty()).ok_or_else(|| {
            BadInput(
                "GITHUB_TOKEN is not set: GitHub shows logs only to those who sign in (gh auth token prints yours)"
                    .to_owned(),
            )
        })?;
        let client = Client::new(ClientOptions::new(&api_of(&server), Some(token.clone()), &repository))?;
        let wish = Wish {
            run: run_id,
            attempt,
            via: Via::Dispatch,
            server,
            token: Some(token),
            mode: if args.open_pr { Mode::PullRequest } else { Mode::Local },
            config_path: crate::config::PATH.to_owned(),
            fix,
            timeout: args.plan.timeout,
            deadline: args.plan.deadline,
            cache: args.sandbox.environments(),
            choice: args.sandbox.choice()?,
            launcher: cli::launcher()?,
            pythons: Vec::new(),
        };
        Ok(Hosted { client, wish })
    }

    /// Repairs it.
    ///
    /// # Errors
    /// As [`run::repair_run`].
    pub async fn repair(&self, progress: &Progress, repair: &mut Repair) -> Result<()> {
        run::repair_run(&self.client, &self.wish, progress, repair).await
    }

    /// Writes `audit.jsonl`: a line for each call that wrote to GitHub.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn write_audit(&self, directory: &Path) -> Result<()> {
        let cannot = || format!("--out {} cannot be written", directory.display());
        std::fs::create_dir_all(directory).with_context(cannot)?;
        let lines = report::json_lines(&self.client.audit().written());
        std::fs::write(directory.join("audit.jsonl"), lines).with_context(cannot)
    }

    /// Enters what was written to GitHub into the report.
    pub fn audit(&self, repair: &mut Repair) {
        let written = self.client.audit().written();
        repair.learned.notes.extend(
            written.iter().map(|w| format!("written to GitHub: {} {} ({}): {}", w.method, w.path, w.why, w.result)),
        );
    }
}

/// Server and repository of a checkout's `origin`.
fn remote(repository: &Path) -> Result<(String, String), BadInput> {
    let unknown = || {
        BadInput("whose run is that? Give its URL, or --repo a checkout whose remote `origin` is on GitHub".to_owned())
    };
    let output = git(repository).args(["config", "--get", "remote.origin.url"]).output().map_err(|_| unknown())?;
    let url = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    slug(&url).ok_or_else(|| match url.is_empty() {
        true => unknown(),
        false => BadInput(format!(
            "the remote {} is no repository of a GitHub server: give the run's URL",
            shown_line(&url, 200)
        )),
    })
}

/// `https://github.com/o/r.git`, `git@github.com:o/r.git`, `ssh://git@github.com/o/r`.
fn slug(url: &str) -> Option<(String, String)> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("ssh://")).or_else(|| url.strip_prefix("git@"));
    let rest = rest?.rsplit_once('@').map_or(rest?, |(_, host)| host);
    let (host, path) = rest.split_once(['/', ':'])?;
    let path = path.trim_end_matches('/').trim_end_matches(".git");
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    let (owner, name) = path.split_once('/')?;
    (plain(host) && plain(owner) && plain(name)).then(|| (format!("https://{host}"), path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_is_read_from_every_form_of_a_remote() {
        let expected = Some(("https://github.com".to_owned(), "o/r".to_owned()));
        for url in [
            "https://github.com/o/r.git",
            "https://user:pw@github.com/o/r",
            "git@github.com:o/r.git",
            "ssh://git@github.com/o/r.git/",
        ] {
            assert_eq!(slug(url), expected, "{url}");
        }
        assert_eq!(slug("/srv/git/r.git"), None);
        assert_eq!(slug("https://github.com/o"), None);
    }
}
