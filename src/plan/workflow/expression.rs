//! GitHub's expressions (`${{ … }}`), evaluated as far as a workflow file and a matrix cell settle them.
//!
//! Syntax, coercion and comparison are those of `github-actions-expressions`; what only a run on GitHub knows (secrets,
//! outputs of steps and jobs, the event) is [`Unknown`], and stays so through everything that needs it.

use std::collections::{BTreeMap, HashMap};

use github_actions_expressions::{
    Evaluation, Expr, SpannedExpr,
    call::{Call, Function},
    op::{BinExpr, BinOp, UnOp},
};

use super::steps::Text;

/// What can't be known here, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unknown(pub(super) String);

/// A value, or why there is none.
pub(super) type Known<T> = Result<T, Unknown>;

/// No text that an expression makes is longer, in bytes.
const LONGEST: usize = 64 << 10;

/// The contexts that a workflow file settles.
#[derive(Debug, Clone, Default)]
pub(super) struct Contexts {
    pub(super) matrix: Entries,
    pub(super) inputs: Entries,
    pub(super) env: Entries,
    /// `owner/name`, where the log says it.
    pub(super) repository: Option<String>,
    /// `3.12`, where the log says it.
    pub(super) python: Option<String>,
}

/// What a matrix calls its Pythons.
const PYTHONS: [&str; 8] =
    ["python-version", "python_version", "python", "py", "pyver", "pyversion", "version", "python-versions"];

/// The entries of a context, each known or not. A name that is not there is null, as GitHub has it.
#[derive(Debug, Clone, Default)]
pub(super) struct Entries {
    /// By the name in small letters: the name, and the value.
    entries: BTreeMap<String, (String, Known<Evaluation>)>,
    /// Why nothing of it is known.
    opaque: Option<String>,
}

impl Entries {
    /// A context of which nothing is known.
    pub(super) fn opaque(why: &str) -> Self {
        Self { entries: BTreeMap::new(), opaque: Some(why.to_owned()) }
    }

    pub(super) fn insert(&mut self, name: &str, value: Known<Evaluation>) {
        self.entries.insert(name.to_ascii_lowercase(), (name.to_owned(), value));
    }

    /// All entries as texts, by their names.
    pub(super) fn texts(&self) -> BTreeMap<String, Text> {
        let text = |(name, value): &(String, Known<Evaluation>)| {
            let text = match value {
                Ok(value) => Text::Known(value.sema().to_string()),
                Err(Unknown(why)) => Text::Unknown(String::new(), why.clone()),
            };
            (name.clone(), text)
        };
        self.entries.values().map(text).collect()
    }

    fn get(&self, context: &str, name: &str) -> Known<Evaluation> {
        match (self.entries.get(&name.to_ascii_lowercase()), &self.opaque) {
            (Some((_, value)), _) => value.clone(),
            (None, Some(why)) => Err(Unknown(format!("{context}.{name}: {why}"))),
            (None, None) => Ok(Evaluation::Null),
        }
    }

    /// The whole of it as an object.
    fn object(&self, context: &str) -> Known<Evaluation> {
        if let Some(why) = &self.opaque {
            return Err(Unknown(format!("{context}: {why}")));
        }
        let known = self.entries.values().map(|(name, value)| Ok((name.clone(), value.clone()?)));
        Ok(Evaluation::Object(known.collect::<Known<HashMap<_, _>>>()?))
    }
}

impl Contexts {
    /// The value of an expression, without its `${{ }}`.
    pub(super) fn evaluate(&self, text: &str) -> Known<Evaluation> {
        let expression = parsed(text)?;
        self.value(&expression)
    }

