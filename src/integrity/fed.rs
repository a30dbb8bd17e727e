//! What untouched assertions are fed: their inputs, what happens to them before, what a fixture gives.

use super::cases::{self, Said};
use super::compare::{Compared, lost};
use super::flow::{self, Does, Step, bare};
use super::names::{self, Version};
use super::python::{atoms, canon, dotted, exprs_in, is_literal, last};
use super::units::{Kind, Unit};
use super::{Finding, Severity};
use ruff_python_ast::{self as ast, Expr};
use std::collections::{BTreeMap, BTreeSet};

/// How two expressions differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Difference {
    /// Not in what they say.
    None,
    /// One thing of others is used instead of another.
    Other,
    /// The same thing, with something added to it, taken from it, or written down in its place.
    Fed,
}

/// Two versions of one unit, statement by statement.
#[derive(Debug, Default)]
pub(crate) struct Fed {
    before: Vec<Step>,
    after: Vec<Step>,
    /// Is everything that the earlier version says in its cases said in those of the later one?
    pub(crate) all_said: bool,
}

/// Calls that end the use of something, and what only waits.
const ENDING: &str = "close aclose join wait flush sleep shutdown dispose stop cancel kill terminate release cleanup \
    disconnect quit rollback commit refresh server_close wait_closed acquire start tick";

/// Methods that change a list, a dictionary or a set.
const MUTATING: &str = "append extend insert remove pop popitem clear update setdefault sort reverse add discard \
    appendleft popleft extendleft rotate difference_update intersection_update __setitem__ __delitem__ __iadd__";

/// Fixtures of pytest and its best-known plugins, which tests use for their surroundings.
const SURROUNDINGS: &str = "monkeypatch caplog capsys capfd capsysbinary capfdbinary recwarn request tmp_path tmpdir \
    tmp_path_factory tmpdir_factory pytester testdir mocker freezer httpx_mock requests_mock respx_mock responses \
    settings record_property event_loop benchmark subtests doctest_namespace cache snapshot warnings pytest";

fn among(words: &str, name: &str) -> bool {
    words.split_whitespace().any(|word| word == name)
}

/// What assertions stand under, loops aside.
fn guards(unit: &Unit) -> Vec<String> {
    unit.facts.iter().flat_map(|f| &f.guards).filter(|g| !g.starts_with("for ")).cloned().collect()
}

/// Is each of the second's in the first?
fn holds(all: &[Said], some: &[Said]) -> bool {
    let all: Vec<Said> = all.iter().cloned().chain(all.iter().filter_map(cases::implied)).collect();
    !some.is_empty() && lost(some, &all, Clone::clone).is_empty()
}

impl Fed {
    /// Do both versions say and do the same, names spelled out?
    pub(crate) fn says_the_same(&self) -> bool {
        let spelled = |steps: &[Step]| {
            let steps = steps.iter().filter(|s| s.does != Does::Names);
            steps.map(|s| (s.does as u8, s.spelled())).collect::<Vec<_>>()
        };
        let (before, after) = (spelled(&self.before), spelled(&self.after));
        !before.is_empty() && before == after
    }
}

