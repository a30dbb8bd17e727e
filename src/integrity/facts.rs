//! Facts: what a test asserts, whatever the spelling. `self.assertEqual(a, 1)` and `assert a == 1` are the same fact.

use super::python::{atoms, canon, dotted, is_literal, last, stmt_key};
use ruff_python_ast::{self as ast, BoolOp, CmpOp, Expr, Stmt, UnaryOp};

/// One assertion.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fact {
    /// The whole of it; equal keys are equal facts.
    pub(crate) key: String,
    /// What is asserted about.
    pub(crate) head: String,
    /// How.
    pub(crate) op: String,
    /// What is expected.
    pub(crate) right: String,
    /// For raises: the pattern, and the statements that must raise.
    pub(crate) pattern: Option<String>,
    pub(crate) body: Vec<String>,
    /// Tolerances by name.
    pub(crate) tolerance: Vec<(String, f64)>,
    /// What it stands under: conditions, swallowing handlers, loops.
    pub(crate) guards: Vec<String>,
    /// The literals in it.
    pub(crate) atoms: Vec<String>,
    pub(crate) line: u32,
}

impl Fact {
    /// Can it hardly fail? It asks whether there is anything, of what type it is, or whether it is itself.
    pub(crate) fn is_weak(&self) -> bool {
        let asked = |name: &str| self.head.starts_with(name);
        self.head == self.right
            || matches!(self.op.as_str(), "is" | "is not") && self.right == "None"
            || matches!(self.op.as_str(), "true" | "false")
                && (asked("isinstance(") || asked("callable(") || asked("hasattr(") || !self.head.contains(['(', '.']))
            || self.op == ">=" && self.right == "0" && asked("len(")
            || self.op == "true" && self.head.contains(" or ")
            || asked("assert_called")
            || self.head.contains(".assert_called")
    }

    /// How much the way of asserting says.
    pub(crate) fn rank(&self) -> u8 {
        match self.op.as_str() {
            "==" | "is" | "!= raises" => 6,
            "count-equal" => 5,
            "~=" => 4,
            "in" => 3,
            "<" | "<=" | ">" | ">=" => 2,
            "is not" if self.right != "None" => 2,
            _ => 1,
        }
    }
}

/// Collects the facts of a body.
pub(crate) struct Facts<'a> {
    line: &'a dyn Fn(&Stmt) -> u32,
    pub(crate) found: Vec<Fact>,
    guards: Vec<String>,
}

const OPAQUE: [&str; 6] = ["assert", "_assert", "check_", "verify", "expect", "should"];

/// Does a call by this name assert something?
pub(crate) fn is_asserting(dotted_name: &str) -> bool {
    let name = last(dotted_name);
    OPAQUE.iter().any(|p| name.starts_with(p)) || matches!(dotted_name, "pytest.fail" | "self.fail")
}

pub(crate) fn is_raises(name: &str) -> bool {
    matches!(
        last(name),
        "raises" | "assertRaises" | "assertRaisesRegex" | "assertRaisesRegexp" | "warns" | "assertWarns"
    ) || matches!(last(name), "assertWarnsRegex" | "deprecated_call" | "assertLogs" | "assertNoLogs" | "RaisesGroup")
        || matches!(last(name), "raises_regex" | "assert_raises" | "assertNumQueries")
}

/// Is it a context manager or call that swallows what is raised below it?
pub(crate) fn is_swallowing(name: &str) -> bool {
    matches!(last(name), "suppress" | "ignore_exceptions" | "ignored" | "silence")
}

fn swallows_somewhere(expr: &Expr) -> bool {
    let mut found = false;
    super::python::exprs_in(expr, &mut |e| {
        found |= e.is_call_expr() && is_swallowing(&dotted(e));
        !found
    });
    found
}

