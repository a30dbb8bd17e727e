//! JUnit through maven (surefire, failsafe) and gradle, and their own errors.

use super::{Kind, Read, Tool, test};
use crate::detect::failure::{Category, Key};
use crate::detect::found::{Found, Sink, Weight, Window};
use crate::detect::text::{bounded, patterns};

patterns! {
    CLASS = r"^(?:\[ERROR\] )?Tests run: .*<<< (?:FAILURE|ERROR)!(?: --?)?(?: in ([\w.$]+))?$";
    MILLIS = r"^\d+ \[";
    RUNNING = r"^(?:\[INFO\] )?Running ([\w.$]+)$";
    NEW = r"^(?:\[ERROR\] )?([\w.$]+)\.(\w[^\s(]*?(?:\(.*?\))?(?:\[\d+\])?)(?: --)?\s+Time elapsed: .*<<< (FAILURE|ERROR)!";
    OLD = r"^(?:\[ERROR\] )?([^\s(]+(?:\[.*?\])?)\(([\w.$]+)\)\s+Time elapsed: .*<<< (FAILURE|ERROR)!";
    WHOLE = r"^(?:\[ERROR\] )?([\w.$]+)(?: --)?\s+Time elapsed: .*<<< (FAILURE|ERROR)!";
    LISTED = r"^(?:\d+ )?\[ERROR\]\s+([\w.$]+\.[A-Za-z_]\w*)(?:\(.*?\))?(?:\[\d+\])?(?:->\S*?)?(?::(\d+))?(?:->\S+)*\s*(?:(»)|\[)?\s*(.*)$";
    AT = r"^\s+at (?:[\w.]+//?)?([\w.$]+)\.[\w$<>]+\((\w+\.(?:java|kt|groovy|scala)):(\d+)\)$";
    GRADLE = r"^([\w$]+(?:[ .]\S+)*?(?: > .+?)?) > (.+?) FAILED$";
    GOAL = r"^\[ERROR\] (?:Failed to execute goal (?:\S+ )?.*?(Could not (?:resolve dependencies|find artifact|transfer artifact).*)|.*(Non-resolvable parent POM.*|Non-parseable POM.*|Malformed POM.*))";
    STUCK = r"(The forked VM terminated without properly saying goodbye|Unknown lifecycle phase .*?\.|Task '.*' not found in .*?\.)";
    BUILD_FILE = r"^Build file '([^']+)' line: (\d+)$";
    THROWN = r#"^Exception in thread "[^"]*" (?:[\w.$]+\.)?(\w+)(?:: (.*))?$"#;
    WRONG = r"^\s*> (Could not (?:resolve|find|get|GET|HEAD)\b.*)$";
}

pub(super) const TOOL: Kind = Kind::new(
    &[
        "Tests run: ",
        "Running ",
        "Time elapsed: ",
        "[ERROR]",
        " FAILED",
        "> Could not ",
        "Build file '",
        "Task '",
        "Exception in thread",
        "went wrong:",
    ],
    || Box::<Java>::default(),
);

/// A failing test whose exception follows.
#[derive(Debug)]
struct Block {
    id: String,
    class: String,
    tool: &'static str,
    exception: Option<String>,
    message: String,
    place: Option<(String, u32)>,
    window: Window,
    lines: u32,
}

#[derive(Debug, Default)]
struct Java {
    block: Option<Block>,
    classes: Vec<String>,
    ids: Vec<String>,
    listing: bool,
    build_file: Option<(String, u32)>,
}

