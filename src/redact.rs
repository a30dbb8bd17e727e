//! redact: secrets out of every foreign text before it leaves the process, and nothing in it that a terminal obeys.

use std::sync::LazyLock;

use regex::Regex;

/// The shapes of well-known credentials (the providers document their prefixes), and credentials in URLs and headers.
static SECRETS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?x)
        \b(?:gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{20,}|glpat-[\w-]{16,}|sk-[A-Za-z0-9_-]{16,}|AKIA[0-9A-Z]{16}
          |xox[abprs]-[A-Za-z0-9-]{10,}|pypi-[\w-]{30,}|npm_[A-Za-z0-9]{30,}|eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,})
        | -----BEGIN\ [A-Z\ ]*PRIVATE\ KEY-----[^-]*(?:-----END\ [A-Z\ ]*PRIVATE\ KEY-----)?
        | (?i:authorization:\s*(?:bearer|basic|token)\s+)\S+
        | (?P<scheme>[a-z][a-z0-9+.-]*://)[^\s/@:]+:[^\s/@]+@
        ",
    )
    .ok()
});

/// Replaces what looks like a credential by `[redacted]`.
pub fn redact(text: &str) -> String {
    match &*SECRETS {
        Some(secrets) => secrets.replace_all(text, "${scheme}[redacted]").into_owned(),
        None => "[redacted]".to_owned(),
    }
}

/// A foreign text as it may be shown: redacted, no escape sequences or other control characters, at most `most`
/// characters.
pub fn shown(text: &str, most: usize) -> String {
    let redacted = redact(text);
    let mut clean: String = redacted
        .chars()
        .filter(|c| matches!(c, '\n' | '\t') || !(c.is_control() || is_invisible(*c)))
        .take(most + 1)
        .collect();
    if clean.chars().count() > most {
        clean.pop();
        clean.push('…');
    }
    clean
}

/// The first line of a foreign text, as it may be shown.
pub fn shown_line(text: &str, most: usize) -> String {
    shown(text.trim().lines().next().unwrap_or_default(), most)
}

/// Characters that reorder or hide text.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn credentials_of_every_known_shape_are_redacted_and_the_rest_stays() {
        for secret in [
            "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
            "github_pat_11ABCDEFG0abcdefghijklmnop",
            "sk-abcdefghijklmnopqrstuvwx",
            "AKIAABCDEFGHIJKLMNOP",
            "Authorization: Bearer abc.def",
        ] {
            let redacted = redact(&format!("before {secret} after"));
            assert!(redacted.starts_with("before ") && redacted.ends_with(" after"), "{redacted}");
            assert!(redacted.contains("[redacted]") && !redacted.contains(secret), "{redacted}");
        }
        assert_eq!(redact("https://user:pass@host/x"), "https://[redacted]host/x");
        assert_eq!(redact("tests/test_a.py:12: AssertionError"), "tests/test_a.py:12: AssertionError");
    }

    proptest! {
        #[test]
        fn no_text_reaches_the_terminal_with_an_escape_in_it(text in "(?s).{0,200}") {
            let shown = shown(&text, 100);
            prop_assert!(shown.chars().all(|c| c == '\n' || c == '\t' || !c.is_control()));
            prop_assert!(shown.chars().count() <= 101);
        }
    }
}
