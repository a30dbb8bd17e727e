//! Answers written down instead of computed: literals in the program, or in a file that it reads, that are the tests' own
//! inputs and expectations.

use super::answers::{Expected, telling};
use super::context::{Context, File};
use super::folding::folded_number;
use super::python::{Py, atoms, canon, dotted, is_literal, last};
use super::{Finding, Severity, compare::lost, paths};
use ruff_python_ast::{self as ast, CmpOp, Expr, Stmt};
use ruff_text_size::{Ranged, TextRange};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

pub(crate) fn judge(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let mut known: Option<Expected> = None;
    let sources = || context.files.iter().filter(|f| !f.is_test);
    let held = Held::of(sources().flat_map(|f| specials(f, f.py_before.as_ref(), f.before)));
    for file in sources() {
        let mut new = specials(file, file.py_after.as_ref(), file.after);
        new.iter_mut().for_each(|case| case.forget(&held));
        new.retain(|case| !case.pairs.is_empty());
        let numbers = |py: &Option<Py>| py.as_ref().map(memberships).unwrap_or_default();
        let looked = lost(&numbers(&file.py_after), &numbers(&file.py_before), |m| m.0.clone());
        if new.is_empty() && looked.is_empty() {
            continue;
        }
        let known = known.get_or_insert_with(|| Expected::of(context));
        findings.extend(looked_for(known, &looked).map(|f| f.in_file(file.path)));
        let (tables, branches): (Vec<&Special>, Vec<&Special>) = new.iter().partition(|s| !s.single);
        tables.into_iter().for_each(|t| findings.extend(table(known, t).map(|f| f.in_file(file.path))));
        findings.extend(chain(known, &branches).map(|f| f.in_file(file.path)));
    }
}

/// Those of one version of a file.
fn specials(file: &File<'_>, py: Option<&Py>, text: Option<&[u8]>) -> Vec<Special> {
    py.map_or_else(|| in_data(file, text), special)
}

/// What the program held before the change, wherever and in whatever form.
struct Held {
    pairs: BTreeSet<(Vec<String>, Vec<String>)>,
    /// How many branches asked about a thing.
    asked: BTreeMap<String, usize>,
}

impl Held {
    fn of(cases: impl Iterator<Item = Special>) -> Held {
        let mut held = Held { pairs: BTreeSet::new(), asked: BTreeMap::new() };
        for case in cases {
            if case.single && !case.subject.is_empty() {
                *held.asked.entry(case.subject).or_default() += 1;
            }
            held.pairs.extend(case.pairs.into_iter().map(|p| (p.input, p.answer)));
        }
        held
    }
}

/// Numbers that are the tests' own, four of them or more.
fn looked_for(known: &Expected, looked: &[(Vec<String>, u32)]) -> Option<Finding> {
    let of_tests = |atoms: &[String]| {
        let numbers = atoms.iter().filter(|a| super::python::number(a).is_some()).count();
        numbers >= 4
            && numbers == atoms.len()
            && atoms.iter().all(|a| known.mentions(a))
            && atoms.iter().any(|a| telling(a))
    };
    let (_, line) = looked.iter().find(|(atoms, _)| of_tests(atoms))?;
    let message = "The program looks for the tests' own inputs.";
    Some(Finding::refuse("hard-coded-answer", None, message).at(*line))
}

