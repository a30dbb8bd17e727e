//! Twisted's trial: a test's traceback comes before its id.

use super::{Kind, Read, Tool, test};
use crate::detect::exception;
use crate::detect::failure::Category;
use crate::detect::found::{Sink, Window};
use crate::detect::paths::is_project;
use crate::detect::text::{bounded, patterns};

patterns! {
    FRAME = r#"^  File "([^"]+)", line (\d+), in (.+)$"#;
    ID = r"^[A-Za-z_]\w*(?:\.\w+)*$";
}

pub(super) const TOOL: Kind = Kind::new(&["[ERROR]", "[FAIL]"], || Box::<Trial>::default());

#[derive(Debug, Default)]
struct Block {
    place: Option<(String, u32)>,
    exception: Option<(String, String)>,
    blank: bool,
    window: Window,
    lines: u32,
}

#[derive(Debug, Default)]
struct Trial {
    block: Option<Block>,
}

impl Tool for Trial {
    fn line(&mut self, line: &str, sink: &mut Sink) -> Read {
        let Some(block) = &mut self.block else {
            let headed =
                || sink.recent.before(1).is_some_and(|before| before.len() > 60 && before.starts_with("====="));
            if (line == "[ERROR]" || line == "[FAIL]") && headed() {
                self.block = Some(Block::default());
                return Read::Hidden;
            }
            return Read::Pass;
        };
        block.lines += 1;
        block.window.line(line);
        if line.starts_with("=====") || line.starts_with("-----") || block.lines > 300 {
            self.block = None;
            return Read::Pass;
        }
        if block.blank && ID.is_match(line) {
            if let Some(block) = self.block.take() {
                emit(line, block, sink);
            }
            return Read::Hidden;
        }
        block.blank = line.trim().is_empty();
        if let Some(found) = FRAME.captures(line) {
            let file = sink.paths.file(&found[1]);
            if is_project(&file) {
                block.place = found[2].parse().ok().map(|line| (file, line));
            }
        } else if !line.starts_with(' ')
            && let Some((class, message)) = exception::parse(line)
        {
            block.exception.get_or_insert((class, message));
        }
        Read::Hidden
    }

    fn open(&self) -> bool {
        self.block.is_some()
    }
}

fn emit(id: &str, block: Block, sink: &mut Sink) {
    let (class, said) = block.exception.unwrap_or_default();
    let class = if class == "FailTest" { "AssertionError".to_owned() } else { class };
    let message = format!("{class}: {said}");
    let mut found = test(
        "trial",
        bounded(id, 1000),
        Some(&class).filter(|c| !c.is_empty()).map(String::as_str),
        message.trim_end_matches(": "),
    );
    if let Some((file, line)) = block.place {
        found = found.at(file, Some(line));
    }
    found.excerpt = block.window.text();
    exception::apply(&mut found, &class, &said);
    if class == "TimeoutError" {
        found.category = Category::Timeout;
    }
    sink.push_once(found);
}
