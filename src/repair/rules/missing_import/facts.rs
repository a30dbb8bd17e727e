//! What a module binds, uses and imports: read from its syntax tree.

use std::collections::{BTreeMap, BTreeSet};

use ruff_python_ast::{
    ExceptHandler, Expr, ExprContext, Parameters, Pattern, Stmt, TypeParam,
    visitor::{self, Visitor},
};

/// How a name is imported.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    /// `import module [as name]`
    Import {
        /// Dotted.
        module: String,
        /// Behind `as`.
        asname: Option<String>,
    },
    /// `from ..module import member [as name]`
    From {
        /// The dots before the module.
        level: u32,
        /// Dotted, empty in `from . import member`.
        module: String,
        /// What is imported.
        member: String,
        /// Behind `as`.
        asname: Option<String>,
    },
}

impl Way {
    /// The statement.
    pub(super) fn statement(&self) -> String {
        let renamed = |asname: &Option<String>| asname.as_ref().map(|name| format!(" as {name}")).unwrap_or_default();
        match self {
            Way::Import { module, asname } => format!("import {module}{}", renamed(asname)),
            Way::From { level, module, member, asname } => {
                format!("from {}{module} import {member}{}", ".".repeat(*level as usize), renamed(asname))
            }
        }
    }

    /// The module's top-level name; empty where it is relative.
    pub(super) fn top(&self) -> &str {
        match self {
            Way::From { level: 1.., .. } => "",
            Way::Import { module, .. } | Way::From { module, .. } => module.split('.').next().unwrap_or(module),
        }
    }
}

/// How a name is used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Uses {
    /// `name.attribute`
    pub(super) attributes: BTreeSet<String>,
    /// `name(…)`
    pub(super) called: bool,
    /// `name[…]`
    pub(super) subscripted: bool,
    /// In any other way.
    pub(super) bare: bool,
}

/// What a module says of its names.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// Bound anywhere in the module, in any scope.
    pub(super) bound: BTreeSet<String>,
    /// Loaded anywhere.
    pub(super) uses: BTreeMap<String, Uses>,
    /// Imported at the module's top level, without a condition.
    pub(super) ways: Vec<(String, Way)>,
    /// Is there a `from x import *`?
    pub(super) star: bool,
}

impl Facts {
    /// `None` where the text is no Python.
    pub(super) fn read(content: &str) -> Option<Facts> {
        let parsed = ruff_python_parser::parse_module(content).ok()?;
        let mut facts = Facts::default();
        for stmt in parsed.suite() {
            facts.top_level(stmt);
            facts.visit_stmt(stmt);
        }
        Some(facts)
    }

    fn top_level(&mut self, stmt: &Stmt) {
        match stmt {
            Stmt::Import(import) => {
                for alias in &import.names {
                    let module = alias.name.to_string();
                    let asname = alias.asname.as_ref().map(ToString::to_string);
                    let name = asname.clone().unwrap_or_else(|| first(&module).to_owned());
                    self.ways.push((name, Way::Import { module, asname }));
                }
            }
            Stmt::ImportFrom(import) => {
                for alias in &import.names {
                    let member = alias.name.to_string();
                    let asname = alias.asname.as_ref().map(ToString::to_string);
                    let name = asname.clone().unwrap_or_else(|| member.clone());
                    let module = import.module.as_ref().map(ToString::to_string).unwrap_or_default();
                    self.ways.push((name, Way::From { level: import.level, module, member, asname }));
                }
            }
            _ => {}
        }
    }

    fn bind(&mut self, name: &str) {
        self.bound.insert(name.to_owned());
    }
}

fn first(dotted: &str) -> &str {
    dotted.split('.').next().unwrap_or(dotted)
}

