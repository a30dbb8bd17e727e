//! Python source as the rules see it: a tree that tolerates errors, comments with their lines, canonical text of
//! expressions, and small questions about them.

use ruff_python_ast::comparable::{ComparableExpr, ComparableStmt};
use ruff_python_ast::token::TokenKind;
use ruff_python_ast::{self as ast, Expr, PySourceType, Stmt, UnaryOp};
use ruff_python_parser::{Parsed, parse_unchecked_source};
use ruff_text_size::{Ranged, TextSize};
use std::collections::{BTreeSet, HashMap};

/// A parsed file. The tree is best-effort where `ok` is false.
pub(crate) struct Py {
    pub(crate) text: String,
    pub(crate) parsed: Parsed<ast::ModModule>,
    pub(crate) ok: bool,
    body: Vec<Stmt>,
    names: super::aliases::Names,
    /// Statements of the module that the other version has too, letter by letter.
    same: BTreeSet<TextSize>,
    starts: Vec<usize>,
}

/// A comment: its 1-based line, its text with the `#`, and the code that stands before it on the line.
#[derive(Debug, Clone)]
pub(crate) struct Comment {
    pub(crate) line: u32,
    pub(crate) text: String,
    pub(crate) code: String,
}

impl Py {
    pub(crate) fn parse(bytes: &[u8], stub: bool) -> Py {
        let text = String::from_utf8_lossy(bytes).trim_start_matches('\u{feff}').to_string();
        let kind = if stub { PySourceType::Stub } else { PySourceType::Python };
        let parsed = parse_unchecked_source(&text, kind);
        let ok = parsed.errors().is_empty();
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let (body, names) = super::aliases::resolved(&parsed.syntax().body);
        Py { body, names, same: BTreeSet::new(), text, parsed, ok, starts }
    }

    /// Notes for both versions of a file which statements they share. What names stand for must be the same, too.
    pub(crate) fn compare(before: &mut Py, after: &mut Py) {
        if before.names != after.names {
            return;
        }
        let mut free: HashMap<&str, Vec<TextSize>> = HashMap::new();
        for stmt in &before.body {
            free.entry(before.slice(stmt)).or_default().push(stmt.start());
        }
        let (mut was, mut is) = (BTreeSet::new(), BTreeSet::new());
        for stmt in &after.body {
            if let Some(old) = free.get_mut(after.slice(stmt)).and_then(Vec::pop) {
                was.insert(old);
                is.insert(stmt.start());
            }
        }
        (before.same, after.same) = (was, is);
    }

    /// The statements of the module that the other version has not, or has otherwise.
    pub(crate) fn changed(&self) -> impl Iterator<Item = &Stmt> {
        self.body.iter().filter(|stmt| !self.shares(stmt))
    }

    /// Has the other version this statement of the module, too?
    pub(crate) fn shares(&self, stmt: &Stmt) -> bool {
        self.same.contains(&stmt.start())
    }

    pub(crate) fn body(&self) -> &[Stmt] {
        &self.body
    }

    pub(crate) fn line_at(&self, offset: TextSize) -> u32 {
        let offset = offset.to_usize();
        u32::try_from(self.starts.partition_point(|start| *start <= offset)).unwrap_or(u32::MAX)
    }

    pub(crate) fn line_of(&self, node: &impl Ranged) -> u32 {
        self.line_at(node.start())
    }

    pub(crate) fn slice(&self, node: &impl Ranged) -> &str {
        self.text.get(node.start().to_usize()..node.end().to_usize()).unwrap_or("")
    }

    /// The line of the first syntax error.
    pub(crate) fn error_line(&self) -> Option<u32> {
        self.parsed.errors().iter().map(|e| self.line_at(e.location.start())).min()
    }

    pub(crate) fn comments(&self) -> Vec<Comment> {
        let tokens = self.parsed.tokens();
        let mut found = Vec::new();
        for token in tokens.iter().filter(|t| t.kind() == TokenKind::Comment) {
            let line = self.line_at(token.start());
            let start = self.starts.get(line as usize - 1).copied().unwrap_or(0);
            let code = self.text.get(start..token.start().to_usize()).unwrap_or("").trim().to_string();
            found.push(Comment { line, text: self.slice(token).to_string(), code });
        }
        found
    }
}

/// A statement without its layout.
pub(crate) fn stmt_key(stmt: &Stmt) -> String {
    format!("{:?}", ComparableStmt::from(stmt))
}