impl Compared<'_> {
    /// The steps of both versions; nothing where they cannot be found.
    pub(crate) fn fed(&self, before: &Unit, after: &Unit) -> Fed {
        let old = self.context.files.iter().find(|f| f.path == self.before_path).and_then(|f| f.py_before.as_ref());
        let (Some(old), Some(new)) = (old, self.file.py_after.as_ref()) else { return Fed::default() };
        let functions = (flow::function(old, &before.name, before.line), flow::function(new, &after.name, after.line));
        let (Some(was), Some(is)) = functions else { return Fed::default() };
        let names_before = self.context.names(self.before_path, old, &before.qual, Version::Before);
        let names_after = self.context.names(self.file.path, new, &after.qual, Version::After);
        let all_said = after.kind == Kind::Test
            && lost(&guards(after), &guards(before), String::clone).is_empty()
            && cases::said(old, was, &names_before).is_some_and(|was| {
                cases::said(new, is, &names_after).is_some_and(|is| holds(&cases::texts(&is), &cases::texts(&was)))
            });
        Fed {
            before: flow::steps(old, &was.body, &names::at(&names_before, was)),
            after: flow::steps(new, &is.body, &names::at(&names_after, is)),
            all_said,
        }
    }

    /// What untouched assertions, or whoever asks for this fixture, are given otherwise than before.
    pub(crate) fn given(&self, before: &Unit, after: &Unit, fed: &Fed, findings: &mut Vec<Finding>) {
        let (mut old, mut new): (Vec<&Step>, Vec<&Step>) = (fed.before.iter().collect(), fed.after.iter().collect());
        if before.kind == Kind::Test {
            old.retain(|s| s.does != Does::Gives);
            new.retain(|s| s.does != Does::Gives);
        }
        let mut worst: Option<(Difference, &Step, &Step)> = None;
        // A call whose result nobody needs may have had a name, or have one now.
        let named = |step: &Step, there: &[Step]| {
            step.does == Does::Calls && there.iter().any(|s| s.does == Does::Names && s.raw == step.raw)
        };
        old.retain(|s| s.does != Does::Names && !named(s, &fed.after));
        new.retain(|s| s.does != Does::Names && !named(s, &fed.before));
        let mut note = |difference: Difference, was, is| {
            if difference > worst.as_ref().map_or(Difference::None, |w| w.0) {
                worst = Some((difference, was, is));
            }
        };
        if fed.all_said {
            let said: BTreeSet<Said> = fed.before.iter().map(cases::text).collect();
            old.clear();
            new.retain(|s| s.does != Does::Asserts && !said.contains(&cases::text(s)));
        }
        for (was, is) in pair(&mut old, &mut new, |s| (s.does as u8, s.raw.clone())) {
            note(self.differ_all(&was.terms, &is.terms), was, is);
        }
        pair(&mut old, &mut new, |s| (s.does as u8, s.spelled()));
        // The same call on the same thing, written otherwise.
        let called = |s: &Step| (s.touches.clone(), s.terms.first().map(dotted).unwrap_or_default());
        let (mut was_called, mut is_called) = (take(&mut old, Does::Calls), take(&mut new, Does::Calls));
        for (was, is) in pair(&mut was_called, &mut is_called, called) {
            note(self.differ_all(&was.terms, &is.terms), was, is);
        }
        old.extend(was_called);
        new.extend(is_called);
        let (gave, gives) = (giving(&old), giving(&new));
        for (index, is) in gives.iter().enumerate() {
            match gave.get(index).or(gave.last()) {
                Some(was) => note(self.differ_all(&was.terms, &is.terms), was, is),
                None => note(Difference::Other, is, is),
            }
        }
        for is in new.iter().filter(|s| matches!(s.does, Does::Sets | Does::Calls)) {
            note(self.gained(&fed.before, &fed.after, is), is, is);
        }
        let kept: BTreeSet<String> = if old.is_empty() { BTreeSet::new() } else { self.everything() };
        for was in old.iter().filter(|s| matches!(s.does, Does::Sets | Does::Calls) && !kept.contains(&s.raw)) {
            let is = new.first().or(fed.after.iter().collect::<Vec<_>>().last()).copied().unwrap_or(was);
            note(self.gained(&fed.after, &fed.before, was), was, is);
        }
        if let Some((difference, was, is)) = worst {
            self.report(before, after, difference, was, is, findings);
        }
    }

    fn report(
        &self,
        before: &Unit,
        after: &Unit,
        difference: Difference,
        was: &Step,
        is: &Step,
        findings: &mut Vec<Finding>,
    ) {
        let linted = was.lines.iter().any(|line| self.context.linted(self.before_path, *line, *line));
        if linted && difference == Difference::Other {
            return;
        }
        let (rule, message) = match (before.fixture, before.kind) {
            (Some(_), _) => ("fixture-changed", format!("`{}` gives or does something else.", after.qual)),
            (None, Kind::Test) => {
                ("expectation-rewritten", format!("What an assertion of `{}` is given has changed.", after.qual))
            }
            _ => ("expectation-rewritten", format!("`{}`, which tests use, does something else.", after.qual)),
        };
        let (old, new) = (was.spelled(), is.spelled());
        let atoms = |step: &Step| step.terms.iter().flat_map(atoms).collect::<Vec<_>>();
        let gained = lost(&atoms(is), &atoms(was), String::clone);
        let mut finding = self.rewritten(before, rule, is.line(), message, &gained);
        if difference == Difference::Other {
            finding.severity = Severity::Flag;
        } else if linted {
            finding.severity = Severity::Flag;
            finding.evidence = "a linter reported this line".to_string();
        }
        let old = if old == new { None } else { Some(old) };
        findings.push(finding.texts(old.as_deref(), Some(&new)));
    }

    /// What a new fixture or set-up does to something that another fixture gives.
    pub(crate) fn meddles(&self, unit: &Unit) -> Option<Finding> {
        let py = self.file.py_after.as_ref()?;
        let function = flow::function(py, &unit.name, unit.line)?;
        let parameters = || function.parameters.iter().map(|p| p.name().as_str());
        let given = |name: &str| parameters().any(|p| p == name) && !matches!(name, "self" | "cls");
        let steps = flow::steps(py, &function.body, &BTreeMap::new());
        let changes = |step: &&Step| {
            let call = step.does == Does::Calls;
            let called = step.terms.first().map(dotted).unwrap_or_default();
            (call && among(MUTATING, last(&called)) || step.does == Does::Sets)
                && given(&step.touches)
                && !among(SURROUNDINGS, &step.touches)
        };
        let step = steps.iter().find(changes)?;
        let message = format!("`{}` changes what another fixture gives.", unit.qual);
        Some(self.refuse("fixture-changed", step.line(), message).texts(None, Some(&step.raw)))
    }

    /// The lines of assertions that other new or changed tests make now, with all that the test does for them.
    pub(crate) fn said_elsewhere(&self, before: &Unit, fed: &Fed) -> BTreeSet<u32> {
        if before.kind != Kind::Test {
            return BTreeSet::new();
        }
        let mut said = (self.said)();
        said.extend(fed.after.iter().map(cases::text));
        let implied: Vec<Said> = said.iter().filter_map(cases::implied).collect();
        said.extend(implied);
        let acts = fed.before.iter().filter(|s| matches!(s.does, Does::Calls | Does::Sets));
        if acts.map(cases::text).any(|step| !said.contains(&step)) {
            return BTreeSet::new();
        }
        let asserted = fed.before.iter().filter(|s| s.does == Does::Asserts);
        asserted.filter(|s| said.contains(&cases::text(s))).map(Step::line).collect()
    }

    /// Is everything that the test asserted asserted now, here or in another test?
    pub(crate) fn says_it_elsewhere(&self, before: &Unit, fed: &Fed) -> bool {
        let asserted: BTreeSet<u32> = fed.before.iter().filter(|s| s.does == Does::Asserts).map(Step::line).collect();
        !asserted.is_empty() && self.said_elsewhere(before, fed) == asserted
    }

    /// Assertions that are written in another way and say the same, by their lines before and after.
    pub(crate) fn respelled(&self, fed: &Fed) -> Vec<(u32, u32)> {
        let asserting =
            |steps: &'_ [Step]| steps.iter().filter(|s| s.does == Does::Asserts).cloned().collect::<Vec<_>>();
        let (before, after) = (asserting(&fed.before), asserting(&fed.after));
        let (mut old, mut new): (Vec<&Step>, Vec<&Step>) = (before.iter().collect(), after.iter().collect());
        pair(&mut old, &mut new, |s| s.raw.clone());
        pair(&mut old, &mut new, Step::spelled).into_iter().map(|(was, is)| (was.line(), is.line())).collect()
    }

    /// Everything that functions of the file do after the change.
    fn everything(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let Some(py) = &self.file.py_after else { return found };
        super::python::walk(py.body(), &mut |stmt| {
            if let ast::Stmt::FunctionDef(f) = stmt {
                found.extend(flow::steps(py, &f.body, &BTreeMap::new()).into_iter().map(|s| s.raw));
            }
            true
        });
        found
    }

    /// A step that only one version has: does it change what is asserted or given there?
    fn gained(&self, other: &[Step], here: &[Step], step: &Step) -> Difference {
        if step.touches.is_empty() && step.does == Does::Sets || step.terms.is_empty() {
            return Difference::None;
        }
        let later = here.iter().skip_while(|s| !std::ptr::eq(*s, step)).skip(1);
        let mut rests: BTreeSet<&str> = BTreeSet::new();
        for s in later.filter(|s| matches!(s.does, Does::Asserts | Does::Gives)) {
            rests.extend(s.names.iter().map(String::as_str));
        }
        let set: BTreeSet<&str> = other
            .iter()
            .filter(|s| s.does == Does::Sets)
            .map(|s| s.touches.as_str())
            .filter(|t| t.contains('.'))
            .collect();
        let called = step.terms.first().map(dotted).unwrap_or_default();
        let call = step.does == Does::Calls;
        if call && (among(ENDING, last(&called)) || super::facts::is_asserting(&called)) {
            return Difference::None;
        }
        let touched = rests.contains(step.touches.as_str())
            || set.contains(step.touches.as_str())
            || step.owners.iter().any(|owner| rests.contains(owner.as_str()));
        if !step.touches.is_empty() && touched {
            let imported = self.suite_after.imports.contains_key(&step.touches);
            return match among(SURROUNDINGS, &step.touches) || call && imported {
                true => Difference::Other,
                false => Difference::Fed,
            };
        }
        // What a function is given it may change, too.
        let given = |expr: &Expr| {
            let name = flow::root(expr);
            !name.is_empty() && rests.contains(name.as_str()) && !self.suite_after.imports.contains_key(&name)
        };
        if step.raw.starts_with("for ") || step.raw.starts_with("if ") || step.raw.starts_with("while ") {
            return Difference::None;
        }
        let arguments = match step.terms.first() {
            Some(Expr::Call(c)) if call => &c.arguments.args,
            _ => return Difference::None,
        };
        let harmless = matches!(called.as_str(), "print" | "next" | "list" | "repr" | "str" | "len" | "isinstance");
        match arguments.iter().any(given) && !harmless && !among(SURROUNDINGS, &step.touches) {
            true => Difference::Other,
            false => Difference::None,
        }
    }

    fn differ_all(&self, old: &[Expr], new: &[Expr]) -> Difference {
        match old.len() == new.len() {
            true => old.iter().zip(new).map(|(o, n)| self.differ(o, n)).max().unwrap_or(Difference::None),
            false => Difference::Fed,
        }
    }

    fn differ(&self, old: &Expr, new: &Expr) -> Difference {
        let all = |old: &[&Expr], new: &[&Expr]| {
            old.iter().zip(new).map(|(o, n)| self.differ(o, n)).max().unwrap_or(Difference::None)
        };
        match (bare(old), bare(new)) {
            (Expr::Call(o), Expr::Call(n)) if self.same_name(&o.func, &n.func) => self.arguments(o, n),
            (Expr::Attribute(o), Expr::Attribute(n)) if o.attr == n.attr => self.differ(&o.value, &n.value),
            (Expr::Subscript(o), Expr::Subscript(n)) => all(&[&o.value, &o.slice], &[&n.value, &n.slice]),
            (Expr::BinOp(o), Expr::BinOp(n)) if o.op == n.op => all(&[&o.left, &o.right], &[&n.left, &n.right]),
            (Expr::UnaryOp(o), Expr::UnaryOp(n)) if o.op == n.op => self.differ(&o.operand, &n.operand),
            (Expr::If(o), Expr::If(n)) => all(&[&o.test, &o.body, &o.orelse], &[&n.test, &n.body, &n.orelse]),
            (Expr::Starred(o), Expr::Starred(n)) => self.differ(&o.value, &n.value),
            (Expr::Compare(o), Expr::Compare(n)) if o.ops == n.ops => {
                let sides = |c: &ast::ExprCompare| {
                    std::iter::once(&*c.left).chain(&*c.comparators).cloned().collect::<Vec<_>>()
                };
                self.differ_all(&sides(o), &sides(n))
            }
            (Expr::BoolOp(o), Expr::BoolOp(n)) if o.op == n.op && o.values.len() == n.values.len() => {
                self.differ_all(&o.values, &n.values)
            }
            (old, new) => match (elements(old), elements(new)) {
                (Some(o), Some(n)) if o.len() == n.len() => self.differ_all(&o, &n),
                _ => self.replaced_by(old, new),
            },
        }
    }

    /// Are both names the same, or is one what the change made of the other?
    fn same_name(&self, old: &Expr, new: &Expr) -> bool {
        canon(old) == canon(new) || {
            let (old, new) = (dotted(old), dotted(new));
            self.context.renamed(last(&old), last(&new)) || last(&old) == last(&new) && !self.is_projects(&old)
        }
    }

    fn is_projects(&self, name: &str) -> bool {
        let root = name.split('.').next().unwrap_or("");
        root != "self" && self.context.is_project(name) && name.contains('.')
            || self.suite_before.imports.get(root).is_some_and(|m| self.context.is_project(m))
    }

    fn arguments(&self, old: &ast::ExprCall, new: &ast::ExprCall) -> Difference {
        let mut worst = self.receivers(&old.func, &new.func);
        let own = self.is_projects(&dotted(&old.func));
        let changed = if own { Difference::Fed } else { Difference::Other };
        let (o, n) = (&old.arguments, &new.arguments);
        let (was, is) = (essential(o, own), essential(n, own));
        let (old_count, new_count) = (was.len(), is.len());
        for (was, is) in was.iter().zip(is) {
            worst = worst.max(self.differ(was, is));
        }
        let named = |arguments: &ast::Arguments| -> BTreeMap<String, Expr> {
            let keywords = arguments.keywords.iter();
            keywords.map(|k| (k.arg.as_ref().map_or("**".to_string(), ToString::to_string), k.value.clone())).collect()
        };
        let (was, is) = (named(o), named(n));
        for (name, value) in &is {
            match was.get(name) {
                Some(old) => worst = worst.max(self.differ(old, value)),
                None if among("encoding newline stacklevel check reason match msg timeout", name) && !own => {}
                None if old_count > new_count => {
                    // An argument that is now named.
                    let same = o.args.iter().skip(new_count).any(|a| canon(a) == canon(value));
                    worst = worst.max(if same { Difference::None } else { changed });
                }
                None => worst = worst.max(changed),
            }
        }
        let fewer = was.keys().filter(|name| !is.contains_key(*name)).count() + old_count.saturating_sub(new_count);
        let more = is.keys().filter(|name| !was.contains_key(*name)).count() + new_count.saturating_sub(old_count);
        if fewer > more || new_count > old_count && fewer == 0 {
            worst = worst.max(changed);
        }
        worst
    }

    /// What stands before the last name of a function.
    fn receivers(&self, old: &Expr, new: &Expr) -> Difference {
        match (old, new) {
            (Expr::Attribute(o), Expr::Attribute(n)) if !o.value.is_name_expr() || !n.value.is_name_expr() => {
                self.differ(&o.value, &n.value)
            }
            _ => Difference::None,
        }
    }

    fn replaced_by(&self, old: &Expr, new: &Expr) -> Difference {
        let (was, is) = (canon(old), canon(new));
        if was == is {
            return Difference::None;
        }
        if let (Expr::Name(o), Expr::Name(n)) = (old, new) {
            let (o, n) = (o.id.as_str(), n.id.as_str());
            return match self.context.renamed(o, n) || among(SURROUNDINGS, o) || !self.is_fixture(o) {
                true => Difference::None,
                false => Difference::Fed,
            };
        }
        let number = |text: &str| super::python::number(text);
        if is_literal(new) {
            return match is_literal(old) {
                true if number(&was).is_some() && number(&was) == number(&is) => Difference::None,
                // What is gone is another rule's; what is only more is not.
                true if lost(&atoms(old), &atoms(new), String::clone).is_empty() => Difference::Fed,
                true => Difference::None,
                false => Difference::Fed,
            };
        }
        if has(new, &was) {
            return if converts(new, &was) { Difference::Other } else { Difference::Fed };
        }
        let calls_project = |expr: &Expr| {
            let mut found = false;
            exprs_in(expr, &mut |e| {
                found |= e.is_call_expr() && self.is_projects(&dotted(e));
                !found
            });
            found
        };
        if calls_project(old) && !calls_project(new) {
            let named = |expr: &Expr| self.context.undefined.contains(last(&dotted(expr)));
            return if named(old) { Difference::None } else { Difference::Fed };
        }
        if calls_project(new) && !calls_project(old) {
            return Difference::Fed;
        }
        if has(old, &is) {
            return Difference::Other;
        }
        // A parameter, which is now something that is made on the spot.
        if let Expr::Name(name) = old
            && !self.suite_before.imports.contains_key(name.id.as_str())
            && !among(SURROUNDINGS, &name.id)
            && matches!(new, Expr::Call(_) | Expr::BinOp(_) | Expr::Subscript(_))
        {
            return Difference::Fed;
        }
        // More elements of what is otherwise the same.
        if let (Some(o), Some(n)) = (elements(old), elements(new)) {
            let texts = |all: &[Expr]| all.iter().map(canon).collect::<Vec<_>>();
            if lost(&texts(&o), &texts(&n), String::clone).is_empty() {
                return Difference::Fed;
            }
        }
        match lost(&atoms(new), &atoms(old), String::clone).is_empty() {
            true => Difference::None,
            false => Difference::Other,
        }
    }

    /// Is there still a fixture of this name?
    fn is_fixture(&self, name: &str) -> bool {
        let line = format!("def {name}(");
        let here = self.file.py_after.as_ref().is_some_and(|py| py.text.contains(&line));
        here || self
            .context
            .paths
            .iter()
            .filter(|p| super::paths::name(p) == "conftest.py")
            .any(|path| self.context.after(path).is_some_and(|bytes| String::from_utf8_lossy(&bytes).contains(&line)))
    }
}

