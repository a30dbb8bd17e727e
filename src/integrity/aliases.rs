//! Imported names, resolved once: after `import os as system`, `system._exit` is `os._exit` to every rule.

use ruff_python_ast::visitor::transformer::{Transformer, walk_expr};
use ruff_python_ast::{self as ast, Expr, ExprContext, Identifier, Stmt, name::Name};
use std::collections::BTreeMap;

/// Modules whose names rules know; other imports keep the names that the file gives them.
const KNOWN: &str = "os posix nt sys subprocess unittest pytest _pytest pluggy typing typing_extensions inspect builtins \
    threading _thread signal importlib warnings atexit traceback faulthandler ctypes gc multiprocessing runpy socket \
    urllib shutil pathlib site contextlib doctest requests httpx mock random yaml pickle hashlib tempfile ssl time uuid \
    runpy marshal functools";

/// What names stand for.
pub(crate) type Names = BTreeMap<String, String>;

/// The body with every name that stands for a known module, or for something in one, spelled out.
pub(crate) fn resolved(body: &[Stmt]) -> (Vec<Stmt>, Names) {
    let mut body = body.to_vec();
    let mut names = Names::new();
    super::python::walk(&body, &mut |stmt| {
        match stmt {
            Stmt::Import(s) => {
                for alias in &s.names {
                    if let Some(name) = alias.asname.as_ref().filter(|_| known(&alias.name)) {
                        names.insert(name.to_string(), spelled(&alias.name));
                    }
                }
            }
            Stmt::ImportFrom(s) if s.level == 0 => {
                let module = s.module.as_ref().map_or("", |m| m.as_str());
                for alias in s.names.iter().filter(|_| known(module)) {
                    let name = alias.asname.as_ref().unwrap_or(&alias.name).to_string();
                    let full = match module {
                        // Types are written by their own names.
                        "typing" | "typing_extensions" => alias.name.to_string(),
                        _ => spelled(&format!("{module}.{}", alias.name)),
                    };
                    if full != name {
                        names.insert(name, full);
                    }
                }
            }
            _ => {}
        }
        true
    });
    let rename = Rename(names);
    if !rename.0.is_empty() {
        rename.visit_body(&mut body);
    }
    (body, rename.0)
}

fn known(module: &str) -> bool {
    let root = module.split('.').next().unwrap_or("");
    KNOWN.split_whitespace().any(|k| k == root)
}

fn spelled(full: &str) -> String {
    let full = full
        .strip_prefix("posix.")
        .or_else(|| full.strip_prefix("nt."))
        .map(|rest| format!("os.{rest}"))
        .unwrap_or_else(|| full.to_string());
    match full.as_str() {
        "posix" | "nt" => "os".to_string(),
        _ => full.strip_prefix("builtins.").unwrap_or(&full).to_string(),
    }
}

struct Rename(Names);

impl Transformer for Rename {
    fn visit_expr(&self, expr: &mut Expr) {
        if let Expr::Name(name) = expr
            && name.ctx.is_load()
            && let Some(full) = self.0.get(name.id.as_str())
        {
            let range = name.range;
            let mut parts = full.split('.');
            name.id = Name::new(parts.next().unwrap_or(""));
            for part in parts {
                let value = Box::new(expr.clone());
                *expr = Expr::Attribute(ast::ExprAttribute {
                    node_index: ast::AtomicNodeIndex::NONE,
                    range,
                    value,
                    attr: Identifier::new(part, range),
                    ctx: ExprContext::Load,
                });
            }
            return;
        }
        walk_expr(self, expr);
    }
}
