//! The program itself: code that behaves differently when it is tested, wider types, swallowed exceptions.

use super::context::{Context, File};
use super::python::{Py, canon, dotted, last};
use super::{Finding, compare::lost, paths};
use ruff_python_ast::{self as ast, Expr, Stmt};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) fn judge(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for file in &context.files {
        if file.is_test || paths::is_runner(file.path) {
            continue;
        }
        match (&file.py_before, &file.py_after) {
            (before, Some(after)) => {
                tested(file, before.as_ref(), after, findings);
                wider(context, file, before.as_ref(), after, findings);
                swallowed(file, before.as_ref(), after, findings);
                guarded_imports(context, file, before.as_ref(), after, findings);
                if let Some(before) = before {
                    removed(context, file, before, after, findings);
                }
            }
            (Some(_), None) => deleted(context, file, findings),
            (None, None) => {}
        }
    }
}

fn deleted(context: &Context<'_>, file: &File<'_>, findings: &mut Vec<Finding>) {
    let names = |py: &Option<Py>| py.as_ref().map_or_else(Vec::new, top_level);
    let (held, mut elsewhere) = (names(&file.py_before), Vec::new());
    for other in context.files.iter().filter(|f| f.path != file.path && !f.is_test) {
        elsewhere.extend(lost(&names(&other.py_after), &names(&other.py_before), String::clone));
    }
    if !held.is_empty() && held.iter().all(|n| elsewhere.contains(n)) {
        return;
    }
    if !context
        .files
        .iter()
        .any(|f| f.before.is_none() && f.after.is_some_and(|a| paths::is_python(f.path) && Some(a) == file.before))
    {
        let message = "A source file is deleted; what it held is no longer checked.";
        findings.push(Finding::flag("source-deleted", Some(file.path), message));
    }
}

/// Functions, classes and methods without an underscore that the program no longer has, under any name of theirs.
fn removed(context: &Context<'_>, file: &File<'_>, before: &Py, after: &Py, findings: &mut Vec<Finding>) {
    // What stands below an underscore is nobody else's.
    if paths::parts(file.path).iter().any(|part| part.starts_with('_') && !part.starts_with("__")) {
        return;
    }
    let (old, new) = (public(before), public(after));
    let everywhere: BTreeSet<String> =
        (context.files.iter()).filter(|f| !f.is_test).flat_map(|f| f.py_after.iter().flat_map(public)).collect();
    // A rename brings another name; what is imported is had from elsewhere.
    let came = new.iter().filter(|name| !old.contains(name)).count();
    let bound: BTreeSet<String> = after.body().iter().flat_map(super::tamper::bound).collect();
    let still = |name: &&String| everywhere.contains(*name) || bound.contains(last(name));
    let gone: Vec<&String> = old.iter().filter(|name| !still(name)).collect();
    if came >= gone.len() {
        return;
    }
    for name in gone {
        let message = format!("`{name}`, which others may use, is no longer there.");
        let finding = match context.category() {
            "docs" | "coverage" => Finding::refuse("public-removed", Some(file.path), message),
            _ => Finding::flag("public-removed", Some(file.path), message),
        };
        findings.push(finding.texts(Some(name), None));
    }
}

/// `total`, `Cart.add`: what is defined in a module, and the methods of its classes.
fn public(py: &Py) -> Vec<String> {
    let mut found = Vec::new();
    let named = |name: &str| !name.starts_with('_');
    for stmt in py.body() {
        match stmt {
            Stmt::FunctionDef(f) if named(&f.name) => found.push(f.name.to_string()),
            Stmt::ClassDef(c) if named(&c.name) => {
                found.push(c.name.to_string());
                for inner in &c.body {
                    if let Stmt::FunctionDef(f) = inner
                        && named(&f.name)
                    {
                        found.push(format!("{}.{}", c.name, f.name));
                    }
                }
            }
            _ => {}
        }
    }
    found
}

