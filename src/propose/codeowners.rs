//! Who owns files, by a CODEOWNERS file and GitHub's rules for it: the last line that matches wins, patterns are those
//! of gitignore without `!`, `[ ]` and an escaped `#`, and `dir/*` does not reach below `dir`.
//! <https://docs.github.com/en/repositories/managing-your-repositorys-settings-and-features/customizing-your-repository/about-code-owners>

/// GitHub loads no larger file.
const LARGEST: usize = 3 << 20;

/// No pattern and no path is longer; a line with a longer pattern is skipped.
const LONGEST: usize = 4096;

/// Steps of comparison for one question, whatever a hostile file makes of its patterns. Without an answer by then,
/// nobody is asked.
const STEPS: u64 = 10_000_000;

/// Nobody asks more for one change.
const MOST: usize = 100;

/// The owners of some files, each once, in the order of the files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owners {
    /// Logins, without the `@`.
    pub users: Vec<String>,
    /// `organisation/slug`, without the `@`.
    pub teams: Vec<String>,
}

/// The owners of `files` (relative paths with `/`). Addresses of mail count as owners, and are left out of the answer.
pub fn owners(codeowners: &str, files: &[String]) -> Owners {
    let mut found = Owners::default();
    if codeowners.len() >= LARGEST {
        return found;
    }
    let rules: Vec<Rule> = codeowners.lines().filter_map(Rule::read).collect();
    let mut steps = STEPS;
    for file in files {
        let path: Vec<&str> = file.trim_start_matches('/').split('/').collect();
        if file.len() > LONGEST || path.contains(&"") {
            continue;
        }
        let rule = rules.iter().rev().find(|rule| rule.matches(&path, &mut steps));
        if steps == 0 {
            return Owners::default();
        }
        let Some(rule) = rule else { continue };
        for owner in rule.owners.iter().filter(|owner| owner.starts_with('@')) {
            let name = &owner[1..];
            let list = if name.contains('/') { &mut found.teams } else { &mut found.users };
            if list.len() < MOST && !list.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                list.push(name.to_owned());
            }
        }
    }
    found
}

/// A line: a pattern and its owners, perhaps none.
struct Rule<'a> {
    /// The pattern between its slashes, from the root on; `**` stands for any number of directories.
    parts: Vec<String>,
    owners: Vec<&'a str>,
}

