//! A Python file: its definitions with their lines, what it imports, and what a stretch of it uses.

use std::collections::BTreeSet;

use ruff_python_ast::{
    CmpOp, ExceptHandler, Expr, ExprContext, Operator, PySourceType, Stmt, UnaryOp,
    visitor::{Visitor, walk_expr, walk_stmt},
};
use ruff_python_parser::parse_unchecked_source;
use ruff_text_size::Ranged;

/// A function or a class. Lines are 1-based and inclusive.
#[derive(Debug, Clone)]
pub(super) struct Def {
    pub(super) name: String,
    /// The definition that it stands in.
    pub(super) parent: Option<usize>,
    pub(super) class: bool,
    /// With its decorators.
    pub(super) first: usize,
    /// The last line of its signature.
    pub(super) header: usize,
    pub(super) doc: Option<(usize, usize)>,
    pub(super) last: usize,
    /// Names of its bases, or of its parameters.
    pub(super) takes: Vec<String>,
    pub(super) decorators: Vec<String>,
}

/// A name that an import binds.
#[derive(Debug, Clone)]
pub(super) struct Import {
    /// The bound name; `*` for all of them.
    pub(super) name: String,
    /// Dots before the module.
    pub(super) level: u32,
    pub(super) module: String,
    /// What is taken from the module; `None` for `import module`.
    pub(super) member: Option<String>,
    pub(super) lines: (usize, usize),
    /// Does it stand at the module's top (in a `try` or an `if` too)?
    pub(super) top: bool,
}

/// What a stretch of code uses.
#[derive(Debug, Clone, Default)]
pub(super) struct Uses {
    /// `name` and `name.attribute.attribute`, in order, once each.
    pub(super) dotted: Vec<String>,
    /// Every attribute, and every special method that an operator calls.
    pub(super) attributes: BTreeSet<String>,
    /// Literal strings.
    pub(super) strings: Vec<String>,
    /// What is called with keywords, and with which.
    pub(super) keywords: Vec<(String, Vec<String>)>,
    /// What is read of `self`.
    pub(super) read: BTreeSet<String>,
    /// Attributes that are assigned, themselves or one of their items: of `self` or not, the name, and the line.
    pub(super) written: Vec<(bool, String, usize)>,
}

pub(super) struct Module {
    pub(super) path: String,
    pub(super) text: String,
    starts: Vec<usize>,
    body: Vec<Stmt>,
    pub(super) defs: Vec<Def>,
    pub(super) imports: Vec<Import>,
    /// Names that are assigned at the top, with the statement's lines.
    pub(super) constants: Vec<(String, (usize, usize))>,
    /// Names at the top that stand for others: `OMD = OrderedMultiDict`.
    pub(super) aliases: Vec<(String, String)>,
}

impl Module {
    pub(super) fn parse(path: &str, text: String) -> Module {
        let kind = if path.ends_with(".pyi") { PySourceType::Stub } else { PySourceType::Python };
        let body: Vec<Stmt> = parse_unchecked_source(&text, kind).into_syntax().body.into_iter().collect();
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let mut module = Module {
            path: path.to_owned(),
            text,
            starts,
            body: Vec::new(),
            defs: Vec::new(),
            imports: Vec::new(),
            constants: Vec::new(),
            aliases: Vec::new(),
        };
        module.collect(&body, None, true);
        module.body = body;
        module
    }

    /// The text of these lines, their line endings included.
    pub(super) fn slice(&self, (first, last): (usize, usize)) -> &str {
        let start = self.starts.get(first.saturating_sub(1)).copied().unwrap_or(self.text.len());
        let end = self.starts.get(last).copied().unwrap_or(self.text.len());
        self.text.get(start..end).unwrap_or("")
    }

