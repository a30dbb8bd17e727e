//! Mutants: small ways to break a function, made on its syntax tree.
//!
//! Docstrings, type hints, decorators, defaults and what is only logged are left alone: no test needs to see them. Each
//! mutant comes with a respelling that means the same, so that a test which reads the source instead of running it
//! gives itself away.

use ruff_python_ast::{
    self as ast, BoolOp, Expr, Operator, Stmt, UnaryOp,
    visitor::{Visitor, walk_elif_else_clause, walk_expr, walk_stmt},
};
use ruff_python_parser::parse_module;
use ruff_text_size::Ranged;

/// What a mutant does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Compare,
    Arithmetic,
    Constant,
    Negation,
    Logic,
    Return,
    Effect,
    Raise,
}

/// One way to break one function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mutant {
    /// Repository-relative.
    pub(super) file: String,
    /// `total`, `Cart.add`.
    pub(super) function: String,
    pub(super) kind: Kind,
    /// The line of the statement, 1-based: what coverage counts.
    pub(super) line: u32,
    /// In bytes.
    start: usize,
    end: usize,
    broken: String,
    respelled: String,
}

impl Mutant {
    /// The text with this mutant in it; `None` where that is no Python.
    pub(super) fn applied(&self, text: &str) -> Option<String> {
        let mutated = replaced(text, &[(self.start, self.end, &self.broken)])?;
        parse_module(&mutated).ok().map(|_| mutated)
    }

    /// The bytes of the text that it breaks.
    pub(super) fn span(&self) -> std::ops::Range<usize> {
        self.start..self.end
    }

    fn is_statement(&self) -> bool {
        matches!(self.kind, Kind::Effect | Kind::Raise)
    }

    /// `shop.py:3 in total: x < 1 → x >= 1`
    pub(super) fn describe(&self, text: &str) -> String {
        let folded = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(60).collect();
        let was: String = folded(text.get(self.start..self.end).unwrap_or_default());
        let is: String = folded(&self.broken);
        format!("{}:{} in {}: `{was}` → `{is}`", self.file, self.line, self.function)
    }
}

/// The text respelled wherever a mutant could be, with the same meaning; `None` where there is nothing to respell.
pub(super) fn respelled(text: &str, mutants: &[Mutant]) -> Option<String> {
    let outer = outermost(mutants.iter().collect());
    let edits: Vec<(usize, usize, &str)> = outer.into_iter().map(|m| (m.start, m.end, m.respelled.as_str())).collect();
    let respelled = replaced(text, &edits).filter(|_| !edits.is_empty())?;
    parse_module(&respelled).ok().map(|_| respelled)
}

/// The text in which every line that a mutant could break evaluates `mark` of the mutant's number when it runs, and means
/// the same besides; `None` where that is no Python.
pub(super) fn marked(text: &str, mutants: &[(usize, &Mutant)], mark: impl Fn(usize) -> String) -> Option<String> {
    let outer = outermost(mutants.iter().map(|(_, mutant)| *mutant).collect());
    let numbered = outer.into_iter().filter_map(|m| mutants.iter().find(|(_, other)| std::ptr::eq(*other, m)));
    let marks: Vec<(&Mutant, String)> = numbered
        .filter_map(|(index, mutant)| {
            let (old, mark) = (text.get(mutant.start..mutant.end)?, mark(*index));
            let statement = format!("{mark}; {old}");
            Some((*mutant, if mutant.is_statement() { statement } else { format!("({mark}, ({old}))[1]") }))
        })
        .collect();
    let edits: Vec<(usize, usize, &str)> = marks.iter().map(|(m, new)| (m.start, m.end, new.as_str())).collect();
    let marked = replaced(text, &edits)?;
    parse_module(&marked).ok().map(|_| marked)
}

/// Those that lie in no other, in the order of the text.
fn outermost(mut mutants: Vec<&Mutant>) -> Vec<&Mutant> {
    mutants.sort_by_key(|m| (m.start, std::cmp::Reverse(m.end)));
    let mut end = 0;
    mutants.retain(|mutant| {
        let outer = mutant.start >= end;
        end = end.max(mutant.end);
        outer
    });
    mutants
}

/// The edits are in order and do not overlap.
fn replaced(text: &str, edits: &[(usize, usize, &str)]) -> Option<String> {
    let mut result = String::with_capacity(text.len() + 64);
    let mut at = 0;
    for (start, end, new) in edits {
        result.push_str(text.get(at..*start)?);
        result.push_str(new);
        at = *end;
    }
    result.push_str(text.get(at..)?);
    Some(result)
}