impl<'a> Rule<'a> {
    /// `None` for a comment, and for a line that GitHub skips.
    fn read(line: &'a str) -> Option<Rule<'a>> {
        let line = line.trim_start_matches('\u{feff}').trim();
        let (pattern, rest) = cut_pattern(line);
        if pattern.is_empty() || pattern.len() > LONGEST || pattern.starts_with(['#', '!']) {
            return None;
        }
        // What gitignore has and CODEOWNERS has not.
        if pattern.starts_with("\\#") || pattern.contains(['[', ']']) || pattern.contains("***") {
            return None;
        }
        let owners: Vec<&str> = rest.split_whitespace().take_while(|word| !word.starts_with('#')).collect();
        if !owners.iter().all(|owner| is_owner(owner)) {
            return None;
        }
        Some(Rule { parts: parts(pattern)?, owners })
    }

    /// Does the pattern match the file, or a directory above it? Like all globs, only the last `**` need be
    /// reconsidered.
    fn matches(&self, path: &[&str], steps: &mut u64) -> bool {
        let (mut at, mut file) = (0, 0);
        // Where the last `**` stands, and from where on the path is tried after it.
        let mut again: Option<(usize, usize)> = None;
        loop {
            *steps = steps.saturating_sub(1);
            if *steps == 0 {
                return true; // the caller looks at the steps
            }
            if at == self.parts.len() {
                if file == path.len() || self.reaches_below() {
                    return true;
                }
            } else if self.parts[at] == "**" {
                // At the end it wants something below; elsewhere it may be nothing.
                if at + 1 == self.parts.len() {
                    if file < path.len() {
                        return true;
                    }
                } else {
                    again = Some((at, file));
                    at += 1;
                    continue;
                }
            } else if file < path.len() && glob(&self.parts[at], path[file], steps) {
                (at, file) = (at + 1, file + 1);
                continue;
            }
            match again {
                Some((star, from)) if from < path.len() => {
                    again = Some((star, from + 1));
                    (at, file) = (star + 1, from + 1);
                }
                _ => return false,
            }
        }
    }

    /// Does a match of a directory own what is in it? `docs/*` owns files of `docs` alone.
    fn reaches_below(&self) -> bool {
        self.parts.last().is_none_or(|last| last != "*")
    }
}

/// The pattern, up to the first space that is not escaped, and the rest.
fn cut_pattern(line: &str) -> (&str, &str) {
    let mut escaped = false;
    for (at, c) in line.char_indices() {
        if c.is_whitespace() && !escaped {
            return (&line[..at], &line[at..]);
        }
        escaped = c == '\\' && !escaped;
    }
    (line, "")
}

/// The pattern taken apart; `None` for one that can match nothing.
fn parts(pattern: &str) -> Option<Vec<String>> {
    let directory = pattern.ends_with('/');
    let trimmed = pattern.strip_suffix('/').unwrap_or(pattern);
    let anchored = trimmed.contains('/');
    let from_root = trimmed.strip_prefix('/').unwrap_or(trimmed);
    let mut parts: Vec<String> = Vec::new();
    if !anchored {
        parts.push("**".to_owned());
    }
    for part in from_root.split('/') {
        if part.is_empty() {
            return None; // `/`, `a//b`
        }
        // `**/**` says no more than `**`, and costs more.
        if part != "**" || parts.last().is_none_or(|last| last != "**") {
            parts.push(part.to_owned());
        }
    }
    if directory && parts.last().is_none_or(|last| last != "**") {
        parts.push("**".to_owned());
    }
    Some(parts)
}

/// One part against one name: `*`, `?` and escaped characters. Only the last `*` need be reconsidered.
fn glob(pattern: &str, name: &str, steps: &mut u64) -> bool {
    let (mut rest, mut left) = (pattern.chars(), name.chars());
    let mut again: Option<(std::str::Chars<'_>, std::str::Chars<'_>)> = None;
    loop {
        *steps = steps.saturating_sub(1);
        if *steps == 0 {
            return false;
        }
        match rest.next() {
            Some('*') => {
                again = Some((rest.clone(), left.clone()));
                continue;
            }
            Some('?') if left.next().is_some() => continue,
            Some('?') => {}
            Some('\\') => {
                let wanted = rest.next();
                if wanted.is_some() && left.next() == wanted {
                    continue;
                }
            }
            Some(c) if left.next() == Some(c) => continue,
            Some(_) => {}
            None if left.as_str().is_empty() => return true,
            None => {}
        }
        let Some((after, mut from)) = again else { return false };
        if from.next().is_none() {
            return false;
        }
        (rest, left) = (after.clone(), from.clone());
        again = Some((after, from));
    }
}

/// `@login`, `@organisation/team`, or an address of mail. A line with anything else is skipped.
fn is_owner(word: &str) -> bool {
    let plain = |text: &str, more: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || more.contains(c);
        !text.is_empty() && text.len() <= 100 && text.chars().all(fits)
    };
    match word.strip_prefix('@') {
        Some(name) => match name.split_once('/') {
            Some((organisation, team)) => plain(organisation, "-_") && plain(team, "-_."),
            None => plain(name, "-_"),
        },
        None => word.split_once('@').is_some_and(|(user, host)| !user.is_empty() && host.contains('.')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(codeowners: &str, file: &str) -> String {
        let owners = owners(codeowners, &[file.to_owned()]);
        owners.users.into_iter().chain(owners.teams).collect::<Vec<_>>().join(" ")
    }

    /// The example of GitHub's documentation.
    const DOCUMENTED: &str = "
# This is a comment.
*       @global-owner1 @global-owner2
*.js    @js-owner #This is an inline comment.
*.go docs@example.com
*.txt @octo-org/octocats
/build/logs/ @doctocat
docs/*  mail@example.com @docs-owner
apps/ @octocat
/docs/ @doctocat
/scripts/ @doctocat @octocat
**/logs @octocat
/apps/ @octocat
/apps/github
";

    #[test]
    fn github_s_documented_example_is_read_as_documented() {
        for (file, expected) in [
            ("README.md", "global-owner1 global-owner2"),
            ("src/deep/app.js", "js-owner"),
            ("main.go", ""),
            ("notes.txt", "octo-org/octocats"),
            ("build/logs/today", "octocat"),
            ("deeply/nested/logs/a/b.txt", "octocat"),
            ("docs/getting-started.md", "doctocat"),
            ("other/docs/a.md", "global-owner1 global-owner2"),
            ("other/apps/a.py", "octocat"),
            ("scripts/run", "doctocat octocat"),
            ("apps/a.py", "octocat"),
            ("apps/github", ""),
            ("apps/github/deep/a.py", ""),
            ("apps/github2", "octocat"),
        ] {
            assert_eq!(of(DOCUMENTED, file), expected, "{file}");
        }
    }

    #[test]
    fn a_pattern_matches_as_gitignore_s_does_with_github_s_exceptions() {
        for (pattern, file, matches) in [
            ("docs/*", "docs/a.md", true),
            ("docs/*", "docs/build/a.md", false),
            ("docs/**", "docs/build/a.md", true),
            ("docs/**", "docs", false),
            ("a/**/b", "a/b", true),
            ("a/**/b", "a/x/y/b/c", true),
            ("a/**/b", "a/x/y/c", false),
            ("**", "any/thing", true),
            ("*", "any/thing", true),
            ("/*", "thing", true),
            ("/*", "any/thing", false),
            ("/src", "src/a.py", true),
            ("/src", "lib/src/a.py", false),
            ("src/", "lib/src/a.py", true),
            ("src/", "src", false),
            ("src/a?.p*", "src/ab.py", true),
            ("src/a?.p*", "src/a.py", false),
            ("SRC/", "src/a.py", false),
            ("with\\ space/", "with space/a.py", true),
            ("*a*b*c", "xxaxxbxxbxxc", true),
            ("*a*b*c", "xxaxxbxxbxx", false),
            ("/", "a", false),
            ("!a", "a", false),
            ("\\#a", "#a", false),
            ("a[bc]", "ab", false),
            ("é*", "ééé/x", true),
        ] {
            assert_eq!(of(&format!("{pattern} @o"), file) == "o", matches, "{pattern} {file}");
        }
    }

    #[test]
    fn the_last_line_wins_and_one_that_is_wrong_is_skipped() {
        assert_eq!(of("* @a\n* @b\n", "x"), "b");
        assert_eq!(of("* @a\n* b\n* @c/d/e\n* @\n", "x"), "a");
        assert_eq!(of("* @a\nx\n", "x"), "");
        assert_eq!(of("* @a\nx me@example.com\n", "x"), "");
        assert_eq!(of("\u{feff}* @a # @b\r\n#* @c\r\n", "x"), "a");
    }

    #[test]
    fn each_owner_is_named_once_in_the_order_of_the_files() {
        let files = ["a.py", "b.py", "c.py"].map(str::to_owned);
        let found = owners("a.py @x @o/t\nb.py @y @X\nc.py @O/T @o/u\n", &files);
        assert_eq!(found.users, ["x", "y"]);
        assert_eq!(found.teams, ["o/t", "o/u"]);
    }

    #[test]
    fn a_hostile_file_gives_nobody_when_its_work_is_spent() {
        let evil = format!("{}b @a\n", "*a".repeat(2000)).repeat(700);
        let files: Vec<String> = (0..100).map(|n| format!("{}/{n}", "a".repeat(4000))).collect();
        assert_eq!(owners(&evil, &files), Owners::default());
        let evil = format!("{}b @a\n", "**/a/".repeat(800)).repeat(700);
        let files: Vec<String> = (0..100).map(|n| format!("{}{n}", "a/".repeat(2000))).collect();
        assert_eq!(owners(&evil, &files), Owners::default());
        assert_eq!(owners(&"x".repeat(LARGEST), &files), Owners::default());
    }

    /// What the documentation says, as a regular expression: slow, and plain to see.
    fn expected(pattern: &str, file: &str) -> bool {
        let Some(parts) = parts(pattern) else { return false };
        let mut text = String::from("^");
        let last = parts.len() - 1;
        for (at, part) in parts.iter().enumerate() {
            match part.as_str() {
                "**" if at == last => text.push_str(".+"),
                "**" => text.push_str("(?:.+/)?"),
                part => {
                    let escaped = regex::escape(part).replace("\\*", "[^/]*").replace("\\?", "[^/]");
                    text.push_str(&escaped);
                    if at < last {
                        text.push('/');
                    } else if part != "*" {
                        text.push_str("(?:/.*)?");
                    }
                }
            }
        }
        regex::Regex::new(&(text + "$")).unwrap().is_match(file)
    }

    proptest! {
        #[test]
        fn a_match_is_that_of_the_regular_expression(pattern in "/?([ab]|\\*|\\?|\\*\\*|a\\*b?)(/([ab]|\\*|\\*\\*|\\?a)){0,4}/?", file in "[ab]{1,3}(/[ab]{1,3}){0,5}") {
            prop_assert_eq!(of(&format!("{pattern} @o"), &file) == "o", expected(&pattern, &file), "{} {}", pattern, file);
        }

        #[test]
        fn no_text_panics_and_no_owner_is_more_than_a_name(text in "(?s)([*/ab\\\\#! \\[\\]@.\n-]|.){0,200}", file in "(?s).{0,40}") {
            let found = owners(&text, &[file]);
            for name in found.users.iter().chain(&found.teams) {
                prop_assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c)));
            }
        }
    }
}