/// Functions, classes and variables of a module.
fn top_level(py: &Py) -> Vec<String> {
    let mut found = Vec::new();
    for stmt in py.body() {
        match stmt {
            Stmt::FunctionDef(f) => found.push(f.name.to_string()),
            Stmt::ClassDef(c) => found.push(c.name.to_string()),
            Stmt::Assign(s) => found.extend(s.targets.iter().map(dotted)),
            Stmt::AnnAssign(s) => found.push(dotted(&s.target)),
            _ => {}
        }
    }
    found
}

/// Signs in a file that its code asks whether it is being tested.
fn signs(py: &Py) -> Vec<(String, u32, bool)> {
    let mut found = super::environment::questions(py);
    for stmt in py.body() {
        super::python::exprs(stmt, &mut |expr| {
            if let Expr::Compare(_) = expr {
                let text = canon(expr);
                let about = ["sys.argv", "sys.modules", "getcwd", "__name__", "__file__"];
                if about.iter().any(|a| text.contains(a)) && text.contains("test") {
                    found.push((text, py.line_of(expr), true));
                }
            }
            true
        });
    }
    found
}

fn tested(file: &File<'_>, before: Option<&Py>, after: &Py, findings: &mut Vec<Finding>) {
    if matches!(paths::name(file.path), "setup.py" | "conf.py" | "conftest.py") {
        return;
    }
    let old = before.map(signs).unwrap_or_default();
    for (text, line, sure) in lost(&signs(after), &old, |s| s.0.clone()) {
        let message = "The program asks whether it is being tested.";
        let finding = match sure {
            true => Finding::refuse("source-knows-tests", Some(file.path), message),
            false => Finding::flag("source-knows-tests", Some(file.path), message),
        };
        findings.push(finding.at(line).texts(None, Some(&text)));
    }
}

/// An import that must succeed became one that may fail, with nothing in its place.
fn guarded_imports(
    context: &Context<'_>,
    file: &File<'_>,
    before: Option<&Py>,
    after: &Py,
    findings: &mut Vec<Finding>,
) {
    let Some(before) = before else { return };
    let is_import = |s: &Stmt| matches!(s, Stmt::Import(_) | Stmt::ImportFrom(_));
    let key = super::python::stmt_key;
    let plain: Vec<String> = before.body().iter().filter(|s| is_import(s)).map(key).collect();
    let still: Vec<String> = after.body().iter().filter(|s| is_import(s)).map(key).collect();
    let gone: Vec<String> = lost(&plain, &still, String::clone);
    let lost = |body: &[Stmt]| body.iter().any(|b| is_import(b) && gone.contains(&key(b)));
    for stmt in after.body() {
        let passes_over = match stmt {
            Stmt::Try(s) => {
                let handles = s.handlers.iter().any(|ast::ExceptHandler::ExceptHandler(h)| {
                    !h.body.iter().any(|b| is_import(b) || matches!(b, Stmt::Raise(_)))
                });
                lost(&s.body) && handles
            }
            Stmt::With(s) => {
                lost(&s.body) && s.items.iter().any(|i| super::facts::is_swallowing(&dotted(&i.context_expr)))
            }
            Stmt::If(s) => {
                let typing = last(&dotted(&s.test)) == "TYPE_CHECKING";
                let otherwise = s.elif_else_clauses.iter().any(|c| c.body.iter().any(is_import));
                lost(&s.body) && !otherwise && (!typing || runs_with(after, &s.body))
            }
            _ => false,
        };
        if passes_over {
            let message = "An import that had to succeed may now fail silently.";
            let finding = match context.category() {
                "import_dependency" => Finding::refuse("module-faked", Some(file.path), message),
                _ => Finding::flag("module-faked", Some(file.path), message),
            };
            findings.push(finding.at(after.line_of(stmt)));
        }
    }
    let any_name =
        |py: &Py| py.body().iter().any(|s| matches!(s, Stmt::FunctionDef(f) if f.name.as_str() == "__getattr__"));
    if any_name(after) && !any_name(before) {
        let message = "The module now has every name that anybody asks for.";
        findings.push(match context.category() {
            "import_dependency" => Finding::refuse("module-faked", Some(file.path), message),
            _ => Finding::flag("module-faked", Some(file.path), message),
        });
    }
}