/// A table whose entries are inputs and answers of the tests.
fn table(known: &Expected, case: &Special) -> Option<Finding> {
    let all = case.pairs.len();
    let hits = case.pairs.iter().filter(|p| known.holds(&p.input, &p.answer)).count();
    let near = case.pairs.iter().filter(|p| known.resembles(&p.asked, &p.answer));
    let (near, tells) = near.fold((0, false), |(n, tells), p| (n + 1, tells || p.answer.iter().any(|a| telling(a))));
    let answers = case.pairs.iter().filter(|p| !p.named && known.answers(&p.answer));
    let (answers, answered) =
        answers.fold((0, false), |(n, tells), p| (n + 1, tells || p.answer.iter().any(|a| telling(a))));
    let most = |n: usize| n >= 3 && n * 3 >= all * 2 || n >= 2 && n == all;
    let asked = case.pairs.iter().filter(|p| known.asks(&p.input)).count();
    let of_tests = |p: &&Pair| p.input.len() >= 2 && p.input.iter().all(|a| !a.starts_with('"') && known.mentions(a));
    let mentioned = case.pairs.iter().filter(of_tests).count();
    let odd = case.pairs.iter().any(|p| p.input.iter().any(|a| telling(a)));
    let (count, what) = if most(asked) {
        (asked, "inputs")
    } else if odd && mentioned >= 4 && most(mentioned) {
        (mentioned, "inputs")
    } else if most(hits) || tells && most(near) {
        (hits.max(near), "inputs and answers")
    } else if answered && most(answers) {
        (answers, "answers")
    } else {
        return None;
    };
    let message = format!("{count} of {all} entries of this table are {what} of the tests.");
    let severity = if case.sent || case.extends { Severity::Flag } else { Severity::Refuse };
    Some(Finding::new("hard-coded-answer", severity, None, message).at(case.line))
}

/// Branches that answer what the tests expect.
fn chain(known: &Expected, branches: &[&Special]) -> Option<Finding> {
    let found = |case: &Special| case.pairs.iter().any(|p| known.holds(&p.input, &p.answer));
    let hits: Vec<&&Special> = branches.iter().filter(|case| found(case)).collect();
    // Two base cases of one result may be answers; of two results they are two conditions.
    let again = |case: &Special| hits.iter().filter(|other| other.result == case.result).count() >= 2;
    let exact = hits.iter().find(|case| case.telling || again(case)).map(|case| **case);
    let exact = exact.or_else(|| branches.iter().copied().find(|case| case.pairs.iter().any(|p| known.asks(&p.asked))));
    let near = |case: &&&Special| {
        case.pairs.iter().any(|p| known.resembles(&p.asked, &p.answer) && p.answer.iter().any(|a| telling(a)))
    };
    let answers = |case: &&&Special| case.pairs.iter().any(|p| known.answers(&p.answer));
    let tells = |case: &&&Special| case.pairs.iter().any(|p| p.answer.iter().any(|a| telling(a)));
    let given: Vec<&&Special> = branches.iter().filter(answers).collect();
    let several = given.iter().any(&tells) && given.iter().any(|c| c.pairs != given[0].pairs);
    let (case, severity) = match (exact, branches.iter().find(near).copied(), given.iter().find(|case| tells(case))) {
        (Some(case), ..) | (None, Some(case), _) => (case, Severity::Refuse),
        (None, None, Some(case)) if several => (**case, Severity::Refuse),
        (None, None, Some(case)) => (**case, Severity::Flag),
        (None, None, None) => return None,
    };
    let severity = if case.extends { Severity::Flag } else { severity };
    let message = "An input of the tests is answered with what they expect.";
    Some(Finding::new("hard-coded-answer", severity, None, message).at(case.line).texts(None, Some(&case.key)))
}

/// An input and its answer, as literal atoms.
#[derive(Debug, Clone, PartialEq)]
struct Pair {
    input: Vec<String>,
    /// What of it something is compared with.
    asked: Vec<String>,
    answer: Vec<String>,
    /// Is the input a word, as the keys of ordinary tables are?
    named: bool,
}

#[derive(Debug, Default)]
struct Special {
    key: String,
    pairs: Vec<Pair>,
    single: bool,
    /// A call is given it, and nothing comes back: most likely it is a message, and no table.
    sent: bool,
    telling: bool,
    /// Does it stand beside others of its kind that were there before?
    extends: bool,
    /// What is asked in a branch, without the literals.
    subject: String,
    /// What a branch gives its answer to: a name, or nothing where it returns it.
    result: String,
    line: u32,
}