/// All mutants of a file's functions, in the order of the text; none where it is no Python.
pub(super) fn mutants(file: &str, text: &str) -> Vec<Mutant> {
    let Ok(parsed) = parse_module(text) else { return Vec::new() };
    let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
    let mut maker = Maker { file, text, starts, names: Vec::new(), inside: false, line: 0, found: Vec::new() };
    maker.visit_body(&parsed.syntax().body);
    let mut found = maker.found;
    found.sort_by_key(|m| (m.start, m.end, m.kind));
    found
}

struct Maker<'t> {
    file: &'t str,
    text: &'t str,
    starts: Vec<usize>,
    /// The classes and functions around.
    names: Vec<&'t str>,
    /// Within a function's body?
    inside: bool,
    line: u32,
    found: Vec<Mutant>,
}

impl<'t> Maker<'t> {
    fn slice(&self, node: &impl Ranged) -> &'t str {
        self.text.get(node.start().to_usize()..node.end().to_usize()).unwrap_or_default()
    }

    fn line_of(&self, node: &impl Ranged) -> u32 {
        let offset = node.start().to_usize();
        u32::try_from(self.starts.partition_point(|start| *start <= offset)).unwrap_or(u32::MAX)
    }

    fn push(&mut self, kind: Kind, node: &impl Ranged, broken: String, respelled: String) {
        self.found.push(Mutant {
            file: self.file.to_owned(),
            function: self.names.join("."),
            kind,
            line: self.line,
            start: node.start().to_usize(),
            end: node.end().to_usize(),
            broken,
            respelled,
        });
    }

    fn expression(&mut self, kind: Kind, expr: &Expr, broken: String) {
        let respelled = format!("({})", self.slice(expr));
        self.push(kind, expr, broken, respelled);
    }

    fn statement(&mut self, kind: Kind, stmt: &Stmt) {
        // Unreachable, or nothing: the same either way.
        let respelled = format!("{}; pass", self.slice(stmt));
        self.push(kind, stmt, "pass".to_owned(), respelled);
    }

    fn body(&mut self, name: &'t str, body: &'t [Stmt], function: bool) {
        let (line, inside) = (self.line, self.inside);
        self.names.push(name);
        self.inside = function;
        self.visit_body(body);
        self.names.pop();
        (self.line, self.inside) = (line, inside);
    }
}

