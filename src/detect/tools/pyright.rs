//! pyright and basedpyright.

use super::{Kind, Read, Tool};
use crate::detect::failure::{Category, Key};
use crate::detect::found::{Found, Sink};
use crate::detect::text::{bounded, patterns};

patterns! {
    PLACED = r"^\s*((?:[A-Za-z]:)?[^:\s][^:]*?\.pyi?):(\d+):\d+ - error: (.*)$";
    SYNTAX = r"^(?:Expected |Statements must be separated|Unexpected |Unindent not |Unindented |Inconsistent use of tabs|.* was not closed$|.*is not allowed|Invalid |Octal|Unaccessed)";
    RULE = r"^(.*?)\s*\((report\w+)\)$";
    NAME = r#""([A-Za-z_][\w.]*)""#;
}

pub(super) const TOOL: Kind = Kind::new(&[" - error: "], || Box::<Pyright>::default());

/// A finding whose message goes on, more and more to the right, until its rule ends it.
#[derive(Debug)]
struct Open {
    file: String,
    line: Option<u32>,
    message: String,
    lines: Vec<String>,
}

#[derive(Debug, Default)]
struct Pyright {
    open: Option<Open>,
}

impl Tool for Pyright {
    fn line(&mut self, line: &str, sink: &mut Sink) -> Read {
        if let Some(found) = PLACED.captures(line) {
            self.close(sink);
            self.open = Some(Open {
                file: sink.paths.file(&found[1]),
                line: found[2].parse().ok(),
                message: bounded(&found[3], 1000).to_owned(),
                lines: vec![bounded(line, 300).to_owned()],
            });
        } else if let Some(open) = &mut self.open
            && line.starts_with("    ")
            && open.lines.len() < 20
        {
            open.lines.push(bounded(line, 300).to_owned());
            if let Some(found) = RULE.captures(line.trim()) {
                open.message = format!("{} ({})", open.message, &found[2]);
            }
        } else {
            self.close(sink);
            return Read::Pass;
        }
        if self.open.as_ref().is_some_and(|open| RULE.is_match(&open.message)) {
            self.close(sink);
        }
        Read::Taken
    }

    fn open(&self) -> bool {
        self.open.is_some()
    }

    fn close(&mut self, sink: &mut Sink) {
        let Some(open) = self.open.take() else { return };
        let (message, rule) = match RULE.captures(&open.message) {
            Some(found) => (found[1].to_owned(), found[2].to_owned()),
            None => (open.message.clone(), "error".to_owned()),
        };
        // What pyright says of text that does not parse has no rule.
        let syntax = rule == "error" && SYNTAX.is_match(&message);
        let category = if syntax { Category::SyntaxError } else { Category::Quality };
        let tool = if sink.runs("basedpyright") { "basedpyright" } else { "pyright" };
        let said = sink.paths.stable(&message);
        let symbol = NAME.captures(&message).map(|name| bounded(&name[1], 80).to_owned()).or(syntax.then_some(said));
        let key = Key::Finding { file: open.file.clone(), rule: rule.clone(), symbol };
        let cause = if syntax { format!("syntax|{}", open.file) } else { format!("rule|{}|{rule}", open.file) };
        let text = if rule == "error" { message } else { format!("{message} ({rule})") };
        let found = Found::new(category, tool, key, &text).at(open.file, open.line).because(cause);
        sink.push(found.excerpt(open.lines.join("\n")));
    }
}
