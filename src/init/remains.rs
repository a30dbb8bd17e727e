//! What a person has to do by hand, with the pages to do it on.

use std::{fmt::Write as _, path::Path};

use super::{ACTION, PATH, asked};

/// Where the repository lives, as far as git says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// `https://github.com/octo/shop`
    page: Option<String>,
    /// `main`
    default_branch: Option<String>,
}

impl Place {
    pub(super) fn of(root: &Path) -> Place {
        if !root.join(".git").exists() {
            return Place::default();
        }
        let branch = asked(root, &["symbolic-ref", "--short", "refs/remotes/origin/HEAD"]);
        let branch = branch.and_then(|b| Some(b.strip_prefix("origin/")?.to_owned()));
        Place {
            page: asked(root, &["remote", "get-url", "origin"]).and_then(|url| page(&url)),
            default_branch: branch.filter(|b| b.len() <= 100 && b.chars().all(|c| is_plain(c) || c == '/')),
        }
    }
}

/// The repository's page, out of a remote's URL; whatever else is in the URL, credentials above all, is left behind.
fn page(url: &str) -> Option<String> {
    let (host, path) = match url.split_once("://") {
        Some(("https" | "http" | "ssh" | "git", rest)) => rest.split_once('/')?,
        Some(_) => return None,
        // `git@github.com:octo/shop.git`
        None => url.split_once(':')?,
    };
    let host = host.rsplit('@').next()?;
    let host = if url.starts_with("http") { host } else { host.split(':').next()? };
    let host = if host == "ssh.github.com" { "github.com" } else { host };
    let path = path.trim_matches('/');
    let (owner, name) = path.strip_suffix(".git").unwrap_or(path).split_once('/')?;
    let (bare, port) = host.split_once(':').unwrap_or((host, "1"));
    let fits =
        |text: &str| !text.is_empty() && text.len() <= 100 && !text.starts_with('.') && text.chars().all(is_plain);
    let known = fits(bare) && fits(owner) && fits(name) && port.bytes().all(|b| b.is_ascii_digit());
    known.then(|| format!("https://{host}/{owner}/{name}"))
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
}

/// The list of what remains.
pub(super) fn remains(place: &Place, same_run: bool) -> String {
    let page = |path: &str| place.page.as_ref().map(|page| format!("\n     {page}{path}")).unwrap_or_default();
    let branch =
        place.default_branch.as_deref().map_or("the default branch".to_owned(), |b| format!("the default branch, {b}"));
    let mut text = String::from("What remains\n");
    let commit = match same_run {
        true => "Paste the job, and commit. It works at once on the branch that has it.".to_owned(),
        false => format!(
            "Commit {PATH} to {branch}.\n     GitHub starts a `workflow_run` workflow only from there; on another branch it does nothing."
        ),
    };
    let items = [
        commit,
        format!(
            "Give the repository the secret DEEPSEEK_API_KEY: `gh secret set DEEPSEEK_API_KEY`, or\n     Settings → Secrets and \
             variables → Actions → New repository secret. It is optional: without it there\n     are rules and diagnosis \
             only.{}",
            page("/settings/secrets/actions/new")
        ),
        format!(
            "Allow pull requests: Settings → Actions → General → Workflow permissions → tick\n     \"Allow GitHub Actions to \
             create and approve pull requests\". Where it is greyed out, the organisation's\n     settings decide.{}",
            page("/settings/actions")
        ),
        "Know that GitHub holds CI back on pull requests that were opened with the GITHUB_TOKEN: a person with\n     write \
         access presses \"Approve workflows to run\". With `github-token:` of a GitHub App, CI runs at once."
            .to_owned(),
    ];
    for (at, item) in items.iter().enumerate() {
        let _ = writeln!(text, "  {}. {item}", at + 1);
    }
    let try_it = match same_run {
        true => String::new(),
        false => "\nTry it on a run that failed: `gh workflow run test-repair -f run-id=NUMBER`\n".to_owned(),
    };
    let _ = write!(
        text,
        "{try_it}\nTo turn it off, delete what was added. {ACTION} follows our releases; the file says how to pin it.\n"
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_remote_s_url_gives_the_page_and_nothing_of_its_credentials() {
        for (url, expected) in [
            ("https://github.com/octo/shop.git", Some("https://github.com/octo/shop")),
            ("https://github.com/octo/shop/", Some("https://github.com/octo/shop")),
            ("https://x-access-token:ghs_secret@github.com/octo/shop", Some("https://github.com/octo/shop")),
            ("https://ghe.example:8443/octo/shop.py.git", Some("https://ghe.example:8443/octo/shop.py")),
            ("git@github.com:octo/shop.git", Some("https://github.com/octo/shop")),
            ("ssh://git@ssh.github.com:443/octo/shop.git", Some("https://github.com/octo/shop")),
            ("ssh://git@ghe.example:22/octo/shop", Some("https://ghe.example/octo/shop")),
            ("/srv/git/shop.git", None),
            ("../shop", None),
            ("file:///srv/shop.git", None),
            ("ext::sh -c evil", None),
            ("https://github.com/octo/shop/extra", None),
            ("https://github.com/octo/$(evil)", None),
        ] {
            assert_eq!(page(url).as_deref(), expected, "{url}");
        }
    }

    #[test]
    fn what_remains_names_the_secret_the_setting_and_the_branch() {
        let place = Place { page: page("git@github.com:octo/shop.git"), default_branch: Some("trunk".to_owned()) };
        let said = remains(&place, false);
        for word in [
            "the default branch, trunk",
            "gh secret set DEEPSEEK_API_KEY",
            "https://github.com/octo/shop/settings/secrets/actions/new",
            "https://github.com/octo/shop/settings/actions\n",
            "Allow GitHub Actions to create and approve pull requests",
        ] {
            assert!(said.contains(word), "{word} is not in\n{said}");
        }
        assert!(!remains(&Place::default(), true).contains("https://"));
    }

    proptest! {
        #[test]
        fn no_credential_of_any_url_is_shown(secret in "[a-zA-Z0-9_]{12,30}", user in "[a-z]{0,6}", scheme in "https|ssh|http") {
            let found = page(&format!("{scheme}://{user}:{secret}@github.com/o/r.git"));
            prop_assert_eq!(found.as_deref(), Some("https://github.com/o/r"));
        }

        #[test]
        fn no_url_panics(url in ".{0,60}") {
            let _ = page(&url);
        }
    }
}