fn is_true(expr: &Expr) -> bool {
    match expr {
        Expr::BooleanLiteral(b) => b.value,
        Expr::StringLiteral(s) => !s.value.is_empty(),
        Expr::NumberLiteral(_) => !matches!(super::python::canon(expr).as_str(), "0" | "0.0"),
        Expr::Tuple(t) => !t.elts.is_empty(),
        Expr::Lambda(_) | Expr::EllipsisLiteral(_) => true,
        Expr::Compare(c) => {
            c.comparators.len() == 1
                && matches!(c.ops[0], CmpOp::Eq | CmpOp::Is)
                && canon(&c.left) == canon(&c.comparators[0])
                && (is_literal(&c.left))
        }
        Expr::UnaryOp(u) if u.op == UnaryOp::Not => matches!(&*u.operand, Expr::BooleanLiteral(b) if !b.value),
        _ => false,
    }
}

fn negated(op: CmpOp) -> CmpOp {
    op.negate()
}

impl<'a> Facts<'a> {
    pub(crate) fn of(body: &[Stmt], line: &'a dyn Fn(&Stmt) -> u32) -> Vec<Fact> {
        let mut facts = Facts { line, found: Vec::new(), guards: Vec::new() };
        facts.suite(body);
        facts.found
    }

    fn push(&mut self, stmt: &Stmt, head: String, op: &str, right: String) -> Option<&mut Fact> {
        let key = format!("{head} {op} {right}");
        let line = (self.line)(stmt);
        self.found.push(Fact {
            key,
            head,
            op: op.to_string(),
            right,
            pattern: None,
            body: Vec::new(),
            tolerance: Vec::new(),
            guards: self.guards.clone(),
            atoms: Vec::new(),
            line,
        });
        self.found.last_mut()
    }

    fn compare(&mut self, stmt: &Stmt, left: &Expr, op: CmpOp, right: &Expr) {
        let (mut left, mut op, mut right) = (left, op, right);
        if is_literal(left) && !is_literal(right) && !matches!(op, CmpOp::In | CmpOp::NotIn) {
            std::mem::swap(&mut left, &mut right);
            op = match op {
                CmpOp::Lt => CmpOp::Gt,
                CmpOp::LtE => CmpOp::GtE,
                CmpOp::Gt => CmpOp::Lt,
                CmpOp::GtE => CmpOp::LtE,
                other => other,
            };
        }
        let right_text = canon(right);
        if matches!(op, CmpOp::Eq | CmpOp::NotEq) {
            let is_eq = op == CmpOp::Eq;
            if right_text == "None" {
                op = if is_eq { CmpOp::Is } else { CmpOp::IsNot };
            } else if let Expr::BooleanLiteral(b) = right {
                self.truth(stmt, left, b.value == is_eq);
                return;
            } else if canon(left).starts_with("type(") && !is_literal(right) {
                op = if is_eq { CmpOp::Is } else { CmpOp::IsNot };
            }
        }
        let atoms: Vec<String> = atoms(left).into_iter().chain(atoms(right)).collect();
        let mut tolerance = Vec::new();
        for side in [left, right] {
            if let Expr::Call(call) = side
                && last(&dotted(side)) == "approx"
            {
                tolerance.extend(tolerances(&call.arguments));
                if tolerance.is_empty() {
                    tolerance.push(("approx".to_string(), 1e-6));
                }
            }
        }
        if let Some(fact) = self.push(stmt, canon(left), op.as_str(), right_text) {
            fact.atoms = atoms;
            fact.tolerance = tolerance;
        }
    }

