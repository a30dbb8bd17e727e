//! Programs that a signal ended: segmentation faults, aborts, out of memory, sanitizers.

use super::{Kind, Read, Tool};
use crate::detect::failure::{Category, Key};
use crate::detect::found::{Found, Sink, Weight};
use crate::detect::paths::{from_build, is_project};
use crate::detect::text::{bounded, patterns};

patterns! {
    FATAL = r"^(?:(\S+\.py(?:::\S+)?) \S{0,200}?|\S{0,200}?)(Fatal Python error: .*)$";
    CRASH = r"^(?:Fatal Python error: .*|.*Segmentation fault.*|.*\(core dumped\).*|Bus error.*|Aborted.*|Illegal instruction.*|Killed|.*terminate called after throwing.*|\*\*\* stack smashing detected.*|.*: line \d+: +\d+ (?:Killed|Aborted|Terminated|Bus error|Illegal instruction).*|.*Assertion .* failed\.|fatal runtime error: .*)$";
    SANITIZER = r"^(?:==\d+==)?(?:ERROR|WARNING): ((?:Address|Leak|Memory|Thread|UndefinedBehavior)Sanitizer: .*?)(?: \(pid=\d+\)| on address .*)?$";
    UNDEFINED = r"^(\S+?):(\d+):\d+: runtime error: (.*)$";
    FRAME = r"^\s+#\d+ 0x[0-9a-f]+ in \S+ (/\S+?|[\w./-]+\.\w+):(\d+)";
    PYTHON = r#"^  File "([^"]+)", line (\d+) in (\S+)$"#;
    ASSERT = r"^\S+: (\S+?):(\d+): .*?(Assertion .* failed\.)$";
    LINE = r"^(\S+): line (\d+): +\d+ (\w+(?: \w+)?) +(?:\(core dumped\) +)?(\S.*)$";
}

pub(super) const TOOL: Kind = Kind::new(
    &[
        "Fatal Python error",
        "Segmentation fault",
        "core dumped",
        "Bus error",
        "Aborted",
        "Illegal instruction",
        "Killed",
        "terminate called",
        "stack smashing",
        "Terminated",
        "Sanitizer: ",
        "runtime error: ",
        "Assertion",
        "fatal runtime error",
    ],
    || Box::<Crash>::default(),
)
.in_session();

/// A crash whose stack follows.
#[derive(Debug, Default)]
struct Crash {
    open: Option<Found>,
    lines: u32,
}

impl Tool for Crash {
    fn line(&mut self, line: &str, sink: &mut Sink) -> Read {
        if let Some(found) = &mut self.open {
            self.lines += 1;
            if found.file.is_none()
                && let Some(frame) = FRAME.captures(line).or_else(|| PYTHON.captures(line))
            {
                let file = sink.paths.file(&frame[1]);
                if is_project(&file) {
                    found.file = Some(file);
                    found.line = frame[2].parse().ok();
                }
            }
            if self.lines < 60 && found.excerpt.len() < 2000 {
                found.excerpt.push('\n');
                found.excerpt.push_str(bounded(line, 300));
            }
            if self.lines > 100 || (self.lines > 3 && line.trim().is_empty() && found.file.is_some()) {
                self.close(sink);
            }
            return Read::Pass;
        }
        if let Some(found) = FATAL.captures(line) {
            let mut failure = crash(sink, &found[2]);
            failure.tool = if sink.runs("pytest") { "pytest" } else { "python" };
            if let Some(id) = found.get(1).map(|id| sink.paths.file(id.as_str())).filter(|id| id.contains("::")) {
                failure.key = Key::Test { id: id.clone(), exception: Some("crash".to_owned()) };
                failure.test_id = Some(id);
            }
            self.begin(failure, line);
        } else if let Some(found) = SANITIZER.captures(line) {
            self.begin(crash(sink, &found[1]), line);
        } else if let Some(found) = UNDEFINED.captures(line) {
            let failure = crash(sink, &format!("runtime error: {}", &found[3]));
            sink.push_once(failure.at(sink.paths.file(from_build(&found[1])), found[2].parse().ok()));
        } else if !line.starts_with(' ') && CRASH.is_match(line) {
            if let Some(found) = ASSERT.captures(line) {
                let failure = crash(sink, &found[3]);
                let file = sink.paths.file(from_build(&found[1]));
                sink.push_once(failure.at(file, found[2].parse().ok()));
            } else {
                let mut failure = crash(sink, line);
                if let Some(found) = LINE.captures(line)
                    && found[1].ends_with(".sh")
                    && is_project(&sink.paths.file(&found[1]))
                {
                    failure = failure.at(sink.paths.file(&found[1]), found[2].parse().ok());
                    failure.message = format!("{}: {}", &found[3], &found[4]);
                }
                // The shell's word on a program that has said itself why it died.
                if !sink.found.iter().rev().take(5).any(|known| known.category == Category::Crash) {
                    sink.push(failure);
                }
            }
        }
        Read::Pass
    }

    fn open(&self) -> bool {
        self.open.is_some()
    }

    fn close(&mut self, sink: &mut Sink) {
        if let Some(found) = self.open.take() {
            sink.push_once(found);
        }
    }
}

impl Crash {
    fn begin(&mut self, mut found: Found, line: &str) {
        bounded(line, 300).clone_into(&mut found.excerpt);
        self.open = Some(found);
        self.lines = 0;
    }
}

fn crash(sink: &Sink, line: &str) -> Found {
    const CLASSES: [&str; 8] = [
        "Segmentation fault",
        "Bus error",
        "Illegal instruction",
        "Killed",
        "Aborted",
        "stack smashing",
        "Sanitizer",
        "Assertion",
    ];
    let class = CLASSES.iter().find(|class| line.contains(**class)).copied().unwrap_or("crash");
    let key = Key::Command { command: sink.command.clone().unwrap_or_default(), error: class.to_owned() };
    Found::new(Category::Crash, "process", key, &sink.paths.relative(bounded(line, 1000))).weigh(Weight::Cause)
}