impl Tool for Java {
    fn line(&mut self, line: &str, sink: &mut Sink) -> Read {
        // Some print milliseconds before maven's level.
        let line = match line.starts_with(|c: char| c.is_ascii_digit()) {
            true => MILLIS.find(line).map_or(line, |found| &line[found.end() - 1..]),
            false => line,
        };
        if let Some(block) = &mut self.block {
            if block.line(line) {
                return Read::Taken;
            }
            self.close(sink);
        }
        if line.contains("Tests run: ")
            && let Some(found) = CLASS.captures(line)
        {
            if let Some(name) = found.get(1)
                && self.classes.len() < 500
            {
                self.classes.push(name.as_str().to_owned());
            }
            return Read::Taken;
        }
        if line.contains("Running ")
            && let Some(found) = RUNNING.captures(line)
        {
            if self.classes.len() < 500 && found[1].contains('.') {
                self.classes.push(found[1].to_owned());
            }
            return Read::Pass;
        }
        if line.contains("<<< ") {
            let (id, class) = if let Some(found) = OLD.captures(line) {
                (format!("{}.{}", &found[2], &found[1]), found[2].to_owned())
            } else if let Some(found) =
                NEW.captures(line).filter(|found| !self.classes.contains(&format!("{}.{}", &found[1], &found[2])))
            {
                (format!("{}.{}", &found[1], &found[2]), found[1].to_owned())
            } else if let Some(found) = WHOLE.captures(line) {
                match self.classes.last().filter(|_| !found[1].contains('.')) {
                    Some(class) => (format!("{class}.{}", &found[1]), class.clone()),
                    None => (found[1].to_owned(), found[1].to_owned()),
                }
            } else {
                return Read::Pass;
            };
            self.begin("maven", id, class, line);
            return Read::Taken;
        }
        if line.starts_with("[ERROR] Failures:") || line.starts_with("[ERROR] Errors:") {
            self.listing = true;
            return Read::Taken;
        }
        if self.listing || line.starts_with("[ERROR]   ") {
            self.listing &= line.starts_with("[ERROR]");
            if let Some(found) = LISTED.captures(line) {
                self.listed(&found, sink);
                return Read::Taken;
            }
        }
        if line.ends_with(" FAILED")
            && !line.starts_with("> ")
            && let Some(found) = GRADLE.captures(line)
        {
            let name = found[2].trim_end_matches("()");
            let class = found[1].split(" > ").next().unwrap_or_default().to_owned();
            self.begin("gradle", format!("{}.{name}", found[1].replace(" > ", ".")), class, line);
            return Read::Taken;
        }
        if line.starts_with("Build file ")
            && let Some(found) = BUILD_FILE.captures(line)
        {
            self.build_file = found[2].parse().ok().map(|number| (sink.paths.file(&found[1]), number));
            return Read::Taken;
        }
        if let Some((file, number)) = self.build_file.clone()
            && line.starts_with("> ")
        {
            self.build_file = None;
            let key = Key::Message { file: Some(file.clone()), message: sink.paths.stable(&line[2..]) };
            sink.push(Found::new(Category::Build, "gradle", key, bounded(&line[2..], 1000)).at(file, Some(number)));
            return Read::Taken;
        }
        if line.starts_with("Exception in thread")
            && let Some(found) = THROWN.captures(line)
        {
            let command = sink.command.clone().unwrap_or_default();
            let key = Key::Command { command, error: found[1].to_owned() };
            let text = format!("{}: {}", &found[1], found.get(2).map_or("", |said| said.as_str()));
            sink.push_once(
                Found::new(Category::RuntimeError, "java", key, text.trim_end_matches(": ")).weigh(Weight::Cause),
            );
            return Read::Taken;
        }
        if let Some(found) = STUCK.captures(line) {
            let said = &found[1];
            let tool = if line.starts_with("Task") { "gradle" } else { "maven" };
            let category = if said.contains("forked VM") { Category::Crash } else { Category::Build };
            let key = Key::Message { file: None, message: sink.paths.stable(said) };
            sink.push_once(Found::new(category, tool, key, said).weigh(Weight::Cause));
            return Read::Taken;
        }
        if let Some(found) = GOAL.captures(line).or_else(|| WRONG.captures(line)) {
            let said = found.get(1).or(found.get(2)).map_or("", |said| said.as_str());
            let tool = if line.trim_start().starts_with('>') { "gradle" } else { "maven" };
            let category =
                if sink.network || ["transfer artifact", "GET", "HEAD"].iter().any(|word| said.contains(word)) {
                    Category::Infra
                } else {
                    Category::ImportDependency
                };
            let key = Key::Message { file: None, message: sink.paths.stable(said) };
            sink.push_once(Found::new(category, tool, key, bounded(said, 1000)).weigh(Weight::Cause));
            return Read::Taken;
        }
        Read::Pass
    }