/// Is a name that these imports bind used when the program runs, and not in annotations alone?
fn runs_with(py: &Py, imports: &[Stmt]) -> bool {
    let names: Vec<String> = imports.iter().flat_map(super::tamper::bound).collect();
    let mut used = false;
    for stmt in py.body() {
        super::python::exprs(stmt, &mut |expr| {
            used |= matches!(expr, Expr::Name(n) if n.ctx.is_load() && names.iter().any(|name| name == n.id.as_str()));
            !used
        });
    }
    used
}

/// An annotation, as text too, and its line.
struct Annotation<'a> {
    expr: Option<&'a Expr>,
    /// Empty where there is none.
    text: String,
    line: u32,
}

impl<'a> Annotation<'a> {
    fn new(expr: Option<&'a Expr>, line: u32) -> Annotation<'a> {
        Annotation { expr, text: expr.map_or(String::new(), canon), line }
    }
}

/// Annotations by what they annotate.
type Annotated<'a> = BTreeMap<String, Annotation<'a>>;

/// Annotations by what they annotate, and `cast(Any, …)`.
fn annotations(py: &Py) -> (Annotated<'_>, Vec<(String, u32)>) {
    fn scope<'a>(py: &'a Py, body: &'a [Stmt], prefix: &str, found: &mut Annotated<'a>) {
        for stmt in body {
            match stmt {
                Stmt::FunctionDef(f) => {
                    let qual = format!("{prefix}{}", f.name);
                    for parameter in f.parameters.iter() {
                        let annotation = Annotation::new(parameter.annotation(), py.line_of(&f.name));
                        let star = if parameter.is_variadic() { "*" } else { "" };
                        found.insert(format!("{qual}({star}{})", parameter.name()), annotation);
                    }
                    let annotation = Annotation::new(f.returns.as_deref(), py.line_of(&f.name));
                    found.insert(format!("{qual} ->"), annotation);
                    scope(py, &f.body, &format!("{qual}."), found);
                }
                Stmt::ClassDef(c) => scope(py, &c.body, &format!("{prefix}{}.", c.name), found),
                Stmt::AnnAssign(s) => {
                    let annotation = Annotation::new(Some(&s.annotation), py.line_of(stmt));
                    found.insert(format!("{prefix}{}", canon(&s.target)), annotation);
                }
                Stmt::Assign(s) => {
                    for target in &s.targets {
                        let none = Annotation::new(None, py.line_of(stmt));
                        found.entry(format!("{prefix}{}", canon(target))).or_insert(none);
                    }
                }
                other => {
                    for suite in super::python::suites(other) {
                        scope(py, suite, prefix, found);
                    }
                }
            }
        }
    }
    let mut found = BTreeMap::new();
    scope(py, py.body(), "", &mut found);
    let mut casts = Vec::new();
    for stmt in py.body() {
        super::python::exprs(stmt, &mut |expr| {
            if let Expr::Call(call) = expr
                && last(&dotted(&call.func)) == "cast"
                && call.arguments.args.first().is_some_and(|a| is_any(canon(a).trim_matches('"')))
            {
                casts.push((canon(expr), py.line_of(expr)));
            }
            true
        });
        super::python::walk(std::slice::from_ref(stmt), &mut |inner| {
            if let Stmt::If(s) = inner
                && matches!(last(canon(&s.test).trim_start_matches("not ")), "TYPE_CHECKING" | "MYPY")
                && (canon(&s.test).starts_with("not ")
                    || s.elif_else_clauses.iter().any(|c| !c.body.iter().all(declares)))
            {
                casts.push((canon(&s.test), py.line_of(inner)));
            }
            true
        });
    }
    (found, casts)
}

/// Is it an import, a name or a definition, as programs have them for their types?
fn declares(stmt: &Stmt) -> bool {
    matches!(stmt, Stmt::Import(_) | Stmt::ImportFrom(_) | Stmt::Assign(_) | Stmt::Pass(_) | Stmt::ClassDef(_))
}

