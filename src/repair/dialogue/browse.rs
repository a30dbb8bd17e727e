//! Looking at files: bounded, in a fixed order, and never through a symbolic link.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use glob::Pattern;
use regex::RegexBuilder;

use crate::workspace::{inside, read_inside};

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

/// A part of a file, its lines numbered. `redact` sees each line as it stands there.
pub(super) fn read(
    root: &Path,
    path: &str,
    from: Option<usize>,
    to: Option<usize>,
    redact: &dyn Fn(&str) -> String,
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
    for (n, line) in text.lines().enumerate().skip(from - 1).take(to.saturating_sub(from - 1)) {
        if shown.len() > MOST_SHOWN {
            break;
        }
        shown.push_str(&format!("{:>5}\t{}\n", n + 1, clip(line, redact)));
        last = n + 1;
    }
    shown.push_str(&match last < all {
        true => format!("(lines {from} to {last} of {all})"),
        false => format!("(to the end: {all} lines)"),
    });
    Ok(shown)
}

/// The lines of `files` that match. `redact` sees each line as it stands there.
pub(super) fn search(
    root: &Path,
    files: &BTreeSet<&str>,
    regex: &str,
    glob: Option<&str>,
    redact: &dyn Fn(&str) -> String,
) -> Result<String, String> {
    let glob = glob.map(Glob::new).transpose()?;
    let regex = RegexBuilder::new(regex).size_limit(1 << 20).build();
    let regex = regex
        .map_err(|e| format!("the expression cannot be used: {}", clip(&e.to_string().replace('\n', " "), redact)))?;
    let mut hits = Vec::new();
    let mut left = MOST_SEARCHED;
    for file in files.iter().filter(|file| glob.as_ref().is_none_or(|glob| glob.is_like(file))) {
        let Some(text) = text(root, file) else { continue };
        left = left.saturating_sub(text.len() as u64);
        for (n, line) in text.lines().enumerate().filter(|(_, line)| regex.is_match(line)) {
            if hits.len() == MOST_HITS {
                hits.push("… and more: use a narrower expression or a glob".to_owned());
                return Ok(hits.join("\n"));
            }
            hits.push(format!("{file}:{}: {}", n + 1, clip(line.trim_end(), redact)));
        }
        if left == 0 {
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

fn clip(line: &str, redact: &dyn Fn(&str) -> String) -> String {
    let line = redact(line);
    match line.char_indices().nth(LONGEST_LINE) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
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
        assert_eq!(
            search(place.path(), &files, "x", Some("*.rs"), &str::to_owned).unwrap_err(),
            "no file is like that glob"
        );
    }

    proptest! {
        #[test]
        fn no_glob_panics_or_takes_for_ever(glob in "[a{},*\\[\\]]{0,60}") {
            let _ = Glob::new(&glob);
        }
    }
}