/// An expression without its layout, as it is spelled.
pub(crate) fn expr_key(expr: &Expr) -> String {
    format!("{:?}", ComparableExpr::from(expr))
}

/// `a.b.c` of a name or attribute chain; calls and subscripts in the chain are looked through.
pub(crate) fn dotted(expr: &Expr) -> String {
    match expr {
        Expr::Name(name) => name.id.to_string(),
        Expr::Attribute(attribute) => {
            let base = dotted(&attribute.value);
            if base.is_empty() { attribute.attr.to_string() } else { format!("{base}.{}", attribute.attr) }
        }
        Expr::Call(call) => dotted(&call.func),
        Expr::Subscript(subscript) => dotted(&subscript.value),
        Expr::Await(awaited) => dotted(&awaited.value),
        _ => String::new(),
    }
}

/// Is a name among these words?
pub(crate) fn among(words: &str, name: &str) -> bool {
    words.split_whitespace().any(|word| word == name)
}

/// The last part of a dotted name.
pub(crate) fn last(dotted: &str) -> &str {
    dotted.rsplit('.').next().unwrap_or(dotted)
}

/// Is it a literal, or a container of literals?
pub(crate) fn is_literal(expr: &Expr) -> bool {
    match expr {
        Expr::List(e) => e.elts.iter().all(is_literal),
        Expr::Tuple(e) => e.elts.iter().all(is_literal),
        Expr::Set(e) => e.elts.iter().all(is_literal),
        Expr::Dict(e) => e.items.iter().all(|i| i.key.as_ref().is_some_and(is_literal) && is_literal(&i.value)),
        Expr::UnaryOp(e) => matches!(e.op, UnaryOp::USub | UnaryOp::UAdd) && is_literal(&e.operand),
        _ => expr.is_literal_expr(),
    }
}

pub(crate) fn string_value(expr: &Expr) -> Option<String> {
    match expr {
        Expr::StringLiteral(s) => Some(s.value.to_str().to_string()),
        _ => None,
    }
}

pub(crate) fn number(text: &str) -> Option<f64> {
    text.replace('_', "").parse().ok()
}

fn list(items: &[Expr]) -> String {
    items.iter().map(canon).collect::<Vec<_>>().join(", ")
}

/// Canonical text: layout, quotes, redundant parentheses and a few equivalent spellings are gone.
pub(crate) fn canon(expr: &Expr) -> String {
    if let Some(text) = super::folding::literal(expr) {
        return text;
    }
    match expr {
        Expr::Name(e) => e.id.to_string(),
        Expr::Attribute(e) => format!("{}.{}", canon(&e.value), e.attr),
        Expr::StringLiteral(e) => format!("{:?}", e.value.to_str()),
        Expr::BytesLiteral(_) => format!("{:?}", ComparableExpr::from(expr)),
        Expr::NumberLiteral(e) => match &e.value {
            ast::Number::Int(i) => i.to_string(),
            ast::Number::Float(f) => format!("{f:?}"),
            ast::Number::Complex { real, imag } => format!("({real:?}+{imag:?}j)"),
        },
        Expr::BooleanLiteral(e) => if e.value { "True" } else { "False" }.to_string(),
        Expr::NoneLiteral(_) => "None".to_string(),
        Expr::EllipsisLiteral(_) => "...".to_string(),
        Expr::List(e) => format!("[{}]", list(&e.elts)),
        Expr::Tuple(e) => format!("({},)", list(&e.elts)),
        Expr::Set(e) => format!("{{{}}}", list(&e.elts)),
        Expr::Dict(e) => {
            let items = e.items.iter().map(|i| match &i.key {
                Some(key) => format!("{}: {}", canon(key), canon(&i.value)),
                None => format!("**{}", canon(&i.value)),
            });
            format!("{{{}}}", items.collect::<Vec<_>>().join(", "))
        }
        Expr::UnaryOp(e) => {
            let op = match e.op {
                UnaryOp::Not => "not ",
                UnaryOp::USub => "-",
                UnaryOp::UAdd => "+",
                UnaryOp::Invert => "~",
            };
            format!("{op}{}", canon(&e.operand))
        }
        Expr::BinOp(e) => format!("({} {:?} {})", canon(&e.left), e.op, canon(&e.right)),
        Expr::BoolOp(e) => {
            let op = if matches!(e.op, ast::BoolOp::And) { " and " } else { " or " };
            format!("({})", e.values.iter().map(canon).collect::<Vec<_>>().join(op))
        }
        Expr::Compare(e) => {
            let mut text = canon(&e.left);
            for (op, right) in e.ops.iter().zip(e.comparators.iter()) {
                text = format!("{text} {} {}", op.as_str(), canon(right));
            }
            format!("({text})")
        }
        // A copy by a comprehension is a list.
        Expr::ListComp(e) if is_copy(e) => format!("list({})", canon(&e.generators[0].iter)),
        Expr::Call(e) => canon_call(e),
        Expr::Subscript(e) => format!("{}[{}]", canon(&e.value), canon(&e.slice)),
        Expr::Starred(e) => format!("*{}", canon(&e.value)),
        Expr::Await(e) => format!("await {}", canon(&e.value)),
        Expr::If(e) => format!("({} if {} else {})", canon(&e.body), canon(&e.test), canon(&e.orelse)),
        _ => format!("{:?}", ComparableExpr::from(expr)),
    }
}

