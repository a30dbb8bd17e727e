//! Linters that print a place, a rule and a message in one of a few common ways, told apart by the command: vulture,
//! pydocstyle, yamllint, actionlint, hadolint, shellcheck, zizmor, biome and others.

use super::{Kind, Read, Tool, finding};
use crate::detect::failure::{Category, Key};
use crate::detect::found::{Found, Sink};
use crate::detect::paths::is_project;
use crate::detect::text::{bounded, patterns};

patterns! {
    PLAIN = r"^((?:[A-Za-z]:)?(?:[^:\s][^:]*?)?(?:\.\w{1,8}|Dockerfile[\w.]*|Makefile)):(\d+)(?::\d+)?:? +(\S.*)$";
    WARNS = r"^\w+Warning: ";
    SEVERITY = r"^(?:\[?(?:error|warning|info|note|style|convention|refactor|E|W)\]?:? +|(?:LOW|MEDIUM|HIGH): )";
    LEADING = r"^([A-Z]{1,6}\d{2,5})(?:\[\w+\])?:? +(?:(?:error|warning|info|style|LOW|MEDIUM|HIGH): +)?(.*)$";
    TRAILING = r"^(.*?) +[(\[]([A-Za-z][\w/-]*)[)\]]$";
    DOCSTRING = r"^(\S+\.pyi?):(\d+) (?:at module level|in \w.*):$";
    CARET = r"^\s*\^-*\^? *(?:-- )?(SC\d{4}) \((?:error|warning|info|style)\): (.*)$";
    IN = r"^In (\S+) line (\d+):$";
    AUDITED = r"^(?:error|warning|help|info|note)\[([\w-]+)\]: (.*)$";
    ARROW = r"^\s*--> ([^:]+):(\d+):\d+$";
    BIOME = r"^(\S+?)(?::(\d+):\d+)? ((?:lint|assist|format|parse|organizeImports|suppressions)(?:/\S+)?)(?: +FIXABLE)? +━+$";
    BIOME_SAID = r"^  [×✖] (.*)$";
    SECRET = r"^Secret Type: (.*)$";
    LOCATION = r"^Location: +(\S+?):(\d+)$";
    GROUPED = r"^(\d+):(\d+) (?:\[([\w-]+)\] )?(.*?)(?: \((syntax)\))?$";
}

pub(super) const TOOL: Kind = Kind::new(
    &[
        ".py:#",
        ".yml:#",
        ".yaml:#",
        ".sh:#",
        "Dockerfile",
        ".rst:#",
        ".md:#",
        ".toml:#",
        ".js:#",
        ".c:#",
        ".lua:#",
        ".tf:#",
        ".sql:#",
        " SC1#",
        " SC2#",
        " SC3#",
        "        D",
        "(syntax)",
        " line #",
        "--> ",
        " ━━",
        "Secret Type: ",
        "Location: ",
        "do not match!",
        "  × ",
        ".yml",
        ".yaml",
    ],
    || Box::<Located>::default(),
)
.on_errors();

/// The tools, what a finding of theirs is, and what they say of a file that does not parse.
const LINTERS: [(&str, Category); 20] = [
    ("vulture", Category::Quality),
    ("actionlint", Category::Quality),
    ("yamllint", Category::Quality),
    ("hadolint", Category::Quality),
    ("shellcheck", Category::Quality),
    ("doc8", Category::Docs),
    ("rstcheck", Category::Docs),
    ("darglint", Category::Docs),
    ("proselint", Category::Docs),
    ("bandit", Category::Security),
    ("pyflakes", Category::Quality),
    ("pycln", Category::Quality),
    ("pyroma", Category::Quality),
    ("autoflake", Category::Quality),
    ("cpplint", Category::Quality),
    ("luacheck", Category::Quality),
    ("tflint", Category::Quality),
    ("sqlfluff", Category::Quality),
    ("deptry", Category::ImportDependency),
    ("mdl", Category::Docs),
];

#[derive(Debug, Default)]
struct Located {
    /// The place, or the file, that the next lines are about.
    place: Option<(String, String)>,
    secret: Option<String>,
    biome: Option<(String, String, String)>,
    file: Option<String>,
}

