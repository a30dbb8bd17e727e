//! `setup.py`: the lists that `setup()` is called with, read from the syntax tree.

use ruff_python_ast::{Expr, ExprCall, Stmt};
use ruff_text_size::Ranged;

use super::{New, Style, list::List, requirement_name};
use crate::repair::rules::text;

/// What is looked for: a keyword of `setup()`, and a key below it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) keyword: &'a str,
    pub(super) key: Option<&'a str>,
}

fn parse(content: &str) -> Option<Vec<Stmt>> {
    Some(ruff_python_parser::parse_module(content).ok()?.into_suite().into_iter().collect())
}

/// The one module-level value of a name, or `None` where it has several or is changed later in another way.
fn assigned<'a>(body: &'a [Stmt], name: &str) -> Option<&'a Expr> {
    let mut found = None;
    for stmt in body {
        let value = match stmt {
            Stmt::Assign(assign) => {
                let named = assign.targets.iter().any(|target| matches!(target, Expr::Name(id) if id.id == name));
                named.then_some(&*assign.value)
            }
            Stmt::AnnAssign(assign) => match (&*assign.target, &assign.value) {
                (Expr::Name(id), Some(value)) if id.id == name => Some(&**value),
                _ => None,
            },
            _ => None,
        };
        if let Some(value) = value {
            if found.is_some() {
                return None;
            }
            found = Some(value);
        }
    }
    found
}

fn resolve<'a>(body: &'a [Stmt], value: &'a Expr) -> Option<&'a Expr> {
    match value {
        Expr::Name(name) => assigned(body, name.id.as_str()),
        other => Some(other),
    }
}

fn setup_call(body: &[Stmt]) -> Option<&ExprCall> {
    body.iter().find_map(|stmt| match stmt {
        Stmt::Expr(stmt) => is_setup(&stmt.value),
        Stmt::If(stmt) => setup_call(&stmt.body),
        Stmt::Assign(stmt) => is_setup(&stmt.value),
        _ => None,
    })
}

fn is_setup(expr: &Expr) -> Option<&ExprCall> {
    let Expr::Call(call) = expr else { return None };
    let named = match &*call.func {
        Expr::Name(name) => name.id == "setup",
        Expr::Attribute(attribute) => attribute.attr.as_str() == "setup",
        _ => false,
    };
    named.then_some(call)
}

/// The value of a keyword of `setup()`, also where it comes out of `**a_dictionary`.
fn keyword<'a>(body: &'a [Stmt], wanted: &str) -> Option<&'a Expr> {
    let call = setup_call(body)?;
    for argument in &call.arguments.keywords {
        match &argument.arg {
            Some(name) if name.as_str() == wanted => return resolve(body, &argument.value),
            Some(_) => {}
            None => {
                if let Some(value) = resolve(body, &argument.value).and_then(|value| item(body, value, wanted)) {
                    return Some(value);
                }
            }
        }
    }
    None
}

fn item<'a>(body: &'a [Stmt], value: &'a Expr, key: &str) -> Option<&'a Expr> {
    match value {
        Expr::Dict(dict) => dict.items.iter().find_map(|item| match &item.key {
            Some(Expr::StringLiteral(literal)) if literal.value.to_str() == key => resolve(body, &item.value),
            _ => None,
        }),
        Expr::Call(call) if matches!(&*call.func, Expr::Name(name) if name.id == "dict") => {
            let keyword =
                call.arguments.keywords.iter().find(|item| item.arg.as_ref().is_some_and(|arg| arg == key))?;
            resolve(body, &keyword.value)
        }
        _ => None,
    }
}

fn find<'a>(body: &'a [Stmt], wanted: Wanted<'_>) -> Option<&'a [Expr]> {
    let mut value = keyword(body, wanted.keyword)?;
    if let Some(key) = wanted.key {
        value = item(body, value, key)?;
    }
    match value {
        Expr::List(list) => Some(&list.elts),
        Expr::Tuple(tuple) if tuple.parenthesized && !tuple.elts.is_empty() => Some(&tuple.elts),
        _ => None,
    }
}

/// The requirements of a list; `None` where there is no such list, or not as a literal.
pub(super) fn read(content: &str, wanted: Wanted<'_>) -> Option<Vec<String>> {
    let body = parse(content)?;
    let texts = find(&body, wanted)?.iter().filter_map(|element| match element {
        Expr::StringLiteral(literal) => Some(literal.value.to_str().to_owned()),
        _ => None,
    });
    Some(texts.collect())
}

