//! Django's own checks, and migrations that are missing.

use super::{Kind, Read, Tool};
use crate::detect::failure::{Category, Key};
use crate::detect::found::{Found, Sink};
use crate::detect::text::patterns;

patterns! {
    CHECK = r"^(\S+): \(([\w.]+\.[EC]\d{3})\) (.*)$";
    MIGRATION = r"^Migrations for '([^']+)':$";
}

pub(super) const TOOL: Kind = Kind::new(&["System check identified", "Migrations for '"], || Box::<Django>::default());

#[derive(Debug, Default)]
struct Django {
    /// The list of what the checks found.
    listing: bool,
}

impl Tool for Django {
    fn line(&mut self, line: &str, sink: &mut Sink) -> Read {
        if line.contains("System check identified") {
            self.listing = line.contains("some issues:");
        } else if let Some(found) = CHECK.captures(line) {
            let key =
                Key::Finding { file: String::new(), rule: found[2].to_owned(), symbol: Some(found[1].to_owned()) };
            sink.push_once(Found::new(Category::Quality, "django", key, line));
        } else if (sink.runs("makemigrations") || sink.runs("migrate"))
            && let Some(found) = MIGRATION.captures(line)
        {
            let key =
                Key::Finding { file: String::new(), rule: "migrations".to_owned(), symbol: Some(found[1].to_owned()) };
            sink.push_once(Found::new(
                Category::Quality,
                "django",
                key,
                &format!("migrations are missing for '{}'", &found[1]),
            ));
        } else {
            return Read::Pass;
        }
        Read::Taken
    }

    fn open(&self) -> bool {
        self.listing
    }
}