    fn line(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset)
    }

    fn span(&self, node: &impl Ranged) -> (usize, usize) {
        (self.line(node.start().to_usize()), self.line(node.end().to_usize().saturating_sub(1)))
    }

    /// The innermost definition around a line.
    pub(super) fn around(&self, line: usize) -> Option<usize> {
        let around = self.defs.iter().enumerate().filter(|(_, def)| def.first <= line && line <= def.last);
        around.max_by_key(|(_, def)| (def.first, std::cmp::Reverse(def.last))).map(|(at, _)| at)
    }

    /// A definition by its dotted name.
    pub(super) fn find(&self, dotted: &str) -> Option<usize> {
        let mut parent = None;
        for part in dotted.split('.') {
            let found = self.defs.iter().rposition(|def| def.parent == parent && def.name == part)?;
            parent = Some(found);
        }
        parent
    }

    /// The methods of a class, or what else is defined right in it.
    pub(super) fn members(&self, parent: usize) -> impl Iterator<Item = (usize, &Def)> {
        self.defs.iter().enumerate().filter(move |(_, def)| def.parent == Some(parent))
    }

    /// The class that a definition is a method of.
    pub(super) fn class_of(&self, mut at: usize) -> Option<usize> {
        while let Some(parent) = self.defs.get(at)?.parent {
            if self.defs.get(parent)?.class {
                return Some(parent);
            }
            at = parent;
        }
        None
    }

    fn collect(&mut self, body: &[Stmt], parent: Option<usize>, top: bool) {
        for stmt in body {
            match stmt {
                Stmt::FunctionDef(def) => {
                    let takes = def.parameters.iter().map(|p| p.name().to_string()).collect();
                    let decorators = def.decorator_list.iter().map(|d| dotted(&d.expression)).collect();
                    let at = self.define(stmt, (def.name.as_str(), parent, false), &def.body, (takes, decorators));
                    self.collect(&def.body, Some(at), false);
                }
                Stmt::ClassDef(def) => {
                    let bases = def.arguments.iter().flat_map(|a| &a.args).map(dotted).collect();
                    let decorators = def.decorator_list.iter().map(|d| dotted(&d.expression)).collect();
                    let at = self.define(stmt, (def.name.as_str(), parent, true), &def.body, (bases, decorators));
                    self.collect(&def.body, Some(at), false);
                }
                Stmt::Import(import) => {
                    let lines = self.span(stmt);
                    for alias in &import.names {
                        let dotted = alias.name.as_str();
                        let (name, module) = match &alias.asname {
                            Some(name) => (name.as_str(), dotted),
                            None => (dotted.split('.').next().unwrap_or(dotted), dotted),
                        };
                        let (name, module) = (name.to_owned(), module.to_owned());
                        self.imports.push(Import { name, level: 0, module, member: None, lines, top });
                    }
                }
                Stmt::ImportFrom(import) => {
                    let lines = self.span(stmt);
                    let module = import.module.as_ref().map(ToString::to_string).unwrap_or_default();
                    for alias in &import.names {
                        let member = alias.name.to_string();
                        let name = alias.asname.as_ref().map_or_else(|| member.clone(), ToString::to_string);
                        let (module, member) = (module.clone(), Some(member));
                        self.imports.push(Import { name, level: import.level, module, member, lines, top });
                    }
                }
                Stmt::Assign(assign) if top => {
                    let lines = self.span(stmt);
                    if let ([Expr::Name(name)], Some(other)) = (&assign.targets[..], plain(&assign.value)) {
                        self.aliases.push((name.id.to_string(), other));
                    }
                    let names = assign.targets.iter().flat_map(targets);
                    self.constants.extend(names.map(|name| (name, lines)));
                }
                Stmt::AnnAssign(assign) if top => {
                    let lines = self.span(stmt);
                    self.constants.extend(targets(&assign.target).into_iter().map(|name| (name, lines)));
                }
                Stmt::If(stmt) => {
                    self.collect(&stmt.body, parent, top);
                    stmt.elif_else_clauses.iter().for_each(|clause| self.collect(&clause.body, parent, top));
                }
                Stmt::Try(stmt) => {
                    self.collect(&stmt.body, parent, top);
                    for ExceptHandler::ExceptHandler(handler) in &stmt.handlers {
                        self.collect(&handler.body, parent, top);
                    }
                    self.collect(&stmt.orelse, parent, top);
                    self.collect(&stmt.finalbody, parent, top);
                }
                Stmt::With(stmt) => self.collect(&stmt.body, parent, top),
                Stmt::For(stmt) => self.collect(&stmt.body, parent, top),
                Stmt::While(stmt) => self.collect(&stmt.body, parent, top),
                _ => {}
            }
        }
    }

    fn define(
        &mut self,
        stmt: &Stmt,
        (name, parent, class): (&str, Option<usize>, bool),
        body: &[Stmt],
        (takes, decorators): (Vec<String>, Vec<String>),
    ) -> usize {
        let (first, last) = self.span(stmt);
        let inner = body.first().map_or(last, |stmt| self.span(stmt).0);
        let doc = body.first().filter(|stmt| is_string(stmt)).map(|stmt| self.span(stmt));
        let header = inner.saturating_sub(1).max(first);
        self.defs.push(Def { name: name.to_owned(), parent, class, first, header, doc, last, takes, decorators });
        self.defs.len() - 1
    }

    /// What these lines use.
    pub(super) fn uses(&self, lines: (usize, usize)) -> Uses {
        let mut search = Search { module: self, lines, uses: Uses::default(), seen: BTreeSet::new() };
        self.body.iter().for_each(|stmt| search.visit_stmt(stmt));
        search.uses
    }

    /// The lines of the innermost statement around a line.
    pub(super) fn statement(&self, line: usize) -> (usize, usize) {
        let mut found = Innermost { module: self, line, lines: (line, line) };
        self.body.iter().for_each(|stmt| found.visit_stmt(stmt));
        found.lines
    }
}

