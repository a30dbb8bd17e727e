use std::collections::BTreeSet;

use comrak::{
    Arena, Options,
    nodes::{AstNode, NodeValue},
    parse_document,
};
use proptest::prelude::*;

use super::*;

/// What a reader of Markdown makes of a text, GitHub's extensions and more switched on.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Rendered {
    /// Text outside code.
    pub(crate) text: String,
    /// Each code span and block.
    pub(crate) code: Vec<String>,
    /// Where links lead.
    pub(crate) links: Vec<String>,
    /// HTML, as it stands there.
    pub(crate) html: String,
    /// Kinds of markup.
    pub(crate) kinds: BTreeSet<&'static str>,
    /// Cells of all tables' rows.
    pub(crate) cells: usize,
}

impl Rendered {
    pub(crate) fn of(markdown: &str) -> Rendered {
        let mut options = Options::default();
        let extension = &mut options.extension;
        extension.table = true;
        extension.autolink = true;
        extension.strikethrough = true;
        extension.tasklist = true;
        extension.footnotes = true;
        extension.alerts = true;
        extension.math_dollars = true;
        extension.math_code = true;
        let arena = Arena::new();
        let mut rendered = Rendered::default();
        rendered.read(parse_document(&arena, markdown, &options));
        rendered
    }

    fn read<'a>(&mut self, node: &'a AstNode<'a>) {
        let value = node.data.borrow().value.clone();
        match value {
            NodeValue::Text(text) => self.text.push_str(&text),
            NodeValue::SoftBreak | NodeValue::LineBreak => self.text.push(' '),
            NodeValue::Code(code) => {
                self.text.push_str(&format!("\u{1}{}\u{1}", code.literal));
                self.code.push(code.literal);
            }
            NodeValue::CodeBlock(block) => {
                self.kinds.insert("block");
                self.code.push(block.literal.clone());
            }
            NodeValue::Link(link) => self.links.push(link.url.clone()),
            NodeValue::HtmlBlock(html) => self.html.push_str(&html.literal),
            NodeValue::HtmlInline(html) => self.html.push_str(&html),
            NodeValue::Table(_) => drop(self.kinds.insert("table")),
            NodeValue::TableCell => self.cells += 1,
            NodeValue::Heading(_) => drop(self.kinds.insert("heading")),
            NodeValue::List(_) => drop(self.kinds.insert("list")),
            NodeValue::Emph | NodeValue::Strong => drop(self.kinds.insert("emphasis")),
            NodeValue::Document | NodeValue::Paragraph | NodeValue::Item(_) | NodeValue::TableRow(_) => {}
            _ => drop(self.kinds.insert("other")),
        }
        for child in node.children() {
            self.read(child);
        }
        if matches!(node.data.borrow().value, NodeValue::Paragraph | NodeValue::Heading(_) | NodeValue::TableCell) {
            self.text.push('\n');
        }
    }

    /// What a reader reads, in code or not.
    fn words(&self) -> String {
        self.text.replace('\u{1}', "")
    }

    /// Everything outside code that GitHub would make a mention, a reference or a link of.
    pub(crate) fn obeyed(&self) -> Vec<String> {
        let outside: Vec<&str> = self.text.split('\u{1}').step_by(2).collect();
        let form = regex::Regex::new(r"(?i)@\w|#\d|\bgh-\d|://|www\.|\$.*\$|\b[0-9a-f]{7,40}\b").unwrap();
        outside.iter().flat_map(|text| form.find_iter(text)).map(|found| found.as_str().to_owned()).collect()
    }
}

/// Text that means a lot to GitHub, to a terminal and to the runner.
pub(crate) fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        3 => prop::sample::select(vec![
            "@octocat", "@org/team", "#1", "o/r#12", "GH-3", "gh-4", "https://evil.example/x", "www.evil.example",
            "[x](https://evil.example)", "![x](https://evil.example/p.png)", "<img src=x onerror=y>", "<!--", "-->",
            "<details>", "</details>", "<script>", "```", "````", "~~~", "`", "``", "\\`", "\\", "\\|", "|", "| a | b |",
            "|---|---|", "\n", "\n\n", "\r", "\n# ", "\n- ", "\n1. ", "\n> [!NOTE]", "\n    ", "===", "---", "***", "**a**",
            "_a_", "~~a~~", "[^1]", "[^1]: x", "[a]: https://evil.example", "$x$", "$`x`$", "$$", ":smile:", "&#64;",
            "&lt;", "me@evil.example", "mailto:me@evil.example", "deadbeefcafe", "::error::x", "##[error]x", "\u{1b}[2J",
            "\u{202e}", "\u{200b}", "%0A::set-output name=x::y", "<!-- test-repair: fingerprint=00 -->", "- [ ] ", "!",
            "ghp_abcdefghijklmnopqrstuvwxyz0123456789", "a", "é", "\t", " ",
        ]).prop_map(str::to_owned),
        1 => "(?s).{0,6}",
        1 => "[a-z ]{1,8}",
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

fn letters(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace() && !matches!(c, '`' | '\0' | '\u{fffd}' | '|' | '\u{2502}')).collect()
}