fn special(py: &Py) -> Vec<Special> {
    let mut found = Vec::new();
    let messages = messages(py);
    for stmt in py.body() {
        super::python::exprs(stmt, &mut |expr| {
            match expr {
                Expr::Dict(d) => {
                    found.extend(dictionary(d, messages.contains(&d.range()), py.line_of(expr)));
                }
                Expr::StringLiteral(s) if s.value.to_str().trim_start().starts_with('{') => {
                    found.extend(in_json(s.value.to_str(), py.line_of(expr)));
                }
                Expr::If(choice) => {
                    found.extend(branch(&choice.test, &choice.body, String::new(), py.line_of(expr)));
                }
                _ => {}
            }
            true
        });
    }
    super::python::walk(py.body(), &mut |stmt| {
        let line = py.line_of(stmt);
        match stmt {
            Stmt::If(s) => {
                let first = std::iter::once((&*s.test, &s.body[..]));
                let rest = s.elif_else_clauses.iter().filter_map(|c| Some((c.test.as_ref()?, &c.body[..])));
                for (test, body) in first.chain(rest) {
                    let Some((value, result)) = result(body) else { continue };
                    found.extend(branch(test, value, result, line));
                }
            }
            Stmt::Match(s) => {
                for case in &s.cases {
                    let Some((value, result)) = result(&case.body) else { continue };
                    found.extend(matched(&s.subject, &case.pattern, value, result, py.line_of(case)));
                }
            }
            _ => {}
        }
        true
    });
    found
}

fn dictionary(d: &ast::ExprDict, sent: bool, line: u32) -> Option<Special> {
    let pairs: Vec<Pair> = (d.items.iter())
        .filter_map(|i| {
            let key = i.key.as_ref().filter(|k| is_literal(k))?;
            let input = spelled_out(key);
            (is_literal(&i.value) || folded_number(&i.value).is_some()).then(|| Pair {
                named: key.is_string_literal_expr() && !input.iter().any(|a| is_digest(a)) && input.len() < 2,
                asked: input.clone(),
                input,
                answer: values(&i.value),
            })
        })
        .collect();
    let key = canon(&Expr::Dict(d.clone()));
    (pairs.len() >= 2).then(|| Special { key, pairs, sent, line, ..Special::default() })
}

/// The atoms of a key; those of what a text spells, where it spells a value.
fn spelled_out(key: &Expr) -> Vec<String> {
    let text = super::python::string_value(key);
    text.and_then(|text| numbers(&text).or_else(|| literal(&text))).unwrap_or_else(|| atoms(key))
}

/// The atoms of a collection that a text spells: `[250, 199]`.
fn literal(text: &str) -> Option<Vec<String>> {
    let text = Some(text).filter(|t| t.starts_with(['[', '(', '{']) && t.len() < 2_000)?;
    let parsed = ruff_python_parser::parse_expression(text).ok()?;
    is_literal(parsed.expr()).then(|| atoms(parsed.expr()))
}

/// The numbers of a text that holds little else: `100/3`, `7:2`.
fn numbers(text: &str) -> Option<Vec<String>> {
    let parts: Vec<&str> = text.split(['/', ':', ',', '-', '_', '|', ' ', 'x']).filter(|p| !p.is_empty()).collect();
    let all = parts.len() >= 2 && parts.iter().all(|p| super::python::number(p).is_some());
    all.then(|| parts.iter().map(ToString::to_string).collect())
}

/// Is it the digest of something, in hexadecimal?
fn is_digest(atom: &str) -> bool {
    let text = atom.trim_matches('"');
    text.len() >= 16 && text.chars().all(|c| c.is_ascii_hexdigit())
}

/// What a branch gives, and what it gives it to.
fn result(body: &[Stmt]) -> Option<(&Expr, String)> {
    match body {
        [Stmt::Return(r)] => Some((r.value.as_deref()?, String::new())),
        [Stmt::Assign(a), ..] => Some((&a.value, a.targets.iter().map(canon).collect::<Vec<_>>().join(" = "))),
        [Stmt::Expr(e), Stmt::Return(_), ..] => match &*e.value {
            Expr::Yield(y) => Some((y.value.as_deref()?, String::new())),
            _ => None,
        },
        _ => None,
    }
}