fn is_string(stmt: &Stmt) -> bool {
    matches!(stmt, Stmt::Expr(expr) if expr.value.is_string_literal_expr())
}

fn targets(expr: &Expr) -> Vec<String> {
    match expr {
        Expr::Name(name) => vec![name.id.to_string()],
        Expr::Tuple(tuple) => tuple.elts.iter().flat_map(targets).collect(),
        _ => Vec::new(),
    }
}

/// `a.b.c` of a chain of names; calls and subscripts around it are looked through.
fn dotted(expr: &Expr) -> String {
    match expr {
        Expr::Name(name) => name.id.to_string(),
        Expr::Attribute(attribute) => match dotted(&attribute.value) {
            base if base.is_empty() => attribute.attr.to_string(),
            base => format!("{base}.{}", attribute.attr),
        },
        Expr::Call(call) => dotted(&call.func),
        Expr::Subscript(subscript) => dotted(&subscript.value),
        _ => String::new(),
    }
}

/// A chain of nothing but names.
fn plain(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Name(name) => Some(name.id.to_string()),
        Expr::Attribute(attribute) => Some(format!("{}.{}", plain(&attribute.value)?, attribute.attr)),
        _ => None,
    }
}

/// The attribute that an assignment to this changes.
fn changed(target: &Expr) -> Option<(bool, String)> {
    match target {
        Expr::Subscript(subscript) => changed(&subscript.value),
        Expr::Attribute(attribute) => {
            let own = matches!(&*attribute.value, Expr::Name(name) if matches!(name.id.as_str(), "self" | "cls"));
            Some((own, attribute.attr.to_string()))
        }
        _ => None,
    }
}

struct Search<'m> {
    module: &'m Module,
    lines: (usize, usize),
    uses: Uses,
    seen: BTreeSet<String>,
}

impl Search<'_> {
    fn outside(&self, node: &impl Ranged) -> bool {
        let (first, last) = self.module.span(node);
        last < self.lines.0 || first > self.lines.1
    }

    fn special(&mut self, names: &[&str]) {
        self.uses.attributes.extend(names.iter().map(|name| format!("__{name}__")));
    }

    fn written(&mut self, target: &Expr) {
        match target {
            Expr::Tuple(tuple) => tuple.elts.iter().for_each(|target| self.written(target)),
            _ => {
                let line = self.module.span(target).0;
                self.uses.written.extend(changed(target).map(|(own, name)| (own, name, line)));
            }
        }
    }
}

fn operator(operator: Operator) -> &'static [&'static str] {
    match operator {
        Operator::Add => &["add", "radd", "iadd"],
        Operator::Sub => &["sub", "rsub", "isub"],
        Operator::Mult => &["mul", "rmul", "imul"],
        Operator::Div => &["truediv", "rtruediv"],
        Operator::FloorDiv => &["floordiv", "rfloordiv"],
        Operator::BitOr => &["or", "ror", "ior"],
        Operator::BitAnd => &["and", "rand", "iand"],
        Operator::BitXor => &["xor", "rxor", "ixor"],
        Operator::Mod => &["mod", "rmod"],
        Operator::Pow => &["pow", "rpow"],
        Operator::MatMult => &["matmul", "rmatmul"],
        Operator::LShift => &["lshift", "ilshift"],
        Operator::RShift => &["rshift", "irshift"],
    }
}