/// Takes out the steps of a kind.
fn take<'s>(steps: &mut Vec<&'s Step>, does: Does) -> Vec<&'s Step> {
    let (taken, left) = steps.iter().partition(|s| s.does == does);
    *steps = left;
    taken
}

fn giving<'s>(steps: &[&'s Step]) -> Vec<&'s Step> {
    steps.iter().copied().filter(|s| s.does == Does::Gives).collect()
}

/// The arguments by position, without what says nothing where it is not the project's function: a last `None`, a mode
/// for reading.
fn essential(arguments: &ast::Arguments, own: bool) -> &[Expr] {
    match &*arguments.args {
        [rest @ .., end] if !own && !rest.is_empty() && matches!(canon(end).as_str(), "None" | "\"r\"" | "\"rt\"") => {
            rest
        }
        all => all,
    }
}

/// Takes out of both what is equal by a key.
fn pair<'s, K: PartialEq>(
    old: &mut Vec<&'s Step>,
    new: &mut Vec<&'s Step>,
    key: impl Fn(&Step) -> K,
) -> Vec<(&'s Step, &'s Step)> {
    let mut pairs = Vec::new();
    old.retain(|was| match new.iter().position(|is| key(is) == key(was)) {
        Some(at) => {
            pairs.push((*was, new.remove(at)));
            false
        }
        None => true,
    });
    pairs
}