/// The names of the extras.
pub(super) fn extras(content: &str) -> Vec<String> {
    let Some(body) = parse(content) else { return Vec::new() };
    let Some(Expr::Dict(dict)) = keyword(&body, "extras_require") else { return Vec::new() };
    let names = dict.items.iter().filter_map(|item| match &item.key {
        Some(Expr::StringLiteral(literal)) => Some(literal.value.to_str().to_owned()),
        _ => None,
    });
    names.collect()
}

/// Does the file call `setup()`?
pub(super) fn calls_setup(content: &str) -> bool {
    parse(content).is_some_and(|body| setup_call(&body).is_some())
}

/// The file with one more requirement in a list.
pub(super) fn add(content: &str, wanted: Wanted<'_>, new: &New) -> Option<String> {
    let body = parse(content)?;
    let elements = find(&body, wanted)?;
    let mut requirements = Vec::new();
    let mut places = Vec::new();
    for element in elements {
        let Expr::StringLiteral(literal) = element else { return None };
        // Joined and prefixed strings have no one quote to follow.
        if literal.value.iter().count() != 1 || !content[element.range().start().to_usize()..].starts_with(['\'', '"'])
        {
            return None;
        }
        requirements.push(literal.value.to_str().to_owned());
        places.push(element.range().start().to_usize()..element.range().end().to_usize());
    }
    let value = list_range(&body, wanted)?;
    let quote = places.last().map_or("\"", |place| &content[place.start..place.start + 1]);
    let list = List {
        content,
        inside: value.start + 1..value.end - 1,
        keys: requirements.iter().map(|each| requirement_name(each)).collect::<Option<_>>()?,
        elements: places,
    };
    let element = format!("{quote}{}{quote}", new.requirement(Style::of(&requirements), quote));
    let after = text::apply(content, &list.insert(&element, &new.key())?)?;
    let now = read(&after, wanted)?;
    (now.len() == requirements.len() + 1).then_some(after)
}

fn list_range(body: &[Stmt], wanted: Wanted<'_>) -> Option<std::ops::Range<usize>> {
    let mut value = keyword(body, wanted.keyword)?;
    if let Some(key) = wanted.key {
        value = item(body, value, key)?;
    }
    Some(value.range().start().to_usize()..value.range().end().to_usize())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNTIME: Wanted<'static> = Wanted { keyword: "install_requires", key: None };

    fn new() -> New {
        New { name: "mid".to_owned(), version: Some("2.3.4".parse().unwrap()), before: None }
    }

    #[test]
    fn the_list_that_setup_names_is_extended() {
        let content = "reqs = [\n    'b>=1',\n    'a',\n    'c>=2',\n]\nsetup(\n    install_requires=reqs,\n)\n";
        let after = add(content, RUNTIME, &new()).unwrap();
        assert_eq!(after, content.replace("    'c>=2',\n", "    'c>=2',\n    'mid>=2.3',\n"));
    }

    #[test]
    fn a_literal_argument_and_a_dictionary_are_found() {
        let after = add("setup(install_requires=[\"a\"])\n", RUNTIME, &new()).unwrap();
        assert_eq!(after, "setup(install_requires=[\"a\", \"mid\"])\n");
        let after = add("c = {'install_requires': ['a']}\nsetuptools.setup(**c)\n", RUNTIME, &new()).unwrap();
        assert_eq!(after, "c = {'install_requires': ['a', 'mid']}\nsetuptools.setup(**c)\n");
    }

    #[test]
    fn an_extra_is_a_key_below() {
        let content = "setup(extras_require={'test': ['pytest']})\n";
        let wanted = Wanted { keyword: "extras_require", key: Some("test") };
        assert_eq!(extras(content), ["test"]);
        assert_eq!(add(content, wanted, &new()).unwrap(), "setup(extras_require={'test': ['pytest', 'mid']})\n");
    }

    #[test]
    fn what_is_computed_is_left_alone() {
        for content in [
            "setup(install_requires=read('r.txt'))\n",
            "r = ['a']\nr = ['b']\nsetup(install_requires=r)\n",
            "setup(install_requires=['a', NAME])\n",
            "setup(install_requires='a\\nb')\n",
        ] {
            assert_eq!(add(content, RUNTIME, &new()), None, "{content}");
        }
    }
}