fn is_copy(comprehension: &ast::ExprListComp) -> bool {
    matches!(&*comprehension.generators, [one] if one.ifs.is_empty() && !one.is_async
        && one.target.is_name_expr() && canon(&one.target) == canon(&comprehension.elt))
}

fn canon_call(call: &ast::ExprCall) -> String {
    let func = canon(&call.func);
    let args = &call.arguments.args;
    if call.arguments.keywords.is_empty() {
        match (func.as_str(), args.len(), args.first()) {
            ("set", 1, Some(Expr::List(e))) => return format!("{{{}}}", list(&e.elts)),
            ("set", 1, Some(Expr::Tuple(e))) => return format!("{{{}}}", list(&e.elts)),
            ("list", 0, _) => return "[]".to_string(),
            ("dict", 0, _) => return "{}".to_string(),
            ("tuple", 0, _) => return "(,)".to_string(),
            // The keys of a dictionary are what it is a list of; `None` is what it gives for what it has not.
            ("list" | "sorted" | "set" | "len", 1, Some(Expr::Call(inner)))
                if matches!(&*inner.func, Expr::Attribute(a) if a.attr.as_str() == "keys")
                    && inner.arguments.is_empty() =>
            {
                let Expr::Attribute(keys) = &*inner.func else { return func };
                return format!("{func}({})", canon(&keys.value));
            }
            (get, 2, Some(first)) if get.ends_with(".get") && args[1].is_none_literal_expr() => {
                return format!("{func}({})", canon(first));
            }
            _ => {}
        }
    }
    let mut parts: Vec<String> = args.iter().map(canon).collect();
    let mut keywords: Vec<String> = (call.arguments.keywords.iter())
        .map(|k| match &k.arg {
            Some(name) => format!("{name}={}", canon(&k.value)),
            None => format!("**{}", canon(&k.value)),
        })
        .collect();
    keywords.sort();
    if func == "dict" && parts.is_empty() && !keywords.iter().any(|k| k.starts_with("**")) {
        let items =
            call.arguments.keywords.iter().map(|k| {
                format!("{:?}: {}", k.arg.as_ref().map_or(String::new(), ToString::to_string), canon(&k.value))
            });
        return format!("{{{}}}", items.collect::<Vec<_>>().join(", "));
    }
    parts.append(&mut keywords);
    format!("{func}({})", parts.join(", "))
}

/// The suites directly inside a statement, function and class bodies included.
pub(crate) fn suites(stmt: &Stmt) -> Vec<&[Stmt]> {
    match stmt {
        Stmt::FunctionDef(s) => vec![&s.body],
        Stmt::ClassDef(s) => vec![&s.body],
        Stmt::For(s) => vec![&s.body, &s.orelse],
        Stmt::While(s) => vec![&s.body, &s.orelse],
        Stmt::If(s) => {
            let mut all: Vec<&[Stmt]> = vec![&s.body];
            all.extend(s.elif_else_clauses.iter().map(|c| &c.body[..]));
            all
        }
        Stmt::With(s) => vec![&s.body],
        Stmt::Match(s) => s.cases.iter().map(|c| &c.body[..]).collect(),
        Stmt::Try(s) => {
            let mut all: Vec<&[Stmt]> = vec![&s.body];
            all.extend(s.handlers.iter().map(|ast::ExceptHandler::ExceptHandler(h)| &h.body[..]));
            all.push(&s.orelse);
            all.push(&s.finalbody);
            all
        }
        _ => Vec::new(),
    }
}