/// Keys and values of a display, in order.
fn elements(expr: &Expr) -> Option<Vec<Expr>> {
    match expr {
        Expr::List(l) => Some(l.elts.clone()),
        Expr::Tuple(t) => Some(t.elts.clone()),
        Expr::Set(s) => Some(s.elts.clone()),
        Expr::Dict(d) => {
            Some(d.items.iter().flat_map(|i| i.key.iter().cloned().chain(std::iter::once(i.value.clone()))).collect())
        }
        _ => None,
    }
}

/// Does the expression hold another one, by its text?
fn has(expr: &Expr, text: &str) -> bool {
    let mut found = false;
    exprs_in(expr, &mut |e| {
        found |= canon(e) == text;
        !found
    });
    found
}

/// Is the expression a conversion of that value?
fn converts(expr: &Expr, text: &str) -> bool {
    let known = ["str", "Path", "fspath", "list", "tuple", "PurePath", "as_posix", "resolve"];
    match expr {
        Expr::Call(c) if known.contains(&last(&dotted(&c.func))) && c.arguments.keywords.is_empty() => {
            let receiver = matches!(&*c.func, Expr::Attribute(a) if canon(&a.value) == text);
            receiver && c.arguments.args.is_empty()
                || c.arguments.args.len() == 1
                    && (canon(&c.arguments.args[0]) == text || converts(&c.arguments.args[0], text))
        }
        _ => false,
    }
}