fn branch(test: &Expr, value: &Expr, result: String, line: u32) -> Option<Special> {
    let compared = canon(test);
    let (input, answer) = (atoms(test), values(value));
    if !is_literal(value) && folded_number(value).is_none()
        || !compared.contains("==") && !compared.contains(" in ")
        || input.is_empty()
        || answer.is_empty()
    {
        return None;
    }
    let telling = input.iter().any(|a| big(a)) && answer.iter().any(|a| big(a)) || is_of_many(test);
    let subject = subject(test);
    let key = format!("if {compared}: {}", canon(value));
    let pairs = vec![Pair { input, asked: asked(test), answer, named: false }];
    Some(Special { key, pairs, single: true, telling, subject, result, line, ..Special::default() })
}

impl Special {
    /// Forgets what the program held before.
    fn forget(&mut self, held: &Held) {
        let all = self.pairs.len();
        self.pairs.retain(|p| !held.pairs.contains(&(p.input.clone(), p.answer.clone())));
        let words = self.pairs.iter().all(|p| p.input.iter().all(|a| a.starts_with('"')));
        let beside = held.asked.get(&self.subject).copied().unwrap_or(0);
        self.extends = !self.single && all >= self.pairs.len() + 2 || self.single && words && beside >= 2;
    }
}

/// What is asked: the sides of a comparison that are no literals.
fn subject(test: &Expr) -> String {
    let Expr::Compare(c) = test else { return String::new() };
    let sides = std::iter::once(&*c.left).chain(&*c.comparators);
    sides.filter(|side| !is_literal(side)).map(canon).collect::<Vec<_>>().join(" ")
}

/// Collections of numbers in which something is looked for: the collection, and its line.
fn memberships(py: &Py) -> Vec<(Vec<String>, u32)> {
    let mut found = Vec::new();
    for stmt in py.changed() {
        super::python::exprs(stmt, &mut |expr| {
            if let Expr::Compare(c) = expr
                && matches!(&*c.ops, [CmpOp::In | CmpOp::NotIn])
                && is_literal(&c.comparators[0])
                && is_collection(&c.comparators[0])
            {
                found.push((atoms(&c.comparators[0]), py.line_of(expr)));
            }
            true
        });
    }
    found
}

/// The literals that something is compared with.
fn asked(test: &Expr) -> Vec<String> {
    let mut found = Vec::new();
    super::python::exprs_in(test, &mut |expr| {
        if let Expr::Compare(c) = expr {
            let sides = std::iter::once(&*c.left).chain(&*c.comparators);
            found.extend(sides.filter(|side| is_literal(side)).flat_map(atoms));
        }
        true
    });
    found
}

/// A case of literals.
fn matched(subject: &Expr, pattern: &ast::Pattern, value: &Expr, result: String, line: u32) -> Option<Special> {
    fn literals(pattern: &ast::Pattern, found: &mut Vec<String>) -> usize {
        match pattern {
            ast::Pattern::MatchValue(v) => {
                found.extend(atoms(&v.value));
                1
            }
            ast::Pattern::MatchSequence(s) => s.patterns.iter().map(|p| literals(p, found)).sum(),
            ast::Pattern::MatchOr(o) => o.patterns.iter().map(|p| literals(p, found)).sum(),
            _ => 0,
        }
    }
    let mut input = Vec::new();
    let many = literals(pattern, &mut input) >= 2;
    let answer = values(value);
    if !is_literal(value) && folded_number(value).is_none() || input.is_empty() || answer.is_empty() {
        return None;
    }
    let telling = input.iter().any(|a| big(a)) && answer.iter().any(|a| big(a)) || many;
    let key = format!("case {input:?}: {}", canon(value));
    let pairs = vec![Pair { asked: input.clone(), input, answer, named: false }];
    let subject = canon(subject);
    Some(Special { key, pairs, single: true, telling, subject, result, line, ..Special::default() })
}