/// Does the call make Python ignore warnings?
pub(crate) fn ignores_warnings(call: &ast::ExprCall) -> bool {
    matches!(dotted(&call.func).as_str(), "warnings.filterwarnings" | "warnings.simplefilter")
        && call.arguments.args.first().and_then(string_value).as_deref() == Some("ignore")
}

/// What an import binds: the name, and what it stands for in full, with the dots of a relative one.
pub(crate) fn imported(stmt: &Stmt) -> Vec<(String, String)> {
    let pairs = |names: &[ast::Alias], prefix: &str| {
        let named =
            names.iter().map(|a| (a.asname.as_ref().unwrap_or(&a.name).to_string(), format!("{prefix}{}", a.name)));
        named.collect()
    };
    match stmt {
        Stmt::Import(s) => pairs(&s.names, ""),
        Stmt::ImportFrom(s) => {
            let module = s.module.as_ref().map_or("", |m| m.as_str());
            pairs(&s.names, &format!("{}{module}.", ".".repeat(s.level as usize)))
        }
        _ => Vec::new(),
    }
}

/// Is the statement nothing but a string, as docstrings are?
pub(crate) fn is_string_stmt(stmt: &Stmt) -> bool {
    matches!(stmt, Stmt::Expr(e) if e.value.is_string_literal_expr())
}

/// The body without its docstring.
pub(crate) fn without_docstring(body: &[Stmt]) -> &[Stmt] {
    match body.split_first() {
        Some((first, rest)) if is_string_stmt(first) => rest,
        _ => body,
    }
}

/// The docstring's value and the offset of its literal.
pub(crate) fn docstring(body: &[Stmt]) -> Option<(String, TextSize)> {
    match body.first() {
        Some(Stmt::Expr(e)) => string_value(&e.value).map(|text| (text, e.start())),
        _ => None,
    }
}

/// Every statement that the other version of the file has not, and those below it.
pub(crate) fn walk_changed<'a>(py: &'a Py, visit: &mut dyn FnMut(&'a Stmt) -> bool) {
    py.changed().for_each(|stmt| walk(std::slice::from_ref(stmt), visit));
}

/// Every statement below `body`, outer ones first, with whatever `enter` lets it descend into.
pub(crate) fn walk<'a>(body: &'a [Stmt], visit: &mut dyn FnMut(&'a Stmt) -> bool) {
    for stmt in body {
        if visit(stmt) {
            for suite in suites(stmt) {
                walk(suite, visit);
            }
        }
    }
}

struct Exprs<'v, 'a> {
    visit: &'v mut dyn FnMut(&'a Expr) -> bool,
    annotations: bool,
}

impl<'a> ast::visitor::Visitor<'a> for Exprs<'_, 'a> {
    fn visit_expr(&mut self, expr: &'a Expr) {
        if (self.visit)(expr) {
            ast::visitor::walk_expr(self, expr);
        }
    }

    fn visit_annotation(&mut self, expr: &'a Expr) {
        if self.annotations {
            self.visit_expr(expr);
        }
    }
}

/// Every expression of a statement and of what stands below it, annotations left out.
pub(crate) fn exprs<'a>(stmt: &'a Stmt, visit: &mut dyn FnMut(&'a Expr) -> bool) {
    use ast::visitor::Visitor;
    Exprs { visit, annotations: false }.visit_stmt(stmt);
}

/// Every expression below an expression, itself first.
pub(crate) fn exprs_in<'a>(expr: &'a Expr, visit: &mut dyn FnMut(&'a Expr) -> bool) {
    use ast::visitor::Visitor;
    Exprs { visit, annotations: false }.visit_expr(expr);
}

/// The literal atoms of an expression in order, as canonical text; names are left out.
pub(crate) fn atoms(expr: &Expr) -> Vec<String> {
    let mut found = Vec::new();
    exprs_in(expr, &mut |e| {
        if e.is_literal_expr() {
            found.push(canon(e));
            return false;
        }
        if let Expr::UnaryOp(u) = e
            && matches!(u.op, UnaryOp::USub)
            && u.operand.is_number_literal_expr()
        {
            found.push(canon(e));
            return false;
        }
        true
    });
    found
}