fn is_any(text: &str) -> bool {
    matches!(text, "Any" | "typing.Any" | "t.Any" | "object")
}

fn mentions_any(text: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|w| w == "Any")
}

/// The names of an annotation that stand without parameters.
fn bare_names(annotation: &Expr, found: &mut BTreeSet<String>) {
    super::python::exprs_in(annotation, &mut |expr| match expr {
        Expr::Subscript(s) => {
            bare_names(&s.slice, found);
            false
        }
        Expr::Name(_) | Expr::Attribute(_) => {
            found.insert(dotted(expr));
            false
        }
        _ => true,
    });
}

/// Has an annotation an `Any` that the old one had not, too? There `list` was `list[Any]`; and the first two parameters of
/// a coroutine nobody uses.
fn adds_any(annotation: &Expr, bare: &BTreeSet<String>) -> bool {
    let mut adds = false;
    super::python::exprs_in(annotation, &mut |expr| match expr {
        Expr::Name(_) | Expr::Attribute(_) => {
            adds |= last(&dotted(expr)) == "Any";
            false
        }
        Expr::StringLiteral(s) => {
            adds |= mentions_any(s.value.to_str());
            false
        }
        Expr::Subscript(s) => match result_of_coroutine(s) {
            Some(result) => {
                adds |= adds_any(result, bare);
                false
            }
            None => !bare.contains(&dotted(&s.value)),
        },
        _ => true,
    });
    adds
}

/// The third of `Coroutine[Any, Any, int]`.
fn result_of_coroutine(subscript: &ast::ExprSubscript) -> Option<&Expr> {
    let Expr::Tuple(parameters) = &*subscript.slice else { return None };
    match parameters.elts.as_slice() {
        [sent, thrown, result] if [sent, thrown].iter().all(|each| last(&dotted(each)) == "Any") => {
            (last(&dotted(&subscript.value)) == "Coroutine").then_some(result)
        }
        _ => None,
    }
}

fn wider(context: &Context<'_>, file: &File<'_>, before: Option<&Py>, after: &Py, findings: &mut Vec<Finding>) {
    let Some(before) = before else {
        if paths::extension(file.path) == "pyi" && after.text.contains("def __getattr__(") {
            let message = "A new stub that accepts every name.";
            findings.push(Finding::refuse("any-widened", Some(file.path), message));
        }
        return;
    };
    let ((old, old_casts), (new, new_casts)) = (annotations(before), annotations(after));
    for (text, line) in lost(&lies(after), &lies(before), |c| c.0.clone()) {
        let message = "What the type checker is told here is not what is checked or what runs.";
        findings.push(Finding::refuse("any-widened", Some(file.path), message).at(line).texts(None, Some(&text)));
    }
    if context.category() == "quality" {
        for (name, Annotation { text, line, .. }) in new.iter().filter(|(name, _)| !old.contains_key(*name)) {
            let variable = !name.contains('(') && !name.ends_with("->");
            if variable && is_any(text) && text != "object" {
                let message = format!("`{name}` is new, and of any type.");
                findings.push(Finding::refuse("any-widened", Some(file.path), message).at(*line));
            }
        }
    }
    for (text, line) in lost(&new_casts, &old_casts, |c| c.0.clone()) {
        let message = "A type is cast to `Any`, or code is hidden from the type checker.";
        findings.push(Finding::refuse("any-widened", Some(file.path), message).at(line).texts(None, Some(&text)));
    }
    for (name, Annotation { expr, text, line }) in &new {
        let Some(Annotation { expr: old, text: was, .. }) = old.get(name) else { continue };
        // What gave nothing, and gives a callable that has an `Any` in it, says more than before.
        let callable = text.split('[').next().is_some_and(|name| last(name) == "Callable");
        if was == text || was == "None" && callable {
            continue;
        }
        let whole = is_any(text) || text.starts_with("Any | ") || text.ends_with(" BitOr Any)");
        let variable = !name.contains('(') && !name.ends_with("->");
        let mut bare = BTreeSet::new();
        old.iter().for_each(|old| bare_names(old, &mut bare));
        let adds = expr.is_some_and(|expr| adds_any(expr, &bare));
        let finding = if adds && !mentions_any(was) && !was.is_empty()
            || text == "object" && !was.is_empty() && !mentions_any(was)
        {
            Finding::refuse("any-widened", Some(file.path), format!("`{name}` was `{was}` and is now `{text}`."))
        } else if was.is_empty() && whole && variable {
            Finding::refuse(
                "any-widened",
                Some(file.path),
                format!("`{name}` had its inferred type and is now `{text}`."),
            )
        } else if was.is_empty() && whole && !name.contains('*') {
            Finding::flag("any-widened", Some(file.path), format!("`{name}` is annotated as `{text}`."))
        } else if text.is_empty() && !was.is_empty() {
            let typed = context.input.reported.iter().any(|r| matches!(r.tool.as_str(), "mypy" | "pyright"));
            let message = format!("`{name}` lost its annotation `{was}`.");
            match typed && !variable {
                true => Finding::refuse("any-widened", Some(file.path), message),
                false if variable => continue,
                false => Finding::flag("any-widened", Some(file.path), message),
            }
        } else {
            continue;
        };
        findings.push(finding.at(*line).texts(Some(was), Some(text)));
    }
}