impl Tool for Located {
    fn line(&mut self, line: &str, sink: &mut Sink) -> Read {
        if line.len() > 2000 {
            return Read::Pass;
        }
        if line.starts_with("In ")
            && let Some(found) = IN.captures(line)
        {
            self.place = Some((found[1].to_owned(), found[2].to_owned()));
        } else if let Some(found) = CARET.captures(line)
            && let Some((file, number)) = self.place.clone()
        {
            let syntax = matches!(&found[1], "SC1072" | "SC1073");
            let category = if syntax { Category::SyntaxError } else { Category::Quality };
            push(sink, category, "shellcheck", &file, &number, &found[1], &found[2]);
        } else if line.starts_with("        D")
            && let Some(said) = LEADING.captures(line.trim())
            && let Some((file, number)) = sink
                .recent
                .before(1)
                .and_then(|before| DOCSTRING.captures(&before).map(|found| (found[1].to_owned(), found[2].to_owned())))
        {
            push(sink, Category::Docs, "pydocstyle", &file, &number, &said[1], &said[2]);
        } else if let Some(found) = ARROW.captures(line) {
            let before = sink.recent.before(1).unwrap_or_default();
            let Some(head) = AUDITED.captures(&before) else { return Read::Pass };
            if !sink.runs("zizmor") {
                return Read::Pass;
            }
            push(sink, Category::Security, "zizmor", &found[1], &found[2], &head[1], &head[2]);
        } else if let Some(found) = BIOME.captures(line) {
            let number = found.get(2).map_or("", |number| number.as_str());
            self.biome = Some((found[1].to_owned(), number.to_owned(), found[3].to_owned()));
        } else if let Some(found) = BIOME_SAID.captures(line)
            && let Some((file, number, rule)) = self.biome.take()
        {
            push(sink, Category::Quality, "biome", &file, &number, &rule, &found[1]);
        } else if let Some(found) = SECRET.captures(line) {
            self.secret = Some(found[1].to_owned());
        } else if let Some(found) = LOCATION.captures(line)
            && let Some(kind) = self.secret.take()
        {
            push(sink, Category::Security, "detect-secrets", &found[1], &found[2], "secret", &kind);
        } else if line == "lists of files in version control and sdist do not match!" {
            let key = Key::Message { file: None, message: line.to_owned() };
            sink.push(Found::new(Category::Quality, "check-manifest", key, line));
        } else if sink.error
            && sink.runs("yamllint")
            && let Some(found) = GROUPED.captures(line)
            && let Some(file) = self.file.clone()
        {
            let rule = found.get(3).or(found.get(5)).map_or("error", |rule| rule.as_str());
            let category = if rule == "syntax" { Category::SyntaxError } else { Category::Quality };
            push(sink, category, "yamllint", &file, &found[1], rule, &found[4]);
        } else {
            return self.plain(line, sink);
        }
        Read::Taken
    }

    fn open(&self) -> bool {
        self.biome.is_some()
    }
}

impl Located {
    fn plain(&mut self, line: &str, sink: &mut Sink) -> Read {
        let named = |tool: &'static str| sink.runs(tool) || (tool == "bandit" && line.contains("[bandit]: "));
        let Some((tool, category)) = LINTERS.into_iter().find(|(tool, _)| named(tool)) else { return Read::Pass };
        let Some(found) = PLAIN.captures(line) else {
            if (line.ends_with(".yml") || line.ends_with(".yaml")) && !line.contains(' ') {
                self.file = Some(line.to_owned());
            }
            return Read::Pass;
        };
        // Python's own warnings look the same.
        if WARNS.is_match(&found[3]) || !is_project(&sink.paths.file(&found[1])) {
            return Read::Pass;
        }
        let said = SEVERITY.replace(&found[3], "");
        let (rule, said) = if let Some(parts) = LEADING.captures(&said) {
            (parts[1].to_owned(), parts[2].to_owned())
        } else if let Some(parts) = TRAILING.captures(&said) {
            (parts[2].to_owned(), parts[1].to_owned())
        } else {
            ("error".to_owned(), said.into_owned())
        };
        let syntax = rule == "syntax"
            || said.starts_with("syntax error")
            || said.starts_with("unexpected '")
            || matches!(rule.as_str(), "SC1072" | "SC1073");
        let category = if syntax { Category::SyntaxError } else { category };
        push(sink, category, tool, &found[1], &found[2], &rule, &said);
        Read::Taken
    }
}

fn push(sink: &mut Sink, category: Category, tool: &'static str, file: &str, line: &str, rule: &str, said: &str) {
    let text = if rule == "error" { said.to_owned() } else { format!("{rule} {said}") };
    let mut found = finding(sink, category, tool, file, line, rule, bounded(&text, 1000));
    if let Key::Finding { symbol, .. } = &mut found.key {
        *symbol = Some(sink.paths.stable(said));
    }
    if category == Category::SyntaxError {
        found.cause = found.file.as_ref().map(|file| format!("syntax|{file}"));
    }
    if sink.known(&found.key.clone()).is_none_or(|known| known.line != found.line) {
        sink.push(found);
    }
}