/// The ways in which values are copied and pickled.
const COPIED: &[&str] =
    &["reduce", "reduce_ex", "getstate", "setstate", "getnewargs", "getnewargs_ex", "new", "copy", "deepcopy"];

impl<'a> Visitor<'a> for Search<'_> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        if self.outside(stmt) {
            return;
        }
        match stmt {
            Stmt::With(_) => self.special(&["enter", "exit", "aenter", "aexit"]),
            Stmt::For(_) => self.special(&["iter", "next"]),
            Stmt::Assign(assign) => assign.targets.iter().for_each(|target| self.written(target)),
            Stmt::AnnAssign(assign) => self.written(&assign.target),
            Stmt::AugAssign(assign) => {
                self.written(&assign.target);
                self.special(operator(assign.op));
            }
            _ => {}
        }
        walk_stmt(self, stmt);
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        if self.outside(expr) {
            return;
        }
        match expr {
            Expr::Name(_) | Expr::Attribute(_) => {
                if let Expr::Attribute(attribute) = expr {
                    self.uses.attributes.insert(attribute.attr.to_string());
                    let own = matches!(&*attribute.value, Expr::Name(name) if name.id.as_str() == "self");
                    if own && attribute.ctx == ExprContext::Load {
                        self.uses.read.insert(attribute.attr.to_string());
                    }
                }
                if let Some(chain) = plain(expr)
                    && self.seen.insert(chain.clone())
                {
                    self.uses.dotted.push(chain);
                }
            }
            Expr::Subscript(subscript) => match subscript.ctx {
                ExprContext::Store => self.special(&["setitem"]),
                ExprContext::Del => self.special(&["delitem"]),
                _ => self.special(&["getitem"]),
            },
            Expr::Compare(compare) => compare.ops.iter().for_each(|op| match op {
                CmpOp::Eq | CmpOp::NotEq => self.special(&["eq", "ne"]),
                CmpOp::In | CmpOp::NotIn => self.special(&["contains"]),
                CmpOp::Lt | CmpOp::LtE | CmpOp::Gt | CmpOp::GtE => self.special(&["lt", "le", "gt", "ge"]),
                _ => {}
            }),
            Expr::BinOp(operation) => self.special(operator(operation.op)),
            Expr::UnaryOp(operation) => match operation.op {
                UnaryOp::Invert => self.special(&["invert"]),
                UnaryOp::USub => self.special(&["neg"]),
                UnaryOp::Not => self.special(&["bool", "len"]),
                UnaryOp::UAdd => {}
            },
            Expr::Call(call) => {
                if let Some(chain) = plain(&call.func) {
                    match chain.rsplit('.').next().unwrap_or_default() {
                        "len" => self.special(&["len"]),
                        "list" | "tuple" | "sorted" | "iter" | "set" | "dict" => self.special(&["iter"]),
                        "next" => self.special(&["next"]),
                        "reversed" => self.special(&["reversed"]),
                        "repr" => self.special(&["repr"]),
                        "str" => self.special(&["str"]),
                        "bool" => self.special(&["bool"]),
                        "hash" => self.special(&["hash"]),
                        "int" => self.special(&["int"]),
                        "float" => self.special(&["float"]),
                        "abs" => self.special(&["abs"]),
                        "round" => self.special(&["round"]),
                        "format" => self.special(&["format"]),
                        "copy" | "deepcopy" | "dumps" | "loads" => self.special(COPIED),
                        _ => {}
                    }
                    let named = call.arguments.keywords.iter().filter_map(|keyword| keyword.arg.as_ref());
                    let named: Vec<String> = named.map(ToString::to_string).collect();
                    if !named.is_empty() {
                        self.uses.keywords.push((chain, named));
                    }
                }
            }
            Expr::StringLiteral(literal) if self.uses.strings.len() < 200 => {
                self.uses.strings.push(literal.value.to_str().to_owned());
            }
            _ => {}
        }
        walk_expr(self, expr);
    }
}

struct Innermost<'m> {
    module: &'m Module,
    line: usize,
    lines: (usize, usize),
}

impl<'a> Visitor<'a> for Innermost<'_> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        let (first, last) = self.module.span(stmt);
        if first <= self.line && self.line <= last {
            self.lines = (first, last);
            walk_stmt(self, stmt);
        }
    }
}