impl<'a> Visitor<'a> for Facts {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        match stmt {
            Stmt::FunctionDef(def) => self.bind(&def.name),
            Stmt::ClassDef(def) => self.bind(&def.name),
            Stmt::Import(import) => {
                for alias in &import.names {
                    self.bind(alias.asname.as_ref().map_or(first(&alias.name), |name| name));
                }
            }
            Stmt::ImportFrom(import) => {
                for alias in &import.names {
                    self.star |= alias.name.as_str() == "*";
                    self.bind(alias.asname.as_ref().unwrap_or(&alias.name));
                }
            }
            Stmt::Global(global) => global.names.iter().for_each(|name| self.bind(name)),
            Stmt::Nonlocal(nonlocal) => nonlocal.names.iter().for_each(|name| self.bind(name)),
            _ => {}
        }
        visitor::walk_stmt(self, stmt);
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        let loaded = |expr: &Expr| match expr {
            Expr::Name(name) if name.ctx == ExprContext::Load => Some(name.id.to_string()),
            _ => None,
        };
        match expr {
            Expr::Name(name) if name.ctx == ExprContext::Load => {
                self.uses.entry(name.id.to_string()).or_default().bare = true;
            }
            Expr::Name(name) => self.bind(&name.id),
            Expr::Attribute(attribute) => {
                if let Some(name) = loaded(&attribute.value) {
                    let uses = self.uses.entry(name).or_default();
                    uses.attributes.insert(attribute.attr.to_string());
                    return;
                }
            }
            Expr::Call(call) => {
                if let Some(name) = loaded(&call.func) {
                    self.uses.entry(name).or_default().called = true;
                    self.visit_arguments(&call.arguments);
                    return;
                }
            }
            Expr::Subscript(subscript) => {
                if let Some(name) = loaded(&subscript.value) {
                    self.uses.entry(name).or_default().subscripted = true;
                    self.visit_expr(&subscript.slice);
                    return;
                }
            }
            _ => {}
        }
        visitor::walk_expr(self, expr);
    }

    fn visit_except_handler(&mut self, handler: &'a ExceptHandler) {
        let ExceptHandler::ExceptHandler(inner) = handler;
        if let Some(name) = &inner.name {
            self.bind(name);
        }
        visitor::walk_except_handler(self, handler);
    }

    fn visit_parameters(&mut self, parameters: &'a Parameters) {
        for parameter in parameters {
            self.bind(parameter.name());
        }
        visitor::walk_parameters(self, parameters);
    }

    fn visit_pattern(&mut self, pattern: &'a Pattern) {
        let name = match pattern {
            Pattern::MatchAs(inner) => inner.name.as_ref(),
            Pattern::MatchStar(inner) => inner.name.as_ref(),
            Pattern::MatchMapping(inner) => inner.rest.as_ref(),
            _ => None,
        };
        if let Some(name) = name {
            self.bind(name);
        }
        visitor::walk_pattern(self, pattern);
    }

    fn visit_type_param(&mut self, parameter: &'a TypeParam) {
        self.bind(parameter.name());
        visitor::walk_type_param(self, parameter);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bindings_of_every_kind_are_seen() {
        let facts = Facts::read(
            "import a.b, c as d\nfrom e import f as g\ndef h(i, *j, k=1, **l):\n    global m\n    for n in o: pass\n\
             try: pass\nexcept X as p: pass\nwith q as r: pass\n[s for s in t]\n(u := 1)\nmatch v:\n    case [w, *x]: pass\n",
        )
        .unwrap();
        let bound: Vec<&str> = facts.bound.iter().map(String::as_str).collect();
        assert_eq!(bound, ["a", "d", "g", "h", "i", "j", "k", "l", "m", "n", "p", "r", "s", "u", "w", "x"]);
    }

    #[test]
    fn uses_are_told_apart() {
        let facts = Facts::read("json.loads(x)\ndatetime()\nOptional[int]\n").unwrap();
        assert_eq!(facts.uses["json"].attributes, BTreeSet::from(["loads".to_owned()]));
        assert!(!facts.uses["json"].bare && !facts.uses["json"].called);
        assert!(facts.uses["datetime"].called && facts.uses["Optional"].subscripted);
    }
}
