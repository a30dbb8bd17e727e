//! The same risk in another spelling: what a scanner, a linter or a type checker reports, written so that it does not
//! see it.

use super::context::{Context, File};
use super::python::{
    Py, among, canon, dotted, expr_key, exprs, ignores_warnings, is_literal, last, string_value, walk_changed,
};
use super::{Finding, compare::lost, environment::folded};
use ruff_python_ast::{self as ast, Expr, Stmt};
use std::collections::BTreeMap;

/// What a sign stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// Reached by a name that is text.
    Hidden,
    /// What security scanners report, or another way to do it.
    Risk,
    /// What only keeps a linter quiet.
    Quiet,
    /// Warnings that are no longer shown.
    Silent,
}

type Sign = (Kind, String, u32);

/// Modules whose functions scanners look for.
const WATCHED: &str = "subprocess os pickle yaml hashlib tempfile random ssl builtins shutil marshal shelve";

/// Calls that scanners report, and their relatives.
const RISKS: &str = "os.popen os.system asyncio.create_subprocess_shell joblib.load dill.load dill.loads cloudpickle.load \
    cloudpickle.loads marshal.load marshal.loads shelve.open pickle.load pickle.loads pickle.Unpickler pickle._Unpickler \
    _pickle.load _pickle.loads ForkingPickler.loads yaml.load yaml.unsafe_load yaml.full_load tempfile.mktemp \
    tempfile._get_candidate_names runpy.run_path runpy.run_module code.InteractiveInterpreter types.FunctionType eval exec \
    compile ssl._create_unverified_context hashlib.md5 hashlib.sha1 uuid.uuid1 time.time_ns zlib.crc32 zlib.adler32 \
    subprocess.getoutput subprocess.getstatusoutput random.choice random.choices random.random random.randint \
    random.randrange random.getrandbits telnetlib.Telnet ftplib.FTP";

pub(crate) fn judge(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for file in context.files.iter().filter(|f| !f.is_test && !super::paths::is_runner(f.path)) {
        let Some(after) = &file.py_after else { continue };
        let old = file.py_before.as_ref().map(signs).unwrap_or_default();
        for (kind, text, line) in lost(&signs(after), &old, |s| (s.0, s.1.clone())) {
            findings.extend(found(context, file, kind, &text, line));
        }
    }
}

fn found(context: &Context<'_>, file: &File<'_>, kind: Kind, text: &str, line: u32) -> Option<Finding> {
    let (security, quality) = (context.category() == "security", context.category() == "quality");
    let hidden = "A module or function is reached by a name in a string, which checks do not see.";
    let (refused, message) = match kind {
        Kind::Hidden => (security || quality, hidden),
        Kind::Risk if security => (true, "What security scanners report is new here, or in another spelling."),
        Kind::Quiet if quality => (true, "This only keeps a linter from reporting."),
        Kind::Risk | Kind::Quiet => return None,
        Kind::Silent => {
            let finding = Finding::flag("warnings-relaxed", Some(file.path), "Warnings are ignored here.");
            return Some(finding.at(line).texts(None, Some(text)));
        }
    };
    let finding = match refused {
        true => Finding::refuse("check-evaded", Some(file.path), message),
        false => Finding::flag("check-evaded", Some(file.path), message),
    };
    Some(finding.at(line).texts(None, Some(text)))
}

fn signs(py: &Py) -> Vec<Sign> {
    let mut found = Vec::new();
    walk_changed(py, &mut |stmt| {
        statement(py, stmt, &mut found);
        true
    });
    for stmt in py.changed() {
        exprs(stmt, &mut |expr| {
            match expr {
                Expr::Call(call) => calls(py, expr, call, &mut found),
                Expr::Subscript(s) if string_value(&s.slice).is_some() && s.ctx.is_load() => {
                    let own = dotted(&s.value);
                    if matches!(last(&own), "__dict__" | "vars") {
                        found.push((Kind::Hidden, canon(expr), py.line_of(expr)));
                    }
                }
                Expr::List(l) => {
                    let words: Vec<String> = l.elts.iter().take(2).filter_map(string_value).collect();
                    let shell = words.first().is_some_and(|w| matches!(w.rsplit('/').next(), Some("sh" | "bash")));
                    if shell && words.get(1).is_some_and(|w| w.starts_with('-') && w.ends_with('c')) {
                        found.push((Kind::Risk, "a shell".to_string(), py.line_of(expr)));
                    }
                }
                _ => {}
            }
            true
        });
    }
    found
}

fn statement(py: &Py, stmt: &Stmt, found: &mut Vec<Sign>) {
    let line = py.line_of(stmt);
    match stmt {
        Stmt::Assign(s) => {
            let value = dotted(&s.value);
            let bare = matches!(&*s.value, Expr::Name(_) | Expr::Attribute(_));
            if bare && among(RISKS, &value) {
                found.push((Kind::Hidden, format!("= {value}"), line));
            }
            if s.targets.iter().any(|t| dotted(t) == "__all__") {
                exported(py, &s.value, line, found);
            }
            for target in &s.targets {
                let name = dotted(target);
                if name == "_" && bare {
                    found.push((Kind::Quiet, format!("_ = {value}"), line));
                }
                if last(&name) == "verify" && target.is_attribute_expr() && is_falsy(&s.value) {
                    found.push((Kind::Risk, format!("{name} = {}", canon(&s.value)), line));
                }
                if name == "ssl._create_default_https_context" {
                    found.push((Kind::Risk, name, line));
                }
            }
        }
        Stmt::ClassDef(c) => {
            for base in c.arguments.iter().flat_map(|a| &a.args) {
                let name = dotted(base);
                if name.starts_with("pickle.") || name.starts_with("yaml.") && name.ends_with("Loader") {
                    found.push((Kind::Risk, format!("class of {name}"), line));
                }
            }
        }
        Stmt::FunctionDef(f) => queries(py, f, found),
        _ => {}
    }
}

