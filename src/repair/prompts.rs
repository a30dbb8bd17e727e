//! prompts: the words that a model is asked with. Texts lie in `prompts/`, and a variable that is not there is an error.
//!
//! The system message is the same for every question of a version, so that endpoints can cache it; what is volatile
//! comes last in the user's.

use std::{collections::BTreeMap, sync::LazyLock};

use minijinja::{Environment, UndefinedBehavior, Value, context};

use super::context::{Block, Context, boundary, tagged};
use crate::llm::{Message, Role};

/// The most of an output that is sent back with a rejection.
const OUTPUT: usize = 4000;
/// The most reasons that are sent back, and the most of each.
const REASONS: usize = 12;
const REASON: usize = 600;

static TEMPLATES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut templates = Environment::new();
    templates.set_undefined_behavior(UndefinedBehavior::Strict);
    for (name, source) in [
        ("system", include_str!("../../prompts/system.md.j2")),
        ("tools", include_str!("../../prompts/tools.md.j2")),
        ("user", include_str!("../../prompts/user.md.j2")),
        ("rejection", include_str!("../../prompts/rejection.md.j2")),
    ] {
        if let Err(error) = templates.add_template(name, source) {
            unreachable!("{name}: {error}");
        }
    }
    templates
});

/// The templates are part of the program, and the tests render each.
fn render(name: &str, values: impl Into<Value>) -> String {
    match rendered(name, values) {
        Ok(text) => text,
        Err(error) => unreachable!("{name}: {error}"),
    }
}

pub(super) fn rendered(name: &str, values: impl Into<Value>) -> Result<String, minijinja::Error> {
    Ok(TEMPLATES.get_template(name)?.render(values)?.trim().to_owned())
}

/// The one question: all that is needed, and an answer in one go.
pub fn question(asked: &Context) -> Vec<Message> {
    vec![Message::new(Role::System, system()), Message::new(Role::User, user(asked))]
}

/// The beginning of a dialogue with tools: the same question, to the byte; where it was answered the answer, and what is
/// said to it; the tools at the end.
pub fn dialogue_opening(asked: &Context, rejected: Option<(&str, &str)>) -> Vec<Message> {
    let mut opening = question(asked);
    if let Some((said, words)) = rejected {
        opening.push(Message::new(Role::Assistant, said));
        opening.push(Message::new(Role::User, words));
    }
    if let Some(last) = opening.last_mut() {
        last.content = format!("{}\n\n{}", last.content, render("tools", context! {}));
    }
    opening
}

/// What is said of an answer that did not do: the verdict, the reasons, and what the check printed. All of it may hold
/// foreign text.
pub fn rejection(verdict: &str, reasons: &[String], output: &str) -> String {
    let output = tail(output.trim_end(), OUTPUT);
    let reasons: Vec<&str> = reasons.iter().take(REASONS).map(|reason| head(reason.trim(), REASON)).collect();
    let reasons = reasons.join("\n");
    let verdict = head(verdict.trim(), REASON);
    let boundary = boundary(&[verdict, &reasons, output].concat(), [verdict, reasons.as_str(), output].into_iter());
    let tagged = |kind, text: &str| if text.is_empty() { String::new() } else { tagged(&boundary, kind, "", text) };
    let (verdict, reasons, output) =
        (tagged("verdict", verdict), tagged("reasons", &reasons), tagged("output", output));
    render("rejection", context! { verdict, reasons, output })
}

fn system() -> String {
    render("system", context! {})
}

fn user(asked: &Context) -> String {
    render("user", told(asked))
}

/// All that the user's message is made of.
pub(super) fn told(asked: &Context) -> BTreeMap<&'static str, Value> {
    let tagged = |block: &Block| tagged(&asked.boundary, block.kind, &block.attributes, &block.text);
    let optional = |block: &Option<Block>| block.as_ref().map(tagged).unwrap_or_default();
    let code: Vec<String> = asked.code.iter().map(tagged).collect();
    let enabled =
        asked.enabled.as_ref().map(|types| types.iter().map(|each| each.word()).collect::<Vec<_>>().join(", "));
    BTreeMap::from([
        ("repository", Value::from(tagged(&asked.repository))),
        ("code", Value::from(code)),
        ("names", Value::from(optional(&asked.names))),
        ("change", Value::from(optional(&asked.change))),
        ("failure", Value::from(tagged(&asked.failure))),
        ("count", Value::from(asked.count)),
        ("restricted", Value::from(asked.enabled.is_some())),
        ("enabled", Value::from(enabled.unwrap_or_default())),
    ])
}

fn head(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn tail(text: &str, most: usize) -> &str {
    let mut from = text.len().saturating_sub(most);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    &text[from..]
}
