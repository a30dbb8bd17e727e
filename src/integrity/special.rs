//! Answers written down instead of computed: literals in the source that are the tests' own inputs and expectations.

use super::context::Context;
use super::python::{Py, atoms, canon, dotted, is_literal, last};
use super::{Finding, compare::lost, paths};
use ruff_python_ast::{CmpOp, Expr, Stmt};
use ruff_text_size::{Ranged, TextRange};
use std::collections::BTreeSet;

pub(crate) fn judge(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let mut known: Option<BTreeSet<String>> = None;
    for file in context.files.iter().filter(|f| !f.is_test) {
        let Some(after) = &file.py_after else { continue };
        let old = file.py_before.as_ref().map(special).unwrap_or_default();
        let new = lost(&special(after), &old, |s| s.key.clone());
        if new.is_empty() {
            continue;
        }
        let known = known.get_or_insert_with(|| expectations(context));
        let mut chained = Vec::new();
        for case in &new {
            let hits = case.pairs.iter().filter(|p| known.contains(p.as_str())).count();
            let all = case.pairs.len();
            if case.single {
                if hits > 0 {
                    chained.push(case);
                }
                continue;
            }
            if hits >= 3 && hits * 3 >= all * 2 || hits >= 2 && hits == all {
                let message = format!("{hits} of {all} entries of this table are inputs and answers of the tests.");
                let judged = if case.sent { Finding::flag } else { Finding::refuse };
                findings.push(judged("hard-coded-answer", Some(file.path), message.as_str()).at(case.line));
            }
        }
        // Two base cases of one result may be answers; of two results they are two conditions.
        let again = |case: &&&Special| chained.iter().filter(|other| other.result == case.result).count() >= 2;
        if let Some(case) = chained.iter().find(|case| case.telling || again(case)) {
            let message = "An input of the tests is answered with what they expect.";
            findings.push(
                Finding::refuse("hard-coded-answer", Some(file.path), message)
                    .at(case.line)
                    .texts(None, Some(&case.key)),
            );
        }
    }
}

#[derive(Debug, Clone)]
struct Special {
    key: String,
    pairs: Vec<String>,
    single: bool,
    /// A call is given it, and nothing comes back: most likely it is a message, and no table.
    sent: bool,
    telling: bool,
    /// What a branch gives its answer to: a name, or nothing where it returns it.
    result: String,
    line: u32,
}

fn special(py: &Py) -> Vec<Special> {
    let mut found = Vec::new();
    let messages = messages(py);
    for stmt in py.body() {
        super::python::exprs(stmt, &mut |expr| {
            if let Expr::Dict(d) = expr
                && d.items.len() >= 2
            {
                let pairs: Vec<String> = (d.items.iter())
                    .filter_map(|i| {
                        let key = i.key.as_ref().filter(|k| is_literal(k))?;
                        is_literal(&i.value).then(|| joined(atoms(key).into_iter().chain(atoms(&i.value)).collect()))
                    })
                    .collect();
                if pairs.len() >= 2 {
                    found.push(Special {
                        key: canon(expr),
                        pairs,
                        single: false,
                        sent: messages.contains(&d.range()),
                        telling: false,
                        result: String::new(),
                        line: py.line_of(expr),
                    });
                }
            }
            true
        });
    }
    super::python::walk(py.body(), &mut |stmt| {
        let branches: Vec<(&Expr, &[Stmt])> = match stmt {
            Stmt::If(s) => {
                let first = std::iter::once((&*s.test, &s.body[..]));
                first.chain(s.elif_else_clauses.iter().filter_map(|c| Some((c.test.as_ref()?, &c.body[..])))).collect()
            }
            _ => Vec::new(),
        };
        for (test, body) in branches {
            let value = match body {
                [Stmt::Return(r)] => r.value.as_deref(),
                [Stmt::Assign(a), ..] => Some(&*a.value),
                [Stmt::Expr(e), Stmt::Return(_), ..] => match &*e.value {
                    Expr::Yield(y) => y.value.as_deref(),
                    _ => None,
                },
                _ => None,
            };
            let Some(value) = value.filter(|v| is_literal(v)) else { continue };
            let compared = canon(test);
            if !compared.contains("==") && !compared.contains(" in ") {
                continue;
            }
            let (inputs, answers) = (atoms(test), atoms(value));
            if inputs.is_empty() || answers.is_empty() {
                continue;
            }
            let telling = (inputs.iter().any(|a| big(a)) && answers.iter().any(|a| big(a))) || is_of_many(test);
            let result = match body {
                [Stmt::Assign(a), ..] => a.targets.iter().map(canon).collect::<Vec<_>>().join(" = "),
                _ => String::new(),
            };
            let key = format!("if {compared}: {}", canon(value));
            let pair = joined(inputs.into_iter().chain(answers).collect());
            found.push(Special {
                key,
                pairs: vec![pair],
                single: true,
                sent: false,
                telling,
                result,
                line: py.line_of(stmt),
            });
        }
        true
    });
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
    let many = |side: &Expr| match side {
        Expr::List(l) => l.elts.len() >= 2,
        Expr::Tuple(t) => t.elts.len() >= 2,
        Expr::Set(s) => s.elts.len() >= 2,
        Expr::Dict(d) => d.items.len() >= 2,
        _ => false,
    };
    match test {
        Expr::Compare(c) => {
            c.ops.iter().all(|op| *op == CmpOp::Eq) && (many(&c.left) || c.comparators.iter().any(many))
        }
        Expr::BoolOp(b) => b.values.iter().any(is_of_many),
        _ => false,
    }
}

/// Too particular to be a base case.
fn big(atom: &str) -> bool {
    match super::python::number(atom) {
        Some(value) => value.abs() > 9.0 && value != 100.0,
        None => atom.len() > 5,
    }
}

fn joined(atoms: Vec<String>) -> String {
    atoms.join(" | ")
}

/// Inputs and answers that the tests hold, as sequences of atoms.
fn expectations(context: &Context<'_>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for path in &context.paths {
        if context.is_test(path) {
            let Some(text) = context.read(path) else { continue };
            let py = Py::parse(text.as_bytes(), false);
            for unit in context.suite(&py).units {
                found.extend(unit.facts.iter().map(|f| joined(f.atoms.clone())));
            }
            for stmt in py.body() {
                super::python::exprs(stmt, &mut |expr| {
                    match expr {
                        Expr::Tuple(_) | Expr::List(_) => {
                            found.insert(joined(atoms(expr)));
                        }
                        Expr::Dict(d) => {
                            for item in &d.items {
                                if let Some(key) = &item.key {
                                    found.insert(joined(atoms(key).into_iter().chain(atoms(&item.value)).collect()));
                                }
                            }
                        }
                        _ => {}
                    }
                    true
                });
            }
        } else if paths::is_test_data_by_place(path)
            && matches!(paths::extension(path).as_str(), "json" | "jsonl" | "csv" | "txt")
        {
            let Some(text) = context.read(path).filter(|t| t.len() < 200_000) else { continue };
            for line in text.lines() {
                let row = line.trim().trim_end_matches(',');
                if let Ok(parsed) =
                    ruff_python_parser::parse_expression(&row.replace("true", "True").replace("false", "False"))
                {
                    found.insert(joined(atoms(parsed.expr())));
                }
            }
        }
    }
    found
}