/// Modules of others in `__all__`: only a linter is told that they are used.
fn exported(py: &Py, names: &Expr, line: u32, found: &mut Vec<Sign>) {
    let modules: Vec<String> =
        (py.body().iter()).filter(|s| matches!(s, Stmt::Import(_))).flat_map(super::tamper::bound).collect();
    super::python::exprs_in(names, &mut |e| {
        if let Some(name) = string_value(e).filter(|name| modules.contains(name)) {
            found.push((Kind::Quiet, format!("__all__: {name}"), line));
        }
        true
    });
}

fn is_falsy(expr: &Expr) -> bool {
    matches!(canon(expr).as_str(), "False" | "0" | "None" | "\"\"") || dotted(expr) == "bool"
}

fn calls(py: &Py, expr: &Expr, call: &ast::ExprCall, found: &mut Vec<Sign>) {
    let (name, args, line) = (dotted(&call.func), &call.arguments.args, py.line_of(expr));
    let text = args.get(1).and_then(string_value);
    let module = args.first().map(dotted).unwrap_or_default();
    let watched = |module: &str| among(WATCHED, module.split('.').next().unwrap_or(""));
    let by_name = name == "getattr" && args.len() == 2 && watched(&module) && !module.contains('.');
    let imports = matches!(name.as_str(), "__import__" | "importlib.import_module" | "import_module");
    let by_import = imports && args.first().and_then(folded).is_some_and(|m| watched(&m));
    // A text that is put together, where one would do.
    let pieced = imports && args.first().is_some_and(|a| string_value(a).is_none() && folded(a).is_some());
    let weak = name == "hashlib.new"
        && args.first().and_then(folded).is_some_and(|h| among("md5 sha1 md4", &h.to_lowercase()));
    let unpacked = call.arguments.keywords.iter().any(|k| {
        k.arg.is_none() && matches!(&k.value, Expr::Dict(d) if d.items.iter().all(|i| i.key.as_ref().is_some_and(is_literal)) && !d.items.is_empty())
    });
    let partial = last(&name) == "partial" && args.first().is_some_and(|a| watched(&dotted(a)));
    if by_name || by_import || pieced || weak || unpacked || partial {
        found.push((Kind::Hidden, canon(expr), line));
    } else if name == "getattr" && args.len() == 2 && text.is_some() {
        found.push((Kind::Quiet, canon(expr), line));
    }
    if matches!(name.as_str(), "int" | "float") && args.first().and_then(string_value).is_some() {
        found.push((Kind::Quiet, canon(expr), line));
    }
    if ignores_warnings(call) {
        found.push((Kind::Silent, canon(expr), line));
    }
    if among(RISKS, &name) || RISKS.split_whitespace().any(|r| r.contains('.') && name.ends_with(&format!(".{r}"))) {
        found.push((Kind::Risk, name.clone(), line));
    }
    for keyword in &call.arguments.keywords {
        let key = keyword.arg.as_ref().map_or("", |a| a.as_str());
        if key == "shell" && !is_falsy(&keyword.value) || key == "verify" && is_falsy(&keyword.value) {
            found.push((Kind::Risk, format!("{key}={}", canon(&keyword.value)), line));
        }
    }
}

/// Queries that are put together from parts.
fn queries(py: &Py, function: &ast::StmtFunctionDef, found: &mut Vec<Sign>) {
    let mut given: BTreeMap<String, &Expr> = BTreeMap::new();
    super::python::walk(&function.body, &mut |stmt| {
        if let Stmt::Assign(s) = stmt {
            given.extend(s.targets.iter().map(|t| (dotted(t), &*s.value)));
        }
        true
    });
    for stmt in &function.body {
        exprs(stmt, &mut |expr| {
            if let Expr::Call(call) = expr
                && matches!(last(&dotted(&call.func)), "execute" | "executemany" | "executescript")
                && let Some(query) = call.arguments.args.first()
            {
                let query = given.get(&dotted(query)).copied().unwrap_or(query);
                if is_put_together(query) {
                    found.push((Kind::Risk, format!("a query put together: {}", expr_key(query)), py.line_of(expr)));
                }
            }
            true
        });
    }
}

fn is_put_together(query: &Expr) -> bool {
    match query {
        Expr::BinOp(_) => folded(query).is_none(),
        Expr::FString(f) => f.value.elements().any(|e| !e.is_literal()),
        Expr::Call(call) => {
            let name = dotted(&call.func);
            let joins = "format format_map join replace substitute safe_substitute";
            among(joins, last(&name)) && folded(query).is_none()
                || matches!(&*call.func, Expr::Attribute(a) if among(joins, &a.attr)) && folded(query).is_none()
        }
        _ => false,
    }
}
