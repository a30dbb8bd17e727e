//! Looking at files: bounded, in a fixed order, and never through a symbolic link.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use glob::Pattern;
use regex::RegexBuilder;

use super::workbench::Terms;
use crate::{
    redact::placeholders,
    workspace::{inside, read_inside},
};

/// Files that are listed by name; of more, only the directories.
const MOST_LISTED: usize = 200;
/// Lines that are read where nothing is said, and at most.
const LINES: usize = 200;
const MOST_LINES: usize = 400;
/// Bytes of a file that are shown at once, and characters of a line.
const MOST_SHOWN: usize = 16_000;
const LONGEST_LINE: usize = 500;
/// Larger files are not looked at.
const LARGEST: u64 = 2 << 20;
/// Hits that are shown, and bytes that are looked through.
const MOST_HITS: usize = 60;
const MOST_SEARCHED: u64 = 200 << 20;
/// Bytes of files with hits.
const MOST_REDACTED: usize = 32 << 20;

/// Which of `files` are below `path`, and like `glob`.
pub(super) fn list(files: &BTreeSet<&str>, path: &str, glob: Option<&str>) -> Result<String, String> {
    let glob = glob.map(Glob::new).transpose()?;
    let below = if path.is_empty() { String::new() } else { format!("{path}/") };
    let found: Vec<&str> = files
        .iter()
        .copied()
        .filter(|file| file.starts_with(&below) && glob.as_ref().is_none_or(|glob| glob.is_like(file)))
        .collect();
    if found.is_empty() {
        return Err(match files.contains(path) {
            true => format!("{path} is a file: read it"),
            false => "no file of the repository is there or like that".to_owned(),
        });
    }
    if found.len() <= MOST_LISTED {
        return Ok(found.join("\n"));
    }
    let mut entries: BTreeMap<String, usize> = BTreeMap::new();
    for file in &found {
        let rest = &file[below.len()..];
        let entry = rest.split_once('/').map_or(rest.to_owned(), |(directory, _)| format!("{directory}/"));
        *entries.entry(entry).or_default() += 1;
    }
    let lines = entries.iter().take(MOST_LISTED).map(|(entry, count)| match entry.ends_with('/') {
        true => format!("{below}{entry} ({count} files)"),
        false => format!("{below}{entry}"),
    });
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

/// A part of a file, its lines numbered.
pub(super) fn read(
    root: &Path,
    path: &str,
    (from, to): (Option<usize>, Option<usize>),
    terms: &Terms<'_>,
) -> Result<String, String> {
    let text = text(root, path).ok_or_else(|| format!("{path} is no text file of the repository that may be read"))?;
    let all = text.lines().count();
    let from = from.unwrap_or(1).max(1);
    if from > all.max(1) {
        return Err(format!("{path} has only {all} lines"));
    }
    let to = to.unwrap_or(from.saturating_add(LINES - 1)).clamp(from, from.saturating_add(MOST_LINES - 1)).min(all);
    let mut shown = String::new();
    let mut last = from.saturating_sub(1);
    for line in redacted(&text, terms).into_iter().filter(|line| (from..=to).contains(&line.from)) {
        if shown.len() > MOST_SHOWN {
            break;
        }
        shown.push_str(&format!("{:>5}\t{}\n", line.from, clip(&line.text)));
        last = line.to;
    }
    shown.push_str(&match last < all {
        true => format!("(lines {from} to {last} of {all})"),
        false => format!("(to the end: {all} lines)"),
    });
    Ok(shown)
}

/// The lines of `files` that match, as they are shown: no expression finds a part of a secret.
pub(super) fn search(
    root: &Path,
    files: &BTreeSet<&str>,
    regex: &str,
    glob: Option<&str>,
    terms: &Terms<'_>,
) -> Result<String, String> {
    let glob = glob.map(Glob::new).transpose()?;
    let regex = RegexBuilder::new(regex).size_limit(1 << 20).build();
    let regex =
        regex.map_err(|e| format!("the expression cannot be used: {}", clip(&e.to_string().replace('\n', " "))))?;
    let mut hits = Vec::new();
    let (mut left, mut to_redact) = (MOST_SEARCHED, MOST_REDACTED);
    for file in files.iter().filter(|file| glob.as_ref().is_none_or(|glob| glob.is_like(file))) {
        let Some(text) = text(root, file) else { continue };
        left = left.saturating_sub(text.len() as u64);
        let mut found = Vec::new();
        if text.lines().any(|line| regex.is_match(line)) {
            to_redact = to_redact.saturating_sub(text.len());
            found = redacted(&text, terms);
        }
        for line in found.iter().filter(|line| regex.is_match(&line.text)) {
            if hits.len() == MOST_HITS {
                hits.push("… and more: use a narrower expression or a glob".to_owned());
                return Ok(hits.join("\n"));
            }
            hits.push(format!("{file}:{}: {}", line.from, clip(line.text.trim_end())));
        }
        if left == 0 || to_redact == 0 {
            hits.push("… the rest was not searched: use a glob".to_owned());
            break;
        }
    }
    if hits.is_empty() {
        let looked = files.iter().any(|file| glob.as_ref().is_none_or(|glob| glob.is_like(file)));
        return Err(if looked { "no line matches" } else { "no file is like that glob" }.to_owned());
    }
    Ok(hits.join("\n"))
}

/// A line as it is shown, and those of the file that it stands for.
struct Line {
    from: usize,
    to: usize,
    text: String,
}

/// The lines of a whole file without its secrets: what would be cut off may tell that it is one. A secret of several
/// lines has become a part of one.
fn redacted(text: &str, terms: &Terms<'_>) -> Vec<Line> {
    let mut from = 1;
    let line = |line: &str| {
        let more = placeholders(line).next().map_or(0, |_| (terms.restore)(line).matches('\n').count());
        let line = Line { from, to: from + more, text: line.to_owned() };
        from = line.to + 1;
        line
    };
    (terms.redact)(text).lines().map(line).collect()
}

fn text(root: &Path, path: &str) -> Option<String> {
    let size = fs::symlink_metadata(inside(root, path)?).ok().filter(fs::Metadata::is_file)?.len();
    let bytes = (size <= LARGEST).then(|| read_inside(root, path))??;
    (!bytes.contains(&0)).then(|| String::from_utf8_lossy(&bytes).into_owned())
}

/// So many ways to read the braces of a glob are tried.
const MOST_GLOBS: usize = 64;

/// A glob; `{py,md}` stands for either, as in a shell.
struct Glob(Vec<Pattern>);

impl Glob {
    fn new(glob: &str) -> Result<Glob, String> {
        let unusable = |why: String| format!("the glob cannot be used: {why}");
        let mut open = vec![glob.trim_start_matches("./").to_owned()];
        let mut patterns = Vec::new();
        while let Some(glob) = open.pop() {
            let braces = glob.find('{').and_then(|from| Some((from, from + glob[from..].find('}')?)));
            match braces {
                Some((from, to)) => open.extend(
                    glob[from + 1..to].split(',').map(|each| format!("{}{each}{}", &glob[..from], &glob[to + 1..])),
                ),
                None => patterns.push(Pattern::new(&glob).map_err(|e| unusable(e.to_string()))?),
            }
            if open.len() + patterns.len() > MOST_GLOBS {
                return Err(unusable("it has too many braces".to_owned()));
            }
        }
        Ok(Glob(patterns))
    }

    /// By the whole path, or where the pattern has no directory by the name.
    fn is_like(&self, path: &str) -> bool {
        let name = path.rsplit('/').next().unwrap_or(path);
        self.0.iter().any(|glob| glob.matches(path) || (!glob.as_str().contains('/') && glob.matches(name)))
    }
}

fn clip(line: &str) -> String {
    match line.char_indices().nth(LONGEST_LINE) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn braces_of_a_glob_stand_for_each_of_their_words() {
        let files = BTreeSet::from(["a.py", "src/b.py", "docs/c.md", "d.txt"]);
        let like = |glob: &str| list(&files, "", Some(glob)).unwrap();
        assert_eq!(like("**/*.{py,md}"), "a.py\ndocs/c.md\nsrc/b.py");
        assert_eq!(like("{src,docs}/*.{py,md}"), "docs/c.md\nsrc/b.py");
        assert_eq!(like("*.txt"), "d.txt");
        let place = tempfile::tempdir().unwrap();
        let terms = Terms { checks: &[], protected: &[], restore: &str::to_owned, redact: &str::to_owned };
        let error = search(place.path(), &files, "x", Some("*.rs"), &terms).unwrap_err();
        assert_eq!(error, "no file is like that glob");
    }

    #[test]
    fn a_secret_is_known_though_its_line_is_cut_and_lines_keep_their_numbers() {
        let key = format!(
            "-----BEGIN PRIVATE KEY-----\n{0}\n{0}\n-----END PRIVATE KEY-----",
            "MIIEvQIBADANBgkqhkiG9w0B".repeat(2)
        );
        let token = "ghp_abcdefghijklmnopqrstuvwxyz0123456789";
        let place = tempfile::tempdir().unwrap();
        let text = format!("KEY = '''{key}'''\n{}{token}\nlast = 1\n", " ".repeat(LONGEST_LINE - 20));
        fs::write(place.path().join("a.py"), text).unwrap();
        let redactor = crate::redact::Redactor::new(&[]).unwrap();
        let terms = Terms {
            checks: &[],
            protected: &[],
            restore: &|text| redactor.restore(text),
            redact: &|text| redactor.redact(text),
        };
        let shown = read(place.path(), "a.py", (None, None), &terms).unwrap();
        assert!(!shown.contains("ghp_") && !shown.contains("MIIE"), "{shown}");
        assert!(shown.contains("\n    6\tlast = 1\n(to the end: 6 lines)"), "{shown}");
        let files = BTreeSet::from(["a.py"]);
        let find = |regex: &str| search(place.path(), &files, regex, None, &terms);
        assert_eq!(find("last").unwrap(), "a.py:6: last = 1");
        for part in ["ghp_abc", "MIIE"] {
            assert_eq!(find(part).unwrap_err(), "no line matches");
        }
    }

    proptest! {
        #[test]
        fn no_glob_panics_or_takes_for_ever(glob in "[a{},*\\[\\]]{0,60}") {
            let _ = Glob::new(&glob);
        }
    }
}