    fn open(&self) -> bool {
        self.block.is_some()
    }

    fn close(&mut self, sink: &mut Sink) {
        let Some(block) = self.block.take() else { return };
        let message = if block.message.is_empty() { "failed" } else { block.message.as_str() };
        let mut found = test(block.tool, &block.id, block.exception.as_deref(), message);
        if let Some((file, line)) = block.place {
            found = found.at(file, Some(line));
        }
        found.excerpt = block.window.text();
        if self.ids.len() < 5000 {
            self.ids.push(block.id);
        }
        sink.push_once(found);
    }
}

impl Block {
    /// Reads a line of the exception and its stack; `false` if it is none.
    fn line(&mut self, line: &str) -> bool {
        self.lines += 1;
        self.window.line(line);
        if self.lines > 100 || line.trim().is_empty() && self.exception.is_some() {
            return false;
        }
        if let Some(found) = AT.captures(line) {
            // The innermost frame of the tests' or the project's own packages.
            let package = self.class.rsplit_once('.').map_or("", |(package, _)| package);
            let own = !package.is_empty() && found[1].starts_with(package)
                || found[1].split('$').next() == Some(self.class.as_str())
                || found[1].ends_with(&format!(".{}", self.class));
            if self.place.is_none() && own {
                self.place = found[3].parse().ok().map(|line| (found[2].to_owned(), line));
            }
            return true;
        }
        if self.exception.is_none() {
            let text = line.trim();
            // Gradle's short form has the place in the same line, and often no message.
            let (text, at) = match text.rsplit_once(" at ") {
                Some((text, at))
                    if at.split_once(':').is_some_and(|(file, _)| file.ends_with(".java") || file.ends_with(".kt")) =>
                {
                    (text, at)
                }
                _ => (text, ""),
            };
            let (class, said) = text.split_once(": ").unwrap_or((text.trim_end_matches(':'), ""));
            if class.contains(' ') || text.is_empty() {
                return self.lines < 3;
            }
            self.exception = Some(class.rsplit('.').next().unwrap_or_default().to_owned());
            self.message =
                bounded(&if said.is_empty() { class.to_owned() } else { format!("{class}: {said}") }, 1500).to_owned();
            if let Some((file, number)) = at.split_once(':') {
                self.place = number.parse().ok().map(|number| (file.to_owned(), number));
            }
            return true;
        }
        !(line.starts_with("[INFO]") || line.starts_with("[ERROR]") || line.contains("<<< "))
    }
}

impl Java {
    fn begin(&mut self, tool: &'static str, id: String, class: String, line: &str) {
        let mut window = Window::default();
        window.line(line);
        let id = bounded(&id, 1000).to_owned();
        self.block =
            Some(Block { id, class, tool, exception: None, message: String::new(), place: None, window, lines: 0 });
    }

    /// The list at the end, for tests whose own block was not seen.
    fn listed(&mut self, found: &regex::Captures<'_>, sink: &mut Sink) {
        let short = &found[1];
        if self
            .ids
            .iter()
            .any(|id| id == short || id.ends_with(&format!(".{short}")) || id.contains(&format!(".{short}(")))
        {
            return;
        }
        let class = short.rsplit_once('.').map_or("", |(class, _)| class);
        let full = self.classes.iter().rev().find(|full| full.ends_with(&format!(".{class}")));
        let package = full.and_then(|full| full.strip_suffix(class)).unwrap_or_default();
        // A whole class that could not run is listed by its name alone.
        if self.ids.iter().any(|id| *id == format!("{package}{class}")) {
            return;
        }
        let message = if found[4].is_empty() { "failed" } else { &found[4] };
        let mut failure = test("maven", &format!("{package}{short}"), None, message);
        let simple = class.rsplit('.').next().and_then(|class| class.split('$').next()).unwrap_or_default();
        failure.line = found.get(2).and_then(|line| line.as_str().parse().ok());
        failure.file = failure.line.map(|_| format!("{simple}.java"));
        sink.push_once(failure.excerpt(bounded(&found[0], 300)));
    }
}