#[test]
fn no_text_breaks_out_of_its_code() {
    assert_eq!(code("a `b` c"), "``a `b` c``");
    assert_eq!(code("``"), "``` `` ```");
    assert_eq!(code("\u{1b}"), "` `");
    assert!(fence("x\n````\ny", "text", 100).starts_with("`````text\n"));
}

#[test]
fn prose_keeps_its_code_and_loses_all_that_github_obeys() {
    let text = "`Cart.total` of <b>@octocat</b> breaks *all* of #12, see https://evil.example and snake_case.";
    let clean = prose(text, 1000);
    assert_eq!(
        clean,
        "`Cart.total` of `<b>@octocat</b>` breaks \\*all\\* of `#12,` see `https://evil.example` and snake\\_case."
    );
    assert_eq!(prose("- [ ] 1. x", 100), "\\- \\[ \\] 1. x");
    assert_eq!(prose("1) x", 100), "1\\) x");
    assert_eq!(prose("a `b", 100), "a \\`b");
}

#[test]
fn a_title_mentions_and_closes_nothing() {
    let clean = title("fixes #12,\nGH-3 of @octocat: https://github.com/o/r/issues/1", 100);
    let shown = "fixes #\u{200b}12, GH-\u{200b}3 of @\u{200b}octocat: https:\u{200b}//github.com/o/r/issues/1";
    assert_eq!(clean, shown);
}

#[test]
fn only_an_address_of_the_web_becomes_a_link() {
    assert_eq!(
        link("run", "https://github.com/o/r/actions/runs/7#step:4:12"),
        "[run](https://github.com/o/r/actions/runs/7#step:4:12)"
    );
    for bad in
        ["javascript:x", "https://a b", "https://a)[x](y", "https://", "//a", "https://a\"", "https://a|b", "https://é"]
    {
        assert_eq!(link("run", bad), "run", "{bad}");
    }
}

#[test]
fn what_is_cut_is_closed() {
    let text = format!("# a\n\n{}\nthe end\n", details("more", &fence(&"+ a line\n".repeat(100), "diff", 10_000)));
    let short = cut(&text, 300, "cut.");
    assert!(short.len() <= 300 && short.ends_with("cut.\n"), "{short}");
    let rendered = Rendered::of(&short);
    assert_eq!(rendered.html.matches("<details>").count(), rendered.html.matches("</details>").count());
    assert!(rendered.code[0].ends_with("+ a line\n"), "{short}");
    assert!(rendered.text.ends_with("cut.\n"), "{short}");
    assert_eq!(cut(&text, 100_000, "cut."), text);
    assert_eq!(cut(&"x".repeat(100), 50, "cut."), "cut.");
    assert_eq!(cut(&"x".repeat(100), 3, "cut."), "");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn prose_says_the_same_and_means_nothing(text in hostile()) {
        for clean in [prose(&text, 500), format!("- {}", prose(&text, 500)), format!("So: {}", prose(&text, 500))] {
            let rendered = Rendered::of(&clean);
            let list = rendered.kinds.iter().all(|kind| *kind == "list") && rendered.kinds.len() <= usize::from(clean.starts_with("- "));
            prop_assert!(list, "{:?}: {}", rendered, clean);
            prop_assert!(rendered.links.is_empty() && rendered.html.is_empty(), "{:?}: {}", rendered, clean);
            prop_assert_eq!(rendered.obeyed(), Vec::<String>::new(), "{}", clean);
            let said = rendered.words();
            prop_assert!(letters(&said).ends_with(&letters(&shown(&text, 500))), "{:?}: {}", said, clean);
        }
    }

    #[test]
    fn a_span_and_a_block_hold_all_of_their_text_and_nothing_else(text in hostile()) {
        let rendered = Rendered::of(&format!("a {} b", code(&text)));
        prop_assert_eq!(rendered.code.len(), 1);
        prop_assert_eq!(letters(&rendered.code[0]), letters(&shown_line(&text, 300)));
        prop_assert!(rendered.kinds.is_empty() && rendered.links.is_empty() && rendered.html.is_empty());
        let rendered = Rendered::of(&fence(&text, "text", 300));
        prop_assert_eq!(letters(&rendered.code[0]), letters(&shown(&text, 300)));
        prop_assert!(rendered.kinds.len() == 1 && rendered.text.is_empty() && rendered.html.is_empty());
    }

    #[test]
    fn a_cell_stays_one_cell(a in hostile(), b in hostile()) {
        let table = format!("| a | b |\n|---|---|\n| {} | {} |\n", cell_code(&a), cell(&prose(&b, 300)));
        let rendered = Rendered::of(&table);
        prop_assert_eq!((rendered.cells, rendered.code.first().map(|c| letters(c))), (4, Some(letters(&shown_line(&a, 300)))), "{}", table);
        prop_assert!(rendered.kinds.len() == 1 && rendered.links.is_empty() && rendered.html.is_empty());
        prop_assert!(letters(&rendered.words()).ends_with(&letters(&shown(&b, 300))), "{}", table);
    }

    #[test]
    fn paragraphs_are_paragraphs(text in hostile()) {
        let clean = paragraphs(&text, 300);
        let rendered = Rendered::of(&clean);
        prop_assert!(rendered.kinds.is_empty() && rendered.links.is_empty() && rendered.html.is_empty(), "{}", clean);
        prop_assert_eq!(rendered.obeyed(), Vec::<String>::new(), "{}", clean);
    }
}