    /// Asserting that an expression is true (or false).
    fn truth(&mut self, stmt: &Stmt, expr: &Expr, wanted: bool) {
        match expr {
            Expr::UnaryOp(u) if u.op == UnaryOp::Not => self.truth(stmt, &u.operand, !wanted),
            Expr::BoolOp(b) if (b.op == BoolOp::And) == wanted => {
                for value in &b.values {
                    self.truth(stmt, value, wanted);
                }
            }
            Expr::BoolOp(b) if b.op == BoolOp::Or && wanted && b.values.iter().any(is_true) => {}
            Expr::Compare(c) if c.ops.len() == 1 => {
                let op = if wanted { c.ops[0] } else { negated(c.ops[0]) };
                if !(wanted && is_true(expr)) {
                    self.compare(stmt, &c.left, op, &c.comparators[0]);
                }
            }
            Expr::Compare(c) if wanted => {
                let mut left = &*c.left;
                for (op, right) in c.ops.iter().zip(c.comparators.iter()) {
                    self.compare(stmt, left, *op, right);
                    left = right;
                }
            }
            Expr::Call(c) if wanted && c.arguments.args.len() == 1 && dotted(&c.func) == "bool" => {
                self.truth(stmt, &c.arguments.args[0], true);
            }
            _ if wanted && is_true(expr) => {}
            Expr::BooleanLiteral(_) => {
                self.push(stmt, "fail".to_string(), "holds", format!("#{}", self.guards.len()));
            }
            _ => {
                let atoms = atoms(expr);
                if let Some(fact) = self.push(stmt, canon(expr), if wanted { "true" } else { "false" }, String::new()) {
                    fact.atoms = atoms;
                }
            }
        }
    }

    fn raises(&mut self, stmt: &Stmt, call: &ast::ExprCall, body: Option<&[Stmt]>) {
        let name = last(&dotted(&call.func)).to_string();
        let kind = match name.as_str() {
            "assertRaises" | "assertRaisesRegex" | "assertRaisesRegexp" | "raises" | "assert_raises"
            | "raises_regex" => "raises",
            "warns" | "assertWarns" | "assertWarnsRegex" | "deprecated_call" => "warns",
            other => other,
        };
        let args = &call.arguments.args;
        let keyword = |wanted: &str| {
            call.arguments
                .keywords
                .iter()
                .find(|k| k.arg.as_ref().is_some_and(|a| a.as_str() == wanted))
                .map(|k| &k.value)
        };
        let by_position = name.contains("Regex") || name.contains("regex");
        let exception = args.first().or_else(|| keyword("expected_exception")).map_or(String::new(), canon);
        let pattern = if by_position { args.get(1) } else { keyword("match") };
        let rest = if by_position { 2 } else { 1 };
        let body = match body {
            Some(body) => body.iter().map(stmt_key).collect(),
            None => vec![args.iter().skip(rest).map(canon).collect::<Vec<_>>().join(", ")],
        };
        let pattern_text = pattern.map(pattern_of);
        let all: Vec<String> = args.iter().flat_map(atoms).collect();
        let head = body.last().cloned().unwrap_or_default();
        if let Some(fact) = self.push(stmt, head, kind, exception) {
            fact.key = format!("{kind} {} {:?} {}", fact.right, pattern_text, body.join(";"));
            fact.pattern = pattern_text;
            fact.body = body;
            fact.atoms = all;
        }
    }