impl<'t> Visitor<'t> for Maker<'t> {
    fn visit_stmt(&mut self, stmt: &'t Stmt) {
        self.line = self.line_of(stmt);
        match stmt {
            // Decorators, defaults and hints are not the body's.
            Stmt::FunctionDef(f) => return self.body(self.slice(&f.name), &f.body, true),
            Stmt::ClassDef(c) => return self.body(self.slice(&c.name), &c.body, false),
            _ if !self.inside => return walk_stmt(self, stmt),
            Stmt::Assert(_) => return,
            Stmt::Raise(_) => return self.statement(Kind::Raise, stmt),
            Stmt::Expr(s) => {
                let value = match &*s.value {
                    Expr::Await(awaited) => &*awaited.value,
                    other => other,
                };
                if let Expr::Call(call) = value {
                    if only_tells(&call.func) {
                        return;
                    }
                    self.statement(Kind::Effect, stmt);
                }
            }
            Stmt::AugAssign(_) => self.statement(Kind::Effect, stmt),
            Stmt::Return(s) => {
                if let Some(value) = s.value.as_deref()
                    && !value.is_none_literal_expr()
                    && !value.is_boolean_literal_expr()
                {
                    self.expression(Kind::Return, value, "None".to_owned());
                }
            }
            Stmt::If(s) => self.condition(&s.test),
            _ => {}
        }
        walk_stmt(self, stmt);
    }

    fn visit_elif_else_clause(&mut self, clause: &'t ast::ElifElseClause) {
        self.line = self.line_of(clause);
        if let Some(test) = clause.test.as_ref().filter(|_| self.inside) {
            self.condition(test);
        }
        walk_elif_else_clause(self, clause);
    }

    fn visit_annotation(&mut self, _: &'t Expr) {}

    fn visit_pattern(&mut self, _: &'t ast::Pattern) {}

    fn visit_parameters(&mut self, _: &'t ast::Parameters) {}

    fn visit_expr(&mut self, expr: &'t Expr) {
        if !self.inside {
            return;
        }
        match expr {
            // What a string is made of can't be edited everywhere, and is most often only told.
            Expr::FString(_) | Expr::TString(_) => return,
            Expr::Call(call) if only_tells(&call.func) => return,
            Expr::Compare(compare) => {
                if let (Some(op), Some(right)) = (compare.ops.first(), compare.comparators.first()) {
                    let mut broken =
                        format!("(({}) {} ({})", self.slice(&*compare.left), op.negate().as_str(), self.slice(right));
                    for (op, right) in compare.ops.iter().zip(&compare.comparators).skip(1) {
                        broken += &format!(" {} ({})", op.as_str(), self.slice(right));
                    }
                    self.expression(Kind::Compare, expr, broken + ")");
                }
            }
            Expr::BinOp(binary) => {
                let text = |e: &Expr| e.is_string_literal_expr() || e.is_f_string_expr() || e.is_bytes_literal_expr();
                if let Some(op) = swapped(binary.op).filter(|_| !text(&binary.left) && !text(&binary.right)) {
                    let broken = format!("(({}) {op} ({}))", self.slice(&*binary.left), self.slice(&*binary.right));
                    self.expression(Kind::Arithmetic, expr, broken);
                }
            }
            Expr::BoolOp(logic) => {
                let op = if logic.op == BoolOp::And { "or" } else { "and" };
                let values: Vec<String> = logic.values.iter().map(|v| format!("({})", self.slice(v))).collect();
                self.expression(Kind::Logic, expr, format!("({})", values.join(&format!(" {op} "))));
            }
            Expr::UnaryOp(unary) if unary.op == UnaryOp::Not => {
                self.expression(Kind::Negation, expr, format!("bool({})", self.slice(&*unary.operand)));
            }
            Expr::If(choice) => self.condition(&choice.test),
            Expr::NumberLiteral(_) => self.expression(Kind::Constant, expr, format!("({} + 1)", self.slice(expr))),
            Expr::BooleanLiteral(literal) => {
                let broken = if literal.value { "False" } else { "True" };
                self.expression(Kind::Constant, expr, broken.to_owned());
            }
            _ => {}
        }
        walk_expr(self, expr);
    }
}

impl Maker<'_> {
    /// A condition that no other mutant turns round.
    fn condition(&mut self, test: &Expr) {
        let turned = match test {
            Expr::Compare(_) | Expr::BooleanLiteral(_) => true,
            Expr::UnaryOp(unary) => unary.op == UnaryOp::Not,
            _ => false,
        };
        if !turned {
            self.expression(Kind::Negation, test, format!("(not ({}))", self.slice(test)));
        }
    }
}

/// Does a call of this only tell a person something?
fn only_tells(called: &Expr) -> bool {
    match called {
        Expr::Name(name) => matches!(name.id.as_str(), "print" | "warn"),
        Expr::Attribute(attribute) => {
            let told = ["debug", "info", "warning", "warn", "error", "exception", "critical", "log"];
            let by = match &*attribute.value {
                Expr::Name(name) => name.id.to_ascii_lowercase(),
                Expr::Attribute(inner) => inner.attr.to_ascii_lowercase(),
                _ => return false,
            };
            told.contains(&attribute.attr.as_str()) && (by.contains("log") || by == "warnings")
        }
        _ => false,
    }
}

fn swapped(op: Operator) -> Option<&'static str> {
    Some(match op {
        Operator::Add => "-",
        Operator::Sub => "+",
        Operator::Mult => "/",
        Operator::Div | Operator::FloorDiv | Operator::Mod | Operator::Pow => "*",
        Operator::LShift => ">>",
        Operator::RShift => "<<",
        Operator::BitAnd => "|",
        Operator::BitOr | Operator::BitXor => "&",
        Operator::MatMult => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use ruff_python_ast::comparable::ComparableStmt;

    /// The lines that differ in each mutant, behind its kind.
    fn broken(text: &str) -> Vec<(Kind, String)> {
        let line = |mutated: &str| {
            let mut differing = mutated.lines().zip(text.lines()).filter(|(a, b)| a != b);
            differing.next().map(|(line, _)| line.trim().to_owned()).unwrap_or_default()
        };
        mutants("a.py", text).iter().map(|m| (m.kind, line(&m.applied(text).unwrap()))).collect()
    }

    #[track_caller]
    fn only(statement: &str, expected: &[(Kind, &str)]) {
        let found = broken(&format!("def f(a, b):\n    {statement}\n"));
        let expected: Vec<(Kind, String)> = expected.iter().map(|(k, t)| (*k, (*t).to_owned())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn every_line_that_could_be_broken_is_marked_and_means_the_same() {
        let text = "def f(a):\n    if a < 1:\n        a.go(1)\n    return a + 1\n";
        let made = mutants("a.py", text);
        let numbered: Vec<(usize, &Mutant)> = made.iter().enumerate().collect();
        let marked = marked(text, &numbered, |_| "m()".to_owned()).unwrap();
        let expected = "def f(a):\n    if (m(), (a < 1))[1]:\n        m(); a.go(1)\n    return (m(), (a + 1))[1]\n";
        assert_eq!(marked, expected);
    }

    #[test]
    fn every_kind_of_break_is_made() {
        only("x = a < b", &[(Kind::Compare, "x = ((a) >= (b))")]);
        only("x = a + b", &[(Kind::Arithmetic, "x = ((a) - (b))")]);
        only("x = 3", &[(Kind::Constant, "x = (3 + 1)")]);
        only("x = True", &[(Kind::Constant, "x = False")]);
        only("x = not a", &[(Kind::Negation, "x = bool(a)")]);
        only("x = a and b", &[(Kind::Logic, "x = ((a) or (b))")]);
        only("return a", &[(Kind::Return, "return None")]);
        only("a.add(b)", &[(Kind::Effect, "pass")]);
        only("a += b", &[(Kind::Effect, "pass")]);
        only("raise ValueError(1)", &[(Kind::Raise, "pass")]);
        only("if a: pass", &[(Kind::Negation, "if (not (a)): pass")]);
    }

    #[test]
    fn what_no_test_needs_to_see_is_left_alone() {
        for statement in [
            "\"\"\"Adds 1 + 1.\"\"\"",
            "x: Literal[1] = a",
            "logger.info(\"%d\", a + 1)",
            "self.log.debug(a + 1)",
            "print(a + 1)",
            "warnings.warn(\"x\", stacklevel=2)",
            "assert a < 1",
            "x = f\"{a + 1}\"",
            "x = \"%s\" % a",
            "return None",
        ] {
            only(statement, &[]);
        }
        assert!(mutants("a.py", "LIMIT = 1 + 2\n\n\n@retry(3)\ndef f(a=4) -> Literal[5]:\n    pass\n").is_empty());
    }

    #[test]
    fn a_mutant_knows_its_function_and_the_line_that_coverage_counts() {
        let text = "class Cart:\n    def add(self, a):\n        return (\n            a\n            + 1\n        )\n";
        let found = mutants("a.py", text);
        assert!(found.iter().all(|m| m.function == "Cart.add" && m.line == 3), "{found:?}");
        assert!(found.iter().any(|m| m.describe(text) == "a.py:3 in Cart.add: `1` → `(1 + 1)`"), "{found:?}");
        let elif = "def f(a):\n    if a:\n        pass\n    elif a > 2:\n        pass\n";
        assert!(mutants("a.py", elif).iter().any(|m| m.kind == Kind::Compare && m.line == 4));
    }

    #[test]
    fn operands_keep_their_meaning_where_operators_bind_otherwise() {
        only(
            "x = (a or b) == b",
            &[(Kind::Compare, "x = ((a or b) != (b))"), (Kind::Logic, "x = (((a) and (b))) == b")],
        );
    }

    const SAMPLE: &str = "class Cart:\n    def add(self, item, count=1):\n        \"\"\"Adds 1.\"\"\"\n        if not item or count < 0:\n            raise ValueError(\"bad\")\n        self.items.append(item); self.count += count * 2\n        return self.count if self.open else None\n\n\nasync def go(x):\n    await x.run(1)\n    for y in range(3):\n        yield lambda z: z % 2 == 0\n    return\n";

    fn tree(text: &str) -> Vec<String> {
        let parsed = parse_module(text).unwrap();
        let body = parsed.syntax().body.iter().map(|s| format!("{:?}", ComparableStmt::from(s)));
        // An added `pass` means nothing.
        body.map(|s| s.replace(", Pass", "")).collect()
    }

    #[test]
    fn a_respelled_file_means_the_same() {
        let found = mutants("a.py", SAMPLE);
        let respelled = respelled(SAMPLE, &found).unwrap();
        assert_ne!(respelled, SAMPLE);
        assert_eq!(tree(&respelled), tree(SAMPLE));
        assert_eq!(super::respelled("x = 1\n", &[]), None);
    }

    #[test]
    fn every_mutant_of_a_whole_file_is_python_and_means_something_else() {
        let found = mutants("a.py", SAMPLE);
        assert!(found.len() > 15, "{found:?}");
        for mutant in &found {
            let mutated = mutant.applied(SAMPLE).unwrap_or_else(|| panic!("{mutant:?}"));
            assert_ne!(tree(&mutated), tree(SAMPLE), "{mutant:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(def f\\(a\\):\n    )?[-a-z0-9 =<>+*()\\[\\]:.,;\n\"'é#{}]{0,80}") {
            let found = mutants("a.py", &text);
            for mutant in &found {
                mutant.applied(&text);
                mutant.describe(&text);
            }
            respelled(&text, &found);
        }
    }
}
