//! What tox and nox install into the environments that they make, read from their files.

use std::sync::LazyLock;

use regex::Regex;

use super::{cfg, toml};
use crate::repair::rules::{
    names::matcher,
    tree::{self, Tree},
};

/// The commands that would install the same, for the `commands` of a job that start tox or nox in `folder`. What the
/// named environments or sessions do not have is left out, where that can be told.
pub(in crate::repair::rules) fn installs(tree: &Tree<'_>, folder: &str, commands: &[String]) -> Vec<String> {
    let content = |name: &str| tree.read(&tree::join(folder, name)).map(|text| text.content).unwrap_or_default();
    let words = |command: &String| -> Vec<String> {
        command.split([' ', '\n', ',', '=', '"', '\'']).map(str::to_owned).filter(|word| !word.is_empty()).collect()
    };
    let of = |tool: &str| -> Option<Vec<String>> {
        let starts = |word: &String| word.rsplit('/').next() == Some(tool);
        let found: Vec<String> =
            commands.iter().map(words).filter(|words| words.iter().any(starts)).flatten().collect();
        (!found.is_empty()).then_some(found)
    };
    let mut found = Vec::new();
    if let Some(words) = of("tox") {
        for name in ["tox.ini", "setup.cfg"] {
            from_ini(&content(name), &words, &mut found);
        }
        for (name, root) in [("tox.toml", &[][..]), ("pyproject.toml", &["tool", "tox"])] {
            if let Some(parsed) = toml::parse(&content(name)) {
                from_toml(&parsed, root, &words, &mut found);
            }
        }
    }
    if let Some(words) = of("nox") {
        from_noxfile(&content("noxfile.py"), &words, &mut found);
    }
    found
}

fn from_ini(content: &str, words: &[String], found: &mut Vec<String>) {
    let asked = |section: &str| match section.strip_prefix("tox:").unwrap_or(section).split_once(':') {
        None => section.ends_with("testenv"),
        Some(("testenv", name)) => words.iter().any(|word| word == name),
        Some(_) => false,
    };
    let has = |factor: &str| {
        let plain = factor.trim().trim_start_matches('!');
        words.iter().any(|word| word == plain || word.split('-').any(|part| part == plain))
    };
    for (_, key, values) in cfg::entries(content).into_iter().filter(|(section, _, _)| asked(section)) {
        for value in values {
            let (factors, value) = cfg::of_tox(&value);
            if factors.is_some_and(|factors| !factors.split(',').any(|all| all.split('-').all(has))) {
                continue;
            }
            found.extend(command(&key, value));
        }
    }
}

fn from_toml(parsed: &toml::Toml, root: &[&str], words: &[String], found: &mut Vec<String>) {
    let named = toml::keys(parsed, &[root, &["env"]].concat());
    let named = named.iter().filter(|name| words.contains(name)).map(|name| vec!["env", name.as_str()]);
    for table in named.chain([vec!["env_run_base"]]) {
        for key in ["extras", "dependency_groups", "deps"] {
            let values = toml::strings(parsed, &[root, &table, &[key]].concat()).unwrap_or_default();
            found.extend(values.iter().filter_map(|value| command(key, value)));
        }
    }
}

fn command(key: &str, value: &str) -> Option<String> {
    match key {
        _ if value.is_empty() => None,
        "extras" => Some(format!("pip install .[{value}]")),
        "dependency_groups" => Some(format!("pip install --group {value}")),
        "deps" => Some(format!("pip install {}", cfg::from_folder(value))),
        _ => None,
    }
}

fn from_noxfile(content: &str, words: &[String], found: &mut Vec<String>) {
    static INSTALL: LazyLock<Option<Regex>> = matcher!(r"session\.(?:install|run_install|run_always)\(([^()]*)\)");
    static GROUPS: LazyLock<Option<Regex>> = matcher!(r"dependency_groups\([^()]*?,([^()]*)\)");
    static TEXT: LazyLock<Option<Regex>> = matcher!(r#"["']([^"'\n]*)["']"#);
    let (Some(install), Some(groups), Some(text)) = (&*INSTALL, &*GROUPS, &*TEXT) else { return };
    let texts = |of: &str| text.captures_iter(of).map(|each| each[1].to_owned()).collect::<Vec<_>>();
    let sessions: Vec<&str> = content.split("\ndef ").skip(1).collect();
    let named = |session: &&&str| {
        let name = session.split('(').next().unwrap_or_default().trim();
        words.iter().any(|word| word == name || word.strip_prefix(name).is_some_and(|rest| rest.starts_with('-')))
    };
    let asked: Vec<&str> = sessions.iter().filter(named).copied().collect();
    for session in if asked.is_empty() { sessions } else { asked } {
        for call in install.captures_iter(session) {
            found.push(format!("pip install {}", texts(&call[1]).join(" ")));
        }
        let names = groups.captures_iter(session).flat_map(|call| texts(&call[1]));
        found.extend(names.map(|name| format!("pip install --group {name}")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(file: &str, content: &str, command: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(file), content).unwrap();
        installs(&Tree::new(folder.path()), "", &[command.to_owned()])
    }

    #[test]
    fn what_tox_installs_for_the_environments_that_are_asked_for_is_known() {
        let ini = "[tox]\nenvlist = a\n[testenv]\nextras =\n    tests\n    mypy: types\ndeps =\n    -r{toxinidir}/r.txt\n    docs: sphinx\n\
                   [testenv:lint]\ndeps = ruff\ndependency_groups = lint\n";
        let base = ["pip install .[tests]", "pip install -rr.txt"];
        assert_eq!(of("tox.ini", ini, "tox -e py312-test --notest"), base);
        let typed = of("tox.ini", ini, "python -m tox -e py312-mypy,lint");
        assert_eq!(typed.len(), 5, "{typed:?}");
        assert!(typed.contains(&"pip install --group lint".to_owned()));
        assert_eq!(of("tox.ini", ini, "pytest"), [""; 0]);
        let toml =
            "[tool.tox.env_run_base]\ndependency_groups = [\"test\"]\n[tool.tox.env.docs]\nextras = [\"docs\"]\n";
        assert_eq!(of("pyproject.toml", toml, "tox run -e py"), ["pip install --group test"]);
    }

    #[test]
    fn what_a_session_of_nox_installs_is_known() {
        let file = "import nox\n@nox.session\ndef tests(session):\n    session.install(\"-e\", \".[test]\")\n\n\
                    @nox.session\ndef lint(session):\n    session.install(*nox.project.dependency_groups(P, \"lint\"))\n";
        assert_eq!(of("noxfile.py", file, "nox -s tests-3.12"), ["pip install -e .[test]"]);
        assert_eq!(of("noxfile.py", file, "nox -s lint"), ["pip install --group lint"]);
        assert_eq!(of("noxfile.py", file, "nox").len(), 2);
    }
}