    fn call(&mut self, stmt: &Stmt, call: &ast::ExprCall) {
        let name = dotted(&call.func);
        let method = last(&name);
        let args = &call.arguments.args;
        let two = (args.first(), args.get(1));
        if is_raises(&name) && args.len() > 1 {
            self.raises(stmt, call, None);
            return;
        }
        let op = match method {
            "assertEqual"
            | "assertEquals"
            | "assertListEqual"
            | "assertDictEqual"
            | "assertSetEqual"
            | "assertTupleEqual"
            | "assertSequenceEqual"
            | "assertMultiLineEqual"
            | "assert_equal" => Some(CmpOp::Eq),
            "assertNotEqual" | "assertNotEquals" => Some(CmpOp::NotEq),
            "assertIs" => Some(CmpOp::Is),
            "assertIsNot" => Some(CmpOp::IsNot),
            "assertIn" => Some(CmpOp::In),
            "assertNotIn" => Some(CmpOp::NotIn),
            "assertGreater" => Some(CmpOp::Gt),
            "assertGreaterEqual" => Some(CmpOp::GtE),
            "assertLess" => Some(CmpOp::Lt),
            "assertLessEqual" => Some(CmpOp::LtE),
            _ => None,
        };
        match (op, two) {
            (Some(op), (Some(left), Some(right))) => {
                if !(op == CmpOp::Eq && is_literal(left) && canon(left) == canon(right)) {
                    self.compare(stmt, left, op, right);
                }
                return;
            }
            (None, (Some(value), _)) if matches!(method, "assertTrue" | "assert_" | "failUnless") => {
                self.truth(stmt, value, true);
                return;
            }
            (None, (Some(value), _)) if method == "assertFalse" => {
                self.truth(stmt, value, false);
                return;
            }
            (None, (Some(value), _)) if matches!(method, "assertIsNone" | "assertIsNotNone") => {
                let op = if method == "assertIsNone" { "is" } else { "is not" };
                self.push(stmt, canon(value), op, "None".to_string());
                return;
            }
            (None, (Some(value), Some(class))) if method == "assertIsInstance" => {
                self.push(stmt, format!("isinstance({}, {})", canon(value), canon(class)), "true", String::new());
                return;
            }
            (None, (Some(left), Some(right))) if method == "assertCountEqual" || method == "assertItemsEqual" => {
                self.push(stmt, canon(left), "count-equal", canon(right));
                return;
            }
            (None, (Some(left), Some(right)))
                if method.starts_with("assertAlmostEqual")
                    || method.contains("allclose")
                    || method.contains("almost") =>
            {
                let found = tolerances(&call.arguments);
                let all: Vec<String> = args.iter().flat_map(atoms).collect();
                if let Some(fact) = self.push(stmt, canon(left), "~=", canon(right)) {
                    fact.key = format!("{} {found:?}", fact.key);
                    fact.tolerance = found;
                    fact.atoms = all;
                }
                return;
            }
            _ => {}
        }
        if matches!(name.as_str(), "pytest.fail" | "self.fail") {
            self.push(stmt, "fail".to_string(), "holds", format!("#{}", self.guards.len()));
        } else if is_asserting(&name) {
            let head = args.first().map_or(String::new(), canon);
            let rest = canon(&Expr::Call(call.clone()));
            let all: Vec<String> = args.iter().flat_map(atoms).collect();
            let found = tolerances(&call.arguments);
            if let Some(fact) = self.push(stmt, format!("{name}: {head}"), "holds", rest) {
                fact.atoms = all;
                fact.tolerance = found;
            }
        }
    }

    fn guarded(&mut self, guard: Option<String>, body: &[Stmt]) {
        let depth = self.guards.len();
        self.guards.extend(guard);
        self.suite(body);
        self.guards.truncate(depth);
    }

    fn suite(&mut self, body: &[Stmt]) {
        let depth = self.guards.len();
        for stmt in body {
            match stmt {
                Stmt::Assert(s) => self.truth(stmt, &s.test, true),
                Stmt::Expr(s) => match &*s.value {
                    Expr::Call(call) => {
                        self.call(stmt, call);
                        if leaves(&dotted(&call.func)) {
                            self.guards.push("after leaving".to_string());
                        }
                    }
                    Expr::Await(awaited) => {
                        if let Expr::Call(call) = &*awaited.value {
                            self.call(stmt, call);
                        }
                    }
                    _ => {}
                },
                Stmt::Assign(s) => {
                    if let Expr::Call(call) = &*s.value
                        && is_raises(&dotted(&call.func))
                    {
                        self.call(stmt, call);
                    }
                }
                Stmt::Raise(s) if s.exc.as_ref().is_some_and(|e| last(&dotted(e)) == "AssertionError") => {
                    self.push(stmt, "fail".to_string(), "holds", format!("#{}", self.guards.len()));
                }
                Stmt::With(s) => self.with(stmt, s),
                Stmt::If(s) => {
                    let test = canon(&s.test);
                    if let Some(last) = s.body.last()
                        && s.elif_else_clauses.is_empty()
                        && (matches!(last, Stmt::Return(_) | Stmt::Continue(_) | Stmt::Break(_))
                            || matches!(last, Stmt::Expr(e) if leaves(&dotted(&e.value))))
                    {
                        self.guarded(Some(format!("if {test}")), &s.body);
                        self.guards.push(format!("unless {test}"));
                    } else {
                        self.guarded(Some(format!("if {test}")), &s.body);
                        for clause in &s.elif_else_clauses {
                            let guard =
                                clause.test.as_ref().map_or(format!("else {test}"), |t| format!("if {}", canon(t)));
                            self.guarded(Some(guard), &clause.body);
                        }
                    }
                }
                Stmt::For(s) => {
                    self.guarded(Some(format!("for {}", canon(&s.iter))), &s.body);
                    self.guarded(None, &s.orelse);
                }
                Stmt::While(s) => {
                    self.guarded(Some(format!("while {}", canon(&s.test))), &s.body);
                    self.guarded(None, &s.orelse);
                }
                Stmt::Try(s) => {
                    let swallows = s.handlers.iter().any(|ast::ExceptHandler::ExceptHandler(h)| !re_raises(&h.body));
                    let names = s.handlers.iter().map(|ast::ExceptHandler::ExceptHandler(h)| {
                        h.type_.as_ref().map_or("everything".to_string(), |t| canon(t))
                    });
                    let guard = swallows.then(|| format!("try, except {}", names.collect::<Vec<_>>().join(", ")));
                    self.guarded(guard.clone(), &s.body);
                    for ast::ExceptHandler::ExceptHandler(h) in &s.handlers {
                        self.guarded(Some("in a handler".to_string()), &h.body);
                    }
                    self.guarded(guard, &s.orelse);
                    self.guarded(None, &s.finalbody);
                }
                Stmt::Match(s) => {
                    for case in &s.cases {
                        self.guarded(Some(format!("match {}", canon(&s.subject))), &case.body);
                    }
                }
                Stmt::FunctionDef(s) => self.guarded(Some(format!("in {}", s.name)), &s.body),
                Stmt::Return(_) | Stmt::Continue(_) | Stmt::Break(_) => self.guards.push("after leaving".to_string()),
                _ => {}
            }
        }
        self.guards.truncate(depth);
    }