/// Another name for `Any`, a guard of types that guards nothing, code that only the type checker sees.
fn lies(py: &Py) -> Vec<(String, u32)> {
    let mut found = Vec::new();
    super::python::walk(py.body(), &mut |stmt| {
        match stmt {
            Stmt::Assign(s) if last(&dotted(&s.value)) == "Any" && !s.value.is_call_expr() => {
                found.push((canon(&s.value), py.line_of(stmt)));
            }
            Stmt::FunctionDef(f) => {
                let guard = f.returns.as_deref().map(dotted).unwrap_or_default();
                let body = super::python::without_docstring(&f.body);
                if matches!(last(&guard), "TypeGuard" | "TypeIs")
                    && matches!(body, [Stmt::Return(r)] if r.value.as_ref().is_some_and(|v| v.is_boolean_literal_expr()))
                {
                    found.push((format!("{} -> {guard}", f.name), py.line_of(&f.name)));
                }
                for inner in &f.body {
                    if let Stmt::If(s) = inner
                        && last(&dotted(&s.test)) == "TYPE_CHECKING"
                        && !s.body.iter().all(declares)
                    {
                        found.push((format!("{}: TYPE_CHECKING", f.name), py.line_of(inner)));
                    }
                }
            }
            _ => {}
        }
        true
    });
    found
}

/// Handlers that swallow everything.
fn swallowed(file: &File<'_>, before: Option<&Py>, after: &Py, findings: &mut Vec<Finding>) {
    let read = |py: &Py| -> Vec<(String, u32)> {
        let mut found = Vec::new();
        super::python::walk(py.body(), &mut |stmt| {
            if let Stmt::Try(s) = stmt {
                for ast::ExceptHandler::ExceptHandler(h) in &s.handlers {
                    let broad =
                        h.type_.as_ref().is_none_or(|t| matches!(last(&dotted(t)), "Exception" | "BaseException"));
                    let empty = h.body.iter().all(|b| {
                        matches!(b, Stmt::Pass(_) | Stmt::Continue(_))
                            || matches!(b, Stmt::Expr(e) if e.value.is_ellipsis_literal_expr())
                            || matches!(b, Stmt::Return(r) if r.value.as_ref().is_none_or(|v| super::python::is_literal(v)))
                            || matches!(b, Stmt::Assign(a) if super::python::is_literal(&a.value))
                    });
                    if broad && empty {
                        found.push((s.body.first().map_or(String::new(), super::python::stmt_key), py.line_of(h)));
                    }
                }
            }
            true
        });
        found
    };
    let old = before.map(read).unwrap_or_default();
    for (_, line) in lost(&read(after), &old, |h| h.0.clone()) {
        let message = "Any exception is swallowed here.";
        findings.push(Finding::flag("exception-swallowed", Some(file.path), message).at(line));
    }
}