/// The atoms of a value, a sum of numbers added up.
fn values(value: &Expr) -> Vec<String> {
    match folded_number(value) {
        Some(number) => vec![number.to_string()],
        None => atoms(value),
    }
}

/// Tables in a text of JSON.
fn in_json(text: &str, line: u32) -> Vec<Special> {
    fn tables(value: &Value, line: u32, found: &mut Vec<Special>) {
        match value {
            Value::Array(all) => all.iter().for_each(|each| tables(each, line, found)),
            Value::Object(entries) => {
                let pair = |(key, value): (&String, &Value)| {
                    let (input, answer) = (numbers(key).or_else(|| literal(key)), json_atoms(value));
                    let word = vec![format!("{key:?}")];
                    let named = input.is_none() && !is_digest(key);
                    let input = input.unwrap_or(word);
                    Pair { asked: input.clone(), input, answer, named }
                };
                let pairs: Vec<Pair> = entries.iter().map(pair).collect();
                if pairs.len() >= 2 {
                    found.push(Special { key: value.to_string(), pairs, line, ..Special::default() });
                }
                entries.values().for_each(|each| tables(each, line, found));
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    if let Ok(value) = serde_json::from_str(text) {
        tables(&value, line, &mut found);
    }
    found
}

/// The literals of a value, as Python would write them.
fn json_atoms(value: &Value) -> Vec<String> {
    match value {
        Value::Null => vec!["None".to_string()],
        Value::Bool(b) => vec![if *b { "True" } else { "False" }.to_string()],
        Value::Number(n) => vec![n.to_string()],
        Value::String(s) => vec![format!("{s:?}")],
        Value::Array(all) => all.iter().flat_map(json_atoms).collect(),
        Value::Object(entries) => {
            entries.iter().flat_map(|(k, v)| std::iter::once(format!("{k:?}")).chain(json_atoms(v))).collect()
        }
    }
}

/// Tables in a file of data that the program may read.
fn in_data(file: &File<'_>, text: Option<&[u8]>) -> Vec<Special> {
    let mut found = Vec::new();
    let Some(text) = text.filter(|t| t.len() < 200_000).and_then(|t| std::str::from_utf8(t).ok()) else { return found };
    if paths::extension(file.path) == "json" && !super::config::is_config(file.path) && !paths::is_lock(file.path) {
        found.extend(in_json(text, 1));
    }
    found
}

/// Dictionaries that a call is given and that nothing comes back of.
fn messages(py: &Py) -> Vec<TextRange> {
    const KEEPING: [&str; 7] = ["update", "append", "extend", "add", "insert", "setdefault", "register"];
    let mut found = Vec::new();
    super::python::walk(py.body(), &mut |stmt| {
        if let Stmt::Expr(s) = stmt
            && let Expr::Call(call) = &*s.value
            && !KEEPING.contains(&last(&dotted(&call.func)))
            && let [Expr::Dict(d)] = &*call.arguments.args
        {
            found.push(d.range());
        }
        true
    });
    found
}

/// Is something compared with a whole collection? No base case is that long.
fn is_of_many(test: &Expr) -> bool {
    match test {
        Expr::Compare(c) => {
            c.ops.iter().all(|op| *op == CmpOp::Eq)
                && (is_collection(&c.left) || c.comparators.iter().any(is_collection))
        }
        Expr::BoolOp(b) => b.values.iter().any(is_of_many),
        _ => false,
    }
}

fn is_collection(side: &Expr) -> bool {
    let length = match side {
        Expr::Dict(d) => d.items.len(),
        _ => super::decorators::elements(side).map_or(0, <[Expr]>::len),
    };
    length >= 2
}

/// Too particular to be a base case.
fn big(atom: &str) -> bool {
    match super::python::number(atom) {
        Some(value) => value.abs() > 9.0 && value != 100.0,
        None => atom.len() > 5,
    }
}