    fn with(&mut self, stmt: &Stmt, s: &ast::StmtWith) {
        let depth = self.guards.len();
        for item in &s.items {
            let name = dotted(&item.context_expr);
            if let Expr::Call(call) = &item.context_expr
                && is_raises(&name)
            {
                self.raises(stmt, call, Some(&s.body));
                let text = canon(&item.context_expr);
                if text.contains("AssertionError") || text.contains("Exception") && !text.contains("match") {
                    self.guards.push(format!("with {text}"));
                }
            } else if swallows_somewhere(&item.context_expr) {
                self.guards.push(format!("with {}", canon(&item.context_expr)));
            }
        }
        self.suite(&s.body);
        self.guards.truncate(depth);
    }
}

fn re_raises(body: &[Stmt]) -> bool {
    match body.last() {
        Some(Stmt::Raise(_)) => true,
        Some(Stmt::Expr(e)) => matches!(dotted(&e.value).as_str(), "pytest.fail" | "self.fail"),
        Some(Stmt::Assert(a)) => matches!(&*a.test, Expr::BooleanLiteral(b) if !b.value),
        _ => false,
    }
}

/// Does a call by this name end the test early?
pub(crate) fn leaves(name: &str) -> bool {
    matches!(name, "pytest.skip" | "pytest.xfail" | "pytest.exit" | "sys.exit" | "os._exit" | "exit" | "quit")
        || matches!(name, "self.skipTest" | "cls.skipTest" | "skip" | "unittest.skip")
}

fn tolerances(arguments: &ast::Arguments) -> Vec<(String, f64)> {
    let names = ["rel", "abs", "rel_tol", "abs_tol", "rtol", "atol", "delta", "places", "decimal", "significant"];
    (arguments.keywords.iter())
        .filter_map(|k| {
            let name = k.arg.as_ref().filter(|a| names.contains(&a.as_str()))?;
            Some((name.to_string(), super::python::number(&canon(&k.value))?))
        })
        .collect()
}

/// `re.escape("x")` and `"x"` are the same pattern.
fn pattern_of(expr: &Expr) -> String {
    match expr {
        Expr::Call(call) if dotted(&call.func) == "re.escape" => {
            call.arguments.args.first().map_or(String::new(), pattern_of)
        }
        _ => canon(expr).replace("\\\\", ""),
    }
}
