//! What the tests of a tree expect: inputs with their answers, names of locals and fixtures spelled out.

use super::context::Context;
use super::flow::{self, Does};
use super::names;
use super::paths;
use super::python::{Py, atoms, dotted, is_literal, last, number, walk};
use ruff_python_ast::{Expr, Stmt};
use std::collections::{BTreeMap, BTreeSet};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    /// Inputs and answers as sequences of atoms.
    sequences: BTreeSet<String>,
    /// The atoms of inputs, and those of their answer.
    rows: Vec<(BTreeSet<String>, Vec<String>)>,
    answers: BTreeSet<String>,
    /// Every literal of every test.
    atoms: BTreeSet<String>,
}

impl Expected {
    /// What all tests before the change expect.
    pub(crate) fn of(context: &Context<'_>) -> Expected {
        let mut expected = Expected::default();
        let tests: Vec<Py> = (context.paths.iter())
            .filter(|path| paths::is_python(path) && context.is_test(path))
            .filter_map(|path| Some(Py::parse(context.read(path)?.as_bytes(), false)))
            .collect();
        let fixtures = tests.iter().flat_map(|py| names::fixtures(py, &BTreeMap::new()));
        let given: BTreeMap<String, Expr> = fixtures.map(|f| (f.name, f.gives)).collect();
        for py in &tests {
            expected.read(context, py, &given);
        }
        for path in &context.paths {
            if paths::is_test_data_by_place(path)
                && matches!(paths::extension(path).as_str(), "json" | "jsonl" | "csv" | "txt")
            {
                expected.lines(&context.read(path).filter(|t| t.len() < 200_000).unwrap_or_default());
            }
        }
        let atoms = expected.sequences.iter().flat_map(|s| s.split(" | "));
        expected.atoms = atoms.map(ToString::to_string).collect();
        expected
    }

    /// Is this exactly one of the tests' inputs with its answer?
    pub(crate) fn holds(&self, input: &[String], answer: &[String]) -> bool {
        self.sequences.contains(&joined(input.iter().chain(answer)))
    }

    /// Is it a part of an input, with the answer to that?
    pub(crate) fn resembles(&self, input: &[String], answer: &[String]) -> bool {
        !input.is_empty()
            && self.rows.iter().any(|(inputs, answers)| answers == answer && input.iter().all(|a| inputs.contains(a)))
    }

    /// Is it an input of several parts, one of them no small number or word?
    pub(crate) fn asks(&self, input: &[String]) -> bool {
        let large = |atom: &String| number(atom).map_or(atom.len() > 5, |n| n.abs() > 9.0);
        input.len() >= 2 && input.iter().any(large) && self.sequences.contains(&joined(input))
    }

    /// Does any test hold this literal?
    pub(crate) fn mentions(&self, atom: &str) -> bool {
        self.atoms.contains(atom)
    }

    /// Is it an answer?
    pub(crate) fn answers(&self, answer: &[String]) -> bool {
        self.answers.contains(&joined(answer))
    }

    fn read(&mut self, context: &Context<'_>, py: &Py, given: &BTreeMap<String, Expr>) {
        for unit in context.suite(py).units {
            self.sequences.extend(unit.facts.iter().map(|f| joined(&f.atoms)));
        }
        walk(py.body(), &mut |stmt| {
            if let Stmt::FunctionDef(f) = stmt {
                let steps = flow::steps(py, &f.body, given);
                let asserted = steps.iter().filter(|s| s.does == Does::Asserts);
                asserted.flat_map(|s| &s.terms).for_each(|term| self.assertion(term));
                return false;
            }
            true
        });
        for stmt in py.body() {
            super::python::exprs(stmt, &mut |expr| {
                match expr {
                    Expr::Tuple(_) | Expr::List(_) => {
                        self.sequences.insert(joined(&atoms(expr)));
                        self.row(expr);
                    }
                    Expr::Dict(d) => {
                        for item in &d.items {
                            if let Some(key) = &item.key {
                                self.sequences.insert(joined(atoms(key).iter().chain(&atoms(&item.value))));
                            }
                        }
                    }
                    _ => {}
                }
                true
            });
        }
    }

    /// `f(1) == 2`, `assertEqual(f(1), 2)`.
    fn assertion(&mut self, term: &Expr) {
        let (left, right) = match term {
            Expr::Compare(c) if c.comparators.len() == 1 => (&*c.left, &c.comparators[0]),
            Expr::Call(c) if c.arguments.args.len() >= 2 => (&c.arguments.args[0], &c.arguments.args[1]),
            _ => return,
        };
        let expected = |e: &Expr| is_literal(e) || last(&dotted(e)) == "approx";
        let (asked, answer) = match (expected(left), expected(right)) {
            (false, true) => (left, right),
            (true, false) => (right, left),
            _ => return,
        };
        let (input, answer) = (atoms(asked), atoms(answer));
        self.sequences.insert(joined(input.iter().chain(&answer)));
        self.answers.insert(joined(&answer));
        self.rows.push((input.into_iter().collect(), answer));
    }

    /// A row of a table of cases: the last is most often the answer.
    fn row(&mut self, expr: &Expr) {
        let elements = match expr {
            Expr::Tuple(t) => &t.elts,
            Expr::List(l) => &l.elts,
            _ => return,
        };
        if let [input @ .., answer] = elements.as_slice()
            && !input.is_empty()
            && elements.iter().all(is_literal)
            // A list of numbers is a value, not a case.
            && (expr.is_tuple_expr() || elements.iter().any(|e| !e.is_literal_expr()))
        {
            self.answers.insert(joined(&atoms(answer)));
            self.rows.push((input.iter().flat_map(atoms).collect(), atoms(answer)));
        }
    }

    /// Rows of a file, each a line.
    fn lines(&mut self, text: &str) {
        for line in text.lines() {
            let row = line.trim().trim_end_matches(',').replace("true", "True").replace("false", "False");
            if let Ok(parsed) = ruff_python_parser::parse_expression(&row) {
                self.sequences.insert(joined(&atoms(parsed.expr())));
                if let Expr::Dict(d) = parsed.expr() {
                    let values: Vec<String> = d.items.iter().flat_map(|i| atoms(&i.value)).collect();
                    self.sequences.insert(joined(&values));
                }
            }
        }
    }
}

pub(crate) fn joined<'a>(atoms: impl IntoIterator<Item = &'a String>) -> String {
    atoms.into_iter().map(String::as_str).collect::<Vec<_>>().join(" | ")
}

/// A number that nobody writes by chance: no small one, no round one, no power of two, nothing of clocks and protocols.
pub(crate) fn telling(atom: &str) -> bool {
    const KNOWN: [f64; 22] = [
        10.0, 12.0, 24.0, 30.0, 31.0, 36.0, 60.0, 90.0, 120.0, 127.0, 180.0, 255.0, 360.0, 365.0, 366.0, 401.0, 403.0,
        404.0, 443.0, 1440.0, 3600.0, 86400.0,
    ];
    let Some(value) = number(atom).map(f64::abs) else { return false };
    let round = value % 10.0 == 0.0 || value.log2().fract() == 0.0;
    value > 9.0 && !round && !KNOWN.contains(&value)
}