    /// A text with every `${{ … }}` in it replaced by its value.
    pub(super) fn interpolate(&self, text: &str) -> Known<String> {
        let mut result = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${{") {
            let Some(end) = closing(after) else { return Err(Unknown("an expression does not end".to_owned())) };
            result.push_str(before);
            result.push_str(&self.evaluate(&after[..end])?.sema().to_string());
            if result.len() > LONGEST {
                return Err(Unknown("the text is too long".to_owned()));
            }
            rest = &after[end + 2..];
        }
        result.push_str(rest);
        Ok(result)
    }

    /// Does an `if:` hold, where everything before it has passed?
    pub(super) fn holds(&self, condition: &str) -> Known<bool> {
        let bare = condition.trim();
        let bare = match bare.strip_prefix("${{").and_then(|rest| Some((rest, closing(rest)?))) {
            Some((rest, end)) if end + 2 == rest.len() => &rest[..end],
            // GitHub takes the text that comes out of several expressions, which is never empty, for true.
            _ if bare.contains("${{") => return self.interpolate(bare).map(|text| !text.is_empty()),
            _ => bare,
        };
        self.truth(&parsed(bare)?)
    }

    /// Truth needs less than a value: one false part settles `&&`, one true part settles `||`.
    fn truth(&self, expression: &SpannedExpr<'_>) -> Known<bool> {
        match &expression.inner {
            Expr::BinExpr(BinExpr { lhs, op: op @ (BinOp::And | BinOp::Or), rhs }) => {
                let settles = *op == BinOp::Or;
                match (self.truth(lhs), self.truth(rhs)) {
                    (Ok(one), _) | (_, Ok(one)) if one == settles => Ok(settles),
                    (Ok(_), Ok(_)) => Ok(!settles),
                    (Err(why), _) | (_, Err(why)) => Err(why),
                }
            }
            Expr::UnExpr { op: UnOp::Not, expr } => Ok(!self.truth(expr)?),
            _ => Ok(self.value(expression)?.as_boolean()),
        }
    }

    fn value(&self, expression: &SpannedExpr<'_>) -> Known<Evaluation> {
        match &expression.inner {
            Expr::Literal(_) => expression.consteval().ok_or_else(|| unknown(expression)),
            Expr::Call(call) => self.call(call, expression),
            Expr::Context(context) => self.context(&context.parts, expression),
            Expr::UnExpr { op: UnOp::Not, expr } => Ok(Evaluation::Boolean(!self.truth(expr)?)),
            Expr::BinExpr(BinExpr { lhs, op, rhs }) => self.binary(lhs, op, rhs),
            Expr::Star | Expr::Identifier(_) | Expr::Index(_) => Err(unknown(expression)),
        }
    }

    fn binary(&self, lhs: &SpannedExpr<'_>, op: &BinOp, rhs: &SpannedExpr<'_>) -> Known<Evaluation> {
        let left = self.value(lhs)?;
        match op {
            BinOp::And if !left.as_boolean() => return Ok(left),
            BinOp::Or if left.as_boolean() => return Ok(left),
            _ => {}
        }
        let right = self.value(rhs)?;
        let (a, b) = (left.sema(), right.sema());
        Ok(match op {
            BinOp::And | BinOp::Or => right,
            BinOp::Eq => Evaluation::Boolean(a == b),
            BinOp::Neq => Evaluation::Boolean(a != b),
            BinOp::Gt => Evaluation::Boolean(a > b),
            BinOp::Ge => Evaluation::Boolean(a >= b),
            BinOp::Lt => Evaluation::Boolean(a < b),
            BinOp::Le => Evaluation::Boolean(a <= b),
        })
    }

    fn context(&self, parts: &[SpannedExpr<'_>], whole: &SpannedExpr<'_>) -> Known<Evaluation> {
        let Some((head, mut rest)) = parts.split_first() else { return Err(unknown(whole)) };
        let mut value = match &head.inner {
            Expr::Identifier(name) => {
                let name = name.as_str().to_ascii_lowercase();
                let Some((first, more)) = rest.split_first() else { return self.whole(&name, whole) };
                rest = more;
                self.entry(&name, &self.key(first, whole)?, whole).inspect(|_| {
                    // What is known of a step's output is known whole.
                    if name == "steps" {
                        rest = &[];
                    }
                })?
            }
            Expr::Call(call) => self.call(call, head)?,
            _ => return Err(unknown(whole)),
        };
        for part in rest {
            let key = self.key(part, whole)?;
            value = match value {
                Evaluation::Object(entries) => {
                    let same = |(name, _): &(String, Evaluation)| name.eq_ignore_ascii_case(&key);
                    entries.into_iter().find(same).map_or(Evaluation::Null, |(_, value)| value)
                }
                Evaluation::Array(mut items) => match key.parse::<usize>() {
                    Ok(index) if index < items.len() => items.swap_remove(index),
                    _ => Evaluation::Null,
                },
                _ => Evaluation::Null,
            };
        }
        Ok(value)
    }

    fn key(&self, part: &SpannedExpr<'_>, whole: &SpannedExpr<'_>) -> Known<String> {
        match &part.inner {
            Expr::Identifier(name) => Ok(name.as_str().to_owned()),
            Expr::Index(index) if !matches!(index.inner, Expr::Star) => Ok(self.value(index)?.sema().to_string()),
            _ => Err(unknown(whole)),
        }
    }

    fn whole(&self, name: &str, expression: &SpannedExpr<'_>) -> Known<Evaluation> {
        match name {
            "matrix" => self.matrix.object(name),
            "inputs" => self.inputs.object(name),
            "env" => self.env.object(name),
            _ => Err(unknown(expression)),
        }
    }

    /// One entry of a context.
    fn entry(&self, context: &str, name: &str, whole: &SpannedExpr<'_>) -> Known<Evaluation> {
        let text = |text: &str| Ok(Evaluation::String(text.to_owned()));
        match (context, name.to_ascii_lowercase().as_str()) {
            ("matrix", name) => match (self.matrix.get(context, name), &self.python) {
                // Which cell of an unknown matrix it is, the Python says.
                (Err(_), Some(python)) if PYTHONS.contains(&name) => text(python),
                (value, _) => value,
            },
            // Nothing is cached here.
            ("steps", _) if whole.origin.raw.ends_with(".outputs.cache-hit") => text("false"),
            ("inputs", _) => self.inputs.get(context, name),
            ("env", _) => self.env.get(context, name),
            // What the sandbox sets; the shell and the sandbox expand it.
            ("github", "workspace") => text("$GITHUB_WORKSPACE"),
            ("github", "server_url") => text("https://github.com"),
            ("github", "api_url") => text("https://api.github.com"),
            ("github", "repository") => self.repository.as_deref().map_or_else(|| Err(unknown(whole)), text),
            ("github", "repository_owner") => {
                let owner = self.repository.as_deref().and_then(|name| name.split('/').next());
                owner.map_or_else(|| Err(unknown(whole)), text)
            }
            ("runner", "os") => text("Linux"),
            ("runner", "arch") => text("X64"),
            ("runner", "temp") => text("/tmp"),
            ("secrets", _) => Err(Unknown(format!("{} is a secret", whole.origin.raw))),
            _ => Err(unknown(whole)),
        }
    }

    fn call(&self, call: &Call<'_>, whole: &SpannedExpr<'_>) -> Known<Evaluation> {
        let boolean = |value| Ok(Evaluation::Boolean(value));
        let argument = |at: usize| call.args.get(at).map_or_else(|| Err(unknown(whole)), |arg| self.value(arg));
        let text = |at: usize| Ok(argument(at)?.sema().to_string());
        let lower = |at: usize| Ok(text(at)?.to_lowercase());
        match call.func {
            Function::Success | Function::Always => boolean(true),
            Function::Failure | Function::Cancelled => boolean(false),
            Function::Contains => match argument(0)? {
                Evaluation::Array(items) => {
                    let wanted = argument(1)?;
                    boolean(items.iter().any(|item| item.sema() == wanted.sema()))
                }
                _ => boolean(lower(0)?.contains(&lower(1)?)),
            },
            Function::StartsWith => boolean(lower(0)?.starts_with(&lower(1)?)),
            Function::EndsWith => boolean(lower(0)?.ends_with(&lower(1)?)),
            Function::Format => {
                let arguments = (1..call.args.len()).map(text).collect::<Known<Vec<_>>>()?;
                format(&text(0)?, &arguments).map(Evaluation::String).ok_or_else(|| unknown(whole))
            }
            Function::Join => {
                let between = if call.args.len() > 1 { text(1)? } else { ",".to_owned() };
                Ok(Evaluation::String(match argument(0)? {
                    Evaluation::Array(items) => {
                        items.iter().map(|item| item.sema().to_string()).collect::<Vec<_>>().join(&between)
                    }
                    other => other.sema().to_string(),
                }))
            }
            Function::ToJSON => {
                let value: serde_json::Value = argument(0)?.try_into().map_err(|()| unknown(whole))?;
                serde_json::to_string_pretty(&value).map(Evaluation::String).map_err(|_| unknown(whole))
            }
            Function::FromJSON => {
                let value: serde_json::Value = serde_json::from_str(&text(0)?).map_err(|_| unknown(whole))?;
                value.try_into().map_err(|()| unknown(whole))
            }
            Function::Case => {
                let pairs = call.args.len() / 2;
                for pair in 0..pairs {
                    if self.truth(&call.args[2 * pair])? {
                        return argument(2 * pair + 1);
                    }
                }
                argument(2 * pairs)
            }
            Function::HashFiles => Err(unknown(whole)),
        }
    }
}

fn parsed(text: &str) -> Known<SpannedExpr<'_>> {
    if text.len() > LONGEST {
        return Err(Unknown("the expression is too long".to_owned()));
    }
    Expr::parse(text.trim()).map_err(|error| Unknown(format!("`{}` can't be read: {error}", shortened(text.trim()))))
}

fn unknown(expression: &SpannedExpr<'_>) -> Unknown {
    Unknown(format!("{} is known on GitHub only", shortened(expression.origin.raw)))
}

fn shortened(text: &str) -> String {
    let short: String = text.chars().take(80).collect();
    if short.len() < text.len() { format!("{short}…") } else { short }
}

/// Where the `}}` of an expression stands: not in its quotes.
fn closing(text: &str) -> Option<usize> {
    let mut quoted = false;
    let bytes = text.as_bytes();
    (0..bytes.len()).find(|&at| {
        quoted ^= bytes[at] == b'\'';
        !quoted && bytes[at..].starts_with(b"}}")
    })
}

/// `format('{0} {{x}}', a)`.
fn format(pattern: &str, arguments: &[String]) -> Option<String> {
    let mut result = String::new();
    let mut rest = pattern;
    while let Some(at) = rest.find(['{', '}']) {
        result.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("{{") {
            result.push('{');
            rest = after;
        } else if let Some(after) = rest.strip_prefix("}}") {
            result.push('}');
            rest = after;
        } else {
            let (index, after) = rest.strip_prefix('{')?.split_once('}')?;
            result.push_str(arguments.get(index.parse::<usize>().ok()?)?);
            rest = after;
        }
        if result.len() > LONGEST {
            return None;
        }
    }
    result.push_str(rest);
    Some(result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn contexts() -> Contexts {
        let mut contexts = Contexts { repository: Some("acme/shop".to_owned()), ..Contexts::default() };
        let object = HashMap::from([("Key".to_owned(), Evaluation::Number(2.0))]);
        for (name, value) in [
            ("python", Evaluation::String("3.11".to_owned())),
            ("fast", Evaluation::Boolean(false)),
            ("extra", Evaluation::Object(object)),
        ] {
            contexts.matrix.insert(name, Ok(value));
        }
        contexts.env.insert("MODE", Ok(Evaluation::String("ci".to_owned())));
        contexts.env.insert("TOKEN", Err(Unknown("secrets.T is a secret".to_owned())));
        contexts
    }

    #[test]
    fn texts_are_filled_in_as_github_fills_them_in() {
        let contexts = contexts();
        for (text, wanted) in [
            ("pytest -q", "pytest -q"),
            ("py${{ matrix.python }}-${{matrix.fast}}", "py3.11-false"),
            ("${{ matrix.missing }}|${{ env.mode }}", "|ci"),
            ("${{ matrix.extra.key }} ${{ matrix['extra']['KEY'] }}", "2 2"),
            ("${{ format('{0} {{x}} {1}', matrix.python, 'a}}b') }}", "3.11 {x} a}}b"),
            ("${{ matrix.fast && 'yes' || 'no' }}", "no"),
            ("${{ join(fromJSON('[1, \"b\"]'), '-') }}", "1-b"),
            ("${{ fromJSON('{\"a\": [1, 2]}').a[1] }}", "2"),
            ("cd ${{ github.workspace }}/x", "cd $GITHUB_WORKSPACE/x"),
            ("${{ github.repository_owner }}", "acme"),
            ("${{ case(matrix.fast, 1, true, 2, 3) }}", "2"),
        ] {
            assert_eq!(contexts.interpolate(text), Ok(wanted.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_only_github_knows_stays_unknown_and_says_what_it_is() {
        let contexts = contexts();
        for (text, wanted) in [
            ("${{ steps.c.outputs.cache-hit2 }}", "steps.c.outputs.cache-hit2 is known on GitHub only"),
            ("${{ secrets.KEY }}", "secrets.KEY is a secret"),
            ("${{ steps.x.outputs.y }}", "steps.x.outputs.y is known on GitHub only"),
            ("${{ env.TOKEN }}", "secrets.T is a secret"),
            ("${{ hashFiles('x') }}", "hashFiles('x') is known on GitHub only"),
            ("${{ matrix.python", "an expression does not end"),
        ] {
            assert_eq!(contexts.interpolate(text), Err(Unknown(wanted.to_owned())), "{text}");
        }
        assert!(contexts.interpolate("${{ a b }}").is_err());
    }

    #[test]
    fn a_condition_is_settled_by_the_part_that_is_known() {
        let contexts = contexts();
        for (text, wanted) in [
            ("matrix.python == '3.11'", Some(true)),
            ("${{ matrix.python != '3.11' }}", Some(false)),
            ("github.event_name == 'push' && matrix.python == '3.12'", Some(false)),
            ("github.event_name == 'push' || always()", Some(true)),
            ("github.event_name == 'push'", None),
            ("success() && !cancelled()", Some(true)),
            ("failure()", Some(false)),
            ("steps.cached.outputs.cache-hit != 'true'", Some(true)),
            ("contains(matrix.python, '3.1') && runner.os == 'linux'", Some(true)),
            ("startsWith(runner.os, 'Win')", Some(false)),
            ("${{ !matrix.fast }}", Some(true)),
        ] {
            assert_eq!(contexts.holds(text).ok(), wanted, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[${}a-z.'\"()\\[\\]&|!=< ]{0,60}") {
            let contexts = contexts();
            let _ = contexts.interpolate(&text);
            let _ = contexts.holds(&text);
        }
    }
}
